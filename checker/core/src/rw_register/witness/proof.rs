//! Whether a schedule is what it claims to be, by the definition and nothing else.

use super::super::index::NEVER;
use super::steps::Steps;
use crate::consistency::Order;
use crate::transactions::NONE;
use rustc_hash::FxHashMap;

/// Whether executing the transactions by their places explains every read, and keeps the known order of versions and the
/// order of the history. O(n).
pub(super) fn holds(steps: &Steps<'_>, order: Order, place: &[u32]) -> bool {
    let count = place.iter().filter(|place| **place != NONE).count();
    let mut in_order = vec![NONE; count];
    for (txn, place) in (0..).zip(place).filter(|(_, place)| **place != NONE) {
        match in_order.get_mut(*place as usize) {
            Some(slot) if *slot == NONE => *slot = txn,
            _ => return false,
        }
    }
    let complete = (0..place.len() as u32).all(|txn| steps.is_effective(txn) == (place[txn as usize] != NONE));
    let follows = |txn: u32| steps.page(txn).after(txn).iter().all(|next| place[txn as usize] < place[*next as usize]);
    let versions = (0..place.len() as u32).all(follows);
    let kept = match order {
        Order::Data => true,
        Order::Process => keeps_processes(steps, &in_order),
        Order::Realtime => keeps_real_time(steps, &in_order),
    };
    complete && versions && kept && explains_reads(steps, &in_order)
}

fn explains_reads(steps: &Steps<'_>, in_order: &[u32]) -> bool {
    let mut current = vec![NEVER; steps.initial.len()];
    for txn in in_order {
        for access in steps.page(*txn).accesses(*txn) {
            let register = &mut current[access.key()];
            if access.is_write() {
                *register = *txn;
            } else if *register != access.source() {
                return false;
            }
        }
    }
    true
}

fn keeps_processes(steps: &Steps<'_>, in_order: &[u32]) -> bool {
    let mut last: FxHashMap<i64, u32> = FxHashMap::default();
    in_order.iter().all(|txn| last.insert(steps.txns.process(*txn), *txn).is_none_or(|before| before < *txn))
}

fn keeps_real_time(steps: &Steps<'_>, in_order: &[u32]) -> bool {
    let txns = steps.txns;
    let mut first_end = NONE;
    in_order.iter().rev().all(|txn| {
        let kept = first_end >= txns.invoke(*txn);
        first_end = first_end.min(txns.end(*txn));
        kept
    })
}
