//! Columns in as few bytes as the history allows.

use std::ops::Range;

/// Micro-operations that share a base in [`Tags`].
const BLOCK: usize = 16;

/// Transactions and kinds of micro-operations: one byte for each, and four for each transaction and each block.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// Micro-operations of transaction `t`: `start[t]..start[t + 1]`.
    start: Vec<u32>,
    /// Transaction of the first micro-operation of each block.
    base: Vec<u32>,
    /// The kind, and above it how many transactions it stands behind its base; [`FAR`]: that many or more.
    tag: Vec<u8>,
}

/// Bits of a kind.
const KIND_BITS: u32 = 4;
const KIND: u8 = (1 << KIND_BITS) - 1;
const FAR: u8 = u8::MAX >> KIND_BITS;

impl Tags {
    /// Begins the next transaction.
    pub(crate) fn begin(&mut self) {
        self.start.push(self.tag.len() as u32);
    }

    /// The next micro-operation of the transaction that was begun last; its kind has four bits.
    pub(crate) fn push(&mut self, kind: u8) {
        debug_assert!(kind <= KIND);
        let txn = self.start.len() as u32 - 1;
        let block = self.tag.len() / BLOCK;
        if block == self.base.len() {
            self.base.push(txn);
        }
        let offset = (txn - self.base[block]).min(u32::from(FAR)) as u8;
        self.tag.push(offset << KIND_BITS | kind);
    }

    /// Ends the last transaction.
    pub(crate) fn finish(&mut self) {
        self.begin();
    }

    /// How many micro-operations there are.
    pub(crate) fn len(&self) -> usize {
        self.tag.len()
    }

    /// The micro-operations of a transaction.
    pub(crate) fn mops(&self, txn: u32) -> Range<usize> {
        self.start[txn as usize] as usize..self.start[txn as usize + 1] as usize
    }

    /// The kind of a micro-operation.
    pub(crate) fn kind(&self, mop: usize) -> u8 {
        self.tag[mop] & KIND
    }

    /// The transaction of a micro-operation. O(1); O(log n) behind many transactions without micro-operations.
    pub(crate) fn txn(&self, mop: usize) -> u32 {
        let (base, offset) = (self.base[mop / BLOCK], self.tag[mop] >> KIND_BITS);
        if offset < FAR {
            return base + u32::from(offset);
        }
        self.start.partition_point(|start| *start as usize <= mop) as u32 - 1
    }
}

/// Integers, in four bytes each while they lie near the first one.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// What 0 in `near` stands for, once there is a value.
    base: Option<i64>,
    near: Vec<u32>,
    /// All of them, once one is too far off.
    all: Vec<i64>,
}

impl Values {
    /// The next one; of none, nothing may be asked.
    pub(crate) fn push(&mut self, value: Option<i64>) {
        if !self.all.is_empty() {
            self.all.push(value.unwrap_or_default());
            return;
        }
        let Some(value) = value else { return self.near.push(0) };
        let base = *self.base.get_or_insert(value.saturating_sub(1 << 31));
        match value.checked_sub(base).map(u32::try_from) {
            Some(Ok(near)) => self.near.push(near),
            _ => {
                self.all = std::mem::take(&mut self.near).into_iter().map(|near| base + i64::from(near)).collect();
                self.all.push(value);
            }
        }
    }

    /// The one at a place.
    pub(crate) fn get(&self, place: usize) -> i64 {
        if self.all.is_empty() { self.base.unwrap_or_default() + i64::from(self.near[place]) } else { self.all[place] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_behind_any_number_of_empty_transactions() {
        for empty in [0, 1, 13, 14, 15, 16, 255, 1000] {
            let (mut tags, mut expected) = (Tags::default(), Vec::new());
            let mut txn = 0;
            for count in [3, 0, 1, 100, 1] {
                tags.begin();
                (0..count).for_each(|_| tags.push(txn as u8 & KIND));
                expected.extend(std::iter::repeat_n(txn, count));
                txn += 1;
                (0..empty).for_each(|_| tags.begin());
                txn += empty;
            }
            tags.finish();
            assert_eq!((0..expected.len()).map(|mop| tags.txn(mop)).collect::<Vec<_>>(), expected, "{empty}");
            assert!(expected.iter().enumerate().all(|(mop, txn)| tags.mops(*txn).contains(&mop)));
            assert!(expected.iter().enumerate().all(|(mop, txn)| tags.kind(mop) == *txn as u8 & KIND));
        }
    }

    #[test]
    fn values_are_kept_whatever_their_range() {
        let far = [i64::MIN, i64::MAX, 0, -1, i64::from(u32::MAX), 1 << 31, (1 << 31) + 5, -(1 << 31), -(1 << 31) - 1];
        for first in far {
            for second in far {
                let mut values = Values::default();
                let pushed = [None, Some(first), Some(5), None, Some(second), Some(first)];
                pushed.into_iter().for_each(|value| values.push(value));
                assert_eq!([1, 2, 4, 5].map(|place| values.get(place)), [first, 5, second, first]);
            }
        }
    }
}
