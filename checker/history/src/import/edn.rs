//! A reader for EDN, and for JSON as the dialect of it that it nearly is.
//!
//! It reads one value at a time, so that a history of many lines is never held as text and tree at once, and it is
//! liberal: unknown tags, metadata and discarded forms are read over, as printed histories have them. What it refuses,
//! it refuses with the offset of the byte.

/// Values nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edn {
    Nil,
    Bool(bool),
    Int(i64),
    /// A number that is no 64-bit integer, as written.
    Number(String),
    Str(String),
    /// Without its colon.
    Keyword(String),
    Symbol(String),
    /// A vector or a list.
    Seq(Vec<Edn>),
    Set(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
    Tagged(String, Box<Edn>),
}

impl Edn {
    /// The name that a keyword, a string or a symbol spells.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Edn::Keyword(name) | Edn::Str(name) | Edn::Symbol(name) => Some(name),
            _ => None,
        }
    }

    /// The value without its tags.
    pub(crate) fn untagged(&self) -> &Edn {
        match self {
            Edn::Tagged(_, inner) => inner.untagged(),
            other => other,
        }
    }
}

impl std::fmt::Display for Edn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn all<T>(
            f: &mut std::fmt::Formatter<'_>,
            (open, close): (&str, &str),
            items: &[T],
            show: impl Fn(&T, &mut std::fmt::Formatter<'_>) -> std::fmt::Result,
        ) -> std::fmt::Result {
            f.write_str(open)?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    f.write_str(" ")?;
                }
                show(item, f)?;
            }
            f.write_str(close)
        }
        match self {
            Edn::Nil => f.write_str("nil"),
            Edn::Bool(value) => write!(f, "{value}"),
            Edn::Int(value) => write!(f, "{value}"),
            Edn::Number(value) | Edn::Symbol(value) => f.write_str(value),
            Edn::Str(value) => write!(f, "{value:?}"),
            Edn::Keyword(value) => write!(f, ":{value}"),
            Edn::Seq(items) => all(f, ("[", "]"), items, |item, f| write!(f, "{item}")),
            Edn::Set(items) => all(f, ("#{", "}"), items, |item, f| write!(f, "{item}")),
            Edn::Map(items) => all(f, ("{", "}"), items, |(key, value), f| write!(f, "{key} {value}")),
            Edn::Tagged(tag, value) => write!(f, "#{tag} {value}"),
        }
    }
}

/// Which notation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Edn,
    /// Colons separate, and `null` is nil.
    Json,
}

/// Where a text cannot be understood, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) offset: usize,
    pub(crate) detail: String,
}

/// Reads values from a text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    notation: Notation,
}

/// What comes next.
enum Form {
    Value(Edn),
    /// A closing bracket.
    Close(u8),
    End,
}

fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b",;()[]{}\"".contains(&byte)
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str, notation: Notation) -> Self {
        Self { text, at: 0, notation }
    }

    fn error<T>(&self, offset: usize, detail: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { offset, detail: detail.into() })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space and comments, and gives the offset of what comes next.
    pub(crate) fn skip_blank(&mut self) -> usize {
        while let Some(byte) = self.peek() {
            match byte {
                b',' => self.at += 1,
                b':' if self.notation == Notation::Json => self.at += 1,
                b';' if self.notation == Notation::Edn => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => break,
            }
        }
        self.at
    }

    /// If a vector or a list begins here, goes into it and gives its closing bracket.
    pub(crate) fn enter(&mut self) -> Option<u8> {
        self.skip_blank();
        let close = match self.peek()? {
            b'[' => b']',
            b'(' => b')',
            _ => return None,
        };
        self.at += 1;
        Some(close)
    }

    /// The next value, or `None` at the end of the text; in a sequence that was entered, at its closing bracket.
    pub(crate) fn next(&mut self, close: Option<u8>) -> Result<Option<Edn>, SyntaxError> {
        let start = self.skip_blank();
        match (self.form(0)?, close) {
            (Form::Value(value), _) => Ok(Some(value)),
            (Form::Close(found), Some(wanted)) if found == wanted => Ok(None),
            (Form::Close(found), _) => self.error(start, format!("`{}` closes nothing", char::from(found))),
            (Form::End, None) => Ok(None),
            (Form::End, Some(wanted)) => {
                self.error(start, format!("the text ends where `{}` is missing", char::from(wanted)))
            }
        }
    }

    fn form(&mut self, depth: usize) -> Result<Form, SyntaxError> {
        let start = self.skip_blank();
        if depth > DEPTH_MAX {
            return self.error(start, format!("values are nested deeper than {DEPTH_MAX}"));
        }
        let Some(byte) = self.peek() else { return Ok(Form::End) };
        if b")]}".contains(&byte) {
            self.at += 1;
            return Ok(Form::Close(byte));
        }
        let value = match byte {
            b'(' | b'[' => {
                self.at += 1;
                Edn::Seq(self.items(if byte == b'(' { b')' } else { b']' }, depth)?)
            }
            b'{' => {
                self.at += 1;
                Edn::Map(self.pairs(start, depth)?)
            }
            b'"' => Edn::Str(self.string()?),
            b'#' if self.notation == Notation::Edn => return self.dispatch(depth),
            b'^' if self.notation == Notation::Edn => {
                // Metadata: not part of the value.
                self.at += 1;
                self.inner(depth)?;
                self.inner(depth)?
            }
            b'\\' => self.character(),
            _ => self.atom(start)?,
        };
        Ok(Form::Value(value))
    }

    /// A value that must be there.
    fn inner(&mut self, depth: usize) -> Result<Edn, SyntaxError> {
        let start = self.skip_blank();
        match self.form(depth + 1)? {
            Form::Value(value) => Ok(value),
            Form::Close(_) | Form::End => self.error(start, "a value is missing"),
        }
    }

    fn items(&mut self, close: u8, depth: usize) -> Result<Vec<Edn>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let start = self.skip_blank();
            match self.form(depth + 1)? {
                Form::Value(value) => items.push(value),
                Form::Close(found) if found == close => return Ok(items),
                Form::Close(found) => {
                    let detail = format!("`{}` where `{}` is missing", char::from(found), char::from(close));
                    return self.error(start, detail);
                }
                Form::End => {
                    return self.error(start, format!("the text ends where `{}` is missing", char::from(close)));
                }
            }
        }
    }

    fn pairs(&mut self, start: usize, depth: usize) -> Result<Vec<(Edn, Edn)>, SyntaxError> {
        let mut items = self.items(b'}', depth)?.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let Some(key) = items.next() {
            match items.next() {
                Some(value) => pairs.push((key, value)),
                None => return self.error(start, format!("this map has the key {key} without a value")),
            }
        }
        Ok(pairs)
    }

    /// A form that begins with `#`.
    fn dispatch(&mut self, depth: usize) -> Result<Form, SyntaxError> {
        self.at += 1;
        let value = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Edn::Set(self.items(b'}', depth)?)
            }
            Some(b'_') => {
                self.at += 1;
                self.inner(depth)?;
                return self.form(depth + 1);
            }
            Some(b'#') => {
                self.at += 1;
                Edn::Number(self.token().to_owned())
            }
            Some(b'"') => Edn::Str(self.string()?),
            _ => {
                let tag = self.token().trim_start_matches(':').to_owned();
                Edn::Tagged(tag, Box::new(self.inner(depth)?))
            }
        };
        Ok(Form::Value(value))
    }

    /// The text up to the next delimiter.
    fn token(&mut self) -> &'a str {
        let text: &'a str = self.text;
        let rest = &text[self.at..];
        let json_colon = |byte: u8| byte == b':' && self.notation == Notation::Json;
        let end = rest.bytes().position(|byte| is_delimiter(byte) || json_colon(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// `\c`, `\newline`, `\u0041`: kept as the string that it spells.
    fn character(&mut self) -> Edn {
        self.at += 1;
        // The character itself may be a delimiter.
        let first = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        let start = self.at;
        self.at += first;
        self.token();
        Edn::Str(self.text[start..self.at].to_owned())
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.find(['"', '\\']) else {
                return self.error(start, "this string does not end");
            };
            text.push_str(&rest[..stop]);
            self.at += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok(text);
            }
            let Some(escaped) = self.text[self.at..].chars().next() else {
                return self.error(start, "this string does not end");
            };
            self.at += escaped.len_utf8();
            match escaped {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => text.push(self.unicode_escape()?),
                other => text.push(other),
            }
        }
    }

    /// Four hexadecimal digits. Halves of a surrogate pair become the replacement character: names that need one keep
    /// their length, and are still the same name each time.
    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let digits = self.text.get(self.at..self.at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(code) = digits else { return self.error(self.at, "four hexadecimal digits are missing here") };
        self.at += 4;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn atom(&mut self, start: usize) -> Result<Edn, SyntaxError> {
        let token = self.token();
        if let Some(name) = token.strip_prefix(':') {
            return Ok(Edn::Keyword(name.to_owned()));
        }
        match token {
            "" => self.error(start, "this character does not begin a value"),
            "nil" | "null" => Ok(Edn::Nil),
            "true" => Ok(Edn::Bool(true)),
            "false" => Ok(Edn::Bool(false)),
            _ => Ok(number(token)),
        }
    }
}

/// A number or, if it is none, a symbol.
fn number(token: &str) -> Edn {
    let digits = token.strip_prefix(['+', '-']).unwrap_or(token);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Edn::Symbol(token.to_owned());
    }
    let plain = token.strip_suffix('N').unwrap_or(token);
    plain.parse().map_or_else(|_| Edn::Number(token.to_owned()), Edn::Int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, notation: Notation) -> Result<Option<Edn>, SyntaxError> {
        Reader::new(text, notation).next(None)
    }

    #[track_caller]
    fn shows(text: &str, shown: &str) {
        assert_eq!(read(text, Notation::Edn).unwrap().unwrap().to_string(), shown);
    }

    #[test]
    fn edn_of_printed_histories_is_understood() {
        shows("{:a 1, :b [nil true -3 4N]}", "{:a 1 :b [nil true -3 4]}");
        shows("#jepsen.history.Op{:f :r}", "#jepsen.history.Op {:f :r}");
        shows("; words\n (1 #_ skipped 2 ^{:m 1} x)", "[1 2 x]");
        shows("#{1 \"a\\n\\u0041\" \\( 1/3 1.5M ##NaN}", "#{1 \"a\\nA\" \"(\" 1/3 1.5M NaN}");
        shows("#inst \"2026-11-23\"", "#inst \"2026-11-23\"");
        shows("99999999999999999999", "99999999999999999999");
        assert_eq!(read(" ;only words", Notation::Edn), Ok(None));
    }

    #[test]
    fn json_is_understood_as_a_dialect() {
        let value = read(r#"{"a":[1,null,"x:y"],"b":{"c":true}}"#, Notation::Json).unwrap().unwrap();
        assert_eq!(value.to_string(), r#"{"a" [1 nil "x:y"] "b" {"c" true}}"#);
    }

    #[test]
    fn what_is_broken_is_refused_at_its_place() {
        let offset = |text: &str| read(text, Notation::Edn).unwrap_err().offset;
        assert_eq!(offset("[1 2)"), 4);
        assert_eq!(offset("  ]"), 2);
        assert_eq!(offset("{:a}"), 0);
        assert_eq!(offset("[\"abc]"), 1);
        assert_eq!(offset("[1"), 2);
        assert!(read(&"[".repeat(10_000), Notation::Edn).unwrap_err().detail.contains("nested"));
        assert!(read(&"#_".repeat(10_000), Notation::Edn).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_or_stop(text in "[\\[\\](){}#_^:;\\\\\"a1é \\n,u/+-]{0,60}") {
            for notation in [Notation::Edn, Notation::Json] {
                let mut reader = Reader::new(&text, notation);
                let mut last = 0;
                while let Ok(Some(_)) = reader.next(None) {
                    prop_assert!(reader.at > last);
                    last = reader.at;
                }
            }
        }
    }
}
