//! Names of the files of a journal.

use crate::error::Error;
use crate::schema::Table;
use std::path::{Path, PathBuf};

/// What a file of a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A segment of a table, or its checksums.
    Segment(Table, u32),
    /// A part of the carry with this number, or its checksums.
    Carry(u32),
}

/// Path of a segment.
pub(crate) fn segment_path(journal: &Path, table: Table, number: u32) -> PathBuf {
    journal.join(format!("{}-{number:05}.arrows", table.name()))
}

fn parse(name: &str) -> Option<Name> {
    let stem = name.strip_suffix(".arrows").or_else(|| name.strip_suffix(".sums"))?;
    let (stem, number) = stem.rsplit_once('-')?;
    let number = number.parse().ok()?;
    match stem.strip_prefix("carry-") {
        Some(_) => Some(Name::Carry(number)),
        None => Table::from_name(stem).map(|table| Name::Segment(table, number)),
    }
}

/// The segments and carries of a journal, with their checksums. None if there is no journal.
pub(crate) fn list(journal: &Path) -> Result<Vec<(PathBuf, Name)>, Error> {
    let entries = match std::fs::read_dir(journal) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", journal))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", journal))?;
        if let Some(name) = entry.file_name().to_str().and_then(parse) {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}

/// The segments of a table from a number on, in order.
///
/// # Errors
/// If one of them is missing.
pub(crate) fn from(journal: &Path, table: Table, first: u32) -> Result<Vec<(PathBuf, u32)>, Error> {
    let mut numbers: Vec<u32> = list(journal)?
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "arrows"))
        .filter_map(|(_, name)| match name {
            Name::Segment(of, number) if of == table && number >= first => Some(number),
            _ => None,
        })
        .collect();
    numbers.sort_unstable();
    for (number, expected) in numbers.iter().zip(first..) {
        if *number != expected {
            let path = segment_path(journal, table, expected);
            let (place, detail) = ("its name".to_owned(), "it is missing, but later segments are there".to_owned());
            return Err(Error::Corrupt { path, place, detail });
        }
    }
    Ok(numbers.into_iter().map(|number| (segment_path(journal, table, number), number)).collect())
}

/// Refuses the journal of a version that did not cut journals into segments: to find none would lose all of it.
pub(crate) fn refuse_older(journal: &Path) -> Result<(), Error> {
    let path = journal.join("ops.arrows");
    if path.exists() { Err(Error::OlderJournal { path }) } else { Ok(()) }
}
