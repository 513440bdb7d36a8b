//! `fissure check`: a verdict on a run, or on any history file.

use crate::analysis;
use crate::args::{CheckArgs, WorkloadName};
use crate::exit::{Exit, Failure};
use crate::import_command;
use crate::report_command;
use crate::screen::Screen;
use crate::store_command::open_run;
use fissure_checker::consistency::Model;
use fissure_checker::{CheckResult, History, Reason, linearizable};
use fissure_history::RunState;
use fissure_history::import::{import_file_with, is_foreign_folder};

/// `fissure check`.
///
/// # Errors
/// When the history cannot be read, or a flag is wrong.
pub(crate) fn check(args: &CheckArgs, screen: &Screen) -> Result<Exit, Failure> {
    if let Some(model) = &args.model {
        if model == "help" {
            screen.data(&model_list());
            return Ok(Exit::Valid);
        }
        known_model(model)?;
    }
    if args.import.wants_list(screen) {
        return Ok(Exit::Valid);
    }
    let foreign = args.target.is_file() || is_foreign_folder(&args.target);
    if foreign { check_file(args, screen) } else { check_run(args, screen) }
}

fn check_file(args: &CheckArgs, screen: &Screen) -> Result<Exit, Failure> {
    let imported = import_file_with(&args.target, &args.import.options()?).map_err(Failure::usage)?;
    import_command::say_notes(&imported.notes, &imported.skipped, screen);
    let results = judge(&imported.history, args);
    report_command::conclude_check(&args.target.display().to_string(), &results, args.json, screen)
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
    if args.model.is_some() || args.workload.is_some() || args.import.initial.is_some() || args.failed_cas_observes {
        let recorded = fissure_history::read_history(run.path()).map_err(Failure::usage)?;
        let results = judge(&recorded.history, args);
        return report_command::conclude_check(&run.path().display().to_string(), &results, args.json, screen);
    }
    let analysis = analysis::analyze(&run)?;
    report_command::conclude(&run, &analysis, None, args.json, screen)
}

/// The checkers that the flags ask for, or those that the operations call for.
fn judge(history: &History, args: &CheckArgs) -> Vec<CheckResult> {
    let analysis::Parts { registers, transactions, unchecked } = analysis::parts(history);
    let model = args.model.as_deref();
    let options = linearizable::Options {
        initial: args.import.initial,
        failed_cas_observes: args.failed_cas_observes,
        ..linearizable::Options::default()
    };
    match args.workload {
        Some(WorkloadName::Register) => vec![analysis::check_registers(&registers, &options)],
        Some(WorkloadName::ListAppend) => vec![analysis::check_transactions(&transactions, model)],
        None => {
            let mut results = Vec::new();
            if !registers.is_empty() {
                results.push(analysis::check_registers(&registers, &options));
            }
            if !transactions.is_empty() {
                results.push(analysis::check_transactions(&transactions, model));
            }
            results.extend(unchecked);
            if results.is_empty() {
                let reason = Reason::new("NOTHING_CHECKED", "the history has no operations");
                results.push(CheckResult::unknown("none", model.unwrap_or("none"), reason));
            }
            results
        }
    }
}

fn known_model(name: &str) -> Result<(), Failure> {
    Model::parse(name)
        .map(|_| ())
        .map_err(|error| Failure::usage(error).help("`fissure check --model help` lists them all"))
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
