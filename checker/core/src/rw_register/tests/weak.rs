//! Weak levels: each by hand, and against every order of all transactions.

use super::super::weak::Depth;
use super::oracle::tiny;
use super::*;
use crate::rw_register::weak::{Rule, examine};

pub(super) fn index(history: &History) -> Index {
    let mut intake = Intake::default();
    rows::each_of(history.ops(), |row, mops| intake.push(row, mops.unwrap_or_default()));
    let (mut index, _) = Index::resolve(&mut intake.finish(), &mut Vec::new(), |_, _, (): &mut ()| ()).unwrap();
    index.complete();
    index
}

const RULES: [(Rule, bool); 6] = [
    (Rule::Monotonic, false),
    (Rule::Atomic, false),
    (Rule::Causal, false),
    (Rule::Monotonic, true),
    (Rule::Atomic, true),
    (Rule::Causal, true),
];

#[track_caller]
fn keeps(lines: &[&str], expected: [bool; 6]) {
    let history = history(lines);
    let index = index(&history);
    let found =
        RULES.map(|(rule, processes)| examine(&index, rule, processes, None, Depth::All).unwrap().cycles.is_empty());
    assert_eq!(found, expected);
}

#[test]
fn each_rule_by_hand() {
    // All processes differ unless it is about them.
    let skew = ["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w1=2 w2=2", "p2 4..5 ok r1=1 r2=2"];
    keeps(&skew, [true, false, false, true, false, false]);
    let monotonic = ["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w1=2 w2=2", "p2 4..5 ok r2=2 r1=1"];
    keeps(&monotonic, [false; 6]);
    let unordered = ["p0 0..1 ok w1=1", "p1 2..3 ok w1=2 w2=2", "p2 4..5 ok r1=1 r2=2"];
    keeps(&unordered, [true; 6]);
    let causal = ["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w1=2", "p2 4..5 ok r1=2 w2=1", "p3 6..7 ok r2=1 r1=1"];
    keeps(&causal, [true, true, false, true, true, false]);
    let own = ["p0 0..1 ok w1=1", "p0 2..3 ok r1=nil"];
    keeps(&own, [true, true, true, true, false, false]);
    // The initial version comes before what others wrote, also through others.
    let initial = ["p0 0..1 ok w7=1", "p1 2..3 ok r7=1", "p1 4..5 ok w8=2", "p2 6..7 ok r8=2", "p2 8..9 ok r7=nil"];
    keeps(&initial, [true, true, true, true, true, false]);
    let again = ["p0 0..1 ok w1=1", "p1 2..3 ok r1=1 w1=2 w2=2", "p2 4..5 ok r1=1 r2=2 r1=1"];
    keeps(&again, [false; 6]);
}

/// Whether some order of all transactions that took effect explains what was read, straight from the definition.
fn explained(index: &Index, rule: Rule, processes: bool) -> bool {
    let columns = &index.columns;
    let txns: Vec<u32> = (0..columns.txns.len() as u32).filter(|txn| index.is_effective(*txn)).collect();
    let writes = |txn: u32, key: u32| {
        columns.mops(txn).any(|mop| columns.is_write(mop) && columns.key(mop) == key && index.version(mop) != u32::MAX)
    };
    let source = |mop: usize| match index.version(mop) {
        u32::MAX => None,
        0 => Some(None),
        _ => Some(Some(columns.txn(index.write_of(mop) as usize))),
    };
    let reads = |txn: u32| {
        columns.mops(txn).filter(|mop| columns.is_foreign_read(*mop)).filter_map(move |mop| Some((mop, source(mop)?)))
    };
    let follows = |a: u32, b: u32| processes && columns.txns.process(a) == columns.txns.process(b) && a < b;
    let direct = |a: u32, b: u32| reads(b).any(|(_, from)| from == Some(a)) || follows(a, b);
    let mut depends: Vec<(u32, u32)> = Vec::new();
    for a in &txns {
        depends.extend(txns.iter().filter(|b| a != *b && direct(*a, **b)).map(|b| (*a, *b)));
    }
    let base = depends.clone();
    loop {
        let more: Vec<(u32, u32)> = depends
            .iter()
            .flat_map(|(a, b)| depends.iter().filter(move |(c, _)| b == c).map(move |(_, d)| (*a, *d)))
            .filter(|pair| !depends.contains(pair))
            .collect();
        if more.is_empty() {
            break;
        }
        depends.extend(more);
        depends.sort_unstable();
        depends.dedup();
    }
    // (before, after): what the rule demands; `None` stands for the initial version.
    let mut demands: Vec<(u32, Option<u32>)> = Vec::new();
    for reader in &txns {
        for (mop, from) in reads(*reader) {
            for other in txns.iter().filter(|other| Some(**other) != from && *other != reader) {
                let saw = match rule {
                    Rule::Monotonic => reads(*reader).any(|(earlier, from)| earlier < mop && from == Some(*other)),
                    Rule::Atomic => direct(*other, *reader),
                    Rule::Causal => depends.contains(&(*other, *reader)),
                };
                if saw && writes(*other, columns.key(mop)) {
                    demands.push((*other, from));
                }
            }
        }
    }
    let mut orders = Vec::new();
    permute(&txns, &mut Vec::new(), &mut orders);
    orders.iter().any(|order| {
        let place = |txn: u32| order.iter().position(|one| *one == txn);
        base.iter().all(|(a, b)| place(*a) < place(*b))
            && demands.iter().all(|(before, after)| after.is_some_and(|after| place(*before) < place(after)))
    })
}

fn permute(left: &[u32], taken: &mut Vec<u32>, found: &mut Vec<Vec<u32>>) {
    if left.is_empty() {
        found.push(taken.clone());
    }
    for one in left {
        let rest: Vec<u32> = left.iter().copied().filter(|other| other != one).collect();
        taken.push(*one);
        permute(&rest, taken, found);
        taken.pop();
    }
}

#[test]
fn agrees_with_every_order_of_transactions() {
    let mut dice = Dice::new(21);
    let (mut broken, mut circular) = ([0; 6], 0);
    for _ in 0..15_000 {
        let history = tiny(&mut dice);
        let index = index(&history);
        for (at, (rule, processes)) in RULES.into_iter().enumerate() {
            let found = examine(&index, rule, processes, None, Depth::All).unwrap();
            let expected = explained(&index, rule, processes);
            // Where reads contradict each other or the processes by themselves no order explains the others either.
            if found.contradictory {
                assert!(!expected, "{rule:?} {processes}\n{}", oracle::shown(&history));
                circular += 1;
                continue;
            }
            assert_eq!(found.cycles.is_empty(), expected, "{rule:?} {processes}\n{}", oracle::shown(&history));
            broken[at] += u32::from(!found.cycles.is_empty());
        }
    }
    assert!(broken.iter().all(|count| *count > 150) && circular > 500, "{broken:?} {circular}");
}
