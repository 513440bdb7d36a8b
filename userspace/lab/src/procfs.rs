//! Identity of processes: a process id is reused, a process id with its start time is not.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};

/// A process, told apart from a later one that got the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    /// The process id.
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub(crate) start_ticks: u64,
}

/// The fields of `/proc/<pid>/stat` that tell whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The state letter (field 3).
    pub(crate) state: char,
    /// The number of threads (field 20).
    pub(crate) threads: u64,
    /// The start time in clock ticks since boot (field 22).
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Whether it is more than a table entry that waits for its parent. The first thread of a process may have ended
    /// while others go on; then the entry looks dead but has threads.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

impl ProcessIdentity {
    /// The identity of process `pid`, if it lives.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = read_stat(pid)?;
        stat.is_alive().then_some(Self { pid, start_ticks: stat.start_ticks })
    }

    /// The identity of this process.
    pub(crate) fn own() -> Result<Self> {
        let pid = std::process::id();
        let path = "/proc/self/stat";
        let text = std::fs::read_to_string(path).map_err(|e| LabError::io("read", path, e))?;
        let stat = parse_stat(&text).ok_or_else(|| {
            LabError::io("parse", path, std::io::Error::new(std::io::ErrorKind::InvalidData, "unknown format"))
        })?;
        Ok(Self { pid, start_ticks: stat.start_ticks })
    }

    /// Whether this very process still lives.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }
}

/// Reads the stat line of a process; `None` if there is none such.
pub(crate) fn read_stat(pid: u32) -> Option<Stat> {
    parse_stat(&String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// Parses a stat line. The command name (field 2) stands in parentheses and may hold spaces, parentheses and line
/// breaks, so the fields are counted from the last closing parenthesis.
pub(crate) fn parse_stat(line: &str) -> Option<Stat> {
    let after = &line[line.rfind(')')? + 1..];
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        threads: fields.get(17)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// The id of this boot. Start times count from boot, so an identity means nothing in another one.
pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(std::fs::read_to_string(path).map_err(|e| LabError::io("read", path, e))?.trim().to_owned())
}

/// The name of this process' PID namespace, such as `pid:[4026531836]`. Process ids mean something only inside it.
pub(crate) fn pid_namespace() -> Result<String> {
    let path = Path::new("/proc/self/ns/pid");
    let target = std::fs::read_link(path).map_err(|e| LabError::io("read", path, e))?;
    Ok(target.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(comm: &str, state: char, threads: u64, start: u64) -> String {
        format!("4711 ({comm}) {state} 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 {start} 99 100 7\n")
    }

    #[test]
    fn odd_command_names() {
        for comm in
            ["sh", "a b c", "x) R 1 2 3", "((", "))", "tab\tand\nline", ") Z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"]
        {
            let stat = parse_stat(&line(comm, 'S', 3, 123_456)).expect(comm);
            assert_eq!(stat, Stat { state: 'S', threads: 3, start_ticks: 123_456 }, "{comm:?}");
        }
    }

    #[test]
    fn broken_lines_give_none() {
        for text in ["", "1 (sh", "1 (sh)", "1 (sh) S 1 2 3", "1 (sh) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 x 1 y"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_zombie_is_dead_unless_threads_go_on() {
        assert!(!parse_stat(&line("z", 'Z', 1, 5)).unwrap().is_alive());
        assert!(parse_stat(&line("z", 'Z', 4, 5)).unwrap().is_alive());
        assert!(parse_stat(&line("t", 'T', 1, 5)).unwrap().is_alive());
    }

    #[test]
    fn own_identity_lives_and_a_neighbour_in_time_does_not() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start_ticks: own.start_ticks + 1, ..own }.is_alive());
    }

    #[test]
    fn an_ended_child_is_dead_before_it_is_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        let begun = std::time::Instant::now();
        while identity.is_alive() {
            assert!(begun.elapsed().as_secs() < 5);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }
}
