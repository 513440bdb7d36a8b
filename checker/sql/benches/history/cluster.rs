//! The clients and the database that are made up, one operation after the other: every operation takes effect when it
//! completes, so that the history is linearizable and strictly serializable but for a few reads that are stale on purpose.
//! Checkers then find something, and not more with every operation. What is kept does not grow with the history.

use crate::data::{CLIENTS, Draw, STEP_NS, in_fault, invoked_ns, node};
use fissure_checker::{Call, Mop, Operation, Outcome};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

/// Registers, of which key 0 is hot.
const REGISTERS: i64 = 1_000;

/// Registers from this one on have keys beyond those of the lists.
const REGISTERS_BELOW_LISTS: i64 = 10;

/// What such keys are higher by.
const BEYOND_LISTS: i64 = 1 << 40;

/// Lists that are appended to at one time, and how long one gets, about.
const LISTS: usize = 10;
const LIST_LENGTH: usize = 32;

/// Lists that are kept: more than those that an operation in flight may still be about.
const LISTS_KEPT: i64 = 1_000;

/// One read of a register and one of a list are stale in so many operations.
const STALE_EVERY: u64 = 200_000;

/// A register, and what it held before.
#[derive(Clone, Copy, Default)]
struct Register {
    value: Option<i64>,
    before: Option<i64>,
    /// When it got its value, in the order of events.
    since: u64,
}

/// A list, and when it got its last element.
#[derive(Default)]
struct List {
    elements: Vec<i64>,
    since: u64,
}

/// What the database holds.
struct Database {
    registers: Vec<Register>,
    lists: BTreeMap<i64, List>,
    /// Keys of the lists that clients append to.
    current: [i64; LISTS],
    last_list: i64,
    /// Stale reads that are due, of registers and of lists.
    stale: [bool; 2],
}

impl Database {
    fn new() -> Self {
        let current: [i64; LISTS] = std::array::from_fn(|slot| REGISTERS_BELOW_LISTS + slot as i64);
        let registers = vec![Register::default(); REGISTERS as usize];
        Self { registers, lists: BTreeMap::new(), current, last_list: current[LISTS - 1], stale: [false; 2] }
    }

    /// What is asked next: seven in ten on registers, the others transactions over lists.
    fn ask(&self, draw: &mut Draw, op_id: u64) -> Call {
        let number = (draw.below(2 * REGISTERS as u64) as i64 - REGISTERS).max(0);
        let key = if number < REGISTERS_BELOW_LISTS { number } else { number + BEYOND_LISTS };
        let value = op_id as i64;
        match draw.below(10) {
            0..4 => Call::Read { key, value: None },
            4..6 => Call::Write { key, value },
            // What it expects is found out when it is carried out: otherwise nearly every one on the hot key would fail.
            6 => Call::Cas { key, expected: self.registers[number as usize].value.unwrap_or(-1), value },
            _ => {
                let mops = (0..1 + draw.below(3)).map(|at| {
                    let key = self.current[draw.below(LISTS as u64) as usize];
                    match draw.below(2) {
                        0 => Mop::Append { key, value: value * 4 + at as i64 },
                        _ => Mop::ReadList { key, list: None },
                    }
                });
                Call::Txn(mops.collect())
            }
        }
    }

    /// Carries an operation out that completes at `seq`; what it saw is put into it if it is told.
    fn carry_out(&mut self, op: &mut Operation, seq: u64) {
        let (told, invoked) = (op.outcome == Outcome::Ok, op.invoke_seq);
        match &mut op.call {
            Call::Read { key, value } => *value = told.then(|| self.read(*key, invoked)),
            Call::Write { key, value } => self.write(*key, *value, seq),
            Call::Cas { key, expected, value } => match self.register(*key).value {
                Some(there) => {
                    *expected = there;
                    self.write(*key, *value, seq);
                }
                None => op.outcome = Outcome::Fail,
            },
            Call::Txn(mops) => self.transact(mops, told, invoked, seq),
            _ => {}
        }
    }

    fn register(&mut self, key: i64) -> &mut Register {
        &mut self.registers[(key % BEYOND_LISTS) as usize]
    }

    fn read(&mut self, key: i64, invoked: u64) -> Option<i64> {
        let register = *self.register(key);
        if self.stale[0] && register.before.is_some() && register.since < invoked {
            self.stale[0] = false;
            return register.before;
        }
        register.value
    }

    fn write(&mut self, key: i64, value: i64, seq: u64) {
        let register = self.register(key);
        *register = Register { value: Some(value), before: register.value, since: seq };
    }

    fn transact(&mut self, mops: &mut [Mop], told: bool, invoked: u64, seq: u64) {
        // Only one that does nothing else, so that the anomaly is that of a stale read.
        let may_be_stale = mops.len() == 1;
        for mop in mops {
            match mop {
                Mop::Append { key, value } => self.append(*key, *value, seq),
                Mop::ReadList { key, list } => {
                    let held = self.lists.entry(*key).or_default();
                    let length = held.elements.len();
                    let is_stale = may_be_stale && self.stale[1] && length > 1 && held.since < invoked && told;
                    let seen = if is_stale { length - 1 } else { length };
                    self.stale[1] &= !is_stale;
                    *list = told.then(|| held.elements[..seen].to_vec());
                }
                _ => {}
            }
        }
    }

    fn append(&mut self, key: i64, value: i64, seq: u64) {
        let list = self.lists.entry(key).or_default();
        list.elements.push(value);
        list.since = seq;
        if list.elements.len() < LIST_LENGTH {
            return;
        }
        if let Some(slot) = self.current.iter().position(|current| *current == key) {
            self.last_list += 1;
            self.current[slot] = self.last_list;
            while self.lists.first_key_value().is_some_and(|(oldest, _)| *oldest < self.last_list - LISTS_KEPT) {
                self.lists.pop_first();
            }
        }
    }
}

/// The operations, in order of invocation.
pub(crate) struct Operations {
    ops: u64,
    draw: Draw,
    database: Database,
    nodes: Vec<Arc<str>>,
    /// Invoked but not yet given out.
    open: VecDeque<Operation>,
    /// Completions that are to come, the next first: time and operation.
    completions: BinaryHeap<Reverse<(i64, u64)>>,
    /// Processes of the clients: another one after each `info`.
    processes: Vec<i64>,
    invoked: u64,
    seq: u64,
}

impl Operations {
    pub(crate) fn new(ops: u64) -> Self {
        Self {
            ops,
            draw: Draw(1),
            database: Database::new(),
            nodes: (0..=5).map(|node| Arc::from(format!("n{node}"))).collect(),
            open: VecDeque::new(),
            completions: BinaryHeap::new(),
            processes: (0..CLIENTS as i64).collect(),
            invoked: 0,
            seq: 0,
        }
    }

    /// The next event: an invocation, every [`STEP_NS`], or what completes before it.
    fn step(&mut self) {
        let next_ns = if self.invoked < self.ops { invoked_ns(self.invoked) } else { i64::MAX };
        match self.completions.peek() {
            Some(Reverse((at_ns, op_id))) if *at_ns <= next_ns => {
                let op_id = *op_id;
                self.completions.pop();
                self.complete(op_id);
            }
            _ => self.invoke(),
        }
        self.seq += 1;
    }

    fn invoke(&mut self) {
        let (op_id, invoke_ns) = (self.invoked, invoked_ns(self.invoked));
        let client = op_id % CLIENTS;
        let hit = in_fault(invoke_ns) && self.draw.below(8) == 0;
        // Less than the time until the client's next operation.
        let more = if hit { self.draw.below(1_200_000) as i64 } else { 0 };
        let latency = 400_000 + self.draw.below(600_000) as i64 + more;
        const { assert!(2_200_000 < CLIENTS as i64 * STEP_NS) };
        let outcome = match self.draw.below(20) {
            0 if hit => Outcome::Info,
            1..4 if hit => Outcome::Fail,
            _ => Outcome::Ok,
        };
        if op_id % STALE_EVERY == STALE_EVERY / 2 {
            self.database.stale = [true; 2];
        }
        self.completions.push(Reverse((invoke_ns + latency, op_id)));
        self.open.push_back(Operation {
            op_id,
            process: self.processes[client as usize],
            node: Some(self.nodes[node(client) as usize].clone()),
            call: self.database.ask(&mut self.draw, op_id),
            invoke_seq: self.seq,
            complete_seq: None,
            invoke_ns,
            complete_ns: Some(invoke_ns + latency),
            outcome,
            error_text: None,
            error_code: None,
            conn_cookie: Some(5_000 + client),
        });
        self.invoked += 1;
    }

    fn complete(&mut self, op_id: u64) {
        let first = self.open.front().map_or(op_id, |op| op.op_id);
        let op = &mut self.open[(op_id - first) as usize];
        op.complete_seq = Some(self.seq);
        let happens = match op.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => self.draw.below(2) == 0,
        };
        if happens {
            self.database.carry_out(op, self.seq);
        }
        if op.outcome == Outcome::Info {
            self.processes[(op_id % CLIENTS) as usize] += CLIENTS as i64;
        }
        let error: Option<Arc<str>> = match op.outcome {
            Outcome::Ok => None,
            Outcome::Fail => Some(Arc::from("no-leader")),
            Outcome::Info => Some(Arc::from("timeout")),
        };
        op.error_text = error.clone();
        op.error_code = error;
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        loop {
            match self.open.front() {
                Some(op) if op.complete_seq.is_some() => return self.open.pop_front(),
                None if self.invoked == self.ops => return None,
                _ => self.step(),
            }
        }
    }
}
