//! G-nonadjacent-item: a cycle with several rw steps, no two of which follow each other.
//!
//! Asked only where the component has no cycle with exactly one rw. A closed walk without adjacent rw steps is then
//! found by components of the doubled graph ([`Nonadjacent`]). Cut such a walk at a transaction it passes twice: at
//! least one of the parts has no adjacent rw steps either. Repeated, that ends in a simple cycle with two or more rw
//! steps, unless it ends in one with none: which takes a cycle without rw in the component, itself a worse anomaly. In
//! that case, and only in that, a bounded enumeration of simple cycles decides; past its bound the cycle is left to be
//! named G2-item, and no verdict changes, as whatever proscribes this kind proscribes the worse one too.

use super::cycles::{G2, Kind, NONADJACENT, Search, Step, has_adjacent_rw};
use super::graph::{RW, WR, WW};
use super::scc::{Nonadjacent, Plain, View};
use super::txns::NONE;

/// Ways back that are tried in each component of the doubled graph.
const TRIES: usize = 16;

/// Edges that the enumeration of simple cycles looks at, at most.
const ENUMERATION_WORK: u64 = 200_000;

impl Search<'_> {
    /// A cycle of this kind in the component, if there is one.
    pub(crate) fn nonadjacent(&mut self, labels: u8, number: u32, nodes: &[u32]) {
        debug_assert_eq!(labels & (WW | WR | RW), WW | WR | RW);
        let component = std::mem::take(&mut self.component);
        let mut marks = std::mem::take(&mut self.marks);
        let plain = Plain { graph: self.graph, labels, within: Some((&component, number)) };
        let doubled = Nonadjacent { plain, within: None };
        let mut parts: Vec<Vec<u32>> = Vec::new();
        self.walks.components(&doubled, nodes.iter().map(|node| node * 2), |part| {
            if part.len() > 1 {
                parts.push(part.to_vec());
            }
        });
        let mut best: Option<Vec<Step>> = None;
        let mut undecided = false;
        for (part_number, part) in parts.iter().enumerate() {
            for node in part {
                marks[*node as usize] = part_number as u32;
            }
            let view = Nonadjacent { plain, within: Some((&marks, part_number as u32)) };
            let mut tried = 0;
            let mut sorted = part.clone();
            sorted.sort_unstable();
            'part: for node in sorted.iter().filter(|node| **node % 2 == 0 && self.graph.is_txn(**node / 2)) {
                for edge in view.edges(*node).filter(|edge| self.graph.label[*edge as usize] == RW) {
                    let Some(target) = view.follow(*node, edge) else { continue };
                    if tried == TRIES {
                        break 'part;
                    }
                    tried += 1;
                    let mut work = 0;
                    let Some(mut path) = self.walks.path(&view, target, *node, NONE - 1, &mut work) else { continue };
                    path.insert(0, (*node, edge));
                    path.iter_mut().for_each(|(node, _)| *node /= 2);
                    match simple(self.steps(&path)) {
                        Some(steps) if best.as_ref().is_none_or(|best| steps.len() < best.len()) => best = Some(steps),
                        Some(_) => {}
                        None => undecided = true,
                    }
                }
            }
        }
        for node in parts.iter().flatten() {
            marks[*node as usize] = NONE;
        }
        if best.is_none() && undecided {
            best = self.enumerate(&plain, nodes);
        }
        self.marks = marks;
        self.component = component;
        if let Some(steps) = best {
            self.record(steps);
        }
    }

    /// Goes through the simple cycles of a component, within bounds, for one of the wanted kind.
    fn enumerate(&self, view: &Plain<'_>, nodes: &[u32]) -> Option<Vec<Step>> {
        let mut on_path = vec![false; self.graph.txns as usize];
        let mut work = 0;
        for start in nodes.iter().copied().filter(|node| self.graph.is_txn(*node)) {
            // The path as (node, next edge to try); helpers lie on it but may be passed again.
            let mut path: Vec<(u32, u32)> = vec![(start, view.edges(start).start)];
            on_path[start as usize] = true;
            while let Some((node, edge)) = path.pop() {
                if edge == view.edges(node).end {
                    if self.graph.is_txn(node) {
                        on_path[node as usize] = false;
                    }
                    continue;
                }
                work += 1;
                if work > ENUMERATION_WORK {
                    return None;
                }
                path.push((node, edge + 1));
                let Some(target) = view.follow(node, edge) else { continue };
                if target == start {
                    let taken: Vec<(u32, u32)> = path.iter().map(|(node, next)| (*node, next - 1)).collect();
                    let steps = self.steps(&taken);
                    if Kind::of(&steps).base == NONADJACENT {
                        return Some(steps);
                    }
                } else if !self.graph.is_txn(target) {
                    path.push((target, view.edges(target).start));
                } else if target > start && !on_path[target as usize] {
                    on_path[target as usize] = true;
                    path.push((target, view.edges(target).start));
                }
            }
        }
        None
    }
}

/// A simple cycle without adjacent rw steps, and with at least one, out of a closed walk without adjacent rw steps.
fn simple(mut steps: Vec<Step>) -> Option<Vec<Step>> {
    loop {
        let rws = steps.iter().filter(|step| step.label == RW).count();
        if rws == 0 || has_adjacent_rw(&steps) {
            return None;
        }
        let Some((first, second)) = repeated(&steps) else {
            debug_assert_ne!(Kind::of(&steps).base, G2);
            return Some(steps);
        };
        let inner: Vec<Step> = steps[first..second].to_vec();
        let outer: Vec<Step> = steps[second..].iter().chain(&steps[..first]).copied().collect();
        let good = |part: &[Step]| part.iter().any(|step| step.label == RW) && !has_adjacent_rw(part);
        steps = match (good(&inner), good(&outer)) {
            (true, true) if inner.len() <= outer.len() => inner,
            (true, false) => inner,
            (_, true) => outer,
            (false, false) => return None,
        };
    }
}

/// Two places at which a walk leaves the same transaction.
fn repeated(steps: &[Step]) -> Option<(usize, usize)> {
    let mut places: Vec<(u32, usize)> = steps.iter().enumerate().map(|(place, step)| (step.from, place)).collect();
    places.sort_unstable();
    places.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| (pair[0].1, pair[1].1))
}
