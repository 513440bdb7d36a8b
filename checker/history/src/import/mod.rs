//! Importers: histories that others recorded.
//!
//! * Parquet of our own schema: a run, a folder, a file;
//! * EDN of Jepsen, Knossos and Elle: one operation per line, or one vector or list of them;
//! * JSON of elle-cli: an array, or one object per line;
//! * the text log of early Jepsen, as Porcupine's tests have it.
//!
//! They read registers (`read`, `write`, `cas`; also Jepsen's independent keys) and transactions over lists (`append`,
//! `r`) or registers (`w`, `r`). Keys and values that are not integers become integers in the order in which they come
//! first; [`Imported`] has their names. Operations of the nemesis are left out, and counted in the notes.
//!
//! Events are taken in the order of the file.

mod convert;
pub(crate) mod edn;
mod events;

use crate::error::Error;
use crate::read::read_history;
use edn::Notation;
use fissure_checker::{History, HistoryError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What an `ok` read of nil says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NilReads {
    /// The register was never written.
    #[default]
    NeverWritten,
    /// Nothing: the recorder wrote nil for what it did not know. Knossos takes nil in this way.
    Unknown,
}

/// How to understand a history that leaves it open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Whether values of register operations are tuples `[key value]`. `None`: they are if the invocation of a read has
    /// one.
    pub independent: Option<bool>,
    /// What an `ok` read of nil says.
    pub nil_reads: NilReads,
    /// Value that every register holds at the start; it becomes a write before everything else.
    pub initial_value: Option<i64>,
}

/// An imported history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The history.
    pub history: History,
    /// Names of keys that were not integers.
    pub key_names: BTreeMap<i64, String>,
    /// Names of values that were not integers.
    pub value_names: BTreeMap<i64, String>,
    /// What a person should know about how the file was understood.
    pub notes: Vec<String>,
}

/// Why a history cannot be imported.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A Parquet file or run that cannot be read.
    #[error(transparent)]
    File(#[from] Error),
    /// A text that is no history, or one that is not understood.
    #[error("{}:{line}:{column}: {detail}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong there.
        detail: String,
    },
    /// The events do not make a history.
    #[error("{}: {source}", path.display())]
    History {
        /// The file.
        path: PathBuf,
        /// Which invariant is broken.
        source: HistoryError,
    },
}

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Maps(Notation),
    JepsenLog,
}

/// Imports a history with the usual understanding of what it leaves open.
///
/// # Errors
/// If the file cannot be read or understood; the error has the line and the column.
pub fn import_file(path: &Path) -> Result<Imported, ImportError> {
    import_file_with(path, &ImportOptions::default())
}

/// Imports a history.
///
/// # Errors
/// If the file cannot be read or understood; the error has the line and the column.
pub fn import_file_with(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    if path.is_dir() || path.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(Imported { history: read_history(path)?.history, ..Imported::default() });
    }
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    if bytes.starts_with(b"PAR1") {
        return Ok(Imported { history: read_history(path)?.history, ..Imported::default() });
    }
    import_bytes(path, &bytes, options)
}

/// Imports a history from the contents of a text file; `path` tells the format and is named in errors.
///
/// # Errors
/// If the text cannot be understood; the error has the line and the column.
pub fn import_bytes(path: &Path, bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        text_error(path, &valid, valid.len(), "this is neither text in UTF-8 nor Parquet")
    })?;
    let events = match format_of(path, text) {
        Some(Format::Maps(notation)) => events::from_maps(text, notation),
        Some(Format::JepsenLog) => events::from_jepsen_log(text),
        None => {
            let detail = "not a history that is understood: expected EDN, JSON, Parquet, or a text log of Jepsen";
            return Err(text_error(path, text, text.len() - text.trim_start().len(), detail));
        }
    };
    let imported = events.and_then(|events| convert::convert(events, options));
    match imported {
        Ok(Ok(imported)) => Ok(imported),
        Ok(Err(source)) => Err(ImportError::History { path: path.to_owned(), source }),
        Err(error) => Err(text_error(path, text, error.offset, error.detail)),
    }
}

fn text_error(path: &Path, text: &str, offset: usize, detail: impl Into<String>) -> ImportError {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    ImportError::Text { path: path.to_owned(), line, column, detail: detail.into() }
}

/// The format, from what the text begins with and then from the extension.
fn format_of(path: &Path, text: &str) -> Option<Format> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let begin = text.trim_start();
    if matches!(extension, "json" | "jsonl" | "ndjson") {
        return Some(Format::Maps(Notation::Json));
    }
    if extension == "edn" {
        return Some(Format::Maps(Notation::Edn));
    }
    if begin.starts_with("INFO") {
        return Some(Format::JepsenLog);
    }
    let inner = begin.trim_start_matches(['[', '(', ' ', '\n', '\r', '\t']);
    if inner.starts_with("{\"") || (inner.starts_with('{') && inner[1..].trim_start().starts_with('"')) {
        return Some(Format::Maps(Notation::Json));
    }
    let edn = inner.starts_with('{') || inner.starts_with("#jepsen") || inner.starts_with(';');
    edn.then_some(Format::Maps(Notation::Edn))
}
