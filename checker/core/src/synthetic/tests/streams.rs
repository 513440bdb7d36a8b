//! Streams: the same for every run of a seed, in order, bounded; and specifications that make no sense.

use super::*;
use crate::op::Outcome;
use crate::synthetic::transactions::Transactions;
use expect_test::expect;

#[test]
fn a_seed_tells_everything() {
    for workload in Workload::ALL {
        let spec = |seed| Spec { workload, ops: 500, seed, ..Spec::default() };
        let events = |seed| Stream::new(&spec(seed)).unwrap().collect::<Vec<_>>();
        assert_eq!(events(4), events(4), "{workload}");
        assert_ne!(events(4), events(5), "{workload}");
    }
}

#[test]
fn events_come_in_their_order_and_pair_up() {
    for workload in Workload::ALL {
        let spec = Spec { workload, ops: 2_000, info_share: 0.1, fail_share: 0.1, nodes: 3, ..Spec::default() };
        let mut open = std::collections::BTreeMap::new();
        let (mut last_ns, mut invoked) = (0, 0);
        for (at, event) in Stream::new(&spec).unwrap().enumerate() {
            assert_eq!(event.seq, at as u64);
            assert!(event.time_ns >= last_ns);
            last_ns = event.time_ns;
            assert!(matches!(event.node.as_deref(), Some("n1" | "n2" | "n3")));
            match event.kind {
                EventKind::Invoke => {
                    assert_eq!(event.op_id, invoked);
                    invoked += 1;
                    let mut unknown = event.call.clone();
                    plant::forget(&mut unknown);
                    assert_eq!(unknown, event.call, "an invocation tells what only the future knows");
                    open.insert(event.op_id, event);
                }
                EventKind::Complete { outcome, error_code } => {
                    let begun = open.remove(&event.op_id).unwrap();
                    assert_eq!((begun.process, begun.node), (event.process, event.node));
                    assert_eq!(outcome == Outcome::Ok, error_code.is_none());
                    let mut unknown = event.call.clone();
                    plant::forget(&mut unknown);
                    assert_eq!(unknown, begun.call);
                    assert!(outcome == Outcome::Ok || event.call == begun.call, "{:?}", event.call);
                }
            }
        }
        assert!(open.is_empty() && invoked == spec.ops);
    }
}

#[test]
fn shares_are_kept() {
    let spec = Spec { ops: 20_000, fail_share: 0.2, info_share: 0.1, ..Spec::default() };
    let (history, _) = generate(&spec);
    let share = |outcome| history.ops().iter().filter(|op| op.outcome == outcome).count() as f64 / 20_000.0;
    assert!((0.19..0.21).contains(&share(Outcome::Fail)));
    assert!((0.07..0.09).contains(&share(Outcome::Info)));
    let longest = |spec: &Spec| {
        let (history, _) = generate(spec);
        history.ops().iter().map(|op| op.complete_ns.unwrap() - op.invoke_ns).max().unwrap()
    };
    let constant = Latency { mean_ns: 500, spread: Spread::Constant, long_share: 0.0, long_factor: 1 };
    assert_eq!(longest(&Spec { latency: constant, ..Spec::default() }), 500);
    let long = Latency { long_share: 0.01, long_factor: 1_000, ..constant };
    assert_eq!(longest(&Spec { latency: long, ..Spec::default() }), 500_000);
}

#[test]
fn memory_does_not_grow_with_the_history() {
    use crate::synthetic::dice::Dice;
    use crate::synthetic::machine::{Fate, Machine};
    let spec = Spec::default();
    let mut store = Transactions::new(&spec, 0);
    let mut dice = Dice::new(1);
    let mut most = 0;
    for round in 0..50_000_usize {
        let mut call = store.open(&mut dice, round % 20, &mut Fate::Ok);
        store.act(&mut dice, round % 20, &mut call, Fate::Ok).unwrap();
        store.close(round % 20, &call, true);
        most = most.max(store.objects());
    }
    assert!(most < 30, "{most} objects for 10 keys");
}

#[test]
fn mistakes_are_told() {
    let told = |spec: Spec| Stream::new(&spec).err().map_or_else(|| "nothing".to_owned(), |error| error.to_string());
    let wrong = [
        Spec { ops: 0, ..Spec::default() },
        Spec { keys: 0, ..Spec::default() },
        Spec { keys: 1, workload: Workload::Bank, ..Spec::default() },
        Spec { concurrency: 0, ..Spec::default() },
        Spec { txn_min: 3, txn_max: 2, ..Spec::default() },
        Spec { fail_share: 1.5, ..Spec::default() },
        Spec { info_share: f64::NAN, ..Spec::default() },
        Spec { key_choice: KeyChoice::Zipf { exponent: -1.0 }, ..Spec::default() },
        Spec { workload: Workload::Queue, level: Level::SnapshotIsolation, ..Spec::default() },
        Spec { plants: vec!["G3".parse().unwrap()], workload: Workload::Register, ..Spec::default() },
        Spec { plants: vec!["G1a:9_999".parse().unwrap()], ..Spec::default() },
        Spec { plants: vec![Plant { anomaly: "G1a".to_owned(), distance: u64::MAX }], ..Spec::default() },
    ];
    let told: Vec<String> = wrong.into_iter().map(told).collect();
    expect![[r#"
        ops is 0, but must be from 1 to 1099511627776
        keys is 0, but must be from 1 to 1048576
        keys is 1, but must be from 2 to 1048576
        concurrency is 0, but must be from 1 to 65536
        txn_max is 2, but must be from 3 to 65536
        fail_share is 1.5, but must be from 0 to 1
        info_share is NaN, but must be from 0 to 1
        key_choice.exponent is -1, but must be from 0 to 100
        queue works on single objects: its histories are linearizable, not snapshot-isolation
        cannot plant `G3` in register; what can be planted: stale-read, lost-write, garbage-read, new-old-inversion, impossible-cas
        `G1a` over a distance of 9999 needs 10005 operations, but there are only 10000
        `G1a` over a distance of 18446744073709551615 needs 18446744073709551615 operations, but there are only 10000"#]].assert_eq(&told.join("\n"));
}

#[test]
fn odd_specifications_work() {
    let one = Spec { ops: 1, concurrency: 1, keys: 2, writes_per_key: 1, txn_max: 1, ..Spec::default() };
    for workload in Workload::ALL {
        for spec in [
            Spec { workload, ..one.clone() },
            Spec { workload, ops: 500, fail_share: 1.0, ..one.clone() },
            Spec { workload, ops: 500, info_share: 1.0, ..one.clone() },
            Spec { workload, ops: 500, read_share: 1.0, ..one.clone() },
            Spec { workload, ops: 500, read_share: 0.0, ..one.clone() },
            Spec { workload, ops: 500, keys: 1_000, concurrency: 300, ..one.clone() },
        ] {
            generate(&spec);
        }
    }
}

#[test]
fn what_is_expected_is_written_as_json() {
    let plants = vec!["stale-read:100".parse().unwrap()];
    let spec = Spec { ops: 200, level: Level::Serializable, plants, ..Spec::default() };
    let (_, expected) = generate(&spec);
    expect![[r#"
        {
          "spec": "list-append serializable ops 200 seed 0",
          "workload": "list-append",
          "valid": ["serializable", "snapshot-isolation", "repeatable-read", "consistent-view", "read-committed", "read-uncommitted", "view-serializable"],
          "invalid": ["strict-serializable", "strong-snapshot-isolation", "linearizable"],
          "anomalies": ["G-single-item-realtime"],
          "may_also": [],
          "exact": false,
          "planted": [
            {"anomaly": "stale-read", "distance": 100, "finds": ["G-single-item-realtime"], "op_ids": [47, 149, 151]}
          ]
        }
    "#]].assert_eq(&expected.to_json());
    let (_, expected) = generate(&Spec { workload: Workload::Set, ..Spec::default() });
    expect![[r#"
        {
          "spec": "set strict-serializable ops 10000 seed 0",
          "workload": "set",
          "valid": ["linearizable"],
          "invalid": [],
          "anomalies": [],
          "may_also": [],
          "exact": true,
          "planted": []
        }
    "#]]
    .assert_eq(&expected.to_json());
}
