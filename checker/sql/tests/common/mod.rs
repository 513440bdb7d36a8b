//! Runs made of events, for the tests of this crate.
#![allow(dead_code, reason = "each test target uses its own part of it")]

pub(crate) mod page;
pub(crate) mod sample;

use fissure_checker::Call;
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, Recorder};
use fissure_history::rows::{ClockRow, ConnectionKind, ConnectionRow, Direction, FaultRow, InjectionRow, NodeRow};
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, seal};
use fissure_sql::{Format, Session, format};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A run in a store of its own.
pub(crate) struct SmallRun {
    pub(crate) store: tempfile::TempDir,
    pub(crate) dir: RunDir,
}

/// When an operation was invoked, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) op_id: u64,
    pub(crate) process: i64,
    pub(crate) t_ns: i64,
}

/// The answer as CSV.
pub(crate) fn lines(session: &Session, sql: &str) -> String {
    match session.query(sql) {
        Ok(batches) => format(&batches, Format::Csv).unwrap(),
        Err(error) => panic!("{sql}: {error} ({:?})", error.help()),
    }
}

/// A sealed run with these events. Its folder has a name that DataFusion would take for a pattern.
pub(crate) fn run(record: impl FnOnce(&Recorder)) -> SmallRun {
    let run = unsealed(record);
    seal(&run.dir).unwrap();
    run
}

/// The same, not sealed.
pub(crate) fn unsealed(record: impl FnOnce(&Recorder)) -> SmallRun {
    let store = tempfile::Builder::new().prefix("a [b]*%20 ü").tempdir().unwrap();
    let dir = RunDir::create(store.path(), "test", 1, UNIX_EPOCH).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, started_ns: 10, ..Manifest::default() }.write(dir.path()).unwrap();
    let journal = Journal::create(&dir).unwrap();
    record(&journal.recorder());
    journal.finish().unwrap();
    SmallRun { store, dir }
}

/// A write to key 7 on n1 that came back `ok`, or never.
pub(crate) fn write(recorder: &Recorder, invoke: Moment, complete_ns: Option<i64>, conn_cookie: Option<u64>) {
    let call = Call::Write { key: 7, value: invoke.t_ns };
    let seq = invoke.op_id * 2;
    invoked(recorder, invoke, &call, "n1", seq, conn_cookie);
    if let Some(t_ns) = complete_ns {
        completed(recorder, invoke.op_id, seq + 1, t_ns, Completed::Ok(&call), conn_cookie);
    }
}

fn invoked(recorder: &Recorder, at: Moment, call: &Call, node: &str, seq: u64, conn_cookie: Option<u64>) {
    let (node, phase) = (Arc::from(node), Arc::from("faults"));
    let Moment { op_id, process, t_ns } = at;
    recorder
        .invoke(InvokeEvent { op_id, process, node: Some(&node), phase: &phase, call, seq, t_ns, conn_cookie })
        .unwrap();
}

fn completed(recorder: &Recorder, op_id: u64, seq: u64, t_ns: i64, completed: Completed<'_>, conn_cookie: Option<u64>) {
    recorder.complete(CompleteEvent { op_id, seq, t_ns, completed, conn_cookie }).unwrap();
}

/// A client's connection from 10.0.0.9 to port 2379.
pub(crate) fn connect(recorder: &Recorder, cookie: u64, process: i64, local_port: u16, to: &str) {
    let row = ConnectionRow {
        conn_cookie: Some(cookie),
        process: Some(process),
        node: None,
        kind: ConnectionKind::Client,
        local_addr: "10.0.0.9".parse().unwrap(),
        remote_addr: to.parse().unwrap(),
        local_port,
        remote_port: 2379,
        opened_ns: Some(500),
        closed_ns: None,
    };
    recorder.connection(row).unwrap();
}

/// A packet dropped between that port of 10.0.0.9 and port 2379 of the other address.
pub(crate) fn inject(recorder: &Recorder, t_ns: i64, (port, service): (u16, &str), direction: Direction) {
    let client = ("10.0.0.9".parse().unwrap(), port, Some(Arc::from("c1")));
    let name: &str = if service == "10.0.0.1" { "n1" } else { "n2" };
    let server = (service.parse().unwrap(), 2379, Some(Arc::from(name)));
    let (src, dst) = if direction == Direction::Reply { (server, client) } else { (client, server) };
    let row = InjectionRow {
        t_ns,
        host: Arc::from("n1"),
        cpu: 0,
        event_seq: t_ns as u64 as i64,
        fault_id: 1,
        rule_id: 4,
        revision: 1,
        action: "drop".into(),
        src_addr: src.0,
        dst_addr: dst.0,
        src_port: src.1,
        dst_port: dst.1,
        src_host: src.2,
        dst_host: dst.2,
        protocol: 6,
        tcp_flags: 24,
        tcp_seq: 1,
        length: 60,
        direction,
        conn_ordinal: 1,
        packet_index: 0,
    };
    recorder.injection(row).unwrap();
}

fn fault(recorder: &Recorder, fault_id: i64, name: (&str, &str), span: (i64, Option<i64>), outcome: &str) {
    let row = FaultRow {
        fault_id,
        phase: name.0.to_owned(),
        kind: name.1.to_owned(),
        description: "in words".to_owned(),
        nodes: vec!["n1".to_owned()],
        rules: 1,
        start_ns: span.0,
        stop_ns: span.1,
        kernel_hits: None,
        outcome: outcome.to_owned(),
        error_text: None,
    };
    recorder.fault(row).unwrap();
}

impl SmallRun {
    /// Four operations, three faults, and injections on, beside, before and after the operations' connections.
    pub(crate) fn sealed() -> Self {
        run(Self::events)
    }

    pub(crate) fn open(&self) -> Session {
        Session::open(self.dir.path()).unwrap()
    }

    pub(crate) fn events(recorder: &Recorder) {
        let (read, write) = (Call::Read { key: 7, value: None }, Call::Write { key: 7, value: 1 });
        let at = |op_id, process, t_ns| Moment { op_id, process, t_ns };
        connect(recorder, 11, 0, 40_001, "10.0.0.1");
        connect(recorder, 12, 1, 40_002, "10.0.0.2");
        connect(recorder, 13, 3, 40_003, "10.0.0.1");
        invoked(recorder, at(0, 0, 1_000), &write, "n1", 0, None);
        invoked(recorder, at(1, 1, 1_500), &read, "n2", 1, None);
        completed(recorder, 0, 2, 2_000, Completed::Ok(&write), Some(11));
        // Never completes: it is in flight for ever.
        invoked(recorder, at(2, 0, 3_000), &read, "n1", 3, Some(11));
        completed(recorder, 1, 4, 3_500, Completed::Fail { code: "refused", text: "no" }, Some(12));
        // Has no connection, so no injection is its own.
        invoked(recorder, at(3, 2, 2_000_001_000), &write, "n1", 5, None);
        completed(recorder, 3, 6, 2_000_005_000, Completed::Ok(&write), None);

        fault(recorder, 1, ("cut", "partition"), (1_900, Some(2_900)), "applied");
        fault(recorder, 2, ("stall", "pause"), (2_000_005_000, None), "applied");
        fault(recorder, 3, ("never", "drop"), (1_000, Some(4_000)), "failed");

        let (n1, n2, other) = ((40_001, "10.0.0.1"), (40_002, "10.0.0.2"), (40_003, "10.0.0.1"));
        inject(recorder, 1_000, n1, Direction::Request);
        inject(recorder, 2_000, n1, Direction::Reply);
        inject(recorder, 2_000, n2, Direction::Request);
        // Between operation 0 and operation 2, on another connection, and after the end of operation 1.
        inject(recorder, 2_500, n1, Direction::Request);
        inject(recorder, 1_200, other, Direction::Request);
        inject(recorder, 3_501, n2, Direction::Reply);
        inject(recorder, 5_000_000, n1, Direction::Request);

        let node = NodeRow { t_ns: 20, node: Arc::from("n1"), event: "start".into(), detail: None };
        recorder.node(node).unwrap();
        recorder.clock(ClockRow { t_ns: 10, wall_ns: 1_795_396_568_000_000_000 }).unwrap();
    }
}
