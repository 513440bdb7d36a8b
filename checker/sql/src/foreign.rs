//! Histories of other formats: imported into a folder of the session's own, and asked like a run without a manifest.

use crate::error::SqlError;
use fissure_history::ImportOptions;
use fissure_history::import::import_to;
use fissure_history::writer::HistoryWriter;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What Parquet files begin with.
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// Whether a file is, or should be, a Parquet file.
pub(crate) fn is_parquet(path: &Path) -> bool {
    let mut magic = [0; PARQUET_MAGIC.len()];
    let begins =
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok_and(|()| magic == PARQUET_MAGIC);
    begins || path.extension().is_some_and(|extension| extension == "parquet")
}

/// Imports a history into a new folder and gives what is to be said about it.
pub(crate) fn import(path: &Path, folder: &Path) -> Result<Vec<String>, SqlError> {
    let mut writer = HistoryWriter::create(folder)?;
    let imported = import_to(path, &ImportOptions::default(), &mut writer);
    let report = imported.map_err(|error| SqlError::Import { detail: error.to_string() })?;
    writer.finish()?;
    Ok(report.notes)
}
