//! Seal: from journals to sorted, checked Parquet.
//!
//! Most of a long run is sealed while it goes on: see the module `roll`, which also seals what is left at the end. The
//! tables are written to `history.partial`, and the folder is renamed when all is synced: `history` is whole, or it is
//! not there.

use crate::error::Error;
use crate::manifest::Counts;
use crate::pairing::Tally;
use crate::parquet_file::FileSum;
use crate::roll::Roller;
use crate::run_dir::RunDir;
use crate::schema::{SCHEMA_VERSION, Table};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

pub use crate::journal::TornTail;

/// Name of the list of checksums in the folder of the tables.
pub(crate) const CHECKSUMS_FILE: &str = "checksums.json";

/// `checksums.json`: every file of a sealed history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksums {
    pub(crate) schema_version: u32,
    pub(crate) files: Vec<FileSum>,
}

impl Checksums {
    /// Reads the list of a sealed folder of tables.
    pub(crate) fn read(history: &Path) -> Result<Self, Error> {
        let path = history.join(CHECKSUMS_FILE);
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let sums: Checksums = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            what: "list of checksums",
            path: path.clone(),
            source: Arc::new(source),
        })?;
        if sums.schema_version > SCHEMA_VERSION {
            return Err(Error::NewerSchema { path, found: sums.schema_version, known: SCHEMA_VERSION });
        }
        Ok(sums)
    }
}

/// What sealing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Rows of each table, for the manifest. `events_lost` is not known here.
    pub counts: Counts,
    /// Operations whose invocation was recorded but not their completion: they are `info`.
    pub open_ops: u64,
    /// What was cut from journals that were not closed properly.
    pub torn: Vec<TornTail>,
    /// Time of the last recorded event or row, CLOCK_MONOTONIC ns; `None` if there was none.
    pub last_ns: Option<i64>,
    /// The files.
    pub files: Vec<FileSum>,
}

/// Seals the history of a run, and removes its journals. Does nothing but count if it is sealed already.
///
/// # Errors
/// If a file cannot be read or written, a journal is damaged, or the events break an invariant of a history. The
/// journals are kept then.
pub fn seal(run: &RunDir) -> Result<SealReport, Error> {
    let (journal, history) = (run.journal_dir(), run.history_dir());
    if history.join(CHECKSUMS_FILE).is_file() {
        remove_dir(&journal)?;
        return count_sealed(&history);
    }
    if !journal.is_dir() {
        let detail = "there is neither a journal nor a sealed history".to_owned();
        return Err(Error::NoRun { path: run.path().to_owned(), detail });
    }
    Roller::resume(run)?.finish()
}

pub(crate) fn remove_dir(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io("remove", path)),
    }
}

/// The report of a history that was sealed before. Outcomes are not counted again: the manifest has them.
fn count_sealed(history: &Path) -> Result<SealReport, Error> {
    let files = Checksums::read(history)?.files;
    let mut report = SealReport::default();
    let rows = |table: Table| files.iter().filter(|file| file.table == table.name()).map(|file| file.rows).sum();
    report.counts = Counts {
        faults: rows(Table::Faults),
        injections: rows(Table::Injections),
        connections: rows(Table::Connections),
        nodes: rows(Table::Nodes),
        clocks: rows(Table::Clocks),
        names: rows(Table::Names),
        ..Counts::default()
    };
    let mut tally = Tally::default();
    for path in files.iter().filter(|file| file.table == Table::Ops.name()).map(|file| history.join(&file.path)) {
        crate::read::for_each_op(&path, |row| tally.add_op(&row.op))?;
    }
    tally.into_counts(&mut report.counts);
    (report.open_ops, report.last_ns) = (tally.open, tally.last_ns);
    report.files = files;
    Ok(report)
}
