//! What the keys show, counted: dependencies are not kept, but for those that time alone does not put in order.

use super::super::columns::{AGAIN, EXTERNAL, WRITE};
use super::super::index::{Index, NEVER, NOBODY};
use super::super::keys::is_fan;
use super::super::threads;
use crate::transactions::NONE;
use std::ops::Range;

/// What all keys showed.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Dependencies, as [`super::super::keys::examine`] would give them.
    pub(super) dependencies: usize,
    /// Keys whose version order is not known in full.
    pub(super) open_keys: u64,
    /// Who overwrote a version, and who read it and was not done when the other one began.
    /// In ascending order.
    pub(super) before: Vec<(u32, u32)>,
}

/// Goes through all keys; nothing if an update was lost, or if too much would have to be kept.
pub(super) fn survey(index: &Index) -> Option<Survey> {
    let parts = threads::by_keys(&index.columns, |keys| of_keys(index, keys));
    let mut whole = Survey::default();
    for part in parts {
        let part = part?;
        whole.dependencies += part.dependencies;
        whole.open_keys += part.open_keys;
        whole.before.extend(part.before);
    }
    // As many ascending runs as parts: this sort merges them.
    whole.before.sort();
    Some(whole)
}

fn of_keys(index: &Index, keys: Range<u32>) -> Option<Survey> {
    let mut survey = Survey::default();
    let mut versions = Versions::default();
    let most = index.columns.len() / 8 + 1024;
    for key in keys {
        versions.load(index, key)?;
        survey.dependencies += versions.dependencies();
        survey.open_keys += u64::from(!versions.is_total());
        versions.before(index, most, &mut survey.before)?;
    }
    survey.before.sort_unstable();
    Some(survey)
}

/// The versions of a key and who met them. Reusable.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// By number of the write: how many read it, and who read and overwrote it (`NONE`: nobody).
    met: Vec<(u32, u32)>,
    /// Reads before any write of one's own: the transaction, and the number of the write that was read, or [`NEVER`].
    pub(super) reads: Vec<(u32, u32)>,
    /// Who wrote a version, and the number of the write, in order of invocation.
    pub(super) writers: Vec<(u32, u32)>,
    /// Who wrote without having read what somebody else wrote, in order of invocation.
    pub(super) roots: Vec<u32>,
    again: usize,
    initial_readers: usize,
    initial_overwritten: usize,
}

impl Versions {
    /// Makes it that of a key; nothing if an update was lost, or if versions follow each other in a circle.
    pub(super) fn load(&mut self, index: &Index, key: u32) -> Option<()> {
        let columns = &index.columns;
        let mops = columns.of_key(key);
        self.met.clear();
        self.met.resize(mops.len(), (0, NONE));
        self.reads.clear();
        self.writers.clear();
        self.roots.clear();
        (self.again, self.initial_readers, self.initial_overwritten) = (0, 0, 0);
        let mut seen = (NONE, NOBODY);
        for mop in mops.iter().map(|mop| *mop as usize) {
            let (kind, txn) = (columns.kind[mop], columns.txn(mop));
            if kind & (WRITE | EXTERNAL) == EXTERNAL {
                seen = (txn, index.number_of_read(mop));
                self.reads.push(seen);
                match seen.1 {
                    NEVER => self.initial_readers += 1,
                    number => self.met[number as usize].0 += 1,
                }
            } else if kind & WRITE == 0 {
                self.again += usize::from(kind & AGAIN != 0 && index.number_of_read(mop) != NEVER);
            } else if kind & EXTERNAL != 0 && index.is_effective(txn) {
                self.writers.push((txn, index.write_of(mop)));
                self.overwrites(txn, if seen.0 == txn { seen.1 } else { NOBODY })?;
            }
        }
        (self.writers.is_empty() || !self.roots.is_empty()).then_some(())
    }

    fn overwrites(&mut self, txn: u32, seen: u32) -> Option<()> {
        match seen {
            NOBODY => self.roots.push(txn),
            NEVER => {
                self.roots.push(txn);
                self.initial_overwritten += 1;
            }
            number => {
                let slot = &mut self.met[number as usize].1;
                if *slot != NONE {
                    return None;
                }
                *slot = txn;
            }
        }
        (self.initial_overwritten <= 1).then_some(())
    }

    /// Who read and overwrote what a read saw, if anybody; not for the initial version.
    pub(super) fn overwriter(&self, number: u32) -> u32 {
        self.met[number as usize].1
    }

    /// Whether each version but one was made from another one: no two from the same, since no update was lost.
    fn is_total(&self) -> bool {
        self.roots.len() <= 1
    }

    /// Edges from writers to readers, and from readers to whoever overwrote what they read.
    fn dependencies(&self) -> usize {
        let of_others = self.reads.len() - self.initial_readers + self.again;
        let overwritten = self.met.iter().filter(|(_, overwriter)| *overwriter != NONE);
        // Whoever overwrote a version is one of its readers.
        let of_readers: usize = overwritten.map(|(readers, _)| *readers as usize - 1).sum();
        let (readers, roots) = (self.initial_readers, self.roots.len());
        let of_initial =
            if !self.is_total() && is_fan(readers, roots) { 1 } else { readers * roots - self.initial_overwritten };
        of_others + of_readers + of_initial
    }

    /// Readers before those who overwrote what they read, where they overlap in time; nothing once there are too many.
    fn before(&self, index: &Index, most: usize, before: &mut Vec<(u32, u32)>) -> Option<()> {
        let txns = &index.columns.txns;
        for (reader, number) in self.reads.iter().copied() {
            let end = txns.end(reader);
            let overlaps = |txn: &u32| txns.invoke(*txn) < end;
            if number == NEVER {
                let roots = self.roots.iter().take_while(|txn| overlaps(txn)).filter(|txn| **txn != reader);
                before.extend(roots.map(|txn| (*txn, reader)));
            } else {
                let overwriter = self.overwriter(number);
                if ![NONE, reader].contains(&overwriter) && overlaps(&overwriter) {
                    before.push((overwriter, reader));
                }
            }
            if before.len() > most {
                return None;
            }
        }
        Some(())
    }
}
