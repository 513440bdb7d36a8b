//! Importers on small histories: what each says, and what each refuses.

use expect_test::{Expect, expect};
use fissure_checker::names::Displayed;
use fissure_checker::{Call, LogRecord, Mop, Names, Operation, Outcome};
use fissure_history::import::{import_bytes, import_to};
use fissure_history::read::read_faults;
use fissure_history::writer::HistoryWriter;
use fissure_history::{ImportOptions, Imported, NilReads, import_file_with, read_history};
use proptest::prelude::*;
use std::io::Write;
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
fn every_family_of_workloads_is_understood() {
    check(
        "h.edn",
        "{:type :invoke :process 0 :f :add :value 1} {:type :ok :process 0 :f :add :value 1}
{:type :invoke :process 0 :f :add :value \"a b\"} {:type :ok :process 0 :f :add :value \"a b\"}
{:type :invoke :process 0 :f :read} {:type :ok :process 0 :f :read :value #{1 \"a b\" [2 #{4 3}] 1/2 1.5 12345678901234567890 -4611686018427387904}}
{:type :invoke :process 0 :f :read} {:type :info :process 0 :f :read}
{:type :invoke :process 1 :f :enqueue :value 7} {:type :ok :process 1 :f :enqueue :value 7}
{:type :invoke :process 1 :f :dequeue} {:type :ok :process 1 :f :dequeue :value 7}
{:type :invoke :process 1 :f :dequeue} {:type :ok :process 1 :f :dequeue :value nil}
{:type :invoke :process 1 :f :dequeue} {:type :fail :process 1 :f :dequeue :error :empty}
{:type :invoke :process 1 :f :drain} {:type :ok :process 1 :f :drain :value [8 9]}
{:type :invoke :process 1 :f :push :value 3} {:type :ok :process 1 :f :push :value 3}
{:type :invoke :process 1 :f :pop} {:type :ok :process 1 :f :pop :value 3}
{:type :invoke :process 1 :f :acquire} {:type :ok :process 1 :f :acquire :value 17}
{:type :invoke :process 1 :f :release} {:type :fail :process 1 :f :release :error :not-held}
{:type :invoke :process 1 :f :generate} {:type :ok :process 1 :f :generate :value 42}
{:type :invoke :process 1 :f :append :value [\\x \"text\"]} {:type :ok :process 1 :f :append :value [\\x \"text\"]}
",
        &expect![[r#"
            0 p0 0..1 0ns ok add 0 1
            1 p0 2..3 2ns ok add 0 "a b"
            2 p0 4..5 4ns ok read set 0 [1 "a b" [2 #{3 4}] 1/2 1.5 12345678901234567890N -4611686018427387904]
            3 p0 6..7 6ns info read set 0 ?
            4 p1 8..9 8ns ok enqueue 0 7
            5 p1 10..11 10ns ok dequeue 0 7
            6 p1 12..13 12ns ok dequeue 0 nil
            7 p1 14..15 14ns fail (empty) dequeue 0 ?
            8 p1 16..17 16ns ok drain 0 [8 9]
            9 p1 18..19 18ns ok push 0 3
            10 p1 20..21 20ns ok pop 0 3
            11 p1 22..23 22ns ok acquire 0 17
            12 p1 24..25 24ns fail (not-held) release 0 nil
            13 p1 26..27 26ns ok generate 0 42
            14 p1 28..29 28ns ok append \x "text"
            note: there are no times: events have their place in the order instead"#]],
    );
}

#[test]
fn bank_in_edn_and_json() {
    let expected = expect![[r#"
        0 p0 0..1 0ns info read balances ?
        1 p1 2..3 2ns ok read balances 0=Some(10) 1=None 7=Some(-3)
        2 p1 4..5 4ns ok transfer 0 -> 7 5
        3 p1 6..7 6ns ok other read {0 1.5}
        note: there are no times: events have their place in the order instead"#]];
    check(
        "h.edn",
        "{:type :invoke :process 0 :f :read} {:type :info :process 0 :f :read}
{:type :invoke :process 1 :f :read} {:type :ok :process 1 :f :read :value {0 10, 1 nil, 7 -3}}
{:type :invoke :process 1 :f :transfer :value {:from 0 :to 7 :amount 5}} {:type :ok :process 1 :f :transfer :value {:from 0 :to 7 :amount 5}}
{:type :invoke :process 1 :f :read} {:type :ok :process 1 :f :read :value {0 1.5}}
",
        &expected,
    );
    check(
        "h.json",
        r#"[{"type":"invoke","process":0,"f":"read"}, {"type":"info","process":0,"f":"read"},
{"type":"invoke","process":1,"f":"read"}, {"type":"ok","process":1,"f":"read","value":{"0":10,"1":null,"7":-3}},
{"type":"invoke","process":1,"f":"transfer","value":{"from":0,"to":7,"amount":5}},
{"type":"ok","process":1,"f":"transfer","value":{"from":0,"to":7,"amount":5}},
{"type":"invoke","process":1,"f":"read"}, {"type":"ok","process":1,"f":"read","value":{"0":1.5}}]"#,
        &expected,
    );
}

#[test]
fn logs_and_predicates() {
    check(
        "h.edn",
        "{:type :invoke :process 0 :f :subscribe :value [0 1]} {:type :ok :process 0 :f :subscribe :value [0 1]}
{:type :invoke :process 0 :f :send :value [[:send 0 5]]} {:type :ok :process 0 :f :send :value [[:send 0 [3 5]]]}
{:type :invoke :process 0 :f :txn :value [[:poll] [:send 1 6]]} {:type :ok :process 0 :f :txn :value [[:poll {0 [[3 5] [nil 7]], 1 [[0 nil]]}] [:send 1 [nil 6]]]}
{:type :invoke :process 0 :f :poll :value [[:poll]]} {:type :info :process 0 :f :poll :value [[:poll {0 [[1 2]]}]]}
{:type :invoke :process 1 :f :assign :value #{1}} {:type :ok :process 1 :f :assign :value #{1}}
{:type :invoke :process 1 :f :crash} {:type :info :process 1 :f :crash}
{:type :invoke :process 2 :f :txn :value [[:insert 1 2] [:delete 3] [:rp [:= 2] nil] [:rp :true nil]]}
{:type :ok :process 2 :f :txn :value [[:insert 1 2] [:delete 3] [:rp [:= 2] {1 2}] [:rp :true {}]]}
",
        &expect![[r#"
            0 p0 0..1 0ns ok subscribe [0 1]
            1 p0 2..3 2ns ok [send 0 5 at Some(3)]
            2 p0 4..5 4ns ok [poll 0@Some(3)=5 0@None=7 1@Some(0)=nil, send 1 6 at None]
            3 p0 6..7 6ns info [poll ?]
            4 p1 8..9 8ns ok assign [1]
            5 p1 10..11 10ns info other crash nil
            6 p2 12..13 12ns ok [insert 1 2, delete 3, rp [:= 2] 1=2, rp :true ]
            note: there are no times: events have their place in the order instead
            note: 1 operations `crash` are kept as text: no checker understands them"#]],
    );
}

#[test]
fn what_nobody_understands_is_kept_as_text() {
    check(
        "h.edn",
        "{:type :invoke :process 0 :f :setup :value {1 #{2}}} {:type :ok :process 0 :f :setup :value {1 #{2}, :x #error {:cause \"a\\n\\\"b\" :via [#object[a.B 0x1 \"a.B@1\"]]}}}
{:type :invoke :process 0 :f :write :value nil} {:type :ok :process 0 :f :write :value nil}
{:type :invoke :process 0 :f :cas :value 3} {:type :fail :process 0 :f :cas :value 3}
{:type :invoke :process 0 :f :transfer :value [1 2]} {:type :ok :process 0 :f :transfer :value [1 2]}
{:type :invoke :process 0 :f :txn :value [[:append 1 nil]]} {:type :ok :process 0 :f :txn :value [[:upsert 1 3]]}
{:type :invoke :process 0 :f \"two words\" :value #inst \"2026-11-23\"} {:type :ok :process 0 :f \"two words\" :value ##NaN}
{:type :invoke :process 0 :f :txn :value []} {:type :ok :process 0 :f :txn :value []}
",
        &expect![[r#"
            0 p0 0..1 0ns ok other setup {1 #{2} :x #error {:cause "a\n\"b" :via [#object [a.B 0x1 "a.B@1"]]}}
            1 p0 2..3 2ns ok other write nil
            2 p0 4..5 4ns fail other cas 3
            3 p0 6..7 6ns ok other transfer [1 2]
            4 p0 8..9 8ns ok other txn [[:upsert 1 3]]
            5 p0 10..11 10ns ok other two words ##NaN
            6 p0 12..13 12ns ok []
            note: there are no times: events have their place in the order instead
            note: 1 operations `cas` are kept as text: no checker understands them
            note: 1 operations `setup` are kept as text: no checker understands them
            note: 1 operations `transfer` are kept as text: no checker understands them
            note: 1 operations `two words` are kept as text: no checker understands them
            note: 1 operations `txn` are kept as text: no checker understands them
            note: 1 operations `write` are kept as text: no checker understands them"#]],
    );
}

#[test]
fn processes_that_are_no_numbers_or_not_there() {
    check(
        "h.edn",
        "{:type :invoke :f :read :value nil}
{:type :invoke :f :write :value 4}
{:type :invoke :f :write :value 5}
{:type :ok :f :write :value 5}
{:type :fail :f :write :value 4}
{:type :invoke :f :write :value 6}
{:type :ok :f :read :value #{4 5}}
{:type :ok :f :write :value 6}
{:type :invoke :process 1 :f :write :value 7}
{:type :invoke :process \"n1/3\" :f :write :value 8}
{:type :ok :process \"n1/3\" :value 8}
{:type :ok :f :write :value 6}
",
        &expect!["h.edn:12:1: this completes an operation that was not invoked"],
    );
    let options = ImportOptions { lenient: true, ..ImportOptions::default() };
    check_with(
        "h.edn",
        "{:type :invoke :f :write :value 4}
{:type :invoke :process \"n1/3\" :f :write :value 8 :node \"n1\"}
{:type :ok :process \"n1/3\" :value 8}
{:type :ok :f :write :value 4}
{:type :ok :f :write :value 6}
",
        &options,
        &expect![[r#"
            0 p0 0..3 0ns ok write 0 4
            1 p1000000000 1..2 1ns ok write 0 8
            skipped 5:1: this completes an operation that was not invoked
            note: 1 processes have names, and were given numbers
            note: there are no processes: completions were taken to end the oldest operation like them
            note: there are no times: events have their place in the order instead
            note: 1 records are wrong and were left out"#]],
    );
}

#[test]
fn what_the_nemesis_did_becomes_faults() {
    let op = |f: &str, value: &str, t: u32| {
        let event = |t: u32| format!("{{:type :info :process :nemesis :f {f} :value {value} :time {t}}}\n");
        event(t) + &event(t + 5)
    };
    let text = [
        "{:type :invoke :process 0 :f :read :time 1}\n".to_owned(),
        op(":start-partition", "[:isolated {\"n1\" #{\"n2\"}}]", 10),
        op(":kill", "[\"n2\" \"n1\"]", 20),
        op(":start", ":all", 30),
        op(":stop-partition", "nil", 40),
        op(":bump-clock", "{\"n1\" 5}", 50),
        op(":pause", "nil", 60),
        op(":start", ":all", 70),
        op(":stop-partition", "nil", 80),
        "{:type :invoke :process :nemesis :f :start-partition :time 90}\n".to_owned(),
    ]
    .concat();
    check(
        "h.edn",
        &text,
        &expect![[r#"
        0 p0 0..never 1ns info read 0 ?
        fault 10..45ns on []: start-partition [:isolated {"n1" #{"n2"}}]
        fault 20..35ns on ["n1", "n2"]: kill ["n2" "n1"]
        fault 50..55ns on ["n1"]: bump-clock {"n1" 5}
        fault 60..75ns on []: pause
        fault 80..85ns on []: stop-partition
        fault 90..neverns on []: start-partition
        note: 17 events of the nemesis became rows of faults
        note: 1 operations never completed: info"#]],
    );
}

#[test]
fn a_wrong_record_does_not_lose_the_others_if_asked() {
    let text = "{:type :invoke :process 0 :f :write :value 1}
{:type :ok :process 0 :f :write :value 1]}
{:type :wrong :process 1}
{:type :invoke :process 2 :f :write :value 1}
{:type :ok :process 2 :f :write :value 1}
{:type :invoke :process 3 :value [[:append 1 1]]}
{:type :invoke :process 4 :value [[:w 1 1]]}
{:type :invoke :process 5 :f :write :value [1 2}
{:type :invoke :process 6 :f :write :value 1}
{:type :invoke :process 7 :f :write :value";
    let options = ImportOptions { lenient: true, ..ImportOptions::default() };
    check_with(
        "h.edn",
        text,
        &options,
        &expect![[r#"
        0 p0 0..never 0ns info write 0 1
        1 p2 1..2 1ns ok write 0 1
        2 p3 3..never 3ns info [append 1 1]
        3 p6 4..never 4ns info write 0 1
        skipped 2:41: found `]`, expected `}`
        skipped 3:1: found the type `:wrong`, expected invoke, ok, fail or info
        skipped 7:1: found transactions over lists and over registers in one file, expected either: check them apart
        skipped 8:48: found `}`, expected `]`
        skipped 10:1: the text ends where `}` is missing for this `{`
        note: 3 operations never completed: info
        note: there are no times: events have their place in the order instead
        note: 5 records are wrong and were left out"#]],
    );
    let many = "x\n".repeat(50);
    let error = import("h.edn", &many, &ImportOptions::default()).unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[19], "h.edn:20:1: found `x`, expected an operation such as {:type :invoke …}");
    assert_eq!(lines[20], "and 30 more");
}

#[test]
fn what_is_said_of_the_whole_may_stand_at_its_end() {
    let mut text = String::new();
    for value in 0..5000 {
        text += &format!(
            "{{:type :invoke :process 0 :f :add :value [1 {value}]}}\n{{:type :ok :process 0 :f :add :value [1 {value}]}}\n"
        );
    }
    text += "{:type :invoke :process 0 :f :read :value [1 nil]}\n{:type :ok :process 0 :f :read :value [1 [4 2]]}\n";
    let imported = import("h.edn", &text, &ImportOptions::default()).unwrap();
    let ops = imported.history.ops();
    assert_eq!(ops[4999].call, Call::Add { key: 1, value: 4999 });
    assert_eq!(ops[5000].call, Call::ReadSet { key: 1, elements: Some(vec![4, 2]) });
    // A read that was told something else shows that these are no tuples.
    let no_tuples = text.replace("[1 [4 2]]", "[[1 4] [1 2] [1 3]]");
    let imported = import("h.edn", &no_tuples, &ImportOptions::default()).unwrap();
    assert_eq!(call(imported.history.names(), &imported.history.ops()[5000].call), "read set 0 [[1 4] [1 2] [1 3]]");
    let options = ImportOptions { independent: Some(false), ..ImportOptions::default() };
    let imported = import("h.edn", &text, &options).unwrap();
    assert_eq!(call(imported.history.names(), &imported.history.ops()[4999].call), "add 0 [1 4999]");
}

/// What goes to files is what goes to memory.
fn both_ways(path: &Path, options: &ImportOptions) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut writer = HistoryWriter::create(&out).unwrap();
    match (import_file_with(path, options), import_to(path, options, &mut writer)) {
        (Ok(memory), Ok(report)) => {
            writer.finish().unwrap();
            let files = read_history(&out).unwrap();
            assert_eq!(files.history.ops(), memory.history.ops(), "{}", path.display());
            assert_eq!(files.history.names(), memory.history.names(), "{}", path.display());
            let faults = read_faults(&out).unwrap();
            assert_eq!(faults, memory.faults, "{}", path.display());
            assert_eq!((report.ops, report.skipped), (memory.history.len() as u64, memory.skipped));
            let count = |outcome| memory.history.ops().iter().filter(|op| op.outcome == outcome).count() as u64;
            assert_eq!(
                (report.ok, report.fail, report.info),
                (count(Outcome::Ok), count(Outcome::Fail), count(Outcome::Info))
            );
            assert_eq!(report.notes, memory.notes);
        }
        (Err(memory), Err(files)) => assert_eq!(memory.to_string(), files.to_string()),
        (memory, files) => panic!("{}: {memory:?} but {files:?}", path.display()),
    }
}

#[test]
fn compressed_files_are_read_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let plain = import("h.edn", MIXED, &ImportOptions::default()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(MIXED.as_bytes()).unwrap();
    let zstd = zstd::encode_all(MIXED.as_bytes(), 1).unwrap();
    for (name, bytes) in [("h.edn.gz", gzip.finish().unwrap()), ("h.edn.zst", zstd)] {
        let path = dir.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(import_file_with(&path, &ImportOptions::default()).unwrap(), plain);
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = import_file_with(&path, &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

/// Lines of a history with all that there may be.
const MIXED: &str = "{:type :invoke, :process 0, :f :txn, :value [[:append 1 2] [:r :x nil]], :time 1, :node \"n1\"}
{:type :invoke, :process 1, :f :add, :value 1, :time 2}
{:type :info, :process :nemesis, :f :kill, :value [\"n1\"], :time 3}
{:type :info, :process 1, :f :add, :value 1, :error [:timeout \"x\"], :time 4}
{:type :info, :process :nemesis, :f :kill, :value {\"n1\" :killed}, :time 5}
{:type :ok, :process 0, :f :txn, :value [[:append 1 2] [:r :x [3 \"é\"]]], :time 6}
{:type :invoke, :process 1, :f :read, :value nil, :time 7}
{:type :ok, :process 1, :f :read, :value #{1 :x}, :time 8}
{:type :invoke, :process 0, :f :unknown, :value {:a #{1}}, :time 9}
{:type :fail, :process 0, :f :unknown, :value {:a #{1}}, :time 10}
{:type :invoke, :process 2, :f :txn, :value [[:poll] [:send 1 2] [:rp :true nil] [:insert 1 2] [:delete 1]], :time 11}
{:type :ok, :process 2, :f :txn, :value [[:poll {1 [[2 3]]}] [:send 1 [7 2]] [:rp :true {1 2}] [:insert 1 2] [:delete 1]], :time 12}
{:type :invoke, :process 3, :f :dequeue, :value nil, :time 13}
{:type :ok, :process 3, :f :dequeue, :value nil, :time 14}
{:type :invoke, :process 3, :f :transfer, :value {:from :a, :to :b, :amount 3}, :time 15}
";

#[test]
fn files_and_memory_get_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.edn");
    std::fs::write(&path, MIXED).unwrap();
    both_ways(&path, &ImportOptions::default());
    std::fs::write(&path, format!("{MIXED}x\n")).unwrap();
    both_ways(&path, &ImportOptions::default());
    both_ways(&path, &ImportOptions { lenient: true, ..ImportOptions::default() });
    let registers =
        "{:type :invoke :process 4 :f :write :value [:x 1]}\n{:type :invoke :process 2 :f :read :value [2 nil]}";
    std::fs::write(&path, registers).unwrap();
    let options = ImportOptions { initial_value: Some(0), nil_reads: NilReads::Unknown, ..ImportOptions::default() };
    both_ways(&path, &options);
    // Longer than a block, so that threads read it.
    let long: String = (0..40_000)
        .map(|op| {
            let event = |kind: &str| {
                format!("{{:type :{kind}, :process {}, :f :txn, :value [[:append :k{} {op}]]}}\n", op % 7, op % 100)
            };
            event("invoke") + &event("ok")
        })
        .collect();
    std::fs::write(&path, long).unwrap();
    both_ways(&path, &ImportOptions::default());
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
    let error = import("h", "hello", &ImportOptions::default()).unwrap_err();
    assert!(
        error.starts_with("h:1:1: not a history that is understood, expected Parquet or one of: edn, json"),
        "{error}"
    );
    check("h.edn", "{\u{1}", &expect!["h.edn:1:1: the text ends where `}` is missing for this `{`"]);
    let error = import_bytes(Path::new("h.edn"), b"{:type :\xff", &ImportOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "h.edn:1:8: found bytes that are no UTF-8, expected text");
}

fn names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["h.edn", "h.json", "h.log", "h"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_and_memory_get_the_same_from_changed_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
        lenient in any::<bool>(),
    ) {
        let mut lines: Vec<&str> = MIXED.lines().collect();
        for (from, to) in changes {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len()), line);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.edn");
        std::fs::write(&path, lines.join("\n")).unwrap();
        both_ways(&path, &ImportOptions { lenient, ..ImportOptions::default() });
    }
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
