//! Transactions over objects that are inserted, written, deleted, and read one by one or by predicate.
//!
//! Who reads by predicate reads of *every* object whether it matches: also of those that are not there. So a transaction
//! that inserts a matching object later overwrote what was read, though nobody named the object: a phantom. To see that
//! the checker must know all objects there are: those that the history names. The first operation may say how they began
//! (`init`): if it is `ok`, only inserts, and completed before any other was invoked, what it inserted was there from the
//! beginning.
//!
//! Predicates: `:true`, `[:= v]`, `[:mod m r]`. What was not inserted yet, or was deleted, matches none of them.
//!
//! Dependencies over objects and over predicates are searched for cycles twice: without and with the latter. A cycle
//! that needs one over a predicate carries the name without `-item`: G-single, G-nonadjacent, G2.
//!
//! What is relied on, and checked: an object is never given one value twice. What is relied on: an object that is written
//! or deleted is there. Rooms: `predicate`, `objects` (versions and their order), `edges`, `internal` (transactions that
//! contradict themselves), `words`.

mod edges;
mod internal;
mod objects;
mod predicate;
#[cfg(test)]
mod tests;
mod words;

use crate::consistency::levels::{self, Observed};
use crate::consistency::{Model, Order, boundary};
use crate::finding::{CheckResult, Finding};
use crate::op::{Call, History, Mop, Operation, Outcome};
use crate::spill::SpillError;
use crate::transactions::cycles::{Cycle, Step};
use crate::transactions::graph::{RW, WR, WW};
use crate::transactions::txns::{TXNS_MAX, TxnsBuilder};
use crate::transactions::{Txns, find_cycles};
use crate::verdict::Reason;
use edges::Edges;
use std::collections::{BTreeMap, BTreeSet};

/// Name of this checker in results and on the command line.
pub const NAME: &str = "closed-predicate";

/// What to check for, and how much to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The model that the history must satisfy.
    pub model: Model,
    /// Findings that are told of each anomaly, at most; further ones are counted in the evidence.
    pub findings_per_anomaly: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { model: Model::STRICT_SERIALIZABLE, findings_per_anomaly: 16 }
    }
}

/// One anomaly that is no cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Raw {
    /// A read saw what a failed transaction wrote.
    G1a { key: i64, value: i64, reader: u32, writer: u32 },
    /// A read saw a value that its transaction overwrote itself.
    G1b { key: i64, value: i64, reader: u32, writer: u32 },
    /// A read saw what nobody wrote; no value: an object that was there from the beginning, as if it were not.
    Garbage { key: i64, value: Option<i64>, reader: u32 },
    /// A read by predicate lacks an object every version of which matches; some of these.
    PredicateReadMiss { txn: u32, predicate: i64, key: i64, values: Vec<i64> },
    /// What was read and written contradicts every order of the versions.
    CyclicVersions { key: i64 },
    /// A transaction read something else than what it had read or written there; no value: that nothing was there, or
    /// nothing that matched.
    Internal { txn: u32, key: i64, expected: Option<i64>, seen: Option<i64> },
    /// A read saw what its own transaction writes later; no value: that it deletes the object.
    FutureRead { txn: u32, key: i64, value: Option<i64> },
    /// A read by predicate returned what does not match.
    NoMatch { txn: u32, predicate: i64, key: i64, value: i64 },
}

impl Raw {
    fn name(&self) -> &'static str {
        match self {
            Raw::G1a { .. } => "G1a",
            Raw::G1b { .. } => "G1b",
            Raw::Garbage { .. } => "garbage-read",
            Raw::PredicateReadMiss { .. } => "predicate-read-miss",
            Raw::CyclicVersions { .. } => "cyclic-versions",
            Raw::Internal { .. } | Raw::NoMatch { .. } => "internal",
            Raw::FutureRead { .. } => "future-read",
        }
    }
}

/// The micro-operations of an operation; empty for calls that are no transaction.
fn mops(op: &Operation) -> &[Mop] {
    match &op.call {
        Call::Txn(mops) => mops,
        _ => &[],
    }
}

/// Judges a history of transactions over objects and predicates.
///
/// Every anomaly is reported, also those that the model allows, and every level of isolation gets its own answer.
/// `unknown` answers carry one of: `NOTHING_CHECKED`, `TOO_LARGE`, `WRONG_WORKLOAD` (other micro-operations than insert,
/// write, delete, read and read by predicate), `UNKNOWN_PREDICATE`, `DUPLICATE_WRITES`, `NO_OK_READS`,
/// `NO_REAL_TIME_ORDER` (see [`levels::verdict`]).
///
/// Time: reads by predicate times objects, and near linear besides.
#[must_use]
pub fn check(history: &History, options: &Options) -> CheckResult {
    let model = options.model.name();
    if let Some(reason) = refuse(history) {
        return CheckResult::unknown(NAME, model, reason).told_with(history.names());
    }
    let ops = history.ops();
    let objects = match objects::objects(ops, initial(ops)) {
        Ok(objects) => objects,
        Err(duplicates) => {
            let reason = duplicate_writes(ops, &duplicates);
            return CheckResult::unknown(NAME, model, reason).told_with(history.names());
        }
    };
    let edges = edges::examine(ops, &objects, history.names());
    let order = if history.has_real_time_order() { Order::Realtime } else { Order::Process };
    let mut txns = TxnsBuilder::default();
    for op in ops {
        txns.push(op.into());
    }
    let cycles = match cycles(&txns.finish(), &edges, order) {
        Ok(cycles) => cycles,
        Err(error) => return CheckResult::unknown(NAME, model, Reason::new("SPILL_FAILED", error.to_string())),
    };
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let findings = tell(history, &edges, &cycles, options.findings_per_anomaly, &mut counts);
    let anomaly_types: BTreeSet<String> = counts.keys().map(|name| (*name).to_owned()).collect();
    let observed = observed(order, &edges);
    let (not, also_not) = boundary(anomaly_types.iter().map(String::as_str));
    let owned = |names: BTreeSet<&'static str>| names.into_iter().map(str::to_owned).collect();
    let told: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let result = CheckResult {
        checker: NAME.to_owned(),
        model: model.to_owned(),
        verdict: levels::verdict(options.model, &anomaly_types, &observed),
        ops_checked: ops.len() as u64,
        reads_checked: edges.ok_reads,
        partitions: objects.len() as u64,
        levels: levels::verdicts(&anomaly_types, &findings, &observed),
        not: owned(not),
        also_not: owned(also_not),
        evidence: format!(
            "{} transactions, {} ok reads of {} objects, {} dependencies; {}",
            ops.len(),
            edges.ok_reads,
            objects.len(),
            edges.reasons.len(),
            if told.is_empty() { "no anomaly".to_owned() } else { format!("anomalies: {}", told.join(", ")) },
        ),
        anomaly_types,
        findings,
    };
    result.told_with(history.names())
}

fn refuse(history: &History) -> Option<Reason> {
    let ops = history.ops();
    if ops.is_empty() {
        return Some(Reason::new("NOTHING_CHECKED", "the history holds no operation"));
    }
    if ops.len() > TXNS_MAX {
        let text = format!("{} operations, more than the {TXNS_MAX} that fit one check", ops.len());
        return Some(Reason::new("TOO_LARGE", text));
    }
    let fits = |mop: &Mop| {
        let single = matches!(mop, Mop::Insert { .. } | Mop::Write { .. } | Mop::Delete { .. } | Mop::Read { .. });
        single || matches!(mop, Mop::ReadPredicate { .. })
    };
    let foreign = |op: &&Operation| !matches!(&op.call, Call::Txn(mops) if mops.iter().all(fits));
    if let Some(first) = ops.iter().find(foreign) {
        let count = ops.iter().filter(foreign).count();
        let text = format!(
            "{count} of {} operations are no transactions of inserts, writes, deletes, reads and reads by predicate; the \
             first is operation {}, a `{}`",
            ops.len(),
            first.op_id,
            first.call.f(),
        );
        return Some(Reason::new("WRONG_WORKLOAD", text));
    }
    let names = history.names();
    let unknown = ops.iter().flat_map(mops).find_map(|mop| match mop {
        Mop::ReadPredicate { predicate, .. } if predicate::Predicate::of(*predicate, names).is_none() => {
            Some(*predicate)
        }
        _ => None,
    })?;
    let text = format!("the predicate {} is none of :true, [:= v] and [:mod m r]", names.display(unknown));
    Some(Reason::new("UNKNOWN_PREDICATE", text))
}

fn duplicate_writes(ops: &[Operation], duplicates: &[objects::Duplicate]) -> Reason {
    let id = |txn: u32| ops[txn as usize].op_id;
    let case = |(key, value, first, second): &objects::Duplicate| {
        format!("{value} at key {key} by operations {} and {}", id(*first), id(*second))
    };
    let cases: Vec<String> = duplicates.iter().take(5).map(case).collect();
    let more = duplicates.len() - cases.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let text = format!("one value was written twice: {}{more}; who wrote it cannot be told", cases.join("; "));
    Reason::new("DUPLICATE_WRITES", text)
}

/// The operation that made the first state, if there is one.
fn initial(ops: &[Operation]) -> Option<u32> {
    let first = ops.first().filter(|op| op.outcome == Outcome::Ok)?;
    let inserts = mops(first).iter().all(|mop| matches!(mop, Mop::Insert { .. })) && !mops(first).is_empty();
    let alone = ops[1..].iter().all(|op| first.end_seq() < op.invoke_seq);
    (inserts && alone).then_some(0)
}

fn observed(order: Order, edges: &Edges) -> Observed {
    let assumed = [
        "the objects are those that the history names",
        "an object that is written or deleted is there",
        "who read an object and wrote it made the new version from what it read",
        "what transactions see of each other is not looked at beyond cycles",
    ];
    let nothing = || Reason::new("NO_OK_READS", "no transaction with a read completed ok: nothing was observed");
    let doubts = if edges.ok_reads == 0 { vec![nothing()] } else { Vec::new() };
    Observed { order, doubts, assumed: assumed.map(str::to_owned).to_vec() }
}

/// A cycle with its name.
struct Named {
    name: &'static str,
    cycle: Cycle,
    /// Whether each step is by predicate only.
    by_predicate: Vec<bool>,
}

/// The cycles over objects, and those that need a predicate.
fn cycles(txns: &Txns, edges: &Edges, order: Order) -> Result<Vec<Named>, SpillError> {
    let search = |with_predicates: bool| -> Result<Vec<Cycle>, SpillError> {
        let mut all = crate::transactions::edges::Edges::new(txns, order == Order::Realtime);
        all.add(edges.dependencies(with_predicates));
        find_cycles(&all, order)
    };
    let by_predicate = |step: &Step| {
        let data = matches!(step.label, WW | WR | RW);
        data && edges.reasons.get(&(step.from, step.to, step.label)).is_some_and(|reasons| reasons[0].is_none())
    };
    let over_objects = search(false)?.into_iter().map(|cycle| Named {
        name: cycle.kind.name(),
        by_predicate: vec![false; cycle.steps.len()],
        cycle,
    });
    let mut named: Vec<Named> = over_objects.collect();
    if edges.reasons.values().all(|reasons| reasons[1].is_none()) {
        return Ok(named);
    }
    for cycle in search(true)? {
        let by_predicate: Vec<bool> = cycle.steps.iter().map(by_predicate).collect();
        // A cycle over objects alone was met, or what implies it.
        if by_predicate.contains(&true) {
            let name = cycle.kind.predicate_name();
            named.push(Named { name, cycle, by_predicate });
        }
    }
    Ok(named)
}

fn tell(
    history: &History,
    edges: &Edges,
    cycles: &[Named],
    most: usize,
    counts: &mut BTreeMap<&'static str, u64>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut number = |name: &'static str| {
        let count = counts.entry(name).or_insert(0);
        *count += 1;
        (*count <= most as u64).then_some(*count - 1)
    };
    let mut raws: Vec<&Raw> = edges.found.iter().collect();
    raws.sort_by_key(|raw| raw.name());
    for raw in raws {
        if let Some(number) = number(raw.name()) {
            findings.push(words::raw(history, number, raw));
        }
    }
    let mut cycles: Vec<&Named> = cycles.iter().collect();
    let first = |named: &Named| named.cycle.steps.iter().map(|step| step.from).min();
    cycles.sort_by_key(|named| (named.cycle.kind, named.name, named.cycle.steps.len(), first(named)));
    for named in cycles {
        if let Some(number) = number(named.name) {
            findings.push(words::cycle(history, edges, number, named));
        }
    }
    findings
}
