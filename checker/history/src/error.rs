//! What can go wrong with files of a run, with the file, the place, and what to do about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// An error about the files of a run.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `open`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// A JSON file of the run folder cannot be understood.
    #[error("{}: not a valid {what}: {source}", path.display())]
    Json {
        /// What it should be: `manifest`, `list of checksums`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: Arc<serde_json::Error>,
    },
    /// The file was written by a newer version.
    #[error(
        "{} has schema version {found}, but this version of fissure knows {known}: read it with the fissure that wrote it, or a newer one",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version that the file states.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// There is a journal but no sealed history.
    #[error("{} is not sealed: if its run has ended, seal what it journaled with `fissure recover`", path.display())]
    NotSealed {
        /// The run folder.
        path: PathBuf,
    },
    /// A checksum does not fit: the file was damaged after it was written.
    #[error("{} is damaged at {place}: {detail}; restore it from a copy", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: String,
        /// What does not fit.
        detail: String,
    },
    /// A cell holds what its column cannot hold.
    #[error("{}: row {row}, column {column}: {detail}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Row in the file, from 0.
        row: u64,
        /// Name of the column.
        column: String,
        /// What is wrong with it, and what was expected.
        detail: String,
    },
    /// A column is missing or has a type that cannot be converted.
    #[error("{}: column {column}: {detail}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// Name of the column.
        column: String,
        /// What is wrong with it, and what was expected.
        detail: String,
    },
    /// An Arrow IPC or Parquet file cannot be written or decoded.
    #[error("{}: {detail}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The message of the format's library.
        detail: String,
    },
    /// What does not fit the memory that a check may use cannot be put aside.
    #[error("{source}: make room, name another folder, or allow more memory")]
    Spill {
        /// The cause.
        #[from]
        source: fissure_checker::spill::SpillError,
    },
    /// The operations break an invariant of a history.
    #[error("{}: {source}", path.display())]
    Invariant {
        /// The file or folder.
        path: PathBuf,
        /// Which invariant.
        source: fissure_checker::HistoryError,
    },
    /// The journal tells a story that cannot be: a completion without invocation, an order that goes back.
    #[error("{}: event {event}: {detail}; this is a bug in what recorded it", path.display())]
    Event {
        /// The journal.
        path: PathBuf,
        /// Number of the event in the journal, from 0.
        event: u64,
        /// What cannot be.
        detail: String,
    },
    /// A journal of the first version.
    #[error("{} was written by an older fissure: recover its run with the fissure that wrote it", path.display())]
    OlderJournal {
        /// The journal of operations.
        path: PathBuf,
    },
    /// There is a history already.
    #[error("{} exists already: name another folder, or remove it", path.display())]
    Exists {
        /// The folder of its tables.
        path: PathBuf,
    },
    /// The run is still going on.
    #[error("the run in {} is still going on, in process {pid}: end it first (Ctrl-C, or `kill {pid}`)", path.display())]
    OwnerAlive {
        /// The run folder.
        path: PathBuf,
        /// Process that runs it.
        pid: u32,
    },
    /// There is no run there.
    #[error("{}: {detail}", path.display())]
    NoRun {
        /// What was asked for.
        path: PathBuf,
        /// Why it is not a run, and what would be one.
        detail: String,
    },
}

impl Error {
    /// An I/O error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source: Arc::new(source) }
    }

    /// An error of the Arrow or Parquet library about this file.
    pub(crate) fn format<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error {
        let path = path.to_owned();
        move |source| Error::Format { path, detail: source.to_string() }
    }

    /// An error of the Parquet library about this file; one of the operating system within it stays one.
    pub(crate) fn parquet(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> Error {
        let path = path.to_owned();
        move |source| match source {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(source) => Error::Io { action: "write", path, source: Arc::new(*source) },
                Err(other) => Error::Format { path, detail: other.to_string() },
            },
            other => Error::Format { path, detail: other.to_string() },
        }
    }

    /// An error of the Arrow library about this file; one of the operating system within it stays one.
    pub(crate) fn arrow(path: &Path) -> impl FnOnce(arrow::error::ArrowError) -> Error {
        let path = path.to_owned();
        move |source| match source {
            arrow::error::ArrowError::IoError(_, source) => {
                Error::Io { action: "write", path, source: Arc::new(source) }
            }
            other => Error::Format { path, detail: other.to_string() },
        }
    }

    /// Whether there is no room on the disk, for the process or for the user: what is there is whole, and what comes next
    /// has no place.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_disk_full(source))
    }
}

/// Whether a write found no room on the disk, for the process or for the user.
#[must_use]
pub fn is_disk_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | WriteZero)
}
