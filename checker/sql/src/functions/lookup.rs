//! What small tables say, kept at hand for scalar functions: names of integers, starts of runs.
//!
//! A table is read when a function first needs it, and once.

use crate::views::Shape;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Names by run and integer; the run is empty where there is only one.
type NamesByRun = HashMap<String, HashMap<i64, String>>;

/// Reads the tables of a session for its scalar functions.
pub(crate) struct Lookup {
    state: Box<dyn Fn() -> Option<SessionState> + Send + Sync>,
    shape: Shape,
    names: OnceLock<Result<NamesByRun, String>>,
    starts: OnceLock<Result<HashMap<String, i64>, String>>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Lookup {
    /// `state` gives the session's state, or nothing once the session is gone.
    pub(crate) fn new(state: impl Fn() -> Option<SessionState> + Send + Sync + 'static, shape: Shape) -> Self {
        Self { state: Box::new(state), shape, names: OnceLock::new(), starts: OnceLock::new() }
    }

    /// What the integer stands for in the run; the run is empty where there is only one.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub(crate) fn name(&self, run: &str, number: i64) -> Result<Option<&str>> {
        let names = self.names.get_or_init(|| self.read_names().map_err(|error| error.strip_backtrace()));
        let names = names.as_ref().map_err(|error| exec_datafusion_err!("the names cannot be read: {error}"))?;
        Ok(names.get(run).and_then(|names| names.get(&number)).map(String::as_str))
    }

    /// When the run started on CLOCK_MONOTONIC, ns.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub(crate) fn started_ns(&self, run: &str) -> Result<Option<i64>> {
        let starts = self.starts.get_or_init(|| self.read_starts().map_err(|error| error.strip_backtrace()));
        let starts = starts.as_ref().map_err(|error| exec_datafusion_err!("the runs cannot be read: {error}"))?;
        Ok(starts.get(run).copied())
    }

    fn read_names(&self) -> Result<NamesByRun> {
        let mut names = NamesByRun::new();
        if !self.has_table("names")? {
            return Ok(names);
        }
        let run = if self.shape.many { "run" } else { "''" };
        for batch in self.query(format!("SELECT {run}, id, text FROM names"))? {
            let (runs, texts) = (strings(&batch, 0)?, strings(&batch, 2)?);
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let text = texts.as_string::<i32>().value(row).to_owned();
                let run = runs.as_string::<i32>().value(row);
                names.entry(run.to_owned()).or_default().insert(numbers.value(row), text);
            }
        }
        Ok(names)
    }

    fn read_starts(&self) -> Result<HashMap<String, i64>> {
        if !self.shape.many && self.shape.started_ns.is_some() {
            return Ok(self.shape.started_ns.into_iter().map(|ns| (String::new(), ns)).collect());
        }
        let sql =
            if self.shape.many { "SELECT run, started_ns FROM runs" } else { "SELECT '', min(invoke_ns) FROM ops" };
        let mut starts = HashMap::new();
        for batch in self.query(sql.to_owned())? {
            let (runs, numbers) = (strings(&batch, 0)?, batch.column(1).as_primitive::<Int64Type>());
            for row in (0..batch.num_rows()).filter(|row| numbers.is_valid(*row)) {
                starts.insert(runs.as_string::<i32>().value(row).to_owned(), numbers.value(row));
            }
        }
        Ok(starts)
    }

    fn context(&self) -> Result<SessionContext> {
        let state = (self.state)().ok_or_else(|| exec_datafusion_err!("the session is closed"))?;
        Ok(SessionContext::new_with_state(state))
    }

    fn has_table(&self, table: &str) -> Result<bool> {
        self.context()?.table_exist(table)
    }

    /// Runs a question to its end on a thread of its own: a scalar function cannot wait for anything on the engine's.
    fn query(&self, sql: String) -> Result<Vec<RecordBatch>> {
        let context = self.context()?;
        let run = move || -> Result<Vec<RecordBatch>> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| exec_datafusion_err!("no runtime: {error}"))?;
            runtime.block_on(async { context.sql(&sql).await?.collect().await })
        };
        let thread = std::thread::Builder::new()
            .name("fissure-sql-lookup".to_owned())
            .spawn(run)
            .map_err(|error| exec_datafusion_err!("no thread: {error}"))?;
        thread.join().map_err(|_| DataFusionError::Internal("a look-up panicked".to_owned()))?
    }
}

fn strings(batch: &RecordBatch, column: usize) -> Result<arrow::array::ArrayRef> {
    Ok(cast(batch.column(column), &DataType::Utf8)?)
}
