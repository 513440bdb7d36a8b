//! The writer thread of a journal.

use super::frames::FrameWriter;
use super::{FLUSH_INTERVAL, Finish, Pending, Shared, State, events};
use crate::columns::TableRow;
use crate::error::Error;
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow};
use crate::schema::Table;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

/// One file of the journal with its path, for messages.
struct TableFile {
    path: PathBuf,
    frames: FrameWriter,
}

impl TableFile {
    fn create(dir: &Path, table: Table) -> Result<Self, Error> {
        let path = journal_path(dir, table);
        let schema = if table == Table::Ops { events::schema() } else { table.schema() };
        Ok(Self { frames: FrameWriter::create(&path, &schema)?, path })
    }

    fn append<R: TableRow>(&mut self, rows: &[R]) -> Result<(), Error> {
        if rows.is_empty() { Ok(()) } else { self.frames.append(&R::to_batch(rows, &self.path)?) }
    }
}

/// Path of a table's journal.
pub(crate) fn journal_path(dir: &Path, table: Table) -> PathBuf {
    dir.join(format!("{}.arrows", table.name()))
}

/// The files of a journal.
pub(super) struct Writer {
    ops: TableFile,
    faults: TableFile,
    injections: TableFile,
    connections: TableFile,
    nodes: TableFile,
    clocks: TableFile,
    names: TableFile,
}

impl Writer {
    pub(crate) fn create(dir: &Path) -> Result<Self, Error> {
        Ok(Self {
            ops: TableFile::create(dir, Table::Ops)?,
            faults: TableFile::create(dir, Table::Faults)?,
            injections: TableFile::create(dir, Table::Injections)?,
            connections: TableFile::create(dir, Table::Connections)?,
            nodes: TableFile::create(dir, Table::Nodes)?,
            clocks: TableFile::create(dir, Table::Clocks)?,
            names: TableFile::create(dir, Table::Names)?,
        })
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
            let mut state = shared.lock();
            match result {
                Ok(()) => {
                    state.written = recorded;
                    state.acknowledged = last_seq;
                }
                Err(error) => state.error = Some(error),
            }
            let ended = state.error.is_some() || finish != Finish::Open;
            drop(state);
            shared.progress.notify_all();
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
            self.ops.frames.append(&batch)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        let files = [
            &mut self.ops,
            &mut self.faults,
            &mut self.injections,
            &mut self.connections,
            &mut self.nodes,
            &mut self.clocks,
            &mut self.names,
        ];
        files.into_iter().try_for_each(|file| file.frames.finish())
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
