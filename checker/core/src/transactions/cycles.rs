//! Cycles: which kinds there are, and a short one of each kind in each component.
//!
//! Levels: data alone, then with process order, then with real-time order. At each level every strongly connected
//! component is searched for the base kinds from G0 to G2-item; a kind is skipped where one that implies it was found
//! within the component. Under that rule each search asks a question that is linear, or nearly so:
//!
//! * G0 and G1c: a cycle in the ww (ww and wr) edges is a nontrivial component of them;
//! * G-single-item: an rw edge whose target leads back to its source without rw ([`super::single`]);
//! * G-nonadjacent-item: a component of the graph doubled by "entered by rw" ([`super::nonadjacent`]);
//! * G2-item: any rw edge within the component lies on a cycle, and by now all other kinds are excluded.
//!
//! "Linear" holds for the answers. Shortness is sought within a budget of work that is a multiple of the component.
//! Every cycle is named by what it is, not by the question that led to it.

use super::edges::Edges;
use super::graph::{Graph, PROCESS, REALTIME, RW, WW};
use super::scc::{Plain, View, Walks, strongest};
use super::sweep::Parts;
use super::txns::{NONE, Txns};
use crate::consistency::implied_anomalies;
use rustc_hash::FxHashMap;

/// What is searched for: a base kind at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// 0: data, 1: with process order, 2: with real-time order.
    pub(crate) level: u8,
    /// Base kind: place in [`G0`] … [`G2`].
    pub(crate) base: u8,
}

pub(crate) const G0: u8 = 0;
pub(crate) const G1C: u8 = 1;
pub(crate) const SINGLE: u8 = 2;
pub(crate) const NONADJACENT: u8 = 3;
pub(crate) const G2: u8 = 4;

const NAMES: [[&str; 5]; 3] = [
    ["G0", "G1c", "G-single-item", "G-nonadjacent-item", "G2-item"],
    ["G0-process", "G1c-process", "G-single-item-process", "G-nonadjacent-item-process", "G2-item-process"],
    ["G0-realtime", "G1c-realtime", "G-single-item-realtime", "G-nonadjacent-item-realtime", "G2-item-realtime"],
];

impl Kind {
    /// The anomaly's name.
    pub(crate) fn name(self) -> &'static str {
        NAMES[self.level as usize][self.base as usize]
    }

    /// The anomaly's name where the cycle needs a dependency over a predicate.
    pub(crate) fn predicate_name(self) -> &'static str {
        const PREDICATE_NAMES: [[&str; 5]; 3] = [
            ["G0", "G1c", "G-single", "G-nonadjacent", "G2"],
            ["G0-process", "G1c-process", "G-single-process", "G-nonadjacent-process", "G2-process"],
            ["G0-realtime", "G1c-realtime", "G-single-realtime", "G-nonadjacent-realtime", "G2-realtime"],
        ];
        PREDICATE_NAMES[self.level as usize][self.base as usize]
    }

    fn bit(self) -> u16 {
        1 << (self.level * 5 + self.base)
    }

    fn all() -> impl Iterator<Item = Kind> {
        (0..3).flat_map(|level| (0..5).map(move |base| Kind { level, base }))
    }

    /// The kinds wherever one of which is found this one need not be looked for.
    fn implied_by(self) -> u16 {
        let implies = |other: &Kind| implied_anomalies(other.name()).contains(self.name());
        Kind::all().filter(implies).fold(0, |bits, other| bits | other.bit())
    }

    /// The kind of a simple cycle.
    pub(crate) fn of(steps: &[Step]) -> Kind {
        let has = |label: u8| steps.iter().any(|step| step.label == label);
        let level = if has(REALTIME) { 2 } else { u8::from(has(PROCESS)) };
        let rws = steps.iter().filter(|step| step.label == RW).count();
        let base = match rws {
            0 if steps.iter().all(|step| matches!(step.label, WW | PROCESS | REALTIME)) => G0,
            0 => G1C,
            1 => SINGLE,
            _ if has_adjacent_rw(steps) => G2,
            _ => NONADJACENT,
        };
        Kind { level, base }
    }
}

/// Whether two rw steps follow each other, around the corner too.
pub(crate) fn has_adjacent_rw(steps: &[Step]) -> bool {
    let next = steps.iter().cycle().skip(1);
    steps.iter().zip(next).any(|(step, next)| step.label == RW && next.label == RW)
}

/// One step of a cycle, between nodes that are transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// One label of [`super::graph`].
    pub(crate) label: u8,
}

/// A simple cycle; `from` and `to` of its steps are transactions of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) kind: Kind,
    pub(crate) steps: Vec<Step>,
}

impl Cycle {
    /// What findings of one kind are told by: short ones first, then by the first transaction; different for different
    /// cycles, so that it does not matter which was found first.
    pub(crate) fn rank(&self) -> (usize, Vec<(u32, u8)>) {
        let mut steps: Vec<(u32, u8)> = self.steps.iter().map(|step| (step.from, step.label)).collect();
        let first = (0..steps.len()).min_by_key(|place| steps[*place]).unwrap_or(0);
        steps.rotate_left(first);
        (steps.len(), steps)
    }
}

/// Labels of the steps that a level allows.
fn labels(level: u8, data: u8) -> u8 {
    data | [0, PROCESS, REALTIME][level as usize]
}

/// The state of a search through one graph.
pub(crate) struct Search<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) txns: &'g Txns,
    pub(crate) walks: Walks,
    /// Component of each node at the level of the moment; `NONE` where it is alone.
    pub(crate) component: Vec<u32>,
    /// Kinds found in the component of each node.
    kinds: Vec<u16>,
    /// Numbers for whatever a search divides nodes into; `NONE` between searches. Two for each node.
    pub(crate) marks: Vec<u32>,
    /// For each kind, those that imply it.
    implied_by: Vec<u16>,
    /// The cycles found so far.
    pub(crate) found: Vec<Cycle>,
}

/// Work that shortness is worth: a multiple of the edges of the component, and something for small ones.
pub(crate) fn budget(edges: u64) -> u64 {
    edges * 4 + 20_000
}

impl<'g> Search<'g> {
    pub(crate) fn new(graph: &'g Graph, txns: &'g Txns) -> Self {
        let nodes = graph.nodes();
        Self {
            graph,
            txns,
            walks: Walks::default(),
            component: vec![NONE; nodes],
            kinds: vec![0; nodes],
            marks: vec![NONE; nodes * 2],
            implied_by: Kind::all().map(Kind::implied_by).collect(),
            found: Vec::new(),
        }
    }

    /// The kinds found in the component of each transaction.
    pub(crate) fn kinds_of_txns(&self) -> FxHashMap<u32, u16> {
        let found = |node: &u32| self.kinds[*node as usize] != 0;
        (0..self.graph.txns).filter(found).map(|node| (self.txn(node), self.kinds[node as usize])).collect()
    }

    /// Takes over what another search found.
    pub(crate) fn know(&mut self, kinds: &FxHashMap<u32, u16>) {
        for node in 0..self.graph.txns {
            self.kinds[node as usize] |= kinds.get(&self.txn(node)).copied().unwrap_or(0);
        }
    }

    /// All kinds of cycles at a level; those below it come first.
    pub(crate) fn level(&mut self, level: u8) {
        let view = Plain { graph: self.graph, labels: labels(level, WW | super::graph::WR | RW), within: None };
        let mut members: Vec<u32> = Vec::new();
        let mut ends: Vec<usize> = Vec::new();
        self.walks.components(&view, 0..self.graph.nodes() as u32, |nodes| {
            if nodes.len() > 1 {
                members.extend_from_slice(nodes);
                ends.push(members.len());
            }
        });
        self.component.fill(NONE);
        let mut first = 0;
        for (number, end) in ends.iter().enumerate() {
            for node in &members[first..*end] {
                self.component[*node as usize] = number as u32;
            }
            members[first..*end].sort_unstable();
            first = *end;
        }
        first = 0;
        for (number, end) in ends.iter().enumerate() {
            let nodes = &members[first..*end];
            self.in_component(level, number as u32, nodes);
            // What was found anywhere in a component is known everywhere in it.
            let found = nodes.iter().fold(0, |bits, node| bits | self.kinds[*node as usize]);
            nodes.iter().for_each(|node| self.kinds[*node as usize] |= found);
            first = *end;
        }
    }

    fn in_component(&mut self, level: u8, number: u32, nodes: &[u32]) {
        let data = [WW, WW | super::graph::WR];
        for base in G0..=G2 {
            let found = nodes.iter().fold(0, |bits, node| bits | self.kinds[*node as usize]);
            if found & self.implied_by[(level * 5 + base) as usize] != 0 {
                continue;
            }
            match base {
                G0 | G1C => self.without_rw(labels(level, data[base as usize]), number, nodes),
                SINGLE => self.single(level, labels(level, data[1]), number, nodes),
                NONADJACENT => self.nonadjacent(labels(level, data[1] | RW), number, nodes),
                _ => self.any_rw(labels(level, data[1] | RW), number, nodes),
            }
        }
    }

    /// One cycle in each component of the edges with these labels.
    fn without_rw(&mut self, labels: u8, number: u32, nodes: &[u32]) {
        let component = std::mem::take(&mut self.component);
        let view = Plain { graph: self.graph, labels, within: Some((&component, number)) };
        let mut parts: Vec<Vec<u32>> = Vec::new();
        self.walks.components(&view, nodes.iter().copied(), |part| {
            if part.len() > 1 {
                parts.push(part.to_vec());
            }
        });
        let mut marks = std::mem::take(&mut self.marks);
        for (part_number, part) in parts.iter_mut().enumerate() {
            part.sort_unstable();
            for node in part.iter() {
                marks[*node as usize] = part_number as u32;
            }
            let view = Plain { within: Some((&marks, part_number as u32)), ..view };
            let mut best: Option<Vec<(u32, u32)>> = None;
            let mut work = 0;
            let budget = budget(part.iter().map(|node| self.graph.edges(*node).len() as u64).sum());
            for node in part.iter().filter(|node| self.graph.is_txn(**node)) {
                let limit = best.as_ref().map_or(NONE - 1, |best| self.cost(best) - 1);
                if limit < 2 || (best.is_some() && work > budget) {
                    break;
                }
                best = self.walks.path(&view, *node, *node, limit, &mut work).or(best);
            }
            if let Some(path) = best {
                let steps = self.steps(&path);
                self.record(steps);
            }
        }
        for node in parts.iter().flatten() {
            marks[*node as usize] = NONE;
        }
        self.marks = marks;
        self.component = component;
    }

    /// A cycle through an rw edge of the component.
    fn any_rw(&mut self, labels: u8, number: u32, nodes: &[u32]) {
        let component = std::mem::take(&mut self.component);
        let view = Plain { graph: self.graph, labels, within: Some((&component, number)) };
        let edges = self.rw_edges(&view, nodes);
        let mut best: Option<(u32, Vec<Step>)> = None;
        let mut work = 0;
        let budget = budget(nodes.iter().map(|node| self.graph.edges(*node).len() as u64).sum());
        for (source, edge, target) in edges {
            let limit = best.as_ref().map_or(NONE - 2, |(length, _)| length - 2);
            if limit < 1 || (best.is_some() && work > budget) {
                break;
            }
            if let Some(mut path) = self.walks.path(&view, target, source, limit, &mut work) {
                path.insert(0, (source, edge));
                let steps = self.steps(&path);
                best = Some((steps.len() as u32, steps));
            }
        }
        self.component = component;
        if let Some((_, steps)) = best {
            self.record(steps);
        }
    }

    /// The rw edges that a view lets pass, as (source, edge, target); the target may be a helper.
    pub(crate) fn rw_edges<V: View>(&self, view: &V, nodes: &[u32]) -> Vec<(u32, u32, u32)> {
        let mut found = Vec::new();
        for node in nodes.iter().copied().filter(|node| self.graph.is_txn(*node)) {
            for edge in self.graph.edges(node) {
                if self.graph.label[edge as usize] == RW
                    && let Some(target) = view.follow(node, edge)
                {
                    found.push((node, edge, target));
                }
            }
        }
        found
    }

    /// Number of steps of a path.
    pub(crate) fn cost(&self, path: &[(u32, u32)]) -> u32 {
        path.iter().filter(|(node, _)| self.graph.is_txn(*node)).count() as u32
    }

    /// A closed path as steps between transactions: helpers vanish into the step that enters them.
    pub(crate) fn steps(&self, path: &[(u32, u32)]) -> Vec<Step> {
        let entries: Vec<(u32, u32)> = path.iter().copied().filter(|(node, _)| self.graph.is_txn(*node)).collect();
        let next = entries.iter().cycle().skip(1);
        let step = |((from, edge), (to, _)): (&(u32, u32), &(u32, u32))| Step {
            from: *from,
            to: *to,
            label: strongest(self.graph.label[*edge as usize]),
        };
        entries.iter().zip(next).map(step).collect()
    }

    /// Keeps a simple cycle under the name that it deserves.
    pub(crate) fn record(&mut self, steps: Vec<Step>) {
        let kind = Kind::of(&steps);
        for step in &steps {
            self.kinds[step.from as usize] |= kind.bit();
        }
        let txn = |node: u32| self.graph.txn[node as usize];
        let named = |step: Step| Step { from: txn(step.from), to: txn(step.to), label: step.label };
        self.found.push(Cycle { kind, steps: steps.into_iter().map(named).collect() });
    }

    /// The transaction of a node that is one.
    pub(crate) fn txn(&self, node: u32) -> u32 {
        self.graph.txn[node as usize]
    }
}

/// The cycles of two that direct edges make with real time. Left out where the two ends lie in one component in which
/// a kind was found that implies this one.
pub(crate) fn direct(edges: &Edges<'_>, all: &Parts, kinds: &FxHashMap<u32, u16>) -> Vec<Cycle> {
    let implied_by: Vec<u16> = Kind::all().map(Kind::implied_by).collect();
    let mut of_part: FxHashMap<u32, u16> = FxHashMap::default();
    for (txn, found) in kinds {
        if let Some(part) = all.of(*txn) {
            *of_part.entry(part).or_insert(0) |= found;
        }
    }
    // Of parallel edges the strongest speaks; labels of data ascend from the strongest.
    let mut direct = edges.direct.clone();
    direct.sort_unstable_by_key(|edge| (edge.from(), edge.to(), edge.label()));
    direct.dedup_by_key(|edge| (edge.from(), edge.to()));
    let mut cycles = Vec::new();
    for edge in direct {
        let (from, to) = (edge.from(), edge.to());
        let back = Step { from: to, to: from, label: REALTIME };
        let steps = vec![Step { from, to, label: edge.label() }, back];
        let kind = Kind::of(&steps);
        let found = match (all.of(from), all.of(to)) {
            (Some(one), Some(other)) if one == other => of_part.get(&one).copied().unwrap_or(0),
            _ => 0,
        };
        if found & implied_by[(kind.level * 5 + kind.base) as usize] == 0 {
            cycles.push(Cycle { kind, steps });
        }
    }
    cycles
}
