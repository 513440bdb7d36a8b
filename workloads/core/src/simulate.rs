//! A simulator that runs generators with no I/O, on a clock of its own.
//!
//! Workers ask a [`Generator`], a [`Store`] answers, and the result is a [`History`] as a run would record it. The same
//! generator, store, options and seed give the same history.
//!
//! Every operation takes effect at one moment between its invocation and its completion, so histories over
//! [`PerfectStore`] are linearizable (strict serializable, for transactions) by construction. An `info` operation takes
//! effect at a moment that may lie long after its completion, or never.

use crate::{
    dice::Dice,
    generator::{Generator, Next, Worker},
};
use fissure_checker::op::{Call, History, HistoryError, Mop, Operation, Outcome};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

/// What answers the operations: one step per operation, in the order of their effects.
pub trait Store {
    /// Performs `call`, asked of the node with this index: the call with its reads filled in, or the code of the error
    /// that kept it from taking effect.
    ///
    /// # Errors
    /// The code of a `fail`, such as `cas-mismatch`.
    fn apply(&mut self, node: usize, call: &Call) -> Result<Call, &'static str>;
}

/// Registers and lists in memory, right by construction.
#[derive(Clone, Debug, Default)]
pub struct PerfectStore {
    registers: BTreeMap<i64, i64>,
    lists: BTreeMap<i64, Vec<i64>>,
}

impl PerfectStore {
    /// What the register at `key` holds.
    #[must_use]
    pub fn register(&self, key: i64) -> Option<i64> {
        self.registers.get(&key).copied()
    }

    /// Performs a micro-operation; `None` if it is not of a list or a register.
    fn mop(&mut self, mop: &Mop) -> Option<Mop> {
        Some(match *mop {
            Mop::Append { key, value } => {
                self.lists.entry(key).or_default().push(value);
                mop.clone()
            }
            Mop::ReadList { key, .. } => {
                Mop::ReadList { key, list: Some(self.lists.get(&key).cloned().unwrap_or_default()) }
            }
            Mop::Write { key, value } => {
                self.registers.insert(key, value);
                mop.clone()
            }
            Mop::Read { key, .. } => Mop::Read { key, value: Some(self.register(key)) },
            _ => return None,
        })
    }
}

impl Store for PerfectStore {
    fn apply(&mut self, _node: usize, call: &Call) -> Result<Call, &'static str> {
        match *call {
            Call::Read { key, .. } => Ok(Call::Read { key, value: Some(self.register(key)) }),
            Call::Write { key, value } => {
                self.registers.insert(key, value);
                Ok(call.clone())
            }
            Call::Cas { key, expected, value } if self.register(key) == Some(expected) => {
                self.registers.insert(key, value);
                Ok(call.clone())
            }
            Call::Cas { .. } => Err("cas-mismatch"),
            Call::Txn(ref mops) => {
                mops.iter().map(|mop| self.mop(mop)).collect::<Option<_>>().map(Call::Txn).ok_or("unsupported")
            }
            _ => Err("unsupported"),
        }
    }
}

/// How the simulated world behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker slots.
    pub concurrency: usize,
    /// Nodes; worker slot `i` talks to node `i % nodes`.
    pub nodes: usize,
    /// Shortest time from invocation to completion, ns.
    pub latency_ns_min: u64,
    /// Longest time from invocation to completion, ns; all between are alike.
    pub latency_ns_max: u64,
    /// Operations that fail without effect, in parts per million.
    pub fail_ppm: u32,
    /// Operations that end as `info`, in parts per million. Half of them take effect, then or later.
    pub info_ppm: u32,
    /// Time after which an `info` operation completes; its effect comes within ten times as long, ns.
    pub timeout_ns: u64,
    /// Seed of the latencies and errors.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 10,
            nodes: 5,
            latency_ns_min: 100_000,
            latency_ns_max: 3_000_000,
            fail_ppm: 0,
            info_ppm: 0,
            timeout_ns: 50_000_000,
            seed: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The operation with this number takes effect.
    Effect(usize),
    /// The operation with this number completes.
    Complete(usize),
    /// The worker slot asks for something to do.
    Ask(usize),
}

/// What becomes of an operation, drawn when it is invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Failed,
    Lost,
}

struct Running {
    operation: Operation,
    thread: usize,
    fate: Fate,
    answer: Option<Result<Call, &'static str>>,
}

/// A simulated run. [`Simulation::run`] may be called for one phase after the other.
pub struct Simulation<S> {
    /// What answers.
    pub store: S,
    options: Options,
    dice: Dice,
    now_ns: u64,
    seq_next: u64,
    /// By time, then by order of planning.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
    operations: Vec<Running>,
    processes: Vec<i64>,
    in_flight: usize,
    nodes: Vec<Arc<str>>,
}

impl<S: Store> Simulation<S> {
    /// A world in which nothing has happened yet.
    pub fn new(store: S, options: Options) -> Self {
        Self {
            store,
            dice: Dice::new(options.seed, u64::MAX),
            now_ns: 0,
            seq_next: 0,
            events: BinaryHeap::new(),
            planned: 0,
            operations: Vec::new(),
            processes: (0..options.concurrency as i64).collect(),
            in_flight: 0,
            nodes: (1..=options.nodes.max(1)).map(|number| Arc::from(format!("n{number}"))).collect(),
            options,
        }
    }

    /// Time on the simulated clock, ns.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Operations invoked so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// Lets all workers ask `generator` until it is done for every one of them, or until `until_ns`; then waits for what is in
    /// flight.
    pub fn run(&mut self, generator: &mut dyn Generator, until_ns: u64) {
        for thread in 0..self.options.concurrency {
            self.plan(self.now_ns, Event::Ask(thread));
        }
        let mut asking = self.options.concurrency;
        while asking > 0 || self.in_flight > 0 {
            let Some(Reverse((at_ns, _, event))) = self.events.pop() else { break };
            self.now_ns = at_ns;
            match event {
                Event::Effect(number) => self.take_effect(number),
                Event::Complete(number) => {
                    let thread = self.complete(number, generator);
                    self.plan(self.now_ns, Event::Ask(thread));
                }
                Event::Ask(_) if self.now_ns >= until_ns => asking -= 1,
                Event::Ask(thread) => match generator.next(self.worker(thread), self.now_ns) {
                    Next::Call(call) => self.invoke(thread, call),
                    Next::Wait { until_ns } => self.plan(until_ns.max(self.now_ns + 1), Event::Ask(thread)),
                    Next::Done => asking -= 1,
                },
            }
        }
    }

    /// What was recorded.
    ///
    /// # Errors
    /// None, unless the generator or this simulator is broken: the invariants of a history hold by construction.
    pub fn into_history(self) -> Result<History, HistoryError> {
        History::new(self.operations.into_iter().map(|running| running.operation).collect())
    }

    fn worker(&self, thread: usize) -> Worker {
        let Options { concurrency, .. } = self.options;
        Worker { process: self.processes[thread], thread, concurrency, node: thread % self.nodes.len() }
    }

    fn plan(&mut self, at_ns: u64, event: Event) {
        self.events.push(Reverse((at_ns, self.planned, event)));
        self.planned += 1;
    }

    fn seq(&mut self) -> u64 {
        self.seq_next += 1;
        self.seq_next - 1
    }

    fn invoke(&mut self, thread: usize, call: Call) {
        let number = self.operations.len();
        let fate = self.fate();
        let latency_ns = self.dice.between(self.options.latency_ns_min, self.options.latency_ns_max);
        let effect_ns = match fate {
            Fate::Answered => Some(self.dice.between(0, latency_ns)),
            Fate::Failed => None,
            Fate::Lost if self.dice.chance(500_000) => Some(self.dice.between(0, 10 * self.options.timeout_ns)),
            Fate::Lost => None,
        };
        let complete_ns = if fate == Fate::Lost { self.options.timeout_ns } else { latency_ns };
        let worker = self.worker(thread);
        let operation = Operation {
            op_id: number as u64,
            process: worker.process,
            node: Some(self.nodes[worker.node].clone()),
            call,
            invoke_seq: self.seq(),
            complete_seq: None,
            invoke_ns: self.now_ns as i64,
            complete_ns: None,
            outcome: Outcome::Info,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        };
        self.operations.push(Running { operation, thread, fate, answer: None });
        self.in_flight += 1;
        // The effect is planned first, so that it comes first when both fall on one moment.
        if let Some(effect_ns) = effect_ns {
            self.plan(self.now_ns + effect_ns, Event::Effect(number));
        }
        self.plan(self.now_ns + complete_ns, Event::Complete(number));
    }

    fn fate(&mut self) -> Fate {
        if self.dice.chance(self.options.info_ppm) {
            Fate::Lost
        } else if self.dice.chance(self.options.fail_ppm) {
            Fate::Failed
        } else {
            Fate::Answered
        }
    }

    fn take_effect(&mut self, number: usize) {
        let running = &mut self.operations[number];
        let node = running.thread % self.nodes.len();
        running.answer = Some(self.store.apply(node, &running.operation.call));
    }

    /// Ends an operation and tells the generator; the worker slot that is free now.
    fn complete(&mut self, number: usize, generator: &mut dyn Generator) -> usize {
        let seq = self.seq();
        let thread = self.operations[number].thread;
        let worker = self.worker(thread);
        let running = &mut self.operations[number];
        let operation = &mut running.operation;
        operation.complete_seq = Some(seq);
        operation.complete_ns = Some(self.now_ns as i64);
        let (outcome, error) = match (running.fate, running.answer.take()) {
            (Fate::Answered, Some(Ok(answer))) => {
                operation.call = answer;
                (Outcome::Ok, None)
            }
            (Fate::Answered, Some(Err(code))) => (Outcome::Fail, Some(code)),
            (Fate::Failed, _) => (Outcome::Fail, Some("refused")),
            (Fate::Answered, None) | (Fate::Lost, _) => (Outcome::Info, Some("timeout")),
        };
        operation.outcome = outcome;
        operation.error_code = error.map(Arc::from);
        self.in_flight -= 1;
        generator.complete(worker, &running.operation.call, outcome, self.now_ns);
        if outcome == Outcome::Info {
            self.processes[thread] += self.options.concurrency as i64;
        }
        thread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads and writes one register, `left` times.
    struct Alternate {
        left: u64,
    }

    impl Generator for Alternate {
        fn next(&mut self, _worker: Worker, _now_ns: u64) -> Next {
            if self.left == 0 {
                return Next::Done;
            }
            self.left -= 1;
            let value = self.left as i64;
            Next::Call(if self.left.is_multiple_of(2) {
                Call::Write { key: 0, value }
            } else {
                Call::Read { key: 0, value: None }
            })
        }
    }

    fn simulate(options: Options) -> History {
        let mut simulation = Simulation::new(PerfectStore::default(), options);
        simulation.run(&mut Alternate { left: 200 }, u64::MAX);
        simulation.into_history().expect("the invariants of a history")
    }

    #[test]
    fn a_single_worker_sees_what_it_wrote() {
        let history = simulate(Options { concurrency: 1, ..Options::default() });
        assert_eq!(history.len(), 200);
        for pair in history.ops().windows(2) {
            if let (Call::Write { value, .. }, Call::Read { value: seen, .. }) = (&pair[0].call, &pair[1].call) {
                assert_eq!(*seen, Some(Some(*value)));
            }
        }
    }

    #[test]
    fn nobody_is_asked_after_the_end() {
        let mut simulation = Simulation::new(PerfectStore::default(), Options::default());
        simulation.run(&mut Alternate { left: u64::MAX }, 20_000_000);
        let history = simulation.into_history().expect("history");
        assert!(!history.is_empty());
        assert!(history.ops().iter().all(|op| op.invoke_ns < 20_000_000 && op.complete_ns.is_some()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_same_seed_gives_the_same_history(
            seed: u64, concurrency in 1_usize..20, fail_ppm in 0_u32..300_000, info_ppm in 0_u32..300_000,
        ) {
            let options = Options { seed, concurrency, fail_ppm, info_ppm, ..Options::default() };
            let history = simulate(options.clone());
            prop_assert_eq!(&simulate(options), &history);
            prop_assert_eq!(history.len(), 200);
        }
    }
}
