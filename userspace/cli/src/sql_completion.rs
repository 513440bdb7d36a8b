//! What Tab offers in the shell of `fissure sql`: names where they fit, and the words of SQL.

use fissure_sql::{Session, split_statements};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

const KEYWORDS: [&str; 44] = [
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "offset",
    "join",
    "left join",
    "right join",
    "full join",
    "cross join",
    "on",
    "using",
    "and",
    "or",
    "not",
    "in",
    "is null",
    "is not null",
    "between",
    "like",
    "ilike",
    "having",
    "distinct",
    "as",
    "asc",
    "desc",
    "case",
    "when",
    "then",
    "else",
    "end",
    "with",
    "union all",
    "except",
    "intersect",
    "exists",
    "over",
    "partition by",
    "describe",
    "explain",
    "analyze",
    "show tables",
];

const COMMANDS: [&str; 8] = ["\\d", "\\h", "\\rows", "\\format", "\\o", "\\timing", "\\q", "\\?"];

/// Words after which a table comes.
const BEFORE_TABLE: [&str; 3] = ["from", "join", "describe"];

/// What can be completed, and when a statement is whole.
pub(crate) struct Completions {
    /// Tables and views with their columns.
    relations: Vec<(String, Vec<String>)>,
    functions: Vec<String>,
    table_functions: Vec<String>,
    files: FilenameCompleter,
}

impl Completions {
    pub(crate) fn new(session: &Session) -> Self {
        let relations = session.relations().iter().map(|relation| {
            let columns = relation.columns.iter().map(|column| column.name.clone());
            (relation.name.clone(), columns.collect())
        });
        let table_functions: Vec<String> =
            fissure_sql::table_functions().iter().map(|function| function.name.to_owned()).collect();
        let functions = session.functions().into_iter().filter(|name| !table_functions.contains(name));
        Self {
            relations: relations.collect(),
            functions: functions.collect(),
            table_functions,
            files: FilenameCompleter::new(),
        }
    }

    /// The place where the name at the cursor begins, and what it may be.
    fn offers(&self, text: &str, at: usize) -> (usize, Vec<String>) {
        let before = &text[..at];
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let start = before.char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(at, |(place, _)| place);
        if before.trim_start().starts_with('\\') {
            return self.command_offers(before, start);
        }
        let typed = &before[start..];
        let offered: Vec<String> = if let Some(qualified) = before[..start].strip_suffix('.') {
            self.columns_of(text, last_word(qualified))
        } else if BEFORE_TABLE.contains(&last_word(before[..start].trim_end()).to_lowercase().as_str()) {
            let relations = self.relations.iter().map(|(name, _)| name.clone());
            relations.chain(self.table_functions.iter().map(|name| format!("{name}("))).collect()
        } else if typed.is_empty() {
            Vec::new()
        } else {
            self.words(text, typed)
        };
        let lower = typed.to_lowercase();
        let mut fitting: Vec<String> =
            offered.into_iter().filter(|name| name.to_lowercase().starts_with(&lower)).collect();
        fitting.sort_unstable();
        fitting.dedup();
        (start, fitting)
    }

    fn command_offers(&self, before: &str, start: usize) -> (usize, Vec<String>) {
        let fitting = |start: usize, names: Vec<String>| {
            let typed = &before[start..];
            (start, names.into_iter().filter(|name| name.starts_with(typed)).collect())
        };
        let indent = before.len() - before.trim_start().len();
        match before.trim_start().split_once(char::is_whitespace) {
            None => fitting(indent, COMMANDS.map(str::to_owned).to_vec()),
            Some(("\\d", _)) => fitting(start, self.relations.iter().map(|(name, _)| name.clone()).collect()),
            Some(("\\format", _)) => {
                fitting(start, ["table", "csv", "json", "jsonl", "parquet"].map(str::to_owned).to_vec())
            }
            Some(("\\h" | "\\?", _)) => {
                let topics = ["times", "runs", "functions", "output", "memory", "targets", "examples"];
                fitting(start, topics.map(str::to_owned).into_iter().chain(self.table_functions.clone()).collect())
            }
            Some(_) => (start, Vec::new()),
        }
    }

    /// The columns of a table, a view, or what has this name in the statement.
    fn columns_of(&self, text: &str, name: &str) -> Vec<String> {
        let find = |name: &str| self.relations.iter().find(|(relation, _)| relation.eq_ignore_ascii_case(name));
        let alias = || {
            let words: Vec<&str> =
                text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
            let is_name = |at: usize| words[at].eq_ignore_ascii_case(name);
            (1..words.len()).filter(|at| is_name(*at)).find_map(|at| {
                let of = if words[at - 1].eq_ignore_ascii_case("as") { at.checked_sub(2)? } else { at - 1 };
                find(words[of])
            })
        };
        find(name).or_else(alias).map_or_else(Vec::new, |(_, columns)| columns.clone())
    }

    /// Columns of what the statement is about (of everything, if that is not known yet), functions, keywords.
    fn words(&self, text: &str, typed: &str) -> Vec<String> {
        let words: Vec<String> =
            text.to_lowercase().split(|c: char| !(c.is_alphanumeric() || c == '_')).map(str::to_owned).collect();
        let mentioned: Vec<&(String, Vec<String>)> =
            self.relations.iter().filter(|(name, _)| words.contains(&name.to_lowercase())).collect();
        let about = if mentioned.is_empty() { self.relations.iter().collect() } else { mentioned };
        let columns = about.iter().flat_map(|(_, columns)| columns.iter().cloned());
        let relations = self.relations.iter().map(|(name, _)| name.clone());
        let functions = self.functions.iter().map(|name| format!("{name}("));
        let is_loud = typed.chars().any(char::is_alphabetic) && !typed.chars().any(char::is_lowercase);
        let keyword = |word: &str| if is_loud { word.to_uppercase() } else { word.to_owned() };
        columns.chain(relations).chain(functions).chain(KEYWORDS.map(keyword)).collect()
    }
}

/// The word that the text ends with.
fn last_word(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    &text[text.char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(text.len(), |(place, _)| place)..]
}

impl Helper for Completions {}
impl Highlighter for Completions {}

impl Validator for Completions {
    /// A command ends with its line; a statement ends with its semicolon.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_word = matches!(text, "quit" | "exit");
        let is_whole = is_word || split_statements(text).1.is_none_or(|rest| rest.starts_with('\\'));
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Completions {
    type Hint = String;
}

impl Completer for Completions {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if line.trim_start().starts_with("\\o ") {
            return self.files.complete(line, at, context);
        }
        let (start, names) = self.offers(line, at);
        Ok((start, names.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completions() -> Completions {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Completions {
            relations: vec![
                ("ops".to_owned(), columns(&["op_id", "outcome", "f"])),
                ("faults".to_owned(), columns(&["fault_id", "outcome"])),
            ],
            functions: columns(&["count", "first_value", "floor"]),
            table_functions: columns(&["timeline"]),
            files: FilenameCompleter::new(),
        }
    }

    fn offered(text: &str) -> Vec<String> {
        // The bar is the cursor.
        let at = text.find('|').unwrap();
        completions().offers(&text.replace('|', ""), at).1
    }

    #[test]
    fn names_are_offered_where_they_fit() {
        assert_eq!(offered("select * from |"), ["faults", "ops", "timeline("]);
        assert_eq!(offered("select * from ops join f|"), ["faults"]);
        assert_eq!(offered("select o.o| from ops o"), ["op_id", "outcome"]);
        assert_eq!(offered("select x.| from faults as x"), ["fault_id", "outcome"]);
        assert_eq!(offered("select ops.f|"), ["f"]);
        assert_eq!(offered("select nothing.f|"), [""; 0]);
        assert_eq!(offered("select f| from ops"), ["f", "faults", "first_value(", "floor(", "from", "full join"]);
        assert_eq!(offered("SEL|"), ["SELECT"]);
        assert_eq!(offered("select |"), [""; 0]);
        assert_eq!(offered("select \u{e4}.\u{f6}|"), [""; 0]);
    }

    #[test]
    fn commands_have_their_own() {
        assert_eq!(offered("\\ro|"), ["\\rows"]);
        assert_eq!(offered("\\d o|"), ["ops"]);
        assert_eq!(offered("\\format j|"), ["json", "jsonl"]);
        assert_eq!(offered("\\h t|"), ["times", "targets", "timeline"]);
        assert_eq!(offered("\\timing x|"), [""; 0]);
        let (start, _) = completions().offers("  \\ro", 5);
        assert_eq!(start, 2);
    }
}
