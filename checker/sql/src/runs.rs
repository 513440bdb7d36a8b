//! The runs of a session: the table `runs`, the columns that say which run a row is of, and what is to be said of them.

use crate::run::Run;
use arrow::array::{ArrayRef, Int64Builder, ListBuilder, RecordBatch, StringArray, StringBuilder, UInt64Array};
use arrow::array::{BooleanArray, UInt64Builder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use fissure_history::Manifest;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Columns that say which run a row is of, where a session has many.
pub(crate) const RUN_COLUMNS: [&str; 3] = ["run", "scenario", "seed"];

/// The runs of a session, and what is to be said of them.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) all: Vec<Run>,
    /// Whether tables carry the run columns.
    pub(crate) many: bool,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    said: Vec<String>,
    /// How many of them were taken by [`Runs::new_notes`].
    taken: usize,
}

impl Runs {
    pub(crate) fn new(all: Vec<Run>, many: bool, notes: Vec<String>) -> Self {
        Self { all, many, notes: Mutex::new(Notes { said: notes, taken: 0 }) }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Notes> {
        // Notes are only pushed: they are whole also after a panic.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, note: String) {
        let mut notes = self.locked();
        if !notes.said.contains(&note) {
            notes.said.push(note);
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.locked().said.clone()
    }

    /// The notes that came since the last call.
    pub(crate) fn new_notes(&self) -> Vec<String> {
        let mut notes = self.locked();
        let new = notes.said[notes.taken..].to_vec();
        notes.taken = notes.said.len();
        new
    }

    /// Leaves a run out from now on, with a note.
    pub(crate) fn leave_out(&self, run: usize, why: &str) {
        let run = &self.all[run];
        if !run.left_out.swap(true, Ordering::Relaxed) {
            self.note(format!("{} is left out: {why}", run.name));
        }
    }

    /// The run columns, if the tables carry them.
    pub(crate) fn columns(&self) -> Vec<FieldRef> {
        if self.many { run_fields().into_iter().map(Arc::new).collect() } else { Vec::new() }
    }

    /// The run columns of every run.
    pub(crate) fn keys(&self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.all.iter().map(|run| run.name.as_str()))),
            Arc::new(StringArray::from_iter_values(self.all.iter().map(Run::scenario))),
            Arc::new(UInt64Array::from_iter_values(self.all.iter().map(Run::seed))),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(run_fields().to_vec())), columns)
    }

    /// Which runs take part still.
    pub(crate) fn present(&self) -> BooleanArray {
        self.all.iter().map(|run| Some(!run.left_out.load(Ordering::Relaxed))).collect()
    }

    /// The table `runs`.
    pub(crate) fn table(&self) -> Result<RecordBatch, ArrowError> {
        let runs = &self.all;
        let of = |value: fn(&Manifest) -> String| -> ArrayRef {
            Arc::new(runs.iter().map(|run| run.manifest.as_ref().map(value)).collect::<StringArray>())
        };
        let text = |value: fn(&Manifest) -> Option<String>| -> ArrayRef {
            Arc::new(runs.iter().map(|run| run.manifest.as_ref().and_then(value)).collect::<StringArray>())
        };
        let number = |value: fn(&Manifest) -> Option<i64>| -> ArrayRef {
            let mut builder = Int64Builder::new();
            runs.iter().for_each(|run| builder.append_option(run.manifest.as_ref().and_then(value)));
            Arc::new(builder.finish())
        };
        let list = |values: fn(&Manifest) -> Vec<String>| -> ArrayRef {
            let mut builder = ListBuilder::new(StringBuilder::new()).with_field(item());
            for run in runs {
                run.manifest.iter().flat_map(values).for_each(|value| builder.values().append_value(value));
                builder.append(run.manifest.is_some());
            }
            Arc::new(builder.finish())
        };
        let mut seeds = UInt64Builder::new();
        runs.iter().for_each(|run| seeds.append_option(run.manifest.as_ref().map(|manifest| manifest.seed)));
        let name = StringArray::from_iter_values(runs.iter().map(|run| run.name.as_str()));
        let path = StringArray::from_iter_values(runs.iter().map(|run| run.path.as_str()));
        let columns = vec![
            Arc::new(name) as ArrayRef,
            of(|m| m.scenario.clone()),
            Arc::new(seeds.finish()),
            of(|m| m.state.name().to_owned()),
            text(|m| m.verdict.clone()),
            of(|m| m.started.clone()),
            number(|m| m.duration_ns),
            number(|m| (m.started_ns > 0).then_some(m.started_ns)),
            number(|m| (m.started_wall_ns > 0).then_some(m.started_wall_ns)),
            of(|m| m.workload.clone()),
            of(|m| m.target.clone()),
            text(|m| m.target_version.clone()),
            list(|m| m.nodes.clone()),
            number(|m| count(m.counts.ops)),
            number(|m| count(m.counts.ok)),
            number(|m| count(m.counts.fail)),
            number(|m| count(m.counts.info)),
            number(|m| count(m.counts.faults)),
            number(|m| count(m.counts.injections)),
            number(|m| count(m.counts.events_lost)),
            list(|m| m.reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.text)).collect()),
            number(|m| m.exit_code.map(i64::from)),
            of(|m| m.kernel.clone()),
            of(|m| m.fissure_version.clone()),
            number(|m| Some(i64::from(m.schema_version))),
            Arc::new(path),
        ];
        RecordBatch::try_new(runs_schema(), columns)
    }
}

fn count(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

fn item() -> Field {
    Field::new("item", DataType::Utf8, false)
}

fn run_fields() -> [Field; 3] {
    let [run, scenario, seed] = RUN_COLUMNS;
    [
        Field::new(run, DataType::Utf8, false),
        Field::new(scenario, DataType::Utf8, false),
        Field::new(seed, DataType::UInt64, false),
    ]
}

/// The columns of the table `runs`.
pub(crate) fn runs_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let list = |name: &str| Field::new(name, DataType::List(Arc::new(item())), true);
    Arc::new(Schema::new(vec![
        Field::new("run", DataType::Utf8, false),
        text("scenario"),
        Field::new("seed", DataType::UInt64, true),
        text("state"),
        text("verdict"),
        text("started"),
        number("duration_ns"),
        number("started_ns"),
        number("started_wall_ns"),
        text("workload"),
        text("target"),
        text("target_version"),
        list("nodes"),
        number("ops"),
        number("ok"),
        number("fail"),
        number("info"),
        number("faults"),
        number("injections"),
        number("events_lost"),
        list("reasons"),
        number("exit_code"),
        text("kernel"),
        text("fissure_version"),
        number("schema_version"),
        Field::new("path", DataType::Utf8, false),
    ]))
}
