//! Runs that tests report: one with a stale read, one that is valid, one whose fault never fired, one with hostile names.

use crate::input::{ExcerptFile, FaultLine, NodeLine, PacketLine, PacketList, ReportInput};
use fissure_checker::consistency::{Model, Order};
use fissure_checker::finding::LevelVerdict;
use fissure_checker::{
    Call, CheckResult, Edge, EdgeKind, Finding, History, Mop, Operation, Outcome, Reason, Validity, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const STARTED_NS: i64 = 1_000_000_000_000;
const MS: i64 = 1_000_000;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// An operation that was in flight from `from` to `to`, in ms of the run.
fn op(process: i64, node: &str, call: Call, outcome: Outcome, from_ms: i64, to_ms: i64) -> Operation {
    Operation {
        op_id: 0,
        process,
        node: Some(node.into()),
        call,
        invoke_seq: (from_ms * 1_000 + process) as u64 * 2,
        complete_seq: Some((to_ms * 1_000 + process) as u64 * 2 + 1),
        invoke_ns: STARTED_NS + from_ms * MS,
        complete_ns: Some(STARTED_NS + to_ms * MS),
        outcome,
        error_code: (outcome != Outcome::Ok).then(|| "timeout".into()),
        error_text: None,
        conn_cookie: None,
    }
}

fn write(key: i64, value: i64) -> Call {
    Call::Write { key, value }
}

fn read(key: i64, value: i64) -> Call {
    Call::Read { key, value: Some(Some(value)) }
}

fn fault(fault_id: i64, from_ms: i64, to_ms: i64, hits: u64) -> FaultLine {
    FaultLine {
        fault_id,
        name: "isolate the leader".to_owned(),
        kind: "partition".to_owned(),
        description: "isolate n1 (leader) from n2, n3".to_owned(),
        start_ns: from_ms * MS,
        stop_ns: Some(to_ms * MS),
        rules: 4,
        hits,
        kernel_hits: Some(hits as i64),
        error: None,
    }
}

fn packet(at_ms: i64, src: &str, dst: &str, tcp_flags: u8, op_id: Option<u64>) -> PacketLine {
    PacketLine {
        t_ns: at_ms * MS,
        fault_id: 1,
        rule_id: 2,
        src: src.to_owned(),
        dst: dst.to_owned(),
        protocol: "tcp".to_owned(),
        tcp_flags,
        length: 52 + u32::from(tcp_flags) * 4,
        op_id,
    }
}

fn node(at_ms: i64, node: &str, event: &str, detail: Option<&str>) -> NodeLine {
    NodeLine { t_ns: at_ms * MS, node: node.to_owned(), event: event.to_owned(), detail: detail.map(str::to_owned) }
}

/// A valid run: two checkers content, one fault that hit, one process fault.
pub(crate) fn valid() -> ReportInput {
    let ops = vec![
        op(0, "n1", write(7, 3), Outcome::Ok, 1_000, 1_004),
        op(1, "n2", write(7, 4), Outcome::Ok, 12_000, 12_031),
        op(2, "n1", read(7, 4), Outcome::Ok, 12_500, 12_502),
        op(0, "n1", write(8, 5), Outcome::Info, 12_600, 14_600),
    ];
    let mut kill = fault(3, 24_000, 26_000, 0);
    kill.name = "kill one".to_owned();
    kill.kind = "kill".to_owned();
    kill.description = "kill n3".to_owned();
    kill.rules = 0;
    kill.kernel_hits = None;
    let registers = CheckResult {
        checker: "linearizable-register".to_owned(),
        model: "linearizable".to_owned(),
        verdict: Verdict::valid(),
        ops_checked: 3_812,
        reads_checked: 1_204,
        partitions: 8,
        anomaly_types: BTreeSet::new(),
        not: BTreeSet::new(),
        also_not: BTreeSet::new(),
        levels: Vec::new(),
        findings: Vec::new(),
        evidence: "3812 operations on 8 keys, 1204 saw a value, 8 by zones".to_owned(),
    };
    ReportInput {
        scenario: "partition-register".to_owned(),
        run_path: "store/partition-register/2026-11-23T01-02-03Z-s42".to_owned(),
        seed: 42,
        started: "2026-11-23T01:02:03Z".to_owned(),
        started_ns: STARTED_NS,
        duration_s: 31.2,
        kernel: "6.12.9".to_owned(),
        fissure_version: "0.1.0".to_owned(),
        target: "demo (bug stale-reads)".to_owned(),
        nodes: ["n1", "n2", "n3"].map(str::to_owned).to_vec(),
        mechanisms: BTreeMap::from([("n1".to_owned(), "tcx ingress".to_owned())]),
        verdict: Verdict::valid(),
        results: vec![registers],
        history: History::new(ops).expect("the sample keeps the invariants"),
        phases: Vec::new(),
        ops_by_f: BTreeMap::from([("read".to_owned(), [1_204, 40, 31]), ("write".to_owned(), [2_437, 57, 43])]),
        faults: vec![fault(1, 10_000, 14_000, 604), fault(2, 18_000, 22_000, 600), kill],
        hits_per_second: vec![(10, 1, 300), (11, 1, 250), (13, 1, 54), (18, 2, 600)],
        injections: 1_204,
        events_lost: 0,
        node_events: vec![
            node(-900, "n1", "start", None),
            node(0, "n1", "primary", None),
            node(24_000, "n3", "kill", Some("SIGKILL")),
            node(26_000, "n3", "restart", None),
        ],
        packets: BTreeMap::new(),
        excerpts: BTreeMap::new(),
        again: Some("fissure run examples/demo.toml --seed 42".to_owned()),
    }
}

/// A stale read of the deposed leader.
pub(crate) fn invalid() -> ReportInput {
    let mut input = valid();
    // A read of the value that was overwritten, by the cut-off leader.
    let mut ops = input.history.ops().to_vec();
    ops[2].call = read(7, 3);
    input.history = History::new(ops).expect("the sample keeps the invariants");
    let result = &mut input.results[0];
    result.verdict = Verdict::invalid();
    result.anomaly_types = names(&["stale-read"]);
    result.not = names(&["linearizable"]);
    result.findings.push(Finding {
        id: "L-0".to_owned(),
        checker: "linearizable-register".to_owned(),
        anomaly: "stale-read".to_owned(),
        summary: "key 7: read 3 after 4 was acknowledged".to_owned(),
        explanation: vec![
            "Let: R = read of key 7 by process 2 on n1 → 3, invoked 11.500 s, completed 11.502 s;".to_owned(),
            "W = write of 4 to key 7 by process 1 on n2, invoked 11.000 s, completed 11.031 s;".to_owned(),
            "V = write of 3 to key 7 by process 0 on n1, invoked 0.000 s, completed 0.004 s.".to_owned(),
            "Then: W completed at 11.031 s, before R was invoked at 11.500 s; V, the only write of 3 invoked before R \
             completed, had completed at 0.004 s before W was invoked at 11.000 s; so R must see 4 or something newer. \
             However, R saw 3: a contradiction."
                .to_owned(),
        ],
        ops: vec![2, 1, 0],
        key: Some(7),
        cycle: Vec::new(),
    });
    let packets: Vec<PacketLine> = (0..30)
        .map(|i| packet(10_004 + i * 80, if i % 2 == 0 { "n1:7101" } else { "n2:40112" }, "n3:7101", 0x18, None))
        .chain([packet(12_501, "c0:51234", "n1:7100", 0x02, Some(2))])
        .collect();
    input.packets.insert("L-0".to_owned(), PacketList { shown: packets, total: 412 });
    input.verdict = Verdict::invalid().merge(Verdict::unknown(Reason::new(
        "EVENTS_LOST",
        "3 faults were not injected because they could not be reported",
    )));
    input.events_lost = 3;
    input
}

/// A fault that hit nothing, and a checker that gave up.
pub(crate) fn unknown() -> ReportInput {
    let mut input = valid();
    let spent = Reason::new(
        "BUDGET_SPENT",
        "key 3: the budget (5000000 configurations) was spent after 812 of 9000 events: not decided",
    );
    input.results[0].verdict = Verdict::unknown(spent.clone());
    for fault in &mut input.faults[..2] {
        (fault.hits, fault.kernel_hits) = (0, Some(0));
    }
    (input.hits_per_second, input.injections) = (Vec::new(), 0);
    input.verdict = Verdict {
        validity: Validity::Unknown,
        reasons: vec![
            spent,
            Reason::new(
                "FAULT_NEVER_FIRED",
                "`isolate the leader` was in force 2 times and did not hit a single packet",
            ),
        ],
    };
    input
}

/// A cycle of two transactions, with no packet beside it.
pub(crate) fn cycle() -> ReportInput {
    let mut input = invalid();
    let txn = |mops: Vec<Mop>| Call::Txn(mops);
    let ops = vec![
        op(0, "n1", txn(vec![Mop::Append { key: 1, value: 5 }]), Outcome::Ok, 27_000, 27_100),
        op(1, "n2", txn(vec![Mop::ReadList { key: 1, list: Some((0..40).collect()) }]), Outcome::Ok, 27_300, 27_304),
    ];
    input.history = History::new(ops).expect("the sample keeps the invariants");
    input.results.truncate(1);
    let edge = |from, to, kind| Edge { from, to, kind, key: Some(1), value: Some(39), value_next: Some(5) };
    let result = &mut input.results[0];
    (result.checker, result.model) = ("list-append".to_owned(), "strict-serializable".to_owned());
    result.anomaly_types = names(&["G-single-realtime"]);
    (result.not, result.also_not) = (names(&["strict-serializable"]), names(&["strong-session-serializable"]));
    result.findings = vec![Finding {
        id: "G-single-realtime-0".to_owned(),
        checker: "list-append".to_owned(),
        anomaly: "G-single-realtime".to_owned(),
        summary:
            "stale read of key 1: the list up to 39 was seen by a read invoked 200.0 ms after the append of 5 completed"
                .to_owned(),
        explanation: [
            "Let:",
            "  T1 = operation 1, process 1 on n2, ok: read key 1 as [0 1 …]",
            "  T2 = operation 0, process 0 on n1, ok: append 5 to key 1",
            "Then:",
            "  T1 < T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39",
            "  However, T2 < T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a contradiction",
        ]
        .map(str::to_owned)
        .to_vec(),
        ops: vec![1, 0],
        key: Some(1),
        cycle: vec![
            edge(1, 0, EdgeKind::Rw),
            Edge { key: None, value: None, value_next: None, ..edge(0, 1, EdgeKind::Realtime) },
        ],
    }];
    result.levels = levels();
    let path = format!("{}/findings/G-single-realtime-0.edn", input.run_path);
    input.excerpts.insert("G-single-realtime-0".to_owned(), ExcerptFile { path, operations: 3 });
    input.packets.clear();
    input.verdict = Verdict::invalid();
    input.events_lost = 0;
    input
}

/// What holds without the order in real time, and one level that is open.
fn levels() -> Vec<LevelVerdict> {
    let level = |model: Model| {
        let (validity, witness, assumed) = match (model.order(), model.name()) {
            (_, "snapshot-isolation") => (Validity::Unknown, None, vec!["the budget was spent".to_owned()]),
            (Order::Realtime, _) => (Validity::Invalid, Some("G-single-realtime-0".to_owned()), Vec::new()),
            _ => (Validity::Valid, None, vec!["values are unique".to_owned()]),
        };
        LevelVerdict { model, validity, witness, assumed }
    };
    Model::levels().map(level).collect()
}

/// Names and texts that try to leave their place, in every field that holds text.
pub(crate) fn hostile() -> ReportInput {
    const EVIL: &str = "</script><script>alert(1)</script>\"'&\u{1b}[31m\u{7}\u{0}\u{202e}]]>";
    let mut input = invalid();
    let evil = || EVIL.to_owned();
    (input.scenario, input.run_path, input.started, input.kernel) = (evil(), evil(), evil(), evil());
    (input.fissure_version, input.target, input.again) = (evil(), evil(), Some(evil()));
    input.nodes = vec![evil()];
    input.mechanisms = BTreeMap::from([(evil(), evil())]);
    input.phases = vec![evil()];
    input.ops_by_f = BTreeMap::from([(evil(), [1, 2, 3])]);
    input.verdict.reasons = vec![Reason::new(evil(), evil())];
    for fault in &mut input.faults {
        (fault.name, fault.kind, fault.description, fault.error) = (evil(), evil(), evil(), Some(evil()));
    }
    for event in &mut input.node_events {
        (event.node, event.event, event.detail) = (evil(), evil(), Some(evil()));
    }
    for result in &mut input.results {
        (result.checker, result.model, result.evidence) = (evil(), evil(), evil());
        (result.anomaly_types, result.not, result.also_not) = (names(&[EVIL]), names(&[EVIL]), names(&[EVIL]));
        for finding in &mut result.findings {
            (finding.anomaly, finding.summary, finding.explanation) = (evil(), evil(), vec![evil(), evil()]);
        }
    }
    for list in input.packets.values_mut() {
        for packet in &mut list.shown {
            (packet.src, packet.dst, packet.protocol) = (evil(), evil(), evil());
        }
    }
    let mut ops = input.history.ops().to_vec();
    for op in &mut ops {
        (op.node, op.error_code, op.error_text) = (Some(EVIL.into()), Some(EVIL.into()), Some(EVIL.into()));
    }
    input.history = History::new(ops).expect("the sample keeps the invariants");
    input
}

/// A minute of 1 000 operations a second, with every kind of fault and a hundred findings.
pub(crate) fn large() -> ReportInput {
    let mut input = invalid();
    input.duration_s = 60.0;
    let mut state = 88_172_645_463_325_252_u64;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut ops = Vec::new();
    let mut process = [0_i64; 12];
    for (number, at_us) in (0..60_000_u64).map(|number| (number, number * 1_000)) {
        let client = (number % 12) as usize;
        let cut_off = matches!(at_us / 1_000_000, 10..=13 | 18..=21) && client.is_multiple_of(3);
        let outcome = match draw(100) {
            0..30 if cut_off => Outcome::Info,
            30..60 if cut_off => Outcome::Fail,
            0 => Outcome::Fail,
            _ => Outcome::Ok,
        };
        let slow = if outcome == Outcome::Info {
            1_900_000
        } else {
            400 + draw(1_500) + if draw(200) == 0 { draw(10_500) } else { 0 }
        };
        let key = draw(8) as i64;
        let call = if draw(2) == 0 { write(key, number as i64) } else { read(key, draw(number + 1) as i64) };
        let id = process[client] * 12 + client as i64;
        let mut one = op(id, ["n1", "n2", "n3"][client % 3], call, outcome, 0, 0);
        (one.invoke_ns, one.complete_ns) =
            (STARTED_NS + at_us as i64 * 1_000, Some(STARTED_NS + (at_us + slow.min(11_900)) as i64 * 1_000));
        if outcome == Outcome::Info {
            one.complete_ns = Some(STARTED_NS + (at_us + slow) as i64 * 1_000);
            process[client] += 1;
        }
        (one.invoke_seq, one.complete_seq) = (number * 40, Some(number * 40 + 13));
        ops.push(one);
    }
    input.history = History::new(ops).expect("the sample keeps the invariants");
    input.phases = (0..60_000)
        .map(|number| {
            if number < 3_000 {
                "warm-up"
            } else if number < 55_000 {
                "faults"
            } else {
                "heal"
            }
            .to_owned()
        })
        .collect();
    let first = input.results[0].findings[0].clone();
    let list = input.packets.remove("L-0").expect("it has packets");
    input.results[0].findings = (0..100_u64)
        .map(|number| {
            let at = 10_500 + number * 90;
            Finding {
                id: format!("L-{number}"),
                ops: vec![at + 900, at + 210, at],
                key: Some((number % 8) as i64),
                ..first.clone()
            }
        })
        .collect();
    for number in 0..100 {
        let mut list = list.clone();
        list.shown = list.shown.iter().cycle().take(200).cloned().collect();
        for (place, packet) in list.shown.iter_mut().enumerate() {
            packet.t_ns = (10_500 + number * 90 + place as i64 * 4) * MS;
        }
        input.packets.insert(format!("L-{number}"), list);
    }
    input.hits_per_second = vec![(10, 1, 300), (11, 1, 250), (13, 1, 54), (18, 2, 600), (19, 2, 3), (20, 2, 3)];
    input
}
