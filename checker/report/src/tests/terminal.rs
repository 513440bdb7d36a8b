//! What a person sees at the terminal.

use super::{HOSTILE, PLAIN};
use crate::sample;
use crate::{Style, check_terminal, junit_xml, results_json, terminal};
use expect_test::expect;

#[test]
fn terminal_invalid() {
    expect![[r#"
        INVALID  partition-register  seed 42  31.2s  kernel 6.12.9

          ✗ linearizable-register (linearizable)  key 7: read 3 after 4 was acknowledged  L-0
                                                  3812 operations on 8 keys, 1204 saw a value, 8 by zones
                                                  not linearizable

          doubts   EVENTS_LOST  3 faults were not injected because they could not be reported

          L-0  stale-read  key 7: read 3 after 4 was acknowledged
            Let: R = read of key 7 by process 2 on n1 → 3, invoked 11.500 s, completed 11.502 s;
            W = write of 4 to key 7 by process 1 on n2, invoked 11.000 s, completed 11.031 s;
            V = write of 3 to key 7 by process 0 on n1, invoked 0.000 s, completed 0.004 s.
            Then: W completed at 11.031 s, before R was invoked at 11.500 s; V, the only write of 3
              invoked before R completed, had completed at 0.004 s before W was invoked at 11.000 s; so R
              must see 4 or something newer. However, R saw 3: a contradiction.
            (times in these sentences count from the first operation, 1.000 s into the run)

            operations, in seconds of the run
              R = op 2  process 2 on n1  12.500–12.502  ok  read key 7 → 3
              W = op 1  process 1 on n2  12.000–12.031  ok  write 4 to key 7
              V = op 0  process 0 on n1  1.000–1.004    ok  write 3 to key 7

            in force meanwhile
              fault 1 `isolate the leader` 10.0–14.0s: isolate n1 (leader) from n2, n3

            dropped meanwhile: 412 packets around the nodes involved; of the first 31, 1 on the
              operations' own connections
              10.004  fault 1 rule 2  n1:7101 -> n3:7101   PSH ACK  148 bytes  around n1
              10.084  fault 1 rule 2  n2:40112 -> n3:7101  PSH ACK  148 bytes  around n2
              10.164  fault 1 rule 2  n1:7101 -> n3:7101   PSH ACK  148 bytes  around n1
              10.244  fault 1 rule 2  n2:40112 -> n3:7101  PSH ACK  148 bytes  around n2
              10.324  fault 1 rule 2  n1:7101 -> n3:7101   PSH ACK  148 bytes  around n1
              10.404  fault 1 rule 2  n2:40112 -> n3:7101  PSH ACK  148 bytes  around n2
              10.484  fault 1 rule 2  n1:7101 -> n3:7101   PSH ACK  148 bytes  around n1
              10.564  fault 1 rule 2  n2:40112 -> n3:7101  PSH ACK  148 bytes  around n2
              10.644  fault 1 rule 2  n1:7101 -> n3:7101   PSH ACK  148 bytes  around n1
              12.501  fault 1 rule 2  c0:51234 -> n1:7100  SYN  60 bytes       on the connection of R (op 2)
              402 more; all of them:
              fissure sql store/partition-register/2026-11-23T01-02-03Z-s42 --limit 0 -c "select * from injections where t_ns between 1001000000000 and 1012502000000 and (src_host in ('n1', 'n2') or dst_host in ('n1', 'n2'))"

          faults   isolate the leader ×2   partition   1 204 packets dropped (kernel: 1 204)
                     10.0–14.0s    fault 1   isolate n1 (leader) from n2, n3: 604 packets
                     18.0–22.0s    fault 2   isolate n1 (leader) from n2, n3: 600 packets
                   kill one   kill   done once
                     24.0–26.0s    fault 3   kill n3
          history  3 812 ops  ok 3 641  fail 97  info 74   (read 1 275, write 2 537)
          packets  1 204 dropped and recorded, 3 events lost: those faults were not injected
          target   demo (bug stale-reads) on n1, n2, n3

          why      fissure report store/partition-register/2026-11-23T01-02-03Z-s42 --finding L-0
          page     store/partition-register/2026-11-23T01-02-03Z-s42/report.html
          ask      fissure sql store/partition-register/2026-11-23T01-02-03Z-s42
          again    fissure run examples/demo.toml --seed 42
    "#]].assert_eq(&terminal(&sample::invalid(), PLAIN));
}

#[test]
fn terminal_valid() {
    expect![[r#"
        VALID  partition-register  seed 42  31.2s  kernel 6.12.9

          ✓ linearizable-register (linearizable)  3812 operations on 8 keys, 1204 saw a value, 8 by zones

          faults   isolate the leader ×2   partition   1 204 packets dropped (kernel: 1 204)
                     10.0–14.0s    fault 1   isolate n1 (leader) from n2, n3: 604 packets
                     18.0–22.0s    fault 2   isolate n1 (leader) from n2, n3: 600 packets
                   kill one   kill   done once
                     24.0–26.0s    fault 3   kill n3
          history  3 812 ops  ok 3 641  fail 97  info 74   (read 1 275, write 2 537)
          packets  1 204 dropped and recorded, no event lost
          target   demo (bug stale-reads) on n1, n2, n3

          page     store/partition-register/2026-11-23T01-02-03Z-s42/report.html
          ask      fissure sql store/partition-register/2026-11-23T01-02-03Z-s42
          again    fissure run examples/demo.toml --seed 42
    "#]]
    .assert_eq(&terminal(&sample::valid(), PLAIN));
}

#[test]
fn terminal_unknown() {
    expect![[r#"
        UNKNOWN  partition-register  seed 42  31.2s  kernel 6.12.9

          ? linearizable-register (linearizable)  unknown: key 3: the budget (5000000 configurations) was
                                                  spent after 812 of 9000 events: not decided  BUDGET_SPENT

          doubts   BUDGET_SPENT       key 3: the budget (5000000 configurations) was spent after 812 of 9000
                                      events: not decided
                   FAULT_NEVER_FIRED  `isolate the leader` was in force 2 times and did not hit a single
                                      packet

          faults   ! isolate the leader ×2   partition   nothing dropped (kernel: 0)  FAULT_NEVER_FIRED
                     10.0–14.0s    fault 1   isolate n1 (leader) from n2, n3: 0 packets
                     18.0–22.0s    fault 2   isolate n1 (leader) from n2, n3: 0 packets
                   kill one   kill   done once
                     24.0–26.0s    fault 3   kill n3
          history  3 812 ops  ok 3 641  fail 97  info 74   (read 1 275, write 2 537)
          packets  0 dropped and recorded, no event lost
          target   demo (bug stale-reads) on n1, n2, n3

          page     store/partition-register/2026-11-23T01-02-03Z-s42/report.html
          ask      fissure sql store/partition-register/2026-11-23T01-02-03Z-s42
          again    fissure run examples/demo.toml --seed 42
    "#]]
    .assert_eq(&terminal(&sample::unknown(), PLAIN));
}

#[test]
fn terminal_cycle_without_packets() {
    expect![[r#"
        INVALID  partition-register  seed 42  31.2s  kernel 6.12.9

          ✗ list-append (strict-serializable)  stale read of key 1: the list up to 39 was seen by a read
                                               invoked 200.0 ms after the append of 5 completed
                                               G-single-realtime-0
                                               3812 operations on 8 keys, 1204 saw a value, 8 by zones
                                               holds: strong-session-serializable
                                               fails: strong-read-uncommitted, strong-read-committed,
                                               strong-snapshot-isolation, strict-serializable by
                                               G-single-realtime-0
                                               open: snapshot-isolation: the budget was spent

          G-single-realtime-0  G-single-realtime  stale read of key 1: the list up to 39 was seen by a read
                                                  invoked 200.0 ms after the append of 5 completed
            Let:
              T1 = operation 1, process 1 on n2, ok: read key 1 as [0 1 …]
              T2 = operation 0, process 0 on n1, ok: append 5 to key 1
            Then:
              T1 < T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39
              However, T2 < T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a
                contradiction
            (times in these sentences count from the first operation, 27.000 s into the run)

            operations, in seconds of the run
              T1 = op 1  process 1 on n2  27.300–27.304  ok  read 1 → [0 1 … 36 37 38 39] (40 elements)
              T2 = op 0  process 0 on n1  27.000–27.100  ok  append 5 to 1

            no fault was in force meanwhile; the last before: fault 3 `kill one` 24.0–26.0s: kill n3

            No packet to or from the nodes of these operations was dropped between 27.000 s and 27.304 s,
            while they ran: what led to this came earlier, or was no packet.

            3 operations that show it, alone:
              fissure check store/partition-register/2026-11-23T01-02-03Z-s42/findings/G-single-realtime-0.edn --workload list-append --model strict-serializable

          faults   isolate the leader ×2   partition   1 204 packets dropped (kernel: 1 204)
                     10.0–14.0s    fault 1   isolate n1 (leader) from n2, n3: 604 packets
                     18.0–22.0s    fault 2   isolate n1 (leader) from n2, n3: 600 packets
                   kill one   kill   done once
                     24.0–26.0s    fault 3   kill n3
          history  3 812 ops  ok 3 641  fail 97  info 74   (read 1 275, write 2 537)
          packets  1 204 dropped and recorded, no event lost
          target   demo (bug stale-reads) on n1, n2, n3

          why      fissure report store/partition-register/2026-11-23T01-02-03Z-s42 --finding G-single-realtime-0
          page     store/partition-register/2026-11-23T01-02-03Z-s42/report.html
          ask      fissure sql store/partition-register/2026-11-23T01-02-03Z-s42
          again    fissure run examples/demo.toml --seed 42
    "#]]
    .assert_eq(&terminal(&sample::cycle(), PLAIN));
}

#[test]
fn check_of_a_foreign_history() {
    expect![[r#"
        INVALID  history.edn

          ✗ list-append (strict-serializable)  stale read of key 1: the list up to 39 was seen by a read
                                               invoked 200.0 ms after the append of 5 completed
                                               G-single-realtime-0
                                               3812 operations on 8 keys, 1204 saw a value, 8 by zones
                                               holds: strong-session-serializable
                                               fails: strong-read-uncommitted, strong-read-committed,
                                               strong-snapshot-isolation, strict-serializable by
                                               G-single-realtime-0
                                               open: snapshot-isolation: the budget was spent

          G-single-realtime-0  G-single-realtime  stale read of key 1: the list up to 39 was seen by a read
                                                  invoked 200.0 ms after the append of 5 completed
            Let:
              T1 = operation 1, process 1 on n2, ok: read key 1 as [0 1 …]
              T2 = operation 0, process 0 on n1, ok: append 5 to key 1
            Then:
              T1 < T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39
              However, T2 < T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a
                contradiction
    "#]]
    .assert_eq(&check_terminal("history.edn", &sample::cycle().results, PLAIN));
}

#[test]
fn colour_adds_nothing_but_colour() {
    for input in [sample::invalid(), sample::valid(), sample::unknown(), sample::cycle()] {
        let colored = terminal(&input, Style { color: true, ..PLAIN });
        assert!(colored.contains('\u{1b}'));
        let mut plain = String::new();
        for (place, part) in colored.split('\u{1b}').enumerate() {
            plain.push_str(if place == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
        }
        let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed.join("\n") + "\n", terminal(&input, PLAIN));
    }
}

#[test]
fn lines_keep_to_the_width_except_commands() {
    for width in [60, 80, 120] {
        for input in [sample::invalid(), sample::valid(), sample::unknown(), sample::cycle()] {
            let text = terminal(&input, Style { color: false, width });
            let long = text.lines().find(|line| line.chars().count() > width + 40 && !line.contains("fissure "));
            assert_eq!(long, None, "at width {width}");
        }
    }
}

#[test]
fn hostile_text_stays_text() {
    let input = sample::hostile();
    let plain = terminal(&input, PLAIN);
    assert!(plain.contains(HOSTILE), "it is shown, not hidden");
    assert_eq!(plain.chars().find(|c| *c != '\n' && crate::words::is_hostile(*c)), None);
    let xml = junit_xml(&input);
    assert!(!xml.contains(HOSTILE) && xml.contains("&lt;/script&gt;"));
    assert_eq!(xml.chars().find(|c| *c != '\n' && c.is_control()), None);
    let json = format!("{:#}", results_json(&input));
    assert_eq!(json.chars().find(|c| *c != '\n' && c.is_control()), None);
}
