//! Micro-operations outside of memory, in partitions by key: each partition, or some of them, can be had back as columns of
//! its own, of which all that is said of single keys is true.

use super::{Columns, Numbering};
use crate::rw_register::threads;
use crate::spill::{Fixed, Limits, SpillError, Streams};
use crate::transactions::{NONE, Txns};
use std::ops::Range;
use std::sync::Arc;

/// Partitions of the keys, always as many, so that no result depends on the machine.
const PARTITIONS: usize = 256;

/// One micro-operation that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    key: i64,
    /// What it wrote or read; `None` with [`super::NIL`].
    value: Option<i64>,
    txn: u32,
    kind: u8,
    /// Its place among those that are kept of its transaction, as far as that fits.
    at: u16,
}

impl Fixed for Record {
    const BYTES: usize = 23;

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.key.to_le_bytes());
        bytes.extend_from_slice(&self.value.unwrap_or_default().to_le_bytes());
        bytes.extend_from_slice(&self.txn.to_le_bytes());
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.at.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let (key, value) = (number(&bytes[..8]).cast_signed(), number(&bytes[8..16]).cast_signed());
        let (txn, kind, at) = (number(&bytes[16..20]) as u32, bytes[20], number(&bytes[21..]) as u16);
        Self { key, value: (kind & super::NIL == 0).then_some(value), txn, kind, at }
    }
}

/// The partition of a key.
pub(crate) fn partition_of(key: i64) -> usize {
    (key.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

/// All micro-operations.
#[derive(Debug)]
pub(crate) struct Records {
    streams: Streams<Record>,
    /// How many each partition has.
    counts: Vec<u64>,
    /// The transaction of the last one, and how many it had before.
    last: (u32, u16),
}

impl Records {
    /// None yet. They take the streams of the spill from 0 on.
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut streams = Streams::new(PARTITIONS);
        streams.limit(Arc::clone(&limits.spill), 0, limits.memory_bytes_max / 4);
        Self { streams, counts: vec![0; PARTITIONS], last: (NONE, 0) }
    }

    /// The next one, in the order of transactions and of their programs.
    pub(crate) fn push(&mut self, txn: u32, key: i64, value: Option<i64>, kind: u8) {
        let at = if self.last.0 == txn { self.last.1.saturating_add(1) } else { 0 };
        self.last = (txn, at);
        let record = Record { key, value, txn, kind, at };
        let partition = partition_of(key);
        self.counts[partition] += 1;
        self.streams.push(partition, record);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Gives the memory that is not needed any more back.
    pub(crate) fn put_aside(&mut self) {
        self.streams.put_aside();
    }

    /// Partitions that follow each other, in groups of so many micro-operations at most, or of one partition.
    pub(crate) fn groups(&self, mops_max: u64) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        let mut mops = 0;
        for (partition, count) in self.counts.iter().enumerate() {
            mops += count;
            match groups.last_mut() {
                Some(group) if mops <= mops_max => group.end = partition + 1,
                _ => {
                    mops = *count;
                    groups.push(partition..partition + 1);
                }
            }
        }
        groups
    }

    /// The micro-operations of some partitions as columns, those of the keys that are wanted.
    ///
    /// # Errors
    /// If they cannot be had back.
    pub(crate) fn columns(
        &self,
        txns: Arc<Txns>,
        partitions: impl IntoIterator<Item = usize>,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Result<Columns, SpillError> {
        let mut records: Vec<Record> = Vec::new();
        for partition in partitions {
            let stream = self.streams.stream(partition)?;
            records.extend(stream.iter().filter(|record| is_wanted(record.key)));
        }
        // A few runs in order: this sort merges them, and keeps the order of each key.
        records.sort_by_key(|record| (record.txn, record.at));
        let (mut columns, mut numbering) = (Columns::default(), Numbering::default());
        let mut rest = records.as_slice();
        for txn in 0..txns.len() as u32 {
            columns.tags.begin();
            let count = rest.iter().take_while(|record| record.txn == txn).count();
            let (of_txn, others) = rest.split_at(count);
            for record in of_txn {
                columns.key.push(numbering.stand_in(record.key));
                columns.values.push(record.value);
                columns.tags.push(record.kind);
            }
            rest = others;
        }
        drop(records);
        columns.txns = txns;
        let parts = threads::count(columns.len());
        columns.group(numbering, parts);
        Ok(columns)
    }
}
