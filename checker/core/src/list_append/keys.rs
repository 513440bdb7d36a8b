//! What each key shows: dependencies between transactions, and the anomalies that need no cycle.
//!
//! Keys are independent of each other. Dependencies follow the version order, between neighbours only:
//! * ww: the writer of a version before the writer of the next;
//! * wr: the writer of a version before each transaction that read it as the last element;
//! * rw: each transaction that read a version as the last element before the writer of the next.
//!
//! An append that the order lacks comes after its last version. Readers of that version precede all such appends: a
//! product that is kept as a [`Fan`] where it is large.

use super::raw::Raw;
use super::records::{Record, grouped};
use super::versions::{Append, DuplicateAppend, Read, Versions};
use crate::op::Outcome;
use crate::transactions::dependencies::{Dependencies, Fan};
use crate::transactions::{NONE, Txns};

/// What some keys showed.
#[derive(Debug, Default)]
pub(super) struct KeyFacts {
    pub(super) dependencies: Dependencies,
    /// Anomalies, key by key.
    pub(super) found: Vec<Raw>,
    /// `info` transactions, and moments by which their effect had been seen or overwritten.
    pub(super) seen: Vec<(u32, u32)>,
    /// Numbers of keys with versions that came from a failed transaction, or from nowhere.
    pub(super) broken: Vec<u32>,
    /// Values that were appended twice. Where there are any, nothing else is told.
    pub(super) duplicates: Vec<DuplicateAppend>,
}

/// A product this much larger than its sides is kept as a fan.
const FAN_FACTOR: usize = 8;

/// Goes through the keys of one partition. `keys` are the keys by number.
pub(super) fn examine(records: &[Record], keys: &[i64], txns: &Txns) -> KeyFacts {
    let mut work = Work {
        versions: Versions::default(),
        facts: KeyFacts::default(),
        txns,
        rmw: Vec::new(),
        last_readers: Vec::new(),
        astray: Vec::new(),
        unobserved: Vec::new(),
        seen_at: Vec::new(),
    };
    for of_key in grouped(records).chunk_by(|a, b| a.key == b.key) {
        work.versions.load(of_key, txns);
        work.key(keys[of_key[0].key as usize]);
        if !work.versions.is_clean() || work.versions.has_aborted() {
            work.facts.broken.push(of_key[0].key);
        }
    }
    work.facts
}

struct Work<'t> {
    versions: Versions,
    facts: KeyFacts,
    txns: &'t Txns,
    /// Length of the list that a read-then-append saw, and its transaction.
    rmw: Vec<(u32, u32)>,
    last_readers: Vec<u32>,
    /// Reads that end with the last version but are no prefix of the order.
    astray: Vec<Read>,
    unobserved: Vec<u32>,
    seen_at: Vec<u32>,
}

impl Work<'_> {
    fn key(&mut self, key: i64) {
        self.facts.duplicates.extend(self.versions.duplicates(key));
        if !self.facts.duplicates.is_empty() {
            return;
        }
        self.rmw.clear();
        self.last_readers.clear();
        self.astray.clear();
        let clean = self.versions.is_clean();
        let mut orderly = true;
        let mut intermediate = false;
        for place in 0..self.versions.reads.len() {
            let read = self.versions.reads[place];
            let prefix = self.versions.has_prefix(&read);
            orderly &= prefix;
            let rank = match (prefix && clean, read.len()) {
                (_, 0) => None,
                (true, length) => Some(Some(length - 1)),
                (false, _) => self.versions.last_rank(&read),
            };
            intermediate |= self.read_edges(&read, rank, prefix && clean);
            if read.then_appends && prefix {
                self.rmw.push((read.len(), read.txn));
            }
        }
        if let Some((before, after)) = self.write_edges() {
            let (txn, first, second) = (before.txn, after.value, before.value);
            let reader = self.versions.longest_reader();
            self.facts.found.push(Raw::OwnOrder { key, txn, first, second, reader });
        }
        self.lost_updates(key, orderly);
        if intermediate {
            self.intermediate_reads(key);
        }
        let aborted = self.versions.has_aborted();
        if !orderly || !clean || aborted {
            self.contents(key);
        }
        if !orderly {
            self.facts.found.extend(incompatible_order(key, &self.versions));
        }
        if aborted {
            self.dirty_updates(key);
        }
        self.note_first_seen();
    }

    /// wr and rw edges of one read. Returns whether it ended with an intermediate append of another transaction.
    ///
    /// A read that is no prefix of the order still names who wrote its last element, but may have seen more of the
    /// order than lies below that: it precedes no append that it saw.
    fn read_edges(&mut self, read: &Read, rank: Option<Option<u32>>, prefix: bool) -> bool {
        let dependencies = &mut self.facts.dependencies;
        let mut intermediate = false;
        let mut writer = NONE;
        if let Some(rank) = rank {
            let append = match rank {
                Some(rank) => self.versions.append_at(rank),
                None => self.versions.list(read).last().and_then(|last| self.versions.append_of(*last)),
            };
            if let Some(append) = append {
                writer = append.txn;
                intermediate = append.intermediate && append.txn != read.txn && read.ok;
                if append.is_possible() && append.txn != read.txn {
                    dependencies.wr.push((append.txn, read.txn));
                }
            }
        }
        let next = match rank {
            None => 0,
            Some(Some(rank)) => rank + 1,
            Some(None) => return intermediate,
        };
        if next == self.versions.len() {
            if prefix {
                self.last_readers.push(read.txn);
            } else {
                self.astray.push(*read);
            }
        } else if let Some(append) = self.versions.append_at(next)
            && append.is_possible()
            && append.txn != read.txn
            && writer != read.txn
            && (prefix || !self.versions.list(read).contains(&append.value))
        {
            dependencies.rw.push((read.txn, append.txn));
        }
        intermediate
    }

    /// ww edges, and the edges of appends that the version order lacks. Returns the first two neighbours that their
    /// transaction appended the other way round.
    fn write_edges(&mut self) -> Option<(Append, Append)> {
        let dependencies = &mut self.facts.dependencies;
        let mut previous: Option<Append> = None;
        let mut turned = None;
        for rank in 0..self.versions.len() {
            let append = self.versions.append_at(rank).filter(Append::is_possible);
            if let (Some(from), Some(to)) = (previous, append) {
                if from.txn != to.txn {
                    dependencies.ww.push((from.txn, to.txn));
                } else if from.is_later_than(&to) {
                    turned = turned.or(Some((from, to)));
                }
            }
            previous = append;
        }
        self.unobserved_edges(previous.map(|append| append.txn));
        turned
    }

    /// The edges of appends that the version order lacks; `previous` made its last version.
    fn unobserved_edges(&mut self, previous: Option<u32>) {
        self.unobserved.clear();
        self.unobserved.extend(self.versions.unobserved().filter(Append::is_possible).map(|append| append.txn));
        if self.unobserved.is_empty() {
            return;
        }
        self.astray_edges();
        let dependencies = &mut self.facts.dependencies;
        self.unobserved.sort_unstable();
        self.unobserved.dedup();
        if let Some(last) = previous {
            dependencies.ww.extend(self.unobserved.iter().filter(|txn| **txn != last).map(|txn| (last, *txn)));
        }
        // Whoever wrote the last version and read it precedes the appends by ww already.
        self.last_readers.retain(|txn| Some(*txn) != previous);
        self.last_readers.sort_unstable();
        self.last_readers.dedup();
        let (readers, appenders) = (self.last_readers.len(), self.unobserved.len());
        if readers * appenders > FAN_FACTOR * (readers + appenders) + 256 {
            let fan = Fan { readers: self.last_readers.clone(), appenders: self.unobserved.clone() };
            dependencies.fans.push(fan);
            return;
        }
        for reader in &self.last_readers {
            let others = self.unobserved.iter().filter(|txn| *txn != reader);
            dependencies.rw.extend(others.map(|txn| (*reader, *txn)));
        }
    }

    /// rw edges of reads that ended with the last version but are no prefix of the order. Left out where the product is
    /// large: the key's lists are reported already, and that is worse than any cycle with such an edge.
    fn astray_edges(&mut self) {
        if self.astray.len() * self.unobserved.len() > 10_000 {
            return;
        }
        for append in self.versions.unobserved().filter(Append::is_possible) {
            for read in &self.astray {
                if read.txn != append.txn && !self.versions.list(read).contains(&append.value) {
                    self.facts.dependencies.rw.push((read.txn, append.txn));
                }
            }
        }
    }

    fn lost_updates(&mut self, key: i64, orderly: bool) {
        self.rmw.sort_unstable();
        for group in self.rmw.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            let txns: Vec<u32> = group.iter().map(|(_, txn)| *txn).collect();
            let seen = self.versions.reads.iter().find(|read| read.txn == txns[0] && read.then_appends);
            let seen = seen.map(|read| self.versions.list(read).to_vec()).unwrap_or_default();
            self.facts.found.push(Raw::LostUpdate { key, seen, txns });
        }
        if orderly {
            return;
        }
        let versions = &self.versions;
        let astray = versions.reads.iter().filter(|read| read.then_appends && !versions.has_prefix(read));
        let mut others: Vec<(&[i64], u32)> = astray.map(|read| (versions.list(read), read.txn)).collect();
        others.sort_unstable();
        for group in others.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            let txns = group.iter().map(|(_, txn)| *txn).collect();
            self.facts.found.push(Raw::LostUpdate { key, seen: group[0].0.to_vec(), txns });
        }
    }

    /// G1b, one case for each intermediate element.
    fn intermediate_reads(&mut self, key: i64) {
        let mut cases: Vec<(i64, u32, u32)> = Vec::new();
        for read in self.versions.reads.iter().filter(|read| read.ok) {
            if let Some(element) = self.versions.list(read).last()
                && let Some(append) = self.versions.append_of(*element)
                && append.intermediate
                && append.txn != read.txn
            {
                cases.push((*element, read.txn, append.txn));
            }
        }
        cases.sort_unstable();
        for group in cases.chunk_by(|a, b| a.0 == b.0) {
            let (element, reader, writer) = group[0];
            self.facts.found.push(Raw::G1b { key, element, reader, writer, more: group.len() as u64 - 1 });
        }
    }

    /// G1a, garbage reads and duplicate elements: looks at every element of every read.
    fn contents(&mut self, key: i64) {
        let mut aborted: Vec<(i64, u32, u32)> = Vec::new();
        let mut garbage: Vec<(i64, u32)> = Vec::new();
        let mut duplicate: Option<Raw> = None;
        let mut sorted: Vec<i64> = Vec::new();
        for read in &self.versions.reads {
            sorted.clear();
            sorted.extend_from_slice(self.versions.list(read));
            sorted.sort_unstable();
            for same in sorted.chunk_by(|a, b| a == b) {
                let element = same[0];
                match self.versions.append_of(element) {
                    Some(append) if append.outcome == Outcome::Fail && read.ok => {
                        aborted.push((element, read.txn, append.txn));
                    }
                    None if read.ok => garbage.push((element, read.txn)),
                    _ => {}
                }
            }
            let twice = sorted.chunk_by(|a, b| a == b).find(|same| same.len() > 1);
            match (&mut duplicate, twice) {
                (Some(Raw::Duplicate { more, .. }), Some(_)) => *more += 1,
                (None, Some(same)) => {
                    let times = same.len() as u64;
                    duplicate = Some(Raw::Duplicate { key, element: same[0], times, reader: read.txn, more: 0 });
                }
                _ => {}
            }
        }
        aborted.sort_unstable();
        for group in aborted.chunk_by(|a, b| a.0 == b.0) {
            let (element, reader, writer) = group[0];
            self.facts.found.push(Raw::G1a { key, element, reader, writer, more: group.len() as u64 - 1 });
        }
        garbage.sort_unstable();
        for group in garbage.chunk_by(|a, b| a.0 == b.0) {
            let (element, reader) = group[0];
            self.facts.found.push(Raw::Garbage { key, element, reader, more: group.len() as u64 - 1 });
        }
        self.facts.found.extend(duplicate);
    }

    fn dirty_updates(&mut self, key: i64) {
        let mut armed: Option<(u32, i64)> = None;
        for rank in 0..self.versions.len() {
            let Some(append) = self.versions.append_at(rank) else { continue };
            let version = (append.txn, append.value);
            match append.outcome {
                Outcome::Fail => armed = armed.or(Some(version)),
                Outcome::Info => {}
                Outcome::Ok => {
                    if let Some(failed) = armed.take() {
                        self.facts.found.push(Raw::DirtyUpdate { key, failed, ok: version });
                    }
                }
            }
        }
    }

    /// For `info` appends that were observed: the first completion at which that version, or a later one, was seen.
    fn note_first_seen(&mut self) {
        let length = self.versions.len();
        let is_info = |rank| self.versions.append_at(rank).is_some_and(|append| append.outcome == Outcome::Info);
        if !(0..length).any(is_info) {
            return;
        }
        self.seen_at.clear();
        self.seen_at.resize(length as usize, NONE);
        for read in &self.versions.reads {
            if let Some(Some(rank)) = self.versions.last_rank(read) {
                let slot = &mut self.seen_at[rank as usize];
                *slot = (*slot).min(self.txns.end(read.txn));
            }
        }
        let mut earliest = NONE;
        for rank in (0..length).rev() {
            earliest = earliest.min(self.seen_at[rank as usize]);
            let Some(append) = self.versions.append_at(rank) else { continue };
            if append.outcome == Outcome::Info {
                self.facts.seen.push((append.txn, earliest));
            }
            earliest = earliest.min(self.txns.end(append.txn));
        }
    }
}

/// The first pair of neighbours, among the distinct lists sorted by length, where the shorter is no prefix.
fn incompatible_order(key: i64, versions: &Versions) -> Option<Raw> {
    let mut lists: Vec<(&[i64], u32)> = versions.reads.iter().map(|read| (versions.list(read), read.txn)).collect();
    lists.sort_unstable_by(|a, b| (a.0.len(), a.0, a.1).cmp(&(b.0.len(), b.0, b.1)));
    lists.dedup_by(|next, kept| next.0 == kept.0);
    let pair = lists.windows(2).find(|pair| !pair[1].0.starts_with(pair[0].0))?;
    let owned = |(list, txn): (&[i64], u32)| (txn, list.to_vec());
    Some(Raw::IncompatibleOrder { key, shorter: owned(pair[0]), longer: owned(pair[1]) })
}
