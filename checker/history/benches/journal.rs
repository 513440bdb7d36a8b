//! How many operations per second a journal takes, and how fast it is sealed and read back.
//!
//! Prints a table; with `FISSURE_BENCH_JSON` set to a file, appends one JSON object per line to it.

use fissure_checker::{Call, Mop};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal};
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, read_history, seal};
use std::io::Write;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

const OPS: u64 = 2_000_000;
const PROCESSES: u64 = 64;

fn register(op: u64) -> Call {
    let (key, value) = ((op % 1_000).cast_signed(), op.cast_signed());
    match op % 3 {
        0 => Call::Read { key, value: Some(Some(value)) },
        1 => Call::Write { key, value },
        _ => Call::Cas { key, expected: value, value: value + 1 },
    }
}

fn list_append(op: u64) -> Call {
    let key = (op % 100).cast_signed();
    let list = (0..(op % 16).cast_signed()).collect();
    Call::Txn(vec![Mop::Append { key, value: op.cast_signed() }, Mop::ReadList { key, list: Some(list) }])
}

struct Figures {
    workload: &'static str,
    journal_ops_per_s: f64,
    seal_ops_per_s: f64,
    read_ops_per_s: f64,
    journal_bytes_per_op: f64,
    parquet_bytes_per_op: f64,
}

fn size(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

fn measure(workload: &'static str, ops: u64, call: impl Fn(u64) -> Call) -> Figures {
    // The calls are made before the clock starts: a run has them from its generator.
    let calls: Vec<Call> = (0..10_000).map(call).collect();
    let store = tempfile::tempdir().unwrap();
    let run = RunDir::create(store.path(), "bench", 1, UNIX_EPOCH).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, ..Manifest::default() }.write(run.path()).unwrap();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let (phase, node): (Arc<str>, Arc<str>) = (Arc::from("faults"), Arc::from("n1"));
    let started = Instant::now();
    for op_id in 0..ops {
        let call = &calls[(op_id % 10_000) as usize];
        let (process, seq, t_ns) = ((op_id % PROCESSES).cast_signed(), op_id * 2, (op_id * 3_000).cast_signed());
        let node = Some(&node);
        let event = InvokeEvent { op_id, process, node, phase: &phase, call, seq, t_ns, conn_cookie: None };
        recorder.invoke(event).unwrap();
        let (completed, conn_cookie) = (Completed::Ok(call), Some(op_id % PROCESSES));
        let t_ns = t_ns + 1_000;
        recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns, completed, conn_cookie }).unwrap();
    }
    recorder.flush().unwrap();
    let journal_s = started.elapsed().as_secs_f64();
    journal.finish().unwrap();
    let journal_bytes = size(&run.journal_dir());
    let started = Instant::now();
    assert_eq!(seal(&run).unwrap().counts.ops, ops);
    let seal_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    assert_eq!(read_history(run.path()).unwrap().history.len() as u64, ops);
    let read_s = started.elapsed().as_secs_f64();
    let per_op = |bytes: u64| bytes as f64 / ops as f64;
    Figures {
        workload,
        journal_ops_per_s: ops as f64 / journal_s,
        seal_ops_per_s: ops as f64 / seal_s,
        read_ops_per_s: ops as f64 / read_s,
        journal_bytes_per_op: per_op(journal_bytes),
        parquet_bytes_per_op: per_op(size(&run.history_dir())),
    }
}

fn main() {
    let all = [measure("register", OPS, register), measure("list-append", OPS / 4, list_append)];
    println!(
        "{:<12} {:>14} {:>14} {:>14} {:>14} {:>14}",
        "workload", "journal op/s", "seal op/s", "read op/s", "journal B/op", "Parquet B/op"
    );
    for figures in &all {
        println!(
            "{:<12} {:>14.0} {:>14.0} {:>14.0} {:>14.1} {:>14.1}",
            figures.workload,
            figures.journal_ops_per_s,
            figures.seal_ops_per_s,
            figures.read_ops_per_s,
            figures.journal_bytes_per_op,
            figures.parquet_bytes_per_op
        );
    }
    if let Some(path) = std::env::var_os("FISSURE_BENCH_JSON") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        for figures in &all {
            let object = serde_json::json!({
                "bench": "journal",
                "workload": figures.workload,
                "journal_ops_per_s": figures.journal_ops_per_s,
                "seal_ops_per_s": figures.seal_ops_per_s,
                "read_ops_per_s": figures.read_ops_per_s,
                "journal_bytes_per_op": figures.journal_bytes_per_op,
                "parquet_bytes_per_op": figures.parquet_bytes_per_op,
            });
            writeln!(file, "{object}").unwrap();
        }
    }
}
