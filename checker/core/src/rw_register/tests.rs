//! Histories small enough to judge by hand, healthy ones, broken ones, and an independent judge.

mod by_hand;
mod explanations;
mod forward;
mod kinds;
mod oracle;
mod outside;
mod planted;
mod sessions;
mod weak;

use super::*;
use crate::finding::LevelVerdict;
use crate::op::{Call, Mop, Outcome};
use crate::script::{operation, operation_of};
use crate::synthetic::Dice;
use crate::transactions::words;
use crate::verdict::{Validity, Verdict};
use std::collections::BTreeSet;

/// A history from lines such as `p0 1..4 ok w5=1 r6=2 r7=nil`: process, invocation and completion in the order of events,
/// outcome, and micro-operations: `w` writes, `r` reads (`?`: unknown). A missing completion is written `1..`.
fn history(lines: &[&str]) -> History {
    History::new(lines.iter().map(|line| operation(line, mop)).collect()).unwrap()
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
