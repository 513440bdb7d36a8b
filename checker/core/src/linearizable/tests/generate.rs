//! Random histories from a seed.

use super::super::{CAS_MISMATCH, Options};
use super::operation;
use crate::op::{Call, History, Operation, Outcome};
use std::collections::VecDeque;

/// SplitMix64: small, seeded, the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What small histories look like. Chances are in percent.
pub(super) struct Shape {
    /// At most so many operations.
    pub(super) ops: u64,
    /// So many values.
    pub(super) values: i64,
    /// Each value is written at most once.
    pub(super) unique: bool,
    /// With `cas`.
    pub(super) cas: bool,
    /// Chance that an operation is an `info`.
    pub(super) info: u64,
    /// Chance that a history is tampered with after a register made it.
    pub(super) lies: u64,
}

/// A history of key 0. A register makes it, at random moments within random intervals; then, perhaps, results are changed.
pub(super) fn history(dice: &mut Dice, shape: &Shape) -> (History, Options) {
    let count = 2 + dice.below(shape.ops - 1) as usize;
    let initial = if dice.percent(30) { Some(0) } else { None };
    let options = Options { initial, failed_cas_observes: dice.percent(30), threads: 1, ..Options::default() };
    // Three moments per operation: invocation, effect, completion. Short spans make long chains in real time.
    let reach = 1 + dice.below(3 * count as u64);
    let mut moments: Vec<(u64, u64, u64)> = (0..count)
        .map(|_| {
            let from = dice.below(4 * count as u64);
            let mut of = [from, from + dice.below(reach), from + dice.below(reach)];
            of.sort_unstable();
            (of[0] * 64, of[1] * 64, of[2] * 64)
        })
        .collect();
    for (index, moment) in moments.iter_mut().enumerate() {
        // Ties are broken by the operation, then by the kind of moment.
        let tie = index as u64 * 4;
        *moment = (moment.0 + tie, moment.1 + tie + 1, moment.2 + tie + 2);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&op| moments[op].1);
    let mut state = initial;
    let mut ops: Vec<Option<Operation>> = vec![None; count];
    for op in order {
        let fresh = op as i64 + 1;
        let some = |dice: &mut Dice| dice.below(shape.values as u64) as i64;
        let put = if shape.unique { fresh } else { some(dice) };
        let span = (moments[op].0, Some(moments[op].2));
        let info = dice.percent(shape.info);
        let happens = !info || dice.percent(50);
        let made = match dice.below(if shape.cas { 4 } else { 3 }) {
            0 => {
                if happens {
                    state = Some(put);
                }
                (Call::Write { key: 0, value: put }, true)
            }
            3 => {
                let expected = if dice.percent(60) { state.unwrap_or(0) } else { some(dice) };
                let matches = state == Some(expected);
                if happens && matches {
                    state = Some(put);
                }
                (Call::Cas { key: 0, expected, value: put }, matches)
            }
            _ => (Call::Read { key: 0, value: (!info).then_some(state) }, true),
        };
        let (outcome, span) = match (info, made.1) {
            (true, _) => (Outcome::Info, if dice.percent(50) { span } else { (span.0, None) }),
            (false, true) => (Outcome::Ok, span),
            (false, false) => (Outcome::Fail, span),
        };
        let mut operation = operation(op as i64, made.0, span, outcome);
        if outcome == Outcome::Fail {
            operation.error_code = Some(CAS_MISMATCH.into());
        }
        ops[op] = Some(operation);
    }
    let mut ops: Vec<Operation> = ops.into_iter().flatten().collect();
    if dice.percent(shape.lies + 30) {
        tamper(dice, shape, &mut ops);
    }
    (History::new(ops).expect("moments are distinct, processes too"), options)
}

fn tamper(dice: &mut Dice, shape: &Shape, ops: &mut [Operation]) {
    for _ in 0..1 + dice.below(3) {
        let victim = dice.below(ops.len() as u64) as usize;
        let other = dice.below(shape.values as u64) as i64;
        let op = &mut ops[victim];
        match &mut op.call {
            Call::Read { value, .. } if op.outcome == Outcome::Ok => {
                *value = Some(if dice.percent(10) { None } else { Some(other) });
            }
            Call::Cas { expected, .. } if op.outcome == Outcome::Ok => *expected = other,
            Call::Cas { .. } if op.outcome == Outcome::Fail => op.outcome = Outcome::Ok,
            _ => {}
        }
    }
}

/// A long history of key 0: `clients` processes, a register that never lies, a few percent of `info`.
pub(super) fn long(dice: &mut Dice, count: usize, clients: usize, values: i64, cas: bool) -> History {
    let mut state = None;
    let mut seq = 0;
    let mut next_value = 0;
    let mut ops: Vec<Operation> = Vec::with_capacity(count);
    // By client: its operation in flight, whether it took effect, and its process.
    let mut clients: Vec<(Option<usize>, bool, i64)> =
        (0..clients as i64).map(|process| (None, false, process)).collect();
    let mut retired: VecDeque<i64> = (clients.len() as i64..).take(count).collect();
    while ops.len() < count || clients.iter().any(|client| client.0.is_some()) {
        let at = dice.below(clients.len() as u64) as usize;
        let (current, took_effect, process) = clients[at];
        let Some(op) = current else {
            if ops.len() < count {
                next_value += 1;
                let fresh = if values == i64::MAX { next_value } else { dice.below(values as u64) as i64 };
                let call = match dice.below(3) {
                    0 => Call::Write { key: 0, value: fresh },
                    1 if cas => Call::Cas { key: 0, expected: state.unwrap_or(0), value: fresh },
                    _ => Call::Read { key: 0, value: None },
                };
                clients[at] = (Some(ops.len()), false, process);
                ops.push(operation(process, call, (seq, None), Outcome::Info));
                seq += 1;
            }
            continue;
        };
        if !took_effect {
            clients[at].1 = true;
            match &mut ops[op].call {
                Call::Read { value, .. } => *value = Some(state),
                Call::Write { value, .. } => state = Some(*value),
                Call::Cas { expected, value, .. } => {
                    if state == Some(*expected) {
                        state = Some(*value);
                    } else {
                        ops[op].outcome = Outcome::Fail;
                    }
                }
                _ => {}
            }
            continue;
        }
        clients[at].0 = None;
        if dice.percent(2) {
            ops[op].outcome = Outcome::Info;
            if let Call::Read { value, .. } = &mut ops[op].call {
                *value = None;
            }
            clients[at].2 = retired.pop_front().unwrap_or(i64::MAX);
            continue;
        }
        if ops[op].outcome != Outcome::Fail {
            ops[op].outcome = Outcome::Ok;
        }
        ops[op].complete_seq = Some(seq);
        ops[op].complete_ns = Some(seq as i64 * 1_000_000);
        seq += 1;
    }
    History::new(ops).expect("clients do one thing at a time")
}
