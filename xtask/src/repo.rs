//! The checkout: where it is, where cargo builds, where tools are kept, what its packages are.

use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The checkout and the directories that belong to it.
pub(crate) struct Repo {
    /// Root of the workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target_dir: PathBuf,
    /// Tools that [`crate::setup`] fetched; shared by all checkouts, so everything in it carries its version.
    pub(crate) tools: PathBuf,
    /// Packages of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace, as `cargo metadata` describes it.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    pub(crate) features: Vec<String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Something that cargo builds from a package.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) required_features: Vec<String>,
}

/// A dependency as it is declared.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `normal`, `build` or `dev`.
    pub(crate) kind: String,
}

impl Repo {
    /// Finds the checkout that this task belongs to; works from any directory in it.
    pub(crate) fn open() -> Result<Self> {
        let root = find_root()?;
        let mut command = Command::new(cargo());
        command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(&root);
        let metadata: Value = serde_json::from_str(&process::stdout(&mut command)?).context("cargo metadata")?;
        let target_dir = metadata["target_directory"].as_str().context("cargo metadata has no target_directory")?;
        let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
        Ok(Self {
            target_dir: target_dir.into(),
            tools: tools_dir()?,
            packages: packages.iter().map(Package::parse).collect::<Option<_>>().context("cargo metadata")?,
            root,
        })
    }

    /// Directory for what xtask itself makes.
    pub(crate) fn out(&self) -> PathBuf {
        self.target_dir.join("fissure")
    }

    /// The package with this name.
    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        self.packages.iter().find(|package| package.name == name).with_context(|| format!("no package {name}"))
    }

    /// Whether `from` needs `to` when it is built, directly or by way of others.
    pub(crate) fn reaches(&self, from: &str, to: &str) -> bool {
        reaches(&self.packages, from, to)
    }

    /// `cargo` with these arguments, in the root of the workspace.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(args).current_dir(&self.root);
        command
    }

    /// The binary `fissure` of a profile.
    pub(crate) fn fissure(&self, release: bool) -> PathBuf {
        self.target_dir.join(if release { "release" } else { "debug" }).join("fissure")
    }
}

impl Package {
    /// Names of what is built with it: everything but what only its tests need.
    pub(crate) fn shipped_dependencies(&self) -> impl Iterator<Item = &str> {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind != "dev")
            .map(|dependency| dependency.name.as_str())
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let targets = value["targets"].as_array()?.iter().map(|target| {
            let required = target["required-features"].as_array().cloned().unwrap_or_default();
            Some(Target {
                name: text(&target["name"])?,
                kind: text(&target["kind"][0])?,
                required_features: required.iter().filter_map(text).collect(),
            })
        });
        let dependencies = value["dependencies"].as_array()?.iter().map(|dependency| {
            let kind = dependency["kind"].as_str().unwrap_or("normal").to_owned();
            Some(Dependency { name: text(&dependency["name"])?, kind })
        });
        Some(Self {
            name: text(&value["name"])?,
            id: text(&value["id"])?,
            dir: Path::new(value["manifest_path"].as_str()?).parent()?.to_owned(),
            features: value["features"].as_object()?.keys().cloned().collect(),
            targets: targets.collect::<Option<_>>()?,
            dependencies: dependencies.collect::<Option<_>>()?,
        })
    }
}

/// Whether, among `packages`, `from` needs `to` when it is built, directly or by way of others.
pub(crate) fn reaches(packages: &[Package], from: &str, to: &str) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(name) = seen.get(next).copied() {
        next += 1;
        let Some(package) = packages.iter().find(|package| package.name == name) else { continue };
        for dependency in package.shipped_dependencies() {
            if dependency == to {
                return true;
            }
            if !seen.contains(&dependency) {
                seen.push(dependency);
            }
        }
    }
    false
}

/// The cargo that started this task.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Whether this process may do everything (root).
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A program, in PATH or in the directories that daemons and administrators' programs live in.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_DIRS.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| fs::metadata(program).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0))
}

/// Directories that are often missing in a user's PATH.
pub(crate) const SYSTEM_DIRS: [&str; 6] =
    ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

fn find_root() -> Result<PathBuf> {
    let is_root = |dir: &&Path| dir.join("xtask/Cargo.toml").is_file() && dir.join("Cargo.toml").is_file();
    let starts = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).into_iter().chain(env::current_dir().ok());
    for start in starts {
        if let Some(root) = start.ancestors().find(is_root) {
            return Ok(root.to_owned());
        }
    }
    bail!("run this inside a checkout of Fissure")
}

fn tools_dir() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("FISSURE_TOOLS").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(dir).context("FISSURE_TOOLS");
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
        .context("neither FISSURE_TOOLS, XDG_CACHE_HOME nor HOME says where tools may be kept")?;
    Ok(cache.join("fissure/tools"))
}
