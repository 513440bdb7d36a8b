//! Scripts over registers: transactions, and single operations.
//!
//! Which name a checker gives to an anomaly of transactions over registers depends on the order of versions that it
//! knows or assumes; the scripts let that order follow from `nil` before every value, from what a transaction read
//! before it wrote, and from reads after everything.

use super::{Script, failed, ok, txn};
use crate::op::{Call, Mop};

/// What can be planted in transactions.
pub(super) const TRANSACTION_NAMES: &[&str] = &[
    "G0",
    "G1a",
    "G1b",
    "G1c",
    "G1c-process",
    "G1c-realtime",
    "G-single",
    "G-single-item",
    "G-single-item-process",
    "G-single-item-realtime",
    "G-nonadjacent",
    "G-nonadjacent-item",
    "G2-item",
    "lost-update",
    "internal",
    "garbage-read",
    "stale-read",
    "stale-read-process",
    "stale-read-realtime",
    "read-skew",
    "fractured-read",
    "long-fork",
    "write-skew",
];

/// What can be planted in single operations.
pub(super) const NAMES: &[&str] = &["stale-read", "lost-write", "garbage-read", "new-old-inversion", "impossible-cas"];

fn w(key: i64, value: i64) -> Mop {
    Mop::Write { key, value }
}

fn r(key: i64, value: i64) -> Mop {
    Mop::Read { key, value: Some(Some(value)) }
}

fn nil(key: i64) -> Mop {
    Mop::Read { key, value: Some(None) }
}

/// The script for an anomaly of transactions.
pub(super) fn transactions(name: &str) -> Option<Script> {
    let stale = |reader| vec![txn(0, (0, 1), [w(1, 1)]), txn(reader, (2, 3), [nil(1)]), txn(2, (4, 5), [r(1, 1)])];
    let pair = |finds, far, first, second| Script::new(finds, far, vec![first, second]);
    Some(match name {
        // Each of the two writers has the last word about one register.
        "G0" => {
            let writers = [txn(0, (0, 2), [w(1, 1), w(2, 2)]), txn(1, (1, 3), [w(1, 2), w(2, 1)])];
            Script::new(&["G0"], 4, [&writers[..], &[txn(2, (4, 5), [r(1, 2), r(2, 2)])]].concat())
        }
        "G1a" => pair(&["G1a"], 2, failed(0, (0, 1), [w(1, 1)]), txn(1, (2, 3), [r(1, 1)])),
        "G1b" => pair(&["G1b"], 2, txn(0, (0, 1), [w(1, 1), w(1, 2)]), txn(1, (2, 3), [r(1, 1)])),
        "G1c" => pair(&["G1c"], 2, txn(0, (0, 1), [w(1, 1), r(2, 1)]), txn(1, (2, 3), [w(2, 1), r(1, 1)])),
        "G1c-process" => pair(&["G1c-process"], 2, txn(0, (0, 1), [r(1, 1)]), txn(0, (2, 3), [w(1, 1)])),
        "G1c-realtime" => pair(&["G1c-realtime"], 2, txn(0, (0, 1), [r(1, 1)]), txn(1, (2, 3), [w(1, 1)])),
        "G-single" | "G-single-item" | "read-skew" | "fractured-read" => {
            pair(&["G-single-item"], 2, txn(0, (0, 1), [w(1, 1), w(2, 1)]), txn(1, (2, 3), [r(1, 1), nil(2)]))
        }
        "G-single-item-process" | "stale-read-process" => Script::new(&["G-single-item-process"], 2, stale(0)),
        "G-single-item-realtime" | "stale-read-realtime" | "stale-read" => {
            Script::new(&["G-single-item-realtime"], 2, stale(1))
        }
        "G-nonadjacent" | "G-nonadjacent-item" | "long-fork" => {
            let writers = [txn(0, (0, 4), [w(1, 1)]), txn(1, (1, 5), [w(2, 1)])];
            let readers = [txn(2, (2, 6), [r(1, 1), nil(2)]), txn(3, (3, 7), [nil(1), r(2, 1)])];
            Script::new(&["G-nonadjacent-item"], 4, [&writers[..], &readers[..]].concat())
        }
        "G2-item" | "write-skew" => {
            pair(&["G2-item"], 2, txn(0, (0, 2), [nil(1), w(2, 1)]), txn(1, (1, 3), [nil(2), w(1, 1)]))
        }
        "lost-update" => {
            let updates = [txn(0, (0, 1), [nil(1), w(1, 1)]), txn(1, (2, 3), [nil(1), w(1, 2)])];
            Script::new(&["lost-update", "G-single-item-realtime"], 2, updates.to_vec())
        }
        "internal" => pair(&["internal"], 2, txn(0, (0, 1), [w(1, 1), nil(1)]), txn(1, (2, 3), [r(1, 1)])),
        "garbage-read" => pair(&["garbage-read"], 2, txn(0, (0, 1), [w(1, 1)]), txn(1, (2, 3), [r(1, 9)])),
        _ => return None,
    })
}

/// The script for an anomaly of single operations.
pub(super) fn script(name: &str) -> Option<Script> {
    let write = |value| Call::Write { key: 1, value };
    let read = |value| Call::Read { key: 1, value: Some(Some(value)) };
    let cas = |expected, value| Call::Cas { key: 1, expected, value };
    Some(match name {
        "stale-read" => {
            let before = [ok(0, (0, 1), write(1)), ok(0, (2, 3), write(2)), ok(1, (4, 5), read(2))];
            Script::new(&["stale-read"], 6, [&before[..], &[ok(2, (6, 7), read(1))]].concat())
        }
        "lost-write" => {
            let steps = vec![ok(0, (0, 1), write(1)), ok(0, (2, 3), write(2)), ok(1, (4, 5), read(1))];
            Script::new(&["lost-write"], 4, steps)
        }
        "garbage-read" => Script::new(&["garbage-read"], 2, vec![ok(0, (0, 1), write(1)), ok(1, (2, 3), read(9))]),
        // While a write is in flight, one read sees it and a later one does not.
        "new-old-inversion" => {
            let writes = [ok(0, (0, 1), write(1)), ok(1, (2, 7), write(2))];
            let reads = [ok(2, (3, 4), read(2)), ok(3, (5, 6), read(1))];
            Script::new(&["nonlinearizable"], 5, [writes, reads].concat())
        }
        "impossible-cas" => {
            let steps = vec![ok(0, (0, 1), write(1)), ok(1, (2, 3), cas(7, 8)), ok(2, (4, 5), read(8))];
            Script::new(&["nonlinearizable"], 2, steps)
        }
        _ => return None,
    })
}
