//! Healthy objects replayed against plain ones; planted anomalies seen by small judges of their own.

use super::*;
use crate::linearizable;
use crate::op::{Call, Mop, Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};

fn spec(workload: Workload, seed: u64) -> Spec {
    Spec { workload, seed, ops: 1_500, fail_share: 0.05, info_share: 0.05, ..Spec::default() }
}

/// What the judge of a workload finds.
fn found(workload: Workload, keys: u32, history: &History) -> BTreeSet<&'static str> {
    match workload {
        Workload::Set => sets(history),
        Workload::Counter => counters(history),
        Workload::Queue | Workload::UnorderedQueue | Workload::Stack => queues(workload, history),
        Workload::Log => logs(history),
        Workload::Bank => banks(keys, history),
        Workload::Lock => locks(history),
        Workload::UniqueIds => unique_ids(history),
        Workload::ListAppend | Workload::RwRegister | Workload::Register => unreachable!("judged elsewhere"),
    }
}

const JUDGED: [Workload; 9] = [
    Workload::Set,
    Workload::Counter,
    Workload::Queue,
    Workload::UnorderedQueue,
    Workload::Stack,
    Workload::Log,
    Workload::Bank,
    Workload::Lock,
    Workload::UniqueIds,
];

#[test]
fn healthy_objects_are_healthy() {
    for workload in JUDGED {
        for seed in 0..3 {
            let (history, expected) = generate(&spec(workload, seed));
            assert_eq!(found(workload, 10, &history), BTreeSet::new(), "{workload} {seed}");
            assert!(expected.exact && expected.anomalies.is_empty() && expected.invalid.is_empty());
            let (history, _) =
                generate(&Spec { ops: 600, keys: 2, writes_per_key: 80, concurrency: 5, ..spec(workload, seed) });
            assert_eq!(found(workload, 2, &history), BTreeSet::new(), "{workload} {seed}");
        }
    }
}

#[test]
fn healthy_registers_are_linearizable() {
    for seed in 0..5 {
        let (history, _) = generate(&spec(Workload::Register, seed));
        let result = linearizable::check_register(&history, &linearizable::Options::default());
        assert_eq!(result.verdict, crate::Verdict::valid());
        let options = linearizable::Options { failed_cas_observes: true, ..linearizable::Options::default() };
        assert_eq!(linearizable::check_register(&history, &options).verdict, crate::Verdict::valid());
    }
}

#[test]
fn what_is_planted_in_objects_is_there_and_nothing_else() {
    for workload in JUDGED {
        for anomaly in plantable(workload) {
            for distance in [0, 1_000] {
                let plants = vec![Plant { anomaly: (*anomaly).to_owned(), distance }];
                let (history, expected) = generate(&Spec { plants, ..spec(workload, 1) });
                let found: BTreeSet<String> = found(workload, 10, &history).into_iter().map(str::to_owned).collect();
                assert_eq!(found, expected.anomalies, "{anomaly} of {workload} at {distance}");
            }
        }
    }
}

/// Operations on each key, without those that failed.
fn by_key(history: &History) -> BTreeMap<i64, Vec<&Operation>> {
    let mut keys: BTreeMap<i64, Vec<&Operation>> = BTreeMap::new();
    for op in history.ops() {
        keys.entry(op.call.key().unwrap()).or_default().push(op);
    }
    keys
}

fn ended_before(a: &Operation, b: &Operation) -> bool {
    a.outcome == Outcome::Ok && a.end_seq() < b.invoke_seq
}

/// Every read has what was added, and was seen, before it began, and nothing that was not asked for before it ended.
fn sets(history: &History) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for ops in by_key(history).values() {
        let adds: BTreeMap<i64, &Operation> = ops
            .iter()
            .filter_map(|op| if let Call::Add { value, .. } = op.call { Some((value, *op)) } else { None })
            .collect();
        let reads: Vec<(&Operation, &Vec<i64>)> = ops
            .iter()
            .filter_map(|op| match &op.call {
                Call::ReadSet { elements: Some(elements), .. } => Some((*op, elements)),
                _ => None,
            })
            .collect();
        for (read, elements) in &reads {
            if elements.iter().collect::<BTreeSet<_>>().len() < elements.len() {
                found.insert("duplicated");
            }
            let asked =
                |value| adds.get(value).is_some_and(|a| a.outcome != Outcome::Fail && a.invoke_seq < read.end_seq());
            if !elements.iter().all(asked) {
                found.insert("unexpected");
            }
            for (value, add) in adds.iter().filter(|(value, _)| !elements.contains(value)) {
                let seen =
                    |(other, there): &(&Operation, &Vec<i64>)| there.contains(value) && ended_before(other, read);
                if ended_before(add, read) || reads.iter().any(seen) {
                    let again =
                        |(other, there): &(&Operation, &Vec<i64>)| there.contains(value) && ended_before(read, other);
                    found.insert(if reads.iter().any(again) { "stale" } else { "lost" });
                }
            }
        }
    }
    found
}

/// Every read is at least the sum of what was added for certain, and at most that of all that may have been.
fn counters(history: &History) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for ops in by_key(history).values() {
        for read in ops {
            let Call::Read { value: Some(value), .. } = read.call else { continue };
            let sum = |counts: &dyn Fn(&Operation) -> bool| -> i64 {
                let amount = |op: &&Operation| if let Call::Add { value, .. } = op.call { value } else { 0 };
                ops.iter().copied().filter(|op| counts(op)).map(|op| amount(&op)).sum()
            };
            if value.unwrap() < sum(&|op| ended_before(op, read)) {
                found.insert("too-low");
            }
            if value.unwrap() > sum(&|op| op.outcome != Outcome::Fail && op.invoke_seq < read.end_seq()) {
                found.insert("too-high");
            }
        }
    }
    found
}

/// What is taken out was put in, once, in the right order, and what was put in comes out where queues are drained.
fn queues(workload: Workload, history: &History) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for ops in by_key(history).values() {
        let mut puts: BTreeMap<i64, &Operation> = BTreeMap::new();
        let mut takes: BTreeMap<i64, Vec<&Operation>> = BTreeMap::new();
        let mut empty: Vec<&Operation> = Vec::new();
        let mut drained = false;
        for op in ops {
            match &op.call {
                Call::Enqueue { value, .. } | Call::Push { value, .. } => drop(puts.insert(*value, op)),
                Call::Dequeue { value: Some(Some(value)), .. } | Call::Pop { value: Some(Some(value)), .. } => {
                    takes.entry(*value).or_default().push(op);
                }
                Call::Dequeue { value: Some(None), .. } | Call::Pop { value: Some(None), .. } => empty.push(op),
                Call::Drain { elements: Some(elements), .. } => {
                    drained = true;
                    elements.iter().for_each(|value| takes.entry(*value).or_default().push(op));
                }
                _ => {}
            }
        }
        for (value, takes) in &takes {
            if !puts.get(value).is_some_and(|put| put.outcome != Outcome::Fail && put.invoke_seq < takes[0].end_seq()) {
                found.insert("unexpected");
            }
            if takes.len() > 1 {
                found.insert("duplicated");
            }
        }
        for (value, put) in puts.iter().filter(|(_, put)| put.outcome == Outcome::Ok) {
            let taken = takes.get(value);
            let stays = |op: &&Operation| ended_before(put, op) && taken.is_none_or(|takes| ended_before(op, takes[0]));
            if taken.is_none() && (drained || empty.iter().any(stays)) {
                found.insert("lost");
            } else if empty.iter().any(stays) {
                found.insert("missed");
            }
        }
        let fifo = workload == Workload::Queue;
        for (a, first) in puts.iter().filter(|_| workload != Workload::UnorderedQueue) {
            for (b, second) in puts.iter().filter(|(_, second)| ended_before(first, second)) {
                let (Some(take_a), Some(take_b)) = (takes.get(a), takes.get(b)) else { continue };
                let (take_a, take_b) = (take_a[0], take_b[0]);
                // A stack gives the older one first only if the newer one came when the older was being taken.
                let wrong = if fifo {
                    ended_before(take_b, take_a)
                } else {
                    ended_before(take_a, take_b) && ended_before(second, take_a)
                };
                if wrong {
                    found.insert("reordered");
                }
            }
        }
    }
    found
}

/// The rules of Jepsen's checker for logs, one by one.
fn logs(history: &History) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut sent: BTreeMap<(i64, i64), (Outcome, Option<i64>)> = BTreeMap::new();
    let mut at: BTreeMap<(i64, i64), BTreeSet<i64>> = BTreeMap::new();
    let mut polled: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut sends: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for op in history.ops() {
        let Call::Txn(mops) = &op.call else { continue };
        let mut within: BTreeMap<i64, i64> = BTreeMap::new();
        for mop in mops {
            match mop {
                Mop::Send { key, value, offset } => {
                    sent.insert((*key, *value), (op.outcome, *offset));
                    let Some(offset) = offset else { continue };
                    at.entry((*key, *offset)).or_default().insert(*value);
                    if within.insert(*key, *offset).is_some_and(|last| last >= *offset) {
                        found.insert("int-nonmonotonic-send");
                    } else if sends.insert((op.process, *key), *offset).is_some_and(|last| last >= *offset) {
                        found.insert("nonmonotonic-send");
                    }
                }
                Mop::Poll { records } => {
                    for record in records.iter().flatten() {
                        at.entry((record.key, record.offset.unwrap())).or_default().insert(record.value.unwrap());
                        polled.insert((record.key, record.value.unwrap()));
                    }
                }
                _ => {}
            }
        }
    }
    if at.values().any(|values| values.len() > 1) {
        found.insert("inconsistent-offsets");
    }
    let mut offsets: BTreeMap<(i64, i64), BTreeSet<i64>> = BTreeMap::new();
    for ((key, offset), values) in &at {
        offsets_of(&mut offsets, *key, *offset, values);
    }
    if offsets.values().any(|offsets| offsets.len() > 1) {
        found.insert("duplicate");
    }
    if polled.iter().any(|record| sent.get(record).is_none_or(|(outcome, _)| *outcome == Outcome::Fail)) {
        found.insert("G1a");
    }
    let highest = |key: i64| {
        at.keys()
            .filter(|(k, _)| *k == key)
            .filter(|(k, o)| at[&(*k, *o)].iter().any(|v| polled.contains(&(*k, *v))))
            .map(|(_, o)| *o)
            .max()
    };
    for ((key, value), (outcome, offset)) in &sent {
        let Some(offset) = offset else { continue };
        if *outcome == Outcome::Ok
            && !polled.contains(&(*key, *value))
            && at[&(*key, *offset)].len() == 1
            && highest(*key) > Some(*offset)
        {
            found.insert("lost-write");
        }
    }
    polls(history, &at, &mut found);
    found
}

fn offsets_of(offsets: &mut BTreeMap<(i64, i64), BTreeSet<i64>>, key: i64, offset: i64, values: &BTreeSet<i64>) {
    for value in values {
        offsets.entry((key, *value)).or_default().insert(offset);
    }
}

/// What a process polls of a log goes on where it stood, since the log was assigned.
fn polls(history: &History, at: &BTreeMap<(i64, i64), BTreeSet<i64>>, found: &mut BTreeSet<&'static str>) {
    let mut stands: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for op in history.ops() {
        match &op.call {
            Call::Assign { keys } => stands.retain(|(process, key), _| *process != op.process || keys.contains(key)),
            Call::Txn(mops) => {
                for (poll, mop) in mops.iter().filter(|mop| matches!(mop, Mop::Poll { .. })).enumerate() {
                    let Mop::Poll { records: Some(records) } = mop else { continue };
                    for record in records {
                        let offset = record.offset.unwrap();
                        let Some(last) = stands.insert((op.process, record.key), offset) else { continue };
                        let skipped = at.range((record.key, last + 1)..(record.key, offset.max(last + 1))).next();
                        if offset <= last {
                            found.insert(if poll > 0 { "int-nonmonotonic-poll" } else { "nonmonotonic-poll" });
                        } else if skipped.is_some() {
                            found.insert(if poll > 0 { "int-poll-skip" } else { "poll-skip" });
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn banks(keys: u32, history: &History) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for op in history.ops() {
        let Call::ReadBalances { balances: Some(balances) } = &op.call else { continue };
        if balances.iter().any(|(account, _)| *account >= i64::from(keys)) {
            found.insert("unexpected-key");
        }
        let known: Option<Vec<i64>> = balances.iter().take(keys as usize).map(|(_, balance)| *balance).collect();
        let Some(known) = known else {
            found.insert("nil-balance");
            continue;
        };
        if known.iter().sum::<i64>() != bank::INITIAL_BALANCE * i64::from(keys) {
            found.insert("wrong-total");
        }
        if known.iter().any(|balance| *balance < 0) {
            found.insert("negative-value");
        }
    }
    found
}

/// Nobody takes a lock between the end of an acquire and the beginning of its release, tokens rise, and only the holder
/// gives back.
fn locks(history: &History) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for ops in by_key(history).values() {
        let takes: Vec<(&Operation, i64)> = ops
            .iter()
            .filter_map(
                |op| if let Call::Acquire { value: Some(token), .. } = op.call { Some((*op, token)) } else { None },
            )
            .collect();
        let release = |token| {
            ops.iter().find(|op| matches!(op.call, Call::Release { value: Some(t), .. } if t == token && op.outcome != Outcome::Fail))
        };
        for (first, token) in &takes {
            for (second, later) in takes.iter().filter(|(second, _)| ended_before(first, second)) {
                if later <= token {
                    found.insert("stale-token");
                }
                if release(*token).is_none_or(|release| second.end_seq() < release.invoke_seq) {
                    found.insert("double-acquire");
                }
            }
            if release(*token).is_some_and(|release| release.process != first.process) {
                found.insert("foreign-release");
            }
        }
    }
    found
}

fn unique_ids(history: &History) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let twice = |op: &Operation| matches!(op.call, Call::Generate { value: Some(value), .. } if !seen.insert(value));
    if history.ops().iter().any(twice) { BTreeSet::from(["duplicated"]) } else { BTreeSet::new() }
}

/// Replays each key in the order in which its operations could have taken effect, on tiny histories, trying all.
#[test]
fn tiny_objects_have_an_order_that_explains_them() {
    for workload in [
        Workload::Register,
        Workload::Set,
        Workload::Counter,
        Workload::Queue,
        Workload::Stack,
        Workload::UnorderedQueue,
    ] {
        for seed in 0..150 {
            let spec =
                Spec { ops: 9, keys: 1, concurrency: 4, writes_per_key: 100, info_share: 0.2, ..spec(workload, seed) };
            let (history, _) = generate(&spec);
            assert!(explainable(workload, history.ops(), 0, &[]), "{workload} {seed}: {history:#?}");
        }
    }
    // The judge can say no.
    let plants = vec!["lost".parse().unwrap()];
    let (history, _) =
        generate(&Spec { ops: 12, plants, info_share: 0.0, fail_share: 0.0, ..spec(Workload::Stack, 1) });
    let planted: Vec<Operation> = history.ops().iter().filter(|op| op.call.key() == Some(0)).cloned().collect();
    assert!(planted.len() == 3 && !explainable(Workload::Stack, &planted, 0, &[]));
}

/// Whether some order of all that must have happened, and some of what may have, respects real time and the object,
/// which holds `state` (the values in a container, or the one value of a register or counter).
fn explainable(workload: Workload, ops: &[Operation], placed: u32, state: &[i64]) -> bool {
    let open = |at: usize| placed >> at & 1 == 0 && ops[at].outcome != Outcome::Fail;
    let must = |at: usize| open(at) && ops[at].outcome == Outcome::Ok;
    if !(0..ops.len()).any(must) {
        return true;
    }
    (0..ops.len()).filter(|at| open(*at)).any(|at| {
        let overdue = (0..ops.len()).any(|other| must(other) && ops[other].end_seq() < ops[at].invoke_seq);
        let mut next = state.to_vec();
        !overdue && applies(workload, &ops[at], &mut next) && explainable(workload, ops, placed | 1 << at, &next)
    })
}

fn applies(workload: Workload, op: &Operation, state: &mut Vec<i64>) -> bool {
    match &op.call {
        Call::Read { value: Some(seen), .. } if workload == Workload::Counter => *seen == Some(state.iter().sum()),
        Call::Read { value: Some(seen), .. } => *seen == state.last().copied(),
        Call::Write { value, .. } => {
            *state = vec![*value];
            true
        }
        Call::Cas { expected, value, .. } => std::mem::replace(state, vec![*value]) == [*expected],
        Call::Add { value, .. } | Call::Enqueue { value, .. } | Call::Push { value, .. } => {
            state.push(*value);
            true
        }
        Call::ReadSet { elements: Some(elements), .. } => elements == state,
        Call::Dequeue { value: Some(value), .. } if workload == Workload::UnorderedQueue => match value {
            None => state.is_empty(),
            Some(value) => state.iter().position(|held| held == value).map(|at| state.remove(at)).is_some(),
        },
        Call::Dequeue { value: Some(value), .. } => {
            let first = (!state.is_empty()).then(|| state.remove(0));
            first == *value
        }
        Call::Pop { value: Some(value), .. } => state.pop() == *value,
        Call::Drain { elements: Some(elements), .. } => {
            let mut held = std::mem::take(state);
            let mut drained = elements.clone();
            if workload == Workload::UnorderedQueue {
                held.sort_unstable();
                drained.sort_unstable();
            }
            held == drained
        }
        _ => true,
    }
}
