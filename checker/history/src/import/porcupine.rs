//! Porcupine's logs of a key-value store: one event a line, in EDN, with the key beside the value.
//!
//! ```text
//! {:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
//! {:process 1, :type :ok, :f :get, :key "9", :value ""}
//! ```
//!
//! `get` is a read, `put` a write, and `append` puts a text behind the one that is there. Every key holds the empty text
//! at the start: a `get` of it read a key that was never written. The order of the lines is that of real time.

use super::bytes::{Bytes, mistake};
use super::edn::Edn;
use super::event::{Character, EventSource, Function, Kind, RawEvent, RawValue, SourceError};
use super::reader::{Form, Notation, Reader};
use super::records::{kind_of, process_of, shown};
use super::values::number;
use fissure_checker::{Call, Names};
use std::io::BufRead;
use std::path::Path;

/// Whether the value is an event of such a log: what tells this format from others in EDN.
pub(super) fn looks_like(value: &Edn) -> bool {
    let Edn::Map(pairs) = value else { return false };
    let field = |name: &str| pairs.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value);
    let f = field("f").and_then(Edn::name);
    field("key").is_some() && matches!(f, Some("get" | "put" | "append"))
}

/// Reads a file.
pub(super) struct Porcupine<R> {
    input: Bytes<R>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Porcupine<R> {
    pub(super) fn new(bytes: R, path: &Path) -> Self {
        Self { input: Bytes::new(bytes, path), buffer: Vec::new() }
    }
}

impl<R: BufRead> EventSource for Porcupine<R> {
    fn next_event(&mut self, names: &mut Names) -> Result<Option<RawEvent>, SourceError> {
        while let Some(start) = self.input.line(&mut self.buffer)? {
            let mut reader = Reader::new(&self.buffer, Notation::Edn);
            match reader.next() {
                Ok(Form::Value(Edn::Map(pairs))) => return event(start, pairs, names).map(Some),
                Ok(Form::Value(other)) => return mistake(start, format!("found {}, expected an event", shown(&other))),
                Ok(Form::Close(found)) => {
                    return mistake(start, format!("found `{}`, expected an event", char::from(found)));
                }
                Ok(Form::End) => {}
                Err(error) => return mistake(start + error.offset as u64, error.detail),
            }
        }
        Ok(None)
    }

    fn character(&self) -> Character {
        Character {
            notes: vec!["a get of the empty text is a read of the initial state".to_owned()],
            ..Character::default()
        }
    }
}

fn event(offset: u64, pairs: Vec<(Edn, Edn)>, names: &mut Names) -> Result<RawEvent, SourceError> {
    let (mut kind, mut process, mut f, mut key, mut value) = (None, None, None, None, Edn::Nil);
    for (name, item) in pairs {
        match name.name().unwrap_or_default() {
            "type" => kind = Some(kind_of(offset, &item).map_err(SourceError::Mistake)?),
            "process" => process = Some(process_of(&item)),
            "f" => f = item.name().map(str::to_owned),
            "key" => key = Some(number(&item, names)),
            "value" => value = item,
            _ => {}
        }
    }
    let (Some(kind), Some(process), Some(key)) = (kind, process, key) else {
        return mistake(offset, "this event lacks its type, its process or its key");
    };
    let told = kind == Kind::Ok;
    let call = match (f.as_deref(), &value) {
        (Some("get"), Edn::Str(text)) if told && text.is_empty() => Call::Read { key, value: Some(None) },
        (Some("get"), Edn::Nil) => Call::Read { key, value: told.then_some(None) },
        (Some("get"), value) => Call::Read { key, value: told.then(|| Some(number(value, names))) },
        (Some("put"), value) => Call::Write { key, value: number(value, names) },
        (Some("append"), value) => Call::Append { key, value: number(value, names) },
        (found, _) => {
            let found = found.unwrap_or("nothing");
            return mistake(offset, format!("found the function `{found}`, expected get, put or append"));
        }
    };
    let f = Some(Function::new(call.f()));
    let value = RawValue::Call(call);
    Ok(RawEvent { offset, kind, process, f, value, time_ns: None, node: None, error_code: None, error_text: None })
}
