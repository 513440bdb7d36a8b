//! Histories that no run recorded: from operations and from events, as a folder and as one file.

mod common;

use common::{asked, new_run, play, steps, told_call};
use fissure_checker::{Call, History, Mop, Names, Operation, Outcome};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent};
use fissure_history::{Error, HistoryWriter, OpsReader, Table, read, read_history};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

fn write_ops(mut writer: HistoryWriter, history: &History) -> u64 {
    let phase = Arc::from("faults");
    history.ops().iter().for_each(|op| writer.op(op, &phase).unwrap());
    writer.names(history.names());
    writer.real_time_order(history.has_real_time_order());
    writer.finish().unwrap().counts.ops
}

/// Tells the events of a history in their order.
fn write_events(writer: &mut HistoryWriter, history: &History) {
    let phase = Arc::from("faults");
    let mut events: Vec<(u64, &Operation)> = Vec::new();
    for op in history.ops() {
        events.push((op.invoke_seq, op));
        events.extend(op.complete_seq.map(|seq| (seq, op)));
    }
    events.sort_by_key(|(seq, _)| *seq);
    for (seq, op) in events {
        let (op_id, process, node) = (op.op_id, op.process, op.node.as_ref());
        if seq == op.invoke_seq {
            let call = &asked(&op.call);
            let (t_ns, conn_cookie) = (op.invoke_ns, None);
            writer.invoke(InvokeEvent { op_id, process, node, phase: &phase, call, seq, t_ns, conn_cookie }).unwrap();
            continue;
        }
        let (code, text) = (op.error_code.as_deref().unwrap_or(""), op.error_text.as_deref().unwrap_or(""));
        let completed = match op.outcome {
            Outcome::Ok => Completed::Ok(&op.call),
            Outcome::Fail => Completed::Fail { code, text },
            Outcome::Info => Completed::Info { code, text },
        };
        let t_ns = op.complete_ns.unwrap();
        writer.complete(CompleteEvent { op_id, seq, t_ns, completed, conn_cookie: op.conn_cookie }).unwrap();
    }
}

fn streamed(path: &Path) -> Vec<Operation> {
    OpsReader::open(path).unwrap().map(|row| row.unwrap().op).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_history_comes_back_from_a_folder_and_from_a_file(steps in steps(60)) {
        let history = play(&steps, None);
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("folder"), dir.path().join("one.parquet"));
        let events = dir.path().join("events");
        prop_assert_eq!(write_ops(HistoryWriter::create(&folder).unwrap(), &history), history.len() as u64);
        prop_assert_eq!(write_ops(HistoryWriter::create_file(&file).unwrap(), &history), history.len() as u64);
        let mut writer = HistoryWriter::create(&events).unwrap();
        write_events(&mut writer, &history);
        let report = writer.finish().unwrap();
        prop_assert_eq!(report.counts.ok + report.counts.fail + report.counts.info, history.len() as u64);
        for path in [&folder, &file, &events] {
            prop_assert_eq!(&read_history(path).unwrap().history, &history);
            prop_assert_eq!(&streamed(path)[..], history.ops());
        }
    }

    /// An importer has `ok` reads whose result was not written down; a journal refuses them.
    #[test]
    fn an_ok_read_whose_result_is_not_known_stays_one(told in told_call(), outcome in 0..3_usize) {
        let dir = tempfile::tempdir().unwrap();
        let outcome = [Outcome::Ok, Outcome::Fail, Outcome::Info][outcome];
        let op = Operation { call: asked(&told), outcome, ..operation(0) };
        let history = History::new(vec![op]).unwrap();
        let file = dir.path().join("one.parquet");
        write_ops(HistoryWriter::create_file(&file).unwrap(), &history);
        prop_assert_eq!(&read_history(&file).unwrap().history, &history);
    }
}

fn operation(number: u64) -> Operation {
    Operation {
        op_id: number,
        process: 0,
        node: None,
        call: Call::Write { key: 1, value: 2 },
        invoke_seq: number * 2,
        complete_seq: Some(number * 2 + 1),
        invoke_ns: 0,
        complete_ns: Some(1),
        outcome: Outcome::Ok,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    }
}

#[test]
fn names_and_a_missing_order_come_back_from_a_folder_and_from_a_file() {
    let mut names = Names::default();
    let (key, value) = (names.number(":x"), names.number("\"a\nb \u{1F600}\""));
    let op = Operation { call: Call::Txn(vec![Mop::Write { key, value }]), ..operation(0) };
    let history = History::new(vec![op]).unwrap().with_names(Arc::new(names)).with_real_time_order(false);
    let dir = tempfile::tempdir().unwrap();
    let (folder, file) = (dir.path().join("folder"), dir.path().join("one.parquet"));
    write_ops(HistoryWriter::create(&folder).unwrap(), &history);
    write_ops(HistoryWriter::create_file(&file).unwrap(), &history);
    for path in [&folder, &file] {
        let read = read_history(path).unwrap().history;
        assert_eq!(read, history);
        assert_eq!(read.names().display(key).to_string(), ":x");
        assert_eq!(OpsReader::open(path).unwrap().names(), history.names());
        assert!(!OpsReader::open(path).unwrap().has_real_time_order());
    }
    assert_eq!(read::read_names(&folder).unwrap().len(), 2);
}

/// Several parts and late operations, some of which complete among the others and some never.
#[test]
fn late_operations_are_merged_in_order_and_parts_follow_one_another() {
    let count = 1_100_000_u64;
    let mut ops = Vec::new();
    for number in 0..count {
        let hangs = number % 300_000 == 7;
        let seq = number * 2;
        let complete_seq = if hangs { seq + 1 + 2 * 200_000 } else { seq + 1 };
        let forever = number == 600_007;
        ops.push(Operation {
            process: if hangs { 100 + number.cast_signed() } else { (number % 8).cast_signed() },
            complete_seq: (!forever).then_some(complete_seq),
            complete_ns: (!forever).then_some(5),
            outcome: if forever { Outcome::Info } else { Outcome::Ok },
            invoke_seq: seq,
            ..operation(number)
        });
    }
    // The places of the completions of the hanging ones are taken twice: move the others away.
    for op in &mut ops {
        op.invoke_seq *= 2;
        op.complete_seq = op.complete_seq.map(|seq| if op.process >= 100 { seq * 2 + 1 } else { seq * 2 });
    }
    let history = History::new(ops).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut writer = HistoryWriter::create(dir.path()).unwrap();
    write_events(&mut writer, &history);
    let report = writer.finish().unwrap();
    assert_eq!((report.counts.ops, report.open_ops), (count, 1));
    let names: Vec<&str> = report.files.iter().map(|file| &*file.path).filter(|path| path.starts_with("ops")).collect();
    assert_eq!(names, ["ops/part-00000.parquet", "ops/part-00001.parquet", "ops/late-00000.parquet"]);
    let mut reader = OpsReader::open(dir.path()).unwrap();
    assert!(history.ops().iter().all(|op| reader.next().unwrap().unwrap().op == *op));
    assert!(reader.next().is_none());
}

#[test]
fn nothing_appears_before_all_is_written_and_nothing_is_replaced_by_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let phase = Arc::from("faults");
    let file = dir.path().join("one.parquet");
    std::fs::write(&file, "good").unwrap();
    for number in 0..2 {
        let mut writer = match number {
            0 => HistoryWriter::create(dir.path()).unwrap(),
            _ => HistoryWriter::create_file(&file).unwrap(),
        };
        writer.op(&operation(1), &phase).unwrap();
        let error = writer.op(&operation(1), &phase).unwrap_err();
        assert!(matches!(error, Error::Event { event: 1, .. }), "{error}");
        drop(writer);
        assert_eq!(std::fs::read(&file).unwrap(), b"good");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["one.parquet"]);
    }
    HistoryWriter::create(dir.path()).unwrap().finish().unwrap();
    assert!(matches!(HistoryWriter::create(dir.path()), Err(Error::Exists { .. })));
    let (_store, run) = new_run();
    HistoryWriter::create(run.path()).unwrap().finish().unwrap();
    assert!(read_history(run.path()).unwrap().history.is_empty());
}

#[test]
fn events_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let phase: Arc<str> = Arc::from("faults");
    let call = Call::Write { key: 1, value: 1 };
    let invoke = |op_id, process, seq| InvokeEvent {
        op_id,
        process,
        node: None,
        phase: &phase,
        call: &call,
        seq,
        t_ns: 0,
        conn_cookie: None,
    };
    let finish = |events: &[(u64, i64, u64)]| {
        let mut writer = HistoryWriter::create_file(&dir.path().join("bad.parquet")).unwrap();
        for (op_id, process, seq) in events {
            writer.invoke(invoke(*op_id, *process, *seq)).unwrap();
        }
        writer.finish().unwrap_err().to_string()
    };
    assert!(finish(&[(1, 1, 5), (2, 2, 5)]).contains("not after the one before"));
    assert!(finish(&[(1, 1, 5), (1, 2, 6)]).contains("invoked twice"));
    assert!(finish(&[(1, 1, 5), (2, 1, 6)]).contains("process 1"));
}

/// What analysts rely on: plain types, statistics per page, bloom filters where one looks a key up.
#[test]
fn files_are_made_for_looking_things_up() {
    let dir = tempfile::tempdir().unwrap();
    let ops: Vec<Operation> = (0..100).map(operation).collect();
    let file = dir.path().join("one.parquet");
    write_ops(HistoryWriter::create_file(&file).unwrap(), &History::new(ops).unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
    let types = |schema: &arrow::datatypes::Schema| -> Vec<String> {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    };
    assert_eq!(types(reader.schema()), types(&Table::Ops.schema()));
    let group = reader.metadata().row_group(0);
    let filtered: Vec<String> = group
        .columns()
        .iter()
        .filter(|column| column.bloom_filter_offset().is_some())
        .map(|column| column.column_path().string())
        .collect();
    assert_eq!(filtered, ["key", "mops.list.item.key", "conn_cookie"]);
    for column in group.columns() {
        let path = column.column_path().string();
        assert!(column.offset_index_offset().is_some(), "{path}");
        let without = ["mops.list.item.list.list.item", "mops.list.item.f"];
        assert_eq!(column.column_index_offset().is_some(), !without.contains(&path.as_str()), "{path}");
        if path == "invoke_ns" {
            assert!(column.encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED));
        }
    }
}
