//! What a synthetic history should look like, and what makes no sense.

use super::plant::{self, Plant};
use std::fmt;
use thiserror::Error;

/// The objects that clients work on, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Transactions of appends to lists and reads of them.
    ListAppend,
    /// Transactions of writes to registers and reads of them; written values are unique.
    RwRegister,
    /// Single registers: read, write, compare-and-set.
    Register,
    /// Sets: add, read of the whole.
    Set,
    /// Counters: add, read.
    Counter,
    /// First-in-first-out queues: enqueue, dequeue.
    Queue,
    /// Queues that give back any of their values.
    UnorderedQueue,
    /// Stacks: push, pop.
    Stack,
    /// Logs: send, poll, assign.
    Log,
    /// Accounts: transfer, read of all balances. The total is constant and no balance is negative.
    Bank,
    /// Locks with fencing tokens: acquire, release.
    Lock,
    /// Numbers that nobody gets twice.
    UniqueIds,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 12] = [
        Workload::ListAppend,
        Workload::RwRegister,
        Workload::Register,
        Workload::Set,
        Workload::Counter,
        Workload::Queue,
        Workload::UnorderedQueue,
        Workload::Stack,
        Workload::Log,
        Workload::Bank,
        Workload::Lock,
        Workload::UniqueIds,
    ];

    /// The word used in flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Workload::ListAppend => "list-append",
            Workload::RwRegister => "rw-register",
            Workload::Register => "register",
            Workload::Set => "set",
            Workload::Counter => "counter",
            Workload::Queue => "queue",
            Workload::UnorderedQueue => "unordered-queue",
            Workload::Stack => "stack",
            Workload::Log => "log",
            Workload::Bank => "bank",
            Workload::Lock => "lock",
            Workload::UniqueIds => "unique-ids",
        }
    }

    /// The workload with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// Whether it is made of transactions, so that a level other than strict-serializable means something.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        matches!(self, Workload::ListAppend | Workload::RwRegister)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the simulated store of transactions promises. The names are those of [`crate::consistency`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every transaction takes effect at one moment between invocation and completion.
    StrictSerializable,
    /// A serial order that keeps the order of each process, but not real time.
    StrongSessionSerializable,
    /// A serial order.
    Serializable,
    /// A serial order: without predicates this is the same as serializable.
    RepeatableRead,
    /// Snapshots taken after the invocation; of two concurrent writers of an object one gives way.
    StrongSnapshotIsolation,
    /// Snapshots no older than what the process has seen or done.
    StrongSessionSnapshotIsolation,
    /// Snapshots of any age.
    SnapshotIsolation,
    /// Two sites, each with its own order of commits, causal; of two concurrent writers of an object one gives way.
    ParallelSnapshotIsolation,
    /// Snapshots that keep sessions, without a rule for concurrent writers: updates are lost.
    Prefix,
    /// Two sites, causal, without a rule for concurrent writers.
    Causal,
    /// Transactions are seen as a whole or not at all, but in no causal order.
    ReadAtomic,
    /// Later statements of a transaction see newer snapshots.
    MonotonicAtomicView,
    /// Every read sees some committed state of its object.
    ReadCommitted,
    /// Reads see what is not committed, or never will be.
    ReadUncommitted,
}

impl Level {
    /// All of them, the strongest first.
    pub const ALL: [Level; 14] = [
        Level::StrictSerializable,
        Level::StrongSessionSerializable,
        Level::Serializable,
        Level::RepeatableRead,
        Level::StrongSnapshotIsolation,
        Level::StrongSessionSnapshotIsolation,
        Level::SnapshotIsolation,
        Level::ParallelSnapshotIsolation,
        Level::Prefix,
        Level::Causal,
        Level::ReadAtomic,
        Level::MonotonicAtomicView,
        Level::ReadCommitted,
        Level::ReadUncommitted,
    ];

    /// The name of the model that it keeps, as [`Model::parse`](crate::consistency::Model::parse) knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::StrictSerializable => "strict-serializable",
            Level::StrongSessionSerializable => "strong-session-serializable",
            Level::Serializable => "serializable",
            Level::RepeatableRead => "repeatable-read",
            Level::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Level::StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            Level::SnapshotIsolation => "snapshot-isolation",
            Level::ParallelSnapshotIsolation => "parallel-snapshot-isolation",
            Level::Prefix => "prefix",
            Level::Causal => "causal-cerone",
            Level::ReadAtomic => "read-atomic",
            Level::MonotonicAtomicView => "monotonic-atomic-view",
            Level::ReadCommitted => "read-committed",
            Level::ReadUncommitted => "read-uncommitted",
        }
    }

    /// The level with this name, whatever its case; `_` counts as `-`, and `causal` is [`Level::Causal`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let wanted = name.trim().to_ascii_lowercase().replace('_', "-");
        let wanted = match wanted.as_str() {
            "causal" => "causal-cerone",
            "strong-serializable" => "strict-serializable",
            other => other,
        };
        Self::ALL.into_iter().find(|level| level.name() == wanted)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each of the active keys is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyChoice {
    /// All alike.
    Uniform,
    /// Each `base` times as often as the one before. 2 is Jepsen's choice.
    Exponential {
        /// More than 1.
        base: f64,
    },
    /// The n-th in proportion to `1 / n^exponent`.
    Zipf {
        /// 0 or more.
        exponent: f64,
    },
    /// One key gets a share of everything, the others what is left.
    HotSpot {
        /// Between 0 and 1.
        share: f64,
    },
}

/// How long operations take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Mean, ns; without the long ones.
    pub mean_ns: u64,
    /// Whether all take the mean, or times are spread exponentially.
    pub spread: Spread,
    /// Share of operations that take `long_factor` times as long.
    pub long_share: f64,
    /// How much longer the long ones take.
    pub long_factor: u64,
}

/// How times are spread around their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Not at all.
    Constant,
    /// Evenly between nothing and twice the mean.
    Uniform,
    /// Exponentially: many short, few long.
    Exponential,
}

/// What a synthetic history should look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The objects, and how they are used.
    pub workload: Workload,
    /// What the store promises; for single objects only [`Level::StrictSerializable`], which is linearizability.
    pub level: Level,
    /// Operations in all, planted ones included.
    pub ops: u64,
    /// The same seed and the same other fields give the same history, on every machine.
    pub seed: u64,
    /// Clients at work at any time.
    pub concurrency: u32,
    /// Keys in use at any time: 1 to [`KEYS_MAX`].
    pub keys: u32,
    /// How often each key is chosen.
    pub key_choice: KeyChoice,
    /// Writes after which a key is replaced by a new one: at least 1.
    pub writes_per_key: u32,
    /// Micro-operations of a transaction, at least: 1 or more.
    pub txn_min: u32,
    /// Micro-operations of a transaction, at most.
    pub txn_max: u32,
    /// Share of reads among micro-operations, or among operations on single objects.
    pub read_share: f64,
    /// Share of operations that fail without having had any effect.
    pub fail_share: f64,
    /// Share of operations of which the client never learns the outcome; some took effect, some do so later, some never.
    pub info_share: f64,
    /// Share of transactions that make use of what the level lets them do; the others behave as if they were alone.
    pub weakness: f64,
    /// How many transactions old a state may be that a weak transaction reads: at least 1.
    pub lag: u32,
    /// Node names `n1`, `n2`, ... that clients are spread over; 0: none.
    pub nodes: u32,
    /// How long operations take.
    pub latency: Latency,
    /// Anomalies to plant.
    pub plants: Vec<Plant>,
}

/// Most keys that can be in use at a time.
pub const KEYS_MAX: u32 = 1 << 20;

/// Most clients that can be at work at a time.
pub const CONCURRENCY_MAX: u32 = 1 << 16;

impl Default for Spec {
    /// A strictly serializable history of 10 000 transactions over lists.
    fn default() -> Self {
        Self {
            workload: Workload::ListAppend,
            level: Level::StrictSerializable,
            ops: 10_000,
            seed: 0,
            concurrency: 20,
            keys: 10,
            key_choice: KeyChoice::Uniform,
            writes_per_key: 32,
            txn_min: 1,
            txn_max: 4,
            read_share: 0.5,
            fail_share: 0.01,
            info_share: 0.01,
            weakness: 0.25,
            lag: 16,
            nodes: 0,
            latency: Latency { mean_ns: 1_000_000, spread: Spread::Exponential, long_share: 0.0, long_factor: 100 },
            plants: Vec::new(),
        }
    }
}

/// A specification that makes no sense.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SpecError {
    /// A number is outside the range that it must be in.
    #[error("{field} is {value}, but must be {range}")]
    OutOfRange {
        /// Name of the field of [`Spec`].
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        range: String,
    },
    /// A level that the workload does not know.
    #[error("{workload} works on single objects: its histories are linearizable, not {level}")]
    Level {
        /// The workload.
        workload: Workload,
        /// The level that was asked for.
        level: Level,
    },
    /// An anomaly that the workload cannot show.
    #[error("cannot plant `{anomaly}` in {workload}; what can be planted: {}", known.join(", "))]
    UnknownAnomaly {
        /// The name as given.
        anomaly: String,
        /// The workload.
        workload: Workload,
        /// What can be planted in it.
        known: Vec<&'static str>,
    },
    /// A planted anomaly needs more operations than there are.
    #[error("`{anomaly}` over a distance of {distance} needs {needed} operations, but there are only {ops}")]
    TooShort {
        /// The anomaly.
        anomaly: String,
        /// How far apart its halves should be, in operations.
        distance: u64,
        /// Operations that are needed at least.
        needed: u64,
        /// Operations that were asked for.
        ops: u64,
    },
}

impl Spec {
    /// Looks at every field.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        let whole = |field, value: u32, low: u32, high: u32| in_range(field, value, low, high);
        whole("concurrency", self.concurrency, 1, CONCURRENCY_MAX)?;
        whole("keys", self.keys, if self.workload == Workload::Bank { 2 } else { 1 }, KEYS_MAX)?;
        whole("writes_per_key", self.writes_per_key, 1, 1 << 30)?;
        whole("txn_min", self.txn_min, 1, 1 << 16)?;
        whole("txn_max", self.txn_max, self.txn_min, 1 << 16)?;
        whole("lag", self.lag, 1, 1 << 20)?;
        in_range("ops", self.ops, 1, 1 << 40)?;
        in_range("latency.mean_ns", self.latency.mean_ns, 1, 1_000_000_000_000)?;
        in_range("latency.long_factor", self.latency.long_factor, 1, 1_000_000)?;
        let shares = [
            ("read_share", self.read_share),
            ("fail_share", self.fail_share),
            ("info_share", self.info_share),
            ("weakness", self.weakness),
            ("latency.long_share", self.latency.long_share),
        ];
        for (field, value) in shares {
            in_range(field, value, 0.0, 1.0)?;
        }
        match self.key_choice {
            KeyChoice::Uniform => {}
            KeyChoice::Exponential { base } => in_range("key_choice.base", base, 1.0, 1e6)?,
            KeyChoice::Zipf { exponent } => in_range("key_choice.exponent", exponent, 0.0, 100.0)?,
            KeyChoice::HotSpot { share } => in_range("key_choice.share", share, 0.0, 1.0)?,
        }
        if !self.workload.is_transactional() && self.level != Level::StrictSerializable {
            return Err(SpecError::Level { workload: self.workload, level: self.level });
        }
        plant::check(self)
    }
}

fn in_range<T: PartialOrd + fmt::Display + Copy>(
    field: &'static str,
    value: T,
    low: T,
    high: T,
) -> Result<(), SpecError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(SpecError::OutOfRange { field, value: value.to_string(), range: format!("from {low} to {high}") })
}
