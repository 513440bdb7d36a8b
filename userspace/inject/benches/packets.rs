//! What the programs cost: nanoseconds per packet, through BPF_PROG_TEST_RUN, and the time to publish a table.
//!
//! `cargo bench -p fissure-inject --features privileged` (root). A table for people on stdout; one line of JSON for each
//! figure in the file named by `FISSURE_BENCH_JSON`, or after the table.
//!
//! BPF_PROG_TEST_RUN itself costs something for each packet, and on a machine with slow returns (mitigations) not little:
//! the first row is a program that does nothing, and `net` is a figure less that.
//!
//! A figure for matched packets counts only if each of them left its event: the ring is drained by another thread
//! meanwhile, and the run is thrown away and said to be so if an event was lost.

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    fs::OpenOptions,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use common::{Addr, Spec, v4, v6};
use fissure_abi::{Action, Rule};
use fissure_inject::{EventReader, Injector, Options};
use serde_json::{Value, json};

/// Packets in one run: well under a time slice, and those that leave events fit into the ring.
const REPEAT: u32 = 20_000;
/// Runs, of which the middle one counts.
const RUNS: usize = 31;

fn main() {
    let harness = harness();
    let mut figures = vec![figure("packet", &json!({ "program": "empty", "ns_per_packet": harness }))];
    for rules in [0, 1, 100, 10_000] {
        for (family, client, server) in [("ipv4", v4(2), v4(1)), ("ipv6", v6(2), v6(1))] {
            figures.push(unmatched(rules, family, client, server));
        }
    }
    for rules in [1, 100, 10_000] {
        figures.push(matched(rules, 1_000_000));
        figures.push(matched(rules, 999_999));
    }
    figures.push(publish(10_000));
    for figure in &mut figures {
        if let Some(ns) = figure["ns_per_packet"].as_f64() {
            figure["ns_per_packet_net"] = json!(ns - harness);
        }
    }
    println!("{:<8} {:>6} {:>8} {:>6} {:>19} {:>5}", "bench", "rules", "matched", "", "", "net");
    for figure in &figures {
        print_row(figure);
    }
    report(&figures);
}

fn loaded() -> (Injector, EventReader) {
    let mut injector = Injector::load_with(&Options::default()).expect("needs root and `cargo xtask build`");
    let events = injector.events().expect("not taken");
    (injector, events)
}

/// What the kernel's loop around a program costs: nanoseconds per packet of one that does nothing.
fn harness() -> f64 {
    let frame = Spec { payload: 100, ..Spec::tcp(v4(2), v4(1), 40_000, 80) }.frame();
    median((0..RUNS).map(|_| fissure_inject::empty_program_ns(&frame, REPEAT).expect("runs")).collect())
}

/// Rules about the hosts of a test network, none of them about the packets measured.
fn others(count: usize) -> Vec<Rule> {
    (0..count)
        .map(|n| Rule {
            rule_id: n as u32,
            action: Action::Drop as u32,
            protocol: 6,
            src_addr: v4(2).bytes(),
            src_prefix: 128,
            dst_addr: v4(1).bytes(),
            dst_prefix: 128,
            dst_port_min: 10_000 + (n % 50_000) as u16,
            dst_port_max: 10_000 + (n % 50_000) as u16,
            ..Rule::ANY
        })
        .collect()
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn unmatched(rules: usize, family: &str, client: Addr, server: Addr) -> Value {
    let (mut injector, _events) = loaded();
    let _lease = injector.lease().expect("a thread");
    injector.publish(&others(rules)).expect("fits");
    let frame = Spec { payload: 100, ..Spec::tcp(client, server, 40_000, 80) }.frame();
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let run = injector.test_run(0, &frame, REPEAT).expect("runs");
        assert_eq!(run.action, Action::Pass);
        runs.push(run.took.as_nanos() as f64);
    }
    figure("packet", &json!({ "family": family, "rules": rules, "matched": false, "ns_per_packet": median(runs) }))
}

/// The packet is dropped by the last rule of the table.
fn matched(rules: usize, probability_ppm: u32) -> Value {
    let (mut injector, events) = loaded();
    let _lease = injector.lease().expect("a thread");
    let mut table = others(rules);
    let last = table.last_mut().expect("at least one");
    (last.dst_port_min, last.dst_port_max, last.probability_ppm) = (80, 80, probability_ppm);
    injector.publish(&table).expect("fits");
    let frame = Spec { payload: 100, ..Spec::tcp(v4(2), v4(1), 40_000, 80) }.frame();
    let drain = Drain::start(events);
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let run = injector.test_run(0, &frame, REPEAT).expect("runs");
        runs.push(run.took.as_nanos() as f64);
        std::thread::sleep(Duration::from_millis(20));
    }
    let read = drain.stop();
    let counters = injector.counters();
    let hits: u64 = counters.hits.values().sum();
    assert_eq!(counters.events_lost, 0, "events were lost: the figure would not count");
    assert_eq!(read, hits, "each hit has its event");
    if probability_ppm == 1_000_000 {
        assert_eq!(hits, RUNS as u64 * u64::from(REPEAT));
    }
    let dice = probability_ppm < 1_000_000;
    figure(
        "packet",
        &json!({ "family": "ipv4", "rules": rules, "matched": true, "dice": dice, "ns_per_packet": median(runs) }),
    )
}

fn publish(rules: usize) -> Value {
    let (mut injector, _events) = loaded();
    let table = others(rules);
    let runs = (0..2 * RUNS).map(|_| injector.publish(&table).expect("fits").took.as_nanos() as f64 / 1000.0).collect();
    figure("publish", &json!({ "rules": rules, "publish_us": median(runs) }))
}

/// A thread that empties the ring.
struct Drain {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Drain {
    fn start(mut events: EventReader) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            loop {
                let last = stopped.load(Ordering::SeqCst);
                counted.fetch_add(events.discard() as u64, Ordering::SeqCst);
                if last {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { stop, count, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("does not panic");
        self.count.load(Ordering::SeqCst)
    }
}

/// A figure with what it was measured on.
fn figure(bench: &str, fields: &Value) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let machine = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([':', '\t', ' ']);
    let mut figure = json!({ "bench": bench, "machine": machine, "kernel": kernel });
    if let (Some(all), Some(more)) = (figure.as_object_mut(), fields.as_object()) {
        all.extend(more.clone());
    }
    figure
}

fn print_row(figure: &Value) {
    let kind = figure["family"].as_str().unwrap_or("");
    let matched = match (figure["matched"].as_bool(), figure["dice"].as_bool()) {
        (Some(true), Some(true)) => "dice",
        (Some(true), _) => "yes",
        (Some(false), _) => "no",
        _ => "",
    };
    let (value, unit) = match figure["ns_per_packet"].as_f64() {
        Some(ns) => (ns, "ns/packet"),
        None => (figure["publish_us"].as_f64().unwrap_or(f64::NAN), "us/table"),
    };
    let net = figure["ns_per_packet_net"].as_f64().map_or(String::new(), |net| format!("{net:.0}"));
    let rules = figure["rules"].as_u64().map_or("empty".into(), |rules| rules.to_string());
    let bench = figure["bench"].as_str().unwrap_or("");
    println!("{bench:<8} {rules:>6} {matched:>8} {kind:>6} {value:>9.0} {unit} {net:>5}");
}

fn report(figures: &[Value]) {
    let lines: String = figures.iter().map(|figure| format!("{figure}\n")).collect();
    match std::env::var_os("FISSURE_BENCH_JSON") {
        Some(path) => {
            let mut file = OpenOptions::new().create(true).append(true).open(path).expect("can be written");
            file.write_all(lines.as_bytes()).expect("can be written");
        }
        None => print!("{lines}"),
    }
}
