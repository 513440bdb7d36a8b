//! House rules that no compiler knows: headers, length, unfinished work, machine paths, edges between rooms.

mod edges;
mod text;

use crate::repo::Repo;
use anyhow::{Context, Result};
use std::{
    fmt, fs,
    path::Path,
    process::{Command, ExitCode},
};

/// The seven names of the house, and what may stand beside them; names with a dot in front may too.
const TOP_LEVEL: [&str; 10] =
    ["Cargo.toml", "README.md", "checker", "ebpf", "userspace", "workloads", "xtask", "Cargo.lock", "docs", "examples"];

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// File, relative to the checkout; or a package.
    place: String,
    /// Line, 1 for the first; `None` for the whole.
    line: Option<usize>,
    /// What is wrong, and what to do.
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.place, self.text),
            None => write!(f, "{}: {}", self.place, self.text),
        }
    }
}

/// The task `tidy`.
pub(crate) fn run(repo: &Repo) -> Result<ExitCode> {
    let findings = check(repo)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    println!("{} findings", findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything in the checkout that breaks a rule.
pub(crate) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let files = files(&repo.root)?;
    let mut findings = top_level(&files);
    for file in &files {
        // Files that are not text have no rules.
        if let Ok(content) = fs::read_to_string(repo.root.join(file)) {
            findings.extend(text::check(file, &content));
        }
    }
    findings.extend(edges::check(&repo.packages));
    Ok(findings)
}

/// Files that git knows or would add, relative to `root`.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let output = command.output().context("tidy needs git, to know which files belong to the project")?;
    anyhow::ensure!(output.status.success(), "tidy needs a git checkout");
    let text = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let mut files: Vec<String> = text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

fn top_level(files: &[String]) -> Vec<Finding> {
    let mut names: Vec<&str> = files.iter().filter_map(|file| file.split('/').next()).collect();
    names.dedup();
    (names.into_iter())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name))
        .map(|name| Finding {
            place: name.to_owned(),
            line: None,
            text: format!("not one of the house's names ({})", TOP_LEVEL.join(", ")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_name_is_found_and_dot_files_are_not() {
        let files = [".ci/run", "Cargo.toml", "docs/x.md", "utils/a.rs", "utils/b.rs"].map(str::to_owned);
        let places: Vec<String> = top_level(&files).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["utils"]);
    }
}
