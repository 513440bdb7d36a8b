//! `register`: read, write and compare-and-set over many single registers.
//!
//! A number of keys is in use at a time. A key is retired after a number of operations and a new one takes its place: the
//! cost of judging a key grows with its length, and the operations that ended as `info` count for ever.
//!
//! Workers form groups, and each group has keys of its own: a group should have a worker or two for each node, so that
//! all nodes are asked about the same key at the same time.

use crate::final_reads::FinalReads;
use fissure_workloads::{Call, Dice, Generator, Next, Outcome, Worker};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

const STREAM: u64 = 2;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Every write (and compare-and-set) of a key has a value of its own, counted from 1: a read tells which it saw.
    Unique,
    /// Values `0..n`, again and again.
    Small(u64),
}

/// Weights of the operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Of reads.
    pub read: u32,
    /// Of writes.
    pub write: u32,
    /// Of compare-and-sets.
    pub cas: u32,
}

/// Options of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterOptions {
    /// Keys in use at a time, at least 1.
    pub keys: usize,
    /// Operations after which a key is retired, at least 1.
    pub ops_per_key: u64,
    /// What is written.
    pub values: Values,
    /// Weights; all 0 counts as reads only.
    pub mix: Mix,
    /// Workers of a group: twice the number of nodes is a good choice. 0: all workers are one group.
    pub group_size: usize,
}

impl Default for RegisterOptions {
    fn default() -> Self {
        let mix = Mix { read: 2, write: 1, cas: 1 };
        Self { keys: 10, ops_per_key: 200, values: Values::Unique, mix, group_size: 0 }
    }
}

/// One of the keys in use. Place `p` holds the keys `p`, `p + keys`, `p + 2 keys`, …, one after the other.
#[derive(Clone, Debug)]
struct Place {
    key: i64,
    ops_left: u64,
    /// Value of the next write, where values are unique.
    value_next: i64,
    /// What the key was last known to hold.
    seen: Option<i64>,
}

/// The generator.
pub struct Register {
    options: RegisterOptions,
    places: Vec<Place>,
    /// By place: how many keys it has had. Shared with the final reads.
    used: Arc<[AtomicU64]>,
    dice: Dice,
}

impl Register {
    /// A generator that has not been asked yet.
    #[must_use]
    pub fn new(options: RegisterOptions, seed: u64) -> Self {
        let keys = options.keys.max(1);
        let options = RegisterOptions { keys, ops_per_key: options.ops_per_key.max(1), ..options };
        let place = |key| Place { key, ops_left: options.ops_per_key, value_next: 1, seen: None };
        Self {
            places: (0..keys as i64).map(place).collect(),
            used: (0..keys).map(|_| AtomicU64::new(0)).collect(),
            dice: Dice::new(seed, STREAM),
            options,
        }
    }

    /// The reads at the end, of the keys that will have been used by then.
    #[must_use]
    pub fn final_reads(&self) -> impl Generator + 'static {
        let used = self.used.clone();
        let keys = move || {
            let count = used.len() as u64;
            let mut keys: Vec<i64> = Vec::new();
            for (place, had) in (0..).zip(used.iter()) {
                keys.extend((0..had.load(Ordering::Relaxed)).map(|generation| (place + generation * count) as i64));
            }
            keys.sort_unstable_by_key(|key| std::cmp::Reverse(*key));
            keys
        };
        FinalReads::new(keys, |key| Call::Read { key, value: None })
    }

    /// A place for a worker: any of those of its group.
    fn pick_place(&mut self, worker: Worker) -> usize {
        let places = self.places.len() as u64;
        let size = if self.options.group_size == 0 { worker.concurrency } else { self.options.group_size }.max(1);
        let groups = (worker.concurrency.div_ceil(size) as u64).clamp(1, places);
        let group = (worker.thread / size) as u64 % groups;
        // The group has the places that leave this remainder.
        let count = (places - group).div_ceil(groups);
        (group + groups * self.dice.below(count)) as usize
    }

    /// Value of the next write at `place`.
    fn value(&mut self, place: usize) -> i64 {
        match self.options.values {
            Values::Small(count) => self.dice.below(count.max(1)) as i64,
            Values::Unique => {
                let place = &mut self.places[place];
                place.value_next += 1;
                place.value_next - 1
            }
        }
    }

    /// What a compare-and-set should expect: half the time a guess where guesses can be right, else what was last seen.
    fn expected(&mut self, place: usize) -> Option<i64> {
        match self.options.values {
            Values::Small(count) if self.dice.chance(500_000) => Some(self.dice.below(count.max(1)) as i64),
            Values::Small(_) | Values::Unique => self.places[place].seen,
        }
    }

    fn retire_if_spent(&mut self, index: usize) {
        let keys = self.places.len() as i64;
        let place = &mut self.places[index];
        if place.ops_left == 0 {
            *place = Place { key: place.key + keys, ops_left: self.options.ops_per_key, value_next: 1, seen: None };
        }
        if place.ops_left == self.options.ops_per_key {
            self.used[index].fetch_add(1, Ordering::Relaxed);
        }
        place.ops_left -= 1;
    }
}

impl Generator for Register {
    fn next(&mut self, worker: Worker, _now_ns: u64) -> Next {
        let index = self.pick_place(worker);
        self.retire_if_spent(index);
        let key = self.places[index].key;
        let Mix { read, write, cas } = self.options.mix;
        let draw = self.dice.below(u64::from(read) + u64::from(write) + u64::from(cas));
        if draw < u64::from(read) || (write == 0 && cas == 0) {
            return Next::Call(Call::Read { key, value: None });
        }
        if draw >= u64::from(read) + u64::from(write)
            && let Some(expected) = self.expected(index)
        {
            let value = self.value(index);
            return Next::Call(Call::Cas { key, expected, value });
        }
        // Also instead of a compare-and-set of a key that nobody has seen a value of: there is nothing to expect.
        let value = self.value(index);
        Next::Call(Call::Write { key, value })
    }

    fn complete(&mut self, _worker: Worker, call: &Call, outcome: Outcome, _now_ns: u64) {
        if outcome != Outcome::Ok {
            return;
        }
        let (key, seen) = match *call {
            Call::Read { key, value: Some(Some(value)) } => (key, value),
            Call::Write { key, value } | Call::Cas { key, value, .. } => (key, value),
            _ => return,
        };
        let Ok(index) = usize::try_from(key.rem_euclid(self.places.len() as i64)) else { return };
        let place = &mut self.places[index];
        if place.key == key {
            place.seen = Some(seen);
        }
    }
}
