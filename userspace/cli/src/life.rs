//! Hidden commands: processes that a run starts from this same binary.

use crate::exit::{Exit, Failure};
use std::path::Path;

/// A node of the demo store; runs until it is killed.
///
/// # Errors
/// When its flags are wrong, or it cannot listen or keep its log.
pub(crate) fn demo_node(args: &[String]) -> Result<Exit, Failure> {
    let config = fissure_demo::NodeConfig::from_args(args.iter().cloned()).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::cannot_run)?;
    runtime.block_on(fissure_demo::run_node(config)).map_err(Failure::cannot_run)?;
    Ok(Exit::Valid)
}

/// The watcher of a lab; ends when the lab's owner does.
///
/// # Errors
/// When something could not be removed.
pub(crate) fn lab_reaper(journal: &Path) -> Result<Exit, Failure> {
    fissure_lab::reaper_main(journal).map_err(Failure::cannot_run)?;
    Ok(Exit::Valid)
}
