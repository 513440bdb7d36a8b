//! The contract between kernel and user space.
//!
//! Depends on nothing; nothing else defines a type that crosses the kernel line. Fixed-width integers only, explicit
//! padding, sizes and offsets asserted at compile time.
#![no_std]

pub mod rule;

pub use rule::{Action, Rule};
