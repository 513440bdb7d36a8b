//! What was recorded is what is read: from events through journal and seal to a history.

mod common;

use common::{journaled, new_run, steps};
use fissure_checker::{Call, Mop, Outcome};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, RecordError};
use fissure_history::rows::{ClockRow, ConnectionKind, ConnectionRow, Direction, FaultRow, InjectionRow, NodeRow};
use fissure_history::{Error, Manifest, RunState, read, read_history, recover, seal};
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_history_comes_back_as_it_was(steps in steps(60)) {
        let (_store, run, history) = journaled(&steps);
        let report = seal(&run).unwrap();
        prop_assert_eq!(report.counts.ops, history.len() as u64);
        prop_assert_eq!(report.counts.ok + report.counts.fail + report.counts.info, report.counts.ops);
        prop_assert!(report.torn.is_empty());
        let read = read_history(run.path()).unwrap();
        prop_assert_eq!(&read.history, &history);
        prop_assert!(read.phases.iter().all(|phase| &**phase == "faults"));
        prop_assert!(!run.journal_dir().exists());
        // Sealing again changes nothing and counts the same.
        prop_assert_eq!(seal(&run).unwrap(), report);
    }
}

fn injection(t_ns: i64) -> InjectionRow {
    InjectionRow {
        t_ns,
        host: "n2".into(),
        cpu: 1,
        event_seq: 9,
        fault_id: 3,
        rule_id: 4,
        revision: 5,
        action: "drop".into(),
        src_addr: "10.0.0.1".parse().unwrap(),
        dst_addr: "fd00::2".parse().unwrap(),
        src_port: 40_000,
        dst_port: 2379,
        src_host: Some("n1".into()),
        dst_host: None,
        protocol: if t_ns > 10 { 6 } else { 132 },
        tcp_flags: 0x18,
        tcp_seq: u32::MAX,
        length: 60,
        direction: Direction::Request,
        conn_ordinal: 2,
        packet_index: 7,
    }
}

fn fault(stop_ns: Option<i64>) -> FaultRow {
    FaultRow {
        fault_id: 3,
        phase: "isolate".to_owned(),
        kind: "partition".to_owned(),
        description: "n1 | n2 n3".to_owned(),
        nodes: vec!["n1".to_owned(), "n2".to_owned()],
        rules: 4,
        start_ns: 10,
        stop_ns,
        kernel_hits: stop_ns.map(|_| 17),
        outcome: "applied".to_owned(),
        error_text: None,
    }
}

fn connection(closed_ns: Option<i64>) -> ConnectionRow {
    ConnectionRow {
        conn_cookie: Some(u64::MAX - 3),
        process: Some(1),
        node: Some("n1".into()),
        kind: ConnectionKind::Client,
        local_addr: "10.0.0.9".parse().unwrap(),
        remote_addr: "10.0.0.1".parse().unwrap(),
        local_port: 40_000,
        remote_port: 2379,
        opened_ns: Some(5),
        closed_ns,
    }
}

#[test]
fn the_other_tables_come_back_sorted_and_merged() {
    let (_store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    recorder.fault(fault(None)).unwrap();
    recorder.connection(connection(None)).unwrap();
    recorder.flush().unwrap();
    recorder.injection(injection(20)).unwrap();
    recorder.injection(injection(10)).unwrap();
    recorder.fault(fault(Some(30))).unwrap();
    recorder.connection(connection(Some(40))).unwrap();
    let node = NodeRow { t_ns: 8, node: "n1".into(), event: "kill".into(), detail: Some("signal 9".to_owned()) };
    recorder.node(node.clone()).unwrap();
    recorder.clock(ClockRow { t_ns: 1, wall_ns: 2 }).unwrap();
    assert_eq!(journal.finish().unwrap().recorded, 8);
    let report = seal(&run).unwrap();
    assert_eq!((report.counts.faults, report.counts.injections, report.counts.connections), (1, 2, 1));
    assert_eq!(report.last_ns, Some(30));
    assert_eq!(read::read_faults(run.path()).unwrap(), [fault(Some(30))]);
    assert_eq!(read::read_injections(run.path()).unwrap(), [injection(10), injection(20)]);
    assert_eq!(read::read_connections(run.path()).unwrap(), [connection(Some(40))]);
    assert_eq!(read::read_nodes(run.path()).unwrap(), [node]);
    assert_eq!(read::read_clocks(run.path()).unwrap(), [ClockRow { t_ns: 1, wall_ns: 2 }]);
    assert!(read_history(run.path()).unwrap().history.is_empty());
}

/// Operations that hang for longer than sealing waits, some for ever, among many short ones.
#[test]
fn operations_that_hang_are_paired_however_late_they_complete() {
    let (_store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let (phase, mut seq) = (Arc::from("faults"), 0);
    let invoke = |op_id: u64, process: i64, seq: &mut u64| {
        let call = Call::Write { key: 1, value: op_id.cast_signed() };
        let (node, t_ns) = (None, seq.cast_signed());
        let event =
            InvokeEvent { op_id, process, node, phase: &phase, call: &call, seq: *seq, t_ns, conn_cookie: Some(7) };
        recorder.invoke(event).unwrap();
        *seq += 1;
    };
    let complete = |op_id: u64, seq: &mut u64, completed: Completed<'_>| {
        let event = CompleteEvent { op_id, seq: *seq, t_ns: seq.cast_signed(), completed, conn_cookie: None };
        recorder.complete(event).unwrap();
        *seq += 1;
    };
    invoke(1_000_000, 900, &mut seq);
    invoke(1_000_001, 901, &mut seq);
    let call = |op_id: u64| Call::Write { key: 1, value: op_id.cast_signed() };
    let count = 150_000_u64;
    for op_id in 0..count {
        invoke(op_id, (op_id % 8).cast_signed(), &mut seq);
        complete(op_id, &mut seq, Completed::Ok(&call(op_id)));
        if op_id == 100_000 {
            complete(1_000_000, &mut seq, Completed::Ok(&call(1_000_000)));
            invoke(1_000_002, 900, &mut seq);
        }
    }
    complete(1_000_002, &mut seq, Completed::Info { code: "timeout", text: "" });
    journal.finish().unwrap();
    let report = seal(&run).unwrap();
    assert_eq!((report.counts.ops, report.open_ops, report.counts.info), (count + 3, 1, 2));
    let history = read_history(run.path()).unwrap().history;
    let ops = history.ops();
    assert_eq!((ops[0].process, ops[0].outcome, ops[0].conn_cookie), (900, Outcome::Ok, Some(7)));
    assert_eq!((ops[1].process, ops[1].outcome, ops[1].complete_seq), (901, Outcome::Info, None));
    let late = ops.iter().find(|op| op.invoke_seq > 2 && op.process == 900).unwrap();
    assert_eq!(late.error_code.as_deref(), Some("timeout"));
    assert!(ops.windows(2).all(|pair| pair[0].invoke_seq < pair[1].invoke_seq));
}

#[test]
fn what_cannot_be_is_refused_when_it_is_recorded() {
    let (_store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let (phase, call) = (Arc::from("final"), Call::Read { key: 8, value: None });
    let event = |seq| InvokeEvent {
        op_id: 0,
        process: 0,
        node: None,
        phase: &phase,
        call: &call,
        seq,
        t_ns: 0,
        conn_cookie: None,
    };
    recorder.invoke(event(5)).unwrap();
    assert!(matches!(recorder.invoke(event(5)), Err(RecordError::OutOfOrder { seq: 5, last: 5, .. })));
    let complete = |completed| CompleteEvent { op_id: 0, seq: 6, t_ns: 0, completed, conn_cookie: None };
    let unknown = recorder.complete(complete(Completed::Ok(&call)));
    assert!(matches!(unknown, Err(RecordError::UnknownRead { key: Some(8), .. })));
    let txn = Call::Txn(vec![Mop::ReadList { key: 9, list: None }]);
    assert!(matches!(
        recorder.complete(complete(Completed::Ok(&txn))),
        Err(RecordError::UnknownRead { key: Some(9), .. })
    ));
    recorder.flush().unwrap();
    assert_eq!(recorder.acknowledged(), Some(5));
    journal.finish().unwrap();
    assert!(matches!(recorder.invoke(event(7)), Err(RecordError::Finished)));
    assert!(recorder.flush().is_ok(), "all that was recorded is written");
}

#[test]
fn a_process_that_goes_on_after_an_info_is_found_when_sealing() {
    let (_store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let (phase, call) = (Arc::from("final"), Call::Write { key: 8, value: 1 });
    for op_id in 0..2_u64 {
        let seq = op_id * 2;
        let event =
            InvokeEvent { op_id, process: 4, node: None, phase: &phase, call: &call, seq, t_ns: 0, conn_cookie: None };
        recorder.invoke(event).unwrap();
        let completed = Completed::Info { code: "timeout", text: "" };
        recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns: 0, completed, conn_cookie: None }).unwrap();
    }
    journal.finish().unwrap();
    let error = seal(&run).unwrap_err();
    assert!(error.to_string().contains("process 4: operation 1 was invoked while operation 0"), "{error}");
    assert!(run.journal_dir().exists(), "a journal that cannot be sealed is kept");
    assert!(matches!(read_history(run.path()), Err(Error::NotSealed { .. })));
}

#[test]
fn recover_seals_a_dead_run_and_leaves_a_finished_one_alone() {
    let (_store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    journal.recorder().clock(ClockRow { t_ns: 51, wall_ns: 2 }).unwrap();
    drop(journal);
    let report = recover(&run).unwrap();
    assert!(!report.was_sealed);
    assert_eq!(Manifest::read(run.path()).unwrap(), report.manifest);
    assert_eq!((report.manifest.state, report.manifest.duration_ns), (RunState::Recovered, Some(50)));
    assert_eq!(report.manifest.reasons[0].code, "RUN_CUT_SHORT");
    assert_eq!(report.manifest.counts.clocks, 1);
    assert!(recover(&run).unwrap().was_sealed);
}

#[test]
fn recover_refuses_a_run_that_is_still_going_on() {
    let (_store, run) = new_run();
    let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut manifest = Manifest::read(run.path()).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.id())).unwrap();
    let start_ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().ok();
    let owner = fissure_history::manifest::Owner {
        pid: sleeper.id(),
        start_ticks,
        ..fissure_history::manifest::Owner::current()
    };
    manifest.owner = Some(owner);
    manifest.write(run.path()).unwrap();
    drop(Journal::create(&run).unwrap());
    let refused = recover(&run);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert!(matches!(refused, Err(Error::OwnerAlive { .. })), "{refused:?}");
    assert!(recover(&run).is_ok());
}
