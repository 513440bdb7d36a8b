//! Histories small enough to judge by hand, healthy ones, broken ones, and an independent judge.

mod explanations;
mod healthy;
mod kinds;
mod oracle;
mod planted;
mod scale;
mod sights;
mod simulated;
mod spilled;

use super::*;
use crate::op::{Call, Mop, Operation};
use crate::verdict::{Validity, Verdict};

/// A history from lines such as `p0 1..4 ok a5=1 r6=[1,2]`: process, invocation and completion in the order of events,
/// outcome, and micro-operations: `a` appends, `r` reads (`?`: unknown). A missing completion is written `1..`.
fn history(lines: &[&str]) -> History {
    History::new(lines.iter().map(|line| operation(line)).collect()).unwrap()
}

fn operation(line: &str) -> Operation {
    let mut words = line.split_whitespace();
    let process = words.next().unwrap().trim_start_matches('p').parse().unwrap();
    let (invoke, complete) = words.next().unwrap().split_once("..").unwrap();
    let invoke_seq: u64 = invoke.parse().unwrap();
    let complete_seq: Option<u64> = (!complete.is_empty()).then(|| complete.parse().unwrap());
    let outcome = Outcome::from_name(words.next().unwrap()).unwrap();
    operation_of(process, invoke_seq, complete_seq, outcome, words.map(mop).collect())
}

fn operation_of(process: i64, invoke: u64, complete: Option<u64>, outcome: Outcome, mops: Vec<Mop>) -> Operation {
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

fn mop(word: &str) -> Mop {
    let (key, value) = word[1..].split_once('=').unwrap();
    let key = key.parse().unwrap();
    match &word[..1] {
        "a" => Mop::Append { key, value: value.parse().unwrap() },
        "r" if value == "?" => Mop::ReadList { key, list: None },
        "r" => {
            let inner = value.trim_start_matches('[').trim_end_matches(']');
            let list = inner.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect();
            Mop::ReadList { key, list: Some(list) }
        }
        other => panic!("{other}"),
    }
}

fn check_as(history: &History, model: &str) -> CheckResult {
    check(history, &Options { model: Model::parse(model).unwrap(), ..Options::default() })
}

fn types(result: &CheckResult) -> Vec<&str> {
    result.anomaly_types.iter().map(String::as_str).collect()
}

/// A small generator of numbers, the same on every machine (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        (self.next() % sides as u64) as usize
    }

    /// True in `percent` of a hundred throws.
    fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}
