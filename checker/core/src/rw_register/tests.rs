//! Histories small enough to judge by hand, healthy ones, broken ones, and an independent judge.

mod by_hand;
mod explanations;
mod forward;
mod kinds;
mod oracle;
mod planted;
mod sessions;
mod weak;

use super::*;
use crate::op::{Call, Mop};

/// A history from lines such as `p0 1..4 ok w5=1 r6=2 r7=nil`: process, invocation and completion in the order of events,
/// outcome, and micro-operations: `w` writes, `r` reads (`?`: unknown). A missing completion is written `1..`.
fn history(lines: &[&str]) -> History {
    History::new(lines.iter().map(|line| operation(line)).collect()).unwrap()
}

fn operation(line: &str) -> Operation {
    let mut words = line.split_whitespace();
    let process = words.next().unwrap().trim_start_matches('p').parse().unwrap();
    let (invoke, complete) = words.next().unwrap().split_once("..").unwrap();
    let invoke: u64 = invoke.parse().unwrap();
    let complete: Option<u64> = (!complete.is_empty()).then(|| complete.parse().unwrap());
    let outcome = Outcome::from_name(words.next().unwrap()).unwrap();
    operation_of(process, invoke, complete, outcome, words.map(mop).collect())
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
    match (&word[..1], value) {
        ("w", value) => Mop::Write { key, value: value.parse().unwrap() },
        ("r", "?") => Mop::Read { key, value: None },
        ("r", "nil") => Mop::Read { key, value: Some(None) },
        ("r", value) => Mop::Read { key, value: Some(Some(value.parse().unwrap())) },
        (other, _) => panic!("{other}"),
    }
}

fn options(model: &str) -> Options {
    Options { model: Model::parse(model).unwrap(), ..Options::default() }
}

fn check_as(lines: &[&str], model: &str) -> CheckResult {
    check(&history(lines), &options(model))
}

fn types(result: &CheckResult) -> Vec<&str> {
    result.anomaly_types.iter().map(String::as_str).collect()
}

fn validity(result: &CheckResult) -> &'static str {
    result.verdict.validity.name()
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
