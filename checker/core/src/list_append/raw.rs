//! Anomalies as the checker meets them, before they are put into words. Transactions are indices into the history.

/// What a read should have seen, as far as its own transaction tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Whether the list must be exactly `elements`; else it must end with them.
    pub(super) known_start: bool,
    /// The elements.
    pub(super) elements: Vec<i64>,
}

/// One anomaly that is no cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// A read saw what a failed transaction appended.
    G1a { key: i64, element: i64, reader: u32, writer: u32, more: u64 },
    /// A read ended with an append that its transaction followed by another one to the same key.
    G1b { key: i64, element: i64, reader: u32, writer: u32, more: u64 },
    /// A read saw a value that nobody appended.
    Garbage { key: i64, element: i64, reader: u32, more: u64 },
    /// A read disagrees with its own transaction.
    Internal { txn: u32, mop: u32, expected: Expected },
    /// A read saw what its own transaction appends later.
    FutureRead { txn: u32, mop: u32, element: i64 },
    /// A read saw one element twice.
    Duplicate { key: i64, element: i64, times: u64, reader: u32, more: u64 },
    /// Two reads, neither of which continues the other.
    IncompatibleOrder { key: i64, shorter: (u32, Vec<i64>), longer: (u32, Vec<i64>) },
    /// A read saw two appends of one transaction next to each other, the second one first.
    OwnOrder { key: i64, txn: u32, first: i64, second: i64, reader: u32 },
    /// An append of a failed transaction lies below one of an `ok` transaction.
    DirtyUpdate { key: i64, failed: (u32, i64), ok: (u32, i64) },
    /// Several `ok` transactions read one version, and each appended to it.
    LostUpdate { key: i64, seen: Vec<i64>, txns: Vec<u32> },
}

impl Raw {
    /// The anomaly's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Raw::G1a { .. } => "G1a",
            Raw::G1b { .. } => "G1b",
            Raw::Garbage { .. } => "garbage-read",
            Raw::Internal { .. } => "internal",
            Raw::FutureRead { .. } => "future-read",
            Raw::Duplicate { .. } => "duplicate-elements",
            Raw::IncompatibleOrder { .. } | Raw::OwnOrder { .. } => "incompatible-order",
            Raw::DirtyUpdate { .. } => "dirty-update",
            Raw::LostUpdate { .. } => "lost-update",
        }
    }

    /// Where it stands among those of its name: by key, then by the first transaction.
    pub(super) fn order(&self) -> (Option<i64>, u32) {
        match self {
            Raw::G1a { key, reader, .. } | Raw::G1b { key, reader, .. } | Raw::Garbage { key, reader, .. } => {
                (Some(*key), *reader)
            }
            Raw::Internal { txn, .. } | Raw::FutureRead { txn, .. } => (None, *txn),
            Raw::Duplicate { key, reader, .. } => (Some(*key), *reader),
            Raw::IncompatibleOrder { key, shorter, .. } => (Some(*key), shorter.0),
            Raw::OwnOrder { key, txn, .. } => (Some(*key), *txn),
            Raw::DirtyUpdate { key, failed, .. } => (Some(*key), failed.0),
            Raw::LostUpdate { key, txns, .. } => (Some(*key), txns.first().copied().unwrap_or_default()),
        }
    }

    /// The transactions that its words are about.
    pub(super) fn txns(&self) -> Vec<u32> {
        match self {
            Raw::G1a { reader, writer, .. } | Raw::G1b { reader, writer, .. } => vec![*writer, *reader],
            Raw::Garbage { reader, .. } | Raw::Duplicate { reader, .. } => vec![*reader],
            Raw::Internal { txn, .. } | Raw::FutureRead { txn, .. } => vec![*txn],
            Raw::IncompatibleOrder { shorter, longer, .. } => vec![shorter.0, longer.0],
            Raw::OwnOrder { txn, reader, .. } => vec![*txn, *reader],
            Raw::DirtyUpdate { failed, ok, .. } => vec![failed.0, ok.0],
            Raw::LostUpdate { txns, .. } => txns.clone(),
        }
    }
}
