//! The command line, defined once: help, completions and man pages come from here.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Breaks distributed systems surgically and proves what broke.
#[derive(Debug, Parser)]
#[command(
    name = "fissure",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 valid · 1 a violation was found · 2 unknown · 3 cannot run here · 64 usage or scenario \
                  error · 70 a bug in fissure · 130 `sql` was ended by a signal\n\nExamples:\n  fissure run examples/demo-partition-leader.toml\n  \
                  fissure check history.edn --model strict-serializable\n  fissure sql store/latest -c 'select f, \
                  outcome, count(*) from ops group by 1, 2'"
)]
pub(crate) struct Cli {
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto)]
    pub(crate) color: ColorWhen,
    /// Say more (-v), or much more (-vv), on standard error.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing on standard error but errors.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario: cluster up, workload, faults, checks, report (needs root).
    Run(RunArgs),
    /// Check a history: a run folder, or a file (Parquet, EDN, JSON lines, Jepsen's logs).
    Check(CheckArgs),
    /// Ask questions in SQL: of a run, of a folder of runs, of files, of an object store.
    Sql(SqlArgs),
    /// Turn histories that others recorded into runs, or into Parquet files.
    Import(ImportArgs),
    /// Write a history in a format that others read.
    Export(ExportArgs),
    /// Make synthetic histories: of simulated stores, with anomalies planted on request, and the verdict to expect.
    Gen(crate::gen_command::GenArgs),
    /// Show what a run found, again.
    Report(ReportArgs),
    /// List the runs of a store.
    Ls(LsArgs),
    /// Check a scenario, or say in words what it will do.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Say what this host can do: each mechanism available, missing (and what it needs), or could not tell.
    Doctor(DoctorArgs),
    /// Remove what runs that are no longer alive left behind. Never touches anything else.
    Clean(CleanArgs),
    /// Seal what a killed run had journaled.
    Recover(RecoverArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory.
    Man {
        /// The directory; made if it is missing.
        dir: PathBuf,
    },
    /// A node of the demo store.
    #[command(hide = true, disable_help_flag = true)]
    DemoNode {
        /// Its own flags; the demo store reads them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Watches over a lab and removes it when its owner is gone.
    #[command(hide = true)]
    LabReaper {
        /// The lab's journal.
        journal: PathBuf,
    },
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The scenario.
    pub(crate) scenario: PathBuf,
    /// Seed of everything that is drawn; printed, so that the same plan can be run again.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
    /// The demo store's bug, in place of the scenario's: none, stale-reads, ack-before-replicated, non-atomic-txn.
    #[arg(long)]
    pub(crate) bug: Option<String>,
    /// Length of the faults phase, in place of the scenario's, such as 20s.
    #[arg(long, value_name = "DURATION")]
    pub(crate) faults_for: Option<String>,
    /// Keep the nodes' data directories in the run's folder; they are removed otherwise, unless the run failed.
    #[arg(long)]
    pub(crate) keep_data: bool,
    /// Print results.json to standard output instead of the report.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A run folder (or `latest`), or a history file.
    #[arg(default_value = "latest")]
    pub(crate) target: PathBuf,
    /// Checker to ask; otherwise told by the operations, and where they are of several kinds each kind is judged.
    #[arg(long, value_enum)]
    pub(crate) workload: Option<WorkloadName>,
    /// Consistency model that the history must satisfy; `--model help` lists them.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Anomalies that fail the check whatever the model permits, such as `G1c,lost-update`.
    #[arg(long, value_name = "ANOMALY,…")]
    pub(crate) anomalies: Option<String>,
    /// What is known of the versions of registers.
    #[command(flatten)]
    pub(crate) registers: RegisterFlags,
    /// How to understand a file.
    #[command(flatten)]
    pub(crate) import: ImportFlags,
    /// A compare-and-set that failed saw that the value was another one, as in Porcupine's etcd logs.
    #[arg(long)]
    pub(crate) failed_cas_observes: bool,
    /// Memory that the check may use for what grows with the history, such as 4GiB. For sealed histories of transactions
    /// over lists, of which the rest goes to a file, and over registers, which are not judged if they do not fit; others
    /// are read into memory as a whole.
    #[arg(long, value_name = "SIZE", value_parser = fissure_sql::parse_size)]
    pub(crate) memory: Option<u64>,
    /// Folder of that file; the system's folder for temporary files by default.
    #[arg(long, value_name = "DIR", requires = "memory")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// Write results.json into this folder, and for each finding its cycle as a picture (SVG) and the few operations that
    /// show it (EDN and JSON lines).
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON to standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
}

/// What is known of the versions of registers, for transactions of reads and writes. What is assumed here and is not so
/// makes anomalies out of correct histories.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RegisterFlags {
    /// Writes follow reads: who reads one version of a key and writes another makes it from the first.
    #[arg(long)]
    pub(crate) wfr_keys: bool,
    /// Each key by itself is sequentially consistent.
    #[arg(long)]
    pub(crate) sequential_keys: bool,
    /// Each key by itself is linearizable.
    #[arg(long)]
    pub(crate) linearizable_keys: bool,
    /// File with an order of the transactions that is known otherwise: :index and place, as EDN, JSON or CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) transaction_order: Option<PathBuf>,
}

/// How to understand a history that others recorded.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportFlags {
    /// Format of the file, told from its contents and its name otherwise; `--from help` lists them.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<String>,
    /// Values are `[key value]` pairs: each key is an object of its own (Jepsen's independent tuples).
    #[arg(long)]
    pub(crate) independent: bool,
    /// Value of a register before its first write, for histories that start with one.
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) initial: Option<i64>,
    /// An `ok` read of nil means that its result is not known, as in Knossos' histories.
    #[arg(long)]
    pub(crate) nil_reads_unknown: bool,
    /// Leave out records that are wrong, and count them, instead of refusing the file.
    #[arg(long)]
    pub(crate) lenient: bool,
}

/// Flags of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The histories.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How to understand them.
    #[command(flatten)]
    pub(crate) flags: ImportFlags,
    /// Name in the store, in place of the name of the file.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Write the operations to this Parquet file instead of a run folder in the store.
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) output: Option<PathBuf>,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A run folder (or `latest`), or a history file in any format that `import` reads.
    #[arg(default_value = "latest")]
    pub(crate) target: PathBuf,
    /// How to understand a file.
    #[command(flatten)]
    pub(crate) flags: ImportFlags,
    /// Format to write: edn (Jepsen's history.edn), json-lines (elle-cli's), plume; told from the name of the output
    /// otherwise.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) to: Option<String>,
    /// File to write, as a whole or not at all; standard output otherwise.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
}

/// Kinds of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum WorkloadName {
    /// Reads, writes and compare-and-sets of registers.
    Register,
    /// Transactions of appends to lists and reads of lists.
    ListAppend,
    /// Transactions of writes to registers and reads of registers.
    RwRegister,
    /// Transactions that insert, write and delete objects, and read them one by one and by predicate.
    ClosedPredicate,
}

impl WorkloadName {
    /// All of them, in the order in which they are judged.
    pub(crate) const ALL: [WorkloadName; 4] =
        [WorkloadName::Register, WorkloadName::ListAppend, WorkloadName::RwRegister, WorkloadName::ClosedPredicate];

    /// Its name in scenarios and flags.
    pub(crate) fn name(self) -> &'static str {
        match self {
            WorkloadName::Register => "register",
            WorkloadName::ListAppend => fissure_checker::list_append::NAME,
            WorkloadName::RwRegister => fissure_checker::rw_register::NAME,
            WorkloadName::ClosedPredicate => fissure_checker::closed_predicate::NAME,
        }
    }

    /// Name of its checker in results.
    pub(crate) fn checker(self) -> &'static str {
        match self {
            WorkloadName::Register => "linearizable-register",
            other => other.name(),
        }
    }
}

/// Flags of `sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// Runs (or `latest`), folders of runs, Parquet files, other histories, or URLs: s3://, gs://, az://.
    #[arg(default_value = "latest", value_name = "TARGET")]
    pub(crate) targets: Vec<PathBuf>,
    /// Run this statement and leave (may be given several times).
    #[arg(short, long = "command", value_name = "SQL")]
    pub(crate) commands: Vec<String>,
    /// Run the statements of this file and leave.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Form of the answers; a table, unless the name of --output says another.
    #[arg(long, value_enum)]
    pub(crate) format: Option<SqlFormat>,
    /// Write the answers to this file, which appears when it is whole.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Rows shown of a table; 0 shows all.
    #[arg(long, alias = "limit", value_name = "N", default_value_t = 40)]
    pub(crate) rows: usize,
    /// Memory that a statement may use, such as 4GiB; what does not fit goes to disk. Half of the machine's by default, at
    /// most 16 GiB.
    #[arg(long, value_name = "SIZE", value_parser = fissure_sql::parse_size)]
    pub(crate) memory: Option<u64>,
    /// Threads that work on a statement; by default as many as there are processors.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// Folder for what does not fit into memory; $TMPDIR or /var/tmp by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlFormat {
    /// For people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// A Parquet file.
    Parquet,
}

/// Flags of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A run folder, or `latest`.
    #[arg(default_value = "latest")]
    pub(crate) target: PathBuf,
    /// Form of the report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Terminal)]
    pub(crate) format: ReportFormat,
    /// Only this finding, such as `L-0`.
    #[arg(long)]
    pub(crate) finding: Option<String>,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people, here.
    Terminal,
    /// results.json.
    Json,
    /// JUnit XML.
    Junit,
    /// One self-contained page.
    Html,
}

/// Flags of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Where runs are kept.
    #[arg(env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
    /// Print one JSON object a run.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `fissure plan …`
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Check scenarios; every mistake is reported at once.
    Check {
        /// The scenarios.
        #[arg(required = true)]
        scenarios: Vec<PathBuf>,
    },
    /// Say in words, and on a time ruler, what a scenario will do.
    Explain {
        /// The scenario.
        scenario: PathBuf,
        /// Seed of everything that is drawn.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {}

/// Flags of `recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The run folder, or `latest`.
    #[arg(default_value = "latest")]
    pub(crate) target: PathBuf,
    /// Where runs are kept.
    #[arg(long, env = "FISSURE_STORE", default_value = "store")]
    pub(crate) store: PathBuf,
}
