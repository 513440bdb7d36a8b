//! `list-append`: transactions that append to lists and read them.
//!
//! Lists tell their own history: a read of `[1, 2, 3]` shows the order of three appends. So every append to a key has a
//! value of its own, counted from 1. A key is retired after a number of appends, because every read of it costs its
//! length; the new key becomes the hottest, and those before it cool down.

use crate::final_reads::FinalReads;
use crate::txn_keys::{KeyDistribution, TxnKeys};
use fissure_workloads::{Call, Dice, Generator, Mop, Next, Worker};

const STREAM: u64 = 3;

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

/// The generator.
pub struct ListAppend {
    options: ListAppendOptions,
    keys: TxnKeys,
    dice: Dice,
}

impl ListAppend {
    /// A generator that has not been asked yet.
    #[must_use]
    pub fn new(options: ListAppendOptions, seed: u64) -> Self {
        let keys = TxnKeys::new(options.keys, options.max_writes_per_key, options.key_distribution);
        Self { options, keys, dice: Dice::new(seed, STREAM) }
    }

    /// The reads at the end, one transaction for each key that will have been in use by then.
    #[must_use]
    pub fn final_reads(&self) -> impl Generator + 'static {
        FinalReads::new(self.keys.used(), |key| Call::Txn(vec![Mop::ReadList { key, list: None }]))
    }

    fn mop(&mut self) -> Mop {
        match self.keys.next(&mut self.dice) {
            (key, None) => Mop::ReadList { key, list: None },
            (key, Some(value)) => Mop::Append { key, value },
        }
    }
}

impl Generator for ListAppend {
    fn next(&mut self, _worker: Worker, _now_ns: u64) -> Next {
        let (min, max) = (self.options.txn_length_min.max(1) as u64, self.options.txn_length_max as u64);
        let length = self.dice.between(min, max);
        Next::Call(Call::Txn((0..length).map(|_| self.mop()).collect()))
    }
}
