//! What an import is made of: events in the order in which they were recorded.
//!
//! A format is an [`EventSource`]: it gives one [`RawEvent`] after the other and knows nothing of pairing, processes
//! that were retired, or names. What comes after it is the same for every format.

use super::edn::Edn;
use super::shape::Shape;
use super::values;
use crate::calls::{CallRef, FlatTxn};
use fissure_checker::{Call, Names};
use std::sync::Arc;

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

impl Kind {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "invoke" => Some(Kind::Invoke),
            "ok" => Some(Kind::Ok),
            "fail" => Some(Kind::Fail),
            "info" => Some(Kind::Info),
            _ => None,
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Number(i64),
    /// A client whose process is no number.
    Named(Arc<str>),
    /// The one that makes faults.
    Nemesis,
    /// The file does not say: completions belong to the oldest open operation with the same function and value.
    Missing,
}

/// A function. Those that are known cost no memory.
#[derive(Clone, Debug)]
pub(crate) enum Function {
    Known(&'static str),
    Other(Arc<str>),
}

/// The functions that clients and generators of the field use most.
const KNOWN: [&str; 22] = [
    "txn",
    "read",
    "write",
    "cas",
    "add",
    "append",
    "enqueue",
    "dequeue",
    "drain",
    "push",
    "pop",
    "acquire",
    "release",
    "generate",
    "transfer",
    "subscribe",
    "assign",
    "send",
    "poll",
    "insert",
    "crash",
    "init",
];

impl Function {
    pub(crate) fn new(name: &str) -> Self {
        match KNOWN.iter().find(|known| **known == name) {
            Some(known) => Function::Known(known),
            None => Function::Other(Arc::from(name)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Function::Known(name) => name,
            Function::Other(name) => name,
        }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// The value of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawValue {
    /// Understood already. What a read saw is in it only if the event is `ok`.
    Call(Call),
    /// The same for a transaction.
    Txn(FlatTxn),
    /// As it was written.
    Edn(Edn),
}

impl RawValue {
    /// The call that this value of the function `f` makes; what reads saw is taken only if it was `told`.
    pub(crate) fn into_call(self, f: Option<&str>, told: bool, shape: &Shape, names: &mut Names) -> EventCall {
        match self {
            RawValue::Call(call) => EventCall::Call(call),
            RawValue::Txn(txn) => EventCall::Txn(txn),
            RawValue::Edn(value) => EventCall::Call(values::call(f, &value, told, shape, names)),
        }
    }
}

/// The call of an event, in either form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EventCall {
    Call(Call),
    Txn(FlatTxn),
}

impl EventCall {
    /// The call as a tree.
    pub(crate) fn into_call(self) -> Call {
        match self {
            EventCall::Call(call) => call,
            EventCall::Txn(txn) => txn.call(),
        }
    }

    pub(crate) fn as_ref(&self) -> CallRef<'_> {
        match self {
            EventCall::Call(call) => CallRef::Call(call),
            EventCall::Txn(txn) => CallRef::Txn(txn),
        }
    }
}

/// One event of a client or of the nemesis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawEvent {
    /// Byte of the file at which it begins.
    pub(crate) offset: u64,
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    /// Transactions may do without; so may completions.
    pub(crate) f: Option<Function>,
    /// Of a `fail` or `info` of a client it does not matter.
    pub(crate) value: RawValue,
    /// Nanoseconds on some clock.
    pub(crate) time_ns: Option<i64>,
    pub(crate) node: Option<Arc<str>>,
    /// Short machine-readable cause of a `fail` or `info`.
    pub(crate) error_code: Option<Arc<str>>,
    /// The error as it was written.
    pub(crate) error_text: Option<Arc<str>>,
}

impl RawEvent {
    /// An event with nothing but what each has.
    pub(crate) fn new(offset: u64, kind: Kind, process: Process, f: &str, value: RawValue) -> Self {
        let f = Some(Function::new(f));
        Self { offset, kind, process, f, value, time_ns: None, node: None, error_code: None, error_text: None }
    }
}

/// Code and text of an error as clients write it: a keyword, or a vector that begins with one.
pub(crate) fn problem(error: &Edn) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let code = match error.untagged() {
        Edn::Seq(parts) => parts.first().and_then(Edn::name),
        // Of words for a person, what stands before the colon.
        Edn::Str(text) => text.split(':').next().filter(|code| !code.is_empty() && !code.contains(char::is_whitespace)),
        other => other.name(),
    };
    let text = match error {
        Edn::Str(text) => text.clone(),
        other => other.to_string(),
    };
    (code.map(Arc::from), Some(Arc::from(text)))
}

/// A record that is wrong: where, and what was found and expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Byte of the file.
    pub(crate) offset: u64,
    /// What was found there, and what was expected.
    pub(crate) detail: String,
}

/// Why a source does not give an event.
#[derive(Debug)]
pub(crate) enum SourceError {
    /// This record is wrong; the source goes on after it.
    Mistake(Mistake),
    /// This record is wrong, and nothing can be said about what follows.
    Broken(Mistake),
    /// The file cannot be read.
    File(crate::error::Error),
}

/// What the format as such says about a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Character {
    /// Whether the order of events is that of real time. Otherwise only the order within a process is known, and events
    /// are told such that operations of different processes overlap.
    pub(crate) real_time_order: bool,
    /// Whether a `fail` of a `cas` says that the register did not hold what was expected.
    pub(crate) failed_cas_is_mismatch: bool,
    /// Whether places are bytes, not lines and columns.
    pub(crate) binary: bool,
    /// Lines that are no events.
    pub(crate) other_lines: u64,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

impl Default for Character {
    fn default() -> Self {
        Self { real_time_order: true, failed_cas_is_mismatch: false, binary: false, other_lines: 0, notes: Vec::new() }
    }
}

/// A file in one format, read from its beginning, one event after the other.
pub(crate) trait EventSource {
    /// The next event; `None` at the end of the file. Keys and values that are no integers go into `names`.
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError>;

    /// What the format says about the history. It is asked for before the first event and after the last.
    fn character(&self) -> Character;
}
