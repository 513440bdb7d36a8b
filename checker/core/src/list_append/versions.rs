//! One key: its appends, its reads, and its version order, which is the longest list that any read saw.

use super::records::{Kind, Record};
use crate::op::Outcome;
use crate::transactions::{NONE, Txns};
use rustc_hash::FxHashMap;

/// One append of a value to a key, by any transaction, also a failed one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append {
    /// The element.
    pub(super) value: i64,
    /// Who appended it.
    pub(super) txn: u32,
    /// How that transaction ended.
    pub(super) outcome: Outcome,
    /// Whether the same transaction appends to the same key again later.
    pub(super) intermediate: bool,
    /// How many appends to the key came in before it: the order in which a transaction appended.
    place: u32,
}

impl Append {
    /// Whether it may be part of the final history.
    pub(super) fn is_possible(&self) -> bool {
        self.outcome != Outcome::Fail
    }

    /// Whether its transaction made it only after another one of its own.
    pub(super) fn is_later_than(&self, other: &Append) -> bool {
        self.txn == other.txn && self.place > other.place
    }
}

/// One read of a key with a known result, by a transaction that did not fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// Where its list begins: in the trunk, or among what contradicts it.
    start: u32,
    length: u32,
    aside: bool,
    /// Who saw it.
    pub(super) txn: u32,
    /// Its place among the micro-operations of its transaction.
    pub(super) at: u32,
    /// Whether the reader is `ok` (else `info`).
    pub(super) ok: bool,
    /// Whether it is the transaction's first touch of the key, and the transaction appends to the key later.
    pub(super) then_appends: bool,
}

impl Read {
    /// How many elements it saw.
    pub(super) fn len(&self) -> u32 {
        self.length
    }
}

/// An append of a value that the key was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DuplicateAppend {
    pub(super) key: i64,
    pub(super) value: i64,
    pub(super) first: u32,
    pub(super) second: u32,
}

/// The versions of one key. Reusable: [`Versions::load`] replaces the content and keeps the memory.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Ascending by value.
    appends: Vec<Append>,
    /// In order of invocation.
    pub(super) reads: Vec<Read>,
    trunk: Vec<i64>,
    aside: Vec<i64>,
    /// The read with the longest list, which is the version order, with its duplicates.
    longest: Option<Read>,
    /// The elements by rank, where the longest list has duplicates; else empty.
    distinct: Vec<i64>,
    /// Place in `appends` of the element with a rank; `NONE` where nobody appended it.
    by_rank: Vec<u32>,
    /// Rank of each append; `NONE` where the order lacks it.
    rank: Vec<u32>,
    /// Ranks of elements that nobody appended.
    garbage: FxHashMap<i64, u32>,
    /// Whether the values of the appends follow each other without gap, so that a place is a difference.
    contiguous: bool,
}

impl Versions {
    /// Takes in the records of a key.
    pub(super) fn load(&mut self, records: &[Record], txns: &Txns) {
        self.appends.clear();
        self.reads.clear();
        self.trunk.clear();
        self.aside.clear();
        self.longest = None;
        let mut trunk_start = 0;
        for record in records {
            let txn = record.txn();
            match record.kind() {
                Kind::Append => {
                    let (value, outcome) = (record.payload, txns.outcome(txn));
                    let place = self.appends.len() as u32;
                    self.appends.push(Append { value, txn, outcome, intermediate: record.flag(), place });
                }
                Kind::Element => {
                    if record.flag() {
                        trunk_start = self.trunk.len() as u32;
                    }
                    self.trunk.push(record.payload);
                }
                Kind::Aside => self.aside.push(record.payload),
                Kind::Read => {
                    let (length, aside) = record.length();
                    let start = if aside { (self.aside.len() - length) as u32 } else { trunk_start };
                    let (length, ok) = (length as u32, txns.outcome(txn) == Outcome::Ok);
                    let read = Read { start, length, aside, txn, at: record.at(), ok, then_appends: record.flag() };
                    if self.longest.is_none_or(|longest| length > longest.length) {
                        self.longest = Some(read);
                    }
                    self.reads.push(read);
                }
            }
        }
        if !self.appends.is_sorted_by_key(|append| (append.value, append.txn)) {
            self.appends.sort_unstable_by_key(|append| (append.value, append.txn));
        }
        self.contiguous = match (self.appends.first(), self.appends.last()) {
            (Some(first), Some(last)) => last.value.abs_diff(first.value) == self.appends.len() as u64 - 1,
            _ => false,
        };
        self.rank_elements();
    }

    fn rank_elements(&mut self) {
        self.rank.clear();
        self.rank.resize(self.appends.len(), NONE);
        self.by_rank.clear();
        self.distinct.clear();
        self.garbage.clear();
        let longest = self.longest.map_or(0..0, |longest| place_of(&longest));
        let aside = self.longest.is_some_and(|longest| longest.aside);
        let mut repeated = false;
        for at in longest.clone() {
            let element = if aside { self.aside[at] } else { self.trunk[at] };
            let rank = self.by_rank.len() as u32;
            let place = self.place(element);
            let known = match place {
                Some(place) => std::mem::replace(&mut self.rank[place], rank),
                None => self.garbage.insert(element, rank).unwrap_or(NONE),
            };
            if known == NONE {
                self.by_rank.push(place.map_or(NONE, |place| place as u32));
                if repeated {
                    self.distinct.push(element);
                }
                continue;
            }
            if !repeated {
                repeated = true;
                let list = if aside { &self.aside } else { &self.trunk };
                self.distinct.extend_from_slice(&list[longest.start..at]);
            }
            match place {
                Some(place) => self.rank[place] = known,
                None => {
                    self.garbage.insert(element, known);
                }
            }
        }
    }

    /// What a read saw, oldest first.
    pub(super) fn list(&self, read: &Read) -> &[i64] {
        let list = if read.aside { &self.aside } else { &self.trunk };
        &list[place_of(read)]
    }

    /// Who read the version order; `NONE` where nobody read anything.
    pub(super) fn longest_reader(&self) -> u32 {
        self.longest.map_or(NONE, |longest| longest.txn)
    }

    fn longest(&self) -> &[i64] {
        self.longest.as_ref().map_or(&[], |longest| self.list(longest))
    }

    /// Appends that give the key a value that it was given before.
    pub(super) fn duplicates(&self, key: i64) -> impl Iterator<Item = DuplicateAppend> + '_ {
        let twice = |pair: &&[Append]| pair[0].value == pair[1].value;
        self.appends.windows(2).filter(twice).map(move |pair| {
            let (value, first, second) = (pair[0].value, pair[0].txn, pair[1].txn);
            DuplicateAppend { key, value, first, second }
        })
    }

    /// Place among the appends of the one that wrote a value.
    fn place(&self, value: i64) -> Option<usize> {
        if self.contiguous {
            let place = usize::try_from(value.checked_sub(self.appends[0].value)?).ok()?;
            (place < self.appends.len()).then_some(place)
        } else {
            self.appends.binary_search_by_key(&value, |append| append.value).ok()
        }
    }

    /// Number of versions in the order.
    pub(super) fn len(&self) -> u32 {
        self.by_rank.len() as u32
    }

    /// The append that wrote a value, whether or not the order has it.
    pub(super) fn append_of(&self, value: i64) -> Option<Append> {
        self.place(value).map(|place| self.appends[place])
    }

    /// The append that made the version with a rank, if anybody made it.
    pub(super) fn append_at(&self, rank: u32) -> Option<Append> {
        let place = *self.by_rank.get(rank as usize)?;
        self.appends.get(place as usize).copied()
    }

    /// The element with a rank.
    pub(super) fn element(&self, rank: u32) -> Option<i64> {
        let elements = if self.distinct.is_empty() { self.longest() } else { &self.distinct };
        elements.get(rank as usize).copied()
    }

    /// The rank of an element.
    pub(super) fn rank_of(&self, value: i64) -> Option<u32> {
        let rank = match self.place(value) {
            Some(place) => self.rank[place],
            None => self.garbage.get(&value).copied().unwrap_or(NONE),
        };
        (rank != NONE).then_some(rank)
    }

    /// The appends that no version of the order came from.
    pub(super) fn unobserved(&self) -> impl Iterator<Item = Append> + '_ {
        self.appends.iter().zip(&self.rank).filter(|(_, rank)| **rank == NONE).map(|(append, _)| *append)
    }

    /// Whether the order lacks nothing that was read: no element twice, none that nobody appended.
    pub(super) fn is_clean(&self) -> bool {
        self.distinct.is_empty() && self.garbage.is_empty()
    }

    /// Whether the order was read with some element twice.
    pub(super) fn has_duplicates(&self) -> bool {
        !self.distinct.is_empty()
    }

    /// Whether some version came from a failed transaction.
    pub(super) fn has_aborted(&self) -> bool {
        self.appends.iter().zip(&self.rank).any(|(append, rank)| *rank != NONE && !append.is_possible())
    }

    /// Whether a read saw the first versions of this order, no more and nothing else.
    pub(super) fn has_prefix(&self, read: &Read) -> bool {
        let Some(longest) = &self.longest else { return false };
        (read.aside, read.start) == (longest.aside, longest.start)
            || self.longest().get(..read.length as usize) == Some(self.list(read))
    }

    /// Rank of the last element of a read; `None` for the empty list, `Some(None)` where the order lacks it.
    pub(super) fn last_rank(&self, read: &Read) -> Option<Option<u32>> {
        self.list(read).last().map(|last| self.rank_of(*last))
    }
}

fn place_of(read: &Read) -> std::ops::Range<usize> {
    read.start as usize..read.start as usize + read.length as usize
}
