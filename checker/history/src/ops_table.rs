//! Between operations and record batches of the table `ops`.

use crate::calls::{
    CallArrays, CallColumns, CallReader, Ints, Labels, OptionalInts, Texts, dictionary, ints_array, room_of,
};
use crate::columns::{Columns, Interner, check_version, conform, cookie_to_int, optional_int, optional_text};
use crate::error::Error;
use crate::journal::events::EventReader;
use crate::rows::OpRow;
use crate::schema::{Table, ops_fields};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use fissure_checker::{Operation, Outcome};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Schema of the batches that [`OpsBuilder`] makes: that of the table, with the few different words in dictionaries. The
/// files have plain strings.
pub(crate) fn batch_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(ops_fields(&dictionary()))));
    SCHEMA.clone()
}

const OUTCOMES: [&str; 3] = ["ok", "fail", "info"];

fn outcome_place(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Fail => 1,
        Outcome::Info => 2,
    }
}

/// Operations, column by column, while rows are being added.
pub(crate) struct OpsBuilder {
    op_id: Ints,
    process: Ints,
    node: Labels,
    phase: Labels,
    calls: CallColumns,
    outcome: Labels,
    invoke_seq: Ints,
    complete_seq: OptionalInts,
    invoke_ns: Ints,
    complete_ns: OptionalInts,
    error_code: Texts,
    error_text: Texts,
    conn_cookie: OptionalInts,
}

impl Default for OpsBuilder {
    fn default() -> Self {
        Self {
            op_id: Ints::new(),
            process: Ints::new(),
            node: Labels::default(),
            phase: Labels::default(),
            calls: CallColumns::default(),
            outcome: Labels::with_words(&OUTCOMES),
            invoke_seq: Ints::new(),
            complete_seq: OptionalInts::default(),
            invoke_ns: Ints::new(),
            complete_ns: OptionalInts::default(),
            error_code: Texts::default(),
            error_text: Texts::default(),
            conn_cookie: OptionalInts::default(),
        }
    }
}

impl OpsBuilder {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.op_id.len()
    }

    /// Elements of lists and micro-operations: what makes rows large.
    pub(crate) fn elements(&self) -> usize {
        self.calls.elements()
    }

    /// Adds an operation as the number `op_id`.
    pub(crate) fn push(&mut self, op_id: u64, op: &Operation, phase: &Arc<str>) {
        let row = self.op_id.len();
        self.op_id.push(op_id.cast_signed());
        self.process.push(op.process);
        self.node.push(op.node.as_ref());
        self.phase.push(Some(phase));
        self.calls.push(&op.call, op.outcome == Outcome::Ok);
        self.outcome.push_place(outcome_place(op.outcome));
        self.invoke_seq.push(op.invoke_seq.cast_signed());
        self.complete_seq.put(row, op.complete_seq.map(u64::cast_signed));
        self.invoke_ns.push(op.invoke_ns);
        self.complete_ns.put(row, op.complete_ns);
        self.error_code.put(row, op.error_code.as_deref());
        self.error_text.put(row, op.error_text.as_deref());
        self.conn_cookie.put(row, cookie_to_int(op.conn_cookie));
    }

    /// Adds the operation of an invocation and its completion, both as (batch, row). Copies columns: no call is made.
    pub(crate) fn push_events(
        &mut self,
        op_id: u64,
        (invoked, at): (&EventReader, usize),
        (completed, end): (&EventReader, usize),
        outcome: Outcome,
    ) {
        let row = self.op_id.len();
        self.op_id.push(op_id.cast_signed());
        self.process.push(invoked.process.value(at));
        self.push_words(invoked, at);
        match outcome {
            Outcome::Ok => self.calls.copy(&completed.calls, end),
            Outcome::Fail | Outcome::Info => self.calls.copy(&invoked.calls, at),
        }
        self.outcome.push_place(outcome_place(outcome));
        self.invoke_seq.push(invoked.seq.value(at));
        self.complete_seq.put(row, Some(completed.seq.value(end)));
        self.invoke_ns.push(invoked.t_ns.value(at));
        self.complete_ns.put(row, Some(completed.t_ns.value(end)));
        self.error_code.put(row, optional_text(&completed.error_code, end));
        self.error_text.put(row, optional_text(&completed.error_text, end));
        let cookie = optional_int(&completed.conn_cookie, end).or_else(|| optional_int(&invoked.conn_cookie, at));
        self.conn_cookie.put(row, cookie);
    }

    fn push_words(&mut self, invoked: &EventReader, at: usize) {
        match optional_text(&invoked.node, at) {
            Some(node) => self.node.push_text(node),
            None => self.node.push(None),
        }
        self.phase.push_text(optional_text(&invoked.phase, at).unwrap_or_default());
    }

    /// The rows as a batch of [`batch_schema`]; the builder is empty afterwards.
    pub(crate) fn take_batch(&mut self, file: &Path) -> Result<RecordBatch, Error> {
        let room = Self {
            op_id: room_of(&self.op_id),
            process: room_of(&self.process),
            node: Labels::room_of(&self.node),
            phase: Labels::room_of(&self.phase),
            calls: CallColumns::room_of(&self.calls),
            outcome: Labels::with_words(&OUTCOMES),
            invoke_seq: room_of(&self.invoke_seq),
            complete_seq: OptionalInts::room_of(&self.complete_seq),
            invoke_ns: room_of(&self.invoke_ns),
            complete_ns: OptionalInts::room_of(&self.complete_ns),
            error_code: Texts::room_of(&self.error_code),
            error_text: Texts::room_of(&self.error_text),
            conn_cookie: OptionalInts::room_of(&self.conn_cookie),
        };
        std::mem::replace(self, room).into_batch(file)
    }

    fn into_batch(self, file: &Path) -> Result<RecordBatch, Error> {
        let rows = self.op_id.len();
        let finish = || {
            let CallArrays { f, other_f: _, values, mops, value_text } = self.calls.finish(true)?;
            let mut columns: Vec<ArrayRef> = vec![
                ints_array(self.op_id),
                ints_array(self.process),
                self.node.finish_dictionary()?,
                self.phase.finish_dictionary()?,
                f,
            ];
            columns.extend(values);
            columns.extend([
                mops,
                self.outcome.finish_dictionary()?,
                ints_array(self.invoke_seq),
                self.complete_seq.finish(rows),
                ints_array(self.invoke_ns),
                self.complete_ns.finish(rows),
                self.error_code.finish(rows)?,
                self.error_text.finish(rows)?,
                self.conn_cookie.finish(rows),
                value_text,
            ]);
            RecordBatch::try_new(batch_schema(), columns)
        };
        finish().map_err(Error::format(file))
    }
}

/// The operations of a batch of the table `ops`; `first_row` is the number of its first row in the file.
pub(crate) fn from_batch(
    batch: &RecordBatch,
    file: &Path,
    first_row: u64,
    names: &mut Interner,
) -> Result<Vec<OpRow>, Error> {
    check_version(batch, file)?;
    let batch = conform(batch, &Table::Ops.schema(), file)?;
    let columns = Columns::new(&batch, file, first_row);
    let reader = OpsColumns::new(&batch, &columns)?;
    (0..columns.rows()).map(|row| reader.row(row, names)).collect()
}

struct OpsColumns<'a> {
    columns: &'a Columns<'a>,
    op_id: &'a Int64Array,
    process: &'a Int64Array,
    node: &'a StringArray,
    phase: &'a StringArray,
    calls: CallReader,
    outcome: &'a StringArray,
    invoke_seq: &'a Int64Array,
    complete_seq: &'a Int64Array,
    invoke_ns: &'a Int64Array,
    complete_ns: &'a Int64Array,
    error_code: &'a StringArray,
    error_text: &'a StringArray,
    conn_cookie: &'a Int64Array,
}

fn unsigned(columns: &Columns<'_>, column: &Int64Array, name: &str, row: usize) -> Result<u64, Error> {
    let value = column.value(row);
    u64::try_from(value).map_err(|_| columns.cell(row, name, format!("{value} is negative")))
}

impl<'a> OpsColumns<'a> {
    fn new(batch: &RecordBatch, columns: &'a Columns<'a>) -> Result<Self, Error> {
        Ok(Self {
            op_id: columns.int("op_id")?,
            process: columns.int("process")?,
            node: columns.text("node")?,
            phase: columns.text("phase")?,
            calls: CallReader::of_table(batch, columns)?,
            outcome: columns.text("outcome")?,
            invoke_seq: columns.int("invoke_seq")?,
            complete_seq: columns.int("complete_seq")?,
            invoke_ns: columns.int("invoke_ns")?,
            complete_ns: columns.int("complete_ns")?,
            error_code: columns.text("error_code")?,
            error_text: columns.text("error_text")?,
            conn_cookie: columns.int("conn_cookie")?,
            columns,
        })
    }

    fn row(&self, row: usize, names: &mut Interner) -> Result<OpRow, Error> {
        let outcome = Outcome::from_name(self.outcome.value(row)).ok_or_else(|| {
            let detail = format!("`{}` is not `ok`, `fail` or `info`", self.outcome.value(row));
            self.columns.cell(row, "outcome", detail)
        })?;
        let complete_seq = match self.complete_seq.is_valid(row) {
            true => Some(unsigned(self.columns, self.complete_seq, "complete_seq", row)?),
            false => None,
        };
        let op = Operation {
            op_id: unsigned(self.columns, self.op_id, "op_id", row)?,
            process: self.process.value(row),
            node: optional_text(self.node, row).map(|name| names.get(name)),
            call: self.calls.call(self.columns, row, outcome == Outcome::Ok)?,
            invoke_seq: unsigned(self.columns, self.invoke_seq, "invoke_seq", row)?,
            complete_seq,
            invoke_ns: self.invoke_ns.value(row),
            complete_ns: optional_int(self.complete_ns, row),
            outcome,
            error_code: optional_text(self.error_code, row).map(|code| names.get(code)),
            error_text: optional_text(self.error_text, row).map(Arc::from),
            conn_cookie: optional_int(self.conn_cookie, row).map(i64::cast_unsigned),
        };
        Ok(OpRow { op, phase: names.get(self.phase.value(row)) })
    }
}
