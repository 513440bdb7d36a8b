//! Sentences for the anomalies that are no cycles.

use super::explain::{Narrator, version};
use super::raw::{Raw, Reason};
use super::sources::{self, INITIAL, PROCESS, REALTIME, RMW, SUPPLIED};
use crate::op::Mop;
use crate::transactions::NONE;
use crate::transactions::words::{Narrate as _, before, mops, more_reads};

/// The parts of an explanation. The transactions are T1, T2 … in the sentences.
pub(super) struct RawWords {
    pub(super) txns: Vec<u32>,
    pub(super) key: Option<i64>,
    pub(super) summary: String,
    pub(super) facts: Vec<String>,
    pub(super) contradiction: String,
}

/// Puts one anomaly into words.
pub(super) fn words_raw(narrator: &Narrator<'_>, raw: &Raw) -> RawWords {
    match raw {
        Raw::G1a { key, value, reader, writer, more } => RawWords {
            txns: vec![*writer, *reader],
            key: Some(*key),
            summary: format!("key {key}: a read saw {value}, which only a failed transaction wrote"),
            facts: vec![format!("T2 read T1's write of {value} to key {key}{}", more_reads(*more))],
            contradiction: "T1 failed, and nobody may ever see what it wrote".to_owned(),
        },
        Raw::G1b { key, value, reader, writer, more } => RawWords {
            txns: vec![*writer, *reader],
            key: Some(*key),
            summary: format!("key {key}: a read saw {value}, from the middle of the transaction that wrote it"),
            facts: vec![format!("T2 read T1's write of {value} to key {key}{}", more_reads(*more))],
            contradiction: format!("T1 wrote to key {key} again after {value}, and only its last write may be seen"),
        },
        Raw::Garbage { key, value, reader, more } => RawWords {
            txns: vec![*reader],
            key: Some(*key),
            summary: format!("key {key}: a read saw {value}, which nobody wrote"),
            facts: vec![format!("T1 read key {key} as {value}{}", more_reads(*more))],
            contradiction: format!("no transaction of the history, not even a failed one, wrote {value} to key {key}"),
        },
        Raw::DirtyUpdate { key, failed, ok } => RawWords {
            txns: vec![failed.0, ok.0],
            key: Some(*key),
            summary: format!("key {key}: the committed {} was made from {}, which failed", ok.1, failed.1),
            facts: vec![format!("T2 read key {key} as T1's {}, then wrote {} to it", failed.1, ok.1)],
            contradiction: "T1 failed, and no version may build on what it wrote".to_owned(),
        },
        Raw::LostUpdate { key, seen, txns } => lost_update(narrator, *key, *seen, txns),
        Raw::Internal { txn, mop, expected } => internal(narrator, *txn, *mop, *expected),
        Raw::FutureRead { txn, mop, value } => {
            let key = mops(narrator.op(*txn)).get(*mop as usize).and_then(Mop::key).unwrap_or_default();
            RawWords {
                txns: vec![*txn],
                key: Some(key),
                summary: format!("key {key}: a transaction read {value} before it wrote it"),
                facts: vec![format!("T1 read key {key} as {value}")],
                contradiction: format!("T1 wrote {value} only later"),
            }
        }
        Raw::CyclicVersions { key, versions, reasons, sources } => {
            let sources: Vec<&str> = sources::each(*sources).map(sources::name).collect();
            let by = format!("by {}; the last of these was not used for this key", sources.join(", "));
            cyclic_versions(narrator, *key, versions, reasons, &by)
        }
        Raw::Session { key, versions, reasons, .. } => {
            cyclic_versions(narrator, *key, versions, reasons, "by what processes met one after the other")
        }
        Raw::NoOrder { txns, keys, forced, .. } => no_order(txns, keys, forced),
    }
}

fn lost_update(narrator: &Narrator<'_>, key: i64, seen: Option<i64>, txns: &[u32]) -> RawWords {
    let last_write = |txn: &u32| {
        mops(narrator.op(*txn)).iter().rev().find_map(|mop| match mop {
            Mop::Write { key: of, value } if *of == key => Some(*value),
            _ => None,
        })
    };
    let values: Vec<i64> = txns.iter().filter_map(last_write).collect();
    let shown: Vec<String> = values.iter().take(4).map(i64::to_string).collect();
    let more = if values.len() > 4 { format!(" and {} more", values.len() - 4) } else { String::new() };
    let seen = version(seen);
    let fact =
        |(place, value): (usize, &i64)| format!("T{} read key {key} as {seen}, then wrote {value} to it", place + 1);
    RawWords {
        txns: txns.to_vec(),
        key: Some(key),
        summary: format!("key {key}: {} transactions each overwrote {seen}: {}{more}", txns.len(), shown.join(", ")),
        facts: values.iter().enumerate().take(8).map(fact).collect(),
        contradiction: "whichever took effect later should have read what the earlier one wrote".to_owned(),
    }
}

fn internal(narrator: &Narrator<'_>, txn: u32, mop: u32, expected: Option<i64>) -> RawWords {
    let (key, seen) = match mops(narrator.op(txn)).get(mop as usize) {
        Some(Mop::Read { key, value }) => (*key, version(value.unwrap_or_default())),
        _ => (0, version(None)),
    };
    let expected = version(expected);
    RawWords {
        txns: vec![txn],
        key: Some(key),
        summary: format!("key {key}: a transaction read {seen}, by its own doing it must be {expected}"),
        facts: vec![format!("T1 read key {key} as {seen}")],
        contradiction: format!("by its own earlier reads and writes it must be {expected}"),
    }
}

fn cyclic_versions(
    narrator: &Narrator<'_>,
    key: i64,
    versions: &[Option<i64>],
    reasons: &[Reason],
    by: &str,
) -> RawWords {
    let mut txns: Vec<u32> = reasons.iter().flat_map(|reason| [reason.earlier, reason.later]).collect();
    txns.retain(|txn| *txn != NONE);
    txns.sort_unstable();
    txns.dedup();
    let called = |txn: u32| format!("T{}", txns.binary_search(&txn).map_or(0, |place| place + 1));
    let mut facts: Vec<String> = Vec::new();
    for (place, reason) in reasons.iter().enumerate() {
        let (value, next) = (version(versions[place]), version(versions[(place + 1) % versions.len()]));
        let (earlier, later) = (called(reason.earlier), called(reason.later));
        let why = match reason.source {
            INITIAL => "a register is nil before its first write".to_owned(),
            RMW => format!("{later} read {value} and then wrote {next}"),
            PROCESS if reason.earlier != NONE => {
                let process = narrator.op(reason.earlier).process;
                format!("process {process} met {value} in {earlier} and then {next} in {later}")
            }
            REALTIME => {
                let (first, second) = (narrator.op(reason.earlier), narrator.op(reason.later));
                let order = before(narrator.origin_ns(), first, &earlier, second, &later);
                format!("{earlier} met {value}, {later} met {next}, and {order}")
            }
            SUPPLIED => "the given order of transactions says so".to_owned(),
            _ => "of the order in which they were first seen".to_owned(),
        };
        facts.push(format!("{value} < {next}, because {why}"));
    }
    let contradiction = facts.pop().unwrap_or_default();
    let mut chain: Vec<String> = versions.iter().copied().map(version).collect();
    chain.extend(chain.first().cloned());
    RawWords {
        txns,
        key: Some(key),
        summary: format!("key {key}: versions in a cycle: {} ({by})", chain.join(" < ")),
        facts,
        contradiction,
    }
}

fn no_order(txns: &[u32], keys: &[i64], forced: &[String]) -> RawWords {
    let names: Vec<String> = keys.iter().take(6).map(i64::to_string).collect();
    let more = if keys.len() > 6 { format!(" and {} more", keys.len() - 6) } else { String::new() };
    let keys_named = format!("key{} {}{more}", if keys.len() == 1 { "" } else { "s" }, names.join(", "));
    RawWords {
        txns: txns.to_vec(),
        key: if let [key] = keys { Some(*key) } else { None },
        summary: format!("no order of the writes of {keys_named} fits what {} transactions saw", txns.len()),
        facts: forced.to_vec(),
        contradiction: format!(
            "every order of the writes of {keys_named} that is left closes a cycle among these transactions"
        ),
    }
}
