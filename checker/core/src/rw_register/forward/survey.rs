//! What the keys show, counted: dependencies are not kept, but for those that time alone does not put in order.

use super::super::at_hand::{AtHand, PIECE, Slice};
use super::super::columns::{AGAIN, EXTERNAL, WRITE};
use super::super::index::{Index, Key, NEVER, NOBODY, Visited};
use super::super::keys::is_fan;
use super::super::threads;
use super::effects;
use crate::op::Outcome;
use crate::transactions::{NONE, Txns};

/// What keys showed: all of them, or those of a [`Part`], which are in no order yet.
#[derive(Debug)]
pub(super) struct Survey {
    /// Dependencies, as [`super::super::keys::examine`] would give them.
    pub(super) dependencies: usize,
    /// Keys whose version order is not known in full.
    pub(super) open_keys: u64,
    /// Who overwrote a version, and who read it and was not done when the other one began. In ascending order.
    pub(super) before: Vec<(u32, u32)>,
    /// Pairs like those of `before` where neither has to follow the other, but most likely does: both wrote the key at the
    /// same time, and long after the second one was done somebody read what the first one wrote. In ascending order.
    pub(super) likely: Vec<(u32, u32)>,
    /// Readers, and whom they read from without that being over when they began; nothing if they are many. In ascending
    /// order.
    pub(super) overlaps: Option<Vec<(u32, u32)>>,
    /// Keys, ascending, where an order that keeps to real time may have a writer between another one and its reader.
    pub(super) loose: Vec<u32>,
    /// Transactions without an end, ascending, and the moment at which they seem to have taken effect.
    pub(super) effects: Vec<(u32, u32)>,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            dependencies: 0,
            open_keys: 0,
            before: Vec::new(),
            likely: Vec::new(),
            // Of no keys all overlaps are known.
            overlaps: Some(Vec::new()),
            loose: Vec::new(),
            effects: Vec::new(),
        }
    }
}

impl Survey {
    /// Adds what further keys showed.
    fn add(&mut self, other: Self) {
        self.dependencies += other.dependencies;
        self.open_keys += other.open_keys;
        self.before.extend(other.before);
        self.likely.extend(other.likely);
        self.overlaps = self.overlaps.take().zip(other.overlaps).map(|(mut overlaps, others)| {
            overlaps.extend(others);
            overlaps
        });
        self.loose.extend(other.loose);
        self.effects.extend(other.effects);
    }

    /// Puts everything in order.
    fn sort(&mut self) {
        self.before.sort_unstable();
        self.likely.sort_unstable();
        self.likely.dedup();
        self.overlaps.iter_mut().for_each(|overlaps| overlaps.sort_unstable());
        // As many ascending runs as parts: this sort merges them.
        self.loose.sort();
        effects::keep_latest(&mut self.effects);
    }
}

/// What some keys showed, one after the other.
#[derive(Debug, Default)]
pub(in super::super) struct Part {
    survey: Survey,
    versions: Versions,
    /// An update was lost, or too much would have to be kept.
    is_hopeless: bool,
}

impl Part {
    /// Takes a key in, whose reads are resolved and of whose writers is known whether they took effect.
    pub(in super::super) fn key(&mut self, index: &Index, key: Key<'_>) {
        self.is_hopeless = self.is_hopeless || self.add(index, key).is_none();
    }

    fn add(&mut self, index: &Index, key: Key<'_>) -> Option<()> {
        let most = index.columns.len() / 8 + 1024;
        let Self { survey, versions, .. } = self;
        versions.load(index, key, true)?;
        survey.dependencies += versions.dependencies();
        survey.open_keys += u64::from(!versions.is_total());
        let txns = &index.columns.txns;
        versions.before(txns, most, &mut survey.before)?;
        effects::guess(txns, versions, &mut survey.effects);
        if let Some(overlaps) = &mut survey.overlaps {
            versions.overlaps(overlaps);
        }
        survey.overlaps.take_if(|overlaps| overlaps.len() >= overlaps_max(index));
        if versions.is_loose(txns, survey) {
            survey.loose.push(key.key);
        }
        Some(())
    }
}

/// Overlaps from which on a part keeps none.
fn overlaps_max(index: &Index) -> usize {
    index.columns.len() / 64 + 64
}

/// What all keys showed, the open ones of which were not looked at; nothing if an update was lost, or if too much would have
/// to be kept.
pub(super) fn survey(index: &Index, begun: Visited<Part>) -> Option<Survey> {
    let Visited { mut parts, open } = begun;
    let threads = threads::count(index.columns.len());
    parts.extend(threads::each(open.chunks(open.len().div_ceil(threads).max(1)).collect(), |keys: &[u32]| {
        let mut part = Part::default();
        keys.iter().for_each(|key| part.key(index, Key { key: *key, at_hand: None }));
        part
    }));
    let mut whole = Survey::default();
    for Part { survey, is_hopeless, .. } in parts {
        if is_hopeless {
            return None;
        }
        whole.add(survey);
    }
    whole.sort();
    Some(whole)
}

/// The versions of a key and who met them. Reusable.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// By number of the write: how many read it, and who read and overwrote it (`NONE`: nobody).
    met: Vec<(u32, u32)>,
    /// Reads before any write of one's own: the transaction, and the number of the write that was read, or [`NEVER`].
    pub(super) reads: Vec<(u32, u32)>,
    /// Who wrote a version, and the number of the write, in order of invocation.
    pub(super) writers: Vec<(u32, u32)>,
    /// Who wrote without having read what somebody else wrote, in order of invocation.
    pub(super) roots: Vec<u32>,
    /// Invocations and ends of the readers.
    times: Vec<(u32, u32)>,
    /// The same of the writers: invocation, end, and the latest end of those in front.
    spans: Vec<(u32, u32, u32)>,
    at_hand: AtHand,
    again: usize,
    initial_readers: usize,
    initial_overwritten: usize,
}

impl Versions {
    /// Makes it that of a key, with the times of readers and writers if they are needed; nothing if an update was lost, or if
    /// versions follow each other in a circle.
    pub(super) fn load(&mut self, index: &Index, key: Key<'_>, with_times: bool) -> Option<()> {
        let mops = index.columns.of_key(key.key);
        self.met.clear();
        self.met.resize(mops.len(), (0, NONE));
        self.reads.clear();
        self.writers.clear();
        self.roots.clear();
        self.times.clear();
        self.spans.clear();
        (self.again, self.initial_readers, self.initial_overwritten) = (0, 0, 0);
        let mut seen = (NONE, NOBODY);
        if let Some(at_hand) = key.at_hand {
            self.add(index, at_hand, &mut seen)?;
        } else {
            let mut at_hand = std::mem::take(&mut self.at_hand);
            for piece in mops.chunks(PIECE) {
                at_hand.fetch(&index.columns, piece);
                at_hand.fetch_numbers(index, piece);
                if with_times {
                    at_hand.fetch_times(&index.columns.txns);
                }
                self.add(index, at_hand.all(), &mut seen)?;
            }
            self.at_hand = at_hand;
        }
        let mut done = 0;
        for (_, end, before) in &mut self.spans {
            *before = done;
            done = done.max(*end);
        }
        (self.writers.is_empty() || !self.roots.is_empty()).then_some(())
    }

    /// The next micro-operations of the key; `seen` is the last read of another's version, and the number of that.
    fn add(&mut self, index: &Index, at_hand: Slice<'_>, seen: &mut (u32, u32)) -> Option<()> {
        let Slice { kind, txn, number, time, .. } = at_hand;
        for place in 0..kind.len() {
            let (kind, txn, number) = (kind[place], txn[place], number[place]);
            if kind & (WRITE | EXTERNAL) == EXTERNAL {
                *seen = (txn, number);
                self.reads.push(*seen);
                self.times.extend(time.get(place));
                match number {
                    NEVER => self.initial_readers += 1,
                    number => self.met[number as usize].0 += 1,
                }
            } else if kind & WRITE == 0 {
                self.again += usize::from(kind & AGAIN != 0 && number != NEVER);
            } else if kind & EXTERNAL != 0 && index.is_effective(txn) {
                self.writers.push((txn, number));
                self.spans.extend(time.get(place).map(|(invoke, end)| (*invoke, *end, 0)));
                self.overwrites(txn, if seen.0 == txn { seen.1 } else { NOBODY })?;
            }
        }
        Some(())
    }

    fn overwrites(&mut self, txn: u32, seen: u32) -> Option<()> {
        match seen {
            NOBODY => self.roots.push(txn),
            NEVER => {
                self.roots.push(txn);
                self.initial_overwritten += 1;
            }
            number => {
                let slot = &mut self.met[number as usize].1;
                if *slot != NONE {
                    return None;
                }
                *slot = txn;
            }
        }
        (self.initial_overwritten <= 1).then_some(())
    }

    /// Who read and overwrote what a read saw, if anybody; not for the initial version.
    pub(super) fn overwriter(&self, number: u32) -> u32 {
        self.met[number as usize].1
    }

    /// Who made the version of a write, if that is one.
    pub(super) fn writer(&self, number: u32) -> Option<u32> {
        self.place(number).map(|place| self.writers[place].0)
    }

    /// Whether each version but one was made from another one: no two from the same, since no update was lost.
    fn is_total(&self) -> bool {
        self.roots.len() <= 1
    }

    /// Edges from writers to readers, and from readers to whoever overwrote what they read.
    fn dependencies(&self) -> usize {
        let of_others = self.reads.len() - self.initial_readers + self.again;
        let overwritten = self.met.iter().filter(|(_, overwriter)| *overwriter != NONE);
        // Whoever overwrote a version is one of its readers.
        let of_readers: usize = overwritten.map(|(readers, _)| *readers as usize - 1).sum();
        let (readers, roots) = (self.initial_readers, self.roots.len());
        let of_initial =
            if !self.is_total() && is_fan(readers, roots) { 1 } else { readers * roots - self.initial_overwritten };
        of_others + of_readers + of_initial
    }

    /// Readers that began before those were done whom they read from.
    fn overlaps(&self, overlaps: &mut Vec<(u32, u32)>) {
        for ((reader, number), (invoke, _)) in self.reads.iter().zip(&self.times).filter(|(read, _)| read.1 != NEVER) {
            let place = self.place(*number).filter(|place| self.spans[*place].1 >= *invoke);
            overlaps.extend(place.map(|place| (*reader, self.writers[place].0)));
        }
    }

    /// Whether an order that keeps to real time may have a writer between another one and its reader. O(n).
    fn is_loose(&self, txns: &Txns, survey: &mut Survey) -> bool {
        let mut is_loose = false;
        for ((reader, number), (invoke, end)) in self.reads.iter().zip(&self.times) {
            let place = if *number == NEVER { None } else { self.place(*number) };
            let first = place.map_or(0, |place| place + 1);
            let own = self.writers.get(first).is_some_and(|writer| writer.0 == *reader);
            let next = self.spans.get(first + usize::from(own));
            let may_follow = next.is_some_and(|next| next.0 < *end);
            let may_precede = place.map(|place| self.spans[place]).is_some_and(|(invoke, _, done)| done > invoke);
            if may_follow || may_precede {
                is_loose = true;
                place.inspect(|place| self.likely(txns, *place, *invoke, survey));
            }
        }
        is_loose
    }

    /// Whom a writer most likely follows of those that overlap with it, since it was read at a moment.
    fn likely(&self, txns: &Txns, place: usize, read: u32, survey: &mut Survey) {
        /// Events between a writer and a reader that make it dear to find out whether one depends on the other; tests meet
        /// them in short histories.
        const FAR: u32 = if cfg!(test) { 32 } else { 1024 };
        /// Writers that are looked at in both directions.
        const NEAR: usize = 16;
        let writer = self.writers[place].0;
        let others = &self.writers[place.saturating_sub(NEAR)..self.writers.len().min(place + NEAR)];
        let overlaps = |other: u32| {
            txns.invoke(other) < txns.end(writer) && txns.invoke(writer) < txns.end(other) && other != writer
        };
        let is_open = txns.outcome(writer) == Outcome::Info;
        let far = if is_open { 0 } else { FAR };
        let is_past = |other: u32| read.checked_sub(txns.end(other)).is_some_and(|gap| gap > far);
        let past = others.iter().map(|other| other.0).filter(|other| is_past(*other) && overlaps(*other));
        if is_open {
            survey.effects.extend(past.map(|other| (writer, txns.end(other))));
        } else {
            survey.likely.extend(past.map(|other| (writer, other)));
        }
    }

    /// The place among the writers of who made a version. O(1) where every write is a version, else O(log n).
    fn place(&self, number: u32) -> Option<usize> {
        match self.writers.get(number as usize) {
            Some(writer) if writer.1 == number => Some(number as usize),
            _ => self.writers.binary_search_by_key(&number, |writer| writer.1).ok(),
        }
    }

    /// Readers before those who overwrote what they read, where they overlap in time; nothing once there are too many.
    fn before(&self, txns: &Txns, most: usize, before: &mut Vec<(u32, u32)>) -> Option<()> {
        for ((reader, number), (_, end)) in self.reads.iter().copied().zip(&self.times) {
            let overlaps = |txn: &u32| txns.invoke(*txn) < *end;
            if number == NEVER {
                let roots = self.roots.iter().take_while(|txn| overlaps(txn)).filter(|txn| **txn != reader);
                before.extend(roots.map(|txn| (*txn, reader)));
            } else {
                let overwriter = self.overwriter(number);
                if ![NONE, reader].contains(&overwriter) && overlaps(&overwriter) {
                    before.push((overwriter, reader));
                }
            }
            if before.len() > most {
                return None;
            }
        }
        Some(())
    }
}
