//! Rolling seal: what is sealed while a run goes on and what is sealed at its end make one history, wherever the journal
//! is cut.

mod common;

use common::{Step, copy_dir, fast_dir, new_run, play, steps, told_call};
use fissure_checker::{Call, History};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, Recorder, SegmentLimits};
use fissure_history::rows::{ClockRow, ConnectionKind, ConnectionRow, NameRow, NodeRow};
use fissure_history::{Error, OpsReader, RunDir, read, read_history, recover, seal};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn connection(cookie: u64, closed_ns: Option<i64>) -> ConnectionRow {
    ConnectionRow {
        conn_cookie: Some(cookie),
        process: Some(1),
        node: Some("n1".into()),
        kind: ConnectionKind::Client,
        local_addr: "10.0.0.9".parse().unwrap(),
        remote_addr: "10.0.0.1".parse().unwrap(),
        local_port: 40_000,
        remote_port: 2379,
        opened_ns: Some(cookie.cast_signed()),
        closed_ns,
    }
}

const CONNECTIONS: u64 = 24;

/// Connections that stay open across segments, in an order that must be mended.
fn record_connections(recorder: &Recorder) {
    for cookie in 0..CONNECTIONS {
        recorder.connection(connection(cookie, None)).unwrap();
        if cookie >= 7 && cookie % 5 != 0 {
            recorder.connection(connection(cookie - 7, Some(1_000))).unwrap();
        }
        recorder.clock(ClockRow { t_ns: cookie.cast_signed(), wall_ns: 0 }).unwrap();
        recorder.flush().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_history_is_the_same_wherever_the_journal_is_cut(steps in steps(120), events in 1..40_u64, close: bool) {
        let (_store, run) = new_run();
        let journal = Journal::with_limits(&run, SegmentLimits { events, rows: 3, bytes: 1 << 30 }).unwrap();
        let recorder = journal.recorder();
        let history = std::thread::scope(|scope| {
            // Each flush makes a batch, after which a segment may end.
            let flusher = recorder.clone();
            let flushing = scope.spawn(move || (0..60).for_each(|_| flusher.flush().unwrap()));
            let history = play(&steps, Some(&recorder));
            flushing.join().unwrap();
            history
        });
        record_connections(&recorder);
        let report = if close {
            journal.finish().unwrap();
            seal(&run).unwrap()
        } else {
            drop(journal);
            recover(&run).unwrap().seal
        };
        prop_assert_eq!(report.counts.ops, history.len() as u64);
        prop_assert_eq!(report.counts.ok + report.counts.fail + report.counts.info, report.counts.ops);
        prop_assert_eq!((report.counts.connections, report.counts.clocks), (CONNECTIONS, CONNECTIONS));
        prop_assert_eq!(&read_history(run.path()).unwrap().history, &history);
        let streamed: Vec<_> = OpsReader::open(run.path()).unwrap().map(|row| row.unwrap().op).collect();
        prop_assert_eq!(&streamed[..], history.ops());
        let connections = read::read_connections(run.path()).unwrap();
        prop_assert_eq!(connections.len() as u64, CONNECTIONS);
        for (cookie, row) in (0..).zip(&connections) {
            let closes = cookie + 7 < CONNECTIONS && (cookie + 7) % 5 != 0;
            prop_assert_eq!(row, &connection(cookie, closes.then_some(1_000)));
        }
        let clocks: Vec<i64> = read::read_clocks(run.path()).unwrap().iter().map(|row| row.t_ns).collect();
        prop_assert_eq!(clocks, (0..CONNECTIONS.cast_signed()).collect::<Vec<_>>());
        prop_assert!(!run.journal_dir().exists());
        // Sealing again changes nothing and counts the same.
        let again = seal(&run).unwrap();
        prop_assert_eq!((again.counts, again.open_ops), (report.counts, report.open_ops));
    }
}

/// A run that goes on after it has sealed something; gives what it will have recorded.
fn rolled(recorder: &Recorder, run: &RunDir) -> History {
    let mut runner = TestRunner::deterministic();
    let call = told_call();
    let step = |at: usize| Step {
        slot: at * 7 % 4,
        call: call.new_tree(&mut runner).unwrap().current(),
        outcome: (at % 6) as u8,
        cookie: Some(at as u64),
        named: at.is_multiple_of(2),
    };
    let steps: Vec<Step> = (0..120).map(step).collect();
    recorder.name(NameRow { id: fissure_checker::names::NAMES_FIRST, text: ":x".into() }).unwrap();
    let node = NodeRow { t_ns: 8, node: "n1".into(), event: "kill".into(), detail: None };
    recorder.node(node).unwrap();
    record_connections(recorder);
    let history = std::thread::scope(|scope| {
        let flusher = recorder.clone();
        let flushing = scope.spawn(move || (0..100).for_each(|_| flusher.flush().unwrap()));
        let history = play(&steps, Some(recorder));
        flushing.join().unwrap();
        history
    });
    recorder.flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !run.journal_dir().join("progress.json").exists() {
        assert!(Instant::now() < deadline, "nothing was sealed while the run went on");
        std::thread::sleep(Duration::from_millis(1));
    }
    history
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

/// Reads everything of a sealed run, or only the table that `file` belongs to.
fn read_all(run: &Path, file: Option<&Path>) -> Result<Option<History>, Error> {
    let table = file.filter(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    let table = table.and_then(|file| file.parent()?.file_name()?.to_str());
    let wanted = |name: &str| table.is_none_or(|table| table == name);
    if table.is_none() {
        fissure_history::Manifest::read(run)?;
    }
    if wanted("faults") {
        read::read_faults(run)?;
    }
    if wanted("injections") {
        read::read_injections(run)?;
    }
    if wanted("connections") {
        read::read_connections(run)?;
    }
    if wanted("nodes") {
        read::read_nodes(run)?;
    }
    if wanted("clocks") {
        read::read_clocks(run)?;
    }
    if wanted("names") {
        read::read_names(run)?;
    }
    if wanted("ops") {
        OpsReader::open(run)?.try_for_each(|row| row.map(|_| ()))?;
        return read_history(run).map(|read| Some(read.history));
    }
    Ok(None)
}

#[test]
fn every_byte_of_a_sealed_run_counts_or_does_not_matter() {
    let (_store, run) = new_run();
    let journal = Journal::with_limits(&run, SegmentLimits { events: 30, rows: 30, bytes: 1 << 30 }).unwrap();
    let history = rolled(&journal.recorder(), &run);
    journal.finish().unwrap();
    seal(&run).unwrap();
    let whole = read_all(run.path(), None).unwrap().unwrap();
    assert_eq!(whole.ops(), history.ops());
    let mut all = Vec::new();
    files(run.path(), &mut all);
    let (mut errors, mut harmless) = (0, 0);
    for file in all {
        let good = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= [0x01, 0x20, 0x80][at % 3];
            std::fs::write(&file, &bad).unwrap();
            match read_all(run.path(), Some(&file)) {
                Ok(read) => {
                    assert_eq!(read.as_ref(), Some(&whole), "byte {at} of {name}");
                    // Only blanks and names of members in the two JSON files may not matter.
                    assert!(name.ends_with(".json"), "byte {at} of {name}");
                    harmless += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&name) || name == "checksums.json", "byte {at} of {name}: {text}");
                    errors += 1;
                }
            }
        }
        std::fs::write(&file, &good).unwrap();
    }
    assert!(errors > harmless, "{errors} errors, {harmless} harmless");
    assert_eq!(read_all(run.path(), None).unwrap(), Some(whole));
}

#[test]
fn a_flipped_byte_of_a_run_that_was_being_sealed_is_an_error_or_a_cut_that_is_said() {
    let (_store, run) = new_run();
    let journal = Journal::with_limits(&run, SegmentLimits { events: 30, rows: 30, bytes: 1 << 30 }).unwrap();
    let history = rolled(&journal.recorder(), &run);
    drop(journal);
    let mut all = Vec::new();
    files(run.path(), &mut all);
    assert!(all.iter().any(|file| file.ends_with("progress.json")));
    let (mut errors, mut same, mut cut) = (0, 0, 0);
    for file in &all {
        let good = std::fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for at in (0..good.len()).step_by(if good.len() > 600 { 41 } else { 7 }) {
            let copy = fast_dir();
            copy_dir(run.path(), copy.path());
            let mut bad = good.clone();
            bad[at] ^= [0x01, 0x20, 0x80][at % 3];
            std::fs::write(copy.path().join(file.strip_prefix(run.path()).unwrap()), &bad).unwrap();
            let damaged = RunDir::open(copy.path()).unwrap();
            let sealed = recover(&damaged).and_then(|report| Ok((report, read_history(damaged.path())?.history)));
            match sealed {
                Err(error) => {
                    // A journal and its checksums are told apart by nothing but their extension.
                    let text = error.to_string();
                    let stem = name.trim_end_matches(".sums");
                    assert!(text.contains(stem), "byte {at} of {name}: {text}");
                    errors += 1;
                }
                Ok((report, read)) if report.seal.torn.is_empty() => {
                    assert_eq!(read.ops(), history.ops(), "byte {at} of {name}");
                    same += 1;
                }
                Ok((_, read)) => {
                    let is_prefix = read.ops().iter().zip(history.ops()).all(|(a, b)| {
                        a == b || (a.complete_seq.is_none() && a.invoke_seq == b.invoke_seq && a.process == b.process)
                    });
                    assert!(is_prefix && read.len() <= history.len(), "byte {at} of {name}");
                    cut += 1;
                }
            }
        }
    }
    assert!(errors > same + cut, "{errors} errors, {same} harmless, {cut} cuts");
}

#[test]
fn a_segment_or_a_carry_that_is_missing_is_an_error() {
    let (_store, run) = new_run();
    let journal = Journal::with_limits(&run, SegmentLimits { events: 30, rows: 30, bytes: 1 << 30 }).unwrap();
    rolled(&journal.recorder(), &run);
    drop(journal);
    let mut all = Vec::new();
    files(&run.journal_dir(), &mut all);
    files(&run.file("history.partial"), &mut all);
    let mut errors = 0;
    for file in &all {
        let copy = fast_dir();
        copy_dir(run.path(), copy.path());
        std::fs::remove_file(copy.path().join(file.strip_prefix(run.path()).unwrap())).unwrap();
        let result = recover(&RunDir::open(copy.path()).unwrap());
        let name = file.file_name().unwrap().to_string_lossy();
        if name.starts_with("carry") && name.ends_with(".arrows") || name.ends_with(".parquet") {
            assert!(result.is_err(), "{name}");
        }
        errors += u64::from(result.is_err());
    }
    assert!(errors > 3, "{errors}");
}

#[test]
fn what_cannot_be_sealed_stops_the_run() {
    let (_store, run) = new_run();
    let journal = Journal::with_limits(&run, SegmentLimits { events: 2, rows: 9, bytes: 1 << 30 }).unwrap();
    let recorder = journal.recorder();
    let (phase, call) = (Arc::from("final"), Call::Write { key: 8, value: 1 });
    let (op_id, process, t_ns, conn_cookie) = (7, 1, 0, None);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut seq = 0;
    // The same operation again and again, each time by a process that an `info` had retired.
    let error = loop {
        let node = None;
        let event = InvokeEvent { op_id, process, node, phase: &phase, call: &call, seq, t_ns, conn_cookie };
        if let Err(error) = recorder.invoke(event) {
            break error;
        }
        let completed = Completed::Info { code: "timeout", text: "" };
        let _ = recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns, completed, conn_cookie });
        let _ = recorder.flush();
        seq += 2;
        assert!(Instant::now() < deadline, "the journal goes on");
    };
    assert!(error.to_string().contains("process 1"), "{error}");
    assert!(journal.finish().is_err());
}

#[test]
fn a_journal_of_the_first_version_is_refused() {
    let (_store, run) = new_run();
    std::fs::write(run.journal_dir().join("ops.arrows"), "").unwrap();
    assert!(matches!(seal(&run), Err(Error::OlderJournal { .. })));
}
