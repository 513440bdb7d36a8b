//! What people and programs see, held by snapshots.

use crate::sample;
use crate::{Style, check_json, check_terminal, html, junit_xml, results_json, terminal};
use expect_test::expect;

const PLAIN: Style = Style { color: false, width: 100 };
const HOSTILE: &str = "</script>";

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
            (times in these sentences count from the first such operation, 1.000 s into the run)

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
                                               not strict-serializable; so neither
                                               strong-session-serializable

          G-single-realtime-0  G-single-realtime  stale read of key 1: the list up to 39 was seen by a read
                                                  invoked 200.0 ms after the append of 5 completed
            Let:
              T1 = operation 1, process 1 on n2, ok: read key 1 as [0 1 …]
              T2 = operation 0, process 0 on n1, ok: append 5 to key 1
            Then:
              T1 < T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39
              However, T2 < T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a
                contradiction
            (times in these sentences count from the first such operation, 27.000 s into the run)

            operations, in seconds of the run
              T1 = op 1  process 1 on n2  27.300–27.304  ok  read 1 → [0 1 … 36 37 38 39] (40 elements)
              T2 = op 0  process 0 on n1  27.000–27.100  ok  append 5 to 1

            no fault was in force meanwhile; the last before: fault 3 `kill one` 24.0–26.0s: kill n3

            No packet to or from the nodes of these operations was dropped between 27.000 s and 27.304 s,
            while they ran: what led to this came earlier, or was no packet.

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
                                               not strict-serializable; so neither
                                               strong-session-serializable

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
fn json_of_a_run() {
    let mut document = results_json(&sample::invalid());
    let shown = document["findings"][0]["packets"]["shown"].as_array_mut().expect("packets are listed");
    assert_eq!(shown.len(), 31);
    shown.drain(1..30);
    expect![[r#"
        {
          "again": "fissure run examples/demo.toml --seed 42",
          "also_not": [],
          "anomaly_types": [
            "stale-read"
          ],
          "checks": [
            {
              "also_not": [],
              "anomaly_types": [
                "stale-read"
              ],
              "checker": "linearizable-register",
              "evidence": "3812 operations on 8 keys, 1204 saw a value, 8 by zones",
              "findings": [
                {
                  "anomaly": "stale-read",
                  "checker": "linearizable-register",
                  "cycle": [],
                  "explanation": [
                    "Let: R = read of key 7 by process 2 on n1 → 3, invoked 11.500 s, completed 11.502 s;",
                    "W = write of 4 to key 7 by process 1 on n2, invoked 11.000 s, completed 11.031 s;",
                    "V = write of 3 to key 7 by process 0 on n1, invoked 0.000 s, completed 0.004 s.",
                    "Then: W completed at 11.031 s, before R was invoked at 11.500 s; V, the only write of 3 invoked before R completed, had completed at 0.004 s before W was invoked at 11.000 s; so R must see 4 or something newer. However, R saw 3: a contradiction."
                  ],
                  "id": "L-0",
                  "key": 7,
                  "ops": [
                    2,
                    1,
                    0
                  ],
                  "summary": "key 7: read 3 after 4 was acknowledged"
                }
              ],
              "model": "linearizable",
              "not": [
                "linearizable"
              ],
              "ops_checked": 3812,
              "partitions": 8,
              "reads_checked": 1204,
              "reasons": [],
              "valid": false
            }
          ],
          "duration_s": 31.2,
          "events_lost": 3,
          "faults": [
            {
              "description": "isolate n1 (leader) from n2, n3",
              "error_text": null,
              "fault_id": 1,
              "hits": 604,
              "kernel_hits": 604,
              "kind": "partition",
              "phase": "isolate the leader",
              "rules": 4,
              "start_ns": 1010000000000,
              "stop_ns": 1014000000000
            },
            {
              "description": "isolate n1 (leader) from n2, n3",
              "error_text": null,
              "fault_id": 2,
              "hits": 600,
              "kernel_hits": 600,
              "kind": "partition",
              "phase": "isolate the leader",
              "rules": 4,
              "start_ns": 1018000000000,
              "stop_ns": 1022000000000
            },
            {
              "description": "kill n3",
              "error_text": null,
              "fault_id": 3,
              "hits": 0,
              "kernel_hits": null,
              "kind": "kill",
              "phase": "kill one",
              "rules": 0,
              "start_ns": 1024000000000,
              "stop_ns": 1026000000000
            }
          ],
          "findings": [
            {
              "anomaly": "stale-read",
              "checker": "linearizable-register",
              "cycle": [],
              "explanation": [
                "Let: R = read of key 7 by process 2 on n1 → 3, invoked 11.500 s, completed 11.502 s;",
                "W = write of 4 to key 7 by process 1 on n2, invoked 11.000 s, completed 11.031 s;",
                "V = write of 3 to key 7 by process 0 on n1, invoked 0.000 s, completed 0.004 s.",
                "Then: W completed at 11.031 s, before R was invoked at 11.500 s; V, the only write of 3 invoked before R completed, had completed at 0.004 s before W was invoked at 11.000 s; so R must see 4 or something newer. However, R saw 3: a contradiction."
              ],
              "first_invoke_ns": 1001000000000,
              "id": "L-0",
              "key": 7,
              "last_complete_ns": 1012502000000,
              "ops": [
                2,
                1,
                0
              ],
              "packets": {
                "shown": [
                  {
                    "dst": "n3:7101",
                    "fault_id": 1,
                    "length": 148,
                    "op_id": null,
                    "protocol": "tcp",
                    "rule_id": 2,
                    "src": "n1:7101",
                    "t_ns": 1010004000000,
                    "tcp_flag_names": "PSH ACK",
                    "tcp_flags": 24
                  },
                  {
                    "dst": "n1:7100",
                    "fault_id": 1,
                    "length": 60,
                    "op_id": 2,
                    "protocol": "tcp",
                    "rule_id": 2,
                    "src": "c0:51234",
                    "t_ns": 1012501000000,
                    "tcp_flag_names": "SYN",
                    "tcp_flags": 2
                  }
                ],
                "total": 412
              },
              "summary": "key 7: read 3 after 4 was acknowledged"
            }
          ],
          "fissure_version": "0.1.0",
          "injections": 1204,
          "kernel": "6.12.9",
          "mechanisms": {
            "n1": "tcx ingress"
          },
          "node_events": [
            {
              "detail": null,
              "event": "start",
              "node": "n1",
              "t_ns": 999100000000
            },
            {
              "detail": null,
              "event": "primary",
              "node": "n1",
              "t_ns": 1000000000000
            },
            {
              "detail": "SIGKILL",
              "event": "kill",
              "node": "n3",
              "t_ns": 1024000000000
            },
            {
              "detail": null,
              "event": "restart",
              "node": "n3",
              "t_ns": 1026000000000
            }
          ],
          "nodes": [
            "n1",
            "n2",
            "n3"
          ],
          "not": [
            "linearizable"
          ],
          "ops": {
            "by_f": {
              "read": {
                "fail": 40,
                "info": 31,
                "ok": 1204
              },
              "write": {
                "fail": 57,
                "info": 43,
                "ok": 2437
              }
            },
            "fail": 97,
            "info": 74,
            "ok": 3641,
            "total": 3812
          },
          "reasons": [
            {
              "code": "EVENTS_LOST",
              "text": "3 faults were not injected because they could not be reported"
            }
          ],
          "run": "store/partition-register/2026-11-23T01-02-03Z-s42",
          "scenario": "partition-register",
          "schema_version": 1,
          "seed": 42,
          "started": "2026-11-23T01:02:03Z",
          "started_ns": 1000000000000,
          "target": "demo (bug stale-reads)",
          "valid": false,
          "verdict": "invalid"
        }
    "#]].assert_eq(&format!("{document:#}\n"));
}

#[test]
fn json_says_unknown_in_words_and_valid_as_truth() {
    assert_eq!(results_json(&sample::unknown())["valid"], "unknown");
    assert_eq!(results_json(&sample::valid())["valid"], true);
    assert_eq!(check_json(&sample::cycle().results)["valid"], false);
}

#[test]
fn json_of_a_foreign_history() {
    expect![[r#"
        {
          "also_not": [
            "strong-session-serializable"
          ],
          "anomaly_types": [
            "G-single-realtime"
          ],
          "checks": [
            {
              "also_not": [
                "strong-session-serializable"
              ],
              "anomaly_types": [
                "G-single-realtime"
              ],
              "checker": "list-append",
              "evidence": "3812 operations on 8 keys, 1204 saw a value, 8 by zones",
              "findings": [
                {
                  "anomaly": "G-single-realtime",
                  "checker": "list-append",
                  "cycle": [
                    {
                      "from": 1,
                      "key": 1,
                      "kind": "rw",
                      "to": 0,
                      "value": 39,
                      "value_next": 5
                    },
                    {
                      "from": 0,
                      "key": null,
                      "kind": "realtime",
                      "to": 1,
                      "value": null,
                      "value_next": null
                    }
                  ],
                  "explanation": [
                    "Let:",
                    "  T1 = operation 1, process 1 on n2, ok: read key 1 as [0 1 …]",
                    "  T2 = operation 0, process 0 on n1, ok: append 5 to key 1",
                    "Then:",
                    "  T1 < T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39",
                    "  However, T2 < T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a contradiction"
                  ],
                  "id": "G-single-realtime-0",
                  "key": 1,
                  "ops": [
                    1,
                    0
                  ],
                  "summary": "stale read of key 1: the list up to 39 was seen by a read invoked 200.0 ms after the append of 5 completed"
                }
              ],
              "model": "strict-serializable",
              "not": [
                "strict-serializable"
              ],
              "ops_checked": 3812,
              "partitions": 8,
              "reads_checked": 1204,
              "reasons": [],
              "valid": false
            }
          ],
          "findings": [
            {
              "anomaly": "G-single-realtime",
              "checker": "list-append",
              "cycle": [
                {
                  "from": 1,
                  "key": 1,
                  "kind": "rw",
                  "to": 0,
                  "value": 39,
                  "value_next": 5
                },
                {
                  "from": 0,
                  "key": null,
                  "kind": "realtime",
                  "to": 1,
                  "value": null,
                  "value_next": null
                }
              ],
              "explanation": [
                "Let:",
                "  T1 = operation 1, process 1 on n2, ok: read key 1 as [0 1 …]",
                "  T2 = operation 0, process 0 on n1, ok: append 5 to key 1",
                "Then:",
                "  T1 < T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39",
                "  However, T2 < T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a contradiction"
              ],
              "id": "G-single-realtime-0",
              "key": 1,
              "ops": [
                1,
                0
              ],
              "summary": "stale read of key 1: the list up to 39 was seen by a read invoked 200.0 ms after the append of 5 completed"
            }
          ],
          "not": [
            "strict-serializable"
          ],
          "reasons": [],
          "schema_version": 1,
          "valid": false,
          "verdict": "invalid"
        }
    "#]].assert_eq(&format!("{:#}\n", check_json(&sample::cycle().results)));
}

#[test]
fn junit_invalid() {
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="fissure" tests="4" failures="1" errors="1">
          <testsuite name="partition-register" tests="4" failures="1" errors="1" skipped="0" time="31.200" timestamp="2026-11-23T01:02:03Z">
            <properties>
              <property name="seed" value="42"/>
              <property name="kernel" value="6.12.9"/>
              <property name="target" value="demo (bug stale-reads)"/>
              <property name="run" value="store/partition-register/2026-11-23T01-02-03Z-s42"/>
              <property name="fissure" value="0.1.0"/>
            </properties>
            <testcase classname="partition-register" name="linearizable-register is linearizable">
              <failure type="stale-read" message="L-0: key 7: read 3 after 4 was acknowledged">L-0: key 7: read 3 after 4 was acknowledged&#10;Let: R = read of key 7 by process 2 on n1 → 3, invoked 11.500 s, completed 11.502 s;&#10;W = write of 4 to key 7 by process 1 on n2, invoked 11.000 s, completed 11.031 s;&#10;V = write of 3 to key 7 by process 0 on n1, invoked 0.000 s, completed 0.004 s.&#10;Then: W completed at 11.031 s, before R was invoked at 11.500 s; V, the only write of 3 invoked before R completed, had completed at 0.004 s before W was invoked at 11.000 s; so R must see 4 or something newer. However, R saw 3: a contradiction.&#10;</failure>
              <system-out>3812 operations on 8 keys, 1204 saw a value, 8 by zones</system-out>
            </testcase>
            <testcase classname="partition-register" name="fault `isolate the leader` hit something">
              <system-out>isolate the leader ×2: 1 204 packets dropped (kernel: 1 204)</system-out>
            </testcase>
            <testcase classname="partition-register" name="fault `kill one` hit something">
              <system-out>kill one: done once</system-out>
            </testcase>
            <testcase classname="partition-register" name="the run is complete">
              <error type="EVENTS_LOST" message="EVENTS_LOST: 3 faults were not injected because they could not be reported">EVENTS_LOST: 3 faults were not injected because they could not be reported</error>
              <system-out>ok 3641, fail 97, info 74; 1204 packets dropped, 3 events lost</system-out>
            </testcase>
          </testsuite>
        </testsuites>
    "#]].assert_eq(&junit_xml(&sample::invalid()));
}

#[test]
fn junit_unknown() {
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="fissure" tests="4" failures="0" errors="2">
          <testsuite name="partition-register" tests="4" failures="0" errors="2" skipped="0" time="31.200" timestamp="2026-11-23T01:02:03Z">
            <properties>
              <property name="seed" value="42"/>
              <property name="kernel" value="6.12.9"/>
              <property name="target" value="demo (bug stale-reads)"/>
              <property name="run" value="store/partition-register/2026-11-23T01-02-03Z-s42"/>
              <property name="fissure" value="0.1.0"/>
            </properties>
            <testcase classname="partition-register" name="linearizable-register is linearizable">
              <error type="BUDGET_SPENT" message="BUDGET_SPENT: key 3: the budget (5000000 configurations) was spent after 812 of 9000 events: not decided">BUDGET_SPENT: key 3: the budget (5000000 configurations) was spent after 812 of 9000 events: not decided</error>
              <system-out>3812 operations on 8 keys, 1204 saw a value, 8 by zones</system-out>
            </testcase>
            <testcase classname="partition-register" name="fault `isolate the leader` hit something">
              <error type="FAULT_NEVER_FIRED" message="in force, but not one packet was hit">in force, but not one packet was hit</error>
              <system-out>isolate the leader ×2: nothing dropped (kernel: 0)</system-out>
            </testcase>
            <testcase classname="partition-register" name="fault `kill one` hit something">
              <system-out>kill one: done once</system-out>
            </testcase>
            <testcase classname="partition-register" name="the run is complete">
              <system-out>ok 3641, fail 97, info 74; 0 packets dropped, 0 events lost</system-out>
            </testcase>
          </testsuite>
        </testsuites>
    "#]].assert_eq(&junit_xml(&sample::unknown()));
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

/// Every tag of a page, with its attributes.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|part| part.split_once('>').map(|(tag, _)| tag)).collect()
}

#[test]
fn a_page_loads_nothing() {
    for input in [sample::invalid(), sample::valid(), sample::unknown(), sample::cycle(), sample::large()] {
        let page = html(&input);
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url(//"));
        let loads = |tag: &&str| {
            ["src=", "srcset=", "@import"].iter().any(|word| tag.contains(word))
                || ["link", "img", "iframe", "object", "embed", "image"]
                    .iter()
                    .any(|name| tag.split_whitespace().next() == Some(name))
        };
        let found: Vec<&str> = tags(&page).into_iter().filter(loads).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn hostile_text_stays_text_on_the_page() {
    let page = html(&sample::hostile());
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    assert_eq!(page.chars().find(|c| *c != '\n' && crate::words::is_hostile(*c)), None);
}

#[test]
fn every_section_is_there_in_order() {
    let page = html(&sample::invalid());
    let sections = [
        "<header",
        "Properties</h2>",
        "Was anything tested?",
        "Over time</h2>",
        "Findings</h2>",
        "Nodes</h2>",
        "Reproduce",
    ];
    let places: Vec<Option<usize>> = sections.iter().map(|section| page.find(section)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
}

#[test]
fn a_large_run_makes_a_page_of_a_few_megabytes_and_says_what_it_left_out() {
    let page = html(&sample::large());
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("of 60 000 completed operations are drawn"));
    if let Some(folder) = std::env::var_os("FISSURE_PAGES") {
        for (name, input) in [
            ("large", sample::large()),
            ("invalid", sample::invalid()),
            ("cycle", sample::cycle()),
            ("unknown", sample::unknown()),
        ] {
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), html(&input))
                .expect("the folder is there");
        }
    }
}
