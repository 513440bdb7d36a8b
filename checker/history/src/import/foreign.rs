//! Formats that are neither EDN nor JSON of operations: how to tell them, and how to open them.

use super::event::{Character, EventSource, RawEvent, SourceError};
use super::format::Format;
use super::input::Input;
use super::reader::{Form, Notation, Reader};
use super::{awdit, chronos, cobra, dbcop, jepsen_blocks, jepsen_source, plume, porcupine, sessions::ZeroKeys};
use crate::error::Error;
use fissure_checker::Names;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 1 << 18;

/// The format of a file or folder, if it is one of these.
pub(super) fn detect(path: &Path, head: &[u8]) -> Option<Format> {
    if path.is_dir() {
        return cobra::looks_like(path).then_some(Format::Cobra);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if head.starts_with(jepsen_blocks::MAGIC) || extension == "jepsen" {
        return Some(Format::Jepsen);
    }
    // A map of a list, in Fressian.
    if extension == "fressian" || matches!(head, [0xc0, 0xe4..=0xed, ..]) {
        return Some(Format::Fressian);
    }
    if extension == "bincode" || dbcop::looks_binary(head) {
        return Some(Format::Dbcop);
    }
    let begin = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let has = |word: &[u8]| begin.windows(word.len()).any(|window| window == word);
    if begin.starts_with(b"[") && (has(b"\"cts\"") || has(b"\"sts\"")) && has(b"\"ops\"") {
        return Some(Format::Chronos);
    }
    if begin.starts_with(b"{") && has(b"\"data\"") && has(b"\"events\"") {
        return Some(Format::DbcopJson);
    }
    if begin.starts_with(b"{:") && is_porcupine(begin) {
        return Some(Format::Porcupine);
    }
    if plume::looks_like(begin) {
        return Some(Format::Plume);
    }
    awdit::looks_like(begin).then_some(Format::Awdit)
}

fn is_porcupine(begin: &[u8]) -> bool {
    let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches!(Reader::new(line, Notation::Edn).next(), Ok(Form::Value(value)) if porcupine::looks_like(&value))
}

/// A source that has nothing but the reason why it cannot be read.
struct Unreadable(Option<SourceError>);

impl EventSource for Unreadable {
    fn next_event(&mut self, _: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        self.0.take().map_or(Ok(None), Err)
    }

    fn character(&self) -> Character {
        Character { binary: true, ..Character::default() }
    }
}

/// The source, or the reason in its place.
fn or_unreadable<S: EventSource + 'static>(source: Result<S, SourceError>) -> Result<Box<dyn EventSource>, Error> {
    match source {
        Ok(source) => Ok(Box::new(source)),
        Err(SourceError::File(error)) => Err(error),
        Err(mistake) => Ok(Box::new(Unreadable(Some(mistake)))),
    }
}

/// What reading the whole file beforehand found. Errors of the file itself are all there can be.
fn found<T: Default>(result: Result<T, SourceError>) -> Result<T, Error> {
    match result {
        Err(SourceError::File(error)) => Err(error),
        other => Ok(other.unwrap_or_default()),
    }
}

/// Opens a file or folder in one of these formats; `None` for the others.
pub(super) fn open(format: Format, input: &Input) -> Result<Option<Box<dyn EventSource>>, Error> {
    let path = input.path();
    let bytes = || Ok::<_, Error>(BufReader::with_capacity(BUFFER_BYTES, input.open()?));
    type Found = fn(&mut dyn BufRead, &Path) -> Result<ZeroKeys, SourceError>;
    let zeros = |keys: Found| found(keys(&mut bytes()?, path));
    Ok(Some(match format {
        Format::Jepsen => or_unreadable(jepsen_source::file(input.open()?))?,
        Format::Fressian => or_unreadable(jepsen_source::fressian(bytes()?))?,
        Format::Plume => {
            let zeros = zeros(|bytes, path| plume::zero_keys(bytes, path))?;
            Box::new(plume::Plume::new(bytes()?, path, zeros))
        }
        Format::Awdit => Box::new(awdit::Awdit::new(bytes()?, path)),
        Format::Cobra => Box::new(cobra::Cobra::open(path)?),
        Format::Dbcop => {
            let zeros = zeros(|bytes, path| dbcop::zero_keys_binary(bytes, path))?;
            Box::new(dbcop::binary(bytes()?, path, zeros))
        }
        Format::DbcopJson => {
            let zeros = zeros(|bytes, path| dbcop::zero_keys_json(bytes, path))?;
            Box::new(dbcop::json(bytes()?, path, zeros))
        }
        Format::Chronos => {
            let shape = found(chronos::shape(bytes()?, path))?;
            Box::new(chronos::Chronos::new(bytes()?, path, shape))
        }
        Format::Porcupine => Box::new(porcupine::Porcupine::new(bytes()?, path)),
        _ => return Ok(None),
    }))
}
