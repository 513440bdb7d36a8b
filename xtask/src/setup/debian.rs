//! Debian's packages, without installing them: downloaded by apt (which checks their signatures), unpacked into the cache.
//!
//! apt's own state is read, never written: lists that are missing or too old are fetched into a directory of ours. The
//! mirrors are those of the machine.

use crate::{
    process,
    repo::{Repo, find_program},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Debian's key ring, for a suite that the machine's own sources do not name.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with lists of our own.
pub(super) struct Apt {
    dir: PathBuf,
    options: Vec<String>,
}

impl Apt {
    /// apt with the machine's sources and the machine's lists.
    pub(super) fn of_machine(repo: &Repo) -> Result<Self> {
        Self::at(repo.tools.join("apt/machine"))
    }

    /// apt with another suite of the machine's Debian mirror.
    pub(super) fn of_suite(repo: &Repo, suite: &str) -> Result<Self> {
        let mut apt = Self::at(repo.tools.join("apt").join(suite))?;
        let sources = read_sources();
        let mirror = mirror_of(&sources).context("apt's sources name no mirror of Debian")?;
        let list = apt.dir.join("sources.list");
        fs::write(&list, format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))?;
        apt.option("Dir::Etc::sourcelist", &list.display().to_string());
        apt.option("Dir::Etc::sourceparts", "-");
        apt.use_own_lists()?;
        Ok(apt)
    }

    fn at(dir: PathBuf) -> Result<Self> {
        if find_program("apt-get").is_none() || find_program("dpkg-deb").is_none() {
            bail!("this is not a Debian: install it with your system's package manager");
        }
        fs::create_dir_all(dir.join("cache/archives/partial"))?;
        let mut apt = Self { dir, options: Vec::new() };
        let cache = apt.dir.join("cache").display().to_string();
        apt.option("Dir::Cache", &cache);
        apt.option("Debug::NoLocking", "1");
        // Root's cache is closed to apt's own user.
        apt.option("APT::Sandbox::User", "root");
        Ok(apt)
    }

    fn option(&mut self, name: &str, value: &str) {
        self.options.extend(["-o".to_owned(), format!("{name}={value}")]);
    }

    fn use_own_lists(&mut self) -> Result<()> {
        let lists = self.dir.join("lists");
        fs::create_dir_all(lists.join("partial"))?;
        self.option("Dir::State::lists", &lists.display().to_string());
        // A source that does not answer is no matter as long as the package is found.
        let _ = self.get(&["update", "-q", "-q"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok(())
    }

    fn get(&self, args: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        command.args(&self.options).args(args).stdin(Stdio::null()).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// `packages` and what they depend on, as far as it is not installed.
    pub(super) fn closure(&mut self, packages: &[&str]) -> Result<Vec<String>> {
        if let Some(names) = self.try_closure(packages) {
            return Ok(names);
        }
        self.use_own_lists()?;
        self.try_closure(packages).with_context(|| format!("apt does not know {}", packages.join(", ")))
    }

    fn try_closure(&self, packages: &[&str]) -> Option<Vec<String>> {
        let mut command = self.get(&["install", "--print-uris", "--yes", "--no-install-recommends"]);
        let output = command.args(packages).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // Named packages come along even if dpkg believes that they are installed: their programs were not found.
        let named = packages.iter().map(|name| (*name).to_owned());
        let mut names: Vec<String> = text.lines().filter_map(package_of_uri_line).chain(named).collect();
        names.sort();
        names.dedup();
        output.status.success().then_some(names)
    }

    /// Downloads `packages` and unpacks all of them into `into`.
    pub(super) fn fetch(&mut self, packages: &[String], into: &Path) -> Result<()> {
        let debs = into.with_extension("debs");
        fs::create_dir_all(&debs)?;
        if self.download(packages, &debs).is_err() {
            // The lists name versions that the mirror does not have any more.
            self.use_own_lists()?;
            self.download(packages, &debs)?;
        }
        fs::create_dir_all(into)?;
        for entry in fs::read_dir(&debs)? {
            process::run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(into))?;
        }
        fs::remove_dir_all(&debs)?;
        Ok(())
    }

    fn download(&self, packages: &[String], debs: &Path) -> Result<()> {
        let mut command = self.get(&["download", "-q", "-q"]);
        process::run(command.args(packages).current_dir(debs))
    }
}

/// The package's name in a line such as `'http://…/x_1_all.deb' x_1_all.deb 7204 SHA256:…`.
fn package_of_uri_line(line: &str) -> Option<String> {
    let file = line.strip_prefix('\'')?.split_whitespace().nth(1)?;
    Some(file.split_once('_')?.0.to_owned())
}

/// All of apt's sources, in both formats, as one text.
fn read_sources() -> String {
    let parts =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = parts.collect();
    files.sort();
    files.insert(0, "/etc/apt/sources.list".into());
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n\n")
}

/// The first mirror of Debian's main archive: it ends in `/debian`, as all mirrors do.
fn mirror_of(sources: &str) -> Option<&str> {
    let words = sources.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    words
        .filter(|word| word.contains("://"))
        .find(|word| word.trim_end_matches('/').ends_with("/debian"))
        .map(|word| word.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_both_formats() {
        let deb822 = "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian/\nSuites: bookworm\n";
        assert_eq!(mirror_of(deb822), Some("http://mirror.example/debian"));
        let one_line = "deb http://security.example/debian-security bookworm-security main\n\
                        deb [arch=amd64] https://mirror.example/debian bookworm main\n";
        assert_eq!(mirror_of(one_line), Some("https://mirror.example/debian"));
        assert_eq!(mirror_of("deb https://packages.example/apt stable main"), None);
    }

    #[test]
    fn packages_are_read_from_print_uris() {
        let line = "'http://m.example/debian/pool/main/libm/libmnl/libmnl0_1.0.4-3_amd64.deb' libmnl0_1.0.4-3_amd64.deb 12564 SHA256:00";
        assert_eq!(package_of_uri_line(line), Some("libmnl0".to_owned()));
        assert_eq!(package_of_uri_line("Reading package lists..."), None);
    }
}
