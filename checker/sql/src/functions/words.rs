//! Calls and times in words.

use arrow::array::{Array, AsArray, Int64Array, ListArray, StructArray};
use arrow::datatypes::{DataType, Int64Type};
use std::fmt::Write;

/// Elements of a list that are written out at most; the rest is counted.
const ELEMENTS_MAX: usize = 12;

/// A length of time for a person: four digits at most, and the unit that suits it.
pub(crate) fn duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let magnitude = ns.unsigned_abs();
    let (unit_ns, unit) = match magnitude {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        1_000_000_000..120_000_000_000 => (1e9, "s"),
        120_000_000_000..7_200_000_000_000 => (60e9, "min"),
        _ => (3_600e9, "h"),
    };
    let value = magnitude as f64 / unit_ns;
    let digits = if value < 10.0 {
        3
    } else if value < 100.0 {
        2
    } else {
        1
    };
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{sign}{text} {unit}")
}

/// The columns of one operation that say what was asked and told. What a call does not have is null.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) f: &'a str,
    pub(crate) is_ok: bool,
    pub(crate) key: Option<i64>,
    pub(crate) value: Option<i64>,
    pub(crate) expected: Option<i64>,
    pub(crate) mops: Option<&'a StructArray>,
    pub(crate) elements: Option<&'a Int64Array>,
    pub(crate) to_key: Option<i64>,
    pub(crate) balances: Option<&'a StructArray>,
    pub(crate) value_text: Option<&'a str>,
}

/// Writes integers, or the names that they stand for.
pub(crate) type Name<'a> = &'a dyn Fn(i64) -> String;

/// What was asked, and what was told if it was `ok`.
pub(crate) fn call(call: &Call<'_>, name: Name<'_>) -> String {
    let key = call.key.map_or_else(|| "?".to_owned(), name);
    let value = call.value.map_or_else(|| "nothing".to_owned(), name);
    let told = |text: String| if call.is_ok { format!(" -> {text}") } else { String::new() };
    match call.f {
        "txn" => mops(call, name),
        "read" if call.elements.is_some() => format!("read {key}{}", told(list(call.elements, name))),
        "read" if call.balances.is_some() => format!("read balances{}", told(balances(call.balances, name))),
        "read" => format!("read {key}{}", told(value)),
        "write" => format!("write {value} to {key}"),
        "cas" => format!("set {key} from {} to {value}", call.expected.map_or_else(|| "?".to_owned(), name)),
        "add" | "append" | "enqueue" | "push" => format!("{} {value} to {key}", call.f),
        "dequeue" | "pop" | "generate" => format!("{} from {key}{}", call.f, told(value)),
        "drain" => format!("drain {key}{}", told(list(call.elements, name))),
        "acquire" | "release" => match call.value {
            Some(token) => format!("{} {key} with token {}", call.f, name(token)),
            None => format!("{} {key}", call.f),
        },
        "transfer" => {
            format!("transfer {value} from {key} to {}", call.to_key.map_or_else(|| "?".to_owned(), name))
        }
        "subscribe" | "assign" => format!("{} {}", call.f, list(call.elements, name)),
        other => match call.value_text {
            Some(text) => format!("{other} {text}"),
            None => other.to_owned(),
        },
    }
}

fn list(elements: Option<&Int64Array>, name: Name<'_>) -> String {
    let Some(elements) = elements else { return "?".to_owned() };
    let mut text = String::from("[");
    // The end of a list says most: what came last.
    let skipped = elements.len().saturating_sub(ELEMENTS_MAX);
    if skipped > 0 {
        let _ = write!(text, "{skipped} more, ");
    }
    for (at, element) in elements.iter().skip(skipped).enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}{}", element.map_or_else(|| "nil".to_owned(), name));
    }
    text + "]"
}

fn balances(balances: Option<&StructArray>, name: Name<'_>) -> String {
    let Some(pairs) = balances else { return "?".to_owned() };
    let ints = |column: &str| pairs.column_by_name(column).and_then(|array| array.as_primitive_opt::<Int64Type>());
    let (Some(accounts), Some(amounts)) = (ints("account"), ints("balance")) else { return "?".to_owned() };
    let pair = |row: usize| {
        let amount = if amounts.is_null(row) { "nil".to_owned() } else { amounts.value(row).to_string() };
        format!("{}: {amount}", name(accounts.value(row)))
    };
    let shown: Vec<String> = (0..pairs.len().min(ELEMENTS_MAX)).map(pair).collect();
    let more =
        if pairs.len() > ELEMENTS_MAX { format!(", {} more", pairs.len() - ELEMENTS_MAX) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn mops(call: &Call<'_>, name: Name<'_>) -> String {
    let Some(mops) = call.mops else { return "txn".to_owned() };
    if mops.is_empty() {
        return "nothing".to_owned();
    }
    (0..mops.len()).map(|row| mop(mops, row, call.is_ok, name)).collect::<Vec<_>>().join("; ")
}

fn mop(mops: &StructArray, row: usize, is_ok: bool, name: Name<'_>) -> String {
    let int = |column: &str| {
        let array = mops.column_by_name(column)?.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    };
    let f = mops.column_by_name("f").and_then(|f| match f.data_type() {
        DataType::Utf8View => f.as_string_view_opt().map(|f| f.value(row)),
        _ => f.as_string_opt::<i32>().map(|f| f.value(row)),
    });
    let f = f.unwrap_or("?");
    let key = int("key").map_or_else(|| "?".to_owned(), name);
    let value = int("value").map_or_else(|| "nothing".to_owned(), name);
    let told = |text: String| if is_ok { format!(" -> {text}") } else { String::new() };
    match f {
        "append" => format!("append {value} to {key}"),
        "w" => format!("write {value} to {key}"),
        "rr" => format!("read {key}{}", told(value)),
        "r" => {
            let lists = mops.column_by_name("list").and_then(|list| list.as_list_opt::<i32>());
            let seen = lists.and_then(|lists| elements(lists, row));
            // An empty list of an `ok` read may be stored as null.
            let text = if seen.is_some() { list(seen.as_ref(), name) } else { "[]".to_owned() };
            format!("read {key}{}", told(text))
        }
        "send" => match int("offset") {
            Some(offset) => format!("send {value} to {key} at {offset}"),
            None => format!("send {value} to {key}"),
        },
        "insert" => format!("insert {value} at {key}"),
        "delete" => format!("delete {key}"),
        "poll" => format!("poll{}", told(records(mops, row, name))),
        "rp" => format!("read where {value}{}", told(records(mops, row, name))),
        other => format!("{other} {key}"),
    }
}

fn elements(lists: &ListArray, row: usize) -> Option<Int64Array> {
    lists.is_valid(row).then(|| lists.value(row))?.as_primitive_opt::<Int64Type>().cloned()
}

fn records(mops: &StructArray, row: usize, name: Name<'_>) -> String {
    let records = mops.column_by_name("records").and_then(|records| records.as_list_opt::<i32>());
    let Some(records) = records.filter(|records| records.is_valid(row)).map(|records| records.value(row)) else {
        return "[]".to_owned();
    };
    let int = |column: &str, row: usize| {
        let array = records.as_struct_opt()?.column_by_name(column)?.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    };
    let shown: Vec<String> = (0..records.len().min(ELEMENTS_MAX))
        .map(|row| {
            let word = |number: Option<i64>| number.map_or_else(|| "nil".to_owned(), name);
            format!("{}: {}", word(int("key", row)), word(int("value", row)))
        })
        .collect();
    let more = records.len().saturating_sub(ELEMENTS_MAX);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    format!("[{}{more}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_the_unit_that_suits_them() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (-1_500, "-1.5 µs"),
            (12_345_678, "12.35 ms"),
            (1_000_000_000, "1 s"),
            (119_900_000_000, "119.9 s"),
            (180_000_000_000, "3 min"),
            (i64::MAX, "2562047.8 h"),
            (i64::MIN, "-2562047.8 h"),
        ] {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn calls_on_single_objects_are_sentences() {
        let name = |number: i64| number.to_string();
        let read = Call { f: "read", key: Some(7), value: Some(3), ..Call::default() };
        assert_eq!(call(&read, &name), "read 7");
        assert_eq!(call(&Call { is_ok: true, ..read }, &name), "read 7 -> 3");
        assert_eq!(call(&Call { is_ok: true, value: None, ..read }, &name), "read 7 -> nothing");
        let elements: Int64Array = (0..20).map(Some).collect();
        let set = Call { is_ok: true, elements: Some(&elements), ..read };
        assert_eq!(call(&set, &name), "read 7 -> [8 more, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]");
        let cas = Call { f: "cas", key: Some(7), value: Some(3), expected: Some(2), ..Call::default() };
        assert_eq!(call(&cas, &name), "set 7 from 2 to 3");
        let other = Call { f: "reboot", value_text: Some(":now"), ..Call::default() };
        assert_eq!(call(&other, &name), "reboot :now");
    }
}
