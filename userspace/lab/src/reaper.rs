//! The watcher of a lab: a small process that outlives the owner, however that ends, and cleans up after it.
//!
//! Owner and watcher share a pipe that nobody writes to. The kernel closes the owner's end when the owner is gone, be
//! it by SIGKILL, and the watcher reads the end of the file.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clean::remove_lab;
use crate::error::{LabError, Result};
use crate::iproute::find_program;
use crate::journal::Journal;

/// What the watcher says when it watches.
const READY: &[u8] = b"ready\n";

/// How long it may take to say so, and to end when told to.
const PATIENCE: Duration = Duration::from_secs(10);

/// The owner's side of the watcher.
#[derive(Debug)]
pub(crate) struct Reaper {
    child: Child,
    /// The pipe; closing it sets the watcher to work.
    lifeline: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    command: String,
}

impl Reaper {
    /// Starts the watcher in a process group of its own, so that Ctrl-C in the terminal does not reach it.
    pub(crate) fn start(command: &[std::ffi::OsString], journal: &Path) -> Result<Self> {
        let words = command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let (program, args) = command
            .split_first()
            .ok_or_else(|| LabError::Reaper { command: words.clone(), reason: "the command is empty".to_owned() })?;
        let program = find_program(program, "the watcher that cleans up after a killed owner")?;
        let mut child = Command::new(&program)
            .args(args)
            .arg(journal)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| LabError::io("start", &program, e))?;
        let (lifeline, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Self { child, lifeline, stdout, command: words })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the watcher watches. A command that is none fails here and not when it would be needed.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let failed = |command: &str, reason: String| Err(LabError::Reaper { command: command.to_owned(), reason });
        let Some(mut stdout) = self.stdout.take() else { return Ok(()) };
        let begun = Instant::now();
        let mut said = Vec::new();
        while said != READY {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return failed(&self.command, format!("it said nothing for {} s", PATIENCE.as_secs()));
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => continue,
                Ok(_) => (),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return failed(&self.command, e.to_string()),
            }
            let mut buffer = [0; 64];
            match stdout.read(&mut buffer) {
                Ok(0) => return failed(&self.command, "it ended at once".to_owned()),
                Ok(n) => said.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return failed(&self.command, e.to_string()),
            }
            if !READY.starts_with(&said) {
                return failed(&self.command, format!("it said {:?}", String::from_utf8_lossy(&said)));
            }
        }
        Ok(())
    }

    /// Lets the watcher go: it finds no journal and ends. One that does not is killed.
    pub(crate) fn finish(mut self) {
        drop(self.lifeline.take());
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// The watcher's main function, for the hidden subcommand that [`crate::LabConfig::reaper`] names: says that it is
/// ready on standard output, waits for the end of standard input, and then takes down the lab of `journal`, if that
/// is still there. What it did is appended to the log that the journal names.
///
/// Signals that a terminal or a service manager sends to end a program are held back for good: the owner gets them
/// too, and ends first.
///
/// # Errors
///
/// [`LabError::Io`] and [`LabError::Journal`] if the journal cannot be read, [`LabError::Residue`] if something could
/// not be removed. The journal stays in these cases, for the next clean-up.
pub fn reaper_main(journal: &Path) -> std::result::Result<(), LabError> {
    let mut held_back = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP] {
        held_back.add(signal);
    }
    held_back.thread_block().map_err(|e| LabError::io("hold back signals for", journal, e))?;
    let mut stdout = std::io::stdout();
    stdout.write_all(READY).and_then(|()| stdout.flush()).map_err(|e| LabError::io("report ready for", journal, e))?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
        .map_err(|e| LabError::io("watch the owner of", journal, e))?;
    let Some(contents) = Journal::read(journal)? else {
        return Ok(());
    };
    let begun = Instant::now();
    let cleaned = remove_lab(&contents, journal);
    if let Some(dir) = &contents.run_dir {
        // Only if the folder of the run is still there: nothing is created for the sake of a log.
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("reaper.log")) {
            let _ = write!(file, "the owner of the lab is gone; took {} ms\n{cleaned}", begun.elapsed().as_millis());
        }
    }
    if cleaned.problems.is_empty() {
        return Ok(());
    }
    Err(LabError::Residue { id: cleaned.id, problems: cleaned.problems })
}
