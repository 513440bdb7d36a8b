//! Findings to terminal, JSON, JUnit and one self-contained HTML page.
//!
//! [`ReportInput`] is what a report is made of; every form of report is a pure function of it. A report judges nothing:
//! it puts the verdict, the operations, the faults that were asked and the packets that were hit side by side.
//!
//! Invariants:
//! * what is cut is said to be cut, with the number and with the command that shows the rest;
//! * colour is never the only sign of anything;
//! * names, errors and descriptions come from the system under test: in every form they are escaped;
//! * times are those of the run (its start is zero), except in JSON, whose `*_ns` are those of the history's tables.

mod cycle;
mod html;
pub mod input;
mod json;
mod junit;
mod levels;
mod packets;
mod summary;
mod terminal;
mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use cycle::cycle_svg;
pub use html::html;
pub use input::{ExcerptFile, FaultLine, NodeLine, PacketLine, PacketList, ReportInput};
pub use json::{check_json, results_json};
pub use junit::junit_xml;
pub use terminal::{Style, check_terminal, terminal};
