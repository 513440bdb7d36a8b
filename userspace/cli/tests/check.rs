//! `fissure check` as a user meets it: what it prints, what it writes, how it ends.

use expect_test::expect;
use std::path::Path;
use std::process::{Command, Output};

/// A stale read.
const STALE: &str = r#"{:index 0, :type :invoke, :process 0, :f :txn, :value [[:append 7 1]], :time 0}
{:index 1, :type :ok, :process 0, :f :txn, :value [[:append 7 1]], :time 1000000}
{:index 2, :type :invoke, :process 0, :f :txn, :value [[:append 7 2]], :time 2000000}
{:index 3, :type :ok, :process 0, :f :txn, :value [[:append 7 2]], :time 3000000}
{:index 4, :type :invoke, :process 1, :f :txn, :value [[:r 7 nil]], :time 5000000}
{:index 5, :type :ok, :process 1, :f :txn, :value [[:r 7 [1]]], :time 6000000}
{:index 6, :type :invoke, :process 1, :f :txn, :value [[:r 7 nil]], :time 7000000}
{:index 7, :type :ok, :process 1, :f :txn, :value [[:r 7 [1 2]]], :time 8000000}
"#;

fn check(dir: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fissure"));
    command.current_dir(dir).env("COLUMNS", "100").env_remove("FISSURE_STORE").arg("check").args(flags);
    command.output().expect("fissure starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints UTF-8")
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("h.edn"), STALE).expect("it can be written");
    dir
}

#[test]
fn a_stale_read_on_the_terminal() {
    let dir = folder();
    let output = check(dir.path(), &["h.edn"]);
    assert_eq!(output.status.code(), Some(1));
    expect![[r#"
        INVALID  h.edn

          ✗ list-append (strict-serializable)  stale read of key 7: the list up to 1 was seen by a read
                                               invoked 2.0 ms after the append of 2 completed
                                               G-single-item-realtime-0
                                               4 transactions (ok 4, fail 0, info 0), 2 ok reads of 1 keys,
                                               4 dependencies; anomalies: G-single-item-realtime 1
                                               holds: strong-session-serializable, strong-read-committed
                                               fails: strong-snapshot-isolation, strict-serializable by
                                               G-single-item-realtime-0

          G-single-item-realtime-0  G-single-item-realtime  stale read of key 7: the list up to 1 was seen
                                                            by a read invoked 2.0 ms after the append of 2
                                                            completed
            Let:
              T1 = operation 2, process 1, ok: read key 7 as [1]
              T2 = operation 1, process 0, ok: append 2 to key 7
            Then:
              T1 < T2, because T1 read key 7 as [1] and T2 appended 2 after 1
              However, T2 < T1, because T2 completed at 0.003 s, before T1 was invoked at 0.005 s: a
                contradiction
    "#]]
    .assert_eq(&text(&output.stdout));
}

#[test]
fn json_carries_every_level_and_files_show_each_finding_alone() {
    let dir = folder();
    let output = check(dir.path(), &["h.edn", "--json", "--output", "found"]);
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(document["valid"], false);
    let level = |name: &str| {
        let levels = document["levels"].as_array().expect("levels are listed");
        levels.iter().find(|level| level["model"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(level("serializable")["valid"], true);
    assert_eq!(level("strict-serializable")["valid"], false);
    assert_eq!(level("strict-serializable")["witness"], "G-single-item-realtime-0");
    assert_eq!(document["not"], serde_json::json!(["strong-snapshot-isolation"]));
    let written = std::fs::read_to_string(dir.path().join("found/results.json")).expect("results are written");
    assert_eq!(written, text(&output.stdout));
    let svg = std::fs::read_to_string(dir.path().join("found/findings/G-single-item-realtime-0.svg"));
    assert!(svg.expect("the cycle is drawn").contains("<svg"));
    let alone = check(dir.path(), &["found/findings/G-single-item-realtime-0.edn", "--json"]);
    assert_eq!(alone.status.code(), Some(1));
    let alone: serde_json::Value = serde_json::from_slice(&alone.stdout).expect("it is JSON");
    assert_eq!(alone["anomaly_types"], serde_json::json!(["G-single-item-realtime"]));
}

#[test]
fn models_are_known_by_every_name_and_wrong_words_are_usage_errors() {
    let dir = folder();
    for model in ["serializable", "PL-3", "conflict_serializable", "repeatable-read", "strong-session-PL-2"] {
        assert_eq!(check(dir.path(), &["h.edn", "--model", model]).status.code(), Some(0), "{model}");
    }
    for model in ["strict-serializable", "PL-SS", "strong-serializable"] {
        assert_eq!(check(dir.path(), &["h.edn", "--model", model]).status.code(), Some(1), "{model}");
    }
    let registers = check(dir.path(), &["h.edn", "--workload", "rw-register", "--json"]);
    assert_eq!(
        registers.status.code(),
        Some(2),
        "transactions over lists are not understood by the checker of registers"
    );
    assert!(text(&registers.stdout).contains("WRONG_WORKLOAD"));
    let registers: String = STALE.lines().take(4).map(|line| line.replace(":append", ":w") + "\n").collect();
    std::fs::write(dir.path().join("r.edn"), registers).expect("it can be written");
    assert_eq!(check(dir.path(), &["h.edn", "--wfr-keys"]).status.code(), Some(64), "it has no registers");
    std::fs::write(dir.path().join("order.edn"), "{1 10\n 99 20}").expect("it can be written");
    std::fs::write(dir.path().join("bad.edn"), "{1 10\n 3 late}").expect("it can be written");
    for (flags, said) in [
        (["--model", "serialisable"], "did you mean serializable"),
        (["--anomalies", "G9"], "`G9` is no anomaly"),
        (
            ["--transaction-order", "order.edn"],
            "order.edn:2:2: no operation of the history was invoked or completed at index 99",
        ),
        (["--transaction-order", "bad.edn"], "bad.edn:2:4: expected a place in the order, not `late`"),
        (["--transaction-order", "none.edn"], "cannot read none.edn"),
    ] {
        let output = check(dir.path(), &[&["r.edn"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(64), "{flags:?}");
        assert!(text(&output.stderr).contains(said), "{flags:?}: {}", text(&output.stderr));
    }
    let permitted = ["h.edn", "--model", "serializable", "--anomalies", "G-single-item-realtime"];
    assert_eq!(check(dir.path(), &permitted).status.code(), Some(1), "what is named fails whatever the model permits");
}

#[test]
fn a_sealed_history_has_the_same_answer_from_its_columns() {
    let dir = folder();
    let mut import = Command::new(env!("CARGO_BIN_EXE_fissure"));
    import.current_dir(dir.path()).args(["import", "h.edn", "-o", "h.parquet"]);
    assert!(import.output().expect("fissure starts").status.success());
    let whole = check(dir.path(), &["h.edn", "--json"]);
    for flags in [&["h.parquet", "--json"][..], &["h.parquet", "--json", "--memory", "64MiB"]] {
        let columns = check(dir.path(), flags);
        assert_eq!(columns.status.code(), whole.status.code());
        assert_eq!(text(&columns.stdout), text(&whole.stdout), "{flags:?}");
    }
}
