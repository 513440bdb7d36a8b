//! A store of six runs of two scenarios, made up but consistent: what the questions of `docs/sql.md` are asked of.
//!
//! Five nodes, ten clients, thirty seconds. The nodes agree on one order of everything, but a leader that is cut off keeps
//! answering reads from what it knew (the bug to be found) until the cut is healed. Operations on a node that is cut off
//! time out, packets that are dropped are sent again after 200 ms, a client whose operation timed out comes back as a new
//! process with a new connection. Everything is drawn from the seed: the same store every time, on every machine.

use fissure_checker::{Call, Mop};
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, Recorder};
use fissure_history::manifest::Counts;
use fissure_history::rows::{ClockRow, ConnectionKind, ConnectionRow, Direction, FaultRow, InjectionRow, NodeRow};
use fissure_history::{Manifest, RunDir, RunState, SCHEMA_VERSION, seal};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
/// Start of every run on its clock.
const START: i64 = 100 * SECOND;
const END: i64 = START + 30 * SECOND;
/// 2026-11-02T08:00:00Z.
const FIRST_RUN_WALL_S: u64 = 1_793_606_400;
const CLIENTS: i64 = 10;
const NODES: i64 = 5;
const TIMEOUT: i64 = SECOND;

/// Scenario, seed, and whether its operations are transactions.
const RUNS: [(&str, u64, bool); 6] = [
    ("register", 1, false),
    ("register", 2, false),
    ("register", 3, false),
    ("register", 4, false),
    ("list-append", 7, true),
    ("list-append", 8, true),
];

/// Knuth's generator: plain, and the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as i64
    }

    /// About `typical`, now and then a multiple of it.
    fn around(&mut self, typical: i64) -> i64 {
        let spread = typical * 3 / 4 + self.below(typical / 2 + 1);
        match self.below(40) {
            0 => spread * (3 + self.below(6)),
            1..=4 => spread * 2,
            _ => spread,
        }
    }
}

#[derive(Clone)]
struct Fault {
    id: i64,
    name: &'static str,
    kind: &'static str,
    node: i64,
    start: i64,
    stop: i64,
    hits: i64,
}

/// One operation before it has a number.
struct Planned {
    process: i64,
    node: i64,
    cookie: u64,
    invoke: i64,
    complete: Option<i64>,
    /// The moment at which it takes effect; none: it does not.
    effect: Option<i64>,
    /// It reads what a leader knew that was cut off at that moment.
    stale_since: Option<i64>,
    error: Option<(bool, &'static str, &'static str)>,
    call: Call,
}

/// Makes the store and returns its folder.
pub(crate) fn store(folder: &Path) {
    for (number, (scenario, seed, transactions)) in RUNS.iter().enumerate() {
        run(folder, number as u64, scenario, *seed, *transactions);
    }
}

fn run(folder: &Path, number: u64, scenario: &str, seed: u64, transactions: bool) {
    let wall_s = FIRST_RUN_WALL_S + number * 600;
    let dir = RunDir::create(folder, scenario, seed, UNIX_EPOCH + Duration::from_secs(wall_s)).unwrap();
    let mut manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        scenario: scenario.to_owned(),
        seed,
        started: format!("2026-11-02T08:{:02}:00Z", number * 10),
        started_wall_ns: wall_s as i64 * SECOND,
        started_ns: START,
        duration_ns: Some(END - START),
        target: "demo".to_owned(),
        nodes: (1..=NODES).map(|node| format!("n{node}")).collect(),
        ..Manifest::default()
    };
    manifest.write(dir.path()).unwrap();
    let mut run = Run::new(seed, transactions);
    run.simulate();
    let journal = Journal::create(&dir).unwrap();
    let stale = run.record(&journal.recorder());
    journal.finish().unwrap();
    seal(&dir).unwrap();
    let never_fired = run.faults.iter().any(|fault| fault.kind != "pause" && fault.hits == 0);
    let verdict = match (&stale, never_fired) {
        (Some(_), _) => "invalid",
        (None, true) => "unknown",
        (None, false) => "valid",
    };
    std::fs::write(dir.file("results.json"), results(verdict, stale, transactions)).unwrap();
    let of = |outcome| run.outcomes.get(outcome).copied().unwrap_or(0);
    manifest.counts = Counts {
        ops: run.ops.len() as u64,
        ok: of("ok"),
        fail: of("fail"),
        info: of("info"),
        faults: run.faults.len() as u64,
        injections: run.injections.len() as u64,
        ..Counts::default()
    };
    manifest.verdict = Some(verdict.to_owned());
    manifest.state = RunState::Sealed;
    manifest.write(dir.path()).unwrap();
}

/// What a stale read was: the operation, the one whose write it missed, and the key.
struct Stale {
    read: u64,
    missed: u64,
    key: i64,
}

fn results(verdict: &str, stale: Option<Stale>, transactions: bool) -> String {
    let Some(Stale { read, missed, key }) = stale else {
        return format!(r#"{{"schema_version": 1, "verdict": "{verdict}", "findings": []}}"#);
    };
    let (id, checker, anomaly) = if transactions {
        ("G-single-realtime-0", "list-append", "G-single-realtime")
    } else {
        ("L-0", "linearizable-register", "nonlinearizable")
    };
    let (cycle, levels) = if transactions { (cycle(read, missed, key), LEVELS) } else { (String::new(), "") };
    format!(
        r#"{{"schema_version": 1, "verdict": "{verdict}", "checks": [{{"checker": "{checker}", "levels": [{levels}]}}],
        "findings": [{{"id": "{id}", "checker": "{checker}",
        "anomaly": "{anomaly}", "summary": "operation {read} did not see what operation {missed} wrote to key {key}",
        "explanation": [], "key": {key}, "ops": [{missed}, {read}], "cycle": [{cycle}]}}]}}"#
    )
}

/// What the answers at some levels look like.
const LEVELS: &str = r#"{"model": "serializable", "valid": true, "witness": null, "assumed": ["a value is appended once"]},
    {"model": "strict-serializable", "valid": false, "witness": "G-single-realtime-0", "assumed": []}"#;

/// A read that missed what had been written before it began.
fn cycle(read: u64, missed: u64, key: i64) -> String {
    format!(
        r#"{{"from": {read}, "to": {missed}, "kind": "rw", "key": {key}, "value": null, "value_next": null}},
        {{"from": {missed}, "to": {read}, "kind": "realtime", "key": null, "value": null, "value_next": null}}"#
    )
}

struct Run {
    draw: Draw,
    transactions: bool,
    faults: Vec<Fault>,
    /// When the leader changed, and to which node.
    leaders: Vec<(i64, i64)>,
    ops: Vec<Planned>,
    connections: Vec<ConnectionRow>,
    injections: Vec<InjectionRow>,
    outcomes: BTreeMap<&'static str, u64>,
}

impl Run {
    /// Odd seeds cut the leader off, even ones a follower. Seed 4 drops packets of a node to which nobody talks.
    fn new(seed: u64, transactions: bool) -> Self {
        let mut draw = Draw(seed);
        let cut = if seed % 2 == 1 { 1 } else { 2 + draw.below(NODES - 1) };
        let at = |s: i64, ms: i64| START + s * SECOND + ms * MS;
        let jitter = draw.below(400);
        let fault = |id, name, kind, node, (start, stop)| Fault { id, name, kind, node, start, stop, hits: 0 };
        let lossy = if seed == 4 { 9 } else { 1 + draw.below(NODES) };
        let faults = vec![
            fault(1, "cut", "partition", cut, (at(6, jitter), at(10, jitter))),
            fault(2, "lossy", "drop", lossy, (at(13, 0), at(16, 0))),
            fault(3, "stall", "pause", 1 + draw.below(NODES), (at(18, jitter), at(19, jitter))),
            fault(4, "cut-again", "partition", 1 + cut % NODES, (at(22, 0), at(24, jitter))),
        ];
        let mut leaders = vec![(at(0, 420), 1)];
        for fault in faults.iter().filter(|fault| fault.kind == "partition") {
            if leaders.last().is_some_and(|(_, leader)| *leader == fault.node) {
                leaders.push((fault.start + 1_200 * MS, 1 + (fault.node + 1) % NODES));
            }
        }
        let (ops, connections, injections) = (Vec::new(), Vec::new(), Vec::new());
        Self { draw, transactions, faults, leaders, ops, connections, injections, outcomes: BTreeMap::new() }
    }

    fn leader(&self, t: i64) -> i64 {
        self.leaders.iter().rev().find(|(since, _)| *since <= t).map_or(0, |(_, leader)| *leader)
    }

    /// The fault of that kind on the node at that moment.
    fn fault(&self, kind: &str, node: i64, t: i64) -> Option<usize> {
        self.faults.iter().position(|f| f.kind == kind && f.node == node && f.start <= t && t < f.stop)
    }

    fn simulate(&mut self) {
        for client in 0..CLIENTS {
            self.client(client);
        }
        self.heartbeats();
        self.ops.sort_by_key(|op| (op.invoke, op.process));
        self.injections.sort_by_key(|row| row.t_ns);
        for (number, row) in self.injections.iter_mut().enumerate() {
            row.event_seq = number as i64;
        }
        self.values();
    }

    /// One client's thirty seconds.
    fn client(&mut self, client: i64) {
        let node = 1 + client % NODES;
        let (mut process, mut now) = (client, START + 500 * MS + client * 3 * MS);
        let (mut cookie, mut port) = self.connect(process, node, now);
        let mut value = 0;
        while now < END - 2 * SECOND {
            now += 8 * MS + self.draw.below(50 * MS);
            value += 1;
            let call = self.call(client, value);
            let is_read = matches!(call, Call::Read { .. });
            let mut op = Planned {
                process,
                node,
                cookie,
                invoke: now,
                complete: None,
                effect: None,
                stale_since: None,
                error: None,
                call,
            };
            let timed_out = self.flight(&mut op, is_read, port);
            now = op.complete.unwrap_or(now + TIMEOUT);
            self.ops.push(op);
            if timed_out {
                // Nobody knows what became of it: the process is retired and its connection closed.
                let closing = self.connections.len() - 1;
                self.connections[closing].closed_ns = Some(now);
                process += CLIENTS;
                (cookie, port) = self.connect(process, node, now + MS);
            }
        }
    }

    fn connect(&mut self, process: i64, node: i64, t: i64) -> (u64, u16) {
        let number = self.connections.len() as u64;
        let (cookie, port) = (5_000 + number, 40_000 + number as u16);
        self.connections.push(ConnectionRow {
            conn_cookie: Some(cookie),
            process: Some(process),
            node: Some(Arc::from(format!("n{node}"))),
            kind: ConnectionKind::Client,
            local_addr: "10.0.0.9".parse().unwrap(),
            remote_addr: format!("10.0.0.{node}").parse().unwrap(),
            local_port: port,
            remote_port: 2379,
            opened_ns: Some(t),
            closed_ns: None,
        });
        (cookie, port)
    }

    fn call(&mut self, client: i64, value: i64) -> Call {
        // Key 0 is hot.
        let key = (self.draw.below(8) - 3).max(0);
        let value = value * CLIENTS + client;
        if self.transactions {
            let (count, only_reads) = (1 + self.draw.below(3), self.draw.below(2) == 0);
            let mops = (0..count).map(|at| {
                // A key is given up after a while, so that its list stays short.
                let key = (self.draw.below(8) - 3).max(0) + 10 * (value / (CLIENTS * 60));
                let value = value * 4 + at;
                let append = !only_reads && self.draw.below(3) > 0;
                if append { Mop::Append { key, value } } else { Mop::ReadList { key, list: None } }
            });
            return Call::Txn(mops.collect());
        }
        match self.draw.below(10) {
            0..=4 => Call::Read { key, value: None },
            5..=8 => Call::Write { key, value },
            _ => Call::Cas { key, expected: self.draw.below(40), value },
        }
    }

    /// What becomes of an operation on its way; whether it timed out.
    fn flight(&mut self, op: &mut Planned, is_read: bool, port: u16) -> bool {
        let mut latency = self.draw.around(3 * MS + if is_read { 0 } else { 2 * MS });
        if let Some(fault) = self.fault("pause", op.node, op.invoke) {
            latency += self.faults[fault].stop - op.invoke;
        }
        if let Some(fault) = self.fault("drop", op.node, op.invoke) {
            // The first tries may be lost; each is made again after 200 ms, 400 ms, …
            let (mut tries, mut wait) = (0, 200 * MS);
            while self.draw.below(10) < 3 && tries < 3 {
                self.drop_packet(fault, op.invoke + latency - 2 * MS, (op.node, port), Direction::Request, 180);
                latency += wait;
                (tries, wait) = (tries + 1, wait * 2);
            }
        }
        if let Some(fault) = self.fault("partition", op.node, op.invoke) {
            let leads = self.faults[fault].id == 1 && op.node == self.leader(self.faults[fault].start);
            // Clients still reach a leader that was cut off from the others, and it still answers reads.
            if leads {
                if is_read || self.transactions && reads_only(&op.call) {
                    op.stale_since = Some(self.faults[fault].start);
                } else {
                    return self.time_out(op);
                }
            } else {
                for after in [0, 200 * MS, 600 * MS] {
                    let way = if self.draw.below(4) == 0 { Direction::Reply } else { Direction::Request };
                    if op.invoke + after < self.faults[fault].stop {
                        self.drop_packet(
                            fault,
                            op.invoke + after + 90_000,
                            (op.node, port),
                            way,
                            120 + self.transactions as u32 * 90,
                        );
                    }
                }
                return self.time_out(op);
            }
        }
        if self.leader(op.invoke) == 0 || self.electing(op.invoke) && !is_read && op.stale_since.is_none() {
            op.complete = Some(op.invoke + latency);
            op.error = Some((false, "no-leader", "the nodes have no leader"));
            return false;
        }
        op.effect = Some(op.invoke + latency / 2);
        op.complete = Some(op.invoke + latency);
        if latency >= TIMEOUT {
            return self.time_out(op);
        }
        false
    }

    /// Whether the leader was cut off and the others have not agreed on a new one yet.
    fn electing(&self, t: i64) -> bool {
        let cut = |fault: &&Fault| fault.kind == "partition" && fault.start <= t && t < fault.start + 1_200 * MS;
        self.faults.iter().filter(cut).any(|fault| self.leader(fault.start) == fault.node)
    }

    fn time_out(&mut self, op: &mut Planned) -> bool {
        op.complete = Some(op.invoke + TIMEOUT);
        op.error = Some((true, "timeout", "no answer within 1 s"));
        // It may take effect all the same.
        op.effect = op.effect.filter(|_| self.draw.below(2) == 0);
        true
    }

    fn drop_packet(&mut self, fault: usize, t: i64, (node, port): (i64, u16), direction: Direction, length: u32) {
        let client = ("10.0.0.9".parse().unwrap(), port, Some(Arc::from("c1")));
        let service = (format!("10.0.0.{node}").parse().unwrap(), 2379, Some(Arc::from(format!("n{node}"))));
        let (src, dst) = if direction == Direction::Reply { (service, client) } else { (client, service) };
        self.inject(fault, t, (src, dst), direction, length);
    }

    fn inject(&mut self, fault: usize, t: i64, (src, dst): (End, End), direction: Direction, length: u32) {
        self.faults[fault].hits += 1;
        let fault_id = self.faults[fault].id;
        self.injections.push(InjectionRow {
            t_ns: t,
            host: dst.2.clone().unwrap(),
            cpu: 0,
            event_seq: 0,
            fault_id,
            rule_id: fault_id * 10,
            revision: fault_id,
            action: "drop".into(),
            src_addr: src.0,
            dst_addr: dst.0,
            src_port: src.1,
            dst_port: dst.1,
            src_host: src.2,
            dst_host: dst.2,
            protocol: 6,
            tcp_flags: 24,
            tcp_seq: (t / MS) as u32,
            length,
            direction,
            conn_ordinal: 1,
            packet_index: self.injections.len() as i64,
        });
    }

    /// Nodes speak to each other ten times a second; what meets a cut is lost.
    fn heartbeats(&mut self) {
        for fault in 0..self.faults.len() {
            let Fault { kind, node, start, stop, .. } = self.faults[fault].clone();
            if kind != "partition" {
                continue;
            }
            for beat in 0..(stop - start) / (100 * MS) {
                for other in (1..=NODES).filter(|other| *other != node) {
                    let end = |node: i64, port: u16| -> End {
                        (format!("10.0.0.{node}").parse().unwrap(), port, Some(Arc::from(format!("n{node}"))))
                    };
                    let ends = (end(other, 50_000 + other as u16), end(node, 2380));
                    let t = start + beat * 100 * MS + other * 7_000;
                    self.inject(fault, t, ends, Direction::Request, 84);
                }
            }
        }
    }

    /// Lets the operations take effect in the order of their moments, and tells them what they saw.
    fn values(&mut self) {
        let mut order: Vec<usize> = (0..self.ops.len()).filter(|op| self.ops[*op].effect.is_some()).collect();
        order.sort_by_key(|op| (self.ops[*op].effect, *op));
        let mut registers = Registers::new();
        let mut lists = Lists::new();
        // What the leader that was cut off knew: as it was when the cut began.
        let mut frozen: Option<(Registers, Lists)> = None;
        let cut = self.faults[0].start;
        for at in order {
            let op = &mut self.ops[at];
            if frozen.is_none() && op.effect.is_some_and(|t| t >= cut) {
                frozen = Some((registers.clone(), lists.clone()));
            }
            let stale = frozen.as_ref().filter(|_| op.stale_since.is_some());
            let (seen, seen_lists) = stale.map_or((&registers, &lists), |(registers, lists)| (registers, lists));
            match &mut op.call {
                Call::Read { key, value } => *value = Some(seen.get(key).copied()),
                Call::Write { key, value } => {
                    registers.insert(*key, *value);
                }
                Call::Cas { key, expected, value } => {
                    // Most clients have just read what they expect.
                    if self.draw.below(4) > 0 {
                        *expected = seen.get(key).copied().unwrap_or(0);
                    }
                    if registers.get(key) == Some(expected) {
                        registers.insert(*key, *value);
                    } else if op.error.is_none() {
                        op.error = Some((false, "cas-mismatch", "it held another value"));
                    }
                }
                Call::Txn(mops) => {
                    let mut own = seen_lists.clone();
                    for mop in mops {
                        match mop {
                            Mop::Append { key, value } => own.entry(*key).or_default().push(*value),
                            Mop::ReadList { key, list } => *list = Some(own.get(key).cloned().unwrap_or_default()),
                            _ => unreachable!(),
                        }
                    }
                    if stale.is_none() {
                        lists = own;
                    }
                }
                _ => unreachable!(),
            }
        }
    }

    /// Records everything; the first read of the leader that was cut off that missed a write.
    fn record(&mut self, recorder: &Recorder) -> Option<Stale> {
        recorder.clock(ClockRow { t_ns: START, wall_ns: FIRST_RUN_WALL_S as i64 * SECOND }).unwrap();
        self.connections.iter().for_each(|row| recorder.connection(row.clone()).unwrap());
        self.record_nodes(recorder);
        for fault in &self.faults {
            recorder.fault(row_of(fault)).unwrap();
        }
        self.injections.iter().for_each(|row| recorder.injection(row.clone()).unwrap());
        // Time, then completions before invocations.
        let mut events: Vec<(i64, bool, usize)> = Vec::new();
        for (number, op) in self.ops.iter().enumerate() {
            events.push((op.invoke, true, number));
            events.extend(op.complete.map(|t| (t, false, number)));
        }
        events.sort();
        for (seq, (t_ns, invokes, number)) in events.into_iter().enumerate() {
            let (op, op_id, seq) = (&self.ops[number], number as u64, seq as u64);
            let conn_cookie = Some(op.cookie);
            if invokes {
                let (node, phase) = (Arc::from(format!("n{}", op.node)), Arc::from(phase(t_ns)));
                let (process, call) = (op.process, &op.call);
                let event =
                    InvokeEvent { op_id, process, node: Some(&node), phase: &phase, call, seq, t_ns, conn_cookie };
                recorder.invoke(event).unwrap();
                continue;
            }
            let (outcome, completed) = match op.error {
                None => ("ok", Completed::Ok(&op.call)),
                Some((false, code, text)) => ("fail", Completed::Fail { code, text }),
                Some((true, code, text)) => ("info", Completed::Info { code, text }),
            };
            *self.outcomes.entry(outcome).or_default() += 1;
            recorder.complete(CompleteEvent { op_id, seq, t_ns, completed, conn_cookie }).unwrap();
        }
        self.stale()
    }

    fn record_nodes(&self, recorder: &Recorder) {
        let mut rows = Vec::new();
        let mut event = |t_ns: i64, node: i64, event: &'static str| {
            rows.push(NodeRow { t_ns, node: Arc::from(format!("n{node}")), event: event.into(), detail: None });
        };
        for node in 1..=NODES {
            event(START + node * MS, node, "start");
            event(START + (200 + node * 11) * MS, node, "ready");
        }
        self.leaders.iter().for_each(|(t, node)| event(*t, *node, "primary"));
        for fault in self.faults.iter().filter(|fault| fault.kind == "pause") {
            event(fault.start, fault.node, "pause");
            event(fault.stop, fault.node, "resume");
        }
        rows.sort_by_key(|row| row.t_ns);
        rows.into_iter().for_each(|row| recorder.node(row).unwrap());
    }

    fn stale(&self) -> Option<Stale> {
        self.ops.iter().enumerate().filter(|(_, op)| op.stale_since.is_some() && op.error.is_none()).find_map(
            |(number, read)| {
                let (key, known) = known(&read.call)?;
                let missed = self.ops.iter().position(|op| {
                    let writes =
                        op.error.is_none() && written(&op.call, key).is_some_and(|value| !known.contains(&value));
                    writes && op.invoke > read.stale_since.unwrap() && op.complete.is_some_and(|t| t < read.invoke)
                })?;
                Some(Stale { read: number as u64, missed: missed as u64, key })
            },
        )
    }
}

/// What the registers hold, and the lists.
type Registers = BTreeMap<i64, i64>;
type Lists = BTreeMap<i64, Vec<i64>>;

type End = (std::net::IpAddr, u16, Option<Arc<str>>);

fn reads_only(call: &Call) -> bool {
    matches!(call, Call::Txn(mops) if mops.iter().all(|mop| matches!(mop, Mop::ReadList { .. })))
}

fn known(call: &Call) -> Option<(i64, Vec<i64>)> {
    match call {
        Call::Read { key, value: Some(value) } => Some((*key, value.iter().copied().collect())),
        Call::Txn(mops) => match mops.first()? {
            Mop::ReadList { key, list: Some(list) } => Some((*key, list.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn written(call: &Call, of: i64) -> Option<i64> {
    match call {
        Call::Write { key, value } if *key == of => Some(*value),
        Call::Txn(mops) => mops.iter().find_map(|mop| match mop {
            Mop::Append { key, value } if *key == of => Some(*value),
            _ => None,
        }),
        _ => None,
    }
}

fn phase(t_ns: i64) -> &'static str {
    match (t_ns - START) / SECOND {
        ..5 => "warm-up",
        5..25 => "faults",
        25..27 => "heal",
        _ => "final",
    }
}

fn row_of(fault: &Fault) -> FaultRow {
    let node = format!("n{}", fault.node);
    let (description, rules) = match fault.kind {
        "partition" => (format!("cut {node} off from the other nodes"), 8),
        "drop" => (format!("drop 30 % of the packets to {node}:2379"), 1),
        _ => (format!("pause {node}"), 0),
    };
    FaultRow {
        fault_id: fault.id,
        phase: fault.name.to_owned(),
        kind: fault.kind.to_owned(),
        description,
        nodes: vec![node],
        rules,
        start_ns: fault.start,
        stop_ns: Some(fault.stop),
        kernel_hits: (rules > 0).then_some(fault.hits),
        outcome: "applied".to_owned(),
        error_text: None,
    }
}
