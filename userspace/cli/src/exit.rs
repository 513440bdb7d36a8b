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

    /// The error and its causes. Many errors name their cause themselves, which is then not said again.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for cause in self.error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        text
    }

    /// With a word on what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let named = fissure_run::RunError::Io { op: "write", path: "/x/part".into(), source: full() };
        let failure = Failure::cannot_run(anyhow::Error::from(named).context("the run cannot be sealed"));
        assert_eq!(failure.text(), "the run cannot be sealed: cannot write /x/part: no storage space");
        let plain = Err::<(), _>(full()).context("cannot write x").unwrap_err();
        assert_eq!(Failure::bug(plain).text(), "cannot write x: no storage space");
    }
}
