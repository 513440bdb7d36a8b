//! Fractured and non-monotonic reads: at most one finding for each reader.
//!
//! For a key `a`, go through its reads by rank, and keep, for every key `b` that some writer of `a` up to that rank
//! wrote too, the highest rank at which such a writer began with `b`. A reader of `a` must not have read any `b` below that. The
//! cost is, over all keys, the sum of squares of the sizes of the transactions: at most n^1.5 while these have no more
//! than √n reads and writes. Of larger ones there are fewer than √n, and each is held against all others in one pass.

use super::{Breach, Link, Read, Sights, Write};
use crate::finding::EdgeKind;
use crate::transactions::NONE;

/// A case: the reader saw the writer at the first place, and read below it at the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    /// Whether the writer was seen only after it had been missed: such cases come last.
    merely_fractured: bool,
    seen: Read,
    missed: Read,
    writer: u32,
    /// Rank of the writer's first version at the key where it was seen, and at the one where it was missed.
    at_seen: u32,
    at_missed: u32,
}

/// Finds them all. Marks the readers as told.
pub(super) fn examine(sights: &Sights, told: &mut [bool], found: &mut Vec<Breach>) {
    let large = ((sights.reads.len() + sights.writes.len()) as f64).sqrt() as usize + 64;
    let mut search = Search { sights, cases: vec![None; sights.txns.len()] };
    search.by_key(large);
    search.large(large);
    for (place, case) in search.cases.iter().enumerate() {
        let Some(case) = case else { continue };
        told[place] = true;
        let name = if case.merely_fractured { "fractured-read" } else { "non-monotonic-read" };
        let (reader, writer) = (case.seen.txn, case.writer);
        let seen = Link {
            from: writer,
            to: reader,
            kind: EdgeKind::Wr,
            key: case.seen.key,
            before: case.at_seen,
            after: case.seen.rank,
        };
        let missed = Link {
            from: reader,
            to: writer,
            kind: EdgeKind::Rw,
            key: case.missed.key,
            before: case.missed.rank,
            after: case.at_missed,
        };
        found.push(Breach { name, links: vec![seen, missed], more: 0 });
    }
}

struct Search<'s> {
    sights: &'s Sights,
    /// The first case of each suspect.
    cases: Vec<Option<Case>>,
}

/// The highest rank that any writer seen so far wrote to a key, and the highest that any other one did: a reader does
/// not count against itself.
#[derive(Clone, Copy, Debug)]
struct Highest {
    /// When it was noted: what is older does not count.
    stamp: u32,
    /// What was written, and the rank of the writer's first version at the key where it was seen.
    best: (Write, u32),
    second: Option<(Write, u32)>,
}

impl Highest {
    fn raise(&mut self, write: Write, first: u32) {
        if write.first > self.best.0.first {
            if write.txn != self.best.0.txn {
                self.second = Some(self.best);
            }
            self.best = (write, first);
        } else if write.txn != self.best.0.txn && self.second.is_none_or(|second| second.0.first < write.first) {
            self.second = Some((write, first));
        }
    }
}

impl<'s> Search<'s> {
    fn note(&mut self, seen: Read, missed: Read, writer: u32, at_seen: u32, at_missed: u32) {
        let merely_fractured = seen.at >= missed.at;
        if seen.txn == writer || (merely_fractured && seen.key == missed.key) || self.sights.is_own(&missed) {
            return;
        }
        let Some(place) = self.sights.place(seen.txn) else { return };
        let case = Case { merely_fractured, seen, missed, writer, at_seen, at_missed };
        let known = &mut self.cases[place as usize];
        if known.is_none_or(|known| case < known) {
            *known = Some(case);
        }
    }

    /// Items of one transaction, which come next to each other.
    fn of<T: Copy>(items: &'s [T], txn: u32, txn_of: impl Fn(&T) -> u32) -> &'s [T] {
        let first = items.partition_point(|item| txn_of(item) < txn);
        let end = first + items[first..].partition_point(|item| txn_of(item) == txn);
        &items[first..end]
    }

    fn reads_of(&self, txn: u32) -> &'s [Read] {
        Self::of(&self.sights.reads, txn, |read| read.txn)
    }

    fn writes_of(&self, txn: u32) -> &'s [Write] {
        Self::of(&self.sights.writes, txn, |write| write.txn)
    }

    fn by_key(&mut self, large: usize) {
        let sights = self.sights;
        let keys = sights.reads.iter().map(|read| read.key).chain(sights.writes.iter().map(|write| write.key)).max();
        let Some(keys) = keys else { return };
        let mut highest: Vec<Option<Highest>> = vec![None; keys as usize + 1];
        let mut stamp = 0;
        // Writers of several keys, and readers of several, or of one several times.
        let mut writes: Vec<Write> = Vec::new();
        for of_txn in sights.writes.chunk_by(|a, b| a.txn == b.txn) {
            if of_txn.len() <= large {
                writes.extend(of_txn);
            }
        }
        writes.sort_unstable_by_key(|write| (write.key, write.first, write.txn));
        let mut reads: Vec<Read> = Vec::new();
        for of_txn in sights.reads.chunk_by(|a, b| a.txn == b.txn) {
            if (2..=large).contains(&of_txn.len()) {
                reads.extend(of_txn);
            }
        }
        reads.sort_unstable_by_key(|read| (read.key, read.rank, read.txn, read.at));
        let mut writes = writes.as_slice();
        for of_key in reads.chunk_by(|a, b| a.key == b.key) {
            let key = of_key[0].key;
            writes = &writes[writes.partition_point(|write| write.key < key)..];
            stamp += 1;
            let mut rank_before = NONE;
            for read in of_key {
                if sights.cumulative {
                    while let Some((write, rest)) = writes.split_first()
                        && write.key == key
                        && write.first <= read.rank
                    {
                        writes = rest;
                        self.raise(&mut highest, stamp, write);
                    }
                } else if rank_before != read.rank && read.rank > 0 {
                    stamp += 1;
                    for version in sights.between(key, read.rank - 1, read.rank) {
                        let seen = sights.write(version.txn, key);
                        seen.filter(|_| self.writes_of(version.txn).len() <= large)
                            .iter()
                            .for_each(|write| self.raise(&mut highest, stamp, write));
                    }
                }
                rank_before = read.rank;
                if sights.cumulative || read.rank > 0 {
                    self.against(&highest, stamp, read);
                }
            }
        }
    }

    /// A writer can be seen from here on.
    fn raise(&self, highest: &mut [Option<Highest>], stamp: u32, seen: &Write) {
        for write in self.writes_of(seen.txn) {
            match &mut highest[write.key as usize] {
                Some(known) if known.stamp == stamp => known.raise(*write, seen.first),
                slot => *slot = Some(Highest { stamp, best: (*write, seen.first), second: None }),
            }
        }
    }

    fn against(&mut self, highest: &[Option<Highest>], stamp: u32, seen: &Read) {
        for missed in self.reads_of(seen.txn) {
            let Some(known) = highest[missed.key as usize].filter(|known| known.stamp == stamp) else { continue };
            for (write, first) in [Some(known.best), known.second].into_iter().flatten() {
                if write.first > missed.rank {
                    self.note(*seen, *missed, write.txn, first, write.first);
                }
            }
        }
    }

    /// Transactions with many reads, or many writes.
    fn large(&mut self, large: usize) {
        let sights = self.sights;
        for reads in sights.reads.chunk_by(|a, b| a.txn == b.txn).filter(|reads| reads.len() > large) {
            self.pairs(reads, &sights.writes);
        }
        for writes in sights.writes.chunk_by(|a, b| a.txn == b.txn).filter(|writes| writes.len() > large) {
            for reads in sights.reads.chunk_by(|a, b| a.txn == b.txn).filter(|reads| reads.len() <= large) {
                self.pairs(reads, writes);
            }
        }
    }

    /// Some reads of one transaction against some writes: by key, the first read and those at the ends of their ranks
    /// tell all.
    fn pairs(&mut self, reads: &[Read], writes: &[Write]) {
        let mut by_key: Vec<Read> = reads.to_vec();
        by_key.sort_unstable_by_key(|read| (read.key, read.at));
        let of_key = |key: u32| {
            let first = by_key.partition_point(|read| read.key < key);
            &by_key[first..first + by_key[first..].partition_point(|read| read.key == key)]
        };
        for of_writer in writes.chunk_by(|a, b| a.txn == b.txn) {
            // Where the writer was seen first, and first of those that came after it was missed last.
            let mut seen: Vec<(Read, u32)> = Vec::new();
            let mut missed: Vec<(Read, u32)> = Vec::new();
            for write in of_writer {
                for read in of_key(write.key) {
                    if write.first <= read.rank && (self.sights.cumulative || shows(self.sights, write, read.rank)) {
                        seen.push((*read, write.first));
                    }
                    if read.rank < write.first && !self.sights.is_own(read) {
                        missed.push((*read, write.first));
                    }
                }
            }
            seen.sort_unstable_by_key(|(read, _)| (read.at, read.key));
            missed.sort_unstable_by_key(|(read, _)| (read.at, read.key));
            let ends = |cases: &[(Read, u32)]| {
                let other = cases.iter().find(|case| case.0.key != cases[0].0.key).copied();
                cases.first().copied().into_iter().chain(other).chain(cases.last().copied()).collect::<Vec<_>>()
            };
            for (seen, at_seen) in ends(&seen) {
                for (missed, at_missed) in ends(&missed) {
                    self.note(seen, missed, of_writer[0].txn, at_seen, at_missed);
                }
            }
        }
    }
}

/// Whether the version with a rank is one of a writer's.
fn shows(sights: &Sights, write: &Write, rank: u32) -> bool {
    sights.between(write.key, rank.wrapping_sub(1), rank).iter().any(|version| version.txn == write.txn)
}
