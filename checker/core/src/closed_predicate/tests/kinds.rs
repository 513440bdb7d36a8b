//! Every kind of anomaly under every model: near, far, and several at once; found, named by its steps, and nothing else.
//!
//! Who reads by predicate reads of every object there is. So that scripts and background do not see each other, each
//! script has a class of values, those with its number as the remainder of a thousand, and asks for these only.

use super::*;
use crate::planting::{self, Planted, Planting, assert_found, assert_models, border, moved_key, plant, refuted};

/// One way to go wrong. In `lines` values and `q:all` are of the class of the script, and `q[:=_v]` asks for its `v`.
struct Kind {
    /// What is there from the beginning.
    init: &'static [(i64, i64)],
    lines: &'static [&'static str],
    finds: &'static [&'static str],
    /// Steps of the first of these, sorted; nothing where it is no cycle.
    steps: &'static [&'static str],
    /// The weakest models that it breaks.
    not: &'static [&'static str],
}

const fn kind(
    init: &'static [(i64, i64)],
    lines: &'static [&'static str],
    finds: &'static [&'static str],
    steps: &'static [&'static str],
    not: &'static [&'static str],
) -> Kind {
    Kind { init, lines, finds, steps, not }
}

/// What may be found besides where others come between, as for lists; over objects or over predicates.
const BETWEEN: &[&str] = &["G-single-item-realtime", "G-single-realtime"];

const NOTHING: &[(i64, i64)] = &[];
const ONE: &[(i64, i64)] = &[(1, 1)];
const TWO: &[(i64, i64)] = &[(1, 1), (2, 2)];

/// Cycles over objects.
const OVER_OBJECTS: &[Kind] = &[
    kind(NOTHING, &["p0 0..2 ok i1=1 w2=4", "p1 1..3 ok i2=2 w1=3"], &["G0"], &["ww", "ww"], &["read-uncommitted"]),
    kind(
        NOTHING,
        &["p0 0..1 ok w1=2", "p0 2..3 ok i1=1"],
        &["G0-process"],
        &["process", "ww"],
        &["strong-session-read-uncommitted"],
    ),
    kind(
        NOTHING,
        &["p0 0..1 ok w1=2", "p1 2..3 ok i1=1"],
        &["G0-realtime"],
        &["realtime", "ww"],
        &["strong-read-uncommitted"],
    ),
    kind(NOTHING, &["p0 0..2 ok i1=1 r2=1", "p1 1..3 ok i2=1 r1=1"], &["G1c"], &["wr", "wr"], &["read-committed"]),
    kind(
        NOTHING,
        &["p0 0..1 ok r1=1", "p0 2..3 ok i1=1"],
        &["G1c-process"],
        &["process", "wr"],
        &["strong-session-read-committed"],
    ),
    kind(
        NOTHING,
        &["p0 0..1 ok r1=1", "p1 2..3 ok i1=1"],
        &["G1c-realtime"],
        &["realtime", "wr"],
        &["strong-read-committed"],
    ),
    kind(
        NOTHING,
        &["p0 0..1 ok i1=1 i2=2", "p1 2..3 ok r1=1 r2=nil"],
        &["G-single-item"],
        &["rw", "wr"],
        &["consistent-view", "repeatable-read"],
    ),
    kind(
        ONE,
        &["p0 0..1 ok w1=2", "p0 2..3 ok r1=1"],
        &["G-single-item-process"],
        &["process", "rw"],
        &["strong-session-snapshot-isolation"],
    ),
    kind(
        ONE,
        &["p0 0..1 ok w1=2", "p1 2..3 ok r1=1"],
        &["G-single-item-realtime"],
        &["realtime", "rw"],
        &["strong-snapshot-isolation"],
    ),
    kind(
        TWO,
        &["p0 0..4 ok w1=3", "p1 1..5 ok w2=4", "p2 2..6 ok r1=3 r2=2", "p3 3..7 ok r1=1 r2=4"],
        &["G-nonadjacent-item"],
        &["rw", "rw", "wr", "wr"],
        &["repeatable-read", "snapshot-isolation"],
    ),
    kind(
        TWO,
        &["p0 0..2 ok w1=3", "p1 1..3 ok w2=4", "p0 4..6 ok r2=2", "p1 5..7 ok r1=1"],
        &["G-nonadjacent-item-process", "G-single-item-realtime"],
        &["process", "process", "rw", "rw"],
        &["strong-session-snapshot-isolation"],
    ),
    kind(
        TWO,
        &["p0 0..7 ok r1=1 r2=4", "p1 1..3 ok w1=3", "p2 2..6 ok w2=4", "p3 4..5 ok r2=2"],
        &["G-nonadjacent-item-realtime"],
        &["realtime", "rw", "rw", "wr"],
        &["strong-snapshot-isolation"],
    ),
    kind(TWO, &["p0 0..2 ok r1=1 w2=4", "p1 1..3 ok r2=2 w1=3"], &["G2-item"], &["rw", "rw"], &["repeatable-read"]),
    kind(
        TWO,
        &["p0 0..5 ok w1=3 r2=2", "p1 1..2 ok w2=4", "p1 3..4 ok r1=1"],
        &["G2-item-process"],
        &["process", "rw", "rw"],
        &["strong-session-serializable"],
    ),
    kind(
        TWO,
        &["p0 0..5 ok w1=3 r2=2", "p1 1..2 ok w2=4", "p2 3..4 ok r1=1"],
        &["G2-item-realtime"],
        &["realtime", "rw", "rw"],
        &["strict-serializable"],
    ),
];

/// Cycles that need a predicate. Where there is no read of the past the name does not say so.
const OVER_PREDICATES: &[Kind] = &[
    kind(
        TWO,
        &["p0 0..2 ok w1=3 q[:=_2]={}", "p1 1..3 ok w2=4 q[:=_1]={}"],
        &["G1c"],
        &["wrp", "wrp"],
        &["read-committed"],
    ),
    kind(
        ONE,
        &["p0 0..1 ok q[:=_1]={}", "p0 2..3 ok w1=2"],
        &["G1c-process"],
        &["process", "wrp"],
        &["strong-session-read-committed"],
    ),
    kind(
        ONE,
        &["p0 0..1 ok q[:=_1]={}", "p1 2..3 ok w1=2"],
        &["G1c-realtime"],
        &["realtime", "wrp"],
        &["strong-read-committed"],
    ),
    kind(
        NOTHING,
        &["p0 0..1 ok i1=1 i2=2", "p1 2..3 ok q:all={1:1}"],
        &["G-single"],
        &["rwp", "wr"],
        &["consistent-view"],
    ),
    // The read of the past is of an object, and what makes it one is a predicate.
    kind(
        TWO,
        &["p0 0..2 ok w1=3 w2=4", "p1 1..3 ok q[:=_1]={} r2=2"],
        &["G-single"],
        &["rw", "wrp"],
        &["consistent-view"],
    ),
    kind(
        NOTHING,
        &["p0 0..1 ok i1=1", "p0 2..3 ok q:all={}"],
        &["G-single-process"],
        &["process", "rwp"],
        &["strong-session-snapshot-isolation"],
    ),
    kind(
        NOTHING,
        &["p0 0..1 ok i1=1", "p1 2..3 ok q:all={}"],
        &["G-single-realtime"],
        &["realtime", "rwp"],
        &["strong-snapshot-isolation"],
    ),
    kind(
        NOTHING,
        &["p0 0..4 ok i1=1", "p1 1..5 ok i2=2", "p2 2..6 ok q:all={1:1}", "p3 3..7 ok q:all={2:2}"],
        &["G-nonadjacent"],
        &["rwp", "rwp", "wr", "wr"],
        &["snapshot-isolation"],
    ),
    kind(
        NOTHING,
        &["p0 0..2 ok i1=1", "p1 1..3 ok i2=2", "p0 4..6 ok q[:=_2]={}", "p1 5..7 ok q[:=_1]={}"],
        &["G-nonadjacent-process", "G-single-realtime"],
        &["process", "process", "rwp", "rwp"],
        &["strong-session-snapshot-isolation"],
    ),
    kind(
        NOTHING,
        &["p0 0..7 ok q:all={2:2}", "p1 1..3 ok i1=1", "p2 2..6 ok i2=2", "p3 4..5 ok q[:=_2]={}"],
        &["G-nonadjacent-realtime"],
        &["realtime", "rwp", "rwp", "wr"],
        &["strong-snapshot-isolation"],
    ),
    kind(
        NOTHING,
        &["p0 0..2 ok q:all={} i1=1", "p1 1..3 ok q:all={} i2=2"],
        &["G2"],
        &["rwp", "rwp"],
        &["serializable"],
    ),
    // One of the two is enough.
    kind(ONE, &["p0 0..2 ok r1=1 i2=2", "p1 1..3 ok q[:=_2]={} w1=3"], &["G2"], &["rw", "rwp"], &["serializable"]),
    kind(
        NOTHING,
        &["p0 0..5 ok i1=1 q[:=_2]={}", "p1 1..2 ok i2=2", "p1 3..4 ok q[:=_1]={}"],
        &["G2-process"],
        &["process", "rwp", "rwp"],
        &["strong-session-serializable"],
    ),
    kind(
        NOTHING,
        &["p0 0..5 ok i1=1 q[:=_2]={}", "p1 1..2 ok i2=2", "p2 3..4 ok q[:=_1]={}"],
        &["G2-realtime"],
        &["realtime", "rwp", "rwp"],
        &["strict-serializable"],
    ),
];

const NO_CYCLES: &[Kind] = &[
    kind(NOTHING, &["p0 0..1 fail i1=1", "p1 2..3 ok r1=1"], &["G1a"], &[], &["read-committed"]),
    kind(NOTHING, &["p0 0..1 fail i1=1", "p1 2..3 ok q:all={1:1}"], &["G1a"], &[], &["read-committed"]),
    kind(NOTHING, &["p0 0..1 ok i1=1 w1=2", "p1 2..3 ok r1=1"], &["G1b"], &[], &["read-committed"]),
    kind(NOTHING, &["p0 0..1 ok i1=1 w1=2", "p1 2..3 ok q:all={1:1}"], &["G1b"], &[], &["read-committed"]),
    kind(NOTHING, &["p0 0..1 ok i1=1", "p1 2..3 ok r1=9"], &["garbage-read"], &[], &["read-uncommitted"]),
    kind(NOTHING, &["p0 0..1 ok q:all={7:9}"], &["garbage-read"], &[], &["read-uncommitted"]),
    kind(ONE, &["p0 0..1 ok r1=nil"], &["garbage-read"], &[], &["read-uncommitted"]),
    kind(ONE, &["p0 0..1 ok q:all={}"], &["predicate-read-miss"], &[], &["serializable"]),
    // Reads of what the transaction wrote itself, or read before, or writes later.
    kind(NOTHING, &["p0 0..1 ok i1=1 r1=nil"], &["internal"], &[], &["read-atomic"]),
    kind(NOTHING, &["p0 0..1 ok i1=1 q:all={}"], &["internal"], &[], &["read-atomic"]),
    kind(ONE, &["p0 0..1 ok d1 q:all={1:1}"], &["internal"], &[], &["read-atomic"]),
    kind(ONE, &["p0 0..1 ok q:all={1:1} r1=nil"], &["internal"], &[], &["read-atomic"]),
    kind(ONE, &["p0 0..1 ok q[:=_2]={1:1}"], &["internal"], &[], &["read-atomic"]),
    kind(NOTHING, &["p0 0..1 ok r1=1 i1=1"], &["future-read"], &[], &["read-committed"]),
    kind(NOTHING, &["p0 0..1 ok q:all={1:1} i1=1"], &["future-read"], &[], &["read-committed"]),
    kind(ONE, &["p0 0..1 ok q[:=_1]={} w1=2"], &["future-read"], &[], &["read-committed"]),
    kind(ONE, &["p0 0..1 ok q:all={} d1"], &["future-read"], &[], &["read-committed"]),
    kind(
        ONE,
        &["p0 0..2 ok r1=2 w1=3", "p1 1..3 ok r1=3 w1=2"],
        &["cyclic-versions", "G1c"],
        &[],
        &["read-uncommitted"],
    ),
];

fn kinds() -> impl Iterator<Item = &'static Kind> {
    OVER_OBJECTS.iter().chain(OVER_PREDICATES).chain(NO_CYCLES)
}

#[test]
fn the_table_knows_the_two_dozen_cycles_by_name() {
    let mut cycles = BTreeSet::new();
    for order in ["", "-process", "-realtime"] {
        for base in ["G0", "G1c", "G-single", "G-single-item", "G-nonadjacent", "G-nonadjacent-item", "G2", "G2-item"] {
            cycles.insert(format!("{base}{order}"));
        }
    }
    assert_eq!(cycles.len(), 24);
    let found = OVER_OBJECTS.iter().chain(OVER_PREDICATES).map(|kind| kind.finds[0].to_owned());
    assert_eq!(found.collect::<BTreeSet<_>>(), cycles);
}

/// A value of the class of a script.
fn of_class(class: usize, value: i64) -> i64 {
    value * 1_000 + class as i64
}

/// The script of a kind with the values and the predicates of a class.
fn script(kind: &Kind, class: usize, names: &mut Names) -> History {
    let predicate = |text: &str| match text.strip_prefix("[:= ").and_then(|rest| rest.strip_suffix(']')) {
        Some(value) => format!("[:= {}]", of_class(class, value.parse().unwrap())),
        None => format!("[:mod 1000 {class}]"),
    };
    let mut ops: Vec<Operation> = Vec::new();
    for line in kind.lines {
        let mut words = Names::default();
        let mut op = operation(line, |word| mop(word, &mut words));
        let Call::Txn(mops) = &mut op.call else { panic!("{line}") };
        for mop in mops {
            match mop {
                Mop::Insert { value, .. } | Mop::Write { value, .. } => *value = of_class(class, *value),
                Mop::Read { value: Some(Some(value)), .. } => *value = of_class(class, *value),
                Mop::ReadPredicate { predicate: number, matched } => {
                    *number = names.number(&predicate(words.text(*number).unwrap()));
                    matched.iter_mut().flatten().for_each(|(_, value)| *value = of_class(class, *value));
                }
                _ => {}
            }
        }
        ops.push(op);
    }
    History::new(ops).unwrap()
}

/// Kinds in a background of so many transactions; each with its start, and with so many events between its own.
fn planted(seed: u64, txns: usize, kinds: &[(&Kind, usize, usize)]) -> Planted {
    let mut names = Names::default();
    let classes = kinds.iter().zip(1..);
    let scripts: Vec<History> = classes.map(|((kind, ..), class)| script(kind, class, &mut names)).collect();
    let background = serial_with(seed, txns, false, (1_000, PREDICATES_OF_THOUSANDS), names);
    let mut ops = background.ops().to_vec();
    let Call::Txn(init) = &mut ops[0].call else { panic!("no transaction") };
    for (place, (kind, ..)) in kinds.iter().enumerate() {
        let there = kind.init.iter().map(|(key, value)| (moved_key(place, *key), of_class(place + 1, *value)));
        init.extend(there.map(|(key, value)| Mop::Insert { key, value }));
    }
    let background = History::new(ops).unwrap().with_names(background.names().clone());
    let place = |(script, (_, start, gap)): (_, &(_, usize, usize))| Planting { script, start: *start, gap: *gap };
    plant(&background, &scripts.iter().zip(kinds).map(place).collect::<Vec<_>>())
}

fn assert_kind(kind: &Kind, txns: usize, gap: usize) {
    let planted = planted(3, txns, &[(kind, 20, gap)]);
    let may_also = if gap == 0 { &[][..] } else { BETWEEN };
    let may_also: Vec<&str> = may_also.iter().copied().filter(|name| !kind.finds.contains(name)).collect();
    let what = format!("{:?} of {:?}, {gap} apart", kind.finds, kind.lines);
    let models = if gap == 0 { Model::all().collect() } else { border(kind.not) };
    assert_models(&what, models, kind.not, &[], |model| {
        check(&planted.history, &Options { model, ..Options::default() })
    });
    let result = check(&planted.history, &Options::default());
    assert_found(&what, &result, kind.finds, &may_also, &planted.op_ids[0]);
    let not: Vec<&str> = result.not.iter().map(String::as_str).collect();
    assert_eq!(refuted(&not), refuted(kind.not), "{what}");
    let finding = result.findings.iter().find(|finding| finding.anomaly == kind.finds[0]).unwrap();
    let mut steps: Vec<&str> = finding.cycle.iter().map(|edge| edge.kind.name()).collect();
    steps.sort_unstable();
    assert_eq!(steps, kind.steps, "{what}");
}

#[test]
fn each_kind_near() {
    kinds().for_each(|kind| assert_kind(kind, 60, 0));
}

#[test]
fn each_kind_far() {
    for kind in kinds() {
        assert_kind(kind, 2_000, 3_500 / (2 * kind.lines.len() - 1));
    }
}

#[track_caller]
fn assert_several(kinds: &[&Kind], history: &History) {
    let finds: Vec<&str> = kinds.iter().flat_map(|kind| kind.finds.iter().copied()).collect();
    let not: Vec<&str> = kinds.iter().flat_map(|kind| kind.not.iter().copied()).collect();
    planting::assert_several(&check(history, &Options::default()), &finds, BETWEEN, &not);
}

#[test]
fn any_two_kinds_among_each_other() {
    let all: Vec<&Kind> = kinds().collect();
    for (number, one) in all.iter().enumerate() {
        for other in &all[..number] {
            for gaps in [[0, 0], [2, 2], [1, 12], [12, 1]] {
                let both = [(*one, 10, gaps[0]), (*other, 10, gaps[1])];
                assert_several(&[one, other], &planted(4, 40, &both).history);
            }
        }
    }
}

#[test]
fn all_kinds_at_once_near_and_far() {
    let all: Vec<&Kind> = kinds().collect();
    for gap in [0, 7, 300] {
        let place = |(number, kind): (usize, &&'static Kind)| (*kind, 20 + 60 * number, gap);
        let places: Vec<_> = all.iter().enumerate().map(place).collect();
        let planted = planted(5, 2_000, &places);
        assert_several(&all, &planted.history);
        if gap == 0 {
            let expected = kinds().flat_map(|kind| kind.finds).map(|name| (*name).to_owned());
            assert_eq!(check(&planted.history, &Options::default()).anomaly_types, expected.collect());
        }
    }
}
