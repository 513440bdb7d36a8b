//! Runs made of events, for the tests of this crate.
#![allow(dead_code, reason = "each test target uses its own part of it")]

use fissure_checker::{Call, History, LogRecord, Mop, Operation, OtherCall, Outcome};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, Recorder};
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A folder where syncing costs nothing, if there is such a place: these tests seal thousands of times.
pub(crate) fn fast_dir() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A new run in its own store.
pub(crate) fn new_run() -> (tempfile::TempDir, RunDir) {
    let store = fast_dir();
    let run = RunDir::create(store.path(), "test", 1, UNIX_EPOCH).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, started_ns: 1, ..Manifest::default() }.write(run.path()).unwrap();
    (store, run)
}

/// The call as an invocation has it: nothing is known of its reads.
pub(crate) fn asked(call: &Call) -> Call {
    let mut call = call.clone();
    match &mut call {
        Call::Read { value, .. } | Call::Dequeue { value, .. } | Call::Pop { value, .. } => *value = None,
        Call::Generate { value, .. } => *value = None,
        Call::ReadSet { elements, .. } | Call::Drain { elements, .. } => *elements = None,
        Call::ReadBalances { balances } => *balances = None,
        Call::Txn(mops) => mops.iter_mut().for_each(|mop| match mop {
            Mop::ReadList { list, .. } => *list = None,
            Mop::Read { value, .. } => *value = None,
            Mop::Poll { records } => *records = None,
            Mop::ReadPredicate { matched, .. } => *matched = None,
            _ => {}
        }),
        _ => {}
    }
    call
}

/// The call with something in every read that has nothing.
fn told(call: &Call, seen: i64) -> Call {
    let mut call = call.clone();
    match &mut call {
        Call::Read { value, .. } | Call::Dequeue { value, .. } | Call::Pop { value, .. } => {
            value.get_or_insert(Some(seen));
        }
        Call::Generate { value, .. } => {
            value.get_or_insert(seen);
        }
        Call::ReadSet { elements, .. } | Call::Drain { elements, .. } => {
            elements.get_or_insert_with(|| vec![seen, seen]);
        }
        Call::ReadBalances { balances } => {
            balances.get_or_insert_with(|| vec![(1, Some(seen)), (2, None)]);
        }
        Call::Txn(mops) => mops.iter_mut().for_each(|mop| match mop {
            Mop::ReadList { list, .. } => *list = Some(vec![1, 2]),
            Mop::Read { value, .. } => *value = Some(None),
            Mop::Poll { records } => *records = Some(vec![LogRecord { key: 1, offset: Some(seen), value: None }]),
            Mop::ReadPredicate { matched, .. } => *matched = Some(vec![(seen, 1)]),
            _ => {}
        }),
        _ => {}
    }
    call
}

fn told_mop() -> impl Strategy<Value = Mop> {
    let key = || prop_oneof![4 => 0..5_i64, 1 => any::<i64>()];
    let value = || prop_oneof![4 => 0..100_i64, 1 => any::<i64>()];
    let record = (key(), prop::option::of(value()), prop::option::of(value()))
        .prop_map(|(key, offset, value)| LogRecord { key, offset, value });
    prop_oneof![
        (key(), value()).prop_map(|(key, value)| Mop::Append { key, value }),
        (key(), prop::collection::vec(value(), 0..4)).prop_map(|(key, list)| Mop::ReadList { key, list: Some(list) }),
        (key(), value()).prop_map(|(key, value)| Mop::Write { key, value }),
        (key(), prop::option::of(value())).prop_map(|(key, value)| Mop::Read { key, value: Some(value) }),
        (key(), value(), prop::option::of(value())).prop_map(|(key, value, offset)| Mop::Send { key, value, offset }),
        prop::collection::vec(record, 0..4).prop_map(|records| Mop::Poll { records: Some(records) }),
        (key(), value()).prop_map(|(key, value)| Mop::Insert { key, value }),
        key().prop_map(|key| Mop::Delete { key }),
        (value(), prop::collection::vec((key(), value()), 0..3))
            .prop_map(|(predicate, matched)| Mop::ReadPredicate { predicate, matched: Some(matched) }),
    ]
}

/// Words that nobody understands, and some that would be understood with keys and values.
fn other_call() -> impl Strategy<Value = Call> {
    let f = prop_oneof![Just("mystery"), Just("read"), Just("txn"), Just("transfer"), Just("")];
    let value = prop_oneof![Just(None), Just(Some("{:a [1 \"\u{e9}\"]}")), Just(Some("?")), Just(Some(""))];
    (f, value).prop_map(|(f, value)| Call::Other(Box::new(OtherCall { f: Arc::from(f), value: value.map(Arc::from) })))
}

/// Calls with every kind of value; reads are filled in.
pub(crate) fn told_call() -> impl Strategy<Value = Call> {
    let key = || prop_oneof![4 => 0..5_i64, 1 => any::<i64>()];
    let value = || prop_oneof![4 => 0..100_i64, 1 => any::<i64>()];
    let values = || prop::collection::vec(value(), 0..4);
    let scalar =
        (key(), value(), prop::option::of(value()), 0..12_u8).prop_map(|(key, value, seen, kind)| match kind {
            0 => Call::Read { key, value: Some(seen) },
            1 => Call::Write { key, value },
            2 => Call::Add { key, value },
            3 => Call::Append { key, value },
            4 => Call::Enqueue { key, value },
            5 => Call::Dequeue { key, value: Some(seen) },
            6 => Call::Push { key, value },
            7 => Call::Pop { key, value: Some(seen) },
            8 => Call::Acquire { key, value: seen },
            9 => Call::Release { key, value: seen },
            10 => Call::Generate { key, value: Some(value) },
            _ => Call::Cas { key, expected: value, value: seen.unwrap_or(key) },
        });
    let lists = (key(), values(), 0..4_u8).prop_map(|(key, elements, kind)| match kind {
        0 => Call::ReadSet { key, elements: Some(elements) },
        1 => Call::Drain { key, elements: Some(elements) },
        2 => Call::Subscribe { keys: elements },
        _ => Call::Assign { keys: elements },
    });
    let balances = prop::collection::vec((key(), prop::option::of(value())), 0..4);
    prop_oneof![
        4 => scalar,
        3 => lists,
        4 => prop::collection::vec(told_mop(), 0..4).prop_map(Call::Txn),
        1 => (key(), key(), value()).prop_map(|(from, to, amount)| Call::Transfer { from, to, amount }),
        1 => balances.prop_map(|balances| Call::ReadBalances { balances: Some(balances) }),
        1 => other_call(),
    ]
}

/// One step of a run: a slot either invokes the call, or completes what it has in flight.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub slot: usize,
    pub call: Call,
    pub outcome: u8,
    pub cookie: Option<u64>,
    pub named: bool,
}

pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..4_usize, told_call(), 0..6_u8, prop::option::of(any::<u64>()), any::<bool>())
        .prop_map(|(slot, call, outcome, cookie, named)| Step { slot, call, outcome, cookie, named });
    prop::collection::vec(step, 0..count)
}

/// Plays the steps as events, and says which history they are.
pub(crate) fn play(steps: &[Step], recorder: Option<&Recorder>) -> History {
    let node: Arc<str> = Arc::from("n1");
    let phase: Arc<str> = Arc::from("faults");
    let mut open: [Option<usize>; 4] = [None; 4];
    let mut process: [i64; 4] = [0, 1, 2, 3];
    let mut ops: Vec<Operation> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let (seq, t_ns) = (at as u64 * 2 + 1, at as i64 * 1000 + 7);
        let Some(index) = open[step.slot].take() else {
            let op_id = ops.len() as u64;
            let (call, node) = (asked(&step.call), step.named.then_some(&node));
            let process = process[step.slot];
            let event =
                InvokeEvent { op_id, process, node, phase: &phase, call: &step.call, seq, t_ns, conn_cookie: None };
            recorder.into_iter().for_each(|recorder| recorder.invoke(event).unwrap());
            open[step.slot] = Some(ops.len());
            ops.push(Operation {
                op_id,
                process,
                node: node.cloned(),
                call,
                invoke_seq: seq,
                complete_seq: None,
                invoke_ns: t_ns,
                complete_ns: None,
                outcome: Outcome::Info,
                error_code: None,
                error_text: None,
                conn_cookie: None,
            });
            continue;
        };
        complete(step, &mut ops[index], (seq, t_ns), recorder);
        if ops[index].outcome == Outcome::Info {
            process[step.slot] += 4;
        }
    }
    History::new(ops).unwrap()
}

fn complete(step: &Step, op: &mut Operation, (seq, t_ns): (u64, i64), recorder: Option<&Recorder>) {
    // The same call must come back; only what its reads saw is new.
    let told = if asked(&step.call) == op.call { step.call.clone() } else { told(&op.call, seq.cast_signed()) };
    let completed = match step.outcome {
        0..=3 => Completed::Ok(&told),
        4 => Completed::Fail { code: "cas-mismatch", text: "it was 3, not 4" },
        _ => Completed::Info { code: "timeout", text: "no answer in 1 s" },
    };
    let event = CompleteEvent { op_id: op.op_id, seq, t_ns, completed, conn_cookie: step.cookie };
    recorder.into_iter().for_each(|recorder| recorder.complete(event).unwrap());
    op.complete_seq = Some(seq);
    op.complete_ns = Some(t_ns);
    op.conn_cookie = step.cookie;
    match completed {
        Completed::Ok(call) => {
            op.outcome = Outcome::Ok;
            op.call = call.clone();
        }
        Completed::Fail { code, text } | Completed::Info { code, text } => {
            op.outcome = if step.outcome == 4 { Outcome::Fail } else { Outcome::Info };
            op.error_code = Some(Arc::from(code));
            op.error_text = Some(Arc::from(text));
        }
    }
}

/// Records the steps in a new run, flushing now and then, and finishes its journal.
pub(crate) fn journaled(steps: &[Step]) -> (tempfile::TempDir, RunDir, History) {
    let (store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let history = play(steps, Some(&recorder));
    journal.finish().unwrap();
    (store, run, history)
}

/// Copies a folder with everything in it.
pub(crate) fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}
