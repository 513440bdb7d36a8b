//! Each anomaly by itself, and the histories that are nearly one.

use super::*;

const SSER: &str = "strict-serializable";
const SER: &str = "serializable";
const SI: &str = "snapshot-isolation";
const RC: &str = "read-committed";

#[track_caller]
fn finds(lines: &[&str], model: &str, expected_validity: &str, expected: &[&str]) -> CheckResult {
    let result = check_as(lines, model);
    assert_eq!((validity(&result), types(&result)), (expected_validity, expected.to_vec()), "{result:#?}");
    result
}

#[test]
fn reads_of_what_nobody_may_see() {
    finds(&["p0 0..1 fail w1=1", "p1 2..3 ok r1=1"], RC, "invalid", &["G1a"]);
    finds(&["p0 0..1 ok w1=1 w1=2", "p1 2..3 ok r1=1"], RC, "invalid", &["G1b"]);
    finds(&["p0 0..1 fail w1=1 w1=2", "p1 2..3 ok r1=1"], RC, "invalid", &["G1a", "G1b"]);
    finds(&["p0 0..1 ok w1=1", "p1 2..3 ok r1=9"], RC, "invalid", &["garbage-read"]);
    // An info may have taken effect, and did.
    finds(&["p0 0.. info w1=1", "p1 2..3 ok r1=1"], SSER, "valid", &[]);
    // A failed write that was tried again with the same value belongs to who succeeded.
    finds(&["p0 0..1 fail w1=1", "p0 2..3 ok w1=1", "p1 4..5 ok r1=1"], SSER, "valid", &[]);
    // What a transaction reads of its own unfinished work is its own business.
    finds(&["p0 0..1 ok w1=1 r1=1 w1=2 r1=2"], SSER, "valid", &[]);
}

#[test]
fn transactions_that_contradict_themselves() {
    finds(&["p0 0..1 ok w1=1 r1=nil"], SER, "invalid", &["internal"]);
    finds(
        &["p0 0..1 ok w1=1", "p1 2..3 ok r1=nil r1=1"],
        SER,
        "invalid",
        &["G-single-item", "fractured-read", "internal"],
    );
    finds(&["p0 0..1 ok r1=1 w1=1"], RC, "invalid", &["future-read"]);
    let internal_elsewhere = ["p0 0..1 ok w1=1", "p1 2..3 ok w2=5 r2=5 r1=1 r1=1"];
    finds(&internal_elsewhere, SSER, "valid", &[]);
}

#[test]
fn updates_that_lose_or_build_on_others() {
    let lost = ["p0 0..10 ok r1=nil w1=1", "p1 1..11 ok r1=nil w1=2"];
    finds(&lost, SER, "invalid", &["G2-item", "lost-update"]);
    finds(&lost, RC, "valid", &["G2-item", "lost-update"]);
    finds(&["p0 0..1 fail w1=1", "p1 2..3 ok r1=1 w1=2"], RC, "invalid", &["G1a", "dirty-update"]);
    finds(&["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w1=2", "p2 4..5 ok r1=2"], SSER, "valid", &[]);
}

#[test]
fn cycles_without_any_version_order() {
    finds(&["p0 0..10 ok w1=1 r2=1", "p1 1..11 ok w2=1 r1=1"], RC, "invalid", &["G1c"]);
    // Reads of an info transaction order as others do.
    finds(&["p0 0..10 ok w1=1 r2=1", "p1 1.. info w2=1", "p2 2..12 ok r1=1"], SSER, "valid", &[]);
    finds(&["p0 0..1 ok r1=1", "p1 2..3 ok w1=1"], SSER, "invalid", &["G1c-realtime"]);
    finds(&["p0 0..1 ok r1=1", "p0 2..3 ok w1=1"], "strong-session-serializable", "invalid", &["G1c-process"]);
    finds(&["p0 0..1 ok r1=1", "p1 2..3 ok w1=1"], SER, "valid", &[]);
}

#[test]
fn cycles_through_the_initial_version() {
    let skew = ["p0 0..1 ok w1=1 w2=1", "p1 2..3 ok r1=1 r2=nil"];
    finds(&skew, SI, "invalid", &["G-single-item", "non-monotonic-read"]);
    finds(&skew, RC, "valid", &["G-single-item", "non-monotonic-read"]);
    let fork = ["p0 0..4 ok w1=1", "p1 1..5 ok w2=1", "p2 2..6 ok r1=1 r2=nil", "p3 3..7 ok r1=nil r2=1"];
    finds(&fork, SI, "invalid", &["G-nonadjacent-item", "long-fork"]);
    let write_skew = ["p0 0..2 ok r1=nil w2=1", "p1 1..3 ok r2=nil w1=1"];
    finds(&write_skew, SER, "invalid", &["G2-item"]);
    finds(&write_skew, SI, "valid", &["G2-item"]);
    finds(&["p0 0..1 ok w1=1", "p1 2..3 ok r1=nil"], SSER, "invalid", &["G-single-item-realtime"]);
    finds(&["p0 0..1 ok w1=1", "p1 2..3 ok r1=nil"], SER, "valid", &[]);
}

const MONOTONIC: &str = "monotonic-reads-violation";

#[test]
fn strict_serializability_implies_linearizable_keys() {
    let stale = ["p0 0..1 ok w1=1", "p1 2..3 ok w1=2", "p2 4..5 ok r1=1"];
    finds(&stale, SSER, "invalid", &["G-single-item-realtime"]);
    finds(&stale, SER, "valid", &[]);
    // Both values are seen, then the first one again: whichever came first.
    let back = ["p0 0..20 ok w1=1", "p1 1..21 ok w1=2", "p2 2..3 ok r1=1", "p2 4..5 ok r1=2", "p2 6..7 ok r1=1"];
    finds(&back, SSER, "invalid", &["G-single-item-realtime", "causal-violation-process", MONOTONIC]);
    finds(&back, SER, "valid", &[]);
    finds(
        &back,
        "strong-session-serializable",
        "invalid",
        &["G-single-item-process", "causal-violation-process", MONOTONIC],
    );
    // A cycle of data alone, but the order of versions rests on real time: weaker models may have it otherwise.
    let skew = ["p0 0..1 ok w1=1", "p1 2..10 ok w1=2 w2=1", "p2 3..11 ok r2=1 r1=1"];
    let result = finds(&skew, SSER, "invalid", &["G-single-item-realtime"]);
    assert_eq!(result.not.iter().map(String::as_str).collect::<Vec<_>>(), ["strong-snapshot-isolation"]);
    finds(&skew, SER, "valid", &[]);
}

#[test]
fn assumptions_are_used_and_contradictions_told() {
    let stale = ["p0 0..1 ok w1=1", "p1 2..3 ok w1=2", "p2 4..5 ok r1=1"];
    let with = |lines: &[&str], options: Options| {
        let result = check(&history(lines), &options);
        (validity(&result), types(&result).join(" "))
    };
    let linearizable = Options { linearizable_keys: true, ..options(SER) };
    assert_eq!(with(&stale, linearizable.clone()), ("invalid", "cyclic-versions".to_owned()));
    let skew = ["p0 0..1 ok w1=1", "p1 2..10 ok w1=2 w2=1", "p2 3..11 ok r2=1 r1=1"];
    assert_eq!(with(&skew, linearizable), ("invalid", "G-single-item fractured-read".to_owned()));
    let sequential = Options { sequential_keys: true, ..options(SER) };
    assert_eq!(with(&stale, sequential.clone()), ("valid", String::new()));
    // A stale read is not hidden by a write beside it.
    let hidden = ["p0 0..1 ok w1=1", "p0 2..3 ok r1=nil w1=2"];
    assert_eq!(with(&hidden, sequential), ("invalid", "cyclic-versions".to_owned()));
    let supplied = |places| Options { transaction_order: Some(places), ..options(SER) };
    let crossed = ["p0 0..10 ok w1=1 w2=1", "p1 1..11 ok w1=2 w2=2", "p2 12..13 ok r1=1", "p3 14..15 ok r2=2"];
    assert_eq!(with(&crossed, supplied(vec![(0, 1), (1, 2)])), ("valid", String::new()));
    let read_modify = ["p0 0..10 ok w1=1", "p1 11..12 ok r1=1 w1=2", "p2 13..14 ok r1=2"];
    let contradicted = Options { wfr_keys: true, ..supplied(vec![(0, 2), (1, 1)]) };
    assert_eq!(
        with(&read_modify, contradicted),
        ("invalid", "G-single-item G1c causal-violation cyclic-versions".to_owned())
    );
}

#[test]
fn writes_that_nobody_orders() {
    // Each of two writers has the last word about one register, as its readers tell by going on.
    let crossed = ["p0 0..10 ok w1=1 w2=1", "p1 1..11 ok w1=2 w2=2", "p2 12..13 ok r1=1", "p3 14..15 ok r2=2"];
    finds(&crossed, SER, "valid", &[]);
    // After both have completed, each of them must be the last one.
    let result = check_as(&crossed, SSER);
    assert_eq!(validity(&result), "invalid", "{result:#?}");
    // A blind write that fits between two reads.
    let blind = ["p0 0..1 ok w1=1", "p1 2..9 ok w1=2", "p2 3..8 ok w1=3", "p3 10..11 ok r1=2"];
    finds(&blind, SSER, "valid", &[]);
}

#[test]
fn what_cannot_be_judged() {
    let code = |result: CheckResult| (validity(&result), result.verdict.reasons[0].code.clone());
    let unknown = |code: &str| ("unknown", code.to_owned());
    assert_eq!(code(check_as(&[], SER)), unknown("NOTHING_CHECKED"));
    assert_eq!(code(check_as(&["p0 0..1 ok w1=1"], SER)), unknown("NO_OK_READS"));
    let twice = check_as(&["p0 0..1 ok w1=1", "p1 2.. info w1=1", "p2 3..4 ok r1=1"], SER);
    expect_test::expect![[r#"
        "the same value was written to a key twice: 1 to key 1 by operations 0 and 1; who wrote it cannot be told"
    "#]]
    .assert_debug_eq(&twice.verdict.reasons[0].text);
    assert_eq!(code(twice), unknown("DUPLICATE_WRITES"));
    let mut foreign = history(&["p0 0..1 ok w1=1"]).ops().to_vec();
    foreign[0].call = Call::Txn(vec![Mop::Append { key: 1, value: 1 }]);
    assert_eq!(code(check(&History::new(foreign).unwrap(), &options(SER))), unknown("WRONG_WORKLOAD"));
    let sessions = history(&["p0 0..1 ok w1=1 r1=1"]).with_real_time_order(false);
    assert_eq!(code(check(&sessions, &options(SSER))), unknown("NO_REAL_TIME_ORDER"));
    let assumed = Options { linearizable_keys: true, ..options(SER) };
    let assumed = check(&sessions, &assumed);
    assert!(assumed.levels.iter().all(|level| level.validity == Validity::Unknown), "{:#?}", assumed.levels);
    assert_eq!(code(assumed), unknown("NO_REAL_TIME_ORDER"));
}

#[test]
fn every_level_is_told_as_far_as_it_was_settled() {
    let told = |lines: &[&str], model: &str| -> Vec<String> {
        let result = check_as(lines, model);
        let level = |level: &LevelVerdict| format!("{}: {}", level.name(), level.validity.name());
        result.levels.iter().map(level).filter(|text| !text.ends_with(": valid")).collect()
    };
    let healthy = ["p0 0..10 ok w1=1", "p1 1..9 ok w1=2", "p2 11..12 ok r1=2"];
    assert_eq!(told(&healthy, SSER), Vec::<String>::new());
    let open = told(&healthy, RC);
    assert!(
        open.contains(&"serializable: unknown".to_owned()) && !open.contains(&"causal-cerone: unknown".to_owned()),
        "{open:?}"
    );
    let skew = ["p0 0..2 ok r1=nil w2=1", "p1 1..3 ok r2=nil w1=1"];
    let ruled_out = told(&skew, SSER);
    assert!(ruled_out.contains(&"serializable: invalid".to_owned()), "{ruled_out:?}");
    assert!(!ruled_out.iter().any(|text| text.starts_with("snapshot")), "{ruled_out:?}");
}
