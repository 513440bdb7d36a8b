//! Network namespaces: going into one, and taking one away.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};

use crate::error::{LabError, Result};

/// Where named network namespaces are, by the convention of iproute2.
const FOLDER: &str = "/run/netns";

/// The file that stands for the network namespace of this name.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Names of all named network namespaces of the machine.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Moves the calling thread into the network namespace at `path` (such as [`crate::Host::netns_path`]), for good.
///
/// Sockets the thread opens from now on, and processes it starts, are in that namespace; other threads stay where they
/// are. Meant for threads that exist for one host only, such as the workers of a runtime.
///
/// # Errors
///
/// [`LabError::Io`] if the file cannot be opened or is no network namespace, or without `CAP_SYS_ADMIN`.
pub fn enter_netns(path: &Path) -> std::result::Result<(), LabError> {
    let file = File::open(path).map_err(|e| LabError::io("open namespace", path, e))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| LabError::io("enter namespace", path, e))
}

/// Runs `work` inside the network namespace at `path`, on a thread of its own, and returns what it returned. A panic
/// in `work` goes on in the caller.
///
/// # Errors
///
/// As [`enter_netns`], and [`LabError::Io`] if no thread can be started. `work` did not run then.
pub fn in_netns<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> std::result::Result<T, LabError> {
    on_scratch_thread(path, || enter_netns(path).map(|()| work()))
}

/// Runs `work` on a thread that is thrown away afterwards, because it changes what cannot be changed back.
/// `path` only names the place in errors.
pub(crate) fn on_scratch_thread<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("fissure-netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|e| LabError::io("start a thread for", path, e))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Takes the name from a network namespace, which ends it with its links unless a process or thread is still inside.
/// `Ok(false)` if there was none.
pub(crate) fn remove(name: &str) -> Result<bool> {
    let path = path(name);
    match umount2(&path, MntFlags::MNT_DETACH) {
        // EINVAL: a file without a mount, left over from before a reboot or half made.
        Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => (),
        Err(e) => return Err(LabError::io("unmount namespace", path, e)),
    }
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(LabError::io("remove namespace", path, e)),
    }
}
