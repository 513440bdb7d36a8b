//! Consistent prefixes: cycles of ww, wr and rw in which each rw follows a wr.
//!
//! Whoever reads from W sees all that came before W in the one order of commits (Cerone, Bernardi, Gotsman, CONCUR 2015),
//! so that `wr; rw` leads forward in that order, as ww and wr do. Such a cycle is a component of the graph doubled by
//! "entered by wr". Cut a closed walk at a transaction that it passes twice: the part that leaves it by ww or wr keeps the
//! shape. What is left in the end is a simple cycle of the shape, or one without rw: that is G1c or worse, and told.

use super::rows::Rows;
use super::{Breach, Link, Sights, UNREAD};
use crate::finding::EdgeKind;
use crate::transactions::NONE;
use crate::transactions::scc::{View, Walks};
use rustc_hash::FxHashMap;

/// Ways back that are tried in each component.
const TRIES: usize = 16;

/// The dependencies between neighbours in the order of versions, and what each says.
struct Steps<'s> {
    sights: &'s Sights,
    /// Between numbers of suspects, and helpers after them. An rw edge may enter a helper.
    edges: Vec<(u32, u32, EdgeKind)>,
    nodes: u32,
    /// What each edge between suspects says.
    links: FxHashMap<(u32, u32, EdgeKind), Link>,
    /// What each edge into a helper says: key, and rank read; the version behind it is unread.
    into: FxHashMap<(u32, u32), (u32, u32)>,
}

impl<'s> Steps<'s> {
    fn new(sights: &'s Sights) -> Self {
        let nodes = sights.txns.len() as u32;
        let (links, into) = (FxHashMap::default(), FxHashMap::default());
        let mut steps = Self { sights, edges: Vec::new(), nodes, links, into };
        for of_key in sights.versions.chunk_by(|a, b| a.key == b.key) {
            let read = of_key.partition_point(|version| version.rank != UNREAD);
            for pair in of_key[..read].windows(2) {
                steps.add(pair[0].txn, pair[1].txn, EdgeKind::Ww, pair[0].key, (pair[0].rank, pair[1].rank));
            }
            if let Some(last) = read.checked_sub(1).map(|last| of_key[last]) {
                for version in &of_key[read..] {
                    steps.add(last.txn, version.txn, EdgeKind::Ww, last.key, (last.rank, UNREAD));
                }
            }
        }
        steps.reads();
        steps
    }

    fn add(&mut self, from: u32, to: u32, kind: EdgeKind, key: u32, (before, after): (u32, u32)) {
        if let (Some(source), Some(target)) = (self.sights.place(from), self.sights.place(to))
            && source != target
        {
            self.edges.push((source, target, kind));
            self.links.entry((source, target, kind)).or_insert(Link { from, to, kind, key, before, after });
        }
    }

    fn reads(&mut self) {
        let sights = self.sights;
        let mut reads = sights.reads.clone();
        reads.sort_unstable_by_key(|read| (read.key, read.rank, read.txn, read.at));
        for of_key in reads.chunk_by(|a, b| a.key == b.key) {
            let key = of_key[0].key;
            let all = &sights.versions[sights.above(key, 0)];
            let unread = all.partition_point(|version| version.rank != UNREAD);
            let (read, unread) = all.split_at(unread);
            // Who reads the last version that was read saw all that was read, also of these writers.
            let unseen =
                |version: &&super::Version| sights.write(version.txn, key).is_some_and(|write| write.first == UNREAD);
            let unread: Vec<super::Version> = unread.iter().filter(unseen).copied().collect();
            let mut chains = None;
            for one in of_key {
                let mut next = read.partition_point(|version| version.rank <= one.rank);
                // What it wrote itself lies on top of what it saw of others.
                let last = read[..next].iter().rev().find(|version| !sights.cumulative || version.txn != one.txn);
                if let Some(last) = last.filter(|last| sights.cumulative || last.rank == one.rank) {
                    self.add(last.txn, one.txn, EdgeKind::Wr, key, (last.rank, one.rank));
                }
                let place = sights.known.binary_search_by_key(&(one.txn, key), |known| (known.txn, known.key));
                if place.is_err() || place.is_ok_and(|place| sights.known[place] != *one) {
                    continue;
                }
                // Who was seen in part is no writer that was missed.
                let in_part = |version: &super::Version| {
                    sights.write(version.txn, key).is_some_and(|write| write.first <= one.rank)
                };
                next += read[next..].iter().take_while(|version| in_part(version)).count();
                if let Some(next) = read.get(next) {
                    self.add(one.txn, next.txn, EdgeKind::Rw, key, (one.rank, next.rank));
                } else if !unread.is_empty() {
                    let chains = *chains.get_or_insert_with(|| self.chains(&unread));
                    self.enter(chains, &unread, one);
                }
            }
        }
    }

    /// Helpers that lead to unread versions: one chain to this and all later ones, one to this and all earlier ones.
    fn chains(&mut self, unread: &[super::Version]) -> u32 {
        let first = self.nodes;
        let count = unread.len() as u32;
        self.nodes += 2 * count;
        for (at, version) in unread.iter().enumerate() {
            let at = at as u32;
            let Some(writer) = self.sights.place(version.txn) else { continue };
            let (later, earlier) = (first + at, first + count + at);
            // What kind of edge it is matters where a helper is entered.
            self.edges.push((later, writer, EdgeKind::Rw));
            self.edges.push((earlier, writer, EdgeKind::Rw));
            if at > 0 {
                self.edges.push((earlier, earlier - 1, EdgeKind::Rw));
                self.edges.push((later - 1, later, EdgeKind::Rw));
            }
        }
        first
    }

    /// A reader of the last version that was read comes before all unread ones but its own.
    fn enter(&mut self, chains: u32, unread: &[super::Version], read: &super::Read) {
        let Some(reader) = self.sights.place(read.txn) else { return };
        let count = unread.len() as u32;
        let own = unread.partition_point(|version| version.txn < read.txn) as u32;
        let owns = unread[own as usize..].iter().take_while(|version| version.txn == read.txn).count() as u32;
        let mut enter = |helper: u32| {
            self.edges.push((reader, helper, EdgeKind::Rw));
            self.into.entry((reader, helper)).or_insert((read.key, read.rank));
        };
        if own > 0 {
            enter(chains + count + own - 1);
        }
        if own + owns < count {
            enter(chains + own + owns);
        }
    }

    /// Nodes `2n`, and `2n + 1` for "entered by wr", which an rw may leave.
    fn doubled(&self) -> Rows {
        let suspects = self.sights.txns.len() as u32;
        let mut edges = Vec::with_capacity(self.edges.len() * 2);
        for (from, to, kind) in self.edges.iter().copied() {
            match kind {
                EdgeKind::Rw if from >= suspects => edges.push((2 * from, 2 * to, false)),
                EdgeKind::Rw => edges.push((2 * from + 1, 2 * to, true)),
                _ => {
                    let to = 2 * to + u32::from(kind == EdgeKind::Wr);
                    edges.push((2 * from, to, true));
                    edges.push((2 * from + 1, to, true));
                }
            }
        }
        Rows::new(self.nodes as usize * 2, &edges)
    }
}

/// Finds one in each component that has any, unless its reader was told of worse.
pub(super) fn examine(sights: &Sights, told: &[bool], found: &mut Vec<Breach>) {
    let steps = Steps::new(sights);
    let rows = steps.doubled();
    let mut walks = Walks::default();
    let mut component = vec![NONE; rows.nodes()];
    walks.components(&rows, 0..rows.nodes() as u32, |nodes| {
        // Named by its least node, whatever the order in which it was met.
        let least = nodes.iter().copied().min().unwrap_or(NONE);
        nodes.iter().filter(|_| nodes.len() > 1).for_each(|node| component[*node as usize] = least);
    });
    let suspects = sights.txns.len() as u32;
    let rws = steps.edges.iter().filter(|(from, _, kind)| *kind == EdgeKind::Rw && *from < suspects);
    let inside = |(from, to): &(u32, u32)| component[*from as usize] == component[*to as usize];
    let mut rws: Vec<(u32, u32)> = rws.map(|(from, to, _)| (2 * from + 1, 2 * to)).filter(inside).collect();
    rws.retain(|(from, _)| component[*from as usize] != NONE);
    rws.sort_unstable_by_key(|(from, to)| (component[*from as usize], *from, *to));
    for part in rws.chunk_by(|a, b| component[a.0 as usize] == component[b.0 as usize]) {
        let mut best: Option<Vec<Link>> = None;
        for (from, to) in part.iter().take(TRIES) {
            let mut work = 0;
            let Some(path) = walks.path(&rows, *to, *from, NONE - 1, &mut work) else { continue };
            let mut nodes = vec![*from];
            nodes.extend(path.iter().map(|(node, _)| *node));
            if let Some(links) = simple(links(&steps, &nodes))
                && best.as_ref().is_none_or(|best| links.len() < best.len())
            {
                best = Some(links);
            }
        }
        let Some(mut links) = best else { continue };
        let last = links.iter().position(|link| link.kind == EdgeKind::Rw).unwrap_or(0);
        links.rotate_left(last + 1);
        let rws = links.iter().filter(|link| link.kind == EdgeKind::Rw).count();
        let reader = links.last().and_then(|link| sights.place(link.from));
        if rws == 1 && reader.is_some_and(|reader| told[reader as usize]) {
            continue;
        }
        let name = if rws == 1 { "prefix-violation" } else { "long-fork" };
        found.push(Breach { name, links, more: 0 });
    }
}

/// What a closed walk through doubled nodes says, step by step.
fn links(steps: &Steps<'_>, nodes: &[u32]) -> Vec<Link> {
    let suspects = steps.sights.txns.len() as u32;
    let mut links = Vec::new();
    let mut entered: Option<(u32, u32)> = None;
    for (place, node) in nodes.iter().enumerate() {
        let next = nodes[(place + 1) % nodes.len()];
        let (from, to) = (node / 2, next / 2);
        if from < suspects && to < suspects {
            let kinds: &[EdgeKind] = match (node % 2, next % 2) {
                (_, 1) => &[EdgeKind::Wr],
                (0, _) => &[EdgeKind::Ww],
                _ => &[EdgeKind::Ww, EdgeKind::Rw],
            };
            links.extend(kinds.iter().find_map(|kind| steps.links.get(&(from, to, *kind))));
        } else if from < suspects {
            entered = Some((from, to));
        } else if to < suspects
            && let Some((reader, helper)) = entered.take()
            && let Some((key, before)) = steps.into.get(&(reader, helper))
        {
            let txn = |place: u32| steps.sights.txns[place as usize];
            let (from, to, kind) = (txn(reader), txn(to), EdgeKind::Rw);
            links.push(Link { from, to, kind, key: *key, before: *before, after: UNREAD });
        }
    }
    links
}

/// A closed walk, cut to a simple cycle of the shape, if it holds one.
fn simple(mut links: Vec<Link>) -> Option<Vec<Link>> {
    loop {
        let mut seen: FxHashMap<u32, usize> = FxHashMap::default();
        let mut cut = None;
        for (place, link) in links.iter().enumerate() {
            if let Some(first) = seen.insert(link.from, place) {
                cut = Some((first, place));
                break;
            }
        }
        let Some((first, second)) = cut else { break };
        let inner: Vec<Link> = links[first..second].to_vec();
        let outer: Vec<Link> = links[..first].iter().chain(&links[second..]).copied().collect();
        links = [inner, outer].into_iter().find(|part| has_shape(part))?;
    }
    has_shape(&links).then_some(links)
}

/// Whether there is an rw, and each follows a wr.
fn has_shape(links: &[Link]) -> bool {
    let before = links.iter().cycle().skip(links.len().saturating_sub(1));
    let fits = |(before, link): (&Link, &Link)| link.kind != EdgeKind::Rw || before.kind == EdgeKind::Wr;
    links.iter().any(|link| link.kind == EdgeKind::Rw) && before.zip(links).all(fits)
}
