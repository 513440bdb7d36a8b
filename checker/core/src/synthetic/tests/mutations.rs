//! Serial histories of lists and registers, and what becomes of them when something in them is exchanged: a checker
//! objects whenever no order of commits explains them any more, and only then.
//!
//! The judge tries all orders of commits and all sets of commits that each transaction may have seen; it knows nothing of
//! dependencies or cycles. At the end one transaction reads everything, so that the order of each list is known.

use super::oracle::{Owed, explained, mops, rule};
use super::*;
use crate::op::{Call, Mop, Operation, Outcome};
use crate::rw_register;
use crate::script::operation_of;
use std::collections::BTreeMap;

const KEYS: i64 = 2;

fn read(workload: Workload, key: i64, state: &BTreeMap<i64, Vec<i64>>) -> Mop {
    let all = state.get(&key).cloned().unwrap_or_default();
    match workload {
        Workload::ListAppend => Mop::ReadList { key, list: Some(all) },
        _ => Mop::Read { key, value: Some(all.last().copied()) },
    }
}

/// One after the other, each at a moment within its time; some fail, and of some nobody learns whether they took effect.
fn serial(workload: Workload, dice: &mut Dice, txns: usize) -> Vec<Operation> {
    let mut state: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut next = 0;
    let mut ops = Vec::new();
    let mut free: Vec<(i64, u64)> = Vec::new();
    for number in 0..txns {
        let outcome = [Outcome::Fail, Outcome::Info].get(dice.roll(12)).copied().unwrap_or(Outcome::Ok);
        let takes_effect = outcome == Outcome::Ok || outcome == Outcome::Info && dice.roll(2) == 0;
        let before = state.clone();
        let mut told = Vec::new();
        for _ in 0..1 + dice.roll(3) {
            let key = dice.roll(KEYS as usize) as i64;
            if dice.roll(2) == 0 {
                told.push(read(workload, key, &state));
                continue;
            }
            next += 1;
            state.entry(key).or_default().push(next);
            let list = workload == Workload::ListAppend;
            told.push(if list { Mop::Append { key, value: next } } else { Mop::Write { key, value: next } });
        }
        if outcome != Outcome::Ok {
            told.iter_mut().for_each(forget);
        }
        if !takes_effect {
            state = before;
        }
        let moment = (number as u64 + 40) * 100;
        let (early, late) = (dice.roll(200) as u64, dice.roll(200) as u64);
        let place = number as u64 * 2;
        let (invoke, complete) = ((moment - early) * 64 + place, (moment + late) * 64 + place + 1);
        let again = free.iter().position(|(_, end)| *end < invoke).filter(|_| dice.roll(2) == 0);
        let process = again.map_or(number as i64, |again| free.swap_remove(again).0);
        if outcome != Outcome::Info {
            free.push((process, complete));
        }
        let complete = (outcome != Outcome::Info).then_some(complete);
        ops.push(operation_of(process, invoke, complete, outcome, told));
    }
    let all = (0..KEYS).map(|key| read(workload, key, &state)).collect();
    ops.push(operation_of(99, 1 << 40, Some((1 << 40) + 1), Outcome::Ok, all));
    ops
}

fn forget(mop: &mut Mop) {
    match mop {
        Mop::ReadList { list, .. } => *list = None,
        Mop::Read { value, .. } => *value = None,
        _ => {}
    }
}

/// Places of the micro-operations that `fits` of the transactions that succeeded.
fn places(ops: &[Operation], fits: impl Fn(&Mop) -> bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.outcome == Outcome::Ok) {
        found.extend(mops(op).iter().enumerate().filter(|(_, mop)| fits(mop)).map(|(place, _)| (at, place)));
    }
    found
}

fn mop_at(ops: &mut [Operation], (at, place): (usize, usize)) -> Option<&mut Mop> {
    match &mut ops[at].call {
        Call::Txn(mops) => mops.get_mut(place),
        _ => None,
    }
}

/// Exchanges two of these.
fn swap(ops: &mut [Operation], of: &[(usize, usize)], dice: &mut Dice) -> Option<()> {
    let (one, other) = (of.get(dice.roll(of.len().max(1)))?, of.get(dice.roll(of.len().max(1)))?);
    let first = mop_at(ops, *one)?.clone();
    let second = std::mem::replace(mop_at(ops, *other)?, first);
    *mop_at(ops, *one)? = second;
    Some(())
}

/// What is done to a history.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mutation {
    /// Two reads of one key tell what the other one told.
    SwapReadsOfAKey,
    /// Two reads of any keys change places.
    SwapReads,
    /// Two writes change places.
    SwapWrites,
    /// Two transactions do what the other one did.
    SwapTransactions,
    /// Two transactions take place when the other one did.
    SwapTimes,
    /// What succeeded is said to have failed.
    Fail,
    /// A micro-operation did not happen.
    Drop,
}

const MUTATIONS: [Mutation; 7] = [
    Mutation::SwapReadsOfAKey,
    Mutation::SwapReads,
    Mutation::SwapWrites,
    Mutation::SwapTransactions,
    Mutation::SwapTimes,
    Mutation::Fail,
    Mutation::Drop,
];

/// The history after the mutation; `None` if there is nothing to mutate.
fn mutated(mut ops: Vec<Operation>, mutation: Mutation, dice: &mut Dice) -> Option<History> {
    let is_read = |mop: &Mop| matches!(mop, Mop::ReadList { .. } | Mop::Read { .. });
    let (one, other) = (dice.roll(ops.len()), dice.roll(ops.len()));
    match mutation {
        Mutation::SwapReadsOfAKey => {
            let key = dice.roll(KEYS as usize) as i64;
            let reads = places(&ops, |mop| is_read(mop) && mop.key() == Some(key));
            swap(&mut ops, &reads, dice)?;
        }
        Mutation::SwapReads => {
            let reads = places(&ops, is_read);
            swap(&mut ops, &reads, dice)?;
        }
        Mutation::SwapWrites => {
            let writes = places(&ops, |mop| !is_read(mop));
            swap(&mut ops, &writes, dice)?;
        }
        Mutation::SwapTransactions => {
            let ok = |at: usize| ops[at].outcome == Outcome::Ok;
            (ok(one) && ok(other)).then_some(())?;
            let call = ops[one].call.clone();
            ops[one].call = std::mem::replace(&mut ops[other].call, call);
        }
        Mutation::SwapTimes => {
            let ok = |at: usize| ops[at].outcome == Outcome::Ok;
            (ok(one) && ok(other) && one != other).then_some(())?;
            let (a, b) = (ops[one].clone(), ops[other].clone());
            let times = |op: &mut Operation, of: &Operation, process: i64| {
                (op.invoke_seq, op.complete_seq, op.process) = (of.invoke_seq, of.complete_seq, process);
            };
            times(&mut ops[one], &b, 50);
            times(&mut ops[other], &a, 51);
        }
        Mutation::Fail => {
            (ops[one].outcome == Outcome::Ok).then_some(())?;
            ops[one].outcome = Outcome::Fail;
        }
        Mutation::Drop => {
            let all = places(&ops, |_| true);
            let (at, place) = *all.get(dice.roll(all.len().max(1)))?;
            let Call::Txn(mops) = &mut ops[at].call else { return None };
            mops.remove(place);
        }
    }
    History::new(ops).ok()
}

/// Levels, and the names under which a checker knows them. What these see does not depend on processes where the model
/// does not either, other than for the generator.
const LEVELS: [Level; 8] = [
    Level::StrictSerializable,
    Level::StrongSessionSerializable,
    Level::Serializable,
    Level::StrongSnapshotIsolation,
    Level::StrongSessionSnapshotIsolation,
    Level::SnapshotIsolation,
    Level::ParallelSnapshotIsolation,
    Level::Causal,
];

fn judge_of(workload: Workload, history: &History, model: &str) -> CheckResult {
    if workload == Workload::ListAppend {
        return judge(history, model);
    }
    let options = rw_register::Options { model: Model::parse(model).unwrap(), ..rw_register::Options::default() };
    rw_register::check(history, &options)
}

fn agree(workload: Workload, seed: u64, rounds: usize) {
    let mut dice = Dice::new(seed);
    let mut counts: BTreeMap<(usize, bool), u32> = BTreeMap::new();
    for _ in 0..rounds {
        let txns = 2 + dice.roll(4);
        let healthy = serial(workload, &mut dice, txns);
        let mutation = MUTATIONS[dice.roll(MUTATIONS.len())];
        let before = judge_of(workload, &History::new(healthy.clone()).unwrap(), "strict-serializable");
        assert_eq!(before.verdict, crate::Verdict::valid(), "{healthy:#?}");
        let Some(history) = mutated(healthy, mutation, &mut dice) else { continue };
        for (number, level) in LEVELS.into_iter().enumerate() {
            let mut rule = rule(level).unwrap();
            if Model::parse(level.name()).unwrap().order() == crate::consistency::Order::Data {
                rule.owed = Owed::Nobody;
            }
            let result = judge_of(workload, &history, level.name());
            if result.verdict.validity == crate::Validity::Unknown {
                let open = ["NO_OK_READS", "VERSION_ORDER_UNKNOWN"];
                let code = result.verdict.reasons[0].code.as_str();
                assert!(open.contains(&code), "{level} {mutation:?} {:?} {history:#?}", result.verdict);
                continue;
            }
            let holds = explained(&history, rule);
            assert_eq!(result.is_invalid(), !holds, "{level} {mutation:?} {:#?} {history:#?}", result.findings);
            *counts.entry((number, holds)).or_insert(0) += 1;
        }
    }
    for (number, level) in LEVELS.into_iter().enumerate() {
        let count = |holds| counts.get(&(number, holds)).copied().unwrap_or(0) as usize;
        assert!(count(true) * 20 > rounds && count(false) * 20 > rounds, "{level}: {counts:?}");
    }
}

#[test]
fn exchanges_in_lists_are_objected_to_whenever_no_order_explains_them() {
    agree(Workload::ListAppend, 31, 3_000);
}

#[test]
fn exchanges_in_registers_are_objected_to_whenever_no_order_explains_them() {
    agree(Workload::RwRegister, 32, 3_000);
}
