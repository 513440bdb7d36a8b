//! Walks a TOML document with its spans, and notes every mistake on the way instead of stopping at the first.
//!
//! A [`Section`] remembers which keys it was asked for: those are the keys it knows, and [`Section::finish`] refuses
//! the others. A reader returns `None` only after it has noted a problem, so callers fill in any value and go on.

use crate::{
    problem::{Code, Problems},
    quantity::{self, Unreadable},
};
use std::ops::{Range, RangeInclusive};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One key with its value.
#[derive(Clone)]
pub(crate) struct Item<'a, 'i> {
    pub(crate) key: &'static str,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: &'a Spanned<DeValue<'i>>,
}

/// One table.
pub(crate) struct Section<'a, 'i> {
    table: &'a DeTable<'i>,
    /// Where it begins.
    pub(crate) span: Range<usize>,
    /// What messages call it, such as `[cluster]`.
    pub(crate) title: String,
    known: Vec<&'static str>,
}

impl<'a, 'i> Section<'a, 'i> {
    pub(crate) fn new(table: &'a DeTable<'i>, span: Range<usize>, title: impl Into<String>) -> Self {
        Self { table, span, title: title.into(), known: Vec::new() }
    }

    /// The item at `key`, if it is there; `key` is known from now on.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'a, 'i>> {
        self.known.push(key);
        let (name, value) = self.table.get_key_value(key)?;
        Some(Item { key, key_span: name.span(), value })
    }

    /// The item at `key`; a problem if it is not there.
    pub(crate) fn require(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Item<'a, 'i>> {
        let item = self.take(key);
        if item.is_none() {
            let message = format!("{} has no `{key}`", self.title);
            problems.add(Code::MissingKey, self.span.clone(), message, format!("needs `{key}`")).help(example);
        }
        item
    }

    /// Whether no key of `names` is there, without asking for them.
    pub(crate) fn has_none_of(&self, names: &[&str]) -> bool {
        names.iter().all(|name| !self.table.contains_key(*name))
    }

    /// Refuses keys that nobody asked for.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let message = format!("unknown key `{name}` in {}", self.title);
                problems
                    .add(Code::UnknownKey, key.span(), message, "not a key of this table")
                    .help_near(name, &self.known);
            }
        }
    }
}

/// Notes that `item` is not `wanted`.
pub(crate) fn wrong_type(item: &Item, wanted: &str, problems: &mut Problems) {
    let found = item.value.get_ref().type_str();
    let message = format!("`{}` must be {wanted}, not {} {found}", item.key, article(found));
    problems.add(Code::WrongType, item.value.span(), message, format!("{} {found}", article(found)));
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'i']) { "an" } else { "a" }
}

pub(crate) fn string<'a>(item: &Item<'a, '_>, problems: &mut Problems) -> Option<&'a str> {
    let text = item.value.get_ref().as_str();
    if text.is_none() {
        wrong_type(item, "a string", problems);
    }
    text
}

pub(crate) fn boolean(item: &Item, problems: &mut Problems) -> Option<bool> {
    let value = item.value.get_ref().as_bool();
    if value.is_none() {
        wrong_type(item, "true or false", problems);
    }
    value
}

/// A whole number within `range`.
pub(crate) fn count(item: &Item, range: RangeInclusive<u64>, problems: &mut Problems) -> Option<u64> {
    let Some(integer) = item.value.get_ref().as_integer() else {
        wrong_type(item, "a whole number", problems);
        return None;
    };
    let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
    let value = value.and_then(|value| u64::try_from(value).ok()).filter(|value| range.contains(value));
    if value.is_none() {
        let message = format!("`{}` must be between {} and {}", item.key, range.start(), range.end());
        problems.add(Code::OutOfRange, item.value.span(), message, "out of range");
    }
    value
}

/// One of a few words.
pub(crate) fn word<T: Clone>(item: &Item, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let text = string(item, problems)?;
    let found = words.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let message = format!("`{}` cannot be `{text}`", item.key);
        problems.add(Code::UnknownWord, item.value.span(), message, "not known here").help_near(text, &known);
    }
    found.map(|(_, value)| value.clone())
}

/// A quantity in a string with its unit.
fn quantity<T>(
    item: &Item,
    what: &str,
    read: impl Fn(&str) -> Result<T, Unreadable>,
    problems: &mut Problems,
) -> Option<T> {
    let bare = match item.value.get_ref() {
        DeValue::String(text) => match read(text) {
            Ok(value) => return Some(value),
            Err(unreadable) => unreadable,
        },
        DeValue::Integer(number) => read(number.as_str()).err()?,
        DeValue::Float(number) => read(number.as_str()).err()?,
        _ => {
            wrong_type(item, &format!("{what} in a string"), problems);
            return None;
        }
    };
    let (code, message, label) = if bare.unit_missing {
        (Code::MissingUnit, format!("`{}` needs a unit", item.key), "no unit")
    } else {
        (Code::BadQuantity, format!("`{}` must be {what}", item.key), "cannot be read")
    };
    problems.add(code, item.value.span(), message, label).help(bare.help);
    None
}

/// A duration, in ns.
pub(crate) fn duration(item: &Item, problems: &mut Problems) -> Option<u64> {
    quantity(item, "a duration", quantity::duration_ns, problems)
}

/// A duration above 0, in ns.
pub(crate) fn positive_duration(item: &Item, problems: &mut Problems) -> Option<u64> {
    let ns = duration(item, problems)?;
    if ns == 0 {
        problems.add(Code::OutOfRange, item.value.span(), format!("`{}` must be above 0", item.key), "no time at all");
        return None;
    }
    Some(ns)
}

/// A share, in parts per million.
pub(crate) fn share(item: &Item, problems: &mut Problems) -> Option<u32> {
    quantity(item, "a probability", quantity::share_ppm, problems)
}

/// A rate.
pub(crate) fn rate(item: &Item, problems: &mut Problems) -> Option<quantity::Rate> {
    quantity(item, "a rate", quantity::rate, problems)
}

/// A table as the value of a key.
pub(crate) fn section<'a, 'i>(
    item: &Item<'a, 'i>,
    title: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<Section<'a, 'i>> {
    let Some(table) = item.value.get_ref().as_table() else {
        wrong_type(item, "a table", problems);
        let span = item.value.span();
        // `wrong_type` has just noted it: the help goes to that problem.
        problems.help_last(span, example);
        return None;
    };
    Some(Section::new(table, header_span(item), title))
}

/// The tables of an array of tables, such as `[[fault]]`.
pub(crate) fn sections<'a, 'i>(item: &Item<'a, 'i>, problems: &mut Problems) -> Vec<Section<'a, 'i>> {
    let title = format!("[[{}]]", item.key);
    let Some(array) = item.value.get_ref().as_array() else {
        wrong_type(item, "an array of tables", problems);
        problems.help_last(item.value.span(), &format!("write {title}, with two brackets, once for each"));
        return Vec::new();
    };
    let mut found = Vec::new();
    for element in array.iter() {
        match element.get_ref().as_table() {
            Some(table) => found.push(Section::new(table, element.span(), title.clone())),
            None => {
                let element = Item { key: item.key, key_span: item.key_span.clone(), value: element };
                wrong_type(&element, "an array of tables", problems);
            }
        }
    }
    found
}

/// Where a table begins: its header or its key.
fn header_span(item: &Item) -> Range<usize> {
    if item.value.span().is_empty() { item.key_span.clone() } else { item.value.span() }
}
