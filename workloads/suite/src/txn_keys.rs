//! The keys of transactional workloads: which are in use, how often each is chosen, and when one is retired.

use fissure_workloads::Dice;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

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

#[derive(Clone, Copy, Debug)]
struct ActiveKey {
    key: i64,
    value_next: i64,
}

/// Keys in use; one that was written often enough is replaced by a new one, which becomes the hottest.
pub(crate) struct TxnKeys {
    /// Oldest first.
    active: Vec<ActiveKey>,
    /// First key that was never in use. Shared with the final reads.
    key_next: Arc<AtomicI64>,
    writes_max: u64,
    distribution: KeyDistribution,
}

impl TxnKeys {
    /// The first `keys` (1 to 62) keys.
    pub(crate) fn new(keys: usize, writes_max: u64, distribution: KeyDistribution) -> Self {
        let keys = keys.clamp(1, KEYS_MAX) as i64;
        Self {
            active: (0..keys).map(|key| ActiveKey { key, value_next: 1 }).collect(),
            key_next: Arc::new(AtomicI64::new(keys)),
            writes_max,
            distribution,
        }
    }

    /// Lists, when it is called, all keys that have been in use, newest first.
    pub(crate) fn used(&self) -> impl FnOnce() -> Vec<i64> + Send + 'static {
        let key_next = self.key_next.clone();
        move || (0..key_next.load(Ordering::Relaxed)).rev().collect()
    }

    /// A key, and, in half of the cases, the next value to write to it: each key has its values from 1 on.
    pub(crate) fn next(&mut self, dice: &mut Dice) -> (i64, Option<i64>) {
        let index = self.pick(dice);
        let ActiveKey { key, value_next: value } = self.active[index];
        if dice.chance(500_000) {
            return (key, None);
        }
        self.active[index].value_next += 1;
        if value as u64 >= self.writes_max {
            self.active.remove(index);
            let key = self.key_next.fetch_add(1, Ordering::Relaxed);
            self.active.push(ActiveKey { key, value_next: 1 });
        }
        (key, Some(value))
    }

    fn pick(&self, dice: &mut Dice) -> usize {
        let count = self.active.len() as u64;
        match self.distribution {
            KeyDistribution::Uniform => dice.below(count) as usize,
            // Key i has the 2^i numbers from 2^i on.
            KeyDistribution::Exponential => dice.between(1, (1 << count) - 1).ilog2() as usize,
        }
    }
}
