//! Cobra's logs: a folder with one binary log for each session.
//!
//! A log is a row of records, integers of 64 bits, the most significant byte first:
//!
//! ```text
//! 'S' transaction                    begins
//! 'R' writer write key value-hash    read what `write` wrote, in the transaction `writer`
//! 'W' write key value-hash           wrote
//! 'C' transaction                    committed
//! ```
//!
//! Numbers of writes are unique, so they are the values here; hashes of values say nothing and are left out. A read of a
//! write 0xbebeebee (the initial state) or 0xdeadbeef (nothing) saw a key that was never written.
//!
//! Sessions become processes 0, 1, 2 … in the order of the numbers in the names of the logs. Logs are read in turn, a
//! transaction of each. A transaction that is not finished where its log ends is `info`.

use super::bytes::{Bytes, broken};
use super::event::{Character, EventSource, Kind, RawEvent, SourceError};
use super::sessions::{Session, Sessions, Transaction, character};
use crate::error::Error;
use fissure_checker::{Mop, Names};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What a read names as the write that it saw where there was none.
const NO_WRITE: [i64; 2] = [0xbebe_ebee, 0xdead_beef];

/// Bytes that are read at a time of each log.
const BUFFER_BYTES: usize = 8 << 10;

/// The logs in a folder, in the order of the numbers in their names; none if it is no folder of logs.
pub(super) fn logs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut logs: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    logs.sort_by_cached_key(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        (digits.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    logs
}

/// Whether a folder holds logs of Cobra.
pub(super) fn looks_like(folder: &Path) -> bool {
    logs(folder).iter().any(|log| {
        let begin = std::fs::File::open(log).and_then(|file| {
            let mut input = BufReader::with_capacity(16, file);
            Ok(input.fill_buf()?.first().copied())
        });
        begin.is_ok_and(|byte| byte == Some(b'S'))
    })
}

/// One log.
struct Log<R> {
    input: Bytes<R>,
    session: i64,
    name: String,
}

impl<R: BufRead> Log<R> {
    fn number(&mut self, what: &str) -> Result<i64, SourceError> {
        Ok(i64::from_be_bytes(self.input.array(what)?))
    }

    /// An error in this log, with its name: a folder has several.
    fn error<T>(&self, offset: u64, detail: impl std::fmt::Display) -> Result<T, SourceError> {
        broken(offset, format!("{}: {detail}", self.name))
    }

    /// The next transaction; `None` at the end of the log.
    fn transaction(&mut self, names: &mut Names) -> Result<Option<Transaction>, SourceError> {
        let offset = self.input.offset();
        match self.input.byte()? {
            None => return Ok(None),
            Some(b'S') => {}
            Some(other) => return self.error(offset, format_args!("record {other:#04x} where a transaction begins")),
        }
        let id = self.number("the beginning of a transaction")?;
        let mut mops = Vec::new();
        loop {
            let at = self.input.offset();
            match self.input.byte()? {
                None => return Ok(Some(Transaction { offset, mops, end: Kind::Info })),
                Some(b'R') => {
                    let [_, write, key, _] = self.numbers("a read")?;
                    let seen = (!NO_WRITE.contains(&write)).then(|| names.number_of_int(write));
                    mops.push(Mop::Read { key: names.number_of_int(key), value: Some(seen) });
                }
                Some(b'W') => {
                    let [write, key, _] = self.numbers("a write")?;
                    mops.push(Mop::Write { key: names.number_of_int(key), value: names.number_of_int(write) });
                }
                Some(b'C') => {
                    let committed = self.number("the end of a transaction")?;
                    if committed != id {
                        let detail = format_args!("transaction {committed} commits where {id} is open");
                        return self.error(at, detail);
                    }
                    return Ok(Some(Transaction { offset, mops, end: Kind::Ok }));
                }
                Some(other) => {
                    let detail = format_args!("record {other:#04x} in a transaction: expected R, W or C");
                    return self.error(at, detail);
                }
            }
        }
    }

    fn numbers<const N: usize>(&mut self, what: &str) -> Result<[i64; N], SourceError> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number(what)?;
        }
        Ok(numbers)
    }
}

/// Reads a folder of logs.
pub(super) struct Cobra<R> {
    logs: Vec<Log<R>>,
    /// The log whose turn it is.
    turn: usize,
    sessions: Sessions,
    ended: bool,
}

impl Cobra<BufReader<std::fs::File>> {
    /// Opens all logs of a folder.
    ///
    /// # Errors
    /// If one of them cannot be opened.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let mut inputs = Vec::new();
        for path in logs(folder) {
            let file = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
            inputs.push((BufReader::with_capacity(BUFFER_BYTES, file), path));
        }
        Ok(Self::new(inputs))
    }
}

impl<R: BufRead> Cobra<R> {
    /// Reads these logs, one for each session.
    pub(super) fn new(logs: Vec<(R, PathBuf)>) -> Self {
        let log = |(session, (bytes, path)): (usize, (R, PathBuf))| Log {
            input: Bytes::new(bytes, &path),
            session: session as i64,
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        Self {
            logs: logs.into_iter().enumerate().map(log).collect(),
            turn: 0,
            sessions: Sessions::default(),
            ended: false,
        }
    }
}

impl<R: BufRead> EventSource for Cobra<R> {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        loop {
            if let Some(event) = self.sessions.next() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            if self.logs.is_empty() {
                self.sessions.finish();
                self.ended = true;
                continue;
            }
            self.turn %= self.logs.len();
            let log = &mut self.logs[self.turn];
            match log.transaction(names) {
                Ok(Some(transaction)) => {
                    self.sessions.push(Session::Number(log.session), transaction);
                    self.turn += 1;
                }
                Ok(None) => drop(self.logs.remove(self.turn)),
                Err(SourceError::Broken(mistake)) => {
                    // Nothing more of this log; the others go on.
                    self.logs.remove(self.turn);
                    return Err(SourceError::Mistake(mistake));
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn character(&self) -> Character {
        let notes = vec!["values are the numbers of the writes; hashes of values are left out".to_owned()];
        character(true, notes)
    }
}
