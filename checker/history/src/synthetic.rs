//! Writes synthetic histories: a [`Stream`] into a [`HistoryWriter`].
//!
//! Invariant: memory does not grow with the history. Operations go in whole, which is the quickest way, as long as few
//! are in flight at a time; where something planted holds an operation open for long, events go in and are paired by
//! the writer, which puts late operations aside.
//!
//! ```
//! use fissure_checker::synthetic::{Spec, Stream};
//! use fissure_history::{HistoryWriter, synthetic};
//! # let dir = tempfile::tempdir()?;
//! let mut writer = HistoryWriter::create(dir.path())?;
//! let stream = Stream::new(&Spec { ops: 500, plants: vec!["G1a".parse()?], ..Spec::default() })?;
//! let expected = synthetic::write(stream, &mut writer, |_| {})?;
//! assert_eq!(writer.finish()?.counts.ops, 500);
//! assert!(expected.invalid.contains(&"read-committed".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::Error;
use crate::journal::{CompleteEvent, Completed, InvokeEvent};
use crate::writer::HistoryWriter;
use fissure_checker::Outcome;
use fissure_checker::synthetic::{Event, EventKind, Expected, Stream};
use std::sync::Arc;

/// Phase of all operations.
pub const PHASE: &str = "synthetic";

/// Operations that may be held until the one before them has ended.
const HELD_MAX: u64 = 1 << 16;

/// Operations between two calls of `progress`.
const PROGRESS_EVERY: u64 = 1 << 16;

/// Writes all of a stream and says what a checker should find. `progress` is told now and then how many operations
/// were written.
///
/// # Errors
/// If the disk refuses.
pub fn write(mut stream: Stream, writer: &mut HistoryWriter, mut progress: impl FnMut(u64)) -> Result<Expected, Error> {
    let phase: Arc<str> = Arc::from(PHASE);
    let mut written = 0;
    let mut count = |written: &mut u64| {
        *written += 1;
        if written.is_multiple_of(PROGRESS_EVERY) {
            progress(*written);
        }
    };
    if stream.longest_in_flight() > HELD_MAX {
        for event in stream.by_ref() {
            if write_event(&event, writer, &phase)? {
                count(&mut written);
            }
        }
        return Ok(stream.expected());
    }
    let mut operations = stream.operations();
    for op in operations.by_ref() {
        writer.op(&op, &phase)?;
        count(&mut written);
    }
    Ok(operations.expected())
}

/// Writes one event; whether it was a completion.
fn write_event(event: &Event, writer: &mut HistoryWriter, phase: &Arc<str>) -> Result<bool, Error> {
    let Event { seq, time_ns: t_ns, op_id, process, call, kind, node } = event;
    let (seq, t_ns, op_id, process) = (*seq, *t_ns, *op_id, *process);
    let EventKind::Complete { outcome, error_code } = kind else {
        let node = node.as_ref();
        writer.invoke(InvokeEvent { op_id, process, node, phase, call, seq, t_ns, conn_cookie: None })?;
        return Ok(false);
    };
    let code = error_code.as_deref().unwrap_or_default();
    let completed = match outcome {
        Outcome::Ok => Completed::Ok(call),
        Outcome::Fail => Completed::Fail { code, text: code },
        Outcome::Info => Completed::Info { code, text: code },
    };
    writer.complete(CompleteEvent { op_id, seq, t_ns, completed, conn_cookie: None })?;
    Ok(true)
}
