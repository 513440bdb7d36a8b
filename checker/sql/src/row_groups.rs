//! Which row groups of `ops` may hold a transaction about a key.
//!
//! The engine rules out row groups by the least and the greatest value of a column and by its bloom filter, but not where
//! the column is within a list. Keys of transactions are: so a condition `touches(mops, key)` is looked up here, in the same
//! statistics and filters, and the scan is told which row groups to read. What is not known is read.

use crate::functions::keys_asked;
use datafusion::catalog::Session;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::parquet::bloom_filter::Sbbf;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use datafusion::parquet::file::statistics::Statistics;
use object_store::{ObjectMeta, ObjectStore};
use std::ops::Range;

/// Leaf columns with keys of micro-operations.
const KEYS: [&str; 2] = ["mops.list.item.key", "mops.list.item.records.list.item.key"];

/// The keys of each condition of a scan that is about keys: a row must touch one of each.
pub(crate) fn asked(conditions: &[Expr]) -> Vec<Vec<i64>> {
    conditions.iter().filter_map(keys_asked).collect()
}

/// The row groups of a file that may hold a row for every condition; nothing if all of them may.
///
/// # Errors
/// If the footer cannot be read.
pub(crate) async fn access(
    state: &dyn Session,
    objects: &dyn ObjectStore,
    file: &ObjectMeta,
    asked: &[Vec<i64>],
) -> Result<Option<ParquetAccessPlan>> {
    let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
    let metadata = DFParquetMetadata::new(objects, file).with_file_metadata_cache(Some(cache)).fetch_metadata().await?;
    let mut left: Vec<usize> = (0..metadata.num_row_groups()).collect();
    for keys in asked {
        left = holding(objects, file, &metadata, &left, keys).await;
    }
    if left.len() == metadata.num_row_groups() {
        return Ok(None);
    }
    let mut plan = ParquetAccessPlan::new_none(metadata.num_row_groups());
    left.into_iter().for_each(|group| plan.scan(group));
    Ok(Some(plan))
}

/// Those of the row groups that may hold one of the keys: by the bounds of the values, then by the bloom filters.
async fn holding(
    objects: &dyn ObjectStore,
    file: &ObjectMeta,
    metadata: &ParquetMetaData,
    groups: &[usize],
    keys: &[i64],
) -> Vec<usize> {
    let mut holding = vec![false; metadata.num_row_groups()];
    let mut filters = Vec::new();
    for group in groups {
        for column in metadata.row_group(*group).columns().iter().filter(|column| KEYS.contains(&path(column).as_str()))
        {
            let within: Vec<i64> = keys.iter().copied().filter(|key| within_bounds(column, *key)).collect();
            match filter_range(column) {
                _ if within.is_empty() => {}
                Some(range) => filters.push((*group, range, within)),
                None => holding[*group] = true,
            }
        }
    }
    filters.retain(|(group, ..)| !holding[*group]);
    let ranges: Vec<Range<u64>> = filters.iter().map(|(_, range, _)| range.clone()).collect();
    // If the filters cannot be read, the rows will say why.
    let bytes = objects.get_ranges(&file.location, &ranges).await.unwrap_or_default();
    for (at, (group, _, keys)) in filters.iter().enumerate() {
        let filter =
            bytes.get(at).and_then(|bytes| Sbbf::from_bytes(bytes).ok()).filter(|filter| filter.num_blocks() > 0);
        holding[*group] |= filter.is_none_or(|filter| keys.iter().any(|key| filter.check(key)));
    }
    groups.iter().copied().filter(|group| holding[*group]).collect()
}

fn path(column: &ColumnChunkMetaData) -> String {
    column.column_path().string()
}

/// Whether the key is between the least and the greatest value, as far as they are known.
fn within_bounds(column: &ColumnChunkMetaData, key: i64) -> bool {
    let Some(Statistics::Int64(known)) = column.statistics() else { return true };
    if known.null_count_opt().is_some_and(|nulls| i64::try_from(nulls) == Ok(column.num_values())) {
        return false;
    }
    known.min_opt().is_none_or(|min| *min <= key) && known.max_opt().is_none_or(|max| key <= *max)
}

/// Where the bloom filter of a column is.
fn filter_range(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
    let length = u64::try_from(column.bloom_filter_length()?).ok()?;
    Some(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, ArrayRef, Int64Array, ListArray, RecordBatch, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
    use datafusion::prelude::SessionContext;
    use object_store::memory::InMemory;
    use std::sync::Arc;

    /// Keys of the micro-operations of a transaction, and of the records that each of them saw.
    type Row = (&'static [i64], &'static [i64]);

    /// Two to a row group.
    const ROWS: [Row; 6] = [(&[1], &[]), (&[9, 2], &[]), (&[40, 5], &[]), (&[60], &[]), (&[], &[7, 100]), (&[3], &[])];

    fn lists(lengths: impl IntoIterator<Item = usize>, items: StructArray) -> ListArray {
        let item = Arc::new(Field::new("item", items.data_type().clone(), false));
        ListArray::new(item, OffsetBuffer::from_lengths(lengths), Arc::new(items), None)
    }

    fn structs(columns: Vec<(&str, ArrayRef)>) -> StructArray {
        let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let fields: Vec<Field> = fields.collect();
        StructArray::new(fields.into(), columns.into_iter().map(|(_, column)| column).collect(), None)
    }

    /// A row whose transaction only polled has one micro-operation without a key.
    fn batch(rows: &[Row]) -> RecordBatch {
        let mops = |row: &Row| if row.0.is_empty() { vec![None] } else { row.0.iter().copied().map(Some).collect() };
        let keys: Vec<Option<i64>> = rows.iter().flat_map(mops).collect();
        let seen = |row: &Row| row.1.len();
        let saw = rows.iter().flat_map(|row| (0..mops(row).len()).map(move |mop| if mop == 0 { seen(row) } else { 0 }));
        let records = rows.iter().flat_map(|row| row.1.iter().copied());
        let records = structs(vec![("key", Arc::new(Int64Array::from_iter_values(records)))]);
        let records = lists(saw.collect::<Vec<_>>(), records);
        let mops_column = structs(vec![("key", Arc::new(Int64Array::from(keys))), ("records", Arc::new(records))]);
        let mops_column = lists(rows.iter().map(|row| mops(row).len()), mops_column);
        RecordBatch::try_from_iter([("mops", Arc::new(mops_column) as ArrayRef)]).unwrap()
    }

    /// The row groups that are left for the conditions.
    fn left(properties: WriterPropertiesBuilder, asked: &[&[i64]]) -> Option<Vec<usize>> {
        let batch = batch(&ROWS);
        let properties = properties.set_max_row_group_row_count(Some(2)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let bytes = writer.into_inner().unwrap();
        let asked: Vec<Vec<i64>> = asked.iter().map(|keys| keys.to_vec()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (objects, path) = (InMemory::new(), object_store::path::Path::from("part.parquet"));
            objects.put_opts(&path, bytes.into(), object_store::PutOptions::default()).await.unwrap();
            let get = object_store::GetOptions { head: true, ..Default::default() };
            let file = objects.get_opts(&path, get).await.unwrap().meta;
            let state = SessionContext::new().state();
            let plan = access(&state, &objects, &file, &asked).await.unwrap();
            plan.map(|plan| plan.row_group_indexes())
        })
    }

    #[test]
    fn bounds_rule_out_row_groups() {
        let bounds = || WriterProperties::builder().set_statistics_enabled(EnabledStatistics::Chunk);
        assert_eq!(
            left(bounds(), &[&[50]]),
            Some(vec![1, 2]),
            "100 was seen in the last: the bounds there are 7 and 100"
        );
        assert_eq!(left(bounds(), &[&[1]]), Some(vec![0]));
        assert_eq!(left(bounds(), &[&[100]]), Some(vec![2]));
        assert_eq!(left(bounds(), &[&[101]]), Some(vec![]));
        assert_eq!(left(bounds(), &[&[]]), Some(vec![]), "no key at all");
        assert_eq!(left(bounds(), &[&[1, 60, 100]]), None, "each has one of them");
        assert_eq!(left(bounds(), &[&[1, 5], &[50]]), Some(vec![1]), "both conditions hold");
    }

    #[test]
    fn bloom_filters_rule_out_what_bounds_do_not() {
        let filtered = || WriterProperties::builder().set_bloom_filter_enabled(true);
        assert_eq!(left(filtered(), &[&[50]]), Some(vec![]));
        for (key, group) in [(1, 0), (9, 0), (2, 0), (40, 1), (5, 1), (60, 1), (7, 2), (100, 2), (3, 2)] {
            let found = left(filtered(), &[&[key]]).unwrap();
            assert!(found.contains(&group) && found.len() == 1, "{key}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_read() {
        let unknown = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None);
        assert_eq!(left(unknown, &[&[50]]), None);
    }
}
