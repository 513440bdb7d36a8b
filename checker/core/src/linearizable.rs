//! Linearizability of registers: read, write and compare-and-set over many keys.
//!
//! **What.** A history is linearizable if every operation can be given one moment between its invocation and its completion so
//! that, in the order of these moments, each key behaves as a plain register (Herlihy and Wing). The property is
//! local: it holds for the whole if and only if it holds for each key, so keys are judged one by one, in parallel.
//!
//! **What operations mean.** `ok`: it took effect between invocation and completion, with this result. `fail`: it certainly did not
//! take effect. `info`: it took effect at any time after its invocation, or never; an `info` read says nothing.
//!
//! **How.** Per key, the first of these that settles it; all of them are sound, and together they are complete:
//! 1. `patterns`: contradictions with a name (`garbage-read`, `stale-read`, `lost-write`), without search, O(n log n);
//! 2. `zones`: where written values are unique and there is no `cas`, Gibbons and Korach's test, O(n log n), both ways;
//! 3. `search`: just-in-time linearization over sets of configurations, with the reductions that registers allow. Time is
//!    exponential in the concurrency at worst (the problem is NP-complete when values repeat), memory is bounded by a
//!    budget; when the budget is spent the answer is `unknown` and says how far it came.
//!
//! **What it cannot see.** Order across hosts other than that of recorded events: if two clients on different hosts were recorded with
//! different clocks, the import must have made one total order of them.
//!
//! **Evidence.** A violation is explained by the pattern, or by a set of operations made small by leaving out reads, and writes
//! that nobody sees, as long as the rest is still not linearizable. Leaving these out never makes a linearizable
//! history look broken, so the small set proves the whole wrong.

mod config;
mod explain;
mod minimise;
mod patterns;
mod prepare;
mod search;
#[cfg(test)]
mod tests;
mod zones;

use crate::finding::{CheckResult, Finding};
use crate::op::{Call, History, Outcome};
use crate::verdict::{Reason, Validity, Verdict};
use prepare::KeyHistory;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Name of the checker in results.
pub const CHECKER: &str = "linearizable-register";

/// `error_code` of a `cas` that found another value than it expected.
pub const CAS_MISMATCH: &str = "cas-mismatch";

/// What the checker assumes, and what it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What every register holds before the history begins; `None`: never written, so that a read sees `nil`.
    pub initial: Option<i64>,
    /// Take a `fail` of a `cas` whose `error_code` is [`CAS_MISMATCH`] as the observation that the register did not hold the
    /// expected value at some moment in between. Off by default: a client may say so without having looked.
    pub failed_cas_observes: bool,
    /// Configurations that may be made for one key.
    pub budget_states: u64,
    /// Bytes for the search of all keys that are judged at one time (the history itself and its numbers are not counted).
    pub budget_bytes: u64,
    /// Threads; 0: as many as the machine offers. The result does not depend on it.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            initial: None,
            failed_cas_observes: false,
            budget_states: 200_000_000,
            budget_bytes: 2 << 30,
            threads: 0,
        }
    }
}

/// A linearization of each key that was found linearizable: `op_id`s in the order of their moments. `info`
/// operations that did not take effect, and operations that constrain nothing, are left out.
pub type Witness = BTreeMap<i64, Vec<u64>>;

/// Judges the single-register operations of a history; transactions in it are not looked at.
///
/// The answer is `unknown` with the reason `NOTHING_CHECKED` if there is no such operation, `NO_OK_READS` if none of them
/// saw a value, `NO_REAL_TIME_ORDER` if the history knows only the order within processes, `BUDGET_SPENT` if a key could
/// not be decided within the budget.
#[must_use]
pub fn check_register(history: &History, options: &Options) -> CheckResult {
    check(history, options, false).0
}

/// The same, and for each key that is linearizable an order that shows it, to be checked by whoever doubts. Slower:
/// always searches, and records every step within the budget.
#[must_use]
pub fn check_register_with_witness(history: &History, options: &Options) -> (CheckResult, Witness) {
    check(history, options, true)
}

/// What settled a key, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Linearizable(Option<Vec<u32>>),
    Pattern(patterns::Pattern),
    Conflict(Vec<prepare::ValueId>),
    Violation(search::Violation),
    Spent { events: u64, what: String },
    Panicked(String),
}

/// The algorithm that settled a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Patterns,
    Zones,
    Search,
}

/// A key with its answer.
struct Judged {
    key: i64,
    ops: KeyHistory,
    answer: Answer,
    algorithm: Algorithm,
}

fn check(history: &History, options: &Options, witness: bool) -> (CheckResult, Witness) {
    let by_key = partition(history);
    if by_key.is_empty() {
        let reason = Reason::new("NOTHING_CHECKED", "the history has no operation on a register");
        return (CheckResult::unknown(CHECKER, "linearizable", reason), Witness::new());
    }
    if !history.has_real_time_order() {
        let text = "the history knows nothing of real time, which linearizability is about";
        let reason = Reason::new("NO_REAL_TIME_ORDER", text);
        return (CheckResult::unknown(CHECKER, "linearizable", reason), Witness::new());
    }
    let judged = judge_all(history, &by_key, options, witness);
    let mut verdict = Verdict::valid();
    let mut witnesses = Witness::new();
    for key in &judged {
        match &key.answer {
            Answer::Linearizable(Some(order)) => {
                let ids = order.iter().map(|&op| op_id(history, &key.ops, op)).collect();
                witnesses.insert(key.key, ids);
            }
            Answer::Linearizable(None) => {}
            Answer::Spent { events, what } => verdict = verdict.merge(Verdict::unknown(spent(key, *events, what))),
            Answer::Panicked(text) => {
                let text = format!("key {}: the checker failed: {text}", key.key);
                verdict = verdict.merge(Verdict::unknown(Reason::new("CHECKER_PANICKED", text)));
            }
            Answer::Pattern(_) | Answer::Conflict(_) | Answer::Violation(_) => {
                verdict = verdict.merge(Verdict::invalid())
            }
        }
    }
    let reads_checked = judged.iter().map(|key| u64::from(key.ops.observers)).sum();
    if reads_checked == 0 && verdict.validity == Validity::Valid {
        verdict =
            Verdict::unknown(Reason::new("NO_OK_READS", "no operation saw a value: nothing could have gone wrong"));
    }
    let findings = explain::findings(history, &judged);
    let result = CheckResult {
        checker: CHECKER.to_owned(),
        model: "linearizable".to_owned(),
        verdict,
        ops_checked: judged.iter().map(|key| key.ops.ops.len() as u64).sum(),
        reads_checked,
        partitions: judged.len() as u64,
        anomaly_types: findings.iter().map(|finding: &Finding| finding.anomaly.clone()).collect(),
        not: if findings.is_empty() { BTreeSet::new() } else { BTreeSet::from(["linearizable".to_owned()]) },
        also_not: if findings.is_empty() {
            BTreeSet::new()
        } else {
            BTreeSet::from(["strict-serializable".to_owned()])
        },
        levels: Vec::new(),
        findings,
        evidence: evidence(&judged, reads_checked),
    };
    (result.told_with(history.names()), witnesses)
}

fn op_id(history: &History, key: &KeyHistory, op: u32) -> u64 {
    history.ops()[key.ops[op as usize].source as usize].op_id
}

fn spent(key: &Judged, events: u64, what: &str) -> Reason {
    let text = format!(
        "key {}: the budget ({what}) was spent after {events} of {} events: not decided",
        key.key,
        key.ops.events.len()
    );
    Reason::new("BUDGET_SPENT", text)
}

fn evidence(judged: &[Judged], reads: u64) -> String {
    let ops: usize = judged.iter().map(|key| key.ops.ops.len()).sum();
    let keys = if judged.len() == 1 { "1 key".to_owned() } else { format!("{} keys", judged.len()) };
    let mut text = format!("{ops} operations on {keys}, {reads} saw a value");
    let names = [(Algorithm::Zones, "by zones"), (Algorithm::Search, "by search"), (Algorithm::Patterns, "by pattern")];
    for (algorithm, name) in names {
        let count = judged.iter().filter(|key| key.algorithm == algorithm).count();
        if count > 0 {
            text.push_str(&format!(", {count} {name}"));
        }
    }
    text
}

/// Places in `history.ops()` of the register operations, by key.
fn partition(history: &History) -> Vec<(i64, Vec<u32>)> {
    let mut places: rustc_hash::FxHashMap<i64, usize> = rustc_hash::FxHashMap::default();
    let mut by_key: Vec<(i64, Vec<u32>)> = Vec::new();
    for (source, op) in history.ops().iter().enumerate() {
        let (Call::Read { key, .. } | Call::Write { key, .. } | Call::Cas { key, .. }) = op.call else { continue };
        if op.outcome == Outcome::Fail && !matches!(op.call, Call::Cas { .. }) {
            continue;
        }
        let place = *places.entry(key).or_insert_with(|| {
            by_key.push((key, Vec::new()));
            by_key.len() - 1
        });
        by_key[place].1.push(source as u32);
    }
    by_key.sort_unstable_by_key(|entry| entry.0);
    by_key
}

/// Judges the keys, the largest first, on several threads; the result is in order of keys.
fn judge_all(history: &History, by_key: &[(i64, Vec<u32>)], options: &Options, witness: bool) -> Vec<Judged> {
    let offered = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if options.threads == 0 { offered } else { options.threads }.clamp(1, by_key.len());
    let limits = search::Limits {
        states: options.budget_states,
        bytes: options.budget_bytes / threads as u64,
        witness,
        exact_states: false,
    };
    let mut largest_first: Vec<usize> = (0..by_key.len()).collect();
    largest_first.sort_by_key(|&at| std::cmp::Reverse(by_key[at].1.len()));
    let turn = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Judged)>> = Mutex::new(Vec::with_capacity(by_key.len()));
    let work = || {
        let mut mine = Vec::new();
        while let Some(&at) = largest_first.get(turn.fetch_add(1, Ordering::Relaxed)) {
            let (key, members) = &by_key[at];
            mine.push((at, judge_or_panic(history, *key, members, options, limits)));
        }
        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
    };
    if threads == 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|entry| entry.0);
    done.into_iter().map(|entry| entry.1).collect()
}

/// A panic in one key is a doubt about that key, and must not hide what the others show.
fn judge_or_panic(history: &History, key: i64, members: &[u32], options: &Options, limits: search::Limits) -> Judged {
    let judged = std::panic::catch_unwind(|| {
        let ops = KeyHistory::new(history.ops(), members, options);
        let (answer, algorithm) = judge(&ops, limits);
        Judged { key, ops, answer, algorithm }
    });
    judged.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        let answer = Answer::Panicked(text.unwrap_or_else(|| "panic".to_owned()));
        Judged { key, ops: KeyHistory::default(), answer, algorithm: Algorithm::Search }
    })
}

fn judge(ops: &KeyHistory, limits: search::Limits) -> (Answer, Algorithm) {
    if let Some(pattern) = patterns::find(ops) {
        return (Answer::Pattern(pattern), Algorithm::Patterns);
    }
    if !limits.witness {
        match zones::check(ops) {
            zones::Zones::Linearizable => return (Answer::Linearizable(None), Algorithm::Zones),
            zones::Zones::Conflict(values) => return (Answer::Conflict(values), Algorithm::Zones),
            zones::Zones::NotApplicable => {}
        }
    }
    let answer = match search::search(ops, limits).outcome {
        search::Outcome::Linearizable(order) => Answer::Linearizable(order),
        search::Outcome::Violation(violation) => Answer::Violation(violation),
        search::Outcome::Spent { events, what } => Answer::Spent { events, what },
    };
    (answer, Algorithm::Search)
}
