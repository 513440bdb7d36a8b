//! The compiled eBPF programs, embedded; absent where they were not built.
