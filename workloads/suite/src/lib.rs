//! The workloads: register, list-append, rw-register.
//!
//! One module per workload, each with two generators that share what they know: the one of the run, and the one of the
//! end, which reads every key that the first has used. [`workload`] makes the pair from options.
//!
//! ```
//! use fissure_suite::{Kind, RegisterOptions, workload};
//! let rate = fissure_suite::Rate { count: 200, per_ns: 1_000_000_000 };
//! let made = workload(&Kind::Register(RegisterOptions::default()), Some(rate), 42);
//! # let (_main, _last) = (made.generator, made.final_generator);
//! ```
//!
//! Invariants: pure and seeded, as the words of [`Generator`] demand; values are unique per key where the options say so,
//! also across an `info`; the work per question does not grow with the length of the run.

mod final_reads;
pub mod list_append;
pub mod pace;
pub mod register;
pub mod rw_register;
mod txn_keys;

pub use list_append::ListAppendOptions;
pub use pace::{Limit, Rate, Staggered, TimeLimit};
pub use register::{Mix, RegisterOptions, Values};
pub use rw_register::RwRegisterOptions;
pub use txn_keys::KeyDistribution;

use fissure_workloads::Generator;

/// Which workload, with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read, write and compare-and-set single registers.
    Register(RegisterOptions),
    /// Transactions that append to lists and read them.
    ListAppend(ListAppendOptions),
    /// Transactions that write registers and read them.
    RwRegister(RwRegisterOptions),
}

/// A workload's two generators.
pub struct Workload {
    /// What to ask while the run goes on; never done by itself.
    pub generator: Box<dyn Generator>,
    /// What to ask at the end: reads every key that `generator` has used, newest first, each until a read is `ok` or three
    /// have failed. Done when that is done.
    pub final_generator: Box<dyn Generator>,
}

/// The generators of a workload, paced to `rate` (`None`: as fast as they are answered). The final reads are not paced.
#[must_use]
pub fn workload(kind: &Kind, rate: Option<Rate>, seed: u64) -> Workload {
    match kind {
        Kind::Register(options) => {
            let main = register::Register::new(options.clone(), seed);
            let last = main.final_reads();
            Workload { generator: paced(main, rate, seed), final_generator: Box::new(last) }
        }
        Kind::ListAppend(options) => {
            let main = list_append::ListAppend::new(options.clone(), seed);
            let last = main.final_reads();
            Workload { generator: paced(main, rate, seed), final_generator: Box::new(last) }
        }
        Kind::RwRegister(options) => {
            let main = rw_register::RwRegister::new(options.clone(), seed);
            let last = main.final_reads();
            Workload { generator: paced(main, rate, seed), final_generator: Box::new(last) }
        }
    }
}

fn paced(generator: impl Generator + 'static, rate: Option<Rate>, seed: u64) -> Box<dyn Generator> {
    match rate {
        Some(rate) => Box::new(Staggered::new(generator, rate, seed)),
        None => Box::new(generator),
    }
}
