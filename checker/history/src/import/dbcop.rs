//! dbcop's histories: `bincode` of 2019, which PolySI, VeriStrong and AWDIT read as well, and JSON of version 0.2.
//!
//! Binary, integers of 64 bits, the least significant byte first:
//!
//! ```text
//! 5 parameters; 3 strings (length, bytes); sessions: how many, then for each
//!   transactions: how many, then for each
//!     events: how many, then for each   write:u8 key value success:u8
//!     success:u8
//! ```
//!
//! JSON: `{"data": [[{"events": [{"Write": {"variable": 1, "version": 2}}, {"Read": …}], "committed": true}]]}`, an event
//! also as `["w", 1, 2]`; the version of a read is null where nothing was written.
//!
//! Sessions become processes 0, 1, 2 …; a transaction without success is `fail`. An event without success did nothing
//! and is left out. A read of 0 is a read of the initial state, unless somebody writes 0 to the key.

use super::bytes::{Bytes, broken};
use super::edn::Edn;
use super::event::{Character, EventSource, Kind, RawEvent, SourceError};
use super::json_tokens::{Tokens, field, integer};
use super::sessions::{Session, Sessions, Transaction, ZeroKeys, character, number};
use fissure_checker::{Mop, Names};
use std::io::BufRead;
use std::path::Path;

/// A name, a time or a text in the head is never longer than this.
const HEAD_STRING_BYTES_MAX: u64 = 1 << 20;

/// More sessions than this are no history of dbcop.
const SESSIONS_MAX: u64 = 1 << 24;

/// A read or write as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    write: bool,
    key: i128,
    /// `None`: nothing was written before.
    value: Option<i128>,
}

/// A transaction as written.
struct Written {
    offset: u64,
    session: i64,
    events: Vec<Event>,
    committed: bool,
}

/// Gives the transactions of one notation.
trait Notation {
    /// The next transaction; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Written>, SourceError>;

    /// Events without success so far.
    fn failed_events(&self) -> u64;

    /// Whether places are bytes, not lines.
    const BINARY: bool;
}

/// Reads a file.
struct Dbcop<N> {
    notation: N,
    zeros: ZeroKeys,
    sessions: Sessions,
    ended: bool,
}

/// A source of binary histories in which `zeros` were found.
pub(super) fn binary<R: BufRead>(bytes: R, path: &Path, zeros: ZeroKeys) -> impl EventSource + use<R> {
    Dbcop { notation: Binary::new(bytes, path), zeros, sessions: Sessions::default(), ended: false }
}

/// A source of histories in JSON in which `zeros` were found.
pub(super) fn json<R: BufRead>(bytes: R, path: &Path, zeros: ZeroKeys) -> impl EventSource + use<R> {
    Dbcop { notation: Json::new(bytes, path), zeros, sessions: Sessions::default(), ended: false }
}

/// The keys to which 0 is written in a binary history.
pub(super) fn zero_keys_binary<R: BufRead>(bytes: R, path: &Path) -> Result<ZeroKeys, SourceError> {
    zero_keys(Binary::new(bytes, path))
}

/// The keys to which 0 is written in a history in JSON.
pub(super) fn zero_keys_json<R: BufRead>(bytes: R, path: &Path) -> Result<ZeroKeys, SourceError> {
    zero_keys(Json::new(bytes, path))
}

/// Mistakes end it early: the reader will meet them, too.
fn zero_keys(mut notation: impl Notation) -> Result<ZeroKeys, SourceError> {
    let mut zeros = ZeroKeys::default();
    loop {
        match notation.next() {
            Ok(Some(Written { committed: false, .. })) => {}
            Ok(Some(Written { events, .. })) => {
                for event in events.iter().filter(|event| event.write) {
                    zeros.note(event.key, event.value.unwrap_or(1));
                }
            }
            Ok(None) | Err(SourceError::Mistake(_) | SourceError::Broken(_)) => return Ok(zeros),
            Err(file) => return Err(file),
        }
    }
}

impl<N: Notation> EventSource for Dbcop<N> {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        loop {
            if let Some(event) = self.sessions.next() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(written) = self.notation.next()? else {
                self.sessions.finish();
                self.ended = true;
                continue;
            };
            let mops = written.events.iter().map(|event| {
                let key = number(event.key, names);
                match event.value {
                    Some(value) if event.write => Mop::Write { key, value: number(value, names) },
                    Some(value) => Mop::Read { key, value: Some(self.zeros.seen(event.key, value, names)) },
                    None => Mop::Read { key, value: Some(None) },
                }
            });
            let end = if written.committed { Kind::Ok } else { Kind::Fail };
            let transaction = Transaction { offset: written.offset, mops: mops.collect(), end };
            self.sessions.push(Session::Number(written.session), transaction);
        }
    }

    fn character(&self) -> Character {
        let mut notes = self.zeros.notes();
        match self.notation.failed_events() {
            0 => {}
            failed => notes.push(format!("{failed} events without success were left out of their transactions")),
        }
        character(N::BINARY, notes)
    }
}

/// Whether the bytes begin like a binary history: small parameters, strings of text, some sessions.
pub(super) fn looks_binary(begin: &[u8]) -> bool {
    let mut input = Binary::new(begin, Path::new(""));
    let small = |bytes: &[u8]| bytes.chunks(8).all(|number| number[4..].iter().all(|byte| *byte == 0));
    begin.len() >= 72 && small(&begin[..48]) && input.head().is_ok() && (1..SESSIONS_MAX).contains(&input.sessions_left)
}

/// The binary notation.
struct Binary<R> {
    input: Bytes<R>,
    in_head: bool,
    sessions_left: u64,
    transactions_left: u64,
    session: i64,
    failed_events: u64,
}

impl<R: BufRead> Binary<R> {
    fn new(bytes: R, path: &Path) -> Self {
        let input = Bytes::new(bytes, path);
        Self { input, in_head: true, sessions_left: 0, transactions_left: 0, session: -1, failed_events: 0 }
    }

    fn number(&mut self, what: &str) -> Result<u64, SourceError> {
        Ok(u64::from_le_bytes(self.input.array(what)?))
    }

    fn flag(&mut self, what: &str) -> Result<bool, SourceError> {
        let offset = self.input.offset();
        match self.input.array(what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => broken(offset, format!("{other} where 0 or 1 is expected: {what}")),
        }
    }

    fn head(&mut self) -> Result<(), SourceError> {
        for _ in 0..5 {
            self.number("the parameters")?;
        }
        for what in ["the description", "the time of the start", "the time of the end"] {
            let offset = self.input.offset();
            let length = self.number(what)?;
            if length > HEAD_STRING_BYTES_MAX {
                return broken(offset, format!("{what} of {length} bytes: this is not a history of dbcop"));
            }
            self.input.skip(length, what)?;
        }
        self.sessions_left = self.number("the number of sessions")?;
        self.in_head = false;
        Ok(())
    }
}

impl<R: BufRead> Notation for Binary<R> {
    const BINARY: bool = true;

    fn next(&mut self) -> Result<Option<Written>, SourceError> {
        if self.in_head {
            self.head()?;
        }
        while self.transactions_left == 0 {
            if self.sessions_left == 0 {
                let offset = self.input.offset();
                return match self.input.peek()? {
                    None => Ok(None),
                    Some(_) => broken(offset, "bytes after the last session"),
                };
            }
            self.sessions_left -= 1;
            self.session += 1;
            self.transactions_left = self.number("a session")?;
        }
        self.transactions_left -= 1;
        let offset = self.input.offset();
        let mut events = Vec::new();
        for _ in 0..self.number("a transaction")? {
            let write = self.flag("an event")?;
            let (key, value) = (self.number("an event")?, self.number("an event")?);
            if self.flag("an event")? {
                events.push(Event { write, key: i128::from(key), value: Some(i128::from(value)) });
            } else {
                self.failed_events += 1;
            }
        }
        let committed = self.flag("a transaction")?;
        Ok(Some(Written { offset, session: self.session, events, committed }))
    }

    fn failed_events(&self) -> u64 {
        self.failed_events
    }
}

/// Where the reading of JSON stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the object.
    Start,
    /// In the object, before a pair.
    Object {
        first: bool,
    },
    /// In `data`, before a session.
    Data {
        first: bool,
    },
    /// In a session, before a transaction.
    Session {
        first: bool,
    },
    End,
}

/// The notation in JSON.
struct Json<R> {
    tokens: Tokens<R>,
    place: Place,
    session: i64,
}

impl<R: BufRead> Json<R> {
    fn new(bytes: R, path: &Path) -> Self {
        Self { tokens: Tokens::new(Bytes::new(bytes, path)), place: Place::Start, session: -1 }
    }
}

impl<R: BufRead> Notation for Json<R> {
    const BINARY: bool = false;

    fn next(&mut self) -> Result<Option<Written>, SourceError> {
        loop {
            self.place = match self.place {
                Place::Start => {
                    self.tokens.expect(b'{')?;
                    Place::Object { first: true }
                }
                Place::Object { first } if self.tokens.goes_on(b'}', first)? => {
                    if self.tokens.key()? == "data" {
                        self.tokens.expect(b'[')?;
                        Place::Data { first: true }
                    } else {
                        self.tokens.value()?;
                        Place::Object { first: false }
                    }
                }
                Place::Object { .. } => Place::End,
                Place::Data { first } if self.tokens.goes_on(b']', first)? => {
                    self.tokens.expect(b'[')?;
                    self.session += 1;
                    Place::Session { first: true }
                }
                Place::Data { .. } => Place::Object { first: false },
                Place::Session { first } => {
                    if self.tokens.goes_on(b']', first)? {
                        self.place = Place::Session { first: false };
                        let value = self.tokens.value()?;
                        return written(self.tokens.start(), self.session, &value).map(Some);
                    }
                    Place::Data { first: false }
                }
                Place::End => return Ok(None),
            };
        }
    }

    fn failed_events(&self) -> u64 {
        0
    }
}

fn written(offset: u64, session: i64, value: &Edn) -> Result<Written, SourceError> {
    let events = match field(value, "events") {
        Some(Edn::Seq(events)) => events.iter().map(event).collect::<Option<Vec<Event>>>(),
        _ => None,
    };
    match (events, field(value, "committed")) {
        (Some(events), Some(Edn::Bool(committed))) => Ok(Written { offset, session, events, committed: *committed }),
        _ => super::bytes::mistake(
            offset,
            "a transaction ends here that is not understood: expected {\"events\": [{\"Read\": {\"variable\": k, \
             \"version\": v}}, …], \"committed\": true}",
        ),
    }
}

fn event(value: &Edn) -> Option<Event> {
    let (write, key, value) = match value {
        Edn::Map(pairs) => {
            let [(kind, fields)] = pairs.as_slice() else { return None };
            let write = match kind.name()? {
                "Write" => true,
                "Read" => false,
                _ => return None,
            };
            (write, field(fields, "variable")?, field(fields, "version")?)
        }
        Edn::Seq(parts) => {
            let [kind, key, value] = parts.as_slice() else { return None };
            let write = match kind.name()? {
                "w" => true,
                "r" => false,
                _ => return None,
            };
            (write, key, value)
        }
        _ => return None,
    };
    let value = match value {
        Edn::Nil if !write => None,
        other => Some(integer(other)?),
    };
    Some(Event { write, key: integer(key)?, value })
}
