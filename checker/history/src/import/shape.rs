//! What must be known of a whole history before a single value of it can be understood.
//!
//! A read of nil is a read of an empty list or of a register that was never written; a read without a result is of a
//! register, a set or all accounts; `[1 2]` is a value or a tuple of key and value. [`Evidence`] is gathered from the
//! events as they are written until nothing is open that these events ask for.

use super::NilReads;
use super::edn::Edn;
use super::event::{Kind, RawEvent, RawValue};

/// What a `read` without micro-operations reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReadsOf {
    #[default]
    Register,
    Set,
    Balances,
}

/// How a history is to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Single-object operations have tuples `[key value]`.
    pub(crate) independent: bool,
    /// `r` of nil reads a list.
    pub(crate) lists: bool,
    pub(crate) reads: ReadsOf,
    pub(crate) nil_reads: NilReads,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    lists: bool,
    registers: bool,
    /// A transaction with an `r` was seen.
    has_txn_reads: bool,
    /// A read with a tuple was seen, or an operation that cannot be anything else.
    tuples: bool,
    /// A value that could be a tuple was seen.
    maybe_tuples: bool,
    /// A single-object read without a tuple was seen.
    plain: bool,
    /// A read was told something that is no tuple: what looked like one before is a value.
    contradicted: bool,
    has_reads: bool,
    reads: Option<ReadsOf>,
}

impl Evidence {
    /// Takes an event as it is written.
    pub(crate) fn take(&mut self, event: &RawEvent) {
        let RawValue::Edn(value) = &event.value else { return };
        let value = value.untagged();
        if let Some(mops) = mops_of(value) {
            for mop in mops {
                self.mop(mop);
            }
            return;
        }
        let f = event.f.as_ref().map_or("", super::event::Function::name);
        self.tuple(event.kind, f, value);
        if f == "read" {
            self.read(event.kind, value);
        }
    }

    fn mop(&mut self, mop: &[Edn]) {
        match (mop[0].name().unwrap_or_default(), mop.get(2).map_or(&Edn::Nil, Edn::untagged)) {
            ("append", _) => self.lists = true,
            ("w" | "insert" | "delete" | "rp", _) => self.registers = true,
            ("r", Edn::Nil) => self.has_txn_reads = true,
            ("r", Edn::Seq(_)) => self.lists = true,
            ("r", _) => self.registers = true,
            _ => {}
        }
    }

    fn tuple(&mut self, kind: Kind, f: &str, value: &Edn) {
        let is_tuple = matches!(value, Edn::Entry(_)) || matches!(value, Edn::Seq(parts) if parts.len() == 2);
        self.contradicted |= f == "read" && kind == Kind::Ok && *value != Edn::Nil && !is_tuple;
        let certain = match value {
            Edn::Entry(_) => Some(true),
            Edn::Seq(parts) if parts.len() == 2 => match (f, &parts[1]) {
                ("read", _) if kind == Kind::Invoke => Some(true),
                ("dequeue" | "pop" | "drain" | "acquire" | "release" | "generate", Edn::Nil) => Some(true),
                ("cas", Edn::Seq(inner)) => Some(inner.len() == 2),
                ("cas", _) => Some(false),
                _ => None,
            },
            _ if f == "read" && kind == Kind::Invoke => Some(false),
            _ => return,
        };
        match certain {
            Some(true) => self.tuples = true,
            Some(false) => self.plain = true,
            None => self.maybe_tuples |= matches!(f, "write" | "add" | "enqueue" | "push" | "append"),
        }
    }

    fn read(&mut self, kind: Kind, value: &Edn) {
        self.has_reads = true;
        if kind != Kind::Ok || self.reads.is_some() {
            return;
        }
        // What a tuple holds says it. A set of two looks like a tuple only where there are no others.
        let value = match value {
            Edn::Entry(pair) => pair.1.untagged(),
            Edn::Seq(parts) if parts.len() == 2 && self.tuples => parts[1].untagged(),
            other => other,
        };
        self.reads = match value {
            Edn::Nil => None,
            Edn::Map(_) => Some(ReadsOf::Balances),
            Edn::Seq(_) | Edn::Set(_) => Some(ReadsOf::Set),
            _ => Some(ReadsOf::Register),
        };
    }

    /// Whether more events could change how those that were seen are understood.
    pub(crate) fn is_settled(&self) -> bool {
        let lists = !self.has_txn_reads || self.lists || self.registers;
        let tuples = !self.maybe_tuples || self.tuples || self.plain;
        let reads = !self.has_reads || self.reads.is_some();
        lists && tuples && reads
    }

    /// What follows from it. `independent`: what the user says about tuples.
    pub(crate) fn shape(&self, independent: Option<bool>, nil_reads: NilReads) -> Shape {
        Shape {
            independent: independent.unwrap_or(self.tuples && !self.contradicted),
            lists: !self.registers || self.lists,
            reads: self.reads.unwrap_or_default(),
            nil_reads,
        }
    }
}

/// The micro-operations of a value that is a sequence of nothing else.
pub(crate) fn mops_of(value: &Edn) -> Option<impl Iterator<Item = &[Edn]>> {
    let Edn::Seq(items) = value else { return None };
    let all = !items.is_empty() && items.iter().all(|item| mop_parts(item).is_some());
    all.then(|| items.iter().filter_map(mop_parts))
}

fn mop_parts(item: &Edn) -> Option<&[Edn]> {
    let Edn::Seq(parts) = item.untagged() else { return None };
    let known = match parts.first()?.name()? {
        "poll" => true,
        "append" | "w" | "r" | "send" | "insert" | "delete" | "rp" => parts.len() >= 2,
        _ => false,
    };
    known.then_some(parts.as_slice())
}
