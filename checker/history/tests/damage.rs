//! Damaged files: an error that names the place, or a cut that is said. Never other rows.

mod common;

use common::{Step, copy_dir, journaled, new_run, play, told_call};
use fissure_checker::History;
use fissure_history::journal::Journal;
use fissure_history::rows::ClockRow;
use fissure_history::{RunDir, read_history, seal};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::path::{Path, PathBuf};

fn some_steps(count: usize) -> Vec<Step> {
    let mut runner = TestRunner::deterministic();
    let call = told_call();
    let mut step = |at: usize| Step {
        slot: at * 7 % 4,
        call: call.new_tree(&mut runner).unwrap().current(),
        outcome: (at % 6) as u8,
        cookie: Some(at as u64),
        named: at.is_multiple_of(2),
    };
    (0..count).map(&mut step).collect()
}

/// A copy of the run with one change to one file.
fn changed(run: &RunDir, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, RunDir) {
    let copy = tempfile::tempdir().unwrap();
    copy_dir(run.path(), copy.path());
    let file = copy.path().join(file.strip_prefix(run.path()).unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    change(&mut bytes);
    std::fs::write(&file, bytes).unwrap();
    let run = RunDir::open(copy.path()).unwrap();
    (copy, run)
}

/// Whether these are the first operations of `whole`; the last ones may lack their completion.
fn is_prefix(part: &History, whole: &History) -> bool {
    part.len() <= whole.len()
        && part.ops().iter().zip(whole.ops()).all(|(a, b)| {
            a == b || (a.complete_seq.is_none() && a.invoke_seq == b.invoke_seq && a.process == b.process)
        })
}

/// A journal of several batches.
fn batches(close: bool) -> (tempfile::TempDir, RunDir, History) {
    let (store, run) = new_run();
    let steps = some_steps(120);
    let journal = Journal::create(&run).unwrap();
    let recorder = journal.recorder();
    // `play` starts from the beginning each time, so record the whole, flushing from another thread meanwhile.
    let history = std::thread::scope(|scope| {
        let flusher = recorder.clone();
        let flushing = scope.spawn(move || (0..200).for_each(|_| flusher.flush().unwrap()));
        let history = play(&steps, Some(&recorder));
        flushing.join().unwrap();
        history
    });
    recorder.clock(ClockRow { t_ns: 1, wall_ns: 1 }).unwrap();
    if close {
        journal.finish().unwrap();
    } else {
        drop(journal);
    }
    (store, run, history)
}

#[test]
fn a_flipped_byte_of_a_journal_is_an_error_or_a_cut_that_is_said() {
    for close in [true, false] {
        let (_store, run, history) = batches(close);
        for name in ["ops-00000.arrows", "ops-00000.sums"] {
            let file = run.journal_dir().join(name);
            let length = std::fs::metadata(&file).unwrap().len() as usize;
            let (mut errors, mut cuts, mut harmless) = (0, 0, 0);
            for at in (0..length).step_by((length / 60).max(1)) {
                let (_copy, damaged) = changed(&run, &file, |bytes| bytes[at] ^= 0x10);
                match seal(&damaged) {
                    Err(error) => {
                        let text = error.to_string();
                        assert!(text.contains("ops-00000.") && text.contains("byte"), "{text}");
                        errors += 1;
                    }
                    Ok(report) => {
                        let read = read_history(damaged.path()).unwrap().history;
                        if report.torn.is_empty() {
                            assert_eq!(read, history, "byte {at} of {name}");
                            harmless += 1;
                        } else {
                            assert!(is_prefix(&read, &history), "byte {at} of {name}");
                            cuts += 1;
                        }
                    }
                }
            }
            assert!(errors > 0, "{name}, closed {close}: {errors} errors, {cuts} cuts, {harmless} harmless");
            // Only the end-of-stream marker of a closed journal carries nothing.
            assert!(harmless <= 2, "{name}, closed {close}: {harmless} harmless");
        }
    }
}

#[test]
fn a_journal_that_ends_anywhere_gives_a_prefix() {
    let (_store, run, history) = batches(false);
    let file = run.journal_dir().join("ops-00000.arrows");
    let length = std::fs::metadata(&file).unwrap().len() as usize;
    for at in (0..length).step_by((length / 60).max(1)) {
        let (_copy, torn) = changed(&run, &file, |bytes| bytes.truncate(at));
        let report = seal(&torn).unwrap();
        assert_eq!(report.torn.len(), 1, "cut at {at}");
        assert!(is_prefix(&read_history(torn.path()).unwrap().history, &history), "cut at {at}");
    }
    let sums = run.journal_dir().join("ops-00000.sums");
    let length = std::fs::metadata(&sums).unwrap().len() as usize;
    for at in (0..length).step_by(5) {
        let (_copy, torn) = changed(&run, &sums, |bytes| bytes.truncate(at));
        let report = seal(&torn).unwrap();
        assert!(!report.torn.is_empty(), "cut at {at}");
        assert!(is_prefix(&read_history(torn.path()).unwrap().history, &history), "cut at {at}");
    }
}

#[test]
fn a_flipped_byte_of_a_sealed_file_is_an_error_that_names_it() {
    let (_store, run, _) = journaled(&some_steps(120));
    seal(&run).unwrap();
    let file: PathBuf = run.table_dir(fissure_history::Table::Ops).join("part-00000.parquet");
    let length = std::fs::metadata(&file).unwrap().len() as usize;
    for at in (0..length).step_by((length / 100).max(1)) {
        let (_copy, damaged) = changed(&run, &file, |bytes| bytes[at] ^= 0x04);
        let error = read_history(damaged.path()).unwrap_err().to_string();
        assert!(error.contains("part-00000.parquet"), "{error}");
    }
    let (_copy, longer) = changed(&run, &file, |bytes| bytes.push(0));
    assert!(read_history(longer.path()).is_err());
    let (_copy, missing) = changed(&run, &file, |_| {});
    std::fs::remove_file(missing.table_dir(fissure_history::Table::Ops).join("part-00000.parquet")).unwrap();
    assert!(read_history(missing.path()).is_err());
}

#[test]
fn a_flipped_byte_of_the_rows_is_found_in_a_file_by_itself() {
    let (_store, run, history) = journaled(&some_steps(120));
    let report = seal(&run).unwrap();
    let file = run.table_dir(fissure_history::Table::Ops).join("part-00000.parquet");
    assert_eq!(read_history(&file).unwrap().history, history);
    let bytes = std::fs::read(&file).unwrap();
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("ops.parquet");
    // Indexes for looking rows up come behind what the checksum in the footer covers; `checksums.json` covers all.
    let metadata = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
    let pairs = metadata.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let sum = pairs.iter().find(|pair| pair.key == "fissure.data_crc32").unwrap().value.clone().unwrap();
    let covered: usize = sum.split(':').next().unwrap().parse().unwrap();
    assert!(covered > bytes.len() / 3, "{covered} of {}", bytes.len());
    for at in (0..covered).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&copy, damaged).unwrap();
        let error = read_history(&copy).unwrap_err().to_string();
        assert!(error.contains("ops.parquet"), "{error}");
    }
    assert_eq!(report.files.len(), fissure_history::Table::ALL.len());
}

/// A file by itself cannot vouch for its own footer; but whatever is in it, reading ends with rows or an error.
#[test]
fn no_footer_makes_the_reader_panic() {
    let (_store, run, _) = journaled(&some_steps(40));
    seal(&run).unwrap();
    let bytes = std::fs::read(run.table_dir(fissure_history::Table::Ops).join("part-00000.parquet")).unwrap();
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("ops.parquet");
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize + 8;
    for at in (bytes.len() - footer..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= [0x01, 0x10, 0xff][at % 3];
        std::fs::write(&copy, damaged).unwrap();
        let _ = read_history(&copy);
    }
    for length in (0..bytes.len()).step_by(61) {
        std::fs::write(&copy, &bytes[..length]).unwrap();
        assert!(read_history(&copy).is_err());
    }
}
