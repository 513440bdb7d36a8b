//! What one transaction shows by itself: reads that disagree with its own reads and appends.

use super::intake::seen;
use super::raw::{Expected, Raw};
use crate::op::Outcome;
use crate::transactions::NONE;
use crate::transactions::rows::MopRef;

/// Finds the first internal contradiction and the first read of the future in an `ok` transaction. `by_key` is scratch.
pub(super) fn examine(txn: u32, mops: &[MopRef<'_>], by_key: &mut Vec<u32>, found: &mut Vec<Raw>) {
    let repeats = |(at, mop): (usize, &MopRef<'_>)| mops[at + 1..].iter().any(|later| later.key() == mop.key());
    // Long transactions are sorted anyway: looking at all pairs is for short ones.
    if mops.len() < 2 || (mops.len() <= 16 && !mops.iter().enumerate().any(repeats)) {
        return;
    }
    group_by_key(mops, by_key);
    let mut internal: Option<(u32, Expected)> = None;
    let mut future: Option<(u32, i64)> = None;
    for group in by_key.chunk_by(|a, b| mops[*a as usize].key() == mops[*b as usize].key()) {
        if group.len() < 2 {
            continue;
        }
        if let Some(case) = contradiction(mops, group)
            && internal.as_ref().is_none_or(|best| case.0 < best.0)
        {
            internal = Some(case);
        }
        if let Some(case) = future_read(mops, group)
            && future.is_none_or(|best| case.0 < best.0)
        {
            future = Some(case);
        }
    }
    found.extend(internal.map(|(mop, expected)| Raw::Internal { txn, mop, expected }));
    found.extend(future.map(|(mop, element)| Raw::FutureRead { txn, mop, element }));
}

/// Places of the micro-operations, those of one key together, in program order.
fn group_by_key(mops: &[MopRef<'_>], by_key: &mut Vec<u32>) {
    by_key.clear();
    by_key.extend(0..mops.len() as u32);
    by_key.sort_unstable_by_key(|at| (mops[*at as usize].key(), *at));
}

/// Walks the micro-operations of one key: what is known of the list is a base (the last read) and what was appended
/// since; before the first read the base is unknown, and only the end of the list is foretold.
fn contradiction(mops: &[MopRef<'_>], group: &[u32]) -> Option<(u32, Expected)> {
    let mut base: Option<&[i64]> = None;
    let mut known_base = false;
    let mut since = NONE as usize;
    for (place, at) in group.iter().enumerate() {
        match mops[*at as usize] {
            MopRef::Append { .. } => since = since.min(place),
            MopRef::ReadList { list, .. } => {
                let list = seen(Outcome::Ok, list)?;
                let appended = || {
                    group[since.min(place)..place].iter().filter_map(|at| match mops[*at as usize] {
                        MopRef::Append { value, .. } => Some(value),
                        _ => None,
                    })
                };
                let count = appended().count();
                let start = base.unwrap_or(&[]);
                let split = list.len().checked_sub(count);
                let fits = split.is_some_and(|split| {
                    list[split..].iter().copied().eq(appended()) && (!known_base || list[..split] == *start)
                });
                if !fits {
                    let elements = start.iter().copied().chain(appended()).collect();
                    return Some((*at, Expected { known_start: known_base, elements }));
                }
                base = Some(list);
                known_base = true;
                since = NONE as usize;
            }
            // Not of a list.
            _ => {}
        }
    }
    None
}

/// A read that sees what its own transaction appends later.
fn future_read(mops: &[MopRef<'_>], group: &[u32]) -> Option<(u32, i64)> {
    for (place, at) in group.iter().enumerate() {
        let MopRef::ReadList { list, .. } = mops[*at as usize] else { continue };
        let list = seen(Outcome::Ok, list)?;
        for later in &group[place + 1..] {
            if let MopRef::Append { value, .. } = mops[*later as usize]
                && list.contains(&value)
            {
                return Some((*at, value));
            }
        }
    }
    None
}
