//! Time and memory of the rw-register checker on synthetic histories.
//!
//! `cargo bench -p fissure-checker --bench rw_register [-- FILTER]` prints a table; with `FISSURE_BENCH_JSON=FILE` it
//! appends one JSON line per row. Seconds are of wall time, CPU seconds those of the whole process, during the check
//! alone. The peak of the resident set is the process's, reset before each check where the kernel allows it; it
//! includes the history, whose share is printed beside it.
//!
//! Histories: 10 clients (or as many as the name says) of a store at the level that the name says (else strictly serializable), 32 writes a key, 10
//! keys at a time, 1 to 4 micro-operations, 1 % info, 1 % fail. `keys` assumes linearizable and sequential keys, `stale`
//! has one stale read; `weak` asks a strictly serializable store for a weak level.

use fissure_checker::History;
use fissure_checker::consistency::Model;
use fissure_checker::rw_register::{Options, check};
use fissure_checker::synthetic::{Level, Spec, Stream, Workload};
use std::io::Write as _;
use std::time::Instant;

struct Shape {
    name: &'static str,
    ops: u64,
    level: Level,
    model: &'static str,
    keys: bool,
    stale: bool,
    clients: u32,
}

const SEED: u64 = 42;

fn shapes() -> Vec<Shape> {
    let strict = "strict-serializable";
    let shape = |name, ops, level, model| Shape { name, ops, level, model, keys: false, stale: false, clients: 10 };
    vec![
        shape("strict-10k", 10_000, Level::StrictSerializable, strict),
        shape("strict-100k", 100_000, Level::StrictSerializable, strict),
        shape("strict-1M", 1_000_000, Level::StrictSerializable, strict),
        Shape { clients: 20, ..shape("strict-20-clients-1M", 1_000_000, Level::StrictSerializable, strict) },
        Shape { clients: 50, ..shape("strict-50-clients-1M", 1_000_000, Level::StrictSerializable, strict) },
        Shape { keys: true, ..shape("strict-keys-1M", 1_000_000, Level::StrictSerializable, strict) },
        Shape { stale: true, ..shape("strict-stale-100k", 100_000, Level::StrictSerializable, strict) },
        Shape { stale: true, ..shape("strict-stale-1M", 1_000_000, Level::StrictSerializable, strict) },
        shape("weak-committed-1M", 1_000_000, Level::StrictSerializable, "read-committed"),
        shape("weak-atomic-1M", 1_000_000, Level::StrictSerializable, "read-atomic"),
        shape("weak-causal-1M", 1_000_000, Level::StrictSerializable, "causal"),
        shape("session-10k", 10_000, Level::StrongSessionSerializable, "strong-session-serializable"),
        shape("serializable-10k", 10_000, Level::Serializable, "serializable"),
        shape("snapshot-10k", 10_000, Level::StrongSnapshotIsolation, "strong-snapshot-isolation"),
        shape("committed-1M", 1_000_000, Level::ReadCommitted, "read-committed"),
        shape("atomic-1M", 1_000_000, Level::ReadAtomic, "read-atomic"),
        shape("causal-1M", 1_000_000, Level::Causal, "causal-cerone"),
    ]
}

fn generate(shape: &Shape) -> History {
    let plants = if shape.stale { vec!["stale-read:1000".parse().expect("a plant")] } else { Vec::new() };
    let spec = Spec {
        workload: Workload::RwRegister,
        level: shape.level,
        ops: shape.ops,
        seed: SEED,
        concurrency: shape.clients,
        plants,
        ..Spec::default()
    };
    let operations = Stream::new(&spec).expect("a specification that makes sense").operations();
    History::new(operations.collect()).expect("a synthetic history keeps the invariants")
}

/// A line of /proc/self/status, in bytes.
fn status_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// User and system time of this process, in seconds, at the usual 100 ticks a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    let mut json = std::env::var_os("FISSURE_BENCH_JSON").map(|path| {
        std::fs::OpenOptions::new().create(true).append(true).open(path).expect("FISSURE_BENCH_JSON can be written")
    });
    println!(
        "{:<20} {:>9} {:>9} {:>9} {:>12} {:>12}  answer",
        "history", "ops", "seconds", "cpu s", "history MB", "peak MB"
    );
    for shape in shapes().iter().filter(|shape| shape.name.contains(&filter)) {
        let history = generate(shape);
        let options = Options {
            model: Model::parse(shape.model).expect("a model"),
            linearizable_keys: shape.keys,
            sequential_keys: shape.keys,
            ..Options::default()
        };
        let held = status_bytes("VmRSS");
        // Resets the peak to what is resident now; where that is not allowed the peak is the process's so far.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (started, cpu_started) = (Instant::now(), cpu_seconds());
        let result = check(&history, &options);
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_started);
        let peak = status_bytes("VmHWM");
        let valid = result.verdict.validity.name();
        println!(
            "{:<20} {:>9} {seconds:>9.3} {cpu:>9.2} {:>12} {:>12}  {valid}: {}",
            shape.name,
            history.len(),
            held >> 20,
            peak >> 20,
            result.evidence,
        );
        if let Some(json) = &mut json {
            writeln!(
                json,
                "{{\"bench\":\"rw_register\",\"name\":\"{}\",\"ops\":{},\"seed\":{SEED},\"seconds\":{seconds:.4},\"cpu_seconds\":{cpu:.2},\"history_bytes\":{held},\"peak_rss_bytes\":{peak},\"valid\":\"{valid}\"}}",
                shape.name,
                history.len(),
            )
            .expect("FISSURE_BENCH_JSON can be written");
        }
    }
}
