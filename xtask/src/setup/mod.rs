//! What a machine needs beyond rustup's stable toolchain and a C compiler, and how it is fetched.
//!
//! Everything goes into one directory (`FISSURE_TOOLS`, or `fissure/tools` in the user's cache), the packages of Python
//! into the target directory; each thing into a directory that carries its version and appears by a rename once it is
//! complete. Nothing is installed over the system or into the user's toolchain; deleting the directories undoes all of it.

mod core_sources;
mod debian;
mod linker;
mod programs;
mod python;

use crate::{
    CANNOT_RUN_HERE, process,
    repo::{Repo, SYSTEM_DIRS},
};
use anyhow::{Context, Result};
pub(crate) use core_sources::Toolchain;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Something the project needs, whether it is here or not.
struct Need {
    /// What: name and version.
    what: String,
    /// What for.
    why: &'static str,
    /// Where it was found, or how it would be fetched.
    state: State,
}

enum State {
    /// Where it is.
    Found(PathBuf),
    /// What fetching it means: from where, how much, how long.
    Missing(String),
}

/// What children of xtask find, and what is not there.
pub(crate) struct Tools {
    /// Directories that come before PATH.
    pub(crate) path: Vec<PathBuf>,
    /// The linker for eBPF programs.
    pub(crate) linker: Option<PathBuf>,
    /// The toolchain that builds eBPF programs.
    pub(crate) toolchain: Option<Toolchain>,
    /// A Python with the packages that tests compare with.
    pub(crate) python: Option<PathBuf>,
    /// Programs of the system that are neither installed nor fetched.
    pub(crate) missing_programs: Vec<&'static str>,
}

impl Tools {
    /// What is on this machine now; fetches nothing.
    pub(crate) fn find(repo: &Repo) -> Result<Self> {
        Ok(Self {
            path: programs::fetched_dirs(repo).into_iter().collect(),
            linker: linker::find(repo),
            toolchain: core_sources::find(repo)?,
            python: python::find(repo),
            missing_programs: programs::missing(repo),
        })
    }

    /// Lets `command` and its children find everything that was fetched, and the administrator's programs.
    pub(crate) fn apply(&self, command: &mut Command) -> Result<()> {
        let mut path = process::path_with(self.path.iter().cloned())?;
        for dir in SYSTEM_DIRS {
            if !std::env::split_paths(&path).any(|known| known == Path::new(dir)) {
                path.push(":");
                path.push(dir);
            }
        }
        command.env("PATH", path);
        if let Some(python) = &self.python {
            command.env("FISSURE_PYTHON", python);
        }
        if std::env::var_os("PROTOC").is_none() {
            command.env("PROTOC", protoc()?);
        }
        Ok(())
    }

    /// Why the eBPF programs cannot be built here; `None` if they can.
    pub(crate) fn no_object_because(&self) -> Option<String> {
        match (&self.linker, &self.toolchain) {
            (None, _) => Some(format!("bpf-linker {} is missing", linker::VERSION)),
            (_, None) => Some(format!("core's sources for rustc {} are missing", core_sources::RUST)),
            _ => None,
        }
    }
}

fn protoc() -> Result<PathBuf> {
    protoc_bin_vendored::protoc_bin_path().context(
        "there is no protoc for this machine in the crate protoc-bin-vendored: install one and set PROTOC to it",
    )
}

/// The task `setup`.
pub(crate) fn run(repo: &Repo, no_install: bool) -> Result<ExitCode> {
    let complete = ensure(repo, no_install)?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(CANNOT_RUN_HERE) })
}

/// Says what is here and what is missing; fetches what is missing unless told not to. Whether everything is here now.
///
/// A thing that cannot be fetched is said and left out: the caller finds out with [`Tools::find`].
pub(crate) fn ensure(repo: &Repo, no_install: bool) -> Result<bool> {
    let mut needs = vec![linker::need(repo), core_sources::need(repo)?];
    needs.extend(programs::needs(repo));
    needs.push(python::need(repo));
    for need in &needs {
        match &need.state {
            State::Found(place) => eprintln!("  found    {:<30} {}", need.what, place.display()),
            State::Missing(how) => eprintln!("  missing  {:<30} {}\n{:41}{how}", need.what, need.why, ""),
        }
    }
    let missing = needs.iter().filter(|need| matches!(need.state, State::Missing(_))).count();
    if missing == 0 {
        return Ok(true);
    }
    if no_install {
        eprintln!("{missing} missing; `cargo xtask setup` fetches them into {}", repo.tools.display());
        return Ok(false);
    }
    eprintln!("fetching into {}; nothing is changed outside of it", repo.tools.display());
    fs::create_dir_all(&repo.tools).with_context(|| format!("cannot make {}", repo.tools.display()))?;
    let mut complete = true;
    for (what, fetched) in [
        ("bpf-linker", linker::ensure(repo)),
        ("core's sources", core_sources::ensure(repo)),
        ("system programs", programs::ensure(repo)),
        ("python", python::ensure(repo)),
    ] {
        if process::interrupted() {
            anyhow::bail!("interrupted");
        }
        if let Err(error) = fetched {
            eprintln!("could not get {what}: {error:#}");
            complete = false;
        }
    }
    Ok(complete)
}

/// Makes `place` by filling a directory beside it and renaming it: either all of it is there, or nothing.
fn make_whole(place: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = place.file_name().context("a place needs a name")?.to_string_lossy();
    let partial = place.with_file_name(format!("{name}.partial-{}", std::process::id()));
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let filled = fill(&partial).and_then(|()| match fs::rename(&partial, place) {
        // Somebody else was faster: theirs is as good.
        Err(_) if place.exists() => Ok(()),
        renamed => renamed.with_context(|| format!("cannot make {}", place.display())),
    });
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    filled
}
