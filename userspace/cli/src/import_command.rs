//! `fissure import`: histories that others recorded, as runs or as Parquet files.

use crate::args::{ImportArgs, ImportFlags};
use crate::exit::{Exit, Failure};
use crate::kept_history;
use crate::screen::Screen;
use fissure_history::import::{Format, NilReads, SkippedRecords, import_to};
use fissure_history::writer::HistoryWriter;
use fissure_history::{Error, ImportError, ImportOptions, Manifest, RunDir};
use std::path::Path;

impl ImportFlags {
    /// The same as the library takes it.
    ///
    /// # Errors
    /// When there is no such format.
    pub(crate) fn options(&self) -> Result<ImportOptions, Failure> {
        let format = self.from.as_deref().map(str::parse::<Format>).transpose().map_err(Failure::usage)?;
        Ok(ImportOptions {
            independent: self.independent.then_some(true),
            nil_reads: if self.nil_reads_unknown { NilReads::Unknown } else { NilReads::default() },
            initial_value: self.initial,
            format,
            lenient: self.lenient,
        })
    }

    /// Prints the formats, if that was what was asked.
    pub(crate) fn wants_list(&self, screen: &Screen) -> bool {
        let wanted = self.from.as_deref() == Some("help");
        if wanted {
            screen.data(&format!("formats of --from:\n  {}\n", Format::names().join("\n  ")));
        }
        wanted
    }
}

/// Says how a file was understood, and what of it was left out.
pub(crate) fn say_notes(notes: &[String], skipped: &SkippedRecords, screen: &Screen) {
    for mistake in &skipped.first {
        screen.say(&format!("left out: {}: {}", mistake.place, mistake.detail));
    }
    for note in notes {
        screen.say(&format!("note: {note}"));
    }
}

/// `fissure import`.
///
/// # Errors
/// When a file cannot be read or written; those before it are imported.
pub(crate) fn import(args: &ImportArgs, screen: &Screen) -> Result<Exit, Failure> {
    if args.flags.wants_list(screen) {
        return Ok(Exit::Valid);
    }
    let options = args.flags.options()?;
    if args.files.len() > 1 && args.output.is_some() {
        return Err(Failure::usage(anyhow::anyhow!("--output takes one history, but {} are given", args.files.len())));
    }
    for file in &args.files {
        if let Some(output) = &args.output {
            let mut writer = HistoryWriter::create_file(output).map_err(Failure::cannot_run)?;
            let report = import_to(file, &options, &mut writer).map_err(import_failure)?;
            let sealed = writer.finish().map_err(Failure::cannot_run)?;
            say_notes(&report.notes, &report.skipped, screen);
            screen.data(&format!("{}: {} operations\n", output.display(), sealed.counts.ops));
            continue;
        }
        let run = import_run(args, file, &options, screen)?;
        screen.say(&format!("now: fissure check {0}, fissure sql {0}", run.path().display()));
    }
    Ok(Exit::Valid)
}

/// A file that cannot be understood is the caller's; a disk that refuses is the machine's.
fn import_failure(error: ImportError) -> Failure {
    match error {
        ImportError::File(error @ Error::Io { .. }) => Failure::cannot_run(error),
        error @ ImportError::Mistakes { .. } => {
            Failure::usage(error).help("`--lenient` leaves out what is wrong; `--from FORMAT` insists on a format")
        }
        error => Failure::usage(error),
    }
}

/// Imports one file as a run.
fn import_run(args: &ImportArgs, file: &Path, options: &ImportOptions, screen: &Screen) -> Result<RunDir, Failure> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_else(|| "imported".to_owned());
    if !file.exists() {
        return Err(Failure::usage(anyhow::anyhow!("there is no {}", file.display())));
    }
    let target = format!("imported from {}", file.display());
    let manifest = Manifest { scenario: name, target, ..Manifest::default() };
    let (run, sealed, report) =
        kept_history::keep(&args.store, manifest, |writer| import_to(file, options, writer).map_err(import_failure))?;
    say_notes(&report.notes, &report.skipped, screen);
    screen.data(&format!("{}: {} operations\n", run.path().display(), sealed.counts.ops));
    Ok(run)
}
