//! `fissure ls`, `recover`, `clean`, `man`: the store and what runs left behind.

use crate::args::{LsArgs, RecoverArgs};
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use fissure_history::{Manifest, RecoverReport, RunDir, RunState};
use std::path::{Path, PathBuf};

/// Finds a run: a folder, a name within the store, or `latest`.
///
/// # Errors
/// When there is no such run.
pub(crate) fn open_run(target: &Path, store: &Path) -> Result<RunDir, Failure> {
    let in_store = store.join(target);
    let what: PathBuf = if target.exists() || !in_store.exists() { target.to_owned() } else { in_store };
    let what = if target == Path::new("latest") { store.join("latest") } else { what };
    RunDir::open(&what).map_err(|error| {
        Failure::usage(error).help(format!("`fissure ls {}` lists the runs of a store", store.display()))
    })
}

/// `fissure ls`.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn ls(args: &LsArgs, screen: &Screen) -> Result<Exit, Failure> {
    let runs = RunDir::list(&args.store).map_err(Failure::usage)?;
    if runs.is_empty() {
        screen.say(&format!("no runs in {}", args.store.display()));
    }
    let mut text = String::new();
    if !args.json && !runs.is_empty() {
        text.push_str("verdict  state      ops      injections  seconds  run\n");
    }
    for run in runs {
        let name = run.dir.name();
        let manifest = match &run.manifest {
            Ok(manifest) => manifest,
            Err(error) => {
                screen.say(&format!("{name}: {error}"));
                continue;
            }
        };
        if args.json {
            text.push_str(&serde_json::to_string(manifest).map_err(Failure::bug)?);
            text.push('\n');
            continue;
        }
        text.push_str(&format!(
            "{:<8} {:<10} {:<8} {:<11} {:<8} {name}\n",
            manifest.verdict.as_deref().unwrap_or("-"),
            state(manifest),
            manifest.counts.ops,
            manifest.counts.injections,
            manifest.duration_ns.map_or_else(|| "-".to_owned(), |ns| format!("{:.1}", ns as f64 / 1e9)),
        ));
    }
    screen.data(&text);
    Ok(Exit::Valid)
}

/// A run that says it is running but whose process is gone was killed.
fn state(manifest: &Manifest) -> &'static str {
    match manifest.state {
        RunState::Running if !manifest.owner.as_ref().is_some_and(|owner| owner.is_alive()) => "killed",
        state => state.name(),
    }
}

/// `fissure recover`.
///
/// # Errors
/// When the run is alive, or its journal cannot be read.
pub(crate) fn recover(args: &RecoverArgs, screen: &Screen) -> Result<Exit, Failure> {
    let run = open_run(&args.target, &args.store)?;
    let report = fissure_history::recover(&run).map_err(Failure::usage)?;
    screen.data(&recovered(&report));
    screen.say(&format!("now: fissure check {}", run.path().display()));
    Ok(Exit::Valid)
}

fn recovered(report: &RecoverReport) -> String {
    if report.was_sealed {
        return "it had been sealed before; nothing was to be done\n".to_owned();
    }
    let counts = report.seal.counts;
    let mut text = format!(
        "sealed {} operations ({} were in flight and are info), {} faults, {} injections\n",
        counts.ops, report.seal.open_ops, counts.faults, counts.injections
    );
    for torn in &report.seal.torn {
        text.push_str(&format!("cut {} torn bytes from {}\n", torn.bytes, torn.path.display()));
    }
    text
}

/// `fissure clean`.
///
/// # Errors
/// When something of ours could not be removed.
pub(crate) fn clean(screen: &Screen) -> Result<Exit, Failure> {
    let report = fissure_lab::clean(fissure_lab::CleanScope::DeadOwners).map_err(Failure::cannot_run)?;
    screen.data(&format!("{report}\n"));
    Ok(Exit::Valid)
}

/// `fissure man`.
///
/// # Errors
/// When the pages cannot be written.
pub(crate) fn man(dir: &Path, command: clap::Command, screen: &Screen) -> Result<Exit, Failure> {
    std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)).map_err(|error| {
        Failure::cannot_run(anyhow::anyhow!("cannot write the man pages into {}: {error}", dir.display()))
    })?;
    screen.say(&format!("man pages written to {}", dir.display()));
    Ok(Exit::Valid)
}
