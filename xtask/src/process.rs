//! Child processes: run, watch, interrupt.
//!
//! Ctrl-C reaches children by itself (they share the terminal's process group). What is done here is to stay alive until
//! they have ended, so that nobody is left cleaning up behind a prompt that has already come back.

use anyhow::{Context, Result, bail};
use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt is remembered instead of ending this process.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("cannot handle Ctrl-C")
}

/// Whether the user pressed Ctrl-C.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Runs `command` with this process's terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` with this process's terminal, whatever it ends with.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if interrupted() {
        bail!("interrupted");
    }
    Ok(status)
}

/// Standard output of `command`; its standard error goes to the terminal.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", shown(command)))
}

/// Runs `command` and hands over each line of its standard output.
pub(crate) fn each_line(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            line(&text?);
        }
    }
    Ok(child.wait()?)
}

/// How a watched command ended.
pub(crate) enum Ended {
    /// By itself.
    By(ExitStatus),
    /// It was killed because it took longer than it may.
    TimedOut,
}

/// Runs `command` with its output in the file `log`, for at most `limit`.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file).stdin(Stdio::null());
    wait(command.spawn().with_context(|| format!("cannot start {}", shown(command)))?, limit)
}

fn wait(mut child: Child, limit: Duration) -> Result<Ended> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::By(status));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::TimedOut);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A command as a person would type it, without its environment.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// `dirs`, then the value of PATH.
pub(crate) fn path_with(dirs: impl IntoIterator<Item = std::path::PathBuf>) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<_> = dirs.into_iter().chain(std::env::split_paths(&path)).collect();
    std::env::join_paths(all).context("a directory of tools has a colon in its name")
}
