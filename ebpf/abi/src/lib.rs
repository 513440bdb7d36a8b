//! The contract between kernel and user space.
//!
//! Depends on nothing; nothing else defines a type that crosses the kernel line. Fixed-width integers only, explicit
//! padding, sizes and offsets asserted at compile time. The functions here are compiled twice, for the kernel and for the
//! host: what the host's tests say about them is true of the programs, and a conformance test compares the two.
//!
//! * [`rule`]: which packets, and what to do with them.
//! * [`packet`]: a packet as the rules see it, and the parser that makes it so.
//! * [`connection`]: which connection a packet belongs to, by names that mean the same in the next run.
//! * [`decision`]: the dice and the order of the rules. One pure function.
//! * [`event`]: what is reported of a packet that was hit.
//! * [`control`]: tables, lease and counters shared through memory.
#![no_std]

pub mod connection;
pub mod control;
pub mod decision;
pub mod event;
pub mod packet;
pub mod rule;

pub use connection::{Connection, Direction, FlowState};
pub use control::{Control, Counter, HITS_MAX, HOSTS_MAX, RULES_MAX, TableHeader};
pub use decision::{Considered, Decision, PacketIdentity, consider, decide, draw, fires, matches};
pub use event::InjectionEvent;
pub use packet::{Addr, Flow, Frame, PacketView, Parsed, parse, parse_plain};
pub use rule::{Action, Rule};
