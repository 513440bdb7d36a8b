//! Each level is kept, and shows what it permits.

use super::*;
use crate::op::{Call, Mop, Outcome};

/// Models that the checker can hold against a level, and what it must find at least.
const WEAKER: &[(Level, &str, &[&str])] = &[
    (Level::StrongSessionSerializable, "strict-serializable", &["G-single-item-realtime"]),
    (Level::Serializable, "strong-session-serializable", &["G-single-item-process"]),
    (Level::RepeatableRead, "strong-session-serializable", &["G-single-item-process"]),
    (Level::StrongSnapshotIsolation, "serializable", &["G2-item"]),
    (Level::StrongSessionSnapshotIsolation, "strong-snapshot-isolation", &["G2-item", "G-single-item-realtime"]),
    (Level::SnapshotIsolation, "strong-session-snapshot-isolation", &["G2-item", "G-single-item-process"]),
    (Level::ParallelSnapshotIsolation, "snapshot-isolation", &["G-nonadjacent-item"]),
    (Level::Prefix, "parallel-snapshot-isolation", &["lost-update"]),
    (Level::Causal, "parallel-snapshot-isolation", &["lost-update", "G-single-item"]),
    (Level::ReadAtomic, "causal-cerone", &["G-single-item", "causal-violation"]),
    (Level::MonotonicAtomicView, "read-atomic", &["internal", "G-single-item", "fractured-read"]),
    (Level::ReadCommitted, "monotonic-atomic-view", &["internal", "G-single-item", "non-monotonic-read"]),
    (Level::ReadUncommitted, "read-committed", &["G1a", "G1b", "G1c", "dirty-update"]),
];

fn spec(level: Level, seed: u64) -> Spec {
    Spec { level, seed, ops: 4_000, ..Spec::default() }
}

#[test]
fn every_level_is_kept() {
    for level in Level::ALL {
        for seed in 0..4 {
            for shape in [
                Spec { weakness: 1.0, fail_share: 0.1, info_share: 0.1, ..spec(level, seed) },
                Spec { keys: 3, txn_max: 8, weakness: 0.5, lag: 64, ..spec(level, seed) },
                Spec { keys: 1, txn_max: 2, weakness: 0.9, lag: 3, ..spec(level, seed) },
                Spec { key_choice: KeyChoice::Exponential { base: 2.0 }, concurrency: 3, ..spec(level, seed) },
            ] {
                let (history, expected) = generate(&shape);
                let result = judge(&history, level.name());
                assert_eq!(result.verdict, crate::Verdict::valid(), "{level} {seed}: {}", result.evidence);
                let model = Model::parse(level.name()).unwrap();
                for told in result.levels.iter().filter(|told| model.implies(told.model)) {
                    assert_eq!(told.validity, crate::Validity::Valid, "{level} {seed}: {}", told.name());
                }
                assert!(expected.valid.contains(&level.name().to_owned()) && expected.invalid.is_empty());
                if expected.exact {
                    assert_eq!(result.anomaly_types, expected.anomalies, "{level} {seed}");
                }
            }
        }
    }
}

#[test]
fn every_weaker_level_is_refuted_by_a_stronger_model() {
    for (level, stronger, finds) in WEAKER {
        let (history, _) = generate(&Spec { txn_max: 6, ..spec(*level, 11) });
        let result = judge(&history, stronger);
        assert!(result.is_invalid(), "{level} is not refuted by {stronger}");
        for name in *finds {
            assert!(names(&result).contains(name), "{name} is not among {:?} of {level}", names(&result));
        }
        let refuters: Vec<&str> = Level::ALL.iter().map(|level| level.name()).collect();
        assert!(refuters.contains(stronger));
    }
    assert_eq!(WEAKER.len() + 1, Level::ALL.len());
}

#[test]
fn without_weakness_every_level_is_strict() {
    for level in Level::ALL {
        // Where failed transactions leave their writes behind, none may fail.
        let (history, expected) = generate(&Spec { weakness: 0.0, fail_share: 0.0, ..spec(level, 5) });
        assert_eq!(names(&judge(&history, "strict-serializable")), [""; 0], "{level}");
        assert!(expected.exact);
    }
}

/// Reads of one transaction: (key, how many versions of it they saw).
fn reads(mops: &[Mop]) -> Vec<(i64, usize)> {
    let read = |mop: &Mop| match mop {
        Mop::ReadList { key, list: Some(list) } => Some((*key, list.len())),
        _ => None,
    };
    mops.iter().filter_map(read).collect()
}

/// Pairs of reads in a transaction of which the first saw a transaction as it wrote one key, and the second did not
/// see what it wrote to another.
fn fractured(history: &History) -> usize {
    let mut writers: std::collections::BTreeMap<(i64, i64), usize> = std::collections::BTreeMap::new();
    let txn = |op: &crate::Operation| match &op.call {
        Call::Txn(mops) => mops.clone(),
        _ => vec![],
    };
    for (at, op) in history.ops().iter().enumerate() {
        for mop in txn(op) {
            if let Mop::Append { key, value } = mop {
                writers.insert((key, value), at);
            }
        }
    }
    let mut count = 0;
    for (at, op) in history.ops().iter().enumerate().filter(|(_, op)| op.outcome == Outcome::Ok) {
        let lists: Vec<(i64, Vec<i64>)> = txn(op)
            .into_iter()
            .filter_map(|mop| if let Mop::ReadList { key, list } = mop { Some((key, list?)) } else { None })
            .collect();
        for (place, (first, list)) in lists.iter().enumerate() {
            let seen: Vec<usize> = list
                .iter()
                .filter_map(|value| writers.get(&(*first, *value)).copied())
                .filter(|writer| *writer != at)
                .collect();
            for (second, later) in &lists[place + 1..] {
                count += seen
                    .iter()
                    .filter(|writer| {
                        txn(&history.ops()[**writer]).iter().any(
                            |mop| matches!(mop, Mop::Append { key, value } if key == second && !later.contains(value)),
                        )
                    })
                    .count();
            }
        }
    }
    count
}

#[test]
fn transactions_are_seen_in_part_only_where_the_level_lets_them() {
    for level in Level::ALL {
        let (history, _) = generate(&Spec { ops: 2_000, txn_max: 6, weakness: 0.8, fail_share: 0.0, ..spec(level, 2) });
        let whole = !matches!(level, Level::ReadCommitted | Level::ReadUncommitted);
        assert_eq!(fractured(&history) == 0, whole, "{level}");
    }
}

#[test]
fn only_the_weakest_levels_read_a_key_twice_differently() {
    for level in Level::ALL {
        let (history, _) = generate(&Spec { txn_max: 6, read_share: 1.0, weakness: 0.8, ..spec(level, 2) });
        // Without writes there is nothing to see: it takes some.
        assert!(
            history.ops().iter().all(|op| matches!(&op.call, Call::Txn(mops) if reads(mops).iter().all(|r| r.1 == 0)))
        );
        let (history, _) = generate(&Spec { txn_max: 6, weakness: 0.8, ..spec(level, 2) });
        let differs = |mops: &[Mop]| {
            let reads = reads(mops);
            let writes = mops.iter().any(|mop| matches!(mop, Mop::Append { .. }));
            !writes && reads.iter().any(|a| reads.iter().any(|b| a.0 == b.0 && a.1 != b.1))
        };
        let differs = history.ops().iter().any(|op| matches!(&op.call, Call::Txn(mops) if differs(mops)));
        let may = matches!(level, Level::MonotonicAtomicView | Level::ReadCommitted | Level::ReadUncommitted);
        assert_eq!(differs, may, "{level}");
    }
}

#[test]
fn levels_and_workloads_are_known_by_name() {
    for level in Level::ALL {
        assert_eq!(Level::from_name(level.name()), Some(level));
        let model = Model::parse(level.name()).unwrap();
        assert_eq!(model.name(), level.name());
    }
    assert_eq!(Level::from_name("Causal"), Some(Level::Causal));
    assert_eq!(Level::from_name("SNAPSHOT_ISOLATION"), Some(Level::SnapshotIsolation));
    assert_eq!(Level::from_name("linearizable"), None);
    for workload in Workload::ALL {
        assert_eq!(Workload::from_name(workload.name()), Some(workload));
    }
    assert_eq!(Workload::from_name("sets"), None);
}
