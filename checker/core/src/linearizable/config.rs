//! Configurations of the search, and when one makes another superfluous.
//!
//! A configuration is what the past leaves to the future: the value in the register, which of the operations in flight have
//! been placed already, and how many `info` operations of each kind were used. Operations in flight own a slot of two
//! bits, given back when they complete, so the size depends on the concurrency and not on the length of the history.
//!
//! Low bit of a slot: placed. High bit, for a write that is not placed: *coverable*, that is, another write was placed since
//! it was invoked, so it may be put, unseen, just before that one, or the register held its value anyway. Then it is no obligation any more, only a resource.

use super::prepare::ValueId;

/// The register's state when it holds a value that nobody will ask for any more: all such values are alike.
pub(super) const DEAD: ValueId = ValueId::MAX;

/// The low bits of all slots of a word.
pub(super) const LOW: u64 = 0x5555_5555_5555_5555;

/// Slots of operations in flight in one word.
pub(super) const SLOTS_PER_WORD: usize = 32;

/// Counters of `info` operations in one word.
pub(super) const COUNTERS_PER_WORD: usize = 4;

/// A configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config<const W: usize> {
    /// The value in the register.
    pub(super) state: ValueId,
    /// Where the way to it is recorded; no part of its identity.
    pub(super) trace: u32,
    /// Slots, then counters.
    pub(super) bits: [u64; W],
}

impl<const W: usize> PartialEq for Config<W> {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state && self.bits == other.bits
    }
}

impl<const W: usize> Eq for Config<W> {}

impl<const W: usize> std::hash::Hash for Config<W> {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        hasher.write_u32(self.state);
        for word in self.bits {
            hasher.write_u64(word);
        }
    }
}

impl<const W: usize> Config<W> {
    /// Whether the operation in this slot has been placed.
    pub(super) fn is_placed(&self, slot: u32) -> bool {
        self.bits[slot as usize / SLOTS_PER_WORD] >> (2 * (slot as usize % SLOTS_PER_WORD)) & 1 == 1
    }

    /// Whether the write in this slot may be put unseen before another.
    pub(super) fn is_coverable(&self, slot: u32) -> bool {
        self.bits[slot as usize / SLOTS_PER_WORD] >> (2 * (slot as usize % SLOTS_PER_WORD) + 1) & 1 == 1
    }

    /// Marks the operation in this slot as placed.
    pub(super) fn place(&mut self, slot: u32) {
        self.clear(slot);
        self.bits[slot as usize / SLOTS_PER_WORD] |= 1 << (2 * (slot as usize % SLOTS_PER_WORD));
    }

    /// Marks the write in this slot as coverable.
    pub(super) fn cover(&mut self, slot: u32) {
        self.bits[slot as usize / SLOTS_PER_WORD] |= 2 << (2 * (slot as usize % SLOTS_PER_WORD));
    }

    /// Empties the slot.
    pub(super) fn clear(&mut self, slot: u32) {
        self.bits[slot as usize / SLOTS_PER_WORD] &= !(3 << (2 * (slot as usize % SLOTS_PER_WORD)));
    }

    /// The counter at `counter` of those that begin with word `base`.
    pub(super) fn counter(&self, base: usize, counter: usize) -> u16 {
        (self.bits[base + counter / COUNTERS_PER_WORD] >> (16 * (counter % COUNTERS_PER_WORD))) as u16
    }

    /// Sets that counter.
    pub(super) fn set_counter(&mut self, base: usize, counter: usize, count: u16) {
        let shift = 16 * (counter % COUNTERS_PER_WORD);
        let word = &mut self.bits[base + counter / COUNTERS_PER_WORD];
        *word = *word & !(0xffff << shift) | u64::from(count) << shift;
    }
}

/// What kind of operation owns each slot: the low bit of the slot is set in one of the masks.
#[derive(Clone, Debug)]
pub(super) struct Masks<const W: usize> {
    /// Operations that only look.
    pub(super) looks: [u64; W],
    /// Plain writes.
    pub(super) writes: [u64; W],
    /// Compare-and-set.
    pub(super) cas: [u64; W],
    /// First word of the counters.
    pub(super) counters_from: usize,
    /// Whether any live value is at least as good as a dead one: not so where somebody observes inequality.
    pub(super) live_beats_dead: bool,
}

impl<const W: usize> Masks<W> {
    /// After a plain write was placed every other write in flight that is not placed can hide before it.
    pub(super) fn cover_writes(&self, config: &mut Config<W>) {
        for word in 0..self.counters_from {
            let waiting = self.writes[word] & !config.bits[word];
            config.bits[word] |= waiting << 1;
        }
    }

    /// Whether whatever can still be done from `b` can be done from `a`, so that `b` need not be followed.
    ///
    /// The register must hold the same value, or one that nobody asks for in `b`. In `a` every look that `b` has done must be
    /// done; the same `cas` must be done; every write must be in the same condition in both, or still at hand and coverable in
    /// `a`; and no more `info` operations of any kind must have been used.
    pub(super) fn dominates(&self, a: &Config<W>, b: &Config<W>) -> bool {
        if a.state != b.state && !(b.state == DEAD && self.live_beats_dead) {
            return false;
        }
        for word in 0..self.counters_from {
            let (x, y) = (a.bits[word], b.bits[word]);
            if x == y {
                continue;
            }
            let differs = (x ^ y) | ((x ^ y) >> 1);
            let free = (x >> 1) & LOW;
            let bad = (y & !x & self.looks[word]) | (differs & self.cas[word]) | (differs & self.writes[word] & !free);
            if bad != 0 {
                return false;
            }
        }
        (self.counters_from..W).all(|word| {
            let (x, y) = (a.bits[word], b.bits[word]);
            x == y || (0..COUNTERS_PER_WORD).all(|lane| (x >> (16 * lane)) as u16 <= (y >> (16 * lane)) as u16)
        })
    }

    /// Removes from `configs` those that others make superfluous. Keeps the order of the rest.
    ///
    /// Exact duplicates are removed always. Comparing all pairs would be quadratic, so a configuration of a large set is
    /// compared only with a bounded number of those kept before it; keeping too many is a matter of time, not of truth.
    pub(super) fn prune(&self, configs: &mut Vec<Config<W>>) {
        const COMPARED: usize = 96;
        if configs.len() < 2 {
            return;
        }
        if configs.len() <= COMPARED {
            self.prune_all_pairs(configs);
            return;
        }
        // Those with much left in hand first: they dominate, and are seldom dominated.
        configs.sort_unstable_by_key(|config| (self.burden(config), config.state, config.bits));
        configs.dedup();
        let mut kept: Vec<Config<W>> = Vec::with_capacity(configs.len());
        let mut recent: rustc_hash::FxHashMap<(ValueId, u64), Vec<u32>> = rustc_hash::FxHashMap::default();
        for config in configs.iter() {
            let cas = (0..self.counters_from)
                .fold(0_u64, |all, word| all.rotate_left(7).wrapping_mul(31) ^ (config.bits[word] & self.cas[word]));
            let alike = recent.entry((config.state, cas)).or_default();
            if alike.iter().any(|&other| self.dominates(&kept[other as usize], config)) {
                continue;
            }
            if alike.len() < COMPARED {
                alike.push(kept.len() as u32);
            }
            kept.push(*config);
        }
        *configs = kept;
    }

    /// In place: the configurations before `kept` are those that none so far makes superfluous.
    fn prune_all_pairs(&self, configs: &mut Vec<Config<W>>) {
        let mut kept = 0;
        for at in 0..configs.len() {
            let config = configs[at];
            if configs[..kept].iter().any(|other| self.dominates(other, &config)) {
                continue;
            }
            let mut place = 0;
            for other in 0..kept {
                if !self.dominates(&config, &configs[other]) {
                    configs[place] = configs[other];
                    place += 1;
                }
            }
            configs[place] = config;
            kept = place + 1;
        }
        configs.truncate(kept);
    }

    /// A rough measure of what a configuration has used up: only the order of work, and what a beam keeps, depends on it.
    pub(super) fn burden(&self, config: &Config<W>) -> u32 {
        let mut burden = 0;
        for word in 0..self.counters_from {
            let bits = config.bits[word];
            burden += (bits & self.writes[word]).count_ones() + (!bits & self.looks[word]).count_ones();
            burden += (!(bits >> 1) & self.writes[word]).count_ones();
        }
        for word in self.counters_from..W {
            burden += 4
                * (0..COUNTERS_PER_WORD).map(|lane| u32::from((config.bits[word] >> (16 * lane)) as u16)).sum::<u32>();
        }
        burden
    }
}
