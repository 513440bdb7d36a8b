//! What a person reads.

use super::*;
use expect_test::{Expect, expect};

fn shows(lines: &[&str], options: &Options, expected: Expect) {
    let result = check(&history(lines), options);
    let text: Vec<String> = result
        .findings
        .iter()
        .map(|finding| format!("{}: {}\n{}\n", finding.id, finding.summary, finding.explanation.join("\n")))
        .collect();
    expected.assert_eq(&format!("{}\n{}\n", text.join("\n"), result.evidence));
}

#[test]
fn a_stale_read() {
    shows(
        &["p0 0..1 ok w7=1", "p0 2..30 ok w7=2 w8=1", "p1 84..90 ok r7=1", "p1 91..92 ok r7=2"],
        &options("strict-serializable"),
        expect![[r#"
            G-single-item-realtime-0: stale read of key 7: 1 was seen by a read invoked 54.0 ms after the write of 2 completed
            Let:
              T1 = operation 2, process 1, ok: read key 7 as 1
              T2 = operation 1, process 0, ok: write 2 to key 7; write 1 to key 8
            Then:
              T1 < T2, because T1 read key 7 as 1 and T2 wrote 2 to it after 1 (operation 0 wrote 1, T2 wrote 2, and operation 0 completed at 0.001 s, before T2 was invoked at 0.002 s)
              However, T2 < T1, because T2 completed at 0.030 s, before T1 was invoked at 0.084 s: a contradiction

            4 transactions (ok 4, fail 0, info 0), 2 ok reads of 2 keys, 4 dependencies; anomalies: G-single-item-realtime 1
        "#]],
    );
}

#[test]
fn cycles_by_all_sources() {
    let assumed = Options { wfr_keys: true, sequential_keys: true, ..options("serializable") };
    shows(
        &[
            "p0 0..1 ok w1=1",
            "p0 2..20 ok w1=2 w2=1",
            "p1 3..21 ok r2=1 r1=1",
            "p2 4..22 ok r3=nil w4=1",
            "p3 5..23 ok r4=nil w3=1",
            "p4 6..24 ok r3=1 w3=2",
            "p5 7..25 ok r4=1 r3=nil",
        ],
        &assumed,
        expect![[r#"
            G-single-item-0: cycle of 2 transactions: T1 -wr key 2: 1→ T2 -rw key 1: 1, 2→ T1
            Let:
              T1 = operation 1, process 0, ok: write 2 to key 1; write 1 to key 2
              T2 = operation 2, process 1, ok: read key 2 as 1; read key 1 as 1
            Then:
              T1 < T2, because T2 read T1's write of 1 to key 2
              However, T2 < T1, because T2 read key 1 as 1 and T1 wrote 2 to it after 1 (process 0 wrote 1 in operation 0, then wrote 2 in T1): a contradiction

            G2-item-0: cycle of 2 transactions: T1 -rw key 3: nil, 1→ T2 -rw key 4: nil, 1→ T1
            Let:
              T1 = operation 3, process 2, ok: read key 3 as nil; write 1 to key 4
              T2 = operation 4, process 3, ok: read key 4 as nil; write 1 to key 3
            Then:
              T1 < T2, because T1 read key 3 as nil and T2 wrote 1 to it
              However, T2 < T1, because T2 read key 4 as nil and T1 wrote 1 to it: a contradiction

            fractured-read-0: cycle of 2 transactions: T1 -wr key 2: 1→ T2 -rw key 1: 1, 2→ T1
            Let:
              T1 = operation 1, process 0, ok: write 2 to key 1; write 1 to key 2
              T2 = operation 2, process 1, ok: read key 2 as 1; read key 1 as 1
            Then:
              T1 < T2, because T2 read T1's write of 1 to key 2
              However, T2 < T1, because T2 read key 1 as 1 and T1 wrote 2 to it after 1 (process 0 wrote 1 in operation 0, then wrote 2 in T1): a contradiction

            7 transactions (ok 7, fail 0, info 0), 7 ok reads of 4 keys, 10 dependencies; anomalies: G-single-item 1, G2-item 1, fractured-read 1
        "#]],
    );
}

#[test]
fn everything_that_is_no_cycle() {
    let assumed = Options { linearizable_keys: true, ..options("serializable") };
    shows(
        &[
            "p0 0..1 fail w1=1",
            "p1 2..3 ok r1=1 w1=2",
            "p2 4..5 ok r1=1",
            "p3 6..7 ok w2=1 w2=2",
            "p4 8..9 ok r2=1",
            "p5 10..11 ok r2=9",
            "p6 12..13 ok w3=1 r3=nil",
            "p7 14..15 ok r4=1 w4=1",
            "p8 16..17 ok w5=1",
            "p9 18..19 ok w5=2",
            "p9 20..21 ok r5=1",
            "p10 22..30 ok r5=2 w5=3",
            "p11 23..31 ok r5=2 w5=4",
        ],
        &assumed,
        expect![[r#"
            G1a-0: key 1: a read saw 1, which only a failed transaction wrote
            Let:
              T1 = operation 0, process 0, fail: write 1 to key 1
              T2 = operation 1, process 1, ok: read key 1 as 1; write 2 to key 1
            Then:
              T2 read T1's write of 1 to key 1 (and so did one more read)
              However, T1 failed, and nobody may ever see what it wrote: a contradiction

            G1b-0: key 2: a read saw 1, from the middle of the transaction that wrote it
            Let:
              T1 = operation 3, process 3, ok: write 1 to key 2; write 2 to key 2
              T2 = operation 4, process 4, ok: read key 2 as 1
            Then:
              T2 read T1's write of 1 to key 2
              However, T1 wrote to key 2 again after 1, and only its last write may be seen: a contradiction

            cyclic-versions-0: key 5: versions in a cycle: 1 < 2 < 1 (by initial-state, writes-follow-reads, linearizable-keys; the last of these was not used for this key)
            Let:
              T1 = operation 8, process 8, ok: write 1 to key 5
              T2 = operation 9, process 9, ok: write 2 to key 5
              T3 = operation 10, process 9, ok: read key 5 as 1
            Then:
              1 < 2, because T1 met 1, T2 met 2, and T1 completed at 0.017 s, before T2 was invoked at 0.018 s
              However, 2 < 1, because T2 met 2, T3 met 1, and T2 completed at 0.019 s, before T3 was invoked at 0.020 s: a contradiction

            dirty-update-0: key 1: the committed 2 was made from 1, which failed
            Let:
              T1 = operation 0, process 0, fail: write 1 to key 1
              T2 = operation 1, process 1, ok: read key 1 as 1; write 2 to key 1
            Then:
              T2 read key 1 as T1's 1, then wrote 2 to it
              However, T1 failed, and no version may build on what it wrote: a contradiction

            future-read-0: key 4: a transaction read 1 before it wrote it
            Let:
              T1 = operation 7, process 7, ok: read key 4 as 1; write 1 to key 4
            Then:
              T1 read key 4 as 1
              However, T1 wrote 1 only later: a contradiction

            garbage-read-0: key 2: a read saw 9, which nobody wrote
            Let:
              T1 = operation 5, process 5, ok: read key 2 as 9
            Then:
              T1 read key 2 as 9
              However, no transaction of the history, not even a failed one, wrote 9 to key 2: a contradiction

            internal-0: key 3: a transaction read nil, by its own doing it must be 1
            Let:
              T1 = operation 6, process 6, ok: write 1 to key 3; read key 3 as nil
            Then:
              T1 read key 3 as nil
              However, by its own earlier reads and writes it must be 1: a contradiction

            lost-update-0: key 5: 2 transactions each overwrote 2: 3, 4
            Let:
              T1 = operation 11, process 10, ok: read key 5 as 2; write 3 to key 5
              T2 = operation 12, process 11, ok: read key 5 as 2; write 4 to key 5
            Then:
              T1 read key 5 as 2, then wrote 3 to it
              T2 read key 5 as 2, then wrote 4 to it
              However, whichever took effect later should have read what the earlier one wrote: a contradiction

            G2-item-0: cycle of 2 transactions: T1 -rw key 5: 2, 4→ T2 -rw key 5: 2, 3→ T1
            Let:
              T1 = operation 11, process 10, ok: read key 5 as 2; write 3 to key 5
              T2 = operation 12, process 11, ok: read key 5 as 2; write 4 to key 5
            Then:
              T1 < T2, because T1 read key 5 as 2 and T2 wrote 4 to it after 2 (T2 read 2 before it wrote 4)
              However, T2 < T1, because T2 read key 5 as 2 and T1 wrote 3 to it after 2 (T1 read 2 before it wrote 3): a contradiction

            13 transactions (ok 12, fail 1, info 0), 9 ok reads of 5 keys, 5 dependencies; anomalies: G1a 1, G1b 1, G2-item 1, cyclic-versions 1, dirty-update 1, future-read 1, garbage-read 1, internal 1, lost-update 1; the order of all versions is known for 4 of 5 keys
        "#]],
    );
}
