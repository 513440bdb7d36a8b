//! What does not fit memory changes no answer.

use super::oracle::arbitrary;
use super::*;
use crate::spill::tests::Shelf;
use crate::synthetic::{Level, Spec, Stream};
use proptest::prelude::*;
use std::sync::Arc;

/// The answer with this much memory.
fn limited(history: &History, memory_bytes_max: u64, room: Option<usize>) -> Result<CheckResult, SpillError> {
    let spill = Arc::new(Shelf { room, ..Shelf::default() });
    let mut checker = Checker::with_limits(Limits { memory_bytes_max, spill });
    let mut mops: Vec<MopRef<'_>> = Vec::new();
    for op in history.ops() {
        mops.clear();
        mops.extend(explain::mops(op).iter().map(MopRef::from));
        checker.push(op.into(), &mops);
    }
    let known = Known { real_time_order: true, origin_ns: history.origin_ns(), names: history.names().clone() };
    checker.finish(&known, &Options::default(), |ids| {
        Ok(ids.iter().map(|id| history.ops()[*id as usize].clone()).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn small_histories_are_judged_the_same(seed in any::<u64>(), txns in 1..=12_usize, nonsense in any::<bool>()) {
        let history = arbitrary(seed, txns, 3, nonsense);
        let whole = check(&history, &Options::default());
        for memory in [0, 64, 400] {
            prop_assert_eq!(&limited(&history, memory, None).unwrap(), &whole, "{} bytes", memory);
        }
    }
}

#[test]
fn long_histories_are_judged_the_same() {
    for (level, plants) in [
        (Level::StrictSerializable, vec!["long-fork:8_000", "G1a", "lost-update:100", "G-single:9_000"]),
        (Level::ReadCommitted, vec![]),
        (Level::SnapshotIsolation, vec![]),
    ] {
        let plants = plants.into_iter().map(|plant: &str| plant.parse().unwrap()).collect();
        let spec = Spec { level, plants, ops: 20_000, info_share: 0.02, ..Spec::default() };
        let history = History::new(Stream::new(&spec).unwrap().operations().collect()).unwrap();
        let whole = check(&history, &Options::default());
        for memory in [10_000, 300_000] {
            assert_eq!(limited(&history, memory, None).unwrap(), whole, "{level} within {memory} bytes");
        }
    }
}

#[test]
fn a_full_device_is_an_error_and_no_answer() {
    let spec = Spec { ops: 5_000, ..Spec::default() };
    let history = History::new(Stream::new(&spec).unwrap().operations().collect()).unwrap();
    for room in [0, 50_000, 300_000] {
        let error = limited(&history, 20_000, Some(room)).expect_err("no room");
        assert_eq!(error.to_string(), "cannot write what does not fit memory: no room");
    }
}
