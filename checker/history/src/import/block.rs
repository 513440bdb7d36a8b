//! One block of a text: its records, read one after the other.

use super::edn::Edn;
use super::event::{Kind, Mistake, Process, RawEvent, RawValue};
use super::fast;
use super::reader::{Form, Notation, Reader, SyntaxError};
use super::records::{event_of, event_of_log_line};
use super::shape::{Shape, mops_of};
use super::text::Records;
use crate::calls::FlatMops;
use fissure_checker::Names;
use std::ops::Range;

/// Bytes of a text.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// Nothing follows it.
    pub(crate) last: bool,
}

/// How a block is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) records: Records,
    /// Without one, values are left as they are written.
    pub(crate) shape: Option<Shape>,
    /// The bracket that ends the history.
    pub(crate) close: Option<u8>,
    /// Whether the fast way is tried.
    pub(crate) fast: bool,
}

/// What a record became.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    Event(RawEvent),
    /// An event without its value, which is this range of [`Parsed::flat`].
    Txn(RawEvent, Range<u32>),
    Mistake(Mistake),
}

/// A block that was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) block: Block,
    pub(crate) items: Vec<Item>,
    /// Transactions of the usual form.
    pub(crate) flat: FlatMops,
    /// What the numbers in the calls of the items stand for.
    pub(crate) names: Names,
    /// Bytes of whole records; what follows them needs the next block.
    pub(crate) consumed: usize,
    /// The bracket that ends the history was here.
    pub(crate) closed: bool,
    /// Lines that are no events.
    pub(crate) other_lines: u64,
}

/// Reads the records of a block.
pub(crate) fn parse(block: Block, rules: &Rules) -> Parsed {
    let mut parsed = Parsed {
        items: Vec::with_capacity(block.bytes.len() / 128),
        block,
        flat: FlatMops::default(),
        names: Names::default(),
        consumed: 0,
        closed: false,
        other_lines: 0,
    };
    let bytes = std::mem::take(&mut parsed.block.bytes);
    match rules.records {
        Records::Maps(notation) => parsed.maps(&bytes, notation, rules),
        Records::JepsenLog => parsed.log_lines(&bytes, rules),
    }
    parsed.block.bytes = bytes;
    parsed
}

impl Parsed {
    fn mistake(&mut self, at: usize, detail: impl Into<String>) {
        let offset = self.block.offset + at as u64;
        self.items.push(Item::Mistake(Mistake { offset, detail: detail.into() }));
    }

    fn maps(&mut self, bytes: &[u8], notation: Notation, rules: &Rules) {
        let mut reader = Reader::new(bytes, notation);
        loop {
            let blank = reader.at;
            let start = reader.skip_blank();
            if start == bytes.len() {
                // A comment may go on in the next block.
                let comment = notation == Notation::Edn && bytes[blank..].contains(&b';');
                self.consumed = if comment && !self.block.last { blank } else { start };
                break;
            }
            self.consumed = start;
            if let (Some(shape), true) = (&rules.shape, rules.fast) {
                let base = self.block.offset;
                let read = fast::event((bytes, start, base), notation, shape, &mut self.names, &mut self.flat);
                if let Some((item, end)) = read {
                    self.items.push(item);
                    (reader.at, self.consumed) = (end, end);
                    continue;
                }
            }
            match reader.next() {
                // A token at the end of the block may go on.
                Ok(Form::Value(_)) if reader.at == bytes.len() && !self.block.last && !ends_itself(bytes) => break,
                Ok(Form::Value(value)) => self.value(start, value, rules),
                Ok(Form::Close(found)) => {
                    if Some(found) == rules.close {
                        return self.after_close(bytes, reader);
                    }
                    self.mistake(start, format!("found `{}`, which closes nothing", char::from(found)));
                }
                Ok(Form::End) if self.block.last => {}
                Ok(Form::End) => break,
                Err(error) if error.at_end && !self.block.last => break,
                Err(error) => {
                    let SyntaxError { offset, detail, .. } = error;
                    self.mistake(offset, detail);
                    reader.at = next_line_of_record(bytes, start);
                }
            }
            self.consumed = reader.at;
        }
        if let (Some(close), true) = (rules.close, self.block.last) {
            self.mistake(bytes.len(), format!("the text ends where `{}` is missing", char::from(close)));
        }
    }

    fn value(&mut self, start: usize, value: Edn, rules: &Rules) {
        let offset = self.block.offset + start as u64;
        match event_of(offset, value) {
            Ok(event) => {
                let event = understood(event, rules.shape.as_ref(), &mut self.names);
                self.items.push(Item::Event(event));
            }
            Err(mistake) => self.items.push(Item::Mistake(mistake)),
        }
    }

    /// Nothing but blanks may follow the history.
    fn after_close(&mut self, bytes: &[u8], mut reader: Reader<'_>) {
        self.closed = true;
        let start = reader.skip_blank();
        if start < bytes.len() {
            self.mistake(start, format!("found `{}` after the end of the history", char::from(bytes[start])));
        }
        self.consumed = bytes.len();
    }

    fn log_lines(&mut self, bytes: &[u8], rules: &Rules) {
        let mut start = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") && !self.block.last {
                break;
            }
            let offset = self.block.offset + start as u64;
            match event_of_log_line(offset, line) {
                Ok(Some(event)) => {
                    let event = understood(event, rules.shape.as_ref(), &mut self.names);
                    self.items.push(Item::Event(event));
                }
                Ok(None) => self.other_lines += u64::from(!line.trim_ascii().is_empty()),
                Err(mistake) => self.items.push(Item::Mistake(mistake)),
            }
            start += line.len();
        }
        self.consumed = start;
    }
}

/// Whether the last byte ends a value for certain.
fn ends_itself(bytes: &[u8]) -> bool {
    matches!(bytes.last(), Some(b'}' | b']' | b')' | b'"'))
}

/// The next line after `from` that begins as a record, or the end.
fn next_line_of_record(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        at += end + 1;
        let first = bytes[at..].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b','));
        if matches!(first, Some(b'{' | b'#' | b']' | b')')) {
            return at;
        }
    }
    bytes.len()
}

/// The event with its value understood, where the event alone says enough for it.
fn understood(mut event: RawEvent, shape: Option<&Shape>, names: &mut Names) -> RawEvent {
    let (Some(shape), RawValue::Edn(value)) = (shape, &event.value) else { return event };
    if matches!(event.process, Process::Missing | Process::Nemesis) {
        return event;
    }
    if matches!(event.kind, Kind::Fail | Kind::Info) {
        event.value = RawValue::Edn(Edn::Nil);
        return event;
    }
    let f = event.f.as_ref().map(super::event::Function::name);
    if f.is_some() || mops_of(value.untagged()).is_some() {
        let call = super::values::call(f, value, event.kind == Kind::Ok, shape, names);
        event.value = RawValue::Call(call);
    }
    event
}
