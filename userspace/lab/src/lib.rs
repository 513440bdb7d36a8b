//! Hosts on this machine: network namespaces joined by a bridge, a cgroup for each, processes in them, and their clean-up.
//!
//! A [`Lab`] is a set of named hosts. Every host is a network namespace with one Ethernet link `eth0`; all links end in
//! a namespace of the lab's own that holds the bridge, so the machine's own namespace sees no link, no address and no
//! route of a lab, and two labs with equal addresses cannot meet. Processes are started inside a host, each in a cgroup
//! of its own below the host's, so that killing or pausing one reaches its children too, wherever they hid.
//!
//! Invariants of this room:
//!
//! * Every object is written to a journal (`/run/fissure/<lab id>.json`) before it is created. What is not in a journal
//!   is never removed, whatever its name.
//! * A lab ends with its owner, however that ended. Three things see to it, each enough alone: [`Lab`]'s `Drop`; a
//!   watcher process that holds a pipe from the owner ([`reaper_main`]); and [`clean`], which the next
//!   [`Lab::create`] runs first.
//! * A lab whose owner lives, or whose owner cannot be judged from here, is never touched by [`clean`].
//! * Removing is idempotent: an object that is gone already is no error, and a failure to remove one object does not
//!   keep the others from being removed.

mod address;
mod cgroup;
mod clean;
mod config;
mod error;
mod host;
mod iproute;
mod journal;
mod lab;
mod mounts;
mod netns;
mod probe;
mod process;
mod procfs;
mod reaper;

pub use cgroup::PauseMethod;
pub use clean::{CleanReport, CleanScope, CleanedLab, LabState, LabSummary, clean, list};
pub use config::LabConfig;
pub use error::LabError;
pub use host::Host;
pub use lab::{Lab, Offloads};
pub use netns::{enter_netns, in_netns};
pub use probe::{Probe, Support, probe};
pub use process::{Process, ProcessSpec};
pub use reaper::reaper_main;
