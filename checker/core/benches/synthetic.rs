//! How fast synthetic histories are made.
//!
//! `cargo bench -p fissure-checker --bench synthetic [-- FILTER]` prints a table; with `FISSURE_BENCH_JSON=FILE` it
//! appends one JSON line per row. One thread; events are made and dropped. Rates are by CPU seconds, so that they hold on a
//! machine with other things to do. The peak of the resident set does not grow with the number of operations.

use fissure_checker::synthetic::{Level, Spec, Stream, Workload};
use fissure_checker::{Call, Mop};
use std::io::Write as _;
use std::time::Instant;

const OPS: u64 = 4_000_000;

fn rows() -> Vec<(String, Spec)> {
    let spec = Spec { ops: OPS, seed: 42, ..Spec::default() };
    let mut rows = vec![
        ("list-append".to_owned(), spec.clone()),
        ("list-append-1000-keys".to_owned(), Spec { keys: 1_000, ..spec.clone() }),
        ("list-append-1000-clients".to_owned(), Spec { concurrency: 1_000, ..spec.clone() }),
    ];
    for level in [Level::SnapshotIsolation, Level::ParallelSnapshotIsolation, Level::ReadUncommitted] {
        rows.push((format!("list-append-{level}"), Spec { level, ..spec.clone() }));
    }
    for workload in Workload::ALL.into_iter().filter(|workload| *workload != Workload::ListAppend) {
        rows.push((workload.name().to_owned(), Spec { workload, ops: OPS / 4, ..spec.clone() }));
    }
    rows
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!(
        "{:<44} {:>10} {:>8} {:>8} {:>12} {:>8} {:>9}",
        "history", "ops", "seconds", "cpu s", "ops/cpu s", "mops/op", "peak MiB"
    );
    for (name, spec) in rows().into_iter().filter(|(name, _)| name.contains(&filter)) {
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        let (mut events, mut mops) = (0_u64, 0_u64);
        match Stream::new(&spec) {
            Ok(stream) => stream.for_each(|event| {
                events += 1;
                mops += if let Call::Txn(mops) = &event.call { count(mops) } else { 1 };
            }),
            Err(error) => println!("{name}: {error}"),
        }
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - cpu_start;
        let rate = spec.ops as f64 / cpu.max(0.01);
        let per_op = mops as f64 / events.max(1) as f64;
        println!(
            "{name:<44} {:>10} {seconds:>8.2} {cpu:>8.2} {rate:>12.0} {per_op:>8.2} {:>9.1}",
            spec.ops,
            resident_mib()
        );
        record(&name, spec.ops, seconds, cpu);
    }
}

fn count(mops: &[Mop]) -> u64 {
    mops.len() as u64
}

/// User and system time of this process, in seconds, at the usual 100 ticks a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// Peak of the resident set, MiB; 0 where the system does not say.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn record(name: &str, ops: u64, seconds: f64, cpu: f64) {
    let Ok(path) = std::env::var("FISSURE_BENCH_JSON") else { return };
    let line = format!(
        "{{\"bench\":\"synthetic\",\"name\":\"{name}\",\"ops\":{ops},\"seconds\":{seconds:.4},\"cpu_seconds\":{cpu:.2}}}\n"
    );
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        println!("cannot record: {error}");
    }
}
