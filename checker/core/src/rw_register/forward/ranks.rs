//! An order of all transactions that took effect, near that in which effects were seen.

use super::super::index::Index;
use super::super::threads;
use super::by_txn::Pairs;
use super::placing::{Behind, PLACES_MAX, Stretch, cut, open_at};
use crate::transactions::{NONE, Txns};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Transactions in an order in which each stands behind those it reads from, behind the one before it in its process if
/// processes count, and behind those that it has to follow besides.
pub(super) struct Ranks<'i> {
    index: &'i Index,
    /// For each transaction that took effect, the one before it in its process, or `NONE`; empty where processes do not count.
    pub(super) previous: Vec<u32>,
    /// Whom they have to follow besides.
    before: Pairs,
    /// Place of each transaction; `NONE` for those without effect.
    pub(super) rank: Vec<AtomicU32>,
    /// The transaction at each place.
    order: Vec<u32>,
    /// Who stands elsewhere since the order was mended; nothing before that. One bit for each transaction.
    moved: Option<Vec<u64>>,
}

impl<'i> Ranks<'i> {
    /// Puts everything in the order of time, each preceded by what it has to follow, depth first; nothing if some follow each
    /// other in a circle. Of time the middle of each transaction counts. `before` ascends. O(n), and several threads share
    /// it where the order falls apart into stretches.
    /// Nothing as well of more transactions than places can be told for.
    pub(super) fn new(index: &'i Index, before: Vec<(u32, u32)>, processes: bool) -> Option<Self> {
        if index.columns.txns.len() > PLACES_MAX {
            return None;
        }
        let mut pairs = Pairs::new(index.columns.txns.len());
        pairs.add(before);
        let mut ranks = Ranks {
            index,
            previous: if processes { previous(index) } else { Vec::new() },
            before: pairs,
            rank: Vec::new(),
            order: by_time(index),
            moved: None,
        };
        ranks.rank = (0..index.columns.txns.len()).map(|_| AtomicU32::new(NONE)).collect();
        let parts = threads::count(index.columns.len());
        if parts == 1 || ranks.place_all(parts).is_none() {
            // What is turned around in one part may lie in another.
            ranks.order = if parts == 1 { std::mem::take(&mut ranks.order) } else { by_time(index) };
            ranks.place_all(1)?;
        }
        Some(ranks)
    }

    fn behind(&self) -> Behind<'_> {
        Behind { index: self.index, previous: &self.previous, before: &self.before }
    }

    /// Places all transactions, in so many stretches.
    fn place_all(&mut self, parts: usize) -> Option<()> {
        let mut order = std::mem::take(&mut self.order);
        for (place, txn) in order.iter().enumerate() {
            self.rank[*txn as usize].store(open_at(place as u32), Relaxed);
        }
        let behind = self.behind();
        let mut cuts: Vec<usize> =
            (1..parts).map(|part| cut(&behind, &self.rank, &order, order.len() * part / parts)).collect();
        cuts.push(order.len());
        let (mut stretches, mut rest, mut first) = (Vec::new(), order.as_mut_slice(), 0);
        for end in cuts {
            let (stretch, others) = rest.split_at_mut(end - first);
            stretches.push(Stretch { behind: &behind, rank: &self.rank, order: stretch, first: first as u32 });
            (rest, first) = (others, end);
        }
        let placed = threads::each(stretches, Stretch::place);
        self.order = order;
        placed.into_iter().collect()
    }

    /// Takes further pairs into account, of a transaction and one that it has to follow and does not: everything between the
    /// two is put in order anew. Nothing if some follow each other in a circle.
    pub(super) fn refine(&mut self, mut pairs: Vec<(u32, u32)>) -> Option<()> {
        let rank = |txn: u32| self.rank[txn as usize].load(Relaxed);
        let mut stretches: Vec<(u32, u32)> = pairs.iter().map(|(txn, before)| (rank(*txn), rank(*before))).collect();
        stretches.sort_unstable();
        stretches.dedup_by(|next, kept| {
            let meets = next.0 <= kept.1;
            if meets {
                kept.1 = kept.1.max(next.1);
            }
            meets
        });
        pairs.sort_unstable();
        self.before.add(pairs);
        let mut order = std::mem::take(&mut self.order);
        let mut moved = vec![0_u64; self.rank.len() / 64 + 1];
        let behind = self.behind();
        for (first, last) in stretches {
            let txns = &mut order[first as usize..=last as usize];
            for (place, txn) in (first..).zip(&*txns) {
                self.rank[*txn as usize].store(open_at(place), Relaxed);
                moved[*txn as usize / 64] |= 1 << (txn % 64);
            }
            Stretch { behind: &behind, rank: &self.rank, order: txns, first }.place()?;
        }
        (self.order, self.moved) = (order, Some(moved));
        Some(())
    }

    /// Place of a transaction; `NONE` for one without effect.
    pub(super) fn of(&self, txn: u32) -> u32 {
        self.rank[txn as usize].load(Relaxed)
    }

    /// Whether a transaction may stand elsewhere than before the order was mended last.
    pub(super) fn is_moved(&self, txn: u32) -> bool {
        self.moved.as_ref().is_none_or(|moved| moved[txn as usize / 64] >> (txn % 64) & 1 == 1)
    }
}

/// The transactions that took effect, by the middle of their time. O(n) where times are spread out evenly.
fn by_time(index: &Index) -> Vec<u32> {
    let txns = &index.columns.txns;
    let effective = || (0..txns.len() as u32).filter(|txn| index.is_effective(*txn));
    let latest = effective().map(|txn| middle(txns, txn)).max().unwrap_or(0);
    // As many drawers as transactions, at most.
    let shift = (0..32).find(|shift| (latest >> shift) as usize <= txns.len()).unwrap_or(31);
    let mut ends = vec![0_u32; (latest >> shift) as usize + 2];
    effective().for_each(|txn| ends[(middle(txns, txn) >> shift) as usize + 1] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut order = vec![NONE; sum as usize];
    for txn in effective() {
        let slot = &mut ends[(middle(txns, txn) >> shift) as usize];
        order[*slot as usize] = txn;
        *slot += 1;
    }
    let mut start = 0;
    for end in ends {
        if end > start + 1 {
            order[start as usize..end as usize].sort_unstable_by_key(|txn| (middle(txns, *txn), *txn));
        }
        start = end;
    }
    order
}

/// Twice the middle of the time of a transaction.
fn middle(txns: &Txns, txn: u32) -> u32 {
    txns.invoke(txn) + txns.position(txn) / 2
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
