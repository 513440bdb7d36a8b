//! The toolchain that builds the eBPF programs: one pinned rustc and the sources of its `core`.
//!
//! There is no compiled `core` for eBPF; `-Zbuild-std=core` compiles it, from sources of the very same release. In order:
//! sources that the user's toolchain has already (`rustup component add rust-src`), a copy that rustup fetches into the
//! cache with a home of its own, Debian's package `rust-src` unpacked into the cache. If the user's rustc is another
//! release, rustup fetches the pinned one into the cache; the user's toolchains are never touched.

use super::{Need, State, debian, make_whole};
use crate::{
    process::{self, Ended},
    repo::{Repo, find_program},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The release of rustc: its LLVM must be the one that bpf-linker loads.
pub(super) const RUST: &str = "1.95.0";

/// Debian's suite with `rust-src` of that release.
const DEBIAN_SUITE: &str = "trixie-backports";

/// rustup has no limit of its own where packets are dropped.
const RUSTUP_LIMIT: Duration = Duration::from_secs(300);

/// A toolchain that can build for `bpfel-unknown-none`.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Directory with `cargo` and `rustc`.
    bin: PathBuf,
    /// `library` of its sources, unless it is where cargo looks by itself.
    library: Option<PathBuf>,
}

impl Toolchain {
    /// `cargo`, prepared to build `core` from source.
    pub(crate) fn cargo(&self, linker: &Path) -> Result<Command> {
        let mut command = Command::new(self.bin.join("cargo"));
        without_overrides(&mut command);
        let linker_dir = linker.parent().context("the linker has no directory")?.to_owned();
        command.env("PATH", process::path_with([linker_dir, self.bin.clone()])?);
        // `-Zbuild-std` is not stable; the release is pinned, so it does not change under us.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", self.bin.join("rustc"));
        if let Some(library) = &self.library {
            // Cargo's own override for where the sources are; otherwise they would have to be put into the sysroot.
            command.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        }
        Ok(command)
    }
}

/// Takes away what the caller's cargo, rustup or environment would impose on a build that is not theirs.
pub(super) fn without_overrides(command: &mut Command) {
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
    ] {
        command.env_remove(name);
    }
}

/// The rustc that cargo uses for this workspace.
struct Current {
    release: String,
    sysroot: PathBuf,
}

fn current() -> Result<Current> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::stdout(Command::new(&rustc).arg("-vV"))?;
    let release =
        version.lines().find_map(|line| line.strip_prefix("release: ")).context("rustc -vV says no release")?;
    let sysroot = process::stdout(Command::new(&rustc).args(["--print", "sysroot"]))?;
    Ok(Current { release: release.to_owned(), sysroot: sysroot.trim().into() })
}

fn place(repo: &Repo) -> PathBuf {
    repo.tools.join(format!("rust-src-{RUST}"))
}

/// A whole toolchain that rustup fetched because the user's is another release.
fn own_home(repo: &Repo) -> PathBuf {
    repo.tools.join(format!("rustup-{RUST}"))
}

fn own_sysroot(home: &Path) -> Option<PathBuf> {
    let toolchains = fs::read_dir(home.join("toolchains")).ok()?;
    toolchains
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|dir| has_library(dir) && dir.join("bin/cargo").is_file())
}

fn has_library(sysroot: &Path) -> bool {
    library_of(sysroot).join("Cargo.lock").is_file()
}

fn library_of(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

/// The toolchain, if all of it is here.
pub(super) fn find(repo: &Repo) -> Result<Option<Toolchain>> {
    let current = current()?;
    if current.release == RUST {
        let bin = current.sysroot.join("bin");
        if has_library(&current.sysroot) {
            return Ok(Some(Toolchain { bin, library: None }));
        }
        let library = place(repo).join("library");
        if library.join("Cargo.lock").is_file() {
            return Ok(Some(Toolchain { bin, library: Some(library) }));
        }
    }
    Ok(own_sysroot(&own_home(repo)).map(|sysroot| Toolchain { bin: sysroot.join("bin"), library: None }))
}

pub(super) fn need(repo: &Repo) -> Result<Need> {
    let state = match find(repo)? {
        Some(Toolchain { library: Some(library), .. }) => State::Found(library),
        Some(Toolchain { bin, .. }) => State::Found(bin),
        None if current()?.release == RUST => State::Missing(format!(
            "component rust-src by rustup (or Debian's package from {DEBIAN_SUITE}); about 45 MB"
        )),
        None => State::Missing(format!("toolchain {RUST} with rust-src by rustup; about 250 MB")),
    };
    Ok(Need { what: format!("core's sources, rustc {RUST}"), why: "there is no compiled core for eBPF", state })
}

pub(super) fn ensure(repo: &Repo) -> Result<()> {
    if find(repo)?.is_some() {
        return Ok(());
    }
    if current()?.release != RUST {
        return make_whole(&own_home(repo), rustup_fetch);
    }
    make_whole(&place(repo), |dir| {
        let by_rustup = (|| {
            let home = dir.join("rustup");
            fs::create_dir(&home)?;
            rustup_fetch(&home)?;
            let sysroot = own_sysroot(&home).context("rustup left no sources")?;
            fs::rename(library_of(&sysroot), dir.join("library"))?;
            Ok(())
        })();
        let _ = fs::remove_dir_all(dir.join("rustup"));
        by_rustup.or_else(|error: anyhow::Error| {
            eprintln!("rustup did not fetch rust-src ({error:#}); trying Debian's package");
            debian_fetch(repo, dir)
        })
    })
}

/// Fetches the pinned toolchain with its sources into `home`.
fn rustup_fetch(home: &Path) -> Result<()> {
    let rustup = find_program("rustup").context("there is no rustup")?;
    let mut install = Command::new(rustup);
    install.args([
        "--quiet",
        "toolchain",
        "install",
        RUST,
        "--profile=minimal",
        "--component=rust-src",
        "--no-self-update",
    ]);
    install.env("RUSTUP_HOME", home).stdin(Stdio::null());
    without_overrides(&mut install);
    let log = home.join("rustup.log");
    match process::logged(&mut install, &log, RUSTUP_LIMIT)? {
        Ended::By(status) if status.success() => Ok(()),
        Ended::By(_) => {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!("{}", said.lines().rfind(|line| line.starts_with("error")).unwrap_or("rustup failed"))
        }
        Ended::TimedOut => bail!("no end after {} s", RUSTUP_LIMIT.as_secs()),
    }
}

fn debian_fetch(repo: &Repo, dir: &Path) -> Result<()> {
    let unpacked = dir.join("package");
    let mut apt = debian::Apt::of_suite(repo, DEBIAN_SUITE)?;
    apt.fetch(&[format!("rust-src={RUST}+*")], &unpacked).with_context(|| format!("{DEBIAN_SUITE} has no {RUST}"))?;
    let library = unpacked.join(format!("usr/src/rustc-{RUST}/library"));
    fs::rename(library, dir.join("library"))?;
    fs::remove_dir_all(unpacked)?;
    Ok(())
}
