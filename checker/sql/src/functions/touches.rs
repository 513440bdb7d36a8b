//! `touches(mops, key, …)`: whether a transaction is about one of the keys. As a condition on `ops` it also says which parts
//! of the files can be left alone: see [`row_groups`](crate::row_groups).

use super::mops::{is_mops, items};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::ops::Range;
use std::sync::Arc;

/// Its name.
const NAME: &str = "touches";

const USAGE: &str = "touches takes the column mops and keys, which are numbers and not columns: touches(mops, 9)";

/// The function.
pub(crate) fn function() -> ScalarUDF {
    ScalarUDF::from(Touches { signature: Signature::user_defined(Volatility::Immutable) })
}

/// The keys that a condition on `ops` asks for, if it is a call of the function on a column.
pub(crate) fn keys_asked(condition: &Expr) -> Option<Vec<i64>> {
    let Expr::ScalarFunction(call) = condition else { return None };
    let [Expr::Column(_), keys @ ..] = call.args.as_slice() else { return None };
    if call.func.name() != NAME {
        return None;
    }
    let key = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::Int64(key), _) => Some(*key),
        _ => None,
    };
    let keys: Option<Vec<Option<i64>>> = keys.iter().map(key).collect();
    Some(keys?.into_iter().flatten().collect())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Touches {
    signature: Signature,
}

impl ScalarUDFImpl for Touches {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [mops, keys @ ..] = arg_types else { return plan_err!("{USAGE}") };
        let fits = is_mops(mops) && keys.iter().all(|key| key.is_integer() || key.is_null());
        if !fits || keys.is_empty() {
            return plan_err!("{USAGE}");
        }
        let mut types = arg_types.to_vec();
        types[1..].fill(DataType::Int64);
        Ok(types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args[..1])?;
        let mut keys = Vec::with_capacity(args.args.len() - 1);
        for key in &args.args[1..] {
            match key {
                ColumnarValue::Scalar(ScalarValue::Int64(key)) => keys.extend(key),
                _ => return exec_err!("{USAGE}"),
            }
        }
        match touched(&arrays[0], &keys) {
            Some(touched) => Ok(ColumnarValue::Array(Arc::new(touched))),
            None => exec_err!("{USAGE}"),
        }
    }
}

/// For each row whether one of its micro-operations, or a record that one of them saw, has one of the keys.
fn touched(mops: &ArrayRef, keys: &[i64]) -> Option<BooleanArray> {
    let lists = mops.as_list_opt::<i32>()?;
    let of = lists.values().as_struct_opt()?;
    let of_mops = of.column_by_name("key")?.as_primitive_opt::<Int64Type>()?;
    let records = of.column_by_name("records").and_then(|records| records.as_list_opt::<i32>());
    let of_records = match records {
        Some(records) => {
            Some(records.values().as_struct_opt()?.column_by_name("key")?.as_primitive_opt::<Int64Type>()?)
        }
        None => None,
    };
    let has = |column: &Int64Array, range: Range<usize>| {
        range.into_iter().any(|at| column.is_valid(at) && keys.contains(&column.value(at)))
    };
    let row_has = |row: usize| {
        let mops = items(lists, row);
        has(of_mops, mops.clone()) || {
            records
                .zip(of_records)
                .is_some_and(|(records, keys)| mops.into_iter().any(|mop| has(keys, items(records, mop))))
        }
    };
    Some((0..lists.len()).map(|row| Some(row_has(row))).collect())
}
