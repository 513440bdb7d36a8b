//! Small phrases: numbers, moments, operations, flags. Shared by every form of report.

use crate::input::{ExcerptFile, ReportInput};
use fissure_checker::{Call, Finding, History, Mop, Names, Operation, Outcome};

/// Elements of a list that are shown before it is cut.
const LIST_SHOWN: usize = 8;

/// `1204` as `1 204`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 packet`, `1 204 packets`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// Seconds since the start of the run with milliseconds, rounded down as checkers do: `12.345`.
pub(crate) fn seconds(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ms = ns.unsigned_abs() / 1_000_000;
    format!("{sign}{}.{:03}", ms / 1_000, ms % 1_000)
}

/// Seconds with one digit: `12.3`.
pub(crate) fn tenths(ns: i64) -> String {
    format!("{:.1}", ns as f64 / 1e9)
}

/// A span of time in a unit that fits it.
pub(crate) fn span(ns: i64) -> String {
    let value = ns as f64;
    match ns {
        100_000_000_000.. => format!("{:.0} s", value / 1e9),
        1_000_000_000.. => format!("{:.2} s", value / 1e9),
        10_000_000.. => format!("{:.0} ms", value / 1e6),
        1_000_000.. => format!("{:.1} ms", value / 1e6),
        1_000.. => format!("{:.0} µs", value / 1e3),
        _ => format!("{ns} ns"),
    }
}

/// The set TCP flags, by name.
pub(crate) fn tcp_flags(bits: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<&str> =
        NAMES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "-".to_owned() } else { set.join(" ") }
}

/// Text without characters that would move the cursor, ring a bell or turn the line around.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hostile(c) { '\u{fffd}' } else { c }).collect()
}

/// Control characters, those that reorder what stands beside them, and those that XML does not allow.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What an operation asked and was told: `read key 7 → 3`.
pub(crate) fn call(op: &Operation, input: &ReportInput) -> String {
    input.history.names().told(&numbers(op)).into_owned()
}

/// What a micro-operation of `op` asked and was told: `append 3 to 7`.
pub(crate) fn micro_operation(op: &Operation, mop: &Mop, names: &Names) -> String {
    names.told(&micro(op.outcome, mop)).into_owned()
}

/// The same, with the integers that stand for names.
fn numbers(op: &Operation) -> String {
    match &op.call {
        Call::Read { key, value } => format!("read key {key}{}", told(op.outcome, *value)),
        Call::Write { key, value } => format!("write {value} to key {key}"),
        Call::Cas { key, expected, value } => format!("cas key {key} from {expected} to {value}"),
        Call::Txn(mops) => {
            let words: Vec<String> = mops.iter().map(|mop| micro(op.outcome, mop)).collect();
            if words.is_empty() { "empty transaction".to_owned() } else { words.join(", ") }
        }
        Call::Add { key, value } => format!("add {value} to {key}"),
        Call::ReadSet { key, elements } => format!("read set {key} → {}", told_list(op.outcome, elements.as_deref())),
        Call::Append { key, value } => format!("append {value} to key {key}"),
        Call::Enqueue { key, value } => format!("enqueue {value} in {key}"),
        Call::Dequeue { key, value } => format!("dequeue from {key}{}", told(op.outcome, *value)),
        Call::Drain { key, elements } => format!("drain {key} → {}", told_list(op.outcome, elements.as_deref())),
        Call::Push { key, value } => format!("push {value} on {key}"),
        Call::Pop { key, value } => format!("pop from {key}{}", told(op.outcome, *value)),
        Call::Acquire { key, value } => format!("acquire {key}{}", token(*value)),
        Call::Release { key, value } => format!("release {key}{}", token(*value)),
        Call::Generate { value, .. } => format!("generate{}", told(op.outcome, value.map(Some))),
        Call::Transfer { from, to, amount } => format!("transfer {amount} from {from} to {to}"),
        Call::ReadBalances { balances } => {
            format!("read balances → {}", told_balances(op.outcome, balances.as_deref()))
        }
        Call::Subscribe { keys } => format!("subscribe to {}", elements(keys)),
        Call::Assign { keys } => format!("assign {}", elements(keys)),
        Call::Other(other) => match &other.value {
            Some(value) => format!("{} {}", printable(&other.f), printable(&cut(value, 60))),
            None => printable(&other.f),
        },
    }
}

fn told(outcome: Outcome, value: Option<Option<i64>>) -> String {
    match (outcome, value) {
        (Outcome::Ok, Some(Some(value))) => format!(" → {value}"),
        (Outcome::Ok, Some(None)) => " → nothing".to_owned(),
        _ => " → ?".to_owned(),
    }
}

fn told_list(outcome: Outcome, list: Option<&[i64]>) -> String {
    match list {
        Some(list) if outcome == Outcome::Ok => elements(list),
        _ => "?".to_owned(),
    }
}

fn told_balances(outcome: Outcome, balances: Option<&[(i64, Option<i64>)]>) -> String {
    match balances {
        Some(balances) if outcome == Outcome::Ok => {
            let one = |&(account, balance): &(i64, Option<i64>)| {
                format!("{account}: {}", balance.map_or_else(|| "nil".to_owned(), |balance| balance.to_string()))
            };
            balances.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        _ => "?".to_owned(),
    }
}

fn token(token: Option<i64>) -> String {
    token.map_or_else(String::new, |token| format!(" with token {token}"))
}

fn micro(outcome: Outcome, mop: &Mop) -> String {
    match mop {
        Mop::Append { key, value } => format!("append {value} to {key}"),
        Mop::ReadList { key, list: Some(list) } if outcome == Outcome::Ok => format!("read {key} → {}", elements(list)),
        Mop::ReadList { key, .. } => format!("read {key} → ?"),
        Mop::Write { key, value } => format!("write {value} to {key}"),
        Mop::Read { key, value } => format!("read {key}{}", told(outcome, *value)),
        Mop::Send { key, value, offset } => match offset {
            Some(offset) => format!("send {value} to {key} at {offset}"),
            None => format!("send {value} to {key}"),
        },
        Mop::Poll { records: Some(records) } if outcome == Outcome::Ok => format!("poll → {} records", records.len()),
        Mop::Poll { .. } => "poll → ?".to_owned(),
        Mop::Insert { key, value } => format!("insert {value} at {key}"),
        Mop::Delete { key } => format!("delete {key}"),
        Mop::ReadPredicate { matched: Some(matched), .. } if outcome == Outcome::Ok => {
            format!("read by predicate → {} objects", matched.len())
        }
        Mop::ReadPredicate { .. } => "read by predicate → ?".to_owned(),
    }
}

/// A list; of a long one both ends.
fn elements(list: &[i64]) -> String {
    let words = |part: &[i64]| part.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    if list.len() <= LIST_SHOWN {
        return format!("[{}]", words(list));
    }
    let (head, tail) = (&list[..2], &list[list.len() - 4..]);
    format!("[{} … {}] ({} elements)", words(head), words(tail), list.len())
}

/// The first `length` characters of a text, with a sign if it was cut.
pub(crate) fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(length.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The operations of a finding with the names that its sentences give them (`T1`, `R`, `W`), in that order.
///
/// Where the sentences do not name exactly as many, the operations are named by their numbers.
pub(crate) fn named_ops<'a>(finding: &Finding, input: &'a ReportInput) -> Vec<(String, &'a Operation)> {
    named_in(finding, &input.history)
}

/// The same, of any history.
pub(crate) fn named_in<'a>(finding: &Finding, history: &'a History) -> Vec<(String, &'a Operation)> {
    let names = names_in(finding);
    let numbered = names.len() != finding.ops.len();
    let ops = finding.ops.iter().enumerate().filter_map(|(place, op_id)| {
        let name = if numbered { format!("op {op_id}") } else { names[place].clone() };
        Some((name, operation_in(history, *op_id)?))
    });
    ops.collect()
}

/// The operation with this number.
pub(crate) fn operation(input: &ReportInput, op_id: u64) -> Option<&Operation> {
    operation_in(&input.history, op_id)
}

/// The operation of a history with this number.
pub(crate) fn operation_in(history: &History, op_id: u64) -> Option<&Operation> {
    let ops = history.ops();
    let place = ops.binary_search_by_key(&op_id, |op| op.op_id).ok()?;
    ops.get(place)
}

/// Names that the sentences of a finding introduce as `NAME = …`, each once, in order.
fn names_in(finding: &Finding) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for sentence in &finding.explanation {
        let head = sentence.trim_start().strip_prefix("Let:").unwrap_or(sentence).trim_start();
        let Some((name, _)) = head.split_once(" = ") else { continue };
        let is_name = name.len() <= 4
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '\'');
        if is_name && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// First invocation and last completion of a finding's operations, on the clock of the history.
pub(crate) fn window(ops: &[(String, &Operation)]) -> Option<(i64, i64)> {
    let from = ops.iter().map(|(_, op)| op.invoke_ns).min()?;
    let to = ops.iter().filter_map(|(_, op)| op.complete_ns).max().unwrap_or(from);
    Some((from, to))
}

/// The file with the few operations that show a finding, and the command that checks it.
pub(crate) fn excerpt<'a>(finding: &Finding, input: &'a ReportInput) -> Option<(&'a ExcerptFile, String)> {
    let file = input.excerpts.get(&finding.id)?;
    let result = input.results.iter().find(|result| result.findings.iter().any(|known| known.id == finding.id))?;
    let (path, model) = (shell(&printable(&file.path)), shell(&printable(&result.model)));
    Some((file, format!("fissure check {path} --workload {} --model {model}", shell(&printable(&result.checker)))))
}

/// Says where the clock of the findings' sentences starts, where it is not that of the run.
pub(crate) fn clock_note(input: &ReportInput) -> Option<String> {
    let since_start_ns = input.history.origin_ns() - input.started_ns;
    (since_start_ns != 0).then(|| {
        format!("times in these sentences count from the first operation, {} s into the run", seconds(since_start_ns))
    })
}

/// Text as one word of a shell command.
pub(crate) fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Text as one word of a shell command, in double quotes.
pub(crate) fn shell_double(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| "\"\\$`".contains(c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let grouped: Vec<String> = [0, 7, 999, 1_000, 12_345, 1_234_567].iter().map(|n| thousands(*n)).collect();
        assert_eq!(grouped, ["0", "7", "999", "1 000", "12 345", "1 234 567"]);
        assert_eq!((count(1, "packet"), count(0, "packet")), ("1 packet".to_owned(), "0 packets".to_owned()));
    }

    #[test]
    fn moments_before_the_run_keep_their_sign() {
        assert_eq!(seconds(-1_500_000_000), "-1.500");
        assert_eq!(seconds(12_345_678_901), "12.345");
        assert_eq!(seconds(i64::MIN), "-9223372036.854");
    }

    #[test]
    fn flags_are_named_from_the_lowest_bit() {
        assert_eq!(tcp_flags(0b0000_0010), "SYN");
        assert_eq!(tcp_flags(0b0001_1000), "PSH ACK");
        assert_eq!(tcp_flags(0), "-");
    }

    #[test]
    fn a_word_of_the_shell_stays_one_word() {
        assert_eq!(shell("store/a-1/2026"), "store/a-1/2026");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's $(x)"), "'it'\\''s $(x)'");
    }
}
