//! The text of Plume, AWDIT and PolySI: one read or write of a register a line, `w(key,value,session,transaction)`.
//!
//! The format has sessions and transactions, unsigned keys and values, and 0 for what every key holds at the start; it
//! has no time, no unknown outcome and no lists. What follows from that:
//! * processes are sessions; operations on a single register are transactions;
//! * keys below 0 and values below 1 shift all keys or values up; keys and values that are no integers are numbered from
//!   2^63 on;
//! * writes of a `fail` are aborted. An `info` counts as committed, with its writes, if an `ok` transaction read one of
//!   them, else it is left out: it need not have happened;
//! * an append is a write, and a read of a list a read of its last element: what the list reveals of the order is lost.
//!
//! Other calls cannot be expressed, which is an error.

use super::{ExportError, ExportFormat, ExportReport, Source};
use fissure_checker::{Call, Mop, Names, Operation, Outcome};
use rustc_hash::FxHashSet;
use std::io::Write;

/// The first number for keys and values that are no integers.
const NAMES_FROM: i128 = 1 << 63;

/// A read or write of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write(i64, i64),
    /// `None`: the key was never written.
    Read(i64, Option<i64>),
}

/// Writes a history. Memory: the writes of `info` transactions.
pub(super) fn write(source: &dyn Source, out: &mut dyn Write) -> Result<ExportReport, ExportError> {
    let survey = Survey::new(source)?;
    let names = source.names();
    let mut report = ExportReport::default();
    for op in source.operations()? {
        let op = op?;
        let committed = survey.is_committed(&op)?;
        if op.outcome == Outcome::Info && !committed {
            report.left_out += 1;
            continue;
        }
        report.operations += 1;
        let transaction = if committed { i128::from(op.op_id) + 1 } else { -1 };
        let session = i128::from(op.process) + survey.process_shift;
        for access in accesses(&op)? {
            let (kind, key, value) = match access {
                Access::Read(..) if op.outcome != Outcome::Ok => continue,
                Access::Read(key, value) => ('r', key, value.map_or(0, |value| survey.value(value, names))),
                Access::Write(key, value) => ('w', key, survey.value(value, names)),
            };
            writeln!(out, "{kind}({},{value},{session},{transaction})", survey.key(key, names))?;
            report.lines += 1;
        }
    }
    report.notes = survey.notes(report.left_out);
    Ok(report)
}

/// What an operation does to registers, with what it was told.
fn accesses(op: &Operation) -> Result<Vec<Access>, ExportError> {
    let refused = |what: &str| ExportError::NotExpressible {
        op_id: op.op_id,
        format: ExportFormat::Plume,
        detail: format!("it has transactions over registers, and this is {what}"),
    };
    let mut accesses = Vec::new();
    match &op.call {
        Call::Read { key, value } => accesses.extend(value.map(|value| Access::Read(*key, value))),
        Call::Write { key, value } => accesses.push(Access::Write(*key, *value)),
        Call::Cas { key, expected, value } => {
            accesses.extend([Access::Read(*key, Some(*expected)), Access::Write(*key, *value)]);
        }
        Call::Txn(mops) => {
            for mop in mops {
                match mop {
                    Mop::Append { key, value } | Mop::Write { key, value } => {
                        accesses.push(Access::Write(*key, *value))
                    }
                    Mop::Read { key, value } => accesses.extend(value.map(|value| Access::Read(*key, value))),
                    Mop::ReadList { key, list } => {
                        accesses.extend(list.as_ref().map(|list| Access::Read(*key, list.last().copied())));
                    }
                    Mop::Send { .. } | Mop::Poll { .. } => return Err(refused("one over logs")),
                    Mop::Insert { .. } | Mop::Delete { .. } | Mop::ReadPredicate { .. } => {
                        return Err(refused("one over predicates"));
                    }
                }
            }
        }
        other => return Err(refused(&format!("a call `{}`", other.f()))),
    }
    Ok(accesses)
}

/// What must be known of the whole history.
#[derive(Debug, Default)]
struct Survey {
    key_shift: i128,
    value_shift: i128,
    process_shift: i128,
    has_lists: bool,
    has_names: bool,
    unsaid: u64,
    failed_cas: u64,
    /// Writes of `info` transactions that an `ok` one saw.
    seen: FxHashSet<(i64, i64)>,
}

impl Survey {
    fn new(source: &dyn Source) -> Result<Self, ExportError> {
        let mut survey = Self::default();
        let (mut least_key, mut least_value, mut least_process) = (0, 1, 0);
        let mut unsure: FxHashSet<(i64, i64)> = FxHashSet::default();
        let is_int = |number: i64| source.names().text(number).is_none();
        for op in source.operations()? {
            let op = op?;
            least_process = op.process.min(least_process);
            survey.count(&op);
            for access in accesses(&op)? {
                let (key, value) = match access {
                    Access::Write(key, value) => (key, Some(value)),
                    Access::Read(key, value) => (key, value),
                };
                for number in std::iter::once(key).chain(value) {
                    survey.has_names |= !is_int(number);
                }
                least_key = if is_int(key) { key.min(least_key) } else { least_key };
                least_value = value.filter(|value| is_int(*value)).map_or(least_value, |value| value.min(least_value));
                if let (Access::Write(key, value), Outcome::Info) = (access, op.outcome) {
                    unsure.insert((key, value));
                }
            }
        }
        survey.key_shift = -i128::from(least_key);
        survey.value_shift = 1 - i128::from(least_value);
        survey.process_shift = -i128::from(least_process);
        if !unsure.is_empty() {
            survey.look_for(&unsure, source)?;
        }
        Ok(survey)
    }

    fn count(&mut self, op: &Operation) {
        self.failed_cas += u64::from(op.outcome == Outcome::Fail && matches!(op.call, Call::Cas { .. }));
        let ok = op.outcome == Outcome::Ok;
        let mops = if let Call::Txn(mops) = &op.call { mops.as_slice() } else { &[] };
        for mop in mops {
            self.has_lists |= matches!(mop, Mop::Append { .. } | Mop::ReadList { .. });
            let unsaid = matches!(mop, Mop::Read { value: None, .. } | Mop::ReadList { list: None, .. });
            self.unsaid += u64::from(ok && unsaid);
        }
        self.unsaid += u64::from(ok && matches!(op.call, Call::Read { value: None, .. }));
    }

    /// Which of the writes an `ok` operation saw.
    fn look_for(&mut self, unsure: &FxHashSet<(i64, i64)>, source: &dyn Source) -> Result<(), ExportError> {
        for op in source.operations()? {
            let op = op?;
            if op.outcome != Outcome::Ok {
                continue;
            }
            let mut see = |key, value| {
                if unsure.contains(&(key, value)) {
                    self.seen.insert((key, value));
                }
            };
            if let Call::Txn(mops) = &op.call {
                // An element counts wherever it stands in a list.
                for mop in mops {
                    if let Mop::ReadList { key, list: Some(list) } = mop {
                        list.iter().for_each(|value| see(*key, *value));
                    }
                }
            }
            for access in accesses(&op)? {
                if let Access::Read(key, Some(value)) = access {
                    see(key, value);
                }
            }
        }
        Ok(())
    }

    fn is_committed(&self, op: &Operation) -> Result<bool, ExportError> {
        Ok(match op.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info if self.seen.is_empty() => false,
            Outcome::Info => accesses(op)?.iter().any(|access| match access {
                Access::Write(key, value) => self.seen.contains(&(*key, *value)),
                Access::Read(..) => false,
            }),
        })
    }

    fn key(&self, key: i64, names: &Names) -> i128 {
        numbered(key, names).unwrap_or(i128::from(key) + self.key_shift)
    }

    fn value(&self, value: i64, names: &Names) -> i128 {
        numbered(value, names).unwrap_or(i128::from(value) + self.value_shift)
    }

    fn notes(&self, left_out: u64) -> Vec<String> {
        let mut notes = vec!["only the order within each process is written, not the order in real time".to_owned()];
        let mut note = |say: bool, text: String| notes.extend(say.then_some(text));
        note(self.has_lists, "lists are written as registers: what they reveal of the order is lost".to_owned());
        note(self.key_shift > 0, format!("{} was added to every key: there are none below 0", self.key_shift));
        note(
            self.value_shift > 0,
            format!("{} was added to every value: 0 stands for the initial state", self.value_shift),
        );
        note(self.process_shift > 0, format!("{} was added to every process", self.process_shift));
        note(self.has_names, format!("keys and values that are no integers are numbered from {NAMES_FROM} on"));
        note(left_out > 0, format!("{left_out} operations of unknown outcome were left out: nobody saw their writes"));
        note(
            !self.seen.is_empty(),
            "operations of unknown outcome whose writes were seen count as committed".to_owned(),
        );
        note(self.unsaid > 0, format!("{} ok reads that do not say what they saw were left out", self.unsaid));
        note(
            self.failed_cas > 0,
            format!("{} failed cas are written as aborted: that they saw another value is lost", self.failed_cas),
        );
        notes
    }
}

/// The number of a key or value that is no integer.
fn numbered(number: i64, names: &Names) -> Option<i128> {
    names.text(number)?;
    Some(NAMES_FROM + (i128::from(number) - i128::from(fissure_checker::names::NAMES_FIRST)))
}
