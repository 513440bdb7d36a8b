//! The kernel's door: probes, load, attach, publish rule tables, read events, lease.
