//! The answer: findings in words, counts, and what they mean for each level.

use super::explain::{Narrator, WeakNarrator};
use super::index::Index;
use super::judge::{Judged, NamedCycle, Need};
use super::raw::Raw;
use super::sessions::Sessions;
use super::sources::{self, Sources};
use super::weak::{self, Rule, Weak};
use super::{NAME, Options, known_order, strongest_order};
use crate::consistency::levels::{self, Observed};
use crate::consistency::{Model, Order, boundary};
use crate::finding::{CheckResult, Finding, LevelVerdict};
use crate::op::{Operation, Outcome};
use crate::transactions::cycles::Cycle;
use crate::transactions::rows::Known;
use crate::transactions::{Txns, words};
use crate::verdict::{Reason, Validity, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The keys that it takes to tell what was found.
pub(super) fn keys_of<E>(
    raw: &[Raw],
    judged: &Judged,
    txns: &Txns,
    most: usize,
    fetch: &mut impl FnMut(&[u64]) -> Result<Vec<Operation>, E>,
) -> Result<BTreeSet<i64>, E> {
    let mut counts = BTreeMap::new();
    let mut is_told = |name: &'static str| count(&mut counts, name, most).is_some();
    let mut keys: BTreeSet<i64> =
        raw.iter().filter(|raw| is_told(raw.name())).flat_map(|raw| raw.keys().iter().copied()).collect();
    // Which ones are told among many is decided later: those of one kind are as many as there are components.
    let cycles = judged.cycles.iter().map(|named| &named.cycle).chain(judged.prefix.iter().map(|(_, cycle)| cycle));
    let on_cycles: BTreeSet<u32> = cycles.flat_map(|cycle| cycle.steps.iter().map(|step| step.from)).collect();
    if !on_cycles.is_empty() {
        let op_ids: Vec<u64> = on_cycles.iter().map(|txn| txns.op_id(*txn)).collect();
        for op in fetch(&op_ids)? {
            keys.extend(crate::transactions::words::mops(&op).iter().filter_map(crate::op::Mop::key));
        }
    }
    Ok(keys)
}

/// What is counted of a history.
pub(super) struct Counts<'c> {
    pub(super) txns: &'c Txns,
    pub(super) ok_reads: u64,
    pub(super) keys: u64,
}

/// What an answer is made from besides what was found.
pub(super) struct Answer<'a> {
    pub(super) known: &'a Known,
    pub(super) options: &'a Options,
    pub(super) order: Order,
    pub(super) sources: &'a Sources,
    pub(super) counts: Counts<'a>,
    /// Whether it is known what transactions saw of each other.
    pub(super) sights_known: bool,
}

impl Answer<'_> {
    pub(super) fn result(&self, ops_checked: u64, judged: Judged, told: Told) -> CheckResult {
        let Self { known, options, counts, .. } = self;
        let anomaly_types: BTreeSet<String> = told.counts.keys().map(|name| (*name).to_owned()).collect();
        let (not, also_not) = boundary(anomaly_types.iter().map(String::as_str));
        let owned = |names: BTreeSet<&'static str>| names.into_iter().map(str::to_owned).collect();
        let levels = self.levels(&judged, (&anomaly_types, &told.findings));
        let mut evidence = evidence(counts, judged.edges, &told, options.model);
        evidence.push_str(&judged.method);
        let result = CheckResult {
            checker: NAME.to_owned(),
            model: options.model.name().to_owned(),
            verdict: verdict(known, options, &anomaly_types, counts.ok_reads, (&judged.sessions, judged.doubt)),
            ops_checked,
            reads_checked: counts.ok_reads,
            partitions: counts.keys,
            anomaly_types,
            not: owned(not),
            also_not: owned(also_not),
            levels,
            findings: told.findings,
            evidence,
        };
        result.told_with(&known.names)
    }

    /// The answer at every level, as far as the search for the model that was asked about goes.
    fn levels(&self, judged: &Judged, (anomalies, findings): (&BTreeSet<String>, &[Finding])) -> Vec<LevelVerdict> {
        let Self { known, options, sources, order, .. } = *self;
        let mut assumed = vec!["no value was written to a key twice".to_owned()];
        assumed.extend(sources::each(sources.assumed).map(|source| format!("{} was assumed", sources::name(source))));
        let unread = self.counts.ok_reads == 0;
        let nothing = || Reason::new("NO_OK_READS", "no transaction with a read completed ok: nothing was observed");
        let doubts = unread.then(nothing).into_iter().chain(unusable_assumption(known, options)).collect();
        let observed = Observed { order: strongest_order(known), doubts, assumed };
        let mut levels = levels::verdicts(anomalies, findings, &observed);
        for level in levels.iter_mut().filter(|level| level.validity == Validity::Valid) {
            let need = Need::of(level.model);
            let is_kept = |with: Order| level.model.order() == with || level.model.order() < with && !judged.is_bound;
            let enough = |(reach, with): (Need, Order)| need.is_within(reach) && is_kept(with);
            let reads_alone = need == Need::Nothing && level.model.order() <= order;
            let open = if need == Need::Nothing && !self.sights_known {
                "what transactions saw of each other was not looked at for lack of memory".to_owned()
            } else if !reads_alone && !judged.settled.is_some_and(enough) {
                format!("the order of some versions is open: ask for {} to have it searched for", level.model)
            } else {
                continue;
            };
            (level.validity, level.assumed) = (Validity::Unknown, vec![open]);
        }
        levels
    }
}

/// Findings in words, and how many there are of each anomaly.
pub(super) struct Told {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
}

/// Everything that was found.
pub(super) struct Found<'f> {
    raw: &'f [Raw],
    cycles: Vec<NamedCycle>,
    prefix: Vec<(&'static str, Cycle)>,
    weak: Vec<(Rule, bool, Weak)>,
}

impl Judged {
    /// What was found, to be told.
    pub(super) fn found<'f>(&mut self, raw: &'f [Raw]) -> Found<'f> {
        let (cycles, prefix) = (std::mem::take(&mut self.cycles), std::mem::take(&mut self.prefix));
        Found { raw, cycles, prefix, weak: std::mem::take(&mut self.weak) }
    }
}

/// Tells everything once to learn which operations that takes, fetches them, and tells it again.
pub(super) fn tell<E>(
    known: &Known,
    index: &Index,
    sources: &Sources,
    mut found: Found<'_>,
    most: usize,
    fetch: &mut impl FnMut(&[u64]) -> Result<Vec<Operation>, E>,
) -> Result<Told, E> {
    let txns = &index.columns.txns;
    found.cycles.sort_by_cached_key(|named| (named.kind, named.cycle.rank()));
    let mut narrator = Narrator::new(index, known.origin_ns, sources);
    loop {
        let told = tell_with(&mut narrator, &found, most);
        let missing = narrator.take_missing();
        if missing.is_empty() {
            return Ok(told);
        }
        let op_ids: Vec<u64> = missing.iter().map(|txn| txns.op_id(*txn)).collect();
        let mut by_id: BTreeMap<u64, Operation> = fetch(&op_ids)?.into_iter().map(|op| (op.op_id, op)).collect();
        for txn in missing {
            narrator.learn(txn, by_id.remove(&txns.op_id(txn)).unwrap_or_else(|| txns.bare_operation(txn)));
        }
    }
}

fn tell_with(narrator: &mut Narrator<'_>, found: &Found<'_>, most: usize) -> Told {
    let mut told = Told { findings: Vec::new(), counts: BTreeMap::new() };
    // Stable: within one anomaly, key order and order of invocation remain.
    let mut raw: Vec<&Raw> = found.raw.iter().collect();
    raw.sort_by_key(|raw| raw.name());
    for raw in raw {
        if let Some(number) = count(&mut told.counts, raw.name(), most) {
            told.findings.push(narrator.raw(number, raw));
        }
    }
    for named in &found.cycles {
        if let Some(number) = count(&mut told.counts, named.kind.name(), most) {
            told.findings.push(words::cycle(narrator, named.kind.name(), number, &named.cycle));
        }
    }
    for (name, cycle) in &found.prefix {
        if let Some(number) = count(&mut told.counts, name, most) {
            told.findings.push(words::cycle(narrator, name, number, cycle));
        }
    }
    for (rule, processes, weak) in &found.weak {
        let name = weak::name(*rule, *processes);
        let mut narrator = WeakNarrator { inner: narrator, shown: &weak.shown, rule: *rule };
        for cycle in &weak.cycles {
            if let Some(number) = count(&mut told.counts, name, most) {
                told.findings.push(words::cycle(&mut narrator, name, number, cycle));
            }
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

fn verdict(
    known: &Known,
    options: &Options,
    anomaly_types: &BTreeSet<String>,
    ok_reads: u64,
    (sessions, doubt): (&Sessions, Option<Reason>),
) -> Verdict {
    let model = options.model;
    let proscribed = model.proscribed();
    let mut verdict = Verdict::valid();
    if anomaly_types.iter().any(|name| proscribed.contains(name.as_str())) {
        verdict.validity = Validity::Invalid;
    }
    let invalid = verdict.validity == Validity::Invalid;
    let is_open = Sessions::decides(model.name()) && !sessions.held.contains(model.name());
    if is_open && !invalid {
        let text = format!("what rules out {model} is not found for certain among registers: choose another model");
        verdict = verdict.merge(Verdict::unknown(Reason::new("MODEL_NOT_DECIDABLE", text)));
    }
    if known_order(known, model) < model.order() {
        let text = format!("{model} is about real time, of which the history knows nothing: choose a weaker model");
        verdict = verdict.merge(Verdict::unknown(Reason::new("NO_REAL_TIME_ORDER", text)));
    } else if let Some(reason) = unusable_assumption(known, options) {
        verdict = verdict.merge(Verdict::unknown(reason));
    }
    if ok_reads == 0 {
        let text = "no transaction with a read completed ok: nothing was observed";
        verdict = verdict.merge(Verdict::unknown(Reason::new("NO_OK_READS", text)));
    }
    doubt.map(Verdict::unknown).into_iter().fold(verdict, Verdict::merge)
}

/// Why what was assumed of the keys says nothing about this history.
fn unusable_assumption(known: &Known, options: &Options) -> Option<Reason> {
    let text = "linearizable keys were assumed, but the history knows nothing of real time";
    (options.linearizable_keys && !known.real_time_order).then(|| Reason::new("NO_REAL_TIME_ORDER", text))
}

fn evidence(counts: &Counts<'_>, edges: usize, told: &Told, model: Model) -> String {
    let Counts { txns, ok_reads, keys } = counts;
    let mut text = format!(
        "{} transactions (ok {}, fail {}, info {}), {ok_reads} ok reads of {keys} keys, {edges} dependencies",
        txns.len(),
        txns.count(Outcome::Ok),
        txns.count(Outcome::Fail),
        txns.count(Outcome::Info),
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
