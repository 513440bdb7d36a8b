//! Plan and seed to schedule: which fault starts and stops when. The same plan and seed give the same schedule.

use crate::{
    dice::{Dice, Purpose},
    plan::{DropSpec, FaultSpec, NemesisKind, NemesisPlan, PacketFilter, PartitionSpec, Plan, Selector},
};
use serde::Serialize;

/// Number of one occurrence of a fault within the run, from 1, in order of start; `faults.fault_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FaultId(pub u32);

/// One time that a fault is put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Occurrence {
    /// Its number.
    pub id: FaultId,
    /// Name of the fault in the scenario; `nemesis` for those drawn by the nemesis.
    pub name: String,
    /// Which time of this fault it is, from 1.
    pub number: u32,
    /// When it starts, ns from the start of the faults phase.
    pub start_ns: u64,
    /// When it stops, ns from the start of the faults phase.
    pub stop_ns: u64,
    /// What it does.
    pub spec: FaultSpec,
}

/// Start or stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Lift the fault.
    Stop,
    /// Resolve the fault and put it in force.
    Start,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// When, ns from the start of the faults phase.
    pub at_ns: u64,
    /// What.
    pub action: Action,
    /// To which occurrence.
    pub fault: FaultId,
}

/// Everything that will be done to the system, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The seed that it was made from.
    pub seed: u64,
    /// In order of start; the occurrence with id `i` is at `i - 1`.
    pub occurrences: Vec<Occurrence>,
    /// In order of time; at the same time stops come before starts, then by id.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// The occurrence with this id.
    #[must_use]
    pub fn occurrence(&self, id: FaultId) -> Option<&Occurrence> {
        self.occurrences.get((id.0 as usize).checked_sub(1)?)
    }
}

impl Plan {
    /// The schedule that this seed makes. An occurrence that would not end within the faults phase is left out.
    #[must_use]
    pub fn schedule(&self, seed: u64) -> Schedule {
        let mut occurrences = Vec::new();
        for fault in &self.faults {
            let times = fault.repeat.map_or(1, |repeat| repeat.times.unwrap_or(u64::MAX));
            let every_ns = fault.repeat.map_or(0, |repeat| repeat.every_ns);
            let mut start_ns = fault.at_ns;
            for number in 1..=times.min(u64::from(u32::MAX)) as u32 {
                let stop_ns = start_ns.saturating_add(fault.for_ns);
                if stop_ns > self.phases.faults_ns {
                    break;
                }
                let (name, spec) = (fault.name.clone(), fault.spec.clone());
                occurrences.push(Occurrence { id: FaultId(0), name, number, start_ns, stop_ns, spec });
                start_ns = start_ns.saturating_add(every_ns);
            }
        }
        if let Some(nemesis) = &self.nemesis {
            draw_nemesis(nemesis, self.phases.faults_ns, self.cluster.nodes.len(), seed, &mut occurrences);
        }
        // Stable: what starts together keeps the order of the scenario.
        occurrences.sort_by_key(|occurrence| occurrence.start_ns);
        let mut steps = Vec::with_capacity(occurrences.len() * 2);
        for (occurrence, id) in occurrences.iter_mut().zip(1..) {
            occurrence.id = FaultId(id);
            steps.push(Step { at_ns: occurrence.start_ns, action: Action::Start, fault: occurrence.id });
            steps.push(Step { at_ns: occurrence.stop_ns, action: Action::Stop, fault: occurrence.id });
        }
        steps.sort();
        Schedule { seed, occurrences, steps }
    }
}

fn draw_nemesis(
    nemesis: &NemesisPlan,
    faults_ns: u64,
    node_count: usize,
    seed: u64,
    occurrences: &mut Vec<Occurrence>,
) {
    let mut dice = Dice::new(seed, Purpose::Nemesis, 0);
    let mut now_ns = 0_u64;
    for number in 1.. {
        let pause_ns = nemesis.interval_ns / 2 + dice.below(nemesis.interval_ns.saturating_add(1));
        let start_ns = now_ns.saturating_add(pause_ns);
        let stop_ns = start_ns.saturating_add(nemesis.for_ns);
        if stop_ns > faults_ns {
            break;
        }
        if let Some(kind) = dice.pick(&nemesis.kinds) {
            let spec = draw_fault(*kind, node_count, &mut dice);
            occurrences.push(Occurrence {
                id: FaultId(0),
                name: "nemesis".to_owned(),
                number,
                start_ns,
                stop_ns,
                spec,
            });
        }
        now_ns = stop_ns;
    }
}

fn draw_fault(kind: NemesisKind, node_count: usize, dice: &mut Dice) -> FaultSpec {
    let mut nodes = vec![Selector::One, Selector::Leader];
    if node_count >= 3 {
        nodes.push(Selector::Minority);
    }
    match kind {
        NemesisKind::Partition => {
            let mut forms = vec![PartitionSpec::RandomHalves];
            forms.extend(nodes.into_iter().map(PartitionSpec::Isolate));
            if node_count >= 3 {
                forms.push(PartitionSpec::Bridge);
            }
            if node_count >= 4 {
                forms.push(PartitionSpec::MajoritiesRing);
            }
            FaultSpec::Partition(dice.pick(&forms).cloned().unwrap_or(PartitionSpec::RandomHalves))
        }
        NemesisKind::Drop => {
            let from = dice.pick(&nodes).cloned().unwrap_or(Selector::One);
            let probability_ppm = 100_000 * (1 + dice.below(6)) as u32;
            let filter = PacketFilter { probability_ppm, ..PacketFilter::ALL };
            FaultSpec::Drop(DropSpec { from, to: Selector::All, both: true, filter })
        }
        NemesisKind::Kill | NemesisKind::Pause => {
            nodes.push(Selector::All);
            let selector = dice.pick(&nodes).cloned().unwrap_or(Selector::One);
            if kind == NemesisKind::Kill { FaultSpec::Kill(selector) } else { FaultSpec::Pause(selector) }
        }
    }
}
