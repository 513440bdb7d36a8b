//! Keys to numbers that ascend as they do: a stand-in for each while the keys are not all known, the number afterwards.

use super::super::threads;
use rustc_hash::FxHashMap;

/// Keys below this stand for themselves.
const SMALL: i64 = 1 << 22;

/// Gives stand-ins out.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// The other keys, in order of appearance; their stand-ins follow those of small keys.
    others: Vec<i64>,
    places: FxHashMap<i64, u32>,
}

/// All keys, ascending, and how often each was met.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) keys: Vec<i64>,
    pub(super) counts: Vec<u32>,
}

impl Numbering {
    /// What stands for a key.
    #[inline]
    pub(super) fn stand_in(&mut self, key: i64) -> u32 {
        if (0..SMALL).contains(&key) { key as u32 } else { self.other(key) }
    }

    fn other(&mut self, key: i64) -> u32 {
        let next = self.others.len() as u32;
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.others.push(key);
        }
        SMALL as u32 + place
    }

    /// The key that a stand-in stands for.
    pub(super) fn key(&self, stand_in: u32) -> i64 {
        match stand_in.checked_sub(SMALL as u32) {
            Some(place) => self.others[place as usize],
            None => i64::from(stand_in),
        }
    }

    /// Puts numbers where stand-ins are. So many threads share it. O(n), and O(k log k) in keys that are not small.
    pub(super) fn finish(self, column: &mut [u32], threads: usize) -> Numbered {
        let piece = column.len().div_ceil(threads).max(1);
        let counted = threads::each(column.chunks(piece).collect(), count);
        let mut by_stand_in = Vec::new();
        for counts in counted {
            if by_stand_in.len() < counts.len() {
                by_stand_in.resize(counts.len(), 0);
            }
            by_stand_in.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let small = by_stand_in.len().min(SMALL as usize);
        let mut others: Vec<(i64, u32)> = self.others.iter().copied().zip(SMALL as u32..).collect();
        others.sort_unstable();
        let (negative, large) = others.split_at(others.partition_point(|other| other.0 < 0));
        let used = (0..small as u32).filter(|key| by_stand_in[*key as usize] > 0).map(|key| (i64::from(key), key));
        let ascending: Vec<(i64, u32)> = negative.iter().copied().chain(used).chain(large.iter().copied()).collect();
        let is_numbered = ascending.iter().zip(0..).all(|((_, stand_in), number)| *stand_in == number);
        let counts = ascending.iter().map(|(_, stand_in)| by_stand_in[*stand_in as usize]).collect();
        if !is_numbered {
            let mut numbers = by_stand_in;
            ascending.iter().zip(0..).for_each(|((_, stand_in), number)| numbers[*stand_in as usize] = number);
            threads::each(column.chunks_mut(piece).collect(), |piece: &mut [u32]| {
                piece.iter_mut().for_each(|key| *key = numbers[*key as usize]);
            });
        }
        Numbered { keys: ascending.into_iter().map(|(key, _)| key).collect(), counts }
    }
}

/// How often each number occurs.
fn count(numbers: &[u32]) -> Vec<u32> {
    let mut counts = vec![0; numbers.iter().max().map_or(0, |most| *most as usize + 1)];
    numbers.iter().for_each(|number| counts[*number as usize] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_as_keys_do() {
        let cases: [&[i64]; 6] = [
            &[],
            &[0, 1, 2, 1],
            &[5, 3, 5, 9],
            &[SMALL - 1, SMALL, 0],
            &[i64::MAX, -1, 7, i64::MIN, SMALL, 7, -1],
            &[1 << 40, 2, 1 << 40],
        ];
        for keys in cases {
            for threads in [1, 2, 5] {
                let mut numbering = Numbering::default();
                let mut column: Vec<u32> = keys.iter().map(|key| numbering.stand_in(*key)).collect();
                let numbered = numbering.finish(&mut column, threads);
                let mut ascending = keys.to_vec();
                ascending.sort_unstable();
                let counts: Vec<u32> = ascending.chunk_by(|a, b| a == b).map(|keys| keys.len() as u32).collect();
                ascending.dedup();
                assert_eq!((numbered.keys.as_slice(), numbered.counts.as_slice()), (&*ascending, &*counts));
                let told: Vec<i64> = column.iter().map(|number| numbered.keys[*number as usize]).collect();
                assert_eq!(told, keys, "{threads}");
            }
        }
    }
}
