//! The verdict vector: one answer for each level of isolation, from one pass over a history.
//!
//! Nothing is searched here. A level fails by an anomaly that it proscribes, whichever model was asked about; it holds
//! where none was found and nothing was missing to find one; else it is unknown, and says why.

use super::{Model, Order};
use crate::finding::{Finding, LevelVerdict};
use crate::verdict::Validity;
use std::collections::BTreeSet;

/// The levels, in the order in which they are told: by data alone, then with the order in processes, then with that of
/// real time.
const LEVELS: [Model; 17] = [
    Model::at("PL-1"),
    Model::at("PL-2"),
    Model::at("monotonic-atomic-view"),
    Model::at("read-atomic"),
    Model::at("causal-cerone"),
    Model::at("parallel-snapshot-isolation"),
    Model::at("PL-SI"),
    Model::at("PL-2.99"),
    Model::at("PL-3"),
    Model::at("strong-session-PL-1"),
    Model::at("strong-session-PL-2"),
    Model::at("strong-session-PL-SI"),
    Model::at("strong-session-PL-3"),
    Model::at("strong-PL-1"),
    Model::at("strong-PL-2"),
    Model::at("strong-PL-SI"),
    Model::at("PL-SS"),
];

/// What a checker knows about the history besides the anomalies that it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The strongest order between transactions that the history knows, and that was searched for cycles.
    pub order: Order,
    /// Why no level can be said to hold, in sentences; empty where nothing stands against it.
    pub doubts: Vec<String>,
    /// What was assumed of the history at every level, in sentences.
    pub assumed: Vec<String>,
}

impl Model {
    /// The levels of the verdict vector, in the order in which they are told.
    pub fn levels() -> impl Iterator<Item = Model> {
        LEVELS.into_iter()
    }

    /// How many models of the lattice an anomaly rules out.
    fn ruled_out_by(anomaly: &str) -> usize {
        Model::all().filter(|model| model.proscribes(anomaly)).count()
    }
}

/// The verdict on every level of [`Model::levels`], from all the anomalies that were found.
///
/// The witness of a level that fails is the first finding of the anomaly that rules out the most models, among those
/// that the level proscribes: `None` where no finding of it was told.
#[must_use]
pub fn verdicts(anomalies: &BTreeSet<String>, findings: &[Finding], observed: &Observed) -> Vec<LevelVerdict> {
    let mut worst: Vec<&str> = anomalies.iter().map(String::as_str).collect();
    worst.sort_by_key(|anomaly| std::cmp::Reverse(Model::ruled_out_by(anomaly)));
    let level = |model: Model| {
        let mut against = worst.iter().filter(|anomaly| model.proscribes(anomaly)).peekable();
        if against.peek().is_some() {
            let witness = against.find_map(|name| findings.iter().find(|finding| finding.anomaly == **name));
            let witness = witness.map(|finding| finding.id.clone());
            return LevelVerdict { model, validity: Validity::Invalid, witness, assumed: Vec::new() };
        }
        let mut doubts = observed.doubts.clone();
        if model.order() > observed.order {
            let text = format!("{model} is about real time, of which the history knows nothing");
            doubts.push(text);
        }
        if !doubts.is_empty() {
            return LevelVerdict { model, validity: Validity::Unknown, witness: None, assumed: doubts };
        }
        let mut assumed = observed.assumed.clone();
        match model.order() {
            Order::Data => {}
            Order::Process => assumed.push("each process did one thing after the other".to_owned()),
            Order::Realtime => assumed.push("the order in real time is that of the recorded events".to_owned()),
        }
        assumed.extend(model.approximation().map(str::to_owned));
        LevelVerdict { model, validity: Validity::Valid, witness: None, assumed }
    };
    Model::levels().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(anomaly: &str) -> Finding {
        Finding {
            id: format!("{anomaly}-0"),
            checker: "list-append".to_owned(),
            anomaly: anomaly.to_owned(),
            summary: String::new(),
            explanation: Vec::new(),
            ops: Vec::new(),
            key: None,
            cycle: Vec::new(),
        }
    }

    fn vector(anomalies: &[&str], observed: &Observed) -> Vec<LevelVerdict> {
        let findings: Vec<Finding> = anomalies.iter().map(|anomaly| finding(anomaly)).collect();
        verdicts(&anomalies.iter().map(|name| (*name).to_owned()).collect(), &findings, observed)
    }

    fn real_time() -> Observed {
        Observed { order: Order::Realtime, doubts: Vec::new(), assumed: vec!["a".to_owned()] }
    }

    #[test]
    fn every_level_has_its_answer_and_a_witness_where_it_fails() {
        let none = vector(&[], &real_time());
        assert!(none.iter().all(|level| level.validity == Validity::Valid && level.assumed[0] == "a"));
        let found = vector(&["G-single-item-realtime", "lost-update"], &real_time());
        for level in &found {
            let witness = match level.model.name() {
                name if level.model.proscribes("lost-update") => Some((name, "lost-update-0")),
                name if level.model.proscribes("G-single-item-realtime") => Some((name, "G-single-item-realtime-0")),
                _ => None,
            };
            assert_eq!(level.witness.as_deref(), witness.map(|witness| witness.1), "{}", level.name());
            assert_eq!(level.validity == Validity::Invalid, witness.is_some(), "{}", level.name());
        }
        let fails = found.iter().filter(|level| level.validity == Validity::Invalid).map(LevelVerdict::name);
        let expected = [
            "parallel-snapshot-isolation",
            "snapshot-isolation",
            "repeatable-read",
            "serializable",
            "strong-session-snapshot-isolation",
            "strong-session-serializable",
            "strong-snapshot-isolation",
            "strict-serializable",
        ];
        assert_eq!(fails.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_real_time_the_strong_levels_are_unknown_unless_they_fail_anyway() {
        let observed = Observed { order: Order::Process, ..real_time() };
        let strong = |level: &&LevelVerdict| level.model.order() == Order::Realtime;
        let healthy = vector(&[], &observed);
        assert!(healthy.iter().filter(strong).all(|level| level.validity == Validity::Unknown));
        assert!(healthy.iter().filter(|level| !strong(level)).all(|level| level.validity == Validity::Valid));
        assert_eq!(healthy.iter().filter(strong).count(), 4);
        let broken = vector(&["G0"], &observed);
        assert!(broken.iter().all(|level| level.validity == Validity::Invalid && level.witness.is_some()));
    }

    #[test]
    fn doubts_take_away_what_holds_and_not_what_fails() {
        let observed = Observed { doubts: vec!["nothing was read".to_owned()], ..real_time() };
        let levels = vector(&["G2-item"], &observed);
        for level in &levels {
            let fails = level.model.proscribes("G2-item");
            let expected = if fails { Validity::Invalid } else { Validity::Unknown };
            assert_eq!((level.validity, level.assumed.is_empty()), (expected, fails), "{}", level.name());
        }
    }

    #[test]
    fn a_stronger_level_never_holds_where_a_weaker_one_fails() {
        for anomaly in crate::consistency::implied_anomalies("G0").into_iter().chain(["internal", "G1b", "G2"]) {
            let levels = vector(&[anomaly], &real_time());
            for weak in levels.iter().filter(|level| level.validity == Validity::Invalid) {
                for strong in levels.iter().filter(|level| level.model.implies(weak.model)) {
                    assert_eq!(strong.validity, Validity::Invalid, "{anomaly}: {} {}", weak.model, strong.model);
                }
            }
        }
    }
}
