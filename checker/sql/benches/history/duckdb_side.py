"""Answers one question of docs/sql.md in DuckDB: duckdb_side.py RUN MEMORY SQL

Views and functions of Fissure are written out as views and macros. What DuckDB spells otherwise is replaced. Prints one JSON
object: seconds, rows, peak_mib, or error.
"""
import json, os, re, sys, threading, time
import duckdb

run, memory, sql = sys.argv[1:4]
started = time.time()
manifest = json.load(open(run + "/manifest.json"))
start = manifest["started_ns"]
db = duckdb.connect()
db.execute(f"SET memory_limit='{memory}'; SET threads={os.cpu_count()}; SET preserve_insertion_order=true")
for table in ["ops", "faults", "injections", "connections", "nodes"]:
    db.execute(f"CREATE VIEW {table} AS SELECT 'r' AS run, '{manifest['scenario']}' AS scenario, 1 AS seed, * "
               f"FROM read_parquet('{run}/history/{table}/*.parquet')")
results = json.load(open(run + "/results.json"))["findings"]
db.execute("CREATE TABLE findings (run VARCHAR, id VARCHAR, checker VARCHAR, anomaly VARCHAR, summary VARCHAR, key BIGINT, ops BIGINT[])")
for f in results:
    db.execute("INSERT INTO findings VALUES ('r', ?, ?, ?, ?, ?, ?)", [f["id"], f["checker"], f["anomaly"], f["summary"], f["key"], f["ops"]])
counts = manifest["counts"]
db.execute(f"""CREATE TABLE runs AS SELECT 'r' AS run, '{manifest['scenario']}' AS scenario, 1 AS seed, '{manifest['verdict']}' AS verdict,
  {start}::BIGINT AS started_ns, {counts['ops']}::BIGINT AS ops, {counts['fail']}::BIGINT AS fail, {counts['info']}::BIGINT AS info""")
ever = 9223372036854775807
db.execute(f"""
CREATE MACRO ms(ns) AS ns / 1e6;
CREATE MACRO duration(ns) AS CAST(ns AS VARCHAR);
CREATE MACRO at_s(ns) AS (ns - {start}) / 1e9;
CREATE MACRO call_text(a, b, c, d, e, g) AS b;
CREATE MACRO written(mops) AS [{{'f': m.f, 'key': m.key, 'value': m.value}} for m in mops if m.f = 'append' or m.f = 'w'];
CREATE MACRO quantiles(x, a) AS approx_quantile(x, [a]), (x, a, b) AS approx_quantile(x, [a, b]), (x, a, b, c) AS approx_quantile(x, [a, b, c]);
CREATE VIEW ops_during_fault AS SELECT o.*, f.fault_id, f.phase AS fault, f.kind FROM faults f JOIN ops o
  ON o.invoke_ns <= coalesce(f.stop_ns, {ever}) AND coalesce(o.complete_ns, {ever}) >= f.start_ns WHERE f.outcome = 'applied';
CREATE VIEW op_injections AS
WITH flows AS (
  SELECT conn_cookie, local_addr AS src_addr, local_port AS src_port, remote_addr AS dst_addr, remote_port AS dst_port FROM connections
  UNION ALL SELECT conn_cookie, remote_addr, remote_port, local_addr, local_port FROM connections
), hits AS (
  SELECT i.*, c.conn_cookie FROM flows c JOIN injections i
    ON i.src_addr = c.src_addr AND i.src_port = c.src_port AND i.dst_addr = c.dst_addr AND i.dst_port = c.dst_port
)
SELECT o.op_id, o.process, o.node, o.f, o.key, o.outcome, o.invoke_ns, o.complete_ns, i.t_ns, (i.t_ns - o.invoke_ns) / 1e6 AS ms_after_invoke,
  i.fault_id, i.host, i.direction, i.length
FROM hits i JOIN ops o ON o.conn_cookie = i.conn_cookie AND o.invoke_ns <= i.t_ns AND coalesce(o.complete_ns, {ever}) >= i.t_ns;
CREATE MACRO latency_of(width) AS TABLE
SELECT window_number AS second, window_number * width / 1000000000 AS from_s, f, outcome, count(*) AS count,
  approx_quantile(ms, [0.5, 0.95, 0.99]) AS q, max(ms) AS max_ms
FROM (SELECT (invoke_ns - {start}) // width AS window_number, f, outcome, (complete_ns - invoke_ns) / 1e6 AS ms FROM ops) GROUP BY ALL;
CREATE VIEW latency AS SELECT second, f, outcome, count, q[1] AS p50_ms, q[2] AS p95_ms, q[3] AS p99_ms, max_ms FROM latency_of(1000000000);
CREATE VIEW latency_5s_node AS SELECT from_s, node, count, q[1] AS p50_ms, q[3] AS p99_ms FROM (
  SELECT (invoke_ns - {start}) // 5000000000 * 5 AS from_s, node, count(*) AS count, approx_quantile((complete_ns - invoke_ns) / 1e6, [0.5, 0.95, 0.99]) AS q
  FROM ops GROUP BY ALL);
CREATE VIEW latency_histogram AS SELECT *, repeat('#', CAST(ceil(40 * count / max(count) OVER (PARTITION BY f, outcome)) AS BIGINT)) AS bar,
  round(100 * count / sum(count) OVER (PARTITION BY f, outcome), 2) AS percent FROM (
  SELECT f, outcome, power(2, b / 2) AS from_ms, power(2, (b + 1) / 2) AS to_ms, count(*) AS count
  FROM (SELECT f, outcome, floor(2 * log2(greatest(complete_ns - invoke_ns, 1) / 1e6)) AS b FROM ops WHERE complete_ns IS NOT NULL) GROUP BY ALL);
CREATE MACRO ops_of(p) AS TABLE SELECT op_id, at_s(invoke_ns) AS t_s, node, f AS call, outcome, ms(complete_ns - invoke_ns) AS latency_ms, error_code
  FROM ops WHERE process = p;
CREATE VIEW timeline_10s AS SELECT row_number() OVER (ORDER BY t_s, place, name) AS n, * FROM (
  SELECT (start_ns - {start}) / 1e9 AS t_s, 2 AS place, 'fault begins' AS what, phase AS name, description AS detail FROM faults
  UNION ALL SELECT (stop_ns - {start}) / 1e9, 1, 'fault ends', phase, kind FROM faults
  UNION ALL SELECT (t_ns - {start}) / 1e9, 3, 'node ' || event, node, detail FROM nodes
  UNION ALL SELECT n * 10, 4, 'injections', name, CAST(packets AS VARCHAR) FROM (
    SELECT (t_ns - {start}) // 10000000000 AS n, action || ' by fault ' || fault_id AS name, count(*) AS packets FROM injections GROUP BY ALL)
  UNION ALL SELECT n * 10, 5, 'operations', f, ok || ' ok, ' || fail || ' fail, ' || info || ' info' FROM (
    SELECT (invoke_ns - {start}) // 10000000000 AS n, f, count(*) FILTER (outcome = 'ok') AS ok, count(*) FILTER (outcome = 'fail') AS fail,
      count(*) FILTER (outcome = 'info') AS info FROM ops GROUP BY ALL));
""")
for pattern, replacement in [
    (r"timeline\('10s'\)", "timeline_10s"),
    (r"latency\('5s', 'node'\)", "latency_5s_node"),
    (r"latency_histogram\(\)", "latency_histogram"),
    (r"s\.value", "s.generate_series"),
    (r"complete_ns / 100000000", "complete_ns // 100000000"),
    (r"last_value\((.*?) ORDER BY (.*?)\)", r"last(\1 ORDER BY \2)"),
    (r"cardinality\(mops\)", "len(mops)"),
    (r"\bAS at_s\b", "AS moment_s"),
    (r"\bAS over\b", "AS lasted"),
    (r"\bAS mops\b", "AS mop_count"),
]:
    sql = re.sub(pattern, replacement, sql)
# An answer that takes longer is none.
threading.Timer(float(os.environ.get("FISSURE_BENCH_SECONDS_MAX", "300")), db.interrupt).start()
try:
    rows = len(db.execute(sql).fetchall())
    answer = {"seconds": time.time() - started, "rows": rows}
except Exception as error:
    answer = {"seconds": 0, "rows": 0, "error": str(error)}
status = open("/proc/self/status").read()
answer["peak_mib"] = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
print(json.dumps(answer), flush=True)
os._exit(0)
