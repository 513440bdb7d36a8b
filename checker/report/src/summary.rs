//! Occurrences of the same fault, taken together: what was asked, what was hit, and whether the two counts agree.

use crate::input::{FaultLine, ReportInput};
use crate::words::{count, tenths, thousands};

/// All occurrences of one fault of the scenario.
#[derive(Clone, Debug)]
pub(crate) struct FaultSummary<'a> {
    /// The scenario's name for it.
    pub(crate) name: &'a str,
    /// `partition`, `drop`, `kill`, `pause`.
    pub(crate) kind: &'a str,
    /// In order of start.
    pub(crate) occurrences: Vec<&'a FaultLine>,
}

/// How a fault came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultState {
    /// It hit something, or it acted on a process.
    Hit,
    /// It was in force and hit nothing.
    NeverFired,
    /// At least one occurrence could not be put in force.
    Failed,
    /// The recorded hits are not those that the kernel counted.
    Disagree,
}

/// The faults, by name, in order of their first start.
pub(crate) fn faults(input: &ReportInput) -> Vec<FaultSummary<'_>> {
    let mut all: Vec<FaultSummary<'_>> = Vec::new();
    for fault in &input.faults {
        match all.iter_mut().find(|known| known.name == fault.name) {
            Some(known) => known.occurrences.push(fault),
            None => all.push(FaultSummary { name: &fault.name, kind: &fault.kind, occurrences: vec![fault] }),
        }
    }
    all
}

impl FaultSummary<'_> {
    /// Recorded injections.
    pub(crate) fn hits(&self) -> u64 {
        self.occurrences.iter().map(|fault| fault.hits).sum()
    }

    /// The kernel's own count; `None` where it was not read for every occurrence that has packet rules.
    pub(crate) fn kernel_hits(&self) -> Option<i64> {
        self.occurrences.iter().filter(|fault| fault.rules > 0).map(|fault| fault.kernel_hits).sum()
    }

    /// Whether it acts on packets (not on processes).
    pub(crate) fn is_packets(&self) -> bool {
        self.occurrences.iter().any(|fault| fault.rules > 0)
    }

    /// Occurrences that could not be put in force.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &FaultLine> {
        self.occurrences.iter().copied().filter(|fault| fault.error.is_some())
    }

    /// How it came out; the worst if occurrences differ.
    pub(crate) fn state(&self) -> FaultState {
        let disagrees = |fault: &&&FaultLine| fault.kernel_hits.is_some_and(|hits| hits != fault.hits as i64);
        if self.failures().next().is_some() {
            FaultState::Failed
        } else if self.is_packets() && self.hits() == 0 {
            FaultState::NeverFired
        } else if self.occurrences.iter().find(disagrees).is_some() {
            FaultState::Disagree
        } else {
            FaultState::Hit
        }
    }

    /// `isolate the leader ×4`.
    pub(crate) fn title(&self) -> String {
        if self.occurrences.len() == 1 {
            self.name.to_owned()
        } else {
            format!("{} ×{}", self.name, self.occurrences.len())
        }
    }

    /// `1 204 packets dropped (kernel: 1 204)`, or what it did to processes.
    pub(crate) fn effect(&self) -> String {
        if !self.is_packets() {
            let failed = self.failures().count();
            let done = (self.occurrences.len() - failed) as u64;
            return if failed == 0 {
                format!("done {}", times(done))
            } else {
                format!("done {}, failed {}", times(done), times(failed as u64))
            };
        }
        let hits = if self.hits() == 0 { "nothing".to_owned() } else { count(self.hits(), "packet") };
        let kernel = match self.kernel_hits() {
            Some(kernel) if kernel == self.hits() as i64 => format!("kernel: {}", thousands(self.hits())),
            Some(kernel) => format!("but the kernel counted {}", thousands(kernel.unsigned_abs())),
            None => "the kernel's own count was not read".to_owned(),
        };
        format!("{hits} dropped ({kernel})")
    }
}

fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        number => format!("{} times", thousands(number)),
    }
}

/// `10.0–20.0s`, or `10.0s to the end` if it was never lifted.
pub(crate) fn asked(fault: &FaultLine) -> String {
    match fault.stop_ns {
        Some(stop) => format!("{}–{}s", tenths(fault.start_ns), tenths(stop)),
        None => format!("{}s to the end", tenths(fault.start_ns)),
    }
}

/// Operations in all: ok, fail, info.
pub(crate) fn outcomes(input: &ReportInput) -> [u64; 3] {
    input.ops_by_f.values().fold([0; 3], |all, by| [all[0] + by[0], all[1] + by[1], all[2] + by[2]])
}
