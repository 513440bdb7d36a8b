//! A strictly serializable store of lists under random clients: histories that are right by construction.

use super::*;
use std::collections::BTreeMap;

/// What a simulated history looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) ops: usize,
    pub(super) clients: usize,
    pub(super) keys: usize,
    pub(super) mops_max: usize,
    pub(super) fail_percent: usize,
    pub(super) info_percent: usize,
    pub(super) read_percent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Idle,
    Invoked,
    Done,
}

struct Client {
    process: i64,
    stage: Stage,
    op: usize,
}

/// Every operation takes effect at one moment between its invocation and its completion; failed ones never; those
/// that are given up at any moment after their invocation, or never.
pub(super) fn simulate(seed: u64, shape: Shape) -> History {
    let mut dice = Dice::new(seed);
    let mut lists: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut next_value: BTreeMap<i64, i64> = BTreeMap::new();
    let mut ops: Vec<Operation> = Vec::new();
    let mut adrift: Vec<usize> = Vec::new();
    let mut clients: Vec<Client> =
        (0..shape.clients).map(|n| Client { process: n as i64, stage: Stage::Idle, op: 0 }).collect();
    let mut seq = 0;
    while ops.len() < shape.ops || clients.iter().any(|client| client.stage != Stage::Idle) {
        if !adrift.is_empty() && dice.chance(5) {
            let op = adrift.swap_remove(dice.roll(adrift.len()));
            apply(&mut ops[op], &mut lists, false);
        }
        let client = dice.roll(clients.len());
        let Client { stage, op, process } = &mut clients[client];
        match *stage {
            Stage::Idle if ops.len() >= shape.ops => {}
            Stage::Idle => {
                let mops = invent(&mut dice, shape, &mut next_value);
                *op = ops.len();
                *stage = Stage::Invoked;
                ops.push(operation_of(*process, seq, None, Outcome::Info, mops));
                seq += 1;
            }
            Stage::Invoked if dice.chance(shape.fail_percent) => {
                complete(&mut ops[*op], &mut seq, Outcome::Fail);
                *stage = Stage::Idle;
            }
            Stage::Invoked if dice.chance(shape.info_percent) => {
                if dice.chance(50) {
                    complete(&mut ops[*op], &mut seq, Outcome::Info);
                }
                if dice.chance(70) {
                    adrift.push(*op);
                }
                *process += shape.clients as i64;
                *stage = Stage::Idle;
            }
            Stage::Invoked => {
                apply(&mut ops[*op], &mut lists, true);
                *stage = Stage::Done;
            }
            Stage::Done => {
                complete(&mut ops[*op], &mut seq, Outcome::Ok);
                *stage = Stage::Idle;
            }
        }
    }
    History::new(ops).unwrap()
}

fn complete(op: &mut Operation, seq: &mut u64, outcome: Outcome) {
    op.outcome = outcome;
    op.complete_seq = Some(*seq);
    op.complete_ns = Some(*seq as i64 * 1_000_000);
    *seq += 1;
}

fn invent(dice: &mut Dice, shape: Shape, next_value: &mut BTreeMap<i64, i64>) -> Vec<Mop> {
    let count = 1 + dice.roll(shape.mops_max);
    let one = |_| {
        let key = dice.roll(shape.keys) as i64;
        if dice.chance(shape.read_percent) {
            return Mop::ReadList { key, list: None };
        }
        let value = next_value.entry(key).or_insert(0);
        *value += 1;
        Mop::Append { key, value: *value }
    };
    (0..count).map(one).collect()
}

fn apply(op: &mut Operation, lists: &mut BTreeMap<i64, Vec<i64>>, tell: bool) {
    let Call::Txn(mops) = &mut op.call else { return };
    for mop in mops {
        match mop {
            Mop::Append { key, value } => lists.entry(*key).or_default().push(*value),
            Mop::ReadList { key, list } if tell => *list = Some(lists.get(key).cloned().unwrap_or_default()),
            _ => {}
        }
    }
}
