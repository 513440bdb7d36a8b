//! Between operations and record batches of the table `ops`.

use crate::columns::{
    Columns, Interner, conform, cookie_to_int, ints, optional_int, optional_ints, optional_text, optional_texts, texts,
};
use crate::error::Error;
use crate::rows::OpRow;
use crate::schema::{Table, mop_fields};
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListArray, ListBuilder, RecordBatch, StringArray,
    StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int64Type};
use fissure_checker::{Call, Mop, Operation, Outcome};
use std::path::Path;
use std::sync::Arc;

/// The three value columns of a single-object call: key, value, expected.
fn scalars(op: &Operation) -> (Option<i64>, Option<i64>, Option<i64>) {
    match op.call {
        Call::Read { key, value } => (Some(key), value.flatten(), None),
        Call::Write { key, value } => (Some(key), Some(value), None),
        Call::Cas { key, expected, value } => (Some(key), Some(value), Some(expected)),
        _ => (None, None, None),
    }
}

/// The operations as a batch of the table `ops`.
pub(crate) fn to_batch(rows: &[OpRow], file: &Path) -> Result<RecordBatch, Error> {
    let ops = || rows.iter().map(|row| &row.op);
    let columns: Vec<ArrayRef> = vec![
        ints(ops().map(|op| op.op_id.cast_signed())),
        ints(ops().map(|op| op.process)),
        optional_texts(ops().map(|op| op.node.as_deref())),
        texts(rows.iter().map(|row| &*row.phase)),
        texts(ops().map(|op| op.call.f())),
        optional_ints(ops().map(|op| scalars(op).0)),
        optional_ints(ops().map(|op| scalars(op).1)),
        optional_ints(ops().map(|op| scalars(op).2)),
        mops_column(rows),
        texts(ops().map(|op| op.outcome.name())),
        ints(ops().map(|op| op.invoke_seq.cast_signed())),
        optional_ints(ops().map(|op| op.complete_seq.map(u64::cast_signed))),
        ints(ops().map(|op| op.invoke_ns)),
        optional_ints(ops().map(|op| op.complete_ns)),
        optional_texts(ops().map(|op| op.error_code.as_deref())),
        optional_texts(ops().map(|op| op.error_text.as_deref())),
        optional_ints(ops().map(|op| cookie_to_int(op.conn_cookie))),
    ];
    RecordBatch::try_new(Table::Ops.schema(), columns).map_err(Error::format(file))
}

fn mops_column(rows: &[OpRow]) -> ArrayRef {
    let (mut f, mut key, mut value) = (StringBuilder::new(), Int64Builder::new(), Int64Builder::new());
    let mut list = ListBuilder::new(Int64Builder::new()).with_field(Arc::new(crate::schema::int("item")));
    let mut lengths = Vec::with_capacity(rows.len());
    let mut valid = Vec::with_capacity(rows.len());
    for row in rows {
        let mops = if let Call::Txn(mops) = &row.op.call { Some(mops) } else { None };
        for mop in mops.into_iter().flatten() {
            let (name, seen, elements) = match mop {
                Mop::Append { value, .. } => ("append", Some(*value), None),
                Mop::ReadList { list, .. } => ("r", None, list.as_ref()),
                Mop::Write { value, .. } => ("w", Some(*value), None),
                Mop::Read { value, .. } => ("rr", value.flatten(), None),
                _ => continue,
            };
            f.append_value(name);
            key.append_value(mop.key().unwrap_or_default());
            value.append_option(seen);
            list.values().append_slice(elements.map_or(&[], Vec::as_slice));
            list.append(elements.is_some());
        }
        lengths.push(mops.map_or(0, Vec::len));
        valid.push(mops.is_some());
    }
    let (f, key, value, list) = (f.finish(), key.finish(), value.finish(), list.finish());
    let rows = f.len();
    let arrays: Vec<ArrayRef> = vec![Arc::new(f), Arc::new(key), Arc::new(value), Arc::new(list)];
    debug_assert!(arrays.iter().all(|array| array.len() == rows));
    let mops = StructArray::new(mop_fields(), arrays, None);
    let item = Arc::new(Field::new("item", DataType::Struct(mop_fields()), false));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(item, offsets, Arc::new(mops), Some(NullBuffer::from(valid))))
}

/// The operations of a batch of the table `ops`; `first_row` is the number of its first row in the file.
pub(crate) fn from_batch(
    batch: &RecordBatch,
    file: &Path,
    first_row: u64,
    names: &mut Interner,
) -> Result<Vec<OpRow>, Error> {
    let batch = conform(batch, &Table::Ops.schema(), file)?;
    let columns = Columns::new(&batch, file, first_row);
    let reader = OpsColumns::new(&columns)?;
    (0..columns.rows()).map(|row| reader.row(row, names)).collect()
}

struct OpsColumns<'a> {
    columns: &'a Columns<'a>,
    op_id: &'a Int64Array,
    process: &'a Int64Array,
    node: &'a StringArray,
    phase: &'a StringArray,
    f: &'a StringArray,
    key: &'a Int64Array,
    value: &'a Int64Array,
    expected: &'a Int64Array,
    mops: Mops<'a>,
    outcome: &'a StringArray,
    invoke_seq: &'a Int64Array,
    complete_seq: &'a Int64Array,
    invoke_ns: &'a Int64Array,
    complete_ns: &'a Int64Array,
    error_code: &'a StringArray,
    error_text: &'a StringArray,
    conn_cookie: &'a Int64Array,
}

/// The nested column of micro-operations, taken apart.
struct Mops<'a> {
    lists: &'a ListArray,
    f: &'a StringArray,
    key: &'a Int64Array,
    value: &'a Int64Array,
    list: &'a ListArray,
    elements: &'a Int64Array,
}

impl<'a> Mops<'a> {
    fn new(columns: &Columns<'a>) -> Result<Self, Error> {
        let lists = columns.list("mops")?;
        let fields = lists.values().as_struct_opt().and_then(|mops| {
            let list = mops.column_by_name("list")?.as_list_opt::<i32>()?;
            Some(Self {
                lists,
                f: mops.column_by_name("f")?.as_string_opt::<i32>()?,
                key: mops.column_by_name("key")?.as_primitive_opt::<Int64Type>()?,
                value: mops.column_by_name("value")?.as_primitive_opt::<Int64Type>()?,
                list,
                elements: list.values().as_primitive_opt::<Int64Type>()?,
            })
        });
        fields.ok_or_else(|| columns.cell(0, "mops", "not a list of structs f, key, value, list"))
    }
}

fn unsigned(columns: &Columns<'_>, column: &Int64Array, name: &str, row: usize) -> Result<u64, Error> {
    let value = column.value(row);
    u64::try_from(value).map_err(|_| columns.cell(row, name, format!("{value} is negative")))
}

impl<'a> OpsColumns<'a> {
    fn new(columns: &'a Columns<'a>) -> Result<Self, Error> {
        Ok(Self {
            op_id: columns.int("op_id")?,
            process: columns.int("process")?,
            node: columns.text("node")?,
            phase: columns.text("phase")?,
            f: columns.text("f")?,
            key: columns.int("key")?,
            value: columns.int("value")?,
            expected: columns.int("expected")?,
            mops: Mops::new(columns)?,
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
            call: self.call(row, outcome)?,
            invoke_seq: unsigned(self.columns, self.invoke_seq, "invoke_seq", row)?,
            complete_seq,
            invoke_ns: self.invoke_ns.value(row),
            complete_ns: optional_int(self.complete_ns, row),
            outcome,
            error_code: optional_text(self.error_code, row).map(|code| names.get(code)),
            error_text: optional_text(self.error_text, row).map(|text| names.get(text)),
            conn_cookie: optional_int(self.conn_cookie, row).map(i64::cast_unsigned),
        };
        Ok(OpRow { op, phase: names.get(self.phase.value(row)) })
    }

    fn call(&self, row: usize, outcome: Outcome) -> Result<Call, Error> {
        let need = |column: &Int64Array, name: &str| {
            optional_int(column, row).ok_or_else(|| {
                let detail = format!("null, but a {} needs it", self.f.value(row));
                self.columns.cell(row, name, detail)
            })
        };
        match self.f.value(row) {
            "read" => {
                let key = need(self.key, "key")?;
                Ok(Call::Read { key, value: (outcome == Outcome::Ok).then(|| optional_int(self.value, row)) })
            }
            "write" => Ok(Call::Write { key: need(self.key, "key")?, value: need(self.value, "value")? }),
            "cas" => Ok(Call::Cas {
                key: need(self.key, "key")?,
                expected: need(self.expected, "expected")?,
                value: need(self.value, "value")?,
            }),
            "txn" => self.txn(row, outcome),
            other => {
                let detail = format!("`{other}` is not `read`, `write`, `cas` or `txn`");
                Err(self.columns.cell(row, "f", detail))
            }
        }
    }

    fn txn(&self, row: usize, outcome: Outcome) -> Result<Call, Error> {
        if self.mops.lists.is_null(row) {
            return Err(self.columns.cell(row, "mops", "null, but a txn needs it"));
        }
        let offsets = self.mops.lists.value_offsets();
        // Offsets of a valid list array are not negative and do not decrease.
        let range = offsets[row].unsigned_abs() as usize..offsets[row + 1].unsigned_abs() as usize;
        range.map(|mop| self.mop(row, mop, outcome)).collect::<Result<_, _>>().map(Call::Txn)
    }

    fn mop(&self, row: usize, mop: usize, outcome: Outcome) -> Result<Mop, Error> {
        let mops = &self.mops;
        let key = mops.key.value(mop);
        let written = || {
            optional_int(mops.value, mop)
                .ok_or_else(|| self.columns.cell(row, "mops", format!("the value of `{}` is null", mops.f.value(mop))))
        };
        match mops.f.value(mop) {
            "append" => Ok(Mop::Append { key, value: written()? }),
            "w" => Ok(Mop::Write { key, value: written()? }),
            "rr" => Ok(Mop::Read { key, value: (outcome == Outcome::Ok).then(|| optional_int(mops.value, mop)) }),
            "r" if outcome == Outcome::Ok => {
                let offsets = mops.list.value_offsets();
                let range = offsets[mop].unsigned_abs() as usize..offsets[mop + 1].unsigned_abs() as usize;
                let list = if mops.list.is_null(mop) { Vec::new() } else { mops.elements.values()[range].to_vec() };
                Ok(Mop::ReadList { key, list: Some(list) })
            }
            "r" => Ok(Mop::ReadList { key, list: None }),
            other => {
                let detail = format!("`{other}` is not `append`, `r`, `w` or `rr`");
                Err(self.columns.cell(row, "mops", detail))
            }
        }
    }
}
