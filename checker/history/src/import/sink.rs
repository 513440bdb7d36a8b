//! Where the operations of an import go: into memory, or to files.

use super::event::{Character, EventCall};
use super::merge::{Completion, Invocation, Sink};
use crate::error::Error;
use crate::journal::events::EventHead;
use crate::journal::{CompleteEvent, Completed};
use crate::writer::HistoryWriter;
use fissure_checker::{Call, Operation, Outcome};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Operations in memory, in order of invocation.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) ops: Vec<Operation>,
}

impl Sink for Memory {
    fn invoke(&mut self, invocation: Invocation) -> Result<(), Error> {
        self.ops.push(Operation {
            op_id: invocation.op,
            process: invocation.process,
            node: invocation.node,
            call: invocation.call.into_call(),
            invoke_seq: invocation.seq,
            complete_seq: None,
            invoke_ns: invocation.t_ns,
            complete_ns: None,
            outcome: Outcome::Info,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        });
        Ok(())
    }

    fn complete(&mut self, completion: Completion) -> Result<(), Error> {
        let place = usize::try_from(completion.op).ok();
        if let Some(op) = place.and_then(|place| self.ops.get_mut(place)) {
            op.outcome = completion.outcome;
            op.complete_seq = Some(completion.seq);
            op.complete_ns = Some(completion.t_ns);
            op.error_code = completion.error_code;
            op.error_text = completion.error_text;
            if let Some(call) = completion.call {
                op.call = call.into_call();
            }
        }
        Ok(())
    }
}

/// Operations in files.
pub(crate) struct Files<'a> {
    writer: &'a mut HistoryWriter,
    phase: Arc<str>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(writer: &'a mut HistoryWriter) -> Self {
        Self { writer, phase: Arc::from("faults") }
    }
}

impl Sink for Files<'_> {
    fn begin(&mut self, character: &Character) {
        self.writer.real_time_order(character.real_time_order);
    }

    fn invoke(&mut self, invocation: Invocation) -> Result<(), Error> {
        let Invocation { op, seq, t_ns, process, node, call } = invocation;
        let head = EventHead { op_id: op, seq, t_ns, conn_cookie: None };
        self.writer.invoke_ref(head, (process, node.as_ref(), &self.phase), call.as_ref())
    }

    fn complete(&mut self, completion: Completion) -> Result<(), Error> {
        let Completion { op, seq, t_ns, .. } = completion;
        let code = completion.error_code.as_deref().unwrap_or_default();
        let text = completion.error_text.as_deref().unwrap_or_default();
        let completed = match (completion.outcome, &completion.call) {
            (Outcome::Ok, Some(call)) => {
                return self.writer.complete_ok(EventHead { op_id: op, seq, t_ns, conn_cookie: None }, call.as_ref());
            }
            (Outcome::Fail, _) => Completed::Fail { code, text },
            (Outcome::Info | Outcome::Ok, _) => Completed::Info { code, text },
        };
        self.writer.complete(CompleteEvent { op_id: op, seq, t_ns, completed, conn_cookie: None })
    }
}

/// The keys of all registers: they get an initial value.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: FxHashSet<i64>,
}

impl Keys {
    pub(crate) fn sorted(self) -> Vec<i64> {
        let mut keys: Vec<i64> = self.keys.into_iter().collect();
        keys.sort_unstable();
        keys
    }
}

impl Sink for Keys {
    fn invoke(&mut self, invocation: Invocation) -> Result<(), Error> {
        let EventCall::Call(call) = invocation.call else { return Ok(()) };
        if let Call::Read { key, .. } | Call::Write { key, .. } | Call::Cas { key, .. } = call {
            self.keys.insert(key);
        }
        Ok(())
    }

    fn complete(&mut self, _: Completion) -> Result<(), Error> {
        Ok(())
    }
}

/// Puts a write of the initial value to every register before everything else.
pub(crate) fn with_initial(
    sink: &mut dyn Sink,
    keys: &[i64],
    value: i64,
    process: i64,
    t_ns: i64,
) -> Result<(), Error> {
    for (index, key) in keys.iter().enumerate() {
        let (op, seq) = (index as u64, index as u64 * 2);
        let call = Call::Write { key: *key, value };
        let call = EventCall::Call(call);
        sink.invoke(Invocation { op, seq, t_ns, process, node: None, call: call.clone() })?;
        let (outcome, call) = (Outcome::Ok, Some(call));
        let (error_code, error_text) = (None, None);
        sink.complete(Completion { op, seq: seq + 1, t_ns, outcome, call, error_code, error_text })?;
    }
    Ok(())
}
