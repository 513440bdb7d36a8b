//! `explain_op` and `version_order`: one operation, one key, and who wrote what.
//!
//! Both look writes up by key, so that only the parts of the files are read that may hold it. For `explain_op` the keys are
//! what the operation read: [`Explained`] asks for them first.

use crate::functions::tables::call_text;
use crate::views::{FOR_EVER, Shape};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::exec_err;
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Injections of an operation that are told one by one; the rest is counted.
const INJECTIONS_MAX: u32 = 20;

/// `explain_op(op_id)`: lines about one operation, in the order in which a person would tell them.
#[derive(Debug)]
pub(crate) struct Explained {
    shape: Shape,
    op_id: i64,
    run: Option<String>,
}

impl Explained {
    pub(crate) fn new(shape: &Shape, op_id: i64, run: Option<String>) -> Self {
        Self { shape: shape.clone(), op_id, run }
    }

    /// The keys that the operation read, without those of which there is no integer.
    async fn keys_read(&self, context: &SessionContext) -> Result<Vec<i64>> {
        let is_o = self.shape.is_run("o", self.run.as_deref());
        let sql = format!(
            "WITH op AS (SELECT * FROM ops o WHERE o.op_id = {} AND {is_o}) SELECT DISTINCT key FROM ({READS}) WHERE key IS NOT NULL ORDER BY key",
            self.op_id
        );
        let found = context.sql(&sql).await?.collect().await?;
        Ok(found.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect())
    }
}

#[async_trait]
impl TableProvider for Explained {
    fn schema(&self) -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![Field::new("n", DataType::UInt64, false), text("about"), text("line")]))
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(state) = state.as_any().downcast_ref::<SessionState>() else {
            return exec_err!("explain_op cannot be used here");
        };
        let context = SessionContext::new_with_state(state.clone());
        let keys = self.keys_read(&context).await?;
        let lines = context.sql(&sql(&self.shape, self.op_id, &keys, self.run.as_deref())).await?.collect().await?;
        let schema = self.schema();
        let fitted = |batch: &RecordBatch| -> Result<RecordBatch> {
            let columns =
                batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, _>>()?)?)
        };
        // A plan that is part of another one would be optimized twice. The lines are few.
        let lines = lines.iter().map(fitted).collect::<Result<_>>()?;
        MemTable::try_new(self.schema(), vec![lines])?.scan(state, projection, &[], limit).await
    }
}

/// The lines, where the operation read these keys.
fn sql(shape: &Shape, op_id: i64, keys: &[i64], run: Option<&str>) -> String {
    let is = |table: &str| shape.is_run(table, run);
    let at_s = |table: &str, ns: &str| format!("CAST(round({}, 6) AS VARCHAR)", shape.at_s(table, ns));
    format!(
        "
WITH op AS (
  SELECT * FROM ops o WHERE o.op_id = {op_id} AND {is_o}
), lines AS (
  SELECT 1 AS place, o.invoke_ns AS t_ns, 'operation' AS about,
    'process ' || CAST(o.process AS VARCHAR) || coalesce(' on ' || o.node, '') || ': ' || {call} AS line FROM op o
  UNION ALL
  SELECT 2, o.invoke_ns, 'outcome', o.outcome || coalesce(', ' || o.error_code, '') || coalesce(': ' || o.error_text, '') FROM op o
  UNION ALL
  SELECT 3, o.invoke_ns, 'time', 'invoked at ' || {invoked} || ' s, ' ||
    CASE WHEN o.complete_ns IS NULL THEN 'never completed' ELSE 'in flight for ' || duration(o.complete_ns - o.invoke_ns) END FROM op o
  UNION ALL
  SELECT 4, c.opened_ns, 'connection', c.local_addr || ':' || CAST(c.local_port AS VARCHAR) || ' -> ' || c.remote_addr || ':' ||
    CAST(c.remote_port AS VARCHAR) || coalesce(', opened at ' || {opened} || ' s', '') || coalesce(', closed at ' || {closed} || ' s', '')
  FROM op o JOIN connections c ON c.conn_cookie = o.conn_cookie WHERE {is_c}
  UNION ALL
  SELECT 5, f.start_ns, 'fault', f.phase || ': ' || f.description || ', from ' || {started} || ' s' || coalesce(' to ' || {stopped} || ' s', ' on')
  FROM op o JOIN faults f ON f.start_ns <= coalesce(o.complete_ns, {FOR_EVER}) AND coalesce(f.stop_ns, {FOR_EVER}) >= o.invoke_ns
  WHERE f.outcome = 'applied' AND {is_f}
  UNION ALL
  SELECT 6, i.t_ns, 'injection', i.action || ' ' || coalesce(i.src_host, i.src_addr) || ' -> ' || coalesce(i.dst_host, i.dst_addr) ||
    ', ' || CAST(i.length AS VARCHAR) || ' bytes, ' || duration(i.t_ns - i.invoke_ns) || ' after the invocation, fault ' || CAST(i.fault_id AS VARCHAR)
  FROM (SELECT * FROM op_injections i WHERE i.op_id = {op_id} AND {is_i} ORDER BY i.t_ns LIMIT {INJECTIONS_MAX}) i
  UNION ALL
  SELECT 7, 0, 'injection', CAST(n AS VARCHAR) || ' in all' FROM (
    SELECT count(*) AS n FROM op_injections i WHERE i.op_id = {op_id} AND {is_i}
  ) WHERE n > {INJECTIONS_MAX}
  UNION ALL
  SELECT 8, n.t_ns, 'node', n.node || ' ' || n.event || coalesce(' (' || n.detail || ')', '') || ', ' || duration(n.t_ns - o.invoke_ns) || ' after the invocation'
  FROM op o JOIN nodes n ON n.t_ns >= o.invoke_ns AND n.t_ns <= coalesce(o.complete_ns, {FOR_EVER}) WHERE {is_n}
  UNION ALL
  SELECT 9, 0, 'read', {read_from} FROM ({reads}) r LEFT JOIN ({writes}) w ON w.key = r.key AND w.value = r.value
)
SELECT row_number() OVER (ORDER BY place, t_ns, line) AS n, about, line FROM lines ORDER BY n",
        is_o = is("o"),
        is_c = is("c"),
        is_f = is("f"),
        is_i = is("i"),
        is_n = is("n"),
        call = call_text("o"),
        invoked = at_s("o", "o.invoke_ns"),
        opened = at_s("c", "c.opened_ns"),
        closed = at_s("c", "c.closed_ns"),
        started = at_s("f", "f.start_ns"),
        stopped = at_s("f", "f.stop_ns"),
        read_from = "'key ' || CAST(r.key AS VARCHAR) || ': ' || CAST(r.value AS VARCHAR) || ' was written by ' || \
             coalesce('operation ' || CAST(w.op_id AS VARCHAR) || ' of process ' || CAST(w.process AS VARCHAR) || ' (' || w.outcome || ')', 'nobody')",
        reads = READS,
        writes = writes(shape, keys, run),
    )
}

/// Keys and values that the operation saw: of a list its last element.
const READS: &str = "
    SELECT o.key, o.value FROM op o WHERE o.f = 'read' AND o.outcome = 'ok' AND o.value IS NOT NULL
    UNION ALL
    SELECT m.key, m.value FROM (SELECT unnest(o.mops) AS m FROM op o WHERE o.outcome = 'ok') WHERE m.f = 'rr' AND m.value IS NOT NULL
    UNION ALL
    SELECT m.key, m.list[-1] FROM (SELECT unnest(o.mops) AS m FROM op o WHERE o.outcome = 'ok') WHERE m.f = 'r' AND m.list[-1] IS NOT NULL";

/// Every write of these keys, and perhaps of others: `key`, `value` and the operation.
fn writes(shape: &Shape, keys: &[i64], run: Option<&str>) -> String {
    let is_o = shape.is_run("o", run);
    let listed: Vec<String> = keys.iter().map(i64::to_string).collect();
    let listed = if listed.is_empty() { "NULL".to_owned() } else { listed.join(", ") };
    format!(
        "
    SELECT o.op_id, o.process, o.outcome, o.key, o.value FROM ops o
    WHERE o.key IN ({listed}) AND o.f IN ('write', 'cas') AND o.outcome <> 'fail' AND {is_o}
    UNION ALL
    SELECT op_id, process, outcome, w.key, w.value FROM (
      SELECT o.op_id, o.process, o.outcome, unnest(written(o.mops)) AS w FROM ops o WHERE touches(o.mops, {listed}) AND {is_o}
    )"
    )
}

/// `version_order(key)`. Of a list: the longest list that an `ok` transaction read is the order; what was appended and is
/// not in it has no position. Of a register: writes by the moment from which they were certainly there.
pub(crate) fn version_order(shape: &Shape, key: i64, run: Option<&str>) -> String {
    let is_o = shape.is_run("o", run);
    format!(
        "
WITH writes AS (
  SELECT op_id, process, node, outcome, invoke_ns, complete_ns, w.value AS value, w.f AS f FROM (
    SELECT o.op_id, o.process, o.node, o.outcome, o.invoke_ns, o.complete_ns, unnest(written(o.mops, {key})) AS w
    FROM ops o WHERE touches(o.mops, {key}) AND {is_o}
  )
  UNION ALL
  SELECT o.op_id, o.process, o.node, o.outcome, o.invoke_ns, o.complete_ns, o.value, o.f
  FROM ops o WHERE o.key = {key} AND o.f IN ('write', 'cas') AND {is_o}
), longest AS (
  SELECT longest_list(o.mops, {key}) AS list FROM ops o WHERE touches(o.mops, {key}) AND o.outcome = 'ok' AND {is_o}
  ORDER BY coalesce(array_length(list), 0) DESC, o.op_id LIMIT 1
), seen AS (
  SELECT unnest(list) AS value, unnest(range(1, CAST(array_length(list) AS BIGINT) + 1)) AS position FROM longest
), register_reads AS (
  SELECT o.value, min(o.complete_ns) AS seen_ns, count(*) AS reads FROM ops o
  WHERE o.key = {key} AND o.f = 'read' AND o.outcome = 'ok' AND {is_o} GROUP BY o.value
), placed AS (
  SELECT coalesce(s.position, w.position) AS position, coalesce(w.value, s.value) AS value, w.op_id, w.process, w.node, w.outcome,
    w.invoke_ns, w.complete_ns, w.reads
  FROM (
    SELECT *, CASE WHEN present THEN row_number() OVER (PARTITION BY present ORDER BY least(complete_ns, seen_ns), op_id) END AS position
    FROM (
      SELECT w.*, q.seen_ns, CASE WHEN w.f <> 'append' AND (w.outcome = 'ok' OR q.reads > 0) THEN q.reads END AS reads,
        w.f <> 'append' AND (w.outcome = 'ok' OR coalesce(q.reads, 0) > 0) AS present
      FROM writes w LEFT JOIN register_reads q ON q.value = w.value
    )
  ) w FULL JOIN seen s ON w.value = s.value AND w.f = 'append'
)
SELECT position, value, op_id, process, node, outcome, invoke_ns, complete_ns, reads
FROM placed ORDER BY position NULLS LAST, op_id"
    )
}
