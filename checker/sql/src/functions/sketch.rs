//! A summary of many numbers from which quantiles can be told, and that can be merged with others.
//!
//! Up to [`EXACT_MAX`] numbers are kept as they are, and quantiles are exact: linear interpolation between the two
//! nearest, as `percentile_cont` has it. More are counted in buckets, 128 for each doubling, so that a quantile is wrong
//! by at most 1/256 of itself (0.4 %); the smallest and the greatest number are exact always. Merging is adding, so that
//! the result does not depend on how the numbers were spread over threads or files.

/// Numbers that are kept as they are before they are counted in buckets.
pub(crate) const EXACT_MAX: usize = 512;

/// Bits of a number that tell its bucket: sign, 11 bits of exponent, 7 bits of mantissa.
const DROPPED_BITS: u32 = 64 - 19;

/// The summary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sketch {
    /// All numbers, in no order.
    Exact(Vec<f64>),
    /// Counts by bucket.
    Buckets(Box<Buckets>),
}

/// Counts by bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buckets {
    first: u32,
    counts: Vec<u64>,
    total: u64,
    min: f64,
    max: f64,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch::Exact(Vec::new())
    }
}

/// The bucket of a number; greater numbers are in greater buckets.
fn bucket(value: f64) -> u32 {
    let bits = value.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    (ordered >> DROPPED_BITS) as u32
}

/// The number in the middle of a bucket.
fn middle(bucket: u32) -> f64 {
    let ordered = u64::from(bucket) << DROPPED_BITS | 1 << (DROPPED_BITS - 1);
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

impl Sketch {
    /// Adds a number. What is no number is not counted.
    pub(crate) fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        match self {
            Sketch::Exact(values) if values.len() < EXACT_MAX => values.push(value),
            Sketch::Exact(values) => {
                let mut buckets = Buckets::of(values);
                buckets.add(value, 1);
                *self = Sketch::Buckets(Box::new(buckets));
            }
            Sketch::Buckets(buckets) => buckets.add(value, 1),
        }
    }

    /// Adds all numbers of another one.
    pub(crate) fn merge(&mut self, other: Sketch) {
        match other {
            Sketch::Exact(values) => values.into_iter().for_each(|value| self.add(value)),
            Sketch::Buckets(other) => match self {
                Sketch::Exact(values) => {
                    let mut merged = *other;
                    values.iter().for_each(|value| merged.add(*value, 1));
                    *self = Sketch::Buckets(Box::new(merged));
                }
                Sketch::Buckets(buckets) => buckets.merge(&other),
            },
        }
    }

    /// The quantiles at these shares (0: the smallest, 1: the greatest); none if there are no numbers.
    pub(crate) fn quantiles(&mut self, shares: &[f64]) -> Option<Vec<f64>> {
        match self {
            Sketch::Exact(values) => {
                values.sort_unstable_by(f64::total_cmp);
                let last = values.len().checked_sub(1)?;
                let at = |rank: u64| values[(rank as usize).min(last)];
                Some(shares.iter().map(|share| interpolated(*share, last as u64, at)).collect())
            }
            Sketch::Buckets(buckets) => {
                let last = buckets.total.checked_sub(1)?;
                let at = |rank| buckets.at(rank);
                Some(shares.iter().map(|share| interpolated(*share, last, at)).collect())
            }
        }
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Sketch::Exact(values) => values.capacity() * 8,
                Sketch::Buckets(buckets) => size_of::<Buckets>() + buckets.counts.capacity() * 8,
            }
    }

    /// As bytes: the kind, then numbers, or least and greatest number and pairs of bucket and count; little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Sketch::Exact(values) => {
                let mut bytes = vec![0];
                values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
                bytes
            }
            Sketch::Buckets(buckets) => {
                let mut bytes = vec![1];
                bytes.extend(buckets.min.to_le_bytes());
                bytes.extend(buckets.max.to_le_bytes());
                for (number, count) in (buckets.first..).zip(&buckets.counts).filter(|(_, count)| **count > 0) {
                    bytes.extend(number.to_le_bytes());
                    bytes.extend(count.to_le_bytes());
                }
                bytes
            }
        }
    }

    /// What [`Sketch::to_bytes`] made; none if it is nothing of the kind.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (words, odd) = rest.as_chunks::<8>();
        match kind {
            0 if odd.is_empty() => Some(Sketch::Exact(words.iter().map(|word| f64::from_le_bytes(*word)).collect())),
            1 => {
                let (bounds, pairs) = rest.split_at_checked(16)?;
                let (min, max) =
                    (f64::from_le_bytes(*bounds.first_chunk()?), f64::from_le_bytes(*bounds.last_chunk()?));
                let (pairs, odd) = pairs.as_chunks::<12>();
                let mut buckets = Buckets { first: 0, counts: Vec::new(), total: 0, min, max };
                for pair in pairs {
                    let number = u32::from_le_bytes(*pair.first_chunk()?);
                    if number >= 1 << (64 - DROPPED_BITS) {
                        return None;
                    }
                    buckets.count(number, u64::from_le_bytes(*pair.last_chunk()?));
                }
                odd.is_empty().then(|| Sketch::Buckets(Box::new(buckets)))
            }
            _ => None,
        }
    }
}

fn interpolated(share: f64, last: u64, at: impl Fn(u64) -> f64) -> f64 {
    let rank = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (at(rank.floor() as u64), at(rank.ceil() as u64));
    below + (above - below) * rank.fract()
}

impl Buckets {
    fn of(values: &[f64]) -> Self {
        let mut buckets = Self { first: 0, counts: Vec::new(), total: 0, min: f64::INFINITY, max: f64::NEG_INFINITY };
        values.iter().for_each(|value| buckets.add(*value, 1));
        buckets
    }

    fn add(&mut self, value: f64, count: u64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.count(bucket(value), count);
    }

    fn merge(&mut self, other: &Buckets) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (number, count) in (other.first..).zip(&other.counts).filter(|(_, count)| **count > 0) {
            self.count(number, *count);
        }
    }

    fn count(&mut self, number: u32, count: u64) {
        if self.counts.is_empty() {
            self.first = number;
        }
        if number < self.first {
            let more = (self.first - number) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = number;
        }
        let at = (number - self.first) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].saturating_add(count);
        self.total = self.total.saturating_add(count);
    }

    fn at(&self, rank: u64) -> f64 {
        if rank == 0 {
            return self.min;
        }
        if rank + 1 >= self.total {
            return self.max;
        }
        let mut before = 0;
        for (number, count) in (self.first..).zip(&self.counts) {
            before += count;
            if before > rank {
                return middle(number).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, mut state: u64) -> Vec<f64> {
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1_u64 << 31) as f64
        };
        (0..count).map(|_| (draw() * 14.0).exp() * 1e-3).collect()
    }

    fn plain(values: &mut [f64], share: f64) -> f64 {
        values.sort_unstable_by(f64::total_cmp);
        let rank = share * (values.len() - 1) as f64;
        let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
        below + (above - below) * rank.fract()
    }

    const SHARES: [f64; 6] = [0.0, 0.25, 0.5, 0.95, 0.999, 1.0];

    #[test]
    fn few_numbers_are_exact_and_many_within_four_per_mille() {
        for (count, allowed) in [(1, 0.0), (2, 0.0), (EXACT_MAX, 0.0), (EXACT_MAX + 1, 0.004), (50_000, 0.004)] {
            let mut values = numbers(count, count as u64);
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value));
            sketch.add(f64::NAN);
            let found = sketch.quantiles(&SHARES).unwrap();
            for (share, found) in SHARES.iter().zip(found) {
                let expected = plain(&mut values, *share);
                let wrong = (found - expected).abs() / expected;
                assert!(wrong <= allowed, "{count} numbers, {share}: {found} for {expected}");
            }
        }
        assert_eq!(Sketch::default().quantiles(&SHARES), None);
    }

    #[test]
    fn it_does_not_matter_how_the_numbers_were_spread() {
        let values = numbers(9_000, 3);
        let mut whole = Sketch::default();
        values.iter().for_each(|value| whole.add(*value));
        for parts in [1, 2, 7, 100] {
            let mut merged = Sketch::default();
            for part in values.chunks(values.len() / parts + 1) {
                let mut sketch = Sketch::default();
                part.iter().for_each(|value| sketch.add(*value));
                let bytes = sketch.to_bytes();
                assert_eq!(Sketch::from_bytes(&bytes).unwrap().to_bytes(), bytes);
                merged.merge(Sketch::from_bytes(&bytes).unwrap());
            }
            assert_eq!(merged.quantiles(&SHARES), whole.quantiles(&SHARES), "{parts} parts");
        }
    }

    #[test]
    fn buckets_are_in_the_order_of_the_numbers() {
        let ordered = [f64::NEG_INFINITY, -1e9, -2.0, -1e-9, 0.0, 1e-9, 1.0, 1.01, 2.0, 1e300, f64::INFINITY];
        assert!(ordered.windows(2).all(|two| bucket(two[0]) < bucket(two[1])));
        for value in [-1e9, -2.5, 1e-6, 3.7, 1e12] {
            assert!((middle(bucket(value)) - value).abs() <= value.abs() / 256.0, "{value}");
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&[][..], &[2], &[0, 1], &[1, 0, 0], &[255; 40]] {
            assert_eq!(Sketch::from_bytes(bytes), None, "{bytes:?}");
        }
        let mut long = vec![1];
        long.extend([0; 16]);
        long.extend([255; 12]);
        assert_eq!(Sketch::from_bytes(&long), None, "a bucket that cannot be must not take memory");
    }
}
