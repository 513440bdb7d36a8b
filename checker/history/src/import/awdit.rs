//! AWDIT's text for tests: reads and writes of registers, transactions and sessions between lines.
//!
//! ```text
//! w 0 1        write 1 to key 0
//! -----        the next transaction
//! r 0 1        read 1 from key 0
//! =====        the next session
//! ```
//!
//! There is no initial state here: a transaction that writes it belongs to the file. Sessions become processes 0, 1, 2 …
//! in the order of the file.

use super::bytes::{Bytes, Fields};
use super::event::{Character, EventSource, Kind, RawEvent, SourceError};
use super::sessions::{Session, Sessions, Transaction, character, number};
use fissure_checker::{Mop, Names};
use std::io::BufRead;
use std::path::Path;

/// What a line says.
enum Line {
    Mop(u64, Mop),
    NextTransaction,
    NextSession,
}

fn line_of(buffer: &[u8], start: u64, names: &mut Names) -> Result<Line, SourceError> {
    let mut fields = Fields::new(buffer, start);
    let offset = fields.offset();
    let line = match fields.one_of(b"rw-=", "`r`, `w`, `---` or `===`")? {
        b'r' => {
            let key = number(fields.integer("a key")?, names);
            Line::Mop(offset, Mop::Read { key, value: Some(Some(number(fields.integer("a value")?, names))) })
        }
        b'w' => {
            let key = number(fields.integer("a key")?, names);
            Line::Mop(offset, Mop::Write { key, value: number(fields.integer("a value")?, names) })
        }
        separator => {
            while !fields.at_end() {
                fields.one_of(&[separator], "the rest of this line of separators")?;
            }
            if separator == b'-' { Line::NextTransaction } else { Line::NextSession }
        }
    };
    if fields.at_end() { Ok(line) } else { fields.expected("the end of the line") }
}

/// Whether a text begins like one of these.
pub(super) fn looks_like(begin: &[u8]) -> bool {
    let first = begin.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    first.is_some_and(|line| matches!(line_of(line, 0, &mut Names::default()), Ok(Line::Mop(..))))
}

/// Reads a file.
pub(super) struct Awdit<R> {
    input: Bytes<R>,
    buffer: Vec<u8>,
    session: i64,
    current: Option<Transaction>,
    sessions: Sessions,
    ended: bool,
}

impl<R: BufRead> Awdit<R> {
    pub(super) fn new(bytes: R, path: &Path) -> Self {
        let input = Bytes::new(bytes, path);
        Self { input, buffer: Vec::new(), session: 0, current: None, sessions: Sessions::default(), ended: false }
    }

    fn end_transaction(&mut self) {
        if let Some(transaction) = self.current.take() {
            self.sessions.push(Session::Number(self.session), transaction);
        }
    }
}

impl<R: BufRead> EventSource for Awdit<R> {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        loop {
            if let Some(event) = self.sessions.next() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(start) = self.input.line(&mut self.buffer)? else {
                self.end_transaction();
                self.sessions.finish();
                self.ended = true;
                continue;
            };
            if self.buffer.trim_ascii().is_empty() {
                continue;
            }
            match line_of(&self.buffer, start, names)? {
                Line::Mop(offset, mop) => {
                    let new = || Transaction { offset, mops: Vec::new(), end: Kind::Ok };
                    self.current.get_or_insert_with(new).mops.push(mop);
                }
                Line::NextTransaction => self.end_transaction(),
                Line::NextSession => {
                    self.end_transaction();
                    self.session += 1;
                }
            }
        }
    }

    fn character(&self) -> Character {
        character(false, Vec::new())
    }
}
