//! The journal of operations: one row per event, an invocation or a completion.
//!
//! [`EventBuffer`] is filled from the run loop, so it is plain vectors, one per column: recording an event is a handful
//! of pushes and no allocation of its own. Turning them into Arrow arrays happens in the writer thread and copies
//! nothing but the strings.

use crate::columns::{Columns, Interner, cookie_to_int, optional_int, optional_text};
use crate::error::Error;
use crate::schema::{int, optional, text, with_version};
use arrow::array::{
    ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray, StringBuilder, StructArray, UInt8Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, SchemaRef, UInt8Type};
use fissure_checker::{Call, Mop, Outcome};
use std::path::Path;
use std::sync::{Arc, LazyLock};

const KIND_INVOKE: u8 = 0;
const KIND_OK: u8 = 1;
const KIND_FAIL: u8 = 2;
const KIND_INFO: u8 = 3;

const F_NONE: u8 = 0;
const F_READ: u8 = 1;
const F_WRITE: u8 = 2;
const F_CAS: u8 = 3;
const F_TXN: u8 = 4;

const MOP_APPEND: u8 = 1;
const MOP_READ_LIST: u8 = 2;
const MOP_WRITE: u8 = 3;
const MOP_READ: u8 = 4;

fn byte(name: &str) -> Field {
    Field::new(name, DataType::UInt8, false)
}

fn mop_fields() -> Fields {
    let list = Field::new("list", DataType::List(Arc::new(int("item"))), true);
    Fields::from(vec![byte("f"), int("key"), optional(int("value")), list])
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mop = Field::new("item", DataType::Struct(mop_fields()), false);
    let fields = vec![
        byte("kind"),
        int("op_id"),
        int("seq"),
        int("t_ns"),
        int("process"),
        optional(text("node")),
        optional(text("phase")),
        byte("f"),
        int("key"),
        optional(int("value")),
        int("expected"),
        Field::new("mops", DataType::List(Arc::new(mop)), false),
        optional(text("error_code")),
        optional(text("error_text")),
        optional(int("conn_cookie")),
    ];
    with_version("ops-events", fields)
});

/// Schema of the journal of operations.
pub(crate) fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// An optional integer column that is being filled.
#[derive(Default)]
struct OptionalInts {
    values: Vec<i64>,
    valid: Vec<bool>,
}

impl OptionalInts {
    fn push(&mut self, value: Option<i64>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    fn finish(self) -> ArrayRef {
        Arc::new(Int64Array::new(ScalarBuffer::from(self.values), Some(nulls(self.valid))))
    }
}

fn nulls(valid: Vec<bool>) -> NullBuffer {
    NullBuffer::new(BooleanBuffer::from(valid))
}

/// An optional string column whose few values repeat, as indexes into a list of names; `u32::MAX` is null.
#[derive(Default)]
struct Names {
    names: Vec<Arc<str>>,
    ids: Vec<u32>,
}

impl Names {
    fn push(&mut self, name: Option<&Arc<str>>) {
        let id = match name {
            None => u32::MAX,
            Some(name) => {
                let found = self.names.iter().position(|known| Arc::ptr_eq(known, name) || known == name);
                let id = found.unwrap_or_else(|| {
                    self.names.push(name.clone());
                    self.names.len() - 1
                });
                u32::try_from(id).unwrap_or(u32::MAX)
            }
        };
        self.ids.push(id);
    }

    fn finish(self) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.ids.len(), self.ids.len() * 4);
        for id in self.ids {
            builder.append_option(self.names.get(id as usize));
        }
        Arc::new(builder.finish())
    }
}

/// Events of operations that are not written yet, column by column.
#[derive(Default)]
pub(crate) struct EventBuffer {
    kind: Vec<u8>,
    op_id: Vec<i64>,
    seq: Vec<i64>,
    t_ns: Vec<i64>,
    process: Vec<i64>,
    node: Names,
    phase: Names,
    f: Vec<u8>,
    key: Vec<i64>,
    value: OptionalInts,
    expected: Vec<i64>,
    mop_ends: Vec<i32>,
    mop_f: Vec<u8>,
    mop_key: Vec<i64>,
    mop_value: OptionalInts,
    list_ends: Vec<i32>,
    list_valid: Vec<bool>,
    list_items: Vec<i64>,
    /// Row, code and text of the rows that have an error.
    errors: Vec<(usize, String, String)>,
    conn_cookie: OptionalInts,
}

/// An end offset of a list column. A buffer is written long before it holds 2^31 elements.
fn end(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Place and time of one event.
#[derive(Clone, Copy)]
pub(crate) struct EventHead {
    pub(crate) op_id: u64,
    pub(crate) seq: u64,
    pub(crate) t_ns: i64,
    pub(crate) conn_cookie: Option<u64>,
}

impl EventBuffer {
    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.kind.len()
    }

    /// Elements of lists read and micro-operations: what makes an event large.
    pub(crate) fn elements(&self) -> usize {
        self.list_items.len() + self.mop_f.len()
    }

    fn push_head(&mut self, kind: u8, head: EventHead) {
        self.kind.push(kind);
        self.op_id.push(head.op_id.cast_signed());
        self.seq.push(head.seq.cast_signed());
        self.t_ns.push(head.t_ns);
        self.conn_cookie.push(cookie_to_int(head.conn_cookie));
    }

    pub(crate) fn push_invoke(
        &mut self,
        head: EventHead,
        process: i64,
        node: Option<&Arc<str>>,
        phase: &Arc<str>,
        call: &Call,
    ) {
        self.push_head(KIND_INVOKE, head);
        self.process.push(process);
        self.node.push(node);
        self.phase.push(Some(phase));
        self.push_call(call, false);
    }

    fn push_completion(&mut self, kind: u8, head: EventHead) {
        self.push_head(kind, head);
        self.process.push(0);
        self.node.push(None);
        self.phase.push(None);
    }

    pub(crate) fn push_ok(&mut self, head: EventHead, call: &Call) {
        self.push_completion(KIND_OK, head);
        self.push_call(call, true);
    }

    pub(crate) fn push_error(&mut self, head: EventHead, certain: bool, code: &str, text: &str) {
        self.push_completion(if certain { KIND_FAIL } else { KIND_INFO }, head);
        self.errors.push((self.kind.len() - 1, code.to_owned(), text.to_owned()));
        self.push_scalars(F_NONE, 0, None, 0);
        self.mop_ends.push(end(self.mop_f.len()));
    }

    fn push_scalars(&mut self, f: u8, key: i64, value: Option<i64>, expected: i64) {
        self.f.push(f);
        self.key.push(key);
        self.value.push(value);
        self.expected.push(expected);
    }

    /// The call; what its reads saw only if it is `told`.
    fn push_call(&mut self, call: &Call, told: bool) {
        match call {
            Call::Read { key, value } => {
                self.push_scalars(F_READ, *key, value.flatten().filter(|_| told), 0);
            }
            Call::Write { key, value } => self.push_scalars(F_WRITE, *key, Some(*value), 0),
            Call::Cas { key, expected, value } => self.push_scalars(F_CAS, *key, Some(*value), *expected),
            Call::Txn(mops) => {
                self.push_scalars(F_TXN, 0, None, 0);
                for mop in mops {
                    self.push_mop(mop, told);
                }
            }
            _ => self.push_scalars(F_NONE, 0, None, 0),
        }
        self.mop_ends.push(end(self.mop_f.len()));
    }

    fn push_mop(&mut self, mop: &Mop, told: bool) {
        let (f, value, list) = match mop {
            Mop::Append { value, .. } => (MOP_APPEND, Some(*value), None),
            Mop::ReadList { list, .. } => (MOP_READ_LIST, None, list.as_ref().filter(|_| told)),
            Mop::Write { value, .. } => (MOP_WRITE, Some(*value), None),
            Mop::Read { value, .. } => (MOP_READ, value.flatten().filter(|_| told), None),
            _ => return,
        };
        self.mop_f.push(f);
        self.mop_key.push(mop.key().unwrap_or_default());
        self.mop_value.push(value);
        self.list_valid.push(list.is_some());
        self.list_items.extend_from_slice(list.map_or(&[], Vec::as_slice));
        self.list_ends.push(end(self.list_items.len()));
    }

    /// The events as a record batch.
    pub(crate) fn into_batch(self, file: &Path) -> Result<RecordBatch, Error> {
        let rows = self.kind.len();
        let (mut codes, mut texts) = (StringBuilder::new(), StringBuilder::new());
        let mut written = 0;
        for (row, code, text) in &self.errors {
            for builder in [&mut codes, &mut texts] {
                builder.append_nulls(row - written);
            }
            codes.append_value(code);
            texts.append_value(text);
            written = row + 1;
        }
        for builder in [&mut codes, &mut texts] {
            builder.append_nulls(rows - written);
        }
        let lists = ListArray::new(
            Arc::new(int("item")),
            offsets(self.list_ends),
            ints(self.list_items),
            Some(nulls(self.list_valid)),
        );
        let mops: Vec<ArrayRef> = vec![bytes(self.mop_f), ints(self.mop_key), self.mop_value.finish(), Arc::new(lists)];
        let mops = StructArray::new(mop_fields(), mops, None);
        let mop = Field::new("item", DataType::Struct(mop_fields()), false);
        let columns: Vec<ArrayRef> = vec![
            bytes(self.kind),
            ints(self.op_id),
            ints(self.seq),
            ints(self.t_ns),
            ints(self.process),
            self.node.finish(),
            self.phase.finish(),
            bytes(self.f),
            ints(self.key),
            self.value.finish(),
            ints(self.expected),
            Arc::new(ListArray::new(Arc::new(mop), offsets(self.mop_ends), Arc::new(mops), None)),
            Arc::new(codes.finish()),
            Arc::new(texts.finish()),
            self.conn_cookie.finish(),
        ];
        RecordBatch::try_new(schema(), columns).map_err(Error::format(file))
    }
}

fn bytes(values: Vec<u8>) -> ArrayRef {
    Arc::new(UInt8Array::new(ScalarBuffer::from(values), None))
}

fn ints(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::new(ScalarBuffer::from(values), None))
}

fn offsets(mut ends: Vec<i32>) -> OffsetBuffer<i32> {
    ends.insert(0, 0);
    OffsetBuffer::new(ScalarBuffer::from(ends))
}

/// One event, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) op_id: u64,
    pub(crate) seq: u64,
    pub(crate) t_ns: i64,
    pub(crate) conn_cookie: Option<u64>,
    pub(crate) kind: EventKind,
}

/// What kind of event it is, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Invoke { process: i64, node: Option<Arc<str>>, phase: Arc<str>, call: Call },
    Complete(Completion),
}

/// How an operation completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) outcome: Outcome,
    pub(crate) call: Option<Call>,
    pub(crate) error_code: Option<Arc<str>>,
    pub(crate) error_text: Option<Arc<str>>,
}

/// The columns of a batch of events, taken apart for reading.
pub(crate) struct EventReader<'a> {
    columns: Columns<'a>,
    kind: &'a UInt8Array,
    ints: [&'a Int64Array; 8],
    texts: [&'a StringArray; 4],
    f: &'a UInt8Array,
    mops: &'a ListArray,
    mop_f: &'a UInt8Array,
    mop_ints: [&'a Int64Array; 2],
    lists: &'a ListArray,
    items: &'a Int64Array,
}

impl<'a> EventReader<'a> {
    /// Takes apart a batch that came out of a verified frame.
    pub(crate) fn new(batch: &'a RecordBatch, file: &'a Path, first_row: u64) -> Result<Self, Error> {
        let columns = Columns::new(batch, file, first_row);
        let byte = |name: &str| batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt8Type>());
        let bad = |column: &str| columns.cell(0, column, "missing or of another type");
        let mops = columns.list("mops")?;
        let mop = mops.values().as_struct_opt().ok_or_else(|| bad("mops"))?;
        let mop_int = |name: &str| {
            let column = mop.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.ok_or_else(|| bad("mops"))
        };
        let mop_f = mop.column_by_name("f").and_then(|column| column.as_primitive_opt::<UInt8Type>());
        let lists =
            mop.column_by_name("list").and_then(|column| column.as_list_opt::<i32>()).ok_or_else(|| bad("mops"))?;
        Ok(Self {
            kind: byte("kind").ok_or_else(|| bad("kind"))?,
            f: byte("f").ok_or_else(|| bad("f"))?,
            ints: [
                columns.int("op_id")?,
                columns.int("seq")?,
                columns.int("t_ns")?,
                columns.int("process")?,
                columns.int("key")?,
                columns.int("value")?,
                columns.int("expected")?,
                columns.int("conn_cookie")?,
            ],
            texts: [
                columns.text("node")?,
                columns.text("phase")?,
                columns.text("error_code")?,
                columns.text("error_text")?,
            ],
            mops,
            mop_f: mop_f.ok_or_else(|| bad("mops"))?,
            mop_ints: [mop_int("key")?, mop_int("value")?],
            lists,
            items: lists.values().as_primitive_opt::<Int64Type>().ok_or_else(|| bad("mops"))?,
            columns,
        })
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.columns.rows()
    }

    /// Whether the event in `row` is an invocation, and its `op_id`: all that the first pass over a journal needs.
    pub(crate) fn peek(&self, row: usize) -> (bool, u64) {
        (self.kind.value(row) == KIND_INVOKE, self.ints[0].value(row).cast_unsigned())
    }

    /// The event in `row`.
    pub(crate) fn event(&self, row: usize, names: &mut Interner) -> Result<Event, Error> {
        let [op_id, seq, t_ns, process, .., conn_cookie] = self.ints;
        let [node, phase, error_code, error_text] = self.texts;
        let kind = match self.kind.value(row) {
            KIND_INVOKE => EventKind::Invoke {
                process: process.value(row),
                node: optional_text(node, row).map(|name| names.get(name)),
                phase: names.get(optional_text(phase, row).unwrap_or_default()),
                call: self.call(row, false)?,
            },
            kind @ (KIND_OK | KIND_FAIL | KIND_INFO) => EventKind::Complete(Completion {
                outcome: [Outcome::Ok, Outcome::Fail, Outcome::Info][usize::from(kind) - 1],
                call: if kind == KIND_OK { Some(self.call(row, true)?) } else { None },
                error_code: optional_text(error_code, row).map(|code| names.get(code)),
                error_text: optional_text(error_text, row).map(|text| names.get(text)),
            }),
            other => return Err(self.columns.cell(row, "kind", format!("{other} is not a kind of event"))),
        };
        Ok(Event {
            op_id: op_id.value(row).cast_unsigned(),
            seq: seq.value(row).cast_unsigned(),
            t_ns: t_ns.value(row),
            conn_cookie: optional_int(conn_cookie, row).map(i64::cast_unsigned),
            kind,
        })
    }

    fn call(&self, row: usize, told: bool) -> Result<Call, Error> {
        let [_, _, _, _, key, value, expected, _] = self.ints;
        let (key, expected) = (key.value(row), expected.value(row));
        match self.f.value(row) {
            F_READ => Ok(Call::Read { key, value: told.then(|| optional_int(value, row)) }),
            F_WRITE => Ok(Call::Write { key, value: value.value(row) }),
            F_CAS => Ok(Call::Cas { key, expected, value: value.value(row) }),
            F_TXN => {
                let ends = self.mops.value_offsets();
                // Offsets of a valid list array are not negative and do not decrease.
                let range = ends[row].unsigned_abs() as usize..ends[row + 1].unsigned_abs() as usize;
                range.map(|mop| self.mop(row, mop, told)).collect::<Result<_, _>>().map(Call::Txn)
            }
            other => Err(self.columns.cell(row, "f", format!("{other} is not a function"))),
        }
    }

    fn mop(&self, row: usize, mop: usize, told: bool) -> Result<Mop, Error> {
        let [keys, values] = self.mop_ints;
        let (key, value) = (keys.value(mop), values.value(mop));
        Ok(match self.mop_f.value(mop) {
            MOP_APPEND => Mop::Append { key, value },
            MOP_WRITE => Mop::Write { key, value },
            MOP_READ => Mop::Read { key, value: told.then(|| optional_int(values, mop)) },
            MOP_READ_LIST if told => {
                let ends = self.lists.value_offsets();
                let range = ends[mop].unsigned_abs() as usize..ends[mop + 1].unsigned_abs() as usize;
                Mop::ReadList { key, list: Some(self.items.values()[range].to_vec()) }
            }
            MOP_READ_LIST => Mop::ReadList { key, list: None },
            other => return Err(self.columns.cell(row, "mops", format!("{other} is not a micro-operation"))),
        })
    }
}
