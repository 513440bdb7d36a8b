//! Objects and their versions: unborn, each value that was written, dead.
//!
//! What is known of their order:
//! * the first state comes before all others: what the initial transaction inserted, else *unborn*;
//! * an object that is inserted once is inserted before it is written or deleted, and if it is deleted once it is dead
//!   after all of that;
//! * whoever read a version and wrote the object made the new version from it.
//!
//! Should the last contradict the others, or itself, the object is told as `cyclic-versions` and the last is forgotten.

use super::mops;
use crate::op::{Mop, Operation, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// What an object is at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It was not inserted yet.
    Unborn,
    /// It has a value.
    Value(i64),
    /// It was deleted.
    Dead,
}

impl State {
    /// The value, if there is one.
    pub(super) fn value(self) -> Option<i64> {
        if let State::Value(value) = self { Some(value) } else { None }
    }
}

/// One version: a state, and who may have brought the object there.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) state: State,
    pub(super) writers: Vec<u32>,
    /// Versions that come right after it, as far as is known.
    pub(super) next: Vec<usize>,
}

/// One object.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    pub(super) versions: Vec<Version>,
    /// Values that failed transactions wrote, and those that were overwritten by their own transaction, with who wrote them.
    pub(super) failed: BTreeMap<i64, u32>,
    pub(super) intermediate: BTreeMap<i64, u32>,
    /// Whether what was read contradicts every order.
    pub(super) cyclic: bool,
}

impl Object {
    /// Place of a version.
    pub(super) fn version(&self, state: State) -> Option<usize> {
        self.versions.iter().position(|version| version.state == state)
    }

    /// Place of the only version in which the object is not there; `None` if there are several, or none.
    pub(super) fn absent(&self) -> Option<usize> {
        match (self.version(State::Unborn), self.version(State::Dead)) {
            (Some(one), None) | (None, Some(one)) => Some(one).filter(|one| self.is_one(*one)),
            _ => None,
        }
    }

    /// Whether it is one version, and not the several that as many deletions left.
    pub(super) fn is_one(&self, version: usize) -> bool {
        self.versions[version].writers.len() <= 1
    }

    /// The versions that come after one.
    pub(super) fn later(&self, version: usize) -> Vec<usize> {
        let mut met = vec![false; self.versions.len()];
        let mut open = self.versions[version].next.clone();
        let mut later = Vec::new();
        while let Some(one) = open.pop() {
            if !std::mem::replace(&mut met[one], true) {
                later.push(one);
                open.extend_from_slice(&self.versions[one].next);
            }
        }
        later.sort_unstable();
        later
    }

    fn is_acyclic(&self, edges: &BTreeSet<(usize, usize)>) -> bool {
        let mut incoming = vec![0_usize; self.versions.len()];
        edges.iter().for_each(|(_, to)| incoming[*to] += 1);
        let mut ready: Vec<usize> = (0..incoming.len()).filter(|version| incoming[*version] == 0).collect();
        let mut gone = 0;
        while let Some(version) = ready.pop() {
            gone += 1;
            for (_, to) in edges.range((version, 0)..(version + 1, 0)) {
                incoming[*to] -= 1;
                if incoming[*to] == 0 {
                    ready.push(*to);
                }
            }
        }
        gone == incoming.len()
    }

    fn order(&mut self, first: usize, inserts: &[usize], deletes: usize, made: BTreeSet<(usize, usize)>) {
        let all = 0..self.versions.len();
        let dead = self.version(State::Dead);
        let mut known: BTreeSet<(usize, usize)> = BTreeSet::new();
        let born = if let [insert] = inserts { *insert } else { first };
        for version in all.clone().filter(|version| *version != first) {
            let before = if version == born { first } else { born };
            known.insert((before, version));
        }
        if let Some(dead) = dead.filter(|_| inserts.len() <= 1 && deletes == 1) {
            known.extend(all.filter(|version| *version != dead).map(|version| (version, dead)));
        }
        let together: BTreeSet<(usize, usize)> = known.union(&made).copied().collect();
        self.cyclic = !self.is_acyclic(&together);
        for (from, to) in if self.cyclic { known } else { together } {
            self.versions[from].next.push(to);
        }
        self.reduce();
    }

    /// Leaves out what follows from the rest, one way round at least: an edge beside a way of two.
    fn reduce(&mut self) {
        let after: Vec<BTreeSet<usize>> =
            self.versions.iter().map(|version| version.next.iter().copied().collect()).collect();
        for version in &mut self.versions {
            let next = std::mem::take(&mut version.next);
            let beside = |to: &usize| next.iter().any(|other| other != to && after[*other].contains(to));
            version.next = next.iter().copied().filter(|to| !beside(to)).collect();
        }
    }
}

/// Values of an object that two transactions wrote: key, value, and who.
pub(super) type Duplicate = (i64, i64, u32, u32);

/// All objects of a history. `initial` is the transaction that made the first state of what it inserted.
///
/// # Errors
/// Values that were written twice: who read them cannot be told.
pub(super) fn objects(ops: &[Operation], initial: Option<u32>) -> Result<BTreeMap<i64, Object>, Vec<Duplicate>> {
    let mut parts: BTreeMap<i64, Parts> = BTreeMap::new();
    let mut duplicates = Vec::new();
    for (txn, op) in (0..).zip(ops) {
        let mops = mops(op);
        for (at, mop) in mops.iter().enumerate() {
            let Some(key) = mop.key() else { continue };
            let of_key = parts.entry(key).or_default();
            let state = match mop {
                Mop::Insert { value, .. } | Mop::Write { value, .. } => State::Value(*value),
                Mop::Delete { .. } => State::Dead,
                _ => continue,
            };
            let is_write = |mop: &Mop| matches!(mop, Mop::Insert { .. } | Mop::Write { .. } | Mop::Delete { .. });
            let is_last = !mops[at + 1..].iter().any(|later| later.key() == Some(key) && is_write(later));
            let earlier = of_key.add(txn, op.outcome, state, is_last);
            duplicates.extend(earlier.zip(state.value()).map(|(earlier, value)| (key, value, earlier, txn)));
            if op.outcome != Outcome::Fail && matches!(mop, Mop::Insert { .. }) {
                of_key.inserts.insert(state);
            }
        }
        if op.outcome == Outcome::Ok {
            for (key, made) in made(mops) {
                parts.entry(key).or_default().made.insert(made);
            }
        }
    }
    if !duplicates.is_empty() {
        return Err(duplicates);
    }
    Ok(parts.into_iter().map(|(key, parts)| (key, parts.object(initial))).collect())
}

/// For each object that a transaction read before it wrote it: what it read, and what it left.
fn made(mops: &[Mop]) -> Vec<(i64, (State, State))> {
    let mut first: BTreeMap<i64, Option<State>> = BTreeMap::new();
    let mut left: BTreeMap<i64, State> = BTreeMap::new();
    for mop in mops {
        match mop {
            Mop::Read { key, value: Some(Some(value)) } => {
                first.entry(*key).or_insert(Some(State::Value(*value)));
            }
            Mop::Insert { key, value } | Mop::Write { key, value } => {
                first.entry(*key).or_insert(None);
                left.insert(*key, State::Value(*value));
            }
            Mop::Delete { key } => {
                first.entry(*key).or_insert(None);
                left.insert(*key, State::Dead);
            }
            _ => {}
        }
    }
    let made = left.into_iter().filter_map(|(key, left)| Some((key, (first.get(&key).copied().flatten()?, left))));
    // Who read what it wrote itself contradicts itself, and not the versions.
    made.filter(|(_, (from, to))| from != to).collect()
}

/// What is gathered of an object.
#[derive(Debug, Default)]
struct Parts {
    versions: BTreeMap<State, Vec<u32>>,
    failed: BTreeMap<i64, u32>,
    intermediate: BTreeMap<i64, u32>,
    inserts: BTreeSet<State>,
    made: BTreeSet<(State, State)>,
}

impl Parts {
    /// Takes in a write. Returns who wrote the same value before, if anybody did.
    fn add(&mut self, txn: u32, outcome: Outcome, state: State, is_last: bool) -> Option<u32> {
        let value = state.value();
        let by = |writers: &BTreeMap<i64, u32>| value.and_then(|value| writers.get(&value).copied());
        let known = self.versions.get(&state).filter(|_| value.is_some()).and_then(|writers| writers.first().copied());
        let earlier =
            known.or_else(|| by(&self.failed)).or_else(|| by(&self.intermediate)).filter(|other| *other != txn);
        match (outcome, value) {
            (Outcome::Fail, Some(value)) => {
                self.failed.insert(value, txn);
            }
            (Outcome::Fail, None) => {}
            (_, Some(value)) if !is_last => {
                self.intermediate.insert(value, txn);
            }
            (_, None) if !is_last => {}
            _ => {
                let writers = self.versions.entry(state).or_default();
                if writers.last() != Some(&txn) {
                    writers.push(txn);
                }
            }
        }
        earlier
    }

    fn object(self, initial: Option<u32>) -> Object {
        let is_initial = |writers: &Vec<u32>| initial.is_some_and(|initial| writers.contains(&initial));
        let from_the_beginning = self.versions.values().any(is_initial);
        let mut object = Object { failed: self.failed, intermediate: self.intermediate, ..Object::default() };
        if !from_the_beginning {
            object.versions.push(Version { state: State::Unborn, writers: Vec::new(), next: Vec::new() });
        }
        let deletes = self.versions.get(&State::Dead).map_or(0, Vec::len);
        let first_state = self.versions.iter().find(|(_, writers)| is_initial(writers)).map(|(state, _)| *state);
        for (state, writers) in self.versions {
            object.versions.push(Version { state, writers, next: Vec::new() });
        }
        let first = first_state.and_then(|state| object.version(state)).unwrap_or(0);
        let inserts: Vec<usize> = self.inserts.iter().filter_map(|state| object.version(*state)).collect();
        // Of several deletions nobody knows which one it was.
        let place = |made: &&(State, State)| deletes <= 1 || made.1 != State::Dead;
        let made = self.made.iter().filter(place);
        let place = |(from, to): &(State, State)| Some((object.version(*from)?, object.version(*to)?));
        let made = made.filter_map(place).collect();
        object.order(first, &inserts, deletes, made);
        object
    }
}
