//! Locks. Whoever takes one gets a token larger than all before, and gives the lock back with its next operation.
//!
//! A lock whose fate is not known to its holder is not used any more: nobody could tell who holds it.

use super::dice::Dice;
use super::machine::{Fate, Machine, Refusal, of_seat};
use super::shelf::{Body, Shelf};
use super::spec::Spec;
use crate::op::Call;

/// `error_code` of an acquire that found the lock taken.
pub(super) const HELD: &str = "held";

/// A lock: whether it is taken, and its last token.
#[derive(Debug, Default)]
pub(super) struct Lock {
    taken: bool,
    token: i64,
}

impl Body for Lock {
    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// The lock of the operation in flight, or that it holds.
    place: Option<u32>,
    /// The token it was given.
    token: Option<i64>,
    /// What it does ended without an answer.
    unsure: bool,
}

/// Locks.
#[derive(Debug)]
pub(super) struct Locks {
    shelf: Shelf<Lock>,
    seats: Vec<Seat>,
}

impl Locks {
    /// Locks for a specification.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self { shelf: Shelf::new(spec, first_key), seats: Vec::new() }
    }
}

impl Machine for Locks {
    fn open(&mut self, dice: &mut Dice, seat: usize, fate: &mut Fate) -> Call {
        let mut sitting = *of_seat(&mut self.seats, seat);
        let place = sitting.place.unwrap_or_else(|| {
            let place = self.shelf.choose(dice);
            self.shelf.hold(place);
            place
        });
        sitting = Seat { place: Some(place), unsure: fate.is_info(), ..sitting };
        self.seats[seat] = sitting;
        let key = self.shelf.get(place).key;
        match sitting.token {
            Some(token) => Call::Release { key, value: Some(token) },
            None => Call::Acquire { key, value: None },
        }
    }

    fn act(&mut self, _dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        let (Some(place), true) = (self.seats[seat].place, fate.acts()) else { return Ok(()) };
        let lock = &mut self.shelf.get_mut(place).body;
        match call {
            Call::Acquire { .. } if lock.taken => return Err(HELD),
            Call::Acquire { value, .. } => {
                lock.taken = true;
                lock.token += 1;
                if fate == Fate::Ok {
                    *value = Some(lock.token);
                    self.seats[seat].token = *value;
                }
                // Counts the uses: a lock is replaced after so many.
                self.shelf.give_unless_retired(place);
            }
            Call::Release { .. } => {
                lock.taken = false;
                self.seats[seat].token = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        let Seat { place, token, unsure } = self.seats[seat];
        let Some(place) = place else { return };
        if unsure {
            self.shelf.retire(place);
        } else if token.is_some() {
            return;
        }
        self.shelf.release(place);
        self.seats[seat] = Seat::default();
    }
}
