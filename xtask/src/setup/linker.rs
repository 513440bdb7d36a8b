//! bpf-linker: links eBPF programs with the LLVM that ships with rustc, so no LLVM of the system is needed.

use super::{Need, State, core_sources, make_whole};
use crate::{
    process,
    repo::{Repo, cargo},
};
use anyhow::Result;
use std::{path::PathBuf, process::Command};

/// The version that loads the LLVM of [`core_sources::RUST`]; later ones want a newer LLVM.
pub(super) const VERSION: &str = "0.10.3";

fn place(repo: &Repo) -> PathBuf {
    repo.tools.join(format!("bpf-linker-{VERSION}"))
}

/// The linker, if it was fetched.
pub(super) fn find(repo: &Repo) -> Option<PathBuf> {
    Some(place(repo).join("bin/bpf-linker")).filter(|path| path.is_file())
}

pub(super) fn need(repo: &Repo) -> Need {
    Need {
        what: format!("bpf-linker {VERSION}"),
        why: "links the eBPF programs",
        state: find(repo).map_or_else(
            || State::Missing(format!("cargo install --locked bpf-linker@{VERSION}; about 80 s on two cores")),
            State::Found,
        ),
    }
}

pub(super) fn ensure(repo: &Repo) -> Result<()> {
    if find(repo).is_some() {
        return Ok(());
    }
    make_whole(&place(repo), |dir| {
        let mut install = Command::new(cargo());
        install.args(["install", "--locked", "--quiet", "bpf-linker", "--version", VERSION, "--root"]).arg(dir);
        // Neither the checkout's configuration nor its target directory is this crate's.
        install.current_dir(dir).env("CARGO_TARGET_DIR", dir.join("build"));
        core_sources::without_overrides(&mut install);
        // Cargo warns that the directory is not in PATH: it is not meant to be.
        install.env("PATH", process::path_with([dir.join("bin")])?);
        process::run(&mut install)?;
        std::fs::remove_dir_all(dir.join("build"))?;
        Ok(())
    })
}
