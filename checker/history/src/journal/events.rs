//! The journal of operations: one row per event, an invocation or a completion.
//!
//! [`EventBuffer`] is filled from the run loop, so it is plain vectors, one per column: recording an event is a handful
//! of pushes and no allocation of its own. Turning them into Arrow arrays happens in the writer thread and copies
//! nothing but the strings.

use crate::calls::{
    CallArrays, CallColumns, CallReader, CallRef, Ints, Labels, OptionalInts, Texts, bytes_array, ints_array, room_of,
};
use crate::columns::{Columns, Interner, check_version, cookie_to_int, optional_int, optional_text};
use crate::error::Error;
use crate::rows::OpRow;
use crate::schema::{int, list, mop_fields, optional, text, value_fields, with_version};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, SchemaRef, UInt8Type};
use fissure_checker::{Operation, Outcome};
use std::path::Path;
use std::sync::{Arc, LazyLock};

const KIND_INVOKE: u8 = 0;
const KIND_OK: u8 = 1;
const KIND_FAIL: u8 = 2;
const KIND_INFO: u8 = 3;

fn byte(name: &str) -> Field {
    Field::new(name, DataType::UInt8, false)
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = vec![
        byte("kind"),
        int("op_id"),
        int("seq"),
        int("t_ns"),
        int("process"),
        optional(text("node")),
        optional(text("phase")),
        byte("f"),
        optional(text("other_f")),
    ];
    fields.extend(value_fields());
    fields.extend([
        list("mops", DataType::Struct(mop_fields(byte("f")))),
        optional(text("error_code")),
        optional(text("error_text")),
        optional(int("conn_cookie")),
        optional(text("value_text")),
    ]);
    with_version("ops-events", fields)
});

/// Schema of a batch of events in memory; on disk it is packed.
pub(crate) fn schema() -> SchemaRef {
    SCHEMA.clone()
}

/// Events of operations that are not written yet, column by column.
#[derive(Default)]
pub(crate) struct EventBuffer {
    kind: Vec<u8>,
    op_id: Ints,
    seq: Ints,
    t_ns: Ints,
    process: Ints,
    node: Labels,
    phase: Labels,
    calls: CallColumns,
    error_code: Texts,
    error_text: Texts,
    conn_cookie: OptionalInts,
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
    /// The events, and room for as many in their place.
    pub(crate) fn take(&mut self) -> Self {
        let room = Self {
            kind: room_of(&self.kind),
            op_id: room_of(&self.op_id),
            seq: room_of(&self.seq),
            t_ns: room_of(&self.t_ns),
            process: room_of(&self.process),
            node: Labels::room_of(&self.node),
            phase: Labels::room_of(&self.phase),
            calls: CallColumns::room_of(&self.calls),
            error_code: Texts::room_of(&self.error_code),
            error_text: Texts::room_of(&self.error_text),
            conn_cookie: OptionalInts::room_of(&self.conn_cookie),
        };
        std::mem::replace(self, room)
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.kind.len()
    }

    /// Elements of lists read and micro-operations: what makes an event large.
    pub(crate) fn elements(&self) -> usize {
        self.calls.elements()
    }

    fn push_head(&mut self, kind: u8, head: EventHead) {
        self.conn_cookie.put(self.kind.len(), cookie_to_int(head.conn_cookie));
        self.kind.push(kind);
        self.op_id.push(head.op_id.cast_signed());
        self.seq.push(head.seq.cast_signed());
        self.t_ns.push(head.t_ns);
    }

    pub(crate) fn push_invoke(
        &mut self,
        head: EventHead,
        process: i64,
        node: Option<&Arc<str>>,
        phase: &Arc<str>,
        call: CallRef<'_>,
    ) {
        self.push_head(KIND_INVOKE, head);
        self.process.push(process);
        self.node.push(node);
        self.phase.push(Some(phase));
        self.calls.push_ref(call, false);
    }

    fn push_completion(&mut self, kind: u8, head: EventHead) {
        self.push_head(kind, head);
        self.process.push(0);
        self.node.push(None);
        self.phase.push(None);
    }

    pub(crate) fn push_ok(&mut self, head: EventHead, call: CallRef<'_>) {
        self.push_completion(KIND_OK, head);
        self.calls.push_ref(call, true);
    }

    pub(crate) fn push_error(&mut self, head: EventHead, certain: bool, code: &str, text: &str) {
        let row = self.kind.len();
        self.push_completion(if certain { KIND_FAIL } else { KIND_INFO }, head);
        // What is empty is not known.
        self.error_code.put(row, Some(code).filter(|code| !code.is_empty()));
        self.error_text.put(row, Some(text).filter(|text| !text.is_empty()));
        self.calls.push_none();
    }

    /// The events as a record batch.
    pub(crate) fn into_batch(self, file: &Path) -> Result<RecordBatch, Error> {
        let rows = self.kind.len();
        let finish = || {
            let CallArrays { f, other_f, values, mops, value_text } = self.calls.finish(false)?;
            let mut columns: Vec<ArrayRef> = vec![
                bytes_array(self.kind),
                ints_array(self.op_id),
                ints_array(self.seq),
                ints_array(self.t_ns),
                ints_array(self.process),
                self.node.finish_texts(),
                self.phase.finish_texts(),
                f,
                other_f,
            ];
            columns.extend(values);
            columns.extend([
                mops,
                self.error_code.finish(rows)?,
                self.error_text.finish(rows)?,
                self.conn_cookie.finish(rows),
                value_text,
            ]);
            RecordBatch::try_new(schema(), columns)
        };
        finish().map_err(Error::format(file))
    }
}

/// The columns of a batch of events, taken apart for reading. It shares the batch's memory.
pub(crate) struct EventReader {
    batch: RecordBatch,
    file: Arc<Path>,
    first_row: u64,
    pub(crate) kind: UInt8Array,
    pub(crate) op_id: Int64Array,
    pub(crate) seq: Int64Array,
    pub(crate) t_ns: Int64Array,
    pub(crate) process: Int64Array,
    pub(crate) conn_cookie: Int64Array,
    pub(crate) node: StringArray,
    pub(crate) phase: StringArray,
    pub(crate) error_code: StringArray,
    pub(crate) error_text: StringArray,
    pub(crate) calls: CallReader,
}

/// What an event says of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventClass {
    /// It begins.
    Invoke,
    /// It ends so.
    Complete(Outcome),
}

impl EventReader {
    /// Takes apart a batch that came out of a verified frame.
    pub(crate) fn new(batch: RecordBatch, file: &Arc<Path>, first_row: u64) -> Result<Self, Error> {
        let columns = Columns::new(&batch, file, first_row);
        check_version(&batch, file)?;
        let kind = batch.column_by_name("kind").and_then(|column| column.as_primitive_opt::<UInt8Type>());
        let kind = kind.ok_or_else(|| columns.cell(0, "kind", "missing or of another type"))?.clone();
        Ok(Self {
            kind,
            op_id: columns.int("op_id")?.clone(),
            seq: columns.int("seq")?.clone(),
            t_ns: columns.int("t_ns")?.clone(),
            process: columns.int("process")?.clone(),
            conn_cookie: columns.int("conn_cookie")?.clone(),
            node: columns.text("node")?.clone(),
            phase: columns.text("phase")?.clone(),
            error_code: columns.text("error_code")?.clone(),
            error_text: columns.text("error_text")?.clone(),
            calls: CallReader::of_journal(&batch, &columns)?,
            file: file.clone(),
            first_row,
            batch,
        })
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.kind.len()
    }

    /// Number of the event in `row` in the journal.
    pub(crate) fn number(&self, row: usize) -> u64 {
        self.first_row + row as u64
    }

    fn columns(&self) -> Columns<'_> {
        Columns::new(&self.batch, &self.file, self.first_row)
    }

    /// What kind of event it is.
    #[inline]
    pub(crate) fn class(&self, row: usize) -> Result<EventClass, Error> {
        match self.kind.value(row) {
            KIND_INVOKE => Ok(EventClass::Invoke),
            KIND_OK => Ok(EventClass::Complete(Outcome::Ok)),
            KIND_FAIL => Ok(EventClass::Complete(Outcome::Fail)),
            KIND_INFO => Ok(EventClass::Complete(Outcome::Info)),
            other => Err(self.columns().cell(row, "kind", format!("{other} is not a kind of event"))),
        }
    }

    /// The invocation in `row` as an operation with this number that nobody has heard of since, and its phase.
    pub(crate) fn invoked(&self, row: usize, op_id: u64, names: &mut Interner) -> Result<OpRow, Error> {
        let op = Operation {
            op_id,
            process: self.process.value(row),
            node: optional_text(&self.node, row).map(|name| names.get(name)),
            call: self.calls.call(&self.columns(), row, false)?,
            invoke_seq: self.seq.value(row).cast_unsigned(),
            complete_seq: None,
            invoke_ns: self.t_ns.value(row),
            complete_ns: None,
            outcome: Outcome::Info,
            error_code: None,
            error_text: None,
            conn_cookie: optional_int(&self.conn_cookie, row).map(i64::cast_unsigned),
        };
        Ok(OpRow { op, phase: names.get(optional_text(&self.phase, row).unwrap_or_default()) })
    }

    /// Completes an operation with the completion in `row`.
    pub(crate) fn complete(
        &self,
        row: usize,
        outcome: Outcome,
        op: &mut Operation,
        names: &mut Interner,
    ) -> Result<(), Error> {
        op.outcome = outcome;
        op.complete_seq = Some(self.seq.value(row).cast_unsigned());
        op.complete_ns = Some(self.t_ns.value(row));
        op.error_code = optional_text(&self.error_code, row).map(|code| names.get(code));
        op.error_text = optional_text(&self.error_text, row).map(Arc::from);
        op.conn_cookie = optional_int(&self.conn_cookie, row).map(i64::cast_unsigned).or(op.conn_cookie);
        if outcome == Outcome::Ok {
            op.call = self.calls.call(&self.columns(), row, true)?;
        }
        Ok(())
    }
}
