//! Scripts of transactions over lists.

use super::{Script, failed, txn};
use crate::op::Mop;

/// What can be planted. Names that mean the same stand for one script.
pub(super) const NAMES: &[&str] = &[
    "G0",
    "G0-process",
    "G0-realtime",
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
    "G-nonadjacent-item-process",
    "G-nonadjacent-item-realtime",
    "G2-item",
    "G2-item-process",
    "G2-item-realtime",
    "lost-update",
    "dirty-update",
    "duplicate-elements",
    "incompatible-order",
    "internal",
    "future-read",
    "garbage-read",
    "stale-read",
    "stale-read-process",
    "stale-read-realtime",
    "read-skew",
    "fractured-read",
    "non-monotonic-read",
    "causal-violation",
    "causal-violation-process",
    "prefix-violation",
    "long-fork",
    "monotonic-reads-violation",
    "monotonic-writes-violation",
    "read-your-writes-violation",
    "writes-follow-reads-violation",
    "write-skew",
];

fn a(key: i64, value: i64) -> Mop {
    Mop::Append { key, value }
}

fn r<const N: usize>(key: i64, list: [i64; N]) -> Mop {
    Mop::ReadList { key, list: Some(list.to_vec()) }
}

/// The script for an anomaly.
pub(super) fn script(name: &str) -> Option<Script> {
    cycles_without_reads_of_the_past(name).or_else(|| reads_of_the_past(name)).or_else(|| contents(name))
}

fn cycles_without_reads_of_the_past(name: &str) -> Option<Script> {
    let script = match name {
        "G0" => {
            let writers = [txn(0, (0, 1), [a(1, 1), a(2, 2)]), txn(1, (2, 3), [a(1, 2), a(2, 1)])];
            let readers = [txn(2, (4, 5), [r(1, [1, 2])]), txn(3, (6, 7), [r(2, [1, 2])])];
            Script::new(&["G0"], 2, [writers, readers].concat())
        }
        "G0-process" | "monotonic-writes-violation" => Script::new(
            &["G0-process", "monotonic-writes-violation"],
            2,
            vec![txn(0, (0, 1), [a(1, 2)]), txn(0, (2, 3), [a(1, 1)]), txn(1, (4, 5), [r(1, [1, 2])])],
        ),
        "G0-realtime" => Script::new(
            &["G0-realtime"],
            2,
            vec![txn(0, (0, 1), [a(1, 2)]), txn(1, (2, 3), [a(1, 1)]), txn(2, (4, 5), [r(1, [1, 2])])],
        ),
        "G1c" => {
            Script::new(&["G1c"], 2, vec![txn(0, (0, 1), [a(1, 1), r(2, [1])]), txn(1, (2, 3), [a(2, 1), r(1, [1])])])
        }
        "G1c-process" | "writes-follow-reads-violation" => Script::new(
            &["G1c-process", "writes-follow-reads-violation"],
            2,
            vec![txn(0, (0, 1), [r(1, [1])]), txn(0, (2, 3), [a(1, 1)])],
        ),
        "G1c-realtime" => {
            Script::new(&["G1c-realtime"], 2, vec![txn(0, (0, 1), [r(1, [1])]), txn(1, (2, 3), [a(1, 1)])])
        }
        _ => return None,
    };
    // Between the halves lie healthy reads that one of the operations there overwrote: real time makes a cycle of them.
    Some(Script { may_also: &["G-single-item-realtime"], ..script })
}

fn reads_of_the_past(name: &str) -> Option<Script> {
    let stale = |reader| vec![txn(0, (0, 1), [a(1, 1)]), txn(reader, (2, 3), [r(1, [])]), txn(2, (4, 5), [r(1, [1])])];
    Some(match name {
        "G-single" | "G-single-item" | "read-skew" | "non-monotonic-read" => Script::new(
            &["G-single-item", "non-monotonic-read"],
            2,
            vec![txn(0, (0, 1), [a(1, 1), a(2, 1)]), txn(1, (2, 3), [r(1, [1]), r(2, [])])],
        ),
        "fractured-read" => Script::new(
            &["G-single-item", "fractured-read"],
            2,
            vec![txn(0, (0, 1), [a(1, 1), a(2, 1)]), txn(1, (2, 3), [r(2, []), r(1, [1])])],
        ),
        "causal-violation" => Script::new(
            &["G-single-item", "causal-violation"],
            4,
            vec![
                txn(0, (0, 1), [a(1, 1)]),
                txn(1, (2, 3), [r(1, [1]), a(2, 1)]),
                txn(2, (4, 5), [r(2, [1]), r(1, [])]),
            ],
        ),
        "causal-violation-process" => Script::new(
            &["G-single-item-process", "causal-violation-process"],
            4,
            vec![txn(0, (0, 1), [a(1, 1)]), txn(0, (2, 3), [a(2, 1)]), txn(1, (4, 5), [r(2, [1]), r(1, [])])],
        ),
        // The order of the writers shows in a third object only.
        "prefix-violation" => Script::new(
            &["G-single-item", "prefix-violation"],
            4,
            vec![
                txn(0, (0, 1), [a(1, 1), a(3, 1)]),
                txn(1, (2, 3), [a(3, 2), a(2, 1)]),
                txn(2, (4, 5), [r(2, [1]), r(1, [])]),
                txn(3, (6, 7), [r(3, [1, 2])]),
            ],
        ),
        "monotonic-reads-violation" => Script::new(
            &["G-single-item-process", "monotonic-reads-violation"],
            4,
            vec![txn(0, (0, 1), [a(1, 1)]), txn(1, (2, 3), [r(1, [1])]), txn(1, (4, 5), [r(1, [])])],
        ),
        "G-single-item-process" | "stale-read-process" | "read-your-writes-violation" => {
            Script::new(&["G-single-item-process", "read-your-writes-violation"], 2, stale(0))
        }
        "G-single-item-realtime" | "stale-read-realtime" | "stale-read" => {
            Script::new(&["G-single-item-realtime"], 2, stale(1))
        }
        // All four overlap: whoever reads the past of a transaction that is over reads stale data, which is worse.
        "G-nonadjacent" | "G-nonadjacent-item" | "long-fork" => {
            let writers = [txn(0, (0, 4), [a(1, 1)]), txn(1, (1, 5), [a(2, 1)])];
            let readers = [txn(2, (2, 6), [r(1, [1]), r(2, [])]), txn(3, (3, 7), [r(1, []), r(2, [1])])];
            Script::new(&["G-nonadjacent-item", "long-fork"], 4, [&writers[..], &readers[..]].concat())
        }
        // No two such processes could be arranged so that real time shows nothing.
        "G-nonadjacent-item-process" => {
            let writes = [txn(0, (0, 2), [a(1, 1)]), txn(1, (1, 3), [a(2, 1)])];
            let reads = [txn(0, (4, 6), [r(2, [])]), txn(1, (5, 7), [r(1, [])])];
            Script::new(&["G-nonadjacent-item-process", "G-single-item-realtime"], 4, [writes, reads].concat())
        }
        "G-nonadjacent-item-realtime" => {
            let first = [txn(0, (0, 7), [r(1, []), r(2, [1])]), txn(1, (1, 3), [a(1, 1)])];
            let then = [txn(2, (2, 6), [a(2, 1)]), txn(3, (4, 5), [r(2, [])])];
            Script::new(&["G-nonadjacent-item-realtime"], 4, [first, then].concat())
        }
        "G2-item" | "write-skew" => {
            Script::new(&["G2-item"], 2, vec![txn(0, (0, 2), [r(1, []), a(2, 1)]), txn(1, (1, 3), [r(2, []), a(1, 1)])])
        }
        "G2-item-process" | "G2-item-realtime" => {
            let (reader, finds): (u32, &[&str]) =
                if name == "G2-item-process" { (1, &["G2-item-process"]) } else { (2, &["G2-item-realtime"]) };
            let steps =
                vec![txn(0, (0, 5), [a(1, 1), r(2, [])]), txn(1, (1, 2), [a(2, 1)]), txn(reader, (3, 4), [r(1, [])])];
            Script::new(finds, 3, steps)
        }
        "lost-update" => Script::new(
            &["lost-update", "G-single-item"],
            2,
            vec![
                txn(0, (0, 1), [r(1, []), a(1, 1)]),
                txn(1, (2, 3), [r(1, []), a(1, 2)]),
                txn(2, (4, 5), [r(1, [1, 2])]),
            ],
        ),
        _ => return None,
    })
}

fn contents(name: &str) -> Option<Script> {
    Some(match name {
        "G1a" => Script::new(&["G1a"], 2, vec![failed(0, (0, 1), [a(1, 1)]), txn(1, (2, 3), [r(1, [1])])]),
        // A list read in the middle of a transaction lacks what the transaction appended later: a read skew.
        "G1b" => {
            let steps = vec![txn(0, (0, 1), [a(1, 1), a(1, 2)]), txn(1, (2, 3), [r(1, [1])])];
            Script::new(&["G1b", "G-single-item"], 2, [steps, vec![txn(2, (4, 5), [r(1, [1, 2])])]].concat())
        }
        "dirty-update" => Script::new(
            &["dirty-update", "G1a"],
            2,
            vec![failed(0, (0, 1), [a(1, 1)]), txn(1, (2, 3), [a(1, 2)]), txn(2, (4, 5), [r(1, [1, 2])])],
        ),
        "duplicate-elements" => {
            let appends = [txn(0, (0, 1), [a(1, 1)]), txn(0, (2, 3), [a(1, 2)])];
            let reads = [txn(1, (4, 5), [r(1, [1, 2])]), txn(2, (6, 7), [r(1, [1, 2, 1])])];
            Script::new(&["duplicate-elements"], 6, [appends, reads].concat())
        }
        "incompatible-order" => {
            let appends = [txn(0, (0, 2), [a(1, 1)]), txn(1, (1, 3), [a(1, 2)])];
            let reads = [txn(2, (4, 5), [r(1, [1, 2])]), txn(3, (6, 7), [r(1, [2])])];
            Script::new(&["incompatible-order"], 6, [&appends[..], &reads[..]].concat())
        }
        "internal" => {
            Script::new(&["internal"], 2, vec![txn(0, (0, 1), [a(1, 1), r(1, [])]), txn(1, (2, 3), [r(1, [1])])])
        }
        "future-read" => {
            Script::new(&["future-read"], 2, vec![txn(0, (0, 1), [r(1, [1]), a(1, 1)]), txn(1, (2, 3), [r(1, [1])])])
        }
        "garbage-read" => {
            Script::new(&["garbage-read"], 2, vec![txn(0, (0, 1), [a(1, 1)]), txn(1, (2, 3), [r(1, [1, 9])])])
        }
        _ => return None,
    })
}
