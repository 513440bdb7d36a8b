//! The journal of a lab: what it created or was about to, written before it did.
//!
//! One JSON file per lab, replaced as a whole by renaming, so a reader sees a complete one always. It is the only thing
//! that clean-up believes, and it is believed only within limits: a name that this lab could not have given is refused.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::address::{PREFIX, is_id};
use crate::error::{LabError, Result};
use crate::procfs::{ProcessIdentity, boot_id, pid_namespace};

/// Folder of the journals of all labs of this machine.
pub(crate) const FOLDER: &str = "/run/fissure";

/// Version of the journal's format. Another version's journal is left alone.
const VERSION: u32 = 1;

/// A link with its two ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    /// Namespace of the lab's switch.
    pub(crate) netns: String,
    /// The port's name in it.
    pub(crate) port: String,
    /// Namespace of the host.
    pub(crate) peer_netns: String,
    /// The link's name in it.
    pub(crate) peer: String,
}

/// A process, by its place; its identity follows as soon as it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    /// The host it runs on.
    pub(crate) host: String,
    /// Its name on that host.
    pub(crate) name: String,
    /// Its cgroup.
    pub(crate) cgroup: PathBuf,
    /// Which process it is; `None` from before it is started until after.
    pub(crate) identity: Option<ProcessIdentity>,
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    version: u32,
    /// The id of the lab.
    pub(crate) id: String,
    /// The process that the lab belongs to.
    pub(crate) owner: ProcessIdentity,
    /// The boot in which the owner's identity means something.
    pub(crate) boot_id: String,
    /// The PID namespace in which it does.
    pub(crate) pid_namespace: String,
    /// When the lab was created, in milliseconds since 1970 (UTC).
    pub(crate) created_unix_ms: u64,
    /// Names of the network namespaces, under `/run/netns`.
    pub(crate) netns: Vec<String>,
    /// The links; they go with their namespaces.
    pub(crate) links: Vec<LinkRecord>,
    /// The lab's cgroup, with everything below it.
    pub(crate) cgroup: PathBuf,
    /// Files that belong to the lab, in the folder of the journal.
    pub(crate) files: Vec<PathBuf>,
    /// Processes started.
    pub(crate) processes: Vec<ProcessRecord>,
    /// The watcher, which cleans up by itself if it lives.
    pub(crate) reaper: Option<ProcessIdentity>,
    /// The folder of the run, where the watcher writes down what it did. Nothing in it belongs to the lab.
    pub(crate) run_dir: Option<PathBuf>,
}

impl Journal {
    /// An empty journal of a lab owned by this process.
    pub(crate) fn new(id: &str, cgroup: PathBuf) -> Result<Self> {
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Ok(Self {
            version: VERSION,
            id: id.to_owned(),
            owner: ProcessIdentity::own()?,
            boot_id: boot_id()?,
            pid_namespace: pid_namespace()?,
            created_unix_ms: u64::try_from(created.as_millis()).unwrap_or(u64::MAX),
            netns: Vec::new(),
            links: Vec::new(),
            cgroup,
            files: Vec::new(),
            processes: Vec::new(),
            reaper: None,
            run_dir: None,
        })
    }

    /// Reads a journal; `Ok(None)` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LabError::io("read", path, e)),
        };
        let journal: Journal =
            serde_json::from_slice(&text).map_err(|source| LabError::Journal { path: path.to_owned(), source })?;
        match journal.objection(path) {
            None => Ok(Some(journal)),
            Some(objection) => {
                let source = std::io::Error::new(ErrorKind::InvalidData, objection);
                Err(LabError::io("believe the journal", path, source))
            }
        }
    }

    /// Why this cannot be the journal of a lab, if it cannot. Everything named must carry the lab's id at its place,
    /// so that no journal, however it came about, makes clean-up remove what is not a lab's.
    fn objection(&self, path: &Path) -> Option<String> {
        if self.version != VERSION {
            return Some(format!("it has version {}, this program knows {VERSION}", self.version));
        }
        if !is_id(&self.id) || path.file_stem().and_then(|s| s.to_str()) != Some(self.id.as_str()) {
            return Some(format!("it has the id {:?}, its file another", self.id));
        }
        let prefix = format!("{PREFIX}-{}-", self.id);
        if let Some(name) = self.netns.iter().find(|name| !name.starts_with(&prefix) || name.contains('/')) {
            return Some(format!("it names a foreign namespace {name:?}"));
        }
        if !self.cgroup.ends_with(Path::new("fissure").join(&self.id)) || !is_plain(&self.cgroup) {
            return Some(format!("it names a foreign cgroup {:?}", self.cgroup));
        }
        let strange = |file: &&PathBuf| {
            file.parent() != path.parent()
                || !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.id))
        };
        if let Some(file) = self.files.iter().find(strange) {
            return Some(format!("it names a foreign file {file:?}"));
        }
        None
    }
}

/// Whether a path is absolute and free of `..`.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|c| matches!(c, std::path::Component::ParentDir))
}

/// A journal and its file.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    journal: Journal,
    closed: bool,
}

impl JournalFile {
    /// Creates the file for a new lab; `Ok(None)` if a lab of that id has one already.
    pub(crate) fn claim(folder: &Path, journal: Journal) -> Result<Option<Self>> {
        let path = folder.join(format!("{}.json", journal.id));
        let file = Self { path, journal, closed: false };
        // The last lab to go removes the folder, maybe between the two steps here.
        for _ in 0..10 {
            fs::create_dir_all(folder).map_err(|e| LabError::io("create folder", folder, e))?;
            let scratch = match file.write_scratch() {
                Err(LabError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            // A link, unlike a rename, fails if the name is taken.
            let linked = fs::hard_link(&scratch, &file.path);
            let _ = fs::remove_file(&scratch);
            return match linked {
                Ok(()) => Ok(Some(file)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => Err(LabError::io("create", &file.path, e)),
            };
        }
        Err(LabError::Timeout { what: format!("creation of {:?}", file.path), waited_ms: 0 })
    }

    /// Where the journal is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Changes what it says, on disk before this returns. Fails once the lab is closed, so that nothing is created
    /// that nobody would remove.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Journal)) -> Result<()> {
        if self.closed {
            return Err(LabError::Closed { id: self.journal.id.clone() });
        }
        change(&mut self.journal);
        let scratch = self.write_scratch()?;
        fs::rename(&scratch, &self.path).map_err(|e| LabError::io("replace", &self.path, e))
    }

    /// From now on nothing can be added.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    fn write_scratch(&self) -> Result<PathBuf> {
        let scratch = scratch_path(&self.path);
        let text = serde_json::to_vec_pretty(&self.journal)
            .map_err(|source| LabError::Journal { path: self.path.clone(), source })?;
        let mut file = fs::File::create(&scratch).map_err(|e| LabError::io("create", &scratch, e))?;
        file.write_all(&text).map_err(|e| LabError::io("write", &scratch, e))?;
        Ok(scratch)
    }
}

/// Where the next version of a journal is written before it takes the journal's place. It carries the id of the lab
/// and lies beside the journal, so clean-up knows it.
pub(crate) fn scratch_path(journal: &Path) -> PathBuf {
    journal.with_extension(format!("{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(id: &str, folder: &Path) -> Journal {
        let mut journal = Journal::new(id, PathBuf::from(format!("/sys/fs/cgroup/fissure/{id}"))).unwrap();
        journal.netns = vec![format!("fsr-{id}-switch"), format!("fsr-{id}-n1")];
        journal.files = vec![folder.join(format!("{id}.hosts"))];
        journal.links.push(LinkRecord {
            netns: format!("fsr-{id}-switch"),
            port: "v-n1".to_owned(),
            peer_netns: format!("fsr-{id}-n1"),
            peer: "eth0".to_owned(),
        });
        journal.processes.push(ProcessRecord {
            host: "n1".to_owned(),
            name: "etcd".to_owned(),
            cgroup: PathBuf::from(format!("/sys/fs/cgroup/fissure/{id}/n1/etcd")),
            identity: Some(ProcessIdentity { pid: 12, start_ticks: 345 }),
        });
        journal
    }

    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let journal = sample("00abcd", folder.path());
        let mut file = JournalFile::claim(folder.path(), journal.clone()).unwrap().unwrap();
        assert_eq!(Journal::read(file.path()).unwrap(), Some(journal));
        file.update(|j| j.processes.clear()).unwrap();
        assert!(Journal::read(file.path()).unwrap().unwrap().processes.is_empty());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["00abcd.json"], "no scratch file stays");
    }

    #[test]
    fn an_id_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = JournalFile::claim(folder.path(), sample("00abcd", folder.path())).unwrap();
        assert!(first.is_some());
        assert!(JournalFile::claim(folder.path(), sample("00abcd", folder.path())).unwrap().is_none());
    }

    #[test]
    fn a_closed_journal_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = JournalFile::claim(folder.path(), sample("00abcd", folder.path())).unwrap().unwrap();
        file.close();
        assert!(matches!(file.update(|_| ()), Err(LabError::Closed { .. })));
    }

    #[test]
    fn absent_and_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00abcd.json");
        assert_eq!(Journal::read(&path).unwrap(), None);
        fs::write(&path, "{\"version\":1").unwrap();
        assert!(matches!(Journal::read(&path), Err(LabError::Journal { .. })));
    }

    #[test]
    fn foreign_names_are_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00abcd.json");
        let refused = |change: &dyn Fn(&mut Journal)| {
            let mut journal = sample("00abcd", folder.path());
            change(&mut journal);
            fs::write(&path, serde_json::to_vec(&journal).unwrap()).unwrap();
            Journal::read(&path).is_err()
        };
        assert!(!refused(&|_| ()));
        assert!(refused(&|j| j.netns.push("docker0".to_owned())));
        assert!(refused(&|j| j.netns.push("fsr-00abcd-/../x".to_owned())));
        assert!(refused(&|j| j.netns.push("fsr-zzzzzz-n1".to_owned())));
        assert!(refused(&|j| j.cgroup = PathBuf::from("/sys/fs/cgroup/system.slice")));
        assert!(refused(&|j| j.cgroup = PathBuf::from("/sys/fs/cgroup/fissure/../fissure/00abcd")));
        assert!(refused(&|j| j.files.push(PathBuf::from("/etc/passwd"))));
        assert!(refused(&|j| j.files.push(folder.path().join("other.hosts"))));
        assert!(refused(&|j| j.id = "00abce".to_owned()));
        assert!(refused(&|j| j.version = 2));
    }
}
