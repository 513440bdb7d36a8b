//! A Python with other readers of Parquet (DuckDB, Polars, pandas) and an S3 server (moto), for tests and benches.
//!
//! It is a virtual environment under the target directory, named after what is in it: another list makes another one.

use super::{Need, State, make_whole};
use crate::{
    process,
    repo::{Repo, find_program},
};
use anyhow::{Context, Result};
use std::{fs, path::PathBuf, process::Command};

const REQUIREMENTS: &str = "xtask/python-requirements.txt";

/// Directory of the environment.
fn place(repo: &Repo) -> Result<PathBuf> {
    let path = repo.root.join(REQUIREMENTS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // FNV-1a: only to tell lists apart.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Ok(repo.out().join(format!("python-{hash:016x}")))
}

/// Its interpreter, if the environment is there.
pub(super) fn find(repo: &Repo) -> Option<PathBuf> {
    place(repo).ok().map(|place| place.join("bin/python")).filter(|python| python.is_file())
}

pub(super) fn need(repo: &Repo) -> Need {
    let how = "packages of PyPI in a virtual environment under the target directory, about 150 MB";
    Need {
        what: "python".to_owned(),
        why: "other readers of Parquet, and an S3 server",
        state: find(repo).map_or_else(|| State::Missing(how.to_owned()), State::Found),
    }
}

pub(super) fn ensure(repo: &Repo) -> Result<()> {
    if find(repo).is_some() {
        return Ok(());
    }
    let python =
        find_program("python3").context("there is no python3: install it with your system's package manager")?;
    let place = place(repo)?;
    fs::create_dir_all(repo.out()).with_context(|| format!("cannot make {}", repo.out().display()))?;
    // Scripts of an environment know its place, but only its interpreter is used, and that finds itself.
    make_whole(&place, |dir| {
        process::run(Command::new(&python).args(["-m", "venv"]).arg(dir))
            .context("python3 cannot make a virtual environment (Debian: install python3-venv)")?;
        let mut pip = Command::new(dir.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        process::run(pip.arg(repo.root.join(REQUIREMENTS)))
    })
}
