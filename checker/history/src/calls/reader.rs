//! From columns to calls.

use super::codes::*;
use crate::columns::{Columns, optional_int};
use crate::error::Error;
use crate::schema::VERSION_KEY;
use arrow::array::{Array, AsArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{Int64Type, UInt8Type};
use fissure_checker::{Call, LogRecord, Mop, OtherCall};
use std::ops::Range;
use std::sync::Arc;

/// A list of structs, taken apart.
pub(super) struct Structs {
    lists: ListArray,
    ints: Vec<Int64Array>,
}

impl Structs {
    fn new(lists: &ListArray, names: &[&str]) -> Option<Self> {
        let items = lists.values().as_struct_opt()?;
        let int = |name: &&str| struct_int(items, name);
        Some(Self { lists: lists.clone(), ints: names.iter().map(int).collect::<Option<_>>()? })
    }

    fn range(&self, row: usize) -> Option<Range<usize>> {
        self.lists.is_valid(row).then(|| range_of(&self.lists, row))
    }
}

fn struct_int(items: &StructArray, name: &str) -> Option<Int64Array> {
    items.column_by_name(name)?.as_primitive_opt::<Int64Type>().cloned()
}

/// Offsets of a valid list array are not negative and do not decrease.
fn range_of(lists: &ListArray, row: usize) -> Range<usize> {
    let ends = lists.value_offsets();
    ends[row].unsigned_abs() as usize..ends[row + 1].unsigned_abs() as usize
}

/// The columns of calls of one batch, of the journal or of the table. It shares the batch's memory.
pub(crate) struct CallReader {
    pub(super) f: Vec<u8>,
    other_f: StringArray,
    pub(super) key: Int64Array,
    pub(super) value: Int64Array,
    pub(super) expected: Int64Array,
    pub(super) to_key: Int64Array,
    elements: ListArray,
    element_items: Int64Array,
    balances: Structs,
    value_text: StringArray,
    mops: ListArray,
    pub(super) mop_f: Vec<u8>,
    pub(super) mop_key: Int64Array,
    pub(super) mop_value: Int64Array,
    pub(super) mop_offset: Int64Array,
    mop_lists: ListArray,
    mop_list_items: Int64Array,
    records: Structs,
    /// Whether the columns that few workloads use are all null.
    pub(super) is_plain: bool,
    has_records: bool,
    /// In the first version, a list of an `ok` read could be null and meant an empty one.
    null_is_empty: bool,
}

impl CallReader {
    /// Takes apart a batch of the journal of operations.
    pub(crate) fn of_journal(batch: &RecordBatch, columns: &Columns<'_>) -> Result<Self, Error> {
        let bad = || columns.cell(0, "f", "missing or of another type");
        let codes = |column: &dyn Array| Some(column.as_primitive_opt::<UInt8Type>()?.values().to_vec());
        let f = batch.column_by_name("f").and_then(|f| codes(f)).ok_or_else(bad)?;
        let other_f = columns.text("other_f")?.clone();
        Self::new(batch, columns, f, other_f, |mop_f| codes(mop_f).ok_or_else(bad))
    }

    /// Takes apart a batch of the table `ops`.
    pub(crate) fn of_table(batch: &RecordBatch, columns: &Columns<'_>) -> Result<Self, Error> {
        let words = columns.text("f")?;
        let mop_codes = |mop_f: &dyn Array| {
            let words = mop_f.as_string_opt::<i32>();
            let words = words.ok_or_else(|| columns.cell(0, "mops", "its f is not a string"))?;
            // A word that is not known is an error of the row that has it, when that row is read.
            Ok(memoized(words, |word| mop_code(word).unwrap_or(0)))
        };
        let f = memoized(words, f_code);
        let mut reader = Self::new(batch, columns, f, words.clone(), mop_codes)?;
        for row in 0..reader.f.len() {
            reader.f[row] = reader.kind_of(row);
        }
        Ok(reader)
    }

    fn new(
        batch: &RecordBatch,
        columns: &Columns<'_>,
        f: Vec<u8>,
        other_f: StringArray,
        mop_codes: impl FnOnce(&dyn Array) -> Result<Vec<u8>, Error>,
    ) -> Result<Self, Error> {
        let bad = |name: &'static str| move || columns.cell(0, name, "of another type");
        let (elements, balances, mops) = (columns.list("elements")?, columns.list("balances")?, columns.list("mops")?);
        let items = mops.values().as_struct_opt().ok_or_else(bad("mops"))?;
        let part = |name: &str| items.column_by_name(name).ok_or_else(bad("mops"));
        let int = |name: &str| struct_int(items, name).ok_or_else(bad("mops"));
        let mop_lists = part("list")?.as_list_opt::<i32>().ok_or_else(bad("mops"))?.clone();
        let records = part("records")?.as_list_opt::<i32>().ok_or_else(bad("mops"))?;
        let (expected, to_key) = (columns.int("expected")?, columns.int("to_key")?);
        let value_text = columns.text("value_text")?;
        let empty = |array: &dyn Array| array.null_count() == array.len();
        let optional: [&dyn Array; 5] = [expected, to_key, elements, balances, value_text];
        let version = batch.schema_ref().metadata().get(VERSION_KEY).map(String::as_str);
        Ok(Self {
            key: columns.int("key")?.clone(),
            value: columns.int("value")?.clone(),
            is_plain: optional.into_iter().all(empty) && !f.contains(&F_OTHER),
            expected: expected.clone(),
            to_key: to_key.clone(),
            element_items: elements.values().as_primitive_opt::<Int64Type>().ok_or_else(bad("elements"))?.clone(),
            elements: elements.clone(),
            balances: Structs::new(balances, &["account", "balance"]).ok_or_else(bad("balances"))?,
            value_text: value_text.clone(),
            mop_f: mop_codes(part("f")?)?,
            mop_key: int("key")?,
            mop_value: int("value")?,
            mop_offset: int("offset")?,
            mop_list_items: mop_lists.values().as_primitive_opt::<Int64Type>().ok_or_else(bad("mops"))?.clone(),
            mop_lists,
            has_records: !empty(records),
            records: Structs::new(records, &["key", "offset", "value"]).ok_or_else(bad("mops"))?,
            mops: mops.clone(),
            null_is_empty: version == Some("1"),
            f,
            other_f,
        })
    }

    /// Which of the calls with the same word it is, from the columns it has.
    fn kind_of(&self, row: usize) -> u8 {
        match self.f[row] {
            F_READ if self.elements.is_valid(row) => F_READ_SET,
            F_READ if self.balances.lists.is_valid(row) => F_READ_BALANCES,
            F_OTHER => F_OTHER,
            _ if self.is_untyped(row) => F_OTHER,
            known => known,
        }
    }

    /// Whether no column but `value_text` has anything: a call that nobody understands.
    fn is_untyped(&self, row: usize) -> bool {
        let ints = [&self.key, &self.value, &self.expected, &self.to_key];
        ints.into_iter().all(|column| column.is_null(row))
            && [&self.elements, &self.balances.lists, &self.mops].into_iter().all(|column| column.is_null(row))
    }

    pub(super) fn int(&self, column: &Int64Array, row: usize) -> Option<i64> {
        optional_int(column, row)
    }

    pub(super) fn mop_range(&self, row: usize) -> Option<Range<usize>> {
        self.mops.is_valid(row).then(|| range_of(&self.mops, row))
    }

    #[inline]
    pub(super) fn mop_list(&self, mop: usize) -> Option<&[i64]> {
        self.mop_lists.is_valid(mop).then(|| &self.mop_list_items.values()[range_of(&self.mop_lists, mop)])
    }

    pub(super) fn records(&self, mop: usize) -> Option<impl Iterator<Item = LogRecord> + '_> {
        let [key, offset, value] = self.records.ints.as_slice() else { return None };
        let range = if self.has_records { self.records.range(mop)? } else { return None };
        Some(range.map(|at| LogRecord {
            key: key.value(at),
            offset: optional_int(offset, at),
            value: optional_int(value, at),
        }))
    }

    pub(super) fn elements(&self, row: usize) -> Option<&[i64]> {
        self.elements.is_valid(row).then(|| &self.element_items.values()[range_of(&self.elements, row)])
    }

    pub(super) fn balances(&self, row: usize) -> Option<impl Iterator<Item = (i64, Option<i64>)> + '_> {
        let [account, balance] = self.balances.ints.as_slice() else { return None };
        let range = self.balances.range(row)?;
        Some(range.map(|at| (account.value(at), optional_int(balance, at))))
    }

    pub(super) fn value_text(&self, row: usize) -> Option<&str> {
        self.value_text.is_valid(row).then(|| self.value_text.value(row))
    }

    pub(super) fn other_f(&self, row: usize) -> &str {
        if self.other_f.is_valid(row) { self.other_f.value(row) } else { "" }
    }

    /// The call in `row`; what its reads saw only if it is `told`. O(its size).
    ///
    /// # Errors
    /// If a column that the call needs is null, or its function is not known.
    pub(crate) fn call(&self, columns: &Columns<'_>, row: usize, told: bool) -> Result<Call, Error> {
        let need = |column: &Int64Array, name: &str| {
            optional_int(column, row).ok_or_else(|| {
                let f = F_NAMES.get(usize::from(self.f[row])).copied().unwrap_or_default();
                let detail = format!("null, but a {f} needs it");
                columns.cell(row, name, detail)
            })
        };
        let value = || need(&self.value, "value");
        let elements =
            || self.elements(row).map(<[i64]>::to_vec).ok_or_else(|| columns.cell(row, "elements", "null, but needed"));
        Ok(match self.f[row] {
            F_TXN => {
                let range = self.mop_range(row);
                let range = range.ok_or_else(|| columns.cell(row, "mops", "null, but a txn needs it"))?;
                Call::Txn(range.map(|mop| self.mop(columns, row, mop, told)).collect::<Result<_, _>>()?)
            }
            F_TRANSFER => {
                let (from, to) = (need(&self.key, "key")?, need(&self.to_key, "to_key")?);
                Call::Transfer { from, to, amount: value()? }
            }
            F_READ_BALANCES => {
                let known = told && self.value_text(row).is_none();
                Call::ReadBalances { balances: self.balances(row).filter(|_| known).map(Iterator::collect) }
            }
            F_SUBSCRIBE => Call::Subscribe { keys: elements()? },
            F_ASSIGN => Call::Assign { keys: elements()? },
            F_OTHER => self.other(columns, row)?,
            _ => {
                let key = need(&self.key, "key")?;
                match self.f[row] {
                    F_WRITE => Call::Write { key, value: value()? },
                    F_CAS => Call::Cas { key, expected: need(&self.expected, "expected")?, value: value()? },
                    F_ADD => Call::Add { key, value: value()? },
                    F_APPEND => Call::Append { key, value: value()? },
                    F_ENQUEUE => Call::Enqueue { key, value: value()? },
                    F_PUSH => Call::Push { key, value: value()? },
                    _ => self.read(columns, row, key, told)?,
                }
            }
        })
    }

    /// A call that the database answers with something.
    fn read(&self, columns: &Columns<'_>, row: usize, key: i64, told: bool) -> Result<Call, Error> {
        let value = optional_int(&self.value, row);
        let known = told && self.value_text(row).is_none();
        let seen = known.then_some(value);
        let elements = || self.elements(row).filter(|_| known).map(<[i64]>::to_vec);
        Ok(match self.f[row] {
            F_READ => Call::Read { key, value: seen },
            F_READ_SET => Call::ReadSet { key, elements: elements() },
            F_DEQUEUE => Call::Dequeue { key, value: seen },
            F_POP => Call::Pop { key, value: seen },
            F_DRAIN => Call::Drain { key, elements: elements() },
            F_ACQUIRE => Call::Acquire { key, value },
            F_RELEASE => Call::Release { key, value },
            F_GENERATE => Call::Generate { key, value: value.filter(|_| told) },
            other => return Err(columns.cell(row, "f", format!("{other} is not a function"))),
        })
    }

    fn other(&self, columns: &Columns<'_>, row: usize) -> Result<Call, Error> {
        let f = self.other_f(row);
        if !self.is_untyped(row) {
            let detail = format!("`{f}` is not a function that has keys or values here: expected {}", known_words());
            return Err(columns.cell(row, "f", detail));
        }
        Ok(Call::Other(Box::new(OtherCall { f: Arc::from(f), value: self.value_text(row).map(Arc::from) })))
    }

    fn mop(&self, columns: &Columns<'_>, row: usize, mop: usize, told: bool) -> Result<Mop, Error> {
        let code = self.mop_f[mop];
        let name = MOP_NAMES.get(usize::from(code)).copied().unwrap_or_default();
        let missing = |what: &str| columns.cell(row, "mops", format!("the {what} of `{name}` is null"));
        let value = || optional_int(&self.mop_value, mop).ok_or_else(|| missing("value"));
        let key = || optional_int(&self.mop_key, mop).ok_or_else(|| missing("key"));
        Ok(match code {
            MOP_APPEND => Mop::Append { key: key()?, value: value()? },
            MOP_READ_LIST => {
                let empty = (told && self.null_is_empty).then_some(&[] as &[i64]);
                let list = self.mop_list(mop).filter(|_| told).or(empty).map(<[i64]>::to_vec);
                Mop::ReadList { key: key()?, list }
            }
            MOP_WRITE => Mop::Write { key: key()?, value: value()? },
            MOP_READ => {
                let known = told && self.mop_lists.is_null(mop);
                Mop::Read { key: key()?, value: known.then(|| optional_int(&self.mop_value, mop)) }
            }
            MOP_SEND => Mop::Send { key: key()?, value: value()?, offset: optional_int(&self.mop_offset, mop) },
            MOP_POLL => Mop::Poll { records: self.records(mop).filter(|_| told).map(Iterator::collect) },
            MOP_INSERT => Mop::Insert { key: key()?, value: value()? },
            MOP_DELETE => Mop::Delete { key: key()? },
            MOP_READ_PREDICATE => {
                let matched = match self.records(mop).filter(|_| told) {
                    None => None,
                    Some(records) => {
                        let pair = |record: LogRecord| Some((record.key, record.value?));
                        let pairs: Option<Vec<_>> = records.map(pair).collect();
                        Some(pairs.ok_or_else(|| missing("value of a record"))?)
                    }
                };
                Mop::ReadPredicate { predicate: value()?, matched }
            }
            _ => {
                let detail = format!("a micro-operation is none of {}", MOP_NAMES[1..].join(", "));
                return Err(columns.cell(row, "mops", detail));
            }
        })
    }
}

/// The functions that have columns, for messages.
fn known_words() -> String {
    let mut words: Vec<&str> = F_NAMES.into_iter().filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

/// A code for each text; the same text as in the row before costs one comparison.
fn memoized(texts: &StringArray, code: impl Fn(&str) -> u8) -> Vec<u8> {
    let mut known: Vec<(&str, u8)> = Vec::new();
    let mut codes = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        let text = texts.value(row);
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, code)| *code);
        codes.push(found.unwrap_or_else(|| {
            let code = code(text);
            if known.len() < 16 {
                known.push((text, code));
            }
            code
        }));
    }
    codes
}
