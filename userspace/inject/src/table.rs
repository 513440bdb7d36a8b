//! Rule tables: which of the two is in use, and where each rule's hits are counted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fissure_abi::{HITS_MAX, RULES_MAX, Rule};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{InjectError, shared::Shared};

/// A table that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its revision; the events it causes carry it.
    pub revision: u32,
    /// How long it took, until the first packet could see it.
    pub took: Duration,
}

/// Where a rule's hits are counted, and what the counter said before the rule had it.
#[derive(Clone, Copy)]
struct Place {
    place: u32,
    before: u64,
}

/// The tables as this process knows them.
#[derive(Default)]
pub(crate) struct Tables {
    revision: u32,
    places: FxHashMap<u32, Place>,
    next_place: u32,
    free: Vec<u32>,
    /// Hits of rules that have lost their place.
    retired: BTreeMap<u32, u64>,
    /// Rule ids of the table in use and of the one before it.
    in_use: [Vec<u32>; 2],
    scratch: Vec<u32>,
    stamped: Vec<Rule>,
}

impl Tables {
    /// Publishes a table.
    pub(crate) fn publish(&mut self, shared: &Shared, rules: &[Rule]) -> Result<Published, InjectError> {
        if rules.len() > RULES_MAX as usize {
            return Err(InjectError::TooManyRules { count: rules.len(), max: RULES_MAX });
        }
        let start = Instant::now();
        let revision = self.revision + 1;
        let table = revision & 1;
        self.find_places(shared, rules);
        self.stamped.clear();
        self.stamped.extend(rules.iter().map(|rule| Rule { revision, ..*rule }));
        shared.write_table(table, revision, &self.stamped, &self.scratch);
        self.revision = revision;
        let ids = &mut self.in_use[table as usize];
        ids.clear();
        ids.extend(rules.iter().map(|rule| rule.rule_id));
        Ok(Published { revision, took: start.elapsed() })
    }

    /// Fills `scratch` with the places of the rules, finding new ones for rules that have none.
    fn find_places(&mut self, shared: &Shared, rules: &[Rule]) {
        self.scratch.clear();
        for rule in rules {
            let place = match self.places.get(&rule.rule_id) {
                Some(known) => known.place,
                None => {
                    let place = self.new_place(shared, rules);
                    self.places.insert(rule.rule_id, Place { place, before: shared.hits(place) });
                    place
                }
            };
            self.scratch.push(place);
        }
    }

    /// A place no rule counts at.
    fn new_place(&mut self, shared: &Shared, wanted: &[Rule]) -> u32 {
        if self.next_place < HITS_MAX {
            self.next_place += 1;
            return self.next_place - 1;
        }
        if self.free.is_empty() {
            self.retire(shared, wanted);
        }
        // There are four times as many places as rules in a table, and at most three tables' worth are spared.
        self.free.pop().unwrap_or(0)
    }

    /// Takes their places from the rules that are in none of the tables.
    fn retire(&mut self, shared: &Shared, wanted: &[Rule]) {
        let spared: FxHashSet<u32> =
            self.in_use.iter().flatten().copied().chain(wanted.iter().map(|rule| rule.rule_id)).collect();
        let (retired, free) = (&mut self.retired, &mut self.free);
        self.places.retain(|rule_id, place| {
            if spared.contains(rule_id) {
                return true;
            }
            *retired.entry(*rule_id).or_default() += shared.hits(place.place) - place.before;
            free.push(place.place);
            false
        });
    }

    /// Hits of every rule that was ever published.
    pub(crate) fn hits(&self, shared: &Shared) -> BTreeMap<u32, u64> {
        let mut hits = self.retired.clone();
        for (rule_id, place) in &self.places {
            *hits.entry(*rule_id).or_default() += shared.hits(place.place) - place.before;
        }
        hits
    }

    /// Revision in force; 0: none was ever published.
    pub(crate) fn revision(&self) -> u32 {
        self.revision
    }
}
