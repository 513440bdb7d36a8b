//! The session: a run opened for questions.

use crate::error::{Known, SqlError};
use crate::{findings, functions, tables, views};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use fissure_history::{Error, Manifest, RunDir, RunState, Table, read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

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

/// A run opened for questions.
pub struct Session {
    context: SessionContext,
    runtime: Option<Runtime>,
    run: RunDir,
    relations: Vec<Relation>,
    notes: Vec<String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("run", &self.run).field("notes", &self.notes).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a run: its folder, a store (the newest run in it), or whatever else [`RunDir::open`] finds.
    ///
    /// A run that is not sealed opens too; its tables have no rows, and [`Session::notes`] says so. Must not be called
    /// from within an asynchronous runtime.
    ///
    /// # Errors
    /// If there is no such run, if it was written by a newer version, or if its `results.json` is damaged.
    pub fn open(target: &Path) -> Result<Self, SqlError> {
        let run = RunDir::open(target)?;
        let manifest = Manifest::read(run.path())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("fissure-sql")
            .enable_all()
            .build()
            .map_err(|source| SqlError::Runtime { source })?;
        let config =
            SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema("fissure", "run");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_physical_optimizer_rules(functions::physical_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let mut session = Self { context, runtime: Some(runtime), run, relations: Vec::new(), notes: Vec::new() };
        session.register_tables(&manifest)?;
        session.register_findings()?;
        session.register_views(&manifest)?;
        Ok(session)
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunDir {
        &self.run
    }

    /// What the reader of answers must know: why tables have no rows, for instance. Sentences without a full stop.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tables and views, tables first, in the order of the document.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Answers one statement: SELECT, SHOW, DESCRIBE or EXPLAIN. There is always at least one batch, if without rows, so
    /// that the columns are known. Must not be called from within an asynchronous runtime: use [`Session::query_async`].
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
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let failed = |error: DataFusionError| SqlError::from_datafusion(&error, &self.known());
        let frame = self.context.sql_with_options(sql, read_only).await.map_err(failed)?;
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(failed)?;
        Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
    }

    fn known(&self) -> Known {
        let state = self.context.state();
        let scalar = state.scalar_functions().keys();
        let functions = scalar.chain(state.aggregate_functions().keys()).chain(state.window_functions().keys());
        Known {
            relations: self.relations.iter().map(|relation| relation.name.clone()).collect(),
            functions: functions.cloned().collect(),
        }
    }

    fn block_on<T>(&self, future: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            // Only while it is being dropped.
            None => Err(SqlError::Execution { detail: "the session is closed".to_owned() }),
        }
    }

    fn register_tables(&mut self, manifest: &Manifest) -> Result<(), SqlError> {
        let mut missing = Vec::new();
        for table in Table::ALL {
            let files = self.files(table, manifest)?;
            if files.is_empty() {
                missing.push(table.name());
            }
            let provider = tables::provider(table, &files).map_err(|error| internal(&error))?;
            self.context.register_table(table.name(), provider).map_err(|error| internal(&error))?;
            self.relate(table.name(), "table", tables::describe(table), &table.schema());
        }
        if !missing.is_empty() && self.notes.is_empty() {
            self.notes.push(format!("the run has no files of {}: they have no rows here", missing.join(", ")));
        }
        Ok(())
    }

    /// The files of a table; none, with a note, where the run is not sealed.
    fn files(&mut self, table: Table, manifest: &Manifest) -> Result<Vec<PathBuf>, SqlError> {
        match read::table_files(self.run.path(), table) {
            Ok(files) => Ok(files),
            Err(Error::NotSealed { .. } | Error::NoRun { .. }) => {
                let note = self.why_unsealed(manifest);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn why_unsealed(&self, manifest: &Manifest) -> String {
        let path = self.run.path().display();
        if manifest.owner.as_ref().is_some_and(|owner| owner.is_alive()) {
            format!("{path} is still running: its tables have no rows before it is sealed at its end")
        } else if self.run.journal_dir().is_dir() && manifest.state == RunState::Running {
            format!(
                "{path} was not sealed, so its tables have no rows: `fissure recover {path}` seals what it journaled"
            )
        } else {
            format!("{path} has no history, so its tables have no rows")
        }
    }

    fn register_findings(&mut self) -> Result<(), SqlError> {
        let batches: Vec<RecordBatch> = findings::read(self.run.path())?.into_iter().collect();
        if batches.is_empty() {
            self.notes
                .push("the run has not been judged, so `findings` has no rows: `fissure check` judges it".to_owned());
        }
        let table = MemTable::try_new(findings::schema(), vec![batches]).map_err(|error| internal(&error))?;
        self.context.register_table("findings", Arc::new(table)).map_err(|error| internal(&error))?;
        Ok(())
    }

    fn register_views(&mut self, manifest: &Manifest) -> Result<(), SqlError> {
        let started_ns = (manifest.started_ns > 0).then_some(manifest.started_ns);
        let shape = views::Shape { many: false, started_ns };
        functions::register(&self.context, &shape);
        for view in views::all(&shape) {
            let create = format!("CREATE VIEW {} AS {}", view.name, view.sql);
            let schema = self.block_on(async {
                self.context.sql(&create).await.map_err(|error| internal(&error))?;
                let frame = self.context.table(view.name).await.map_err(|error| internal(&error))?;
                Ok(Arc::new(frame.schema().as_arrow().clone()))
            })?;
            self.relate(view.name, "view", view.description, &schema);
        }
        self.relate("findings", "view", "what the checkers found, from results.json", &findings::schema());
        Ok(())
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
        // A plain drop would wait for threads, which panics within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
