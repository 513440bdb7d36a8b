//! Anomalies as data, with the sentences that explain them.
//!
//! A checker returns a [`CheckResult`]; a report prints it and computes nothing. Findings name operations by `op_id`,
//! so that a report can put the operations, the packets and the faults beside them.

use crate::consistency::Model;
use crate::verdict::{Reason, Validity, Verdict};
use std::collections::BTreeSet;

/// Why one transaction must precede another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// The second overwrote (appended after) what the first wrote.
    Ww,
    /// The second read what the first wrote.
    Wr,
    /// The first read a version that the second replaced.
    Rw,
    /// What the second read by predicate was changed by the first.
    Wrp,
    /// What the first read by predicate was changed by the second.
    Rwp,
    /// The same process did one after the other.
    Process,
    /// The first completed before the second was invoked.
    Realtime,
}

impl EdgeKind {
    /// The word used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EdgeKind::Ww => "ww",
            EdgeKind::Wr => "wr",
            EdgeKind::Rw => "rw",
            EdgeKind::Wrp => "wrp",
            EdgeKind::Rwp => "rwp",
            EdgeKind::Process => "process",
            EdgeKind::Realtime => "realtime",
        }
    }
}

/// One step of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// `op_id` that must come first.
    pub from: u64,
    /// `op_id` that must come second.
    pub to: u64,
    /// Kind of dependency.
    pub kind: EdgeKind,
    /// Key over which they meet, if any.
    pub key: Option<i64>,
    /// The version of the key that the first wrote or read, if any.
    pub value: Option<i64>,
    /// The version of the key that the second wrote or read, if any.
    pub value_next: Option<i64>,
}

/// One anomaly, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name within the run, such as `L-0` (linearizability) or `G1c-0`.
    pub id: String,
    /// Checker that found it, such as `linearizable-register` or `list-append`.
    pub checker: String,
    /// Name of the anomaly in the field's words: `nonlinearizable`, `G-single-realtime`, `G1a`, `lost-update`, …
    pub anomaly: String,
    /// One line for a person: what happened, with the key and the values.
    pub summary: String,
    /// The contradiction, sentence by sentence, in Elle's manner (`Let: T1 = …`, `T1 < T2, because …`).
    pub explanation: Vec<String>,
    /// The operations involved, in the order in which the explanation names them.
    pub ops: Vec<u64>,
    /// Key it is about, if it is about one.
    pub key: Option<i64>,
    /// The cycle, for cycle anomalies; else empty.
    pub cycle: Vec<Edge>,
}

/// The answer at one level of isolation, whichever model was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelVerdict {
    /// The level.
    pub model: Model,
    /// Whether the history keeps it.
    pub validity: Validity,
    /// [`Finding::id`] of an anomaly that the level proscribes, where it fails and such a finding was told.
    pub witness: Option<String>,
    /// Where the level holds, what was assumed, in sentences; where it is unknown, why; else empty.
    pub assumed: Vec<String>,
}

impl LevelVerdict {
    /// The level's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.model.name()
    }
}

/// What one checker says about one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// Name of the checker: `linearizable-register`, `list-append`.
    pub checker: String,
    /// Consistency model that was asked for, such as `linearizable` or `strict-serializable`.
    pub model: String,
    /// The answer, with its doubts.
    pub verdict: Verdict,
    /// Operations that were judged.
    pub ops_checked: u64,
    /// Reads among them that constrained something: a verdict without any is hollow.
    pub reads_checked: u64,
    /// Independent parts (keys, components) that were judged.
    pub partitions: u64,
    /// Anomalies found, by name, whether or not they fail the model that was asked for.
    pub anomaly_types: BTreeSet<String>,
    /// Weakest models that the anomalies rule out.
    pub not: BTreeSet<String>,
    /// Stronger models that are ruled out with them.
    pub also_not: BTreeSet<String>,
    /// The answer at every level of isolation, in the order of [`Model::levels`]: empty from checkers of single objects,
    /// and where nothing could be checked.
    pub levels: Vec<LevelVerdict>,
    /// The evidence.
    pub findings: Vec<Finding>,
    /// One line of evidence for the terminal: how much was checked, by which algorithm.
    pub evidence: String,
}

impl CheckResult {
    /// An answer that says only why there is none.
    #[must_use]
    pub fn unknown(checker: &str, model: &str, reason: Reason) -> Self {
        Self {
            checker: checker.to_owned(),
            model: model.to_owned(),
            verdict: Verdict::unknown(reason),
            ops_checked: 0,
            reads_checked: 0,
            partitions: 0,
            anomaly_types: BTreeSet::new(),
            not: BTreeSet::new(),
            also_not: BTreeSet::new(),
            levels: Vec::new(),
            findings: Vec::new(),
            evidence: String::new(),
        }
    }

    /// The verdicts of several checkers, merged.
    #[must_use]
    pub fn merge_verdicts<'a>(results: impl IntoIterator<Item = &'a CheckResult>) -> Verdict {
        results.into_iter().fold(Verdict::valid(), |all, result| all.merge(result.verdict.clone()))
    }

    /// Whether a violation of the model was found.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.verdict.validity == Validity::Invalid
    }
}
