//! Seal: from journals to sorted, checked Parquet.
//!
//! Operations are paired in two passes, so that memory does not grow with the run: the first finds the completions
//! that come more than [`WINDOW`] invocations late (operations that hung), the second walks the journal with a queue of
//! at most that many operations and hands them on in order of invocation. The other tables are small beside `ops` and
//! are sorted in memory.
//!
//! The tables are written to `history.partial`, and the folder is renamed when all is synced: `history` is whole, or it
//! is not there.

use crate::columns::{Interner, TableRow};
use crate::error::Error;
use crate::journal::events::{Completion, Event, EventKind, EventReader};
use crate::journal::frames::FrameReader;
use crate::journal::writer::journal_path;
use crate::manifest::{Counts, sync_dir, write_json};
use crate::ops_table;
use crate::parquet_file::{FileSum, TableWriter};
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NodeRow, OpRow};
use crate::run_dir::RunDir;
use crate::schema::{SCHEMA_VERSION, Table};
use fissure_checker::{HistoryError, Operation, Outcome};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::journal::TornTail;

/// Operations that wait in memory for their completion.
const WINDOW: u64 = 64 * 1024;

/// Rows that are converted at once.
const CHUNK_ROWS: usize = 16 * 1024;

/// Name of the list of checksums in the folder of the tables.
const CHECKSUMS_FILE: &str = "checksums.json";

/// `checksums.json`: every file of a sealed history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksums {
    pub(crate) schema_version: u32,
    pub(crate) files: Vec<FileSum>,
}

impl Checksums {
    /// Reads the list of a sealed folder of tables.
    pub(crate) fn read(history: &Path) -> Result<Self, Error> {
        let path = history.join(CHECKSUMS_FILE);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let sums: Checksums = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            what: "list of checksums",
            path: path.clone(),
            source: Arc::new(source),
        })?;
        if sums.schema_version > SCHEMA_VERSION {
            return Err(Error::NewerSchema { path, found: sums.schema_version, known: SCHEMA_VERSION });
        }
        Ok(sums)
    }
}

/// What sealing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Rows of each table, for the manifest. `events_lost` is not known here.
    pub counts: Counts,
    /// Operations whose invocation was recorded but not their completion: they are `info`.
    pub open_ops: u64,
    /// What was cut from journals that were not closed properly.
    pub torn: Vec<TornTail>,
    /// Time of the last recorded event or row, CLOCK_MONOTONIC ns; `None` if there was none.
    pub last_ns: Option<i64>,
    /// The files.
    pub files: Vec<FileSum>,
}

impl SealReport {
    fn saw(&mut self, t_ns: i64) {
        self.last_ns = self.last_ns.max(Some(t_ns));
    }
}

/// Seals the history of a run, and removes its journals. Does nothing but count if it is sealed already.
///
/// # Errors
/// If a file cannot be read or written, a journal is damaged, or the events break an invariant of a history. The
/// journals are kept then.
pub fn seal(run: &RunDir) -> Result<SealReport, Error> {
    let (journal, history) = (run.journal_dir(), run.history_dir());
    if history.join(CHECKSUMS_FILE).is_file() {
        remove_dir(&journal)?;
        return count_sealed(&history);
    }
    if !journal.is_dir() {
        let detail = "there is neither a journal nor a sealed history".to_owned();
        return Err(Error::NoRun { path: run.path().to_owned(), detail });
    }
    let partial = run.file("history.partial");
    remove_dir(&partial)?;
    std::fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
    let mut report = SealReport::default();
    seal_ops(&journal, &partial, &mut report)?;
    seal_tables(&journal, &partial, &mut report)?;
    let sums = Checksums { schema_version: SCHEMA_VERSION, files: report.files.clone() };
    write_json(&partial.join(CHECKSUMS_FILE), "list of checksums", &sums)?;
    std::fs::rename(&partial, &history).map_err(Error::io("rename to", &history))?;
    sync_dir(run.path())?;
    remove_dir(&journal)?;
    Ok(report)
}

fn remove_dir(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io("remove", path)),
    }
}

/// The report of a history that was sealed before. Outcomes are not counted again: the manifest has them.
fn count_sealed(history: &Path) -> Result<SealReport, Error> {
    let files = Checksums::read(history)?.files;
    let mut report = SealReport::default();
    let rows = |table: Table| files.iter().filter(|file| file.table == table.name()).map(|file| file.rows).sum();
    report.counts = Counts {
        ops: rows(Table::Ops),
        faults: rows(Table::Faults),
        injections: rows(Table::Injections),
        connections: rows(Table::Connections),
        nodes: rows(Table::Nodes),
        clocks: rows(Table::Clocks),
        ..Counts::default()
    };
    for path in files.iter().filter(|file| file.table == Table::Ops.name()).map(|file| history.join(&file.path)) {
        crate::read::for_each_op(&path, |row| count_op(&mut report, &row.op))?;
    }
    report.files = files;
    Ok(report)
}

fn count_op(report: &mut SealReport, op: &Operation) {
    match op.outcome {
        Outcome::Ok => report.counts.ok += 1,
        Outcome::Fail => report.counts.fail += 1,
        Outcome::Info => report.counts.info += 1,
    }
    report.open_ops += u64::from(op.complete_seq.is_none());
    report.saw(op.complete_ns.unwrap_or(op.invoke_ns));
}

/// Opens a journal, if there is one: a process may die between creating the folder and creating the files.
fn open_journal(dir: &Path, table: Table, report: &mut SealReport) -> Result<Option<(PathBuf, FrameReader)>, Error> {
    let path = journal_path(dir, table);
    if !path.exists() {
        return Ok(None);
    }
    let reader = FrameReader::open(&path)?;
    report.torn.extend(reader.torn.clone());
    Ok(Some((path, reader)))
}

fn seal_ops(journal: &Path, out: &Path, report: &mut SealReport) -> Result<(), Error> {
    let mut writer = TableWriter::create(out, Table::Ops)?;
    if let Some((path, mut first)) = open_journal(journal, Table::Ops, report)? {
        let late = late_completions(&path, &mut first)?;
        let mut second = FrameReader::open(&path)?;
        let mut pairing = Pairing::new(&path, late);
        let mut names = Interner::default();
        let mut chunk = Vec::with_capacity(CHUNK_ROWS);
        let mut flush = |chunk: &mut Vec<OpRow>, report: &mut SealReport| {
            chunk.iter().for_each(|row| count_op(report, &row.op));
            report.counts.ops += chunk.len() as u64;
            let batch = ops_table::to_batch(chunk, &writer.path())?;
            chunk.clear();
            writer.write(&batch)
        };
        while let Some((first_row, batch)) = second.next_batch()? {
            let reader = EventReader::new(&batch, &path, first_row)?;
            for row in 0..reader.len() {
                pairing.event(first_row + row as u64, reader.event(row, &mut names)?, &mut chunk)?;
                if chunk.len() >= CHUNK_ROWS {
                    flush(&mut chunk, report)?;
                }
            }
        }
        pairing.finish(&mut chunk);
        for mut rest in chunks(chunk) {
            flush(&mut rest, report)?;
        }
    }
    report.files.extend(writer.finish()?);
    Ok(())
}

/// The rows in pieces of at most [`CHUNK_ROWS`].
fn chunks(rows: Vec<OpRow>) -> impl Iterator<Item = Vec<OpRow>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let piece: Vec<OpRow> = rows.by_ref().take(CHUNK_ROWS).collect();
        (!piece.is_empty()).then_some(piece)
    })
}

/// First pass: the numbers of the operations that complete after more than [`WINDOW`] later invocations. Also finds
/// completions without invocation, and operation numbers that are used twice at once.
fn late_ops(path: &Path, reader: &mut FrameReader) -> Result<FxHashSet<u64>, Error> {
    let mut open: FxHashMap<u64, u64> = FxHashMap::default();
    let mut late = FxHashSet::default();
    let mut invoked = 0_u64;
    while let Some((first_row, batch)) = reader.next_batch()? {
        let events = EventReader::new(&batch, path, first_row)?;
        for row in 0..events.len() {
            let (is_invoke, op_id) = events.peek(row);
            let event = first_row + row as u64;
            let error = |detail: String| Error::Event { path: path.to_owned(), event, detail };
            if is_invoke {
                if open.insert(op_id, invoked).is_some() {
                    return Err(error(format!("operation {op_id} was invoked twice")));
                }
                invoked += 1;
            } else {
                let number = open.remove(&op_id);
                let number = number.ok_or_else(|| error(format!("operation {op_id} completed, but was not open")))?;
                if invoked - number > WINDOW {
                    late.insert(op_id);
                }
            }
        }
    }
    Ok(late)
}

type LateCompletions = FxHashMap<u64, Event>;

/// The completions that the second pass needs before it comes to them.
fn late_completions(path: &Path, first: &mut FrameReader) -> Result<LateCompletions, Error> {
    let late = late_ops(path, first)?;
    let mut found = LateCompletions::default();
    if late.is_empty() {
        return Ok(found);
    }
    let mut names = Interner::default();
    let mut reader = FrameReader::open(path)?;
    while let Some((first_row, batch)) = reader.next_batch()? {
        let events = EventReader::new(&batch, path, first_row)?;
        for row in 0..events.len() {
            let (is_invoke, op_id) = events.peek(row);
            if !is_invoke && late.contains(&op_id) {
                found.insert(op_id, events.event(row, &mut names)?);
            }
        }
    }
    Ok(found)
}

/// An operation between its invocation and its completion.
struct Open {
    /// Its dense number.
    number: u64,
    process: i64,
    /// Whether its completion was filled in ahead of time.
    filled: bool,
}

/// Second pass: pairs events and hands operations on in order of invocation.
struct Pairing<'a> {
    path: &'a Path,
    late: LateCompletions,
    /// Operations in order of invocation; the first has number `first`.
    queue: VecDeque<OpRow>,
    first: u64,
    /// Open operations by the number that the run gave them.
    open: FxHashMap<u64, Open>,
    /// The operation that each process is in, or whose `info` retired it.
    busy: FxHashMap<i64, u64>,
    last_seq: Option<u64>,
}

impl<'a> Pairing<'a> {
    fn new(path: &'a Path, late: LateCompletions) -> Self {
        Self {
            path,
            late,
            queue: VecDeque::new(),
            first: 0,
            open: FxHashMap::default(),
            busy: FxHashMap::default(),
            last_seq: None,
        }
    }

    /// Takes the event with this number in the journal; operations that are ready go to `out`.
    fn event(&mut self, number: u64, event: Event, out: &mut Vec<OpRow>) -> Result<(), Error> {
        if self.last_seq.is_some_and(|last| event.seq <= last) {
            let detail = format!("its place {} in the order is not after the one before", event.seq);
            return Err(Error::Event { path: self.path.to_owned(), event: number, detail });
        }
        self.last_seq = Some(event.seq);
        let Event { op_id, seq, t_ns, conn_cookie, kind } = event;
        match kind {
            EventKind::Invoke { process, node, phase, call } => {
                let op = Operation {
                    op_id: self.first + self.queue.len() as u64,
                    process,
                    node,
                    call,
                    invoke_seq: seq,
                    complete_seq: None,
                    invoke_ns: t_ns,
                    complete_ns: None,
                    outcome: Outcome::Info,
                    error_code: None,
                    error_text: None,
                    conn_cookie,
                };
                self.invoke(op_id, OpRow { op, phase })?;
            }
            EventKind::Complete(completion) => self.complete(number, op_id, (seq, t_ns, conn_cookie), completion)?,
        }
        while self.queue.len() as u64 > WINDOW || self.queue.front().is_some_and(|row| row.op.complete_seq.is_some()) {
            out.extend(self.queue.pop_front());
            self.first += 1;
        }
        Ok(())
    }

    fn invoke(&mut self, op_id: u64, mut row: OpRow) -> Result<(), Error> {
        let (number, process) = (row.op.op_id, row.op.process);
        if let Some(earlier) = self.busy.insert(process, number) {
            let source = HistoryError::ProcessOverlap { process, op_id: number, earlier };
            return Err(Error::Invariant { path: self.path.to_owned(), source });
        }
        let filled = match self.late.remove(&op_id) {
            Some(Event { seq, t_ns, conn_cookie, kind: EventKind::Complete(completion), .. }) => {
                fill(&mut row.op, (seq, t_ns, conn_cookie), completion);
                true
            }
            _ => false,
        };
        self.queue.push_back(row);
        self.open.insert(op_id, Open { number, process, filled });
        Ok(())
    }

    fn complete(&mut self, event: u64, op_id: u64, place: Place, completion: Completion) -> Result<(), Error> {
        let Some(open) = self.open.remove(&op_id) else {
            let detail = format!("operation {op_id} completed, but was not open");
            return Err(Error::Event { path: self.path.to_owned(), event, detail });
        };
        if completion.outcome != Outcome::Info {
            self.busy.remove(&open.process);
        }
        if !open.filled {
            // Not late, so it is still in the queue: see `late_ops`.
            let row = open.number.checked_sub(self.first).and_then(|at| self.queue.get_mut(usize::try_from(at).ok()?));
            if let Some(row) = row {
                fill(&mut row.op, place, completion);
            }
        }
        Ok(())
    }

    /// The operations that never completed, and those behind them.
    fn finish(self, out: &mut Vec<OpRow>) {
        out.extend(self.queue);
    }
}

/// Place in the order, time and cookie of a completion.
type Place = (u64, i64, Option<u64>);

fn fill(op: &mut Operation, (seq, t_ns, conn_cookie): Place, completion: Completion) {
    op.complete_seq = Some(seq);
    op.complete_ns = Some(t_ns);
    op.conn_cookie = conn_cookie.or(op.conn_cookie);
    op.outcome = completion.outcome;
    op.error_code = completion.error_code;
    op.error_text = completion.error_text;
    if let Some(call) = completion.call {
        op.call = call;
    }
}

/// All rows of a journal.
fn journal_rows<R: TableRow>(journal: &Path, report: &mut SealReport) -> Result<Vec<R>, Error> {
    let mut rows = Vec::new();
    if let Some((path, mut reader)) = open_journal(journal, R::TABLE, report)? {
        while let Some((first_row, batch)) = reader.next_batch()? {
            rows.extend(R::from_batch(&batch, &path, first_row)?);
        }
    }
    Ok(rows)
}

fn write_rows<R: TableRow>(out: &Path, rows: &[R], report: &mut SealReport) -> Result<u64, Error> {
    let mut writer = TableWriter::create(out, R::TABLE)?;
    for piece in rows.chunks(CHUNK_ROWS) {
        let batch = R::to_batch(piece, &writer.path())?;
        writer.write(&batch)?;
    }
    report.files.extend(writer.finish()?);
    Ok(rows.len() as u64)
}

/// The last row for each key, in the order in which the keys came first.
fn last_per_key<R, K: std::hash::Hash + Eq>(rows: Vec<R>, key: impl Fn(&R) -> K) -> Vec<R> {
    let mut places: FxHashMap<K, usize> = FxHashMap::default();
    let mut kept: Vec<R> = Vec::new();
    for row in rows {
        match places.entry(key(&row)) {
            std::collections::hash_map::Entry::Occupied(place) => kept[*place.get()] = row,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(row);
            }
        }
    }
    kept
}

fn seal_tables(journal: &Path, out: &Path, report: &mut SealReport) -> Result<(), Error> {
    let mut faults = last_per_key(journal_rows::<FaultRow>(journal, report)?, |row| row.fault_id);
    faults.sort_by_key(|row| (row.start_ns, row.fault_id));
    faults.iter().for_each(|row| report.saw(row.stop_ns.unwrap_or(row.start_ns)));
    report.counts.faults = write_rows(out, &faults, report)?;

    let mut injections = journal_rows::<InjectionRow>(journal, report)?;
    injections.sort_by(|a, b| (a.t_ns, &a.host, a.cpu, a.event_seq).cmp(&(b.t_ns, &b.host, b.cpu, b.event_seq)));
    injections.iter().for_each(|row| report.saw(row.t_ns));
    report.counts.injections = write_rows(out, &injections, report)?;

    let connections = journal_rows::<ConnectionRow>(journal, report)?;
    let mut connections = last_per_key(connections, |row| {
        (row.conn_cookie, row.local_addr, row.local_port, row.remote_addr, row.remote_port)
    });
    connections.sort_by_key(|row| (row.opened_ns.unwrap_or(i64::MIN), row.conn_cookie));
    report.counts.connections = write_rows(out, &connections, report)?;

    let mut nodes = journal_rows::<NodeRow>(journal, report)?;
    nodes.sort_by_key(|row| row.t_ns);
    nodes.iter().for_each(|row| report.saw(row.t_ns));
    report.counts.nodes = write_rows(out, &nodes, report)?;

    let mut clocks = journal_rows::<ClockRow>(journal, report)?;
    clocks.sort_by_key(|row| row.t_ns);
    clocks.iter().for_each(|row| report.saw(row.t_ns));
    report.counts.clocks = write_rows(out, &clocks, report)?;
    Ok(())
}
