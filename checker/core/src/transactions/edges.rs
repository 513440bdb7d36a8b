//! Dependencies as numbers, in buckets along the line.
//!
//! An edge lies in the bucket in which the later of its two ends stands: once the bucket is reached, both ends have been
//! met. A [`Fan`] is taken apart into helper nodes, numbered after the transactions, so that a product of readers and
//! appenders costs their sum.

use super::dependencies::{Dependencies, Fan};
use super::graph::{PASS, RW, WR, WW};
use super::txns::{NONE, Txns};
use crate::spill::{Fixed, Spill, SpillError, Streams};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// How finely the line is cut. Decides speed and memory, never the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grain {
    /// Transactions in a bucket, about.
    pub(crate) bucket_txns: usize,
    /// Buckets, at most, however long the history.
    pub(crate) buckets_max: usize,
    /// Nodes that are kept, at least, before components are sought while something waits.
    pub(crate) kept_min: usize,
}

impl Default for Grain {
    fn default() -> Self {
        Self { bucket_txns: 1 << 16, buckets_max: 128, kept_min: 1 << 17 }
    }
}

/// One edge: 30 bits for each end, 4 for the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge(u64);

/// The labels that an edge may carry, by the number it is packed as.
const LABELS: [u8; 4] = [WW, WR, RW, PASS];

impl Edge {
    pub(crate) fn new(from: u32, to: u32, label: u8) -> Self {
        debug_assert!(from < 1 << 30 && to < 1 << 30);
        let number = LABELS.iter().position(|one| *one == label).unwrap_or_default() as u64;
        Edge(u64::from(from) << 34 | u64::from(to) << 4 | number)
    }

    pub(crate) fn from(self) -> u32 {
        (self.0 >> 34) as u32
    }

    pub(crate) fn to(self) -> u32 {
        (self.0 >> 4) as u32 & ((1 << 30) - 1)
    }

    pub(crate) fn label(self) -> u8 {
        LABELS[(self.0 & 3) as usize]
    }
}

impl Fixed for Edge {
    const BYTES: usize = 8;

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        Edge(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// All edges that data gives, and where their ends stand.
#[derive(Debug)]
pub(crate) struct Edges<'t> {
    pub(crate) txns: &'t Txns,
    pub(crate) grain: Grain,
    /// Positions of the helpers; helper `h` is node `txns.len() + h`.
    helpers: Vec<u32>,
    buckets: Streams<Edge>,
    /// Positions in one bucket.
    width: u32,
    /// Edges that go back in real time by themselves: the later end completed before the earlier one was invoked.
    pub(crate) direct: Vec<Edge>,
    /// Whether `direct` is kept apart, which takes a real-time order.
    real_time: bool,
    last_position: u32,
    /// The last bucket from which an edge leads back to a node of an earlier one.
    awaited: FxHashMap<u32, u32>,
}

impl<'t> Edges<'t> {
    /// No edges yet. With `real_time`, edges that contradict real time by themselves are kept apart.
    pub(crate) fn new(txns: &'t Txns, real_time: bool) -> Self {
        Self::with_grain(txns, real_time, Grain::default())
    }

    /// The same, cut as one likes.
    pub(crate) fn with_grain(txns: &'t Txns, real_time: bool, grain: Grain) -> Self {
        let last_position = txns.moments() * 2;
        let count = (txns.len() / grain.bucket_txns + 1).min(grain.buckets_max) as u32;
        let width = last_position / count + 1;
        let buckets = Streams::new(count as usize);
        Self {
            txns,
            grain,
            helpers: Vec::new(),
            buckets,
            width,
            direct: Vec::new(),
            real_time,
            last_position,
            awaited: FxHashMap::default(),
        }
    }

    /// Number of nodes: transactions and helpers.
    pub(crate) fn nodes(&self) -> usize {
        self.txns.len() + self.helpers.len()
    }

    /// Whether a node is a transaction.
    pub(crate) fn is_txn(&self, node: u32) -> bool {
        (node as usize) < self.txns.len()
    }

    /// Where a node stands on the line.
    pub(crate) fn position(&self, node: u32) -> u32 {
        match (node as usize).checked_sub(self.txns.len()) {
            None => self.txns.position(node).min(self.last_position),
            Some(helper) => self.helpers[helper],
        }
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The bucket of a position.
    pub(crate) fn bucket_of(&self, position: u32) -> usize {
        (position / self.width) as usize
    }

    /// Whether an edge from a later bucket than this one leads to a node.
    pub(crate) fn is_awaited(&self, node: u32, bucket: usize) -> bool {
        self.awaited.get(&node).is_some_and(|last| *last as usize > bucket)
    }

    /// Keeps not more than some bytes of edges in memory; the rest in streams from the number `first` on.
    pub(crate) fn limit(&mut self, spill: Arc<dyn Spill>, first: usize, bytes_max: u64) {
        self.buckets.limit(spill, first, bytes_max);
    }

    /// The edges of a bucket.
    pub(crate) fn bucket(&self, bucket: usize) -> Result<Cow<'_, [Edge]>, SpillError> {
        self.buckets.stream(bucket)
    }

    /// The helpers that stand in a bucket.
    pub(crate) fn helpers_by_bucket(&self) -> Vec<Vec<u32>> {
        let mut by_bucket = vec![Vec::new(); self.buckets.len()];
        for (helper, position) in self.helpers.iter().enumerate() {
            by_bucket[self.bucket_of(*position)].push((self.txns.len() + helper) as u32);
        }
        by_bucket
    }

    /// Adds what some keys showed.
    pub(crate) fn add(&mut self, dependencies: Dependencies) {
        for (edges, label) in [(dependencies.ww, WW), (dependencies.wr, WR), (dependencies.rw, RW)] {
            for (from, to) in edges {
                self.push(from, to, label);
            }
        }
        for fan in &dependencies.fans {
            self.fan(fan);
        }
    }

    fn push(&mut self, from: u32, to: u32, label: u8) {
        let edge = Edge::new(from, to, label);
        if self.real_time && label != PASS && self.is_txn(from) && self.is_txn(to) && self.txns.precedes(to, from) {
            self.direct.push(edge);
            return;
        }
        let (source, target) = (self.bucket_of(self.position(from)), self.bucket_of(self.position(to)));
        if target < source {
            let awaited = self.awaited.entry(to).or_insert(0);
            *awaited = (*awaited).max(source as u32);
        }
        self.buckets.push(source.max(target), edge);
    }

    fn helper(&mut self, position: u32) -> u32 {
        self.helpers.push(position);
        (self.txns.len() + self.helpers.len() - 1) as u32
    }

    /// Readers that append nothing and appenders that read nothing meet in one helper. Those that do both must reach
    /// each other but not themselves: one chain leads to the later ones, one to the earlier ones.
    fn fan(&mut self, fan: &Fan) {
        let both = |txn: &u32| fan.readers.binary_search(txn).is_ok() && fan.appenders.binary_search(txn).is_ok();
        let pure_readers: Vec<u32> = fan.readers.iter().copied().filter(|txn| !both(txn)).collect();
        let pure_appenders: Vec<u32> = fan.appenders.iter().copied().filter(|txn| !both(txn)).collect();
        let both: Vec<u32> = fan.readers.iter().copied().filter(both).collect();
        self.meet(&pure_readers, &fan.appenders);
        self.meet(&both, &pure_appenders);
        self.chain(&both);
        let backward: Vec<u32> = both.into_iter().rev().collect();
        self.chain(&backward);
    }

    fn meet(&mut self, from: &[u32], to: &[u32]) {
        let Some(position) = from.iter().map(|txn| self.position(*txn)).max().filter(|_| !to.is_empty()) else {
            return;
        };
        let helper = self.helper(position);
        from.iter().for_each(|node| self.push(*node, helper, RW));
        to.iter().for_each(|node| self.push(helper, *node, PASS));
    }

    /// Each node reaches, by rw, those that follow it.
    fn chain(&mut self, nodes: &[u32]) {
        let mut previous = NONE;
        for pair in nodes.windows(2) {
            let helper = self.helper(self.position(pair[0]));
            self.push(pair[0], helper, RW);
            self.push(helper, pair[1], PASS);
            if previous != NONE {
                self.push(previous, helper, PASS);
            }
            previous = helper;
        }
    }
}
