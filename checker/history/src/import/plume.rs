//! The text of Plume, AWDIT (`plume`), PolySI (`TEXT`) and IsoVista: one read or write of a register in a line.
//!
//! ```text
//! w(0,1,1,1)      write 1 to key 0 in session 1, transaction 1
//! r(0,1,2,3)      read 1 from key 0 in session 2, transaction 3
//! w(0,2,2,-1)     a write of session 2 that was aborted
//! ```
//!
//! The lines of a transaction are in its order; the transactions of a session in the order in which they come first;
//! sessions may alternate. Numbers of transactions are global. A transaction has ended where the next one of its session
//! begins, so that memory is one transaction for each session.
//!
//! Lines of number -1 that follow each other in a session are one aborted transaction: their writes count as aborted
//! writes, and what they read is nobody's evidence.

use super::bytes::{Bytes, Fields, mistake};
use super::event::{Character, EventSource, Kind, RawEvent, SourceError};
use super::sessions::{Session, Sessions, Transaction, ZeroKeys, character, number};
use fissure_checker::{Mop, Names};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// Number of every aborted transaction.
const ABORTED: i128 = -1;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    offset: u64,
    write: bool,
    key: i128,
    value: i128,
    session: i128,
    transaction: i128,
}

/// The next line; `None` at the end of the file.
fn next_line<R: BufRead>(input: &mut Bytes<R>, buffer: &mut Vec<u8>) -> Result<Option<Line>, SourceError> {
    while let Some(start) = input.line(buffer)? {
        let mut fields = Fields::new(buffer, start);
        if fields.at_end() {
            continue;
        }
        let offset = fields.offset();
        let write = fields.one_of(b"rw", "`r` or `w`")? == b'w';
        fields.one_of(b"(", "`(`")?;
        let key = fields.integer("a key")?;
        fields.one_of(b",", "`,`")?;
        let value = fields.integer("a value")?;
        fields.one_of(b",", "`,`")?;
        let session = fields.integer("the number of a session")?;
        fields.one_of(b",", "`,`")?;
        let transaction = fields.integer("the number of a transaction")?;
        fields.one_of(b")", "`)`")?;
        if !fields.at_end() {
            return fields.expected("the end of the line");
        }
        return Ok(Some(Line { offset, write, key, value, session, transaction }));
    }
    Ok(None)
}

/// Whether a text begins like one of these.
pub(super) fn looks_like(begin: &[u8]) -> bool {
    let mut buffer = Vec::new();
    matches!(next_line(&mut Bytes::new(begin, Path::new("")), &mut buffer), Ok(Some(_)))
}

/// The keys to which 0 is written. Reads the whole file; lines that are wrong are left to the reader.
pub(super) fn zero_keys<R: BufRead>(bytes: R, path: &Path) -> Result<ZeroKeys, SourceError> {
    let (mut zeros, mut input, mut buffer) = (ZeroKeys::default(), Bytes::new(bytes, path), Vec::new());
    loop {
        match next_line(&mut input, &mut buffer) {
            Ok(Some(line)) if line.write && line.transaction != ABORTED => zeros.note(line.key, line.value),
            Ok(Some(_)) | Err(SourceError::Mistake(_)) => {}
            Ok(None) => return Ok(zeros),
            Err(other) => return Err(other),
        }
    }
}

/// The transaction of a session that is being read.
struct Current {
    number: i128,
    transaction: Transaction,
}

/// Reads a file.
pub(super) struct Plume<R> {
    input: Bytes<R>,
    buffer: Vec<u8>,
    zeros: ZeroKeys,
    current: BTreeMap<Session, Current>,
    /// Aborted lines of a session after which it has no other line yet.
    aborted: BTreeMap<Session, Transaction>,
    numbers: Ranges,
    sessions: Sessions,
    ended: bool,
}

impl<R: BufRead> Plume<R> {
    /// Reads a file in which `zeros` were found.
    pub(super) fn new(bytes: R, path: &Path, zeros: ZeroKeys) -> Self {
        Self {
            input: Bytes::new(bytes, path),
            buffer: Vec::new(),
            zeros,
            current: BTreeMap::new(),
            aborted: BTreeMap::new(),
            numbers: Ranges::default(),
            sessions: Sessions::default(),
            ended: false,
        }
    }

    fn take(&mut self, line: Line, names: &mut Names) -> Result<(), SourceError> {
        let key = number(line.key, names);
        let mop = if line.write {
            Mop::Write { key, value: number(line.value, names) }
        } else {
            Mop::Read { key, value: Some(self.zeros.seen(line.key, line.value, names)) }
        };
        let session = Session::new(line.session);
        let new = |end| Transaction { offset: line.offset, mops: Vec::new(), end };
        if line.transaction == ABORTED {
            self.aborted.entry(session).or_insert_with(|| new(Kind::Fail)).mops.push(mop);
            return Ok(());
        }
        if let Some(aborted) = self.aborted.remove(&session) {
            self.sessions.push(session.clone(), aborted);
        }
        if let Some(current) = self.current.get_mut(&session)
            && current.number == line.transaction
        {
            current.transaction.mops.push(mop);
            return Ok(());
        }
        if !self.numbers.insert(line.transaction) {
            let detail = format!(
                "transaction {} goes on here, after another one of its session began or in another session",
                line.transaction
            );
            return mistake(line.offset, detail);
        }
        let mut transaction = new(Kind::Ok);
        transaction.mops.push(mop);
        let current = Current { number: line.transaction, transaction };
        if let Some(before) = self.current.insert(session.clone(), current) {
            self.sessions.push(session, before.transaction);
        }
        Ok(())
    }

    fn finish(&mut self) {
        for (session, aborted) in std::mem::take(&mut self.aborted) {
            self.sessions.push(session, aborted);
        }
        for (session, last) in std::mem::take(&mut self.current) {
            self.sessions.push(session, last.transaction);
        }
        self.sessions.finish();
        self.ended = true;
    }
}

impl<R: BufRead> EventSource for Plume<R> {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        loop {
            if let Some(event) = self.sessions.next() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match next_line(&mut self.input, &mut self.buffer)? {
                Some(line) => self.take(line, names)?,
                None => self.finish(),
            }
        }
    }

    fn character(&self) -> Character {
        character(false, self.zeros.notes())
    }
}

/// A set of integers, small where they lie close to each other.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<i128, i128>);

impl Ranges {
    /// Adds an integer; `false` if it was there.
    fn insert(&mut self, number: i128) -> bool {
        let before = self.0.range(..=number).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| number <= end) {
            return false;
        }
        let end = self.0.remove(&(number + 1)).unwrap_or(number);
        let start = before.filter(|(_, end)| end + 1 == number).map_or(number, |(start, _)| start);
        self.0.insert(start, end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(numbers in proptest::collection::vec(-20_i128..20, 0..80)) {
            let (mut ranges, mut set) = (Ranges::default(), std::collections::BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
            }
            let members: Vec<i128> = ranges.0.iter().flat_map(|(start, end)| *start..=*end).collect();
            prop_assert_eq!(members, set.into_iter().collect::<Vec<_>>());
            let gaps = ranges.0.iter().zip(ranges.0.keys().skip(1)).all(|((_, end), next)| end + 1 < *next);
            prop_assert!(gaps);
        }
    }
}
