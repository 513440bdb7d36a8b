//! Programs of the system: used where they are installed, otherwise unpacked from Debian's packages.
//!
//! Unpacked programs are started by small scripts in one directory, which say where the libraries are that came along.

use super::{Need, State, debian::Apt, make_whole};
use crate::repo::{Repo, find_program};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Program, Debian's package, what for.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("ip", "iproute2", "network namespaces of the lab"),
    ("tc", "iproute2", "tests that nothing is left behind"),
    ("nft", "nftables", "guards, and independent counts"),
    ("bpftool", "bpftool", "tests that nothing is left behind"),
    ("etcd", "etcd-server", "the real database in examples and tests"),
];

/// One directory for all: named after what is in it, so that another list makes another one.
fn place(repo: &Repo) -> PathBuf {
    repo.tools.join(format!("programs-{}", release_name().unwrap_or_else(|| "linux".to_owned())))
}

/// Name of the system's release, such as `bookworm`.
fn release_name() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

/// The directory of start scripts, if there is one.
pub(super) fn fetched_dirs(repo: &Repo) -> Option<PathBuf> {
    Some(place(repo).join("bin")).filter(|dir| dir.is_dir())
}

fn find(repo: &Repo, program: &str) -> Option<PathBuf> {
    let fetched = place(repo).join("bin").join(program);
    find_program(program).or_else(|| Some(fetched).filter(|path| path.is_file()))
}

/// Programs that are neither installed nor fetched.
pub(super) fn missing(repo: &Repo) -> Vec<&'static str> {
    PROGRAMS.iter().map(|(program, ..)| *program).filter(|program| find(repo, program).is_none()).collect()
}

pub(super) fn needs(repo: &Repo) -> Vec<Need> {
    let need = |&(program, package, why): &(&str, &str, &'static str)| Need {
        what: program.to_owned(),
        why,
        state: find(repo, program).map_or_else(
            || State::Missing(format!("Debian's package {package} and its libraries, unpacked, not installed")),
            State::Found,
        ),
    };
    PROGRAMS.iter().map(need).collect()
}

pub(super) fn ensure(repo: &Repo) -> Result<()> {
    let missing = missing(repo);
    if missing.is_empty() {
        return Ok(());
    }
    let place = place(repo);
    if place.exists() {
        // Made when other programs were installed: start again, for everything that is missing now.
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    let wanted = self::missing(repo);
    let mut packages: Vec<&str> = PROGRAMS.iter().filter(|(p, ..)| wanted.contains(p)).map(|(_, p, _)| *p).collect();
    packages.dedup();
    make_whole(&place, |dir| {
        let mut apt = Apt::of_machine(repo)?;
        let closure = apt.closure(&packages)?;
        apt.fetch(&closure, &dir.join("root"))?;
        fs::create_dir(dir.join("bin"))?;
        for program in wanted {
            write_script(dir, &place, program)?;
        }
        Ok(())
    })
}

/// Writes `bin/<program>` in `dir`, which is going to be `place`.
fn write_script(dir: &Path, place: &Path, program: &str) -> Result<()> {
    let in_root = |dirs: &[String]| -> Vec<String> {
        dirs.iter().filter(|d| dir.join("root").join(d).is_dir()).cloned().collect()
    };
    let homes = ["usr/sbin", "usr/bin", "sbin", "bin"].map(str::to_owned);
    // A link may be absolute and lead out of here, to what is not installed: the file itself it must be.
    let is_here = |home: &String| {
        let file = fs::symlink_metadata(dir.join("root").join(home).join(program));
        file.is_ok_and(|metadata| metadata.is_file())
    };
    let home = in_root(&homes).into_iter().find(is_here);
    let Some(home) = home else { bail!("the package of {program} has no {program}") };
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries = in_root(&[format!("usr/lib/{triplet}"), format!("lib/{triplet}"), "usr/lib".into(), "lib".into()]);
    let root = place.join("root");
    let libraries: Vec<String> = libraries.iter().map(|dir| root.join(dir).display().to_string()).collect();
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec {} \"$@\"\n",
        quoted(&libraries.join(":")),
        quoted(&root.join(home).join(program).display().to_string()),
    );
    let file = dir.join("bin").join(program);
    fs::write(&file, script)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
