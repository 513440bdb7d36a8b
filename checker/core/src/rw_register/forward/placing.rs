//! Puts transactions behind what they have to follow: a stretch of the order at a time, each by itself.

use super::super::index::{Index, NEVER};
use super::by_txn::Pairs;
use crate::transactions::NONE;
use crate::transactions::txns::TXNS_MAX;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Set in the rank of a transaction that has no place yet; the other bits are then the place it began at.
const OPEN: u32 = 1 << 31;
/// Set besides once it is known what it has to follow.
const ENTERED: u32 = 1 << 30;

const _: () = assert!(TXNS_MAX <= ENTERED as usize, "each transaction has a place");

/// The rank of a transaction that is to be placed, and stood at `place` so far.
pub(super) fn open_at(place: u32) -> u32 {
    OPEN | place
}

/// Where a transaction stands, or stood before it was to be placed.
fn place_of(rank: u32) -> u32 {
    rank & !(OPEN | ENTERED)
}

/// What transactions have to follow.
pub(super) struct Behind<'i> {
    pub(super) index: &'i Index,
    /// For each transaction that took effect, the one before it in its process, or `NONE`; empty where processes do not count.
    pub(super) previous: &'i [u32],
    /// Whom they have to follow besides.
    pub(super) before: &'i Pairs,
    /// Whom they most likely follow.
    pub(super) likely: Option<&'i Pairs>,
    /// Whom they read from, of those that were not done when they began; everything that is read, if that is not known. The
    /// others stand before them in any order that keeps to real time.
    pub(super) overlaps: Option<&'i Pairs>,
}

impl Behind<'_> {
    /// Calls `each` with everyone whom a transaction has to follow, until it gives nothing.
    fn each(&self, txn: u32, mut each: impl FnMut(u32) -> Option<()>) -> Option<()> {
        match self.overlaps {
            Some(overlaps) => overlaps.of(txn).try_for_each(&mut each)?,
            None => self.read_from(txn).try_for_each(&mut each)?,
        }
        if let Some(previous) = self.previous.get(txn as usize).copied().filter(|previous| *previous != NONE) {
            each(previous)?;
        }
        self.before.of(txn).chain(self.likely.into_iter().flat_map(|likely| likely.of(txn))).try_for_each(each)
    }

    /// Everyone whom a transaction reads from.
    fn read_from(&self, txn: u32) -> impl Iterator<Item = u32> {
        let columns = &self.index.columns;
        let reads = columns.mops(txn).filter(|mop| columns.is_external(*mop) && !columns.is_write(*mop));
        let writes = reads.map(|mop| self.index.write_of(mop)).filter(|write| *write != NEVER);
        writes.map(|write| columns.txn(write as usize))
    }
}

/// A stretch of the order: what stands in it is open, everything else is not touched.
pub(super) struct Stretch<'s> {
    pub(super) behind: &'s Behind<'s>,
    pub(super) rank: &'s [AtomicU32],
    /// Its part of the order, which holds the open transactions before and the placed ones afterwards.
    pub(super) order: &'s mut [u32],
    /// Place of the first one.
    pub(super) first: u32,
}

impl Stretch<'_> {
    /// Places everything, in the order that it stands in, but each behind what it has to follow, depth first. Nothing if
    /// some follow each other in a circle, or somebody who stands behind the stretch; everything stands as before then.
    pub(super) fn place(self) -> Option<()> {
        let (rank, first) = (self.rank, self.first);
        // Whoever is not open any more was placed already; of the others the first is the next that is read.
        let before = self.order.to_vec();
        let Self { behind, order, .. } = self;
        let is_placed = Self::place_behind(behind, rank, &before, order, first).is_some();
        if !is_placed {
            order.copy_from_slice(&before);
            for (place, txn) in (first..).zip(&before) {
                rank[*txn as usize].store(place, Relaxed);
            }
        }
        is_placed.then_some(())
    }

    fn place_behind(
        behind: &Behind<'_>,
        rank: &[AtomicU32],
        txns: &[u32],
        order: &mut [u32],
        first: u32,
    ) -> Option<()> {
        let end = first + order.len() as u32;
        let (mut next, mut path) = (first, Vec::new());
        for txn in txns.iter().copied() {
            path.push(txn);
            while let Some(at) = path.last().copied() {
                let slot = &rank[at as usize];
                if slot.load(Relaxed) & OPEN == 0 {
                    path.pop();
                    continue;
                }
                let length = path.len();
                behind.each(at, |before| {
                    let other = rank[before as usize].load(Relaxed);
                    let place = place_of(other);
                    if place >= end {
                        return None;
                    }
                    // Placed, or somebody else's, who stands before this stretch.
                    if other & OPEN == 0 || place < first {
                        return Some(());
                    }
                    // Entered and not placed: it has to follow the one at hand.
                    (other & ENTERED == 0).then(|| path.push(before))
                })?;
                if path.len() == length {
                    path.pop();
                    slot.store(next, Relaxed);
                    order[(next - first) as usize] = at;
                    next += 1;
                } else {
                    slot.fetch_or(ENTERED, Relaxed);
                }
            }
        }
        Some(())
    }
}

/// A place at or soon behind `near` where the order falls apart as far as can be seen from what stands around it: nobody
/// before it has to follow somebody behind it. All are open.
pub(super) fn cut(behind: &Behind<'_>, rank: &[AtomicU32], order: &[u32], near: usize) -> usize {
    /// How far is looked.
    const WINDOW: usize = 512;
    let (start, end) = (near.saturating_sub(WINDOW), (near + WINDOW).min(order.len()));
    let mut last = 0;
    for (place, txn) in order[start..end].iter().enumerate() {
        let place = start + place;
        if place >= near && last < place {
            return place;
        }
        let _ = behind.each(*txn, |before| {
            last = last.max(place_of(rank[before as usize].load(Relaxed)) as usize);
            Some(())
        });
    }
    near
}
