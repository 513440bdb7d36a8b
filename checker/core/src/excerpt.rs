//! Excerpts: the few operations of a history that are enough to show a finding.
//!
//! A finding names the transactions of its contradiction. Why they contradict each other is told by others: who wrote
//! what they read, and, of a list, the read that tells the order of its versions. An excerpt is a history of the
//! finding's operations as they were recorded and of these others, of which only the micro-operations that matter are
//! kept. Places, times and numbers of operations are those of the whole history.
//!
//! Invariant: an excerpt was judged. On its own it has the same anomaly, and no kind of anomaly that those of the whole
//! history do not imply; without any one of the operations beside the finding's it would not (unless the budget of steps was spent before
//! that was tried). The anomaly is among the finding's operations alone, unless the checker prefers another one of its kind
//! that goes through them. Steps are counted, not timed: the same history has the same excerpt.

#[cfg(test)]
mod tests;

use crate::consistency::implied_anomalies;
use crate::finding::{CheckResult, Finding};
use crate::op::{Call, History, Mop, Operation, Outcome};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Micro-operations that are judged for one excerpt, at most, while it is made smaller.
const STEPS_MAX: u64 = 2_000_000;
/// Micro-operations from which on a candidate is not judged: nobody would read such an excerpt.
const MOPS_MAX: u64 = 500_000;

/// Makes excerpts of one history for some of its findings.
#[derive(Debug)]
pub struct Excerpts<'h> {
    history: &'h History,
    /// The operations on each key that a finding's operation touches, by place in the history.
    by_key: FxHashMap<i64, Vec<usize>>,
}

impl<'h> Excerpts<'h> {
    /// Looks through the history once, for the keys of these findings. O(micro-operations).
    #[must_use]
    pub fn new<'f>(history: &'h History, findings: impl IntoIterator<Item = &'f Finding>) -> Self {
        let mut by_key: FxHashMap<i64, Vec<usize>> = FxHashMap::default();
        for finding in findings {
            for op in places(history, finding) {
                for mop in mops(&history.ops()[op]) {
                    by_key.extend(mop.key().map(|key| (key, Vec::new())));
                }
            }
        }
        for (place, op) in history.ops().iter().enumerate() {
            for key in mops(op).iter().filter_map(Mop::key) {
                if let Some(places) = by_key.get_mut(&key)
                    && places.last() != Some(&place)
                {
                    places.push(place);
                }
            }
        }
        Self { history, by_key }
    }

    /// The excerpt for a finding of `result`; `judge` is the checker that made it, with the same options.
    ///
    /// `None` if the finding is not about transactions, or if no excerpt that this module can think of shows it on its own.
    /// Judges small histories: two million micro-operations of them at most, after the first four.
    #[must_use]
    pub fn of(
        &self,
        finding: &Finding,
        result: &CheckResult,
        judge: impl Fn(&History) -> CheckResult,
    ) -> Option<History> {
        let whole = places(self.history, finding);
        let is_txn = |place: &usize| matches!(self.history.ops()[*place].call, Call::Txn(_));
        if whole.is_empty() || !whole.iter().all(is_txn) {
            return None;
        }
        let trial = Trial { excerpts: self, finding, whole, allowed: allowed(result), judge };
        let (evidence, neighbours) = (trial.evidence(), trial.neighbours());
        let attempts = [
            (Shown::Exactly, &evidence),
            (Shown::Exactly, &neighbours),
            (Shown::Partly, &evidence),
            (Shown::Partly, &neighbours),
        ];
        let (least, first) = attempts.into_iter().find(|(least, beside)| trial.shows(beside) >= *least)?;
        Some(trial.history(&trial.shrink(first.clone(), least)))
    }
}

/// The anomalies of a result, and what they imply.
fn allowed(result: &CheckResult) -> BTreeSet<String> {
    let implied = result.anomaly_types.iter().flat_map(|name| implied_anomalies(name)).map(str::to_owned);
    result.anomaly_types.iter().cloned().chain(implied).collect()
}

/// How much of a finding a smaller history shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Not,
    /// The same anomaly, and at least one operation of the finding takes part.
    Partly,
    /// The same anomaly among operations of the finding alone.
    Exactly,
}

/// Places in the history of a finding's operations, in order.
fn places(history: &History, finding: &Finding) -> Vec<usize> {
    let ops = history.ops();
    let place = |op_id: &u64| ops.binary_search_by_key(op_id, |op| op.op_id).ok();
    let places: BTreeSet<usize> = finding.ops.iter().filter_map(place).collect();
    places.into_iter().collect()
}

fn mops(op: &Operation) -> &[Mop] {
    match &op.call {
        Call::Txn(mops) => mops,
        _ => &[],
    }
}

/// The value that a micro-operation wrote to a key.
fn written(mop: &Mop) -> Option<(i64, i64)> {
    match *mop {
        Mop::Append { key, value } | Mop::Write { key, value } | Mop::Insert { key, value } => Some((key, value)),
        _ => None,
    }
}

/// The values of keys that a micro-operation saw.
fn seen(mop: &Mop) -> Vec<(i64, i64)> {
    match mop {
        Mop::ReadList { key, list: Some(list) } => list.iter().map(|value| (*key, *value)).collect(),
        Mop::Read { key, value: Some(Some(value)) } => vec![(*key, *value)],
        Mop::ReadPredicate { matched: Some(matched), .. } => matched.clone(),
        _ => Vec::new(),
    }
}

/// Operations beside the finding's, by place, each with the places of the micro-operations that are kept of it.
type Beside = BTreeMap<usize, BTreeSet<usize>>;

/// The search for one excerpt.
struct Trial<'t, 'h, J> {
    excerpts: &'t Excerpts<'h>,
    finding: &'t Finding,
    whole: Vec<usize>,
    allowed: BTreeSet<String>,
    judge: J,
}

impl<'h, J: Fn(&History) -> CheckResult> Trial<'_, 'h, J> {
    fn ops(&self) -> &'h [Operation] {
        self.excerpts.history.ops()
    }

    /// The keys that the finding is about; those of its operations if it names none.
    fn keys(&self) -> BTreeSet<i64> {
        let named = self.finding.cycle.iter().filter_map(|edge| edge.key).chain(self.finding.key);
        let keys: BTreeSet<i64> = named.collect();
        if !keys.is_empty() {
            return keys;
        }
        self.whole.iter().flat_map(|place| mops(&self.ops()[*place])).filter_map(Mop::key).collect()
    }

    /// Operations of a key, in order.
    fn on(&self, key: i64) -> &[usize] {
        self.excerpts.by_key.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The longest reads of the keys, and the writers of everything that is read.
    fn evidence(&self) -> Beside {
        let mut beside = Beside::new();
        let mut wanted: BTreeSet<(i64, i64)> = BTreeSet::new();
        for place in &self.whole {
            wanted.extend(mops(&self.ops()[*place]).iter().flat_map(seen));
        }
        for key in self.keys() {
            if let Some((place, number)) = self.longest_read(key) {
                wanted.extend(seen(&mops(&self.ops()[place])[number]));
                self.keep(&mut beside, place, number);
            }
        }
        let keys: BTreeSet<i64> = wanted.iter().map(|(key, _)| *key).collect();
        for place in keys.into_iter().flat_map(|key| self.on(key)) {
            for (number, mop) in mops(&self.ops()[*place]).iter().enumerate() {
                if written(mop).is_some_and(|version| wanted.contains(&version)) {
                    self.keep(&mut beside, *place, number);
                }
            }
        }
        beside
    }

    /// Everything that was done to the keys, and the writers of what the finding's operations read of others.
    fn neighbours(&self) -> Beside {
        let mut beside = self.evidence();
        let keys = self.keys();
        for place in keys.iter().flat_map(|key| self.on(*key)) {
            for (number, mop) in mops(&self.ops()[*place]).iter().enumerate() {
                if mop.key().is_some_and(|key| keys.contains(&key)) {
                    self.keep(&mut beside, *place, number);
                }
            }
        }
        beside
    }

    fn keep(&self, beside: &mut Beside, place: usize, number: usize) {
        if self.whole.binary_search(&place).is_err() {
            beside.entry(place).or_default().insert(number);
        }
    }

    /// The first of the longest lists that were read of a key, by `ok` and `info` operations.
    fn longest_read(&self, key: i64) -> Option<(usize, usize)> {
        let mut longest: Option<(usize, (usize, usize))> = None;
        for place in self.on(key).iter().copied().filter(|place| self.ops()[*place].outcome != Outcome::Fail) {
            for (number, mop) in mops(&self.ops()[place]).iter().enumerate() {
                let Mop::ReadList { key: of, list: Some(list) } = mop else { continue };
                if *of == key && longest.is_none_or(|(length, _)| list.len() > length) {
                    longest = Some((list.len(), (place, number)));
                }
            }
        }
        longest.map(|(_, place)| place)
    }

    /// The finding's operations and these, as a history.
    fn history(&self, beside: &Beside) -> History {
        let mut places: Vec<usize> = self.whole.iter().copied().chain(beside.keys().copied()).collect();
        places.sort_unstable();
        let ops = places.into_iter().map(|place| {
            let mut op = self.ops()[place].clone();
            if let (Some(kept), Call::Txn(mops)) = (beside.get(&place), &mut op.call) {
                let mut number = 0..;
                mops.retain(|_| number.next().is_some_and(|number: usize| kept.contains(&number)));
            }
            op
        });
        self.excerpts.history.with_only(ops.collect())
    }

    fn steps(&self, beside: &Beside) -> u64 {
        let whole: usize = self.whole.iter().map(|place| mops(&self.ops()[*place]).len()).sum();
        (whole + beside.values().map(BTreeSet::len).sum::<usize>()) as u64
    }

    /// Whether the anomaly is still there.
    fn shows(&self, beside: &Beside) -> Shown {
        if self.steps(beside) > MOPS_MAX {
            return Shown::Not;
        }
        let result = (self.judge)(&self.history(beside));
        if !result.anomaly_types.is_subset(&self.allowed) {
            return Shown::Not;
        }
        let of_finding = |op_id: &u64| self.finding.ops.contains(op_id);
        let shown = |found: &Finding| match found.ops.iter().all(of_finding) {
            true => Shown::Exactly,
            false if found.ops.iter().any(of_finding) => Shown::Partly,
            false => Shown::Not,
        };
        let same = result.findings.iter().filter(|found| found.anomaly == self.finding.anomaly);
        same.map(shown).max().unwrap_or(Shown::Not)
    }

    /// Leaves out whatever can be left out: halves first, then smaller parts, then single operations, until none can.
    fn shrink(&self, mut beside: Beside, least: Shown) -> Beside {
        let mut steps = STEPS_MAX;
        let mut size = beside.len().div_ceil(2);
        while size > 0 {
            let mut first = 0;
            let mut smaller = false;
            while first < beside.len() {
                let cost = self.steps(&beside);
                if cost > steps {
                    return beside;
                }
                steps -= cost;
                let mut less = beside.clone();
                for place in beside.keys().skip(first).take(size) {
                    less.remove(place);
                }
                if self.shows(&less) >= least {
                    beside = less;
                    smaller = true;
                } else {
                    first += size;
                }
            }
            // One that could not be left out may be superfluous once another one is gone.
            size = if size == 1 && smaller { 1 } else { size / 2 };
        }
        beside
    }
}
