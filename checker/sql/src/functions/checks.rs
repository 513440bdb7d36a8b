//! Table functions that run checkers: `check_append(model)`, `check_register(model, …)` and `linearizable('register')`.
//!
//! The run is read and judged when the question is planned, on a thread of its own: what `fissure check` does, with findings
//! as rows. What does not fit the memory of the session is put aside, or judged in several passes. The run must be on this
//! machine. One without findings has one row, with the verdict alone.

use crate::foreign::is_parquet;
use crate::functions::arguments::Arguments;
use crate::functions::tables::TableFunctionDoc;
use crate::views::Shape;
use arrow::array::{ArrayRef, AsArray, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{exec_datafusion_err, exec_err, plan_datafusion_err, plan_err};
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use fissure_checker::consistency::Model;
use fissure_checker::{Call, CheckResult, History, Mop, Operation, linearizable, list_append, rw_register};
use fissure_history::check::{self, Checked, Memory, Others};
use fissure_history::import::import_file;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The functions.
pub(crate) const ALL: [TableFunctionDoc; 3] = [
    TableFunctionDoc {
        name: "check_append",
        usage: "check_append('strict-serializable')",
        description: "judges the transactions over lists against a model: verdict and findings",
        takes_run: true,
    },
    TableFunctionDoc {
        name: "check_register",
        usage: "check_register('strict-serializable', 'linearizable-keys', …)",
        description: "judges the transactions over registers against a model, with what is assumed of their versions",
        takes_run: true,
    },
    TableFunctionDoc {
        name: "linearizable",
        usage: "linearizable('register')",
        description: "judges the operations on registers: verdict and findings",
        takes_run: true,
    },
];

/// Registers them.
pub(crate) fn register(context: &SessionContext, shape: &Shape) {
    for doc in ALL {
        context.register_udtf(doc.name, Arc::new(Check { doc, many: shape.many }));
    }
}

#[derive(Debug)]
struct Check {
    doc: TableFunctionDoc,
    many: bool,
}

/// What is to be judged.
#[derive(Clone, Debug)]
enum Judge {
    Append(Model),
    Register(Box<rw_register::Options>),
    Registers,
}

/// What can be assumed of the versions of registers.
const ASSUMPTIONS: &str = "'wfr-keys', 'sequential-keys', 'linearizable-keys'";

/// Options from a model and the names of assumptions.
fn register_options(model: Model, assumptions: &[String]) -> Result<rw_register::Options> {
    let mut options = rw_register::Options { model, ..Default::default() };
    for assumption in assumptions {
        match assumption.as_str() {
            "wfr-keys" => options.wfr_keys = true,
            "sequential-keys" => options.sequential_keys = true,
            "linearizable-keys" => options.linearizable_keys = true,
            _ => return plan_err!("`{assumption}` cannot be assumed, one of {ASSUMPTIONS} can"),
        }
    }
    Ok(options)
}

impl TableFunctionImpl for Check {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let usage = if self.many {
            format!("{} with the run as first argument, such as {}('run', …)", self.doc.usage, self.doc.name)
        } else {
            self.doc.usage.to_owned()
        };
        let skip = usize::from(self.many);
        let all = Arguments { values: args.exprs(), usage: &usage };
        let more = if self.doc.name == "check_register" { 3 } else { 0 };
        all.count(1 + skip, 1 + skip + more)?;
        let run = if self.many { Some(all.text(0)?) } else { None };
        let what = all.text(skip)?;
        let model = || Model::parse(&what).map_err(|error| plan_datafusion_err!("{error}"));
        let judge = match self.doc.name {
            "check_append" => Judge::Append(model()?),
            "check_register" => {
                let assumptions = (skip + 1..all.values.len()).map(|at| all.text(at)).collect::<Result<Vec<_>>>()?;
                Judge::Register(Box::new(register_options(model()?, &assumptions)?))
            }
            _ if what == "register" => Judge::Registers,
            _ => return plan_err!("`{what}` is not known here: {usage}"),
        };
        Ok(Arc::new(Judged { run, judge }))
    }
}

/// The verdict and the findings of one run.
#[derive(Debug)]
struct Judged {
    /// The run, ready to be put between quotes; none where there is only one.
    run: Option<String>,
    judge: Judge,
}

fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let ops = DataType::List(Arc::new(Field::new("item", DataType::Int64, false)));
    Arc::new(Schema::new(vec![
        text("verdict", false),
        text("model", false),
        text("reasons", true),
        text("id", true),
        text("anomaly", true),
        text("summary", true),
        Field::new("key", DataType::Int64, true),
        Field::new("ops", ops, true),
    ]))
}

#[async_trait]
impl TableProvider for Judged {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (path, judge, memory) = (self.path(state).await?, self.judge.clone(), memory(state));
        let judged = tokio::task::spawn_blocking(move || judged(&path, &judge, &memory)).await;
        // A checker that panics has no verdict.
        let result = judged.map_err(|error| exec_datafusion_err!("the checker failed: {error}"))??;
        let table = MemTable::try_new(schema(), vec![vec![batch(&result)?]])?;
        table.scan(state, projection, &[], limit).await
    }
}

impl Judged {
    /// Where the run is.
    async fn path(&self, state: &dyn Session) -> Result<PathBuf> {
        let Some(state) = state.as_any().downcast_ref::<SessionState>() else {
            return exec_err!("a checker cannot be run here");
        };
        let condition = self.run.as_ref().map_or_else(String::new, |run| format!(" WHERE run = '{run}'"));
        let context = SessionContext::new_with_state(state.clone());
        let found = context.sql(&format!("SELECT path FROM runs{condition}")).await?.collect().await?;
        let Some(batch) = found.iter().find(|batch| batch.num_rows() > 0) else {
            return exec_err!("there is no such run: `SELECT run FROM runs` lists them");
        };
        let paths = cast(batch.column(0), &DataType::Utf8)?;
        let path = paths.as_string::<i32>().value(0);
        if path.contains("://") {
            return exec_err!("{path} is not on this machine: copy the run to judge it");
        }
        Ok(PathBuf::from(path))
    }
}

/// What a checker may use: the memory of the session, and its folder for what does not fit.
fn memory(state: &dyn Session) -> Memory {
    let env = state.runtime_env();
    let bytes_max = match env.memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) => Some(bytes as u64),
        MemoryLimit::Infinite | MemoryLimit::Unknown => None,
    };
    Memory { bytes_max, spill_dir: env.disk_manager.temp_dir_paths().into_iter().next() }
}

fn judged(path: &Path, judge: &Judge, memory: &Memory) -> Result<CheckResult> {
    let (options, kind) = match judge {
        Judge::Append(model) => {
            let lists = list_append::Options { model: *model, ..Default::default() };
            (check::Options { lists: Some(lists), ..Default::default() }, "transactions over lists")
        }
        Judge::Register(options) => {
            let registers = Some(options.as_ref().clone());
            (check::Options { registers, ..Default::default() }, "transactions over registers")
        }
        Judge::Registers => return registers_judged(path, memory),
    };
    let options = check::Options { others: Others::PassOver, ..options };
    let failed = |error: fissure_history::Error| exec_datafusion_err!("{error}");
    let in_columns = match is_foreign(path) {
        true => Checked::Other,
        false => check::transactions(path, None, &options, memory).map_err(failed)?,
    };
    let result = match in_columns {
        Checked::Judged(result) => *result,
        Checked::Other => whole_judged(path, &options)?,
    };
    something(result, kind)
}

/// The result, or an error if nothing was judged.
fn something(result: CheckResult, kind: &str) -> Result<CheckResult> {
    if result.verdict.reasons.iter().any(|reason| reason.code == "NOTHING_CHECKED") {
        return exec_err!("the run has no {kind}: nothing would be judged");
    }
    Ok(result)
}

/// Whether a target is a history of another format, which has no columns of its own.
fn is_foreign(path: &Path) -> bool {
    path.is_file() && !is_parquet(path)
}

fn read(path: &Path) -> Result<History> {
    let failed = |error: &dyn std::fmt::Display| exec_datafusion_err!("{error}");
    if is_foreign(path) {
        return Ok(import_file(path).map_err(|error| failed(&error))?.history);
    }
    Ok(fissure_history::read_history(path).map_err(|error| failed(&error))?.history)
}

/// Judges transactions of a run that cannot be judged from columns, such as one whose `op_id`s are not counted from 0.
fn whole_judged(path: &Path, options: &check::Options) -> Result<CheckResult> {
    let history = read(path)?;
    // A transaction over both kinds of objects goes to either checker, which says that it does not know them.
    let of_lists = |mop: &Mop| matches!(mop, Mop::Append { .. } | Mop::ReadList { .. });
    let of_registers = |mop: &Mop| matches!(mop, Mop::Write { .. } | Mop::Read { .. });
    let only = |others: &dyn Fn(&Mop) -> bool| {
        history.only(|op| matches!(&op.call, Call::Txn(mops) if mops.is_empty() || !mops.iter().all(others)))
    };
    match (&options.lists, &options.registers) {
        (Some(lists), _) => Ok(list_append::check(&only(&of_registers), lists)),
        (None, Some(registers)) => Ok(rw_register::check(&only(&of_lists), registers)),
        (None, None) => exec_err!("no checker was asked"),
    }
}

fn registers_judged(path: &Path, memory: &Memory) -> Result<CheckResult> {
    let options = linearizable::Options::default();
    if is_foreign(path) {
        let is_of_register =
            |op: &Operation| matches!(op.call, Call::Read { .. } | Call::Write { .. } | Call::Cas { .. });
        let result = linearizable::check_register(&read(path)?.only(is_of_register), &options);
        return something(result, "operations on registers");
    }
    let result = check::registers(path, &options, memory).map_err(|error| exec_datafusion_err!("{error}"))?;
    something(result, "operations on registers")
}

fn batch(result: &CheckResult) -> Result<RecordBatch> {
    let findings = &result.findings;
    let rows = findings.len().max(1);
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..rows).map(|_| text))) };
    let of = |pick: fn(&fissure_checker::Finding) -> &str| -> ArrayRef {
        Arc::new((0..rows).map(|row| findings.get(row).map(pick)).collect::<StringArray>())
    };
    let reasons: Vec<&str> = result.verdict.reasons.iter().map(|reason| reason.text.as_str()).collect();
    let reasons = (!reasons.is_empty()).then(|| reasons.join("; "));
    let mut ops = ListBuilder::new(Int64Builder::new()).with_field(Field::new("item", DataType::Int64, false));
    for row in 0..rows {
        match findings.get(row) {
            Some(finding) => ops.append_value(finding.ops.iter().map(|op| Some(op.cast_signed()))),
            None => ops.append_null(),
        }
    }
    let columns: Vec<ArrayRef> = vec![
        same(result.verdict.validity.name()),
        same(&result.model),
        Arc::new((0..rows).map(|_| reasons.as_deref()).collect::<StringArray>()),
        of(|finding| &finding.id),
        of(|finding| &finding.anomaly),
        of(|finding| &finding.summary),
        Arc::new((0..rows).map(|row| findings.get(row).and_then(|finding| finding.key)).collect::<Int64Array>()),
        Arc::new(ops.finish()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
