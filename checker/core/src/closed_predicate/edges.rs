//! What follows from the reads: dependencies over objects, and over predicates.
//!
//! A read by predicate saw one version of every object there is. For those that it returned, it is known; for any other
//! it is one that does not match, and known if there is only one such. Of a version that was seen this follows:
//! * who wrote it comes first, if it changed whether the object matches (wr, by predicate);
//! * who changed that later comes later (rw, by predicate).
//!
//! Objects that were returned were also read one by one.

use super::Raw;
use super::internal;
use super::mops;
use super::objects::{Object, State};
use super::predicate::Predicate;
use crate::names::Names;
use crate::op::{Mop, Operation, Outcome};
use crate::transactions::dependencies::Dependencies;
use crate::transactions::graph::{RW, WR, WW};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Why one transaction precedes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) key: i64,
    /// What the first wrote or read, and what the second read or wrote.
    pub(super) before: State,
    pub(super) after: State,
    /// The predicate that was read, if it is by predicate.
    pub(super) predicate: Option<i64>,
}

/// The dependencies.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// By transactions and label: the first reason over an object, and the first over a predicate.
    pub(super) reasons: BTreeMap<(u32, u32, u8), [Option<Reason>; 2]>,
    /// Anomalies that need no cycle.
    pub(super) found: Vec<Raw>,
    /// Reads of `ok` transactions.
    pub(super) ok_reads: u64,
}

impl Edges {
    /// The dependencies over objects, and those over predicates too if `with_predicates`.
    pub(super) fn dependencies(&self, with_predicates: bool) -> Dependencies {
        let mut dependencies = Dependencies::default();
        for ((from, to, label), [item, _]) in &self.reasons {
            if item.is_some() || with_predicates {
                let edges = match *label {
                    WW => &mut dependencies.ww,
                    WR => &mut dependencies.wr,
                    _ => &mut dependencies.rw,
                };
                edges.push((*from, *to));
            }
        }
        dependencies
    }

    fn add(&mut self, from: u32, to: u32, label: u8, reason: Reason) {
        if from != to {
            let slot = usize::from(reason.predicate.is_some());
            let known = &mut self.reasons.entry((from, to, label)).or_default()[slot];
            known.get_or_insert(reason);
        }
    }
}

/// Goes through all transactions.
pub(super) fn examine(ops: &[Operation], objects: &BTreeMap<i64, Object>, names: &Names) -> Edges {
    let mut work = Work { objects, names, edges: Edges::default(), seen: BTreeSet::new(), flips: FxHashMap::default() };
    for (key, object) in objects {
        work.writes(*key, object);
    }
    for (txn, op) in (0..).zip(ops).filter(|(_, op)| op.outcome == Outcome::Ok) {
        work.transaction(txn, mops(op));
    }
    work.edges
}

struct Work<'o> {
    objects: &'o BTreeMap<i64, Object>,
    names: &'o Names,
    edges: Edges,
    /// Values of which it was told that they should not have been seen.
    seen: BTreeSet<(&'static str, i64, Option<i64>)>,
    /// For a predicate and a version: the later versions that match where it does not, or the other way round.
    flips: FxHashMap<(i64, i64, usize), Vec<usize>>,
}

impl Work<'_> {
    fn writes(&mut self, key: i64, object: &Object) {
        if object.cyclic {
            self.edges.found.push(Raw::CyclicVersions { key });
        }
        for version in &object.versions {
            for next in &version.next {
                let next = &object.versions[*next];
                let reason = Reason { key, before: version.state, after: next.state, predicate: None };
                for from in &version.writers {
                    for to in &next.writers {
                        self.edges.add(*from, *to, WW, reason.clone());
                    }
                }
            }
        }
    }

    fn transaction(&mut self, txn: u32, mops: &[Mop]) {
        internal::contradiction(txn, mops, self.names).into_iter().for_each(|raw| self.tell(raw));
        let mut touched: BTreeSet<i64> = BTreeSet::new();
        let mut written: BTreeSet<i64> = BTreeSet::new();
        for mop in mops {
            match mop {
                Mop::Read { key, value: Some(value) } => {
                    self.edges.ok_reads += 1;
                    // Later reads, and reads after a write of its own, say nothing about others.
                    if touched.insert(*key) {
                        self.read(txn, *key, *value);
                    }
                }
                Mop::Insert { key, .. } | Mop::Write { key, .. } | Mop::Delete { key } => {
                    touched.insert(*key);
                    written.insert(*key);
                }
                Mop::ReadPredicate { predicate, matched: Some(matched) } => {
                    self.edges.ok_reads += 1;
                    // What was returned was read besides.
                    for (key, value) in matched {
                        if touched.insert(*key) {
                            self.read(txn, *key, Some(*value));
                        }
                    }
                    if let Some(of) = Predicate::of(*predicate, self.names) {
                        self.predicate(txn, *predicate, &of, matched, &written);
                    }
                }
                _ => {}
            }
        }
    }

    /// The version that a read saw, if that is one.
    fn saw(&mut self, txn: u32, key: i64, value: Option<i64>) -> Option<usize> {
        let object = self.objects.get(&key)?;
        let Some(value) = value else {
            let absent = object.absent();
            if object.version(State::Unborn).is_none() && object.version(State::Dead).is_none() {
                self.tell(Raw::Garbage { key, value: None, reader: txn });
            }
            return absent;
        };
        let version = object.version(State::Value(value));
        if version.is_none() {
            let raw = match (object.failed.get(&value), object.intermediate.get(&value)) {
                (Some(writer), _) => Some(Raw::G1a { key, value, reader: txn, writer: *writer }),
                (_, Some(writer)) => {
                    Some(Raw::G1b { key, value, reader: txn, writer: *writer }).filter(|_| *writer != txn)
                }
                _ => Some(Raw::Garbage { key, value: Some(value), reader: txn }),
            };
            raw.into_iter().for_each(|raw| self.tell(raw));
        }
        version
    }

    /// Once for each value and kind.
    fn tell(&mut self, raw: Raw) {
        let value = match &raw {
            Raw::G1a { key, value, .. } | Raw::G1b { key, value, .. } => Some((*key, Some(*value))),
            Raw::Garbage { key, value, .. } | Raw::FutureRead { key, value, .. } => Some((*key, *value)),
            _ => None,
        };
        if value.is_none_or(|(key, value)| self.seen.insert((raw.name(), key, value))) {
            self.edges.found.push(raw);
        }
    }

    fn read(&mut self, txn: u32, key: i64, value: Option<i64>) {
        let Some(version) = self.saw(txn, key, value) else { return };
        let objects = self.objects;
        let versions = &objects[&key].versions;
        let seen = &versions[version];
        let reason = |before, after| Reason { key, before, after, predicate: None };
        for writer in &seen.writers {
            self.edges.add(*writer, txn, WR, reason(seen.state, seen.state));
        }
        for next in seen.next.iter().map(|next| &versions[*next]) {
            for writer in &next.writers {
                self.edges.add(txn, *writer, RW, reason(seen.state, next.state));
            }
        }
    }

    fn predicate(
        &mut self,
        txn: u32,
        number: i64,
        predicate: &Predicate,
        matched: &[(i64, i64)],
        written: &BTreeSet<i64>,
    ) {
        let objects = self.objects;
        let returned: BTreeMap<i64, i64> = matched.iter().copied().collect();
        for (key, object) in objects.iter().filter(|(key, _)| !written.contains(key)) {
            let value = returned.get(key).copied();
            let seen = match value {
                Some(value) => self.saw(txn, *key, Some(value)),
                None => self.missing(txn, number, predicate, *key, object),
            };
            // What it will write itself cannot be why it lacks the object.
            if value.is_none()
                && let Some(version) = seen.map(|seen| &object.versions[seen])
                && version.writers == [txn]
            {
                self.tell(Raw::FutureRead { txn, key: *key, value: version.state.value() });
            }
            if let Some(seen) = seen {
                self.seen_by_predicate(txn, number, predicate, (*key, object), seen);
            }
        }
        for (key, value) in matched.iter().filter(|(key, _)| !objects.contains_key(key)) {
            self.tell(Raw::Garbage { key: *key, value: Some(*value), reader: txn });
        }
    }

    fn matches(&self, predicate: &Predicate, object: &Object, version: usize) -> bool {
        object.versions[version].state.value().is_some_and(|value| predicate.matches(value, self.names))
    }

    /// The only version that the read can have seen of an object that it did not return.
    fn missing(&mut self, txn: u32, number: i64, predicate: &Predicate, key: i64, object: &Object) -> Option<usize> {
        let mut candidates = (0..object.versions.len()).filter(|version| !self.matches(predicate, object, *version));
        let (first, second) = (candidates.next(), candidates.next());
        if first.is_none() {
            let mut values: Vec<i64> = object.versions.iter().filter_map(|version| version.state.value()).collect();
            values.truncate(8);
            self.edges.found.push(Raw::PredicateReadMiss { txn, predicate: number, key, values });
        }
        first.filter(|first| second.is_none() && object.is_one(*first))
    }

    fn seen_by_predicate(
        &mut self,
        txn: u32,
        number: i64,
        predicate: &Predicate,
        (key, object): (i64, &Object),
        seen: usize,
    ) {
        let version = &object.versions[seen];
        let matches = self.matches(predicate, object, seen);
        let changed =
            object.versions.iter().enumerate().any(|(before, other)| {
                other.next.contains(&seen) && self.matches(predicate, object, before) != matches
            });
        let reason = |before, after| Reason { key, before, after, predicate: Some(number) };
        if changed {
            for writer in &version.writers {
                self.edges.add(*writer, txn, WR, reason(version.state, version.state));
            }
        }
        let flips = match self.flips.get(&(number, key, seen)) {
            Some(flips) => flips.clone(),
            None => {
                let flips = object.later(seen).into_iter();
                let flips: Vec<usize> =
                    flips.filter(|later| self.matches(predicate, object, *later) != matches).collect();
                self.flips.insert((number, key, seen), flips.clone());
                flips
            }
        };
        for later in flips.iter().map(|later| &object.versions[*later]) {
            for writer in &later.writers {
                self.edges.add(txn, *writer, RW, reason(version.state, later.state));
            }
        }
    }
}
