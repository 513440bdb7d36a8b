//! Finds the joins on intervals in a plan.

use crate::interval::build::comparable;
use crate::interval::exec::{Conditions, IntervalJoinExec};
use crate::interval::index::Strictness;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use std::sync::Arc;

/// Puts an [`IntervalJoinExec`] in the place of a hash join or a nested loop whose condition is an overlap of intervals.
///
/// To be run after the sides of joins were chosen and before data is distributed to them.
#[derive(Debug, Default)]
pub(crate) struct IntervalJoinRule;

impl PhysicalOptimizerRule for IntervalJoinRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match replacement(node.as_ref())? {
                Some(join) => Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "interval_join"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn replacement(node: &dyn ExecutionPlan) -> Result<Option<IntervalJoinExec>> {
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let Some(filter) = join.filter() else { return Ok(None) };
        let Some(conditions) = conditions(filter, Vec::new())? else { return Ok(None) };
        let projection = join.projection().as_ref().map(|chosen| chosen.to_vec());
        return made(join.left(), join.right(), conditions, *join.join_type(), projection);
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        // An anti join that knows of nulls answers a question that is not ours.
        if join.null_equality() != NullEquality::NullEqualsNothing || join.null_aware {
            return Ok(None);
        }
        let Some(filter) = join.filter() else { return Ok(None) };
        let Some(conditions) = conditions(filter, join.on().to_vec())? else { return Ok(None) };
        let projection = join.projection.as_ref().map(|chosen| chosen.to_vec());
        return made(join.left(), join.right(), conditions, *join.join_type(), projection);
    }
    Ok(None)
}

fn made(
    left: &Arc<dyn ExecutionPlan>,
    right: &Arc<dyn ExecutionPlan>,
    conditions: Conditions,
    join_type: datafusion::common::JoinType,
    projection: Option<Vec<usize>>,
) -> Result<Option<IntervalJoinExec>> {
    let (of_left, of_right) = (left.schema(), right.schema());
    let types_fit = |kept: &Arc<dyn PhysicalExpr>, passing: &Arc<dyn PhysicalExpr>| -> Result<bool> {
        Ok(comparable(&kept.data_type(&of_left)?, &passing.data_type(&of_right)?))
    };
    if !IntervalJoinExec::supports(join_type)
        || !types_fit(&conditions.kept_begin, &conditions.passing_end)?
        || !types_fit(&conditions.kept_end, &conditions.passing_begin)?
    {
        return Ok(None);
    }
    IntervalJoinExec::try_new(left.clone(), right.clone(), Arc::new(conditions), join_type, projection).map(Some)
}

/// One comparison between the sides: the lesser is of the left input (`kept`), or of the right one.
struct Comparison {
    lesser: Arc<dyn PhysicalExpr>,
    greater: Arc<dyn PhysicalExpr>,
    lesser_is_kept: bool,
    strict: bool,
}

/// The condition taken apart; none if it is not an overlap of intervals.
fn conditions(
    filter: &JoinFilter,
    on: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
) -> Result<Option<Conditions>> {
    let (mut begin, mut end, mut rest) = (None, None, Vec::new());
    for part in split_conjunction(filter.expression()) {
        match comparison(part, filter)? {
            Some(found) if found.lesser_is_kept && begin.is_none() => begin = Some(found),
            Some(found) if !found.lesser_is_kept && end.is_none() => end = Some(found),
            _ => rest.push(part.clone()),
        }
    }
    let (Some(begin), Some(end)) = (begin, end) else { return Ok(None) };
    let filter = (!rest.is_empty())
        .then(|| JoinFilter::new(conjunction(rest), filter.column_indices().to_vec(), filter.schema().clone()));
    Ok(Some(Conditions {
        on,
        kept_begin: begin.lesser,
        kept_end: end.greater,
        passing_begin: end.lesser,
        passing_end: begin.greater,
        strict: Strictness { begin: begin.strict, end: end.strict },
        filter,
    }))
}

fn comparison(part: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Result<Option<Comparison>> {
    let Some(binary) = part.downcast_ref::<BinaryExpr>() else { return Ok(None) };
    let (lesser, greater, strict) = match binary.op() {
        Operator::Lt => (binary.left(), binary.right(), true),
        Operator::LtEq => (binary.left(), binary.right(), false),
        Operator::Gt => (binary.right(), binary.left(), true),
        Operator::GtEq => (binary.right(), binary.left(), false),
        _ => return Ok(None),
    };
    let sides = (side(lesser, filter), side(greater, filter));
    let lesser_is_kept = match sides {
        (Some(JoinSide::Left), Some(JoinSide::Right)) => true,
        (Some(JoinSide::Right), Some(JoinSide::Left)) => false,
        _ => return Ok(None),
    };
    let (lesser, greater) = (rebased(lesser, filter)?, rebased(greater, filter)?);
    Ok(Some(Comparison { lesser, greater, lesser_is_kept, strict }))
}

/// The one input that the expression is about.
fn side(expression: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Option<JoinSide> {
    let mut sides = collect_columns(expression).into_iter().map(|column| filter.column_indices()[column.index()].side);
    let first = sides.next()?;
    (first != JoinSide::None && sides.all(|side| side == first)).then_some(first)
}

/// The expression over the columns of its input, in place of those that the filter is evaluated on.
fn rebased(expression: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Result<Arc<dyn PhysicalExpr>> {
    expression
        .clone()
        .transform_up(|node| {
            Ok(match node.downcast_ref::<Column>() {
                Some(column) => {
                    let index = filter.column_indices()[column.index()].index;
                    Transformed::yes(Arc::new(Column::new(column.name(), index)) as Arc<dyn PhysicalExpr>)
                }
                None => Transformed::no(node),
            })
        })
        .data()
}
