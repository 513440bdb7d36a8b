//! Dice: seeded, fast, and the same on every machine and with every version of every library.

/// A stream of draws: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0. Biased by less than `bound` / 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`; `low` if `high` is below it.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Whether an event of this chance happens.
    pub(super) fn happens(&mut self, chance: Chance) -> bool {
        // The largest threshold stands for certainty.
        chance.0 != 0 && (chance.0 == u64::MAX || self.bits() < chance.0)
    }
}

#[cfg(test)]
impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        (self.bits() % sides as u64) as usize
    }

    /// True in `percent` of a hundred throws.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

/// A probability as a threshold for 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chance(u64);

impl Chance {
    /// The chance of this probability, which is cut to `0..=1`.
    pub(super) fn new(probability: f64) -> Self {
        // The conversion saturates, and takes what is no number for 0.
        Self((probability.clamp(0.0, 1.0) * 18_446_744_073_709_551_616.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_true_as_often_as_they_say() {
        let mut dice = Dice::new(3);
        for (probability, least, most) in [(0.0, 0, 0), (1.0, 10_000, 10_000), (0.25, 2_300, 2_700), (f64::NAN, 0, 0)] {
            let chance = Chance::new(probability);
            let hits = (0..10_000).filter(|_| dice.happens(chance)).count();
            assert!((least..=most).contains(&hits), "{hits} of 10000 at {probability}");
        }
    }

    #[test]
    fn bounds_hold() {
        let mut dice = Dice::new(7);
        assert_eq!((dice.below(0), dice.between(5, 3)), (0, 5));
        let mut seen = [false; 6];
        for _ in 0..1000 {
            seen[dice.between(2, 5) as usize] = true;
        }
        assert_eq!(seen, [false, false, true, true, true, true]);
        assert_eq!(Dice::new(1).bits(), Dice::new(1).bits());
        assert_ne!(Dice::new(1).bits(), Dice::new(2).bits());
    }
}
