//! Scenarios: TOML to checked plan, schedule from a seed, rule tables. Pure.
//!
//! ```text
//! scenario text ── parse ──> Plan ── schedule(seed) ──> Schedule ── resolve(situation) ──> ResolvedFault ── compile ──> RuleTable
//! ```
//!
//! Invariants of the room:
//! * no I/O, no clock, no thread, nothing that depends on the order of a hash map;
//! * a [`Plan`] exists only if its scenario has no mistake, and mistakes are reported all at once, with their places;
//! * the same plan and seed give the same schedule; the same occurrence, situation and seed give the same hosts and rules;
//! * nothing selects by default: a fault that names no hosts is refused.
//!
//! The grammar is in `docs/scenarios.md`.

mod compile;
mod dice;
mod explain;
mod fault_section;
mod overrides;
mod parse;
pub mod plan;
mod problem;
mod quantity;
mod resolve;
mod schedule;
mod table;
mod target;
pub mod words;

pub use compile::{CompileError, Host, Hosts, RULES_PER_FAULT, RuleTable, compile};
pub use explain::explain;
pub use overrides::{OverrideError, Overrides};
pub use parse::parse;
pub use plan::{CLIENTS_HOST, FaultPlan, FaultSpec, Plan, Selector, WorkloadKind, WorkloadPlan};
pub use problem::{Code, Label, Problem, nearest, position, render};
pub use quantity::{Rate, parse_duration_ns, show_duration, show_share};
pub use resolve::{PacketFault, ResolveError, ResolvedFault, ResolvedKind, Situation, resolve};
pub use schedule::{Action, FaultId, Occurrence, Schedule, Step};
pub use target::{Bug, TargetKind};
