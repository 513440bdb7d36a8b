//! Values of EDN and of JSON.
//!
//! Invariant: what [`Edn`] prints is EDN that the reader takes for the same value again, except that a map entry is
//! read as a vector of two.

use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edn {
    Nil,
    Bool(bool),
    Int(i64),
    /// A number that is no 64-bit integer, as EDN writes it: `1/2`, `1.5`, `99999999999999999999N`, `##NaN`.
    Number(String),
    Char(char),
    Str(String),
    /// Without its colon.
    Keyword(String),
    Symbol(String),
    /// A vector or a list.
    Seq(Vec<Edn>),
    Set(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
    /// An independent tuple that is known to be one, as binary formats tell it.
    Entry(Box<(Edn, Edn)>),
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
        let mut value = self;
        while let Edn::Tagged(_, inner) = value {
            value = inner;
        }
        value
    }

    /// The items of a vector, a list or a set.
    pub(crate) fn items(&self) -> Option<&[Edn]> {
        match self.untagged() {
            Edn::Seq(items) | Edn::Set(items) => Some(items),
            _ => None,
        }
    }

    /// EDN text that is the same for equal values: sets and maps are in the order of their texts.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Edn::Seq(items) => format!("[{}]", joined(items.iter().map(Edn::canonical))),
            Edn::Set(items) => {
                let mut texts: Vec<String> = items.iter().map(Edn::canonical).collect();
                texts.sort_unstable();
                format!("#{{{}}}", joined(texts.into_iter()))
            }
            Edn::Map(pairs) => {
                let pair = |(key, value): &(Edn, Edn)| format!("{} {}", key.canonical(), value.canonical());
                let mut texts: Vec<String> = pairs.iter().map(pair).collect();
                texts.sort_unstable();
                format!("{{{}}}", joined(texts.into_iter()))
            }
            Edn::Entry(pair) => format!("[{} {}]", pair.0.canonical(), pair.1.canonical()),
            Edn::Tagged(tag, value) => format!("#{tag} {}", value.canonical()),
            scalar => scalar.to_string(),
        }
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut all = String::new();
    for text in texts {
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(&text);
    }
    all
}

/// Writes items between brackets, with spaces between them.
fn write_all<T>(
    f: &mut fmt::Formatter<'_>,
    (open, close): (&str, &str),
    items: &[T],
    show: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        show(item, f)?;
    }
    f.write_str(close)
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write;
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if u32::from(c) < 0x20 || c == '\u{7f}' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_str("\"")
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\newline"),
        '\r' => f.write_str("\\return"),
        '\t' => f.write_str("\\tab"),
        ' ' => f.write_str("\\space"),
        c if c.is_control() || c.is_whitespace() => write!(f, "\\u{:04x}", u32::from(c)),
        c => write!(f, "\\{c}"),
    }
}

impl fmt::Display for Edn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edn::Nil => f.write_str("nil"),
            Edn::Bool(value) => write!(f, "{value}"),
            Edn::Int(value) => write!(f, "{value}"),
            Edn::Number(value) | Edn::Symbol(value) => f.write_str(value),
            Edn::Char(value) => write_char(f, *value),
            Edn::Str(value) => write_string(f, value),
            Edn::Keyword(value) => write!(f, ":{value}"),
            Edn::Seq(items) => write_all(f, ("[", "]"), items, |item, f| write!(f, "{item}")),
            Edn::Set(items) => write_all(f, ("#{", "}"), items, |item, f| write!(f, "{item}")),
            Edn::Map(items) => write_all(f, ("{", "}"), items, |(key, value), f| write!(f, "{key} {value}")),
            Edn::Entry(pair) => write!(f, "[{} {}]", pair.0, pair.1),
            Edn::Tagged(tag, value) => write!(f, "#{tag} {value}"),
        }
    }
}
