//! The run: one loop over one closed event enum; it owns time, seed, phases, shutdown and clean-up.
//!
//! * [`engine`]: the loop itself — asks generators, tells workers, records what they report. Knows nothing of kernels.
//! * [`worker`]: one task per worker slot, with a client and a deadline.
//! * [`nemesis`], [`faults`]: what breaks the system, and the schedule that says when.
//! * [`nodes`]: the processes of the system under test.
//! * [`run`](mod@run): all of it together, from an empty lab to a sealed folder.
//!
//! Invariants: every run leaves a folder, whatever ends it; sequence numbers never invent an order; whatever happens,
//! faults are lifted before the lab goes away, and everything goes away with the process.

pub mod clock;
pub mod engine;
pub mod error;
pub mod event;
pub mod faults;
pub mod generators;
pub mod nemesis;
pub mod nodes;
pub mod run;
pub mod setup;
pub mod worker;

pub use error::RunError;
pub use run::{Progress, RunConfig, RunEnd, RunSummary, execute};
