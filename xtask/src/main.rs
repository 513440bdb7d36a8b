//! `cargo xtask`: sets up, builds, tests and shows Fissure. CI calls this and nothing else.
//!
//! Invariants:
//! * nothing is installed over the user's system: tools live in a cache of their own (see [`setup`]), everything that is
//!   built lives in cargo's target directory, no service is started;
//! * what will be downloaded is said before it is, with the reason; `--no-install` downloads nothing;
//! * a step that cannot run is counted as skipped, with its reason; a step that fails does not hide the others.

mod bench;
mod build;
mod demo;
mod object;
mod process;
mod repo;
mod setup;
mod test;
mod tidy;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use repo::Repo;
use std::{path::PathBuf, process::ExitCode};

/// Exit code for "this machine lacks something", as `fissure` itself uses it.
const CANNOT_RUN_HERE: u8 = 3;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Sets up, builds, tests and shows Fissure")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch what is missing into a cache of this project; says first what and why
    Setup(InstallArgs),
    /// Build the eBPF programs and the binary `fissure`
    Build(build::BuildArgs),
    /// Run every check and test that this machine can run, and count the others
    Test(test::TestArgs),
    /// Set up, build, and break a replicated store on purpose (needs root)
    Demo(demo::DemoArgs),
    /// Measure: packets, recording, checking
    Bench(bench::BenchArgs),
    /// Check the house rules that a compiler does not know
    Tidy,
    /// Write the man pages
    Man {
        /// Directory; by default fissure/man under the target directory
        dir: Option<PathBuf>,
    },
    /// Print completions for a shell: bash, zsh, fish, elvish, powershell
    Completions {
        /// The shell
        shell: String,
    },
}

/// Whether missing tools may be fetched.
#[derive(Args, Clone, Copy)]
struct InstallArgs {
    /// Only list what is missing; download nothing
    #[arg(long)]
    no_install: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = process::catch_interrupts().and_then(|()| Repo::open()).and_then(|repo| run(&repo, cli.task));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(repo: &Repo, task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup(args) => setup::run(repo, args.no_install),
        Task::Build(args) => build::run(repo, &args),
        Task::Test(args) => test::run(repo, &args),
        Task::Demo(args) => demo::run(repo, &args),
        Task::Bench(args) => bench::run(repo, &args),
        Task::Tidy => tidy::run(repo),
        Task::Man { dir } => build::man(repo, dir),
        Task::Completions { shell } => build::completions(repo, &shell),
    }
}
