//! Each anomaly planted by hand: exactly that set of anomalies is found.

use super::*;
use crate::consistency::order_of;

/// Exactly these anomalies are found, besides those of orders that the model does not rely on.
#[track_caller]
fn assert_types(lines: &[&str], model: &str, expected: &[&str]) {
    let result = check_as(&history(lines), model);
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let model = Model::parse(model).unwrap();
    let mut found = types(&result);
    found.retain(|name| order_of(name) <= model.order());
    assert_eq!(found, expected, "{:#?}", result.findings);
    let proscribed = model.proscribed();
    let broken = expected.iter().any(|name| proscribed.contains(name));
    assert_eq!(result.is_invalid(), broken);
    for finding in &result.findings {
        let last = finding.explanation.last().unwrap();
        assert!(last.starts_with("  However, ") && last.ends_with(": a contradiction"), "{last}");
        assert!(!finding.ops.is_empty() && finding.id.starts_with(&finding.anomaly));
    }
}

const STRICT: &str = "strict-serializable";

#[test]
fn healthy_histories_are_valid() {
    let one = ["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p1 4..5 ok r1=[1,2]"];
    assert_types(&one, STRICT, &[]);
    assert_eq!(check_as(&history(&one), STRICT).verdict, Verdict::valid());
    // Concurrent: the read may come before, between or after.
    for list in ["[]", "[1]", "[1,2]"] {
        let read = format!("p2 2..9 ok r1={list}");
        assert_types(&["p0 0..7 ok a1=1", "p1 1..8 ok a1=2", &read, "p3 10..11 ok r1=[1,2]"], STRICT, &[]);
    }
    // An indeterminate append may take effect long after it was given up, or never.
    let late = ["p0 0..1 info a1=1", "p1 2..3 ok r1=[]", "p1 4..5 ok r1=[1]"];
    assert_types(&late, STRICT, &[]);
    assert_types(&["p0 0.. info a1=1", "p1 2..3 ok r1=[]", "p1 4..5 ok r1=[]"], STRICT, &[]);
    // Failed appends that nobody sees, reads of failed operations, several touches of one key.
    assert_types(&["p0 0..1 fail a1=1 r1=[7]", "p1 2..3 ok a1=2 r1=[2] a1=3 r1=[2,3]"], STRICT, &[]);
}

#[test]
fn write_cycles() {
    let crossed = ["p0 0..6 ok a1=1 a2=2", "p1 1..7 ok a1=2 a2=1", "p2 2..8 ok r1=[1,2]", "p3 3..9 ok r2=[1,2]"];
    assert_types(&crossed, STRICT, &["G0"]);
    assert_types(&crossed, "serializable", &["G0"]);
    assert_types(
        &["p0 0..1 ok a1=2", "p0 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"],
        STRICT,
        &["G0-process", "monotonic-writes-violation"],
    );
    assert_types(&["p0 0..1 ok a1=2", "p1 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"], STRICT, &["G0-realtime"]);
    let session = "strong-session-serializable";
    assert_types(&["p0 0..1 ok a1=2", "p1 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"], session, &[]);
    assert_types(
        &["p0 0..1 ok a1=2", "p0 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"],
        session,
        &["G0-process", "monotonic-writes-violation"],
    );
    assert_types(&["p0 0..1 ok a1=2", "p0 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"], "serializable", &[]);
}

#[test]
fn circular_information_flow() {
    assert_types(&["p0 0..2 ok a1=1 r2=[1]", "p1 1..3 ok a2=1 r1=[1]"], STRICT, &["G1c"]);
    assert_types(&["p0 0..1 ok r1=[1]", "p0 2..3 ok a1=1"], STRICT, &["G1c-process", "writes-follow-reads-violation"]);
    assert_types(&["p0 0..1 ok r1=[1]", "p1 2..3 ok a1=1"], STRICT, &["G1c-realtime"]);
    // An indeterminate transaction is seen before it was invoked.
    assert_types(&["p0 0..1 ok r1=[1]", "p1 2..3 info a1=1"], STRICT, &["G1c-realtime"]);
}

#[test]
fn read_skew() {
    let skew = ["p0 0..2 ok a1=1 a2=1", "p1 1..3 ok r1=[1] r2=[]"];
    assert_types(&skew, STRICT, &["G-single-item", "non-monotonic-read"]);
    assert_types(&skew, "read-committed", &["G-single-item", "non-monotonic-read"]);
    assert!(!check_as(&history(&skew), "read-committed").is_invalid());
    let result = check_as(&history(&skew), "serializable");
    assert_eq!(result.not.iter().collect::<Vec<_>>(), ["consistent-view", "monotonic-atomic-view"]);
    assert!(result.also_not.contains("snapshot-isolation") && result.also_not.contains("strong-serializable"));
}

#[test]
fn stale_reads() {
    let stale = ["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p1 4..5 ok r1=[1]", "p1 6..7 ok r1=[1,2]"];
    assert_types(&stale, STRICT, &["G-single-item-realtime"]);
    assert_types(&stale, "serializable", &[]);
    let own = ["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p0 4..5 ok r1=[1]", "p1 6..7 ok r1=[1,2]"];
    assert_types(&own, STRICT, &["G-single-item-process", "read-your-writes-violation"]);
    // Nobody ever saw the second append: it was lost, or the read is stale.
    assert_types(&["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p1 4..5 ok r1=[1]"], STRICT, &["G-single-item-realtime"]);
    assert_types(&["p0 0..1 ok a1=1", "p1 2..3 ok r1=[]"], STRICT, &["G-single-item-realtime"]);
}

#[test]
fn an_anomaly_that_needs_no_clock_is_not_blamed_on_it() {
    // The skew is there without real time, though the writer also completed before the reader began.
    let skew = ["p0 0..1 ok a1=1 a2=1", "p1 2..3 ok r1=[1] r2=[]"];
    assert_types(&skew, STRICT, &["G-single-item", "non-monotonic-read"]);
}

#[test]
fn long_fork_and_write_skew() {
    let fork = ["p0 0..6 ok a1=1", "p1 1..7 ok a2=1", "p2 2..8 ok r1=[1] r2=[]", "p3 3..9 ok r1=[] r2=[1]"];
    assert_types(&fork, STRICT, &["G-nonadjacent-item", "long-fork"]);
    assert_types(&fork, "parallel-snapshot-isolation", &["G-nonadjacent-item", "long-fork"]);
    let skew = ["p0 0..2 ok r1=[] a2=1", "p1 1..3 ok r2=[] a1=1"];
    assert_types(&skew, STRICT, &["G2-item"]);
    assert!(!check_as(&history(&skew), "snapshot-isolation").is_invalid());
    assert!(check_as(&history(&skew), "serializable").is_invalid());
}

#[test]
fn skews_across_processes_and_time() {
    // Two reads of the past, joined by the order of processes.
    let fork = ["p0 0..1 ok a1=1", "p0 2..3 ok r2=[]", "p1 4..5 ok a2=1", "p1 6..7 ok r1=[]"];
    assert_types(&fork, "strong-session-serializable", &["G-nonadjacent-item-process"]);
    // With real time one stale read is enough.
    assert_types(&fork, STRICT, &["G-nonadjacent-item-process", "G-single-item-realtime"]);
    let overlapping = ["p0 0..2 ok a1=1", "p0 4..6 ok r2=[]", "p1 1..3 ok a2=1", "p1 5..7 ok r1=[]"];
    assert_types(&overlapping, "strong-session-serializable", &["G-nonadjacent-item-process"]);
}

#[test]
fn skews_that_only_real_time_shows() {
    let adjacent = ["p0 0..5 ok a1=1 r2=[]", "p1 1..2 ok a2=1", "p2 3..4 ok r1=[]"];
    assert_types(&adjacent, STRICT, &["G2-item-realtime"]);
    assert_types(&adjacent, "strong-snapshot-isolation", &["G2-item-realtime"]);
    let apart = ["p0 0..10 ok r1=[] r2=[1]", "p1 1..4 ok a1=1", "p2 2..7 ok a2=1", "p3 5..6 ok r2=[]"];
    assert_types(&apart, STRICT, &["G-nonadjacent-item-realtime"]);
    assert!(check_as(&history(&apart), "strong-snapshot-isolation").is_invalid());
}

#[test]
fn a_history_that_knows_no_real_time_shows_none_of_it() {
    let fork = ["p0 0..1 ok a1=1", "p0 2..3 ok r2=[]", "p1 4..5 ok a2=1", "p1 6..7 ok r1=[]"];
    let known = history(&fork);
    let unknown = known.clone().with_real_time_order(false);
    assert_eq!(types(&check_as(&unknown, STRICT)), ["G-nonadjacent-item-process"]);
    assert_eq!(check_as(&unknown, STRICT).verdict.reasons[0].code, "NO_REAL_TIME_ORDER");
    assert!(check_as(&unknown, STRICT).is_invalid());
    let serializable = |history| check_as(history, "serializable").verdict.validity;
    assert_eq!(serializable(&unknown), Validity::Valid);
    assert_eq!(serializable(&known), Validity::Valid);
    // Nothing found, and nothing to be said about a strict model.
    let adjacent = history(&["p0 0..5 ok a1=1 r2=[]", "p1 1..2 ok a2=1", "p2 3..4 ok r1=[]"]);
    let result = check_as(&adjacent.with_real_time_order(false), STRICT);
    assert_eq!((result.verdict.validity, types(&result).len()), (Validity::Unknown, 0));
}

#[test]
fn aborted_intermediate_and_garbage_reads() {
    assert_types(&["p0 0..1 fail a1=1", "p1 2..3 ok r1=[1]"], STRICT, &["G1a"]);
    assert_types(&["p0 0..1 fail a1=1", "p1 2..3 ok a1=2", "p1 4..5 ok r1=[1,2]"], STRICT, &["G1a", "dirty-update"]);
    let middle = ["p0 0..2 ok a1=1 a1=2", "p1 1..3 ok r1=[1]", "p1 4..5 ok r1=[1,2]"];
    assert_types(&middle, STRICT, &["G-single-item", "G1b"]);
    assert_types(&["p0 0..1 fail a1=1 a1=2", "p1 2..3 ok r1=[1]"], STRICT, &["G1a", "G1b"]);
    assert_types(&["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1,9]"], STRICT, &["garbage-read"]);
    assert_types(&["p0 0..1 ok r1=[9]"], STRICT, &["garbage-read"]);
}

#[test]
fn dirty_updates_across_indeterminate_ones() {
    let lines = ["p0 0..1 fail a1=1", "p1 2..3 info a1=2", "p2 4..5 ok a1=3", "p3 6..7 info r1=[1,2,3]"];
    let result = check_as(&history(&lines), STRICT);
    assert_eq!(types(&result), ["dirty-update"]);
    let cleared = ["p0 0..1 ok a1=1", "p1 2..3 fail a1=2", "p3 6..7 ok r1=[1,2]"];
    assert_types(&cleared, STRICT, &["G1a"]);
}

#[test]
fn contradictions_within_a_transaction() {
    assert_types(&["p0 0..1 ok a1=1 r1=[]"], STRICT, &["internal"]);
    assert_types(&["p0 0..2 ok a1=1", "p1 1..3 ok r1=[] r1=[1]"], STRICT, &["internal", "G-single-item"]);
    assert_types(&["p0 0..1 ok a1=1 a1=2 r1=[2]"], STRICT, &["internal"]);
    assert_types(&["p0 0..1 ok r1=[] a1=1 r1=[1] a1=2 r1=[1,2]"], STRICT, &[]);
    assert_types(&["p0 0..1 ok r1=[1] a1=1"], STRICT, &["future-read"]);
    assert_types(&["p0 0..1 info r1=[1] a1=1", "p1 2..3 ok r1=[]"], STRICT, &[]);
}

#[test]
fn lists_that_no_append_order_explains() {
    let torn = ["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p1 4..5 ok r1=[1,2]", "p2 6..7 ok r1=[1,2,1]"];
    assert_types(&torn, STRICT, &["duplicate-elements"]);
    let split = ["p0 0..8 ok a1=1", "p1 1..9 ok a1=2", "p2 2..10 ok r1=[1,2]", "p3 3..11 ok r1=[2]"];
    assert_types(&split, STRICT, &["incompatible-order"]);
}

#[test]
fn lost_updates() {
    let lost = ["p0 0..2 ok r1=[] a1=1", "p1 1..3 ok r1=[] a1=2", "p2 4..5 ok r1=[1,2]"];
    assert_types(&lost, STRICT, &["G-single-item", "lost-update"]);
    let unread = ["p0 0..2 ok r1=[] a1=1", "p1 1..3 ok r1=[] a1=2"];
    assert_types(&unread, STRICT, &["G2-item", "lost-update"]);
    // An append before the read makes it no external read; an indeterminate one may never have happened.
    assert_types(&["p0 0..2 ok r1=[] a1=1", "p1 1..3 info r1=[] a1=2"], "serializable", &["G2-item"]);
}

#[test]
fn questions_without_answer() {
    let code = |result: &CheckResult| result.verdict.reasons.iter().map(|r| r.code.clone()).collect::<Vec<_>>();
    let empty = check(&History::default(), &Options::default());
    assert_eq!((empty.verdict.validity, code(&empty)), (Validity::Unknown, vec!["NOTHING_CHECKED".to_owned()]));

    let unread = check_as(&history(&["p0 0..1 ok a1=1", "p1 2..3 info r1=?"]), STRICT);
    assert_eq!((unread.verdict.validity, code(&unread)), (Validity::Unknown, vec!["NO_OK_READS".to_owned()]));

    let twice = check_as(&history(&["p0 0..1 ok a1=1", "p1 2..3 fail a1=1", "p1 4..5 ok r1=[1]"]), STRICT);
    assert_eq!((twice.verdict.validity, code(&twice)), (Validity::Unknown, vec!["DUPLICATE_APPENDS".to_owned()]));
    assert!(twice.verdict.reasons[0].text.contains("1 to key 1 by operations 0 and 1"));

    let mut other = operation("p0 0..1 ok a1=1", mop);
    other.call = Call::Write { key: 1, value: 1 };
    let other = check_as(&History::new(vec![other, operation("p1 2..3 ok r1=[]", mop)]).unwrap(), STRICT);
    assert_eq!((other.verdict.validity, code(&other)), (Validity::Unknown, vec!["WRONG_WORKLOAD".to_owned()]));
    assert!(other.verdict.reasons[0].text.contains("1 of 2 operations"));

    let healthy = history(&["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1]"]);
    assert_eq!(check_as(&healthy, "linearizable").verdict, Verdict::valid());
    let skew = history(&["p0 0..2 ok r1=[] a2=1", "p1 1..3 ok r2=[] a1=1"]);
    assert_eq!(check_as(&skew, "linearizable").verdict, Verdict::invalid(), "it is strict serializability");
}

#[test]
fn many_findings_are_counted_and_the_first_are_told() {
    let lines: Vec<String> = (0..40)
        .flat_map(|n| {
            [format!("p0 {}..{} fail a{n}=1", n * 4, n * 4 + 1), format!("p1 {}..{} ok r{n}=[1]", n * 4 + 2, n * 4 + 3)]
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let result = check(&history(&lines), &Options { findings_per_anomaly: 3, ..Options::default() });
    assert_eq!(types(&result), ["G1a"]);
    assert_eq!(result.findings.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["G1a-0", "G1a-1", "G1a-2"]);
    assert!(result.evidence.contains("G1a 40 (3 of 40 told)"), "{}", result.evidence);
}
