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
