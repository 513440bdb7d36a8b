//! Two judges that share nothing with the checker: all orders, and the replay of one order.

use super::super::{CAS_MISMATCH, Options};
use crate::op::{Call, Operation, Outcome};
use std::collections::HashSet;

/// Whether `op` may take effect when the register holds `state`, and what it holds then.
fn step(op: &Operation, state: Option<i64>) -> Option<Option<i64>> {
    match op.call {
        Call::Read { value, .. } if op.outcome == Outcome::Ok => {
            value.is_none_or(|seen| seen == state).then_some(state)
        }
        Call::Read { .. } => Some(state),
        Call::Write { value, .. } => Some(Some(value)),
        Call::Cas { expected, .. } if op.outcome == Outcome::Fail => (state != Some(expected)).then_some(state),
        Call::Cas { expected, value, .. } => (state == Some(expected)).then_some(Some(value)),
        _ => None,
    }
}

/// Whether it is part of every order, of none, or of either.
fn must_happen(op: &Operation, options: &Options) -> Option<bool> {
    match op.outcome {
        Outcome::Ok => Some(true),
        Outcome::Info => Some(false),
        Outcome::Fail => {
            let observes = options.failed_cas_observes
                && matches!(op.call, Call::Cas { .. })
                && op.error_code.as_deref() == Some(CAS_MISMATCH);
            observes.then_some(true)
        }
    }
}

/// Tries all orders that respect real time, remembering (placed, state) pairs that failed.
pub(super) fn is_linearizable(ops: &[Operation], options: &Options) -> bool {
    let ops: Vec<(&Operation, bool)> =
        ops.iter().filter_map(|op| must_happen(op, options).map(|must| (op, must))).collect();
    let mut failed = HashSet::new();
    extend(&ops, 0, options.initial, &mut failed)
}

fn extend(
    ops: &[(&Operation, bool)],
    placed: u32,
    state: Option<i64>,
    failed: &mut HashSet<(u32, Option<i64>)>,
) -> bool {
    let left = |index: usize| placed >> index & 1 == 0;
    if (0..ops.len()).all(|index| !left(index) || !ops[index].1) {
        return true;
    }
    if failed.contains(&(placed, state)) {
        return false;
    }
    for index in (0..ops.len()).filter(|&index| left(index)) {
        let op = ops[index].0;
        let overdue = (0..ops.len()).any(|other| left(other) && ops[other].1 && ops[other].0.end_seq() < op.invoke_seq);
        if !overdue
            && let Some(after) = step(op, state)
            && extend(ops, placed | 1 << index, after, failed)
        {
            return true;
        }
    }
    failed.insert((placed, state));
    false
}

/// Replays one order: every operation that must have happened and says something is in it once, real time is respected, and
/// each step is legal.
pub(super) fn replay(ops: &[Operation], order: &[u64], options: &Options) -> Result<(), String> {
    let mut seen = HashSet::new();
    let mut state = options.initial;
    let mut latest_invocation = 0;
    for &id in order {
        let op = ops.iter().find(|op| op.op_id == id).ok_or_else(|| format!("no operation {id}"))?;
        if !seen.insert(id) {
            return Err(format!("operation {id} occurs twice"));
        }
        if must_happen(op, options).is_none() {
            return Err(format!("operation {id} failed"));
        }
        // Whoever completed before an operation placed earlier was invoked comes too late.
        if op.end_seq() < latest_invocation {
            return Err(format!("operation {id} is placed against real time"));
        }
        latest_invocation = latest_invocation.max(op.invoke_seq);
        state = step(op, state).ok_or_else(|| format!("operation {id} is impossible in state {state:?}"))?;
    }
    let silent = |op: &Operation| matches!(op.call, Call::Read { value: None, .. });
    match ops.iter().find(|op| must_happen(op, options) == Some(true) && !silent(op) && !seen.contains(&op.op_id)) {
        Some(missing) => Err(format!("operation {} is missing", missing.op_id)),
        None => Ok(()),
    }
}
