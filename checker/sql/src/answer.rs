//! Answers as they come: batch by batch, never more than a few of them in memory, and ended when somebody interrupts.

use crate::error::SqlError;
use crate::session::{Rows, Session};
use crate::stop::{Stop, stoppable};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, StreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

/// Batches that wait for the reader of an answer.
const WAITING_BATCHES: usize = 2;

/// Ends the statement that is being answered, from another thread. Clones are the same interrupt.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    inner: Arc<InterruptInner>,
}

#[derive(Debug, Default)]
struct InterruptInner {
    is_set: AtomicBool,
    changed: Notify,
}

impl Interrupt {
    /// Ends the statement that is being answered, and those that come, until [`Interrupt::clear`].
    pub fn set(&self) {
        self.inner.is_set.store(true, Ordering::SeqCst);
        self.inner.changed.notify_waiters();
    }

    /// Statements are answered again.
    pub fn clear(&self) {
        self.inner.is_set.store(false, Ordering::SeqCst);
    }

    /// Whether statements are ended.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.inner.is_set.load(Ordering::SeqCst)
    }

    /// Returns once it is set.
    async fn wait(&self) {
        loop {
            // It listens from here on, so that what comes after the look is heard.
            let changed = self.inner.changed.notified();
            if self.is_set() {
                return;
            }
            changed.await;
        }
    }

    /// What the future gives, unless it is interrupted before.
    pub(crate) async fn or<T>(&self, future: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        tokio::select! {
            biased;
            () = self.wait() => Err(SqlError::Interrupted),
            result = future => result,
        }
    }
}

/// An answer that is being computed. Dropping it ends the computation.
pub struct Answer<'a> {
    session: &'a Session,
    sql: String,
    rows_wanted: Rows,
    schema: SchemaRef,
    running: Running,
    rows: u64,
    /// Whether it joins by hashing, and can be started again with joins by sorting.
    may_sort: bool,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("sql", &self.sql).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The task that computes.
struct Running {
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: AbortHandle,
    stop: Stop,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    /// Ends the computation as soon as it pauses, or looks.
    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

impl Running {
    /// Must be called within the session's runtime.
    fn start(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Self, DataFusionError> {
        let stop = Stop::default();
        let plan = stoppable(plan, &stop)?;
        let (sender, batches) = mpsc::channel(WAITING_BATCHES);
        let task = tokio::spawn(async move {
            let stop = sender.clone();
            let work = async {
                let mut stream = match execute_stream(plan, context) {
                    Ok(stream) => stream,
                    Err(error) => return drop(sender.send(Err(error)).await),
                };
                while let Some(batch) = stream.next().await {
                    // Nobody listens: the answer was dropped.
                    if sender.send(batch).await.is_err() {
                        return;
                    }
                }
            };
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                let text =
                    "a file could not be decoded, or the engine failed; `fissure check` tells damaged files".to_owned();
                // As above.
                let _ = stop.send(Err(DataFusionError::Execution(text))).await;
            }
        });
        Ok(Self { batches, task: task.abort_handle(), stop })
    }
}

impl<'a> Answer<'a> {
    /// Plans the statement and starts to compute what is wanted of it.
    pub(crate) async fn start(session: &'a Session, sql: &str, rows_wanted: Rows) -> Result<Answer<'a>, SqlError> {
        let planned = session.plan(sql, rows_wanted, true).await?;
        let schema = Arc::clone(&planned.schema);
        let may_sort = joins_by_hashing(&planned.plan);
        let running = Running::start(planned.plan, planned.context).map_err(|error| session.translate(&error, sql))?;
        Ok(Self { session, sql: sql.to_owned(), rows_wanted, schema, running, rows: 0, may_sort })
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows that [`Answer::next_batch`] gave so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end. Must not be called from within an asynchronous runtime.
    ///
    /// # Errors
    /// If the statement cannot be carried out, or was interrupted.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        let session = self.session;
        session.block_on(session.interrupt().or(self.next()))
    }

    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        loop {
            match self.running.batches.recv().await {
                None => return Ok(None),
                Some(Ok(batch)) => {
                    self.rows += batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                Some(Err(error)) if self.should_sort(&error) => self.join_by_sorting().await?,
                Some(Err(error)) => return Err(self.session.translate(&error, &self.sql)),
            }
        }
    }

    /// A join by hashing holds one side in memory; a join by sorting puts both aside on disk. Which one is needed shows
    /// before there is any row, nearly always.
    fn should_sort(&self, error: &DataFusionError) -> bool {
        matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) && self.may_sort && self.rows == 0
    }

    async fn join_by_sorting(&mut self) -> Result<(), SqlError> {
        self.may_sort = false;
        self.running.end();
        // Until their end the tasks hold memory that the new ones need.
        while self.running.batches.recv().await.is_some() {}
        self.session.wait_for_memory().await;
        let planned = self.session.plan(&self.sql, self.rows_wanted, false).await?;
        self.session.note_slow_join();
        let running = Running::start(planned.plan, planned.context);
        self.running = running.map_err(|error| self.session.translate(&error, &self.sql))?;
        Ok(())
    }
}

/// Whether a plan has a join that holds one side in memory.
fn joins_by_hashing(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.name() == "HashJoinExec" || plan.children().into_iter().any(joins_by_hashing)
}
