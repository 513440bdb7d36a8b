//! What can go wrong with a run.

use std::path::PathBuf;
use thiserror::Error;

/// A run that could not be started, or could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The lab could not be made.
    #[error("cannot make the lab: {0}")]
    Lab(#[from] fissure_lab::LabError),
    /// The kernel's door is shut.
    #[error("cannot inject faults: {0}")]
    Inject(#[from] fissure_inject::InjectError),
    /// The history cannot be written.
    #[error("cannot write the history: {0}")]
    History(#[from] fissure_history::Error),
    /// An event cannot be recorded.
    #[error("cannot record an event: {0}")]
    Record(#[from] fissure_history::journal::RecordError),
    /// The system under test could not be started.
    #[error("cannot start the target: {0}")]
    Target(#[from] fissure_workloads::TargetError),
    /// The system under test did not become ready in time.
    #[error("the target was not ready within {seconds} s: {text}; the nodes' logs are in {logs}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// Its last answer.
        text: String,
        /// Where the nodes' logs are.
        logs: PathBuf,
    },
    /// The demo store has no such bug: plan and store disagree.
    #[error("the demo store has no bug {bug}; this is a bug in fissure")]
    UnknownBug {
        /// The name.
        bug: String,
    },
    /// A node has no host of its name: a bug.
    #[error("the lab has no host {host}; this is a bug in fissure")]
    UnknownHost {
        /// The name.
        host: String,
    },
    /// The tasks that run the clients ended: a bug.
    #[error("the workers ended before the run did; this is a bug in fissure")]
    WorkersGone,
    /// An operation of the system failed.
    #[error("cannot {op} {path}: {source}")]
    Io {
        /// What was attempted.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Somebody wanted the run to end before it had begun.
    #[error("interrupted before the run had begun")]
    InterruptedEarly,
}

impl RunError {
    /// Whether it means that this machine cannot do it (exit code 3), rather than a mistake or a bug.
    #[must_use]
    pub fn is_cannot_run_here(&self) -> bool {
        !matches!(self, RunError::WorkersGone | RunError::UnknownHost { .. } | RunError::UnknownBug { .. })
    }

    /// Whether there is no room where the run is recorded.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            RunError::History(error) => error.is_disk_full(),
            RunError::Record(error) => error.is_disk_full(),
            RunError::Io { source, .. } => fissure_history::is_disk_full(source),
            _ => false,
        }
    }
}
