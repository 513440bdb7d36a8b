//! Recorded histories of registers in the folder `shared/histories/isolation` get the verdicts that their authors give them.

use fissure_checker::consistency::Model;
use fissure_checker::rw_register::{Options, check};
use fissure_checker::{CheckResult, History, Validity};
use fissure_history::import_file;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/histories/isolation")
}

fn import(path: &Path) -> History {
    import_file(path).unwrap_or_else(|error| panic!("{error}")).history
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn check_as(history: &History, model: &str) -> CheckResult {
    check(history, &Options { model: Model::parse(model).unwrap(), ..Options::default() })
}

/// The folder names the strongest of three levels that holds; sessions are processes.
#[test]
fn texts_of_awdit() {
    let mut files = 0;
    for folder in entries(&root().join("awdit-text")) {
        let level = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for path in entries(&folder) {
            let result = check_as(&import(&path), "strong-session-serializable");
            let found = |names: &[&str]| names.iter().any(|name| result.anomaly_types.contains(*name));
            let causal = ["non-monotonic-read", "fractured-read", "causal-violation", "causal-violation-process"];
            let expected = match level.as_str() {
                "causal" => !found(&causal) && !found(&["G1c", "G1c-process", "internal"]),
                "read-atomic" => found(&causal[2..]) && !found(&causal[..2]),
                // To read one key from two writers is internal, and no cycle where nothing orders these.
                "read-committed" => found(&[&causal[1..], &["internal"]].concat()) && !found(&causal[..1]),
                _ => found(&causal[..1]) || found(&["G1c", "G1c-process"]),
            };
            assert!(expected, "{}: {:?} {:?}", path.display(), result.anomaly_types, result.verdict);
            files += 1;
        }
    }
    assert_eq!(files, 9);
}

/// Serializability is violated, by cycles that snapshot isolation allows or not.
#[test]
fn logs_of_cobra() {
    for folder in entries(&root().join("cobra")) {
        let result = check_as(&import(&folder), "serializable");
        assert_eq!(result.verdict.validity, Validity::Invalid, "{}: {}", folder.display(), result.evidence);
    }
}

/// Galera violates snapshot isolation, but keeps read committed, read atomic and causality.
#[test]
fn text_of_polysi() {
    let history = import(&root().join("polysi/galera.txt"));
    for (model, expected) in [
        ("snapshot-isolation", Validity::Invalid),
        ("read-committed", Validity::Valid),
        ("read-atomic", Validity::Valid),
        ("causal-cerone", Validity::Valid),
    ] {
        let result = check_as(&history, model);
        assert_eq!(result.verdict.validity, expected, "{model}: {} {:?}", result.evidence, result.verdict);
        let weak = ["non-monotonic-read", "fractured-read", "causal-violation"];
        assert!(!weak.iter().any(|name| result.anomaly_types.contains(*name)), "{:?}", result.anomaly_types);
    }
}

/// A value that nobody wrote is no version of anything.
#[test]
fn register_of_elle() {
    for name in ["rw-register.edn", "rw-register.json"] {
        let result = check_as(&import(&root().join("elle").join(name)), "read-uncommitted");
        assert_eq!(result.verdict.validity, Validity::Invalid, "{name}: {}", result.evidence);
        assert!(result.anomaly_types.contains("garbage-read"), "{name}: {:?}", result.anomaly_types);
    }
}
