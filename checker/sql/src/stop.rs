//! Ending a plan that is being carried out, also in the midst of a join that asks for nothing and gives nothing for long.
//!
//! The tasks of a plan end when they pause, and a join of two large sides may compute for minutes without a pause. So the
//! joins of a plan, and what they read from, look at a flag before each batch.

use arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when a plan is to end.
pub(crate) type Stop = Arc<AtomicBool>;

/// The plan, with a look at the flag around and before its joins. A plan without joins pauses often enough.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Stop) -> Result<Arc<dyn ExecutionPlan>> {
    let looking = plan.transform_up(|node| {
        if !node.name().contains("Join") {
            return Ok(Transformed::no(node));
        }
        let inputs = node.children().into_iter().map(|input| StopExec::around(Arc::clone(input), stop)).collect();
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let node = node.replace_children(inputs, options)?;
        Ok(Transformed::yes(StopExec::around(node, stop)))
    })?;
    Ok(looking.data)
}

/// Hands on what its input gives, until the flag is set.
#[derive(Debug)]
struct StopExec {
    input: Arc<dyn ExecutionPlan>,
    stop: Stop,
}

impl StopExec {
    fn around(input: Arc<dyn ExecutionPlan>, stop: &Stop) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, stop: Arc::clone(stop) })
    }
}

impl DisplayAs for StopExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopExec")
    }
}

impl ExecutionPlan for StopExec {
    fn name(&self) -> &str {
        "StopExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Self::around(input, &self.stop)),
            Err(_) => Err(DataFusionError::Internal("StopExec has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (stop, input) = (Arc::clone(&self.stop), self.input.execute(partition, context)?);
        let schema: SchemaRef = input.schema();
        let looking = input.map(move |batch: Result<RecordBatch>| match stop.load(Ordering::Relaxed) {
            true => Err(DataFusionError::Execution("interrupted".to_owned())),
            false => batch,
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, looking)))
    }
}
