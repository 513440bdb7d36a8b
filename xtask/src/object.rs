//! The eBPF programs: compiled for `bpfel-unknown-none`, put where `fissure-object` finds and embeds them.

use crate::{process, repo::Repo, setup::Tools};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the object is put; beside it, in `fissure.o.hash`, what it was compiled from.
pub(crate) fn place(repo: &Repo) -> PathBuf {
    repo.out().join("bpf/fissure.o")
}

/// Compiles the programs if their sources changed, and puts the object into place.
pub(crate) fn build(repo: &Repo, tools: &Tools) -> Result<PathBuf> {
    let (Some(linker), Some(toolchain)) = (&tools.linker, &tools.toolchain) else {
        let reason = tools.no_object_because().unwrap_or_default();
        bail!("the eBPF programs cannot be compiled: {reason}; `cargo xtask setup` fetches it");
    };
    let hash =
        source_hash::source_hash(&repo.root.join("ebpf")).context("cannot read the sources of the eBPF programs")?;
    let mut command = toolchain.cargo(linker)?;
    command
        .args(["build", "--release", "--target=bpfel-unknown-none", "-Zbuild-std=core"])
        .args(["--message-format=json-render-diagnostics", "--target-dir"])
        .arg(repo.out().join("bpf-build"))
        .current_dir(repo.root.join("ebpf/programs"))
        .stdin(Stdio::null());
    let compiled = compile(&mut command)?;
    let place = place(repo);
    fs::create_dir_all(place.parent().context("the object needs a directory")?)?;
    // An object that did not change keeps its date: what embeds it is not built again.
    replace_if_changed(&place, &fs::read(&compiled).with_context(|| format!("cannot read {}", compiled.display()))?)?;
    replace_if_changed(&place.with_extension("o.hash"), format!("{hash}\n").as_bytes())?;
    Ok(place)
}

fn compile(command: &mut Command) -> Result<PathBuf> {
    let mut executable = None;
    let status = process::each_line(command, |line| {
        if let Ok(message) = serde_json::from_str::<Value>(line)
            && let Some(path) = message["executable"].as_str()
        {
            executable = Some(PathBuf::from(path));
        }
    })?;
    match executable {
        Some(path) if status.success() => Ok(path),
        _ => Err(anyhow!("the eBPF programs did not compile")),
    }
}

fn replace_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The hash that `fissure-object` compares when it embeds the object: the same lines, so that they cannot differ.
mod source_hash {
    #![allow(unreachable_pub, reason = "public where else it is used")]
    include!("../../ebpf/object/src/source_hash.rs");
}
