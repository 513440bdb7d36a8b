//! Memory, spilling, interrupts, and answers that are larger than what is shown.

mod common;

use arrow::array::RecordBatch;
use common::{SmallRun, lines};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use fissure_sql::{Format, Limits, MEMORY_BYTES_MIN, More, Session, SqlError, Target, Written};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

/// A session with as little memory as there can be.
fn small(run: &SmallRun, spill_dir: &Path) -> Session {
    let limits = Limits {
        memory_bytes: Some(MEMORY_BYTES_MIN),
        threads: NonZeroUsize::new(2),
        spill_dir: Some(spill_dir.to_owned()),
    };
    Session::open_all(&[Target::Path(run.dir.path().to_owned())], &limits).unwrap()
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// A million rows of numbers in no order, and their squares.
const NUMBERS: &str = "(select value * 7919 % 1000003 as a, value as b, cast(value as text) || ' some text' as c from generate_series(1, 1000000))";

#[test]
fn what_does_not_fit_into_memory_goes_to_disk_and_leaves_nothing_there() {
    let (run, dir) = (SmallRun::sealed(), tempfile::tempdir().unwrap());
    let session = small(&run, dir.path());
    assert_eq!(entries(dir.path()), 1);
    // Sorting: the numbers come out in order, each once, with what belongs to them.
    let mut answer = session.answer(&format!("select a, b, c from {NUMBERS} order by a"), None).unwrap();
    let mut last = -1;
    while let Some(batch) = answer.next_batch().unwrap() {
        let column = |at: usize| batch.column(at).as_any().downcast_ref::<arrow::array::Int64Array>().unwrap();
        for (a, b) in column(0).values().iter().zip(column(1).values()) {
            assert!(*a > last && b * 7919 % 1_000_003 == *a);
            last = *a;
        }
    }
    assert_eq!(answer.rows(), 1_000_000);
    drop(answer);
    // Grouping, and proof that it was put aside.
    let grouped = format!("select c, count(*) as n, sum(a) as s from {NUMBERS} group by c");
    assert_eq!(
        lines(&session, &format!("select count(*) as n, sum(n) as m from ({grouped})")),
        "n,m\n1000000,1000000\n"
    );
    let measured = lines(&session, &format!("explain analyze {grouped}"));
    let spills = measured.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
    assert!(spills, "{measured}");
    drop(session);
    assert_eq!(entries(dir.path()), 0);
}

#[test]
fn a_join_that_does_not_fit_is_done_by_sorting() {
    let (run, dir) = (SmallRun::sealed(), tempfile::tempdir().unwrap());
    let session = small(&run, dir.path());
    let join =
        format!("select count(*) as n, max(x.c) = max(y.c) as same from {NUMBERS} x join {NUMBERS} y on x.a = y.b");
    assert_eq!(lines(&session, &join), format!("n,same\n{},true\n", expected_matches()));
    assert!(session.notes().iter().any(|note| note.contains("by sorting")), "{:?}", session.notes());
}

/// How many of the numbers are among their factors.
fn expected_matches() -> usize {
    (1_i64..=1_000_000).filter(|value| (1..=1_000_000).contains(&(value * 7919 % 1_000_003))).count()
}

#[test]
fn what_cannot_be_put_aside_is_said_with_the_limit() {
    let (run, dir) = (SmallRun::sealed(), tempfile::tempdir().unwrap());
    let session = small(&run, dir.path());
    let error = session.query("select array_agg(value) from generate_series(1, 5000000)").unwrap_err();
    assert!(matches!(error, SqlError::Memory { .. }), "{error:?}");
    assert!(error.to_string().contains("32 MiB") && error.help().unwrap().contains("--memory"), "{error}");
    assert_eq!(lines(&session, "select count(*) as n from ops"), "n\n4\n");
}

#[test]
fn an_interrupt_ends_the_statement_and_not_the_session() {
    let run = SmallRun::sealed();
    let session = run.open();
    let interrupt = session.interrupt().clone();
    let endless = "select count(*) from generate_series(1, 1000000000) x cross join generate_series(1, 3000) y where x.value * y.value % 7 = 8";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            interrupt.set();
        });
        let started = Instant::now();
        assert!(matches!(session.query(endless).unwrap_err(), SqlError::Interrupted));
        assert!(started.elapsed() < Duration::from_secs(60));
    });
    assert!(matches!(session.query("select 1").unwrap_err(), SqlError::Interrupted), "until it is cleared");
    interrupt.clear();
    assert_eq!(lines(&session, "select 1 as one"), "one\n1\n");
}

fn written(session: &Session, sql: &str, form: Format) -> (Vec<u8>, Written) {
    let mut out = Vec::new();
    let written = session.write_answer(sql, form, &mut out).unwrap();
    (out, written)
}

#[test]
fn a_table_shows_its_rows_and_says_how_many_more_there_are() {
    let run = SmallRun::sealed();
    let session = run.open();
    let table = |sql: &str, limit| {
        let (out, written) = written(&session, sql, Format::Table { limit });
        (String::from_utf8(out).unwrap().lines().last().unwrap().to_owned(), written)
    };
    let (last, counts) = table("select value from generate_series(1, 12) order by value desc", 10);
    assert_eq!((last.as_str(), counts), ("… 2 more rows", Written { rows: 10, more: More::Exactly(2) }));
    // More than are computed: they are counted by themselves.
    let (last, counts) = table("select value from generate_series(1, 50000) order by value desc", 10);
    assert_eq!((last.as_str(), counts), ("… 49990 more rows", Written { rows: 10, more: More::Exactly(49_990) }));
    // And not to the end if that takes long.
    let started = Instant::now();
    let (last, counts) = table(
        "select 1 from generate_series(1, 100000000) x cross join generate_series(1, 3000) y where x.value * y.value % 7 < 3",
        10,
    );
    assert_eq!((last.as_str(), counts.more), ("… more than 10000 more rows", More::AtLeast(10_000)));
    assert!(started.elapsed() < Duration::from_secs(60));
    let (last, counts) = table("select value from generate_series(1, 15000)", 0);
    assert_eq!((last.trim(), counts.rows), ("15000", 15_000));
    // The rows of a plan are not the rows of the answer.
    let (_, counts) = table("explain select 1", 1);
    assert_eq!(counts.more, More::Exactly(1));
}

#[test]
fn parquet_answers_are_read_back_as_they_were() {
    let run = SmallRun::sealed();
    let session = run.open();
    let sql = "select op_id, node, mops, complete_ns, 1.5 as x from ops order by op_id";
    let (out, counts) = written(&session, sql, Format::Parquet);
    assert_eq!(counts, Written { rows: 4, more: More::Exactly(0) });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    std::fs::write(&path, out).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let asked = session.query(sql).unwrap();
    let text = |batches: &[RecordBatch]| fissure_sql::format(batches, Format::Csv).unwrap();
    assert_eq!(text(&read), text(&asked));
}

/// Takes so many bytes, and no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(buf.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_in_every_form() {
    let run = SmallRun::sealed();
    let session = run.open();
    for form in [Format::Table { limit: 0 }, Format::Csv, Format::Json, Format::JsonLines, Format::Parquet] {
        let error = session.write_answer("select value from generate_series(1, 100000)", form, Full(20)).unwrap_err();
        let SqlError::Write { source } = error else { panic!("{form:?}: {error:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{form:?}");
    }
}
