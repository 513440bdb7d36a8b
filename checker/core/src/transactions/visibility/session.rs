//! The session guarantees, key by key: one finding for each key and guarantee.
//!
//! What a process knows of a key only grows: the highest rank that it read, and the highest that it wrote. Whatever it
//! reads or writes below that, in a later transaction, breaks a guarantee. One pass over each process and key.

use super::{Breach, Link, Sights, Version};
use crate::finding::EdgeKind;
use crate::op::Outcome;
use crate::transactions::{NONE, Txns};
use std::collections::BTreeMap;

const MONOTONIC_READS: &str = "monotonic-reads-violation";
const MONOTONIC_WRITES: &str = "monotonic-writes-violation";
const READ_YOUR_WRITES: &str = "read-your-writes-violation";
const WRITES_FOLLOW_READS: &str = "writes-follow-reads-violation";

/// What one transaction did with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Touch {
    key: u32,
    process: i64,
    txn: u32,
    /// Lowest and highest rank that was read.
    read: Option<(u32, u32)>,
    /// Lowest and highest rank that was written.
    written: Option<(u32, u32)>,
}

/// The highest rank so far, and whose it is.
type Highest = Option<(u32, u32)>;

/// Finds them all. Marks the readers as told.
pub(super) fn examine(txns: &Txns, sights: &Sights, told: &mut [bool], found: &mut Vec<Breach>) {
    let mut cases: BTreeMap<(&'static str, u32), Breach> = BTreeMap::new();
    let touches = touches(txns, sights);
    for group in touches.chunk_by(|a, b| (a.key, a.process) == (b.key, b.process)) {
        let (mut read, mut written): (Highest, Highest) = (None, None);
        for touch in group {
            let mut case = |name, links: Vec<Link>| {
                let known = cases.entry((name, touch.key)).and_modify(|breach| breach.more += 1);
                known.or_insert(Breach { name, links, more: 0 });
                if matches!(name, MONOTONIC_READS | READ_YOUR_WRITES)
                    && let Some(place) = sights.place(touch.txn)
                {
                    told[place as usize] = true;
                }
            };
            if let Some((rank, _)) = touch.read {
                if let Some((before, earlier)) = written.filter(|(before, _)| *before > rank) {
                    case(READ_YOUR_WRITES, vec![Link::process(earlier, touch.txn), rw(touch, rank, earlier, before)]);
                }
                if let Some((before, earlier)) = read.filter(|(before, _)| *before > rank) {
                    case(MONOTONIC_READS, vanished(sights, touch, rank, earlier, before));
                }
            }
            if let Some((rank, _)) = touch.written {
                if let Some((before, earlier)) = written.filter(|(before, _)| *before > rank) {
                    let back = Link { kind: EdgeKind::Ww, ..rw(touch, rank, earlier, before) };
                    case(MONOTONIC_WRITES, vec![Link::process(earlier, touch.txn), back]);
                }
                if let Some((before, earlier)) = read.filter(|(before, _)| *before >= rank) {
                    let back = Link { kind: EdgeKind::Wr, ..rw(touch, rank, earlier, before) };
                    case(WRITES_FOLLOW_READS, vec![Link::process(earlier, touch.txn), back]);
                }
            }
            if txns.outcome(touch.txn) == Outcome::Ok {
                let higher =
                    |known: Highest, new: Option<(u32, u32)>| known.max(new.map(|(_, rank)| (rank, touch.txn)));
                read = higher(read, touch.read);
                written = higher(written, touch.written);
            }
        }
    }
    found.extend(cases.into_values());
}

/// From what a transaction read or wrote at a rank, back to an earlier one that wrote, or saw, above it.
fn rw(touch: &Touch, rank: u32, earlier: u32, before: u32) -> Link {
    Link { from: touch.txn, to: earlier, kind: EdgeKind::Rw, key: touch.key, before: rank, after: before }
}

/// The earlier transaction saw a version that the later one did not.
fn vanished(sights: &Sights, touch: &Touch, rank: u32, earlier: u32, before: u32) -> Vec<Link> {
    let next = Link::process(earlier, touch.txn);
    let shown = |version: &&Version| sights.cumulative || version.rank == before;
    let seen: Vec<&Version> = sights.between(touch.key, rank, before).iter().rev().filter(shown).collect();
    let others = seen.iter().find(|version| version.txn != earlier && version.txn != touch.txn);
    if let Some(version) = others {
        let (from, to) = (version.txn, earlier);
        let seen = Link { from, to, kind: EdgeKind::Wr, key: touch.key, before: version.rank, after: before };
        return vec![seen, next, rw(touch, rank, version.txn, version.rank)];
    }
    // It saw what it wrote itself, or what nobody knows the writer of.
    let own = seen.iter().find(|version| version.txn == earlier).map_or(NONE, |version| version.rank);
    vec![next, rw(touch, rank, earlier, own)]
}

/// Reads and writes by key, process and transaction.
fn touches(txns: &Txns, sights: &Sights) -> Vec<Touch> {
    let touch = |txn: u32, key: u32| Touch { key, process: txns.process(txn), txn, read: None, written: None };
    let reads =
        sights.reads.iter().map(|read| Touch { read: Some((read.rank, read.rank)), ..touch(read.txn, read.key) });
    let writes = sights.writes.iter();
    let writes = writes.map(|write| Touch { written: Some((write.first, write.last)), ..touch(write.txn, write.key) });
    let mut touches: Vec<Touch> = reads.chain(writes).collect();
    touches.sort_unstable();
    let both = |a: Option<(u32, u32)>, b: Option<(u32, u32)>| match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    };
    touches.dedup_by(|next, kept| {
        let same = (next.key, next.process, next.txn) == (kept.key, kept.process, kept.txn);
        if same {
            kept.read = both(kept.read, next.read);
            kept.written = both(kept.written, next.written);
        }
        same
    });
    touches
}
