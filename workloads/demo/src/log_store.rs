//! The Raft log: in memory for reading, in the [`Journal`] for surviving.
//!
//! Invariant: memory is what replaying the journal gives, plus what is on its way there; Raft is told of an entry or a
//! vote only once the journal has it.

use crate::{
    error::DemoError,
    journal::{Journal, Record},
    proposals::Proposals,
    speculation::Speculation,
    types::{Entry, LogId, StorageError, StorageIoError, TypeConfig, Vote},
};
use openraft::{
    AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader,
    storage::{LogFlushed, RaftLogStorage},
};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::RangeBounds,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

#[derive(Debug, Default)]
struct Memory {
    vote: Option<Vote>,
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
}

impl Memory {
    fn replay(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Append(entries) => {
                self.entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)))
            }
            Record::Truncate(from) => drop(self.entries.split_off(&from)),
            Record::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    node: u64,
    memory: Mutex<Memory>,
    journal: Journal,
    proposals: Arc<Proposals>,
    speculation: Option<Arc<Speculation>>,
}

/// The log. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

impl LogStore {
    /// Recovers the log of node `node` from `path`; `speculation` follows it from then on, if there is one.
    ///
    /// # Errors
    /// Those of [`Journal::open`].
    pub(crate) fn open(
        node: u64,
        path: &Path,
        fsync: bool,
        proposals: Arc<Proposals>,
        speculation: Option<Arc<Speculation>>,
    ) -> Result<Self, DemoError> {
        let (journal, records) = Journal::open(path, fsync)?;
        let mut memory = Memory::default();
        records.into_iter().for_each(|record| memory.replay(record));
        let store = Shared { node, memory: Mutex::new(memory), journal, proposals, speculation };
        store.rebuild_speculation();
        Ok(Self { shared: Arc::new(store) })
    }

    /// Changes memory and hands the change to the journal, as one step; waits until it is stored.
    async fn store(&self, record: Record) -> io::Result<()> {
        let (sender, stored) = oneshot::channel();
        {
            let mut memory = self.shared.lock();
            self.shared.journal.write(&record, move |result| drop(sender.send(result)))?;
            memory.replay(record);
        }
        stored.await.unwrap_or_else(|_| Err(io::Error::other("the writer of the log has ended")))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebuild_speculation(&self) {
        if let Some(speculation) = &self.speculation {
            speculation.rebuild(self.lock().entries.values());
        }
    }

    /// Tells who waits for the entries that the log has them; gives the early acknowledgements that are now due.
    fn taken(&self, entries: &[Entry]) -> Vec<impl FnOnce() + Send + 'static> {
        let mut acknowledgements = Vec::new();
        for entry in entries {
            let EntryPayload::Normal(batch) = &entry.payload else { continue };
            let early = self.proposals.taken(batch);
            let Some(speculation) = &self.speculation else { continue };
            let replies = speculation.execute(batch);
            if let Some(early) = early {
                acknowledgements.push(move || drop(early.send(replies)));
            }
        }
        acknowledgements
    }
}

fn write_error(error: &io::Error) -> StorageError {
    StorageIoError::write_logs(AnyError::new(error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.shared.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let memory = self.shared.lock();
        let last = memory.entries.values().next_back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: last.or(memory.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let stored = self.store(Record::Vote(*vote)).await;
        stored.map_err(|error| StorageIoError::write_vote(AnyError::new(&error)).into())
    }

    /// The stored vote, except that a node does not find itself elected when it starts.
    ///
    /// Raft would let a restarted leader go on in its old term. But it does not know which of its entries it had
    /// committed and acknowledged before it went down, and a read that only waits for the first entry of its term
    /// would be stale. A new election costs a second and brings an entry behind everything acknowledged. To forget that
    /// a quorum granted a vote is safe: the vote itself stays, so nobody else gets it for this term.
    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = self.shared.lock().vote;
        Ok(vote.map(|mut vote| {
            vote.committed &= vote.leader_id().voted_for() != Some(self.shared.node);
            vote
        }))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let acknowledgements = self.shared.taken(&entries);
        let record = Record::Append(entries);
        let mut memory = self.shared.lock();
        let done = move |stored: io::Result<()>| {
            if stored.is_ok() {
                acknowledgements.into_iter().for_each(|acknowledge| acknowledge());
            }
            callback.log_io_completed(stored);
        };
        self.shared.journal.write(&record, done).map_err(|error| write_error(&error))?;
        memory.replay(record);
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        self.store(Record::Truncate(from.index)).await.map_err(|error| write_error(&error))?;
        self.shared.rebuild_speculation();
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.store(Record::Purge(upto)).await.map_err(|error| write_error(&error))?;
        self.shared.rebuild_speculation();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use openraft::testing::{StoreBuilder, Suite};

    struct Builder;

    impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Builder {
        async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError> {
            let dir = tempfile::tempdir().unwrap();
            let machine = Machine::open(dir.path()).unwrap();
            let speculation = Some(Arc::new(Speculation::new(machine.clone())));
            let proposals = Arc::new(Proposals::new(77));
            let log = LogStore::open(77, &dir.path().join("raft.log"), false, proposals, speculation).unwrap();
            Ok((dir, log, machine))
        }
    }

    #[test]
    fn log_and_machine_pass_the_suite_of_the_raft_library() {
        Suite::test_all(Builder).unwrap();
    }

    #[tokio::test]
    async fn a_restarted_leader_does_not_find_itself_elected() {
        let dir = tempfile::tempdir().unwrap();
        let open = || LogStore::open(1, &dir.path().join("raft.log"), true, Arc::new(Proposals::new(1)), None).unwrap();
        let (mine, other) = (Vote::new_committed(4, 1), Vote::new_committed(5, 2));
        open().save_vote(&mine).await.unwrap();
        assert_eq!(open().read_vote().await.unwrap(), Some(Vote::new(4, 1)));
        open().save_vote(&other).await.unwrap();
        assert_eq!(open().read_vote().await.unwrap(), Some(other));
    }
}
