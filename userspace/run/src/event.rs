//! Everything that can happen to a run, in one closed enum: the loop waits for nothing else.

use fissure_inject::Injection;
use fissure_workloads::{Completion, Connection};

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A worker's operation ended.
    Completed(Box<Completed>),
    /// The kernel reports decisions that fired.
    Injections(Vec<Injection>),
    /// The nodes that believe they lead, most recent term first.
    Primaries(Vec<String>),
    /// The cluster answered (or not) to the question whether it serves.
    Ready(Result<(), String>),
    /// The reader of kernel events failed; what it reported is all there is.
    EventReaderFailed(String),
    /// Somebody pressed Ctrl-C, or asked the process to end.
    Interrupt,
}

/// The end of a worker's operation.
#[derive(Debug)]
pub struct Completed {
    /// Worker slot.
    pub worker: usize,
    /// Number of the operation.
    pub op_id: u64,
    /// What the client knows.
    pub completion: Completion,
    /// CLOCK_MONOTONIC when it knew, ns.
    pub complete_ns: i64,
    /// The connection that carried it, if there was one.
    pub connection: Option<Connection>,
    /// Cookies of connections that the worker closed since its last report.
    pub closed_cookies: Vec<u64>,
}
