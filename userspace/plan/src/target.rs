//! What a plan must know about the systems it can be aimed at: names, ports, options. Nothing that needs them running.

use serde::Serialize;

/// A system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// The store that comes with Fissure, with bugs that can be switched on.
    Demo,
    /// etcd 3.4 or newer.
    Etcd,
}

/// A bug that a target can be started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug {
    /// Its name in scenarios.
    pub name: &'static str,
    /// What goes wrong, in a few words.
    pub meaning: &'static str,
}

const DEMO_BUGS: [Bug; 3] = [
    Bug { name: "stale-reads", meaning: "a leader reads without asking a quorum whether it still leads" },
    Bug {
        name: "ack-before-replicated",
        meaning: "writes are acknowledged when one log has them, before a quorum does",
    },
    Bug { name: "non-atomic-txn", meaning: "the operations of a transaction are replicated one by one" },
];

impl TargetKind {
    /// All of them.
    pub const ALL: [TargetKind; 2] = [TargetKind::Demo, TargetKind::Etcd];

    /// Its name in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TargetKind::Demo => "demo",
            TargetKind::Etcd => "etcd",
        }
    }

    /// The target with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Port on which nodes serve clients.
    #[must_use]
    pub fn client_port(self) -> u16 {
        match self {
            TargetKind::Demo => 7100,
            TargetKind::Etcd => 2379,
        }
    }

    /// Port on which nodes talk to each other.
    #[must_use]
    pub fn peer_port(self) -> u16 {
        match self {
            TargetKind::Demo => 7101,
            TargetKind::Etcd => 2380,
        }
    }

    /// Bugs it can be started with.
    #[must_use]
    pub fn bugs(self) -> &'static [Bug] {
        match self {
            TargetKind::Demo => &DEMO_BUGS,
            TargetKind::Etcd => &[],
        }
    }

    /// Whether clients may ask a node for its own, possibly old, copy.
    #[must_use]
    pub fn has_serializable_reads(self) -> bool {
        self == TargetKind::Etcd
    }
}
