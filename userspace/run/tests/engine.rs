//! The engine with clients that do as they are told: time-outs, retirement of processes, refused connections, order.

use async_trait::async_trait;
use fissure_history::journal::Journal;
use fissure_history::rows::ConnectionRow;
use fissure_history::{Manifest, RunDir, RunHistory, SCHEMA_VERSION, read_history, seal};
use fissure_run::engine::{Asking, Engine, Slot, Stop, Workload};
use fissure_run::event::Event;
use fissure_run::nemesis::Peace;
use fissure_run::worker::Worker;
use fissure_workloads::{
    Call, Client, Cluster, Completion, Connection, ErrorInfo, Generator, Next, Node, Outcome, ProcessSpec, Target,
    TargetError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Writes 0, 1, 2, … and ends after so many.
struct Writes {
    next: i64,
    end: i64,
}

impl Generator for Writes {
    fn next(&mut self, _worker: fissure_workloads::Worker, _now_ns: u64) -> Next {
        if self.next == self.end {
            return Next::Done;
        }
        self.next += 1;
        Next::Call(Call::Write { key: 0, value: self.next - 1 })
    }
}

/// Every third write is not answered, every fifth is refused by the server; the rest succeed.
struct Moody {
    cookie: u64,
}

#[async_trait]
impl Client for Moody {
    async fn invoke(&mut self, call: &Call) -> Completion {
        let Call::Write { value, .. } = call else { return Completion::Fail(ErrorInfo::new("unsupported", "")) };
        if value % 3 == 0 {
            std::future::pending::<()>().await;
        }
        if value % 5 == 0 {
            return Completion::Fail(ErrorInfo::new("refused", "the server said no"));
        }
        Completion::Ok(call.clone())
    }

    fn connection(&self) -> Option<Connection> {
        let (local, remote) = (([127, 0, 0, 1], 1000).into(), ([127, 0, 0, 1], 2000).into());
        Some(Connection { cookie: self.cookie, local, remote })
    }
}

/// Opens moody clients; on the node `down` it opens none.
struct Somewhere {
    opened: AtomicU64,
}

#[async_trait]
impl Target for Somewhere {
    fn name(&self) -> &str {
        "somewhere"
    }

    fn client_port(&self) -> u16 {
        2000
    }

    fn peer_port(&self) -> Option<u16> {
        None
    }

    fn process(&self, _cluster: &Cluster, _node: &Node) -> Result<ProcessSpec, TargetError> {
        Err(TargetError::Unsupported { target: "somewhere".to_owned(), text: "has no processes".to_owned() })
    }

    async fn ready(&self, _cluster: &Cluster) -> Result<(), TargetError> {
        Ok(())
    }

    async fn setup(&self, _cluster: &Cluster) -> Result<(), TargetError> {
        Ok(())
    }

    async fn primaries(&self, _cluster: &Cluster) -> Vec<String> {
        Vec::new()
    }

    async fn version(&self, _cluster: &Cluster) -> Option<String> {
        None
    }

    async fn open(&self, _cluster: &Cluster, node: &Node) -> Result<Box<dyn Client>, TargetError> {
        if node.name == "down" {
            return Err(TargetError::Node { node: node.name.clone(), text: "connection refused".to_owned() });
        }
        Ok(Box::new(Moody { cookie: 1 + self.opened.fetch_add(1, Ordering::Relaxed) }))
    }
}

struct Ran {
    recorded: RunHistory,
    stop: Stop,
    connections: Vec<ConnectionRow>,
}

/// Runs `writes` writes on `slots` worker slots of one node; `interrupt` presses Ctrl-C at once.
fn run(node: &str, slots: usize, writes: i64, interrupt: bool) -> Ran {
    let store = tempfile::tempdir().unwrap();
    let dir = RunDir::create(store.path(), "engine", 1, SystemTime::now()).unwrap();
    Manifest { schema_version: SCHEMA_VERSION, ..Manifest::default() }.write(dir.path()).unwrap();
    let journal = Journal::create(&dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (events, received) = crossbeam_channel::unbounded();
    let node = Node { name: node.to_owned(), addr: [127, 0, 0, 1].into(), data_dir: store.path().to_owned() };
    let cluster = Arc::new(Cluster { nodes: vec![node.clone()] });
    let target: Arc<dyn Target> = Arc::new(Somewhere { opened: AtomicU64::new(0) });
    let mut all = Vec::new();
    for thread in 0..slots {
        let (jobs, taken) = tokio::sync::mpsc::unbounded_channel();
        let timeout = Duration::from_millis(50);
        let (target, cluster, events) = (target.clone(), cluster.clone(), events.clone());
        runtime.spawn(Worker { slot: thread, target, cluster, node: 0, timeout, events }.work(taken));
        let node_name = Arc::from(node.name.as_str());
        all.push(Slot { workload: 0, thread, concurrency: slots, node: 0, node_name, jobs });
    }
    let workload = Workload {
        kind: "writes".to_owned(),
        generator: Box::new(Writes { next: 0, end: writes }),
        final_generator: Box::new(Writes { next: 0, end: 0 }),
    };
    let mut engine = Engine::new(journal.recorder(), received, vec![workload], all);
    engine.enter("faults", Asking::Main);
    if interrupt {
        let events = events.clone();
        // From another thread and a moment later, as a signal comes.
        std::thread::spawn(move || events.send(Event::Interrupt));
    }
    let stop = engine.turn(engine.now_ns() + 20_000_000_000, &mut Peace, &mut |_| {}).unwrap();
    engine.enter("faults", Asking::Nothing);
    engine.turn(engine.now_ns() + 5_000_000_000, &mut Peace, &mut |_| {}).unwrap();
    engine.close_connections().unwrap();
    journal.finish().unwrap();
    seal(&dir).unwrap();
    let connections = fissure_history::read::read_connections(dir.path()).unwrap();
    // Reading checks every invariant of a history: order, pairing, one operation a process at a time.
    Ran { recorded: read_history(dir.path()).unwrap(), stop, connections }
}

#[test]
fn unanswered_operations_are_info_and_retire_their_process() {
    let ran = run("n1", 4, 60, false);
    assert_eq!(ran.stop, Stop::Exhausted);
    let ops = ran.recorded.history.ops();
    assert_eq!(ops.len(), 60);
    for op in ops {
        let Call::Write { value, .. } = op.call else { panic!("{op:?}") };
        let expected = match (value % 3, value % 5) {
            (0, _) => Outcome::Info,
            (_, 0) => Outcome::Fail,
            _ => Outcome::Ok,
        };
        assert_eq!(op.outcome, expected, "{op:?}");
        if expected == Outcome::Info {
            assert_eq!(op.error_code.as_deref(), Some("timeout"));
            let later = ops.iter().any(|other| other.process == op.process && other.invoke_seq > op.invoke_seq);
            assert!(!later, "process {} went on after an info", op.process);
        }
    }
}

#[test]
fn every_operation_names_the_connection_that_carried_it() {
    let ran = run("n1", 2, 30, false);
    for op in ran.recorded.history.ops() {
        let cookie = op.conn_cookie.expect("a cookie");
        let row = ran.connections.iter().find(|row| row.conn_cookie == Some(cookie)).expect("its connection");
        assert_eq!(row.process, Some(op.process), "a connection belongs to one process");
        assert!(row.closed_ns.is_some());
    }
}

#[test]
fn a_node_that_is_down_fails_operations_without_doubt_and_without_haste() {
    let begun = std::time::Instant::now();
    let ran = run("down", 1, 3, false);
    let ops = ran.recorded.history.ops();
    assert_eq!(ops.len(), 3);
    assert!(ops.iter().all(|op| op.outcome == Outcome::Fail && op.error_code.as_deref() == Some("no-client")));
    assert!(begun.elapsed() >= Duration::from_millis(300), "refusals came too fast: {:?}", begun.elapsed());
}

#[test]
fn ctrl_c_stops_the_turn_and_what_is_in_flight_is_still_recorded() {
    let ran = run("n1", 4, 1_000_000, true);
    assert_eq!(ran.stop, Stop::Interrupted);
    let ops = ran.recorded.history.ops();
    assert!(ops.len() < 1_000_000);
    assert!(ops.iter().all(|op| op.complete_seq.is_some()), "all in flight were waited for");
}
