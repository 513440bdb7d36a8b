//! What transactions see of each other, and what processes see of themselves: in words, and nothing but that.

use super::*;
use expect_test::{Expect, expect};

/// The finding of one anomaly. Beside it only `with` is found.
#[track_caller]
fn shows(lines: &[&str], anomaly: &str, with: &[&str], expected: Expect) {
    let result = check_as(&history(lines), "strict-serializable");
    let mut all = [&[anomaly], with].concat();
    all.sort_unstable();
    assert_eq!(types(&result), all);
    let finding = result.findings.iter().find(|finding| finding.anomaly == anomaly).unwrap();
    assert_eq!(finding.cycle.len(), finding.ops.len());
    expected.assert_eq(&format!("{}: {}\n{}\n", finding.id, finding.summary, finding.explanation.join("\n")));
}

#[test]
fn a_fractured_read() {
    let lines = ["p0 0..2 ok a1=1 a2=1", "p1 1..3 ok r2=[] r1=[1]"];
    shows(
        &lines,
        "fractured-read",
        &["G-single-item"],
        expect![[r#"
        fractured-read-0: operation 1 saw operation 0 at key 1, but not at key 2
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1; append 1 to key 2
          T2 = operation 1, process 1, ok: read key 2 as []; read key 1 as [1]
        Then:
          T1 < T2, because T1 appended 1 to key 1, and T2 read it as [1]
          However, T2 < T1, because T2 read key 2 as [], and T1 appended 1 to key 2 later, where no read saw it: a contradiction
    "#]],
    );
    let model = |model| check_as(&history(&lines), model).is_invalid();
    assert!(model("read-atomic") && model("causal-cerone") && !model("monotonic-atomic-view"));
    // Seen by way of a later append that knew nothing of it.
    let above = ["p0 0..4 ok a1=1 a2=1", "p1 1..5 ok a1=2", "p2 2..6 ok r2=[] r1=[1,2]", "p3 3..7 ok r2=[1]"];
    assert_eq!(types(&check_as(&history(&above), "read-atomic")), ["G-single-item", "fractured-read"]);
}

#[test]
fn a_read_that_vanished() {
    let lines = ["p0 0..2 ok a1=1 a2=1", "p1 1..3 ok r1=[1] r2=[]"];
    shows(
        &lines,
        "non-monotonic-read",
        &["G-single-item"],
        expect![[r#"
        non-monotonic-read-0: operation 1 saw operation 0 at key 1, then no more at key 2
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1; append 1 to key 2
          T2 = operation 1, process 1, ok: read key 1 as [1]; read key 2 as []
        Then:
          T1 < T2, because T1 appended 1 to key 1, and T2 read it as [1]
          However, T2 < T1, because T2 read key 2 as [], and T1 appended 1 to key 2 later, where no read saw it: a contradiction
    "#]],
    );
    assert!(check_as(&history(&lines), "monotonic-atomic-view").is_invalid());
    assert!(!check_as(&history(&lines), "read-committed").is_invalid());
    // The object of which it is lost may be the same.
    let same = ["p0 0..2 ok a1=1", "p1 1..3 ok r1=[1] r1=[]"];
    assert_eq!(
        types(&check_as(&history(&same), "read-committed")),
        ["G-single-item", "internal", "non-monotonic-read"]
    );
}

#[test]
fn a_violation_of_causality() {
    let lines = ["p0 0..4 ok a1=1", "p1 1..5 ok r1=[1] a2=1", "p2 2..6 ok a3=1 r2=[1]", "p3 3..7 ok r3=[1] r1=[]"];
    shows(
        &lines,
        "causal-violation",
        &["G-single-item"],
        expect![[r#"
        causal-violation-0: key 1: operation 3 did not see operation 0, which it depends on
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1
          T2 = operation 1, process 1, ok: read key 1 as [1]; append 1 to key 2
          T3 = operation 2, process 2, ok: append 1 to key 3; read key 2 as [1]
          T4 = operation 3, process 3, ok: read key 3 as [1]; read key 1 as []
        Then:
          T1 < T2, because T1 appended 1 to key 1, and T2 read it as [1]
          T2 < T3, because T2 appended 1 to key 2, and T3 read it as [1]
          T3 < T4, because T3 appended 1 to key 3, and T4 read it as [1]
          However, T4 < T1, because T4 read key 1 as [], and T1 appended 1 to key 1 later: a contradiction
    "#]],
    );
    let model = |model| check_as(&history(&lines), model).is_invalid();
    assert!(model("causal-cerone") && model("causal") && !model("read-atomic"));
    let processes = ["p0 0..1 ok a1=1", "p0 2..4 ok a2=1", "p1 3..5 ok r2=[1] r1=[]"];
    shows(
        &processes,
        "causal-violation-process",
        &["G-single-item-process"],
        expect![[r#"
        causal-violation-process-0: key 1: operation 2 did not see operation 0, which it depends on
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1
          T2 = operation 1, process 0, ok: append 1 to key 2
          T3 = operation 2, process 1, ok: read key 2 as [1]; read key 1 as []
        Then:
          T1 < T2, because process 0 completed T1 before it invoked T2
          T2 < T3, because T2 appended 1 to key 2, and T3 read it as [1]
          However, T3 < T1, because T3 read key 1 as [], and T1 appended 1 to key 1 later, where no read saw it: a contradiction
    "#]],
    );
    let model = |model| check_as(&history(&processes), model).is_invalid();
    assert!(!model("causal-cerone") && model("causal") && !model("serializable") && model("sequential"));
}

#[test]
fn a_prefix_with_a_hole() {
    let lines = ["p0 0..4 ok a1=1 a3=1", "p1 1..5 ok a3=2 a2=1", "p2 2..6 ok r2=[1] r1=[]", "p3 3..7 ok r3=[1,2]"];
    shows(
        &lines,
        "prefix-violation",
        &["G-single-item"],
        expect![[r#"
        prefix-violation-0: key 1: operation 2 did not see operation 0, which came first
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1; append 1 to key 3
          T2 = operation 1, process 1, ok: append 2 to key 3; append 1 to key 2
          T3 = operation 2, process 2, ok: read key 2 as [1]; read key 1 as []
        Then:
          T1 < T2, because T1 appended 1 to key 3, and T2 appended 2 to key 3, which comes later in the order of versions
          T2 < T3, because T2 appended 1 to key 2, and T3 read it as [1]
          However, T3 < T1, because T3 read key 1 as [], and T1 appended 1 to key 1 later, where no read saw it: a contradiction
    "#]],
    );
    let model = |model| check_as(&history(&lines), model).is_invalid();
    assert!(model("prefix") && model("parallel-snapshot-isolation") && !model("causal-cerone"));
}

#[test]
fn a_long_fork() {
    let lines = ["p0 0..4 ok a1=1", "p1 1..5 ok a2=1", "p2 2..6 ok r1=[1] r2=[]", "p3 3..7 ok r1=[] r2=[1]"];
    shows(
        &lines,
        "long-fork",
        &["G-nonadjacent-item"],
        expect![[r#"
        long-fork-0: 4 operations disagree about the order of writes
        Let:
          T1 = operation 1, process 1, ok: append 1 to key 2
          T2 = operation 3, process 3, ok: read key 1 as []; read key 2 as [1]
          T3 = operation 0, process 0, ok: append 1 to key 1
          T4 = operation 2, process 2, ok: read key 1 as [1]; read key 2 as []
        Then:
          T1 < T2, because T1 appended 1 to key 2, and T2 read it as [1]
          T2 < T3, because T2 read key 1 as [], and T3 appended 1 to key 1 later
          T3 < T4, because T3 appended 1 to key 1, and T4 read it as [1]
          However, T4 < T1, because T4 read key 2 as [], and T1 appended 1 to key 2 later: a contradiction
    "#]],
    );
    let model = |model| check_as(&history(&lines), model).is_invalid();
    assert!(model("prefix") && model("snapshot-isolation") && !model("parallel-snapshot-isolation"));
}

#[test]
fn session_guarantees() {
    let reads = ["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1]", "p1 4..5 ok r1=[]"];
    shows(
        &reads,
        "monotonic-reads-violation",
        &["G-single-item-process"],
        expect![[r#"
        monotonic-reads-violation-0: key 1: a process read less than it had read before
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1
          T2 = operation 1, process 1, ok: read key 1 as [1]
          T3 = operation 2, process 1, ok: read key 1 as []
        Then:
          T1 < T2, because T1 appended 1 to key 1, and T2 read it as [1]
          T2 < T3, because process 1 completed T2 before it invoked T3
          However, T3 < T1, because T3 read key 1 as [], and T1 appended 1 to key 1 later: a contradiction
    "#]],
    );
    let own = ["p0 0..1 ok a1=1", "p0 2..3 ok r1=[]", "p0 4..5 ok r1=[]"];
    shows(
        &own,
        "read-your-writes-violation",
        &["G-single-item-process"],
        expect![[r#"
        read-your-writes-violation-0: key 1: a process did not see what it had written (and once more)
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1
          T2 = operation 1, process 0, ok: read key 1 as []
        Then:
          T1 < T2, because process 0 completed T1 before it invoked T2
          However, T2 < T1, because T2 read key 1 as [], and T1 appended 1 to key 1 later, where no read saw it: a contradiction
    "#]],
    );
    let writes = ["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p1 4..5 ok r1=[2,1]"];
    shows(
        &writes,
        "monotonic-writes-violation",
        &["G0-process"],
        expect![[r#"
        monotonic-writes-violation-0: key 1: two writes of a process are in the wrong order
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1
          T2 = operation 1, process 0, ok: append 2 to key 1
        Then:
          T1 < T2, because process 0 completed T1 before it invoked T2
          However, T2 < T1, because T2 appended 2 to key 1, and T1 appended 1 to key 1, which comes later in the order of versions: a contradiction
    "#]],
    );
    let follow = ["p0 0..1 ok r1=[1,2]", "p0 2..3 ok a1=1", "p1 4..5 info a1=2"];
    shows(
        &follow,
        "writes-follow-reads-violation",
        &["G1c-process"],
        expect![[r#"
        writes-follow-reads-violation-0: key 1: a process wrote below what it had read
        Let:
          T1 = operation 0, process 0, ok: read key 1 as [1 2]
          T2 = operation 1, process 0, ok: append 1 to key 1
        Then:
          T1 < T2, because process 0 completed T1 before it invoked T2
          However, T2 < T1, because T2 appended 1 to key 1, and T1 read it as [1 2]: a contradiction
    "#]],
    );
    for (lines, model) in [
        (&reads, "monotonic-reads"),
        (&own, "read-your-writes"),
        (&writes, "monotonic-writes"),
        (&follow, "writes-follow-reads"),
    ] {
        for weak in ["monotonic-reads", "read-your-writes", "monotonic-writes", "writes-follow-reads"] {
            assert_eq!(check_as(&history(lines), weak).is_invalid(), weak == model, "{model} {weak}");
        }
        assert!(check_as(&history(lines), "causal").is_invalid(), "{model}");
        assert_eq!(check_as(&history(lines), "PRAM").is_invalid(), model != "writes-follow-reads");
    }
}

#[test]
fn every_level_is_answered_at_once() {
    let lines = ["p0 0..1 ok a1=1", "p0 2..4 ok a2=1", "p1 3..5 ok r2=[1] r1=[]", "p2 6..7 info a3=1"];
    let result = check_as(&history(&lines), "read-committed");
    let told = result.levels.iter().map(|level| {
        let why = level.witness.clone().unwrap_or_else(|| level.assumed.join("; "));
        format!("{}: {}: {why}\n", level.name(), level.validity.name())
    });
    expect![[r#"
        read-uncommitted: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        read-committed: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        monotonic-atomic-view: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        read-atomic: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        causal-cerone: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        parallel-snapshot-isolation: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        snapshot-isolation: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        repeatable-read: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        serializable: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell
        causal: invalid: causal-violation-process-0
        strong-session-read-uncommitted: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell; each process did one thing after the other
        strong-session-read-committed: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell; each process did one thing after the other
        strong-session-snapshot-isolation: invalid: causal-violation-process-0
        strong-session-serializable: invalid: causal-violation-process-0
        strong-read-uncommitted: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell; the order in real time is that of the recorded events
        strong-read-committed: valid: an append that no read saw comes after the last version that was read; an info transaction happened, or did not, as the reads of others tell; the order in real time is that of the recorded events
        strong-snapshot-isolation: invalid: causal-violation-process-0
        strict-serializable: invalid: causal-violation-process-0
    "#]].assert_eq(&told.collect::<String>());
}
