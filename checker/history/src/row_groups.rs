//! Row groups of a Parquet file, their columns encoded on two threads.
//!
//! Most of the time of sealing goes into encoding columns, which do not depend on each other. The leaf columns of a batch
//! are handed out one by one, those of micro-operations first, for they are the largest. The bytes are the same as from
//! one thread.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, ArrowWriter, compute_leaves,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::SerializedFileWriter;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// The column whose leaves come first.
const HEAVY: &str = "mops";

/// Rows of a batch below which a second thread costs more than it gives.
const ROWS_FOR_TWO: usize = 1024;

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
        let mut writers = self.writers.iter_mut();
        let (mut heavy, mut jobs) = (Vec::new(), Vec::new());
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            let missing = || ParquetError::General(format!("column {} has no writer", field.name()));
            let list = if field.name() == HEAVY { &mut heavy } else { &mut jobs };
            for leaf in compute_leaves(field, column)? {
                list.push((leaf, writers.next().ok_or_else(missing)?));
            }
        }
        // Taken from the end.
        jobs.append(&mut heavy);
        let jobs = Mutex::new(jobs);
        if batch.num_rows() < ROWS_FOR_TWO {
            return work(&jobs);
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(|| work(&jobs));
            let panicked = |_| Err(ParquetError::General("an encoder panicked".to_owned()));
            work(&jobs).and(other.join().unwrap_or_else(panicked))
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

/// Encodes columns until none is left.
fn work(jobs: &Mutex<Vec<(ArrowLeafColumn, &mut ArrowColumnWriter)>>) -> Result<()> {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((leaf, writer)) = job else { return Ok(()) };
        writer.write(&leaf)?;
    }
}
