//! JSON, token by token: for documents in one piece that are too big to be held.
//!
//! Lines of JSON and arrays of operations are read elsewhere, as the dialect of EDN that JSON nearly is. The formats that
//! use this one nest what they have to say in a single object.

use super::bytes::{Bytes, broken};
use super::edn::Edn;
use super::event::SourceError;
use std::io::BufRead;

/// Values nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// A string or a number is never longer than this.
const TOKEN_BYTES_MAX: usize = 1 << 20;

/// A piece of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `{`, `}`, `[`, `]`, `,` or `:`.
    Mark(u8),
    /// A string, a number, `true`, `false` or `null`.
    Scalar(Edn),
    End,
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Token::Mark(mark) => format!("`{}`", char::from(*mark)),
            Token::Scalar(value) => format!("`{value}`"),
            Token::End => "the end of the file".to_owned(),
        }
    }
}

/// Reads tokens.
pub(super) struct Tokens<R> {
    input: Bytes<R>,
    /// Where the last token began.
    start: u64,
}

impl<R: BufRead> Tokens<R> {
    pub(super) fn new(input: Bytes<R>) -> Self {
        Self { input, start: 0 }
    }

    /// Where the last token began.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The next token.
    pub(super) fn token(&mut self) -> Result<Token, SourceError> {
        while self.input.peek()?.is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.input.byte()?;
        }
        self.start = self.input.offset();
        Ok(match self.input.peek()? {
            None => Token::End,
            Some(mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => {
                self.input.byte()?;
                Token::Mark(mark)
            }
            Some(b'"') => Token::Scalar(Edn::Str(self.string()?)),
            Some(_) => Token::Scalar(self.word()?),
        })
    }

    fn string(&mut self) -> Result<String, SourceError> {
        self.input.byte()?;
        let mut raw = vec![b'"'];
        let mut escaped = false;
        loop {
            let Some(byte) = self.input.byte()? else { return broken(self.start, "this string does not end") };
            raw.push(byte);
            if byte == b'"' && !escaped {
                break;
            }
            escaped = byte == b'\\' && !escaped;
            if raw.len() > TOKEN_BYTES_MAX {
                return broken(self.start, format!("a string of more than {TOKEN_BYTES_MAX} bytes"));
            }
        }
        match serde_json::from_slice(&raw) {
            Ok(text) => Ok(text),
            Err(error) => broken(self.start, format!("this string is not one of JSON: {error}")),
        }
    }

    fn word(&mut self) -> Result<Edn, SourceError> {
        let mut word = Vec::new();
        while let Some(byte) = self.input.peek()? {
            if !(byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) || word.len() > TOKEN_BYTES_MAX {
                break;
            }
            word.push(byte);
            self.input.byte()?;
        }
        let word = String::from_utf8_lossy(&word).into_owned();
        Ok(match word.as_str() {
            "null" => Edn::Nil,
            "true" => Edn::Bool(true),
            "false" => Edn::Bool(false),
            _ => match word.parse() {
                Ok(value) => Edn::Int(value),
                Err(_) if word.parse::<f64>().is_ok_and(f64::is_finite) => {
                    let whole = word.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
                    Edn::Number(if whole { format!("{word}N") } else { word })
                }
                Err(_) => return broken(self.start, "this does not begin a value of JSON"),
            },
        })
    }

    /// Takes this mark.
    pub(super) fn expect(&mut self, mark: u8) -> Result<(), SourceError> {
        match self.token()? {
            Token::Mark(found) if found == mark => Ok(()),
            other => {
                let detail = format!("{} where `{}` is expected", other.describe(), char::from(mark));
                broken(self.start, detail)
            }
        }
    }

    /// In a sequence that ends with `close`: whether it goes on. Takes the comma, or the end.
    /// `first`: nothing of it has been read.
    pub(super) fn goes_on(&mut self, close: u8, first: bool) -> Result<bool, SourceError> {
        if first {
            while self.input.peek()?.is_some_and(|byte| byte.is_ascii_whitespace()) {
                self.input.byte()?;
            }
            if self.input.peek()? != Some(close) {
                return Ok(true);
            }
            self.input.byte()?;
            return Ok(false);
        }
        match self.token()? {
            Token::Mark(b',') => Ok(true),
            Token::Mark(found) if found == close => Ok(false),
            other => {
                let detail = format!("{} where `,` or `{}` is expected", other.describe(), char::from(close));
                broken(self.start, detail)
            }
        }
    }

    /// The key of the next pair of an object, with its colon.
    pub(super) fn key(&mut self) -> Result<String, SourceError> {
        match self.token()? {
            Token::Scalar(Edn::Str(key)) => {
                self.expect(b':')?;
                Ok(key)
            }
            other => broken(self.start, format!("{} where the key of an object is expected", other.describe())),
        }
    }

    /// A whole value; keys of objects are strings.
    pub(super) fn value(&mut self) -> Result<Edn, SourceError> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Result<Edn, SourceError> {
        let token = self.token()?;
        let start = self.start;
        if depth > DEPTH_MAX {
            return broken(start, format!("values are nested deeper than {DEPTH_MAX}"));
        }
        let mut first = true;
        Ok(match token {
            Token::Scalar(value) => value,
            Token::Mark(b'[') => {
                let mut items = Vec::new();
                while self.goes_on(b']', std::mem::take(&mut first))? {
                    items.push(self.nested(depth + 1)?);
                }
                Edn::Seq(items)
            }
            Token::Mark(b'{') => {
                let mut pairs = Vec::new();
                while self.goes_on(b'}', std::mem::take(&mut first))? {
                    pairs.push((Edn::Str(self.key()?), self.nested(depth + 1)?));
                }
                Edn::Map(pairs)
            }
            other => return broken(start, format!("{} where a value is expected", other.describe())),
        })
    }
}

/// The value of a key of an object.
pub(super) fn field<'a>(object: &'a Edn, name: &str) -> Option<&'a Edn> {
    let Edn::Map(pairs) = object else { return None };
    pairs.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value)
}

/// The integer that a number, or a string of digits, says.
pub(super) fn integer(value: &Edn) -> Option<i128> {
    match value {
        Edn::Int(value) => Some(i128::from(*value)),
        Edn::Number(text) => text.strip_suffix('N')?.parse().ok(),
        Edn::Str(text) => text.parse().ok(),
        _ => None,
    }
}
