//! Every integer of a call that may stand for a name.

use fissure_checker::{Call, Mop};

/// Lets `change` change every key and value of a call; offsets, amounts and balances stand for themselves.
pub(crate) fn renumber(call: &mut Call, change: &mut impl FnMut(&mut i64)) {
    match call {
        Call::Read { key, value } | Call::Dequeue { key, value } | Call::Pop { key, value } => {
            change(key);
            value.iter_mut().flatten().for_each(change);
        }
        Call::Write { key, value }
        | Call::Add { key, value }
        | Call::Append { key, value }
        | Call::Enqueue { key, value }
        | Call::Push { key, value } => {
            change(key);
            change(value);
        }
        Call::Cas { key, expected, value } => {
            change(key);
            change(expected);
            change(value);
        }
        Call::Txn(mops) => mops.iter_mut().for_each(|mop| renumber_mop(mop, change)),
        Call::ReadSet { key, elements } | Call::Drain { key, elements } => {
            change(key);
            elements.iter_mut().flatten().for_each(change);
        }
        Call::Acquire { key, value } | Call::Release { key, value } | Call::Generate { key, value } => {
            change(key);
            value.iter_mut().for_each(change);
        }
        Call::Transfer { from, to, amount: _ } => {
            change(from);
            change(to);
        }
        Call::ReadBalances { balances } => balances.iter_mut().flatten().for_each(|(account, _)| change(account)),
        Call::Subscribe { keys } | Call::Assign { keys } => keys.iter_mut().for_each(change),
        Call::Other(_) => {}
    }
}

fn renumber_mop(mop: &mut Mop, change: &mut impl FnMut(&mut i64)) {
    match mop {
        Mop::Append { key, value }
        | Mop::Write { key, value }
        | Mop::Insert { key, value }
        | Mop::Send { key, value, offset: _ } => {
            change(key);
            change(value);
        }
        Mop::ReadList { key, list } => {
            change(key);
            list.iter_mut().flatten().for_each(change);
        }
        Mop::Read { key, value } => {
            change(key);
            value.iter_mut().flatten().for_each(change);
        }
        Mop::Delete { key } => change(key),
        Mop::Poll { records } => {
            for record in records.iter_mut().flatten() {
                change(&mut record.key);
                record.value.iter_mut().for_each(&mut *change);
            }
        }
        Mop::ReadPredicate { predicate, matched } => {
            change(predicate);
            for (key, value) in matched.iter_mut().flatten() {
                change(key);
                change(value);
            }
        }
    }
}
