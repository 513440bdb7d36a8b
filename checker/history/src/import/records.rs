//! From a value to an event: the maps of Jepsen, Knossos and Elle, and the lines of Jepsen's old text log.

use super::edn::Edn;
use super::event::{Function, Kind, Mistake, Process, RawEvent, RawValue, problem};
use super::reader::{Form, Notation, Reader};
use std::sync::Arc;

/// What a value of the top level is.
fn mistake<T>(offset: u64, detail: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake { offset, detail: detail.into() })
}

/// At most this many characters of a value are shown in an error.
const SHOWN_MAX: usize = 80;

/// A value as an error shows it.
pub(crate) fn shown(value: &Edn) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// The event that a value of the top level is.
pub(crate) fn event_of(offset: u64, value: Edn) -> Result<RawEvent, Mistake> {
    match value {
        Edn::Map(pairs) => event_of_map(offset, pairs),
        Edn::Tagged(_, inner) if matches!(*inner, Edn::Map(_)) => event_of(offset, *inner),
        other => {
            let detail = format!("found {}, expected an operation such as {{:type :invoke …}}", shown(&other));
            mistake(offset, detail)
        }
    }
}

fn event_of_map(offset: u64, pairs: Vec<(Edn, Edn)>) -> Result<RawEvent, Mistake> {
    let (mut kind, mut process, mut f, mut value) = (None, Process::Missing, None, Edn::Nil);
    let (mut time_ns, mut node, mut error) = (None, None, None);
    for (key, item) in pairs {
        match key.name().unwrap_or_default() {
            "type" => kind = Some(kind_of(offset, &item)?),
            "process" => process = process_of(&item),
            "f" => f = function_of(&item),
            "value" => value = item,
            "time" => time_ns = if let Edn::Int(time) = item { Some(time) } else { None },
            "node" => node = item.name().map(Arc::from),
            "error" if item != Edn::Nil => error = Some(item),
            _ => {}
        }
    }
    let Some(kind) = kind else {
        return mistake(offset, "this operation has no type, expected invoke, ok, fail or info");
    };
    let (error_code, error_text) = error.as_ref().map_or((None, None), problem);
    Ok(RawEvent { offset, kind, process, f, value: RawValue::Edn(value), time_ns, node, error_code, error_text })
}

/// A process: a number, the nemesis, or a client by its name.
pub(crate) fn process_of(item: &Edn) -> Process {
    match item.untagged() {
        Edn::Int(process) => Process::Number(*process),
        Edn::Nil => Process::Missing,
        other => match other.name() {
            Some("nemesis") => Process::Nemesis,
            Some(name) => Process::Named(Arc::from(name)),
            None => Process::Named(Arc::from(other.canonical())),
        },
    }
}

/// A function: a name; anything else is taken as its text.
pub(crate) fn function_of(item: &Edn) -> Option<Function> {
    match item.untagged() {
        Edn::Nil => None,
        other => Some(other.name().map_or_else(|| Function::new(&other.canonical()), Function::new)),
    }
}

pub(crate) fn kind_of(offset: u64, item: &Edn) -> Result<Kind, Mistake> {
    match item.name().and_then(Kind::from_name) {
        Some(kind) => Ok(kind),
        None => mistake(offset, format!("found the type {}, expected invoke, ok, fail or info", shown(item))),
    }
}

/// What the lines of events in Jepsen's old text log have in them.
const LOG_MARK: &[u8] = b"jepsen.util - ";

/// The event of a line `INFO  jepsen.util - <process> <:type> <:f> <value>`; `None`: this line is no event.
pub(crate) fn event_of_log_line(offset: u64, line: &[u8]) -> Result<Option<RawEvent>, Mistake> {
    let Some(mark) = line.windows(LOG_MARK.len()).position(|window| window == LOG_MARK) else { return Ok(None) };
    let base = mark + LOG_MARK.len();
    let place = offset + base as u64;
    let mut reader = Reader::new(&line[base..], Notation::Edn);
    let mut fields = Vec::with_capacity(4);
    while fields.len() < 4 {
        match reader.next() {
            Ok(Form::Value(value)) => fields.push(value),
            Ok(Form::End) => break,
            Ok(Form::Close(found)) => {
                return mistake(place, format!("found `{}`, expected a value", char::from(found)));
            }
            Err(error) => return mistake(place + error.offset as u64, error.detail),
        }
    }
    let mut fields = fields.into_iter();
    let (Some(process), Some(kind), Some(f)) = (fields.next(), fields.next(), fields.next()) else {
        return mistake(place, "this line ends early, expected a process, a type, a function and a value");
    };
    let kind = kind_of(place, &kind)?;
    let value = fields.next().unwrap_or(Edn::Nil);
    let failed = matches!(kind, Kind::Fail | Kind::Info) && matches!(value, Edn::Keyword(_));
    let (error_code, error_text) = if failed { problem(&value) } else { (None, None) };
    Ok(Some(RawEvent {
        offset,
        kind,
        process: process_of(&process),
        f: function_of(&f),
        value: RawValue::Edn(value),
        time_ns: None,
        node: None,
        error_code,
        error_text,
    }))
}
