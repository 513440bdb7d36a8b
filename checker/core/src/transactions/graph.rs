//! Dependencies, process order and real-time order of some transactions as one compact graph.
//!
//! Nodes are numbered from 0: first the transactions, in order of invocation, then helpers. A helper stands for many
//! edges: an edge into it carries the label, the edges among helpers and out of them are [`PASS`] and cost nothing. So
//! `a → helper → … → helper → b` is one labelled step from `a` to `b`:
//! * real time: one helper for each completion, chained in order; `a` enters at its completion, and `b` is reached
//!   from the last completion before its invocation. The steps are exactly "a completed before b was invoked";
//! * process: the same within each process;
//! * fans: see [`Fan`].
//!
//! No helper leads back, by PASS alone, to a transaction that enters it: a step never goes from a transaction to itself.

use super::txns::{NONE, Txns};
use super::dependencies::{Dependencies, Fan};
use super::line::Line;
use crate::consistency::Order;
use crate::op::Outcome;

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
    /// Node of each transaction.
    node: Vec<u32>,
    graph: Graph,
    edges: Vec<(u32, u32, u8)>,
}

impl Graph {
    /// The edges within each part: transactions with the same number in `part`; those with `NONE` are left out.
    pub(crate) fn new(
        txns: &Txns,
        dependencies: &Dependencies,
        line: &Line,
        part: &[u32],
        orders: &[Order],
    ) -> Self {
        let mut builder = Builder::new(txns, line, part);
        for (edges, label) in [(&dependencies.ww, WW), (&dependencies.wr, WR), (&dependencies.rw, RW)] {
            builder.data(edges, part, label);
        }
        for fan in &dependencies.fans {
            builder.fan(fan, part);
        }
        for order in orders {
            match order {
                Order::Data => {}
                Order::Process => builder.process(),
                Order::Realtime => builder.realtime(),
            }
        }
        builder.finish()
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
    fn new(columns: &'a Txns, line: &Line, part: &[u32]) -> Self {
        let mut node = vec![NONE; columns.len()];
        let mut txn = Vec::new();
        let mut position = Vec::new();
        for (index, slot) in node.iter_mut().enumerate() {
            if part[index] != NONE && columns.is_possible(index as u32) {
                *slot = txn.len() as u32;
                txn.push(index as u32);
                position.push(line.position[index]);
            }
        }
        let txns = txn.len() as u32;
        let graph = Graph { txn, txns, position, start: Vec::new(), target: Vec::new(), label: Vec::new() };
        Self { txns: columns, node, graph, edges: Vec::new() }
    }

    fn helper(&mut self, position: u32) -> u32 {
        self.graph.txn.push(NONE);
        self.graph.position.push(position);
        self.graph.txn.len() as u32 - 1
    }

    fn data(&mut self, edges: &[(u32, u32)], part: &[u32], label: u8) {
        for (from, to) in edges {
            let (from, to) = (*from as usize, *to as usize);
            if part[from] == part[to] && self.node[from] != NONE {
                self.edges.push((self.node[from], self.node[to], label));
            }
        }
    }

    /// Readers that append nothing and appenders that read nothing meet in one helper. Those that do both must reach
    /// each other but not themselves: one chain leads to the later ones, one to the earlier ones.
    fn fan(&mut self, fan: &Fan, part: &[u32]) {
        let mut parts: Vec<u32> = fan.readers.iter().map(|txn| part[*txn as usize]).filter(|p| *p != NONE).collect();
        parts.sort_unstable();
        parts.dedup();
        for wanted in parts {
            let within = |txns: &[u32]| -> Vec<u32> {
                txns.iter().filter(|txn| part[**txn as usize] == wanted).map(|txn| self.node[*txn as usize]).collect()
            };
            let (readers, appenders) = (within(&fan.readers), within(&fan.appenders));
            if readers.is_empty() || appenders.is_empty() {
                continue;
            }
            let both = |node: &u32| readers.binary_search(node).is_ok() && appenders.binary_search(node).is_ok();
            let pure_readers: Vec<u32> = readers.iter().copied().filter(|node| !both(node)).collect();
            let pure_appenders: Vec<u32> = appenders.iter().copied().filter(|node| !both(node)).collect();
            let both: Vec<u32> = readers.iter().copied().filter(both).collect();
            self.meet(&pure_readers, &appenders);
            self.meet(&both, &pure_appenders);
            self.chain(&both);
            let backward: Vec<u32> = both.into_iter().rev().collect();
            self.chain(&backward);
        }
    }

    fn meet(&mut self, from: &[u32], to: &[u32]) {
        if from.is_empty() || to.is_empty() {
            return;
        }
        let helper = self.helper(0);
        self.edges.extend(from.iter().map(|node| (*node, helper, RW)));
        self.edges.extend(to.iter().map(|node| (helper, *node, PASS)));
    }

    /// Each node reaches, by rw, those that follow it.
    fn chain(&mut self, nodes: &[u32]) {
        let mut previous = NONE;
        for pair in nodes.windows(2) {
            let helper = self.helper(0);
            self.edges.push((pair[0], helper, RW));
            self.edges.push((helper, pair[1], PASS));
            if previous != NONE {
                self.edges.push((previous, helper, PASS));
            }
            previous = helper;
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
        let mut by_process: Vec<(i64, u32)> =
            (0..self.graph.txns).map(|node| (self.txns.process(self.graph.txn[node as usize]), node)).collect();
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
