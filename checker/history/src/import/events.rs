//! From text to events: who invoked or completed what, with values still as written.

use super::edn::{Edn, Notation, Reader, SyntaxError};

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// One event of a client.
#[derive(Clone, Debug)]
pub(super) struct RawEvent {
    /// Where it begins in the text.
    pub(super) offset: usize,
    pub(super) kind: Kind,
    pub(super) process: i64,
    pub(super) f: Option<String>,
    pub(super) value: RawValue,
    pub(super) time: Option<i64>,
    pub(super) node: Option<String>,
    pub(super) error: Option<Edn>,
}

/// The value of an event.
#[derive(Clone, Debug)]
pub(super) enum RawValue {
    /// Micro-operations.
    Txn(Vec<RawMop>),
    /// Anything else.
    Other(Edn),
}

/// A micro-operation.
#[derive(Clone, Debug)]
pub(super) struct RawMop {
    pub(super) kind: MopKind,
    pub(super) key: Edn,
    pub(super) value: Edn,
}

/// Kind of a micro-operation as written: `r` may be of a list or of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MopKind {
    Append,
    Write,
    Read,
}

/// The events of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct RawEvents {
    pub(super) events: Vec<RawEvent>,
    /// Events of the nemesis and other processes without a number.
    pub(super) skipped: usize,
    /// Whether a `fail` of a `cas` says that the register did not hold what was expected.
    pub(super) failed_cas_is_mismatch: bool,
}

fn error<T>(offset: usize, detail: impl Into<String>) -> Result<T, SyntaxError> {
    Err(SyntaxError { offset, detail: detail.into() })
}

/// Reads maps, one event each: at the top level, or in one vector or list.
pub(super) fn from_maps(text: &str, notation: Notation) -> Result<RawEvents, SyntaxError> {
    let mut reader = Reader::new(text, notation);
    let mut events = RawEvents::default();
    let close = reader.enter();
    loop {
        let offset = reader.skip_blank();
        let Some(value) = reader.next(close)? else { break };
        match value {
            Edn::Map(pairs) => take_map(&mut events, offset, pairs)?,
            Edn::Tagged(tag, inner) => match *inner {
                Edn::Map(pairs) => take_map(&mut events, offset, pairs)?,
                other => return error(offset, format!("`#{tag} {other}` is not a map: expected an operation")),
            },
            other => {
                return error(
                    offset,
                    format!("`{other}` is not a map: expected an operation such as {{:type :invoke …}}"),
                );
            }
        }
    }
    if close.is_some() {
        let offset = reader.skip_blank();
        if let Some(rest) = reader.next(None)? {
            return error(offset, format!("`{rest}` after the end of the history"));
        }
    }
    Ok(events)
}

fn take_map(events: &mut RawEvents, offset: usize, pairs: Vec<(Edn, Edn)>) -> Result<(), SyntaxError> {
    let (mut kind, mut process, mut f, mut value) = (None, None, None, Edn::Nil);
    let (mut time, mut node, mut problem) = (None, None, None);
    for (key, item) in pairs {
        match key.name().unwrap_or_default() {
            "type" => kind = Some(kind_of(offset, &item)?),
            "process" => process = Some(item),
            "f" => f = item.name().map(str::to_owned),
            "value" => value = item,
            "time" => time = if let Edn::Int(time) = item { Some(time) } else { None },
            "node" => node = item.name().map(str::to_owned),
            "error" if item != Edn::Nil => problem = Some(item),
            _ => {}
        }
    }
    let Some(kind) = kind else { return error(offset, "this operation has no type (invoke, ok, fail or info)") };
    match process {
        Some(Edn::Int(process)) => {
            let value = raw_value(value);
            events.events.push(RawEvent { offset, kind, process, f, value, time, node, error: problem });
        }
        Some(_) => events.skipped += 1,
        None => return error(offset, "this operation has no process"),
    }
    Ok(())
}

fn kind_of(offset: usize, item: &Edn) -> Result<Kind, SyntaxError> {
    match item.name() {
        Some("invoke") => Ok(Kind::Invoke),
        Some("ok") => Ok(Kind::Ok),
        Some("fail") => Ok(Kind::Fail),
        Some("info") => Ok(Kind::Info),
        _ => error(offset, format!("{item} is not a type: expected invoke, ok, fail or info")),
    }
}

/// The value, as micro-operations if it is a sequence of nothing else.
fn raw_value(value: Edn) -> RawValue {
    match value {
        Edn::Seq(items) if !items.is_empty() && items.iter().all(|item| mop_kind(item).is_some()) => {
            RawValue::Txn(items.into_iter().filter_map(raw_mop).collect())
        }
        Edn::Tagged(_, inner) => raw_value(*inner),
        other => RawValue::Other(other),
    }
}

fn mop_kind(item: &Edn) -> Option<MopKind> {
    let Edn::Seq(parts) = item.untagged() else { return None };
    let [f, _, ..] = parts.as_slice() else { return None };
    match f.name()? {
        "append" => Some(MopKind::Append),
        "w" => Some(MopKind::Write),
        "r" => Some(MopKind::Read),
        _ => None,
    }
}

fn raw_mop(item: Edn) -> Option<RawMop> {
    let kind = mop_kind(&item)?;
    let mut item = item;
    while let Edn::Tagged(_, inner) = item {
        item = *inner;
    }
    let Edn::Seq(parts) = item else { return None };
    let mut parts = parts.into_iter().skip(1);
    Some(RawMop { kind, key: parts.next()?, value: parts.next().unwrap_or(Edn::Nil) })
}

/// Reads lines `INFO  jepsen.util - <process> <:type> <:f> <value>`. Other lines are left out.
pub(super) fn from_jepsen_log(text: &str) -> Result<RawEvents, SyntaxError> {
    let mut events = RawEvents { failed_cas_is_mismatch: true, ..RawEvents::default() };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let offset = start;
        start += line.len();
        let Some((_, fields)) = line.split_once("jepsen.util - ") else {
            events.skipped += usize::from(!line.trim().is_empty());
            continue;
        };
        let base = offset + line.len() - fields.len();
        let shift = |problem: SyntaxError| SyntaxError { offset: base + problem.offset, ..problem };
        let mut reader = Reader::new(fields, Notation::Edn);
        let mut field = || reader.next(None).map_err(shift);
        let (process, kind, f, value) = (field()?, field()?, field()?, field()?);
        let (Some(process), Some(kind), Some(f)) = (process, kind, f) else {
            return error(base, "a line of this log must have a process, a type, a function and a value");
        };
        let kind = kind_of(base, &kind)?;
        let Edn::Int(process) = process else {
            events.skipped += 1;
            continue;
        };
        let value = value.unwrap_or(Edn::Nil);
        let certain = matches!(kind, Kind::Invoke | Kind::Ok);
        let problem = (!certain && matches!(value, Edn::Keyword(_))).then(|| value.clone());
        let f = f.name().map(str::to_owned);
        let value = RawValue::Other(value);
        events.events.push(RawEvent { offset, kind, process, f, value, time: None, node: None, error: problem });
    }
    Ok(events)
}
