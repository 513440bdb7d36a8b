//! Clean-up: takes down labs by their journals.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::address::{PREFIX, is_id};
use crate::cgroup::Cgroup;
use crate::error::{LabError, Result};
use crate::journal::{FOLDER, Journal};
use crate::netns;
use crate::procfs::{ProcessIdentity, boot_id, pid_namespace};

/// Which labs to clean up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CleanScope {
    /// Every lab whose owner is dead; others are left alone.
    DeadOwners,
    /// The lab of this id. Refused while its owner lives.
    One(String),
    /// Every lab of this machine. Refused as a whole if the owner of any lives.
    All,
}

/// Whether a lab is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabState {
    /// Its owner lives.
    Alive,
    /// Its owner is dead (or the machine was started anew since).
    Dead,
    /// It cannot be told from here; the text says why. Treated like a living one.
    Unclear(String),
}

/// A lab that has a journal on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabSummary {
    /// Its id.
    pub id: String,
    /// The process it belongs to.
    pub owner_pid: u32,
    /// Whether it is in use.
    pub state: LabState,
    /// When it was created, in milliseconds since 1970 (UTC).
    pub created_unix_ms: u64,
    /// Its journal.
    pub journal: PathBuf,
}

/// What was done about one lab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanedLab {
    /// Its id.
    pub id: String,
    /// The process it belonged to.
    pub owner_pid: u32,
    /// What was removed, in words.
    pub removed: Vec<String>,
    /// What could not be removed and why. The journal stays if there is any.
    pub problems: Vec<String>,
}

/// What a clean-up did. Its `Display` form is for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// The labs that were taken down.
    pub labs: Vec<CleanedLab>,
    /// What was seen and not touched, and why.
    pub left_alone: Vec<String>,
}

impl CleanReport {
    /// Whether nothing was removed because nothing was there to remove.
    pub fn is_empty(&self) -> bool {
        self.labs.is_empty()
    }

    /// Whether all that was to be removed is removed.
    pub fn is_complete(&self) -> bool {
        self.labs.iter().all(|lab| lab.problems.is_empty())
    }
}

impl fmt::Display for CleanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labs.is_empty() {
            writeln!(f, "no lab to clean up")?;
        }
        for lab in &self.labs {
            write!(f, "{lab}")?;
        }
        for words in &self.left_alone {
            writeln!(f, "left alone: {words}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CleanedLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lab {} of process {}:", self.id, self.owner_pid)?;
        for words in &self.removed {
            writeln!(f, "  removed {words}")?;
        }
        for words in &self.problems {
            writeln!(f, "  could not be removed: {words}")?;
        }
        Ok(())
    }
}

/// All labs of this machine that have a readable journal.
///
/// # Errors
///
/// [`LabError::Io`] if the folder of journals or the own identity cannot be read.
pub fn list() -> std::result::Result<Vec<LabSummary>, LabError> {
    let here = Here::now()?;
    let summary = |(path, journal): (PathBuf, Result<Option<Journal>>)| {
        let journal = journal.ok()??;
        let state = here.state(&journal);
        Some(LabSummary {
            id: journal.id,
            owner_pid: journal.owner.pid,
            state,
            created_unix_ms: journal.created_unix_ms,
            journal: path,
        })
    };
    Ok(journals()?.into_iter().filter_map(summary).collect())
}

/// Takes down labs whose owners are dead. Idempotent; may run at the same time as others of its kind.
///
/// Only what a journal names is removed. A lab whose owner lives is never touched.
///
/// # Errors
///
/// [`LabError::LabsAlive`] if the scope covers a living lab, and then nothing is removed; [`LabError::UnknownLab`];
/// [`LabError::Io`] and [`LabError::Journal`] if the journals cannot be read. Failures to remove single objects are
/// not errors of this function but [`CleanedLab::problems`].
pub fn clean(scope: CleanScope) -> std::result::Result<CleanReport, LabError> {
    let here = Here::now()?;
    let mut report = CleanReport::default();
    let mut dead = Vec::new();
    let mut alive = Vec::new();
    for (path, journal) in journals()? {
        if let CleanScope::One(id) = &scope
            && path.file_stem().and_then(|stem| stem.to_str()) != Some(id)
        {
            continue;
        }
        match journal {
            Ok(None) => (),
            Ok(Some(journal)) => match here.state(&journal) {
                LabState::Dead => dead.push((path, journal)),
                LabState::Alive => alive.push(format!("lab {} of process {}", journal.id, journal.owner.pid)),
                LabState::Unclear(why) => alive.push(format!("lab {} ({why})", journal.id)),
            },
            Err(error) if matches!(scope, CleanScope::One(_)) => return Err(error),
            Err(error) => report.left_alone.push(error.to_string()),
        }
    }
    if scope != CleanScope::DeadOwners && !alive.is_empty() {
        return Err(LabError::LabsAlive { labs: alive.join(", ") });
    }
    if let (CleanScope::One(id), true) = (&scope, dead.is_empty()) {
        return Err(LabError::UnknownLab { id: id.clone() });
    }
    report.left_alone.extend(alive.into_iter().map(|lab| format!("{lab}, which is in use")));
    report.labs = dead.iter().filter_map(|(path, journal)| remove_dead_lab(journal, path)).collect();
    if !matches!(scope, CleanScope::One(_)) {
        remove_stale_scratch_files();
        report.left_alone.extend(unclaimed_namespaces());
    }
    remove_if_empty(Path::new(FOLDER));
    Ok(report)
}

/// What an owner's identity is compared with.
struct Here {
    boot_id: String,
    pid_namespace: String,
}

impl Here {
    fn now() -> Result<Self> {
        Ok(Self { boot_id: boot_id()?, pid_namespace: pid_namespace()? })
    }

    fn state(&self, journal: &Journal) -> LabState {
        if journal.boot_id != self.boot_id {
            LabState::Dead
        } else if journal.pid_namespace != self.pid_namespace {
            LabState::Unclear(format!("its owner is in another PID namespace, {}", journal.pid_namespace))
        } else if journal.owner.is_alive() {
            LabState::Alive
        } else {
            LabState::Dead
        }
    }
}

/// Every journal file with what it holds, by id.
fn journals() -> Result<Vec<(PathBuf, Result<Option<Journal>>)>> {
    let entries = match fs::read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(LabError::io("list", FOLDER, e)),
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "json")).collect();
    paths.sort();
    Ok(paths.into_iter().map(|path| (path.clone(), Journal::read(&path))).collect())
}

/// How long a watcher that lives gets to do its work before it is done for it.
const REAPER_WAIT: Duration = Duration::from_secs(2);

/// Takes down the lab of a dead owner; `None` if its watcher, which is at it too, was first.
fn remove_dead_lab(journal: &Journal, path: &Path) -> Option<CleanedLab> {
    let begun = Instant::now();
    while journal.reaper.is_some_and(|reaper| reaper.is_alive()) && begun.elapsed() < REAPER_WAIT {
        if !path.exists() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    path.exists().then(|| remove_lab(journal, path))
}

/// Takes down the lab of a journal, whoever owns it: processes, namespaces, cgroups, files, and last the journal.
pub(crate) fn remove_lab(journal: &Journal, path: &Path) -> CleanedLab {
    let mut done = CleanedLab { id: journal.id.clone(), owner_pid: journal.owner.pid, ..CleanedLab::default() };
    // First of all the cgroup: a set-up that still goes on runs inside, and could create what was just removed.
    remove_processes(journal, &mut done);
    for name in &journal.netns {
        note(&mut done, netns::remove(name), format!("network namespace {name}"));
    }
    if let Some(parent) = journal.cgroup.parent() {
        remove_if_empty(parent);
    }
    for file in &journal.files {
        note(&mut done, remove_file(file), format!("file {}", file.display()));
    }
    // As long as something is left, so is the journal that names it.
    if done.problems.is_empty() {
        for scratch in scratch_files_of(path) {
            let _ = remove_file(&scratch);
        }
        note(&mut done, remove_file(path), format!("journal {}", path.display()));
        remove_if_empty(Path::new(FOLDER));
    }
    done
}

/// Kills what is in the lab's cgroup and removes it, so that nothing can get into it any more; then kills journaled
/// processes that somebody moved out of it.
fn remove_processes(journal: &Journal, done: &mut CleanedLab) {
    let cgroup = Cgroup::at(&journal.cgroup);
    let members = cgroup.members();
    let removed = cgroup.remove();
    if removed.is_ok() && !members.is_empty() {
        done.removed.push(format!("processes {members:?}"));
    }
    note(done, removed, format!("cgroup {}", journal.cgroup.display()));
    // Process ids of another boot mean somebody else.
    if !boot_id().is_ok_and(|id| id == journal.boot_id) {
        return;
    }
    for identity in journal.processes.iter().filter_map(|process| process.identity) {
        if identity.is_alive() && identity.pid != std::process::id() && kill_one(identity) {
            done.removed.push(format!("process {}", identity.pid));
        }
    }
}

fn kill_one(identity: ProcessIdentity) -> bool {
    i32::try_from(identity.pid).is_ok_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
}

fn note(done: &mut CleanedLab, outcome: Result<bool>, what: String) {
    match outcome {
        Ok(true) => done.removed.push(what),
        Ok(false) => (),
        Err(error) => done.problems.push(error.to_string()),
    }
}

fn remove_file(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(LabError::io("remove", path, e)),
    }
}

/// Removes a folder that labs share once the last of them is gone; while it holds anything the system refuses.
fn remove_if_empty(dir: &Path) {
    let _ = fs::remove_dir(dir);
}

/// Half-written journals of one lab.
fn scratch_files_of(journal: &Path) -> Vec<PathBuf> {
    let id = journal.file_stem().unwrap_or_default();
    let all = scratch_files(journal.parent().unwrap_or(Path::new(FOLDER)));
    all.into_iter().filter(|scratch| id == scratch.id.as_str()).map(|scratch| scratch.path).collect()
}

/// Removes half-written journals of processes that died before their lab had one, and so before it had anything.
fn remove_stale_scratch_files() {
    for scratch in scratch_files(Path::new(FOLDER)) {
        if ProcessIdentity::of(scratch.pid).is_none() {
            let _ = remove_file(&scratch.path);
        }
    }
}

/// A half-written journal, `<id>.<pid>.tmp`.
struct Scratch {
    path: PathBuf,
    id: String,
    pid: u32,
}

fn scratch_files(folder: &Path) -> Vec<Scratch> {
    let parse = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let (id, pid) = name.strip_suffix(".tmp")?.split_once('.')?;
        Some(Scratch { id: is_id(id).then(|| id.to_owned())?, pid: pid.parse().ok()?, path })
    };
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| parse(entry.path())).collect()
}

/// Namespaces with a name like a lab's and no journal: not known to be ours, so only mentioned.
fn unclaimed_namespaces() -> Vec<String> {
    let unclaimed = |name: &String| {
        let id = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-').next()?;
        let journal = Path::new(FOLDER).join(format!("{id}.json"));
        // Looked for again: a lab that just went down takes its journal with it last.
        let stays = is_id(id) && !journal.exists() && netns::path(name).exists();
        stays.then(|| format!("network namespace {name}, which no journal names"))
    };
    netns::names().iter().filter_map(unclaimed).collect()
}
