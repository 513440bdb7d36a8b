//! Histories of registers that do not fit memory.
//!
//! Micro-operations lie outside, in partitions by key. Some partitions at a time come back as columns, and all that is said
//! of single keys is said of these as of any others; the dependencies that they give go to the sweep, which puts aside what
//! it does not need yet. A witness is sought among pages of transactions ([`super::witness::shelf`]).
//!
//! So a history with a witness, or with an anomaly that single keys or known version orders show, gets the answer that it
//! would get in memory. What goes over whole histories in any order has no place here: the search for an order that is no
//! witness, and what transactions saw of each other where no witness is found. Where the answer hangs on these it is
//! `unknown`, with the reason `MEMORY_SPENT`.

use super::Options;
use super::columns::records::partition_of;
use super::columns::{Aside, Columns, Own};
use super::index::{DuplicateWrite, Index};
use super::judge::{Judged, Known as KnownEdges, Need};
use super::keys;
use super::raw::Raw;
use super::sessions::{self, Sessions};
use super::sources::Sources;
use super::witness::shelf::Collected;
use super::witness::steps::Steps;
use super::witness::{self, Stuck};
use crate::consistency::Order;
use crate::spill::{Limits, SpillError};
use crate::transactions::cycles::{Cycle, Step};
use crate::transactions::dependencies::{Dependencies, Fan};
use crate::transactions::edges::Edges;
use crate::transactions::{Txns, find_cycles_and_members};
use crate::verdict::Reason;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that a micro-operation takes while its partition is looked at, about.
const BYTES_PER_MOP: u64 = 80;

/// Bytes of a page of the witness, about.
const BYTES_PER_PAGE: u64 = 1 << 20;

/// The history, of which every read is resolved once.
pub(super) struct Outside {
    aside: Aside,
    limits: Limits,
    groups: Vec<Range<usize>>,
    effective: Vec<bool>,
    /// How many keys there are.
    pub(super) keys: u64,
}

/// What came of resolving every read.
pub(super) enum Resolved {
    Each(Box<Outside>),
    /// Values that a key was given twice.
    Duplicates(Arc<Txns>, Vec<DuplicateWrite>),
}

/// What came of judging it.
pub(super) struct Found {
    pub(super) raw: Vec<Raw>,
    pub(super) judged: Judged,
    /// Whether it is known what transactions saw of each other.
    pub(super) sights_known: bool,
}

impl Outside {
    /// Resolves every read, to learn who took effect. What keys show by that goes to `found`.
    ///
    /// # Errors
    /// If something cannot be had back.
    pub(super) fn resolve(mut aside: Aside, limits: Limits, found: &mut Vec<Raw>) -> Result<Resolved, SpillError> {
        aside.records.put_aside();
        let groups = aside.records.groups(limits.memory_bytes_max / 2 / BYTES_PER_MOP);
        let mut effective = vec![false; aside.txns.len()];
        let (mut duplicates, mut keys) = (Vec::new(), 0);
        found.extend(aside.own.drain(..).map(Own::into_raw));
        for group in &groups {
            // Nobody else may hold the transactions while it is noted when they were seen.
            let txns = std::mem::take(&mut aside.txns);
            let mut columns = aside.records.columns(txns, group.clone(), |_| true)?;
            keys += columns.keys.len() as u64;
            match Index::resolve(&mut columns, found, |_, _, (): &mut ()| {}) {
                Ok((index, _)) => {
                    effective.iter_mut().zip(index.effective()).for_each(|(all, one)| *all |= one);
                    columns = index.columns;
                }
                Err(cases) => duplicates.extend(cases),
            }
            aside.txns = columns.txns;
        }
        if !duplicates.is_empty() {
            return Ok(Resolved::Duplicates(aside.txns, duplicates));
        }
        Ok(Resolved::Each(Box::new(Self { aside, limits, groups, effective, keys })))
    }

    /// The transactions.
    pub(super) fn txns(&self) -> &Arc<Txns> {
        &self.aside.txns
    }

    /// Reads of transactions that completed `ok`.
    pub(super) fn ok_reads(&self) -> u64 {
        self.aside.ok_reads
    }

    /// Some keys, as if there were no others.
    fn index(
        &self,
        partitions: impl IntoIterator<Item = usize>,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Result<Index, SpillError> {
        let mut columns: Columns = self.aside.records.columns(Arc::clone(self.txns()), partitions, is_wanted)?;
        // There are no duplicates, or it would not have come to this.
        let resolved = Index::resolve(&mut columns, &mut Vec::new(), |_, _, (): &mut ()| {});
        let mut index = resolved.map_or_else(|_| unreachable!("no value was written twice"), |(index, _)| index);
        index.set_effective(&self.effective);
        index.complete();
        Ok(index)
    }

    /// The keys with these names.
    pub(super) fn index_of(&self, keys: &BTreeSet<i64>) -> Result<Index, SpillError> {
        let partitions: BTreeSet<usize> = keys.iter().map(|key| partition_of(*key)).collect();
        self.index(partitions, |key| keys.contains(&key))
    }

    /// Goes through all keys, some at a time.
    fn each_group(&self, mut each: impl FnMut(&Index)) -> Result<(), SpillError> {
        self.groups.iter().try_for_each(|group| {
            each(&self.index(group.clone(), |_| true)?);
            Ok(())
        })
    }

    /// The answer, as far as it can be had.
    pub(super) fn judge(
        &self,
        sources: &Sources,
        order: Order,
        options: &Options,
        mut raw: Vec<Raw>,
    ) -> Result<Found, SpillError> {
        let txns: &Txns = self.txns();
        let Limits { memory_bytes_max, spill } = &self.limits;
        let first = self.groups.last().map_or(0, |group| group.end);
        let mut collected = Collected::new(&self.limits, first, txns.len());
        let first = first + Collected::streams(txns.len());
        let mut edges = Edges::new(txns, order == Order::Realtime);
        edges.limit(Arc::clone(spill), first, memory_bytes_max / 4);
        let mut judged = Judged::default();
        let mut deadline: Vec<u32> = (0..txns.len() as u32).map(|txn| txns.end(txn)).collect();
        let (mut open_keys, mut has_torn_reads) = (0, false);
        self.each_group(|index| {
            keys::updates(index, &mut raw);
            let facts = keys::examine_with(index, sources, &mut raw, |_, order| collected.add_key(order));
            open_keys += facts.open_keys;
            has_torn_reads |= facts.has_torn_reads;
            judged.edges += facts.dependencies.len();
            deadline.iter_mut().zip(&facts.deadline).for_each(|(least, one)| *least = (*least).min(*one));
            collected.add_orders(&facts.dependencies.ww);
            edges.add(facts.dependencies);
        })?;
        judged.tell_open(open_keys, self.keys, order);
        let pages_max = (memory_bytes_max / 8 / BYTES_PER_PAGE).clamp(4, 1 << 12) as usize;
        if open_keys > 0 && !has_torn_reads {
            let steps = Steps::outside(collected, txns, &self.effective, &deadline, pages_max);
            let schedule = witness::schedule(&steps, order, Stuck::Stop);
            steps.check()?;
            if schedule.forced == 0 {
                judged.take_witness(order);
                return Ok(Found { raw, judged, sights_known: true });
            }
        }
        drop(deadline);
        let (cycles, suspects) = find_cycles_and_members(&edges, order)?;
        let first = first + edges.buckets();
        drop(edges);
        if cycles.is_empty() && open_keys == 0 && !has_torn_reads {
            if order != Order::Data {
                judged.sessions = Sessions::all();
            }
            return Ok(Found { raw, judged, sights_known: true });
        }
        if order != Order::Data {
            judged.sessions = self.sessions(sources, &mut raw)?;
        }
        if !cycles.is_empty() {
            self.name_cycles(sources, order, (cycles, suspects), first, &mut judged)?;
        }
        if has_torn_reads {
            // Not every read of such a transaction gives dependencies: that no cycle was found means little.
            judged.settled = None;
        }
        judged.doubt = self.doubt(options, &raw, &judged);
        Ok(Found { raw, judged, sights_known: false })
    }

    /// What is in the way of an answer, unless something contradicts the model.
    fn doubt(&self, options: &Options, raw: &[Raw], judged: &Judged) -> Option<Reason> {
        let proscribed = options.model.proscribed();
        let cycles = judged.cycles.iter().map(|named| named.kind.name());
        let mut names = raw.iter().map(Raw::name).chain(cycles).chain(judged.prefix.iter().map(|(name, _)| *name));
        if names.any(|name| proscribed.contains(name))
            || judged.settled.is_some() && Need::of(options.model) != Need::Nothing
        {
            return None;
        }
        let text = format!(
            "no serial order that explains every read was found, and what else there may be is looked at in memory only: {} \
             bytes are not enough for {} reads and writes; give it more memory, or judge it by parts",
            self.limits.memory_bytes_max,
            self.aside.records.len(),
        );
        Some(Reason::new("MEMORY_SPENT", text))
    }

    fn sessions(&self, sources: &Sources, raw: &mut Vec<Raw>) -> Result<Sessions, SpillError> {
        let mut all = Sessions::all();
        self.each_group(|index| {
            let sessions = sessions::examine(index, sources, raw);
            all.held.retain(|name| sessions.held.contains(name));
        })?;
        Ok(all)
    }

    /// As [`super::judge`] names cycles in memory.
    fn name_cycles(
        &self,
        sources: &Sources,
        order: Order,
        (cycles, suspects): (Vec<Cycle>, Vec<u32>),
        first: usize,
        judged: &mut Judged,
    ) -> Result<(), SpillError> {
        let told = BTreeSet::new();
        if sources.implied & !sources.assumed == 0 {
            let dependencies = self.dependencies_among(sources, &suspects)?;
            judged.take(cycles, &dependencies, &suspects, &told);
            return Ok(());
        }
        let certain = Sources { implied: 0, ..sources.clone() };
        let mut edges = Edges::new(self.txns(), order == Order::Realtime);
        edges.limit(Arc::clone(&self.limits.spill), first, self.limits.memory_bytes_max / 4);
        let steps: Vec<Step> = cycles.iter().flat_map(|cycle| cycle.steps.iter().copied()).collect();
        let mut is_known = vec![false; steps.len()];
        self.each_group(|index| {
            let dependencies = keys::examine(index, &certain, &mut Vec::new()).dependencies;
            let known = KnownEdges::new(&dependencies);
            is_known.iter_mut().zip(&steps).for_each(|(is_known, step)| *is_known |= known.has(step));
            drop(known);
            edges.add(dependencies);
        })?;
        let mut is_known = is_known.as_slice();
        let mut implied: Vec<Cycle> = cycles;
        implied.retain(|cycle| {
            let (of_cycle, rest) = is_known.split_at(cycle.steps.len());
            is_known = rest;
            of_cycle.contains(&false)
        });
        let (cycles, suspects) = find_cycles_and_members(&edges, order)?;
        drop(edges);
        let dependencies = self.dependencies_among(&certain, &suspects)?;
        judged.take(cycles, &dependencies, &suspects, &told);
        judged.add_implied(implied, if order == Order::Realtime { 2 } else { 1 });
        Ok(())
    }

    /// The dependencies between some transactions, which ascend.
    fn dependencies_among(&self, sources: &Sources, txns: &[u32]) -> Result<Dependencies, SpillError> {
        let mut among = Dependencies::default();
        if txns.is_empty() {
            return Ok(among);
        }
        let is_one = |txn: &u32| txns.binary_search(txn).is_ok();
        let both = |(from, to): &(u32, u32)| is_one(from) && is_one(to);
        let some = |all: Vec<u32>| all.into_iter().filter(is_one).collect();
        self.each_group(|index| {
            let Dependencies { ww, wr, rw, fans } = keys::examine(index, sources, &mut Vec::new()).dependencies;
            among.ww.extend(ww.into_iter().filter(both));
            among.wr.extend(wr.into_iter().filter(both));
            among.rw.extend(rw.into_iter().filter(both));
            let fan = |fan: Fan| Fan { readers: some(fan.readers), appenders: some(fan.appenders) };
            among.fans.extend(fans.into_iter().map(fan));
        })?;
        Ok(among)
    }
}
