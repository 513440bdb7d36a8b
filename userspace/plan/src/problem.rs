//! Mistakes in a scenario, as data: what, where, and what to do about it.
//!
//! Nothing here prints. [`render`] makes plain text for logs and tests; a terminal front end has the spans, labels and
//! help texts to draw its own.

use std::{fmt::Write as _, ops::Range};

/// What kind of mistake it is. The codes are stable: they may be searched for, and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `PLAN001`: the text is not TOML.
    Syntax,
    /// `PLAN002`: a key that means nothing here.
    UnknownKey,
    /// `PLAN003`: a key or table that must be there is not.
    MissingKey,
    /// `PLAN004`: a value of another TOML type than the one wanted.
    WrongType,
    /// `PLAN005`: a quantity without its unit.
    MissingUnit,
    /// `PLAN006`: a quantity that cannot be read.
    BadQuantity,
    /// `PLAN007`: a word that is not one of the words allowed here.
    UnknownWord,
    /// `PLAN008`: a value outside of its range.
    OutOfRange,
    /// `PLAN009`: a node that the cluster does not have.
    UnknownNode,
    /// `PLAN010`: a fault without an action, or with several.
    FaultAction,
    /// `PLAN011`: a fault that does not fit in time.
    FaultTime,
    /// `PLAN012`: an option of another target or another kind of workload.
    NotForThisKind,
    /// `PLAN013`: a name that is taken or cannot be a name.
    BadName,
    /// `PLAN014`: a fault that could hit nothing, whatever happens.
    HitsNothing,
}

impl Code {
    /// The code as it is printed, such as `PLAN001`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Code::Syntax => "PLAN001",
            Code::UnknownKey => "PLAN002",
            Code::MissingKey => "PLAN003",
            Code::WrongType => "PLAN004",
            Code::MissingUnit => "PLAN005",
            Code::BadQuantity => "PLAN006",
            Code::UnknownWord => "PLAN007",
            Code::OutOfRange => "PLAN008",
            Code::UnknownNode => "PLAN009",
            Code::FaultAction => "PLAN010",
            Code::FaultTime => "PLAN011",
            Code::NotForThisKind => "PLAN012",
            Code::BadName => "PLAN013",
            Code::HitsNothing => "PLAN014",
        }
    }
}

/// A place in the source with a word about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Bytes of the source.
    pub span: Range<usize>,
    /// What is to be said about them.
    pub text: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Kind of mistake.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where, with a short text for the place itself.
    pub label: Label,
    /// Other places that belong to it.
    pub related: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in characters, from 1.
    pub column: usize,
}

/// Line and column (in characters), both from 1, of a byte offset; offsets beyond the end mean the end.
#[must_use]
pub fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = &source.as_bytes()[..offset.min(source.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    // A byte that is not a continuation byte starts a character.
    let column = before[line_start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
    (line, column)
}

/// Collects the mistakes of one source.
pub(crate) struct Problems<'s> {
    source: &'s str,
    found: Vec<Problem>,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(source: &'s str) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Adds a mistake and returns it, so that the caller may add a help text or related places.
    pub(crate) fn add(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> &mut Problem {
        let (line, column) = position(self.source, span.start);
        let label = Label { span, text: label.into() };
        let problem = Problem { code, message: message.into(), label, related: Vec::new(), help: None, line, column };
        self.found.push(problem);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// All mistakes, in the order of the source.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| (problem.label.span.start, problem.code));
        self.found
    }

    /// Adds a help text to the mistake noted last, if it is the one at `span`.
    pub(crate) fn help_last(&mut self, span: Range<usize>, help: &str) {
        if let Some(last) = self.found.last_mut().filter(|last| last.label.span == span) {
            last.help(help);
        }
    }

    /// Number of mistakes so far.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }
}

impl Problem {
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn related(&mut self, span: Range<usize>, text: impl Into<String>) -> &mut Self {
        self.related.push(Label { span, text: text.into() });
        self
    }

    /// Help by likeness: the nearest of `known`, and all of them if there are few.
    pub(crate) fn help_near(&mut self, given: &str, known: &[&str]) -> &mut Self {
        let list = || known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let help = match nearest(given, known) {
            Some(word) => format!("did you mean `{word}`?"),
            None if known.is_empty() => return self,
            None => format!("known here: {}", list()),
        };
        self.help(help)
    }
}

/// The word of `known` that `given` was most likely meant to be, if one is near enough.
#[must_use]
pub fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let given = given.to_lowercase().replace('_', "-");
    let allowed = (given.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|word| (edit_distance(&given, &word.replace('_', "-")), *word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// All problems as plain text, one paragraph each, with the line of source and a mark under the place.
#[must_use]
pub fn render(problems: &[Problem], file_name: &str, source: &str) -> String {
    let mut text = String::new();
    for problem in problems {
        let (code, line, column) = (problem.code.name(), problem.line, problem.column);
        let _ = writeln!(text, "{code} {file_name}:{line}:{column}: {}", problem.message);
        render_label(&mut text, source, &problem.label);
        for label in &problem.related {
            render_label(&mut text, source, label);
        }
        if let Some(help) = &problem.help {
            let _ = writeln!(text, "  help: {help}");
        }
    }
    text
}

fn render_label(text: &mut String, source: &str, label: &Label) {
    let (line, column) = position(source, label.span.start);
    let shown = source.lines().nth(line - 1).unwrap_or("");
    let marked = source.get(label.span.clone()).unwrap_or("");
    let room = shown.chars().count().saturating_sub(column - 1).max(1);
    let marks = "^".repeat(marked.lines().next().unwrap_or("").chars().count().clamp(1, room));
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(text, "  {number} | {shown}");
    let _ = writeln!(text, "  {gutter} | {}{marks} {}", " ".repeat(column - 1), label.text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("concurency", &["rate", "concurrency", "keys"]), Some("concurrency"));
        assert_eq!(nearest("stale_reads", &["stale-reads", "none"]), Some("stale-reads"));
        assert_eq!(nearest("ofr", &["for", "from"]), Some("for"));
        assert_eq!(nearest("zzzz", &["for", "from"]), None);
        assert_eq!(nearest("", &["for"]), None);
    }

    #[test]
    fn positions_count_characters() {
        assert_eq!(position("a\nüb", 4), (2, 2));
        assert_eq!(position("", 10), (1, 1));
        assert_eq!(position("a\n", 2), (2, 1));
    }
}
