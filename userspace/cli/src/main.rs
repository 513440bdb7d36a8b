//! The binary `fissure`: flags in, exit code out. Everything it says comes from the rooms behind it.

mod analysis;
mod args;
mod artefacts;
mod check_command;
mod doctor_command;
mod exit;
mod export_command;
mod gen_command;
mod import_command;
mod judging;
mod kept_history;
mod life;
mod plan_command;
mod report_command;
mod run_command;
mod screen;
mod sql_command;
mod sql_completion;
mod sql_help;
mod sql_output;
mod sql_shell;
mod sql_signals;
mod store_command;
mod transaction_order;
mod whole_file;

use args::{Cli, Command, PlanCommand};
use clap::{CommandFactory, Parser};
use exit::{Exit, Failure};
use screen::Screen;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let screen = Screen::new(&cli);
    start_logging(&cli);
    std::panic::set_hook(Box::new(|info| {
        eprintln!(
            "error: this is a bug in fissure: {info}\nhelp: please report it, with the command and what it printed"
        );
    }));
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dispatch(&cli, &screen))) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => {
            screen.error(&failure.text(), failure.help.as_deref());
            failure.exit.into()
        }
        Err(_) => Exit::Bug.into(),
    }
}

/// Clap's own codes are 0 and 2; ours for a wrong flag is 64.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Valid.into() }
}

fn start_logging(cli: &Cli) {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info,openraft=warn",
        (false, _) => "debug,openraft=info",
    };
    // A node of the demo store writes its log to standard error, which the lab keeps in a file.
    let level = if matches!(cli.command, Command::DemoNode { .. }) { "info,openraft=warn" } else { level };
    let filter = tracing_subscriber::EnvFilter::try_from_env("FISSURE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

fn dispatch(cli: &Cli, screen: &Screen) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Run(args) => run_command::run(args, screen),
        Command::Check(args) => check_command::check(args, screen),
        Command::Sql(args) => sql_command::sql(args, screen),
        Command::Import(args) => import_command::import(args, screen),
        Command::Export(args) => export_command::export_history(args, screen),
        Command::Gen(args) => gen_command::gen_history(args, screen),
        Command::Report(args) => report_command::report(args, screen),
        Command::Ls(args) => store_command::ls(args, screen),
        Command::Plan(PlanCommand::Check { scenarios }) => plan_command::check(scenarios, screen),
        Command::Plan(PlanCommand::Explain { scenario, seed }) => plan_command::explain(scenario, *seed, screen),
        Command::Doctor(args) => doctor_command::doctor(args, screen),
        Command::Clean(_) => store_command::clean(screen),
        Command::Recover(args) => store_command::recover(args, screen),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "fissure", &mut text);
            screen.data(&String::from_utf8_lossy(&text));
            Ok(Exit::Valid)
        }
        Command::Man { dir } => store_command::man(dir, Cli::command(), screen),
        Command::DemoNode { args } => life::demo_node(args),
        Command::LabReaper { journal } => life::lab_reaper(journal),
    }
}
