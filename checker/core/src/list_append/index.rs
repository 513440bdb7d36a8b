//! One scan of the history: transactions as dense numbers, appends and reads grouped by key.
//!
//! A transaction is the index of its operation in the history (`u32`). Keys are numbered in ascending order. No string
//! and no operation is hashed or copied: reads borrow the lists of the history.

use crate::op::{Call, History, Mop, Operation, Outcome};

pub(super) use crate::transactions::NONE;

/// One append of a value to a key, by any transaction, also a failed one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append {
    /// The element.
    pub(super) value: i64,
    /// Who appended it.
    pub(super) txn: u32,
    /// How that transaction ended.
    pub(super) outcome: Outcome,
    /// Whether the same transaction appends to the same key again later.
    pub(super) intermediate: bool,
}

impl Append {
    /// Whether it may be part of the final history.
    pub(super) fn is_possible(&self) -> bool {
        self.outcome != Outcome::Fail
    }
}

/// One read of a key with a known result, by a transaction that did not fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'h> {
    /// What was seen, oldest first.
    pub(super) list: &'h [i64],
    /// Who saw it.
    pub(super) txn: u32,
    /// Whether the reader is `ok` (else `info`).
    pub(super) ok: bool,
    /// Whether it is the transaction's first touch of the key, and the transaction appends to the key later.
    pub(super) then_appends: bool,
}

/// Items grouped by key: the items of key `k` are `items[start[k]..start[k + 1]]`.
#[derive(Debug)]
pub(super) struct Grouped<T> {
    start: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy> Grouped<T> {
    /// Counting sort by key; items of one key keep their order.
    fn new(keys: usize, tagged: &[(u32, T)]) -> Self {
        let mut start = vec![0_u32; keys + 1];
        for (key, _) in tagged {
            start[*key as usize + 1] += 1;
        }
        for key in 0..keys {
            start[key + 1] += start[key];
        }
        let Some((_, first)) = tagged.first() else { return Self { start, items: Vec::new() } };
        let mut items = vec![*first; tagged.len()];
        let mut next = start.clone();
        for (key, item) in tagged {
            let slot = &mut next[*key as usize];
            items[*slot as usize] = *item;
            *slot += 1;
        }
        Self { start, items }
    }

    /// The items of one key.
    pub(super) fn of(&self, key: u32) -> &[T] {
        &self.items[self.start[key as usize] as usize..self.start[key as usize + 1] as usize]
    }
}

/// What the scan leaves behind.
#[derive(Debug)]
pub(super) struct Index<'h> {
    /// The operations of the history.
    pub(super) ops: &'h [Operation],
    /// Zero of the times in explanations, ns.
    pub(super) origin_ns: i64,
    /// The keys, ascending; a key's number is its place.
    pub(super) keys: Vec<i64>,
    /// Appends of each key, ascending by value.
    pub(super) appends: Grouped<Append>,
    /// Reads of each key, in order of invocation.
    pub(super) reads: Grouped<Read<'h>>,
    /// Reads of `ok` transactions.
    pub(super) ok_reads: u64,
}

/// An append of a value that the key was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DuplicateAppend {
    pub(super) key: i64,
    pub(super) value: i64,
    pub(super) first: u32,
    pub(super) second: u32,
}

/// The micro-operations of an operation; empty for calls that are no transaction.
pub(super) fn mops(op: &Operation) -> &[Mop] {
    match &op.call {
        Call::Txn(mops) => mops,
        _ => &[],
    }
}

/// What a read saw, as far as it is known: an `ok` read without a list saw the empty list.
pub(super) fn seen(outcome: Outcome, list: &Option<Vec<i64>>) -> Option<&[i64]> {
    match (outcome, list) {
        (Outcome::Fail, _) | (Outcome::Info, None) => None,
        (_, Some(list)) => Some(list),
        (Outcome::Ok, None) => Some(&[]),
    }
}

/// Operations that are no transaction of appends and list reads.
pub(super) fn foreign_ops(history: &History) -> Vec<u32> {
    let fits = |op: &Operation| match &op.call {
        Call::Txn(mops) => mops.iter().all(|mop| matches!(mop, Mop::Append { .. } | Mop::ReadList { .. })),
        _ => false,
    };
    history.ops().iter().enumerate().filter(|(_, op)| !fits(op)).map(|(txn, _)| txn as u32).collect()
}

impl<'h> Index<'h> {
    /// Scans a history of at most [`crate::transactions::txns::TXNS_MAX`] operations, all of them transactions of appends and list reads.
    ///
    /// # Errors
    /// Appends that give a key the same value twice.
    pub(super) fn new(history: &'h History) -> Result<Self, Vec<DuplicateAppend>> {
        let ops = history.ops();
        let numbering = Numbering::new(ops);
        let mut appends: Vec<(u32, Append)> = Vec::with_capacity(ops.len());
        let mut reads: Vec<(u32, Read<'h>)> = Vec::with_capacity(ops.len());
        let mut ok_reads = 0;
        for (txn, op) in ops.iter().enumerate() {
            let mops = mops(op);
            for (at, mop) in mops.iter().enumerate() {
                let Some(key) = mop.key().map(|key| numbering.number(key)) else { continue };
                match mop {
                    Mop::Append { value, .. } => {
                        let intermediate = appends_later(mops, at);
                        let append = Append { value: *value, txn: txn as u32, outcome: op.outcome, intermediate };
                        appends.push((key, append));
                    }
                    Mop::ReadList { list, .. } => {
                        let Some(list) = seen(op.outcome, list) else { continue };
                        let ok = op.outcome == Outcome::Ok;
                        ok_reads += u64::from(ok);
                        let first = || !mops[..at].iter().any(|earlier| earlier.key() == mop.key());
                        let then_appends = ok && appends_later(mops, at) && first();
                        reads.push((key, Read { list, txn: txn as u32, ok, then_appends }));
                    }
                    _ => {}
                }
            }
        }
        let keys = numbering.keys;
        let mut appends = Grouped::new(keys.len(), &appends);
        let duplicates = sort_by_value(&keys, &mut appends);
        if !duplicates.is_empty() {
            return Err(duplicates);
        }
        let reads = Grouped::new(keys.len(), &reads);
        Ok(Self { ops, origin_ns: history.origin_ns(), keys, appends, reads, ok_reads })
    }

    /// The number of a key that occurs in the history.
    pub(super) fn key_number(&self, key: i64) -> Option<u32> {
        self.keys.binary_search(&key).ok().map(|number| number as u32)
    }
}

/// Whether a later micro-operation appends to the key of the one at `at`.
fn appends_later(mops: &[Mop], at: usize) -> bool {
    let key = mops[at].key();
    mops[at + 1..].iter().any(|mop| matches!(mop, Mop::Append { .. }) && mop.key() == key)
}

fn sort_by_value(keys: &[i64], appends: &mut Grouped<Append>) -> Vec<DuplicateAppend> {
    let mut duplicates = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let range = appends.start[number] as usize..appends.start[number + 1] as usize;
        let of_key = &mut appends.items[range];
        of_key.sort_unstable_by_key(|append| (append.value, append.txn));
        for pair in of_key.windows(2) {
            if pair[0].value == pair[1].value {
                let (first, second) = (pair[0].txn, pair[1].txn);
                duplicates.push(DuplicateAppend { key: *key, value: pair[0].value, first, second });
            }
        }
    }
    duplicates
}

/// Keys to numbers: a table where the keys lie close together, a search where they do not.
struct Numbering {
    keys: Vec<i64>,
    table: Vec<u32>,
    least: i64,
}

impl Numbering {
    fn new(ops: &[Operation]) -> Self {
        let all = || ops.iter().flat_map(mops).filter_map(Mop::key);
        let (mut least, mut greatest, mut count) = (i64::MAX, i64::MIN, 0_u64);
        for key in all() {
            least = least.min(key);
            greatest = greatest.max(key);
            count += 1;
        }
        if count == 0 {
            return Self { keys: Vec::new(), table: Vec::new(), least: 0 };
        }
        let span = greatest.abs_diff(least);
        if span >= count.saturating_mul(4) + 1024 {
            let mut keys: Vec<i64> = all().collect();
            keys.sort_unstable();
            keys.dedup();
            return Self { keys, table: Vec::new(), least };
        }
        let mut table = vec![NONE; span as usize + 1];
        for key in all() {
            table[key.abs_diff(least) as usize] = 0;
        }
        let mut keys = Vec::new();
        for (offset, slot) in table.iter_mut().enumerate() {
            if *slot == 0 {
                *slot = keys.len() as u32;
                keys.push(least + offset as i64);
            }
        }
        Self { keys, table, least }
    }

    fn number(&self, key: i64) -> u32 {
        if self.table.is_empty() {
            // Every key of the history is in `keys`; the fallback keeps the function total.
            self.keys.binary_search(&key).unwrap_or_default() as u32
        } else {
            self.table[key.abs_diff(self.least) as usize]
        }
    }
}
