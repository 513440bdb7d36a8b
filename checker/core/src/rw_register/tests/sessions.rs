//! Session guarantees: by hand, and against every order of the versions of each register.

use super::oracle::tiny;
use super::weak::index;
use super::*;
use crate::rw_register::order::{KeyOrder, Touch};
use crate::rw_register::sessions::examine;
use crate::transactions::NONE;

/// The guarantees that hold, and PRAM.
fn held(index: &Index) -> BTreeSet<&'static str> {
    let mut found = Vec::new();
    let held = examine(index, &Sources::default(), &mut found).held;
    let broken: BTreeSet<&str> = found.iter().map(Raw::name).collect();
    // What does not hold by itself has been told.
    for (model, anomaly) in MODELS.into_iter().zip(ANOMALIES) {
        assert_eq!(!held.contains(model), broken.contains(anomaly), "{model}");
    }
    held
}

const MODELS: [&str; 4] = ["monotonic-reads", "read-your-writes", "monotonic-writes", "writes-follow-reads"];
const ANOMALIES: [&str; 4] = [
    "monotonic-reads-violation",
    "read-your-writes-violation",
    "monotonic-writes-violation",
    "writes-follow-reads-violation",
];

#[track_caller]
fn holds(lines: &[&str], expected: &[&str]) {
    assert_eq!(held(&index(&history(lines))), expected.iter().copied().collect());
}

#[test]
fn each_guarantee_by_hand() {
    let writes = ["p0 0..1 ok w1=1", "p1 2..3 ok w1=2"];
    let with = |more: &[&'static str]| writes.iter().chain(more).copied().collect::<Vec<_>>();
    // Two readers disagree about the order of two writes.
    let reads = with(&["p2 4..5 ok r1=1", "p2 6..7 ok r1=2", "p3 8..9 ok r1=2", "p3 10..11 ok r1=1"]);
    holds(&reads, &["read-your-writes", "monotonic-writes", "writes-follow-reads"]);
    // Each writer reads the other one afterwards.
    let own = with(&["p0 4..5 ok r1=2", "p1 6..7 ok r1=1"]);
    holds(&own, &["monotonic-reads", "monotonic-writes", "writes-follow-reads"]);
    // Each follows a read of what the other wrote later.
    let follow = ["p0 0..1 ok r1=2", "p0 2..3 ok w1=1", "p1 4..5 ok r1=1", "p1 6..7 ok w1=2"];
    holds(&follow, &["monotonic-reads", "read-your-writes", "monotonic-writes", "PRAM"]);
    // Each by itself, but not all three together: p0 has 1 < 2, p1 reads 2 and then 1.
    let together = ["p0 0..1 ok w1=1", "p0 2..3 ok w1=2", "p1 4..5 ok r1=2", "p1 6..7 ok r1=1"];
    holds(&together, &MODELS);
    holds(&["p0 0..1 ok w1=1", "p0 2..3 ok r1=nil"], &["monotonic-reads", "monotonic-writes", "writes-follow-reads"]);
}

#[test]
fn verdicts_follow_from_them() {
    let reads = [
        "p0 0..1 ok w1=1",
        "p1 2..3 ok w1=2",
        "p2 4..5 ok r1=1",
        "p2 6..7 ok r1=2",
        "p3 8..9 ok r1=2",
        "p3 10..11 ok r1=1",
    ];
    let verdict = |lines: &[&str], model: &str| check_as(lines, model).verdict.validity;
    assert_eq!(verdict(&reads, "monotonic-reads"), Validity::Invalid);
    assert_eq!(verdict(&reads, "PRAM"), Validity::Invalid);
    assert_eq!(verdict(&reads, "causal"), Validity::Invalid);
    assert_eq!(verdict(&reads, "read-your-writes"), Validity::Valid);
    for model in MODELS.into_iter().chain(["PRAM"]) {
        assert_eq!(verdict(&reads[..4], model), Validity::Valid, "{model}");
    }
    let told = check_as(&reads, "monotonic-reads");
    let finding = told.findings.iter().find(|finding| finding.anomaly == ANOMALIES[0]).unwrap();
    expect_test::expect![[r#"
        key 1: versions in a cycle: 1 < 2 < 1 (by what processes met one after the other)
        Let:
          T1 = operation 2, process 2, ok: read key 1 as 1
          T2 = operation 3, process 2, ok: read key 1 as 2
          T3 = operation 4, process 3, ok: read key 1 as 2
          T4 = operation 5, process 3, ok: read key 1 as 1
        Then:
          1 < 2, because process 2 met 1 in T1 and then 2 in T2
          However, 2 < 1, because process 3 met 2 in T3 and then 1 in T4: a contradiction"#]]
    .assert_eq(&format!("{}\n{}", finding.summary, finding.explanation.join("\n")));
}

/// By definition: which of the guarantees, and of the first three together, some order of the versions gives.
fn judge(touches: &[Touch], process: impl Fn(u32) -> i64, versions: u32) -> [bool; 5] {
    let mut pairs: [Vec<(u32, u32)>; 4] = Default::default();
    for (at, earlier) in touches.iter().enumerate() {
        for later in touches[at + 1..].iter().filter(|later| process(later.txn) == process(earlier.txn)) {
            let ends = [
                (earlier.read, later.read),
                (earlier.write, later.read),
                (earlier.write, later.write),
                (earlier.read, later.write),
            ];
            ends.iter()
                .zip(&mut pairs)
                .filter(|(ends, _)| ends.0 != NONE && ends.1 != NONE)
                .for_each(|(e, p)| p.push(*e));
        }
    }
    let mut given = [false; 5];
    let mut order: Vec<u32> = (1..versions).collect();
    permute(&mut order, 0, &mut |order| {
        let place = |version: u32| order.iter().position(|one| *one == version).map_or(0, |place| place + 1);
        let kept: Vec<bool> = pairs.iter().map(|pairs| pairs.iter().all(|(a, b)| place(*a) <= place(*b))).collect();
        (0..4).for_each(|number| given[number] |= kept[number]);
        given[4] |= kept[..3].iter().all(|kept| *kept);
    });
    given
}

fn permute(items: &mut Vec<u32>, at: usize, each: &mut impl FnMut(&[u32])) {
    if at >= items.len() {
        return each(items);
    }
    for other in at..items.len() {
        items.swap(at, other);
        permute(items, at + 1, each);
        items.swap(at, other);
    }
}

#[test]
fn agrees_with_every_order_of_versions() {
    let mut broken = [0; 5];
    for seed in 0..20_000 {
        let index = index(&tiny(&mut Dice::new(seed)));
        let held = held(&index);
        let mut expected = [true; 5];
        for key in 0..index.columns.keys.len() as u32 {
            let mut order = KeyOrder::default();
            order.load(&index, key);
            let given = judge(&order.touches, |txn| index.columns.txns.process(txn), order.len() as u32);
            expected.iter_mut().zip(given).for_each(|(all, given)| *all &= given);
        }
        for (number, model) in MODELS.into_iter().chain(["PRAM"]).enumerate() {
            assert_eq!(held.contains(model), expected[number], "seed {seed}, {model}");
            broken[number] += u32::from(!expected[number]);
        }
    }
    // Nothing contradicts the order in which one process wrote, and reads of what is written later are rare.
    assert!([0, 1, 4].into_iter().all(|number| broken[number] > 20), "{broken:?}");
}

#[test]
fn one_busy_register_is_explained_also_where_pairs_are_left_out() {
    // Two processes write in turn; then one reads what the other wrote first, and that one reads two values over and over,
    // which makes more pairs of its writes and reads than are kept.
    let write = |at: u64| format!("p{} {}..{} ok w1={}", at % 2, 2 * at, 2 * at + 1, at + 1);
    let mut lines: Vec<String> = (0..20_000).map(write).collect();
    let reads = std::iter::once((0, 2)).chain((0..100).map(|read| (1, 1 + read % 2)));
    for (at, (process, value)) in (20_000..).zip(reads) {
        lines.push(format!("p{process} {}..{} ok r1={value}", 2 * at, 2 * at + 1));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let index = index(&history(&lines));
    let mut found = Vec::new();
    let held = examine(&index, &Sources::default(), &mut found).held;
    assert_eq!(held, ["monotonic-writes", "writes-follow-reads"].into());
    let broken: Vec<&str> = found.iter().map(Raw::name).collect();
    assert_eq!(broken, ["monotonic-reads-violation", "read-your-writes-violation"]);
    for raw in &found {
        let Raw::Session { reasons, .. } = raw else { panic!("{raw:?}") };
        assert!(reasons.iter().all(|reason| reason.earlier != NONE && reason.later != NONE), "{raw:?}");
    }
}
