//! The findings of the checkers, from `results.json`, as a table.

use crate::error::SqlError;
use arrow::array::{ArrayRef, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// Name of the file of the verdicts and findings in a run folder.
pub(crate) const RESULTS_FILE: &str = "results.json";

/// The part of the file that is shown as a table.
#[derive(Debug, Default, Deserialize)]
struct Results {
    findings: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    checker: String,
    anomaly: String,
    summary: String,
    #[serde(default)]
    key: Option<i64>,
    #[serde(default)]
    ops: Vec<i64>,
}

pub(crate) fn schema() -> SchemaRef {
    let ops = DataType::List(Arc::new(Field::new("item", DataType::Int64, false)));
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("checker", DataType::Utf8, false),
        Field::new("anomaly", DataType::Utf8, false),
        Field::new("summary", DataType::Utf8, false),
        Field::new("key", DataType::Int64, true),
        Field::new("ops", ops, false),
    ]))
}

/// The findings in the content of a `results.json`; `path` is where it was read, for messages.
pub(crate) fn parse(path: &Path, content: &[u8]) -> Result<RecordBatch, SqlError> {
    let wrong = |detail: String| SqlError::Results { path: path.to_owned(), detail };
    let results: Results = serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?;
    batch(&results.findings).map_err(|error| wrong(error.to_string()))
}

fn batch(rows: &[Row]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |of: fn(&Row) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let mut ops = ListBuilder::new(Int64Builder::new()).with_field(Field::new("item", DataType::Int64, false));
    for row in rows {
        ops.append_value(row.ops.iter().copied().map(Some));
    }
    let columns: Vec<ArrayRef> = vec![
        text(|row| &row.id),
        text(|row| &row.checker),
        text(|row| &row.anomaly),
        text(|row| &row.summary),
        Arc::new(rows.iter().map(|row| row.key).collect::<Int64Array>()),
        Arc::new(ops.finish()),
    ];
    RecordBatch::try_new(schema(), columns)
}
