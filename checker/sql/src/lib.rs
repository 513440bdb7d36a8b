//! SQL over histories: DataFusion session, tables, views.
//!
//! The room where a person asks questions of a run. [`Session::open`] takes a run folder and gives the six tables of
//! `docs/history-schema.md` and the views `ops_during_fault`, `op_injections`, `latency` and `findings`; [`Session::query`]
//! answers one statement; [`format()`] prints the answer; [`split_statements`] takes a script apart. It needs no root and
//! builds on any operating system.
//!
//! Invariants:
//! * nothing is written: statements that would change anything are refused before they are planned into an execution;
//! * a table that a run lacks exists without rows, and [`Session::notes`] says why;
//! * files are read as they are: damage that Parquet itself does not notice is found by `fissure check`, not here.

mod error;
mod findings;
mod format;
mod functions;
mod interval;
mod script;
mod session;
mod suggest;
mod tables;
mod views;

pub use error::SqlError;
pub use format::{Format, format};
pub use functions::{TableFunctionDoc, table_functions};
pub use script::split_statements;
pub use session::{Column, Relation, Session};
