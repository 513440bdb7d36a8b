//! Where words go: data to standard output, words to standard error, colour only where it is wanted.

use crate::args::{Cli, ColorWhen};
use std::io::{ErrorKind, IsTerminal, Write};

/// What the user wants to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Colour on standard output.
    pub(crate) color_out: bool,
    /// Colour on standard error.
    pub(crate) color_err: bool,
    /// Nothing but errors on standard error.
    pub(crate) quiet: bool,
    /// Standard error is a terminal: a line may be drawn over.
    pub(crate) live: bool,
}

impl Screen {
    /// What the flags and the environment ask for.
    #[must_use]
    pub(crate) fn new(cli: &Cli) -> Self {
        let wanted = |is_terminal: bool| match cli.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
                    || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                is_terminal && !forbidden
            }
        };
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self { color_out: wanted(out), color_err: wanted(err), quiet: cli.quiet, live: err && !cli.quiet }
    }

    /// Columns of the terminal, or 100.
    #[must_use]
    pub(crate) fn width(&self) -> usize {
        std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100).clamp(60, 200)
    }

    /// Writes data. A reader that went away is no error.
    pub(crate) fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            if error.kind() == ErrorKind::BrokenPipe {
                std::process::exit(0);
            }
            let _ = writeln!(std::io::stderr(), "error: cannot write to standard output: {error}");
            std::process::exit(super::exit::Exit::CannotRun as i32);
        }
    }

    /// Says something to the person at the terminal.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Says what went wrong, in cargo's form.
    pub(crate) fn error(&self, text: &str, help: Option<&str>) {
        let (red, cyan, off) = if self.color_err { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        let _ = writeln!(std::io::stderr(), "{red}error{off}: {text}");
        if let Some(help) = help {
            let _ = writeln!(std::io::stderr(), "{cyan}help{off}: {help}");
        }
    }
}
