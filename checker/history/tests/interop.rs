//! Other readers see the same: a sealed run is read with DuckDB, Polars and pandas, and every cell compared.
//!
//! `FISSURE_PYTHON` is a Python that has them; `cargo xtask test` makes one.

mod common;

use common::new_run;
use fissure_checker::{Call, LogRecord, Mop, Operation, OtherCall, Outcome};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, Recorder};
use fissure_history::rows::{ClockRow, ConnectionKind, ConnectionRow, Direction, FaultRow, InjectionRow, NodeRow};
use fissure_history::{RunDir, Table, read_history, seal};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

/// Every kind of call, told its result.
fn calls() -> Vec<Call> {
    let (key, value) = (3, 5);
    let elements = Some(vec![7, 7, i64::MIN, i64::MAX]);
    let records =
        vec![LogRecord { key: 1, offset: Some(0), value: Some(9) }, LogRecord { key: 2, offset: None, value: None }];
    let mops = vec![
        Mop::Append { key, value },
        Mop::ReadList { key, list: Some(vec![1, 2, 5]) },
        Mop::ReadList { key: 4, list: Some(Vec::new()) },
        Mop::Write { key, value },
        Mop::Read { key, value: Some(Some(-1)) },
        Mop::Read { key, value: Some(None) },
        Mop::Send { key, value, offset: Some(12) },
        Mop::Poll { records: Some(records) },
        Mop::Insert { key, value },
        Mop::Delete { key },
        Mop::ReadPredicate { predicate: 8, matched: Some(vec![(1, 2), (3, 4)]) },
    ];
    vec![
        Call::Read { key, value: Some(Some(i64::MAX)) },
        Call::Read { key, value: Some(None) },
        Call::Write { key, value: i64::MIN },
        Call::Cas { key, expected: 1, value: 2 },
        Call::Txn(mops),
        Call::Txn(Vec::new()),
        Call::Add { key, value },
        Call::ReadSet { key, elements: elements.clone() },
        Call::ReadSet { key, elements: Some(Vec::new()) },
        Call::Append { key, value },
        Call::Enqueue { key, value },
        Call::Dequeue { key, value: Some(Some(value)) },
        Call::Drain { key, elements },
        Call::Push { key, value },
        Call::Pop { key, value: Some(None) },
        Call::Acquire { key, value: Some(77) },
        Call::Release { key, value: None },
        Call::Generate { key, value: Some(1) },
        Call::Transfer { from: 1, to: 2, amount: 30 },
        Call::ReadBalances { balances: Some(vec![(1, Some(-4)), (2, None)]) },
        Call::Subscribe { keys: vec![1, 2] },
        Call::Assign { keys: Vec::new() },
        Call::Other(Box::new(OtherCall { f: "nap".into(), value: Some("{:for 3}".into()) })),
    ]
}

/// The columns of a call, by hand from `docs/history-schema.md`.
fn call_columns(call: &Call) -> Value {
    match call {
        Call::Read { key, value } => json!({"key": key, "value": value.flatten()}),
        Call::Write { key, value }
        | Call::Add { key, value }
        | Call::Append { key, value }
        | Call::Enqueue { key, value }
        | Call::Push { key, value } => json!({"key": key, "value": value}),
        Call::Dequeue { key, value } | Call::Pop { key, value } => json!({"key": key, "value": value.flatten()}),
        Call::Acquire { key, value } | Call::Release { key, value } | Call::Generate { key, value } => {
            json!({"key": key, "value": value})
        }
        Call::Cas { key, expected, value } => json!({"key": key, "expected": expected, "value": value}),
        Call::Txn(mops) => json!({"mops": mops.iter().map(mop_columns).collect::<Vec<_>>()}),
        Call::Drain { key, elements } => json!({"key": key, "elements": elements}),
        // What tells these reads from those of registers is that the column is not null, also where nothing is known.
        Call::ReadSet { key, elements } => json!({"key": key, "elements": elements.as_deref().unwrap_or(&[])}),
        Call::Transfer { from, to, amount } => json!({"key": from, "to_key": to, "value": amount}),
        Call::ReadBalances { balances } => {
            let one = |(account, balance): &(i64, Option<i64>)| json!({"account": account, "balance": balance});
            json!({"balances": balances.iter().flatten().map(one).collect::<Vec<_>>()})
        }
        Call::Subscribe { keys } | Call::Assign { keys } => json!({"elements": keys}),
        Call::Other(other) => json!({"value_text": other.value.as_deref()}),
    }
}

fn mop_columns(mop: &Mop) -> Value {
    let record =
        |key: i64, offset: Option<i64>, value: Option<i64>| json!({"key": key, "offset": offset, "value": value});
    let told = match mop {
        Mop::Append { key, value } => json!({"f": "append", "key": key, "value": value}),
        Mop::ReadList { key, list } => json!({"f": "r", "key": key, "list": list}),
        Mop::Write { key, value } => json!({"f": "w", "key": key, "value": value}),
        Mop::Read { key, value } => json!({"f": "rr", "key": key, "value": value.flatten()}),
        Mop::Send { key, value, offset } => json!({"f": "send", "key": key, "value": value, "offset": offset}),
        Mop::Poll { records } => {
            let one = |r: &LogRecord| record(r.key, r.offset, r.value);
            json!({"f": "poll", "records": records.as_ref().map(|all| all.iter().map(one).collect::<Vec<_>>())})
        }
        Mop::Insert { key, value } => json!({"f": "insert", "key": key, "value": value}),
        Mop::Delete { key } => json!({"f": "delete", "key": key}),
        Mop::ReadPredicate { predicate, matched } => {
            let one = |(key, value): &(i64, i64)| record(*key, None, Some(*value));
            json!({"f": "rp", "value": predicate, "records": matched.as_ref().map(|all| all.iter().map(one).collect::<Vec<_>>())})
        }
    };
    filled(&["f", "key", "value", "list", "offset", "records"], told)
}

/// An object with all `columns`; those that `some` lacks are null.
fn filled(columns: &[&str], some: Value) -> Value {
    let all: Map<String, Value> = columns.iter().map(|name| ((*name).to_owned(), some[name].clone())).collect();
    let known = some.as_object().is_some_and(|some| some.keys().all(|key| all.contains_key(key)));
    assert!(known, "{some} has other columns than {columns:?}");
    Value::Object(all)
}

fn op_columns(op: &Operation, phase: &str) -> Value {
    let mut row = call_columns(&op.call);
    let more = json!({
        "op_id": op.op_id, "process": op.process, "node": op.node.as_deref(), "phase": phase, "f": op.call.f(),
        "outcome": op.outcome.name(), "invoke_seq": op.invoke_seq, "complete_seq": op.complete_seq,
        "invoke_ns": op.invoke_ns, "complete_ns": op.complete_ns, "error_code": op.error_code.as_deref(),
        "error_text": op.error_text.as_deref(), "conn_cookie": op.conn_cookie.map(u64::cast_signed),
    });
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    let schema = Table::Ops.schema();
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    filled(&columns, row)
}

/// Records every call once with each outcome, and says what the rows of `ops` must be.
fn record_ops(recorder: &Recorder) -> Vec<Value> {
    let (node, phase): (Arc<str>, Arc<str>) = (Arc::from("n1"), Arc::from("faults"));
    let mut rows = Vec::new();
    for (place, call) in calls().iter().flat_map(|call| [call; 2]).enumerate() {
        let op_id = place as u64;
        let (process, seq, t_ns) = (op_id.cast_signed(), op_id * 2, op_id.cast_signed() * 1_000);
        let node = place.is_multiple_of(3).then_some(&node);
        let asked = &unknown(call);
        recorder
            .invoke(InvokeEvent { op_id, process, node, phase: &phase, call: asked, seq, t_ns, conn_cookie: None })
            .unwrap();
        let mut op = Operation {
            op_id,
            process,
            node: node.cloned(),
            call: call.clone(),
            invoke_seq: seq,
            complete_seq: None,
            invoke_ns: t_ns,
            complete_ns: None,
            outcome: Outcome::Info,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        };
        // The second of each pair is told nothing; one in five of them never completes.
        let told = place.is_multiple_of(2);
        if told || !place.is_multiple_of(5) {
            let completed = if told {
                Completed::Ok(call)
            } else {
                Completed::Info { code: "timeout", text: "no answer, \"ever\" \u{1f980}" }
            };
            let (complete_seq, complete_ns, conn_cookie) = (seq + 1, t_ns + 500, Some(u64::MAX - op_id));
            recorder
                .complete(CompleteEvent { op_id, seq: complete_seq, t_ns: complete_ns, completed, conn_cookie })
                .unwrap();
            (op.complete_seq, op.complete_ns, op.conn_cookie) = (Some(complete_seq), Some(complete_ns), conn_cookie);
        }
        match (told, op.complete_seq) {
            (true, _) => op.outcome = Outcome::Ok,
            (false, Some(_)) => {
                op.error_code = Some("timeout".into());
                op.error_text = Some("no answer, \"ever\" \u{1f980}".into());
            }
            (false, None) => {}
        }
        if !told {
            op.call = asked.clone();
        }
        rows.push(op_columns(&op, &phase));
    }
    rows
}

/// The call as an invocation has it: nothing is known of its results.
fn unknown(call: &Call) -> Call {
    match call.clone() {
        Call::Read { key, .. } => Call::Read { key, value: None },
        Call::ReadSet { key, .. } => Call::ReadSet { key, elements: None },
        Call::Dequeue { key, .. } => Call::Dequeue { key, value: None },
        Call::Drain { key, .. } => Call::Drain { key, elements: None },
        Call::Pop { key, .. } => Call::Pop { key, value: None },
        Call::Acquire { key, .. } => Call::Acquire { key, value: None },
        Call::Generate { key, .. } => Call::Generate { key, value: None },
        Call::ReadBalances { .. } => Call::ReadBalances { balances: None },
        Call::Txn(mops) => Call::Txn(
            mops.into_iter()
                .map(|mop| match mop {
                    Mop::ReadList { key, .. } => Mop::ReadList { key, list: None },
                    Mop::Read { key, .. } => Mop::Read { key, value: None },
                    Mop::Send { key, value, .. } => Mop::Send { key, value, offset: None },
                    Mop::Poll { .. } => Mop::Poll { records: None },
                    Mop::ReadPredicate { predicate, .. } => Mop::ReadPredicate { predicate, matched: None },
                    other => other,
                })
                .collect(),
        ),
        other => other,
    }
}

/// Records rows of the other tables, and says what they must be.
fn record_tables(recorder: &Recorder) -> BTreeMap<&'static str, Vec<Value>> {
    recorder
        .fault(FaultRow {
            fault_id: 1,
            phase: "cut \"it\"".to_owned(),
            kind: "partition".to_owned(),
            description: "n1 | n2, n3".to_owned(),
            nodes: vec!["n1".to_owned(), "n2".to_owned()],
            rules: 4,
            start_ns: 10,
            stop_ns: None,
            kernel_hits: Some(3),
            outcome: "applied".to_owned(),
            error_text: None,
        })
        .unwrap();
    recorder
        .injection(InjectionRow {
            t_ns: 11,
            host: "n2".into(),
            cpu: 1,
            event_seq: 9,
            fault_id: 1,
            rule_id: 4,
            revision: 5,
            action: "drop".into(),
            src_addr: "10.0.0.1".parse().unwrap(),
            dst_addr: "fd00::2".parse().unwrap(),
            src_port: 40_000,
            dst_port: 2379,
            src_host: Some("n1".into()),
            dst_host: None,
            protocol: 6,
            tcp_flags: 0x18,
            tcp_seq: u32::MAX,
            length: 60,
            direction: Direction::Request,
            conn_ordinal: 2,
            packet_index: 7,
        })
        .unwrap();
    recorder
        .connection(ConnectionRow {
            conn_cookie: Some(u64::MAX),
            process: Some(1),
            node: None,
            kind: ConnectionKind::Client,
            local_addr: "10.0.0.9".parse().unwrap(),
            remote_addr: "10.0.0.1".parse().unwrap(),
            local_port: 40_000,
            remote_port: 2379,
            opened_ns: Some(5),
            closed_ns: None,
        })
        .unwrap();
    recorder.node(NodeRow { t_ns: 3, node: "n1".into(), event: "start".into(), detail: None }).unwrap();
    recorder.clock(ClockRow { t_ns: 1, wall_ns: 1_795_000_000_000_000_000 }).unwrap();
    BTreeMap::from([
        (
            "faults",
            vec![json!({
                "fault_id": 1, "phase": "cut \"it\"", "kind": "partition", "description": "n1 | n2, n3", "nodes": ["n1", "n2"],
                "rules": 4, "start_ns": 10, "stop_ns": null, "kernel_hits": 3, "outcome": "applied", "error_text": null,
            })],
        ),
        (
            "injections",
            vec![json!({
                "t_ns": 11, "host": "n2", "cpu": 1, "event_seq": 9, "fault_id": 1, "rule_id": 4, "revision": 5, "action": "drop",
                "src_addr": "10.0.0.1", "dst_addr": "fd00::2", "src_port": 40_000, "dst_port": 2379, "src_host": "n1",
                "dst_host": null, "protocol": "tcp", "tcp_flags": 0x18, "tcp_seq": u32::MAX, "length": 60,
                "direction": "request", "conn_ordinal": 2, "packet_index": 7,
            })],
        ),
        (
            "connections",
            vec![json!({
                "conn_cookie": -1, "process": 1, "node": null, "kind": "client", "local_addr": "10.0.0.9",
                "remote_addr": "10.0.0.1", "local_port": 40_000, "remote_port": 2379, "opened_ns": 5, "closed_ns": null,
            })],
        ),
        ("nodes", vec![json!({"t_ns": 3, "node": "n1", "event": "start", "detail": null})]),
        ("clocks", vec![json!({"t_ns": 1, "wall_ns": 1_795_000_000_000_000_000_i64})]),
    ])
}

fn read_with_python(run: &RunDir) -> Value {
    let python = std::env::var_os("FISSURE_PYTHON").expect("FISSURE_PYTHON: `cargo xtask test` sets it");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/read.py");
    let output = Command::new(python).arg(script).arg(run.history_dir()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows in an order that does not depend on who read them.
fn sorted(rows: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn duckdb_polars_and_pandas_see_every_cell_as_it_was_recorded() {
    let (_store, run) = new_run();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let mut expected = record_tables(&recorder);
    expected.insert("ops", record_ops(&recorder));
    expected.insert("names", Vec::new());
    journal.finish().unwrap();
    seal(&run).unwrap();
    let seen = read_with_python(&run);
    for engine in ["duckdb", "polars", "pandas"] {
        let tables = seen[engine].as_object().unwrap();
        assert_eq!(tables.keys().map(String::as_str).collect::<Vec<_>>(), expected.keys().copied().collect::<Vec<_>>());
        for (table, rows) in &expected {
            let seen = sorted(tables[*table].as_array().unwrap());
            for (seen, expected) in seen.iter().zip(sorted(rows)) {
                assert_eq!(*seen, expected, "{engine} reads {table}");
            }
            assert_eq!(seen.len(), rows.len(), "{engine} reads {table}");
        }
    }
    // And so does our own reader.
    let own = read_history(run.path()).unwrap();
    let own: Vec<Value> = own.history.ops().iter().map(|op| op_columns(op, "faults")).collect();
    assert_eq!(sorted(&own), sorted(&expected["ops"]));
}
