//! The join as a step of a plan.

use crate::interval::build::Build;
use crate::interval::index::Strictness;
use crate::interval::probe::Probe;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinType, Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::utils::{ColumnIndex, build_join_schema};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{EmbeddedProjection, ProjectionExec, try_embed_projection};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions, execution_plan::Boundedness,
    execution_plan::EmissionType,
};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Which rows meet: those that are equal in some columns and whose intervals overlap. What is `kept` is of the left
/// input, what is `passing` of the right one.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    /// Columns that must be equal, left and right.
    pub(crate) on: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
    /// Begin and end of an interval on the left.
    pub(crate) kept_begin: Arc<dyn PhysicalExpr>,
    pub(crate) kept_end: Arc<dyn PhysicalExpr>,
    /// Begin and end of an interval on the right.
    pub(crate) passing_begin: Arc<dyn PhysicalExpr>,
    pub(crate) passing_end: Arc<dyn PhysicalExpr>,
    /// Which of the comparisons are strict.
    pub(crate) strict: Strictness,
    /// What else must be true.
    pub(crate) filter: Option<JoinFilter>,
}

/// Joins rows whose intervals overlap; see the [module](crate::interval).
#[derive(Debug)]
pub(crate) struct IntervalJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    conditions: Arc<Conditions>,
    join_type: JoinType,
    schema_of_both: SchemaRef,
    columns: Vec<ColumnIndex>,
    projection: Option<Vec<usize>>,
    build: Arc<OnceCell<Arc<Build>>>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl IntervalJoinExec {
    /// The join; with a projection only these of its columns.
    ///
    /// # Errors
    /// If the projection names columns that are not there.
    pub(crate) fn try_new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        conditions: Arc<Conditions>,
        join_type: JoinType,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        let (schema, columns) = build_join_schema(&left.schema(), &right.schema(), &join_type);
        let schema_of_both = Arc::new(schema);
        let schema = match &projection {
            Some(chosen) => Arc::new(schema_of_both.project(chosen)?),
            None => schema_of_both.clone(),
        };
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(right.output_partitioning().partition_count()),
            if keeps_unmet(join_type) { EmissionType::Both } else { EmissionType::Incremental },
            Boundedness::Bounded,
        ));
        let (build, metrics) = (Arc::new(OnceCell::new()), ExecutionPlanMetricsSet::new());
        Ok(Self { left, right, conditions, join_type, schema_of_both, columns, projection, build, metrics, properties })
    }

    /// Which joins can be done this way.
    pub(crate) fn supports(join_type: JoinType) -> bool {
        !matches!(join_type, JoinType::LeftMark | JoinType::RightMark)
    }

    fn output_columns(&self) -> Vec<ColumnIndex> {
        match &self.projection {
            Some(chosen) => chosen.iter().map(|column| self.columns[*column].clone()).collect(),
            None => self.columns.clone(),
        }
    }
}

/// Whether it matters which rows on the left were met.
fn keeps_unmet(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti)
}

impl EmbeddedProjection for IntervalJoinExec {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        let projection = match (projection, &self.projection) {
            (Some(chosen), Some(before)) => Some(chosen.iter().map(|column| before[*column]).collect()),
            (chosen, before) => chosen.or_else(|| before.clone()),
        };
        let (left, right) = (self.left.clone(), self.right.clone());
        Self::try_new(left, right, self.conditions.clone(), self.join_type, projection)
    }
}

impl DisplayAs for IntervalJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conditions { on, kept_begin, kept_end, passing_begin, passing_end, strict, filter } = &*self.conditions;
        write!(f, "IntervalJoinExec: type={}", self.join_type)?;
        for (left, right) in on {
            write!(f, ", {left} = {right}")?;
        }
        let sign = |strict: bool| if strict { "<" } else { "<=" };
        write!(
            f,
            ", {kept_begin} {} {passing_end}, {passing_begin} {} {kept_end}",
            sign(strict.begin),
            sign(strict.end)
        )?;
        if let Some(filter) = filter {
            write!(f, ", filter={}", filter.expression())?;
        }
        if let Some(chosen) = &self.projection {
            let names: Vec<&str> = chosen.iter().map(|at| self.schema_of_both.field(*at).name().as_str()).collect();
            write!(f, ", projection=[{}]", names.join(", "))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for IntervalJoinExec {
    fn name(&self) -> &str {
        "IntervalJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let all = [Distribution::SinglePartition, Distribution::UnspecifiedDistribution];
        InputDistributionRequirements::new(all.to_vec())
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let Conditions { on, kept_begin, kept_end, passing_begin, passing_end, filter, .. } = &*self.conditions;
        let pairs = on.iter().flat_map(|(left, right)| [left, right]);
        let bounds = [kept_begin, kept_end, passing_begin, passing_end];
        for expression in pairs.chain(bounds).chain(filter.iter().map(JoinFilter::expression)) {
            if f(expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [left, right] = children.as_slice() else {
            return internal_err!("a join has two inputs, not {}", children.len());
        };
        let projection = self.projection.clone();
        let (left, right, conditions) = (left.clone(), right.clone(), self.conditions.clone());
        Ok(Arc::new(Self::try_new(left, right, conditions, self.join_type, projection)?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let input = self.right.execute(partition, context.clone())?;
        let (left, once, conditions) = (self.left.clone(), self.build.clone(), self.conditions.clone());
        let (columns, join_type, output) = (self.output_columns(), self.join_type, schema.clone());
        let streams = self.right.output_partitioning().partition_count();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batch_size = context.session_config().batch_size();
        let start = async move {
            let of_build = conditions.clone();
            let build = once
                .get_or_try_init(|| async move {
                    let memory = MemoryConsumer::new("interval join").register(context.memory_pool());
                    let rows = left.execute(0, context)?;
                    let remember = keeps_unmet(join_type);
                    Build::collect(rows, &of_build, remember, streams, memory).await.map(Arc::new)
                })
                .await?
                .clone();
            let output = (columns, output);
            let probe = Probe::new(build, input, conditions, join_type, output, batch_size, metrics);
            Result::<_>::Ok(probe.into_stream())
        };
        let stream = futures::stream::once(start);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::TryStreamExt::try_flatten(stream))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        try_embed_projection(projection, self)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &datafusion::physical_plan::statistics::StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        // How many rows overlap cannot be told from the inputs.
        Ok(Arc::new(Statistics::new_unknown(&self.schema())))
    }
}
