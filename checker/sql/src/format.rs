//! Answers as text: a table for people, CSV and JSON lines for programs.

use crate::error::SqlError;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

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
    /// One JSON object a line; null is written as such.
    Json,
}

/// The answer as text that ends with a line break. An answer without columns is the empty text.
///
/// # Errors
/// If a value cannot be written.
pub fn format(batches: &[RecordBatch], form: Format) -> Result<String, SqlError> {
    let columns = batches.first().map_or(0, RecordBatch::num_columns);
    if columns == 0 {
        return Ok(String::new());
    }
    match form {
        Format::Table { limit } => table(batches, limit).map_err(wrong("a table")),
        Format::Csv => csv(batches).map_err(wrong("CSV")),
        Format::Json => json(batches).map_err(wrong("JSON")),
    }
}

fn wrong(form: &'static str) -> impl Fn(ArrowError) -> SqlError {
    move |error| SqlError::Format { form, detail: error.to_string() }
}

fn json(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    text(writer.into_inner())
}

/// Nested columns are written as text, since CSV has no form for them.
fn csv(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let names: Vec<String> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut out = String::new();
    csv_line(&mut out, names.iter().map(String::as_str));
    for batch in batches {
        let cells = Cells::new(batch, "")?;
        for row in 0..batch.num_rows() {
            let row = cells.row(row)?;
            csv_line(&mut out, row.iter().map(String::as_str));
        }
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

fn text(bytes: Vec<u8>) -> Result<String, ArrowError> {
    String::from_utf8(bytes).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// The cells of a batch as text.
struct Cells<'a> {
    formatters: Vec<ArrayFormatter<'a>>,
}

impl<'a> Cells<'a> {
    fn new(batch: &'a RecordBatch, null: &'a str) -> Result<Self, ArrowError> {
        let options = FormatOptions::new().with_null(null).with_display_error(true);
        let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        Ok(Self { formatters: formatters.collect::<Result<_, _>>()? })
    }

    fn row(&self, row: usize) -> Result<Vec<String>, ArrowError> {
        self.formatters.iter().map(|formatter| formatter.value(row).try_to_string()).collect()
    }
}

fn table(batches: &[RecordBatch], limit: usize) -> Result<String, ArrowError> {
    let schema = batches[0].schema();
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let shown = if limit == 0 { total } else { total.min(limit) };
    // A cell may have several lines: the plans of EXPLAIN do.
    let mut rows: Vec<Vec<Vec<String>>> = Vec::with_capacity(shown);
    for batch in batches {
        let cells = Cells::new(batch, "null")?;
        for row in 0..batch.num_rows().min(shown - rows.len()) {
            let row = cells.row(row)?;
            rows.push(row.iter().map(|cell| lines(cell)).collect());
        }
    }
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let is_number: Vec<bool> = schema.fields().iter().map(|field| is_number(field.data_type())).collect();
    let width = |column: usize| {
        let cells = rows.iter().flat_map(|row| &row[column]);
        cells.chain([&names[column]]).map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();

    let mut out = String::new();
    table_line(&mut out, &names.iter().map(String::as_str).collect::<Vec<_>>(), &widths, &is_number);
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    out.push_str(&rule.join("┼"));
    out.push('\n');
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            let cells: Vec<&str> = row.iter().map(|cell| cell.get(line).map_or("", String::as_str)).collect();
            table_line(&mut out, &cells, &widths, &is_number);
        }
    }
    match total - shown {
        0 if total == 0 => out.push_str("(no rows)\n"),
        0 => {}
        1 => out.push_str("… 1 more row\n"),
        more => out.push_str(&format!("… {more} more rows\n")),
    }
    Ok(out)
}

/// The lines of a cell, without characters that would move the cursor.
fn lines(cell: &str) -> Vec<String> {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    cell.lines().map(|line| line.replace('\t', "    ").chars().map(visible).collect()).collect()
}

fn table_line(out: &mut String, cells: &[&str], widths: &[usize], to_the_right: &[bool]) {
    let start = out.len();
    for (column, cell) in cells.iter().enumerate() {
        let (width, filled) = (widths[column], cell.chars().count());
        let space = " ".repeat(width.saturating_sub(filled));
        let separator = if column > 0 { "│ " } else { " " };
        let padded = if to_the_right[column] { format!("{space}{cell}") } else { format!("{cell}{space}") };
        out.push_str(&format!("{separator}{padded} "));
    }
    let end = start + out[start..].trim_end().len();
    out.truncate(end);
    out.push('\n');
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}
