//! The aggregate `quantiles(x, share, …)`.

use crate::functions::sketch::Sketch;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Float64Array, Float64Builder, ListBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use std::sync::Arc;

/// `quantiles(x, share, …)`: a list with the quantile at each share, as [`Sketch`] tells it; null without numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Quantiles {
    signature: Signature,
}

impl Quantiles {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn list_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Float64, true)))
}

/// The shares, which must be written as numbers.
fn shares(args: &AccumulatorArgs<'_>) -> Result<Arc<[f64]>> {
    let mut shares = Vec::new();
    for expr in &args.exprs[1..] {
        let empty = arrow::array::RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        let share = match expr.evaluate(&empty) {
            Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some(share)))) if (0.0..=1.0).contains(&share) => share,
            _ => return plan_err!("the shares of quantiles are numbers from 0 to 1, such as 0.99"),
        };
        shares.push(share);
    }
    Ok(shares.into())
}

impl AggregateUDFImpl for Quantiles {
    fn name(&self) -> &str {
        "quantiles"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if arg_types.len() < 2 {
            return plan_err!("quantiles takes a number and at least one share, such as quantiles(ms, 0.5, 0.99)");
        }
        if let Some(other) = arg_types.iter().find(|t| !t.is_numeric() && !t.is_null()) {
            return plan_err!("quantiles takes numbers, not {other}");
        }
        Ok(vec![DataType::Float64; arg_types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_type())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sketch"), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { shares: shares(&args)?, sketch: Sketch::default() }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many { shares: shares(&args)?, sketches: Vec::new(), bytes: 0 }))
    }
}

fn decoded(bytes: &[u8]) -> Result<Sketch> {
    match Sketch::from_bytes(bytes) {
        Some(sketch) => Ok(sketch),
        None => exec_err!("the state of quantiles is damaged"),
    }
}

/// Without groups.
#[derive(Debug)]
struct One {
    shares: Arc<[f64]>,
    sketch: Sketch,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|value| self.sketch.add(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut list = ListBuilder::new(Float64Builder::new());
        append(&mut list, &mut self.sketch, &self.shares);
        ScalarValue::try_from_array(&list.finish(), 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketch.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.sketch.to_bytes()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            self.sketch.merge(decoded(bytes)?);
        }
        Ok(())
    }
}

fn append(list: &mut ListBuilder<Float64Builder>, sketch: &mut Sketch, shares: &[f64]) {
    match sketch.quantiles(shares) {
        Some(quantiles) => {
            list.values().append_slice(&quantiles);
            list.append(true);
        }
        None => list.append(false),
    }
}

/// By group.
#[derive(Debug)]
struct Many {
    shares: Arc<[f64]>,
    sketches: Vec<Sketch>,
    /// Bytes that the sketches take besides themselves.
    bytes: usize,
}

impl Many {
    /// Changes the sketch of a group and keeps account of its size.
    fn change(&mut self, group: usize, change: impl FnOnce(&mut Sketch)) {
        let sketch = &mut self.sketches[group];
        let before = sketch.size();
        change(sketch);
        self.bytes = (self.bytes + sketch.size()).saturating_sub(before);
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Sketch> {
        let taken = emit_to.take_needed(&mut self.sketches);
        self.bytes = self.sketches.iter().map(Sketch::size).sum();
        taken
    }
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sketches.resize_with(total_num_groups.max(self.sketches.len()), Sketch::default);
        let values = values[0].as_primitive::<Float64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            let counts = opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counts && values.is_valid(row) {
                self.change(*group, |sketch| sketch.add(values.value(row)));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut list = ListBuilder::new(Float64Builder::new());
        for mut sketch in self.take(emit_to) {
            append(&mut list, &mut sketch, &self.shares);
        }
        Ok(Arc::new(list.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut states = BinaryBuilder::new();
        for sketch in self.take(emit_to) {
            states.append_value(sketch.to_bytes());
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.sketches.resize_with(total_num_groups.max(self.sketches.len()), Sketch::default);
        let states: &BinaryArray = values[0].as_binary::<i32>();
        for (row, group) in group_indices.iter().enumerate() {
            if states.is_valid(row) {
                let other = decoded(states.value(row))?;
                self.change(*group, |sketch| sketch.merge(other));
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values: &Float64Array = values[0].as_primitive::<Float64Type>();
        let mut states = BinaryBuilder::with_capacity(values.len(), values.len() * 9);
        for row in 0..values.len() {
            let counts = opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if counts && values.is_valid(row) {
                let mut sketch = Sketch::default();
                sketch.add(values.value(row));
                states.append_value(sketch.to_bytes());
            } else {
                states.append_null();
            }
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketches.capacity() * size_of::<Sketch>() + self.bytes
    }
}
