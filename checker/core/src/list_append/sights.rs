//! What the transactions on cycles read and wrote, as ranks in the version orders, and in words.

use super::explain::{Narrator, mops};
use super::intake::{Intake, seen};
use super::records::{grouped, partition_of};
use super::versions::{Append, Versions};
use super::{NAME, words};
use crate::op::Mop;
use crate::spill::SpillError;
use crate::transactions::Txns;
use crate::transactions::visibility::words::Objects;
use crate::transactions::visibility::{self, Sights, UNREAD, Version};
use std::collections::BTreeSet;

/// What the suspects saw. Suspected are also those that touched a broken key: one whose versions are not all by
/// transactions that may have happened. Nothing where there is no suspect. A key with duplicates has no order.
///
/// # Errors
/// If records that were put aside cannot be had back.
pub(super) fn of_suspects(
    intake: &Intake,
    txns: &Txns,
    suspects: &[u32],
    broken: &BTreeSet<u32>,
) -> Result<Option<Sights>, SpillError> {
    if suspects.is_empty() && broken.is_empty() {
        return Ok(None);
    }
    let mut suspected = vec![false; txns.len()];
    suspects.iter().for_each(|txn| suspected[*txn as usize] = true);
    let partitions: BTreeSet<usize> = broken.iter().map(|key| partition_of(*key)).collect();
    for partition in partitions {
        let records = intake.records.stream(partition)?;
        let touching = records.iter().filter(|record| record.is_of_txn() && broken.contains(&record.key));
        touching.for_each(|record| suspected[record.txn() as usize] = true);
    }
    let mut versions = Versions::default();
    let (mut reads, mut written) = (Vec::new(), Vec::new());
    for partition in 0..intake.records.len() {
        for of_key in grouped(&intake.records.stream(partition)?).chunk_by(|a, b| a.key == b.key) {
            let key = of_key[0].key;
            if !of_key.iter().any(|record| record.is_of_txn() && suspected[record.txn() as usize]) {
                continue;
            }
            versions.load(of_key, txns);
            if versions.has_duplicates() {
                continue;
            }
            let suspect = |txn: u32| suspected[txn as usize];
            for read in versions.reads.iter().filter(|read| read.ok && suspect(read.txn) && versions.has_prefix(read)) {
                let (txn, at, rank) = (read.txn, read.at, read.len());
                reads.push(visibility::Read { txn, at, key, rank });
            }
            let suspect = |append: &Append| append.is_possible() && suspect(append.txn);
            for rank in 0..versions.len() {
                if let Some(append) = versions.append_at(rank).filter(suspect) {
                    written.push(Version { key, rank: rank + 1, txn: append.txn });
                }
            }
            let unread = versions.unobserved().filter(suspect);
            written.extend(unread.map(|append| Version { key, rank: UNREAD, txn: append.txn }));
        }
    }
    written.sort_unstable();
    written.dedup();
    Ok(Some(Sights::new(true, reads, written)))
}

impl Objects for Narrator<'_> {
    fn checker(&self) -> &'static str {
        NAME
    }

    fn op_id(&self, txn: u32) -> u64 {
        self.op(txn).op_id
    }

    fn process(&self, txn: u32) -> i64 {
        self.op(txn).process
    }

    fn transaction(&mut self, txn: u32, keys: &BTreeSet<i64>) -> String {
        words::operation(self.op(txn), |mop| mop.key().is_some_and(|key| keys.contains(&key)), &[])
    }

    fn key(&self, key: u32) -> i64 {
        self.keys[key as usize]
    }

    fn value(&mut self, txn: u32, key: u32, rank: u32) -> Option<i64> {
        let key = self.key(key);
        if rank != UNREAD {
            return self.versions(key)?.element(rank.checked_sub(1)?);
        }
        let appends: Vec<i64> = mops(self.op(txn)).iter().filter_map(|mop| append_to(mop, key)).collect();
        let versions = self.versions(key)?;
        appends.into_iter().find(|value| versions.rank_of(*value).is_none())
    }

    fn state(&mut self, txn: u32, key: u32, rank: u32) -> String {
        let key = self.key(key);
        let outcome = self.op(txn).outcome;
        let list = |mop: &Mop| match mop {
            Mop::ReadList { key: of, list } if *of == key => seen(outcome, list.as_deref()).map(<[i64]>::to_vec),
            _ => None,
        };
        let lists: Vec<Vec<i64>> = mops(self.op(txn)).iter().filter_map(list).collect();
        let versions = self.versions(key);
        let rank_of = |element: &i64| versions.and_then(|versions| versions.rank_of(*element));
        let length = |list: &Vec<i64>| list.iter().filter_map(rank_of).max();
        let wanted = rank.checked_sub(1);
        let list = lists.iter().find(|list| length(list) == wanted).or(lists.first());
        list.map_or_else(|| "a list".to_owned(), |list| words::list(list, &[]))
    }

    fn wrote(&self, key: i64, value: Option<i64>) -> String {
        match value {
            Some(value) => format!("appended {value} to key {key}"),
            None => format!("appended to key {key}"),
        }
    }
}

fn append_to(mop: &Mop, wanted: i64) -> Option<i64> {
    match mop {
        Mop::Append { key, value } if *key == wanted => Some(*value),
        _ => None,
    }
}
