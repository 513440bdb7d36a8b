//! Scalar functions: `ms`, `duration`, `at_s`, `name`, `call_text`.

use crate::functions::lookup::Lookup;
use crate::functions::words::{self, Call};
use crate::views::Shape;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringBuilder, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use fissure_checker::Names;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// All scalar functions.
pub(crate) fn all(lookup: &Arc<Lookup>, shape: &Shape) -> Vec<ScalarUDF> {
    let of = |kind: Kind| ScalarUDF::from(Function::new(kind, lookup.clone(), shape.many));
    Kind::ALL.into_iter().map(of).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// `ms(ns)`: nanoseconds as milliseconds.
    Ms,
    /// `duration(ns)`: nanoseconds as a text with a unit.
    Duration,
    /// `at_s(ns)`, `at_s(run, ns)`: seconds since the start of the run.
    AtS,
    /// `name(n)`, `name(run, n)`: what an integer stands for.
    Name,
    /// `call_text(outcome, f, key, value, …)`: a call in words.
    CallText,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Ms, Kind::Duration, Kind::AtS, Kind::Name, Kind::CallText];

    fn name(self) -> &'static str {
        match self {
            Kind::Ms => "ms",
            Kind::Duration => "duration",
            Kind::AtS => "at_s",
            Kind::Name => "name",
            Kind::CallText => "call_text",
        }
    }

    /// Arguments besides the run.
    fn takes_run(self) -> bool {
        matches!(self, Kind::AtS | Kind::Name)
    }
}

struct Function {
    kind: Kind,
    lookup: Arc<Lookup>,
    many: bool,
    signature: Signature,
}

impl Function {
    fn new(kind: Kind, lookup: Arc<Lookup>, many: bool) -> Self {
        // What a look-up says does not change while a session lasts.
        Self { kind, lookup, many, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && Arc::ptr_eq(&self.lookup, &other.lookup)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Ms | Kind::AtS => DataType::Float64,
            Kind::Duration | Kind::Name | Kind::CallText => DataType::Utf8,
        })
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if self.kind == Kind::CallText {
            return if arg_types.len() >= 4 { Ok(arg_types.to_vec()) } else { plan_err!("{}", CALL_TEXT_USAGE) };
        }
        let name = self.kind.name();
        let expected = 1 + usize::from(self.kind.takes_run() && self.many);
        if arg_types.len() != expected {
            return match (self.kind.takes_run(), self.many) {
                (true, true) => plan_err!("over many runs {name} takes the run and a number: {name}(run, n)"),
                _ => plan_err!("{name} takes one number"),
            };
        }
        let number = &arg_types[expected - 1];
        if !number.is_numeric() && !number.is_null() {
            return plan_err!("{name} takes a number, not {number}");
        }
        let mut types = vec![DataType::Utf8; expected];
        // A difference of averages is no whole number.
        let whole = !matches!(self.kind, Kind::Ms);
        types[expected - 1] = if whole { DataType::Int64 } else { DataType::Float64 };
        Ok(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let answer = match self.kind {
            Kind::Ms => ms(&arrays)?,
            Kind::Duration => duration(&arrays),
            Kind::AtS => self.at_s(&arrays)?,
            Kind::Name => self.names(&arrays)?,
            Kind::CallText => self.call_texts(&arrays)?,
        };
        if all_scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&answer, 0)?));
        }
        Ok(ColumnarValue::Array(answer))
    }
}

fn ms(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let ns = arrays[0].as_primitive::<arrow::datatypes::Float64Type>();
    Ok(Arc::new(ns.unary::<_, arrow::datatypes::Float64Type>(|ns| ns / 1e6)))
}

fn duration(arrays: &[ArrayRef]) -> ArrayRef {
    let ns = arrays[0].as_primitive::<Int64Type>();
    let mut texts = StringBuilder::new();
    ns.iter().for_each(|ns| texts.append_option(ns.map(words::duration)));
    Arc::new(texts.finish())
}

impl Function {
    /// The run of each row, where there are many; and the numbers.
    fn run_and_number<'a>(&self, arrays: &'a [ArrayRef]) -> (Option<&'a arrow::array::StringArray>, &'a Int64Array) {
        let numbers = arrays[arrays.len() - 1].as_primitive::<Int64Type>();
        (self.many.then(|| arrays[0].as_string::<i32>()), numbers)
    }

    fn at_s(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let (runs, numbers) = self.run_and_number(arrays);
        let mut seconds = Vec::with_capacity(numbers.len());
        let mut last: Option<(&str, Option<i64>)> = None;
        for (row, number) in numbers.iter().enumerate() {
            let run = runs.map_or("", |runs| runs.value(row));
            let start = match last {
                Some((seen, start)) if seen == run => start,
                _ => self.lookup.started_ns(run)?,
            };
            last = Some((run, start));
            seconds.push(number.zip(start).map(|(ns, start)| ns.saturating_sub(start) as f64 / 1e9));
        }
        Ok(Arc::new(Float64Array::from(seconds)))
    }

    fn displayed(&self, run: &str, number: i64) -> Result<String> {
        let name = if Names::is_name(number) { self.lookup.name(run, number)? } else { None };
        Ok(name.map_or_else(|| number.to_string(), str::to_owned))
    }

    fn names(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let (runs, numbers) = self.run_and_number(arrays);
        let mut texts = StringBuilder::new();
        for (row, number) in numbers.iter().enumerate() {
            let run = runs.map_or("", |runs| runs.value(row));
            match number {
                Some(number) => texts.append_value(self.displayed(run, number)?),
                None => texts.append_null(),
            }
        }
        Ok(Arc::new(texts.finish()))
    }

    /// Integers that are names are shown as names of the only run; over many runs they stay integers.
    fn call_texts(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let columns = CallColumns::new(arrays)?;
        let name = |number: i64| self.displayed("", number).unwrap_or_else(|_| number.to_string());
        let mut texts = StringBuilder::new();
        for row in 0..arrays[0].len() {
            texts.append_value(columns.text(row, &name));
        }
        Ok(Arc::new(texts.finish()))
    }
}

const CALL_TEXT_USAGE: &str = "call_text(outcome, f, key, value, expected, mops, elements, to_key, balances, value_text); the last ones may be missing";

/// The columns of `ops` that say what was asked, in the order in which `call_text` takes them.
pub(crate) const CALL_COLUMNS: [&str; 10] =
    ["outcome", "f", "key", "value", "expected", "mops", "elements", "to_key", "balances", "value_text"];

struct CallColumns {
    outcome: ArrayRef,
    f: ArrayRef,
    ints: [Option<Int64Array>; 4],
    mops: Option<ListArray>,
    elements: Option<ListArray>,
    balances: Option<ListArray>,
    value_text: Option<ArrayRef>,
}

impl CallColumns {
    fn new(arrays: &[ArrayRef]) -> Result<Self> {
        let texts = |at: usize| -> Result<Option<ArrayRef>> {
            Ok(arrays.get(at).map(|array| cast(array, &DataType::Utf8)).transpose()?)
        };
        let ints = |at: usize| -> Result<Option<Int64Array>> {
            let array = arrays.get(at).map(|array| cast(array, &DataType::Int64)).transpose()?;
            Ok(array.map(|array| array.as_primitive::<Int64Type>().clone()))
        };
        let lists = |at: usize| -> Option<ListArray> { arrays.get(at)?.as_list_opt::<i32>().cloned() };
        let (Some(outcome), Some(f)) = (texts(0)?, texts(1)?) else {
            return exec_err!("{CALL_TEXT_USAGE}");
        };
        let ints = [ints(2)?, ints(3)?, ints(4)?, ints(7)?];
        let (mops, elements, balances, value_text) = (lists(5), lists(6), lists(8), texts(9)?);
        Ok(Self { outcome, f, ints, mops, elements, balances, value_text })
    }

    fn text(&self, row: usize, name: words::Name<'_>) -> String {
        let int = |at: usize| self.ints[at].as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row));
        let list = |lists: &Option<ListArray>| -> Option<ArrayRef> {
            lists.as_ref().filter(|lists| lists.is_valid(row)).map(|lists| lists.value(row))
        };
        let (mops, elements, balances) = (list(&self.mops), list(&self.elements), list(&self.balances));
        let structs = |array: &Option<ArrayRef>| -> Option<StructArray> { array.as_ref()?.as_struct_opt().cloned() };
        let (mops, balances) = (structs(&mops), structs(&balances));
        let value_text = self.value_text.as_ref().map(|texts| texts.as_string::<i32>());
        words::call(
            &Call {
                f: self.f.as_string::<i32>().value(row),
                is_ok: self.outcome.as_string::<i32>().value(row) == "ok",
                key: int(0),
                value: int(1),
                expected: int(2),
                mops: mops.as_ref(),
                elements: elements.as_ref().and_then(|elements| elements.as_primitive_opt::<Int64Type>()),
                to_key: int(3),
                balances: balances.as_ref(),
                value_text: value_text.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row)),
            },
            name,
        )
    }
}
