//! The nemesis: what breaks the system while the workload goes on.
//!
//! The engine knows only this trait; [`crate::faults::Faults`] does it for real, with a lab and the kernel's programs.

use crate::error::RunError;
use fissure_history::journal::Recorder;
use fissure_inject::Injection;

/// Breaks and mends. Called from the engine's loop only, so it must not block for long.
pub trait Nemesis {
    /// Does what is due at `now_ns` (ns since the engine's start).
    ///
    /// # Errors
    /// When the history cannot be written. A fault that cannot be applied is no error: it is recorded as `failed`.
    fn act(&mut self, now_ns: u64, recorder: &Recorder) -> Result<(), RunError>;

    /// When it wants to act next, ns since the engine's start.
    fn next_ns(&self) -> Option<u64>;

    /// What is in force now, in words; empty if nothing is.
    fn in_force(&self) -> String {
        String::new()
    }

    /// Told of the decisions that fired.
    ///
    /// # Errors
    /// When the history cannot be written.
    fn injections(&mut self, injections: &[Injection], recorder: &Recorder) -> Result<(), RunError>;

    /// Told who leads.
    ///
    /// # Errors
    /// When the history cannot be written.
    fn primaries(&mut self, primaries: Vec<String>, recorder: &Recorder) -> Result<(), RunError>;

    /// Told that the kernel's events cannot be read any more.
    fn reader_failed(&mut self, text: String);
}

/// Breaks nothing: for measurements of the engine, and for runs without faults.
#[derive(Debug, Default)]
pub struct Peace;

impl Nemesis for Peace {
    fn act(&mut self, _now_ns: u64, _recorder: &Recorder) -> Result<(), RunError> {
        Ok(())
    }

    fn next_ns(&self) -> Option<u64> {
        None
    }

    fn injections(&mut self, _injections: &[Injection], _recorder: &Recorder) -> Result<(), RunError> {
        Ok(())
    }

    fn primaries(&mut self, _primaries: Vec<String>, _recorder: &Recorder) -> Result<(), RunError> {
        Ok(())
    }

    fn reader_failed(&mut self, _text: String) {}
}
