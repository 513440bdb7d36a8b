//! Runs made of events, for the tests of this crate.
#![allow(dead_code, reason = "each test target uses its own part of it")]

use fissure_checker::{Call, History, Mop, Operation, Outcome};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, Recorder};
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A new run in its own store.
pub(crate) fn new_run() -> (tempfile::TempDir, RunDir) {
    let store = tempfile::tempdir().unwrap();
    let run = RunDir::create(store.path(), "test", 1, UNIX_EPOCH).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, started_ns: 1, ..Manifest::default() }.write(run.path()).unwrap();
    (store, run)
}

/// The call as an invocation has it: nothing is known of its reads.
pub(crate) fn asked(call: &Call) -> Call {
    match call {
        Call::Read { key, .. } => Call::Read { key: *key, value: None },
        Call::Txn(mops) => Call::Txn(
            mops.iter()
                .map(|mop| match mop {
                    Mop::ReadList { key, .. } => Mop::ReadList { key: *key, list: None },
                    Mop::Read { key, .. } => Mop::Read { key: *key, value: None },
                    written => written.clone(),
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Calls with every kind of value; reads are filled in.
pub(crate) fn told_call() -> impl Strategy<Value = Call> {
    let key = prop_oneof![4 => 0..5_i64, 1 => any::<i64>()];
    let value = prop_oneof![4 => 0..100_i64, 1 => any::<i64>()];
    let mop = (key.clone(), value.clone(), prop::collection::vec(value.clone(), 0..4), 0..5_u8).prop_map(
        |(key, value, list, kind)| match kind {
            0 => Mop::Append { key, value },
            1 => Mop::ReadList { key, list: Some(list) },
            2 => Mop::Write { key, value },
            3 => Mop::Read { key, value: Some(Some(value)) },
            _ => Mop::Read { key, value: Some(None) },
        },
    );
    prop_oneof![
        (key.clone(), prop::option::of(value.clone())).prop_map(|(key, value)| Call::Read { key, value: Some(value) }),
        (key.clone(), value.clone()).prop_map(|(key, value)| Call::Write { key, value }),
        (key, value.clone(), value).prop_map(|(key, expected, value)| Call::Cas { key, expected, value }),
        prop::collection::vec(mop, 0..4).prop_map(Call::Txn),
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
    let told = match (&op.call, &step.call) {
        // The same call must come back; only what its reads saw is new.
        (asked_call, told) if asked(told) == *asked_call => told.clone(),
        (Call::Read { key, .. }, _) => Call::Read { key: *key, value: Some(Some(seq.cast_signed())) },
        (Call::Txn(mops), _) => Call::Txn(
            mops.iter()
                .map(|mop| match mop {
                    Mop::ReadList { key, .. } => Mop::ReadList { key: *key, list: Some(vec![1, 2]) },
                    Mop::Read { key, .. } => Mop::Read { key: *key, value: Some(None) },
                    written => written.clone(),
                })
                .collect(),
        ),
        (other, _) => other.clone(),
    };
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
