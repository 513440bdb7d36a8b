//! The writer thread of a journal.

use super::frames::FrameWriter;
use super::segments::segment_path;
use super::{FLUSH_INTERVAL, Finish, Pending, Shared, State, packed};
use crate::columns::TableRow;
use crate::error::Error;
use crate::manifest::sync_dir;
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow};
use crate::schema::Table;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

/// How long the segments of a journal become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// Events of a segment of `ops`. A segment of operations becomes one part.
    pub events: u64,
    /// Rows of a segment of the other tables.
    pub rows: u64,
    /// Bytes of a segment of any table.
    pub bytes: u64,
}

impl Default for SegmentLimits {
    /// So many events that a part has a little less than a million operations.
    fn default() -> Self {
        Self { events: 1_900_000, rows: 250_000, bytes: 512 << 20 }
    }
}

/// The journal of one table: the segment that is being written.
struct TableFile {
    dir: PathBuf,
    table: Table,
    number: u32,
    path: PathBuf,
    frames: FrameWriter,
    rows: u64,
}

impl TableFile {
    fn create(dir: &Path, table: Table) -> Result<Self, Error> {
        let path = segment_path(dir, table, 0);
        let frames = FrameWriter::create(&path, &schema(table))?;
        Ok(Self { dir: dir.to_owned(), table, number: 0, frames, path, rows: 0 })
    }

    fn append_batch(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.rows += batch.num_rows() as u64;
        self.frames.append(batch)
    }

    fn append<R: TableRow>(&mut self, rows: &[R]) -> Result<(), Error> {
        if rows.is_empty() { Ok(()) } else { self.append_batch(&R::to_batch(rows, &self.path)?) }
    }

    /// Closes the segment and starts the next one if it is long enough, and says which was closed. Faults are never cut:
    /// see `roll`.
    fn cut(&mut self, limits: &SegmentLimits) -> Result<Option<u32>, Error> {
        let rows = if self.table == Table::Ops { limits.events } else { limits.rows };
        if self.table == Table::Faults || (self.rows < rows && self.frames.bytes() < limits.bytes) {
            return Ok(None);
        }
        self.frames.finish()?;
        let closed = self.number;
        self.number += 1;
        self.rows = 0;
        self.path = segment_path(&self.dir, self.table, self.number);
        self.frames = FrameWriter::create(&self.path, &schema(self.table))?;
        sync_dir(&self.dir)?;
        Ok(Some(closed))
    }
}

fn schema(table: Table) -> SchemaRef {
    if table == Table::Ops { packed::schema() } else { table.schema() }
}

/// A segment that was closed.
pub(super) type Closed = (Table, u32);

/// The files of a journal.
pub(super) struct Writer {
    ops: TableFile,
    faults: TableFile,
    injections: TableFile,
    connections: TableFile,
    nodes: TableFile,
    clocks: TableFile,
    names: TableFile,
    limits: SegmentLimits,
    /// Where closed segments are told; nowhere once whoever seals them has ended.
    closed: Option<SyncSender<Closed>>,
}

impl Writer {
    pub(crate) fn create(dir: &Path, limits: SegmentLimits, closed: Option<SyncSender<Closed>>) -> Result<Self, Error> {
        let file = |table| TableFile::create(dir, table);
        let writer = Self {
            ops: file(Table::Ops)?,
            faults: file(Table::Faults)?,
            injections: file(Table::Injections)?,
            connections: file(Table::Connections)?,
            nodes: file(Table::Nodes)?,
            clocks: file(Table::Clocks)?,
            names: file(Table::Names)?,
            limits,
            closed,
        };
        sync_dir(dir)?;
        Ok(writer)
    }

    /// Makes every later write of operations fail as on a full disk.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn fill_the_disk(&mut self) {
        self.ops.frames.fill_the_disk();
    }

    /// Writes until asked to finish, or until an error.
    pub(super) fn run(mut self, shared: &Shared) {
        let _guard = ExitGuard(shared);
        loop {
            let mut state = wait_for_work(shared);
            let pending = std::mem::take(&mut state.pending);
            let (recorded, last_seq, finish) = (state.recorded, state.last_seq, state.finish);
            state.flush_wanted = false;
            drop(state);
            // Room again: whoever waits may go on while this batch is being written.
            shared.progress.notify_all();

            let mut result = self.write(pending);
            if finish == Finish::Asked(true) {
                result = result.and_then(|()| self.finish());
            }
            let mut ended = shared.written(result, recorded, last_seq) || finish != Finish::Open;
            if !ended && let Err(error) = self.cut() {
                shared.fail(error);
                ended = true;
            }
            if ended {
                return;
            }
        }
    }

    fn write(&mut self, pending: Pending) -> Result<(), Error> {
        // Names and connections first: an operation that is on disk finds what it mentions.
        self.names.append::<NameRow>(&pending.names)?;
        self.connections.append::<ConnectionRow>(&pending.connections)?;
        self.faults.append::<FaultRow>(&pending.faults)?;
        self.nodes.append::<NodeRow>(&pending.nodes)?;
        self.clocks.append::<ClockRow>(&pending.clocks)?;
        self.injections.append::<InjectionRow>(&pending.injections)?;
        if pending.events.len() > 0 {
            let batch = pending.events.into_batch(&self.ops.path)?;
            self.ops.append_batch(&packed::pack(&batch, &self.ops.path)?)?;
        }
        Ok(())
    }

    fn files(&mut self) -> [&mut TableFile; 7] {
        [
            &mut self.ops,
            &mut self.faults,
            &mut self.injections,
            &mut self.connections,
            &mut self.nodes,
            &mut self.clocks,
            &mut self.names,
        ]
    }

    /// Closes the segments that are long enough. Waits if too many closed ones are not sealed.
    fn cut(&mut self) -> Result<(), Error> {
        let limits = self.limits;
        let mut all = Vec::new();
        for file in self.files() {
            all.extend(file.cut(&limits)?.map(|number| (file.table, number)));
        }
        for segment in all {
            // Whoever seals may have ended with an error, which the journal has then.
            if self.closed.as_ref().is_some_and(|closed| closed.send(segment).is_err()) {
                self.closed = None;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.files().into_iter().try_for_each(|file| file.frames.finish())
    }
}

/// Waits until there is a batch, somebody wants a flush or the end, or the interval is over and there is something.
fn wait_for_work(shared: &Shared) -> MutexGuard<'_, State> {
    let deadline = Instant::now() + FLUSH_INTERVAL;
    let mut state = shared.lock();
    loop {
        if state.finish != Finish::Open || state.flush_wanted || state.pending.holds(1) {
            return state;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        state = if left.is_zero() {
            if state.recorded > state.written {
                return state;
            }
            // Nothing to write: sleep a whole interval, or until woken.
            shared.work.wait_timeout(state, FLUSH_INTERVAL).unwrap_or_else(PoisonError::into_inner).0
        } else {
            shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
        };
    }
}

/// Tells waiting recorders when the thread ends, also by a panic.
struct ExitGuard<'a>(&'a Shared);

impl Drop for ExitGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if std::thread::panicking() && state.error.is_none() {
            let detail = "the writer thread panicked".to_owned();
            state.error = Some(Error::Format { path: PathBuf::from("journal"), detail });
        }
        state.finish = Finish::Done;
        drop(state);
        self.0.progress.notify_all();
    }
}
