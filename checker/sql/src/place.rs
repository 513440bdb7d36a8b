//! Places in a statement: where something is wrong, shown with the line and a mark under it.

/// Where in a statement something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line of the statement, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// Characters that are meant, at least 1.
    pub width: usize,
}

impl Place {
    /// The line with the mark under it, as compilers show it. `first_line` is the number of the statement's first line in
    /// what the person wrote, and `first_column` how many characters stand before the statement on that line.
    #[must_use]
    pub fn excerpt(&self, statement: &str, first_line: usize, first_column: usize) -> String {
        let text = statement.lines().nth(self.line - 1).unwrap_or_default();
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let number = (first_line + self.line - 1).to_string();
        let column = if self.line == 1 { self.column + first_column } else { self.column };
        let gutter = " ".repeat(number.len());
        let space = " ".repeat(self.column - 1);
        let mark = "^".repeat(self.width.max(1));
        format!("{gutter}--> line {number}, column {column}\n{gutter} |\n{number} | {text}\n{gutter} | {space}{mark}\n")
    }

    /// What the parser says at the end of its messages: ` at Line: 1, Column: 8`. The message is what stands before it.
    pub(crate) fn split_from(message: &str) -> Option<(&str, Self)> {
        let (text, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        let digits = column.find(|c: char| !c.is_ascii_digit()).unwrap_or(column.len());
        let (line, column) = (line.parse().ok()?, column[..digits].parse().ok()?);
        (line > 0 && column > 0).then_some((text, Self { line, column, width: 1 }))
    }

    /// The place after the last character that is no white space.
    pub(crate) fn end_of(statement: &str) -> Self {
        let text = statement.trim_end();
        let line = text.lines().count().max(1);
        let column = text.lines().last().unwrap_or_default().chars().count() + 1;
        Self { line, column, width: 1 }
    }

    /// The first place where this name stands by itself, outside of strings and comments.
    pub(crate) fn of_name(statement: &str, name: &str) -> Option<Self> {
        let lower = blanked(statement).to_lowercase();
        let name = name.to_lowercase();
        // A letter whose small form has another length would shift what follows.
        if name.is_empty() || lower.chars().count() != statement.chars().count() {
            return None;
        }
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let alone = |at: usize| {
            let (before, after) = (lower[..at].chars().next_back(), lower[at + name.len()..].chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        };
        let at = lower.match_indices(&name).map(|(at, _)| at).find(|at| alone(*at))?;
        let before = &lower[..at];
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some(Self { line: before.matches('\n').count() + 1, column, width: name.chars().count() })
    }
}

/// The statement with blanks in place of strings and comments.
fn blanked(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_under_its_line() {
        let place = Place { line: 2, column: 3, width: 4 };
        let shown = "  --> line 11, column 3\n   |\n11 |  \u{e4}opid\n   |   ^^^^\n";
        assert_eq!(place.excerpt("select\n\t\u{e4}opid", 10, 5), shown);
        let place = Place { line: 1, column: 1, width: 1 };
        assert_eq!(place.excerpt("x", 1, 4), " --> line 1, column 5\n  |\n1 | x\n  | ^\n");
        // A place that the statement does not have is no reason to panic.
        let far = Place { line: 9, column: 9, width: 0 };
        assert!(far.excerpt("x", 1, 0).contains("line 9"));
    }

    #[test]
    fn names_are_found_where_they_stand_alone() {
        let place =
            |sql: &str, name: &str| Place::of_name(sql, name).map(|place| (place.line, place.column, place.width));
        assert_eq!(place("select 'x', -- x\n x_y, ax, X", "x"), Some((2, 11, 1)));
        assert_eq!(place("select /* x */ 'it''s x'", "x"), None);
        assert_eq!(place("select 'not closed x", "x"), None);
        assert_eq!(place("select \u{130}, x", "x"), None);
        assert_eq!(place("", ""), None);
    }

    #[test]
    fn the_parsers_places_are_understood() {
        let (text, place) = Place::split_from("Expected: x, found: y at Line: 3, Column: 14").unwrap();
        assert_eq!((text, place), ("Expected: x, found: y", Place { line: 3, column: 14, width: 1 }));
        for text in ["at Line: ", "x at Line: 0, Column: 0", "x at Line: a, Column: 1", " at Line: 1"] {
            assert_eq!(Place::split_from(text), None, "{text}");
        }
        assert_eq!(Place::end_of("a\nbc \n"), Place { line: 2, column: 3, width: 1 });
        assert_eq!(Place::end_of(""), Place { line: 1, column: 1, width: 1 });
    }
}
