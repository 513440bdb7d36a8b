//! From events to a history: pairing, values, names.

use super::edn::{Edn, SyntaxError};
use super::events::{Kind, MopKind, RawEvent, RawEvents, RawMop, RawValue};
use super::{ImportOptions, Imported, NilReads};
use fissure_checker::{Call, History, HistoryError, Mop, Operation, Outcome};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

fn error<T>(offset: usize, detail: impl Into<String>) -> Result<T, SyntaxError> {
    Err(SyntaxError { offset, detail: detail.into() })
}

/// Keys or values in the order in which they came first. While a file is read, a key is its place in this list: which
/// integers are free for names is known only at the end.
#[derive(Default)]
struct Atoms {
    places: FxHashMap<String, i64>,
    ints: FxHashMap<i64, i64>,
    atoms: Vec<Atom>,
}

enum Atom {
    Int(i64),
    Name(String),
}

impl Atoms {
    fn place(&mut self, value: &Edn) -> i64 {
        let next = self.atoms.len() as i64;
        if let Edn::Int(value) = value.untagged() {
            return *self.ints.entry(*value).or_insert_with(|| {
                self.atoms.push(Atom::Int(*value));
                next
            });
        }
        // A keyword, a string and a symbol of the same name are the same: JSON has only strings.
        let name = value.name().map_or_else(|| value.to_string(), str::to_owned);
        *self.places.entry(name).or_insert_with_key(|name| {
            self.atoms.push(Atom::Name(name.clone()));
            next
        })
    }

    /// The integer for each place, and the names of those that were none: the lowest that are free.
    fn finish(self) -> (Vec<i64>, BTreeMap<i64, String>) {
        let mut free = (0..).filter(|candidate| !self.ints.contains_key(candidate));
        let mut names = BTreeMap::new();
        let integers = self.atoms.into_iter().map(|atom| match atom {
            Atom::Int(value) => value,
            Atom::Name(name) => {
                // There are fewer names than integers.
                let value = free.next().unwrap_or(i64::MAX);
                names.insert(value, name);
                value
            }
        });
        (integers.collect(), names)
    }
}

/// What must be known of the whole file before a single value can be understood.
#[derive(Clone, Copy)]
struct Shape {
    /// Register operations have tuples `[key value]`.
    independent: bool,
    /// `r` reads a list.
    lists: bool,
    nil_reads: NilReads,
}

fn shape(events: &[RawEvent], options: &ImportOptions) -> Result<Shape, SyntaxError> {
    let (mut lists, mut registers, mut tuples) = (None, None, false);
    for event in events {
        match &event.value {
            RawValue::Txn(mops) => {
                for mop in mops {
                    let is_list = matches!(mop.value.untagged(), Edn::Seq(_));
                    match mop.kind {
                        MopKind::Append => lists = lists.or(Some(event.offset)),
                        MopKind::Write => registers = registers.or(Some(event.offset)),
                        MopKind::Read if is_list => lists = lists.or(Some(event.offset)),
                        MopKind::Read if mop.value != Edn::Nil => registers = registers.or(Some(event.offset)),
                        MopKind::Read => {}
                    }
                }
            }
            RawValue::Other(Edn::Seq(parts)) => {
                let read = event.kind == Kind::Invoke && event.f.as_deref() == Some("read");
                tuples |= read && parts.len() == 2;
            }
            RawValue::Other(_) => {}
        }
    }
    if let (Some(lists), Some(registers)) = (lists, registers) {
        let detail = "transactions over lists and over registers are mixed in this file; check them apart";
        return error(lists.max(registers), detail);
    }
    let independent = options.independent.unwrap_or(tuples);
    Ok(Shape { independent, lists: registers.is_none(), nil_reads: options.nil_reads })
}

struct Converter {
    shape: Shape,
    keys: Atoms,
    values: Atoms,
}

impl Converter {
    /// The call of an event. What reads saw is taken only if it `told`.
    fn call(&mut self, event: &RawEvent, f: Option<&str>, told: bool) -> Result<Call, SyntaxError> {
        let value = match &event.value {
            RawValue::Txn(mops) => {
                return mops.iter().map(|mop| self.mop(event, mop, told)).collect::<Result<_, _>>().map(Call::Txn);
            }
            RawValue::Other(value) => value.untagged(),
        };
        match f {
            Some("txn") if matches!(value, Edn::Seq(parts) if parts.is_empty()) => Ok(Call::Txn(Vec::new())),
            Some("txn") | None => {
                let detail = format!(
                    "{value} is not a transaction: expected micro-operations [:append k v], [:r k v] or [:w k v]"
                );
                error(event.offset, detail)
            }
            Some(f @ ("read" | "write" | "cas")) => self.register(event, f, value, told),
            Some(other) => error(
                event.offset,
                format!("the function `{other}` is not understood: expected read, write, cas or txn"),
            ),
        }
    }

    fn register(&mut self, event: &RawEvent, f: &str, value: &Edn, told: bool) -> Result<Call, SyntaxError> {
        let (key, value) = match (self.shape.independent, value) {
            (false, value) => (self.keys.place(&Edn::Int(0)), value),
            (true, Edn::Seq(parts)) if parts.len() == 2 => (self.keys.place(&parts[0]), parts[1].untagged()),
            (true, other) => return error(event.offset, format!("{other} is not a tuple [key value]")),
        };
        match (f, value) {
            ("read", Edn::Nil) => {
                let known = told && self.shape.nil_reads == NilReads::NeverWritten;
                Ok(Call::Read { key, value: known.then_some(None) })
            }
            ("read" | "write", Edn::Seq(_) | Edn::Set(_) | Edn::Map(_)) => {
                let detail = format!("{value} is not the value of a register: expected a number or a name");
                error(event.offset, detail)
            }
            ("read", value) => Ok(Call::Read { key, value: told.then(|| Some(self.values.place(value))) }),
            ("write", Edn::Nil) => error(event.offset, "a write of nil is not understood"),
            ("write", value) => Ok(Call::Write { key, value: self.values.place(value) }),
            (_, Edn::Seq(parts)) if parts.len() == 2 => {
                let (expected, value) = (self.values.place(&parts[0]), self.values.place(&parts[1]));
                Ok(Call::Cas { key, expected, value })
            }
            (_, other) => error(event.offset, format!("{other} is not the value of a cas: expected [expected new]")),
        }
    }

    fn mop(&mut self, event: &RawEvent, mop: &RawMop, told: bool) -> Result<Mop, SyntaxError> {
        let key = self.keys.place(&mop.key);
        let value = mop.value.untagged();
        match (mop.kind, value) {
            (MopKind::Append | MopKind::Write, Edn::Nil | Edn::Seq(_)) => {
                error(event.offset, format!("{value} is not a value that can be written"))
            }
            (MopKind::Append, value) => Ok(Mop::Append { key, value: self.values.place(value) }),
            (MopKind::Write, value) => Ok(Mop::Write { key, value: self.values.place(value) }),
            (MopKind::Read, Edn::Seq(items)) => {
                if items.contains(&Edn::Nil) {
                    return error(event.offset, "nil is not an element of a list");
                }
                let list = told.then(|| items.iter().map(|item| self.values.place(item)).collect());
                Ok(Mop::ReadList { key, list })
            }
            (MopKind::Read, Edn::Nil) if self.shape.lists => Ok(Mop::ReadList { key, list: told.then(Vec::new) }),
            (MopKind::Read, Edn::Nil) => {
                let known = told && self.shape.nil_reads == NilReads::NeverWritten;
                Ok(Mop::Read { key, value: known.then_some(None) })
            }
            (MopKind::Read, value) => Ok(Mop::Read { key, value: told.then(|| Some(self.values.place(value))) }),
        }
    }
}

/// An operation that has not completed: its place in the list, and its function.
struct Open {
    index: usize,
    f: Option<String>,
}

/// Pairs events and understands their values.
pub(super) fn convert(raw: RawEvents, options: &ImportOptions) -> Result<Result<Imported, HistoryError>, SyntaxError> {
    let shape = shape(&raw.events, options)?;
    let mut converter = Converter { shape, keys: Atoms::default(), values: Atoms::default() };
    let mut pairing = Pairing::new(&raw);
    for (seq, event) in raw.events.iter().enumerate() {
        pairing.event(&mut converter, seq as u64, event)?;
    }
    let mut notes = pairing.notes(&raw);
    let mut ops = pairing.ops;
    if shape.independent && options.independent.is_none() {
        notes.push("values of register operations were taken as tuples [key value]".to_owned());
    }
    let (keys, key_names) = converter.keys.finish();
    let (values, value_names) = converter.values.finish();
    ops.iter_mut().for_each(|op| rename(&mut op.call, &keys, &values));
    if let Some(value) = options.initial_value {
        prepend_initial(&mut ops, value);
        notes.push(format!("every register is taken to hold {value} at the start"));
    }
    if shape.nil_reads == NilReads::Unknown {
        notes.push("reads of nil are taken to say nothing".to_owned());
    }
    Ok(History::new(ops).map(|history| Imported { history, key_names, value_names, notes }))
}

struct Pairing {
    ops: Vec<Operation>,
    open: FxHashMap<i64, Open>,
    /// Processes that an `info` retired, under the number they go on with if they do.
    retired: FxHashMap<i64, Option<i64>>,
    next_process: i64,
    reused: FxHashSet<i64>,
    names: FxHashMap<String, Arc<str>>,
    timed: bool,
    failed_cas_is_mismatch: bool,
}

impl Pairing {
    fn new(raw: &RawEvents) -> Self {
        Self {
            ops: Vec::with_capacity(raw.events.len() / 2),
            open: FxHashMap::default(),
            retired: FxHashMap::default(),
            next_process: raw.events.iter().map(|event| event.process).max().unwrap_or(0).saturating_add(1),
            reused: FxHashSet::default(),
            names: FxHashMap::default(),
            timed: raw.events.iter().all(|event| event.time.is_some()),
            failed_cas_is_mismatch: raw.failed_cas_is_mismatch,
        }
    }

    fn shared(&mut self, name: &str) -> Arc<str> {
        self.names.entry(name.to_owned()).or_insert_with(|| Arc::from(name)).clone()
    }

    fn event(&mut self, converter: &mut Converter, seq: u64, event: &RawEvent) -> Result<(), SyntaxError> {
        let t_ns = event.time.filter(|_| self.timed).unwrap_or(seq.cast_signed());
        if event.kind == Kind::Invoke {
            let call = converter.call(event, event.f.as_deref(), false)?;
            return self.invoke(event, call, seq, t_ns);
        }
        let Some(Open { index, f }) = self.open.remove(&event.process) else {
            let detail = format!("process {} completes an operation that it did not invoke", event.process);
            return error(event.offset, detail);
        };
        if event.f.is_some() && f.is_some() && event.f != f {
            let (event_f, f) = (event.f.as_deref().unwrap_or_default(), f.unwrap_or_default());
            let detail = format!("process {} invoked {f}, but this completes {event_f}", event.process);
            return error(event.offset, detail);
        }
        let outcome = match event.kind {
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Invoke | Kind::Info => Outcome::Info,
        };
        if outcome == Outcome::Info {
            self.retired.insert(event.process, None);
        }
        let call = match outcome {
            Outcome::Ok => Some(converter.call(event, event.f.as_deref().or(f.as_deref()), true)?),
            Outcome::Fail | Outcome::Info => None,
        };
        let is_cas = f.as_deref() == Some("cas");
        let (code, text) = self.problem(event, is_cas);
        let op = &mut self.ops[index];
        (op.outcome, op.complete_seq, op.complete_ns) = (outcome, Some(seq), Some(t_ns));
        (op.error_code, op.error_text) = (code, text);
        if let Some(call) = call {
            op.call = call;
        }
        Ok(())
    }

    fn invoke(&mut self, event: &RawEvent, call: Call, seq: u64, t_ns: i64) -> Result<(), SyntaxError> {
        let index = self.ops.len();
        if self.open.insert(event.process, Open { index, f: event.f.clone() }).is_some() {
            let detail = format!("process {} invokes an operation while another is open", event.process);
            return error(event.offset, detail);
        }
        let process = match self.retired.get_mut(&event.process) {
            None => event.process,
            Some(new) => {
                // Each `info` retires the number once more.
                self.reused.insert(event.process);
                *new.get_or_insert_with(|| {
                    self.next_process = self.next_process.saturating_add(1);
                    self.next_process - 1
                })
            }
        };
        let node = event.node.as_deref().map(|node| self.shared(node));
        self.ops.push(Operation {
            op_id: 0,
            process,
            node,
            call,
            invoke_seq: seq,
            complete_seq: None,
            invoke_ns: t_ns,
            complete_ns: None,
            outcome: Outcome::Info,
            error_code: None,
            error_text: None,
            conn_cookie: None,
        });
        Ok(())
    }

    /// Code and text of what went wrong.
    fn problem(&mut self, event: &RawEvent, is_cas: bool) -> (Option<Arc<str>>, Option<Arc<str>>) {
        if event.kind == Kind::Ok {
            return (None, None);
        }
        match &event.error {
            Some(problem) => {
                let code = match problem.untagged() {
                    Edn::Seq(parts) => parts.first().and_then(Edn::name),
                    other => other.name(),
                };
                let code = code.map(str::to_owned).map(|code| self.shared(&code));
                (code, Some(Arc::from(problem.to_string())))
            }
            None if is_cas && event.kind == Kind::Fail && self.failed_cas_is_mismatch => {
                (Some(self.shared("cas-mismatch")), None)
            }
            None => (None, None),
        }
    }

    fn notes(&self, raw: &RawEvents) -> Vec<String> {
        let mut notes = Vec::new();
        if raw.skipped > 0 {
            notes.push(format!("{} events of no client (nemesis, other lines) were left out", raw.skipped));
        }
        if !self.open.is_empty() {
            notes.push(format!("{} operations never completed: info", self.open.len()));
        }
        if !self.reused.is_empty() {
            let count = self.reused.len();
            notes.push(format!("{count} processes went on after an info, and were given new numbers"));
        }
        if !self.timed && !raw.events.is_empty() {
            notes.push("there are no times: events have their place in the order instead".to_owned());
        }
        if self.failed_cas_is_mismatch {
            notes.push("a failed cas is taken to say that the register held another value".to_owned());
        }
        notes
    }
}

/// Puts integers where there were places in the lists of keys and values.
fn rename(call: &mut Call, keys: &[i64], values: &[i64]) {
    // Places come from the lists themselves.
    let integer = |list: &[i64], place: i64| usize::try_from(place).ok().and_then(|place| list.get(place)).copied();
    let key_of = |key: &mut i64| *key = integer(keys, *key).unwrap_or(*key);
    let value_of = |value: &mut i64| *value = integer(values, *value).unwrap_or(*value);
    let seen = |value: &mut Option<Option<i64>>| value.iter_mut().flatten().for_each(value_of);
    match call {
        Call::Read { key, value } => {
            key_of(key);
            seen(value);
        }
        Call::Write { key, value } => {
            key_of(key);
            value_of(value);
        }
        Call::Cas { key, expected, value } => {
            key_of(key);
            value_of(expected);
            value_of(value);
        }
        Call::Txn(mops) => {
            for mop in mops {
                match mop {
                    Mop::Append { key, value } | Mop::Write { key, value } => {
                        key_of(key);
                        value_of(value);
                    }
                    Mop::ReadList { key, list } => {
                        key_of(key);
                        list.iter_mut().flatten().for_each(value_of);
                    }
                    Mop::Read { key, value } => {
                        key_of(key);
                        seen(value);
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A write of the initial value to every register, before everything else.
fn prepend_initial(ops: &mut Vec<Operation>, value: i64) {
    let mut keys: Vec<i64> = ops.iter().filter_map(|op| op.call.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    let shift = keys.len() as u64 * 2;
    for op in ops.iter_mut() {
        op.invoke_seq += shift;
        op.complete_seq = op.complete_seq.map(|seq| seq + shift);
    }
    let process = ops.iter().map(|op| op.process).min().unwrap_or(0).saturating_sub(1).min(-1);
    let start_ns = ops.first().map_or(0, |op| op.invoke_ns);
    ops.extend(keys.into_iter().enumerate().map(|(index, key)| Operation {
        op_id: 0,
        process,
        node: None,
        call: Call::Write { key, value },
        invoke_seq: index as u64 * 2,
        complete_seq: Some(index as u64 * 2 + 1),
        invoke_ns: start_ns,
        complete_ns: Some(start_ns),
        outcome: Outcome::Ok,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    }));
}
