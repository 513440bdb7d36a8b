//! A plan in words and on a time line, as `fissure plan explain` shows it.

use crate::{
    plan::{KeyDistribution, Plan, Reads, Values, WorkloadKind, WorkloadPlan},
    quantity::show_duration,
    schedule::{Occurrence, Schedule},
};
use std::fmt::Write as _;

/// Columns of the time line.
const WIDTH: u64 = 64;
/// Columns of the names of its lanes.
const NAME_WIDTH: usize = 24;

/// The plan in sentences, and its time line with one lane per fault, for this seed.
#[must_use]
pub fn explain(plan: &Plan, seed: u64) -> String {
    let schedule = plan.schedule(seed);
    let mut text = String::new();
    let _ = writeln!(text, "{}, with seed {seed}", plan.name);
    text.push('\n');
    explain_cluster(plan, &mut text);
    for workload in &plan.workloads {
        explain_workload(workload, &mut text);
    }
    let phases = &plan.phases;
    let _ = writeln!(
        text,
        "The run has {} of warm-up, {} of faults, {} to heal, and at most {} for final reads.",
        show_duration(phases.warm_up_ns),
        show_duration(phases.faults_ns),
        show_duration(phases.heal_ns),
        show_duration(phases.final_reads_ns)
    );
    text.push('\n');
    explain_faults(&schedule, &mut text);
    text.push('\n');
    time_line(plan, &schedule, &mut text);
    text
}

fn explain_cluster(plan: &Plan, text: &mut String) {
    let cluster = &plan.cluster;
    let nodes = cluster.nodes.len();
    let plural = if nodes == 1 { "node" } else { "nodes" };
    let _ = write!(text, "{nodes} {plural} of {} ({})", cluster.target.name(), cluster.nodes.join(", "));
    let bug = cluster.target.bugs().iter().find(|bug| Some(bug.name) == cluster.bug.as_deref());
    match bug {
        Some(bug) => {
            let _ = write!(text, ", with the bug {}: {}", bug.name, bug.meaning);
        }
        None if !cluster.target.bugs().is_empty() => text.push_str(", with no bug switched on"),
        None => {}
    }
    if cluster.reads == Reads::Serializable {
        text.push_str(", clients read from the node's own copy");
    }
    text.push_str(".\n");
}

fn explain_workload(workload: &WorkloadPlan, text: &mut String) {
    let rate = workload.rate.map_or("as fast as they are answered".to_owned(), |rate| format!("{rate} in all"));
    let _ = write!(
        text,
        "Workload {}: {} processes, {rate}, time-out {}; ",
        workload.name,
        workload.concurrency,
        show_duration(workload.timeout_ns)
    );
    let _ = match &workload.kind {
        WorkloadKind::Register(register) => {
            let values = match register.values {
                Values::Unique => "unique values".to_owned(),
                Values::Small(count) => format!("values 0 to {}", count.saturating_sub(1)),
            };
            let mix = register.mix;
            write!(
                text,
                "read, write and cas in proportion {}:{}:{} over {} keys at a time, {} operations each, {values}",
                mix.read, mix.write, mix.cas, register.keys, register.ops_per_key
            )
        }
        WorkloadKind::ListAppend(append) => {
            let distribution = distribution(append.key_distribution);
            write!(
                text,
                "transactions of {} to {} appends and reads over {} keys at a time ({distribution}), {} appends each",
                append.txn_length_min, append.txn_length_max, append.keys, append.max_writes_per_key
            )
        }
        WorkloadKind::RwRegister(registers) => {
            let distribution = distribution(registers.key_distribution);
            write!(
                text,
                "transactions of {} to {} writes and reads over {} keys at a time ({distribution}), {} writes each",
                registers.txn_length_min, registers.txn_length_max, registers.keys, registers.max_writes_per_key
            )
        }
    };
    let _ = writeln!(text, "; judged as {}.", workload.model);
}

fn distribution(distribution: KeyDistribution) -> &'static str {
    match distribution {
        KeyDistribution::Exponential => "some of them hot",
        KeyDistribution::Uniform => "all alike",
    }
}

fn explain_faults(schedule: &Schedule, text: &mut String) {
    if schedule.occurrences.is_empty() {
        text.push_str("No faults.\n");
        return;
    }
    text.push_str("Faults, from the start of the faults phase:\n");
    let times: Vec<String> = schedule.occurrences.iter().map(occurrence_time).collect();
    let width = times.iter().map(|time| time.chars().count()).max().unwrap_or(0);
    for (occurrence, time) in schedule.occurrences.iter().zip(&times) {
        let (id, name, spec) = (occurrence.id.0, &occurrence.name, &occurrence.spec);
        let _ = writeln!(text, "{id:>4}  {time:<width$}  {name}: {spec}");
    }
}

fn occurrence_time(occurrence: &Occurrence) -> String {
    format!("{} to {}", show_rounded(occurrence.start_ns), show_rounded(occurrence.stop_ns))
}

/// To the millisecond: drawn times are not round.
fn show_rounded(ns: u64) -> String {
    if ns < 1_000_000_000 || ns.is_multiple_of(60_000_000_000) {
        return show_duration(ns / 1_000_000 * 1_000_000);
    }
    let ms = ns / 1_000_000;
    let tail = format!(".{:03}", ms % 1000);
    format!("{}{}s", ms / 1000, tail.trim_end_matches('0').trim_end_matches('.'))
}

fn time_line(plan: &Plan, schedule: &Schedule, text: &mut String) {
    let phases = &plan.phases;
    let total_ns = phases.total_ns().max(1);
    let column = |ns: u64| (u128::from(ns) * u128::from(WIDTH) / u128::from(total_ns)) as usize;
    let tick_ns = tick_ns(total_ns);
    let (mut labels, mut ruler) = (vec![' '; WIDTH as usize + 12], vec!['-'; WIDTH as usize]);
    let mut free_from = 0;
    for tick in 0..=total_ns / tick_ns {
        let at = column(tick * tick_ns);
        let label = show_duration(tick * tick_ns);
        if at >= ruler.len() {
            break;
        }
        ruler[at] = '|';
        if at >= free_from {
            for (offset, letter) in label.chars().enumerate() {
                labels[at + offset] = letter;
            }
            free_from = at + label.len() + 1;
        }
    }
    lane("", &labels.into_iter().collect::<String>(), text);
    lane("time", &ruler.into_iter().collect::<String>(), text);
    lane("phase", &phase_lane(plan, total_ns), text);
    let mut names: Vec<&str> = plan.faults.iter().map(|fault| fault.name.as_str()).collect();
    names.extend(plan.nemesis.as_ref().map(|_| "nemesis"));
    for name in names {
        let mut cells = vec!['.'; WIDTH as usize];
        for occurrence in schedule.occurrences.iter().filter(|occurrence| occurrence.name == name) {
            let start = column(phases.warm_up_ns.saturating_add(occurrence.start_ns));
            let stop = column(phases.warm_up_ns.saturating_add(occurrence.stop_ns)).max(start + 1);
            for cell in cells.iter_mut().take(stop).skip(start) {
                *cell = '#';
            }
        }
        lane(name, &cells.into_iter().collect::<String>(), text);
    }
    text.push_str("phases: w warm-up, f faults, h heal, r final reads (at most)\n");
}

fn phase_lane(plan: &Plan, total_ns: u64) -> String {
    let phases = &plan.phases;
    let faults_end_ns = phases.warm_up_ns.saturating_add(phases.faults_ns);
    let heal_end_ns = faults_end_ns.saturating_add(phases.heal_ns);
    (0..WIDTH)
        .map(|cell| {
            let at_ns = (u128::from(cell) * u128::from(total_ns) / u128::from(WIDTH)) as u64;
            match at_ns {
                at_ns if at_ns < phases.warm_up_ns => 'w',
                at_ns if at_ns < faults_end_ns => 'f',
                at_ns if at_ns < heal_end_ns => 'h',
                _ => 'r',
            }
        })
        .collect()
}

fn lane(name: &str, cells: &str, text: &mut String) {
    let short: String = if name.chars().count() > NAME_WIDTH {
        name.chars().take(NAME_WIDTH - 1).chain(['…']).collect()
    } else {
        name.to_owned()
    };
    let line = format!("{short:<NAME_WIDTH$} {cells}");
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The smallest round step that makes at most eight of them.
fn tick_ns(total_ns: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].map(|seconds| seconds * SECOND);
    let small = [1, 2, 5, 10, 20, 50, 100, 200, 500].map(|ms| ms * 1_000_000);
    small.into_iter().chain(steps).find(|step| total_ns / step <= 8).unwrap_or((total_ns / 8).max(1))
}
