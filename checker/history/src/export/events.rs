//! Events in the total order in which they were recorded, one a line: EDN of Jepsen and JSON of elle-cli.

use super::calls;
use super::faults::{FaultEvent, fault_events};
use super::notation::{Notation, ValueWriter, check_names, parse};
use super::{ExportError, ExportFormat, ExportReport, Source};
use crate::import::edn::Edn;
use crate::import::event::problem;
use crate::rows::FaultRow;
use fissure_checker::{Call, Operation, Outcome};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Write;

/// Writes every event of a history. Memory: the operations in flight.
pub(super) fn write(
    source: &dyn Source,
    faults: &[FaultRow],
    format: ExportFormat,
    independent: bool,
    out: &mut dyn Write,
) -> Result<ExportReport, ExportError> {
    let notation = if format == ExportFormat::Edn { Notation::Edn } else { Notation::Json };
    if notation == Notation::Json {
        check_names(source.names())?;
    }
    let faults = fault_events(faults).into_iter().peekable();
    let writer = ValueWriter::new(notation, source.names());
    let mut lines = Lines {
        writer,
        independent,
        out,
        faults,
        report: ExportReport { independent, ..ExportReport::default() },
        unsaid: 0,
    };
    // What is in flight, by the place of its completion.
    let mut pending: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut open: BTreeMap<u64, Operation> = BTreeMap::new();
    for op in source.operations()? {
        let op = op?;
        while let Some(Reverse(seq)) = pending.peek().copied().filter(|Reverse(seq)| *seq < op.invoke_seq) {
            pending.pop();
            if let Some(done) = open.remove(&seq) {
                lines.completion(&done)?;
            }
        }
        lines.invocation(&op)?;
        if let Some(seq) = op.complete_seq {
            pending.push(Reverse(seq));
            open.insert(seq, op);
        }
    }
    for done in open.into_values() {
        lines.completion(&done)?;
    }
    let mut report = lines.finish()?;
    if !source.has_real_time_order() {
        let note = "only the order within each process is known, which this format cannot say: its order is not that of \
                    real time";
        report.notes.push(note.to_owned());
    }
    Ok(report)
}

/// Writes the lines.
struct Lines<'a, F: Iterator<Item = FaultEvent>> {
    writer: ValueWriter<'a>,
    independent: bool,
    out: &'a mut dyn Write,
    faults: std::iter::Peekable<F>,
    report: ExportReport,
    /// Reads that completed `ok` without saying what they saw.
    unsaid: u64,
}

impl<F: Iterator<Item = FaultEvent>> Lines<'_, F> {
    fn invocation(&mut self, op: &Operation) -> Result<(), ExportError> {
        self.faults_until(op.invoke_ns)?;
        self.report.operations += 1;
        if op.outcome == Outcome::Ok && is_unsaid(&op.call) {
            self.unsaid += 1;
        }
        self.event(op, "invoke", op.invoke_ns, false)
    }

    fn completion(&mut self, op: &Operation) -> Result<(), ExportError> {
        let t_ns = op.complete_ns.unwrap_or(op.invoke_ns);
        self.faults_until(t_ns)?;
        self.event(op, op.outcome.name(), t_ns, true)
    }

    fn event(&mut self, op: &Operation, kind: &str, t_ns: i64, completed: bool) -> Result<(), ExportError> {
        let (independent, told) = (self.independent, completed && op.outcome == Outcome::Ok);
        self.head(t_ns, kind, |writer| writer.integer(i128::from(op.process)), op.call.f());
        let writer = &mut self.writer;
        writer.field(false, "value", |writer| calls::value(writer, &op.call, told, independent));
        if let Some(node) = &op.node {
            writer.field(false, "node", |writer| writer.text(node));
        }
        if completed && (op.error_code.is_some() || op.error_text.is_some()) {
            writer.field(false, "error", |writer| error(writer, op));
        }
        self.end()
    }

    fn head(&mut self, t_ns: i64, kind: &str, process: impl FnOnce(&mut ValueWriter<'_>), f: &str) {
        let index = i128::from(self.report.lines);
        let writer = &mut self.writer;
        writer.line.push('{');
        writer.field(true, "index", |writer| writer.integer(index));
        writer.field(false, "time", |writer| writer.integer(i128::from(t_ns)));
        writer.field(false, "type", |writer| writer.word(kind));
        writer.field(false, "process", process);
        writer.field(false, "f", |writer| writer.word(f));
    }

    fn end(&mut self) -> Result<(), ExportError> {
        self.writer.line.push_str("}\n");
        self.out.write_all(self.writer.line.as_bytes())?;
        self.writer.line.clear();
        self.report.lines += 1;
        Ok(())
    }

    fn faults_until(&mut self, t_ns: i64) -> Result<(), ExportError> {
        while let Some(fault) = self.faults.next_if(|fault| fault.t_ns <= t_ns) {
            self.fault(&fault)?;
        }
        Ok(())
    }

    fn fault(&mut self, fault: &FaultEvent) -> Result<(), ExportError> {
        self.head(fault.t_ns, "info", |writer| writer.word("nemesis"), &fault.f);
        self.writer.field(false, "value", |writer| match &fault.value {
            Some(text) => writer.edn(text),
            None => writer.nil(),
        });
        if let Some(text) = &fault.error_text {
            self.writer.field(false, "error", |writer| writer.text(text));
        }
        self.end()
    }

    fn finish(mut self) -> Result<ExportReport, ExportError> {
        self.faults_until(i64::MAX)?;
        if self.unsaid > 0 {
            let note = format!("{} ok reads do not say what they saw: it is written as nil", self.unsaid);
            self.report.notes.push(note);
        }
        Ok(self.report)
    }
}

/// Whether a call that completed `ok` lacks what it was told.
fn is_unsaid(call: &Call) -> bool {
    matches!(
        call,
        Call::Read { value: None, .. }
            | Call::Dequeue { value: None, .. }
            | Call::Pop { value: None, .. }
            | Call::ReadSet { elements: None, .. }
            | Call::Drain { elements: None, .. }
            | Call::ReadBalances { balances: None }
    )
}

/// The error such that an importer takes code and text for the same, as far as there are words for it.
fn error(writer: &mut ValueWriter<'_>, op: &Operation) {
    let (code, text) = (op.error_code.as_deref(), op.error_text.as_deref());
    let says = |value: &Edn| problem(value) == (op.error_code.clone(), op.error_text.clone());
    match (code, text) {
        (_, Some(text)) if says(&Edn::Str(text.to_owned())) => writer.text(text),
        (_, Some(text)) if parse(text).is_some_and(|value| *value.untagged() != Edn::Nil && says(&value)) => {
            writer.edn(text);
        }
        (Some(code), None) => writer.word(code),
        (Some(code), Some(text)) => writer
            .sequence([true, false], |writer, is_code| if is_code { writer.word(code) } else { writer.text(text) }),
        (None, Some(text)) => writer.text(text),
        (None, None) => writer.nil(),
    }
}
