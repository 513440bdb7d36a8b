//! Exit codes, and errors that carry one.

use fissure_checker::Validity;
use std::process::ExitCode;

/// How the program ends. Documented in `docs/verdicts.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All valid; or the command did what it was asked.
    Valid = 0,
    /// A violation was found.
    Invalid = 1,
    /// Neither can be said.
    Unknown = 2,
    /// This machine (kernel, privilege, target) cannot do it.
    CannotRun = 3,
    /// Wrong flags, or a scenario or a history with mistakes in it.
    Usage = 64,
    /// A bug in fissure.
    Bug = 70,
    /// A signal ended it before it was done.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<Validity> for Exit {
    fn from(validity: Validity) -> Exit {
        match validity {
            Validity::Valid => Exit::Valid,
            Validity::Unknown => Exit::Unknown,
            Validity::Invalid => Exit::Invalid,
        }
    }
}

/// An error with the exit code that it deserves.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// What is said on standard error.
    pub(crate) error: anyhow::Error,
    /// What to do about it, if there is something.
    pub(crate) help: Option<String>,
}

impl Failure {
    /// A mistake of the caller.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into(), help: None }
    }

    /// Something that this machine cannot do.
    pub(crate) fn cannot_run(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::CannotRun, error: error.into(), help: None }
    }

    /// A bug in fissure.
    pub(crate) fn bug(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Bug, error: error.into(), help: None }
    }

    /// With a word on what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
