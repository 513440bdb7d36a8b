//! Writes a sealed history from operations or from events, with bounded memory: for importers, generators, and whoever
//! has a history that no run recorded.
//!
//! * [`HistoryWriter::create`] writes the folder of the tables below a folder, so that everything that reads a run reads
//!   it: `<folder>/history/ops/part-00000.parquet` …;
//! * [`HistoryWriter::create_file`] writes one Parquet file with the table `ops`; names go into its footer.
//!
//! Operations come either whole, in order of invocation ([`HistoryWriter::op`]), or as events in their total order
//! ([`HistoryWriter::invoke`], [`HistoryWriter::complete`]), which are paired here.
//!
//! Invariants:
//! * nothing appears under its name before [`HistoryWriter::finish`] has synced all of it: until then it is
//!   `history.partial` or `<file>.partial`, which is removed if the writer is dropped;
//! * an existing history is never replaced; an existing file by itself is, as a whole;
//! * memory does not grow with the history, but for names and for operations that are late: see
//!   `docs/history-schema.md`.
//!
//! ```
//! use fissure_history::writer::HistoryWriter;
//! use fissure_checker::{Call, Operation, Outcome};
//! use std::sync::Arc;
//! # let dir = tempfile::tempdir()?;
//! # let out = dir.path().join("out.parquet");
//! let mut writer = HistoryWriter::create_file(&out)?;
//! let op = Operation {
//!     op_id: 0,
//!     process: 0,
//!     node: None,
//!     call: Call::Write { key: 1, value: 2 },
//!     invoke_seq: 0,
//!     complete_seq: Some(1),
//!     invoke_ns: 0,
//!     complete_ns: Some(1_000),
//!     outcome: Outcome::Ok,
//!     error_code: None,
//!     error_text: None,
//!     conn_cookie: None,
//! };
//! writer.op(&op, &Arc::from("faults"))?;
//! assert_eq!(writer.finish()?.counts.ops, 1);
//! assert_eq!(fissure_history::read_history(&out)?.history.ops(), [op]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::calls::CallRef;
use crate::columns::TableRow;
use crate::error::Error;
use crate::journal::events::{EventBuffer, EventHead, EventReader};
use crate::journal::{CompleteEvent, Completed, InvokeEvent};
use crate::manifest::{sync_dir, write_json};
use crate::ops_table::{OpsBuilder, batch_schema};
use crate::pairing::{BATCH_ELEMENTS, BATCH_ROWS};
use crate::pairing::{Pairing, Sink, Tally, write_rows};
use crate::parquet_file::{Background, FileSum, NAMES_KEY, PartWriter, TableWriter, order_metadata};
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow, OpRow};
use crate::schema::{SCHEMA_VERSION, Table};
use crate::seal::{CHECKSUMS_FILE, Checksums, SealReport, remove_dir};
use arrow::array::RecordBatch;
use fissure_checker::{Names, Operation};
use parquet::file::metadata::KeyValue;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Late operations that wait for a file of their own.
const LATE_ROWS: usize = 64 * 1024;

/// Where batches of operations go.
enum Out {
    Folder(Box<TableWriter>),
    File(Box<PartWriter>),
}

impl Sink for Out {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        match self {
            Out::Folder(parts) => parts.write(&batch),
            Out::File(file) => file.write(&batch),
        }
    }
}

/// Writes one history. See the module.
pub struct HistoryWriter {
    /// Where it will be, and where it is being written.
    target: PathBuf,
    partial: PathBuf,
    in_folder: bool,
    out: Option<Background<Out>>,
    ops: OpsBuilder,
    next_op: u64,
    last_seq: Option<u64>,
    tally: Tally,
    events: EventBuffer,
    events_before: u64,
    pairing: Pairing,
    late_files: usize,
    files: Vec<FileSum>,
    names: Vec<NameRow>,
    sessions_only: Arc<AtomicBool>,
    faults: Vec<FaultRow>,
    done: bool,
}

impl HistoryWriter {
    /// Starts a history below `dir`, which is created if it is not there. Other tables than `ops`, `names` and
    /// `faults` will be empty.
    ///
    /// # Errors
    /// If there is a history below `dir` already, or the disk refuses.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let (target, partial) = (dir.join("history"), dir.join("history.partial"));
        if target.exists() {
            return Err(Error::Exists { path: target });
        }
        remove_dir(&partial)?;
        std::fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
        let sessions_only = Arc::<AtomicBool>::default();
        let parts = TableWriter::create(&partial, Table::Ops, batch_schema(), ("part", 0))?;
        let out = Out::Folder(Box::new(parts.with_sessions_only(sessions_only.clone())));
        Self::start(target, partial, true, (out, sessions_only))
    }

    /// Starts one Parquet file with the operations. A file that is there is replaced when all is written.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn create_file(path: &Path) -> Result<Self, Error> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let out = Out::File(Box::new(PartWriter::create(&partial, Table::Ops, batch_schema())?));
        Self::start(path.to_owned(), partial, false, (out, Arc::default()))
    }

    fn start(
        target: PathBuf,
        partial: PathBuf,
        in_folder: bool,
        (out, sessions_only): (Out, Arc<AtomicBool>),
    ) -> Result<Self, Error> {
        let out = Background::start(out, &target)?;
        Ok(Self {
            pairing: Pairing::new(&target),
            target,
            partial,
            in_folder,
            out: Some(out),
            ops: OpsBuilder::default(),
            next_op: 0,
            last_seq: None,
            tally: Tally::default(),
            events: EventBuffer::default(),
            events_before: 0,
            late_files: 0,
            files: Vec::new(),
            names: Vec::new(),
            sessions_only,
            faults: Vec::new(),
            done: false,
        })
    }

    fn sink(&mut self) -> Result<&mut Background<Out>, Error> {
        let gone = self.gone();
        self.out.as_mut().ok_or(gone)
    }

    /// Adds an operation. Operations come in order of invocation; `op_id` is given anew.
    ///
    /// # Errors
    /// If it was invoked before the one before it, completed before it was invoked, or the disk refuses.
    pub fn op(&mut self, op: &Operation, phase: &Arc<str>) -> Result<(), Error> {
        let not_after = self.last_seq.is_some_and(|last| op.invoke_seq <= last);
        if not_after || op.complete_seq.is_some_and(|seq| seq <= op.invoke_seq) {
            let detail = format!(
                "its invocation {} is not between the invocation before it and its own completion",
                op.invoke_seq
            );
            return Err(Error::Event { path: self.target.clone(), event: self.next_op, detail });
        }
        self.last_seq = Some(op.invoke_seq);
        self.tally.add_op(op);
        self.ops.push(self.next_op, op, phase);
        self.next_op += 1;
        if self.ops.len() >= BATCH_ROWS || self.ops.elements() >= BATCH_ELEMENTS {
            self.flush_ops()?;
        }
        Ok(())
    }

    fn flush_ops(&mut self) -> Result<(), Error> {
        if self.ops.len() == 0 {
            return Ok(());
        }
        let batch = self.ops.take_batch(&self.target)?;
        self.sink()?.batch(batch)
    }

    /// Adds an invocation. Events come in their total order.
    ///
    /// # Errors
    /// If the events before it cannot be (see [`Error::Event`]), or the disk refuses. Events are looked at in batches: an
    /// error may be told later.
    pub fn invoke(&mut self, event: InvokeEvent<'_>) -> Result<(), Error> {
        let InvokeEvent { op_id, process, node, phase, call, seq, t_ns, conn_cookie } = event;
        let head = EventHead { op_id, seq, t_ns, conn_cookie };
        self.invoke_ref(head, (process, node, phase), CallRef::Call(call))
    }

    /// [`HistoryWriter::invoke`] for a call in either form; of whom: process, node, phase.
    pub(crate) fn invoke_ref(
        &mut self,
        head: EventHead,
        (process, node, phase): (i64, Option<&Arc<str>>, &Arc<str>),
        call: CallRef<'_>,
    ) -> Result<(), Error> {
        self.events.push_invoke(head, process, node, phase, call);
        self.pair_when_full()
    }

    /// Adds a completion.
    ///
    /// # Errors
    /// As [`HistoryWriter::invoke`].
    pub fn complete(&mut self, event: CompleteEvent<'_>) -> Result<(), Error> {
        let CompleteEvent { op_id, seq, t_ns, completed, conn_cookie } = event;
        let head = EventHead { op_id, seq, t_ns, conn_cookie };
        match completed {
            Completed::Ok(call) => return self.complete_ok(head, CallRef::Call(call)),
            Completed::Fail { code, text } => self.events.push_error(head, true, code, text),
            Completed::Info { code, text } => self.events.push_error(head, false, code, text),
        }
        self.pair_when_full()
    }

    /// [`HistoryWriter::complete`] of an `ok` for a call in either form.
    pub(crate) fn complete_ok(&mut self, head: EventHead, call: CallRef<'_>) -> Result<(), Error> {
        self.events.push_ok(head, call);
        self.pair_when_full()
    }

    fn pair_when_full(&mut self) -> Result<(), Error> {
        if self.events.len() >= BATCH_ROWS || self.events.elements() >= BATCH_ELEMENTS { self.pair() } else { Ok(()) }
    }

    fn pair(&mut self) -> Result<(), Error> {
        if self.events.len() == 0 {
            return Ok(());
        }
        let batch = self.events.take().into_batch(&self.target)?;
        let first = self.events_before;
        self.events_before += batch.num_rows() as u64;
        let events = EventReader::new(batch, &Arc::from(self.target.as_path()), first)?;
        let Some(out) = &mut self.out else { return Err(self.gone()) };
        self.pairing.push(events, out)?;
        if self.pairing.late_len() >= LATE_ROWS { self.write_late() } else { Ok(()) }
    }

    /// Writes the late operations that have completed: into a file of their own, or behind the others.
    fn write_late(&mut self) -> Result<(), Error> {
        let late: Vec<OpRow> = self.pairing.take_late();
        if late.is_empty() {
            return Ok(());
        }
        if !self.in_folder {
            let target = self.target.clone();
            return write_rows(&late, &target, self.sink()?);
        }
        let next = ("late", self.late_files);
        let writer = TableWriter::create(&self.partial, Table::Ops, batch_schema(), next)?;
        let mut writer = writer.with_sessions_only(self.sessions_only.clone());
        write_rows(&late, &self.target, &mut writer)?;
        let files = writer.finish(false)?;
        self.late_files += files.len();
        self.files.extend(files);
        Ok(())
    }

    /// Says whether the order of events is that of real time, which it is unless something else is said. Otherwise only
    /// the order within each process is known. To be said before the first operation.
    pub fn real_time_order(&mut self, known: bool) {
        self.sessions_only.store(!known, Ordering::Relaxed);
    }

    /// Says what the integers of the operations stand for: everything, once.
    pub fn names(&mut self, names: &Names) {
        self.names = names.iter().map(|(id, text)| NameRow { id, text: Arc::from(text) }).collect();
    }

    /// Says which faults there were: all of them, once. A single file has no place for them.
    pub fn faults(&mut self, faults: Vec<FaultRow>) {
        self.faults = faults;
    }

    /// Writes what is left, syncs everything, and gives it its name. Operations without completion are `info`.
    ///
    /// # Errors
    /// If the events cannot be, or the disk refuses; nothing appears then.
    pub fn finish(mut self) -> Result<SealReport, Error> {
        self.pair()?;
        self.flush_ops()?;
        let Some(mut out) = self.out.take() else { return Err(self.gone()) };
        self.pairing.finish(&mut out)?;
        self.out = Some(out);
        self.write_late()?;
        let Some(out) = self.out.take() else { return Err(self.gone()) };
        let mut report = SealReport::default();
        match out.finish()? {
            Out::Folder(parts) => {
                let files = parts.finish(true)?;
                self.files.splice(0..0, files);
                self.finish_folder(&mut report)?;
            }
            Out::File(file) => self.finish_file(*file)?,
        }
        std::fs::rename(&self.partial, &self.target).map_err(Error::io("rename to", &self.target))?;
        sync_dir(self.target.parent().unwrap_or(Path::new(".")))?;
        self.done = true;
        let tally = self.tally.plus(self.pairing.tally);
        tally.into_counts(&mut report.counts);
        report.counts.names = self.names.len() as u64;
        (report.open_ops, report.last_ns) = (tally.open, tally.last_ns);
        report.files = std::mem::take(&mut self.files);
        Ok(report)
    }

    fn gone(&self) -> Error {
        Error::Format { path: self.target.clone(), detail: "an earlier write of it failed".to_owned() }
    }

    fn finish_folder(&mut self, report: &mut SealReport) -> Result<(), Error> {
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|fault| fault.start_ns);
        self.files.extend(write_table(&self.partial, &faults)?);
        report.counts.faults = faults.len() as u64;
        self.empty::<InjectionRow>()?;
        self.empty::<ConnectionRow>()?;
        self.empty::<NodeRow>()?;
        self.empty::<ClockRow>()?;
        let names = std::mem::take(&mut self.names);
        self.files.extend(write_table(&self.partial, &names)?);
        self.names = names;
        let sums = Checksums { schema_version: SCHEMA_VERSION, files: self.files.clone() };
        write_json(&self.partial.join(CHECKSUMS_FILE), "list of checksums", &sums)?;
        report.files.clone_from(&self.files);
        Ok(())
    }

    fn empty<R: TableRow>(&mut self) -> Result<(), Error> {
        self.files.extend(write_table::<R>(&self.partial, &[])?);
        Ok(())
    }

    fn finish_file(&mut self, file: PartWriter) -> Result<(), Error> {
        let mut more = order_metadata(self.sessions_only.load(Ordering::Relaxed));
        if !self.names.is_empty() {
            let texts: Vec<&str> = self.names.iter().map(|row| &*row.text).collect();
            let json = serde_json::to_string(&texts).map_err(|source| Error::Json {
                what: "list of names",
                path: self.target.clone(),
                source: Arc::new(source),
            })?;
            more.push(KeyValue::new(NAMES_KEY.to_owned(), json));
        }
        let (_, mut sum) = file.finish(more)?;
        sum.path = self.target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.files.push(sum);
        Ok(())
    }
}

impl Drop for HistoryWriter {
    /// Removes what is half written.
    fn drop(&mut self) {
        if !self.done {
            // The thread still writes there.
            drop(self.out.take().map(Background::finish));
            let _ = if self.in_folder {
                remove_dir(&self.partial).is_ok()
            } else {
                std::fs::remove_file(&self.partial).is_ok()
            };
        }
    }
}

/// Rows that are converted at once.
const CHUNK_ROWS: usize = 16 * 1024;

/// Writes a whole table below `root`; one without rows gets one file without rows.
pub(crate) fn write_table<R: TableRow>(root: &Path, rows: &[R]) -> Result<Vec<FileSum>, Error> {
    let mut writer = TableWriter::create(root, R::TABLE, R::TABLE.schema(), ("part", 0))?;
    for piece in rows.chunks(CHUNK_ROWS) {
        let batch = R::to_batch(piece, &writer.path())?;
        writer.write(&batch)?;
    }
    writer.finish(true)
}
