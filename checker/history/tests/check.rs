//! Judging columns gives what judging the history gives, answer for answer and word for word.

use fissure_checker::synthetic::{Latency, Level, Spec, Stream, Workload};
use fissure_checker::{CheckResult, Validity, list_append, rw_register};
use fissure_history::check::{self, Checked, Memory, Options};
use fissure_history::{Error, HistoryWriter, read_history, synthetic};
use std::path::Path;

fn write(spec: &Spec, dir: &Path) {
    let mut writer = HistoryWriter::create(dir).unwrap();
    synthetic::write(Stream::new(spec).unwrap(), &mut writer, |_| {}).unwrap();
    writer.finish().unwrap();
}

fn options() -> Options {
    Options { lists: Some(list_append::Options::default()), registers: Some(rw_register::Options::default()) }
}

fn judge(path: &Path, memory: &Memory) -> Result<Checked, Error> {
    check::transactions(path, None, &options(), memory)
}

/// Both answers about a history of this kind.
fn both(spec: &Spec, memory: &Memory) -> (Checked, CheckResult) {
    let dir = tempfile::tempdir().unwrap();
    write(spec, dir.path());
    let history = read_history(dir.path()).unwrap().history;
    let whole = match spec.workload {
        Workload::RwRegister => rw_register::check(&history, &rw_register::Options::default()),
        _ => list_append::check(&history, &list_append::Options::default()),
    };
    (judge(dir.path(), memory).unwrap(), whole)
}

const SMALL: Memory = Memory { bytes_max: Some(1_000_000), spill_dir: None };

fn agree(spec: &Spec) -> CheckResult {
    let (columns, whole) = both(spec, &Memory::default());
    assert_eq!(columns, Checked::Judged(Box::new(whole.clone())));
    let (columns, _) = both(spec, &SMALL);
    if spec.workload == Workload::RwRegister {
        let Checked::Judged(result) = columns else { panic!("not judged") };
        assert_eq!(result.verdict.validity, Validity::Unknown);
        assert_eq!(result.verdict.reasons[0].code, "MEMORY_SPENT");
    } else {
        assert_eq!(columns, Checked::Judged(Box::new(whole.clone())), "with little memory");
    }
    whole
}

#[test]
fn healthy_histories_of_every_level() {
    for (level, workload) in
        Level::ALL.into_iter().flat_map(|level| [(level, Workload::ListAppend), (level, REGISTERS)])
    {
        let spec = Spec { level, workload, ops: 20_000, info_share: 0.05, fail_share: 0.05, ..Spec::default() };
        agree(&spec);
    }
}

const REGISTERS: Workload = Workload::RwRegister;

#[test]
fn planted_anomalies_of_registers() {
    let plants = ["G-single:9_000", "G1a", "lost-update:10", "stale-read:500"].map(|plant| plant.parse().unwrap());
    let result = agree(&Spec { workload: REGISTERS, ops: 30_000, plants: plants.to_vec(), ..Spec::default() });
    assert!(result.is_invalid() && result.findings.len() >= 4, "{:?}", result.anomaly_types);
}

#[test]
fn who_is_not_asked_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(&Spec { ops: 100, ..Spec::default() }, dir.path());
    let registers = Options { lists: None, ..options() };
    assert_eq!(check::transactions(dir.path(), None, &registers, &Memory::default()).unwrap(), Checked::Other);
}

#[test]
fn planted_anomalies_far_apart_and_operations_that_come_late() {
    let plants = ["long-fork:80_000", "G-single:90_000", "G1a", "lost-update:10"];
    let plants = plants.map(|plant| plant.parse().unwrap()).to_vec();
    let result = agree(&Spec { ops: 200_000, plants, ..Spec::default() });
    assert!(result.is_invalid() && result.findings.len() >= 4, "{:?}", result.anomaly_types);
    let latency = Latency { long_share: 1e-4, long_factor: 100_000, ..Spec::default().latency };
    assert!(!agree(&Spec { ops: 150_000, latency, ..Spec::default() }).is_invalid());
}

#[test]
fn what_is_neither_list_nor_register_is_left_to_others() {
    let others = |workload: &Workload| ![Workload::ListAppend, REGISTERS].contains(workload);
    for workload in Workload::ALL.into_iter().filter(others) {
        let (columns, _) = both(&Spec { workload, ops: 500, ..Spec::default() }, &Memory::default());
        assert_eq!(columns, Checked::Other, "{workload}");
    }
}

#[test]
fn one_file_is_judged_as_well_as_its_run() {
    let dir = tempfile::tempdir().unwrap();
    write(&Spec { ops: 1_000, plants: vec!["G1c".parse().unwrap()], ..Spec::default() }, dir.path());
    let of_run = judge(dir.path(), &Memory::default()).unwrap();
    let file = dir.path().join("history/ops/part-00000.parquet");
    let file = if file.exists() { file } else { dir.path().join("ops/part-00000.parquet") };
    assert_eq!(judge(&file, &Memory::default()).unwrap(), of_run);
}

#[test]
fn damage_is_an_error_and_never_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    write(&Spec { ops: 3_000, ..Spec::default() }, dir.path());
    let file = dir.path().join("history/ops/part-00000.parquet");
    let file = if file.exists() { file } else { dir.path().join("ops/part-00000.parquet") };
    let good = std::fs::read(&file).unwrap();
    for place in (0..good.len()).step_by(good.len() / 97) {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        std::fs::write(&file, &bad).unwrap();
        let error = judge(dir.path(), &Memory::default()).expect_err("damaged");
        assert!(matches!(error, Error::Corrupt { .. }), "byte {place}: {error}");
    }
}
