//! Batches of events as they are on disk: the columns that few workloads use take no room where nobody uses them.
//!
//! An Arrow column of nulls is as long as one of values. So these columns are in a list of at most one struct per row,
//! `more`: in a batch without any of their values all lists are empty, in another one each has its struct. The same for
//! micro-operations.

use super::events;
use crate::error::Error;
use crate::schema::with_version;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray, new_empty_array, new_null_array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use arrow::error::ArrowError;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Columns of events that are seldom used.
const RARE: [&str; 8] =
    ["other_f", "expected", "elements", "to_key", "balances", "error_code", "error_text", "value_text"];

/// The same of micro-operations.
const RARE_OF_MOPS: [&str; 2] = ["offset", "records"];

const MORE: &str = "more";

/// The fields that are not rare, and `more` with the others.
fn packed_fields(fields: &Fields, rare: &[&str]) -> Fields {
    let is_rare = |field: &&Arc<Field>| rare.contains(&field.name().as_str());
    let packed: Fields = fields.iter().filter(is_rare).cloned().collect();
    let kept = fields.iter().filter(|field| !is_rare(field)).map(|field| match field.data_type() {
        DataType::List(item) if field.name() == "mops" => {
            let item = match item.data_type() {
                DataType::Struct(mop) => {
                    let fields = packed_fields(mop, &RARE_OF_MOPS);
                    Arc::new(item.as_ref().clone().with_data_type(DataType::Struct(fields)))
                }
                _ => item.clone(),
            };
            Arc::new(field.as_ref().clone().with_data_type(DataType::List(item)))
        }
        _ => field.clone(),
    });
    let item = Arc::new(Field::new("item", DataType::Struct(packed), false));
    kept.chain([Arc::new(Field::new(MORE, DataType::List(item), false))]).collect()
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields = packed_fields(events::schema().fields(), &RARE);
    with_version("ops-events", fields.iter().map(|field| field.as_ref().clone()).collect())
});

/// Schema of the journal of operations.
pub(crate) fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// The columns, packed as `fields` has them.
fn pack_columns(from: &Fields, columns: &[ArrayRef], fields: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
    let find = |name: &str| from.find(name).and_then(|(at, _)| columns.get(at));
    let missing = |name: &str| ArrowError::SchemaError(format!("column {name} is missing"));
    let rows = columns.first().map_or(0, |column| column.len());
    fields
        .iter()
        .map(|field| match field.data_type() {
            DataType::List(item) if field.name() == MORE => {
                let DataType::Struct(rare) = item.data_type() else { return Err(missing(MORE)) };
                let all = rare.iter().map(|field| find(field.name()).cloned().ok_or_else(|| missing(field.name())));
                let all = all.collect::<Result<Vec<_>, _>>()?;
                let unused = all.iter().all(|column| column.null_count() == column.len());
                let (all, ends): (Vec<ArrayRef>, Vec<i32>) = if unused {
                    (rare.iter().map(|field| new_empty_array(field.data_type())).collect(), vec![0; rows + 1])
                } else {
                    (all, (0..).take(rows + 1).collect())
                };
                let length = if unused { 0 } else { rows };
                let items = StructArray::try_new_with_length(rare.clone(), all, None, length)?;
                list(item.clone(), ends, Arc::new(items))
            }
            DataType::List(item) if field.name() == "mops" => {
                let lists = find("mops").ok_or_else(|| missing("mops"))?.as_list::<i32>();
                let DataType::Struct(fields) = item.data_type() else { return Err(missing("mops")) };
                let mops = lists.values().as_struct();
                let columns = pack_columns(mops.fields(), mops.columns(), fields)?;
                replace_items(lists, item, columns)
            }
            _ => find(field.name()).cloned().ok_or_else(|| missing(field.name())),
        })
        .collect()
}

fn list(item: Arc<Field>, ends: Vec<i32>, items: ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::new(ScalarBuffer::from(ends)), items, None)?))
}

/// The lists with other columns in their structs.
fn replace_items(lists: &ListArray, item: &Arc<Field>, columns: Vec<ArrayRef>) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = item.data_type() else {
        return Err(ArrowError::SchemaError("the items are not structs".to_owned()));
    };
    let items = StructArray::try_new_with_length(fields.clone(), columns, None, lists.values().len())?;
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, Arc::new(items), nulls)?))
}

/// The columns of `fields` out of packed ones.
fn unpack_columns(fields: &Fields, from: &Fields, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
    let find = |name: &str| from.find(name).and_then(|(at, _)| columns.get(at));
    let bad = |what: String| ArrowError::SchemaError(what);
    let rows = columns.first().map_or(0, |column| column.len());
    let more = find(MORE).and_then(|column| column.as_list_opt::<i32>());
    let more = more.ok_or_else(|| bad(format!("column {MORE} is missing or of another type")))?;
    let rare = more.values().as_struct_opt().ok_or_else(|| bad(format!("column {MORE} has no structs")))?;
    if !rare.is_empty() && (rare.len() != rows || !(0..).zip(more.value_offsets()).all(|(at, end)| at == *end)) {
        return Err(bad(format!("column {MORE} must have one struct in each row, or none in all of them")));
    }
    fields
        .iter()
        .map(|field| match (find(field.name()), field.data_type()) {
            (Some(column), DataType::List(item)) if field.name() == "mops" => {
                let lists = column.as_list_opt::<i32>();
                let mops = lists.and_then(|lists| Some((lists, lists.values().as_struct_opt()?)));
                let (lists, mops) = mops.ok_or_else(|| bad("column mops has no structs".to_owned()))?;
                let DataType::Struct(fields) = item.data_type() else { return Err(bad("mops".to_owned())) };
                replace_items(lists, item, unpack_columns(fields, mops.fields(), mops.columns())?)
            }
            (Some(column), _) => Ok(column.clone()),
            (None, wanted) if rare.is_empty() => Ok(new_null_array(wanted, rows)),
            (None, _) => {
                let column = rare.column_by_name(field.name()).cloned();
                column.ok_or_else(|| bad(format!("column {} is missing", field.name())))
            }
        })
        .collect()
}

/// A batch of events as it goes to disk.
pub(crate) fn pack(batch: &RecordBatch, file: &Path) -> Result<RecordBatch, Error> {
    let schema = schema();
    let columns = pack_columns(batch.schema_ref().fields(), batch.columns(), schema.fields());
    columns.and_then(|columns| RecordBatch::try_new(schema, columns)).map_err(Error::format(file))
}

/// A batch of events as it was before it was packed.
pub(crate) fn unpack(batch: &RecordBatch, file: &Path) -> Result<RecordBatch, Error> {
    crate::columns::check_version(batch, file)?;
    let schema = events::schema();
    let columns = unpack_columns(schema.fields(), batch.schema_ref().fields(), batch.columns());
    columns.and_then(|columns| RecordBatch::try_new(schema, columns)).map_err(Error::format(file))
}
