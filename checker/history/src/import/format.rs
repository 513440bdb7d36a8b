//! The formats, and how to tell them.

use super::event::EventSource;
use super::foreign;
use super::input::Input;
use super::reader::Notation;
use super::shape::Shape;
use super::text::{Records, TextSource};
use crate::error::Error;
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// A format of recorded histories, beside our own Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// EDN of Jepsen, Knossos and Elle.
    Edn,
    /// JSON of elle-cli: an array, or one object after the other.
    Json,
    /// The text log of early Jepsen.
    JepsenLog,
    /// Jepsen's file `test.jepsen`, versions 0 and 1.
    Jepsen,
    /// Jepsen's file `test.fressian`.
    Fressian,
    /// One read or write of a register a line: Plume, AWDIT, PolySI, IsoVista.
    Plume,
    /// AWDIT's tests: transactions and sessions between lines.
    Awdit,
    /// A folder of Cobra's logs.
    Cobra,
    /// dbcop's `bincode` of 2019.
    Dbcop,
    /// dbcop's JSON of version 0.2.
    DbcopJson,
    /// Chronos' JSON of transactions with timestamps.
    Chronos,
    /// Porcupine's logs of a key-value store.
    Porcupine,
}

/// A name that is of no format.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{name}` is no format, expected one of: {}", Format::names().join(", "))]
pub struct UnknownFormat {
    /// The name.
    pub name: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let format = Self::ALL.into_iter().find(|format| format.name() == name);
        format.ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 12] = [
        Format::Edn,
        Format::Json,
        Format::JepsenLog,
        Format::Jepsen,
        Format::Fressian,
        Format::Plume,
        Format::Awdit,
        Format::Cobra,
        Format::Dbcop,
        Format::DbcopJson,
        Format::Chronos,
        Format::Porcupine,
    ];

    /// The word for it on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Edn => "edn",
            Format::Json => "json",
            Format::JepsenLog => "jepsen-log",
            Format::Jepsen => "jepsen",
            Format::Fressian => "fressian",
            Format::Plume => "plume",
            Format::Awdit => "awdit",
            Format::Cobra => "cobra",
            Format::Dbcop => "dbcop",
            Format::DbcopJson => "dbcop-json",
            Format::Chronos => "chronos",
            Format::Porcupine => "porcupine-kv",
        }
    }

    /// The words for all formats.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.into_iter().map(Format::name).collect()
    }

    /// The format of a file, from its first bytes and its name.
    pub(crate) fn detect(path: &Path, head: &[u8]) -> Option<Self> {
        if let Some(format) = foreign::detect(path, head) {
            return Some(format);
        }
        let compressed = path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
        let path = if compressed { path.with_extension("") } else { path.to_owned() };
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension {
            "json" | "jsonl" | "ndjson" => return Some(Format::Json),
            "edn" => return Some(Format::Edn),
            _ => {}
        }
        let begin = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        if begin.starts_with(b"INFO") {
            return Some(Format::JepsenLog);
        }
        let blank = |byte: &u8| !matches!(byte, b'[' | b'(' | b' ' | b'\n' | b'\r' | b'\t');
        let inner = &begin[begin.iter().position(blank)?..];
        if inner.starts_with(b"{") && inner[1..].trim_ascii_start().starts_with(b"\"") {
            return Some(Format::Json);
        }
        let edn = inner.starts_with(b"{") || inner.starts_with(b"#jepsen") || inner.starts_with(b";");
        edn.then_some(Format::Edn)
    }

    /// Whether its values are as somebody wrote them, so that the whole must be known to understand one.
    pub(crate) fn is_written(self) -> bool {
        match self {
            Format::Edn | Format::Json | Format::JepsenLog | Format::Jepsen | Format::Fressian => true,
            Format::Plume
            | Format::Awdit
            | Format::Cobra
            | Format::Dbcop
            | Format::DbcopJson
            | Format::Chronos
            | Format::Porcupine => false,
        }
    }

    /// The events of a file. Without a `shape`, values are left as they are written.
    pub(crate) fn open(self, input: &Input, shape: Option<Shape>) -> Result<Box<dyn EventSource>, Error> {
        let text = |records| TextSource::open(input, records, shape);
        if let Some(source) = foreign::open(self, input)? {
            return Ok(source);
        }
        Ok(match self {
            Format::Edn => Box::new(text(Records::Maps(Notation::Edn))?),
            Format::Json => Box::new(text(Records::Maps(Notation::Json))?),
            _ => Box::new(text(Records::JepsenLog)?),
        })
    }
}
