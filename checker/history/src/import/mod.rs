//! Importers: histories that others recorded.
//!
//! * Parquet of our own schema: a run, a folder, a file;
//! * EDN of Jepsen, Knossos and Elle: one operation after the other, or one vector or list of them;
//! * JSON of elle-cli: an array, or one object after the other;
//! * the text log of early Jepsen, as Porcupine's tests have it, and Porcupine's own logs of a key-value store;
//! * Jepsen's files: `.jepsen`, versions 0 and 1, and `test.fressian`;
//! * the formats of transactional checkers: the text of Plume, AWDIT and PolySI, AWDIT's tests, folders of Cobra's logs,
//!   dbcop's two formats, and Chronos' JSON. They tell the order within each session and nothing of real time.
//!
//! [`import_file_with`] gives a history in memory, for checking. Keys and values that are no 64-bit integers become
//! numbers that [`History::names`] explains. Functions and values that nobody here understands are kept as text
//! ([`Call::Other`](fissure_checker::Call::Other)) and counted in the notes. Operations of the nemesis become rows of
//! `faults`. [`import_to`] does the same into files, with bounded memory.
//!
//! Events are taken in the order of the file. A record that is wrong is a mistake with its line and column; all
//! mistakes of a file are found at once, and with [`ImportOptions::lenient`] the other records are imported without it.
//!
//! ```
//! use fissure_history::import::{ImportOptions, import_bytes};
//! let text = b"{:type :invoke, :process 0, :f :txn, :value [[:append :x 1]]}
//! {:type :ok, :process 0, :f :txn, :value [[:append :x 1]]}";
//! let imported = import_bytes("h.edn".as_ref(), text, &ImportOptions::default())?;
//! assert_eq!(imported.history.len(), 1);
//! # Ok::<(), fissure_history::ImportError>(())
//! ```

mod awdit;
#[cfg(test)]
#[path = "../../tests/common/fressian_writer.rs"]
#[allow(dead_code, reason = "each test module uses its own part of it")]
mod fressian_writer;

mod block;
mod bytes;
mod chronos;
mod cobra;
mod dbcop;
pub(crate) mod edn;
pub(crate) mod event;
mod fast;
mod foreign;
mod format;
mod fressian;
mod fressian_codes;
mod fressian_tags;
mod input;
mod jepsen;
mod jepsen_blocks;
mod jepsen_source;
mod json_tokens;
mod merge;
mod mistakes;
mod nemesis;
mod plume;
mod porcupine;
pub(crate) mod reader;
mod records;
mod renumber;
mod sessions;
mod shape;
mod sink;
mod text;
mod values;

pub use format::Format;
pub use mistakes::{Place, Skipped, SkippedRecords};

use crate::error::Error;
use crate::read::read_history;
use crate::rows::FaultRow;
use crate::writer::HistoryWriter;
use event::{Character, Mistake, SourceError};
use fissure_checker::{History, HistoryError, Names};
use input::Input;
use merge::{Counts, Merge, Refused, Sink};
use mistakes::Mistakes;
use shape::{Evidence, Shape};
use sink::{Files, Keys, Memory};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// Whether values of single-object operations are tuples `[key value]`. `None`: they are if the invocation of a
    /// read has one.
    pub independent: Option<bool>,
    /// What an `ok` read of nil says.
    pub nil_reads: NilReads,
    /// Value that every register holds at the start; it becomes a write before everything else.
    pub initial_value: Option<i64>,
    /// The format. `None`: it is told from what the file begins with, and from its name.
    pub format: Option<Format>,
    /// Whether records that are wrong are left out and counted. Otherwise they make the import fail.
    pub lenient: bool,
}

/// An imported history in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The history, with the names of keys and values that are no integers.
    pub history: History,
    /// What the nemesis did, in a foreign format.
    pub faults: Vec<FaultRow>,
    /// Records that were left out.
    pub skipped: SkippedRecords,
    /// What a person should know about how the file was understood.
    pub notes: Vec<String>,
}

/// What was imported into files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// The format that was read.
    pub format: Format,
    /// Events of clients.
    pub events: u64,
    /// Operations.
    pub ops: u64,
    /// Operations that are `ok`.
    pub ok: u64,
    /// Operations that are `fail`.
    pub fail: u64,
    /// Operations that are `info`, with those that never completed.
    pub info: u64,
    /// Faults of the nemesis.
    pub faults: u64,
    /// Keys and values that are no integers.
    pub names: u64,
    /// Whether the order of operations is that of real time. Otherwise only the order within a process is known.
    pub real_time_order: bool,
    /// Records that were left out.
    pub skipped: SkippedRecords,
    /// What a person should know about how the file was understood.
    pub notes: Vec<String>,
}

/// Why a history cannot be imported.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file or run that cannot be read.
    #[error(transparent)]
    File(#[from] Error),
    /// Records that are wrong.
    #[error("{}", told(path, mistakes))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, and where.
        mistakes: SkippedRecords,
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

/// One line for each mistake.
fn told(path: &Path, mistakes: &SkippedRecords) -> String {
    let line = |mistake: &Skipped| format!("{}:{}: {}", path.display(), mistake.place, mistake.detail);
    let mut lines: Vec<String> = mistakes.first.iter().map(line).collect();
    let more = mistakes.count.saturating_sub(mistakes.first.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

/// Whether a folder is a history in a format of others: logs of Cobra.
#[must_use]
pub fn is_foreign_folder(path: &Path) -> bool {
    cobra::looks_like(path)
}

/// Imports a history with the usual understanding of what it leaves open.
///
/// # Errors
/// As [`import_file_with`].
pub fn import_file(path: &Path) -> Result<Imported, ImportError> {
    import_file_with(path, &ImportOptions::default())
}

/// Imports a history into memory.
///
/// # Errors
/// If the file cannot be read, if it is in no format that is understood, or if records of it are wrong: the error has
/// the place of each, the first 20, and their number. With `lenient` a wrong record is no error.
pub fn import_file_with(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    if options.format.is_some() {
        return import_input(&Input::file(path), options);
    }
    if (path.is_dir() && !is_foreign_folder(path)) || path.extension().is_some_and(|extension| extension == "parquet") {
        return from_parquet(path);
    }
    let input = Input::file(path);
    if !path.is_dir() && input.head()?.starts_with(b"PAR1") {
        return from_parquet(path);
    }
    import_input(&input, options)
}

fn from_parquet(path: &Path) -> Result<Imported, ImportError> {
    let history = read_history(path)?.history;
    Ok(Imported { history, ..Imported::default() })
}

/// Imports a history from the contents of a file; `path` helps to tell the format and is named in errors.
///
/// # Errors
/// As [`import_file_with`].
pub fn import_bytes(path: &Path, bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    import_input(&Input::bytes(path, bytes), options)
}

fn import_input(input: &Input, options: &ImportOptions) -> Result<Imported, ImportError> {
    let mut memory = Memory::default();
    let done = run(input, options, &mut memory)?;
    let history = History::new(memory.ops)
        .map_err(|source| ImportError::History { path: input.path().to_owned(), source })?
        .with_names(Arc::new(done.names))
        .with_real_time_order(done.character.real_time_order);
    Ok(Imported { history, faults: done.faults, skipped: done.skipped, notes: done.notes })
}

/// Imports a recorded history into files, with memory that does not grow with it but for names, and gives the writer
/// the names and the faults. The caller finishes the writer if there is no error, and drops it otherwise.
///
/// # Errors
/// As [`import_file_with`]; also if the writer cannot write.
pub fn import_to(
    path: &Path,
    options: &ImportOptions,
    writer: &mut HistoryWriter,
) -> Result<ImportReport, ImportError> {
    let input = Input::file(path);
    let mut files = Files::new(writer);
    let done = run(&input, options, &mut files)?;
    let Counts { events, ops, ok, fail, info } = done.counts;
    let report = ImportReport {
        format: done.format,
        events,
        ops,
        ok,
        fail,
        info,
        faults: done.faults.len() as u64,
        names: done.names.len() as u64,
        real_time_order: done.character.real_time_order,
        skipped: done.skipped,
        notes: done.notes,
    };
    writer.names(&done.names);
    writer.faults(done.faults);
    Ok(report)
}

/// What an import gives beside the operations.
struct Done {
    format: Format,
    names: Names,
    faults: Vec<FaultRow>,
    character: Character,
    skipped: SkippedRecords,
    counts: Counts,
    notes: Vec<String>,
}

/// Imports a file into a sink.
fn run(input: &Input, options: &ImportOptions, sink: &mut dyn Sink) -> Result<Done, ImportError> {
    let format = match options.format {
        Some(format) => format,
        None => Format::detect(input.path(), &input.head()?).ok_or_else(|| no_format(input))?,
    };
    let evidence = gather(format, input)?;
    let shape = evidence.shape(options.independent, options.nil_reads);
    let mut merge = Merge::new(shape, sink);
    if let Some(value) = options.initial_value {
        let mut keys = Keys::default();
        let mut first = Merge::new(shape, &mut keys);
        let (_, character) = pass(format, input, shape, &mut first)?;
        let (names, process, t_ns) = (std::mem::take(&mut first.names), first.process_before(), first.first_ns());
        drop(first);
        merge.begin(&character);
        merge.begin_with(&keys.sorted(), value, process, t_ns, names)?;
    }
    let (mistakes, character) = pass(format, input, shape, &mut merge)?;
    let skipped =
        if mistakes.is_empty() { SkippedRecords::default() } else { mistakes.placed(input, character.binary)? };
    if skipped.count > 0 && !options.lenient {
        return Err(ImportError::Mistakes { path: input.path().to_owned(), mistakes: skipped });
    }
    let notes = notes(options, shape, &character, &skipped, &merge);
    let counts = merge.counts();
    let (names, faults) = (merge.names, merge.nemesis.into_rows());
    Ok(Done { format, names, faults, character, skipped, counts, notes })
}

fn notes(
    options: &ImportOptions,
    shape: Shape,
    character: &Character,
    skipped: &SkippedRecords,
    merge: &Merge<'_>,
) -> Vec<String> {
    let mut notes = merge.notes(character);
    if skipped.count > 0 {
        notes.push(format!("{} records are wrong and were left out", skipped.count));
    }
    if shape.independent && options.independent.is_none() {
        notes.push("values of single-object operations were taken as tuples [key value]".to_owned());
    }
    if let Some(value) = options.initial_value {
        notes.push(format!("every register is taken to hold {value} at the start"));
    }
    if shape.nil_reads == NilReads::Unknown {
        notes.push("reads of nil are taken to say nothing".to_owned());
    }
    if !character.real_time_order {
        notes.push("only the order within each process is known: nothing is said about real time".to_owned());
    }
    notes
}

/// Reads from the beginning until what must be known of the whole is known.
fn gather(format: Format, input: &Input) -> Result<Evidence, ImportError> {
    /// So many events are always looked at.
    const EVENTS_MIN: u64 = 4096;
    let mut evidence = Evidence::default();
    if !format.is_written() {
        return Ok(evidence);
    }
    let mut source = format.open(input, None)?;
    let (mut names, mut events) = (Names::default(), 0);
    while events < EVENTS_MIN || !evidence.is_settled() {
        match source.next_event(&mut names) {
            Ok(Some(event)) => evidence.take(&event),
            Err(SourceError::Mistake(_)) => {}
            Err(SourceError::File(error)) => return Err(error.into()),
            Ok(None) | Err(SourceError::Broken(_)) => break,
        }
        events += 1;
    }
    Ok(evidence)
}

/// Takes every event of a file.
fn pass(
    format: Format,
    input: &Input,
    shape: Shape,
    merge: &mut Merge<'_>,
) -> Result<(Mistakes, Character), ImportError> {
    let mut source = format.open(input, Some(shape))?;
    let character = source.character();
    let mismatch = character.failed_cas_is_mismatch;
    merge.begin(&character);
    let mut mistakes = Mistakes::default();
    loop {
        match source.next_event(&mut merge.names) {
            Ok(Some(event)) => match merge.event(event, mismatch) {
                Ok(()) => {}
                Err(Refused::Mistake(mistake)) => mistakes.add(mistake),
                Err(Refused::File(error)) => return Err(error.into()),
            },
            Ok(None) => break,
            Err(SourceError::Mistake(mistake)) => mistakes.add(mistake),
            Err(SourceError::Broken(mistake)) => {
                mistakes.add(mistake);
                break;
            }
            Err(SourceError::File(error)) => return Err(error.into()),
        }
    }
    Ok((mistakes, source.character()))
}

fn no_format(input: &Input) -> ImportError {
    let detail =
        format!("not a history that is understood, expected Parquet or one of: {}", Format::names().join(", "));
    let mut mistakes = Mistakes::default();
    mistakes.add(Mistake { offset: 0, detail });
    match mistakes.placed(input, false) {
        Ok(mistakes) => ImportError::Mistakes { path: input.path().to_owned(), mistakes },
        Err(error) => ImportError::File(error),
    }
}
