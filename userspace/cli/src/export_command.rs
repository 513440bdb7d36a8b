//! `fissure export`: a history in a format that others read.

use crate::args::ExportArgs;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::store_command::open_run;
use crate::whole_file::WholeFile;
use fissure_history::export::{ExportError, ExportFormat, ExportOptions, ExportReport, export};
use fissure_history::import::is_foreign_folder;
use std::path::Path;

/// `fissure export`.
///
/// # Errors
/// When the history cannot be read, the format has no words for it, or the output cannot be written.
pub(crate) fn export_history(args: &ExportArgs, screen: &Screen) -> Result<Exit, Failure> {
    if args.flags.wants_list(screen) {
        return Ok(Exit::Valid);
    }
    let target = match args.target.is_file() || is_foreign_folder(&args.target) {
        true => args.target.clone(),
        false => open_run(&args.target, &args.store)?.path().to_owned(),
    };
    let format = format(args)?;
    let options = ExportOptions { independent: None, import: args.flags.options()? };
    let report = match &args.output {
        Some(output) => to_file(&target, format, &options, output)?,
        None => {
            let mut out = std::io::stdout().lock();
            export(&target, format, &options, &mut out).map_err(failure)?
        }
    };
    for note in &report.notes {
        screen.say(&format!("note: {note}"));
    }
    if report.left_out > 0 {
        screen.say(&format!("{} operations were left out", report.left_out));
    }
    if report.independent {
        screen.say("values are tuples [key value]: read them again with --independent");
    }
    screen.say(&format!("{} operations, {} lines", report.operations, report.lines));
    Ok(Exit::Valid)
}

fn format(args: &ExportArgs) -> Result<ExportFormat, Failure> {
    if let Some(name) = &args.to {
        return name.parse().map_err(Failure::usage);
    }
    let Some(output) = &args.output else { return Ok(ExportFormat::Edn) };
    let extension = output.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ExportFormat::from_extension(extension).ok_or_else(|| {
        let error = anyhow::anyhow!("the name of {} tells no format", output.display());
        Failure::usage(error).help("name it with --to: edn, json-lines or plume")
    })
}

/// Writes a file, as a whole or not at all.
///
/// # Errors
/// When the history cannot be read, the format has no words for it, or the disk refuses.
pub(crate) fn to_file(
    target: &Path,
    format: ExportFormat,
    options: &ExportOptions,
    output: &Path,
) -> Result<ExportReport, Failure> {
    let mut file = WholeFile::create(output)?;
    let report = export(target, format, options, &mut file).map_err(failure)?;
    file.finish()?;
    Ok(report)
}

fn failure(error: ExportError) -> Failure {
    match error {
        // A reader that went away has what it wanted.
        ExportError::Write { source } if source.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        error @ ExportError::Write { .. } => Failure::cannot_run(error),
        error => Failure::usage(error),
    }
}
