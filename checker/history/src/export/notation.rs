//! Values in EDN or in JSON, from the same calls.

use super::{ExportError, ExportFormat};
use crate::import::edn::Edn;
use crate::import::reader::{Form, Notation as Grammar, Reader};
use fissure_checker::Names;
use rustc_hash::FxHashMap;
use std::fmt::Write;

/// Which of the two is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Edn,
    Json,
}

/// Writes values into a line.
pub(super) struct ValueWriter<'a> {
    pub(super) line: String,
    pub(super) notation: Notation,
    names: &'a Names,
}

impl<'a> ValueWriter<'a> {
    pub(super) fn new(notation: Notation, names: &'a Names) -> Self {
        Self { line: String::new(), notation, names }
    }

    /// A word of the format itself: a keyword, in JSON a string.
    pub(super) fn word(&mut self, word: &str) {
        match self.notation {
            // What is no keyword is a string, which importers take as the same name.
            Notation::Edn if is_keyword(word) => {
                self.line.push(':');
                self.line.push_str(word);
            }
            _ => self.text(word),
        }
    }

    /// A string.
    pub(super) fn text(&mut self, text: &str) {
        match self.notation {
            Notation::Edn => push(&mut self.line, Edn::Str(text.to_owned())),
            Notation::Json => push(&mut self.line, serde_json::Value::from(text)),
        }
    }

    pub(super) fn nil(&mut self) {
        self.line.push_str(if self.notation == Notation::Edn { "nil" } else { "null" });
    }

    /// An integer that stands for nothing else.
    pub(super) fn integer(&mut self, value: i128) {
        push(&mut self.line, value);
    }

    /// What an integer of the history stands for.
    pub(super) fn number(&mut self, number: i64) {
        match (self.names.text(number), self.notation) {
            (None, _) => push(&mut self.line, number),
            (Some(text), Notation::Edn) => self.line.push_str(text),
            (Some(text), Notation::Json) => self.line.push_str(&json_of_name(text)),
        }
    }

    /// The same, or nil.
    pub(super) fn maybe(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.number(number),
            None => self.nil(),
        }
    }

    /// The key of a map: strings in JSON.
    fn key(&mut self, number: i64) {
        if self.notation == Notation::Edn {
            return self.number(number);
        }
        let start = self.line.len();
        self.number(number);
        if !self.line[start..].starts_with('"') {
            self.line.insert(start, '"');
            self.line.push('"');
        }
    }

    fn separate(&mut self) {
        self.line.push(if self.notation == Notation::Edn { ' ' } else { ',' });
    }

    /// A sequence.
    pub(super) fn sequence<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Self, T)) {
        self.line.push('[');
        self.items(items, item);
        self.line.push(']');
    }

    /// A set; in JSON a sequence.
    pub(super) fn set<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Self, T)) {
        if self.notation == Notation::Json {
            return self.sequence(items, item);
        }
        self.line.push_str("#{");
        self.items(items, item);
        self.line.push('}');
    }

    fn items<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Self, T)) {
        for (index, one) in items.into_iter().enumerate() {
            if index > 0 {
                self.separate();
            }
            item(self, one);
        }
    }

    /// A map from integers of the history.
    pub(super) fn map<T>(&mut self, pairs: impl IntoIterator<Item = (i64, T)>, value: impl Fn(&mut Self, T)) {
        self.line.push('{');
        self.items(pairs, |writer, (key, one)| {
            writer.key(key);
            writer.line.push(if writer.notation == Notation::Edn { ' ' } else { ':' });
            value(writer, one);
        });
        self.line.push('}');
    }

    /// A pair of a map of the format itself. `first`: no pair stands before it.
    pub(super) fn field(&mut self, first: bool, name: &str, value: impl FnOnce(&mut Self)) {
        match (self.notation, first) {
            (_, true) => {}
            (Notation::Edn, _) => self.line.push_str(", "),
            (Notation::Json, _) => self.line.push(','),
        }
        self.word(name);
        self.line.push(if self.notation == Notation::Edn { ' ' } else { ':' });
        value(self);
    }

    /// A value that is EDN already.
    pub(super) fn edn(&mut self, text: &str) {
        match self.notation {
            Notation::Edn => self.line.push_str(text),
            Notation::Json => {
                let value = parse(text).unwrap_or_else(|| Edn::Str(text.to_owned()));
                self.json(&value);
            }
        }
    }

    fn json(&mut self, value: &Edn) {
        match value {
            Edn::Nil => self.nil(),
            Edn::Bool(value) => push(&mut self.line, value),
            Edn::Int(value) => push(&mut self.line, value),
            Edn::Seq(items) | Edn::Set(items) => self.sequence(items, |writer, item| writer.json(item)),
            Edn::Entry(pair) => self.sequence([&pair.0, &pair.1], |writer, item| writer.json(item)),
            Edn::Map(pairs) => {
                self.line.push('{');
                self.items(pairs, |writer, (key, value)| {
                    let name = key.name().map_or_else(|| key.to_string(), str::to_owned);
                    writer.text(&name);
                    writer.line.push(':');
                    writer.json(value);
                });
                self.line.push('}');
            }
            Edn::Tagged(_, inner) => self.json(inner),
            other => match other.name() {
                Some(name) => self.text(name),
                None => self.line.push_str(&json_of_name(&other.to_string())),
            },
        }
    }
}

fn push(line: &mut String, value: impl std::fmt::Display) {
    // Writing into a string does not fail.
    let _ = write!(line, "{value}");
}

/// The only value of a text.
pub(super) fn parse(text: &str) -> Option<Edn> {
    let mut reader = Reader::new(text.as_bytes(), Grammar::Edn);
    match (reader.next(), reader.next()) {
        (Ok(Form::Value(value)), Ok(Form::End)) => Some(value),
        _ => None,
    }
}

/// Whether a word can stand behind a colon.
fn is_keyword(word: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*+!?/<>=$&%'".contains(&byte);
    word.bytes().all(inner)
        && word.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && !word.ends_with('/')
}

/// A name in JSON: a string of EDN is one of JSON, and so are most numbers; everything else becomes a string of its
/// text.
fn json_of_name(text: &str) -> String {
    if text.starts_with('"') {
        return text.to_owned();
    }
    let number = text.strip_suffix('N').unwrap_or(text);
    if serde_json::from_str::<serde_json::Number>(number).is_ok() {
        return number.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// That no two names become the same string.
pub(super) fn check_names(names: &Names) -> Result<(), ExportError> {
    let mut seen: FxHashMap<String, &str> = FxHashMap::default();
    for (_, text) in names.iter() {
        if let Some(first) = seen.insert(json_of_name(text), text) {
            let (first, second) = (first.to_owned(), text.to_owned());
            return Err(ExportError::NameClash { first, second, format: ExportFormat::JsonLines });
        }
    }
    Ok(())
}
