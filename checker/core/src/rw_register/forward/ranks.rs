//! An order of all transactions that took effect, near that in which effects were seen.

use super::super::index::{Index, NEVER};
use crate::transactions::NONE;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Transactions in an order in which each stands behind those it reads from, behind the one before it in its process if
/// processes count, and behind those that it has to follow besides.
pub(super) struct Ranks<'i> {
    index: &'i Index,
    /// For each transaction that took effect, the one before it in its process, or `NONE`; empty where processes do not count.
    pub(super) previous: Vec<u32>,
    /// (txn, who stands before it), ascending.
    before: Vec<(u32, u32)>,
    /// Who is a first one there.
    follows: Bits,
    /// Place of each transaction; `NONE` for those without effect.
    pub(super) rank: Vec<u32>,
    /// The transaction at each place.
    order: Vec<u32>,
    /// Who stands elsewhere since the order was mended; nothing before that.
    moved: Option<Bits>,
    next: u32,
    is_entered: Bits,
    path: Vec<u32>,
}

impl<'i> Ranks<'i> {
    /// Puts everything in the order of time, each preceded by what it has to follow, depth first; nothing if some follow each
    /// other in a circle. Of time the middle of each transaction counts. O(n log c) where c transactions overlap.
    pub(super) fn new(index: &'i Index, mut before: Vec<(u32, u32)>, processes: bool) -> Option<Self> {
        before.sort_unstable();
        let txns = &index.columns.txns;
        let count = txns.len() as u32;
        let mut follows = Bits::new(count);
        before.iter().for_each(|(txn, _)| follows.set(*txn));
        let mut ranks = Ranks {
            index,
            previous: if processes { previous(index) } else { Vec::new() },
            before,
            follows,
            rank: vec![NONE; count as usize],
            order: vec![NONE; count as usize],
            moved: None,
            next: 0,
            is_entered: Bits::new(count),
            path: Vec::new(),
        };
        // What lies behind the middle of one that was not met yet waits.
        let mut begun: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::new();
        for txn in (0..count).filter(|txn| index.is_effective(*txn)) {
            let invoke = txns.invoke(txn);
            while begun.peek().is_some_and(|Reverse((middle, _))| *middle < 2 * invoke) {
                ranks.place(begun.pop()?.0.1)?;
            }
            begun.push(Reverse((invoke + txns.position(txn) / 2, txn)));
        }
        while let Some(Reverse((_, txn))) = begun.pop() {
            ranks.place(txn)?;
        }
        Some(ranks)
    }

    /// Takes further pairs into account, of a transaction and one that it has to follow and does not: everything between the
    /// two is put in order anew. Nothing if some follow each other in a circle.
    pub(super) fn refine(&mut self, pairs: &[(u32, u32)]) -> Option<()> {
        let rank = |txn: u32| self.rank[txn as usize];
        let mut stretches: Vec<(u32, u32)> = pairs.iter().map(|(txn, before)| (rank(*txn), rank(*before))).collect();
        stretches.sort_unstable();
        stretches.dedup_by(|next, kept| {
            let meets = next.0 <= kept.1;
            if meets {
                kept.1 = kept.1.max(next.1);
            }
            meets
        });
        self.before.extend_from_slice(pairs);
        self.before.sort_unstable();
        pairs.iter().for_each(|(txn, _)| self.follows.set(*txn));
        let mut moved = Bits::new(self.rank.len() as u32);
        for (first, last) in stretches {
            let txns = self.order[first as usize..=last as usize].to_vec();
            for txn in &txns {
                self.rank[*txn as usize] = NONE;
                self.is_entered.clear(*txn);
                moved.set(*txn);
            }
            self.next = first;
            txns.into_iter().try_for_each(|txn| self.place(txn))?;
        }
        self.moved = Some(moved);
        Some(())
    }

    /// Whether a transaction may stand elsewhere than before the order was mended last.
    pub(super) fn is_moved(&self, txn: u32) -> bool {
        self.moved.as_ref().is_none_or(|moved| moved.has(txn))
    }

    /// Places a transaction behind what it has to follow; nothing if that has to follow it.
    fn place(&mut self, txn: u32) -> Option<()> {
        self.path.push(txn);
        while let Some(at) = self.path.last().copied() {
            if self.rank[at as usize] != NONE {
                self.path.pop();
                continue;
            }
            let length = self.path.len();
            self.push_missing(at)?;
            if self.path.len() == length {
                self.path.pop();
                self.rank[at as usize] = self.next;
                self.order[self.next as usize] = at;
                self.next += 1;
            } else {
                self.is_entered.set(at);
            }
        }
        Some(())
    }

    /// What a transaction has to follow and what has no place yet, onto the path.
    fn push_missing(&mut self, txn: u32) -> Option<()> {
        let columns = &self.index.columns;
        for mop in columns.mops(txn).filter(|mop| columns.is_external(*mop) && !columns.is_write(*mop)) {
            let write = self.index.write_of(mop);
            if write != NEVER {
                self.push(columns.txn(write as usize))?;
            }
        }
        if let Some(previous) = self.previous.get(txn as usize).copied().filter(|previous| *previous != NONE) {
            self.push(previous)?;
        }
        if self.follows.has(txn) {
            let mut at = self.before.partition_point(|pair| pair.0 < txn);
            while let Some((_, before)) = self.before.get(at).filter(|pair| pair.0 == txn).copied() {
                self.push(before)?;
                at += 1;
            }
        }
        Some(())
    }

    fn push(&mut self, before: u32) -> Option<()> {
        if self.rank[before as usize] == NONE {
            // Entered and not placed: it has to follow the one at hand.
            if self.is_entered.has(before) {
                return None;
            }
            self.path.push(before);
        }
        Some(())
    }
}

/// For each transaction that took effect, the one before it in its process; `NONE` without one.
fn previous(index: &Index) -> Vec<u32> {
    let txns = &index.columns.txns;
    let mut last = vec![NONE; txns.processes()];
    let before = |txn: u32| {
        let last = &mut last[txns.process_number(txn) as usize];
        if index.is_effective(txn) { std::mem::replace(last, txn) } else { NONE }
    };
    (0..txns.len() as u32).map(before).collect()
}

/// One bit for each transaction.
struct Bits(Vec<u64>);

impl Bits {
    fn new(count: u32) -> Self {
        Self(vec![0; count as usize / 64 + 1])
    }

    fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    fn clear(&mut self, at: u32) {
        self.0[at as usize / 64] &= !(1 << (at % 64));
    }

    fn has(&self, at: u32) -> bool {
        self.0[at as usize / 64] >> (at % 64) & 1 == 1
    }
}
