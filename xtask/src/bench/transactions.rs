//! `cargo xtask bench transactions`: whole runs of the binary over synthetic histories.
//!
//! Every input is made by `fissure gen` from a seed, judged by `fissure check --json` in a process of its own for each case,
//! and removed. Time is that of the process from start to end, memory the most that it ever had resident, as the kernel
//! counts it (VmHWM, looked at every few milliseconds). The table, which says of each history which level its store kept, is
//! printed; the same with the machine goes to `transactions.json`, and time and memory over the size to `transactions.svg`.
//!
//! `FISSURE_BENCH_TXNS=10000,1000000,100000000` names the sizes, `FISSURE_BENCH_BINARY` a binary to measure in place of the
//! one that is built.

use super::plot::{self, Line};
use crate::{process, repo::Repo};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const SEED: u64 = 1;
/// What the store keeps where nothing else is asked for.
const STRICT: &str = "strict-serializable";
/// Transactions, unless named otherwise.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Transactions where something else than the size varies, at most.
const BASE_MAX: u64 = 1_000_000;
/// Transactions of an input that is judged in memory or is text, at most: larger ones would be about the machine's memory
/// and disk.
const IN_MEMORY_MAX: u64 = 10_000_000;
/// Pause between two looks at the memory of a process.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A history, and what is asked about it.
struct Input {
    name: String,
    txns: u64,
    /// The level that the store keeps.
    store: &'static str,
    /// Flags of `gen` besides the size, the store, the seed and the file.
    made: Vec<String>,
    /// `parquet` or `edn`.
    format: &'static str,
    cases: Vec<Case>,
}

/// One measurement.
struct Case {
    name: String,
    /// Flags of `check` besides the file.
    flags: Vec<String>,
}

/// What was measured.
struct Row {
    case: String,
    input: String,
    store: &'static str,
    txns: u64,
    seconds: f64,
    peak_bytes: u64,
    verdict: String,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn case(name: impl Into<String>, flags: &str) -> Case {
    Case { name: name.into(), flags: words(flags) }
}

/// Runs everything.
pub(super) fn run(repo: &Repo, machine: &str, results: &Path) -> Result<()> {
    let binary = binary(repo)?;
    let sizes = sizes(std::env::var("FISSURE_BENCH_TXNS").ok().as_deref())?;
    let folder = results.join("transactions");
    fs::create_dir_all(&folder)?;
    println!("{:<34} {:<19} {:>11}  {:>9}  {:>9}  {:>11}  verdict", "case", "store", "txns", "seconds", "MB", "txns/s");
    let mut rows: Vec<Row> = Vec::new();
    for input in inputs(&sizes) {
        let file = folder.join(format!("{}.{}", input.name, input.format));
        make(&binary, &input, &file)?;
        for case in &input.cases {
            let row = measure(&binary, &input, case, &file)?;
            println!(
                "{:<34} {:<19} {:>11}  {:>9.3}  {:>9.1}  {:>11.0}  {}",
                row.case,
                row.store,
                row.txns,
                row.seconds,
                row.peak_bytes as f64 / 1e6,
                row.txns as f64 / row.seconds.max(1e-9),
                row.verdict
            );
            rows.push(row);
            if process::interrupted() {
                bail!("interrupted");
            }
        }
        for made in [file.clone(), expected(&file)] {
            fs::remove_file(&made).with_context(|| format!("cannot remove {}", made.display()))?;
        }
    }
    let document = json!({
        "bench": "transactions",
        "machine": machine,
        "seed": SEED,
        "rows": rows.iter().map(row_json).collect::<Vec<Value>>(),
    });
    fs::write(results.join("transactions.json"), format!("{document:#}\n"))?;
    fs::write(results.join("transactions.svg"), plot::svg(&lines(&rows)))?;
    Ok(())
}

fn row_json(row: &Row) -> Value {
    json!({
        "case": row.case,
        "input": row.input,
        "store": row.store,
        "txns": row.txns,
        "seconds": row.seconds,
        "peak_bytes": row.peak_bytes,
        "verdict": row.verdict,
    })
}

/// The cases that differ in size alone, as lines of a plot.
fn lines(rows: &[Row]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows.iter().filter(|row| row.case.ends_with("by size")) {
        let point = (row.txns as f64, row.seconds, row.peak_bytes as f64 / 1e6);
        match lines.iter_mut().find(|line| line.name == row.case) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: row.case.clone(), points: vec![point] }),
        }
    }
    lines
}

/// The sizes that are named, in order.
fn sizes(named: Option<&str>) -> Result<Vec<u64>> {
    let Some(named) = named else { return Ok(SIZES.to_vec()) };
    let size = |text: &str| match text.trim().replace('_', "").parse::<u64>() {
        Ok(size) if size >= 1_000 => Ok(size),
        _ => bail!("FISSURE_BENCH_TXNS: `{text}` is no number of transactions, at least 1000"),
    };
    let mut sizes = named.split(',').map(size).collect::<Result<Vec<u64>>>()?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

/// The release build of `fissure`, unless another one is named.
fn binary(repo: &Repo) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("FISSURE_BENCH_BINARY") {
        return Ok(PathBuf::from(named));
    }
    process::run(&mut repo.cargo(&["build", "--release", "--package=fissure-cli"]))?;
    Ok(repo.fissure(true))
}

fn inputs(sizes: &[u64]) -> Vec<Input> {
    let base = sizes.iter().copied().filter(|size| *size <= BASE_MAX).max().unwrap_or(sizes[0]);
    let mut inputs = by_size(sizes);
    for clients in [10, 50, 100, 1_000] {
        inputs.push(lists(format!("clients-{clients}"), base, &format!("--concurrency {clients}")));
    }
    for share in [0, 1, 10] {
        inputs.push(lists(format!("info-{share}-percent"), base, &format!("--concurrency 10 --info {share}%")));
    }
    for (number, where_) in [(0, "near"), (1, "near"), (1, "far"), (100, "near"), (100, "far")] {
        let distance = if where_ == "far" { base / 2 } else { 10 };
        let plants = format!("--plant G-single:{distance} ").repeat(number);
        inputs.push(lists(format!("anomalies-{number}-{where_}"), base, &format!("--concurrency 10 {plants}")));
    }
    inputs.push(registers(base));
    inputs.extend(weak_registers(sizes));
    inputs
}

fn by_size(sizes: &[u64]) -> Vec<Input> {
    let mut inputs = Vec::new();
    for txns in sizes.iter().copied() {
        let small = txns <= IN_MEMORY_MAX;
        for format in ["parquet", "edn"].into_iter().filter(|format| small || *format == "parquet") {
            let flags = format!("--model strict-serializable{}", if small { "" } else { " --memory 4GiB" });
            let cases = vec![case(format!("list-append {format} by size"), &flags)];
            let made = words("--workload list-append --concurrency 10 --info 0%");
            inputs.push(Input { name: format!("lists-{txns}"), txns, store: STRICT, made, format, cases });
        }
        if !small {
            continue;
        }
        let flags = "--model strict-serializable --linearizable-keys";
        let cases = vec![case("rw-register parquet by size", flags)];
        let made = words("--workload rw-register --concurrency 10 --info 0%");
        let name = format!("registers-{txns}");
        inputs.push(Input { name, txns, store: STRICT, made, format: "parquet", cases });
    }
    inputs
}

fn lists(name: String, txns: u64, flags: &str) -> Input {
    let mut made = words("--workload list-append");
    made.extend(words(flags));
    let cases = vec![case(format!("list-append {name}"), "--model strict-serializable")];
    Input { name, txns, store: STRICT, made, format: "parquet", cases }
}

/// Each source of version orders.
fn registers(txns: u64) -> Input {
    let sources = ["", "--wfr-keys", "--sequential-keys", "--linearizable-keys"];
    let named = |flag: &&str| {
        let name = if flag.is_empty() { "without a source" } else { flag.trim_start_matches('-') };
        case(format!("rw-register {name}"), &format!("--model strict-serializable {flag}"))
    };
    Input {
        name: "registers-sources".to_owned(),
        txns,
        store: STRICT,
        made: words("--workload rw-register --concurrency 10 --info 0%"),
        format: "parquet",
        cases: sources.iter().map(named).collect(),
    }
}

/// Ten million reads and writes for the weak levels, or as many as the sizes allow: as AWDIT was measured, with long
/// transactions over many keys, and with short ones over few. A serializable store has one order
/// that shows all of these levels to be kept; a causal one need not have any.
fn weak_registers(sizes: &[u64]) -> [Input; 3] {
    let mops = (sizes.iter().copied().max().unwrap_or(0) * 10).clamp(10_000, 10_000_000);
    let long = format!(
        "--concurrency 20 --min-txn-length 10 --max-txn-length 10 --keys {} --max-writes-per-key 1000000000",
        mops / 20
    );
    let of = |name: &str, txns: u64, store, made: &str, levels: &[&str]| {
        let named = |level: &&str| case(format!("rw-register {name} {level}"), &format!("--model {level}"));
        let cases = levels.iter().map(named).collect();
        let made = words(&format!("--workload rw-register --info 0% {made}"));
        Input { name: format!("registers-{name}"), txns, store, made, format: "parquet", cases }
    };
    let (short, short_txns) = ("--concurrency 10", mops * 2 / 5);
    let levels = ["read-committed", "read-atomic", "causal-cerone"];
    [
        of("uniform", mops / 10, "serializable", &long, &levels),
        of("short", short_txns, "serializable", short, &levels),
        of("causal", short_txns, "causal-cerone", short, &levels[2..]),
    ]
}

fn expected(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".expected.json");
    PathBuf::from(name)
}

fn make(binary: &Path, input: &Input, file: &Path) -> Result<()> {
    let mut command = Command::new(binary);
    command.args(["--quiet", "gen", "--ops"]).arg(input.txns.to_string()).arg("--seed").arg(SEED.to_string());
    command.args(["--level", input.store]).args(&input.made).arg("--output").arg(file).stdout(Stdio::null());
    process::run(&mut command)
}

/// One check in a process of its own.
fn measure(binary: &Path, input: &Input, case: &Case, file: &Path) -> Result<Row> {
    let mut command = Command::new(binary);
    command.args(["--quiet", "check", "--json"]).args(&case.flags).arg(file).stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {}", process::shown(&command)))?;
    let mut stdout = child.stdout.take().context("the output of the check cannot be read")?;
    // Or a long answer would fill the pipe and the check would wait for ever.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut text).map(|_| text)
    });
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_bytes.max(resident_peak(child.id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let seconds = started.elapsed().as_secs_f64();
    let Ok(text) = reader.join() else { bail!("the output of the check cannot be read") };
    let text = text.context("the output of the check cannot be read")?;
    let Ok(answer) = serde_json::from_str::<Value>(&text) else {
        bail!("{} ended with {status} and no answer", process::shown(&command));
    };
    let verdict = answer["verdict"].as_str().unwrap_or("none").to_owned();
    let (case, store, txns) = (case.name.clone(), input.store, input.txns);
    Ok(Row { case, input: input.name.clone(), store, txns, seconds, peak_bytes, verdict })
}

/// The most memory that a process ever had resident, bytes; 0 once it is gone.
fn resident_peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_named_in_any_order() {
        assert_eq!(sizes(None).unwrap(), SIZES);
        assert_eq!(sizes(Some("1_000_000, 10000,10000")).unwrap(), [10_000, 1_000_000]);
        assert!(sizes(Some("many")).is_err() && sizes(Some("10")).is_err());
    }

    #[test]
    fn inputs_that_vary_something_else_are_of_one_size() {
        let all = inputs(&[10_000, 100_000_000]);
        assert!(all.iter().filter(|input| !input.name.starts_with("lists-")).all(|input| !input.cases.is_empty()));
        let of_size = |txns| all.iter().filter(|input| input.name.ends_with(&format!("s-{txns}"))).count();
        assert_eq!((of_size(10_000), of_size(100_000_000)), (3, 1), "text and registers are not of the largest size");
        let clients: Vec<u64> = all.iter().filter(|input| input.name.starts_with("clients")).map(|i| i.txns).collect();
        assert_eq!(clients, [10_000; 4]);
        let plants = |name: &str| {
            let input = all.iter().find(|input| input.name == name).unwrap_or_else(|| panic!("no {name}"));
            input.made.iter().filter(|word| *word == "--plant").count()
        };
        assert_eq!((plants("anomalies-0-near"), plants("anomalies-100-far")), (0, 100));
        let weak: Vec<(&str, u64)> = all.iter().rev().take(3).map(|input| (input.store, input.txns)).collect();
        assert_eq!(weak, [("causal-cerone", 4_000_000), ("serializable", 4_000_000), ("serializable", 1_000_000)]);
    }

    #[test]
    fn this_process_has_memory_and_one_that_is_gone_has_none() {
        assert!(resident_peak(std::process::id()) > 1 << 20);
        assert_eq!(resident_peak(u32::MAX), 0);
    }
}
