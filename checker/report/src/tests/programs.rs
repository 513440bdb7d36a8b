//! What programs read: JSON and JUnit.

use crate::sample;
use crate::{check_json, junit_xml, results_json};
use expect_test::expect;

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
              "levels": [],
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
              "excerpt": null,
              "explanation": [
                "Let: R = read of key 7 by process 2 on n1 → 3, invoked 11.500 s, completed 11.502 s;",
                "W = write of 4 to key 7 by process 1 on n2, invoked 11.000 s, completed 11.031 s;",
                "V = write of 3 to key 7 by process 0 on n1, invoked 0.000 s, completed 0.004 s.",
                "Then: W completed at 11.031 s, before R was invoked at 11.500 s; V, the only write of 3 invoked before R completed, had completed at 0.004 s before W was invoked at 11.000 s; so R must see 4 or something newer. However, R saw 3: a contradiction."
              ],
              "faults": [
                1
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
              "sql": {
                "faults": "select * from faults where outcome = 'applied' and start_ns <= 1012502000000 and (stop_ns is null or stop_ns >= 1001000000000)",
                "injections": "select * from injections where t_ns between 1001000000000 and 1012502000000 and (src_host in ('n1', 'n2') or dst_host in ('n1', 'n2'))"
              },
              "summary": "key 7: read 3 after 4 was acknowledged"
            }
          ],
          "fissure_version": "0.1.0",
          "injections": 1204,
          "kernel": "6.12.9",
          "levels": [],
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
              "levels": [
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "read-uncommitted",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "read-committed",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "monotonic-atomic-view",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "read-atomic",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "causal-cerone",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "parallel-snapshot-isolation",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "the budget was spent"
                  ],
                  "model": "snapshot-isolation",
                  "valid": "unknown",
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "repeatable-read",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "serializable",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "causal",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "strong-session-read-uncommitted",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "strong-session-read-committed",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "strong-session-snapshot-isolation",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [
                    "values are unique"
                  ],
                  "model": "strong-session-serializable",
                  "valid": true,
                  "witness": null
                },
                {
                  "assumed": [],
                  "model": "strong-read-uncommitted",
                  "valid": false,
                  "witness": "G-single-realtime-0"
                },
                {
                  "assumed": [],
                  "model": "strong-read-committed",
                  "valid": false,
                  "witness": "G-single-realtime-0"
                },
                {
                  "assumed": [],
                  "model": "strong-snapshot-isolation",
                  "valid": false,
                  "witness": "G-single-realtime-0"
                },
                {
                  "assumed": [],
                  "model": "strict-serializable",
                  "valid": false,
                  "witness": "G-single-realtime-0"
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
          "levels": [
            {
              "assumed": [
                "values are unique"
              ],
              "model": "read-uncommitted",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "read-committed",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "monotonic-atomic-view",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "read-atomic",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "causal-cerone",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "parallel-snapshot-isolation",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "the budget was spent"
              ],
              "model": "snapshot-isolation",
              "valid": "unknown",
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "repeatable-read",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "serializable",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "causal",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "strong-session-read-uncommitted",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "strong-session-read-committed",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "strong-session-snapshot-isolation",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [
                "values are unique"
              ],
              "model": "strong-session-serializable",
              "valid": true,
              "witness": null
            },
            {
              "assumed": [],
              "model": "strong-read-uncommitted",
              "valid": false,
              "witness": "G-single-realtime-0"
            },
            {
              "assumed": [],
              "model": "strong-read-committed",
              "valid": false,
              "witness": "G-single-realtime-0"
            },
            {
              "assumed": [],
              "model": "strong-snapshot-isolation",
              "valid": false,
              "witness": "G-single-realtime-0"
            },
            {
              "assumed": [],
              "model": "strict-serializable",
              "valid": false,
              "witness": "G-single-realtime-0"
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
