//! The graph of "each rw follows a wr": every transaction has two nodes, and an rw edge leaves only the one that is entered
//! by wr.
//!
//! Transactions are numbered without gaps. An rw edge may lead through helpers, which follow them in number: a *fan* leads
//! from its readers to all its writers but the reader itself, in as many edges as there are of both.

use super::Link;
use super::rows::Rows;
use crate::finding::EdgeKind;
use crate::transactions::NONE;
use crate::transactions::scc::{View, Walks};
use std::ops::Range;

/// Ways back that are tried in each component.
const TRIES: usize = 16;

/// Edges between transactions, and helpers.
#[derive(Debug)]
pub(super) struct Doubled {
    edges: Vec<(u32, u32, EdgeKind)>,
    /// How many transactions there are.
    pub(super) txns: u32,
    /// How many nodes with the helpers, before they are doubled.
    nodes: u32,
}

/// Helpers that lead to writers: one for this and all later ones, one for this and all earlier ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fan {
    first: u32,
    count: u32,
}

impl Doubled {
    pub(super) fn new(txns: u32) -> Self {
        Self { edges: Vec::new(), txns, nodes: txns }
    }

    pub(super) fn add(&mut self, from: u32, to: u32, kind: EdgeKind) {
        self.edges.push((from, to, kind));
    }

    /// A fan to some writers; a place may stand for nobody.
    pub(super) fn fan(&mut self, writers: impl ExactSizeIterator<Item = Option<u32>>) -> Fan {
        let (first, count) = (self.nodes, writers.len() as u32);
        self.nodes += 2 * count;
        for (at, writer) in (0..).zip(writers) {
            let (later, earlier) = (first + at, first + count + at);
            for helper in [later, earlier] {
                self.edges.extend(writer.map(|writer| (helper, writer, EdgeKind::Rw)));
            }
            if at > 0 {
                self.edges.push((earlier, earlier - 1, EdgeKind::Rw));
                self.edges.push((later - 1, later, EdgeKind::Rw));
            }
        }
        Fan { first, count }
    }

    /// Leads a reader to all writers but its own places; tells the helpers that it enters.
    pub(super) fn enter(&mut self, fan: Fan, reader: u32, own: Range<u32>) -> impl Iterator<Item = u32> {
        let Fan { first, count } = fan;
        let earlier = own.start.checked_sub(1).map(|last| first + count + last);
        let later = (own.end < count).then_some(first + own.end);
        let helpers = [earlier, later].into_iter().flatten();
        self.edges.extend(helpers.clone().map(|helper| (reader, helper, EdgeKind::Rw)));
        helpers
    }

    /// Nodes `2n`, and `2n + 1` for "entered by wr", which an rw may leave.
    fn rows(&self) -> Rows {
        let mut edges = Vec::with_capacity(self.edges.len() * 2);
        for (from, to, kind) in self.edges.iter().copied() {
            match kind {
                EdgeKind::Rw if from >= self.txns => edges.push((2 * from, 2 * to, false)),
                EdgeKind::Rw => edges.push((2 * from + 1, 2 * to, true)),
                _ => {
                    let to = 2 * to + u32::from(kind == EdgeKind::Wr);
                    edges.push((2 * from, to, true));
                    edges.push((2 * from + 1, to, true));
                }
            }
        }
        Rows::new(self.nodes as usize * 2, &edges)
    }

    /// A short cycle of each component, as what `links` says of a closed walk through doubled nodes; it ends in an rw.
    pub(super) fn cycles(&self, links: impl Fn(&[u32]) -> Option<Vec<Link>>) -> Vec<Vec<Link>> {
        let rows = self.rows();
        let mut walks = Walks::default();
        let mut component = vec![NONE; rows.nodes()];
        walks.components(&rows, 0..rows.nodes() as u32, |nodes| {
            // Named by its least node, whatever the order in which it was met.
            let least = nodes.iter().copied().min().unwrap_or(NONE);
            nodes.iter().filter(|_| nodes.len() > 1).for_each(|node| component[*node as usize] = least);
        });
        let rws = self.edges.iter().filter(|(from, _, kind)| *kind == EdgeKind::Rw && *from < self.txns);
        let inside = |(from, to): &(u32, u32)| component[*from as usize] == component[*to as usize];
        let mut rws: Vec<(u32, u32)> = rws.map(|(from, to, _)| (2 * from + 1, 2 * to)).filter(inside).collect();
        rws.retain(|(from, _)| component[*from as usize] != NONE);
        rws.sort_unstable_by_key(|(from, to)| (component[*from as usize], *from, *to));
        let mut cycles = Vec::new();
        for part in rws.chunk_by(|a, b| component[a.0 as usize] == component[b.0 as usize]) {
            let mut best: Option<Vec<Link>> = None;
            for (from, to) in part.iter().take(TRIES) {
                let mut work = 0;
                let Some(path) = walks.path(&rows, *to, *from, NONE - 1, &mut work) else { continue };
                let mut nodes = vec![*from];
                nodes.extend(path.iter().map(|(node, _)| *node));
                if let Some(links) = links(&nodes)
                    && best.as_ref().is_none_or(|best| links.len() < best.len())
                {
                    best = Some(links);
                }
            }
            cycles.extend(best.map(|mut links| {
                let last = links.iter().position(|link| link.kind == EdgeKind::Rw).unwrap_or(0);
                links.rotate_left(last + 1);
                links
            }));
        }
        cycles
    }
}
