//! From history to verdict: operations, findings, models, checkers.
//!
//! The room where a history is judged. It is pure: no Arrow, no SQL, no async, no clock, no I/O, and no result that
//! depends on the order of a hash map. It builds on any operating system.
//!
//! Words, once and for all:
//! * [`op`]: what clients did — [`Operation`], [`Call`], [`Mop`], [`Outcome`], [`History`];
//! * [`names`]: what integers stand for that are no integers in the system under test — [`Names`];
//! * [`verdict`]: [`Verdict`] and how verdicts merge (`invalid > unknown > valid`), [`Reason`];
//! * [`finding`]: [`Finding`], an anomaly as data, with the sentences that explain it, and [`CheckResult`].
//!
//! Checkers: [`linearizable`] (single objects, partitioned by key), [`list_append`], [`rw_register`] and
//! [`closed_predicate`] (transactions over lists, over registers, and over objects that predicates match).
//! [`consistency`] is the lattice of consistency models: which anomaly rules out which model. [`excerpt`] makes of a
//! history the small one that shows a finding.
//!
//! [`invariants`] checks those of a history operation by operation.
//!
//! [`synthetic`] makes histories with a known verdict, to hold checkers to and to measure them with.

pub mod closed_predicate;
pub mod consistency;
pub mod excerpt;
pub mod finding;
pub mod invariants;
pub mod linearizable;
pub mod list_append;
pub mod names;
pub mod op;
#[cfg(test)]
mod planting;
mod processes;
pub mod rw_register;
#[cfg(test)]
mod script;
pub mod spill;
pub mod synthetic;
mod transactions;
pub mod verdict;

pub use finding::{CheckResult, Edge, EdgeKind, Finding, LevelVerdict};
pub use names::Names;
pub use op::{Call, History, HistoryError, LogRecord, Mop, Operation, OtherCall, Outcome};
pub use transactions::rows::{Known, MopRef, TxnRow};
pub use verdict::{Reason, Validity, Verdict};
