//! From the keys to the answer: cycles where version orders are known, a search where they are open.
//!
//! Version orders that the model implies are used together with those that are known or assumed. A cycle that needs them
//! contradicts the model, but says nothing about weaker ones: it is named after the order that the model relies on, and a
//! cycle that does without is told beside it.

use super::Options;
use super::forward;
use super::index::{Index, Visited};
use super::keys;
use super::raw::Raw;
use super::sessions::{self, Sessions};
use super::solver::{self, Question};
use super::sources::{self, Sources};
use super::weak::{self, Depth, Rule, Weak};
use super::witness::steps::Steps;
use super::witness::{self, Stuck};
use crate::consistency::{Model, Order, implied_anomalies};
use crate::spill::SpillError;
use crate::transactions::cycles::{Cycle, Kind, SINGLE, Step};
use crate::transactions::dependencies::Dependencies;
use crate::transactions::edges::Edges;
use crate::transactions::find_cycles_and_members;
use crate::transactions::graph::{RW, WR, WW};
use crate::transactions::visibility::prefix;
use crate::verdict::Reason;
use std::collections::BTreeSet;

/// A cycle under the name that it deserves.
#[derive(Debug)]
pub(super) struct NamedCycle {
    pub(super) kind: Kind,
    pub(super) cycle: Cycle,
}

/// The answer, apart from the anomalies of single keys.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) cycles: Vec<NamedCycle>,
    /// Cycles in which every rw step follows a wr step, and their names.
    pub(super) prefix: Vec<(&'static str, Cycle)>,
    /// What contradicts levels that need no version order: by rule, and with or without the order in processes.
    pub(super) weak: Vec<(Rule, bool, Weak)>,
    /// Why a history without proscribed anomaly is not certainly valid.
    pub(super) doubt: Option<Reason>,
    /// What some order of all versions satisfies, short of the anomalies that were found, and with which order of the
    /// history.
    pub(super) settled: Option<(Need, Order)>,
    /// Whether that order of the versions is the one that the order of the history asks for, and closes cycles by it: then
    /// models that do not rely on the order of the history may have another one.
    pub(super) is_bound: bool,
    /// What is known of the guarantees of processes; nothing where the model does not rely on processes.
    pub(super) sessions: Sessions,
    /// How version orders were found, for the evidence; begins with `; ` unless it is empty.
    pub(super) method: String,
    /// Dependencies that were looked at.
    pub(super) edges: usize,
}

/// What a model proscribes of the cycles that hang on version orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// No cycle with an rw step: version orders need not be known. Whatever the order of reads from writers and of
    /// the history is, versions can follow it without closing a cycle of ww and wr.
    Nothing,
    /// Cycles in which every rw step follows a wr step.
    Prefix,
    /// Cycles with one rw step.
    Single,
    /// Cycles without neighbouring rw steps.
    Snapshot,
    /// All cycles.
    Serial,
}

impl Need {
    /// What a model needs to know.
    pub(crate) fn of(model: Model) -> Self {
        let proscribes =
            |base: &str| ["", "-process", "-realtime"].iter().any(|order| model.proscribes(&format!("{base}{order}")));
        if proscribes("G2-item") {
            Need::Serial
        } else if proscribes("G-nonadjacent-item") {
            Need::Snapshot
        } else if proscribes("G-single-item") {
            Need::Single
        } else if model.proscribes("prefix-violation") {
            Need::Prefix
        } else {
            Need::Nothing
        }
    }

    /// Whether an order of versions without the cycles of `other` has none of these either.
    pub(crate) fn is_within(self, other: Self) -> bool {
        let strength = |need: Self| match need {
            Need::Nothing => 0,
            Need::Prefix | Need::Single => 1,
            Need::Snapshot => 2,
            Need::Serial => 3,
        };
        self == other || strength(self) < strength(other)
    }
}

/// The answer for a history in which nothing contradicts the levels that need no order of versions, if that is all that is
/// asked and can be seen at once ([`forward`]): the same as that of [`judge`]. Else an order for it, if there is one.
pub(super) fn at_once(
    index: &Index,
    sources: &Sources,
    order: Order,
    found: &[Raw],
    begun: Visited<forward::Part>,
) -> Result<Judged, Option<Vec<u32>>> {
    let is_plain = found.is_empty() && sources.all() == sources::RMW;
    if is_plain { forward::prove(index, order, begun) } else { Err(None) }
}

/// Whether no order of versions is asked for, so that [`at_once`] may give the answer.
pub(super) fn is_weak(model: Model, order: Order) -> bool {
    Need::of(model) == Need::Nothing && order != Order::Realtime
}

/// Finds the cycles, and, where version orders are open, whether some order satisfies the model. `places` are those that
/// [`at_once`] gave.
pub(super) fn judge(
    index: &Index,
    sources: &Sources,
    (order, places): (Order, Option<&[u32]>),
    options: &Options,
    found: &mut Vec<Raw>,
) -> Result<Judged, SpillError> {
    keys::updates(index, found);
    let facts = keys::examine(index, sources, found);
    let need = Need::of(options.model);
    let mut judged = Judged { edges: facts.dependencies.len(), ..Judged::default() };
    judged.tell_open(facts.open_keys, index.columns.keys.len() as u64, order);
    let is_open = facts.open_keys > 0 && need != Need::Nothing;
    // Where something contradicts the model, as many places are stuck; one is enough to look for it.
    let may_be_serial = is_open && !facts.has_torn_reads;
    if may_be_serial && witness::schedule(&Steps::of(index, &facts), order, Stuck::Stop).forced == 0 {
        judged.take_witness(order);
        return Ok(judged);
    }
    let WeakLevels { broken, told, is_causal } = weak_levels(index, order, places)?;
    judged.weak = broken;
    if order != Order::Data {
        // Causality with the order in processes has all guarantees of processes in it, unless assumptions contradict them.
        let told = is_causal && sources.assumed == 0;
        judged.sessions = if told { Sessions::all() } else { sessions::examine(index, sources, found) };
    }
    let mut edges = Edges::new(&index.columns.txns, order == Order::Realtime);
    edges.add(facts.dependencies.clone());
    let (cycles, suspects) = find_cycles_and_members(&edges, order)?;
    drop(edges);
    if !cycles.is_empty() {
        let basis = Basis { index, sources, order };
        basis.name_cycles(&facts.dependencies, cycles, &suspects, &told, &mut judged)?;
    }
    let proscribed = options.model.proscribed();
    let weak = judged.weak.iter().map(|(rule, processes, _)| weak::name(*rule, *processes));
    let cycles = judged.cycles.iter().map(|named| named.kind.name());
    let prefix = judged.prefix.iter().map(|(name, _)| *name);
    let names = found.iter().map(Raw::name).chain(cycles).chain(prefix).chain(weak);
    let refuted = names.into_iter().any(|name| proscribed.contains(name));
    if refuted || !is_open {
        return Ok(judged);
    }
    let schedule = witness::schedule(&Steps::of(index, &facts), order, Stuck::Force);
    let question = Question { index, sources, facts: &facts, order, need, options };
    solver::decide(&question, schedule, found, &mut judged)?;
    Ok(judged)
}

/// What the levels without version orders showed.
#[derive(Default)]
struct WeakLevels {
    /// As in [`Judged::weak`], the weakest rule first.
    broken: Vec<(Rule, bool, Weak)>,
    /// Whoever was told of a contradiction.
    told: BTreeSet<u32>,
    /// Whether the strongest rule is kept.
    is_causal: bool,
}

impl WeakLevels {
    /// Tells contradictions to a rule, each reader those to the weakest one only.
    fn add(&mut self, rule: Rule, processes: bool, mut weak: Weak) {
        let Weak { cycles, shown, .. } = &mut weak;
        cycles.retain(|cycle| !weak::readers(cycle, shown).any(|reader| self.told.contains(&reader)));
        self.told.extend(weak.cycles.iter().flat_map(|cycle| weak::readers(cycle, &weak.shown)));
        if !weak.cycles.is_empty() {
            self.broken.push((rule, processes, weak));
        }
    }
}

/// Asks for all rules; the order in processes counts only where the model relies on it.
fn weak_levels(index: &Index, order: Order, places: Option<&[u32]>) -> Result<WeakLevels, SpillError> {
    let processes = order != Order::Data;
    let mut levels = WeakLevels::default();
    // What is direct is found quickly, and contradicts causality as well.
    for rule in [Rule::Monotonic, Rule::Atomic] {
        levels.add(rule, false, weak::examine(index, rule, false, places, Depth::All)?);
    }
    // Once something is found, what else there is can be told as far as it is near.
    let depth = if levels.broken.is_empty() { Depth::All } else { Depth::Direct };
    let strongest = weak::examine(index, Rule::Causal, processes, places, depth)?;
    if strongest.cycles.is_empty() && !strongest.contradictory {
        levels.is_causal = levels.broken.is_empty();
        return Ok(levels);
    }
    if processes {
        levels.add(Rule::Causal, false, weak::examine(index, Rule::Causal, false, places, depth)?);
    }
    levels.add(Rule::Causal, processes, strongest);
    Ok(levels)
}

/// What cycles rest on.
struct Basis<'i> {
    index: &'i Index,
    sources: &'i Sources,
    order: Order,
}

impl Basis<'_> {
    /// Cycles that need version orders which only the model implies are named after its order. What is found without
    /// these orders is told first.
    fn name_cycles(
        &self,
        dependencies: &Dependencies,
        cycles: Vec<Cycle>,
        suspects: &[u32],
        told: &BTreeSet<u32>,
        judged: &mut Judged,
    ) -> Result<(), SpillError> {
        if self.sources.implied & !self.sources.assumed == 0 {
            judged.take(cycles, dependencies, suspects, told);
            return Ok(());
        }
        let certain = Sources { implied: 0, ..self.sources.clone() };
        let dependencies = keys::examine(self.index, &certain, &mut Vec::new()).dependencies;
        let known = Known::new(&dependencies);
        let rests_on_implied = |cycle: &Cycle| cycle.steps.iter().any(|step| !known.has(step));
        let implied: Vec<Cycle> = cycles.into_iter().filter(rests_on_implied).collect();
        drop(known);
        let mut edges = Edges::new(&self.index.columns.txns, self.order == Order::Realtime);
        edges.add(dependencies.clone());
        let (cycles, suspects) = find_cycles_and_members(&edges, self.order)?;
        drop(edges);
        judged.take(cycles, &dependencies, &suspects, told);
        judged.add_implied(implied, if self.order == Order::Realtime { 2 } else { 1 });
        Ok(())
    }
}

impl Judged {
    /// There is a serial order that explains every read, and keeps an order of the history.
    pub(super) fn take_witness(&mut self, order: Order) {
        self.settled = Some((Need::Serial, order));
        self.method.push_str("; a serial order that explains every read is the witness");
        if order != Order::Data {
            self.sessions = Sessions::all();
        }
    }

    /// Takes over what was found among dependencies that are certain. Some readers were told of worse already.
    pub(super) fn take(
        &mut self,
        cycles: Vec<Cycle>,
        dependencies: &Dependencies,
        suspects: &[u32],
        told: &BTreeSet<u32>,
    ) {
        // A prefix violation is a cycle of data alone.
        if cycles.iter().any(|cycle| cycle.kind.level == 0) {
            let breaches = prefix::of_dependencies(dependencies, suspects, |reader| told.contains(&reader));
            self.prefix = breaches.into_iter().map(|breach| (breach.name, breach.cycle())).collect();
        }
        self.cycles = cycles.into_iter().map(|cycle| NamedCycle { kind: cycle.kind, cycle }).collect();
    }

    /// Adds cycles that need an order of the history to be cycles, unless those that are known say as much.
    pub(super) fn add_implied(&mut self, cycles: Vec<Cycle>, level: u8) {
        self.is_bound = !cycles.is_empty();
        let on = |named: &NamedCycle| -> Vec<(u32, Kind)> {
            named.cycle.steps.iter().map(|step| (step.from, named.kind)).collect()
        };
        let mut by_txn: Vec<(u32, Kind)> = self.cycles.iter().flat_map(on).collect();
        by_txn.sort_unstable();
        for cycle in cycles {
            // The other order of two versions that processes or real time put in this one closes a cycle with an rw step.
            let kind = Kind { level, base: cycle.kind.base.max(SINGLE) };
            let says_as_much = |(_, other): &(u32, Kind)| implied_anomalies(other.name()).contains(kind.name());
            let meets = |step: &Step| {
                let first = by_txn.partition_point(|entry| entry.0 < step.from);
                by_txn[first..].iter().take_while(|entry| entry.0 == step.from).any(says_as_much)
            };
            if !cycle.steps.iter().any(meets) {
                self.cycles.push(NamedCycle { kind, cycle });
            }
        }
    }
}

/// Edges that need no order implied by the model.
pub(super) struct Known<'d> {
    sorted: [Vec<(u32, u32)>; 3],
    dependencies: &'d Dependencies,
}

impl<'d> Known<'d> {
    pub(super) fn new(dependencies: &'d Dependencies) -> Self {
        let sorted = [&dependencies.ww, &dependencies.wr, &dependencies.rw].map(|edges| {
            let mut sorted = edges.clone();
            sorted.sort_unstable();
            sorted
        });
        Self { sorted, dependencies }
    }

    pub(super) fn has(&self, step: &Step) -> bool {
        let edge = (step.from, step.to);
        let in_fan = || {
            self.dependencies
                .fans
                .iter()
                .any(|fan| fan.readers.binary_search(&edge.0).is_ok() && fan.appenders.binary_search(&edge.1).is_ok())
        };
        match step.label {
            WW => self.sorted[0].binary_search(&edge).is_ok(),
            WR => self.sorted[1].binary_search(&edge).is_ok(),
            RW => self.sorted[2].binary_search(&edge).is_ok() || in_fan(),
            _ => true,
        }
    }
}
