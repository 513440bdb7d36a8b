//! Who reads from whom, and which writes are versions.
//!
//! Each read is resolved to the write of its value, key by key. A *version* is the last write of a key by a transaction
//! that took effect: an `ok` one, or an `info` one of which some read of an `ok` transaction saw a write. An `info`
//! transaction that nobody saw may as well not have happened, and orders nothing.

use super::at_hand::{AtHand, PIECE, Slice};
use super::columns::{Columns, EXTERNAL, NIL, Own, WRITE};
use super::raw::Raw;
use super::threads;
use crate::op::Outcome;
use crate::transactions::{NONE, Txns};
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// The register was never written when it was read.
pub(crate) const NEVER: u32 = NONE - 1;
/// Nobody wrote the value that was read.
pub(crate) const NOBODY: u32 = NONE;

/// What every read saw, and the versions.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) columns: Columns,
    /// For reads, the write that was seen: a micro-operation, [`NEVER`] or [`NOBODY`]. For writes, the number of the
    /// version among those of its key, from 1; `NONE` if it is none. 0 is the initial version. Until [`Index::complete`]:
    /// the number of the write among all those of its key, from 0.
    source: Vec<AtomicU32>,
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
    /// Values, and numbers of the writes.
    items: Vec<(i64, u32)>,
    by_number: Vec<Write>,
    contiguous: bool,
}

/// A write of any kind.
#[derive(Clone, Copy, Debug)]
struct Write {
    mop: u32,
    txn: u32,
    kind: u8,
}

impl Writes {
    fn clear(&mut self) {
        self.items.clear();
        self.by_number.clear();
    }

    /// The next micro-operations of the key.
    fn add(&mut self, mops: &[u32], at_hand: Slice<'_>) {
        let Slice { txn, kind, value, .. } = at_hand;
        for (place, mop) in mops.iter().enumerate().filter(|(place, _)| kind[*place] & WRITE != 0) {
            self.items.push((value[place], self.by_number.len() as u32));
            self.by_number.push(Write { mop: *mop, txn: txn[place], kind: kind[place] });
        }
    }

    /// Puts them in order; a value that failed transactions wrote too belongs to who may have taken effect, and one
    /// that a transaction wrote twice to its last write.
    fn finish(&mut self, columns: &Columns, key: u32, duplicates: &mut Vec<DuplicateWrite>) {
        if !self.items.is_sorted() {
            self.items.sort_unstable();
        }
        let txn = |number: u32| self.by_number[number as usize].txn;
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

    /// The number of the write of a value.
    fn of(&self, value: i64) -> Option<u32> {
        let place = if self.contiguous {
            value.checked_sub(self.items[0].0).and_then(|place| usize::try_from(place).ok())
        } else {
            self.items.binary_search_by_key(&value, |item| item.0).ok()
        };
        place.and_then(|place| self.items.get(place)).map(|item| item.1)
    }
}

/// What some keys showed.
#[derive(Debug, Default)]
struct Resolved {
    found: Vec<Raw>,
    duplicates: Vec<DuplicateWrite>,
    /// Writes of `info` transactions that were seen, and when.
    seen: Vec<(u32, u32)>,
    /// Keys that `info` transactions wrote.
    open: Vec<u32>,
}

/// A key whose reads are resolved, and its micro-operations with numbers and times if they are few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) key: u32,
    pub(crate) at_hand: Option<Slice<'a>>,
}

/// What came of looking at the keys that no `info` transaction wrote, by ranges of keys.
#[derive(Debug)]
pub(crate) struct Visited<P> {
    pub(crate) parts: Vec<P>,
    /// The other keys, ascending.
    pub(crate) open: Vec<u32>,
}

impl Index {
    /// Resolves every read. Anomalies go to `found`, in order of key. O(n log n) in the micro-operations of a key, O(n)
    /// where its values follow each other without gaps; keys are shared out among threads.
    ///
    /// `each` is called for a key as soon as it is resolved, while it is at hand, unless an anomaly was found; but not if it
    /// is open of some of its writers whether they took effect, until all keys are resolved. Those keys are told instead.
    ///
    /// Versions have no numbers yet, and keys are not restored: that takes [`Index::complete`].
    ///
    /// # Errors
    /// Values that a key was given twice; the columns are then where they were.
    pub(crate) fn resolve<P: Default + Send>(
        taken: &mut Columns,
        found: &mut Vec<Raw>,
        each: impl Fn(&Self, Key<'_>, &mut P) + Sync,
    ) -> Result<(Self, Visited<P>), Vec<DuplicateWrite>> {
        let mut columns = std::mem::take(taken);
        found.extend(columns.own.drain(..).map(|own| match own {
            Own::Internal { txn, mop, expected } => Raw::Internal { txn, mop, expected },
            Own::FutureRead { txn, mop, value } => Raw::FutureRead { txn, mop, value },
        }));
        // Every place is filled below.
        let source: Vec<AtomicU32> = columns.take_keys().into_iter().map(AtomicU32::new).collect();
        let txns = columns.txns.len() as u32;
        let effective: Vec<bool> = (0..txns).map(|txn| columns.txns.outcome(txn) == Outcome::Ok).collect();
        let mut index = Self { columns, source, effective };
        let parts = threads::by_keys(&index.columns, |keys| index.resolve_keys(keys, &each));
        let mut duplicates = Vec::new();
        let mut visited = Visited { parts: Vec::new(), open: Vec::new() };
        for (part, visit) in parts {
            found.extend(part.found);
            duplicates.extend(part.duplicates);
            for (writer, moment) in part.seen {
                index.effective[writer as usize] = true;
                index.columns.txns.note_seen(writer, moment);
            }
            visited.parts.push(visit);
            visited.open.extend(part.open);
        }
        if !duplicates.is_empty() {
            *taken = index.columns;
            return Err(duplicates);
        }
        Ok((index, visited))
    }

    /// Numbers the versions, and restores the keys.
    pub(crate) fn complete(&mut self) {
        self.columns.restore_keys();
        for key in 0..self.columns.keys.len() as u32 {
            let mut count = 0;
            for mop in self.columns.of_key(key).iter().map(|mop| *mop as usize) {
                if !self.columns.is_write(mop) {
                    continue;
                }
                let is_version = self.columns.is_external(mop) && self.effective[self.columns.txn(mop) as usize];
                count += u32::from(is_version);
                *self.source[mop].get_mut() = if is_version { count } else { NONE };
            }
        }
    }

    /// Whether a transaction took effect for all that is known.
    pub(crate) fn is_effective(&self, txn: u32) -> bool {
        self.effective[txn as usize]
    }

    /// The number, among all writes of the key, of what a read saw that was written by somebody, or [`NEVER`]. Only before
    /// [`Index::complete`].
    pub(crate) fn number_of_read(&self, read: usize) -> u32 {
        match self.write_of(read) {
            NEVER => NEVER,
            write => self.write_of(write as usize),
        }
    }

    /// The write that a read saw: a micro-operation, [`NEVER`] or [`NOBODY`].
    pub(crate) fn write_of(&self, read: usize) -> u32 {
        self.source[read].load(Relaxed)
    }

    /// The version that a micro-operation meets: the number of what a read saw, or of what a write made. `NONE` for
    /// what is no version: garbage, the middle of a transaction, failed writes, one's own later write.
    pub(crate) fn version(&self, mop: usize) -> u32 {
        if self.columns.is_write(mop) {
            return self.write_of(mop);
        }
        match self.write_of(mop) {
            NEVER => 0,
            NOBODY => NONE,
            write if self.columns.txn(write as usize) == self.columns.txn(mop) => NONE,
            write => self.write_of(write as usize),
        }
    }
}

/// What is needed to resolve one key after the other.
#[derive(Debug, Default)]
struct Resolver {
    writes: Writes,
    /// Of the key at hand, as far as it was resolved.
    numbers: Vec<u32>,
    /// Writes of the key so far.
    count: u32,
    is_open: bool,
    cases: Cases,
    resolved: Resolved,
}

impl Index {
    /// Resolves the reads of some keys, as many at a time as can be at hand.
    fn resolve_keys<P: Default>(&self, keys: Range<u32>, each: &impl Fn(&Self, Key<'_>, &mut P)) -> (Resolved, P) {
        let (mut resolver, mut visit) = (Resolver::default(), P::default());
        let (mut at_hand, mut first) = (AtHand::default(), keys.start);
        while first < keys.end {
            let end = self.columns.keys_within(first..keys.end, PIECE);
            if end == first {
                self.resolve_in_pieces(first, &mut resolver, &mut at_hand);
                resolver.visit(self, Key { key: first, at_hand: None }, each, &mut visit);
                first += 1;
                continue;
            }
            let mops = self.columns.of_keys(first..end);
            at_hand.fetch(&self.columns, mops);
            at_hand.fetch_values(&self.columns, mops);
            at_hand.fetch_times(&self.columns.txns);
            let mut start = 0;
            for key in first..end {
                let mops = self.columns.of_key(key);
                let slice = at_hand.slice(start..start + mops.len());
                start += mops.len();
                resolver.begin();
                resolver.writes.add(mops, slice);
                resolver.writes.finish(&self.columns, key, &mut resolver.resolved.duplicates);
                resolver.resolve(self, mops, slice);
                resolver.visit(self, Key { key, at_hand: Some(slice) }, each, &mut visit);
            }
            first = end;
        }
        (resolver.resolved, visit)
    }

    /// Resolves the reads of a key that has too many micro-operations to be at hand as a whole.
    fn resolve_in_pieces(&self, key: u32, resolver: &mut Resolver, at_hand: &mut AtHand) {
        let columns = &self.columns;
        let mops = columns.of_key(key);
        resolver.begin();
        for piece in mops.chunks(PIECE) {
            at_hand.fetch(columns, piece);
            at_hand.fetch_values(columns, piece);
            resolver.writes.add(piece, at_hand.all());
        }
        resolver.writes.finish(columns, key, &mut resolver.resolved.duplicates);
        for piece in mops.chunks(PIECE) {
            at_hand.fetch(columns, piece);
            at_hand.fetch_values(columns, piece);
            resolver.numbers.clear();
            resolver.resolve(self, piece, at_hand.all());
        }
    }
}

impl Resolver {
    /// Begins a key.
    fn begin(&mut self) {
        self.writes.clear();
        self.numbers.clear();
        (self.count, self.is_open) = (0, false);
    }

    /// Resolves the next reads of the key, all of whose writes are known.
    fn resolve(&mut self, index: &Index, mops: &[u32], at_hand: Slice<'_>) {
        for (place, mop) in mops.iter().enumerate() {
            let (kind, txn) = (at_hand.kind[place], at_hand.txn[place]);
            let (source, number) = if kind & WRITE != 0 {
                self.is_open |= index.columns.txns.outcome(txn) == Outcome::Info;
                self.count += 1;
                (self.count - 1, self.count - 1)
            } else if kind & NIL != 0 {
                (NEVER, NEVER)
            } else {
                self.read(&index.columns.txns, txn, at_hand.value[place])
            };
            index.source[*mop as usize].store(source, Relaxed);
            self.numbers.push(number);
        }
    }

    /// The write of a value that was read, and its number.
    fn read(&mut self, txns: &Txns, reader: u32, value: i64) -> (u32, u32) {
        let Some(number) = self.writes.of(value) else {
            self.cases.garbage.push((value, reader, NONE));
            return (NOBODY, NOBODY);
        };
        let Write { mop, txn: writer, kind } = self.writes.by_number[number as usize];
        if writer != reader {
            match txns.outcome(writer) {
                Outcome::Fail => self.cases.aborted.push((value, reader, writer)),
                Outcome::Info => self.resolved.seen.push((writer, txns.end(reader))),
                Outcome::Ok => {}
            }
            if kind & EXTERNAL == 0 {
                self.cases.intermediate.push((value, reader, writer));
            }
        }
        (mop, number)
    }

    /// Tells what a resolved key showed, and has it visited unless that has to wait.
    fn visit<P>(&mut self, index: &Index, key: Key<'_>, each: &impl Fn(&Index, Key<'_>, &mut P), visit: &mut P) {
        self.cases.tell(index.columns.keys[key.key as usize], &mut self.resolved.found);
        if self.is_open {
            self.resolved.open.push(key.key);
        } else if self.resolved.found.is_empty() {
            let at_hand = key.at_hand.map(|slice| Slice { number: &self.numbers, ..slice });
            each(index, Key { at_hand, ..key }, visit);
        }
    }
}

impl Cases {
    /// One finding for each value.
    fn tell(&mut self, key: i64, found: &mut Vec<Raw>) {
        if self.aborted.is_empty() && self.intermediate.is_empty() && self.garbage.is_empty() {
            return;
        }
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
