//! `explain_op` and `version_order`: one operation, one key, and who wrote what.

use crate::functions::tables::call_text;
use crate::views::{FOR_EVER, Shape};

/// Injections of an operation that are told one by one; the rest is counted.
const INJECTIONS_MAX: u32 = 20;

/// `explain_op(op_id)`: lines about one operation, in the order in which a person would tell them.
pub(crate) fn sql(shape: &Shape, op_id: i64, run: Option<&str>) -> String {
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
        writes = writes(shape, run),
    )
}

/// Keys and values that the operation saw: of a list its last element.
const READS: &str = "
    SELECT o.key, o.value FROM op o WHERE o.f = 'read' AND o.outcome = 'ok' AND o.value IS NOT NULL
    UNION ALL
    SELECT m.key, m.value FROM (SELECT unnest(o.mops) AS m FROM op o WHERE o.outcome = 'ok') WHERE m.f = 'rr' AND m.value IS NOT NULL
    UNION ALL
    SELECT m.key, m.list[-1] FROM (SELECT unnest(o.mops) AS m FROM op o WHERE o.outcome = 'ok') WHERE m.f = 'r' AND m.list[-1] IS NOT NULL";

/// Every write of every key: `key`, `value` and the operation.
fn writes(shape: &Shape, run: Option<&str>) -> String {
    let is_o = shape.is_run("o", run);
    format!(
        "
    SELECT o.op_id, o.process, o.outcome, o.key, o.value FROM ops o WHERE o.f IN ('write', 'cas') AND o.outcome <> 'fail' AND {is_o}
    UNION ALL
    SELECT op_id, process, outcome, w.key, w.value FROM (
      SELECT o.op_id, o.process, o.outcome, unnest(written(o.mops)) AS w FROM ops o WHERE o.mops IS NOT NULL AND {is_o}
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
    FROM ops o WHERE o.mops IS NOT NULL AND {is_o}
  )
  UNION ALL
  SELECT o.op_id, o.process, o.node, o.outcome, o.invoke_ns, o.complete_ns, o.value, o.f
  FROM ops o WHERE o.key = {key} AND o.f IN ('write', 'cas') AND {is_o}
), longest AS (
  SELECT longest_list(o.mops, {key}) AS list FROM ops o WHERE o.mops IS NOT NULL AND o.outcome = 'ok' AND {is_o}
  ORDER BY coalesce(array_length(list), 0) DESC, o.op_id LIMIT 1
), seen AS (
  SELECT unnest(list) AS value, unnest(range(1, CAST(array_length(list) AS BIGINT) + 1)) AS position FROM longest
), register_reads AS (
  SELECT o.value, min(o.complete_ns) AS seen_ns, count(*) AS reads FROM ops o
  WHERE o.key = {key} AND o.f = 'read' AND o.outcome = 'ok' AND {is_o} GROUP BY o.value
), placed AS (
  SELECT coalesce(s.position, r.position) AS position, coalesce(w.value, s.value) AS value, w.op_id, w.process, w.node, w.outcome,
    w.invoke_ns, w.complete_ns, r.reads
  FROM writes w FULL JOIN seen s ON w.value = s.value AND w.f = 'append'
  LEFT JOIN (
    SELECT w.op_id, q.reads, row_number() OVER (ORDER BY least(w.complete_ns, q.seen_ns), w.op_id) AS position
    FROM writes w LEFT JOIN register_reads q ON q.value = w.value
    WHERE w.f <> 'append' AND (w.outcome = 'ok' OR q.reads > 0)
  ) r ON r.op_id = w.op_id AND w.f <> 'append'
)
SELECT position, value, op_id, process, node, outcome, invoke_ns, complete_ns, reads
FROM placed ORDER BY position NULLS LAST, op_id"
    )
}
