//! Importers on small histories: what each says, and what each refuses.

use expect_test::{Expect, expect};
use fissure_checker::names::Displayed;
use fissure_checker::{Call, LogRecord, Mop, Names, Operation};
use fissure_history::import::import_bytes;
use fissure_history::{ImportOptions, Imported, NilReads};
use proptest::prelude::*;
use std::path::Path;

fn import(name: &str, text: &str, options: &ImportOptions) -> Result<Imported, String> {
    import_bytes(Path::new(name), text.as_bytes(), options).map_err(|error| error.to_string())
}

/// A number as the history means it.
fn shown<'a>(names: &'a Names, number: &i64) -> Displayed<'a> {
    names.display(*number)
}

fn all(names: &Names, numbers: &[i64]) -> String {
    let texts: Vec<String> = numbers.iter().map(|number| shown(names, number).to_string()).collect();
    format!("[{}]", texts.join(" "))
}

fn option(names: &Names, number: &Option<i64>) -> String {
    number.as_ref().map_or("nil".to_owned(), |number| shown(names, number).to_string())
}

/// What a read saw; `?`: it is not known.
fn seen(names: &Names, value: &Option<Option<i64>>) -> String {
    value.as_ref().map_or("?".to_owned(), |value| option(names, value))
}

fn elements(names: &Names, value: &Option<Vec<i64>>) -> String {
    value.as_ref().map_or("?".to_owned(), |value| all(names, value))
}

fn mop(names: &Names, mop: &Mop) -> String {
    let n = |number: &i64| names.display(*number).to_string();
    match mop {
        Mop::Append { key, value } => format!("append {} {}", n(key), n(value)),
        Mop::ReadList { key, list } => format!("r {} {}", n(key), elements(names, list)),
        Mop::Write { key, value } => format!("w {} {}", n(key), n(value)),
        Mop::Read { key, value } => format!("rr {} {}", n(key), seen(names, value)),
        Mop::Send { key, value, offset } => format!("send {} {} at {offset:?}", n(key), n(value)),
        Mop::Poll { records: None } => "poll ?".to_owned(),
        Mop::Poll { records: Some(records) } => {
            let record =
                |record: &LogRecord| format!("{}@{:?}={}", n(&record.key), record.offset, option(names, &record.value));
            format!("poll {}", records.iter().map(record).collect::<Vec<_>>().join(" "))
        }
        Mop::Insert { key, value } => format!("insert {} {}", n(key), n(value)),
        Mop::Delete { key } => format!("delete {}", n(key)),
        Mop::ReadPredicate { predicate, matched: None } => format!("rp {} ?", n(predicate)),
        Mop::ReadPredicate { predicate, matched: Some(matched) } => {
            let pairs: Vec<String> = matched.iter().map(|(key, value)| format!("{}={}", n(key), n(value))).collect();
            format!("rp {} {}", n(predicate), pairs.join(" "))
        }
    }
}

fn call(names: &Names, call: &Call) -> String {
    let n = |number: &i64| names.display(*number).to_string();
    match call {
        Call::Txn(mops) => format!("[{}]", mops.iter().map(|part| mop(names, part)).collect::<Vec<_>>().join(", ")),
        Call::Read { key, value } => format!("read {} {}", n(key), seen(names, value)),
        Call::Dequeue { key, value } => format!("dequeue {} {}", n(key), seen(names, value)),
        Call::Pop { key, value } => format!("pop {} {}", n(key), seen(names, value)),
        Call::Write { key, value }
        | Call::Add { key, value }
        | Call::Append { key, value }
        | Call::Enqueue { key, value }
        | Call::Push { key, value } => format!("{} {} {}", call.f(), n(key), n(value)),
        Call::Cas { key, expected, value } => format!("cas {} {} -> {}", n(key), n(expected), n(value)),
        Call::ReadSet { key, elements: seen } => format!("read set {} {}", n(key), elements(names, seen)),
        Call::Drain { key, elements: seen } => format!("drain {} {}", n(key), elements(names, seen)),
        Call::Acquire { key, value } | Call::Release { key, value } | Call::Generate { key, value } => {
            format!("{} {} {}", call.f(), n(key), option(names, value))
        }
        Call::Transfer { from, to, amount } => format!("transfer {} -> {} {amount}", n(from), n(to)),
        Call::ReadBalances { balances: None } => "read balances ?".to_owned(),
        Call::ReadBalances { balances: Some(balances) } => {
            let pair = |(account, balance): &(i64, Option<i64>)| format!("{}={balance:?}", n(account));
            format!("read balances {}", balances.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        Call::Subscribe { keys } | Call::Assign { keys } => format!("{} {}", call.f(), all(names, keys)),
        Call::Other(other) => format!("other {} {}", other.f, other.value.as_deref().unwrap_or("nil")),
    }
}

fn line(names: &Names, op: &Operation) -> String {
    let end = op.complete_seq.map_or("never".to_owned(), |seq| seq.to_string());
    let error = op.error_code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    format!(
        "{} p{} {}..{end} {}ns {}{error} {}",
        op.op_id,
        op.process,
        op.invoke_seq,
        op.invoke_ns,
        op.outcome.name(),
        call(names, &op.call)
    )
}

#[track_caller]
fn check_with(name: &str, text: &str, options: &ImportOptions, expected: &Expect) {
    let shown = match import(name, text, options) {
        Ok(imported) => {
            let names = imported.history.names();
            let mut lines: Vec<String> = imported.history.ops().iter().map(|op| line(names, op)).collect();
            lines.extend(imported.faults.iter().map(|fault| {
                let stop = fault.stop_ns.map_or("never".to_owned(), |stop| stop.to_string());
                format!("fault {}..{stop}ns on {:?}: {}", fault.start_ns, fault.nodes, fault.description)
            }));
            lines.extend(
                imported.skipped.first.iter().map(|skipped| format!("skipped {}: {}", skipped.place, skipped.detail)),
            );
            lines.extend(imported.notes.iter().map(|note| format!("note: {note}")));
            lines.join("\n")
        }
        Err(error) => error,
    };
    expected.assert_eq(&shown);
}

#[track_caller]
fn check(name: &str, text: &str, expected: &Expect) {
    check_with(name, text, &ImportOptions::default(), expected);
}

#[test]
fn registers_in_edn() {
    check(
        "h.edn",
        "; a comment
{:index 0, :time 5, :type :invoke, :process 0, :f :read, :value nil}
{:index 1, :time 6, :type :invoke, :process 1, :f :cas, :value [1 2]}
{:index 2, :time 7, :type :ok, :process 0, :f :read, :value nil}
{:index 3, :time 8, :type :info, :process :nemesis, :f :start, :value {:n1 #{:n2}}}
{:index 4, :time 9, :type :fail, :process 1, :f :cas, :value [1 2], :error [:temporarily-unavailable nil]}
{:index 5, :time 10, :type :invoke, :process 1, :f :write, :value 3}
{:index 6, :time 11, :type :info, :process 1, :f :write, :value 3, :error :timeout}
{:index 7, :time 12, :type :invoke, :process 0, :f :read, :value nil}
",
        &expect![[r#"
            0 p0 0..2 5ns ok read 0 nil
            1 p1 1..3 6ns fail (temporarily-unavailable) cas 0 1 -> 2
            2 p1 4..5 10ns info (timeout) write 0 3
            3 p0 6..never 12ns info read 0 ?
            fault 8..neverns on []: start {:n1 #{:n2}}
            note: 1 events of the nemesis became rows of faults
            note: 1 operations never completed: info"#]],
    );
}

#[test]
fn independent_keys_are_seen_from_the_reads() {
    check(
        "h.edn",
        "[{:type :invoke :process 0 :f :write :value [:x 3]} {:type :ok :process 0 :f :write :value [:x 3]}
          #jepsen.history.Op{:type :invoke :process 0 :f :read :value [7 nil]}
          {:type :ok :process 0 :f :read :value [7 3]}
          {:type :invoke :process 0 :f :cas :value [:x [3 4]]} {:type :fail :process 0 :f :cas :value [:x [3 4]]}]",
        &expect![[r#"
            0 p0 0..1 0ns ok write :x 3
            1 p0 2..3 2ns ok read 7 3
            2 p0 4..5 4ns fail cas :x 3 -> 4
            note: there are no times: events have their place in the order instead
            note: values of single-object operations were taken as tuples [key value]"#]],
    );
}

#[test]
fn list_append_in_edn_without_functions() {
    check(
        "h.edn",
        "{:index 1, :type :invoke, :process 2, :value [[:append 4 2] [:r :a nil]]}
{:index 2, :type :ok, :process 2, :value [[:append 4 2] [:r :a [1 2]]]}
{:index 3, :type :invoke, :process 2, :value [[:r 4 nil]]}
{:index 4, :type :ok, :process 2, :value [[:r 4 nil]]}",
        &expect![[r#"
            0 p2 0..1 0ns ok [append 4 2, r :a [1 2]]
            1 p2 2..3 2ns ok [r 4 []]
            note: there are no times: events have their place in the order instead"#]],
    );
}

#[test]
fn register_transactions_in_json() {
    let text = r#"[{"type":"invoke","f":"txn","value":[["w","x",2],["r","y",null]],"process":0,"index":1},
{"type":"ok","f":"txn","value":[["w","x",2],["r","y",null]],"process":0,"index":2},
{"type":"invoke","f":"txn","value":[["r","x",null]],"process":0,"index":3},
{"type":"info","f":"txn","value":[["r","x",3]],"process":0,"index":4},
{"type":"invoke","f":"txn","value":[["r","x",null]],"process":0,"index":5}]"#;
    let expected = expect![[r#"
        0 p0 0..1 0ns ok [w "x" 2, rr "y" nil]
        1 p0 2..3 2ns info [rr "x" ?]
        2 p1000000000 4..never 4ns info [rr "x" ?]
        note: 1 operations never completed: info
        note: 1 processes went on after an info, and were given new numbers
        note: there are no times: events have their place in the order instead"#]];
    check("h.json", text, &expected);
    // One object per line, under a name that says nothing.
    let lines = text.trim_matches(['[', ']']).replace("},\n", "}\n");
    check("h.txt", &lines, &expected);
}

#[test]
fn the_text_log_of_jepsen() {
    let options = ImportOptions { initial_value: Some(0), nil_reads: NilReads::Unknown, ..ImportOptions::default() };
    check_with(
        "h.log",
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1   :invoke :cas    [3 0]
INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:fail\t:cas\t[3 0]
INFO  jepsen.util - 1\t:invoke\t:write\t4
INFO  jepsen.util - 1\t:info\t:write\t:timed-out
",
        &options,
        &expect![[r#"
            0 p-1 0..1 0ns ok write 0 0
            1 p0 2..4 2ns ok read 0 ?
            2 p1 3..5 3ns fail (cas-mismatch) cas 0 3 -> 0
            3 p1 6..7 6ns info (timed-out) write 0 4
            note: there are no times: events have their place in the order instead
            note: a failed cas is taken to say that the register held another value
            note: every register is taken to hold 0 at the start
            note: reads of nil are taken to say nothing"#]],
    );
}

#[test]
fn what_is_wrong_is_refused_with_line_and_column_all_at_once() {
    let refused = |text: &str, expected: Expect| check("h.edn", text, &expected);
    refused(
        "{:type :invoke :process 0 :f :read :value nil}\n  {:type :ok :process 1 :f :read :value 1}",
        expect!["h.edn:2:3: process 1 completes an operation that it did not invoke"],
    );
    refused(
        "\n{:type :start :process 0}",
        expect!["h.edn:2:1: found the type `:start`, expected invoke, ok, fail or info"],
    );
    refused("{:process 0}", expect!["h.edn:1:1: this operation has no type, expected invoke, ok, fail or info"]);
    refused(
        "[1 2]",
        expect![[r#"
        h.edn:1:2: found `1`, expected an operation such as {:type :invoke …}
        h.edn:1:4: found `2`, expected an operation such as {:type :invoke …}"#]],
    );
    refused("[{:type :invoke :process 0 :f :read}", expect!["h.edn:1:37: the text ends where `]` is missing"]);
    refused(
        "[{:type :invoke :process 0 :f :read}]\n {:a 1}",
        expect!["h.edn:2:2: found `{` after the end of the history"],
    );
    let two = "{:type :invoke :process 0 :f :read}";
    refused(&format!("{two}\n{two}"), expect!["h.edn:2:1: process 0 invokes an operation while another is open"]);
    refused(
        &format!("{two}\n{{:type :ok :process 0 :f :write :value 1}}"),
        expect!["h.edn:2:1: found the end of `write`, but process 0 invoked `read`"],
    );
    refused(
        "{:type :invoke :process 0 :value [[:append 1 1]]}\n{:type :invoke :process 1 :value [[:w 1 1]]}",
        expect![
            "h.edn:2:1: found transactions over lists and over registers in one file, expected either: check them apart"
        ],
    );
    refused(
        "{:type :invoke :process 0 :f :write :value é)}
{:type :invoke :process 1 :f :write :value é 5}
  {:type :invoke :process 1 :f :write, :value \"é\" :é }
{:type :invoke, :process 2 :f :write :value 1}
x
{:type :ok, :process 3 :f :write :value 1}",
        expect![[r#"
            h.edn:1:45: found `)`, expected `}`
            h.edn:2:1: this map has the key 5 without a value
            h.edn:3:3: this map has the key :é without a value
            h.edn:5:1: found `x`, expected an operation such as {:type :invoke …}
            h.edn:6:1: process 3 completes an operation that it did not invoke"#]],
    );
    check(
        "h",
        "hello",
        &expect!["h:1:1: not a history that is understood, expected Parquet or one of: edn, json, jepsen-log"],
    );
    check("h.edn", "{\u{1}", &expect!["h.edn:1:1: the text ends where `}` is missing for this `{`"]);
    let error = import_bytes(Path::new("h.edn"), b"{:type :\xff", &ImportOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "h.edn:1:8: found bytes that are no UTF-8, expected text");
}

fn names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["h.edn", "h.json", "h.log", "h"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_an_importer_panic(name in names(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = import_bytes(Path::new(name), &bytes, &ImportOptions::default());
    }

    #[test]
    fn no_text_of_the_right_words_makes_an_importer_panic(
        name in names(),
        words in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "(", ":type", ":invoke", ":ok", ":info", ":process", "0", "1", ":f", ":read", ":write", ":cas",
            ":txn", ":value", "nil", "[1 2]", "[[:r 1 nil]]", "[[:append 1 2]]", "[[:w 1 2]]", "\"x\"", "#", "#_", "\n",
            "\"type\":", "\"invoke\"", "INFO  jepsen.util - ", "9223372036854775807", "-9223372036854775808", ":node", ":time",
        ]), 0..40),
    ) {
        let _ = import_bytes(Path::new(name), words.join(" ").as_bytes(), &ImportOptions::default());
    }

    #[test]
    fn no_change_to_a_history_makes_an_importer_panic(at in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = b"{:type :invoke, :process 0, :f :txn, :value [[:append 1 2] [:r 3 nil]]}
{:type :ok, :process 0, :f :txn, :value [[:append 1 2] [:r 3 [4 5]]], :time 12}
INFO  jepsen.util - 0\t:invoke\t:cas\t[3 0]".to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = import_bytes(Path::new("h.edn"), &bytes, &ImportOptions::default());
        let _ = import_bytes(Path::new("h.log"), &bytes, &ImportOptions::default());
    }
}
