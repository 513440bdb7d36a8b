//! A reader for EDN, and for JSON as the dialect of it that it nearly is.
//!
//! It reads one value at a time from bytes, so that a history of many lines is never held as text and tree at once. It
//! is liberal: unknown tags, metadata and discarded forms are read over, as printed histories have them. What it
//! refuses, it refuses with the offset of the byte. Values nested deeper than 64 are refused, not recursed into.

use super::edn::Edn;

/// Values nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// Which notation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Edn,
    /// Colons separate, and `null` is nil. Keys of objects that spell an integer are that integer.
    Json,
}

/// Where a text cannot be understood, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) offset: usize,
    pub(crate) detail: String,
    /// Whether the text ended within a value: more text might mend it.
    pub(crate) at_end: bool,
}

/// Reads values from a text.
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    pub(crate) at: usize,
    notation: Notation,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Form {
    Value(Edn),
    /// A closing bracket.
    Close(u8),
    End,
}

/// Whether a byte ends a token.
#[inline]
pub(crate) fn is_delimiter(byte: u8) -> bool {
    static DELIMITERS: [bool; 256] = {
        let mut table = [false; 256];
        let delimiters = b" \t\n\r\x0c,;()[]{}\"";
        let mut at = 0;
        while at < delimiters.len() {
            table[delimiters[at] as usize] = true;
            at += 1;
        }
        table
    };
    DELIMITERS[usize::from(byte)]
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8], notation: Notation) -> Self {
        Self { text, at: 0, notation }
    }

    fn error<T>(&self, offset: usize, detail: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { offset, detail: detail.into(), at_end: false })
    }

    /// The text ends within the value that began at `offset`.
    fn ends<T>(&self, offset: usize, detail: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { offset, detail: detail.into(), at_end: true })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space and comments, and gives the offset of what comes next.
    pub(crate) fn skip_blank(&mut self) -> usize {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b',' => self.at += 1,
                b':' if self.notation == Notation::Json => self.at += 1,
                b';' if self.notation == Notation::Edn => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                _ => break,
            }
        }
        self.at
    }

    /// The next value, closing bracket, or the end of the text.
    pub(crate) fn next(&mut self) -> Result<Form, SyntaxError> {
        self.form(0)
    }

    fn form(&mut self, depth: usize) -> Result<Form, SyntaxError> {
        loop {
            let start = self.skip_blank();
            if depth > DEPTH_MAX {
                return self.error(start, format!("values are nested deeper than {DEPTH_MAX}"));
            }
            let Some(byte) = self.peek() else { return Ok(Form::End) };
            if matches!(byte, b')' | b']' | b'}') {
                self.at += 1;
                return Ok(Form::Close(byte));
            }
            // A discarded form, and the next one is meant.
            if byte == b'#' && self.notation == Notation::Edn && self.text.get(self.at + 1) == Some(&b'_') {
                self.at += 2;
                self.inner(depth)?;
                continue;
            }
            return self.value(byte, start, depth).map(Form::Value);
        }
    }

    fn value(&mut self, byte: u8, start: usize, depth: usize) -> Result<Edn, SyntaxError> {
        match byte {
            b'(' | b'[' => {
                self.at += 1;
                Ok(Edn::Seq(self.items(start, if byte == b'(' { b')' } else { b']' }, depth)?))
            }
            b'{' => {
                self.at += 1;
                Ok(Edn::Map(self.pairs(start, depth)?))
            }
            b'"' => Ok(Edn::Str(self.string()?)),
            b'#' if self.notation == Notation::Edn => self.dispatch(start, depth),
            b'^' if self.notation == Notation::Edn => {
                // Metadata: not part of the value.
                self.at += 1;
                self.inner(depth)?;
                self.inner(depth)
            }
            b'\\' if self.notation == Notation::Edn => self.character(),
            _ => self.atom(start),
        }
    }

    /// A value that must be there.
    fn inner(&mut self, depth: usize) -> Result<Edn, SyntaxError> {
        let start = self.skip_blank();
        match self.form(depth + 1)? {
            Form::Value(value) => Ok(value),
            Form::Close(found) => self.error(start, format!("found `{}`, expected a value", char::from(found))),
            Form::End => self.ends(start, "the text ends where a value is missing"),
        }
    }

    fn items(&mut self, open: usize, close: u8, depth: usize) -> Result<Vec<Edn>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let start = self.skip_blank();
            match self.form(depth + 1)? {
                Form::Value(value) => items.push(value),
                Form::Close(found) if found == close => return Ok(items),
                Form::Close(found) => {
                    let detail = format!("found `{}`, expected `{}`", char::from(found), char::from(close));
                    return self.error(start, detail);
                }
                Form::End => {
                    let opened = char::from(self.text[open]);
                    let detail = format!("the text ends where `{}` is missing for this `{opened}`", char::from(close));
                    return self.ends(open, detail);
                }
            }
        }
    }

    fn pairs(&mut self, start: usize, depth: usize) -> Result<Vec<(Edn, Edn)>, SyntaxError> {
        let mut items = self.items(start, b'}', depth)?.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let Some(key) = items.next() {
            let key = match key {
                Edn::Str(text) if self.notation == Notation::Json => integer_key(text),
                other => other,
            };
            match items.next() {
                Some(value) => pairs.push((key, value)),
                None => return self.error(start, format!("this map has the key {key} without a value")),
            }
        }
        Ok(pairs)
    }

    /// A form that begins with `#`.
    fn dispatch(&mut self, start: usize, depth: usize) -> Result<Edn, SyntaxError> {
        self.at += 1;
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(Edn::Set(self.items(start, b'}', depth)?))
            }
            Some(b'#') => {
                self.at += 1;
                let token = self.token(start)?;
                Ok(Edn::Number(format!("##{token}")))
            }
            Some(b'"') => Ok(Edn::Tagged("regex".to_owned(), Box::new(Edn::Str(self.string()?)))),
            // A namespaced map `#:ns{…}`: its keys get the namespace.
            Some(b':') => {
                let namespace = self.token(start)?.trim_start_matches(':').to_owned();
                Ok(match self.inner(depth)? {
                    Edn::Map(pairs) if !namespace.is_empty() => {
                        Edn::Map(pairs.into_iter().map(|(key, value)| (qualified(&namespace, key), value)).collect())
                    }
                    other => other,
                })
            }
            None => self.ends(start, "the text ends where a tag is missing"),
            Some(_) => {
                let tag = self.token(start)?.to_owned();
                if tag.is_empty() {
                    return self.error(start, "found `#` alone, expected a tag or a set");
                }
                Ok(Edn::Tagged(tag, Box::new(self.inner(depth)?)))
            }
        }
    }

    /// The text up to the next delimiter.
    fn token(&mut self, start: usize) -> Result<&'a str, SyntaxError> {
        let rest: &'a [u8] = &self.text[self.at..];
        let json = self.notation == Notation::Json;
        let end = rest.iter().position(|byte| is_delimiter(*byte) || (json && *byte == b':')).unwrap_or(rest.len());
        self.at += end;
        self.utf8(&rest[..end], start)
    }

    fn utf8(&self, bytes: &'a [u8], start: usize) -> Result<&'a str, SyntaxError> {
        // A text that was cut within a character ends there.
        std::str::from_utf8(bytes).map_err(|error| SyntaxError {
            offset: start,
            detail: "found bytes that are no UTF-8, expected text".to_owned(),
            at_end: error.error_len().is_none() && self.at >= self.text.len(),
        })
    }

    /// `\c`, `\newline`, `\u0041`.
    fn character(&mut self) -> Result<Edn, SyntaxError> {
        let start = self.at;
        self.at += 1;
        // The character itself may be a delimiter, and may be of several bytes.
        let rest: &'a [u8] = &self.text[self.at..];
        let Some(first) = rest.first() else { return self.ends(start, "the text ends within a character") };
        let mut end = 1;
        while end < rest.len() && (rest[end] & 0xc0 == 0x80 || !is_delimiter(rest[end])) {
            end += 1;
        }
        if is_delimiter(*first) {
            end = 1;
        }
        self.at += end;
        let token = self.utf8(&rest[..end], start)?;
        let mut chars = token.chars();
        let character = match (chars.next(), chars.as_str()) {
            (Some(only), "") => Some(only),
            (Some('u'), digits) if digits.len() == 4 => u32::from_str_radix(digits, 16).ok().and_then(char::from_u32),
            _ => match token {
                "newline" => Some('\n'),
                "return" => Some('\r'),
                "space" => Some(' '),
                "tab" => Some('\t'),
                "backspace" => Some('\u{8}'),
                "formfeed" => Some('\u{c}'),
                _ => None,
            },
        };
        match character {
            Some(character) => Ok(Edn::Char(character)),
            None if self.at >= self.text.len() => self.ends(start, format!("`\\{token}` is not a character")),
            None => self.error(start, format!("found `\\{token}`, expected a character")),
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut text: Vec<u8> = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
                return self.ends(start, "this string does not end");
            };
            text.extend_from_slice(&rest[..stop]);
            self.at += stop + 1;
            if rest[stop] == b'"' {
                return String::from_utf8(text)
                    .or_else(|_| self.error(start, "found bytes that are no UTF-8, expected text"));
            }
            let Some(escaped) = self.peek() else { return self.ends(start, "this string does not end") };
            self.at += 1;
            let byte = match escaped {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'b' => 0x08,
                b'f' => 0x0c,
                b'u' => {
                    let c = self.unicode_escape(start)?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                other => other,
            };
            text.push(byte);
        }
    }

    /// Four hexadecimal digits, or two times four for a surrogate pair. A half alone becomes the replacement character.
    fn unicode_escape(&mut self, start: usize) -> Result<char, SyntaxError> {
        let high = self.four_digits(start)?;
        if !(0xd800..0xdc00).contains(&high) || !self.text[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        self.at += 2;
        let low = self.four_digits(start)?;
        if (0xdc00..0xe000).contains(&low) {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = back;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn four_digits(&mut self, start: usize) -> Result<u32, SyntaxError> {
        let Some(digits) = self.text.get(self.at..self.at + 4) else {
            return self.ends(start, "this string does not end");
        };
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.error(self.at, "expected four hexadecimal digits"),
        }
    }

    fn atom(&mut self, start: usize) -> Result<Edn, SyntaxError> {
        let token = self.token(start)?;
        if let Some(name) = token.strip_prefix(':') {
            return Ok(Edn::Keyword(name.to_owned()));
        }
        match token {
            "" => {
                let found = char::from(self.text[start]);
                self.error(start, format!("found `{found}`, which does not begin a value"))
            }
            "nil" | "null" => Ok(Edn::Nil),
            "true" => Ok(Edn::Bool(true)),
            "false" => Ok(Edn::Bool(false)),
            _ => match number(token) {
                // JSON has no symbols, but printers of floats write these.
                Edn::Symbol(word)
                    if self.notation == Notation::Json && !matches!(token, "NaN" | "Infinity" | "-Infinity") =>
                {
                    let shown: String = word.chars().take(40).collect();
                    if self.at >= self.text.len() {
                        return self.ends(start, format!("found `{shown}`, expected a value of JSON"));
                    }
                    self.error(start, format!("found `{shown}`, expected a value of JSON"))
                }
                value => Ok(value),
            },
        }
    }
}

/// A key with the namespace of its map: `_/x` has none.
fn qualified(namespace: &str, key: Edn) -> Edn {
    match key {
        Edn::Keyword(name) => Edn::Keyword(match name.strip_prefix("_/") {
            Some(bare) => bare.to_owned(),
            None if name.contains('/') => name,
            None => format!("{namespace}/{name}"),
        }),
        other => other,
    }
}

/// JSON has no keys but strings: one that is exactly what an integer prints is that integer.
fn integer_key(text: String) -> Edn {
    match text.parse::<i64>() {
        Ok(value) if value.to_string() == text => Edn::Int(value),
        _ => Edn::Str(text),
    }
}

/// A number or, if it is none, a symbol.
fn number(token: &str) -> Edn {
    let digits = token.strip_prefix(['+', '-']).unwrap_or(token);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Edn::Symbol(token.to_owned());
    }
    let plain = token.strip_suffix('N').unwrap_or(token);
    match plain.parse() {
        Ok(value) => Edn::Int(value),
        Err(_) if !plain.is_empty() && digits.trim_end_matches('N').bytes().all(|byte| byte.is_ascii_digit()) => {
            Edn::Number(format!("{}N", plain.strip_prefix('+').unwrap_or(plain)))
        }
        Err(_) => Edn::Number(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, notation: Notation) -> Result<Option<Edn>, SyntaxError> {
        match Reader::new(text.as_bytes(), notation).next()? {
            Form::Value(value) => Ok(Some(value)),
            Form::Close(_) | Form::End => Ok(None),
        }
    }

    #[track_caller]
    fn shows(text: &str, shown: &str) {
        let value = read(text, Notation::Edn).unwrap().unwrap();
        assert_eq!(value.to_string(), shown);
        assert_eq!(read(shown, Notation::Edn).unwrap().unwrap(), value, "what is printed is the same value");
    }

    #[test]
    fn edn_of_printed_histories_is_understood() {
        shows("{:a 1, :b [nil true -3 4N]}", "{:a 1 :b [nil true -3 4]}");
        shows("#jepsen.history.Op{:f :r}", "#jepsen.history.Op {:f :r}");
        shows("; words\n (1 #_ skipped 2 ^{:m 1} x)", "[1 2 x]");
        shows("#{1 \"a\\n\\u0041\" \\( 1/3 1.5M ##NaN}", "#{1 \"a\\nA\" \\( 1/3 1.5M ##NaN}");
        shows("#inst \"2026-11-23\"", "#inst \"2026-11-23\"");
        shows("99999999999999999999", "99999999999999999999N");
        shows("-99999999999999999999N", "-99999999999999999999N");
        shows("[\\newline \\space \\u00e9 \\é \\a \\tab \\, x]", "[\\newline \\space \\é \\é \\a \\tab \\, x]");
        shows("#:n{:a 1 :_/b 2 :m/c 3}", "{:n/a 1 :b 2 :m/c 3}");
        shows("#object[a.B 0x1 \"a.B@1\"]", "#object [a.B 0x1 \"a.B@1\"]");
        shows("#error {:cause \"x\" :via [{:type E}]}", "#error {:cause \"x\" :via [{:type E}]}");
        assert_eq!(read(" ;only words", Notation::Edn), Ok(None));
    }

    #[test]
    fn json_is_understood_as_a_dialect() {
        let value = read(r#"{"a":[1,null,"x:y"],"7":{"c":true,"07":1}}"#, Notation::Json).unwrap().unwrap();
        assert_eq!(value.to_string(), r#"{"a" [1 nil "x:y"] 7 {"c" true "07" 1}}"#);
        let value = read(r#"["\ud83d\ude00","\ud83d","\u00e9\/"]"#, Notation::Json).unwrap().unwrap();
        assert_eq!(value.to_string(), "[\"😀\" \"\u{fffd}\" \"é/\"]");
    }

    #[test]
    fn what_is_broken_is_refused_at_its_place() {
        let offset = |text: &str| read(text, Notation::Edn).unwrap_err().offset;
        assert_eq!(offset("[1 2)"), 4);
        assert_eq!(offset("{:a}"), 0);
        assert_eq!(offset("[\"abc]"), 1);
        assert_eq!(offset("[[1]"), 0);
        assert!(read("[1 {:a 2}", Notation::Edn).unwrap_err().at_end);
        assert!(!read("[1 {:a 2)", Notation::Edn).unwrap_err().at_end);
        assert!(read(&"[".repeat(10_000), Notation::Edn).unwrap_err().detail.contains("nested"));
        assert!(read(&"#_".repeat(10_000), Notation::Edn).is_err());
        assert!(read(&"^".repeat(10_000), Notation::Edn).is_err());
        assert!(read(&"#a ".repeat(10_000), Notation::Edn).is_err());
    }

    #[test]
    fn equal_values_have_one_canonical_text() {
        let canonical = |text: &str| read(text, Notation::Edn).unwrap().unwrap().canonical();
        assert_eq!(canonical("#{2 1 [3 {:b 1 :a 2}]}"), canonical("#{[3 {:a 2, :b 1}] 1 2}"));
        assert_ne!(canonical("[1 2]"), canonical("[2 1]"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_or_stop(text in "[\\[\\](){}#_^:;\\\\\"a1é \\n,u/+-]{0,60}") {
            for notation in [Notation::Edn, Notation::Json] {
                let mut reader = Reader::new(text.as_bytes(), notation);
                let mut last = 0;
                while let Ok(Form::Value(value)) = reader.next() {
                    prop_assert!(reader.at > last);
                    last = reader.at;
                    if let Ok(Some(again)) = read(&value.to_string(), Notation::Edn) {
                        prop_assert_eq!(again.canonical(), value.canonical());
                    }
                }
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for notation in [Notation::Edn, Notation::Json] {
                let mut reader = Reader::new(&bytes, notation);
                while let Ok(Form::Value(_)) = reader.next() {}
            }
        }
    }
}
