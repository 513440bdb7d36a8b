//! Scripts over sets, counters, queues, stacks, logs, accounts, locks and unique numbers.

use super::super::bank::INITIAL_BALANCE;
use super::{Script, Step, failed, ok, step, txn};
use crate::op::{Call, LogRecord, Mop, Outcome};

/// What can be planted in sets.
pub(super) const SET_NAMES: &[&str] = &["lost", "stale", "unexpected", "duplicated", "aborted"];
/// What can be planted in counters.
pub(super) const COUNTER_NAMES: &[&str] = &["too-low", "too-high", "stale"];
/// What can be planted in queues.
pub(super) const QUEUE_NAMES: &[&str] = &["lost", "duplicated", "unexpected", "reordered", "missed", "aborted"];
/// What can be planted in queues without order.
pub(super) const UNORDERED_QUEUE_NAMES: &[&str] = &["lost", "duplicated", "unexpected", "missed", "aborted"];
/// What can be planted in stacks.
pub(super) const STACK_NAMES: &[&str] = &["lost", "duplicated", "unexpected", "reordered"];
/// What can be planted in logs.
pub(super) const LOG_NAMES: &[&str] = &[
    "G1a",
    "lost-write",
    "inconsistent-offsets",
    "duplicate",
    "poll-skip",
    "nonmonotonic-poll",
    "int-poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-send",
    "int-nonmonotonic-send",
];
/// What can be planted in banks.
pub(super) const BANK_NAMES: &[&str] = &["wrong-total", "negative-value", "unexpected-key", "nil-balance"];
/// What can be planted in locks.
pub(super) const LOCK_NAMES: &[&str] = &["double-acquire", "stale-token", "foreign-release"];
/// What can be planted in unique numbers.
pub(super) const UNIQUE_ID_NAMES: &[&str] = &["duplicated"];

/// Sets.
pub(super) fn set(name: &str) -> Option<Script> {
    let add = |value| Call::Add { key: 1, value };
    let read = |elements: &[i64]| Call::ReadSet { key: 1, elements: Some(elements.to_vec()) };
    let first = ok(0, (0, 1), add(1));
    Some(match name {
        "lost" => {
            let added = [first, ok(0, (2, 3), add(2)), ok(1, (4, 5), read(&[1, 2]))];
            Script::new(&["lost"], 6, [&added[..], &[ok(2, (6, 7), read(&[2])), ok(2, (8, 9), read(&[2]))]].concat())
        }
        "stale" => Script::new(&["stale"], 4, vec![first, ok(1, (2, 3), read(&[])), ok(1, (4, 5), read(&[1]))]),
        "unexpected" => Script::new(&["unexpected"], 2, vec![first, ok(1, (2, 3), read(&[1, 9]))]),
        "duplicated" => Script::new(&["duplicated"], 2, vec![first, ok(1, (2, 3), read(&[1, 1]))]),
        "aborted" => {
            let aborted = step(0, (0, 1), Outcome::Fail, add(1));
            Script::new(&["unexpected"], 2, vec![aborted, ok(1, (2, 3), read(&[1]))])
        }
        _ => return None,
    })
}

/// Counters.
pub(super) fn counter(name: &str) -> Option<Script> {
    let add = ok(0, (0, 1), Call::Add { key: 1, value: 3 });
    let read = |value| Call::Read { key: 1, value: Some(Some(value)) };
    Some(match name {
        "too-low" => Script::new(&["too-low"], 2, vec![add, ok(1, (2, 3), read(2))]),
        "too-high" => Script::new(&["too-high"], 2, vec![add, ok(1, (2, 3), read(4))]),
        "stale" => Script::new(&["too-low"], 4, vec![add, ok(1, (2, 3), read(3)), ok(2, (4, 5), read(0))]),
        _ => return None,
    })
}

fn enqueue(value: i64) -> Call {
    Call::Enqueue { key: 1, value }
}

fn dequeue(value: Option<i64>) -> Call {
    Call::Dequeue { key: 1, value: Some(value) }
}

fn drain(elements: &[i64]) -> Call {
    Call::Drain { key: 1, elements: Some(elements.to_vec()) }
}

/// Queues, first in first out.
pub(super) fn queue(name: &str) -> Option<Script> {
    if name == "reordered" {
        let put = [ok(0, (0, 1), enqueue(1)), ok(0, (2, 3), enqueue(2))];
        let taken = [ok(1, (4, 5), dequeue(Some(2))), ok(1, (6, 7), dequeue(Some(1)))];
        return Some(Script::new(&["reordered"], 4, [put, taken].concat()));
    }
    unordered_queue(name)
}

/// Queues without order.
pub(super) fn unordered_queue(name: &str) -> Option<Script> {
    let put = ok(0, (0, 1), enqueue(1));
    Some(match name {
        "lost" => Script::new(&["lost"], 2, vec![put, ok(1, (2, 3), dequeue(None)), ok(1, (4, 5), drain(&[]))]),
        "duplicated" => {
            let taken = [ok(1, (2, 3), dequeue(Some(1))), ok(2, (4, 5), dequeue(Some(1)))];
            Script::new(&["duplicated"], 4, [&[put], &taken[..]].concat())
        }
        "unexpected" => {
            let taken = [ok(1, (2, 3), dequeue(Some(9))), ok(1, (4, 5), drain(&[1]))];
            Script::new(&["unexpected"], 2, [&[put], &taken[..]].concat())
        }
        // The queue says that it is empty, and gives the value later.
        "missed" => {
            let taken = [ok(1, (2, 3), dequeue(None)), ok(1, (4, 5), dequeue(Some(1)))];
            Script::new(&["missed"], 4, [&[put], &taken[..]].concat())
        }
        "aborted" => {
            let aborted = step(0, (0, 1), Outcome::Fail, enqueue(1));
            Script::new(&["unexpected"], 2, vec![aborted, ok(1, (2, 3), dequeue(Some(1)))])
        }
        _ => return None,
    })
}

/// Stacks.
pub(super) fn stack(name: &str) -> Option<Script> {
    let push = |value| Call::Push { key: 1, value };
    let pop = |value| Call::Pop { key: 1, value: Some(value) };
    let put = ok(0, (0, 1), push(1));
    Some(match name {
        "lost" => Script::new(&["lost"], 2, vec![put, ok(1, (2, 3), pop(None)), ok(1, (4, 5), pop(None))]),
        "duplicated" => {
            Script::new(&["duplicated"], 4, vec![put, ok(1, (2, 3), pop(Some(1))), ok(2, (4, 5), pop(Some(1)))])
        }
        "unexpected" => {
            Script::new(&["unexpected"], 2, vec![put, ok(1, (2, 3), pop(Some(9))), ok(1, (4, 5), pop(Some(1)))])
        }
        "reordered" => {
            let more = [ok(0, (2, 3), push(2)), ok(1, (4, 5), pop(Some(1))), ok(1, (6, 7), pop(Some(2)))];
            Script::new(&["reordered"], 4, [&[put], &more[..]].concat())
        }
        _ => return None,
    })
}

fn send(value: i64, offset: i64) -> Mop {
    Mop::Send { key: 1, value, offset: Some(offset) }
}

fn poll<const N: usize>(records: [(i64, i64); N]) -> Mop {
    let record = |(offset, value)| LogRecord { key: 1, offset: Some(offset), value: Some(value) };
    Mop::Poll { records: Some(records.into_iter().map(record).collect()) }
}

fn assign(actor: u32, events: (u32, u32)) -> Step {
    ok(actor, events, Call::Assign { keys: vec![1] })
}

/// Logs. Where something was skipped, another process reads everything, so that nothing else is wrong.
pub(super) fn log(name: &str) -> Option<Script> {
    let three = txn(0, (0, 1), [send(1, 0), send(2, 1), send(3, 2)]);
    let witness = || [assign(1, (2, 3)), txn(1, (4, 5), [poll([(0, 1), (1, 2), (2, 3)])])];
    let start = || [std::slice::from_ref(&three), &witness()[..]].concat();
    Some(match name {
        "G1a" => {
            let aborted = failed(0, (0, 1), [send(1, 0)]);
            Script::new(&["G1a"], 2, vec![aborted, assign(1, (2, 3)), txn(1, (4, 5), [poll([(0, 1)])])])
        }
        "lost-write" => {
            let sent = txn(0, (0, 1), [send(1, 0), send(2, 1)]);
            Script::new(&["lost-write"], 2, vec![sent, assign(1, (2, 3)), txn(1, (4, 5), [poll([(1, 2)])])])
        }
        "inconsistent-offsets" => {
            let first = [txn(0, (0, 1), [send(1, 0)]), assign(1, (2, 3)), txn(1, (4, 5), [poll([(0, 1)])])];
            let then = [txn(3, (6, 7), [send(2, 0)]), assign(2, (8, 9)), txn(2, (10, 11), [poll([(0, 2)])])];
            Script::new(&["inconsistent-offsets"], 6, [first, then].concat())
        }
        "duplicate" => {
            let sent = txn(0, (0, 1), [send(1, 0)]);
            let polls = [txn(1, (4, 5), [poll([(0, 1)])]), txn(1, (6, 7), [poll([(1, 1)])])];
            Script::new(&["duplicate"], 6, [&[sent, assign(1, (2, 3))], &polls[..]].concat())
        }
        "poll-skip" => {
            let polls = [assign(2, (6, 7)), txn(2, (8, 9), [poll([(0, 1)])]), txn(2, (10, 11), [poll([(2, 3)])])];
            Script::new(&["poll-skip"], 10, [start(), polls.to_vec()].concat())
        }
        "nonmonotonic-poll" => {
            let polls = [txn(2, (8, 9), [poll([(0, 1), (1, 2), (2, 3)])]), txn(2, (10, 11), [poll([(1, 2), (2, 3)])])];
            Script::new(&["nonmonotonic-poll"], 10, [start(), vec![assign(2, (6, 7))], polls.to_vec()].concat())
        }
        "int-poll-skip" => {
            let polls = [assign(2, (6, 7)), txn(2, (8, 9), [poll([(0, 1)]), poll([(2, 3)])])];
            Script::new(&["int-poll-skip"], 6, [start(), polls.to_vec()].concat())
        }
        "int-nonmonotonic-poll" => {
            let polls = txn(2, (8, 9), [poll([(0, 1), (1, 2), (2, 3)]), poll([(1, 2), (2, 3)])]);
            Script::new(&["int-nonmonotonic-poll"], 6, [start(), vec![assign(2, (6, 7)), polls]].concat())
        }
        "nonmonotonic-send" => {
            let sent = [txn(0, (0, 1), [send(1, 5)]), txn(0, (2, 3), [send(2, 3)])];
            let polls = [assign(1, (4, 5)), txn(1, (6, 7), [poll([(3, 2), (5, 1)])])];
            Script::new(&["nonmonotonic-send"], 2, [sent, polls].concat())
        }
        "int-nonmonotonic-send" => {
            let sent = txn(0, (0, 1), [send(1, 5), send(2, 3)]);
            let polls = [assign(1, (2, 3)), txn(1, (4, 5), [poll([(3, 2), (5, 1)])])];
            Script::new(&["int-nonmonotonic-send"], 2, [&[sent], &polls[..]].concat())
        }
        _ => return None,
    })
}

/// Banks with so many accounts: one read is wrong.
pub(super) fn bank(name: &str, accounts: i64) -> Option<Script> {
    let mut balances: Vec<(i64, Option<i64>)> = (0..accounts).map(|n| (n, Some(INITIAL_BALANCE))).collect();
    let finds: &[&str] = match name {
        "wrong-total" => {
            balances[0].1 = Some(INITIAL_BALANCE + 1);
            &["wrong-total"]
        }
        "negative-value" => {
            balances[0].1 = Some(-1);
            balances[1].1 = Some(2 * INITIAL_BALANCE + 1);
            &["negative-value"]
        }
        "unexpected-key" => {
            balances.push((accounts, Some(0)));
            &["unexpected-key"]
        }
        "nil-balance" => {
            balances[0].1 = None;
            &["nil-balance"]
        }
        _ => return None,
    };
    Some(Script::new(finds, 0, vec![ok(0, (0, 1), Call::ReadBalances { balances: Some(balances) })]))
}

/// Locks.
pub(super) fn lock(name: &str) -> Option<Script> {
    let acquire = |token| Call::Acquire { key: 1, value: Some(token) };
    let release = |token| Call::Release { key: 1, value: Some(token) };
    Some(match name {
        "double-acquire" => {
            let takes = [ok(0, (0, 1), acquire(1)), ok(1, (2, 3), acquire(2))];
            Script::new(
                &["double-acquire"],
                2,
                [takes, [ok(0, (4, 5), release(1)), ok(1, (6, 7), release(2))]].concat(),
            )
        }
        "stale-token" => {
            let first = [ok(0, (0, 1), acquire(2)), ok(0, (2, 3), release(2))];
            Script::new(&["stale-token"], 4, [first, [ok(1, (4, 5), acquire(1)), ok(1, (6, 7), release(1))]].concat())
        }
        "foreign-release" => {
            let steps = vec![ok(0, (0, 1), acquire(1)), ok(1, (2, 3), release(1))];
            Script::new(&["foreign-release"], 2, steps)
        }
        _ => return None,
    })
}

/// A number far beyond those that the healthy source gives out.
const DUPLICATED_ID: i64 = 1 << 50;

/// Unique numbers.
pub(super) fn unique_ids(name: &str) -> Option<Script> {
    let generate = || Call::Generate { key: 1, value: Some(DUPLICATED_ID) };
    (name == "duplicated")
        .then(|| Script::new(&["duplicated"], 2, vec![ok(0, (0, 1), generate()), ok(1, (2, 3), generate())]))
}
