//! Histories that some order explains, and what becomes of them when something in them is exchanged: the checker objects
//! whenever no order explains them any more.
//!
//! Objects are written once, and what they were before is known, so that each read says which version it saw, as far as it
//! matters: nothing is left open, and the checker has no excuse.

use super::*;

/// Value of what is there from the beginning, and of what is written.
const OLD: i64 = 2;
const NEW: i64 = 5;
const KEYS: i64 = 4;

/// Half of the objects are there and are written once, the others are inserted once. Who reads `[:mod 3 2]` sees all.
fn serial_once(dice: &mut Dice, txns: usize) -> History {
    let mut names = Names::default();
    let predicates = ["[:= 2]", "[:= 5]", "[:mod 3 2]"].map(|text| names.number(text));
    let mut state: BTreeMap<i64, i64> = (0..KEYS / 2).map(|key| (key, OLD)).collect();
    let init = state.iter().map(|(key, value)| Mop::Insert { key: *key, value: *value }).collect();
    let mut ops = vec![operation_of(99, 0, Some(1), Outcome::Ok, init)];
    for number in 0..txns {
        let mut mops = Vec::new();
        for _ in 0..1 + dice.roll(3) {
            let key = dice.roll(KEYS as usize) as i64;
            let now = state.get(&key).copied();
            match dice.roll(4) {
                0 | 1 if now != Some(NEW) => {
                    state.insert(key, NEW);
                    let written = Mop::Write { key, value: NEW };
                    mops.push(if now.is_none() { Mop::Insert { key, value: NEW } } else { written });
                }
                2 => mops.push(Mop::Read { key, value: Some(now) }),
                _ => {
                    let predicate = predicates[dice.roll(3)];
                    let of = predicate::Predicate::of(predicate, &names).unwrap();
                    let seen = state.iter().filter(|(_, value)| of.matches(**value, &names));
                    let matched = Some(seen.map(|(key, value)| (*key, *value)).collect());
                    mops.push(Mop::ReadPredicate { predicate, matched });
                }
            }
        }
        // Each takes effect at its own moment, within its time.
        let moment = (number as u64 + 40) * 100;
        let (before, after) = (dice.roll(250) as u64, dice.roll(250) as u64);
        let place = number as u64 * 2;
        let (invoke, complete) = ((moment - before) * 64 + place, (moment + after) * 64 + place + 1);
        ops.push(operation_of(number as i64, invoke, Some(complete), Outcome::Ok, mops));
    }
    History::new(ops).unwrap().with_names(std::sync::Arc::new(names))
}

/// Every read: what it asks for, and where it is.
fn reads(ops: &[Operation]) -> Vec<(i64, usize, usize)> {
    let mut reads = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        for (place, mop) in mops(op).iter().enumerate() {
            match mop {
                Mop::Read { key: what, .. } | Mop::ReadPredicate { predicate: what, .. } => {
                    reads.push((*what, at, place));
                }
                _ => {}
            }
        }
    }
    reads
}

/// Exchanges what two reads that ask for the same told, or what two transactions did; `None` if there are no two.
fn exchange(history: &History, dice: &mut Dice) -> Option<History> {
    let mut ops = history.ops().to_vec();
    if dice.roll(3) == 0 {
        let (a, b) = (1 + dice.roll(ops.len() - 1), 1 + dice.roll(ops.len() - 1));
        let call = ops[a].call.clone();
        ops[a].call = std::mem::replace(&mut ops[b].call, call);
    } else {
        let mut reads = reads(&ops);
        let one = *reads.get(dice.roll(reads.len().max(1)))?;
        reads.retain(|other| other.0 == one.0 && *other != one);
        let other = *reads.get(dice.roll(reads.len().max(1)))?;
        let (first, second) = (mops(&ops[one.1])[one.2].clone(), mops(&ops[other.1])[other.2].clone());
        for ((_, at, place), mop) in [(one, second), (other, first)] {
            let Call::Txn(mops) = &mut ops[at].call else { return None };
            mops[place] = mop;
        }
    }
    Some(History::new(ops).unwrap().with_names(history.names().clone()))
}

#[test]
fn whatever_no_order_explains_is_objected_to_and_nothing_else() {
    let mut dice = Dice::new(77);
    let mut counts = [[0; 2]; 2];
    for _ in 0..6_000 {
        let txns = 2 + dice.roll(5);
        let healthy = serial_once(&mut dice, txns);
        let found = check(&healthy, &Options::default()).anomaly_types;
        assert_eq!(found, BTreeSet::new(), "{healthy:#?}");
        let Some(history) = exchange(&healthy, &mut dice) else { continue };
        for (real_time, model) in [(false, Model::SERIALIZABLE), (true, Model::STRICT_SERIALIZABLE)] {
            let (ops, start) = (history.ops(), BTreeMap::new());
            let explained = explained(ops, history.names(), real_time, &mut Vec::new(), &start);
            let result = check(&history, &Options { model, ..Options::default() });
            if result.verdict.reasons.iter().any(|reason| reason.code == "NO_OK_READS") {
                continue;
            }
            assert_eq!(result.is_invalid(), !explained, "{model} {:#?}\n{history:#?}", result.findings);
            counts[usize::from(real_time)][usize::from(explained)] += 1;
        }
    }
    assert!(counts.iter().flatten().all(|count| *count > 300), "{counts:?}");
}
