//! Every question of `docs/sql.md` on a large history: time, rows, peak memory; and the same questions on the same files in
//! DuckDB, side by side.
//!
//! Settings come from the environment, because `cargo bench` has flags of its own:
//! * `FISSURE_BENCH_OPS`: operations, by default 1 000 000;
//! * `FISSURE_BENCH_DIR`: where the history is kept and found again; by default a temporary folder;
//! * `FISSURE_BENCH_MEMORY`: limit of either engine, by default `4GiB`;
//! * `FISSURE_BENCH_ONLY`: only questions whose SQL has this in it;
//! * `FISSURE_BENCH_JSON`: a file to which one JSON object per line is appended;
//! * `FISSURE_PYTHON`: a Python with `duckdb`; without it the columns of DuckDB are empty. Where only we have the table
//!   function, there is a `-`.
//!
//! Each question runs in a process of its own, so that its peak (`VmHWM`) is its own; opening the history is part of the
//! time. Files are in the page cache after the first question.

#[path = "../../tests/common/page.rs"]
#[expect(dead_code, reason = "the answers of the page are for the test")]
mod page;

mod cluster;
mod data;

use fissure_sql::{Limits, Session, Target, parse_size};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The script that asks DuckDB.
const DUCKDB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/history/duckdb_side.py");

/// How long DuckDB may take for one question, s.
const SECONDS_MAX: f64 = 300.0;

/// Table functions that only we have; the others are written out in the script.
const ONLY_OURS: [&str; 6] =
    ["around(", "explain_op(", "version_order(", "check_append(", "check_register(", "linearizable("];

/// What only we have besides: tables of results.
const ONLY_OURS_TABLES: [&str; 3] = ["finding_ops", "finding_edges", "levels"];

/// Scans beside the page's questions.
const SCANS: [(&str, &str); 2] = [
    ("scan of 3 columns", "SELECT count(*) AS n, max(complete_ns - invoke_ns) AS slowest, max(process) AS p FROM ops"),
    (
        "latency of everything",
        "SELECT quantiles(ms(complete_ns - invoke_ns), 0.5, 0.95, 0.99) AS q FROM ops WHERE outcome = 'ok'",
    ),
];

/// What became of one question.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Figures {
    seconds: f64,
    rows: u64,
    peak_mib: f64,
    #[serde(default)]
    error: Option<String>,
}

struct Asked {
    name: String,
    sql: String,
    /// Whether it is about all runs.
    all: bool,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, dir, memory, sql] = args.as_slice()
        && role == "ask"
    {
        let figures = ask(Path::new(dir), memory, sql);
        println!("{}", serde_json::to_string(&figures).unwrap());
        return;
    }
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let ops: u64 = setting("FISSURE_BENCH_OPS", "1000000").parse().expect("FISSURE_BENCH_OPS is a number");
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var("FISSURE_BENCH_DIR").map_or_else(|_| temporary.path().to_owned(), PathBuf::from);
    let (store, run) = data::made(&dir, ops);
    let memory = setting("FISSURE_BENCH_MEMORY", "4GiB");
    let only = setting("FISSURE_BENCH_ONLY", "");
    let python = std::env::var("FISSURE_PYTHON").ok();
    let profile = if cfg!(debug_assertions) { "dev, opt-level 1" } else { "release" };
    println!("{ops} operations, {memory}, {profile}");
    println!("{:>9} {:>9} {:>9} {:>9} {:>8}  question", "seconds", "peak MiB", "duckdb s", "peak MiB", "rows");
    let mut totals = Totals::default();
    for asked in questions().into_iter().filter(|asked| asked.sql.contains(&only)) {
        let target = if asked.all { &store } else { &run };
        let own = std::env::current_exe().unwrap();
        let mine = child(Command::new(own).args(["ask".as_ref(), target.as_os_str()]).args([&memory, &asked.sql]));
        let theirs = python.as_ref().filter(|_| !asked.only_ours()).map(|python| {
            let mut command = Command::new(python);
            // Without an end to waiting, one join that is not for it would hold up the others.
            command.env("FISSURE_BENCH_SECONDS_MAX", SECONDS_MAX.to_string());
            child(command.arg(DUCKDB).arg(&run).args([&memory, &asked.sql]))
        });
        totals.add(&mine, theirs.as_ref());
        print(ops, &asked, &mine, theirs.as_ref());
    }
    totals.print();
}

/// Seconds of all questions, ours and DuckDB's.
#[derive(Default)]
struct Totals {
    /// Of the questions that both answered.
    both: [f64; 2],
    /// Of these and the questions on which DuckDB was interrupted.
    with_interrupted: [f64; 2],
}

impl Totals {
    fn add(&mut self, mine: &Figures, theirs: Option<&Figures>) {
        let Some(theirs) = theirs.filter(|_| mine.error.is_none()) else { return };
        let seconds = match &theirs.error {
            None => {
                self.both[0] += mine.seconds;
                self.both[1] += theirs.seconds;
                theirs.seconds
            }
            Some(_) if theirs.is_interrupted() => SECONDS_MAX,
            Some(_) => return,
        };
        self.with_interrupted[0] += mine.seconds;
        self.with_interrupted[1] += seconds;
    }

    fn print(&self) {
        let line = |[mine, theirs]: [f64; 2], of: &str| {
            println!("{mine:>9.2} {:>9} {theirs:>9.2} {:>18}  in all, of the questions that both answered{of}", "", "");
        };
        line(self.both, "");
        let of = format!("; DuckDB interrupted after {SECONDS_MAX} s: counted as {SECONDS_MAX} s");
        line(self.with_interrupted, &of);
    }
}

impl Figures {
    /// Whether it took too long.
    fn is_interrupted(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.to_lowercase().contains("interrupt"))
    }
}

impl Asked {
    /// Whether only we can answer it.
    fn only_ours(&self) -> bool {
        let words = || self.sql.split(|c: char| !c.is_alphanumeric() && c != '_');
        ONLY_OURS.iter().any(|function| self.sql.contains(function))
            || words().any(|word| ONLY_OURS_TABLES.contains(&word))
    }
}

/// The questions of the page and the scans.
fn questions() -> Vec<Asked> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let scans = SCANS.iter().map(|(name, sql)| Asked { name: (*name).to_owned(), sql: (*sql).to_owned(), all: false });
    let of_page = page::questions(&lines).into_iter().map(|question| {
        // The sentence above the question.
        let above = lines[..question.line - 1].iter().rev().find(|line| !line.is_empty() && !line.starts_with("```"));
        let name: String = above.copied().unwrap_or("and").chars().take(60).collect();
        Asked { name: format!("{}: {name}", question.line), sql: question.sql, all: question.target == "store" }
    });
    scans.chain(of_page).collect()
}

fn ask(dir: &Path, memory: &str, sql: &str) -> Figures {
    let limits = Limits { memory_bytes: Some(parse_size(memory).unwrap()), ..Limits::default() };
    let started = Instant::now();
    let answer = Session::open_all(&[Target::Path(dir.to_owned())], &limits).and_then(|session| session.query(sql));
    let seconds = started.elapsed().as_secs_f64();
    let (rows, error) = match answer {
        Ok(batches) => (batches.iter().map(|batch| batch.num_rows() as u64).sum(), None),
        Err(error) => (0, Some(error.to_string())),
    };
    Figures { seconds, rows, peak_mib: peak_mib(), error }
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(f64::NAN);
    kib / 1024.0
}

fn child(command: &mut Command) -> Figures {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
    figures.unwrap_or_else(|| {
        let error = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        Figures { error: Some(error), ..Figures::default() }
    })
}

fn print(ops: u64, asked: &Asked, mine: &Figures, theirs: Option<&Figures>) {
    let cells = |figures: Option<&Figures>| match figures {
        Some(Figures { error: None, seconds, peak_mib, .. }) => format!("{seconds:>9.2} {peak_mib:>9.0}"),
        Some(figures) if figures.is_interrupted() => format!("{:>9} {:>9}", format!(">{SECONDS_MAX}"), ""),
        Some(_) => format!("{:>9} {:>9}", "failed", ""),
        None if asked.only_ours() => format!("{:>9} {:>9}", "-", ""),
        None => format!("{:>9} {:>9}", "", ""),
    };
    println!("{} {} {:>8}  {}", cells(Some(mine)), cells(theirs), mine.rows, asked.name);
    for error in [Some(mine), theirs].into_iter().flatten().filter_map(|figures| figures.error.as_ref()) {
        println!("          {}", error.lines().last().unwrap_or_default());
    }
    if let Some(path) = std::env::var_os("FISSURE_BENCH_JSON") {
        let line = serde_json::json!({
            "bench": "history", "ops": ops, "question": asked.name, "fissure": mine, "duckdb": theirs,
        });
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
