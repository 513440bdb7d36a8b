//! Combinators: how often, how long, how many.

use fissure_workloads::{Call, Dice, Generator, Next, Outcome, Worker};

/// Stream of dice for pacing, apart from those of the workloads.
const STREAM: u64 = 1;
/// Missed turns that are made up for; more are forgotten, so that a stall is not followed by a flood.
const CATCH_UP: u64 = 5;

/// How often: `count` operations in `per_ns` ns, by all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how many ns.
    pub per_ns: u64,
}

impl Rate {
    /// Mean time between two operations, ns, at least 1.
    #[must_use]
    pub fn interval_ns(self) -> u64 {
        ((self.per_ns + self.count / 2) / self.count.max(1)).max(1)
    }
}

/// Spreads the operations of a generator over time: pauses between them are random, from none to twice the mean.
///
/// Every worker that has to wait is given a turn of its own, so that it wakes once per operation, however many wait.
pub struct Staggered<G> {
    inner: G,
    interval_ns: u64,
    turn_ns: u64,
    /// By worker slot: the turn it was given.
    given: Vec<Option<u64>>,
    dice: Dice,
}

impl<G: Generator> Staggered<G> {
    /// Paces `inner` to `rate`.
    pub fn new(inner: G, rate: Rate, seed: u64) -> Self {
        Self { inner, interval_ns: rate.interval_ns(), turn_ns: 0, given: Vec::new(), dice: Dice::new(seed, STREAM) }
    }

    /// The turn of a worker slot; a new one if it has none.
    fn turn(&mut self, thread: usize, now_ns: u64) -> u64 {
        if self.given.len() <= thread {
            self.given.resize(thread + 1, None);
        }
        if let Some(turn_ns) = self.given[thread] {
            return turn_ns;
        }
        let earliest_ns = now_ns.saturating_sub(CATCH_UP.saturating_mul(self.interval_ns));
        let turn_ns = self.turn_ns.max(earliest_ns);
        self.turn_ns = turn_ns + self.dice.between(0, 2 * self.interval_ns);
        self.given[thread] = Some(turn_ns);
        turn_ns
    }
}

impl<G: Generator> Generator for Staggered<G> {
    fn next(&mut self, worker: Worker, now_ns: u64) -> Next {
        let turn_ns = self.turn(worker.thread, now_ns);
        if turn_ns > now_ns {
            return Next::Wait { until_ns: turn_ns };
        }
        let next = self.inner.next(worker, now_ns);
        // A turn that was not used is kept.
        if matches!(next, Next::Call(_)) {
            self.given[worker.thread] = None;
        }
        next
    }

    fn complete(&mut self, worker: Worker, call: &Call, outcome: Outcome, now_ns: u64) {
        self.inner.complete(worker, call, outcome, now_ns);
    }
}

/// Ends a generator at a time.
pub struct TimeLimit<G> {
    inner: G,
    until_ns: u64,
}

impl<G: Generator> TimeLimit<G> {
    /// Asks `inner` until `until_ns` (ns since the start of the run).
    pub fn new(inner: G, until_ns: u64) -> Self {
        Self { inner, until_ns }
    }
}

impl<G: Generator> Generator for TimeLimit<G> {
    fn next(&mut self, worker: Worker, now_ns: u64) -> Next {
        if now_ns >= self.until_ns {
            return Next::Done;
        }
        match self.inner.next(worker, now_ns) {
            Next::Wait { until_ns } if until_ns >= self.until_ns => Next::Done,
            next => next,
        }
    }

    fn complete(&mut self, worker: Worker, call: &Call, outcome: Outcome, now_ns: u64) {
        self.inner.complete(worker, call, outcome, now_ns);
    }
}

/// Ends a generator after a number of operations.
pub struct Limit<G> {
    inner: G,
    left: u64,
}

impl<G: Generator> Limit<G> {
    /// Asks `inner` for `count` operations.
    pub fn new(inner: G, count: u64) -> Self {
        Self { inner, left: count }
    }
}

impl<G: Generator> Generator for Limit<G> {
    fn next(&mut self, worker: Worker, now_ns: u64) -> Next {
        if self.left == 0 {
            return Next::Done;
        }
        let next = self.inner.next(worker, now_ns);
        if matches!(next, Next::Call(_)) {
            self.left -= 1;
        }
        next
    }

    fn complete(&mut self, worker: Worker, call: &Call, outcome: Outcome, now_ns: u64) {
        self.inner.complete(worker, call, outcome, now_ns);
    }
}
