//! What is recorded of operations, and why something could not be.

use crate::error::Error;
use fissure_checker::Call;
use std::sync::Arc;
use thiserror::Error;

/// An invocation.
#[derive(Clone, Copy, Debug)]
pub struct InvokeEvent<'a> {
    /// Number of the operation, chosen by the run and used again in its completion. Sealing renumbers operations densely.
    pub op_id: u64,
    /// Logical process.
    pub process: i64,
    /// Node that the client talks to.
    pub node: Option<&'a Arc<str>>,
    /// Phase of the run.
    pub phase: &'a Arc<str>,
    /// What is asked.
    pub call: &'a Call,
    /// Place in the total order of events.
    pub seq: u64,
    /// CLOCK_MONOTONIC, ns.
    pub t_ns: i64,
    /// SO_COOKIE of the client's socket, if it is connected already.
    pub conn_cookie: Option<u64>,
}

/// How an operation completed.
#[derive(Clone, Copy, Debug)]
pub enum Completed<'a> {
    /// It took effect; the call with its reads filled in.
    Ok(&'a Call),
    /// It certainly did not take effect.
    Fail {
        /// Short machine-readable cause.
        code: &'a str,
        /// The error in words.
        text: &'a str,
    },
    /// Nobody knows.
    Info {
        /// Short machine-readable cause.
        code: &'a str,
        /// The error in words.
        text: &'a str,
    },
}

/// A completion.
#[derive(Clone, Copy, Debug)]
pub struct CompleteEvent<'a> {
    /// Number of the operation, as in its invocation.
    pub op_id: u64,
    /// Place in the total order of events.
    pub seq: u64,
    /// CLOCK_MONOTONIC, ns.
    pub t_ns: i64,
    /// How it ended.
    pub completed: Completed<'a>,
    /// SO_COOKIE of the socket that carried it.
    pub conn_cookie: Option<u64>,
}

/// Why something could not be recorded.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The disk refused; nothing more is recorded.
    #[error("the journal cannot be written: {0}")]
    Write(#[from] Error),
    /// Events must be recorded in their total order.
    #[error("event {seq} of operation {op_id} was recorded after event {last}")]
    OutOfOrder {
        /// Operation of the event.
        op_id: u64,
        /// Place of the event.
        seq: u64,
        /// Greatest place recorded before.
        last: u64,
    },
    /// An `ok` must say what its reads saw.
    #[error("operation {op_id} completed ok, but a read{} has no result", key.map_or_else(String::new, |key| format!(" of key {key}")))]
    UnknownRead {
        /// The operation.
        op_id: u64,
        /// Key of the read; `None` where it is not of one key.
        key: Option<i64>,
    },
    /// The journal was finished.
    #[error("the journal is finished")]
    Finished,
}

impl RecordError {
    /// Whether there is no room on the disk: see [`Error::is_disk_full`].
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, RecordError::Write(error) if error.is_disk_full())
    }
}
