//! The table that people read: aligned columns, numbers to the right.

use crate::error::SqlError;
use crate::format::{Cells, More, refused, wrong};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::io::Write;

/// Rows that are looked at before the first is written; they set the widths. A wider cell further down stands out.
const LOOKED_AT: usize = 10_000;

/// A row: per cell its lines, for the plans of EXPLAIN have many.
type Row = Vec<Vec<String>>;

/// Writes a table.
pub(crate) struct TableWriter<W: Write> {
    out: W,
    names: Vec<String>,
    is_number: Vec<bool>,
    /// Most rows shown.
    limit: u64,
    /// Rows that wait until the widths are known.
    waiting: Vec<Row>,
    /// Widths of the columns, once they are known.
    widths: Option<Vec<usize>>,
    shown: u64,
    hidden: u64,
}

impl<W: Write> TableWriter<W> {
    /// A table of these columns that shows `limit` rows; 0 shows all.
    pub(crate) fn new(out: W, limit: usize, schema: &SchemaRef) -> Self {
        let fields = schema.fields();
        Self {
            out,
            names: fields.iter().map(|field| field.name().clone()).collect(),
            is_number: fields.iter().map(|field| field.data_type().is_numeric()).collect(),
            limit: if limit == 0 { u64::MAX } else { limit as u64 },
            waiting: Vec::new(),
            widths: None,
            shown: 0,
            hidden: 0,
        }
    }

    /// Rows shown so far, those that wait included.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        let room = usize::try_from(self.limit - self.shown).unwrap_or(usize::MAX);
        let rows = batch.num_rows().min(room);
        self.hidden += (batch.num_rows() - rows) as u64;
        if rows == 0 || batch.num_columns() == 0 {
            return Ok(());
        }
        let cells = Cells::new(batch, "null").map_err(wrong("a table"))?;
        for row in 0..rows {
            let row = cells.row(row).map_err(wrong("a table"))?;
            self.waiting.push(row.iter().map(|cell| lines(cell)).collect());
        }
        self.shown += rows as u64;
        if self.widths.is_some() || self.waiting.len() >= LOOKED_AT {
            self.write_waiting()?;
        }
        Ok(())
    }

    fn write_waiting(&mut self) -> Result<(), SqlError> {
        let mut text = String::new();
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => {
                let widths = self.measure();
                self.head(&widths, &mut text);
                widths
            }
        };
        for row in std::mem::take(&mut self.waiting) {
            let height = row.iter().map(Vec::len).max().unwrap_or(0);
            for line in 0..height {
                let cells: Vec<&str> = row.iter().map(|cell| cell.get(line).map_or("", String::as_str)).collect();
                table_line(&mut text, &cells, &widths, &self.is_number);
            }
        }
        self.widths = Some(widths);
        self.out.write_all(text.as_bytes()).map_err(refused)
    }

    fn measure(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.waiting.iter().flat_map(|row| &row[column]);
            cells.chain([&self.names[column]]).map(|line| line.chars().count()).max().unwrap_or(0)
        };
        (0..self.names.len()).map(width).collect()
    }

    fn head(&self, widths: &[usize], text: &mut String) {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        table_line(text, &names, widths, &self.is_number);
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        text.push_str(&rule.join("┼"));
        text.push('\n');
    }

    /// Writes the end: how many rows are not shown.
    pub(crate) fn finish(mut self, more: Option<More>) -> Result<W, SqlError> {
        if self.names.is_empty() {
            return Ok(self.out);
        }
        self.write_waiting()?;
        let more = match more.unwrap_or(More::Exactly(self.hidden)) {
            More::Exactly(0) if self.shown == 0 => "(no rows)\n".to_owned(),
            More::Exactly(0) => String::new(),
            More::Exactly(1) => "… 1 more row\n".to_owned(),
            More::Exactly(more) => format!("… {more} more rows\n"),
            More::AtLeast(more) => format!("… more than {more} more rows\n"),
        };
        self.out.write_all(more.as_bytes()).and_then(|()| self.out.flush()).map_err(refused)?;
        Ok(self.out)
    }
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
