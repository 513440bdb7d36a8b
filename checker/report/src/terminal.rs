//! The result as a person sees it at the end of a run: verdict first, then why, then what to type next.
//!
//! The lines keep their order and their words with and without colour; golden tests hold them.

mod ink;
mod story;

use crate::input::{FaultLine, ReportInput};
use crate::levels;
use crate::summary::{self, FaultState, FaultSummary};
use crate::words::{count, cut, printable, shell, thousands};
use fissure_checker::{CheckResult, Finding, Reason, Validity};
use ink::Page;

/// How text is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Columns of the terminal; lines are wrapped to it, commands are not.
    pub width: usize,
}

/// Findings that are told in full; of the others the number is said.
const FINDINGS_SHOWN: usize = 3;
/// Occurrences of one fault that are listed.
const OCCURRENCES_SHOWN: usize = 4;
/// Column at which the text of a checker's line begins, at most.
const NAME_WIDTH_MAX: usize = 28;

/// The result of a run. Ends with a line feed.
#[must_use]
pub fn terminal(input: &ReportInput, style: Style) -> String {
    let mut page = Page::new(style);
    headline(&mut page, input);
    page.blank();
    checks(&mut page, &input.results);
    doubts(&mut page, &input.verdict.reasons);
    story::findings(&mut page, &input.results, Some(input));
    page.blank();
    tested(&mut page, input);
    page.blank();
    next(&mut page, input);
    page.finish()
}

/// The result for a history that is no run of ours. Ends with a line feed.
#[must_use]
pub fn check_terminal(name: &str, results: &[CheckResult], style: Style) -> String {
    let verdict = CheckResult::merge_verdicts(results);
    let mut page = Page::new(style);
    page.raw(&format!("{}  {}", page.verdict(verdict.validity), printable(name)));
    page.blank();
    checks(&mut page, results);
    doubts(&mut page, &verdict.reasons);
    story::findings(&mut page, results, None);
    let told: usize = results.iter().map(|result| result.findings.len()).sum();
    if told > FINDINGS_SHOWN {
        page.blank();
        page.labelled("all", &format!("fissure check {} --json", shell(&printable(name))));
    }
    page.finish()
}

fn headline(page: &mut Page, input: &ReportInput) {
    let verdict = page.verdict(input.verdict.validity);
    // What was imported ran on no kernel that is known.
    let kernel = if input.kernel.is_empty() { String::new() } else { format!("  kernel {}", printable(&input.kernel)) };
    page.raw(&format!(
        "{verdict}  {}  seed {}  {:.1}s{kernel}",
        printable(&input.scenario),
        input.seed,
        input.duration_s,
    ));
}

fn checks(page: &mut Page, results: &[CheckResult]) {
    let names: Vec<String> =
        results.iter().map(|result| printable(&format!("{} ({})", result.checker, result.model))).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(NAME_WIDTH_MAX);
    for (result, name) in results.iter().zip(&names) {
        let mark = page.mark(result.verdict.validity);
        let lead = format!("  {mark} {name:width$}  ");
        let indent = 4 + name.chars().count().max(width) + 2;
        let (text, codes) = said(result);
        page.wrapped(&lead, indent, &text, &codes);
        if result.is_invalid() && !result.evidence.is_empty() {
            page.dim(indent, &result.evidence);
        }
        let levels = levels::lines(result);
        for line in &levels {
            page.dim(indent, line);
        }
        if levels.is_empty() && !result.not.is_empty() {
            page.dim(indent, &ruled_out(result));
        }
    }
}

/// What one checker's line says, and the codes at its end.
fn said(result: &CheckResult) -> (String, String) {
    let ids: Vec<&str> = result.findings.iter().map(|finding| finding.id.as_str()).collect();
    match result.verdict.validity {
        Validity::Invalid => {
            let first = result.findings.first().map(|finding| finding.summary.as_str());
            let types: Vec<&str> = result.anomaly_types.iter().map(String::as_str).collect();
            let text = first.map_or_else(|| format!("anomalies: {}", types.join(", ")), str::to_owned);
            (text, few(&ids))
        }
        Validity::Unknown => {
            let codes: Vec<&str> = result.verdict.reasons.iter().map(|reason| reason.code.as_str()).collect();
            let text = result.verdict.reasons.first().map_or("no reason was given", |reason| reason.text.as_str());
            (format!("unknown: {text}"), few(&codes))
        }
        Validity::Valid if ids.is_empty() => (result.evidence.clone(), String::new()),
        Validity::Valid => {
            let types: Vec<&str> = result.anomaly_types.iter().map(String::as_str).collect();
            let permitted = format!("{} permits what was found: {}", result.model, types.join(", "));
            (format!("{}; {permitted}", result.evidence), few(&ids))
        }
    }
}

/// The first three of some codes, and how many more there are.
fn few(codes: &[&str]) -> String {
    let mut text = codes.iter().take(3).copied().collect::<Vec<_>>().join(" ");
    if codes.len() > 3 {
        text.push_str(&format!(" +{}", codes.len() - 3));
    }
    text
}

fn ruled_out(result: &CheckResult) -> String {
    let list = |models: &std::collections::BTreeSet<String>| models.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut text = format!("not {}", list(&result.not));
    if !result.also_not.is_empty() {
        text.push_str(&format!("; so neither {}", list(&result.also_not)));
    }
    text
}

/// Reasons for doubt, each once.
fn doubts(page: &mut Page, reasons: &[Reason]) {
    let mut seen: Vec<&Reason> = Vec::new();
    for reason in reasons {
        if !seen.contains(&reason) {
            seen.push(reason);
        }
    }
    if seen.is_empty() {
        return;
    }
    page.blank();
    let width = seen.iter().map(|reason| reason.code.chars().count()).max().unwrap_or(0);
    for (place, reason) in seen.iter().enumerate() {
        let label = if place == 0 { "doubts" } else { "" };
        let code = printable(&reason.code);
        let lead = format!("  {}{}  ", page.label(label), page.warn(&format!("{code:width$}")));
        page.wrapped(&lead, ink::LABEL_WIDTH + width + 4, &reason.text, "");
    }
}

/// What the run did: faults asked and hit, operations, losses.
fn tested(page: &mut Page, input: &ReportInput) {
    let faults = summary::faults(input);
    if faults.is_empty() {
        page.labelled("faults", "none: this run shows how the system behaves undisturbed, no more");
    }
    for (place, fault) in faults.iter().enumerate() {
        fault_lines(page, fault, if place == 0 { "faults" } else { "" });
    }
    let [ok, fail, info] = summary::outcomes(input);
    let by_f: Vec<String> =
        input.ops_by_f.iter().map(|(f, by)| format!("{f} {}", thousands(by.iter().sum()))).collect();
    let by_f = if by_f.is_empty() { String::new() } else { format!("   ({})", by_f.join(", ")) };
    let all = count(ok + fail + info, "op");
    let (ok, fail, info) = (thousands(ok), thousands(fail), thousands(info));
    page.labelled("history", &printable(&format!("{all}  ok {ok}  fail {fail}  info {info}{by_f}")));
    let lost = if input.events_lost == 0 {
        "no event lost".to_owned()
    } else {
        format!("{} lost: those faults were not injected", count(input.events_lost, "event"))
    };
    page.labelled("packets", &format!("{} dropped and recorded, {lost}", thousands(input.injections)));
    let nodes = if input.nodes.is_empty() { String::new() } else { format!(" on {}", input.nodes.join(", ")) };
    page.labelled("target", &printable(&format!("{}{nodes}", input.target)));
}

fn fault_lines(page: &mut Page, fault: &FaultSummary<'_>, label: &str) {
    let (mark, code) = match fault.state() {
        FaultState::Hit => ("", ""),
        FaultState::NeverFired => ("! ", "FAULT_NEVER_FIRED"),
        FaultState::Failed => ("! ", "FAULT_FAILED"),
        FaultState::Disagree => ("! ", "EVENTS_DISAGREE"),
    };
    let mark = page.warn(mark);
    let lead = format!("  {}{mark}", page.label(label));
    let text = format!("{}   {}   {}", fault.title(), fault.kind, fault.effect());
    page.wrapped(&lead, ink::LABEL_WIDTH + 4, &text, code);
    for occurrence in fault.occurrences.iter().take(OCCURRENCES_SHOWN) {
        page.dim(ink::LABEL_WIDTH + 4, &occurrence_text(occurrence));
    }
    let rest = fault.occurrences.len().saturating_sub(OCCURRENCES_SHOWN);
    if rest > 0 {
        page.dim(ink::LABEL_WIDTH + 4, &format!("… {}", count(rest as u64, "more time")));
    }
}

fn occurrence_text(fault: &FaultLine) -> String {
    let asked = format!("{:<13} fault {:<3} {}", summary::asked(fault), fault.fault_id, fault.description);
    match &fault.error {
        Some(error) => format!("{asked}: could not be applied: {error}"),
        None if fault.rules > 0 => format!("{asked}: {}", count(fault.hits, "packet")),
        None => asked,
    }
}

/// Which commands show more.
fn next(page: &mut Page, input: &ReportInput) {
    let run = shell(&printable(&input.run_path));
    if let Some(Finding { id, .. }) = input.results.iter().flat_map(|result| &result.findings).next() {
        page.labelled("why", &format!("fissure report {run} --finding {}", shell(&printable(id))));
    }
    page.labelled("page", &shell(&printable(&format!("{}/report.html", input.run_path.trim_end_matches('/')))));
    page.labelled("ask", &format!("fissure sql {run}"));
    if let Some(again) = &input.again {
        page.labelled("again", &cut(&printable(again), 1_000));
    }
}
