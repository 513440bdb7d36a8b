//! Histories that no run recorded, kept as runs: what `import` read and what `gen` made.

use crate::exit::Failure;
use fissure_history::manifest::Owner;
use fissure_history::{HistoryWriter, Manifest, RunDir, RunState, SCHEMA_VERSION, SealReport, rfc3339, wall_ns};
use std::path::Path;
use std::time::SystemTime;

/// Makes a run folder in `store` of what `fill` writes: manifest first, history, manifest again. `manifest` says what
/// the history is: scenario, seed, target. `latest` points at it once it is whole; if it does not come to that, nothing
/// is left.
///
/// # Errors
/// When `fill` fails, or the disk refuses.
pub(crate) fn keep<T>(
    store: &Path,
    manifest: Manifest,
    fill: impl FnOnce(&mut HistoryWriter) -> Result<T, Failure>,
) -> Result<(RunDir, SealReport, T), Failure> {
    let now = SystemTime::now();
    let run = RunDir::create_empty(store, &manifest.scenario, manifest.seed, now).map_err(Failure::cannot_run)?;
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        state: RunState::Running,
        started: rfc3339(wall_ns(now)),
        started_wall_ns: wall_ns(now),
        fissure_version: env!("CARGO_PKG_VERSION").to_owned(),
        owner: Some(Owner::current()),
        ..manifest
    };
    let (sealed, filled) = write(&run, manifest, fill).inspect_err(|_| {
        // The first error is the one to tell; a folder that cannot be removed has a manifest that says `running`.
        let _ = std::fs::remove_dir_all(run.path());
    })?;
    run.make_latest(store).map_err(Failure::cannot_run)?;
    Ok((run, sealed, filled))
}

fn write<T>(
    run: &RunDir,
    mut manifest: Manifest,
    fill: impl FnOnce(&mut HistoryWriter) -> Result<T, Failure>,
) -> Result<(SealReport, T), Failure> {
    manifest.write(run.path()).map_err(Failure::cannot_run)?;
    let mut writer = HistoryWriter::create(run.path()).map_err(Failure::cannot_run)?;
    let filled = fill(&mut writer)?;
    let sealed = writer.finish().map_err(Failure::cannot_run)?;
    manifest.state = RunState::Sealed;
    manifest.owner = None;
    manifest.counts = sealed.counts;
    manifest.duration_ns = sealed.last_ns;
    manifest.write(run.path()).map_err(Failure::cannot_run)?;
    Ok((sealed, filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_leaves_no_folder_and_does_not_become_the_latest() {
        let store = tempfile::tempdir().unwrap();
        let manifest = || Manifest { scenario: "kept".to_owned(), ..Manifest::default() };
        let (run, sealed, ()) = keep(store.path(), manifest(), |_| Ok(())).unwrap();
        assert_eq!(sealed.counts.ops, 0);
        let failed = keep::<()>(store.path(), manifest(), |_| Err(Failure::usage(anyhow::anyhow!("no"))));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(store.path().join("kept")).unwrap().count(), 1);
        assert_eq!(RunDir::open(store.path()).unwrap().path(), run.path().canonicalize().unwrap());
    }
}
