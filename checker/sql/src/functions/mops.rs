//! Scalar functions over the micro-operations of transactions, so that a question need not unnest all of them:
//! `written(mops)`, `written(mops, key)` and `longest_list(mops, key)`.

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListArray, ListBuilder, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// The functions.
pub(crate) fn all() -> [ScalarUDF; 2] {
    [ScalarUDF::from(OfMops::new(Kind::Written)), ScalarUDF::from(OfMops::new(Kind::LongestList))]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// What a transaction wrote: f, key and value of each append, write and insert; with a key only of that key.
    Written,
    /// The longest list that a transaction read of a key; null if it read none.
    LongestList,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfMops {
    kind: Kind,
    signature: Signature,
}

impl OfMops {
    fn new(kind: Kind) -> Self {
        Self { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn usage(&self) -> &'static str {
        match self.kind {
            Kind::Written => "written takes the column mops, and perhaps a key: written(mops, 9)",
            Kind::LongestList => "longest_list takes the column mops and a key: longest_list(mops, 9)",
        }
    }
}

fn written_fields() -> Fields {
    let of = |name: &str, data_type| Field::new(name, data_type, name != "f");
    Fields::from(vec![of("f", DataType::Utf8), of("key", DataType::Int64), of("value", DataType::Int64)])
}

impl ScalarUDFImpl for OfMops {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Written => "written",
            Kind::LongestList => "longest_list",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let fits = match (self.kind, arg_types) {
            (Kind::Written, [mops]) => is_mops(mops),
            (_, [mops, key]) => is_mops(mops) && (key.is_integer() || key.is_null()),
            _ => false,
        };
        if !fits {
            return plan_err!("{}", self.usage());
        }
        let mut types = arg_types.to_vec();
        types[1..].fill(DataType::Int64);
        Ok(types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        let item = match self.kind {
            Kind::Written => Field::new("item", DataType::Struct(written_fields()), false),
            Kind::LongestList => Field::new("item", DataType::Int64, false),
        };
        Ok(DataType::List(Arc::new(item)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args[..1])?;
        let key = match args.args.get(1) {
            None => None,
            Some(ColumnarValue::Scalar(ScalarValue::Int64(key))) => *key,
            Some(_) => return exec_err!("{}; the key must be a number, not a column", self.usage()),
        };
        let Some(mops) = Mops::new(&arrays[0]) else { return exec_err!("{}", self.usage()) };
        Ok(ColumnarValue::Array(match (self.kind, args.args.len()) {
            (Kind::Written, 1) => mops.written(|_| true),
            (Kind::Written, _) => mops.written(|of| Some(of) == key),
            (Kind::LongestList, _) => mops.longest_list(key),
        }))
    }
}

/// Whether it is the type of the column `mops`.
pub(super) fn is_mops(data_type: &DataType) -> bool {
    let DataType::List(item) = data_type else { return false };
    let DataType::Struct(fields) = item.data_type() else { return false };
    ["f", "key", "value", "list"].iter().all(|name| fields.find(name).is_some())
}

/// Places of the items of a row's list.
pub(super) fn items(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    if lists.is_null(row) {
        return 0..0;
    }
    let offsets = lists.value_offsets();
    // Offsets of a list are not negative and do not decrease.
    offsets[row].unsigned_abs() as usize..offsets[row + 1].unsigned_abs() as usize
}

/// The column `mops`, taken apart.
struct Mops<'a> {
    lists: &'a ListArray,
    f: ArrayRef,
    key: &'a Int64Array,
    value: &'a Int64Array,
    seen: &'a ListArray,
}

impl<'a> Mops<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        let lists = array.as_list_opt::<i32>()?;
        let mops: &StructArray = lists.values().as_struct_opt()?;
        let ints = |name: &str| mops.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let f = arrow::compute::cast(mops.column_by_name("f")?, &DataType::Utf8).ok()?;
        let seen = mops.column_by_name("list")?.as_list_opt::<i32>()?;
        Some(Self { lists, f, key: ints("key")?, value: ints("value")?, seen })
    }

    /// Places of the micro-operations of a row.
    fn of(&self, row: usize) -> std::ops::Range<usize> {
        items(self.lists, row)
    }

    fn written(&self, wanted: impl Fn(i64) -> bool) -> ArrayRef {
        let words = self.f.as_string::<i32>();
        let (mut f, mut keys, mut values) = (StringBuilder::new(), Int64Builder::new(), Int64Builder::new());
        let mut lengths = Vec::with_capacity(self.lists.len());
        for row in 0..self.lists.len() {
            let mut count = 0;
            for mop in self.of(row) {
                let writes = matches!(words.value(mop), "append" | "w" | "insert");
                if writes && self.key.is_valid(mop) && wanted(self.key.value(mop)) {
                    f.append_value(words.value(mop));
                    keys.append_value(self.key.value(mop));
                    values.append_option(self.value.is_valid(mop).then(|| self.value.value(mop)));
                    count += 1;
                }
            }
            lengths.push(count);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(f.finish()), Arc::new(keys.finish()), Arc::new(values.finish())];
        let item = Arc::new(Field::new("item", DataType::Struct(written_fields()), false));
        let structs = Arc::new(StructArray::new(written_fields(), columns, None));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), structs, self.lists.nulls().cloned()))
    }

    fn longest_list(&self, key: Option<i64>) -> ArrayRef {
        let item = Field::new("item", DataType::Int64, false);
        let mut lists = ListBuilder::new(Int64Builder::new()).with_field(item);
        let elements = self.seen.values().as_primitive::<Int64Type>();
        let (words, offsets) = (self.f.as_string::<i32>(), self.seen.value_offsets());
        for row in 0..self.lists.len() {
            let reads = self.of(row).filter(|mop| {
                words.value(*mop) == "r" && self.seen.is_valid(*mop) && key.is_some() && {
                    self.key.is_valid(*mop) && Some(self.key.value(*mop)) == key
                }
            });
            match reads.max_by_key(|mop| offsets[mop + 1] - offsets[*mop]) {
                Some(mop) => {
                    let range = offsets[mop].unsigned_abs() as usize..offsets[mop + 1].unsigned_abs() as usize;
                    lists.values().append_slice(&elements.values()[range]);
                    lists.append(true);
                }
                None => lists.append(false),
            }
        }
        Arc::new(lists.finish())
    }
}
