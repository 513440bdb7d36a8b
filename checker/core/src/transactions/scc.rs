//! Walks over a graph seen through a [`View`]: strongly connected components and shortest paths, without recursion.

use super::graph::{Graph, PASS, PROCESS, REALTIME, RW, WR, WW};
use super::txns::NONE;
use std::ops::Range;

/// A graph as a walk sees it: some of the edges, perhaps with more than one node for each node of the graph.
pub(crate) trait View {
    /// Number of nodes; they are `0..nodes()`.
    fn nodes(&self) -> usize;
    /// The edges that may leave a node.
    fn edges(&self, node: u32) -> Range<u32>;
    /// Where an edge leads from a node, if the view lets it pass.
    fn follow(&self, node: u32, edge: u32) -> Option<u32>;
    /// Whether an edge costs a step.
    fn costs(&self, edge: u32) -> bool;
}

/// The edges with some labels, within one component.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'g> {
    pub(crate) graph: &'g Graph,
    /// Labels that may pass; [`PASS`] always may.
    pub(crate) labels: u8,
    /// Component of each node, and the one to stay in.
    pub(crate) within: Option<(&'g [u32], u32)>,
}

impl View for Plain<'_> {
    fn nodes(&self) -> usize {
        self.graph.nodes()
    }

    fn edges(&self, node: u32) -> Range<u32> {
        self.graph.edges(node)
    }

    fn follow(&self, _: u32, edge: u32) -> Option<u32> {
        let target = self.graph.target[edge as usize];
        let inside = self.within.is_none_or(|(component, wanted)| component[target as usize] == wanted);
        (self.graph.label[edge as usize] & (self.labels | PASS) != 0 && inside).then_some(target)
    }

    fn costs(&self, edge: u32) -> bool {
        self.graph.label[edge as usize] != PASS
    }
}

/// Walks on which no rw step follows another. Node `2n + 1` is node `n` entered by an rw step, which none may leave.
#[derive(Clone, Copy)]
pub(crate) struct Nonadjacent<'g> {
    pub(crate) plain: Plain<'g>,
    /// Component of each doubled node, and the one to stay in.
    pub(crate) within: Option<(&'g [u32], u32)>,
}

impl View for Nonadjacent<'_> {
    fn nodes(&self) -> usize {
        self.plain.nodes() * 2
    }

    fn edges(&self, node: u32) -> Range<u32> {
        self.plain.edges(node / 2)
    }

    fn follow(&self, node: u32, edge: u32) -> Option<u32> {
        let target = self.plain.follow(node / 2, edge)? * 2;
        let target = match self.plain.graph.label[edge as usize] {
            PASS => target + node % 2,
            RW if node % 2 == 1 => return None,
            RW => target + 1,
            _ => target,
        };
        let inside = self.within.is_none_or(|(component, wanted)| component[target as usize] == wanted);
        inside.then_some(target)
    }

    fn costs(&self, edge: u32) -> bool {
        self.plain.costs(edge)
    }
}

/// Memory of the walks, kept from one to the next. Sized for the largest view it has met.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    /// Tarjan: order of discovery, from 1; 0 = not met; `NONE` = its component is complete.
    number: Vec<u32>,
    low: Vec<u32>,
    open: Vec<u32>,
    frames: Vec<(u32, u32)>,
    met: Vec<u32>,
    /// Paths: the walk that reached a node last, and how.
    reached: Vec<u32>,
    walk: u32,
    from: Vec<(u32, u32)>,
    layer: Vec<u32>,
    next_layer: Vec<u32>,
}

impl Walks {
    /// Strongly connected components of what the roots reach, also those of one node; each after every component that
    /// it leads to.
    pub(crate) fn components<V: View>(
        &mut self,
        view: &V,
        roots: impl IntoIterator<Item = u32>,
        mut emit: impl FnMut(&[u32]),
    ) {
        if self.number.len() < view.nodes() {
            self.number.resize(view.nodes(), 0);
            self.low.resize(view.nodes(), 0);
        }
        self.met.clear();
        let mut count = 0;
        for root in roots {
            if self.number[root as usize] != 0 {
                continue;
            }
            self.enter(view, root, &mut count);
            while let Some((node, edge)) = self.frames.pop() {
                let end = view.edges(node).end;
                if edge == end {
                    self.leave(node, &mut emit);
                    continue;
                }
                self.frames.push((node, edge + 1));
                let Some(target) = view.follow(node, edge) else { continue };
                match self.number[target as usize] {
                    0 => self.enter(view, target, &mut count),
                    NONE => {}
                    number => {
                        let low = &mut self.low[node as usize];
                        *low = (*low).min(number);
                    }
                }
            }
        }
        for node in self.met.drain(..) {
            self.number[node as usize] = 0;
        }
    }

    fn enter<V: View>(&mut self, view: &V, node: u32, count: &mut u32) {
        *count += 1;
        self.number[node as usize] = *count;
        self.low[node as usize] = *count;
        self.open.push(node);
        self.met.push(node);
        self.frames.push((node, view.edges(node).start));
    }

    fn leave(&mut self, node: u32, emit: &mut impl FnMut(&[u32])) {
        let low = self.low[node as usize];
        if let Some((parent, _)) = self.frames.last() {
            let parent_low = &mut self.low[*parent as usize];
            *parent_low = (*parent_low).min(low);
        }
        if low != self.number[node as usize] {
            return;
        }
        // The root of a component lies in `open`, below the rest of it.
        let first = self.open.iter().rposition(|other| *other == node).unwrap_or(0);
        for member in &self.open[first..] {
            self.number[*member as usize] = NONE;
        }
        emit(&self.open[first..]);
        self.open.truncate(first);
    }

    /// A shortest path of at least one edge, of at most `limit` steps: the edges, with the nodes they leave. Adds the
    /// edges it looked at to `work`.
    pub(crate) fn path<V: View>(
        &mut self,
        view: &V,
        source: u32,
        target: u32,
        limit: u32,
        work: &mut u64,
    ) -> Option<Vec<(u32, u32)>> {
        if self.reached.len() < view.nodes() {
            self.reached.resize(view.nodes(), 0);
            self.from.resize(view.nodes(), (NONE, NONE));
        }
        if self.walk == NONE {
            self.reached.fill(0);
            self.walk = 0;
        }
        self.walk += 1;
        if source != target {
            self.reached[source as usize] = self.walk;
        }
        let mut layer = std::mem::take(&mut self.layer);
        let mut next = std::mem::take(&mut self.next_layer);
        layer.clear();
        next.clear();
        layer.push(source);
        let mut found = false;
        let mut distance = 0;
        'layers: while !layer.is_empty() && distance <= limit {
            // First everything at this distance, then what lies one step further.
            let mut place = 0;
            while let Some(node) = layer.get(place).copied() {
                if node == target && (distance > 0 || place > 0) {
                    found = true;
                    break 'layers;
                }
                place += 1;
                self.spread(view, node, false, &mut layer, work);
            }
            if distance < limit {
                for node in &layer {
                    self.spread(view, *node, true, &mut next, work);
                }
            }
            distance += 1;
            std::mem::swap(&mut layer, &mut next);
            next.clear();
        }
        self.layer = layer;
        self.next_layer = next;
        found.then(|| self.trace(source, target))
    }

    /// Follows the edges of a node that cost a step, or those that do not, to nodes not reached before.
    fn spread<V: View>(&mut self, view: &V, node: u32, costly: bool, reached: &mut Vec<u32>, work: &mut u64) {
        for edge in view.edges(node) {
            *work += 1;
            if view.costs(edge) != costly {
                continue;
            }
            let Some(to) = view.follow(node, edge) else { continue };
            if self.reached[to as usize] != self.walk {
                self.reached[to as usize] = self.walk;
                self.from[to as usize] = (node, edge);
                reached.push(to);
            }
        }
    }

    fn trace(&self, source: u32, target: u32) -> Vec<(u32, u32)> {
        let mut path = Vec::new();
        let mut node = target;
        loop {
            let (from, edge) = self.from[node as usize];
            path.push((from, edge));
            node = from;
            if node == source {
                break;
            }
        }
        path.reverse();
        path
    }
}

/// The label that a step is named by: the strongest dependency that its edge carries.
pub(crate) fn strongest(label: u8) -> u8 {
    [WW, WR, RW, PROCESS, REALTIME].into_iter().find(|one| label & one != 0).unwrap_or(PASS)
}
