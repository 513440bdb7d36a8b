//! Measurements, with what they were measured on.

mod plot;
mod transactions;

use crate::{
    object, process,
    repo::{Repo, is_root},
    setup::Tools,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::{fs, process::ExitCode};

/// One measurement.
struct Bench {
    /// What a person asks for; several may answer to one name.
    name: &'static str,
    /// Name of the target.
    target: &'static str,
    package: &'static str,
    /// What it measures.
    what: &'static str,
    needs_root: bool,
}

const fn bench(name: &'static str, target: &'static str, package: &'static str, what: &'static str) -> Bench {
    Bench { name, target, package, what, needs_root: false }
}

const BENCHES: [Bench; 7] = [
    Bench {
        needs_root: true,
        ..bench("packets", "packets", "fissure-inject", "ns per packet, unmatched and matched; time to publish a table")
    },
    bench("recording", "recording", "fissure-run", "operations per second from an instant client to disk"),
    bench("history", "journal", "fissure-history", "journal, seal, read: operations per second, bytes on disk"),
    bench("history", "import", "fissure-history", "import of EDN: operations per second, memory"),
    bench("history", "history", "fissure-sql", "every query of the cookbook, and the same in DuckDB"),
    bench("list_append", "list_append", "fissure-checker", "transactions per second, list-append"),
    bench("linearizable", "linearizable", "fissure-checker", "operations per second, linearizability of registers"),
];

/// Flags of `bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Which: packets, recording, history, list_append, linearizable, transactions; all by default
    names: Vec<String>,
}

/// Whole runs of the binary, beside the benches of the crates.
const TRANSACTIONS: &str = "transactions";

/// The task `bench`.
pub(crate) fn run(repo: &Repo, args: &BenchArgs) -> Result<ExitCode> {
    let is_known = |name: &&String| *name == TRANSACTIONS || BENCHES.iter().any(|bench| bench.name == *name);
    if let Some(unknown) = args.names.iter().find(|name| !is_known(name)) {
        let mut known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).chain([TRANSACTIONS]).collect();
        known.dedup();
        bail!("there is no bench {unknown}; there are {}", known.join(", "));
    }
    let tools = Tools::find(repo)?;
    let results = repo.out().join("bench");
    fs::create_dir_all(&results)?;
    println!("{}", machine());
    let (mut failed, mut skipped) = (0, 0);
    for Bench { name, target: target_name, package, what, needs_root } in BENCHES {
        if !args.names.is_empty() && !args.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n{target_name}: {what}");
        if needs_root && !is_root() {
            println!("skipped: needs root");
            skipped += 1;
            continue;
        }
        if needs_root {
            object::build(repo, &tools)?;
        }
        let target = repo.package(package)?.targets.iter().find(|t| t.kind == "bench" && t.name == target_name);
        let Some(target) = target else {
            println!("failed: {package} has no bench {target_name}");
            failed += 1;
            continue;
        };
        let mut command = repo.cargo(&["bench", "--package", package, "--bench", target_name]);
        if !target.required_features.is_empty() {
            command.args(["--features", &target.required_features.join(",")]);
        }
        let figures = results.join(format!("{target_name}.jsonl"));
        // Benches append; the figures of one invocation stand alone.
        if figures.exists() {
            fs::remove_file(&figures).with_context(|| format!("cannot remove {}", figures.display()))?;
        }
        command.env("FISSURE_BENCH_JSON", figures);
        tools.apply(&mut command)?;
        if !process::status(&mut command)?.success() {
            failed += 1;
        }
    }
    if args.names.is_empty() || args.names.iter().any(|name| name == TRANSACTIONS) {
        println!("\n{TRANSACTIONS}: time and memory of `fissure check` over histories of transactions");
        if let Err(error) = transactions::run(repo, &machine(), &results) {
            println!("failed: {error:#}");
            failed += 1;
        }
    }
    println!("\nfigures are in {}; {failed} failed, {skipped} skipped", results.display());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kernel, processor, memory: what a figure means nothing without.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_else(|| "unknown".to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "machine: linux {}, {processors} × {}, memory {}, load {}",
        read("/proc/sys/kernel/osrelease").trim(),
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown"),
    )
}
