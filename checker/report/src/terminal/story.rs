//! One finding, told: the contradiction, the operations, the packets that were dropped meanwhile.

use super::ink::{Ink, Page};
use super::{FINDINGS_SHOWN, few};
use crate::input::{FaultLine, PacketLine, ReportInput};
use crate::packets;
use crate::summary;
use crate::words::{self, count, cut, printable, shell, thousands};
use fissure_checker::{CheckResult, Finding, Operation};

/// Packets listed under one finding; of the others the number and the statement that lists them.
const PACKETS_SHOWN: usize = 10;
/// Operations listed under one finding.
const OPS_SHOWN: usize = 8;
/// Faults named under one finding.
const FAULTS_SHOWN: usize = 6;
const INDENT: usize = 4;

/// The first findings, each in full, and what shows the others.
pub(super) fn findings(page: &mut Page, results: &[CheckResult], input: Option<&ReportInput>) {
    let all: Vec<(&CheckResult, &Finding)> =
        results.iter().flat_map(|result| result.findings.iter().map(move |finding| (result, finding))).collect();
    for (result, finding) in chosen(&all) {
        page.blank();
        finding_title(page, result, finding);
        explanation(page, finding);
        if let Some(input) = input {
            beside(page, finding, input);
        }
    }
    let rest = all.len().saturating_sub(FINDINGS_SHOWN);
    if rest > 0 {
        page.blank();
        let command = match input {
            Some(input) => format!(": fissure report {} --format json", shell(&printable(&input.run_path))),
            None => String::new(),
        };
        page.raw(&format!("  {}{command}", count(rest as u64, "more finding")));
    }
}

/// The first finding of every checker before the second of any.
fn chosen<'a>(all: &[(&'a CheckResult, &'a Finding)]) -> Vec<(&'a CheckResult, &'a Finding)> {
    let mut ranked: Vec<(usize, (&CheckResult, &Finding))> = Vec::new();
    for &(result, finding) in all {
        let rank = ranked.iter().filter(|(_, (known, _))| std::ptr::eq(*known, result)).count();
        ranked.push((rank, (result, finding)));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(FINDINGS_SHOWN).map(|(_, pair)| pair).collect()
}

fn finding_title(page: &mut Page, result: &CheckResult, finding: &Finding) {
    let id = page.paint(Ink::Strong, &printable(&finding.id));
    let anomaly = printable(&finding.anomaly);
    let lead = format!("  {id}  {anomaly}  ");
    let indent = 2 + finding.id.chars().count() + 2 + anomaly.chars().count() + 2;
    page.wrapped(&lead, indent, &finding.summary, "");
    if !result.is_invalid() {
        page.dim(INDENT, &format!("{} permits this anomaly: it does not make the verdict", result.model));
    }
}

fn explanation(page: &mut Page, finding: &Finding) {
    for sentence in &finding.explanation {
        let deeper = sentence.len() - sentence.trim_start().len();
        let lead = " ".repeat(INDENT + deeper);
        page.wrapped(&lead, INDENT + deeper + 2, sentence.trim_start(), "");
    }
}

/// The operations, the faults and the packets of a finding, on the clock of the run.
fn beside(page: &mut Page, finding: &Finding, input: &ReportInput) {
    let ops = words::named_ops(finding, input);
    if let Some(note) = words::clock_note(input) {
        page.dim(INDENT, &format!("({note})"));
    }
    if !ops.is_empty() {
        page.blank();
        page.raw(&format!("{}operations, in seconds of the run", " ".repeat(INDENT)));
        let lines: Vec<[String; 5]> = ops.iter().take(OPS_SHOWN).map(|(name, op)| op_cells(name, op, input)).collect();
        table(page, &lines);
        let rest = finding.ops.len().saturating_sub(lines.len());
        if rest > 0 {
            page.dim(INDENT + 2, &format!("… {}", count(rest as u64, "more operation")));
        }
    }
    in_force(page, &ops, input);
    dropped(page, finding, &ops, input);
    if let Some((file, command)) = words::excerpt(finding, input) {
        page.blank();
        page.raw(&format!("{}{} that show it, alone:", " ".repeat(INDENT), count(file.operations as u64, "operation")));
        page.raw(&format!("{}{}", " ".repeat(INDENT + 2), printable(&command)));
    }
}

fn op_cells(name: &str, op: &Operation, input: &ReportInput) -> [String; 5] {
    let name = if name.starts_with("op ") { name.to_owned() } else { format!("{name} = op {}", op.op_id) };
    let node = op.node.as_deref().unwrap_or("-");
    let end = op.complete_ns.map_or_else(|| "no end".to_owned(), |ns| words::seconds(ns - input.started_ns));
    let time = format!("{}–{end}", words::seconds(op.invoke_ns - input.started_ns));
    let outcome = match (&op.error_code, op.outcome.name()) {
        (Some(code), outcome) => format!("{outcome} ({code})"),
        (None, outcome) => outcome.to_owned(),
    };
    [name, format!("process {} on {node}", op.process), time, outcome, cut(&words::call(op, input), 100)]
}

/// Faults that were in force while the operations ran, or the last before them.
fn in_force(page: &mut Page, ops: &[(String, &Operation)], input: &ReportInput) {
    let Some((from, to)) = words::window(ops) else { return };
    let (from, to) = (from - input.started_ns, to - input.started_ns);
    let active = summary::in_force(input, from, to);
    let line = |fault: &FaultLine| {
        format!("fault {} `{}` {}: {}", fault.fault_id, fault.name, summary::asked(fault), fault.description)
    };
    page.blank();
    if active.is_empty() {
        let last = summary::last_before(input, from);
        let text = match last {
            Some(last) => format!("no fault was in force meanwhile; the last before: {}", line(last)),
            None => "no fault was in force meanwhile, and none had been before".to_owned(),
        };
        page.wrapped(&" ".repeat(INDENT), INDENT + 2, &text, "");
        return;
    }
    page.raw(&format!("{}in force meanwhile", " ".repeat(INDENT)));
    for fault in active.iter().take(FAULTS_SHOWN) {
        page.wrapped(&" ".repeat(INDENT + 2), INDENT + 4, &line(fault), "");
    }
    if active.len() > FAULTS_SHOWN {
        let ids: Vec<String> = active[FAULTS_SHOWN..].iter().map(|fault| fault.fault_id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        page.dim(INDENT + 2, &format!("… and faults {}", few(&ids)));
    }
}

fn dropped(page: &mut Page, finding: &Finding, ops: &[(String, &Operation)], input: &ReportInput) {
    page.blank();
    if let Some(remark) = packets::remark(finding, ops, input) {
        page.wrapped(&" ".repeat(INDENT), INDENT, &remark, "");
        return;
    }
    let Some(list) = input.packets.get(&finding.id) else { return };
    let own = list.shown.iter().filter(|packet| packet.op_id.is_some()).count();
    let whose = packets::whose(list.total, own, list.shown.len());
    page.wrapped(&" ".repeat(INDENT), INDENT + 2, &format!("dropped meanwhile: {whose}"), "");
    let shown = packets::telling(&list.shown, PACKETS_SHOWN);
    let lines: Vec<[String; 5]> = shown.iter().map(|packet| packet_cells(packet, ops)).collect();
    table(page, &lines);
    let rest = list.total.saturating_sub(shown.len() as u64);
    if rest > 0 {
        let more = format!("{}{} more", " ".repeat(INDENT + 2), thousands(rest));
        match packets::sql(ops) {
            Some(sql) => {
                page.raw(&format!("{more}; all of them:"));
                let command = packets::sql_command(input, &sql);
                page.raw(&format!("{}{}", " ".repeat(INDENT + 2), printable(&command)));
            }
            None => page.raw(&more),
        }
    }
}

fn packet_cells(packet: &PacketLine, ops: &[(String, &Operation)]) -> [String; 5] {
    [
        words::seconds(packet.t_ns),
        format!("fault {} rule {}", packet.fault_id, packet.rule_id),
        format!("{} -> {}", packet.src, packet.dst),
        format!("{}  {} bytes", packets::flags(packet), packet.length),
        packets::place(packet, ops),
    ]
}

/// Cells under each other; the last column is as long as it is.
fn table(page: &mut Page, lines: &[[String; 5]]) {
    let lines: Vec<[String; 5]> = lines.iter().map(|line| line.clone().map(|cell| printable(&cell))).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for line in &lines {
        let mut lead = " ".repeat(INDENT + 2);
        for (cell, width) in line.iter().zip(widths) {
            lead.push_str(&format!("{cell:width$}  "));
        }
        let indent = INDENT + 2 + widths.iter().map(|width| width + 2).sum::<usize>();
        let narrow = indent + 24 > page.width();
        page.wrapped(&lead, if narrow { INDENT + 4 } else { indent }, &line[4], "");
    }
}
