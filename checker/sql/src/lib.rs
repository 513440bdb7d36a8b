//! SQL over histories: DataFusion session, tables, views.
//!
//! The room where a person asks questions of runs. [`Session::open`] takes a run, a folder of runs or Parquet files, and
//! [`Session::open_all`] also object stores; they give the tables of `docs/history-schema.md`, the table `runs` and the
//! views of `docs/sql.md`. [`Session::query`] answers one statement, [`Session::answer`] batch by batch, and
//! [`Session::write_answer`] in a form for people or programs; [`split_statements`] takes a script apart. It needs no root
//! and builds on any operating system.
//!
//! Invariants:
//! * nothing is written but the answer: statements that would change anything are refused before they are planned into an
//!   execution;
//! * a table that a run lacks exists without rows, and [`Session::notes`] says why; among many runs one that cannot be
//!   read is left out with a note;
//! * the operators of a statement keep to [`Limits::memory`]: what does not fit goes to a folder that is removed with the
//!   session;
//! * files are read as they are: damage that Parquet itself does not notice is found by `fissure check`, not here;
//! * no secret of the environment is in a message.
//!
//! ```no_run
//! # fn main() -> Result<(), fissure_sql::SqlError> {
//! let session = fissure_sql::Session::open("store".as_ref())?;
//! session.write_answer("SELECT run, count(*) FROM ops GROUP BY run", fissure_sql::Format::Csv, std::io::stdout())?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod error;
mod findings;
mod findings_table;
mod foreign;
mod format;
mod functions;
mod interval;
mod limits;
mod memory;
mod objects;
mod place;
mod row_groups;
mod run;
mod runs;
mod script;
mod session;
mod stop;
mod suggest;
mod table_form;
mod tables;
mod target;
mod views;

pub use answer::{Answer, Interrupt};
pub use error::SqlError;
pub use format::{Format, More, Written, format};
pub use functions::{TableFunctionDoc, table_functions};
pub use limits::{Limits, MEMORY_BYTES_MIN, parse_size};
pub use place::Place;
pub use script::split_statements;
pub use session::{Column, Relation, Session};
pub use target::Target;
