//! Begins and ends as integers, and groups as numbers.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::error::Result;
use rustc_hash::FxHashMap;

/// Whether values of this type can be begins and ends.
pub(crate) fn is_supported(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(data_type, DataType::Float32 | DataType::Float64)
        || matches!(data_type, DataType::Timestamp(..) | DataType::Duration(_))
        || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_))
}

/// The values as integers in the same order; nulls stay null.
///
/// # Errors
/// If the type is not one of those that [`is_supported`] names.
pub(crate) fn ordered(array: &ArrayRef) -> Result<Int64Array> {
    match array.data_type() {
        DataType::Int64 => Ok(array.as_primitive::<Int64Type>().clone()),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            Ok(values.unary(|value| value.cast_signed() ^ i64::MIN))
        }
        DataType::Float32 | DataType::Float64 => {
            let values = arrow::compute::cast(array, &DataType::Float64)?;
            // The bits of a float are in its order once those of the negative ones are turned round: IEEE 754's total order.
            Ok(values.as_primitive::<Float64Type>().unary(|value| {
                let bits = value.to_bits().cast_signed();
                bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
            }))
        }
        // Not all of them can be cast to 64 bits at once.
        DataType::Date32 | DataType::Time32(_) => {
            let narrow = arrow::compute::cast(array, &DataType::Int32)?;
            Ok(arrow::compute::cast(&narrow, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        }
        _ => Ok(arrow::compute::cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
    }
}

/// Stands for a row that is in no group.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// The groups of the side that is kept, by the values of the columns that must be equal.
#[derive(Debug)]
pub(crate) enum Groups {
    /// There are no such columns: everything is in group 0.
    One,
    /// One column of integers.
    Int(FxHashMap<i64, u32>),
    /// Anything else.
    Rows {
        /// Makes comparable bytes of the columns.
        converter: RowConverter,
        /// Numbers of the rows.
        numbers: FxHashMap<Box<[u8]>, u32>,
    },
}

impl Groups {
    /// No group yet; `types` are those of the columns.
    ///
    /// # Errors
    /// If a type cannot be compared.
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        Ok(match types {
            [] => Groups::One,
            [DataType::Int64] => Groups::Int(FxHashMap::default()),
            types => {
                let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
                Groups::Rows { converter: RowConverter::new(fields)?, numbers: FxHashMap::default() }
            }
        })
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Groups::One => 1,
            Groups::Int(numbers) => numbers.len(),
            Groups::Rows { numbers, .. } => numbers.len(),
        }
    }

    /// The group of each row, new ones for values that were not seen before; a row with a null is in none.
    ///
    /// # Errors
    /// If the columns are of other types.
    pub(crate) fn assign(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut assigned = match self {
            Groups::One => vec![0; rows],
            Groups::Int(numbers) => {
                let mut number = |value: i64| {
                    let next = numbers.len() as u32;
                    *numbers.entry(value).or_insert(next)
                };
                columns[0].as_primitive::<Int64Type>().values().iter().map(|value| number(*value)).collect()
            }
            Groups::Rows { converter, numbers } => {
                let converted = converter.convert_columns(columns)?;
                let mut number = |row: &[u8]| {
                    let next = numbers.len() as u32;
                    match numbers.get(row) {
                        Some(number) => *number,
                        None => {
                            numbers.insert(Box::from(row), next);
                            next
                        }
                    }
                };
                converted.iter().map(|row| number(row.as_ref())).collect()
            }
        };
        without_nulls(columns, &mut assigned);
        Ok(assigned)
    }

    /// The group of each row; rows with values that no group has, or with a null, are in none.
    ///
    /// # Errors
    /// If the columns are of other types.
    pub(crate) fn find(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut found = match self {
            Groups::One => vec![0; rows],
            Groups::Int(numbers) => {
                let find = |value: &i64| numbers.get(value).copied().unwrap_or(NO_GROUP);
                columns[0].as_primitive::<Int64Type>().values().iter().map(find).collect()
            }
            Groups::Rows { converter, numbers } => find_rows(&converter.convert_columns(columns)?, numbers),
        };
        without_nulls(columns, &mut found);
        Ok(found)
    }
}

fn find_rows(rows: &Rows, numbers: &FxHashMap<Box<[u8]>, u32>) -> Vec<u32> {
    // Neighbours are often of one group.
    let mut last: Option<(OwnedRow, u32)> = None;
    let mut found = Vec::with_capacity(rows.num_rows());
    for row in rows {
        let number = match &last {
            Some((seen, number)) if seen.row() == row => *number,
            _ => {
                let number = numbers.get(row.as_ref()).copied().unwrap_or(NO_GROUP);
                last = Some((row.owned(), number));
                number
            }
        };
        found.push(number);
    }
    found
}

fn without_nulls(columns: &[ArrayRef], groups: &mut [u32]) {
    for nulls in columns.iter().filter_map(|column| column.logical_nulls()) {
        for (group, valid) in groups.iter_mut().zip(nulls.iter()) {
            if !valid {
                *group = NO_GROUP;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray, TimestampNanosecondArray, UInt64Array};
    use std::sync::Arc;

    #[test]
    fn the_order_stays() {
        let floats = [f64::NEG_INFINITY, -2.5, -1.0, -0.0, 0.0, 1e-300, 1.0, 7.5, f64::INFINITY];
        let arrays: [ArrayRef; 4] = [
            Arc::new(Float64Array::from(floats.to_vec())),
            Arc::new(UInt64Array::from(vec![0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX])),
            Arc::new(TimestampNanosecondArray::from(vec![-5, 0, 5])),
            Arc::new(arrow::array::Date32Array::from(vec![-5, 0, 5])),
        ];
        for array in arrays {
            assert!(is_supported(array.data_type()));
            let ordered = ordered(&array).unwrap();
            assert!(
                ordered.values().is_sorted() && ordered.values().windows(2).all(|two| two[0] < two[1]),
                "{array:?}"
            );
        }
        assert!(!is_supported(&DataType::Utf8));
    }

    #[test]
    fn equal_rows_are_one_group_and_nulls_none() {
        let columns = |runs: &[&str], cookies: &[Option<i64>]| -> Vec<ArrayRef> {
            vec![Arc::new(StringArray::from(runs.to_vec())), Arc::new(Int64Array::from(cookies.to_vec()))]
        };
        let mut groups = Groups::new(&[DataType::Utf8, DataType::Int64]).unwrap();
        let kept = columns(&["a", "a", "b", "a", "b"], &[Some(1), Some(2), Some(1), Some(1), None]);
        let assigned = groups.assign(&kept, 5).unwrap();
        assert_eq!(assigned, [0, 1, 2, 0, NO_GROUP]);
        let other = columns(&["b", "a", "a", "c"], &[Some(1), Some(2), None, Some(1)]);
        assert_eq!(groups.find(&other, 4).unwrap(), [2, 1, NO_GROUP, NO_GROUP]);
        let mut ints = Groups::new(&[DataType::Int64]).unwrap();
        let column = |values: &[Option<i64>]| -> Vec<ArrayRef> { vec![Arc::new(Int64Array::from(values.to_vec()))] };
        assert_eq!(ints.assign(&column(&[Some(5), None, Some(5)]), 3).unwrap()[1], NO_GROUP);
        assert_eq!(ints.find(&column(&[None, Some(5), Some(6)]), 3).unwrap(), [NO_GROUP, 0, NO_GROUP]);
        assert_eq!(Groups::new(&[]).unwrap().find(&[], 2).unwrap(), [0, 0]);
    }
}
