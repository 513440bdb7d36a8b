//! Registers, sets, counters and unique numbers. Each call takes effect at one moment, on one object.

use super::dice::{Chance, Dice};
use super::machine::{Fate, Machine, Refusal, of_seat};
use super::shelf::{Body, Shelf};
use super::spec::Spec;
use crate::linearizable::CAS_MISMATCH;
use crate::op::Call;

/// Objects, the one that each seat works on, and objects that are to be read a last time.
#[derive(Debug)]
pub(super) struct Desk<T> {
    pub(super) shelf: Shelf<T>,
    at_work: Vec<Option<u32>>,
    leaving: Vec<u32>,
    last: u32,
}

impl<T: Body> Desk<T> {
    /// Objects for a specification.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self { shelf: Shelf::new(spec, first_key), at_work: Vec::new(), leaving: Vec::new(), last: 0 }
    }

    /// Chooses an object for a seat.
    pub(super) fn sit(&mut self, dice: &mut Dice, seat: usize) -> u32 {
        let place = self.shelf.choose(dice);
        self.sit_at(seat, place);
        place
    }

    /// Gives a seat this object.
    pub(super) fn sit_at(&mut self, seat: usize, place: u32) {
        self.shelf.hold(place);
        *of_seat(&mut self.at_work, seat) = Some(place);
    }

    /// The next value of an object; it is kept for a last look when that was its last one.
    pub(super) fn give(&mut self, place: u32) -> i64 {
        let value = self.shelf.give(place);
        if self.shelf.is_retired(place) {
            self.shelf.hold(place);
            self.leaving.push(place);
        }
        value
    }

    /// An object that nobody will write to any more, for a last look by this seat.
    pub(super) fn last_look(&mut self, seat: usize) -> Option<u32> {
        let at = self.leaving.iter().position(|place| self.shelf.get(*place).holders() == 1)?;
        let place = self.leaving.swap_remove(at);
        // What kept it is now this seat.
        *of_seat(&mut self.at_work, seat) = Some(place);
        Some(place)
    }

    /// Objects that nobody looked at since they were full, then those in use, round and round.
    pub(super) fn last_of_all(&mut self, seat: usize) -> u32 {
        if let Some(place) = self.last_look(seat) {
            return place;
        }
        let place = self.shelf.at_slot(self.last);
        self.last = self.last.wrapping_add(1);
        self.sit_at(seat, place);
        place
    }

    /// How many objects need a last look.
    pub(super) fn needing_a_look(&self) -> u64 {
        (self.leaving.len() + self.shelf.in_use()) as u64
    }

    /// The object of a seat.
    pub(super) fn place(&self, seat: usize) -> Option<u32> {
        self.at_work.get(seat).copied().flatten()
    }

    /// The seat is done with its object.
    pub(super) fn rise(&mut self, seat: usize) {
        if let Some(place) = of_seat(&mut self.at_work, seat).take() {
            self.shelf.release(place);
        }
    }
}

/// The value of a register.
#[derive(Debug, Default)]
pub(super) struct Cell(Option<i64>);

impl Body for Cell {
    fn clear(&mut self) {
        self.0 = None;
    }
}

/// Registers with read, write and compare-and-set. Written values are unique for each key.
#[derive(Debug)]
pub(super) struct Registers {
    desk: Desk<Cell>,
    read: Chance,
    cas: Chance,
    aimed: Chance,
}

impl Registers {
    /// Registers for a specification: of what is no read, one third is compare-and-set.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        let desk = Desk::new(spec, first_key);
        Self { desk, read: Chance::new(spec.read_share), cas: Chance::new(1.0 / 3.0), aimed: Chance::new(0.7) }
    }
}

impl Machine for Registers {
    fn open(&mut self, dice: &mut Dice, seat: usize, _fate: &mut Fate) -> Call {
        let place = self.desk.sit(dice, seat);
        let entry = self.desk.shelf.get(place);
        let key = entry.key;
        if dice.happens(self.read) {
            return Call::Read { key, value: None };
        }
        let known = entry.body.0;
        let given = u64::from(entry.given);
        // Nobody looks at a register that is full: it need not be kept.
        let value = self.desk.shelf.give(place);
        match known {
            Some(known) if dice.happens(self.cas) => {
                let expected = if dice.happens(self.aimed) { known } else { dice.between(1, given) as i64 };
                Call::Cas { key, expected, value }
            }
            _ => Call::Write { key, value },
        }
    }

    fn act(&mut self, _dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        let (Some(place), true) = (self.desk.place(seat), fate.acts()) else { return Ok(()) };
        let cell = &mut self.desk.shelf.get_mut(place).body.0;
        match call {
            Call::Read { value, .. } if fate == Fate::Ok => *value = Some(*cell),
            Call::Write { value, .. } => *cell = Some(*value),
            Call::Cas { expected, .. } if *cell != Some(*expected) => return Err(CAS_MISMATCH),
            Call::Cas { value, .. } => *cell = Some(*value),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        self.desk.rise(seat);
    }
}

/// The elements of a set, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Elements(Vec<i64>);

impl Body for Elements {
    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Sets. Every element is added once; a set that is full, and at the end every set, is read a last time.
#[derive(Debug)]
pub(super) struct Sets {
    desk: Desk<Elements>,
    read: Chance,
}

impl Sets {
    /// Sets for a specification.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self { desk: Desk::new(spec, first_key), read: Chance::new(spec.read_share) }
    }
}

impl Machine for Sets {
    fn open(&mut self, dice: &mut Dice, seat: usize, fate: &mut Fate) -> Call {
        if let Some(place) = self.desk.last_look(seat) {
            *fate = Fate::Ok;
            return Call::ReadSet { key: self.desk.shelf.get(place).key, elements: None };
        }
        let place = self.desk.sit(dice, seat);
        let key = self.desk.shelf.get(place).key;
        if dice.happens(self.read) {
            return Call::ReadSet { key, elements: None };
        }
        Call::Add { key, value: self.desk.give(place) }
    }

    fn act(&mut self, _dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        let (Some(place), true) = (self.desk.place(seat), fate.acts()) else { return Ok(()) };
        let held = &mut self.desk.shelf.get_mut(place).body.0;
        match call {
            Call::ReadSet { elements, .. } if fate == Fate::Ok => *elements = Some(held.clone()),
            Call::Add { value, .. } => held.push(*value),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        self.desk.rise(seat);
    }

    fn farewells(&self) -> u64 {
        self.desk.needing_a_look()
    }

    fn farewell(&mut self, seat: usize) -> Option<Call> {
        let place = self.desk.last_of_all(seat);
        Some(Call::ReadSet { key: self.desk.shelf.get(place).key, elements: None })
    }
}

/// A sum.
#[derive(Debug, Default)]
pub(super) struct Sum(i64);

impl Body for Sum {
    fn clear(&mut self) {
        self.0 = 0;
    }
}

/// Counters from 0, to which 1 to 5 is added. At the end each is read.
#[derive(Debug)]
pub(super) struct Counters {
    desk: Desk<Sum>,
    read: Chance,
}

impl Counters {
    /// Counters for a specification.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self { desk: Desk::new(spec, first_key), read: Chance::new(spec.read_share) }
    }
}

impl Machine for Counters {
    fn open(&mut self, dice: &mut Dice, seat: usize, _fate: &mut Fate) -> Call {
        let place = self.desk.sit(dice, seat);
        let key = self.desk.shelf.get(place).key;
        if dice.happens(self.read) {
            return Call::Read { key, value: None };
        }
        self.desk.shelf.give(place);
        Call::Add { key, value: dice.between(1, 5) as i64 }
    }

    fn act(&mut self, _dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        let (Some(place), true) = (self.desk.place(seat), fate.acts()) else { return Ok(()) };
        let sum = &mut self.desk.shelf.get_mut(place).body.0;
        match call {
            Call::Read { value, .. } if fate == Fate::Ok => *value = Some(Some(*sum)),
            Call::Add { value, .. } => *sum += *value,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        self.desk.rise(seat);
    }

    fn farewells(&self) -> u64 {
        self.desk.needing_a_look()
    }

    fn farewell(&mut self, seat: usize) -> Option<Call> {
        let place = self.desk.last_of_all(seat);
        Some(Call::Read { key: self.desk.shelf.get(place).key, value: None })
    }
}

/// A source of numbers: each larger than the one before, with gaps.
#[derive(Debug)]
pub(super) struct Numbers {
    key: i64,
    last: i64,
}

impl Numbers {
    /// The one source of a specification.
    pub(super) fn new(_spec: &Spec, first_key: i64) -> Self {
        Self { key: first_key, last: 0 }
    }
}

impl Machine for Numbers {
    fn open(&mut self, _dice: &mut Dice, _seat: usize, _fate: &mut Fate) -> Call {
        Call::Generate { key: self.key, value: None }
    }

    fn act(&mut self, dice: &mut Dice, _seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        self.last += dice.between(1, 3) as i64;
        if let (Call::Generate { value, .. }, Fate::Ok) = (call, fate) {
            *value = Some(self.last);
        }
        Ok(())
    }

    fn close(&mut self, _seat: usize, _call: &Call, _acted: bool) {}
}
