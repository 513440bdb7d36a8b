//! Transactions as they come in, from wherever a history lies: nothing of them has to be in memory twice.

use crate::names::Names;
use crate::op::{Call, Mop, Operation, Outcome};
use crate::transactions::txns::TXNS_MAX;
use crate::verdict::Reason;
use std::sync::Arc;

/// One micro-operation, borrowed from wherever the history lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MopRef<'a> {
    /// Append `value` to the list at `key`.
    Append {
        /// Key of the list.
        key: i64,
        /// The element.
        value: i64,
    },
    /// Read the list at `key`. `None`: the result is not known.
    ReadList {
        /// Key of the list.
        key: i64,
        /// The elements, oldest first.
        list: Option<&'a [i64]>,
    },
    /// Write `value` to the register at `key`.
    Write {
        /// Key of the register.
        key: i64,
        /// The value.
        value: i64,
    },
    /// Read the register at `key`. Outer `None`: not known; `Some(None)`: it was never written.
    Read {
        /// Key of the register.
        key: i64,
        /// The value seen.
        value: Option<Option<i64>>,
    },
    /// Anything else, which makes the operation none of the checkers of lists and registers.
    Foreign,
}

impl<'a> From<&'a Mop> for MopRef<'a> {
    fn from(mop: &'a Mop) -> Self {
        match mop {
            Mop::Append { key, value } => MopRef::Append { key: *key, value: *value },
            Mop::ReadList { key, list } => MopRef::ReadList { key: *key, list: list.as_deref() },
            Mop::Write { key, value } => MopRef::Write { key: *key, value: *value },
            Mop::Read { key, value } => MopRef::Read { key: *key, value: *value },
            _ => MopRef::Foreign,
        }
    }
}

impl MopRef<'_> {
    /// The key it touches.
    #[must_use]
    pub fn key(&self) -> Option<i64> {
        match self {
            MopRef::Append { key, .. }
            | MopRef::ReadList { key, .. }
            | MopRef::Write { key, .. }
            | MopRef::Read { key, .. } => Some(*key),
            MopRef::Foreign => None,
        }
    }

    /// Whether it is about a list.
    #[must_use]
    pub fn is_of_list(&self) -> bool {
        matches!(self, MopRef::Append { .. } | MopRef::ReadList { .. })
    }

    /// Whether it is about a register.
    #[must_use]
    pub fn is_of_register(&self) -> bool {
        matches!(self, MopRef::Write { .. } | MopRef::Read { .. })
    }
}

/// What is known of a transaction besides its micro-operations: as in [`Operation`].
#[derive(Clone, Copy, Debug)]
pub struct TxnRow {
    /// Number of the operation.
    pub op_id: u64,
    /// Logical process.
    pub process: i64,
    /// Place of the invocation in the order of events.
    pub invoke_seq: u64,
    /// Place of the completion, if there is one.
    pub complete_seq: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

impl From<&Operation> for TxnRow {
    fn from(op: &Operation) -> Self {
        Self {
            op_id: op.op_id,
            process: op.process,
            invoke_seq: op.invoke_seq,
            complete_seq: op.complete_seq,
            outcome: op.outcome,
        }
    }
}

/// What is known of a history besides its operations.
#[derive(Clone, Debug)]
pub struct Known {
    /// As [`crate::History::has_real_time_order`].
    pub real_time_order: bool,
    /// Zero of the times in explanations, CLOCK_MONOTONIC ns.
    pub origin_ns: i64,
    /// What the integers stand for.
    pub names: Arc<Names>,
}

impl Known {
    /// Of a history in memory.
    pub(crate) fn of(history: &crate::History) -> Self {
        Self {
            real_time_order: history.has_real_time_order(),
            origin_ns: history.origin_ns(),
            names: history.names().clone(),
        }
    }
}

/// Operations with these numbers, out of a history in memory.
pub(crate) fn fetch_from(ops: &[Operation], op_ids: &[u64]) -> Vec<Operation> {
    let place = |op_id: &u64| ops.binary_search_by_key(op_id, |op| op.op_id).ok();
    op_ids.iter().filter_map(place).map(|place| ops[place].clone()).collect()
}

/// Gives every operation of a history in memory: transactions with their micro-operations, others without.
pub(crate) fn each_of(ops: &[Operation], mut each: impl FnMut(TxnRow, Option<&[MopRef<'_>]>)) {
    let mut mops: Vec<MopRef<'_>> = Vec::new();
    for op in ops {
        match &op.call {
            Call::Txn(of_op) => {
                mops.clear();
                mops.extend(of_op.iter().map(MopRef::from));
                each(op.into(), Some(&mops));
            }
            _ => each(op.into(), None),
        }
    }
}

/// Operations that came in, and those among them that the checker is not about.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// All of them, also those beyond the most that fit.
    pub(crate) ops: u64,
    foreign: u64,
    /// The first of those.
    foreign_op_ids: Vec<u64>,
}

impl Arrivals {
    /// Counts an operation that the checker is not about.
    pub(crate) fn push_foreign(&mut self, op_id: u64) {
        self.ops += 1;
        self.foreign += 1;
        if self.foreign_op_ids.len() < 5 {
            self.foreign_op_ids.push(op_id);
        }
    }

    /// Why nothing can be said about the history, if so. `wanted`: what its operations had to be.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub(crate) fn refuse<E>(
        &self,
        wanted: &str,
        fetch: &mut impl FnMut(&[u64]) -> Result<Vec<Operation>, E>,
    ) -> Result<Option<Reason>, E> {
        if self.ops == 0 {
            return Ok(Some(Reason::new("NOTHING_CHECKED", "the history holds no operation")));
        }
        if self.ops > TXNS_MAX as u64 {
            let text = format!("{} operations, more than the {TXNS_MAX} that fit one check", self.ops);
            return Ok(Some(Reason::new("TOO_LARGE", text)));
        }
        let Some(first) = self.foreign_op_ids.first() else { return Ok(None) };
        let first = fetch(&[*first])?.first().map(|op| op.call.f().to_owned()).unwrap_or_default();
        let listed: Vec<String> = self.foreign_op_ids.iter().map(u64::to_string).collect();
        let more = self.foreign - self.foreign_op_ids.len() as u64;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!(
            "{} of {} operations are no transactions of {wanted}: operation {}{more}; the first is a `{first}`",
            self.foreign,
            self.ops,
            listed.join(", "),
        );
        Ok(Some(Reason::new("WRONG_WORKLOAD", text)))
    }
}

/// Values that were given to a key twice, in words. Cases: (key, value, first, second), by number of transaction.
pub(crate) fn duplicates(
    code: &str,
    given: &str,
    mut cases: Vec<(i64, i64, u32, u32)>,
    op_id: impl Fn(u32) -> u64,
) -> Reason {
    cases.sort_unstable();
    let case = |(key, value, first, second): &(i64, i64, u32, u32)| {
        format!("{value} to key {key} by operations {} and {}", op_id(*first), op_id(*second))
    };
    let told: Vec<String> = cases.iter().take(5).map(case).collect();
    let more = cases.len() - told.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let told = told.join("; ");
    Reason::new(code, format!("the same value was {given} a key twice: {told}{more}; who wrote it cannot be told"))
}
