//! The intervals of one side, sorted, and the search for those that overlap another one.

/// Entries of one level that one entry of the next level stands for.
const FAN_OUT: usize = 16;

/// One row of the side that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Number of its group.
    pub(crate) group: u32,
    /// Begin of its interval.
    pub(crate) lo: i64,
    /// End of its interval; may lie before its begin, and then nothing can overlap it.
    pub(crate) hi: i64,
    /// Where the row is: batch and row within it.
    pub(crate) place: (u32, u32),
}

/// Which of the two comparisons are strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strictness {
    /// The begin of a kept interval must lie before the end of the other one; else it may be the same.
    pub(crate) begin: bool,
    /// The end of a kept interval must lie after the begin of the other one; else it may be the same.
    pub(crate) end: bool,
}

/// Rows that are still to be looked at for one interval of the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    at: usize,
    end: usize,
    begin: i64,
}

/// The rows of one side, by group and begin.
#[derive(Debug, Default)]
pub(crate) struct IntervalIndex {
    /// First position of each group, and the number of positions after the last one.
    starts: Vec<usize>,
    begins: Vec<i64>,
    places: Vec<(u32, u32)>,
    /// Ends of the intervals, then the greatest of each 16 entries of the level before; none if every interval is a point.
    ends: Option<Vec<Vec<i64>>>,
    strict: Strictness,
}

impl IntervalIndex {
    /// Sorts the entries, whose groups are below `groups`. O(n log n).
    pub(crate) fn new(mut entries: Vec<Entry>, groups: usize, strict: Strictness) -> Self {
        entries.sort_unstable_by_key(|entry| (entry.group, entry.lo, entry.place));
        let mut starts = vec![0; groups + 1];
        for entry in &entries {
            starts[entry.group as usize + 1] += 1;
        }
        for group in 0..groups {
            starts[group + 1] += starts[group];
        }
        let points = entries.iter().all(|entry| entry.lo == entry.hi);
        let ends = (!points).then(|| levels(entries.iter().map(|entry| entry.hi).collect()));
        Self {
            starts,
            begins: entries.iter().map(|entry| entry.lo).collect(),
            places: entries.iter().map(|entry| entry.place).collect(),
            ends,
            strict,
        }
    }

    /// Bytes that an entry takes once it is sorted, with the entry itself while that is done.
    pub(crate) const BYTES_PER_ENTRY: usize = size_of::<Entry>() + 8 + 8 + 9;

    /// The rows of `group` that may overlap the interval from `begin` to `end`. O(log n).
    pub(crate) fn search(&self, group: u32, begin: i64, end: i64) -> Cursor {
        let (first, last) = (self.starts[group as usize], self.starts[group as usize + 1]);
        let begins = &self.begins[first..last];
        let stop = first + begins.partition_point(|lo| if self.strict.begin { *lo < end } else { *lo <= end });
        let mut at = first;
        if self.ends.is_none() {
            at += begins.partition_point(|lo| if self.strict.end { *lo <= begin } else { *lo < begin });
        }
        Cursor { at, end: stop, begin }
    }

    /// The place of the next row that overlaps. O(log n).
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<(u32, u32)> {
        while cursor.at < cursor.end {
            let at = cursor.at;
            let Some(ends) = &self.ends else {
                cursor.at += 1;
                return Some(self.places[at]);
            };
            let too_early = |end: i64| if self.strict.end { end <= cursor.begin } else { end < cursor.begin };
            if !too_early(ends[0][at]) {
                cursor.at += 1;
                return Some(self.places[at]);
            }
            // Up as long as the whole block that begins here ended too early, then past it.
            let (mut level, mut width) = (0, 1);
            while level + 1 < ends.len() && at.is_multiple_of(width * FAN_OUT) {
                if !too_early(ends[level + 1][at / (width * FAN_OUT)]) {
                    break;
                }
                level += 1;
                width *= FAN_OUT;
            }
            cursor.at += width;
        }
        None
    }
}

fn levels(ends: Vec<i64>) -> Vec<Vec<i64>> {
    let mut levels = vec![ends];
    while let Some(below) = levels.last().filter(|level| level.len() > FAN_OUT) {
        let above = below.chunks(FAN_OUT).map(|block| block.iter().copied().max().unwrap_or(i64::MIN)).collect();
        levels.push(above);
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knuth's generator: plain, and the same everywhere.
    fn draw(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % below
    }

    fn overlaps(entry: &Entry, group: u32, begin: i64, end: i64, strict: Strictness) -> bool {
        entry.group == group
            && (if strict.begin { entry.lo < end } else { entry.lo <= end })
            && (if strict.end { entry.hi > begin } else { entry.hi >= begin })
    }

    #[test]
    fn every_interval_that_overlaps_is_found_and_no_other() {
        let mut state = 7;
        let mut found_some = 0;
        for round in 0..400 {
            let (count, span) = (draw(&mut state, 700), 1 + draw(&mut state, 900));
            let (groups, points) = (1 + draw(&mut state, 4) as u32, round % 3 == 0);
            let strict = Strictness { begin: round % 2 == 0, end: round % 5 < 2 };
            let entries: Vec<Entry> = (0..count)
                .map(|row| {
                    let lo = draw(&mut state, span) as i64 - 10;
                    // Now and then one that lasts for ever, or ends before it begins.
                    let hi = match draw(&mut state, 12) {
                        _ if points => lo,
                        0 => i64::MAX,
                        1 => lo - 3,
                        length => lo + length as i64,
                    };
                    let group = draw(&mut state, u64::from(groups)) as u32;
                    Entry { group, lo, hi, place: (row as u32 / 64, row as u32 % 64) }
                })
                .collect();
            let index = IntervalIndex::new(entries.clone(), groups as usize, strict);
            for _ in 0..20 {
                let begin = draw(&mut state, span + 20) as i64 - 20;
                let end = if draw(&mut state, 9) == 0 { i64::MAX } else { begin + draw(&mut state, 30) as i64 - 2 };
                let group = draw(&mut state, u64::from(groups)) as u32;
                let mut expected: Vec<(u32, u32)> = entries
                    .iter()
                    .filter(|entry| overlaps(entry, group, begin, end, strict))
                    .map(|entry| entry.place)
                    .collect();
                let mut cursor = index.search(group, begin, end);
                let mut found: Vec<(u32, u32)> = std::iter::from_fn(|| index.next(&mut cursor)).collect();
                expected.sort_unstable();
                found.sort_unstable();
                // A point on the other side of a reversed interval overlaps by the letter of both comparisons.
                assert_eq!(found, expected, "round {round}: {group} {begin}..{end} {strict:?}");
                found_some += usize::from(!found.is_empty());
            }
        }
        assert!(found_some > 2_000, "{found_some}");
    }
}
