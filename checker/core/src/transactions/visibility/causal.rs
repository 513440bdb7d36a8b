//! Causality: a transaction that reads a key below a write that leads to it, by "is seen by" and, if wanted, by the order
//! in processes.
//!
//! The graph has one node for what arrives at a transaction and one for what leaves it, and for each key two chains along
//! its versions. The *shown* chain leads from the writer of a version to the readers of it and of later ones; the
//! *missed* chain from a version to who wrote to the key for the first time there or later. So "T reads a key below some W that leads to T"
//! is one question: whether the missed chain, entered just above what T read, reaches T.
//!
//! It is asked for each read of the past. The graph has no cycles (who lies on one is left out: that is G1c, and worse)
//! and is laid in a topological order near the order of time. A question is open only if the place where it enters the
//! chain comes before the reader, and concerns only the window between them. Windows are swept 64 at a time, with one
//! bit for each.

use super::rows::Rows;
use super::{Breach, Link, Read, Sights, UNREAD};
use crate::finding::EdgeKind;
use crate::op::Outcome;
use crate::transactions::scc::{View, Walks};
use crate::transactions::{NONE, Txns};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Who leads to whom.
#[derive(Debug)]
pub(super) struct Graph<'s> {
    sights: &'s Sights,
    rows: Rows,
    /// Place of each node in the topological order; `NONE` for those that are left out.
    place: Vec<u32>,
    /// The nodes in that order.
    order: Vec<u32>,
}

/// A read of the past: whether `first` reaches `last`.
#[derive(Clone, Copy, Debug)]
struct Question {
    read: Read,
    /// Node of the chain.
    enters: u32,
    /// Places of that node and of the reader.
    first: u32,
    last: u32,
}

impl<'s> Graph<'s> {
    /// The graph of all suspects.
    pub(super) fn new(txns: &Txns, sights: &'s Sights, with_processes: bool) -> Self {
        let count = sights.txns.len() as u32;
        let versions = sights.versions.len() as u32;
        let (shown, missed) = (2 * count, 2 * count + versions);
        let mut edges: Vec<(u32, u32, bool)> = (0..count).map(|node| (node, count + node, false)).collect();
        for (at, version) in sights.versions.iter().enumerate() {
            let at = at as u32;
            let Some(writer) = sights.place(version.txn) else { continue };
            if sights.write(version.txn, version.key).is_some_and(|write| write.first == version.rank) {
                edges.push((missed + at, count + writer, false));
            }
            if version.rank != UNREAD {
                edges.push((count + writer, shown + at, true));
            }
            if let Some(next) = sights.versions.get(at as usize + 1).filter(|next| next.key == version.key) {
                edges.push((missed + at, missed + at + 1, false));
                if sights.cumulative && next.rank != UNREAD {
                    edges.push((shown + at, shown + at + 1, false));
                }
            }
        }
        for read in &sights.reads {
            if let (Some(at), Some(reader)) = (last_shown(sights, read), sights.place(read.txn)) {
                edges.push((shown + at, reader, false));
            }
        }
        if with_processes {
            let mut by_process: Vec<(i64, u32)> = sights.txns.iter().map(|txn| (txns.process(*txn), *txn)).collect();
            by_process.sort_unstable();
            let mut earlier: Option<(i64, u32)> = None;
            for (process, txn) in by_process {
                if let (Some((_, before)), Some(node)) = (earlier.filter(|one| one.0 == process), sights.place(txn)) {
                    edges.push((count + before, node, true));
                }
                if txns.outcome(txn) == Outcome::Ok {
                    earlier = sights.place(txn).map(|node| (process, node));
                }
            }
        }
        let nodes = (missed + versions) as usize;
        let rows = Rows::new(nodes, &edges);
        let time = times(txns, sights);
        let mut graph = Self { sights, rows, place: vec![NONE; nodes], order: Vec::new() };
        graph.lay(&time);
        graph
    }

    /// The topological order that is nearest to the order of time (Kahn 1962).
    fn lay(&mut self, time: &[u32]) {
        let nodes = self.place.len() as u32;
        let mut on_cycle = vec![false; nodes as usize];
        Walks::default().components(&self.rows, 0..nodes, |component| {
            if component.len() > 1 {
                component.iter().for_each(|node| on_cycle[*node as usize] = true);
            }
        });
        let mut incoming = vec![0_u32; nodes as usize];
        let free = |node: &u32| !on_cycle[*node as usize];
        for node in (0..nodes).filter(free) {
            self.rows.of(node).filter(free).for_each(|to| incoming[to as usize] += 1);
        }
        let ready = (0..nodes).filter(free).filter(|node| incoming[*node as usize] == 0);
        let mut ready: BinaryHeap<Reverse<(u32, u32)>> =
            ready.map(|node| Reverse((time[node as usize], node))).collect();
        while let Some(Reverse((_, node))) = ready.pop() {
            self.place[node as usize] = self.order.len() as u32;
            self.order.push(node);
            for to in self.rows.of(node).filter(free) {
                let left = &mut incoming[to as usize];
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse((time[to as usize], to)));
                }
            }
        }
    }

    /// Finds the readers, but for those that were told already, and marks them as told.
    pub(super) fn examine(&self, name: &'static str, most: usize, told: &mut [bool], found: &mut Vec<Breach>) {
        let mut hits: Vec<Question> = self.sweep(self.questions(told));
        hits.sort_unstable_by_key(|question| (question.read.txn, question.read.at));
        hits.dedup_by_key(|question| question.read.txn);
        let mut walks = Walks::default();
        for (number, question) in hits.iter().enumerate() {
            if let Some(reader) = self.sights.place(question.read.txn) {
                told[reader as usize] = true;
            }
            let links = if number < most { self.links(&mut walks, question) } else { Vec::new() };
            found.push(Breach { name, links, more: 0 });
        }
    }

    fn missed(&self) -> u32 {
        (2 * self.sights.txns.len() + self.sights.versions.len()) as u32
    }

    /// The reads of the past that are not answered by the order alone.
    fn questions(&self, told: &[bool]) -> Vec<Question> {
        let question = |read: &Read| {
            let reader = self.sights.place(read.txn).filter(|reader| !told[*reader as usize])?;
            let above = self.sights.above(read.key, read.rank);
            let enters = self.missed() + (!above.is_empty()).then_some(above.start as u32)?;
            let (first, last) = (self.place[enters as usize], self.place[reader as usize]);
            // `NONE` is above every place: nothing is asked about what is left out.
            (first < last && last != NONE).then_some(Question { read: *read, enters, first, last })
        };
        self.sights.known.iter().filter_map(question).collect()
    }

    /// The questions whose answer is yes.
    fn sweep(&self, mut questions: Vec<Question>) -> Vec<Question> {
        // Windows of like size go together, so that a long one does not stretch the batches of short ones.
        let size = |question: &Question| (question.last - question.first).ilog2();
        questions.sort_unstable_by_key(|question| (size(question), question.first, question.last, question.read));
        let mut masks = vec![0_u64; self.order.len()];
        let mut hits = Vec::new();
        let mut rest = questions.as_slice();
        while let Some(head) = rest.first() {
            let spread = 64.max(2_u32.saturating_pow(size(head) + 1));
            let fits = |question: &&Question| size(question) == size(head) && question.first - head.first <= spread;
            let count = rest.iter().take(64).take_while(fits).count();
            let (batch, after) = rest.split_at(count);
            let end = batch.iter().map(|question| question.last).max().unwrap_or(head.last);
            for (bit, question) in batch.iter().enumerate() {
                masks[question.first as usize] |= 1 << bit;
            }
            for place in head.first..end {
                let mask = masks[place as usize];
                if mask == 0 {
                    continue;
                }
                for to in self.rows.of(self.order[place as usize]) {
                    let to = self.place[to as usize];
                    // What is left out stands nowhere, which is past the end.
                    if to <= end {
                        masks[to as usize] |= mask;
                    }
                }
            }
            let yes = |(bit, question): (usize, &Question)| {
                (masks[question.last as usize] >> bit & 1 == 1).then_some(*question)
            };
            hits.extend(batch.iter().enumerate().filter_map(yes));
            masks[head.first as usize..=end as usize].fill(0);
            rest = after;
        }
        hits
    }

    /// The contradiction: from what was missed to who missed it, and back.
    fn links(&self, walks: &mut Walks, question: &Question) -> Vec<Link> {
        let count = self.sights.txns.len() as u32;
        let shown = 2 * count;
        let missed = self.missed();
        let Some(reader) = self.sights.place(question.read.txn) else { return Vec::new() };
        let mut work = 0;
        let path = walks.path(&Laid(self), question.enters, reader, NONE - 1, &mut work).unwrap_or_default();
        let mut nodes: Vec<u32> = path.iter().map(|(node, _)| *node).collect();
        nodes.push(reader);
        let txn = |node: u32| self.sights.txns[(node % count) as usize];
        let mut links: Vec<Link> = Vec::new();
        let mut version: Option<super::Version> = None;
        let mut from: Option<u32> = None;
        let mut written = NONE;
        for node in nodes {
            if node >= missed {
                written = self.sights.versions[(node - missed) as usize].rank;
            } else if node >= shown {
                version = version.or(Some(self.sights.versions[(node - shown) as usize]));
            } else if node >= count {
                from = Some(txn(node));
            } else if let Some(from) = from.take() {
                links.push(match version.take() {
                    Some(version) => self.seen(from, txn(node), version),
                    None => Link::process(from, txn(node)),
                });
            }
        }
        let first = links.first().map_or(question.read.txn, |link| link.from);
        let Read { txn: from, key, rank, .. } = question.read;
        links.push(Link { from, to: first, kind: EdgeKind::Rw, key, before: rank, after: written });
        links
    }

    /// The step from the writer of a version to a reader of it.
    fn seen(&self, from: u32, to: u32, version: super::Version) -> Link {
        let first = self.sights.reads.partition_point(|read| read.txn < to);
        let of_reader = self.sights.reads[first..].iter().take_while(|read| read.txn == to);
        let ranks = of_reader.filter(|read| read.key == version.key).map(|read| read.rank);
        let after = ranks.filter(|rank| *rank >= version.rank).min().unwrap_or(version.rank);
        Link { from, to, kind: EdgeKind::Wr, key: version.key, before: version.rank, after }
    }
}

/// The graph without what was left out: a way through that would be shorter, and of another shape than the one that was
/// found.
struct Laid<'g>(&'g Graph<'g>);

impl View for Laid<'_> {
    fn nodes(&self) -> usize {
        self.0.rows.nodes()
    }

    fn edges(&self, node: u32) -> Range<u32> {
        self.0.rows.edges(node)
    }

    fn follow(&self, _: u32, edge: u32) -> Option<u32> {
        Some(self.0.rows.target(edge)).filter(|to| self.0.place[*to as usize] != NONE)
    }

    fn costs(&self, edge: u32) -> bool {
        self.0.rows.costs(edge)
    }
}

/// The last version that a read shows; of a read that shows what its own transaction wrote, the last one below that.
fn last_shown(sights: &Sights, read: &Read) -> Option<u32> {
    let mut rank = read.rank;
    if sights.is_own(read) {
        let own = sights.write(read.txn, read.key).filter(|_| sights.cumulative)?;
        rank = rank.min(own.first - 1);
    }
    let at = sights.above(read.key, rank).start.checked_sub(1)?;
    let version = sights.versions[at];
    let shown = version.key == read.key && (sights.cumulative || version.rank == rank);
    shown.then_some(at as u32)
}

/// When each node may stand: a transaction where it stands on the line, a version at its writer, what was missed at the
/// first of those that it leads to.
fn times(txns: &Txns, sights: &Sights) -> Vec<u32> {
    let mut time: Vec<u32> = sights.txns.iter().map(|txn| txns.position(*txn)).collect();
    time.extend_from_within(..);
    time.extend(sights.versions.iter().map(|version| txns.position(version.txn)));
    let mut missed: Vec<u32> = sights.versions.iter().map(|version| txns.position(version.txn)).collect();
    for at in (1..missed.len()).rev() {
        if sights.versions[at - 1].key == sights.versions[at].key {
            missed[at - 1] = missed[at - 1].min(missed[at]);
        }
    }
    time.append(&mut missed);
    time
}
