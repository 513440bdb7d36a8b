//! An independent judge for tiny histories: tries every order of the writes of every key, straight from the definitions.

use super::*;
use crate::consistency::Order;
use std::collections::{BTreeMap, BTreeSet};

/// A model as the judge knows it: which cycles with rw steps count, and the order of the history that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) name: &'static str,
    rw: Rw,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rw {
    None,
    AfterWr,
    Single,
    Nonadjacent,
    All,
}

pub(super) const LEVELS: [Level; 11] = [
    Level { name: "read-committed", rw: Rw::None, order: Order::Data },
    Level { name: "strong-session-read-committed", rw: Rw::None, order: Order::Process },
    Level { name: "strong-read-committed", rw: Rw::None, order: Order::Realtime },
    Level { name: "snapshot-isolation", rw: Rw::Nonadjacent, order: Order::Data },
    Level { name: "strong-session-snapshot-isolation", rw: Rw::Nonadjacent, order: Order::Process },
    Level { name: "strong-snapshot-isolation", rw: Rw::Nonadjacent, order: Order::Realtime },
    Level { name: "serializable", rw: Rw::All, order: Order::Data },
    Level { name: "strong-session-serializable", rw: Rw::All, order: Order::Process },
    Level { name: "strict-serializable", rw: Rw::All, order: Order::Realtime },
    Level { name: "prefix", rw: Rw::AfterWr, order: Order::Data },
    Level { name: "parallel-snapshot-isolation", rw: Rw::Single, order: Order::Data },
];

/// What the caller assumes of the order of the versions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Assume {
    Nothing,
    Sequential,
    Linearizable,
}

/// Reads (key, value) and last writes of a transaction, as others can meet them.
#[derive(Clone, Debug, Default)]
struct Txn {
    reads: BTreeMap<i64, Option<i64>>,
    writes: BTreeMap<i64, i64>,
    /// Further reads.
    again: Vec<(i64, i64)>,
}

/// Versions of a key and their writers, the first one first.
type VersionOrder = Vec<(i64, usize)>;

pub(super) struct Judge<'h> {
    ops: &'h [Operation],
    txns: Vec<Txn>,
    /// Whether some read by itself is wrong at every level.
    broken: bool,
    /// The same, but only from read-atomic on.
    internal: bool,
    effective: Vec<bool>,
}

impl<'h> Judge<'h> {
    pub(super) fn new(history: &'h History) -> Self {
        let ops = history.ops();
        let mut judge = Self { ops, txns: Vec::new(), broken: false, internal: false, effective: Vec::new() };
        let mut writers: BTreeMap<(i64, i64), (usize, bool)> = BTreeMap::new();
        for (at, op) in ops.iter().enumerate() {
            let mops = words::mops(op);
            for (place, mop) in mops.iter().enumerate() {
                if let Mop::Write { key, value } = mop {
                    let last = !mops[place + 1..].iter().any(|m| matches!(m, Mop::Write { key: k, .. } if k == key));
                    writers.insert((*key, *value), (at, last));
                }
            }
        }
        judge.effective = ops.iter().map(|op| op.outcome == Outcome::Ok).collect();
        for (at, op) in ops.iter().enumerate() {
            let mut txn = Txn::default();
            let mut state: BTreeMap<i64, Option<i64>> = BTreeMap::new();
            for mop in words::mops(op) {
                match mop {
                    Mop::Write { key, value } => {
                        state.insert(*key, Some(*value));
                        txn.writes.insert(*key, *value);
                    }
                    Mop::Read { key, value: Some(value) } if op.outcome == Outcome::Ok => {
                        if let Some(value) = value {
                            match writers.get(&(*key, *value)) {
                                None => judge.broken = true,
                                Some((writer, last)) if *writer != at => {
                                    judge.broken |= !last || ops[*writer].outcome == Outcome::Fail;
                                    judge.effective[*writer] |= ops[*writer].outcome == Outcome::Info;
                                }
                                Some(_) => judge.broken |= !state.contains_key(key),
                            }
                        }
                        if let Some(value) = value.filter(|_| state.contains_key(key)) {
                            txn.again.push((*key, value));
                        }
                        match state.insert(*key, *value) {
                            Some(expected) => judge.internal |= expected != *value,
                            None => {
                                txn.reads.insert(*key, *value);
                            }
                        }
                    }
                    _ => {}
                }
            }
            judge.txns.push(txn);
        }
        judge
    }

    fn orders_of_key(&self, key: i64, assume: Assume) -> Vec<VersionOrder> {
        let writers = self.txns.iter().enumerate().filter(|(at, _)| self.effective[*at]);
        let versions: Vec<(i64, usize)> = writers.filter_map(|(at, txn)| Some((*txn.writes.get(&key)?, at))).collect();
        let mut orders = Vec::new();
        permutations(versions, &mut Vec::new(), &mut orders);
        orders.retain(|order| self.is_allowed(key, order, assume));
        orders
    }

    fn is_allowed(&self, key: i64, order: &[(i64, usize)], assume: Assume) -> bool {
        let rank = |value: Option<i64>| match value {
            None => Some(0),
            Some(value) => order.iter().position(|version| version.0 == value).map(|place| place + 1),
        };
        let met = |at: usize| -> Vec<usize> {
            let read = self.txns[at].reads.get(&key).and_then(|value| rank(*value));
            let write = self.txns[at].writes.get(&key).and_then(|value| rank(Some(*value)));
            read.into_iter().chain(write).collect()
        };
        let before = |a: usize, b: usize| match assume {
            Assume::Nothing => false,
            Assume::Sequential => self.precedes(a, b, Order::Process),
            Assume::Linearizable => self.precedes(a, b, Order::Realtime),
        };
        let all = 0..self.txns.len();
        all.clone().filter(|at| self.effective[*at]).all(|a| {
            all.clone()
                .filter(|at| self.effective[*at] && before(a, *at))
                .all(|b| met(a).iter().all(|first| met(b).iter().all(|second| first <= second)))
        })
    }

    fn precedes(&self, a: usize, b: usize, order: Order) -> bool {
        let (a, b) = (&self.ops[a], &self.ops[b]);
        let ended = a.outcome == Outcome::Ok && a.complete_seq.is_some_and(|end| end < b.invoke_seq);
        match order {
            Order::Data => false,
            Order::Process => ended && a.process == b.process,
            Order::Realtime => ended,
        }
    }

    /// Whether some order of all versions satisfies the level.
    pub(super) fn holds(&self, level: Level, assume: Assume) -> bool {
        if self.broken || (self.internal && level.rw != Rw::None) {
            return false;
        }
        let keys: BTreeSet<i64> =
            self.txns.iter().flat_map(|txn| txn.reads.keys().chain(txn.writes.keys())).copied().collect();
        let mut per_key: Vec<(i64, Vec<VersionOrder>)> = Vec::new();
        for key in keys {
            per_key.push((key, self.orders_of_key(key, assume)));
        }
        let mut chosen = vec![0; per_key.len()];
        if per_key.iter().any(|(_, orders)| orders.is_empty()) {
            return false;
        }
        loop {
            let orders = per_key.iter().zip(&chosen).map(|((key, orders), at)| (*key, &orders[*at]));
            if self.fits(level, &orders.collect::<Vec<_>>()) {
                return true;
            }
            let Some(next) = (0..chosen.len()).find(|key| chosen[*key] + 1 < per_key[*key].1.len()) else {
                return false;
            };
            chosen[..next].fill(0);
            chosen[next] += 1;
        }
    }

    fn fits(&self, level: Level, orders: &[(i64, &Vec<(i64, usize)>)]) -> bool {
        let count = self.txns.len();
        let mut strong = vec![vec![false; count]; count];
        let mut weak = vec![vec![false; count]; count];
        // Who read from whom, by itself.
        let mut seen_by = vec![vec![false; count]; count];
        let all = || (0..count).filter(|at| self.effective[*at]);
        for a in all() {
            for b in all() {
                strong[a][b] |= self.precedes(a, b, level.order);
            }
        }
        for (key, order) in orders {
            for (place, (_, writer)) in order.iter().enumerate() {
                order[place + 1..].iter().for_each(|(_, later)| strong[*writer][*later] = true);
            }
            for (at, txn) in self.txns.iter().enumerate() {
                for (_, value) in txn.again.iter().filter(|(again, _)| again == key) {
                    let writer = order.iter().find(|version| version.0 == *value).map(|version| version.1);
                    if let Some(writer) = writer.filter(|writer| *writer != at) {
                        (strong[writer][at], seen_by[writer][at]) = (true, true);
                    }
                }
                let Some(seen) = txn.reads.get(key) else { continue };
                let place = seen.and_then(|seen| order.iter().position(|version| version.0 == seen));
                if let Some(place) = place {
                    let writer = order[place].1;
                    strong[writer][at] |= writer != at;
                    seen_by[writer][at] |= writer != at;
                }
                if seen.is_none() || place.is_some() {
                    let later = &order[place.map_or(0, |place| place + 1)..];
                    later.iter().filter(|(_, writer)| *writer != at).for_each(|(_, writer)| weak[at][*writer] = true);
                }
            }
        }
        let mut relation = strong.clone();
        for a in 0..count {
            for b in 0..count {
                let through = |first: &[Vec<bool>]| (0..count).any(|between| first[a][between] && weak[between][b]);
                relation[a][b] |= match level.rw {
                    Rw::None | Rw::Single => false,
                    Rw::All => weak[a][b],
                    Rw::AfterWr => through(&seen_by),
                    Rw::Nonadjacent => through(&strong),
                };
            }
        }
        for middle in 0..count {
            for a in 0..count {
                for b in 0..count {
                    relation[a][b] |= relation[a][middle] && relation[middle][b];
                }
            }
        }
        let led_back = |a: usize| level.rw == Rw::Single && (0..count).any(|b| weak[a][b] && relation[b][a]);
        (0..count).all(|at| !relation[at][at] && !led_back(at))
    }
}

fn permutations(left: Vec<(i64, usize)>, taken: &mut Vec<(i64, usize)>, found: &mut Vec<Vec<(i64, usize)>>) {
    if left.is_empty() {
        found.push(taken.clone());
    }
    for (place, one) in left.iter().enumerate() {
        let mut rest = left.clone();
        rest.remove(place);
        taken.push(*one);
        permutations(rest, taken, found);
        taken.pop();
    }
}

/// A history of a few transactions: executed one after the other in some order within their times, with some reads of the
/// past and some changed afterwards.
pub(super) fn tiny(dice: &mut Dice) -> History {
    let clients = 2 + dice.roll(3);
    let count = 2 + dice.roll(4);
    let keys = 1 + dice.roll(3);
    let (stale, wrong) = ([0, 30, 60][dice.roll(3)], [0, 10, 30][dice.roll(3)]);
    let mut versions: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    let mut ops: Vec<Operation> = Vec::new();
    let mut open: Vec<Option<(usize, bool)>> = vec![None; clients];
    let mut processes: Vec<i64> = (0..clients as i64).collect();
    let mut seq = 0;
    while ops.len() < count || open.iter().any(Option::is_some) {
        let client = dice.roll(clients);
        match open[client] {
            None if ops.len() < count => {
                let mops = (0..1 + dice.roll(3)).map(|_| {
                    let key = dice.roll(keys) as i64;
                    if dice.chance(50) {
                        return Mop::Read { key, value: None };
                    }
                    let value = next.entry(key).or_insert(0);
                    *value += 1;
                    Mop::Write { key, value: *value }
                });
                let mops = mops.collect();
                open[client] = Some((ops.len(), false));
                ops.push(operation_of(processes[client], seq, None, Outcome::Info, mops));
                seq += 1;
            }
            None => {}
            Some((at, false)) => {
                let op = &mut ops[at];
                let Call::Txn(mops) = &mut op.call else { continue };
                let lag = if dice.chance(stale) { 1 + dice.roll(2) } else { 0 };
                let fate = dice.roll(10);
                let mut own: BTreeMap<i64, Option<i64>> = BTreeMap::new();
                for mop in mops.iter_mut() {
                    match mop {
                        Mop::Write { key, value } => {
                            own.insert(*key, Some(*value));
                        }
                        Mop::Read { key, value } => {
                            let all = versions.entry(*key).or_default();
                            let seen = all.len().checked_sub(1 + lag).map(|place| all[place]);
                            let mut seen = own.get(key).copied().unwrap_or(seen);
                            if dice.chance(wrong) {
                                let last = next.get(key).copied().unwrap_or(0);
                                seen = Some(dice.roll(last as usize + 2) as i64).filter(|value| *value > 0);
                            }
                            *value = Some(seen);
                        }
                        _ => {}
                    }
                }
                if fate != 0 {
                    for (key, value) in own {
                        versions.entry(key).or_default().extend(value);
                    }
                }
                op.outcome = [Outcome::Fail, Outcome::Info].get(fate).copied().unwrap_or(Outcome::Ok);
                if op.outcome == Outcome::Info {
                    processes[client] += clients as i64;
                    open[client] = None;
                } else {
                    open[client] = Some((at, true));
                }
            }
            Some((at, true)) => {
                ops[at].complete_seq = Some(seq);
                ops[at].complete_ns = Some(seq as i64 * 1_000_000);
                seq += 1;
                open[client] = None;
            }
        }
    }
    History::new(ops).unwrap()
}

pub(super) fn shown(history: &History) -> String {
    let lines = history.ops().iter().map(|op| {
        format!("{} {}..{:?} {:?} {:?}", op.process, op.invoke_seq, op.complete_seq, op.outcome, words::mops(op))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn agrees_with_every_order_of_writes() {
    let mut dice = Dice::new(11);
    let mut answers: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for _ in 0..12_000 {
        let history = tiny(&mut dice);
        let judge = Judge::new(&history);
        let holds: Vec<bool> = LEVELS.iter().map(|level| judge.holds(*level, Assume::Nothing)).collect();
        for (level, expected_to_hold) in LEVELS.iter().zip(&holds) {
            let result = check(&history, &options(level.name));
            if result.verdict.reasons.iter().any(|reason| reason.code == "NO_OK_READS") {
                continue;
            }
            let expected = if *expected_to_hold { "valid" } else { "invalid" };
            assert_eq!(validity(&result), expected, "{}\n{}\n{result:#?}", level.name, shown(&history));
            *answers.entry((level.name, expected)).or_insert(0) += 1;
            // Whatever is ruled out does not hold, also where another model was asked for.
            for (other, holds) in LEVELS.iter().zip(&holds) {
                let friendly = Model::parse(other.name).unwrap().friendly();
                let ruled_out = result.not.contains(friendly) || result.also_not.contains(friendly);
                let confirmed = |told: &LevelVerdict| told.name() == other.name && told.validity == Validity::Valid;
                let is_confirmed = result.levels.iter().any(confirmed);
                let lies = if *holds { ruled_out } else { is_confirmed };
                assert!(!lies, "{} under {}\n{}\n{result:#?}", other.name, level.name, shown(&history));
            }
        }
    }
    for level in LEVELS {
        let count = |answer| answers.get(&(level.name, answer)).copied().unwrap_or(0);
        assert!(count("valid") > 1_000 && count("invalid") > 1_000, "{}: {answers:?}", level.name);
    }
}

#[test]
fn assumptions_leave_only_the_orders_that_keep_them() {
    let mut dice = Dice::new(12);
    let mut answers: BTreeMap<(bool, bool), u32> = BTreeMap::new();
    for _ in 0..6_000 {
        let history = tiny(&mut dice);
        let judge = Judge::new(&history);
        for assume in [Assume::Sequential, Assume::Linearizable] {
            for level in [LEVELS[3], LEVELS[6], LEVELS[7], LEVELS[8]] {
                let options = Options {
                    sequential_keys: assume == Assume::Sequential,
                    linearizable_keys: assume == Assume::Linearizable,
                    ..options(level.name)
                };
                let result = check(&history, &options);
                if result.verdict.reasons.iter().any(|reason| reason.code == "NO_OK_READS") {
                    continue;
                }
                let holds = judge.holds(level, assume);
                let expected = if holds { "valid" } else { "invalid" };
                assert_eq!(validity(&result), expected, "{} {assume:?}\n{}\n{result:#?}", level.name, shown(&history));
                *answers.entry((holds, judge.holds(level, Assume::Nothing))).or_insert(0) += 1;
            }
        }
    }
    assert!(answers.get(&(false, true)).copied().unwrap_or(0) > 500, "assumptions must matter: {answers:?}");
}
