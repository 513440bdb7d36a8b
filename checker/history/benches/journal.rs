//! How many operations per second a journal takes, and how fast it is sealed and read back.
//!
//! Prints a table; with `FISSURE_BENCH_JSON` set to a file, appends one JSON object per line to it.

use fissure_checker::{Call, Mop};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, SegmentLimits};
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, Table, read_history, seal};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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

/// Transactions over lists as a generator makes them: ten keys at a time, 32 appends to each, 1 to 4 micro-operations,
/// half of them reads, which see the elements in ascending order.
fn list_append(ops: u64) -> Vec<Call> {
    let (mut next_key, mut state) = (10_i64, 88_172_645_463_325_252_u64);
    let mut keys: Vec<(i64, i64)> = (0..10).map(|key| (key, 0)).collect();
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut mop = |random: &mut dyn FnMut(u64) -> u64| {
        let (key, written) = &mut keys[random(10) as usize];
        if random(2) == 0 {
            return Mop::ReadList { key: *key, list: Some((1..=*written).collect()) };
        }
        *written += 1;
        let mop = Mop::Append { key: *key, value: *written };
        if *written == 32 {
            (*key, *written) = (next_key, 0);
            next_key += 1;
        }
        mop
    };
    (0..ops).map(|_| Call::Txn((0..=random(4)).map(|_| mop(&mut random)).collect())).collect()
}

/// Micro-operations of a call.
fn mops(call: &Call) -> u64 {
    if let Call::Txn(mops) = call { mops.len() as u64 } else { 1 }
}

struct Figures {
    workload: &'static str,
    journal_ops_per_s: f64,
    seal_ops_per_s: f64,
    /// Journaled and sealed, from the first event to the last file.
    both_ops_per_s: f64,
    read_ops_per_s: f64,
    journal_bytes_per_op: f64,
    parquet_bytes_per_op: f64,
    parquet_bytes_per_mop: f64,
    scan_ops_per_s: f64,
}

fn size(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

/// A run of these operations in a store of its own, from its journal's first event to its last.
fn journal(ops: u64, calls: &[Call], limits: SegmentLimits) -> (tempfile::TempDir, RunDir, Journal) {
    let store = tempfile::tempdir().unwrap();
    let run = RunDir::create(store.path(), "bench", 1, UNIX_EPOCH).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, ..Manifest::default() }.write(run.path()).unwrap();
    let journal = Journal::with_limits(&run, limits).unwrap();
    let recorder = journal.recorder();
    let (phase, node): (Arc<str>, Arc<str>) = (Arc::from("faults"), Arc::from("n1"));
    for op_id in 0..ops {
        let call = &calls[(op_id % calls.len() as u64) as usize];
        // Times as a clock gives them: not at regular distances.
        let jitter = (op_id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52).cast_signed();
        let (process, seq, t_ns) = ((op_id % PROCESSES).cast_signed(), op_id * 2, (op_id * 5_000).cast_signed());
        let node = Some(&node);
        let event = InvokeEvent { op_id, process, node, phase: &phase, call, seq, t_ns, conn_cookie: None };
        recorder.invoke(event).unwrap();
        let (completed, conn_cookie) = (Completed::Ok(call), Some(op_id % PROCESSES));
        let t_ns = t_ns + 900 + jitter;
        recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns, completed, conn_cookie }).unwrap();
    }
    recorder.flush().unwrap();
    (store, run, journal)
}

fn measure(workload: &'static str, ops: u64, calls: &[Call]) -> Figures {
    // As a run does it: closed segments are sealed meanwhile, and the rest at the end.
    let started = Instant::now();
    let (store, run, rolled) = journal(ops, calls, SegmentLimits::default());
    rolled.finish().unwrap();
    assert_eq!(seal(&run).unwrap().counts.ops, ops);
    let both_s = started.elapsed().as_secs_f64();
    drop(store);
    // One after the other.
    let started = Instant::now();
    let whole = SegmentLimits { events: u64::MAX, rows: u64::MAX, bytes: u64::MAX };
    let (_store, run, journal) = journal(ops, calls, whole);
    let journal_s = started.elapsed().as_secs_f64();
    journal.finish().unwrap();
    let journal_bytes = size(&run.journal_dir());
    let started = Instant::now();
    assert_eq!(seal(&run).unwrap().counts.ops, ops);
    let seal_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    assert_eq!(read_history(run.path()).unwrap().history.len() as u64, ops);
    let read_s = started.elapsed().as_secs_f64();
    let scan_s = scan(&run, ops);
    let per_op = |bytes: u64| bytes as f64 / ops as f64;
    let mops: u64 = (0..ops).map(|op| mops(&calls[(op % calls.len() as u64) as usize])).sum();
    Figures {
        workload,
        journal_ops_per_s: ops as f64 / journal_s,
        seal_ops_per_s: ops as f64 / seal_s,
        both_ops_per_s: ops as f64 / both_s,
        read_ops_per_s: ops as f64 / read_s,
        journal_bytes_per_op: per_op(journal_bytes),
        parquet_bytes_per_op: per_op(size(&run.history_dir())),
        parquet_bytes_per_mop: size(&run.history_dir()) as f64 / mops as f64,
        scan_ops_per_s: ops as f64 / scan_s,
    }
}

/// Seconds to read three columns of all operations with the Parquet library, the parts side by side on two threads.
fn scan(run: &RunDir, ops: u64) -> f64 {
    let files = fissure_history::read::table_files(run.path(), Table::Ops).unwrap();
    let one = |file: &std::path::PathBuf| -> u64 {
        let file = std::fs::File::open(file).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let names = ["outcome", "invoke_ns", "complete_ns"];
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        let reader = builder.with_projection(mask).with_batch_size(16 * 1024).build().unwrap();
        reader.map(|batch| batch.unwrap().num_rows() as u64).sum()
    };
    let started = Instant::now();
    let (left, right) = files.split_at(files.len() / 2);
    let rows: u64 = std::thread::scope(|scope| {
        let other = scope.spawn(|| right.iter().map(one).sum::<u64>());
        left.iter().map(one).sum::<u64>() + other.join().unwrap()
    });
    assert_eq!(rows, ops);
    started.elapsed().as_secs_f64()
}

fn main() {
    let registers: Vec<Call> = (0..10_000).map(register).collect();
    let all = [measure("register", OPS, &registers), measure("list-append", OPS / 2, &list_append(OPS / 2))];
    println!(
        "{:<12} {:>14} {:>14} {:>14} {:>14} {:>14} {:>14} {:>14} {:>14}",
        "workload",
        "journal op/s",
        "seal op/s",
        "both op/s",
        "read op/s",
        "scan op/s",
        "journal B/op",
        "Parquet B/op",
        "Parquet B/mop"
    );
    for figures in &all {
        println!(
            "{:<12} {:>14.0} {:>14.0} {:>14.0} {:>14.0} {:>14.0} {:>14.1} {:>14.1} {:>14.2}",
            figures.workload,
            figures.journal_ops_per_s,
            figures.seal_ops_per_s,
            figures.both_ops_per_s,
            figures.read_ops_per_s,
            figures.scan_ops_per_s,
            figures.journal_bytes_per_op,
            figures.parquet_bytes_per_op,
            figures.parquet_bytes_per_mop
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
                "both_ops_per_s": figures.both_ops_per_s,
                "read_ops_per_s": figures.read_ops_per_s,
                "journal_bytes_per_op": figures.journal_bytes_per_op,
                "parquet_bytes_per_op": figures.parquet_bytes_per_op,
                "parquet_bytes_per_mop": figures.parquet_bytes_per_mop,
                "scan_ops_per_s": figures.scan_ops_per_s,
            });
            writeln!(file, "{object}").unwrap();
        }
    }
}
