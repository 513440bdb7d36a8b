//! A simulator that runs generators with no I/O.
