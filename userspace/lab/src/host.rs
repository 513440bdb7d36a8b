//! One host of a lab.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::LabError;
use crate::journal::JournalFile;
use crate::netns::in_netns;
use crate::process::{Inner, Process, ProcessSpec};

/// What hosts and processes of one lab share.
pub(crate) struct Shared {
    id: String,
    journal: Mutex<JournalFile>,
    /// Every process started, until the lab ends (which also breaks the circle of references).
    processes: Mutex<Vec<Arc<Inner>>>,
    pub(crate) run_dir: Option<PathBuf>,
    /// What processes see as `/etc/hosts`; `None` if they see the machine's.
    pub(crate) hosts_file: Option<PathBuf>,
}

impl Shared {
    pub(crate) fn new(journal: JournalFile, run_dir: Option<PathBuf>, hosts_file: Option<PathBuf>) -> Self {
        let id = journal.journal().id.clone();
        Self { id, journal: Mutex::new(journal), processes: Mutex::default(), run_dir, hosts_file }
    }

    /// The journal. A panic elsewhere while it was held leaves it usable: it is replaced as a whole or not at all.
    pub(crate) fn journal(&self) -> MutexGuard<'_, JournalFile> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn processes(&self) -> MutexGuard<'_, Vec<Arc<Inner>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Written by hand: processes refer to what they share, and that to the processes.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("lab", &self.id).finish_non_exhaustive()
    }
}

/// A host: a network namespace with an address, and a cgroup for its processes.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the lab.
    pub name: String,
    /// Its IPv4 address (in a /24).
    pub addr_v4: Ipv4Addr,
    /// Its IPv6 address (in a /64), if the lab has IPv6.
    pub addr_v6: Option<Ipv6Addr>,
    /// Its network namespace, for [`crate::enter_netns`] and `ip netns`.
    pub netns_path: PathBuf,
    /// Its cgroup; each process has one of its own below.
    pub cgroup: PathBuf,
    /// Its link in its namespace.
    pub ifname: String,
    /// The other end of that link, a port of the bridge in the switch's namespace ([`crate::Lab::switch_netns_path`]).
    pub switch_port: String,
    pub(crate) shared: Arc<Shared>,
}

impl Host {
    /// Starts a process on this host. When this returns the process is in its cgroup and namespace, though it may not
    /// have got far.
    ///
    /// # Errors
    ///
    /// [`LabError::MissingProgram`]; [`LabError::ProcessExists`] while a process of that name runs here;
    /// [`LabError::InvalidConfig`] for a name that cannot be a file name; [`LabError::Closed`] after the end of the
    /// lab; [`LabError::Io`] if a log cannot be opened or the system refuses.
    pub fn spawn(&self, spec: ProcessSpec) -> Result<Process, LabError> {
        Process::start(&self.shared, &self.name, &self.netns_path, &self.cgroup, spec)
    }

    /// Runs `work` in this host's network namespace, on a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`in_netns`].
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        in_netns(&self.netns_path, work)
    }
}
