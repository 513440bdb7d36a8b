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
    shows(&["p0 0..1 ok a7=1", "p0 2..30 ok a7=2 a8=1", "p1 84..90 ok r7=[1]", "p1 91..92 ok r7=[1,2]"], expect![[""]]);
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
        expect![[""]],
    );
}

#[test]
fn a_write_cycle() {
    shows(&["p0 0..6 ok a1=1 a2=2", "p1 1..7 ok a1=2 a2=1", "p2 2..8 ok r1=[1,2]", "p3 3..9 ok r2=[1,2]"], expect![[""]]);
}

#[test]
fn anomalies_that_are_no_cycles() {
    shows(&["p0 0..1 fail a1=1", "p1 2..3 ok a1=2", "p1 4..5 ok r1=[1,2]", "p1 6..7 ok r1=[1,2]"], expect![[""]]);
    shows(&["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1,9]"], expect![[""]]);
    shows(&["p0 0..1 ok a1=1 r1=[]"], expect![[""]]);
    shows(&["p0 0..1 ok r1=[1] a1=1"], expect![[""]]);
    shows(&["p0 0..2 ok r1=[] a1=1", "p1 1..3 ok r1=[] a1=2"], expect![[""]]);
    shows(&["p0 0..1 ok a1=1", "p1 4..5 ok r1=[1,1]"], expect![[""]]);
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
