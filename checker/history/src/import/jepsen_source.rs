//! Jepsen's own files as a source of events.

use super::event::{Character, EventSource, Mistake, RawEvent, SourceError};
use super::fressian::BinaryError;
use super::jepsen::{FressianTest, JepsenFile, Operation};
use super::records::event_of;
use fissure_checker::Names;
use std::io::{BufRead, Read, Seek};

/// The operations of a file of Jepsen.
pub(super) struct JepsenSource<I> {
    operations: I,
    /// Whether operations may follow an error.
    goes_on: bool,
}

fn broken(error: BinaryError) -> SourceError {
    SourceError::Broken(Mistake { offset: error.offset, detail: error.detail })
}

/// The events of a `.jepsen` file.
///
/// # Errors
/// If its header, its index or its test cannot be read.
pub(super) fn file<F: Read + Seek>(file: F) -> Result<JepsenSource<JepsenFile<F>>, SourceError> {
    Ok(JepsenSource { operations: JepsenFile::open(file).map_err(broken)?, goes_on: true })
}

/// The events of a `test.fressian`.
///
/// # Errors
/// If it is not a test in Fressian.
pub(super) fn fressian<R: BufRead>(bytes: R) -> Result<JepsenSource<FressianTest<R>>, SourceError> {
    Ok(JepsenSource { operations: FressianTest::open(bytes).map_err(broken)?, goes_on: false })
}

impl<I: Iterator<Item = Result<Operation, BinaryError>>> EventSource for JepsenSource<I> {
    fn next_event(&mut self, _: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        match self.operations.next() {
            None => Ok(None),
            Some(Ok((offset, value))) => event_of(offset, value).map(Some).map_err(SourceError::Mistake),
            Some(Err(BinaryError { offset, detail })) if self.goes_on => {
                Err(SourceError::Mistake(Mistake { offset, detail }))
            }
            Some(Err(error)) => Err(broken(error)),
        }
    }

    fn character(&self) -> Character {
        Character { binary: true, ..Character::default() }
    }
}
