//! The columns of `ops` that checkers of transactions need, batch by batch: no operation is built.
//!
//! Row groups are decoded by several threads, a bounded stretch ahead, and come in the order of the files. Checks damage
//! as [`crate::read_history`] does.

use crate::calls::{F_TXN, MOP_APPEND, MOP_READ, MOP_READ_LIST, MOP_WRITE, f_code, mop_code};
use crate::columns::{Columns, check_version, conform};
use crate::error::Error;
use crate::parquet_file::{self, RowGroup};
use crate::schema::txn_fields;
use arrow::array::{Array, AsArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Int32Type, Int64Type, Schema, SchemaRef};
use fissure_checker::{MopRef, Outcome, TxnRow};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;

/// Schema of the columns that are read.
fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(txn_fields())));
    SCHEMA.clone()
}

/// The columns of one batch.
pub(crate) struct TxnBatch {
    path: Arc<Path>,
    first_row: u64,
    batch: RecordBatch,
    process: Int64Array,
    invoke_seq: Int64Array,
    complete_seq: Int64Array,
    op_id: Int64Array,
    outcome: Vec<Outcome>,
    f: Vec<u8>,
    mops: ListArray,
    mop_f: Vec<u8>,
    mop_key: Int64Array,
    mop_value: Int64Array,
    lists: ListArray,
    elements: Int64Array,
    keys: Present,
    values: Present,
    listed: Present,
}

impl TxnBatch {
    fn new(batch: &RecordBatch, path: &Arc<Path>, first_row: u64) -> Result<Self, Error> {
        check_version(batch, path)?;
        let batch = conform(batch, &schema(), path)?;
        let columns = Columns::new(&batch, path, first_row);
        let bad = || columns.cell(0, "mops", "of another type");
        let mops = columns.list("mops")?;
        let items = mops.values().as_struct_opt().ok_or_else(bad)?;
        let part = |name: &str| items.column_by_name(name).ok_or_else(bad);
        let int = |name: &str| Ok::<_, Error>(part(name)?.as_primitive_opt::<Int64Type>().ok_or_else(bad)?.clone());
        let lists = part("list")?.as_list_opt::<i32>().ok_or_else(bad)?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(bad);
        // Codes 1 to 3: a word that is none of them is an error of its row.
        let outcome_code = |word: &str| Outcome::from_name(word).map_or(0, |outcome| outcome as u8 + 1);
        let codes = codes(column("outcome")?, outcome_code).ok_or_else(bad)?;
        let outcome = |(row, code): (usize, u8)| match code {
            1 => Ok(Outcome::Ok),
            2 => Ok(Outcome::Fail),
            3 => Ok(Outcome::Info),
            _ => {
                let word = batch.column_by_name("outcome").and_then(|words| text(words, row)).unwrap_or_default();
                Err(columns.cell(row, "outcome", format!("`{word}` is not `ok`, `fail` or `info`")))
            }
        };
        Ok(Self {
            path: path.clone(),
            first_row,
            process: columns.int("process")?.clone(),
            invoke_seq: columns.int("invoke_seq")?.clone(),
            complete_seq: columns.int("complete_seq")?.clone(),
            op_id: columns.int("op_id")?.clone(),
            outcome: codes.into_iter().enumerate().map(outcome).collect::<Result<_, _>>()?,
            f: self::codes(column("f")?, f_code).ok_or_else(bad)?,
            mops: mops.clone(),
            mop_f: self::codes(part("f")?, |word| mop_code(word).unwrap_or(0)).ok_or_else(bad)?,
            keys: Present::of(&int("key")?),
            values: Present::of(&int("value")?),
            listed: Present::of(lists),
            mop_key: int("key")?,
            mop_value: int("value")?,
            lists: lists.clone(),
            elements: lists.values().as_primitive_opt::<Int64Type>().ok_or_else(bad)?.clone(),
            batch,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.process.len()
    }

    /// Place of the invocation of a row in the order of events.
    pub(crate) fn invoke_seq(&self, row: usize) -> Result<u64, Error> {
        self.unsigned(&self.invoke_seq, "invoke_seq", row)
    }

    fn unsigned(&self, column: &Int64Array, name: &str, row: usize) -> Result<u64, Error> {
        let value = column.value(row);
        u64::try_from(value).map_err(|_| self.cell(row, name, format!("{value} is negative")))
    }

    /// An error at a cell.
    pub(crate) fn cell(&self, row: usize, column: &str, detail: impl Into<String>) -> Error {
        Columns::new(&self.batch, &self.path, self.first_row).cell(row, column, detail)
    }

    /// The row without its micro-operations.
    pub(crate) fn row(&self, row: usize) -> Result<TxnRow, Error> {
        let complete_seq = match self.complete_seq.is_valid(row) {
            true => Some(self.unsigned(&self.complete_seq, "complete_seq", row)?),
            false => None,
        };
        Ok(TxnRow {
            op_id: self.unsigned(&self.op_id, "op_id", row)?,
            process: self.process.value(row),
            invoke_seq: self.invoke_seq(row)?,
            complete_seq,
            outcome: self.outcome[row],
        })
    }

    /// The micro-operations of a row into `mops`; whether it is a transaction at all.
    pub(crate) fn mops<'b>(&'b self, row: usize, mops: &mut Vec<MopRef<'b>>) -> Result<bool, Error> {
        mops.clear();
        if self.f[row] != F_TXN || self.mops.is_null(row) {
            return Ok(false);
        }
        let told = self.outcome[row] == Outcome::Ok;
        let range = range_of(&self.mops, row);
        let missing = |what: &str| self.cell(row, "mops", format!("the {what} of a micro-operation is null"));
        let (codes, keys) = (&self.mop_f[range.clone()], &self.mop_key.values()[range.clone()]);
        let values = &self.mop_value.values()[range.clone()];
        for (mop, ((code, key), value)) in range.zip(codes.iter().zip(keys).zip(values)) {
            let key = || if self.keys.has(mop) { Ok(*key) } else { Err(missing("key")) };
            let written = || if self.values.has(mop) { Ok(*value) } else { Err(missing("value")) };
            mops.push(match *code {
                MOP_WRITE => MopRef::Write { key: key()?, value: written()? },
                MOP_READ => {
                    let known = told && !self.listed.has(mop);
                    MopRef::Read { key: key()?, value: known.then(|| self.values.has(mop).then_some(*value)) }
                }
                MOP_APPEND => MopRef::Append { key: key()?, value: written()? },
                MOP_READ_LIST => {
                    let known = told && self.listed.has(mop);
                    let list = known.then(|| &self.elements.values()[range_of(&self.lists, mop)]);
                    MopRef::ReadList { key: key()?, list }
                }
                _ => MopRef::Foreign,
            });
        }
        Ok(true)
    }
}

/// Which rows of a column have something in them.
enum Present {
    All,
    None,
    Some(NullBuffer),
}

impl Present {
    fn of(column: &dyn Array) -> Self {
        match column.nulls() {
            Some(nulls) if nulls.null_count() == nulls.len() => Present::None,
            Some(nulls) if nulls.null_count() > 0 => Present::Some(nulls.clone()),
            _ => Present::All,
        }
    }

    #[inline]
    fn has(&self, row: usize) -> bool {
        match self {
            Present::All => true,
            Present::None => false,
            Present::Some(nulls) => nulls.is_valid(row),
        }
    }
}

/// A code for each text of a column in which each is kept once; nothing for another column.
fn codes(words: &dyn Array, code: impl Fn(&str) -> u8) -> Option<Vec<u8>> {
    let words = words.as_dictionary_opt::<Int32Type>()?;
    let texts: &StringArray = words.values().as_string_opt()?;
    let codes: Vec<u8> = (0..texts.len()).map(|text| code(texts.value(text))).collect();
    // Where there is no text there is no code either.
    let of = |key: &i32| usize::try_from(*key).ok().and_then(|key| codes.get(key)).copied().unwrap_or(0);
    Some(words.keys().values().iter().map(of).collect())
}

/// The text in a row of such a column.
fn text(words: &dyn Array, row: usize) -> Option<&str> {
    let words = words.as_dictionary_opt::<Int32Type>()?;
    let texts: &StringArray = words.values().as_string_opt()?;
    Some(texts.value(words.key(row)?))
}

/// Offsets of a valid list array are not negative and do not decrease.
fn range_of(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let ends = lists.value_offsets();
    ends[row].unsigned_abs() as usize..ends[row + 1].unsigned_abs() as usize
}

/// The batches of some files, one after the other.
pub(crate) struct TxnBatches {
    /// One for each decoding thread; row groups take turns.
    decoders: Vec<Decoder>,
    row_groups: usize,
    /// The row group that is being read.
    current: usize,
}

struct Decoder {
    batches: Option<Receiver<Result<Option<TxnBatch>, Error>>>,
    thread: Option<JoinHandle<()>>,
}

/// Batches that a thread decodes ahead, at most: about a row group.
const AHEAD_BATCHES: usize = 9;

impl TxnBatches {
    /// Opens files, to be decoded by as many threads.
    pub(crate) fn open(files: &[PathBuf], threads: usize) -> Result<Self, Error> {
        let mut groups = Vec::new();
        for file in files {
            groups.extend(parquet_file::row_groups(file, &schema())?);
        }
        let threads = threads.clamp(1, groups.len().max(1));
        let mut of_thread: Vec<Vec<RowGroup>> = (0..threads).map(|_| Vec::new()).collect();
        let row_groups = groups.len();
        for (number, group) in groups.into_iter().enumerate() {
            of_thread[number % threads].push(group);
        }
        let decoders = of_thread.into_iter().map(Decoder::start).collect();
        Ok(Self { decoders, row_groups, current: 0 })
    }

    /// The next batch; none after the last.
    pub(crate) fn next_batch(&mut self) -> Result<Option<TxnBatch>, Error> {
        while self.current < self.row_groups {
            let decoder = self.current % self.decoders.len();
            match self.decoders[decoder].batches.as_ref().and_then(|batches| batches.recv().ok()) {
                Some(Ok(Some(batch))) => return Ok(Some(batch)),
                Some(Ok(None)) => self.current += 1,
                Some(Err(error)) => {
                    self.current = self.row_groups;
                    return Err(error);
                }
                // A thread ends early only by a panic.
                None => {
                    self.current = self.row_groups;
                    self.decoders[decoder].rethrow();
                }
            }
        }
        Ok(None)
    }
}

impl Decoder {
    fn start(groups: Vec<RowGroup>) -> Self {
        let (sender, batches) = sync_channel(AHEAD_BATCHES);
        let thread = std::thread::spawn(move || {
            for group in groups {
                let path: Arc<Path> = Arc::from(group.path());
                let each = |first_row: u64, batch: RecordBatch| {
                    let batch = TxnBatch::new(&batch, &path, first_row)?;
                    // Nobody listens any more: the reader was dropped.
                    Ok(sender.send(Ok(Some(batch))).is_ok())
                };
                let end = group.for_each_batch(each).map(|()| None);
                let failed = end.is_err();
                if sender.send(end).is_err() || failed {
                    return;
                }
            }
        });
        Self { batches: Some(batches), thread: Some(thread) }
    }

    fn rethrow(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // First the channel, so that a thread that waits to send wakes up.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic was told when its batches ran out, or nobody needs them.
            let _ = thread.join();
        }
    }
}
