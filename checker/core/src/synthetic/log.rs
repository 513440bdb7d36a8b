//! Logs: append-only, with offsets. A process polls the logs that it is assigned, from where it stood.
//!
//! A transaction takes effect at one moment: what it sends gets the next offsets, what it polls is what stands there.
//! Offsets have gaps, as where transactions leave markers. A process that is new, or that has a log which was replaced
//! and read to its end, assigns itself anew; it goes on where it stood in the logs that it keeps.

use super::dice::{Chance, Dice};
use super::machine::{Fate, Machine, Refusal, of_seat};
use super::shelf::{Body, Shelf};
use super::spec::Spec;
use crate::op::{Call, LogRecord, Mop};

/// Records that one poll takes from one log, at most.
const RECORDS_MAX: usize = 8;

/// Logs that a process is assigned, at most.
const ASSIGNED_MAX: usize = 4;

/// Offsets and values, in order.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: Vec<(i64, i64)>,
    next_offset: i64,
}

impl Body for Records {
    fn clear(&mut self) {
        self.records.clear();
        self.next_offset = 0;
    }
}

#[derive(Debug, Default)]
struct Seat {
    /// Logs that the process follows, and how many records of each it has seen.
    assigned: Vec<(u32, usize)>,
    /// Logs that the operation in flight sends to, or wants to be assigned.
    held: Vec<u32>,
}

/// Logs.
#[derive(Debug)]
pub(super) struct Logs {
    shelf: Shelf<Records>,
    seats: Vec<Seat>,
    poll: Chance,
    gap: Chance,
    length: (u64, u64),
}

impl Logs {
    /// Logs for a specification.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self {
            shelf: Shelf::new(spec, first_key),
            seats: Vec::new(),
            poll: Chance::new(spec.read_share),
            gap: Chance::new(0.05),
            length: (u64::from(spec.txn_min), u64::from(spec.txn_max)),
        }
    }

    /// Whether the process follows nothing, or a log that will bring nothing more.
    fn must_assign(&self, seat: &Seat) -> bool {
        let is_done = |(place, seen): &(u32, usize)| {
            self.shelf.is_retired(*place) && *seen == self.shelf.get(*place).body.records.len()
        };
        seat.assigned.is_empty() || seat.assigned.iter().any(is_done)
    }

    /// Logs in use next to each other.
    fn wanted(&self, dice: &mut Dice) -> Vec<u32> {
        let count = self.shelf.in_use().min(ASSIGNED_MAX);
        let first = dice.below(self.shelf.in_use() as u64) as u32;
        (0..count as u32).map(|n| self.shelf.at_slot(first + n)).collect()
    }

    fn assign(&mut self, seat: usize) {
        let Seat { assigned, held } = &mut self.seats[seat];
        let before = std::mem::take(assigned);
        for place in held.iter() {
            self.shelf.hold(*place);
            let seen = before.iter().find(|(known, _)| known == place).map_or(0, |(_, seen)| *seen);
            assigned.push((*place, seen));
        }
        for (place, _) in before {
            self.shelf.release(place);
        }
    }

    fn poll(&mut self, seat: usize) -> Vec<LogRecord> {
        let mut polled = Vec::new();
        for (place, seen) in &mut self.seats[seat].assigned {
            let entry = self.shelf.get(*place);
            let fresh = &entry.body.records[*seen..];
            let fresh = &fresh[..fresh.len().min(RECORDS_MAX)];
            let record =
                |(offset, value): &(i64, i64)| LogRecord { key: entry.key, offset: Some(*offset), value: Some(*value) };
            polled.extend(fresh.iter().map(record));
            *seen += fresh.len();
        }
        polled
    }
}

impl Machine for Logs {
    fn open(&mut self, dice: &mut Dice, seat: usize, fate: &mut Fate) -> Call {
        of_seat(&mut self.seats, seat);
        if self.must_assign(&self.seats[seat]) {
            // An assignment is the client's own affair: it cannot fail.
            *fate = Fate::Ok;
            let wanted = self.wanted(dice);
            let keys = wanted.iter().map(|place| self.shelf.get(*place).key).collect();
            for place in &wanted {
                self.shelf.hold(*place);
            }
            self.seats[seat].held = wanted;
            return Call::Assign { keys };
        }
        let count = dice.between(self.length.0, self.length.1);
        let mut mops = Vec::with_capacity(count as usize);
        for _ in 0..count {
            if dice.happens(self.poll) {
                mops.push(Mop::Poll { records: None });
                continue;
            }
            let place = self.shelf.choose(dice);
            self.shelf.hold(place);
            self.seats[seat].held.push(place);
            let key = self.shelf.get(place).key;
            mops.push(Mop::Send { key, value: self.shelf.give(place), offset: None });
        }
        Call::Txn(mops)
    }

    fn act(&mut self, dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        if !fate.acts() {
            return Ok(());
        }
        let Call::Txn(mops) = call else {
            self.assign(seat);
            return Ok(());
        };
        let tell = fate == Fate::Ok;
        let mut sends = 0;
        // What it sends is not seen by its own polls: it is not committed yet.
        for mop in mops.iter_mut() {
            if let (Mop::Poll { records }, true) = (mop, tell) {
                *records = Some(self.poll(seat));
            }
        }
        for mop in mops.iter_mut() {
            let Mop::Send { value, offset, .. } = mop else { continue };
            let log = &mut self.shelf.get_mut(self.seats[seat].held[sends]).body;
            sends += 1;
            log.next_offset += i64::from(dice.happens(self.gap));
            log.records.push((log.next_offset, *value));
            if tell {
                *offset = Some(log.next_offset);
            }
            log.next_offset += 1;
        }
        Ok(())
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        for place in std::mem::take(&mut self.seats[seat].held) {
            self.shelf.release(place);
        }
    }

    fn reset(&mut self, seat: usize) {
        for (place, _) in std::mem::take(&mut of_seat(&mut self.seats, seat).assigned) {
            self.shelf.release(place);
        }
    }
}
