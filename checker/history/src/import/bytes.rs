//! Bytes of a file, with the place that errors name. Shared by the formats of transactional checkers.

use super::event::{Mistake, SourceError};
use crate::error::Error;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// A line of a text format is never longer than this.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// The mistake that `detail` says, at a byte of the file; the source goes on after it.
pub(super) fn mistake<T>(offset: u64, detail: impl Into<String>) -> Result<T, SourceError> {
    Err(SourceError::Mistake(Mistake { offset, detail: detail.into() }))
}

/// The mistake that `detail` says, at a byte of the file; nothing can be said about what follows.
pub(super) fn broken<T>(offset: u64, detail: impl Into<String>) -> Result<T, SourceError> {
    Err(SourceError::Broken(Mistake { offset, detail: detail.into() }))
}

/// The bytes of a file, read from its beginning.
pub(super) struct Bytes<R> {
    bytes: R,
    offset: u64,
    path: PathBuf,
}

impl<R: BufRead> Bytes<R> {
    pub(super) fn new(bytes: R, path: &Path) -> Self {
        Self { bytes, offset: 0, path: path.to_owned() }
    }

    /// How many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    fn unreadable(&self, source: std::io::Error) -> SourceError {
        SourceError::File(Error::io("read", &self.path)(source))
    }

    /// Reads the next line, without its end, into `line`, and gives the offset at which it begins; `None` at the end of
    /// the file.
    pub(super) fn line(&mut self, line: &mut Vec<u8>) -> Result<Option<u64>, SourceError> {
        line.clear();
        let start = self.offset;
        let read = (&mut self.bytes).take(LINE_BYTES_MAX).read_until(b'\n', line);
        let count = read.map_err(|source| self.unreadable(source))? as u64;
        self.offset += count;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if count == LINE_BYTES_MAX {
            return broken(start, format!("a line of more than {LINE_BYTES_MAX} bytes: this is not a history in text"));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok((count > 0).then_some(start))
    }

    /// The next byte, which stays there; `None` at the end of the file.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, SourceError> {
        match self.bytes.fill_buf() {
            Ok(buffer) => Ok(buffer.first().copied()),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    /// The next byte; `None` at the end of the file.
    pub(super) fn byte(&mut self) -> Result<Option<u8>, SourceError> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.bytes.consume(1);
            self.offset += 1;
        }
        Ok(byte)
    }

    /// The next `N` bytes. `what` they are is said if the file ends before.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], SourceError> {
        let mut array = [0; N];
        let start = self.offset;
        match self.bytes.read_exact(&mut array) {
            Ok(()) => {
                self.offset += N as u64;
                Ok(array)
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                broken(start, format!("the file ends within {what}"))
            }
            Err(source) => Err(self.unreadable(source)),
        }
    }

    /// Reads over `count` bytes, of `what`.
    pub(super) fn skip(&mut self, count: u64, what: &str) -> Result<(), SourceError> {
        let start = self.offset;
        let skipped = std::io::copy(&mut (&mut self.bytes).take(count), &mut std::io::sink());
        let skipped = skipped.map_err(|source| self.unreadable(source))?;
        self.offset += skipped;
        if skipped < count {
            return broken(start, format!("{what} of {count} bytes, where the file has {skipped} more"));
        }
        Ok(())
    }
}

/// The fields of a line: words and punctuation, with their places.
pub(super) struct Fields<'a> {
    line: &'a [u8],
    at: usize,
    start: u64,
}

impl<'a> Fields<'a> {
    /// The fields of the line that begins at byte `start`.
    pub(super) fn new(line: &'a [u8], start: u64) -> Self {
        Self { line, at: 0, start }
    }

    /// Place of the next field.
    pub(super) fn offset(&mut self) -> u64 {
        self.skip_blank();
        self.start + self.at as u64
    }

    fn skip_blank(&mut self) {
        while self.line.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Whether nothing is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.skip_blank();
        self.at == self.line.len()
    }

    /// What is found next, for an error.
    fn found(&self) -> String {
        let rest: Vec<u8> = self.line[self.at..].iter().copied().take(20).collect();
        if rest.is_empty() { "the end of the line".to_owned() } else { format!("`{}`", String::from_utf8_lossy(&rest)) }
    }

    /// A mistake at the next field.
    pub(super) fn expected<T>(&mut self, what: &str) -> Result<T, SourceError> {
        let offset = self.offset();
        mistake(offset, format!("{} where {what} is expected", self.found()))
    }

    /// Takes one of these characters.
    pub(super) fn one_of(&mut self, wanted: &[u8], what: &str) -> Result<u8, SourceError> {
        self.skip_blank();
        match self.line.get(self.at) {
            Some(byte) if wanted.contains(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            _ => self.expected(what),
        }
    }

    /// Takes an integer.
    pub(super) fn integer(&mut self, what: &str) -> Result<i128, SourceError> {
        self.skip_blank();
        let rest = &self.line[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[..sign + digits]).ok().and_then(|number| number.parse::<i128>().ok());
        match number.filter(|number| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number)) {
            Some(number) => {
                self.at += sign + digits;
                Ok(number)
            }
            None => self.expected(what),
        }
    }
}
