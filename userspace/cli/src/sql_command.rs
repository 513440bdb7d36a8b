//! `fissure sql`: questions to histories, from flags, a file, a pipe, or a person at the keyboard.

use crate::args::{SqlArgs, SqlFormat};
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::sql_output::Output;
use crate::sql_shell::Shell;
use crate::{sql_signals, store_command};
use fissure_sql::{Limits, Session, SqlError, Target, split_statements};
use std::io::{ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};

/// `fissure sql`.
///
/// # Errors
/// When there is nothing to ask, or a statement is wrong; the statements after it are not run.
pub(crate) fn sql(args: &SqlArgs, screen: &Screen) -> Result<Exit, Failure> {
    let targets = args.targets.iter().map(|target| resolve(target, &args.store)).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { memory_bytes: args.memory, threads: args.threads, spill_dir: args.spill_dir.clone() };
    let is_shell = args.commands.is_empty() && args.file.is_none() && std::io::stdin().is_terminal();
    let output = Output::new(args.format, args.output.as_deref(), args.rows)?;
    let session = Session::open_all(&targets, &limits).map_err(|error| failure(error, None))?;
    sql_signals::watch(&session, is_shell)?;
    let mut shell = Shell::new(&session, screen, output);
    shell.say_notes();
    let end = if is_shell { shell.interact() } else { run_scripts(args, &mut shell) };
    match end {
        // Whoever read the answer has seen enough.
        Err(failure) if is_broken_pipe(&failure) => Ok(Exit::Valid),
        Err(failure) => Err(failure),
        Ok(exit) => shell.finish().map(|()| exit),
    }
}

/// A target as it was typed: an URL, something that is there, or the name of a run in the store.
fn resolve(target: &Path, store: &Path) -> Result<Target, Failure> {
    if let Some(text) = target.to_str().filter(|text| text.contains("://")) {
        return Target::parse(text).map_err(|error| failure(error, None));
    }
    if target.exists() && target != Path::new("latest") {
        return Ok(Target::Path(target.to_owned()));
    }
    Ok(Target::Path(store_command::open_run(target, store)?.path().to_owned()))
}

fn run_scripts(args: &SqlArgs, shell: &mut Shell<'_>) -> Result<Exit, Failure> {
    for command in &args.commands {
        run_script(command, shell)?;
    }
    if let Some(path) = &args.file {
        run_script(&read_file(path)?, shell)?;
    }
    if args.commands.is_empty() && args.file.is_none() {
        let mut script = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut script)
            .map_err(|error| Failure::usage(anyhow::anyhow!("cannot read statements from standard input: {error}")))?;
        run_script(&script, shell)?;
    }
    Ok(Exit::Valid)
}

/// Runs the statements of a script; the last one need not end with a semicolon. Ends at the first wrong one.
fn run_script(script: &str, shell: &mut Shell<'_>) -> Result<(), Failure> {
    let (statements, rest) = split_statements(script);
    for text in statements.into_iter().chain(rest) {
        if text == "\\q" {
            break;
        }
        shell.answer(Statement::within(script, text))?;
        shell.say_notes();
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(anyhow::anyhow!("cannot read statements from {}: {error}", path.display())))
}

/// A statement, and where it stands in what was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    /// The statement.
    pub(crate) text: &'a str,
    /// Its line, from 1.
    line: usize,
    /// Characters before it on that line.
    column: usize,
}

impl<'a> Statement<'a> {
    /// A part of a script.
    pub(crate) fn within(script: &str, text: &'a str) -> Self {
        // A statement is a slice of its script: the distance of their beginnings is its place.
        let at = (text.as_ptr() as usize).saturating_sub(script.as_ptr() as usize);
        let before = script.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Self { text, line, column: before.rsplit('\n').next().unwrap_or_default().chars().count() }
    }
}

/// The error with the place that it is about, and with the exit code that it deserves.
pub(crate) fn failure(error: SqlError, statement: Option<Statement<'_>>) -> Failure {
    let help = error.help().map(str::to_owned);
    let exit = match &error {
        SqlError::Memory { .. }
        | SqlError::Store { .. }
        | SqlError::Spill { .. }
        | SqlError::Read { .. }
        | SqlError::Write { .. }
        | SqlError::Runtime { .. } => Exit::CannotRun,
        SqlError::Interrupted => Exit::Interrupted,
        _ => Exit::Usage,
    };
    let excerpt = error.place().zip(statement).map(|(place, statement)| {
        let Statement { text, line, column } = statement;
        place.excerpt(text, line, column)
    });
    let error = match excerpt {
        Some(excerpt) => anyhow::anyhow!("{error}\n{}", excerpt.trim_end()),
        None => error.into(),
    };
    Failure { exit, error, help }
}

fn is_broken_pipe(failure: &Failure) -> bool {
    matches!(failure.error.downcast_ref(), Some(SqlError::Write { source }) if source.kind() == ErrorKind::BrokenPipe)
}

/// The form that the end of a file's name asks for.
pub(crate) fn form_of(path: &Path) -> Option<SqlFormat> {
    match path.extension()?.to_str()? {
        "csv" => Some(SqlFormat::Csv),
        "json" => Some(SqlFormat::Json),
        "jsonl" | "ndjson" => Some(SqlFormat::Jsonl),
        "parquet" => Some(SqlFormat::Parquet),
        "txt" => Some(SqlFormat::Table),
        _ => None,
    }
}

/// `$XDG_STATE_HOME/fissure/sql_history`, else in `~/.local/state`; `None` where there is no home.
pub(crate) fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("fissure/sql_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_where_it_is_in_the_script() {
        let script = "select 1;\nselect 2; select\n  opid from ops";
        let (statements, rest) = split_statements(script);
        let place = fissure_sql::Place { line: 2, column: 3, width: 4 };
        let error = SqlError::Statement { message: "no".to_owned(), help: None, place: Some(place) };
        let said = failure(error, rest.map(|text| Statement::within(script, text)));
        let text = said.text();
        assert_eq!(text, "no\n --> line 3, column 3\n  |\n3 |   opid from ops\n  |   ^^^^");
        let second = Statement::within(script, statements[1]);
        assert_eq!((second.text, second.line, second.column), ("select 2", 2, 0));
        assert_eq!(Statement::within(script, rest.unwrap()).column, 10);
    }

    #[test]
    fn the_name_of_a_file_says_its_form() {
        for (name, form) in
            [("a.parquet", SqlFormat::Parquet), ("b.x.json", SqlFormat::Json), ("c.csv", SqlFormat::Csv)]
        {
            assert_eq!(form_of(Path::new(name)), Some(form));
        }
        assert_eq!(form_of(Path::new("csv")), None);
    }
}
