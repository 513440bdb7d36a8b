//! The invariants of a history, checked operation by operation, for histories that are not kept in memory.
//!
//! The same as [`History::new`](crate::History::new) checks, for operations that come in order of invocation. About two
//! bits an operation are held, and a few bytes for each process.
//!
//! ```
//! use fissure_checker::{HistoryError, Outcome, invariants::Invariants};
//! let mut invariants = Invariants::default();
//! invariants.push(0, 7, 1, Some(4), Outcome::Ok)?;
//! let overlap = invariants.push(1, 7, 2, Some(3), Outcome::Ok);
//! assert_eq!(overlap, Err(HistoryError::ProcessOverlap { process: 7, op_id: 1, earlier: 0 }));
//! # Ok::<(), HistoryError>(())
//! ```

use crate::op::{HistoryError, Outcome};
use crate::processes::Processes;

/// How far ahead of the operations met places in the order of events may lie and still be bits.
const DENSE: u64 = 64;

/// What was met so far.
#[derive(Debug, Default)]
pub struct Invariants {
    /// One bit for each place in the order of events, from `base` on.
    bits: Vec<u64>,
    base: u64,
    /// Places too far out for a bit, with the operation.
    far: Vec<(u64, u64)>,
    last_invoke: Option<u64>,
    ops: u64,
    processes: Processes,
    /// By number of the process, the end of its last operation, and that operation.
    ended: Vec<(u64, u64)>,
}

impl Invariants {
    /// The next operation in order of invocation. O(1).
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn push(
        &mut self,
        op_id: u64,
        process: i64,
        invoke_seq: u64,
        complete_seq: Option<u64>,
        outcome: Outcome,
    ) -> Result<(), HistoryError> {
        if self.last_invoke.is_none() {
            self.base = invoke_seq;
        } else if self.last_invoke.is_some_and(|last| last >= invoke_seq) {
            return Err(HistoryError::DuplicateSeq { op_id, seq: invoke_seq });
        }
        self.last_invoke = Some(invoke_seq);
        self.ops += 1;
        self.event(op_id, invoke_seq)?;
        match complete_seq {
            Some(complete_seq) if complete_seq <= invoke_seq => {
                return Err(HistoryError::CompletedBeforeInvoked { op_id, invoke_seq, complete_seq });
            }
            Some(complete_seq) => self.event(op_id, complete_seq)?,
            None if outcome != Outcome::Info => return Err(HistoryError::MissingCompletion { op_id, outcome }),
            None => {}
        }
        let end = if outcome == Outcome::Info { u64::MAX } else { complete_seq.unwrap_or(u64::MAX) };
        let number = self.processes.number(process) as usize;
        let Some(ended) = self.ended.get_mut(number) else {
            self.ended.push((end, op_id));
            return Ok(());
        };
        match std::mem::replace(ended, (end, op_id)) {
            (end, earlier) if end > invoke_seq => Err(HistoryError::ProcessOverlap { process, op_id, earlier }),
            _ => Ok(()),
        }
    }

    fn event(&mut self, op_id: u64, seq: u64) -> Result<(), HistoryError> {
        let place = seq - self.base;
        if place > self.ops.saturating_mul(DENSE) + (1 << 20) {
            self.far.push((seq, op_id));
            return Ok(());
        }
        let (word, bit) = ((place / 64) as usize, 1_u64 << (place % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit != 0 {
            return Err(HistoryError::DuplicateSeq { op_id, seq });
        }
        self.bits[word] |= bit;
        Ok(())
    }

    /// The end of the history.
    ///
    /// # Errors
    /// Two events at one place far from the others, which are compared only now.
    pub fn finish(mut self) -> Result<(), HistoryError> {
        self.far.sort_unstable();
        for (seq, op_id) in &self.far {
            // A place that was too far out when it was met may have been in reach when it came again.
            let place = seq - self.base;
            let bit = self.bits.get((place / 64) as usize).is_some_and(|word| word >> (place % 64) & 1 == 1);
            if bit {
                return Err(HistoryError::DuplicateSeq { op_id: *op_id, seq: *seq });
            }
        }
        match self.far.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(HistoryError::DuplicateSeq { op_id: pair[1].1, seq: pair[1].0 }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Call, History, Operation};
    use proptest::prelude::*;

    fn operation((process, invoke_seq, length, outcome): (i64, u64, Option<u64>, u8), scale: u64) -> Operation {
        let outcome = [Outcome::Ok, Outcome::Fail, Outcome::Info][outcome as usize];
        Operation {
            op_id: 0,
            process,
            node: None,
            call: Call::Write { key: 0, value: 0 },
            invoke_seq: invoke_seq * scale,
            complete_seq: length.map(|length| (invoke_seq + length) * scale),
            invoke_ns: 0,
            complete_ns: None,
            outcome,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn they_are_those_of_a_history(
            ops in proptest::collection::vec((0..3_i64, 0..30_u64, proptest::option::weighted(0.9, 0..6_u64), 0..3_u8), 0..6),
            scale in prop_oneof![Just(1_u64), Just(1 << 40)],
        ) {
            let mut ops: Vec<Operation> = ops.into_iter().map(|op| operation(op, scale)).collect();
            ops.sort_by_key(|op| op.invoke_seq);
            let mut invariants = Invariants::default();
            let pushed = (0..).zip(&ops).try_for_each(|(op_id, op)| {
                invariants.push(op_id, op.process, op.invoke_seq, op.complete_seq, op.outcome)
            });
            let streamed = pushed.and_then(|()| invariants.finish());
            prop_assert_eq!(streamed.is_err(), History::new(ops).is_err(), "{:?}", streamed);
        }
    }
}
