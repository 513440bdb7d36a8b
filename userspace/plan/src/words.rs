//! Faults in words: before they are resolved (with selectors) and after (with names).

use crate::{
    plan::{Direction, DropSpec, FaultSpec, PacketFilter, PartitionSpec, PortSpec, Protocol, Selector},
    quantity::show_share,
};
use std::fmt;

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::One => f.write_str("one node"),
            Selector::Minority => f.write_str("a minority"),
            Selector::Majority => f.write_str("a majority"),
            Selector::All => f.write_str("all nodes"),
            Selector::Leader => f.write_str("the leader"),
            Selector::Primaries => f.write_str("all who believe they lead"),
            Selector::Names(names) => f.write_str(&list(names)),
        }
    }
}

impl fmt::Display for PacketFilter {
    /// Such as `20% of TCP packets on port 7100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.probability_ppm {
            1_000_000 => f.write_str("all ")?,
            ppm => write!(f, "{} of ", show_share(ppm))?,
        }
        f.write_str(match self.protocol {
            Protocol::Any => "",
            Protocol::Tcp => "TCP ",
            Protocol::Udp => "UDP ",
        })?;
        f.write_str(match self.direction {
            Direction::Any => "packets",
            Direction::Request => "request packets",
            Direction::Reply => "reply packets",
        })?;
        match self.port {
            None => Ok(()),
            Some(PortSpec::Client) => f.write_str(" on the port for clients"),
            Some(PortSpec::Peer) => f.write_str(" on the port for peers"),
            Some(PortSpec::Number(number)) => write!(f, " on port {number}"),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultSpec::Partition(partition) => partition.fmt(f),
            FaultSpec::Drop(DropSpec { from, to, both: false, filter }) => {
                write!(f, "drop {filter} from {from} to {to}")
            }
            FaultSpec::Drop(DropSpec { from, to, both: true, filter }) => {
                write!(f, "drop {filter} between {from} and {to}")
            }
            FaultSpec::Kill(selector) => write!(f, "kill {selector}; restart at the end"),
            FaultSpec::Pause(selector) => write!(f, "pause {selector}; continue at the end"),
        }
    }
}

impl fmt::Display for PartitionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionSpec::Halves => f.write_str("cut the first half of the nodes from the second"),
            PartitionSpec::RandomHalves => f.write_str("cut a random half of the nodes from the other"),
            PartitionSpec::Isolate(selector) => write!(f, "isolate {selector} from all other nodes"),
            PartitionSpec::MajoritiesRing => f.write_str("majorities ring: each node sees another majority"),
            PartitionSpec::Bridge => f.write_str("bridge: two halves that share one node"),
            PartitionSpec::OneWay { from, to } => write!(f, "one way: drop all packets from {from} to {to}"),
        }
    }
}

impl FaultSpec {
    /// The word of `faults.kind`: `partition`, `drop`, `kill`, `pause`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            FaultSpec::Partition(_) => "partition",
            FaultSpec::Drop(_) => "drop",
            FaultSpec::Kill(_) => "kill",
            FaultSpec::Pause(_) => "pause",
        }
    }
}
