//! Sentences for the anomalies that are no cycles.

use super::explain::{Narrator, mops};
use super::raw::Raw;
use super::words;
use crate::op::Mop;

/// The parts of an explanation. The transactions are T1, T2 … in the sentences.
pub(super) struct RawWords {
    pub(super) txns: Vec<u32>,
    pub(super) key: Option<i64>,
    /// Elements that must not be cut out of long lists.
    pub(super) focus: Vec<i64>,
    pub(super) summary: String,
    pub(super) facts: Vec<String>,
    pub(super) contradiction: String,
}

fn more_reads(more: u64) -> String {
    match more {
        0 => String::new(),
        1 => " (and so did one more read)".to_owned(),
        more => format!(" (and so did {more} more reads)"),
    }
}

/// Puts one anomaly into words.
pub(super) fn words_raw(narrator: &Narrator<'_>, raw: &Raw) -> RawWords {
    match raw {
        Raw::G1a { key, element, reader, writer, more } => RawWords {
            txns: vec![*writer, *reader],
            key: Some(*key),
            focus: vec![*element],
            summary: format!("key {key}: a read saw {element}, which only a failed transaction appended"),
            facts: vec![format!("T2 observed T1's append of {element} to key {key}{}", more_reads(*more))],
            contradiction: "T1 failed, and nobody may ever see what it appended".to_owned(),
        },
        Raw::G1b { key, element, reader, writer, more } => RawWords {
            txns: vec![*writer, *reader],
            key: Some(*key),
            focus: vec![*element],
            summary: format!(
                "key {key}: a read ended with {element}, in the middle of the transaction that appended it"
            ),
            facts: vec![format!("T2 read key {key} up to T1's append of {element}{}", more_reads(*more))],
            contradiction: format!(
                "T1 appended to key {key} again after {element}, and must be seen whole or not at all"
            ),
        },
        Raw::Garbage { key, element, reader, more } => RawWords {
            txns: vec![*reader],
            key: Some(*key),
            focus: vec![*element],
            summary: format!("key {key}: a read saw {element}, which nobody appended"),
            facts: vec![format!("T1 observed {element} in key {key}{}", more_reads(*more))],
            contradiction: format!(
                "no transaction of the history, not even a failed one, appended {element} to key {key}"
            ),
        },
        Raw::Duplicate { key, element, times, reader, more } => RawWords {
            txns: vec![*reader],
            key: Some(*key),
            focus: vec![*element],
            summary: format!("key {key}: a read saw {element} {}", times_words(*times)),
            facts: vec![format!("T1 observed {element} {} in key {key}{}", times_words(*times), duplicates(*more))],
            contradiction: format!("{element} was appended to key {key} only once"),
        },
        Raw::DirtyUpdate { key, failed, ok } => RawWords {
            txns: vec![failed.0, ok.0],
            key: Some(*key),
            focus: vec![failed.1, ok.1],
            summary: format!("key {key}: the committed {} lies on top of {}, which failed", ok.1, failed.1),
            facts: vec![format!("T2 appended {} to key {key} after T1 appended {}", ok.1, failed.1)],
            contradiction: "T1 failed, and no version may build on what it appended".to_owned(),
        },
        Raw::IncompatibleOrder { key, shorter, longer } => incompatible(*key, shorter, longer),
        Raw::OwnOrder { key, txn, first, second, reader } => own_order(*key, (*txn, *reader), *first, *second),
        Raw::LostUpdate { key, seen, txns } => lost_update(narrator, *key, seen, txns),
        Raw::Internal { .. } | Raw::FutureRead { .. } => within_transaction(narrator, raw),
    }
}

fn times_words(times: u64) -> String {
    if times == 2 { "twice".to_owned() } else { format!("no less than {times} times") }
}

fn duplicates(more: u64) -> String {
    if more == 0 { String::new() } else { format!(" (duplicates were seen by {more} more reads)") }
}

fn incompatible(key: i64, shorter: &(u32, Vec<i64>), longer: &(u32, Vec<i64>)) -> RawWords {
    let split = shorter.1.iter().zip(&longer.1).take_while(|(a, b)| a == b).count();
    let (first, second) = (shorter.1.get(split).copied(), longer.1.get(split).copied());
    let focus: Vec<i64> = first.into_iter().chain(second).collect();
    let at = match (first, second) {
        (Some(first), Some(second)) => format!("{first} and {second} both stand at place {}", split + 1),
        _ => "their ends disagree".to_owned(),
    };
    let lists = (words::list(&shorter.1, &focus), words::list(&longer.1, &focus));
    RawWords {
        txns: vec![shorter.0, longer.0],
        key: Some(key),
        summary: format!("key {key}: read as {} and as {}: {at}", lists.0, lists.1),
        facts: vec![format!("T1 read key {key} as {}", lists.0), format!("T2 read key {key} as {}", lists.1)],
        contradiction: format!("a list only grows, so one of them must begin with the other, and {at}"),
        focus,
    }
}

fn own_order(key: i64, (txn, reader): (u32, u32), first: i64, second: i64) -> RawWords {
    let (txns, reads) = if txn == reader { (vec![txn], "T1") } else { (vec![txn, reader], "T2") };
    RawWords {
        txns,
        key: Some(key),
        summary: format!("key {key}: {second} stands before {first}, though their transaction appended {first} first"),
        facts: vec![
            format!("T1 appended {first} to key {key}, and {second} after that"),
            format!("{reads} read key {key} with {second} right before {first}"),
        ],
        contradiction: format!("a list only grows at its end, so {first} must stand before {second}"),
        focus: vec![first, second],
    }
}

fn lost_update(narrator: &Narrator<'_>, key: i64, seen: &[i64], txns: &[u32]) -> RawWords {
    let first_append = |txn: &u32| {
        mops(narrator.op(*txn)).iter().find_map(|mop| match mop {
            Mop::Append { key: of, value } if *of == key => Some(*value),
            _ => None,
        })
    };
    let values: Vec<i64> = txns.iter().filter_map(first_append).collect();
    let shown: Vec<String> = values.iter().take(4).map(i64::to_string).collect();
    let more = if values.len() > 4 { format!(" and {} more", values.len() - 4) } else { String::new() };
    let list = words::list(seen, &[]);
    let fact = |(place, value): (usize, &i64)| {
        format!("T{0} read key {key} as {list}, then appended {value} to it", place + 1)
    };
    RawWords {
        txns: txns.to_vec(),
        key: Some(key),
        focus: seen.last().copied().into_iter().collect(),
        summary: format!("key {key}: {} transactions each appended to {list}: {}{more}", txns.len(), shown.join(", ")),
        facts: values.iter().enumerate().take(8).map(fact).collect(),
        contradiction: "whichever took effect later should have read what the earlier one appended".to_owned(),
    }
}

fn within_transaction(narrator: &Narrator<'_>, raw: &Raw) -> RawWords {
    let (txn, mop) = match raw {
        Raw::Internal { txn, mop, .. } | Raw::FutureRead { txn, mop, .. } => (*txn, *mop),
        _ => (0, 0),
    };
    let op = narrator.op(txn);
    let read = mops(op).get(mop as usize);
    let key = read.and_then(Mop::key).unwrap_or_default();
    let result = match read {
        Some(Mop::ReadList { list, .. }) => list.as_deref().unwrap_or(&[]),
        _ => &[],
    };
    let (focus, should, contradiction, summary) = match raw {
        Raw::FutureRead { element, .. } => (
            vec![*element],
            String::new(),
            format!("T1 appended {element} only later"),
            format!("key {key}: a transaction read {element} before it appended it"),
        ),
        Raw::Internal { expected, .. } => {
            let list = words::list(&expected.elements, &[]);
            let should = if expected.known_start { list } else { format!("a list ending with {list}") };
            let contradiction = format!("by its own earlier reads and appends it must be {should}");
            let summary = format!(
                "key {key}: a transaction read {}, by its own doing it must be {should}",
                words::list(result, &[])
            );
            (Vec::new(), should, contradiction, summary)
        }
        _ => Default::default(),
    };
    debug_assert!(matches!(raw, Raw::FutureRead { .. }) || !should.is_empty());
    RawWords {
        txns: vec![txn],
        key: Some(key),
        summary,
        facts: vec![format!("T1 read key {key} as {}", words::list(result, &focus))],
        contradiction,
        focus,
    }
}
