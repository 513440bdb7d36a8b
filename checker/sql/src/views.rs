//! The views a person reaches for first.

/// A view over the tables.
pub(crate) struct View {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds, in a line.
    pub(crate) description: &'static str,
    /// The statement behind it.
    pub(crate) sql: String,
}

/// The views; `started_ns` is the start of the run on CLOCK_MONOTONIC, if it is known.
pub(crate) fn all(started_ns: Option<i64>) -> [View; 3] {
    [
        View {
            name: "ops_during_fault",
            description: "operations whose time in flight overlaps a fault, once for each such fault",
            sql: OPS_DURING_FAULT.to_owned(),
        },
        View {
            name: "op_injections",
            description: "each operation with the injections that hit its connection while it was in flight",
            sql: OP_INJECTIONS.to_owned(),
        },
        View {
            name: "latency",
            description: "count and quantiles of latency per second of the run, f and outcome",
            sql: latency(started_ns),
        },
    ]
}

/// What never completed, or was never lifted, lasts for ever. A fault that could not be applied was never in force.
const OPS_DURING_FAULT: &str = "
SELECT o.*, f.fault_id, f.phase AS fault, f.kind
FROM ops o
JOIN faults f
  ON o.invoke_ns <= coalesce(f.stop_ns, 9223372036854775807)
 AND coalesce(o.complete_ns, 9223372036854775807) >= f.start_ns
WHERE f.outcome = 'applied'";

/// Three joins, all on equality. A connection may carry very many operations and injections, so the last join is also on
/// time: the time from the first to the last injection is cut into 1024 equal slices; an injection is in one of them, and
/// an operation in those it was in flight in (in none, if it came after the last injection). Without that each operation
/// would meet each injection of its connection.
const OP_INJECTIONS: &str = "
WITH span AS (
  SELECT min(t_ns) AS first_ns, max(t_ns) AS last_ns, (max(t_ns) - min(t_ns)) / 1024 + 1 AS slice_ns FROM injections
), flows AS (
  SELECT conn_cookie, local_addr AS src_addr, local_port AS src_port, remote_addr AS dst_addr, remote_port AS dst_port
  FROM connections WHERE conn_cookie IS NOT NULL
  UNION ALL
  SELECT conn_cookie, remote_addr, remote_port, local_addr, local_port
  FROM connections
  WHERE conn_cookie IS NOT NULL AND NOT (local_addr = remote_addr AND local_port = remote_port)
), flights AS (
  SELECT op_id, process, node, f, key, outcome, invoke_ns, complete_ns, conn_cookie,
    unnest(range(
      (greatest(invoke_ns, first_ns) - first_ns) / slice_ns,
      (least(coalesce(complete_ns, last_ns), last_ns) - first_ns) / slice_ns + 1
    )) AS slice
  FROM ops CROSS JOIN span WHERE conn_cookie IS NOT NULL
), hits AS (
  SELECT i.*, (t_ns - first_ns) / slice_ns AS slice FROM injections i CROSS JOIN span
)
SELECT o.op_id, o.process, o.node, o.f, o.key, o.outcome, o.invoke_ns, o.complete_ns, i.t_ns,
  CAST(i.t_ns - o.invoke_ns AS DOUBLE) / 1e6 AS ms_after_invoke,
  i.fault_id, i.rule_id, i.host, i.src_host, i.src_addr, i.src_port, i.dst_host, i.dst_addr, i.dst_port,
  i.direction, i.tcp_flags, i.length
FROM flights o
JOIN flows c ON o.conn_cookie = c.conn_cookie
JOIN hits i
  ON i.src_addr = c.src_addr AND i.src_port = c.src_port AND i.dst_addr = c.dst_addr AND i.dst_port = c.dst_port
 AND i.slice = o.slice
WHERE i.t_ns >= o.invoke_ns AND i.t_ns <= coalesce(o.complete_ns, 9223372036854775807)";

/// Seconds count from the start of the run, or from the first invocation where that is not known. What never completed is
/// counted but has no latency.
fn latency(started_ns: Option<i64>) -> String {
    let start = started_ns.map_or_else(|| "(SELECT min(invoke_ns) FROM ops)".to_owned(), |ns| ns.to_string());
    format!(
        "
SELECT second, f, outcome, count(*) AS count,
  percentile_cont(0.50) WITHIN GROUP (ORDER BY ms) AS p50_ms,
  percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95_ms,
  percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99_ms,
  max(ms) AS max_ms
FROM (
  SELECT CAST(floor(CAST(invoke_ns - {start} AS DOUBLE) / 1e9) AS BIGINT) AS second, f, outcome,
    CAST(complete_ns - invoke_ns AS DOUBLE) / 1e6 AS ms
  FROM ops
)
GROUP BY second, f, outcome
ORDER BY second, f, outcome"
    )
}
