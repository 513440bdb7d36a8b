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

/// Faults that were in force at some moment of `from..=to` (ns of the run), in order of start.
pub(crate) fn in_force(input: &ReportInput, from: i64, to: i64) -> Vec<&FaultLine> {
    let overlaps = |fault: &&FaultLine| fault.start_ns <= to && fault.stop_ns.is_none_or(|stop| stop >= from);
    input.faults.iter().filter(|fault| fault.error.is_none()).filter(overlaps).collect()
}

/// The last fault that began before `from` (ns of the run).
pub(crate) fn last_before(input: &ReportInput, from: i64) -> Option<&FaultLine> {
    input.faults.iter().rfind(|fault| fault.error.is_none() && fault.start_ns < from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn state(change: impl FnOnce(&mut ReportInput)) -> (FaultState, String) {
        let mut input = sample::valid();
        change(&mut input);
        let all = faults(&input);
        (all[0].state(), all[0].effect())
    }

    #[test]
    fn a_fault_is_as_good_as_its_worst_occurrence() {
        let told = |text: &str| text.to_owned();
        assert_eq!(state(|_| ()), (FaultState::Hit, told("1 204 packets dropped (kernel: 1 204)")));
        let more = state(|input| input.faults[1].kernel_hits = Some(601));
        assert_eq!(more, (FaultState::Disagree, told("1 204 packets dropped (but the kernel counted 1 205)")));
        let swapped =
            state(|input| (input.faults[0].kernel_hits, input.faults[1].kernel_hits) = (Some(600), Some(604)));
        assert_eq!(swapped.0, FaultState::Disagree, "sums that agree by chance do not hide it");
        let unread = state(|input| input.faults[1].kernel_hits = None);
        assert_eq!(unread, (FaultState::Hit, told("1 204 packets dropped (the kernel's own count was not read)")));
        let failed = state(|input| input.faults[1].error = Some("no node led".to_owned()));
        assert_eq!(failed.0, FaultState::Failed);
        let idle = state(|input| {
            for fault in &mut input.faults {
                (fault.hits, fault.kernel_hits) = (0, Some(0));
            }
        });
        assert_eq!(idle, (FaultState::NeverFired, told("nothing dropped (kernel: 0)")));
    }

    #[test]
    fn process_faults_are_done_not_hit() {
        let mut input = sample::valid();
        assert_eq!((faults(&input)[1].state(), faults(&input)[1].effect()), (FaultState::Hit, "done once".to_owned()));
        input.faults[2].error = Some("no such process".to_owned());
        assert_eq!(faults(&input)[1].effect(), "done 0 times, failed once");
    }
}
