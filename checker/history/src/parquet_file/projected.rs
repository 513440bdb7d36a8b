//! Some columns of some row groups: for those who do not need whole operations, or only a few of them.

use super::{BATCH_ROWS, checked, guarded};
use crate::columns::{Columns, Interner, conform};
use crate::error::Error;
use crate::ops_table;
use crate::schema::Table;
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use fissure_checker::Operation;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::Repetition;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// One row group of a file, with some of its columns.
pub(crate) struct RowGroup {
    path: Arc<Path>,
    metadata: ArrowReaderMetadata,
    columns: ProjectionMask,
    number: usize,
    first_row: u64,
}

/// The row groups of a file of `ops`, with the columns that `schema` has. The file is checked as by [`for_each_batch`].
pub(crate) fn row_groups(path: &Path, schema: &SchemaRef) -> Result<Vec<RowGroup>, Error> {
    let builder = guarded(path, || checked(path, Table::Ops))?;
    let hinted = ArrowReaderOptions::new().with_schema(Arc::new(hinted(builder.schema(), schema)));
    // A hint that does not fit is no reason not to read the file.
    let metadata = ArrowReaderMetadata::try_new(builder.metadata().clone(), hinted)
        .or_else(|_| ArrowReaderMetadata::try_new(builder.metadata().clone(), ArrowReaderOptions::default()));
    let metadata = metadata.map_err(Error::format(path))?;
    let mut names: Vec<String> = Vec::new();
    for field in schema.fields() {
        leaves(field.name().clone(), field, builder.parquet_schema(), &mut names);
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().map(String::as_str));
    let mut first_row = 0;
    let mut groups = Vec::new();
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        let schema = builder.parquet_schema();
        let is_read = |leaf: &usize| mask.leaf_included(*leaf) && !is_void(group.column(*leaf), schema);
        let columns = ProjectionMask::leaves(schema, (0..group.num_columns()).filter(is_read));
        let metadata = metadata.clone();
        groups.push(RowGroup { path: Arc::from(path), metadata, columns, number, first_row });
        first_row += group.num_rows().unsigned_abs();
    }
    Ok(groups)
}

/// The schema of a file, with texts that are wanted as a dictionary read as one.
fn hinted(found: &Schema, wanted: &Schema) -> Schema {
    Schema::new_with_metadata(hinted_fields(found.fields(), wanted.fields()), found.metadata().clone())
}

fn hinted_fields(found: &Fields, wanted: &Fields) -> Fields {
    let hint = |field: &FieldRef| {
        let Some((_, wanted)) = wanted.find(field.name()) else { return field.clone() };
        Arc::new(field.as_ref().clone().with_data_type(hinted_type(field.data_type(), wanted.data_type())))
    };
    found.iter().map(hint).collect()
}

fn hinted_type(found: &DataType, wanted: &DataType) -> DataType {
    match (found, wanted) {
        (DataType::Utf8, DataType::Dictionary(_, texts)) if **texts == DataType::Utf8 => wanted.clone(),
        (DataType::List(item), DataType::List(wanted)) => {
            let data_type = hinted_type(item.data_type(), wanted.data_type());
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(data_type)))
        }
        (DataType::Struct(fields), DataType::Struct(wanted)) => DataType::Struct(hinted_fields(fields, wanted)),
        _ => found.clone(),
    }
}

/// Whether the lists that a column of a row group has in the items of other lists are all null, for certain: what is not
/// decoded is null, so it need not be. Micro-operations on registers read no lists.
fn is_void(column: &ColumnChunkMetaData, schema: &SchemaDescriptor) -> bool {
    let path = column.column_path().parts();
    let Some(histogram) = column.definition_level_histogram().filter(|_| path.len() > ITEM_FIELD + 1) else {
        return false;
    };
    let (mut node, mut levels) = (schema.root_schema(), 0);
    for part in &path[..=ITEM_FIELD] {
        let Some(next) = node.get_fields().iter().find(|field| field.name() == part) else { return false };
        levels += usize::from(next.get_basic_info().repetition() != Repetition::REQUIRED);
        node = next;
    }
    // A list that is there, empty or not, is told by its own level or one above it.
    node.get_basic_info().repetition() == Repetition::OPTIONAL
        && histogram.values().iter().skip(levels).all(|count| *count == 0)
}

/// Which part of the path of a column is the field of an item of a list: `mops.list.item.list`.
const ITEM_FIELD: usize = 3;

/// Paths of the columns that make up a field. Files by others name the levels of a list as they like, so everything
/// below a list is taken except the fields of structs that are not wanted.
fn leaves(name: String, field: &Field, schema: &SchemaDescriptor, names: &mut Vec<String>) {
    let DataType::List(item) = field.data_type() else {
        names.push(name);
        return;
    };
    let DataType::Struct(wanted) = item.data_type() else {
        names.push(name);
        return;
    };
    // mops.list.element.key: the fields of the struct are the fourth part of the path.
    for column in schema.columns() {
        let parts = column.path().parts();
        let inside = parts.first() == Some(&name);
        if inside && parts.get(ITEM_FIELD).is_none_or(|part| wanted.iter().any(|field| field.name() == part)) {
            names.push(parts.join("."));
        }
    }
}

impl RowGroup {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `each` with the number of the first row of every batch, until it says false.
    pub(crate) fn for_each_batch(
        self,
        mut each: impl FnMut(u64, RecordBatch) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let path: &Path = &self.path;
        let mut reader = guarded(path, || {
            let file = File::open(path).map_err(Error::io("open", path))?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            let builder = builder.with_row_groups(vec![self.number]).with_projection(self.columns.clone());
            builder.with_batch_size(BATCH_ROWS).build().map_err(Error::format(path))
        })?;
        let mut first_row = self.first_row;
        while let Some(batch) = guarded(path, || reader.next().transpose().map_err(Error::format(path)))? {
            let rows = batch.num_rows() as u64;
            if !each(first_row, batch)? {
                return Ok(());
            }
            first_row += rows;
        }
        Ok(())
    }
}

/// Calls `each` with the operations of a file that have these numbers, which ascend. Row groups that have none are not
/// read, and of the others only the pages that have them.
pub(crate) fn ops_with_ids(path: &Path, op_ids: &[u64], mut each: impl FnMut(Operation)) -> Result<(), Error> {
    let id_column = Arc::new(Schema::new(vec![Field::new("op_id", DataType::Int64, false)]));
    let wanted = |ids: &Int64Array, row: usize| op_ids.binary_search(&ids.value(row).cast_unsigned()).is_ok();
    let mut names = Interner::default();
    for group in row_groups(path, &id_column)? {
        if !group.may_have(op_ids) {
            continue;
        }
        let mut rows: Vec<usize> = Vec::new();
        let (metadata, number, first_row) = (group.metadata.clone(), group.number, group.first_row);
        group.for_each_batch(|at, batch| {
            let batch = conform(&batch, &id_column, path)?;
            let ids = Columns::new(&batch, path, at).int("op_id")?.clone();
            let found = (0..ids.len()).filter(|row| wanted(&ids, *row));
            rows.extend(found.map(|row| (at - first_row) as usize + row));
            Ok(true)
        })?;
        if rows.is_empty() {
            continue;
        }
        let reader = guarded(path, || {
            let file = File::open(path).map_err(Error::io("open", path))?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            let total = builder.metadata().row_group(number).num_rows().unsigned_abs() as usize;
            let ranges = rows.iter().map(|row| *row..*row + 1);
            let selection = RowSelection::from_consecutive_ranges(ranges, total);
            let builder = builder.with_row_groups(vec![number]).with_row_selection(selection);
            builder.build().map_err(Error::format(path))
        })?;
        for batch in reader {
            let batch = batch.map_err(Error::format(path))?;
            ops_table::from_batch(&batch, path, first_row, &mut names)?.into_iter().for_each(|row| each(row.op));
        }
    }
    Ok(())
}

impl RowGroup {
    /// Whether statistics leave open that one of these numbers, which ascend, is among its `op_id`s.
    fn may_have(&self, op_ids: &[u64]) -> bool {
        let group = self.metadata.metadata().row_group(self.number);
        let column = group.columns().iter().find(|column| column.column_path().string() == "op_id");
        let Some(Statistics::Int64(statistics)) = column.and_then(|column| column.statistics()) else { return true };
        let (Some(least), Some(greatest)) = (statistics.min_opt(), statistics.max_opt()) else { return true };
        let from = op_ids.partition_point(|id| id.cast_signed() < *least);
        op_ids.get(from).is_some_and(|id| id.cast_signed() <= *greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::txn_fields;
    use crate::writer::HistoryWriter;
    use fissure_checker::{Call, Mop, Outcome};

    /// Whether the lists of micro-operations are decoded where checkers read these transactions.
    fn decodes_lists(txns: &[Vec<Mop>]) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.parquet");
        let mut writer = HistoryWriter::create_file(&path).unwrap();
        for (op_id, mops) in (0..).zip(txns) {
            let op = Operation {
                op_id,
                process: 0,
                node: None,
                call: Call::Txn(mops.clone()),
                invoke_seq: 2 * op_id,
                complete_seq: Some(2 * op_id + 1),
                invoke_ns: 0,
                complete_ns: Some(1),
                outcome: Outcome::Ok,
                error_code: None,
                error_text: None,
                conn_cookie: None,
            };
            writer.op(&op, &Arc::from("faults")).unwrap();
        }
        writer.finish().unwrap();
        let groups = row_groups(&path, &Arc::new(Schema::new(txn_fields()))).unwrap();
        let group = groups.first().unwrap();
        let columns = group.metadata.metadata().row_group(0).columns();
        let leaf = columns.iter().position(|column| column.column_path().string() == super::super::LIST_ITEMS);
        group.columns.leaf_included(leaf.unwrap())
    }

    #[test]
    fn lists_are_decoded_unless_there_are_none_at_all() {
        let write = Mop::Write { key: 1, value: 2 };
        let read = |value| Mop::Read { key: 1, value };
        let list = |list| Mop::ReadList { key: 1, list: Some(list) };
        assert!(!decodes_lists(&[vec![write.clone(), read(Some(None))], vec![], vec![read(Some(Some(2)))]]));
        assert!(!decodes_lists(&[vec![Mop::Append { key: 1, value: 2 }]]));
        // A read that is not known has an empty list beside its null.
        assert!(decodes_lists(&[vec![write.clone()], vec![read(None)]]));
        assert!(decodes_lists(&[vec![list(vec![])], vec![]]));
        assert!(decodes_lists(&[vec![write], vec![list(vec![2])]]));
    }
}
