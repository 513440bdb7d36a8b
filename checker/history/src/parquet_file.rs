//! Parquet files of one table: written in parts, each with checksums; read back only if they fit.
//!
//! The Parquet library does not write page checksums, so there are two others. `checksums.json` beside the tables has
//! length and CRC-32 of every file. And each file carries, in the metadata of its footer, the CRC-32 of everything
//! before its indexes and the footer, so that a single file that was copied out of its run can still be checked.

mod projected;

pub(crate) use projected::{RowGroup, ops_with_ids, row_groups};

use crate::error::Error;
use crate::pairing::Sink;
use crate::row_groups::RowGroups;
use crate::schema::{SCHEMA_VERSION, TABLE_KEY, Table, VERSION_KEY};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

/// Rows of one part file.
pub(crate) const PART_ROWS: u64 = 1_000_000;

/// Rows of one row group: what a reader can skip or hold at once.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 16 * 1024;

/// Key under which the footer has length and CRC-32 of the rows and the bloom filters, which come first in the file.
const CRC_KEY: &str = "fissure.data_crc32";

/// Size and checksum of one sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Path below the folder of the tables, with `/`.
    pub path: String,
    /// Table it belongs to.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// CRC-32 (IEEE) of the file.
    pub crc32: u32,
}

/// A file that knows length and checksum of what went through it.
struct SummedFile {
    file: File,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl Write for SummedFile {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(buf)?;
        self.hasher.update(&buf[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Leaf columns of integers that go up, or nearly: their differences are small.
fn is_rising(name: &str) -> bool {
    matches!(name, "op_id" | "invoke_seq" | "complete_seq" | "event_seq" | "packet_index") || name.ends_with("_ns")
}

/// Leaf columns that one looks points up in, with values that are spread over the files.
const LOOKED_UP: [&str; 3] = ["key", "conn_cookie", "mops.list.item.key"];

/// How a table is written. Measured with lists of ascending elements and with registers: see `benches/journal.rs`.
///
/// * Times and places are differences; everything else repeats, and is a dictionary as long as that is small;
/// * the elements of lists go up within a list, and are differences, too (plain, the files are half as large again);
/// * statistics per page, so that a range of time or of places reads only its pages;
/// * a bloom filter where a key or a connection is looked up. It is folded to the size that its values need.
fn properties(table: Table) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("fissure ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_position(BloomFilterPosition::AfterRowGroup);
    if table == Table::Ops {
        // Comparing the words of all micro-operations costs time, and rules no file out.
        let path = ColumnPath::new("mops.list.item.f".split('.').map(str::to_owned).collect());
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    let mut leaves = Vec::new();
    for field in table.schema().fields() {
        int_leaves(field.name(), field.data_type(), &mut leaves);
    }
    for leaf in leaves {
        let path = ColumnPath::new(leaf.split('.').map(str::to_owned).collect());
        if is_rising(&leaf) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else if leaf == LIST_ITEMS {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                // Whether there are any lists is all that matters.
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        } else {
            // What a dictionary that has become too large is left for.
            builder = builder.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
            if table == Table::Ops && LOOKED_UP.contains(&leaf.as_str()) {
                builder = builder
                    .set_column_bloom_filter_max_ndv(path.clone(), ROW_GROUP_ROWS as u64)
                    .set_column_bloom_filter_fpp(path, 0.01);
            }
        }
    }
    builder.build()
}

/// The elements of lists that transactions read.
const LIST_ITEMS: &str = "mops.list.item.list.list.item";

/// Paths of the leaf columns of integers below a field, as Parquet has them.
fn int_leaves(path: &str, data_type: &DataType, found: &mut Vec<String>) {
    match data_type {
        DataType::Int64 => found.push(path.to_owned()),
        DataType::List(item) => int_leaves(&format!("{path}.list.{}", item.name()), item.data_type(), found),
        DataType::Struct(fields) => {
            fields.iter().for_each(|field| int_leaves(&format!("{path}.{}", field.name()), field.data_type(), found));
        }
        _ => {}
    }
}

/// One Parquet file that is being written.
pub(crate) struct PartWriter {
    path: PathBuf,
    table: Table,
    groups: RowGroups<SummedFile>,
    rows: u64,
}

impl PartWriter {
    /// Creates the file, for batches of `schema`.
    pub(crate) fn create(path: &Path, table: Table, schema: SchemaRef) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        let file = SummedFile { file, hasher: crc32fast::Hasher::new(), bytes: 0 };
        // The schema of the batches has dictionaries, which are of no interest to those who read the file.
        let options = ArrowWriterOptions::new().with_properties(properties(table)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options).map_err(Error::parquet(path))?;
        let groups = RowGroups::new(writer, schema, ROW_GROUP_ROWS).map_err(Error::parquet(path))?;
        Ok(Self { path: path.to_owned(), table, groups, rows: 0 })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.groups.write(batch).map_err(Error::parquet(&self.path))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Writes the footer, with `more` in its metadata, and syncs the file.
    pub(crate) fn finish(self, more: Vec<KeyValue>) -> Result<(PathBuf, FileSum), Error> {
        let Self { path, table, groups, rows } = self;
        let mut writer = groups.finish().map_err(Error::parquet(&path))?;
        let data = writer.inner();
        let (length, crc) = (data.bytes, data.hasher.clone().finalize());
        writer.append_key_value_metadata(KeyValue::new(VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string()));
        writer.append_key_value_metadata(KeyValue::new(TABLE_KEY.to_owned(), table.name().to_owned()));
        writer.append_key_value_metadata(KeyValue::new(CRC_KEY.to_owned(), format!("{length}:{crc:08x}")));
        more.into_iter().for_each(|pair| writer.append_key_value_metadata(pair));
        let file = writer.into_inner().map_err(Error::parquet(&path))?;
        file.file.sync_all().map_err(Error::io("sync", &path))?;
        let sum = FileSum {
            path: path.to_string_lossy().into_owned(),
            table: table.name().to_owned(),
            rows,
            bytes: file.bytes,
            crc32: file.hasher.finalize(),
        };
        Ok((path, sum))
    }
}

/// Writes the parts of one table.
pub(crate) struct TableWriter {
    table: Table,
    schema: SchemaRef,
    /// Folder of all tables, to name files relative to it.
    root: PathBuf,
    /// First word of the names of the files.
    stem: &'static str,
    /// Number of the next file.
    next: usize,
    part: Option<PartWriter>,
    done: Vec<FileSum>,
    /// Set once it is known that the order of events is not that of real time.
    sessions_only: Arc<AtomicBool>,
}

impl TableWriter {
    /// Starts writing a table below `root`, for batches of `schema`, at the file `<stem>-<next>.parquet`.
    pub(crate) fn create(
        root: &Path,
        table: Table,
        schema: SchemaRef,
        (stem, next): (&'static str, usize),
    ) -> Result<Self, Error> {
        let dir = root.join(table.name());
        std::fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        Ok(Self {
            table,
            schema,
            root: root.to_owned(),
            stem,
            next,
            part: None,
            done: Vec::new(),
            sessions_only: Arc::default(),
        })
    }

    /// The same writer, whose files say that the order of events is not that of real time once this is set.
    pub(crate) fn with_sessions_only(self, sessions_only: Arc<AtomicBool>) -> Self {
        Self { sessions_only, ..self }
    }

    /// Path of the file that is being written or comes next.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.join(self.table.name()).join(format!("{}-{:05}.parquet", self.stem, self.next))
    }

    /// Appends rows; a batch is never split over two parts.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let rows = batch.num_rows() as u64;
        if self.part.as_ref().is_some_and(|part| part.rows + rows > PART_ROWS) {
            self.close_part()?;
        }
        if self.part.is_none() {
            self.open_part()?;
        }
        self.part.as_mut().map_or(Ok(()), |part| part.write(batch))
    }

    fn open_part(&mut self) -> Result<(), Error> {
        self.part = Some(PartWriter::create(&self.path(), self.table, self.schema.clone())?);
        Ok(())
    }

    fn close_part(&mut self) -> Result<(), Error> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let (path, mut sum) = part.finish(order_metadata(self.sessions_only.load(Ordering::Relaxed)))?;
        sum.path = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().into_owned();
        self.done.push(sum);
        self.next += 1;
        Ok(())
    }

    /// Closes the last part, and syncs the folder. With `even_empty`, a table without rows gets one part without rows, so
    /// that every table can be read.
    pub(crate) fn finish(mut self, even_empty: bool) -> Result<Vec<FileSum>, Error> {
        if even_empty && self.part.is_none() && self.done.is_empty() {
            self.open_part()?;
        }
        self.close_part()?;
        crate::manifest::sync_dir(&self.root.join(self.table.name()))?;
        Ok(self.done)
    }
}

impl Sink for TableWriter {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.write(&batch)
    }
}

impl Sink for PartWriter {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.write(&batch)
    }
}

/// Batches that wait for the thread that encodes them.
const WAITING_BATCHES: usize = 2;

/// A sink with a thread of its own, so that whoever makes the batches does not wait for their encoding.
pub(crate) struct Background<S> {
    sender: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<S, Error>>>,
    path: PathBuf,
}

impl<S: Sink + Send + 'static> Background<S> {
    /// Starts the thread; errors name `path`.
    pub(crate) fn start(mut sink: S, path: &Path) -> Result<Self, Error> {
        let (sender, receiver) = std::sync::mpsc::sync_channel::<RecordBatch>(WAITING_BATCHES);
        let work = move || {
            for batch in receiver {
                sink.batch(batch)?;
            }
            Ok(sink)
        };
        let thread = std::thread::Builder::new().name("parquet".to_owned()).spawn(work);
        let thread = thread.map_err(Error::io("start the writer of", path))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), path: path.to_owned() })
    }

    /// Ends the thread and gives the sink back.
    pub(crate) fn finish(mut self) -> Result<S, Error> {
        self.join()
    }

    fn join(&mut self) -> Result<S, Error> {
        drop(self.sender.take());
        let ended = self.thread.take().map(JoinHandle::join);
        let panicked = || Error::Format { path: self.path.clone(), detail: "its writer panicked".to_owned() };
        ended.and_then(Result::ok).unwrap_or_else(|| Err(panicked()))
    }
}

impl<S: Sink + Send + 'static> Sink for Background<S> {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(batch).is_ok());
        // The thread ended early: it has an error to tell.
        if sent { Ok(()) } else { self.join().map(|_| ()) }
    }
}

/// Checks a sealed file against its line in `checksums.json`.
pub(crate) fn verify_whole(path: &Path, sum: &FileSum) -> Result<(), Error> {
    let length = std::fs::metadata(path).map_err(Error::io("inspect", path))?.len();
    let corrupt =
        |detail: String| Error::Corrupt { path: path.to_owned(), place: "an unknown place".to_owned(), detail };
    if length != sum.bytes {
        return Err(corrupt(format!("it has {length} bytes, but {} were written", sum.bytes)));
    }
    let crc = crc_of(path, length)?;
    if crc != sum.crc32 {
        return Err(corrupt(format!("its CRC-32 is {crc:08x}, but was {:08x} when it was written", sum.crc32)));
    }
    Ok(())
}

/// CRC-32 of the first `length` bytes of a file.
fn crc_of(path: &Path, length: u64) -> Result<u32, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut file = file.take(length);
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if read == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(&buffer[..read]);
    }
}

fn key_value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// Key under which the footer of a file by itself has the names, as a JSON list of texts.
pub(crate) const NAMES_KEY: &str = "fissure.names";

/// Key under which the footer says `false` if the order of events is not that of real time.
const ORDER_KEY: &str = "fissure.real_time_order";

/// What a footer says about the order of events.
pub(crate) fn order_metadata(sessions_only: bool) -> Vec<KeyValue> {
    sessions_only.then(|| KeyValue::new(ORDER_KEY.to_owned(), "false".to_owned())).into_iter().collect()
}

/// Whether a file does not say that its order of events is not that of real time.
pub(crate) fn footer_real_time_order(path: &Path) -> Result<bool, Error> {
    let footer = footer(path)?;
    Ok(key_value(&footer, ORDER_KEY) != Some("false"))
}

fn footer(path: &Path) -> Result<Arc<ParquetMetaData>, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    guarded(path, || {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::format(path))?;
        Ok(builder.metadata().clone())
    })
}

/// The number of rows of a file, by its footer.
pub(crate) fn footer_rows(path: &Path) -> Result<u64, Error> {
    Ok(footer(path)?.file_metadata().num_rows().unsigned_abs())
}

/// The names in the footer of a file, in the order of their integers.
pub(crate) fn footer_names(path: &Path) -> Result<Vec<String>, Error> {
    let metadata = footer(path)?;
    match key_value(&metadata, NAMES_KEY) {
        None => Ok(Vec::new()),
        Some(names) => serde_json::from_str(names).map_err(|source| Error::Json {
            what: "list of names",
            path: path.to_owned(),
            source: std::sync::Arc::new(source),
        }),
    }
}

/// Calls `each` with every batch of one Parquet file and the number of its first row. The version must be known, and the
/// checksum in the footer must fit if there is one (files that others wrote have none).
pub(crate) fn for_each_batch(
    path: &Path,
    table: Table,
    mut each: impl FnMut(u64, RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut batches = Batches::open(path, table)?;
    while let Some((first_row, batch)) = batches.next_batch()? {
        each(first_row, batch)?;
    }
    Ok(())
}

/// The batches of one Parquet file.
pub(crate) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    first_row: u64,
}

impl Batches {
    /// Opens a file as [`for_each_batch`] does.
    pub(crate) fn open(path: &Path, table: Table) -> Result<Self, Error> {
        let reader = guarded(path, || open(path, table))?;
        Ok(Self { path: path.to_owned(), reader, first_row: 0 })
    }

    /// The next batch and the number of its first row.
    pub(crate) fn next_batch(&mut self) -> Result<Option<(u64, RecordBatch)>, Error> {
        let (path, reader) = (&self.path, &mut self.reader);
        let batch = guarded(path, || reader.next().transpose().map_err(Error::format(path)))?;
        Ok(batch.map(|batch| {
            let first_row = self.first_row;
            self.first_row += batch.num_rows() as u64;
            (first_row, batch)
        }))
    }
}

/// Runs a step of the Parquet library, which panics on some damaged footers.
fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // What the step was working on is not used again after a panic.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).unwrap_or_else(|_| {
        let detail = "the Parquet library cannot make sense of it".to_owned();
        Err(Error::Corrupt { path: path.to_owned(), place: "its footer or a page".to_owned(), detail })
    })
}

fn open(path: &Path, table: Table) -> Result<ParquetRecordBatchReader, Error> {
    checked(path, table)?.with_batch_size(BATCH_ROWS).build().map_err(Error::format(path))
}

/// Opens a file and checks its version, its table and its checksum.
fn checked(path: &Path, table: Table) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("inspect", path))?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::format(path))?;
    let metadata = builder.metadata();
    check_ranges(path, metadata, length)?;
    if let Some(found) = key_value(metadata, VERSION_KEY) {
        let found: u32 = found.parse().map_err(|_| Error::Format {
            path: path.to_owned(),
            detail: format!("`{found}` is not a schema version"),
        })?;
        if found > SCHEMA_VERSION {
            return Err(Error::NewerSchema { path: path.to_owned(), found, known: SCHEMA_VERSION });
        }
    }
    if let Some(found) = key_value(metadata, TABLE_KEY)
        && found != table.name()
    {
        let detail = format!("this is the table `{found}`, not `{}`", table.name());
        return Err(Error::Format { path: path.to_owned(), detail });
    }
    if let Some(sum) = key_value(metadata, CRC_KEY) {
        verify_data(path, sum)?;
    }
    Ok(builder)
}

/// Checks that every column chunk lies inside the file: the library trusts the footer with this.
fn check_ranges(path: &Path, metadata: &ParquetMetaData, length: u64) -> Result<(), Error> {
    let inside = |offset: i64, bytes: i64| {
        let end = offset.checked_add(bytes);
        offset >= 0 && bytes >= 0 && end.is_some_and(|end| end.unsigned_abs() <= length)
    };
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        if !inside(start, column.compressed_size()) || !inside(column.data_page_offset(), 0) {
            let detail = format!("column {} lies outside of the file", column.column_path());
            return Err(Error::Corrupt { path: path.to_owned(), place: "its footer".to_owned(), detail });
        }
    }
    Ok(())
}

fn verify_data(path: &Path, sum: &str) -> Result<(), Error> {
    let parsed = sum
        .split_once(':')
        .and_then(|(length, crc)| Some((length.parse::<u64>().ok()?, u32::from_str_radix(crc, 16).ok()?)));
    let fits = match parsed {
        Some((length, crc)) => crc_of(path, length)? == crc,
        None => false,
    };
    if fits {
        return Ok(());
    }
    let detail = "the checksum of the rows does not fit".to_owned();
    Err(Error::Corrupt { path: path.to_owned(), place: "its data".to_owned(), detail })
}
