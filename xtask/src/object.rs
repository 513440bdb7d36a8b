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
    let hash = hash_of_sources(&repo.root)?;
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

/// 64-bit FNV-1a over the names and contents of everything that the programs are compiled from, in order of name.
fn hash_of_sources(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for dir in ["ebpf/abi", "ebpf/programs"] {
        collect(&root.join(dir), &mut files)?;
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let name = file.strip_prefix(root)?.to_string_lossy().into_owned();
        for byte in name.bytes().chain([0]).chain(fs::read(&file)?).chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let is_output = path.file_name().is_some_and(|name| name == "target" || name == "tests");
        match path.is_dir() {
            true if !is_output => collect(&path, files)?,
            true => {}
            false => files.push(path),
        }
    }
    Ok(())
}
