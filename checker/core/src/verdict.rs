//! Verdicts and how they merge.
//!
//! `invalid > unknown > valid`: one violation makes the whole invalid; short of that, one doubt makes it unknown. A
//! panic, a spent budget, a lost event, or a fault that never fired is a doubt, never a pass.

/// The three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Validity {
    /// No violation, and nothing that would make that statement hollow.
    Valid,
    /// Neither can be said; the reasons say why.
    Unknown,
    /// A violation was found.
    Invalid,
}

impl Validity {
    /// The word used in columns, flags and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Validity::Valid => "valid",
            Validity::Unknown => "unknown",
            Validity::Invalid => "invalid",
        }
    }
}

/// Why a verdict is `unknown`, or a remark on one that is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// Stable code in capitals, such as `FAULT_NEVER_FIRED`, `EVENTS_LOST`, `NO_OK_READS`, `BUDGET_SPENT`.
    pub code: String,
    /// The reason in a sentence.
    pub text: String,
}

impl Reason {
    /// A reason from its code and its sentence.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }
}

/// A verdict with the reasons for its doubts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub validity: Validity,
    /// Doubts, in the order in which they were found. May accompany an `invalid`; never a `valid`.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// The verdict of something that found nothing wrong and has no doubts.
    #[must_use]
    pub fn valid() -> Self {
        Self { validity: Validity::Valid, reasons: Vec::new() }
    }

    /// A violation.
    #[must_use]
    pub fn invalid() -> Self {
        Self { validity: Validity::Invalid, reasons: Vec::new() }
    }

    /// A doubt.
    #[must_use]
    pub fn unknown(reason: Reason) -> Self {
        Self { validity: Validity::Unknown, reasons: vec![reason] }
    }

    /// Both together: the worse validity, all reasons.
    #[must_use]
    pub fn merge(mut self, other: Verdict) -> Self {
        self.validity = self.validity.max(other.validity);
        self.reasons.extend(other.reasons);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_the_worst_answer_and_every_reason() {
        let doubt = Verdict::unknown(Reason::new("EVENTS_LOST", "12 events lost"));
        assert_eq!(Verdict::valid().merge(Verdict::valid()), Verdict::valid());
        assert_eq!(Verdict::valid().merge(doubt.clone()).validity, Validity::Unknown);
        let all = doubt.merge(Verdict::invalid()).merge(Verdict::valid());
        assert_eq!(all.validity, Validity::Invalid);
        assert_eq!(all.reasons.len(), 1);
    }
}
