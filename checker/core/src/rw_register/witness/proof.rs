//! Whether a schedule is what it claims to be, by the definition and nothing else.

use super::super::index::{Index, NEVER};
use super::super::keys::KeyFacts;
use crate::consistency::Order;
use crate::transactions::NONE;
use rustc_hash::FxHashMap;

/// Whether executing the transactions by their places explains every read, and keeps the known order of versions and the
/// order of the history. O(n).
pub(super) fn holds(index: &Index, facts: &KeyFacts, order: Order, place: &[u32]) -> bool {
    let count = place.iter().filter(|place| **place != NONE).count();
    let mut in_order = vec![NONE; count];
    for (txn, place) in (0..).zip(place).filter(|(_, place)| **place != NONE) {
        match in_order.get_mut(*place as usize) {
            Some(slot) if *slot == NONE => *slot = txn,
            _ => return false,
        }
    }
    let complete = (0..place.len() as u32).all(|txn| index.is_effective(txn) == (place[txn as usize] != NONE));
    let versions = facts.dependencies.ww.iter().all(|(from, to)| place[*from as usize] < place[*to as usize]);
    let kept = match order {
        Order::Data => true,
        Order::Process => keeps_processes(index, &in_order),
        Order::Realtime => keeps_real_time(index, &in_order),
    };
    complete && versions && kept && explains_reads(index, &in_order)
}

fn explains_reads(index: &Index, in_order: &[u32]) -> bool {
    let columns = &index.columns;
    let mut current = vec![NEVER; columns.keys.len()];
    for txn in in_order {
        let met = |mop: &usize| columns.is_external(*mop) && index.version(*mop) != NONE;
        for mop in columns.mops(*txn).filter(met) {
            let register = &mut current[columns.key(mop) as usize];
            if columns.is_write(mop) {
                *register = mop as u32;
            } else if *register != index.write_of(mop) {
                return false;
            }
        }
    }
    true
}

fn keeps_processes(index: &Index, in_order: &[u32]) -> bool {
    let mut last: FxHashMap<i64, u32> = FxHashMap::default();
    in_order.iter().all(|txn| last.insert(index.columns.txns.process(*txn), *txn).is_none_or(|before| before < *txn))
}

fn keeps_real_time(index: &Index, in_order: &[u32]) -> bool {
    let txns = &index.columns.txns;
    let mut first_end = NONE;
    in_order.iter().rev().all(|txn| {
        let kept = first_end >= txns.invoke(*txn);
        first_end = first_end.min(txns.end(*txn));
        kept
    })
}
