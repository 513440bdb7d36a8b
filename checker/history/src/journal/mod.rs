//! The journal: what a run records while it goes on.
//!
//! A [`Recorder`] puts events into buffers in memory; one writer thread turns them into record batches and appends them
//! to the current segment of each table, at the latest [`FLUSH_INTERVAL`] after they were recorded. What was written
//! survives the death of the process; it is synced to the disk, and so survives a power failure, when its segment is
//! closed. A second thread, of low priority, seals closed segments while the run goes on: see the module `roll`.
//!
//! Invariants:
//! * places in the total order are recorded in increasing order, so a prefix of the journal is a prefix of the run;
//! * memory is bounded: a recorder that is faster than the disk waits;
//! * so is the part of the journal that is not sealed: a recorder waits if [`WAITING_SEGMENTS`] closed segments do;
//! * after an error of the disk, or of what seals, nothing more is written, and every later call returns that error.

pub(crate) mod carry;
pub(crate) mod events;
pub(crate) mod frames;
pub(crate) mod packed;
mod recorded;
pub(crate) mod segments;
mod writer;

pub use frames::TornTail;
pub use recorded::{CompleteEvent, Completed, InvokeEvent, RecordError};
pub use writer::SegmentLimits;

use crate::calls::CallRef;
use crate::error::Error;
use crate::roll::Roller;
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow};
use crate::run_dir::RunDir;
use crate::schema::Table;
use events::{EventBuffer, EventHead};
use fissure_checker::{Call, Mop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time that a recorded event stays in memory.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Buffered events that make the writer start before [`FLUSH_INTERVAL`] is over.
const BATCH_EVENTS: usize = 16 * 1024;

/// Buffered micro-operations and list elements that do the same.
const BATCH_ELEMENTS: usize = 1024 * 1024;

/// Buffers this many times larger make the recorder wait for the writer.
const FULL_FACTOR: usize = 16;

/// Closed segments that may wait to be sealed.
pub const WAITING_SEGMENTS: usize = 64;

/// Everything recorded and not yet written.
#[derive(Default)]
struct Pending {
    events: EventBuffer,
    faults: Vec<FaultRow>,
    injections: Vec<InjectionRow>,
    connections: Vec<ConnectionRow>,
    nodes: Vec<NodeRow>,
    clocks: Vec<ClockRow>,
    names: Vec<NameRow>,
}

impl Pending {
    /// Whether the buffers hold `factor` times what makes a good batch.
    fn holds(&self, factor: usize) -> bool {
        self.events.len() + self.injections.len() >= BATCH_EVENTS * factor
            || self.events.elements() >= BATCH_ELEMENTS * factor
    }
}

#[derive(Default)]
struct State {
    pending: Pending,
    /// Number of things recorded, and of those written.
    recorded: u64,
    written: u64,
    /// Greatest place in the total order recorded, and written.
    last_seq: Option<u64>,
    acknowledged: Option<u64>,
    flush_wanted: bool,
    finish: Finish,
    error: Option<Error>,
}

/// How far the journal is on its way to being closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Finish {
    #[default]
    Open,
    /// Write what is pending; mark the files as complete if `bool`.
    Asked(bool),
    Done,
}

struct Shared {
    state: Mutex<State>,
    /// The writer waits here for work.
    work: Condvar,
    /// Recorders wait here for room, and for what they recorded to be written.
    progress: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves at worst a half-pushed event, and the run has failed anyway: the
        // state is still good enough to report errors.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the result of a write, and whether it is the last because of an error.
    fn written(&self, result: Result<(), Error>, recorded: u64, last_seq: Option<u64>) -> bool {
        let mut state = self.lock();
        match result {
            Ok(()) => {
                state.written = recorded;
                state.acknowledged = last_seq;
            }
            Err(error) => state.error = Some(error),
        }
        let failed = state.error.is_some();
        drop(state);
        self.progress.notify_all();
        failed
    }

    /// Stops the journal with an error.
    fn fail(&self, error: Error) {
        self.lock().error.get_or_insert(error);
        self.progress.notify_all();
        self.work.notify_one();
    }
}

/// The journal of one run, with its writer thread.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Seals closed segments.
    roller: Option<JoinHandle<()>>,
    ending: Arc<AtomicBool>,
}

/// What a finished journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalReport {
    /// Events of operations and rows of the other tables.
    pub recorded: u64,
}

impl Journal {
    /// Creates the journal files of a run and starts the threads that write and seal.
    ///
    /// # Errors
    /// If a file cannot be created, or exists already, or a thread cannot be started.
    pub fn create(run: &RunDir) -> Result<Self, Error> {
        Self::with_limits(run, SegmentLimits::default())
    }

    /// As [`Journal::create`], with segments of another length.
    ///
    /// # Errors
    /// As [`Journal::create`].
    pub fn with_limits(run: &RunDir, limits: SegmentLimits) -> Result<Self, Error> {
        let dir = run.journal_dir();
        std::fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let (sender, closed) = std::sync::mpsc::sync_channel(WAITING_SEGMENTS);
        let failed = |source| Error::io("start the threads of", &dir)(source);
        let mut journal = Self::start(writer::Writer::create(&dir, limits, Some(sender))?).map_err(failed)?;
        let (shared, ending, run) = (journal.shared.clone(), journal.ending.clone(), run.clone());
        let work = move || roll_closed(&run, &closed, &ending, &shared);
        journal.roller = Some(std::thread::Builder::new().name("seal".to_owned()).spawn(work).map_err(failed)?);
        Ok(journal)
    }

    fn start(writer: writer::Writer) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), progress: Condvar::new() });
        let theirs = shared.clone();
        let work = move || writer.run(&theirs);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(work)?;
        Ok(Self { shared, thread: Some(thread), roller: None, ending: Arc::default() })
    }

    /// A recorder. Recorders are cheap, and several threads may have one each; events of operations must come from one.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder { shared: self.shared.clone() }
    }

    /// Writes what is pending, marks the files as complete, syncs them, and ends the thread.
    ///
    /// # Errors
    /// The error that stopped the writer, now or earlier.
    pub fn finish(mut self) -> Result<JournalReport, Error> {
        self.close(true);
        let state = self.shared.lock();
        match &state.error {
            Some(error) => Err(error.clone()),
            None => Ok(JournalReport { recorded: state.recorded }),
        }
    }

    fn close(&mut self, complete: bool) {
        let Some(thread) = self.thread.take() else { return };
        // What is not sealed by now is sealed at the end anyway.
        self.ending.store(true, Ordering::Relaxed);
        self.shared.lock().finish = Finish::Asked(complete);
        self.shared.work.notify_one();
        // The thread's own guard has recorded a panic as the journal's error.
        let _ = thread.join();
        let _ = self.roller.take().map(JoinHandle::join);
    }
}

/// Seals closed segments until the run ends. An error stops the journal: what comes later could not be sealed either.
fn roll_closed(run: &RunDir, closed: &Receiver<(Table, u32)>, ending: &AtomicBool, shared: &Shared) {
    // The run and the system under test need the processors more. Where that cannot be said, it is as it is.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
    let mut roller: Option<Roller> = None;
    while let Ok((table, number)) = closed.recv() {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let step = match &mut roller {
            Some(roller) => roller.segment(table, number),
            None => Roller::resume(run).and_then(|new| roller.insert(new).segment(table, number)),
        };
        if let Err(error) = step {
            return shared.fail(error);
        }
    }
}

impl Drop for Journal {
    /// Writes what is pending, but does not call the journal complete: whoever wanted that has called
    /// [`Journal::finish`].
    fn drop(&mut self) {
        self.close(false);
    }
}

/// Records events into the journal. See the module for what it promises.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

fn check_order(state: &State, op_id: u64, seq: u64) -> Result<(), RecordError> {
    match state.last_seq {
        Some(last) if seq <= last => Err(RecordError::OutOfOrder { op_id, seq, last }),
        _ => Ok(()),
    }
}

/// Whether a read has no result, and the key of it, if it is of one key.
fn unknown_read(call: &Call) -> Option<Option<i64>> {
    match call {
        Call::Read { value: None, .. }
        | Call::Dequeue { value: None, .. }
        | Call::Pop { value: None, .. }
        | Call::Generate { value: None, .. }
        | Call::ReadSet { elements: None, .. }
        | Call::Drain { elements: None, .. }
        | Call::ReadBalances { balances: None } => Some(call.key()),
        Call::Txn(mops) => mops.iter().find_map(|mop| match mop {
            Mop::ReadList { list: None, .. }
            | Mop::Read { value: None, .. }
            | Mop::Poll { records: None }
            | Mop::ReadPredicate { matched: None, .. } => Some(mop.key()),
            _ => None,
        }),
        _ => None,
    }
}

impl Recorder {
    /// Locks the state with room in the buffers, or says why nothing can be recorded.
    fn room(&self) -> Result<MutexGuard<'_, State>, RecordError> {
        let mut state = self.shared.lock();
        loop {
            if let Some(error) = &state.error {
                return Err(RecordError::Write(error.clone()));
            }
            if state.finish != Finish::Open {
                return Err(RecordError::Finished);
            }
            if !state.pending.holds(FULL_FACTOR) {
                return Ok(state);
            }
            state = self.shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts what was just pushed, and wakes the writer if that makes a batch.
    fn pushed(&self, mut state: MutexGuard<'_, State>, had_batch: bool) {
        state.recorded += 1;
        let wake = !had_batch && state.pending.holds(1);
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
    }

    fn push(&self, push: impl FnOnce(&mut Pending)) -> Result<(), RecordError> {
        let mut state = self.room()?;
        let had_batch = state.pending.holds(1);
        push(&mut state.pending);
        self.pushed(state, had_batch);
        Ok(())
    }

    /// Records an invocation.
    ///
    /// # Errors
    /// If the disk failed earlier, or `seq` is not greater than every one before.
    pub fn invoke(&self, event: InvokeEvent<'_>) -> Result<(), RecordError> {
        let mut state = self.room()?;
        check_order(&state, event.op_id, event.seq)?;
        let had_batch = state.pending.holds(1);
        state.last_seq = Some(event.seq);
        let InvokeEvent { op_id, process, node, phase, call, seq, t_ns, conn_cookie } = event;
        state.pending.events.push_invoke(
            EventHead { op_id, seq, t_ns, conn_cookie },
            process,
            node,
            phase,
            CallRef::Call(call),
        );
        self.pushed(state, had_batch);
        Ok(())
    }

    /// Records a completion.
    ///
    /// # Errors
    /// If the disk failed earlier, `seq` is not greater than every one before, or an `ok` has a read without result.
    pub fn complete(&self, event: CompleteEvent<'_>) -> Result<(), RecordError> {
        let CompleteEvent { op_id, seq, t_ns, completed, conn_cookie } = event;
        if let Completed::Ok(call) = completed
            && let Some(key) = unknown_read(call)
        {
            return Err(RecordError::UnknownRead { op_id, key });
        }
        let mut state = self.room()?;
        check_order(&state, op_id, seq)?;
        let had_batch = state.pending.holds(1);
        state.last_seq = Some(seq);
        let head = EventHead { op_id, seq, t_ns, conn_cookie };
        match completed {
            Completed::Ok(call) => state.pending.events.push_ok(head, CallRef::Call(call)),
            Completed::Fail { code, text } => state.pending.events.push_error(head, true, code, text),
            Completed::Info { code, text } => state.pending.events.push_error(head, false, code, text),
        }
        self.pushed(state, had_batch);
        Ok(())
    }

    /// Records a fault: once when it is put in force, once more when it is lifted.
    ///
    /// # Errors
    /// If the disk failed earlier.
    pub fn fault(&self, row: FaultRow) -> Result<(), RecordError> {
        self.push(|pending| pending.faults.push(row))
    }

    /// Records what the kernel did to a packet.
    ///
    /// # Errors
    /// If the disk failed earlier.
    pub fn injection(&self, row: InjectionRow) -> Result<(), RecordError> {
        self.push(|pending| pending.injections.push(row))
    }

    /// Records a connection: once when it is opened, once more when it is closed.
    ///
    /// # Errors
    /// If the disk failed earlier.
    pub fn connection(&self, row: ConnectionRow) -> Result<(), RecordError> {
        self.push(|pending| pending.connections.push(row))
    }

    /// Records something in the life of a node.
    ///
    /// # Errors
    /// If the disk failed earlier.
    pub fn node(&self, row: NodeRow) -> Result<(), RecordError> {
        self.push(|pending| pending.nodes.push(row))
    }

    /// Records a pair of times.
    ///
    /// # Errors
    /// If the disk failed earlier.
    pub fn clock(&self, row: ClockRow) -> Result<(), RecordError> {
        self.push(|pending| pending.clocks.push(row))
    }

    /// Records what an integer of the operations stands for: once, before the first operation that has it.
    ///
    /// # Errors
    /// If the disk failed earlier.
    pub fn name(&self, row: NameRow) -> Result<(), RecordError> {
        self.push(|pending| pending.names.push(row))
    }

    /// Waits until everything recorded before is written: it survives the death of the process from now on.
    ///
    /// # Errors
    /// If the disk failed.
    pub fn flush(&self) -> Result<(), RecordError> {
        let mut state = self.shared.lock();
        let wanted = state.recorded;
        while state.written < wanted {
            if let Some(error) = &state.error {
                return Err(RecordError::Write(error.clone()));
            }
            if state.finish == Finish::Done {
                return Err(RecordError::Finished);
            }
            state.flush_wanted = true;
            self.shared.work.notify_one();
            state = self.shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Place of the last event that is written and so survives the death of the process; `None`: none is.
    #[must_use]
    pub fn acknowledged(&self) -> Option<u64> {
        self.shared.lock().acknowledged
    }

    /// The error that stopped the journal, if one did.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.shared.lock().error.clone()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
