//! `fissure run`: from a scenario to a verdict.

use crate::analysis;
use crate::args::RunArgs;
use crate::exit::{Exit, Failure};
use crate::plan_command;
use crate::report_command;
use crate::screen::Screen;
use fissure_history::journal::Journal;
use fissure_history::manifest::{ManifestReason, Owner};
use fissure_history::{Manifest, RunDir, RunState, SCHEMA_VERSION, SealReport};
use fissure_plan::{Overrides, Plan, show_duration};
use fissure_run::{Progress, RunConfig, RunEnd, RunError, RunSummary};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// `fissure run`.
///
/// # Errors
/// When the scenario has mistakes, this machine cannot run it, or the history could not be kept.
pub(crate) fn run(args: &RunArgs, screen: &Screen) -> Result<Exit, Failure> {
    let (plan, source) = plan_command::load(&args.scenario, screen)?;
    let plan = overridden(plan, args)?;
    let seed = plan.seed.unwrap_or_else(fresh_seed);
    can_run_here()?;
    let program = std::env::current_exe().map_err(Failure::cannot_run)?;
    let mut manifest = first_manifest(&plan, seed);
    let run = RunDir::create(&args.store, &plan.name, seed, SystemTime::now()).map_err(Failure::cannot_run)?;
    manifest.write(run.path()).map_err(Failure::cannot_run)?;
    std::fs::write(run.file("scenario.toml"), source).map_err(Failure::cannot_run)?;
    let length = show_duration(plan.phases.total_ns());
    screen.say(&format!("{}  seed {seed}  up to {length}  {}", plan.name, run.path().display()));

    let journal = Journal::create(&run).map_err(Failure::cannot_run)?;
    let config = RunConfig { plan, seed, program };
    let mut line = ProgressLine::new(screen, std::fs::File::create(run.file("run.log")).map_err(Failure::cannot_run)?);
    let result = fissure_run::execute(&config, &run, &journal, &mut |progress| line.show(progress));
    line.finish();
    if result.is_ok() && !args.keep_data {
        remove_data(&run, &config.plan, screen);
    }
    let sealed = finish(&run, journal, &mut manifest, result)?;
    if sealed == Sealed::Aborted {
        screen.say(&format!("ended at once; what was recorded is in {}", run.path().display()));
        screen.say(&format!("to judge it: fissure check {}", run.path().display()));
        return Ok(Exit::Unknown);
    }
    let analysis = analysis::analyze(&run)?;
    report_command::conclude(&run, &analysis, Some(&args.scenario), args.json, screen)
}

/// A database keeps hundreds of megabytes that nobody looks at after most runs. Its logs stay.
fn remove_data(run: &RunDir, plan: &Plan, screen: &Screen) {
    for node in &plan.cluster.nodes {
        let data = run.nodes_dir().join(node).join("data");
        match std::fs::remove_dir_all(&data) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => screen.say(&format!("{} stays: {error}", data.display())),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sealed {
    Complete,
    /// Ctrl-C twice: sealed, not judged.
    Aborted,
}

/// Seals what was recorded, also of a run that failed, and replaces the manifest.
fn finish(
    run: &RunDir,
    journal: Journal,
    manifest: &mut Manifest,
    result: Result<RunSummary, RunError>,
) -> Result<Sealed, Failure> {
    let finished = journal.finish();
    let report = fissure_history::seal(run);
    let outcome = match &result {
        Ok(summary) => note_summary(manifest, summary),
        Err(error) => {
            let text = format!("the run could not go on: {error}");
            manifest.reasons.push(ManifestReason { code: "RUN_FAILED".to_owned(), text });
            Sealed::Complete
        }
    };
    if let Ok(report) = &report {
        note_seal(manifest, report);
    }
    manifest.owner = None;
    manifest.verdict = Some("unknown".to_owned());
    manifest.exit_code = Some(Exit::Unknown as i32);
    if report.is_ok() {
        manifest.state = RunState::Sealed;
        manifest.write(run.path()).map_err(Failure::cannot_run)?;
    }
    if let Err(error) = result {
        let folder = run.path().display();
        let help = if error.is_disk_full() {
            format!("make room; what was recorded is in {folder}, and `fissure recover {folder}` seals it")
        } else {
            format!("what was recorded is in {folder}; `fissure doctor` says what this host lacks")
        };
        let failure = if error.is_cannot_run_here() { Failure::cannot_run(error) } else { Failure::bug(error) };
        return Err(failure.help(help));
    }
    finished.map_err(Failure::cannot_run)?;
    report.map_err(Failure::cannot_run)?;
    Ok(outcome)
}

fn note_summary(manifest: &mut Manifest, summary: &RunSummary) -> Sealed {
    let mut reason = |code: &str, text: String| {
        manifest.reasons.push(ManifestReason { code: code.to_owned(), text });
    };
    match summary.end {
        RunEnd::Done => {}
        RunEnd::Interrupted => reason("INTERRUPTED", "the run was ended before its plan was done".to_owned()),
        RunEnd::Aborted => reason("INTERRUPTED", "the run was ended at once, in mid-flight".to_owned()),
    }
    if summary.end == RunEnd::Done && !summary.final_reads_done {
        let text = "the cluster did not serve all final reads in time after the faults were lifted".to_owned();
        reason("FINAL_READS_INCOMPLETE", text);
    }
    if let Some(error) = &summary.kernel.reader_error {
        reason("EVENT_READER_FAILED", format!("the reader of the kernel's events ended early: {error}"));
    }
    if summary.kernel.lease_expired > 0 {
        let text = format!("{} packets passed while the lease had run out", summary.kernel.lease_expired);
        reason("LEASE_EXPIRED", text);
    }
    manifest.target_version.clone_from(&summary.target_version);
    manifest.mechanisms.clone_from(&summary.mechanisms);
    manifest.counts.events_lost = summary.kernel.lost;
    if summary.end == RunEnd::Aborted { Sealed::Aborted } else { Sealed::Complete }
}

fn note_seal(manifest: &mut Manifest, report: &SealReport) {
    let events_lost = manifest.counts.events_lost;
    manifest.counts = report.counts;
    manifest.counts.events_lost = events_lost;
    manifest.duration_ns = report.last_ns.map(|last| last - manifest.started_ns);
}

fn overridden(plan: Plan, args: &RunArgs) -> Result<Plan, Failure> {
    let faults_ns = match &args.faults_for {
        None => None,
        Some(text) => Some(fissure_plan::parse_duration_ns(text).map_err(|error| {
            Failure::usage(anyhow::anyhow!("--faults-for {text}: {error}"))
                .help("give a number and a unit, such as 20s")
        })?),
    };
    let overrides = Overrides { seed: args.seed, bug: args.bug.clone(), faults_ns, rate: None };
    plan.with_overrides(&overrides).map_err(Failure::usage)
}

/// Checked before a folder is made, so that a run that cannot begin leaves nothing.
fn can_run_here() -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        let error = anyhow::anyhow!("a run needs root: it makes network namespaces and loads eBPF programs");
        return Err(Failure::cannot_run(error).help("try again with sudo"));
    }
    if !fissure_object::BUILT {
        let error = anyhow::anyhow!("this build has no eBPF programs in it");
        return Err(Failure::cannot_run(error).help("build it with `cargo xtask build`"));
    }
    Ok(())
}

/// A seed that no earlier run had; it is printed and kept. Six digits are enough, and can be typed.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)) % 1_000_000
}

fn first_manifest(plan: &Plan, seed: u64) -> Manifest {
    let started = SystemTime::now();
    let started_wall_ns = fissure_history::wall_ns(started);
    let workloads: Vec<&str> = plan.workloads.iter().map(|workload| workload.kind.name()).collect();
    Manifest {
        schema_version: SCHEMA_VERSION,
        state: RunState::Running,
        scenario: plan.name.clone(),
        seed,
        started: fissure_history::rfc3339(started_wall_ns),
        started_wall_ns,
        started_ns: fissure_run::clock::monotonic_ns(),
        kernel: kernel_release(),
        fissure_version: env!("CARGO_PKG_VERSION").to_owned(),
        target: target_words(plan),
        nodes: plan.cluster.nodes.clone(),
        workload: workloads.join(", "),
        owner: Some(Owner::current()),
        ..Manifest::default()
    }
}

fn target_words(plan: &Plan) -> String {
    match &plan.cluster.bug {
        Some(bug) => format!("{} (bug {bug})", plan.cluster.target.name()),
        None => plan.cluster.target.name().to_owned(),
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default().trim().to_owned()
}

/// One line that is drawn over on a terminal, and one line a phase elsewhere.
struct ProgressLine {
    bar: Option<ProgressBar>,
    /// `run.log`: one line a change, as without a terminal.
    log: std::fs::File,
    quiet: bool,
    phase: String,
    in_force: String,
}

impl ProgressLine {
    fn new(screen: &Screen, log: std::fs::File) -> Self {
        let bar = screen.live.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("▶ {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, log, quiet: screen.quiet, phase: String::new(), in_force: String::new() }
    }

    fn show(&mut self, progress: &Progress) {
        let text = words(progress);
        let changed = progress.phase != self.phase || progress.in_force != self.in_force;
        if changed {
            // The log is for the curious; a full disk shows in the journal first.
            let _ = writeln!(self.log, "{text}");
        }
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.tick();
        } else if changed && !self.quiet {
            eprintln!("▶ {text}");
        }
        self.phase.clone_from(&progress.phase);
        self.in_force.clone_from(&progress.in_force);
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn words(progress: &Progress) -> String {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let counts = progress.counts;
    let doing = if progress.in_force.is_empty() { String::new() } else { format!("  {}", progress.in_force) };
    format!(
        "{:<8} {:>4.1}s/{:.0}s  ops {}  ok {}  fail {}  info {}  drops {}{doing}",
        progress.phase,
        seconds(progress.elapsed_ns),
        seconds(progress.length_ns),
        counts.ops(),
        counts.ok,
        counts.fail,
        counts.info,
        counts.injections,
    )
}
