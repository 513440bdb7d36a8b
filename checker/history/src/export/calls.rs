//! Calls as the values of events.

use super::notation::ValueWriter;
use fissure_checker::{Call, LogRecord, Mop};
use rustc_hash::FxHashSet;

/// The value of an event of this call. What reads saw is written only if it was `told`.
pub(super) fn value(writer: &mut ValueWriter<'_>, call: &Call, told: bool, independent: bool) {
    match call {
        Call::Txn(mops) => return writer.sequence(mops, |writer, one| mop(writer, one, told)),
        // The key of a text is always with it.
        Call::Append { key, value } => return writer.sequence([*key, *value], ValueWriter::number),
        Call::Transfer { from, to, amount } => return transfer(writer, *from, *to, *amount),
        Call::ReadBalances { balances } => {
            return match balances.as_ref().filter(|_| told) {
                Some(balances) => writer.map(balances.iter().copied(), |writer, balance| match balance {
                    Some(balance) => writer.integer(i128::from(balance)),
                    None => writer.nil(),
                }),
                None => writer.nil(),
            };
        }
        Call::Subscribe { keys } | Call::Assign { keys } => {
            return writer.sequence(keys.iter().copied(), ValueWriter::number);
        }
        Call::Other(other) => {
            return match &other.value {
                Some(text) => writer.edn(text),
                None => writer.nil(),
            };
        }
        _ => {}
    }
    match call.key().filter(|_| independent) {
        Some(key) => writer.sequence([true, false], |writer, is_key| match is_key {
            true => writer.number(key),
            false => single(writer, call, told),
        }),
        None => single(writer, call, told),
    }
}

fn transfer(writer: &mut ValueWriter<'_>, from: i64, to: i64, amount: i64) {
    writer.line.push('{');
    writer.field(true, "from", |writer| writer.number(from));
    writer.field(false, "to", |writer| writer.number(to));
    writer.field(false, "amount", |writer| writer.integer(i128::from(amount)));
    writer.line.push('}');
}

/// The value of a call on a single object, without its key.
fn single(writer: &mut ValueWriter<'_>, call: &Call, told: bool) {
    match call {
        Call::Read { value, .. } | Call::Dequeue { value, .. } | Call::Pop { value, .. } => {
            writer.maybe(value.filter(|_| told).flatten());
        }
        Call::Write { value, .. }
        | Call::Add { value, .. }
        | Call::Append { value, .. }
        | Call::Enqueue { value, .. }
        | Call::Push { value, .. } => writer.number(*value),
        Call::Cas { expected, value, .. } => writer.sequence([*expected, *value], ValueWriter::number),
        Call::ReadSet { elements, .. } => match elements.as_ref().filter(|_| told) {
            Some(elements) => set(writer, elements),
            None => writer.nil(),
        },
        Call::Drain { elements, .. } => match elements.as_ref().filter(|_| told) {
            Some(elements) => writer.sequence(elements.iter().copied(), ValueWriter::number),
            None => writer.nil(),
        },
        Call::Generate { value, .. } => writer.maybe(value.filter(|_| told)),
        Call::Acquire { value, .. } | Call::Release { value, .. } => writer.maybe(*value),
        // They have no single object.
        Call::Txn(_)
        | Call::Transfer { .. }
        | Call::ReadBalances { .. }
        | Call::Subscribe { .. }
        | Call::Assign { .. }
        | Call::Other(_) => writer.nil(),
    }
}

/// A set, or a vector if an element stands in it twice: a set of EDN cannot hold it.
fn set(writer: &mut ValueWriter<'_>, elements: &[i64]) {
    let mut seen = FxHashSet::default();
    if elements.iter().all(|element| seen.insert(*element)) {
        writer.set(elements.iter().copied(), ValueWriter::number);
    } else {
        writer.sequence(elements.iter().copied(), ValueWriter::number);
    }
}

/// A part of a micro-operation.
enum Part<'a> {
    Word(&'static str),
    Number(i64),
    Maybe(Option<i64>),
    List(&'a [i64]),
    Map(&'a [(i64, i64)]),
    Sent(i64, i64),
    Records(&'a [LogRecord]),
}

fn mop(writer: &mut ValueWriter<'_>, mop: &Mop, told: bool) {
    use Part::{List, Map, Maybe, Number, Records, Sent, Word};
    let word = Word(match mop {
        Mop::Append { .. } => "append",
        Mop::ReadList { .. } | Mop::Read { .. } => "r",
        Mop::Write { .. } => "w",
        Mop::Send { .. } => "send",
        Mop::Poll { .. } => "poll",
        Mop::Insert { .. } => "insert",
        Mop::Delete { .. } => "delete",
        Mop::ReadPredicate { .. } => "rp",
    });
    let key = mop.key().map(Number);
    let last = match mop {
        Mop::Append { value, .. } | Mop::Write { value, .. } | Mop::Insert { value, .. } => Some(Number(*value)),
        Mop::ReadList { list, .. } => Some(list.as_ref().filter(|_| told).map_or(Maybe(None), |list| List(list))),
        Mop::Read { value, .. } => Some(Maybe(value.filter(|_| told).flatten())),
        Mop::Send { value, offset, .. } => Some(match offset.filter(|_| told) {
            Some(offset) => Sent(offset, *value),
            None => Number(*value),
        }),
        Mop::Poll { records } => records.as_ref().filter(|_| told).map(|records| Records(records)),
        Mop::Delete { .. } => None,
        Mop::ReadPredicate { matched, .. } => {
            Some(matched.as_ref().filter(|_| told).map_or(Maybe(None), |matched| Map(matched)))
        }
    };
    let predicate = if let Mop::ReadPredicate { predicate, .. } = mop { Some(Number(*predicate)) } else { None };
    let parts = std::iter::once(word).chain(key).chain(predicate).chain(last);
    writer.sequence(parts, |writer, part| match part {
        Word(word) => writer.word(word),
        Number(number) => writer.number(number),
        Maybe(number) => writer.maybe(number),
        List(list) => writer.sequence(list.iter().copied(), ValueWriter::number),
        Map(pairs) => writer.map(pairs.iter().copied(), ValueWriter::number),
        Sent(offset, value) => record(writer, Some(offset), Some(value)),
        Records(records) => {
            let of_key = records.chunk_by(|one, next| one.key == next.key);
            writer.map(of_key.map(|records| (records[0].key, records)), |writer, records| {
                writer.sequence(records, |writer, one| record(writer, one.offset, one.value));
            });
        }
    });
}

/// `[offset value]`.
fn record(writer: &mut ValueWriter<'_>, offset: Option<i64>, value: Option<i64>) {
    writer.sequence([true, false], |writer, is_offset| match (is_offset, offset) {
        (false, _) => writer.maybe(value),
        (true, Some(offset)) => writer.integer(i128::from(offset)),
        (true, None) => writer.nil(),
    });
}
