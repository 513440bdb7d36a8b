//! What goes backward in an order, of everything that the keys show.

use super::super::index::{Index, Key, NEVER};
use super::super::threads;
use super::ranks::Ranks;
use super::survey::Versions;
use crate::transactions::NONE;

/// Who stands before whom it has to follow, as (txn, before): a writer before one that its reader saw and did not read from,
/// and whoever overwrote a version before its readers. Nothing if a reader of an initial version saw somebody who wrote it.
/// As long as the order keeps to real time, this can be the case of `loose` keys only.
pub(super) fn backward(index: &Index, ranks: &Ranks<'_>, loose: &[u32]) -> Option<Vec<(u32, u32)>> {
    let threads = threads::count(index.columns.len());
    let parts = if ranks.is_timely {
        let parts = loose.chunks(loose.len().div_ceil(threads).max(1)).collect();
        threads::each(parts, |keys: &[u32]| Check::new(index, ranks).keys(keys.iter().copied()))
    } else {
        threads::by_keys(&index.columns, |keys| Check::new(index, ranks).keys(keys))
    };
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    Some(all)
}

struct Check<'i> {
    index: &'i Index,
    ranks: &'i Ranks<'i>,
    previous: &'i [u32],
    versions: Versions,
    backward: Vec<(u32, u32)>,
    /// Ranks of the writers of the key at hand, ascending, the numbers of their writes, and who they are.
    writers: Vec<(u32, u32, u32)>,
    /// By number of the write, its place among them.
    places: Vec<u32>,
    /// Walks that met each rank last, counted from the least that matters.
    met: Vec<u32>,
    walk: u32,
    queue: Vec<u32>,
}

impl<'i> Check<'i> {
    fn new(index: &'i Index, ranks: &'i Ranks<'i>) -> Self {
        Self {
            index,
            ranks,
            previous: &ranks.previous,
            versions: Versions::default(),
            backward: Vec::new(),
            writers: Vec::new(),
            places: Vec::new(),
            met: Vec::new(),
            walk: 0,
            queue: Vec::new(),
        }
    }

    fn keys(mut self, keys: impl Iterator<Item = u32>) -> Option<Vec<(u32, u32)>> {
        let mut versions = std::mem::take(&mut self.versions);
        let columns = &self.index.columns;
        for key in keys {
            // What others stand for in between does not matter: whom a reader depends on is the same in any order.
            if !columns.of_key(key).iter().any(|mop| self.ranks.is_moved(columns.txn(*mop as usize))) {
                continue;
            }
            versions.load(self.index, Key { key, at_hand: None }, false)?;
            self.load(&versions, columns.of_key(key).len());
            self.key(&versions)?;
        }
        Some(self.backward)
    }

    /// What goes backward of the key whose versions and writers are loaded.
    fn key(&mut self, versions: &Versions) -> Option<()> {
        let first_root = versions.roots.iter().map(|txn| self.ranks.of(*txn)).min().unwrap_or(NONE);
        for (reader, number) in versions.reads.iter().copied() {
            // Nothing changed between the two otherwise: what was moved between them was moved within itself.
            if !self.ranks.is_moved(reader) && !self.is_writer_moved(number) {
                continue;
            }
            let rank = self.ranks.of(reader);
            let first = if number == NEVER {
                if first_root < rank {
                    let early = versions.roots.iter().filter(|txn| self.ranks.of(**txn) < rank);
                    self.backward.extend(early.map(|txn| (*txn, reader)));
                }
                0
            } else {
                let overwriter = versions.overwriter(number);
                if overwriter != NONE && self.ranks.of(overwriter) < rank {
                    self.backward.push((overwriter, reader));
                }
                self.places[number as usize] as usize + 1
            };
            // Whoever stands behind the writer, and before the reader.
            if self.writers.get(first).is_some_and(|next| next.0 < rank) && self.saw(reader, first) && number == NEVER {
                return None;
            }
        }
        Some(())
    }

    /// Whether who wrote what was read may stand elsewhere than before; not for the initial version.
    fn is_writer_moved(&self, number: u32) -> bool {
        let place = self.places.get(number as usize).filter(|_| number != NEVER);
        place.is_some_and(|place| self.ranks.is_moved(self.writers[*place as usize].2))
    }

    /// Makes the writers those of a key with so many micro-operations.
    fn load(&mut self, versions: &Versions, mops: usize) {
        self.writers.clear();
        let ranked = versions.writers.iter().map(|(txn, number)| (self.ranks.of(*txn), *number, *txn));
        self.writers.extend(ranked);
        if !self.writers.is_sorted() {
            self.writers.sort_unstable();
        }
        self.places.resize(self.places.len().max(mops), 0);
        for (place, (_, number, _)) in self.writers.iter().enumerate() {
            self.places[*number as usize] = place as u32;
        }
    }

    /// Whether a reader depends on one of the writers from a place on that stand before it: these have to stand before the
    /// writer in front of that place, whom it reads from.
    fn saw(&mut self, reader: u32, first: usize) -> bool {
        let columns = &self.index.columns;
        let (least, rank) = (self.writers[first].0, self.ranks.of(reader));
        let window = (rank - least) as usize;
        if self.met.len() < window {
            self.met.resize(window, 0);
        }
        self.walk += 1;
        self.queue.clear();
        self.queue.push(reader);
        while let Some(txn) = self.queue.pop() {
            let reads = columns.mops(txn).filter(|mop| columns.is_external(*mop) && !columns.is_write(*mop));
            let sources = reads.map(|mop| self.index.write_of(mop)).filter(|write| *write != NEVER);
            let writers = sources.map(|write| columns.txn(write as usize));
            let previous = self.previous.get(txn as usize).copied().filter(|previous| *previous != NONE);
            for before in writers.chain(previous) {
                // All of them stand before the reader.
                let rank = self.ranks.of(before);
                if rank >= least && self.met[(rank - least) as usize] != self.walk {
                    self.met[(rank - least) as usize] = self.walk;
                    self.queue.push(before);
                }
            }
        }
        let candidates = self.writers[first..].iter().take_while(|writer| writer.0 < rank);
        let seen = candidates.filter(|writer| self.met[(writer.0 - least) as usize] == self.walk);
        let before = self.backward.len();
        match first.checked_sub(1) {
            Some(place) => self.backward.extend(seen.map(|writer| (self.writers[place].2, writer.2))),
            None => return seen.count() > 0,
        }
        self.backward.len() > before
    }
}
