//! Small histories of transactions, written as lines: for tests that judge by hand.

use crate::op::{Call, Mop, Operation, Outcome};

/// An operation from a line such as `p0 1..4 ok …`: process, invocation and completion in the order of events, outcome, and
/// micro-operations, which `mop` reads. A missing completion is written `1..`.
pub(crate) fn operation(line: &str, mop: impl FnMut(&str) -> Mop) -> Operation {
    let mut words = line.split_whitespace();
    let process = words.next().unwrap().trim_start_matches('p').parse().unwrap();
    let (invoke, complete) = words.next().unwrap().split_once("..").unwrap();
    let complete = (!complete.is_empty()).then(|| complete.parse().unwrap());
    let outcome = Outcome::from_name(words.next().unwrap()).unwrap();
    operation_of(process, invoke.parse().unwrap(), complete, outcome, words.map(mop).collect())
}

/// A transaction; between two events passes a millisecond.
pub(crate) fn operation_of(
    process: i64,
    invoke: u64,
    complete: Option<u64>,
    outcome: Outcome,
    mops: Vec<Mop>,
) -> Operation {
    let ns = |seq: u64| seq as i64 * 1_000_000;
    Operation {
        op_id: 0,
        process,
        node: None,
        call: Call::Txn(mops),
        invoke_seq: invoke,
        complete_seq: complete,
        invoke_ns: ns(invoke),
        complete_ns: complete.map(ns),
        outcome,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    }
}
