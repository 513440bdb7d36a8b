//! The side that is kept: its rows, its intervals, and which of its rows were met.

use crate::interval::exec::Conditions;
use crate::interval::index::{Entry, IntervalIndex};
use crate::interval::keys::{Groups, NO_GROUP, ordered};
use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Rows that are joined into one batch, so that there are few of them.
const BATCH_ROWS: usize = 1 << 20;

/// The side that is kept.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) groups: Groups,
    pub(crate) index: IntervalIndex,
    /// Where the rows of each batch begin among the bits.
    offsets: Vec<usize>,
    /// One bit per row: whether it met another one. Empty where nobody asks.
    met: Vec<AtomicU64>,
    /// Streams of the other side that are not through yet.
    left_to_do: AtomicUsize,
    _memory: MemoryReservation,
}

impl Build {
    /// Reads the input to its end. `remember` says whether it matters which rows were met, `streams` is the number of
    /// streams of the other side.
    ///
    /// # Errors
    /// If the input fails, or if the memory does not suffice.
    pub(crate) async fn collect(
        mut input: SendableRecordBatchStream,
        conditions: &Conditions,
        remember: bool,
        streams: usize,
        memory: MemoryReservation,
    ) -> Result<Self> {
        let schema = input.schema();
        let types = conditions.on.iter().map(|(kept, _)| kept.data_type(&schema)).collect::<Result<Vec<_>>>()?;
        let mut groups = Groups::new(&types)?;
        let (mut batches, mut pending, mut pending_rows) = (Vec::new(), Vec::new(), 0);
        let mut entries = Vec::new();
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let index_bytes = batch.num_rows() * IntervalIndex::BYTES_PER_ENTRY;
            memory.try_grow(batch.get_array_memory_size() + index_bytes).map_err(too_large)?;
            let (batch_number, first_row) = (batches.len() as u32, pending_rows as u32);
            index_rows(&batch, conditions, &mut groups, (batch_number, first_row), &mut entries)?;
            pending_rows += batch.num_rows();
            pending.push(batch);
            if pending_rows >= BATCH_ROWS {
                batches.push(joined(&schema, &mut pending)?);
                pending_rows = 0;
            }
        }
        if pending_rows > 0 {
            batches.push(joined(&schema, &mut pending)?);
        }
        let offsets: Vec<usize> =
            batches.iter().scan(0, |rows, batch| Some(std::mem::replace(rows, *rows + batch.num_rows()))).collect();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let met = (0..if remember { rows.div_ceil(64) } else { 0 }).map(|_| AtomicU64::new(0)).collect();
        let index = IntervalIndex::new(entries, groups.len(), conditions.strict);
        let left_to_do = AtomicUsize::new(streams);
        Ok(Self { batches, groups, index, offsets, met, left_to_do, _memory: memory })
    }

    /// Remembers that the row met another one.
    pub(crate) fn meet(&self, (batch, row): (u32, u32)) {
        let bit = self.offsets[batch as usize] + row as usize;
        if let Some(word) = self.met.get(bit / 64) {
            word.fetch_or(1 << (bit % 64), Ordering::Relaxed);
        }
    }

    /// Whether this was the last stream of the other side to end; to be called once by each.
    pub(crate) fn ends_last(&self) -> bool {
        // Acquire and release: whoever ends last sees what the others met.
        self.left_to_do.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The rows that met another one, or those that did not.
    pub(crate) fn rows(&self, met: bool) -> Vec<(u32, u32)> {
        let mut rows = Vec::new();
        for (number, batch) in self.batches.iter().enumerate() {
            for row in 0..batch.num_rows() {
                let bit = self.offsets[number] + row;
                let word = self.met.get(bit / 64).map_or(0, |word| word.load(Ordering::Relaxed));
                if (word >> (bit % 64) & 1 == 1) == met {
                    rows.push((number as u32, row as u32));
                }
            }
        }
        rows
    }
}

fn joined(schema: &SchemaRef, pending: &mut Vec<RecordBatch>) -> Result<RecordBatch> {
    let batches = std::mem::take(pending);
    Ok(if let [batch] = batches.as_slice() { batch.clone() } else { concat_batches(schema, &batches)? })
}

/// What the values of an expression are for the rows of a batch.
pub(crate) fn evaluate(expression: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<arrow::array::ArrayRef> {
    expression.evaluate(batch)?.into_array(batch.num_rows())
}

fn index_rows(
    batch: &RecordBatch,
    conditions: &Conditions,
    groups: &mut Groups,
    (batch_number, first_row): (u32, u32),
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let keys = conditions.on.iter().map(|(kept, _)| evaluate(kept, batch)).collect::<Result<Vec<_>>>()?;
    let assigned = groups.assign(&keys, batch.num_rows())?;
    let begins = ordered(&evaluate(&conditions.kept_begin, batch)?)?;
    let ends = ordered(&evaluate(&conditions.kept_end, batch)?)?;
    entries.reserve(batch.num_rows());
    for (row, group) in assigned.into_iter().enumerate() {
        if group != NO_GROUP && begins.is_valid(row) && ends.is_valid(row) {
            let place = (batch_number, first_row + row as u32);
            entries.push(Entry { group, lo: begins.value(row), hi: ends.value(row), place });
        }
    }
    Ok(())
}

fn too_large(error: DataFusionError) -> DataFusionError {
    error.context("the smaller side of a join on intervals does not fit into memory")
}

/// Whether begins and ends can be had of these types.
pub(crate) fn comparable(left: &DataType, right: &DataType) -> bool {
    left == right && crate::interval::keys::is_supported(left)
}
