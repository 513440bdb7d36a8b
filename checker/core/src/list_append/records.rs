//! Micro-operations as records of 16 bytes, in partitions by key.
//!
//! Lists are not kept as they were read. A list that only grows is one list: reads of it are lengths. So each key has a
//! *trunk*; a read that continues it adds [`Kind::Element`]s to it, a read that is a beginning of it adds nothing, and a
//! read that contradicts it brings its own elements, as [`Kind::Aside`]. Nothing is lost: every list can be told again
//! from the records of its key, in their order.

use crate::spill::Fixed;

/// Partitions of the keys, always as many, so that no result depends on the machine.
pub(super) const PARTITIONS: usize = 256;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The transaction appended the payload. Flag: it appends to the key again later.
    Append,
    /// The transaction read as many elements as the payload says. Flag: its first touch of the key, an append of its own
    /// follows.
    Read,
    /// The trunk goes on with the payload. Flag: a new trunk begins.
    Element,
    /// The next read, which contradicts the trunk, saw the payload.
    Aside,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Number of the key.
    pub(super) key: u32,
    /// Two bits of kind, one flag, and 29 bits of transaction.
    head: u32,
    pub(super) payload: i64,
}

const TXN_BITS: u32 = 29;

/// Set in the payload of a read that contradicts the trunk.
const ASIDE: i64 = 1 << 40;

/// Above it in the payload of a read: its place among the micro-operations, as far as that fits.
const AT_SHIFT: u32 = 41;
const AT_MAX: usize = (1 << 22) - 1;

impl Record {
    pub(super) fn new(key: u32, kind: Kind, flag: bool, txn: u32, payload: i64) -> Self {
        debug_assert!(txn < 1 << TXN_BITS);
        let kind = match kind {
            Kind::Append => 0,
            Kind::Read => 1,
            Kind::Element => 2,
            Kind::Aside => 3,
        };
        Self { key, head: kind << 30 | u32::from(flag) << TXN_BITS | txn, payload }
    }

    pub(super) fn read(key: u32, then_appends: bool, txn: u32, at: usize, length: usize, aside: bool) -> Self {
        let payload = length as i64 | if aside { ASIDE } else { 0 } | (at.min(AT_MAX) as i64) << AT_SHIFT;
        Self::new(key, Kind::Read, then_appends, txn, payload)
    }

    pub(super) fn kind(self) -> Kind {
        match self.head >> 30 {
            0 => Kind::Append,
            1 => Kind::Read,
            2 => Kind::Element,
            _ => Kind::Aside,
        }
    }

    /// Whether it says what a transaction did.
    pub(super) fn is_of_txn(self) -> bool {
        matches!(self.kind(), Kind::Append | Kind::Read)
    }

    pub(super) fn flag(self) -> bool {
        self.head >> TXN_BITS & 1 == 1
    }

    pub(super) fn txn(self) -> u32 {
        self.head & ((1 << TXN_BITS) - 1)
    }

    /// Length of the list of a read, and whether it contradicts the trunk.
    pub(super) fn length(self) -> (usize, bool) {
        ((self.payload & (ASIDE - 1)) as usize, self.payload & ASIDE != 0)
    }

    /// Place of a read among the micro-operations of its transaction.
    pub(super) fn at(self) -> u32 {
        (self.payload >> AT_SHIFT) as u32
    }
}

impl Fixed for Record {
    const BYTES: usize = 16;

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.key.to_le_bytes());
        bytes.extend_from_slice(&self.head.to_le_bytes());
        bytes.extend_from_slice(&self.payload.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let (key, head) = (number(&bytes[..4]) as u32, number(&bytes[4..8]) as u32);
        Self { key, head, payload: number(&bytes[8..]).cast_signed() }
    }
}

/// The partition of a key.
pub(super) fn partition_of(key: u32) -> usize {
    key as usize % PARTITIONS
}

/// The records of a partition, those of one key next to each other and in their order (counting sort).
pub(super) fn grouped(records: &[Record]) -> Vec<Record> {
    let place = |record: &Record| record.key as usize / PARTITIONS;
    let keys = records.iter().map(place).max().map_or(0, |last| last + 1);
    let mut next = vec![0_u32; keys + 1];
    records.iter().for_each(|record| next[place(record) + 1] += 1);
    for key in 0..keys {
        next[key + 1] += next[key];
    }
    let mut sorted = records.to_vec();
    for record in records {
        let slot = &mut next[place(record)];
        sorted[*slot as usize] = *record;
        *slot += 1;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_what_they_are_given() {
        for kind in [Kind::Append, Kind::Read, Kind::Element, Kind::Aside] {
            for flag in [false, true] {
                let record = Record::new(7, kind, flag, (1 << TXN_BITS) - 1, i64::MIN);
                assert_eq!((record.kind(), record.flag(), record.txn()), (kind, flag, (1 << TXN_BITS) - 1));
            }
        }
        let read = Record::read(0, true, 3, AT_MAX + 1, 1 << 32, true);
        assert_eq!((read.length(), read.at()), ((1 << 32, true), AT_MAX as u32));
        let read = Record::read(0, true, 3, 5, 0, false);
        assert_eq!((read.length(), read.at()), ((0, false), 5));
        assert_eq!(std::mem::size_of::<Record>(), 16);
        let record = Record { key: 0x0102_0304, head: 0xfffe_fdfc, payload: i64::MIN + 77 };
        let mut bytes = Vec::new();
        record.put(&mut bytes);
        assert_eq!((bytes.len(), Record::get(&bytes)), (Record::BYTES, record));
    }
}
