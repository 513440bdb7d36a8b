//! `fissure doctor`: what this host can do, by trying it.

use crate::args::DoctorArgs;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use serde_json::json;
use std::fmt::Write as _;

/// One line of the table.
struct Row {
    what: String,
    needed_for: String,
    /// `yes`, `missing` or `could not tell`.
    answer: &'static str,
    detail: String,
}

/// `fissure doctor`.
///
/// # Errors
/// Never for what is missing: that is the answer.
pub(crate) fn doctor(args: &DoctorArgs, screen: &Screen) -> Result<Exit, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    rows.push(Row {
        what: "eBPF programs in this build".to_owned(),
        needed_for: "packet faults".to_owned(),
        answer: if fissure_object::BUILT { "yes" } else { "missing" },
        detail: if fissure_object::BUILT { String::new() } else { "build with `cargo xtask build`".to_owned() },
    });
    for (feature, needed_for, support) in fissure_inject::probe::probe_all() {
        let (answer, detail) = match support {
            fissure_inject::probe::Support::Yes => ("yes", String::new()),
            fissure_inject::probe::Support::No { needs } => ("missing", format!("needs {needs}")),
            fissure_inject::probe::Support::CouldNotTell { error } => ("could not tell", error),
        };
        rows.push(Row { what: feature.name().to_owned(), needed_for: needed_for.to_owned(), answer, detail });
    }
    for fissure_lab::Probe { what, needed_for, support } in fissure_lab::probe() {
        let (answer, detail) = match support {
            fissure_lab::Support::Yes => ("yes", String::new()),
            fissure_lab::Support::No { needs } => ("missing", format!("needs {needs}")),
            fissure_lab::Support::CouldNotTell { error } => ("could not tell", error),
        };
        rows.push(Row { what: what.to_string(), needed_for: needed_for.to_string(), answer, detail });
    }
    let etcd = fissure_targets::EtcdTarget::new(fissure_targets::EtcdOptions::default());
    rows.push(Row {
        what: "etcd".to_owned(),
        needed_for: "scenarios with target = \"etcd\"".to_owned(),
        answer: if etcd.is_ok() { "yes" } else { "missing" },
        detail: etcd.err().map_or_else(String::new, |error| error.to_string()),
    });
    screen.data(&if args.json { as_json(&rows) } else { as_table(&rows) });
    Ok(Exit::Valid)
}

fn as_json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| json!({"what": row.what, "needed_for": row.needed_for, "answer": row.answer, "detail": row.detail}))
        .collect();
    format!("{:#}\n", json!({"schema_version": 1, "features": rows}))
}

fn as_table(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str, head: &str| {
        rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).max(head.len())
    };
    let (what, needed) = (width(|row| &row.what, "feature"), width(|row| &row.needed_for, "needed for"));
    let mut text = format!("{:what$}  {:needed$}  {:14}  fix\n", "feature", "needed for", "this host");
    for row in rows {
        let line = format!("{:what$}  {:needed$}  {:14}  {}", row.what, row.needed_for, row.answer, row.detail);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let missing = rows.iter().filter(|row| row.answer != "yes").count();
    let summary = match missing {
        0 => "everything that this version can do works here".to_owned(),
        1 => "1 thing is missing or could not be told; the rest works here".to_owned(),
        _ => format!("{missing} things are missing or could not be told; the rest works here"),
    };
    let _ = writeln!(text, "\n{summary}");
    text
}
