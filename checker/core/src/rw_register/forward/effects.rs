//! When transactions without an end took effect, guessed from what others read.
//!
//! A client that gave up does not tell when its writes reached the store: at once, or much later. Until then others read
//! older versions. Whatever is guessed here costs time if it is wrong, and no answer.

use super::super::index::NEVER;
use super::survey::Versions;
use crate::op::Outcome;
use crate::transactions::Txns;
use rustc_hash::FxHashMap;

/// Reads of a key that are looked at for a version that nobody read, at most.
const READS_MAX: usize = 64;

/// Adds, for each writer of a key without an end, a moment before which others seem not to have seen its write. O(n) in
/// the reads of the key.
pub(super) fn guess(txns: &Txns, versions: &Versions, effects: &mut Vec<(u32, u32)>) {
    let is_open = |txn: u32| txns.outcome(txn) == Outcome::Info;
    let first = effects.len();
    effects.extend(versions.writers.iter().filter(|writer| is_open(writer.0)));
    if effects.len() == first {
        return;
    }
    let writer_of = |number: u32| (number != NEVER).then(|| versions.writer(number)).flatten();
    // So far the second of each is the number of its write.
    let mut before = 0;
    let mut seen = FxHashMap::default();
    for (reader, number) in versions.reads.iter().copied() {
        if writer_of(number).is_some_and(is_open) {
            seen.entry(number).or_insert(before);
        }
        before = before.max(txns.end(reader));
    }
    for (txn, slot) in &mut effects[first..] {
        let invoke = txns.invoke(*txn);
        let last_older = || {
            let start = versions.reads.partition_point(|read| txns.invoke(read.0) < invoke);
            let reads = versions.reads[start..].iter().take(READS_MAX);
            let older = reads.take_while(|read| writer_of(read.1).is_none_or(|writer| txns.end(writer) < invoke));
            older.map(|read| txns.end(read.0)).max().unwrap_or(0)
        };
        *slot = seen.get(slot).copied().unwrap_or_else(last_older).max(invoke);
    }
}

/// Of several moments for a transaction the latest one is kept; in order of transactions.
pub(super) fn keep_latest(effects: &mut Vec<(u32, u32)>) {
    effects.sort_unstable_by_key(|(txn, moment)| (*txn, std::cmp::Reverse(*moment)));
    effects.dedup_by_key(|(txn, _)| *txn);
}
