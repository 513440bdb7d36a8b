//! Consistent prefixes: cycles of ww, wr and rw in which each rw follows a wr.
//!
//! Whoever reads from W sees all that came before W in the one order of commits (Cerone, Bernardi, Gotsman, CONCUR 2015),
//! so that `wr; rw` leads forward in that order, as ww and wr do. Such a cycle is a component of the graph doubled by
//! "entered by wr". Cut a closed walk at a transaction that it passes twice: the part that leaves it by ww or wr keeps the
//! shape. What is left in the end is a simple cycle of the shape, or one without rw: that is G1c or worse, and told.

use super::doubled::{Doubled, Fan};
use super::{Breach, Link, Sights, UNREAD};
use crate::finding::EdgeKind;
use crate::transactions::dependencies::Dependencies;
use rustc_hash::{FxHashMap, FxHashSet};

/// The dependencies between neighbours in the order of versions, and what each says.
struct Steps<'s> {
    sights: &'s Sights,
    /// Between numbers of suspects.
    doubled: Doubled,
    /// What each edge between suspects says.
    links: FxHashMap<(u32, u32, EdgeKind), Link>,
    /// What each edge into a helper says: key, and rank read; the version behind it is unread.
    into: FxHashMap<(u32, u32), (u32, u32)>,
}

impl<'s> Steps<'s> {
    fn new(sights: &'s Sights) -> Self {
        let doubled = Doubled::new(sights.txns.len() as u32);
        let mut steps = Self { sights, doubled, links: FxHashMap::default(), into: FxHashMap::default() };
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
            self.doubled.add(source, target, kind);
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
            let mut fan = None;
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
                    let writers = unread.iter().map(|version| self.sights.place(version.txn));
                    let fan = *fan.get_or_insert_with(|| self.doubled.fan(writers));
                    self.enter(fan, &unread, one);
                }
            }
        }
    }

    /// A reader of the last version that was read comes before all unread ones but its own.
    fn enter(&mut self, fan: Fan, unread: &[super::Version], read: &super::Read) {
        let Some(reader) = self.sights.place(read.txn) else { return };
        let own = unread.partition_point(|version| version.txn < read.txn);
        let owns = unread[own..].iter().take_while(|version| version.txn == read.txn).count();
        for helper in self.doubled.enter(fan, reader, own as u32..(own + owns) as u32) {
            self.into.entry((reader, helper)).or_insert((read.key, read.rank));
        }
    }
}

/// Finds one in each component that has any, unless its reader was told of worse.
pub(super) fn examine(sights: &Sights, told: &[bool], found: &mut Vec<Breach>) {
    let steps = Steps::new(sights);
    for links in steps.doubled.cycles(|nodes| simple(links(&steps, nodes))) {
        let reader = links.last().and_then(|link| sights.place(link.from));
        let is_told = reader.is_some_and(|reader| told[reader as usize]);
        found.extend(named(&links, is_told).map(|name| Breach { name, links, more: 0 }));
    }
}

/// What a cycle is called; nothing where its only reader of the past was told of worse.
fn named(links: &[Link], is_told: bool) -> Option<&'static str> {
    let rws = links.iter().filter(|link| link.kind == EdgeKind::Rw).count();
    match rws {
        1 if is_told => None,
        1 => Some("prefix-violation"),
        _ => Some("long-fork"),
    }
}

/// The same among some transactions (ascending) of which the dependencies are known and not what they saw: also those that
/// miss what leads to them by reads alone, under the name of that. Links tell no keys. `is_told`: whether a reader was told
/// of worse.
pub(crate) fn of_dependencies(
    dependencies: &Dependencies,
    suspects: &[u32],
    is_told: impl Fn(u32) -> bool,
) -> Vec<Breach> {
    let number = |txn: &u32| suspects.binary_search(txn).ok().map(|place| place as u32);
    let mut doubled = Doubled::new(suspects.len() as u32);
    let mut overwrites: FxHashSet<(u32, u32)> = FxHashSet::default();
    let labelled =
        [(&dependencies.ww, EdgeKind::Ww), (&dependencies.wr, EdgeKind::Wr), (&dependencies.rw, EdgeKind::Rw)];
    for (edges, kind) in labelled {
        for (from, to) in edges.iter().filter_map(|(from, to)| Some((number(from)?, number(to)?))) {
            doubled.add(from, to, kind);
            if kind == EdgeKind::Ww {
                overwrites.insert((from, to));
            }
        }
    }
    for fan in &dependencies.fans {
        let writers: Vec<u32> = fan.appenders.iter().filter_map(number).collect();
        let readers: Vec<u32> = fan.readers.iter().filter_map(number).collect();
        if writers.is_empty() || readers.is_empty() {
            continue;
        }
        let helpers = doubled.fan(writers.iter().copied().map(Some));
        for reader in readers {
            let own = writers.partition_point(|writer| *writer < reader) as u32;
            let owns = u32::from(writers.binary_search(&reader).is_ok());
            // Which helpers it entered is not asked for.
            let _ = doubled.enter(helpers, reader, own..own + owns);
        }
    }
    let txns = doubled.txns;
    let link = |from: u32, to: u32, kind: EdgeKind| Link {
        kind,
        ..Link::process(suspects[from as usize], suspects[to as usize])
    };
    let links = |nodes: &[u32]| {
        let mut links = Vec::new();
        let mut reader = None;
        for (place, node) in nodes.iter().enumerate() {
            let next = nodes[(place + 1) % nodes.len()];
            let (from, to) = (node / 2, next / 2);
            match (from < txns, to < txns) {
                (true, true) => {
                    let kind = match (node % 2, next % 2) {
                        (_, 1) => EdgeKind::Wr,
                        (1, _) if !overwrites.contains(&(from, to)) => EdgeKind::Rw,
                        _ => EdgeKind::Ww,
                    };
                    links.push(link(from, to, kind));
                }
                (true, false) => reader = Some(from),
                (false, true) => links.extend(reader.take().map(|reader| link(reader, to, EdgeKind::Rw))),
                (false, false) => {}
            }
        }
        simple(links)
    };
    let cycles = doubled.cycles(links).into_iter();
    let breach = |links: Vec<Link>| {
        let reader = links.last().map(|link| link.from);
        let mut name = named(&links, reader.is_some_and(&is_told))?;
        let by_reads = links.iter().filter(|link| link.kind == EdgeKind::Wr).count() == links.len() - 1;
        if by_reads {
            name = if links.len() == 2 { "fractured-read" } else { "causal-violation" };
        }
        Some(Breach { name, links, more: 0 })
    };
    cycles.filter_map(breach).collect()
}

/// What a closed walk through doubled nodes says, step by step.
fn links(steps: &Steps<'_>, nodes: &[u32]) -> Vec<Link> {
    let suspects = steps.doubled.txns;
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
