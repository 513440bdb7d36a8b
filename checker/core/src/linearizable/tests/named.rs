//! Tiny histories with a name, and what is said about them.

use super::super::*;
use super::operation;
use crate::op::Operation;
use expect_test::{Expect, expect};

fn read(process: i64, value: Option<i64>, from: u64, until: u64) -> Operation {
    operation(process, Call::Read { key: 7, value: Some(value) }, (from, Some(until)), Outcome::Ok)
}

fn write(process: i64, value: i64, from: u64, until: u64) -> Operation {
    operation(process, Call::Write { key: 7, value }, (from, Some(until)), Outcome::Ok)
}

fn cas(process: i64, expected: i64, value: i64, from: u64, until: u64) -> Operation {
    operation(process, Call::Cas { key: 7, expected, value }, (from, Some(until)), Outcome::Ok)
}

fn with(outcome: Outcome, code: &str, mut op: Operation) -> Operation {
    op.outcome = outcome;
    op.error_code = Some(code.into());
    if outcome == Outcome::Info {
        op.complete_seq = None;
        op.complete_ns = None;
    }
    op
}

fn check(ops: Vec<Operation>) -> CheckResult {
    let history = History::new(ops).expect("the history is well formed");
    check_register(&history, &Options { threads: 1, ..Options::default() })
}

fn valid(ops: Vec<Operation>) {
    assert_eq!(check(ops).verdict, Verdict::valid());
}

fn told(ops: Vec<Operation>, anomaly: &str, expected: Expect) {
    let result = check(ops);
    assert_eq!(result.verdict, Verdict::invalid());
    assert_eq!(result.findings.len(), 1);
    let finding = &result.findings[0];
    assert_eq!((finding.anomaly.as_str(), finding.id.as_str(), finding.key), (anomaly, "L-0", Some(7)));
    let mut text = format!("{}\n", finding.summary);
    for sentence in &finding.explanation {
        text.push_str(&format!("  {sentence}\n"));
    }
    text.push_str(&format!("ops {:?}\n", finding.ops));
    expected.assert_eq(&text);
}

#[test]
fn w1_r1_is_valid() {
    valid(vec![write(0, 1, 0, 1), read(1, Some(1), 2, 3)]);
}

#[test]
fn a_read_during_a_write_may_see_either_value() {
    valid(vec![write(0, 1, 0, 1), write(0, 2, 2, 9), read(1, Some(1), 3, 4), read(1, Some(2), 5, 6)]);
}

#[test]
fn an_info_write_may_take_effect_much_later() {
    valid(vec![
        with(Outcome::Info, "timeout", write(0, 1, 0, 1)),
        write(1, 2, 2, 3),
        read(1, Some(2), 4, 5),
        read(1, Some(1), 6, 7),
    ]);
}

#[test]
fn an_info_write_takes_effect_once() {
    let ops = vec![
        with(Outcome::Info, "timeout", write(0, 1, 0, 1)),
        write(1, 2, 2, 3),
        read(1, Some(1), 4, 5),
        write(1, 2, 6, 7),
        read(1, Some(1), 8, 9),
    ];
    told(
        ops,
        "nonlinearizable",
        expect![[r#"
            key 7: read 1 by process 1 fits no order
              Let: W1 = write of 1 to key 7 by process 0, invoked 0.000 s, outcome unknown (timeout);
              R1 = read of key 7 by process 1 → 1, invoked 0.004 s, completed 0.005 s;
              W2 = write of 2 to key 7 by process 1, invoked 0.006 s, completed 0.007 s;
              R2 = read of key 7 by process 1 → 1, invoked 0.008 s, completed 0.009 s.
              Then: every value was written once, so the key held 1 from 0.005 s, when R1 completed, until 0.008 s, when R2 was invoked; but in between, from 0.006 s to 0.007 s, W2 wrote 2: a contradiction.
              These 4 operations alone cannot be linearized.
            ops [0, 2, 3, 4]
        "#]],
    );
}

#[test]
fn nothing_read_is_unknown() {
    let result = check(vec![write(0, 1, 0, 1), write(0, 2, 2, 3)]);
    assert_eq!(result.verdict.validity, Validity::Unknown);
    assert_eq!(result.verdict.reasons[0].code, "NO_OK_READS");
    let result = check(vec![operation(0, Call::Txn(Vec::new()), (0, Some(1)), Outcome::Ok)]);
    assert_eq!(result.verdict.reasons[0].code, "NOTHING_CHECKED");
}

#[test]
fn nothing_is_said_without_an_order_in_real_time() {
    let history = History::new(vec![write(0, 1, 0, 1), read(1, Some(2), 2, 3)]).unwrap();
    assert!(check_register(&history, &Options::default()).is_invalid());
    let result = check_register(&history.with_real_time_order(false), &Options::default());
    assert_eq!(result.verdict.validity, Validity::Unknown);
    assert_eq!(result.verdict.reasons[0].code, "NO_REAL_TIME_ORDER");
}

#[test]
fn a_stale_read_is_named() {
    let mut stale = read(3, Some(3), 6, 7);
    stale.node = Some("n1".into());
    told(
        vec![write(0, 3, 0, 1), write(1, 4, 2, 3), read(2, Some(4), 4, 5), stale, read(3, Some(3), 8, 9)],
        "stale-read",
        expect![[r#"
            key 7: read 3 after 4 was acknowledged
              Let: R = read of key 7 by process 3 on n1 → 3, invoked 0.006 s, completed 0.007 s;
              W = write of 4 to key 7 by process 1, invoked 0.002 s, completed 0.003 s;
              V = write of 3 to key 7 by process 0, invoked 0.000 s, completed 0.001 s.
              Then: W completed at 0.003 s, before R was invoked at 0.006 s; V, the only write of 3 invoked before R completed, had completed at 0.001 s, before W was invoked at 0.002 s; so R must see 4 or something newer. However, R saw 3: a contradiction.
              1 more read of this key is stale in the same way.
            ops [3, 1, 0]
        "#]],
    );
}

#[test]
fn a_read_of_nothing_after_a_write_is_stale() {
    let ops = vec![write(0, 3, 0, 1), read(1, None, 2, 3), read(1, Some(3), 4, 5)];
    told(
        ops,
        "stale-read",
        expect![[r#"
        key 7: read nil after 3 was acknowledged
          Let: R = read of key 7 by process 1 → nil, invoked 0.002 s, completed 0.003 s;
          W = write of 3 to key 7 by process 0, invoked 0.000 s, completed 0.001 s.
          Then: W completed at 0.001 s, before R was invoked at 0.002 s; nil is what the key held at first, and nobody had written it when R completed; so R must see 3 or something newer. However, R saw nil: a contradiction.
        ops [1, 0]
    "#]],
    );
}

#[test]
fn a_write_that_nobody_ever_sees_is_lost() {
    let ops = vec![write(0, 3, 0, 1), write(1, 4, 2, 3), read(2, Some(3), 4, 5), read(3, Some(3), 6, 7)];
    told(
        ops,
        "lost-write",
        expect![[r#"
        key 7: the acknowledged write of 4 is seen by none of 2 later reads
          Let: W = write of 4 to key 7 by process 1, invoked 0.002 s, completed 0.003 s;
          R = read of key 7 by process 2 → 3, invoked 0.004 s, completed 0.005 s.
          Then: W completed at 0.003 s, before R was invoked at 0.004 s; every other write of this key had completed before W was invoked at 0.002 s; so from then on every read must see 4. However, R saw 3, and no read ever saw 4 (2 later reads): a contradiction.
        ops [1, 2]
    "#]],
    );
}

#[test]
fn a_value_from_nowhere_is_garbage() {
    let ops = vec![write(0, 3, 0, 1), read(1, Some(9), 2, 3)];
    told(
        ops,
        "garbage-read",
        expect![[r#"
        key 7: read 9, which had not been written
          Let: R = read of key 7 by process 1 → 9, invoked 0.002 s, completed 0.003 s.
          Then: no operation of the history writes 9 to key 7. However, R saw 9: a contradiction.
        ops [1]
    "#]],
    );
    let ops = vec![with(Outcome::Fail, "aborted", write(0, 9, 0, 1)), read(1, Some(9), 2, 3)];
    told(
        ops,
        "garbage-read",
        expect![[r#"
            key 7: read 9, which had not been written
              Let: R = read of key 7 by process 1 → 9, invoked 0.002 s, completed 0.003 s;
              F = write of 9 to key 7 by process 0, invoked 0.000 s, failed 0.001 s.
              Then: only F, which failed and so did not take effect, had tried to write 9 when R completed. However, R saw 9: a contradiction.
            ops [1, 0]
        "#]],
    );
    let ops = vec![read(1, Some(9), 0, 1), write(0, 9, 2, 3)];
    told(
        ops,
        "garbage-read",
        expect![[r#"
            key 7: read 9, which had not been written
              Let: R = read of key 7 by process 1 → 9, invoked 0.000 s, completed 0.001 s;
              W = write of 9 to key 7 by process 0, invoked 0.002 s, completed 0.003 s.
              Then: the first write of 9 was W, invoked at 0.002 s, after R had completed. However, R saw 9: a contradiction.
            ops [0, 1]
        "#]],
    );
}

#[test]
fn reads_that_go_back_and_forth_fit_no_order() {
    let ops = vec![
        write(0, 1, 0, 8),
        write(1, 2, 1, 9),
        read(2, Some(1), 2, 3),
        read(2, Some(2), 4, 5),
        read(2, Some(1), 6, 7),
        read(3, Some(2), 10, 11),
    ];
    told(
        ops,
        "nonlinearizable",
        expect![[r#"
            key 7: read 2 by process 3 fits no order
              Let: W1 = write of 1 to key 7 by process 0, invoked 0.000 s, completed 0.008 s;
              W2 = write of 2 to key 7 by process 1, invoked 0.001 s, completed 0.009 s;
              R1 = read of key 7 by process 2 → 2, invoked 0.004 s, completed 0.005 s;
              R2 = read of key 7 by process 2 → 1, invoked 0.006 s, completed 0.007 s;
              R3 = read of key 7 by process 3 → 2, invoked 0.010 s, completed 0.011 s.
              Then: every value was written once, so the key held 2 from 0.005 s, when R1 completed, until 0.010 s, when R3 was invoked; but in between, from 0.006 s to 0.007 s, R2 saw 1: a contradiction.
              These 5 operations alone cannot be linearized.
            ops [0, 1, 3, 4, 5]
        "#]],
    );
}

#[test]
fn a_value_seen_wholly_inside_the_time_of_another_fits_no_order() {
    let ops = vec![write(0, 1, 0, 1), write(1, 2, 3, 20), read(2, Some(2), 4, 5), read(3, Some(1), 6, 7)];
    told(
        ops,
        "nonlinearizable",
        expect![[r#"
            key 7: read 1 by process 3 fits no order
              Let: W1 = write of 1 to key 7 by process 0, invoked 0.000 s, completed 0.001 s;
              W2 = write of 2 to key 7 by process 1, invoked 0.003 s, completed 0.020 s;
              R1 = read of key 7 by process 2 → 2, invoked 0.004 s, completed 0.005 s;
              R2 = read of key 7 by process 3 → 1, invoked 0.006 s, completed 0.007 s.
              Then: every value was written once, so the key held 1 from 0.001 s, when W1 completed, until 0.006 s, when R2 was invoked; but in between, from 0.004 s to 0.005 s, R1 saw 2: a contradiction.
              These 4 operations alone cannot be linearized.
            ops [0, 1, 2, 3]
        "#]],
    );
}

#[test]
fn two_cas_from_one_value_fit_no_order() {
    let ops = vec![write(0, 1, 0, 1), cas(1, 1, 2, 2, 5), cas(2, 1, 3, 3, 4), read(3, Some(2), 6, 7)];
    told(
        ops,
        "nonlinearizable",
        expect![[r#"
        key 7: cas by process 1 fits no order
          Let: W1 = write of 1 to key 7 by process 0, invoked 0.000 s, completed 0.001 s;
          C1 = cas of key 7 from 1 to 2 by process 1, invoked 0.002 s, completed 0.005 s;
          C2 = cas of key 7 from 1 to 3 by process 2, invoked 0.003 s, completed 0.004 s.
          Then: in whatever order W1, C2 took effect between invocation and completion, the key could hold only 3 before C1 completed. However, C1 found 1: a contradiction.
          These 3 operations alone cannot be linearized.
        ops [0, 1, 2]
    "#]],
    );
}

#[test]
fn a_failed_cas_is_evidence_only_where_it_is_trusted() {
    let ops = vec![write(0, 1, 0, 1), with(Outcome::Fail, CAS_MISMATCH, cas(1, 1, 2, 2, 3)), read(2, Some(1), 4, 5)];
    valid(ops.clone());
    let options = Options { failed_cas_observes: true, ..Options::default() };
    assert!(check_register(&History::new(ops).expect("well formed"), &options).is_invalid());
}

#[test]
fn the_initial_value_is_an_option() {
    let history = History::new(vec![read(0, Some(0), 0, 1)]).expect("well formed");
    assert!(check_register(&history, &Options::default()).is_invalid());
    assert!(!check_register(&history, &Options { initial: Some(0), ..Options::default() }).is_invalid());
}
