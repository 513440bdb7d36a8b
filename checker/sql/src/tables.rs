//! The tables of a history as DataFusion tables over the Parquet files of one run, or of many.
//!
//! Many runs are one scan: the run columns are constants of each file. A condition on them alone is answered before any
//! file is opened, and a join with `runs` on them skips the files of runs that do not take part.
//!
//! Statistics come from the footers, which are read once and kept, up to [`FOOTERS_MAX`] files of a scan; beyond that the
//! number of rows is what the list of checksums says, as an estimate.

use crate::objects::Store;
use crate::row_groups;
use crate::runs::{RUN_COLUMNS, Runs};
use arrow::array::{Array, BooleanArray};
use arrow::compute::{and, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Statistics, exec_err, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use fissure_history::Table;
use futures::{FutureExt, StreamExt, TryStreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

/// Most files of a scan whose footers are read before it starts.
const FOOTERS_MAX: usize = 1024;

/// Footers that are read at the same time.
const FOOTERS_AT_ONCE: usize = 32;

/// What a table holds, in a line.
pub(crate) fn describe(table: Table) -> &'static str {
    match table {
        Table::Ops => "one row per operation",
        Table::Faults => "what was asked: one row per planned fault",
        Table::Injections => "what the kernel did: one row per decision that fired",
        Table::Connections => "what the harness opened, and what the kernel saw",
        Table::Nodes => "the life of each node: one row per event",
        Table::Clocks => "CLOCK_MONOTONIC and wall time at the same moment",
        Table::Names => "what the integers of operations that are names stand for",
    }
}

/// One table over the files of all runs.
#[derive(Debug)]
pub(crate) struct HistoryTable {
    runs: Arc<Runs>,
    /// What a query sees: the run columns, if there are many runs, and the columns of the files.
    schema: SchemaRef,
    /// What the files have, or would have if they were of the newest version.
    file_schema: SchemaRef,
    files: Vec<TableFile>,
}

#[derive(Debug)]
struct TableFile {
    /// Its run, as a place in the list of runs.
    run: usize,
    /// The file, as a place in the list of files of its run.
    file: usize,
    statistics: OnceLock<Arc<Statistics>>,
}

/// Columns whose values are a few short words. They are read as views, which hold a short string themselves and are not
/// copied. Long strings are not: views of them keep whole buffers, which count again for each batch that shares them, and
/// so use up the memory of a query long before it is used.
const SHORT_STRINGS: [&str; 13] = [
    "node",
    "phase",
    "f",
    "outcome",
    "error_code",
    "kind",
    "action",
    "host",
    "src_host",
    "dst_host",
    "protocol",
    "direction",
    "event",
];

/// The schema of a table's files as it is read. The version in the metadata is for files; within a query it only makes
/// schemas differ.
fn reading_schema(table: Table) -> Schema {
    let schema = table.schema();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if SHORT_STRINGS.contains(&field.name().as_str()) => {
            Field::new(field.name(), DataType::Utf8View, field.is_nullable())
        }
        _ => field.as_ref().clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

impl HistoryTable {
    pub(crate) fn new(table: Table, runs: &Arc<Runs>) -> Self {
        let file_schema = Arc::new(reading_schema(table));
        let columns = runs.columns().into_iter().chain(file_schema.fields().iter().cloned());
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let places = runs.all.iter().enumerate().flat_map(|(run, of)| {
            let of_table = of.files.iter().enumerate().filter(move |(_, file)| file.table == table);
            of_table.map(move |(file, _)| TableFile { run, file, statistics: OnceLock::new() })
        });
        let files = places.collect();
        Self { runs: Arc::clone(runs), schema, file_schema, files }
    }

    /// Whether there are no files.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn run_columns(&self) -> usize {
        self.schema.fields().len() - self.file_schema.fields().len()
    }

    /// The statistics of a file, from its footer; read once.
    async fn statistics(&self, state: &dyn Session, file: &TableFile) -> Result<Arc<Statistics>> {
        if let Some(statistics) = file.statistics.get() {
            return Ok(Arc::clone(statistics));
        }
        let run = &self.runs.all[file.run];
        let meta = &run.files[file.file].meta;
        let format = ParquetFormat::default();
        let read = format.infer_stats(state, &run.store.objects, Arc::clone(&self.file_schema), meta);
        // The Parquet library panics on some damaged footers.
        let read = match AssertUnwindSafe(read).catch_unwind().await {
            Ok(Ok(statistics)) => Ok(Arc::new(statistics)),
            Ok(Err(DataFusionError::ObjectStore(error))) => return Err(DataFusionError::ObjectStore(error)),
            Ok(Err(error)) => Err(error.strip_backtrace()),
            Err(_) => Err("it makes no sense".to_owned()),
        };
        let statistics = read.map_err(|why| {
            let name = meta.location.filename().unwrap_or_default();
            let table = meta.location.parts().rev().nth(1).map(|part| part.as_ref().to_owned()).unwrap_or_default();
            DataFusionError::Execution(format!("{}: the footer of {table}/{name} is damaged: {why}", run.path))
        })?;
        Ok(Arc::clone(file.statistics.get_or_init(|| statistics)))
    }

    /// What is known of a file without opening it.
    fn estimate(&self, file: &TableFile) -> Arc<Statistics> {
        let known = &self.runs.all[file.run].files[file.file];
        let mut statistics = Statistics::new_unknown(&self.file_schema);
        if let Some(rows) = known.rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Inexact(rows);
        }
        Arc::new(statistics)
    }

    /// What is known of a file: from its footer, or without opening it.
    async fn known(&self, state: &dyn Session, file: usize, footer: bool) -> (usize, Result<Arc<Statistics>>) {
        let of = &self.files[file];
        (file, if footer { self.statistics(state, of).await } else { Ok(self.estimate(of)) })
    }

    /// The files of the wanted runs with what is known of them. Among many runs one with a damaged footer is left out.
    async fn files(&self, state: &dyn Session, wanted: &BooleanArray) -> Result<Vec<(usize, PartitionedFile)>> {
        let wanted: Vec<usize> = (0..self.files.len()).filter(|file| wanted.value(self.files[*file].run)).collect();
        let read_footers = wanted.len() <= FOOTERS_MAX;
        let known = futures::stream::iter(wanted).map(|file| self.known(state, file, read_footers));
        let known: Vec<_> = known.buffered(FOOTERS_AT_ONCE).collect().await;
        let mut files = Vec::with_capacity(known.len());
        for (file, statistics) in known {
            let file = &self.files[file];
            let run = &self.runs.all[file.run];
            let values = if self.runs.many { run.values() } else { Vec::new() };
            match statistics {
                Ok(statistics) => {
                    let meta = run.files[file.file].meta.clone();
                    let known = PartitionedFile::new_from_meta(meta).with_partition_values(values);
                    files.push((file.run, known.with_statistics(statistics)));
                }
                Err(DataFusionError::Execution(why)) if self.runs.many => self.runs.leave_out(file.run, &why),
                Err(error) => return Err(error),
            }
        }
        let present = self.runs.present();
        files.retain(|(run, _)| present.value(*run));
        Ok(files)
    }

    /// The files without the row groups, and without the files, in which no transaction touches the keys that are asked for.
    async fn pruned(
        &self,
        state: &dyn Session,
        files: Vec<(usize, PartitionedFile)>,
        filters: &[Expr],
    ) -> Result<Vec<(usize, PartitionedFile)>> {
        let asked = row_groups::asked(filters);
        if asked.is_empty() || files.len() > FOOTERS_MAX {
            return Ok(files);
        }
        let pruned = futures::stream::iter(files).map(|(run, file)| {
            let (objects, asked) = (&self.runs.all[run].store.objects, &asked);
            async move {
                let access = row_groups::access(state, objects.as_ref(), &file.object_meta, asked).await?;
                Ok::<_, DataFusionError>(match access {
                    None => Some((run, file)),
                    Some(access) if access.row_group_indexes().is_empty() => None,
                    Some(access) => Some((run, file.with_extension(access))),
                })
            }
        });
        let kept: Vec<Option<_>> = pruned.buffered(FOOTERS_AT_ONCE).try_collect().await?;
        Ok(kept.into_iter().flatten().collect())
    }

    /// The scan of the files of one store.
    async fn scan_store(
        &self,
        state: &dyn Session,
        store: &Store,
        files: Vec<PartitionedFile>,
        scan: &Scan,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema =
            TableSchema::builder(Arc::clone(&self.file_schema)).with_table_partition_cols(self.runs.columns()).build();
        let known = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(known, schema.table_schema())?;
        let groups: Vec<FileGroup> = FileGroup::new(files).split_files(state.config().target_partitions());
        let mut options = state.default_table_options().parquet;
        options.global = state.config_options().execution.parquet.clone();
        let format = ParquetFormat::default().with_options(options);
        let source = format.file_source(schema);
        let config = FileScanConfigBuilder::new(store.url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(scan.columns.clone()))?
            .with_limit(scan.limit)
            .build();
        format.create_physical_plan(state, config).await
    }
}

/// Whether the run columns alone decide the condition.
fn is_about_runs(runs: &Runs, filter: &Expr) -> bool {
    runs.many && expr_applicable_for_cols(&RUN_COLUMNS, filter) && !asks_again(filter)
}

/// Which runs the conditions leave.
pub(crate) fn wanted_runs(runs: &Runs, state: &dyn Session, filters: &[Expr]) -> Result<BooleanArray> {
    let present = runs.present();
    let about_runs = filters.iter().filter(|filter| is_about_runs(runs, filter)).cloned();
    let Some(filter) = conjunction(about_runs) else { return Ok(present) };
    let keys = runs.keys()?;
    let schema = DFSchema::try_from(keys.schema())?;
    let expr = state.create_physical_expr(strip_qualifiers(filter)?, &schema)?;
    let matches = expr.evaluate(&keys)?.into_array(keys.num_rows())?;
    let Some(matches) = matches.as_any().downcast_ref::<BooleanArray>() else {
        return exec_err!("the condition on the runs is neither true nor false");
    };
    // Null is not true.
    let matches = if matches.null_count() > 0 { prep_null_mask_filter(matches) } else { matches.clone() };
    Ok(and(&present, &matches)?)
}

/// What a scan is asked for.
struct Scan {
    /// Places of the columns in the files' schema, the run columns after them.
    columns: Vec<usize>,
    limit: Option<usize>,
}

/// Whether the condition has a query of its own in it, or a value from the query around it.
fn asks_again(filter: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let asks = |expr: &Expr| {
        matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarVariable(..)
                | Expr::Placeholder(_)
        )
    };
    // An expression that cannot be walked is better left to the engine.
    filter.exists(|expr| Ok(asks(expr))).unwrap_or(true)
}

/// The condition with plain names of columns.
fn strip_qualifiers(filter: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let stripped = filter.transform(|expr| match expr {
        Expr::Column(column) if column.relation.is_some() => {
            Ok(Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(stripped.data)
}

#[async_trait]
impl TableProvider for HistoryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| match is_about_runs(&self.runs, filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = wanted_runs(&self.runs, state, filters)?;
        let files = self.files(state, &wanted).await?;
        let files = self.pruned(state, files, filters).await?;
        let (run_columns, file_columns) = (self.run_columns(), self.file_schema.fields().len());
        let place = |column: usize| match column.checked_sub(run_columns) {
            Some(of_file) => of_file,
            None => file_columns + column,
        };
        let columns = match projection {
            Some(columns) => columns.iter().copied().map(place).collect(),
            None => (0..self.schema.fields().len()).map(place).collect(),
        };
        let limit = limit.filter(|_| filters.iter().all(|filter| is_about_runs(&self.runs, filter)));
        let scan = Scan { columns, limit };
        let mut by_store: Vec<(&Store, Vec<PartitionedFile>)> = Vec::new();
        for (run, file) in files {
            let store = self.runs.all[run].store.as_ref();
            match by_store.iter_mut().find(|(known, _)| known.url == store.url) {
                Some((_, files)) => files.push(file),
                None => by_store.push((store, vec![file])),
            }
        }
        let mut plans = Vec::with_capacity(by_store.len());
        for (store, files) in by_store {
            plans.push(self.scan_store(state, store, files, &scan).await?);
        }
        match (plans.pop(), plans.is_empty()) {
            (None, _) => Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?))),
            (Some(plan), true) => Ok(plan),
            (Some(plan), false) => {
                plans.push(plan);
                UnionExec::try_new(plans)
            }
        }
    }
}
