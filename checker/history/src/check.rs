//! Checkers fed straight from sealed columns, within bounded memory. Of transactions, no operation is built but those that a
//! finding is about; registers are judged key by key.
//!
//! The answer is that of reading the whole history and judging it ([`crate::read_history`] with [`list_append::check`] or
//! [`rw_register::check`]), at a fraction of the time and the memory.

mod registers;

use crate::error::Error;
use crate::parquet_file;
use crate::read::{files_in_order, order_is_known, read_names};
use crate::spill::FileSpill;
use crate::txn_reader::{TxnBatch, TxnBatches};
use fissure_checker::invariants::Invariants;
use fissure_checker::spill::Limits;
use fissure_checker::{CheckResult, Known, MopRef, Operation, TxnRow, list_append, rw_register};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use registers::registers;

/// What a history turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Transactions of appends and list reads throughout, or of writes and reads of registers, and what their checker says.
    Judged(Box<CheckResult>),
    /// Something else besides, something that was not asked for, or `op_id`s that are not counted from 0: read it whole,
    /// and choose its checkers.
    Other,
}

/// What is asked of which checker; one without options is not asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of the checker of lists.
    pub lists: Option<list_append::Options>,
    /// Of the checker of registers.
    pub registers: Option<rw_register::Options>,
    /// What becomes of operations that it is not about.
    pub others: Others,
}

/// What becomes of operations that a checker is not about: those that are no transactions, and for the checker of lists
/// transactions over registers only, for the checker of registers transactions over lists only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// The history is left to others: [`Checked::Other`].
    #[default]
    Refuse,
    /// They are passed over, as if [`History::only`](fissure_checker::History::only) had left them out. What mixes lists and
    /// registers, does nothing, or does something else goes to the checker that is asked, which says what it does not know;
    /// without any transaction for it the answer is `unknown` with the reason `NOTHING_CHECKED`. Ask one checker only: of two,
    /// that of registers is not heard.
    PassOver,
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
    /// What is left besides what must be kept of so many transactions.
    fn limits(&self, rows: u64, txn_bytes: u64) -> Result<Option<Limits>, Error> {
        let Some(bytes_max) = self.bytes_max else { return Ok(None) };
        let memory_bytes_max = bytes_max.saturating_sub(rows.saturating_mul(txn_bytes)).max(bytes_max / 4);
        let dir = self.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        Ok(Some(Limits { memory_bytes_max, spill: Arc::new(FileSpill::create(&dir)?) }))
    }
}

/// Bytes that are kept of each transaction over lists, and over registers, whatever is put aside, at most about; measured.
const LIST_TXN_BYTES: u64 = 28;
const REGISTER_TXN_BYTES: u64 = 50;

/// The checkers that may still turn out to be the right one.
struct Candidates {
    lists: Option<list_append::Checker>,
    registers: Option<rw_register::Checker>,
    others: Others,
}

impl Candidates {
    fn new(options: &Options, memory: &Memory, rows: u64) -> Result<Self, Error> {
        let lists = match (&options.lists, memory.limits(rows, LIST_TXN_BYTES)?) {
            (None, _) => None,
            (_, None) => Some(list_append::Checker::default()),
            (_, Some(limits)) => Some(list_append::Checker::with_limits(limits)),
        };
        let registers = match (&options.registers, memory.limits(rows, REGISTER_TXN_BYTES)?) {
            (None, _) => None,
            (_, None) => Some(rw_register::Checker::default()),
            (_, Some(limits)) => Some(rw_register::Checker::with_limits(limits)),
        };
        Ok(Self { lists, registers, others: options.others })
    }

    /// The next transaction; false once nobody is left who understands them all. One that does nothing is anybody's.
    fn push(&mut self, row: TxnRow, mops: &[MopRef<'_>]) -> bool {
        let of_lists = || mops.iter().all(MopRef::is_of_list);
        let of_registers = || mops.iter().all(MopRef::is_of_register);
        let (for_lists, for_registers) = match self.others {
            Others::Refuse => {
                self.lists.take_if(|_| !of_lists());
                self.registers.take_if(|_| !of_registers());
                (true, true)
            }
            Others::PassOver => (mops.is_empty() || !of_registers(), mops.is_empty() || !of_lists()),
        };
        if let Some(lists) = self.lists.as_mut().filter(|_| for_lists) {
            lists.push(row, mops);
        }
        if let Some(registers) = self.registers.as_mut().filter(|_| for_registers) {
            registers.push(row, mops);
        }
        self.lists.is_some() || self.registers.is_some()
    }

    /// The answer of the checker that is left; of lists, if both are.
    fn finish(
        self,
        known: &Known,
        options: &Options,
        fetch: impl FnMut(&[u64]) -> Result<Vec<Operation>, Error>,
    ) -> Result<Checked, Error> {
        let result = match (self, options) {
            (Self { lists: Some(checker), .. }, Options { lists: Some(options), .. }) => {
                checker.finish(known, options, fetch)?
            }
            (Self { registers: Some(checker), .. }, Options { registers: Some(options), .. }) => {
                checker.finish(known, options, fetch)?
            }
            _ => return Ok(Checked::Other),
        };
        Ok(Checked::Judged(Box::new(result)))
    }
}

/// Judges a run, a folder of Parquet files or one file, as transactions over lists or over registers, whichever they
/// are. Times in explanations count from `origin_ns`, or from the first invocation.
///
/// What does not fit `memory` goes to a file. Of registers that do not fit, some questions stay open, and the answer says so.
///
/// # Errors
/// As [`crate::read_history`], and if the device has no room for what does not fit memory.
pub fn transactions(path: &Path, origin_ns: Option<i64>, options: &Options, memory: &Memory) -> Result<Checked, Error> {
    let files = files_in_order(path)?;
    let rows = rows_of(files.iter().flatten())?;
    let mut candidates = Candidates::new(options, memory, rows)?;
    let mut invariants = Invariants::default();
    let mut merge = Merge::open(&files)?;
    let mut next_id = 0;
    while let Some(run) = merge.next_run()? {
        let batch = merge.batch(&run);
        let mut mops: Vec<MopRef<'_>> = Vec::new();
        for row in run.rows.clone() {
            let txn = batch.row(row)?;
            let is_txn = batch.mops(row, &mut mops)?;
            if txn.op_id != next_id || !is_txn && options.others == Others::Refuse {
                return Ok(Checked::Other);
            }
            next_id += 1;
            invariants
                .push(txn.op_id, txn.process, txn.invoke_seq, txn.complete_seq, txn.outcome)
                .map_err(|source| Error::Invariant { path: path.to_owned(), source })?;
            if is_txn && !candidates.push(txn, &mops) {
                return Ok(Checked::Other);
            }
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
    candidates.finish(&known, options, |op_ids| fetch(&all, op_ids))
}

/// Rows of all these files.
fn rows_of<'f>(files: impl IntoIterator<Item = &'f PathBuf>) -> Result<u64, Error> {
    files.into_iter().try_fold(0, |rows, file| Ok(rows + parquet_file::footer_rows(file)?))
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
