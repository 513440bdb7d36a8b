//! Hosts on this machine: network namespaces, cgroups, processes, and their clean-up.
