//! The demo store: a small replicated key-value store with switchable, realistic bugs.
//!
//! Healthy ([`Bug::None`]), registers are linearizable and transactions over lists and registers strict serializable,
//! under partitions, kills and pauses. Each [`Bug`] is one mistake, and plants one family of anomalies:
//!
//! | bug | what is wrong | what a history shows |
//! |---|---|---|
//! | `stale-reads` | a leader reads without asking a quorum whether it still leads | stale reads, while a leader is cut off |
//! | `ack-before-replicated` | a write is acknowledged when one log has it | acknowledged writes vanish, when a leader is cut off |
//! | `non-atomic-txn` | micro-operations are replicated one by one | intermediate reads, read skew, write skew, at any time; registers stay right |
//!
//! The way of a command: a client asks its node ([`DemoClient`], `wire`); the node forwards to the leader if it is not
//! (`peer`); the leader proposes commands in batches and confirms reads in rounds (`engine`, `queue`); Raft
//! (the crate `openraft`) puts entries into the logs of a quorum (`log_store`, `journal`) and feeds them to the state machine
//! (`machine`, `state`).
//!
//! Limits: the log is kept whole unless [`NodeConfig::snapshot_entries`] is set, and its file is never rewritten, so a
//! node is made for bounded runs; membership is fixed; the port for peers trusts who speaks to it.

mod bug;
mod client;
mod config;
mod engine;
mod error;
mod journal;
mod links;
mod log_store;
mod machine;
mod node;
mod peer;
mod proposals;
mod queue;
mod server;
mod speculation;
mod state;
mod target;
mod types;
mod wire;

pub use bug::Bug;
pub use client::DemoClient;
pub use config::NodeConfig;
pub use error::DemoError;
pub use links::Links;
pub use node::{DemoNode, run_node};
pub use target::DemoTarget;
pub use wire::NodeStatus;
