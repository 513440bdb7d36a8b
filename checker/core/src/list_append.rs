//! Transactions over lists: appends and reads, judged by the dependencies that the lists reveal.
//!
//! A list keeps the order of its appends, so one long read tells in which order transactions wrote. From these orders,
//! from who read what, and from the order in processes and in real time follow dependencies; a cycle of them, or a
//! read that no order could explain, is an anomaly. An anomaly rules out consistency models ([`crate::consistency`]).
//!
//! What is relied on, and checked: a key is never given the same value twice. What is not needed: any knowledge of the
//! database's clocks.
//!
//! Rooms: `index` scans the history; `transaction` looks at each transaction by itself; `versions` and `keys` at each
//! key; `crate::transactions` finds the cycles; `explain` and `words` put everything into sentences. Nothing recurses,
//! nothing is bounded by a time-out, and no result depends on the order of a hash map.

mod explain;
mod index;
mod keys;
mod raw;
mod raw_words;
mod transaction;
mod versions;
mod words;

#[cfg(test)]
mod tests;

use crate::consistency::{Model, Order, boundary};
use crate::finding::{CheckResult, Finding};
use crate::op::{History, Outcome};
use crate::transactions::{Txns, cycles::Cycle, edges::Edges, find_cycles, txns::TXNS_MAX};
use crate::verdict::{Reason, Validity, Verdict};
use explain::Narrator;
use index::{DuplicateAppend, Index, foreign_ops};
use keys::KeyFacts;
use raw::Raw;
use std::collections::{BTreeMap, BTreeSet};

/// Name of this checker in results and on the command line.
pub const NAME: &str = "list-append";

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

/// Judges a history of transactions over lists.
///
/// Every anomaly is reported, also those that the model allows; only those that it proscribes make the verdict
/// `invalid`. Process and real-time order count as far as the model relies on them. `unknown` answers carry one of:
/// `NOTHING_CHECKED` (no operation), `WRONG_WORKLOAD` (other calls than transactions of appends and list reads),
/// `DUPLICATE_APPENDS` (one value appended to one key twice), `NO_OK_READS` (nothing was observed),
/// `MODEL_NOT_DECIDABLE` (no anomaly of transactions speaks about the model), `NO_REAL_TIME_ORDER` (the model is about
/// real time, and the history knows only the order within processes), `TOO_LARGE`.
///
/// Time and memory are close to linear in the history.
#[must_use]
pub fn check(history: &History, options: &Options) -> CheckResult {
    let model = options.model.name();
    let ops = history.ops();
    if let Some(reason) = refuse(history) {
        return CheckResult::unknown(NAME, model, reason);
    }
    let index = match Index::new(history) {
        Ok(index) => index,
        Err(duplicates) => return CheckResult::unknown(NAME, model, duplicate_appends(history, &duplicates)),
    };
    let mut found: Vec<Raw> = Vec::new();
    transaction::examine(ops, &mut found);
    let mut txns = Txns::of(ops);
    let KeyFacts { dependencies, found: of_keys, seen } = keys::examine(&index, &txns);
    found.extend(of_keys);
    for (txn, moment) in seen {
        txns.note_seen(txn, moment);
    }
    let order = known_order(history, options.model);
    let edge_count = dependencies.len();
    let mut edges = Edges::new(&txns, order == Order::Realtime);
    edges.add(dependencies);
    let cycles = find_cycles(&edges, order);

    let told = tell(&index, &found, cycles, options.findings_per_anomaly);
    let anomaly_types: BTreeSet<String> = told.counts.keys().map(|name| (*name).to_owned()).collect();
    let (not, also_not) = boundary(anomaly_types.iter().map(String::as_str));
    let owned = |names: BTreeSet<&'static str>| names.into_iter().map(str::to_owned).collect();
    CheckResult {
        checker: NAME.to_owned(),
        model: model.to_owned(),
        verdict: verdict(history, options.model, &anomaly_types, &index),
        ops_checked: ops.len() as u64,
        reads_checked: index.ok_reads,
        partitions: index.keys.len() as u64,
        evidence: evidence(&index, edge_count, &told, options.model),
        anomaly_types,
        not: owned(not),
        also_not: owned(also_not),
        findings: told.findings,
    }
    .told_with(history.names())
}

/// Histories about which nothing can be said.
fn refuse(history: &History) -> Option<Reason> {
    if history.is_empty() {
        return Some(Reason::new("NOTHING_CHECKED", "the history holds no operation"));
    }
    if history.len() > TXNS_MAX {
        let text = format!("{} operations, more than the {TXNS_MAX} that fit one check", history.len());
        return Some(Reason::new("TOO_LARGE", text));
    }
    let foreign = foreign_ops(history);
    let first = foreign.first()?;
    let text = format!(
        "{} of {} operations are no transactions of appends and list reads: {}; the first is a `{}`",
        foreign.len(),
        history.len(),
        list_ops(history, foreign.iter().copied()),
        history.ops()[*first as usize].call.f(),
    );
    Some(Reason::new("WRONG_WORKLOAD", text))
}

fn list_ops(history: &History, txns: impl ExactSizeIterator<Item = u32>) -> String {
    let more = txns.len().saturating_sub(5);
    let ids: Vec<String> = txns.take(5).map(|txn| history.ops()[txn as usize].op_id.to_string()).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("operation {}{more}", ids.join(", "))
}

fn duplicate_appends(history: &History, duplicates: &[DuplicateAppend]) -> Reason {
    let id = |txn: u32| history.ops()[txn as usize].op_id;
    let case = |case: &DuplicateAppend| {
        let (first, second) = (id(case.first), id(case.second));
        format!("{} to key {} by operations {first} and {second}", case.value, case.key)
    };
    let cases: Vec<String> = duplicates.iter().take(5).map(case).collect();
    let more = duplicates.len() - cases.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Reason::new(
        "DUPLICATE_APPENDS",
        format!("the same value was appended to a key twice: {}{more}; who wrote it cannot be told", cases.join("; ")),
    )
}

/// Findings in words, and how many there are of each anomaly.
struct Told {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
}

fn tell(index: &Index<'_>, found: &[Raw], mut cycles: Vec<Cycle>, most: usize) -> Told {
    let mut narrator = Narrator::new(index);
    let mut told = Told { findings: Vec::new(), counts: BTreeMap::new() };
    // Stable: within one anomaly, key order and order of invocation remain.
    let mut found: Vec<&Raw> = found.iter().collect();
    found.sort_by_key(|raw| raw.name());
    for raw in found {
        if let Some(number) = count(&mut told.counts, raw.name(), most) {
            told.findings.push(narrator.raw(number, raw));
        }
    }
    let first_op = |cycle: &Cycle| cycle.steps.iter().map(|step| step.from).min();
    cycles.sort_by_cached_key(|cycle| (cycle.kind, cycle.steps.len(), first_op(cycle)));
    for cycle in &cycles {
        if let Some(number) = count(&mut told.counts, cycle.kind.name(), most) {
            told.findings.push(narrator.cycle(number, cycle));
        }
    }
    told
}

/// The number of the next finding of an anomaly, unless enough were told.
fn count(counts: &mut BTreeMap<&'static str, u64>, name: &'static str, most: usize) -> Option<u64> {
    let count = counts.entry(name).or_insert(0);
    *count += 1;
    (*count <= most as u64).then_some(*count - 1)
}

/// The order that the model relies on, as far as the history knows it.
fn known_order(history: &History, model: Model) -> Order {
    let known = if history.has_real_time_order() { Order::Realtime } else { Order::Process };
    model.order().min(known)
}

fn verdict(history: &History, model: Model, anomaly_types: &BTreeSet<String>, index: &Index<'_>) -> Verdict {
    let proscribed = model.proscribed();
    let mut verdict = Verdict::valid();
    if anomaly_types.iter().any(|name| proscribed.contains(name.as_str())) {
        verdict.validity = Validity::Invalid;
    }
    if !model.is_decidable() {
        let text = format!("no anomaly of transactions speaks about {model}: choose a transactional model");
        verdict = verdict.merge(Verdict::unknown(Reason::new("MODEL_NOT_DECIDABLE", text)));
    }
    if known_order(history, model) < model.order() {
        let text = format!("{model} is about real time, of which the history knows nothing: choose a weaker model");
        verdict = verdict.merge(Verdict::unknown(Reason::new("NO_REAL_TIME_ORDER", text)));
    }
    if index.ok_reads == 0 {
        let text = "no transaction with a read completed ok: nothing was observed";
        verdict = verdict.merge(Verdict::unknown(Reason::new("NO_OK_READS", text)));
    }
    verdict
}

fn evidence(index: &Index<'_>, edges: usize, told: &Told, model: Model) -> String {
    let count = |outcome| index.ops.iter().filter(|op| op.outcome == outcome).count();
    let mut text = format!(
        "{} transactions (ok {}, fail {}, info {}), {} ok reads of {} keys, {edges} dependencies",
        index.ops.len(),
        count(Outcome::Ok),
        count(Outcome::Fail),
        count(Outcome::Info),
        index.ok_reads,
        index.keys.len(),
    );
    if told.counts.is_empty() {
        text.push_str("; no anomaly");
    } else {
        let counts: Vec<String> = told.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        text.push_str("; anomalies: ");
        text.push_str(&counts.join(", "));
        let total: u64 = told.counts.values().sum();
        if total > told.findings.len() as u64 {
            text.push_str(&format!(" ({} of {total} told)", told.findings.len()));
        }
    }
    if let Some(approximation) = model.approximation() {
        text.push_str(&format!("; {model} is {approximation}"));
    }
    text
}
