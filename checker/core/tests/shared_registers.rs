//! The register histories that others recorded (`shared/histories/linearizability`): every verdict must be the known one.
//!
//! They lie beside the checkout and not in it. Without them each test is reported as ignored, and counted.

use fissure_checker::linearizable::{CAS_MISMATCH, Options, check_register, check_register_with_witness};
use fissure_checker::{Call, History, Operation, Outcome, Validity};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One line of a log: who, what became of it, and what it was about.
struct Line {
    process: i64,
    kind: String,
    f: String,
    value: String,
}

/// `INFO  jepsen.util - 4 :invoke :cas [1 2]`, with tabs or spaces.
fn jepsen_log(line: &str) -> Option<Line> {
    let mut words = line.split_once(" - ")?.1.split_whitespace();
    let process = words.next()?.parse().ok()?;
    let mut word = || Some(words.next()?.trim_start_matches(':').to_owned());
    let (kind, f) = (word()?, word()?);
    let value = words.collect::<Vec<&str>>().join(" ");
    Some(Line { process, kind, f, value })
}

/// One map a line, and no comments: some of these files were laid out by hand.
fn one_map_a_line(text: &str) -> String {
    let bare: Vec<&str> = text.lines().map(|line| line.split(';').next().unwrap_or_default()).collect();
    bare.join(" ").replace('{', "\n{")
}

/// `{:process 14, :type :invoke, :f :cas, :value [0 4]}`, the keys in any order. To Knossos a read of `nil` says nothing.
fn knossos(line: &str) -> Option<Line> {
    let field = |name: &str| {
        let rest = line.split_once(name)?.1.trim_start();
        let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find([',', '}'])? };
        Some(rest[..end].trim_start_matches(':').trim().to_owned())
    };
    Some(Line {
        process: field(":process ")?.parse().ok()?,
        kind: field(":type ")?,
        f: field(":f ")?,
        value: field(":value ").map(|value| if value == "nil" { "unknown".to_owned() } else { value })?,
    })
}

fn call(line: &Line) -> Option<Call> {
    let number = |text: &str| text.parse::<i64>().ok();
    match line.f.as_str() {
        "read" => {
            let value = if line.value == "nil" { Some(None) } else { number(&line.value).map(Some) };
            Some(Call::Read { key: 0, value })
        }
        "write" => Some(Call::Write { key: 0, value: number(&line.value)? }),
        "cas" => {
            let (expected, value) = line.value.trim_matches(['[', ']']).split_once(' ')?;
            Some(Call::Cas { key: 0, expected: number(expected)?, value: number(value)? })
        }
        _ => None,
    }
}

/// Every operation gets a process of its own: some of these logs use one again after an `info`.
fn parse(text: &str, line_of: impl Fn(&str) -> Option<Line>) -> History {
    let mut ops: Vec<Operation> = Vec::new();
    let mut open: HashMap<i64, usize> = HashMap::new();
    for (seq, line) in text.lines().filter_map(line_of).enumerate() {
        let seq = seq as u64;
        if line.kind == "invoke" {
            open.insert(line.process, ops.len());
            ops.push(Operation {
                op_id: 0,
                process: ops.len() as i64,
                node: None,
                call: call(&line).expect("an invocation of a register"),
                invoke_seq: seq,
                complete_seq: None,
                invoke_ns: seq as i64,
                complete_ns: None,
                outcome: Outcome::Info,
                error_code: None,
                error_text: None,
                conn_cookie: None,
            });
            continue;
        }
        let Some(outcome) = Outcome::from_name(&line.kind) else { continue };
        let op = &mut ops[open.remove(&line.process).expect("a completion follows its invocation")];
        op.outcome = outcome;
        if outcome == Outcome::Info {
            continue;
        }
        (op.complete_seq, op.complete_ns) = (Some(seq), Some(seq as i64));
        if outcome == Outcome::Ok {
            op.call = call(&line).expect("a completion of a register");
        } else if line.f == "cas" {
            op.error_code = Some(CAS_MISMATCH.into());
        }
    }
    History::new(ops).expect("the log is in order")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/histories/linearizability")
}

/// Judges every file of a folder in `EXPECTED.tsv`, and returns what is wrong and how many were judged.
fn judge(folder: &str, options: &Options, line_of: impl Fn(&str) -> Option<Line>) -> (Vec<String>, usize) {
    let expected = std::fs::read_to_string(root().join("EXPECTED.tsv")).expect("the list of verdicts can be read");
    let mut wrong = Vec::new();
    let (mut judged, mut hollow) = (0, 0);
    for row in expected.lines().filter(|row| row.starts_with(folder)) {
        let fields: Vec<&str> = row.split('\t').collect();
        let text = std::fs::read_to_string(root().join(fields[0])).expect("the history can be read");
        let text = if folder.starts_with("etcd") { text } else { one_map_a_line(&text) };
        let history = parse(&text, &line_of);
        let found = check_register(&history, options).verdict;
        let searched = check_register_with_witness(&history, options).0.verdict;
        // Some hold no operation that saw a value: to say so is more than the list asks.
        let is_hollow = found.reasons.iter().any(|reason| reason.code == "NO_OK_READS");
        let known = if fields[2] == "ok" { Validity::Valid } else { Validity::Invalid };
        let fits =
            |validity| validity == known || is_hollow && validity == Validity::Unknown && known == Validity::Valid;
        if !fits(found.validity) || !fits(searched.validity) {
            let (found, searched) = (found.validity.name(), searched.validity.name());
            wrong.push(format!("{}: {found} by all, {searched} by search", fields[0]));
        }
        hollow += usize::from(is_hollow);
        judged += 1;
    }
    if hollow > 3 {
        wrong.push(format!("{hollow} histories hold no observation: 3 are known"));
    }
    (wrong, judged)
}

/// Returns what is wrong and how many histories were judged.
type Judge = dyn Fn() -> (Vec<String>, usize);

fn main() -> ExitCode {
    let etcd = || judge("etcd/", &Options { failed_cas_observes: true, ..Options::default() }, jepsen_log);
    let cas_register = || judge("knossos/", &Options { initial: Some(0), ..Options::default() }, knossos);
    let tests: [(&str, &Judge); 2] = [("logs_of_etcd", &etcd), ("histories_of_knossos", &cas_register)];
    let is_absent = !root().join("EXPECTED.tsv").exists();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    println!("\nrunning {} tests", tests.len());
    for (name, test) in tests {
        if is_absent {
            println!("test {name} ... ignored, no {}", root().display());
            ignored += 1;
            continue;
        }
        let (wrong, judged) = test();
        if wrong.is_empty() && judged > 0 {
            println!("test {name} ... ok ({judged} histories)");
            passed += 1;
        } else {
            println!("test {name} ... FAILED ({judged} histories)\n{}", wrong.join("\n"));
            failed += 1;
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
