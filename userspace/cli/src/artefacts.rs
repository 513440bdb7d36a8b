//! Files about findings, beside `results.json`: the cycle as a picture, and the few operations that show it.
//!
//! `findings/<id>.svg` is the cycle; `findings/<id>.edn` and `findings/<id>.jsonl` are a history of its own, in the
//! formats of Jepsen and elle-cli, that `fissure check` (or Elle) judges alone. The EDN begins with the explanation.

use crate::exit::Failure;
use crate::judging::Judging;
use crate::whole_file::{WholeFile, write_whole};
use fissure_checker::excerpt::Excerpts;
use fissure_checker::{CheckResult, Finding, History};
use fissure_history::export::{ExportFormat, ExportOptions, export_history};
use fissure_report::ExcerptFile;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Name of the folder.
const FOLDER: &str = "findings";
/// Findings of one checker that have files, at most.
const FINDINGS_MAX: usize = 64;

/// Writes the files of all findings into `dir/findings`, in place of those that are there, and says where the excerpts
/// are.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write(
    dir: &Path,
    history: &History,
    results: &[CheckResult],
    judging: &Judging,
) -> Result<BTreeMap<String, ExcerptFile>, Failure> {
    let folder = dir.join(FOLDER);
    let cannot = |error: std::io::Error| Failure::cannot_run(anyhow::anyhow!("{}: {error}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(cannot)?;
    }
    let mut written = BTreeMap::new();
    if results.iter().all(|result| result.findings.is_empty()) {
        return Ok(written);
    }
    std::fs::create_dir_all(&folder).map_err(cannot)?;
    for result in results {
        let findings = &result.findings[..result.findings.len().min(FINDINGS_MAX)];
        let excerpts = Excerpts::new(history, findings);
        for finding in findings {
            let path = |extension: &str| folder.join(format!("{}.{extension}", file_name(&finding.id)));
            if let Some(svg) = fissure_report::cycle_svg(finding, history) {
                write_whole(&path("svg"), &svg)?;
            }
            // Files tell events in a total order; where that is not the order of real time they would claim too much.
            if !history.has_real_time_order() {
                continue;
            }
            let Some(excerpt) = excerpts.of(finding, result, judging.again(result)) else { continue };
            let head = heading(finding, result);
            let whole = write_history(&path("edn"), &head, &excerpt, ExportFormat::Edn)?
                && write_history(&path("jsonl"), "", &excerpt, ExportFormat::JsonLines)?;
            if whole {
                let path = path("edn").display().to_string();
                written.insert(finding.id.clone(), ExcerptFile { path, operations: excerpt.len() });
            }
        }
    }
    Ok(written)
}

/// Where the excerpts are that an earlier judgement wrote.
pub(crate) fn known(dir: &Path, results: &[CheckResult]) -> BTreeMap<String, ExcerptFile> {
    let file = |finding: &Finding| {
        let path = dir.join(FOLDER).join(format!("{}.edn", file_name(&finding.id)));
        let text = std::fs::read_to_string(&path).ok()?;
        let operations = text.lines().filter(|line| line.contains(":type :invoke")).count();
        Some((finding.id.clone(), ExcerptFile { path: path.display().to_string(), operations }))
    };
    results.iter().flat_map(|result| &result.findings).filter_map(file).collect()
}

/// The id, as a name of a file on any system.
fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// What was found, as comments of EDN.
fn heading(finding: &Finding, result: &CheckResult) -> String {
    let title = format!("{}, {} as {}: {}", finding.id, result.checker, result.model, finding.summary);
    let lines = std::iter::once(title.as_str()).chain(finding.explanation.iter().map(String::as_str));
    let plain = |line: &str| line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    lines.flat_map(str::lines).map(|line| format!("; {}\n", plain(line))).collect()
}

/// Whether the format has words for it; if not, there is no file.
fn write_history(path: &Path, head: &str, history: &History, format: ExportFormat) -> Result<bool, Failure> {
    let mut bytes = Vec::new();
    if export_history(history, &[], format, &ExportOptions::default(), &mut bytes).is_err() {
        return Ok(false);
    }
    let mut file = WholeFile::create(path)?;
    let cannot = |error: std::io::Error| Failure::cannot_run(anyhow::anyhow!("{}: {error}", path.display()));
    file.write_all(head.as_bytes()).map_err(cannot)?;
    file.write_all(&bytes).map_err(cannot)?;
    file.finish()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fissure_checker::synthetic::{Spec, Stream};
    use fissure_history::{ImportOptions, import_file_with};

    #[test]
    fn an_excerpt_that_is_read_again_shows_the_same_anomaly_alone() {
        let dir = tempfile::tempdir().unwrap();
        let plants = vec!["G1c:300".parse().unwrap(), "G-single:200".parse().unwrap(), "G1a".parse().unwrap()];
        let spec = Spec { ops: 800, plants, ..Spec::default() };
        let history = History::new(Stream::new(&spec).unwrap().operations().collect()).unwrap();
        let judging = Judging::default();
        let results = judging.judge(&history).unwrap_or_else(|_| panic!("it is judged"));
        let written = write(dir.path(), &history, &results, &judging).unwrap_or_else(|_| panic!("it is written"));
        assert_eq!(written.len(), results[0].findings.len());
        assert_eq!(known(dir.path(), &results), written);
        for finding in &results[0].findings {
            for extension in ["edn", "jsonl"] {
                let path = dir.path().join(FOLDER).join(format!("{}.{extension}", finding.id));
                let alone = import_file_with(&path, &ImportOptions::default()).unwrap().history;
                assert_eq!(alone.len(), written[&finding.id].operations);
                let again = judging.judge(&alone).unwrap_or_else(|_| panic!("it is judged"));
                assert!(again[0].is_invalid() && again[0].anomaly_types.contains(&finding.anomaly), "{}", finding.id);
            }
            let svg = dir.path().join(FOLDER).join(format!("{}.svg", finding.id));
            assert_eq!(svg.is_file(), !finding.cycle.is_empty());
        }
        // What was found before is not left beside what is found now.
        write(dir.path(), &history, &[], &judging).unwrap_or_else(|_| panic!("it is written"));
        assert!(!dir.path().join(FOLDER).exists());
    }
}
