//! What transactions see of each other, and what processes see of themselves.
//!
//! Elle's lattice has models that no cycle of Adya's can tell apart: monotonic atomic view, read atomic, causal, prefix,
//! and the session guarantees. Here is what tells them apart. It takes, for each key, an order of its versions and
//! how far into it each read saw: its *rank*, the number of versions that were there. The initial version has rank 0.
//! Nothing here knows what the objects are.
//!
//! With `T reads k below W`: T read key k at a rank below that of W's first write to k (to see some of W's writes to one
//! key is G1b, or G0, and told as that); and `T sees W`: T read a version that W wrote, or, where versions show all those
//! before them (lists do), a later one.
//!
//! * `fractured-read`: T sees W at one key and reads another below W. `non-monotonic-read`: in that order (then one
//!   key is enough): W was seen and vanished (Bailis et al., VLDB 2013);
//! * `causal-violation`: T reads a key below W, which leads to T by "is seen by"; `causal-violation-process`: also by the
//!   order in processes (Cerone, Bernardi, Gotsman, CONCUR 2015; Bouajjani et al., POPL 2017);
//! * `prefix-violation`: a cycle of ww, wr and rw in which each rw, at least one, follows a wr. With two or more of them
//!   it is a `long-fork`: readers disagree about the order of writers;
//! * the session guarantees (Terry et al., PDIS 1994), key by key: a process reads below what it read or wrote earlier, or
//!   writes below what it wrote or had read earlier.
//!
//! Every one of these is a cycle of the dependencies and the order in processes. So only transactions on cycles (the
//! *suspects*) are looked at: a healthy history costs nothing here. That a dependency is missing where a version came from
//! a failed transaction, or from nowhere, is made up for by suspecting whoever touches such a key.

mod causal;
mod doubled;
mod fractured;
pub(crate) mod prefix;
pub(crate) mod rows;
mod session;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use super::cycles::{Cycle, Kind, Step};
use super::graph::{PROCESS, REALTIME, RW, WR, WW};
use super::{NONE, Txns};
use crate::finding::EdgeKind;

/// Rank of a version that no read saw: above all that were read.
pub(crate) const UNREAD: u32 = NONE;

/// A read by a suspect that completed `ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Read {
    pub(crate) txn: u32,
    /// Place among the micro-operations of its transaction.
    pub(crate) at: u32,
    pub(crate) key: u32,
    /// How many versions of the key were there.
    pub(crate) rank: u32,
}

/// A version that a suspect wrote that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) key: u32,
    /// Its place in the order, from 1; [`UNREAD`] if no read tells.
    pub(crate) rank: u32,
    pub(crate) txn: u32,
}

/// All versions of a key that one transaction wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) txn: u32,
    pub(crate) key: u32,
    /// Rank of the first of them.
    pub(crate) first: u32,
    /// Rank of the last of them.
    pub(crate) last: u32,
}

/// What the suspects read and wrote.
#[derive(Debug)]
pub(crate) struct Sights {
    /// Whether a version shows all versions before it.
    cumulative: bool,
    /// By transaction, then in order.
    reads: Vec<Read>,
    /// By key, then by rank.
    versions: Vec<Version>,
    /// By transaction, then by key.
    writes: Vec<Write>,
    /// The suspects, ascending.
    txns: Vec<u32>,
    /// What each suspect knew of each key: the reads with the highest rank that do not show what their own transaction
    /// wrote. (That other reads of the transaction saw less is told as an internal anomaly.)
    known: Vec<Read>,
}

impl Sights {
    /// From all reads and all versions of the suspects, in any order. A read that shows no part of the order of versions
    /// (neither all its first ones, nor, where versions do not show those before them, one of it) must be left out.
    pub(crate) fn new(cumulative: bool, mut reads: Vec<Read>, mut versions: Vec<Version>) -> Self {
        reads.sort_unstable();
        versions.sort_unstable();
        let single =
            |version: &Version| Write { txn: version.txn, key: version.key, first: version.rank, last: version.rank };
        let mut writes: Vec<Write> = versions.iter().map(single).collect();
        writes.sort_unstable();
        writes.dedup_by(|next, kept| {
            let same = (next.txn, next.key) == (kept.txn, kept.key);
            if same {
                kept.last = next.last;
            }
            same
        });
        let mut txns: Vec<u32> =
            reads.iter().map(|read| read.txn).chain(writes.iter().map(|write| write.txn)).collect();
        txns.sort_unstable();
        txns.dedup();
        let mut sights = Self { cumulative, reads, versions, writes, txns, known: Vec::new() };
        let mut known: Vec<Read> = sights.reads.iter().copied().filter(|read| !sights.is_own(read)).collect();
        known.sort_unstable_by_key(|read| (read.txn, read.key, std::cmp::Reverse(read.rank), read.at));
        known.dedup_by_key(|read| (read.txn, read.key));
        sights.known = known;
        sights
    }

    /// What a transaction wrote to a key.
    fn write(&self, txn: u32, key: u32) -> Option<Write> {
        let place = self.writes.binary_search_by_key(&(txn, key), |write| (write.txn, write.key)).ok()?;
        Some(self.writes[place])
    }

    /// Whether a read shows what its own transaction wrote to the key: such a read says nothing about others that the
    /// transaction did not write over.
    fn is_own(&self, read: &Read) -> bool {
        let own = self.write(read.txn, read.key).filter(|write| write.first <= read.rank);
        let exact = || self.between(read.key, read.rank - 1, read.rank).iter().any(|version| version.txn == read.txn);
        own.is_some() && (self.cumulative || exact())
    }

    /// Place in `versions` of the first one of a key above a rank, and of the end of the key.
    fn above(&self, key: u32, rank: u32) -> std::ops::Range<usize> {
        let first = self.versions.partition_point(|version| (version.key, version.rank) <= (key, rank));
        let end = first + self.versions[first..].partition_point(|version| version.key == key);
        first..end
    }

    /// The versions of a key with ranks above `below` and up to `up_to`.
    fn between(&self, key: u32, below: u32, up_to: u32) -> &[Version] {
        let first = self.above(key, below).start;
        let end = first.max(self.versions.partition_point(|version| (version.key, version.rank) <= (key, up_to)));
        &self.versions[first..end]
    }

    /// Number of a suspect.
    fn place(&self, txn: u32) -> Option<u32> {
        self.txns.binary_search(&txn).ok().map(|place| place as u32)
    }
}

/// One step of a contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Ww, wr, rw or process.
    pub(crate) kind: EdgeKind,
    /// Key over which they meet; nothing for the order in processes.
    pub(crate) key: u32,
    /// Ww, wr: rank of the version that `from` wrote. Rw: rank at which `from` read.
    pub(crate) before: u32,
    /// Ww, rw: rank of the version that `to` wrote. Wr: rank at which `to` read.
    pub(crate) after: u32,
}

impl Link {
    fn process(from: u32, to: u32) -> Self {
        Self { from, to, kind: EdgeKind::Process, key: NONE, before: NONE, after: NONE }
    }
}

/// One anomaly: a cycle of links of a special shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// Name of the anomaly.
    pub(crate) name: &'static str,
    /// The contradiction: each link begins where the one before ends, the first where the last ends. Empty where it is one
    /// of many and was not sought.
    pub(crate) links: Vec<Link>,
    /// Further ones of this kind that this one stands for.
    pub(crate) more: u64,
}

impl Breach {
    /// The contradiction as a cycle of steps, without the keys.
    pub(crate) fn cycle(&self) -> Cycle {
        let label = |kind: EdgeKind| match kind {
            EdgeKind::Ww => WW,
            EdgeKind::Wr | EdgeKind::Wrp => WR,
            EdgeKind::Rw | EdgeKind::Rwp => RW,
            EdgeKind::Process => PROCESS,
            EdgeKind::Realtime => REALTIME,
        };
        let step = |link: &Link| Step { from: link.from, to: link.to, label: label(link.kind) };
        let steps: Vec<Step> = self.links.iter().map(step).collect();
        Cycle { kind: Kind::of(&steps), steps }
    }
}

/// Looks for all of them. Contradictions are sought for at most `most` of each kind; the others are counted.
///
/// Each transaction is told for the simplest that it read: `causal-violation` leaves out readers of fractured reads, and
/// so on. Time: n^1.5 for the fractured reads of n reads and writes (which is what it takes); the windows between reads
/// of the past and what they miss for causality; near linear for the rest. Memory is linear.
pub(crate) fn examine(txns: &Txns, sights: &Sights, most: usize) -> Vec<Breach> {
    let mut found = Vec::new();
    // Readers whose breach is told, by number of the suspect.
    let mut told = vec![false; sights.txns.len()];
    fractured::examine(sights, &mut told, &mut found);
    let causal = causal::Graph::new(txns, sights, false);
    causal.examine("causal-violation", most, &mut told, &mut found);
    prefix::examine(sights, &told, &mut found);
    session::examine(txns, sights, &mut told, &mut found);
    let causal = causal::Graph::new(txns, sights, true);
    causal.examine("causal-violation-process", most, &mut told, &mut found);
    found
}
