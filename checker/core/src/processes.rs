//! Processes, numbered in the order in which they appear.

use rustc_hash::FxHashMap;

/// Processes whose numbers are at hand: those that were met last, as a rule.
const RECENT: usize = 256;

/// The numbers of processes.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    numbers: FxHashMap<i64, u32>,
    /// By the last bits of the process.
    recent: Vec<(i64, u32)>,
}

impl Processes {
    /// The number of a process; that of a new one is how many there were. O(1).
    #[inline]
    pub(crate) fn number(&mut self, process: i64) -> u32 {
        let place = process.cast_unsigned() as usize % RECENT;
        if let Some((known, number)) = self.recent.get(place)
            && *known == process
        {
            return *number;
        }
        self.look_up(process, place)
    }

    fn look_up(&mut self, process: i64, place: usize) -> u32 {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(process).or_insert(next);
        // Whatever stands in the first places before anything was met there is the first process.
        self.recent.resize(RECENT, (process, number));
        self.recent[place] = (process, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_number_whatever_else_comes() {
        let mut processes = Processes::default();
        let met = [7, 7, 7 + 256, 7, -1, i64::MIN, 255, 7 + 256, 7, -1, i64::MIN, 0, 255];
        let numbers: Vec<u32> = met.into_iter().map(|process| processes.number(process)).collect();
        assert_eq!(numbers, [0, 0, 1, 0, 2, 3, 4, 1, 0, 2, 3, 5, 4]);
    }
}
