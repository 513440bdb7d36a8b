//! A large history, made up: 64 clients of five nodes, twenty thousand operations a second, a fault of ten seconds in every
//! minute, one packet hit for ten operations, half of them on four connections.

use crate::cluster::Operations;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use fissure_history::manifest::Counts;
use fissure_history::writer::HistoryWriter;
use fissure_history::{Manifest, RunState, SCHEMA_VERSION, Table};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 100 * SECOND;
pub(crate) const CLIENTS: u64 = 64;
pub(crate) const STEP_NS: i64 = 50_000;
const FAULT_EVERY: i64 = 60 * SECOND;
const FAULT_LENGTH: i64 = 10 * SECOND;

/// The folder of runs and the run, made unless they are there already.
pub(crate) fn made(dir: &Path, ops: u64) -> (PathBuf, PathBuf) {
    // Another name than the histories had that broke their invariants: they may still be there.
    let store = dir.join(format!("{ops}-valid"));
    let run = store.join("bench").join("2026-11-02T08-00-00Z-s1");
    if run.join("manifest.json").exists() {
        return (store, run);
    }
    let started = Instant::now();
    std::fs::create_dir_all(&run).unwrap();
    write_ops(&run, ops);
    eprintln!("{ops} operations written in {:.1} s", started.elapsed().as_secs_f64());
    let end = invoked_ns(ops);
    let history = run.join("history");
    // The list of checksums knows nothing of the tables below.
    std::fs::remove_file(history.join("checksums.json")).unwrap();
    write_faults(&history, end);
    write_injections(&history, end, ops / 10);
    write_small(&history, end);
    let finding = r#"{"schema_version": 1, "verdict": "invalid", "findings": [{"id": "L-0", "checker": "linearizable-register",
        "anomaly": "nonlinearizable", "summary": "made up", "explanation": [], "key": 4, "ops": [1860, 2005], "cycle": []}]}"#;
    std::fs::write(run.join("results.json"), finding).unwrap();
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        state: RunState::Sealed,
        scenario: "bench".to_owned(),
        seed: 1,
        started: "2026-11-02T08:00:00Z".to_owned(),
        started_ns: START,
        duration_ns: Some(end - START),
        counts: Counts { ops, ok: ops, ..Counts::default() },
        verdict: Some("invalid".to_owned()),
        ..Manifest::default()
    };
    manifest.write(&run).unwrap();
    (store, run)
}

/// Knuth's generator: plain, and the same everywhere.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

pub(crate) fn in_fault(t: i64) -> bool {
    (t - START) % FAULT_EVERY >= FAULT_EVERY - FAULT_LENGTH
}

/// When an operation is invoked.
pub(crate) fn invoked_ns(op_id: u64) -> i64 {
    START + op_id as i64 * STEP_NS
}

pub(crate) fn node(client: u64) -> u64 {
    1 + client % 5
}

fn write_ops(run: &Path, ops: u64) {
    let mut writer = HistoryWriter::create(run).unwrap();
    let phase: Arc<str> = Arc::from("faults");
    for op in Operations::new(ops) {
        writer.op(&op, &phase).unwrap();
    }
    writer.finish().unwrap();
}

fn writer(history: &Path, table: Table) -> ArrowWriter<File> {
    let dir = history.join(table.name());
    std::fs::create_dir_all(&dir).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_max_row_group_row_count(Some(256 * 1024))
        .build();
    let file = File::create(dir.join("part-00000.parquet")).unwrap();
    ArrowWriter::try_new(file, table.schema(), Some(properties)).unwrap()
}

fn ints(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn write(history: &Path, table: Table, columns: Vec<ArrayRef>) {
    let mut writer = writer(history, table);
    writer.write(&RecordBatch::try_new(table.schema(), columns).unwrap()).unwrap();
    writer.close().unwrap();
}

fn write_faults(history: &Path, end: i64) {
    let starts: Vec<i64> =
        (0..).map(|at| START + (at + 1) * FAULT_EVERY - FAULT_LENGTH).take_while(|start| *start < end).collect();
    // A history shorter than the first fault has one at its beginning, so that no question is about nothing.
    let starts = if starts.is_empty() { vec![START] } else { starts };
    let kinds = ["partition", "drop", "pause"];
    let kind = |at: usize| kinds[at % 3].to_owned();
    let count = starts.len();
    let nodes = arrow::array::ListArray::new(
        Arc::new(arrow::datatypes::Field::new("item", arrow::datatypes::DataType::Utf8, false)),
        arrow::buffer::OffsetBuffer::from_lengths(vec![1; count]),
        texts((0..count).map(|at| format!("n{}", 1 + at % 5))),
        None,
    );
    let columns: Vec<ArrayRef> = vec![
        ints(0..count as i64),
        texts((0..count).map(|at| format!("{}-{at}", kind(at)))),
        texts((0..count).map(kind)),
        texts((0..count).map(|at| format!("{} of n{}", kind(at), 1 + at % 5))),
        Arc::new(nodes),
        ints((0..count).map(|at| if at % 3 == 2 { 0 } else { 4 })),
        ints(starts.iter().copied()),
        ints(starts.iter().map(|start| start + FAULT_LENGTH)),
        Arc::new((0..count).map(|at| (at % 3 != 2).then_some(1)).collect::<Int64Array>()),
        texts((0..count).map(|_| "applied".to_owned())),
        arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8, count),
    ];
    write(history, Table::Faults, columns);
}

fn write_injections(history: &Path, end: i64, count: u64) {
    let mut writer = writer(history, Table::Injections);
    let mut draw = Draw(2);
    // Spread over the time in which faults are in force, in order.
    let windows = ((end - START) / FAULT_EVERY).max(1);
    let per_window = (count as i64 / windows).max(1);
    for window in 0..windows {
        let from = if end - START < FAULT_EVERY { START } else { START + (window + 1) * FAULT_EVERY - FAULT_LENGTH };
        let length = FAULT_LENGTH.min(end - from);
        let rows: Vec<(i64, u64)> = (0..per_window)
            .map(|at| {
                let client = if draw.below(2) == 0 { draw.below(4) } else { draw.below(CLIENTS) };
                (from + at * length / per_window, client)
            })
            .collect();
        let all = || rows.iter();
        let service = |client: u64| format!("10.0.0.{}", node(client));
        let columns: Vec<ArrayRef> = vec![
            ints(all().map(|(t, _)| *t)),
            texts(all().map(|(_, client)| format!("n{}", node(*client)))),
            ints(all().map(|_| 0)),
            ints((0..per_window).map(|at| window * per_window + at)),
            ints(all().map(|_| window)),
            ints(all().map(|_| 7)),
            ints(all().map(|_| 1)),
            texts(all().map(|_| "drop".to_owned())),
            texts(all().map(|_| "10.0.0.9".to_owned())),
            texts(all().map(|(_, client)| service(*client))),
            ints(all().map(|(_, client)| 40_000 + *client as i64)),
            ints(all().map(|_| 2379)),
            texts(all().map(|_| "c1".to_owned())),
            texts(all().map(|(_, client)| format!("n{}", node(*client)))),
            texts(all().map(|_| "tcp".to_owned())),
            ints(all().map(|_| 24)),
            ints(all().map(|(t, _)| t / 1_000 % (1 << 32))),
            ints(all().map(|(t, _)| 60 + t / 1_000 % 200)),
            texts(all().map(|_| "request".to_owned())),
            ints(all().map(|_| 1)),
            ints(0..per_window),
        ];
        writer.write(&RecordBatch::try_new(Table::Injections.schema(), columns).unwrap()).unwrap();
    }
    writer.close().unwrap();
}

fn write_small(history: &Path, end: i64) {
    let clients = || 0..CLIENTS;
    let columns: Vec<ArrayRef> = vec![
        ints(clients().map(|client| 5_000 + client as i64)),
        ints(clients().map(|client| client as i64)),
        texts(clients().map(|client| format!("n{}", node(client)))),
        texts(clients().map(|_| "client".to_owned())),
        texts(clients().map(|_| "10.0.0.9".to_owned())),
        texts(clients().map(|client| format!("10.0.0.{}", node(client)))),
        ints(clients().map(|client| 40_000 + client as i64)),
        ints(clients().map(|_| 2379)),
        ints(clients().map(|_| START)),
        ints(clients().map(|_| end)),
    ];
    write(history, Table::Connections, columns);
    let leaders: Vec<i64> = (0..).map(|at| START + at * 50 * SECOND).take_while(|t| *t < end).collect();
    let columns: Vec<ArrayRef> = vec![
        ints(leaders.iter().copied()),
        texts((0..leaders.len()).map(|at| format!("n{}", 1 + at % 5))),
        texts(leaders.iter().map(|_| "primary".to_owned())),
        arrow::array::new_null_array(&arrow::datatypes::DataType::Utf8, leaders.len()),
    ];
    write(history, Table::Nodes, columns);
}
