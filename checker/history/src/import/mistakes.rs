//! Records that are wrong: collected, so that a person sees them at once, and placed when the file is known.

use super::event::Mistake;
use super::input::Input;
use crate::error::Error;
use std::fmt;

/// At most this many mistakes are told; the others are counted.
const TOLD_MAX: usize = 20;

/// Where something is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a text: both from 1, the column in characters.
    Text {
        /// The line.
        line: u64,
        /// The column.
        column: u64,
    },
    /// In a binary file.
    Byte(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Text { line, column } => write!(f, "{line}:{column}"),
            Place::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

/// A record that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub place: Place,
    /// What was found there, and what was expected.
    pub detail: String,
}

/// Records that could not be taken: the first of them, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRecords {
    /// The first, at most 20, in their order.
    pub first: Vec<Skipped>,
    /// How many there are.
    pub count: u64,
}

/// Collects mistakes in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    first: Vec<Mistake>,
    count: u64,
}

impl Mistakes {
    pub(crate) fn add(&mut self, mistake: Mistake) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(mistake);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// With their places in the file.
    pub(crate) fn placed(mut self, input: &Input, binary: bool) -> Result<SkippedRecords, Error> {
        self.first.sort_by_key(|mistake| mistake.offset);
        let offsets: Vec<u64> = self.first.iter().map(|mistake| mistake.offset).collect();
        let places: Vec<Place> = if binary {
            offsets.into_iter().map(Place::Byte).collect()
        } else if offsets.is_empty() {
            Vec::new()
        } else {
            let places = input.lines_and_columns(&offsets)?;
            places.into_iter().map(|(line, column)| Place::Text { line, column }).collect()
        };
        let first = self.first.into_iter().zip(places);
        let first = first.map(|(mistake, place)| Skipped { place, detail: mistake.detail }).collect();
        Ok(SkippedRecords { first, count: self.count })
    }
}
