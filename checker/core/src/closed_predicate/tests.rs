//! Histories small enough to judge by hand, and serial ones by the thousand.

mod kinds;
mod mutations;

use super::*;
use crate::names::Names;
use crate::script::{operation, operation_of};
use crate::synthetic::Dice;
use crate::verdict::{Validity, Verdict};
use proptest::prelude::*;

/// A history from lines such as `p0 0..1 ok i1=5 w1=6 d1 r1=6 r2=nil q:true={1:6}`: process, invocation and completion,
/// outcome, and inserts, writes, deletes, reads and reads by predicate.
fn history(lines: &[&str]) -> History {
    let mut names = Names::default();
    let ops = lines.iter().map(|line| operation(line, |word| mop(word, &mut names))).collect();
    History::new(ops).unwrap().with_names(std::sync::Arc::new(names))
}

/// In predicates `_` stands for a space.
fn mop(word: &str, names: &mut Names) -> Mop {
    let rest = &word[1..];
    let pair = || rest.split_once('=').map(|(key, value)| (key.parse().unwrap(), value)).unwrap();
    match &word[..1] {
        "i" => Mop::Insert { key: pair().0, value: pair().1.parse().unwrap() },
        "w" => Mop::Write { key: pair().0, value: pair().1.parse().unwrap() },
        "d" => Mop::Delete { key: rest.parse().unwrap() },
        "r" => Mop::Read { key: pair().0, value: Some(pair().1.parse().ok()) },
        _ => {
            let (predicate, matched) = rest.split_once("={").unwrap();
            let matched = matched.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
            let matched = matched.map(|pair| pair.split_once(':').unwrap());
            let matched = matched.map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect();
            Mop::ReadPredicate { predicate: names.number(&predicate.replace('_', " ")), matched: Some(matched) }
        }
    }
}

#[track_caller]
fn assert_types(lines: &[&str], expected: &[&str]) {
    let result = check(&history(lines), &Options::default());
    let found: Vec<&str> = result.anomaly_types.iter().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "{:#?}", result.findings);
    assert_eq!(result.is_invalid(), !expected.is_empty());
    for finding in &result.findings {
        let last = finding.explanation.last().unwrap();
        assert!(last.starts_with("  However, ") && last.ends_with(": a contradiction"), "{last}");
    }
}

#[test]
fn healthy_histories_are_valid() {
    let lines =
        ["p0 0..1 ok i1=5 i2=6", "p1 2..3 ok w1=7 q:true={1:7,2:6}", "p2 4..5 ok d2 r1=7", "p0 6..7 ok q:true={1:7}"];
    assert_types(&lines, &[]);
    assert_eq!(check(&history(&lines), &Options::default()).verdict, Verdict::valid());
    // What overlaps may come before or after.
    for seen in ["", "1:5"] {
        assert_types(&["p0 0..8 ok i1=5", &format!("p1 1..9 ok q:true={{{seen}}}")], &[]);
    }
}

#[test]
fn phantoms() {
    // Each sees that there is nothing, and inserts: write skew over a predicate.
    let skew = ["p0 0..2 ok q:true={} i1=1", "p1 1..3 ok q:true={} i2=1"];
    assert_types(&skew, &["G2"]);
    let result = check(&history(&skew), &Options { model: Model::SNAPSHOT_ISOLATION, ..Options::default() });
    assert_eq!(result.verdict.validity, Validity::Valid);
    assert_eq!(result.not.iter().collect::<Vec<_>>(), ["serializable"]);
    assert!(check(&history(&skew), &Options { model: Model::SERIALIZABLE, ..Options::default() }).is_invalid());
    // What is inserted does not match what was asked for.
    assert_types(&["p0 0..2 ok q[:=_9]={} i1=1", "p1 1..3 ok q[:=_9]={} i2=1"], &[]);
    assert_types(&["p0 0..2 ok q[:mod_2_1]={} i1=1", "p1 1..3 ok q[:mod_2_1]={} i2=2"], &[]);
    // Half of what a transaction inserted.
    assert_types(&["p0 0..2 ok i1=1 i2=2", "p1 1..3 ok q:true={1:1}"], &["G-single"]);
    assert_types(&["p0 0..2 ok i1=1 i2=2", "p1 1..3 ok r1=1 q[:=_2]={}"], &["G-single"]);
    // The same without predicates.
    assert_types(&["p0 0..2 ok i1=1 i2=2", "p1 1..3 ok r1=1 r2=nil"], &["G-single-item"]);
}

#[test]
fn predicates_over_time_and_processes() {
    assert_types(&["p0 0..1 ok i1=1", "p1 2..3 ok q:true={}", "p2 4..5 ok r1=1"], &["predicate-read-miss"]);
    let late = ["p9 0..1 ok r5=nil", "p0 2..3 ok i1=1", "p1 4..5 ok q:true={}"];
    assert_types(&late, &["G-single-realtime"]);
    let own = ["p9 0..1 ok r5=nil", "p0 2..3 ok i1=1", "p0 4..5 ok q:true={}"];
    assert_types(&own, &["G-single-process"]);
    let early = ["p9 0..1 ok r5=nil", "p1 2..3 ok q:true={1:1}", "p0 4..5 ok i1=1"];
    assert_types(&early, &["G1c-realtime"]);
    let around = ["p0 0..4 ok i1=1", "p1 1..5 ok i2=1", "p2 2..6 ok q:true={1:1}", "p3 3..7 ok q:true={2:1}"];
    assert_types(&around, &["G-nonadjacent"]);
}

#[test]
fn deleted_objects_match_nothing() {
    let deleted = ["p0 0..1 ok i1=1 i2=2", "p1 2..3 ok d1", "p2 4..5 ok q:true={1:1,2:2}"];
    assert_types(&deleted, &["G-single-item-realtime"]);
    // What was returned was read: no predicate is needed to see that somebody overwrote it.
    let skew = ["p0 0..1 ok i1=1 i2=2", "p1 2..4 ok q:true={1:1,2:2} d1", "p2 3..5 ok q:true={1:1,2:2} d2"];
    assert_types(&skew, &["G2-item"]);
    let skew = ["p0 0..1 ok i1=1 i2=1", "p1 2..4 ok q[:=_1]={1:1,2:1} w1=3", "p2 3..5 ok q[:=_1]={1:1,2:1} w2=4"];
    assert_types(&skew, &["G2-item"]);
    // Written so that it matches: as good as inserted.
    let skew = ["p0 0..1 ok i1=1 i2=1", "p1 2..4 ok q[:mod_2_0]={} w1=2", "p2 3..5 ok q[:mod_2_0]={} w2=2"];
    assert_types(&skew, &["G2"]);
    let late = ["p0 0..1 ok i1=1 i2=2", "p1 2..3 ok d1", "p2 4..5 ok q[:=_2]={2:2}", "p3 6..7 ok q:true={2:2}"];
    assert_types(&late, &[]);
}

#[test]
fn what_a_read_shows_by_itself() {
    assert_types(&["p0 0..1 fail i1=1", "p1 2..3 ok r1=1"], &["G1a"]);
    assert_types(&["p0 0..1 fail i1=1", "p1 2..3 ok q:true={1:1}"], &["G1a"]);
    assert_types(&["p0 0..2 ok i1=1 w1=2", "p1 1..3 ok q:true={1:1}"], &["G1b"]);
    assert_types(&["p0 0..1 ok r1=9"], &["garbage-read"]);
    assert_types(&["p0 0..1 ok i1=1", "p1 2..3 ok r1=nil"], &["garbage-read"]);
    let circle = ["p0 0..9 ok i1=1", "p1 1..10 ok r1=2 w1=3", "p2 2..11 ok r1=3 w1=2"];
    assert_types(&circle, &["G1c", "cyclic-versions"]);
}

#[test]
fn questions_without_answer() {
    let code = |lines: &[&str]| {
        let result = check(&history(lines), &Options::default());
        assert_eq!(result.verdict.validity, Validity::Unknown);
        result.verdict.reasons[0].code.clone()
    };
    assert_eq!(code(&[]), "NOTHING_CHECKED");
    assert_eq!(code(&["p0 0..1 ok i1=1"]), "NO_OK_READS");
    assert_eq!(code(&["p0 0..1 ok i1=1", "p1 2..3 ok w1=1 r1=1"]), "DUPLICATE_WRITES");
    assert_eq!(code(&["p0 0..1 ok q[:<_3]={}"]), "UNKNOWN_PREDICATE");
    let foreign = operation_of(0, 0, Some(1), Outcome::Ok, vec![Mop::Append { key: 1, value: 1 }]);
    let result = check(&History::new(vec![foreign]).unwrap(), &Options::default());
    assert_eq!(result.verdict.reasons[0].code, "WRONG_WORKLOAD");
}

const PREDICATES: [&str; 4] = [":true", "[:= 3]", "[:mod 2 1]", "[:mod 3 0]"];

/// What of a thousand times as large values these match, and nothing but multiples of a thousand.
const PREDICATES_OF_THOUSANDS: [&str; 4] = ["[:mod 1000 0]", "[:= 3000]", "[:mod 2000 1000]", "[:mod 3000 0]"];

/// Transactions one after the other, that overlap in time as one likes. With `stale`, some reads see the state before
/// the last transactions.
fn serial(seed: u64, txns: usize, stale: bool) -> History {
    serial_with(seed, txns, stale, (1, PREDICATES), Names::default())
}

/// The same with values so many times as large, and with names besides.
fn serial_with(
    seed: u64,
    txns: usize,
    stale: bool,
    (scale, predicates): (i64, [&str; 4]),
    mut names: Names,
) -> History {
    let mut dice = Dice::new(seed);
    let predicates = predicates.map(|text| names.number(text));
    let of: Vec<predicate::Predicate> = predicates.map(|p| predicate::Predicate::of(p, &names).unwrap()).to_vec();
    let mut states: Vec<BTreeMap<i64, i64>> = vec![(0..2).map(|key| (key, (100 + key) * scale)).collect()];
    let mut gone: BTreeSet<i64> = BTreeSet::new();
    let init = states[0].iter().map(|(key, value)| Mop::Insert { key: *key, value: *value }).collect();
    let mut ops = vec![operation_of(99, 0, Some(1), Outcome::Ok, init)];
    let mut next_value = 0;
    for number in 0..txns {
        let mut state = states[states.len() - 1].clone();
        let past = if stale && dice.roll(3) == 0 { states[dice.roll(states.len())].clone() } else { state.clone() };
        let mut own: BTreeSet<i64> = BTreeSet::new();
        let mut mops = Vec::new();
        for _ in 0..1 + dice.roll(3) {
            let key = dice.roll(4) as i64;
            next_value += scale;
            match dice.roll(6) {
                0 if !state.contains_key(&key) && !gone.contains(&key) => {
                    state.insert(key, next_value);
                    own.insert(key);
                    mops.push(Mop::Insert { key, value: next_value });
                }
                1 if state.contains_key(&key) => {
                    state.insert(key, next_value);
                    own.insert(key);
                    mops.push(Mop::Write { key, value: next_value });
                }
                2 if state.contains_key(&key) && dice.roll(3) == 0 => {
                    state.remove(&key);
                    own.insert(key);
                    gone.insert(key);
                    mops.push(Mop::Delete { key });
                }
                3 => {
                    let value = if own.contains(&key) { state.get(&key) } else { past.get(&key) };
                    mops.push(Mop::Read { key, value: Some(value.copied()) });
                }
                _ => {
                    let which = dice.roll(predicates.len());
                    let matches = |(key, value): (i64, i64)| of[which].matches(value, &names).then_some((key, value));
                    let seen = (0..4).filter_map(|key| {
                        let from = if own.contains(&key) { &state } else { &past };
                        from.get(&key).and_then(|value| matches((key, *value)))
                    });
                    mops.push(Mop::ReadPredicate { predicate: predicates[which], matched: Some(seen.collect()) });
                }
            }
        }
        // Each takes effect at its own moment, within its time.
        let moment = 10 + number as u64 * 10;
        let (before, after) = (dice.roll(30) as u64, dice.roll(30) as u64);
        let invoke = moment.saturating_sub(before).max(2) * 100 + number as u64 * 2;
        ops.push(operation_of(
            number as i64,
            invoke,
            Some((moment + after) * 100 + number as u64 * 2 + 1),
            Outcome::Ok,
            mops,
        ));
        states.push(state);
    }
    ops.sort_by_key(|op| op.invoke_seq);
    History::new(ops).unwrap().with_names(std::sync::Arc::new(names))
}

/// Whether some order of the transactions, which keeps real time if wanted, explains every read.
fn explained(
    ops: &[Operation],
    names: &Names,
    real_time: bool,
    placed: &mut Vec<usize>,
    state: &BTreeMap<i64, i64>,
) -> bool {
    if placed.len() == ops.len() {
        return true;
    }
    for at in (0..ops.len()).filter(|at| !placed.contains(at)).collect::<Vec<_>>() {
        let waits = |other: usize| !placed.contains(&other) && real_time && ops[other].end_seq() < ops[at].invoke_seq;
        // The initial transaction comes first in any case.
        if (at != 0 && placed.is_empty()) || (0..ops.len()).any(waits) {
            continue;
        }
        let mut state = state.clone();
        let fits = mops(&ops[at]).iter().all(|mop| match mop {
            Mop::Insert { key, value } => state.insert(*key, *value).is_none(),
            Mop::Write { key, value } => state.insert(*key, *value).is_some(),
            Mop::Delete { key } => state.remove(key).is_some(),
            Mop::Read { key, value } => value == &Some(state.get(key).copied()),
            Mop::ReadPredicate { predicate, matched } => {
                let predicate = predicate::Predicate::of(*predicate, names).unwrap();
                let mut seen: Vec<(i64, i64)> = matched.clone().unwrap();
                seen.sort_unstable();
                let now = state.iter().filter(|(_, value)| predicate.matches(**value, names));
                now.map(|(key, value)| (*key, *value)).collect::<Vec<_>>() == seen
            }
            _ => false,
        });
        if fits {
            placed.push(at);
            if explained(ops, names, real_time, placed, &state) {
                return true;
            }
            placed.pop();
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_serial_is_valid(seed in any::<u64>(), txns in 1..=30_usize) {
        let result = check(&serial(seed, txns, false), &Options::default());
        prop_assert!(result.anomaly_types.is_empty(), "{:#?}", result.findings);
    }

    #[test]
    fn what_an_order_explains_is_not_objected_to(seed in any::<u64>(), txns in 1..=5_usize) {
        let history = serial(seed, txns, true);
        for (real_time, model) in [(true, Model::STRICT_SERIALIZABLE), (false, Model::SERIALIZABLE)] {
            let result = check(&history, &Options { model, ..Options::default() });
            let (ops, start) = (history.ops(), BTreeMap::new());
            if explained(ops, history.names(), real_time, &mut Vec::new(), &start) {
                prop_assert!(!result.is_invalid(), "{:#?} {:#?}", result.findings, history);
            }
        }
    }
}

#[test]
fn most_of_what_no_order_explains_is_found() {
    let (mut broken, mut found) = (0, 0);
    for seed in 0..6_000 {
        let history = serial(seed, 5, true);
        if !explained(history.ops(), history.names(), true, &mut Vec::new(), &BTreeMap::new()) {
            broken += 1;
            found += usize::from(check(&history, &Options::default()).is_invalid());
        }
    }
    // Where a predicate leaves open which version was seen, nothing can be said.
    assert!(broken > 300 && found * 10 > broken * 7, "{found} of {broken}");
}

#[test]
fn findings_in_words() {
    let told = |lines: &[&str]| {
        let result = check(&history(lines), &Options::default());
        let text = result.findings.iter();
        text.map(|finding| format!("{}: {}\n{}\n", finding.id, finding.summary, finding.explanation.join("\n")))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let skew = ["p0 0..2 ok q:true={} i1=1", "p1 1..3 ok q:true={} i2=1"];
    expect_test::expect![[r#"
        G2-0: cycle of 2 transactions: rwp, rwp
        Let:
          T1 = operation 0, process 0, ok: read all with :true as {}; insert 1 at key 1
          T2 = operation 1, process 1, ok: read all with :true as {}; insert 1 at key 2
        Then:
          T1 < T2, because T1 read all with :true when key 2 was nothing, and T2 wrote 1 at key 2 later, which changes what matches
          However, T2 < T1, because T2 read all with :true when key 1 was nothing, and T1 wrote 1 at key 1 later, which changes what matches: a contradiction
    "#]].assert_eq(&told(&skew));
    let missed = ["p0 0..1 ok i1=1", "p1 2..3 ok q:true={}"];
    expect_test::expect![[r#"
        predicate-read-miss-0: key 1: a read of all with :true lacks it, though it always matched
        Let:
          T1 = operation 1, process 1, ok: read all with :true as {}
        Then:
          T1 read all with :true, and key 1 was not among them
          However, it was there from the beginning, and each of its values matches: 1: a contradiction
    "#]]
    .assert_eq(&told(&missed));
    let late = ["p9 0..1 ok r5=nil", "p0 2..3 ok i1=1", "p1 4..5 ok q[:mod_2_1]={}"];
    expect_test::expect![[r#"
        G-single-realtime-0: cycle of 2 transactions: rwp, realtime
        Let:
          T1 = operation 2, process 1, ok: read all with [:mod 2 1] as {}
          T2 = operation 1, process 0, ok: insert 1 at key 1
        Then:
          T1 < T2, because T1 read all with [:mod 2 1] when key 1 was nothing, and T2 wrote 1 at key 1 later, which changes what matches
          However, T2 < T1, because T2 completed before T1 was invoked: a contradiction
    "#]].assert_eq(&told(&late));
}

#[test]
fn contradictions_in_words() {
    let told = |lines: &[&str]| {
        let result = check(&history(lines), &Options::default());
        let finding = &result.findings[0];
        format!(
            "{}: {}\n{}",
            finding.id,
            finding.summary,
            finding.explanation[finding.explanation.len() - 2..].join("\n")
        )
    };
    let cases = [
        told(&["p0 0..1 ok i1=5", "p1 2..3 ok w1=6 r1=nil"]),
        told(&["p0 0..1 ok i1=5", "p1 2..3 ok q[:=_6]={1:5}"]),
        told(&["p0 0..1 ok i1=5", "p1 2..3 ok r1=6 w1=6"]),
        told(&["p0 0..1 ok i1=5", "p1 2..3 ok q:true={} d1"]),
    ];
    expect_test::expect![[r#"
        internal-0: key 1: a transaction found nothing, where it had read or written 6
          T1 found nothing at key 1
          However, T1 had read or written 6 there before that, and it did not change it since: a contradiction
        internal-0: key 1: a read of all with [:= 6] returned 5, which does not match
          T1 read all with [:= 6], and got 5 at key 1
          However, 5 does not match [:= 6]: a contradiction
        future-read-0: key 1: a transaction found 6 before it made it so itself
          T1 found 6 at key 1
          However, nobody but T1 made it so, and only later: a contradiction
        future-read-0: key 1: a transaction found nothing before it made it so itself
          T1 found nothing at key 1
          However, nobody but T1 made it so, and only later: a contradiction"#]]
    .assert_eq(&cases.join("\n"));
}
