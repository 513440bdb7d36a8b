//! One finding on the page: its sentences, its picture, its operations, the packets that were dropped meanwhile.

use super::{anchor, command, lanes};
use crate::cycle;
use crate::input::{FaultLine, PacketLine, ReportInput};
use crate::packets;
use crate::summary;
use crate::words::{self, count, cut, printable};
use fissure_checker::{CheckResult, Finding, Operation};
use maud::{Markup, html};

/// Findings told in full.
const TOLD_MAX: usize = 30;
/// Findings that are at least listed.
const LISTED_MAX: usize = 500;
/// Packets listed under each of the first findings, and under each of the others.
const PACKETS_MAX: (usize, usize) = (200, 30);
/// Findings that have the longer list of packets.
const LONG_LISTS: usize = 5;
/// Operations listed under one finding.
const OPS_MAX: usize = 40;

/// The section of the findings; nothing if there are none.
pub(super) fn section(input: &ReportInput) -> Markup {
    let all: Vec<(&CheckResult, &Finding)> =
        input.results.iter().flat_map(|result| result.findings.iter().map(move |finding| (result, finding))).collect();
    if all.is_empty() {
        return html! {};
    }
    html! {
        h2 id="findings" { "Findings" }
        @for (number, (result, finding)) in all.iter().take(TOLD_MAX).enumerate() { (told(result, finding, input, number)) }
        @if all.len() > TOLD_MAX {
            h3 { (count((all.len() - TOLD_MAX) as u64, "more finding")) }
            table {
                tr { th { "id" } th { "anomaly" } th { "what happened" } }
                @for (_, finding) in all.iter().skip(TOLD_MAX).take(LISTED_MAX) {
                    tr id=(anchor(&finding.id)) {
                        td class="nowrap" { (printable(&finding.id)) } td { (printable(&finding.anomaly)) } td { (printable(&finding.summary)) }
                    }
                }
            }
            p { "In full: " code { "results.json" } "." }
        }
    }
}

fn told(result: &CheckResult, finding: &Finding, input: &ReportInput, number: usize) -> Markup {
    let ops = words::named_ops(finding, input);
    let class = if result.is_invalid() { "finding" } else { "finding permitted" };
    html! {
        section class=(class) id=(anchor(&finding.id)) {
            h3 { (printable(&finding.id)) " · " (printable(&finding.anomaly)) " · " (printable(&finding.summary)) }
            @if !result.is_invalid() {
                p class="faint" { (printable(&result.model)) " permits this anomaly: it does not make the verdict." }
            }
            div class="story" {
                @for sentence in &finding.explanation { p { (printable(sentence)) } }
            }
            @if let Some(note) = words::clock_note(input) { p class="faint small" { "The " (note) "." } }
            (cycle::figure(finding, &input.history))
            (lanes::figure(finding, &ops, input, number))
            (operations(finding, &ops, input))
            (in_force(&ops, input))
            @if let Some((file, check)) = words::excerpt(finding, input) {
                p class="small faint" { (count(file.operations as u64, "operation")) " of the history that show it, alone:" }
                (command(&check))
            }
            (dropped(finding, &ops, input, if number < LONG_LISTS { PACKETS_MAX.0 } else { PACKETS_MAX.1 }))
        }
    }
}

fn operations(finding: &Finding, ops: &[(String, &Operation)], input: &ReportInput) -> Markup {
    let at = |ns: i64| words::seconds(ns - input.started_ns);
    html! {
        @if ops.is_empty() { p class="faint" { "This finding names no operation of the history." } }
        @else {
            div class="scroll" { table {
                tr {
                    th { "" } th class="number" { "op" } th { "process" } th { "node" } th class="number" { "invoked, s" }
                    th class="number" { "completed, s" } th { "outcome" } th { "phase" } th { "what it asked and was told" }
                }
                @for (name, op) in ops.iter().take(OPS_MAX) {
                    tr {
                        td { @if !name.starts_with("op ") { strong { (name) } } }
                        td class="number" { (op.op_id) }
                        td { (op.process) }
                        td { (op.node.as_deref().map_or("-".to_owned(), printable)) }
                        td class="number" { (at(op.invoke_ns)) }
                        td class="number" { (op.complete_ns.map_or("-".to_owned(), at)) }
                        td { (op.outcome.name()) @if let Some(code) = &op.error_code { " (" (printable(code)) ")" } }
                        td { (input.phases.get(op.op_id as usize).map_or("-".to_owned(), |phase| printable(phase))) }
                        td class="wide" { (cut(&words::call(op, input), 600)) }
                    }
                }
            } }
            @if finding.ops.len() > ops.len().min(OPS_MAX) {
                p class="faint" { (count((finding.ops.len() - ops.len().min(OPS_MAX)) as u64, "more operation")) ": see results.json." }
            }
        }
    }
}

fn in_force(ops: &[(String, &Operation)], input: &ReportInput) -> Markup {
    let Some((from, to)) = words::window(ops) else { return html! {} };
    let (from, to) = (from - input.started_ns, to - input.started_ns);
    let (active, last) = (summary::in_force(input, from, to), summary::last_before(input, from));
    let line = |fault: &FaultLine| {
        printable(&format!("fault {} {}, {}: {}", fault.fault_id, fault.name, summary::asked(fault), fault.description))
    };
    html! {
        @match (active.is_empty(), last) {
            (false, _) => p {
                "In force meanwhile: "
                @for (place, fault) in active.iter().take(8).enumerate() { @if place > 0 { "; " } (line(fault)) }
                @if active.len() > 8 { "; and " (active.len() - 8) " more" }
                "."
            },
            (true, Some(last)) => p { "No fault was in force meanwhile; the last before: " (line(last)) "." },
            (true, None) => p { "No fault was in force meanwhile, and none had been before." },
        }
    }
}

fn dropped(finding: &Finding, ops: &[(String, &Operation)], input: &ReportInput, most: usize) -> Markup {
    if let Some(remark) = packets::remark(finding, ops, input) {
        return html! { p { (remark) } };
    }
    let Some(list) = input.packets.get(&finding.id) else { return html! {} };
    let own = list.shown.iter().filter(|packet| packet.op_id.is_some()).count();
    let shown = packets::telling(&list.shown, most);
    html! {
        details {
            summary { "Dropped meanwhile: " (packets::whose(list.total, own, list.shown.len())) }
            div class="scroll" { table class="small" {
                tr {
                    th class="number" { "at, s" } th { "fault" } th { "rule" } th { "from" } th { "to" } th { "flags" }
                    th class="number" { "bytes" } th { "where" }
                }
                @for packet in &shown { (packet_row(packet, ops)) }
            } }
            @if list.total > shown.len() as u64 {
                p { (count(list.total - shown.len() as u64, "more packet")) " not shown." }
            }
        }
        @if let Some(sql) = packets::sql(ops) {
            p class="small faint" { "The statement that lists them all:" }
            (command(&packets::sql_command(input, &sql)))
        }
    }
}

fn packet_row(packet: &PacketLine, ops: &[(String, &Operation)]) -> Markup {
    html! {
        tr {
            td class="number" { (words::seconds(packet.t_ns)) } td { (packet.fault_id) } td { (packet.rule_id) }
            td { (printable(&packet.src)) } td { (printable(&packet.dst)) } td { (printable(&packets::flags(packet))) }
            td class="number" { (packet.length) } td { (printable(&packets::place(packet, ops))) }
        }
    }
}
