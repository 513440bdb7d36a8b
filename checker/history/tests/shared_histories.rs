//! Every recorded history of the folder `shared/histories` that an importer is for can be imported, and the others are
//! refused with a reason. What they say is judged elsewhere.

use fissure_checker::Call;
use fissure_history::import_file;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/histories")
}

fn files(dir: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(dir))
        .unwrap_or_else(|error| panic!("{dir}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Imports every file of a folder: their number, their operations, and the micro-operations of their transactions.
#[track_caller]
fn import_all(dir: &str) -> (usize, usize, usize) {
    let files = files(dir);
    let (mut ops, mut mops) = (0, 0);
    for file in &files {
        let imported = import_file(file).unwrap_or_else(|error| panic!("{error}"));
        ops += imported.history.len();
        for op in imported.history.ops() {
            if let Call::Txn(parts) = &op.call {
                mops += parts.len();
            }
        }
    }
    (files.len(), ops, mops)
}

/// Lines of a folder's files that contain a word: an independent count of the invocations.
fn lines_with(dir: &str, word: &str) -> usize {
    let count = |path: &PathBuf| std::fs::read_to_string(path).unwrap().matches(word).count();
    files(dir).iter().map(count).sum()
}

#[test]
fn logs_of_etcd() {
    let (count, ops, mops) = import_all("linearizability/etcd");
    let expected = std::fs::read_to_string(root().join("linearizability/EXPECTED.tsv")).unwrap();
    assert_eq!((count, mops), (expected.lines().filter(|line| line.starts_with("etcd/")).count(), 0));
    assert_eq!(ops, lines_with("linearizability/etcd", ":invoke"));
}

#[test]
fn histories_of_knossos() {
    for dir in ["linearizability/knossos/good", "linearizability/knossos/bad"] {
        let (count, ops, _) = import_all(dir);
        assert!(count >= 2);
        assert_eq!(ops, lines_with(dir, ":invoke"), "{dir}");
    }
}

#[test]
fn histories_of_elle() {
    let (count, ops, mops) = import_all("isolation/elle");
    assert_eq!(count, 6);
    assert_eq!(ops, lines_with("isolation/elle", "invoke"));
    assert!(mops > ops, "{mops} micro-operations in {ops} transactions");
}

#[test]
fn edn_and_json_of_the_same_history_are_the_same() {
    for name in ["paper-example", "rw-register"] {
        let import = |extension: &str| {
            let path = root().join("isolation/elle").join(name).with_extension(extension);
            import_file(&path).unwrap_or_else(|error| panic!("{error}"))
        };
        let (edn, json) = (import("edn"), import("json"));
        assert_eq!(edn.history.ops(), json.history.ops(), "{name}");
        assert_eq!(edn.history.names().len(), json.history.names().len(), "{name}");
    }
}

/// Every call of a file, by its function and variant.
fn calls(file: &str) -> BTreeMap<String, usize> {
    let imported = import_file(&root().join("other").join(file)).unwrap_or_else(|error| panic!("{error}"));
    let mut counts = BTreeMap::new();
    for op in imported.history.ops() {
        let debug = format!("{:?}", op.call);
        let variant = debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        *counts.entry(variant).or_default() += 1;
    }
    counts
}

#[test]
fn histories_of_other_objects() {
    let lines = |file: &str, word: &str| {
        std::fs::read_to_string(root().join("other").join(file)).unwrap().matches(word).count()
    };
    for (file, variants) in [
        ("jepsen/bank-neg.edn", &["ReadBalances"][..]),
        ("jepsen/bank-negative-balances.json", &["ReadBalances"]),
        ("jepsen/bank.edn", &["ReadBalances", "Transfer"]),
        ("jepsen/bank.json", &["ReadBalances", "Transfer"]),
        ("jepsen/comments.edn", &["ReadSet", "Write"]),
        ("jepsen/counter.edn", &["Add"]),
        ("jepsen/counter.json", &["Add"]),
        ("jepsen/long-fork.edn", &["Txn"]),
        ("jepsen/set.edn", &["Add", "ReadSet"]),
        ("jepsen/set_full.edn", &["Add", "ReadSet"]),
        ("jepsen/set_full.json", &["Add", "ReadSet"]),
        ("knossos-mutex/etcd-bad.edn", &["Acquire", "Release"]),
    ] {
        let counts = calls(file);
        let found: Vec<&str> = counts.keys().map(String::as_str).collect();
        assert_eq!(found, variants, "{file}: {counts:?}");
        let invoked = if file.ends_with("json") { "\"type\":\"invoke\"" } else { ":invoke" };
        assert_eq!(counts.values().sum::<usize>(), lines(file, invoked), "{file}");
    }
    for name in ["bank", "counter", "set_full"] {
        assert_eq!(calls(&format!("jepsen/{name}.edn")), calls(&format!("jepsen/{name}.json")));
    }
}
