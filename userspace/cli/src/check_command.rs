//! `fissure check`: a verdict on a run, or on any history file.

use crate::analysis;
use crate::args::{CheckArgs, RegisterFlags};
use crate::artefacts;
use crate::exit::{Exit, Failure};
use crate::import_command;
use crate::judging::{Assumptions, Judging, anomalies};
use crate::report_command;
use crate::screen::Screen;
use crate::store_command::open_run;
use crate::transaction_order::TransactionOrder;
use crate::whole_file::write_whole;
use fissure_checker::consistency::Model;
use fissure_checker::{History, linearizable};
use fissure_history::RunState;
use fissure_history::check::Memory;
use fissure_history::import::{import_file_with, is_foreign_folder};

/// `fissure check`.
///
/// # Errors
/// When the history cannot be read, or a flag is wrong.
pub(crate) fn check(args: &CheckArgs, screen: &Screen) -> Result<Exit, Failure> {
    if args.model.as_deref() == Some("help") {
        screen.data(&model_list());
        return Ok(Exit::Valid);
    }
    if args.import.wants_list(screen) {
        return Ok(Exit::Valid);
    }
    let foreign = args.target.is_file() || is_foreign_folder(&args.target);
    if foreign { check_file(args, screen) } else { check_run(args, screen) }
}

/// How the flags want it judged.
///
/// # Errors
/// When a name is unknown, or the file of an order is not understood.
fn judging(args: &CheckArgs) -> Result<Judging, Failure> {
    let RegisterFlags { wfr_keys, sequential_keys, linearizable_keys, transaction_order } = &args.registers;
    let assumptions =
        Assumptions { wfr_keys: *wfr_keys, sequential_keys: *sequential_keys, linearizable_keys: *linearizable_keys };
    let registers = linearizable::Options {
        initial: args.import.initial,
        failed_cas_observes: args.failed_cas_observes,
        ..linearizable::Options::default()
    };
    Ok(Judging {
        workload: args.workload,
        model: args.model.as_deref().map(known_model).transpose()?,
        registers,
        assumptions,
        transaction_order: transaction_order.as_deref().map(TransactionOrder::read).transpose()?,
        anomalies: args.anomalies.as_deref().map(anomalies).transpose()?.unwrap_or_default(),
        ..Judging::default()
    })
}

fn check_file(args: &CheckArgs, screen: &Screen) -> Result<Exit, Failure> {
    let judging = judging(args)?;
    if args.target.extension().is_some_and(|extension| extension == "parquet")
        && let Some(results) = analysis::judged_from_columns(&args.target, &judging, &columns(args))?
    {
        return report_command::conclude_check(&args.target.display().to_string(), &results, args.json, screen);
    }
    say_memory(args, screen);
    let imported = import_file_with(&args.target, &args.import.options()?).map_err(Failure::usage)?;
    import_command::say_notes(&imported.notes, &imported.skipped, screen);
    conclude(args, &args.target.display().to_string(), &imported.history, &judging, screen)
}

fn check_run(args: &CheckArgs, screen: &Screen) -> Result<Exit, Failure> {
    let run = open_run(&args.target, &args.store)?;
    let manifest = fissure_history::Manifest::read(run.path()).map_err(Failure::usage)?;
    if manifest.state == RunState::Running {
        let alive = manifest.owner.as_ref().is_some_and(|owner| owner.is_alive());
        let error = anyhow::anyhow!("{} is not sealed", run.path().display());
        let recover =
            format!("its process was killed; seal what it recorded: fissure recover {}", run.path().display());
        return Err(Failure::usage(error).help(if alive { "it is still running".to_owned() } else { recover }));
    }
    if is_judged_anew(args) {
        let judging = judging(args)?;
        if let Some(results) = analysis::judged_from_columns(run.path(), &judging, &columns(args))? {
            return report_command::conclude_check(&run.path().display().to_string(), &results, args.json, screen);
        }
        say_memory(args, screen);
        let recorded = fissure_history::read_history(run.path()).map_err(Failure::usage)?;
        return conclude(args, &run.path().display().to_string(), &recorded.history, &judging, screen);
    }
    let analysis = analysis::analyze(&run)?;
    report_command::conclude(&run, &analysis, None, args.json, screen)
}

/// How a sealed history may be judged without reading it whole.
fn columns(args: &CheckArgs) -> Option<Memory> {
    // Pictures and excerpts are made from the operations.
    let memory = Memory { bytes_max: args.memory, spill_dir: args.spill_dir.clone() };
    args.output.is_none().then_some(memory)
}

fn say_memory(args: &CheckArgs, screen: &Screen) {
    if args.memory.is_some() {
        screen.say("note: this history is read into memory as a whole, whatever --memory says");
    }
}

/// Whether the flags ask for anything else than the verdict that belongs to the run.
fn is_judged_anew(args: &CheckArgs) -> bool {
    let RegisterFlags { wfr_keys, sequential_keys, linearizable_keys, transaction_order } = &args.registers;
    args.model.is_some()
        || args.workload.is_some()
        || args.anomalies.is_some()
        || args.output.is_some()
        || args.memory.is_some()
        || args.import.initial.is_some()
        || args.failed_cas_observes
        || *wfr_keys
        || *sequential_keys
        || *linearizable_keys
        || transaction_order.is_some()
}

/// Judges, writes what was asked for, and shows what was found.
fn conclude(
    args: &CheckArgs,
    name: &str,
    history: &History,
    judging: &Judging,
    screen: &Screen,
) -> Result<Exit, Failure> {
    let results = judging.judge(history)?;
    if let Some(dir) = &args.output {
        std::fs::create_dir_all(dir)
            .map_err(|error| Failure::cannot_run(anyhow::anyhow!("cannot make {}: {error}", dir.display())))?;
        let written = artefacts::write(dir, history, &results, judging)?;
        write_whole(&dir.join("results.json"), &format!("{:#}\n", fissure_report::check_json(&results)))?;
        screen.say(&format!("{}: results.json, and {} excerpts in findings/", dir.display(), written.len()));
    }
    report_command::conclude_check(name, &results, args.json, screen)
}

fn known_model(name: &str) -> Result<Model, Failure> {
    Model::parse(name).map_err(|error| Failure::usage(error).help("`fissure check --model help` lists them all"))
}

fn model_list() -> String {
    let mut text = String::from("models of --model, with their other names:\n");
    for model in Model::all() {
        let others: Vec<&str> = model.names().filter(|name| *name != model.name()).collect();
        let others = if others.is_empty() { String::new() } else { format!("  ({})", others.join(", ")) };
        text.push_str(&format!("  {}{others}\n", model.name()));
    }
    text
}
