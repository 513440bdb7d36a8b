//! Which transactions lie on cycles at all: one sweep along the line, with memory for what is not settled yet.
//!
//! The buckets of [`Edges`] are met in order. A node is *settled* once everything that leads to it is: no cycle can
//! pass through it that was not met. An edge that leads back to it from a later bucket keeps it, and all that follows
//! from it, waiting. Settled nodes are forgotten, so that memory is bounded by the longest stretch that an edge leads
//! back over, not by the history.
//!
//! Real time costs no edges here: a node waits until all transactions that completed before its invocation have gone.
//! What cannot go is a cycle, follows from one, or follows from a node that waits. Components tell these apart; they
//! are sought when nothing waits, or when more than twice as much is kept as after the last time, which makes the work
//! linear in all.

#[cfg(test)]
mod tests;

use super::edges::Edges;
use super::scc::{View, Walks};
use super::txns::NONE;
use crate::consistency::Order;
use crate::op::Outcome;
use crate::spill::SpillError;
use rustc_hash::FxHashMap;

/// The nodes on cycles, each with the number of its strongly connected component: ascending by node, and components
/// numbered by their least node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) members: Vec<(u32, u32)>,
}

impl Parts {
    fn new(components: &mut [Vec<u32>]) -> Self {
        components.iter_mut().for_each(|component| component.sort_unstable());
        components.sort_unstable();
        let numbered = components.iter().zip(0_u32..);
        let mut members: Vec<(u32, u32)> =
            numbered.flat_map(|(nodes, part)| nodes.iter().map(move |node| (*node, part))).collect();
        members.sort_unstable();
        Self { members }
    }

    /// Whether there is no cycle.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members that are transactions, ascending.
    pub(crate) fn txns(&self, edges: &Edges<'_>) -> Vec<u32> {
        self.members.iter().map(|(node, _)| *node).filter(|node| edges.is_txn(*node)).collect()
    }

    /// The component of a node.
    pub(crate) fn of(&self, node: u32) -> Option<u32> {
        let place = self.members.binary_search_by_key(&node, |member| member.0).ok()?;
        Some(self.members[place].1)
    }
}

/// The components of all edges together with an order. Edges that were kept apart as direct count only if
/// `with_direct`, which must not go with [`Order::Realtime`].
///
/// # Errors
/// If edges that were put aside cannot be had back.
pub(crate) fn cyclic_parts(edges: &Edges<'_>, order: Order, with_direct: bool) -> Result<Parts, SpillError> {
    let mut sweep = Sweep::new(edges, order, with_direct);
    let mut bucket = 0;
    while bucket < edges.buckets() {
        let kept = sweep.nodes.len();
        sweep.take(bucket)?;
        // As much anew as was kept, so that keeping much does not cost much more than once.
        while sweep.nodes.len() < 2 * kept && bucket + 1 < edges.buckets() {
            bucket += 1;
            sweep.take(bucket)?;
        }
        sweep.settle(bucket);
        bucket += 1;
    }
    Ok(Parts::new(&mut sweep.components))
}

struct Sweep<'e> {
    edges: &'e Edges<'e>,
    order: Order,
    /// Transactions by bucket: those of bucket `b` are `by_bucket[start[b]..start[b + 1]]`.
    by_bucket: Vec<u32>,
    start: Vec<usize>,
    helpers: Vec<Vec<u32>>,
    /// Direct edges by bucket, if they count, and the last bucket that leads to a node by one.
    direct: Vec<Vec<(u32, u32)>>,
    direct_awaited: FxHashMap<u32, u32>,
    /// Last transaction met of each process.
    last: Vec<u32>,
    /// What is not settled, and what was taken since.
    nodes: Vec<u32>,
    links: Vec<(u32, u32)>,
    /// Place in `nodes` of each node; `NONE` elsewhere.
    local: Vec<u32>,
    kept_at_last: usize,
    components: Vec<Vec<u32>>,
}

impl<'e> Sweep<'e> {
    fn new(edges: &'e Edges<'e>, order: Order, with_direct: bool) -> Self {
        let txns = edges.txns;
        let buckets = edges.buckets();
        let possible = || (0..txns.len() as u32).filter(|txn| txns.is_possible(*txn));
        let mut start = vec![0_usize; buckets + 1];
        possible().for_each(|txn| start[edges.bucket_of(edges.position(txn)) + 1] += 1);
        for bucket in 0..buckets {
            start[bucket + 1] += start[bucket];
        }
        let mut next = start.clone();
        let mut by_bucket = vec![0_u32; start[buckets]];
        for txn in possible() {
            let slot = &mut next[edges.bucket_of(edges.position(txn))];
            by_bucket[*slot] = txn;
            *slot += 1;
        }
        let mut direct = vec![Vec::new(); buckets];
        let mut direct_awaited = FxHashMap::default();
        for edge in edges.direct.iter().filter(|_| with_direct) {
            // A direct edge leads from the later to the earlier.
            let source = edges.bucket_of(edges.position(edge.from()));
            direct[source].push((edge.from(), edge.to()));
            let awaited: &mut u32 = direct_awaited.entry(edge.to()).or_insert(0);
            *awaited = (*awaited).max(source as u32);
        }
        Self {
            edges,
            order,
            by_bucket,
            start,
            helpers: edges.helpers_by_bucket(),
            direct,
            direct_awaited,
            last: vec![NONE; txns.processes()],
            nodes: Vec::new(),
            links: Vec::new(),
            local: vec![NONE; edges.nodes()],
            kept_at_last: 0,
            components: Vec::new(),
        }
    }

    /// Adds the nodes and the edges of a bucket.
    fn take(&mut self, bucket: usize) -> Result<(), SpillError> {
        let new = self.by_bucket[self.start[bucket]..self.start[bucket + 1]].iter().chain(&self.helpers[bucket]);
        for node in new {
            self.local[*node as usize] = 0;
            self.nodes.push(*node);
            if self.order == Order::Process && self.edges.is_txn(*node) {
                let last = &mut self.last[self.edges.txns.process_number(*node) as usize];
                let before = std::mem::replace(last, *node);
                if before != NONE {
                    self.links.push((before, *node));
                }
            }
        }
        self.links.extend(self.edges.bucket(bucket)?.iter().map(|edge| (edge.from(), edge.to())));
        self.links.extend_from_slice(&self.direct[bucket]);
        Ok(())
    }

    fn waits(&self, node: u32, bucket: usize) -> bool {
        self.edges.is_awaited(node, bucket)
            || self.direct_awaited.get(&node).is_some_and(|last| *last as usize > bucket)
    }

    /// Forgets what no later bucket can put on a cycle, and keeps the rest.
    fn settle(&mut self, bucket: usize) {
        self.nodes.sort_unstable();
        for (place, node) in self.nodes.iter().enumerate() {
            self.local[*node as usize] = place as u32;
        }
        // Edges out of settled nodes say nothing any more.
        let local = &self.local;
        self.links.retain(|(from, _)| local[*from as usize] != NONE);
        let waiting: Vec<bool> = self.nodes.iter().map(|node| self.waits(*node, bucket)).collect();
        let gone = self.peel(&waiting);
        self.keep(|place| !gone[place as usize]);
        if self.nodes.is_empty() {
            return;
        }
        let anything_waits = self.nodes.iter().any(|node| self.waits(*node, bucket));
        if anything_waits && self.nodes.len() < self.edges.grain.kept_min.max(2 * self.kept_at_last) {
            return;
        }
        let unsettled = self.components(bucket);
        self.keep(|place| unsettled[place as usize]);
        self.kept_at_last = self.nodes.len();
    }

    /// Keeps the nodes at some places, and the edges among them.
    fn keep(&mut self, kept: impl Fn(u32) -> bool) {
        let mut place = 0;
        let local = &mut self.local;
        self.nodes.retain(|node| {
            let keep = kept(place);
            place += 1;
            if !keep {
                local[*node as usize] = NONE;
            }
            keep
        });
        for (place, node) in self.nodes.iter().enumerate() {
            self.local[*node as usize] = place as u32;
        }
        let local = &self.local;
        self.links.retain(|(from, to)| local[*from as usize] != NONE && local[*to as usize] != NONE);
    }

    /// Removes, one after the other, the nodes that nothing left leads to (Kahn 1962).
    fn peel(&self, waiting: &[bool]) -> Vec<bool> {
        let rows =
            Rows::new(self.nodes.len(), self.links.iter().map(|(from, to)| (self.place(*from), self.place(*to))));
        let mut left = vec![0_u32; self.nodes.len()];
        rows.targets.iter().for_each(|to| left[*to as usize] += 1);
        let mut time = Time::new(self);
        for (place, waits) in waiting.iter().enumerate() {
            left[place] += u32::from(*waits) + u32::from(time.holds(place));
        }
        let mut gone = vec![false; self.nodes.len()];
        let mut ready: Vec<u32> = (0..self.nodes.len() as u32).filter(|place| left[*place as usize] == 0).collect();
        loop {
            while let Some(place) = ready.pop() {
                gone[place as usize] = true;
                for to in rows.of(place) {
                    let left = &mut left[*to as usize];
                    *left -= 1;
                    if *left == 0 {
                        ready.push(*to);
                    }
                }
            }
            time.release(&gone, |place| {
                let left = &mut left[place as usize];
                *left -= 1;
                if *left == 0 {
                    ready.push(place);
                }
            });
            if ready.is_empty() {
                return gone;
            }
        }
    }

    fn place(&self, node: u32) -> u32 {
        self.local[node as usize]
    }

    /// Strongly connected components of what is left. Those that nothing unsettled leads to are final: they are kept
    /// if they are cycles. Returns which places remain unsettled.
    fn components(&mut self, bucket: usize) -> Vec<bool> {
        let links = self.links.iter().map(|(from, to)| (self.place(*from), self.place(*to)));
        let (nodes, chain) = self.time_chain();
        let rows = Rows::new(nodes, links.chain(chain));
        let mut order: Vec<u32> = Vec::with_capacity(nodes);
        let mut ends: Vec<usize> = Vec::new();
        Walks::default().components(&rows, 0..nodes as u32, |component| {
            order.extend_from_slice(component);
            ends.push(order.len());
        });
        let mut unsettled = vec![false; nodes];
        for (place, node) in self.nodes.iter().enumerate() {
            unsettled[place] = self.waits(*node, bucket);
        }
        // Components come after those that they lead to: from the last on, each is met before what it leads to.
        for number in (0..ends.len()).rev() {
            let first = if number == 0 { 0 } else { ends[number - 1] };
            let component = &order[first..ends[number]];
            if component.iter().any(|place| unsettled[*place as usize]) {
                for place in component {
                    unsettled[*place as usize] = true;
                    rows.of(*place).iter().for_each(|to| unsettled[*to as usize] = true);
                }
            } else if component.len() > 1 {
                let real = component.iter().filter(|place| (**place as usize) < self.nodes.len());
                self.components.push(real.map(|place| self.nodes[*place as usize]).collect());
            }
        }
        unsettled
    }

    /// Real time as edges: one more node for each completion, chained. Returns the number of nodes and these edges.
    fn time_chain(&self) -> (usize, Vec<(u32, u32)>) {
        let nodes = self.nodes.len();
        if self.order != Order::Realtime {
            return (nodes, Vec::new());
        }
        let time = Time::new(self);
        let mut chain = Vec::with_capacity(time.completions.len() * 2 + nodes);
        for (number, (_, place)) in time.completions.iter().enumerate() {
            let helper = (nodes + number) as u32;
            chain.push((*place, helper));
            if number > 0 {
                chain.push((helper - 1, helper));
            }
        }
        let mut completed = 0;
        for (place, invoke) in time.invokes.iter().enumerate() {
            while time.completions.get(completed).is_some_and(|(end, _)| end < invoke) {
                completed += 1;
            }
            if completed > 0 {
                chain.push(((nodes + completed - 1) as u32, place as u32));
            }
        }
        (nodes + time.completions.len(), chain)
    }
}

/// The order in real time of what is not settled.
struct Time {
    /// (completion, place) of `ok` transactions, ascending. Empty where real time does not count.
    completions: Vec<(u32, u32)>,
    /// Invocation by place; transactions come first, in order of invocation. Empty where real time does not count.
    invokes: Vec<u32>,
    /// The first completion that has not gone, and the first place that it holds.
    first: usize,
    held: usize,
}

impl Time {
    fn new(sweep: &Sweep<'_>) -> Self {
        let mut time = Self { completions: Vec::new(), invokes: Vec::new(), first: 0, held: 0 };
        if sweep.order != Order::Realtime {
            return time;
        }
        let txns = sweep.edges.txns;
        for (place, node) in sweep.nodes.iter().enumerate().filter(|(_, node)| sweep.edges.is_txn(**node)) {
            time.invokes.push(txns.invoke(*node));
            if txns.outcome(*node) == Outcome::Ok {
                time.completions.push((txns.end(*node), place as u32));
            }
        }
        time.completions.sort_unstable();
        time.advance(|_| false);
        time
    }

    /// Whether a node waits for a completion.
    fn holds(&self, place: usize) -> bool {
        place >= self.held && place < self.invokes.len()
    }

    /// Moves past what nothing holds any more; returns the places in between.
    fn advance(&mut self, gone: impl Fn(u32) -> bool) -> std::ops::Range<usize> {
        while self.completions.get(self.first).is_some_and(|(_, place)| gone(*place)) {
            self.first += 1;
        }
        let end = self.completions.get(self.first).map_or(NONE, |(end, _)| *end);
        let before = self.held;
        while self.invokes.get(self.held).is_some_and(|invoke| *invoke <= end) {
            self.held += 1;
        }
        before..self.held
    }

    /// Tells of every node that need not wait any more.
    fn release(&mut self, gone: &[bool], mut each: impl FnMut(u32)) {
        for place in self.advance(|place| gone[place as usize]) {
            each(place as u32);
        }
    }
}

/// Edges in compressed rows.
struct Rows {
    start: Vec<u32>,
    targets: Vec<u32>,
}

impl Rows {
    fn new(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut start = vec![0_u32; nodes + 1];
        edges.clone().for_each(|(from, _)| start[from as usize + 1] += 1);
        for node in 0..nodes {
            start[node + 1] += start[node];
        }
        let mut targets = vec![0_u32; start[nodes] as usize];
        let mut next = start.clone();
        for (from, to) in edges {
            let slot = &mut next[from as usize];
            targets[*slot as usize] = to;
            *slot += 1;
        }
        Self { start, targets }
    }

    fn of(&self, node: u32) -> &[u32] {
        &self.targets[self.start[node as usize] as usize..self.start[node as usize + 1] as usize]
    }
}

impl View for Rows {
    fn nodes(&self) -> usize {
        self.start.len() - 1
    }

    fn edges(&self, node: u32) -> std::ops::Range<u32> {
        self.start[node as usize]..self.start[node as usize + 1]
    }

    fn follow(&self, _: u32, edge: u32) -> Option<u32> {
        Some(self.targets[edge as usize])
    }

    fn costs(&self, _: u32) -> bool {
        true
    }
}
