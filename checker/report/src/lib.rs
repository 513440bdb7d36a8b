//! Findings to terminal, JSON, JUnit and one self-contained HTML page.
//!
//! [`ReportInput`] is what a report is made of.

pub mod input;

pub use input::{FaultLine, NodeLine, PacketLine, PacketList, ReportInput};
