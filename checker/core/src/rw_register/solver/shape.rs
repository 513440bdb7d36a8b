//! What counts as a cycle: for each kind of model, a graph that is acyclic if and only if no cycle counts.
//!
//! * *Serial*: every cycle counts; the graph is the one of the dependencies.
//! * *Snapshot*: cycles without two rw steps in a row. Every transaction has two nodes, and what is entered by an rw edge
//!   is left by others only.
//! * *Prefix*: cycles in which every rw step follows a wr step. Every transaction has two nodes, and an rw edge leaves only
//!   the one that is entered by wr.
//! * *Single*: cycles with one rw step, or none. No graph of a few copies says that; so the rw edges are kept beside the
//!   graph of the others, and each must not be led back from its target to its source.

use super::acyclic::{Acyclic, Closed, Reason};
use super::local::{Label, LocalEdge};

/// Which cycles count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Serial,
    Snapshot,
    Prefix,
    Single,
}

impl Shape {
    fn is_doubled(self) -> bool {
        matches!(self, Shape::Snapshot | Shape::Prefix)
    }

    /// The cycle as nodes of the problem, each once.
    pub(super) fn cycle(self, closed: &Closed) -> Vec<u32> {
        let original = |node: u32| if self.is_doubled() { node / 2 } else { node };
        let mut nodes: Vec<u32> = closed.iter().map(|(node, _)| original(*node)).collect();
        nodes.dedup();
        nodes
    }
}

/// Edges that grow and shrink, and close no cycle that counts.
#[derive(Clone, Debug)]
pub(super) struct Shaped {
    pub(super) shape: Shape,
    graph: Acyclic,
    /// The rw edges by source, where they are kept beside the graph, and their sources as they were added.
    beside: Vec<Vec<(u32, Reason)>>,
    added: Vec<u32>,
}

/// How many edges there were at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    graph: usize,
    beside: usize,
}

impl Shaped {
    /// So many nodes of the problem, and no edge.
    pub(super) fn new(shape: Shape, nodes: u32) -> Self {
        let nodes = nodes as usize;
        let beside = if shape == Shape::Single { vec![Vec::new(); nodes] } else { Vec::new() };
        let graph = Acyclic::new(if shape.is_doubled() { nodes * 2 } else { nodes });
        Self { shape, graph, beside, added: Vec::new() }
    }

    /// Nodes that were looked at so far.
    pub(super) fn steps(&self) -> u64 {
        self.graph.steps
    }

    /// Where a node of the problem stands in an order that agrees with all edges, those with rw aside unless all cycles count.
    pub(super) fn place(&self, node: u32) -> u32 {
        // An edge leaves both nodes of its source and enters one of its target, unless it is an rw edge.
        let of = |node: u32| self.graph.place(node);
        if self.shape.is_doubled() { of(node * 2).max(of(node * 2 + 1)) } else { of(node) }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { graph: self.graph.len(), beside: self.added.len() }
    }

    /// Takes away the edges that were added since.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.graph.truncate(mark.graph);
        for source in self.added.drain(mark.beside..).rev() {
            self.beside[source as usize].pop();
        }
    }

    /// Adds an edge, or says which cycle it would close. Part of a doubled edge may then remain.
    pub(super) fn add(&mut self, edge: LocalEdge, reason: Reason) -> Result<(), Closed> {
        let LocalEdge { from, to, label } = edge;
        let graph = &mut self.graph;
        match (self.shape, label) {
            (Shape::Serial, _) => graph.add(from, to, reason),
            (Shape::Snapshot, Label::Rw) => graph.add(from * 2, to * 2 + 1, reason),
            (Shape::Prefix, Label::Rw) => graph.add(from * 2 + 1, to * 2, reason),
            (Shape::Snapshot | Shape::Prefix, _) => {
                let target = to * 2 + u32::from(self.shape == Shape::Prefix && label == Label::Wr);
                graph.add(from * 2, target, reason)?;
                graph.add(from * 2 + 1, target, reason)
            }
            (Shape::Single, Label::Rw) => self.add_beside(from, to, reason),
            (Shape::Single, _) => self.add_between(from, to, reason),
        }
    }

    /// Adds an rw edge, unless it is led back.
    fn add_beside(&mut self, from: u32, to: u32, reason: Reason) -> Result<(), Closed> {
        if let Some(back) = self.graph.path(to, from) {
            return Err(std::iter::once((from, reason)).chain(back).collect());
        }
        self.beside[from as usize].push((to, reason));
        self.added.push(from);
        Ok(())
    }

    /// Adds another edge, unless it leads an rw edge back.
    fn add_between(&mut self, from: u32, to: u32, reason: Reason) -> Result<(), Closed> {
        self.graph.add(from, to, reason)?;
        if self.added.is_empty() {
            return Ok(());
        }
        let before = self.graph.leading_to(from);
        let closing = self.graph.led_to(to).into_iter().find_map(|reader| {
            let rw = self.beside[reader as usize].iter().find(|(writer, _)| before.binary_search(writer).is_ok())?;
            Some((reader, *rw))
        });
        let Some((reader, (writer, why))) = closing else { return Ok(()) };
        let parts = [self.graph.path(writer, from), self.graph.path(to, reader)];
        self.graph.truncate(self.graph.len() - 1);
        let [first, last] = parts.map(Option::unwrap_or_default);
        let steps = [(reader, why)].into_iter().chain(first).chain([(from, reason)]).chain(last);
        Err(steps.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Dice;

    /// Whether a closed walk counts, for all walks: reachability over (node, label by which it was entered, rw steps).
    fn has_cycle(shape: Shape, nodes: u32, edges: &[LocalEdge]) -> bool {
        (0..nodes).any(|start| {
            let first = edges.iter().filter(|edge| edge.from == start);
            first.into_iter().any(|first| returns(shape, *first, edges))
        })
    }

    fn returns(shape: Shape, first: LocalEdge, edges: &[LocalEdge]) -> bool {
        let is_rw = |label: Label| u32::from(label == Label::Rw);
        let follows = |before: Label, next: Label| match shape {
            Shape::Snapshot => !(before == Label::Rw && next == Label::Rw),
            Shape::Prefix => next != Label::Rw || before == Label::Wr,
            Shape::Serial | Shape::Single => true,
        };
        let mut reached = vec![(first.to, first.label, is_rw(first.label))];
        for at in 0.. {
            let Some((node, label, count)) = reached.get(at).copied() else { break };
            if node == first.from && follows(label, first.label) {
                return true;
            }
            for edge in edges.iter().filter(|edge| edge.from == node && follows(label, edge.label)) {
                let count = if shape == Shape::Single { count + is_rw(edge.label) } else { 0 };
                let next = (edge.to, edge.label, count);
                if count <= 1 && !reached.contains(&next) {
                    reached.push(next);
                }
            }
        }
        false
    }

    #[test]
    fn edges_are_refused_exactly_where_a_cycle_would_count() {
        let mut dice = Dice::new(5);
        for shape in [Shape::Serial, Shape::Snapshot, Shape::Prefix, Shape::Single] {
            let mut refused = 0;
            for _ in 0..1_500 {
                let nodes = 2 + dice.roll(5) as u32;
                let mut graph = Shaped::new(shape, nodes);
                let mut edges: Vec<LocalEdge> = Vec::new();
                let mut marks = vec![graph.mark()];
                for reason in 0..24 {
                    if dice.chance(20) {
                        let left = dice.roll(edges.len() + 1);
                        edges.truncate(left);
                        marks.truncate(left + 1);
                        graph.truncate(marks[left]);
                    }
                    let label = [Label::Ww, Label::Wr, Label::Rw][dice.roll(3)];
                    let (from, to) = (dice.roll(nodes as usize) as u32, dice.roll(nodes as usize) as u32);
                    if from == to {
                        continue;
                    }
                    edges.push(LocalEdge { from, to, label });
                    let closed = graph.add(LocalEdge { from, to, label }, reason);
                    assert_eq!(closed.is_err(), has_cycle(shape, nodes, &edges), "{shape:?} {edges:?}");
                    match closed {
                        Ok(()) => marks.push(graph.mark()),
                        Err(closed) => {
                            refused += 1;
                            let cycle = shape.cycle(&closed);
                            let steps = cycle.iter().zip(cycle.iter().cycle().skip(1));
                            for (from, to) in steps.filter(|_| cycle.len() > 1) {
                                assert!(edges.iter().any(|edge| (edge.from, edge.to) == (*from, *to)), "{cycle:?}");
                            }
                            edges.pop();
                            graph.truncate(marks[edges.len()]);
                        }
                    }
                }
            }
            assert!(refused > 1_000, "{shape:?}: {refused}");
        }
    }
}
