//! The micro-operations of some keys side by side: in the columns they lie as far apart as the history is long, and every look
//! at one waits for memory. So they are fetched many at a time, once, for all that is done with a key.

use super::columns::{Columns, WRITE};
use super::index::Index;
use crate::transactions::Txns;
use std::ops::Range;

/// Micro-operations that are at hand at a time, at most: keys with more come in pieces. Tests are to meet those, too.
pub(crate) const PIECE: usize = if cfg!(test) { 16 } else { 4096 };

/// Some micro-operations, by key and in order of transactions. Reusable.
#[derive(Debug, Default)]
pub(crate) struct AtHand {
    txn: Vec<u32>,
    kind: Vec<u8>,
    value: Vec<i64>,
    number: Vec<u32>,
    time: Vec<(u32, u32)>,
}

/// Those of one key, or of a piece of it. What was not fetched is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'a> {
    pub(crate) txn: &'a [u32],
    pub(crate) kind: &'a [u8],
    /// What each wrote or read; anything for [`super::columns::NIL`].
    pub(crate) value: &'a [i64],
    /// Of a write its number, and of a read that of what was seen, as [`Index::number_of_read`] has it.
    pub(crate) number: &'a [u32],
    /// When its transaction was invoked, and its end, as [`Txns::end`] has it.
    pub(crate) time: &'a [(u32, u32)],
}

impl AtHand {
    /// Fetches micro-operations, and nothing about them but their kinds and transactions.
    pub(crate) fn fetch(&mut self, columns: &Columns, mops: &[u32]) {
        self.kind.clear();
        self.kind.extend(mops.iter().map(|mop| columns.kind(*mop as usize)));
        self.txn.clear();
        self.txn.extend(mops.iter().map(|mop| columns.txn(*mop as usize)));
        self.value.clear();
        self.number.clear();
        self.time.clear();
    }

    /// Fetches their values, too.
    pub(crate) fn fetch_values(&mut self, columns: &Columns, mops: &[u32]) {
        self.value.extend(mops.iter().map(|mop| columns.any_value(*mop as usize)));
    }

    /// Fetches their numbers, too. Nobody may have read garbage. Only before [`Index::complete`].
    pub(crate) fn fetch_numbers(&mut self, index: &Index, mops: &[u32]) {
        let numbers = mops.iter().zip(&self.kind).map(|(mop, kind)| match kind & WRITE {
            0 => index.number_of_read(*mop as usize),
            _ => index.write_of(*mop as usize),
        });
        self.number.extend(numbers);
    }

    /// Fetches their times, too.
    pub(crate) fn fetch_times(&mut self, txns: &Txns) {
        self.time.extend(self.txn.iter().map(|txn| (txns.invoke(*txn), txns.end(*txn))));
    }

    /// Some of them.
    pub(crate) fn slice(&self, range: Range<usize>) -> Slice<'_> {
        let Self { txn, kind, value, number, time } = self;
        Slice {
            txn: &txn[range.clone()],
            kind: &kind[range.clone()],
            value: value.get(range.clone()).unwrap_or_default(),
            number: number.get(range.clone()).unwrap_or_default(),
            time: time.get(range).unwrap_or_default(),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Slice<'_> {
        self.slice(0..self.kind.len())
    }
}
