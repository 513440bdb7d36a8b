//! Phrases that explanations of transactions share, whatever the transactions are made of.
//!
//! Every explanation has two parts. `Let:` names the transactions; `Then:` gives one reason a line, the last of which
//! starts with `However,` and ends in a contradiction.

use super::cycles::{Cycle, Step};
use super::graph::{PROCESS, REALTIME, RW, WR, WW};
use crate::finding::{Edge, EdgeKind, Finding};
use crate::op::{Call, Mop, Operation};
use std::collections::BTreeSet;

/// Why one transaction precedes another, found again in their micro-operations.
#[derive(Clone, Debug)]
pub(crate) struct Because {
    pub(crate) step: Step,
    pub(crate) key: Option<i64>,
    pub(crate) value: Option<i64>,
    pub(crate) value_next: Option<i64>,
    pub(crate) words: String,
}

/// What a checker knows that explains the cycles it finds.
pub(crate) trait Narrate {
    /// Name of the checker.
    fn checker(&self) -> &'static str;
    /// Zero of the times in explanations, ns.
    fn origin_ns(&self) -> i64;
    /// A transaction of the history.
    fn op(&self, txn: u32) -> &Operation;
    /// Why a step that rests on data holds, in words that call its transactions `from` and `to`.
    fn data(&mut self, step: Step, from: &str, to: &str) -> Option<Because>;
    /// A transaction in words; of a long one at least what the reasons are about.
    fn describe(&self, txn: u32, reasons: &[&Because]) -> String;
    /// How a summary calls a version that was read too late (`None`: before the first write), and the write of one.
    fn stale(&self, version: Option<i64>, overwritten_by: i64) -> (String, String);
    /// The word for the version before the first write.
    fn nothing(&self) -> &'static str;
}

/// The finding for a cycle, under a name that may differ from the one of its kind.
pub(crate) fn cycle(narrator: &mut impl Narrate, anomaly: &str, number: u64, cycle: &Cycle) -> Finding {
    let steps = rotate(&cycle.steps);
    let names: Vec<String> = (1..=steps.len()).map(|number| format!("T{number}")).collect();
    let name = |place: usize| names[place % names.len()].as_str();
    let mut reasons: Vec<Because> = Vec::with_capacity(steps.len());
    for (place, step) in steps.iter().enumerate() {
        let found = narrator.data(*step, name(place), name(place + 1));
        reasons.push(found.unwrap_or_else(|| in_order(narrator, *step, name(place), name(place + 1))));
    }
    let mut explanation = vec!["Let:".to_owned()];
    for (place, step) in steps.iter().enumerate() {
        let before = &reasons[(place + steps.len() - 1) % steps.len()];
        explanation.push(format!("  {} = {}", name(place), narrator.describe(step.from, &[before, &reasons[place]])));
    }
    explanation.push("Then:".to_owned());
    for (place, reason) in reasons.iter().enumerate() {
        let sentence = format!("{} < {}, because {}", name(place), name(place + 1), reason.words);
        if place + 1 == reasons.len() {
            explanation.push(format!("  However, {sentence}: a contradiction"));
        } else {
            explanation.push(format!("  {sentence}"));
        }
    }
    let keys: BTreeSet<i64> = reasons.iter().filter_map(|reason| reason.key).collect();
    Finding {
        id: format!("{anomaly}-{number}"),
        checker: narrator.checker().to_owned(),
        anomaly: anomaly.to_owned(),
        summary: summary(narrator, &reasons),
        explanation,
        ops: steps.iter().map(|step| narrator.op(step.from).op_id).collect(),
        key: if keys.len() == 1 { keys.first().copied() } else { None },
        cycle: reasons.iter().map(|reason| edge(narrator, reason)).collect(),
    }
}

fn edge(narrator: &impl Narrate, reason: &Because) -> Edge {
    let Because { step, key, value, value_next, .. } = reason;
    let (from, to) = (narrator.op(step.from).op_id, narrator.op(step.to).op_id);
    Edge { from, to, kind: kind(step.label), key: *key, value: *value, value_next: *value_next }
}

/// A step that rests on the order in a process or in real time.
fn in_order(narrator: &impl Narrate, step: Step, from: &str, to: &str) -> Because {
    let (earlier, later) = (narrator.op(step.from), narrator.op(step.to));
    let words = if step.label == PROCESS {
        format!("process {} completed {from} before it invoked {to}", earlier.process)
    } else {
        before(narrator.origin_ns(), earlier, from, later, to)
    };
    Because { step, key: None, value: None, value_next: None, words }
}

/// That one transaction completed before another was invoked.
pub(crate) fn before(origin_ns: i64, earlier: &Operation, from: &str, later: &Operation, to: &str) -> String {
    let completed = (earlier.complete_ns, earlier.end_seq());
    let (end, start) = moments(origin_ns, completed, (later.invoke_ns, later.invoke_seq));
    format!("{from} completed {end}, before {to} was invoked {start}")
}

/// One line: a stale read by its staleness, any other cycle by its steps.
fn summary(narrator: &impl Narrate, reasons: &[Because]) -> String {
    if let [first, second] = reasons
        && let (RW, REALTIME | PROCESS) = (first.step.label, second.step.label)
        && let (Some(key), Some(value)) = (first.key, first.value_next)
    {
        let (writer, reader) = (narrator.op(first.step.to), narrator.op(first.step.from));
        let late = writer.complete_ns.and_then(|end| reader.invoke_ns.checked_sub(end)).filter(|late| *late > 0);
        let late = late.map(|late| format!("invoked {} ", duration(late))).unwrap_or_else(|| "begun ".into());
        let (version, write) = narrator.stale(first.value, value);
        return format!("stale read of key {key}: {version} was seen by a read {late}after {write} completed");
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
            (Some(key), None, Some(next)) => {
                format!("T{} -{kind} key {key}: {}, {next}→ ", place + 1, narrator.nothing())
            }
            _ => format!("T{} -{kind}→ ", place + 1),
        });
    }
    text.push_str("T1");
    text
}

/// Micro-operations shown of one transaction, at most, besides those of interest.
const MOPS_SHOWN: usize = 4;

/// A transaction in words: all its micro-operations, or, of many, those of interest.
pub(crate) fn operation(op: &Operation, interest: impl Fn(&Mop) -> bool, words: impl Fn(&Mop) -> String) -> String {
    let node = op.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    let all = mops(op);
    let few = all.len() <= MOPS_SHOWN;
    let shown: Vec<&Mop> = all.iter().filter(|mop| few || interest(mop)).take(2 * MOPS_SHOWN).collect();
    let mut told: Vec<String> = shown.iter().map(|mop| words(mop)).collect();
    if shown.len() < all.len() {
        told.push(format!("… {} more", all.len() - shown.len()));
    }
    let head = format!("operation {}, process {}{node}, {}", op.op_id, op.process, op.outcome.name());
    format!("{head}: {}", if told.is_empty() { "nothing".to_owned() } else { told.join("; ") })
}

/// The micro-operations of an operation; empty for calls that are no transaction.
pub(crate) fn mops(op: &Operation) -> &[Mop] {
    match &op.call {
        Call::Txn(mops) => mops,
        _ => &[],
    }
}

/// How many more reads saw the same.
pub(crate) fn more_reads(more: u64) -> String {
    match more {
        0 => String::new(),
        1 => " (and so did one more read)".to_owned(),
        more => format!(" (and so did {more} more reads)"),
    }
}

/// Two moments, the first before the second, with as many digits as it takes to tell them apart. Falls back on places
/// in the order of events where the clock does not show that order.
pub(crate) fn moments(origin_ns: i64, first: (Option<i64>, u64), second: (i64, u64)) -> (String, String) {
    let (Some(first_ns), second_ns) = (first.0, second.0) else {
        return (format!("at event {}", first.1), format!("at event {}", second.1));
    };
    if first_ns >= second_ns {
        return (format!("at event {}", first.1), format!("at event {}", second.1));
    }
    let digits = [3, 6]
        .into_iter()
        .find(|digits| seconds(origin_ns, first_ns, *digits) != seconds(origin_ns, second_ns, *digits));
    let digits = digits.unwrap_or(9);
    let at = |ns| format!("at {} s", seconds(origin_ns, ns, digits));
    (at(first_ns), at(second_ns))
}

fn seconds(origin_ns: i64, ns: i64, digits: usize) -> String {
    let since = i128::from(ns) - i128::from(origin_ns);
    let sign = if since < 0 { "-" } else { "" };
    let (whole, rest) = (since.unsigned_abs() / 1_000_000_000, since.unsigned_abs() % 1_000_000_000);
    let fraction = format!("{rest:09}");
    format!("{sign}{whole}.{}", &fraction[..digits])
}

/// A span of time in a unit that fits it.
pub(crate) fn duration(ns: i64) -> String {
    let tenths = |unit: i64| format!("{}.{}", ns / unit, ns % unit * 10 / unit);
    match ns {
        1_000_000_000.. => format!("{} s", tenths(1_000_000_000)),
        1_000_000.. => format!("{} ms", tenths(1_000_000)),
        1_000.. => format!("{} µs", tenths(1_000)),
        _ => format!("{ns} ns"),
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
