//! How many operations a second the whole path from generator to journal records, with a client that answers at once.
//!
//! `cargo xtask bench recording`; JSON lines go to the file that FISSURE_BENCH_JSON names. Generator, engine, worker
//! tasks and journal are those of a real run; only the network and the system under test are missing.

use async_trait::async_trait;
use fissure_history::RunDir;
use fissure_history::journal::Journal;
use fissure_run::engine::{Asking, Engine, Slot, Workload};
use fissure_run::nemesis::Peace;
use fissure_run::worker::Worker;
use fissure_suite::{Kind, ListAppendOptions, RegisterOptions};
use fissure_workloads::{Call, Client, Cluster, Completion, Connection, Mop, Node, ProcessSpec, Target, TargetError};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const SLOTS: usize = 32;
const SEED: u64 = 42;
const LENGTH: Duration = Duration::from_secs(5);

/// Answers at once, with what is cheapest to answer.
struct AtOnce;

#[async_trait]
impl Client for AtOnce {
    async fn invoke(&mut self, call: &Call) -> Completion {
        Completion::Ok(match call {
            Call::Read { key, .. } => Call::Read { key: *key, value: Some(None) },
            Call::Txn(mops) => Call::Txn(mops.iter().map(answered).collect()),
            other => other.clone(),
        })
    }

    fn connection(&self) -> Option<Connection> {
        None
    }
}

fn answered(mop: &Mop) -> Mop {
    match mop {
        Mop::ReadList { key, .. } => Mop::ReadList { key: *key, list: Some(Vec::new()) },
        other => other.clone(),
    }
}

struct Nowhere;

#[async_trait]
impl Target for Nowhere {
    fn name(&self) -> &str {
        "nowhere"
    }

    fn client_port(&self) -> u16 {
        0
    }

    fn peer_port(&self) -> Option<u16> {
        None
    }

    fn process(&self, _cluster: &Cluster, _node: &Node) -> Result<ProcessSpec, TargetError> {
        Err(TargetError::Unsupported { target: "nowhere".to_owned(), text: "has no processes".to_owned() })
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

    async fn open(&self, _cluster: &Cluster, _node: &Node) -> Result<Box<dyn Client>, TargetError> {
        Ok(Box::new(AtOnce))
    }
}

fn record(kind: &Kind) -> (u64, f64) {
    let store = tempfile::tempdir().expect("a temporary folder");
    let dir = RunDir::create(store.path(), "bench", SEED, SystemTime::now()).expect("a run folder");
    let journal = Journal::create(&dir).expect("a journal");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (events, received) = crossbeam_channel::unbounded();
    let node = Node { name: "n1".to_owned(), addr: [127, 0, 0, 1].into(), data_dir: store.path().to_owned() };
    let cluster = Arc::new(Cluster { nodes: vec![node] });
    let mut slots = Vec::new();
    for thread in 0..SLOTS {
        let (jobs, taken) = tokio::sync::mpsc::unbounded_channel();
        let worker = Worker {
            slot: thread,
            target: Arc::new(Nowhere),
            cluster: cluster.clone(),
            node: 0,
            timeout: Duration::from_secs(1),
            events: events.clone(),
        };
        runtime.spawn(worker.work(taken));
        slots.push(Slot { workload: 0, thread, concurrency: SLOTS, node: 0, node_name: Arc::from("n1"), jobs });
    }
    let fissure_suite::Workload { generator, final_generator } = fissure_suite::workload(kind, None, SEED);
    let workload = Workload { kind: "bench".to_owned(), generator, final_generator };
    let mut engine = Engine::new(journal.recorder(), received, vec![workload], slots);
    let begun = Instant::now();
    engine.enter("faults", Asking::Main);
    let until_ns = engine.now_ns() + LENGTH.as_nanos() as u64;
    engine.turn(until_ns, &mut Peace, &mut |_| {}).expect("the loop turns");
    engine.enter("faults", Asking::Nothing);
    engine.turn(u64::MAX, &mut Peace, &mut |_| {}).expect("the loop drains");
    // Counted until everything is in the journal: what is only in memory is not recorded.
    engine.recorder.flush().expect("the journal flushes");
    let seconds = begun.elapsed().as_secs_f64();
    journal.finish().expect("the journal ends");
    (engine.counts.ok, seconds)
}

fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, {SLOTS} worker slots, seed {SEED}, {} s each", LENGTH.as_secs());
    println!("{:<12} {:>12} {:>9} {:>12} {:>10}", "workload", "ops", "seconds", "ops/s", "peak MB");
    let kinds = [
        ("register", Kind::Register(RegisterOptions { keys: 64, ..RegisterOptions::default() })),
        ("list-append", Kind::ListAppend(ListAppendOptions::default())),
    ];
    let mut lines = String::new();
    for (name, kind) in &kinds {
        let (ops, seconds) = record(kind);
        let (rate, peak) = (ops as f64 / seconds, peak_rss_mb());
        println!("{name:<12} {ops:>12} {seconds:>9.2} {rate:>12.0} {peak:>10.0}");
        lines.push_str(&format!(
            "{{\"bench\":\"recording\",\"workload\":\"{name}\",\"cores\":{cores},\"slots\":{SLOTS},\"seed\":{SEED},\
             \"ops\":{ops},\"seconds\":{seconds:.3},\"ops_per_second\":{rate:.0},\"peak_rss_mb\":{peak:.0}}}\n"
        ));
    }
    if let Some(path) = std::env::var_os("FISSURE_BENCH_JSON") {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .expect("the file of FISSURE_BENCH_JSON can be written");
    }
}
