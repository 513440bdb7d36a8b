//! The carry: operations and connections that are still open at a checkpoint, as journals of their own.

use super::events::{EventBuffer, EventHead, EventReader};
use super::frames::{FrameReader, FrameWriter};
use super::packed;
use crate::calls::CallRef;
use crate::columns::{Interner, TableRow};
use crate::error::Error;
use crate::pairing::{Pairing, PairingState};
use crate::schema::Table;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Path of the carry of a table.
pub(crate) fn path(journal: &Path, table: Table, number: u32) -> PathBuf {
    journal.join(format!("carry-{}-{number:05}.arrows", table.name()))
}

/// Writes the open operations of a pairing as invocations, and gives the rest of its state.
pub(crate) fn write_ops(path: &Path, pairing: &Pairing) -> Result<PairingState, Error> {
    let mut state = pairing.state();
    let mut buffer = EventBuffer::default();
    state.open.clear();
    for (op_id, row) in pairing.open_ops() {
        let op = &row.op;
        let head = EventHead { op_id, seq: op.invoke_seq, t_ns: op.invoke_ns, conn_cookie: op.conn_cookie };
        buffer.push_invoke(head, op.process, op.node.as_ref(), &row.phase, CallRef::Call(&op.call));
        state.open.push(op.op_id);
    }
    let mut frames = FrameWriter::create(path, &packed::schema())?;
    frames.append(&packed::pack(&buffer.into_batch(path)?, path)?)?;
    frames.finish()?;
    Ok(state)
}

/// Reads what [`write_ops`] wrote.
pub(crate) fn read_ops(path: &Path, state: &PairingState, pairing: &mut Pairing) -> Result<(), Error> {
    let mut reader = open(path)?;
    let (shared, mut names): (Arc<Path>, _) = (Arc::from(path), Interner::default());
    let mut open = Vec::new();
    let mut numbers = state.open.iter();
    while let Some((first_row, batch)) = reader.next_batch()? {
        let events = EventReader::new(packed::unpack(&batch, path)?, &shared, first_row)?;
        for row in 0..events.len() {
            let Some(number) = numbers.next() else { return Err(wrong_length(path, state.open.len())) };
            open.push((events.op_id.value(row).cast_unsigned(), events.invoked(row, *number, &mut names)?));
        }
    }
    if numbers.next().is_some() {
        return Err(wrong_length(path, state.open.len()));
    }
    pairing.restore(state, open);
    Ok(())
}

fn wrong_length(path: &Path, expected: usize) -> Error {
    let detail = format!("its rows are not the {expected} of the checkpoint");
    Error::Corrupt { path: path.to_owned(), place: "its rows".to_owned(), detail }
}

/// A carry was closed before a checkpoint mentioned it.
fn open(path: &Path) -> Result<FrameReader, Error> {
    let reader = FrameReader::open(path)?;
    if reader.finished {
        return Ok(reader);
    }
    let detail = "it was not closed, but the checkpoint mentions it".to_owned();
    Err(Error::Corrupt { path: path.to_owned(), place: "its end or that of its .sums".to_owned(), detail })
}

/// Writes rows of another table.
pub(crate) fn write_rows<R: TableRow>(path: &Path, rows: &[R]) -> Result<(), Error> {
    let mut frames = FrameWriter::create(path, &R::TABLE.schema())?;
    frames.append(&R::to_batch(rows, path)?)?;
    frames.finish()
}

/// Reads what [`write_rows`] wrote.
pub(crate) fn read_rows<R: TableRow>(path: &Path) -> Result<Vec<R>, Error> {
    let mut reader = open(path)?;
    let mut rows = Vec::new();
    while let Some((first_row, batch)) = reader.next_batch()? {
        rows.extend(R::from_batch(&batch, path, first_row)?);
    }
    Ok(rows)
}
