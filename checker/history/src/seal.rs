//! Seal: from journals to sorted, checked Parquet.
//!
//! Operations are paired in one pass with bounded memory: see the module `pairing`. The other tables are small beside
//! `ops` and are sorted in memory.
//!
//! The tables are written to `history.partial`, and the folder is renamed when all is synced: `history` is whole, or it
//! is not there.

use crate::columns::TableRow;
use crate::error::Error;
use crate::journal::events::EventReader;
use crate::journal::frames::FrameReader;
use crate::journal::writer::journal_path;
use crate::manifest::{Counts, sync_dir, write_json};
use crate::ops_table;
use crate::pairing::{Pairing, Tally, write_rows};
use crate::parquet_file::{Background, FileSum, TableWriter};
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow};
use crate::run_dir::RunDir;
use crate::schema::{SCHEMA_VERSION, Table};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
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

impl SealReport {
    fn saw(&mut self, t_ns: i64) {
        self.last_ns = self.last_ns.max(Some(t_ns));
    }
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
    let partial = run.file("history.partial");
    remove_dir(&partial)?;
    std::fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
    let mut report = SealReport::default();
    seal_ops(&journal, &partial, &mut report)?;
    seal_tables(&journal, &partial, &mut report)?;
    let sums = Checksums { schema_version: SCHEMA_VERSION, files: report.files.clone() };
    write_json(&partial.join(CHECKSUMS_FILE), "list of checksums", &sums)?;
    std::fs::rename(&partial, &history).map_err(Error::io("rename to", &history))?;
    sync_dir(run.path())?;
    remove_dir(&journal)?;
    Ok(report)
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

/// Opens a journal, if there is one: a process may die between creating the folder and creating the files.
fn open_journal(dir: &Path, table: Table, report: &mut SealReport) -> Result<Option<(PathBuf, FrameReader)>, Error> {
    let path = journal_path(dir, table);
    if !path.exists() {
        return Ok(None);
    }
    let reader = FrameReader::open(&path)?;
    report.torn.extend(reader.torn.clone());
    Ok(Some((path, reader)))
}

fn seal_ops(journal: &Path, out: &Path, report: &mut SealReport) -> Result<(), Error> {
    let writer = TableWriter::create(out, Table::Ops, ops_table::batch_schema(), ("part", 0))?;
    let mut late_writer = TableWriter::create(out, Table::Ops, ops_table::batch_schema(), ("late", 0))?;
    let mut writer = Background::start(writer, out)?;
    if let Some((path, mut reader)) = open_journal(journal, Table::Ops, report)? {
        let mut pairing = Pairing::new(&path);
        let path: Arc<Path> = Arc::from(path);
        while let Some((first_row, batch)) = reader.next_batch()? {
            pairing.push(EventReader::new(batch, &path, first_row)?, &mut writer)?;
        }
        pairing.finish(&mut writer)?;
        write_rows(&pairing.take_late(), &path, &mut late_writer)?;
        pairing.tally.into_counts(&mut report.counts);
        report.open_ops = pairing.tally.open;
        report.last_ns = report.last_ns.max(pairing.tally.last_ns);
    }
    report.files.extend(writer.finish()?.finish(true)?);
    report.files.extend(late_writer.finish(false)?);
    Ok(())
}

/// All rows of a journal.
fn journal_rows<R: TableRow>(journal: &Path, report: &mut SealReport) -> Result<Vec<R>, Error> {
    let mut rows = Vec::new();
    if let Some((path, mut reader)) = open_journal(journal, R::TABLE, report)? {
        while let Some((first_row, batch)) = reader.next_batch()? {
            rows.extend(R::from_batch(&batch, &path, first_row)?);
        }
    }
    Ok(rows)
}

fn write_table<R: TableRow>(out: &Path, rows: &[R], report: &mut SealReport) -> Result<u64, Error> {
    report.files.extend(crate::writer::write_table(out, rows)?);
    Ok(rows.len() as u64)
}

/// The last row for each key, in the order in which the keys came first.
fn last_per_key<R, K: std::hash::Hash + Eq>(rows: Vec<R>, key: impl Fn(&R) -> K) -> Vec<R> {
    let mut places: FxHashMap<K, usize> = FxHashMap::default();
    let mut kept: Vec<R> = Vec::new();
    for row in rows {
        match places.entry(key(&row)) {
            std::collections::hash_map::Entry::Occupied(place) => kept[*place.get()] = row,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(row);
            }
        }
    }
    kept
}

fn seal_tables(journal: &Path, out: &Path, report: &mut SealReport) -> Result<(), Error> {
    let mut faults = last_per_key(journal_rows::<FaultRow>(journal, report)?, |row| row.fault_id);
    faults.sort_by_key(|row| (row.start_ns, row.fault_id));
    faults.iter().for_each(|row| report.saw(row.stop_ns.unwrap_or(row.start_ns)));
    report.counts.faults = write_table(out, &faults, report)?;

    let mut injections = journal_rows::<InjectionRow>(journal, report)?;
    injections.sort_by(|a, b| (a.t_ns, &a.host, a.cpu, a.event_seq).cmp(&(b.t_ns, &b.host, b.cpu, b.event_seq)));
    injections.iter().for_each(|row| report.saw(row.t_ns));
    report.counts.injections = write_table(out, &injections, report)?;

    let connections = journal_rows::<ConnectionRow>(journal, report)?;
    let mut connections = last_per_key(connections, |row| {
        (row.conn_cookie, row.local_addr, row.local_port, row.remote_addr, row.remote_port)
    });
    connections.sort_by_key(|row| (row.opened_ns.unwrap_or(i64::MIN), row.conn_cookie));
    report.counts.connections = write_table(out, &connections, report)?;

    let mut nodes = journal_rows::<NodeRow>(journal, report)?;
    nodes.sort_by_key(|row| row.t_ns);
    nodes.iter().for_each(|row| report.saw(row.t_ns));
    report.counts.nodes = write_table(out, &nodes, report)?;

    let mut clocks = journal_rows::<ClockRow>(journal, report)?;
    clocks.sort_by_key(|row| row.t_ns);
    clocks.iter().for_each(|row| report.saw(row.t_ns));
    report.counts.clocks = write_table(out, &clocks, report)?;

    let names = journal_rows::<NameRow>(journal, report)?;
    report.counts.names = write_table(out, &names, report)?;
    Ok(())
}
