//! One key's operations, made small and dense for the algorithms.
//!
//! Values become numbers, event times become places among the events of this key, and operations that cannot matter
//! are left out:
//! * a `fail` certainly did not happen (with [`failed_cas_observes`](super::Options::failed_cas_observes) a failed `cas`
//!   becomes the observation that the register did not hold the expected value);
//! * an `info` read, and an `ok` read whose result is not known, constrain nothing;
//! * a `cas` that puts back what it expects is a read;
//! * an `info` write (or `cas`) of a value that nobody observes. Take any legal order in which it took effect: until
//!   the next write nothing looks at the register, or it would see that value. So the order without it is legal too,
//!   and whatever is legal without it is legal with it left out, because an `info` may never happen.

use super::Options;
use crate::op::{Call, Operation, Outcome};
use rustc_hash::FxHashMap;

/// Number of a value within a key.
pub(super) type ValueId = u32;

/// The value of a register that was never written.
pub(super) const NEVER_WRITTEN: ValueId = 0;

/// Place of an event that never comes: the completion of an `info`.
pub(super) const NEVER: u32 = u32::MAX;

/// What an operation does to the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// Sees this value.
    Read(ValueId),
    /// Sees that the value is not this one.
    NotEqual(ValueId),
    /// Puts this value there, whatever was there.
    Write(ValueId),
    /// Sees the first value and puts the second there; they differ.
    Cas(ValueId, ValueId),
}

impl Act {
    /// The value it puts there.
    pub(super) fn produces(self) -> Option<ValueId> {
        match self {
            Act::Write(value) | Act::Cas(_, value) => Some(value),
            Act::Read(_) | Act::NotEqual(_) => None,
        }
    }

    /// The value that must be there for it to happen.
    pub(super) fn needs(self) -> Option<ValueId> {
        match self {
            Act::Read(value) | Act::Cas(value, _) => Some(value),
            Act::Write(_) | Act::NotEqual(_) => None,
        }
    }

    /// Whether it only looks, and is content with `state`.
    pub(super) fn is_observed_in(self, state: ValueId) -> bool {
        match self {
            Act::Read(value) => value == state,
            Act::NotEqual(value) => value != state,
            Act::Write(_) | Act::Cas(..) => false,
        }
    }
}

/// One operation of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyOp {
    /// Its place in the slice of operations that the key was made from.
    pub(super) source: u32,
    /// What it does.
    pub(super) act: Act,
    /// Place of its invocation among the events of the key, from 1.
    pub(super) call: u32,
    /// Place of its completion; [`NEVER`] for an `info`, which may also never happen.
    pub(super) ret: u32,
}

impl KeyOp {
    /// Whether it may have happened or not.
    pub(super) fn is_optional(&self) -> bool {
        self.ret == NEVER
    }
}

/// The operations of one key that matter, in order of invocation.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyHistory {
    /// The operations.
    pub(super) ops: Vec<KeyOp>,
    /// Events in order: `2 * op` for an invocation, `2 * op + 1` for a completion. The event at place `p` is `events[p - 1]`.
    pub(super) events: Vec<u32>,
    /// The value behind each number; `None`: never written.
    pub(super) values: Vec<Option<i64>>,
    /// What the register holds at first.
    pub(super) initial: ValueId,
    /// Operations that see something.
    pub(super) observers: u32,
}

impl KeyHistory {
    /// Translates the operations of one key, given in order of invocation as places in `all`.
    pub(super) fn new(all: &[Operation], members: &[u32], options: &Options) -> Self {
        let mut values = Values::new();
        let initial = options.initial.map_or(NEVER_WRITTEN, |value| values.number(value));
        let mut ops: Vec<KeyOp> = Vec::with_capacity(members.len());
        for &source in members {
            let op = &all[source as usize];
            if let Some(act) = act_of(op, options, &mut values) {
                let ret = if op.outcome == Outcome::Info { NEVER } else { 0 };
                ops.push(KeyOp { source, act, call: 0, ret });
            }
        }
        drop_unobserved_optional(&mut ops, values.known.len());
        let observers = ops.iter().filter(|op| !op.is_optional() && !matches!(op.act, Act::Write(_))).count() as u32;
        let mut key = Self { ops, events: Vec::new(), values: values.known, initial, observers };
        key.number_events(|op| {
            let op = &all[op.source as usize];
            (op.invoke_seq, op.end_seq())
        });
        key
    }

    /// The part of this key made of the operations at these places, in order.
    pub(super) fn part(&self, keep: &[u32]) -> Self {
        let ops: Vec<KeyOp> = keep.iter().map(|&op| self.ops[op as usize]).collect();
        let observers = ops.iter().filter(|op| !op.is_optional() && !matches!(op.act, Act::Write(_))).count() as u32;
        let mut key = Self { ops, events: Vec::new(), values: self.values.clone(), initial: self.initial, observers };
        key.number_events(|op| (u64::from(op.call), u64::from(op.ret)));
        key
    }

    /// Fills in `events`, and `call` and `ret` of each operation, from a total order of invocations and completions.
    fn number_events(&mut self, seqs: impl Fn(&KeyOp) -> (u64, u64)) {
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(self.ops.len() * 2);
        for (index, op) in self.ops.iter().enumerate() {
            let (invoke_seq, end_seq) = seqs(op);
            order.push((invoke_seq, index as u32 * 2));
            if !op.is_optional() {
                order.push((end_seq, index as u32 * 2 + 1));
            }
        }
        order.sort_unstable();
        self.events = order.into_iter().map(|(_, event)| event).collect();
        for (place, &event) in self.events.iter().enumerate() {
            let op = &mut self.ops[(event / 2) as usize];
            let place = place as u32 + 1;
            if event.is_multiple_of(2) { op.call = place } else { op.ret = place }
        }
    }
}

/// Numbers for values; 0 is "never written".
struct Values {
    known: Vec<Option<i64>>,
    numbers: FxHashMap<i64, ValueId>,
}

impl Values {
    fn new() -> Self {
        Self { known: vec![None], numbers: FxHashMap::default() }
    }

    fn number(&mut self, value: i64) -> ValueId {
        *self.numbers.entry(value).or_insert_with(|| {
            self.known.push(Some(value));
            (self.known.len() - 1) as ValueId
        })
    }
}

fn act_of(op: &Operation, options: &Options, values: &mut Values) -> Option<Act> {
    match (&op.call, op.outcome) {
        (Call::Read { value: Some(seen), .. }, Outcome::Ok) => {
            Some(Act::Read(seen.map_or(NEVER_WRITTEN, |value| values.number(value))))
        }
        (Call::Write { value, .. }, Outcome::Ok | Outcome::Info) => Some(Act::Write(values.number(*value))),
        (Call::Cas { expected, value, .. }, Outcome::Ok | Outcome::Info) if expected != value => {
            let expected = values.number(*expected);
            Some(Act::Cas(expected, values.number(*value)))
        }
        (Call::Cas { expected, .. }, Outcome::Ok) => Some(Act::Read(values.number(*expected))),
        (Call::Cas { expected, .. }, Outcome::Fail)
            if options.failed_cas_observes && op.error_code.as_deref() == Some(super::CAS_MISMATCH) =>
        {
            Some(Act::NotEqual(values.number(*expected)))
        }
        _ => None,
    }
}

/// See the module's comment. Dropping a `cas` may leave the value it expected unobserved in its turn.
fn drop_unobserved_optional(ops: &mut Vec<KeyOp>, values: usize) {
    // The observation "not this value" can be made of any other value: then every write may matter.
    if ops.iter().any(|op| matches!(op.act, Act::NotEqual(_))) {
        return;
    }
    let mut observers = vec![0_u32; values];
    for value in ops.iter().filter_map(|op| op.act.needs()) {
        observers[value as usize] += 1;
    }
    loop {
        let before = ops.len();
        ops.retain(|op| {
            let dead = op.is_optional() && op.act.produces().is_some_and(|value| observers[value as usize] == 0);
            if dead && let Some(value) = op.act.needs() {
                observers[value as usize] -= 1;
            }
            !dead
        });
        if ops.len() == before {
            return;
        }
    }
}
