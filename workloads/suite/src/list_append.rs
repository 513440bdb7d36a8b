//! `list-append`: transactions that append to lists and read them.
//!
//! Lists tell their own history: a read of `[1, 2, 3]` shows the order of three appends. So every append to a key has a
//! value of its own, counted from 1. A key is retired after a number of appends, because every read of it costs its
//! length; the new key becomes the hottest, and those before it cool down.

use crate::final_reads::FinalReads;
use fissure_workloads::{Call, Dice, Generator, Mop, Next, Worker};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

const STREAM: u64 = 3;
/// Most keys in use at a time: the weights of an exponential distribution must fit into a word.
const KEYS_MAX: usize = 62;

/// How often each of the keys in use is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDistribution {
    /// Each key twice as often as the one before it.
    Exponential,
    /// All alike.
    Uniform,
}

/// Options of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAppendOptions {
    /// Keys in use at a time, 1 to 62.
    pub keys: usize,
    /// Appends after which a key is retired, at least 1.
    pub max_writes_per_key: u64,
    /// Fewest micro-operations of a transaction, at least 1.
    pub txn_length_min: usize,
    /// Most micro-operations of a transaction.
    pub txn_length_max: usize,
    /// How often each of the keys is chosen.
    pub key_distribution: KeyDistribution,
}

impl Default for ListAppendOptions {
    fn default() -> Self {
        Self {
            keys: 5,
            max_writes_per_key: 64,
            txn_length_min: 1,
            txn_length_max: 4,
            key_distribution: KeyDistribution::Exponential,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct ActiveKey {
    key: i64,
    value_next: i64,
}

/// The generator.
pub struct ListAppend {
    options: ListAppendOptions,
    /// Oldest first.
    active: Vec<ActiveKey>,
    /// First key that was never in use. Shared with the final reads.
    key_next: Arc<AtomicI64>,
    dice: Dice,
}

impl ListAppend {
    /// A generator that has not been asked yet.
    #[must_use]
    pub fn new(options: ListAppendOptions, seed: u64) -> Self {
        let keys = options.keys.clamp(1, KEYS_MAX);
        Self {
            options,
            active: (0..keys as i64).map(|key| ActiveKey { key, value_next: 1 }).collect(),
            key_next: Arc::new(AtomicI64::new(keys as i64)),
            dice: Dice::new(seed, STREAM),
        }
    }

    /// The reads at the end, one transaction for each key that will have been in use by then.
    #[must_use]
    pub fn final_reads(&self) -> impl Generator + 'static {
        let key_next = self.key_next.clone();
        let keys = move || (0..key_next.load(Ordering::Relaxed)).rev().collect();
        FinalReads::new(keys, |key| Call::Txn(vec![Mop::ReadList { key, list: None }]))
    }

    fn pick_key(&mut self) -> usize {
        let count = self.active.len() as u64;
        match self.options.key_distribution {
            KeyDistribution::Uniform => self.dice.below(count) as usize,
            // Key i has the 2^i numbers from 2^i on.
            KeyDistribution::Exponential => self.dice.between(1, (1 << count) - 1).ilog2() as usize,
        }
    }

    fn mop(&mut self) -> Mop {
        let index = self.pick_key();
        let ActiveKey { key, value_next: value } = self.active[index];
        if self.dice.chance(500_000) {
            return Mop::ReadList { key, list: None };
        }
        self.active[index].value_next += 1;
        if value as u64 >= self.options.max_writes_per_key {
            self.active.remove(index);
            let key = self.key_next.fetch_add(1, Ordering::Relaxed);
            self.active.push(ActiveKey { key, value_next: 1 });
        }
        Mop::Append { key, value }
    }
}

impl Generator for ListAppend {
    fn next(&mut self, _worker: Worker, _now_ns: u64) -> Next {
        let (min, max) = (self.options.txn_length_min.max(1) as u64, self.options.txn_length_max as u64);
        let length = self.dice.between(min, max);
        Next::Call(Call::Txn((0..length).map(|_| self.mop()).collect()))
    }
}
