//! Who reads from whom, and which writes are versions.
//!
//! Each read is resolved to the write of its value, key by key. A *version* is the last write of a key by a transaction
//! that took effect: an `ok` one, or an `info` one of which some read of an `ok` transaction saw a write. An `info`
//! transaction that nobody saw may as well not have happened, and orders nothing.

use super::columns::{Columns, NIL, Own};
use super::raw::Raw;
use crate::op::Outcome;
use crate::transactions::NONE;

/// The register was never written when it was read.
pub(crate) const NEVER: u32 = NONE - 1;
/// Nobody wrote the value that was read.
pub(crate) const NOBODY: u32 = NONE;

/// What every read saw, and the versions.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) columns: Columns,
    /// For reads, the write that was seen: a micro-operation, [`NEVER`] or [`NOBODY`]. For writes, the number of the
    /// version among those of its key, from 1; `NONE` if it is none. 0 is the initial version.
    source: Vec<u32>,
    /// Whether each transaction took effect for all that is known.
    effective: Vec<bool>,
}

/// A write of a value that the key was given before, by a transaction that may have taken effect too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DuplicateWrite {
    pub(crate) key: i64,
    pub(crate) value: i64,
    pub(crate) first: u32,
    pub(crate) second: u32,
}

/// What the scan of one key gathers for findings: (value, reader, writer).
#[derive(Debug, Default)]
struct Cases {
    aborted: Vec<(i64, u32, u32)>,
    intermediate: Vec<(i64, u32, u32)>,
    garbage: Vec<(i64, u32, u32)>,
}

/// Writes of one key by value.
#[derive(Debug, Default)]
struct Writes {
    items: Vec<(i64, u32)>,
    contiguous: bool,
}

impl Writes {
    /// The writes of a key; a value that failed transactions wrote too belongs to who may have taken effect, and one
    /// that a transaction wrote twice to its last write.
    fn load(&mut self, columns: &Columns, key: u32, duplicates: &mut Vec<DuplicateWrite>) {
        self.items.clear();
        let writes = columns.of_key(key).iter().filter(|mop| columns.is_write(**mop as usize));
        self.items.extend(writes.map(|mop| (columns.value[*mop as usize], *mop)));
        if !self.items.is_sorted() {
            self.items.sort_unstable();
        }
        let txn = |mop: u32| columns.txn[mop as usize];
        self.items.dedup_by(|next, kept| {
            if next.0 != kept.0 {
                return false;
            }
            let (first, second) = (txn(kept.1), txn(next.1));
            match (columns.txns.is_possible(first), columns.txns.is_possible(second)) {
                (true, true) if first != second => {
                    let (key, value) = (columns.keys[key as usize], next.0);
                    duplicates.push(DuplicateWrite { key, value, first, second });
                }
                (true, false) => {}
                _ => kept.1 = next.1,
            }
            true
        });
        self.contiguous = match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) => last.0.abs_diff(first.0) == self.items.len() as u64 - 1,
            _ => false,
        };
    }

    fn of(&self, value: i64) -> u32 {
        let place = if self.contiguous {
            value.checked_sub(self.items[0].0).and_then(|place| usize::try_from(place).ok())
        } else {
            self.items.binary_search_by_key(&value, |item| item.0).ok()
        };
        place.and_then(|place| self.items.get(place)).map_or(NOBODY, |item| item.1)
    }
}

impl Index {
    /// Resolves every read. Anomalies go to `found`, in order of key. O(n log n) in the micro-operations of a key, O(n)
    /// where its values follow each other without gaps.
    ///
    /// # Errors
    /// Values that a key was given twice; the columns are then where they were.
    pub(crate) fn new(taken: &mut Columns, found: &mut Vec<Raw>) -> Result<Self, Vec<DuplicateWrite>> {
        let mut columns = std::mem::take(taken);
        found.extend(columns.own.drain(..).map(|own| match own {
            Own::Internal { txn, mop, expected } => Raw::Internal { txn, mop, expected },
            Own::FutureRead { txn, mop, value } => Raw::FutureRead { txn, mop, value },
        }));
        let mut source = vec![NONE; columns.len()];
        let txns = columns.txns.len() as u32;
        let mut effective: Vec<bool> = (0..txns).map(|txn| columns.txns.outcome(txn) == Outcome::Ok).collect();
        let mut duplicates = Vec::new();
        let mut writes = Writes::default();
        let mut cases = Cases::default();
        let mut seen: Vec<(u32, u32)> = Vec::new();
        for key in 0..columns.keys.len() as u32 {
            writes.load(&columns, key, &mut duplicates);
            for mop in columns.of_key(key).iter().map(|mop| *mop as usize).filter(|mop| !columns.is_write(*mop)) {
                if columns.kind[mop] & NIL != 0 {
                    source[mop] = NEVER;
                    continue;
                }
                let (value, reader) = (columns.value[mop], columns.txn[mop]);
                let write = writes.of(value);
                source[mop] = write;
                if write == NOBODY {
                    cases.garbage.push((value, reader, NONE));
                    continue;
                }
                let writer = columns.txn[write as usize];
                if writer == reader {
                    continue;
                }
                match columns.txns.outcome(writer) {
                    Outcome::Fail => cases.aborted.push((value, reader, writer)),
                    Outcome::Info => {
                        effective[writer as usize] = true;
                        seen.push((writer, columns.txns.end(reader)));
                    }
                    Outcome::Ok => {}
                }
                if !columns.is_external(write as usize) {
                    cases.intermediate.push((value, reader, writer));
                }
            }
            cases.tell(columns.keys[key as usize], found);
        }
        if !duplicates.is_empty() {
            *taken = columns;
            return Err(duplicates);
        }
        for (writer, moment) in seen {
            columns.txns.note_seen(writer, moment);
        }
        let mut index = Self { columns, source, effective };
        index.number_versions();
        Ok(index)
    }

    fn number_versions(&mut self) {
        for key in 0..self.columns.keys.len() as u32 {
            let mut count = 0;
            for mop in self.columns.of_key(key).iter().map(|mop| *mop as usize) {
                let txn = self.columns.txn[mop] as usize;
                if self.columns.is_write(mop) && self.columns.is_external(mop) && self.effective[txn] {
                    count += 1;
                    self.source[mop] = count;
                }
            }
        }
    }

    /// Whether a transaction took effect for all that is known.
    pub(crate) fn is_effective(&self, txn: u32) -> bool {
        self.effective[txn as usize]
    }

    /// The write that a read saw: a micro-operation, [`NEVER`] or [`NOBODY`].
    pub(crate) fn write_of(&self, read: usize) -> u32 {
        self.source[read]
    }

    /// The version that a micro-operation meets: the number of what a read saw, or of what a write made. `NONE` for
    /// what is no version: garbage, the middle of a transaction, failed writes, one's own later write.
    pub(crate) fn version(&self, mop: usize) -> u32 {
        if self.columns.is_write(mop) {
            return self.source[mop];
        }
        match self.source[mop] {
            NEVER => 0,
            NOBODY => NONE,
            write if self.columns.txn[write as usize] == self.columns.txn[mop] => NONE,
            write => self.source[write as usize],
        }
    }
}

impl Cases {
    /// One finding for each value.
    fn tell(&mut self, key: i64, found: &mut Vec<Raw>) {
        for (kind, cases) in [&mut self.aborted, &mut self.intermediate, &mut self.garbage].into_iter().enumerate() {
            cases.sort_unstable();
            cases.dedup();
            for group in cases.chunk_by(|a, b| a.0 == b.0) {
                let (value, reader, writer) = group[0];
                let more = group.len() as u64 - 1;
                found.push(match kind {
                    0 => Raw::G1a { key, value, reader, writer, more },
                    1 => Raw::G1b { key, value, reader, writer, more },
                    _ => Raw::Garbage { key, value, reader, more },
                });
            }
            cases.clear();
        }
    }
}
