//! Sets of transactions whose version orders stay open, each as a problem by itself.
//!
//! Known edges lie between transactions of the set, or lead through helpers that stand for real time. A choice is a pair of
//! versions of one key whose order is open: either way it gives the edges between their writers, and from the readers of
//! the earlier version to the writer of the later one.

use super::super::index::Index;
use super::super::keys::KeyFacts;
use super::super::order::KeyOrder;
use super::super::sources::Sources;
use crate::consistency::Order;
use crate::op::Outcome;
use crate::transactions::NONE;

/// An edge between nodes of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalEdge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) label: Label,
}

/// What an edge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// The second overwrote the first, or comes later in the order of the history.
    Ww,
    /// The second read what the first wrote.
    Wr,
    /// The first read what the second overwrote.
    Rw,
}

/// Two versions of one key, and what follows from either order.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) key: u32,
    /// The values of the two versions; the first one comes first by the guess.
    pub(super) values: [i64; 2],
    /// Edges if the first version comes first, and if the second one does. The first edge is that of the writers.
    pub(super) edges: [Vec<LocalEdge>; 2],
}

/// One set of transactions.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    /// The transactions, in the order of the guess; a node is the place of its transaction.
    pub(super) txns: Vec<u32>,
    /// Nodes: transactions, then helpers.
    pub(super) nodes: u32,
    pub(super) known: Vec<LocalEdge>,
    pub(super) choices: Vec<Choice>,
    /// Writes by key: (key, write as a micro-operation, node of its writer).
    pub(super) writes: Vec<(u32, u32, u32)>,
    /// Whether there are more choices than may be looked at.
    pub(super) too_many: bool,
}

impl Local {
    /// The same problem with fewer transactions, given as ascending nodes; the numbers of the nodes remain.
    pub(super) fn only(&self, kept: &[u32]) -> Self {
        let txns = self.txns.len() as u32;
        let is_kept = |node: u32| node >= txns || kept.binary_search(&node).is_ok();
        let remains = |edge: &&LocalEdge| is_kept(edge.from) && is_kept(edge.to);
        let edges = |edges: &[LocalEdge]| edges.iter().filter(remains).copied().collect::<Vec<LocalEdge>>();
        let possible = |choice: &&Choice| remains(&&choice.edges[0][0]);
        let choice =
            |choice: &Choice| Choice { edges: [edges(&choice.edges[0]), edges(&choice.edges[1])], ..choice.clone() };
        Self {
            txns: self.txns.clone(),
            nodes: self.nodes,
            known: edges(&self.known),
            choices: self.choices.iter().filter(possible).map(choice).collect(),
            writes: Vec::new(),
            too_many: false,
        }
    }
}

/// What the problems are made from.
pub(super) struct Ground<'i> {
    pub(super) index: &'i Index,
    pub(super) facts: &'i KeyFacts,
    pub(super) sources: &'i Sources,
    pub(super) order: Order,
    /// Place of each write, by micro-operation: versions of a key are guessed to follow these.
    pub(super) rank: Vec<u32>,
    pub(super) place: Vec<u32>,
    /// Choices of one problem, at most.
    pub(super) choices_max: u64,
}

/// Versions of one key up to which known orders are closed under transitivity before choices are counted.
const CLOSED_MAX: usize = 2_048;

impl Ground<'_> {
    /// The problems of some disjoint sets of transactions.
    pub(super) fn problems(&self, sets: &[Vec<u32>]) -> Vec<Local> {
        let mut at = vec![(NONE, NONE); self.index.columns.txns.len()];
        let mut problems: Vec<Local> = Vec::with_capacity(sets.len());
        for (number, set) in sets.iter().enumerate() {
            let mut txns = set.clone();
            txns.sort_unstable_by_key(|txn| (self.place[*txn as usize], *txn));
            for (node, txn) in txns.iter().enumerate() {
                at[*txn as usize] = (number as u32, node as u32);
            }
            let nodes = txns.len() as u32;
            let mut problem = Local { txns, nodes, ..Local::default() };
            self.history_order(&mut problem);
            problems.push(problem);
        }
        self.known_edges(&at, &mut problems);
        self.choices(&at, &mut problems);
        problems
    }

    /// Order in processes or in real time. A helper stands for each completion; the helpers are chained.
    fn history_order(&self, problem: &mut Local) {
        let txns = &self.index.columns.txns;
        let edge = |from, to| LocalEdge { from, to, label: Label::Ww };
        match self.order {
            Order::Data => {}
            Order::Process => {
                let process = |node: &u32| txns.process(problem.txns[*node as usize]);
                let mut nodes: Vec<u32> = (0..problem.txns.len() as u32).collect();
                nodes.sort_unstable_by_key(|node| (process(node), problem.txns[*node as usize]));
                let follow = nodes.windows(2).filter(|pair| process(&pair[0]) == process(&pair[1]));
                problem.known.extend(follow.map(|pair| edge(pair[0], pair[1])));
            }
            Order::Realtime => {
                let ended = |node: &u32| txns.outcome(problem.txns[*node as usize]) == Outcome::Ok;
                let end = |node: &u32| txns.end(problem.txns[*node as usize]);
                let mut nodes: Vec<u32> = (0..problem.txns.len() as u32).filter(ended).collect();
                nodes.sort_unstable_by_key(end);
                let first = problem.nodes;
                let ends: Vec<u32> = nodes.iter().map(end).collect();
                for (helper, node) in nodes.iter().enumerate() {
                    problem.known.push(edge(*node, first + helper as u32));
                    if helper > 0 {
                        problem.known.push(edge(first + helper as u32 - 1, first + helper as u32));
                    }
                }
                for node in 0..problem.txns.len() as u32 {
                    let invoke = txns.invoke(problem.txns[node as usize]);
                    let done = ends.partition_point(|end| *end < invoke);
                    if done > 0 {
                        problem.known.push(edge(first + done as u32 - 1, node));
                    }
                }
                problem.nodes += nodes.len() as u32;
            }
        }
    }

    fn known_edges(&self, at: &[(u32, u32)], problems: &mut [Local]) {
        let dependencies = &self.facts.dependencies;
        let mut put = |from: u32, to: u32, label: Label| {
            let (from, to) = (at[from as usize], at[to as usize]);
            if from.0 == to.0 && from.0 != NONE {
                problems[from.0 as usize].known.push(LocalEdge { from: from.1, to: to.1, label });
            }
        };
        let labelled = [(&dependencies.ww, Label::Ww), (&dependencies.wr, Label::Wr), (&dependencies.rw, Label::Rw)];
        for (edges, label) in labelled {
            edges.iter().for_each(|(from, to)| put(*from, *to, label));
        }
        for fan in &dependencies.fans {
            for reader in fan.readers.iter().filter(|txn| at[**txn as usize].0 != NONE) {
                let others = fan.appenders.iter().filter(|txn| *txn != reader);
                others.for_each(|writer| put(*reader, *writer, Label::Rw));
            }
        }
    }

    fn choices(&self, at: &[(u32, u32)], problems: &mut [Local]) {
        let columns = &self.index.columns;
        let mut order = KeyOrder::default();
        for key in 0..columns.keys.len() as u32 {
            let concerned = columns.of_key(key).iter().any(|mop| at[columns.txn(*mop as usize) as usize].0 != NONE);
            if !concerned {
                continue;
            }
            order.load(self.index, key);
            let mut versions: Vec<(u32, u32, u32)> = Vec::new();
            for mop in columns.of_key(key).iter().filter(|mop| columns.is_write(**mop as usize)) {
                let version = self.index.version(*mop as usize);
                let set = at[columns.txn(*mop as usize) as usize].0;
                if version != NONE && set != NONE {
                    versions.push((set, self.rank[*mop as usize], *mop));
                }
            }
            versions.sort_unstable();
            for group in versions.chunk_by(|a, b| a.0 == b.0) {
                let problem = &mut problems[group[0].0 as usize];
                let node = |mop: u32| at[columns.txn(mop as usize) as usize].1;
                problem.writes.extend(group.iter().map(|(_, _, mop)| (key, *mop, node(*mop))));
                let pairs = (group.len() * (group.len() - 1) / 2 + problem.choices.len()) as u64;
                if problem.too_many || pairs > self.choices_max {
                    problem.too_many = true;
                    continue;
                }
                self.pairs(key, group, &mut order, at, problem);
            }
        }
    }

    /// The choices among the versions of one key that belong to one set.
    fn pairs(&self, key: u32, group: &[(u32, u32, u32)], order: &mut KeyOrder, at: &[(u32, u32)], problem: &mut Local) {
        order.arrange(self.index, key, self.sources, &mut Vec::new());
        let set = group[0].0;
        let within = |txn: &u32| at[*txn as usize].0 == set;
        let node = |txn: u32| at[txn as usize].1;
        let closed = Closure::new(order);
        let edges = |first: u32, second: u32| -> Vec<LocalEdge> {
            let (from, to) = (order.writer[first as usize], order.writer[second as usize]);
            let readers = order.readers(first).iter().filter(|reader| within(reader) && **reader != to);
            let rw = readers.map(|reader| LocalEdge { from: node(*reader), to: node(to), label: Label::Rw });
            [LocalEdge { from: node(from), to: node(to), label: Label::Ww }].into_iter().chain(rw).collect()
        };
        for reader in order.readers(0).iter().filter(|reader| within(reader)) {
            let writers = group.iter().map(|(_, _, mop)| self.index.columns.txn(*mop as usize));
            let others = writers.filter(|writer| writer != reader);
            problem.known.extend(others.map(|to| LocalEdge { from: node(*reader), to: node(to), label: Label::Rw }));
        }
        for (place, (_, _, one)) in group.iter().enumerate() {
            for (_, _, other) in &group[place + 1..] {
                let (first, second) = (self.index.version(*one as usize), self.index.version(*other as usize));
                if closed.has(first, second) || closed.has(second, first) {
                    continue;
                }
                problem.choices.push(Choice {
                    key,
                    values: [order.value[first as usize], order.value[second as usize]],
                    edges: [edges(first, second), edges(second, first)],
                });
            }
        }
    }
}

/// Which versions of a key are known to precede which, bit by bit.
struct Closure {
    rows: Vec<u64>,
    words: usize,
}

impl Closure {
    fn new(order: &KeyOrder) -> Self {
        if order.len() > CLOSED_MAX {
            return Self { rows: Vec::new(), words: 0 };
        }
        let words = order.len() / 64 + 1;
        let mut rows = vec![0_u64; order.len() * words];
        for from in order.order.iter().rev().map(|version| *version as usize) {
            let first = order.edges.partition_point(|edge| (edge.from as usize) < from);
            for edge in order.edges[first..].iter().take_while(|edge| edge.from as usize == from) {
                let to = edge.to as usize;
                rows[from * words + to / 64] |= 1 << (to % 64);
                for word in 0..words {
                    rows[from * words + word] |= rows[to * words + word];
                }
            }
        }
        Self { rows, words }
    }

    fn has(&self, from: u32, to: u32) -> bool {
        self.words > 0 && self.rows[from as usize * self.words + to as usize / 64] >> (to % 64) & 1 == 1
    }
}
