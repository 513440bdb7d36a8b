//! The workloads: register, list-append.
