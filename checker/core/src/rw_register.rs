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
//! Rooms: `columns` takes the history in (`outside` is for what does not fit memory); `index` resolves reads to writes, key
//! by key in several `threads`; `order` knows the versions of one key, `keys` what follows from them, `sessions` what
//! processes see of themselves; `answer`, `explain` and `raw_words` put everything into sentences. Nothing recurses, nothing
//! is bounded by a time-out (the solver is bounded by steps, and says so), and no result depends on the order of a hash map.

mod answer;
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

use crate::consistency::{Model, Order};
use crate::finding::CheckResult;
use crate::op::{History, Operation};
use crate::spill::{Limits, SpillError};
use crate::transactions::Txns;
use crate::transactions::rows::{self, Arrivals, Known, MopRef, TxnRow};
use crate::transactions::txns::TXNS_MAX;
use crate::verdict::Reason;
use answer::{Answer, Counts, keys_of, tell};
use columns::Intake;
use index::{DuplicateWrite, Index};
use outside::Outside;
use raw::Raw;
use sources::Sources;

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
/// (the parts of `PRAM` hold one by one, and perhaps not together), `NO_REAL_TIME_ORDER` (the model or an assumption is about real
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
