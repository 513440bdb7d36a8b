//! `fissure gen`: synthetic histories with a known verdict.

use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::whole_file::write_whole;
use crate::{export_command, kept_history};
use clap::Args;
use fissure_checker::synthetic::{
    Expected, KeyChoice, Latency, Level, Plant, Spec, SpecError, Spread, Stream, Workload, plantable,
};
use fissure_history::export::{ExportFormat, ExportOptions};
use fissure_history::{HistoryWriter, Manifest, SealReport, synthetic};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Flags of `gen`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fissure gen --ops 1M -o healthy.parquet\n  fissure gen --ops 100k --level \
                        snapshot-isolation --plant G1c:50k -o history.edn\n  fissure gen --workload queue --plant \
                        lost --store store\n\nWhat a checker should find is written beside the history as \
                        expected.json.")]
pub(crate) struct GenArgs {
    /// What clients do: list-append, rw-register, register, set, counter, queue, unordered-queue, stack, log, bank,
    /// lock, unique-ids.
    #[arg(long, default_value = "list-append", value_parser = workload)]
    pub(crate) workload: Workload,
    /// What the store of transactions promises, from strict-serializable down to read-uncommitted.
    #[arg(long, default_value = "strict-serializable", value_parser = level)]
    pub(crate) level: Level,
    /// Operations, such as 250000, 250k or 1M.
    #[arg(long, default_value = "10k", value_parser = count)]
    pub(crate) ops: u64,
    /// Seed of everything that is drawn: the same flags and seed give the same history.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Plant an anomaly, with so many operations between its halves (may be given several times); `--plant help` lists
    /// them.
    #[arg(long = "plant", value_name = "ANOMALY[:DISTANCE]")]
    pub(crate) plants: Vec<String>,
    /// Clients at work at any time.
    #[arg(long, default_value_t = 20)]
    pub(crate) concurrency: u32,
    /// Keys in use at any time.
    #[arg(long, default_value_t = 10)]
    pub(crate) keys: u32,
    /// How often each key is chosen: uniform, exponential[:BASE], zipf[:EXPONENT], hot-spot[:SHARE].
    #[arg(long, default_value = "uniform", value_name = "DISTRIBUTION", value_parser = key_choice)]
    pub(crate) key_dist: KeyChoice,
    /// Writes after which a key is replaced by a new one.
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(crate) max_writes_per_key: u32,
    /// Micro-operations of a transaction, at least.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) min_txn_length: u32,
    /// Micro-operations of a transaction, at most.
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) max_txn_length: u32,
    /// Share of reads (or of dequeues, pops, polls).
    #[arg(long, default_value = "50%", value_name = "SHARE", value_parser = share)]
    pub(crate) reads: f64,
    /// Share of operations that fail.
    #[arg(long, default_value = "1%", value_name = "SHARE", value_parser = share)]
    pub(crate) fail: f64,
    /// Share of operations whose outcome the client does not learn; some take effect, some later, some never.
    #[arg(long, default_value = "1%", value_name = "SHARE", value_parser = share)]
    pub(crate) info: f64,
    /// Share of transactions that make use of what the level lets them do.
    #[arg(long, default_value = "25%", value_name = "SHARE", value_parser = share)]
    pub(crate) weakness: f64,
    /// How many transactions old a state may be that such a transaction reads.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) lag: u32,
    /// Nodes n1, n2, … that clients are spread over.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) nodes: u32,
    /// Mean latency, such as 1ms.
    #[arg(long, default_value = "1ms", value_name = "DURATION", value_parser = fissure_plan::parse_duration_ns)]
    pub(crate) latency: u64,
    /// How latencies are spread: constant, uniform, exponential.
    #[arg(long, default_value = "exponential", value_name = "SPREAD", value_parser = spread)]
    pub(crate) latency_spread: Spread,
    /// A share of operations that take a multiple of that time, such as 0.1%:1000.
    #[arg(long, value_name = "SHARE:FACTOR", value_parser = long_tail)]
    pub(crate) long_tail: Option<(f64, u64)>,
    /// The file: .parquet, or any export format by its extension (.edn, .jsonl, .plume).
    #[arg(short, long, value_name = "FILE", conflicts_with = "store")]
    pub(crate) output: Option<PathBuf>,
    /// Make a run of it in this store, for `fissure check`, `sql` and `report`.
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
}

/// `fissure gen`.
///
/// # Errors
/// When the flags make no sense, the output is there already and must not be replaced, or the disk refuses.
pub(crate) fn gen_history(args: &GenArgs, screen: &Screen) -> Result<Exit, Failure> {
    if args.plants.iter().any(|plant| plant == "help") {
        screen.data(&plant_list());
        return Ok(Exit::Valid);
    }
    let stream = Stream::new(&spec(args)?).map_err(wrong_spec)?;
    let started = Instant::now();
    let made = match (&args.output, &args.store) {
        (Some(path), _) => to_file(stream, path, screen)?,
        (None, Some(store)) => to_store(stream, store, args)?,
        (None, None) => {
            let error = anyhow::anyhow!("nowhere to put the history");
            return Err(Failure::usage(error).help("name a file with -o FILE, or a store with --store DIR"));
        }
    };
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    let rate = made.ops as f64 / seconds;
    screen.say(&format!("{} operations in {seconds:.1} s ({rate:.0} a second): {}", made.ops, made.path.display()));
    screen.say(&expectation(&made.expected));
    screen.say(&format!("what to find: {}", made.beside.display()));
    Ok(Exit::Valid)
}

/// What was made.
struct Made {
    path: PathBuf,
    beside: PathBuf,
    ops: u64,
    expected: Expected,
}

fn spec(args: &GenArgs) -> Result<Spec, Failure> {
    let plants: Result<Vec<Plant>, Failure> = args.plants.iter().map(|text| plant(text)).collect();
    let (long_share, long_factor) = args.long_tail.unwrap_or((0.0, 1));
    Ok(Spec {
        workload: args.workload,
        level: args.level,
        ops: args.ops,
        seed: args.seed,
        concurrency: args.concurrency,
        keys: args.keys,
        key_choice: args.key_dist,
        writes_per_key: args.max_writes_per_key,
        txn_min: args.min_txn_length,
        txn_max: args.max_txn_length,
        read_share: args.reads,
        fail_share: args.fail,
        info_share: args.info,
        weakness: args.weakness,
        lag: args.lag,
        nodes: args.nodes,
        latency: Latency { mean_ns: args.latency, spread: args.latency_spread, long_share, long_factor },
        plants: plants?,
    })
}

fn wrong_spec(error: SpecError) -> Failure {
    Failure::usage(error).help("`fissure gen --plant help` lists what can be planted in which workload")
}

/// `NAME` or `NAME:DISTANCE`, the distance with k, M or G.
fn plant(text: &str) -> Result<Plant, Failure> {
    let (name, distance) = text.split_once(':').unwrap_or((text, "0"));
    let wrong = |error: String| Failure::usage(anyhow::anyhow!("--plant {text}: {error}"));
    Ok(Plant { anomaly: name.to_owned(), distance: count(distance).map_err(wrong)? })
}

fn plant_list() -> String {
    let line = |workload: Workload| format!("{workload}\n  {}\n", plantable(workload).join("\n  "));
    Workload::ALL.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What a checker should say, in a sentence.
fn expectation(expected: &Expected) -> String {
    let names: Vec<&str> = expected.anomalies.iter().map(String::as_str).collect();
    match (names.is_empty(), expected.exact) {
        (true, true) => "a checker should find nothing wrong with it".to_owned(),
        (true, false) => "a checker should find it valid at its level, and not at every stronger one".to_owned(),
        (false, true) => format!("a checker should find {}", names.join(", ")),
        (false, false) => format!("a checker should find {}, and what the level permits", names.join(", ")),
    }
}

/// Writes one file, and `<file>.expected.json` beside it.
fn to_file(stream: Stream, path: &Path, screen: &Screen) -> Result<Made, Failure> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let beside = with_suffix(path, ".expected.json");
    if extension == "parquet" {
        let mut writer = HistoryWriter::create_file(path).map_err(Failure::cannot_run)?;
        let expected = synthetic::write(stream, &mut writer, |_| {}).map_err(Failure::cannot_run)?;
        let report = writer.finish().map_err(Failure::cannot_run)?;
        return finish(path.to_owned(), beside, &report, expected);
    }
    let Some(format) = ExportFormat::from_extension(extension) else {
        let text = anyhow::anyhow!("{}: no format has the extension `{extension}`", path.display());
        return Err(Failure::usage(text).help("use .parquet, .edn, .jsonl or .plume"));
    };
    // By way of Parquet, which is written and read with bounded memory.
    let rows = with_suffix(path, ".ops.parquet");
    let mut writer = HistoryWriter::create_file(&rows).map_err(Failure::cannot_run)?;
    let expected = synthetic::write(stream, &mut writer, |_| {}).map_err(Failure::cannot_run)?;
    let report = writer.finish().map_err(Failure::cannot_run)?;
    let exported = export_command::to_file(&rows, format, &ExportOptions::default(), path);
    let removed = std::fs::remove_file(&rows);
    for note in exported?.notes {
        screen.say(&format!("note: {note}"));
    }
    removed.map_err(|error| Failure::cannot_run(anyhow::anyhow!("cannot remove {}: {error}", rows.display())))?;
    finish(path.to_owned(), beside, &report, expected)
}

/// Makes a run.
fn to_store(stream: Stream, store: &Path, args: &GenArgs) -> Result<Made, Failure> {
    let manifest = Manifest {
        scenario: format!("gen-{}-{}", args.workload, args.level),
        seed: args.seed,
        target: "simulated".to_owned(),
        nodes: (1..=args.nodes).map(|node| format!("n{node}")).collect(),
        workload: args.workload.name().to_owned(),
        ..Manifest::default()
    };
    let (run, report, expected) = kept_history::keep(store, manifest, |writer| {
        synthetic::write(stream, writer, |_| {}).map_err(Failure::cannot_run)
    })?;
    let beside = run.file("expected.json");
    finish(run.path().to_owned(), beside, &report, expected)
}

fn finish(path: PathBuf, beside: PathBuf, report: &SealReport, expected: Expected) -> Result<Made, Failure> {
    write_whole(&beside, &expected.to_json())?;
    Ok(Made { path, beside, ops: report.counts.ops, expected })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn workload(name: &str) -> Result<Workload, String> {
    let names = || Workload::ALL.map(Workload::name).join(", ");
    Workload::from_name(name).ok_or_else(|| format!("no such workload; there are {}", names()))
}

fn level(name: &str) -> Result<Level, String> {
    let names = || Level::ALL.map(Level::name).join(", ");
    Level::from_name(name).ok_or_else(|| format!("no such level; there are {}", names()))
}

fn spread(name: &str) -> Result<Spread, String> {
    match name {
        "constant" => Ok(Spread::Constant),
        "uniform" => Ok(Spread::Uniform),
        "exponential" => Ok(Spread::Exponential),
        _ => Err("expected constant, uniform or exponential".to_owned()),
    }
}

/// A whole number, with `_` between digits, and k, M or G behind.
fn count(text: &str) -> Result<u64, String> {
    let expected = || "expected a whole number, such as 5000, 5_000, 5k, 5M or 5G".to_owned();
    let (digits, factor) = match text.trim_end_matches(['k', 'M', 'G']) {
        digits if digits.len() == text.len() => (digits, 1),
        digits => match &text[digits.len()..] {
            "k" => (digits, 1_000),
            "M" => (digits, 1_000_000),
            "G" => (digits, 1_000_000_000),
            _ => return Err(expected()),
        },
    };
    let number: u64 = digits.replace('_', "").parse().map_err(|_| expected())?;
    number.checked_mul(factor).ok_or_else(|| format!("{text} is too large"))
}

/// A share: `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    let number: f64 = digits.parse().map_err(|_| "expected a share, such as 5% or 0.05".to_owned())?;
    let share = number / unit;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("a share lies between 0 and 1, or 0% and 100%".to_owned())
    }
}

fn long_tail(text: &str) -> Result<(f64, u64), String> {
    let (of, factor) = text.split_once(':').ok_or_else(|| "expected SHARE:FACTOR, such as 0.1%:1000".to_owned())?;
    Ok((share(of)?, count(factor)?))
}

fn key_choice(text: &str) -> Result<KeyChoice, String> {
    let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
    let number_or = |default: f64| match number {
        None => Ok(default),
        Some(number) => number.parse::<f64>().map_err(|_| format!("`{number}` is no number")),
    };
    match name {
        "uniform" if number.is_none() => Ok(KeyChoice::Uniform),
        "exponential" => Ok(KeyChoice::Exponential { base: number_or(2.0)? }),
        "zipf" => Ok(KeyChoice::Zipf { exponent: number_or(1.0)? }),
        "hot-spot" => Ok(KeyChoice::HotSpot { share: number.map_or(Ok(0.5), share)? }),
        _ => Err("expected uniform, exponential[:BASE], zipf[:EXPONENT] or hot-spot[:SHARE]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares_are_read() {
        assert_eq!((count("5"), count("5_000"), count("5k")), (Ok(5), Ok(5_000), Ok(5_000)));
        assert_eq!((count("2M"), count("1G")), (Ok(2_000_000), Ok(1_000_000_000)));
        for wrong in ["", "k", "5kk", "5 k", "-1", "1.5M", "99999999999G"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        assert_eq!((share("5%"), share("0.05"), share("100%")), (Ok(0.05), Ok(0.05), Ok(1.0)));
        for wrong in ["", "%", "101%", "-0.1", "much", "NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(long_tail("0.1%:1k"), Ok((0.001, 1_000)));
        assert!(long_tail("5%").is_err());
        assert_eq!(key_choice("zipf:1.5"), Ok(KeyChoice::Zipf { exponent: 1.5 }));
        assert_eq!(key_choice("hot-spot:90%"), Ok(KeyChoice::HotSpot { share: 0.9 }));
        assert!(key_choice("uniform:3").is_err() && key_choice("zipf:x").is_err() && key_choice("round").is_err());
    }

    #[test]
    fn everything_that_can_be_planted_is_listed() {
        let list = plant_list();
        assert!(list.starts_with("list-append\n  G0\n"), "{list}");
        assert!(Workload::ALL.into_iter().flat_map(plantable).all(|anomaly| list.contains(&format!("  {anomaly}\n"))));
    }
}
