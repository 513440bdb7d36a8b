//! `rw-register`: transactions that write registers and read them.
//!
//! A register keeps nothing of its past, so every write to a key has a value of its own, counted from 1: a read then tells
//! whose write it saw. A key is retired after a number of writes, so that what must be known of its versions stays small;
//! the new key becomes the hottest, and those before it cool down.

use crate::final_reads::FinalReads;
use crate::txn_keys::{KeyDistribution, TxnKeys};
use fissure_workloads::{Call, Dice, Generator, Mop, Next, Worker};

const STREAM: u64 = 4;

/// Options of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RwRegisterOptions {
    /// Keys in use at a time, 1 to 62.
    pub keys: usize,
    /// Writes after which a key is retired, at least 1.
    pub max_writes_per_key: u64,
    /// Fewest micro-operations of a transaction, at least 1.
    pub txn_length_min: usize,
    /// Most micro-operations of a transaction.
    pub txn_length_max: usize,
    /// How often each of the keys is chosen.
    pub key_distribution: KeyDistribution,
}

impl Default for RwRegisterOptions {
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
pub struct RwRegister {
    options: RwRegisterOptions,
    keys: TxnKeys,
    dice: Dice,
}

impl RwRegister {
    /// A generator that has not been asked yet.
    #[must_use]
    pub fn new(options: RwRegisterOptions, seed: u64) -> Self {
        let keys = TxnKeys::new(options.keys, options.max_writes_per_key, options.key_distribution);
        Self { options, keys, dice: Dice::new(seed, STREAM) }
    }

    /// The reads at the end, one transaction for each key that will have been in use by then.
    #[must_use]
    pub fn final_reads(&self) -> impl Generator + 'static {
        FinalReads::new(self.keys.used(), |key| Call::Txn(vec![Mop::Read { key, value: None }]))
    }

    fn mop(&mut self) -> Mop {
        match self.keys.next(&mut self.dice) {
            (key, None) => Mop::Read { key, value: None },
            (key, Some(value)) => Mop::Write { key, value },
        }
    }
}

impl Generator for RwRegister {
    fn next(&mut self, _worker: Worker, _now_ns: u64) -> Next {
        let (min, max) = (self.options.txn_length_min.max(1) as u64, self.options.txn_length_max as u64);
        let length = self.dice.between(min, max);
        Next::Call(Call::Txn((0..length).map(|_| self.mop()).collect()))
    }
}
