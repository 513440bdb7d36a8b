//! The dice and the order of the rules.
//!
//! A decision is a function of (seed, rule, connection, direction, packet index) and of nothing else: no clock, no state,
//! no order of arrival between connections. Two runs that show the same packets to the same rules decide alike.

use crate::connection::{Direction, mix};
use crate::packet::{Addr, Flow};
use crate::rule::{Action, Rule};

/// What makes a packet itself in the next run too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketIdentity {
    /// [`Connection::hash`](crate::Connection::hash).
    pub connection: u64,
    /// Direction within the connection.
    pub direction: Direction,
    /// Index within the connection and direction, from 0.
    pub index: u64,
}

/// Whether a rule is about packets of this flow and direction.
#[inline(always)]
#[must_use]
pub fn matches(rule: &Rule, flow: &Flow, direction: Direction) -> bool {
    (rule.protocol == 0 || rule.protocol == flow.protocol)
        && (rule.direction == 0 || rule.direction == direction as u8)
        && port_in(flow.src_port, flow.has_ports(), rule.src_port_min, rule.src_port_max)
        && port_in(flow.dst_port, flow.has_ports(), rule.dst_port_min, rule.dst_port_max)
        && in_prefix(flow.src, &rule.src_addr, rule.src_prefix)
        && in_prefix(flow.dst, &rule.dst_addr, rule.dst_prefix)
}

#[inline(always)]
fn port_in(port: u16, has_ports: bool, min: u16, max: u16) -> bool {
    (min == 0 && max == u16::MAX) || (has_ports && min <= port && port <= max)
}

#[inline(always)]
fn in_prefix(address: Addr, network: &[u8; 16], prefix: u8) -> bool {
    if prefix == 0 {
        return true;
    }
    let (address_high, address_low) = address.numbers();
    let (network_high, network_low) = numbers(network);
    if prefix <= 64 {
        (address_high ^ network_high) >> (64 - prefix) == 0
    } else {
        let bits = if prefix > 128 { 128 } else { prefix };
        address_high == network_high && (address_low ^ network_low) >> (128 - bits) == 0
    }
}

#[inline(always)]
fn numbers(bytes: &[u8; 16]) -> (u64, u64) {
    let b = bytes;
    (
        u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
        u64::from_be_bytes([b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]),
    )
}

/// The throw of a rule's dice for a packet: uniform over `u32`.
#[inline(always)]
#[must_use]
pub fn draw(seed: u64, rule_id: u32, packet: PacketIdentity) -> u32 {
    let mut hash = mix(seed ^ 0xa076_1d64_78bd_642f);
    hash = mix(hash ^ u64::from(rule_id));
    hash = mix(hash.wrapping_add(packet.connection));
    hash = mix(hash ^ (packet.index << 2 | packet.direction as u64));
    (hash >> 32) as u32
}

/// Whether a throw is under the mark: `ppm` millionths of all throws are.
#[inline(always)]
#[must_use]
pub fn fires(draw: u32, ppm: u32) -> bool {
    (u64::from(draw) * 1_000_000) >> 32 < ppm as u64
}

/// What one rule says to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Considered {
    /// The rule is not of this table any more.
    Stale,
    /// Not its packet, or its dice said no: the next rule has its say.
    Next,
    /// It fires. The throw is 0 for a rule that always fires.
    Fires {
        /// The throw.
        draw: u32,
    },
}

/// Asks one rule.
#[inline(always)]
#[must_use]
pub fn consider(rule: &Rule, revision: u32, flow: &Flow, packet: PacketIdentity) -> Considered {
    if rule.revision != revision {
        return Considered::Stale;
    }
    if !matches(rule, flow, packet.direction) {
        return Considered::Next;
    }
    if rule.probability_ppm >= 1_000_000 {
        return Considered::Fires { draw: 0 };
    }
    let draw = draw(rule.seed, rule.rule_id, packet);
    if fires(draw, rule.probability_ppm) { Considered::Fires { draw } } else { Considered::Next }
}

/// What a table says to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub action: Action,
    /// Index of the rule that said so; `None`: none did, and the packet passes.
    pub rule: Option<usize>,
    /// That rule's throw.
    pub draw: u32,
}

impl Decision {
    /// Nothing said anything.
    pub const PASS: Decision = Decision { action: Action::Pass, rule: None, draw: 0 };
}

/// Asks a whole table, in order; the first rule that matches and fires decides. Rules of another revision are ignored.
#[must_use]
pub fn decide(rules: &[Rule], revision: u32, flow: &Flow, packet: PacketIdentity) -> Decision {
    for (index, rule) in rules.iter().enumerate() {
        if let Considered::Fires { draw } = consider(rule, revision, flow, packet) {
            return Decision { action: Action::from_u32(rule.action), rule: Some(index), draw };
        }
    }
    Decision::PASS
}
