//! Run folders: where they are, and how one is found.

use crate::error::Error;
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::schema::Table;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the symbolic link to the newest run.
const LATEST: &str = "latest";

/// Folder of runs when none is named.
pub const DEFAULT_STORE: &str = "store";

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// A run in a store, for listing.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// Its folder.
    pub dir: RunDir,
    /// Its manifest, or why there is none.
    pub manifest: Result<Manifest, Error>,
}

/// Year, month and day of a number of days since 1970-01-01 (the proleptic Gregorian calendar).
fn civil(days: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that the leap day is the last day of a year, in eras of 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// UNIX time in ns of a wall time; before 1970 it is negative.
#[must_use]
pub fn wall_ns(wall: SystemTime) -> i64 {
    match wall.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// A UNIX time in ns as RFC 3339 in UTC, to the second.
#[must_use]
pub fn rfc3339(wall_ns: i64) -> String {
    let seconds = wall_ns.div_euclid(1_000_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The name as one component of a path: letters, digits, `.`, `_`, `-`.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() || name == LATEST { "run".to_owned() } else { name.to_owned() }
}

impl RunDir {
    /// Lays out the folder of a new run, `<store>/<scenario>/<time>-s<seed>`, and points `<store>/latest` at it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn create(store: &Path, scenario: &str, seed: u64, wall: SystemTime) -> Result<Self, Error> {
        let run = Self::create_empty(store, scenario, seed, wall)?;
        for dir in [run.journal_dir(), run.nodes_dir()] {
            std::fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        }
        run.make_latest(store)?;
        Ok(run)
    }

    /// Creates the folder of a history that no run records, with nothing in it. `<store>/latest` points elsewhere until
    /// [`RunDir::make_latest`].
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn create_empty(store: &Path, scenario: &str, seed: u64, wall: SystemTime) -> Result<Self, Error> {
        let parent = store.join(file_name(scenario));
        std::fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        let stem = format!("{}-s{seed}", rfc3339(wall_ns(wall)).replace(':', "-"));
        let name = Self::create_first_free(&parent, &stem)?;
        Ok(Self { path: parent.join(&name) })
    }

    /// Points `<store>/latest` at this run of the store.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn make_latest(&self, store: &Path) -> Result<(), Error> {
        match self.path.strip_prefix(store) {
            Ok(place) => point_latest(store, place),
            Err(_) => {
                let detail = format!("it is not in the store {}", store.display());
                Err(Error::NoRun { path: self.path.clone(), detail })
            }
        }
    }

    /// Creates `stem`, or `stem-2`, `stem-3`, … if runs of the same second took the names before.
    fn create_first_free(parent: &Path, stem: &str) -> Result<String, Error> {
        let mut name = stem.to_owned();
        for attempt in 2.. {
            let path = parent.join(&name);
            match std::fs::create_dir(&path) {
                Ok(()) => break,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => name = format!("{stem}-{attempt}"),
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
        Ok(name)
    }

    /// Finds a run: by its folder, by a store (the newest run in it), by `latest`, or by `<scenario>/<time>-s<seed>` in
    /// the folder `store`.
    ///
    /// # Errors
    /// If there is no run.
    pub fn open(what: &Path) -> Result<Self, Error> {
        let in_store = Path::new(DEFAULT_STORE).join(what);
        let candidates = [what.to_owned(), what.join(LATEST), in_store];
        match candidates.into_iter().find(|path| path.join(MANIFEST_FILE).is_file()) {
            Some(path) => Ok(Self { path: path.canonicalize().map_err(Error::io("resolve", &path))? }),
            None => {
                let detail = if what.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) && !what.exists() {
                    "the run it points to is gone"
                } else if what.is_dir() {
                    "there is no run in it (no manifest.json); `fissure ls` lists the runs of a store"
                } else if what.exists() {
                    "not a run folder"
                } else {
                    "there is no such run; `fissure ls` lists the runs of a store"
                };
                Err(Error::NoRun { path: what.to_owned(), detail: detail.to_owned() })
            }
        }
    }

    /// All runs of a store, the newest first. A store that does not exist has none.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn list(store: &Path) -> Result<Vec<RunEntry>, Error> {
        let mut runs = Vec::new();
        for scenario in folders(store)? {
            for path in folders(&scenario)? {
                if path.join(MANIFEST_FILE).is_file() || path.join("journal").is_dir() {
                    let manifest = Manifest::read(&path);
                    runs.push(RunEntry { dir: Self { path }, manifest });
                }
            }
        }
        let started = |run: &RunEntry| run.manifest.as_ref().map_or(i64::MIN, |manifest| manifest.started_wall_ns);
        runs.sort_by(|a, b| started(b).cmp(&started(a)).then_with(|| b.dir.path.cmp(&a.dir.path)));
        Ok(runs)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `<scenario>/<time>-s<seed>`: how a person names it.
    #[must_use]
    pub fn name(&self) -> String {
        let mut names: Vec<_> =
            self.path.components().rev().take(2).map(|name| name.as_os_str().to_string_lossy()).collect();
        names.reverse();
        names.join("/")
    }

    /// Folder of the journals.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Folder of the sealed tables.
    #[must_use]
    pub fn history_dir(&self) -> PathBuf {
        self.path.join("history")
    }

    /// Folder of the parts of one sealed table.
    #[must_use]
    pub fn table_dir(&self, table: Table) -> PathBuf {
        self.history_dir().join(table.name())
    }

    /// Folder of the logs of the nodes.
    #[must_use]
    pub fn nodes_dir(&self) -> PathBuf {
        self.path.join("nodes")
    }

    /// A file of the run folder, such as `results.json`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// The folders in a folder, by name; symbolic links do not count. None if it does not exist.
fn folders(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", dir))?;
        if entry.file_type().map_err(Error::io("inspect", &entry.path()))?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Replaces the link to the newest run in one step: there is always one, and it always points at a run.
fn point_latest(store: &Path, target: &Path) -> Result<(), Error> {
    let link = store.join(LATEST);
    let partial = store.join(format!(".latest-{}", std::process::id()));
    // A leftover of a process with the same number that died between the two steps.
    let _ = std::fs::remove_file(&partial);
    rustix::fs::symlink(target, &partial).map_err(|error| Error::io("link", &partial)(error.into()))?;
    std::fs::rename(&partial, &link).map_err(Error::io("replace", &link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_396_568_999_999_999), "2026-11-23T01:16:08Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400_000_000_000), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_new_run_is_the_latest_and_is_found_under_every_name() {
        let store = tempfile::tempdir().unwrap();
        let wall = UNIX_EPOCH + Duration::from_secs(1_795_396_568);
        let first = RunDir::create(store.path(), "partition register", 42, wall).unwrap();
        let second = RunDir::create(store.path(), "partition register", 42, wall).unwrap();
        assert_eq!(first.name(), "partition-register/2026-11-23T01-16-08Z-s42");
        assert_eq!(second.name(), "partition-register/2026-11-23T01-16-08Z-s42-2");
        for run in [&first, &second] {
            Manifest { schema_version: 1, ..Manifest::default() }.write(run.path()).unwrap();
        }
        let canonical = |run: &RunDir| run.path().canonicalize().unwrap();
        assert_eq!(RunDir::open(&store.path().join("latest")).unwrap().path(), canonical(&second));
        assert_eq!(RunDir::open(store.path()).unwrap().path(), canonical(&second));
        assert_eq!(RunDir::open(first.path()).unwrap().path(), canonical(&first));
        assert_eq!(RunDir::list(store.path()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_a_run_is_refused_with_a_reason() {
        let store = tempfile::tempdir().unwrap();
        let error = RunDir::open(store.path()).unwrap_err().to_string();
        assert!(error.contains("no manifest.json"), "{error}");
        let error = RunDir::open(&store.path().join("nothing")).unwrap_err().to_string();
        assert!(error.contains("no such run"), "{error}");
        let run = RunDir::create(store.path(), "../..", 1, UNIX_EPOCH).unwrap();
        assert!(run.path().starts_with(store.path()));
        std::fs::remove_dir_all(run.path()).unwrap();
        let error = RunDir::open(&store.path().join("latest")).unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
