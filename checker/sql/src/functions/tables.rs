//! Table functions: questions that take arguments, written as SQL.

use crate::functions::arguments::Arguments;
use crate::functions::explain::{self, Explained};
use crate::functions::scalar::CALL_COLUMNS;
use crate::views::{FOR_EVER, Shape, floor_divided};
use datafusion::catalog::TableFunctionImpl;
use datafusion::catalog::{TableFunctionArgs, TableProvider};
use datafusion::common::{internal_datafusion_err, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use std::sync::Arc;

/// What help says about a table function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFunctionDoc {
    /// Its name.
    pub name: &'static str,
    /// How it is called over one run.
    pub usage: &'static str,
    /// What it gives, in a line.
    pub description: &'static str,
    /// Whether its first argument is the run where there are many.
    pub takes_run: bool,
}

/// All table functions.
pub(crate) const ALL: [TableFunctionDoc; 7] = [
    TableFunctionDoc {
        name: "latency",
        usage: "latency('1s') or latency('1s', 'node', …)",
        description: "count and quantiles of latency per window of time, by f and outcome or by other columns of ops",
        takes_run: false,
    },
    TableFunctionDoc {
        name: "latency_histogram",
        usage: "latency_histogram() or latency_histogram('node', …)",
        description: "how many operations took how long, by f and outcome or by other columns of ops",
        takes_run: false,
    },
    TableFunctionDoc {
        name: "timeline",
        usage: "timeline() or timeline('5s')",
        description: "faults, events of nodes, injections and operations per window of time, in one ordered list",
        takes_run: false,
    },
    TableFunctionDoc {
        name: "ops_of",
        usage: "ops_of(3)",
        description: "the operations of a process, in words",
        takes_run: true,
    },
    TableFunctionDoc {
        name: "around",
        usage: "around(17, '500ms')",
        description: "everything that happened near an operation",
        takes_run: true,
    },
    TableFunctionDoc {
        name: "explain_op",
        usage: "explain_op(17)",
        description: "an operation in words: its connection, faults and injections meanwhile, what it read and who wrote that",
        takes_run: true,
    },
    TableFunctionDoc {
        name: "version_order",
        usage: "version_order(9)",
        description: "the versions of a key in their order, as far as it is known, and the operations that wrote them",
        takes_run: true,
    },
];

/// Registers them.
pub(crate) fn register(context: &SessionContext, shape: &Shape) {
    for doc in ALL {
        context.register_udtf(doc.name, Arc::new(Question { doc, shape: shape.clone() }));
    }
}

#[derive(Debug)]
struct Question {
    doc: TableFunctionDoc,
    shape: Shape,
}

impl TableFunctionImpl for Question {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let sql = match self.asked(args.exprs())? {
            Asked::Sql(sql) => sql,
            Asked::Table(table) => return Ok(table),
        };
        let Some(state) = args.session().as_any().downcast_ref::<SessionState>() else {
            return plan_err!("{} cannot be used here", self.doc.name);
        };
        // Nothing in it waits: the tables are known, and their files are not looked at before they are read.
        let plan = state.create_logical_plan(&sql).now_or_never();
        let plan = plan.ok_or_else(|| internal_datafusion_err!("the plan of {} is not ready", self.doc.name))??;
        Ok(Arc::new(ViewTable::new(plan, Some(sql))))
    }
}

/// What a call stands for.
enum Asked {
    Sql(String),
    Table(Arc<dyn TableProvider>),
}

impl Question {
    fn asked(&self, values: &[datafusion::logical_expr::Expr]) -> Result<Asked> {
        let usage = if self.shape.many && self.doc.takes_run {
            format!("{} with the run as first argument, such as {}('run', …)", self.doc.usage, self.doc.name)
        } else {
            self.doc.usage.to_owned()
        };
        let all = Arguments { values, usage: &usage };
        let (run, skip) = match (self.shape.many && self.doc.takes_run, values.is_empty()) {
            (true, false) => (Some(all.text(0)?), 1),
            (true, true) => return all.count(1, 3).map(|()| Asked::Sql(String::new())),
            _ => (None, 0),
        };
        let args = Arguments { values: &values[skip..], usage: &usage };
        let shape = &self.shape;
        let sql = match self.doc.name {
            "latency" => {
                args.count(1, 9)?;
                let by = columns(&args, 1)?;
                shape.latency(args.duration_ns(0)?, &names(&by))
            }
            "latency_histogram" => {
                args.count(0, 8)?;
                shape.latency_histogram(&names(&columns(&args, 0)?))
            }
            "timeline" => {
                args.count(0, 1)?;
                let window_ns = if args.values.is_empty() { 1_000_000_000 } else { args.duration_ns(0)? };
                shape.timeline(window_ns)
            }
            "ops_of" => {
                args.count(1, 1)?;
                shape.ops_of(args.int(0)?, run.as_deref())
            }
            "around" => {
                args.count(2, 2)?;
                shape.around(args.int(0)?, args.duration_ns(1)?, run.as_deref())
            }
            "explain_op" => {
                args.count(1, 1)?;
                return Ok(Asked::Table(Arc::new(Explained::new(shape, args.int(0)?, run))));
            }
            "version_order" => {
                args.count(1, 1)?;
                explain::version_order(shape, args.int(0)?, run.as_deref())
            }
            other => return plan_err!("there is no table function {other}"),
        };
        Ok(Asked::Sql(sql))
    }
}

/// Columns of `ops` that a call names from argument `from` on; `f` and `outcome` if there are none.
fn columns(args: &Arguments<'_>, from: usize) -> Result<Vec<String>> {
    const GROUPING: [&str; 8] = ["f", "outcome", "node", "process", "phase", "key", "conn_cookie", "error_code"];
    if args.values.len() <= from {
        return Ok(vec!["f".to_owned(), "outcome".to_owned()]);
    }
    let mut columns = Vec::new();
    for at in from..args.values.len() {
        let column = args.text(at)?;
        if !GROUPING.contains(&column.as_str()) {
            return plan_err!("`{column}` is none of {}: {}", GROUPING.join(", "), args.usage);
        }
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

fn names(columns: &[String]) -> Vec<&str> {
    columns.iter().map(String::as_str).collect()
}

/// `call_text` over the columns of a table.
pub(crate) fn call_text(table: &str) -> String {
    let columns: Vec<String> = CALL_COLUMNS.iter().map(|column| format!("{table}.{column}")).collect();
    format!("call_text({})", columns.join(", "))
}

impl Shape {
    /// That a table's rows are of this run; true for a single run.
    pub(crate) fn is_run(&self, table: &str, run: Option<&str>) -> String {
        run.map_or_else(|| "true".to_owned(), |run| format!("{table}.run = '{run}'"))
    }

    /// `at_s` over a column of a table.
    pub(crate) fn at_s(&self, table: &str, ns: &str) -> String {
        if self.many { format!("at_s({table}.run, {ns})") } else { format!("at_s({ns})") }
    }

    /// Two buckets for each doubling: narrow enough to see two humps, wide enough for a screen.
    fn latency_histogram(&self, by: &[&str]) -> String {
        let (run_columns, run_names) = (self.run_columns("o"), self.run_names());
        let inner: String = by.iter().map(|column| format!("o.{column}, ")).collect();
        let names: String = by.iter().map(|column| format!("{column}, ")).collect();
        let by: Vec<&str> = run_names.split(", ").filter(|name| !name.is_empty()).chain(by.iter().copied()).collect();
        let by = by.join(", ");
        format!(
            "
SELECT {run_names}{names}
  round(power(2, CAST(bucket AS DOUBLE) / 2), 3) AS from_ms,
  round(power(2, CAST(bucket + 1 AS DOUBLE) / 2), 3) AS to_ms,
  count,
  round(100.0 * CAST(count AS DOUBLE) / CAST(sum(count) OVER (PARTITION BY {by}) AS DOUBLE), 2) AS percent,
  repeat('#', CAST(ceil(40.0 * CAST(count AS DOUBLE) / CAST(max(count) OVER (PARTITION BY {by}) AS DOUBLE)) AS BIGINT)) AS bar
FROM (
  SELECT {run_names}{names}bucket, count(*) AS count
  FROM (
    SELECT {run_columns}{inner}
      CAST(floor(2 * log2(CAST(greatest(o.complete_ns - o.invoke_ns, 1) AS DOUBLE) / 1e6)) AS BIGINT) AS bucket
    FROM ops o WHERE o.complete_ns IS NOT NULL
  )
  GROUP BY {run_names}{names}bucket
)
ORDER BY {by}, from_ms"
        )
    }

    fn timeline(&self, window_ns: i64) -> String {
        let faults = self.with_start("faults", "t");
        let nodes = self.with_start("nodes", "t");
        let injections = self.with_start("injections", "t");
        let ops = self.with_start("ops", "t");
        let (run_columns, run_names) = (self.run_columns("t"), self.run_names());
        let width_s = format!("{:?}", window_ns as f64 / 1e9);
        let of_injection = floor_divided(&format!("(t.t_ns - {})", injections.1), window_ns);
        let of_op = floor_divided(&format!("(t.invoke_ns - {})", ops.1), window_ns);
        format!(
            "
SELECT {run_names}row_number() OVER (ORDER BY {run_names}t_s, place, name) AS n, t_s, what, name, detail FROM (
  SELECT {run_columns}CAST(t.start_ns - {fault_start} AS DOUBLE) / 1e9 AS t_s, 2 AS place, 'fault begins' AS what,
    t.phase AS name, CASE WHEN t.outcome = 'applied' THEN t.description ELSE 'failed: ' || coalesce(t.error_text, t.description) END AS detail
  FROM {faults}
  UNION ALL
  SELECT {run_columns}CAST(t.stop_ns - {fault_start} AS DOUBLE) / 1e9, 1, 'fault ends',
    t.phase, CASE WHEN t.kernel_hits IS NULL THEN t.kind ELSE CAST(t.kernel_hits AS VARCHAR) || ' packets hit' END
  FROM {faults} WHERE t.stop_ns IS NOT NULL
  UNION ALL
  SELECT {run_columns}CAST(t.t_ns - {node_start} AS DOUBLE) / 1e9, 3, 'node ' || t.event, t.node, t.detail
  FROM {nodes}
  UNION ALL
  SELECT {run_names}CAST(n AS DOUBLE) * {width_s}, 4, 'injections', name, CAST(packets AS VARCHAR) || ' packets' FROM (
    SELECT {run_columns}{of_injection} AS n, t.action || ' by fault ' || CAST(t.fault_id AS VARCHAR) AS name, count(*) AS packets
    FROM {injections} GROUP BY {run_columns}2, 3
  )
  UNION ALL
  SELECT {run_names}CAST(n AS DOUBLE) * {width_s}, 5, 'operations', f,
    CAST(ok AS VARCHAR) || ' ok, ' || CAST(fail AS VARCHAR) || ' fail, ' || CAST(info AS VARCHAR) || ' info'
  FROM (
    SELECT {run_columns}{of_op} AS n, t.f,
      sum(CASE WHEN t.outcome = 'ok' THEN 1 ELSE 0 END) AS ok,
      sum(CASE WHEN t.outcome = 'fail' THEN 1 ELSE 0 END) AS fail,
      sum(CASE WHEN t.outcome = 'info' THEN 1 ELSE 0 END) AS info
    FROM {ops} GROUP BY {run_columns}{of_op}, t.f
  )
)
ORDER BY n",
            faults = faults.0,
            fault_start = faults.1,
            nodes = nodes.0,
            node_start = nodes.1,
            injections = injections.0,
            ops = ops.0,
        )
        .replace("GROUP BY t.run, t.scenario, t.seed, 2, 3", "GROUP BY t.run, t.scenario, t.seed, 4, 5")
        .replace("GROUP BY 2, 3", "GROUP BY 1, 2")
    }

    fn ops_of(&self, process: i64, run: Option<&str>) -> String {
        let (is_run, call) = (self.is_run("o", run), call_text("o"));
        format!(
            "
SELECT o.op_id, {at_s} AS t_s, o.node, {call} AS call, o.outcome, ms(o.complete_ns - o.invoke_ns) AS latency_ms, o.error_code
FROM ops o WHERE o.process = {process} AND {is_run}
ORDER BY o.op_id",
            at_s = self.at_s("o", "o.invoke_ns"),
        )
    }

    /// The operation's own time in flight, with a margin on both sides; everything that lies in it. An operation without
    /// completion counts with its invocation alone. First the numbers of the operations are found by their times; then only
    /// the parts of files that hold them are read for what was asked.
    fn around(&self, op_id: i64, margin_ns: i64, run: Option<&str>) -> String {
        let call = call_text("o");
        let is = |table: &str| self.is_run(table, run);
        format!(
            "
WITH span AS (
  SELECT o.invoke_ns AS zero_ns, o.invoke_ns - {margin_ns} AS from_ns, coalesce(o.complete_ns, o.invoke_ns) + {margin_ns} AS to_ns
  FROM ops o WHERE o.op_id = {op_id} AND {is_o}
), near AS (
  SELECT o.op_id, o.invoke_ns >= s.from_ns AS begins, o.complete_ns <= s.to_ns AS ends
  FROM span s JOIN ops o ON o.invoke_ns <= s.to_ns AND o.complete_ns >= s.from_ns WHERE {is_o}
  UNION ALL
  SELECT o.op_id, true, false
  FROM span s JOIN ops o ON o.invoke_ns >= s.from_ns AND o.invoke_ns <= s.to_ns WHERE o.complete_ns IS NULL AND {is_o}
), events AS (
  SELECT o.invoke_ns AS t_ns, 3 AS place, 'invoke' AS what, o.node, o.process, o.op_id, {call_invoked} AS detail
  FROM near JOIN ops o ON o.op_id = near.op_id WHERE near.begins AND {is_o}
  UNION ALL
  SELECT o.complete_ns, 5, o.outcome, o.node, o.process, o.op_id,
    CASE WHEN o.outcome = 'ok' THEN {call} ELSE coalesce(o.error_code, '') || coalesce(': ' || o.error_text, '') END
  FROM near JOIN ops o ON o.op_id = near.op_id WHERE near.ends AND {is_o}
  UNION ALL
  SELECT i.t_ns, 4, i.action, i.host, NULL, NULL,
    coalesce(i.src_host, i.src_addr) || ':' || CAST(i.src_port AS VARCHAR) || ' -> ' || coalesce(i.dst_host, i.dst_addr) || ':' || CAST(i.dst_port AS VARCHAR)
      || ', ' || CAST(i.length AS VARCHAR) || ' bytes, fault ' || CAST(i.fault_id AS VARCHAR)
  FROM span s JOIN injections i ON i.t_ns >= s.from_ns AND i.t_ns <= s.to_ns WHERE {is_i}
  UNION ALL
  SELECT f.start_ns, 1, 'fault begins', NULL, NULL, NULL, f.phase || ': ' || f.description
  FROM span s JOIN faults f ON f.start_ns >= s.from_ns AND f.start_ns <= s.to_ns WHERE f.outcome = 'applied' AND {is_f}
  UNION ALL
  SELECT f.stop_ns, 6, 'fault ends', NULL, NULL, NULL, f.phase
  FROM span s JOIN faults f ON f.stop_ns >= s.from_ns AND f.stop_ns <= s.to_ns WHERE f.outcome = 'applied' AND {is_f}
  UNION ALL
  SELECT f.start_ns, 0, 'fault in force', NULL, NULL, NULL, f.phase || ': ' || f.description
  FROM span s JOIN faults f ON f.start_ns < s.from_ns AND coalesce(f.stop_ns, {FOR_EVER}) > s.to_ns
  WHERE f.outcome = 'applied' AND {is_f}
  UNION ALL
  SELECT n.t_ns, 2, 'node ' || n.event, n.node, NULL, NULL, n.detail
  FROM span s JOIN nodes n ON n.t_ns >= s.from_ns AND n.t_ns <= s.to_ns WHERE {is_n}
)
SELECT row_number() OVER (ORDER BY e.t_ns, e.place, e.op_id) AS n, ms(e.t_ns - s.zero_ns) AS ms, e.what, e.node, e.process, e.op_id, e.detail
FROM events e CROSS JOIN span s
ORDER BY n",
            is_o = is("o"),
            is_i = is("i"),
            is_f = is("f"),
            is_n = is("n"),
            // What was asked, without what was told later.
            call_invoked = call.replace("o.outcome", "'info'"),
        )
    }
}
