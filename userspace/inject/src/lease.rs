//! The lease: the programs do nothing unless somebody alive renews it.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use crate::{InjectError, shared::Shared};

/// How often a lease is renewed.
pub(crate) const RENEW_EVERY: Duration = Duration::from_millis(200);
/// How long a lease lasts when it is not renewed.
pub(crate) const LASTS: Duration = Duration::from_secs(1);

/// While this lives, faults are in force; when it is dropped they stop at once, and when its process dies or hangs they
/// stop within a second.
#[must_use = "faults are in force only while the lease is held"]
pub struct Lease {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    renewer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("expires_ns", &self.shared.lease()).finish()
    }
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    // The clock exists on every Linux; 0 would be a lease that has ended, which is the safe side.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

impl Lease {
    pub(crate) fn hold(shared: Arc<Shared>) -> Result<Self, InjectError> {
        let (stop, stopped) = mpsc::channel();
        let renew = |shared: &Shared| shared.set_lease(monotonic_ns() + LASTS.as_nanos() as u64);
        renew(&shared);
        let renewed = Arc::clone(&shared);
        let renewer = std::thread::Builder::new()
            .name("fissure-lease".into())
            .spawn(move || {
                while stopped.recv_timeout(RENEW_EVERY) == Err(RecvTimeoutError::Timeout) {
                    renew(&renewed);
                }
            })
            .map_err(|source: io::Error| InjectError::System {
                what: "start the thread that renews the lease",
                source,
            })?;
        Ok(Self { shared, stop: Some(stop), renewer: Some(renewer) })
    }

    /// Stops renewing but leaves the lease to run out by itself, as it does when the process hangs.
    pub fn abandon(mut self) {
        self.stop_renewing();
        // The end of this value would end the lease at once.
        let shared = Arc::clone(&self.shared);
        let expires = shared.lease();
        drop(self);
        shared.set_lease(expires);
    }

    fn stop_renewing(&mut self) {
        self.stop = None;
        if let Some(renewer) = self.renewer.take() {
            let _ = renewer.join();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop_renewing();
        self.shared.set_lease(0);
    }
}
