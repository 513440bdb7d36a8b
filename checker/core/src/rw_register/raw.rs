//! Anomalies as the checker meets them, before they are put into words. Transactions are numbers.

use super::sessions::Guarantee;

/// One anomaly that is no cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A read saw what a failed transaction wrote.
    G1a { key: i64, value: i64, reader: u32, writer: u32, more: u64 },
    /// A read saw a write that its transaction followed by another one to the same key.
    G1b { key: i64, value: i64, reader: u32, writer: u32, more: u64 },
    /// A read saw a value that nobody wrote.
    Garbage { key: i64, value: i64, reader: u32, more: u64 },
    /// A read disagrees with its own transaction.
    Internal { txn: u32, mop: u32, expected: Option<i64> },
    /// A read saw what its own transaction writes later.
    FutureRead { txn: u32, mop: u32, value: i64 },
    /// An `ok` transaction read what a failed one wrote, and overwrote it.
    DirtyUpdate { key: i64, failed: (u32, i64), ok: (u32, i64) },
    /// Several `ok` transactions read one version, and each overwrote it. `None`: the initial version.
    LostUpdate { key: i64, seen: Option<i64>, txns: Vec<u32> },
    /// Sources of the version order contradict each other. The versions form a cycle, each followed by the reason why it
    /// precedes the next.
    CyclicVersions { key: i64, versions: Vec<Option<i64>>, reasons: Vec<Reason>, sources: u8 },
    /// No order of the versions of a key gives a guarantee to all processes: a cycle as above.
    Session { guarantee: Guarantee, key: i64, versions: Vec<Option<i64>>, reasons: Vec<Reason> },
    /// No order of the writes of some keys fits the rest: found by search.
    NoOrder { name: &'static str, txns: Vec<u32>, keys: Vec<i64>, forced: Vec<String> },
}

/// Why one version precedes another: the source, and the transactions that show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// One bit of [`super::sources`].
    pub(crate) source: u8,
    /// Who saw or wrote the earlier version; `NONE` where the source needs nobody.
    pub(crate) earlier: u32,
    /// Who saw or wrote the later version; `NONE` where the source needs nobody.
    pub(crate) later: u32,
}

impl Raw {
    /// The keys that it is about, ascending; none where a transaction says all by itself.
    pub(crate) fn keys(&self) -> &[i64] {
        match self {
            Raw::G1a { key, .. }
            | Raw::G1b { key, .. }
            | Raw::Garbage { key, .. }
            | Raw::DirtyUpdate { key, .. }
            | Raw::LostUpdate { key, .. }
            | Raw::CyclicVersions { key, .. }
            | Raw::Session { key, .. } => std::slice::from_ref(key),
            Raw::NoOrder { keys, .. } => keys,
            Raw::Internal { .. } | Raw::FutureRead { .. } => &[],
        }
    }

    /// The anomaly's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Raw::G1a { .. } => "G1a",
            Raw::G1b { .. } => "G1b",
            Raw::Garbage { .. } => "garbage-read",
            Raw::Internal { .. } => "internal",
            Raw::FutureRead { .. } => "future-read",
            Raw::DirtyUpdate { .. } => "dirty-update",
            Raw::LostUpdate { .. } => "lost-update",
            Raw::CyclicVersions { .. } => "cyclic-versions",
            Raw::Session { guarantee, .. } => guarantee.anomaly(),
            Raw::NoOrder { name, .. } => name,
        }
    }
}
