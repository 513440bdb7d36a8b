//! Row groups of a Parquet file, with the micro-operations encoded beside the other columns.
//!
//! Most of the time of sealing transactions goes into the leaf columns of `mops`. They are encoded on a thread of their
//! own while this one encodes the others; the bytes are the same as from one thread.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::SerializedFileWriter;
use std::io::Write;

/// The column that has a thread of its own.
const HEAVY: &str = "mops";

/// Number of leaf columns below a column.
fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(item) => leaves(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        _ => 1,
    }
}

/// Writes batches as row groups of at most `rows_max` rows.
pub(crate) struct RowGroups<W: Write + Send> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    rows_max: usize,
    /// One writer per leaf column of the row group that is being filled, and its rows.
    writers: Vec<ArrowColumnWriter>,
    rows: usize,
    groups: usize,
}

impl<W: Write + Send> RowGroups<W> {
    /// Takes over from a writer of batches of `schema` that has written nothing.
    pub(crate) fn new(writer: ArrowWriter<W>, schema: SchemaRef, rows_max: usize) -> Result<Self> {
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self { file, factory, schema, rows_max, writers: Vec::new(), rows: 0, groups: 0 })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let length = (self.rows_max - self.rows).min(batch.num_rows() - at);
            self.write_piece(&batch.slice(at, length))?;
            at += length;
            if self.rows == self.rows_max {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn write_piece(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.writers.is_empty() {
            self.writers = self.factory.create_column_writers(self.groups)?;
        }
        self.rows += batch.num_rows();
        let columns: Vec<(&Field, &ArrayRef)> =
            self.schema.fields().iter().map(AsRef::as_ref).zip(batch.columns()).collect();
        let Some(heavy) = columns.iter().position(|(field, _)| field.name() == HEAVY) else {
            return write_columns(&columns, &mut self.writers);
        };
        let before: usize = columns[..heavy].iter().map(|(field, _)| leaves(field.data_type())).sum();
        let own = leaves(columns[heavy].0.data_type());
        let (first, rest) = self.writers.split_at_mut(before);
        let (middle, last) = rest.split_at_mut(own);
        std::thread::scope(|scope| {
            let mops = scope.spawn(|| write_columns(&columns[heavy..=heavy], middle));
            let others =
                write_columns(&columns[..heavy], first).and_then(|()| write_columns(&columns[heavy + 1..], last));
            let panicked = |_| Err(ParquetError::General("the encoder of micro-operations panicked".to_owned()));
            others.and(mops.join().unwrap_or_else(panicked))
        })
    }

    fn end_group(&mut self) -> Result<()> {
        if self.writers.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for writer in std::mem::take(&mut self.writers) {
            writer.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.rows = 0;
        self.groups += 1;
        Ok(())
    }

    /// Ends the last row group, and gives the file, which has no footer yet. Everything so far is through to `W`.
    pub(crate) fn finish(mut self) -> Result<SerializedFileWriter<W>> {
        self.end_group()?;
        self.file.flush()?;
        Ok(self.file)
    }
}

fn write_columns(columns: &[(&Field, &ArrayRef)], writers: &mut [ArrowColumnWriter]) -> Result<()> {
    let mut writers = writers.iter_mut();
    for (field, column) in columns {
        for leaf in compute_leaves(field, column)? {
            let missing = || ParquetError::General(format!("column {} has no writer", field.name()));
            writers.next().ok_or_else(missing)?.write(&leaf)?;
        }
    }
    Ok(())
}
