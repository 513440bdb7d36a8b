//! Each view over a small run whose rows can be counted by hand, and over a large one.

mod common;

use common::{Moment, SmallRun, lines};
use expect_test::expect;
use fissure_history::rows::Direction;
use std::time::Instant;

#[test]
fn the_tables_hold_what_was_recorded() {
    let run = SmallRun::sealed();
    let session = run.open();
    assert!(session.notes().iter().all(|note| note.contains("fissure check")), "{:?}", session.notes());
    expect![[r#"
        op_id,process,node,f,outcome,invoke_ns,complete_ns,conn_cookie
        0,0,n1,write,ok,1000,2000,11
        1,1,n2,read,fail,1500,3500,12
        2,0,n1,read,info,3000,,11
        3,2,n1,write,ok,2000001000,2000005000,
    "#]]
    .assert_eq(&lines(
        &session,
        "select op_id, process, node, f, outcome, invoke_ns, complete_ns, conn_cookie from ops order by op_id",
    ));
    for (table, rows) in [("faults", 3), ("injections", 7), ("connections", 3), ("nodes", 1), ("clocks", 1)] {
        assert_eq!(lines(&session, &format!("select count(*) as n from {table}")), format!("n\n{rows}\n"), "{table}");
    }
}

#[test]
fn operations_are_laid_beside_the_faults_they_overlap() {
    let run = SmallRun::sealed();
    expect![[r#"
        op_id,fault_id,fault,kind
        0,1,cut,partition
        1,1,cut,partition
        2,2,stall,pause
        3,2,stall,pause
    "#]]
    .assert_eq(&lines(
        &run.open(),
        "select op_id, fault_id, fault, kind from ops_during_fault order by op_id, fault_id",
    ));
}

#[test]
fn an_operation_gets_the_injections_on_its_own_connection_while_it_was_in_flight() {
    let run = SmallRun::sealed();
    expect![[r#"
        op_id,process,node,f,key,outcome,invoke_ns,complete_ns,t_ns,ms_after_invoke,fault_id,rule_id,action,host,src_host,src_addr,src_port,dst_host,dst_addr,dst_port,direction,tcp_flags,length
        0,0,n1,write,7,ok,1000,2000,1000,0.0,1,4,drop,n1,c1,10.0.0.9,40001,n1,10.0.0.1,2379,request,24,60
        0,0,n1,write,7,ok,1000,2000,2000,0.001,1,4,drop,n1,n1,10.0.0.1,2379,c1,10.0.0.9,40001,reply,24,60
        1,1,n2,read,7,fail,1500,3500,2000,0.0005,1,4,drop,n1,c1,10.0.0.9,40002,n2,10.0.0.2,2379,request,24,60
        2,0,n1,read,7,info,3000,,5000000,4.997,1,4,drop,n1,c1,10.0.0.9,40001,n1,10.0.0.1,2379,request,24,60
    "#]]
    .assert_eq(&lines(&run.open(), "select * from op_injections order by op_id, t_ns"));
}

#[test]
fn latency_is_told_per_second_of_the_run() {
    let run = SmallRun::sealed();
    expect![[r#"
        second,f,outcome,count,p50_ms,p95_ms,p99_ms,max_ms
        0,read,fail,1,0.002,0.002,0.002,0.002
        0,read,info,1,,,,
        0,write,ok,1,0.001,0.001,0.001,0.001
        2,write,ok,1,0.004,0.004,0.004,0.004
    "#]]
    .assert_eq(&lines(&run.open(), "select * from latency order by second, f, outcome"));
}

#[test]
fn quantiles_are_exact() {
    let run = common::run(|recorder| {
        for op in 0..101_i64 {
            let invoke = Moment { op_id: op as u64, process: op, t_ns: 10 + op };
            common::write(recorder, invoke, Some(10 + op + op * 1_000_000), None);
        }
    });
    let sql = "select count, p50_ms, p95_ms, p99_ms, max_ms from latency";
    assert_eq!(lines(&run.open(), sql), "count,p50_ms,p95_ms,p99_ms,max_ms\n101,50.0,95.0,99.0,100.0\n");
}

#[test]
fn findings_come_from_the_results() {
    let run = SmallRun::sealed();
    let results = r#"{"verdict": "invalid", "findings": [
        {"id": "L-0", "checker": "linearizable-register", "anomaly": "nonlinearizable", "summary": "key 7", "key": 7,
         "explanation": ["Let: …"], "ops": [0, 2], "cycle": []},
        {"id": "G1c-0", "checker": "list-append", "anomaly": "G1c", "summary": "a cycle, \"odd\"", "key": null, "ops": []}
    ]}"#;
    std::fs::write(run.dir.file("results.json"), results).unwrap();
    expect![[r#"
        id,checker,anomaly,summary,key,ops
        G1c-0,list-append,G1c,"a cycle, ""odd""",,[]
        L-0,linearizable-register,nonlinearizable,key 7,7,"[0, 2]"
    "#]]
    .assert_eq(&lines(&run.open(), "select * from findings order by id"));
    let sql = "select f.id, o.op_id, o.outcome from (select id, unnest(ops) as op_id from findings) f
               join ops o on o.op_id = f.op_id order by 1, 2";
    assert_eq!(lines(&run.open(), sql), "id,op_id,outcome\nL-0,0,ok\nL-0,2,info\n");
}

#[test]
fn what_the_checkers_said_is_rows() {
    let run = SmallRun::sealed();
    let results = r#"{"verdict": "invalid", "checks": [{"checker": "list-append", "levels": [
        {"model": "read-committed", "valid": true, "witness": null, "assumed": ["values are unique"]},
        {"model": "serializable", "valid": false, "witness": "G-single-item-0", "assumed": []},
        {"model": "strict-serializable", "valid": "unknown", "witness": null, "assumed": ["no clock"]}]},
        {"checker": "linearizable-register"}],
      "findings": [{"id": "G-single-item-0", "checker": "list-append", "anomaly": "G-single-item", "summary": "s", "key": null,
        "explanation": ["Let:", "  T1 = operation 2, …", "  T2 = operation 0, …", "Then:"], "ops": [2, 0, 1], "cycle": [
        {"from": 2, "to": 0, "kind": "rw", "key": 7, "value": null, "value_next": 3},
        {"from": 0, "to": 2, "kind": "wr", "key": 8, "value": 4, "value_next": 4}]}]}"#;
    std::fs::write(run.dir.file("results.json"), results).unwrap();
    let session = run.open();
    expect![[r#"
        id,checker,place,name,op_id
        G-single-item-0,list-append,1,T1,2
        G-single-item-0,list-append,2,T2,0
        G-single-item-0,list-append,3,,1
    "#]]
    .assert_eq(&lines(&session, "select * from finding_ops order by place"));
    expect![[r#"
        id,checker,place,from_op,to_op,kind,key,value,value_next
        G-single-item-0,list-append,1,2,0,rw,7,,3
        G-single-item-0,list-append,2,0,2,wr,8,4,4
    "#]]
    .assert_eq(&lines(&session, "select * from finding_edges order by place"));
    expect![[r#"
        checker,level,verdict,witness,assumed
        list-append,read-committed,valid,,[values are unique]
        list-append,serializable,invalid,G-single-item-0,[]
        list-append,strict-serializable,unknown,,[no clock]
    "#]]
    .assert_eq(&lines(&session, "select * from levels order by level"));
    // Results of earlier versions have neither; a run that was not judged has none of it.
    std::fs::write(run.dir.file("results.json"), r#"{"findings": []}"#).unwrap();
    let session = run.open();
    for table in ["findings", "finding_ops", "finding_edges", "levels"] {
        assert_eq!(lines(&session, &format!("select count(*) as n from {table}")), "n\n0\n", "{table}");
    }
}

#[test]
fn op_injections_is_a_join_on_intervals_and_equality() {
    let run = SmallRun::sealed();
    let batches = run.open().query("explain select * from op_injections").unwrap();
    let plan = fissure_sql::format(&batches, fissure_sql::Format::Table { limit: 0 }).unwrap();
    assert!(!plan.contains("NestedLoopJoin"), "{plan}");
    let joined = |join: &str, key: &str| plan.lines().any(|line| line.contains(join) && line.contains(key));
    assert!(joined("IntervalJoinExec", "conn_cookie@"), "{plan}");
    for key in ["src_addr", "src_port", "dst_addr", "dst_port"] {
        assert!(joined("HashJoinExec", &format!("({key}@")), "{key} is no key of a hash join:\n{plan}");
    }
}

/// A hundred thousand operations meet a hundred thousand injections on four connections. Each operation meets exactly the
/// one injection in its middle.
#[test]
fn op_injections_keeps_its_pace_on_few_connections() {
    const ROWS: i64 = 100_000;
    const CONNECTIONS: i64 = 4;
    let run = common::run(|recorder| {
        for connection in 0..CONNECTIONS {
            common::connect(recorder, 100 + connection as u64, connection, 40_000 + connection as u16, "10.0.0.1");
        }
        for op in 0..ROWS {
            let (connection, t_ns) = (op % CONNECTIONS, 1_000 + op * 100);
            let invoke = Moment { op_id: op as u64, process: connection, t_ns };
            common::write(recorder, invoke, Some(t_ns + 90), Some(100 + connection as u64));
            common::inject(recorder, t_ns + 45, (40_000 + connection as u16, "10.0.0.1"), Direction::Request);
        }
    });
    let session = run.open();
    let start = Instant::now();
    let answer = lines(
        &session,
        "select count(*) as n, count(distinct op_id) as ops, max(t_ns - invoke_ns) as at from op_injections",
    );
    eprintln!("op_injections of {ROWS} operations and injections: {:?}", start.elapsed());
    assert_eq!(answer, "n,ops,at\n100000,100000,45\n");
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

/// However it is planned, it is this plain join.
#[test]
fn op_injections_is_the_plain_join() {
    const PLAIN: &str = "
        select o.op_id, i.t_ns, i.src_port from ops o join connections c on o.conn_cookie = c.conn_cookie join injections i
          on (i.src_addr = c.local_addr and i.src_port = c.local_port
              and i.dst_addr = c.remote_addr and i.dst_port = c.remote_port)
          or (i.src_addr = c.remote_addr and i.src_port = c.remote_port
              and i.dst_addr = c.local_addr and i.dst_port = c.local_port)
        where i.t_ns >= o.invoke_ns and (o.complete_ns is null or i.t_ns <= o.complete_ns)";
    for seed in 1..=12_u64 {
        let mut state = seed;
        // Knuth's generator: plain, and the same everywhere.
        let mut draw = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        // From a few ns, where many moments are the same, to seconds.
        let length = [8, 3_000, 1_000_000_007][seed as usize % 3];
        let run = common::run(|recorder| {
            for connection in 0..3 {
                common::connect(recorder, 100 + connection, connection as i64, 40_000 + connection as u16, "10.0.0.1");
            }
            for op_id in 0..60 {
                let (connection, t_ns) = (draw(4), 1_000 + draw(length) as i64);
                let complete_ns = (draw(5) > 0).then(|| t_ns + draw(length / 2) as i64);
                let invoke = Moment { op_id, process: op_id as i64, t_ns };
                common::write(recorder, invoke, complete_ns, (connection < 3).then_some(100 + connection));
            }
            for _ in 0..60 {
                let way = [Direction::Request, Direction::Reply][draw(2) as usize];
                common::inject(recorder, 1_000 + draw(length) as i64, (40_000 + draw(4) as u16, "10.0.0.1"), way);
            }
        });
        let session = run.open();
        let rows =
            |from: &str| lines(&session, &format!("select op_id, t_ns, src_port from ({from}) order by 1, 2, 3"));
        let found = rows("select op_id, t_ns, src_port from op_injections");
        assert!(found.lines().count() > 10, "seed {seed} tests nothing");
        assert_eq!(found, rows(PLAIN), "seed {seed}");
    }
}
