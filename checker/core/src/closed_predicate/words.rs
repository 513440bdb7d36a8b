//! Findings in sentences.

use super::edges::{Edges, Reason};
use super::objects::State;
use super::{NAME, Named, Raw, mops};
use crate::finding::{Edge, EdgeKind, Finding};
use crate::op::{History, Mop, Operation, Outcome};
use crate::transactions::cycles::Step;
use crate::transactions::graph::{PROCESS, REALTIME, RW, WR, WW};

/// Micro-operations of a transaction that are shown.
const MOPS_SHOWN: usize = 8;

fn state(state: State) -> String {
    match state {
        State::Unborn => "nothing".to_owned(),
        State::Value(value) => value.to_string(),
        State::Dead => "deleted".to_owned(),
    }
}

fn wrote(key: i64, to: State) -> String {
    match to {
        State::Value(value) => format!("wrote {value} at key {key}"),
        _ => format!("deleted key {key}"),
    }
}

fn mop(outcome: Outcome, mop: &Mop) -> String {
    match mop {
        Mop::Insert { key, value } => format!("insert {value} at key {key}"),
        Mop::Write { key, value } => format!("write {value} at key {key}"),
        Mop::Delete { key } => format!("delete key {key}"),
        Mop::Read { key, value: Some(Some(value)) } if outcome == Outcome::Ok => format!("read key {key} as {value}"),
        Mop::Read { key, value: Some(None) } if outcome == Outcome::Ok => format!("read key {key} as nothing"),
        Mop::ReadPredicate { predicate, matched: Some(matched) } if outcome == Outcome::Ok => {
            let shown: Vec<String> = matched.iter().take(12).map(|(key, value)| format!("{key} {value}")).collect();
            let more = if matched.len() > 12 { " …" } else { "" };
            format!("read all with {predicate} as {{{}{more}}}", shown.join(", "))
        }
        Mop::ReadPredicate { predicate, .. } => format!("read all with {predicate}, result unknown"),
        other => other.key().map_or_else(String::new, |key| format!("read key {key}, result unknown")),
    }
}

fn operation(op: &Operation) -> String {
    let all = mops(op);
    let mut words: Vec<String> = all.iter().take(MOPS_SHOWN).map(|one| mop(op.outcome, one)).collect();
    if all.len() > MOPS_SHOWN {
        words.push(format!("… {} more", all.len() - MOPS_SHOWN));
    }
    format!("operation {}, process {}, {}: {}", op.op_id, op.process, op.outcome.name(), words.join("; "))
}

fn op(history: &History, txn: u32) -> &Operation {
    &history.ops()[txn as usize]
}

/// The finding for a cycle.
pub(super) fn cycle(history: &History, edges: &Edges, number: u64, named: &Named) -> Finding {
    // What is best understood as the contradiction comes last: real time, else the process, else a read of the past.
    let steps = &named.cycle.steps;
    let weight = |label: u8| match label {
        REALTIME => 0,
        PROCESS => 1,
        RW => 2,
        _ => 3,
    };
    let last = (0..steps.len()).min_by_key(|place| (weight(steps[*place].label), steps[*place].to)).unwrap_or(0);
    let turned = |place: usize| (place + last + 1) % steps.len();
    let mut explanation = vec!["Let:".to_owned()];
    for place in 0..steps.len() {
        let line = operation(op(history, steps[turned(place)].from));
        explanation.push(format!("  T{} = {line}", place + 1));
    }
    explanation.push("Then:".to_owned());
    let mut cycle = Vec::new();
    for place in 0..steps.len() {
        let at = turned(place);
        let (from, to) = (format!("T{}", place + 1), format!("T{}", (place + 1) % steps.len() + 1));
        let reason = reason(edges, &steps[at], named.by_predicate[at]);
        let words = because(history, &steps[at], reason, &from, &to);
        let end = place + 1 == steps.len();
        let (however, end) = if end { ("However, ", ": a contradiction") } else { ("", "") };
        explanation.push(format!("  {however}{from} < {to}, because {words}{end}"));
        cycle.push(edge(history, &steps[at], reason));
    }
    let kinds: Vec<&str> = cycle.iter().map(|edge| edge.kind.name()).collect();
    Finding {
        id: format!("{}-{number}", named.name),
        checker: NAME.to_owned(),
        anomaly: named.name.to_owned(),
        summary: format!("cycle of {} transactions: {}", steps.len(), kinds.join(", ")),
        explanation,
        ops: cycle.iter().map(|edge| edge.from).collect(),
        key: None,
        cycle,
    }
}

fn reason<'e>(edges: &'e Edges, step: &Step, by_predicate: bool) -> Option<&'e Reason> {
    let [item, predicate] = edges.reasons.get(&(step.from, step.to, step.label))?;
    if by_predicate { predicate.as_ref() } else { item.as_ref() }
}

fn edge(history: &History, step: &Step, reason: Option<&Reason>) -> Edge {
    let by_predicate = reason.is_some_and(|reason| reason.predicate.is_some());
    let kind = match (step.label, by_predicate) {
        (WW, _) => EdgeKind::Ww,
        (WR, false) => EdgeKind::Wr,
        (WR, true) => EdgeKind::Wrp,
        (RW, false) => EdgeKind::Rw,
        (RW, true) => EdgeKind::Rwp,
        (PROCESS, _) => EdgeKind::Process,
        _ => EdgeKind::Realtime,
    };
    Edge {
        from: op(history, step.from).op_id,
        to: op(history, step.to).op_id,
        kind,
        key: reason.map(|reason| reason.key),
        value: reason.and_then(|reason| reason.before.value()),
        value_next: reason.and_then(|reason| reason.after.value()),
    }
}

fn because(history: &History, step: &Step, reason: Option<&Reason>, from: &str, to: &str) -> String {
    let Some(Reason { key, before, after, predicate }) = reason else {
        let process = op(history, step.from).process;
        return match step.label {
            PROCESS => format!("process {process} completed {from} before it invoked {to}"),
            _ => format!("{from} completed before {to} was invoked"),
        };
    };
    match (step.label, predicate) {
        (WR, Some(predicate)) => {
            format!("{from} {}, and {to} read all with {predicate} after that", wrote(*key, *after))
        }
        (WR, None) => format!("{from} {}, and {to} read it", wrote(*key, *after)),
        (RW, Some(predicate)) => format!(
            "{from} read all with {predicate} when key {key} was {}, and {to} {} later, which changes what matches",
            state(*before),
            wrote(*key, *after),
        ),
        (RW, None) => format!("{from} read key {key} as {}, and {to} {} later", state(*before), wrote(*key, *after)),
        _ => format!("{to} {} after {from} {}", wrote(*key, *after), wrote(*key, *before)),
    }
}

/// The finding for an anomaly that is no cycle.
pub(super) fn raw(history: &History, number: u64, raw: &Raw) -> Finding {
    let (txns, key, summary, fact, contradiction) = match raw {
        Raw::G1a { key, value, reader, writer } => (
            vec![*writer, *reader],
            *key,
            format!("key {key}: a read saw {value}, which only a failed transaction wrote"),
            format!("T2 read T1's {value} at key {key}"),
            "T1 failed, and nobody may ever see what it wrote".to_owned(),
        ),
        Raw::G1b { key, value, reader, writer } => (
            vec![*writer, *reader],
            *key,
            format!("key {key}: a read saw {value}, which its transaction overwrote itself"),
            format!("T2 read T1's {value} at key {key}"),
            format!("T1 wrote key {key} again after that, and must be seen whole or not at all"),
        ),
        Raw::Garbage { key, value: Some(value), reader } => (
            vec![*reader],
            *key,
            format!("key {key}: a read saw {value}, which nobody wrote"),
            format!("T1 read {value} at key {key}"),
            "no transaction of the history, not even a failed one, wrote it".to_owned(),
        ),
        Raw::Garbage { key, value: None, reader } => (
            vec![*reader],
            *key,
            format!("key {key}: a read saw nothing, though the object was always there"),
            format!("T1 read key {key} as nothing"),
            "it was there from the beginning, and nobody deleted it".to_owned(),
        ),
        Raw::PredicateReadMiss { txn, predicate, key, values } => {
            let values: Vec<String> = values.iter().map(i64::to_string).collect();
            (
                vec![*txn],
                *key,
                format!("key {key}: a read of all with {predicate} lacks it, though it always matched"),
                format!("T1 read all with {predicate}, and key {key} was not among them"),
                format!("it was there from the beginning, and each of its values matches: {}", values.join(", ")),
            )
        }
        Raw::Internal { txn, key, expected, seen } => {
            let value = |value: &Option<i64>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
            let (expected, seen) = (value(expected), value(seen));
            (
                vec![*txn],
                *key,
                format!("key {key}: a transaction found {seen}, where it had read or written {expected}"),
                format!("T1 found {seen} at key {key}"),
                format!("T1 had read or written {expected} there before that, and it did not change it since"),
            )
        }
        Raw::FutureRead { txn, key, value } => {
            let left = value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
            (
                vec![*txn],
                *key,
                format!("key {key}: a transaction found {left} before it made it so itself"),
                format!("T1 found {left} at key {key}"),
                "nobody but T1 made it so, and only later".to_owned(),
            )
        }
        Raw::NoMatch { txn, predicate, key, value } => (
            vec![*txn],
            *key,
            format!("key {key}: a read of all with {predicate} returned {value}, which does not match"),
            format!("T1 read all with {predicate}, and got {value} at key {key}"),
            format!("{value} does not match {predicate}"),
        ),
        Raw::CyclicVersions { key } => (
            Vec::new(),
            *key,
            format!("key {key}: its versions cannot be put in any order"),
            format!("key {key} was read and then written in a circle"),
            "each version was made from another one".to_owned(),
        ),
    };
    let mut explanation = Vec::new();
    if !txns.is_empty() {
        explanation.push("Let:".to_owned());
    }
    for (place, txn) in txns.iter().enumerate() {
        explanation.push(format!("  T{} = {}", place + 1, operation(op(history, *txn))));
    }
    explanation.push("Then:".to_owned());
    explanation.push(format!("  {fact}"));
    explanation.push(format!("  However, {contradiction}: a contradiction"));
    Finding {
        id: format!("{}-{number}", raw.name()),
        checker: NAME.to_owned(),
        anomaly: raw.name().to_owned(),
        summary,
        explanation,
        ops: txns.iter().map(|txn| op(history, *txn).op_id).collect(),
        key: Some(key),
        cycle: Vec::new(),
    }
}
