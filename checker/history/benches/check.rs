//! How long it takes from sealed Parquet to a verdict, and how much memory.
//!
//! `cargo bench -p fissure-history --bench check`. One row for each size of `FISSURE_BENCH_TXNS` (numbers with commas
//! between them; 10 000, 100 000 and 1 000 000 by default): list-append, 10 clients, 1 to 4 micro-operations, strictly
//! serializable. Seconds are of wall time, CPU seconds those of the whole process, during the check alone; the peak of
//! the resident set is reset before it where the kernel allows it. With `FISSURE_BENCH_JSON=FILE` one JSON line per row
//! is appended; with `FISSURE_BENCH_DIR` the histories are kept there, and not made again; `FISSURE_BENCH_MEMORY_MB` is the
//! memory that the check may use.

use fissure_checker::list_append::Options;
use fissure_checker::synthetic::{Spec, Stream};
use fissure_history::check::{Checked, Memory, list_append};
use fissure_history::{HistoryWriter, synthetic};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

const SEED: u64 = 42;

fn main() {
    let wanted = std::env::var("FISSURE_BENCH_TXNS").unwrap_or_else(|_| "10000,100000,1000000".to_owned());
    let sizes: Vec<u64> = wanted.split(',').map(|size| size.replace('_', "").parse().expect("a number")).collect();
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let kept = std::env::var_os("FISSURE_BENCH_DIR");
    let dir = kept.as_ref().map_or(scratch.path(), |dir| Path::new(dir));
    println!("{:>12} {:>9} {:>9} {:>9} {:>9}  answer", "txns", "MB", "seconds", "cpu s", "peak MB");
    for txns in sizes {
        let run = dir.join(format!("list-append-{txns}"));
        if !run.exists() {
            write(&run, txns);
        }
        measure(&run, txns);
    }
}

fn write(run: &Path, ops: u64) {
    let spec = Spec { ops, seed: SEED, ..Spec::default() };
    std::fs::create_dir_all(run).expect("a folder");
    let mut writer = HistoryWriter::create(run).expect("a writer");
    synthetic::write(Stream::new(&spec).expect("a stream"), &mut writer, |_| {}).expect("written");
    writer.finish().expect("sealed");
}

fn measure(run: &Path, txns: u64) {
    // Not allowed everywhere; the peak then includes what came before.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (started, cpu) = (Instant::now(), cpu_s());
    let memory = std::env::var("FISSURE_BENCH_MEMORY_MB").ok().map(|mb| mb.parse::<u64>().expect("a number") << 20);
    let memory = Memory { bytes_max: memory, spill_dir: None };
    let Ok(Checked::Judged(result)) = list_append(run, None, &Options::default(), &memory) else {
        panic!("not judged")
    };
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_s() - cpu);
    let (peak, size) = (status_mb("VmHWM:"), bytes(run) / 1_000_000);
    let answer = result.verdict.validity.name();
    println!("{txns:>12} {size:>9} {seconds:>9.3} {cpu:>9.2} {peak:>9}  {answer}");
    if let Some(path) = std::env::var_os("FISSURE_BENCH_JSON") {
        let line = format!(
            "{{\"bench\":\"check\",\"history\":\"list-append\",\"txns\":{txns},\"seed\":{SEED},\"file_mb\":{size},\
             \"seconds\":{seconds:.4},\"cpu_s\":{cpu:.2},\"peak_mb\":{peak},\"answer\":\"{answer}\"}}"
        );
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the JSON file");
    }
}

fn bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) })
        .sum()
}

fn status_mb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1000
}

fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}
