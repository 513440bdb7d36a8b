//! What can go wrong with a question, said so that the next try succeeds.

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
    /// The answer cannot be put into the form that was asked for.
    #[error("the answer cannot be written as {form}: {detail}")]
    Format {
        /// The form.
        form: &'static str,
        /// The cause.
        detail: String,
    },
    /// The operating system gave no threads to run statements on.
    #[error("cannot start the threads that run statements: {source}")]
    Runtime {
        /// The cause.
        source: std::io::Error,
    },
}

/// The names that a statement can use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Tables and views.
    pub(crate) relations: Vec<String>,
    /// Functions.
    pub(crate) functions: Vec<String>,
}

impl SqlError {
    /// What to do about it, if there is something.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            SqlError::Statement { help, .. } => help.as_deref(),
            SqlError::Results { .. } => Some("`fissure check` on the run writes it anew"),
            SqlError::Refused { .. } => {
                Some("SELECT, SHOW, DESCRIBE and EXPLAIN are allowed; to keep an answer, use --format csv or json")
            }
            _ => None,
        }
    }

    /// From DataFusion's error.
    pub(crate) fn from_datafusion(error: &DataFusionError, known: &Known) -> Self {
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => from_schema(schema),
            DataFusionError::Plan(text) => from_plan(text, known),
            DataFusionError::SQL(parser, _) => statement(parser.to_string().trim_start_matches("sql parser error: ")),
            DataFusionError::NotImplemented(text) if text.contains("a single SQL statement") => {
                SqlError::Statement { message: "more than one statement where one is expected".to_owned(), help: None }
            }
            DataFusionError::NotImplemented(text) => statement(&format!("not supported: {}", one_line(text))),
            DataFusionError::Diagnostic(_, inner) => Self::from_datafusion(inner, known),
            DataFusionError::Collection(errors) if !errors.is_empty() => Self::from_datafusion(&errors[0], known),
            DataFusionError::Execution(text) | DataFusionError::ResourcesExhausted(text) => {
                SqlError::Execution { detail: one_line(text) }
            }
            DataFusionError::ArrowError(error, _) => SqlError::Execution { detail: one_line(&error.to_string()) },
            other => SqlError::Execution { detail: one_line(&other.strip_backtrace()) },
        }
    }
}

fn statement(message: &str) -> SqlError {
    SqlError::Statement { message: one_line(message), help: None }
}

/// The text without line breaks, and without DataFusion's words of its own.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("Error during planning: ").unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn from_schema(error: &SchemaError) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name();
            let place = field.relation.as_ref().map_or_else(String::new, |table| format!(" in `{}`", table.table()));
            let valid: Vec<&str> = valid_fields
                .iter()
                .filter(|valid| match (&field.relation, &valid.relation) {
                    (Some(asked), Some(of)) => asked.table() == of.table(),
                    _ => true,
                })
                .map(|valid| valid.name())
                .collect();
            let help = suggest::among(name, &valid, "columns");
            SqlError::Statement { message: format!("there is no column `{name}`{place}"), help }
        }
        SchemaError::AmbiguousReference { field } => SqlError::Statement {
            message: format!("the column `{}` is in more than one of the tables", field.name()),
            help: Some(format!("name the table as well, such as `o.{}`", field.name())),
        },
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            SqlError::Statement {
                message: format!("two columns of the answer are called `{name}`"),
                help: Some("name one of them with AS".to_owned()),
            }
        }
    }
}

fn from_plan(text: &str, known: &Known) -> SqlError {
    let refused = ["DDL", "DML", "Statement"];
    if let Some((_, name)) = text.split_once(" not supported: ").filter(|(kind, _)| refused.contains(kind)) {
        return SqlError::Refused { what: refused_name(name) };
    }
    let name = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    if let Some(name) = name {
        let name = name.strip_prefix("fissure.run.").unwrap_or(name);
        let valid: Vec<&str> = known.relations.iter().map(String::as_str).collect();
        let help = suggest::among(name, &valid, "tables and views");
        return SqlError::Statement { message: format!("there is no table or view `{name}`"), help };
    }
    let name = text.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next());
    if let Some(name) = name {
        let valid: Vec<&str> = known.functions.iter().map(String::as_str).collect();
        let help = suggest::closest(name, &valid).map(|near| format!("did you mean `{near}`?"));
        return SqlError::Statement { message: format!("there is no function `{name}`"), help };
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
