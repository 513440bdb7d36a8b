//! One run: what its manifest says, and which files its tables have.
//!
//! It comes from a folder of this machine, from an object store, or is made up of loose Parquet files.

use crate::error::SqlError;
use crate::objects::Store;
use datafusion::scalar::ScalarValue;
use fissure_history::{FileSum, Manifest, RunDir, RunState, SCHEMA_VERSION, Table};
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A run, with the files of its tables.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its name in the column `run`.
    pub(crate) name: String,
    /// Its folder or URL.
    pub(crate) path: String,
    /// What it says of itself; `None` for loose files.
    pub(crate) manifest: Option<Manifest>,
    /// Where its files are.
    pub(crate) store: Arc<Store>,
    /// The files of its tables.
    pub(crate) files: Vec<RunFile>,
    /// Its `results.json`, if it has one.
    pub(crate) results: Option<ObjectPath>,
    /// What is wrong with its files, as far as the list of checksums and their lengths tell.
    pub(crate) damage: Option<String>,
    /// Set when its files turned out to be damaged: it takes no part in further statements.
    pub(crate) left_out: AtomicBool,
}

/// One Parquet file of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunFile {
    pub(crate) table: Table,
    pub(crate) meta: ObjectMeta,
    /// Rows, as the list of checksums has it.
    pub(crate) rows: Option<u64>,
}

/// Why a run cannot take part.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It has no tables (yet); in words that end a sentence that begins with its path.
    Unsealed(String),
    /// It cannot be read.
    Broken(SqlError),
}

impl Run {
    /// Name of its scenario; empty for loose files.
    pub(crate) fn scenario(&self) -> &str {
        self.manifest.as_ref().map_or("", |manifest| &manifest.scenario)
    }

    /// Its seed; 0 for loose files.
    pub(crate) fn seed(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |manifest| manifest.seed)
    }

    /// The values of the run columns.
    pub(crate) fn values(&self) -> Vec<ScalarValue> {
        vec![
            ScalarValue::Utf8(Some(self.name.clone())),
            ScalarValue::Utf8(Some(self.scenario().to_owned())),
            ScalarValue::UInt64(Some(self.seed())),
        ]
    }

    /// The run in a folder of this machine.
    pub(crate) fn local(dir: &RunDir, name: String, store: &Arc<Store>) -> Result<Self, Trouble> {
        let broken = |error: fissure_history::Error| Trouble::Broken(error.into());
        let manifest = Manifest::read(dir.path()).map_err(broken)?;
        let history = dir.history_dir();
        if !history.is_dir() {
            return Err(Trouble::Unsealed(why_unsealed(dir, &manifest)));
        }
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(local_files(&history.join(table.name()), table).map_err(Trouble::Broken)?);
        }
        let results = dir.file(crate::findings::RESULTS_FILE);
        let results = if results.is_file() { Some(object_path(&results).map_err(Trouble::Broken)?) } else { None };
        let mut run = Self {
            name,
            path: dir.path().display().to_string(),
            manifest: Some(manifest),
            store: Arc::clone(store),
            files,
            results,
            damage: None,
            left_out: AtomicBool::new(false),
        };
        if let Ok(sums) = std::fs::read(history.join(CHECKSUMS_FILE)) {
            run.compare(&sums);
        }
        Ok(run)
    }

    /// The run in a folder of this machine that has no tables (yet).
    pub(crate) fn unsealed(dir: &RunDir, store: &Arc<Store>) -> Result<Self, SqlError> {
        let manifest = Manifest::read(dir.path())?;
        let path = dir.path().display().to_string();
        Ok(Self { manifest: Some(manifest), ..Self::loose(dir.name(), path, store, Vec::new()) })
    }

    /// Loose Parquet files, of the table that each says it is.
    pub(crate) fn loose(name: String, path: String, store: &Arc<Store>, files: Vec<RunFile>) -> Self {
        let (manifest, store, left_out) = (None, Arc::clone(store), AtomicBool::new(false));
        Self { name, path, manifest, store, files, results: None, damage: None, left_out }
    }

    /// The run whose objects in a store begin with `root`.
    pub(crate) async fn remote(
        root: &ObjectPath,
        objects: &[ObjectMeta],
        name: String,
        path: String,
        store: &Arc<Store>,
    ) -> Result<Self, Trouble> {
        let broken = |error: object_store::Error| Trouble::Broken(crate::objects::failed(&path, &error));
        let manifest = store.read(&root.clone().join(MANIFEST_FILE)).await.map_err(broken)?;
        let manifest = parse_manifest(&manifest, &path).map_err(Trouble::Broken)?;
        let history = root.clone().join("history");
        let mut files = Vec::new();
        for meta in objects {
            let parts: Vec<_> = meta.location.prefix_match(&history).into_iter().flatten().collect();
            let [table, file] = parts.as_slice() else { continue };
            if let Some(table) = Table::from_name(table.as_ref()).filter(|_| file.as_ref().ends_with(".parquet")) {
                files.push(RunFile { table, meta: meta.clone(), rows: None });
            }
        }
        if files.is_empty() {
            return Err(Trouble::Unsealed("has no sealed history".to_owned()));
        }
        files.sort_by(|a, b| a.meta.location.cmp(&b.meta.location));
        let exists = |path: &ObjectPath| objects.iter().any(|meta| meta.location == *path);
        let results = Some(root.clone().join(crate::findings::RESULTS_FILE)).filter(exists);
        let sums = Some(history.join(CHECKSUMS_FILE)).filter(exists);
        let (manifest, store, left_out) = (Some(manifest), Arc::clone(store), AtomicBool::new(false));
        let mut run = Self { name, path: path.clone(), manifest, store, files, results, damage: None, left_out };
        if let Some(sums) = sums {
            let sums = run.store.read(&sums).await.map_err(broken)?;
            run.compare(&sums);
        }
        Ok(run)
    }

    /// Takes the numbers of rows from the list of checksums, and compares the lengths of the files.
    fn compare(&mut self, checksums: &[u8]) {
        let sums = match serde_json::from_slice::<Checksums>(checksums) {
            Ok(sums) => sums,
            Err(error) => {
                self.damage = Some(format!("{CHECKSUMS_FILE} cannot be read: {error}"));
                return;
            }
        };
        let mut listed: HashMap<String, FileSum> = sums.files.into_iter().map(|sum| (sum.path.clone(), sum)).collect();
        for file in &mut self.files {
            let name = format!("{}/{}", file.table.name(), file.meta.location.filename().unwrap_or_default());
            match listed.remove(&name) {
                Some(sum) if sum.bytes == file.meta.size => file.rows = Some(sum.rows),
                Some(sum) => {
                    let size = file.meta.size;
                    self.damage = Some(format!("{name} has {size} bytes, but {} were written", sum.bytes));
                }
                None => self.damage = Some(format!("{name} is not among the files that were sealed")),
            }
        }
        if let Some(name) = listed.keys().min() {
            self.damage = Some(format!("{name} is missing"));
        }
    }
}

/// Name of the manifest of a run.
pub(crate) const MANIFEST_FILE: &str = fissure_history::manifest::MANIFEST_FILE;

/// Name of the list of checksums in the folder of the tables.
const CHECKSUMS_FILE: &str = "checksums.json";

#[derive(Deserialize)]
struct Checksums {
    files: Vec<FileSum>,
}

/// The files of a table in a folder, in order of their names; none if there is no such folder.
pub(crate) fn local_files(dir: &Path, table: Table) -> Result<Vec<RunFile>, SqlError> {
    let io = |source: std::io::Error| SqlError::Read { path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(RunFile { table, meta: local_meta(&path)?, rows: None });
        }
    }
    files.sort_by(|a, b| a.meta.location.cmp(&b.meta.location));
    Ok(files)
}

/// What a store would say of a file of this machine.
pub(crate) fn local_meta(path: &Path) -> Result<ObjectMeta, SqlError> {
    let io = |source: std::io::Error| SqlError::Read { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    let modified = metadata.modified().map_err(io)?;
    Ok(ObjectMeta {
        location: object_path(path)?,
        last_modified: modified.into(),
        size: metadata.len(),
        e_tag: None,
        version: None,
    })
}

/// The path as a store of this machine's files knows it.
fn object_path(path: &Path) -> Result<ObjectPath, SqlError> {
    let io = |source: std::io::Error| SqlError::Read { path: path.to_owned(), source };
    let absolute: PathBuf = std::path::absolute(path).map_err(io)?;
    ObjectPath::from_absolute_path(&absolute).map_err(|error| SqlError::Target {
        target: path.display().to_string(),
        detail: format!("its name cannot be used: {error}"),
        help: "move it to a place whose name is plain UTF-8".to_owned(),
    })
}

fn parse_manifest(bytes: &[u8], place: &str) -> Result<Manifest, SqlError> {
    let path = PathBuf::from(format!("{}/{MANIFEST_FILE}", place.trim_end_matches('/')));
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|source| fissure_history::Error::Json {
        what: "manifest",
        path: path.clone(),
        source: Arc::new(source),
    })?;
    if manifest.schema_version > SCHEMA_VERSION {
        let (found, known) = (manifest.schema_version, SCHEMA_VERSION);
        return Err(fissure_history::Error::NewerSchema { path, found, known }.into());
    }
    Ok(manifest)
}

fn why_unsealed(run: &RunDir, manifest: &Manifest) -> String {
    if manifest.owner.as_ref().is_some_and(|owner| owner.is_alive()) {
        "is still running: its tables have no rows before it is sealed at its end".to_owned()
    } else if run.journal_dir().is_dir() && manifest.state == RunState::Running {
        let path = run.path().display();
        format!("was not sealed, so its tables have no rows: `fissure recover {path}` seals what it journaled")
    } else {
        "has no history, so its tables have no rows".to_owned()
    }
}
