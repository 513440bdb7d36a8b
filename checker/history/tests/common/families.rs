//! Histories of every family of workloads, with every kind of call, for tests that write and read them again.

use fissure_checker::{Call, History, LogRecord, Mop, Names, Operation, OtherCall, Outcome};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a history is about: a file in EDN or JSON is understood by what it is about as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Registers,
    Lists,
    RegisterTransactions,
    Predicates,
    Sets,
    Counters,
    Texts,
    Queues,
    Stacks,
    Locks,
    Ids,
    Bank,
    Logs,
    Others,
}

pub(crate) const FAMILIES: [Family; 14] = [
    Family::Registers,
    Family::Lists,
    Family::RegisterTransactions,
    Family::Predicates,
    Family::Sets,
    Family::Counters,
    Family::Texts,
    Family::Queues,
    Family::Stacks,
    Family::Locks,
    Family::Ids,
    Family::Bank,
    Family::Logs,
    Family::Others,
];

/// Numbers from which a call is made: what they mean is up to the call.
#[derive(Clone, Debug)]
pub(crate) struct Seeds {
    kind: u8,
    key: u8,
    values: Vec<u8>,
    some: bool,
}

pub(crate) fn seeds() -> impl Strategy<Value = Seeds> {
    (any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..5), any::<bool>())
        .prop_map(|(kind, key, values, some)| Seeds { kind, key, values, some })
}

/// What keys and values stand for.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    pub(crate) keyed: bool,
    /// EDN of keys and values that are no integers.
    pub(crate) names: &'static [&'static str],
    /// Whether values that nobody understands have no keywords, sets or tags.
    pub(crate) json: bool,
}

impl Style {
    fn number(&self, seed: u8, names: &mut Names) -> i64 {
        match usize::from(seed).checked_sub(200) {
            Some(place) if !self.names.is_empty() => names.number(self.names[place % self.names.len()]),
            _ if seed.is_multiple_of(11) => i64::from(seed) * 1_000_000_007 - 90_000_000_000,
            _ => i64::from(seed % 16),
        }
    }
}

fn mop(family: Family, seeds: &Seeds, place: usize, style: &Style, names: &mut Names) -> Mop {
    let seed =
        |add: usize| seeds.values.get(add % seeds.values.len().max(1)).copied().unwrap_or(3).wrapping_add(place as u8);
    let key = style.number(seeds.key.wrapping_add(place as u8), names);
    let value = style.number(seed(place), names);
    let list = |names: &mut Names| seeds.values.iter().map(|value| style.number(*value, names)).collect::<Vec<i64>>();
    match (family, (seeds.kind as usize + place) % 4) {
        (Family::Lists, 0 | 1) => Mop::Append { key, value },
        (Family::Lists, _) => Mop::ReadList { key, list: Some(list(names)) },
        (Family::Logs, 0 | 1) => Mop::Send { key, value, offset: seeds.some.then_some(i64::from(seeds.kind)) },
        (Family::Logs, _) => {
            let mut records = Vec::new();
            let mut keys = BTreeSet::new();
            for (place, value) in seeds.values.iter().enumerate() {
                let key = style.number(value.wrapping_add(seeds.key), names);
                if keys.insert(key) {
                    for more in 0..=place as u8 % 2 {
                        let offset = (value % 3 != 0).then_some(i64::from(*value));
                        let value = (value % 5 != 0).then(|| style.number(value.wrapping_mul(3 + more), names));
                        records.push(LogRecord { key, offset, value });
                    }
                }
            }
            Mop::Poll { records: Some(records) }
        }
        (Family::Predicates, 0) => Mop::Insert { key, value },
        (Family::Predicates, 1) => Mop::Delete { key },
        (Family::Predicates, 2) => {
            let mut keys = BTreeSet::new();
            let pairs = list(names).into_iter().filter(|key| keys.insert(*key)).map(|key| (key, value)).collect();
            Mop::ReadPredicate { predicate: key, matched: Some(pairs) }
        }
        (_, 0 | 1) => Mop::Write { key, value },
        (_, _) => Mop::Read { key, value: Some(seeds.some.then_some(value)) },
    }
}

/// A call with everything that it was told.
fn call(family: Family, seeds: &Seeds, style: &Style, names: &mut Names) -> Call {
    let key = if style.keyed { style.number(seeds.key, names) } else { 0 };
    let value = style.number(seeds.kind, names);
    let maybe = seeds.some.then_some(value);
    let elements = |names: &mut Names| Some(seeds.values.iter().map(|value| style.number(*value, names)).collect());
    let kind = seeds.kind % 3;
    match family {
        Family::Lists | Family::RegisterTransactions | Family::Predicates => {
            let mops = (0..1 + usize::from(seeds.key % 3)).map(|place| mop(family, seeds, place, style, names));
            Call::Txn(mops.collect())
        }
        Family::Logs => match seeds.kind % 6 {
            0 => Call::Subscribe { keys: elements(names).unwrap_or_default() },
            1 => Call::Assign { keys: elements(names).unwrap_or_default() },
            _ => Call::Txn(
                (0..1 + usize::from(seeds.key % 3)).map(|place| mop(family, seeds, place, style, names)).collect(),
            ),
        },
        Family::Registers => match kind {
            0 => Call::Write { key, value },
            1 => Call::Cas { key, expected: style.number(seeds.key.wrapping_mul(7), names), value },
            _ => Call::Read { key, value: Some(maybe) },
        },
        Family::Sets if kind == 0 => Call::Add { key, value },
        Family::Sets => Call::ReadSet { key, elements: elements(names) },
        Family::Counters if kind == 0 => Call::Add { key, value: i64::from(seeds.kind) - 9 },
        Family::Counters => Call::Read { key, value: Some(Some(i64::from(seeds.kind) * 5)) },
        Family::Texts => {
            let text = names.number(&format!("\"t {}\\n\"", seeds.kind));
            match kind {
                0 => Call::Write { key, value: text },
                1 => Call::Append { key, value: text },
                _ => Call::Read { key, value: Some(seeds.some.then_some(text)) },
            }
        }
        Family::Queues => match kind {
            0 => Call::Enqueue { key, value },
            1 => Call::Dequeue { key, value: Some(maybe) },
            _ => Call::Drain { key, elements: elements(names) },
        },
        Family::Stacks if kind == 0 => Call::Push { key, value },
        Family::Stacks => Call::Pop { key, value: Some(maybe) },
        Family::Locks if kind == 0 => Call::Acquire { key, value: maybe },
        Family::Locks => Call::Release { key, value: maybe },
        Family::Ids => Call::Generate { key, value: Some(value) },
        Family::Bank if kind == 0 => {
            let to = style.number(seeds.key, names);
            Call::Transfer { from: value, to, amount: i64::from(seeds.kind) - 5 }
        }
        Family::Bank => {
            let mut accounts = BTreeSet::new();
            let accounts = seeds.values.iter().filter(|account| accounts.insert(style.number(**account, names)));
            let accounts: Vec<u8> = accounts.copied().collect();
            let balance = |account: &u8| {
                (style.number(*account, names), (!account.is_multiple_of(4)).then_some(i64::from(*account) - 8))
            };
            Call::ReadBalances { balances: Some(accounts.iter().map(balance).collect()) }
        }
        Family::Others => {
            let values = match style.json {
                true => [None, Some("{\"a\" [1 \"b\" nil]}"), Some("\"x\""), Some("[1.5 {}]"), Some("true")],
                false => [None, Some("{:a [1 \"b\" nil]}"), Some(":x"), Some("[1.5 #{2}]"), Some("#tag {}")],
            };
            let value = values[usize::from(seeds.key) % values.len()].map(Arc::from);
            Call::Other(Box::new(OtherCall { f: Arc::from(["dance", "sing/loud"][usize::from(kind) % 2]), value }))
        }
    }
}

/// A call without what it was told, as it stands in an operation that is not `ok`.
pub(crate) fn untold(call: &Call) -> Call {
    let mut call = call.clone();
    match &mut call {
        Call::Read { value, .. } | Call::Dequeue { value, .. } | Call::Pop { value, .. } => *value = None,
        Call::ReadSet { elements, .. } | Call::Drain { elements, .. } => *elements = None,
        Call::Generate { value, .. } => *value = None,
        Call::ReadBalances { balances } => *balances = None,
        Call::Txn(mops) => {
            for mop in mops {
                match mop {
                    Mop::ReadList { list, .. } => *list = None,
                    Mop::Read { value, .. } => *value = None,
                    Mop::Send { offset, .. } => *offset = None,
                    Mop::Poll { records } => *records = None,
                    Mop::ReadPredicate { matched, .. } => *matched = None,
                    _ => {}
                }
            }
        }
        _ => {}
    }
    call
}

/// A call that leaves no doubt what the family is about: a file of unknown reads alone would.
fn certain(family: Family) -> Option<Call> {
    Some(match family {
        Family::Sets => Call::ReadSet { key: 0, elements: Some(vec![1, 2, 3]) },
        Family::Bank => Call::ReadBalances { balances: Some(vec![(1, Some(1))]) },
        Family::Lists => Call::Txn(vec![Mop::Append { key: 0, value: 0 }]),
        Family::RegisterTransactions | Family::Predicates => Call::Txn(vec![Mop::Write { key: 0, value: 0 }]),
        _ => return None,
    })
}

/// Errors as code and text: what importers make of `"no luck"`, `"gone: n1"`, `:timeout`, `[:refused "n1"]`. The first
/// three are words in JSON as well.
const PROBLEMS: [(Option<&str>, Option<&str>); 5] = [
    (None, None),
    (None, Some("no luck")),
    (Some("gone"), Some("gone: n1")),
    (Some("timeout"), Some(":timeout")),
    (Some("refused"), Some("[:refused \"n1\"]")),
];

/// Makes a history of calls. `steps`: which of four slots does something next, and how what it has open ends.
pub(crate) fn history(family: Family, style: &Style, steps: &[(u8, u8, Seeds)], problems: usize) -> History {
    let mut names = Names::default();
    let mut ops: Vec<Operation> = Vec::new();
    let mut open: [Option<usize>; 4] = [None; 4];
    let mut processes = [0, 1, 2, 3];
    let mut seq = 0;
    let invoke = |ops: &mut Vec<Operation>, seq: &mut u64, process: i64, call: Call| {
        ops.push(Operation {
            op_id: ops.len() as u64,
            process,
            node: (process % 3 == 1).then(|| Arc::from("n1")),
            call,
            invoke_seq: *seq,
            complete_seq: None,
            invoke_ns: *seq as i64 * 10,
            complete_ns: None,
            outcome: Outcome::Info,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        });
        *seq += 1;
    };
    for (slot, end, seeds) in steps {
        let slot = usize::from(slot % 4);
        let Some(index) = open[slot].take() else {
            let call = call(family, seeds, style, &mut names);
            open[slot] = Some(ops.len());
            invoke(&mut ops, &mut seq, processes[slot], call);
            continue;
        };
        let op = &mut ops[index];
        op.outcome = [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info][usize::from(end % 5)];
        op.complete_seq = Some(seq);
        op.complete_ns = Some(seq as i64 * 10);
        if op.outcome != Outcome::Ok {
            let (code, text) = PROBLEMS[usize::from(*end) % problems];
            (op.error_code, op.error_text) = (code.map(Arc::from), text.map(Arc::from));
        }
        if op.outcome == Outcome::Info {
            processes[slot] += 4;
        }
        seq += 1;
    }
    if let Some(call) = certain(family) {
        invoke(&mut ops, &mut seq, 1000, call);
        if let Some(op) = ops.last_mut() {
            (op.outcome, op.complete_seq, op.complete_ns) = (Outcome::Ok, Some(seq), Some(seq as i64 * 10));
        }
    }
    for op in &mut ops {
        if op.outcome != Outcome::Ok {
            op.call = untold(&op.call);
        }
    }
    History::new(ops).unwrap().with_names(Arc::new(names))
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<(u8, u8, Seeds)>> {
    prop::collection::vec((any::<u8>(), any::<u8>(), seeds()), 0..40)
}
