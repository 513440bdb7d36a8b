//! The types that the Raft library is instantiated with.

use crate::state::{Command, Reply};
use serde::{Deserialize, Serialize};
use std::io::Cursor;

/// What one log entry carries: the commands that were waiting when it was proposed, in order.
///
/// One entry for many commands costs one flush and one round for all of them. Each command stays a unit of its own:
/// commands of one batch are executed one after the other, with a reply each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Node that proposed it.
    pub(crate) origin: u64,
    /// Number given by that node; unique across its restarts.
    pub(crate) number: u64,
    pub(crate) commands: Vec<Command>,
}

openraft::declare_raft_types!(
    /// The Raft of the demo store.
    pub(crate) TypeConfig:
        D = Batch,
        R = Vec<Reply>,
        NodeId = u64,
        Node = openraft::BasicNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type StorageIoError = openraft::StorageIOError<u64>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, openraft::BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, openraft::BasicNode>;
pub(crate) type Snapshot = openraft::Snapshot<TypeConfig>;
