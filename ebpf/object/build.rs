//! Finds the compiled programs and embeds them; where there are none, says so in a constant. Never compiles them: a plain
//! `cargo build` must work without the tools that takes, and `cargo xtask build` runs before it where they are there.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Names the object file, and takes precedence over the target directory.
const OBJECT_VAR: &str = "FISSURE_BPF_OBJECT";

fn main() {
    println!("cargo:rerun-if-env-changed={OBJECT_VAR}");
    println!("cargo:rerun-if-changed=build.rs");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let named = env::var_os(OBJECT_VAR).filter(|name| !name.is_empty()).map(PathBuf::from);
    let object = match &named {
        Some(path) if !path.is_file() => {
            println!("cargo::error={OBJECT_VAR} names {}, which is not a file", path.display());
            return;
        }
        Some(path) => Some(path.clone()),
        None => in_target_dir(&out_dir),
    };
    if let Some(object) = &object {
        println!("cargo:rerun-if-changed={}", object.display());
        warn_if_stale(object);
    }
    let source = match object.and_then(|path| fs::canonicalize(path).ok()) {
        Some(path) => format!("Some(&Aligned {{ align: [], bytes: *include_bytes!({path:?}) }}.bytes)"),
        None => "None".into(),
    };
    if let Err(error) = fs::write(out_dir.join("object.rs"), source) {
        println!("cargo::error=cannot write into {}: {error}", out_dir.display());
    }
}

/// `<target>/fissure/bpf/fissure.o`, where `<target>` is the directory that holds the profile this is built for:
/// `<target>[/<triple>]/<profile>/build/<package>/out`.
fn in_target_dir(out_dir: &Path) -> Option<PathBuf> {
    let profile = out_dir.ancestors().nth(3)?;
    let candidates: Vec<PathBuf> =
        profile.ancestors().skip(1).take(2).map(|target| target.join("fissure/bpf/fissure.o")).collect();
    if let Some(found) = candidates.iter().find(|candidate| candidate.is_file()) {
        return Some(found.clone());
    }
    // Built later, it must be noticed. A file that is not there would make cargo ask again at every build; a directory
    // that is there makes it ask once something appears in it.
    let expected = candidates.first()?.parent()?;
    if fs::create_dir_all(expected).is_ok() {
        println!("cargo:rerun-if-changed={}", expected.display());
    }
    None
}

/// Compares the hash noted beside the object with that of the sources.
fn warn_if_stale(object: &Path) {
    let mut noted_at = object.as_os_str().to_owned();
    noted_at.push(".hash");
    let noted_at = PathBuf::from(noted_at);
    if noted_at.exists() {
        println!("cargo:rerun-if-changed={}", noted_at.display());
    }
    let ebpf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for watched in ["abi/src", "abi/Cargo.toml", "programs/src", "programs/Cargo.toml", "programs/Cargo.lock"] {
        let path = ebpf.join(watched);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    let (Ok(noted), Ok(now)) = (fs::read_to_string(&noted_at), source_hash(&ebpf)) else { return };
    if noted.trim() != now {
        println!("cargo:warning=the eBPF programs have changed since they were built: run `cargo xtask build`");
    }
}

include!("src/source_hash.rs");
