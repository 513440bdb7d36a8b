//! What a command line may change in a plan without touching its file.

use crate::{
    plan::Plan,
    problem::nearest,
    quantity::{Rate, show_duration},
};
use thiserror::Error;

/// Changes to a plan; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Seed.
    pub seed: Option<u64>,
    /// Bug to switch on; `none` for a healthy system.
    pub bug: Option<String>,
    /// Length of the faults phase, ns.
    pub faults_ns: Option<u64>,
    /// Rate of every workload that has one.
    pub rate: Option<Rate>,
}

/// A change that cannot be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverrideError {
    /// The target has no bug of that name.
    #[error("target {target} has no bug `{bug}`: {help}")]
    UnknownBug {
        /// The target.
        target: String,
        /// The bug.
        bug: String,
        /// What there is instead.
        help: String,
    },
    /// A fault would not fit into the faults phase even once.
    #[error("{faults} of faults are too short: `{fault}` ends at {needs}", faults = show_duration(*faults_ns), needs = show_duration(*needs_ns))]
    TooShort {
        /// The length that was asked for, ns.
        faults_ns: u64,
        /// The fault.
        fault: String,
        /// Length at which it fits once, ns.
        needs_ns: u64,
    },
}

impl Plan {
    /// The plan with these changes.
    ///
    /// # Errors
    /// The first change that cannot be made.
    pub fn with_overrides(mut self, overrides: &Overrides) -> Result<Plan, OverrideError> {
        self.seed = overrides.seed.or(self.seed);
        if let Some(bug) = &overrides.bug {
            self.cluster.bug = self.check_bug(bug)?;
        }
        if let Some(faults_ns) = overrides.faults_ns {
            self.phases.faults_ns = faults_ns;
            self.check_length(faults_ns)?;
        }
        if let Some(rate) = overrides.rate {
            for workload in &mut self.workloads {
                workload.rate = workload.rate.map(|_| rate);
            }
        }
        Ok(self)
    }

    fn check_bug(&self, bug: &str) -> Result<Option<String>, OverrideError> {
        let target = self.cluster.target;
        if bug == "none" {
            return Ok(None);
        }
        let known: Vec<&str> = target.bugs().iter().map(|bug| bug.name).collect();
        if known.contains(&bug) {
            return Ok(Some(bug.to_owned()));
        }
        let help = match nearest(bug, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it has none".to_owned(),
            None => format!("it has {} and none", known.join(", ")),
        };
        Err(OverrideError::UnknownBug { target: target.name().to_owned(), bug: bug.to_owned(), help })
    }

    /// Every fault must still happen at least once: a plan that silently loses its faults would pass for the wrong reason.
    fn check_length(&self, faults_ns: u64) -> Result<(), OverrideError> {
        let ends = self.faults.iter().map(|fault| (fault.name.as_str(), fault.at_ns.saturating_add(fault.for_ns)));
        let nemesis = self.nemesis.as_ref().map(|nemesis| {
            let interval_ns = nemesis.interval_ns;
            ("nemesis", (interval_ns / 2).saturating_add(interval_ns).saturating_add(nemesis.for_ns))
        });
        match ends.chain(nemesis).find(|(_, needs_ns)| *needs_ns > faults_ns) {
            Some((fault, needs_ns)) => Err(OverrideError::TooShort { faults_ns, fault: fault.to_owned(), needs_ns }),
            None => Ok(()),
        }
    }
}
