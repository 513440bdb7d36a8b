//! The stream of events: who asks what when, and when it takes effect.
//!
//! Clients sit on seats. A seat goes through three moments: the invocation, the one at which the store acts, and the
//! completion. The moments of all seats lie in a heap, so that events come in the order of time. A client that gave an
//! operation up takes a new seat while the old one stays until the operation took effect.

use super::dice::{Chance, Dice};
use super::expected::Expected;
use super::machine::{Fate, Machine, Refusal, machine};
use super::plant::{Timetable, forget};
use super::spec::{Latency, Spec, SpecError, Spread};
use crate::op::{Call, Operation, Outcome};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

/// Operations that were given up and take effect later, at most.
const ADRIFT_MAX: usize = 1024;

/// What happens to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It begins.
    Invoke,
    /// It ends.
    Complete {
        /// How.
        outcome: Outcome,
        /// Short cause of a `fail` or `info`; there is no more to say about it.
        error_code: Option<Arc<str>>,
    },
}

/// One event of a synthetic history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Place in the total order: 0, 1, 2 and so on.
    pub seq: u64,
    /// When, ns from the beginning; never before the event that came before.
    pub time_ns: i64,
    /// The operation: numbered in order of invocation.
    pub op_id: u64,
    /// Its process.
    pub process: i64,
    /// Node that the client talks to.
    pub node: Option<Arc<str>>,
    /// Whether it begins or ends.
    pub kind: EventKind,
    /// What is asked; of an `ok` completion also what was told.
    pub call: Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Invoked,
    Acted,
    Adrift,
}

#[derive(Debug)]
struct Seat {
    process: i64,
    client: u32,
    stage: Stage,
    call: Option<Call>,
    fate: Fate,
    refusal: Option<Refusal>,
    op_id: u64,
    end_ns: u64,
}

/// What the rest of an event needs besides its seat.
struct Told {
    op_id: u64,
    process: i64,
    client: u32,
    kind: EventKind,
    call: Call,
}

/// Durations.
#[derive(Debug)]
struct Durations {
    /// Quantiles of the distribution.
    quantiles: Vec<u64>,
    long: Chance,
    long_factor: u64,
}

impl Durations {
    fn new(latency: &Latency) -> Self {
        const STEPS: usize = 1024;
        let mean = latency.mean_ns as f64;
        let quantile = |at: usize| {
            let share = (at as f64 + 0.5) / STEPS as f64;
            match latency.spread {
                Spread::Constant => mean,
                Spread::Uniform => 2.0 * mean * share,
                Spread::Exponential => -(1.0 - share).ln() * mean,
            }
        };
        let quantiles = (0..STEPS).map(|at| (quantile(at) as u64).max(1)).collect();
        Self { quantiles, long: Chance::new(latency.long_share), long_factor: latency.long_factor }
    }

    fn draw(&self, dice: &mut Dice) -> u64 {
        let usual = self.quantiles[(dice.bits() >> 54) as usize];
        if dice.happens(self.long) { usual.saturating_mul(self.long_factor) } else { usual }
    }
}

/// The events of a synthetic history, in their total order. Memory is bounded by the clients, the keys in use and the
/// planted scripts, whatever the number of operations.
pub struct Stream {
    spec: Spec,
    dice: Dice,
    machine: Box<dyn Machine + Send>,
    seats: Vec<Seat>,
    free: Vec<u32>,
    /// (time, seat)
    moments: BinaryHeap<Reverse<(u64, u32)>>,
    adrift: usize,
    durations: Durations,
    fail: Chance,
    info: Chance,
    /// Processes are replaced by those this much higher.
    stride: i64,
    nodes: Vec<Arc<str>>,
    aborted: Arc<str>,
    timeout: Arc<str>,
    /// Operations still to be invoked, those of scripts not counted.
    left: u64,
    invoked: u64,
    seq: u64,
    now_ns: u64,
    table: Timetable,
    next_planted: usize,
    /// The `op_id` of each planted step that was invoked.
    planted_ids: Vec<Option<u64>>,
    /// Events of the last calls.
    farewells: VecDeque<Event>,
    ends_with_farewells: bool,
}

impl Stream {
    /// The stream of a specification.
    ///
    /// # Errors
    /// A specification that makes no sense.
    pub fn new(spec: &Spec) -> Result<Self, SpecError> {
        spec.check()?;
        let table = Timetable::new(spec);
        let machine = machine(spec, table.keys);
        let planted = table.steps.len() as u64;
        let farewells = machine.farewells();
        let ends_with_farewells = farewells > 0 && planted + farewells < spec.ops / 2;
        let mut stream = Self {
            dice: Dice::new(spec.seed),
            machine,
            seats: Vec::new(),
            free: Vec::new(),
            moments: BinaryHeap::new(),
            adrift: 0,
            durations: Durations::new(&spec.latency),
            fail: Chance::new(spec.fail_share),
            info: Chance::new(spec.info_share),
            stride: i64::from(spec.concurrency) + i64::from(table.actors),
            nodes: (1..=spec.nodes).map(|node| Arc::from(format!("n{node}"))).collect(),
            aborted: Arc::from("aborted"),
            timeout: Arc::from("timeout"),
            left: spec.ops - planted,
            invoked: 0,
            seq: 0,
            now_ns: 0,
            planted_ids: vec![None; table.steps.len()],
            table,
            next_planted: 0,
            farewells: VecDeque::new(),
            ends_with_farewells,
            spec: spec.clone(),
        };
        for client in 0..spec.concurrency {
            let seat = stream.take_seat(i64::from(client), client);
            let start = stream.durations.draw(&mut stream.dice);
            stream.moments.push(Reverse((start, seat)));
        }
        Ok(stream)
    }

    /// What a checker should say about the history. Planted operations have their numbers once they were invoked: ask
    /// when the stream has ended.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let ids = |plant: usize| {
            let steps = self.table.steps.iter().zip(&self.planted_ids);
            steps.filter(|(step, _)| step.plant == plant).filter_map(|(_, id)| *id).collect()
        };
        let planted = self.table.finds.iter().enumerate().map(|(plant, finds)| (*finds, ids(plant))).collect();
        Expected::new(&self.spec, planted)
    }

    /// About how many operations are invoked while the longest one is in flight: what [`Stream::operations`] holds.
    #[must_use]
    pub fn longest_in_flight(&self) -> u64 {
        // Of very many exponential times the longest is some twenty times the mean.
        let latency = &self.spec.latency;
        let factor = if latency.long_share > 0.0 { latency.long_factor } else { 1 };
        factor.saturating_mul(20 * u64::from(self.spec.concurrency)).min(self.spec.ops).max(self.table.longest())
    }

    /// The same history as operations in order of invocation. Operations wait until all that were invoked before them
    /// have ended, so memory is bounded by what is invoked during the longest operation.
    #[must_use]
    pub fn operations(self) -> Operations {
        Operations { stream: self, open: VecDeque::new(), first: 0 }
    }

    fn take_seat(&mut self, process: i64, client: u32) -> u32 {
        let seat = Seat {
            process,
            client,
            stage: Stage::Idle,
            call: None,
            fate: Fate::Ok,
            refusal: None,
            op_id: 0,
            end_ns: 0,
        };
        if let Some(place) = self.free.pop() {
            self.seats[place as usize] = seat;
            return place;
        }
        self.seats.push(seat);
        self.seats.len() as u32 - 1
    }

    fn event(&mut self, told: Told) -> Event {
        let node = match self.nodes.len() {
            0 => None,
            count => Some(self.nodes[told.client as usize % count].clone()),
        };
        let seq = self.seq;
        self.seq += 1;
        let Told { op_id, process, kind, call, .. } = told;
        Event { seq, time_ns: self.now_ns as i64, op_id, process, node, kind, call }
    }

    fn draw_fate(&mut self) -> Fate {
        if self.dice.happens(self.fail) {
            return Fate::Fail;
        }
        if !self.dice.happens(self.info) {
            return Fate::Ok;
        }
        match self.dice.below(3) {
            0 => Fate::Unheard,
            1 => Fate::Late,
            _ => Fate::Lost,
        }
    }

    /// A planted event, if one is due. At the end all are.
    fn planted(&mut self, at_end: bool) -> Option<Event> {
        let (due, step, completes) = *self.table.events.get(self.next_planted)?;
        if due > self.invoked && !at_end {
            return None;
        }
        self.next_planted += 1;
        let planted = &self.table.steps[step as usize];
        let (actor, outcome) = (planted.actor, planted.outcome);
        let mut call = planted.call.clone();
        if !completes || outcome != Outcome::Ok {
            forget(&mut call);
        }
        let kind = if completes {
            let error_code = match outcome {
                Outcome::Ok => None,
                Outcome::Fail => Some(self.aborted.clone()),
                Outcome::Info => Some(self.timeout.clone()),
            };
            EventKind::Complete { outcome, error_code }
        } else {
            self.planted_ids[step as usize] = Some(self.invoked);
            self.invoked += 1;
            EventKind::Invoke
        };
        let op_id = self.planted_ids[step as usize]?;
        let process = i64::from(self.spec.concurrency) + i64::from(actor);
        Some(self.event(Told { op_id, process, client: actor, kind, call }))
    }

    /// Whether clients go on. What is left in the end is for last looks, one for each object that needs it.
    fn goes_on(&self) -> bool {
        // The next call may make one more necessary.
        self.left > 0 && !(self.ends_with_farewells && self.left < self.machine.farewells() + 2)
    }

    fn invoke(&mut self, at: u32) -> Event {
        let mut fate = self.draw_fate();
        let call = self.machine.open(&mut self.dice, at as usize, &mut fate);
        let took = self.durations.draw(&mut self.dice);
        let acts = self.dice.below(took);
        let seat = &mut self.seats[at as usize];
        seat.op_id = self.invoked;
        seat.fate = fate;
        seat.refusal = None;
        seat.call = Some(call.clone());
        seat.stage = Stage::Invoked;
        seat.end_ns = self.now_ns + took;
        let told =
            Told { op_id: self.invoked, process: seat.process, client: seat.client, kind: EventKind::Invoke, call };
        self.moments.push(Reverse((self.now_ns + acts, at)));
        self.invoked += 1;
        self.left -= 1;
        self.event(told)
    }

    fn act(&mut self, at: u32) {
        let seat = &mut self.seats[at as usize];
        let late = seat.fate == Fate::Late && seat.stage == Stage::Invoked;
        if let (Some(call), false) = (&mut seat.call, late) {
            seat.refusal = self.machine.act(&mut self.dice, at as usize, call, seat.fate).err();
        }
        if seat.stage == Stage::Adrift {
            if let Some(call) = seat.call.take() {
                self.machine.close(at as usize, &call, seat.refusal.is_none());
            }
            self.machine.reset(at as usize);
            self.adrift -= 1;
            self.free.push(at);
            return;
        }
        seat.stage = Stage::Acted;
        self.moments.push(Reverse((seat.end_ns, at)));
    }

    fn complete(&mut self, at: u32) -> Option<Event> {
        let seat = &mut self.seats[at as usize];
        let mut call = seat.call.take()?;
        let (op_id, process, client, fate, refusal) = (seat.op_id, seat.process, seat.client, seat.fate, seat.refusal);
        let (outcome, error_code) = match (fate, refusal) {
            (Fate::Ok, None) => {
                self.machine.finish(&mut self.dice, at as usize, &mut call);
                (Outcome::Ok, None)
            }
            (Fate::Ok, Some(refusal)) => (Outcome::Fail, Some(Arc::from(refusal))),
            (Fate::Fail, _) => (Outcome::Fail, Some(self.aborted.clone())),
            _ => (Outcome::Info, Some(self.timeout.clone())),
        };
        let pause = self.durations.draw(&mut self.dice) / 4;
        if fate == Fate::Late && self.adrift < ADRIFT_MAX {
            let seat = &mut self.seats[at as usize];
            seat.call = Some(call.clone());
            seat.stage = Stage::Adrift;
            self.adrift += 1;
            let later = self.durations.draw(&mut self.dice).saturating_mul(10);
            self.moments.push(Reverse((self.now_ns + later, at)));
            let next = self.take_seat(process + self.stride, client);
            self.moments.push(Reverse((self.now_ns + pause, next)));
        } else {
            if fate == Fate::Late {
                let acted = self.machine.act(&mut self.dice, at as usize, &mut call, fate);
                self.seats[at as usize].refusal = acted.err();
            }
            let acted = fate.acts() && self.seats[at as usize].refusal.is_none();
            self.machine.close(at as usize, &call, acted);
            let seat = &mut self.seats[at as usize];
            seat.stage = Stage::Idle;
            if outcome == Outcome::Info {
                seat.process += self.stride;
                self.machine.reset(at as usize);
            }
            self.moments.push(Reverse((self.now_ns + pause, at)));
        }
        Some(self.event(Told { op_id, process, client, kind: EventKind::Complete { outcome, error_code }, call }))
    }

    /// The calls that end the history, one after the other.
    fn farewell(&mut self) -> Option<Event> {
        if self.left > 0 && self.farewells.is_empty() {
            self.left -= 1;
            let at = self.take_seat(0, 0);
            let asked = self.machine.farewell(at as usize);
            self.free.push(at);
            let asked = asked?;
            let mut told = asked.clone();
            // What nobody contends for is not refused.
            let refusal = self.machine.act(&mut self.dice, at as usize, &mut told, Fate::Ok).err();
            self.machine.close(at as usize, &told, refusal.is_none());
            let op_id = self.invoked;
            self.invoked += 1;
            // A client that is not otherwise there, and never comes back.
            let process = self.stride.saturating_mul(1 << 32);
            let completion = EventKind::Complete { outcome: Outcome::Ok, error_code: None };
            for (kind, call) in [(EventKind::Invoke, asked), (completion, told)] {
                self.now_ns += self.spec.latency.mean_ns;
                let event = self.event(Told { op_id, process, client: 0, kind, call });
                self.farewells.push_back(event);
            }
        }
        self.farewells.pop_front()
    }
}

impl Iterator for Stream {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if self.next_planted < self.table.events.len()
                && let Some(event) = self.planted(self.moments.is_empty())
            {
                return Some(event);
            }
            let Some(Reverse((time, at))) = self.moments.pop() else {
                return self.farewell();
            };
            self.now_ns = time;
            match self.seats[at as usize].stage {
                Stage::Idle if self.goes_on() => return Some(self.invoke(at)),
                Stage::Idle => {}
                Stage::Invoked | Stage::Adrift => self.act(at),
                Stage::Acted => {
                    if let Some(event) = self.complete(at) {
                        return Some(event);
                    }
                }
            }
        }
    }
}

/// Operations of a synthetic history in order of invocation; see [`Stream::operations`].
pub struct Operations {
    stream: Stream,
    /// Operations from `first` on, and whether they have ended.
    open: VecDeque<(Operation, bool)>,
    first: u64,
}

impl Operations {
    /// As [`Stream::expected`].
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.stream.expected()
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        loop {
            if self.open.front().is_some_and(|(_, ended)| *ended) {
                self.first += 1;
                return self.open.pop_front().map(|(op, _)| op);
            }
            let Some(event) = self.stream.next() else {
                self.first += 1;
                return self.open.pop_front().map(|(op, _)| op);
            };
            match event.kind {
                EventKind::Invoke => self.open.push_back((
                    Operation {
                        op_id: event.op_id,
                        process: event.process,
                        node: event.node,
                        call: event.call,
                        invoke_seq: event.seq,
                        complete_seq: None,
                        invoke_ns: event.time_ns,
                        complete_ns: None,
                        outcome: Outcome::Info,
                        error_code: None,
                        error_text: None,
                        conn_cookie: None,
                    },
                    false,
                )),
                EventKind::Complete { outcome, error_code } => {
                    let Some((op, ended)) = self.open.get_mut((event.op_id - self.first) as usize) else { continue };
                    op.call = event.call;
                    op.complete_seq = Some(event.seq);
                    op.complete_ns = Some(event.time_ns);
                    op.outcome = outcome;
                    op.error_text = error_code.clone();
                    op.error_code = error_code;
                    *ended = true;
                }
            }
        }
    }
}
