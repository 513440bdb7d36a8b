//! The version order of one key: the longest list that any read saw.

use super::index::{Append, Index, NONE, Read};
use rustc_hash::FxHashMap;

/// The versions of one key. Reusable: [`Versions::load`] replaces the content and keeps the memory.
#[derive(Debug, Default)]
pub(super) struct Versions<'h> {
    appends: Vec<Append>,
    /// The longest list as read, with its duplicates.
    longest: &'h [i64],
    /// The elements by rank; the same as `longest` unless that has duplicates.
    elements: Vec<i64>,
    /// Place in `appends` of the element with a rank; `NONE` where nobody appended it.
    by_rank: Vec<u32>,
    /// Rank of each append; `NONE` where the order lacks it.
    rank: Vec<u32>,
    /// Ranks of elements that nobody appended.
    garbage: FxHashMap<i64, u32>,
    /// Whether the values of the appends follow each other without gap, so that a place is a difference.
    contiguous: bool,
}

impl<'h> Versions<'h> {
    /// The version order of a key.
    pub(super) fn load(&mut self, index: &Index<'h>, key: u32) {
        self.appends.clear();
        self.appends.extend_from_slice(index.appends.of(key));
        self.contiguous = match (self.appends.first(), self.appends.last()) {
            (Some(first), Some(last)) => last.value.abs_diff(first.value) == self.appends.len() as u64 - 1,
            _ => false,
        };
        self.longest = &[];
        for read in index.reads.of(key) {
            if read.list.len() > self.longest.len() {
                self.longest = read.list;
            }
        }
        self.rank.clear();
        self.rank.resize(self.appends.len(), NONE);
        self.by_rank.clear();
        self.elements.clear();
        self.garbage.clear();
        for element in self.longest {
            let rank = self.by_rank.len() as u32;
            let place = self.place(*element);
            let known = match place {
                Some(place) => std::mem::replace(&mut self.rank[place], rank),
                None => self.garbage.insert(*element, rank).unwrap_or(NONE),
            };
            if known == NONE {
                self.by_rank.push(place.map_or(NONE, |place| place as u32));
                self.elements.push(*element);
            } else if let Some(place) = place {
                self.rank[place] = known;
            } else {
                self.garbage.insert(*element, known);
            }
        }
    }

    /// Place among the appends of the one that wrote a value.
    fn place(&self, value: i64) -> Option<usize> {
        if self.contiguous {
            let place = usize::try_from(value.checked_sub(self.appends[0].value)?).ok()?;
            (place < self.appends.len()).then_some(place)
        } else {
            self.appends.binary_search_by_key(&value, |append| append.value).ok()
        }
    }

    /// Number of versions in the order.
    pub(super) fn len(&self) -> u32 {
        self.by_rank.len() as u32
    }

    /// The append that wrote a value, whether or not the order has it.
    pub(super) fn append_of(&self, value: i64) -> Option<Append> {
        self.place(value).map(|place| self.appends[place])
    }

    /// The append that made the version with a rank, if anybody made it.
    pub(super) fn append_at(&self, rank: u32) -> Option<Append> {
        let place = *self.by_rank.get(rank as usize)?;
        self.appends.get(place as usize).copied()
    }

    /// The element with a rank.
    pub(super) fn element(&self, rank: u32) -> Option<i64> {
        self.elements.get(rank as usize).copied()
    }

    /// The rank of an element.
    pub(super) fn rank_of(&self, value: i64) -> Option<u32> {
        let rank = match self.place(value) {
            Some(place) => self.rank[place],
            None => self.garbage.get(&value).copied().unwrap_or(NONE),
        };
        (rank != NONE).then_some(rank)
    }

    /// The appends that no version of the order came from.
    pub(super) fn unobserved(&self) -> impl Iterator<Item = Append> + '_ {
        self.appends.iter().zip(&self.rank).filter(|(_, rank)| **rank == NONE).map(|(append, _)| *append)
    }

    /// Whether the order lacks nothing that was read: no element twice, none that nobody appended.
    pub(super) fn is_clean(&self) -> bool {
        self.elements.len() == self.longest.len() && self.garbage.is_empty()
    }

    /// Whether some version came from a failed transaction.
    pub(super) fn has_aborted(&self) -> bool {
        self.appends.iter().zip(&self.rank).any(|(append, rank)| *rank != NONE && !append.is_possible())
    }

    /// Whether a read saw the first versions of this order, no more and nothing else.
    pub(super) fn has_prefix(&self, read: &Read<'_>) -> bool {
        self.longest.get(..read.list.len()) == Some(read.list)
    }

    /// Rank of the last element of a read; `None` for the empty list, `Some(None)` where the order lacks it.
    pub(super) fn last_rank(&self, read: &Read<'_>) -> Option<Option<u32>> {
        read.list.last().map(|last| self.rank_of(*last))
    }
}
