//! What can go wrong in a lab, with the names of the things it went wrong with.

use std::path::PathBuf;

/// An error of the lab: building it, working in it, or removing it.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces and cgroups need root.
    #[error("a lab needs root (effective user id is {euid})")]
    NotRoot {
        /// The effective user id of this process.
        euid: u32,
    },
    /// A program is not in `PATH`, or the given path is not an executable file.
    #[error("program {program:?} is missing; it is needed for {needed_for}")]
    MissingProgram {
        /// Name or path of the program.
        program: String,
        /// What it would have been used for.
        needed_for: String,
    },
    /// A program that sets up the lab failed.
    #[error("{command:?} failed ({status}): {stderr}")]
    Command {
        /// The command, with what was fed to it.
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A system call or file operation failed.
    #[error("could not {op} {path:?}: {source}")]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// The file, folder or namespace it was tried with.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The configuration of a lab or process makes no sense.
    #[error("invalid lab configuration: {reason}")]
    InvalidConfig {
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// No cgroup version 2 hierarchy is mounted.
    #[error("no cgroup v2 file system is mounted (looked in /proc/self/mounts)")]
    NoCgroup2,
    /// A process of that name runs on the host already.
    #[error("host {host:?} runs a process named {name:?} already (pid {pid})")]
    ProcessExists {
        /// The host.
        host: String,
        /// The name of the process.
        name: String,
        /// The process id of the one that runs.
        pid: u32,
    },
    /// The lab is gone or going: nothing can be started in it any more.
    #[error("lab {id:?} is closed")]
    Closed {
        /// The id of the lab.
        id: String,
    },
    /// No journal for a lab of that id.
    #[error("there is no lab {id:?}")]
    UnknownLab {
        /// The id that was asked for.
        id: String,
    },
    /// Clean-up was asked for labs whose owners are alive.
    #[error("refused: {labs} still in use; end the owner first")]
    LabsAlive {
        /// The living labs and their owners, in words.
        labs: String,
    },
    /// A journal file does not hold what a journal holds.
    #[error("journal {path:?} cannot be read: {source}")]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The watcher process did not start.
    #[error("the lab's watcher {command:?} did not start: {reason}")]
    Reaper {
        /// The command that was to be the watcher.
        command: String,
        /// What it did instead.
        reason: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {waited_ms} ms")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long, in milliseconds.
        waited_ms: u128,
    },
    /// The lab is down as far as possible, but something of it remains. The journal was kept, so that the next
    /// clean-up tries again.
    #[error("lab {id:?} left something behind: {}", problems.join("; "))]
    Residue {
        /// The id of the lab.
        id: String,
        /// What could not be removed, and why.
        problems: Vec<String>,
    },
}

impl LabError {
    /// An [`LabError::Io`] from any error the system calls give.
    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        LabError::Io { op, path: path.into(), source: source.into() }
    }
}

/// Short form used inside the crate.
pub(crate) type Result<T> = std::result::Result<T, LabError>;
