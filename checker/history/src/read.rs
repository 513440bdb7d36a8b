//! Readers: rows and histories back from a sealed run, or from Parquet files by themselves.

use crate::columns::{Interner, TableRow};
use crate::error::Error;
use crate::manifest::MANIFEST_FILE;
use crate::ops_table;
use crate::parquet_file;
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NodeRow, OpRow};
use crate::run_dir::RunDir;
use crate::schema::Table;
use crate::seal::Checksums;
use fissure_checker::History;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The operations of a run, with the phase of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunHistory {
    /// The operations, with their invariants checked.
    pub history: History,
    /// Phase in which each was invoked, by `op_id`.
    pub phases: Vec<Arc<str>>,
}

/// The Parquet files of one table of a run, in order.
///
/// `path` may be a run folder, what [`RunDir::open`] understands, the folder of the tables, a folder of Parquet files, or
/// one file (the last two are taken to be `table`).
///
/// # Errors
/// If there is no such run or file, or the run is not sealed.
pub fn table_files(path: &Path, table: Table) -> Result<Vec<PathBuf>, Error> {
    if path.is_file() && path.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(vec![path.to_owned()]);
    }
    if let Some(history) = history_dir(path)? {
        return parts_in(&history.join(table.name()));
    }
    if path.is_dir() {
        let files = parts_in(path)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    RunDir::open(path).map(|_| Vec::new())
}

/// The Parquet files of every table.
///
/// # Errors
/// As [`table_files`].
pub fn tables(path: &Path) -> Result<Vec<(Table, Vec<PathBuf>)>, Error> {
    Table::ALL.into_iter().map(|table| Ok((table, table_files(path, table)?))).collect()
}

/// The folder of the tables of a run; `None` if `path` is not a run.
fn history_dir(path: &Path) -> Result<Option<PathBuf>, Error> {
    if path.join(Table::Ops.name()).is_dir() && !path.join(MANIFEST_FILE).exists() {
        return Ok(Some(path.to_owned()));
    }
    let Ok(run) = RunDir::open(path) else { return Ok(None) };
    let history = run.history_dir();
    if history.is_dir() {
        return Ok(Some(history));
    }
    if run.journal_dir().is_dir() {
        return Err(Error::NotSealed { path: run.path().to_owned() });
    }
    let detail = "its history is missing".to_owned();
    Err(Error::NoRun { path: run.path().to_owned(), detail })
}

fn parts_in(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", dir))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Checks the files of one table of a run against `checksums.json`, where there is one: none may be missing, added or
/// changed.
fn verify(path: &Path, table: Table, files: &[PathBuf]) -> Result<(), Error> {
    let Ok(Some(history)) = history_dir(path) else { return Ok(()) };
    let sums = match Checksums::read(&history) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let sums: Vec<_> = sums.files.iter().filter(|file| file.table == table.name()).collect();
    for sum in &sums {
        parquet_file::verify_whole(&history.join(&sum.path), sum)?;
    }
    let listed = |file: &PathBuf| sums.iter().any(|sum| history.join(&sum.path) == *file);
    match files.iter().find(|file| !listed(file)) {
        Some(path) => {
            let detail = "it is not among the files that were sealed".to_owned();
            Err(Error::Corrupt { path: path.clone(), place: "its name".to_owned(), detail })
        }
        None => Ok(()),
    }
}

/// Reads and checks the operations of a run, a folder of Parquet files, or one file.
///
/// # Errors
/// If a file is missing, damaged, or of another schema, or the operations break an invariant of a history. Errors name
/// the file, the row and the column.
pub fn read_history(path: &Path) -> Result<RunHistory, Error> {
    let files = table_files(path, Table::Ops)?;
    verify(path, Table::Ops, &files)?;
    let mut rows = Vec::new();
    for file in &files {
        for_each_op(file, |row| rows.push(row))?;
    }
    rows.sort_by_key(|row| row.op.invoke_seq);
    let (ops, phases) = rows.into_iter().map(|row| (row.op, row.phase)).unzip();
    let history = History::new(ops).map_err(|source| Error::Invariant { path: path.to_owned(), source })?;
    Ok(RunHistory { history, phases })
}

/// Calls `each` with every operation of one Parquet file, in its order.
pub(crate) fn for_each_op(file: &Path, mut each: impl FnMut(OpRow)) -> Result<(), Error> {
    let mut names = Interner::default();
    parquet_file::for_each_batch(file, Table::Ops, |first_row, batch| {
        ops_table::from_batch(&batch, file, first_row, &mut names)?.into_iter().for_each(&mut each);
        Ok(())
    })
}

fn read_rows<R: TableRow>(path: &Path) -> Result<Vec<R>, Error> {
    let files = table_files(path, R::TABLE)?;
    verify(path, R::TABLE, &files)?;
    let mut rows = Vec::new();
    for file in &files {
        parquet_file::for_each_batch(file, R::TABLE, |first_row, batch| {
            rows.extend(R::from_batch(&batch, file, first_row)?);
            Ok(())
        })?;
    }
    Ok(rows)
}

/// Reads the faults of a run, in order of their start.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_faults(path: &Path) -> Result<Vec<FaultRow>, Error> {
    read_rows(path)
}

/// Reads the injections of a run, in order of time.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_injections(path: &Path) -> Result<Vec<InjectionRow>, Error> {
    read_rows(path)
}

/// Reads the connections of a run, in order of their opening.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_connections(path: &Path) -> Result<Vec<ConnectionRow>, Error> {
    read_rows(path)
}

/// Reads the life of the nodes of a run, in order of time.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_nodes(path: &Path) -> Result<Vec<NodeRow>, Error> {
    read_rows(path)
}

/// Reads the pairs of times of a run.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_clocks(path: &Path) -> Result<Vec<ClockRow>, Error> {
    read_rows(path)
}
