//! etcd, version 3: registers under `r/<key>`, lists under `l/<key>`.
//!
//! The adapter itself is behind the cargo feature `etcd`, because its client crate generates code with `protoc` when it
//! is built. Without the feature, [`EtcdTarget::new`] says so.

use std::path::PathBuf;

mod process;

#[cfg(feature = "etcd")]
mod client;
#[cfg(feature = "etcd")]
mod connect;
#[cfg(feature = "etcd")]
mod error;
#[cfg(feature = "etcd")]
mod target;
#[cfg(feature = "etcd")]
mod txn;

#[cfg(feature = "etcd")]
pub use target::EtcdTarget;

#[cfg(not(feature = "etcd"))]
mod absent;
#[cfg(not(feature = "etcd"))]
pub use absent::EtcdTarget;

/// How reads are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Through the leader's read index: linearizable, says etcd.
    #[default]
    Linearizable,
    /// From the node's own copy, however old it is.
    Serializable,
}

impl Reads {
    /// The word used in scenarios: `linearizable` or `serializable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reads::Linearizable => "linearizable",
            Reads::Serializable => "serializable",
        }
    }

    /// The kind of read with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Reads::Linearizable, Reads::Serializable].into_iter().find(|reads| reads.name() == name)
    }
}

/// What a scenario can choose about etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdOptions {
    /// How reads are asked for.
    pub reads: Reads,
    /// The server's program; by default `etcd` in PATH, `/usr/sbin` or `/usr/local/bin`.
    pub program: Option<PathBuf>,
}

/// Name of the target in scenarios and messages.
const NAME: &str = "etcd";
