//! Anomalies in sentences that a person can check by hand, in the form of [`crate::transactions::words`].

use super::NAME;
use super::index::Index;
use super::order::{KeyOrder, VersionEdge};
use super::raw::{Raw, Reason};
use super::raw_words;
use super::sources::{FIRST_SEEN, PROCESS, REALTIME, RMW, SUPPLIED, Sources};
use super::weak::{Rule, Shown};
use crate::finding::Finding;
use crate::op::{Mop, Operation, Outcome};
use crate::transactions::NONE;
use crate::transactions::cycles::Step;
use crate::transactions::graph::{RW, WR, WW};
use crate::transactions::words::{self, Because, Narrate};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Puts anomalies into words.
pub(super) struct Narrator<'i> {
    pub(super) index: &'i Index,
    /// Those that are at hand.
    ops: BTreeMap<u32, Operation>,
    /// Transactions that were asked for and are not at hand: what was said of them is void.
    missing: RefCell<BTreeSet<u32>>,
    /// Stands for what is missing.
    nobody: Operation,
    origin_ns: i64,
    sources: &'i Sources,
    order: KeyOrder,
    /// The key that `order` holds.
    loaded: u32,
}

impl<'i> Narrator<'i> {
    pub(super) fn new(index: &'i Index, origin_ns: i64, sources: &'i Sources) -> Self {
        Self {
            index,
            ops: BTreeMap::new(),
            missing: RefCell::default(),
            nobody: index.columns.txns.bare_operation(0),
            origin_ns,
            sources,
            order: KeyOrder::default(),
            loaded: NONE,
        }
    }

    /// The transactions that were asked for and are not at hand; they are forgotten here.
    pub(super) fn take_missing(&mut self) -> BTreeSet<u32> {
        std::mem::take(self.missing.get_mut())
    }

    /// Puts a transaction at hand.
    pub(super) fn learn(&mut self, txn: u32, op: Operation) {
        self.ops.insert(txn, op);
    }

    /// The finding for an anomaly that is no cycle.
    pub(super) fn raw(&mut self, number: u64, raw: &Raw) -> Finding {
        let told = raw_words::words_raw(self, raw);
        let mut explanation = vec!["Let:".to_owned()];
        for (place, txn) in told.txns.iter().enumerate().take(8) {
            let interest = |mop: &Mop| told.key.is_none() || mop.key() == told.key;
            explanation.push(format!("  T{} = {}", place + 1, self.operation(*txn, interest)));
        }
        if told.txns.len() > 8 {
            explanation.push(format!("  … {} more transactions", told.txns.len() - 8));
        }
        explanation.push("Then:".to_owned());
        explanation.extend(told.facts.iter().map(|fact| format!("  {fact}")));
        explanation.push(format!("  However, {}: a contradiction", told.contradiction));
        Finding {
            id: format!("{}-{number}", raw.name()),
            checker: NAME.to_owned(),
            anomaly: raw.name().to_owned(),
            summary: told.summary,
            explanation,
            ops: told.txns.iter().map(|txn| self.op(*txn).op_id).collect(),
            key: told.key,
            cycle: Vec::new(),
        }
    }

    fn operation(&self, txn: u32, interest: impl Fn(&Mop) -> bool) -> String {
        let op = self.op(txn);
        words::operation(op, interest, |one| mop(op.outcome, one))
    }

    /// Makes `order` that of a key.
    fn load(&mut self, key: u32) {
        if self.loaded != key {
            self.order.load(self.index, key);
            self.order.arrange(self.index, key, self.sources, &mut Vec::new());
            self.loaded = key;
        }
    }

    fn wr(&self, step: Step, from: &str, to: &str) -> Option<Because> {
        let columns = &self.index.columns;
        let read = columns.mops(step.to).find(|mop| {
            let met = !columns.is_write(*mop) && ![0, NONE].contains(&self.index.version(*mop));
            met && columns.txn(self.index.write_of(*mop) as usize) == step.from
        })?;
        let (key, value) = (columns.keys[columns.key(read) as usize], columns.value(read));
        let words = format!("{to} read {from}'s write of {value} to key {key}");
        Some(Because { step, key: Some(key), value: Some(value), value_next: Some(value), words })
    }

    fn overwrite(&mut self, step: Step, from: &str, to: &str) -> Option<Because> {
        let index = self.index;
        let columns = &index.columns;
        let external = |txn: u32| columns.mops(txn).filter(|mop| columns.is_external(*mop));
        for write in external(step.to).filter(|mop| columns.is_write(*mop)) {
            let key = columns.key(write);
            let wanted = |mop: &usize| columns.key(*mop) == key && columns.is_write(*mop) == (step.label == WW);
            let Some(before) = external(step.from).find(wanted) else { continue };
            let (version, version_next) = (index.version(before), index.version(write));
            if version == NONE || version_next == NONE {
                continue;
            }
            self.load(key);
            let Some(edge) = self.order.edge(version, version_next) else { continue };
            return Some(self.because(step, key, edge, from, to));
        }
        None
    }

    fn because(&self, step: Step, key: u32, edge: VersionEdge, from: &str, to: &str) -> Because {
        let name = self.index.columns.keys[key as usize];
        let (value, next) = (self.order.value_of(edge.from), self.order.value[edge.to as usize]);
        let reason = self.order.reason(self.index, &edge);
        let how = self.how(reason, &edge, (step.from, from), (step.to, to));
        let words = match (step.label, value) {
            (WW, Some(value)) => format!("{to} wrote {next} to key {name} after {from} wrote {value}{how}"),
            (_, Some(value)) => {
                format!("{from} read key {name} as {value} and {to} wrote {next} to it after {value}{how}")
            }
            (_, None) => format!("{from} read key {name} as nil and {to} wrote {next} to it"),
        };
        Because { step, key: Some(name), value, value_next: Some(next), words }
    }

    /// How the order of two versions is known.
    fn how(&self, reason: Reason, edge: &VersionEdge, from: (u32, &str), to: (u32, &str)) -> String {
        let called = |txn: u32| match txn {
            txn if txn == from.0 => from.1.to_owned(),
            txn if txn == to.0 => to.1.to_owned(),
            txn => format!("operation {}", self.op(txn).op_id),
        };
        let (value, next) = (self.order.value[edge.from as usize], self.order.value[edge.to as usize]);
        let met = |version: u32, txn: u32| if self.order.writer[version as usize] == txn { "wrote" } else { "read" };
        match reason.source {
            RMW => format!(" ({} read {value} before it wrote {next})", called(reason.later)),
            SUPPLIED => " (in the given order of transactions)".to_owned(),
            PROCESS if reason.earlier != NONE => format!(
                " (process {} {} {value} in {}, then {} {next} in {})",
                self.op(reason.earlier).process,
                met(edge.from, reason.earlier),
                called(reason.earlier),
                met(edge.to, reason.later),
                called(reason.later),
            ),
            REALTIME => {
                let (earlier, later) = (called(reason.earlier), called(reason.later));
                let (first, second) = (self.op(reason.earlier), self.op(reason.later));
                let order = words::before(self.origin_ns, first, &earlier, second, &later);
                let (wrote, wrote_next) = (met(edge.from, reason.earlier), met(edge.to, reason.later));
                format!(" ({earlier} {wrote} {value}, {later} {wrote_next} {next}, and {order})")
            }
            FIRST_SEEN => " (in the order in which they were first seen; other reads contradict it)".to_owned(),
            _ => String::new(),
        }
    }
}

/// Puts contradictions at weak levels into words: ww steps are orders of writers that readers show.
pub(super) struct WeakNarrator<'n, 'i> {
    pub(super) inner: &'n mut Narrator<'i>,
    pub(super) shown: &'n [Shown],
    pub(super) rule: Rule,
}

impl Narrate for WeakNarrator<'_, '_> {
    fn checker(&self) -> &'static str {
        NAME
    }

    fn origin_ns(&self) -> i64 {
        self.inner.origin_ns
    }

    fn op(&self, txn: u32) -> &Operation {
        self.inner.op(txn)
    }

    fn data(&mut self, step: Step, from: &str, to: &str) -> Option<Because> {
        if step.label != WW {
            return self.inner.data(step, from, to);
        }
        let place = self.shown.binary_search_by_key(&(step.from, step.to), |shown| (shown.before, shown.after)).ok()?;
        let Shown { reader, key, .. } = self.shown[place];
        let columns = &self.inner.index.columns;
        let written = |txn: u32| {
            let write = |mop: &usize| columns.key(*mop) == key && columns.is_write(*mop) && columns.is_external(*mop);
            columns.mops(txn).find(write).map(|mop| columns.value(mop))
        };
        let (before, after, key) = (written(step.from)?, written(step.to)?, columns.keys[key as usize]);
        let saw = match self.rule {
            Rule::Monotonic => format!("saw {from} and then"),
            Rule::Atomic => format!("saw {from} and"),
            Rule::Causal => format!("depends on {from} and"),
        };
        let reader = self.op(reader).op_id;
        let words = format!(
            "operation {reader} {saw} read key {key} as {to}'s {after}, so that {from}'s write of {before} to it must \
             come before {after}"
        );
        Some(Because { step, key: Some(key), value: Some(before), value_next: Some(after), words })
    }

    fn describe(&self, txn: u32, reasons: &[&Because]) -> String {
        self.inner.describe(txn, reasons)
    }

    fn stale(&self, version: Option<i64>, overwritten_by: i64) -> (String, String) {
        self.inner.stale(version, overwritten_by)
    }

    fn nothing(&self) -> &'static str {
        self.inner.nothing()
    }
}

/// A version: its value, or nil for the initial one.
pub(super) fn version(value: Option<i64>) -> String {
    value.map_or("nil".to_owned(), |value| value.to_string())
}

/// A micro-operation in words.
fn mop(outcome: Outcome, mop: &Mop) -> String {
    match *mop {
        Mop::Write { key, value } => format!("write {value} to key {key}"),
        Mop::Read { key, value: Some(value) } if outcome == Outcome::Ok => {
            format!("read key {key} as {}", version(value))
        }
        Mop::Read { key, .. } => format!("read key {key}, result unknown"),
        _ => "something else".to_owned(),
    }
}

impl Narrate for Narrator<'_> {
    fn checker(&self) -> &'static str {
        NAME
    }

    fn origin_ns(&self) -> i64 {
        self.origin_ns
    }

    fn op(&self, txn: u32) -> &Operation {
        self.ops.get(&txn).unwrap_or_else(|| {
            self.missing.borrow_mut().insert(txn);
            &self.nobody
        })
    }

    fn data(&mut self, step: Step, from: &str, to: &str) -> Option<Because> {
        match step.label {
            WR => self.wr(step, from, to),
            WW | RW => self.overwrite(step, from, to),
            _ => None,
        }
    }

    fn describe(&self, txn: u32, reasons: &[&Because]) -> String {
        let interest = |mop: &Mop| {
            reasons.iter().any(|reason| {
                mop.key() == reason.key
                    && match mop {
                        Mop::Write { value, .. } => [reason.value, reason.value_next].contains(&Some(*value)),
                        _ => true,
                    }
            })
        };
        self.operation(txn, interest)
    }

    fn stale(&self, version: Option<i64>, overwritten_by: i64) -> (String, String) {
        (self::version(version), format!("the write of {overwritten_by}"))
    }

    fn nothing(&self) -> &'static str {
        "nil"
    }
}
