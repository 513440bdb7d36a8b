//! From a sealed run to a verdict: the checkers' results, and whether anything was tested at all.
//!
//! Intent and effect are held against each other here: a planned fault that hit nothing, an event that was lost, a
//! run that ended early make the verdict `unknown`, never `valid`.

use crate::exit::Failure;
use crate::judging::Judging;
use fissure_checker::{CheckResult, Finding, History, Operation, Reason, Verdict};
use fissure_history::check::{Checked, Memory};
use fissure_history::rows::{ConnectionRow, FaultRow, InjectionRow, NodeRow};
use fissure_history::{Manifest, RunDir, read};
use fissure_plan::Plan;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Packets kept for one finding; all are counted.
const PACKETS_PER_FINDING_MAX: usize = 200;

/// Everything known about a run.
pub(crate) struct Analysis {
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// The scenario, if it still parses.
    pub(crate) plan: Option<Plan>,
    /// The operations.
    pub(crate) history: History,
    /// Phase of each operation, by `op_id`.
    pub(crate) phases: Vec<Arc<str>>,
    /// How they were judged.
    pub(crate) judging: Judging,
    /// What the checkers say.
    pub(crate) results: Vec<CheckResult>,
    /// All of it in one verdict.
    pub(crate) verdict: Verdict,
    /// What was asked.
    pub(crate) faults: Vec<FaultRow>,
    /// What the kernel did.
    pub(crate) injections: Vec<InjectionRow>,
    /// Recorded injections by fault.
    pub(crate) injections_by_fault: BTreeMap<i64, u64>,
    /// The life of the nodes.
    pub(crate) nodes: Vec<NodeRow>,
    /// Packets that were dropped around each finding, by its id.
    pub(crate) packets: BTreeMap<String, FindingPackets>,
}

/// Packets that were dropped around a finding.
#[derive(Clone, Debug, Default)]
pub(crate) struct FindingPackets {
    /// Indexes into [`Analysis::injections`], in order of time, and where each was hit.
    pub(crate) shown: Vec<(usize, PacketPlace)>,
    /// How many there were in all.
    pub(crate) total: u64,
}

/// Where a packet was hit, seen from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketPlace {
    /// On the connection of this operation, while it was in flight.
    ConnectionOf {
        /// The operation.
        op_id: u64,
    },
    /// To or from a node that served one of the operations, meanwhile.
    AroundNode,
}

/// Reads a sealed run and judges it.
///
/// # Errors
/// When a file is missing or damaged: then there is no verdict at all.
pub(crate) fn analyze(run: &RunDir) -> Result<Analysis, Failure> {
    let path = run.path();
    let manifest = Manifest::read(path).map_err(Failure::usage)?;
    let plan = std::fs::read_to_string(run.file("scenario.toml")).ok().and_then(|text| fissure_plan::parse(&text).0);
    let recorded = read::read_history(path).map_err(Failure::usage)?;
    let faults = read::read_faults(path).map_err(Failure::usage)?;
    let injections = read::read_injections(path).map_err(Failure::usage)?;
    let connections = read::read_connections(path).map_err(Failure::usage)?;
    let nodes = read::read_nodes(path).map_err(Failure::usage)?;
    let (history, phases) = (recorded.history.with_origin(manifest.started_ns), recorded.phases);
    let judging = Judging::of_plan(plan.as_ref());
    let results = judging.judge(&history)?;
    let mut injections_by_fault: BTreeMap<i64, u64> = BTreeMap::new();
    for injection in &injections {
        *injections_by_fault.entry(injection.fault_id).or_default() += 1;
    }
    let mut verdict = CheckResult::merge_verdicts(&results);
    for reason in doubts(&manifest, plan.as_ref(), &faults, &injections_by_fault) {
        verdict = verdict.merge(Verdict::unknown(reason));
    }
    let packets = results
        .iter()
        .flat_map(|result| &result.findings)
        .map(|finding| (finding.id.clone(), packets_of(finding, &history, &connections, &injections)))
        .collect();
    Ok(Analysis {
        manifest,
        plan,
        history,
        phases,
        judging,
        results,
        verdict,
        faults,
        injections,
        injections_by_fault,
        nodes,
        packets,
    })
}

/// Judges sealed transactions over lists or registers from their columns, without reading the history whole: `None` if it is something
/// else, or if more is asked than that.
///
/// # Errors
/// When a file is missing or damaged.
pub(crate) fn judged_from_columns(
    path: &Path,
    judging: &Judging,
    memory: &Option<Memory>,
) -> Result<Option<Vec<CheckResult>>, Failure> {
    let Some(memory) = memory else { return Ok(None) };
    let options = judging.column_options();
    let judge = || fissure_history::check::transactions(path, None, &options, memory);
    // A checker that panics is asked again, with the whole history, where a panic is a doubt.
    let Ok(checked) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge)) else { return Ok(None) };
    let failed = |error: fissure_history::Error| match error {
        // No mistake of the caller: the device is full, or fails.
        fissure_history::Error::Spill { .. } => Failure::cannot_run(error),
        other => Failure::usage(other),
    };
    Ok(match checked.map_err(failed)? {
        Checked::Judged(result) => Some(vec![judging.with_anomalies(*result)]),
        Checked::Other => None,
    })
}

/// Everything that would make a `valid` hollow.
fn doubts(
    manifest: &Manifest,
    plan: Option<&Plan>,
    faults: &[FaultRow],
    injections_by_fault: &BTreeMap<i64, u64>,
) -> Vec<Reason> {
    let mut reasons: Vec<Reason> =
        manifest.reasons.iter().map(|reason| Reason::new(reason.code.clone(), reason.text.clone())).collect();
    // Reasons of an earlier judgement are drawn again below.
    reasons.retain(|reason| RUN_REASONS.contains(&reason.code.as_str()));
    let mut by_name: BTreeMap<&str, Vec<&FaultRow>> = BTreeMap::new();
    for fault in faults {
        by_name.entry(&fault.phase).or_default().push(fault);
        if fault.outcome != "applied" {
            let why = fault.error_text.as_deref().unwrap_or("no reason was recorded");
            reasons.push(Reason::new("FAULT_FAILED", format!("fault {} `{}`: {why}", fault.fault_id, fault.phase)));
        }
    }
    for (name, rows) in &by_name {
        let packets: Vec<&&FaultRow> = rows.iter().filter(|row| row.rules > 0 && row.outcome == "applied").collect();
        let hits: u64 = packets.iter().filter_map(|row| injections_by_fault.get(&row.fault_id)).sum();
        if !packets.is_empty() && hits == 0 {
            let times = if packets.len() == 1 { "once".to_owned() } else { format!("{} times", packets.len()) };
            let text = format!("`{name}` was in force {times} and did not hit a single packet");
            reasons.push(Reason::new("FAULT_NEVER_FIRED", text));
        }
    }
    for fault in plan.map(|plan| plan.faults.as_slice()).unwrap_or_default() {
        if !by_name.contains_key(fault.name.as_str()) {
            let text = format!("`{}` was planned but never started", fault.name);
            reasons.push(Reason::new("FAULT_NOT_REACHED", text));
        }
    }
    reasons.extend(disagreements(faults, injections_by_fault));
    if manifest.counts.events_lost > 0 {
        let text =
            format!("{} faults were not injected because they could not be reported", manifest.counts.events_lost);
        reasons.push(Reason::new("EVENTS_LOST", text));
    }
    reasons
}

/// Reasons that a run itself writes into its manifest; all others are the judge's.
const RUN_REASONS: [&str; 6] =
    ["INTERRUPTED", "RUN_CUT_SHORT", "EVENT_READER_FAILED", "FINAL_READS_INCOMPLETE", "RUN_FAILED", "LEASE_EXPIRED"];

fn disagreements(faults: &[FaultRow], injections_by_fault: &BTreeMap<i64, u64>) -> Vec<Reason> {
    let disagree = |fault: &&FaultRow| {
        let recorded = injections_by_fault.get(&fault.fault_id).copied().unwrap_or(0) as i64;
        fault.kernel_hits.is_some_and(|hits| hits != recorded)
    };
    faults
        .iter()
        .filter(disagree)
        .map(|fault| {
            let recorded = injections_by_fault.get(&fault.fault_id).copied().unwrap_or(0);
            let (hits, name) = (fault.kernel_hits.unwrap_or(0), &fault.phase);
            let text = format!("fault {} `{name}`: the kernel counted {hits}, recorded are {recorded}", fault.fault_id);
            Reason::new("EVENTS_DISAGREE", text)
        })
        .collect()
}

/// Packets that were dropped on the connections of the finding's operations, or around the nodes that served them.
fn packets_of(
    finding: &Finding,
    history: &History,
    connections: &[ConnectionRow],
    injections: &[InjectionRow],
) -> FindingPackets {
    let ops: Vec<&Operation> = finding.ops.iter().filter_map(|op_id| history.ops().get(*op_id as usize)).collect();
    let by_cookie: HashMap<u64, &ConnectionRow> =
        connections.iter().filter_map(|row| Some((row.conn_cookie?, row))).collect();
    let from_ns = ops.iter().map(|op| op.invoke_ns).min().unwrap_or(0);
    let to_ns = ops.iter().filter_map(|op| op.complete_ns).max().unwrap_or(from_ns);
    let nodes: BTreeSet<&str> = ops.iter().filter_map(|op| op.node.as_deref()).collect();
    let begin = injections.partition_point(|row| row.t_ns < from_ns);
    let (mut own, mut around) = (Vec::new(), VecDeque::new());
    let mut total = 0;
    for (index, row) in injections.iter().enumerate().skip(begin).take_while(|(_, row)| row.t_ns <= to_ns) {
        let hit = ops.iter().find(|op| {
            let in_flight = row.t_ns >= op.invoke_ns && row.t_ns <= op.complete_ns.unwrap_or(i64::MAX);
            let connection = op.conn_cookie.and_then(|cookie| by_cookie.get(&cookie));
            in_flight && connection.is_some_and(|connection| is_on(row, connection))
        });
        let at_node = |host: &Option<Arc<str>>| host.as_deref().is_some_and(|host| nodes.contains(host));
        if let Some(op) = hit {
            own.push((index, PacketPlace::ConnectionOf { op_id: op.op_id }));
        } else if at_node(&row.src_host) || at_node(&row.dst_host) {
            around.push_back((index, PacketPlace::AroundNode));
        } else {
            continue;
        }
        total += 1;
        // The operations' own packets come first; of the others, those nearest to the contradiction.
        own.truncate(PACKETS_PER_FINDING_MAX);
        if own.len() + around.len() > PACKETS_PER_FINDING_MAX {
            around.pop_front();
        }
    }
    let mut shown: Vec<(usize, PacketPlace)> = own.into_iter().chain(around).collect();
    shown.sort_by_key(|(index, _)| *index);
    FindingPackets { shown, total }
}

fn is_on(row: &InjectionRow, connection: &ConnectionRow) -> bool {
    let (src, dst): ((IpAddr, u16), (IpAddr, u16)) = ((row.src_addr, row.src_port), (row.dst_addr, row.dst_port));
    let local = (connection.local_addr, connection.local_port);
    let remote = (connection.remote_addr, connection.remote_port);
    (src == local && dst == remote) || (src == remote && dst == local)
}

/// Operations by f and outcome.
#[must_use]
pub(crate) fn counts_by_f(history: &History) -> BTreeMap<&str, [u64; 3]> {
    let mut counts: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for op in history.ops() {
        counts.entry(op.call.f()).or_default()[op.outcome as usize] += 1;
    }
    counts
}
