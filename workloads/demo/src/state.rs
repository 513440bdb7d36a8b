//! The replicated state: registers and lists, and what commands do to them.
//!
//! Pure and deterministic: the same commands in the same order give the same state and the same replies on every node.
//! Registers and lists are separate spaces: register 1 and list 1 have nothing in common.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One micro-operation of a transaction, on the wire and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MicroOp {
    /// Append `value` to the list at `key`.
    #[serde(rename = "a")]
    Append { key: i64, value: i64 },
    /// Read the list at `key`.
    #[serde(rename = "r")]
    ReadList { key: i64 },
    /// Write `value` to the register at `key`.
    #[serde(rename = "w")]
    Write { key: i64, value: i64 },
    /// Read the register at `key`.
    #[serde(rename = "rr")]
    Read { key: i64 },
}

impl MicroOp {
    pub(crate) fn is_read(self) -> bool {
        matches!(self, MicroOp::ReadList { .. } | MicroOp::Read { .. })
    }
}

/// What a client may ask of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Read a register.
    #[serde(rename = "read")]
    Read { key: i64 },
    /// Write a register.
    #[serde(rename = "write")]
    Write { key: i64, value: i64 },
    /// Write a register if it holds `expected`.
    #[serde(rename = "cas")]
    Cas { key: i64, expected: i64, value: i64 },
    /// Do all of these, and nothing else between them.
    #[serde(rename = "txn")]
    Txn { mops: Vec<MicroOp> },
}

impl Command {
    /// Whether it leaves the state as it is.
    pub(crate) fn is_read_only(&self) -> bool {
        match self {
            Command::Read { .. } => true,
            Command::Write { .. } | Command::Cas { .. } => false,
            Command::Txn { mops } => mops.iter().all(|mop| mop.is_read()),
        }
    }

    /// How many micro-operations it is worth; at least 1.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Command::Txn { mops } => mops.len().max(1),
            _ => 1,
        }
    }
}

/// What one micro-operation saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MicroReply {
    /// It wrote.
    #[serde(rename = "done")]
    Done,
    /// The list, oldest element first.
    #[serde(rename = "list")]
    List(Vec<i64>),
    /// The register; `None`: never written.
    #[serde(rename = "value")]
    Value(Option<i64>),
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The register read; `None`: never written.
    #[serde(rename = "value")]
    Value(Option<i64>),
    /// The register was written.
    #[serde(rename = "written")]
    Written,
    /// The register did not hold what a `cas` expected; nothing was written.
    #[serde(rename = "mismatch")]
    Mismatch {
        /// What it held.
        found: Option<i64>,
    },
    /// One reply for each micro-operation.
    #[serde(rename = "txn")]
    Txn(Vec<MicroReply>),
}

/// The state itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KvState {
    registers: BTreeMap<i64, i64>,
    lists: BTreeMap<i64, Vec<i64>>,
}

impl KvState {
    /// Executes `command`.
    pub(crate) fn apply(&mut self, command: &Command) -> Reply {
        match *command {
            Command::Read { key } => Reply::Value(self.register(key)),
            Command::Write { key, value } => {
                self.registers.insert(key, value);
                Reply::Written
            }
            Command::Cas { key, expected, value } => match self.register(key) {
                Some(found) if found == expected => {
                    self.registers.insert(key, value);
                    Reply::Written
                }
                found => Reply::Mismatch { found },
            },
            Command::Txn { ref mops } => Reply::Txn(mops.iter().map(|mop| self.apply_micro(*mop)).collect()),
        }
    }

    /// What `command` would read; `None` if it is not read-only.
    pub(crate) fn read(&self, command: &Command) -> Option<Reply> {
        match command {
            Command::Read { key } => Some(Reply::Value(self.register(*key))),
            Command::Write { .. } | Command::Cas { .. } => None,
            Command::Txn { mops } => {
                mops.iter().map(|mop| self.read_micro(*mop)).collect::<Option<_>>().map(Reply::Txn)
            }
        }
    }

    fn register(&self, key: i64) -> Option<i64> {
        self.registers.get(&key).copied()
    }

    fn read_micro(&self, mop: MicroOp) -> Option<MicroReply> {
        match mop {
            MicroOp::ReadList { key } => Some(MicroReply::List(self.lists.get(&key).cloned().unwrap_or_default())),
            MicroOp::Read { key } => Some(MicroReply::Value(self.register(key))),
            MicroOp::Append { .. } | MicroOp::Write { .. } => None,
        }
    }

    fn apply_micro(&mut self, mop: MicroOp) -> MicroReply {
        match mop {
            MicroOp::Append { key, value } => self.lists.entry(key).or_default().push(value),
            MicroOp::Write { key, value } => drop(self.registers.insert(key, value)),
            MicroOp::ReadList { .. } | MicroOp::Read { .. } => {}
        }
        self.read_micro(mop).unwrap_or(MicroReply::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_sees_its_own_writes_and_a_cas_only_what_it_expects() {
        let mut state = KvState::default();
        let (a, r) = (MicroOp::Append { key: 1, value: 7 }, MicroOp::ReadList { key: 1 });
        let reply = state.apply(&Command::Txn { mops: vec![r, a, r, MicroOp::Read { key: 1 }] });
        let list = |elements: &[i64]| MicroReply::List(elements.to_vec());
        assert_eq!(reply, Reply::Txn(vec![list(&[]), MicroReply::Done, list(&[7]), MicroReply::Value(None)]));

        let cas = |expected, value| Command::Cas { key: 1, expected, value };
        assert_eq!(state.apply(&cas(1, 2)), Reply::Mismatch { found: None });
        assert_eq!(state.apply(&Command::Write { key: 1, value: 1 }), Reply::Written);
        assert_eq!(state.apply(&cas(1, 2)), Reply::Written);
        assert_eq!(state.apply(&cas(1, 3)), Reply::Mismatch { found: Some(2) });
        assert_eq!(state.read(&Command::Read { key: 1 }), Some(Reply::Value(Some(2))));
        assert_eq!(state.read(&cas(2, 3)), None);
    }

    #[test]
    fn the_state_survives_its_own_snapshot_format() {
        let mut state = KvState::default();
        state.apply(&Command::Write { key: -3, value: i64::MIN });
        state.apply(&Command::Txn { mops: vec![MicroOp::Append { key: 2, value: i64::MAX }] });
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<KvState>(&text).unwrap(), state);
    }
}
