//! Recover: seal what a run had journaled when its process died.

use crate::error::Error;
use crate::manifest::{Manifest, ManifestReason, RunState};
use crate::run_dir::RunDir;
use crate::seal::{SealReport, seal};

/// What recovering did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverReport {
    /// What sealing did; `torn` says what was cut.
    pub seal: SealReport,
    /// Whether the run had been sealed before, and nothing was to be done.
    pub was_sealed: bool,
    /// The manifest as it is now.
    pub manifest: Manifest,
}

/// Seals what a dead run had journaled, and makes its manifest say `recovered`. A run that ended properly is left as it
/// is.
///
/// # Errors
/// If the process of the run is still alive, there is no run, or [`seal`] fails.
pub fn recover(run: &RunDir) -> Result<RecoverReport, Error> {
    let mut manifest = Manifest::read(run.path())?;
    let sealed_before = manifest.state != RunState::Running;
    if !sealed_before
        && let Some(owner) = &manifest.owner
        && owner.pid != std::process::id()
        && owner.is_alive()
    {
        return Err(Error::OwnerAlive { path: run.path().to_owned(), pid: owner.pid });
    }
    let report = seal(run)?;
    if sealed_before {
        return Ok(RecoverReport { seal: report, was_sealed: true, manifest });
    }
    manifest.state = RunState::Recovered;
    manifest.owner = None;
    let events_lost = manifest.counts.events_lost;
    manifest.counts = report.counts;
    manifest.counts.events_lost = events_lost;
    if let Some(last_ns) = report.last_ns.filter(|last| manifest.started_ns > 0 && *last >= manifest.started_ns) {
        manifest.duration_ns = Some(last_ns - manifest.started_ns);
    }
    let text = match cut_bytes(&report) {
        0 => "the run did not end by itself; everything it had recorded was sealed".to_owned(),
        bytes => format!("the run did not end by itself; {bytes} bytes of half-written records were cut"),
    };
    manifest.reasons.push(ManifestReason { code: "RUN_CUT_SHORT".to_owned(), text });
    manifest.write(run.path())?;
    Ok(RecoverReport { seal: report, was_sealed: false, manifest })
}

fn cut_bytes(report: &SealReport) -> u64 {
    report.torn.iter().map(|tail| tail.bytes).sum()
}
