//! Anomalies to plant: short scripts over keys and processes of their own.
//!
//! A script says who asks what and is told what, and in which order. Its keys are touched by nobody else and its
//! processes do nothing else, so that it changes nothing for the rest of the history, and the rest nothing for it. What
//! it adds to the order of real time only joins it to healthy transactions, which cannot close a cycle by themselves.
//!
//! A script has a place where it can be stretched: what comes after happens `distance` operations later. Where the
//! anomaly needs operations that overlap, these are stretched too.

mod lists;
mod objects;
mod registers;

use super::spec::{Spec, SpecError, Workload};
use crate::op::{Call, LogRecord, Mop, Outcome};
use std::str::FromStr;
use thiserror::Error;

/// An anomaly to plant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plant {
    /// Its name, see [`plantable`].
    pub anomaly: String,
    /// Operations that lie between its two halves.
    pub distance: u64,
}

/// Text that is no [`Plant`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}`: expected the name of an anomaly, or `NAME:DISTANCE` with a distance in operations")]
pub struct PlantError {
    /// The text as given.
    pub text: String,
}

impl FromStr for Plant {
    type Err = PlantError;

    /// Reads `NAME` or `NAME:DISTANCE`; digits of the distance may be grouped by `_`.
    fn from_str(text: &str) -> Result<Self, PlantError> {
        let wrong = || PlantError { text: text.to_owned() };
        let (name, distance) = text.split_once(':').unwrap_or((text, "0"));
        let distance = distance.replace('_', "").parse().map_err(|_| wrong())?;
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { anomaly: name.to_owned(), distance })
    }
}

/// One operation of a script.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Who does it: steps of one actor belong to one process.
    pub(super) actor: u32,
    /// Place of the invocation among the events of the script.
    pub(super) invoke: u32,
    /// Place of the completion.
    pub(super) complete: u32,
    /// How it ends.
    pub(super) outcome: Outcome,
    /// The call with what was told. Its keys count from 1.
    pub(super) call: Call,
}

/// A script.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// What a checker finds. The name that was asked for, or one that means the same, is among them.
    pub(super) finds: &'static [&'static str],
    /// What a checker may find besides when the halves are far apart.
    pub(super) may_also: &'static [&'static str],
    /// The first event that happens `distance` later.
    pub(super) far: u32,
    /// The operations.
    pub(super) steps: Vec<Step>,
}

impl Script {
    fn new(finds: &'static [&'static str], far: u32, steps: Vec<Step>) -> Self {
        Self { finds, may_also: &[], far, steps }
    }

    /// How many events it has.
    pub(super) fn events(&self) -> u32 {
        self.steps.len() as u32 * 2
    }

    /// How many processes take part.
    pub(super) fn actors(&self) -> u32 {
        self.steps.iter().map(|step| step.actor + 1).max().unwrap_or(0)
    }
}

fn step(actor: u32, (invoke, complete): (u32, u32), outcome: Outcome, call: Call) -> Step {
    Step { actor, invoke, complete, outcome, call }
}

fn ok(actor: u32, events: (u32, u32), call: Call) -> Step {
    step(actor, events, Outcome::Ok, call)
}

fn txn<const N: usize>(actor: u32, events: (u32, u32), mops: [Mop; N]) -> Step {
    ok(actor, events, Call::Txn(mops.to_vec()))
}

fn failed<const N: usize>(actor: u32, events: (u32, u32), mops: [Mop; N]) -> Step {
    step(actor, events, Outcome::Fail, Call::Txn(mops.to_vec()))
}

/// The anomalies that can be planted in a workload: names that [`Plant`] takes.
#[must_use]
pub fn plantable(workload: Workload) -> &'static [&'static str] {
    match workload {
        Workload::ListAppend => lists::NAMES,
        Workload::RwRegister => registers::TRANSACTION_NAMES,
        Workload::Register => registers::NAMES,
        Workload::Set => objects::SET_NAMES,
        Workload::Counter => objects::COUNTER_NAMES,
        Workload::Queue => objects::QUEUE_NAMES,
        Workload::UnorderedQueue => objects::UNORDERED_QUEUE_NAMES,
        Workload::Stack => objects::STACK_NAMES,
        Workload::Log => objects::LOG_NAMES,
        Workload::Bank => objects::BANK_NAMES,
        Workload::Lock => objects::LOCK_NAMES,
        Workload::UniqueIds => objects::UNIQUE_ID_NAMES,
    }
}

/// The script for an anomaly.
pub(super) fn script(spec: &Spec, name: &str) -> Option<Script> {
    match spec.workload {
        Workload::ListAppend => lists::script(name),
        Workload::RwRegister => registers::transactions(name),
        Workload::Register => registers::script(name),
        Workload::Set => objects::set(name),
        Workload::Counter => objects::counter(name),
        Workload::Queue => objects::queue(name),
        Workload::UnorderedQueue => objects::unordered_queue(name),
        Workload::Stack => objects::stack(name),
        Workload::Log => objects::log(name),
        Workload::Bank => objects::bank(name, i64::from(spec.keys)),
        Workload::Lock => objects::lock(name),
        Workload::UniqueIds => objects::unique_ids(name),
    }
}

/// Looks at the plants of a specification.
pub(super) fn check(spec: &Spec) -> Result<(), SpecError> {
    let mut planted = 0;
    for Plant { anomaly, distance } in &spec.plants {
        let Some(script) = script(spec, anomaly) else {
            let known = plantable(spec.workload).to_vec();
            return Err(SpecError::UnknownAnomaly { anomaly: anomaly.clone(), workload: spec.workload, known });
        };
        planted += script.steps.len() as u64;
        // Room for the stretch, for all that is planted, and for as many events around it.
        let needed = distance.saturating_add(planted + u64::from(script.events()));
        if needed > spec.ops {
            let (anomaly, distance) = (anomaly.clone(), *distance);
            return Err(SpecError::TooShort { anomaly, distance, needed, ops: spec.ops });
        }
    }
    Ok(())
}

/// Whatever happens in scripts, by the operation before which it is due.
#[derive(Debug)]
pub(super) struct Timetable {
    /// The steps of all scripts, with their real keys.
    pub(super) steps: Vec<PlantedStep>,
    /// Events in order: (when it is due, in operations invoked so far; step; whether it is the completion).
    pub(super) events: Vec<(u64, u32, bool)>,
    /// For each plant, what is found because of it, and what may be found besides.
    pub(super) finds: Vec<Finds>,
    /// Processes that take part.
    pub(super) actors: u32,
    /// Keys that are taken: 0 up to this.
    pub(super) keys: i64,
}

/// Names of what is found because of a plant, and of what may be found besides.
pub(super) type Finds = (&'static [&'static str], &'static [&'static str]);

/// A step in its place.
#[derive(Debug)]
pub(super) struct PlantedStep {
    /// Which of the plants it belongs to.
    pub(super) plant: usize,
    /// The process, counted from the first one of all scripts.
    pub(super) actor: u32,
    /// How it ends.
    pub(super) outcome: Outcome,
    /// The call with what is told.
    pub(super) call: Call,
}

impl Timetable {
    /// The timetable of a specification that was checked: plants are spread evenly.
    pub(super) fn new(spec: &Spec) -> Self {
        let mut table = Self { steps: Vec::new(), events: Vec::new(), finds: Vec::new(), actors: 0, keys: 0 };
        let count = spec.plants.len() as u64;
        for (plant, Plant { anomaly, distance }) in spec.plants.iter().enumerate() {
            let Some(script) = script(spec, anomaly) else { continue };
            let room = spec.ops - distance - u64::from(script.events());
            let start = u128::from(room) * (plant as u128 + 1) / (u128::from(count) + 1);
            table.add(plant, script, start as u64, *distance);
        }
        table.events.sort_by_key(|event| event.0);
        table
    }

    /// Operations that are invoked while the longest step is in flight.
    pub(super) fn longest(&self) -> u64 {
        let mut invoked = vec![0; self.steps.len()];
        let mut longest = 0;
        for (due, step, completes) in &self.events {
            let begin: &mut u64 = &mut invoked[*step as usize];
            if *completes {
                longest = longest.max(due - *begin);
            } else {
                *begin = *due;
            }
        }
        longest
    }

    fn add(&mut self, plant: usize, script: Script, start: u64, distance: u64) {
        let first_actor = self.actors;
        self.actors += script.actors();
        let due = |event: u32| start + u64::from(event) + if event >= script.far { distance } else { 0 };
        let mut events: Vec<(u32, u32, bool)> = Vec::new();
        let mut last_key = self.keys;
        for step in script.steps {
            let at = self.steps.len() as u32;
            events.push((step.invoke, at, false));
            events.push((step.complete, at, true));
            let mut call = step.call;
            let first_key = self.keys - 1;
            each_key(&mut call, &mut |key| {
                *key += first_key;
                last_key = last_key.max(*key + 1);
            });
            self.steps.push(PlantedStep { plant, actor: first_actor + step.actor, outcome: step.outcome, call });
        }
        self.keys = last_key;
        events.sort_unstable();
        self.events.extend(events.into_iter().map(|(event, step, completes)| (due(event), step, completes)));
        self.finds.push((script.finds, script.may_also));
    }
}

/// Visits the keys of a call, but not accounts.
fn each_key(call: &mut Call, visit: &mut impl FnMut(&mut i64)) {
    match call {
        Call::Txn(mops) => mops.iter_mut().for_each(|mop| each_key_of_mop(mop, visit)),
        Call::Read { key, .. }
        | Call::Write { key, .. }
        | Call::Cas { key, .. }
        | Call::Add { key, .. }
        | Call::ReadSet { key, .. }
        | Call::Append { key, .. }
        | Call::Enqueue { key, .. }
        | Call::Dequeue { key, .. }
        | Call::Drain { key, .. }
        | Call::Push { key, .. }
        | Call::Pop { key, .. }
        | Call::Acquire { key, .. }
        | Call::Release { key, .. }
        | Call::Generate { key, .. } => visit(key),
        Call::Subscribe { keys } | Call::Assign { keys } => keys.iter_mut().for_each(visit),
        Call::Transfer { .. } | Call::ReadBalances { .. } | Call::Other(_) => {}
    }
}

fn each_key_of_mop(mop: &mut Mop, visit: &mut impl FnMut(&mut i64)) {
    match mop {
        Mop::Append { key, .. }
        | Mop::ReadList { key, .. }
        | Mop::Write { key, .. }
        | Mop::Read { key, .. }
        | Mop::Send { key, .. }
        | Mop::Insert { key, .. }
        | Mop::Delete { key } => visit(key),
        Mop::Poll { records } => {
            records.iter_mut().flatten().for_each(|LogRecord { key, .. }| visit(key));
        }
        Mop::ReadPredicate { .. } => {}
    }
}

/// Makes a call what it was when it was invoked: nothing is known.
pub(super) fn forget(call: &mut Call) {
    match call {
        Call::Read { value, .. } | Call::Dequeue { value, .. } | Call::Pop { value, .. } => *value = None,
        Call::ReadSet { elements, .. } | Call::Drain { elements, .. } => *elements = None,
        Call::Acquire { value, .. } | Call::Generate { value, .. } => *value = None,
        Call::ReadBalances { balances } => *balances = None,
        Call::Txn(mops) => {
            for mop in mops {
                match mop {
                    Mop::ReadList { list, .. } => *list = None,
                    Mop::Read { value, .. } => *value = None,
                    Mop::Send { offset, .. } => *offset = None,
                    Mop::Poll { records } => *records = None,
                    Mop::ReadPredicate { matched, .. } => *matched = None,
                    Mop::Append { .. } | Mop::Write { .. } | Mop::Insert { .. } | Mop::Delete { .. } => {}
                }
            }
        }
        Call::Write { .. }
        | Call::Cas { .. }
        | Call::Add { .. }
        | Call::Append { .. }
        | Call::Enqueue { .. }
        | Call::Push { .. }
        | Call::Release { .. }
        | Call::Transfer { .. }
        | Call::Subscribe { .. }
        | Call::Assign { .. }
        | Call::Other(_) => {}
    }
}
