//! The formats of transactional checkers and of Porcupine: what they say, what they refuse, and what they cannot say.

use expect_test::{Expect, expect};
use fissure_checker::{Call, History, Mop, Operation, Outcome};
use fissure_history::import::{Format, ImportOptions, Imported, import_bytes, import_to};
use fissure_history::writer::HistoryWriter;
use fissure_history::{ImportError, OpsReader, import_file, read_history};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

fn import_as(format: Option<Format>, bytes: &[u8]) -> Result<Imported, ImportError> {
    let options = ImportOptions { format, ..ImportOptions::default() };
    import_bytes(Path::new("h.txt"), bytes, &options)
}

fn operation(history: &History, op: &Operation) -> String {
    let names = history.names();
    let seen = |value: &Option<Option<i64>>| match value {
        None => "?".to_owned(),
        Some(None) => "never".to_owned(),
        Some(Some(value)) => names.display(*value).to_string(),
    };
    let mop = |mop: &Mop| match mop {
        Mop::Write { key, value } => format!("w{}={}", names.display(*key), names.display(*value)),
        Mop::Read { key, value } => format!("r{}={}", names.display(*key), seen(value)),
        other => format!("{other:?}"),
    };
    let call = match &op.call {
        Call::Txn(mops) => mops.iter().map(mop).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    };
    format!("p{} {}..{} {} {call}", op.process, op.invoke_seq, op.end_seq(), op.outcome.name())
}

#[track_caller]
fn told(format: Format, bytes: &[u8], expected: Expect) -> Imported {
    let imported = import_as(None, bytes).unwrap();
    assert_eq!(import_as(Some(format), bytes).unwrap().history, imported.history, "the format is detected");
    let ops: Vec<String> = imported.history.ops().iter().map(|op| operation(&imported.history, op)).collect();
    let order = if imported.history.has_real_time_order() { "" } else { "sessions only\n" };
    expected.assert_eq(&format!("{order}{}\n{}\n", ops.join("\n"), imported.notes.join("\n")));
    imported
}

#[track_caller]
fn refused(format: Format, bytes: &[u8], expected: Expect) {
    let error = import_as(Some(format), bytes).unwrap_err().to_string();
    expected.assert_eq(&format!("{error}\n"));
}

const PLUME: &str = "\
w(0,1,1,1)
w(5,2,1,1)
r(0,1,2,2)
r(7,0,1,3)
w(0,9,1,-1)
r(0,3,1,-1)
w(18446744073709551615,3,2,4)
r(5,2,1,3)
";

#[test]
fn text_of_plume() {
    told(
        Format::Plume,
        PLUME.as_bytes(),
        expect![[r#"
            sessions only
            p1 0..2 ok w0=1 w5=2
            p2 1..6 ok r0=1
            p1 3..4 fail w0=9 r0=?
            p1 5..8 ok r7=never r5=2
            p2 7..9 ok w18446744073709551615N=3
            a read of 0 is a read of the initial state
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
}

#[test]
fn zero_that_is_written_is_a_value() {
    told(
        Format::Plume,
        b"r(1,0,1,1)\nr(2,0,1,1)\n\nw(1,0,2,2)\r\n",
        expect![[r#"
            sessions only
            p1 0..2 ok r1=0 r2=never
            p2 1..3 ok w1=0
            a read of 0 is a read of the initial state, except of keys to which 0 is written: 1
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
}

#[test]
fn plume_text_that_is_wrong() {
    refused(
        Format::Plume,
        b"w(0,1,1,1)\nw(0,2,1,2)\nx(0,1,1,1)\nw(0;1,1,1)\nw(0,1,1,1)\nw(0,1,2,2)\nw(0,1,1,9) \nw(0,1,1,9)!\nw(,1,1,1)\nw(99999999999999999999,1,1,1)\n",
        expect![[r#"
            h.txt:3:1: `x(0,1,1,1)` where `r` or `w` is expected
            h.txt:4:4: `;1,1,1)` where `,` is expected
            h.txt:5:1: transaction 1 goes on here, after another one of its session began or in another session
            h.txt:6:1: transaction 2 goes on here, after another one of its session began or in another session
            h.txt:8:11: `!` where the end of the line is expected
            h.txt:9:3: `,1,1,1)` where a key is expected
            h.txt:10:3: `99999999999999999999` where a key is expected
        "#]],
    );
}

#[test]
fn awdit_tests() {
    told(
        Format::Awdit,
        b"w 0 0\nw 1 0\n-----\nr 0 0\n=====\nr 1 7\n------\n\n-----\nw 1 2",
        expect![[r#"
            sessions only
            p0 0..1 ok w0=0 w1=0
            p0 2..6 ok r0=0
            p1 3..4 ok r1=7
            p1 5..7 ok w1=2
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
    refused(
        Format::Awdit,
        b"r 1 1\nr 1\n--=--\nr 1 1 1\nq\n",
        expect![[r#"
            h.txt:2:4: the end of the line where a value is expected
            h.txt:3:3: `=--` where the rest of this line of separators is expected
            h.txt:4:7: `1` where the end of the line is expected
            h.txt:5:1: `q` where `r`, `w`, `---` or `===` is expected
        "#]],
    );
}

/// A history of dbcop: sessions of transactions of events (write, key, value, success), and whether they committed.
type Dbcop = Vec<Vec<(Vec<(bool, u64, u64, bool)>, bool)>>;

fn dbcop(sessions: &Dbcop) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, value: usize| bytes.extend((value as u64).to_le_bytes());
    for parameter in [1, 2, 3, 4, 5] {
        number(&mut bytes, parameter);
    }
    for text in ["info", "2026-01-01", ""] {
        number(&mut bytes, text.len());
        bytes.extend(text.bytes());
    }
    number(&mut bytes, sessions.len());
    for session in sessions {
        number(&mut bytes, session.len());
        for (events, committed) in session {
            number(&mut bytes, events.len());
            for (write, key, value, success) in events {
                bytes.push(u8::from(*write));
                bytes.extend(key.to_le_bytes());
                bytes.extend(value.to_le_bytes());
                bytes.push(u8::from(*success));
            }
            bytes.push(u8::from(*committed));
        }
    }
    bytes
}

fn some_sessions() -> Dbcop {
    vec![
        vec![(vec![(true, 1, 5, true), (false, 2, 0, true)], true), (vec![(false, 1, 5, true)], true)],
        vec![],
        vec![(vec![(false, 1, 5, true), (true, 2, 6, false), (true, 1, u64::MAX, true)], false)],
    ]
}

#[test]
fn dbcop_bincode() {
    told(
        Format::Dbcop,
        &dbcop(&some_sessions()),
        expect![[r#"
            sessions only
            p0 0..1 ok w1=5 r2=never
            p0 2..4 ok r1=5
            p2 3..5 fail r1=? w1=18446744073709551615N
            a read of 0 is a read of the initial state
            1 events without success were left out of their transactions
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
    let bytes = dbcop(&some_sessions());
    let mut flag = bytes.clone();
    flag[102] = 2;
    let mut more = bytes.clone();
    more.push(0);
    let mut long = bytes.clone();
    long[40..48].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let mut many = bytes.clone();
    many[78..86].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    for bad in [flag, more, long, many, bytes[..bytes.len() - 1].to_vec(), Vec::new()] {
        assert!(import_as(Some(Format::Dbcop), &bad).is_err());
    }
}

#[test]
fn dbcop_json() {
    let text = br#"{"params":{"id":0},"info":"x","data":[
        [{"events":[{"Write":{"variable":1,"version":5}},{"Read":{"variable":2,"version":null}}],"committed":true},
         {"events":[["r",1,0],["w",1,6]],"committed":true}],
        [],
        [{"events":[{"Write":{"variable":1,"version":7}}],"committed":false}]],"start":"now"}"#;
    told(
        Format::DbcopJson,
        text,
        expect![[r#"
            sessions only
            p0 0..1 ok w1=5 r2=never
            p0 2..4 ok r1=never w1=6
            p2 3..5 fail w1=7
            a read of 0 is a read of the initial state
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
    refused(
        Format::DbcopJson,
        b"{\"data\":[[{\"events\":[],\"committed\":true},\n{\"events\":[7],\"committed\":true},{}],\n [}]}",
        expect![[r#"
            h.txt:2:31: a transaction ends here that is not understood: expected {"events": [{"Read": {"variable": k, "version": v}}, …], "committed": true}
            h.txt:2:33: a transaction ends here that is not understood: expected {"events": [{"Read": {"variable": k, "version": v}}, …], "committed": true}
            h.txt:3:3: `}` where a value is expected
        "#]],
    );
}

#[test]
fn chronos_json() {
    let stamps = r#""sts":{"p":1,"l":0},"cts":{"p":"2","l":0}"#;
    let registers = format!(
        r#"[{{"tid":1,"sid":7,{stamps},"ops":[{{"t":"r","k":1,"v":0}},{{"t":"w","k":1,"v":5}}]}},
            {{"tid":"2","sid":"eight",{stamps},"ops":[{{"t":"READ","k":1,"v":5}}]}}]"#
    );
    told(
        Format::Chronos,
        registers.as_bytes(),
        expect![[r#"
            sessions only
            p7 0..2 ok r1=never w1=5
            p1000000000 1..3 ok r1=5
            timestamps of the database are left out: they are no order in real time
            a read of 0 is a read of the initial state
            1 processes have names, and were given numbers
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
    let lists = format!(
        r#"[{{"tid":1,"sid":7,{stamps},"ops":[{{"t":"a","k":1,"v":5}},{{"t":"r","k":1,"v":[5]}},{{"t":"r","k":2}}]}}]"#
    );
    told(
        Format::Chronos,
        lists.as_bytes(),
        expect![[r#"
            sessions only
            p7 0..1 ok Append { key: 1, value: 5 } ReadList { key: 1, list: Some([5]) } ReadList { key: 2, list: Some([]) }
            timestamps of the database are left out: they are no order in real time
            there are no times: events have their place in the order instead
            only the order within each process is known: nothing is said about real time
        "#]],
    );
    let bad = format!(r#"[{{"tid":1,{stamps},"ops":[]}}, {{"sid":1,"ops":[{{"t":"x"}}]}}, {{"sid":1}}, 7] 8"#);
    refused(
        Format::Chronos,
        bad.as_bytes(),
        expect![[r#"
            h.txt:1:61: the transaction that ends here has no session (`sid`)
            h.txt:1:90: `{"t" "x"}` in the transaction that ends here is not a read, write or append
            h.txt:1:101: the transaction that ends here has no array of operations (`ops`)
            h.txt:1:104: the transaction that ends here has no session (`sid`)
            h.txt:1:107: something after the end of the history
        "#]],
    );
}

#[test]
fn porcupine_logs() {
    told(
        Format::Porcupine,
        br#"{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 9, :type :ok, :f :append, :key "0", :value "x 9 0 y"}
{:process 1, :type :ok, :f :get, :key "0", :value ""}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 2, :type :invoke, :f :put, :key 1, :value "z"}
{:process 1, :type :ok, :f :get, :key "0", :value "x 9 0 y"}
"#,
        expect![[r#"
            p9 0..2 ok Append { key: -4611686018427387904, value: -4611686018427387903 }
            p1 1..3 ok Read { key: -4611686018427387904, value: Some(None) }
            p1 4..6 ok Read { key: -4611686018427387904, value: Some(Some(-4611686018427387903)) }
            p2 5..18446744073709551615 info Write { key: 1, value: -4611686018427387902 }
            a get of the empty text is a read of the initial state
            1 operations never completed: info
            there are no times: events have their place in the order instead
        "#]],
    );
    refused(
        Format::Porcupine,
        b"{:process 9, :type :invoke, :f :dance, :key 1}\n[1]\n{:type :ok}\n)\n{:a\n",
        expect![[r#"
            h.txt:1:1: found the function `dance`, expected get, put or append
            h.txt:2:1: found `[1]`, expected an event
            h.txt:3:1: this event lacks its type, its process or its key
            h.txt:4:1: found `)`, expected an event
            h.txt:5:1: the text ends where `}` is missing for this `{`
        "#]],
    );
}

/// Of Cobra: write and key (`Ok`), or the write that was read, and the key (`Err`).
type Access = Result<(i64, i64), (i64, i64)>;

/// A log of Cobra: the numbers of transactions, and what they did.
fn cobra_log(transactions: &[(i64, Vec<Access>)]) -> Vec<u8> {
    let mut log = Vec::new();
    for (id, accesses) in transactions {
        log.push(b'S');
        log.extend(id.to_be_bytes());
        for access in accesses {
            let numbers = match access {
                Ok((write, key)) => vec![*write, *key, 77],
                Err((write, key)) => vec![99, *write, *key, 77],
            };
            log.push(if access.is_ok() { b'W' } else { b'R' });
            numbers.iter().for_each(|number| log.extend(number.to_be_bytes()));
        }
        log.push(b'C');
        log.extend(id.to_be_bytes());
    }
    log
}

#[test]
fn cobra_folders() {
    let dir = tempfile::tempdir().unwrap();
    let first = cobra_log(&[(1, vec![Ok((100, 7)), Err((0xbebe_ebee, 8))]), (2, vec![Err((0xdead_beef, 9))])]);
    let mut second = cobra_log(&[(3, vec![Err((100, 7))])]);
    second.extend(b"S\0\0\0\0\0\0\0\x09");
    std::fs::write(dir.path().join("T2.log"), &first).unwrap();
    std::fs::write(dir.path().join("T10.log"), &second).unwrap();
    std::fs::write(dir.path().join("readme.txt"), "no log").unwrap();
    let imported = import_file(dir.path()).unwrap();
    let ops: Vec<String> = imported.history.ops().iter().map(|op| operation(&imported.history, op)).collect();
    expect![[r#"
        p0 0..2 ok w7=100 r8=never
        p1 1..4 ok r7=100
        p0 3..6 ok r9=never
        p1 5..18446744073709551615 info 
    "#]]
    .assert_eq(&format!("{}\n", ops.join("\n")));
    assert!(!imported.history.has_real_time_order());

    second.push(b'A');
    std::fs::write(dir.path().join("T10.log"), &second).unwrap();
    let error = import_file(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("byte 60: T10.log: record 0x41 in a transaction: expected R, W or C"), "{error}");
    let options = ImportOptions { lenient: true, ..ImportOptions::default() };
    let lenient = fissure_history::import_file_with(dir.path(), &options).unwrap();
    assert_eq!((lenient.history.len(), lenient.skipped.count), (3, 1));
    // A folder without logs is none of them.
    let empty = tempfile::tempdir().unwrap();
    assert!(import_file(empty.path()).is_err());
}

/// The flag goes through files.
#[test]
fn that_only_sessions_are_ordered_is_kept_in_files() {
    let imported = import_as(None, PLUME.as_bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for known in [false, true] {
        for path in [dir.path().join(format!("{known}")), dir.path().join(format!("{known}.parquet"))] {
            let in_folder = path.extension().is_none();
            let writer = if in_folder { HistoryWriter::create(&path) } else { HistoryWriter::create_file(&path) };
            let mut writer = writer.unwrap();
            writer.real_time_order(known);
            for op in imported.history.ops() {
                writer.op(op, &Arc::from("faults")).unwrap();
            }
            writer.names(imported.history.names());
            writer.finish().unwrap();
            assert_eq!(read_history(&path).unwrap().history.has_real_time_order(), known);
            assert_eq!(OpsReader::open(&path).unwrap().has_real_time_order(), known);
            assert_eq!(import_file(&path).unwrap().history.has_real_time_order(), known);
        }
    }
    assert_eq!(read_history(&dir.path().join("false")).unwrap().history, imported.history);
}

/// Straight to files, with bounded memory, it is the same history: also where sessions follow each other, so that the
/// last transaction of each stays open until the end.
#[test]
fn files_get_the_same_history() {
    let dir = tempfile::tempdir().unwrap();
    let session = |session: u64| -> String {
        (0..40_u64)
            .map(|txn| {
                format!(
                    "w({txn},{},{session},{})\nr({txn},0,{session},{})\n",
                    session + 1,
                    session * 100 + txn,
                    session * 100 + txn
                )
            })
            .collect()
    };
    let text: String = (0..50).map(session).collect();
    let path = dir.path().join("h.txt");
    std::fs::write(&path, text).unwrap();
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    for number in 0..3_i64 {
        let transactions: Vec<(i64, Vec<Access>)> =
            (0..20).map(|id| (id, vec![Ok((number * 100 + id, id)), Err((0xbebe_ebee, id))])).collect();
        std::fs::write(logs.join(format!("T{number}.log")), cobra_log(&transactions)).unwrap();
    }
    for (path, format, ops) in [(path, Format::Plume, 2000), (logs, Format::Cobra, 60)] {
        let out = dir.path().join(format.name());
        let mut writer = HistoryWriter::create(&out).unwrap();
        let report = import_to(&path, &ImportOptions::default(), &mut writer).unwrap();
        writer.finish().unwrap();
        assert_eq!((report.format, report.ops, report.ok, report.real_time_order), (format, ops, ops, false));
        let (before, after) = (import_file(&path).unwrap().history, read_history(&out).unwrap().history);
        assert_eq!(after, before);
        assert!(OpsReader::open(&out).unwrap().map(|row| row.unwrap().op).eq(before.ops().iter().cloned()));
    }
}

/// A transaction and its outcome.
type Ended = (Outcome, Vec<Mop>);

/// A session and its transactions that committed.
type Committed = (i64, Vec<Vec<Mop>>);

/// Order of each session, whatever the events between them.
fn sessions_of(history: &History) -> Vec<(i64, Vec<Ended>)> {
    let mut sessions: std::collections::BTreeMap<i64, Vec<Ended>> = std::collections::BTreeMap::new();
    for op in history.ops() {
        let Call::Txn(mops) = &op.call else { panic!("{op:?}") };
        sessions.entry(op.process).or_default().push((op.outcome, mops.clone()));
    }
    sessions.into_iter().collect()
}

fn dbcop_history() -> impl Strategy<Value = Dbcop> {
    let event = (any::<bool>(), 0..4_u64, 1..50_u64, Just(true));
    let transaction = (prop::collection::vec(event, 1..4), prop::bool::weighted(0.8));
    prop::collection::vec(prop::collection::vec(transaction, 0..6), 0..5)
}

/// The same history as plume text, sessions one after the other or in turn.
fn plume_text(sessions: &Dbcop, in_turn: bool) -> String {
    let mut lines = Vec::new();
    for (session, transactions) in sessions.iter().enumerate() {
        for (place, (events, committed)) in transactions.iter().enumerate() {
            let id = if *committed { (place * 100 + session) as i64 } else { -1 };
            for (write, key, value, _) in events {
                let kind = if *write { 'w' } else { 'r' };
                let order = if in_turn { (place, session) } else { (session, place) };
                lines.push((order, format!("{kind}({key},{value},{session},{id})\n")));
            }
        }
    }
    lines.sort_by_key(|(order, _)| *order);
    lines.into_iter().map(|(_, line)| line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_notation_has_the_same_sessions(sessions in dbcop_history()) {
        let expected = sessions_of(&import_as(Some(Format::Dbcop), &dbcop(&sessions)).unwrap().history);
        // Aborted transactions that follow each other are one in plume text, and stand for themselves.
        let committed = |sessions: Vec<(i64, Vec<Ended>)>| -> Vec<Committed> {
            let ok = |txns: Vec<Ended>| -> Vec<Vec<Mop>> {
                txns.into_iter().filter(|(outcome, _)| *outcome == Outcome::Ok).map(|(_, mops)| mops).collect()
            };
            sessions.into_iter().map(|(session, txns)| (session, ok(txns))).filter(|(_, txns)| !txns.is_empty()).collect()
        };
        let expected = committed(expected);
        for in_turn in [false, true] {
            let text = plume_text(&sessions, in_turn);
            let found = import_as(Some(Format::Plume), text.as_bytes()).unwrap();
            prop_assert_eq!(&committed(sessions_of(&found.history)), &expected);
        }
        let logs = tempfile::tempdir().unwrap();
        for (number, session) in sessions.iter().enumerate() {
            let access = |(write, key, value, _): &(bool, u64, u64, bool)| {
                let access = (*value as i64, *key as i64);
                if *write { Ok(access) } else { Err(access) }
            };
            let ok = session.iter().filter(|(_, committed)| *committed);
            let log: Vec<_> = ok.enumerate().map(|(id, (events, _))| (id as i64, events.iter().map(access).collect())).collect();
            std::fs::write(logs.path().join(format!("T{number}.log")), cobra_log(&log)).unwrap();
        }
        let options = ImportOptions { format: Some(Format::Cobra), ..ImportOptions::default() };
        let found = fissure_history::import_file_with(logs.path(), &options);
        if !expected.is_empty() {
            prop_assert_eq!(&committed(sessions_of(&found.unwrap().history)), &expected);
        }
    }

    #[test]
    fn no_text_makes_an_import_panic(text in "[rw(){}\\[\\]:,0-9\\-= \"\n]{0,80}") {
        for format in Format::ALL {
            let _ = import_as(Some(format), text.as_bytes());
        }
    }

    #[test]
    fn no_mutation_makes_an_import_panic(
        sessions in dbcop_history(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let json = r#"{"data":[[{"events":[["r",1,0],["w",1,6]],"committed":true}]]}"#.as_bytes().to_vec();
        let chronos = br#"[{"tid":1,"sid":7,"sts":{},"cts":{},"ops":[{"t":"r","k":1,"v":[5]}]}]"#.to_vec();
        let kv = br#"{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}"#.to_vec();
        let all = [
            (Format::Dbcop, dbcop(&sessions)),
            (Format::Plume, plume_text(&sessions, true).into_bytes()),
            (Format::Awdit, b"w 0 0\n-----\nr 0 0\n=====\nr 1 7".to_vec()),
            (Format::DbcopJson, json),
            (Format::Chronos, chronos),
            (Format::Porcupine, kv),
        ];
        for (format, mut bytes) in all {
            for (at, byte) in changes.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let _ = import_as(Some(format), &bytes);
            let _ = import_as(None, &bytes);
        }
    }

    #[test]
    fn no_mutation_of_a_log_makes_the_import_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = cobra_log(&[(1, vec![Ok((100, 7)), Err((5, 8))]), (2, vec![Err((6, 9))])]);
        for (at, byte) in changes {
            let at = at.index(log.len());
            log[at] = byte;
        }
        log.truncate(end.index(log.len()));
        std::fs::write(dir.path().join("T1.log"), log).unwrap();
        let options = ImportOptions { format: Some(Format::Cobra), ..ImportOptions::default() };
        let _ = fissure_history::import_file_with(dir.path(), &options);
    }
}
