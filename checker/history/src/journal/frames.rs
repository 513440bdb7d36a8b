//! One journal file: an Arrow IPC stream, and beside it the checksums of its messages.
//!
//! `journal/<table>-NNNNN.arrows` is a plain IPC stream that any Arrow reader opens. `journal/<table>-NNNNN.sums` has one record of
//! 24 bytes per frame (the schema, each batch, the end-of-stream marker), appended after the frame itself:
//! `index u32, rows u32, end offset u64, CRC-32 of the frame u32, CRC-32 of this record's first 20 bytes u32`, all
//! little-endian. The record with `rows = u32::MAX` says that the journal was closed properly.
//!
//! A frame counts when its record is there and both checksums fit. Reading tells damage from a torn tail: what does not
//! fit at the end of a journal that was not closed was being written when the process died, and is cut; anything else
//! is damage, and an error.

use crate::error::Error;
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const RECORD_BYTES: usize = 24;
const END_ROWS: u32 = u32::MAX;

/// The checksum record of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SumRecord {
    index: u32,
    rows: u32,
    end: u64,
    crc: u32,
}

impl SumRecord {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..4].copy_from_slice(&self.index.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.rows.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.end.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.crc.to_le_bytes());
        let own = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// The record, if its own checksum fits.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if bytes.len() != RECORD_BYTES || crc32fast::hash(&bytes[..20]) != u32_at(20)? {
            return None;
        }
        let end = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
        Some(Self { index: u32_at(0)?, rows: u32_at(4)?, end, crc: u32_at(16)? })
    }
}

fn sums_path(journal: &Path) -> PathBuf {
    journal.with_extension("sums")
}

/// Where a frame goes: straight into the file, with length and checksum of what went through since the last one.
struct FrameSink {
    data: File,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl Write for FrameSink {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let written = self.data.write(buf)?;
        self.hasher.update(&buf[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Appends batches to one journal file.
pub(crate) struct FrameWriter {
    path: PathBuf,
    sums: File,
    encoder: StreamWriter<FrameSink>,
    frames: u32,
    end: u64,
}

impl FrameWriter {
    /// Creates the two files, and writes the schema as the first frame.
    pub(crate) fn create(path: &Path, schema: &SchemaRef) -> Result<Self, Error> {
        let sums_path = sums_path(path);
        let data = File::create_new(path).map_err(Error::io("create", path))?;
        let sums = File::create_new(&sums_path).map_err(Error::io("create", &sums_path))?;
        let sink = FrameSink { data, hasher: crc32fast::Hasher::new(), bytes: 0 };
        let encoder = StreamWriter::try_new(sink, schema).map_err(Error::arrow(path))?;
        let mut writer = Self { path: path.to_owned(), sums, encoder, frames: 0, end: 0 };
        writer.end_frame(0)?;
        Ok(writer)
    }

    /// Appends one batch: when this returns, the batch survives the death of the process.
    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.encoder.write(batch).map_err(Error::arrow(&self.path))?;
        self.end_frame(u32::try_from(batch.num_rows()).unwrap_or(END_ROWS - 1))
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// Writes the checksum of what the encoder has written since the last frame.
    fn end_frame(&mut self, rows: u32) -> Result<(), Error> {
        let sink = self.encoder.get_mut();
        self.end += std::mem::take(&mut sink.bytes);
        let crc = std::mem::take(&mut sink.hasher).finalize();
        let record = SumRecord { index: self.frames, rows, end: self.end, crc };
        self.sums.write_all(&record.to_bytes()).map_err(Error::io("write", &sums_path(&self.path)))?;
        self.frames += 1;
        Ok(())
    }

    /// Makes every later write fail as on a full disk.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn fill_the_disk(&mut self) {
        self.encoder.get_mut().data = File::options().write(true).open("/dev/full").unwrap();
    }

    /// Closes the stream and syncs both files to the disk.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.encoder.finish().map_err(Error::arrow(&self.path))?;
        self.end_frame(END_ROWS)?;
        self.encoder.get_ref().data.sync_all().map_err(Error::io("sync", &self.path))?;
        self.sums.sync_all().map_err(Error::io("sync", &sums_path(&self.path)))
    }
}

/// What was cut from the end of a journal that was not closed properly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The journal file.
    pub path: PathBuf,
    /// Bytes of the stream after the last whole frame.
    pub bytes: u64,
    /// Batches whose checksum had been written although the batch is not whole. Not 0 only after a power failure or
    /// damage: the batch is written first.
    pub batches: u64,
}

/// Reads the verified batches of one journal file.
pub(crate) struct FrameReader {
    path: PathBuf,
    data: File,
    records: Vec<SumRecord>,
    next: usize,
    start: u64,
    first_row: u64,
    decoder: StreamDecoder,
    /// Whether the journal was closed properly.
    pub(crate) finished: bool,
    /// What was cut.
    pub(crate) torn: Option<TornTail>,
}

impl FrameReader {
    /// Opens a journal and decides from the checksum records which frames count.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let sums_path = sums_path(path);
        // The two files are created one after the other: without the second, nothing was acknowledged.
        let sums = match std::fs::read(&sums_path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(Error::io("read", &sums_path))?,
        };
        let data = File::open(path).map_err(Error::io("open", path))?;
        let length = data.metadata().map_err(Error::io("inspect", path))?.len();
        let records = read_records(&sums, &sums_path)?;
        let finished = records.last().is_some_and(|record| record.rows == END_ROWS);
        let mut reader = Self {
            path: path.to_owned(),
            data,
            records,
            next: 0,
            start: 0,
            first_row: 0,
            decoder: StreamDecoder::new(),
            finished,
            torn: None,
        };
        reader.cut_tail(length)?;
        Ok(reader)
    }

    /// Drops frames that are not whole from the end, if this journal was not closed; refuses a closed one that has any.
    fn cut_tail(&mut self, length: u64) -> Result<(), Error> {
        let whole = self.records.iter().take_while(|record| record.end <= length).count();
        if self.finished {
            let end = self.records.last().map_or(0, |record| record.end);
            if whole < self.records.len() || end != length {
                let detail = format!("the file has {length} bytes, but {end} were written");
                return Err(self.corrupt(length.min(end), detail));
            }
            return Ok(());
        }
        let mut batches = self.records.len() - whole;
        self.records.truncate(whole);
        if let Some(last) = self.records.last().copied() {
            let start = self.records.len().checked_sub(2).map_or(0, |previous| self.records[previous].end);
            if crc32fast::hash(&self.read_range(start, last.end)?) != last.crc {
                self.records.pop();
                batches += 1;
            }
        }
        let end = self.records.last().map_or(0, |record| record.end);
        if length > end || batches > 0 {
            let bytes = length.saturating_sub(end);
            self.torn = Some(TornTail { path: self.path.clone(), bytes, batches: batches as u64 });
        }
        Ok(())
    }

    fn corrupt(&self, offset: u64, detail: impl Into<String>) -> Error {
        Error::Corrupt { path: self.path.clone(), place: format!("byte {offset}"), detail: detail.into() }
    }

    fn read_range(&mut self, start: u64, end: u64) -> Result<Vec<u8>, Error> {
        let length = end.saturating_sub(start);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        self.data.seek(SeekFrom::Start(start)).map_err(Error::io("read", &self.path))?;
        // Read so that the memory is not filled with zeros before.
        (&self.data).take(length).read_to_end(&mut bytes).map_err(Error::io("read", &self.path))?;
        if bytes.len() as u64 == length {
            return Ok(bytes);
        }
        let missing = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        Err(Error::io("read", &self.path)(missing))
    }

    /// The next batch with the number of its first row, or `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<(u64, RecordBatch)>, Error> {
        while let Some(record) = self.records.get(self.next).copied() {
            if record.rows == END_ROWS {
                return Ok(None);
            }
            let start = self.start;
            let bytes = self.read_range(start, record.end)?;
            if crc32fast::hash(&bytes) != record.crc {
                let detail = format!("checksum of batch {} does not fit", record.index);
                return Err(self.corrupt(start, detail));
            }
            self.next += 1;
            self.start = record.end;
            let mut buffer = Buffer::from_vec(bytes);
            if let Some(batch) = self.decoder.decode(&mut buffer).map_err(Error::format(&self.path))? {
                let first_row = self.first_row;
                self.first_row += batch.num_rows() as u64;
                return Ok(Some((first_row, batch)));
            }
        }
        Ok(None)
    }
}

/// The records up to the first that does not fit; an error if a later one does, for then it is damage.
fn read_records(sums: &[u8], path: &Path) -> Result<Vec<SumRecord>, Error> {
    let parsed: Vec<Option<SumRecord>> = sums.chunks(RECORD_BYTES).map(SumRecord::from_bytes).collect();
    let good = parsed.iter().take_while(|record| record.is_some()).count();
    let place = |index: usize| format!("byte {}", index * RECORD_BYTES);
    if parsed[good..].iter().any(Option::is_some) {
        let detail = "a checksum record does not fit, but later ones do".to_owned();
        return Err(Error::Corrupt { path: path.to_owned(), place: place(good), detail });
    }
    let records: Vec<SumRecord> = parsed.into_iter().flatten().collect();
    let mut end = 0;
    for (index, record) in records.iter().enumerate() {
        let last = index + 1 == records.len();
        if record.index as usize != index || record.end < end || (record.rows == END_ROWS && !last) {
            let detail = "the checksum records are not in order".to_owned();
            return Err(Error::Corrupt { path: path.to_owned(), place: place(index), detail });
        }
        end = record.end;
    }
    Ok(records)
}
