//! The six tables of a run as DataFusion tables over its Parquet files.

use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use fissure_history::Table;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The table over its files; without files, a table without rows.
pub(crate) fn provider(table: Table, files: &[PathBuf]) -> Result<Arc<dyn TableProvider>> {
    // The version in the metadata is for files; within a query it only makes schemas differ.
    let schema = Arc::new(table.schema().as_ref().clone().with_metadata(Default::default()));
    if files.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let urls = files.iter().map(|file| file_url(file)).collect::<Result<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The file as an URL. Every unusual character is escaped, because DataFusion takes `*`, `?` and `[` in a plain path for a
/// pattern.
fn file_url(path: &Path) -> Result<ListingTableUrl> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().ok_or_else(|| {
        DataFusionError::Execution(format!("the name of {} is not valid UTF-8; move the run elsewhere", path.display()))
    })?;
    let mut url = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            // Writing into a string cannot fail.
            byte => write!(url, "%{byte:02X}").unwrap_or_default(),
        }
    }
    ListingTableUrl::parse(url)
}
