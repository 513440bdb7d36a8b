//! What a session may use: memory, threads, and a folder for what does not fit into memory.
//!
//! Operators that can spill (sorting, grouping, sorted joins) write to files once the memory that the session was given is
//! used up. The files are in a folder of the session's own, which is removed with the session. A session that was killed
//! cannot remove its folder; the next session that uses the same place does: a folder whose lock nobody holds is nobody's.

use crate::error::SqlError;
use crate::memory::SharedMemory;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Least memory that a session works with, bytes.
pub const MEMORY_BYTES_MIN: u64 = 32 << 20;

/// Most memory that a session takes unless it is told to, bytes.
const MEMORY_BYTES_DEFAULT_MAX: u64 = 16 << 30;

/// Memory where the size of the machine is not known, bytes.
const MEMORY_BYTES_UNKNOWN: u64 = 2 << 30;

/// Beginning of the names of folders for spilled data.
const SPILL_PREFIX: &str = "fissure-sql-";

/// Name of the file in such a folder that its session holds a lock on.
const LOCK_FILE: &str = "lock";

/// What a session may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the operators of a query, bytes; by default half of the machine's, at most 16 GiB. Decoding of files and
    /// printing of answers come on top, some 100 MiB.
    pub memory_bytes: Option<u64>,
    /// Threads that work on a query; by default as many as there are processors.
    pub threads: Option<NonZeroUsize>,
    /// Folder for what does not fit into memory; by default `$TMPDIR`, else `/var/tmp` where there is one.
    pub spill_dir: Option<PathBuf>,
}

impl Limits {
    /// The memory, bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory_bytes.unwrap_or_else(default_memory).max(MEMORY_BYTES_MIN)
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}

/// Half of what this process may use.
fn default_memory() -> u64 {
    let kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok())
    });
    let machine = kib.map(|kib: u64| kib * 1024);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|max| max.trim().parse().ok());
    match (machine, container) {
        (Some(machine), Some(container)) => Some(machine.min(container)),
        (known, None) | (None, known) => known,
    }
    .map_or(MEMORY_BYTES_UNKNOWN, |bytes| (bytes / 2).min(MEMORY_BYTES_DEFAULT_MAX))
}

/// A size such as `512MiB`, `4G`, `1.5GiB` or `1000000` in bytes. `K`, `M`, `G` and `T`, with or without `iB`, count in
/// powers of 1024; with `B` alone, in powers of 1000.
///
/// # Errors
/// With what is wrong, in words.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let wrong = || format!("`{text}` is no size; write it like 512MiB or 4GiB");
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let (base, power) = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => (1_u64, 0),
        "k" | "kib" => (1024, 1),
        "m" | "mib" => (1024, 2),
        "g" | "gib" => (1024, 3),
        "t" | "tib" => (1024, 4),
        "kb" => (1000, 1),
        "mb" => (1000, 2),
        "gb" => (1000, 3),
        "tb" => (1000, 4),
        _ => return Err(wrong()),
    };
    let bytes = number * base.pow(power) as f64;
    if bytes >= 2_f64.powi(60) {
        return Err(format!("`{text}` is more than there is"));
    }
    let bytes = bytes as u64;
    if bytes < MEMORY_BYTES_MIN {
        return Err(format!("`{text}` is too little: at least {}MiB are needed", MEMORY_BYTES_MIN >> 20));
    }
    Ok(bytes)
}

/// The size for people.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, shift) = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes >> shift > 0)
        .unwrap_or(("bytes", 0));
    let value = bytes as f64 / (1_u64 << shift) as f64;
    if value.fract() == 0.0 { format!("{value} {unit}") } else { format!("{value:.1} {unit}") }
}

/// The folder of a session for what does not fit into memory; removed when it is dropped.
pub(crate) struct Spill {
    /// Holds the lock that says that the folder is in use.
    _lock: File,
    dir: TempDir,
}

impl Spill {
    /// Makes the folder below `parent`, after removing those that killed sessions left there.
    fn create(parent: &Path) -> std::io::Result<Self> {
        sweep(parent);
        let dir = tempfile::Builder::new().prefix(SPILL_PREFIX).tempdir_in(parent)?;
        let lock = File::create(dir.path().join(LOCK_FILE))?;
        lock.lock()?;
        Ok(Self { _lock: lock, dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes the folders of sessions that are no longer there. A folder without a lock file is too young to have one.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(SPILL_PREFIX) {
            continue;
        }
        let Ok(lock) = File::options().write(true).open(entry.path().join(LOCK_FILE)) else { continue };
        if lock.try_lock().is_ok() {
            // What cannot be removed now is tried again by the next session.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn default_spill_dir() -> PathBuf {
    let var_tmp = Path::new("/var/tmp");
    match std::env::var_os("TMPDIR") {
        None if var_tmp.is_dir() => var_tmp.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// What queries run in. Without a folder for spilled data (none can be written to, and none was asked for) there is no
/// spilling, and the second value is `None`.
pub(crate) fn runtime_env(limits: &Limits) -> Result<(Arc<RuntimeEnv>, Option<Spill>), SqlError> {
    let parent = limits.spill_dir.clone().unwrap_or_else(default_spill_dir);
    let spill = match Spill::create(&parent) {
        Ok(spill) => Some(spill),
        Err(source) if limits.spill_dir.is_some() => return Err(SqlError::Spill { path: parent, source }),
        Err(_) => None,
    };
    let mode = match &spill {
        Some(spill) => DiskManagerMode::Directories(vec![spill.path().to_owned()]),
        None => DiskManagerMode::Disabled,
    };
    let bytes = usize::try_from(limits.memory()).unwrap_or(usize::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(SharedMemory::new(bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(u64::MAX))
        .build_arc()
        .map_err(|error| SqlError::Execution { detail: error.strip_backtrace() })?;
    Ok((runtime, spill))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("512MiB", 512 << 20),
            ("512m", 512 << 20),
            ("4G", 4 << 30),
            ("1.5 GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("100000000", 100_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "4 X", "-1G", "1..5G", "1K", "31MiB", "99999999T", "1e9G", "NaN"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(size(3 << 29), "1.5 GiB");
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size(12), "12 bytes");
    }

    #[test]
    fn the_folder_goes_with_its_session_and_those_of_the_dead_go_with_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(parent.path()).unwrap().count();
        let alive = Spill::create(parent.path()).unwrap();
        std::fs::write(alive.path().join("data"), "x").unwrap();
        // As a killed session leaves it: a lock file that nobody holds.
        let dead = parent.path().join(format!("{SPILL_PREFIX}dead"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(LOCK_FILE), "").unwrap();
        let other = parent.path().join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join(LOCK_FILE), "").unwrap();
        let next = Spill::create(parent.path()).unwrap();
        assert!(!dead.exists() && other.exists() && alive.path().join("data").exists());
        drop((alive, next));
        assert_eq!(names(), 1);
    }

    #[test]
    fn a_folder_that_was_asked_for_must_be_there() {
        let missing = Limits { spill_dir: Some(PathBuf::from("/nowhere/at/all")), ..Limits::default() };
        let Err(error) = runtime_env(&missing) else { panic!("it was accepted") };
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert!(Limits::default().memory() >= MEMORY_BYTES_MIN);
    }
}
