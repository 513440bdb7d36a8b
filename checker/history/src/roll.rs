//! Rolling seal: the closed segments of a journal become Parquet parts while the run goes on, and the rest at its end.
//!
//! A journal is cut into segments, `journal/<table>-NNNNN.arrows`. A [`Roller`] takes one closed segment after the other
//! and writes parts of the table into `history.partial`. What it needs to go on from there is the *checkpoint*: the file
//! `journal/progress.json`, and beside it the *carry*, the operations and connections that are still open, as journals of
//! their own. The end of a run, `fissure recover` and the thread that rolls are the same code: they go on from the
//! checkpoint.
//!
//! The order of things, so that a process may die and a machine may stop at any moment:
//! 1. a segment is closed and synced before the next one is created;
//! 2. the parts made of it are written and synced, then their folder;
//! 3. the carry is written and synced, then its folder;
//! 4. `progress.json` is written beside its place, synced, and renamed; the folder is synced. From here on the segment
//!    counts as consumed, before it did not;
//! 5. the segment and the carry before are removed;
//! 6. at the end, `checksums.json` is written and synced, `history.partial` is renamed to `history`, the folder is
//!    synced, and the journal is removed.
//!
//! Whoever goes on removes what the checkpoint does not mention: parts and carries of steps 2 and 3 whose step 4 did not
//! happen, segments whose step 5 did not.
//!
//! Invariants:
//! * memory is bounded by one segment of a table that is sorted, and by the window of the pairing;
//! * the disk has at most [`WAITING_SEGMENTS`](crate::journal::WAITING_SEGMENTS) segments that are not sealed, then
//!   recording waits;
//! * each part is sorted as `docs/history-schema.md` says. Parts of `ops` follow one another; those of other tables may
//!   overlap.

use crate::columns::TableRow;
use crate::error::Error;
use crate::journal::carry;
use crate::journal::events::EventReader;
use crate::journal::frames::FrameReader;
use crate::journal::packed;
use crate::journal::segments::{self, segment_path};
use crate::manifest::{Counts, read_checked_json, sync_dir, write_checked_json, write_json};
use crate::ops_table::batch_schema;
use crate::pairing::{Pairing, PairingState, Tally, write_rows};
use crate::parquet_file::{Background, FileSum, TableWriter};
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow};
use crate::run_dir::RunDir;
use crate::schema::{SCHEMA_VERSION, Table};
use crate::seal::{CHECKSUMS_FILE, Checksums, SealReport, remove_dir};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the checkpoint in the folder of the journal.
const PROGRESS_FILE: &str = "progress.json";

/// Late operations that wait for a file of their own.
const LATE_ROWS: usize = 64 * 1024;

/// Rows that are converted at once.
const CHUNK_ROWS: usize = 16 * 1024;

/// How far one table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct TableProgress {
    /// Number of the first segment that is not consumed.
    segment: u32,
    /// Number of the next part.
    part: usize,
    /// Number of the next file of late operations.
    late: usize,
}

/// The checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    schema_version: u32,
    tables: BTreeMap<String, TableProgress>,
    files: Vec<FileSum>,
    counts: Counts,
    last_ns: Option<i64>,
    tally: Tally,
    pairing: PairingState,
    /// Number of the files of the carry; 0: there is none.
    carry: u32,
}

impl Progress {
    fn of(&mut self, table: Table) -> &mut TableProgress {
        self.tables.entry(table.name().to_owned()).or_default()
    }
}

/// Seals segments. See the module.
pub(crate) struct Roller {
    run: RunDir,
    journal: PathBuf,
    partial: PathBuf,
    progress: Progress,
    pairing: Pairing,
    /// Connections that are still open.
    connections: Vec<ConnectionRow>,
    report: SealReport,
}

impl Roller {
    /// Goes on from the checkpoint of a run, or starts.
    ///
    /// # Errors
    /// If the checkpoint or what it mentions is missing or damaged, or the disk refuses.
    pub(crate) fn resume(run: &RunDir) -> Result<Self, Error> {
        let (journal, partial) = (run.journal_dir(), run.file("history.partial"));
        segments::refuse_older(&journal)?;
        let path = journal.join(PROGRESS_FILE);
        let progress: Option<Progress> =
            if path.exists() { Some(read_checked_json(&path, "checkpoint")?) } else { None };
        let mut roller = Self {
            run: run.clone(),
            pairing: Pairing::new(&journal),
            journal,
            partial,
            progress: Progress { schema_version: SCHEMA_VERSION, ..Progress::default() },
            connections: Vec::new(),
            report: SealReport::default(),
        };
        match progress {
            None => remove_dir(&roller.partial)?,
            Some(progress) if progress.schema_version > SCHEMA_VERSION => {
                return Err(Error::NewerSchema { path, found: progress.schema_version, known: SCHEMA_VERSION });
            }
            Some(progress) => roller.load(progress)?,
        }
        std::fs::create_dir_all(&roller.partial).map_err(Error::io("create", &roller.partial))?;
        roller.remove_unmentioned()?;
        Ok(roller)
    }

    fn load(&mut self, progress: Progress) -> Result<(), Error> {
        for sum in &progress.files {
            let path = self.partial.join(&sum.path);
            let length = std::fs::metadata(&path).map_err(Error::io("inspect", &path))?.len();
            if length != sum.bytes {
                let detail = format!("it has {length} bytes, but {} were written", sum.bytes);
                return Err(Error::Corrupt { path, place: "its end".to_owned(), detail });
            }
        }
        if progress.carry > 0 {
            let path = carry::path(&self.journal, Table::Ops, progress.carry);
            carry::read_ops(&path, &progress.pairing, &mut self.pairing)?;
            let path = carry::path(&self.journal, Table::Connections, progress.carry);
            self.connections = carry::read_rows(&path)?;
        }
        self.pairing.tally = progress.tally;
        self.report.counts = progress.counts;
        self.report.last_ns = progress.last_ns;
        self.progress = progress;
        Ok(())
    }

    /// Removes what a process left behind that died between two steps.
    fn remove_unmentioned(&self) -> Result<(), Error> {
        for table in Table::ALL {
            let dir = self.partial.join(table.name());
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for entry in entries {
                let path = entry.map_err(Error::io("list", &dir))?.path();
                if !self.progress.files.iter().any(|sum| self.partial.join(&sum.path) == path) {
                    std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                }
            }
        }
        self.remove_consumed()
    }

    /// Removes segments that are consumed, and carries of other checkpoints.
    fn remove_consumed(&self) -> Result<(), Error> {
        let keep = |name: &segments::Name| match name {
            segments::Name::Segment(table, number) => {
                let progress = self.progress.tables.get(table.name()).copied().unwrap_or_default();
                *number >= progress.segment
            }
            segments::Name::Carry(number) => *number == self.progress.carry,
        };
        for (path, name) in segments::list(&self.journal)? {
            if !keep(&name) {
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Seals one closed segment, and makes a checkpoint of it.
    ///
    /// # Errors
    /// If it is damaged, not the next one or not closed, its events cannot be, or the disk refuses.
    pub(crate) fn segment(&mut self, table: Table, number: u32) -> Result<(), Error> {
        let path = segment_path(&self.journal, table, number);
        let expected = self.progress.of(table).segment;
        if number != expected {
            let detail = format!("segment {expected} must come before it");
            return Err(Error::Corrupt { path, place: "its name".to_owned(), detail });
        }
        self.table(table, &[(path, number)], false)?;
        self.checkpoint()
    }

    /// Seals these segments of a table; `last` if nothing comes after them.
    fn table(&mut self, table: Table, paths: &[(PathBuf, u32)], last: bool) -> Result<(), Error> {
        match table {
            Table::Ops => self.ops(paths, last)?,
            Table::Connections => self.connections(paths, last)?,
            Table::Faults => self.faults(paths)?,
            Table::Injections => self.sorted::<InjectionRow>(paths, |a, b| {
                (a.t_ns, &a.host, a.cpu, a.event_seq).cmp(&(b.t_ns, &b.host, b.cpu, b.event_seq))
            })?,
            Table::Nodes => self.sorted::<NodeRow>(paths, |a, b| a.t_ns.cmp(&b.t_ns))?,
            Table::Clocks => self.sorted::<ClockRow>(paths, |a, b| a.t_ns.cmp(&b.t_ns))?,
            Table::Names => self.sorted::<NameRow>(paths, |a, b| a.id.cmp(&b.id))?,
        }
        if let Some((_, number)) = paths.last() {
            self.progress.of(table).segment = number + 1;
        }
        Ok(())
    }

    /// Opens a segment, which must be closed unless it is the last one of its table.
    fn open(&mut self, path: &Path, is_last: bool) -> Result<FrameReader, Error> {
        let reader = FrameReader::open(path)?;
        if !reader.finished && !is_last {
            let detail = "it was not closed, but it is not the last one".to_owned();
            return Err(Error::Corrupt {
                path: path.to_owned(),
                place: "its end or that of its .sums".to_owned(),
                detail,
            });
        }
        self.report.torn.extend(reader.torn.clone());
        Ok(reader)
    }

    fn ops(&mut self, paths: &[(PathBuf, u32)], last: bool) -> Result<(), Error> {
        let next = self.progress.of(Table::Ops).part;
        let parts = TableWriter::create(&self.partial, Table::Ops, batch_schema(), ("part", next))?;
        let mut parts = Background::start(parts, &self.partial)?;
        for (index, (path, _)) in paths.iter().enumerate() {
            let mut reader = self.open(path, last && index + 1 == paths.len())?;
            self.pairing.set_path(path);
            let path: Arc<Path> = Arc::from(path.as_path());
            while let Some((first_row, batch)) = reader.next_batch()? {
                let events = packed::unpack(&batch, &path)?;
                self.pairing.push(EventReader::new(events, &path, first_row)?, &mut parts)?;
                if self.pairing.late_len() >= LATE_ROWS {
                    self.late()?;
                }
            }
        }
        if last {
            self.pairing.finish(&mut parts)?;
        } else {
            self.pairing.part_from_open(&mut parts)?;
        }
        let is_first = next == 0;
        let files = parts.finish()?.finish(last && is_first)?;
        self.progress.of(Table::Ops).part += files.len();
        self.progress.files.extend(files);
        self.late()
    }

    /// Writes the late operations that have completed.
    fn late(&mut self) -> Result<(), Error> {
        let rows = self.pairing.take_late();
        if rows.is_empty() {
            return Ok(());
        }
        let next = ("late", self.progress.of(Table::Ops).late);
        let mut writer = TableWriter::create(&self.partial, Table::Ops, batch_schema(), next)?;
        write_rows(&rows, &self.journal, &mut writer)?;
        let files = writer.finish(false)?;
        self.progress.of(Table::Ops).late += files.len();
        self.progress.files.extend(files);
        Ok(())
    }

    fn saw(&mut self, t_ns: i64) {
        self.report.last_ns = self.report.last_ns.max(Some(t_ns));
    }

    fn rows<R: TableRow>(&mut self, path: &Path, is_last: bool) -> Result<Vec<R>, Error> {
        let mut reader = self.open(path, is_last)?;
        let mut rows = Vec::new();
        while let Some((first_row, batch)) = reader.next_batch()? {
            rows.extend(R::from_batch(&batch, path, first_row)?);
        }
        Ok(rows)
    }

    fn write<R: TableRow>(&mut self, rows: &[R]) -> Result<(), Error> {
        let next = ("part", self.progress.of(R::TABLE).part);
        let mut writer = TableWriter::create(&self.partial, R::TABLE, R::TABLE.schema(), next)?;
        for piece in rows.chunks(CHUNK_ROWS) {
            let batch = R::to_batch(piece, &writer.path())?;
            writer.write(&batch)?;
        }
        let files = writer.finish(false)?;
        self.progress.of(R::TABLE).part += files.len();
        self.progress.files.extend(files);
        *counter(&mut self.report.counts, R::TABLE) += rows.len() as u64;
        Ok(())
    }

    /// Sorts each segment by itself.
    fn sorted<R: TableRow + Timed>(
        &mut self,
        paths: &[(PathBuf, u32)],
        order: fn(&R, &R) -> std::cmp::Ordering,
    ) -> Result<(), Error> {
        for (index, (path, _)) in paths.iter().enumerate() {
            // The callers hand over one closed segment, or all that are left.
            let mut rows = self.rows::<R>(path, index + 1 == paths.len())?;
            rows.sort_by(order);
            rows.iter().filter_map(Timed::t_ns).for_each(|t_ns| self.saw(t_ns));
            self.write(&rows)?;
        }
        Ok(())
    }

    /// Faults are few, and the last row of each counts, however late it comes: they are never cut into segments.
    fn faults(&mut self, paths: &[(PathBuf, u32)]) -> Result<(), Error> {
        let mut rows: Vec<FaultRow> = Vec::new();
        for (index, (path, _)) in paths.iter().enumerate() {
            rows.extend(self.rows(path, index + 1 == paths.len())?);
        }
        let mut faults = last_per_key(rows, |row| row.fault_id);
        faults.sort_by_key(|row| (row.start_ns, row.fault_id));
        faults.iter().for_each(|row| self.saw(row.stop_ns.unwrap_or(row.start_ns)));
        self.write(&faults)
    }

    /// Connections that are open at the end of a segment wait for the next one.
    fn connections(&mut self, paths: &[(PathBuf, u32)], last: bool) -> Result<(), Error> {
        for (index, (path, _)) in paths.iter().enumerate() {
            let is_last = last && index + 1 == paths.len();
            let mut rows = std::mem::take(&mut self.connections);
            rows.extend(self.rows(path, is_last)?);
            let rows = last_per_key(rows, |row: &ConnectionRow| {
                (row.conn_cookie, row.local_addr, row.local_port, row.remote_addr, row.remote_port)
            });
            let (mut done, open): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| is_last || row.closed_ns.is_some());
            self.connections = open;
            done.sort_by_key(|row| (row.opened_ns.unwrap_or(i64::MIN), row.conn_cookie));
            self.write(&done)?;
        }
        if last && paths.is_empty() {
            let open = std::mem::take(&mut self.connections);
            self.write(&open)?;
        }
        Ok(())
    }

    /// Steps 3 to 5 of the module.
    fn checkpoint(&mut self) -> Result<(), Error> {
        let before = self.progress.carry;
        self.progress.carry = before + 1;
        let path = carry::path(&self.journal, Table::Ops, self.progress.carry);
        self.progress.pairing = carry::write_ops(&path, &self.pairing)?;
        let path = carry::path(&self.journal, Table::Connections, self.progress.carry);
        carry::write_rows(&path, &self.connections)?;
        sync_dir(&self.journal)?;
        self.progress.tally = self.pairing.tally;
        self.progress.counts = self.report.counts;
        self.progress.last_ns = self.report.last_ns;
        write_checked_json(&self.journal.join(PROGRESS_FILE), "checkpoint", &self.progress)?;
        self.remove_consumed()
    }

    /// Seals what is left, and gives the history its name. The journal is removed.
    ///
    /// # Errors
    /// As [`Roller::segment`]. The checkpoint and the journal are kept then.
    pub(crate) fn finish(mut self) -> Result<SealReport, Error> {
        for table in Table::ALL {
            let paths = segments::from(&self.journal, table, self.progress.of(table).segment)?;
            self.table(table, &paths, true)?;
            self.empty_table(table)?;
        }
        let mut report = self.report;
        self.pairing.tally.into_counts(&mut report.counts);
        report.open_ops = self.pairing.tally.open;
        report.last_ns = report.last_ns.max(self.pairing.tally.last_ns);
        report.files = self.progress.files;
        let place = |sum: &FileSum| Table::ALL.iter().position(|table| table.name() == sum.table);
        report.files.sort_by_key(place);
        let sums = Checksums { schema_version: SCHEMA_VERSION, files: report.files.clone() };
        write_json(&self.partial.join(CHECKSUMS_FILE), "list of checksums", &sums)?;
        let history = self.run.history_dir();
        std::fs::rename(&self.partial, &history).map_err(Error::io("rename to", &history))?;
        sync_dir(self.run.path())?;
        remove_dir(&self.journal)?;
        Ok(report)
    }

    /// A table without rows gets one part without rows, so that every table can be read.
    fn empty_table(&mut self, table: Table) -> Result<(), Error> {
        if self.progress.of(table).part == 0 {
            let schema = if table == Table::Ops { batch_schema() } else { table.schema() };
            let files = TableWriter::create(&self.partial, table, schema, ("part", 0))?.finish(true)?;
            self.progress.files.extend(files);
        }
        Ok(())
    }
}

/// Rows that have a time.
trait Timed {
    fn t_ns(&self) -> Option<i64>;
}

impl Timed for InjectionRow {
    fn t_ns(&self) -> Option<i64> {
        Some(self.t_ns)
    }
}

impl Timed for NodeRow {
    fn t_ns(&self) -> Option<i64> {
        Some(self.t_ns)
    }
}

impl Timed for ClockRow {
    fn t_ns(&self) -> Option<i64> {
        Some(self.t_ns)
    }
}

impl Timed for NameRow {
    fn t_ns(&self) -> Option<i64> {
        None
    }
}

fn counter(counts: &mut Counts, table: Table) -> &mut u64 {
    match table {
        Table::Ops => &mut counts.ops,
        Table::Faults => &mut counts.faults,
        Table::Injections => &mut counts.injections,
        Table::Connections => &mut counts.connections,
        Table::Nodes => &mut counts.nodes,
        Table::Clocks => &mut counts.clocks,
        Table::Names => &mut counts.names,
    }
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
