//! How many operations per second are imported from EDN to sealed Parquet, and with how much memory.
//!
//! The history is list-append as the field's tools print it: 20 clients, ten keys at a time with 32 appends each, one to
//! four micro-operations a transaction, 1 % `info` and 1 % `fail`. Prints a table; with `FISSURE_BENCH_JSON` set to a
//! file, appends one JSON object to it. `FISSURE_BENCH_OPS` sets the number of transactions; `FISSURE_BENCH_FILE` names a
//! file that is imported in their place, or written first if it is not there.

use fissure_history::import::{ImportOptions, import_to};
use fissure_history::writer::HistoryWriter;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const OPS: u64 = 1_000_000;
const CLIENTS: usize = 20;
const KEYS: u64 = 10;
const APPENDS_PER_KEY: usize = 32;

/// A small generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A micro-operation that was asked for: the key, and the element if it is an append.
type Asked = (u64, Option<usize>);

/// The store, and what clients do to it.
struct Simulation {
    random: Random,
    lists: BTreeMap<u64, Vec<usize>>,
    /// Elements handed out for each active key.
    active: Vec<(u64, usize)>,
    next_key: u64,
    clients: Vec<(u64, Option<Vec<Asked>>)>,
    next_process: u64,
    index: u64,
    time_ns: u64,
}

impl Simulation {
    fn new() -> Self {
        Self {
            random: Random(0x9e37_79b9_7f4a_7c15),
            lists: BTreeMap::new(),
            active: (0..KEYS).map(|key| (key, 0)).collect(),
            next_key: KEYS,
            clients: (0..CLIENTS as u64).map(|process| (process, None)).collect(),
            next_process: CLIENTS as u64,
            index: 0,
            time_ns: 10_000_000_000,
        }
    }

    fn ask(&mut self) -> Vec<Asked> {
        (0..=self.random.below(4))
            .map(|_| {
                let place = self.random.below(KEYS) as usize;
                let (key, appends) = &mut self.active[place];
                let asked = (*key, (self.random.below(2) == 0).then_some(*appends + 1));
                if asked.1.is_some() {
                    *appends += 1;
                    if *appends == APPENDS_PER_KEY {
                        self.active[place] = (self.next_key, 0);
                        self.next_key += 1;
                    }
                }
                asked
            })
            .collect()
    }

    /// One event as a line; true if it is an invocation.
    fn event(&mut self, line: &mut String) -> bool {
        let client = self.random.below(CLIENTS as u64) as usize;
        self.time_ns += 1_000 + self.random.below(20_000);
        let (process, asked) = self.clients[client].clone();
        let fate = self.random.below(100);
        let kind = match (&asked, fate) {
            (None, _) => "invoke",
            (Some(_), 0) => "info",
            (Some(_), 1) => "fail",
            (Some(_), _) => "ok",
        };
        let mops = asked.clone().unwrap_or_else(|| self.ask());
        let (index, time) = (self.index, self.time_ns);
        let _ = write!(line, "{{:index {index}, :time {time}, :type :{kind}, :process {process}, :f :txn, :value [");
        for (at, (key, append)) in mops.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            let list = self.lists.entry(*key).or_default();
            match append {
                Some(value) => {
                    let _ = write!(line, "{space}[:append {key} {value}]");
                    if kind == "ok" {
                        list.push(*value);
                    }
                }
                None if kind == "ok" => {
                    let texts: Vec<String> = list.iter().map(usize::to_string).collect();
                    let _ = write!(line, "{space}[:r {key} [{}]]", texts.join(" "));
                }
                None => {
                    let _ = write!(line, "{space}[:r {key} nil]");
                }
            }
        }
        line.push_str("]}\n");
        self.index += 1;
        self.clients[client].1 = if kind == "invoke" { Some(mops) } else { None };
        if kind == "info" {
            self.clients[client].0 = self.next_process;
            self.next_process += 1;
        }
        kind == "invoke"
    }
}

fn generate(path: &Path, ops: u64) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let (mut simulation, mut line, mut invoked) = (Simulation::new(), String::new(), 0);
    while invoked < ops {
        line.clear();
        invoked += u64::from(simulation.event(&mut line));
        out.write_all(line.as_bytes()).unwrap();
    }
    out.flush().unwrap();
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

/// Seconds of processor time that this process has used, in clock ticks of a hundredth.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The most memory that this process has had, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let ops = std::env::var("FISSURE_BENCH_OPS").ok().and_then(|ops| ops.parse().ok()).unwrap_or(OPS);
    let dir = tempfile::tempdir().unwrap();
    let edn = std::env::var_os("FISSURE_BENCH_FILE").map_or_else(|| dir.path().join("history.edn"), PathBuf::from);
    if !edn.exists() {
        generate(&edn, ops);
    }
    let edn_bytes = std::fs::metadata(&edn).unwrap().len();
    let (started, cpu) = (Instant::now(), cpu_s());
    let out = dir.path().join("imported");
    let mut writer = HistoryWriter::create(&out).unwrap();
    let report = import_to(&edn, &ImportOptions::default(), &mut writer).unwrap();
    writer.finish().unwrap();
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_s() - cpu);
    let ops = report.ops;
    let (rate, per_op) = (ops as f64 / seconds, edn_bytes as f64 / ops as f64);
    let (parquet_per_op, peak) = (size(&out) as f64 / ops as f64, peak_mib());
    println!(
        "{:<12} {:>10} {:>12} {:>8} {:>8} {:>10} {:>14} {:>10}",
        "workload", "ops", "import op/s", "s", "CPU s", "EDN B/op", "Parquet B/op", "peak MiB"
    );
    println!(
        "{:<12} {ops:>10} {rate:>12.0} {seconds:>8.2} {cpu:>8.2} {per_op:>10.1} {parquet_per_op:>14.1} {peak:>10.0}",
        "list-append"
    );
    if let Some(path) = std::env::var_os("FISSURE_BENCH_JSON") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        let object = serde_json::json!({
            "bench": "import",
            "workload": "list-append",
            "ops": ops,
            "import_ops_per_s": rate,
            "cpu_s": cpu,
            "edn_bytes_per_op": per_op,
            "parquet_bytes_per_op": parquet_per_op,
            "peak_mib": peak,
        });
        writeln!(file, "{object}").unwrap();
    }
}
