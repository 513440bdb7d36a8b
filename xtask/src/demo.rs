//! The demo: from a fresh checkout to a verdict, in one command.

use crate::{
    CANNOT_RUN_HERE, InstallArgs, build,
    repo::{Repo, is_root},
    setup::{self, Tools},
};
use anyhow::{Result, bail};
use clap::Args;
use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// The scenario that is shown: five hosts, the demo store, partitions aimed at its leader.
const SCENARIO: &str = "examples/demo-partition-leader.toml";

/// Flags of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    install: InstallArgs,
    /// The store's bug: none, stale-reads, ack-before-replicated, non-atomic-txn; by default the scenario's
    #[arg(long)]
    bug: Option<String>,
    /// Seed of the run; by default a new one
    #[arg(long)]
    seed: Option<u64>,
    /// More flags for `fissure run`, after `--`
    #[arg(last = true)]
    more: Vec<String>,
}

/// The task `demo`; ends with the exit code of the run.
pub(crate) fn run(repo: &Repo, args: &DemoArgs) -> Result<ExitCode> {
    if !is_root() && !args.install.no_install {
        eprintln!(
            "the demo needs root, for network namespaces and eBPF: sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask demo"
        );
        return Ok(ExitCode::from(CANNOT_RUN_HERE));
    }
    eprintln!("setup");
    setup::ensure(repo, args.install.no_install)?;
    let tools = Tools::find(repo)?;
    if let Some(reason) = tools.no_object_because() {
        eprintln!("the demo cannot run: {reason}");
        return Ok(ExitCode::from(CANNOT_RUN_HERE));
    }
    if args.install.no_install && !is_root() {
        return Ok(ExitCode::from(CANNOT_RUN_HERE));
    }
    let fissure = build::fissure(repo, &tools, false)?;
    let mut command = Command::new(fissure);
    command.args(["run", SCENARIO]).current_dir(&repo.root);
    if let Some(bug) = &args.bug {
        command.args(["--bug", bug]);
    }
    if let Some(seed) = args.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    command.args(&args.more);
    tools.apply(&mut command)?;
    // From here on this process is the run: signals, terminal and exit code are its own.
    bail!(command.exec())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_scenario_is_there() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(root.join(super::SCENARIO).is_file());
    }
}
