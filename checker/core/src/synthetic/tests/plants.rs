//! What is planted is found, near and far, and nothing else.

use super::*;
use crate::linearizable;
use crate::op::Outcome;
use std::collections::BTreeSet;

fn plant(anomaly: &str, distance: u64) -> Plant {
    Plant { anomaly: anomaly.to_owned(), distance }
}

#[test]
fn every_anomaly_of_lists_is_found_by_its_name_and_nothing_else() {
    for anomaly in plantable(Workload::ListAppend) {
        for (ops, distance) in [(12, 0), (300, 200), (3_000, 2_900)] {
            let spec = Spec { ops, seed: 3, plants: vec![plant(anomaly, distance)], ..Spec::default() };
            let (history, expected) = generate(&spec);
            let result = judge(&history, "strict-serializable");
            assert_found(&result, &expected, anomaly);
            let planted: BTreeSet<u64> = expected.planted[0].op_ids.iter().copied().collect();
            for finding in result.findings.iter().filter(|finding| expected.anomalies.contains(&finding.anomaly)) {
                assert!(finding.ops.iter().all(|op| planted.contains(op)), "{anomaly}: {finding:?} of {planted:?}");
            }
            verdicts(&history, &expected);
        }
    }
}

/// All that is expected, and nothing but what may be found besides.
#[track_caller]
fn assert_found(result: &CheckResult, expected: &Expected, anomaly: &str) {
    let more: BTreeSet<&String> = result.anomaly_types.difference(&expected.anomalies).collect();
    assert!(result.anomaly_types.is_superset(&expected.anomalies), "{anomaly}: {}", result.evidence);
    assert!(more.iter().all(|name| expected.may_also.contains(*name)), "{anomaly}: {}", result.evidence);
    assert!(result.is_invalid() && expected.exact);
}

/// Every model that something is claimed about says so.
fn verdicts(history: &History, expected: &Expected) {
    for model in &expected.valid {
        assert!(!judge(history, model).is_invalid(), "{model} should hold: {expected:?}");
    }
    for model in &expected.invalid {
        assert!(judge(history, model).is_invalid(), "{model} should not hold: {expected:?}");
    }
    let spoken_of: BTreeSet<&String> = expected.valid.iter().chain(&expected.invalid).collect();
    assert_eq!(spoken_of.len(), expected.valid.len() + expected.invalid.len());
}

#[test]
fn the_halves_are_as_far_apart_as_asked() {
    for anomaly in ["G-single", "stale-read", "G0", "lost-update"] {
        let spec = Spec { ops: 20_000, plants: vec![plant(anomaly, 15_000)], ..Spec::default() };
        let (history, expected) = generate(&spec);
        let ids = &expected.planted[0].op_ids;
        let apart = ids.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!((15_000..15_100).contains(&apart), "{anomaly}: {ids:?}");
        let longest =
            ids.iter().map(|id| &history.ops()[*id as usize]).map(|op| op.complete_seq.unwrap() - op.invoke_seq);
        assert!(longest.max().unwrap() < 200, "{anomaly} holds an operation open");
    }
}

#[test]
fn anomalies_that_need_overlap_hold_operations_open() {
    let in_flight = |anomaly: &str| {
        let spec = Spec { ops: 100_000, plants: vec![plant(anomaly, 50_000)], ..Spec::default() };
        Stream::new(&spec).unwrap().longest_in_flight()
    };
    assert!((50_000..50_010).contains(&in_flight("long-fork")));
    assert!(in_flight("G-single") < 1_000);
    let long = Latency { long_share: 0.1, long_factor: 1_000, ..Spec::default().latency };
    let spec = Spec { ops: 1_000_000, latency: long, ..Spec::default() };
    assert_eq!(Stream::new(&spec).unwrap().longest_in_flight(), 400_000);
}

#[test]
fn many_are_planted_side_by_side() {
    let all = ["G0", "G1a", "G-single:1000", "write-skew:500", "long-fork", "internal", "G1c-realtime:3000"];
    let plants: Vec<Plant> = all.iter().map(|text| text.parse().unwrap()).collect();
    let (history, expected) = generate(&Spec { ops: 5_000, plants, ..Spec::default() });
    assert_found(&judge(&history, "strict-serializable"), &expected, "all");
    // A read skew is a non-monotonic read here, and the long fork has a name besides that of its cycle.
    assert_eq!(expected.anomalies.len(), all.len() + 2);
    // The model decides about the verdict, not about what is found.
    assert_eq!(expected.anomalies, judge(&history, "serializable").anomaly_types);
    assert!(expected.planted.iter().all(|planted| !planted.op_ids.is_empty()));
}

#[test]
fn weak_levels_take_plants_too() {
    let spec =
        Spec { level: Level::SnapshotIsolation, ops: 3_000, plants: vec![plant("G1c", 1_000)], ..Spec::default() };
    let (history, expected) = generate(&spec);
    assert!(!expected.exact && expected.valid == ["read-uncommitted"]);
    verdicts(&history, &expected);
    assert!(judge(&history, "strict-serializable").anomaly_types.is_superset(&expected.anomalies));
}

#[test]
fn every_anomaly_of_registers_is_found() {
    for anomaly in plantable(Workload::Register) {
        for distance in [0, 500] {
            let plants = vec![plant(anomaly, distance)];
            let (history, expected) =
                generate(&Spec { workload: Workload::Register, ops: 600, plants, ..Spec::default() });
            let result = linearizable::check_register(&history, &linearizable::Options::default());
            assert_eq!(result.anomaly_types, expected.anomalies, "{anomaly}: {}", result.evidence);
            assert!(expected.invalid == ["linearizable"] && expected.valid.is_empty());
        }
    }
}

#[test]
fn scripts_are_well_formed() {
    for workload in Workload::ALL {
        assert!(!plantable(workload).is_empty());
        for anomaly in plantable(workload) {
            let spec = Spec { workload, ..Spec::default() };
            let script =
                plant::script(&spec, anomaly).unwrap_or_else(|| panic!("no script for {anomaly} of {workload}"));
            let mut events: Vec<u32> = script.steps.iter().flat_map(|step| [step.invoke, step.complete]).collect();
            events.sort_unstable();
            assert_eq!(events, (0..script.events()).collect::<Vec<_>>(), "{anomaly} of {workload}");
            assert!(script.far < script.events() && !script.finds.is_empty());
            assert!(script.steps.iter().all(|step| step.outcome != Outcome::Info));
            // Whoever plants it in a whole history gets every operation of it.
            let spec = Spec { workload, ops: 400, plants: vec![plant(anomaly, 100)], ..Spec::default() };
            let (history, expected) = generate(&spec);
            assert_eq!(expected.planted[0].op_ids.len(), script.steps.len());
            for (id, step) in expected.planted[0].op_ids.iter().zip(&script.steps) {
                assert_eq!(history.ops()[*id as usize].outcome, step.outcome);
            }
        }
        assert!(plant::script(&Spec { workload, ..Spec::default() }, "nonsense").is_none());
    }
}

#[test]
fn plants_are_read_from_text() {
    assert_eq!("G1a".parse(), Ok(plant("G1a", 0)));
    assert_eq!("G-single:1_000_000".parse(), Ok(plant("G-single", 1_000_000)));
    for wrong in ["", ":5", "G1a:", "G1a:-1", "G1a:far", "a:1:2"] {
        let error = wrong.parse::<Plant>().unwrap_err();
        assert!(error.to_string().contains(wrong));
    }
}
