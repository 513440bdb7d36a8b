//! What a report is made of. Filled by the command line from a sealed run; a report prints it and computes nothing.
//!
//! Times are nanoseconds since the start of the run, unless a name says otherwise.

use fissure_checker::{CheckResult, History, Verdict};
use std::collections::BTreeMap;

/// Everything a report shows.
#[derive(Clone, Debug)]
pub struct ReportInput {
    /// Name of the scenario.
    pub scenario: String,
    /// Folder of the run, as the user may type it.
    pub run_path: String,
    /// Seed of the run.
    pub seed: u64,
    /// Start, RFC 3339.
    pub started: String,
    /// CLOCK_MONOTONIC at the start of the run: subtract it from the history's times.
    pub started_ns: i64,
    /// Length of the run, seconds.
    pub duration_s: f64,
    /// Kernel release.
    pub kernel: String,
    /// Version of Fissure.
    pub fissure_version: String,
    /// System under test, with its bug if one was switched on, and its version if known.
    pub target: String,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// How packets were hit, by host, in words.
    pub mechanisms: BTreeMap<String, String>,
    /// The whole verdict, with every reason.
    pub verdict: Verdict,
    /// What each checker says.
    pub results: Vec<CheckResult>,
    /// The operations that the findings name (and the source of the latency picture).
    pub history: History,
    /// Phase of each operation, by `op_id`; may be shorter or empty.
    pub phases: Vec<String>,
    /// Operations by f: `[ok, fail, info]`.
    pub ops_by_f: BTreeMap<String, [u64; 3]>,
    /// What was asked, in order of start.
    pub faults: Vec<FaultLine>,
    /// Packets hit per second of the run, by fault: `(second, fault_id, count)`, in order.
    pub hits_per_second: Vec<(i64, i64, u64)>,
    /// Injections recorded, in all.
    pub injections: u64,
    /// Faults that were not injected because they could not be reported.
    pub events_lost: u64,
    /// The life of the nodes, in order.
    pub node_events: Vec<NodeLine>,
    /// Packets that were dropped around each finding, by its id.
    pub packets: BTreeMap<String, PacketList>,
    /// The smallest part of the history that shows each finding, by its id, where there is one.
    pub excerpts: BTreeMap<String, ExcerptFile>,
    /// The command that runs the same plan with the same seed again.
    pub again: Option<String>,
}

/// A file with the few operations that are enough to show a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcerptFile {
    /// Where it is, as the user may type it.
    pub path: String,
    /// Operations in it.
    pub operations: usize,
}

/// One fault that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultLine {
    /// Number within the run.
    pub fault_id: i64,
    /// The scenario's name for it.
    pub name: String,
    /// `partition`, `drop`, `kill`, `pause`.
    pub kind: String,
    /// In words, with the nodes it was resolved to.
    pub description: String,
    /// When it was put in force, ns since the start of the run.
    pub start_ns: i64,
    /// When it was lifted.
    pub stop_ns: Option<i64>,
    /// Number of packet rules; 0 for process faults.
    pub rules: i64,
    /// Injections recorded.
    pub hits: u64,
    /// The kernel's own count; `None` for process faults.
    pub kernel_hits: Option<i64>,
    /// Why it could not be applied, if so.
    pub error: Option<String>,
}

/// One event in the life of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    /// When, ns since the start of the run.
    pub t_ns: i64,
    /// Which node.
    pub node: String,
    /// `start`, `ready`, `kill`, `pause`, `resume`, `restart`, `exit`, `primary`.
    pub event: String,
    /// More about it.
    pub detail: Option<String>,
}

/// Packets that were dropped around a finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PacketList {
    /// The first of them, in order of time.
    pub shown: Vec<PacketLine>,
    /// How many there were in all.
    pub total: u64,
}

/// One packet that was dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketLine {
    /// When, ns since the start of the run.
    pub t_ns: i64,
    /// Fault that asked for it.
    pub fault_id: i64,
    /// Rule that fired.
    pub rule_id: i64,
    /// Sender, as `n1:7101` (or the address, if it is no host's).
    pub src: String,
    /// Receiver.
    pub dst: String,
    /// `tcp`, `udp`, `ip-<n>`.
    pub protocol: String,
    /// TCP flag bits, 0 for others.
    pub tcp_flags: u8,
    /// Bytes from the IP header on.
    pub length: u32,
    /// Operation on whose own connection it was, while in flight; `None`: between nodes, or of other operations, at a
    /// node that served one of the finding's operations.
    pub op_id: Option<u64>,
}
