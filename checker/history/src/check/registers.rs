//! Linearizability of registers, by passes over the keys where the operations do not fit memory: keys are judged one by one
//! anyway, so that each pass reads the operations of some keys only. Transactions beside them are not decoded.

use super::{Memory, Merge, fetch};
use crate::columns::{Columns, Interner, conform};
use crate::error::Error;
use crate::ops_table;
use crate::parquet_file;
use crate::read::{files_in_order, order_is_known, read_history, read_names};
use crate::schema::Table;
use arrow::array::{Array, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fissure_checker::invariants::Invariants;
use fissure_checker::{Call, CheckResult, History, Known, Operation, Reason, Validity, Verdict, linearizable};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that an operation takes while it is judged, with its numbers; measured, and rounded up.
const OP_BYTES: u64 = 256;

/// Keys are dealt out to passes by what they are modulo this, after mixing: few enough to be counted in no memory.
const CLASSES: usize = 1 << 16;

/// Judges the operations on registers of a run, a folder of Parquet files or one file: reads, writes and
/// compare-and-set. Other operations are passed over. What does not fit `memory` is judged in several passes, with the same
/// verdict and the same findings; keys that do not fit it by themselves are not judged, and the answer says so with the reason
/// `MEMORY_SPENT`. What the search for an order takes is bounded by `options`, and comes on top.
///
/// Where `op_id`s are not counted from 0, the history is held whole, whatever the memory.
///
/// # Errors
/// As [`crate::read_history`].
pub fn registers(path: &Path, options: &linearizable::Options, memory: &Memory) -> Result<CheckResult, Error> {
    let files: Vec<Vec<PathBuf>> = files_in_order(path)?;
    let all: Vec<PathBuf> = files.iter().flatten().cloned().collect();
    if !is_numbered(path, &files)? {
        let history = read_history(path)?.history.only(is_register);
        return Ok(linearizable::check_register(&history, options));
    }
    let origin_ns = fetch(&all, &[0])?.first().map_or(0, |op| op.invoke_ns);
    let known = Known { real_time_order: order_is_known(&all)?, origin_ns, names: read_names(path)? };
    let bytes_max = memory.bytes_max.unwrap_or(u64::MAX);
    let plan = Plan::new(&count(&all)?, bytes_max / OP_BYTES);
    let judged = |pass: usize| -> Result<CheckResult, Error> {
        let ops = operations(&all, |key| plan.pass_of[class(key)] == Some(pass))?;
        let history = History::part(ops, known.clone());
        let history = history.map_err(|source| Error::Invariant { path: path.to_owned(), source })?;
        Ok(linearizable::check_register(&history, options))
    };
    if plan.passes == 1 && plan.too_large.is_empty() {
        return judged(0);
    }
    let mut whole = Whole::new(&plan, bytes_max);
    for pass in 0..plan.passes {
        whole.add(judged(pass)?);
    }
    Ok(whole.finish())
}

fn is_register(op: &Operation) -> bool {
    matches!(op.call, Call::Read { .. } | Call::Write { .. } | Call::Cas { .. })
}

/// Checks the invariants of the whole history; whether its `op_id`s are counted from 0.
fn is_numbered(path: &Path, files: &[Vec<PathBuf>]) -> Result<bool, Error> {
    let broken = |source| Error::Invariant { path: path.to_owned(), source };
    let mut invariants = Invariants::default();
    let mut merge = Merge::open(files)?;
    let mut next_id = 0;
    while let Some(run) = merge.next_run()? {
        let batch = merge.batch(&run);
        for row in run.rows.clone() {
            let op = batch.row(row)?;
            if op.op_id != next_id {
                return Ok(false);
            }
            next_id += 1;
            invariants.push(op.op_id, op.process, op.invoke_seq, op.complete_seq, op.outcome).map_err(broken)?;
        }
        merge.advance(&run);
    }
    invariants.finish().map_err(broken)?;
    Ok(true)
}

fn class(key: i64) -> usize {
    // Fibonacci hashing: keys that are multiples of something are spread as well.
    (key.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

/// What is known of the keys of a class.
#[derive(Clone, Copy, Default)]
struct Tally {
    ops: u64,
    /// One of its keys, and whether there are others.
    key: i64,
    has_more: bool,
}

/// Operations by class.
fn count(files: &[PathBuf]) -> Result<Vec<Tally>, Error> {
    let fields = vec![Field::new("f", DataType::Utf8, false), Field::new("key", DataType::Int64, true)];
    let mut tallies = vec![Tally::default(); CLASSES];
    for_each_batch(files, &Arc::new(Schema::new(fields)), |_, _, batch, f, keys| {
        for row in (0..batch.num_rows()).filter(|&row| is_candidate(f, keys, row)) {
            let key = keys.value(row);
            let tally = &mut tallies[class(key)];
            tally.has_more |= tally.ops > 0 && tally.key != key;
            tally.key = key;
            tally.ops += 1;
        }
        Ok(())
    })?;
    Ok(tallies)
}

/// Whether a row may be an operation on a register; reads of sets and of balances are told apart later.
fn is_candidate(f: &StringArray, keys: &Int64Array, row: usize) -> bool {
    keys.is_valid(row) && matches!(f.value(row), "read" | "write" | "cas")
}

/// Calls `each` with the file, the number of the first row, the batch, and its columns `f` and `key`.
fn for_each_batch(
    files: &[PathBuf],
    schema: &SchemaRef,
    mut each: impl FnMut(&Path, u64, &RecordBatch, &StringArray, &Int64Array) -> Result<(), Error>,
) -> Result<(), Error> {
    for file in files {
        for group in parquet_file::row_groups(file, schema)? {
            group.for_each_batch(|first_row, batch| {
                let batch = conform(&batch, schema, file)?;
                let columns = Columns::new(&batch, file, first_row);
                each(file, first_row, &batch, columns.text("f")?, columns.int("key")?)?;
                Ok(true)
            })?;
        }
    }
    Ok(())
}

/// The operations on registers whose key is wanted. Micro-operations are not decoded: registers have none.
fn operations(files: &[PathBuf], wanted: impl Fn(i64) -> bool) -> Result<Vec<Operation>, Error> {
    let schema = Table::Ops.schema();
    let fields: Vec<_> = schema.fields().iter().filter(|field| field.name() != "mops").cloned().collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let (mut ops, mut names) = (Vec::new(), Interner::default());
    for_each_batch(files, &schema, |file, first_row, batch, f, keys| {
        let rows = 0..batch.num_rows();
        let kept: BooleanArray = rows.map(|row| Some(is_candidate(f, keys, row) && wanted(keys.value(row)))).collect();
        let batch = filter_record_batch(batch, &kept).map_err(Error::format(file))?;
        let found = ops_table::from_batch(&batch, file, first_row, &mut names)?;
        ops.extend(found.into_iter().map(|row| row.op).filter(is_register));
        Ok(())
    })?;
    Ok(ops)
}

/// Which classes are judged in which pass.
struct Plan {
    /// By class; `None`: it does not fit memory by itself.
    pass_of: Vec<Option<usize>>,
    passes: usize,
    too_large: Vec<Tally>,
}

impl Plan {
    /// The least number of passes that classes in their order need, if a pass may have so many operations.
    fn new(tallies: &[Tally], ops_max: u64) -> Self {
        let (mut pass_of, mut too_large) = (Vec::with_capacity(tallies.len()), Vec::new());
        let (mut pass, mut ops) = (0, 0);
        for tally in tallies {
            if tally.ops > ops_max {
                too_large.push(*tally);
                pass_of.push(None);
                continue;
            }
            if ops + tally.ops > ops_max {
                (pass, ops) = (pass + 1, 0);
            }
            ops += tally.ops;
            pass_of.push(Some(pass));
        }
        Self { pass_of, passes: pass + 1, too_large }
    }
}

/// The results of the passes, as one.
struct Whole {
    passes: usize,
    result: Option<CheckResult>,
    refused: Vec<Reason>,
}

impl Whole {
    fn new(plan: &Plan, bytes_max: u64) -> Self {
        let refused = plan.too_large.iter().map(|tally| {
            let Tally { ops, key, has_more } = *tally;
            let keys = if has_more { format!("key {key} and others with it") } else { format!("key {key}") };
            let text = format!(
                "{keys}: {ops} operations need about {} MiB, of {} MiB that there are: not judged (--memory allows more)",
                (ops * OP_BYTES) >> 20,
                bytes_max >> 20
            );
            Reason::new("MEMORY_SPENT", text)
        });
        Self { passes: plan.passes, result: None, refused: refused.collect() }
    }

    fn add(&mut self, mut part: CheckResult) {
        // Whether something was judged is a question to the whole.
        let hollow = |reason: &Reason| matches!(reason.code.as_str(), "NOTHING_CHECKED" | "NO_OK_READS");
        part.verdict.reasons.retain(|reason| !hollow(reason));
        if part.verdict.validity == Validity::Unknown && part.verdict.reasons.is_empty() {
            part.verdict = Verdict::valid();
        }
        let Some(whole) = &mut self.result else {
            self.result = Some(part);
            return;
        };
        part.verdict.reasons.retain(|reason| !whole.verdict.reasons.contains(reason));
        whole.verdict = whole.verdict.clone().merge(part.verdict);
        whole.ops_checked += part.ops_checked;
        whole.reads_checked += part.reads_checked;
        whole.partitions += part.partitions;
        whole.anomaly_types.append(&mut part.anomaly_types);
        whole.not.append(&mut part.not);
        whole.also_not.append(&mut part.also_not);
        whole.findings.append(&mut part.findings);
    }

    fn finish(self) -> CheckResult {
        let nothing = || Reason::new("NOTHING_CHECKED", "the history has no operation on a register");
        let mut whole =
            self.result.unwrap_or_else(|| CheckResult::unknown(linearizable::CHECKER, "linearizable", nothing()));
        let refused = self.refused.into_iter().map(Verdict::unknown);
        whole.verdict = refused.fold(whole.verdict, Verdict::merge);
        if whole.verdict.validity == Validity::Valid && whole.ops_checked == 0 {
            whole.verdict = Verdict::unknown(nothing());
        } else if whole.verdict.validity == Validity::Valid && whole.reads_checked == 0 {
            let text = "no operation saw a value: nothing could have gone wrong";
            whole.verdict = Verdict::unknown(Reason::new("NO_OK_READS", text));
        }
        whole.findings.sort_by_key(|finding| finding.key);
        for (number, finding) in whole.findings.iter_mut().enumerate() {
            finding.id = format!("L-{number}");
        }
        let CheckResult { ops_checked, partitions, reads_checked, .. } = &whole;
        let (passes, keys) = (self.passes, if *partitions == 1 { "key" } else { "keys" });
        whole.evidence =
            format!("{ops_checked} operations on {partitions} {keys}, {reads_checked} saw a value, in {passes} passes");
        whole
    }
}
