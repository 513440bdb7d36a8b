//! Adapters to real systems: how to start them, how to reach them, and what their errors mean.
//!
//! Invariants:
//! * every client has a connection of its own, opened here, so that its cookie and its two addresses are known and
//!   its operations can be joined to the packets that were hit; a lost connection is never replaced under its cookie;
//! * an error becomes `fail` only if the request was not sent, or if the system is known to refuse with that very
//!   error before it does anything; every other error of an operation that writes is `info`;
//! * an adapter never touches a machine's own service of the same name: it starts processes of its own, on the lab's
//!   addresses and in the run's directories.

pub mod etcd;

pub use etcd::{EtcdOptions, EtcdTarget, Reads};
