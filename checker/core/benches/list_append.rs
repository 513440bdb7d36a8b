//! Time and memory of the list-append checker on synthetic histories.
//!
//! `cargo bench -p fissure-checker --bench list_append [-- FILTER]` prints a table; with `FISSURE_BENCH_JSON=FILE` it
//! appends one JSON line per row. Seconds are of wall time, CPU seconds those of the whole process, during the check
//! alone. The peak of the resident set is the process's, reset before each check where the kernel allows it; it
//! includes the history, whose share is printed beside it.
//!
//! Histories: 20 clients of a strictly serializable store, 32 appends a key, 10 keys at a time, 1 to 4
//! micro-operations, 1 % info, 1 % fail. `stale` adds one read of the first key's first version at the end; in
//! `skewed` one transaction of a thousand reads from a replica that lacks the last one to three appends of each key.

use fissure_checker::list_append::{Options, check};
use fissure_checker::{Call, History, Mop, Operation, Outcome};
use std::io::Write as _;
use std::time::Instant;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    StaleAtEnd,
    LaggingReplica,
}

struct Shape {
    name: &'static str,
    ops: usize,
    wrong: Wrong,
}

const SEED: u64 = 42;
const CLIENTS: usize = 20;
const KEYS_AT_A_TIME: u64 = 10;
const APPENDS_PER_KEY: usize = 32;

fn shapes() -> Vec<Shape> {
    let shape = |name, ops, wrong| Shape { name, ops, wrong };
    vec![
        shape("healthy-10k", 10_000, Wrong::Nothing),
        shape("healthy-100k", 100_000, Wrong::Nothing),
        shape("healthy-1M", 1_000_000, Wrong::Nothing),
        shape("stale-100k", 100_000, Wrong::StaleAtEnd),
        shape("stale-1M", 1_000_000, Wrong::StaleAtEnd),
        shape("skewed-100k", 100_000, Wrong::LaggingReplica),
        shape("skewed-1M", 1_000_000, Wrong::LaggingReplica),
    ]
}

/// The lists, and the keys that are in use.
struct Store {
    lists: Vec<Vec<i64>>,
    given: Vec<usize>,
    open: Vec<usize>,
}

impl Store {
    fn new() -> Self {
        let keys = KEYS_AT_A_TIME as usize;
        Self { lists: vec![Vec::new(); keys], given: vec![0; keys], open: (0..keys).collect() }
    }

    /// A key in use, and, for an append, its next value; full keys are replaced.
    fn pick(&mut self, dice: &mut Dice, append: bool) -> (usize, i64) {
        let slot = dice.below(KEYS_AT_A_TIME) as usize;
        let key = self.open[slot];
        if append {
            self.given[key] += 1;
            if self.given[key] == APPENDS_PER_KEY {
                self.open[slot] = self.lists.len();
                self.lists.push(Vec::new());
                self.given.push(0);
            }
        }
        (key, self.given[key] as i64)
    }

    fn apply(&mut self, op: &mut Operation, dice: &mut Dice, wrong: Wrong, tell: bool) {
        let lag = if wrong == Wrong::LaggingReplica && dice.below(1000) == 0 { 1 + dice.below(3) as usize } else { 0 };
        let Call::Txn(mops) = &mut op.call else { return };
        for mop in mops {
            match mop {
                Mop::Append { key, value } => self.lists[*key as usize].push(*value),
                Mop::ReadList { key, list } if tell => {
                    let all = &self.lists[*key as usize];
                    *list = Some(all[..all.len().saturating_sub(lag)].to_vec());
                }
                _ => {}
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Client {
    process: i64,
    op: Option<usize>,
    applied: bool,
}

fn generate(shape: &Shape, seed: u64) -> History {
    let mut dice = Dice(seed);
    let mut store = Store::new();
    let mut ops: Vec<Operation> = Vec::with_capacity(shape.ops);
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|at| Client { process: at as i64, op: None, applied: false }).collect();
    let mut seq = 0;
    while ops.len() < shape.ops || clients.iter().any(|client| client.op.is_some()) {
        let client = &mut clients[dice.below(CLIENTS as u64) as usize];
        let Some(at) = client.op else {
            if ops.len() < shape.ops {
                let mops = invent(&mut dice, &mut store);
                (client.op, client.applied) = (Some(ops.len()), false);
                ops.push(invocation(client.process, mops, seq));
                seq += 1;
            }
            continue;
        };
        let fate = dice.below(100);
        if !client.applied && fate >= 2 {
            store.apply(&mut ops[at], &mut dice, shape.wrong, true);
            client.applied = true;
            continue;
        }
        if !client.applied && fate == 1 {
            // Given up: it takes effect or not.
            if dice.below(2) == 0 {
                store.apply(&mut ops[at], &mut dice, Wrong::Nothing, false);
            }
            client.process += CLIENTS as i64;
        } else {
            ops[at].outcome = if client.applied { Outcome::Ok } else { Outcome::Fail };
        }
        ops[at].complete_seq = Some(seq);
        ops[at].complete_ns = Some(seq as i64 * 1000);
        seq += 1;
        client.op = None;
    }
    if shape.wrong == Wrong::StaleAtEnd {
        let list = store.lists[0][..1].to_vec();
        let mut op = invocation(-1, vec![Mop::ReadList { key: 0, list: Some(list) }], seq);
        (op.outcome, op.complete_seq, op.complete_ns) = (Outcome::Ok, Some(seq + 1), Some(seq as i64 * 1000 + 1000));
        ops.push(op);
    }
    History::new(ops).expect("a simulated history keeps the invariants")
}

fn invent(dice: &mut Dice, store: &mut Store) -> Vec<Mop> {
    let count = 1 + dice.below(4);
    let mut mops = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let append = dice.below(2) == 0;
        let (key, value) = store.pick(dice, append);
        let key = key as i64;
        mops.push(if append { Mop::Append { key, value } } else { Mop::ReadList { key, list: None } });
    }
    mops
}

fn invocation(process: i64, mops: Vec<Mop>, seq: u64) -> Operation {
    Operation {
        op_id: 0,
        process,
        node: None,
        call: Call::Txn(mops),
        invoke_seq: seq,
        complete_seq: None,
        invoke_ns: seq as i64 * 1000,
        complete_ns: None,
        outcome: Outcome::Info,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    }
}

/// A line of /proc/self/status, in bytes.
fn status_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// User and system time of this process, in seconds, at the usual 100 ticks a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    let mut json = std::env::var_os("FISSURE_BENCH_JSON").map(|path| {
        std::fs::OpenOptions::new().create(true).append(true).open(path).expect("FISSURE_BENCH_JSON can be written")
    });
    println!(
        "{:<14} {:>9} {:>9} {:>9} {:>12} {:>12}  answer",
        "history", "ops", "seconds", "cpu s", "history MB", "peak MB"
    );
    for shape in shapes().iter().filter(|shape| shape.name.contains(&filter)) {
        let history = generate(shape, SEED);
        let held = status_bytes("VmRSS");
        // Resets the peak to what is resident now; where that is not allowed the peak is the process's so far.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (started, cpu_started) = (Instant::now(), cpu_seconds());
        let result = check(&history, &Options::default());
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_started);
        let peak = status_bytes("VmHWM");
        let types: Vec<&str> = result.anomaly_types.iter().map(String::as_str).collect();
        println!(
            "{:<14} {:>9} {seconds:>9.3} {cpu:>9.2} {:>12} {:>12}  {} {}",
            shape.name,
            history.len(),
            held >> 20,
            peak >> 20,
            result.verdict.validity.name(),
            types.join(" "),
        );
        if let Some(json) = &mut json {
            writeln!(
                json,
                "{{\"bench\":\"list_append\",\"name\":\"{}\",\"ops\":{},\"seed\":{SEED},\"seconds\":{seconds:.4},\"cpu_seconds\":{cpu:.2},\"history_bytes\":{held},\"peak_rss_bytes\":{peak},\"valid\":\"{}\"}}",
                shape.name,
                history.len(),
                result.verdict.validity.name(),
            )
            .expect("FISSURE_BENCH_JSON can be written");
        }
    }
}
