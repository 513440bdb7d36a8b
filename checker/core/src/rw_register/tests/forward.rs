//! What is seen at once is what looking at everything gives.

use super::oracle::{shown, tiny};
use super::*;
use crate::rw_register::forward::Part;
use crate::rw_register::index::{Index, Key};
use crate::rw_register::judge::{Judged, at_once, is_weak, judge};
use crate::synthetic::{Level, Spec, Stream, Workload};

const MODELS: [&str; 8] = [
    "read-uncommitted",
    "read-committed",
    "read-atomic",
    "causal-cerone",
    "causal",
    "PRAM",
    "monotonic-reads",
    "strong-session-read-committed",
];

/// Both answers to a model; the first only if there is one.
fn both(history: &History, model: &str) -> (Option<Judged>, Judged, Vec<Raw>) {
    let mut intake = Intake::default();
    rows::each_of(history.ops(), |row, mops| intake.push(row, mops.unwrap_or_default()));
    let mut found = Vec::new();
    let survey = |index: &Index, key: Key<'_>, part: &mut Part| part.key(index, key);
    let (mut index, begun) = Index::resolve(&mut intake.finish(), &mut found, survey).unwrap();
    let (known, options) = (Known::of(history), options(model));
    let order = known_order(&known, options.model);
    let sources = sources_of(&known, &index.columns.txns, &options, order);
    let weak = is_weak(options.model, order);
    let at_once = if weak { at_once(&index, &sources, order, &found, begun) } else { Err(None) };
    let (quick, places) = at_once.map_or_else(|places| (None, places), |judged| (Some(judged), None));
    index.complete();
    let mut others = found.clone();
    let judged = judge(&index, &sources, (order, None), &options, &mut found).unwrap();
    let with_places = judge(&index, &sources, (order, places.as_deref()), &options, &mut others).unwrap();
    let told = |judged: &Judged| judged.weak.iter().map(|(rule, processes, _)| (*rule, *processes)).collect::<Vec<_>>();
    assert_eq!(told(&judged), told(&with_places), "{model}");
    (quick, judged, found)
}

#[track_caller]
fn agree(history: &History, told: impl Fn() -> String) -> usize {
    let seen = MODELS.map(|model| {
        let (quick, judged, found) = both(history, model);
        let Some(quick) = quick else { return false };
        assert_eq!(format!("{quick:?}"), format!("{judged:?}"), "{model}\n{}", told());
        assert!(found.is_empty(), "{model} {found:?}\n{}", told());
        true
    });
    seen.into_iter().filter(|seen| *seen).count()
}

#[test]
fn tiny_histories_are_judged_the_same() {
    let mut dice = Dice::new(34);
    let seen: usize = (0..15_000)
        .map(|_| {
            let history = tiny(&mut dice);
            agree(&history, || shown(&history))
        })
        .sum();
    assert!(seen > 10_000, "{seen} of 120000 answers came at once");
}

#[test]
fn whole_histories_are_judged_the_same_and_healthy_ones_at_once() {
    for level in
        [Level::StrictSerializable, Level::Serializable, Level::Causal, Level::ReadAtomic, Level::ReadCommitted]
    {
        for seed in 0..6 {
            for (keys, writes_per_key) in [(10, 32), (3, 1000), (40, 3), (500, 1 << 20)] {
                let spec = Spec {
                    ops: 1500,
                    workload: Workload::RwRegister,
                    level,
                    seed,
                    keys,
                    writes_per_key,
                    concurrency: [1, 5, 30][seed as usize % 3],
                    ..Spec::default()
                };
                let history = History::new(Stream::new(&spec).unwrap().operations().collect()).unwrap();
                let seen = agree(&history, || format!("{level:?} {seed} {keys}"));
                if level == Level::StrictSerializable {
                    assert_eq!(seen, MODELS.len(), "{seed} {keys}");
                }
            }
        }
    }
}
