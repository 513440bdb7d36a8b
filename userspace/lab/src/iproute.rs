//! The `ip` program: many commands per start, so that a lab takes milliseconds.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cgroup::Cgroup;
use crate::error::{LabError, Result};

/// Finds a program as a shell would: a name with a slash is a path, another is looked for in `PATH` and in the folders
/// where system programs are even if root's `PATH` lacks them.
pub(crate) fn find_program(program: &OsStr, needed_for: &str) -> Result<PathBuf> {
    let is_program =
        |path: &Path| path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let missing = || LabError::MissingProgram {
        program: program.to_string_lossy().into_owned(),
        needed_for: needed_for.to_owned(),
    };
    if program.as_encoded_bytes().contains(&b'/') {
        let path = std::path::absolute(program).map_err(|e| LabError::io("resolve", program, e))?;
        return if is_program(&path) { Ok(path) } else { Err(missing()) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|candidate| is_program(candidate)).ok_or_else(missing)
}

/// The `ip` program of iproute2.
#[derive(Debug, Clone)]
pub(crate) struct Ip {
    program: PathBuf,
    cgroup: Option<Cgroup>,
}

impl Ip {
    /// Finds it.
    pub(crate) fn find() -> Result<Self> {
        let program = find_program(OsStr::new("ip"), "network namespaces and links (package iproute2)")?;
        Ok(Self { program, cgroup: None })
    }

    /// The same, run inside the cgroup of a lab. A set-up that goes on by itself after its owner was killed would create
    /// what clean-up has just removed; in the lab's cgroup it is killed first.
    pub(crate) fn inside(self, cgroup: Cgroup) -> Self {
        Self { cgroup: Some(cgroup), ..self }
    }

    /// Runs commands, one per line and without the leading `ip`, in the network namespace of the calling thread. Stops
    /// at the first that fails.
    pub(crate) fn batch(&self, lines: &[String]) -> Result<()> {
        self.start(&["-batch", "-"], &lines.join("\n"))
    }

    /// Runs one command in the network namespace of the calling thread.
    pub(crate) fn run(&self, args: &[&str]) -> Result<()> {
        self.start(args, "")
    }

    fn start(&self, args: &[&str], input: &str) -> Result<()> {
        let mut command = match &self.cgroup {
            Some(cgroup) => cgroup.command(&self.program),
            None => Command::new(&self.program),
        };
        command.args(args);
        let separator = if input.is_empty() { "" } else { " <<< " };
        run(command, &format!("{} {}{separator}{input}", self.program.display(), args.join(" ")), input)
    }
}

/// Runs a program to its end with `input` on its standard input; its output is read only if it fails. `words` stand for
/// the command in errors.
fn run(mut command: Command, words: &str, input: &str) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let mut child = command.spawn().map_err(|e| LabError::io("start", words, e))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early closes the pipe; its exit status tells why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| LabError::io("wait for", words, e))?;
    if output.status.success() {
        return Ok(());
    }
    Err(LabError::Command {
        command: words.to_owned(),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_like_a_shell_does() {
        assert!(find_program(OsStr::new("sh"), "a test").unwrap().is_absolute());
        assert!(find_program(OsStr::new("/bin/sh"), "a test").is_ok());
        for missing in ["no-such-program-here", "/etc/passwd", "/", "./nothing"] {
            let error = find_program(OsStr::new(missing), "a test").unwrap_err();
            assert!(matches!(error, LabError::MissingProgram { .. }), "{error}");
        }
    }

    #[test]
    fn a_failed_command_says_what_and_why() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cat >&2; exit 3"]);
        let error = run(command, "sh", "the input").unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("the input"), "{error}");
    }
}
