//! What can be named: runs, folders of runs, tables, files; and what is left out.

mod common;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use common::{Moment, SmallRun, lines, write};
use datafusion::parquet::arrow::ArrowWriter;
use expect_test::expect;
use fissure_history::journal::Journal;
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, Table, seal};
use fissure_sql::{Limits, Session, SqlError, Target};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// A run with this many writes, in a store.
fn add_run(store: &Path, scenario: &str, seed: u64, writes: u64) -> RunDir {
    let dir = RunDir::create(store, scenario, seed, UNIX_EPOCH + Duration::from_secs(seed)).unwrap();
    let verdict = Some(if seed.is_multiple_of(2) { "invalid" } else { "valid" }.to_owned());
    let scenario = scenario.to_owned();
    let manifest =
        Manifest { schema_version: SCHEMA_VERSION, scenario, seed, started_ns: 10, verdict, ..Manifest::default() };
    manifest.write(dir.path()).unwrap();
    let journal = Journal::create(&dir).unwrap();
    for op_id in 0..writes {
        let moment = Moment { op_id, process: 0, t_ns: 1_000 + 10 * op_id as i64 };
        write(&journal.recorder(), moment, Some(moment.t_ns + 5), None);
    }
    journal.finish().unwrap();
    seal(&dir).unwrap();
    let finding = format!(
        "{{\"findings\": [{{\"id\": \"L-{seed}\", \"checker\": \"c\", \"anomaly\": \"a\", \"summary\": \"s\", \"ops\": [0]}}]}}"
    );
    std::fs::write(dir.file("results.json"), finding).unwrap();
    dir
}

fn open_all(targets: &[&Path]) -> Result<Session, SqlError> {
    let targets: Vec<Target> = targets.iter().map(|target| Target::Path(target.to_path_buf())).collect();
    Session::open_all(&targets, &Limits::default())
}

/// Three runs of two scenarios.
fn store() -> tempfile::TempDir {
    let store = tempfile::Builder::new().prefix("a [b]*%20 ü").tempdir().unwrap();
    add_run(store.path(), "cut", 1, 2);
    add_run(store.path(), "cut", 2, 3);
    add_run(store.path(), "stall", 3, 4);
    store
}

#[test]
fn a_folder_of_runs_has_the_rows_of_all_and_says_whose_they_are() {
    let store = store();
    let session = Session::open(store.path()).unwrap();
    assert_eq!(session.notes(), [""; 0]);
    let counts = "select run, scenario, seed, count(*) as n from ops group by run, scenario, seed order by run";
    expect![[r#"
        run,scenario,seed,n
        cut/1970-01-01T00-00-01Z-s1,cut,1,2
        cut/1970-01-01T00-00-02Z-s2,cut,2,3
        stall/1970-01-01T00-00-03Z-s3,stall,3,4
    "#]]
    .assert_eq(&lines(&session, counts));
    for relation in session.relations().iter().filter(|relation| relation.name != "runs") {
        let first: Vec<&str> = relation.columns[..3].iter().map(|column| column.name.as_str()).collect();
        assert_eq!(first, ["run", "scenario", "seed"], "{}", relation.name);
        assert_eq!(relation.columns[2].type_name, "uint64");
        let all = format!("select * from {}", relation.name);
        assert_eq!(session.query(&all).unwrap()[0].num_columns(), relation.columns.len(), "{all}");
    }
    expect![[r#"
        run,seed,verdict,id
        cut/1970-01-01T00-00-01Z-s1,1,valid,L-1
        cut/1970-01-01T00-00-02Z-s2,2,invalid,L-2
        stall/1970-01-01T00-00-03Z-s3,3,valid,L-3
    "#]]
    .assert_eq(&lines(
        &session,
        "select r.run, r.seed, verdict, id from runs r join findings f on r.run = f.run order by 1",
    ));
    let columns = "select seed, value, run, op_id from ops where value > 1010 and seed > 1 order by 1, 2";
    expect![[r#"
        seed,value,run,op_id
        2,1020,cut/1970-01-01T00-00-02Z-s2,2
        3,1020,stall/1970-01-01T00-00-03Z-s3,2
        3,1030,stall/1970-01-01T00-00-03Z-s3,3
    "#]]
    .assert_eq(&lines(&session, columns));
    let deep =
        Session::open(store.path().parent().unwrap().join(store.path().file_name().unwrap()).join("cut").as_path());
    let names: Vec<String> = deep.unwrap().run_names().map(str::to_owned).collect();
    assert_eq!(names, ["1970-01-01T00-00-01Z-s1", "1970-01-01T00-00-02Z-s2"]);
}

/// The plan as text.
fn plan(session: &Session, sql: &str) -> String {
    lines(session, &format!("explain format indent {sql}"))
}

#[test]
fn a_condition_on_the_runs_skips_the_files_of_others() {
    let store = store();
    let session = Session::open(store.path()).unwrap();
    let files = |condition: &str| {
        let sql = format!("select sum(1 + 0 * value) as n from ops where {condition}");
        let plan = plan(&session, &sql);
        (plan.matches("/ops/part-00000.parquet").count(), lines(&session, &sql))
    };
    for (condition, scanned, rows) in [
        ("true", 3, 9),
        ("seed = 2", 1, 3),
        ("seed in (1, 3)", 2, 6),
        ("scenario = 'cut' and value >= 1000", 2, 5),
        ("run like 'stall/%' or seed < 2", 2, 6),
        ("seed + 1 = 3", 1, 3),
        // It is not about runs alone.
        ("seed = 2 or value = 1000", 3, 5),
    ] {
        assert_eq!(files(condition), (scanned, format!("n\n{rows}\n")), "{condition}");
    }
    // One scan, however many runs.
    assert_eq!(plan(&session, "select * from ops").matches("DataSourceExec").count(), 1);
    for sql in [
        "select count(*) as n from ops join runs using (run) where verdict = 'invalid'",
        "select count(*) as n from ops where run in (select run from runs where verdict = 'invalid')",
        "select count(*) as n from ops where run = (select min(run) from runs where verdict = 'invalid')",
    ] {
        assert_eq!(lines(&session, sql), "n\n3\n", "{sql}");
    }
    assert_eq!(lines(&session, "select id from findings where seed = 3"), "id\nL-3\n");
}

#[test]
fn a_join_with_runs_skips_the_files_of_others_while_it_runs() {
    let store = tempfile::tempdir().unwrap();
    for seed in 1..=9 {
        add_run(store.path(), "cut", seed, 50);
    }
    let target = [Target::Path(store.path().to_owned())];
    let limits = Limits { threads: Some(std::num::NonZeroUsize::MIN), ..Limits::default() };
    let session = Session::open_all(&target, &limits).unwrap();
    let sql = "select sum(o.value) from ops o join runs r on o.run = r.run where r.started = 'x' or r.seed = 4";
    let measured = lines(&session, &format!("explain analyze {sql}"));
    // Of nine files of fifty rows one is read.
    let scan = measured.lines().find(|line| line.contains("DataSourceExec") && line.contains("parquet")).unwrap();
    assert!(scan.contains("output_rows=50,"), "{scan}");
}

#[test]
fn runs_that_cannot_be_read_are_left_out_and_named() {
    let store = store();
    let unsealed = RunDir::create(store.path(), "cut", 10, UNIX_EPOCH).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, ..Manifest::default() }.write(unsealed.path()).unwrap();
    let newer = add_run(store.path(), "cut", 11, 1);
    Manifest { schema_version: 99, ..Manifest::default() }.write(newer.path()).unwrap();
    let garbled = add_run(store.path(), "cut", 12, 1);
    std::fs::write(garbled.file("manifest.json"), "{").unwrap();
    let cut = add_run(store.path(), "cut", 13, 1);
    let part = cut.table_dir(Table::Ops).join("part-00000.parquet");
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() - 1]).unwrap();
    let missing = add_run(store.path(), "cut", 14, 1);
    std::fs::remove_file(missing.table_dir(Table::Clocks).join("part-00000.parquet")).unwrap();
    let unjudged = add_run(store.path(), "stall", 15, 1);
    std::fs::write(unjudged.file("results.json"), "[").unwrap();

    let session = Session::open(store.path()).unwrap();
    let notes = session.new_notes();
    for (seed, why) in
        [(10, "fissure recover"), (11, "schema version 99"), (12, "manifest"), (13, "bytes"), (14, "missing")]
    {
        let note = notes.iter().find(|note| note.contains(&format!("-s{seed} is left out"))).unwrap();
        assert!(note.contains(why), "{note}");
    }
    assert_eq!(notes.len(), 5, "{notes:?}");
    assert_eq!(lines(&session, "select seed from runs order by 1"), "seed\n1\n2\n3\n15\n");
    assert_eq!(lines(&session, "select id from findings order by 1"), "id\nL-1\nL-2\nL-3\n");
    let notes = session.new_notes();
    assert!(notes.len() == 1 && notes[0].contains("-s15") && notes[0].contains("results.json"), "{notes:?}");
}

#[test]
fn a_footer_that_is_damaged_leaves_its_run_out_of_many_and_is_an_error_of_one() {
    let store = store();
    let damaged = add_run(store.path(), "cut", 5, 1);
    let part = damaged.table_dir(Table::Ops).join("part-00000.parquet");
    let whole = std::fs::read(&part).unwrap();
    // The same length, but no footer any more.
    let mut bytes = whole.clone();
    let end = bytes.len();
    bytes[end - 200..].fill(0xff);
    std::fs::write(&part, &bytes).unwrap();
    let session = Session::open(store.path()).unwrap();
    assert_eq!(lines(&session, "select count(*) as n from ops"), "n\n9\n");
    assert!(session.notes()[0].contains("-s5 is left out") && session.notes()[0].contains("ops/part-00000.parquet"));
    assert_eq!(lines(&session, "select count(*) as n from ops"), "n\n9\n");
    assert_eq!(lines(&session, "select count(distinct run) as n from findings"), "n\n3\n");
    let error = Session::open(damaged.path()).unwrap().query("select * from ops").unwrap_err();
    assert!(error.to_string().contains("ops/part-00000.parquet"), "{error}");
}

/// Whatever byte is damaged: an answer or an error, and the session lives on.
#[test]
fn damaged_files_are_errors_and_not_the_end() {
    let store = tempfile::tempdir().unwrap();
    let run = add_run(store.path(), "cut", 5, 20);
    let part = run.table_dir(Table::Ops).join("part-00000.parquet");
    let whole = std::fs::read(&part).unwrap();
    let (mut answers, mut errors) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 150) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&part, &bytes).unwrap();
        let session = Session::open(run.path()).unwrap();
        match session.query("select * from ops") {
            Ok(_) => answers += 1,
            Err(_) => errors += 1,
        }
        assert_eq!(lines(&session, "select count(*) as n from faults"), "n\n0\n");
    }
    assert!(errors > 20 && answers > 0, "{errors} errors, {answers} answers");
}

#[test]
fn one_run_has_no_run_columns_and_several_targets_have() {
    let store = store();
    let runs: Vec<_> = RunDir::list(store.path()).unwrap().into_iter().map(|run| run.dir).collect();
    let session = open_all(&[runs[0].path()]).unwrap();
    assert_eq!(session.relations()[0].columns[0].name, "op_id");
    assert_eq!(lines(&session, "select run, seed, path = 'x' as x from runs").lines().count(), 2);
    let session = open_all(&[runs[0].path(), runs[2].path()]).unwrap();
    let names: Vec<&str> = session.run_names().collect();
    assert_eq!(names, ["stall/1970-01-01T00-00-03Z-s3", "cut/1970-01-01T00-00-01Z-s1"]);
    assert_eq!(lines(&session, "select count(*) as n from ops"), "n\n6\n");
    // The same run twice is two runs, and both are called by their paths.
    let session = open_all(&[runs[0].path(), runs[0].path()]).unwrap();
    assert!(session.run_names().all(|name| Path::new(name).is_absolute()));
}

#[test]
fn tables_and_files_can_be_asked_by_themselves() {
    let run = SmallRun::sealed();
    let ops = run.dir.table_dir(Table::Ops).join("part-00000.parquet");
    let faults = run.dir.table_dir(Table::Faults).join("part-00000.parquet");
    let one = "select op_id, outcome from ops order by 1";
    let expected = lines(&run.open(), one);
    for target in [run.dir.history_dir(), run.dir.table_dir(Table::Ops), ops.clone()] {
        let session = open_all(&[&target]).unwrap();
        assert_eq!(lines(&session, one), expected, "{}", target.display());
        assert_eq!(session.relations()[0].columns[0].name, "op_id");
    }
    let session = open_all(&[&ops, &faults]).unwrap();
    assert_eq!(
        lines(&session, "select count(*) as n from ops_during_fault"),
        lines(&run.open(), "select count(*) as n from ops_during_fault")
    );
    // An elsewhere file takes its table from what it says, not from its name.
    let moved = run.store.path().join("other.parquet");
    std::fs::copy(&faults, &moved).unwrap();
    assert_eq!(lines(&open_all(&[&moved]).unwrap(), "select count(*) as n from faults"), "n\n3\n");
}

#[test]
fn what_is_nothing_to_ask_is_said_with_what_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let says = |target: &Path| {
        let error = open_all(&[target]).unwrap_err();
        format!("{error} {}", error.help().unwrap_or_default())
    };
    assert!(says(dir.path()).contains("no run in it"), "{}", says(dir.path()));
    assert!(says(&dir.path().join("nothing")).contains("no such run"));
    let path = dir.path().join("foreign.parquet");
    let batch = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    parquet(&path, &batch);
    assert!(says(&path).contains("no table of a history"), "{}", says(&path));
    std::fs::write(&path, "PAR1 this is not what it says PAR1").unwrap();
    assert!(says(&path).contains("not a Parquet file"), "{}", says(&path));
    let nothing = open_all(&[]).unwrap();
    assert_eq!(lines(&nothing, "select count(*) as n from ops"), "n\n0\n");
}

fn parquet(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// As an older version, or another tool, may have written it: fewer columns, fewer fields of micro-operations.
#[test]
fn columns_and_fields_that_a_file_lacks_are_null() {
    let run = SmallRun::sealed();
    let part = run.dir.table_dir(Table::Ops).join("part-00000.parquet");
    let int = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let text = |value: &str| Arc::new(StringArray::from(vec![value; 2])) as ArrayRef;
    let mops = StructArray::from(vec![
        (Arc::new(Field::new("f", DataType::Utf8, false)), Arc::new(StringArray::from(vec!["r"])) as ArrayRef),
        (Arc::new(Field::new("key", DataType::Int64, false)), int(vec![7])),
    ]);
    let item = Arc::new(Field::new("item", mops.data_type().clone(), false));
    let offsets = OffsetBuffer::new(vec![0, 1, 1].into());
    let mops: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(mops), None));
    let batch = RecordBatch::try_from_iter([
        ("op_id", int(vec![4, 5])),
        ("process", int(vec![0, 0])),
        ("phase", text("faults")),
        ("f", text("txn")),
        ("mops", mops),
        ("outcome", text("ok")),
        ("invoke_seq", int(vec![20, 21])),
        ("invoke_ns", int(vec![9_000, 9_001])),
    ])
    .unwrap();
    parquet(&part.with_file_name("late-00000.parquet"), &batch);
    let session = open_all(&[run.dir.path()]).unwrap();
    expect![[r#"
        op_id,f,node,key,complete_ns,mops
        3,write,n1,7,2000005000,
        4,txn,,,,"[{f: r, key: 7, value: , list: , offset: , records: }]"
        5,txn,,,,[]
    "#]]
    .assert_eq(&lines(&session, "select op_id, f, node, key, complete_ns, mops from ops where op_id > 2 order by 1"));
    let nested = "select op_id, m['key'] as k, m['list'] as l from (select op_id, unnest(mops) as m from ops) where m['f'] = 'r'";
    assert_eq!(lines(&session, nested), "op_id,k,l\n4,7,\n");
    let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
    assert_eq!(
        session.query("select count(*) as n from ops where node is null").unwrap()[0].schema().as_ref(),
        &schema
    );
}

#[test]
fn histories_of_other_formats_are_imported_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.edn");
    let text = "{:process 0, :type :invoke, :f :write, :value 3, :index 0, :time 10}\n\
                {:process 0, :type :ok, :f :write, :value 3, :index 1, :time 20}\n\
                {:process 1, :type :invoke, :f :read, :value nil, :index 2, :time 30}\n\
                {:process 1, :type :ok, :f :read, :value 3, :index 3, :time 40}\n";
    std::fs::write(&path, text).unwrap();
    let limits = Limits { spill_dir: Some(dir.path().to_owned()), ..Limits::default() };
    let open = |targets: &[&Path]| {
        let targets: Vec<Target> = targets.iter().map(|target| Target::Path(target.to_path_buf())).collect();
        Session::open_all(&targets, &limits)
    };
    let session = open(&[&path]).unwrap();
    let ops = "select op_id, process, f, value, outcome, complete_ns - invoke_ns as ns from ops order by op_id";
    expect![[r#"
        op_id,process,f,value,outcome,ns
        0,0,write,3,ok,10
        1,1,read,3,ok,10
    "#]]
    .assert_eq(&lines(&session, ops));
    assert_eq!(lines(&session, "select verdict from linearizable('register')"), "verdict\nvalid\n");
    let error = session.query("select * from check_append('serializable')").unwrap_err().to_string();
    assert!(error.contains("no transactions over lists"), "{error}");
    drop(session);
    let skew = dir.path().join("skew.edn");
    let text = "{:process 0, :type :invoke, :f :txn, :value [[:r 1 nil] [:w 2 1]], :index 0, :time 10}\n\
                {:process 1, :type :invoke, :f :txn, :value [[:r 2 nil] [:w 1 1]], :index 1, :time 20}\n\
                {:process 0, :type :ok, :f :txn, :value [[:r 1 nil] [:w 2 1]], :index 2, :time 30}\n\
                {:process 1, :type :ok, :f :txn, :value [[:r 2 nil] [:w 1 1]], :index 3, :time 40}\n";
    std::fs::write(&skew, text).unwrap();
    let session = open(&[&skew]).unwrap();
    for (model, verdict) in [("serializable", "invalid"), ("snapshot-isolation", "valid")] {
        let asked = format!("select distinct verdict from check_register('{model}')");
        assert_eq!(lines(&session, &asked), format!("verdict\n{verdict}\n"), "{model}");
    }
    drop(session);
    std::fs::remove_file(&skew).unwrap();
    let run = SmallRun::sealed();
    let session = open(&[&path, run.dir.path()]).unwrap();
    assert_eq!(lines(&session, "select count(*) as n from ops group by run order by n"), "n\n2\n4\n");
    drop(session);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "what was imported goes with the session");
    std::fs::write(&path, "{:process 0, :type :nonsense}\n").unwrap();
    let error = open(&[&path]).unwrap_err();
    assert!(error.to_string().contains("history.edn"), "{error}");
}
