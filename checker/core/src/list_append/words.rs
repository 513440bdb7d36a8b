//! Small phrases: lists, moments, operations.

use super::explain::mops;
use super::intake::seen;
use crate::op::{Mop, Operation, Outcome};

/// Elements of a list that are shown before it is cut.
const SHOWN: usize = 12;

/// A list such as `[1 2 3]`; of a long one both ends and what surrounds the elements of interest.
pub(super) fn list(elements: &[i64], focus: &[i64]) -> String {
    if elements.len() <= SHOWN {
        let words: Vec<String> = elements.iter().map(i64::to_string).collect();
        return format!("[{}]", words.join(" "));
    }
    let near = |place: usize| {
        let around = place.saturating_sub(1)..(place + 2).min(elements.len());
        elements[around].iter().any(|element| focus.contains(element))
    };
    let mut words: Vec<String> = Vec::new();
    let mut gap = false;
    for (place, element) in elements.iter().enumerate() {
        if place < 2 || place + 4 >= elements.len() || near(place) {
            words.push(element.to_string());
            gap = false;
        } else if !gap {
            words.push("…".to_owned());
            gap = true;
        }
    }
    format!("[{}] ({} elements)", words.join(" "), elements.len())
}

/// A micro-operation in words.
pub(super) fn mop(outcome: Outcome, mop: &Mop, focus: &[i64]) -> String {
    match mop {
        Mop::Append { key, value } => format!("append {value} to key {key}"),
        Mop::ReadList { key, list: result } => match seen(outcome, result.as_deref()) {
            Some(result) => format!("read key {key} as {}", list(result, focus)),
            None => format!("read key {key}, result unknown"),
        },
        Mop::Write { key, value } => format!("write {value} to key {key}"),
        Mop::Read { key, .. } => format!("read register {key}"),
        Mop::Send { key, value, .. } => format!("send {value} to log {key}"),
        Mop::Poll { .. } => "poll".to_owned(),
        Mop::Insert { key, value } => format!("insert {value} at key {key}"),
        Mop::Delete { key } => format!("delete key {key}"),
        Mop::ReadPredicate { .. } => "read by predicate".to_owned(),
    }
}

/// Micro-operations shown of one transaction, at most, besides those of interest.
const MOPS_SHOWN: usize = 4;

/// A transaction in words: all its micro-operations, or, of many, those of interest.
pub(super) fn operation(op: &Operation, interest: impl Fn(&Mop) -> bool, focus: &[i64]) -> String {
    let node = op.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    let all = mops(op);
    let few = all.len() <= MOPS_SHOWN;
    let shown: Vec<&Mop> = all.iter().filter(|mop| few || interest(mop)).take(2 * MOPS_SHOWN).collect();
    let mut words: Vec<String> = shown.iter().map(|shown| mop(op.outcome, shown, focus)).collect();
    if shown.len() < all.len() {
        words.push(format!("… {} more", all.len() - shown.len()));
    }
    let head = format!("operation {}, process {}{node}, {}", op.op_id, op.process, op.outcome.name());
    format!("{head}: {}", if words.is_empty() { "nothing".to_owned() } else { words.join("; ") })
}

/// Two moments, the first before the second, with as many digits as it takes to tell them apart. Falls back on places
/// in the order of events where the clock does not show that order.
pub(super) fn moments(origin_ns: i64, first: (Option<i64>, u64), second: (i64, u64)) -> (String, String) {
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
pub(super) fn duration(ns: i64) -> String {
    let tenths = |unit: i64| format!("{}.{}", ns / unit, ns % unit * 10 / unit);
    match ns {
        1_000_000_000.. => format!("{} s", tenths(1_000_000_000)),
        1_000_000.. => format!("{} ms", tenths(1_000_000)),
        1_000.. => format!("{} µs", tenths(1_000)),
        _ => format!("{ns} ns"),
    }
}
