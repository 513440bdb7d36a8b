//! G-single-item: an rw edge from `u` to `v` where `v` leads back to `u` without another rw.
//!
//! Reachability for many pairs at once has no linear algorithm in general; here it is nearly so. The component is laid
//! in a topological order of its edges without rw, near the order of time. Only an rw edge that goes backward in that
//! order can close a cycle, and only through the window between its ends. Windows are swept 64 edges at a time, with
//! one bit for each edge. Windows are short where transactions merely overlap; an rw edge that spans real time is
//! recognised at once, as a cycle of two.

use super::cycles::{Search, budget};
use super::graph::{RW, WR, WW};
use super::scc::{Plain, View};
use super::txns::NONE;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An rw edge, by the places of its ends in the topological order.
#[derive(Clone, Copy, Debug)]
struct Backward {
    source: u32,
    edge: u32,
    target: u32,
    /// Rank of the target's group: where the way back begins.
    first: u32,
    /// Rank of the source's group: where it must end.
    last: u32,
}

/// Nodes that lead to each other, as groups in topological order.
struct Groups {
    nodes: Vec<u32>,
    /// Group of rank `r`: `nodes[start[r]..start[r + 1]]`.
    start: Vec<u32>,
}

impl Groups {
    fn len(&self) -> usize {
        self.start.len() - 1
    }

    fn of(&self, rank: u32) -> &[u32] {
        &self.nodes[self.start[rank as usize] as usize..self.start[rank as usize + 1] as usize]
    }
}

impl Search<'_> {
    /// A short cycle with exactly one rw step in the component, if there is one.
    pub(crate) fn single(&mut self, level: u8, labels: u8, number: u32, nodes: &[u32]) {
        let component = std::mem::take(&mut self.component);
        let view = Plain { graph: self.graph, labels, within: Some((&component, number)) };
        let rw_view = Plain { labels: labels | RW, ..view };
        let edges = self.rw_edges(&rw_view, nodes);
        let two = edges.iter().find_map(|(source, edge, target)| self.way_back(level, *source, *edge, *target));
        let steps = two.or_else(|| {
            let hits = self.closing_edges(&view, nodes, &edges);
            self.shortest_through(&view, nodes, &hits)
        });
        self.component = component;
        if let Some(steps) = steps {
            self.record(steps);
        }
    }

    /// The cycle of two that an rw edge makes with one step back.
    fn way_back(&self, level: u8, source: u32, edge: u32, target: u32) -> Option<Vec<super::cycles::Step>> {
        use super::cycles::Step;
        use super::graph::{PROCESS, REALTIME};
        if !self.graph.is_txn(target) {
            return None;
        }
        debug_assert_eq!(self.graph.label[edge as usize], RW);
        let back = |label| vec![Step { from: source, to: target, label: RW }, Step { from: target, to: source, label }];
        for edge in self.graph.edges(target) {
            if self.graph.target[edge as usize] == source {
                let label = self.graph.label[edge as usize] & (WW | WR);
                if label != 0 {
                    return Some(back(super::scc::strongest(label)));
                }
            }
        }
        let (earlier, later) = (self.txn(target), self.txn(source));
        let ordered = self.txns.precedes(earlier, later);
        match level {
            1 if ordered && self.txns.process_number(earlier) == self.txns.process_number(later) => Some(back(PROCESS)),
            2 if ordered => Some(back(REALTIME)),
            _ => None,
        }
    }

    /// rw edges whose target leads back to their source: none only if there are none.
    fn closing_edges(&mut self, view: &Plain<'_>, nodes: &[u32], edges: &[(u32, u32, u32)]) -> Vec<(u32, u32, u32)> {
        let mut rank = std::mem::take(&mut self.marks);
        let groups = self.topological(view, nodes, &mut rank);
        let mut backward: Vec<Backward> = Vec::new();
        let mut hits = Vec::new();
        for (source, edge, target) in edges.iter().copied() {
            let (first, last) = (rank[target as usize], rank[source as usize]);
            if first == last {
                hits.push((source, edge, target));
            } else if first < last {
                backward.push(Backward { source, edge, target, first, last });
            }
        }
        if hits.is_empty() {
            hits = sweep(view, &groups, &rank, backward);
        }
        for node in nodes {
            rank[*node as usize] = NONE;
        }
        self.marks = rank;
        hits
    }

    /// Groups in topological order, as near to the order of time as that allows; `rank` gets the rank of each node.
    fn topological(&mut self, view: &Plain<'_>, nodes: &[u32], rank: &mut [u32]) -> Groups {
        let mut grouped = Groups { nodes: Vec::with_capacity(nodes.len()), start: vec![0] };
        self.walks.components(view, nodes.iter().copied(), |group| {
            for node in group {
                rank[*node as usize] = grouped.start.len() as u32 - 1;
            }
            grouped.nodes.extend_from_slice(group);
            grouped.start.push(grouped.nodes.len() as u32);
        });
        let count = grouped.len();
        let mut incoming = vec![0_u32; count];
        let mut when = vec![u32::MAX; count];
        let across = |node: u32, edge: u32, rank: &[u32]| {
            let target = view.follow(node, edge)?;
            (rank[target as usize] != rank[node as usize]).then_some(rank[target as usize])
        };
        for node in nodes {
            let group = rank[*node as usize] as usize;
            when[group] = when[group].min(self.graph.position[*node as usize]);
            for edge in view.edges(*node) {
                if let Some(target) = across(*node, edge, rank) {
                    incoming[target as usize] += 1;
                }
            }
        }
        let mut ready: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::new();
        let free = |group: &u32| incoming[*group as usize] == 0;
        ready.extend((0..count as u32).filter(free).map(|group| Reverse((when[group as usize], group))));
        let mut order: Vec<u32> = Vec::with_capacity(count);
        while let Some(Reverse((_, group))) = ready.pop() {
            order.push(group);
            for node in grouped.of(group) {
                for edge in view.edges(*node) {
                    if let Some(target) = across(*node, edge, rank) {
                        let left = &mut incoming[target as usize];
                        *left -= 1;
                        if *left == 0 {
                            ready.push(Reverse((when[target as usize], target)));
                        }
                    }
                }
            }
        }
        let mut sorted = Groups { nodes: Vec::with_capacity(nodes.len()), start: vec![0] };
        for (place, group) in order.iter().enumerate() {
            for node in grouped.of(*group) {
                rank[*node as usize] = place as u32;
            }
            sorted.nodes.extend_from_slice(grouped.of(*group));
            sorted.start.push(sorted.nodes.len() as u32);
        }
        sorted
    }

    fn shortest_through(
        &mut self,
        view: &Plain<'_>,
        nodes: &[u32],
        hits: &[(u32, u32, u32)],
    ) -> Option<Vec<super::cycles::Step>> {
        let mut best: Option<Vec<super::cycles::Step>> = None;
        let mut work = 0;
        let budget = budget(nodes.iter().map(|node| self.graph.edges(*node).len() as u64).sum());
        for (source, edge, target) in hits {
            let limit = best.as_ref().map_or(NONE - 2, |best| best.len() as u32 - 2);
            if limit < 1 || (best.is_some() && work > budget) {
                break;
            }
            if let Some(mut path) = self.walks.path(view, *target, *source, limit, &mut work) {
                path.insert(0, (*source, *edge));
                best = Some(self.steps(&path));
            }
        }
        best
    }
}

/// Edges that close a cycle: all those of the first batch that has any.
fn sweep(view: &Plain<'_>, groups: &Groups, rank: &[u32], mut backward: Vec<Backward>) -> Vec<(u32, u32, u32)> {
    // Windows of like size go together, so that a long one does not stretch the batches of short ones.
    let size = |edge: &Backward| (edge.last - edge.first).ilog2();
    backward.sort_unstable_by_key(|edge| (size(edge), edge.first, edge.last, edge.edge));
    let mut masks = vec![0_u64; groups.len()];
    let mut rest = backward.as_slice();
    while let Some(head) = rest.first() {
        let spread = 64.max(2_u32.saturating_pow(size(head) + 1));
        let fits = |edge: &&Backward| size(edge) == size(head) && edge.first - head.first <= spread;
        let count = rest.iter().take(64).take_while(fits).count();
        let (batch, after) = rest.split_at(count);
        let end = batch.iter().map(|edge| edge.last).max().unwrap_or(head.last);
        for (bit, edge) in batch.iter().enumerate() {
            masks[edge.first as usize] |= 1 << bit;
        }
        for place in head.first..end {
            let mask = masks[place as usize];
            if mask == 0 {
                continue;
            }
            for node in groups.of(place) {
                for edge in view.edges(*node) {
                    if let Some(target) = view.follow(*node, edge) {
                        let target = rank[target as usize];
                        if target <= end {
                            masks[target as usize] |= mask;
                        }
                    }
                }
            }
        }
        let closes = |(bit, edge): (usize, &Backward)| {
            (masks[edge.last as usize] >> bit & 1 == 1).then_some((edge.source, edge.edge, edge.target))
        };
        let hits: Vec<(u32, u32, u32)> = batch.iter().enumerate().filter_map(closes).collect();
        if !hits.is_empty() {
            return hits;
        }
        masks[head.first as usize..=end as usize].fill(0);
        rest = after;
    }
    Vec::new()
}
