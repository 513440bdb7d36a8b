//! A script taken apart into statements.

/// Splits a script at the semicolons that end statements. Semicolons within quotes and comments do not; statements of
/// white space and comments alone are left out. A line that begins with a backslash where a statement would begin is a
/// command of the shell, and ends with the line.
///
/// The second value is what follows the last semicolon, if it holds more than white space and comments: a statement that
/// is not ended yet. Within a quote or a comment that is not closed, nothing ends.
#[must_use]
pub fn split_statements(script: &str) -> (Vec<&str>, Option<&str>) {
    let bytes = script.as_bytes();
    let (mut statements, mut start, mut at, mut has_words) = (Vec::new(), 0, 0, false);
    while at < bytes.len() {
        let rest = &script.as_bytes()[at..];
        match rest[0] {
            quote @ (b'\'' | b'"') => {
                has_words = true;
                // A doubled quote ends one literal and begins the next: for the purpose of splitting the same thing.
                at += 1 + rest[1..].iter().position(|byte| *byte == quote).map_or(rest.len() - 1, |end| end + 1);
            }
            b'-' if rest.starts_with(b"--") => {
                at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            }
            b'/' if rest.starts_with(b"/*") => {
                at += comment_length(rest);
            }
            b'\\' if !has_words => {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                statements.push(script[at..at + end].trim().trim_end_matches(';').trim_end());
                at += end;
                start = at;
            }
            b';' => {
                if has_words {
                    statements.push(script[start..at].trim());
                }
                at += 1;
                (start, has_words) = (at, false);
            }
            byte => {
                has_words |= !byte.is_ascii_whitespace();
                at += 1;
            }
        }
    }
    (statements, has_words.then(|| script[start..].trim()))
}

/// Bytes of the block comment that the text starts with; block comments nest.
fn comment_length(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_and_nowhere_else() {
        let (statements, rest) = split_statements(
            "select ';' as \";\" ; -- a; b\n/* c; /* d; */ e; */ select 'it''s;' ;; ; select 2 -- the last;\n",
        );
        assert_eq!(statements, ["select ';' as \";\"", "-- a; b\n/* c; /* d; */ e; */ select 'it''s;'"]);
        assert_eq!(rest, Some("select 2 -- the last;"));
    }

    #[test]
    fn commands_end_with_their_line() {
        let (statements, rest) = split_statements("\\rows 5 ;\nselect '\\';\n  \\d ops\nselect 1\n\\ 2");
        assert_eq!(statements, ["\\rows 5", "select '\\'", "\\d ops"]);
        assert_eq!(rest, Some("select 1\n\\ 2"));
        assert_eq!(split_statements("\\q"), (vec!["\\q"], None));
    }

    #[test]
    fn what_is_not_closed_does_not_end() {
        for open in ["select 'a;", "select \"a;", "select /* a; /* b; */ c;", "select -- a;"] {
            assert_eq!(split_statements(open), (vec![], Some(open)));
        }
        for empty in ["", " \n", "-- a;", ";;", "/* a; */"] {
            assert_eq!(split_statements(empty), (vec![], None), "{empty}");
        }
        assert_eq!(split_statements("select 'ä;ö';"), (vec!["select 'ä;ö'"], None));
    }
}
