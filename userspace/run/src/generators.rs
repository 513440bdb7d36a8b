//! From a planned workload to its generators.

use fissure_plan::plan::{self, WorkloadKind, WorkloadPlan};
use fissure_suite::{KeyDistribution, Kind, ListAppendOptions, Mix, Rate, RegisterOptions, RwRegisterOptions, Values};

/// The generator of the run and that of the final reads; each workload of a run draws from a stream of its own.
#[must_use]
pub fn of(plan: &WorkloadPlan, node_count: usize, seed: u64, index: usize) -> fissure_suite::Workload {
    let kind = match &plan.kind {
        WorkloadKind::Register(register) => Kind::Register(register_options(register, node_count, plan.concurrency)),
        WorkloadKind::ListAppend(list_append) => Kind::ListAppend(list_append_options(list_append)),
        WorkloadKind::RwRegister(registers) => Kind::RwRegister(rw_register_options(registers)),
    };
    let rate = plan.rate.map(|rate| Rate { count: rate.count, per_ns: rate.per_ns });
    fissure_suite::workload(&kind, rate, seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

fn register_options(register: &plan::RegisterPlan, node_count: usize, concurrency: usize) -> RegisterOptions {
    RegisterOptions {
        keys: usize::try_from(register.keys).unwrap_or(usize::MAX),
        ops_per_key: register.ops_per_key,
        values: match register.values {
            plan::Values::Unique => Values::Unique,
            plan::Values::Small(count) => Values::Small(count),
        },
        mix: Mix { read: register.mix.read, write: register.mix.write, cas: register.mix.cas },
        // Groups that see every node twice; too few workers for that are one group.
        group_size: if concurrency > 2 * node_count { 2 * node_count } else { 0 },
    }
}

fn list_append_options(list_append: &plan::ListAppendPlan) -> ListAppendOptions {
    ListAppendOptions {
        keys: usize::try_from(list_append.keys).unwrap_or(usize::MAX),
        max_writes_per_key: list_append.max_writes_per_key,
        txn_length_min: list_append.txn_length_min,
        txn_length_max: list_append.txn_length_max,
        key_distribution: key_distribution(list_append.key_distribution),
    }
}

fn rw_register_options(registers: &plan::RwRegisterPlan) -> RwRegisterOptions {
    RwRegisterOptions {
        keys: usize::try_from(registers.keys).unwrap_or(usize::MAX),
        max_writes_per_key: registers.max_writes_per_key,
        txn_length_min: registers.txn_length_min,
        txn_length_max: registers.txn_length_max,
        key_distribution: key_distribution(registers.key_distribution),
    }
}

fn key_distribution(planned: plan::KeyDistribution) -> KeyDistribution {
    match planned {
        plan::KeyDistribution::Exponential => KeyDistribution::Exponential,
        plan::KeyDistribution::Uniform => KeyDistribution::Uniform,
    }
}

#[cfg(test)]
mod tests {
    /// The plan cannot depend on the demo store, so their lists of bugs are compared where both are known.
    #[test]
    fn plan_and_demo_store_know_the_same_bugs() {
        let planned: Vec<&str> = fissure_plan::TargetKind::Demo.bugs().iter().map(|bug| bug.name).collect();
        let known: Vec<&str> =
            fissure_demo::Bug::ALL.iter().map(|bug| bug.name()).filter(|name| *name != "none").collect();
        assert_eq!(planned, known);
    }
}
