//! Targets: what a person names, and the runs that are found there.

use crate::error::SqlError;
use crate::foreign::{import, is_parquet};
use crate::objects::{Store, failed, shown};
use crate::run::{MANIFEST_FILE, Run, RunFile, Trouble, local_files, local_meta};
use crate::runs::Runs;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use fissure_history::schema::TABLE_KEY;
use fissure_history::{RunDir, Table};
use futures::{FutureExt, StreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStoreExt};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// How deep below a folder runs are looked for.
const DEPTH_MAX: usize = 16;

/// Runs of a store that are opened at the same time.
const OPENED_AT_ONCE: usize = 16;

/// Notes about single runs that are left out; the rest is counted.
const NOTES_MAX: usize = 10;

/// What is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A run folder, a folder with runs anywhere below it, a folder of tables, or a Parquet file.
    Path(PathBuf),
    /// The same in an object store: `s3://`, `gs://`, `az://`.
    Url(Url),
}

impl Target {
    /// A target as a person writes it: what contains `://` is an URL.
    ///
    /// # Errors
    /// If it looks like an URL and is none.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        if !text.contains("://") {
            return Ok(Target::Path(PathBuf::from(text)));
        }
        let wrong = |detail: String| SqlError::Target {
            target: crate::objects::redact(text),
            detail,
            help: "write it like s3://bucket/path".to_owned(),
        };
        let url = Url::parse(text).map_err(|error| wrong(format!("not an URL: {error}")))?;
        if url.scheme() != "file" {
            return Ok(Target::Url(url));
        }
        url.to_file_path().map(Target::Path).map_err(|()| wrong("it names no file of this machine".to_owned()))
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    runs: Vec<Run>,
    /// Loose files of this machine.
    files: Vec<RunFile>,
    file_names: Vec<String>,
    notes: Vec<String>,
    left_out: usize,
    many: bool,
}

impl Found {
    fn leave_out(&mut self, name: &str, why: &str) {
        self.left_out += 1;
        if self.left_out <= NOTES_MAX {
            self.notes.push(format!("{name} is left out: {why}"));
        }
    }

    /// A run among many: it takes part, or a note says why not.
    fn take(&mut self, name: &str, run: Result<Run, Trouble>) {
        match run {
            Ok(run) => match &run.damage {
                Some(damage) => self.leave_out(name, &format!("{damage}; `fissure check` says more")),
                None => self.runs.push(run),
            },
            Err(Trouble::Unsealed(why)) => self.leave_out(name, &format!("it {why}")),
            Err(Trouble::Broken(error)) => self.leave_out(name, &error.to_string()),
        }
    }

    /// A run on its own: unsealed it is a run without rows, and what cannot be read is an error.
    fn take_only(
        &mut self,
        run: Result<Run, Trouble>,
        empty: impl FnOnce() -> Result<Run, SqlError>,
    ) -> Result<(), SqlError> {
        match run {
            Ok(run) => self.runs.push(run),
            Err(Trouble::Unsealed(why)) => {
                let run = empty()?;
                self.notes.push(format!("{} {why}", run.path));
                self.runs.push(run);
            }
            Err(Trouble::Broken(error)) => return Err(error),
        }
        Ok(())
    }
}

/// Opens the targets. One run on its own is one run; more targets, and folders of runs, are many.
/// Histories of other formats are imported below `scratch`.
pub(crate) async fn open(
    targets: &[Target],
    state: &dyn Session,
    scratch: Option<&Path>,
) -> Result<(Runs, Vec<Arc<Store>>), SqlError> {
    let local = Arc::new(Store::local());
    let mut stores = vec![Arc::clone(&local)];
    let is_table = |target: &Target| matches!(target, Target::Path(path) if path.is_file() && is_parquet(path));
    let mut found = Found { many: targets.len() > 1 && !targets.iter().all(is_table), ..Found::default() };
    for target in targets {
        match target {
            Target::Path(path) if path.is_file() && !is_parquet(path) => {
                open_foreign(path, &local, scratch, &mut found)?;
            }
            Target::Path(path) => open_path(path, &local, state, &mut found).await?,
            Target::Url(url) => {
                let root = Store::remote(url)?;
                let store = match stores.iter().find(|store| store.url == root.url) {
                    Some(store) => Arc::clone(store),
                    None => {
                        stores.push(Arc::new(root));
                        Arc::clone(&stores[stores.len() - 1])
                    }
                };
                open_url(url, &store, state, &mut found).await?;
            }
        }
    }
    if !found.files.is_empty() {
        let (files, names) = (std::mem::take(&mut found.files), found.file_names.join(" "));
        let name = found.file_names.first().cloned().unwrap_or_default();
        found.runs.push(Run::loose(name, names, &local, files));
    }
    if found.left_out > NOTES_MAX {
        found.notes.push(format!("{} more runs are left out for such reasons", found.left_out - NOTES_MAX));
    }
    distinguish(&mut found.runs);
    Ok((Runs::new(found.runs, found.many, found.notes), stores))
}

/// Runs of several targets may have the same name: those that do are called by their paths.
fn distinguish(runs: &mut [Run]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    runs.iter().for_each(|run| *counts.entry(run.name.clone()).or_default() += 1);
    for run in runs.iter_mut().filter(|run| counts[&run.name] > 1) {
        run.name = run.path.clone();
    }
}

/// Imports a history of another format.
fn open_foreign(path: &Path, store: &Arc<Store>, scratch: Option<&Path>, found: &mut Found) -> Result<(), SqlError> {
    let name = path.display().to_string();
    let Some(scratch) = scratch else {
        return Err(SqlError::Import { detail: format!("{name}: there is no folder to import it into") });
    };
    let folder = scratch.join(format!("import-{}", found.runs.len()));
    found.notes.extend(import(path, &folder)?.into_iter().map(|note| format!("{name}: {note}")));
    let mut files = Vec::new();
    for table in Table::ALL {
        files.extend(local_files(&folder.join("history").join(table.name()), table)?);
    }
    found.runs.push(Run::loose(name.clone(), name, store, files));
    Ok(())
}

async fn open_path(path: &Path, store: &Arc<Store>, state: &dyn Session, found: &mut Found) -> Result<(), SqlError> {
    if path.is_file() {
        let file = table_of(local_meta(path)?, &path.display().to_string(), store, state).await?;
        found.files.push(file);
        found.file_names.push(path.display().to_string());
        return Ok(());
    }
    if path.join(MANIFEST_FILE).is_file() || !path.is_dir() {
        let dir = RunDir::open(path)?;
        let run = Run::local(&dir, dir.name(), store);
        if found.many {
            found.take(&dir.name(), run);
            return Ok(());
        }
        return found.take_only(run, || Run::unsealed(&dir, store));
    }
    if found_tables(path, store, state, found).await? {
        return Ok(());
    }
    let mut folders = Vec::new();
    find_runs(path, 0, &mut folders)?;
    if folders.is_empty() {
        // Says what would be a run.
        RunDir::open(path)?;
    }
    found.many = true;
    for folder in folders {
        let name =
            folder.strip_prefix(path).unwrap_or(&folder).to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        match RunDir::open(&folder) {
            Ok(dir) => found.take(&name, Run::local(&dir, name.clone(), store)),
            Err(error) => found.leave_out(&name, &error.to_string()),
        }
    }
    Ok(())
}

/// Takes a folder of tables, or of loose Parquet files, if that is what it is.
async fn found_tables(
    path: &Path,
    store: &Arc<Store>,
    state: &dyn Session,
    found: &mut Found,
) -> Result<bool, SqlError> {
    let name = path.display().to_string();
    if path.join(Table::Ops.name()).is_dir() {
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(local_files(&path.join(table.name()), table)?);
        }
        if !files.is_empty() {
            found.runs.push(Run::loose(name.clone(), name, store, files));
            return Ok(true);
        }
    }
    let loose = local_files(path, Table::Ops)?;
    let is_any = !loose.is_empty();
    for file in loose {
        let name = format!("/{}", file.meta.location);
        found.files.push(table_of(file.meta, &name, store, state).await?);
    }
    if is_any {
        found.file_names.push(name);
    }
    Ok(is_any)
}

/// The run folders below a folder, in order of their paths. Symbolic links are not followed, and runs hold no runs.
fn find_runs(dir: &Path, depth: usize, runs: &mut Vec<PathBuf>) -> Result<(), SqlError> {
    if depth > 0 && (dir.join(MANIFEST_FILE).is_file() || dir.join("journal").is_dir()) {
        runs.push(dir.to_owned());
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Ok(());
    }
    let io = |source: std::io::Error| SqlError::Read { path: dir.to_owned(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| find_runs(folder, depth + 1, runs))
}

async fn open_url(url: &Url, store: &Arc<Store>, state: &dyn Session, found: &mut Found) -> Result<(), SqlError> {
    let target = shown(url);
    let wrong = |detail: String, help: &str| SqlError::Target { target: target.clone(), detail, help: help.to_owned() };
    let below = ObjectPath::from_url_path(url.path())
        .map_err(|error| wrong(format!("its path cannot be used: {error}"), "write it like s3://bucket/path"))?;
    if below.filename().is_some_and(|name| name.ends_with(".parquet")) {
        let meta = store.objects.head(&below).await.map_err(|error| failed(&target, &error))?;
        let file = table_of(meta, &target, store, state).await?;
        found.runs.push(Run::loose(target.clone(), target.clone(), store, vec![file]));
        return Ok(());
    }
    let objects = store.list(&below).await.map_err(|error| failed(&target, &error))?;
    let roots = run_roots(&objects);
    if roots.is_empty() {
        let help = "name a run, or a folder of runs: what has a manifest.json below it";
        let detail = if objects.is_empty() { "there is nothing" } else { "there is no run" };
        return Err(wrong(detail.to_owned(), help));
    }
    let is_run = roots.len() == 1 && roots[0].0 == below;
    found.many |= !is_run;
    let base = target.trim_end_matches('/').to_owned();
    let opened = futures::stream::iter(roots).map(|(root, objects)| {
        let below_target: Vec<_> = root.prefix_match(&below).into_iter().flatten().collect();
        let parts: Vec<String> = below_target.iter().map(|part| part.as_ref().to_owned()).collect();
        let is_target = parts.is_empty();
        let path = if is_target { base.clone() } else { format!("{base}/{}", parts.join("/")) };
        let name = if is_target { last_two(&root) } else { parts.join("/") };
        async move { (name.clone(), path.clone(), Run::remote(&root, &objects, name, path, store).await) }
    });
    let opened: Vec<_> = opened.buffered(OPENED_AT_ONCE).collect().await;
    for (name, path, run) in opened {
        // A store that cannot be reached is no matter of a single run.
        if let Err(Trouble::Broken(error @ SqlError::Store { .. })) = run {
            return Err(error);
        }
        if found.many {
            found.take(&name, run);
        } else {
            found.take_only(run, || Ok(Run::loose(name, path, store, Vec::new())))?;
        }
    }
    Ok(())
}

fn last_two(root: &ObjectPath) -> String {
    let parts: Vec<_> = root.parts().collect();
    let names: Vec<&str> = parts[parts.len().saturating_sub(2)..].iter().map(AsRef::as_ref).collect();
    names.join("/")
}

/// The paths that have a manifest, with what is below each. Runs hold no runs: what a node keeps there is its own.
fn run_roots(objects: &[ObjectMeta]) -> Vec<(ObjectPath, Vec<ObjectMeta>)> {
    let mut manifests: Vec<ObjectPath> = objects
        .iter()
        .filter(|meta| meta.location.filename() == Some(MANIFEST_FILE))
        .map(|meta| meta.location.parts().collect::<Vec<_>>())
        .map(|parts| parts[..parts.len() - 1].iter().cloned().collect())
        .collect();
    manifests.sort_by_key(|root| root.parts().count());
    let mut roots: BTreeMap<ObjectPath, Vec<ObjectMeta>> = BTreeMap::new();
    for root in manifests {
        if !ancestors(&root).any(|above| roots.contains_key(&above)) {
            roots.insert(root, Vec::new());
        }
    }
    for meta in objects {
        if let Some(root) = ancestors(&meta.location).find(|above| roots.contains_key(above)) {
            roots.entry(root).or_default().push(meta.clone());
        }
    }
    roots.into_iter().collect()
}

/// The path itself and what is above it, the nearest first.
fn ancestors(path: &ObjectPath) -> impl Iterator<Item = ObjectPath> {
    let parts: Vec<_> = path.parts().collect();
    (0..=parts.len()).rev().map(move |length| parts[..length].iter().cloned().collect())
}

/// The table that a Parquet file says it is of, or whose columns it has.
async fn table_of(meta: ObjectMeta, name: &str, store: &Store, state: &dyn Session) -> Result<RunFile, SqlError> {
    let wrong = |detail: String| SqlError::Target {
        target: name.to_owned(),
        detail,
        help: "targets are runs, folders of runs, Parquet files of fissure, and histories that `fissure import` knows"
            .to_owned(),
    };
    let format = ParquetFormat::default().with_skip_metadata(false);
    let objects = [meta];
    // The Parquet library panics on some damaged footers.
    let schema = AssertUnwindSafe(format.infer_schema(state, &store.objects, &objects)).catch_unwind().await;
    let schema = match schema {
        Ok(Ok(schema)) => schema,
        Ok(Err(error)) => {
            return Err(wrong(format!("not a Parquet file that can be read: {}", error.strip_backtrace())));
        }
        Err(_) => return Err(wrong("not a Parquet file that can be read: its footer is damaged".to_owned())),
    };
    let [meta] = objects;
    let has = |column: &str| schema.field_with_name(column).is_ok();
    let table = match schema.metadata().get(TABLE_KEY) {
        Some(table) => Table::from_name(table).ok_or_else(|| wrong(format!("its table `{table}` is not known")))?,
        None if has("op_id") && has("f") && has("outcome") => Table::Ops,
        None => return Err(wrong("it is no table of a history".to_owned())),
    };
    Ok(RunFile { table, meta, rows: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_url_is_one() {
        assert_eq!(Target::parse("store/latest").unwrap(), Target::Path(PathBuf::from("store/latest")));
        assert_eq!(Target::parse("file:///a%20b").unwrap(), Target::Path(PathBuf::from("/a b")));
        assert!(matches!(Target::parse("s3://bucket/x").unwrap(), Target::Url(_)));
        assert!(Target::parse("s3://[").unwrap_err().help().is_some());
        assert!(Target::parse("file://host/x").is_err());
    }

    #[test]
    fn a_run_is_what_has_a_manifest_and_is_in_no_run() {
        let meta = |path: &str| ObjectMeta {
            location: ObjectPath::from(path),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: 1,
            e_tag: None,
            version: None,
        };
        let objects = ["s/a/r1/manifest.json", "s/a/r1/nodes/n1/manifest.json", "s/a/r1/history/ops/p.parquet", "s/x"];
        let roots = run_roots(&objects.map(meta));
        assert_eq!(roots.len(), 1);
        assert_eq!((roots[0].0.as_ref(), roots[0].1.len()), ("s/a/r1", 3));
        assert_eq!(last_two(&roots[0].0), "a/r1");
        let roots = run_roots(&["manifest.json", "history/ops/p.parquet"].map(meta));
        assert_eq!((roots[0].0.as_ref(), roots[0].1.len()), ("", 2));
    }
}
