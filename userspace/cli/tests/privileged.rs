//! The main job, end to end, with the real binary: labs, kernel programs, clusters, faults, verdicts.
//!
//! Needs root, the eBPF object, and etcd: `cargo xtask test` brings them. Each test runs a scenario in a store of its
//! own; they take turns, because two clusters on two cores only measure each other.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static TURN: Mutex<()> = Mutex::new(());

/// A store of a test's own, and its turn.
struct Bench {
    store: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self { store: tempfile::tempdir().unwrap(), _turn: turn }
    }

    fn fissure(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fissure"));
        command.args(args).env("FISSURE_STORE", self.store.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.fissure(args).output().unwrap()
    }

    fn latest(&self) -> PathBuf {
        self.store.path().join("latest").canonicalize().unwrap()
    }

    fn results(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.latest().join("results.json")).unwrap()).unwrap()
    }

    /// One number from SQL.
    fn count(&self, sql: &str) -> u64 {
        let output = self.run(&["sql", "latest", "--format", "csv", "-c", sql]);
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{sql}: {}", said(&output)))
    }
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).display().to_string()
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("exit {:?}\n--- stdout\n{out}\n--- stderr\n{err}", output.status.code())
}

#[track_caller]
fn expect_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
}

/// The result of one checker.
fn check<'a>(results: &'a Value, name: &str) -> &'a Value {
    let found = results["checks"].as_array().unwrap().iter().find(|check| check["checker"] == name);
    found.unwrap_or_else(|| panic!("no check {name} in {results:#}"))
}

fn anomalies(check: &Value) -> Vec<String> {
    check["anomaly_types"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn demo_stale_reads_are_found_and_explained_with_their_packets() {
    let bench = Bench::new();
    let output = bench.run(&["run", &example("demo-partition-leader.toml"), "--seed", "1"]);
    expect_exit(&output, 1);
    let results = bench.results();
    let registers = check(&results, "linearizable-register");
    assert_eq!(registers["valid"], false, "{}", said(&output));
    let names = anomalies(registers);
    assert!(names.iter().all(|name| name == "stale-read" || name == "nonlinearizable"), "{names:?}");
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(screen.starts_with("INVALID"), "{screen}");
    // What was recorded is what the kernel counted, and operations stand beside the packets of their connections.
    let recorded = bench.count("select count(*) from injections");
    let counted = bench.count("select sum(kernel_hits) from faults");
    assert!(recorded > 0 && recorded == counted, "recorded {recorded}, the kernel counted {counted}");
    assert!(bench.count("select count(*) from op_injections") > 0);
    for file in ["manifest.json", "results.json", "report.html", "junit.xml", "scenario.toml"] {
        assert!(bench.latest().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn demo_without_a_bug_is_valid_under_the_same_faults() {
    let bench = Bench::new();
    let output = bench.run(&["run", &example("demo-partition-leader.toml"), "--bug", "none", "--seed", "2"]);
    expect_exit(&output, 0);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("VALID"), "{}", said(&output));
}

#[test]
fn demo_writes_acknowledged_before_they_are_replicated_are_missed() {
    let bench = Bench::new();
    let args = ["run", &example("demo-partition-leader.toml"), "--bug", "ack-before-replicated", "--seed", "3"];
    let output = bench.run(&args);
    expect_exit(&output, 1);
    let results = bench.results();
    let both = [check(&results, "linearizable-register"), check(&results, "list-append")];
    assert!(both.iter().any(|check| check["valid"] == false), "{}", said(&output));
}

#[test]
fn demo_torn_transactions_are_found_and_registers_stay_linearizable() {
    let bench = Bench::new();
    let output = bench.run(&["run", &example("demo-partition-leader.toml"), "--bug", "non-atomic-txn", "--seed", "4"]);
    expect_exit(&output, 1);
    let results = bench.results();
    assert_eq!(check(&results, "list-append")["valid"], false);
    assert_eq!(check(&results, "linearizable-register")["valid"], true);
}

#[test]
fn a_fault_that_can_hit_nothing_makes_the_run_unknown() {
    let bench = Bench::new();
    let output = bench.run(&["run", &example("never-fires.toml"), "--seed", "5"]);
    expect_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAULT_NEVER_FIRED"), "{}", said(&output));
}

#[test]
fn etcd_with_reads_through_consensus_is_linearizable() {
    let bench = Bench::new();
    let output = bench.run(&["run", &example("etcd-linearizable.toml"), "--seed", "6"]);
    if output.status.code() != Some(0) {
        // Stock etcd 3.4 and 3.5 have a rare stale read after pauses (etcd#20418): keep what was seen, never retry it.
        let kept = std::env::temp_dir().join(format!("fissure-etcd-{}", std::process::id()));
        let _ = Command::new("cp").arg("-a").arg(bench.latest()).arg(&kept).status();
        eprintln!("the run is kept in {}", kept.display());
    }
    expect_exit(&output, 0);
}

#[test]
fn etcd_with_serializable_reads_is_found_to_serve_the_past() {
    let bench = Bench::new();
    let output = bench.run(&["run", &example("etcd-serializable.toml"), "--seed", "7"]);
    expect_exit(&output, 1);
    let names = anomalies(check(&bench.results(), "linearizable-register"));
    assert!(names.iter().any(|name| name == "stale-read"), "{names:?}");
}

/// What of ours is in the machine: namespaces, links, programs, cgroups, processes.
fn residue() -> String {
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Reference counts and statistics aside, these are the same before and after.
    let programs = run("bpftool", &["prog", "show"]);
    let programs: Vec<&str> = programs.lines().filter(|line| line.contains("fissure")).collect();
    [
        run("ip", &["netns", "list"]),
        run("ip", &["-o", "link", "show"]),
        run("tc", &["qdisc", "show"]),
        run("nft", &["list", "ruleset"]),
        run("bpftool", &["link", "show"]),
        programs.join("\n"),
    ]
    .join("\n---\n")
}

/// Starts a run and returns once its faults phase has put something in force.
fn start_until_faults(bench: &Bench, seed: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let scenario = example("demo-partition-leader.toml");
    let mut command = bench.fissure(&["run", &scenario, "--bug", "none", "--seed", seed]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let begun = Instant::now();
    let mut line = String::new();
    while !line.contains("isolate") {
        assert!(begun.elapsed() < Duration::from_secs(90), "no fault within 90 s");
        line.clear();
        assert!(words.read_line(&mut line).unwrap() > 0, "the run ended before its first fault");
    }
    (child, words)
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_killed_run_leaves_nothing_in_the_kernel_and_everything_in_its_journal() {
    let bench = Bench::new();
    let before = residue();
    let (mut child, _words) = start_until_faults(&bench, "8");
    std::thread::sleep(Duration::from_secs(1));
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = Instant::now();
    while residue() != before {
        assert!(begun.elapsed() < Duration::from_secs(10), "before:\n{before}\nafter:\n{}", residue());
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = bench.run(&["check", "latest"]);
    expect_exit(&refused, 64);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("fissure recover"), "{}", said(&refused));
    let recovered = bench.run(&["recover", "latest"]);
    expect_exit(&recovered, 0);
    assert!(bench.count("select count(*) from ops") > 100);
    let judged = bench.run(&["check", "latest"]);
    expect_exit(&judged, 2);
    assert!(String::from_utf8_lossy(&judged.stdout).contains("RUN_CUT_SHORT"), "{}", said(&judged));
}

#[test]
fn ctrl_c_once_ends_the_run_properly() {
    let bench = Bench::new();
    let (child, words) = start_until_faults(&bench, "9");
    signal(&child, "-INT");
    let reader = std::thread::spawn(move || words.lines().map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    reader.join().unwrap();
    expect_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stdout).contains("INTERRUPTED"), "{}", said(&output));
    assert!(bench.count("select count(*) from ops") > 100);
}

#[test]
fn ctrl_c_twice_ends_the_run_at_once_with_a_readable_folder() {
    let bench = Bench::new();
    let (child, words) = start_until_faults(&bench, "10");
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let begun = Instant::now();
    let reader = std::thread::spawn(move || words.lines().map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    reader.join().unwrap();
    expect_exit(&output, 2);
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    assert!(bench.count("select count(*) from ops") > 100);
}

/// On a disk of three megabytes of its own, which then grows.
#[test]
fn a_full_disk_ends_the_run_and_what_was_recorded_can_be_sealed() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=3000k none "$1"
        "$0" run "$2" --store "$1/store" --seed 11
        echo "run: $?"
        mount -o remount,size=64m "$1"
        "$0" recover "$1/store/latest"
        echo "recover: $?"
        "$0" sql "$1/store/latest" --format csv -c "select count(*) > 100 as many from ops"
    "#;
    let bench = Bench::new();
    let before = residue();
    let disk = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, env!("CARGO_BIN_EXE_fissure")])
        .args([disk.path().as_os_str(), example("demo-lossy-links.toml").as_ref()])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (told, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for words in ["run: 3\n", "recover: 0\n", "many\ntrue\n"] {
        assert!(told.contains(words), "{words}: {}", said(&output));
    }
    assert_eq!(warned.matches("No space left on device").count(), 1, "{}", said(&output));
    assert!(warned.contains("make room") && warned.contains("fissure recover"), "{}", said(&output));
    assert_eq!(residue(), before);
    drop(bench);
}
