//! The state machine: the state that a quorum has agreed on, and its snapshots.
//!
//! Between snapshots the state lives in memory only: after a restart it is built again from the last snapshot and the
//! log. A snapshot is one JSON file, replaced atomically, on the disk before Raft may forget what it covers.

use crate::{
    error::DemoError,
    state::{Command, KvState, Reply},
    types::{Entry, LogId, Snapshot, SnapshotMeta, StorageError, StorageIoError, StoredMembership, TypeConfig},
};
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, storage::RaftStateMachine};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Clone, Debug, Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
    state: KvState,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredSnapshot {
    meta: SnapshotMeta,
    state: KvState,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    applied: Mutex<Applied>,
    snapshot: Mutex<Option<StoredSnapshot>>,
}

/// The state machine. Clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    shared: Arc<Shared>,
}

impl Machine {
    /// The state of the snapshot in `dir`, or nothing.
    ///
    /// # Errors
    /// When there is a snapshot that cannot be read.
    pub(crate) fn open(dir: &Path) -> Result<Self, DemoError> {
        let path = dir.join("snapshot.json");
        let snapshot: Option<StoredSnapshot> = match fs::read(&path) {
            Ok(bytes) => {
                let parsed = serde_json::from_slice(&bytes);
                Some(parsed.map_err(|error| DemoError::Format { path: path.clone(), text: error.to_string() })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(DemoError::File { path, source }),
        };
        let applied = snapshot.as_ref().map(Applied::from).unwrap_or_default();
        let shared = Shared { path, applied: Mutex::new(applied), snapshot: Mutex::new(snapshot) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the read-only `command` reads in the applied state; `None` if it is not read-only.
    pub(crate) fn read(&self, command: &Command) -> Option<Reply> {
        self.applied().state.read(command)
    }

    /// A copy of the state, and the last entry in it.
    pub(crate) fn copy(&self) -> (Option<LogId>, KvState) {
        let applied = self.applied();
        (applied.last, applied.state.clone())
    }

    fn applied(&self) -> MutexGuard<'_, Applied> {
        self.shared.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> MutexGuard<'_, Option<StoredSnapshot>> {
        self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `snapshot` the current one, on the disk first.
    fn keep(&self, snapshot: StoredSnapshot) -> io::Result<()> {
        let mut current = self.snapshot();
        replace_file(&self.shared.path, &serde_json::to_vec(&snapshot)?)?;
        *current = Some(snapshot);
        Ok(())
    }
}

impl From<&StoredSnapshot> for Applied {
    fn from(stored: &StoredSnapshot) -> Self {
        let membership = stored.meta.last_membership.clone();
        Self { last: stored.meta.last_log_id, membership, state: stored.state.clone() }
    }
}

impl StoredSnapshot {
    fn to_raft(&self) -> io::Result<Snapshot> {
        let bytes = serde_json::to_vec(&self.state)?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::new(Cursor::new(bytes)) })
    }
}

fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let Applied { last, membership, state } = self.applied().clone();
        let snapshot_id = format!("{}-{}", last.map_or(0, |id| id.leader_id.term), last.map_or(0, |id| id.index));
        let meta = SnapshotMeta { last_log_id: last, last_membership: membership, snapshot_id };
        let stored = StoredSnapshot { meta, state };
        let signature = stored.meta.signature();
        let kept = stored.to_raft().and_then(|snapshot| self.keep(stored).map(|()| snapshot));
        Ok(kept.map_err(|error| StorageIoError::write_snapshot(Some(signature), AnyError::new(&error)))?)
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let applied = self.applied();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Reply>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied();
        let mut replies = Vec::new();
        for entry in entries {
            applied.last = Some(entry.log_id);
            replies.push(match entry.payload {
                EntryPayload::Blank => Vec::new(),
                EntryPayload::Normal(batch) => {
                    batch.commands.iter().map(|command| applied.state.apply(command)).collect()
                }
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Vec::new()
                }
            });
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let state = serde_json::from_slice(snapshot.get_ref())
            .map_err(|error| StorageIoError::read_snapshot(Some(meta.signature()), AnyError::new(&error)))?;
        let stored = StoredSnapshot { meta: meta.clone(), state };
        let applied = Applied::from(&stored);
        self.keep(stored)
            .map_err(|error| StorageIoError::write_snapshot(Some(meta.signature()), AnyError::new(&error)))?;
        *self.applied() = applied;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let snapshot = self.snapshot().as_ref().map(StoredSnapshot::to_raft).transpose();
        Ok(snapshot.map_err(|error| StorageIoError::read_snapshot(None, AnyError::new(&error)))?)
    }
}
