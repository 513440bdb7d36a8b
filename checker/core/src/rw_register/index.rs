//! Who reads from whom, and which writes are versions.
//!
//! Each read is resolved to the write of its value, key by key. A *version* is the last write of a key by a transaction
//! that took effect: an `ok` one, or an `info` one of which some read of an `ok` transaction saw a write. An `info`
//! transaction that nobody saw may as well not have happened, and orders nothing.

mod resolver;
mod writes;

use super::at_hand::Slice;
use super::columns::{Columns, Own};
use super::raw::Raw;
use super::threads;
use crate::op::Outcome;
use crate::transactions::NONE;
use resolver::Resolver;
use std::sync::Arc;
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
        found.extend(columns.own.drain(..).map(Own::into_raw));
        // Every place is filled below.
        let source: Vec<AtomicU32> = columns.take_keys().into_iter().map(AtomicU32::new).collect();
        let txns = columns.txns.len() as u32;
        let effective: Vec<bool> = (0..txns).map(|txn| columns.txns.outcome(txn) == Outcome::Ok).collect();
        let mut index = Self { columns, source, effective };
        let parts = threads::by_keys(&index.columns, |keys| Resolver::new(&index).keys(keys, &each));
        let mut duplicates = Vec::new();
        let mut visited = Visited { parts: Vec::new(), open: Vec::new() };
        for (part, visit) in parts {
            found.extend(part.found);
            duplicates.extend(part.duplicates);
            for (writer, moment) in part.seen {
                index.effective[writer as usize] = true;
                // Shared by columns that tell the same again: then nothing is news.
                if index.columns.txns.is_news(writer, moment) {
                    Arc::make_mut(&mut index.columns.txns).note_seen(writer, moment);
                }
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

    /// Tells of everybody who took effect, also as other columns show it.
    pub(crate) fn set_effective(&mut self, effective: &[bool]) {
        self.effective.copy_from_slice(effective);
    }

    /// Whether each transaction took effect for all that is known.
    pub(crate) fn effective(&self) -> &[bool] {
        &self.effective
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
