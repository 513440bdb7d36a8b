//! Functions over a small run whose rows can be counted by hand, over many runs, and with arguments that are wrong.

mod common;

use common::{SmallRun, lines};
use expect_test::expect;
use fissure_sql::Session;

#[test]
fn numbers_become_words() {
    let run = SmallRun::sealed();
    let session = run.open();
    let answer = lines(
        &session,
        "select ms(1500000) as a, ms(null) as b, duration(1500) as c, duration(null) as d, at_s(1000000010) as e, name(5) as f",
    );
    assert_eq!(answer, "a,b,c,d,e,f\n1.5,,1.5 µs,,1.0,5\n");
    expect![[r#"
        op_id,call
        0,write 1 to 7
        1,read 7
        2,read 7
        3,write 1 to 7
    "#]]
    .assert_eq(&lines(
        &session,
        "select op_id, call_text(outcome, f, key, value, expected, mops) as call from ops order by op_id",
    ));
}

#[test]
fn quantiles_are_null_without_numbers_and_merge_over_groups() {
    let run = SmallRun::sealed();
    let session = run.open();
    assert_eq!(lines(&session, "select quantiles(ms(null), 0.5) as q from ops"), "q\n\"\"\n".replace("\"\"", ""));
    let sql = "select f, quantiles(op_id, 0.0, 0.5, 1.0) as q from ops group by f order by f";
    assert_eq!(lines(&session, sql), "f,q\nread,\"[1.0, 1.5, 2.0]\"\nwrite,\"[0.0, 1.5, 3.0]\"\n");
}

#[test]
fn a_timeline_is_in_order() {
    let run = SmallRun::sealed();
    let session = run.open();
    expect![[r#"
        n,t_s,what,name,detail
        1,0.0,injections,drop by fault 1,7 packets
        2,0.0,operations,read,"0 ok, 1 fail, 1 info"
        3,0.0,operations,write,"1 ok, 0 fail, 0 info"
        4,0.0,node start,n1,
        5,0.0,fault begins,never,failed: in words
        6,0.0,fault begins,cut,in words
        7,0.0,fault ends,cut,partition
        8,0.0,fault ends,never,drop
        9,2.0,operations,write,"1 ok, 0 fail, 0 info"
        10,2.0,fault begins,stall,in words
    "#]]
    .assert_eq(&lines(&session, "select n, round(t_s, 3) as t_s, what, name, detail from timeline() order by n"));
}

#[test]
fn what_is_near_an_operation_is_told() {
    let run = SmallRun::sealed();
    let session = run.open();
    expect![[r#"
        n,ms,what,node,process,op_id,detail
        1,-0.0005,invoke,n1,0,0,write 1 to 7
        2,-0.0005,drop,n1,,,"c1:40001 -> n1:2379, 60 bytes, fault 1"
        3,-0.0003,drop,n1,,,"c1:40003 -> n1:2379, 60 bytes, fault 1"
        4,0.0,invoke,n2,1,1,read 7
        5,0.0004,fault begins,,,,cut: in words
        6,0.0005,drop,n1,,,"n1:2379 -> c1:40001, 60 bytes, fault 1"
        7,0.0005,drop,n1,,,"c1:40002 -> n2:2379, 60 bytes, fault 1"
        8,0.0005,ok,n1,0,0,write 1 to 7
        9,0.001,drop,n1,,,"c1:40001 -> n1:2379, 60 bytes, fault 1"
        10,0.0014,fault ends,,,,cut
        11,0.0015,invoke,n1,0,2,read 7
        12,0.002,fail,n2,1,1,refused: no
        13,0.002001,drop,n1,,,"n2:2379 -> c1:40002, 60 bytes, fault 1"
    "#]]
    .assert_eq(&lines(&session, "select * from around(1, '500ns') order by n"));
    expect![[r#"
        n,about,line
        1,operation,process 0 on n1: write 1 to 7
        2,outcome,ok
        3,time,"invoked at 1e-6 s, in flight for 1 µs"
        4,connection,"10.0.0.9:40001 -> 10.0.0.1:2379, opened at 0.0 s"
        5,fault,"cut: in words, from 2e-6 s to 3e-6 s"
        6,injection,"drop c1 -> n1, 60 bytes, 0 ns after the invocation, fault 1"
        7,injection,"drop n1 -> c1, 60 bytes, 1 µs after the invocation, fault 1"
    "#]]
    .assert_eq(&lines(&session, "select * from explain_op(0) order by n"));
    expect![[r#"
        n,about,line
        1,operation,process 0 on n1: read 7
        2,outcome,info
        3,time,"invoked at 3e-6 s, never completed"
        4,connection,"10.0.0.9:40001 -> 10.0.0.1:2379, opened at 0.0 s"
        5,fault,"stall: in words, from 2.000005 s on"
        6,injection,"drop c1 -> n1, 60 bytes, 4.997 ms after the invocation, fault 1"
    "#]]
    .assert_eq(&lines(&session, "select * from explain_op(2) order by n"));
    expect![[r#"
        op_id,t_s,node,call,outcome,latency_ms,error_code
        0,9.9e-7,n1,write 1 to 7,ok,0.001,
        2,2.99e-6,n1,read 7,info,,
    "#]]
    .assert_eq(&lines(&session, "select * from ops_of(0) order by op_id"));
}

#[test]
fn wrong_arguments_are_said_with_an_example() {
    let run = SmallRun::sealed();
    let session = run.open();
    for (sql, said) in [
        ("select * from latency()", "latency('1s')"),
        ("select * from latency('soon')", "a length of time"),
        ("select * from latency('0s')", "a length of time"),
        ("select * from latency('1s', 'op_id')", "is none of f, outcome"),
        ("select * from around('a', '1s')", "a whole number"),
        ("select * from around(1)", "around(17, '500ms')"),
        ("select * from explain_op(1, 2)", "explain_op(17)"),
        ("select * from explain_op(op_id)", ""),
        ("select * from version_order(1.5)", "a whole number"),
        ("select quantiles(op_id) from ops", "at least one share"),
        ("select quantiles(op_id, 1.5) from ops", "from 0 to 1"),
        ("select quantiles(op_id, op_id) from ops", "from 0 to 1"),
        ("select quantiles(f, 0.5) from ops", "takes numbers"),
        ("select * from check_append('serialisable-ish')", "serial"),
        ("select * from check_append('serializable')", "no transactions"),
        ("select * from check_register('serializable')", "no transactions over registers"),
        ("select * from check_register('serialisable-ish')", "serial"),
        ("select * from check_register('serializable', 'luck')", "'wfr-keys', 'sequential-keys', 'linearizable-keys'"),
        ("select * from check_register('a', 'b', 'c', 'd', 'e')", "check_register('strict-serializable'"),
        ("select * from linearizable('set')", "linearizable('register')"),
        ("select * from linearizable()", "linearizable('register')"),
        ("select ms('a') from ops", "takes a number"),
        ("select written(op_id) from ops", "the column mops"),
        ("select longest_list(mops) from ops", "the column mops and a key"),
        ("select touches(mops) from ops", "the column mops and keys"),
        ("select touches(mops, 'a') from ops", "the column mops and keys"),
        ("select touches(mops, op_id) from ops", "not columns"),
    ] {
        let error = session.query(sql).expect_err(sql);
        let text = format!("{error} {}", error.help().unwrap_or_default());
        assert!(text.contains(said), "{sql}: {text}");
    }
}

#[test]
fn transactions_about_a_key_are_found_in_the_files_that_may_hold_it() {
    let store = tempfile::tempdir().unwrap();
    common::sample::store(store.path());
    let all = Session::open(store.path()).unwrap();
    let unnested = "select run, op_id, unnest(mops) as m from ops";
    for keys in [&[2][..], &[3, 5], &[-1], &[1 << 50]] {
        let listed = keys.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let found =
            lines(&all, &format!("select run, op_id from ops where touches(mops, {listed}) order by run, op_id"));
        let sql = format!("select distinct run, op_id from ({unnested}) where m.key in ({listed}) order by run, op_id");
        assert_eq!(found, lines(&all, &sql), "{keys:?}");
        assert_eq!(found.lines().count() > 1, keys[0] == 2 || keys[0] == 3, "{keys:?}");
    }
    let plan = lines(&all, "explain select count(*) from ops where touches(mops, 2)");
    let files = |scenario: &str| plan.contains(&format!("{scenario}/"));
    assert!(files("list-append") && !files("register"), "{plan}");
    assert_eq!(lines(&all, "select count(*) as n from ops where touches(mops, null)"), "n\n0\n");
}

#[test]
fn over_many_runs_functions_take_the_run_and_views_do_not_mix_runs() {
    let store = tempfile::tempdir().unwrap();
    common::sample::store(store.path());
    let all = Session::open(store.path()).unwrap();
    let run = "register/2026-11-02T08-00-00Z-s1";
    let of_all = |columns: &str, from: &str| lines(&all, &format!("select {columns} from {from}"));
    let alone = Session::open(&store.path().join(run)).unwrap();
    for (columns, function) in [
        ("about, line", "explain_op(#100) order by n"),
        ("ms, what, op_id, detail", "around(#100, '20ms') order by n"),
        ("op_id, t_s, call, outcome", "ops_of(#3) order by op_id"),
        ("position, value, op_id, reads", "version_order(#2) order by position nulls last, op_id"),
    ] {
        let found = of_all(columns, &function.replace('#', &format!("'{run}', ")));
        let expected = lines(&alone, &format!("select {columns} from {}", function.replace('#', "")));
        assert_eq!(found, expected, "{function}");
        assert!(found.lines().count() > 2, "{function}: {found}");
    }
    for (view, order) in [
        ("ops_during_fault", "op_id, fault_id"),
        ("op_injections", "op_id, t_ns"),
        ("latency", "second, f, outcome"),
        ("timeline('3s')", "t_s, what, name"),
        ("latency_histogram()", "f, outcome, from_ms"),
    ] {
        let columns = match view {
            "ops_during_fault" | "op_injections" => order.to_owned(),
            "latency" => format!("{order}, count, p99_ms"),
            "timeline('3s')" => format!("{order}, detail"),
            _ => format!("{order}, count, percent"),
        };
        let found = of_all(&columns, &format!("{view} where run = '{run}' order by {order}"));
        let expected = lines(&alone, &format!("select {columns} from {view} order by {order}"));
        assert_eq!(found, expected, "{view}");
        assert!(found.lines().count() > 5, "{view}: {found}");
    }
    let verdicts = |function: &str, seed: u64, scenario: &str| {
        let runs = lines(&all, &format!("select run from runs where scenario = '{scenario}' and seed = {seed}"));
        let run = runs.lines().nth(1).unwrap();
        of_all("distinct verdict", &function.replace('#', run))
    };
    for (seed, verdict) in [(1, "invalid"), (2, "valid"), (3, "invalid"), (4, "valid")] {
        assert_eq!(verdicts("linearizable('#', 'register')", seed, "register"), format!("verdict\n{verdict}\n"));
    }
    for (seed, model, verdict) in
        [(7, "strict-serializable", "invalid"), (7, "serializable", "valid"), (8, "strict-serializable", "valid")]
    {
        let found = verdicts(&format!("check_append('#', '{model}')"), seed, "list-append");
        assert_eq!(found, format!("verdict\n{verdict}\n"), "{seed} {model}");
    }
    let error = all.query("select * from check_append('nowhere', 'serializable')").unwrap_err().to_string();
    assert!(error.contains("no such run"), "{error}");
    let error = all.query("select * from explain_op(100)").unwrap_err().to_string();
    assert!(error.contains("the run as first argument"), "{error}");
}
