//! The shelf: objects in use, each under its key, replaced when they have been written often enough.
//!
//! Memory is bounded by the keys in use and the operations in flight: an object that was replaced is thrown away as
//! soon as nobody holds it, and its room is used again.

use super::dice::Dice;
use super::spec::{KeyChoice, Spec};

/// An object with its key.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Its key: never used for another object.
    pub(super) key: i64,
    /// Values given out so far.
    pub(super) given: u32,
    /// Where it stands among the keys in use, or stood.
    pub(super) slot: u32,
    holders: u32,
    retired: bool,
    /// The object.
    pub(super) body: T,
}

impl<T> Entry<T> {
    /// How many hold it.
    pub(super) fn holders(&self) -> u32 {
        self.holders
    }
}

/// Objects that can be made empty again.
pub(super) trait Body: Default {
    /// Makes it as new; may keep its memory.
    fn clear(&mut self);
}

/// Objects, and which are in use.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    slots: Vec<u32>,
    choice: Vec<u32>,
    next_key: i64,
    writes_per_key: u32,
}

impl<T: Body> Shelf<T> {
    /// A shelf with as many new objects as the specification has keys. Keys count from `first_key`.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        let mut shelf = Self {
            entries: Vec::new(),
            free: Vec::new(),
            slots: Vec::new(),
            choice: choice_table(spec.keys as usize, spec.key_choice),
            next_key: first_key,
            writes_per_key: spec.writes_per_key,
        };
        for slot in 0..spec.keys {
            let place = shelf.place_new(slot);
            shelf.slots.push(place);
        }
        shelf
    }

    fn place_new(&mut self, slot: u32) -> u32 {
        let key = self.next_key;
        self.next_key += 1;
        if let Some(place) = self.free.pop() {
            let entry = &mut self.entries[place as usize];
            entry.body.clear();
            (entry.key, entry.slot, entry.given, entry.retired) = (key, slot, 0, false);
            return place;
        }
        self.entries.push(Entry { key, given: 0, slot, holders: 0, retired: false, body: T::default() });
        self.entries.len() as u32 - 1
    }

    /// Chooses one of the objects in use.
    pub(super) fn choose(&self, dice: &mut Dice) -> u32 {
        // The length is a power of two.
        let at = dice.bits() >> 32 & (self.choice.len() as u64 - 1);
        self.slots[self.choice[at as usize] as usize]
    }

    /// The object in use at a slot; slots beyond the last count again from the first.
    pub(super) fn at_slot(&self, slot: u32) -> u32 {
        self.slots[slot as usize % self.slots.len()]
    }

    /// How many objects are in use.
    pub(super) fn in_use(&self) -> usize {
        self.slots.len()
    }

    /// The next value of an object: 1, 2, and so on. The last one retires the object.
    pub(super) fn give(&mut self, place: u32) -> i64 {
        let entry = &mut self.entries[place as usize];
        entry.given += 1;
        let value = i64::from(entry.given);
        if entry.given == self.writes_per_key {
            self.retire(place);
        }
        value
    }

    /// As [`Shelf::give`], but an object that was replaced gives nothing.
    pub(super) fn give_unless_retired(&mut self, place: u32) {
        if !self.is_retired(place) {
            self.give(place);
        }
    }

    /// Replaces an object by a new one. The caller or another must hold it.
    pub(super) fn retire(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        if !std::mem::replace(&mut entry.retired, true) {
            let slot = entry.slot;
            self.slots[slot as usize] = self.place_new(slot);
        }
    }

    /// Whether the object was replaced.
    pub(super) fn is_retired(&self, place: u32) -> bool {
        self.entries[place as usize].retired
    }

    /// Keeps the object from being thrown away.
    pub(super) fn hold(&mut self, place: u32) {
        self.entries[place as usize].holders += 1;
    }

    /// Undoes [`Shelf::hold`].
    pub(super) fn release(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        entry.holders -= 1;
        if entry.holders == 0 && entry.retired {
            self.free.push(place);
        }
    }

    /// The object at a place.
    pub(super) fn get(&self, place: u32) -> &Entry<T> {
        &self.entries[place as usize]
    }

    /// The object at a place.
    pub(super) fn get_mut(&mut self, place: u32) -> &mut Entry<T> {
        &mut self.entries[place as usize]
    }

    /// Objects that take up memory.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }
}

/// A table in which each slot stands as often as it should be chosen; its length is a power of two.
fn choice_table(slots: usize, choice: KeyChoice) -> Vec<u32> {
    let weight = |slot: usize| match choice {
        KeyChoice::Uniform => 1.0,
        // Beyond 2^-50 of the most frequent one nothing would be chosen anyway.
        KeyChoice::Exponential { base } => base.powi(-(slot.min(1 << 20) as i32)),
        KeyChoice::Zipf { exponent } => (slot as f64 + 1.0).powf(-exponent),
        KeyChoice::HotSpot { share } if slots > 1 => {
            if slot == 0 {
                share
            } else {
                (1.0 - share) / (slots - 1) as f64
            }
        }
        KeyChoice::HotSpot { .. } => 1.0,
    };
    let length = (slots * 16).next_power_of_two().max(4096);
    let total: f64 = (0..slots).map(weight).sum();
    let mut table = Vec::with_capacity(length);
    let mut sum = 0.0;
    for slot in 0..slots {
        sum += weight(slot);
        let end = ((sum / total) * length as f64).round() as usize;
        table.resize(end.clamp(table.len(), length), slot as u32);
    }
    table.resize(length, slots as u32 - 1);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Body for () {
        fn clear(&mut self) {}
    }

    fn counts(choice: KeyChoice, keys: u32) -> Vec<usize> {
        let shelf: Shelf<()> = Shelf::new(&Spec { keys, key_choice: choice, ..Spec::default() }, 0);
        let mut dice = Dice::new(1);
        let mut counts = vec![0; keys as usize];
        for _ in 0..100_000 {
            counts[shelf.choose(&mut dice) as usize] += 1;
        }
        counts
    }

    #[test]
    fn keys_are_chosen_as_often_as_asked() {
        assert!(counts(KeyChoice::Uniform, 10).iter().all(|count| (9_000..11_000).contains(count)));
        let exponential = counts(KeyChoice::Exponential { base: 2.0 }, 4);
        assert!(exponential.windows(2).all(|pair| (1.8..2.2).contains(&(pair[0] as f64 / pair[1] as f64))));
        let zipf = counts(KeyChoice::Zipf { exponent: 1.0 }, 4);
        assert!((1.9..2.1).contains(&(zipf[0] as f64 / zipf[1] as f64)) && zipf[3] > 10_000);
        let hot = counts(KeyChoice::HotSpot { share: 0.9 }, 11);
        assert!((89_000..91_000).contains(&hot[0]) && hot[1..].iter().all(|count| (800..1_200).contains(count)));
        assert_eq!(counts(KeyChoice::HotSpot { share: 0.5 }, 1), [100_000]);
    }

    #[test]
    fn objects_are_replaced_and_their_room_is_used_again() {
        let mut shelf: Shelf<()> = Shelf::new(&Spec { keys: 1, writes_per_key: 2, ..Spec::default() }, 5);
        for round in 0..100 {
            let place = shelf.at_slot(0);
            assert_eq!(shelf.get(place).key, 5 + round);
            shelf.hold(place);
            assert_eq!((shelf.give(place), shelf.give(place)), (1, 2));
            assert!(shelf.is_retired(place) && shelf.at_slot(0) != place);
            shelf.release(place);
        }
        assert_eq!(shelf.entries(), 2);
    }
}
