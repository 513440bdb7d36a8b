//! How long it takes from sealed Parquet to a verdict, and how much memory.
//!
//! `cargo bench -p fissure-history --bench check`. One row for each size of `FISSURE_BENCH_TXNS` (numbers with commas
//! between them; 10 000, 100 000 and 1 000 000 by default) and each shape of `FISSURE_BENCH_SHAPES` (`list-append` and
//! `rw-register` by default; `read-committed`, `read-atomic`, `causal`, `prefix`, `parallel` and `snapshot` are registers of a store at that level, and with
//! `healthy-` before it of a strictly serializable store that is asked for that level): 10 clients, 1 to 4
//! micro-operations, strictly serializable where the shape does not say otherwise. With `uniform-` before it 20 clients do
//! 10 micro-operations in each transaction, on half as many keys as there are transactions, chosen evenly: what AWDIT was
//! measured with. Seconds are of wall time, CPU seconds those of the whole process, during the check alone; the peak of the
//! resident set is reset before it where the kernel allows it. With `FISSURE_BENCH_JSON=FILE` one JSON line per row is
//! appended; with `FISSURE_BENCH_DIR` the histories are kept there, and not made again; `FISSURE_BENCH_MEMORY_MB` is the
//! memory that the check may use. `FISSURE_BENCH_FORMAT=edn` measures from Jepsen's EDN to the verdict instead.

use fissure_checker::consistency::Model;
use fissure_checker::synthetic::{KEYS_MAX, Level, Spec, Stream, Workload};
use fissure_checker::{CheckResult, list_append, rw_register};
use fissure_history::check::{Checked, Memory, Options, transactions};
use fissure_history::export::{ExportFormat, ExportOptions, export};
use fissure_history::import::import_file;
use fissure_history::{HistoryWriter, synthetic};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SEED: u64 = 42;

/// What is generated, and what is asked.
struct Shape {
    name: &'static str,
    workload: Workload,
    level: Level,
    model: &'static str,
    /// Long transactions on many keys that are chosen evenly.
    is_uniform: bool,
}

const SHAPES: [Shape; 14] = {
    const fn shape(name: &'static str, workload: Workload, level: Level, model: &'static str) -> Shape {
        Shape { name, workload, level, model, is_uniform: false }
    }
    const fn uniform(name: &'static str, model: &'static str) -> Shape {
        Shape { is_uniform: true, ..shape(name, Workload::RwRegister, Level::StrictSerializable, model) }
    }
    [
        shape("list-append", Workload::ListAppend, Level::StrictSerializable, "strict-serializable"),
        shape("rw-register", Workload::RwRegister, Level::StrictSerializable, "strict-serializable"),
        shape("read-committed", Workload::RwRegister, Level::ReadCommitted, "read-committed"),
        shape("read-atomic", Workload::RwRegister, Level::ReadAtomic, "read-atomic"),
        shape("causal", Workload::RwRegister, Level::Causal, "causal-cerone"),
        shape("prefix", Workload::RwRegister, Level::Prefix, "prefix"),
        shape("parallel", Workload::RwRegister, Level::ParallelSnapshotIsolation, "parallel-snapshot-isolation"),
        shape("snapshot", Workload::RwRegister, Level::SnapshotIsolation, "snapshot-isolation"),
        shape("healthy-committed", Workload::RwRegister, Level::StrictSerializable, "read-committed"),
        shape("healthy-atomic", Workload::RwRegister, Level::StrictSerializable, "read-atomic"),
        shape("healthy-causal", Workload::RwRegister, Level::StrictSerializable, "causal"),
        uniform("uniform-committed", "read-committed"),
        uniform("uniform-atomic", "read-atomic"),
        uniform("uniform-causal", "causal"),
    ]
};

fn main() {
    let wanted = std::env::var("FISSURE_BENCH_TXNS").unwrap_or_else(|_| "10000,100000,1000000".to_owned());
    let sizes: Vec<u64> = wanted.split(',').map(|size| size.replace('_', "").parse().expect("a number")).collect();
    let shapes = std::env::var("FISSURE_BENCH_SHAPES").unwrap_or_else(|_| "list-append,rw-register".to_owned());
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let kept = std::env::var_os("FISSURE_BENCH_DIR");
    let dir = kept.as_ref().map_or(scratch.path(), |dir| Path::new(dir));
    println!("{:<16} {:>12} {:>9} {:>9} {:>9} {:>9}  answer", "history", "txns", "MB", "seconds", "cpu s", "peak MB");
    for name in shapes.split(',') {
        let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
        for txns in &sizes {
            let run = dir.join(format!("{name}-{txns}"));
            if !run.exists() {
                write(&run, shape, *txns);
            }
            measure(&run, shape, *txns);
        }
    }
}

fn write(run: &Path, shape: &Shape, ops: u64) {
    let mut spec =
        Spec { ops, workload: shape.workload, level: shape.level, seed: SEED, concurrency: 10, ..Spec::default() };
    if shape.is_uniform {
        let keys = (ops / 2).clamp(1, u64::from(KEYS_MAX)) as u32;
        spec = Spec { concurrency: 20, txn_min: 10, txn_max: 10, keys, writes_per_key: 1 << 30, ..spec };
    }
    std::fs::create_dir_all(run).expect("a folder");
    let mut writer = HistoryWriter::create(run).expect("a writer");
    synthetic::write(Stream::new(&spec).expect("a stream"), &mut writer, |_| {}).expect("written");
    writer.finish().expect("sealed");
}

fn measure(run: &Path, shape: &Shape, txns: u64) {
    let model = Model::parse(shape.model).expect("a model");
    let options = Options {
        lists: Some(list_append::Options { model, ..Default::default() }),
        registers: Some(rw_register::Options { model, ..Default::default() }),
        ..Options::default()
    };
    let edn = std::env::var("FISSURE_BENCH_FORMAT").is_ok_and(|format| format == "edn").then(|| exported(run));
    let memory = std::env::var("FISSURE_BENCH_MEMORY_MB").ok().map(|mb| mb.parse::<u64>().expect("a number") << 20);
    let memory = Memory { bytes_max: memory, spill_dir: None };
    // Not allowed everywhere; the peak then includes what came before.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (started, cpu) = (Instant::now(), cpu_s());
    let result = match &edn {
        Some(file) => imported(file, shape, &options),
        None => match transactions(run, None, &options, &memory) {
            Ok(Checked::Judged(result)) => *result,
            other => panic!("not judged: {other:?}"),
        },
    };
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_s() - cpu);
    let size = edn.map_or_else(|| bytes(run), |file| file.metadata().map_or(0, |file| file.len())) / 1_000_000;
    let (peak, answer) = (status_mb("VmHWM:"), result.verdict.validity.name());
    let name = shape.name;
    println!("{name:<16} {txns:>12} {size:>9} {seconds:>9.3} {cpu:>9.2} {peak:>9}  {answer}");
    if let Some(path) = std::env::var_os("FISSURE_BENCH_JSON") {
        let line = format!(
            "{{\"bench\":\"check\",\"history\":\"{name}\",\"txns\":{txns},\"seed\":{SEED},\"file_mb\":{size},\
             \"seconds\":{seconds:.4},\"cpu_s\":{cpu:.2},\"peak_mb\":{peak},\"answer\":\"{answer}\"}}"
        );
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the JSON file");
    }
}

/// The history as EDN, beside the run.
fn exported(run: &Path) -> PathBuf {
    let path = run.with_extension("edn");
    if !path.exists() {
        let mut out = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
        export(run, ExportFormat::Edn, &ExportOptions::default(), &mut out).expect("exported");
        out.flush().expect("written");
    }
    path
}

fn imported(file: &Path, shape: &Shape, options: &Options) -> CheckResult {
    let history = import_file(file).expect("imported").history;
    match (shape.workload, &options.lists, &options.registers) {
        (Workload::ListAppend, Some(options), _) => list_append::check(&history, options),
        (_, _, Some(options)) => rw_register::check(&history, options),
        _ => panic!("nothing is asked"),
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
