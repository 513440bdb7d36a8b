//! A graph that grows and shrinks edge by edge and never has a cycle.
//!
//! The nodes are kept in an order that agrees with the edges. An edge that agrees with it costs nothing; another one moves
//! the nodes between its ends, or finds the path that closes a cycle (Pearce and Kelly, "A dynamic topological sort
//! algorithm for directed acyclic graphs", 2007). Taking edges away leaves the order valid.

use crate::transactions::NONE;

/// A reason for an edge: whatever number its owner gives it.
pub(super) type Reason = u32;

/// The graph.
#[derive(Clone, Debug)]
pub(super) struct Acyclic {
    place: Vec<u32>,
    outgoing: Vec<Vec<(u32, Reason)>>,
    incoming: Vec<Vec<(u32, Reason)>>,
    /// Ends of the edges in the order in which they were added.
    added: Vec<(u32, u32)>,
    mark: Vec<u32>,
    walk: u32,
    from: Vec<(u32, Reason)>,
    /// Nodes that were looked at.
    pub(super) steps: u64,
}

/// The edges of a cycle: the node that each leaves, and its reason.
pub(super) type Closed = Vec<(u32, Reason)>;

impl Acyclic {
    /// So many nodes, in the order of their numbers, and no edge.
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            place: (0..nodes as u32).collect(),
            outgoing: vec![Vec::new(); nodes],
            incoming: vec![Vec::new(); nodes],
            added: Vec::new(),
            mark: vec![0; nodes],
            walk: 0,
            from: vec![(NONE, 0); nodes],
            steps: 0,
        }
    }

    /// Where a node stands in an order that agrees with all edges.
    pub(super) fn place(&self, node: u32) -> u32 {
        self.place[node as usize]
    }

    /// How many edges there are.
    pub(super) fn len(&self) -> usize {
        self.added.len()
    }

    /// Takes away the edges added last, until so many are left.
    pub(super) fn truncate(&mut self, len: usize) {
        for (from, to) in self.added.drain(len..).rev() {
            self.outgoing[from as usize].pop();
            self.incoming[to as usize].pop();
        }
    }

    /// Adds an edge, or says which cycle it would close; then it is not added.
    pub(super) fn add(&mut self, from: u32, to: u32, reason: Reason) -> Result<(), Closed> {
        self.steps += 1;
        if from == to {
            return Err(vec![(from, reason)]);
        }
        if self.place[from as usize] > self.place[to as usize] {
            self.reorder(from, to, reason)?;
        }
        self.outgoing[from as usize].push((to, reason));
        self.incoming[to as usize].push((from, reason));
        self.added.push((from, to));
        Ok(())
    }

    /// Makes `from` stand before `to`.
    fn reorder(&mut self, from: u32, to: u32, reason: Reason) -> Result<(), Closed> {
        let (low, high) = (self.place[to as usize], self.place[from as usize]);
        self.walk += 1;
        let mut behind = vec![to];
        self.mark[to as usize] = self.walk;
        let mut next = 0;
        while let Some(node) = behind.get(next).copied() {
            next += 1;
            self.steps += 1;
            for (target, why) in &self.outgoing[node as usize] {
                let at = *target as usize;
                if self.mark[at] == self.walk || self.place[at] > high {
                    continue;
                }
                self.mark[at] = self.walk;
                self.from[at] = (node, *why);
                if *target == from {
                    return Err(self.closed(from, to, reason));
                }
                behind.push(*target);
            }
        }
        self.walk += 1;
        let mut before = vec![from];
        self.mark[from as usize] = self.walk;
        next = 0;
        while let Some(node) = before.get(next).copied() {
            next += 1;
            self.steps += 1;
            for (source, _) in &self.incoming[node as usize] {
                let at = *source as usize;
                if self.mark[at] != self.walk && self.place[at] >= low {
                    self.mark[at] = self.walk;
                    before.push(*source);
                }
            }
        }
        let by_place = |node: &u32| self.place[*node as usize];
        before.sort_unstable_by_key(by_place);
        behind.sort_unstable_by_key(by_place);
        let mut places: Vec<u32> = before.iter().chain(&behind).map(by_place).collect();
        places.sort_unstable();
        for (node, place) in before.iter().chain(&behind).zip(places) {
            self.place[*node as usize] = place;
        }
        Ok(())
    }

    /// A shortest path, if there is one: the node that each of its edges leaves, and its reason.
    pub(super) fn path(&mut self, from: u32, to: u32) -> Option<Closed> {
        if from == to {
            return Some(Vec::new());
        }
        let limit = self.place[to as usize];
        if self.place[from as usize] > limit {
            return None;
        }
        self.walk += 1;
        let mut reached = vec![from];
        self.mark[from as usize] = self.walk;
        let mut next = 0;
        while let Some(node) = reached.get(next).copied() {
            next += 1;
            self.steps += 1;
            for (target, why) in &self.outgoing[node as usize] {
                let at = *target as usize;
                if self.mark[at] == self.walk || self.place[at] > limit {
                    continue;
                }
                self.mark[at] = self.walk;
                self.from[at] = (node, *why);
                if *target == to {
                    return Some(self.way(from, to));
                }
                reached.push(*target);
            }
        }
        None
    }

    /// The nodes that lead to one, and itself; ascending.
    pub(super) fn leading_to(&mut self, node: u32) -> Vec<u32> {
        self.connected(node, |graph| &graph.incoming)
    }

    /// The nodes that one leads to, and itself; ascending.
    pub(super) fn led_to(&mut self, node: u32) -> Vec<u32> {
        self.connected(node, |graph| &graph.outgoing)
    }

    fn connected(&mut self, node: u32, edges: impl Fn(&Self) -> &Vec<Vec<(u32, Reason)>>) -> Vec<u32> {
        self.walk += 1;
        let walk = self.walk;
        let mut mark = std::mem::take(&mut self.mark);
        let mut reached = vec![node];
        mark[node as usize] = walk;
        let mut next = 0;
        while let Some(node) = reached.get(next).copied() {
            next += 1;
            let others = edges(self)[node as usize].iter().map(|(other, _)| *other);
            reached.extend(others.filter(|other| std::mem::replace(&mut mark[*other as usize], walk) != walk));
        }
        self.mark = mark;
        self.steps += reached.len() as u64;
        reached.sort_unstable();
        reached
    }

    /// The cycle of a new edge and the path just found from its end to its beginning.
    fn closed(&self, from: u32, to: u32, reason: Reason) -> Closed {
        std::iter::once((from, reason)).chain(self.way(to, from)).collect()
    }

    /// The path just found.
    fn way(&self, from: u32, to: u32) -> Closed {
        let mut way = Vec::new();
        let mut node = to;
        while node != from {
            let (before, why) = self.from[node as usize];
            way.push((before, why));
            node = before;
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_reachability_whatever_is_added_and_taken_away() {
        let mut state = 1_u64;
        let mut roll = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        for _ in 0..2_000 {
            let nodes = 2 + roll(6) as u32;
            let mut graph = Acyclic::new(nodes as usize);
            let mut edges: Vec<(u32, u32)> = Vec::new();
            for reason in 0..20 {
                if roll(5) == 0 {
                    let len = roll(edges.len() as u64 + 1) as usize;
                    edges.truncate(len);
                    graph.truncate(len);
                }
                let (from, to) = (roll(u64::from(nodes)) as u32, roll(u64::from(nodes)) as u32);
                let mut reached = vec![to];
                for at in 0.. {
                    let Some(node) = reached.get(at).copied() else { break };
                    let next = edges.iter().filter(|edge| edge.0 == node).map(|edge| edge.1);
                    let next: Vec<u32> = next.filter(|node| !reached.contains(node)).collect();
                    reached.extend(next);
                }
                match graph.add(from, to, reason) {
                    Ok(()) => {
                        assert!(!reached.contains(&from));
                        edges.push((from, to));
                    }
                    Err(closed) => {
                        assert!(reached.contains(&from));
                        assert_eq!(closed[0], (from, reason));
                        for (place, (node, _)) in closed.iter().enumerate().skip(1) {
                            let next = closed[(place + 1) % closed.len()].0;
                            assert!(edges.contains(&(*node, next)));
                        }
                    }
                }
                assert_eq!(graph.len(), edges.len());
                assert!(edges.iter().all(|(from, to)| graph.place(*from) < graph.place(*to)));
            }
        }
    }
}
