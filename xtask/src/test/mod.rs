//! `cargo xtask test`: every check and test that this machine can run, each built once, all of them counted.
//!
//! The steps share one build. Tests that need something are found by the cargo features that their targets require:
//! `privileged` (root, the eBPF object, the programs of the lab), `etcd-server` (etcd), `shared-histories` (a folder of
//! recorded histories beside the checkout), `python` (packages of PyPI). What cannot run is listed and counted as skipped, with the reason.

mod binaries;
mod tally;

use crate::{
    InstallArgs, object, process,
    repo::Repo,
    setup::{self, Tools},
    tidy,
};
use anyhow::Result;
use binaries::{Binaries, Group};
use clap::{Args, ValueEnum};
use std::{
    process::{Command, ExitCode},
    time::Instant,
};
use tally::{Summary, Tally};

/// Flags of `test`.
#[derive(Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    install: InstallArgs,
    /// Only these steps
    #[arg(long, value_enum, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// Only what needs neither root nor a network nor long: tidy, fmt, unit
    #[arg(long, conflicts_with = "only")]
    quick: bool,
}

/// Steps, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// House rules
    Tidy,
    /// rustfmt
    Fmt,
    /// Compile the eBPF programs
    Object,
    /// Compile everything, once, through clippy; its warnings are failures
    Build,
    /// Tests that need nothing
    Unit,
    /// Examples in the documentation
    Doc,
    /// Recorded histories beside the checkout
    Histories,
    /// Other readers of the same files, and an S3 server (DuckDB, Polars, pandas, moto)
    Python,
    /// A real etcd on the loopback interface
    Etcd,
    /// Root: kernel, labs, whole runs
    Privileged,
}

const QUICK: [Step; 4] = [Step::Tidy, Step::Fmt, Step::Build, Step::Unit];

impl Step {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The group of tests that this step runs.
    fn group(self) -> Option<Group> {
        match self {
            Step::Unit => Some(Group::Plain),
            Step::Histories => Some(Group::Histories),
            Step::Python => Some(Group::Python),
            Step::Etcd => Some(Group::Etcd),
            Step::Privileged => Some(Group::Privileged),
            _ => None,
        }
    }

    fn is_wanted(self, args: &TestArgs) -> bool {
        match (args.quick, args.only.is_empty()) {
            (true, _) => QUICK.contains(&self),
            (false, true) => true,
            // Tests are of no use without their build, nor the kernel's tests without the object.
            (false, false) => {
                let needs_build = args.only.iter().any(|step| step.group().is_some());
                let needs_object = args.only.contains(&Step::Privileged);
                args.only.contains(&self)
                    || (self == Step::Build && needs_build)
                    || (self == Step::Object && needs_object)
            }
        }
    }
}

/// The task `test`.
pub(crate) fn run(repo: &Repo, args: &TestArgs) -> Result<ExitCode> {
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(|step| step.is_wanted(args)).collect();
    println!("plan: {}", steps.iter().map(|step| step.name()).collect::<Vec<_>>().join(", "));
    let needs_tools =
        steps.iter().any(|step| matches!(step, Step::Object | Step::Python | Step::Etcd | Step::Privileged));
    if needs_tools {
        println!("\nsetup");
        setup::ensure(repo, args.install.no_install)?;
    }
    let mut session = Session { repo, tools: Tools::find(repo)?, object_error: None, binaries: Binaries::default() };
    let mut summary = Summary::default();
    for step in steps {
        println!("\n{}", step.name());
        let start = Instant::now();
        let tally = session.step(step).unwrap_or_else(|error| {
            println!("  {error:#}");
            Tally::failed(format!("{}: {error:#}", step.name()))
        });
        summary.add(step.name(), start.elapsed(), tally);
        if process::interrupted() {
            summary.interrupt();
            break;
        }
    }
    print!("\n{summary}");
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Session<'a> {
    repo: &'a Repo,
    tools: Tools,
    object_error: Option<String>,
    binaries: Binaries,
}

impl Session<'_> {
    fn step(&mut self, step: Step) -> Result<Tally> {
        match step {
            Step::Tidy => Ok(self.tidy()?),
            Step::Fmt => self.tool("fmt", "rustfmt", &["fmt", "--all", "--check"]),
            Step::Object => self.object(),
            Step::Build => {
                let (built, mut tally) = binaries::build(self.repo, &self.tools)?;
                self.binaries = built;
                // What stands in for the adapter of etcd in a build without it.
                let clippy = ["clippy", "--package", "fissure-targets", "--all-targets", "--", "--deny=warnings"];
                tally.merge(self.tool("clippy", "clippy", &clippy)?);
                Ok(tally)
            }
            Step::Doc => binaries::doc_tests(self.repo, &self.tools),
            Step::Unit | Step::Histories | Step::Python | Step::Etcd | Step::Privileged => self.tests(step),
        }
    }

    fn tidy(&self) -> Result<Tally> {
        let findings = tidy::check(self.repo)?;
        findings.iter().for_each(|finding| println!("  {finding}"));
        match findings.len() {
            0 => Ok(Tally::passed(1)),
            count => Ok(Tally::failed(format!("tidy: {count} findings"))),
        }
    }

    /// A component of the toolchain that may not be installed.
    fn tool(&self, subcommand: &str, component: &str, args: &[&str]) -> Result<Tally> {
        let mut probe = Command::new(crate::repo::cargo());
        let there = probe.args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success());
        if !there {
            return Ok(Tally::skipped(1, format!("{component} is not installed (rustup component add {component})")));
        }
        let mut command = self.repo.cargo(args);
        self.tools.apply(&mut command)?;
        match process::status(&mut command)?.success() {
            true => Ok(Tally::passed(1)),
            false => Ok(Tally::failed(format!("{subcommand}: see above"))),
        }
    }

    fn object(&mut self) -> Result<Tally> {
        if let Some(reason) = self.tools.no_object_because() {
            self.object_error = Some(reason.clone());
            return Ok(Tally::skipped(1, reason));
        }
        match object::build(self.repo, &self.tools) {
            Ok(path) => {
                println!("  {}", path.display());
                Ok(Tally::passed(1))
            }
            Err(error) => {
                self.object_error = Some("the eBPF programs did not compile".to_owned());
                Err(error)
            }
        }
    }

    fn tests(&self, step: Step) -> Result<Tally> {
        let mut tally = Tally::default();
        for binary in self.binaries.of_group(step.group()) {
            if process::interrupted() {
                break;
            }
            let reason = binary.cannot_run(self.repo, &self.tools, self.object_error.as_deref());
            tally.merge(match reason {
                Some(reason) => binary.skip(reason),
                None => binary.run(self.repo, &self.tools)?,
            });
        }
        Ok(tally)
    }
}
