//! From a function and its value to a call.
//!
//! Nothing is refused here: what is not understood becomes [`Call::Other`], with its value as EDN text.

use super::NilReads;
use super::edn::Edn;
use super::shape::{ReadsOf, Shape, mops_of};
use fissure_checker::{Call, LogRecord, Mop, Names, OtherCall};
use std::sync::Arc;

/// The integer that stands for a value.
pub(crate) fn number(value: &Edn, names: &mut Names) -> i64 {
    match value {
        Edn::Int(value) => names.number_of_int(*value),
        other => names.number(&other.canonical()),
    }
}

fn numbers(items: &[Edn], names: &mut Names) -> Vec<i64> {
    items.iter().map(|item| number(item, names)).collect()
}

/// The call of a function on a value. What reads saw is taken only if it was `told`.
pub(crate) fn call(f: Option<&str>, value: &Edn, told: bool, shape: &Shape, names: &mut Names) -> Call {
    let plain = value.untagged();
    let understood = if mops_of(plain).is_some() {
        txn(plain, told, shape, names)
    } else if let (Some("init"), Edn::Map(pairs)) = (f, plain) {
        init(pairs, names)
    } else if matches!((f, plain), (Some("txn"), Edn::Seq(parts)) if parts.is_empty()) {
        Some(Call::Txn(Vec::new()))
    } else {
        single(f.unwrap_or_default(), plain, told, shape, names)
    };
    understood.unwrap_or_else(|| other(f.unwrap_or_default(), value))
}

fn other(f: &str, value: &Edn) -> Call {
    let value = (*value != Edn::Nil).then(|| Arc::from(value.to_string()));
    Call::Other(Box::new(OtherCall { f: Arc::from(f), value }))
}

/// The key and the rest of a single-object value.
fn keyed<'a>(value: &'a Edn, shape: &Shape, names: &mut Names) -> Option<(i64, &'a Edn)> {
    match value {
        Edn::Entry(pair) => Some((number(&pair.0, names), pair.1.untagged())),
        Edn::Seq(parts) if shape.independent => match parts.as_slice() {
            [key, value] => Some((number(key, names), value.untagged())),
            _ => None,
        },
        Edn::Nil => Some((0, value)),
        _ if shape.independent => None,
        other => Some((0, other)),
    }
}

fn single(f: &str, value: &Edn, told: bool, shape: &Shape, names: &mut Names) -> Option<Call> {
    match f {
        "transfer" => return transfer(value, names),
        "subscribe" => return value.items().map(|keys| Call::Subscribe { keys: numbers(keys, names) }),
        "assign" => return value.items().map(|keys| Call::Assign { keys: numbers(keys, names) }),
        "append" => return append(value, names),
        _ if !is_single(f) => return None,
        _ => {}
    }
    let (key, value) = keyed(value, shape, names)?;
    if f == "read" {
        return read(key, value, told, shape, names);
    }
    // What a call asks for, where it cannot be nil.
    let mut given = || (*value != Edn::Nil).then(|| number(value, names));
    Some(match f {
        "write" => Call::Write { key, value: scalar(value, names)? },
        "cas" => match value {
            Edn::Seq(parts) if parts.len() == 2 => {
                Call::Cas { key, expected: scalar(&parts[0], names)?, value: scalar(&parts[1], names)? }
            }
            _ => return None,
        },
        "add" => Call::Add { key, value: given()? },
        "enqueue" => Call::Enqueue { key, value: given()? },
        "push" => Call::Push { key, value: given()? },
        "dequeue" => Call::Dequeue { key, value: told.then(given) },
        "pop" => Call::Pop { key, value: told.then(given) },
        "generate" => Call::Generate { key, value: if told { given() } else { None } },
        "acquire" => Call::Acquire { key, value: given() },
        "release" => Call::Release { key, value: given() },
        "drain" => match value {
            Edn::Seq(items) | Edn::Set(items) => Call::Drain { key, elements: told.then(|| numbers(items, names)) },
            Edn::Nil => Call::Drain { key, elements: None },
            _ => return None,
        },
        _ => return None,
    })
}

fn is_single(f: &str) -> bool {
    matches!(
        f,
        "read"
            | "write"
            | "cas"
            | "add"
            | "enqueue"
            | "push"
            | "dequeue"
            | "pop"
            | "generate"
            | "acquire"
            | "release"
            | "drain"
    )
}

/// A value that a register may hold; nil is none, since a register that was never written holds it.
fn scalar(value: &Edn, names: &mut Names) -> Option<i64> {
    let value = value.untagged();
    (*value != Edn::Nil).then(|| number(value, names))
}

fn read(key: i64, value: &Edn, told: bool, shape: &Shape, names: &mut Names) -> Option<Call> {
    let of = match value {
        Edn::Nil => shape.reads,
        Edn::Map(_) => ReadsOf::Balances,
        Edn::Seq(_) | Edn::Set(_) => ReadsOf::Set,
        _ => ReadsOf::Register,
    };
    let known = told && *value != Edn::Nil;
    Some(match of {
        ReadsOf::Register if known => Call::Read { key, value: Some(Some(number(value, names))) },
        ReadsOf::Register => {
            let never_written = told && shape.nil_reads == NilReads::NeverWritten;
            Call::Read { key, value: never_written.then_some(None) }
        }
        ReadsOf::Set => {
            let elements = value.items().filter(|_| known).map(|items| numbers(items, names));
            Call::ReadSet { key, elements }
        }
        ReadsOf::Balances => {
            let balances = match value {
                Edn::Map(pairs) if known => Some(balances(pairs, names)?),
                _ => None,
            };
            Call::ReadBalances { balances }
        }
    })
}

fn balances(pairs: &[(Edn, Edn)], names: &mut Names) -> Option<Vec<(i64, Option<i64>)>> {
    // What is no number must not be counted as one.
    if !pairs.iter().all(|(_, balance)| matches!(balance, Edn::Int(_) | Edn::Nil)) {
        return None;
    }
    let pair = |(account, balance): &(Edn, Edn)| {
        let balance = if let Edn::Int(balance) = balance { Some(*balance) } else { None };
        (number(account, names), balance)
    };
    Some(pairs.iter().map(pair).collect())
}

fn transfer(value: &Edn, names: &mut Names) -> Option<Call> {
    let Edn::Map(pairs) = value else { return None };
    let field = |name: &str| pairs.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, value)| value);
    let (from, to, amount) = (field("from")?, field("to")?, field("amount")?);
    let Edn::Int(amount) = *amount else { return None };
    Some(Call::Transfer { from: number(from, names), to: number(to, names), amount })
}

/// `[key text]`: what is appended is a name, whatever it looks like.
fn append(value: &Edn, names: &mut Names) -> Option<Call> {
    let (key, text) = match value {
        Edn::Entry(pair) => (&pair.0, &pair.1),
        Edn::Seq(parts) if parts.len() == 2 => (&parts[0], &parts[1]),
        _ => return None,
    };
    let Edn::Str(_) = text else { return None };
    Some(Call::Append { key: number(key, names), value: number(text, names) })
}

fn txn(value: &Edn, told: bool, shape: &Shape, names: &mut Names) -> Option<Call> {
    let mops = mops_of(value)?;
    mops.map(|parts| mop(parts, told, shape, names)).collect::<Option<Vec<_>>>().map(Call::Txn)
}

/// `{key value …}`: what was there from the beginning, as a transaction that inserts it.
fn init(pairs: &[(Edn, Edn)], names: &mut Names) -> Option<Call> {
    let insert = |(key, value): &(Edn, Edn)| {
        Some(Mop::Insert { key: number(key.untagged(), names), value: scalar(value, names)? })
    };
    pairs.iter().map(insert).collect::<Option<Vec<_>>>().map(Call::Txn)
}

fn mop(parts: &[Edn], told: bool, shape: &Shape, names: &mut Names) -> Option<Mop> {
    let value = parts.get(2).map_or(&Edn::Nil, Edn::untagged);
    let f = parts[0].name()?;
    if f == "poll" {
        return poll(parts.get(1).map_or(&Edn::Nil, Edn::untagged), told, names);
    }
    let key = number(parts[1].untagged(), names);
    match (f, value) {
        ("append", value) => Some(Mop::Append { key, value: scalar(value, names)? }),
        ("w", value) => Some(Mop::Write { key, value: scalar(value, names)? }),
        ("insert", value) => Some(Mop::Insert { key, value: scalar(value, names)? }),
        ("delete", _) => Some(Mop::Delete { key }),
        ("r", Edn::Seq(items)) => {
            if items.contains(&Edn::Nil) {
                return None;
            }
            Some(Mop::ReadList { key, list: told.then(|| numbers(items, names)) })
        }
        ("r", Edn::Nil) if shape.lists => Some(Mop::ReadList { key, list: told.then(Vec::new) }),
        ("r", Edn::Nil) => {
            let never_written = told && shape.nil_reads == NilReads::NeverWritten;
            Some(Mop::Read { key, value: never_written.then_some(None) })
        }
        ("r", value) => Some(Mop::Read { key, value: told.then(|| Some(number(value, names))) }),
        ("rp", Edn::Map(pairs)) => {
            let mut matched = Vec::new();
            for (object, value) in pairs {
                matched.push((number(object, names), scalar(value, names)?));
            }
            Some(Mop::ReadPredicate { predicate: key, matched: told.then_some(matched) })
        }
        ("rp", Edn::Nil) => Some(Mop::ReadPredicate { predicate: key, matched: None }),
        ("send", Edn::Seq(sent)) if told && sent.len() == 2 => {
            let offset = match &sent[0] {
                Edn::Int(offset) => Some(*offset),
                Edn::Nil => None,
                _ => return None,
            };
            Some(Mop::Send { key, value: scalar(&sent[1], names)?, offset })
        }
        ("send", value) => Some(Mop::Send { key, value: scalar(value, names)?, offset: None }),
        _ => None,
    }
}

/// `{key [[offset value] …]}`.
fn poll(value: &Edn, told: bool, names: &mut Names) -> Option<Mop> {
    let pairs = match value {
        Edn::Nil => return Some(Mop::Poll { records: None }),
        Edn::Map(pairs) => pairs,
        _ => return None,
    };
    let mut records = Vec::new();
    for (key, seen) in pairs {
        let key = number(key, names);
        for record in seen.items()? {
            let Edn::Seq(parts) = record.untagged() else { return None };
            let [offset, value] = parts.as_slice() else { return None };
            let offset = match offset {
                Edn::Int(offset) => Some(*offset),
                Edn::Nil => None,
                _ => return None,
            };
            records.push(LogRecord { key, offset, value: scalar(value, names) });
        }
    }
    Some(Mop::Poll { records: told.then_some(records) })
}
