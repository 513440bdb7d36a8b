//! Test binaries: built by one cargo command, run one after the other in their package's directory, as cargo would.

use super::tally::Tally;
use crate::{
    process::{self, Ended},
    repo::{Package, Repo, is_root},
    setup::Tools,
};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Features that make test targets appear, and nothing else; `etcd` brings the adapter that they test.
const TEST_FEATURES: [&str; 5] = ["privileged", "etcd-server", "shared-histories", "python", "etcd"];

/// Longest time for one binary; a test that hangs must not hang everything.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// What a binary's tests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Nothing.
    Plain,
    /// Recorded histories beside the checkout.
    Histories,
    /// A Python with other readers of Parquet, and an S3 server.
    Python,
    /// An etcd.
    Etcd,
    /// Root.
    Privileged,
}

/// Everything that was built.
#[derive(Debug, Default)]
pub(super) struct Binaries {
    list: Vec<Binary>,
}

impl Binaries {
    /// The binaries of a group, in order of package and name.
    pub(super) fn of_group(&self, group: Option<Group>) -> impl Iterator<Item = &Binary> {
        self.list.iter().filter(move |binary| Some(binary.group()) == group)
    }
}

/// An executable with tests.
#[derive(Debug)]
pub(super) struct Binary {
    package: Package,
    target: String,
    kind: String,
    required: Vec<String>,
    executable: PathBuf,
}

/// The features of the one build that everything shares, as cargo's `--features` takes them.
pub(super) fn features(repo: &Repo) -> String {
    let of = |package: &Package| -> Vec<String> {
        let known = TEST_FEATURES.iter().filter(|feature| package.features.iter().any(|f| f == *feature));
        known.map(|feature| format!("{}/{feature}", package.name)).collect()
    };
    repo.packages.iter().flat_map(of).collect::<Vec<_>>().join(",")
}

/// Compiles everything in the workspace; goes on where something does not compile.
///
/// clippy-driver compiles the workspace's own packages: it is rustc with more lints. `cargo clippy` beside `cargo build`
/// would go through every dependency twice, and the largest of them takes minutes.
pub(super) fn build(repo: &Repo, tools: &Tools) -> Result<(Binaries, Tally)> {
    let features = features(repo);
    let mut command = repo.cargo(&["build", "--workspace", "--all-targets", "--keep-going", "--features", &features]);
    command.arg("--message-format=json").stdin(Stdio::null());
    tools.apply(&mut command)?;
    let lints = lint(&mut command);
    let (mut list, mut warnings) = (Vec::new(), 0);
    let status = process::each_line(&mut command, |line| {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        if message["reason"] == "compiler-message" {
            eprint!("{}", message["message"]["rendered"].as_str().unwrap_or_default());
            warnings += usize::from(message["message"]["level"] == "warning");
        } else if message["profile"]["test"] == true {
            list.extend(Binary::parse(repo, &message));
        }
    })?;
    list.sort_by(|a, b| (&a.package.name, &a.kind, &a.target).cmp(&(&b.package.name, &b.kind, &b.target)));
    let mut tally = match status.success() {
        true => Tally::passed(1),
        false => Tally::failed("build: not everything compiles".to_owned()),
    };
    tally.merge(match (lints, warnings) {
        (false, _) => Tally::skipped(1, "clippy is not installed (rustup component add clippy)".to_owned()),
        (true, 0) => Tally::passed(1),
        (true, count) => Tally::failed(format!("clippy: {count} warnings, see above")),
    });
    Ok((Binaries { list }, tally))
}

/// Lets clippy-driver compile the packages of the workspace, if it is installed. Every build of a test run must do the
/// same: cargo builds anew what another compiler has built.
fn lint(command: &mut Command) -> bool {
    let there = Command::new("clippy-driver").arg("--version").output().is_ok_and(|output| output.status.success());
    if there {
        command.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    }
    there
}

/// The examples in the documentation; cargo compiles and runs them itself.
pub(super) fn doc_tests(repo: &Repo, tools: &Tools) -> Result<Tally> {
    let features = features(repo);
    let mut command = repo.cargo(&["test", "--workspace", "--doc", "--no-fail-fast", "--features", &features]);
    tools.apply(&mut command)?;
    lint(&mut command);
    let log = log_of(repo, "doc")?;
    let ended = process::logged(&mut command, &log, LIMIT)?;
    Ok(read_log("doc", &log, &ended))
}

impl Binary {
    fn parse(repo: &Repo, message: &Value) -> Option<Self> {
        let package = repo.packages.iter().find(|package| message["package_id"] == package.id.as_str())?;
        let name = message["target"]["name"].as_str()?;
        let kind = message["target"]["kind"][0].as_str()?;
        if kind == "bench" {
            // Compiled, so that it does not rot; run by `cargo xtask bench`.
            return None;
        }
        let target = package.targets.iter().find(|target| target.name == name && target.kind == kind)?;
        Some(Self {
            package: package.clone(),
            target: name.to_owned(),
            kind: kind.to_owned(),
            required: target.required_features.clone(),
            executable: message["executable"].as_str()?.into(),
        })
    }

    fn requires(&self, feature: &str) -> bool {
        self.required.iter().any(|required| required == feature)
    }

    fn group(&self) -> Group {
        match () {
            () if self.requires("privileged") => Group::Privileged,
            () if self.requires("etcd-server") => Group::Etcd,
            () if self.requires("python") => Group::Python,
            () if self.requires("shared-histories") => Group::Histories,
            () => Group::Plain,
        }
    }

    fn name(&self) -> String {
        match self.kind.as_str() {
            "lib" => self.package.name.clone(),
            kind => format!("{} {kind} {}", self.package.name, self.target),
        }
    }

    /// Why its tests cannot run on this machine; `None` if they can.
    pub(super) fn cannot_run(&self, repo: &Repo, tools: &Tools, object_error: Option<&str>) -> Option<String> {
        if self.requires("privileged") {
            if !is_root() {
                return Some("needs root".to_owned());
            }
            if let Some(reason) = object_error.filter(|_| repo.reaches(&self.package.name, "fissure-object")) {
                return Some(reason.to_owned());
            }
        }
        let needed: &[&str] = match self.group() {
            Group::Privileged => &["ip", "tc", "nft", "bpftool"],
            Group::Etcd => &["etcd"],
            Group::Plain | Group::Histories | Group::Python => &[],
        };
        let missing: Vec<&str> = needed.iter().copied().filter(|name| tools.missing_programs.contains(name)).collect();
        if !missing.is_empty() {
            return Some(format!("needs {} (`cargo xtask setup`)", missing.join(", ")));
        }
        if self.requires("python") && tools.python.is_none() {
            return Some("needs packages of Python (`cargo xtask setup`)".to_owned());
        }
        let histories = repo.root.join("../shared/histories");
        (self.requires("shared-histories") && !histories.is_dir())
            .then(|| "there are no recorded histories in ../shared/histories".to_owned())
    }

    fn command(&self, tools: &Tools) -> Result<Command> {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.package.dir).env("CARGO_MANIFEST_DIR", &self.package.dir).stdin(Stdio::null());
        tools.apply(&mut command)?;
        Ok(command)
    }

    /// Counts its tests without running them.
    pub(super) fn skip(&self, reason: String) -> Tally {
        let listed = Command::new(&self.executable).args(["--list", "--format", "terse"]).output();
        let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let count = text.lines().filter(|line| line.ends_with(": test")).count().max(1);
        println!("  skipped {:<52} {count:>4}  {reason}", self.name());
        Tally::skipped(count, reason)
    }

    /// Runs its tests and says what came of them.
    pub(super) fn run(&self, repo: &Repo, tools: &Tools) -> Result<Tally> {
        let log = log_of(repo, &self.name())?;
        let start = Instant::now();
        let ended = process::logged(&mut self.command(tools)?, &log, LIMIT)?;
        let tally = read_log(&self.name(), &log, &ended);
        if tally != Tally::default() {
            let word = if tally.failures.is_empty() { "ok" } else { "FAILED" };
            println!("  {word:<7} {:<52} {:>4}  {:.1} s", self.name(), tally.passed, start.elapsed().as_secs_f64());
        }
        Ok(tally)
    }
}

fn log_of(repo: &Repo, name: &str) -> Result<PathBuf> {
    let dir = repo.out().join("test-logs");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir.join(format!("{}.log", name.replace(' ', "-"))))
}

/// Counts what a log tells; shows the log if something failed.
fn read_log(what: &str, log: &Path, ended: &Ended) -> Tally {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let bad_end = match ended {
        Ended::By(status) => Some(status.to_string()).filter(|_| !status.success()),
        Ended::TimedOut => Some(format!("killed after {} minutes", LIMIT.as_secs() / 60)),
    };
    let tally = Tally::of_libtest(what, &text, bad_end.as_deref());
    if !tally.failures.is_empty() {
        let lines: Vec<&str> = text.lines().collect();
        println!("  … {}", log.display());
        lines[lines.len().saturating_sub(120)..].iter().for_each(|line| println!("  | {line}"));
    }
    tally
}
