//! Puts scripts into histories that are right by construction: for tests that ask for exactly what was planted.
//!
//! A script is a small history of its own. Its keys and processes are moved out of the way of all others, its events
//! keep their order, and between each two of them as many events of the background happen as one likes.

use crate::consistency::{Model, implied_anomalies};
use crate::finding::CheckResult;
use crate::op::{Call, History, Mop, Operation};
use crate::synthetic::{Level, Spec, Stream, Workload};
use crate::verdict::{Validity, Verdict};
use std::collections::BTreeSet;

/// How far the keys and the processes of one script are from those of the next.
const APART: i64 = 1_000_000;

/// A script and its place.
pub(crate) struct Planting<'s> {
    pub(crate) script: &'s History,
    /// Events of the background before its first one.
    pub(crate) start: usize,
    /// Events of the background between each two of its own.
    pub(crate) gap: usize,
}

/// A background with scripts in it.
pub(crate) struct Planted {
    pub(crate) history: History,
    /// For each script the `op_id`s of its operations, in its own order.
    pub(crate) op_ids: Vec<Vec<u64>>,
}

/// What a key of the script at this place becomes.
pub(crate) fn moved_key(place: usize, key: i64) -> i64 {
    key + (place as i64 + 1) * APART
}

/// The background with all scripts in their places. Times follow the events.
pub(crate) fn plant(background: &History, plantings: &[Planting<'_>]) -> Planted {
    let mut ops: Vec<Operation> = background.ops().to_vec();
    // (background events before it, script, its own place, operation, whether it is the completion)
    let mut events: Vec<(usize, usize, u64, usize, bool)> = Vec::new();
    for (place, (_, op, completes)) in events_of(&ops).into_iter().enumerate() {
        events.push((place + 1, 0, 0, op, completes));
    }
    let mut first = vec![];
    for (number, Planting { script, start, gap }) in plantings.iter().enumerate() {
        first.push(ops.len());
        for (place, (_, op, completes)) in events_of(script.ops()).into_iter().enumerate() {
            events.push((start + place * gap, number + 1, place as u64, ops.len() + op, completes));
        }
        ops.extend(script.ops().iter().map(|op| moved(op, number)));
    }
    events.sort_unstable();
    for (seq, (_, _, _, op, completes)) in (0..).zip(events) {
        let ns = seq as i64 * 1_000;
        if completes {
            (ops[op].complete_seq, ops[op].complete_ns) = (Some(seq), Some(ns));
        } else {
            (ops[op].invoke_seq, ops[op].invoke_ns) = (seq, ns);
        }
    }
    let mut order: Vec<usize> = (0..ops.len()).collect();
    order.sort_by_key(|op| ops[*op].invoke_seq);
    let mut op_id = vec![0; ops.len()];
    order.iter().zip(0..).for_each(|(op, id)| op_id[*op] = id);
    let ids = |(first, planting): (&usize, &Planting<'_>)| op_id[*first..first + planting.script.len()].to_vec();
    let op_ids = first.iter().zip(plantings).map(ids).collect();
    let history = History::new(ops).expect("events keep their order").with_names(background.names().clone());
    Planted { history, op_ids }
}

/// (seq, operation, whether it is the completion), in order.
fn events_of(ops: &[Operation]) -> Vec<(u64, usize, bool)> {
    let mut events = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        events.push((op.invoke_seq, at, false));
        events.extend(op.complete_seq.map(|seq| (seq, at, true)));
    }
    events.sort_unstable();
    events
}

fn moved(op: &Operation, place: usize) -> Operation {
    let mut op = op.clone();
    op.process += (place as i64 + 1) * APART;
    if let Call::Txn(mops) = &mut op.call {
        for mop in mops {
            match mop {
                Mop::Append { key, .. }
                | Mop::ReadList { key, .. }
                | Mop::Write { key, .. }
                | Mop::Read { key, .. }
                | Mop::Insert { key, .. }
                | Mop::Delete { key } => *key = moved_key(place, *key),
                Mop::ReadPredicate { matched, .. } => {
                    matched.iter_mut().flatten().for_each(|(key, _)| *key = moved_key(place, *key));
                }
                other => panic!("{other:?} in a script"),
            }
        }
    }
    op
}

/// A strictly serializable history, with failed and indeterminate transactions among others.
pub(crate) fn healthy(workload: Workload, ops: u64, seed: u64) -> History {
    let level = Level::StrictSerializable;
    let spec = Spec { workload, level, ops, seed, fail_share: 0.03, info_share: 0.03, ..Spec::default() };
    let operations = Stream::new(&spec).expect("a specification that makes sense").operations();
    History::new(operations.collect()).expect("a history")
}

/// The models that fall with these.
pub(crate) fn refuted(weakest: &[&str]) -> BTreeSet<Model> {
    let weakest: Vec<Model> = weakest.iter().map(|name| Model::parse(name).expect("a model")).collect();
    let falls = |model: &Model| weakest.iter().any(|weak| model.implies(*weak));
    Model::all().filter(|model| falls(model) || model.same_as().is_some_and(|other| falls(&other))).collect()
}

/// The border between what falls with these and what does not: the weakest models that fall, and the strongest that do not.
pub(crate) fn border(weakest: &[&str]) -> Vec<Model> {
    let refuted = refuted(weakest);
    let holds = |model: &Model| model.same_as().is_none() && !refuted.contains(model);
    let is_strongest =
        |model: &Model| !Model::all().any(|other| other != *model && holds(&other) && other.implies(*model));
    let fall = weakest.iter().map(|name| Model::parse(name).expect("a model"));
    fall.chain(Model::all().filter(holds).filter(is_strongest)).collect()
}

/// Holds the answers about these models against the weakest models that do not hold. Of `open` models, and of those that
/// nothing confirms, it is only asked that they are not refuted, and that the checker says why it does not know.
#[track_caller]
pub(crate) fn assert_models(
    what: &str,
    models: impl IntoIterator<Item = Model>,
    not: &[&str],
    open: &[&str],
    check: impl Fn(Model) -> CheckResult,
) {
    const OPEN: [&str; 2] = ["MODEL_NOT_DECIDABLE", "VERSION_ORDER_UNKNOWN"];
    let refuted = refuted(not);
    for model in models {
        let result = check(model);
        let is_open = open.contains(&model.name());
        let told = || format!("{what} under {model}: {:?} {:?}", result.verdict, result.anomaly_types);
        if refuted.contains(&model) {
            assert!(result.is_invalid(), "{}", told());
        } else if is_open {
            let undecided = result.verdict.reasons.iter().all(|reason| OPEN.contains(&reason.code.as_str()));
            assert!(!result.is_invalid() && undecided, "{}", told());
        } else {
            assert_eq!(result.verdict, Verdict::valid(), "{}", told());
        }
        assert_boundary(what, &refuted, &result);
    }
}

/// What an answer says about models that it was not asked about is right, too.
#[track_caller]
pub(crate) fn assert_boundary(what: &str, refuted: &BTreeSet<Model>, result: &CheckResult) {
    for level in &result.levels {
        let falls = refuted.contains(&level.model);
        let lies = if falls { Validity::Valid } else { Validity::Invalid };
        assert_ne!(level.validity, lies, "{what} under {}: {}", result.model, level.name());
    }
    for name in result.not.iter().chain(&result.also_not) {
        assert!(refuted.contains(&Model::parse(name).expect("a model")), "{what} under {}: not {name}", result.model);
    }
}

/// Of several that were planted each is found by its name in `finds`, or what implies it, and nothing else but what may be
/// found besides; the models that are refuted are those that fall with `not`.
#[track_caller]
pub(crate) fn assert_several(result: &CheckResult, finds: &[&str], may_also: &[&str], not: &[&str]) {
    let found: BTreeSet<&str> = result.anomaly_types.iter().map(String::as_str).collect();
    for name in finds {
        let told = found.iter().any(|other| implied_anomalies(other).contains(name));
        assert!(told, "{name} of {finds:?}: {found:?}");
    }
    for name in &found {
        assert!(finds.contains(name) || may_also.contains(name), "{name} besides {finds:?}");
    }
    assert_all_refuted(result, &refuted(not));
}

/// What is said to be refuted is all that is, and no level says otherwise.
#[track_caller]
pub(crate) fn assert_all_refuted(result: &CheckResult, refuted: &BTreeSet<Model>) {
    assert_boundary("several", refuted, result);
    let told = result.not.iter().chain(&result.also_not).map(|name| Model::parse(name).expect("a model"));
    assert_eq!(told.collect::<BTreeSet<_>>(), *refuted, "{:?}", result.anomaly_types);
}

/// All that is expected is found, about nothing but what was planted, and nothing else but what may be found besides.
#[track_caller]
pub(crate) fn assert_found(what: &str, result: &CheckResult, finds: &[&str], may_also: &[&str], planted: &[u64]) {
    let found: BTreeSet<&str> = result.anomaly_types.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> = finds.iter().copied().collect();
    let all: BTreeSet<&str> = expected.iter().chain(may_also).copied().collect();
    assert!(expected.is_subset(&found), "{what} under {}: {found:?}, not {expected:?}", result.model);
    assert!(found.is_subset(&all), "{what} under {}: {found:?}, not {expected:?}", result.model);
    for name in &expected {
        assert!(result.findings.iter().any(|finding| finding.anomaly == *name), "{what}: {name} is not told");
    }
    for finding in result.findings.iter().filter(|finding| !may_also.contains(&finding.anomaly.as_str())) {
        assert!(finding.ops.iter().all(|op| planted.contains(op)), "{what}: {finding:?} of {planted:?}");
    }
}

mod tests {
    use super::*;
    use crate::list_append;

    #[test]
    fn scripts_keep_their_order_and_the_background_its_health() {
        let background = healthy(Workload::ListAppend, 300, 1);
        let script = healthy(Workload::ListAppend, 5, 2);
        let plantings = [
            Planting { script: &script, start: 100, gap: 0 },
            Planting { script: &script, start: 100, gap: 30 },
            Planting { script: &script, start: 1_000_000, gap: 0 },
        ];
        let planted = plant(&background, &plantings);
        assert_eq!(planted.history.len(), 315);
        let sequence = |ids: &[u64]| {
            let ops: Vec<Operation> = ids.iter().map(|id| planted.history.ops()[*id as usize].clone()).collect();
            let events = events_of(&ops);
            let between = events.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
            (events.into_iter().map(|(_, op, completes)| (op, completes)).collect::<Vec<_>>(), between)
        };
        let own: Vec<_> = events_of(script.ops()).into_iter().map(|(_, op, completes)| (op, completes)).collect();
        let near = planted.op_ids.iter().map(|ids| sequence(ids)).collect::<Vec<_>>();
        assert!(near.iter().all(|(order, _)| *order == own));
        assert!(near[0].1 <= 2 && near[1].1 >= 30 && near[2].1 == 1, "{near:?}");
        let result = list_append::check(&planted.history, &list_append::Options::default());
        assert_eq!(result.verdict, crate::Verdict::valid());
        let models: Vec<&str> = refuted(&["strong-snapshot-isolation"]).into_iter().map(Model::name).collect();
        assert_eq!(models, ["strict-serializable", "strong-snapshot-isolation", "linearizable"]);
        let models: BTreeSet<&str> = border(&["strong-snapshot-isolation"]).into_iter().map(Model::name).collect();
        let expected = ["strong-read-committed", "strong-session-serializable", "strong-snapshot-isolation"];
        assert_eq!(models, expected.into());
    }
}
