//! What a transaction does to a snapshot: pure, so that it can be tested without etcd.
//!
//! A transaction that writes is optimistic: read a snapshot of all keys it touches, work out here what it would see and
//! write, then write under the condition that no key changed since. The condition covers keys that are only read, so a
//! transaction that commits saw and wrote at one point of etcd's order of revisions.

use fissure_workloads::Mop;
use std::collections::BTreeMap;

/// A key of etcd: registers and lists live side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// `r/<key>`.
    Register(i64),
    /// `l/<key>`.
    List(i64),
}

impl Key {
    /// The key that a micro-operation touches; `None` if it is none that is supported.
    pub(super) fn of(mop: &Mop) -> Option<Self> {
        match mop {
            Mop::Append { key, .. } | Mop::ReadList { key, .. } => Some(Key::List(*key)),
            Mop::Write { key, .. } | Mop::Read { key, .. } => Some(Key::Register(*key)),
            _ => None,
        }
    }

    /// Its name in etcd.
    pub(super) fn name(self) -> String {
        match self {
            Key::Register(key) => format!("r/{key}"),
            Key::List(key) => format!("l/{key}"),
        }
    }
}

/// What etcd holds at a key: the numbers of the list (a register is a list of one), and the revision that last changed
/// it, 0 for a key that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// The numbers, oldest first.
    pub(super) values: Vec<i64>,
    /// Revision of the last change; 0 for none.
    pub(super) mod_revision: i64,
}

/// The keys of a transaction as they were at one revision.
pub(super) type Snapshot = BTreeMap<Key, Cell>;

/// What a transaction does to a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    /// Its micro-operations with the reads filled in.
    pub(super) mops: Vec<Mop>,
    /// What it leaves at the keys that it writes.
    pub(super) writes: BTreeMap<Key, Vec<i64>>,
}

/// Keys of a transaction, each once, in order.
pub(super) fn keys(mops: &[Mop]) -> Vec<Key> {
    let mut keys: Vec<Key> = mops.iter().filter_map(Key::of).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether the transaction writes nothing.
pub(super) fn is_read_only(mops: &[Mop]) -> bool {
    mops.iter().all(|mop| matches!(mop, Mop::Read { .. } | Mop::ReadList { .. }))
}

/// Whether every one of them is of a list or a register.
pub(super) fn is_supported(mops: &[Mop]) -> bool {
    mops.iter().all(|mop| Key::of(mop).is_some())
}

/// Performs `mops`, all of them supported, in order, on `snapshot`. A transaction sees its own writes.
pub(super) fn apply(mops: &[Mop], snapshot: &Snapshot) -> Effect {
    let mut writes: BTreeMap<Key, Vec<i64>> = BTreeMap::new();
    let mut done = Vec::with_capacity(mops.len());
    for mop in mops {
        let Some(key) = Key::of(mop) else { continue };
        let before = || snapshot.get(&key).map(|cell| cell.values.clone()).unwrap_or_default();
        done.push(match mop {
            Mop::Append { value, .. } => {
                writes.entry(key).or_insert_with(before).push(*value);
                mop.clone()
            }
            Mop::Write { value, .. } => {
                writes.insert(key, vec![*value]);
                mop.clone()
            }
            Mop::ReadList { key: number, .. } => {
                Mop::ReadList { key: *number, list: Some(writes.get(&key).cloned().unwrap_or_else(before)) }
            }
            Mop::Read { key: number, .. } => {
                let values = writes.get(&key).cloned().unwrap_or_else(before);
                Mop::Read { key: *number, value: Some(values.last().copied()) }
            }
            // Has no key: see above.
            _ => continue,
        });
    }
    Effect { mops: done, writes }
}

/// Numbers as etcd holds them: decimal, separated by one space.
pub(super) fn encode(values: &[i64]) -> String {
    values.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

/// The numbers in a value; `None` if it is not ours.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<i64>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split(' ').map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(key: i64, list: Option<Vec<i64>>) -> Mop {
        Mop::ReadList { key, list }
    }

    #[test]
    fn a_transaction_sees_its_own_writes_and_no_later_ones() {
        let mops = [
            list(1, None),
            Mop::Append { key: 1, value: 7 },
            list(1, None),
            Mop::Append { key: 1, value: 8 },
            Mop::Read { key: 1, value: None },
            Mop::Write { key: 1, value: 3 },
            Mop::Read { key: 1, value: None },
        ];
        let snapshot = Snapshot::from([(Key::List(1), Cell { values: vec![5], mod_revision: 9 })]);
        let effect = apply(&mops, &snapshot);
        assert_eq!(effect.mops[0], list(1, Some(vec![5])));
        assert_eq!(effect.mops[2], list(1, Some(vec![5, 7])));
        assert_eq!(effect.mops[4], Mop::Read { key: 1, value: Some(None) });
        assert_eq!(effect.mops[6], Mop::Read { key: 1, value: Some(Some(3)) });
        assert_eq!(effect.writes, BTreeMap::from([(Key::List(1), vec![5, 7, 8]), (Key::Register(1), vec![3])]));
    }

    #[test]
    fn keys_come_once_and_in_order() {
        let mops = [list(2, None), Mop::Append { key: 1, value: 1 }, Mop::Append { key: 2, value: 1 }];
        assert_eq!(keys(&mops), [Key::List(1), Key::List(2)]);
        assert!(!is_read_only(&mops));
        assert!(is_read_only(&mops[..1]));
    }

    #[test]
    fn what_is_not_ours_is_not_a_number() {
        assert_eq!(decode(b"1 -2 3"), Some(vec![1, -2, 3]));
        for other in ["", "x", "1  2", "1,2", " 1"] {
            assert_eq!(decode(other.as_bytes()), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn values_survive_the_trip(values in proptest::collection::vec(any::<i64>(), 1..20)) {
            prop_assert_eq!(decode(encode(&values).as_bytes()), Some(values));
        }
    }
}
