//! The binary `fissure`, and what it prints about itself.

use crate::{
    CANNOT_RUN_HERE, InstallArgs, object,
    process::run as run_command,
    repo::Repo,
    setup::{self, Tools},
};
use anyhow::Result;
use clap::Args;
use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

/// Flags of `build`.
#[derive(Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    install: InstallArgs,
    /// Optimized; takes longer to build
    #[arg(long)]
    release: bool,
}

/// The task `build`.
pub(crate) fn run(repo: &Repo, args: &BuildArgs) -> Result<ExitCode> {
    eprintln!("setup");
    setup::ensure(repo, args.install.no_install)?;
    let tools = Tools::find(repo)?;
    if let Some(reason) = tools.no_object_because() {
        eprintln!("cannot build the eBPF programs: {reason}");
        return Ok(ExitCode::from(CANNOT_RUN_HERE));
    }
    let fissure = fissure(repo, &tools, args.release)?;
    for dir in &tools.path {
        eprintln!(
            "programs that were fetched are in {}: put it into PATH when you start fissure yourself",
            dir.display()
        );
    }
    println!("{}", fissure.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the programs and the binary that embeds them.
pub(crate) fn fissure(repo: &Repo, tools: &Tools, release: bool) -> Result<PathBuf> {
    eprintln!("building the eBPF programs");
    object::build(repo, tools)?;
    eprintln!("building fissure (the first time takes about ten minutes on two cores)");
    run_command(&mut cargo_build(repo, tools, release)?)?;
    Ok(repo.fissure(release))
}

fn cargo_build(repo: &Repo, tools: &Tools, release: bool) -> Result<Command> {
    let mut command = repo.cargo(&["build", "--package=fissure-cli", "--features=etcd"]);
    if release {
        command.arg("--release");
    }
    tools.apply(&mut command)?;
    Ok(command)
}

/// A `fissure` for its words only: it is built if need be, with or without eBPF programs.
fn any_fissure(repo: &Repo) -> Result<Command> {
    run_command(&mut cargo_build(repo, &Tools::find(repo)?, false)?)?;
    Ok(Command::new(repo.fissure(false)))
}

/// The task `man`.
pub(crate) fn man(repo: &Repo, dir: Option<PathBuf>) -> Result<ExitCode> {
    let dir = dir.unwrap_or_else(|| repo.out().join("man"));
    std::fs::create_dir_all(&dir)?;
    run_command(any_fissure(repo)?.arg("man").arg(&dir))?;
    println!("{}", dir.display());
    Ok(ExitCode::SUCCESS)
}

/// The task `completions`.
pub(crate) fn completions(repo: &Repo, shell: &str) -> Result<ExitCode> {
    run_command(any_fissure(repo)?.args(["completions", shell]))?;
    Ok(ExitCode::SUCCESS)
}
