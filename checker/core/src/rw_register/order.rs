//! The versions of one key, and what is known of their order.
//!
//! Version 0 is the initial one. Edges between versions come from the sources of [`super::sources`]; together they are a
//! partial order, or some source is rejected for the key.
//!
//! **Real time.** Let `lo(v)` be the first completion among the transactions that met `v`, and `hi(v)` the last invocation
//! among them. Then `v` precedes `v'` in a linearizable register if `lo(v) < hi(v')`. These pairs contain a cycle only if
//! they contain one of two versions: take a shortest cycle `v1 … vn`, n > 2. It has no chord, so `hi(v(i+1)) <= lo(v(i+2))`,
//! and with `lo(v(i)) < hi(v(i+1))` going around gives `lo(v1) < lo(v3) < … < lo(v1)`. Where there is no cycle, an edge with
//! a third version between its ends is left out.

use super::index::Index;
use super::raw::{Raw, Reason};
use super::sources::{self, FIRST_SEEN, INITIAL, PROCESS, REALTIME, RMW, SUPPLIED, Sources};
use crate::transactions::NONE;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One version precedes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionEdge {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Sources that say so.
    pub(crate) sources: u8,
}

/// A transaction that met the key: the version that it read, and the one that it wrote; `NONE` for neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) txn: u32,
    pub(crate) read: u32,
    pub(crate) write: u32,
}

impl Touch {
    fn first(&self) -> u32 {
        if self.read == NONE { self.write } else { self.read }
    }

    fn last(&self) -> u32 {
        if self.write == NONE { self.read } else { self.write }
    }
}

/// The versions of one key. Reusable: [`KeyOrder::load`] replaces the content and keeps the memory.
#[derive(Debug, Default)]
pub(crate) struct KeyOrder {
    pub(crate) touches: Vec<Touch>,
    /// Who wrote each version; `NONE` for the initial one.
    pub(crate) writer: Vec<u32>,
    /// Its value; meaningless for the initial one.
    pub(crate) value: Vec<i64>,
    reader_start: Vec<u32>,
    readers: Vec<u32>,
    /// First completion among those that met each version, and whose it is.
    lo: Vec<(u32, u32)>,
    /// Last invocation among those that met each version, and whose it is.
    hi: Vec<(u32, u32)>,
    /// What is known, without the initial version: sorted, each pair once.
    pub(crate) edges: Vec<VersionEdge>,
    /// The versions in an order that agrees with the edges, the initial one first.
    pub(crate) order: Vec<u32>,
    /// Whether `order` is the only such order.
    pub(crate) total: bool,
    next: Vec<u32>,
    degree: Vec<u32>,
    by_process: Vec<(i64, u32)>,
    by_lo: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl KeyOrder {
    /// Gathers the versions of a key, and who met them.
    pub(crate) fn load(&mut self, index: &Index, key: u32) {
        let columns = &index.columns;
        self.touches.clear();
        self.writer.clear();
        self.value.clear();
        self.writer.push(NONE);
        self.value.push(0);
        for mop in columns.of_key(key).iter().map(|mop| *mop as usize).filter(|mop| columns.is_external(*mop)) {
            let version = index.version(mop);
            if version == NONE {
                continue;
            }
            let txn = columns.txn(mop);
            if self.touches.last().is_none_or(|touch| touch.txn != txn) {
                self.touches.push(Touch { txn, read: NONE, write: NONE });
            }
            let Some(touch) = self.touches.last_mut() else { continue };
            if columns.is_write(mop) {
                touch.write = version;
                self.writer.push(txn);
                self.value.push(columns.value(mop));
            } else {
                touch.read = version;
            }
        }
        self.group_readers();
        self.zones(index);
    }

    /// Number of versions, the initial one included.
    pub(crate) fn len(&self) -> usize {
        self.writer.len()
    }

    /// Who read a version, ascending.
    pub(crate) fn readers(&self, version: u32) -> &[u32] {
        let version = version as usize;
        &self.readers[self.reader_start[version] as usize..self.reader_start[version + 1] as usize]
    }

    /// The version that a transaction read first; `NONE` if none.
    pub(crate) fn read_by(&self, txn: u32) -> u32 {
        let place = self.touches.binary_search_by_key(&txn, |touch| touch.txn);
        place.map_or(NONE, |place| self.touches[place].read)
    }

    /// By when a version had certainly been written.
    pub(crate) fn seen_by(&self, version: u32) -> u32 {
        self.lo[version as usize].0
    }

    /// The value of a version; `None` for the initial one.
    pub(crate) fn value_of(&self, version: u32) -> Option<i64> {
        (version != 0).then(|| self.value[version as usize])
    }

    fn group_readers(&mut self) {
        let versions = self.len();
        self.reader_start.clear();
        self.reader_start.resize(versions + 1, 0);
        let read = |touch: &&Touch| touch.read != NONE;
        for touch in self.touches.iter().filter(read) {
            self.reader_start[touch.read as usize + 1] += 1;
        }
        for version in 0..versions {
            self.reader_start[version + 1] += self.reader_start[version];
        }
        self.next.clear();
        self.next.extend_from_slice(&self.reader_start);
        self.readers.clear();
        self.readers.resize(self.reader_start[versions] as usize, 0);
        for touch in self.touches.iter().filter(read) {
            let slot = &mut self.next[touch.read as usize];
            self.readers[*slot as usize] = touch.txn;
            *slot += 1;
        }
    }

    fn zones(&mut self, index: &Index) {
        let txns = &index.columns.txns;
        self.lo.clear();
        self.lo.resize(self.len(), (NONE, NONE));
        self.hi.clear();
        self.hi.resize(self.len(), (0, NONE));
        for touch in &self.touches {
            let (invoke, end) = (txns.invoke(touch.txn), txns.end(touch.txn));
            for version in [touch.read, touch.write].into_iter().filter(|version| *version != NONE) {
                let lo = &mut self.lo[version as usize];
                *lo = (*lo).min((end, touch.txn));
                let hi = &mut self.hi[version as usize];
                if hi.1 == NONE || invoke > hi.0 {
                    *hi = (invoke, touch.txn);
                }
            }
        }
    }

    /// Finds out what the sources say. Sources that contradict each other are rejected in order of trust, the later ones
    /// first; where the model implies what was rejected, an order in which the versions were first seen takes its place,
    /// so that the contradiction shows as a cycle of transactions.
    pub(crate) fn arrange(&mut self, index: &Index, key: u32, sources: &Sources, found: &mut Vec<Raw>) {
        self.edges.clear();
        let wanted = sources.all();
        for source in sources::each(wanted) {
            self.collect(index, sources, source);
        }
        if self.sort() {
            return;
        }
        let mut kept: Vec<VersionEdge> = Vec::new();
        let (mut accepted, mut first_seen) = (INITIAL, false);
        for source in sources::each(wanted) {
            self.edges.clear();
            self.edges.extend_from_slice(&kept);
            self.collect(index, sources, source);
            if self.sort() {
                kept.clear();
                kept.extend_from_slice(&self.edges);
                accepted |= source;
                continue;
            }
            if sources.assumed & source != 0 {
                found.push(self.cyclic_versions(index, key, accepted | source));
            }
            first_seen |= sources.implied & source != 0;
        }
        self.edges = kept;
        self.sort();
        if first_seen {
            self.follow_first_seen(index, sources);
        }
    }

    /// Makes the order total as it stands, and keeps what the rejected sources say in favour of it.
    fn follow_first_seen(&mut self, index: &Index, sources: &Sources) {
        let mut rank = vec![0_u32; self.len()];
        for (place, version) in self.order.iter().enumerate() {
            rank[*version as usize] = place as u32;
        }
        if sources.implied & PROCESS != 0 {
            self.in_process(index);
            self.edges.retain(|edge| rank[edge.from as usize] < rank[edge.to as usize]);
        }
        for pair in self.order.windows(2).filter(|pair| pair[0] != 0) {
            let met_before = self.lo[pair[0] as usize].0 < self.hi[pair[1] as usize].0;
            let shown = if sources.implied & REALTIME != 0 && met_before { REALTIME } else { 0 };
            self.edges.push(VersionEdge { from: pair[0], to: pair[1], sources: FIRST_SEEN | shown });
        }
        self.sort();
    }

    fn collect(&mut self, index: &Index, sources: &Sources, source: u8) {
        match source {
            SUPPLIED => self.supplied(sources),
            RMW => self.read_then_written(),
            PROCESS => self.in_process(index),
            REALTIME => self.in_real_time(),
            _ => {}
        }
    }

    fn supplied(&mut self, sources: &Sources) {
        let place = |version: &u32| sources.supplied.get(self.writer[*version as usize] as usize).copied();
        let mut placed: Vec<(i64, u32)> = (1..self.len() as u32)
            .filter_map(|version| Some((place(&version)?, version)))
            .filter(|(place, _)| *place != i64::MIN)
            .collect();
        placed.sort_unstable();
        // Transactions at one place are not ordered: each group follows the whole group before it.
        let mut before: &[(i64, u32)] = &[];
        for group in placed.chunk_by(|a, b| a.0 == b.0) {
            for (_, from) in before {
                self.edges.extend(group.iter().map(|(_, to)| VersionEdge { from: *from, to: *to, sources: SUPPLIED }));
            }
            before = group;
        }
    }

    fn read_then_written(&mut self) {
        for touch in &self.touches {
            if touch.read != NONE && touch.write != NONE && touch.read != 0 {
                self.edges.push(VersionEdge { from: touch.read, to: touch.write, sources: RMW });
            }
        }
    }

    fn in_process(&mut self, index: &Index) {
        self.by_process.clear();
        let process = |touch: &Touch| index.columns.txns.process(touch.txn);
        self.by_process.extend(self.touches.iter().enumerate().map(|(place, touch)| (process(touch), place as u32)));
        self.by_process.sort_unstable();
        for pair in self.by_process.windows(2) {
            let [earlier, later] = [0, 1].map(|at| self.touches[pair[at].1 as usize]);
            let (from, to) = (earlier.last(), later.first());
            if pair[0].0 == pair[1].0 && from != to && from != 0 {
                self.edges.push(VersionEdge { from, to, sources: PROCESS });
            }
        }
    }

    fn in_real_time(&mut self) {
        let edge = |from, to| VersionEdge { from, to, sources: REALTIME };
        self.by_lo.clear();
        self.by_lo.extend((1..self.len() as u32).filter(|version| self.lo[*version as usize].0 != NONE));
        self.by_lo.sort_unstable_by_key(|version| self.lo[*version as usize].0);
        // Something was written before a read found the register empty.
        if let Some(first) = self.by_lo.first()
            && self.lo[*first as usize].0 < self.hi[0].0
        {
            self.edges.push(edge(*first, 0));
            return;
        }
        // The versions with the three largest `hi` among those up to each place of `by_lo`.
        let mut by_hi: Vec<u32> = (1..self.len() as u32).collect();
        by_hi.sort_unstable_by_key(|version| self.hi[*version as usize].0);
        let (mut top, mut count) = ([0_u32; 3], 0);
        let first_edge = self.edges.len();
        for to in by_hi {
            let hi = self.hi[to as usize].0;
            while let Some(version) = self.by_lo.get(count).filter(|version| self.lo[**version as usize].0 < hi) {
                let mut rising = *version;
                for slot in &mut top {
                    if *slot == 0 || self.hi[rising as usize].0 > self.hi[*slot as usize].0 {
                        std::mem::swap(slot, &mut rising);
                    }
                    if rising == 0 {
                        break;
                    }
                }
                count += 1;
            }
            let largest = |but: [u32; 2]| top.iter().copied().find(|one| *one != 0 && !but.contains(one));
            if let Some(other) = largest([to, to])
                && self.lo[to as usize].0 < self.hi[other as usize].0
            {
                // Each was met before the other.
                self.edges.truncate(first_edge);
                self.edges.extend([edge(other, to), edge(to, other)]);
                return;
            }
            for from in self.by_lo[..count].iter().rev().copied().filter(|from| *from != to) {
                let lo = self.lo[from as usize].0;
                let between = |one: Option<u32>| one.is_some_and(|one| lo < self.hi[one as usize].0);
                if !between(largest([to, from])) {
                    self.edges.push(edge(from, to));
                } else if top.iter().filter(|one| ![0, to].contains(*one) && between(Some(**one))).count() > 1 {
                    break;
                }
            }
        }
    }

    /// Puts the versions into an order that agrees with the edges, those first seen first. False if there is none; then
    /// `degree` is not 0 for the versions that lie on cycles or behind them.
    pub(crate) fn sort(&mut self) -> bool {
        self.edges.sort_unstable();
        self.edges.dedup_by(|next, kept| {
            let same = (next.from, next.to) == (kept.from, kept.to);
            if same {
                kept.sources |= next.sources;
            }
            same
        });
        let versions = self.len();
        self.degree.clear();
        self.degree.resize(versions, 0);
        self.next.clear();
        self.next.resize(versions + 1, 0);
        for edge in &self.edges {
            self.degree[edge.to as usize] += 1;
            self.next[edge.from as usize + 1] += 1;
        }
        for version in 0..versions {
            self.next[version + 1] += self.next[version];
        }
        self.order.clear();
        self.order.push(0);
        self.total = true;
        if self.degree[0] != 0 {
            return false;
        }
        self.heap.clear();
        let free = (1..versions as u32).filter(|version| self.degree[*version as usize] == 0);
        self.heap.extend(free.map(|version| Reverse((self.lo[version as usize].0, version))));
        while let Some(Reverse((_, version))) = self.heap.pop() {
            // Two versions at liberty: either may come first.
            self.total &= self.heap.is_empty();
            self.order.push(version);
            for edge in self.next[version as usize]..self.next[version as usize + 1] {
                let to = self.edges[edge as usize].to;
                self.degree[to as usize] -= 1;
                if self.degree[to as usize] == 0 {
                    self.heap.push(Reverse((self.lo[to as usize].0, to)));
                }
            }
        }
        self.order.len() == versions
    }

    /// A cycle among the edges, which [`KeyOrder::sort`] has just found to be cyclic.
    pub(crate) fn cycle(&self) -> Vec<VersionEdge> {
        let mut cycle: Vec<VersionEdge> = Vec::new();
        if let Some(edge) = self.edges.iter().find(|edge| edge.to == 0) {
            cycle = vec![VersionEdge { from: 0, to: edge.from, sources: INITIAL }, *edge];
        } else if let Some(start) = self.degree.iter().position(|degree| *degree > 0) {
            // Every version with predecessors left has one that has some too.
            let left = |version: u32| self.degree[version as usize] > 0;
            let before = |version: u32| self.edges.iter().find(|edge| edge.to == version && left(edge.from)).copied();
            let mut at = start as u32;
            let mut met = vec![NONE; self.len()];
            while met[at as usize] == NONE {
                met[at as usize] = cycle.len() as u32;
                let Some(edge) = before(at) else { break };
                cycle.push(edge);
                at = edge.from;
            }
            cycle.drain(..met[at as usize] as usize);
            cycle.reverse();
        }
        cycle
    }

    fn cyclic_versions(&self, index: &Index, key: u32, sources: u8) -> Raw {
        let cycle = self.cycle();
        Raw::CyclicVersions {
            key: index.columns.keys[key as usize],
            versions: cycle.iter().map(|edge| self.value_of(edge.from)).collect(),
            reasons: cycle.iter().map(|edge| self.reason(index, edge)).collect(),
            sources,
        }
    }

    /// The edge between two versions, if one is known.
    pub(crate) fn edge(&self, from: u32, to: u32) -> Option<VersionEdge> {
        if from == 0 {
            return (to != 0).then_some(VersionEdge { from, to, sources: INITIAL });
        }
        let place = self.edges.binary_search_by_key(&(from, to), |edge| (edge.from, edge.to)).ok()?;
        Some(self.edges[place])
    }

    /// Who shows, by the most trusted source, that one version precedes another.
    pub(crate) fn reason(&self, index: &Index, edge: &VersionEdge) -> Reason {
        let source = sources::each(edge.sources).next().unwrap_or(INITIAL);
        let (earlier, later) = match source {
            RMW => (self.writer[edge.to as usize], self.writer[edge.to as usize]),
            REALTIME => self.real_time_pair(index, edge),
            PROCESS => self.process_pair(index, edge).unwrap_or((NONE, NONE)),
            _ => (NONE, NONE),
        };
        Reason { source, earlier, later }
    }

    /// The writers themselves, where they do not overlap; else who met the first version first, and the second one last.
    fn real_time_pair(&self, index: &Index, edge: &VersionEdge) -> (u32, u32) {
        let writers = (self.writer[edge.from as usize], self.writer[edge.to as usize]);
        let written = edge.to != 0 && index.columns.txns.precedes(writers.0, writers.1);
        if written { writers } else { (self.lo[edge.from as usize].1, self.hi[edge.to as usize].1) }
    }

    fn process_pair(&self, index: &Index, edge: &VersionEdge) -> Option<(u32, u32)> {
        let process = |touch: &Touch| index.columns.txns.process(touch.txn);
        let earlier = self.touches.iter().enumerate().filter(|(_, touch)| touch.last() == edge.from);
        earlier
            .filter_map(|(place, earlier)| {
                let later = self.touches[place + 1..].iter().find(|later| process(later) == process(earlier))?;
                (later.first() == edge.to).then_some((earlier.txn, later.txn))
            })
            .next()
    }
}
