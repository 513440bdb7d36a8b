//! Checkers fed straight from sealed columns: no operation is built but those that a finding is about.
//!
//! The answer is that of reading the whole history and judging it ([`crate::read_history`] and
//! [`list_append::check`]), at a fraction of the time and the memory.

use crate::error::Error;
use crate::parquet_file;
use crate::read::{files_in_order, order_is_known, read_names};
use crate::spill::FileSpill;
use crate::txn_reader::{TxnBatch, TxnBatches};
use fissure_checker::invariants::Invariants;
use fissure_checker::list_append::{self, Checker, Known, MopRef};
use fissure_checker::spill::Limits;
use fissure_checker::{CheckResult, Operation};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a history turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Transactions of appends and list reads throughout, and what the checker says of them.
    Judged(Box<CheckResult>),
    /// Something else besides, or `op_id`s that are not counted from 0: read it whole, and choose its checkers.
    Other,
}

/// How much memory a check may use.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Bytes for what grows with the history, about; what does not fit goes to a file. `None`: as much as it takes.
    pub bytes_max: Option<u64>,
    /// Folder of that file; `None`: the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
}

impl Memory {
    fn limits(&self) -> Result<Option<Limits>, Error> {
        let Some(memory_bytes_max) = self.bytes_max else { return Ok(None) };
        let dir = self.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        Ok(Some(Limits { memory_bytes_max, spill: Arc::new(FileSpill::create(&dir)?) }))
    }
}

/// Judges a run, a folder of Parquet files or one file, as transactions over lists. Times in explanations count from
/// `origin_ns`, or from the first invocation.
///
/// # Errors
/// As [`crate::read_history`], and if the device has no room for what does not fit memory.
pub fn list_append(
    path: &Path,
    origin_ns: Option<i64>,
    options: &list_append::Options,
    memory: &Memory,
) -> Result<Checked, Error> {
    let files = files_in_order(path)?;
    let mut checker = memory.limits()?.map_or_else(Checker::default, Checker::with_limits);
    let mut invariants = Invariants::default();
    let mut merge = Merge::open(&files)?;
    let mut next_id = 0;
    while let Some(run) = merge.next_run()? {
        let batch = merge.batch(&run);
        let mut mops: Vec<MopRef<'_>> = Vec::new();
        for row in run.rows.clone() {
            let txn = batch.row(row)?;
            if !batch.mops(row, &mut mops)? || mops.contains(&MopRef::Foreign) || txn.op_id != next_id {
                return Ok(Checked::Other);
            }
            next_id += 1;
            invariants
                .push(txn.op_id, txn.process, txn.invoke_seq, txn.complete_seq, txn.outcome)
                .map_err(|source| Error::Invariant { path: path.to_owned(), source })?;
            checker.push(txn, &mops);
        }
        merge.advance(&run);
    }
    invariants.finish().map_err(|source| Error::Invariant { path: path.to_owned(), source })?;
    let all: Vec<PathBuf> = files.iter().flatten().cloned().collect();
    let origin_ns = match origin_ns {
        Some(origin_ns) => origin_ns,
        None => fetch(&all, &[0])?.first().map_or(0, |op| op.invoke_ns),
    };
    let known = Known { real_time_order: order_is_known(&all)?, origin_ns, names: read_names(path)? };
    let result = checker.finish(&known, options, |op_ids| fetch(&all, op_ids))?;
    Ok(Checked::Judged(Box::new(result)))
}

/// The operations with these numbers, which ascend; only the pages that have them are decoded.
fn fetch(files: &[PathBuf], op_ids: &[u64]) -> Result<Vec<Operation>, Error> {
    let mut found = Vec::with_capacity(op_ids.len());
    for file in files {
        parquet_file::ops_with_ids(file, op_ids, |op| found.push(op))?;
    }
    found.sort_by_key(|op| op.op_id);
    Ok(found)
}

/// Streams of batches, each in order of invocation, as one.
struct Merge {
    streams: Vec<Stream>,
}

struct Stream {
    batches: TxnBatches,
    /// The batch that is being read, and its next row.
    batch: Option<TxnBatch>,
    row: usize,
}

/// Rows of one batch that come before whatever the other streams have next.
struct Run {
    stream: usize,
    rows: Range<usize>,
}

impl Merge {
    fn open(streams: &[Vec<PathBuf>]) -> Result<Self, Error> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let open = |files: &Vec<PathBuf>| {
            // Operations that came late are few: one thread for each of their files.
            let threads = if files.len() == 1 { 1 } else { threads };
            Ok(Stream { batches: TxnBatches::open(files, threads)?, batch: None, row: 0 })
        };
        Ok(Self { streams: streams.iter().map(open).collect::<Result<_, Error>>()? })
    }

    fn batch(&self, run: &Run) -> &TxnBatch {
        // `next_run` gave the run out of this very batch.
        self.streams[run.stream].batch.as_ref().unwrap_or_else(|| unreachable!("a run has a batch"))
    }

    fn next_run(&mut self) -> Result<Option<Run>, Error> {
        let mut next: Vec<(u64, usize)> = Vec::new();
        for (number, stream) in self.streams.iter_mut().enumerate() {
            while stream.batch.as_ref().is_none_or(|batch| stream.row == batch.rows()) {
                stream.row = 0;
                stream.batch = stream.batches.next_batch()?;
                if stream.batch.is_none() {
                    break;
                }
            }
            if let Some(batch) = &stream.batch {
                next.push((batch.invoke_seq(stream.row)?, number));
            }
        }
        next.sort_unstable();
        let Some((_, number)) = next.first().copied() else { return Ok(None) };
        let Stream { batch: Some(batch), row, .. } = &self.streams[number] else { return Ok(None) };
        let mut end = batch.rows();
        if let Some((limit, _)) = next.get(1) {
            end = *row + 1;
            while end < batch.rows() && batch.invoke_seq(end)? < *limit {
                end += 1;
            }
        }
        Ok(Some(Run { stream: number, rows: *row..end }))
    }

    fn advance(&mut self, run: &Run) {
        self.streams[run.stream].row = run.rows.end;
    }
}
