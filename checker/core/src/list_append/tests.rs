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
use crate::script::{operation, operation_of};
use crate::synthetic::Dice;
use crate::verdict::{Validity, Verdict};

/// A history from lines such as `p0 1..4 ok a5=1 r6=[1,2]`: process, invocation and completion in the order of events,
/// outcome, and micro-operations: `a` appends, `r` reads (`?`: unknown). A missing completion is written `1..`.
fn history(lines: &[&str]) -> History {
    History::new(lines.iter().map(|line| operation(line, mop)).collect()).unwrap()
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
