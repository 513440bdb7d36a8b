//! Adapters to real systems: set-up, clients, error mapping.
