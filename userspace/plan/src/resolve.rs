//! From selectors to names, at the moment when a fault starts.
//!
//! Pure: the same occurrence, situation and seed give the same hosts. Who leads and who is down is told by the caller.

use crate::{
    dice::{Dice, Purpose},
    plan::{DropSpec, FaultSpec, PacketFilter, PartitionSpec, Selector},
    schedule::Occurrence,
    words::list,
};
use serde::Serialize;
use thiserror::Error;

/// What is known of the cluster when a fault starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// All nodes, in order.
    pub nodes: Vec<String>,
    /// Nodes that believe they lead, most recent term first.
    pub primaries: Vec<String>,
    /// Nodes whose process is not running.
    pub down: Vec<String>,
    /// Nodes whose process is stopped.
    pub paused: Vec<String>,
}

/// A fault with the names of its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedFault {
    /// The fault in words, with names.
    pub description: String,
    /// Nodes that it is aimed at, in the order of the cluster: those that are killed, paused or isolated; the smaller side
    /// of a drop; all, where no side is the victim.
    pub nodes: Vec<String>,
    /// What to do.
    pub kind: ResolvedKind,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResolvedKind {
    /// Drop packets.
    Packets(PacketFault),
    /// Kill the processes of these nodes; start them again at the end.
    Kill(Vec<String>),
    /// Stop the processes of these nodes; continue them at the end.
    Pause(Vec<String>),
}

/// Packets to drop: those of `filter` on every one-way link of `links`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PacketFault {
    /// Source and destination; each link once, never from a host to itself, never empty.
    pub links: Vec<(String, String)>,
    /// Which packets.
    pub filter: PacketFilter,
}

/// Why a fault could not be given its hosts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// No node is known to lead now; worth another try a little later.
    #[error("no node is known to lead")]
    NoPrimary,
    /// All nodes that could be meant are down or paused already.
    #[error("no node is left for {selector}: all are down or paused")]
    NoneLeft {
        /// What was asked for, in words.
        selector: String,
    },
    /// The hosts that it came to have no link between them.
    #[error("there is nothing to cut: {description}")]
    NothingToCut {
        /// What would have been done, in words.
        description: String,
    },
}

/// Gives `occurrence` its hosts.
///
/// # Errors
/// When nobody leads and the leader is meant, when all candidates are down, or when nothing lies between the hosts.
pub fn resolve(occurrence: &Occurrence, situation: &Situation, seed: u64) -> Result<ResolvedFault, ResolveError> {
    let dice = Dice::new(seed, Purpose::Hosts, u64::from(occurrence.id.0));
    let mut picker = Picker { situation, dice };
    match &occurrence.spec {
        FaultSpec::Partition(partition) => picker.partition(partition),
        FaultSpec::Drop(drop) => picker.drop_packets(drop),
        FaultSpec::Kill(selector) => {
            let nodes = picker.running(selector, false)?;
            let description = format!("kill {}{}", list(&nodes), remark(selector));
            Ok(ResolvedFault { description, nodes: nodes.clone(), kind: ResolvedKind::Kill(nodes) })
        }
        FaultSpec::Pause(selector) => {
            let nodes = picker.running(selector, true)?;
            let description = format!("pause {}{}", list(&nodes), remark(selector));
            Ok(ResolvedFault { description, nodes: nodes.clone(), kind: ResolvedKind::Pause(nodes) })
        }
    }
}

/// Why these, where the names alone do not say it.
fn remark(selector: &Selector) -> &'static str {
    match selector {
        Selector::Leader => " (the leader)",
        Selector::Primaries => " (believed to lead)",
        Selector::Minority => " (a minority)",
        Selector::Majority => " (a majority)",
        Selector::All => " (all)",
        Selector::One | Selector::Names(_) => "",
    }
}

struct Picker<'s> {
    situation: &'s Situation,
    dice: Dice,
}

impl Picker<'_> {
    /// Hosts for `selector` out of `candidates`; those of `avoid` only if there are not enough others.
    fn select(
        &mut self,
        selector: &Selector,
        candidates: &[String],
        avoid: &[String],
    ) -> Result<Vec<String>, ResolveError> {
        let node_count = self.situation.nodes.len();
        let primaries = &self.situation.primaries;
        let mut chosen = match selector {
            Selector::One => self.draw(1, candidates, avoid),
            Selector::Minority => self.draw(node_count.saturating_sub(1) / 2, candidates, avoid),
            Selector::Majority => self.draw(node_count / 2 + 1, candidates, avoid),
            Selector::All => candidates.to_vec(),
            Selector::Leader | Selector::Primaries if primaries.is_empty() => return Err(ResolveError::NoPrimary),
            Selector::Leader => primaries.iter().take(1).filter(|node| candidates.contains(node)).cloned().collect(),
            Selector::Primaries => primaries.iter().filter(|node| candidates.contains(node)).cloned().collect(),
            Selector::Names(names) => {
                // Hosts that are not nodes (the clients) are never down.
                let is_node = |name: &String| self.situation.nodes.contains(name);
                names.iter().filter(|name| candidates.contains(name) || !is_node(name)).cloned().collect()
            }
        };
        if chosen.is_empty() {
            return Err(ResolveError::NoneLeft { selector: selector.to_string() });
        }
        self.in_order(&mut chosen);
        Ok(chosen)
    }

    fn draw(&mut self, count: usize, candidates: &[String], avoid: &[String]) -> Vec<String> {
        let (mut last, mut first): (Vec<String>, Vec<String>) =
            candidates.iter().cloned().partition(|node| avoid.contains(node));
        self.dice.shuffle(&mut first);
        self.dice.shuffle(&mut last);
        first.into_iter().chain(last).take(count).collect()
    }

    /// Sorts into the order of the cluster, other hosts last, each once.
    fn in_order(&self, names: &mut Vec<String>) {
        let nodes = &self.situation.nodes;
        let place = |name: &String| nodes.iter().position(|node| node == name).unwrap_or(nodes.len());
        names.sort_by(|a, b| (place(a), a).cmp(&(place(b), b)));
        names.dedup();
    }

    /// Nodes for a fault of processes: only such as it would change.
    fn running(&mut self, selector: &Selector, paused_excluded: bool) -> Result<Vec<String>, ResolveError> {
        let Situation { nodes, down, paused, .. } = self.situation;
        let unusable = |node: &String| down.contains(node) || (paused_excluded && paused.contains(node));
        let candidates: Vec<String> = nodes.iter().filter(|node| !unusable(node)).cloned().collect();
        self.select(selector, &candidates, &[])
    }

    fn drop_packets(&mut self, drop: &DropSpec) -> Result<ResolvedFault, ResolveError> {
        let (from, to) = self.two_sides(&drop.from, &drop.to)?;
        let mut links = one_way(&from, &to);
        let between = if drop.both { ("between", "and") } else { ("from", "to") };
        if drop.both {
            links.extend(one_way(&to, &from));
        }
        let aim = self.smaller(&from, &to);
        let (from, to) = (list(&from) + remark(&drop.from), list(&to) + remark(&drop.to));
        let description = format!("drop {} {} {from} {} {to}", drop.filter, between.0, between.1);
        self.packets(description, links, drop.filter, aim)
    }

    fn two_sides(&mut self, from: &Selector, to: &Selector) -> Result<(Vec<String>, Vec<String>), ResolveError> {
        let nodes = self.situation.nodes.clone();
        let from = self.select(from, &nodes, &[])?;
        let to = self.select(to, &nodes, &from)?;
        Ok((from, to))
    }

    fn partition(&mut self, partition: &PartitionSpec) -> Result<ResolvedFault, ResolveError> {
        let nodes = self.situation.nodes.clone();
        match partition {
            PartitionSpec::Halves => {
                let (first, second) = nodes.split_at(nodes.len() / 2);
                let description = format!("cut {} from {}", list(first), list(second));
                self.cut(description, first, second, nodes.clone())
            }
            PartitionSpec::RandomHalves => {
                let (first, second) = self.random_halves(nodes.clone());
                let description = format!("cut {} from {}", list(&first), list(&second));
                self.cut(description, &first, &second, nodes)
            }
            PartitionSpec::Isolate(selector) => {
                let chosen = self.select(selector, &nodes, &[])?;
                let others: Vec<String> = nodes.into_iter().filter(|node| !chosen.contains(node)).collect();
                let description = format!("isolate {}{} from {}", list(&chosen), remark(selector), list(&others));
                self.cut(description, &chosen, &others, self.only_nodes(&chosen))
            }
            PartitionSpec::Bridge => {
                let mut rest = nodes.clone();
                self.dice.shuffle(&mut rest);
                let bridge = rest.pop().unwrap_or_default();
                let (first, second) = self.random_halves(rest);
                let (a, b) = (list(&first), list(&second));
                self.cut(format!("cut {a} from {b}, with {bridge} in touch with both"), &first, &second, nodes)
            }
            PartitionSpec::MajoritiesRing => self.majorities_ring(nodes),
            PartitionSpec::OneWay { from, to } => {
                let (from_hosts, to_hosts) = self.two_sides(from, to)?;
                let links = one_way(&from_hosts, &to_hosts);
                let aim = self.smaller(&from_hosts, &to_hosts);
                let (from, to) = (list(&from_hosts) + remark(from), list(&to_hosts) + remark(to));
                self.packets(format!("drop all packets from {from} to {to}"), links, PacketFilter::ALL, aim)
            }
        }
    }

    fn random_halves(&mut self, mut nodes: Vec<String>) -> (Vec<String>, Vec<String>) {
        self.dice.shuffle(&mut nodes);
        let mut second = nodes.split_off(nodes.len() / 2);
        self.in_order(&mut nodes);
        self.in_order(&mut second);
        (nodes, second)
    }

    fn only_nodes(&self, hosts: &[String]) -> Vec<String> {
        hosts.iter().filter(|host| self.situation.nodes.contains(host)).cloned().collect()
    }

    /// The nodes of the smaller side, of the first if both are as large; a side without nodes does not count.
    fn smaller(&self, first: &[String], second: &[String]) -> Vec<String> {
        let (first, second) = (self.only_nodes(first), self.only_nodes(second));
        if first.is_empty() || (!second.is_empty() && second.len() < first.len()) { second } else { first }
    }

    /// Cuts two groups from each other, both ways.
    fn cut(
        &self,
        description: String,
        first: &[String],
        second: &[String],
        aim: Vec<String>,
    ) -> Result<ResolvedFault, ResolveError> {
        let mut links = one_way(first, second);
        links.extend(one_way(second, first));
        self.packets(description, links, PacketFilter::ALL, aim)
    }

    /// Every node keeps its nearest in a random ring: with itself at least a majority, and a different one for each.
    fn majorities_ring(&mut self, nodes: Vec<String>) -> Result<ResolvedFault, ResolveError> {
        let mut ring = nodes.clone();
        self.dice.shuffle(&mut ring);
        let majority = ring.len() / 2 + 1;
        let radius = majority / 2;
        let mut links = Vec::new();
        for (i, from) in ring.iter().enumerate() {
            for (j, to) in ring.iter().enumerate() {
                let apart = i.abs_diff(j).min(ring.len() - i.abs_diff(j));
                if apart > radius {
                    links.push((from.clone(), to.clone()));
                }
            }
        }
        let reach = if radius == 1 { "neighbours".to_owned() } else { format!("{radius} nearest on either side") };
        let description = format!("majorities ring {}: each in touch only with its {reach}", ring.join("-"));
        self.packets(description, links, PacketFilter::ALL, nodes)
    }

    fn packets(
        &self,
        description: String,
        mut links: Vec<(String, String)>,
        filter: PacketFilter,
        aim: Vec<String>,
    ) -> Result<ResolvedFault, ResolveError> {
        let nodes = &self.situation.nodes;
        let place = |name: &String| nodes.iter().position(|node| node == name).unwrap_or(nodes.len());
        links.sort_by(|a, b| (place(&a.0), &a.0, place(&a.1), &a.1).cmp(&(place(&b.0), &b.0, place(&b.1), &b.1)));
        links.dedup();
        if links.is_empty() {
            return Err(ResolveError::NothingToCut { description });
        }
        Ok(ResolvedFault { description, nodes: aim, kind: ResolvedKind::Packets(PacketFault { links, filter }) })
    }
}

/// Every link from a host of `from` to another of `to`.
fn one_way(from: &[String], to: &[String]) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for source in from {
        links.extend(to.iter().filter(|host| *host != source).map(|host| (source.clone(), host.clone())));
    }
    links
}
