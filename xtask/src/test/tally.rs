//! Counts of what passed, failed and was skipped, and how they are shown.

use std::{fmt, time::Duration};

/// What a step, or a part of one, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    /// What failed, one line each.
    pub(super) failures: Vec<String>,
    /// How many were skipped, and why.
    pub(super) skips: Vec<(usize, String)>,
}

impl Tally {
    pub(super) fn passed(passed: usize) -> Self {
        Self { passed, ..Self::default() }
    }

    pub(super) fn failed(what: String) -> Self {
        Self { failures: vec![what], ..Self::default() }
    }

    pub(super) fn skipped(count: usize, reason: String) -> Self {
        Self { skips: vec![(count, reason)], ..Self::default() }
    }

    pub(super) fn skip_count(&self) -> usize {
        self.skips.iter().map(|(count, _)| count).sum()
    }

    /// Adds another; skips for the same reason become one.
    pub(super) fn merge(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        for (count, reason) in other.skips {
            match self.skips.iter_mut().find(|(_, known)| *known == reason) {
                Some((total, _)) => *total += count,
                None => self.skips.push((count, reason)),
            }
        }
    }

    /// Reads what libtest printed. `what` names the test binary; `bad_end` says how it ended, if not well.
    pub(super) fn of_libtest(what: &str, output: &str, bad_end: Option<&str>) -> Self {
        let mut tally = Tally::default();
        let mut results = 0;
        for line in output.lines() {
            if let Some(counts) = line.strip_prefix("test result: ") {
                results += 1;
                tally.passed += count_before(counts, " passed");
            } else if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            {
                match outcome.split_once(", ").unwrap_or((outcome, "")) {
                    ("FAILED", _) => tally.failures.push(format!("{what}: {name}")),
                    ("ignored", "") => tally.merge(Tally::skipped(1, format!("{what}: {name} is marked #[ignore]"))),
                    ("ignored", reason) => tally.merge(Tally::skipped(1, format!("{what}: {reason}"))),
                    _ => {}
                }
            }
        }
        if results == 0 {
            // It ended before it could count, or it is not libtest.
            tally.passed = output.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ... ok")).count();
            tally.passed += usize::from(bad_end.is_none() && tally.passed == 0 && tally.skips.is_empty());
        }
        if let Some(how) = bad_end.filter(|_| tally.failures.is_empty()) {
            tally.failures.push(format!("{what}: {how}"));
        }
        tally
    }
}

/// The number before `word`, as in `3 passed; 1 failed`.
fn count_before(text: &str, word: &str) -> usize {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// All steps.
#[derive(Debug, Default)]
pub(super) struct Summary {
    steps: Vec<(String, Duration, Tally)>,
    interrupted: bool,
}

impl Summary {
    pub(super) fn add(&mut self, step: String, time: Duration, tally: Tally) {
        self.steps.push((step, time, tally));
    }

    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    pub(super) fn is_good(&self) -> bool {
        !self.interrupted && self.steps.iter().all(|(.., tally)| tally.failures.is_empty())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:>7} {:>7} {:>8} {:>9}", "step", "passed", "failed", "skipped", "time")?;
        let mut total = Tally::default();
        for (step, time, tally) in &self.steps {
            let (failed, skipped) = (tally.failures.len(), tally.skip_count());
            writeln!(f, "{step:<12} {:>7} {failed:>7} {skipped:>8} {:>7.1} s", tally.passed, time.as_secs_f64())?;
            total.merge(tally.clone());
        }
        for (count, reason) in &total.skips {
            writeln!(f, "skipped {count}: {reason}")?;
        }
        for failure in &total.failures {
            writeln!(f, "failed: {failure}")?;
        }
        if self.interrupted {
            writeln!(f, "interrupted: the steps that are not listed did not run")?;
        }
        writeln!(f, "{} passed, {} failed, {} skipped", total.passed, total.failures.len(), total.skip_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "running 4 tests\ntest a ... ok\ntest b ... FAILED\ntest c ... ok\ntest d ... ignored\n\n\
                         test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0s\n";

    #[test]
    fn libtest_is_counted() {
        let tally = Tally::of_libtest("x lib", MIXED, Some("exit status: 101"));
        assert_eq!(tally.passed, 2);
        assert_eq!(tally.failures, ["x lib: b"]);
        assert_eq!(tally.skips, [(1, "x lib: d is marked #[ignore]".to_owned())]);
        let with_reason =
            Tally::of_libtest("x", "test a ... ignored, no histories\ntest b ... ignored, no histories\n", None);
        assert_eq!(with_reason.skips, [(2, "x: no histories".to_owned())]);
    }

    #[test]
    fn a_binary_that_dies_is_a_failure_and_keeps_what_passed() {
        let tally = Tally::of_libtest("x", "running 2 tests\ntest a ... ok\n", Some("signal: 6"));
        assert_eq!((tally.passed, tally.failures.as_slice()), (1, &["x: signal: 6".to_owned()][..]));
    }

    #[test]
    fn a_test_without_libtest_counts_by_how_it_ends() {
        assert_eq!(Tally::of_libtest("x", "", None), Tally::passed(1));
        assert_eq!(Tally::of_libtest("x", "", Some("exit status: 1")).failures.len(), 1);
    }

    #[test]
    fn no_tests_are_no_tests() {
        let output = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(Tally::of_libtest("x", output, None), Tally::default());
    }

    #[test]
    fn the_last_line_has_the_totals() {
        let mut summary = Summary::default();
        summary.add("unit".into(), Duration::from_secs(2), Tally::of_libtest("x", MIXED, Some("exit status: 101")));
        summary.add("privileged".into(), Duration::ZERO, Tally::skipped(7, "needs root".into()));
        let text = summary.to_string();
        assert_eq!(text.lines().last(), Some("2 passed, 1 failed, 8 skipped"));
        assert!(text.contains("skipped 7: needs root"), "{text}");
        assert!(!summary.is_good());
    }
}
