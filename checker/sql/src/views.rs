//! The views a person reaches for first.
//!
//! They are plain SQL over the tables, so that a question's own conditions and columns reach down to the files. In a
//! folder of runs every table has the columns `run`, `scenario` and `seed`; then the views have them too, and join rows
//! of the same run only.

/// What the tables of a session are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Whether the tables hold many runs and carry `run`, `scenario` and `seed`, and there is a table `runs` with the
    /// `started_ns` of each.
    pub(crate) many: bool,
    /// Start of the only run on CLOCK_MONOTONIC, if it is known.
    pub(crate) started_ns: Option<i64>,
}

/// A view over the tables.
pub(crate) struct View {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds, in a line.
    pub(crate) description: &'static str,
    /// The statement behind it.
    pub(crate) sql: String,
}

/// The views over tables of this shape.
pub(crate) fn all(shape: &Shape) -> [View; 3] {
    [
        View {
            name: "ops_during_fault",
            description: "operations whose time in flight overlaps a fault, once for each such fault",
            sql: shape.ops_during_fault(),
        },
        View {
            name: "op_injections",
            description: "each operation with the injections that hit its connection while it was in flight",
            sql: shape.op_injections(),
        },
        View {
            name: "latency",
            description: "count and quantiles of latency per second of the run, f and outcome",
            sql: shape.latency(1_000_000_000, &["f", "outcome"]),
        },
    ]
}

/// Stands for the end of what has none.
pub(crate) const FOR_EVER: &str = "9223372036854775807";

impl Shape {
    /// The columns that say which run a row is of, for the front of a list of columns: empty for a single run.
    pub(crate) fn run_columns(&self, table: &str) -> String {
        if self.many { format!("{table}.run, {table}.scenario, {table}.seed, ") } else { String::new() }
    }

    /// The same without the table's name, for grouping and ordering.
    pub(crate) fn run_names(&self) -> &'static str {
        if self.many { "run, scenario, seed, " } else { "" }
    }

    /// That two rows are of the same run, for the end of a condition: empty for a single run.
    pub(crate) fn and_same_run(&self, left: &str, right: &str) -> String {
        if self.many { format!(" AND {left}.run = {right}.run") } else { String::new() }
    }

    /// A table with the name `alias` in FROM, and an expression for the start of the run that its rows are of.
    pub(crate) fn with_start(&self, table: &str, alias: &str) -> (String, String) {
        if self.many {
            let from = format!("{table} {alias} JOIN runs run_of_{alias} ON {alias}.run = run_of_{alias}.run");
            (from, format!("coalesce(run_of_{alias}.started_ns, 0)"))
        } else {
            let start = match self.started_ns {
                Some(ns) => ns.to_string(),
                None => "(SELECT min(invoke_ns) FROM ops)".to_owned(),
            };
            (format!("{table} {alias}"), start)
        }
    }

    /// What never completed, or was never lifted, lasts for ever. A fault that could not be applied was never in force.
    fn ops_during_fault(&self) -> String {
        let same_run = self.and_same_run("o", "f");
        format!(
            "
SELECT o.*, f.fault_id, f.phase AS fault, f.kind
FROM faults f
JOIN ops o
  ON o.invoke_ns <= coalesce(f.stop_ns, {FOR_EVER})
 AND coalesce(o.complete_ns, {FOR_EVER}) >= f.start_ns{same_run}
WHERE f.outcome = 'applied'"
        )
    }

    /// First the connection of each injection, by address and port, then the operations of that connection that were in
    /// flight: a join on intervals.
    fn op_injections(&self) -> String {
        let (run_of_c, same_run) = (if self.many { "run, " } else { "" }, self.and_same_run("i", "c"));
        let (run_columns, same_run_as_op) = (self.run_columns("o"), self.and_same_run("i", "o"));
        format!(
            "
WITH flows AS (
  SELECT {run_of_c}conn_cookie, local_addr AS src_addr, local_port AS src_port, remote_addr AS dst_addr,
    remote_port AS dst_port
  FROM connections WHERE conn_cookie IS NOT NULL
  UNION ALL
  SELECT {run_of_c}conn_cookie, remote_addr, remote_port, local_addr, local_port
  FROM connections
  WHERE conn_cookie IS NOT NULL AND NOT (local_addr = remote_addr AND local_port = remote_port)
), hits AS (
  SELECT i.*, c.conn_cookie
  FROM flows c JOIN injections i
    ON i.src_addr = c.src_addr AND i.src_port = c.src_port AND i.dst_addr = c.dst_addr AND i.dst_port = c.dst_port{same_run}
)
SELECT {run_columns}o.op_id, o.process, o.node, o.f, o.key, o.outcome, o.invoke_ns, o.complete_ns, i.t_ns,
  CAST(i.t_ns - o.invoke_ns AS DOUBLE) / 1e6 AS ms_after_invoke,
  i.fault_id, i.rule_id, i.action, i.host, i.src_host, i.src_addr, i.src_port, i.dst_host, i.dst_addr, i.dst_port,
  i.direction, i.tcp_flags, i.length
FROM hits i JOIN ops o
  ON o.conn_cookie = i.conn_cookie{same_run_as_op}
 AND o.invoke_ns <= i.t_ns AND coalesce(o.complete_ns, {FOR_EVER}) >= i.t_ns"
        )
    }

    /// Windows count from the start of the run, or from the first invocation where that is not known. What never completed
    /// is counted but has no latency. `by` are columns of `ops`.
    pub(crate) fn latency(&self, window_ns: i64, by: &[&str]) -> String {
        let (from, start) = self.with_start("ops", "o");
        let (run_columns, run_names) = (self.run_columns("o"), self.run_names());
        let inner: String = by.iter().map(|column| format!("o.{column}, ")).collect();
        let names: String = by.iter().map(|column| format!("{column}, ")).collect();
        let window = if window_ns == 1_000_000_000 {
            "window_number AS second".to_owned()
        } else {
            format!("CAST(window_number * {window_ns} AS DOUBLE) / 1e9 AS from_s")
        };
        let at = floor_divided(&format!("(o.invoke_ns - {start})"), window_ns);
        format!(
            "
SELECT {run_names}{window}, {names}count,
  q[1] AS p50_ms, q[2] AS p95_ms, q[3] AS p99_ms, max_ms
FROM (
  SELECT {run_names}window_number, {names}count(*) AS count, quantiles(ms, 0.5, 0.95, 0.99) AS q, max(ms) AS max_ms
  FROM (
    SELECT {run_columns}{at} AS window_number, {inner}CAST(o.complete_ns - o.invoke_ns AS DOUBLE) / 1e6 AS ms
    FROM {from}
  )
  GROUP BY {run_names}{names}window_number
)
ORDER BY {run_names}window_number{by}",
            by = by.iter().map(|column| format!(", {column}")).collect::<String>(),
        )
    }
}

/// Integer division that rounds down, also below zero.
pub(crate) fn floor_divided(number: &str, by: i64) -> String {
    format!("({number} - (({number} % {by}) + {by}) % {by}) / {by}")
}
