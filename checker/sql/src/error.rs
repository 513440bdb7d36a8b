//! What can go wrong with a question, said so that the next try succeeds.

use crate::objects;
use crate::place::Place;
use crate::suggest;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use std::path::PathBuf;
use thiserror::Error;

/// An error about a session or a statement.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The run cannot be opened.
    #[error(transparent)]
    Run(#[from] fissure_history::Error),
    /// What was named is nothing that can be asked.
    #[error("{target}: {detail}")]
    Target {
        /// What was named.
        target: String,
        /// Why it is not.
        detail: String,
        /// What would be.
        help: String,
    },
    /// A history of another format cannot be read.
    #[error("{detail}")]
    Import {
        /// What is wrong with it, with its name.
        detail: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An object store refuses, or cannot be reached.
    #[error("{target}: {detail}")]
    Store {
        /// What was asked of it.
        target: String,
        /// The cause, without secrets.
        detail: String,
        /// Which variable would set it right.
        help: Option<String>,
    },
    /// `results.json` is there but cannot be understood.
    #[error("{}: not a valid list of results: {detail}", path.display())]
    Results {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The statement cannot be understood, or names what does not exist.
    #[error("{message}")]
    Statement {
        /// What is wrong.
        message: String,
        /// What to write instead, if that can be told.
        help: Option<String>,
        /// Where in the statement, if that can be told.
        place: Option<Place>,
    },
    /// The statement would change something.
    #[error("{what} is refused: a history is read, never changed")]
    Refused {
        /// The kind of statement.
        what: String,
    },
    /// The statement was understood, but could not be carried out.
    #[error("the statement could not be carried out: {detail}")]
    Execution {
        /// The cause.
        detail: String,
    },
    /// The statement needs more memory than the session has, in a place where nothing can be put aside on disk.
    #[error("the statement needs more memory than the {limit} it may use: {detail}")]
    Memory {
        /// The limit, for people.
        limit: String,
        /// What needed it.
        detail: String,
    },
    /// The statement was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The folder for what does not fit into memory cannot be used.
    #[error("cannot use {} for what does not fit into memory: {source}", path.display())]
    Spill {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The answer cannot be put into the form that was asked for.
    #[error("the answer cannot be written as {form}: {detail}")]
    Format {
        /// The form.
        form: &'static str,
        /// The cause.
        detail: String,
    },
    /// Where the answer goes to takes no more.
    #[error("the answer cannot be written: {source}")]
    Write {
        /// The cause.
        source: std::io::Error,
    },
    /// The operating system gave no threads to run statements on.
    #[error("cannot start the threads that run statements: {source}")]
    Runtime {
        /// The cause.
        source: std::io::Error,
    },
}

/// What a statement can use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Tables and views.
    pub(crate) relations: Vec<String>,
    /// Functions.
    pub(crate) functions: Vec<String>,
    /// Memory, bytes.
    pub(crate) memory_bytes: u64,
}

impl SqlError {
    /// What to do about it, if there is something.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            SqlError::Statement { help, .. } | SqlError::Store { help, .. } => help.as_deref(),
            SqlError::Target { help, .. } => Some(help),
            SqlError::Results { .. } => Some("`fissure check` on the run writes it anew"),
            SqlError::Refused { .. } => {
                Some("SELECT, SHOW, DESCRIBE and EXPLAIN are allowed; to keep an answer, use --output FILE")
            }
            SqlError::Memory { .. } => {
                Some("give it more with --memory, or ask for less: fewer columns, one run, one key, a span of time")
            }
            SqlError::Spill { .. } => Some("name a folder that can be written to, on a disk, with --spill-dir"),
            _ => None,
        }
    }

    /// Where in the statement it is, if that can be told.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            SqlError::Statement { place, .. } => *place,
            _ => None,
        }
    }

    /// From DataFusion's error about a statement.
    pub(crate) fn from_datafusion(error: &DataFusionError, known: &Known, sql: &str) -> Self {
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span).and_then(|span| {
            let place = |number: u64| usize::try_from(number).ok().filter(|number| *number > 0);
            let (line, column) = (place(span.start.line)?, place(span.start.column)?);
            let is_one_line = span.end.line == span.start.line && span.end.column > span.start.column;
            let width = if is_one_line { place(span.end.column - span.start.column)? } else { 1 };
            Some(Place { line, column, width })
        });
        Self::translate(error, known, sql).at(span)
    }

    fn translate(error: &DataFusionError, known: &Known, sql: &str) -> Self {
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => from_schema(schema, sql),
            DataFusionError::Plan(text) => from_plan(text, known, sql),
            DataFusionError::SQL(parser, _) => from_parser(&parser.to_string(), sql),
            DataFusionError::NotImplemented(text) if text.contains("a single SQL statement") => {
                statement("more than one statement where one is expected")
            }
            DataFusionError::NotImplemented(text) => statement(&format!("not supported: {}", one_line(text))),
            DataFusionError::Diagnostic(_, inner) => Self::translate(inner, known, sql),
            DataFusionError::Collection(errors) if !errors.is_empty() => Self::translate(&errors[0], known, sql),
            DataFusionError::ResourcesExhausted(text) => out_of_memory(text, known.memory_bytes),
            DataFusionError::Execution(text) => SqlError::Execution { detail: objects::redact(&one_line(text)) },
            DataFusionError::ObjectStore(error) => {
                let (detail, help) = objects::explain("s3", error);
                SqlError::Store { target: "a file could not be read".to_owned(), detail, help }
            }
            DataFusionError::ArrowError(error, _) => SqlError::Execution { detail: one_line(&error.to_string()) },
            other => {
                let text = one_line(&other.strip_backtrace());
                SqlError::Execution { detail: objects::redact(&within_filter(&text).unwrap_or(text)) }
            }
        }
    }

    /// With a place, where it has none.
    fn at(mut self, span: Option<Place>) -> Self {
        if let SqlError::Statement { place, .. } = &mut self {
            *place = place.or(span);
        }
        self
    }
}

/// What went wrong with a condition that the reader of files looks at: the engine wraps it in words of its own.
fn within_filter(text: &str) -> Option<String> {
    let (_, error) = text.split_once("Error evaluating filter predicate: ")?;
    let (kind, rest) = error.strip_prefix("ArrowError(")?.split_once("(\"")?;
    let (what, _) = rest.rsplit_once("\")")?;
    let what = what.split("\"), Some(").next()?.replace("\\\"", "\"");
    Some(format!("{} error: {what}", kind.trim_end_matches("Error")))
}

/// The engine's text names the largest users of memory; the first line says which one wanted more.
fn out_of_memory(text: &str, memory_bytes: u64) -> SqlError {
    let wanted = text.split("failed for ").nth(1).and_then(|rest| rest.split([' ', '\n', '[']).next());
    let detail = match wanted {
        Some(name) if name.starts_with("HashJoin") || name.starts_with("NestedLoop") || name.starts_with("Cross") => {
            "one side of a join is too large".to_owned()
        }
        Some(name) => format!("{name} cannot put aside enough on disk ({})", one_line(text)),
        None => one_line(text),
    };
    SqlError::Memory { limit: crate::limits::size(memory_bytes), detail }
}

fn statement(message: &str) -> SqlError {
    SqlError::Statement { message: one_line(message), help: None, place: None }
}

fn from_parser(message: &str, sql: &str) -> SqlError {
    let message = message.trim_start_matches("sql parser error: ");
    let Some((message, mut place)) = Place::split_from(message) else {
        let place = message.contains("found: EOF").then(|| Place::end_of(sql));
        return statement(message).at(place);
    };
    if let Some((_, found)) = message.rsplit_once("found: ") {
        place.width = found.chars().count().max(1);
    }
    statement(message).at(Some(place))
}

/// The text without line breaks, and without DataFusion's words of its own.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("Error during planning: ").unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn from_schema(error: &SchemaError, sql: &str) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name();
            let table = field.relation.as_ref().map_or_else(String::new, |table| format!(" in `{}`", table.table()));
            let valid: Vec<&str> = valid_fields
                .iter()
                .filter(|valid| match (&field.relation, &valid.relation) {
                    (Some(asked), Some(of)) => asked.table() == of.table(),
                    _ => true,
                })
                .map(|valid| valid.name())
                .collect();
            let help = suggest::among(name, &valid, "columns");
            SqlError::Statement {
                message: format!("there is no column `{name}`{table}"),
                help,
                place: Place::of_name(sql, name),
            }
        }
        SchemaError::AmbiguousReference { field } => SqlError::Statement {
            message: format!("the column `{}` is in more than one of the tables", field.name()),
            help: Some(format!("name the table as well, such as `o.{}`", field.name())),
            place: Place::of_name(sql, field.name()),
        },
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            SqlError::Statement {
                message: format!("two columns of the answer are called `{name}`"),
                help: Some("name one of them with AS".to_owned()),
                place: None,
            }
        }
    }
}

fn from_plan(text: &str, known: &Known, sql: &str) -> SqlError {
    let refused = ["DDL", "DML", "Statement"];
    if let Some((_, name)) = text.split_once(" not supported: ").filter(|(kind, _)| refused.contains(kind)) {
        return SqlError::Refused { what: refused_name(name) };
    }
    let name = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    if let Some(name) = name {
        let name = name.strip_prefix("fissure.run.").unwrap_or(name);
        let valid: Vec<&str> = known.relations.iter().map(String::as_str).collect();
        let help = suggest::among(name, &valid, "tables and views");
        let place = Place::of_name(sql, name);
        return SqlError::Statement { message: format!("there is no table or view `{name}`"), help, place };
    }
    let name = text.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next());
    if let Some(name) = name {
        let valid: Vec<&str> = known.functions.iter().map(String::as_str).collect();
        let help = suggest::closest(name, &valid).map(|near| format!("did you mean `{near}`?"));
        let place = Place::of_name(sql, name);
        return SqlError::Statement { message: format!("there is no function `{name}`"), help, place };
    }
    statement(text)
}

/// DataFusion's name of a kind of statement as SQL has it.
fn refused_name(name: &str) -> String {
    let name = one_line(name);
    match name.as_str() {
        "SetVariable" => "SET".to_owned(),
        "CreateExternalTable" => "CREATE EXTERNAL TABLE".to_owned(),
        "CreateMemoryTable" => "CREATE TABLE".to_owned(),
        "CreateView" => "CREATE VIEW".to_owned(),
        "DropTable" => "DROP TABLE".to_owned(),
        "DropView" => "DROP VIEW".to_owned(),
        _ => name,
    }
}
