//! The tables of what the checkers said, over the runs of a session. The files are read when a query asks for them, those
//! of the runs that it wants only, and then kept, for all of the tables.

use crate::error::SqlError;
use crate::findings::{self, Said};
use crate::objects;
use crate::run::Run;
use crate::runs::Runs;
use crate::tables::wanted_runs;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Files that are read at the same time.
const READ_AT_ONCE: usize = 16;

/// What one run's file says, in the order of [`Said::ALL`]; `None` if the run was not judged.
type Read = Option<[RecordBatch; 4]>;

/// One of the tables over all runs.
#[derive(Debug)]
pub(crate) struct FindingsTable {
    runs: Arc<Runs>,
    said: Said,
    schema: SchemaRef,
    /// What was read so far of each run; without the run columns.
    read: Arc<Vec<OnceLock<Read>>>,
}

impl FindingsTable {
    /// All of the tables, which share what they read.
    pub(crate) fn all(runs: &Arc<Runs>) -> [Self; 4] {
        let read: Arc<Vec<OnceLock<Read>>> = Arc::new(runs.all.iter().map(|_| OnceLock::new()).collect());
        Said::ALL.map(|said| {
            let own = said.schema();
            let columns = runs.columns().into_iter().chain(own.fields().iter().cloned());
            let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
            Self { runs: Arc::clone(runs), said, schema, read: Arc::clone(&read) }
        })
    }

    /// Which one it is.
    pub(crate) fn said(&self) -> Said {
        self.said
    }

    /// The rows of one run; `None` if it was not judged.
    ///
    /// # Errors
    /// If its file cannot be read or understood.
    pub(crate) async fn of(&self, run: usize) -> Result<Option<RecordBatch>, SqlError> {
        let mine = |read: &Read| read.as_ref().map(|tables| tables[self.said as usize].clone());
        if let Some(read) = self.read[run].get() {
            return Ok(mine(read));
        }
        let read = read(&self.runs.all[run]).await?;
        Ok(mine(self.read[run].get_or_init(|| read)))
    }

    /// The rows of one run with the run columns.
    async fn rows(&self, run: usize) -> Result<Option<RecordBatch>> {
        let found = match self.of(run).await {
            Ok(found) => found,
            Err(error) if self.runs.many => {
                self.runs.note(format!("the findings of {} are left out: {error}", self.runs.all[run].name));
                None
            }
            Err(error) => return Err(DataFusionError::Execution(error.to_string())),
        };
        let Some(found) = found else { return Ok(None) };
        let values = if self.runs.many { self.runs.all[run].values() } else { Vec::new() };
        let values = values.iter().map(|value| value.to_array_of_size(found.num_rows()));
        let columns = values.chain(found.columns().iter().cloned().map(Ok)).collect::<Result<Vec<_>>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

async fn read(run: &Run) -> Result<Read, SqlError> {
    let Some(results) = &run.results else { return Ok(None) };
    let path = format!("{}/{}", run.path.trim_end_matches('/'), findings::RESULTS_FILE);
    let bytes = match run.store.read(results).await {
        Ok(bytes) => bytes,
        // It is gone since the run was opened.
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(objects::failed(&path, &error)),
    };
    findings::parse(&PathBuf::from(path), &bytes).map(Some)
}

#[async_trait]
impl TableProvider for FindingsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Conditions reach the scan, which takes from them which runs are wanted; the engine checks them again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = wanted_runs(&self.runs, state, filters)?;
        let runs = (0..self.runs.all.len()).filter(|run| wanted.value(*run));
        let read = futures::stream::iter(runs).map(|run| self.rows(run)).buffered(READ_AT_ONCE);
        let batches: Vec<Result<Option<RecordBatch>>> = read.collect().await;
        let batches: Vec<RecordBatch> = batches.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
        MemTable::try_new(Arc::clone(&self.schema), vec![batches])?.scan(state, projection, filters, limit).await
    }
}
