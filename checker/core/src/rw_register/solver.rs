//! Version orders where nothing simpler finds them: one order of all writes is guessed and put to the test, and only the
//! transactions that it puts on cycles are searched for a better one.
//!
//! **Rounds.** All versions of each key are ordered by a guess (the places of their writers in [`super::witness`]), which
//! makes the dependencies complete. If they contain no cycle that the model proscribes, the guess is the witness. Else
//! each strongly connected component is a problem by itself ([`local`]): which orders of the versions that its
//! transactions wrote leave it without such a cycle? If there are none, the history is invalid, since all edges of the
//! problem hold in the whole history as well. If there is one, it takes the place of the guess. The versions of one key
//! in one component stand next to each other in the guess (whatever stands between two of them lies on a cycle with
//! them), so nothing else moves. Transactions outside of the component, such as its readers, may now lie on cycles with it,
//! so the test is made again; components that meet a problem solved before are joined with it, and a problem that comes
//! again as it was grows by the writers of what its transactions read. Problems only grow, so the rounds end.
//!
//! **A problem** ([`search`]). An order of two versions that closes a cycle with what is known forces the other one; this
//! is repeated until nothing more is forced. What is left goes to a SAT solver with one variable for each open pair and
//! the theory that the chosen edges close no cycle ([`acyclic`]).
//!
//! For snapshot isolation a cycle counts only if no two rw steps follow each other in it: nodes are doubled, one half is
//! entered by rw edges, and left by others only.

mod acyclic;
mod local;
mod search;
mod shape;

use super::Options;
use super::index::Index;
use super::judge::{Judged, Need};
use super::keys::KeyFacts;
use super::order::KeyOrder;
use super::raw::Raw;
use super::sources::Sources;
use super::witness::Schedule;
use crate::consistency::Order;
use crate::spill::SpillError;
use crate::transactions::NONE;
use crate::transactions::cyclic_components;
use crate::transactions::dependencies::Dependencies;
use crate::transactions::edges::Edges;
use crate::verdict::Reason;
use local::{Ground, Label, Local, LocalEdge};
use search::{Answer, Forced};
use shape::{Shape, Shaped};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A question about open version orders.
pub(super) struct Question<'i> {
    pub(super) index: &'i Index,
    pub(super) sources: &'i Sources,
    pub(super) facts: &'i KeyFacts,
    pub(super) order: Order,
    pub(super) need: Need,
    pub(super) options: &'i Options,
}

/// Looks for an order of all versions that satisfies the model, and adds what comes of it to the answer.
pub(super) fn decide(
    question: &Question<'_>,
    schedule: Schedule,
    found: &mut Vec<Raw>,
    judged: &mut Judged,
) -> Result<(), SpillError> {
    let columns = &question.index.columns;
    let rank = (0..columns.len()).map(|mop| schedule.place[columns.txn(mop) as usize]).collect();
    let Question { index, sources, facts, order, .. } = *question;
    let choices_max = question.options.solver_steps_max;
    let mut ground = Ground { index, facts, sources, order, rank, place: schedule.place, choices_max };
    let Some(shape) = shape_of(question.need) else { return Ok(()) };
    let mut solved = Solved::new(&ground.place);
    let (mut rounds, mut problems_met, mut largest) = (0_u64, 0_u64, 0);
    loop {
        rounds += 1;
        let Some(sets) = solved.join(index, bad_sets(&ground, shape)?) else {
            let text = "an order that solves each set of transactions by itself does not solve them together";
            judged.doubt = Some(Reason::new("VERSION_ORDER_UNKNOWN", text));
            return Ok(());
        };
        if sets.is_empty() {
            judged.settled = Some((question.need, order));
            let _ = write!(
                judged.method,
                "; an order of all versions that the model allows is the witness ({problems_met} sets of up to {largest} \
                 transactions solved in {} rounds)",
                rounds - 1,
            );
            return Ok(());
        }
        let problems = ground.problems(&sets);
        for (set, problem) in sets.iter().zip(&problems) {
            problems_met += 1;
            largest = largest.max(set.len());
            let mut steps = 0;
            let answer = if problem.too_many {
                Answer::Spent
            } else {
                search::solve(problem, shape, question.options.solver_steps_max, &mut steps)
            };
            match answer {
                Answer::Order(places) => settle(&mut ground.rank, problem, &places),
                Answer::Impossible(_) => {
                    found.push(no_order(question, problem, shape));
                    return Ok(());
                }
                Answer::Spent => judged.doubt = judged.doubt.take().or_else(|| Some(spent(question, problem, steps))),
            }
        }
        if judged.doubt.is_some() {
            return Ok(());
        }
    }
}

/// All dependencies under the guess.
fn complete(ground: &Ground<'_>) -> Dependencies {
    let mut all = ground.facts.dependencies.clone();
    let mut key_order = KeyOrder::default();
    let mut ranked: Vec<(u32, u32)> = Vec::new();
    for key in 0..ground.index.columns.keys.len() as u32 {
        key_order.load(ground.index, key);
        ranked.clear();
        for mop in ground.index.columns.of_key(key).iter().map(|mop| *mop as usize) {
            let version = ground.index.version(mop);
            if ground.index.columns.is_write(mop) && version != NONE {
                ranked.push((ground.rank[mop], version));
            }
        }
        ranked.sort_unstable();
        let mut before = 0;
        for (_, version) in &ranked {
            let writer = key_order.writer[*version as usize];
            if before != 0 {
                all.ww.push((key_order.writer[before as usize], writer));
            }
            let readers = key_order.readers(before).iter().filter(|reader| **reader != writer);
            all.rw.extend(readers.map(|reader| (*reader, writer)));
            before = *version;
        }
    }
    all
}

/// The cycles that a model proscribes, if any hang on version orders.
fn shape_of(need: Need) -> Option<Shape> {
    match need {
        Need::Nothing => None,
        Need::Prefix => Some(Shape::Prefix),
        Need::Single => Some(Shape::Single),
        Need::Snapshot => Some(Shape::Snapshot),
        Need::Serial => Some(Shape::Serial),
    }
}

/// The transactions that the guess puts on cycles that count, those of one cycle in one set.
fn bad_sets(ground: &Ground<'_>, shape: Shape) -> Result<Vec<Vec<u32>>, SpillError> {
    let all = complete(ground);
    let mut edges = Edges::new(&ground.index.columns.txns, false);
    let labelled = [(all.ww.clone(), Label::Ww), (all.wr.clone(), Label::Wr), (all.rw.clone(), Label::Rw)];
    edges.add(all);
    let components = cyclic_components(&edges, ground.order)?;
    drop(edges);
    if shape == Shape::Serial || components.is_empty() {
        return Ok(components);
    }
    // Not every cycle counts, so that a component may have none of those, or a few that are far from each other.
    let problems = ground.problems(&components);
    let mut at = vec![(NONE, NONE); ground.index.columns.txns.len()];
    for (number, problem) in problems.iter().enumerate() {
        for (node, txn) in problem.txns.iter().enumerate() {
            at[*txn as usize] = (number as u32, node as u32);
        }
    }
    let mut bad: Vec<Bad> = problems.iter().map(|problem| Bad::new(shape, problem)).collect();
    // Edges with rw come last: what they would close is then there already.
    for is_rw in [false, true] {
        for (problem, bad) in problems.iter().zip(&mut bad) {
            let known = problem.known.iter().filter(|edge| (edge.label == Label::Rw) == is_rw);
            known.for_each(|edge| bad.add(*edge));
        }
        for (edges, label) in labelled.iter().filter(|(_, label)| (*label == Label::Rw) == is_rw) {
            for (from, to) in edges {
                let (from, to) = (at[*from as usize], at[*to as usize]);
                if from.0 != NONE && from.0 == to.0 {
                    bad[from.0 as usize].add(LocalEdge { from: from.1, to: to.1, label: *label });
                }
            }
        }
    }
    Ok(bad.iter().zip(&problems).flat_map(|(bad, problem)| bad.sets(problem)).collect())
}

/// Transactions of one component that lie on cycles which count.
struct Bad {
    graph: Shaped,
    /// For each node another one of its set, or itself; `NONE` for those on no cycle.
    joined: Vec<u32>,
}

impl Bad {
    fn new(shape: Shape, problem: &Local) -> Self {
        Self { graph: Shaped::new(shape, problem.nodes), joined: vec![NONE; problem.nodes as usize] }
    }

    /// Adds an edge, unless it closes a cycle: then the cycle is one set, with all those that it meets.
    fn add(&mut self, edge: LocalEdge) {
        let Err(closed) = self.graph.add(edge, 0) else { return };
        let cycle = self.graph.shape.cycle(&closed);
        let first = self.root(cycle[0]);
        for node in cycle {
            let root = self.root(node);
            self.joined[root as usize] = first;
        }
    }

    /// The node that stands for the set of one.
    fn root(&mut self, node: u32) -> u32 {
        let mut root = node;
        while ![NONE, root].contains(&self.joined[root as usize]) {
            let next = self.joined[root as usize];
            let after = self.joined[next as usize];
            self.joined[root as usize] = after;
            root = next;
        }
        self.joined[root as usize] = root;
        root
    }

    fn sets(&self, problem: &Local) -> Vec<Vec<u32>> {
        let mut of_root: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (node, txn) in (0..).zip(&problem.txns) {
            let mut root: u32 = node;
            if self.joined[root as usize] == NONE {
                continue;
            }
            while self.joined[root as usize] != root {
                root = self.joined[root as usize];
            }
            of_root.entry(root).or_default().push(*txn);
        }
        of_root.into_values().collect()
    }
}

/// Takes an order over into the guess: the writes of each key trade their places.
fn settle(rank: &mut [u32], problem: &Local, places: &[u32]) {
    for writes in problem.writes.chunk_by(|a, b| a.0 == b.0) {
        let mut free: Vec<u32> = writes.iter().map(|(_, mop, _)| rank[*mop as usize]).collect();
        free.sort_unstable();
        let mut ordered: Vec<(u32, u32)> = writes.iter().map(|(_, mop, node)| (places[*node as usize], *mop)).collect();
        ordered.sort_unstable();
        for ((_, mop), place) in ordered.into_iter().zip(free) {
            rank[mop as usize] = place;
        }
    }
}

/// Sets of transactions that were problems before.
struct Solved {
    set_of: Vec<u32>,
    sets: Vec<Vec<u32>>,
    /// Place of each transaction in the guess, and the transactions by place.
    place: Vec<u32>,
    by_place: Vec<u32>,
}

impl Solved {
    fn new(place: &[u32]) -> Self {
        let mut by_place: Vec<u32> = (0..place.len() as u32).filter(|txn| place[*txn as usize] != NONE).collect();
        by_place.sort_unstable_by_key(|txn| place[*txn as usize]);
        Self { set_of: vec![NONE; place.len()], sets: Vec::new(), place: place.to_vec(), by_place }
    }

    /// All transactions among which a set stands, unless these are many more.
    fn surroundings(&self, set: &[u32]) -> &[u32] {
        let places = || set.iter().map(|txn| self.place[*txn as usize] as usize);
        let (Some(first), Some(last)) = (places().min(), places().max()) else { return &[] };
        let window = self.by_place.get(first..=last).unwrap_or(&[]);
        if window.len() <= 4 * set.len() + 64 { window } else { &[] }
    }

    /// Joins components with the sets that they meet, and with each other where they meet the same. A set that was solved
    /// before as it is lacks who wrote something that it read: `None` if it lacks nothing.
    fn join(&mut self, index: &Index, components: Vec<Vec<u32>>) -> Option<Vec<Vec<u32>>> {
        let mut fresh: Vec<u32> = Vec::new();
        for component in components {
            let known = self.set_of[component[0] as usize];
            let repeated = known != NONE && component.iter().all(|txn| self.set_of[*txn as usize] == known);
            let mut set = component;
            if repeated && !fresh.contains(&known) {
                set = self.sets[known as usize].clone();
                let lacking = lacking(index, &set);
                if lacking.is_empty() {
                    return None;
                }
                set.extend(lacking);
            }
            if set.iter().any(|txn| self.set_of[*txn as usize] != NONE) {
                // What was solved before and comes again is better solved together with what surrounds it.
                set.extend_from_slice(self.surroundings(&set));
            }
            let mut met: Vec<u32> = set.iter().map(|txn| self.set_of[*txn as usize]).collect();
            met.sort_unstable();
            met.dedup();
            for old in met.into_iter().filter(|old| *old != NONE) {
                set.append(&mut self.sets[old as usize]);
            }
            set.sort_unstable();
            set.dedup();
            let number = self.sets.len() as u32;
            set.iter().for_each(|txn| self.set_of[*txn as usize] = number);
            self.sets.push(set);
            fresh.push(number);
        }
        let sets = fresh.into_iter().map(|number| self.sets[number as usize].clone());
        Some(sets.filter(|set| !set.is_empty()).collect())
    }
}

/// Who wrote what a set of transactions read, of the keys that it writes itself, and is not part of it.
fn lacking(index: &Index, set: &[u32]) -> Vec<u32> {
    let columns = &index.columns;
    let external = || {
        let mops = set.iter().flat_map(|txn| columns.mops(*txn));
        mops.filter(|mop| columns.is_external(*mop) && index.version(*mop) != NONE)
    };
    let mut written: Vec<u32> = external().filter(|mop| columns.is_write(*mop)).map(|mop| columns.key(mop)).collect();
    written.sort_unstable();
    written.dedup();
    let read = external().filter(|mop| !columns.is_write(*mop) && index.version(*mop) != 0);
    let read = read.filter(|mop| written.binary_search(&columns.key(*mop)).is_ok());
    let mut writers: Vec<u32> = read.map(|mop| columns.txn(index.write_of(mop) as usize)).collect();
    writers.sort_unstable();
    writers.dedup();
    writers.retain(|writer| set.binary_search(writer).is_err());
    writers
}

fn spent(question: &Question<'_>, problem: &Local, steps: u64) -> Reason {
    let ids = |txn: &u32| question.index.columns.txns.op_id(*txn).to_string();
    let mut txns = problem.txns.clone();
    txns.sort_unstable();
    let shown: Vec<String> = txns.iter().take(5).map(ids).collect();
    let more = if txns.len() > 5 { format!(" and {} more", txns.len() - 5) } else { String::new() };
    let looked =
        if problem.too_many { "more than".to_owned() } else { format!("{} and {steps} of", problem.choices.len()) };
    let text = format!(
        "the order of the writes of {} transactions is open, and the search was given up: pairs of writes and steps \
         {looked} {} allowed; operations {}{more}",
        txns.len(),
        question.options.solver_steps_max,
        shown.join(", "),
    );
    Reason::new("BUDGET_SPENT", text)
}

/// The finding for a problem without solution, made as small as the steps allow.
fn no_order(question: &Question<'_>, problem: &Local, shape: Shape) -> Raw {
    let (smallest, forced) = search::minimise(problem, shape, question.options.solver_steps_max);
    let mut txns = smallest.txns.clone();
    txns.sort_unstable();
    let called = |node: &u32| {
        let txn = problem.txns.get(*node as usize)?;
        txns.binary_search(txn).ok().map(|place| format!("T{}", place + 1))
    };
    let columns = &question.index.columns;
    let sentence = |forced: &Forced| {
        let choice = smallest.choices.get(forced.choice)?;
        let (first, second) = (choice.values[forced.side], choice.values[1 - forced.side]);
        let mut cycle: Vec<String> = forced.otherwise.iter().filter_map(called).collect();
        cycle.extend(cycle.first().cloned());
        let key = columns.keys[choice.key as usize];
        Some(format!("key {key}: {first} before {second}, since the other order closes {}", cycle.join(" < ")))
    };
    let mut keys: Vec<i64> = smallest.choices.iter().map(|choice| columns.keys[choice.key as usize]).collect();
    keys.sort_unstable();
    keys.dedup();
    let name = match (question.need, question.order) {
        (Need::Serial, Order::Data) => "PL-2.99-cycle-exists",
        (Need::Serial, Order::Process) => "strong-session-PL-3-cycle-exists",
        (Need::Serial, Order::Realtime) => "PL-SS-cycle-exists",
        (Need::Single, _) => "PL-2+-cycle-exists",
        (Need::Prefix, _) => "prefix-cycle-exists",
        (_, Order::Data) => "PL-SI-cycle-exists",
        (_, Order::Process) => "strong-session-PL-SI-cycle-exists",
        (_, Order::Realtime) => "strong-PL-SI-cycle-exists",
    };
    let forced = forced.iter().filter_map(sentence).collect();
    Raw::NoOrder { name, txns, keys, forced }
}
