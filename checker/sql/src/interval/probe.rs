//! The side that streams past, row by row, and the batches that come of it.

use crate::interval::build::{Build, evaluate};
use crate::interval::exec::Conditions;
use crate::interval::index::Cursor;
use crate::interval::keys::{NO_GROUP, ordered};
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{interleave, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::{JoinSide, JoinType};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::joins::utils::ColumnIndex;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::metrics::{BaselineMetrics, RecordOutput};
use futures::{Stream, StreamExt};
use std::sync::Arc;

/// One stream of the right input on its way through the join.
pub(crate) struct Probe {
    build: Arc<Build>,
    input: SendableRecordBatchStream,
    conditions: Arc<Conditions>,
    join_type: JoinType,
    columns: Vec<ColumnIndex>,
    schema: SchemaRef,
    batch_size: usize,
    metrics: BaselineMetrics,
    passing: Option<Passing>,
    /// Rows on the left that are told at the end, and how many of them were; none before the end.
    tail: Option<(Vec<(u32, u32)>, usize)>,
}

/// A batch of the right input, and how far it was looked at.
struct Passing {
    batch: RecordBatch,
    groups: Vec<u32>,
    begins: Int64Array,
    ends: Int64Array,
    row: usize,
    cursor: Option<Cursor>,
    /// Which rows were met, where that matters.
    met: Option<Vec<bool>>,
}

/// Rows that go together: where they are on the left and on the right.
#[derive(Default)]
struct Pairs {
    left: Vec<(u32, u32)>,
    right: Vec<u32>,
}

/// Where the rows of one side of an answer come from.
#[derive(Clone, Copy)]
enum Side<'a, T> {
    /// From these rows.
    Rows(&'a [T]),
    /// There are none: nulls.
    Nulls,
}

impl Probe {
    pub(crate) fn new(
        build: Arc<Build>,
        input: SendableRecordBatchStream,
        conditions: Arc<Conditions>,
        join_type: JoinType,
        (columns, schema): (Vec<ColumnIndex>, SchemaRef),
        batch_size: usize,
        metrics: BaselineMetrics,
    ) -> Self {
        let (passing, tail) = (None, None);
        Self { build, input, conditions, join_type, columns, schema, batch_size, metrics, passing, tail }
    }

    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> {
        futures::stream::unfold(Some(self), |state| async move {
            let mut probe = state?;
            match probe.next().await {
                Ok(Some(batch)) => {
                    let batch = batch.record_output(&probe.metrics);
                    Some((Ok(batch), Some(probe)))
                }
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.passing.is_some() {
                if let Some(batch) = self.step()? {
                    return Ok(Some(batch));
                }
                continue;
            }
            if self.tail.is_some() {
                return self.tell_tail();
            }
            match self.input.next().await {
                Some(batch) => self.passing = Some(self.prepare(batch?)?),
                None => self.tail = Some((self.left_tail(), 0)),
            }
        }
    }

    fn prepare(&self, batch: RecordBatch) -> Result<Passing> {
        let timer = self.metrics.elapsed_compute().timer();
        let conditions = &self.conditions;
        let keys = conditions.on.iter().map(|(_, passing)| evaluate(passing, &batch)).collect::<Result<Vec<_>>>()?;
        let groups = self.build.groups.find(&keys, batch.num_rows())?;
        let begins = ordered(&evaluate(&conditions.passing_begin, &batch)?)?;
        let ends = ordered(&evaluate(&conditions.passing_end, &batch)?)?;
        let matters =
            matches!(self.join_type, JoinType::Right | JoinType::Full | JoinType::RightSemi | JoinType::RightAnti);
        let met = matters.then(|| vec![false; batch.num_rows()]);
        timer.done();
        Ok(Passing { batch, groups, begins, ends, row: 0, cursor: None, met })
    }

    /// Some pairs of the batch at hand, or at its end what is told about its rows.
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        let _timer = self.metrics.elapsed_compute().timer();
        let Some(mut passing) = self.passing.take() else { return Ok(None) };
        let mut pairs = self.pairs(&mut passing);
        if !pairs.right.is_empty() {
            if let Some(filter) = &self.conditions.filter {
                pairs = self.filtered(filter, &passing.batch, pairs)?;
            }
            pairs.left.iter().for_each(|place| self.build.meet(*place));
            if let Some(met) = &mut passing.met {
                pairs.right.iter().for_each(|row| met[*row as usize] = true);
            }
            let tells = matches!(self.join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full);
            let answer = if tells && !pairs.right.is_empty() {
                Some(self.batch(Side::Rows(&pairs.left), Side::Rows(&pairs.right), &passing.batch)?)
            } else {
                None
            };
            self.passing = Some(passing);
            return Ok(answer);
        }
        let wanted = match self.join_type {
            JoinType::RightSemi => true,
            JoinType::Right | JoinType::Full | JoinType::RightAnti => false,
            _ => return Ok(None),
        };
        let met = passing.met.unwrap_or_default();
        let rows: Vec<u32> = (0_u32..).zip(&met).filter(|(_, met)| **met == wanted).map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        self.batch(Side::Nulls, Side::Rows(&rows), &passing.batch).map(Some)
    }

    /// The next pairs, as many as make a batch; none at the end of the batch at hand.
    fn pairs(&self, passing: &mut Passing) -> Pairs {
        let mut pairs = Pairs::default();
        let index = &self.build.index;
        while pairs.right.len() < self.batch_size {
            let Some(cursor) = &mut passing.cursor else {
                let row = passing.row;
                if row >= passing.batch.num_rows() {
                    break;
                }
                let (begins, ends) = (&passing.begins, &passing.ends);
                if passing.groups[row] == NO_GROUP || begins.is_null(row) || ends.is_null(row) {
                    passing.row += 1;
                } else {
                    passing.cursor = Some(index.search(passing.groups[row], begins.value(row), ends.value(row)));
                }
                continue;
            };
            match index.next(cursor) {
                Some(place) => {
                    pairs.left.push(place);
                    pairs.right.push(passing.row as u32);
                }
                None => {
                    passing.cursor = None;
                    passing.row += 1;
                }
            }
        }
        pairs
    }

    fn filtered(&self, filter: &JoinFilter, batch: &RecordBatch, pairs: Pairs) -> Result<Pairs> {
        let (left, right) = (Side::Rows(pairs.left.as_slice()), Side::Rows(pairs.right.as_slice()));
        let rows = self.gather(filter.column_indices(), filter.schema(), left, right, batch)?;
        let holds = evaluate(filter.expression(), &rows)?;
        let holds = holds.as_boolean();
        let mut kept = Pairs::default();
        for (at, (place, row)) in pairs.left.into_iter().zip(pairs.right).enumerate() {
            if holds.is_valid(at) && holds.value(at) {
                kept.left.push(place);
                kept.right.push(row);
            }
        }
        Ok(kept)
    }

    /// What is told of the left rows at the end, by the last stream only.
    fn left_tail(&self) -> Vec<(u32, u32)> {
        let last = self.build.ends_last();
        match self.join_type {
            JoinType::Left | JoinType::Full | JoinType::LeftAnti if last => self.build.rows(false),
            JoinType::LeftSemi if last => self.build.rows(true),
            _ => Vec::new(),
        }
    }

    fn tell_tail(&mut self) -> Result<Option<RecordBatch>> {
        let Some((rows, told)) = self.tail.take() else { return Ok(None) };
        if told == rows.len() {
            return Ok(None);
        }
        let next = rows.len().min(told + self.batch_size);
        let none = RecordBatch::new_empty(self.input.schema());
        let batch = self.batch(Side::Rows(&rows[told..next]), Side::Nulls, &none)?;
        self.tail = Some((rows, next));
        Ok(Some(batch))
    }

    fn batch(&self, left: Side<'_, (u32, u32)>, right: Side<'_, u32>, batch: &RecordBatch) -> Result<RecordBatch> {
        self.gather(&self.columns, &self.schema, left, right, batch)
    }

    fn gather(
        &self,
        columns: &[ColumnIndex],
        schema: &SchemaRef,
        left: Side<'_, (u32, u32)>,
        right: Side<'_, u32>,
        batch: &RecordBatch,
    ) -> Result<RecordBatch> {
        let rows = match (left, right) {
            (Side::Rows(rows), _) => rows.len(),
            (_, Side::Rows(rows)) => rows.len(),
            _ => 0,
        };
        let places = Places::new(left, self.build.batches.len());
        let right_rows = if let Side::Rows(rows) = right { Some(UInt32Array::from(rows.to_vec())) } else { None };
        let mut arrays = Vec::with_capacity(columns.len());
        for (column, field) in columns.iter().zip(schema.fields()) {
            let array = match (column.side, &right_rows) {
                (JoinSide::Left, _) => places.gather(&self.build.batches, column.index)?,
                (_, Some(rows)) => Some(take(batch.column(column.index), rows, None)?),
                (_, None) => None,
            };
            arrays.push(array.unwrap_or_else(|| new_null_array(field.data_type(), rows)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
    }
}

/// Places on the left in the form that gathering needs.
enum Places {
    One(UInt32Array),
    Many(Vec<(usize, usize)>),
    Nulls,
}

impl Places {
    fn new(left: Side<'_, (u32, u32)>, batches: usize) -> Self {
        match left {
            Side::Nulls => Places::Nulls,
            Side::Rows(places) if batches == 1 => {
                Places::One(UInt32Array::from_iter_values(places.iter().map(|(_, row)| *row)))
            }
            Side::Rows(places) => {
                Places::Many(places.iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect())
            }
        }
    }

    fn gather(&self, batches: &[RecordBatch], column: usize) -> Result<Option<ArrayRef>> {
        Ok(match self {
            Places::Nulls => None,
            Places::One(rows) => Some(take(batches[0].column(column), rows, None)?),
            Places::Many(places) => {
                let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
                Some(interleave(&arrays, places)?)
            }
        })
    }
}
