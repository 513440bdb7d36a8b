//! Processes on hosts: started in the host's namespace and a cgroup of their own, killed, paused, resumed, restarted.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::address::check_process_name;
use crate::cgroup::{Cgroup, JOIN_FAILED};
use crate::error::{LabError, Result};
use crate::host::Shared;
use crate::iproute::find_program;
use crate::journal::ProcessRecord;
use crate::netns::{enter_netns, on_scratch_thread};
use crate::procfs::ProcessIdentity;

/// How long a started process gets to show up in its cgroup.
const JOIN_WAIT: Duration = Duration::from_secs(10);

/// What to start. Every field but name and program may stay at its default.
#[derive(Debug, Clone, Default)]
pub struct ProcessSpec {
    /// Name of the process, unique on its host: letters, digits, `_` and `-`.
    pub name: String,
    /// The program: a path, or a name to be found in `PATH`.
    pub program: OsString,
    /// Its arguments, without the program itself.
    pub args: Vec<OsString>,
    /// Environment variables, added to those of this process.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; `None`: that of this process.
    pub cwd: Option<PathBuf>,
    /// File that standard output is appended to; `None`: `<run_dir>/logs/<host>/<name>.log`, or nowhere without a run
    /// folder. Folders above it are created.
    pub stdout: Option<PathBuf>,
    /// File that standard error is appended to; `None`: the same as standard output.
    pub stderr: Option<PathBuf>,
}

impl ProcessSpec {
    /// A process called `name` that runs `program`.
    pub fn new(name: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        Self { name: name.into(), program: program.as_ref().to_owned(), ..Self::default() }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Appends both standard output and standard error to this file.
    #[must_use]
    pub fn log(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdout = Some(file.into());
        self.stderr = None;
        self
    }
}

/// A process on a host. A handle: clones stand for the same process, and dropping one does not end it; the end of the
/// lab does.
///
/// "The process" is the program with all its descendants, as far as they fled: they share a cgroup.
#[derive(Debug, Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    shared: Arc<Shared>,
    host: String,
    netns_path: PathBuf,
    cgroup: Cgroup,
    spec: ProcessSpec,
    state: Mutex<State>,
}

/// How it stands with the process; what is done to it is done under its lock.
#[derive(Debug, Default)]
struct State {
    /// The program, until its exit status was read.
    child: Option<Child>,
    pid: u32,
    status: Option<ExitStatus>,
    paused: bool,
}

impl State {
    /// Reads the exit status if there is one.
    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(child) = &mut self.child {
            let pid = self.pid;
            if let Some(status) = child.try_wait().map_err(|e| LabError::io("wait for", format!("/proc/{pid}"), e))? {
                self.status = Some(status);
                self.child = None;
            }
        }
        Ok(if self.child.is_some() { None } else { self.status })
    }
}

impl Process {
    /// Starts a process on a host, on whose namespace and cgroup it then depends.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        host: &str,
        netns_path: &Path,
        host_cgroup: &Path,
        mut spec: ProcessSpec,
    ) -> Result<Self> {
        check_process_name(&spec.name)?;
        // Resolved here, where a missing program is a typed error; inside the namespace it would be an exit status.
        spec.program = find_program(&spec.program, &format!("process {:?} on host {host:?}", spec.name))?.into();
        let cgroup = Cgroup::at(host_cgroup.join(&spec.name));
        let inner = Arc::new(Inner {
            shared: Arc::clone(shared),
            host: host.to_owned(),
            netns_path: netns_path.to_owned(),
            cgroup,
            spec,
            state: Mutex::default(),
        });
        let mut state = inner.lock();
        {
            // Held while looking and registering, so that of two starts under one name one fails.
            let mut running = shared.processes();
            if let Some(pid) = running.iter().find_map(|other| other.occupant(&inner)) {
                return Err(LabError::ProcessExists { host: host.to_owned(), name: inner.spec.name.clone(), pid });
            }
            running.retain(|other| !(other.host == inner.host && other.spec.name == inner.spec.name));
            running.push(Arc::clone(&inner));
        }
        inner.launch(&mut state)?;
        drop(state);
        Ok(Process { inner })
    }

    /// Its name on its host.
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// The name of its host.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// Its process id, or that of its last incarnation if it has ended.
    pub fn pid(&self) -> u32 {
        self.inner.lock().pid
    }

    /// The process ids of the program and all its living descendants.
    pub fn pids(&self) -> Vec<u32> {
        self.inner.cgroup.members()
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> PathBuf {
        self.inner.cgroup.dir().to_owned()
    }

    /// Whether the program runs, also if paused. Descendants that outlive it do not count.
    pub fn is_running(&self) -> bool {
        matches!(self.try_wait(), Ok(None))
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.inner.lock().paused
    }

    /// The exit status of the program, if it has ended. Does not wait.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] if the system cannot tell.
    pub fn try_wait(&self) -> std::result::Result<Option<ExitStatus>, LabError> {
        self.inner.lock().poll()
    }

    /// Waits for the end of the program, at most `timeout`; `None` if it runs on.
    ///
    /// # Errors
    ///
    /// As [`Process::try_wait`].
    pub fn wait(&self, timeout: Duration) -> std::result::Result<Option<ExitStatus>, LabError> {
        let begun = Instant::now();
        loop {
            let status = self.try_wait()?;
            if status.is_some() || begun.elapsed() >= timeout {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills the program and all its descendants (SIGKILL), also if paused, and waits until they are gone. Returns
    /// whether there was anything to kill.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] if a process does not end.
    pub fn kill(&self) -> std::result::Result<bool, LabError> {
        self.inner.kill(&mut self.inner.lock())
    }

    /// Asks the program to end (SIGTERM), gives it `grace`, then kills what is left. Returns whether there was
    /// anything to end.
    ///
    /// # Errors
    ///
    /// As [`Process::kill`].
    pub fn terminate(&self, grace: Duration) -> std::result::Result<bool, LabError> {
        let begun = Instant::now();
        {
            let mut state = self.inner.lock();
            if state.poll()?.is_none() && state.child.is_some() {
                self.inner.resume(&mut state)?;
                // Not reaped yet (checked above, under the lock), so the number is still this process'.
                let _ = kill(Pid::from_raw(i32::try_from(state.pid).unwrap_or(i32::MAX)), Signal::SIGTERM);
            } else if !self.inner.cgroup.is_populated() {
                return Ok(false);
            }
        }
        self.wait(grace.saturating_sub(begun.elapsed()))?;
        self.kill()?;
        Ok(true)
    }

    /// Stops every thread of the program and its descendants where it stands, and waits until they do. Returns whether
    /// that changed anything: `false` if it was paused already or has ended.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] if one does not stop, [`LabError::Io`] if the cgroup cannot be frozen.
    pub fn pause(&self) -> std::result::Result<bool, LabError> {
        let mut state = self.inner.lock();
        if state.paused || (state.poll()?.is_some() && !self.inner.cgroup.is_populated()) {
            return Ok(false);
        }
        // Marked first: a pause that fails half-way must still be undone by `resume`.
        state.paused = true;
        self.inner.cgroup.pause()?;
        Ok(true)
    }

    /// Lets a paused process go on. Returns whether that changed anything.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] if the cgroup cannot be thawed.
    pub fn resume(&self) -> std::result::Result<bool, LabError> {
        self.inner.resume(&mut self.inner.lock())
    }

    /// Starts the program again with the same arguments, environment and logs, after killing it if it still runs.
    ///
    /// # Errors
    ///
    /// As [`Process::kill`] and [`crate::Host::spawn`]; [`LabError::Closed`] after the end of the lab.
    pub fn restart(&self) -> std::result::Result<(), LabError> {
        let mut state = self.inner.lock();
        self.inner.kill(&mut state)?;
        self.inner.launch(&mut state)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A living process in the place that `newcomer` wants. Not asked of itself, whose lock is held.
    fn occupant(&self, newcomer: &Inner) -> Option<u32> {
        if self.host != newcomer.host || self.spec.name != newcomer.spec.name {
            return None;
        }
        // Waits for one that is just being started and is not in its cgroup yet.
        let mut state = self.lock();
        let runs = matches!(state.poll(), Ok(None)) && state.child.is_some();
        if runs { Some(state.pid) } else { self.cgroup.members().first().copied() }
    }

    /// Kills what is left and reads the exit status, so that no zombie stays. For the end of the lab.
    pub(crate) fn reap(&self) -> Result<()> {
        self.kill(&mut self.lock()).map(|_| ())
    }

    fn resume(&self, state: &mut State) -> Result<bool> {
        if !state.paused {
            return Ok(false);
        }
        self.cgroup.resume()?;
        state.paused = false;
        Ok(true)
    }

    fn kill(&self, state: &mut State) -> Result<bool> {
        let running = state.poll()?.is_none() && state.child.is_some();
        if !running && !self.cgroup.is_populated() {
            // What was frozen and then killed from outside leaves a frozen cgroup behind.
            self.resume(state)?;
            return Ok(false);
        }
        if let Some(child) = &mut state.child {
            // Reaches the program even before it has joined its cgroup.
            let _ = child.kill();
        }
        self.cgroup.kill_all()?;
        let begun = Instant::now();
        while state.poll()?.is_none() && state.child.is_some() {
            if begun.elapsed() > JOIN_WAIT {
                let what = format!("end of the killed process {} ({}/{})", state.pid, self.host, self.spec.name);
                return Err(LabError::Timeout { what, waited_ms: begun.elapsed().as_millis() });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        if self.cgroup.exists() {
            self.resume(state)?;
        }
        state.paused = false;
        Ok(true)
    }

    /// Starts the program: journal, cgroup, process, journal again with its identity.
    fn launch(&self, state: &mut State) -> Result<()> {
        self.record(None)?;
        self.cgroup.create()?;
        let child = self.spawn()?;
        state.pid = child.id();
        state.status = None;
        state.paused = false;
        state.child = Some(child);
        self.wait_for_join(state)?;
        self.record(ProcessIdentity::of(state.pid))
    }

    fn record(&self, identity: Option<ProcessIdentity>) -> Result<()> {
        let record = ProcessRecord {
            host: self.host.clone(),
            name: self.spec.name.clone(),
            cgroup: self.cgroup.dir().to_owned(),
            identity,
        };
        self.shared.journal().update(|journal| {
            journal.processes.retain(|other| other.host != record.host || other.name != record.name);
            journal.processes.push(record);
        })
    }

    /// Waits until the program is in its cgroup, so that a kill or pause right after the start reaches it.
    fn wait_for_join(&self, state: &mut State) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.cgroup.members().contains(&state.pid) {
                return Ok(());
            }
            if let Some(status) = state.poll()? {
                if status.code() != Some(JOIN_FAILED) {
                    return Ok(());
                }
                let source = std::io::Error::other("the process could not write to cgroup.procs");
                return Err(LabError::io("join cgroup", self.cgroup.dir().to_owned(), source));
            }
            if begun.elapsed() > JOIN_WAIT {
                let what = format!("start of process {:?} on host {:?}", self.spec.name, self.host);
                return Err(LabError::Timeout { what, waited_ms: begun.elapsed().as_millis() });
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = self.cgroup.command(Path::new(&self.spec.program));
        command.args(&self.spec.args);
        command.envs(self.spec.env.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = &self.spec.cwd {
            command.current_dir(cwd);
        }
        let (stdout, stderr) = self.outputs()?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        on_scratch_thread(&self.netns_path, || {
            // A child has the namespaces of the thread that starts it.
            enter_netns(&self.netns_path)?;
            if let Some(hosts_file) = &self.shared.hosts_file {
                private_names(hosts_file, &self.host)?;
            }
            command.spawn().map_err(|e| LabError::io("start", &self.spec.program, e))
        })
    }

    fn outputs(&self) -> Result<(Stdio, Stdio)> {
        let default = || {
            let folder = self.shared.run_dir.as_ref()?.join("logs").join(&self.host);
            Some(folder.join(format!("{}.log", self.spec.name)))
        };
        let stdout = match self.spec.stdout.clone().or_else(default) {
            Some(path) => Some(open_log(&path)?),
            None => None,
        };
        let stderr = match (&self.spec.stderr, &stdout) {
            (Some(path), _) => Some(open_log(path)?),
            (None, Some(file)) => Some(file.try_clone().map_err(|e| LabError::io("share log of", &self.spec.name, e))?),
            (None, None) => None,
        };
        let stdio = |file: Option<File>| file.map_or_else(Stdio::null, Stdio::from);
        Ok((stdio(stdout), stdio(stderr)))
    }
}

/// Opens a log for appending, so that a restarted process goes on where its predecessor ended.
fn open_log(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| LabError::io("create folder", folder, e))?;
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(|e| LabError::io("open log", path, e))
}

/// Gives the calling thread, and so the child it starts, its own view of `/etc/hosts` and its own host name. Nothing
/// outside changes: the mount lives in a mount namespace that ends with the process. The namespace still follows the
/// machine's (slave mounts), so that it does not keep alive what is unmounted there.
fn private_names(hosts_file: &Path, host: &str) -> Result<()> {
    let root = Path::new("/");
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(|e| LabError::io("make private namespaces for", host, e))?;
    mount(None::<&str>, root, None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .map_err(|e| LabError::io("make mounts private below", root, e))?;
    let target = Path::new("/etc/hosts");
    if target.exists() {
        mount(Some(hosts_file), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(|e| LabError::io("mount over", target, e))?;
    }
    let path = "/proc/sys/kernel/hostname";
    std::fs::write(path, host).map_err(|e| LabError::io("write", path, e))
}
