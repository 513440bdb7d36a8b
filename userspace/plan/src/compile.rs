//! Resolved faults to the rule table that the kernel is given.
//!
//! Order: by fault, then by link, then IPv4 before IPv6, then by port side. A rule's id is
//! `fault_id * RULES_PER_FAULT + index` and its seed depends on the id and the run's seed alone: both stay the same in
//! every table in which the fault is in force, whatever else starts or stops meanwhile.

use crate::{
    dice::{Dice, Purpose},
    plan::{Direction, PacketFilter, PortSpec, Protocol},
    resolve::{PacketFault, ResolvedFault, ResolvedKind},
    schedule::FaultId,
};
use fissure_abi::{Action, Rule};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};
use thiserror::Error;

/// Ids are given out in blocks of this size, so that a rule's fault can be read off its id.
pub const RULES_PER_FAULT: u32 = 10_000;

/// A host and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name: a node's, or [`crate::CLIENTS_HOST`].
    pub name: String,
    /// Address in the lab's IPv4 network.
    pub v4: Option<Ipv4Addr>,
    /// Address in the lab's IPv6 network.
    pub v6: Option<Ipv6Addr>,
}

/// All hosts, and the ports of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The hosts; names are unique.
    pub hosts: Vec<Host>,
    /// Port on which nodes serve clients.
    pub client_port: u16,
    /// Port on which nodes talk to each other; the client port if it is the same.
    pub peer_port: u16,
}

/// The rules of all faults in force, in the order in which the kernel tries them. Revisions are the publisher's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTable {
    /// The rules.
    pub rules: Vec<Rule>,
}

impl RuleTable {
    /// Number of rules of one fault.
    #[must_use]
    pub fn count_of(&self, fault: FaultId) -> usize {
        self.rules.iter().filter(|rule| rule.fault_id == fault.0).count()
    }
}

/// Why faults could not be made into rules.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompileError {
    /// A host that the lab does not have.
    #[error("fault {fault}: there is no host {host}", fault = fault.0)]
    UnknownHost {
        /// The fault.
        fault: FaultId,
        /// The host.
        host: String,
    },
    /// Two hosts without addresses of the same family: no packet could be matched.
    #[error("fault {fault}: {from} and {to} share no address family", fault = fault.0)]
    NoCommonFamily {
        /// The fault.
        fault: FaultId,
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
    /// A packet fault without links would match nothing.
    #[error("fault {fault} selects nothing", fault = fault.0)]
    Empty {
        /// The fault.
        fault: FaultId,
    },
    /// More rules than a fault has ids.
    #[error("fault {fault} needs {rules} rules, more than {max}", fault = fault.0, max = RULES_PER_FAULT)]
    TooManyRules {
        /// The fault.
        fault: FaultId,
        /// How many it needs.
        rules: usize,
    },
    /// A fault number too large for rule ids.
    #[error("fault {fault}: its number is too large for rule ids", fault = fault.0)]
    FaultIdTooLarge {
        /// The fault.
        fault: FaultId,
    },
    /// The same fault twice.
    #[error("fault {fault} is in force twice", fault = fault.0)]
    Twice {
        /// The fault.
        fault: FaultId,
    },
}

/// The table for the faults of `active`, in whatever order they are given; faults of processes have no rules.
///
/// # Errors
/// The first fault that cannot be expressed.
pub fn compile(active: &[(FaultId, &ResolvedFault)], hosts: &Hosts, seed: u64) -> Result<RuleTable, CompileError> {
    let mut active: Vec<_> = active.to_vec();
    active.sort_by_key(|(fault, _)| *fault);
    if let Some(pair) = active.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(CompileError::Twice { fault: pair[0].0 });
    }
    let mut table = RuleTable::default();
    for (fault, resolved) in active {
        if let ResolvedKind::Packets(packets) = &resolved.kind {
            table.rules.extend(fault_rules(fault, packets, hosts, seed)?);
        }
    }
    Ok(table)
}

fn fault_rules(fault: FaultId, packets: &PacketFault, hosts: &Hosts, seed: u64) -> Result<Vec<Rule>, CompileError> {
    let first_id = fault.0.checked_mul(RULES_PER_FAULT).filter(|id| id.checked_add(RULES_PER_FAULT).is_some());
    let first_id = first_id.ok_or(CompileError::FaultIdTooLarge { fault })?;
    let mut rules: Vec<Rule> = Vec::new();
    for (from, to) in &packets.links {
        let addresses = link_addresses(fault, from, to, hosts)?;
        for (src_addr, dst_addr) in addresses {
            let address = Rule { src_addr, dst_addr, src_prefix: 128, dst_prefix: 128, ..Rule::ANY };
            rules.extend(port_sides(&packets.filter, hosts).into_iter().map(|(source, destination)| Rule {
                src_port_min: source.start,
                src_port_max: source.end,
                dst_port_min: destination.start,
                dst_port_max: destination.end,
                ..address
            }));
        }
    }
    if rules.is_empty() {
        return Err(CompileError::Empty { fault });
    }
    if rules.len() > RULES_PER_FAULT as usize {
        return Err(CompileError::TooManyRules { fault, rules: rules.len() });
    }
    for (rule, rule_id) in rules.iter_mut().zip(first_id..) {
        rule.rule_id = rule_id;
        rule.fault_id = fault.0;
        rule.action = Action::Drop as u32;
        rule.probability_ppm = packets.filter.probability_ppm;
        rule.protocol = protocol_number(packets.filter.protocol);
        rule.direction = direction_number(&packets.filter);
        rule.seed = Dice::new(seed, Purpose::Rule, u64::from(rule_id)).next_u64();
    }
    Ok(rules)
}

type Address = [u8; 16];

/// The address pairs of a one-way link, one for each family that both hosts have.
fn link_addresses(
    fault: FaultId,
    from: &str,
    to: &str,
    hosts: &Hosts,
) -> Result<Vec<(Address, Address)>, CompileError> {
    let find = |name: &str| {
        let host = hosts.hosts.iter().find(|host| host.name == name);
        host.ok_or_else(|| CompileError::UnknownHost { fault, host: name.to_owned() })
    };
    let (source, destination) = (find(from)?, find(to)?);
    let v4 = source.v4.zip(destination.v4).map(|(a, b)| (a.to_ipv6_mapped().octets(), b.to_ipv6_mapped().octets()));
    let v6 = source.v6.zip(destination.v6).map(|(a, b)| (a.octets(), b.octets()));
    let pairs: Vec<_> = v4.into_iter().chain(v6).collect();
    if pairs.is_empty() {
        return Err(CompileError::NoCommonFamily { fault, from: from.to_owned(), to: to.to_owned() });
    }
    Ok(pairs)
}

/// Inclusive in both bounds.
type Ports = Range<u16>;
const ANY_PORT: Ports = 0..u16::MAX;

/// Source and destination ports: a packet belongs to a service port if either of its ends is that port, and the end
/// says its direction. That needs no memory of who opened the connection, and so also holds for old connections.
fn port_sides(filter: &PacketFilter, hosts: &Hosts) -> Vec<(Ports, Ports)> {
    let port = match filter.port {
        None => return vec![(ANY_PORT, ANY_PORT)],
        Some(PortSpec::Client) => hosts.client_port,
        Some(PortSpec::Peer) => hosts.peer_port,
        Some(PortSpec::Number(number)) => number,
    };
    let (request, reply) = ((ANY_PORT, port..port), (port..port, ANY_PORT));
    match filter.direction {
        Direction::Any => vec![request, reply],
        Direction::Request => vec![request],
        Direction::Reply => vec![reply],
    }
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Any => 0,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// With a port, the ports tell the direction; without, the kernel's memory of who opened the connection must.
fn direction_number(filter: &PacketFilter) -> u8 {
    match (filter.port, filter.direction) {
        (Some(_), _) | (None, Direction::Any) => 0,
        (None, Direction::Request) => 1,
        (None, Direction::Reply) => 2,
    }
}
