//! What is known of each transaction besides its micro-operations, in columns.
//!
//! Thirteen bytes a transaction, and eight more for its `op_id` where these have gaps. Moments are places in the order
//! of events, counted without large gaps, so that they fit 32 bits: only their order means anything.

use super::rows::TxnRow;
use crate::op::{Call, Operation, Outcome};
use crate::processes::Processes;

/// "No such transaction, rank, node or moment" wherever a `u32` names one.
pub(crate) const NONE: u32 = u32::MAX;

/// The most transactions that fit the numbering (positions and records take bits beside the number).
pub(crate) const TXNS_MAX: usize = 1 << 29;

/// The columns; a transaction is its place in them, in order of invocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Txns {
    /// Number of the process.
    process: Vec<u32>,
    processes: Vec<i64>,
    times: Vec<Times>,
    outcome: Vec<Outcome>,
    op_ids: OpIds,
}

/// When a transaction began, and when it was over: side by side, since most that ask for one ask for the other.
#[derive(Clone, Copy, Debug)]
struct Times {
    invoke: u32,
    /// Completion of `ok` and `fail`. For `info`: the first completion by which its effect had been seen; `NONE`
    /// until then.
    moment: u32,
}

/// `op_id`s of the transactions.
#[derive(Clone, Debug)]
enum OpIds {
    /// `first + place`.
    Dense {
        first: u64,
    },
    Listed(Vec<u64>),
}

impl Default for OpIds {
    fn default() -> Self {
        OpIds::Dense { first: 0 }
    }
}

impl Txns {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// How it ended.
    pub(crate) fn outcome(&self, txn: u32) -> Outcome {
        self.outcome[txn as usize]
    }

    /// Whether it may be part of the final history.
    pub(crate) fn is_possible(&self, txn: u32) -> bool {
        self.outcome(txn) != Outcome::Fail
    }

    /// Its process.
    pub(crate) fn process(&self, txn: u32) -> i64 {
        self.processes[self.process[txn as usize] as usize]
    }

    /// Its process, as a number counted from 0.
    pub(crate) fn process_number(&self, txn: u32) -> u32 {
        self.process[txn as usize]
    }

    /// How many processes there are.
    pub(crate) fn processes(&self) -> usize {
        self.processes.len()
    }

    /// Moment of its invocation.
    #[inline]
    pub(crate) fn invoke(&self, txn: u32) -> u32 {
        self.times[txn as usize].invoke
    }

    /// Moment from which on it cannot take effect any more; `NONE` for `info`.
    pub(crate) fn end(&self, txn: u32) -> u32 {
        if self.outcome(txn) == Outcome::Info { NONE } else { self.times[txn as usize].moment }
    }

    /// Whether `earlier` completed `ok` before `later` was invoked.
    pub(crate) fn precedes(&self, earlier: u32, later: u32) -> bool {
        self.outcome(earlier) == Outcome::Ok && self.times[earlier as usize].moment < self.invoke(later)
    }

    /// Where it stands on the line: at its completion, an `info` at the first completion by which its effect had been
    /// seen, never before its invocation. Even numbers are `info`, odd ones `ok`.
    pub(crate) fn position(&self, txn: u32) -> u32 {
        let moment = self.times[txn as usize].moment;
        match self.outcome(txn) {
            // One below `NONE`, so that every position is a number that can be doubled.
            Outcome::Info if moment == NONE => (NONE >> 1) * 2,
            Outcome::Info => moment.max(self.invoke(txn)) * 2,
            _ => moment * 2 + 1,
        }
    }

    /// One past the last moment of any event.
    pub(crate) fn moments(&self) -> u32 {
        let moments = self.times.iter().flat_map(|times| [times.invoke, times.moment]);
        moments.filter(|moment| *moment != NONE).max().map_or(0, |last| last + 1)
    }

    /// Tells that the effect of an `info` was seen by `moment`.
    pub(crate) fn note_seen(&mut self, txn: u32, moment: u32) {
        debug_assert_eq!(self.outcome(txn), Outcome::Info);
        let slot = &mut self.times[txn as usize].moment;
        *slot = (*slot).min(moment);
    }

    /// Whether [`Txns::note_seen`] would say anything new.
    pub(crate) fn is_news(&self, txn: u32, moment: u32) -> bool {
        moment < self.times[txn as usize].moment
    }

    /// Its `op_id` in the history.
    pub(crate) fn op_id(&self, txn: u32) -> u64 {
        match &self.op_ids {
            OpIds::Dense { first } => first + u64::from(txn),
            OpIds::Listed(ids) => ids[txn as usize],
        }
    }

    /// What the columns alone tell of a transaction, without its micro-operations.
    pub(crate) fn bare_operation(&self, txn: u32) -> Operation {
        let end = Some(self.end(txn)).filter(|end| *end != NONE).map(u64::from);
        Operation {
            op_id: self.op_id(txn),
            process: self.process(txn),
            node: None,
            call: Call::Txn(Vec::new()),
            invoke_seq: u64::from(self.invoke(txn)),
            complete_seq: end,
            invoke_ns: 0,
            complete_ns: None,
            outcome: self.outcome(txn),
            error_code: None,
            error_text: None,
            conn_cookie: None,
        }
    }

    /// How many ended this way.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.outcome.iter().filter(|one| **one == outcome).count()
    }
}

/// Makes the columns, one transaction after the other.
#[derive(Debug, Default)]
pub(crate) struct TxnsBuilder {
    txns: Txns,
    /// The events as they came, where they do not fit 32 bits: (invocations, completions).
    wide: Option<(Vec<u64>, Vec<u64>)>,
    base: u64,
    last: u64,
    numbers: Processes,
}

impl TxnsBuilder {
    /// The next transaction in order of invocation.
    pub(crate) fn push(&mut self, row: TxnRow) {
        let TxnRow { op_id, process, invoke_seq, complete_seq, outcome } = row;
        let place = self.txns.len() as u64;
        if place == 0 {
            self.base = invoke_seq;
            self.txns.op_ids = OpIds::Dense { first: op_id };
        }
        match &mut self.txns.op_ids {
            OpIds::Dense { first } if *first + place == op_id => {}
            OpIds::Dense { first } => {
                let first = *first;
                let mut ids: Vec<u64> = (first..first + place).collect();
                ids.push(op_id);
                self.txns.op_ids = OpIds::Listed(ids);
            }
            OpIds::Listed(ids) => ids.push(op_id),
        }
        let complete = if outcome == Outcome::Info { None } else { complete_seq };
        let number = self.numbers.number(process);
        if number as usize == self.txns.processes.len() {
            self.txns.processes.push(process);
        }
        self.txns.process.push(number);
        self.txns.outcome.push(outcome);
        self.last = self.last.max(invoke_seq).max(complete.unwrap_or(0));
        if self.wide.is_none() && self.last - self.base >= u64::from(NONE >> 2) {
            self.widen();
        }
        if let Some((invokes, completes)) = &mut self.wide {
            invokes.push(invoke_seq);
            completes.push(complete.unwrap_or(u64::MAX));
            self.txns.times.push(Times { invoke: 0, moment: NONE });
        } else {
            let moment = |seq: u64| (seq - self.base) as u32;
            self.txns.times.push(Times { invoke: moment(invoke_seq), moment: complete.map_or(NONE, moment) });
        }
    }

    fn widen(&mut self) {
        let base = self.base;
        let wide = |moment: u32| if moment == NONE { u64::MAX } else { base + u64::from(moment) };
        self.wide = Some(self.txns.times.iter().map(|times| (wide(times.invoke), wide(times.moment))).unzip());
    }

    /// How many there are so far.
    pub(crate) fn len(&self) -> usize {
        self.txns.len()
    }

    /// The columns. Moments with large gaps are counted anew.
    pub(crate) fn finish(mut self) -> Txns {
        let sparse = self.last.saturating_sub(self.base) > self.txns.len() as u64 * 8 + 1024;
        if sparse && self.wide.is_none() {
            self.widen();
        }
        if let Some((invokes, completes)) = self.wide {
            let mut events: Vec<u64> =
                invokes.iter().chain(&completes).copied().filter(|seq| *seq != u64::MAX).collect();
            events.sort_unstable();
            events.dedup();
            let place = |seq: &u64| events.binary_search(seq).map_or(NONE, |place| place as u32);
            let times = invokes.iter().map(place).zip(completes.iter().map(place));
            self.txns.times = times.map(|(invoke, moment)| Times { invoke, moment }).collect();
        }
        self.txns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(op_id: u64, process: i64, invoke_seq: u64, complete_seq: Option<u64>, outcome: Outcome) -> TxnRow {
        TxnRow { op_id, process, invoke_seq, complete_seq, outcome }
    }

    #[test]
    fn moments_keep_their_order_whatever_the_gaps() {
        for step in [1_u64, 3, 1 << 20, 1 << 40] {
            let mut builder = TxnsBuilder::default();
            builder.push(row(7, 0, 5 * step, Some(8 * step), Outcome::Ok));
            builder.push(row(8, 1, 6 * step, None, Outcome::Info));
            builder.push(row(11, 0, 9 * step, Some(10 * step), Outcome::Fail));
            let mut txns = builder.finish();
            assert!(txns.precedes(0, 2) && !txns.precedes(0, 1) && !txns.precedes(1, 2), "step {step}");
            assert_eq!([0, 1, 2].map(|txn| txns.op_id(txn)), [7, 8, 11]);
            assert!(txns.position(1) > txns.position(2), "an info that nobody saw stands last");
            txns.note_seen(1, txns.end(0));
            assert!(txns.position(1) < txns.position(0), "an info stands just before who saw it");
            assert_eq!(txns.end(1), NONE);
        }
    }
}
