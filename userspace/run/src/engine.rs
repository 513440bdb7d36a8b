//! The engine: one loop over one closed event enum.
//!
//! It owns the order of events. An invocation gets its sequence number before its worker is told, a completion after
//! the worker has reported: recorded intervals can only be wider than real ones, so no order is ever invented.
//!
//! A process is retired after an `info` and its worker goes on as process + concurrency, as Jepsen does.

use crate::clock::monotonic_ns;
use crate::error::RunError;
use crate::event::{Completed, Event};
use crate::nemesis::Nemesis;
use crate::worker::Job;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use fissure_history::journal::{CompleteEvent, Completed as Ended, InvokeEvent, Recorder};
use fissure_history::rows::{ConnectionKind, ConnectionRow};
use fissure_workloads::{Call, Completion, Connection, Generator, Next, Outcome, Worker};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Events taken from the queue before the loop looks at the time again.
const EVENTS_PER_TURN: usize = 1024;
/// The loop wakes at least this often, for node watching and progress.
const TICK_NS: u64 = 50_000_000;

/// A workload as the engine sees it.
pub struct Workload {
    /// Its kind, such as `register`.
    pub kind: String,
    /// What to ask while the run goes on.
    pub generator: Box<dyn Generator>,
    /// What to ask at the end, once all faults are lifted.
    pub final_generator: Box<dyn Generator>,
}

/// A worker slot as the engine sees it.
pub struct Slot {
    /// Index of its workload.
    pub workload: usize,
    /// Its number within the workload.
    pub thread: usize,
    /// Slots of its workload.
    pub concurrency: usize,
    /// Index of the node it talks to.
    pub node: usize,
    /// Name of that node.
    pub node_name: Arc<str>,
    /// Where its jobs go.
    pub jobs: UnboundedSender<Job>,
}

struct SlotState {
    slot: Slot,
    process: i64,
    busy: Option<(u64, Call)>,
    done: bool,
    cookie: Option<u64>,
}

/// Which questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// The workload's.
    Main,
    /// The final reads.
    Final,
    /// None: wait for what is in flight.
    Nothing,
}

/// Why a turn of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its time was up.
    Deadline,
    /// No generator had anything left, and nothing was in flight.
    Exhausted,
    /// Somebody pressed Ctrl-C for the first time.
    Interrupted,
    /// Somebody pressed Ctrl-C again.
    Aborted,
}

/// Numbers for the progress line and the manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that completed `ok`.
    pub ok: u64,
    /// Operations that completed `fail`.
    pub fail: u64,
    /// Operations that completed `info`.
    pub info: u64,
    /// Decisions of the kernel that fired.
    pub injections: u64,
}

impl Counts {
    /// Operations that completed.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.ok + self.fail + self.info
    }
}

/// The loop and what it owns.
pub struct Engine {
    /// Writes the history.
    pub recorder: Recorder,
    /// Counts so far.
    pub counts: Counts,
    events: Receiver<Event>,
    workloads: Vec<Workload>,
    slots: Vec<SlotState>,
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    connections: BTreeMap<u64, ConnectionRow>,
    phase: Arc<str>,
    asking: Asking,
    start_ns: i64,
    op_id_next: u64,
    seq_next: u64,
    in_flight: usize,
    open_slots: usize,
    interrupts: u32,
    ready: Option<Result<(), String>>,
    in_force: String,
}

impl Engine {
    /// An engine that starts its clock now. Process numbers start at 0, in the order of `slots`.
    #[must_use]
    pub fn new(recorder: Recorder, events: Receiver<Event>, workloads: Vec<Workload>, slots: Vec<Slot>) -> Self {
        let slots: Vec<SlotState> = slots
            .into_iter()
            .enumerate()
            .map(|(index, slot)| SlotState { slot, process: index as i64, busy: None, done: false, cookie: None })
            .collect();
        Self {
            recorder,
            counts: Counts::default(),
            events,
            workloads,
            open_slots: slots.len(),
            slots,
            timers: BinaryHeap::new(),
            connections: BTreeMap::new(),
            phase: Arc::from("warm-up"),
            asking: Asking::Nothing,
            start_ns: monotonic_ns(),
            op_id_next: 0,
            seq_next: 0,
            in_flight: 0,
            interrupts: 0,
            ready: None,
            in_force: String::new(),
        }
    }

    /// Nanoseconds since the engine was made.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(monotonic_ns() - self.start_ns).unwrap_or(0)
    }

    /// CLOCK_MONOTONIC when the engine was made.
    #[must_use]
    pub fn start_ns(&self) -> i64 {
        self.start_ns
    }

    /// Name of the phase that operations are recorded under.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// What is in force, in words, as of the last tick.
    #[must_use]
    pub fn in_force(&self) -> &str {
        &self.in_force
    }

    /// Starts a phase: operations are recorded under its name, and the slots are asked anew.
    pub fn enter(&mut self, phase: &str, asking: Asking) {
        self.phase = Arc::from(phase);
        if asking != self.asking {
            self.timers.clear();
            self.asking = asking;
            self.open_slots = self.slots.len();
            for state in &mut self.slots {
                state.done = false;
            }
            let now = self.now_ns();
            for slot in 0..self.slots.len() {
                self.timers.push(Reverse((now, slot)));
            }
        }
    }

    /// Turns the loop until `until_ns`, or until there is nothing left to do, or until somebody wants it to end.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn turn(
        &mut self,
        until_ns: u64,
        nemesis: &mut dyn Nemesis,
        progress: &mut dyn FnMut(&Engine),
    ) -> Result<Stop, RunError> {
        let interrupts_before = self.interrupts;
        let mut progress_next = self.now_ns() + TICK_NS;
        loop {
            let now = self.now_ns();
            if self.interrupts > interrupts_before {
                return Ok(if self.interrupts > 1 { Stop::Aborted } else { Stop::Interrupted });
            }
            if now >= until_ns {
                return Ok(Stop::Deadline);
            }
            if self.in_flight == 0 && (self.asking == Asking::Nothing || self.open_slots == 0) {
                return Ok(Stop::Exhausted);
            }
            self.wake_slots(now)?;
            nemesis.act(now, &self.recorder)?;
            if now >= progress_next {
                self.in_force = nemesis.in_force();
                progress(self);
                progress_next = now + TICK_NS;
            }
            let timer = self.timers.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let wake = until_ns.min(timer).min(nemesis.next_ns().unwrap_or(u64::MAX)).min(progress_next);
            self.wait_for_events(wake.saturating_sub(self.now_ns()), nemesis)?;
        }
    }

    /// Waits, asking nothing, for the cluster's answer to the question whether it serves; `None` when it did not come.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn wait_ready(
        &mut self,
        until_ns: u64,
        nemesis: &mut dyn Nemesis,
        progress: &mut dyn FnMut(&Engine),
    ) -> Result<Option<Result<(), String>>, RunError> {
        let interrupts_before = self.interrupts;
        self.ready = None;
        while self.ready.is_none() && self.now_ns() < until_ns && self.interrupts == interrupts_before {
            let now = self.now_ns();
            nemesis.act(now, &self.recorder)?;
            progress(self);
            self.wait_for_events(TICK_NS.min(until_ns.saturating_sub(now)), nemesis)?;
        }
        Ok(self.ready.take())
    }

    /// Handles what is in the queue now, without waiting.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn drain(&mut self, nemesis: &mut dyn Nemesis) -> Result<(), RunError> {
        while let Ok(event) = self.events.try_recv() {
            self.handle(event, nemesis)?;
        }
        Ok(())
    }

    /// Records the end of every connection that is still open.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn close_connections(&mut self) -> Result<(), RunError> {
        let open: Vec<u64> = self.connections.keys().copied().collect();
        open.into_iter().try_for_each(|cookie| self.close_connection(cookie, monotonic_ns()))
    }

    /// How often somebody wanted the run to end.
    #[must_use]
    pub fn interrupts(&self) -> u32 {
        self.interrupts
    }

    fn wait_for_events(&mut self, wait_ns: u64, nemesis: &mut dyn Nemesis) -> Result<(), RunError> {
        match self.events.recv_timeout(Duration::from_nanos(wait_ns)) {
            Ok(event) => self.handle(event, nemesis)?,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => return Err(RunError::WorkersGone),
        }
        for _ in 0..EVENTS_PER_TURN {
            match self.events.try_recv() {
                Ok(event) => self.handle(event, nemesis)?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event, nemesis: &mut dyn Nemesis) -> Result<(), RunError> {
        match event {
            Event::Completed(completed) => self.complete(*completed),
            Event::Injections(injections) => {
                self.counts.injections += injections.len() as u64;
                nemesis.injections(&injections, &self.recorder)
            }
            Event::Primaries(primaries) => nemesis.primaries(primaries, &self.recorder),
            Event::Ready(answer) => {
                self.ready = Some(answer);
                Ok(())
            }
            Event::EventReaderFailed(text) => {
                nemesis.reader_failed(text);
                Ok(())
            }
            Event::Interrupt => {
                self.interrupts += 1;
                Ok(())
            }
        }
    }

    fn wake_slots(&mut self, now: u64) -> Result<(), RunError> {
        while let Some(Reverse((at, slot))) = self.timers.peek().copied() {
            if at > now {
                return Ok(());
            }
            self.timers.pop();
            self.dispatch(slot, now)?;
        }
        Ok(())
    }

    /// Asks the generator what `slot` should do, if it is free, and tells the worker.
    fn dispatch(&mut self, index: usize, now: u64) -> Result<(), RunError> {
        let state = &mut self.slots[index];
        if state.busy.is_some() || state.done {
            return Ok(());
        }
        let workload = &mut self.workloads[state.slot.workload];
        let generator = match self.asking {
            Asking::Main => &mut workload.generator,
            Asking::Final => &mut workload.final_generator,
            Asking::Nothing => return Ok(()),
        };
        match generator.next(worker_of(state), now) {
            Next::Call(call) => self.invoke(index, call),
            Next::Wait { until_ns } => {
                self.timers.push(Reverse((until_ns.max(now + 1), index)));
                Ok(())
            }
            Next::Done => {
                state.done = true;
                self.open_slots -= 1;
                Ok(())
            }
        }
    }

    fn invoke(&mut self, index: usize, call: Call) -> Result<(), RunError> {
        let state = &mut self.slots[index];
        let op_id = self.op_id_next;
        self.op_id_next += 1;
        self.recorder.invoke(InvokeEvent {
            op_id,
            process: state.process,
            node: Some(&state.slot.node_name),
            phase: &self.phase,
            call: &call,
            seq: self.seq_next,
            t_ns: monotonic_ns(),
            conn_cookie: state.cookie,
        })?;
        self.seq_next += 1;
        state.busy = Some((op_id, call.clone()));
        self.in_flight += 1;
        state.slot.jobs.send(Job { op_id, call }).map_err(|_| RunError::WorkersGone)
    }

    fn complete(&mut self, completed: Completed) -> Result<(), RunError> {
        let Completed { worker: index, op_id, completion, complete_ns, connection, closed_cookies } = completed;
        if let Some(connection) = &connection {
            self.note_connection(index, connection, complete_ns)?;
        }
        let slot_count = self.slots.len() as i64;
        let state = &mut self.slots[index];
        debug_assert!(matches!(&state.busy, Some((busy, _)) if *busy == op_id), "a worker has one operation at a time");
        let Some((_, call)) = state.busy.take() else { return Ok(()) };
        self.in_flight -= 1;
        let (outcome, ended) = match &completion {
            Completion::Ok(result) => (Outcome::Ok, Ended::Ok(result)),
            Completion::Fail(error) => (Outcome::Fail, Ended::Fail { code: &error.code, text: &error.text }),
            Completion::Info(error) => (Outcome::Info, Ended::Info { code: &error.code, text: &error.text }),
        };
        self.recorder.complete(CompleteEvent {
            op_id,
            seq: self.seq_next,
            t_ns: complete_ns,
            completed: ended,
            conn_cookie: connection.as_ref().map(|connection| connection.cookie),
        })?;
        self.seq_next += 1;
        let worker = worker_of(state);
        let now = u64::try_from(complete_ns - self.start_ns).unwrap_or(0);
        let workload = &mut self.workloads[state.slot.workload];
        let generator =
            if self.asking == Asking::Final { &mut workload.final_generator } else { &mut workload.generator };
        let told = if let Completion::Ok(result) = &completion { result } else { &call };
        generator.complete(worker, told, outcome, now);
        match outcome {
            Outcome::Ok => self.counts.ok += 1,
            Outcome::Fail => self.counts.fail += 1,
            Outcome::Info => {
                self.counts.info += 1;
                state.process += slot_count;
            }
        }
        for cookie in closed_cookies {
            self.slots[index].cookie = None;
            self.close_connection(cookie, complete_ns)?;
        }
        let now = self.now_ns();
        self.dispatch(index, now)
    }

    /// Records a connection when it is first used by an operation.
    fn note_connection(&mut self, index: usize, connection: &Connection, t_ns: i64) -> Result<(), RunError> {
        let state = &mut self.slots[index];
        if state.cookie == Some(connection.cookie) {
            return Ok(());
        }
        state.cookie = Some(connection.cookie);
        let row = ConnectionRow {
            conn_cookie: Some(connection.cookie),
            process: Some(state.process),
            node: Some(state.slot.node_name.clone()),
            kind: ConnectionKind::Client,
            local_addr: connection.local.ip(),
            remote_addr: connection.remote.ip(),
            local_port: connection.local.port(),
            remote_port: connection.remote.port(),
            opened_ns: Some(t_ns),
            closed_ns: None,
        };
        self.recorder.connection(row.clone())?;
        self.connections.insert(connection.cookie, row);
        Ok(())
    }

    fn close_connection(&mut self, cookie: u64, t_ns: i64) -> Result<(), RunError> {
        if let Some(mut row) = self.connections.remove(&cookie) {
            row.closed_ns = Some(t_ns);
            self.recorder.connection(row)?;
        }
        Ok(())
    }
}

fn worker_of(state: &SlotState) -> Worker {
    let Slot { thread, concurrency, node, .. } = state.slot;
    Worker { process: state.process, thread, concurrency, node }
}
