//! Histories that are put aside from the first micro-operation on get the answer that they get in memory, or none.

use super::oracle::{self, tiny};
use super::*;
use crate::consistency::implied_anomalies;
use crate::spill::tests::Shelf;
use crate::synthetic::{Level, Spec, Stream, Workload, plantable};
use std::sync::Arc;

/// As [`check`], with so much memory.
fn check_outside(history: &History, options: &Options, memory_bytes_max: u64) -> Result<CheckResult, SpillError> {
    check_on(history, options, Limits { memory_bytes_max, spill: Arc::new(Shelf::default()) })
}

fn check_on(history: &History, options: &Options, limits: Limits) -> Result<CheckResult, SpillError> {
    let mut checker = Checker::with_limits(limits);
    rows::each_of(history.ops(), |row, mops| match mops {
        Some(mops) => checker.push(row, mops),
        None => checker.push_foreign(row.op_id),
    });
    checker.finish(&Known::of(history), options, |op_ids| Ok(rows::fetch_from(history.ops(), op_ids)))
}

fn is_spent(result: &CheckResult) -> bool {
    result.verdict.reasons.iter().any(|reason| reason.code == "MEMORY_SPENT")
}

/// Holds an answer against that of memory; whether it is one.
#[track_caller]
fn assert_agrees(history: &History, options: &Options, outside: &CheckResult) -> bool {
    let inside = check(history, options);
    let told = || format!("{} {outside:#?}\n{inside:#?}\n{}", options.model, oracle::shown(history));
    if inside.evidence.contains("is the witness") && inside.evidence.contains("serial") {
        assert_eq!(outside, &inside, "{}", oracle::shown(history));
        return true;
    }
    if !is_spent(outside) {
        assert_eq!(outside.verdict.validity, inside.verdict.validity, "{}", told());
    }
    for name in &outside.anomaly_types {
        let known = inside.anomaly_types.iter().any(|other| implied_anomalies(other).contains(name.as_str()));
        assert!(known, "{name}: {}", told());
    }
    for (level, other) in outside.levels.iter().zip(&inside.levels) {
        let agrees = match level.validity {
            Validity::Unknown => true,
            Validity::Valid => other.validity != Validity::Invalid,
            Validity::Invalid => other.validity == Validity::Invalid,
        };
        assert!(agrees, "{}: {}", level.name(), told());
    }
    let finding = |result: &CheckResult, id: &str| result.findings.iter().find(|finding| finding.id == id).cloned();
    for told in outside.findings.iter().filter(|told| inside.anomaly_types.contains(&told.anomaly)) {
        let at_first = told.id.ends_with("-0") && !["fractured-read", "causal-violation"].contains(&&*told.anomaly);
        assert!(!at_first || finding(&inside, &told.id).as_ref() == Some(told), "{told:#?} {inside:#?}");
    }
    !is_spent(outside)
}

#[test]
fn small_histories_are_judged_alike() {
    let mut dice = Dice::new(31);
    let models = ["strict-serializable", "strong-session-serializable", "serializable", "snapshot-isolation", "causal"];
    let mut answered = [0; 5];
    for round in 0..4_000 {
        let history = tiny(&mut dice);
        let assumed = Options { linearizable_keys: round % 4 == 1, wfr_keys: round % 4 == 2, ..Options::default() };
        for (at, model) in models.into_iter().enumerate() {
            let options = Options { model: Model::parse(model).unwrap(), ..assumed.clone() };
            let result = check_outside(&history, &options, 0).unwrap();
            answered[at] += u32::from(assert_agrees(&history, &options, &result));
        }
    }
    assert!(answered.iter().all(|count| *count > 2_000), "{answered:?}");
}

#[test]
fn synthetic_histories_are_judged_alike() {
    let spec =
        |seed, ops| Spec { workload: Workload::RwRegister, ops, seed, concurrency: 8, keys: 7, ..Spec::default() };
    let mut spent = Vec::new();
    for seed in 0..3 {
        for level in [Level::StrictSerializable, Level::Serializable, Level::SnapshotIsolation] {
            let spec = Spec { level, ..spec(seed, 1_500) };
            let history = History::new(Stream::new(&spec).unwrap().operations().collect()).unwrap();
            for model in ["strict-serializable", "serializable", "read-committed"] {
                let options = options(model);
                // Some of the partitions at a time, and one after the other.
                let [some, one] = [40_000, 0].map(|memory| check_outside(&history, &options, memory).unwrap());
                assert_eq!(some.verdict.validity, one.verdict.validity);
                if !assert_agrees(&history, &options, &one) {
                    spent.push((level.name(), model));
                }
            }
        }
    }
    // Where there is no witness, and known orders contradict nothing.
    let expected = |(level, model): &(&str, &str)| *level == "snapshot-isolation" && *model != "strict-serializable";
    assert!(spent.iter().all(expected), "{spent:?}");
    for name in plantable(Workload::RwRegister) {
        let plants = vec![format!("{name}:40").parse().unwrap()];
        let spec = Spec { plants, ..spec(5, 600) };
        let history = History::new(Stream::new(&spec).unwrap().operations().collect()).unwrap();
        for assumed in [false, true] {
            let options = Options { linearizable_keys: assumed, wfr_keys: assumed, ..Options::default() };
            let result = check_outside(&history, &options, 0).unwrap();
            assert!(assert_agrees(&history, &options, &result), "{name}: {:?} {}", result.verdict, result.evidence);
        }
    }
}

#[test]
fn values_that_were_written_twice_and_full_devices_are_told() {
    let twice = history(&["p0 0..1 ok w1=1", "p1 2..3 ok w1=1", "p2 4..5 ok r1=1 w2=2", "p3 6..7 ok w2=2"]);
    let outside = check_outside(&twice, &Options::default(), 0).unwrap();
    assert_eq!(outside, check(&twice, &Options::default()));
    let shelf = Arc::new(Shelf { room: Some(50), ..Shelf::default() });
    let full = check_on(&twice, &Options::default(), Limits { memory_bytes_max: 0, spill: shelf });
    assert_eq!(full.unwrap_err().action, "write");
}
