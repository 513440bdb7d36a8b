//! Anomalies in sentences that a person can check by hand.
//!
//! Every explanation has two parts. `Let:` names the transactions; `Then:` gives one reason a line, the last of which
//! starts with `However,` and ends in a contradiction.

use super::intake::seen;
use super::raw::Raw;
use super::versions::Versions;
use super::{NAME, words};
use crate::finding::{Edge, EdgeKind, Finding};
use crate::op::{Call, Mop, Operation};
use crate::transactions::cycles::{Cycle, Step};
use crate::transactions::graph::{PROCESS, REALTIME, RW, WR, WW};
use std::collections::{BTreeMap, BTreeSet};

/// Puts anomalies into words.
pub(super) struct Narrator<'k> {
    /// The operations that findings are about.
    ops: BTreeMap<u32, Operation>,
    origin_ns: i64,
    /// Keys by their numbers.
    pub(super) keys: &'k [i64],
    /// The keys that they touch.
    versions: BTreeMap<i64, Versions>,
}

/// Why one transaction precedes another, found again in their micro-operations.
#[derive(Clone, Debug)]
struct Because {
    step: Step,
    key: Option<i64>,
    value: Option<i64>,
    value_next: Option<i64>,
    words: Vec<String>,
}

impl<'k> Narrator<'k> {
    pub(super) fn new(
        ops: BTreeMap<u32, Operation>,
        origin_ns: i64,
        keys: &'k [i64],
        versions: BTreeMap<i64, Versions>,
    ) -> Self {
        Self { ops, origin_ns, keys, versions }
    }

    /// The versions of a key that the operations touch.
    pub(super) fn versions(&self, key: i64) -> Option<&Versions> {
        self.versions.get(&key)
    }

    pub(super) fn op(&self, txn: u32) -> &Operation {
        &self.ops[&txn]
    }

    /// The finding for a cycle.
    pub(super) fn cycle(&mut self, number: u64, cycle: &Cycle) -> Finding {
        let steps = rotate(&cycle.steps);
        let names: Vec<String> = (1..=steps.len()).map(|number| format!("T{number}")).collect();
        let name = |place: usize| names[place % names.len()].as_str();
        let reasons: Vec<Because> =
            steps.iter().enumerate().map(|(place, step)| self.because(*step, name(place), name(place + 1))).collect();

        let mut explanation = vec!["Let:".to_owned()];
        for (place, step) in steps.iter().enumerate() {
            let before = &reasons[(place + steps.len() - 1) % steps.len()];
            let interest = [before, &reasons[place]];
            explanation.push(format!("  {} = {}", name(place), self.let_line(step.from, &interest)));
        }
        explanation.push("Then:".to_owned());
        for (place, reason) in reasons.iter().enumerate() {
            let sentence = format!("{} < {}, because {}", name(place), name(place + 1), reason.words.concat());
            if place + 1 == reasons.len() {
                explanation.push(format!("  However, {sentence}: a contradiction"));
            } else {
                explanation.push(format!("  {sentence}"));
            }
        }
        let keys: BTreeSet<i64> = reasons.iter().filter_map(|reason| reason.key).collect();
        let anomaly = cycle.kind.name();
        Finding {
            id: format!("{anomaly}-{number}"),
            checker: NAME.to_owned(),
            anomaly: anomaly.to_owned(),
            summary: self.summary(&reasons),
            explanation,
            ops: steps.iter().map(|step| self.op(step.from).op_id).collect(),
            key: if keys.len() == 1 { keys.first().copied() } else { None },
            cycle: reasons.iter().map(|reason| self.edge(reason)).collect(),
        }
    }

    fn edge(&self, reason: &Because) -> Edge {
        let Because { step, key, value, value_next, .. } = reason;
        let (from, to) = (self.op(step.from).op_id, self.op(step.to).op_id);
        Edge { from, to, kind: kind(step.label), key: *key, value: *value, value_next: *value_next }
    }

    fn let_line(&self, txn: u32, reasons: &[&Because]) -> String {
        let interest = |mop: &Mop| {
            reasons.iter().any(|reason| {
                mop.key() == reason.key
                    && match mop {
                        Mop::Append { value, .. } => [reason.value, reason.value_next].contains(&Some(*value)),
                        _ => true,
                    }
            })
        };
        let focus: Vec<i64> = reasons.iter().flat_map(|reason| [reason.value, reason.value_next]).flatten().collect();
        words::operation(self.op(txn), interest, &focus)
    }

    fn because(&mut self, step: Step, from: &str, to: &str) -> Because {
        let found = match step.label {
            WW => self.ww(step, from, to),
            WR => self.wr(step, from, to),
            RW => self.rw(step, from, to),
            _ => None,
        };
        let (earlier, later) = (self.op(step.from), self.op(step.to));
        found.unwrap_or_else(|| {
            let words = if step.label == PROCESS {
                vec![format!("process {} completed {from} before it invoked {to}", earlier.process)]
            } else {
                let completed = (earlier.complete_ns, earlier.end_seq());
                let (end, start) = words::moments(self.origin_ns, completed, (later.invoke_ns, later.invoke_seq));
                vec![format!("{from} completed {end}, before {to} was invoked {start}")]
            };
            Because { step, key: None, value: None, value_next: None, words }
        })
    }

    /// For each append of a transaction: key, version before it, value, and whether any read shows that order.
    fn appends_after(&mut self, txn: u32) -> Vec<(i64, Option<i64>, i64, bool)> {
        let mut found = Vec::new();
        for mop in mops(&self.ops[&txn]) {
            let Mop::Append { key, value } = mop else { continue };
            let Some(versions) = self.versions.get(key) else { continue };
            let rank = versions.rank_of(*value);
            let before = rank.unwrap_or(versions.len()).checked_sub(1);
            found.push((*key, before.and_then(|rank| versions.element(rank)), *value, rank.is_some()));
        }
        found
    }

    fn appended(&self, txn: u32, wanted: i64, value: i64) -> bool {
        mops(self.op(txn)).contains(&Mop::Append { key: wanted, value })
    }

    fn ww(&mut self, step: Step, from: &str, to: &str) -> Option<Because> {
        let written = |(key, before, value, shown)| Some((key, before?, value, shown));
        let mut all = self.appends_after(step.to).into_iter().filter_map(written);
        let (key, before, value, shown) = all.find(|(key, before, _, _)| self.appended(step.from, *key, *before))?;
        let words = if shown {
            format!("{to} appended {value} to key {key} after {from} appended {before}")
        } else {
            format!(
                "{to} appended {value} to key {key} later than {from}'s {before}, the last element that any read saw"
            )
        };
        Some(Because { step, key: Some(key), value: Some(before), value_next: Some(value), words: vec![words] })
    }

    fn wr(&mut self, step: Step, from: &str, to: &str) -> Option<Because> {
        let reader = self.op(step.to);
        for mop in mops(reader) {
            let Mop::ReadList { key, list } = mop else { continue };
            let Some(last) = seen(reader.outcome, list.as_deref()).and_then(<[i64]>::last) else { continue };
            if self.appended(step.from, *key, *last) {
                let words = vec![format!("{to} observed {from}'s append of {last} to key {key}")];
                return Some(Because { step, key: Some(*key), value: Some(*last), value_next: Some(*last), words });
            }
        }
        None
    }

    fn rw(&mut self, step: Step, from: &str, to: &str) -> Option<Because> {
        let appends = self.appends_after(step.to);
        let reader = self.op(step.from);
        for mop in mops(reader) {
            let Mop::ReadList { key, list } = mop else { continue };
            let Some(list) = seen(reader.outcome, list.as_deref()) else { continue };
            let last = list.last().copied();
            let Some((_, _, value, shown)) = appends.iter().find(|after| (after.0, after.1) == (*key, last)) else {
                continue;
            };
            let read = format!("{from} read key {key} as {}", words::list(list, &[]));
            let words = match (last, shown) {
                (None, _) => format!("{read} and {to} appended {value} to it"),
                (Some(last), true) => format!("{read} and {to} appended {value} after {last}"),
                (Some(last), false) => {
                    format!("{read} and {to} appended {value} later than {last}, the last element that any read saw")
                }
            };
            return Some(Because { step, key: Some(*key), value: last, value_next: Some(*value), words: vec![words] });
        }
        None
    }

    /// One line: a stale read by its staleness, any other cycle by its steps.
    fn summary(&self, reasons: &[Because]) -> String {
        if let [first, second] = reasons
            && let (RW, REALTIME | PROCESS) = (first.step.label, second.step.label)
            && let (Some(key), Some(value)) = (first.key, first.value_next)
        {
            let (writer, reader) = (self.op(first.step.to), self.op(first.step.from));
            let late = writer.complete_ns.and_then(|end| reader.invoke_ns.checked_sub(end)).filter(|late| *late > 0);
            let late =
                late.map(|late| format!("invoked {} ", words::duration(late))).unwrap_or_else(|| "begun ".into());
            let last = first.value.map_or("the empty list".to_owned(), |last| format!("the list up to {last}"));
            return format!(
                "stale read of key {key}: {last} was seen by a read {late}after the append of {value} completed"
            );
        }
        let mut text = format!("cycle of {} transactions: ", reasons.len());
        for (place, reason) in reasons.iter().enumerate() {
            if place == 6 {
                text.push_str("T7 … ");
                break;
            }
            let kind = kind(reason.step.label).name();
            text.push_str(&match (reason.key, reason.value, reason.value_next) {
                (Some(key), Some(value), _) if reason.step.label == WR => {
                    format!("T{} -{kind} key {key}: {value}→ ", place + 1)
                }
                (Some(key), Some(value), Some(next)) => format!("T{} -{kind} key {key}: {value}, {next}→ ", place + 1),
                (Some(key), None, Some(next)) => format!("T{} -{kind} key {key}: nothing, {next}→ ", place + 1),
                _ => format!("T{} -{kind}→ ", place + 1),
            });
        }
        text.push_str("T1");
        text
    }

    /// The finding for an anomaly that is no cycle.
    pub(super) fn raw(&mut self, number: u64, raw: &Raw) -> Finding {
        let told = super::raw_words::words_raw(self, raw);
        let mut explanation = vec!["Let:".to_owned()];
        for (place, txn) in told.txns.iter().enumerate().take(8) {
            let interest = |mop: &Mop| mop.key() == told.key;
            let line = words::operation(self.op(*txn), interest, &told.focus);
            explanation.push(format!("  T{} = {line}", place + 1));
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
}

/// The micro-operations of an operation; empty for calls that are no transaction.
pub(super) fn mops(op: &Operation) -> &[Mop] {
    match &op.call {
        Call::Txn(mops) => mops,
        _ => &[],
    }
}

/// The cycle, begun so that it ends with the step that is best understood as the contradiction: real time, else the
/// process, else a read of the past.
fn rotate(steps: &[Step]) -> Vec<Step> {
    let weight = |label: u8| match label {
        REALTIME => 0,
        PROCESS => 1,
        RW => 2,
        _ => 3,
    };
    let last = (0..steps.len()).min_by_key(|place| (weight(steps[*place].label), steps[*place].to)).unwrap_or(0);
    steps[last + 1..].iter().chain(&steps[..=last]).copied().collect()
}

fn kind(label: u8) -> EdgeKind {
    match label {
        WW => EdgeKind::Ww,
        WR => EdgeKind::Wr,
        RW => EdgeKind::Rw,
        PROCESS => EdgeKind::Process,
        _ => EdgeKind::Realtime,
    }
}
