//! The sweep against components of the whole graph, however the line is cut.

use super::*;
use crate::transactions::dependencies::{Dependencies, Fan};
use crate::transactions::edges::Grain;
use crate::transactions::rows::TxnRow;
use crate::transactions::txns::{Txns, TxnsBuilder};
use proptest::prelude::*;

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

/// Some processes one operation after the other, events at random; `info`s that were seen, or not.
fn txns(dice: &mut Dice, count: usize, processes: usize) -> Txns {
    let mut open: Vec<Option<usize>> = vec![None; processes];
    let mut names: Vec<i64> = (0..processes as i64).collect();
    let mut rows: Vec<(i64, u64, Option<u64>, Outcome)> = Vec::new();
    let mut seq = 0;
    while rows.len() < count || open.iter().any(Option::is_some) {
        let process = dice.below(processes);
        seq += 1 + dice.below(2) as u64;
        match open[process].take() {
            None if rows.len() < count => {
                open[process] = Some(rows.len());
                rows.push((names[process], seq, None, Outcome::Info));
            }
            None => {}
            Some(row) => match dice.below(10) {
                0 => names[process] += processes as i64,
                1 => (rows[row].2, rows[row].3) = (Some(seq), Outcome::Fail),
                _ => (rows[row].2, rows[row].3) = (Some(seq), Outcome::Ok),
            },
        }
    }
    let mut builder = TxnsBuilder::default();
    for (op_id, (process, invoke, complete, outcome)) in (0..).zip(rows) {
        builder.push(TxnRow { op_id, process, invoke_seq: invoke, complete_seq: complete, outcome });
    }
    let mut txns = builder.finish();
    for txn in 0..count as u32 {
        if txns.outcome(txn) == Outcome::Info && dice.below(2) == 0 {
            let seen = txns.invoke(txn) + dice.below(6) as u32;
            txns.note_seen(txn, seen);
        }
    }
    txns
}

/// Mostly edges between transactions that stand near each other, mostly forward; a few far ones.
fn dependencies(dice: &mut Dice, txns: &Txns) -> Dependencies {
    let count = txns.len();
    let mut dependencies = Dependencies::default();
    for _ in 0..count + dice.below(count) {
        let from = dice.below(count);
        let far = dice.below(20) == 0;
        let to =
            if far { dice.below(count) } else { (from + dice.below(6)).saturating_sub(dice.below(3)).min(count - 1) };
        let edge = (from as u32, to as u32);
        if from == to || !txns.is_possible(edge.0) || !txns.is_possible(edge.1) {
            continue;
        }
        [&mut dependencies.ww, &mut dependencies.wr, &mut dependencies.rw][dice.below(3)].push(edge);
    }
    if dice.below(4) == 0 {
        let mut some =
            || -> Vec<u32> { (0..count as u32).filter(|txn| txns.is_possible(*txn) && dice.below(4) == 0).collect() };
        let (readers, appenders) = (some(), some());
        dependencies.fans.push(Fan { readers, appenders });
    }
    dependencies
}

/// Components by reachability, with every edge of the order written out.
fn whole(txns: &Txns, dependencies: &Dependencies, order: Order, skip_direct: bool) -> Vec<Vec<u32>> {
    let count = txns.len();
    let mut reach = vec![vec![false; count]; count];
    let mut data: Vec<(u32, u32)> =
        [&dependencies.ww, &dependencies.wr, &dependencies.rw].into_iter().flatten().copied().collect();
    data.retain(|(from, to)| !(skip_direct && txns.precedes(*to, *from)));
    for fan in &dependencies.fans {
        data.extend(fan.readers.iter().flat_map(|from| fan.appenders.iter().map(move |to| (*from, *to))));
    }
    data.iter().filter(|(from, to)| from != to).for_each(|(from, to)| reach[*from as usize][*to as usize] = true);
    for from in 0..count as u32 {
        for to in (0..count as u32).filter(|to| txns.is_possible(*to) && txns.precedes(from, *to)) {
            let counts = match order {
                Order::Data => false,
                Order::Process => txns.process(from) == txns.process(to),
                Order::Realtime => true,
            };
            reach[from as usize][to as usize] |= counts;
        }
    }
    for via in 0..count {
        let onward = reach[via].clone();
        for row in reach.iter_mut().filter(|row| row[via]) {
            row.iter_mut().zip(&onward).for_each(|(to, further)| *to |= further);
        }
    }
    let mut parts: Vec<Vec<u32>> = (0..count)
        .filter(|node| reach[*node][*node])
        .map(|node| (0..count).filter(|other| reach[node][*other] && reach[*other][node]).map(|n| n as u32).collect())
        .collect();
    parts.sort();
    parts.dedup();
    parts
}

fn swept(txns: &Txns, dependencies: &Dependencies, order: Order, grain: Grain) -> Vec<Vec<u32>> {
    let mut edges = Edges::with_grain(txns, order == Order::Realtime, grain);
    let copy = |edges: &Vec<(u32, u32)>| edges.clone();
    edges.add(Dependencies {
        ww: copy(&dependencies.ww),
        wr: copy(&dependencies.wr),
        rw: copy(&dependencies.rw),
        fans: dependencies.fans.clone(),
    });
    let parts = cyclic_parts(&edges, order, order != Order::Realtime).unwrap();
    let mut components: Vec<Vec<u32>> = Vec::new();
    for (node, part) in parts.members.iter().filter(|(node, _)| edges.is_txn(*node)) {
        components.resize_with(components.len().max(*part as usize + 1), Vec::new);
        components[*part as usize].push(*node);
    }
    components.sort();
    components
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn every_cut_of_the_line_gives_the_components_of_the_whole(seed in any::<u64>(), count in 2..40_usize, processes in 1..8_usize) {
        let dice = &mut Dice(seed);
        let txns = txns(dice, count, processes);
        let dependencies = dependencies(dice, &txns);
        for order in [Order::Data, Order::Process, Order::Realtime] {
            let expected = whole(&txns, &dependencies, order, order == Order::Realtime);
            for (bucket_txns, kept_min) in [(1000, 1000), (1, 0), (1, 1000), (3, 5), (5, 8)] {
                let grain = Grain { bucket_txns, buckets_max: 1000, kept_min };
                prop_assert_eq!(&swept(&txns, &dependencies, order, grain), &expected, "{:?} {:?}", order, grain);
            }
        }
    }
}

#[test]
fn the_histories_of_these_tests_have_cycles_and_are_not_all_one() {
    let (mut none, mut some, mut several) = (0, 0, 0);
    for seed in 0..300 {
        let dice = &mut Dice(seed * 7919);
        let txns = txns(dice, 30, 5);
        let dependencies = dependencies(dice, &txns);
        match whole(&txns, &dependencies, Order::Realtime, true).len() {
            0 => none += 1,
            1 => some += 1,
            _ => several += 1,
        }
    }
    assert!(none > 10 && some > 10 && several > 10, "{none} without cycle, {some} with one component, {several} more");
}
