//! Every kind of anomaly under every model: near, far, and several at once; found, named, and nothing else.

use super::*;
use crate::consistency::implied_anomalies;
use crate::planting::{
    Planting, assert_all_refuted, assert_boundary, assert_found, assert_models, border, healthy, plant, refuted,
};
use crate::synthetic::Workload;
use oracle::{Assume, Judge, LEVELS};

/// What the caller knows of the order of versions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Given {
    Nothing,
    /// The places of the transactions.
    Places(&'static [i64]),
    WritesFollowReads,
    Sequential,
    Linearizable,
}
use Given::{Linearizable, Nothing, Places, Sequential, WritesFollowReads};

/// One way to go wrong.
struct Kind {
    lines: &'static [&'static str],
    given: Given,
    /// All that is found under `serializable`, under `strong-session-serializable` and under `strict-serializable`.
    finds: [&'static [&'static str]; 3],
    /// The weakest models that it breaks.
    not: &'static [&'static str],
    /// Further models of which nothing is known.
    open: &'static [&'static str],
}

/// What is found whichever model is asked about.
const fn data(lines: &'static [&'static str], finds: &'static [&'static str], not: &'static [&'static str]) -> Kind {
    Kind { lines, given: Nothing, finds: [finds; 3], not, open: &[] }
}

/// What takes the order in processes.
const fn process(lines: &'static [&'static str], finds: &'static [&'static str], not: &'static [&'static str]) -> Kind {
    Kind { lines, given: Nothing, finds: [&[], finds, finds], not, open: &[] }
}

/// What takes real time.
const fn realtime(
    lines: &'static [&'static str],
    finds: &'static [&'static str],
    not: &'static [&'static str],
) -> Kind {
    Kind { lines, given: Nothing, finds: [&[], &[], finds], not, open: &[] }
}

const fn with(given: Given, kind: Kind) -> Kind {
    Kind { given, ..kind }
}

/// Besides, under the model that relies on real time.
const fn and_in_time(finds: &'static [&'static str], kind: Kind) -> Kind {
    Kind { finds: [kind.finds[0], kind.finds[1], finds], ..kind }
}

const fn open(open: &'static [&'static str], kind: Kind) -> Kind {
    Kind { open, ..kind }
}

const MODELS: [&str; 3] = ["serializable", "strong-session-serializable", "strict-serializable"];

/// What may be found besides in real time where others come between: two transactions that contradict it by what they
/// wrote are joined in real time to healthy reads of the past of those between.
const BETWEEN: &[&str] = &["G-single-item-realtime"];

const KINDS: &[Kind] = &[
    // The last word about one register each, as a later read shows.
    with(
        Linearizable,
        data(
            &["p0 0..2 ok w1=1 w2=2", "p1 1..3 ok w1=2 w2=1", "p2 4..5 ok r1=2 r2=2"],
            &["G0", "fractured-read"],
            &["read-uncommitted"],
        ),
    ),
    with(
        Places(&[2, 1, 3]),
        process(
            &["p0 0..1 ok w1=1", "p0 2..3 ok w1=2", "p1 4..5 ok r1=1"],
            &["G0-process", "monotonic-writes-violation"],
            &["monotonic-writes", "strong-session-read-uncommitted"],
        ),
    ),
    with(
        Places(&[2, 1, 3]),
        realtime(
            &["p0 0..1 ok w1=1", "p1 2..3 ok w1=2", "p2 4..5 ok r1=1"],
            &["G0-realtime"],
            &["strong-read-uncommitted"],
        ),
    ),
    data(&["p0 0..2 ok w1=1 r2=1", "p1 1..3 ok w2=1 r1=1"], &["G1c"], &["read-committed"]),
    process(&["p0 0..1 ok r1=1", "p0 2..3 ok w1=1"], &["G1c-process"], &["strong-session-read-committed"]),
    realtime(&["p0 0..1 ok r1=1", "p1 2..3 ok w1=1"], &["G1c-realtime"], &["strong-read-committed"]),
    data(
        &["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w1=2 w2=2", "p2 4..5 ok r2=2 w3=3", "p3 6..7 ok r3=3 r1=1"],
        &["G-single-item", "causal-violation"],
        &["causal-cerone", "consistent-view", "repeatable-read"],
    ),
    process(
        &["p0 0..1 ok w1=1", "p0 2..3 ok r1=nil"],
        &["G-single-item-process", "causal-violation-process", "read-your-writes-violation"],
        &["read-your-writes"],
    ),
    realtime(&["p0 0..1 ok w1=1", "p1 2..3 ok r1=nil"], &["G-single-item-realtime"], &["strong-snapshot-isolation"]),
    realtime(
        &["p0 0..1 ok w1=1", "p1 2..3 ok w1=2", "p2 4..5 ok r1=1"],
        &["G-single-item-realtime"],
        &["strong-snapshot-isolation"],
    ),
    data(
        &["p0 0..4 ok w1=1", "p1 1..5 ok w2=1", "p2 2..6 ok r1=1 r2=nil", "p3 3..7 ok r1=nil r2=1"],
        &["G-nonadjacent-item", "long-fork"],
        &["prefix", "repeatable-read"],
    ),
    // In this order of the writes of 1 the reader sees the later one and misses what the earlier one wrote besides.
    with(
        Places(&[1, 2, 3]),
        data(
            &["p0 0..3 ok w1=1 w2=1", "p1 1..4 ok w1=2 w3=1", "p2 2..5 ok r3=1 r2=nil"],
            &["G-single-item", "prefix-violation"],
            &["consistent-view", "prefix", "repeatable-read"],
        ),
    ),
    and_in_time(
        &["G-nonadjacent-item-process", "G-single-item-realtime"],
        process(
            &["p0 0..2 ok w1=1", "p1 1..3 ok w2=1", "p0 4..6 ok r2=nil", "p1 5..7 ok r1=nil"],
            &["G-nonadjacent-item-process"],
            &["strong-session-snapshot-isolation"],
        ),
    ),
    realtime(
        &["p0 0..7 ok r1=nil r2=1", "p1 1..3 ok w1=1", "p2 2..6 ok w2=1", "p3 4..5 ok r2=nil"],
        &["G-nonadjacent-item-realtime"],
        &["strong-snapshot-isolation"],
    ),
    data(&["p0 0..2 ok r1=nil w2=1", "p1 1..3 ok r2=nil w1=1"], &["G2-item"], &["repeatable-read"]),
    process(
        &["p0 0..5 ok w1=1 r2=nil", "p1 1..2 ok w2=1", "p1 3..4 ok r1=nil"],
        &["G2-item-process"],
        &["strong-session-serializable"],
    ),
    realtime(
        &["p0 0..5 ok w1=1 r2=nil", "p1 1..2 ok w2=1", "p2 3..4 ok r1=nil"],
        &["G2-item-realtime"],
        &["strict-serializable"],
    ),
    data(&["p0 0..1 fail w1=1", "p1 2..3 ok r1=1"], &["G1a"], &["read-committed"]),
    data(&["p0 0..1 ok w1=1 w1=2", "p1 2..3 ok r1=1"], &["G1b"], &["read-committed"]),
    data(&["p0 0..1 ok w1=1 r1=nil", "p1 2..3 ok r1=1"], &["internal"], &["read-atomic"]),
    data(&["p0 0..1 ok r1=1 w1=1", "p1 2..3 ok r1=1"], &["future-read"], &["read-committed"]),
    data(&["p0 0..1 ok w1=1", "p1 2..3 ok r1=9"], &["garbage-read"], &["read-uncommitted"]),
    data(&["p0 0..1 fail w1=1", "p1 2..3 ok r1=1 w1=2"], &["G1a", "dirty-update"], &["read-committed"]),
    data(
        &["p0 0..2 ok r1=nil w1=1", "p1 1..3 ok r1=nil w1=2"],
        &["G2-item", "lost-update"],
        &["cursor-stability", "update-atomic"],
    ),
    and_in_time(
        &["G-single-item-realtime", "G2-item", "lost-update"],
        data(
            &["p0 0..1 ok r1=nil w1=1", "p1 2..3 ok r1=nil w1=2"],
            &["G2-item", "lost-update"],
            &["cursor-stability", "update-atomic"],
        ),
    ),
    and_in_time(
        &["G-single-item-realtime", "cyclic-versions"],
        with(
            Linearizable,
            data(
                &["p0 0..1 ok w1=1", "p1 2..3 ok w1=2", "p2 4..5 ok r1=1"],
                &["cyclic-versions"],
                &["read-uncommitted"],
            ),
        ),
    ),
    open(
        &["PRAM"],
        Kind {
            lines: &["p0 0..1 ok w1=1", "p0 2..3 ok w1=2", "p0 4..5 ok r1=1"],
            given: Sequential,
            finds: [
                &["cyclic-versions"],
                &["G-single-item-process", "causal-violation-process", "cyclic-versions"],
                &["G-single-item-realtime", "causal-violation-process", "cyclic-versions"],
            ],
            not: &["read-uncommitted"],
            open: &[],
        },
    ),
    with(
        WritesFollowReads,
        data(&["p0 0..2 ok r1=1 w1=2", "p1 1..3 ok r1=2 w1=1"], &["G1c", "cyclic-versions"], &["read-uncommitted"]),
    ),
    data(
        &["p0 0..1 ok w1=1 w2=1", "p1 2..3 ok r1=1 r2=nil"],
        &["G-single-item", "non-monotonic-read"],
        &["consistent-view", "monotonic-atomic-view"],
    ),
    data(
        &["p0 0..1 ok w1=1 w2=1", "p1 2..3 ok r2=nil r1=1"],
        &["G-single-item", "fractured-read"],
        &["consistent-view", "read-atomic", "repeatable-read"],
    ),
    data(
        &["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w2=1", "p2 4..5 ok r2=1 r1=nil"],
        &["G-single-item", "causal-violation"],
        &["causal-cerone", "consistent-view", "repeatable-read"],
    ),
    process(
        &["p0 0..1 ok w1=1", "p0 2..3 ok w2=1", "p1 4..5 ok r2=1 r1=nil"],
        &["G-single-item-process", "causal-violation-process"],
        &["causal"],
    ),
    process(
        &["p0 0..1 ok w1=1", "p1 2..3 ok r1=1", "p1 4..5 ok r1=nil"],
        &["G-single-item-process", "causal-violation-process", "monotonic-reads-violation"],
        &["monotonic-reads"],
    ),
    and_in_time(
        &["G-single-item-realtime", "causal-violation-process", "monotonic-reads-violation"],
        process(
            &[
                "p0 0..1 ok w1=1",
                "p1 2..3 ok w1=2",
                "p2 4..5 ok r1=1",
                "p2 6..7 ok r1=2",
                "p3 8..9 ok r1=2",
                "p3 10..11 ok r1=1",
            ],
            &["G-single-item-process", "causal-violation-process", "monotonic-reads-violation"],
            &["monotonic-reads"],
        ),
    ),
    and_in_time(
        &["G-single-item-realtime", "causal-violation-process", "read-your-writes-violation"],
        process(
            &["p0 0..1 ok w1=1", "p1 2..3 ok w1=2", "p0 4..5 ok r1=2", "p1 6..7 ok r1=1"],
            &["G-single-item-process", "causal-violation-process", "read-your-writes-violation"],
            &["read-your-writes"],
        ),
    ),
    open(
        &["PRAM"],
        and_in_time(
            &["G-single-item-realtime", "causal-violation-process"],
            process(
                &["p0 0..1 ok w1=1", "p0 2..3 ok w1=2", "p1 4..5 ok r1=2", "p1 6..7 ok r1=1"],
                &["G-single-item-process", "causal-violation-process"],
                &["causal"],
            ),
        ),
    ),
    and_in_time(
        &["G-single-item-realtime", "G1c-process", "writes-follow-reads-violation"],
        process(
            &["p0 0..1 ok r1=2", "p0 2..3 ok w1=1", "p1 4..5 ok r1=1", "p1 6..7 ok w1=2"],
            &["G-single-item-process", "G1c-process", "writes-follow-reads-violation"],
            &["strong-session-read-committed", "writes-follow-reads"],
        ),
    ),
];

/// Names that say that every order of the versions has a cycle. Whichever order the first two of these are in, a read of
/// the third one or the read of the second one is of the past.
const EXISTS: [(&str, &str); 7] = [
    ("parallel-snapshot-isolation", "PL-2+-cycle-exists"),
    ("serializable", "PL-2.99-cycle-exists"),
    ("snapshot-isolation", "PL-SI-cycle-exists"),
    ("strong-session-serializable", "strong-session-PL-3-cycle-exists"),
    ("strong-session-snapshot-isolation", "strong-session-PL-SI-cycle-exists"),
    ("strict-serializable", "PL-SS-cycle-exists"),
    ("strong-snapshot-isolation", "strong-PL-SI-cycle-exists"),
];
const UNORDERED: [&str; 3] = ["p0 0..3 ok w1=1 w2=1", "p1 1..4 ok w1=2 r2=nil", "p2 2..5 ok r1=2 r2=1"];

/// The same for prefixes: the third one puts the second write of 1 first, and then the fourth one misses what came before
/// what it sees.
const UNORDERED_PREFIX: [&str; 4] =
    ["p0 0..4 ok w1=1 w2=1", "p1 1..5 ok w1=2 w3=1 w4=1", "p2 2..6 ok r1=1 r3=1", "p3 3..7 ok r2=1 r4=nil"];

/// What was given, for operations with these `op_id`s.
fn given(given: Given, op_ids: &[u64], model: Model) -> Options {
    let places = |places: &[i64]| op_ids.iter().copied().zip(places.iter().copied()).collect();
    Options {
        model,
        transaction_order: if let Places(of) = given { Some(places(of)) } else { None },
        wfr_keys: given == WritesFollowReads,
        sequential_keys: given == Sequential,
        linearizable_keys: given == Linearizable,
        ..Options::default()
    }
}

#[test]
fn the_table_knows_every_anomaly_that_is_found_in_registers() {
    let of_table = KINDS.iter().flat_map(|kind| kind.finds).flatten().copied();
    let known: BTreeSet<&str> = of_table.chain(EXISTS.map(|(_, name)| name)).chain(["prefix-cycle-exists"]).collect();
    // What only lists show, what only predicates show, and what nothing shows.
    let elsewhere = [
        "duplicate-elements",
        "incompatible-order",
        "predicate-read-miss",
        "G1",
        "G1-process",
        "G1-realtime",
        "G-SI",
        "G-SIb",
        "GSIa",
        "GSIb",
        "GSI",
        "G-MSR",
        "G-cursor",
        "G-monotonic",
        "G-update",
        "write-skew",
    ];
    for name in Model::all().flat_map(Model::proscribed) {
        let base = name.strip_suffix("-process").or(name.strip_suffix("-realtime")).unwrap_or(name);
        let by_predicate = ["G-single", "G-nonadjacent", "G2"].contains(&base);
        assert_ne!(known.contains(name), by_predicate || elsewhere.contains(&name), "{name}");
    }
}

#[test]
fn the_table_agrees_with_every_order_of_writes() {
    for kind in KINDS {
        let assume = match kind.given {
            Nothing => Assume::Nothing,
            Sequential => Assume::Sequential,
            Linearizable => Assume::Linearizable,
            // The judge knows nothing of these.
            Places(_) | WritesFollowReads => continue,
        };
        let history = history(kind.lines);
        let refuted = refuted(kind.not);
        for level in LEVELS {
            let falls = refuted.contains(&Model::parse(level.name).unwrap());
            assert_eq!(Judge::new(&history).holds(level, assume), !falls, "{:?} under {}", kind.lines, level.name);
        }
    }
    let held = |lines: &[&str]| -> Vec<&str> {
        let history = history(lines);
        let holds = |level: &&oracle::Level| Judge::new(&history).holds(**level, Assume::Nothing);
        LEVELS.iter().filter(holds).map(|level| level.name).collect()
    };
    let weak = ["read-committed", "strong-session-read-committed", "strong-read-committed"];
    assert_eq!(held(&UNORDERED_PREFIX), weak);
    assert_eq!(held(&UNORDERED), [&weak[..], &["prefix"]].concat());
}

/// One kind in a background, with so many of its events between each two of the script's.
fn planted(background: &History, kind: &Kind, gap: usize) {
    let script = history(kind.lines);
    let planted = plant(background, &[Planting { script: &script, start: 60, gap }]);
    let op_ids = &planted.op_ids[0];
    let what = format!("{:?}, {gap} apart", kind.lines);
    let check = |model: Model| check(&planted.history, &given(kind.given, op_ids, model));
    let models = if gap == 0 { Model::all().collect() } else { border(kind.not) };
    assert_models(&what, models, kind.not, kind.open, check);
    for (model, finds) in MODELS.into_iter().zip(kind.finds) {
        let in_time = model == "strict-serializable" && gap > 0;
        let may_also = if in_time && !finds.contains(&BETWEEN[0]) { BETWEEN } else { &[] };
        assert_found(&what, &check(Model::parse(model).unwrap()), finds, may_also, op_ids);
    }
    let not = check(Model::STRICT_SERIALIZABLE).not;
    assert_eq!(refuted(&not.iter().map(String::as_str).collect::<Vec<_>>()), refuted(kind.not), "{what}");
}

#[test]
fn each_kind_near() {
    let background = healthy(Workload::RwRegister, 100, 5);
    KINDS.iter().for_each(|kind| planted(&background, kind, 0));
}

#[test]
fn each_kind_far() {
    let background = healthy(Workload::RwRegister, 300, 6);
    for kind in KINDS {
        planted(&background, kind, 450 / (2 * kind.lines.len() - 1));
    }
}

#[test]
fn each_kind_thousands_of_transactions_apart() {
    let background = healthy(Workload::RwRegister, 3_000, 6);
    for kind in KINDS {
        let script = history(kind.lines);
        let gap = 5_500 / (2 * kind.lines.len() - 1);
        let planted = plant(&background, &[Planting { script: &script, start: 60, gap }]);
        let result = check(&planted.history, &given(kind.given, &planted.op_ids[0], Model::STRICT_SERIALIZABLE));
        let may_also = if kind.finds[2].contains(&BETWEEN[0]) { &[] } else { BETWEEN };
        assert_found(&format!("{:?}", kind.lines), &result, kind.finds[2], may_also, &planted.op_ids[0]);
        let not: Vec<&str> = result.not.iter().map(String::as_str).collect();
        assert_eq!(refuted(&not), refuted(kind.not), "{:?}", kind.lines);
    }
}

#[test]
fn an_order_that_does_not_exist_near_and_far() {
    let script = history(&UNORDERED);
    for (ops, gap) in [(100, 0), (3_000, 1_000)] {
        let background = healthy(Workload::RwRegister, ops, 9);
        let planted = plant(&background, &[Planting { script: &script, start: 60, gap }]);
        for (model, name) in EXISTS {
            let result = check(&planted.history, &options(model));
            assert!(result.is_invalid(), "{model} {gap} apart");
            assert_found(name, &result, &[name], &[], &planted.op_ids[0]);
            assert_boundary(name, &refuted(&["consistent-view", "repeatable-read"]), &result);
        }
        for model in ["causal", "causal-cerone", "prefix", "strong-read-committed", "update-atomic", "cursor-stability"]
        {
            assert_eq!(check(&planted.history, &options(model)).verdict, Verdict::valid(), "{model} {gap} apart");
        }
    }
}

#[test]
fn a_prefix_that_does_not_exist_near_and_far() {
    let script = history(&UNORDERED_PREFIX);
    for (ops, gap) in [(100, 0), (3_000, 700)] {
        let background = healthy(Workload::RwRegister, ops, 9);
        let planted = plant(&background, &[Planting { script: &script, start: 60, gap }]);
        let result = check(&planted.history, &options("prefix"));
        assert!(result.is_invalid(), "{gap} apart");
        assert_found("prefix", &result, &["prefix-cycle-exists"], &[], &planted.op_ids[0]);
        assert_boundary("prefix", &refuted(&["consistent-view", "prefix", "repeatable-read"]), &result);
        assert_eq!(check(&planted.history, &options("causal")).verdict, Verdict::valid(), "{gap} apart");
    }
}

/// Every anomaly is found, or what implies it; and nothing else.
#[track_caller]
fn assert_several(kinds: &[&Kind], history: &History) {
    let not: Vec<&str> = kinds.iter().flat_map(|kind| kind.not.iter().copied()).collect();
    let refuted = refuted(&not);
    for (number, model) in MODELS.into_iter().enumerate() {
        let result = check(history, &options(model));
        let expected: BTreeSet<&str> = kinds.iter().flat_map(|kind| kind.finds[number].iter().copied()).collect();
        let found: BTreeSet<&str> = types(&result).into_iter().collect();
        for name in &expected {
            let told = found.iter().any(|other| implied_anomalies(other).contains(name));
            assert!(told, "{name} of {expected:?} under {model}: {found:?}");
        }
        for name in &found {
            let in_time = model == "strict-serializable" && BETWEEN.contains(name);
            assert!(expected.contains(name) || in_time, "{name} besides {expected:?} under {model}");
        }
        assert_eq!(result.is_invalid(), refuted.contains(&Model::parse(model).unwrap()));
        if model == "strict-serializable" {
            assert_all_refuted(&result, &refuted);
        } else {
            assert_boundary("several", &refuted, &result);
        }
    }
}

/// Those that need no options: what one script assumes would be assumed of all.
fn without_options() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(|kind| kind.given == Nothing)
}

#[test]
fn any_two_kinds_among_each_other() {
    let background = healthy(Workload::RwRegister, 30, 7);
    let all: Vec<&Kind> = without_options().collect();
    let ways = [[0, 0], [2, 2], [1, 12], [12, 1]];
    let mut pairs = 0;
    for (number, one) in all.iter().enumerate() {
        for other in &all[..number] {
            pairs += 1;
            let (first, second) = (history(one.lines), history(other.lines));
            let gaps = ways[pairs % ways.len()];
            let place = |script, gap| Planting { script, start: 10, gap };
            let plantings = [place(&first, gaps[0]), place(&second, gaps[1])];
            assert_several(&[one, other], &plant(&background, &plantings).history);
        }
    }
}

#[test]
fn all_kinds_at_once_near_and_far() {
    let background = healthy(Workload::RwRegister, 400, 8);
    let all: Vec<&Kind> = without_options().collect();
    let scripts: Vec<History> = all.iter().map(|kind| history(kind.lines)).collect();
    for gap in [0, 7, 70] {
        let place = |(number, script)| Planting { script, start: 20 + 20 * number, gap };
        let plantings: Vec<Planting<'_>> = scripts.iter().enumerate().map(place).collect();
        let planted = plant(&background, &plantings);
        assert_several(&all, &planted.history);
        // One after the other each is told by its own name.
        for (number, model) in MODELS.into_iter().enumerate().filter(|_| gap == 0) {
            let found = check(&planted.history, &options(model)).anomaly_types;
            let expected = all.iter().flat_map(|kind| kind.finds[number]);
            assert_eq!(found, expected.map(|name| (*name).to_owned()).collect(), "{model}");
        }
    }
}
