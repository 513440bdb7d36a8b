//! A serial order of all transactions, tried out one step at a time.
//!
//! Transactions are executed against registers of our own. One may be executed if all that must precede it was (by
//! real time or its process, and by what is known of version orders), if each register holds the version that it read,
//! and if nobody is left who reads a version that it overwrites. Of those that may, readers go first: executing them
//! changes nothing for anybody else. Then goes the writer whose effect was seen first.
//!
//! An execution that comes to its end this way is a *witness*: the history is serializable, in the order of real time
//! or of the processes if that was asked for. Where nothing may be executed and something is left, some write came too
//! early; the last steps are taken back and tried in another order ([`repair`]). Where that does not help, the transaction
//! with the earliest effect is executed all the same and counted as forced. The order is then no proof, but still a good
//! guess.
//!
//! Each transaction that may not be executed waits for one register or one transaction, and is looked at again when that
//! changes. O(n log n) where each is looked at a few times.

mod proof;
mod repair;
pub(crate) mod shelf;
pub(crate) mod steps;

use super::index::NEVER;
use crate::consistency::Order;
use crate::op::Outcome;
use crate::transactions::NONE;
use repair::Repair;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use steps::{Access, Page, Steps};

/// The order in which transactions were executed.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Place of each transaction; `NONE` for those that did not take effect.
    pub(crate) place: Vec<u32>,
    /// How many were executed against the rules.
    pub(crate) forced: u64,
}

/// What to do where nothing may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// Give up: only a witness is wanted.
    Stop,
    /// Execute what comes first, to have a whole order.
    Force,
}

/// Finds a serial order that keeps an order of the history, or comes close to one. Where the order of the history does not
/// count, two are tried: first one in which transactions that write follow real time, as they do in most systems.
///
/// A schedule without forced steps has been held against the definition of a witness ([`proof`]).
pub(crate) fn schedule(steps: &Steps<'_>, order: Order, stuck: Stuck) -> Schedule {
    let mut schedule = attempts(steps, order, stuck);
    let proven = schedule.forced > 0 || proof::holds(steps, order, &schedule.place);
    debug_assert!(proven, "a schedule without forced steps is a witness");
    // A slip here must cost time, never a wrong answer.
    schedule.forced += u64::from(!proven);
    schedule
}

fn attempts(steps: &Steps<'_>, order: Order, stuck: Stuck) -> Schedule {
    if order != Order::Data {
        return attempt(steps, Opening::new(steps, order), stuck);
    }
    let writes = |txn: u32| steps.page(txn).writes(txn).next().is_some();
    let likely = attempt(steps, Opening::in_time(steps, writes), stuck);
    if likely.forced == 0 {
        return likely;
    }
    let free = attempt(steps, Opening::Free, stuck);
    if free.forced < likely.forced { free } else { likely }
}

fn attempt(steps: &Steps<'_>, opening: Opening, stuck: Stuck) -> Schedule {
    let mut run = Run::new(steps, opening);
    run.repair.is_thorough = stuck == Stuck::Stop;
    run.open_first();
    loop {
        while let Some(Reverse((_, _, txn))) = run.ready.pop() {
            // It may have been executed since, or closed again.
            if run.place[txn as usize] == NONE && run.is_open[txn as usize] && run.may(txn) {
                run.execute(txn);
            }
        }
        let Some(Reverse((_, txn))) = run.opened.pop() else { break };
        if run.is_open[txn as usize] && run.place[txn as usize] == NONE && !run.repair(txn) {
            run.forced += 1;
            if stuck == Stuck::Stop {
                break;
            }
            run.execute(txn);
        }
    }
    Schedule { place: run.place, forced: run.forced }
}

struct Run<'i> {
    steps: &'i Steps<'i>,
    /// Whose write each register holds; [`NEVER`] at first.
    current: Vec<u32>,
    /// Readers left of what each register holds.
    left: Vec<u32>,
    /// Readers that were executed by force while a register held something else, by key and writer.
    astray: FxHashMap<(u32, u32), u32>,
    /// Transactions that precede each by a known version order: how many are left.
    before: Vec<u32>,
    /// Whoever waits for a register: the first of each list in `waits`.
    watcher: Vec<u32>,
    /// Who waits, and the next of the list; free ones make up a list as well.
    waits: Vec<(u32, u32)>,
    free_wait: u32,
    is_open: Vec<bool>,
    ready: BinaryHeap<Reverse<(bool, u32, u32)>>,
    opened: BinaryHeap<Reverse<(u32, u32)>>,
    place: Vec<u32>,
    executed: u32,
    forced: u64,
    opening: Opening,
    repair: Repair,
}

/// What opens transactions for execution.
enum Opening {
    /// All are open from the start.
    Free,
    /// The next one of each process.
    Process(Vec<u32>),
    /// Those invoked before the first completion that is left of some transactions; whoever is not one of these is open
    /// from the start.
    Realtime { timed: Vec<bool>, by_end: Vec<u32>, done: usize, next: u32 },
}

impl<'i> Run<'i> {
    fn new(steps: &'i Steps<'i>, opening: Opening) -> Self {
        let (txns, keys) = (steps.txns.len(), steps.initial.len());
        Self {
            steps,
            current: vec![NEVER; keys],
            left: steps.initial.clone(),
            astray: FxHashMap::default(),
            before: steps.before.clone(),
            watcher: vec![NONE; keys],
            waits: Vec::new(),
            free_wait: NONE,
            is_open: vec![false; txns],
            ready: BinaryHeap::new(),
            opened: BinaryHeap::new(),
            place: vec![NONE; txns],
            executed: 0,
            forced: 0,
            opening,
            repair: Repair::default(),
        }
    }

    fn open_first(&mut self) {
        let mut first: Vec<bool> = (0..self.place.len() as u32).map(|txn| self.steps.is_effective(txn)).collect();
        match &self.opening {
            Opening::Free => {}
            Opening::Process(next) => {
                next.iter().filter(|txn| **txn != NONE).for_each(|txn| first[*txn as usize] = false);
            }
            Opening::Realtime { timed, .. } => {
                timed.iter().zip(&mut first).for_each(|(timed, first)| *first &= !timed);
            }
        }
        for txn in (0..first.len()).filter(|txn| first[*txn]) {
            self.open(txn as u32);
        }
        self.advance();
    }

    /// Opens what the completions that are left allow.
    fn advance(&mut self) {
        let txns = self.steps.txns;
        let Opening::Realtime { timed, by_end, done, next } = &mut self.opening else { return };
        while by_end.get(*done).is_some_and(|txn| self.place[*txn as usize] != NONE) {
            *done += 1;
        }
        let horizon = by_end.get(*done).map_or(NONE, |txn| txns.end(*txn));
        let first = *next;
        while (*next as usize) < self.place.len() && txns.invoke(*next) < horizon {
            *next += 1;
        }
        let last = *next;
        let opened: Vec<u32> = (first..last).filter(|txn| timed[*txn as usize]).collect();
        opened.into_iter().for_each(|txn| self.open(txn));
    }

    fn open(&mut self, txn: u32) {
        self.is_open[txn as usize] = true;
        self.opened.push(Reverse((self.steps.deadline[txn as usize], txn)));
        self.look(txn);
    }

    /// Puts an open transaction among those that may be executed, or lets it wait.
    fn look(&mut self, txn: u32) {
        if self.is_open[txn as usize] && self.place[txn as usize] == NONE && self.may(txn) {
            let writes = self.steps.page(txn).writes(txn).next().is_some();
            self.ready.push(Reverse((writes, self.repair.urgency(txn, self.steps.deadline[txn as usize]), txn)));
        }
    }

    /// Whether an open transaction may be executed now; if not, it waits for what keeps it.
    fn may(&mut self, txn: u32) -> bool {
        if self.before[txn as usize] > 0 {
            return false;
        }
        let page = self.steps.page(txn);
        let obstacle = page.accesses(txn).iter().find(|access| !self.fits(&page, txn, **access));
        if let Some(access) = obstacle {
            self.wait(txn, access.key());
        }
        obstacle.is_none()
    }

    /// Whether an access of a transaction finds its register as it must be.
    fn fits(&self, page: &Page, txn: u32, access: Access) -> bool {
        let (current, left) = (self.current[access.key()], self.left[access.key()]);
        if !access.is_write() {
            return current == access.source();
        }
        let reads = |other: &Access| !other.is_write() && other.key() == access.key() && other.source() == current;
        left == 0 || (left == 1 && page.accesses(txn).iter().any(reads))
    }

    fn wait(&mut self, txn: u32, key: usize) {
        let entry = (txn, self.watcher[key]);
        let slot = self.free_wait;
        if slot == NONE {
            self.watcher[key] = self.waits.len() as u32;
            self.waits.push(entry);
        } else {
            self.free_wait = self.waits[slot as usize].1;
            self.waits[slot as usize] = entry;
            self.watcher[key] = slot;
        }
    }

    fn execute(&mut self, txn: u32) {
        self.place[txn as usize] = self.executed;
        self.executed += 1;
        self.note(txn);
        let page = self.steps.page(txn);
        for access in page.accesses(txn) {
            let key = access.key();
            if access.is_write() {
                let astray = self.astray.get(&(key as u32, txn)).copied().unwrap_or(0);
                let before = std::mem::replace(&mut self.current[key], txn);
                let left = std::mem::replace(&mut self.left[key], page.readers(*access).len() as u32 - astray);
                self.repair.overwritten.push_back((before, left));
                self.wake(key);
            } else if self.current[key] == access.source() {
                self.left[key] -= 1;
                if self.left[key] <= 1 {
                    self.wake(key);
                }
            } else {
                *self.astray.entry((key as u32, access.source())).or_insert(0) += 1;
            }
        }
        page.after(txn).iter().for_each(|next| self.precede(*next));
        for next in self.repair.followers(txn) {
            self.precede(next);
        }
        match &self.opening {
            Opening::Free => {}
            Opening::Process(next) => {
                let next = next[txn as usize];
                if next != NONE {
                    self.open(next);
                }
            }
            Opening::Realtime { .. } => self.advance(),
        }
    }

    /// One less is to be executed before a transaction.
    fn precede(&mut self, next: u32) {
        self.before[next as usize] -= 1;
        if self.before[next as usize] == 0 {
            self.look(next);
        }
    }

    fn wake(&mut self, key: usize) {
        let mut slot = std::mem::replace(&mut self.watcher[key], NONE);
        while slot != NONE {
            let (txn, next) = self.waits[slot as usize];
            self.waits[slot as usize].1 = self.free_wait;
            self.free_wait = slot;
            self.look(txn);
            slot = next;
        }
    }
}

impl Opening {
    fn new(steps: &Steps<'_>, order: Order) -> Self {
        let txns = steps.txns;
        match order {
            Order::Data => Opening::Free,
            Order::Process => {
                let effective = (0..txns.len() as u32).filter(|txn| steps.is_effective(*txn));
                let mut by_process: Vec<(i64, u32)> = effective.map(|txn| (txns.process(txn), txn)).collect();
                by_process.sort_unstable();
                let mut next = vec![NONE; txns.len()];
                for pair in by_process.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                    next[pair[0].1 as usize] = pair[1].1;
                }
                Opening::Process(next)
            }
            Order::Realtime => Self::in_time(steps, |_| true),
        }
    }

    /// Real time for the transactions that `counts` accepts.
    fn in_time(steps: &Steps<'_>, counts: impl Fn(u32) -> bool) -> Self {
        let txns = steps.txns;
        let timed = |txn: u32| steps.is_effective(txn) && counts(txn);
        let timed: Vec<bool> = (0..txns.len() as u32).map(timed).collect();
        let ended = |txn: &u32| timed[*txn as usize] && txns.outcome(*txn) == Outcome::Ok;
        let mut by_end: Vec<u32> = (0..txns.len() as u32).filter(ended).collect();
        by_end.sort_unstable_by_key(|txn| txns.end(*txn));
        Opening::Realtime { timed, by_end, done: 0, next: 0 }
    }
}
