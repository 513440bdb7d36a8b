//! Named histories, an oracle that tries everything, and invariances.

use super::patterns;
use super::prepare::KeyHistory;
use super::search::{self, Limits};
use super::zones::{self, Zones};
use super::*;
use crate::op::Operation;

mod generate;
mod named;
mod oracle;

use generate::{Dice, Shape};

/// An operation on `key`, with its own process.
fn operation(process: i64, call: Call, span: (u64, Option<u64>), outcome: Outcome) -> Operation {
    let at = |seq: u64| seq as i64 * 1_000_000;
    Operation {
        op_id: 0,
        process,
        node: None,
        call,
        invoke_seq: span.0,
        complete_seq: span.1,
        invoke_ns: at(span.0),
        complete_ns: span.1.map(at),
        outcome,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    }
}

const WIDE: Limits = Limits { states: 50_000_000, bytes: 1 << 30, witness: true, exact_states: false };

fn members(history: &History) -> Vec<u32> {
    (0..history.len() as u32).collect()
}

/// Whether a search on its own finds the key linearizable.
fn searched(key: &KeyHistory, limits: Limits) -> bool {
    match search::search(key, limits).outcome {
        search::Outcome::Linearizable(_) => true,
        search::Outcome::Violation(_) => false,
        search::Outcome::Spent { .. } => panic!("the budget is wide enough"),
    }
}

/// One line an operation.
fn brief(history: &History) -> String {
    let line = |op: &Operation| {
        let Operation { op_id, call, invoke_seq, complete_seq, outcome, .. } = op;
        format!("{op_id}: {call:?} {} {invoke_seq}..{complete_seq:?}\n", outcome.name())
    };
    history.ops().iter().map(line).collect()
}

/// Compares every path through the checker with the oracle on one single-key history; returns what the oracle says.
fn compare(history: &History, options: &Options) -> bool {
    let expected = oracle::is_linearizable(history.ops(), options);
    let key = KeyHistory::new(history.ops(), &members(history), options);
    let context = || format!("{}{options:?}\noracle: {expected}", brief(history));
    let found = search::search(&key, WIDE).outcome;
    match &found {
        search::Outcome::Linearizable(Some(order)) => {
            assert!(expected, "the search found an order: {}", context());
            let order: Vec<u64> = order.iter().map(|&op| op_id(history, &key, op)).collect();
            oracle::replay(history.ops(), &order, options)
                .unwrap_or_else(|wrong| panic!("{wrong}: {order:?} {}", context()));
        }
        search::Outcome::Violation(violation) => {
            assert!(!expected, "the search found no order: {}", context());
            let prefix = minimise::prefix(&key, violation);
            assert!(!searched(&prefix, WIDE), "the prefix is broken too: {}", context());
            let keep = (0..prefix.ops.len() as u32).collect();
            let small = minimise::minimise(&prefix, keep).expect("a part is broken");
            let ops: Vec<Operation> =
                small.part.ops.iter().map(|op| history.ops()[op.source as usize].clone()).collect();
            // In the prefix the operations still in flight count as unknown, which only relaxes the part.
            assert!(!oracle::is_linearizable(&ops, options), "the small part is broken too: {ops:#?} {}", context());
        }
        other => panic!("{other:?} {}", context()),
    }
    assert_eq!(searched(&key, Limits { exact_states: true, ..WIDE }), expected, "exact states: {}", context());
    if let Some(pattern) = patterns::find(&key) {
        assert!(!expected, "{pattern:?} is no contradiction: {}", context());
    }
    match zones::check(&key) {
        Zones::NotApplicable => {}
        Zones::Linearizable => assert!(expected, "zones: {}", context()),
        Zones::Conflict(_) => assert!(!expected, "zones: {}", context()),
    }
    let result = check_register(history, options);
    assert_eq!(result.is_invalid(), !expected, "{}", context());
    assert_eq!(result.findings.len(), usize::from(!expected));
    expected
}

/// Counts both answers, so that a test that only ever sees one of them fails.
fn compare_many(rounds: u64, seed: u64, shape: &Shape) {
    let mut broken = 0_u64;
    for round in 0..rounds {
        let mut dice = Dice::new(seed.wrapping_add(round));
        let (history, options) = generate::history(&mut dice, shape);
        broken += u64::from(!compare(&history, &options));
    }
    assert!(broken * 20 > rounds && broken * 20 < rounds * 19, "{broken} of {rounds} are broken: the test says little");
}

#[test]
fn small_histories_agree_with_the_oracle() {
    compare_many(60_000, 1, &Shape { ops: 6, values: 3, unique: false, cas: true, info: 25, lies: 40 });
}

#[test]
fn small_histories_without_info_agree_with_the_oracle() {
    compare_many(30_000, 2_000_000, &Shape { ops: 6, values: 3, unique: false, cas: true, info: 0, lies: 40 });
}

#[test]
fn small_histories_of_unique_values_agree_with_the_oracle() {
    compare_many(30_000, 4_000_000, &Shape { ops: 7, values: 9, unique: true, cas: false, info: 15, lies: 40 });
}

#[test]
fn wider_histories_agree_with_the_oracle() {
    compare_many(6_000, 6_000_000, &Shape { ops: 12, values: 3, unique: false, cas: true, info: 20, lies: 30 });
    compare_many(6_000, 7_000_000, &Shape { ops: 12, values: 2, unique: false, cas: false, info: 20, lies: 30 });
    compare_many(4_000, 8_000_000, &Shape { ops: 12, values: 9, unique: true, cas: true, info: 10, lies: 30 });
}

/// Dropping a read, or lengthening an operation's interval, never breaks a linearizable history; shortening it never mends one.
#[test]
fn relaxing_a_history_keeps_it_linearizable() {
    let shape = Shape { ops: 9, values: 3, unique: false, cas: true, info: 15, lies: 15 };
    for round in 0..4_000 {
        let mut dice = Dice::new(9_000_000 + round);
        let (history, options) = generate::history(&mut dice, &shape);
        if check_register(&history, &options).is_invalid() {
            continue;
        }
        let victim = dice.below(history.len() as u64);
        let without = history.only(|op| op.op_id != victim || !matches!(op.call, Call::Read { .. }));
        assert!(!check_register(&without, &options).is_invalid(), "{history:#?} without {victim}");
        let mut ops = history.ops().to_vec();
        let last = ops.iter().filter_map(|op| op.complete_seq).max().unwrap_or(0);
        let op = &mut ops[victim as usize];
        op.complete_seq = op.complete_seq.map(|_| last + 1);
        let longer = History::new(ops).expect("the order of the rest is unchanged");
        assert!(!check_register(&longer, &options).is_invalid(), "{history:#?} with {victim} longer");
    }
}

/// Renaming keys, processes and values, and judging keys together or alone, changes nothing.
#[test]
fn keys_are_judged_independently() {
    let shape = Shape { ops: 6, values: 3, unique: false, cas: true, info: 20, lies: 25 };
    for round in 0..1_500 {
        let mut dice = Dice::new(11_000_000 + round);
        let mut options = Options { threads: 1 + (round % 3) as usize, ..Options::default() };
        let mut all = Vec::new();
        let mut broken = Vec::new();
        for key in 0..5 {
            let (history, own) = generate::history(&mut dice, &shape);
            options.initial = None;
            let _ = own;
            if check_register(&history, &options).is_invalid() {
                broken.push(key);
            }
            for op in history.ops() {
                let mut op = op.clone();
                op.process += key * 100;
                // Interleave the keys: the order within each is what counts.
                op.invoke_seq = op.invoke_seq * 5 + key as u64;
                op.complete_seq = op.complete_seq.map(|seq| seq * 5 + key as u64);
                match &mut op.call {
                    Call::Read { key: at, value } => {
                        *at = key;
                        *value = value.map(|seen| seen.map(|seen| seen * 7 + 100));
                    }
                    Call::Write { key: at, value } => (*at, *value) = (key, *value * 7 + 100),
                    Call::Cas { key: at, expected, value } => {
                        (*at, *expected, *value) = (key, *expected * 7 + 100, *value * 7 + 100);
                    }
                    _ => {}
                }
                all.push(op);
            }
        }
        let result = check_register(&History::new(all).expect("keys were interleaved in order"), &options);
        let found: Vec<i64> = result.findings.iter().filter_map(|finding| finding.key).collect();
        assert_eq!(found, broken, "round {round}");
    }
}

#[test]
fn a_spent_budget_is_said() {
    let mut dice = Dice::new(5);
    let shape = Shape { ops: 12, values: 2, unique: false, cas: true, info: 0, lies: 0 };
    let (history, mut options) = generate::history(&mut dice, &shape);
    options.budget_states = 2;
    let result = check_register(&history, &options);
    assert_eq!(result.verdict.validity, Validity::Unknown);
    assert_eq!(result.verdict.reasons[0].code, "BUDGET_SPENT");
    assert!(result.verdict.reasons[0].text.starts_with("key 0: the budget (2 configurations) was spent after "));
}

/// A long history that is linearizable by construction: every algorithm must say so, and the witness must replay.
#[test]
fn long_histories_made_by_a_register_are_linearizable() {
    for (seed, unique) in [(1, false), (2, true), (3, false)] {
        let history = generate::long(&mut Dice::new(seed), 5_000, 10, if unique { i64::MAX } else { 5 }, true);
        let (result, witness) = check_register_with_witness(&history, &Options::default());
        assert_eq!(result.verdict, Verdict::valid());
        oracle::replay(history.ops(), &witness[&0], &Options::default()).expect("the witness replays");
        assert_eq!(check_register(&history, &Options::default()).verdict, Verdict::valid());
    }
}
