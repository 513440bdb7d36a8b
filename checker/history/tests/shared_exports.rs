//! Every recorded history of the folder `shared/histories` survives being written as EDN and read again: the same
//! operations, the same names, and the same verdict and anomalies by every checker that has something to say.

use fissure_checker::consistency::Model;
use fissure_checker::{History, linearizable, list_append};
use fissure_history::export::{ExportFormat, ExportOptions, export_history};
use fissure_history::import::{ImportOptions, import_bytes};
use fissure_history::import_file;
use std::path::{Path, PathBuf};

fn histories(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && dir.ends_with("cobra") {
            found.push(path);
        } else if path.is_dir() {
            histories(&path, found);
        } else if !["README.md", "EXPECTED.tsv", "LICENSE"].contains(&name.as_str()) {
            found.push(path);
        }
    }
}

fn judged(history: &History) -> Vec<String> {
    let verdicts = ["strict-serializable", "serializable", "read-committed"].map(|model| {
        let options = list_append::Options { model: Model::parse(model).unwrap(), ..list_append::Options::default() };
        list_append::check(history, &options)
    });
    let register = linearizable::check_register(history, &linearizable::Options::default());
    let told = |result: &fissure_checker::CheckResult| {
        format!("{} {:?} {:?}", result.checker, result.verdict.validity, result.anomaly_types)
    };
    verdicts.iter().chain([&register]).map(told).collect()
}

#[test]
fn every_history_survives_edn() {
    let mut paths = Vec::new();
    histories(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/histories"), &mut paths);
    assert!(paths.len() > 120, "{}", paths.len());
    for path in paths {
        let before = import_file(&path).unwrap_or_else(|error| panic!("{error}"));
        let mut text = Vec::new();
        let options = ExportOptions::default();
        let report = export_history(&before.history, &before.faults, ExportFormat::Edn, &options, &mut text).unwrap();
        let options = ImportOptions { independent: Some(report.independent), ..ImportOptions::default() };
        let after = import_bytes(Path::new("h.edn"), &text, &options).unwrap_or_else(|error| panic!("{error}"));
        let mut again = Vec::new();
        export_history(&after.history, &after.faults, ExportFormat::Edn, &ExportOptions::default(), &mut again)
            .unwrap();
        assert_eq!(before.history.len(), after.history.len(), "{}", path.display());
        let (text, again) = (String::from_utf8(text).unwrap(), String::from_utf8(again).unwrap());
        if let Some((first, second)) = text.lines().zip(again.lines()).find(|(first, second)| first != second) {
            panic!("{}:\n{first}\n{second}", path.display());
        }
        assert_eq!(text.len(), again.len(), "{}", path.display());
        // That only sessions are ordered, EDN cannot say.
        let order = before.history.has_real_time_order();
        let after = after.history.with_real_time_order(order);
        assert_eq!(judged(&before.history), judged(&after), "{}", path.display());
    }
}
