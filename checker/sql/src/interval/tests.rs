//! The join held against the engine's own joins.

use crate::functions::physical_rules;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

/// Knuth's generator: plain, and the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit) as i64
    }
}

/// Rows with a run, a number, an interval whose parts may be null, and the same interval as floats; in several batches.
fn rows(draw: &mut Draw, count: usize, batch_rows: usize) -> Vec<RecordBatch> {
    let mut made = Vec::new();
    let mut next_id = 0;
    while next_id < count {
        let size = batch_rows.min(count - next_id);
        let maybe = |draw: &mut Draw, value: i64| (draw.below(10) > 0).then_some(value);
        let begins: Vec<Option<i64>> = (0..size)
            .map(|_| {
                let at = draw.below(200);
                maybe(draw, at)
            })
            .collect();
        let ends: Vec<Option<i64>> = begins
            .iter()
            .map(|begin| {
                let end = begin.unwrap_or(5) + draw.below(20) - 1;
                maybe(draw, end)
            })
            .collect();
        let groups: Vec<Option<i64>> = (0..size)
            .map(|_| {
                let group = draw.below(4);
                maybe(draw, group)
            })
            .collect();
        let runs: Vec<&str> = (0..size).map(|_| ["a", "b"][draw.below(2) as usize]).collect();
        let floats: Float64Array = begins.iter().map(|begin| begin.map(|begin| begin as f64 / 2.0)).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new((next_id as i64..(next_id + size) as i64).map(Some).collect::<Int64Array>())),
            ("run", Arc::new(StringArray::from(runs))),
            ("g", Arc::new(Int64Array::from(groups))),
            ("b", Arc::new(Int64Array::from(begins))),
            ("e", Arc::new(Int64Array::from(ends))),
            ("x", Arc::new(floats)),
        ];
        made.push(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap());
        next_id += size;
    }
    made
}

fn context(with_rule: bool, partitions: usize, tables: &[(&str, Vec<RecordBatch>)]) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(64);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    let builder = if with_rule { builder.with_physical_optimizer_rules(physical_rules()) } else { builder };
    let context = SessionContext::new_with_state(builder.build());
    for (name, batches) in tables {
        let schema = batches[0].schema();
        // One partition per batch, so that several streams take part.
        let parts = batches.iter().map(|batch| vec![batch.clone()]).collect();
        context.register_table(*name, Arc::new(MemTable::try_new(schema, parts).unwrap())).unwrap();
    }
    context
}

fn answer(context: &SessionContext, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let batches = runtime.block_on(async { context.sql(sql).await?.collect().await });
    let batches = batches.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<String> = text.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn every_kind_of_join_has_the_rows_of_the_engines_own() {
    let overlaps = [
        "s.b <= l.e AND s.e >= l.b",
        "s.b < l.e AND l.b < s.e",
        "s.b BETWEEN l.b AND l.e",
        "l.b BETWEEN s.b AND coalesce(s.e, 9223372036854775807)",
        "s.g = l.g AND s.b <= l.e AND s.e >= l.b",
        "s.run = l.run AND s.g = l.g AND s.b >= l.b AND s.b < coalesce(l.e, 9223372036854775807)",
        "s.b <= l.e AND s.e >= l.b AND s.id % 3 <> l.id % 3",
        "s.x <= l.x AND s.x + 3.5 >= l.x AND s.run = l.run",
        "s.b <= l.e + 10 AND s.e >= l.b - 10 AND s.b < l.id",
    ];
    let joins = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"];
    let mut draw = Draw(11);
    let mut rows_seen = 0;
    for (round, (on, join)) in overlaps.iter().flat_map(|on| joins.map(|join| (*on, join))).enumerate() {
        let (small, large) = (1 + draw.below(60) as usize, 1 + draw.below(500) as usize);
        let tables = [("small", rows(&mut draw, small, 17)), ("large", rows(&mut draw, large, 90))];
        let columns = if join.contains("SEMI") || join.contains("ANTI") { "s.*" } else { "s.id AS i, s.run, l.*" };
        for flipped in [false, true] {
            let (s, l) = if flipped { ("large", "small") } else { ("small", "large") };
            let sql = format!("SELECT {columns} FROM {s} s {join} {l} l ON {on}");
            let (mine, theirs) = (context(true, 1 + round % 3, &tables), context(false, 2, &tables));
            let plan = answer(&mine, &format!("EXPLAIN {sql}")).concat();
            assert!(plan.contains("IntervalJoinExec"), "{sql}: {plan}");
            let (found, expected) = (answer(&mine, &sql), answer(&theirs, &sql));
            assert_eq!(found, expected, "{sql}");
            rows_seen += found.len();
        }
    }
    assert!(rows_seen > 20_000, "{rows_seen}");
}

#[test]
fn other_joins_stay_what_they_are() {
    let mut draw = Draw(3);
    let tables = [("small", rows(&mut draw, 30, 17)), ("large", rows(&mut draw, 90, 50))];
    let context = context(true, 2, &tables);
    for on in [
        "s.g = l.g",
        "s.b <= l.e",
        "s.b <= l.e AND s.e <= l.b",
        "s.b - l.e <= 3 AND s.b + l.e >= 7",
        "s.run <= l.run AND l.run <= s.run",
    ] {
        let plan = answer(&context, &format!("EXPLAIN SELECT s.id FROM small s JOIN large l ON {on}")).concat();
        assert!(!plan.contains("IntervalJoinExec"), "{on}: {plan}");
    }
}

#[test]
fn only_the_columns_that_are_asked_for_are_put_together() {
    let mut draw = Draw(3);
    let tables = [("small", rows(&mut draw, 30, 17)), ("large", rows(&mut draw, 90, 50))];
    let context = context(true, 2, &tables);
    let sql = "SELECT l.id FROM small s JOIN large l ON s.b <= l.e AND s.e >= l.b";
    let plan = answer(&context, &format!("EXPLAIN {sql}")).concat();
    assert!(plan.contains("projection=[id]"), "{plan}");
    let count = answer(&context, &sql.replace("l.id", "count(*)"));
    assert_eq!(count[0].trim_matches(['|', ' ']), answer(&context, sql)[1..].len().to_string());
}

#[test]
fn memory_that_does_not_suffice_is_said() {
    let mut draw = Draw(5);
    let tables = [("small", rows(&mut draw, 20_000, 4_000)), ("large", rows(&mut draw, 30_000, 4_000))];
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(200_000, 1.0).build_arc().unwrap();
    let state = context(true, 2, &tables).into_state_builder_for_test(runtime);
    let sql = "SELECT count(*) FROM small s JOIN large l ON s.b <= l.e AND s.e >= l.b AND s.id = l.id";
    let waiting = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = waiting.block_on(async { state.sql(sql).await.unwrap().collect().await }).unwrap_err().to_string();
    assert!(error.contains("does not fit into memory"), "{error}");
}

/// The same session with another runtime.
trait WithRuntime {
    fn into_state_builder_for_test(self, runtime: Arc<datafusion::execution::runtime_env::RuntimeEnv>) -> Self;
}

impl WithRuntime for SessionContext {
    fn into_state_builder_for_test(self, runtime: Arc<datafusion::execution::runtime_env::RuntimeEnv>) -> Self {
        let state = SessionStateBuilder::new_from_existing(self.state()).with_runtime_env(runtime).build();
        SessionContext::new_with_state(state)
    }
}
