//! Answers as text and files: a table for people; CSV, JSON and Parquet for programs. Batch by batch, so that an answer may
//! be larger than memory.

use crate::error::SqlError;
use crate::session::Session;
use crate::table_form::TableWriter;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, LineDelimited};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use std::io::Write;
use std::time::Duration;

/// Rows beyond those that a table shows which are computed all the same, to say how many there are.
const COUNTED_ROWS: usize = 10_000;

/// How long it may take to count the rest.
const COUNTING_TIME_MAX: Duration = Duration::from_secs(1);

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: aligned columns, numbers to the right, null shown as `null`.
    Table {
        /// Most rows shown; 0 shows all.
        limit: usize,
    },
    /// Comma-separated values with a header; null is an empty cell, lists and structs are written as in tables.
    Csv,
    /// One JSON array of objects; null is written as such.
    Json,
    /// One JSON object a line; null is written as such.
    JsonLines,
    /// A Parquet file, compressed with zstd.
    Parquet,
}

/// Rows that a table does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// This many.
    Exactly(u64),
    /// There are some; nobody counted them to the end.
    AtLeast(u64),
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows that were written.
    pub rows: u64,
    /// Rows that were not.
    pub more: More,
}

/// The answer as text that ends with a line break. An answer without columns is the empty text.
///
/// # Errors
/// If a value cannot be written, or the form is not text.
pub fn format(batches: &[RecordBatch], form: Format) -> Result<String, SqlError> {
    let Some(first) = batches.first().filter(|batch| batch.num_columns() > 0) else { return Ok(String::new()) };
    let mut writer = AnswerWriter::new(Vec::new(), form, &first.schema())?;
    for batch in batches {
        writer.write(batch)?;
    }
    let (out, _) = writer.finish(None)?;
    let wrong = |_| SqlError::Format { form: "text", detail: "Parquet is not text".to_owned() };
    String::from_utf8(out).map_err(wrong)
}

impl Session {
    /// Answers one statement into `out`. A table shows a limited number of rows; the others are counted if that takes no
    /// more than a second. Must not be called from within an asynchronous runtime.
    ///
    /// # Errors
    /// If the statement is wrong or cannot be carried out, was interrupted, or `out` takes no more. What came before the
    /// error may have been written.
    pub fn write_answer<W: Write + Send>(&self, sql: &str, form: Format, out: W) -> Result<Written, SqlError> {
        let shown = match form {
            Format::Table { limit } if limit > 0 => Some(limit),
            _ => None,
        };
        let computed = shown.map(|shown| shown.saturating_add(COUNTED_ROWS));
        let mut answer = self.answer(sql, computed)?;
        let mut writer = AnswerWriter::new(out, form, &std::sync::Arc::clone(answer.schema()))?;
        while let Some(batch) = answer.next_batch()? {
            writer.write(&batch)?;
        }
        let rows = answer.rows();
        drop(answer);
        let is_cut = computed.is_some_and(|computed| rows >= computed as u64);
        let total = if is_cut { self.count_rows(sql, COUNTING_TIME_MAX) } else { None };
        let beyond = rows - writer.rows();
        let more = match total {
            Some(total) => More::Exactly(total.saturating_sub(writer.rows()).max(beyond)),
            None if is_cut => More::AtLeast(beyond),
            None => More::Exactly(beyond),
        };
        let (_, rows) = writer.finish(Some(more))?;
        Ok(Written { rows, more })
    }
}

/// Writes the batches of one answer.
pub(crate) struct AnswerWriter<W: Write + Send> {
    form: Form<W>,
    rows: u64,
}

enum Form<W: Write + Send> {
    Table(TableWriter<W>),
    Csv(W),
    Json(arrow::json::Writer<W, JsonArray>),
    JsonLines(arrow::json::Writer<W, LineDelimited>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> AnswerWriter<W> {
    pub(crate) fn new(mut out: W, form: Format, schema: &SchemaRef) -> Result<Self, SqlError> {
        let json = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
        let form = match form {
            Format::Table { limit } => Form::Table(TableWriter::new(out, limit, schema)),
            Format::Csv => {
                let mut header = String::new();
                csv_line(&mut header, schema.fields().iter().map(|field| field.name().as_str()));
                out.write_all(header.as_bytes()).map_err(refused)?;
                Form::Csv(out)
            }
            Format::Json => Form::Json(json.build(out)),
            Format::JsonLines => Form::JsonLines(json.build(out)),
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
                let writer = ArrowWriter::try_new(out, std::sync::Arc::clone(schema), Some(properties.build()));
                Form::Parquet(Box::new(writer.map_err(wrong_parquet)?))
            }
        };
        Ok(Self { form, rows: 0 })
    }

    /// Rows that were written; of a table those that it shows.
    pub(crate) fn rows(&self) -> u64 {
        match &self.form {
            Form::Table(table) => table.shown(),
            _ => self.rows,
        }
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        self.rows += batch.num_rows() as u64;
        match &mut self.form {
            Form::Table(table) => table.write(batch),
            Form::Csv(out) => {
                let text = csv(batch).map_err(wrong("CSV"))?;
                out.write_all(text.as_bytes()).map_err(refused)
            }
            Form::Json(writer) => writer.write(batch).map_err(wrong("JSON")),
            Form::JsonLines(writer) => writer.write(batch).map_err(wrong("JSON")),
            Form::Parquet(writer) => writer.write(batch).map_err(wrong_parquet),
        }
    }

    /// Writes the end. `more` is what a table does not show; without it that is what it was given and did not show.
    pub(crate) fn finish(self, more: Option<More>) -> Result<(W, u64), SqlError> {
        let rows = self.rows();
        let out = match self.form {
            Form::Table(table) => table.finish(more)?,
            Form::Csv(mut out) => {
                out.flush().map_err(refused)?;
                out
            }
            Form::Json(mut writer) => {
                writer.finish().map_err(wrong("JSON"))?;
                let mut out = writer.into_inner();
                out.write_all(b"\n").and_then(|()| out.flush()).map_err(refused)?;
                out
            }
            Form::JsonLines(mut writer) => {
                writer.finish().map_err(wrong("JSON"))?;
                let mut out = writer.into_inner();
                out.flush().map_err(refused)?;
                out
            }
            Form::Parquet(writer) => writer.into_inner().map_err(wrong_parquet)?,
        };
        Ok((out, rows))
    }
}

pub(crate) fn refused(source: std::io::Error) -> SqlError {
    SqlError::Write { source }
}

pub(crate) fn wrong(form: &'static str) -> impl Fn(ArrowError) -> SqlError {
    move |error| match error {
        ArrowError::IoError(_, source) => refused(source),
        error => SqlError::Format { form, detail: error.to_string() },
    }
}

fn wrong_parquet(error: ParquetError) -> SqlError {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => refused(*source),
            Err(source) => SqlError::Format { form: "Parquet", detail: source.to_string() },
        },
        error => SqlError::Format { form: "Parquet", detail: error.to_string() },
    }
}

/// Nested columns are written as text, since CSV has no form for them.
fn csv(batch: &RecordBatch) -> Result<String, ArrowError> {
    let mut out = String::new();
    let cells = Cells::new(batch, "")?;
    for row in 0..batch.num_rows() {
        let row = cells.row(row)?;
        csv_line(&mut out, row.iter().map(String::as_str));
    }
    Ok(out)
}

/// Quotes where RFC 4180 wants them; line ends are plain line feeds, as tools on Unix expect.
fn csv_line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push('\n');
}

/// The cells of a batch as text.
pub(crate) struct Cells<'a> {
    formatters: Vec<ArrayFormatter<'a>>,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(batch: &'a RecordBatch, null: &'a str) -> Result<Self, ArrowError> {
        let options = FormatOptions::new().with_null(null).with_display_error(true);
        let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        Ok(Self { formatters: formatters.collect::<Result<_, _>>()? })
    }

    pub(crate) fn row(&self, row: usize) -> Result<Vec<String>, ArrowError> {
        self.formatters.iter().map(|formatter| formatter.value(row).try_to_string()).collect()
    }
}
