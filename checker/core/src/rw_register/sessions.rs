//! What processes see of themselves, register by register: the four session guarantees (Terry et al., PDIS 1994).
//!
//! Each guarantee orders the versions that one process met, from one transaction to a later one: those that it read, those
//! that it wrote, what it wrote before what it read, what it read before what it wrote. If these orders of all processes,
//! with those that are known otherwise, close a cycle for one register, no order of its versions gives the guarantee. If
//! they close none, some order of them does. So each guarantee is decided by itself; PRAM asks for one order of the
//! versions that gives the first three.

use super::index::Index;
use super::order::{KeyOrder, Touch, VersionEdge};
use super::raw::{Raw, Reason};
use super::sources::{PROCESS, Sources};
use crate::transactions::NONE;
use std::collections::BTreeSet;

/// Pairs of versions of one register and one guarantee, at most for each transaction that met the register.
const PAIRS_PER_TOUCH: usize = 32;

/// One guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guarantee {
    /// Reads do not go back.
    MonotonicReads,
    /// Reads do not go back behind one's own writes.
    ReadYourWrites,
    /// Writes take effect in the order in which the process made them.
    MonotonicWrites,
    /// Writes take effect after what the process had read.
    WritesFollowReads,
}

impl Guarantee {
    const ALL: [Guarantee; 4] = [
        Guarantee::MonotonicReads,
        Guarantee::ReadYourWrites,
        Guarantee::MonotonicWrites,
        Guarantee::WritesFollowReads,
    ];

    /// The anomaly of a history without it.
    pub(crate) fn anomaly(self) -> &'static str {
        match self {
            Guarantee::MonotonicReads => "monotonic-reads-violation",
            Guarantee::ReadYourWrites => "read-your-writes-violation",
            Guarantee::MonotonicWrites => "monotonic-writes-violation",
            Guarantee::WritesFollowReads => "writes-follow-reads-violation",
        }
    }

    /// The version of the earlier transaction that counts, and that of the later one.
    fn ends(self, earlier: &Touch, later: &Touch) -> (u32, u32) {
        match self {
            Guarantee::MonotonicReads => (earlier.read, later.read),
            Guarantee::ReadYourWrites => (earlier.write, later.read),
            Guarantee::MonotonicWrites => (earlier.write, later.write),
            Guarantee::WritesFollowReads => (earlier.read, later.write),
        }
    }
}

/// What is known of the guarantees.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// The models that hold.
    pub(crate) held: BTreeSet<&'static str>,
}

impl Sessions {
    /// Whether a model is one of the guarantees, or what they are together.
    pub(crate) fn decides(model: &str) -> bool {
        MODELS.contains(&model)
    }

    /// All of them hold, because something stronger does.
    pub(crate) fn all() -> Self {
        Self { held: MODELS.into_iter().collect() }
    }
}

/// The models, in the order of [`Guarantee::ALL`]; `PRAM` is the first three together.
const MODELS: [&str; 5] = ["monotonic-reads", "read-your-writes", "monotonic-writes", "writes-follow-reads", "PRAM"];

/// Looks for violations, one of each guarantee and register; they go to `found`. A guarantee of which too many pairs would
/// have to be kept ([`PAIRS_PER_TOUCH`]) is not said to hold. O(n log n) in the transactions that met a register.
pub(crate) fn examine(index: &Index, sources: &Sources, found: &mut Vec<Raw>) -> Sessions {
    let certain = Sources { implied: 0, ..sources.clone() };
    let mut order = KeyOrder::default();
    let mut missing = [false; 5];
    let mut pairs: Vec<Pair> = Vec::new();
    for key in 0..index.columns.keys.len() as u32 {
        order.load(index, key);
        order.arrange(index, key, &certain, &mut Vec::new());
        // An order that follows from reading and then writing is no more than what the guarantees say themselves.
        order.edges.retain(|edge| edge.sources & certain.assumed != 0);
        let known = std::mem::take(&mut order.edges);
        let mut together: Vec<VersionEdge> = known.clone();
        for (number, guarantee) in Guarantee::ALL.into_iter().enumerate() {
            missing[number] |= !collect(index, &order, guarantee, &mut pairs);
            let edges = pairs.iter().map(|pair| pair.edge());
            order.edges = known.iter().copied().chain(edges.clone()).collect();
            if guarantee != Guarantee::WritesFollowReads {
                together.extend(edges);
                missing[4] |= missing[number];
            }
            if !order.sort() {
                missing[number] = true;
                found.push(violation(index, key, &order, guarantee, &pairs));
            }
        }
        order.edges = together;
        missing[4] |= !order.sort();
    }
    Sessions { held: MODELS.into_iter().zip(missing).filter(|(_, missing)| !missing).map(|(model, _)| model).collect() }
}

/// That a process met one version, and then another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    from: u32,
    to: u32,
    earlier: u32,
    later: u32,
}

impl Pair {
    fn edge(&self) -> VersionEdge {
        VersionEdge { from: self.from, to: self.to, sources: PROCESS }
    }
}

/// The pairs of a register; whether none was left out.
fn collect(index: &Index, order: &KeyOrder, guarantee: Guarantee, pairs: &mut Vec<Pair>) -> bool {
    let txns = &index.columns.txns;
    let mut touches: Vec<(i64, &Touch)> = order.touches.iter().map(|touch| (txns.process(touch.txn), touch)).collect();
    touches.sort_by_key(|(process, _)| *process);
    pairs.clear();
    let most = order.touches.len().saturating_mul(PAIRS_PER_TOUCH);
    // Where both ends are of one kind, each version follows the one before it, and so all before that.
    let is_chain = matches!(guarantee, Guarantee::MonotonicReads | Guarantee::MonotonicWrites);
    let mut before: Vec<&Touch> = Vec::new();
    let mut is_whole = true;
    for of_process in touches.chunk_by(|a, b| a.0 == b.0) {
        before.clear();
        for (_, later) in of_process {
            let (own, to) = guarantee.ends(later, later);
            is_whole &= to == NONE || pairs.len() + before.len() <= most;
            if to != NONE && pairs.len() + before.len() <= most {
                let pair = |earlier: &&Touch| Pair {
                    from: guarantee.ends(earlier, later).0,
                    to,
                    earlier: earlier.txn,
                    later: later.txn,
                };
                pairs.extend(before.iter().map(pair).filter(|pair| pair.from != to));
            }
            // The initial version precedes all others anyway, and once is enough of one that is met again.
            let again = before.last().is_some_and(|last| guarantee.ends(last, last).0 == own);
            if ![NONE, 0].contains(&own) && !again {
                if is_chain {
                    before.clear();
                }
                before.push(later);
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup_by_key(|pair| (pair.from, pair.to));
    is_whole
}

fn violation(index: &Index, key: u32, order: &KeyOrder, guarantee: Guarantee, pairs: &[Pair]) -> Raw {
    let cycle = order.cycle();
    let reason =
        |edge: &VersionEdge| match pairs.binary_search_by_key(&(edge.from, edge.to), |pair| (pair.from, pair.to)) {
            Ok(place) => Reason { source: PROCESS, earlier: pairs[place].earlier, later: pairs[place].later },
            Err(_) => order.reason(index, edge),
        };
    Raw::Session {
        guarantee,
        key: index.columns.keys[key as usize],
        versions: cycle.iter().map(|edge| order.value_of(edge.from)).collect(),
        reasons: cycle.iter().map(reason).collect(),
    }
}
