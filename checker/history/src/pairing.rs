//! Pairing: from events in their total order to operations in order of invocation, as batches of the table `ops`.
//!
//! The one pairing for the seal of a journal and for whoever has events. It copies columns: an operation becomes a value
//! of its own only if it is late.
//!
//! Invariants:
//! * batches come out in order of invocation. An operation that is still open [`WINDOW`] invocations after its own is
//!   *late*: it is kept apart, and comes out by itself when it has completed;
//! * memory is bounded by the events of [`WINDOW`] invocations, the operations that are open, and the late ones that
//!   nobody has taken yet;
//! * an event that cannot be (a completion without invocation, an order that goes back, a process with two operations)
//!   is an error. Processes are remembered as retired up to [`RETIRED_MAX`] of them; reading checks the others.

use crate::columns::Interner;
use crate::error::Error;
use crate::journal::events::{EventClass, EventReader};
use crate::manifest::Counts;
use crate::ops_table::OpsBuilder;
use crate::rows::OpRow;
use arrow::array::RecordBatch;
use fissure_checker::{HistoryError, Operation, Outcome};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// Invocations after which an operation that is still open is late.
pub(crate) const WINDOW: usize = 64 * 1024;

/// Rows of a batch that comes out.
pub(crate) const BATCH_ROWS: usize = 16 * 1024;

/// Micro-operations and list elements that make a batch come out before.
pub(crate) const BATCH_ELEMENTS: usize = 1024 * 1024;

/// Retired processes that are remembered.
const RETIRED_MAX: usize = 64 * 1024;

/// What went through, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) ops: u64,
    pub(crate) ok: u64,
    pub(crate) fail: u64,
    pub(crate) info: u64,
    /// Operations without completion.
    pub(crate) open: u64,
    /// Time of the last event, ns.
    pub(crate) last_ns: Option<i64>,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: Outcome, is_open: bool, last_ns: i64) {
        self.ops += 1;
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Fail => self.fail += 1,
            Outcome::Info => self.info += 1,
        }
        self.open += u64::from(is_open);
        self.last_ns = self.last_ns.max(Some(last_ns));
    }

    pub(crate) fn add_op(&mut self, op: &Operation) {
        self.add(op.outcome, op.complete_seq.is_none(), op.complete_ns.unwrap_or(op.invoke_ns));
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            ops: self.ops + other.ops,
            ok: self.ok + other.ok,
            fail: self.fail + other.fail,
            info: self.info + other.info,
            open: self.open + other.open,
            last_ns: self.last_ns.max(other.last_ns),
        }
    }

    pub(crate) fn into_counts(self, counts: &mut Counts) {
        (counts.ops, counts.ok, counts.fail, counts.info) = (self.ops, self.ok, self.fail, self.info);
    }
}

/// What a pairing needs to go on, beside its open operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PairingState {
    /// Number of the next operation.
    next: u64,
    last_seq: Option<u64>,
    /// Numbers of the open operations, in the order in which they are kept.
    pub(crate) open: Vec<u64>,
    retired: Vec<i64>,
}

/// A place in the batches of events that are kept.
#[derive(Clone, Copy)]
struct Place {
    batch: u64,
    row: u32,
}

/// An operation that waits for its completion, or behind one that does.
struct Slot {
    invoked: Place,
    completed: Option<(Place, Outcome)>,
}

/// The batch with this number, of those that are kept from `first` on.
fn kept(batches: &VecDeque<EventReader>, first: u64, batch: u64) -> Option<&EventReader> {
    batches.get(usize::try_from(batch.checked_sub(first)?).ok()?)
}

/// Where batches go.
pub(crate) trait Sink {
    /// Takes the next batch.
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error>;
}

/// See the module.
pub(crate) struct Pairing {
    path: Arc<Path>,
    /// Operations in order of invocation; the first has number `first`.
    queue: VecDeque<Slot>,
    first: u64,
    /// The batches of events that `queue` points into; the first has number `first_batch`.
    batches: VecDeque<EventReader>,
    first_batch: u64,
    /// Numbers of open operations by the number that the run gave them.
    open: FxHashMap<u64, u64>,
    /// Late operations that are open, by number.
    late: FxHashMap<u64, OpRow>,
    /// Late operations that have completed.
    late_done: Vec<OpRow>,
    /// The operation that each process is in.
    busy: FxHashMap<i64, u64>,
    retired: FxHashSet<i64>,
    last_seq: Option<u64>,
    names: Interner,
    out: OpsBuilder,
    pub(crate) tally: Tally,
}

impl Pairing {
    /// Starts; errors name `path`.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: Arc::from(path),
            queue: VecDeque::new(),
            first: 0,
            batches: VecDeque::new(),
            first_batch: 0,
            open: FxHashMap::default(),
            late: FxHashMap::default(),
            late_done: Vec::new(),
            busy: FxHashMap::default(),
            retired: FxHashSet::default(),
            last_seq: None,
            names: Interner::default(),
            out: OpsBuilder::default(),
            tally: Tally::default(),
        }
    }

    fn bad_event(&self, event: u64, detail: String) -> Error {
        Error::Event { path: self.path.to_path_buf(), event, detail }
    }

    /// Takes a batch of events; operations that are ready go to `sink`.
    pub(crate) fn push(&mut self, events: EventReader, sink: &mut dyn Sink) -> Result<(), Error> {
        let batch = self.first_batch + self.batches.len() as u64;
        self.batches.push_back(events);
        let rows = self.batches.back().map_or(0, EventReader::len);
        for row in 0..rows {
            self.event(batch, row)?;
            self.release(WINDOW)?;
            if self.out.len() >= BATCH_ROWS || self.out.elements() >= BATCH_ELEMENTS {
                self.flush(sink)?;
            }
        }
        let needed = self.queue.front().map_or(self.first_batch + self.batches.len() as u64, |slot| slot.invoked.batch);
        while self.first_batch < needed && self.batches.pop_front().is_some() {
            self.first_batch += 1;
        }
        Ok(())
    }

    fn events(&self, batch: u64) -> Result<&EventReader, Error> {
        kept(&self.batches, self.first_batch, batch).ok_or_else(|| self.gone())
    }

    /// What cannot happen: a slot keeps its batches.
    fn gone(&self) -> Error {
        self.bad_event(0, "its batch is gone".to_owned())
    }

    fn event(&mut self, batch: u64, row: usize) -> Result<(), Error> {
        let events = self.events(batch)?;
        let (seq, op_id) = (events.seq.value(row).cast_unsigned(), events.op_id.value(row).cast_unsigned());
        let (number, class, process) = (events.number(row), events.class(row)?, events.process.value(row));
        if self.last_seq.is_some_and(|last| seq <= last) {
            return Err(self.bad_event(number, format!("its place {seq} in the order is not after the one before")));
        }
        self.last_seq = Some(seq);
        let place = Place { batch, row: u32::try_from(row).unwrap_or(u32::MAX) };
        match class {
            EventClass::Invoke => self.invoke(number, op_id, process, place),
            EventClass::Complete(outcome) => self.complete(number, op_id, place, outcome),
        }
    }

    fn invoke(&mut self, event: u64, op_id: u64, process: i64, invoked: Place) -> Result<(), Error> {
        let number = self.first + self.queue.len() as u64;
        let earlier = self.busy.insert(process, number);
        if earlier.is_some() || self.retired.contains(&process) {
            let source = HistoryError::ProcessOverlap { process, op_id: number, earlier: earlier.unwrap_or_default() };
            return Err(Error::Invariant { path: self.path.to_path_buf(), source });
        }
        if self.open.insert(op_id, number).is_some() {
            return Err(self.bad_event(event, format!("operation {op_id} was invoked twice")));
        }
        self.queue.push_back(Slot { invoked, completed: None });
        Ok(())
    }

    fn complete(&mut self, event: u64, op_id: u64, place: Place, outcome: Outcome) -> Result<(), Error> {
        let Some(number) = self.open.remove(&op_id) else {
            return Err(self.bad_event(event, format!("operation {op_id} completed, but was not open")));
        };
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let process = match at.and_then(|at| self.queue.get_mut(at)) {
            Some(slot) => {
                slot.completed = Some((place, outcome));
                let invoked = slot.invoked;
                self.events(invoked.batch)?.process.value(invoked.row as usize)
            }
            None => self.complete_late(number, place, outcome)?,
        };
        self.busy.remove(&process);
        if outcome == Outcome::Info && self.retired.len() < RETIRED_MAX {
            self.retired.insert(process);
        }
        Ok(())
    }

    fn complete_late(&mut self, number: u64, place: Place, outcome: Outcome) -> Result<i64, Error> {
        let Some(mut row) = self.late.remove(&number) else {
            return Err(self.bad_event(0, format!("operation {number} is nowhere")));
        };
        let Self { batches, first_batch, names, .. } = self;
        match kept(batches, *first_batch, place.batch) {
            Some(events) => events.complete(place.row as usize, outcome, &mut row.op, names)?,
            None => return Err(self.gone()),
        }
        self.tally.add_op(&row.op);
        let process = row.op.process;
        self.late_done.push(row);
        Ok(process)
    }

    /// Hands on what is ready, and what has waited behind more than `window` others.
    fn release(&mut self, window: usize) -> Result<(), Error> {
        while self.queue.len() > window || self.queue.front().is_some_and(|slot| slot.completed.is_some()) {
            let Some(slot) = self.queue.pop_front() else { break };
            let number = self.first;
            self.first += 1;
            match slot.completed {
                Some((place, outcome)) => self.emit(number, slot.invoked, place, outcome)?,
                None => {
                    let row = self.invoked(number, slot.invoked)?;
                    self.late.insert(number, row);
                }
            }
        }
        Ok(())
    }

    fn emit(&mut self, number: u64, invoked: Place, completed: Place, outcome: Outcome) -> Result<(), Error> {
        let Self { batches, first_batch, out, tally, .. } = self;
        let (begin, end) = (kept(batches, *first_batch, invoked.batch), kept(batches, *first_batch, completed.batch));
        let (Some(begin), Some(end)) = (begin, end) else { return Err(self.gone()) };
        let row = completed.row as usize;
        out.push_events(number, (begin, invoked.row as usize), (end, row), outcome);
        tally.add(outcome, false, end.t_ns.value(row));
        Ok(())
    }

    fn invoked(&mut self, number: u64, place: Place) -> Result<OpRow, Error> {
        let Self { batches, first_batch, names, .. } = self;
        match kept(batches, *first_batch, place.batch) {
            Some(events) => events.invoked(place.row as usize, number, names),
            None => Err(self.gone()),
        }
    }

    /// Hands on the rows that wait to become a batch.
    pub(crate) fn flush(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        if self.out.len() > 0 { sink.batch(self.out.take_batch(&self.path)?) } else { Ok(()) }
    }

    /// Ends a part: what is behind an open operation does not wait for it any more, and the open ones are late.
    pub(crate) fn part_from_open(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        // One window of nothing: everything is handed on or late.
        while !self.queue.is_empty() {
            self.release(self.queue.len() - 1)?;
            if self.out.len() >= BATCH_ROWS || self.out.elements() >= BATCH_ELEMENTS {
                self.flush(sink)?;
            }
        }
        self.first_batch += self.batches.len() as u64;
        self.batches.clear();
        self.flush(sink)
    }

    /// Names `path` in errors from now on.
    pub(crate) fn set_path(&mut self, path: &Path) {
        self.path = Arc::from(path);
    }

    /// What it needs to go on, after [`Pairing::part_from_open`].
    pub(crate) fn state(&self) -> PairingState {
        let mut retired: Vec<i64> = self.retired.iter().copied().collect();
        retired.sort_unstable();
        PairingState { next: self.first, last_seq: self.last_seq, open: Vec::new(), retired }
    }

    /// The open operations, by the number that the run gave them, in order of invocation; after
    /// [`Pairing::part_from_open`].
    pub(crate) fn open_ops(&self) -> Vec<(u64, &OpRow)> {
        let known = self.open.iter();
        let mut open: Vec<_> = known.filter_map(|(op_id, number)| Some((*op_id, self.late.get(number)?))).collect();
        open.sort_unstable_by_key(|(_, row)| row.op.op_id);
        open
    }

    /// Goes on from a state and its open operations.
    pub(crate) fn restore(&mut self, state: &PairingState, open: Vec<(u64, OpRow)>) {
        self.first = state.next;
        self.last_seq = state.last_seq;
        self.retired = state.retired.iter().copied().collect();
        for (op_id, row) in open {
            self.open.insert(op_id, row.op.op_id);
            self.busy.insert(row.op.process, row.op.op_id);
            self.late.insert(row.op.op_id, row);
        }
    }

    /// The late operations that have completed since this was asked, in order of invocation.
    pub(crate) fn take_late(&mut self) -> Vec<OpRow> {
        let mut late = std::mem::take(&mut self.late_done);
        late.sort_unstable_by_key(|row| row.op.invoke_seq);
        late
    }

    /// Number of late operations that [`Pairing::take_late`] would give.
    pub(crate) fn late_len(&self) -> usize {
        self.late_done.len()
    }

    /// Ends: operations that are open are `info` without completion.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        while let Some(slot) = self.queue.pop_front() {
            let number = self.first;
            self.first += 1;
            match slot.completed {
                Some((place, outcome)) => self.emit(number, slot.invoked, place, outcome)?,
                None => {
                    let row = self.invoked(number, slot.invoked)?;
                    self.tally.add_op(&row.op);
                    self.out.push(number, &row.op, &row.phase);
                }
            }
            if self.out.len() >= BATCH_ROWS {
                self.flush(sink)?;
            }
        }
        for (_, row) in std::mem::take(&mut self.late) {
            self.tally.add_op(&row.op);
            self.late_done.push(row);
        }
        self.open.clear();
        self.batches.clear();
        self.flush(sink)
    }
}

/// Rows as batches of the table.
pub(crate) fn write_rows(rows: &[OpRow], path: &Path, sink: &mut dyn Sink) -> Result<(), Error> {
    let mut out = OpsBuilder::default();
    for row in rows {
        out.push(row.op.op_id, &row.op, &row.phase);
        if out.len() >= BATCH_ROWS || out.elements() >= BATCH_ELEMENTS {
            sink.batch(out.take_batch(path)?)?;
        }
    }
    if out.len() > 0 { sink.batch(out.take_batch(path)?) } else { Ok(()) }
}
