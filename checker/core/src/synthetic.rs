//! Synthetic histories: simulated stores under random clients, right by construction, and with anomalies planted on
//! request.
//!
//! A [`Spec`] says what the history should look like, [`Stream`] yields its events in their total order, and
//! [`Stream::operations`] the same as operations. Everything follows from the seed. Memory is bounded by the clients and
//! the keys in use, whatever the length: keys are replaced when they were written often enough.
//!
//! **Why a healthy history keeps its level.** No checker is asked. Every operation that takes effect does so at one
//! moment (its *commit*), between its invocation and its completion, or, if the client gave it up, at any moment after
//! the invocation. Commits are numbered. What a transaction writes appears in one step, under the number of its commit.
//! So in every level writes of any two transactions are in the order of their numbers for all objects (no G0), nobody
//! sees what was not committed, or is the middle of a transaction (no G1a, G1b; not so in read-uncommitted), and who
//! reads from whom, or writes over whom, has the higher number (no G1c). Only reads of the past are left:
//!
//! * *strict-serializable*, and all single objects: everything is read at the commit. The order of commits is the
//!   serial order, and lies within the times of the operations.
//! * *strong-session-serializable*: transactions that write read at the commit. Those that only read may read the state
//!   after any earlier commit `s`, but not before what their process saw or did. Serial order: writers by number,
//!   readers after their `s`, those with the same `s` in order of time. Within a process these places never fall.
//! * *serializable*, *repeatable-read*: the same without regard to the process. Without predicates the two are the same.
//! * *strong-snapshot-isolation*: all reads see the state after one commit `s` that is not older than the invocation.
//!   If an object that it writes has versions newer than `s` (an other committer was first), the transaction starts anew
//!   with the newest state, at the moment of its commit. *strong-session-*: `s` is not older than what the process saw or
//!   did. *snapshot-isolation*: any `s`.
//! * *parallel-snapshot-isolation*: two sites. An object has a home; a transaction writes objects of one home, and
//!   its number belongs to the log of that site. A snapshot is a place in each log. It is closed under causality: a
//!   commit of a site saw of the other log at most what the site's `view` says, which never falls and which every
//!   snapshot taken there includes; and a snapshot reaches at least as far into the log of its own site as into the other
//!   one, whose commits can have seen no more than that. Writers give way as above.
//! * *prefix*: as strong-session-snapshot-isolation, but no writer gives way, so updates are lost. *causal-cerone*: the
//!   same for two sites. (A list that a transaction reads after it appended to it must end with what it appended, so
//!   there it starts anew where others were first; with registers it need not.)
//! * *read-atomic*: a snapshot is any place in each of the two logs that includes the process's own writes. A
//!   transaction writes to one log, so it is seen as a whole or not at all.
//! * *monotonic-atomic-view*: each read sees the state after some commit, later reads later ones; from its first write on
//!   a transaction sees the newest state.
//! * *read-committed*: each read sees its object after some commit. This is Adya's PL-2: reads may go back in time.
//! * *read-uncommitted*: transactions that fail leave their writes behind; objects that a transaction does not write
//!   are read when it completes, so that two may see each other; and a read may fall between two writes of one
//!   transaction. Writes still appear in one step.
//!
//! A level shows its weakness in the share [`Spec::weakness`] of its transactions; the others read the newest state, which
//! every level allows.
//!
//! **Planted anomalies** are scripts on keys and processes of their own, which can be stretched over any number of
//! operations; [`plantable`] names them. [`Stream::expected`] says what should be found.
//!
//! ```
//! use fissure_checker::synthetic::{Spec, Stream};
//! use fissure_checker::{History, list_append};
//! let spec = Spec { ops: 1000, seed: 7, plants: vec!["G-single:500".parse()?], ..Spec::default() };
//! let mut operations = Stream::new(&spec)?.operations();
//! let history = History::new(operations.by_ref().collect())?;
//! let found = list_append::check(&history, &list_append::Options::default());
//! assert_eq!(found.anomaly_types, operations.expected().anomalies);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bank;
mod dice;
mod expected;
mod locks;
mod log;
mod machine;
mod plant;
mod queues;
mod shelf;
mod single;
mod spec;
mod stream;
mod transactions;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use dice::Dice;

pub use expected::{Expected, Planted};
pub use plant::{Plant, PlantError, plantable};
pub use spec::{CONCURRENCY_MAX, KEYS_MAX, KeyChoice, Latency, Level, Spec, SpecError, Spread, Workload};
pub use stream::{Event, EventKind, Operations, Stream};
