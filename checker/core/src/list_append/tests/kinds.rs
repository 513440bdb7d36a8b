//! Every kind of anomaly under every model: near, far, and several at once; found, named, and nothing else.

use super::*;
use crate::consistency::boundary;
use crate::planting::{self, Planting, assert_found, assert_models, border, healthy, plant, refuted};
use crate::synthetic::Workload;
use std::collections::BTreeSet;

/// One way to go wrong.
struct Kind {
    lines: &'static [&'static str],
    /// All that is found in it, whichever model was asked about.
    finds: &'static [&'static str],
    /// The weakest models that it breaks.
    not: &'static [&'static str],
}

const fn kind(lines: &'static [&'static str], finds: &'static [&'static str], not: &'static [&'static str]) -> Kind {
    Kind { lines, finds, not }
}

/// What may be found besides where others come between: of two transactions that contradict real time, or process order,
/// by what they wrote, both are joined in real time to healthy reads of the past of those between.
const BETWEEN: &[&str] = &["G-single-item-realtime"];

const KINDS: &[Kind] = &[
    kind(
        &["p0 0..6 ok a1=1 a2=2", "p1 1..7 ok a1=2 a2=1", "p2 2..8 ok r1=[1,2]", "p3 3..9 ok r2=[1,2]"],
        &["G0"],
        &["read-uncommitted"],
    ),
    kind(
        &["p0 0..1 ok a1=2", "p0 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"],
        &["G0-process", "monotonic-writes-violation"],
        &["monotonic-writes", "strong-session-read-uncommitted"],
    ),
    kind(
        &["p0 0..1 ok a1=2", "p1 2..3 ok a1=1", "p1 4..5 ok r1=[1,2]"],
        &["G0-realtime"],
        &["strong-read-uncommitted"],
    ),
    kind(&["p0 0..2 ok a1=1 r2=[1]", "p1 1..3 ok a2=1 r1=[1]"], &["G1c"], &["read-committed"]),
    kind(
        &["p0 0..1 ok r1=[1]", "p0 2..3 ok a1=1"],
        &["G1c-process", "writes-follow-reads-violation"],
        &["strong-session-read-committed", "writes-follow-reads"],
    ),
    kind(&["p0 0..1 ok r1=[1]", "p1 2..3 ok a1=1"], &["G1c-realtime"], &["strong-read-committed"]),
    kind(
        &["p0 0..1 ok a1=1 a3=1", "p1 2..3 ok a3=2 a2=1", "p2 4..5 ok r2=[1] r1=[]", "p3 6..7 ok r3=[1,2]"],
        &["G-single-item", "prefix-violation"],
        &["consistent-view", "prefix", "repeatable-read"],
    ),
    kind(
        &["p0 0..1 ok a1=1 a2=1", "p1 2..3 ok r1=[1] r2=[]"],
        &["G-single-item", "non-monotonic-read"],
        &["consistent-view", "monotonic-atomic-view"],
    ),
    kind(
        &["p0 0..1 ok a1=1 a2=1", "p1 2..3 ok r2=[] r1=[1]"],
        &["G-single-item", "fractured-read"],
        &["consistent-view", "read-atomic", "repeatable-read"],
    ),
    kind(
        &["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1] a2=1", "p2 4..5 ok r2=[1] r1=[]"],
        &["G-single-item", "causal-violation"],
        &["causal-cerone", "consistent-view", "repeatable-read"],
    ),
    kind(
        &["p0 0..1 ok a1=1", "p0 2..3 ok a2=1", "p1 4..5 ok r2=[1] r1=[]"],
        &["G-single-item-process", "causal-violation-process"],
        &["causal"],
    ),
    kind(
        &["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1]", "p1 4..5 ok r1=[]"],
        &["G-single-item-process", "monotonic-reads-violation"],
        &["monotonic-reads"],
    ),
    kind(
        &["p0 0..1 ok a1=1", "p0 2..3 ok r1=[]", "p2 4..5 ok r1=[1]"],
        &["G-single-item-process", "read-your-writes-violation"],
        &["read-your-writes"],
    ),
    kind(&["p0 0..1 ok a1=1", "p1 2..3 ok r1=[]"], &["G-single-item-realtime"], &["strong-snapshot-isolation"]),
    kind(
        &["p0 0..4 ok a1=1", "p1 1..5 ok a2=1", "p2 2..6 ok r1=[1] r2=[]", "p3 3..7 ok r1=[] r2=[1]"],
        &["G-nonadjacent-item", "long-fork"],
        &["prefix", "repeatable-read"],
    ),
    kind(
        &["p0 0..2 ok a1=1", "p1 1..3 ok a2=1", "p0 4..6 ok r2=[]", "p1 5..7 ok r1=[]"],
        &["G-nonadjacent-item-process", "G-single-item-realtime"],
        &["strong-session-snapshot-isolation"],
    ),
    kind(
        &["p0 0..7 ok r1=[] r2=[1]", "p1 1..3 ok a1=1", "p2 2..6 ok a2=1", "p3 4..5 ok r2=[]"],
        &["G-nonadjacent-item-realtime"],
        &["strong-snapshot-isolation"],
    ),
    kind(&["p0 0..2 ok r1=[] a2=1", "p1 1..3 ok r2=[] a1=1"], &["G2-item"], &["repeatable-read"]),
    kind(
        &["p0 0..5 ok a1=1 r2=[]", "p1 1..2 ok a2=1", "p1 3..4 ok r1=[]"],
        &["G2-item-process"],
        &["strong-session-serializable"],
    ),
    kind(
        &["p0 0..5 ok a1=1 r2=[]", "p1 1..2 ok a2=1", "p2 3..4 ok r1=[]"],
        &["G2-item-realtime"],
        &["strict-serializable"],
    ),
    kind(
        &["p0 0..2 ok r1=[] a1=1", "p1 1..3 ok r1=[] a1=2", "p2 4..5 ok r1=[1,2]"],
        &["G-single-item", "lost-update"],
        &["consistent-view", "cursor-stability", "update-atomic"],
    ),
    kind(
        &["p0 0..2 ok r1=[] a1=1", "p1 1..3 ok r1=[] a1=2"],
        &["G2-item", "lost-update"],
        &["cursor-stability", "update-atomic"],
    ),
    kind(&["p0 0..1 fail a1=1", "p1 2..3 ok r1=[1]"], &["G1a"], &["read-committed"]),
    kind(
        &["p0 0..1 ok a1=1 a1=2", "p1 2..3 ok r1=[1]", "p2 4..5 ok r1=[1,2]"],
        &["G-single-item", "G1b"],
        &["read-committed"],
    ),
    kind(
        &["p0 0..1 fail a1=1", "p1 2..3 ok a1=2", "p2 4..5 ok r1=[1,2]"],
        &["G1a", "dirty-update"],
        &["read-committed"],
    ),
    kind(
        &["p0 0..1 ok a1=1", "p0 2..3 ok a1=2", "p1 4..5 ok r1=[1,2]", "p2 6..7 ok r1=[1,2,1]"],
        &["duplicate-elements"],
        &["read-uncommitted"],
    ),
    kind(
        &["p0 0..2 ok a1=1", "p1 1..3 ok a1=2", "p2 4..5 ok r1=[1,2]", "p3 6..7 ok r1=[2]"],
        &["incompatible-order"],
        &["read-committed"],
    ),
    // Two appends of one transaction are in the list the other way round.
    kind(
        &["p0 0..1 ok a1=1 a1=2", "p1 2..3 ok r1=[2,1] a1=3", "p2 4..5 ok r1=[2,1,3]"],
        &["G1b", "incompatible-order"],
        &["read-committed"],
    ),
    kind(
        &["p0 0..2 ok a1=1 a1=2", "p1 1..3 ok a1=3", "p2 4..5 ok r1=[2,1,3]"],
        &["incompatible-order"],
        &["read-committed"],
    ),
    kind(&["p0 0..1 ok a1=1 r1=[]", "p1 2..3 ok r1=[1]"], &["internal"], &["read-atomic"]),
    kind(&["p0 0..1 ok r1=[1] a1=1", "p1 2..3 ok r1=[1]"], &["future-read"], &["read-committed"]),
    kind(&["p0 0..1 ok a1=1", "p1 2..3 ok r1=[1,9]"], &["garbage-read"], &["read-uncommitted"]),
];

/// What has no name of its own among the lists: predicates and searches for orders belong to other checkers.
const ELSEWHERE: &[&str] = &["cyclic-versions", "predicate-read-miss"];

#[test]
fn the_table_knows_every_anomaly_that_is_found_in_lists() {
    let known: BTreeSet<&str> = KINDS.iter().flat_map(|kind| kind.finds.iter().copied()).collect();
    for model in Model::all() {
        for name in model.proscribed() {
            let union = matches!(name, "G1" | "G1-process" | "G1-realtime" | "GSI" | "write-skew");
            let by_predicate = ["G-single", "G-nonadjacent", "G2"]
                .iter()
                .any(|base| name.strip_prefix(base).is_some_and(|rest| ["", "-process", "-realtime"].contains(&rest)));
            let of_names = ["G-SI", "G-SIb", "GSIa", "GSIb", "G-MSR", "G-cursor", "G-monotonic", "G-update"];
            let found_elsewhere = ELSEWHERE.contains(&name) || name.ends_with("-cycle-exists");
            let is_named_only = union || by_predicate || of_names.contains(&name) || found_elsewhere;
            assert_ne!(known.contains(name), is_named_only, "{name}");
        }
    }
}

/// One kind in a background, with so many of its events between each two of the script's.
fn planted(background: &History, kind: &Kind, gap: usize) {
    let script = history(kind.lines);
    let planted = plant(background, &[Planting { script: &script, start: 60, gap }]);
    let may_also = if gap == 0 { &[][..] } else { BETWEEN };
    let may_also: Vec<&str> = may_also.iter().copied().filter(|name| !kind.finds.contains(name)).collect();
    let what = format!("{:?}, {gap} apart", kind.finds);
    let models = if gap == 0 { Model::all().collect() } else { border(kind.not) };
    assert_models(&what, models, kind.not, &[], |model| {
        let result = check(&planted.history, &Options { model, ..Options::default() });
        assert_found(&what, &result, kind.finds, &may_also, &planted.op_ids[0]);
        result
    });
    let result = check_as(&planted.history, "strict-serializable");
    let (not, _) = boundary(kind.finds.iter().copied());
    assert_eq!(not.into_iter().collect::<BTreeSet<_>>(), result.not.iter().map(String::as_str).collect());
    assert_eq!(refuted(kind.not), refuted(&result.not.iter().map(String::as_str).collect::<Vec<_>>()), "{what}");
}

#[test]
fn each_kind_near() {
    let background = healthy(Workload::ListAppend, 100, 5);
    KINDS.iter().for_each(|kind| planted(&background, kind, 0));
}

#[test]
fn each_kind_far() {
    let background = healthy(Workload::ListAppend, 3_000, 6);
    for kind in KINDS {
        planted(&background, kind, 5_500 / (2 * kind.lines.len() - 1));
    }
}

#[track_caller]
fn assert_several(kinds: &[&Kind], history: &History) {
    let finds: Vec<&str> = kinds.iter().flat_map(|kind| kind.finds.iter().copied()).collect();
    let not: Vec<&str> = kinds.iter().flat_map(|kind| kind.not.iter().copied()).collect();
    planting::assert_several(&check_as(history, "strict-serializable"), &finds, BETWEEN, &not);
}

#[test]
fn any_two_kinds_among_each_other() {
    let background = healthy(Workload::ListAppend, 60, 7);
    for (number, one) in KINDS.iter().enumerate() {
        for other in &KINDS[..number] {
            let (first, second) = (history(one.lines), history(other.lines));
            for gaps in [[0, 0], [2, 2], [1, 12], [12, 1]] {
                let place = |script, gap| Planting { script, start: 10, gap };
                let plantings = [place(&first, gaps[0]), place(&second, gaps[1])];
                assert_several(&[one, other], &plant(&background, &plantings).history);
            }
        }
    }
}

#[test]
fn all_kinds_at_once_near_and_far() {
    let background = healthy(Workload::ListAppend, 3_000, 8);
    let scripts: Vec<History> = KINDS.iter().map(|kind| history(kind.lines)).collect();
    let all: Vec<&Kind> = KINDS.iter().collect();
    for gap in [0, 7, 500] {
        let place = |(number, script)| Planting { script, start: 20 + 60 * number, gap };
        let plantings: Vec<Planting<'_>> = scripts.iter().enumerate().map(place).collect();
        assert_several(&all, &plant(&background, &plantings).history);
    }
    // One after the other each is told by its own name.
    let place = |(number, script)| Planting { script, start: 20 + 60 * number, gap: 0 };
    let plantings: Vec<Planting<'_>> = scripts.iter().enumerate().map(place).collect();
    let found = check_as(&plant(&background, &plantings).history, "strict-serializable").anomaly_types;
    let expected: BTreeSet<String> = KINDS.iter().flat_map(|kind| kind.finds).map(|name| (*name).to_owned()).collect();
    assert_eq!(found, expected);
}
