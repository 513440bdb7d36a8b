//! Finds the write of the value that each read saw, one key after the other, and what that shows of the key by itself.

use super::super::at_hand::{AtHand, PIECE, Slice};
use super::super::columns::{EXTERNAL, NIL, WRITE};
use super::super::raw::Raw;
use super::writes::{Write, Writes};
use super::{DuplicateWrite, Index, Key, NEVER, NOBODY};
use crate::op::Outcome;
use crate::transactions::NONE;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// What some keys showed.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) found: Vec<Raw>,
    pub(super) duplicates: Vec<DuplicateWrite>,
    /// Writes of `info` transactions that were seen, and when.
    pub(super) seen: Vec<(u32, u32)>,
    /// Keys that `info` transactions wrote.
    pub(super) open: Vec<u32>,
}

/// What is needed to resolve one key after the other.
#[derive(Debug)]
pub(super) struct Resolver<'i> {
    index: &'i Index,
    writes: Writes,
    /// Of the key at hand, as far as it was resolved.
    numbers: Vec<u32>,
    /// Writes of the key so far.
    count: u32,
    is_open: bool,
    cases: Cases,
    resolved: Resolved,
}

/// What the scan of one key gathers for findings: (value, reader, writer).
#[derive(Debug, Default)]
struct Cases {
    aborted: Vec<(i64, u32, u32)>,
    intermediate: Vec<(i64, u32, u32)>,
    garbage: Vec<(i64, u32, u32)>,
}

impl<'i> Resolver<'i> {
    pub(super) fn new(index: &'i Index) -> Self {
        Self {
            index,
            writes: Writes::default(),
            numbers: Vec::new(),
            count: 0,
            is_open: false,
            cases: Cases::default(),
            resolved: Resolved::default(),
        }
    }

    /// Resolves the reads of some keys, as many at a time as can be at hand. `each` is called for every key that is resolved,
    /// as [`Index::resolve`] has it.
    pub(super) fn keys<P: Default>(
        mut self,
        keys: Range<u32>,
        each: &impl Fn(&Index, Key<'_>, &mut P),
    ) -> (Resolved, P) {
        let columns = &self.index.columns;
        let (mut visit, mut at_hand, mut first) = (P::default(), AtHand::default(), keys.start);
        while first < keys.end {
            let end = columns.keys_within(first..keys.end, PIECE);
            if end == first {
                self.key_in_pieces(first, &mut at_hand);
                self.visit(Key { key: first, at_hand: None }, each, &mut visit);
                first += 1;
                continue;
            }
            let mops = columns.of_keys(first..end);
            at_hand.fetch(columns, mops);
            at_hand.fetch_values(columns, mops);
            at_hand.fetch_times(&columns.txns);
            let mut start = 0;
            for key in first..end {
                let mops = columns.of_key(key);
                let slice = at_hand.slice(start..start + mops.len());
                start += mops.len();
                self.begin();
                self.writes.add(mops, slice);
                self.writes.finish(columns, key, &mut self.resolved.duplicates);
                self.resolve(mops, slice);
                self.visit(Key { key, at_hand: Some(slice) }, each, &mut visit);
            }
            first = end;
        }
        (self.resolved, visit)
    }

    /// Resolves the reads of a key that has too many micro-operations to be at hand as a whole.
    fn key_in_pieces(&mut self, key: u32, at_hand: &mut AtHand) {
        let columns = &self.index.columns;
        let mops = columns.of_key(key);
        self.begin();
        for piece in mops.chunks(PIECE) {
            at_hand.fetch(columns, piece);
            at_hand.fetch_values(columns, piece);
            self.writes.add(piece, at_hand.all());
        }
        self.writes.finish(columns, key, &mut self.resolved.duplicates);
        for piece in mops.chunks(PIECE) {
            at_hand.fetch(columns, piece);
            at_hand.fetch_values(columns, piece);
            self.numbers.clear();
            self.resolve(piece, at_hand.all());
        }
    }

    /// Begins a key.
    fn begin(&mut self) {
        self.writes.clear();
        self.numbers.clear();
        (self.count, self.is_open) = (0, false);
    }

    /// Resolves the next reads of the key, all of whose writes are known.
    fn resolve(&mut self, mops: &[u32], at_hand: Slice<'_>) {
        for (place, mop) in mops.iter().enumerate() {
            let (kind, txn) = (at_hand.kind[place], at_hand.txn[place]);
            let (source, number) = if kind & WRITE != 0 {
                self.is_open |= self.index.columns.txns.outcome(txn) == Outcome::Info;
                self.count += 1;
                (self.count - 1, self.count - 1)
            } else if kind & NIL != 0 {
                (NEVER, NEVER)
            } else {
                self.read(txn, at_hand.value[place])
            };
            self.index.source[*mop as usize].store(source, Relaxed);
            self.numbers.push(number);
        }
    }

    /// The write of a value that was read, and its number.
    fn read(&mut self, reader: u32, value: i64) -> (u32, u32) {
        let Some((number, Write { mop, txn: writer, kind })) = self.writes.of(value) else {
            self.cases.garbage.push((value, reader, NONE));
            return (NOBODY, NOBODY);
        };
        let txns = &self.index.columns.txns;
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
    fn visit<P>(&mut self, key: Key<'_>, each: &impl Fn(&Index, Key<'_>, &mut P), visit: &mut P) {
        self.cases.tell(self.index.columns.keys[key.key as usize], &mut self.resolved.found);
        if self.is_open {
            self.resolved.open.push(key.key);
        } else if self.resolved.found.is_empty() {
            let at_hand = key.at_hand.map(|slice| Slice { number: &self.numbers, ..slice });
            each(self.index, Key { at_hand, ..key }, visit);
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
