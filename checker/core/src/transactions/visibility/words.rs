//! Breaches in sentences.

use super::{Breach, Link, UNREAD};
use crate::finding::{Edge, EdgeKind, Finding};
use std::collections::BTreeSet;

/// What a kind of objects can tell about itself. Versions are named by key, rank and who wrote them.
pub(crate) trait Objects {
    /// Name of the checker.
    fn checker(&self) -> &'static str;
    /// The transaction's `op_id`.
    fn op_id(&self, txn: u32) -> u64;
    /// The transaction's process.
    fn process(&self, txn: u32) -> i64;
    /// The transaction in words, with what it did to some keys at least.
    fn transaction(&mut self, txn: u32, keys: &BTreeSet<i64>) -> String;
    /// A key as it is in the history.
    fn key(&self, key: u32) -> i64;
    /// The value of a version; `None` for the initial one, and where it is not known.
    fn value(&mut self, txn: u32, key: u32, rank: u32) -> Option<i64>;
    /// What a read at a rank saw, such as `[1 2]`.
    fn state(&mut self, txn: u32, key: u32, rank: u32) -> String;
    /// What a write did, such as `appended 5 to key 3`.
    fn wrote(&self, key: i64, value: Option<i64>) -> String;
}

/// The finding for a breach; nothing for one that was only counted.
pub(crate) fn finding(objects: &mut impl Objects, number: u64, breach: &Breach) -> Option<Finding> {
    let links = &breach.links;
    links.first()?;
    let mut names: Vec<u32> = Vec::new();
    for link in links {
        if !names.contains(&link.from) {
            names.push(link.from);
        }
    }
    let name = |txn: u32| format!("T{}", names.iter().position(|one| *one == txn).unwrap_or_default() + 1);
    let real = links.iter().filter(|link| link.kind != EdgeKind::Process);
    let keys: BTreeSet<i64> = real.map(|link| objects.key(link.key)).collect();
    let mut explanation = vec!["Let:".to_owned()];
    for txn in &names {
        explanation.push(format!("  {} = {}", name(*txn), objects.transaction(*txn, &keys)));
    }
    explanation.push("Then:".to_owned());
    for (place, link) in links.iter().enumerate() {
        let (from, to) = (name(link.from), name(link.to));
        let because = because(objects, link, &from, &to);
        let last = place + 1 == links.len();
        let (however, end) = if last { ("However, ", ": a contradiction") } else { ("", "") };
        explanation.push(format!("  {however}{from} < {to}, because {because}{end}"));
    }
    let summary = summary(objects, breach);
    Some(Finding {
        id: format!("{}-{number}", breach.name),
        checker: objects.checker().to_owned(),
        anomaly: breach.name.to_owned(),
        summary,
        explanation,
        ops: names.iter().map(|txn| objects.op_id(*txn)).collect(),
        key: if keys.len() == 1 { keys.first().copied() } else { None },
        cycle: links.iter().map(|link| edge(objects, link)).collect(),
    })
}

fn edge(objects: &mut impl Objects, link: &Link) -> Edge {
    let (from, to, kind) = (objects.op_id(link.from), objects.op_id(link.to), link.kind);
    if kind == EdgeKind::Process {
        return Edge { from, to, kind, key: None, value: None, value_next: None };
    }
    let writer = if kind == EdgeKind::Rw { link.to } else { link.from };
    let value = objects.value(writer, link.key, link.before);
    let value_next = objects.value(if kind == EdgeKind::Wr { link.from } else { link.to }, link.key, link.after);
    Edge { from, to, kind, key: Some(objects.key(link.key)), value, value_next }
}

fn because(objects: &mut impl Objects, link: &Link, from: &str, to: &str) -> String {
    let key = if link.kind == EdgeKind::Process { 0 } else { objects.key(link.key) };
    match link.kind {
        EdgeKind::Process => format!("process {} completed {from} before it invoked {to}", objects.process(link.from)),
        EdgeKind::Wr => {
            let value = objects.value(link.from, link.key, link.before);
            let state = objects.state(link.to, link.key, link.after);
            format!("{from} {}, and {to} read it as {state}", objects.wrote(key, value))
        }
        EdgeKind::Ww => {
            let (before, after) =
                (objects.value(link.from, link.key, link.before), objects.value(link.to, link.key, link.after));
            let order = if link.after == UNREAD { "where no read saw it" } else { "in the order of versions" };
            let (first, second) = (objects.wrote(key, before), objects.wrote(key, after));
            format!("{from} {first}, and {to} {second}, which comes later {order}")
        }
        _ => {
            let value = objects.value(link.to, link.key, link.after);
            let state = objects.state(link.from, link.key, link.before);
            match value {
                Some(_) => {
                    let order = if link.after == UNREAD { ", where no read saw it" } else { "" };
                    format!("{from} read key {key} as {state}, and {to} {} later{order}", objects.wrote(key, value))
                }
                None => format!("{from} read key {key} as {state}, and {to} knew more of it"),
            }
        }
    }
}

/// One line for a person.
fn summary(objects: &mut impl Objects, breach: &Breach) -> String {
    let first = breach.links[0];
    let last = breach.links[breach.links.len() - 1];
    let key = objects.key(last.key);
    let (earlier, later) = (objects.op_id(first.from), objects.op_id(last.from));
    let mut text = match breach.name {
        "non-monotonic-read" => {
            format!(
                "operation {later} saw operation {earlier} at key {}, then no more at key {key}",
                objects.key(first.key)
            )
        }
        "fractured-read" => {
            format!("operation {later} saw operation {earlier} at key {}, but not at key {key}", objects.key(first.key))
        }
        "causal-violation" | "causal-violation-process" => {
            format!("key {key}: operation {later} did not see operation {earlier}, which it depends on")
        }
        "prefix-violation" => {
            format!("key {key}: operation {later} did not see operation {}, which came first", objects.op_id(last.to))
        }
        "long-fork" => format!("{} operations disagree about the order of writes", breach.links.len()),
        "monotonic-reads-violation" => format!("key {key}: a process read less than it had read before"),
        "read-your-writes-violation" => format!("key {key}: a process did not see what it had written"),
        "monotonic-writes-violation" => format!("key {key}: two writes of a process are in the wrong order"),
        _ => format!("key {key}: a process wrote below what it had read"),
    };
    match breach.more {
        0 => {}
        1 => text.push_str(" (and once more)"),
        more => text.push_str(&format!(" (and {more} more times)")),
    }
    text
}
