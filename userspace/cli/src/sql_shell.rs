//! The shell of `fissure sql`: statements and commands, one after the other.

use crate::args::SqlFormat;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::sql_command::{Statement, failure, history_file};
use crate::sql_completion::Completions;
use crate::sql_help;
use crate::sql_output::Output;
use clap::ValueEnum;
use fissure_sql::{More, Relation, Session, Written, split_statements};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where statements are run and answers go.
pub(crate) struct Shell<'a> {
    session: &'a Session,
    screen: &'a Screen,
    output: Output,
    /// Whether the time of each statement is said.
    timing: bool,
}

impl<'a> Shell<'a> {
    pub(crate) fn new(session: &'a Session, screen: &'a Screen, output: Output) -> Self {
        Self { session, screen, output, timing: true }
    }

    /// Says the notes that came since they were said last.
    pub(crate) fn say_notes(&self) {
        for note in self.session.new_notes() {
            self.screen.say(&format!("note: {note}"));
        }
    }

    /// Finishes what was written to a file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.output.finish()
    }

    /// Runs one statement, or one of the shell's own commands, which begin with a backslash.
    ///
    /// # Errors
    /// When it is wrong, or cannot be carried out.
    pub(crate) fn answer(&mut self, statement: Statement<'_>) -> Result<Option<Written>, Failure> {
        if let Some(command) = statement.text.strip_prefix('\\') {
            self.command(command.trim())?;
            return Ok(None);
        }
        let written = self.output.answer(self.session, statement.text);
        written.map(Some).map_err(|error| failure(error, Some(statement)))
    }

    fn command(&mut self, command: &str) -> Result<(), Failure> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let wanted = rest.trim().trim_end_matches(';').trim_end();
        match name.trim_end_matches(';') {
            "d" if wanted.is_empty() => self.screen.data(&list(self.session.relations())),
            "d" => {
                let Some(relation) = self.session.relations().iter().find(|relation| relation.name == wanted) else {
                    let error = anyhow::anyhow!("there is no table or view `{wanted}`");
                    return Err(Failure::usage(error).help("\\d lists them"));
                };
                self.screen.data(&describe(relation));
            }
            "h" | "?" => self.screen.data(&sql_help::topic(wanted, self.session)?),
            "timing" => {
                self.timing = switch(wanted, self.timing)?;
                self.screen.say(if self.timing { "timing is on" } else { "timing is off" });
            }
            "rows" => self.output.rows = number(wanted)?,
            "format" => self.output.set_form(form(wanted)?)?,
            "o" if wanted.is_empty() => self.output.set_file(None)?,
            "o" => self.output.set_file(Some(Path::new(wanted)))?,
            _ => return Err(Failure::usage(anyhow::anyhow!("there is no command \\{name}")).help("\\h lists them")),
        }
        Ok(())
    }

    /// Reads statements from the person at the terminal until they leave. Errors are said and forgotten.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub(crate) fn interact(&mut self) -> Result<Exit, Failure> {
        let cannot = |error: ReadlineError| Failure::cannot_run(anyhow::anyhow!("cannot use the terminal: {error}"));
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor: Editor<Completions, FileHistory> = Editor::with_config(config).map_err(cannot)?;
        editor.set_helper(Some(Completions::new(self.session)));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none; a damaged one is only a loss of comfort.
            let _ = editor.load_history(path);
        }
        self.screen.say(&format!("{} · \\d lists tables, \\h helps, \\q leaves", self.title()));
        loop {
            let entered = match editor.readline("fissure> ") {
                Ok(entered) => entered,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(cannot(error)),
            };
            let text = entered.trim();
            if matches!(text.trim_end_matches(';').trim_end(), "\\q" | "quit" | "exit") {
                break;
            }
            if !text.is_empty() {
                let _ = editor.add_history_entry(text);
            }
            let (statements, rest) = split_statements(text);
            for part in statements.into_iter().chain(rest) {
                if !self.try_answer(Statement::within(text, part)) {
                    break;
                }
            }
        }
        self.save(&mut editor, history.as_deref());
        Ok(Exit::Valid)
    }

    fn title(&self) -> String {
        let mut names = self.session.run_names();
        match (names.next(), names.count()) {
            (None, _) => "no runs".to_owned(),
            (Some(name), 0) => name.to_owned(),
            (Some(_), more) => format!("{} runs", more + 1),
        }
    }

    /// Answers, with the time it took; an error is said, and is the end of what was entered.
    fn try_answer(&mut self, statement: Statement<'_>) -> bool {
        self.session.interrupt().clear();
        let start = Instant::now();
        let answered = self.answer(statement);
        self.say_notes();
        match answered {
            Ok(None) => true,
            Ok(Some(written)) => {
                if self.timing || self.output.is_file() {
                    self.screen.say(&said(written, start.elapsed()));
                }
                true
            }
            Err(failure) => {
                self.screen.error(&failure.text(), failure.help.as_deref());
                false
            }
        }
    }

    fn save(&self, editor: &mut Editor<Completions, FileHistory>, history: Option<&Path>) {
        let Some(path) = history else { return };
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = made.map_err(ReadlineError::from).and_then(|()| editor.save_history(path)) {
            self.screen.say(&format!("note: the history of statements was not kept in {}: {error}", path.display()));
        }
    }
}

/// How many rows there are, and how long it took.
fn said(written: Written, took: Duration) -> String {
    let (least, rows) = match written.more {
        More::Exactly(more) => ("", written.rows + more),
        More::AtLeast(more) => ("more than ", written.rows + more),
    };
    let word = if rows == 1 { "row" } else { "rows" };
    let time = match took.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    };
    format!("{least}{rows} {word} in {time}")
}

fn switch(wanted: &str, now: bool) -> Result<bool, Failure> {
    match wanted {
        "" => Ok(!now),
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(Failure::usage(anyhow::anyhow!("`{other}` is neither on nor off"))),
    }
}

fn number(wanted: &str) -> Result<usize, Failure> {
    wanted.parse().map_err(|_| {
        Failure::usage(anyhow::anyhow!("`{wanted}` is no number of rows")).help("write \\rows 100, or \\rows 0 for all")
    })
}

fn form(wanted: &str) -> Result<SqlFormat, Failure> {
    SqlFormat::from_str(wanted, true).map_err(|_| {
        let forms = SqlFormat::value_variants().iter().filter_map(SqlFormat::to_possible_value);
        let forms: Vec<String> = forms.map(|form| form.get_name().to_owned()).collect();
        Failure::usage(anyhow::anyhow!("there is no form `{wanted}`")).help(format!("forms: {}", forms.join(", ")))
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn rows_and_time_are_said_in_words() {
        let written = |rows, more| Written { rows, more };
        assert_eq!(said(written(1, More::Exactly(0)), Duration::from_micros(1500)), "1 row in 1.5 ms");
        assert_eq!(said(written(40, More::Exactly(60)), Duration::from_millis(2340)), "100 rows in 2.34 s");
        assert_eq!(said(written(40, More::AtLeast(60)), Duration::from_secs(1)), "more than 100 rows in 1.00 s");
    }

    #[test]
    fn commands_take_what_they_know_and_nothing_else() {
        assert!(switch("", false).unwrap() && switch("on", false).unwrap() && !switch("off", true).unwrap());
        assert!(switch("maybe", true).is_err() && number("x").is_err() && number("").is_err());
        assert_eq!(number("7").unwrap(), 7);
        assert_eq!(form("JSONL").unwrap(), SqlFormat::Jsonl);
        assert!(form("xml").unwrap_err().help.unwrap().contains("parquet"));
    }
}
