//! The manifest of a run: what it is, how far it got, what came out.
//!
//! Written first (`running`), replaced last (`sealed`, or `recovered`), always as a whole: beside its place, synced,
//! renamed.

use crate::error::Error;
use crate::schema::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Name of the manifest in a run folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// How far a run got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It is going on, or its process died.
    #[default]
    Running,
    /// It ended, and its history is sealed.
    Sealed,
    /// Its process died, and `fissure recover` sealed what it had journaled.
    Recovered,
}

impl RunState {
    /// The word used in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Sealed => "sealed",
            RunState::Recovered => "recovered",
        }
    }
}

/// How many rows the tables have, and what was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Operations.
    pub ops: u64,
    /// Operations that completed `ok`.
    pub ok: u64,
    /// Operations that completed `fail`.
    pub fail: u64,
    /// Operations nobody knows the outcome of.
    pub info: u64,
    /// Faults.
    pub faults: u64,
    /// Injections.
    pub injections: u64,
    /// Connections.
    pub connections: u64,
    /// Events in the life of nodes.
    pub nodes: u64,
    /// Pairs of times.
    pub clocks: u64,
    /// Names of keys and values.
    pub names: u64,
    /// Injection events that the kernel could not hand over.
    pub events_lost: u64,
}

/// Why a verdict is in doubt, as in the checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestReason {
    /// Stable code in capitals.
    pub code: String,
    /// The reason in a sentence.
    pub text: String,
}

/// The process that owns a running run, so that a live one can be told from a dead one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Start of the process in clock ticks since boot: another process with the same id has another start.
    pub start_ticks: Option<u64>,
    /// Id of the boot in which it ran.
    pub boot_id: Option<String>,
}

impl Owner {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { pid, start_ticks: start_ticks(pid), boot_id: boot_id() }
    }

    /// Whether that process still exists. On systems without `/proc` this cannot be told and is answered with `false`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id() && self.start_ticks.is_some() && start_ticks(self.pid) == self.start_ticks
    }
}

fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// Field 22 of `/proc/<pid>/stat`, unless the process is a zombie: that one runs nothing any more.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 is in parentheses and may contain anything, also parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Version of the tables.
    pub schema_version: u32,
    /// How far the run got.
    pub state: RunState,
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the run.
    pub seed: u64,
    /// Start in wall time, RFC 3339 in UTC.
    pub started: String,
    /// Start in wall time, UNIX ns.
    pub started_wall_ns: i64,
    /// Start on CLOCK_MONOTONIC, ns: zero of the run's own time.
    pub started_ns: i64,
    /// How long it lasted, ns; `None` while it is running or if that is not known.
    pub duration_ns: Option<i64>,
    /// Release of the kernel it ran on.
    pub kernel: String,
    /// Version of fissure.
    pub fissure_version: String,
    /// System under test.
    pub target: String,
    /// Its version.
    pub target_version: Option<String>,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Name of the workload.
    pub workload: String,
    /// Sizes of the tables.
    pub counts: Counts,
    /// `valid`, `unknown` or `invalid`; `None` before it was judged.
    pub verdict: Option<String>,
    /// Reasons for the doubts.
    pub reasons: Vec<ManifestReason>,
    /// Exit code of the run.
    pub exit_code: Option<i32>,
    /// Mechanism chosen for each kind of fault, such as `drop: tcx`.
    pub mechanisms: BTreeMap<String, String>,
    /// The process that runs it; `None` once it has ended.
    pub owner: Option<Owner>,
}

impl Manifest {
    /// Reads the manifest of a run folder.
    ///
    /// # Errors
    /// If it is missing or malformed, or was written by a newer version.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(MANIFEST_FILE);
        let manifest: Manifest = read_checked_json(&path, "manifest")?;
        if manifest.schema_version > SCHEMA_VERSION {
            return Err(Error::NewerSchema { path, found: manifest.schema_version, known: SCHEMA_VERSION });
        }
        Ok(manifest)
    }

    /// Replaces the manifest of a run folder: a reader sees the old one or the new one, never a part.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        write_checked_json(&dir.join(MANIFEST_FILE), "manifest", self)
    }
}

/// Replaces a JSON file as a whole: beside its place, synced, renamed, the folder synced.
pub(crate) fn write_json<T: Serialize>(path: &Path, what: &'static str, value: &T) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|source| Error::Json {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    text.push('\n');
    let partial = path.with_extension("json.partial");
    let mut file = File::create(&partial).map_err(Error::io("create", &partial))?;
    file.write_all(text.as_bytes()).map_err(Error::io("write", &partial))?;
    file.sync_all().map_err(Error::io("sync", &partial))?;
    std::fs::rename(&partial, path).map_err(Error::io("replace", path))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// What [`write_checked_json`] writes.
#[derive(Serialize, Deserialize)]
struct Checked<T> {
    /// CRC-32 of the content without blanks, in hexadecimal; `None`: written by an older version.
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32: Option<String>,
    #[serde(flatten)]
    content: T,
}

fn json_crc<T: Serialize>(path: &Path, what: &'static str, value: &T) -> Result<String, Error> {
    let bytes = serde_json::to_vec(value).map_err(|source| Error::Json {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    Ok(format!("{:08x}", crc32fast::hash(&bytes)))
}

/// Replaces a JSON file as [`write_json`] does, with a checksum of its content in it.
pub(crate) fn write_checked_json<T: Serialize>(path: &Path, what: &'static str, value: &T) -> Result<(), Error> {
    let crc32 = json_crc(path, what, value)?;
    write_json(path, what, &Checked { crc32: Some(crc32), content: value })
}

/// Reads what [`write_checked_json`] wrote.
pub(crate) fn read_checked_json<T: Serialize + serde::de::DeserializeOwned>(
    path: &Path,
    what: &'static str,
) -> Result<T, Error> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let checked: Checked<T> = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    let crc32 = json_crc(path, what, &checked.content)?;
    if let Some(written) = checked.crc32.filter(|written| *written != crc32) {
        let detail = format!("its content has CRC-32 {crc32}, but it had {written} when it was written");
        return Err(Error::Corrupt { path: path.to_owned(), place: "its content".to_owned(), detail });
    }
    Ok(checked.content)
}

/// Syncs a folder, so that renames in it survive a power failure.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|handle| handle.sync_all()).map_err(Error::io("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            scenario: "partition".to_owned(),
            seed: u64::MAX,
            owner: Some(Owner::current()),
            reasons: vec![ManifestReason { code: "A".to_owned(), text: "b".to_owned() }],
            ..Manifest::default()
        };
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_manifest_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        Manifest { schema_version: SCHEMA_VERSION + 1, ..Manifest::default() }.write(dir.path()).unwrap();
        let error = Manifest::read(dir.path()).unwrap_err().to_string();
        let version = format!("schema version {}", SCHEMA_VERSION + 1);
        assert!(error.contains(&version) && error.contains("newer"), "{error}");
    }

    #[test]
    fn the_owner_is_alive_only_if_it_is_the_same_process() {
        let owner = Owner::current();
        assert!(owner.is_alive());
        assert!(!Owner { start_ticks: Some(1), ..owner.clone() }.is_alive());
        assert!(!Owner { boot_id: Some("another".to_owned()), ..owner }.is_alive());
    }
}
