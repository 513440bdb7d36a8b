//! Transactions that contradict themselves: what they read is not what they read or wrote before, or what they write only
//! later, or not what they asked for.

use super::Raw;
use super::predicate::Predicate;
use crate::names::Names;
use crate::op::Mop;
use std::collections::BTreeMap;

/// The first contradiction of a transaction. Time: reads by predicate times objects that the transaction touched.
pub(super) fn contradiction(txn: u32, mops: &[Mop], names: &Names) -> Option<Raw> {
    let mut state = State { txn, names, known: BTreeMap::new(), later: later(mops) };
    mops.iter().enumerate().find_map(|(at, mop)| state.step(at, mop))
}

/// For each value that is written, where that is first done.
fn later(mops: &[Mop]) -> BTreeMap<(i64, i64), usize> {
    let mut later = BTreeMap::new();
    for (at, mop) in mops.iter().enumerate() {
        if let Mop::Insert { key, value } | Mop::Write { key, value } = mop {
            later.entry((*key, *value)).or_insert(at);
        }
    }
    later
}

struct State<'n> {
    txn: u32,
    names: &'n Names,
    /// What the transaction knows to be at a key: `None` is nothing.
    known: BTreeMap<i64, Option<i64>>,
    later: BTreeMap<(i64, i64), usize>,
}

impl State<'_> {
    fn step(&mut self, at: usize, mop: &Mop) -> Option<Raw> {
        match mop {
            Mop::Insert { key, value } | Mop::Write { key, value } => {
                self.known.insert(*key, Some(*value));
                None
            }
            Mop::Delete { key } => {
                self.known.insert(*key, None);
                None
            }
            Mop::Read { key, value: Some(seen) } => self.meet(at, *key, *seen),
            Mop::ReadPredicate { predicate, matched: Some(matched) } => {
                let of = Predicate::of(*predicate, self.names)?;
                self.returned(at, *predicate, &of, matched)
            }
            _ => None,
        }
    }

    /// Takes in what was read at a key.
    fn meet(&mut self, at: usize, key: i64, seen: Option<i64>) -> Option<Raw> {
        let txn = self.txn;
        if let Some(expected) = self.known.insert(key, seen) {
            return (expected != seen).then_some(Raw::Internal { txn, key, expected, seen });
        }
        let value = seen.filter(|value| self.later.get(&(key, *value)).is_some_and(|place| *place > at))?;
        Some(Raw::FutureRead { txn, key, value: Some(value) })
    }

    /// Takes in what a read by predicate returned, and what it did not.
    fn returned(&mut self, at: usize, number: i64, predicate: &Predicate, matched: &[(i64, i64)]) -> Option<Raw> {
        let txn = self.txn;
        let mut returned: BTreeMap<i64, i64> = BTreeMap::new();
        for (key, value) in matched {
            if !predicate.matches(*value, self.names) {
                return Some(Raw::NoMatch { txn, predicate: number, key: *key, value: *value });
            }
            let raw = self.meet(at, *key, Some(*value));
            if raw.is_some() {
                return raw;
            }
            returned.insert(*key, *value);
        }
        let matches = |value: &Option<i64>| value.is_some_and(|value| predicate.matches(value, self.names));
        let lacks = self.known.iter().find(|(key, value)| matches(value) && !returned.contains_key(key));
        lacks.map(|(key, expected)| Raw::Internal { txn, key: *key, expected: *expected, seen: None })
    }
}
