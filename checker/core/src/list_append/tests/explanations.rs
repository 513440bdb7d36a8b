//! What a person reads.

use super::*;
use expect_test::{Expect, expect};

fn shows(lines: &[&str], expected: Expect) {
    let result = check_as(&history(lines), "strict-serializable");
    let text: Vec<String> = result
        .findings
        .iter()
        .map(|finding| format!("{}: {}\n{}\n", finding.id, finding.summary, finding.explanation.join("\n")))
        .collect();
    expected.assert_eq(&text.join("\n"));
}

#[test]
fn a_stale_read() {
    shows(
        &["p0 0..1 ok a7=1", "p0 2..30 ok a7=2 a8=1", "p1 84..90 ok r7=[1]", "p1 91..92 ok r7=[1,2]"],
        expect![[r#"
        G-single-item-realtime-0: stale read of key 7: the list up to 1 was seen by a read invoked 54.0 ms after the append of 2 completed
        Let:
          T1 = operation 2, process 1, ok: read key 7 as [1]
          T2 = operation 1, process 0, ok: append 2 to key 7; append 1 to key 8
        Then:
          T1 < T2, because T1 read key 7 as [1] and T2 appended 2 after 1
          However, T2 < T1, because T2 completed at 0.030 s, before T1 was invoked at 0.084 s: a contradiction
    "#]],
    );
}

#[test]
fn a_cycle_through_all_kinds_of_steps() {
    shows(
        &[
            "p0 0..10 ok a7=3 a1=1 a2=1 a3=1 a4=1",
            "p1 1..11 ok r7=[3] r5=[1,2]",
            "p2 2..12 ok a5=3",
            "p2 13..14 ok r9=[]",
            "p4 3..40 ok a5=1 a5=2",
            "p5 15..16 ok r5=[1,2,3] r7=[]",
        ],
        expect![[r#"
            G-nonadjacent-item-0: cycle of 4 transactions: T1 -wr key 7: 3→ T2 -rw key 5: 2, 3→ T3 -wr key 5: 3→ T4 -rw key 7: nothing, 3→ T1
            Let:
              T1 = operation 0, process 0, ok: append 3 to key 7; … 4 more
              T2 = operation 1, process 1, ok: read key 7 as [3]; read key 5 as [1 2]
              T3 = operation 2, process 2, ok: append 3 to key 5
              T4 = operation 5, process 5, ok: read key 5 as [1 2 3]; read key 7 as []
            Then:
              T1 < T2, because T2 observed T1's append of 3 to key 7
              T2 < T3, because T2 read key 5 as [1 2] and T3 appended 3 after 2
              T3 < T4, because T4 observed T3's append of 3 to key 5
              However, T4 < T1, because T4 read key 7 as [] and T1 appended 3 to it: a contradiction

            G-single-item-realtime-0: stale read of key 7: the empty list was seen by a read invoked 5.0 ms after the append of 3 completed
            Let:
              T1 = operation 5, process 5, ok: read key 5 as [1 2 3]; read key 7 as []
              T2 = operation 0, process 0, ok: append 3 to key 7; … 4 more
            Then:
              T1 < T2, because T1 read key 7 as [] and T2 appended 3 to it
              However, T2 < T1, because T2 completed at 0.010 s, before T1 was invoked at 0.015 s: a contradiction

            long-fork-0: 4 operations disagree about the order of writes
            Let:
              T1 = operation 2, process 2, ok: append 3 to key 5
              T2 = operation 5, process 5, ok: read key 5 as [1 2 3]; read key 7 as []
              T3 = operation 0, process 0, ok: append 3 to key 7; … 4 more
              T4 = operation 1, process 1, ok: read key 7 as [3]; read key 5 as [1 2]
            Then:
              T1 < T2, because T1 appended 3 to key 5, and T2 read it as [1 2 3]
              T2 < T3, because T2 read key 7 as [], and T3 appended 3 to key 7 later
              T3 < T4, because T3 appended 3 to key 7, and T4 read it as [3]
              However, T4 < T1, because T4 read key 5 as [1 2], and T1 appended 3 to key 5 later: a contradiction
        "#]],
    );
}

#[test]
fn a_write_cycle() {
    shows(
        &["p0 0..6 ok a1=1 a2=2", "p1 1..7 ok a1=2 a2=1", "p2 2..8 ok r1=[1,2]", "p3 3..9 ok r2=[1,2]"],
        expect![[r#"
        G0-0: cycle of 2 transactions: T1 -ww key 1: 1, 2→ T2 -ww key 2: 1, 2→ T1
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1; append 2 to key 2
          T2 = operation 1, process 1, ok: append 2 to key 1; append 1 to key 2
        Then:
          T1 < T2, because T2 appended 2 to key 1 after T1 appended 1
          However, T2 < T1, because T1 appended 2 to key 2 after T2 appended 1: a contradiction
    "#]],
    );
}

#[test]
fn anomalies_that_are_no_cycles() {
    shows(
        &["p0 0..1 fail a1=1", "p1 2..3 ok a1=2", "p1 4..5 ok r1=[1,2]", "p1 6..7 ok r1=[1,2]"],
        expect![[r#"
        G1a-0: key 1: a read saw 1, which only a failed transaction appended
        Let:
          T1 = operation 0, process 0, fail: append 1 to key 1
          T2 = operation 2, process 1, ok: read key 1 as [1 2]
        Then:
          T2 observed T1's append of 1 to key 1 (and so did one more read)
          However, T1 failed, and nobody may ever see what it appended: a contradiction

        dirty-update-0: key 1: the committed 2 lies on top of 1, which failed
        Let:
          T1 = operation 0, process 0, fail: append 1 to key 1
          T2 = operation 1, process 1, ok: append 2 to key 1
        Then:
          T2 appended 2 to key 1 after T1 appended 1
          However, T1 failed, and no version may build on what it appended: a contradiction
    "#]],
    );
    shows(
        &["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1,9]"],
        expect![[r#"
        garbage-read-0: key 1: a read saw 9, which nobody appended
        Let:
          T1 = operation 1, process 1, ok: read key 1 as [1 9]
        Then:
          T1 observed 9 in key 1
          However, no transaction of the history, not even a failed one, appended 9 to key 1: a contradiction
    "#]],
    );
    shows(
        &["p0 0..1 ok a1=1 r1=[]"],
        expect![[r#"
        internal-0: key 1: a transaction read [], by its own doing it must be a list ending with [1]
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1; read key 1 as []
        Then:
          T1 read key 1 as []
          However, by its own earlier reads and appends it must be a list ending with [1]: a contradiction
    "#]],
    );
    shows(
        &["p0 0..1 ok r1=[1] a1=1"],
        expect![[r#"
        future-read-0: key 1: a transaction read 1 before it appended it
        Let:
          T1 = operation 0, process 0, ok: read key 1 as [1]; append 1 to key 1
        Then:
          T1 read key 1 as [1]
          However, T1 appended 1 only later: a contradiction
    "#]],
    );
    shows(
        &["p0 0..2 ok r1=[] a1=1", "p1 1..3 ok r1=[] a1=2"],
        expect![[r#"
        lost-update-0: key 1: 2 transactions each appended to []: 1, 2
        Let:
          T1 = operation 0, process 0, ok: read key 1 as []; append 1 to key 1
          T2 = operation 1, process 1, ok: read key 1 as []; append 2 to key 1
        Then:
          T1 read key 1 as [], then appended 1 to it
          T2 read key 1 as [], then appended 2 to it
          However, whichever took effect later should have read what the earlier one appended: a contradiction

        G2-item-0: cycle of 2 transactions: T1 -rw key 1: nothing, 2→ T2 -rw key 1: nothing, 1→ T1
        Let:
          T1 = operation 0, process 0, ok: read key 1 as []; append 1 to key 1
          T2 = operation 1, process 1, ok: read key 1 as []; append 2 to key 1
        Then:
          T1 < T2, because T1 read key 1 as [] and T2 appended 2 to it
          However, T2 < T1, because T2 read key 1 as [] and T1 appended 1 to it: a contradiction
    "#]],
    );
    shows(
        &["p0 0..1 ok a1=1", "p1 4..5 ok r1=[1,1]"],
        expect![[r#"
            duplicate-elements-0: key 1: a read saw 1 twice
            Let:
              T1 = operation 1, process 1, ok: read key 1 as [1 1]
            Then:
              T1 observed 1 twice in key 1
              However, 1 was appended to key 1 only once: a contradiction
        "#]],
    );
}

#[test]
fn long_lists_are_cut_around_what_matters() {
    let all: Vec<i64> = (1..=40).collect();
    assert_eq!(words::list(&all, &[20]), "[1 2 … 19 20 21 … 37 38 39 40] (40 elements)");
    assert_eq!(words::list(&all[..3], &[]), "[1 2 3]");
    assert_eq!(words::list(&all, &[]), "[1 2 … 37 38 39 40] (40 elements)");
}

#[test]
fn moments_show_as_many_digits_as_it_takes() {
    let pair = |first, second| words::moments(0, (first, 1), (second, 2));
    assert_eq!(pair(Some(12_345_000_000), 12_399_000_000), ("at 12.345 s".into(), "at 12.399 s".into()));
    assert_eq!(pair(Some(1_000_000), 1_001_000), ("at 0.001000 s".into(), "at 0.001001 s".into()));
    assert_eq!(pair(Some(1), 2), ("at 0.000000001 s".into(), "at 0.000000002 s".into()));
    assert_eq!(pair(None, 2), ("at event 1".into(), "at event 2".into()));
    assert_eq!(pair(Some(5), 5), ("at event 1".into(), "at event 2".into()));
    assert_eq!(words::duration(54_321_000), "54.3 ms");
}

#[test]
fn appends_of_one_transaction_the_other_way_round() {
    let result = check(&history(&["p0 0..2 ok a1=1 a1=2", "p1 3..4 ok r1=[2,1]"]), &Options::default());
    let finding = result.findings.iter().find(|finding| finding.anomaly == "incompatible-order").unwrap();
    expect![[r#"
        key 1: 2 stands before 1, though their transaction appended 1 first
        Let:
          T1 = operation 0, process 0, ok: append 1 to key 1; append 2 to key 1
          T2 = operation 1, process 1, ok: read key 1 as [2 1]
        Then:
          T1 appended 1 to key 1, and 2 after that
          T2 read key 1 with 2 right before 1
          However, a list only grows at its end, so 1 must stand before 2: a contradiction"#]]
    .assert_eq(&format!("{}\n{}", finding.summary, finding.explanation.join("\n")));
}
