//! Micro-operations of registers in columns: one pass over the transactions, then a counting sort by key.
//!
//! Kept are every write and the reads that say something about other transactions: those of a key before any write of
//! it, and a read that contradicts its own transaction. What a transaction shows by itself is judged while it
//! is taken in.
//!
//! Of a transaction 17 bytes are held: 13 in [`Txns`] (21 where numbers of operations have gaps) and 4 in [`Tags`]. Of a
//! micro-operation 13.25: 4 each for its key, its value and the grouping by key, and 1.25 in [`Tags`]; 4 more where values lie
//! far from the first one ([`Values`]). Of a key 12.

mod compact;
mod numbering;
pub(crate) mod records;

use super::raw::Raw;
use super::threads;
use crate::op::Outcome;
use crate::spill::Limits;
use crate::transactions::Txns;
use crate::transactions::rows::{MopRef, TxnRow};
use crate::transactions::txns::TxnsBuilder;
use compact::{Tags, Values};
use numbering::{Numbered, Numbering};
use records::Records;
use std::sync::Arc;

/// A write; else a read.
pub(crate) const WRITE: u8 = 1;
/// A read of a register that was never written.
pub(crate) const NIL: u8 = 2;
/// What others can meet: the last write of the key by its transaction, or its first read of it before any write.
pub(crate) const EXTERNAL: u8 = 4;
/// A further read of the key, before any write of it by the same transaction.
pub(crate) const AGAIN: u8 = 8;

/// The columns. Keys are numbered in ascending order; micro-operations stand in order of their transactions, and within
/// one in program order.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(crate) txns: Arc<Txns>,
    /// The keys, ascending; a key's number is its place.
    pub(crate) keys: Vec<i64>,
    /// Whose each micro-operation is, and which of [`WRITE`], [`NIL`], [`EXTERNAL`] and [`AGAIN`].
    tags: Tags,
    /// Key of each, by number; empty between [`Columns::take_keys`] and [`Columns::restore_keys`].
    key: Vec<u32>,
    values: Values,
    /// Micro-operations of key `k`: `of_key[key_start[k]..key_start[k + 1]]`, in order of transactions.
    key_start: Vec<u32>,
    of_key: Vec<u32>,
    /// What transactions show by themselves.
    pub(crate) own: Vec<Own>,
    /// Known reads of `ok` transactions, also those that are not kept.
    pub(crate) ok_reads: u64,
}

/// A contradiction within one `ok` transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// A read differs from what its transaction read or wrote last.
    Internal { txn: u32, mop: u32, expected: Option<i64> },
    /// A read sees what its transaction writes later.
    FutureRead { txn: u32, mop: u32, value: i64 },
}

impl Own {
    /// The anomaly that it is.
    pub(crate) fn into_raw(self) -> Raw {
        match self {
            Own::Internal { txn, mop, expected } => Raw::Internal { txn, mop, expected },
            Own::FutureRead { txn, mop, value } => Raw::FutureRead { txn, mop, value },
        }
    }
}

impl Columns {
    /// The micro-operations of a transaction.
    pub(crate) fn mops(&self, txn: u32) -> std::ops::Range<usize> {
        self.tags.mops(txn)
    }

    /// [`WRITE`], [`NIL`], [`EXTERNAL`] and [`AGAIN`] of a micro-operation.
    pub(crate) fn kind(&self, mop: usize) -> u8 {
        self.tags.kind(mop)
    }

    /// The transaction of a micro-operation.
    pub(crate) fn txn(&self, mop: usize) -> u32 {
        self.tags.txn(mop)
    }

    /// The key of a micro-operation, by number. They must be there.
    pub(crate) fn key(&self, mop: usize) -> u32 {
        self.key[mop]
    }

    /// What a micro-operation wrote or read; 0 with [`NIL`].
    pub(crate) fn value(&self, mop: usize) -> i64 {
        if self.kind(mop) & NIL == 0 { self.values.get(mop) } else { 0 }
    }

    /// What a micro-operation wrote or read; anything with [`NIL`].
    pub(crate) fn any_value(&self, mop: usize) -> i64 {
        self.values.get(mop)
    }

    /// The key of each micro-operation, which the grouping by key tells as well: many histories are judged without it, and
    /// its room is of use.
    pub(crate) fn take_keys(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.key)
    }

    /// Makes [`Columns::key`] known again.
    pub(crate) fn restore_keys(&mut self) {
        self.key = vec![0; self.len()];
        for (number, range) in self.key_start.windows(2).enumerate() {
            for mop in &self.of_key[range[0] as usize..range[1] as usize] {
                self.key[*mop as usize] = number as u32;
            }
        }
    }

    /// Whether a micro-operation is a read that saw others: its transaction had not written the key.
    pub(crate) fn is_foreign_read(&self, mop: usize) -> bool {
        self.kind(mop) & WRITE == 0 && self.kind(mop) & (EXTERNAL | AGAIN) != 0
    }

    /// The micro-operations of a key.
    pub(crate) fn of_key(&self, key: u32) -> &[u32] {
        &self.of_key[self.key_start[key as usize] as usize..self.key_start[key as usize + 1] as usize]
    }

    /// Whether a micro-operation is a write.
    pub(crate) fn is_write(&self, mop: usize) -> bool {
        self.kind(mop) & WRITE != 0
    }

    /// Whether other transactions can meet a micro-operation.
    pub(crate) fn is_external(&self, mop: usize) -> bool {
        self.kind(mop) & EXTERNAL != 0
    }

    /// How many micro-operations are kept.
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    /// Numbers the keys, and groups everything by them; so many threads share it.
    fn group(&mut self, numbering: Numbering, parts: usize) {
        self.tags.finish();
        let Numbered { keys, counts } = numbering.finish(&mut self.key, parts);
        self.keys = keys;
        let ends = counts.into_iter().scan(0, |end, count| {
            *end += count;
            Some(*end)
        });
        self.key_start = std::iter::once(0).chain(ends).collect();
        self.of_key = self.grouped(parts);
    }

    /// The micro-operations by key, which `key_start` is known for; so many threads share it.
    fn grouped(&self, parts: usize) -> Vec<u32> {
        let mut of_key = vec![0; self.len()];
        let (mut pieces, mut rest) = (Vec::new(), of_key.as_mut_slice());
        for keys in self.key_ranges(parts) {
            let starts = &self.key_start[keys.start as usize..=keys.end as usize];
            let (piece, others) = rest.split_at_mut((starts[starts.len() - 1] - starts[0]) as usize);
            pieces.push((keys, starts, piece));
            rest = others;
        }
        threads::each(pieces, |(keys, starts, piece)| {
            let mut next: Vec<u32> = starts.iter().map(|start| start - starts[0]).collect();
            for (mop, key) in self.key.iter().enumerate().filter(|(_, key)| keys.contains(key)) {
                let slot = &mut next[(key - keys.start) as usize];
                piece[*slot as usize] = mop as u32;
                *slot += 1;
            }
        });
        of_key
    }

    /// The micro-operations of some keys.
    pub(crate) fn of_keys(&self, keys: std::ops::Range<u32>) -> &[u32] {
        &self.of_key[self.key_start[keys.start as usize] as usize..self.key_start[keys.end as usize] as usize]
    }

    /// The end of the first of these keys that have so many micro-operations together, at most.
    pub(crate) fn keys_within(&self, keys: std::ops::Range<u32>, mops: usize) -> u32 {
        let most = self.key_start[keys.start as usize] as usize + mops;
        let starts = &self.key_start[keys.start as usize + 1..=keys.end as usize];
        keys.start + starts.iter().take_while(|start| **start as usize <= most).count() as u32
    }

    /// The keys in ranges of about as many micro-operations each.
    pub(crate) fn key_ranges(&self, count: usize) -> Vec<std::ops::Range<u32>> {
        let keys = self.keys.len() as u32;
        let cut =
            |part: usize| self.key_start.partition_point(|start| (*start as usize) < self.len() * part / count) as u32;
        let ends = (1..=count).map(|part| if part == count { keys } else { cut(part).min(keys) });
        ends.scan(0, |first, end| Some(std::mem::replace(first, end)..end)).collect()
    }
}

/// A history of which the micro-operations lie outside of memory.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) txns: Arc<Txns>,
    pub(crate) records: Records,
    /// As in [`Columns`].
    pub(crate) own: Vec<Own>,
    pub(crate) ok_reads: u64,
}

/// Takes transactions in, in order of invocation.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    txns: TxnsBuilder,
    columns: Columns,
    numbering: Numbering,
    /// Micro-operations, once they lie outside of memory.
    records: Option<Records>,
    /// Places of the micro-operations of a long transaction, by key.
    by_key: Vec<(i64, u32)>,
    /// For each place the previous and the next one of the same key; `u32::MAX`: none.
    links: Vec<(u32, u32)>,
    /// First read, last write, and whether a write came before: what is kept of each place.
    keep: Vec<Option<u8>>,
}

/// "No such place" among the micro-operations of one transaction.
const NOWHERE: u32 = u32::MAX;

impl Intake {
    /// The next transaction, of reads and writes of registers.
    pub(crate) fn push(&mut self, row: TxnRow, mops: &[MopRef<'_>]) {
        let txn = self.txns.len() as u32;
        self.txns.push(row);
        if self.records.is_none() {
            self.columns.tags.begin();
        }
        if Self::has_keys_once(mops) {
            for mop in mops {
                let kind = match *mop {
                    MopRef::Write { .. } => WRITE | EXTERNAL,
                    MopRef::Read { value: Some(seen), .. } if row.outcome == Outcome::Ok => {
                        self.columns.ok_reads += 1;
                        EXTERNAL | if seen.is_none() { NIL } else { 0 }
                    }
                    _ => continue,
                };
                self.keep(mop, kind);
            }
            return;
        }
        self.link(mops);
        self.judge(txn, row.outcome, mops);
        for (place, mop) in mops.iter().enumerate() {
            if let Some(kind) = self.keep[place] {
                self.keep(mop, kind);
            }
        }
    }

    /// Whether a transaction certainly meets no key twice: then it can show nothing about itself.
    fn has_keys_once(mops: &[MopRef<'_>]) -> bool {
        /// More are looked at in another way.
        const FEW: usize = 16;
        let mut keys = [0; FEW];
        mops.len() <= FEW
            && mops.iter().enumerate().all(|(place, mop)| {
                let Some(key) = mop.key() else { return false };
                let is_new = !keys[..place].contains(&key);
                keys[place] = key;
                is_new
            })
    }

    fn keep(&mut self, mop: &MopRef<'_>, kind: u8) {
        let (key, value) = match *mop {
            MopRef::Write { key, value } => (key, Some(value)),
            MopRef::Read { key, value: Some(value) } => (key, value),
            _ => return,
        };
        if let Some(records) = &mut self.records {
            records.push(self.txns.len() as u32 - 1, key, value, kind);
            return;
        }
        let columns = &mut self.columns;
        columns.key.push(self.numbering.stand_in(key));
        columns.values.push(value);
        columns.tags.push(kind);
    }

    /// Links the micro-operations of one key: by comparing where there are few, by sorting where there are many.
    fn link(&mut self, mops: &[MopRef<'_>]) {
        let key_of = MopRef::key;
        self.links.clear();
        self.links.resize(mops.len(), (NOWHERE, NOWHERE));
        if mops.len() <= 16 {
            for (place, mop) in mops.iter().enumerate() {
                let Some(key) = key_of(mop) else { continue };
                if let Some(before) = mops[..place].iter().rposition(|other| key_of(other) == Some(key)) {
                    self.links[place].0 = before as u32;
                    self.links[before].1 = place as u32;
                }
            }
            return;
        }
        self.by_key.clear();
        let keyed = mops.iter().enumerate().filter_map(|(place, mop)| Some((key_of(mop)?, place as u32)));
        self.by_key.extend(keyed);
        self.by_key.sort_unstable();
        for pair in self.by_key.windows(2) {
            if pair[0].0 == pair[1].0 {
                self.links[pair[1].1 as usize].0 = pair[0].1;
                self.links[pair[0].1 as usize].1 = pair[1].1;
            }
        }
    }

    /// Decides what is kept, and finds what contradicts itself: the first such read of the transaction.
    fn judge(&mut self, txn: u32, outcome: Outcome, mops: &[MopRef<'_>]) {
        self.keep.clear();
        let mut internal: Option<Own> = None;
        let mut future: Option<Own> = None;
        for (place, mop) in mops.iter().enumerate() {
            let (before, after) = self.links[place];
            let keep = match *mop {
                MopRef::Write { .. } => {
                    let external = self.later_write(mops, after).is_none();
                    Some(WRITE | if external { EXTERNAL } else { 0 })
                }
                MopRef::Read { value: Some(seen), .. } if outcome == Outcome::Ok => {
                    self.columns.ok_reads += 1;
                    let nil = if seen.is_none() { NIL } else { 0 };
                    match self.last_known(mops, before) {
                        Known::Nothing => {
                            let value = seen.filter(|value| self.writes_later(mops, after, *value));
                            if let (None, Some(value)) = (future, value) {
                                future = Some(Own::FutureRead { txn, mop: place as u32, value });
                            }
                            Some(EXTERNAL | nil)
                        }
                        // Read again: where from others, it tells when they were seen.
                        Known::State(expected) if expected == seen => {
                            (!self.wrote_before(mops, before)).then_some(AGAIN | nil)
                        }
                        Known::State(expected) => {
                            internal = internal.or(Some(Own::Internal { txn, mop: place as u32, expected }));
                            Some(nil | if self.wrote_before(mops, before) { 0 } else { AGAIN })
                        }
                    }
                }
                _ => None,
            };
            self.keep.push(keep);
        }
        self.columns.own.extend(internal);
        self.columns.own.extend(future);
    }

    /// What the transaction knows of the key from its own reads and writes up to a place.
    fn last_known(&self, mops: &[MopRef<'_>], mut place: u32) -> Known {
        while place != NOWHERE {
            match mops[place as usize] {
                MopRef::Write { value, .. } => return Known::State(Some(value)),
                MopRef::Read { value: Some(value), .. } => return Known::State(value),
                _ => place = self.links[place as usize].0,
            }
        }
        Known::Nothing
    }

    /// Whether the transaction wrote the key up to a place.
    fn wrote_before(&self, mops: &[MopRef<'_>], mut place: u32) -> bool {
        while place != NOWHERE {
            if matches!(mops[place as usize], MopRef::Write { .. }) {
                return true;
            }
            place = self.links[place as usize].0;
        }
        false
    }

    fn later_write(&self, mops: &[MopRef<'_>], mut place: u32) -> Option<u32> {
        while place != NOWHERE && !matches!(mops[place as usize], MopRef::Write { .. }) {
            place = self.links[place as usize].1;
        }
        (place != NOWHERE).then_some(place)
    }

    fn writes_later(&self, mops: &[MopRef<'_>], mut place: u32, wanted: i64) -> bool {
        while let Some(write) = self.later_write(mops, place) {
            if matches!(mops[write as usize], MopRef::Write { value, .. } if value == wanted) {
                return true;
            }
            place = self.links[write as usize].1;
        }
        false
    }

    /// How many micro-operations are kept so far.
    pub(crate) fn len(&self) -> usize {
        self.records.as_ref().map_or(self.columns.len(), |records| records.len() as usize)
    }

    /// The columns, with everything grouped by key.
    pub(crate) fn finish(self) -> Columns {
        let Self { txns, mut columns, numbering, .. } = self;
        columns.txns = Arc::new(txns.finish());
        let parts = threads::count(columns.len());
        columns.group(numbering, parts);
        columns
    }

    /// What was put aside; without that, nothing is to be had here.
    pub(crate) fn finish_aside(self) -> Option<Aside> {
        let Self { txns, columns, records, .. } = self;
        let (own, ok_reads) = (columns.own, columns.ok_reads);
        records.map(|records| Aside { txns: Arc::new(txns.finish()), records, own, ok_reads })
    }

    /// From now on micro-operations lie outside of memory.
    pub(crate) fn put_aside(&mut self, limits: &Limits) {
        let mut records = Records::new(limits);
        let Columns { tags, key, values, own, ok_reads, .. } = std::mem::take(&mut self.columns);
        let numbering = std::mem::take(&mut self.numbering);
        for (mop, key) in key.into_iter().enumerate() {
            let (kind, txn) = (tags.kind(mop), tags.txn(mop));
            let value = (kind & NIL == 0).then(|| values.get(mop));
            records.push(txn, numbering.key(key), value, kind);
        }
        (self.columns.own, self.columns.ok_reads) = (own, ok_reads);
        self.records = Some(records);
    }

    /// Whether micro-operations lie outside of memory.
    pub(crate) fn is_aside(&self) -> bool {
        self.records.is_some()
    }
}

/// What a transaction knows of a key by itself.
enum Known {
    Nothing,
    State(Option<i64>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(op_id: u64, invoke_seq: u64, complete_seq: Option<u64>, outcome: Outcome) -> TxnRow {
        TxnRow { op_id, process: op_id as i64, invoke_seq, complete_seq, outcome }
    }

    fn w(key: i64, value: i64) -> MopRef<'static> {
        MopRef::Write { key, value }
    }

    fn r(key: i64, value: Option<i64>) -> MopRef<'static> {
        MopRef::Read { key, value: Some(value) }
    }

    #[test]
    fn only_what_others_can_meet_is_kept() {
        let mut intake = Intake::default();
        let mops = [r(9, Some(1)), w(9, 2), r(9, Some(2)), w(9, 3), r(-5, None), r(-5, None), r(9, Some(7))];
        intake.push(row(0, 0, Some(1), Outcome::Ok), &mops);
        intake.push(row(1, 2, Some(3), Outcome::Info), &[r(9, Some(1)), w(1 << 40, 4)]);
        let mut columns = intake.finish();
        assert_eq!(columns.keys, [-5, 9, 1 << 40]);
        let keys = columns.take_keys();
        columns.restore_keys();
        assert_eq!((keys.as_slice(), columns.key.as_slice()), (&[1, 1, 1, 0, 0, 1, 2][..], keys.as_slice()));
        let kinds: Vec<u8> = (0..columns.len()).map(|mop| columns.kind(mop)).collect();
        assert_eq!(kinds, [EXTERNAL, WRITE, WRITE | EXTERNAL, EXTERNAL | NIL, AGAIN | NIL, 0, WRITE | EXTERNAL]);
        assert_eq!((0..7).map(|mop| columns.value(mop)).collect::<Vec<_>>(), [1, 2, 3, 0, 0, 7, 4]);
        assert_eq!((0..7).map(|mop| columns.txn(mop)).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((columns.of_key(1), columns.mops(1)), (&[0, 1, 2, 5][..], 6..7));
        assert_eq!(columns.own, [Own::Internal { txn: 0, mop: 6, expected: Some(3) }]);
        assert_eq!(columns.ok_reads, 5);
    }

    #[test]
    fn long_transactions_are_judged_like_short_ones() {
        let short = [r(1, Some(5)), w(2, 1), w(1, 5), r(2, Some(1)), r(1, Some(6))];
        let mut long: Vec<MopRef<'_>> = (100..120).map(|key| r(key, None)).collect();
        long.extend(short);
        let own = |mops: &[MopRef<'_>]| {
            let mut intake = Intake::default();
            intake.push(row(0, 0, Some(1), Outcome::Ok), mops);
            intake.finish().own
        };
        let internal = |mop| Own::Internal { txn: 0, mop, expected: Some(5) };
        assert_eq!(own(&short), [internal(4), Own::FutureRead { txn: 0, mop: 0, value: 5 }]);
        assert_eq!(own(&long), [internal(24), Own::FutureRead { txn: 0, mop: 20, value: 5 }]);
    }
}
