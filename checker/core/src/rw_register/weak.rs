//! Weak levels, for which the order of versions need not be known: what each transaction saw already says which writers
//! came before which.
//!
//! If T read key x from W, and saw V, which wrote x too, then V came before W: else T would have read x from V, or from
//! something later. Levels differ in what "T saw V" means ([`Rule`]). A history keeps a level exactly if these orders of
//! writers contradict neither each other nor "reads from" (with processes: nor the order in each process); see Biswas and
//! Enea, "On the complexity of checking transactional consistency", OOPSLA 2019. The initial version comes before all
//! writers, so a T that read it and saw V is a contradiction by itself.
//!
//! **How.** Transactions are laid in an order that agrees with "reads from" and the processes, near that of time. If V
//! stands before W in it, the order of the two writers goes forward; a cycle needs one that goes backward, and lies wholly
//! in the union of the stretches that those span. So first only the writers between W and T are looked at, for each read
//! of T: few or none where reads are fresh. If one of these, V, depends on W, that is a contradiction to causality by itself,
//! and told. Only where none does, all orders within the stretches are gathered and searched for cycles. Time is linear in
//! the sum, over all reads, of the writers between what was read and the reader (for causality: of the transactions in
//! between, if there is such a writer); memory is linear.

use super::index::{Index, NEVER};
use crate::consistency::Order;
use crate::spill::SpillError;
use crate::transactions::cycles::{Cycle, Kind, Step};
use crate::transactions::dependencies::Dependencies;
use crate::transactions::edges::Edges;
use crate::transactions::graph::{PROCESS, RW, WR, WW};
use crate::transactions::scc::Walks;
use crate::transactions::visibility::rows::Rows;
use crate::transactions::{NONE, find_cycles};
use std::borrow::Cow;

/// What it means that one transaction saw another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It read from it, and only then what is compared: reads go forward only.
    Monotonic,
    /// It read from it, or follows it in its process: what is seen is seen as a whole.
    Atomic,
    /// It depends on it, by any number of such steps: causality.
    Causal,
}

/// That one writer came before another: the reader that shows it, and the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) reader: u32,
    pub(crate) key: u32,
}

/// Contradictions to one rule.
#[derive(Debug, Default)]
pub(crate) struct Weak {
    /// Cycles; a ww step is an order of writers that a reader shows, and is found in `shown`.
    pub(crate) cycles: Vec<Cycle>,
    /// Orders of writers in the stretches that were searched, ascending.
    pub(crate) shown: Vec<Shown>,
    /// Whether reads and processes contradict each other by themselves. What those who are part of that read was then left
    /// out.
    pub(crate) contradictory: bool,
}

/// Who reads what others contradict: the readers that show the ww steps of a cycle, and those of the past.
pub(crate) fn readers<'w>(cycle: &'w Cycle, shown: &'w [Shown]) -> impl Iterator<Item = u32> + 'w {
    cycle.steps.iter().filter_map(|step| match step.label {
        WW => {
            let place = shown.binary_search_by_key(&(step.from, step.to), |shown| (shown.before, shown.after)).ok()?;
            Some(shown[place].reader)
        }
        RW => Some(step.from),
        _ => None,
    })
}

/// How far contradictions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Until all are found, or it is certain that there is none.
    All,
    /// Only those that one reader shows.
    Direct,
}

/// The name of a contradiction.
pub(crate) fn name(rule: Rule, processes: bool) -> &'static str {
    match (rule, processes) {
        (_, true) => "causal-violation-process",
        (Rule::Monotonic, false) => "non-monotonic-read",
        (Rule::Atomic, false) => "fractured-read",
        (Rule::Causal, false) => "causal-violation",
    }
}

/// Finds what contradicts a rule, with or without the order in processes. Reads that contradict each other and processes by
/// themselves are left out: they are a cycle of wr (and process) steps, and told as such. `places` is an order
/// of all transactions that took effect, which agrees with reads and processes, if one is known.
///
/// # Errors
/// If edges that were put aside cannot be had back.
pub(crate) fn examine(
    index: &Index,
    rule: Rule,
    processes: bool,
    places: Option<&[u32]>,
    depth: Depth,
) -> Result<Weak, SpillError> {
    let Some(mut search) = Search::new(index, rule, processes, places) else {
        return Ok(Weak { contradictory: true, ..Weak::default() });
    };
    let mut weak = Weak { contradictory: !search.circular.is_empty(), ..Weak::default() };
    let mut backward: Vec<(u32, u32)> = Vec::new();
    let mut stale: Vec<Shown> = Vec::new();
    search.each(|search, read, writer, other| {
        if writer == NONE {
            let cycle = search.past_initial(read, other);
            weak.cycles.push(cycle);
        } else if search.rank[other as usize] > search.rank[writer as usize] {
            backward.push((search.rank[writer as usize], search.rank[other as usize]));
            stale.push(search.shown(read, writer, other));
        }
    });
    if backward.is_empty() {
        return Ok(weak);
    }
    if rule == Rule::Causal && (search.overwritten(stale, &mut weak) || depth == Depth::Direct) {
        return Ok(weak);
    }
    search.stretches(&mut backward);
    let mut shown: Vec<Shown> = Vec::new();
    search.each(|search, read, writer, before| {
        if writer != NONE {
            shown.push(search.shown(read, writer, before));
        }
    });
    shown.sort_unstable();
    shown.dedup_by_key(|shown| (shown.before, shown.after));
    let dependencies = Dependencies {
        ww: shown.iter().map(|shown| (shown.before, shown.after)).collect(),
        wr: search.reads_from(),
        ..Dependencies::default()
    };
    let mut edges = Edges::new(&index.columns.txns, false);
    edges.add(dependencies);
    weak.cycles.extend(find_cycles(&edges, if processes { Order::Process } else { Order::Data })?);
    weak.shown = shown;
    Ok(weak)
}

struct Search<'i> {
    index: &'i Index,
    rule: Rule,
    processes: bool,
    /// Place of each transaction in an order that agrees with reads and processes.
    rank: Cow<'i, [u32]>,
    /// The transaction before each in its process; `NONE` without one.
    previous: Vec<u32>,
    /// Transactions that depend on themselves, by which their reads say nothing; empty if there are none.
    circular: Vec<bool>,
    /// End of the stretch that begins at or before each rank and covers it; 0 where none does. Empty in the first pass.
    stretch: Vec<u32>,
    mark: Vec<u32>,
    walk: u32,
    from: Vec<(u32, u8)>,
    queue: Vec<u32>,
    /// Writers of the key at hand, by rank.
    writers: Vec<(u32, u32)>,
}

impl<'i> Search<'i> {
    fn new(index: &'i Index, rule: Rule, processes: bool, places: Option<&'i [u32]>) -> Option<Self> {
        let txns = index.columns.txns.len();
        let mut previous = vec![NONE; if processes { txns } else { 0 }];
        if processes {
            let effective = (0..txns as u32).filter(|txn| index.is_effective(*txn));
            let mut by_process: Vec<(i64, u32)> = effective.map(|txn| (index.columns.txns.process(txn), txn)).collect();
            by_process.sort_unstable();
            for pair in by_process.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                previous[pair[1].1 as usize] = pair[0].1;
            }
        }
        let mut search = Self {
            index,
            rule,
            processes,
            rank: Cow::Borrowed(places.unwrap_or_default()),
            previous,
            circular: Vec::new(),
            stretch: Vec::new(),
            mark: vec![0; txns],
            walk: 0,
            from: Vec::new(),
            queue: Vec::new(),
            writers: Vec::new(),
        };
        if places.is_none() {
            let ranks = search.ranks().or_else(|| {
                search.circular = search.find_circular();
                search.ranks()
            });
            search.rank = Cow::Owned(ranks?);
        }
        Some(search)
    }

    /// What a transaction directly depends on: whom it reads from, and who is before it in its process.
    fn depends_on(&self, txn: u32) -> impl Iterator<Item = (u32, u8)> + '_ {
        let columns = &self.index.columns;
        let reads = columns.mops(txn).filter(move |mop| columns.is_foreign_read(*mop) && !self.is_circular(txn));
        let sources = reads.map(|mop| (self.read_from(mop), WR)).filter(move |(from, _)| ![NONE, txn].contains(from));
        let previous = self.previous.get(txn as usize).copied().unwrap_or(NONE);
        sources.chain((previous != NONE).then_some((previous, PROCESS)))
    }

    fn is_circular(&self, txn: u32) -> bool {
        self.circular.get(txn as usize).copied().unwrap_or(false)
    }

    /// Transactions that depend on themselves.
    fn find_circular(&self) -> Vec<bool> {
        let count = self.index.columns.txns.len();
        let mut circular = vec![false; count];
        let sources = |txn: u32| self.depends_on(txn).map(move |(from, _)| (from, txn, true));
        let edges: Vec<(u32, u32, bool)> = (0..count as u32).flat_map(sources).collect();
        Walks::default().components(&Rows::new(count, &edges), 0..count as u32, |nodes| {
            nodes.iter().filter(|_| nodes.len() > 1).for_each(|txn| circular[*txn as usize] = true);
        });
        circular
    }

    /// Who wrote the version that a read saw; `NONE` if nobody did.
    fn read_from(&self, read: usize) -> u32 {
        match self.index.version(read) {
            0 | NONE => NONE,
            _ => self.index.columns.txn(self.index.write_of(read) as usize),
        }
    }

    /// An order that agrees, close to that in which effects were seen; nothing if there is none. Whoever comes next is
    /// preceded by what it depends on, depth first.
    fn ranks(&self) -> Option<Vec<u32>> {
        let txns = &self.index.columns.txns;
        let count = txns.len() as u32;
        let mut in_time: Vec<(u32, u32)> = (0..count).map(|txn| (txns.position(txn), txn)).collect();
        in_time.sort_unstable();
        let mut rank = vec![NONE; count as usize];
        let mut is_entered = vec![false; count as usize];
        let mut place = 0;
        let mut path: Vec<u32> = Vec::new();
        for (_, txn) in in_time {
            path.push(txn);
            while let Some(at) = path.last().copied() {
                if rank[at as usize] != NONE {
                    path.pop();
                } else if is_entered[at as usize] {
                    path.pop();
                    rank[at as usize] = place;
                    place += 1;
                } else {
                    is_entered[at as usize] = true;
                    for (from, _) in self.depends_on(at).filter(|(from, _)| rank[*from as usize] == NONE) {
                        // Entered and not placed: it depends on the one at hand.
                        if is_entered[from as usize] {
                            return None;
                        }
                        path.push(from);
                    }
                }
            }
        }
        Some(rank)
    }

    /// Merges the stretches of backward orders.
    fn stretches(&mut self, backward: &mut [(u32, u32)]) {
        backward.sort_unstable();
        self.stretch = vec![0; self.rank.len()];
        let mut at = 0;
        while at < backward.len() {
            let (first, mut last) = backward[at];
            while let Some(next) = backward.get(at).filter(|next| next.0 <= last) {
                last = last.max(next.1);
                at += 1;
            }
            self.stretch[first as usize..=last as usize].fill(last + 1);
        }
    }

    /// Whether two transactions lie in one stretch.
    fn together(&self, one: u32, other: u32) -> bool {
        let end = |txn: u32| self.stretch[self.rank[txn as usize] as usize];
        end(one) != 0 && end(one) == end(other)
    }

    /// Visits every read, the writer that it read from (`NONE`: the initial version), and another writer of the key that its
    /// reader saw. In the first pass only those that stand behind that writer; in the second one those in one stretch with
    /// it.
    fn each(&mut self, mut visit: impl FnMut(&mut Self, usize, u32, u32)) {
        let columns = &self.index.columns;
        let mut candidates: Vec<u32> = Vec::new();
        for key in 0..columns.keys.len() as u32 {
            self.writers.clear();
            for mop in columns.of_key(key).iter().map(|mop| *mop as usize) {
                if columns.is_write(mop) && self.index.version(mop) != NONE {
                    let txn = columns.txn(mop);
                    self.writers.push((self.rank[txn as usize], txn));
                }
            }
            if self.writers.is_empty() {
                continue;
            }
            self.writers.sort_unstable();
            for read in columns.of_key(key).iter().map(|mop| *mop as usize).filter(|mop| columns.is_foreign_read(*mop))
            {
                let initial = self.index.write_of(read) == NEVER;
                let (reader, writer) = (columns.txn(read), self.read_from(read));
                let is_silent = (writer == NONE && !initial) || self.is_circular(reader);
                if is_silent || (initial && !self.stretch.is_empty()) {
                    continue;
                }
                self.gather(reader, writer, &mut candidates);
                if candidates.is_empty() {
                    continue;
                }
                self.keep_seen(read, &mut candidates);
                for other in candidates.drain(..) {
                    visit(self, read, writer, other);
                }
            }
        }
    }

    /// The writers that matter, whether or not the reader saw them.
    fn gather(&self, reader: u32, writer: u32, candidates: &mut Vec<u32>) {
        candidates.clear();
        let end = self.writers.partition_point(|(rank, _)| *rank < self.rank[reader as usize]);
        let others = |first: usize| {
            let all = self.writers.get(first..end).unwrap_or(&[]).iter().map(|(_, txn)| *txn);
            all.filter(|txn| *txn != writer && *txn != reader)
        };
        if self.stretch.is_empty() {
            let behind = |rank: &u32| writer != NONE && *rank <= self.rank[writer as usize];
            candidates.extend(others(self.writers.partition_point(|(rank, _)| behind(rank))));
        } else if self.stretch[self.rank[writer as usize] as usize] != 0 {
            candidates.extend(others(0).filter(|txn| self.together(*txn, writer)));
        }
    }

    /// Leaves those that the reader saw.
    fn keep_seen(&mut self, read: usize, candidates: &mut Vec<u32>) {
        let columns = &self.index.columns;
        let reader = columns.txn(read);
        match self.rule {
            Rule::Causal => {
                let least = candidates.iter().map(|txn| self.rank[*txn as usize]).min().unwrap_or(0);
                self.walk_back(reader, least);
                candidates.retain(|txn| self.mark[*txn as usize] == self.walk);
            }
            Rule::Monotonic | Rule::Atomic => {
                let mops = columns.mops(reader);
                let last = if self.rule == Rule::Monotonic { read } else { mops.end };
                let mut sources = std::mem::take(&mut self.queue);
                sources.clear();
                sources.extend(
                    (mops.start..last).filter(|mop| columns.is_foreign_read(*mop)).map(|mop| self.read_from(mop)),
                );
                let process = |txn: u32| columns.txns.process_number(txn);
                let follows = |txn: u32| {
                    self.processes && self.rule == Rule::Atomic && process(txn) == process(reader) && txn < reader
                };
                candidates.retain(|txn| sources.contains(txn) || follows(*txn));
                self.queue = sources;
            }
        }
    }

    /// Marks everything that a transaction depends on, down to a rank.
    fn walk_back(&mut self, reader: u32, least: u32) {
        self.walk += 1;
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        queue.push(reader);
        let mut at = 0;
        while let Some(txn) = queue.get(at).copied() {
            at += 1;
            let next = queue.len();
            queue.extend(self.depends_on(txn).map(|(from, _)| from));
            let mut kept = next;
            for place in next..queue.len() {
                let from = queue[place];
                if self.rank[from as usize] >= least && self.mark[from as usize] != self.walk {
                    self.mark[from as usize] = self.walk;
                    queue[kept] = from;
                    kept += 1;
                }
            }
            queue.truncate(kept);
        }
        self.queue = queue;
    }

    /// That a reader, which saw another writer of the key, shows the order of the two.
    fn shown(&self, read: usize, after: u32, before: u32) -> Shown {
        let columns = &self.index.columns;
        Shown { before, after, reader: columns.txn(read), key: columns.key(read) }
    }

    /// Whether some reader saw somebody who overwrote what it read, and depends on who wrote that: a contradiction by
    /// itself, which can be told without looking at all that others saw. The nearest ones are looked for, and not all where
    /// there are many.
    fn overwritten(&mut self, mut stale: Vec<Shown>, weak: &mut Weak) -> bool {
        /// Contradictions that are told, at most.
        const TOLD_MAX: usize = 64;
        let span = |shown: &Shown| self.rank[shown.before as usize] - self.rank[shown.after as usize];
        stale.sort_unstable_by_key(|shown| (span(shown), *shown));
        stale.dedup_by_key(|shown| (shown.before, shown.after));
        let mut transactions = 0;
        for shown in stale {
            transactions += u64::from(self.rank[shown.before as usize] - self.rank[shown.after as usize]);
            if weak.shown.len() == TOLD_MAX || transactions > 4 * self.rank.len() as u64 {
                break;
            }
            if let Some(mut steps) = self.way(shown.after, shown.before) {
                steps.push(Step { from: shown.before, to: shown.after, label: WW });
                weak.cycles.push(Cycle { kind: Kind::of(&steps), steps });
                weak.shown.push(shown);
            }
        }
        weak.shown.sort_unstable();
        !weak.shown.is_empty()
    }

    /// The cycle of a transaction that read the initial version of a key and depends on someone who wrote it.
    fn past_initial(&mut self, read: usize, writer: u32) -> Cycle {
        let reader = self.index.columns.txn(read);
        let mut steps = self.way(writer, reader).unwrap_or_default();
        steps.push(Step { from: reader, to: writer, label: RW });
        Cycle { kind: Kind::of(&steps), steps }
    }

    /// A shortest way from a transaction to one that depends on it: breadth first, backward.
    fn way(&mut self, first: u32, last: u32) -> Option<Vec<Step>> {
        if self.from.is_empty() {
            self.from = vec![(NONE, 0); self.mark.len()];
        }
        self.walk += 1;
        let mut queue = vec![last];
        let mut at = 0;
        while let Some(txn) = queue.get(at).copied() {
            at += 1;
            let before: Vec<(u32, u8)> = self.depends_on(txn).collect();
            for (from, label) in before {
                if self.mark[from as usize] != self.walk && self.rank[from as usize] >= self.rank[first as usize] {
                    self.mark[from as usize] = self.walk;
                    self.from[from as usize] = (txn, label);
                    queue.push(from);
                }
            }
            if self.mark[first as usize] == self.walk {
                break;
            }
        }
        if self.mark[first as usize] != self.walk {
            return None;
        }
        let mut steps = Vec::new();
        let mut txn = first;
        while txn != last {
            let (next, label) = self.from[txn as usize];
            steps.push(Step { from: txn, to: next, label });
            txn = next;
        }
        Some(steps)
    }

    /// Reads within stretches.
    fn reads_from(&self) -> Vec<(u32, u32)> {
        let columns = &self.index.columns;
        let speaks = |mop: &usize| columns.is_foreign_read(*mop) && !self.is_circular(columns.txn(*mop));
        let reads = (0..columns.len()).filter(speaks);
        let edges = reads.map(|mop| (self.read_from(mop), columns.txn(mop)));
        edges.filter(|(from, to)| *from != NONE && from != to && self.together(*from, *to)).collect()
    }
}
