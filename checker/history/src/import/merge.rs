//! From events to operations: pairing, processes that were retired, times, and what is said about all of it.
//!
//! Events are taken in the order of the source. A client's event gets the next number of the total order; the nemesis
//! gets none, so that a history is numbered the same with and without it. Memory is bounded by the operations in
//! flight and the number of processes.

use super::event::{Character, EventCall, Function, Kind, Mistake, Process, RawEvent, RawValue};
use super::nemesis::Nemesis;
use super::shape::Shape;
use crate::calls::FlatMop;
use crate::error::Error;
use fissure_checker::{Call, Mop, Names, Outcome};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first number that is given to a process that has none, or none any more.
const FRESH_FIRST: i64 = 1_000_000_000;

/// An operation begins.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Number of the operation in order of invocation.
    pub(crate) op: u64,
    pub(crate) seq: u64,
    pub(crate) t_ns: i64,
    pub(crate) process: i64,
    pub(crate) node: Option<Arc<str>>,
    pub(crate) call: EventCall,
}

/// An operation ends.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    /// Number that its invocation had.
    pub(crate) op: u64,
    pub(crate) seq: u64,
    pub(crate) t_ns: i64,
    pub(crate) outcome: Outcome,
    /// The call with what it was told; `None`: nothing is known but what was asked.
    pub(crate) call: Option<EventCall>,
    pub(crate) error_code: Option<Arc<str>>,
    pub(crate) error_text: Option<Arc<str>>,
}

/// Where operations go.
pub(crate) trait Sink {
    /// Says before everything else what the format says about the history.
    fn begin(&mut self, character: &Character) {
        let _ = character;
    }

    fn invoke(&mut self, invocation: Invocation) -> Result<(), Error>;
    fn complete(&mut self, completion: Completion) -> Result<(), Error>;
}

/// An operation in flight.
struct Open {
    op: u64,
    f: Option<Function>,
    /// What was asked, where completions must be told apart by it.
    call: Option<EventCall>,
}

/// A process of the file.
#[derive(Default)]
struct Client {
    /// Its number in the history.
    number: i64,
    open: Option<Open>,
    /// An `info` retired the number.
    retired: bool,
    went_on: bool,
}

/// Takes events and gives operations.
pub(crate) struct Merge<'a> {
    shape: Shape,
    pub(crate) names: Names,
    sink: &'a mut dyn Sink,
    pub(crate) nemesis: Nemesis,
    numbered: FxHashMap<i64, Client>,
    named: FxHashMap<Arc<str>, Client>,
    /// Processes for events that name none.
    nameless: Vec<Client>,
    given: FxHashSet<i64>,
    fresh: i64,
    seq: u64,
    ops: u64,
    counts: [u64; 3],
    /// Whether the first event had a time, and the time of the last.
    timed: Option<bool>,
    first_ns: Option<i64>,
    last_ns: i64,
    untimed: u64,
    went_on: u64,
    not_understood: BTreeMap<Arc<str>, u64>,
    lists: bool,
    registers: bool,
}

/// How many operations there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) ops: u64,
    pub(crate) ok: u64,
    pub(crate) fail: u64,
    pub(crate) info: u64,
}

/// Why an event is not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    Mistake(Mistake),
    File(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::File(error)
    }
}

fn refuse<T>(event: &RawEvent, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Mistake(Mistake { offset: event.offset, detail: detail.into() }))
}

impl<'a> Merge<'a> {
    pub(crate) fn new(shape: Shape, sink: &'a mut dyn Sink) -> Self {
        Self {
            shape,
            names: Names::default(),
            sink,
            nemesis: Nemesis::default(),
            numbered: FxHashMap::default(),
            named: FxHashMap::default(),
            nameless: Vec::new(),
            given: FxHashSet::default(),
            fresh: FRESH_FIRST,
            seq: 0,
            ops: 0,
            counts: [0; 3],
            timed: None,
            first_ns: None,
            last_ns: 0,
            untimed: 0,
            went_on: 0,
            not_understood: BTreeMap::new(),
            lists: false,
            registers: false,
        }
    }

    /// Says before everything else what the format says about the history.
    pub(crate) fn begin(&mut self, character: &Character) {
        self.sink.begin(character);
    }

    /// Begins with a write of `value` to each of `keys`, by a process that is in no file. `names`: of a pass before.
    pub(crate) fn begin_with(
        &mut self,
        keys: &[i64],
        value: i64,
        process: i64,
        t_ns: i64,
        names: Names,
    ) -> Result<(), Error> {
        super::sink::with_initial(self.sink, keys, value, process, t_ns)?;
        self.given.insert(process);
        self.names = names;
        (self.ops, self.seq) = (keys.len() as u64, keys.len() as u64 * 2);
        self.counts[Outcome::Ok as usize] = keys.len() as u64;
        Ok(())
    }

    /// A process number below all that were given.
    pub(crate) fn process_before(&self) -> i64 {
        self.given.iter().min().map_or(0, |least| least.saturating_sub(1)).min(-1)
    }

    /// The time of the first event.
    pub(crate) fn first_ns(&self) -> i64 {
        self.first_ns.unwrap_or(0)
    }

    /// Takes the next event.
    pub(crate) fn event(&mut self, mut event: RawEvent, mismatch: bool) -> Result<(), Refused> {
        if event.process == Process::Nemesis {
            self.nemesis.event(event, self.last_ns);
            return Ok(());
        }
        if event.kind == Kind::Invoke {
            return self.invoke(event);
        }
        let nameless = if event.process == Process::Missing { Some(self.oldest_like(&event)?) } else { None };
        let client = match (&event.process, nameless) {
            (_, Some(place)) => self.nameless.get_mut(place),
            (Process::Number(number), _) => self.numbered.get_mut(number),
            (Process::Named(name), _) => self.named.get_mut(name),
            _ => None,
        };
        let Some(client) = client.filter(|client| client.open.is_some()) else {
            return refuse(&event, format!("{} completes an operation that it did not invoke", who(&event.process)));
        };
        if let (Some(found), Some(Open { f: Some(asked), .. })) = (&event.f, &client.open)
            && found != asked
        {
            let (found, asked) = (found.name(), asked.name());
            let detail = format!("found the end of `{found}`, but {} invoked `{asked}`", who(&event.process));
            return refuse(&event, detail);
        }
        let outcome = match event.kind {
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Invoke | Kind::Info => Outcome::Info,
        };
        let open = client.open.take();
        client.retired = outcome == Outcome::Info;
        let Some(open) = open else { return Ok(()) };
        let f = event.f.take().or(open.f);
        let f = f.as_ref().map(Function::name);
        if event.error_code.is_none() && mismatch && outcome == Outcome::Fail && f == Some("cas") {
            event.error_code = Some(Arc::from("cas-mismatch"));
        }
        let t_ns = self.time(&event);
        let call = match outcome {
            Outcome::Ok => Some(event.value.into_call(f, true, &self.shape, &mut self.names)),
            Outcome::Fail | Outcome::Info => None,
        };
        if outcome == Outcome::Ok {
            (event.error_code, event.error_text) = (None, None);
        }
        self.counts[outcome as usize] += 1;
        let (seq, op) = (self.next_seq(), open.op);
        let (error_code, error_text) = (event.error_code, event.error_text);
        let completion = Completion { op, seq, t_ns, outcome, call, error_code, error_text };
        self.sink.complete(completion).map_err(Refused::File)
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq - 1
    }

    /// The time of an event; where there are none, its place in the order.
    fn time(&mut self, event: &RawEvent) -> i64 {
        let timed = *self.timed.get_or_insert(event.time_ns.is_some());
        self.last_ns = match event.time_ns {
            Some(t_ns) if timed => t_ns,
            _ if timed => {
                self.untimed += 1;
                self.last_ns
            }
            _ => self.seq.cast_signed(),
        };
        self.first_ns.get_or_insert(self.last_ns);
        self.last_ns
    }

    fn invoke(&mut self, mut event: RawEvent) -> Result<(), Refused> {
        let f = event.f.take();
        let name = f.as_ref().map(Function::name);
        let value = std::mem::replace(&mut event.value, RawValue::Edn(super::edn::Edn::Nil));
        let call = value.into_call(name, false, &self.shape, &mut self.names);
        self.check_family(&event, &call)?;
        let nameless = (event.process == Process::Missing).then(|| call.clone());
        let fresh = (&mut self.given, &mut self.fresh);
        let client = match &event.process {
            Process::Number(number) => {
                self.numbered.entry(*number).or_insert_with(|| Client::new(Some(*number), fresh.0, fresh.1))
            }
            Process::Named(name) => {
                self.named.entry(name.clone()).or_insert_with(|| Client::new(None, fresh.0, fresh.1))
            }
            Process::Missing | Process::Nemesis => {
                let free = self.nameless.iter().position(|client| client.open.is_none());
                let place = free.unwrap_or_else(|| {
                    let wish = Some(self.nameless.len() as i64);
                    self.nameless.push(Client::new(wish, fresh.0, fresh.1));
                    self.nameless.len() - 1
                });
                &mut self.nameless[place]
            }
        };
        if client.open.is_some() {
            return refuse(&event, format!("{} invokes an operation while another is open", who(&event.process)));
        }
        if client.retired {
            self.went_on += u64::from(!client.went_on);
            (client.retired, client.went_on) = (false, true);
            client.number = fresh_number(&mut self.given, &mut self.fresh);
        }
        client.open = Some(Open { op: self.ops, f, call: nameless });
        let process = client.number;
        let t_ns = self.time(&event);
        if let EventCall::Call(Call::Other(other)) = &call {
            *self.not_understood.entry(other.f.clone()).or_default() += 1;
        }
        let invocation = Invocation { op: self.ops, seq: self.next_seq(), t_ns, process, node: event.node, call };
        self.ops += 1;
        self.sink.invoke(invocation).map_err(Refused::File)
    }

    /// Lists and registers in one file cannot be understood: it is open which of them a read of nil read.
    fn check_family(&mut self, event: &RawEvent, call: &EventCall) -> Result<(), Refused> {
        let list_of = |mop: &Mop| match mop {
            Mop::Append { .. } => Some(true),
            Mop::Write { .. } => Some(false),
            _ => None,
        };
        let list_of_flat = |mop: &FlatMop| match mop {
            FlatMop::Append { .. } => Some(true),
            FlatMop::Write { .. } => Some(false),
            FlatMop::Read { .. } | FlatMop::ReadList { .. } => None,
        };
        match call {
            EventCall::Call(Call::Txn(mops)) => self.check_families(event, mops.iter().filter_map(list_of)),
            EventCall::Txn(txn) => self.check_families(event, txn.mops().iter().filter_map(list_of_flat)),
            EventCall::Call(_) => Ok(()),
        }
    }

    /// For each write of a transaction, whether it is one to a list.
    fn check_families(&mut self, event: &RawEvent, writes: impl Iterator<Item = bool>) -> Result<(), Refused> {
        for is_list in writes {
            self.lists |= is_list;
            self.registers |= !is_list;
            if self.lists && self.registers {
                // The family that came first goes on.
                self.lists = !is_list;
                self.registers = is_list;
                let detail = "found transactions over lists and over registers in one file, expected either: \
                              check them apart";
                return refuse(event, detail);
            }
        }
        Ok(())
    }

    /// The open operation to which a completion without a process belongs: the oldest with the same request, or else
    /// with the same function.
    fn oldest_like(&mut self, event: &RawEvent) -> Result<usize, Refused> {
        let f = event.f.as_ref().map(Function::name);
        let asked = event.value.clone().into_call(f, false, &self.shape, &mut self.names);
        let same_f = |open: &Open| event.f.is_none() || open.f.is_none() || open.f == event.f;
        let mut found: Option<(bool, u64, usize)> = None;
        for (place, client) in self.nameless.iter().enumerate() {
            let Some(open) = client.open.as_ref().filter(|open| same_f(open)) else { continue };
            let candidate = (open.call.as_ref() != Some(&asked), open.op, place);
            if found.is_none_or(|best| candidate < best) {
                found = Some(candidate);
            }
        }
        match found {
            Some((_, _, place)) => Ok(place),
            None => refuse(event, "this completes an operation that was not invoked"),
        }
    }

    /// How many operations there are by now.
    pub(crate) fn counts(&self) -> Counts {
        let [ok, fail, info] = self.counts;
        let open = self.ops - ok - fail - info;
        Counts { events: self.seq, ops: self.ops, ok, fail, info: info + open }
    }

    /// What a person should know about how the events were understood.
    pub(crate) fn notes(&self, character: &Character) -> Vec<String> {
        let mut notes = character.notes.clone();
        let mut note = |count: u64, text: &str| {
            if count > 0 {
                notes.push(text.replacen("{}", &count.to_string(), 1));
            }
        };
        let [ok, fail, info] = self.counts;
        note(self.nemesis.events(), "{} events of the nemesis became rows of faults");
        note(character.other_lines, "{} lines that are no events were left out");
        note(self.ops - ok - fail - info, "{} operations never completed: info");
        note(self.went_on, "{} processes went on after an info, and were given new numbers");
        note(self.named.len() as u64, "{} processes have names, and were given numbers");
        let nameless = "there are no processes: completions were taken to end the oldest operation like them";
        note(self.nameless.len().min(1) as u64, nameless);
        note(self.untimed, "{} events have no time, and were given that of the event before them");
        if self.timed == Some(false) {
            notes.push("there are no times: events have their place in the order instead".to_owned());
        }
        if character.failed_cas_is_mismatch {
            notes.push("a failed cas is taken to say that the register held another value".to_owned());
        }
        for (f, count) in &self.not_understood {
            notes.push(format!("{count} operations `{f}` are kept as text: no checker understands them"));
        }
        notes
    }
}

/// A process in words.
fn who(process: &Process) -> String {
    match process {
        Process::Number(number) => format!("process {number}"),
        Process::Named(name) => format!("process {name}"),
        Process::Nemesis => "the nemesis".to_owned(),
        Process::Missing => "this".to_owned(),
    }
}

fn fresh_number(given: &mut FxHashSet<i64>, fresh: &mut i64) -> i64 {
    loop {
        let number = *fresh;
        *fresh = fresh.wrapping_add(1);
        if given.insert(number) {
            return number;
        }
    }
}

impl Client {
    /// A client with the number it wishes, if nobody has it.
    fn new(wish: Option<i64>, given: &mut FxHashSet<i64>, fresh: &mut i64) -> Self {
        let number = wish.filter(|wish| given.insert(*wish)).unwrap_or_else(|| fresh_number(given, fresh));
        Self { number, ..Self::default() }
    }
}
