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
    let columns = ProjectionMask::columns(builder.parquet_schema(), names.iter().map(String::as_str));
    let mut first_row = 0;
    let mut groups = Vec::new();
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        let (metadata, columns) = (metadata.clone(), columns.clone());
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
        if inside && parts.get(3).is_none_or(|part| wanted.iter().any(|field| field.name() == part)) {
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
