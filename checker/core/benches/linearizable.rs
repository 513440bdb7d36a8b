//! Time and memory of the linearizability checker on synthetic registers.
//!
//! `cargo bench -p fissure-checker --bench linearizable [-- FILTER]` prints a table; with `FISSURE_BENCH_JSON=FILE` it appends one
//! JSON line per row. CPU seconds are those of the whole process during the check; the peak of the resident set
//! is the process's, reset before each row where the kernel allows it.
//!
//! Histories: processes take turns at random (seeded); one operation in three is a read, a write, a `cas` (which mostly fails and
//! says so) unless the name says otherwise.

use fissure_checker::linearizable::{Options, check_register};
use fissure_checker::{Call, History, Operation, Outcome};
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

/// What is wrong with a history.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// Nothing.
    Nothing,
    /// The last read sees a value that nobody wrote.
    NeverWritten,
    /// At the end, one client alone reads values in turn, more often than the `info` operations could have changed them.
    Drained,
}

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    keys: i64,
    ops: usize,
    clients: usize,
    /// 0: every written value is new.
    values: u64,
    /// `cas` too.
    cas: bool,
    /// Operations that end `info`.
    infos: usize,
    wrong: Wrong,
}

const BASE: Shape =
    Shape { name: "", keys: 1, ops: 1_000, clients: 10, values: 5, cas: true, infos: 0, wrong: Wrong::Nothing };

fn shapes() -> Vec<Shape> {
    let bad = Wrong::NeverWritten;
    vec![
        Shape { name: "good-1k-c10-v5", ..BASE },
        Shape { name: "good-10k-c10-v5", ops: 10_000, ..BASE },
        Shape { name: "good-100k-c10-v5", ops: 100_000, ..BASE },
        Shape { name: "good-1M-c10-v5", ops: 1_000_000, ..BASE },
        Shape { name: "good-1k-c20-v5", clients: 20, ..BASE },
        Shape { name: "good-1k-c30-v5", clients: 30, ..BASE },
        Shape { name: "good-1k-c50-v5", clients: 50, ..BASE },
        Shape { name: "good-1k-c20-unique-cas", clients: 20, values: 0, ..BASE },
        Shape { name: "good-1k-c30-unique-cas", clients: 30, values: 0, ..BASE },
        Shape { name: "good-100k-c10-unique-cas", ops: 100_000, values: 0, ..BASE },
        Shape { name: "good-1M-c10-unique-rw", ops: 1_000_000, values: 0, cas: false, ..BASE },
        Shape { name: "good-10k-c10-v5-info105", ops: 10_000, infos: 105, ..BASE },
        Shape { name: "bad-never-1k-c20-v5", clients: 20, wrong: bad, ..BASE },
        Shape { name: "bad-drain-1k-c10-v5", wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-1k-c20-v5", clients: 20, wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-1k-c30-v5", clients: 30, wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-1k-c20-unique-cas", clients: 20, values: 0, wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-1k-c5-v5-info22", clients: 5, infos: 22, wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-1k-c10-v5-info16", infos: 16, wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-100k-c10-v5", ops: 100_000, wrong: Wrong::Drained, ..BASE },
        Shape { name: "bad-drain-100k-c10-v5-info6", ops: 100_000, infos: 6, wrong: Wrong::Drained, ..BASE },
        Shape { name: "good-100k-c10-v5-info1000", ops: 100_000, infos: 1_000, ..BASE },
        Shape { name: "good-100keys-1k-c10-v5", keys: 100, ..BASE },
        Shape { name: "good-1000keys-1k-c10-v5", keys: 1_000, ..BASE },
    ]
}

struct Client {
    op: Option<usize>,
    took_effect: bool,
    process: i64,
}

/// One key, with its events numbered from `seq`.
fn one_key(shape: &Shape, key: i64, dice: &mut Dice, seq: &mut u64, all: &mut Vec<Operation>) {
    let base = all.len();
    let mut state: Option<i64> = None;
    let mut fresh = 0;
    let first = key * (shape.clients + shape.infos) as i64;
    let mut next_process = first + shape.clients as i64;
    let mut infos = shape.infos;
    let mut clients: Vec<Client> =
        (0..shape.clients as i64).map(|at| Client { op: None, took_effect: false, process: first + at }).collect();
    while all.len() - base < shape.ops || clients.iter().any(|client| client.op.is_some()) {
        let client = &mut clients[dice.below(shape.clients as u64) as usize];
        let Some(op) = client.op else {
            if all.len() - base < shape.ops {
                fresh += 1;
                let value = if shape.values == 0 { fresh } else { dice.below(shape.values) as i64 };
                let expected = if shape.values == 0 { state.unwrap_or(0) } else { dice.below(shape.values) as i64 };
                let call = match dice.below(if shape.cas { 3 } else { 2 }) {
                    0 => Call::Write { key, value },
                    1 => Call::Read { key, value: None },
                    _ => Call::Cas { key, expected, value },
                };
                (client.op, client.took_effect) = (Some(all.len()), false);
                all.push(invocation(client.process, call, *seq));
                *seq += 1;
            }
            continue;
        };
        let op = &mut all[op];
        if !client.took_effect {
            client.took_effect = true;
            op.outcome = take_effect(&mut op.call, &mut state);
            continue;
        }
        client.op = None;
        if infos > 0 && dice.below(shape.ops as u64) < 2 * shape.infos as u64 && !matches!(op.call, Call::Read { .. }) {
            infos -= 1;
            op.outcome = Outcome::Info;
            client.process = next_process;
            next_process += 1;
            continue;
        }
        op.complete_seq = Some(*seq);
        op.complete_ns = Some(*seq as i64);
        *seq += 1;
    }
    spoil(shape, &mut all[base..]);
    if shape.wrong == Wrong::Drained {
        for turn in 0..2 * shape.infos as i64 + 4 {
            let mut op = invocation(next_process, Call::Read { key, value: Some(Some(turn % 2)) }, *seq);
            (op.outcome, op.complete_seq, op.complete_ns) = (Outcome::Ok, Some(*seq + 1), Some(*seq as i64 + 1));
            *seq += 2;
            all.push(op);
        }
    }
}

fn invocation(process: i64, call: Call, seq: u64) -> Operation {
    Operation {
        op_id: 0,
        process,
        node: None,
        call,
        invoke_seq: seq,
        complete_seq: None,
        invoke_ns: seq as i64,
        complete_ns: None,
        outcome: Outcome::Info,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    }
}

fn take_effect(call: &mut Call, state: &mut Option<i64>) -> Outcome {
    match call {
        Call::Read { value, .. } => *value = Some(*state),
        Call::Write { value, .. } => *state = Some(*value),
        Call::Cas { expected, .. } if *state != Some(*expected) => return Outcome::Fail,
        Call::Cas { value, .. } => *state = Some(*value),
        _ => {}
    }
    Outcome::Ok
}

fn spoil(shape: &Shape, ops: &mut [Operation]) {
    let is_ok_read = |op: &&mut Operation| op.outcome == Outcome::Ok && matches!(op.call, Call::Read { .. });
    match shape.wrong {
        Wrong::Nothing => {}
        Wrong::NeverWritten => {
            if let Some(op) = ops.iter_mut().rev().find(is_ok_read)
                && let Call::Read { value, .. } = &mut op.call
            {
                *value = Some(Some(-1));
            }
        }
        Wrong::Drained => {}
    }
}

fn build(shape: &Shape, seed: u64) -> History {
    let mut dice = Dice(seed);
    let (mut seq, mut all) = (0, Vec::new());
    for key in 0..shape.keys {
        one_key(shape, key, &mut dice, &mut seq, &mut all);
    }
    History::new(all).expect("the generator keeps the rules of a history")
}

/// User and system seconds of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Peak resident MiB since the last reset.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let json = std::env::var_os("FISSURE_BENCH_JSON");
    println!("{:<28} {:>9} {:>8} {:>8} {:>6} {:>8}  evidence", "history", "ops", "cpu s", "wall s", "MiB", "verdict");
    for shape in shapes().into_iter().filter(|shape| shape.name.contains(&filter)) {
        let seed = 42;
        let history = build(&shape, seed);
        // Writing 5 resets the peak; where it cannot be written the peak is that of all rows so far.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let result = check_register(&history, &Options::default());
        let (wall, cpu, peak) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu, peak_mib());
        let verdict = result.verdict.validity.name();
        let note = result.verdict.reasons.first().map_or(result.evidence.as_str(), |reason| reason.text.as_str());
        println!("{:<28} {:>9} {cpu:>8.2} {wall:>8.2} {peak:>6} {verdict:>8}  {note}", shape.name, history.len());
        if let Some(path) = &json {
            let line = format!(
                "{{\"bench\":\"linearizable\",\"history\":\"{}\",\"seed\":{seed},\"ops\":{},\"cpu_s\":{cpu:.3},\"wall_s\":{wall:.3},\"peak_rss_mib\":{peak},\"verdict\":\"{verdict}\"}}\n",
                shape.name,
                history.len()
            );
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
                eprintln!("cannot write {}: {error}", path.display());
            }
        }
    }
}
