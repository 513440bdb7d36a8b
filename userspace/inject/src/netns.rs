//! Doing something inside another network namespace.

use std::{fs::File, io, path::Path};

use nix::sched::{CloneFlags, setns};

use crate::InjectError;

/// A network namespace that is held open, or the one this process is in.
#[derive(Debug)]
pub(crate) enum NetNs {
    Own,
    Other(File),
}

impl NetNs {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, InjectError> {
        match path {
            None => Ok(Self::Own),
            Some(path) => {
                File::open(path).map(Self::Other).map_err(|source| InjectError::NetNs { path: path.into(), source })
            }
        }
    }

    /// Runs `work` inside the namespace, on a thread of its own that ends with it: a namespace belongs to a thread, and
    /// no thread of the caller's may be found in the wrong one.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let file = match self {
            Self::Own => return Ok(work()),
            Self::Other(file) => file,
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("fissure-netns".into()).spawn_scoped(scope, || {
                setns(file, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
