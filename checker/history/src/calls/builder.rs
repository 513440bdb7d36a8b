//! From calls to columns.

use super::codes::*;
use super::flat::{CallRef, FlatMop, FlatMops};
use super::growing::{IntLists, Ints, Labels, ListEnds, OptionalInts, Texts, bytes_array, ints_array, room_of};
use super::reader::CallReader;
use crate::schema::{balance_fields, list, mop_fields, record_fields};
use arrow::array::{Array, ArrayRef, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use fissure_checker::{Call, LogRecord, Mop};
use std::ops::Range;

/// The micro-operations of all rows, one after the other.
#[derive(Default)]
pub(super) struct MopColumns {
    pub(super) f: Vec<u8>,
    key: OptionalInts,
    value: OptionalInts,
    list: IntLists,
    offset: OptionalInts,
    record_ends: ListEnds,
    record_key: Ints,
    record_offset: OptionalInts,
    record_value: OptionalInts,
}

impl MopColumns {
    fn room_of(before: &Self) -> Self {
        Self {
            f: room_of(&before.f),
            key: OptionalInts::room_of(&before.key),
            value: OptionalInts::room_of(&before.value),
            list: IntLists::room_of(&before.list),
            offset: OptionalInts::room_of(&before.offset),
            record_ends: ListEnds::room_of(&before.record_ends),
            record_key: room_of(&before.record_key),
            record_offset: OptionalInts::room_of(&before.record_offset),
            record_value: OptionalInts::room_of(&before.record_value),
        }
    }

    fn push(&mut self, mop: &Mop, told: bool) {
        let row = self.f.len();
        let f = match mop {
            Mop::Append { value, .. } => {
                self.value.put(row, Some(*value));
                MOP_APPEND
            }
            Mop::ReadList { list, .. } => {
                self.list.put(row, list.as_deref().filter(|_| told));
                MOP_READ_LIST
            }
            Mop::Write { value, .. } => {
                self.value.put(row, Some(*value));
                MOP_WRITE
            }
            Mop::Read { value, .. } => {
                self.value.put(row, value.flatten().filter(|_| told));
                self.list.put(row, (told && value.is_none()).then_some(&[]));
                MOP_READ
            }
            Mop::Send { value, offset, .. } => {
                self.value.put(row, Some(*value));
                self.offset.put(row, *offset);
                MOP_SEND
            }
            Mop::Poll { records } => {
                if let Some(records) = records.as_ref().filter(|_| told) {
                    self.put_records(row, records.iter().copied());
                }
                MOP_POLL
            }
            Mop::Insert { value, .. } => {
                self.value.put(row, Some(*value));
                MOP_INSERT
            }
            Mop::Delete { .. } => MOP_DELETE,
            Mop::ReadPredicate { predicate, matched } => {
                self.value.put(row, Some(*predicate));
                if let Some(matched) = matched.as_ref().filter(|_| told) {
                    let record = |&(key, value): &(i64, i64)| LogRecord { key, offset: None, value: Some(value) };
                    self.put_records(row, matched.iter().map(record));
                }
                MOP_READ_PREDICATE
            }
        };
        self.key.put(row, mop.key());
        self.f.push(f);
    }

    #[inline]
    fn push_flat(&mut self, mop: FlatMop, of: &FlatMops, told: bool) {
        let row = self.f.len();
        let f = match mop {
            FlatMop::Append { value, .. } => {
                self.value.put(row, Some(value));
                MOP_APPEND
            }
            FlatMop::Write { value, .. } => {
                self.value.put(row, Some(value));
                MOP_WRITE
            }
            FlatMop::Read { value, .. } => {
                self.value.put(row, value.flatten().filter(|_| told));
                self.list.put(row, (told && value.is_none()).then_some(&[]));
                MOP_READ
            }
            FlatMop::ReadList { list, .. } => {
                self.list.put(row, list.map(|list| of.list(list)).filter(|_| told));
                MOP_READ_LIST
            }
        };
        self.key.put(row, Some(mop.key()));
        self.f.push(f);
    }

    fn put_records(&mut self, row: usize, records: impl Iterator<Item = LogRecord>) {
        let before = self.record_key.len();
        for LogRecord { key, offset, value } in records {
            let at = self.record_key.len();
            self.record_key.push(key);
            self.record_offset.put(at, offset);
            self.record_value.put(at, value);
        }
        self.record_ends.put(row, before, self.record_key.len());
    }

    /// Copies a range of micro-operations from columns.
    fn copy(&mut self, from: &CallReader, range: Range<usize>) {
        let row = self.f.len();
        self.f.extend_from_slice(&from.mop_f[range.clone()]);
        self.key.put_range(row, &from.mop_key, range.clone());
        self.value.put_range(row, &from.mop_value, range.clone());
        self.offset.put_range(row, &from.mop_offset, range.clone());
        for (at, mop) in range.enumerate() {
            self.list.put(row + at, from.mop_list(mop));
            if let Some(records) = from.records(mop) {
                self.put_records(row + at, records);
            }
        }
    }

    /// The column `mops` without its lists: one row per micro-operation.
    fn finish(self, words: bool) -> Result<ArrayRef, ArrowError> {
        let rows = self.f.len();
        let items = self.record_key.len();
        let records = if self.record_ends.is_empty() {
            new_null_array(list("records", DataType::Struct(record_fields())).data_type(), rows)
        } else {
            let arrays =
                vec![ints_array(self.record_key), self.record_offset.finish(items), self.record_value.finish(items)];
            self.record_ends.finish(rows, std::sync::Arc::new(StructArray::try_new(record_fields(), arrays, None)?))?
        };
        let f = if words { words_of(&MOP_NAMES, &self.f)? } else { bytes_array(self.f) };
        let fields = mop_fields(Field::new("f", f.data_type().clone(), false));
        let arrays = vec![
            f,
            self.key.finish(rows),
            self.value.finish(rows),
            self.list.finish(rows)?,
            self.offset.finish(rows),
            records,
        ];
        Ok(std::sync::Arc::new(StructArray::try_new(fields, arrays, None)?))
    }
}

/// Words of codes, as places in a dictionary.
fn words_of(words: &[&str], codes: &[u8]) -> Result<ArrayRef, ArrowError> {
    let mut labels = Labels::with_words(words);
    codes.iter().for_each(|code| labels.push_place(*code));
    labels.finish_dictionary()
}

/// The columns of calls, finished.
pub(crate) struct CallArrays {
    /// The function: codes, or words in a dictionary.
    pub(crate) f: ArrayRef,
    /// The word of a function that is not understood.
    pub(crate) other_f: ArrayRef,
    /// `key`, `value`, `expected`, `elements`, `to_key`, `balances`: see [`value_fields`](crate::schema::value_fields).
    pub(crate) values: Vec<ArrayRef>,
    /// The micro-operations.
    pub(crate) mops: ArrayRef,
    /// The text of a value that nobody understands.
    pub(crate) value_text: ArrayRef,
}

/// Calls, column by column, while rows are being added.
#[derive(Default)]
pub(crate) struct CallColumns {
    f: Vec<u8>,
    other_f: Texts,
    key: OptionalInts,
    value: OptionalInts,
    expected: OptionalInts,
    elements: IntLists,
    to_key: OptionalInts,
    balance_ends: ListEnds,
    account: Ints,
    balance: OptionalInts,
    value_text: Texts,
    mop_ends: ListEnds,
    mops: MopColumns,
}

impl CallColumns {
    /// Empty columns with room for what those before held.
    pub(crate) fn room_of(before: &Self) -> Self {
        Self {
            f: room_of(&before.f),
            other_f: Texts::room_of(&before.other_f),
            key: OptionalInts::room_of(&before.key),
            value: OptionalInts::room_of(&before.value),
            expected: OptionalInts::room_of(&before.expected),
            elements: IntLists::room_of(&before.elements),
            to_key: OptionalInts::room_of(&before.to_key),
            balance_ends: ListEnds::room_of(&before.balance_ends),
            account: room_of(&before.account),
            balance: OptionalInts::room_of(&before.balance),
            value_text: Texts::room_of(&before.value_text),
            mop_ends: ListEnds::room_of(&before.mop_ends),
            mops: MopColumns::room_of(&before.mops),
        }
    }

    /// Elements of lists and micro-operations: what makes rows large.
    pub(crate) fn elements(&self) -> usize {
        let mops = &self.mops;
        let own = self.elements.items() + self.account.len();
        own + mops.f.len() + mops.list.items() + mops.record_key.len()
    }

    /// A row without a call.
    pub(crate) fn push_none(&mut self) {
        self.f.push(F_NONE);
    }

    /// A call in either form; what its reads saw only if it is `told`.
    pub(crate) fn push_ref(&mut self, call: CallRef<'_>, told: bool) {
        match call {
            CallRef::Call(call) => self.push(call, told),
            CallRef::Txn(txn) => {
                let (row, before) = (self.f.len(), self.mops.f.len());
                txn.mops().iter().for_each(|mop| self.mops.push_flat(*mop, &txn.of, told));
                self.mop_ends.put(row, before, self.mops.f.len());
                self.f.push(F_TXN);
            }
        }
    }

    /// The call; what its reads saw only if it is `told`.
    pub(crate) fn push(&mut self, call: &Call, told: bool) {
        let row = self.f.len();
        self.key.put(row, call.key());
        let f = match call {
            Call::Txn(mops) => {
                let before = self.mops.f.len();
                mops.iter().for_each(|mop| self.mops.push(mop, told));
                self.mop_ends.put(row, before, self.mops.f.len());
                F_TXN
            }
            Call::Other(other) => {
                self.other_f.put(row, Some(&other.f));
                self.value_text.put(row, other.value.as_deref());
                F_OTHER
            }
            Call::ReadSet { .. } | Call::Drain { .. } | Call::Subscribe { .. } | Call::Assign { .. } => {
                self.push_elements(row, call, told)
            }
            Call::ReadBalances { balances } => {
                self.put_known(row, told, balances.is_some());
                self.put_balances(row, balances.iter().filter(|_| told).flatten().copied());
                F_READ_BALANCES
            }
            Call::Transfer { from, to, amount } => {
                self.key.put(row, Some(*from));
                self.to_key.put(row, Some(*to));
                self.value.put(row, Some(*amount));
                F_TRANSFER
            }
            Call::Cas { expected, value, .. } => {
                self.expected.put(row, Some(*expected));
                self.value.put(row, Some(*value));
                F_CAS
            }
            _ => self.push_scalar(row, call, told),
        };
        self.f.push(f);
    }

    /// A call on a single object with one value.
    fn push_scalar(&mut self, row: usize, call: &Call, told: bool) -> u8 {
        let (f, value) = match call {
            Call::Write { value, .. } => (F_WRITE, Some(*value)),
            Call::Add { value, .. } => (F_ADD, Some(*value)),
            Call::Append { value, .. } => (F_APPEND, Some(*value)),
            Call::Enqueue { value, .. } => (F_ENQUEUE, Some(*value)),
            Call::Push { value, .. } => (F_PUSH, Some(*value)),
            Call::Acquire { value, .. } => (F_ACQUIRE, *value),
            Call::Release { value, .. } => (F_RELEASE, *value),
            Call::Generate { value, .. } => (F_GENERATE, value.filter(|_| told)),
            Call::Read { value, .. } => (F_READ, self.seen(row, *value, told)),
            Call::Dequeue { value, .. } => (F_DEQUEUE, self.seen(row, *value, told)),
            Call::Pop { value, .. } => (F_POP, self.seen(row, *value, told)),
            _ => (F_NONE, None),
        };
        self.value.put(row, value);
        f
    }

    fn push_elements(&mut self, row: usize, call: &Call, told: bool) -> u8 {
        let (f, elements) = match call {
            Call::ReadSet { elements, .. } => {
                self.put_known(row, told, elements.is_some());
                (F_READ_SET, Some(elements.as_deref().filter(|_| told).unwrap_or_default()))
            }
            Call::Drain { elements, .. } => (F_DRAIN, elements.as_deref().filter(|_| told)),
            Call::Subscribe { keys } => (F_SUBSCRIBE, Some(keys.as_slice())),
            Call::Assign { keys } => (F_ASSIGN, Some(keys.as_slice())),
            _ => (F_NONE, None),
        };
        self.elements.put(row, elements);
        f
    }

    /// What a read saw; marks the row if it is told, but not what.
    fn seen(&mut self, row: usize, value: Option<Option<i64>>, told: bool) -> Option<i64> {
        self.put_known(row, told, value.is_some());
        value.flatten().filter(|_| told)
    }

    fn put_known(&mut self, row: usize, told: bool, known: bool) {
        self.value_text.put(row, (told && !known).then_some(NOT_KNOWN));
    }

    fn put_balances(&mut self, row: usize, balances: impl Iterator<Item = (i64, Option<i64>)>) {
        let before = self.account.len();
        for (account, balance) in balances {
            self.balance.put(self.account.len(), balance);
            self.account.push(account);
        }
        self.balance_ends.put(row, before, self.account.len());
    }

    /// Copies one row of other columns.
    pub(crate) fn copy(&mut self, from: &CallReader, index: usize) {
        let row = self.f.len();
        self.f.push(from.f[index]);
        self.key.put(row, from.int(&from.key, index));
        self.value.put(row, from.int(&from.value, index));
        if let Some(range) = from.mop_range(index) {
            let before = self.mops.f.len();
            self.mops.copy(from, range);
            self.mop_ends.put(row, before, self.mops.f.len());
        }
        if from.is_plain {
            return;
        }
        self.expected.put(row, from.int(&from.expected, index));
        self.to_key.put(row, from.int(&from.to_key, index));
        self.elements.put(row, from.elements(index));
        if let Some(balances) = from.balances(index) {
            self.put_balances(row, balances);
        }
        self.value_text.put(row, from.value_text(index));
        if from.f[index] == F_OTHER {
            self.other_f.put(row, Some(from.other_f(index)));
        }
    }

    /// The columns; `words` says whether functions are words or codes.
    pub(crate) fn finish(self, words: bool) -> Result<CallArrays, ArrowError> {
        let rows = self.f.len();
        let accounts = self.account.len();
        let balances = if self.balance_ends.is_empty() {
            new_null_array(list("balances", DataType::Struct(balance_fields())).data_type(), rows)
        } else {
            let arrays = vec![ints_array(self.account), self.balance.finish(accounts)];
            self.balance_ends
                .finish(rows, std::sync::Arc::new(StructArray::try_new(balance_fields(), arrays, None)?))?
        };
        let other_f = self.other_f.finish(rows)?;
        let f = if words { f_words(&self.f, &other_f)? } else { bytes_array(self.f) };
        let values = vec![
            self.key.finish(rows),
            self.value.finish(rows),
            self.expected.finish(rows),
            self.elements.finish(rows)?,
            self.to_key.finish(rows),
            balances,
        ];
        let mops = self.mop_ends.finish(rows, self.mops.finish(words)?)?;
        Ok(CallArrays { f, other_f, values, mops, value_text: self.value_text.finish(rows)? })
    }
}

fn f_words(codes: &[u8], other: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    use arrow::array::AsArray;
    let mut labels = Labels::with_words(&F_NAMES);
    let other = other.as_string::<i32>();
    for (row, code) in codes.iter().enumerate() {
        if *code == F_OTHER && other.is_valid(row) {
            labels.push_text(other.value(row));
        } else {
            labels.push_place(*code);
        }
    }
    labels.finish_dictionary()
}
