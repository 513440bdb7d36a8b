//! A store of transactions over lists or registers, with every version of every object that is in use.
//!
//! A version carries the number of its commit. A transaction that commits writes all its versions at once, under one new
//! number, so the numbers are an order of all commits. What a read sees is chosen by a number: the versions of its
//! object up to there. Levels differ in how these numbers are chosen, and in when a transaction must give up its choice
//! and see everything (which every level allows): see [`Transactions::sight`].
//!
//! For the levels with two sites, each object has a home, and a transaction writes to objects of one home only: a
//! commit then belongs to the log of one site, and what is seen is one number for each log.

use super::dice::{Chance, Dice};
use super::machine::{Fate, Machine, Refusal, of_seat};
use super::shelf::{Body, Shelf};
use super::spec::{Level, Spec, Workload};
use crate::op::{Call, Mop};

/// Versions of an object, oldest first, each with the number of its commit.
#[derive(Debug, Default)]
pub(super) struct Versions {
    values: Vec<i64>,
    commits: Vec<u64>,
}

impl Body for Versions {
    fn clear(&mut self) {
        self.values.clear();
        self.commits.clear();
    }
}

impl Versions {
    /// How many versions belong to commits up to `number`.
    fn up_to(&self, number: u64) -> usize {
        self.commits.len() - self.commits.iter().rev().take_while(|commit| **commit > number).count()
    }

    fn last_commit(&self) -> u64 {
        self.commits.last().copied().unwrap_or(0)
    }
}

/// What a transaction sees of the logs of the two sites; equal where sites do not matter.
type Snapshot = [u64; 2];

/// How the reads of a transaction choose what they see.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sight {
    /// Everything that is committed.
    Now,
    /// One snapshot.
    Snapshot(Snapshot),
    /// Each read a later snapshot than the one before, the oldest this one; everything from the first write on.
    Rising(u64),
    /// Each read any snapshot, the oldest this one.
    Any(u64),
    /// The versions as they stand, committed or not; this for objects that the transaction does not write is left
    /// to the end of the operation.
    Dirty,
}

/// A client of the store.
#[derive(Debug, Default)]
struct Seat {
    /// The object of each micro-operation.
    places: Vec<u32>,
    /// The last commit when it was invoked.
    invoked: u64,
    /// The least that the level owes to this process.
    floor: Snapshot,
    /// The site that it writes to.
    home: Option<usize>,
    /// Reads that are left to the end of the operation.
    left: bool,
}

/// The store.
#[derive(Debug)]
pub(super) struct Transactions {
    shelf: Shelf<Versions>,
    seats: Vec<Seat>,
    level: Level,
    lists: bool,
    sites: bool,
    length: (u64, u64),
    read: Chance,
    weak: Chance,
    half: Chance,
    lag: u64,
    /// Number of the last commit.
    now: u64,
    /// What commits at each site have seen of the other one.
    view: Snapshot,
}

impl Transactions {
    /// A store for a specification.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self {
            shelf: Shelf::new(spec, first_key),
            seats: Vec::new(),
            level: spec.level,
            lists: spec.workload == Workload::ListAppend,
            sites: matches!(spec.level, Level::ParallelSnapshotIsolation | Level::Causal | Level::ReadAtomic),
            length: (u64::from(spec.txn_min), u64::from(spec.txn_max)),
            read: Chance::new(spec.read_share),
            weak: Chance::new(spec.weakness),
            half: Chance::new(0.5),
            lag: u64::from(spec.lag),
            now: 0,
            view: [0, 0],
        }
    }

    /// A number of commits to lag behind, at least one.
    fn behind(&self, dice: &mut Dice) -> u64 {
        self.now.saturating_sub(dice.between(1, self.lag))
    }

    /// What a transaction sees that makes use of what the level lets it do.
    fn weak_sight(&self, dice: &mut Dice, seat: usize) -> Sight {
        let Seat { invoked, floor, home, .. } = self.seats[seat];
        let same = |number: u64| Sight::Snapshot([number, number]);
        match self.level {
            Level::StrictSerializable => Sight::Now,
            // A transaction that writes commits at the end of the serial order; one that only reads may stand earlier.
            Level::StrongSessionSerializable | Level::Serializable | Level::RepeatableRead if home.is_some() => {
                Sight::Now
            }
            Level::Serializable | Level::RepeatableRead | Level::SnapshotIsolation => same(self.behind(dice)),
            Level::StrongSessionSerializable | Level::StrongSessionSnapshotIsolation | Level::Prefix => {
                same(self.behind(dice).max(floor[0]))
            }
            Level::StrongSnapshotIsolation => same(dice.between(invoked, self.now)),
            Level::ParallelSnapshotIsolation | Level::Causal => {
                let site = home.unwrap_or(seat % 2);
                let other = 1 - site;
                let mut snapshot = [0, 0];
                snapshot[other] = self.behind(dice).max(self.view[site]).max(floor[other]);
                // Commits of the other site up to there may build on commits here up to the same number.
                snapshot[site] = dice.between(invoked, self.now).max(snapshot[other]).max(floor[site]);
                Sight::Snapshot(snapshot)
            }
            Level::ReadAtomic => Sight::Snapshot([self.behind(dice).max(floor[0]), self.behind(dice).max(floor[1])]),
            Level::MonotonicAtomicView => Sight::Rising(self.behind(dice)),
            Level::ReadCommitted => Sight::Any(self.behind(dice)),
            Level::ReadUncommitted => Sight::Dirty,
        }
    }

    /// What a transaction sees, taking back what its writes do not allow.
    fn sight(&self, dice: &mut Dice, seat: usize, mops: &[Mop]) -> Sight {
        if !dice.happens(self.weak) {
            return Sight::Now;
        }
        let sight = self.weak_sight(dice, seat);
        let Sight::Snapshot(snapshot) = sight else { return sight };
        let first_committer_wins = matches!(
            self.level,
            Level::StrongSnapshotIsolation
                | Level::StrongSessionSnapshotIsolation
                | Level::SnapshotIsolation
                | Level::ParallelSnapshotIsolation
        );
        let places = &self.seats[seat].places;
        let conflict = mops.iter().zip(places).enumerate().any(|(at, (mop, place))| {
            if !is_write(mop) || !self.is_newer(*place, snapshot) {
                return false;
            }
            // A list that was read after an append of one's own must be the list that the append made.
            let reads_later = || mops[at..].iter().zip(&places[at..]).any(|(m, p)| p == place && !is_write(m));
            first_committer_wins || (self.lists && reads_later())
        });
        if conflict { Sight::Now } else { sight }
    }

    /// Whether an object has versions that the snapshot lacks.
    fn is_newer(&self, place: u32, snapshot: Snapshot) -> bool {
        let entry = self.shelf.get(place);
        entry.body.last_commit() > snapshot[home_of(entry.slot)]
    }

    /// Reads and writes in order; what is written gets one new number.
    fn execute(&mut self, dice: &mut Dice, seat: usize, mops: &mut [Mop], mut sight: Sight, tell: bool) {
        let Self { shelf, seats, now, .. } = self;
        let seat = &mut seats[seat];
        let commit = *now + 1;
        let mut wrote = false;
        for at in 0..mops.len() {
            let place = seat.places[at];
            if let Mop::Append { value, .. } | Mop::Write { value, .. } = mops[at] {
                let versions = &mut shelf.get_mut(place).body;
                versions.values.push(value);
                versions.commits.push(commit);
                wrote = true;
                if let Sight::Rising(_) = sight {
                    sight = Sight::Now;
                }
                continue;
            }
            if !tell {
                continue;
            }
            let entry = shelf.get(place);
            let versions = &entry.body;
            let all = versions.values.len();
            let own = versions.last_commit() == commit;
            let count = match &mut sight {
                _ if own => all,
                Sight::Now => all,
                Sight::Snapshot(snapshot) => versions.up_to(snapshot[home_of(entry.slot)]),
                Sight::Rising(oldest) => {
                    *oldest = dice.between(*oldest, *now);
                    versions.up_to(*oldest)
                }
                Sight::Any(oldest) => versions.up_to(dice.between(*oldest, *now)),
                Sight::Dirty => {
                    let writes_it = || mops.iter().zip(&seat.places).any(|(mop, p)| *p == place && is_write(mop));
                    if !writes_it() {
                        seat.left = true;
                        continue;
                    }
                    all
                }
            };
            fill(&mut mops[at], &versions.values[..count]);
        }
        if wrote {
            *now = commit;
        }
    }

    /// What the level owes to the process, and to the site, from now on.
    fn remember(&mut self, seat: usize, sight: Sight, wrote: bool) {
        let seen = match sight {
            Sight::Snapshot(snapshot) => snapshot,
            _ => [self.now, self.now],
        };
        let now = self.now;
        let Seat { floor, home, .. } = &mut self.seats[seat];
        // Read atomicity owes to a process nothing but its own writes.
        if self.level != Level::ReadAtomic {
            *floor = [floor[0].max(seen[0]), floor[1].max(seen[1])];
        }
        if wrote {
            match *home {
                Some(site) if self.sites => {
                    floor[site] = now;
                    self.view[site] = self.view[site].max(seen[1 - site]);
                }
                _ => *floor = [now, now],
            }
        }
    }

    /// An object for a write: with sites, one of the same home as the earlier writes.
    fn choose_for_write(&self, dice: &mut Dice, home: &mut Option<usize>) -> u32 {
        let place = self.shelf.choose(dice);
        let slot = self.shelf.get(place).slot;
        let here = home_of(slot);
        match *home {
            Some(home) if self.sites && home != here => self.shelf.at_slot(if slot == 0 { 1 } else { slot - 1 }),
            Some(_) => place,
            None => {
                *home = Some(here);
                place
            }
        }
    }
}

fn home_of(slot: u32) -> usize {
    (slot & 1) as usize
}

fn is_write(mop: &Mop) -> bool {
    matches!(mop, Mop::Append { .. } | Mop::Write { .. })
}

fn fill(mop: &mut Mop, seen: &[i64]) {
    match mop {
        Mop::ReadList { list, .. } => *list = Some(seen.to_vec()),
        Mop::Read { value, .. } => *value = Some(seen.last().copied()),
        _ => {}
    }
}

impl Machine for Transactions {
    fn open(&mut self, dice: &mut Dice, seat: usize, _fate: &mut Fate) -> Call {
        let count = dice.between(self.length.0, self.length.1);
        let mut places = std::mem::take(&mut of_seat(&mut self.seats, seat).places);
        let mut mops = Vec::with_capacity(count as usize);
        let mut home = None;
        for _ in 0..count {
            let read = dice.happens(self.read);
            let place = if read { self.shelf.choose(dice) } else { self.choose_for_write(dice, &mut home) };
            let key = self.shelf.get(place).key;
            self.shelf.hold(place);
            places.push(place);
            mops.push(match (read, self.lists) {
                (true, true) => Mop::ReadList { key, list: None },
                (true, false) => Mop::Read { key, value: None },
                (false, true) => Mop::Append { key, value: self.shelf.give(place) },
                (false, false) => Mop::Write { key, value: self.shelf.give(place) },
            });
        }
        let floor = self.seats[seat].floor;
        self.seats[seat] = Seat { places, invoked: self.now, floor, home, left: false };
        Call::Txn(mops)
    }

    fn act(&mut self, dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        let Call::Txn(mops) = call else { return Ok(()) };
        // Nothing is undone where nobody waits for commits: a transaction that fails leaves its writes behind.
        let stays_behind = self.level == Level::ReadUncommitted && fate == Fate::Fail;
        if !fate.acts() && !stays_behind {
            return Ok(());
        }
        let sight = self.sight(dice, seat, mops);
        self.execute(dice, seat, mops, sight, fate == Fate::Ok);
        let wrote = self.seats[seat].home.is_some();
        self.remember(seat, sight, wrote);
        Ok(())
    }

    fn finish(&mut self, dice: &mut Dice, seat: usize, call: &mut Call) {
        let (Call::Txn(mops), true) = (call, self.seats[seat].left) else { return };
        for (mop, place) in mops.iter_mut().zip(&self.seats[seat].places) {
            if !matches!(mop, Mop::ReadList { list: None, .. } | Mop::Read { value: None, .. }) {
                continue;
            }
            let Versions { values, commits } = &self.shelf.get(*place).body;
            // As if it had read between two writes of one transaction.
            let between = matches!(commits[..], [.., a, b] if a == b) && dice.happens(self.half);
            fill(mop, &values[..values.len() - usize::from(between)]);
        }
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        let Self { shelf, seats, .. } = self;
        for place in seats[seat].places.drain(..) {
            shelf.release(place);
        }
    }

    fn reset(&mut self, seat: usize) {
        of_seat(&mut self.seats, seat).floor = [0, 0];
    }
}

#[cfg(test)]
impl Transactions {
    /// Objects that take up memory.
    pub(super) fn objects(&self) -> usize {
        self.shelf.entries()
    }
}
