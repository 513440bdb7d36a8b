//! Every recorded history of the folder `shared/histories` in a format of transactional checkers or of Porcupine is
//! imported, and has as many operations as a count that knows nothing of the importers.

use fissure_checker::{Call, Mop, Outcome};
use fissure_history::import::Imported;
use fissure_history::import_file;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/histories")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn import(path: &Path) -> Imported {
    import_file(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Transactions that committed, reads, writes, and processes.
fn counts(imported: &Imported) -> [usize; 4] {
    let ops = imported.history.ops();
    let mops = || {
        ops.iter().flat_map(|op| match &op.call {
            Call::Txn(mops) => mops.as_slice(),
            other => panic!("{other:?}"),
        })
    };
    let reads = mops().filter(|mop| matches!(mop, Mop::Read { .. })).count();
    let writes = mops().filter(|mop| matches!(mop, Mop::Write { .. })).count();
    let processes: BTreeSet<i64> = ops.iter().map(|op| op.process).collect();
    [ops.iter().filter(|op| op.outcome == Outcome::Ok).count(), reads, writes, processes.len()]
}

#[test]
fn texts_of_awdit() {
    let mut files = 0;
    for folder in entries(&root().join("isolation/awdit-text")) {
        for path in entries(&folder) {
            let text = std::fs::read_to_string(&path).unwrap();
            let sessions: Vec<&str> = text.split("=====").collect();
            let transactions = sessions.iter().flat_map(|session| session.split("-----"));
            let transactions = transactions.filter(|transaction| transaction.contains(['r', 'w'])).count();
            let expected = [transactions, text.matches('r').count(), text.matches('w').count(), sessions.len()];
            let imported = import(&path);
            assert_eq!(counts(&imported), expected, "{}", path.display());
            assert!(!imported.history.has_real_time_order());
            files += 1;
        }
    }
    assert_eq!(files, 9);
}

#[test]
fn logs_of_cobra() {
    let folders = entries(&root().join("isolation/cobra"));
    assert_eq!(folders.len(), 2);
    for folder in folders {
        let logs = entries(&folder);
        let mut records = [0_usize; 256];
        let mut unread = 0;
        for log in &logs {
            let bytes = std::fs::read(log).unwrap();
            let mut at = 0;
            while at < bytes.len() {
                records[usize::from(bytes[at])] += 1;
                let numbers = match bytes[at] {
                    b'S' | b'C' => 1,
                    b'W' => 3,
                    b'R' => 4,
                    other => panic!("{other} at {at} of {}", log.display()),
                };
                if bytes[at] == b'R' {
                    let write = i64::from_be_bytes(bytes[at + 9..at + 17].try_into().unwrap());
                    unread += usize::from([0xbebe_ebee, 0xdead_beef].contains(&write));
                }
                at += 1 + 8 * numbers;
            }
        }
        let of = |record: u8| records[usize::from(record)];
        let imported = import(&folder);
        assert_eq!(counts(&imported), [of(b'C'), of(b'R'), of(b'W'), logs.len()], "{}", folder.display());
        assert_eq!(imported.history.len(), of(b'S'));
        let never = imported.history.ops().iter().flat_map(|op| match &op.call {
            Call::Txn(mops) => mops.as_slice(),
            _ => &[],
        });
        let never = never.filter(|mop| matches!(mop, Mop::Read { value: Some(None), .. })).count();
        assert_eq!(never, unread, "{}", folder.display());
    }
}

#[test]
fn text_of_polysi() {
    let path = root().join("isolation/polysi/galera.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let fields: Vec<Vec<&str>> = text.lines().map(|line| line[2..line.len() - 1].split(',').collect()).collect();
    let transactions: BTreeSet<&str> = fields.iter().map(|fields| fields[3]).collect();
    let sessions: BTreeSet<&str> = fields.iter().map(|fields| fields[2]).collect();
    let expected = [transactions.len(), text.matches("r(").count(), text.matches("w(").count(), sessions.len()];
    assert_eq!(counts(&import(&path)), expected);
}

#[test]
fn logs_of_porcupine() {
    let files = entries(&root().join("linearizability/kv"));
    assert_eq!(files.len(), 4);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let imported = import(&path);
        assert!(imported.history.has_real_time_order());
        let ops = imported.history.ops();
        let of = |f: &str| ops.iter().filter(|op| op.call.f() == f).count();
        let lines = |f: &str| text.lines().filter(|line| line.contains(":invoke") && line.contains(f)).count();
        assert_eq!([of("read"), of("append"), of("write")], [lines(":f :get"), lines(":f :append"), lines(":f :put")]);
        assert_eq!(ops.len(), text.matches(":invoke").count());
        assert_eq!(ops.iter().filter(|op| op.outcome == Outcome::Ok).count(), text.matches(":ok").count());
        let empty = |op: &&fissure_checker::Operation| matches!(op.call, Call::Read { value: Some(None), .. });
        assert_eq!(ops.iter().filter(empty).count(), text.matches(":value \"\"").count());
    }
}
