//! Jepsen's own files: what is written by a writer of our own is the same history as its EDN.

use fissure_checker::{Call, Mop, Outcome};
use fissure_history::import::{Format, ImportOptions, Imported, Place, import_bytes};
use fissure_history::{ImportError, import_file};
use proptest::prelude::*;
use std::path::Path;

#[path = "common/fressian_writer.rs"]
#[allow(dead_code, reason = "each test target uses its own part of it")]
mod fressian_writer;
use fressian_writer::{FressianWriter, JepsenWriter, Op};

/// What a micro-operation appends (`Ok`) or read (`Err`).
type Done = Result<i64, Option<Vec<i64>>>;

/// What an event of these tests has for a value.
#[derive(Clone, Debug)]
enum Value {
    Nil,
    Int(i64),
    /// An independent tuple.
    Entry(i64, Option<i64>),
    /// A transaction: key, and what is appended (`Ok`) or read (`Err`).
    Txn(Vec<(i64, Done)>),
    Keyword(&'static str),
}

impl Value {
    fn write(&self, writer: &mut FressianWriter) {
        let int = |writer: &mut FressianWriter, value: Option<i64>| match value {
            Some(value) => {
                writer.int(value);
            }
            None => {
                writer.nil();
            }
        };
        match self {
            Value::Nil => {
                writer.nil();
            }
            Value::Int(value) => {
                writer.int(*value);
            }
            Value::Entry(key, value) => int(writer.tag("map-entry", 2).int(*key), *value),
            Value::Keyword(word) => {
                writer.keyword(word);
            }
            Value::Txn(mops) => {
                writer.list(mops.len());
                for (key, mop) in mops {
                    writer.list(3).keyword(if mop.is_ok() { "append" } else { "r" }).int(*key);
                    match mop {
                        Ok(value) => {
                            writer.int(*value);
                        }
                        Err(None) => {
                            writer.nil();
                        }
                        Err(Some(list)) => {
                            writer.list(list.len());
                            list.iter().for_each(|value| {
                                writer.int(*value);
                            });
                        }
                    }
                }
            }
        }
    }

    fn edn(&self) -> String {
        let int = |value: &Option<i64>| value.map_or("nil".to_owned(), |value| value.to_string());
        match self {
            Value::Nil => "nil".to_owned(),
            Value::Int(value) => value.to_string(),
            Value::Entry(key, value) => format!("[{key} {}]", int(value)),
            Value::Keyword(word) => format!(":{word}"),
            Value::Txn(mops) => {
                let mop = |(key, mop): &(i64, Done)| match mop {
                    Ok(value) => format!("[:append {key} {value}]"),
                    Err(None) => format!("[:r {key} nil]"),
                    Err(Some(list)) => format!("[:r {key} {list:?}]").replace(',', ""),
                };
                format!("[{}]", mops.iter().map(mop).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// One event: type, process, function, value.
type Event = (&'static str, Option<i64>, &'static str, Value);

fn with_ops<T>(events: &[Event], use_them: impl FnOnce(&[Op<'_>]) -> T) -> T {
    let writers: Vec<_> =
        events.iter().map(|(.., value)| move |writer: &mut FressianWriter| value.write(writer)).collect();
    let ops: Vec<Op<'_>> = events
        .iter()
        .zip(&writers)
        .enumerate()
        .map(|(index, ((kind, process, f, _), value))| Op {
            index: index as i64,
            time: index as i64 * 1000,
            kind,
            process: *process,
            f,
            value,
        })
        .collect();
    use_them(&ops)
}

/// The events as version 1, in chunks of this many.
fn version_1(events: &[Event], chunk: usize) -> Vec<u8> {
    with_ops(events, |ops| {
        let mut file = JepsenWriter::new(1);
        let mut chunks = Vec::new();
        for (number, part) in ops.chunks(chunk).enumerate() {
            let id = number as i32 + 10;
            file.stream(id, part);
            chunks.push(((number * chunk) as i64, id));
        }
        file.vector(1, ops.len() as i64, &chunks).test_in_parts(2, 1).index(2);
        file.out
    })
}

/// The events as version 0.
fn version_0(events: &[Event]) -> Vec<u8> {
    let mut file = JepsenWriter::new(0);
    file.block(1, 2, &list(events)).test(2, 1).index(2);
    file.out
}

fn list(events: &[Event]) -> Vec<u8> {
    let mut writer = FressianWriter::default();
    writer.list(events.len());
    with_ops(events, |ops| ops.iter().for_each(|op| op.write_map(&mut writer)));
    writer.out
}

/// The events as `test.fressian`.
fn fressian(events: &[Event]) -> Vec<u8> {
    let mut writer = FressianWriter::default();
    writer.map(2).keyword("name").string("test").keyword("history").list(events.len());
    with_ops(events, |ops| ops.iter().for_each(|op| op.write_map(&mut writer)));
    writer.out
}

fn edn(events: &[Event]) -> String {
    let line = |(index, (kind, process, f, value)): (usize, &Event)| {
        let process = process.map_or(":nemesis".to_owned(), |process| process.to_string());
        let time = index * 1000;
        format!(
            "{{:index {index}, :time {time}, :type :{kind}, :process {process}, :f :{f}, :value {}}}\n",
            value.edn()
        )
    };
    events.iter().enumerate().map(line).collect()
}

fn import(name: &str, bytes: &[u8]) -> Result<Imported, ImportError> {
    import_bytes(Path::new(name), bytes, &ImportOptions::default())
}

#[track_caller]
fn same_as_edn(events: &[Event]) -> Imported {
    let expected = import("h.edn", edn(events).as_bytes()).unwrap();
    for bytes in [version_1(events, 3), version_1(events, 1000), version_0(events), fressian(events)] {
        let found = import("h", &bytes).unwrap();
        assert_eq!(found.history, expected.history);
        assert_eq!(found.faults, expected.faults);
        assert!(found.history.has_real_time_order());
    }
    expected
}

#[test]
fn transactions_over_lists() {
    let asked = vec![(1, Ok(5)), (2, Err(None))];
    let told = vec![(1, Ok(5)), (2, Err(Some(vec![1, 1 << 40, -7])))];
    let events = [
        ("invoke", Some(0), "txn", Value::Txn(asked.clone())),
        ("invoke", Some(1), "txn", Value::Txn(asked.clone())),
        ("info", None, "start-partition", Value::Keyword("majority")),
        ("ok", Some(0), "txn", Value::Txn(told)),
        ("info", None, "start-partition", Value::Keyword("majority")),
        ("info", Some(1), "txn", Value::Txn(asked)),
    ];
    let imported = same_as_edn(&events);
    assert_eq!(imported.faults.len(), 1);
    let ops = imported.history.ops();
    let list = Some(vec![1, 1 << 40, -7]);
    let expected = Call::Txn(vec![Mop::Append { key: 1, value: 5 }, Mop::ReadList { key: 2, list }]);
    assert_eq!((&ops[0].call, ops[0].outcome, ops[1].outcome), (&expected, Outcome::Ok, Outcome::Info));
}

/// In EDN a tuple is told by the reads of a file; here it says so itself, even in a file without any.
#[test]
fn entries_of_maps_are_independent_tuples() {
    let writes =
        [("invoke", Some(0), "write", Value::Entry(7, Some(1))), ("ok", Some(0), "write", Value::Entry(7, Some(1)))];
    let imported = import("h", &version_1(&writes, 3)).unwrap();
    assert_eq!(imported.history.ops()[0].call, Call::Write { key: 7, value: 1 });
    let mut events = writes.to_vec();
    events.push(("invoke", Some(1), "read", Value::Entry(7, None)));
    events.push(("ok", Some(1), "read", Value::Entry(7, Some(1))));
    same_as_edn(&events);
}

#[test]
fn registers_and_what_nobody_understands() {
    let events = [
        ("invoke", Some(0), "write", Value::Int(3)),
        ("ok", Some(0), "write", Value::Int(3)),
        ("invoke", Some(0), "read", Value::Nil),
        ("ok", Some(0), "read", Value::Int(3)),
        ("invoke", Some(0), "dance", Value::Keyword("tango")),
        ("fail", Some(0), "dance", Value::Keyword("tango")),
    ];
    same_as_edn(&events);
}

#[test]
fn damage_is_a_mistake_with_its_byte() {
    let value = || Value::Txn(vec![(1, Ok(1))]);
    let events: Vec<Event> = (0..6).map(|index| (["invoke", "ok"][index % 2], Some(0), "txn", value())).collect();
    let mut bytes = version_1(&events, 2);
    let at = bytes.windows(17).rposition(|window| window == b"jepsen.history.Op").unwrap();
    bytes[at] ^= 1;
    let Err(ImportError::Mistakes { mistakes, .. }) = import("h", &bytes) else { panic!("no mistake") };
    assert_eq!(mistakes.count, 1);
    assert!(matches!(mistakes.first[0].place, Place::Byte(place) if place < at as u64), "{mistakes:?}");
    assert!(mistakes.first[0].detail.contains("checksum"), "{mistakes:?}");
    let options = ImportOptions { lenient: true, ..ImportOptions::default() };
    let imported = import_bytes(Path::new("h"), &bytes, &options).unwrap();
    assert_eq!((imported.history.len(), imported.skipped.count), (2, 1));
}

#[test]
fn a_format_can_be_insisted_on() {
    let events = [("invoke", Some(0), "write", Value::Int(3))];
    let options = |format| ImportOptions { format: Some(format), ..ImportOptions::default() };
    let bytes = version_1(&events, 3);
    assert_eq!(import_bytes(Path::new("h.txt"), &bytes, &options(Format::Jepsen)).unwrap().history.len(), 1);
    assert!(import_bytes(Path::new("h.txt"), &bytes, &options(Format::Fressian)).is_err());
    assert!(import_bytes(Path::new("h.txt"), &fressian(&events), &options(Format::Jepsen)).is_err());
    assert_eq!(Format::ALL.len(), Format::names().len());
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
    }
}

#[test]
fn a_file_on_disk_is_read_in_its_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.jepsen");
    let txn = |value: i64| Value::Txn(vec![(value % 5, Ok(value))]);
    let events: Vec<Event> = (0..40_000_i64)
        .flat_map(|value| [("invoke", Some(value % 7), "txn", txn(value)), ("ok", Some(value % 7), "txn", txn(value))])
        .collect();
    std::fs::write(&path, version_1(&events, 16_384)).unwrap();
    let imported = import_file(&path).unwrap();
    assert_eq!(imported.history.len(), 40_000);
    assert_eq!(imported.history, import("h.edn", edn(&events).as_bytes()).unwrap().history);
}

fn value() -> impl Strategy<Value = Value> {
    let list = prop::option::of(prop::collection::vec(any::<i64>(), 0..10));
    let mop = prop_oneof![any::<i64>().prop_map(Ok), list.prop_map(Err)];
    prop_oneof![
        prop::collection::vec((0..5_i64, mop), 1..12).prop_map(Value::Txn),
        Just(Value::Nil),
        any::<i64>().prop_map(Value::Int),
        Just(Value::Keyword("x")),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(vec!["invoke", "ok", "fail", "info"]);
    let process = prop::option::weighted(0.9, 0..4_i64);
    (kind, process, prop::sample::select(vec!["txn", "read", "write", "add"]), value())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Also histories that cannot be: mistakes of pairing are the same.
    #[test]
    fn every_notation_of_the_same_events_is_the_same(events in prop::collection::vec(event(), 0..40), chunk in 1..20_usize) {
        let options = ImportOptions { lenient: true, independent: Some(false), ..ImportOptions::default() };
        let import = |name: &str, bytes: &[u8]| {
            let imported = import_bytes(Path::new(name), bytes, &options).unwrap();
            // Names of values in events that were left out may be there or not.
            let history = if imported.skipped.count == 0 { Some(imported.history.clone()) } else { None };
            (imported.history.len(), history, imported.faults, imported.skipped.count)
        };
        let expected = import("h.edn", edn(&events).as_bytes());
        prop_assert_eq!(&import("h.jepsen", &version_1(&events, chunk)), &expected);
        prop_assert_eq!(&import("h.jepsen", &version_0(&events)), &expected);
        prop_assert_eq!(&import("h.fressian", &fressian(&events)), &expected);
    }

    #[test]
    fn no_mutation_makes_the_import_panic(
        events in prop::collection::vec(event(), 1..10),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        which in 0..3_u8,
    ) {
        let (name, mut bytes) = match which {
            0 => ("h.jepsen", version_1(&events, 4)),
            1 => ("h.jepsen", version_0(&events)),
            _ => ("h.fressian", fressian(&events)),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = import(name, &bytes);
    }
}
