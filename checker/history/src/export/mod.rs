//! Exporters: histories for the tools of others.
//!
//! * EDN as Jepsen's `history.edn`: one event a line, for Jepsen, Knossos and Elle;
//! * JSON lines as elle-cli takes them;
//! * the text of Plume, AWDIT and PolySI, for transactions over registers and, with what lists reveal lost, over lists.
//!
//! A run is read with bounded memory: what is held are the operations in flight, the names, and the faults. It is read
//! once before anything is written, for what must be known of the whole. What a format cannot say is an error that names
//! the operation, or, where the meaning stays the same, a note in the [`ExportReport`].
//!
//! EDN that is imported again is the same history: operations, order, outcomes, names. What Jepsen's form leaves open
//! stays open: `nil` that was read by every transaction may be an empty list or a register that was never written, and
//! tuples of independent keys look like vectors ([`ExportReport::independent`] says whether there are any). That only the
//! order within each process is known, EDN and JSON cannot say at all.
//!
//! ```
//! use fissure_history::export::{ExportFormat, ExportOptions, export_history};
//! use fissure_history::import::{ImportOptions, import_bytes};
//! let text = b"{:type :invoke, :process 0, :f :txn, :value [[:append :x 1]]}
//! {:type :ok, :process 0, :f :txn, :value [[:append :x 1]]}";
//! let imported = import_bytes("h.edn".as_ref(), text, &ImportOptions::default())?;
//! let mut json = Vec::new();
//! export_history(&imported.history, &[], ExportFormat::JsonLines, &ExportOptions::default(), &mut json)?;
//! assert!(json.starts_with(br#"{"index":0,"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calls;
mod events;
mod faults;
mod notation;
mod plume;

use crate::error::Error;
use crate::import::{ImportError, ImportOptions, import_file_with};
use crate::read::{OpsReader, read_faults};
use crate::rows::FaultRow;
use fissure_checker::{Call, History, Names, Operation};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// EDN of Jepsen, one event a line.
    Edn,
    /// JSON of elle-cli, one event a line.
    JsonLines,
    /// One read or write a line, as Plume, AWDIT and PolySI take it.
    Plume,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [ExportFormat; 3] = [ExportFormat::Edn, ExportFormat::JsonLines, ExportFormat::Plume];

    /// The word for it on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExportFormat::Edn => "edn",
            ExportFormat::JsonLines => "json-lines",
            ExportFormat::Plume => "plume",
        }
    }

    /// The usual format of files with this extension.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "edn" => Some(ExportFormat::Edn),
            "json" | "jsonl" | "ndjson" => Some(ExportFormat::JsonLines),
            "txt" | "plume" => Some(ExportFormat::Plume),
            _ => None,
        }
    }
}

/// A name that is of no format to write.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{name}` is no format to write, expected one of: edn, json-lines, plume")]
pub struct UnknownExportFormat {
    /// The name.
    pub name: String,
}

impl FromStr for ExportFormat {
    type Err = UnknownExportFormat;

    fn from_str(name: &str) -> Result<Self, UnknownExportFormat> {
        let format = Self::ALL.into_iter().find(|format| format.name() == name);
        format.ok_or_else(|| UnknownExportFormat { name: name.to_owned() })
    }
}

/// How to write what a format leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Whether values of single-object operations are written as tuples `[key value]`. `None`: they are if any key is
    /// not 0, which stands for the only object of a history without keys.
    pub independent: Option<bool>,
    /// How to understand the history, if it is not one of our own.
    pub import: ImportOptions,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Operations written.
    pub operations: u64,
    /// Operations left out: the notes say why.
    pub left_out: u64,
    /// Lines written: events, or reads and writes.
    pub lines: u64,
    /// Whether values of single-object operations are tuples `[key value]`.
    pub independent: bool,
    /// What a person should know about what was written.
    pub notes: Vec<String>,
}

/// Why a history cannot be written.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The history cannot be read.
    #[error(transparent)]
    File(#[from] Error),
    /// The history, in a format of others, cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The output cannot be written.
    #[error("cannot write the export: {source}")]
    Write {
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// The format has no words for this operation.
    #[error("operation {op_id} cannot be written as {format}: {detail}", format = format.name())]
    NotExpressible {
        /// The operation.
        op_id: u64,
        /// The format.
        format: ExportFormat,
        /// Why not.
        detail: String,
    },
    /// Two keys or values would become one.
    #[error("`{first}` and `{second}` would be the same in {format}: write EDN instead", format = format.name())]
    NameClash {
        /// One of them, in EDN.
        first: String,
        /// The other.
        second: String,
        /// The format.
        format: ExportFormat,
    },
}

impl From<std::io::Error> for ExportError {
    fn from(source: std::io::Error) -> Self {
        ExportError::Write { source: Arc::new(source) }
    }
}

/// Operations in order of invocation.
type Operations<'a> = Box<dyn Iterator<Item = Result<Operation, Error>> + 'a>;

/// A history that can be read more than once.
trait Source {
    /// Its operations, from the first one.
    fn operations(&self) -> Result<Operations<'_>, Error>;

    /// What its integers stand for.
    fn names(&self) -> &Names;

    /// Whether the order of its events is that of real time.
    fn has_real_time_order(&self) -> bool;
}

struct InMemory<'a>(&'a History);

impl Source for InMemory<'_> {
    fn operations(&self) -> Result<Operations<'_>, Error> {
        Ok(Box::new(self.0.ops().iter().cloned().map(Ok)))
    }

    fn names(&self) -> &Names {
        self.0.names()
    }

    fn has_real_time_order(&self) -> bool {
        self.0.has_real_time_order()
    }
}

struct OnDisk<'a> {
    path: &'a Path,
    names: Arc<Names>,
    real_time_order: bool,
}

impl Source for OnDisk<'_> {
    fn operations(&self) -> Result<Operations<'_>, Error> {
        Ok(Box::new(OpsReader::open(self.path)?.map(|row| row.map(|row| row.op))))
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn has_real_time_order(&self) -> bool {
        self.real_time_order
    }
}

/// Writes the history of a run, of a folder or file of Parquet, or of a file in any format that can be imported.
///
/// Memory is bounded for Parquet; a foreign file is read into memory as a whole.
///
/// # Errors
/// If the history cannot be read, the output not written, or an operation not be expressed in the format. The output may
/// then be incomplete.
pub fn export(
    path: &Path,
    format: ExportFormat,
    options: &ExportOptions,
    out: &mut dyn Write,
) -> Result<ExportReport, ExportError> {
    if is_parquet(path)? {
        let reader = OpsReader::open(path)?;
        let (names, real_time_order) = (reader.names().clone(), reader.has_real_time_order());
        drop(reader);
        let source = OnDisk { path, names, real_time_order };
        // A file or folder of Parquet by itself has no faults.
        let has_tables = [path.to_owned(), path.join("history")].iter().any(|dir| dir.join("ops").is_dir());
        let is_run = has_tables || (!path.is_file() && crate::RunDir::open(path).is_ok());
        let faults = if is_run { read_faults(path)? } else { Vec::new() };
        return write(&source, &faults, format, options, out);
    }
    let imported = import_file_with(path, &options.import)?;
    export_history(&imported.history, &imported.faults, format, options, out)
}

/// Writes a history that is in memory, with the faults that its nemesis made.
///
/// # Errors
/// As [`export`].
pub fn export_history(
    history: &History,
    faults: &[FaultRow],
    format: ExportFormat,
    options: &ExportOptions,
    out: &mut dyn Write,
) -> Result<ExportReport, ExportError> {
    write(&InMemory(history), faults, format, options, out)
}

/// Whether a path is a run or Parquet. Folders are, unless they are in a format of folders.
fn is_parquet(path: &Path) -> Result<bool, Error> {
    if path.is_dir() {
        return Ok(!crate::import::is_foreign_folder(path));
    }
    if !path.exists() || path.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(true);
    }
    let mut begin = [0; 4];
    let mut file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    Ok(std::io::Read::read_exact(&mut file, &mut begin).is_ok() && begin == *b"PAR1")
}

fn write(
    source: &dyn Source,
    faults: &[FaultRow],
    format: ExportFormat,
    options: &ExportOptions,
    out: &mut dyn Write,
) -> Result<ExportReport, ExportError> {
    let mut out = BufWriter::with_capacity(1 << 18, out);
    let report = match format {
        ExportFormat::Edn | ExportFormat::JsonLines => {
            let independent = match options.independent {
                Some(independent) => independent,
                None => has_keys(source)?,
            };
            events::write(source, faults, format, independent, &mut out)?
        }
        ExportFormat::Plume => plume::write(source, &mut out)?,
    };
    out.flush()?;
    Ok(report)
}

/// Functions on a single object.
const SINGLE: [&str; 12] =
    ["read", "write", "cas", "add", "enqueue", "dequeue", "drain", "push", "pop", "acquire", "release", "generate"];

/// Whether a single-object operation has a key other than 0, or one was not understood, as if its key were missing.
fn has_keys(source: &dyn Source) -> Result<bool, Error> {
    for op in source.operations()? {
        let call = op?.call;
        if matches!(&call, Call::Other(other) if SINGLE.contains(&&*other.f)) {
            return Ok(true);
        }
        // Appends to texts have tuples in any case.
        if !matches!(call, Call::Append { .. }) && call.key().is_some_and(|key| key != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}
