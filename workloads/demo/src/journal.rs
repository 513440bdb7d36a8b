//! The file behind the Raft log: records appended in order, flushed in groups, read back after a crash.
//!
//! Layout: a magic line, then records of (payload length, CRC-32 of the payload, payload), the two numbers 4 bytes
//! little endian, the payload JSON. Nothing is ever overwritten; truncation of the log is a record too.
//!
//! Invariants: a record's `done` is called only after its bytes are in the file (and on the disk, with `fsync`);
//! records reach the file in the order of [`Journal::write`]; after a failed write every later one fails. Recovery cuts
//! a torn tail (what a crash leaves of the last write) and refuses damage in front of other records.

use crate::{
    error::DemoError,
    types::{Entry, LogId, Vote},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    sync::mpsc,
};

const MAGIC: &[u8; 8] = b"FISDEMO1";
const HEADER_BYTES: usize = 8;
const GROUP_BYTES_MAX: usize = 8 << 20;

/// One change to the log, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record {
    #[serde(rename = "v")]
    Vote(Vote),
    #[serde(rename = "a")]
    Append(Vec<Entry>),
    /// Entries from this index on were removed.
    #[serde(rename = "t")]
    Truncate(u64),
    /// Entries up to this one were removed.
    #[serde(rename = "p")]
    Purge(LogId),
}

impl Record {
    /// The record as it stands in the file.
    ///
    /// # Errors
    /// If it has no JSON form or is larger than a record may be.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; HEADER_BYTES];
        serde_json::to_writer(&mut bytes, self)?;
        let length = u32::try_from(bytes.len() - HEADER_BYTES).map_err(io::Error::other)?;
        let checksum = crc32(&bytes[HEADER_BYTES..]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }
}

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

struct Append {
    bytes: Vec<u8>,
    done: Done,
}

/// The open file. One thread of its own writes it; dropped, it finishes what was handed over and ends.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Append>,
}

impl Journal {
    /// Opens (or creates) the file, reads every whole record, cuts a torn tail, and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be used, or is damaged otherwise than by a crash.
    pub(crate) fn open(path: &Path, fsync: bool) -> Result<(Self, Vec<Record>), DemoError> {
        let in_file = |source| DemoError::File { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path).map_err(in_file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(in_file)?;
        let (records, good_bytes) = decode(path, &bytes)?;
        if good_bytes < bytes.len() {
            tracing::warn!(path = %path.display(), cut_bytes = bytes.len() - good_bytes, "torn tail of the log was cut");
            file.set_len(good_bytes as u64).map_err(in_file)?;
        }
        if good_bytes == 0 {
            file.write_all(MAGIC).map_err(in_file)?;
        }
        file.sync_all().map_err(in_file)?;
        let (queue, receiver) = mpsc::channel();
        let writer = std::thread::Builder::new().name("journal".to_owned());
        writer.spawn(move || write_loop(file, &receiver, fsync)).map_err(in_file)?;
        Ok((Self { queue }, records))
    }

    /// Hands over a record; `done` is called once it is stored, from the writer's thread.
    ///
    /// # Errors
    /// If the record has no stored form; `done` is not called then.
    pub(crate) fn write(&self, record: &Record, done: impl FnOnce(io::Result<()>) + Send + 'static) -> io::Result<()> {
        let append = Append { bytes: record.encode()?, done: Box::new(done) };
        self.queue.send(append).map_err(|_| io::Error::other("the writer of the log has ended"))
    }
}

/// Writes what is waiting in one go, flushes once, and reports; until every sender is gone.
fn write_loop(mut file: File, queue: &mpsc::Receiver<Append>, fsync: bool) {
    let mut failed: Option<(io::ErrorKind, String)> = None;
    while let Ok(first) = queue.recv() {
        let mut bytes = first.bytes;
        let mut dones = vec![first.done];
        while bytes.len() < GROUP_BYTES_MAX {
            let Ok(more) = queue.try_recv() else { break };
            bytes.extend_from_slice(&more.bytes);
            dones.push(more.done);
        }
        if failed.is_none() {
            let stored = file.write_all(&bytes).and_then(|()| if fsync { file.sync_data() } else { Ok(()) });
            failed = stored.err().map(|error| (error.kind(), format!("the log could not be written: {error}")));
        }
        for done in dones {
            done(failed.as_ref().map_or(Ok(()), |(kind, text)| Err(io::Error::new(*kind, text.clone()))));
        }
    }
}

/// The records of a file, and how many of its bytes are good.
fn decode(path: &Path, bytes: &[u8]) -> Result<(Vec<Record>, usize), DemoError> {
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Ok((Vec::new(), 0));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(DemoError::Format { path: path.to_owned(), text: "not a log of the demo store".to_owned() });
    }
    let mut records = Vec::new();
    let mut offset = MAGIC.len();
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        match decode_one(rest) {
            Decoded::Record(record, length) => {
                records.push(record);
                offset += length;
            }
            Decoded::Torn => break,
            Decoded::Damaged => return Err(DemoError::CorruptLog { path: path.to_owned(), offset: offset as u64 }),
        }
    }
    Ok((records, offset))
}

enum Decoded {
    Record(Record, usize),
    /// The rest is what a crash can leave of the last write.
    Torn,
    Damaged,
}

fn decode_one(rest: &[u8]) -> Decoded {
    // A file system may have grown the file before the data came: zeros to the end.
    if rest.iter().all(|byte| *byte == 0) {
        return Decoded::Torn;
    }
    let (Some(length), Some(checksum)) = (number_at(rest, 0), number_at(rest, 4)) else { return Decoded::Torn };
    let end = HEADER_BYTES.saturating_add(length as usize);
    let Some(payload) = rest.get(HEADER_BYTES..end) else { return Decoded::Torn };
    let record = Some(payload).filter(|payload| crc32(payload) == checksum);
    match record.and_then(|payload| serde_json::from_slice(payload).ok()) {
        Some(record) => Decoded::Record(record, end),
        None if end == rest.len() => Decoded::Torn,
        None => Decoded::Damaged,
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    four.try_into().ok().map(u32::from_le_bytes)
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// CRC-32 as in IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ CRC_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::Command,
        types::{Batch, TypeConfig},
    };
    use openraft::{CommittedLeaderId, EntryPayload};
    use proptest::prelude::*;

    fn log_id(index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(3, 1), index)
    }

    fn entry(index: u64) -> Entry {
        let commands = vec![Command::Write { key: 1, value: index as i64 }];
        let payload = EntryPayload::<TypeConfig>::Normal(Batch { origin: 1, number: index, commands });
        Entry { log_id: log_id(index), payload }
    }

    fn records() -> Vec<Record> {
        vec![
            Record::Vote(Vote::new(3, 1)),
            Record::Append(vec![entry(1), entry(2)]),
            Record::Truncate(2),
            Record::Append(vec![entry(2), entry(3)]),
            Record::Purge(log_id(1)),
        ]
    }

    fn file_of(records: &[Record]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        records.iter().for_each(|record| bytes.extend(record.encode().unwrap()));
        bytes
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_was_written_is_read_back_and_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft.log");
        let mut expected = Vec::new();
        for record in records() {
            let (journal, found) = Journal::open(&path, true).unwrap();
            assert_eq!(found, expected);
            let (sender, receiver) = mpsc::channel();
            journal.write(&record, move |stored| sender.send(stored).unwrap()).unwrap();
            receiver.recv().unwrap().unwrap();
            expected.push(record);
        }
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_gives_the_records_before_the_cut(cut in 0_usize..2000) {
            let path = Path::new("raft.log");
            let all = records();
            let bytes = file_of(&all);
            let cut = cut % (bytes.len() + 1);
            let (found, good) = decode(path, &bytes[..cut]).unwrap();
            prop_assert_eq!(&found[..], &all[..found.len()]);
            prop_assert!(good <= cut);
            let whole = (0..=all.len()).rev().find(|n| file_of(&all[..*n]).len() <= cut).unwrap_or(0);
            prop_assert_eq!(found.len(), whole);
        }

        #[test]
        fn a_flipped_bit_is_never_read_as_a_record(byte in 8_usize..2000, bit in 0_u8..8) {
            let path = Path::new("raft.log");
            let all = records();
            let mut bytes = file_of(&all);
            let byte = 8 + byte % (bytes.len() - 8);
            bytes[byte] ^= 1 << bit;
            if let Ok((found, _)) = decode(path, &bytes) {
                prop_assert_eq!(&found[..], &all[..found.len()]);
                prop_assert!(found.len() < all.len());
            }
        }
    }

    #[test]
    fn damage_in_front_of_other_records_is_refused() {
        let mut bytes = file_of(&records());
        bytes[20] ^= 1;
        let error = decode(Path::new("raft.log"), &bytes).unwrap_err();
        assert!(matches!(error, DemoError::CorruptLog { offset: 8, .. }), "{error}");
        let error = decode(Path::new("raft.log"), b"something else").unwrap_err();
        assert!(matches!(error, DemoError::Format { .. }), "{error}");
    }
}
