//! `fissure report`, and the last screen of `run` and `check`.

use crate::analysis::{self, Analysis, PacketPlace};
use crate::args::{ReportArgs, ReportFormat};
use crate::artefacts;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::store_command::open_run;
use crate::whole_file::write_whole;
use fissure_checker::CheckResult;
use fissure_history::manifest::ManifestReason;
use fissure_history::rows::InjectionRow;
use fissure_history::{Manifest, RunDir};
use fissure_report::{FaultLine, NodeLine, PacketLine, PacketList, ReportInput, Style};
use std::collections::BTreeMap;
use std::path::Path;

/// `fissure report`.
///
/// # Errors
/// When the run cannot be read, or has no such finding.
pub(crate) fn report(args: &ReportArgs, screen: &Screen) -> Result<Exit, Failure> {
    let run = open_run(&args.target, &args.store)?;
    let analysis = analysis::analyze(&run)?;
    let mut input = input(&run, &analysis, None);
    if let Some(wanted) = &args.finding {
        keep_finding(&mut input, wanted)?;
    }
    let text = match args.format {
        ReportFormat::Terminal => fissure_report::terminal(&input, style(screen)),
        ReportFormat::Json => format!("{:#}\n", fissure_report::results_json(&input)),
        ReportFormat::Junit => fissure_report::junit_xml(&input),
        ReportFormat::Html => fissure_report::html(&input),
    };
    screen.data(&text);
    Ok(Exit::Valid)
}

fn keep_finding(input: &mut ReportInput, wanted: &str) -> Result<(), Failure> {
    let known: Vec<String> = input.results.iter().flat_map(|result| &result.findings).map(|f| f.id.clone()).collect();
    if !known.iter().any(|id| id == wanted) {
        let help = if known.is_empty() { "this run has no findings".to_owned() } else { known.join(", ") };
        return Err(Failure::usage(anyhow::anyhow!("no finding is called {wanted}")).help(help));
    }
    for result in &mut input.results {
        result.findings.retain(|finding| finding.id == wanted);
    }
    Ok(())
}

/// Writes the reports of a run into its folder, its verdict into its manifest, and shows what was found.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn conclude(
    run: &RunDir,
    analysis: &Analysis,
    scenario: Option<&Path>,
    json: bool,
    screen: &Screen,
) -> Result<Exit, Failure> {
    let exit = Exit::from(analysis.verdict.validity);
    let mut input = input(run, analysis, scenario);
    input.excerpts = artefacts::write(run.path(), &analysis.history, &analysis.results, &analysis.judging)?;
    let results = format!("{:#}\n", fissure_report::results_json(&input));
    write_whole(&run.file("results.json"), &results)?;
    write_whole(&run.file("junit.xml"), &fissure_report::junit_xml(&input))?;
    write_whole(&run.file("report.html"), &fissure_report::html(&input))?;
    let mut manifest = Manifest::read(run.path()).map_err(Failure::cannot_run)?;
    manifest.verdict = Some(analysis.verdict.validity.name().to_owned());
    manifest.exit_code = Some(exit as i32);
    manifest.reasons = analysis
        .verdict
        .reasons
        .iter()
        .map(|reason| ManifestReason { code: reason.code.clone(), text: reason.text.clone() })
        .collect();
    manifest.write(run.path()).map_err(Failure::cannot_run)?;
    screen.data(&if json { results } else { fissure_report::terminal(&input, style(screen)) });
    Ok(exit)
}

/// Shows what was found in a history that is no run of ours.
///
/// # Errors
/// Never; the exit code carries the verdict.
pub(crate) fn conclude_check(
    name: &str,
    results: &[CheckResult],
    json: bool,
    screen: &Screen,
) -> Result<Exit, Failure> {
    let verdict = CheckResult::merge_verdicts(results);
    let text = if json {
        format!("{:#}\n", fissure_report::check_json(results))
    } else {
        fissure_report::check_terminal(name, results, style(screen))
    };
    screen.data(&text);
    Ok(Exit::from(verdict.validity))
}

fn style(screen: &Screen) -> Style {
    Style { color: screen.color_out, width: screen.width() }
}

fn input(run: &RunDir, analysis: &Analysis, scenario: Option<&Path>) -> ReportInput {
    let manifest = &analysis.manifest;
    let zero = manifest.started_ns;
    let target = match &manifest.target_version {
        Some(version) => format!("{} {version}", manifest.target),
        None => manifest.target.clone(),
    };
    let scenario_path = scenario.map_or_else(|| run.file("scenario.toml"), Path::to_owned);
    let again = format!("fissure run {} --seed {}{}", scenario_path.display(), manifest.seed, bug_flag(analysis));
    ReportInput {
        scenario: manifest.scenario.clone(),
        run_path: run.path().display().to_string(),
        seed: manifest.seed,
        started: manifest.started.clone(),
        started_ns: zero,
        duration_s: manifest.duration_ns.unwrap_or(0) as f64 / 1e9,
        kernel: manifest.kernel.clone(),
        fissure_version: manifest.fissure_version.clone(),
        target,
        nodes: manifest.nodes.clone(),
        mechanisms: manifest.mechanisms.clone(),
        verdict: analysis.verdict.clone(),
        results: analysis.results.clone(),
        history: analysis.history.clone(),
        phases: analysis.phases.iter().map(|phase| phase.to_string()).collect(),
        ops_by_f: analysis::counts_by_f(&analysis.history).into_iter().map(|(f, n)| (f.to_owned(), n)).collect(),
        faults: fault_lines(analysis, zero),
        hits_per_second: hits_per_second(&analysis.injections, zero),
        injections: analysis.injections.len() as u64,
        events_lost: manifest.counts.events_lost,
        node_events: node_lines(analysis, zero),
        packets: packet_lists(analysis, zero),
        excerpts: artefacts::known(run.path(), &analysis.results),
        // What was imported cannot be run again.
        again: scenario_path.is_file().then_some(again),
    }
}

/// A bug that the scenario does not name was given on the command line.
fn bug_flag(analysis: &Analysis) -> String {
    let bug = analysis.manifest.target.split_once("(bug ").map(|(_, rest)| rest.trim_end_matches(')'));
    let planned = analysis.plan.as_ref().and_then(|plan| plan.cluster.bug.as_deref());
    match (bug, planned) {
        (bug, planned) if bug == planned => String::new(),
        (Some(bug), _) => format!(" --bug {bug}"),
        (None, _) => " --bug none".to_owned(),
    }
}

fn fault_lines(analysis: &Analysis, zero: i64) -> Vec<FaultLine> {
    let line = |row: &fissure_history::rows::FaultRow| FaultLine {
        fault_id: row.fault_id,
        name: row.phase.clone(),
        kind: row.kind.clone(),
        description: row.description.clone(),
        start_ns: row.start_ns - zero,
        stop_ns: row.stop_ns.map(|stop| stop - zero),
        rules: row.rules,
        hits: analysis.injections_by_fault.get(&row.fault_id).copied().unwrap_or(0),
        kernel_hits: row.kernel_hits,
        error: row.error_text.clone(),
    };
    analysis.faults.iter().map(line).collect()
}

fn node_lines(analysis: &Analysis, zero: i64) -> Vec<NodeLine> {
    let line = |row: &fissure_history::rows::NodeRow| NodeLine {
        t_ns: row.t_ns - zero,
        node: row.node.to_string(),
        event: row.event.to_string(),
        detail: row.detail.clone(),
    };
    analysis.nodes.iter().map(line).collect()
}

fn hits_per_second(injections: &[InjectionRow], zero: i64) -> Vec<(i64, i64, u64)> {
    let mut hits: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    for row in injections {
        *hits.entry(((row.t_ns - zero).div_euclid(1_000_000_000), row.fault_id)).or_default() += 1;
    }
    hits.into_iter().map(|((second, fault), count)| (second, fault, count)).collect()
}

fn packet_lists(analysis: &Analysis, zero: i64) -> BTreeMap<String, PacketList> {
    let list = |packets: &analysis::FindingPackets| PacketList {
        shown: packets
            .shown
            .iter()
            .filter_map(|(index, place)| Some(packet_line(analysis.injections.get(*index)?, *place, zero)))
            .collect(),
        total: packets.total,
    };
    analysis.packets.iter().map(|(id, packets)| (id.clone(), list(packets))).collect()
}

fn packet_line(row: &InjectionRow, place: PacketPlace, zero: i64) -> PacketLine {
    let end = |host: &Option<std::sync::Arc<str>>, addr: std::net::IpAddr, port: u16| match host {
        Some(host) => format!("{host}:{port}"),
        None => std::net::SocketAddr::new(addr, port).to_string(),
    };
    PacketLine {
        t_ns: row.t_ns - zero,
        fault_id: row.fault_id,
        rule_id: row.rule_id,
        src: end(&row.src_host, row.src_addr, row.src_port),
        dst: end(&row.dst_host, row.dst_addr, row.dst_port),
        protocol: match row.protocol {
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            other => format!("ip-{other}"),
        },
        tcp_flags: row.tcp_flags,
        length: row.length,
        op_id: match place {
            PacketPlace::ConnectionOf { op_id } => Some(op_id),
            PacketPlace::AroundNode => None,
        },
    }
}
