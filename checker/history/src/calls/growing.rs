//! Columns that grow by rows, most of which have nothing: a row costs only where a column has something in it.

use arrow::array::{
    Array, ArrayRef, BooleanBufferBuilder, DictionaryArray, Int64Array, ListArray, StringArray, UInt8Array,
};
use arrow::array::{StringBuilder, UInt32Array, new_null_array};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, UInt32Type};
use arrow::error::ArrowError;
use std::ops::Range;
use std::sync::Arc;

/// Integers that are always there.
pub(crate) type Ints = Vec<i64>;

/// An empty column with room for what the one before it held, and some more: batches are much alike, and growing by
/// doubling copies each of them once.
pub(crate) fn room_of<T>(before: &[T]) -> Vec<T> {
    Vec::with_capacity(before.len() + before.len() / 16)
}

pub(crate) fn ints_array(values: Ints) -> ArrayRef {
    Arc::new(Int64Array::new(ScalarBuffer::from(values), None))
}

pub(crate) fn bytes_array(values: Vec<u8>) -> ArrayRef {
    Arc::new(UInt8Array::new(ScalarBuffer::from(values), None))
}

/// An end offset of a list. A batch is finished long before it holds 2^31 elements.
pub(crate) fn end(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Which rows of a column have something.
struct Valid {
    bits: BooleanBufferBuilder,
    gaps: bool,
}

impl Default for Valid {
    fn default() -> Self {
        Self { bits: BooleanBufferBuilder::new(0), gaps: false }
    }
}

impl Valid {
    fn room_of(before: &Self) -> Self {
        Self { bits: BooleanBufferBuilder::new(before.len() + before.len() / 16), gaps: false }
    }

    fn len(&self) -> usize {
        self.bits.len()
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.bits.len());
        if missing > 0 {
            self.gaps = true;
            self.bits.append_n(missing, false);
        }
    }

    fn push(&mut self) {
        self.bits.append(true);
    }

    fn finish(mut self, rows: usize) -> Option<NullBuffer> {
        self.pad(rows);
        self.gaps.then(|| NullBuffer::new(self.bits.finish()))
    }
}

/// Integers that may be null.
#[derive(Default)]
pub(crate) struct OptionalInts {
    values: Vec<i64>,
    valid: Valid,
}

impl OptionalInts {
    pub(crate) fn room_of(before: &Self) -> Self {
        Self { values: room_of(&before.values), valid: Valid::room_of(&before.valid) }
    }

    /// The value of `row`, which must not be before a row that was put already; rows that are left out are null.
    #[inline]
    pub(crate) fn put(&mut self, row: usize, value: Option<i64>) {
        if let Some(value) = value {
            if self.values.len() < row {
                self.values.resize(row, 0);
                self.valid.pad(row);
            }
            self.values.push(value);
            self.valid.push();
        }
    }

    /// A range of another column, from `row` on.
    pub(crate) fn put_range(&mut self, row: usize, from: &Int64Array, range: Range<usize>) {
        match from.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                if range.is_empty() {
                    return;
                }
                self.values.resize(row, 0);
                self.valid.pad(row);
                self.values.extend_from_slice(&from.values()[range.clone()]);
                self.valid.bits.append_n(range.len(), true);
            }
            Some(nulls) if nulls.null_count() == from.len() => {}
            Some(nulls) => {
                for (at, index) in range.enumerate() {
                    self.put(row + at, nulls.is_valid(index).then(|| from.value(index)));
                }
            }
        }
    }

    pub(crate) fn finish(mut self, rows: usize) -> ArrayRef {
        if self.values.is_empty() {
            return new_null_array(&DataType::Int64, rows);
        }
        self.values.resize(rows, 0);
        Arc::new(Int64Array::new(ScalarBuffer::from(self.values), self.valid.finish(rows)))
    }
}

/// Where the lists of a column end, and which are null.
#[derive(Default)]
pub(crate) struct ListEnds {
    ends: Vec<i32>,
    valid: Valid,
}

impl ListEnds {
    pub(crate) fn room_of(before: &Self) -> Self {
        Self { ends: room_of(&before.ends), valid: Valid::room_of(&before.valid) }
    }

    /// The list of `row` ends where there are `items` in all.
    #[inline]
    pub(crate) fn put(&mut self, row: usize, items_before: usize, items: usize) {
        if self.ends.len() < row {
            self.ends.resize(row, end(items_before));
            self.valid.pad(row);
        }
        self.ends.push(end(items));
        self.valid.push();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The column, with the items of its lists as `items`.
    pub(crate) fn finish(mut self, rows: usize, items: ArrayRef) -> Result<ArrayRef, ArrowError> {
        self.ends.resize(rows, end(items.len()));
        self.ends.insert(0, 0);
        let nulls = self.valid.finish(rows);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let item = Field::new("item", items.data_type().clone(), false);
        Ok(Arc::new(ListArray::try_new(Arc::new(item), offsets, items, nulls)?))
    }
}

/// Lists of integers that may be null.
#[derive(Default)]
pub(crate) struct IntLists {
    ends: ListEnds,
    items: Vec<i64>,
}

impl IntLists {
    pub(crate) fn room_of(before: &Self) -> Self {
        Self { ends: ListEnds::room_of(&before.ends), items: room_of(&before.items) }
    }

    #[inline]
    pub(crate) fn put(&mut self, row: usize, items: Option<&[i64]>) {
        if let Some(items) = items {
            let before = self.items.len();
            self.items.extend_from_slice(items);
            self.ends.put(row, before, self.items.len());
        }
    }

    pub(crate) fn items(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn finish(self, rows: usize) -> Result<ArrayRef, ArrowError> {
        if self.ends.is_empty() {
            let item = Arc::new(Field::new("item", DataType::Int64, false));
            return Ok(new_null_array(&DataType::List(item), rows));
        }
        self.ends.finish(rows, ints_array(self.items))
    }
}

/// Texts that may be null and seldom repeat.
#[derive(Default)]
pub(crate) struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    valid: Valid,
}

impl Texts {
    pub(crate) fn room_of(before: &Self) -> Self {
        Self { ends: room_of(&before.ends), bytes: room_of(&before.bytes), valid: Valid::room_of(&before.valid) }
    }

    pub(crate) fn put(&mut self, row: usize, text: Option<&str>) {
        if let Some(text) = text {
            if self.ends.len() < row {
                self.ends.resize(row, end(self.bytes.len()));
                self.valid.pad(row);
            }
            self.bytes.extend_from_slice(text.as_bytes());
            self.ends.push(end(self.bytes.len()));
            self.valid.push();
        }
    }

    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        if self.valid.len() == 0 {
            return Ok(new_null_array(&DataType::Utf8, rows));
        }
        self.ends.resize(rows, end(self.bytes.len()));
        self.ends.insert(0, 0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(self.bytes), self.valid.finish(rows))?))
    }
}

/// Words of which a column has few different ones, as places in a list of them; [`Labels::NULL`] is null.
#[derive(Default)]
pub(crate) struct Labels {
    words: Vec<Arc<str>>,
    places: Vec<u32>,
}

impl Labels {
    const NULL: u32 = u32::MAX;

    /// An empty column with room for as many rows; it knows no words.
    pub(crate) fn room_of(before: &Self) -> Self {
        Self { words: Vec::new(), places: room_of(&before.places) }
    }

    /// A column that knows these words already, at their places.
    pub(crate) fn with_words(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| Arc::from(*word)).collect(), places: Vec::new() }
    }

    #[inline]
    pub(crate) fn push_place(&mut self, place: u8) {
        self.places.push(u32::from(place));
    }

    #[inline]
    pub(crate) fn push(&mut self, word: Option<&Arc<str>>) {
        let Some(word) = word else { return self.places.push(Self::NULL) };
        // The same word mostly comes from the same place in memory.
        let known = self.words.iter().position(|known| Arc::ptr_eq(known, word));
        match known.or_else(|| self.words.iter().position(|known| known == word)) {
            Some(place) => self.places.push(u32::try_from(place).unwrap_or(Self::NULL)),
            None => self.push_new(word.clone()),
        }
    }

    pub(crate) fn push_text(&mut self, word: &str) {
        match self.words.iter().position(|known| **known == *word) {
            Some(place) => self.places.push(u32::try_from(place).unwrap_or(Self::NULL)),
            None => self.push_new(Arc::from(word)),
        }
    }

    fn push_new(&mut self, word: Arc<str>) {
        let place = u32::try_from(self.words.len()).unwrap_or(Self::NULL);
        self.places.push(place);
        self.words.push(word);
    }

    /// The column as plain strings.
    pub(crate) fn finish_texts(self) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.places.len(), self.places.len() * 4);
        for place in self.places {
            builder.append_option(self.words.get(place as usize));
        }
        Arc::new(builder.finish())
    }

    /// The column as places in a dictionary.
    pub(crate) fn finish_dictionary(self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.places.contains(&Self::NULL).then(|| {
            let mut bits = BooleanBufferBuilder::new(self.places.len());
            self.places.iter().for_each(|place| bits.append(*place != Self::NULL));
            NullBuffer::new(bits.finish())
        });
        let places = UInt32Array::new(ScalarBuffer::from(self.places), nulls);
        // A dictionary of no words cannot be pointed into, not even by nulls.
        let words = if self.words.is_empty() { vec![Arc::from("")] } else { self.words };
        let words = StringArray::from_iter_values(words.iter().map(|word| &**word));
        Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(places, Arc::new(words))?))
    }
}

/// Type of the columns of [`Labels::finish_dictionary`].
pub(crate) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}
