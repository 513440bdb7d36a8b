//! Findings in sentences: who did what when, and why that cannot be.
//!
//! `Let:` names the operations, `Then:` says what must hold, `However` what was seen instead. Times are seconds
//! since the first invocation of the history.

use super::minimise::{self, Small};
use super::patterns::Pattern;
use super::prepare::{Act, KeyHistory, NEVER, ValueId};
use super::search::Violation;
use super::zones;
use super::{Answer, CHECKER, Judged};
use crate::finding::Finding;
use crate::op::{Call, History, Operation, Outcome};

/// Findings for which a small set of operations is looked for; the others name only the operation that broke.
const MINIMISED: usize = 16;

/// Operations that are named one by one.
const NAMED: usize = 12;

/// One finding for each key that is not linearizable, in order of keys.
pub(super) fn findings(history: &History, judged: &[Judged]) -> Vec<Finding> {
    let start_ns = history.origin_ns();
    let mut findings = Vec::new();
    for judged in judged {
        let teller = Teller { history, judged, start_ns };
        let told = match &judged.answer {
            Answer::Pattern(pattern) => teller.pattern(pattern),
            Answer::Conflict(values) => teller.conflict(values, findings.len() < MINIMISED),
            Answer::Violation(violation) => teller.violation(violation, findings.len() < MINIMISED),
            Answer::Linearizable(_) | Answer::Spent { .. } | Answer::Panicked(_) => continue,
        };
        findings.push(Finding {
            id: format!("L-{}", findings.len()),
            checker: CHECKER.to_owned(),
            anomaly: told.anomaly.to_owned(),
            summary: format!("key {}: {}", judged.key, told.summary),
            explanation: told.sentences,
            ops: told.ops,
            key: Some(judged.key),
            cycle: Vec::new(),
        });
    }
    findings
}

/// What is to be said about a key.
struct Told {
    anomaly: &'static str,
    summary: String,
    sentences: Vec<String>,
    ops: Vec<u64>,
}

struct Teller<'a> {
    history: &'a History,
    judged: &'a Judged,
    start_ns: i64,
}

impl Teller<'_> {
    fn op(&self, key: &KeyHistory, op: u32) -> &Operation {
        &self.history.ops()[key.ops[op as usize].source as usize]
    }

    fn seconds(&self, ns: i64) -> String {
        let us = (ns - self.start_ns) / 1_000;
        format!("{}.{:03} s", us / 1_000_000, us / 1_000 % 1_000)
    }

    fn invoked(&self, op: &Operation) -> String {
        self.seconds(op.invoke_ns)
    }

    fn completed(&self, op: &Operation) -> String {
        op.complete_ns.map_or_else(|| "an unrecorded time".to_owned(), |ns| self.seconds(ns))
    }

    /// `R = read of key 7 by process 3 on n1 → 3, invoked 12.345 s, completed 12.347 s`
    fn describe(&self, name: &str, op: &Operation) -> String {
        let key = self.judged.key;
        let by = match &op.node {
            Some(node) => format!("by process {} on {node}", op.process),
            None => format!("by process {}", op.process),
        };
        let what = match &op.call {
            Call::Read { value, .. } => format!("read of key {key} {by} → {}", seen(value.unwrap_or(None))),
            Call::Write { value, .. } => format!("write of {value} to key {key} {by}"),
            Call::Cas { expected, value, .. } => format!("cas of key {key} from {expected} to {value} {by}"),
            // Only registers are judged here.
            other => format!("{} of key {key} {by}", other.f()),
        };
        let end = match op.outcome {
            Outcome::Ok => format!("completed {}", self.completed(op)),
            Outcome::Fail => format!("failed {}", self.completed(op)),
            Outcome::Info => {
                format!("outcome unknown ({})", op.error_code.as_deref().unwrap_or("no completion"))
            }
        };
        format!("{name} = {what}, invoked {}, {end}", self.invoked(op))
    }

    fn value(&self, key: &KeyHistory, value: ValueId) -> String {
        key.values.get(value as usize).map_or_else(|| "another value".to_owned(), |&value| seen(value))
    }

    fn pattern(&self, pattern: &Pattern) -> Told {
        let (anomaly, key) = (pattern.anomaly(), &self.judged.ops);
        let (summary, sentences, ops) = match *pattern {
            Pattern::Garbage { read } => self.garbage(key, read),
            Pattern::Stale { read, overwriter, count } => self.stale(key, read, overwriter, count),
            Pattern::Lost { write, read, count } => self.lost(key, write, read, count),
        };
        Told { anomaly, summary, sentences, ops }
    }

    fn garbage(&self, key: &KeyHistory, read: u32) -> (String, Vec<String>, Vec<u64>) {
        let op = self.op(key, read);
        let value = key.ops[read as usize].act.needs().map_or_else(String::new, |value| self.value(key, value));
        let wrote = |other: &Operation, outcome: Option<Outcome>| {
            let written = match other.call {
                Call::Write { key, value } | Call::Cas { key, value, .. } => Some((key, value)),
                _ => None,
            };
            outcome.is_none_or(|outcome| other.outcome == outcome)
                && written.is_some_and(|(at, put)| at == self.judged.key && put.to_string() == value)
        };
        let mut sentences = vec![format!("Let: {}", self.describe("R", op))];
        let mut ops = vec![op.op_id];
        let failed = self
            .history
            .ops()
            .iter()
            .find(|other| wrote(other, Some(Outcome::Fail)) && other.invoke_seq < op.end_seq());
        let later = self.history.ops().iter().find(|other| wrote(other, None) && other.invoke_seq > op.end_seq());
        let why = if let Some(failed) = failed {
            sentences[0].push(';');
            sentences.push(format!("{}.", self.describe("F", failed)));
            ops.push(failed.op_id);
            format!("only F, which failed and so did not take effect, had tried to write {value} when R completed")
        } else if let Some(later) = later {
            sentences[0].push(';');
            sentences.push(format!("{}.", self.describe("W", later)));
            ops.push(later.op_id);
            format!("the first write of {value} was W, invoked at {}, after R had completed", self.invoked(later))
        } else {
            sentences[0].push('.');
            format!("no operation of the history writes {value} to key {}", self.judged.key)
        };
        sentences.push(format!("Then: {why}. However, R saw {value}: a contradiction."));
        (format!("read {value}, which had not been written"), sentences, ops)
    }

    fn stale(&self, key: &KeyHistory, read: u32, overwriter: u32, count: u32) -> (String, Vec<String>, Vec<u64>) {
        let (op, over) = (self.op(key, read), self.op(key, overwriter));
        let (read_ret, value_id) = (key.ops[read as usize].ret, key.ops[read as usize].act.needs());
        let value = value_id.map_or_else(String::new, |value| self.value(key, value));
        let newer =
            key.ops[overwriter as usize].act.produces().map_or_else(String::new, |value| self.value(key, value));
        let writes: Vec<u32> = (0..key.ops.len() as u32)
            .filter(|&other| {
                let other = &key.ops[other as usize];
                other.act.produces() == value_id && other.call < read_ret
            })
            .collect();
        let last =
            writes.iter().copied().max_by_key(|&write| key.ops[write as usize].ret).map(|write| self.op(key, write));
        let mut sentences = vec![format!("Let: {};", self.describe("R", op)), self.describe("W", over)];
        let mut ops = vec![op.op_id, over.op_id];
        let older = match last {
            Some(last) => {
                sentences[1].push(';');
                sentences.push(format!("{}.", self.describe("V", last)));
                ops.push(last.op_id);
                let which = match writes.len() {
                    1 => format!("V, the only write of {value} invoked before R completed,"),
                    number => {
                        format!("V, the last to complete of the {number} writes of {value} invoked before R completed,")
                    }
                };
                format!(
                    "{which} had completed at {}, before W was invoked at {}",
                    self.completed(last),
                    self.invoked(over)
                )
            }
            None => {
                sentences[1].push('.');
                format!("{value} is what the key held at first, and nobody had written it when R completed")
            }
        };
        sentences.push(format!(
            "Then: W completed at {}, before R was invoked at {}; {older}; so R must see {newer} or something newer. \
             However, R saw {value}: a contradiction.",
            self.completed(over),
            self.invoked(op)
        ));
        if count > 1 {
            let more = if count == 2 {
                "1 more read of this key is".to_owned()
            } else {
                format!("{} more reads of this key are", count - 1)
            };
            sentences.push(format!("{more} stale in the same way."));
        }
        (format!("read {value} after {newer} was acknowledged"), sentences, ops)
    }

    fn lost(&self, key: &KeyHistory, write: u32, read: u32, count: u32) -> (String, Vec<String>, Vec<u64>) {
        let (op, first) = (self.op(key, write), self.op(key, read));
        let value = key.ops[write as usize].act.produces().map_or_else(String::new, |value| self.value(key, value));
        let saw = key.ops[read as usize].act.needs().map_or_else(String::new, |value| self.value(key, value));
        let reads = if count == 1 { "1 later read".to_owned() } else { format!("{count} later reads") };
        let sentences = vec![
            format!("Let: {};", self.describe("W", op)),
            format!("{}.", self.describe("R", first)),
            format!(
                "Then: W completed at {}, before R was invoked at {}; every other write of this key had completed before W \
                 was invoked at {}; so from then on every read must see {value}. However, R saw {saw}, and no read ever \
                 saw {value} ({reads}): a contradiction.",
                self.completed(op),
                self.invoked(first),
                self.invoked(op)
            ),
        ];
        (
            format!("the acknowledged write of {value} is seen by none of {reads}"),
            sentences,
            vec![op.op_id, first.op_id],
        )
    }

    /// The zones of two unique values contradict each other.
    fn conflict(&self, values: &[ValueId], small: bool) -> Told {
        let key = &self.judged.ops;
        let keep: Vec<u32> = (0..key.ops.len() as u32)
            .filter(|&op| {
                let act = key.ops[op as usize].act;
                act.needs().or(act.produces()).is_some_and(|value| values.contains(&value))
            })
            .collect();
        if let Some(small) = small.then(|| minimise::minimise(key, keep)).flatten() {
            return self.small(&small);
        }
        let names: Vec<String> = values.iter().map(|&value| self.value(key, value)).collect();
        let sentences =
            vec![format!("Then: the operations on the values {} contradict each other.", names.join(" and "))];
        Told {
            anomaly: "nonlinearizable",
            summary: format!("no order of {} fits", names.join(" and ")),
            sentences,
            ops: Vec::new(),
        }
    }

    fn violation(&self, violation: &Violation, small: bool) -> Told {
        let key = &self.judged.ops;
        let small = small.then(|| {
            let prefix = minimise::prefix(key, violation);
            let keep = (0..prefix.ops.len() as u32).collect();
            minimise::minimise(&prefix, keep)
        });
        if let Some(small) = small.flatten() {
            return self.small(&small);
        }
        let op = self.op(key, violation.op);
        let sentences = vec![
            format!("Let: {}.", self.describe("X", op)),
            "Then: all that completed before X can be linearized, and X cannot be added to it in any way.".to_owned(),
        ];
        Told { anomaly: "nonlinearizable", summary: brief(op), sentences, ops: vec![op.op_id] }
    }

    /// A small set of operations, and why it has no order.
    fn small(&self, small: &Small) -> Told {
        let key = &small.part;
        let broken = self.op(key, small.violation.op);
        let names = names(key);
        let mut sentences = Vec::new();
        let count = key.ops.len();
        for (op, name) in names.iter().enumerate().take(NAMED) {
            let lead = if op == 0 { "Let: " } else { "" };
            let stop = if op + 1 == count.min(NAMED) { "." } else { ";" };
            sentences.push(format!("{lead}{}{stop}", self.describe(name, self.op(key, op as u32))));
        }
        if count > NAMED {
            sentences.push(format!("And {} more operations of this key.", count - NAMED));
        }
        sentences.push(self.contradiction(key, &names).unwrap_or_else(|| self.exhausted(small, &names)));
        if small.is_minimal && count <= NAMED {
            sentences.push(format!("These {count} operations alone cannot be linearized."));
        }
        let ops = (0..count as u32).map(|op| self.op(key, op).op_id).collect();
        Told { anomaly: "nonlinearizable", summary: brief(broken), sentences, ops }
    }

    /// For unique values: the two stretches of time that exclude each other.
    fn contradiction(&self, key: &KeyHistory, names: &[String]) -> Option<String> {
        let zones::Zones::Conflict(values) = zones::check(key) else { return None };
        let &[held, other] = values.as_slice() else { return None };
        let clusters = zones::clusters(key)?;
        let ends = |value: ValueId| {
            let of_value = |op: &u32| {
                let act = key.ops[*op as usize].act;
                act.needs().or(act.produces()) == Some(value)
            };
            let all = 0..key.ops.len() as u32;
            let first = all.clone().filter(of_value).min_by_key(|&op| key.ops[op as usize].ret)?;
            let last = all.filter(of_value).max_by_key(|&op| key.ops[op as usize].call)?;
            Some((first, last))
        };
        let name = |op: u32| &names[op as usize];
        let stretch = |value: ValueId| {
            let (first, last) = ends(value)?;
            let shown = self.value(key, value);
            let (from, until) = (clusters[value as usize].first_ret, self.invoked(self.op(key, last)));
            Some(if from == 0 {
                format!("the key held {shown} from the beginning until {} was invoked at {until}", name(last))
            } else {
                let since = self.completed(self.op(key, first));
                format!(
                    "the key held {shown} from {since}, when {} completed, until {until}, when {} was invoked",
                    name(first),
                    name(last)
                )
            })
        };
        let (shown, held_stretch) = (self.value(key, other), stretch(held)?);
        let second = if clusters[other as usize].is_forward() {
            format!("likewise {}. These stretches overlap: a contradiction.", stretch(other)?)
        } else {
            let (first, last) = ends(other)?;
            if first == last {
                let op = self.op(key, first);
                let (from, until) = (self.invoked(op), self.completed(op));
                return Some(format!(
                    "Then: every value was written once, so {held_stretch}; but in between, from {from} to {until}, {} {} \
                     {shown}: a contradiction.",
                    name(first),
                    if op.call.f() == "read" { "saw" } else { "wrote" }
                ));
            }
            format!(
                "but it held {shown} at some moment in between, because {} was invoked at {} and {} completed at {}: a contradiction.",
                name(last),
                self.invoked(self.op(key, last)),
                name(first),
                self.completed(self.op(key, first))
            )
        };
        Some(format!("Then: every value was written once, so {held_stretch}; {second}"))
    }

    /// In general: what the key could hold, and what was seen.
    fn exhausted(&self, small: &Small, names: &[String]) -> String {
        let (key, violation) = (&small.part, &small.violation);
        let op = &key.ops[violation.op as usize];
        let states: Vec<String> = violation.states.iter().map(|&state| self.value(key, state)).collect();
        let saw = match op.act {
            Act::Read(value) => format!("saw {}", self.value(key, value)),
            Act::Cas(value, _) => format!("found {}", self.value(key, value)),
            Act::NotEqual(value) => format!("found something other than {}", self.value(key, value)),
            Act::Write(value) => format!("wrote {}", self.value(key, value)),
        };
        let mut others: Vec<String> = Vec::new();
        for (place, other) in key.ops.iter().enumerate() {
            if place != violation.op as usize && other.call < op.ret && others.len() < NAMED {
                others.push(names[place].clone());
            }
        }
        let name = &names[violation.op as usize];
        let could = if op.act.needs().is_some_and(|value| violation.states.contains(&value)) {
            // The value can be there, but only in an order that leaves another operation without a place.
            "every order that lets it do so leaves another operation without a place".to_owned()
        } else {
            format!("the key could hold only {} before {name} completed", states.join(" or "))
        };
        format!(
            "Then: in whatever order {} took effect between invocation and completion, {could}. However, {name} {saw}: a contradiction.",
            others.join(", ")
        )
    }
}

/// `read 3 by process 2 fits no order`
fn brief(op: &Operation) -> String {
    match &op.call {
        Call::Read { value, .. } => {
            format!("read {} by process {} fits no order", seen(value.unwrap_or(None)), op.process)
        }
        other => format!("{} by process {} fits no order", other.f(), op.process),
    }
}

fn seen(value: Option<i64>) -> String {
    value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
}

/// W1, W2, …, R1, …, C1, … in order of invocation.
fn names(key: &KeyHistory) -> Vec<String> {
    let mut counts = [0_u32; 3];
    key.ops
        .iter()
        .map(|op| {
            let (kind, letter) = match op.act {
                Act::Read(_) => (0, 'R'),
                Act::Write(_) => (1, 'W'),
                Act::Cas(..) | Act::NotEqual(_) => (2, 'C'),
            };
            counts[kind] += 1;
            debug_assert!(op.call != NEVER, "every operation was invoked");
            format!("{letter}{}", counts[kind])
        })
        .collect()
}
