//! The lattice of consistency models, as data: which model implies which, and which anomaly rules out which model.
//!
//! Two tables and two closures. [`tables`] holds, for every model, its names, the models it implies directly and the
//! anomalies it proscribes directly; and, for every anomaly, the anomalies it implies. A model proscribes whatever
//! implies something that it, or a model it implies, proscribes directly.
//!
//! Some models (such as [`Model::LINEARIZABLE`]) are others of the lattice by another definition: [`Model::same_as`] says so.

pub mod levels;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use tables::{ANOMALIES, MODELS, ModelRow};
use thiserror::Error;

/// A consistency model of the lattice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model(u8);

/// A name that no model carries.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown consistency model `{name}`{hint}", hint = hint(suggestions))]
pub struct UnknownModel {
    /// The name as given.
    pub name: String,
    /// Names that look like it, best first; may be empty.
    pub suggestions: Vec<&'static str>,
}

fn hint(suggestions: &[&'static str]) -> String {
    if suggestions.is_empty() { String::new() } else { format!("; did you mean {}?", suggestions.join(" or ")) }
}

/// Which order between transactions, besides their data, a model relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// None: only reads and writes order transactions.
    Data,
    /// The order within each process.
    Process,
    /// The order in time of transactions that do not overlap.
    Realtime,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Model {
    /// Every transaction takes effect at one moment between its invocation and its completion.
    pub const STRICT_SERIALIZABLE: Model = Model::at("PL-SS");
    /// The transactions are equivalent to some serial order.
    pub const SERIALIZABLE: Model = Model::at("PL-3");
    /// Every transaction reads from one snapshot, and of two concurrent writers of an object one aborts.
    pub const SNAPSHOT_ISOLATION: Model = Model::at("PL-SI");
    /// Transactions read what committed transactions wrote last.
    pub const READ_COMMITTED: Model = Model::at("PL-2");
    /// Writes of different transactions do not interleave.
    pub const READ_UNCOMMITTED: Model = Model::at("PL-1");
    /// As strict-serializable, of operations on single objects; transactions can only rule it out.
    pub const LINEARIZABLE: Model = Model::at("linearizable");

    const fn at(canonical: &str) -> Model {
        let mut index = 0;
        while index < MODELS.len() {
            if same(MODELS[index].canonical, canonical) {
                return Model(index as u8);
            }
            index += 1;
        }
        panic!("no such model");
    }

    fn row(self) -> &'static ModelRow {
        &MODELS[self.0 as usize]
    }

    /// The model with this name or alias, whatever its case; `_` counts as `-`.
    ///
    /// # Errors
    /// [`UnknownModel`], with the names that look most like it.
    pub fn parse(name: &str) -> Result<Model, UnknownModel> {
        let wanted = normalise(name);
        let found = Model::all().find(|model| model.names().any(|known| normalise(known) == wanted));
        found.ok_or_else(|| UnknownModel { name: name.to_owned(), suggestions: suggestions(&wanted) })
    }

    /// Every model, the strongest transactional ones first.
    pub fn all() -> impl Iterator<Item = Model> {
        (0..MODELS.len()).map(|index| Model(index as u8))
    }

    /// The name used in this project's flags and reports, such as `strict-serializable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name that Elle prints in `:not` and `:also-not`: as [`Model::name`], except `strong-serializable`.
    #[must_use]
    pub fn friendly(self) -> &'static str {
        self.row().friendly
    }

    /// Every name by which [`Model::parse`] knows it, [`Model::name`] first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let row = self.row();
        let rest = [row.friendly, row.canonical].into_iter().chain(row.aliases.iter().copied());
        let mut seen = vec![row.name];
        for name in rest {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        seen.into_iter()
    }

    /// This model and every model that it implies.
    #[must_use]
    pub fn implied(self) -> BTreeSet<Model> {
        let implied = CLOSURES.models[self.0 as usize];
        Model::all().filter(|model| implied >> model.0 & 1 == 1).collect()
    }

    /// Whether whatever satisfies this model satisfies `weaker`.
    #[must_use]
    pub fn implies(self, weaker: Model) -> bool {
        self.implied().contains(&weaker)
    }

    /// Every anomaly that cannot occur under this model.
    #[must_use]
    pub fn proscribed(self) -> BTreeSet<&'static str> {
        anomalies_of(CLOSURES.proscribed[self.0 as usize])
    }

    /// Whether an anomaly cannot occur under this model.
    #[must_use]
    pub fn proscribes(self, anomaly: &str) -> bool {
        number_of(anomaly).is_some_and(|number| CLOSURES.proscribed[self.0 as usize] >> number & 1 == 1)
    }

    /// A model that this one is the same as for all that a history shows, if it is defined in other terms.
    #[must_use]
    pub fn same_as(self) -> Option<Model> {
        self.row().same_as.map(Model::at)
    }

    /// The strongest order between transactions that this model relies on.
    #[must_use]
    pub fn order(self) -> Order {
        self.proscribed().into_iter().map(order_of).max().unwrap_or(Order::Data)
    }

    /// Why a pass under this model says less than its name, if it does: part of what defines it shows in no anomaly
    /// that can be found.
    #[must_use]
    pub fn approximation(self) -> Option<&'static str> {
        self.row().approximation
    }
}

/// The order between transactions, besides that of data, that an anomaly relies on.
#[must_use]
pub fn order_of(anomaly: &str) -> Order {
    const GUARANTEES: [&str; 4] = [
        "monotonic-reads-violation",
        "monotonic-writes-violation",
        "read-your-writes-violation",
        "writes-follow-reads-violation",
    ];
    if anomaly.ends_with("-realtime") {
        Order::Realtime
    } else if anomaly.ends_with("-process") || GUARANTEES.contains(&anomaly) {
        Order::Process
    } else {
        Order::Data
    }
}

/// This anomaly and every anomaly that it implies; nothing for a name that the lattice does not know.
#[must_use]
pub fn implied_anomalies(anomaly: &str) -> BTreeSet<&'static str> {
    number_of(anomaly).map(|number| anomalies_of(CLOSURES.anomalies[number])).unwrap_or_default()
}

/// The border that anomalies draw through the lattice: the weakest models they rule out, and the stronger ones that
/// fall with them. In Elle's friendly names. Anomalies with names unknown to the lattice rule nothing out.
#[must_use]
pub fn boundary<'a>(anomalies: impl IntoIterator<Item = &'a str>) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let found = anomalies.into_iter().filter_map(number_of).fold(0_u128, |bits, number| bits | 1 << number);
    let ruled_out = |model: &Model| CLOSURES.proscribed[model.0 as usize] & found != 0;
    // What is another model by another definition draws no border of its own.
    let of_its_own = |model: &Model| model.same_as().is_none();
    let impossible = Model::all().filter(ruled_out).filter(of_its_own).fold(0_u128, |bits, model| bits | 1 << model.0);
    let (mut not, mut also_not) = (BTreeSet::new(), BTreeSet::new());
    for model in Model::all().filter(ruled_out) {
        let weaker = CLOSURES.models[model.0 as usize] & !(1 << model.0);
        let border = if weaker & impossible == 0 && of_its_own(&model) { &mut not } else { &mut also_not };
        border.insert(model.friendly());
    }
    (not, also_not)
}

/// The closures of the tables, as sets of places in them.
struct Closures {
    /// What each anomaly implies, itself included.
    anomalies: Vec<u128>,
    /// What each model implies, itself included.
    models: Vec<u128>,
    /// The anomalies that each model proscribes.
    proscribed: Vec<u128>,
}

const _: () = assert!(MODELS.len() <= 128 && ANOMALIES.len() <= 128, "a set of places must fit a word");

static CLOSURES: LazyLock<Closures> = LazyLock::new(|| {
    let set =
        |names: &[&str]| names.iter().filter_map(|name| number_of(name)).fold(0, |bits, number| bits | 1 << number);
    let anomalies = closure(ANOMALIES.iter().map(|row| set(row.implies)).collect());
    let weaker = |row: &ModelRow| row.implies.iter().fold(0, |bits, name| bits | 1 << Model::at(name).0);
    let models = closure(MODELS.iter().map(weaker).collect());
    let direct: Vec<u128> = MODELS.iter().map(|row| set(row.proscribes)).collect();
    let proscribes = |implied: &u128| {
        let direct = places(*implied).fold(0, |bits, model| bits | direct[model]);
        (0..ANOMALIES.len())
            .filter(|number| anomalies[*number] & direct != 0)
            .fold(0, |bits, number| bits | 1 << number)
    };
    let mut proscribed: Vec<u128> = models.iter().map(proscribes).collect();
    for (number, same) in MODELS.iter().enumerate().filter_map(|(number, row)| Some((number, row.same_as?))) {
        proscribed[number] |= proscribed[Model::at(same).0 as usize];
    }
    Closures { anomalies, models, proscribed }
});

/// Reflexive and transitive closure of a relation, row by row.
fn closure(mut rows: Vec<u128>) -> Vec<u128> {
    for (place, row) in rows.iter_mut().enumerate() {
        *row |= 1 << place;
    }
    loop {
        let next: Vec<u128> = rows.iter().map(|row| places(*row).fold(0, |bits, place| bits | rows[place])).collect();
        if next == rows {
            return rows;
        }
        rows = next;
    }
}

fn places(bits: u128) -> impl Iterator<Item = usize> {
    (0..128).filter(move |place| bits >> place & 1 == 1)
}

fn number_of(anomaly: &str) -> Option<usize> {
    ANOMALIES.iter().position(|row| row.name == anomaly)
}

fn anomalies_of(bits: u128) -> BTreeSet<&'static str> {
    places(bits).filter_map(|place| ANOMALIES.get(place)).map(|row| row.name).collect()
}

fn normalise(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(['_', ' '], "-")
}

/// Names at a small distance, or that contain what was typed.
fn suggestions(wanted: &str) -> Vec<&'static str> {
    let mut near: Vec<(usize, &'static str)> = Vec::new();
    for model in Model::all() {
        let best = model.names().map(|name| distance(wanted, &normalise(name))).min().unwrap_or(usize::MAX);
        let contains = wanted.len() >= 3 && model.names().any(|name| normalise(name).contains(wanted));
        if best <= 1 + wanted.len() / 4 {
            near.push((best, model.name()));
        } else if contains {
            near.push((100, model.name()));
        }
    }
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Number of letters to insert, delete or replace between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replace = diagonal + usize::from(letter != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}
