//! Chronos' JSON: an array of transactions with the database's own timestamps.
//!
//! ```text
//! [{"tid": 1, "sid": 7, "sts": {"p": 10, "l": 0}, "cts": {"p": 12, "l": 0},
//!   "ops": [{"t": "r", "k": 1, "v": 0}, {"t": "w", "k": 1, "v": 5}, {"t": "a", "k": 2, "v": 6}]}, …]
//! ```
//!
//! A read with a list of values, or of a history with appends, is one of a list. Sessions become processes; the order
//! within a session is that of the file. The timestamps are those of the database, not of a clock that all share: they
//! order nothing here, and are left out. A read of 0 is a read of the initial state, unless somebody writes 0 to the key.

use super::bytes::{Bytes, mistake};
use super::edn::Edn;
use super::event::{Character, EventSource, Kind, RawEvent, SourceError};
use super::json_tokens::{Token, Tokens, field, integer};
use super::sessions::{Session, Sessions, Transaction, ZeroKeys, character, number};
use fissure_checker::{Mop, Names};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

/// What must be known of the whole file before the first operation can be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    zeros: ZeroKeys,
    /// There are appends: a read without a list read an empty one.
    lists: bool,
}

/// Reads the whole file for its shape. Mistakes end it early: the reader will meet them, too.
pub(super) fn shape<R: BufRead>(bytes: R, path: &Path) -> Result<Shape, SourceError> {
    let mut transactions = Transactions::new(bytes, path);
    let mut shape = Shape::default();
    loop {
        match transactions.next() {
            Ok(Some(value)) => {
                let Some(Edn::Seq(ops)) = field(&value, "ops") else { continue };
                for op in ops {
                    let kind = field(op, "t").and_then(Edn::name).and_then(Access::from_name);
                    let read = |name| field(op, name).and_then(integer);
                    match (kind, read("k"), read("v")) {
                        (Some(Access::Write), Some(key), Some(value)) => shape.zeros.note(key, value),
                        (Some(Access::Append), ..) => shape.lists = true,
                        _ => {}
                    }
                }
            }
            Ok(None) | Err(SourceError::Mistake(_) | SourceError::Broken(_)) => return Ok(shape),
            Err(file) => return Err(file),
        }
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Append,
}

impl Access {
    fn from_name(name: &str) -> Option<Self> {
        let named = |short: &str, long: &str| name.eq_ignore_ascii_case(short) || name.eq_ignore_ascii_case(long);
        let kinds = [("r", "read", Access::Read), ("w", "write", Access::Write), ("a", "append", Access::Append)];
        kinds.into_iter().find(|(short, long, _)| named(short, long)).map(|(_, _, kind)| kind)
    }
}

/// The elements of the array.
struct Transactions<R> {
    tokens: Tokens<R>,
    started: bool,
    first: bool,
}

impl<R: BufRead> Transactions<R> {
    fn new(bytes: R, path: &Path) -> Self {
        Self { tokens: Tokens::new(Bytes::new(bytes, path)), started: false, first: true }
    }

    fn next(&mut self) -> Result<Option<Edn>, SourceError> {
        if !std::mem::replace(&mut self.started, true) {
            self.tokens.expect(b'[')?;
        }
        if self.tokens.goes_on(b']', std::mem::take(&mut self.first))? {
            return self.tokens.value().map(Some);
        }
        match self.tokens.token()? {
            Token::End => Ok(None),
            _ => super::bytes::broken(self.tokens.start(), "something after the end of the history"),
        }
    }
}

/// Reads a file.
pub(super) struct Chronos<R> {
    transactions: Transactions<R>,
    shape: Shape,
    sessions: Sessions,
    ended: bool,
}

impl<R: BufRead> Chronos<R> {
    /// Reads a file of this shape.
    pub(super) fn new(bytes: R, path: &Path, shape: Shape) -> Self {
        let transactions = Transactions::new(bytes, path);
        Self { transactions, shape, sessions: Sessions::default(), ended: false }
    }

    fn mop(&self, op: &Edn, names: &mut Names) -> Option<Mop> {
        let raw_key = integer(field(op, "k")?)?;
        let key = number(raw_key, names);
        let value = field(op, "v").unwrap_or(&Edn::Nil);
        Some(match (Access::from_name(field(op, "t")?.name()?)?, value) {
            (Access::Write, value) => Mop::Write { key, value: number(integer(value)?, names) },
            (Access::Append, value) => Mop::Append { key, value: number(integer(value)?, names) },
            (Access::Read, Edn::Seq(items)) => {
                let items = items.iter().map(|item| Some(number(integer(item)?, names)));
                Mop::ReadList { key, list: Some(items.collect::<Option<_>>()?) }
            }
            (Access::Read, Edn::Nil) if self.shape.lists => Mop::ReadList { key, list: Some(Vec::new()) },
            (Access::Read, Edn::Nil) => Mop::Read { key, value: Some(None) },
            (Access::Read, value) => {
                Mop::Read { key, value: Some(self.shape.zeros.seen(raw_key, integer(value)?, names)) }
            }
        })
    }

    fn take(&mut self, value: &Edn, offset: u64, names: &mut Names) -> Result<(), SourceError> {
        let session = match field(value, "sid") {
            Some(Edn::Str(name)) if integer(&Edn::Str(name.clone())).is_none() => Session::Name(Arc::from(&**name)),
            Some(sid) => match integer(sid) {
                Some(number) => Session::new(number),
                None => return mistake(offset, format!("the transaction that ends here has the session `{sid}`")),
            },
            None => return mistake(offset, "the transaction that ends here has no session (`sid`)"),
        };
        let Some(Edn::Seq(ops)) = field(value, "ops") else {
            return mistake(offset, "the transaction that ends here has no array of operations (`ops`)");
        };
        let mut mops = Vec::with_capacity(ops.len());
        for op in ops {
            match self.mop(op, names) {
                Some(mop) => mops.push(mop),
                None => {
                    let detail = format!("`{op}` in the transaction that ends here is not a read, write or append");
                    return mistake(offset, detail);
                }
            }
        }
        self.sessions.push(session, Transaction { offset, mops, end: Kind::Ok });
        Ok(())
    }
}

impl<R: BufRead> EventSource for Chronos<R> {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        loop {
            if let Some(event) = self.sessions.next() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.transactions.next()? {
                Some(value) => self.take(&value, self.transactions.tokens.start(), names)?,
                None => {
                    self.sessions.finish();
                    self.ended = true;
                }
            }
        }
    }

    fn character(&self) -> Character {
        let mut notes = vec!["timestamps of the database are left out: they are no order in real time".to_owned()];
        if !self.shape.lists {
            notes.extend(self.shape.zeros.notes());
        }
        character(false, notes)
    }
}
