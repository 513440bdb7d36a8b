//! Transactions over lists: appends and reads, judged by the dependencies that the lists reveal.
//!
//! A list keeps the order of its appends, so one long read tells in which order transactions wrote. From these orders,
//! from who read what, and from the order in processes and in real time follow dependencies; a cycle of them, or a
//! read that no order could explain, is an anomaly. An anomaly rules out consistency models ([`crate::consistency`]).
//!
//! What is relied on, and checked: a key is never given the same value twice. What is not needed: any knowledge of the
//! database's clocks.
//!
//! Rooms: `intake` goes through the history once and leaves `records`; `transaction` looks at each transaction by itself;
//! `versions` and `keys` at each key; `crate::transactions` finds the cycles; `sights` tells it what those on
//! cycles saw of each other; `explain` and `words` put everything into sentences. Nothing recurses, nothing is bounded by
//! a time-out, and no result depends on the order of a hash map.

mod explain;
mod intake;
mod keys;
mod raw;
mod raw_words;
mod records;
mod sights;
mod transaction;
mod versions;
mod words;

#[cfg(test)]
mod tests;

use crate::consistency::levels::{self, Observed};
use crate::consistency::{Model, Order, boundary};
use crate::finding::{CheckResult, Finding};
use crate::op::{History, Mop, Operation, Outcome};
use crate::spill::{Limits, SpillError};
use crate::transactions::rows::{self, Known, MopRef, TxnRow};
use crate::transactions::visibility::{self, Breach};
use crate::transactions::{Txns, cycles::Cycle, edges::Edges, find_cycles_and_members};
use crate::verdict::Reason;
use explain::Narrator;
use intake::Intake;
use keys::KeyFacts;
use raw::Raw;
use records::{Record, partition_of};
use std::collections::{BTreeMap, BTreeSet};
use versions::{DuplicateAppend, Versions};

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
/// `invalid`, and every level of isolation gets its own answer. Process and real-time order count as far as the history
/// knows them. `unknown` answers carry one of:
/// `NOTHING_CHECKED` (no operation), `WRONG_WORKLOAD` (other calls than transactions of appends and list reads),
/// `DUPLICATE_APPENDS` (one value appended to one key twice), `NO_OK_READS` (nothing was observed),
/// `NO_REAL_TIME_ORDER` (see [`levels::verdict`]), `TOO_LARGE`.
///
/// Time and memory are close to linear in the history. [`Checker`] does the same without a history in memory.
#[must_use]
pub fn check(history: &History, options: &Options) -> CheckResult {
    let ops = history.ops();
    let known = Known::of(history);
    let fetch = |op_ids: &[u64]| Ok(rows::fetch_from(ops, op_ids));
    let checker = Checker { intake: Intake::of(ops), limits: None };
    // Without limits nothing is put aside that could fail to come back.
    checker.finish(&known, options, fetch).unwrap_or_else(|error: SpillError| {
        CheckResult::unknown(NAME, options.model.name(), Reason::new("SPILL_FAILED", error.to_string()))
    })
}

/// [`check`] for a history that comes operation by operation and is not kept: about 13 bytes are held of a transaction,
/// 16 of a micro-operation and of a version.
///
/// ```
/// use fissure_checker::list_append::{Checker, Options};
/// use fissure_checker::{Known, MopRef, Operation, Outcome, TxnRow, spill::SpillError};
/// let mut checker = Checker::default();
/// let row = TxnRow { op_id: 0, process: 0, invoke_seq: 0, complete_seq: Some(1), outcome: Outcome::Ok };
/// checker.push(row, &[MopRef::Append { key: 1, value: 10 }, MopRef::ReadList { key: 1, list: Some(&[10]) }]);
/// let known = Known { real_time_order: true, origin_ns: 0, names: Default::default() };
/// let fetch = |_: &[u64]| Ok::<Vec<Operation>, SpillError>(Vec::new());
/// let result = checker.finish(&known, &Options::default(), fetch)?;
/// assert!(!result.is_invalid());
/// # Ok::<(), SpillError>(())
/// ```
#[derive(Debug, Default)]
pub struct Checker {
    intake: Intake,
    limits: Option<Limits>,
}

impl Checker {
    /// A checker that puts aside what does not fit.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        let mut intake = Intake::default();
        intake.limit(&limits);
        Self { intake, limits: Some(limits) }
    }

    /// The next operation, which is a transaction. Operations come in order of invocation, and keep the invariants of a
    /// [`History`].
    pub fn push(&mut self, row: TxnRow, mops: &[MopRef<'_>]) {
        self.intake.push(row, mops);
    }

    /// The next operation, which is no transaction.
    pub fn push_foreign(&mut self, op_id: u64) {
        self.intake.push_foreign(op_id);
    }

    /// The answer. `fetch` is asked for the operations that the findings are about, in ascending order of `op_id`; one
    /// that it does not give is told without its micro-operations.
    ///
    /// # Errors
    /// Those of `fetch`, and of what was put aside.
    pub fn finish<E: From<SpillError>>(
        self,
        known: &Known,
        options: &Options,
        mut fetch: impl FnMut(&[u64]) -> Result<Vec<Operation>, E>,
    ) -> Result<CheckResult, E> {
        let Self { mut intake, limits } = self;
        let model = options.model.name();
        if let Some(reason) = intake.arrivals.refuse("appends and list reads", &mut fetch)? {
            return Ok(CheckResult::unknown(NAME, model, reason));
        }
        let mut txns = std::mem::take(&mut intake.txns).finish();
        intake.records.put_aside();
        // What is put aside is gone through twice: where transactions stand must be known before edges are sorted.
        let spilled = intake.records.is_spilled();
        let mut kept: Vec<KeyFacts> = Vec::new();
        let mut duplicates: Vec<DuplicateAppend> = Vec::new();
        let mut seen: Vec<(u32, u32)> = Vec::new();
        let mut found = std::mem::take(&mut intake.found);
        examine_keys(&intake, &txns, |mut facts| {
            duplicates.append(&mut facts.duplicates);
            seen.append(&mut facts.seen);
            found.append(&mut facts.found);
            if !spilled {
                kept.push(facts);
            }
        })?;
        if !duplicates.is_empty() {
            let cases = duplicates.iter().map(|case| (case.key, case.value, case.first, case.second)).collect();
            let reason = rows::duplicates("DUPLICATE_APPENDS", "appended to", cases, |txn| txns.op_id(txn));
            return Ok(CheckResult::unknown(NAME, model, reason).told_with(&known.names));
        }
        seen.into_iter().for_each(|(txn, moment)| txns.note_seen(txn, moment));
        let order = known_order(known);
        let mut edges = Edges::new(&txns, order == Order::Realtime);
        if let Some(limits) = &limits {
            edges.limit(limits.spill.clone(), intake.records.len(), limits.memory_bytes_max / 4);
        }
        let mut edge_count = 0;
        let mut broken = BTreeSet::new();
        let mut add = |facts: KeyFacts| {
            broken.extend(facts.broken);
            edge_count += facts.dependencies.len();
            edges.add(facts.dependencies);
        };
        kept.into_iter().for_each(&mut add);
        if spilled {
            examine_keys(&intake, &txns, &mut add)?;
        }
        let (cycles, suspects) = find_cycles_and_members(&edges, order)?;
        drop(edges);
        let breaches = sights::of_suspects(&intake, &txns, &suspects, &broken)?
            .map(|sights| visibility::examine(&txns, &sights, options.findings_per_anomaly));
        let selected = Selected::of(found, cycles, breaches.unwrap_or_default(), options.findings_per_anomaly);
        let told = selected.tell(&intake, &txns, known, &mut fetch)?;

        let anomaly_types: BTreeSet<String> = told.counts.keys().map(|name| (*name).to_owned()).collect();
        let (not, also_not) = boundary(anomaly_types.iter().map(String::as_str));
        let owned = |names: BTreeSet<&'static str>| names.into_iter().map(str::to_owned).collect();
        let observed = observed(known, &intake, &txns);
        let levels = levels::verdicts(&anomaly_types, &told.findings, &observed);
        let result = CheckResult {
            checker: NAME.to_owned(),
            model: model.to_owned(),
            verdict: levels::verdict(options.model, &anomaly_types, &observed),
            ops_checked: intake.arrivals.ops,
            reads_checked: intake.ok_reads,
            partitions: intake.keys.len() as u64,
            evidence: evidence(&intake, &txns, edge_count, &told, options.model),
            anomaly_types,
            not: owned(not),
            also_not: owned(also_not),
            levels,
            findings: told.findings,
        };
        Ok(result.told_with(&known.names))
    }
}

/// Goes through all keys, several partitions at a time, and gives what they showed to `each`, in their order.
fn examine_keys(intake: &Intake, txns: &Txns, mut each: impl FnMut(KeyFacts)) -> Result<(), SpillError> {
    let examine = |partition: usize| -> Result<KeyFacts, SpillError> {
        let records = intake.records.stream(partition)?;
        Ok(keys::examine(&records, &intake.keys, txns))
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if txns.len() < 10_000 { 1 } else { threads };
    if threads == 1 {
        return (0..intake.records.len()).try_for_each(|partition| examine(partition).map(&mut each));
    }
    std::thread::scope(|scope| {
        // Every thread has the partitions of one remainder, and runs at most two ahead.
        let start = |thread: usize| {
            let (sender, results) = std::sync::mpsc::sync_channel(2);
            scope.spawn(move || {
                // Nobody listens any more after an error.
                (thread..intake.records.len()).step_by(threads).all(|partition| sender.send(examine(partition)).is_ok())
            });
            results
        };
        let results: Vec<_> = (0..threads).map(start).collect();
        for partition in 0..intake.records.len() {
            // A thread that ends early has panicked, and the scope passes that on.
            let Ok(facts) = results[partition % threads].recv() else { break };
            each(facts?);
        }
        Ok(())
    })
}

/// Findings that will be told, and how many there are of each anomaly.
#[derive(Default)]
struct Selected {
    found: Vec<(u64, Raw)>,
    cycles: Vec<(u64, Cycle)>,
    breaches: Vec<(u64, Breach)>,
    counts: BTreeMap<&'static str, u64>,
}

impl Selected {
    fn of(mut found: Vec<Raw>, mut cycles: Vec<Cycle>, breaches: Vec<Breach>, most: usize) -> Self {
        let mut selected = Self::default();
        found.sort_by_cached_key(|raw| (raw.name(), raw.order()));
        for raw in found {
            if let Some(number) = count(&mut selected.counts, raw.name(), most) {
                selected.found.push((number, raw));
            }
        }
        cycles.sort_by_cached_key(|cycle| (cycle.kind, cycle.rank()));
        for cycle in cycles {
            if let Some(number) = count(&mut selected.counts, cycle.kind.name(), most) {
                selected.cycles.push((number, cycle));
            }
        }
        for breach in breaches {
            if let Some(number) = count(&mut selected.counts, breach.name, most) {
                selected.breaches.push((number, breach));
            }
        }
        selected
    }

    fn tell<E: From<SpillError>>(
        self,
        intake: &Intake,
        txns: &Txns,
        known: &Known,
        fetch: &mut impl FnMut(&[u64]) -> Result<Vec<Operation>, E>,
    ) -> Result<Told, E> {
        let of_cycles = self.cycles.iter().flat_map(|(_, cycle)| cycle.steps.iter().map(|step| step.from));
        let of_found = self.found.iter().flat_map(|(_, raw)| raw.txns());
        let of_breaches = self.breaches.iter().flat_map(|(_, breach)| breach.links.iter().map(|link| link.from));
        let wanted: BTreeSet<u32> = of_cycles.chain(of_found).chain(of_breaches).collect();
        let mut ops = BTreeMap::new();
        if !wanted.is_empty() {
            let op_ids: Vec<u64> = wanted.iter().map(|txn| txns.op_id(*txn)).collect();
            let mut by_id: BTreeMap<u64, Operation> = fetch(&op_ids)?.into_iter().map(|op| (op.op_id, op)).collect();
            let op = |txn: u32| (txn, by_id.remove(&txns.op_id(txn)).unwrap_or_else(|| txns.bare_operation(txn)));
            ops = wanted.into_iter().map(op).collect();
        }
        let versions = versions_of(intake, txns, &ops)?;
        let mut narrator = Narrator::new(ops, known.origin_ns, &intake.keys, versions);
        let mut findings = Vec::new();
        for (number, raw) in &self.found {
            findings.push(narrator.raw(*number, raw));
        }
        for (number, cycle) in &self.cycles {
            findings.push(narrator.cycle(*number, cycle));
        }
        for (number, breach) in &self.breaches {
            findings.extend(visibility::words::finding(&mut narrator, *number, breach));
        }
        Ok(Told { findings, counts: self.counts })
    }
}

/// The versions of every key that these operations touch.
fn versions_of(
    intake: &Intake,
    txns: &Txns,
    ops: &BTreeMap<u32, Operation>,
) -> Result<BTreeMap<i64, Versions>, SpillError> {
    let keys: BTreeSet<i64> = ops.values().flat_map(explain::mops).filter_map(Mop::key).collect();
    let mut of_partition: BTreeMap<usize, Vec<(i64, u32)>> = BTreeMap::new();
    for (key, number) in keys.into_iter().filter_map(|key| Some((key, intake.key_number(key)?))) {
        of_partition.entry(partition_of(number)).or_default().push((key, number));
    }
    let mut versions = BTreeMap::new();
    for (partition, keys) in of_partition {
        let records = intake.records.stream(partition)?;
        for (key, number) in keys {
            let of_key: Vec<Record> = records.iter().copied().filter(|record| record.key == number).collect();
            versions.entry(key).or_insert_with(Versions::default).load(&of_key, txns);
        }
    }
    Ok(versions)
}

/// Findings in words, and how many there are of each anomaly.
struct Told {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
}

/// The number of the next finding of an anomaly, unless enough were told.
fn count(counts: &mut BTreeMap<&'static str, u64>, name: &'static str, most: usize) -> Option<u64> {
    let count = counts.entry(name).or_insert(0);
    *count += 1;
    (*count <= most as u64).then_some(*count - 1)
}

/// The strongest order that the history knows.
fn known_order(known: &Known) -> Order {
    if known.real_time_order { Order::Realtime } else { Order::Process }
}

const NOTHING_READ: &str = "no transaction with a read completed ok: nothing was observed";

/// What the verdicts on all levels rest on.
fn observed(known: &Known, intake: &Intake, txns: &Txns) -> Observed {
    let mut assumed = vec!["an append that no read saw comes after the last version that was read".to_owned()];
    if txns.count(Outcome::Info) > 0 {
        assumed.push("an info transaction happened, or did not, as the reads of others tell".to_owned());
    }
    let doubts = if intake.ok_reads == 0 { vec![Reason::new("NO_OK_READS", NOTHING_READ)] } else { Vec::new() };
    Observed { order: known_order(known), doubts, assumed }
}

fn evidence(intake: &Intake, txns: &Txns, edges: usize, told: &Told, model: Model) -> String {
    let mut text = format!(
        "{} transactions (ok {}, fail {}, info {}), {} ok reads of {} keys, {edges} dependencies",
        txns.len(),
        txns.count(Outcome::Ok),
        txns.count(Outcome::Fail),
        txns.count(Outcome::Info),
        intake.ok_reads,
        intake.keys.len(),
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
