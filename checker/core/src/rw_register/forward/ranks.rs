//! An order of all transactions that took effect, near that in which effects were seen.

use super::super::index::Index;
use super::super::threads;
use super::by_txn::Pairs;
use super::placing::{Behind, Stretch, cut, open_at};
use super::survey::Survey;
use crate::op::Outcome;
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
    rank: Vec<AtomicU32>,
    /// The transaction at each place.
    order: Vec<u32>,
    /// Who stands elsewhere since the order was mended; nothing before that. One bit for each transaction.
    moved: Option<Vec<u64>>,
    /// Whether everyone stands behind all that were done before it began.
    pub(super) is_timely: bool,
}

impl<'i> Ranks<'i> {
    /// Puts everything in the order of time, each preceded by what it has to follow, depth first; nothing if some follow each
    /// other in a circle. Of time the end of each transaction counts, or the moment at which the survey guesses its effect.
    /// Takes from the survey who stands before whom. O(n), and several threads share it where the order falls apart into
    /// stretches.
    pub(super) fn new(index: &'i Index, survey: &mut Survey, processes: bool) -> Option<Self> {
        let txns = index.columns.txns.len();
        let mut ranks = Ranks {
            index,
            previous: if processes { previous(index) } else { Vec::new() },
            before: Pairs::new(txns, std::mem::take(&mut survey.before)),
            rank: (0..txns).map(|_| AtomicU32::new(NONE)).collect(),
            order: Vec::new(),
            moved: None,
            is_timely: false,
        };
        let likely = Pairs::new(txns, std::mem::take(&mut survey.likely));
        let overlaps = survey.overlaps.take().map(|overlaps| Pairs::new(txns, overlaps));
        let parts = threads::count(index.columns.len());
        // What is turned around in one part may lie in another, and what is likely need not be so.
        for (parts, likely, overlaps) in [(parts, Some(&likely), overlaps.as_ref()), (1, None, None)] {
            ranks.order = by_time(index, &survey.effects);
            let is_placed = ranks.place_all(parts, likely, overlaps).is_some();
            ranks.is_timely = is_placed && ranks.keep_to_real_time();
            if ranks.is_timely || is_placed && overlaps.is_none() {
                return Some(ranks);
            }
        }
        None
    }

    fn behind<'s>(&'s self, likely: Option<&'s Pairs>, overlaps: Option<&'s Pairs>) -> Behind<'s> {
        Behind { index: self.index, previous: &self.previous, before: &self.before, likely, overlaps }
    }

    /// Whether everyone stands behind all that were done before it began.
    fn keep_to_real_time(&self) -> bool {
        let txns = &self.index.columns.txns;
        let mut begun = 0;
        self.order.iter().all(|txn| {
            begun = begun.max(txns.invoke(*txn));
            txns.end(*txn) >= begun
        })
    }

    /// Places all transactions, in so many stretches.
    fn place_all(&mut self, parts: usize, likely: Option<&Pairs>, overlaps: Option<&Pairs>) -> Option<()> {
        let mut order = std::mem::take(&mut self.order);
        for (place, txn) in order.iter().enumerate() {
            self.rank[*txn as usize].store(open_at(place as u32), Relaxed);
        }
        let behind = self.behind(likely, overlaps);
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
    /// two is put in order anew. Nothing if some follow each other in a circle; it is a good order still, without those.
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
        let behind = self.behind(None, None);
        let placed = stretches.into_iter().try_for_each(|(first, last)| {
            let txns = &mut order[first as usize..=last as usize];
            for (place, txn) in (first..).zip(&*txns) {
                self.rank[*txn as usize].store(open_at(place), Relaxed);
                moved[*txn as usize / 64] |= 1 << (txn % 64);
            }
            Stretch { behind: &behind, rank: &self.rank, order: txns, first }.place()
        });
        (self.order, self.moved) = (order, Some(moved));
        self.is_timely = self.keep_to_real_time();
        placed
    }

    /// Places of all transactions; `NONE` for those without effect.
    pub(super) fn into_places(self) -> Vec<u32> {
        self.rank.into_iter().map(AtomicU32::into_inner).collect()
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

/// The transactions that took effect, by their ends. O(n) where times are spread out evenly.
fn by_time(index: &Index, effects: &[(u32, u32)]) -> Vec<u32> {
    let txns = &index.columns.txns;
    let effective = || (0..txns.len() as u32).filter(|txn| index.is_effective(*txn));
    let moment = |txn: u32| moment(txns, effects, txn);
    let latest = effective().map(moment).max().unwrap_or(0);
    // As many drawers as transactions, at most.
    let shift = (0..32).find(|shift| (latest >> shift) as usize <= txns.len()).unwrap_or(31);
    let mut ends = vec![0_u32; (latest >> shift) as usize + 2];
    effective().for_each(|txn| ends[(moment(txn) >> shift) as usize + 1] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut order = vec![NONE; sum as usize];
    for txn in effective() {
        let slot = &mut ends[(moment(txn) >> shift) as usize];
        order[*slot as usize] = txn;
        *slot += 1;
    }
    let mut start = 0;
    for end in ends {
        if end > start + 1 {
            order[start as usize..end as usize].sort_unstable_by_key(|txn| (moment(*txn), *txn));
        }
        start = end;
    }
    order
}

/// By what transactions are put in order first: their ends, and for those without an end the moment by which nobody seems
/// to have seen their effects. An order by ends keeps to real time, also where somebody is put before others because they
/// read from it. `effects` are in order of transactions.
fn moment(txns: &Txns, effects: &[(u32, u32)], txn: u32) -> u32 {
    if txns.outcome(txn) == Outcome::Info
        && let Ok(place) = effects.binary_search_by_key(&txn, |effect| effect.0)
    {
        return 2 * effects[place].1 + 2;
    }
    txns.position(txn)
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
