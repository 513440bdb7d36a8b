//! The verdict vector: one answer for each level of isolation, from one pass over a history.
//!
//! Nothing is searched here. A level fails by an anomaly that it proscribes, whichever model was asked about; it holds
//! where none was found and nothing was missing to find one; else it is unknown, and says why.

use super::{Model, Order};
use crate::finding::{Finding, LevelVerdict};
use crate::verdict::{Reason, Validity, Verdict};
use std::collections::BTreeSet;

/// The levels, in the order in which they are told: by data alone, then with the order in processes, then with that of
/// real time.
const LEVELS: [Model; 18] = [
    Model::at("PL-1"),
    Model::at("PL-2"),
    Model::at("monotonic-atomic-view"),
    Model::at("read-atomic"),
    Model::at("causal-cerone"),
    Model::at("parallel-snapshot-isolation"),
    Model::at("PL-SI"),
    Model::at("PL-2.99"),
    Model::at("PL-3"),
    Model::at("causal"),
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
    /// Why no level can be said to hold; empty where nothing stands against it.
    pub doubts: Vec<Reason>,
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
        let verdict = verdict(model, anomalies, observed);
        let mut answer = LevelVerdict { model, validity: verdict.validity, witness: None, assumed: Vec::new() };
        match verdict.validity {
            Validity::Invalid => {
                let mut against = worst.iter().filter(|anomaly| model.proscribes(anomaly));
                let witness = against.find_map(|name| findings.iter().find(|finding| finding.anomaly == **name));
                answer.witness = witness.map(|finding| finding.id.clone());
            }
            Validity::Unknown => answer.assumed = verdict.reasons.into_iter().map(|reason| reason.text).collect(),
            Validity::Valid => {
                answer.assumed.clone_from(&observed.assumed);
                answer.assumed.extend(of_order(model.order()).map(str::to_owned));
                answer.assumed.extend(model.approximation().map(str::to_owned));
            }
        }
        answer
    };
    Model::levels().map(level).collect()
}

fn of_order(order: Order) -> Option<&'static str> {
    match order {
        Order::Data => None,
        Order::Process => Some("each process did one thing after the other"),
        Order::Realtime => Some("the order in real time is that of the recorded events"),
    }
}

/// The verdict on one model, from all the anomalies that were found. Reasons for doubt: those that were observed;
/// `NO_REAL_TIME_ORDER` (the model is about real time, and the history knows only the order in processes).
#[must_use]
pub fn verdict(model: Model, anomalies: &BTreeSet<String>, observed: &Observed) -> Verdict {
    let fails = |model: Model| anomalies.iter().any(|name| model.proscribes(name));
    let mut verdict = if fails(model) { Verdict::invalid() } else { Verdict::valid() };
    let mut doubts = Vec::new();
    if model.order() > observed.order {
        let text = format!("{model} is about real time, of which the history knows nothing: choose a weaker model");
        doubts.push(Reason::new("NO_REAL_TIME_ORDER", text));
    }
    doubts.extend_from_slice(&observed.doubts);
    for reason in doubts {
        verdict = verdict.merge(Verdict::unknown(reason));
    }
    verdict
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
    fn a_violation_of_causality_within_processes_leaves_what_knows_no_processes() {
        let found = vector(&["causal-violation-process"], &real_time());
        let fails = found.iter().filter(|level| level.validity == Validity::Invalid).map(LevelVerdict::name);
        let expected = [
            "causal",
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
        let doubts = vec![Reason::new("NO_OK_READS", "nothing was read")];
        let observed = Observed { doubts, ..real_time() };
        let levels = vector(&["G2-item"], &observed);
        for level in &levels {
            let fails = level.model.proscribes("G2-item");
            let expected = if fails { Validity::Invalid } else { Validity::Unknown };
            assert_eq!((level.validity, level.assumed.is_empty()), (expected, fails), "{}", level.name());
        }
    }

    #[test]
    fn models_by_other_definitions_stand_and_fall_with_those_that_they_are() {
        let asked = |model: &str, anomalies: &[&str], observed: &Observed| {
            let anomalies = anomalies.iter().map(|name| (*name).to_owned()).collect();
            verdict(Model::parse(model).unwrap(), &anomalies, observed)
        };
        for model in ["linearizable", "sequential", "view-serializable", "session-serializable", "1SR"] {
            assert_eq!(asked(model, &[], &real_time()), Verdict::valid(), "{model}");
            assert_eq!(asked(model, &["G2-item"], &real_time()), Verdict::invalid(), "{model}");
        }
        let processes = Observed { order: Order::Process, ..real_time() };
        assert_eq!(asked("sequential", &[], &processes), Verdict::valid());
        assert_eq!(asked("linearizable", &[], &processes).validity, Validity::Unknown);
        assert_eq!(asked("linearizable", &["monotonic-reads-violation"], &processes).validity, Validity::Invalid);
        assert_eq!(asked("view-serializable", &["G2-item-process"], &real_time()), Verdict::valid());
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
