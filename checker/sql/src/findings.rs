//! What the checkers said, from `results.json`, as tables: the findings, their operations, the edges of their cycles, and
//! the answer at every level of isolation.

use crate::error::SqlError;
use arrow::array::{ArrayRef, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// Name of the file of the verdicts and findings in a run folder.
pub(crate) const RESULTS_FILE: &str = "results.json";

/// A table of what the checkers said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Findings,
    Ops,
    Edges,
    Levels,
}

impl Said {
    /// All of them; places are those of [`parse`]'s answer.
    pub(crate) const ALL: [Said; 4] = [Said::Findings, Said::Ops, Said::Edges, Said::Levels];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Said::Findings => "findings",
            Said::Ops => "finding_ops",
            Said::Edges => "finding_edges",
            Said::Levels => "levels",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Said::Findings => "what the checkers found, from results.json",
            Said::Ops => "the operations of each finding, in the order in which it names them",
            Said::Edges => "the steps of each finding that is a cycle: what must come before what, and why",
            Said::Levels => "the answer at every level of isolation, with the finding that refutes it",
        }
    }

    pub(crate) fn schema(self) -> SchemaRef {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let int = |name: &str, nullable| Field::new(name, DataType::Int64, nullable);
        let fields = match self {
            Said::Findings => vec![
                text("id", false),
                text("checker", false),
                text("anomaly", false),
                text("summary", false),
                int("key", true),
                Field::new("ops", DataType::List(item(DataType::Int64)), false),
            ],
            Said::Ops => {
                vec![
                    text("id", false),
                    text("checker", false),
                    int("place", false),
                    text("name", true),
                    int("op_id", false),
                ]
            }
            Said::Edges => vec![
                text("id", false),
                text("checker", false),
                int("place", false),
                int("from_op", false),
                int("to_op", false),
                text("kind", false),
                int("key", true),
                int("value", true),
                int("value_next", true),
            ],
            Said::Levels => vec![
                text("checker", false),
                text("level", false),
                text("verdict", false),
                text("witness", true),
                Field::new("assumed", DataType::List(item(DataType::Utf8)), false),
            ],
        };
        Arc::new(Schema::new(fields))
    }
}

fn item(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type, false))
}

/// The part of the file that is shown as tables.
#[derive(Debug, Default, Deserialize)]
struct Results {
    findings: Vec<Row>,
    #[serde(default)]
    checks: Vec<Check>,
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
    #[serde(default)]
    explanation: Vec<String>,
    #[serde(default)]
    cycle: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    from: i64,
    to: i64,
    kind: String,
    #[serde(default)]
    key: Option<i64>,
    #[serde(default)]
    value: Option<i64>,
    #[serde(default)]
    value_next: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Check {
    checker: String,
    /// Missing in files of earlier versions.
    #[serde(default)]
    levels: Vec<Level>,
}

#[derive(Debug, Deserialize)]
struct Level {
    model: String,
    valid: serde_json::Value,
    #[serde(default)]
    witness: Option<String>,
    #[serde(default)]
    assumed: Vec<String>,
}

/// The tables in the content of a `results.json`, in the order of [`Said::ALL`]; `path` is where it was read, for messages.
pub(crate) fn parse(path: &Path, content: &[u8]) -> Result<[RecordBatch; 4], SqlError> {
    let wrong = |detail: String| SqlError::Results { path: path.to_owned(), detail };
    let results: Results = serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?;
    tables(&results).map_err(|error| wrong(error.to_string()))
}

fn tables(results: &Results) -> Result<[RecordBatch; 4], ArrowError> {
    let rows = &results.findings;
    Ok([findings(rows)?, ops(rows)?, edges(rows)?, levels(&results.checks)?])
}

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn int(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn maybe_int(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn findings(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut ops = ListBuilder::new(Int64Builder::new()).with_field(item(DataType::Int64));
    for row in rows {
        ops.append_value(row.ops.iter().copied().map(Some));
    }
    let columns: Vec<ArrayRef> = vec![
        text(rows.iter().map(|row| row.id.as_str())),
        text(rows.iter().map(|row| row.checker.as_str())),
        text(rows.iter().map(|row| row.anomaly.as_str())),
        text(rows.iter().map(|row| row.summary.as_str())),
        maybe_int(rows.iter().map(|row| row.key)),
        Arc::new(ops.finish()),
    ];
    RecordBatch::try_new(Said::Findings.schema(), columns)
}

/// An operation is called `T1`, `T2`, … where the sentences of its finding introduce that name.
fn ops(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let all: Vec<(&Row, usize, i64)> =
        rows.iter().flat_map(|row| (1..).zip(&row.ops).map(move |(place, op)| (row, place, *op))).collect();
    let name = |(row, place, _): &(&Row, usize, i64)| {
        let name = format!("T{place}");
        let introduced = format!("{name} = ");
        row.explanation.iter().any(|line| line.trim_start().starts_with(&introduced)).then_some(name)
    };
    let columns: Vec<ArrayRef> = vec![
        text(all.iter().map(|(row, _, _)| row.id.as_str())),
        text(all.iter().map(|(row, _, _)| row.checker.as_str())),
        int(all.iter().map(|(_, place, _)| *place as i64)),
        Arc::new(all.iter().map(name).collect::<StringArray>()),
        int(all.iter().map(|(_, _, op)| *op)),
    ];
    RecordBatch::try_new(Said::Ops.schema(), columns)
}

fn edges(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let all: Vec<(&Row, i64, &Edge)> =
        rows.iter().flat_map(|row| (1..).zip(&row.cycle).map(move |(place, edge)| (row, place, edge))).collect();
    let columns: Vec<ArrayRef> = vec![
        text(all.iter().map(|(row, _, _)| row.id.as_str())),
        text(all.iter().map(|(row, _, _)| row.checker.as_str())),
        int(all.iter().map(|(_, place, _)| *place)),
        int(all.iter().map(|(_, _, edge)| edge.from)),
        int(all.iter().map(|(_, _, edge)| edge.to)),
        text(all.iter().map(|(_, _, edge)| edge.kind.as_str())),
        maybe_int(all.iter().map(|(_, _, edge)| edge.key)),
        maybe_int(all.iter().map(|(_, _, edge)| edge.value)),
        maybe_int(all.iter().map(|(_, _, edge)| edge.value_next)),
    ];
    RecordBatch::try_new(Said::Edges.schema(), columns)
}

fn levels(checks: &[Check]) -> Result<RecordBatch, ArrowError> {
    let all: Vec<(&str, &Level)> =
        checks.iter().flat_map(|check| check.levels.iter().map(|level| (check.checker.as_str(), level))).collect();
    let verdict = |level: &Level| match level.valid.as_bool() {
        Some(true) => "valid",
        Some(false) => "invalid",
        None => "unknown",
    };
    let mut assumed = ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8));
    for (_, level) in &all {
        assumed.append_value(level.assumed.iter().map(Some));
    }
    let columns: Vec<ArrayRef> = vec![
        text(all.iter().map(|(checker, _)| *checker)),
        text(all.iter().map(|(_, level)| level.model.as_str())),
        text(all.iter().map(|(_, level)| verdict(level))),
        Arc::new(all.iter().map(|(_, level)| level.witness.as_deref()).collect::<StringArray>()),
        Arc::new(assumed.finish()),
    ];
    RecordBatch::try_new(Said::Levels.schema(), columns)
}
