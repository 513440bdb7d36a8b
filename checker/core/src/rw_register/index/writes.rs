//! Writes of one key, found by the values that they gave it.

use super::super::at_hand::Slice;
use super::super::columns::{Columns, WRITE};
use super::DuplicateWrite;

/// Writes of one key by value. Reusable.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Values, and numbers of the writes.
    items: Vec<(i64, u32)>,
    by_number: Vec<Write>,
    /// Whether the values follow each other without gaps.
    contiguous: bool,
}

/// A write of any kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) mop: u32,
    pub(super) txn: u32,
    pub(super) kind: u8,
}

impl Writes {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.by_number.clear();
    }

    /// The next micro-operations of the key.
    pub(super) fn add(&mut self, mops: &[u32], at_hand: Slice<'_>) {
        let Slice { txn, kind, value, .. } = at_hand;
        for (place, mop) in mops.iter().enumerate().filter(|(place, _)| kind[*place] & WRITE != 0) {
            self.items.push((value[place], self.by_number.len() as u32));
            self.by_number.push(Write { mop: *mop, txn: txn[place], kind: kind[place] });
        }
    }

    /// Puts them in order; a value that failed transactions wrote too belongs to who may have taken effect, and one
    /// that a transaction wrote twice to its last write.
    pub(super) fn finish(&mut self, columns: &Columns, key: u32, duplicates: &mut Vec<DuplicateWrite>) {
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

    /// The write of a value, and its number.
    pub(super) fn of(&self, value: i64) -> Option<(u32, Write)> {
        let place = if self.contiguous {
            value.checked_sub(self.items[0].0).and_then(|place| usize::try_from(place).ok())
        } else {
            self.items.binary_search_by_key(&value, |item| item.0).ok()
        };
        let (_, number) = *self.items.get(place?)?;
        Some((number, self.by_number[number as usize]))
    }
}
