//! The words of a workload: generators, clients, completions, targets; and a simulator without I/O.
//!
//! * [`Generator`]: decides what to ask next. Pure and seeded: no I/O, no clock of its own, so that [`simulate`] can
//!   run it in a test without a cluster.
//! * [`Client`]: asks one process's questions over one connection and tells the truth about the answers.
//! * [`Target`]: a system under test: how to start a node, when it is ready, who leads, how to connect.
//!
//! The law of completions: `ok` only if it happened, `fail` only if it certainly did not, `info` for everything else.
//! When in doubt, `info`.

pub mod client;
pub mod dice;
pub mod generator;
pub mod simulate;
pub mod target;

pub use client::{Client, Completion, Connection, ErrorInfo};
pub use dice::Dice;
pub use fissure_checker::op::{Call, Mop, Outcome};
pub use generator::{Generator, Next, Worker};
pub use target::{Cluster, Node, ProcessSpec, Target, TargetError};
