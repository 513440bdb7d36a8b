//! Transactions over registers: reads and writes, judged by the dependencies that can be inferred.
//!
//! A register keeps nothing of its past: a read names the one write that it saw, and nothing tells which of two writes
//! came first. What is known of version orders comes from [`sources`]; what follows from it are edges between
//! transactions, and a cycle of them, or a read that no order could explain, is an anomaly. An anomaly rules out
//! consistency models ([`crate::consistency`]).
//!
//! Where version orders remain open and the model needs them, they are searched for: a serial order of everything that
//! explains all reads is a *witness*, and proves the history valid ([`witness`]). Only where no such order turns up at
//! once does a solver decide the transactions that stand in the way of each other ([`solver`]).
//!
//! What is relied on, and checked: a key is never given the same value twice by transactions that may have taken effect.
//!
//! Levels too weak to need any order of versions are decided by what readers saw ([`weak`]); that a history is healthy
//! there shows at once ([`forward`]).
//!
//! Rooms: `columns` takes the history in; `index` resolves reads to writes, key by key in several `threads`; `order` knows
//! the versions of one key, `keys` what follows from them, `sessions` what processes see of themselves; `explain` and
//! `raw_words` put everything into sentences. Nothing recurses, nothing is bounded by a time-out (the solver is bounded by
//! steps, and says so), and no result depends on the order of a hash map.

mod at_hand;
mod columns;
mod explain;
mod forward;
mod index;
mod judge;
mod keys;
mod order;
mod outside;
mod raw;
mod raw_words;
mod sessions;
mod solver;
mod sources;
mod threads;
mod weak;
mod witness;

#[cfg(test)]
mod tests;

use crate::consistency::levels::{self, Observed};
use crate::consistency::{Model, Order, boundary};
use crate::finding::{CheckResult, Finding, LevelVerdict};
use crate::op::{History, Operation, Outcome};
use crate::spill::{Limits, SpillError};
use crate::transactions::cycles::Cycle;
use crate::transactions::rows::{self, Arrivals, Known, MopRef, TxnRow};
use crate::transactions::txns::TXNS_MAX;
use crate::transactions::{Txns, words};
use crate::verdict::{Reason, Validity, Verdict};
use columns::Intake;
use explain::{Narrator, WeakNarrator};
use index::{DuplicateWrite, Index};
use judge::{Judged, NamedCycle, Need};
use outside::Outside;
use raw::Raw;
use sessions::Sessions;
use sources::Sources;
use std::collections::{BTreeMap, BTreeSet};
use weak::{Rule, Weak};

/// Name of this checker in results and on the command line.
pub const NAME: &str = "rw-register";

/// What to check for, which version orders to assume, and how much to tell.
///
/// Whatever is assumed here holds for all that is found: an assumption that the database does not make can make anomalies
/// out of correct histories. A contradiction between assumptions is itself an anomaly, `cyclic-versions`. Assumptions
/// that the model implies need not be made: under strict serializability registers are linearizable, under
/// the strong-session models they are sequential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The model that the history must satisfy.
    pub model: Model,
    /// Writes follow reads: a transaction that read one version of a key and wrote another made it from the first.
    /// Without it such pairs still order readers before the writer, which no model that proscribes G1c can deny.
    pub wfr_keys: bool,
    /// Each key by itself is sequentially consistent: versions that one process met follow each other in its order.
    pub sequential_keys: bool,
    /// Each key by itself is linearizable: versions follow each other in the order of real time.
    pub linearizable_keys: bool,
    /// An order of transactions that is known otherwise, as pairs of `op_id` and place: versions of a key follow the
    /// places of their writers. Operations without a place, and those that share one, are not ordered.
    pub transaction_order: Option<Vec<(u64, i64)>>,
    /// Findings that are told of each anomaly, at most; further ones are counted in the evidence.
    pub findings_per_anomaly: usize,
    /// Steps that the solver may take for each set of transactions whose version orders stay open.
    pub solver_steps_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: Model::STRICT_SERIALIZABLE,
            wfr_keys: false,
            sequential_keys: false,
            linearizable_keys: false,
            transaction_order: None,
            findings_per_anomaly: 16,
            solver_steps_max: 50_000_000,
        }
    }
}

/// Judges a history of transactions over registers.
///
/// Every anomaly is reported, also those that the model allows; only those that it proscribes make the verdict
/// `invalid`. Process and real-time order count as far as the model relies on them. `unknown` answers carry one of:
/// `NOTHING_CHECKED` (no operation), `WRONG_WORKLOAD` (other calls than transactions of reads and writes),
/// `DUPLICATE_WRITES` (one value written to one key twice), `NO_OK_READS` (nothing was observed), `MODEL_NOT_DECIDABLE`
/// (no anomaly of transactions speaks about the model), `NO_REAL_TIME_ORDER` (the model or an assumption is about real
/// time, and the history knows only the order within processes), `BUDGET_SPENT` (the solver gave up),
/// `VERSION_ORDER_UNKNOWN` (some order of the writes may satisfy the model, and no method here finds it), `TOO_LARGE`.
///
/// Time and memory are close to linear in the history, the solver aside. [`Checker`] does the same without a history in
/// memory.
#[must_use]
pub fn check(history: &History, options: &Options) -> CheckResult {
    let ops = history.ops();
    let mut checker = Checker::default();
    rows::each_of(ops, |row, mops| match mops {
        Some(mops) => checker.push(row, mops),
        None => checker.push_foreign(row.op_id),
    });
    let fetch = |op_ids: &[u64]| Ok(rows::fetch_from(ops, op_ids));
    checker.finish(&Known::of(history), options, fetch).unwrap_or_else(|error: SpillError| {
        CheckResult::unknown(NAME, options.model.name(), Reason::new("SPILL_FAILED", error.to_string()))
    })
}

/// [`check`] for a history that comes operation by operation and is not kept: 17 bytes are held of a transaction (25 where
/// numbers of operations have gaps), some 13 of a micro-operation (17 where values lie more than two billion from the first
/// one), 12 of a key, and a few times as much again while it is judged.
///
/// ```
/// use fissure_checker::rw_register::{Checker, Options};
/// use fissure_checker::{Known, MopRef, Operation, Outcome, TxnRow, spill::SpillError};
/// let mut checker = Checker::default();
/// let row = TxnRow { op_id: 0, process: 0, invoke_seq: 0, complete_seq: Some(1), outcome: Outcome::Ok };
/// checker.push(row, &[MopRef::Write { key: 1, value: 10 }, MopRef::Read { key: 2, value: Some(None) }]);
/// let known = Known { real_time_order: true, origin_ns: 0, names: Default::default() };
/// let fetch = |_: &[u64]| Ok::<Vec<Operation>, SpillError>(Vec::new());
/// let result = checker.finish(&known, &Options::default(), fetch)?;
/// assert!(!result.is_invalid());
/// # Ok::<(), SpillError>(())
/// ```
#[derive(Debug, Default)]
pub struct Checker {
    intake: Intake,
    arrivals: Arrivals,
    limits: Option<Limits>,
    is_full: bool,
}

/// Bytes that a micro-operation and a transaction take while they are judged, at most about.
const BYTES_PER_MOP: u64 = 100;
const BYTES_PER_TXN: u64 = 80;

impl Checker {
    /// A checker that puts aside what does not fit, and answers `unknown`, with reason `MEMORY_SPENT`, where that is not
    /// enough.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits: Some(limits), ..Self::default() }
    }

    /// The next operation, which is a transaction. Operations come in order of invocation, and keep the invariants of a
    /// [`History`].
    pub fn push(&mut self, row: TxnRow, mops: &[MopRef<'_>]) {
        if !mops.iter().all(MopRef::is_of_register) {
            self.push_foreign(row.op_id);
            return;
        }
        self.arrivals.ops += 1;
        let mop_count = self.intake.len() + mops.len();
        let bytes = mop_count as u64 * BYTES_PER_MOP + self.arrivals.ops * BYTES_PER_TXN;
        if let Some(limits) = self.limits.as_ref().filter(|limits| bytes > limits.memory_bytes_max)
            && !self.intake.is_aside()
        {
            self.intake.put_aside(limits);
        }
        self.is_full |= mop_count >= index::NEVER as usize && !self.intake.is_aside();
        if !self.is_full && self.arrivals.ops <= TXNS_MAX as u64 {
            self.intake.push(row, mops);
        }
    }

    /// The next operation, which is no transaction.
    pub fn push_foreign(&mut self, op_id: u64) {
        self.arrivals.push_foreign(op_id);
    }

    /// Why there can be no answer.
    fn refuse<E>(&self, fetch: &mut impl FnMut(&[u64]) -> Result<Vec<Operation>, E>) -> Result<Option<Reason>, E> {
        let refused = self.arrivals.refuse("reads and writes", fetch)?;
        if refused.is_some() || !self.is_full {
            return Ok(refused);
        }
        let text = format!("{} operations with more reads and writes than fit one check", self.arrivals.ops);
        Ok(Some(Reason::new("TOO_LARGE", text)))
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
        let model = options.model.name();
        if let Some(reason) = self.refuse(&mut fetch)? {
            return Ok(CheckResult::unknown(NAME, model, reason));
        }
        if let Some(limits) = self.limits.clone().filter(|_| self.intake.is_aside()) {
            return self.finish_outside(limits, known, options, fetch);
        }
        let ops_checked = self.arrivals.ops;
        let mut columns = self.intake.finish();
        let mut found: Vec<Raw> = Vec::new();
        let order = known_order(known, options.model);
        let is_weak = judge::is_weak(options.model, order);
        let survey = |index: &Index, key: index::Key<'_>, part: &mut forward::Part| {
            if is_weak {
                part.key(index, key);
            }
        };
        let (mut index, begun) = match Index::resolve(&mut columns, &mut found, survey) {
            Ok(resolved) => resolved,
            Err(cases) => {
                let reason = duplicate_writes(&columns.txns, &cases);
                return Ok(CheckResult::unknown(NAME, model, reason).told_with(&known.names));
            }
        };
        let sources = sources_of(known, &index.columns.txns, options, order);
        let at_once = if is_weak { judge::at_once(&index, &sources, order, &found, begun) } else { Err(None) };
        let mut judged = match at_once {
            Ok(judged) => judged,
            Err(places) => {
                index.complete();
                judge::judge(&index, &sources, (order, places.as_deref()), options, &mut found)?
            }
        };
        let columns = &index.columns;
        let told = tell(known, &index, &sources, judged.found(&found), options.findings_per_anomaly, &mut fetch)?;
        let counts = Counts { txns: &columns.txns, ok_reads: columns.ok_reads, keys: columns.keys.len() as u64 };
        Ok(Answer { known, options, order, sources: &sources, counts, sights_known: true }.result(
            ops_checked,
            judged,
            told,
        ))
    }

    /// [`Checker::finish`], once micro-operations lie outside of memory.
    fn finish_outside<E: From<SpillError>>(
        self,
        limits: Limits,
        known: &Known,
        options: &Options,
        mut fetch: impl FnMut(&[u64]) -> Result<Vec<Operation>, E>,
    ) -> Result<CheckResult, E> {
        let ops_checked = self.arrivals.ops;
        let Some(aside) = self.intake.finish_aside() else { unreachable!("micro-operations lie outside of memory") };
        let mut raw: Vec<Raw> = Vec::new();
        let outside = match Outside::resolve(aside, limits, &mut raw)? {
            outside::Resolved::Each(outside) => outside,
            outside::Resolved::Duplicates(txns, cases) => {
                let reason = duplicate_writes(&txns, &cases);
                return Ok(CheckResult::unknown(NAME, options.model.name(), reason).told_with(&known.names));
            }
        };
        let order = known_order(known, options.model);
        let sources = sources_of(known, outside.txns(), options, order);
        let outside::Found { mut raw, mut judged, sights_known } = outside.judge(&sources, order, options, raw)?;
        // Groups of keys came in an order of their own.
        raw.sort_by(|a, b| a.keys().cmp(b.keys()));
        let most = options.findings_per_anomaly;
        let keys = keys_of(&raw, &judged, outside.txns(), most, &mut fetch)?;
        let index = outside.index_of(&keys)?;
        let told = tell(known, &index, &sources, judged.found(&raw), most, &mut fetch)?;
        let counts = Counts { txns: outside.txns(), ok_reads: outside.ok_reads(), keys: outside.keys };
        Ok(Answer { known, options, order, sources: &sources, counts, sights_known }.result(ops_checked, judged, told))
    }
}

/// The keys that it takes to tell what was found.
fn keys_of<E>(
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
struct Counts<'c> {
    txns: &'c Txns,
    ok_reads: u64,
    keys: u64,
}

/// What an answer is made from besides what was found.
struct Answer<'a> {
    known: &'a Known,
    options: &'a Options,
    order: Order,
    sources: &'a Sources,
    counts: Counts<'a>,
    /// Whether it is known what transactions saw of each other.
    sights_known: bool,
}

impl Answer<'_> {
    fn result(&self, ops_checked: u64, judged: Judged, told: Told) -> CheckResult {
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

fn duplicate_writes(txns: &Txns, duplicates: &[DuplicateWrite]) -> Reason {
    let cases = duplicates.iter().map(|case| (case.key, case.value, case.first, case.second)).collect();
    rows::duplicates("DUPLICATE_WRITES", "written to", cases, |txn| txns.op_id(txn))
}

/// The order that the model relies on, as far as the history knows it.
fn known_order(known: &Known, model: Model) -> Order {
    model.order().min(strongest_order(known))
}

/// The strongest order that the history knows.
fn strongest_order(known: &Known) -> Order {
    if known.real_time_order { Order::Realtime } else { Order::Process }
}

fn sources_of(known: &Known, txns: &Txns, options: &Options, order: Order) -> Sources {
    let linearizable = options.linearizable_keys && known.real_time_order;
    let asked = [
        (options.transaction_order.is_some(), sources::SUPPLIED),
        (options.wfr_keys, sources::RMW),
        (options.sequential_keys, sources::PROCESS),
        (linearizable, sources::REALTIME),
    ];
    let assumed = asked.iter().filter(|(asked, _)| *asked).fold(0, |bits, (_, source)| bits | source);
    let mut supplied = Vec::new();
    if let Some(places) = &options.transaction_order {
        let mut places: Vec<(u64, i64)> = places.clone();
        places.sort_unstable();
        let place = |txn: u32| {
            let op_id = txns.op_id(txn);
            places.binary_search_by_key(&op_id, |place| place.0).map_or(i64::MIN, |at| places[at].1)
        };
        supplied = (0..txns.len() as u32).map(place).collect();
    }
    Sources { assumed, implied: Sources::implied_by(options.model, order), supplied }
}

/// Findings in words, and how many there are of each anomaly.
struct Told {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
}

/// Everything that was found.
struct Found<'f> {
    raw: &'f [Raw],
    cycles: Vec<NamedCycle>,
    prefix: Vec<(&'static str, Cycle)>,
    weak: Vec<(Rule, bool, Weak)>,
}

impl Judged {
    /// What was found, to be told.
    fn found<'f>(&mut self, raw: &'f [Raw]) -> Found<'f> {
        let (cycles, prefix) = (std::mem::take(&mut self.cycles), std::mem::take(&mut self.prefix));
        Found { raw, cycles, prefix, weak: std::mem::take(&mut self.weak) }
    }
}

/// Tells everything once to learn which operations that takes, fetches them, and tells it again.
fn tell<E>(
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
    if !model.is_decidable() || (is_open && !invalid) {
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
