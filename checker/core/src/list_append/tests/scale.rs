//! Large and awkward histories: no deep recursion, no quadratic growth, and the right answer.

use super::*;

/// Lines are too slow for these: transactions one after the other, or all at once.
fn sequence(txns: impl Iterator<Item = (i64, Vec<Mop>)>, overlapping: bool) -> History {
    let ops: Vec<(i64, Vec<Mop>)> = txns.collect();
    let count = ops.len() as u64;
    let place = |at: u64| if overlapping { (at, count + at) } else { (at * 2, at * 2 + 1) };
    let op = |(at, (process, mops)): (usize, (i64, Vec<Mop>))| {
        let (invoke, complete) = place(at as u64);
        operation_of(process, invoke, Some(complete), Outcome::Ok, mops)
    };
    History::new(ops.into_iter().enumerate().map(op).collect()).unwrap()
}

fn append(key: i64, value: i64) -> Mop {
    Mop::Append { key, value }
}

fn read(key: i64, list: Vec<i64>) -> Mop {
    Mop::ReadList { key, list: Some(list) }
}

#[test]
fn a_long_chain_that_is_spoiled_at_its_end() {
    // Every transaction reads what the one before appended; the last reads the state before them all.
    let count = 50_000;
    let link = |n: i64| (n % 7, vec![read(n, if n == 0 { vec![] } else { vec![1] }), append(n + 1, 1)]);
    let healthy = sequence((0..count).map(link), false);
    assert_eq!(check(&healthy, &Options::default()).verdict, Verdict::valid());

    let spoiled = (0..count).map(link).chain([(8, vec![read(1, vec![]), read(count, vec![1])])]);
    let result = check(&sequence(spoiled, false), &Options::default());
    // Without any clock: the last one saw the end of the chain, but not its beginning.
    assert_eq!(types(&result), ["G-single-item", "causal-violation"]);
    assert!(result.findings.iter().all(|finding| finding.ops.len() == count as usize + 1));
}

#[test]
fn a_replica_that_stopped_long_ago() {
    // Half a key's transactions read one old version, the others append: a product of dependencies.
    let count = 20_000;
    let txn = |n: i64| if n % 2 == 0 { (0, vec![append(1, n)]) } else { (1, vec![read(1, vec![0])]) };
    let history = sequence((0..count).map(txn), false);
    let result = check(&history, &Options::default());
    assert_eq!(types(&result), ["G-single-item-realtime"]);
    assert_eq!(result.findings[0].ops.len(), 2);
    assert_eq!(check_as(&history, "serializable").verdict, Verdict::valid());
}

#[test]
fn many_lost_updates_of_one_version() {
    let count = 2_000;
    let update = |n: i64| (n, vec![read(1, vec![]), append(1, n + 1)]);
    let result = check(&sequence((0..count).map(update), true), &Options::default());
    assert_eq!(types(&result), ["G2-item", "lost-update"]);
    let cycle = &result.findings.iter().find(|finding| finding.anomaly == "G2-item").unwrap().cycle;
    assert_eq!(cycle.len(), 2);
    // One of them alone is no lost update: it must not be taken to precede itself.
    let readers = (1..count).map(|n| (n, vec![read(1, vec![])])).chain([(0, vec![read(1, vec![]), append(1, 1)])]);
    let appends = (count..2 * count).map(|n| (n, vec![append(1, n)]));
    assert_eq!(check(&sequence(readers.chain(appends), true), &Options::default()).verdict, Verdict::valid());
}

#[test]
fn a_large_component_without_read_skew() {
    // Write skew between all neighbours: one component, many rw edges, and no cycle with only one of them.
    let count = 20_000;
    let skew = |n: i64| (n, vec![read(n, vec![]), append(n + 1, 1), read(n + 2, vec![])]);
    let result = check(&sequence((0..count).map(skew), true), &Options::default());
    assert_eq!(types(&result), ["G2-item"]);
    assert!(!check_as(&sequence((0..count).map(skew), true), "snapshot-isolation").is_invalid());
}

#[test]
fn keys_and_events_may_lie_far_apart() {
    let mut ops = vec![
        operation_of(
            0,
            10,
            Some(1_000_000_000_000),
            Outcome::Ok,
            vec![append(i64::MIN, i64::MAX), append(7, i64::MIN)],
        ),
        operation_of(
            1,
            2_000_000_000_000,
            Some(u64::MAX - 1),
            Outcome::Ok,
            vec![read(i64::MIN, vec![i64::MAX]), read(7, vec![])],
        ),
    ];
    let result = check(&History::new(ops.clone()).unwrap(), &Options::default());
    assert_eq!(types(&result), ["G-single-item", "non-monotonic-read"]);
    ops[1].call = Call::Txn(vec![read(i64::MIN, vec![i64::MAX]), read(7, vec![i64::MIN]), read(i64::MAX, vec![])]);
    assert_eq!(check(&History::new(ops).unwrap(), &Options::default()).verdict, Verdict::valid());
}
