//! What each key shows: dependencies between transactions, and the anomalies of single keys.
//!
//! Keys are independent of each other. For each edge between two versions `v` and `v'` of a key: the writer of `v` precedes
//! the writer of `v'` by ww, the readers of `v` precede the writer of `v'` by rw; and the writer of `v` precedes its readers
//! by wr. Where the order of the versions is total, only neighbours are linked. An edge that is known only because one
//! transaction read `v` and wrote `v'` gives no ww: the wr edge beside it says as much and assumes nothing.

use super::index::{Index, NEVER, NOBODY};
use super::order::KeyOrder;
use super::raw::Raw;
use super::sources::{INITIAL, RMW, Sources};
use crate::op::Outcome;
use crate::transactions::NONE;
use crate::transactions::dependencies::{Dependencies, Fan};

/// What the keys showed.
#[derive(Debug)]
pub(crate) struct KeyFacts {
    pub(crate) dependencies: Dependencies,
    /// Keys whose version order is not known in full.
    pub(crate) open_keys: u64,
    /// Whether some transaction saw two versions of a key that others wrote: no serial order explains both reads.
    pub(crate) has_torn_reads: bool,
    /// For each transaction, the first completion by which something that it wrote had been seen, its own included.
    pub(crate) deadline: Vec<u32>,
}

/// A product this much larger than its sides is kept as a fan.
const FAN_FACTOR: usize = 8;

/// Goes through all keys; anomalies go to `found`, in order of key. O(n c log n) where c transactions are concurrent.
pub(crate) fn examine(index: &Index, sources: &Sources, found: &mut Vec<Raw>) -> KeyFacts {
    examine_with(index, sources, found, |_, _| {})
}

/// As [`examine`]; `each` is given every key with its versions and who met them.
pub(crate) fn examine_with(
    index: &Index,
    sources: &Sources,
    found: &mut Vec<Raw>,
    mut each: impl FnMut(u32, &KeyOrder),
) -> KeyFacts {
    let txns = &index.columns.txns;
    let mut facts = KeyFacts {
        dependencies: Dependencies::default(),
        open_keys: 0,
        has_torn_reads: false,
        deadline: (0..txns.len() as u32).map(|txn| txns.end(txn)).collect(),
    };
    let mut order = KeyOrder::default();
    let mut minimal: Vec<u32> = Vec::new();
    for key in 0..index.columns.keys.len() as u32 {
        order.load(index, key);
        order.arrange(index, key, sources, found);
        for mop in index.columns.of_key(key).iter().map(|mop| *mop as usize) {
            // Further reads of the key, also such that do not see what their own transaction wrote before.
            let (is_further, version) =
                (!index.columns.is_write(mop) && !index.columns.is_external(mop), index.version(mop));
            if !is_further || version == NONE {
                continue;
            }
            let reader = index.columns.txn(mop);
            facts.has_torn_reads |= order.read_by(reader) != version;
            if version != 0 {
                facts.dependencies.wr.push((index.columns.txn(index.write_of(mop) as usize), reader));
            }
        }
        each(key, &order);
        facts.open_keys += u64::from(!order.total);
        link(&order, sources, &mut minimal, &mut facts.dependencies);
        for version in 1..order.len() as u32 {
            let deadline = &mut facts.deadline[order.writer[version as usize] as usize];
            *deadline = (*deadline).min(order.seen_by(version));
        }
    }
    facts
}

/// The dependencies that one key gives.
fn link(order: &KeyOrder, sources: &Sources, successors: &mut Vec<u32>, dependencies: &mut Dependencies) {
    for version in 1..order.len() as u32 {
        let writer = order.writer[version as usize];
        let others = order.readers(version).iter().filter(|reader| **reader != writer);
        dependencies.wr.extend(others.map(|reader| (writer, *reader)));
    }
    let silent = if sources.assumed & RMW == 0 { RMW | INITIAL } else { INITIAL };
    let speaks = |bits: u8| bits & !silent != 0;
    if order.total {
        for pair in order.order.windows(2) {
            let writer = order.writer[pair[1] as usize];
            if order.edge(pair[0], pair[1]).is_some_and(|edge| speaks(edge.sources)) {
                dependencies.ww.push((order.writer[pair[0] as usize], writer));
            }
            let readers = order.readers(pair[0]).iter().filter(|reader| **reader != writer);
            dependencies.rw.extend(readers.map(|reader| (*reader, writer)));
        }
        return;
    }
    let mut has_predecessor = vec![false; order.len()];
    for edges in order.edges.chunk_by(|a, b| a.from == b.from) {
        let from = edges[0].from;
        successors.clear();
        for edge in edges {
            has_predecessor[edge.to as usize] = true;
            let writer = order.writer[edge.to as usize];
            successors.push(writer);
            if speaks(edge.sources) {
                dependencies.ww.push((order.writer[from as usize], writer));
            }
        }
        overwritten(order.readers(from), successors, dependencies);
    }
    successors.clear();
    let first = (1..order.len()).filter(|version| !has_predecessor[*version]);
    successors.extend(first.map(|version| order.writer[version]));
    overwritten(order.readers(0), successors, dependencies);
}

/// Whether so many readers and writers are kept as a fan.
pub(crate) fn is_fan(readers: usize, writers: usize) -> bool {
    readers * writers > FAN_FACTOR * (readers + writers) + 256
}

/// Readers of a version before the writers of those that follow it.
fn overwritten(readers: &[u32], writers: &mut [u32], dependencies: &mut Dependencies) {
    if is_fan(readers.len(), writers.len()) {
        writers.sort_unstable();
        dependencies.fans.push(Fan { readers: readers.to_vec(), appenders: writers.to_vec() });
        return;
    }
    for reader in readers {
        dependencies.rw.extend(writers.iter().filter(|writer| *writer != reader).map(|writer| (*reader, *writer)));
    }
}

/// Lost updates, and updates of what failed transactions wrote: what transactions show that read a key and then wrote it.
pub(crate) fn updates(index: &Index, found: &mut Vec<Raw>) {
    let columns = &index.columns;
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let own = |seen: u32, txn: u32| seen != NEVER && columns.txn(seen as usize) == txn;
    for key in 0..columns.keys.len() as u32 {
        pairs.clear();
        let name = columns.keys[key as usize];
        let mut failed: Option<Raw> = None;
        let mut read = (NONE, NOBODY);
        for mop in columns.of_key(key).iter().map(|mop| *mop as usize).filter(|mop| columns.is_external(*mop)) {
            let txn = columns.txn(mop);
            if !columns.is_write(mop) {
                read = (txn, index.write_of(mop));
            } else if read.0 == txn && read.1 != NOBODY && !own(read.1, txn) {
                pairs.push((read.1, txn));
                failed = failed.or_else(|| dirty_update(index, name, read.1, mop));
            }
        }
        found.extend(failed);
        pairs.sort_unstable();
        for group in pairs.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            let seen = (group[0].0 != NEVER).then(|| columns.value(group[0].0 as usize));
            let txns = group.iter().map(|(_, txn)| *txn).collect();
            found.push(Raw::LostUpdate { key: name, seen, txns });
        }
    }
}

fn dirty_update(index: &Index, key: i64, seen: u32, write: usize) -> Option<Raw> {
    let columns = &index.columns;
    let version = |mop: usize| (columns.txn(mop), columns.value(mop));
    let failed = (seen != NEVER).then(|| version(seen as usize))?;
    let aborted = columns.txns.outcome(failed.0) == Outcome::Fail;
    aborted.then(|| Raw::DirtyUpdate { key, failed, ok: version(write) })
}
