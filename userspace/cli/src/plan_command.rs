//! `fissure plan check|explain`, and the mistakes of a scenario shown with their places.

use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use fissure_plan::{Plan, Problem};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Severity};
use std::path::Path;

/// Reads and checks a scenario; its text comes with it.
///
/// # Errors
/// When it cannot be read, or has mistakes, which have then been shown.
pub(crate) fn load(path: &Path, screen: &Screen) -> Result<(Plan, String), Failure> {
    let source = read(path)?;
    let (plan, problems) = fissure_plan::parse(&source);
    show(path, &source, &problems, screen);
    match plan {
        Some(plan) if problems.is_empty() => Ok((plan, source)),
        _ => {
            let plural = if problems.len() == 1 { "mistake" } else { "mistakes" };
            Err(Failure::usage(anyhow::anyhow!("{} has {} {plural}", path.display(), problems.len()))
                .help("docs/scenarios.md describes every key"))
        }
    }
}

/// `fissure plan check`.
///
/// # Errors
/// When any scenario has mistakes; all of them are shown first.
pub(crate) fn check(paths: &[std::path::PathBuf], screen: &Screen) -> Result<Exit, Failure> {
    let mut failures = Vec::new();
    for path in paths {
        match load(path, screen) {
            Ok((plan, _)) => screen.data(&format!("{}: ok ({})\n", path.display(), plan.name)),
            Err(failure) => failures.push(failure),
        }
    }
    let count = failures.len();
    match failures.into_iter().next() {
        None => Ok(Exit::Valid),
        Some(first) if count == 1 => Err(first),
        Some(first) => Err(Failure { error: anyhow::anyhow!("{count} scenarios have mistakes"), ..first }),
    }
}

/// `fissure plan explain`.
///
/// # Errors
/// When the scenario has mistakes.
pub(crate) fn explain(path: &Path, seed: u64, screen: &Screen) -> Result<Exit, Failure> {
    let (plan, _) = load(path, screen)?;
    screen.data(&fissure_plan::explain(&plan, plan.seed.unwrap_or(seed)));
    Ok(Exit::Valid)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failure = |error: std::io::Error| Failure::usage(anyhow::anyhow!("cannot read {}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(failure)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(anyhow::anyhow!("{} is not UTF-8 text: byte {at} does not belong there", path.display()))
    })
}

fn show(path: &Path, source: &str, problems: &[Problem], screen: &Screen) {
    let theme = if screen.color_err { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(screen.width());
    for problem in problems {
        let mut text = String::new();
        let report = miette::Report::new(diagnostic(problem))
            .with_source_code(NamedSource::new(path.display().to_string(), source.to_owned()));
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text = format!("{}:{}:{}: {}", path.display(), problem.line, problem.column, problem.message);
        }
        eprintln!("{}", text.trim_end());
    }
}

fn diagnostic(problem: &Problem) -> MietteDiagnostic {
    let label = |label: &fissure_plan::Label| {
        LabeledSpan::new(Some(label.text.clone()), label.span.start, label.span.end.saturating_sub(label.span.start))
    };
    let labels: Vec<LabeledSpan> = std::iter::once(&problem.label).chain(&problem.related).map(label).collect();
    let mut diagnostic = MietteDiagnostic::new(problem.message.clone())
        .with_code(problem.code.name())
        .with_severity(Severity::Error)
        .with_labels(labels);
    if let Some(help) = &problem.help {
        diagnostic = diagnostic.with_help(help.clone());
    }
    diagnostic
}
