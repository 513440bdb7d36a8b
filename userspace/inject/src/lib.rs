//! The kernel's door: probes, load, attach, publish rule tables, read events, lease.
//!
//! The only room with aya in it, and the only one of user space with `unsafe`.
//!
//! ```no_run
//! # use std::{path::Path, time::Duration};
//! # fn main() -> Result<(), fissure_inject::InjectError> {
//! let mut injector = fissure_inject::Injector::load()?;
//! injector.attach("n1", Some(Path::new("/run/netns/n1")), "eth0")?;
//! let mut events = injector.events()?;
//! let _lease = injector.lease()?;
//! injector.publish(&[fissure_abi::Rule { rule_id: 1, action: 1, ..fissure_abi::Rule::ANY }])?;
//! let mut injections = Vec::new();
//! events.read(Duration::from_millis(100), &mut injections)?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//! * Everything is a file descriptor and nothing is pinned: when the process ends, however it ends, the kernel takes the
//!   programs away. (Where the kernel has no tcx, a filter outlives its process; without its lease it does nothing.)
//! * Nothing is done to any packet unless a [`Lease`] is held and renewed.
//! * A table is published whole: each packet is decided by one table or by the other.
//! * What is attached to an interface by others is neither removed nor changed.

mod attach;
mod error;
mod events;
mod injector;
mod lease;
mod netns;
pub mod probe;
mod shared;
mod sys;
mod table;

pub use attach::{Attached, Mechanism};
pub use error::{InjectError, VerifierRefusal};
pub use events::{EventReader, Injection};
pub use injector::{Counters, Injector, Options, TestRun};
pub use lease::Lease;
pub use table::Published;

/// What BPF_PROG_TEST_RUN costs by itself: nanoseconds per packet of a program that does nothing. For measurements.
///
/// # Errors
///
/// What the kernel said.
#[doc(hidden)]
pub fn empty_program_ns(frame: &[u8], repeat: u32) -> std::io::Result<f64> {
    let program = sys::load_classifier(sys::RETURN_0)?;
    sys::test_run(&program, frame, repeat).map(f64::from)
}
