//! What a session refuses, what it says when a statement is wrong, and the forms of its answers.

mod common;

use common::{SmallRun, lines};
use expect_test::{Expect, expect};
use fissure_history::{Manifest, Table};
use fissure_sql::{Format, SqlError, format};

#[test]
fn what_would_change_something_is_refused() {
    let run = SmallRun::sealed();
    let session = run.open();
    let target = run.store.path().join("out");
    let before = walk(run.store.path());
    let out = target.display();
    for sql in [
        format!("COPY ops TO '{out}' STORED AS PARQUET"),
        format!("COPY (SELECT 1) TO '{out}' STORED AS PARQUET"),
        format!("CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '{out}'"),
        format!("EXPLAIN ANALYZE COPY ops TO '{out}' STORED AS PARQUET"),
        "CREATE TABLE t AS SELECT * FROM ops".to_owned(),
        "CREATE VIEW t AS SELECT * FROM ops".to_owned(),
        "INSERT INTO ops SELECT * FROM ops".to_owned(),
        "EXPLAIN ANALYZE INSERT INTO clocks VALUES (1, 2)".to_owned(),
        "UPDATE clocks SET t_ns = 1".to_owned(),
        "DELETE FROM clocks".to_owned(),
        "DROP TABLE ops".to_owned(),
        "DROP VIEW latency".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
    ] {
        let error = session.query(&sql).unwrap_err();
        assert!(matches!(error, SqlError::Refused { .. }), "{sql}: {error:?}");
        assert!(error.help().is_some());
    }
    assert_eq!(walk(run.store.path()), before);
    assert!(session.query("select * from '/etc/passwd'").is_err());
    assert_eq!(lines(&session, "select count(*) as n from clocks"), "n\n1\n");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn what_only_looks_is_allowed() {
    let session_run = SmallRun::sealed();
    let session = session_run.open();
    for sql in
        ["SHOW TABLES", "DESCRIBE ops", "EXPLAIN SELECT * FROM latency", "SHOW COLUMNS FROM faults", "VALUES (1)"]
    {
        assert!(session.query(sql).unwrap()[0].num_rows() > 0, "{sql}");
    }
    let names: Vec<&str> = session.relations().iter().map(|relation| relation.name.as_str()).collect();
    let tables = Table::ALL.map(Table::name);
    assert_eq!(
        names,
        [
            tables.as_slice(),
            &[
                "runs",
                "ops_during_fault",
                "op_injections",
                "latency",
                "findings",
                "finding_ops",
                "finding_edges",
                "levels"
            ]
        ]
        .concat()
    );
    let ops = &session.relations()[0];
    let mops = ops.columns.iter().find(|column| column.name == "mops").unwrap();
    assert_eq!(
        mops.type_name,
        "list<struct<f string, key int64?, value int64?, list list<int64>?, offset int64?, \
         records list<struct<key int64, offset int64?, value int64?>>?>>?"
    );
}

fn says(sql: &str, expected: &Expect) {
    let run = SmallRun::sealed();
    let error = run.open().query(sql).unwrap_err();
    let place = error.place().map_or_else(String::new, |place| place.excerpt(sql, 1, 0));
    expected.assert_eq(&format!("{error}\n{place}{}\n", error.help().unwrap_or("-")));
}

#[test]
fn a_wrong_name_is_said_with_the_one_that_was_meant() {
    says(
        "select opid from ops",
        &expect![[r#"
            there is no column `opid`
             --> line 1, column 8
              |
            1 | select opid from ops
              |        ^^^^
            did you mean `op_id`?
        "#]],
    );
    says(
        "select c.zzzzzzzz from clocks c join nodes n on c.t_ns = n.t_ns",
        &expect![[r#"
            there is no column `zzzzzzzz` in `c`
             --> line 1, column 10
              |
            1 | select c.zzzzzzzz from clocks c join nodes n on c.t_ns = n.t_ns
              |          ^^^^^^^^
            columns: t_ns, wall_ns
        "#]],
    );
    says(
        "select zzzzzzzz from clocks",
        &expect![[r#"
            there is no column `zzzzzzzz`
             --> line 1, column 8
              |
            1 | select zzzzzzzz from clocks
              |        ^^^^^^^^
            columns: t_ns, wall_ns
        "#]],
    );
    says(
        "select * from injektions",
        &expect![[r#"
            there is no table or view `injektions`
             --> line 1, column 15
              |
            1 | select * from injektions
              |               ^^^^^^^^^^
            did you mean `injections`?
        "#]],
    );
    says(
        "select * from xyz",
        &expect![[r#"
            there is no table or view `xyz`
             --> line 1, column 15
              |
            1 | select * from xyz
              |               ^^^
            tables and views: ops, faults, injections, connections, nodes, clocks, names, runs, ops_during_fault, op_injections, latency, findings, finding_ops, finding_edges, levels
        "#]],
    );
    says(
        "select conut(*) from ops",
        &expect![[r#"
            there is no function `conut`
             --> line 1, column 8
              |
            1 | select conut(*) from ops
              |        ^^^^^
            did you mean `count`?
        "#]],
    );
    says(
        "selct 1",
        &expect![[r#"
            Expected: an SQL statement, found: selct
             --> line 1, column 1
              |
            1 | selct 1
              | ^^^^^
            -
        "#]],
    );
    says(
        "select op_id, from ops where",
        &expect![[r#"
            Expected: an expression, found: EOF
             --> line 1, column 29
              |
            1 | select op_id, from ops where
              |                             ^
            -
        "#]],
    );
    says(
        "select op_id from ops a join ops b on a.op_id = b.op_id",
        &expect![[r#"
            the column `op_id` is in more than one of the tables
             --> line 1, column 8
              |
            1 | select op_id from ops a join ops b on a.op_id = b.op_id
              |        ^^^^^
            name the table as well, such as `o.op_id`
        "#]],
    );
    says(
        "select 1; select 2",
        &expect![[r#"
            more than one statement where one is expected
            -
        "#]],
    );
    says(
        "select op_id from ops where f = 1 / 0",
        &expect![[r#"
            the statement could not be carried out: Cast error: Cannot cast string 'write' to value of Int64 type
            -
        "#]],
    );
}

#[test]
fn a_run_that_is_not_sealed_has_tables_without_rows_and_says_why() {
    let run = common::unsealed(SmallRun::events);
    let session = run.open();
    assert!(session.notes().iter().any(|note| note.contains("fissure recover")), "{:?}", session.notes());
    for relation in session.relations() {
        let rows = if relation.name == "runs" { 1 } else { 0 };
        assert_eq!(lines(&session, &format!("select count(*) as n from {}", relation.name)), format!("n\n{rows}\n"));
    }
    assert_eq!(lines(&session, "select t_ns, wall_ns from clocks"), "t_ns,wall_ns\n");
}

#[test]
fn a_table_without_files_has_no_rows_and_the_others_stay() {
    let run = SmallRun::sealed();
    std::fs::remove_dir_all(run.dir.table_dir(Table::Injections)).unwrap();
    let session = run.open();
    assert!(session.notes()[0].contains("injections"), "{:?}", session.notes());
    assert_eq!(lines(&session, "select count(*) as n from op_injections"), "n\n0\n");
    assert_eq!(lines(&session, "select count(*) as n from ops"), "n\n4\n");
}

#[test]
fn an_empty_run_has_empty_views() {
    let run = common::run(|_| {});
    let session = run.open();
    for relation in session.relations() {
        let rows = if relation.name == "runs" { 1 } else { 0 };
        let counted = lines(&session, &format!("select count(*) as n from {}", relation.name));
        assert_eq!(counted, format!("n\n{rows}\n"), "{}", relation.name);
    }
}

#[test]
fn damaged_results_and_runs_of_the_future_are_refused() {
    let run = SmallRun::sealed();
    std::fs::write(run.dir.file("results.json"), "{\"findings\": [{\"id\"").unwrap();
    let error = fissure_sql::Session::open(run.dir.path()).unwrap_err();
    assert!(error.to_string().contains("results.json") && error.to_string().contains("line 1"), "{error}");
    Manifest { schema_version: 99, ..Manifest::default() }.write(run.dir.path()).unwrap();
    let error = fissure_sql::Session::open(run.dir.path()).unwrap_err();
    assert!(error.to_string().contains("schema version 99"), "{error}");
    let error = fissure_sql::Session::open(&run.store.path().join("nothing")).unwrap_err();
    assert!(matches!(error, SqlError::Run(_)), "{error}");
}

#[test]
fn answers_have_forms_for_people_and_programs() {
    let run = SmallRun::sealed();
    let batches = run.open().query("select op_id, node, complete_ns, outcome from ops order by op_id").unwrap();
    expect![[r#"
         op_id │ node │ complete_ns │ outcome
        ───────┼──────┼─────────────┼─────────
             0 │ n1   │        2000 │ ok
             1 │ n2   │        3500 │ fail
             2 │ n1   │        null │ info
        … 1 more row
    "#]]
    .assert_eq(&format(&batches, Format::Table { limit: 3 }).unwrap());
    expect![[r#"
        {"op_id":0,"node":"n1","complete_ns":2000,"outcome":"ok"}
        {"op_id":1,"node":"n2","complete_ns":3500,"outcome":"fail"}
        {"op_id":2,"node":"n1","complete_ns":null,"outcome":"info"}
        {"op_id":3,"node":"n1","complete_ns":2000005000,"outcome":"ok"}
    "#]]
    .assert_eq(&format(&batches, Format::JsonLines).unwrap());
    let array = format(&batches, Format::Json).unwrap();
    assert!(array.starts_with("[{\"op_id\":0,") && array.ends_with("}]\n"), "{array}");
    let none = run.open().query("select op_id, nodes from ops, faults where op_id < 0").unwrap();
    expect![[r#"
         op_id │ nodes
        ───────┼───────
        (no rows)
    "#]]
    .assert_eq(&format(&none, Format::Table { limit: 0 }).unwrap());
    assert_eq!(format(&none, Format::JsonLines).unwrap(), "");
    assert_eq!(format(&none, Format::Json).unwrap(), "[]\n");
    assert!(format(&none, Format::Parquet).is_err());
    assert_eq!(format(&none, Format::Csv).unwrap(), "op_id,nodes\n");
}
