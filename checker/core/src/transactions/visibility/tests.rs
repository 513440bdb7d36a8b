//! Against the definitions, by brute force, on all sorts of small histories.

use super::*;
use crate::op::Outcome;
use crate::synthetic::Dice;
use crate::transactions::rows::TxnRow;
use crate::transactions::txns::TxnsBuilder;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
struct Case {
    /// Process of each transaction; they follow each other in time.
    processes: Vec<i64>,
    info: Vec<bool>,
    cumulative: bool,
    reads: Vec<Read>,
    versions: Vec<Version>,
}

/// Any order of versions, reads at any rank; some versions that nobody read.
fn arbitrary(seed: u64, txns: usize, keys: usize, cumulative: bool) -> Case {
    let mut dice = Dice::new(seed);
    let processes: Vec<i64> = (0..txns).map(|_| dice.roll(3) as i64).collect();
    let mut info = vec![false; txns];
    for txn in 0..txns {
        // An info transaction is the last of its process.
        info[txn] = !processes[txn + 1..].contains(&processes[txn]) && dice.roll(8) == 0;
    }
    let chaos = dice.roll(3) == 0;
    let (mut reads, mut versions) = (Vec::new(), Vec::new());
    let mut lengths = vec![0_u32; keys];
    for (key, length) in lengths.iter_mut().enumerate() {
        let mut writers: Vec<u32> = (0..txns as u32).filter(|_| dice.roll(5) < 2).collect();
        if dice.roll(6) == 0 {
            writers.extend_from_within(..);
        }
        for at in (1..writers.len()).rev() {
            if chaos || dice.roll(5) == 0 {
                writers.swap(at, dice.roll(at + 1));
            }
        }
        let unread = if dice.roll(3) == 0 { dice.roll(writers.len() + 1) } else { 0 };
        for (rank, txn) in writers.iter().enumerate() {
            let rank = if rank + unread < writers.len() { rank as u32 + 1 } else { UNREAD };
            let version = Version { key: key as u32, rank, txn: *txn };
            if rank != UNREAD || !versions.contains(&version) {
                versions.push(version);
            }
            *length = if rank == UNREAD { *length } else { rank };
        }
    }
    for txn in (0..txns).filter(|txn| !info[*txn]) {
        for at in 0..dice.roll(4) as u32 {
            let key = dice.roll(keys);
            let newest = lengths[key] as usize;
            let rank = if chaos {
                dice.roll(newest + 1)
            } else {
                newest.min(txn + dice.roll(2)) - dice.roll(2).min(newest.min(txn))
            };
            reads.push(Read { txn: txn as u32, at, key: key as u32, rank: rank as u32 });
        }
    }
    Case { processes, info, cumulative, reads, versions }
}

fn txns(case: &Case) -> Txns {
    let mut builder = TxnsBuilder::default();
    for (txn, process) in (0..).zip(&case.processes) {
        let outcome = if case.info[txn as usize] { Outcome::Info } else { Outcome::Ok };
        let (invoke_seq, complete_seq) = (txn * 2, Some(txn * 2 + 1));
        builder.push(TxnRow { op_id: txn, process: *process, invoke_seq, complete_seq, outcome });
    }
    builder.finish()
}

fn found(case: &Case) -> Vec<Breach> {
    let sights = Sights::new(case.cumulative, case.reads.clone(), case.versions.clone());
    examine(&txns(case), &sights, usize::MAX)
}

/// The definitions, word for word.
struct Judge<'c> {
    case: &'c Case,
}

type Pairs = BTreeSet<(u32, u32)>;

impl Judge<'_> {
    fn first(&self, txn: u32, key: u32) -> Option<u32> {
        self.case.versions.iter().filter(|v| (v.txn, v.key) == (txn, key)).map(|v| v.rank).min()
    }

    fn is_own(&self, read: &Read) -> bool {
        let shown = |rank| rank == read.rank || (self.case.cumulative && rank < read.rank);
        self.case.versions.iter().any(|v| (v.txn, v.key) == (read.txn, read.key) && shown(v.rank))
    }

    fn sees(&self, read: &Read, txn: u32) -> bool {
        let shown = |v: &Version| v.rank == read.rank || (self.case.cumulative && v.rank <= read.rank);
        self.case.versions.iter().any(|v| (v.txn, v.key) == (txn, read.key) && v.rank != UNREAD && shown(v))
    }

    fn below(&self, read: &Read, txn: u32) -> bool {
        self.first(txn, read.key).is_some_and(|first| first > read.rank) && !self.is_own(read)
    }

    /// What a reader is told of: nothing, fractured, non-monotonic.
    fn fractured(&self, txn: u32) -> Option<&'static str> {
        let of_txn = |read: &&Read| read.txn == txn;
        let mut name = None;
        for seen in self.case.reads.iter().filter(of_txn) {
            for missed in self.case.reads.iter().filter(of_txn) {
                for writer in (0..self.case.processes.len() as u32).filter(|writer| *writer != txn) {
                    if self.sees(seen, writer) && self.below(missed, writer) {
                        if seen.at < missed.at {
                            return Some("non-monotonic-read");
                        }
                        if seen.key != missed.key {
                            name = Some("fractured-read");
                        }
                    }
                }
            }
        }
        name
    }

    fn wr(&self) -> Pairs {
        let count = self.case.processes.len() as u32;
        let reads = self.case.reads.iter();
        let mut pairs: Pairs =
            reads.flat_map(|read| (0..count).filter(|txn| self.sees(read, *txn)).map(|txn| (txn, read.txn))).collect();
        pairs.retain(|(from, to)| from != to);
        pairs
    }

    /// The same, but what a read shows on top of what its own transaction wrote does not count.
    fn wr_below_own(&self) -> Pairs {
        let own = |read: &Read| self.first(read.txn, read.key).filter(|own| *own <= read.rank);
        let reads = self.case.reads.iter().filter(|read| self.case.cumulative || !self.is_own(read));
        let below = |read: &Read| match own(read).filter(|_| self.case.cumulative) {
            Some(own) => Read { rank: own - 1, ..*read },
            None => *read,
        };
        let case = Case { reads: reads.map(below).collect(), ..self.case.clone() };
        Judge { case: &case }.wr()
    }

    fn so(&self) -> Pairs {
        let count = self.case.processes.len() as u32;
        let process = |txn: u32| self.case.processes[txn as usize];
        (0..count)
            .flat_map(|a| (a + 1..count).filter(move |b| process(a) == process(*b)).map(move |b| (a, b)))
            .collect()
    }

    fn ww(&self) -> Pairs {
        let mut pairs = Pairs::new();
        for a in &self.case.versions {
            for b in &self.case.versions {
                if a.key == b.key && a.rank < b.rank && a.txn != b.txn {
                    pairs.insert((a.txn, b.txn));
                }
            }
        }
        pairs
    }

    fn rw(&self) -> Pairs {
        let mut pairs = Pairs::new();
        let of_others = || self.case.reads.iter().filter(|read| !self.is_own(read));
        let highest = |read: &&Read| {
            of_others().all(|other| (other.txn, other.key) != (read.txn, read.key) || other.rank <= read.rank)
        };
        for read in of_others().filter(highest) {
            for version in &self.case.versions {
                if version.key == read.key && self.below(read, version.txn) && version.txn != read.txn {
                    pairs.insert((read.txn, version.txn));
                }
            }
        }
        pairs
    }

    fn any_rw(&self) -> Pairs {
        let count = self.case.processes.len() as u32;
        let reads = self.case.reads.iter();
        reads.flat_map(|read| (0..count).filter(|txn| self.below(read, *txn)).map(|txn| (read.txn, txn))).collect()
    }

    /// Readers that miss what leads to them.
    fn causal(&self, leads: &Pairs) -> BTreeSet<u32> {
        let leads = closure(leads);
        self.rw()
            .into_iter()
            .filter(|(reader, writer)| leads.contains(&(*writer, *reader)))
            .map(|pair| pair.0)
            .collect()
    }

    /// Whether some cycle of ww, wr and rw has each rw, and at least one, after a wr.
    fn prefix(&self) -> bool {
        let mut forward: Pairs = self.ww();
        let wr = self.wr();
        forward.extend(&wr);
        let rw = self.rw();
        for (writer, reader) in &wr {
            forward.extend(rw.iter().filter(|(from, _)| from == reader).map(|(_, to)| (*writer, *to)));
        }
        let closed = closure(&forward);
        closed.iter().any(|(a, b)| a == b)
    }

    fn reads_differ(&self) -> bool {
        let differ = |a: &Read, b: &Read| (a.txn, a.key) == (b.txn, b.key) && a.rank != b.rank;
        self.case.reads.iter().any(|a| self.case.reads.iter().any(|b| differ(a, b)))
    }

    fn guarantees(&self) -> BTreeSet<(&'static str, u32, u64)> {
        let mut counts: std::collections::BTreeMap<(&'static str, u32), BTreeSet<u32>> = Default::default();
        let mut note = |name, key, later| {
            counts.entry((name, key)).or_default().insert(later);
        };
        let (reads, versions) = (&self.case.reads, &self.case.versions);
        for (earlier, later) in self.so() {
            for b in reads.iter().filter(|read| read.txn == later) {
                if reads.iter().any(|a| a.txn == earlier && a.key == b.key && a.rank > b.rank) {
                    note("monotonic-reads-violation", b.key, later);
                }
                if versions.iter().any(|a| a.txn == earlier && a.key == b.key && a.rank > b.rank) {
                    note("read-your-writes-violation", b.key, later);
                }
            }
            for b in versions.iter().filter(|version| version.txn == later) {
                if versions.iter().any(|a| a.txn == earlier && a.key == b.key && a.rank > b.rank) {
                    note("monotonic-writes-violation", b.key, later);
                }
                if reads.iter().any(|a| a.txn == earlier && a.key == b.key && a.rank >= b.rank) {
                    note("writes-follow-reads-violation", b.key, later);
                }
            }
        }
        counts.into_iter().map(|((name, key), later)| (name, key, later.len() as u64)).collect()
    }
}

fn closure(pairs: &Pairs) -> Pairs {
    let mut all = pairs.clone();
    loop {
        let more: Pairs = all
            .iter()
            .flat_map(|(a, b)| pairs.iter().filter(move |(c, _)| b == c).map(|(_, d)| (*a, *d)))
            .filter(|pair| !all.contains(pair))
            .collect();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn is_cyclic(pairs: &Pairs) -> bool {
    closure(pairs).iter().any(|(a, b)| a == b)
}

fn reader(breach: &Breach) -> u32 {
    breach.links.last().unwrap().from
}

fn readers(found: &[Breach], name: &str) -> BTreeSet<u32> {
    found.iter().filter(|breach| breach.name == name).map(reader).collect()
}

fn agree(case: &Case) -> Result<(), TestCaseError> {
    let judge = Judge { case };
    let found = found(case);
    for breach in &found {
        holds(&judge, breach)?;
    }
    for txn in 0..case.processes.len() as u32 {
        let told =
            ["non-monotonic-read", "fractured-read"].into_iter().find(|name| readers(&found, name).contains(&txn));
        prop_assert_eq!(told, judge.fractured(txn), "{} {:#?}", txn, found);
    }
    let told: BTreeSet<(&str, u32, u64)> = found
        .iter()
        .filter(|breach| breach.name.ends_with("s-violation") && breach.name != "causal-violation-process")
        .map(|breach| (breach.name, breach.links.last().unwrap().key, breach.more + 1))
        .collect();
    prop_assert_eq!(told, judge.guarantees());
    let torn: BTreeSet<u32> =
        ["non-monotonic-read", "fractured-read"].iter().flat_map(|name| readers(&found, name)).collect();
    let wr = judge.wr();
    let seen = judge.wr_below_own();
    if !is_cyclic(&seen) {
        let expected: BTreeSet<u32> = judge.causal(&seen).difference(&torn).copied().collect();
        prop_assert_eq!(readers(&found, "causal-violation"), expected, "{:#?}", found);
    }
    let mut leads = judge.so();
    leads.extend(&seen);
    if !is_cyclic(&leads) {
        let names = ["causal-violation", "causal-violation-process"];
        let mut causal: BTreeSet<u32> = names.iter().flat_map(|name| readers(&found, name)).collect();
        let guarantees = judge.guarantees();
        let of_sessions =
            guarantees.iter().any(|(name, _, _)| name.starts_with("monotonic-r") || name.starts_with("read-"));
        causal.extend(&torn);
        let mut expected = judge.causal(&leads);
        expected.extend(&torn);
        if of_sessions {
            prop_assert!(causal.is_subset(&expected), "{:#?}", found);
        } else {
            prop_assert_eq!(causal, expected, "{:#?}", found);
        }
    }
    let mut data = judge.ww();
    data.extend(&wr);
    if !is_cyclic(&data) {
        let of_prefix = ["non-monotonic-read", "fractured-read", "causal-violation", "prefix-violation", "long-fork"];
        let told = found.iter().any(|breach| of_prefix.contains(&breach.name));
        // Where a transaction read a key twice and saw less, the fractured reads are that.
        if !told || !judge.reads_differ() {
            prop_assert_eq!(told, judge.prefix(), "{:#?}", found);
        }
    }
    Ok(())
}

/// Every contradiction is made of steps that exist, closes, and has the shape that its name says.
fn holds(judge: &Judge<'_>, breach: &Breach) -> Result<(), TestCaseError> {
    use EdgeKind::{Process, Rw, Wr, Ww};
    let links = &breach.links;
    let next = links.iter().cycle().skip(1);
    let vague =
        links.iter().any(|link| link.kind == Rw && link.after == UNREAD && !judge.rw().contains(&(link.from, link.to)));
    for (link, next) in links.iter().zip(next) {
        prop_assert_eq!(link.to, next.from, "{:#?}", breach);
        let pairs = match link.kind {
            Ww => judge.ww(),
            Wr => judge.wr(),
            Rw if breach.name.ends_with("-read") => judge.any_rw(),
            Rw => judge.rw(),
            _ => judge.so(),
        };
        let guarantee = breach.name.ends_with("s-violation");
        prop_assert!(pairs.contains(&(link.from, link.to)) || guarantee || vague, "{link:?} of {breach:#?}");
    }
    let count = |kind| links.iter().filter(|link| link.kind == kind).count();
    let counts = (count(Ww), count(Wr), count(Rw), count(Process));
    let last = links.last().unwrap().kind;
    match breach.name {
        "non-monotonic-read" | "fractured-read" => prop_assert_eq!(counts, (0, 1, 1, 0)),
        "causal-violation" => prop_assert!(counts.2 == 1 && counts.3 == 0 && counts.0 == 0 && last == Rw),
        "causal-violation-process" => {
            prop_assert!(counts.2 == 1 && counts.3 > 0 && counts.0 == 0 && last == Rw, "{breach:#?}")
        }
        "prefix-violation" => prop_assert!(counts.2 == 1 && counts.3 == 0),
        "long-fork" => prop_assert!(counts.2 >= 2 && counts.1 >= counts.2 && counts.3 == 0),
        _ => prop_assert_eq!(counts.3, 1),
    }
    if matches!(breach.name, "causal-violation" | "causal-violation-process" | "prefix-violation" | "long-fork") {
        let distinct: BTreeSet<u32> = links.iter().map(|link| link.from).collect();
        prop_assert_eq!(distinct.len(), links.len(), "{:#?}", breach);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_judge_agrees(seed in any::<u64>(), txns in 2..=6_usize, keys in 1..=3_usize, cumulative in any::<bool>()) {
        agree(&arbitrary(seed, txns, keys, cumulative))?;
    }
}

/// Once the shortest way led through transactions on a cycle of reads, and had no step of a process.
#[test]
fn a_causal_violation_is_explained_by_its_own_steps() {
    agree(&arbitrary(18_395_558_479_556_020_283, 6, 2, true)).unwrap();
}

#[test]
fn the_cases_show_everything_both_ways() {
    for cumulative in [false, true] {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut healthy = 0;
        for seed in 0..20_000 {
            let found = found(&arbitrary(seed, 5, 1 + seed as usize % 3, cumulative));
            healthy += usize::from(found.is_empty());
            seen.extend(found.iter().map(|breach| breach.name));
        }
        assert_eq!(seen.len(), 10, "{seen:?}");
        assert!(healthy > 1_000, "{healthy}");
    }
}

/// Many transactions, some of them with more reads or writes than are handled pair by pair.
#[test]
fn large_transactions_are_judged_alike() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let keys = 300;
        let mut case = Case {
            processes: (0..12).map(|txn| txn % 4).collect(),
            info: vec![false; 12],
            cumulative: seed % 2 == 0,
            reads: Vec::new(),
            versions: Vec::new(),
        };
        let mut ranks = vec![0_u32; keys];
        for txn in 0..12_u32 {
            let large = dice.roll(3) == 0;
            for at in 0..if large { 200 } else { 3 } {
                let key = dice.roll(if large { keys } else { 20 });
                if dice.roll(2) == 0 {
                    ranks[key] += 1;
                    case.versions.push(Version { key: key as u32, rank: ranks[key], txn });
                } else {
                    let rank = ranks[key].saturating_sub(u32::from(dice.roll(200) == 0));
                    case.reads.push(Read { txn, at, key: key as u32, rank });
                }
            }
        }
        let judge = Judge { case: &case };
        let found = found(&case);
        for txn in 0..12 {
            let told =
                ["non-monotonic-read", "fractured-read"].into_iter().find(|name| readers(&found, name).contains(&txn));
            assert_eq!(told, judge.fractured(txn), "{seed} {txn}");
        }
    }
}
