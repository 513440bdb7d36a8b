//! A small graph in compressed rows, for searches about what was seen.

use crate::transactions::scc::View;
use std::ops::Range;

/// Edges by their source. An edge may cost a step or not.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    start: Vec<u32>,
    edges: Vec<(u32, bool)>,
}

impl Rows {
    /// From edges (from, to, costs), in any order.
    pub(crate) fn new(nodes: usize, edges: &[(u32, u32, bool)]) -> Self {
        let mut start = vec![0_u32; nodes + 1];
        edges.iter().for_each(|(from, _, _)| start[*from as usize + 1] += 1);
        for node in 0..nodes {
            start[node + 1] += start[node];
        }
        let mut rows = vec![(0_u32, false); edges.len()];
        let mut next = start.clone();
        for (from, to, costs) in edges {
            let slot = &mut next[*from as usize];
            rows[*slot as usize] = (*to, *costs);
            *slot += 1;
        }
        Self { start, edges: rows }
    }

    /// Where the edges of a node lead.
    pub(super) fn of(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.edges[self.start[node as usize] as usize..self.start[node as usize + 1] as usize].iter().map(|edge| edge.0)
    }

    /// Where an edge leads.
    pub(super) fn target(&self, edge: u32) -> u32 {
        self.edges[edge as usize].0
    }
}

impl View for Rows {
    fn nodes(&self) -> usize {
        self.start.len() - 1
    }

    fn edges(&self, node: u32) -> Range<u32> {
        self.start[node as usize]..self.start[node as usize + 1]
    }

    fn follow(&self, _: u32, edge: u32) -> Option<u32> {
        Some(self.target(edge))
    }

    fn costs(&self, edge: u32) -> bool {
        self.edges[edge as usize].1
    }
}
