//! Synthetic histories: what is healthy is valid, what was planted is found.

use super::*;
use crate::synthetic::{Level, Spec, Stream, Workload, plantable};

fn spec(seed: u64) -> Spec {
    Spec { workload: Workload::RwRegister, ops: 400, seed, concurrency: 8, keys: 5, ..Spec::default() }
}

/// The strongest models that each level keeps of those that registers can confirm.
fn confirmable(level: Level) -> &'static [&'static str] {
    match level {
        Level::Prefix => &["causal", "causal-cerone"],
        Level::Causal => &["causal"],
        Level::ParallelSnapshotIsolation => &["causal", "parallel-snapshot-isolation"],
        _ => &[],
    }
}

#[test]
fn healthy_histories_are_valid_at_their_level() {
    for level in Level::ALL {
        let models = [&[level.name()], confirmable(level)].concat();
        for model in models {
            for seed in 0..8 {
                let spec = Spec { level, ..spec(seed) };
                let operations = Stream::new(&spec).unwrap().operations();
                let history = History::new(operations.collect()).unwrap();
                let result = check(&history, &options(model));
                let told = format!("{level} as {model}, seed {seed}: {} {:?}", result.evidence, result.verdict);
                assert_eq!(validity(&result), "valid", "{told}");
                for weaker in result.levels.iter().filter(|told| Model::parse(model).unwrap().implies(told.model)) {
                    assert_ne!(weaker.validity, Validity::Invalid, "{told}: {}", weaker.name());
                }
            }
        }
    }
}

#[test]
fn what_was_planted_is_found() {
    for name in plantable(Workload::RwRegister) {
        for (seed, distance) in [(1, 0), (2, 40), (3, 200)] {
            let plants = vec![format!("{name}:{distance}").parse().unwrap()];
            let spec = Spec { plants, ..spec(seed) };
            let mut operations = Stream::new(&spec).unwrap().operations();
            let history = History::new(operations.by_ref().collect()).unwrap();
            let expected = operations.expected();
            // Under the weakest of these that it breaks, and under the strongest with the order of its versions assumed.
            let models = ["serializable", "strong-session-serializable", "strict-serializable"];
            let model = models.into_iter().find(|model| expected.invalid.iter().any(|name| name == model)).unwrap();
            let result = check(&history, &options(model));
            assert_eq!(validity(&result), "invalid", "{name}:{distance} under {model}: {}", result.evidence);
            let assumed = Options { linearizable_keys: true, wfr_keys: true, ..Options::default() };
            let result = check(&history, &assumed);
            let missing: Vec<&String> = expected.anomalies.difference(&result.anomaly_types).collect();
            assert!(
                missing.is_empty() || types(&result).contains(&"cyclic-versions"),
                "{name}:{distance}: {missing:?} {}",
                result.evidence
            );
        }
    }
}
