//! What can go wrong at the kernel's door.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

/// Why the kernel could not be asked, or said no.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InjectError {
    /// This binary carries no eBPF programs.
    #[error("this build has no eBPF programs in it: build it with `cargo xtask build`")]
    NotBuilt,
    /// The kernel allows eBPF only to root (CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN).
    #[error("the kernel refused {what}: this needs root")]
    NotRoot {
        /// What was tried.
        what: &'static str,
    },
    /// The verifier refused a program. `{:#}` shows its whole log.
    #[error(transparent)]
    Verifier(Box<VerifierRefusal>),
    /// The embedded object could not be loaded.
    #[error("cannot load the eBPF object")]
    Load {
        /// Why.
        #[source]
        source: Box<aya::EbpfError>,
    },
    /// A program could not be loaded or attached.
    #[error("cannot {what} program {program}")]
    Program {
        /// What was tried.
        what: &'static str,
        /// Name of the program.
        program: String,
        /// Why.
        #[source]
        source: Box<aya::programs::ProgramError>,
    },
    /// The object does not have what this crate expects: the two were built from different sources.
    #[error("the eBPF object has no {kind} {name}: it was built from other sources")]
    Mismatch {
        /// `map` or `program`.
        kind: &'static str,
        /// Name.
        name: String,
    },
    /// A map could not be opened or mapped.
    #[error("cannot use map {name}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No such network namespace, or it could not be entered.
    #[error("cannot enter network namespace {}", path.display())]
    NetNs {
        /// The namespace's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The interface could not be found in its namespace.
    #[error("cannot find interface {ifname} of host {host}")]
    Interface {
        /// Name of the host.
        host: String,
        /// Name of the interface.
        ifname: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// All copies of the program are attached.
    #[error("cannot attach host {host}: {max} hosts are attached, and that is the most there can be")]
    TooManyHosts {
        /// The host that was one too many.
        host: String,
        /// The limit.
        max: u32,
    },
    /// The host is attached already.
    #[error("host {host} is attached already")]
    AlreadyAttached {
        /// Name of the host.
        host: String,
    },
    /// The host is not attached.
    #[error("host {host} is not attached")]
    NotAttached {
        /// Name of the host.
        host: String,
    },
    /// The table does not fit.
    #[error("a table of {count} rules does not fit: {max} is the most")]
    TooManyRules {
        /// Rules given.
        count: usize,
        /// The limit.
        max: u32,
    },
    /// [`Injector::events`](crate::Injector::events) was called before: there is one reader.
    #[error("the reader of events was taken before")]
    EventsTaken,
    /// A thread could not be started, or waiting failed.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What the verifier said of a program it refused.
#[derive(Debug)]
pub struct VerifierRefusal {
    /// Name of the program.
    pub program: String,
    /// What the system call said.
    pub error: io::Error,
    /// The verifier's whole log.
    pub log: String,
}

impl VerifierRefusal {
    /// The line of the log that says why: the last before the statistics.
    #[must_use]
    pub fn reason(&self) -> &str {
        let is_reason = |line: &&str| {
            let line = line.trim();
            !line.is_empty()
                && !line.starts_with("processed ")
                && !line.starts_with("verification time")
                && !line.starts_with("stack depth")
        };
        self.log.lines().rev().find(is_reason).unwrap_or("it gave no reason").trim()
    }
}

impl fmt::Display for VerifierRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel's verifier refused program {}: {}", self.program, self.reason())?;
        if f.alternate() {
            write!(f, " ({})\n{}", self.error, self.log)?;
        }
        Ok(())
    }
}

impl std::error::Error for VerifierRefusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_line_before_the_statistics() {
        let refusal = VerifierRefusal {
            program: "fissure_in_00".into(),
            error: io::Error::from_raw_os_error(13),
            log: "0: (b7) r0 = 1\n7: R1 invalid mem access 'scalar'\nprocessed 8 insns (limit 1000000)\n\n".into(),
        };
        let error = InjectError::Verifier(Box::new(refusal));
        assert_eq!(
            error.to_string(),
            "the kernel's verifier refused program fissure_in_00: 7: R1 invalid mem access 'scalar'"
        );
        assert!(format!("{error:#}").contains("(b7) r0 = 1"));
    }
}
