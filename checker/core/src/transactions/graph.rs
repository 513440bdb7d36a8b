//! Dependencies, process order and real-time order of the transactions on cycles, as one compact graph.
//!
//! Nodes are numbered from 0: first the transactions, in order of invocation, then helpers. A helper stands for many
//! edges: an edge into it carries the label, the edges among helpers and out of them are [`PASS`] and cost nothing. So
//! `a → helper → … → helper → b` is one labelled step from `a` to `b`:
//! * real time: one helper for each completion, chained in order; `a` enters at its completion, and `b` is reached
//!   from the last completion before its invocation. The steps are exactly "a completed before b was invoked";
//! * process: the same within each process;
//! * fans: see [`super::edges`].
//!
//! No helper leads back, by PASS alone, to a transaction that enters it: a step never goes from a transaction to itself.

use super::edges::{Edge, Edges};
use super::sweep::Parts;
use super::txns::{NONE, Txns};
use crate::consistency::Order;
use crate::op::Outcome;
use crate::spill::SpillError;

/// The second overwrote the first.
pub(crate) const WW: u8 = 1;
/// The second read what the first wrote.
pub(crate) const WR: u8 = 2;
/// The first read what the second overwrote.
pub(crate) const RW: u8 = 4;
/// Into a helper of the process order.
pub(crate) const PROCESS: u8 = 8;
/// Into a helper of the real-time order.
pub(crate) const REALTIME: u8 = 16;
/// Among and out of helpers.
pub(crate) const PASS: u8 = 32;

/// The graph, in compressed rows.
#[derive(Debug)]
pub(crate) struct Graph {
    /// Transaction behind each node; `NONE` for helpers. Its length is the number of nodes.
    pub(crate) txn: Vec<u32>,
    /// Number of transactions.
    pub(crate) txns: u32,
    /// A hint where each node stands in time.
    pub(crate) position: Vec<u32>,
    /// Edges of node `n`: `start[n]..start[n + 1]`.
    pub(crate) start: Vec<u32>,
    /// Where each edge goes.
    pub(crate) target: Vec<u32>,
    /// What each edge says: one label, or WW and WR together.
    pub(crate) label: Vec<u8>,
}

struct Builder<'a> {
    txns: &'a Txns,
    graph: Graph,
    edges: Vec<(u32, u32, u8)>,
}

impl Graph {
    /// The edges within each component, and some orders. Edges that were kept apart as direct only if `with_direct`.
    ///
    /// # Errors
    /// If edges that were put aside cannot be had back.
    pub(crate) fn new(
        edges: &Edges<'_>,
        parts: &Parts,
        orders: &[Order],
        with_direct: bool,
    ) -> Result<Self, SpillError> {
        let mut builder = Builder::new(edges, parts);
        let direct: &[Edge] = if with_direct { &edges.direct } else { &[] };
        // Most edges lie outside of every component: one bit for each node tells.
        let mut inside = vec![0_u64; edges.nodes() / 64 + 1];
        parts.members.iter().for_each(|(node, _)| inside[*node as usize / 64] |= 1 << (node % 64));
        let is_inside = |node: u32| inside[node as usize / 64] >> (node % 64) & 1 == 1;
        let mut take = |some: &[Edge]| {
            for edge in some.iter().filter(|edge| is_inside(edge.from()) && is_inside(edge.to())) {
                builder.data(parts, *edge);
            }
        };
        for bucket in 0..edges.buckets() {
            take(&edges.bucket(bucket)?);
        }
        take(direct);
        for order in orders {
            match order {
                Order::Data => {}
                Order::Process => builder.process(),
                Order::Realtime => builder.realtime(),
            }
        }
        Ok(builder.finish())
    }

    /// Number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.txn.len()
    }

    /// Whether a node is a transaction.
    pub(crate) fn is_txn(&self, node: u32) -> bool {
        node < self.txns
    }

    /// The edges of a node.
    pub(crate) fn edges(&self, node: u32) -> std::ops::Range<u32> {
        self.start[node as usize]..self.start[node as usize + 1]
    }
}

impl<'a> Builder<'a> {
    /// Members ascend, so that transactions come first and keep their order, and helpers of the data follow.
    fn new(edges: &Edges<'a>, parts: &Parts) -> Self {
        let member = |node: u32| if edges.is_txn(node) { node } else { NONE };
        let txn: Vec<u32> = parts.members.iter().map(|(node, _)| member(*node)).collect();
        let position = parts.members.iter().map(|(node, _)| edges.position(*node)).collect();
        let txns = txn.iter().filter(|txn| **txn != NONE).count() as u32;
        let graph = Graph { txn, txns, position, start: Vec::new(), target: Vec::new(), label: Vec::new() };
        Self { txns: edges.txns, graph, edges: Vec::new() }
    }

    fn helper(&mut self, position: u32) -> u32 {
        self.graph.txn.push(NONE);
        self.graph.position.push(position);
        self.graph.txn.len() as u32 - 1
    }

    fn data(&mut self, parts: &Parts, edge: Edge) {
        let place = |node: u32| parts.members.binary_search_by_key(&node, |member| member.0).ok();
        if let (Some(from), Some(to)) = (place(edge.from()), place(edge.to()))
            && parts.members[from].1 == parts.members[to].1
        {
            self.edges.push((from as u32, to as u32, edge.label()));
        }
    }

    /// `ok` transactions of the graph, in order of completion: (completion, node).
    fn completions(&self) -> Vec<(u32, u32)> {
        let ok = |node: u32| {
            let txn = self.graph.txn[node as usize];
            (self.txns.outcome(txn) == Outcome::Ok).then(|| (self.txns.end(txn), node))
        };
        let mut completions: Vec<(u32, u32)> = (0..self.graph.txns).filter_map(ok).collect();
        completions.sort_unstable();
        completions
    }

    fn realtime(&mut self) {
        let completions = self.completions();
        let first = self.graph.txn.len() as u32;
        for (place, (_, node)) in completions.iter().enumerate() {
            let position = self.graph.position[*node as usize];
            let helper = self.helper(position);
            self.edges.push((*node, helper, REALTIME));
            if place > 0 {
                self.edges.push((helper - 1, helper, PASS));
            }
        }
        // Nodes are in order of invocation, so one walk along the completions serves them all.
        let mut completed = 0;
        for node in 0..self.graph.txns {
            let invoke = self.txns.invoke(self.graph.txn[node as usize]);
            while completed < completions.len() && completions[completed].0 < invoke {
                completed += 1;
            }
            if completed > 0 {
                self.edges.push((first + completed as u32 - 1, node, PASS));
            }
        }
    }

    /// Operations of a process follow each other, so that order of invocation is order of the process.
    fn process(&mut self) {
        let mut by_process: Vec<(u32, u32)> =
            (0..self.graph.txns).map(|node| (self.txns.process_number(self.graph.txn[node as usize]), node)).collect();
        by_process.sort_unstable();
        let mut previous = NONE;
        for pair in by_process.windows(2) {
            if pair[0].0 != pair[1].0 {
                previous = NONE;
                continue;
            }
            let (earlier, later) = (pair[0].1, pair[1].1);
            if self.txns.outcome(self.graph.txn[earlier as usize]) != Outcome::Ok {
                continue;
            }
            let helper = self.helper(self.graph.position[earlier as usize]);
            self.edges.push((earlier, helper, PROCESS));
            self.edges.push((helper, later, PASS));
            if previous != NONE {
                self.edges.push((previous, helper, PASS));
            }
            previous = helper;
        }
    }

    /// Sorts the edges into rows and merges parallel ones. An rw edge beside a ww or wr edge says nothing that the
    /// other does not say more strongly, and is dropped.
    fn finish(self) -> Graph {
        let Self { mut graph, mut edges, .. } = self;
        let nodes = graph.txn.len();
        let mut start = vec![0_u32; nodes + 1];
        for (from, _, _) in &edges {
            start[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            start[node + 1] += start[node];
        }
        let mut rows = vec![(0_u32, 0_u8); edges.len()];
        let mut next = start.clone();
        for (from, to, label) in edges.drain(..) {
            let slot = &mut next[from as usize];
            rows[*slot as usize] = (to, label);
            *slot += 1;
        }
        graph.start.reserve(nodes + 1);
        graph.start.push(0);
        for node in 0..nodes {
            let row = &mut rows[start[node] as usize..start[node + 1] as usize];
            row.sort_unstable();
            for same in row.chunk_by(|a, b| a.0 == b.0) {
                let mut label = same.iter().fold(0, |label, edge| label | edge.1);
                if label & (WW | WR) != 0 {
                    label &= !RW;
                }
                graph.target.push(same[0].0);
                graph.label.push(label);
            }
            graph.start.push(graph.target.len() as u32);
        }
        graph
    }
}
