//! What a checker should say about a synthetic history: data that is written beside it.

use super::plant::Finds;
use super::spec::{Spec, Workload};
use crate::consistency::Model;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// An anomaly that was planted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Its name as it was asked for.
    pub anomaly: String,
    /// Operations between its halves.
    pub distance: u64,
    /// What a checker finds because of it.
    pub finds: Vec<String>,
    /// Its operations.
    pub op_ids: Vec<u64>,
}

/// What a checker should say about a synthetic history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What the history is made of.
    pub spec: String,
    /// The workload.
    pub workload: Workload,
    /// Models under which it is valid.
    pub valid: Vec<String>,
    /// Models under which it is invalid. About models in neither list nothing is claimed.
    pub invalid: Vec<String>,
    /// Names of what a checker finds.
    pub anomalies: BTreeSet<String>,
    /// Names of what it may find besides: healthy operations between the halves of something planted, joined to them by
    /// nothing but real time.
    pub may_also: BTreeSet<String>,
    /// Whether it finds nothing else. Not so where the level lets transactions show more of their own accord.
    pub exact: bool,
    /// What was planted.
    pub planted: Vec<Planted>,
}

impl Expected {
    pub(super) fn new(spec: &Spec, found: Vec<(Finds, Vec<u64>)>) -> Self {
        let finds = || found.iter().flat_map(|((finds, _), _)| finds.iter().copied());
        let may_also = found.iter().flat_map(|((_, besides), _)| besides.iter().copied());
        let (valid, invalid) = if spec.workload.is_transactional() {
            models(spec, &finds().collect())
        } else {
            let model = if spec.workload == Workload::Log { "log" } else { "linearizable" };
            if found.is_empty() { (vec![model.to_owned()], vec![]) } else { (vec![], vec![model.to_owned()]) }
        };
        let planted = spec.plants.iter().zip(&found).map(|(plant, ((finds, _), op_ids))| Planted {
            anomaly: plant.anomaly.clone(),
            distance: plant.distance,
            finds: finds.iter().map(|name| (*name).to_owned()).collect(),
            op_ids: op_ids.clone(),
        });
        let level_is_tight = spec.level == super::Level::StrictSerializable || spec.weakness == 0.0;
        Self {
            spec: format!("{} {} ops {} seed {}", spec.workload, spec.level, spec.ops, spec.seed),
            workload: spec.workload,
            valid,
            invalid,
            anomalies: finds().map(str::to_owned).collect(),
            may_also: may_also.filter(|name| !finds().any(|found| found == *name)).map(str::to_owned).collect(),
            exact: level_is_tight && spec.workload != Workload::RwRegister,
            planted: planted.collect(),
        }
    }

    /// As JSON text, with a line feed at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{{\n  \"spec\": {},", quoted(&self.spec));
        let _ = writeln!(text, "  \"workload\": {},", quoted(self.workload.name()));
        let _ = writeln!(text, "  \"valid\": {},", list(&self.valid));
        let _ = writeln!(text, "  \"invalid\": {},", list(&self.invalid));
        let _ = writeln!(text, "  \"anomalies\": {},", list(&self.anomalies));
        let _ = writeln!(text, "  \"may_also\": {},", list(&self.may_also));
        let _ = writeln!(text, "  \"exact\": {},", self.exact);
        text.push_str("  \"planted\": [");
        for (at, planted) in self.planted.iter().enumerate() {
            let ids: Vec<String> = planted.op_ids.iter().map(u64::to_string).collect();
            let _ = write!(
                text,
                "{}\n    {{\"anomaly\": {}, \"distance\": {}, \"finds\": {}, \"op_ids\": [{}]}}",
                if at == 0 { "" } else { "," },
                quoted(&planted.anomaly),
                planted.distance,
                list(&planted.finds),
                ids.join(", ")
            );
        }
        text.push_str(if self.planted.is_empty() { "]\n}\n" } else { "\n  ]\n}\n" });
        text
    }
}

/// Models of which the lattice knows only some of the anomalies that rule them out. About these nothing is claimed where
/// something was planted that it does not rule out by its knowledge.
const KNOWN_IN_PART: [&str; 6] =
    ["parallel-snapshot-isolation", "prefix", "causal-cerone", "update-atomic", "read-atomic", "monotonic-atomic-view"];

/// Models that the level implies, short of those that what was planted rules out; and those that it rules out.
fn models(spec: &Spec, finds: &BTreeSet<&'static str>) -> (Vec<String>, Vec<String>) {
    let broken = |model: &Model| finds.iter().any(|name| model.proscribes(name));
    let kept = Model::parse(spec.level.name()).map(Model::implied).unwrap_or_default();
    let in_part = |model: &Model| model.approximation().is_some() || KNOWN_IN_PART.contains(&model.name());
    let holds = |model: &&Model| !broken(model) && (finds.is_empty() || !in_part(model));
    let valid = kept.iter().filter(holds).map(|model| model.name().to_owned());
    let invalid = Model::all().filter(broken).map(|model| model.name().to_owned());
    (valid.collect(), invalid.collect())
}

fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Text in quotes, for JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", letter as u32);
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
