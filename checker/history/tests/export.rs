//! Exports: what they look like, that importers take them for the same history, and what they refuse.

use expect_test::{Expect, expect};
use fissure_checker::{History, Outcome};
use fissure_history::export::{
    ExportError, ExportFormat, ExportOptions, ExportReport, UnknownExportFormat, export, export_history,
};
use fissure_history::import::{ImportOptions, Imported, import_bytes};
use fissure_history::rows::FaultRow;
use fissure_history::writer::HistoryWriter;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

#[path = "common/families.rs"]
#[allow(dead_code, reason = "each test target uses its own part of it")]
mod families;
use families::{FAMILIES, Family, Style, history, steps};

fn written(
    history: &History,
    faults: &[FaultRow],
    format: ExportFormat,
) -> Result<(String, ExportReport), ExportError> {
    let mut out = Vec::new();
    let report = export_history(history, faults, format, &ExportOptions::default(), &mut out)?;
    Ok((String::from_utf8(out).unwrap(), report))
}

fn import(name: &str, text: &str) -> Imported {
    import_bytes(Path::new(name), text.as_bytes(), &ImportOptions::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[track_caller]
fn told(imported: &Imported, format: ExportFormat, expected: Expect) {
    let (text, report) = written(&imported.history, &imported.faults, format).unwrap();
    assert_eq!(report.lines as usize, text.lines().count());
    expected.assert_eq(&format!("{text}{}\n", report.notes.join("\n")));
}

const LISTS: &str = r#"{:type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r :y nil]]}
{:type :invoke, :process 1, :f :txn, :value [[:append "a b" 2] [:r :x nil]]}
{:type :info, :process :nemesis, :f :start-partition, :value {"n1" ["n2"]}}
{:type :info, :process :nemesis, :f :start-partition, :value {"n1" ["n2"]}}
{:type :ok, :process 0, :f :txn, :value [[:append :x 1] [:r :y []]]}
{:type :info, :process :nemesis, :f :stop-partition}
{:type :info, :process :nemesis, :f :stop-partition}
{:type :invoke, :process 0, :f :txn, :value [[:r :x nil]], :node "n3"}
{:type :ok, :process 0, :f :txn, :value [[:r :x [2 1]]]}
{:type :info, :process 1, :f :txn, :error [:timeout "no answer"]}
{:type :invoke, :process 2, :f :txn, :value [[:append :x 7]]}
{:type :fail, :process 2, :f :txn, :error :aborted}
{:type :invoke, :process 3, :f :txn, :value [[:append :x 1/2] [:r 12345678901234567890 nil]]}
"#;

#[test]
fn lists_as_edn() {
    told(
        &import("h.edn", LISTS),
        ExportFormat::Edn,
        expect![[r#"
            {:index 0, :time 0, :type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r :y nil]]}
            {:index 1, :time 1, :type :info, :process :nemesis, :f :start-partition, :value {"n1" ["n2"]}}
            {:index 2, :time 1, :type :info, :process :nemesis, :f :start-partition, :value {"n1" ["n2"]}}
            {:index 3, :time 1, :type :invoke, :process 1, :f :txn, :value [[:append "a b" 2] [:r :x nil]]}
            {:index 4, :time 2, :type :info, :process :nemesis, :f :stop-partition, :value nil}
            {:index 5, :time 2, :type :info, :process :nemesis, :f :stop-partition, :value nil}
            {:index 6, :time 2, :type :ok, :process 0, :f :txn, :value [[:append :x 1] [:r :y []]]}
            {:index 7, :time 3, :type :invoke, :process 0, :f :txn, :value [[:r :x nil]], :node "n3"}
            {:index 8, :time 4, :type :ok, :process 0, :f :txn, :value [[:r :x [2 1]]], :node "n3"}
            {:index 9, :time 5, :type :info, :process 1, :f :txn, :value [[:append "a b" 2] [:r :x nil]], :error [:timeout "no answer"]}
            {:index 10, :time 6, :type :invoke, :process 2, :f :txn, :value [[:append :x 7]]}
            {:index 11, :time 7, :type :fail, :process 2, :f :txn, :value [[:append :x 7]], :error :aborted}
            {:index 12, :time 8, :type :invoke, :process 3, :f :txn, :value [[:append :x 1/2] [:r 12345678901234567890N nil]]}

        "#]],
    );
}

#[test]
fn lists_as_json() {
    told(
        &import("h.edn", LISTS),
        ExportFormat::JsonLines,
        expect![[r#"
            {"index":0,"time":0,"type":"invoke","process":0,"f":"txn","value":[["append",":x",1],["r",":y",null]]}
            {"index":1,"time":1,"type":"info","process":"nemesis","f":"start-partition","value":{"n1":["n2"]}}
            {"index":2,"time":1,"type":"info","process":"nemesis","f":"start-partition","value":{"n1":["n2"]}}
            {"index":3,"time":1,"type":"invoke","process":1,"f":"txn","value":[["append","a b",2],["r",":x",null]]}
            {"index":4,"time":2,"type":"info","process":"nemesis","f":"stop-partition","value":null}
            {"index":5,"time":2,"type":"info","process":"nemesis","f":"stop-partition","value":null}
            {"index":6,"time":2,"type":"ok","process":0,"f":"txn","value":[["append",":x",1],["r",":y",[]]]}
            {"index":7,"time":3,"type":"invoke","process":0,"f":"txn","value":[["r",":x",null]],"node":"n3"}
            {"index":8,"time":4,"type":"ok","process":0,"f":"txn","value":[["r",":x",[2,1]]],"node":"n3"}
            {"index":9,"time":5,"type":"info","process":1,"f":"txn","value":[["append","a b",2],["r",":x",null]],"error":["timeout","no answer"]}
            {"index":10,"time":6,"type":"invoke","process":2,"f":"txn","value":[["append",":x",7]]}
            {"index":11,"time":7,"type":"fail","process":2,"f":"txn","value":[["append",":x",7]],"error":"aborted"}
            {"index":12,"time":8,"type":"invoke","process":3,"f":"txn","value":[["append",":x","1/2"],["r",12345678901234567890,null]]}

        "#]],
    );
}

#[test]
fn lists_as_plume_text() {
    told(
        &import("h.edn", LISTS),
        ExportFormat::Plume,
        expect![[r#"
            w(9223372036854775808,1,0,1)
            r(9223372036854775809,0,0,1)
            r(9223372036854775808,1,0,3)
            w(9223372036854775808,7,2,-1)
            only the order within each process is written, not the order in real time
            lists are written as registers: what they reveal of the order is lost
            keys and values that are no integers are numbered from 9223372036854775808 on
            2 operations of unknown outcome were left out: nobody saw their writes
        "#]],
    );
}

#[test]
fn registers_with_keys() {
    let text = r#"{:type :invoke, :process 0, :f :read, :value [7 nil]}
{:type :ok, :process 0, :f :read, :value [7 nil]}
{:type :invoke, :process 0, :f :cas, :value [7 [-1 0]]}
{:type :ok, :process 0, :f :cas, :value [7 [-1 0]]}
{:type :invoke, :process 0, :f :write, :value [-2 5]}
"#;
    let imported = import("h.edn", text);
    told(
        &imported,
        ExportFormat::Edn,
        expect![[r#"
            {:index 0, :time 0, :type :invoke, :process 0, :f :read, :value [7 nil]}
            {:index 1, :time 1, :type :ok, :process 0, :f :read, :value [7 nil]}
            {:index 2, :time 2, :type :invoke, :process 0, :f :cas, :value [7 [-1 0]]}
            {:index 3, :time 3, :type :ok, :process 0, :f :cas, :value [7 [-1 0]]}
            {:index 4, :time 4, :type :invoke, :process 0, :f :write, :value [-2 5]}

        "#]],
    );
    told(
        &imported,
        ExportFormat::Plume,
        expect![[r#"
            r(9,0,0,1)
            r(9,1,0,2)
            w(9,2,0,2)
            only the order within each process is written, not the order in real time
            2 was added to every key: there are none below 0
            2 was added to every value: 0 stands for the initial state
            1 operations of unknown outcome were left out: nobody saw their writes
        "#]],
    );
    let options = ExportOptions { independent: Some(false), ..ExportOptions::default() };
    let mut out = Vec::new();
    let report = export_history(&imported.history, &[], ExportFormat::Edn, &options, &mut out).unwrap();
    assert!(!report.independent && !String::from_utf8(out).unwrap().contains("[7"));
}

#[test]
fn what_cannot_be_said_is_refused() {
    let refused = |text: &str, format, expected: Expect| {
        let imported = import("h.edn", text);
        let error = written(&imported.history, &[], format).unwrap_err();
        expected.assert_eq(&format!("{error}\n"));
    };
    refused(
        "{:type :invoke, :process 0, :f :enqueue, :value 1}",
        ExportFormat::Plume,
        expect![[r#"
            operation 0 cannot be written as plume: it has transactions over registers, and this is a call `enqueue`
        "#]],
    );
    refused(
        "{:type :invoke, :process 0, :f :txn, :value [[:send 1 2]]}",
        ExportFormat::Plume,
        expect![[r#"
            operation 0 cannot be written as plume: it has transactions over registers, and this is one over logs
        "#]],
    );
    refused(
        "{:type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:append \":x\" 1]]}",
        ExportFormat::JsonLines,
        expect![[r#"
            `:x` and `":x"` would be the same in json-lines: write EDN instead
        "#]],
    );
    assert_eq!("edn".parse(), Ok(ExportFormat::Edn));
    assert_eq!("elle".parse::<ExportFormat>(), Err(UnknownExportFormat { name: "elle".to_owned() }));
}

/// A disk that is full.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let imported = import("h.edn", LISTS);
    for format in ExportFormat::ALL {
        let error = export_history(&imported.history, &[], format, &ExportOptions::default(), &mut Full);
        assert!(matches!(error, Err(ExportError::Write { .. })), "{error:?}");
    }
}

/// From files of our own, and from files of others, it is the same text as from memory.
#[test]
fn files_are_exported_like_histories_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (text, out) = (dir.path().join("h.edn"), dir.path().join("h.parquet"));
    std::fs::write(&text, LISTS).unwrap();
    let imported = import("h.edn", LISTS);
    let mut file = HistoryWriter::create_file(&out).unwrap();
    let mut folder = HistoryWriter::create(&dir.path().join("run")).unwrap();
    for writer in [&mut file, &mut folder] {
        imported.history.ops().iter().for_each(|op| writer.op(op, &Arc::from("faults")).unwrap());
        writer.names(imported.history.names());
    }
    file.finish().unwrap();
    folder.finish().unwrap();
    for format in ExportFormat::ALL {
        let of = |path: &Path| {
            let mut out = Vec::new();
            let report = export(path, format, &ExportOptions::default(), &mut out).unwrap();
            (String::from_utf8(out).unwrap(), report)
        };
        assert_eq!(of(&text), written(&imported.history, &imported.faults, format).unwrap());
        assert_eq!(of(&out), written(&imported.history, &[], format).unwrap());
        assert_eq!(of(&dir.path().join("run")), of(&out));
    }
    assert!(export(Path::new("/nonexistent"), ExportFormat::Edn, &ExportOptions::default(), &mut Vec::new()).is_err());
}

const ALL_NAMES: [&str; 7] =
    [":x", "\"a \\\"b\\\"\\n\"", "1/2", "123456789012345678901234567890N", "1.5", "sym", ":a/b"];
const JSON_NAMES: [&str; 3] = ["\"a \\\"b\\\"\\n\"", "\"\"", "-123456789012345678901234567890N"];

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(FAMILIES.to_vec())
}

/// Writes and reads again, as the report says.
fn again(history: &History, format: ExportFormat) -> (String, Imported) {
    let (text, report) = written(history, &[], format).unwrap();
    let options = ImportOptions { independent: Some(report.independent), ..ImportOptions::default() };
    let name = if format == ExportFormat::Edn { "h.edn" } else { "h.jsonl" };
    let imported = import_bytes(Path::new(name), text.as_bytes(), &options);
    (text.clone(), imported.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Without names, what is read again is what was written, to the last integer.
    #[test]
    fn histories_of_integers_come_back(
        family in family(), keyed: bool, steps in steps(), json: bool,
    ) {
        let before = history(family, &Style { keyed, names: &[], json }, &steps, if json { 3 } else { 5 });
        if before.names().is_empty() {
            let (text, after) = again(&before, if json { ExportFormat::JsonLines } else { ExportFormat::Edn });
            prop_assert_eq!(after.history.ops(), before.ops(), "{}", text);
        }
    }

    /// With names their numbers may change, and nothing else: the text of both is the same, and from then on the numbers.
    #[test]
    fn histories_with_names_come_back(family in family(), keyed: bool, steps in steps(), json: bool) {
        let (format, names): (_, &'static [&'static str]) =
            if json { (ExportFormat::JsonLines, &JSON_NAMES) } else { (ExportFormat::Edn, &ALL_NAMES) };
        let before = history(family, &Style { keyed, names, json }, &steps, if json { 3 } else { 5 });
        let (text, after) = again(&before, format);
        prop_assert_eq!(before.len(), after.history.len());
        let (text_after, last) = again(&after.history, format);
        prop_assert_eq!(text, text_after);
        prop_assert_eq!(last.history, after.history);
    }

    /// Sessions, transactions, reads and writes come back from plume text, as far as their outcome is known.
    #[test]
    fn register_transactions_come_back_from_plume_text(steps in steps()) {
        let before = history(Family::RegisterTransactions, &Style { keyed: false, names: &[], json: false }, &steps, 1);
        let known: Vec<_> = before.ops().iter().filter(|op| op.outcome == Outcome::Ok).cloned().collect();
        let before = History::new(known).unwrap();
        let (text, _) = written(&before, &[], ExportFormat::Plume).unwrap();
        let after = import("h.txt", &text).history;
        // Shifts of keys and values are the same again, and then none.
        let (again, report) = written(&after, &[], ExportFormat::Plume).unwrap();
        let sorted = |text: &str| {
            let strip = |line: &str| line.rsplit_once(',').map(|(rest, _)| rest.to_owned());
            let mut sessions: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
            for line in text.lines().filter_map(strip) {
                let session = line.rsplit_once(',').unwrap().1.to_owned();
                sessions.entry(session).or_default().push(line);
            }
            sessions
        };
        prop_assert_eq!(sorted(&again), sorted(&text));
        prop_assert_eq!(report.operations as usize, after.len());
    }
}
