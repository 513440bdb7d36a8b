//! A process that journals is killed at any moment; nothing that it was told is safe may be missing.
//!
//! This test runs itself: with `FISSURE_JOURNAL_INTO` set it is the process that is killed, so it has no test harness.

use fissure_checker::Call;
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal};
use fissure_history::manifest::Owner;
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, read_history, recover};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

const CHILD: &str = "FISSURE_JOURNAL_INTO";
const KILLS: u64 = 36;

fn main() {
    if let Some(store) = std::env::var_os(CHILD) {
        journal_until_killed(Path::new(&store));
        return;
    }
    // The harness of Rust is asked for a list by some tools; there is one test.
    if std::env::args().any(|argument| argument == "--list") {
        println!("nothing_acknowledged_is_lost: test");
        return;
    }
    let (mut seconds, mut acknowledged, mut torn) = (0.0, 0, 0);
    for kill in 0..KILLS {
        let (written, cut, lasted) = kill_once(kill);
        acknowledged += written;
        torn += u64::from(cut);
        seconds += lasted.as_secs_f64();
    }
    println!(
        "test nothing_acknowledged_is_lost ... ok ({KILLS} kills after {seconds:.1} s of journaling, {acknowledged} \
         acknowledged events, all there; {torn} torn tails cut)"
    );
    assert!(acknowledged > 0, "no child acknowledged anything");
}

/// Kills one child; gives the number of acknowledged events, whether a tail was torn, and how long it lived.
fn kill_once(kill: u64) -> (u64, bool, Duration) {
    let store = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut child =
        Command::new(std::env::current_exe().unwrap()).env(CHILD, store.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    // Moments that are spread over some milliseconds and never the same.
    std::thread::sleep(Duration::from_micros(200 + kill * 37 * 53 % 60_000));
    child.kill().unwrap();
    child.wait().unwrap();
    let lasted = started.elapsed();
    let last = lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok()).last();

    let run = RunDir::open(store.path()).unwrap();
    let report = recover(&run).unwrap();
    let ops = read_history(run.path()).unwrap().history;
    // Event `seq` of the child is the invocation (even) or the completion (odd) of operation `seq / 2`.
    let events = last.map_or(0, |seq| seq + 1);
    for seq in 0..events {
        let op = &ops.ops()[usize::try_from(seq / 2).unwrap()];
        let place = if seq.is_multiple_of(2) { Some(op.invoke_seq) } else { op.complete_seq };
        assert_eq!(place, Some(seq), "event {seq} of {events} acknowledged ones, kill {kill}");
        assert_eq!(op.call, call(seq / 2), "operation {}", seq / 2);
    }
    (events, !report.seal.torn.is_empty(), lasted)
}

fn call(op: u64) -> Call {
    Call::Write { key: (op % 13).cast_signed(), value: op.cast_signed() }
}

fn journal_until_killed(store: &Path) {
    let run = RunDir::create(store, "killed", 1, UNIX_EPOCH).unwrap();
    let owner = Some(Owner::current());
    Manifest { schema_version: SCHEMA_VERSION, owner, ..Manifest::default() }.write(run.path()).unwrap();
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    let phase: Arc<str> = Arc::from("faults");
    let mut out = std::io::stdout();
    writeln!(out, "ready").unwrap();
    let mut told = None;
    for op_id in 0.. {
        let call = call(op_id);
        let (process, seq, t_ns) = (0, op_id * 2, 0);
        let event =
            InvokeEvent { op_id, process, node: None, phase: &phase, call: &call, seq, t_ns, conn_cookie: None };
        recorder.invoke(event).unwrap();
        let completed = Completed::Ok(&call);
        recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns, completed, conn_cookie: None }).unwrap();
        if op_id % 3_000 == 2_999 {
            recorder.flush().unwrap();
        }
        let acknowledged = recorder.acknowledged();
        if acknowledged != told {
            told = acknowledged;
            // A line in one write: a reader sees it whole, or not at all.
            out.write_all(format!("{}\n", acknowledged.unwrap()).as_bytes()).unwrap();
        }
        if op_id.is_multiple_of(64) {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
}
