//! The session: one run or many, opened for questions.

use crate::answer::{Answer, Interrupt};
use crate::error::{Known, SqlError};
use crate::findings::Said;
use crate::findings_table::FindingsTable;
use crate::limits::{Limits, Spill};
use crate::objects::Store;
use crate::runs::{Runs, runs_schema};
use crate::tables::HistoryTable;
use crate::target::Target;
use crate::views::Shape;
use crate::{functions, limits, tables, target, views};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use fissure_history::Table;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long the end of a session waits for work that was interrupted.
const END_WAIT_MAX: Duration = Duration::from_secs(2);

/// Pause between two looks at the memory that is in use.
const MEMORY_WAIT: Duration = Duration::from_millis(10);

/// Most such pauses.
const MEMORY_WAITS_MAX: u32 = 200;

/// Memory below which batches are smaller, bytes: the least that an operator can do is to hold a few of them.
const SMALL_MEMORY_BYTES: u64 = 512 << 20;

/// Rows of these smaller batches.
const SMALL_BATCH_ROWS: usize = 2048;

/// A table or view, for listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// `table` or `view`.
    pub kind: &'static str,
    /// What it holds, in a line.
    pub description: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A column of a table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, in the words of `docs/history-schema.md`; `?` means that it may be null.
    pub type_name: String,
}

/// Runs opened for questions.
pub struct Session {
    context: SessionContext,
    runtime: Option<Runtime>,
    runs: Arc<Runs>,
    relations: Vec<Relation>,
    interrupt: Interrupt,
    memory_bytes: u64,
    /// Removed after everything that writes into it has ended.
    spill: Option<Spill>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("runs", &self.runs).finish_non_exhaustive()
    }
}

/// What is wanted of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Everything.
    All,
    /// No more rows than these.
    AtMost(usize),
    /// Their number, as the only row.
    Counted,
}

/// A statement that is ready to be carried out.
pub(crate) struct Planned {
    pub(crate) schema: SchemaRef,
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) context: Arc<TaskContext>,
}

impl Session {
    /// Opens a run folder, a folder with runs anywhere below it, a folder of tables, or a Parquet file, with the limits that
    /// are usual on this machine. See [`Session::open_all`].
    ///
    /// # Errors
    /// As [`Session::open_all`].
    pub fn open(target: &Path) -> Result<Self, SqlError> {
        Self::open_all(&[Target::Path(target.to_owned())], &Limits::default())
    }

    /// Opens targets. One run on its own has the tables of `docs/history-schema.md`; a folder of runs, and several targets,
    /// are many runs: then each table and view begins with the columns `run`, `scenario` and `seed`. The table `runs` is
    /// always there.
    ///
    /// A run that is not sealed opens too; its tables have no rows, and [`Session::notes`] says so. Among many runs those that
    /// are not sealed, are damaged or of a newer version are left out, with a note. Must not be called from within an
    /// asynchronous runtime.
    ///
    /// # Errors
    /// If there is no such run, if it was written by a newer version, if its `results.json` is damaged, if a store cannot be
    /// reached, or if the folder for spilled data cannot be used.
    pub fn open_all(targets: &[Target], limits: &Limits) -> Result<Self, SqlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads())
            .thread_name("fissure-sql")
            .enable_all()
            .build()
            .map_err(|source| SqlError::Runtime { source })?;
        let (env, spill) = limits::runtime_env(limits)?;
        let state = SessionStateBuilder::new()
            .with_config(config(limits))
            .with_runtime_env(env)
            .with_default_features()
            .with_physical_optimizer_rules(functions::physical_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let (runs, stores) =
            runtime.block_on(target::open(targets, &context.state(), spill.as_ref().map(Spill::path)))?;
        for Store { url, objects } in stores.iter().map(AsRef::as_ref) {
            context.register_object_store(url.as_ref(), Arc::clone(objects));
        }
        let mut session = Self {
            context,
            runtime: Some(runtime),
            runs: Arc::new(runs),
            relations: Vec::new(),
            interrupt: Interrupt::default(),
            memory_bytes: limits.memory(),
            spill,
        };
        session.register_tables()?;
        session.register_views()?;
        Ok(session)
    }

    /// The names of the runs, in order.
    pub fn run_names(&self) -> impl Iterator<Item = &str> {
        self.runs.all.iter().map(|run| run.name.as_str())
    }

    /// What the reader of answers must know: why tables have no rows, which runs are left out. Sentences without a full
    /// stop. Statements may add to them.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.runs.notes()
    }

    /// The notes that came since the last call, or since the session was opened.
    #[must_use]
    pub fn new_notes(&self) -> Vec<String> {
        self.runs.new_notes()
    }

    /// The tables and views, tables first, in the order of the document.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The names of all functions, in order.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        let mut functions = self.known().functions;
        functions.sort_unstable();
        functions.dedup();
        functions
    }

    /// The folder for what does not fit into memory, if there is one. It is removed with the session.
    #[must_use]
    pub fn spill_path(&self) -> Option<PathBuf> {
        self.spill.as_ref().map(|spill| spill.path().to_owned())
    }

    /// What ends the statement that is being answered.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Answers one statement: SELECT, SHOW, DESCRIBE or EXPLAIN. There is always at least one batch, if without rows, so
    /// that the columns are known. Must not be called from within an asynchronous runtime: use [`Session::query_async`].
    /// The whole answer is held in memory: [`Session::answer`] is for large ones.
    ///
    /// # Errors
    /// If the statement is wrong, would change something, or cannot be carried out.
    pub fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
        self.block_on(self.query_async(sql))
    }

    /// As [`Session::query`], within a tokio runtime.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn query_async(&self, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
        let mut answer = self.interrupt.or(Answer::start(self, sql, Rows::All)).await?;
        let mut batches = Vec::new();
        while let Some(batch) = self.interrupt.or(answer.next()).await? {
            batches.push(batch);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(Arc::clone(answer.schema())));
        }
        Ok(batches)
    }

    /// Starts to answer one statement, batch by batch; at most `limit` rows, if there is a limit. Must not be called from
    /// within an asynchronous runtime.
    ///
    /// # Errors
    /// If the statement is wrong, would change something, or was interrupted.
    pub fn answer(&self, sql: &str, limit: Option<usize>) -> Result<Answer<'_>, SqlError> {
        self.block_on(self.interrupt.or(Answer::start(self, sql, limit.map_or(Rows::All, Rows::AtMost))))
    }

    /// The number of rows of a statement's answer, if it can be had within this time. An interrupt ends the counting and
    /// nothing else.
    pub(crate) fn count_rows(&self, sql: &str, time_max: Duration) -> Option<u64> {
        let count = async {
            let mut answer = Answer::start(self, sql, Rows::Counted).await?;
            let batch = answer.next().await?;
            let column = batch.as_ref().and_then(|batch| batch.columns().first()?.as_primitive_opt::<Int64Type>());
            Ok(column.filter(|column| !column.is_empty()).map(|column| column.value(0)))
        };
        let counted = self.block_on(async {
            match tokio::time::timeout(time_max, self.interrupt.or(count)).await {
                Ok(counted) => counted,
                Err(_) => Ok(None),
            }
        });
        self.interrupt.clear();
        counted.ok().flatten().and_then(|count| u64::try_from(count).ok())
    }

    async fn frame(&self, context: &SessionContext, sql: &str) -> Result<DataFrame, SqlError> {
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        context.sql_with_options(sql, read_only).await.map_err(|error| self.translate(&error, sql))
    }

    /// Plans a statement, with joins by hashing or by sorting.
    pub(crate) async fn plan(&self, sql: &str, rows: Rows, hash_joins: bool) -> Result<Planned, SqlError> {
        let failed = |error: DataFusionError| self.translate(&error, sql);
        let context = if hash_joins {
            self.context.clone()
        } else {
            let mut state = self.context.state();
            let options = state.config_mut().options_mut();
            options.optimizer.prefer_hash_join = false;
            // A single partition is joined by hashing whatever is preferred.
            options.execution.target_partitions = options.execution.target_partitions.max(2);
            SessionContext::new_with_state(state)
        };
        let mut frame = self.frame(&context, sql).await?;
        frame = match rows {
            Rows::AtMost(limit) if is_query(frame.logical_plan()) => frame.limit(0, Some(limit)).map_err(failed)?,
            Rows::Counted => frame.aggregate(Vec::new(), vec![count_all()]).map_err(failed)?,
            Rows::AtMost(_) | Rows::All => frame,
        };
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(failed)?;
        Ok(Planned { schema, plan, context: task })
    }

    /// An error about a statement.
    pub(crate) fn translate(&self, error: &DataFusionError, sql: &str) -> SqlError {
        SqlError::from_datafusion(error, &self.known(), sql)
    }

    /// Waits, not for long, until what was ended has given its memory back.
    pub(crate) async fn wait_for_memory(&self) {
        let pool = Arc::clone(&self.context.runtime_env().memory_pool);
        for _ in 0..MEMORY_WAITS_MAX {
            if pool.reserved() == 0 {
                return;
            }
            tokio::time::sleep(MEMORY_WAIT).await;
        }
    }

    pub(crate) fn note_slow_join(&self) {
        let note = "a join did not fit into memory and was done by sorting, which is slower; --memory gives more";
        self.runs.note(note.to_owned());
    }

    fn known(&self) -> Known {
        let state = self.context.state();
        let scalar = state.scalar_functions().keys();
        let functions = scalar.chain(state.aggregate_functions().keys()).chain(state.window_functions().keys());
        let functions = functions.chain(state.table_functions().keys());
        Known {
            relations: self.relations.iter().map(|relation| relation.name.clone()).collect(),
            functions: functions.cloned().collect(),
            memory_bytes: self.memory_bytes,
        }
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            // Only while it is being dropped.
            None => Err(SqlError::Execution { detail: "the session is closed".to_owned() }),
        }
    }

    fn register_tables(&mut self) -> Result<(), SqlError> {
        let mut missing = Vec::new();
        for table in Table::ALL {
            let provider = HistoryTable::new(table, &self.runs);
            // Histories of the first version have no names.
            if provider.is_empty() && table != Table::Names {
                missing.push(table.name());
            }
            let provider = Arc::new(provider);
            self.relate(table.name(), "table", tables::describe(table), &provider.schema());
            self.context.register_table(table.name(), provider).map_err(|error| internal(&error))?;
        }
        let is_one_run = !self.runs.many && self.runs.all.iter().any(|run| run.manifest.is_some());
        if is_one_run && !missing.is_empty() && self.runs.notes().is_empty() {
            self.runs.note(format!("the run has no files of {}: they have no rows here", missing.join(", ")));
        }
        self.register_findings()?;
        let runs = self.runs.table().map_err(|error| internal(&error.into()))?;
        let runs = MemTable::try_new(runs_schema(), vec![vec![runs]]).map_err(|error| internal(&error))?;
        self.context.register_table("runs", Arc::new(runs)).map_err(|error| internal(&error))?;
        self.relate("runs", "table", "one row per run, from its manifest", &runs_schema());
        Ok(())
    }

    fn register_findings(&mut self) -> Result<(), SqlError> {
        let tables = FindingsTable::all(&self.runs);
        let [findings, ..] = &tables;
        if !self.runs.many && !self.runs.all.is_empty() {
            // What is wrong with the results of a single run is said at once.
            let judged = self.block_on(findings.of(0))?;
            if judged.is_none() && self.runs.all[0].manifest.is_some() {
                self.runs.note(
                    "the run has not been judged, so `findings` has no rows: `fissure check` judges it".to_owned(),
                );
            }
        }
        for table in tables {
            self.context.register_table(table.said().name(), Arc::new(table)).map_err(|error| internal(&error))?;
        }
        Ok(())
    }

    fn shape(&self) -> Shape {
        let manifest = self.runs.all.first().and_then(|run| run.manifest.as_ref()).filter(|_| !self.runs.many);
        let started_ns = manifest.map(|manifest| manifest.started_ns).filter(|ns| *ns > 0);
        Shape { many: self.runs.many, started_ns }
    }

    fn register_views(&mut self) -> Result<(), SqlError> {
        let shape = self.shape();
        functions::register(&self.context, &shape);
        for view in views::all(&shape) {
            let create = format!("CREATE VIEW {} AS {}", view.name, view.sql);
            let schema = self.block_on(async {
                self.context.sql(&create).await.map_err(|error| internal(&error))?;
                self.schema_of(view.name).await
            })?;
            self.relate(view.name, "view", view.description, &schema);
        }
        for said in Said::ALL {
            let schema = self.block_on(self.schema_of(said.name()))?;
            self.relate(said.name(), "view", said.description(), &schema);
        }
        Ok(())
    }

    async fn schema_of(&self, relation: &str) -> Result<SchemaRef, SqlError> {
        let frame = self.context.table(relation).await.map_err(|error| internal(&error))?;
        Ok(Arc::new(frame.schema().as_arrow().clone()))
    }

    fn relate(&mut self, name: &str, kind: &'static str, description: &'static str, schema: &SchemaRef) {
        let columns = schema.fields().iter().map(|field| Column {
            name: field.name().clone(),
            type_name: format!("{}{}", type_name(field.data_type()), if field.is_nullable() { "?" } else { "" }),
        });
        let columns = columns.collect();
        self.relations.push(Relation { name: name.to_owned(), kind, description, columns });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // Waiting for threads panics within another runtime. Elsewhere it is waited for what still writes spilled data.
        if tokio::runtime::Handle::try_current().is_ok() {
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(END_WAIT_MAX);
        }
    }
}

fn config(limits: &Limits) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema("fissure", "run")
        .with_target_partitions(limits.threads());
    if limits.memory() < SMALL_MEMORY_BYTES {
        config = config.with_batch_size(SMALL_BATCH_ROWS);
    }
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // As in the tables: views of long strings count more than they are.
    options.sql_parser.map_string_types_to_utf8view = false;
    // What a condition leaves out is not decoded: calls are by far the largest columns.
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    // A sort that puts batches together counts shared strings once for each batch that it takes apart again, and may
    // refuse for it.
    options.execution.sort_in_place_threshold_bytes = 0;
    // What a sort keeps free to merge with must leave room to sort in.
    let share = usize::try_from(limits.memory() / (8 * limits.threads() as u64)).unwrap_or(usize::MAX);
    let reserved = &mut options.execution.sort_spill_reservation_bytes;
    *reserved = (*reserved).min(share);
    config
}

/// Whether a limit on the rows means the rows of the answer, and not of what is explained or described.
fn is_query(plan: &LogicalPlan) -> bool {
    !matches!(
        plan,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) | LogicalPlan::Statement(_)
    )
}

/// An error about the session's own tables and views, not about a statement of the user.
fn internal(error: &DataFusionError) -> SqlError {
    SqlError::Execution { detail: error.strip_backtrace() }
}

/// A type in the words of the document.
fn type_name(data_type: &DataType) -> String {
    let nullable = |field: &arrow::datatypes::Field| if field.is_nullable() { "?" } else { "" };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::List(item) => format!("list<{}{}>", type_name(item.data_type()), nullable(item)),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{} {}{}", field.name(), type_name(field.data_type()), nullable(field)))
                .collect();
            format!("struct<{}>", fields.join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}
