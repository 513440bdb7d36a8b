//! Rows of the tables, as plain structs.
//!
//! Numbers, units and words are those of `docs/history-schema.md`. Operations are [`OpRow`]: the checker's
//! [`Operation`] and the phase in which it was invoked.

use fissure_checker::Operation;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// One row of `ops`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpRow {
    /// The operation.
    pub op: Operation,
    /// Phase of the run in which it was invoked: `warm-up`, `faults`, `heal`, `final`.
    pub phase: Arc<str>,
}

/// One row of `faults`: what was asked. Recorded when the fault is put in force and again when it is lifted; the last
/// row of a `fault_id` counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRow {
    /// Number within the run.
    pub fault_id: i64,
    /// The scenario's name for it.
    pub phase: String,
    /// `partition`, `drop`, `kill`, `pause`.
    pub kind: String,
    /// The fault in words, with the nodes it was resolved to.
    pub description: String,
    /// Nodes it was aimed at.
    pub nodes: Vec<String>,
    /// Number of packet rules; 0 for process faults.
    pub rules: i64,
    /// When it was put in force, CLOCK_MONOTONIC ns.
    pub start_ns: i64,
    /// When it was lifted; `None`: it was not.
    pub stop_ns: Option<i64>,
    /// The kernel's own count of packets it hit, read when it was lifted; `None` for process faults.
    pub kernel_hits: Option<i64>,
    /// `applied` or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub error_text: Option<String>,
}

/// Which way a packet went, seen from the connection it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the end that opened the connection.
    Request,
    /// Towards the end that opened the connection.
    Reply,
    /// The opening of the connection was not seen.
    Unknown,
}

impl Direction {
    /// The word used in the column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::Request => "request",
            Direction::Reply => "reply",
            Direction::Unknown => "unknown",
        }
    }

    /// The direction with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Direction::Request, Direction::Reply, Direction::Unknown].into_iter().find(|d| d.name() == name)
    }
}

/// One row of `injections`: what the kernel did to one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectionRow {
    /// When, CLOCK_MONOTONIC ns.
    pub t_ns: i64,
    /// Host in whose kernel path it happened.
    pub host: Arc<str>,
    /// Processor.
    pub cpu: i64,
    /// Number of the event on that processor: gaps are lost events.
    pub event_seq: i64,
    /// Fault that asked for it.
    pub fault_id: i64,
    /// Rule that fired.
    pub rule_id: i64,
    /// Revision of the rule table.
    pub revision: i64,
    /// `drop`.
    pub action: Cow<'static, str>,
    /// Source address.
    pub src_addr: IpAddr,
    /// Destination address.
    pub dst_addr: IpAddr,
    /// Source port, 0: none.
    pub src_port: u16,
    /// Destination port, 0: none.
    pub dst_port: u16,
    /// Name of the host with the source address.
    pub src_host: Option<Arc<str>>,
    /// Name of the host with the destination address.
    pub dst_host: Option<Arc<str>>,
    /// IP protocol number; in the column `tcp`, `udp`, `ip-<n>`.
    pub protocol: u8,
    /// Flag bits of a TCP segment, else 0.
    pub tcp_flags: u8,
    /// Sequence number of a TCP segment, else 0.
    pub tcp_seq: u32,
    /// Bytes of the packet from its IP header on.
    pub length: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Which connection between these hosts and service port, from 1.
    pub conn_ordinal: i64,
    /// Index of the packet within its connection and direction, from 0.
    pub packet_index: i64,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionKind {
    /// A client of the workload.
    Client,
    /// A node, seen only through injections.
    Peer,
}

impl ConnectionKind {
    /// The word used in the column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ConnectionKind::Client => "client",
            ConnectionKind::Peer => "peer",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [ConnectionKind::Client, ConnectionKind::Peer].into_iter().find(|kind| kind.name() == name)
    }
}

/// One row of `connections`. Recorded when it is opened and again when it is closed; the last row of the same cookie,
/// addresses and ports counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// SO_COOKIE of the opener's socket, where the harness opened it.
    pub conn_cookie: Option<u64>,
    /// Client process.
    pub process: Option<i64>,
    /// Node it goes to.
    pub node: Option<Arc<str>>,
    /// Who opened it.
    pub kind: ConnectionKind,
    /// Opener's address.
    pub local_addr: IpAddr,
    /// Service's address.
    pub remote_addr: IpAddr,
    /// Opener's port.
    pub local_port: u16,
    /// Service's port.
    pub remote_port: u16,
    /// When it was opened, CLOCK_MONOTONIC ns.
    pub opened_ns: Option<i64>,
    /// When it was closed; `None`: not while the run lasted.
    pub closed_ns: Option<i64>,
}

/// One row of `nodes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// When, CLOCK_MONOTONIC ns.
    pub t_ns: i64,
    /// Which node.
    pub node: Arc<str>,
    /// `start`, `ready`, `kill`, `pause`, `resume`, `restart`, `exit`, `primary`.
    pub event: Cow<'static, str>,
    /// More about it, such as the exit status.
    pub detail: Option<String>,
}

/// One row of `clocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRow {
    /// CLOCK_MONOTONIC, ns.
    pub t_ns: i64,
    /// UNIX time at the same moment, ns.
    pub wall_ns: i64,
}

/// One row of `names`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRow {
    /// The integer that stands for it.
    pub id: i64,
    /// The key or the value in EDN.
    pub text: Arc<str>,
}
