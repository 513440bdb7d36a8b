//! Right histories are valid, and stop being so when a read is spoiled.

use super::simulated::{Shape, simulate};
use super::*;
use proptest::prelude::*;

fn shape() -> impl Strategy<Value = Shape> {
    (1..40_usize, 1..8_usize, 1..5_usize, 1..5_usize, 0..30_usize, 0..30_usize, 20..80_usize).prop_map(
        |(ops, clients, keys, mops_max, fail_percent, info_percent, read_percent)| Shape {
            ops,
            clients,
            keys,
            mops_max,
            fail_percent,
            info_percent,
            read_percent,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_strictly_serializable_store_shows_is_valid(seed in any::<u64>(), shape in shape()) {
        let history = simulate(seed, shape);
        let result = check(&history, &Options::default());
        prop_assert!(result.anomaly_types.is_empty(), "{:#?}\n{:#?}", result.findings, history);
        prop_assert!(!result.is_invalid());
        prop_assert_eq!(result.ops_checked, shape.ops as u64);
    }

    #[test]
    fn a_spoiled_read_is_noticed(seed in any::<u64>(), spoil in 0..3_usize) {
        let shape = Shape {
            ops: 40, clients: 4, keys: 2, mops_max: 3, fail_percent: 3, info_percent: 3, read_percent: 50,
        };
        let history = simulate(seed, shape);
        let mut dice = Dice::new(seed);
        let spoiled = match spoil {
            0 => rewound(&history, &mut dice),
            1 => altered(&history, &mut dice, |list, dice| { list.remove(dice.roll(list.len() - 1)); }),
            _ => altered(&history, &mut dice, |list, dice| {
                let at = dice.roll(list.len() - 1);
                list.swap(at, at + 1);
            }),
        };
        if let Some(spoiled) = spoiled {
            let result = check(&spoiled, &Options::default());
            prop_assert!(result.is_invalid(), "{spoiled:#?}");
            prop_assert!(!result.findings.is_empty());
        }
    }
}

/// Every ok read: operation, micro-operation, list.
fn ok_reads(history: &History) -> Vec<(usize, usize, i64, Vec<i64>)> {
    let mut reads = Vec::new();
    for (at, op) in history.ops().iter().enumerate().filter(|(_, op)| op.outcome == Outcome::Ok) {
        for (place, mop) in explain::mops(op).iter().enumerate() {
            if let Mop::ReadList { key, list: Some(list) } = mop {
                reads.push((at, place, *key, list.clone()));
            }
        }
    }
    reads
}

fn replace(history: &History, at: usize, place: usize, list: Vec<i64>) -> History {
    let mut ops = history.ops().to_vec();
    let Call::Txn(mops) = &mut ops[at].call else { panic!("no transaction") };
    let Mop::ReadList { list: slot, .. } = &mut mops[place] else { panic!("no read") };
    *slot = Some(list);
    History::new(ops).unwrap()
}

/// A read put back to before an append that had been acknowledged before the read was invoked.
fn rewound(history: &History, dice: &mut Dice) -> Option<History> {
    let acknowledged = |key: i64, element: i64, before: u64| {
        history.ops().iter().any(|op| {
            op.outcome == Outcome::Ok
                && op.end_seq() < before
                && explain::mops(op).contains(&Mop::Append { key, value: element })
        })
    };
    let mut choices = Vec::new();
    for (at, place, key, list) in ok_reads(history) {
        let invoke = history.ops()[at].invoke_seq;
        for cut in 0..list.len() {
            if list[cut..].iter().any(|element| acknowledged(key, *element, invoke)) {
                choices.push((at, place, list[..cut].to_vec()));
            }
        }
    }
    let (at, place, list) = choices.get(dice.roll(choices.len().max(1)))?.clone();
    Some(replace(history, at, place, list))
}

/// A read changed in the middle, where another operation's read saw as much.
fn altered(history: &History, dice: &mut Dice, change: impl Fn(&mut Vec<i64>, &mut Dice)) -> Option<History> {
    let reads = ok_reads(history);
    let seen_again = |read: &&(usize, usize, i64, Vec<i64>)| {
        read.3.len() > 1
            && reads.iter().any(|other| other.0 != read.0 && other.2 == read.2 && other.3.len() >= read.3.len())
    };
    let choices: Vec<_> = reads.iter().filter(seen_again).collect();
    let (at, place, _, list) = (*choices.get(dice.roll(choices.len().max(1)))?).clone();
    let mut list = list;
    change(&mut list, dice);
    Some(replace(history, at, place, list))
}

#[test]
fn enough_histories_can_be_spoiled() {
    let shape = Shape { ops: 40, clients: 4, keys: 2, mops_max: 3, fail_percent: 3, info_percent: 3, read_percent: 50 };
    let spoiled = (0..1000).filter(|seed| rewound(&simulate(*seed, shape), &mut Dice::new(*seed)).is_some()).count();
    assert!(spoiled > 950, "{spoiled}");
}
