//! Operations: what a process asked, what it was told, and when.
//!
//! Invariants of a [`History`]:
//! * operations are sorted by `invoke_seq`, and `op_id` is the index in that order;
//! * `invoke_seq` and `complete_seq` are drawn from one dense total order of recorded events, so that "A completed
//!   before B was invoked" is `a.complete_seq < b.invoke_seq` (an `info` has no completion that counts: it is
//!   concurrent with everything after it, for ever);
//! * a process has at most one operation in flight, and none after an `info`.

use crate::names::Names;
use std::sync::Arc;
use thiserror::Error;

/// How an operation ended, in Jepsen's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It took effect, and the result is known.
    Ok,
    /// It certainly did not take effect.
    Fail,
    /// Nobody knows: it may take effect at any time after its invocation, or never.
    Info,
}

impl Outcome {
    /// The word used in columns, flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        }
    }

    /// The outcome with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ok" => Some(Outcome::Ok),
            "fail" => Some(Outcome::Fail),
            "info" => Some(Outcome::Info),
            _ => None,
        }
    }
}

/// One record of a log, as a poll saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogRecord {
    /// Key of the log (a topic and its partition).
    pub key: i64,
    /// Its place in the log; `None`: the system did not say.
    pub offset: Option<i64>,
    /// What was sent; `None`: nil.
    pub value: Option<i64>,
}

/// One micro-operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mop {
    /// Append `value` to the list at `key`. Values are unique per key.
    Append {
        /// Key of the list.
        key: i64,
        /// The element.
        value: i64,
    },
    /// Read the list at `key`. `None`: the result is not known (not yet, or the transaction did not complete `ok`).
    ReadList {
        /// Key of the list.
        key: i64,
        /// The elements, oldest first.
        list: Option<Vec<i64>>,
    },
    /// Write `value` to the register at `key`.
    Write {
        /// Key of the register.
        key: i64,
        /// The value.
        value: i64,
    },
    /// Read the register at `key`. Outer `None`: not known; `Some(None)`: the register was never written.
    Read {
        /// Key of the register.
        key: i64,
        /// The value seen.
        value: Option<Option<i64>>,
    },
    /// Send `value` to the log at `key`.
    Send {
        /// Key of the log.
        key: i64,
        /// The value.
        value: i64,
        /// Where it was put; `None`: not known.
        offset: Option<i64>,
    },
    /// Poll the logs that the process is assigned or subscribed to. `None`: the result is not known.
    Poll {
        /// The records, those of one key next to each other and in the order in which they were seen.
        records: Option<Vec<LogRecord>>,
    },
    /// Insert `value` at `key`, which predicates may then match.
    Insert {
        /// Key of the object.
        key: i64,
        /// The value.
        value: i64,
    },
    /// Delete what is at `key`.
    Delete {
        /// Key of the object.
        key: i64,
    },
    /// Read every object that matches a predicate. `None`: the result is not known.
    ReadPredicate {
        /// Name of the predicate: see [`Names`](crate::Names).
        predicate: i64,
        /// The objects that matched, key and value.
        matched: Option<Vec<(i64, i64)>>,
    },
}

impl Mop {
    /// The key it touches; `None` where it is not one key.
    #[must_use]
    pub fn key(&self) -> Option<i64> {
        match *self {
            Mop::Append { key, .. }
            | Mop::ReadList { key, .. }
            | Mop::Write { key, .. }
            | Mop::Read { key, .. }
            | Mop::Send { key, .. }
            | Mop::Insert { key, .. }
            | Mop::Delete { key } => Some(key),
            Mop::Poll { .. } | Mop::ReadPredicate { .. } => None,
        }
    }
}

/// What a client asks, and, once completed, what it was told: Jepsen's `:f` and `:value` in one typed value.
///
/// An invocation carries unknown reads; the completion is the same call with the reads filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Read the register at `key`. Outer `None`: not known; `Some(None)`: never written.
    Read {
        /// Key of the register.
        key: i64,
        /// The value seen.
        value: Option<Option<i64>>,
    },
    /// Write `value` to the register at `key`.
    Write {
        /// Key of the register.
        key: i64,
        /// The value.
        value: i64,
    },
    /// If the register at `key` holds `expected`, make it `value`; `ok` if it did, `fail` if it did not hold it.
    Cas {
        /// Key of the register.
        key: i64,
        /// The value that must be there.
        expected: i64,
        /// The value to put there.
        value: i64,
    },
    /// A transaction.
    Txn(Vec<Mop>),
    /// Add `value` to the set or to the counter at `key`.
    Add {
        /// Key of the set or counter.
        key: i64,
        /// The element, or the difference.
        value: i64,
    },
    /// Read the whole set at `key`. `None`: the result is not known.
    ReadSet {
        /// Key of the set.
        key: i64,
        /// The elements in the order in which they were told; one may stand more than once.
        elements: Option<Vec<i64>>,
    },
    /// Append the text `value` to the text at `key`. Texts are [`Names`](crate::Names).
    Append {
        /// Key of the text.
        key: i64,
        /// What is appended.
        value: i64,
    },
    /// Put `value` into the queue at `key`.
    Enqueue {
        /// Key of the queue.
        key: i64,
        /// The value.
        value: i64,
    },
    /// Take a value out of the queue at `key`. Outer `None`: not known; `Some(None)`: the queue was empty.
    Dequeue {
        /// Key of the queue.
        key: i64,
        /// The value taken.
        value: Option<Option<i64>>,
    },
    /// Take everything out of the queue at `key`. `None`: the result is not known.
    Drain {
        /// Key of the queue.
        key: i64,
        /// The values in the order in which they were taken.
        elements: Option<Vec<i64>>,
    },
    /// Put `value` on the stack at `key`.
    Push {
        /// Key of the stack.
        key: i64,
        /// The value.
        value: i64,
    },
    /// Take the top value off the stack at `key`. Outer `None`: not known; `Some(None)`: the stack was empty.
    Pop {
        /// Key of the stack.
        key: i64,
        /// The value taken.
        value: Option<Option<i64>>,
    },
    /// Take the lock, or one of the permits, at `key`.
    Acquire {
        /// Key of the lock.
        key: i64,
        /// The fencing token that was given, if any.
        value: Option<i64>,
    },
    /// Give the lock, or one of the permits, at `key` back.
    Release {
        /// Key of the lock.
        key: i64,
        /// The fencing token that was shown, if any.
        value: Option<i64>,
    },
    /// Ask for a number that nobody else gets. `None`: the result is not known.
    Generate {
        /// Key of the generator.
        key: i64,
        /// The number.
        value: Option<i64>,
    },
    /// Move `amount` from one account to another.
    Transfer {
        /// Account that pays.
        from: i64,
        /// Account that is paid.
        to: i64,
        /// How much.
        amount: i64,
    },
    /// Read all accounts. `None`: the result is not known.
    ReadBalances {
        /// Account and balance; a balance of `None` is nil.
        balances: Option<Vec<(i64, Option<i64>)>>,
    },
    /// Follow these logs from now on, in a group with others.
    Subscribe {
        /// Keys of the logs.
        keys: Vec<i64>,
    },
    /// Follow these logs from now on, alone.
    Assign {
        /// Keys of the logs.
        keys: Vec<i64>,
    },
    /// Something that no checker here understands, kept as it was written.
    Other(Box<OtherCall>),
}

/// A call that no checker understands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherCall {
    /// The function.
    pub f: Arc<str>,
    /// Its value as EDN text; `None`: nil.
    pub value: Option<Arc<str>>,
}

impl Call {
    /// The field's word for it: `read`, `write`, `cas`, `txn`, `add`, `enqueue` and so on. All kinds of reads are `read`.
    #[must_use]
    pub fn f(&self) -> &str {
        match self {
            Call::Read { .. } | Call::ReadSet { .. } | Call::ReadBalances { .. } => "read",
            Call::Write { .. } => "write",
            Call::Cas { .. } => "cas",
            Call::Txn(_) => "txn",
            Call::Add { .. } => "add",
            Call::Append { .. } => "append",
            Call::Enqueue { .. } => "enqueue",
            Call::Dequeue { .. } => "dequeue",
            Call::Drain { .. } => "drain",
            Call::Push { .. } => "push",
            Call::Pop { .. } => "pop",
            Call::Acquire { .. } => "acquire",
            Call::Release { .. } => "release",
            Call::Generate { .. } => "generate",
            Call::Transfer { .. } => "transfer",
            Call::Subscribe { .. } => "subscribe",
            Call::Assign { .. } => "assign",
            Call::Other(other) => &other.f,
        }
    }

    /// The key of a call on a single object; `None` for the others.
    #[must_use]
    pub fn key(&self) -> Option<i64> {
        match *self {
            Call::Read { key, .. }
            | Call::Write { key, .. }
            | Call::Cas { key, .. }
            | Call::Add { key, .. }
            | Call::ReadSet { key, .. }
            | Call::Append { key, .. }
            | Call::Enqueue { key, .. }
            | Call::Dequeue { key, .. }
            | Call::Drain { key, .. }
            | Call::Push { key, .. }
            | Call::Pop { key, .. }
            | Call::Acquire { key, .. }
            | Call::Release { key, .. }
            | Call::Generate { key, .. } => Some(key),
            Call::Txn(_)
            | Call::Transfer { .. }
            | Call::ReadBalances { .. }
            | Call::Subscribe { .. }
            | Call::Assign { .. }
            | Call::Other(_) => None,
        }
    }
}

/// One operation: invocation and completion in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Dense number in order of invocation.
    pub op_id: u64,
    /// Logical process; retired for good after an `info`.
    pub process: i64,
    /// Node the client talked to.
    pub node: Option<Arc<str>>,
    /// What was asked and told. Reads of an operation that is not `ok` are unknown.
    pub call: Call,
    /// Place of the invocation in the total order of recorded events (Jepsen's `:index`).
    pub invoke_seq: u64,
    /// Place of the completion; `None` when none was recorded (crash, end of run).
    pub complete_seq: Option<u64>,
    /// CLOCK_MONOTONIC at invocation, ns.
    pub invoke_ns: i64,
    /// CLOCK_MONOTONIC at completion, ns.
    pub complete_ns: Option<i64>,
    /// How it ended. An invocation without completion is [`Outcome::Info`].
    pub outcome: Outcome,
    /// Short machine-readable cause of a `fail` or `info`, such as `timeout`.
    pub error_code: Option<Arc<str>>,
    /// The error in words.
    pub error_text: Option<Arc<str>>,
    /// Kernel cookie (SO_COOKIE) of the socket that carried it: joins to `connections`.
    pub conn_cookie: Option<u64>,
}

impl Operation {
    /// Place in the total order from which on it cannot take effect any more; `u64::MAX` for an `info`.
    #[must_use]
    pub fn end_seq(&self) -> u64 {
        match self.outcome {
            Outcome::Info => u64::MAX,
            Outcome::Ok | Outcome::Fail => self.complete_seq.unwrap_or(u64::MAX),
        }
    }
}

/// A history: operations in order of invocation, with the invariants of this module checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    ops: Vec<Operation>,
    origin_ns: i64,
    names: Arc<Names>,
    sessions_only: bool,
}

/// A history that breaks an invariant of this module.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// Two events share a place in the total order.
    #[error("operation {op_id}: sequence number {seq} occurs twice")]
    DuplicateSeq {
        /// Operation at fault.
        op_id: u64,
        /// The number.
        seq: u64,
    },
    /// An operation completes before it is invoked.
    #[error("operation {op_id}: completed at {complete_seq}, before its invocation at {invoke_seq}")]
    CompletedBeforeInvoked {
        /// Operation at fault.
        op_id: u64,
        /// Its invocation.
        invoke_seq: u64,
        /// Its completion.
        complete_seq: u64,
    },
    /// A process has two operations in flight, or goes on after an `info`.
    #[error("process {process}: operation {op_id} was invoked while operation {earlier} was still open")]
    ProcessOverlap {
        /// The process.
        process: i64,
        /// Operation at fault.
        op_id: u64,
        /// The one still open.
        earlier: u64,
    },
    /// An `ok` or `fail` operation without completion.
    #[error("operation {op_id}: outcome {outcome} but no completion", outcome = outcome.name())]
    MissingCompletion {
        /// Operation at fault.
        op_id: u64,
        /// Its outcome.
        outcome: Outcome,
    },
}

impl History {
    /// Sorts by invocation, numbers the operations, and checks every invariant of the module. O(n log n).
    ///
    /// # Errors
    /// The first invariant that is broken, in order of invocation.
    pub fn new(mut ops: Vec<Operation>) -> Result<Self, HistoryError> {
        ops.sort_by_key(|op| op.invoke_seq);
        for (index, op) in ops.iter_mut().enumerate() {
            op.op_id = index as u64;
        }
        check_sequence_numbers(&ops)?;
        check_processes(&ops)?;
        let origin_ns = ops.first().map_or(0, |op| op.invoke_ns);
        Ok(Self { ops, origin_ns, ..Self::default() })
    }

    /// Some of the operations of a history that is too large to be held whole: sorted by invocation, with the `op_id`s that they
    /// have. The invariants are checked among them; those of the whole are for the caller to see to, see
    /// [`Invariants`](crate::invariants::Invariants). O(n log n).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn part(mut ops: Vec<Operation>, known: crate::Known) -> Result<Self, HistoryError> {
        ops.sort_by_key(|op| op.invoke_seq);
        check_sequence_numbers(&ops)?;
        check_processes(&ops)?;
        let crate::Known { real_time_order, origin_ns, names } = known;
        Ok(Self { ops, origin_ns, names, sessions_only: !real_time_order })
    }

    /// The same history, with the times in its explanations counted from `origin_ns` (CLOCK_MONOTONIC), such as the
    /// start of its run.
    #[must_use]
    pub fn with_origin(self, origin_ns: i64) -> Self {
        Self { origin_ns, ..self }
    }

    /// The same history, and whether the order of its events is that of real time. Otherwise only the order within each
    /// process is known, and checkers do not rely on more.
    #[must_use]
    pub fn with_real_time_order(self, known: bool) -> Self {
        Self { sessions_only: !known, ..self }
    }

    /// Whether the order of its events is that of real time: what completed before another operation was invoked
    /// happened before it. True unless [`with_real_time_order`](Self::with_real_time_order) said otherwise.
    #[must_use]
    pub fn has_real_time_order(&self) -> bool {
        !self.sessions_only
    }

    /// The same history, with what its integers stand for.
    #[must_use]
    pub fn with_names(self, names: Arc<Names>) -> Self {
        Self { names, ..self }
    }

    /// What its integers stand for.
    #[must_use]
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Zero of the times in explanations, CLOCK_MONOTONIC ns: the first invocation, unless something else was named.
    #[must_use]
    pub fn origin_ns(&self) -> i64 {
        self.origin_ns
    }

    /// The operations, in order of invocation.
    #[must_use]
    pub fn ops(&self) -> &[Operation] {
        &self.ops
    }

    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The operations that `keep` accepts, as a history of its own with the `op_id`s, the origin, the names and the
    /// order of this one.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Operation) -> bool) -> Self {
        self.with_only(self.ops.iter().filter(|op| keep(op)).cloned().collect())
    }

    /// These operations, some of its own in their order, as [`only`](Self::only) would keep them. Their calls may have
    /// lost micro-operations.
    pub(crate) fn with_only(&self, ops: Vec<Operation>) -> Self {
        Self { ops, origin_ns: self.origin_ns, names: self.names.clone(), sessions_only: self.sessions_only }
    }
}

fn check_sequence_numbers(ops: &[Operation]) -> Result<(), HistoryError> {
    let mut seqs: Vec<(u64, u64)> = Vec::with_capacity(ops.len() * 2);
    for op in ops {
        seqs.push((op.invoke_seq, op.op_id));
        match op.complete_seq {
            Some(complete_seq) if complete_seq <= op.invoke_seq => {
                let (op_id, invoke_seq) = (op.op_id, op.invoke_seq);
                return Err(HistoryError::CompletedBeforeInvoked { op_id, invoke_seq, complete_seq });
            }
            Some(complete_seq) => seqs.push((complete_seq, op.op_id)),
            None if op.outcome != Outcome::Info => {
                return Err(HistoryError::MissingCompletion { op_id: op.op_id, outcome: op.outcome });
            }
            None => {}
        }
    }
    seqs.sort_unstable();
    match seqs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(HistoryError::DuplicateSeq { op_id: pair[1].1, seq: pair[1].0 }),
        None => Ok(()),
    }
}

fn check_processes(ops: &[Operation]) -> Result<(), HistoryError> {
    let mut open: rustc_hash::FxHashMap<i64, (u64, u64)> = rustc_hash::FxHashMap::default();
    for op in ops {
        if let Some((earlier, end_seq)) = open.insert(op.process, (op.op_id, op.end_seq()))
            && end_seq > op.invoke_seq
        {
            return Err(HistoryError::ProcessOverlap { process: op.process, op_id: op.op_id, earlier });
        }
    }
    Ok(())
}
