//! JUnit XML: what CI shows.
//!
//! One case per checker, one per fault ("was it hit?"), and one for the run itself. A violation is a `failure`; a doubt
//! is an `error`, never a skip, so that a run that tested nothing cannot turn a build green.

use crate::input::ReportInput;
use crate::summary::{self, FaultState, FaultSummary};
use fissure_checker::{CheckResult, Reason, Validity};

/// One case.
struct Case {
    name: String,
    /// `failure` or `error`, its type, its message and its text; `None`: passed.
    problem: Option<(&'static str, String, String, String)>,
    /// Evidence, for `system-out`.
    note: String,
}

/// The result of a run as JUnit XML.
#[must_use]
pub fn junit_xml(input: &ReportInput) -> String {
    let mut cases: Vec<Case> = input.results.iter().map(checker_case).collect();
    cases.extend(summary::faults(input).iter().map(fault_case));
    cases.push(run_case(input));
    let number =
        |kind: &str| cases.iter().filter(|case| case.problem.as_ref().is_some_and(|problem| problem.0 == kind)).count();
    let (failures, errors) = (number("failure"), number("error"));
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\"", cases.len());
    let name = escape(&input.scenario);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"fissure\" {counts}>\n  <testsuite name=\"{name}\" \
         {counts} skipped=\"0\" time=\"{:.3}\" timestamp=\"{}\">\n    <properties>\n",
        input.duration_s,
        escape(&input.started)
    );
    let properties = [
        ("seed", input.seed.to_string()),
        ("kernel", input.kernel.clone()),
        ("target", input.target.clone()),
        ("run", input.run_path.clone()),
        ("fissure", input.fissure_version.clone()),
    ];
    for (key, value) in properties {
        xml.push_str(&format!("      <property name=\"{key}\" value=\"{}\"/>\n", escape(&value)));
    }
    xml.push_str("    </properties>\n");
    for case in &cases {
        write_case(&mut xml, &name, case);
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn write_case(xml: &mut String, class: &str, case: &Case) {
    xml.push_str(&format!("    <testcase classname=\"{class}\" name=\"{}\">\n", escape(&case.name)));
    if let Some((element, kind, message, text)) = &case.problem {
        let (kind, message, text) = (escape(kind), escape(message), escape(text));
        xml.push_str(&format!("      <{element} type=\"{kind}\" message=\"{message}\">{text}</{element}>\n"));
    }
    if !case.note.is_empty() {
        xml.push_str(&format!("      <system-out>{}</system-out>\n", escape(&case.note)));
    }
    xml.push_str("    </testcase>\n");
}

fn checker_case(result: &CheckResult) -> Case {
    let problem = match result.verdict.validity {
        Validity::Valid => None,
        Validity::Unknown => Some(doubt(&result.verdict.reasons)),
        Validity::Invalid => {
            let types: Vec<&str> = result.anomaly_types.iter().map(String::as_str).collect();
            let summary = |finding: &fissure_checker::Finding| format!("{}: {}", finding.id, finding.summary);
            let message = result.findings.first().map_or_else(|| types.join(", "), summary);
            let told: Vec<String> = result
                .findings
                .iter()
                .map(|finding| format!("{}\n{}\n", summary(finding), finding.explanation.join("\n")))
                .collect();
            Some(("failure", types.join(" "), message, told.join("\n")))
        }
    };
    Case { name: format!("{} is {}", result.checker, result.model), problem, note: result.evidence.clone() }
}

fn doubt(reasons: &[Reason]) -> (&'static str, String, String, String) {
    let code = reasons.first().map_or("UNKNOWN", |reason| reason.code.as_str());
    let text: Vec<String> = reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.text)).collect();
    let message = text.first().cloned().unwrap_or_else(|| "no reason was given".to_owned());
    ("error", code.to_owned(), message, text.join("\n"))
}

fn fault_case(fault: &FaultSummary<'_>) -> Case {
    let errors: Vec<&str> = fault.failures().filter_map(|line| line.error.as_deref()).collect();
    let error = |code: &str, message: String| Some(("error", code.to_owned(), message.clone(), message));
    let problem = match fault.state() {
        FaultState::Hit => None,
        FaultState::Failed => error("FAULT_FAILED", errors.join("; ")),
        FaultState::NeverFired => error("FAULT_NEVER_FIRED", "in force, but not one packet was hit".to_owned()),
        FaultState::Disagree => error("EVENTS_DISAGREE", fault.effect()),
    };
    Case {
        name: format!("fault `{}` hit something", fault.name),
        problem,
        note: format!("{}: {}", fault.title(), fault.effect()),
    }
}

/// Doubts that belong neither to a checker nor to a fault that was started.
fn run_case(input: &ReportInput) -> Case {
    let elsewhere = ["FAULT_NEVER_FIRED", "FAULT_FAILED", "EVENTS_DISAGREE"];
    let of_checkers = |reason: &&Reason| input.results.iter().any(|result| result.verdict.reasons.contains(reason));
    let own: Vec<Reason> = input
        .verdict
        .reasons
        .iter()
        .filter(|reason| !elsewhere.contains(&reason.code.as_str()) && !of_checkers(reason))
        .cloned()
        .collect();
    let problem = if own.is_empty() { None } else { Some(doubt(&own)) };
    let [ok, fail, info] = summary::outcomes(input);
    let note = format!(
        "ok {ok}, fail {fail}, info {info}; {} packets dropped, {} events lost",
        input.injections, input.events_lost
    );
    Case { name: "the run is complete".to_owned(), problem, note }
}

/// Text for XML 1.0: the five entities, and characters that XML cannot hold replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
