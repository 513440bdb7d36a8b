//! Histories on disk: Arrow schemas, journal, seal to Parquet, manifest, recover, readers, importers.
//!
//! The room where what happened in a run becomes files, and files become a [`History`] again. Its contract is
//! `docs/history-schema.md`; a test compares the two. It needs no root and builds on any operating system.
//!
//! The life of a run on disk:
//! 1. [`RunDir::create`] lays the folder out, and the manifest says `running`;
//! 2. a [`journal::Journal`] takes events from a [`journal::Recorder`] and appends them, batch by batch, with a checksum
//!    each, to Arrow IPC streams, one per table and segment;
//! 3. while the run goes on, closed segments are sealed: invocations are paired with completions, the invariants are
//!    checked, and Parquet parts are written; [`seal()`] does it with what is left at the end, and [`recover()`] for a run
//!    whose process died;
//! 4. [`read`] gives the rows back, [`import`] reads what others recorded, [`synthetic`] writes what was made up, both
//!    with [`writer`].
//!
//! Invariants:
//! * what [`journal::Recorder::flush`] acknowledged survives the death of the process, whenever it comes;
//! * damage is never read as data: every batch of a journal and every sealed file is checked against its checksum, and a
//!   torn tail is cut, counted and reported;
//! * a sealed folder appears as a whole: parts are written beside their place, synced, and renamed.
//!
//! [`History`]: fissure_checker::History

mod calls;
pub mod check;
mod columns;
mod error;
pub mod export;
pub mod import;
pub mod journal;
pub mod manifest;
mod ops_table;
mod pairing;
mod parquet_file;
pub mod read;
mod recover;
mod roll;
mod row_groups;
pub mod rows;
mod run_dir;
pub mod schema;
mod seal;
pub mod spill;
pub mod synthetic;
mod txn_reader;
pub mod writer;

pub use error::{Error, is_disk_full};
pub use import::{ImportError, ImportOptions, Imported, NilReads, import_file, import_file_with};
pub use manifest::{Manifest, RunState};
pub use parquet_file::FileSum;
pub use read::{OpsReader, RunHistory, read_history};
pub use recover::{RecoverReport, recover};
pub use run_dir::{DEFAULT_STORE, RunDir, RunEntry, rfc3339, wall_ns};
pub use schema::{SCHEMA_VERSION, Table};
pub use seal::{SealReport, TornTail, seal};
pub use writer::HistoryWriter;
