//! Codes of functions: one byte in the journal, a word in the table.

pub(crate) const F_NONE: u8 = 0;
pub(crate) const F_READ: u8 = 1;
pub(crate) const F_WRITE: u8 = 2;
pub(crate) const F_CAS: u8 = 3;
pub(crate) const F_TXN: u8 = 4;
pub(crate) const F_ADD: u8 = 5;
pub(crate) const F_READ_SET: u8 = 6;
pub(crate) const F_APPEND: u8 = 7;
pub(crate) const F_ENQUEUE: u8 = 8;
pub(crate) const F_DEQUEUE: u8 = 9;
pub(crate) const F_DRAIN: u8 = 10;
pub(crate) const F_PUSH: u8 = 11;
pub(crate) const F_POP: u8 = 12;
pub(crate) const F_ACQUIRE: u8 = 13;
pub(crate) const F_RELEASE: u8 = 14;
pub(crate) const F_GENERATE: u8 = 15;
pub(crate) const F_TRANSFER: u8 = 16;
pub(crate) const F_READ_BALANCES: u8 = 17;
pub(crate) const F_SUBSCRIBE: u8 = 18;
pub(crate) const F_ASSIGN: u8 = 19;
/// A function that is not understood; its word stands beside the code.
pub(crate) const F_OTHER: u8 = 20;

/// The word for each code.
pub(crate) const F_NAMES: [&str; 21] = [
    "",
    "read",
    "write",
    "cas",
    "txn",
    "add",
    "read",
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
    "read",
    "subscribe",
    "assign",
    "",
];

pub(crate) const MOP_APPEND: u8 = 1;
pub(crate) const MOP_READ_LIST: u8 = 2;
pub(crate) const MOP_WRITE: u8 = 3;
pub(crate) const MOP_READ: u8 = 4;
pub(crate) const MOP_SEND: u8 = 5;
pub(crate) const MOP_POLL: u8 = 6;
pub(crate) const MOP_INSERT: u8 = 7;
pub(crate) const MOP_DELETE: u8 = 8;
pub(crate) const MOP_READ_PREDICATE: u8 = 9;

/// The word for each code of a micro-operation.
pub(crate) const MOP_NAMES: [&str; 10] = ["", "append", "r", "w", "rr", "send", "poll", "insert", "delete", "rp"];

/// Code of the first function with this word; [`F_OTHER`] if there is none.
pub(crate) fn f_code(name: &str) -> u8 {
    code(&F_NAMES, name).unwrap_or(F_OTHER)
}

/// Code of the micro-operation with this word.
pub(crate) fn mop_code(name: &str) -> Option<u8> {
    code(&MOP_NAMES, name)
}

fn code(names: &[&str], name: &str) -> Option<u8> {
    if name.is_empty() {
        return None;
    }
    names.iter().position(|known| *known == name).and_then(|code| u8::try_from(code).ok())
}

/// What marks an `ok` read whose result is not known.
pub(crate) const NOT_KNOWN: &str = "?";
