//! A process that journals and seals is killed at any moment; nothing that it was told is safe may be missing. And one
//! whose disk is full stops, and leaves a folder that can be read.
//!
//! This test runs itself: with `FISSURE_JOURNAL_INTO` set it is the process that is killed, so it has no test harness.

use fissure_checker::Call;
use fissure_history::journal::{CompleteEvent, Completed, InvokeEvent, Journal, RecordError, SegmentLimits};
use fissure_history::manifest::Owner;
use fissure_history::rows::ClockRow;
use fissure_history::{Manifest, RunDir, SCHEMA_VERSION, read, read_history, recover};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

const CHILD: &str = "FISSURE_JOURNAL_INTO";
const RECOVER: &str = "FISSURE_RECOVER";
const KILLS: u64 = 300;

/// Small segments, so that kills land in every step of sealing.
const LIMITS: SegmentLimits = SegmentLimits { events: 700, rows: 300, bytes: 1 << 20 };

/// Exit code of a child whose disk is full.
const DISK_FULL: i32 = 28;

fn main() {
    if let Some(store) = std::env::var_os(CHILD) {
        match journal_until_killed(Path::new(&store)) {
            Err(error) if error.is_disk_full() => std::process::exit(DISK_FULL),
            other => other.unwrap(),
        }
        return;
    }
    if let Some(store) = std::env::var_os(RECOVER) {
        recover(&RunDir::open(Path::new(&store)).unwrap()).unwrap();
        return;
    }
    // The harness of Rust is asked for a list by some tools; there are two tests.
    if std::env::args().any(|argument| argument == "--list") {
        println!("nothing_acknowledged_is_lost: test\na_full_disk_stops_the_run: test");
        return;
    }
    let mut sum = Outcome::default();
    for kill in 0..KILLS {
        sum.add(&kill_once(kill));
    }
    println!(
        "test nothing_acknowledged_is_lost ... ok ({KILLS} kills after {:.1} s of journaling, {} acknowledged events, all \
         there; {} torn tails cut; {} runs had sealed something, {} recoveries were killed as well)",
        sum.lasted.as_secs_f64(),
        sum.events,
        sum.torn,
        sum.rolled,
        sum.recoveries_killed
    );
    assert!(sum.events > 0, "no child acknowledged anything");
    assert!(sum.rolled > KILLS / 20, "only {} runs had sealed a segment when they were killed", sum.rolled);
    fill_disks();
    println!("test a_full_disk_stops_the_run ... ok");
}

#[derive(Default)]
struct Outcome {
    /// Events that were acknowledged.
    events: u64,
    torn: u64,
    /// Runs that had sealed a segment.
    rolled: u64,
    recoveries_killed: u64,
    lasted: Duration,
}

impl Outcome {
    fn add(&mut self, other: &Outcome) {
        self.events += other.events;
        self.torn += other.torn;
        self.rolled += other.rolled;
        self.recoveries_killed += other.recoveries_killed;
        self.lasted += other.lasted;
    }
}

fn spawn(name: &str, store: &Path) -> Child {
    let program = std::env::current_exe().unwrap();
    Command::new(program).env(name, store).stdout(Stdio::piped()).spawn().unwrap()
}

/// Kills one child, and every fifth time the process that recovers its run as well.
fn kill_once(kill: u64) -> Outcome {
    let store = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut child = spawn(CHILD, store.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    // Moments that are spread over some milliseconds and never the same.
    std::thread::sleep(Duration::from_micros(200 + kill * 37 * 53 % 60_000));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut outcome = Outcome { lasted: started.elapsed(), ..Outcome::default() };
    let lines: Vec<String> = lines.map_while(Result::ok).collect();
    let last = |what: &str| lines.iter().rev().find_map(|line| line.strip_prefix(what)?.parse::<u64>().ok());
    let (last_seq, clocks) = (last("seq "), last("clocks ").unwrap_or(0));

    let run = RunDir::open(store.path()).unwrap();
    outcome.rolled = u64::from(run.journal_dir().join("progress.json").exists());
    if kill.is_multiple_of(5) {
        let mut recovering = spawn(RECOVER, run.path());
        std::thread::sleep(Duration::from_micros(kill * 41 * 59 % 12_000));
        recovering.kill().unwrap();
        outcome.recoveries_killed = u64::from(!recovering.wait().unwrap().success());
    }
    let report = recover(&run).unwrap();
    outcome.torn = u64::from(!report.seal.torn.is_empty());
    // Event `seq` of the child is the invocation (even) or the completion (odd) of operation `seq / 2`.
    outcome.events = last_seq.map_or(0, |seq| seq + 1);
    check(&run, outcome.events, clocks, kill);
    let again = recover(&run).unwrap();
    assert!(again.was_sealed);
    assert_eq!(again.seal.counts.ops, report.seal.counts.ops.max(again.seal.counts.ops));
    check(&run, outcome.events, clocks, kill);
    outcome
}

/// All acknowledged events and rows are there, and what comes after them is in order.
fn check(run: &RunDir, events: u64, clocks: u64, kill: u64) {
    let history = read_history(run.path()).unwrap().history;
    for (number, op) in (0..).zip(history.ops()) {
        // Operation 0 hangs for ever, and so is late in every part.
        assert_eq!((op.op_id, op.invoke_seq), (number, number * 2), "kill {kill}");
        assert_eq!(op.call, call(number), "operation {number}, kill {kill}");
        if number > 0 && number * 2 + 1 < events {
            assert_eq!(op.complete_seq, Some(number * 2 + 1), "operation {number} of {events} events, kill {kill}");
        }
    }
    assert!(history.len() as u64 >= events.div_ceil(2), "{} operations, {events} events, kill {kill}", history.len());
    let rows = read::read_clocks(run.path()).unwrap();
    assert!(rows.len() as u64 >= clocks, "{} of {clocks} clocks, kill {kill}", rows.len());
    assert!((0..).zip(&rows).all(|(at, row)| row.t_ns == at), "kill {kill}");
}

fn call(op: u64) -> Call {
    Call::Write { key: (op % 13).cast_signed(), value: op.cast_signed() }
}

fn journal_until_killed(store: &Path) -> Result<(), RecordError> {
    let run = RunDir::create(store, "killed", 1, UNIX_EPOCH)?;
    let owner = Some(Owner::current());
    Manifest { schema_version: SCHEMA_VERSION, owner, ..Manifest::default() }.write(run.path())?;
    let journal = Journal::with_limits(&run, LIMITS)?;
    let recorder = journal.recorder();
    let phase: Arc<str> = Arc::from("faults");
    // A line in one write: a reader sees it whole, or not at all.
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    say("ready\n".to_owned());
    let mut told = None;
    for op_id in 0_u64.. {
        let call = call(op_id);
        let (process, seq, t_ns) = (i64::from(op_id == 0), op_id * 2, 0);
        let event =
            InvokeEvent { op_id, process, node: None, phase: &phase, call: &call, seq, t_ns, conn_cookie: None };
        recorder.invoke(event)?;
        recorder.clock(ClockRow { t_ns: op_id.cast_signed(), wall_ns: 0 })?;
        if op_id == 0 {
            continue;
        }
        let completed = Completed::Ok(&call);
        recorder.complete(CompleteEvent { op_id, seq: seq + 1, t_ns, completed, conn_cookie: None })?;
        if op_id % 100 == 99 {
            recorder.flush()?;
            say(format!("clocks {}\n", op_id + 1));
        }
        let acknowledged = recorder.acknowledged();
        if acknowledged != told {
            told = acknowledged;
            say(format!("seq {}\n", acknowledged.unwrap()));
        }
        if op_id.is_multiple_of(64) {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
    Ok(())
}

/// A limit on the length of files is a full disk that needs no root: first for journals, then for what is sealed.
fn fill_disks() {
    for kilobytes in [8, 16, 24, 40, 64] {
        let store = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        // The signal that comes with the error is ignored, as it is on a disk that is really full.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\"", kilobytes * 2);
        let mut child = Command::new("sh");
        child.args(["-c", &script]).arg(program).env(CHILD, store.path());
        let output = child.stdout(Stdio::piped()).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(DISK_FULL),
            "{kilobytes} KB: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = String::from_utf8(output.stdout).unwrap();
        let last = |what: &str| lines.lines().rev().find_map(|line| line.strip_prefix(what)?.parse::<u64>().ok());
        let run = RunDir::open(store.path()).unwrap();
        recover(&run).unwrap();
        check(&run, last("seq ").map_or(0, |seq| seq + 1), last("clocks ").unwrap_or(0), kilobytes);
    }
}
