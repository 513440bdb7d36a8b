//! The mistakes that can be switched on, each one that real systems have shipped.

use crate::error::DemoError;
use std::{fmt, str::FromStr};

/// A mistake built into a node; the same in all nodes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bug {
    /// No mistake: registers are linearizable, transactions strict serializable.
    #[default]
    None,
    /// Whoever believes to lead answers reads from its own applied state, without asking a quorum whether it still
    /// leads. A leader that was cut off and replaced serves the past.
    StaleReads,
    /// The leader acknowledges a write as soon as its own log has it, before a quorum does. What it acknowledged while
    /// cut off vanishes when another leader's log wins.
    AckBeforeReplicated,
    /// The micro-operations of a transaction are replicated one by one: other transactions run between them.
    NonAtomicTxn,
}

impl Bug {
    /// All of them, the healthy mode first.
    pub const ALL: [Bug; 4] = [Bug::None, Bug::StaleReads, Bug::AckBeforeReplicated, Bug::NonAtomicTxn];

    /// Its name on the command line and in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bug::None => "none",
            Bug::StaleReads => "stale-reads",
            Bug::AckBeforeReplicated => "ack-before-replicated",
            Bug::NonAtomicTxn => "non-atomic-txn",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Bug {
    type Err = DemoError;

    fn from_str(name: &str) -> Result<Self, DemoError> {
        Bug::ALL
            .into_iter()
            .find(|bug| bug.name() == name)
            .ok_or_else(|| DemoError::UnknownBug { name: name.to_owned(), known: Bug::ALL.map(Bug::name).join(", ") })
    }
}
