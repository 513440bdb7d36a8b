//! `fissure sql`: questions to a run, from flags, a file, a pipe, or a person at the keyboard.

use crate::args::{SqlArgs, SqlFormat};
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::store_command;
use fissure_sql::{Format, Relation, Session, SqlError, format, split_statements};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::Instant;

/// `fissure sql`.
///
/// # Errors
/// When there is no such run, or a statement is wrong; the statements after it are not run.
pub(crate) fn sql(args: &SqlArgs, screen: &Screen) -> Result<Exit, Failure> {
    let run = store_command::open_run(&args.target, &args.store)?;
    let session = Session::open(run.path()).map_err(failure)?;
    for note in session.notes() {
        screen.say(&format!("note: {note}"));
    }
    let form = match args.format {
        SqlFormat::Table => Format::Table { limit: args.limit },
        SqlFormat::Csv => Format::Csv,
        SqlFormat::Json => Format::Json,
    };
    let shell = Shell { session: &session, screen, form };
    if !args.commands.is_empty() || args.file.is_some() {
        for command in &args.commands {
            shell.run_script(command)?;
        }
        return match &args.file {
            Some(path) => shell.run_script(&read_file(path)?),
            None => Ok(Exit::Valid),
        };
    }
    if std::io::stdin().is_terminal() {
        return shell.interact();
    }
    let mut script = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut script)
        .map_err(|error| Failure::usage(anyhow::anyhow!("cannot read statements from standard input: {error}")))?;
    shell.run_script(&script)
}

fn read_file(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(anyhow::anyhow!("cannot read statements from {}: {error}", path.display())))
}

fn failure(error: SqlError) -> Failure {
    let help = error.help().map(str::to_owned);
    let failure = Failure::usage(error);
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Where statements are run and answers go.
struct Shell<'a> {
    session: &'a Session,
    screen: &'a Screen,
    form: Format,
}

impl Shell<'_> {
    /// Runs the statements of a script; the last one need not end with a semicolon. Ends at the first wrong one.
    fn run_script(&self, script: &str) -> Result<Exit, Failure> {
        let (statements, rest) = split_statements(script);
        for statement in statements.into_iter().chain(rest) {
            self.answer(statement)?;
        }
        Ok(Exit::Valid)
    }

    /// Runs one statement, or one of the shell's own commands, which begin with a backslash. Says how many rows came back.
    fn answer(&self, statement: &str) -> Result<usize, Failure> {
        if let Some(command) = statement.strip_prefix('\\') {
            self.command(command.trim())?;
            return Ok(0);
        }
        let batches = self.session.query(statement).map_err(failure)?;
        self.screen.data(&format(&batches, self.form).map_err(failure)?);
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    }

    fn command(&self, command: &str) -> Result<(), Failure> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let wanted = rest.trim().trim_end_matches(';').trim_end();
        match (name.trim_end_matches(';'), wanted) {
            ("d", "") => self.screen.data(&list(self.session.relations())),
            ("d", wanted) => {
                let Some(relation) = self.session.relations().iter().find(|relation| relation.name == wanted) else {
                    let error = anyhow::anyhow!("there is no table or view `{wanted}`");
                    return Err(Failure::usage(error).help("\\d lists them"));
                };
                self.screen.data(&describe(relation));
            }
            ("h" | "?", _) => self.screen.data(HELP),
            _ => return Err(Failure::usage(anyhow::anyhow!("there is no command \\{name}")).help("\\h lists them")),
        }
        Ok(())
    }

    /// Reads statements from the person at the terminal until they leave. Errors are said and forgotten.
    fn interact(&self) -> Result<Exit, Failure> {
        let cannot = |error: ReadlineError| Failure::cannot_run(anyhow::anyhow!("cannot use the terminal: {error}"));
        let mut editor: Editor<Names, FileHistory> = Editor::new().map_err(cannot)?;
        editor.set_helper(Some(Names::new(self.session.relations())));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none; a damaged one is only a loss of comfort.
            let _ = editor.load_history(path);
        }
        self.screen.say(&format!("{} · \\d lists tables, \\h helps, \\q leaves", self.session.run().name()));
        let mut buffer = String::new();
        loop {
            match editor.readline(if buffer.is_empty() { "fissure> " } else { "    ...> " }) {
                Ok(line) => {
                    buffer.push_str(&line);
                    buffer.push('\n');
                }
                Err(ReadlineError::Interrupted) => {
                    buffer.clear();
                    continue;
                }
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(cannot(error)),
            }
            let entered = buffer.trim();
            if matches!(entered.trim_end_matches(';'), "\\q" | "quit" | "exit") {
                break;
            }
            let (statements, rest) = split_statements(entered);
            // A command ends with its line; a statement ends with its semicolon.
            if !entered.starts_with('\\') && rest.is_some() {
                continue;
            }
            if !entered.is_empty() {
                let _ = editor.add_history_entry(entered);
            }
            if entered.starts_with('\\') {
                self.try_answer(entered);
            } else {
                statements.into_iter().for_each(|statement| self.try_answer(statement));
            }
            buffer.clear();
        }
        self.save(&mut editor, history.as_deref());
        Ok(Exit::Valid)
    }

    /// Answers, with the time it took; an error is said and forgotten.
    fn try_answer(&self, statement: &str) {
        let start = Instant::now();
        match self.answer(statement) {
            Ok(_) if statement.starts_with('\\') => {}
            Ok(rows) => {
                let word = if rows == 1 { "row" } else { "rows" };
                self.screen.say(&format!("{rows} {word} in {:.1} ms", start.elapsed().as_secs_f64() * 1e3));
            }
            Err(failure) => self.screen.error(&format!("{:#}", failure.error), failure.help.as_deref()),
        }
    }

    fn save(&self, editor: &mut Editor<Names, FileHistory>, history: Option<&std::path::Path>) {
        let Some(path) = history else { return };
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = made.map_err(ReadlineError::from).and_then(|()| editor.save_history(path)) {
            self.screen.say(&format!("note: the history of statements was not kept in {}: {error}", path.display()));
        }
    }
}

const HELP: &str = "\
Statements end with ; and may span lines: SELECT, SHOW, DESCRIBE, EXPLAIN.
  \\d          tables and views
  \\d NAME     columns of a table or view
  \\h          this help
  \\q, Ctrl-D  leave
  Ctrl-C      forget what was typed
  Tab         complete a name
Times are nanoseconds of CLOCK_MONOTONIC (*_ns). Try:
  select f, outcome, count(*) from ops group by 1, 2 order by 1, 2;
  select op_id, ms_after_invoke, src_host, dst_host, direction from op_injections order by t_ns;
  select * from latency order by second;
";

fn list(relations: &[Relation]) -> String {
    let width = relations.iter().map(|relation| relation.name.len()).max().unwrap_or(0);
    relations
        .iter()
        .map(|relation| format!("{:<width$}  {:<5}  {}\n", relation.name, relation.kind, relation.description))
        .collect()
}

fn describe(relation: &Relation) -> String {
    let width = relation.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    let columns = relation.columns.iter().map(|column| format!("  {:<width$}  {}\n", column.name, column.type_name));
    format!("{} ({}): {}\n{}", relation.name, relation.kind, relation.description, columns.collect::<String>())
}

/// `$XDG_STATE_HOME/fissure/sql_history`, else in `~/.local/state`; `None` where there is no home.
fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("fissure/sql_history"))
}

/// Completes names of tables and columns, and the words of SQL that are typed most.
struct Names {
    names: Vec<String>,
}

const KEYWORDS: [&str; 21] = [
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "join",
    "left join",
    "on",
    "using",
    "and",
    "or",
    "not",
    "is null",
    "between",
    "having",
    "distinct",
    "count(*)",
    "describe",
    "explain",
    "with",
];

impl Names {
    fn new(relations: &[Relation]) -> Self {
        let columns = relations.iter().flat_map(|relation| relation.columns.iter().map(|column| &column.name));
        let tables = relations.iter().map(|relation| &relation.name);
        let mut names: Vec<String> = tables.chain(columns).cloned().collect();
        names.extend(KEYWORDS.map(str::to_owned));
        names.sort_unstable();
        names.dedup();
        Self { names }
    }
}

impl Helper for Names {}
impl Highlighter for Names {}
impl Validator for Names {}

impl Hinter for Names {
    type Hint = String;
}

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let start =
            line[..at].char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(at, |(place, _)| place);
        let typed = line[start..at].to_lowercase();
        if typed.is_empty() {
            return Ok((at, Vec::new()));
        }
        let fits = self.names.iter().filter(|name| name.starts_with(&typed));
        Ok((start, fits.map(|name| Pair { display: name.clone(), replacement: name.clone() }).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustyline::history::DefaultHistory;

    #[test]
    fn names_are_completed_where_the_cursor_is() {
        let names = Names { names: vec!["op_id".to_owned(), "ops".to_owned()] };
        let history = DefaultHistory::new();
        let (start, found) = names.complete("select o.OP from x", 11, &Context::new(&history)).unwrap();
        assert_eq!((start, found.len()), (9, 2));
        let (_, found) = names.complete("select ", 7, &Context::new(&history)).unwrap();
        assert!(found.is_empty());
    }

    #[test]
    fn tables_and_columns_are_listed_in_columns() {
        let column = |name: &str, type_name: &str| fissure_sql::Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
        };
        let relation = Relation {
            name: "ops".to_owned(),
            kind: "table",
            description: "one row per operation",
            columns: vec![column("op_id", "int64"), column("f", "string")],
        };
        assert_eq!(list(std::slice::from_ref(&relation)), "ops  table  one row per operation\n");
        assert_eq!(describe(&relation), "ops (table): one row per operation\n  op_id  int64\n  f      string\n");
    }
}
