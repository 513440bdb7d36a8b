//! Histories of which only the order within each session is known.
//!
//! Transactional checkers write down what each session did, one transaction after the other, and no time. A history here
//! is a total order of events, and no such order can leave everything between two sessions open: if the second
//! transaction of each shall overlap the first of the other, one of them ends before it began. So the events are told in
//! an order that keeps the order of each session, and in which a transaction stays open until the next one of its session
//! begins, or the file ends: transactions of different sessions overlap as far as a session's order lets them. What
//! remains of order between sessions means nothing, and [`Character::real_time_order`] says so: checkers must not rely on
//! it, and strict models cannot be decided.
//!
//! Sessions become processes. A transaction that was aborted is `fail`; one whose end is not written down is `info`, and
//! its session goes on, if it does, as if it were another process.
//!
//! [`Character::real_time_order`]: super::event::Character::real_time_order

use super::event::{Character, Kind, Process, RawEvent, RawValue};
use fissure_checker::{Call, Mop, Names};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A session: its number, or its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Session {
    Number(i64),
    Name(Arc<str>),
}

impl Session {
    /// The session with this number, which is its name if it does not fit.
    pub(super) fn new(number: i128) -> Self {
        i64::try_from(number).map_or_else(|_| Session::Name(Arc::from(number.to_string())), Session::Number)
    }

    fn process(&self) -> Process {
        match self {
            Session::Number(number) => Process::Number(*number),
            Session::Name(name) => Process::Named(name.clone()),
        }
    }
}

/// A transaction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transaction {
    /// Byte of the file at which it begins.
    pub(super) offset: u64,
    /// What it did, with what its reads saw.
    pub(super) mops: Vec<Mop>,
    /// How it ended: `ok`, `fail` or `info`.
    pub(super) end: Kind,
}

/// Turns the transactions of sessions into events.
#[derive(Default)]
pub(super) struct Sessions {
    /// Events that are ready.
    ready: VecDeque<RawEvent>,
    /// The last transaction of each session, which is still open.
    open: BTreeMap<Session, Transaction>,
}

impl Sessions {
    /// The next transaction of a session. Memory: one transaction for each session, and what has not been taken.
    pub(super) fn push(&mut self, session: Session, transaction: Transaction) {
        let process = session.process();
        if let Some(before) = self.open.remove(&session) {
            self.complete(process.clone(), before);
        }
        let asked = transaction.mops.iter().map(untold).collect();
        let value = RawValue::Call(Call::Txn(asked));
        self.ready.push_back(RawEvent::new(transaction.offset, Kind::Invoke, process, "txn", value));
        self.open.insert(session, transaction);
    }

    fn complete(&mut self, process: Process, Transaction { offset, mops, end }: Transaction) {
        let mops = if end == Kind::Ok { mops } else { mops.iter().map(untold).collect() };
        self.ready.push_back(RawEvent::new(offset, end, process, "txn", RawValue::Call(Call::Txn(mops))));
    }

    /// No transaction follows.
    pub(super) fn finish(&mut self) {
        for (session, transaction) in std::mem::take(&mut self.open) {
            self.complete(session.process(), transaction);
        }
    }

    /// The next event, of what has been pushed.
    pub(super) fn next(&mut self) -> Option<RawEvent> {
        self.ready.pop_front()
    }
}

/// The micro-operation without what it was told.
fn untold(mop: &Mop) -> Mop {
    match *mop {
        Mop::Read { key, .. } => Mop::Read { key, value: None },
        Mop::ReadList { key, .. } => Mop::ReadList { key, list: None },
        ref other => other.clone(),
    }
}

/// What these formats say about a history, with the notes of this file.
pub(super) fn character(binary: bool, notes: Vec<String>) -> Character {
    Character { real_time_order: false, binary, notes, ..Character::default() }
}

/// The integer that stands for an integer of up to 64 bits, signed or not.
pub(super) fn number(value: i128, names: &mut Names) -> i64 {
    match i64::try_from(value) {
        Ok(value) => names.number_of_int(value),
        Err(_) => names.number(&format!("{value}N")),
    }
}

/// Keys, as written, to which somebody writes the value 0 that also stands for the initial state.
///
/// In most of these formats a read of 0 is a read of the initial state, unless a transaction writes 0; which of both it
/// is must be known before the first read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ZeroKeys(std::collections::BTreeSet<i128>);

impl ZeroKeys {
    /// Notes a write of `value` to `key`.
    pub(super) fn note(&mut self, key: i128, value: i128) {
        if value == 0 {
            self.0.insert(key);
        }
    }

    /// What a read of `value` at `key` saw: nobody's value, or `value`.
    pub(super) fn seen(&self, key: i128, value: i128, names: &mut Names) -> Option<i64> {
        let initial = value == 0 && (self.0.is_empty() || !self.0.contains(&key));
        (!initial).then(|| number(value, names))
    }

    /// What a person should know about them.
    pub(super) fn notes(&self) -> Vec<String> {
        if self.0.is_empty() {
            return vec!["a read of 0 is a read of the initial state".to_owned()];
        }
        let keys: Vec<String> = self.0.iter().take(5).map(ToString::to_string).collect();
        let more = self.0.len() - keys.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        vec![format!(
            "a read of 0 is a read of the initial state, except of keys to which 0 is written: {}{more}",
            keys.join(", ")
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(offset: u64, end: Kind) -> Transaction {
        let mops = vec![Mop::Write { key: 1, value: 2 }, Mop::Read { key: 1, value: Some(Some(2)) }];
        Transaction { offset, mops, end }
    }

    #[test]
    fn transactions_stay_open_until_the_next_of_their_session() {
        let mut sessions = Sessions::default();
        let session = Session::new;
        sessions.push(session(1), transaction(0, Kind::Ok));
        sessions.push(session(2), transaction(1, Kind::Ok));
        sessions.push(session(1), transaction(2, Kind::Fail));
        sessions.push(session(1 << 70), transaction(3, Kind::Ok));
        sessions.finish();
        let events: Vec<(u64, Kind)> =
            std::iter::from_fn(|| sessions.next()).map(|event| (event.offset, event.kind)).collect();
        let (invoke, ok, fail) = (Kind::Invoke, Kind::Ok, Kind::Fail);
        assert_eq!(events, [(0, invoke), (1, invoke), (0, ok), (2, invoke), (3, invoke), (2, fail), (1, ok), (3, ok)]);
    }

    #[test]
    fn what_reads_saw_is_told_by_ok_alone() {
        let mut sessions = Sessions::default();
        sessions.push(Session::new(1), transaction(0, Kind::Ok));
        sessions.push(Session::new(2), transaction(0, Kind::Fail));
        sessions.finish();
        let told = std::iter::from_fn(|| sessions.next()).filter(|event| match &event.value {
            RawValue::Call(Call::Txn(mops)) => mops[1] == Mop::Read { key: 1, value: Some(Some(2)) },
            other => panic!("{other:?}"),
        });
        assert_eq!(told.map(|event| event.kind).collect::<Vec<_>>(), [Kind::Ok]);
    }

    #[test]
    fn zero_is_the_initial_state_unless_somebody_writes_it() {
        let mut zeros = ZeroKeys::default();
        let mut names = Names::default();
        zeros.note(7, 0);
        zeros.note(8, 1);
        assert_eq!(zeros.seen(7, 0, &mut names), Some(0));
        assert_eq!(zeros.seen(8, 0, &mut names), None);
        assert_eq!(zeros.seen(8, 1, &mut names), Some(1));
        assert!(zeros.notes()[0].ends_with("to which 0 is written: 7"));
        let big = number(i128::from(u64::MAX), &mut names);
        assert_eq!(names.text(big), Some("18446744073709551615N"));
    }
}
