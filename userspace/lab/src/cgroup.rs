//! Control groups (version 2): kill, freeze and remove whole trees of processes.
//!
//! A process can leave its parent, its session and its process group, but not its cgroup, so cgroups are what a lab
//! kills and pauses by. No controller is enabled; nothing is limited.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{LabError, Result};

/// Moves the shell into the cgroup, then becomes the program, which so never runs outside it. `$1` is `cgroup.procs`.
const JOIN_AND_EXEC: &str = r#"echo $$ > "$1" || exit 125; shift; exec "$@""#;

/// Exit status of a command made by [`Cgroup::command`] if the cgroup could not be joined.
pub(crate) const JOIN_FAILED: i32 = 125;

/// How long killed processes get to be gone. SIGKILL needs no co-operation, but a task deep in the kernel ends late.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// How long frozen or stopped processes get to stand still.
const PAUSE_WAIT: Duration = Duration::from_secs(5);

/// How a process is paused. Either way every thread of it and of its children stands still, and timers, sockets and
/// the kernel's side of their connections go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseMethod {
    /// `cgroup.freeze`: atomic for the whole tree and invisible to parents.
    CgroupFreeze,
    /// SIGSTOP to each process, where the kernel has no freezer in cgroup v2 (before 5.2).
    Sigstop,
}

/// A cgroup of a lab, by its folder.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// The cgroup at this folder, which need not exist yet.
    pub(crate) fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates it, with those above it.
    pub(crate) fn create(&self) -> Result<()> {
        // Another lab that ends may remove the common parent between the two steps inside.
        let mut outcome = Ok(());
        for _ in 0..10 {
            outcome = fs::create_dir_all(&self.dir);
            match &outcome {
                Err(e) if e.kind() == ErrorKind::NotFound => (),
                _ => break,
            }
        }
        outcome.map_err(|e| LabError::io("create cgroup", &self.dir, e))
    }

    /// A command that runs a program inside this cgroup, or not at all: once the cgroup is removed, what was on its way
    /// into it ends with [`JOIN_FAILED`].
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", JOIN_AND_EXEC, "fissure"]).arg(self.dir.join("cgroup.procs")).arg(program);
        command
    }

    /// Whether it exists.
    pub(crate) fn exists(&self) -> bool {
        self.dir.join("cgroup.procs").exists()
    }

    /// The processes in it and below it.
    pub(crate) fn members(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        for dir in tree(&self.dir) {
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
        }
        pids
    }

    /// Whether a live process is in it or below it. A cgroup that does not exist holds none.
    pub(crate) fn is_populated(&self) -> bool {
        self.event("populated") == Some(true)
    }

    /// How members are paused on this kernel.
    pub(crate) fn pause_method(&self) -> PauseMethod {
        if self.dir.join("cgroup.freeze").exists() { PauseMethod::CgroupFreeze } else { PauseMethod::Sigstop }
    }

    /// Kills every process in it and below it and waits until they are gone. Also those that are paused.
    pub(crate) fn kill_all(&self) -> Result<()> {
        let begun = Instant::now();
        let mut nap = Duration::from_micros(200);
        while self.is_populated() {
            self.kill_once();
            if begun.elapsed() > KILL_WAIT {
                let what = format!("end of the killed processes {:?} in {:?}", self.members(), self.dir);
                return Err(LabError::Timeout { what, waited_ms: begun.elapsed().as_millis() });
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// One round of killing: with `cgroup.kill` (5.14) no process escapes by forking; without it the caller's loop
    /// catches up. A frozen tree dies too.
    fn kill_once(&self) {
        if fs::write(self.dir.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        self.signal_all(Signal::SIGKILL);
    }

    /// Sends a signal to each process in it and below it.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for pid in self.members() {
            if let Ok(pid) = i32::try_from(pid) {
                // It may have ended since the list was read; then there is nothing to signal.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    /// Stops every process in it and below it and waits until they stand still.
    pub(crate) fn pause(&self) -> Result<()> {
        let begun = Instant::now();
        let method = self.pause_method();
        if method == PauseMethod::CgroupFreeze {
            self.write("cgroup.freeze", "1")?;
        }
        loop {
            let still = match method {
                PauseMethod::CgroupFreeze => self.event("frozen") != Some(false),
                PauseMethod::Sigstop => {
                    self.signal_all(Signal::SIGSTOP);
                    self.members().iter().all(|pid| {
                        crate::procfs::read_stat(*pid).is_none_or(|stat| matches!(stat.state, 'T' | 't' | 'Z' | 'X'))
                    })
                }
            };
            if still {
                return Ok(());
            }
            if begun.elapsed() > PAUSE_WAIT {
                let what = format!("pause of the processes {:?} in {:?}", self.members(), self.dir);
                return Err(LabError::Timeout { what, waited_ms: begun.elapsed().as_millis() });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Lets every process in it and below it go on.
    pub(crate) fn resume(&self) -> Result<()> {
        match self.pause_method() {
            PauseMethod::CgroupFreeze => self.write("cgroup.freeze", "0"),
            PauseMethod::Sigstop => {
                self.signal_all(Signal::SIGCONT);
                Ok(())
            }
        }
    }

    /// Kills what is in it and removes it with everything below it. `Ok(false)` if it did not exist.
    pub(crate) fn remove(&self) -> Result<bool> {
        if !self.dir.exists() {
            return Ok(false);
        }
        let begun = Instant::now();
        loop {
            self.kill_all()?;
            match self.remove_tree() {
                Ok(()) => return Ok(true),
                // A process that was just being started joined after the others were killed.
                Err(LabError::Io { source, .. })
                    if source.kind() == ErrorKind::ResourceBusy && begun.elapsed() < KILL_WAIT =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn remove_tree(&self) -> Result<()> {
        // The tree lists parents first; a cgroup can be removed only after its children.
        for dir in tree(&self.dir).iter().rev() {
            match fs::remove_dir(dir) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(LabError::io("remove cgroup", dir, e)),
                _ => (),
            }
        }
        Ok(())
    }

    /// The value of a key in `cgroup.events`.
    fn event(&self, key: &str) -> Option<bool> {
        let text = fs::read_to_string(self.dir.join("cgroup.events")).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
        Some(value == "1")
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.dir.join(file);
        fs::write(&path, value).map_err(|e| LabError::io("write", path, e))
    }
}

/// A folder and all folders below it, parents before children.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if let Ok(entries) = fs::read_dir(&found[at]) {
            let children = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            found.extend(children.map(|e| e.path()));
        }
        at += 1;
    }
    found
}
