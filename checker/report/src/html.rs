//! One page that says everything: self-contained, offline, in light and in dark.
//!
//! In the order in which a sceptic asks: the verdict; what was checked; whether anything was tested at all; what it
//! looked like over time; each finding; and how to do it again. Everything that a page cannot hold is cut, and said to be.

mod axis;
mod finding;
mod lanes;
mod latency;

use crate::input::{FaultLine, ReportInput};
use crate::summary::{self, FaultState, FaultSummary};
use crate::words::{count, printable, seconds, shell, shell_double, thousands};
use fissure_checker::{CheckResult, Reason, Validity};
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use axis::n;

/// Events of the nodes that are listed.
const NODE_EVENTS_MAX: usize = 400;
/// Occurrences of one fault that are listed.
const OCCURRENCES_MAX: usize = 60;
/// Nothing is loaded from anywhere, and nothing but this page's own script runs.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page of a run.
#[must_use]
pub fn html(input: &ReportInput) -> String {
    let verdict = input.verdict.validity.name();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content=(format!("fissure {}", printable(&input.fissure_version)));
                title { (verdict.to_uppercase()) " · " (printable(&input.scenario)) " · seed " (input.seed) }
                style { (PreEscaped(include_str!("html/page.css"))) (PreEscaped(crate::cycle::STYLE)) }
            }
            body {
                (headline(input))
                main {
                    (properties(input))
                    (tested(input))
                    h2 id="time" { "Over time" }
                    (latency::figure(input))
                    (finding::section(input))
                    (nodes(input))
                    (reproduce(input))
                }
                script { (PreEscaped(include_str!("html/page.js"))) }
            }
        }
    };
    page.into_string()
}

/// The name within the page of a finding.
fn anchor(id: &str) -> String {
    let safe: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    format!("finding-{safe}")
}

/// A command with a button that copies it.
fn command(text: &str) -> Markup {
    html! { div class="command" { pre { (printable(text)) } button data-copy hidden type="button" { "copy" } } }
}

fn said(validity: Validity) -> Markup {
    let sign = match validity {
        Validity::Valid => "✓",
        Validity::Unknown => "?",
        Validity::Invalid => "✗",
    };
    html! { span class=(format!("said {}", validity.name())) { (sign) " " (validity.name()) } }
}

fn headline(input: &ReportInput) -> Markup {
    let verdict = input.verdict.validity.name();
    let mut anomalies: Vec<&str> = Vec::new();
    for finding in input.results.iter().filter(|result| result.is_invalid()).flat_map(|result| &result.findings) {
        if !anomalies.contains(&finding.anomaly.as_str()) {
            anomalies.push(&finding.anomaly);
        }
    }
    let findings: usize = input.results.iter().map(|result| result.findings.len()).sum();
    html! {
        header class=(verdict) {
            div {
                h1 {
                    span class="pill" { (verdict.to_uppercase()) }
                    @for anomaly in anomalies.iter().take(3) { (printable(anomaly)) " · " }
                    @if anomalies.len() > 3 { (anomalies.len() - 3) " more · " }
                    @if findings > 0 { a href="#findings" { (count(findings as u64, "finding")) } " · " }
                    (printable(&input.scenario))
                }
                div class="faint" {
                    (printable(&input.target)) " · seed " (input.seed) " · " (format!("{:.1} s", input.duration_s))
                    " · kernel " (printable(&input.kernel)) " · " (printable(&input.started))
                }
                @if let Some(again) = &input.again { (command(again)) }
            }
        }
    }
}

fn properties(input: &ReportInput) -> Markup {
    html! {
        h2 { "Properties" }
        table {
            tr { th { "verdict" } th { "checker" } th { "model" } th { "evidence" } th class="number" { "operations" } th class="number" { "reads" } th class="number" { "parts" } }
            @for result in &input.results { (property(result)) }
        }
    }
}

fn property(result: &CheckResult) -> Markup {
    let list = |names: &std::collections::BTreeSet<String>| {
        names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ")
    };
    html! {
        tr {
            td { (said(result.verdict.validity)) }
            td { (printable(&result.checker)) }
            td { (printable(&result.model)) }
            td class="evidence" {
                (printable(&result.evidence))
                @if !result.anomaly_types.is_empty() { div { "Anomalies: " (list(&result.anomaly_types)) "." } }
                (levels(result))
                @if result.levels.is_empty() && !result.not.is_empty() {
                    div {
                        "Not " (list(&result.not))
                        @if !result.also_not.is_empty() { ", and so neither " (list(&result.also_not)) }
                        "."
                    }
                }
                @for reason in &result.verdict.reasons { div { (doubt(reason)) } }
                @if !result.findings.is_empty() {
                    div {
                        @for finding in result.findings.iter().take(30) {
                            a href=(format!("#{}", anchor(&finding.id))) { (printable(&finding.id)) } " "
                        }
                        @if result.findings.len() > 30 { "and " (result.findings.len() - 30) " more" }
                    }
                }
            }
            td class="number" { (thousands(result.ops_checked)) }
            td class="number" { (thousands(result.reads_checked)) }
            td class="number" { (thousands(result.partitions)) }
        }
    }
}

/// The answer at every level, each with the finding that refutes it or with what was assumed.
fn levels(result: &CheckResult) -> Markup {
    html! {
        @if !result.levels.is_empty() {
            div class="levels" {
                @for level in &result.levels {
                    @let (sign, validity) = match level.validity {
                        Validity::Valid => ("✓", "valid"),
                        Validity::Unknown => ("?", "unknown"),
                        Validity::Invalid => ("✗", "invalid"),
                    };
                    span class=(format!("said {validity}")) title=(printable(&level.assumed.join("; "))) {
                        (sign) " " (level.name())
                        @if let Some(id) = &level.witness { " " a href=(format!("#{}", anchor(id))) { "(" (printable(id)) ")" } }
                    }
                    " "
                }
            }
        }
    }
}

fn doubt(reason: &Reason) -> Markup {
    html! { code class="code" { (printable(&reason.code)) } " " (printable(&reason.text)) }
}

/// Whether the verdict rests on anything.
fn tested(input: &ReportInput) -> Markup {
    let faults = summary::faults(input);
    let mut reasons: Vec<&Reason> = Vec::new();
    for reason in &input.verdict.reasons {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let agrees = |fault: &FaultSummary<'_>| !fault.is_packets() || fault.kernel_hits() == Some(fault.hits() as i64);
    let is_sound =
        faults.iter().all(|fault| fault.state() == FaultState::Hit && agrees(fault)) && input.events_lost == 0;
    html! {
        h2 id="tested" { "Was anything tested?" }
        @if !reasons.is_empty() {
            div class="box weak" {
                strong { "What makes this verdict weaker" }
                ul { @for reason in &reasons { li { (doubt(reason)) } } }
            }
        } @else if faults.is_empty() {
            div class="box weak" { "No fault was asked for: this run shows how the system behaves undisturbed, no more." }
        } @else if is_sound {
            div class="box sound" {
                "Every fault that was asked for hit something; what was recorded is what the kernel counted; no event was lost."
            }
        }
        (operations(input))
        (fault_table(input, &faults))
        p {
            (count(input.injections, "packet")) " dropped and recorded, "
            @if input.events_lost == 0 { "no event lost." }
            @else { strong { (count(input.events_lost, "event")) " lost" } ": those faults were not injected." }
        }
    }
}

fn operations(input: &ReportInput) -> Markup {
    let [ok, fail, info] = summary::outcomes(input);
    html! {
        table {
            tr { th { "operations" } th class="number" { "ok" } th class="number" { "fail" } th class="number" { "info" } th class="number" { "all" } }
            @for (f, by) in &input.ops_by_f {
                tr {
                    td { (printable(f)) }
                    @for number in by { td class="number" { (thousands(*number)) } }
                    td class="number" { (thousands(by.iter().sum())) }
                }
            }
            tr {
                td { strong { "all" } }
                td class="number" { (thousands(ok)) } td class="number" { (thousands(fail)) } td class="number" { (thousands(info)) }
                td class="number" { strong { (thousands(ok + fail + info)) } }
            }
        }
    }
}

fn fault_table(input: &ReportInput, faults: &[FaultSummary<'_>]) -> Markup {
    html! {
        @if !faults.is_empty() {
            table {
                tr { th { "fault" } th { "kind" } th { "asked" } th class="number" { "packets hit" } th class="number" { "kernel's count" } th { "" } }
                @for fault in faults {
                    tr {
                        td {
                            details {
                                summary { (printable(fault.name)) }
                                @for line in fault.occurrences.iter().take(OCCURRENCES_MAX) { div class="small" { (occurrence(line)) } }
                                @if fault.occurrences.len() > OCCURRENCES_MAX {
                                    div class="small" { (count((fault.occurrences.len() - OCCURRENCES_MAX) as u64, "more time")) }
                                }
                            }
                        }
                        td { (printable(fault.kind)) }
                        td { (asked(fault)) }
                        td class="number" { @if fault.is_packets() { (thousands(fault.hits())) } @else { "-" } }
                        td class="number" {
                            @match fault.kernel_hits() {
                                Some(hits) if fault.is_packets() => (thousands(hits.unsigned_abs())),
                                _ => "-",
                            }
                        }
                        td { (came_out(fault)) }
                    }
                }
            }
        }
        @if !input.mechanisms.is_empty() {
            p class="small faint" {
                "Packets were dropped by: "
                @for (place, (host, mechanism)) in input.mechanisms.iter().enumerate() {
                    @if place > 0 { "; " } (printable(host)) " " (printable(mechanism))
                }
                "."
            }
        }
    }
}

/// When a fault was asked for: its first windows.
fn asked(fault: &FaultSummary<'_>) -> Markup {
    let windows: Vec<String> = fault.occurrences.iter().take(4).map(|line| summary::asked(line)).collect();
    html! {
        (fault.occurrences.len()) "×"
        span class="small faint" {
            " " (windows.join(", "))
            @if fault.occurrences.len() > windows.len() { " and " (fault.occurrences.len() - windows.len()) " more" }
        }
    }
}

fn came_out(fault: &FaultSummary<'_>) -> Markup {
    match fault.state() {
        FaultState::Hit if fault.is_packets() => html! { span class="said valid" { "✓ hit" } },
        FaultState::Hit => html! { span class="said valid" { "✓ done" } },
        FaultState::NeverFired => {
            html! { span class="said unknown" { "! hit nothing" } " " code { "FAULT_NEVER_FIRED" } }
        }
        FaultState::Failed => html! { span class="said unknown" { "! not applied" } " " code { "FAULT_FAILED" } },
        FaultState::Disagree => {
            html! { span class="said unknown" { "! counts differ" } " " code { "EVENTS_DISAGREE" } }
        }
    }
}

fn occurrence(fault: &FaultLine) -> Markup {
    html! {
        (summary::asked(fault)) " · fault " (fault.fault_id) " · " (printable(&fault.description))
        @if fault.rules > 0 { " · " (count(fault.hits, "packet")) " by " (count(fault.rules.unsigned_abs(), "rule")) }
        @if let Some(error) = &fault.error { " · " strong { "could not be applied: " (printable(error)) } }
    }
}

fn nodes(input: &ReportInput) -> Markup {
    html! {
        @if !input.node_events.is_empty() {
            h2 { "Nodes" }
            details {
                summary { (count(input.node_events.len() as u64, "event")) " in the life of " (count(input.nodes.len() as u64, "node")) }
                table class="small" {
                    tr { th class="number" { "at, s" } th { "node" } th { "event" } th { "" } }
                    @for event in input.node_events.iter().take(NODE_EVENTS_MAX) {
                        tr {
                            td class="number" { (seconds(event.t_ns)) }
                            td { (printable(&event.node)) }
                            td { (latency::sign(&event.event)) " " (printable(&event.event)) }
                            td { (event.detail.as_deref().map_or(String::new(), printable)) }
                        }
                    }
                }
                @if input.node_events.len() > NODE_EVENTS_MAX {
                    p { (count((input.node_events.len() - NODE_EVENTS_MAX) as u64, "more event")) ": table " code { "nodes" } "." }
                }
            }
        }
    }
}

fn reproduce(input: &ReportInput) -> Markup {
    let run = shell(&input.run_path);
    let tables = format!("{}/history/ops/*.parquet", input.run_path.trim_end_matches('/').replace('\'', "''"));
    let duckdb = format!("select f, outcome, count(*) from '{tables}' group by all");
    html! {
        h2 { "Reproduce, and ask more" }
        p class="small faint" {
            "fissure " (printable(&input.fissure_version)) " · " (printable(&input.target)) " · nodes "
            (printable(&input.nodes.join(", "))) " · kernel " (printable(&input.kernel)) " · seed " (input.seed)
            " · started " (printable(&input.started))
        }
        @if let Some(again) = &input.again {
            p { "The same plan with the same seed. The schedule of a real kernel is not repeated: what is found may differ." }
            (command(again))
        }
        p { "Judge the recorded history again:" }
        (command(&format!("fissure check {run}")))
        p { "Ask in SQL, for example which operations lost packets on their own connection:" }
        (command(&format!("fissure sql {run} -c \"select * from op_injections limit 10\"")))
        p { "The files are plain Parquet:" }
        (command(&format!("duckdb -c {}", shell_double(&duckdb))))
    }
}
