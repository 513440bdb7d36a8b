//! One pass over the history, transaction by transaction, that keeps no operation and no list.

use super::raw::Raw;
use super::records::{Kind, PARTITIONS, Record, partition_of};
use super::transaction;
use crate::op::{Operation, Outcome};
use crate::spill::{Limits, Streams};
use crate::transactions::rows::{self, Arrivals, MopRef, TxnRow};
use crate::transactions::txns::{TXNS_MAX, TxnsBuilder};
use rustc_hash::FxHashMap;

/// What a read saw, as far as it is known: an `ok` read without a list saw the empty list.
pub(super) fn seen(outcome: Outcome, list: Option<&[i64]>) -> Option<&[i64]> {
    match (outcome, list) {
        (Outcome::Fail, _) | (Outcome::Info, None) => None,
        (_, Some(list)) => Some(list),
        (Outcome::Ok, None) => Some(&[]),
    }
}

/// The list of each key as it is known so far.
#[derive(Debug)]
struct Trunks {
    of_key: Vec<Vec<i64>>,
    elements: usize,
    elements_max: usize,
}

impl Trunks {
    /// Counts elements that were added. Where there are too many all trunks are forgotten: a key that is read again
    /// begins a new one, whose elements are told once more.
    fn grow(&mut self, elements: usize) {
        self.elements += elements;
        if self.elements > self.elements_max {
            self.of_key.iter_mut().for_each(|trunk| *trunk = Vec::new());
            self.elements = 0;
        }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            txns: TxnsBuilder::default(),
            keys: Vec::new(),
            numbers: FxHashMap::default(),
            trunks: Trunks { of_key: Vec::new(), elements: 0, elements_max: usize::MAX },
            records: Streams::new(PARTITIONS),
            found: Vec::new(),
            ok_reads: 0,
            arrivals: Arrivals::default(),
            by_key: Vec::new(),
        }
    }
}

/// What one pass over the history leaves behind.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) txns: TxnsBuilder,
    /// The keys, in order of first appearance; a key's number is its place.
    pub(super) keys: Vec<i64>,
    numbers: FxHashMap<i64, u32>,
    trunks: Trunks,
    pub(super) records: Streams<Record>,
    /// Anomalies that transactions show by themselves.
    pub(super) found: Vec<Raw>,
    /// Reads of `ok` transactions.
    pub(super) ok_reads: u64,
    pub(super) arrivals: Arrivals,
    by_key: Vec<u32>,
}

impl Intake {
    /// The next operation in order of invocation, if it is a transaction of appends and list reads.
    pub(super) fn push(&mut self, row: TxnRow, mops: &[MopRef<'_>]) {
        if !mops.iter().all(MopRef::is_of_list) {
            self.push_foreign(row.op_id);
            return;
        }
        self.arrivals.ops += 1;
        if self.txns.len() == TXNS_MAX {
            return;
        }
        let txn = self.txns.len() as u32;
        self.txns.push(row);
        if row.outcome == Outcome::Ok {
            transaction::examine(txn, mops, &mut self.by_key, &mut self.found);
        }
        for (at, mop) in mops.iter().enumerate() {
            match *mop {
                MopRef::Append { key, value } => {
                    let key = self.number(key);
                    let record = Record::new(key, Kind::Append, appends_later(mops, at), txn, value);
                    self.records.push(partition_of(key), record);
                }
                MopRef::ReadList { key, list } => {
                    let key = self.number(key);
                    let Some(list) = seen(row.outcome, list) else { continue };
                    let ok = row.outcome == Outcome::Ok;
                    self.ok_reads += u64::from(ok);
                    let first = || !mops[..at].iter().any(|earlier| earlier.key() == mop.key());
                    let then_appends = ok && appends_later(mops, at) && first();
                    self.read(key, list, (txn, at), then_appends);
                }
                _ => {}
            }
        }
    }

    /// The next operation, if it is something else.
    pub(super) fn push_foreign(&mut self, op_id: u64) {
        self.arrivals.push_foreign(op_id);
    }

    fn number(&mut self, key: i64) -> u32 {
        let next = self.keys.len() as u32;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
            self.trunks.of_key.push(Vec::new());
        }
        number
    }

    fn read(&mut self, key: u32, list: &[i64], (txn, at): (u32, usize), then_appends: bool) {
        let trunk = &mut self.trunks.of_key[key as usize];
        let partition = partition_of(key);
        let common = trunk.len().min(list.len());
        let aside = trunk[..common] != list[..common];
        if aside {
            let mut put =
                |element: &i64| self.records.push(partition, Record::new(key, Kind::Aside, false, 0, *element));
            list.iter().for_each(&mut put);
        } else if common < list.len() {
            // The first element of a trunk says that it begins, perhaps anew.
            for (place, element) in list.iter().enumerate().skip(common) {
                self.records.push(partition, Record::new(key, Kind::Element, place == 0, 0, *element));
            }
            trunk.extend_from_slice(&list[common..]);
            self.trunks.grow(list.len() - common);
        }
        self.records.push(partition, Record::read(key, then_appends, txn, at, list.len(), aside));
    }

    /// Not more memory than this, about, for what grows with the history: a half for records, a quarter for trunks, and
    /// the rest for what comes later.
    pub(super) fn limit(&mut self, limits: &Limits) {
        self.records.limit(limits.spill.clone(), 0, limits.memory_bytes_max / 2);
        self.trunks.elements_max = usize::try_from(limits.memory_bytes_max / 4 / 16).unwrap_or(usize::MAX);
    }

    /// Everything of a history in memory.
    pub(super) fn of(ops: &[Operation]) -> Self {
        let mut intake = Self::default();
        rows::each_of(ops, |row, mops| match mops {
            Some(mops) => intake.push(row, mops),
            None => intake.push_foreign(row.op_id),
        });
        intake
    }

    /// The number of a key that occurs in the history.
    pub(super) fn key_number(&self, key: i64) -> Option<u32> {
        self.numbers.get(&key).copied()
    }
}

/// Whether a later micro-operation appends to the key of the one at `at`.
fn appends_later(mops: &[MopRef<'_>], at: usize) -> bool {
    let key = mops[at].key();
    mops[at + 1..].iter().any(|mop| matches!(mop, MopRef::Append { .. }) && mop.key() == key)
}
