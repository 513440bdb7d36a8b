//! Judging columns gives what judging the history gives, answer for answer and word for word.

use fissure_checker::synthetic::{Latency, Level, Spec, Stream, Workload};
use fissure_checker::{Call, CheckResult, History, Mop, Operation, Validity, linearizable, list_append, rw_register};
use fissure_history::check::{self, Checked, Memory, Options, Others};
use fissure_history::{Error, HistoryWriter, read_history, synthetic};
use std::path::Path;

fn write(spec: &Spec, dir: &Path) {
    let mut writer = HistoryWriter::create(dir).unwrap();
    synthetic::write(Stream::new(spec).unwrap(), &mut writer, |_| {}).unwrap();
    writer.finish().unwrap();
}

fn options() -> Options {
    Options {
        lists: Some(list_append::Options::default()),
        registers: Some(rw_register::Options::default()),
        ..Options::default()
    }
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
    if spec.workload == Workload::RwRegister {
        let (columns, _) = both(spec, &Memory { bytes_max: Some(100_000), spill_dir: None });
        let Checked::Judged(result) = columns else { panic!("not judged") };
        let is_spent = result.verdict.reasons.iter().any(|reason| reason.code == "MEMORY_SPENT");
        if whole.evidence.contains("a serial order that explains every read is the witness") {
            assert_eq!(*result, whole, "with little memory");
        } else if is_spent {
            assert_eq!(result.verdict.validity, Validity::Unknown);
        } else {
            assert_eq!(result.verdict.validity, whole.verdict.validity, "{:?}", spec.plants);
        }
    } else {
        let (columns, _) = both(spec, &SMALL);
        assert_eq!(columns, Checked::Judged(Box::new(whole.clone())), "with little memory");
    }
    whole
}

#[test]
fn healthy_histories_of_every_level() {
    for (level, workload) in
        Level::ALL.into_iter().flat_map(|level| [(level, Workload::ListAppend), (level, REGISTERS)])
    {
        // Registers whose order of versions is open take a search where the level is weaker than what is asked.
        let ops = if workload == REGISTERS { 2_000 } else { 20_000 };
        agree(&Spec { level, workload, ops, info_share: 0.05, fail_share: 0.05, ..Spec::default() });
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

/// A history of each kind, on processes and keys of their own, taking turns.
fn mixed(specs: &[Spec]) -> Vec<Operation> {
    let mut ops: Vec<Operation> = Vec::new();
    for (number, spec) in (0..).zip(specs) {
        let dir = tempfile::tempdir().unwrap();
        write(spec, dir.path());
        for mut op in read_history(dir.path()).unwrap().history.ops().iter().cloned() {
            let place = |seq: u64| seq * specs.len() as u64 + number;
            (op.invoke_seq, op.complete_seq) = (place(op.invoke_seq), op.complete_seq.map(place));
            op.process += number.cast_signed() * 1_000_000;
            ops.push(op);
        }
    }
    ops.sort_by_key(|op| op.invoke_seq);
    renumbered(ops)
}

fn renumbered(mut ops: Vec<Operation>) -> Vec<Operation> {
    (0..).zip(&mut ops).for_each(|(op_id, op)| op.op_id = op_id);
    ops
}

/// Both checkers asked to pass over what they are not about, and asked about what [`History::only`] leaves.
fn pass_over(ops: Vec<Operation>) -> [CheckResult; 2] {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = HistoryWriter::create(dir.path()).unwrap();
    ops.iter().for_each(|op| writer.op(op, &"main".into()).unwrap());
    writer.finish().unwrap();
    let history = History::new(ops).unwrap();
    let of_lists = |mop: &Mop| matches!(mop, Mop::Append { .. } | Mop::ReadList { .. });
    let of_registers = |mop: &Mop| matches!(mop, Mop::Write { .. } | Mop::Read { .. });
    let some = |op: &Operation, not: &dyn Fn(&Mop) -> bool| match &op.call {
        Call::Txn(mops) => mops.is_empty() || !mops.iter().all(not),
        _ => false,
    };
    let lists = list_append::check(&history.only(|op| some(op, &of_registers)), &list_append::Options::default());
    let registers = rw_register::check(&history.only(|op| some(op, &of_lists)), &rw_register::Options::default());
    let asked = Options { others: Others::PassOver, ..options() };
    let one_each = [Options { registers: None, ..asked.clone() }, Options { lists: None, ..asked }];
    for (options, expected) in one_each.iter().zip([&lists, &registers]) {
        let checked = check::transactions(dir.path(), None, options, &Memory::default()).unwrap();
        assert_eq!(checked, Checked::Judged(Box::new(expected.clone())));
    }
    [lists, registers]
}

#[test]
fn what_is_passed_over_might_as_well_not_be_there() {
    let plants = |plant: &str| vec![plant.parse().unwrap()];
    let of = |workload, plants| Spec { workload, ops: 3_000, plants, ..Spec::default() };
    let lists = of(Workload::ListAppend, plants("G-single"));
    let ops = mixed(&[lists, of(REGISTERS, plants("lost-update:10")), of(Workload::Register, Vec::new())]);
    let [of_lists, of_registers] = pass_over(ops.clone());
    assert!(of_lists.is_invalid() && of_registers.is_invalid());
    assert_ne!(of_lists.anomaly_types, of_registers.anomaly_types);
    // One that mixes both is anybody's, and nobody's: both say so.
    let mut both = ops.clone();
    let txn = both.iter_mut().find(|op| matches!(op.call, Call::Txn(_))).unwrap();
    txn.call = Call::Txn(vec![Mop::Append { key: 1, value: 1 }, Mop::Write { key: 1, value: 1 }]);
    for result in pass_over(both) {
        assert_eq!(result.verdict.reasons[0].code, "WRONG_WORKLOAD", "{:?}", result.verdict);
    }
    // Nothing is left, or nothing that does something.
    let is_txn = |op: &Operation| matches!(op.call, Call::Txn(_));
    let without: Vec<Operation> = ops.iter().filter(|op| !is_txn(op)).cloned().collect();
    let mut idle = ops;
    idle.iter_mut().filter(|op| is_txn(op)).for_each(|op| op.call = Call::Txn(Vec::new()));
    for [lists, registers] in [pass_over(renumbered(without)), pass_over(idle)] {
        assert_eq!((lists.verdict.validity, registers.verdict.validity), (Validity::Unknown, Validity::Unknown));
    }
}

/// Registers judged at once, and with memory for so many operations.
fn by_passes(spec: &Spec, ops: u64) -> [CheckResult; 2] {
    let dir = tempfile::tempdir().unwrap();
    write(spec, dir.path());
    let options = linearizable::Options::default();
    let judged = [Memory::default(), Memory { bytes_max: Some(ops * 256), spill_dir: None }]
        .map(|memory| check::registers(dir.path(), &options, &memory).unwrap());
    let history = fissure_history::read_history(dir.path()).unwrap().history;
    assert_eq!(judged[0], linearizable::check_register(&history, &options), "as from the history in memory");
    judged
}

#[test]
fn registers_are_judged_alike_in_one_pass_and_in_many() {
    for plants in [Vec::new(), vec!["stale-read:500".parse().unwrap()]] {
        let spec = Spec { workload: Workload::Register, ops: 20_000, info_share: 0.01, plants, ..Spec::default() };
        let [whole, mut passes] = by_passes(&spec, 12_000);
        assert!(passes.evidence.contains("passes"), "{}", passes.evidence);
        passes.evidence.clone_from(&whole.evidence);
        assert_eq!(passes, whole);
        assert_eq!(whole.is_invalid(), !spec.plants.is_empty());
        // What does not fit by itself is not judged, and is never called valid.
        let [_, spent] = by_passes(&Spec { writes_per_key: 1_000, ..spec }, 500);
        assert!(spent.verdict.reasons.iter().any(|reason| reason.code == "MEMORY_SPENT"), "{:?}", spent.verdict);
        assert_ne!(spent.verdict.validity, Validity::Valid);
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
