//! Names: integers that stand for keys and values that are none.
//!
//! Operations hold integers. A key such as `:x`, a value such as `"a b"` or `1/2`, an integer that does not fit into 64
//! bits: each gets an integer of the range [`NAMES_FIRST`]`..=`[`NAMES_LAST`] in the order in which they come first, and
//! the names say what it stands for. An integer of a history that falls into the range by chance is named as well, so
//! that nothing is mixed up.
//!
//! ```
//! use fissure_checker::Names;
//! let mut names = Names::default();
//! let x = names.number(":x");
//! assert_eq!(names.number(":x"), x);
//! assert_eq!(names.text(x), Some(":x"));
//! assert_eq!(names.display(x).to_string(), ":x");
//! assert_eq!(names.display(7).to_string(), "7");
//! ```

use crate::finding::CheckResult;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The first integer that stands for a name.
pub const NAMES_FIRST: i64 = -(1 << 62);

/// The last integer that may stand for a name.
pub const NAMES_LAST: i64 = NAMES_FIRST + (1 << 40) - 1;

/// How every integer of the range begins when it is written in decimal: -4 611 686 018 427 387 904 up to 2^40 more.
const NAMES_FIRST_DIGITS: &str = "-46116";

/// What the integers of a history that are names stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    texts: Vec<Arc<str>>,
    numbers: FxHashMap<Arc<str>, i64>,
}

impl Names {
    /// Whether an integer would be taken for a name.
    #[must_use]
    pub fn is_name(number: i64) -> bool {
        (NAMES_FIRST..=NAMES_LAST).contains(&number)
    }

    /// The integer that stands for `text` (a value in EDN), a new one if there is none yet.
    pub fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = NAMES_FIRST + self.texts.len() as i64;
        let text: Arc<str> = Arc::from(text);
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The integer that stands for an integer: itself, unless it would be taken for a name.
    pub fn number_of_int(&mut self, value: i64) -> i64 {
        if Self::is_name(value) { self.number(&value.to_string()) } else { value }
    }

    /// What `number` stands for; `None` if it stands for itself.
    #[must_use]
    pub fn text(&self, number: i64) -> Option<&str> {
        let place = usize::try_from(number.checked_sub(NAMES_FIRST)?).ok()?;
        self.texts.get(place).map(|text| &**text)
    }

    /// The name, or the number itself, for a person to read.
    #[must_use]
    pub fn display(&self, number: i64) -> Displayed<'_> {
        Displayed { text: self.text(number), number }
    }

    /// The text with every integer that stands for a name replaced by the name.
    #[must_use]
    pub fn told<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_empty() || !text.contains(NAMES_FIRST_DIGITS) {
            return Cow::Borrowed(text);
        }
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(place) = rest.find(NAMES_FIRST_DIGITS) {
            let (before, number) = rest.split_at(place);
            let digits = number[1..].bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = number.split_at(1 + digits);
            told.push_str(before);
            match number.parse().ok().and_then(|number| self.text(number)) {
                Some(name) => told.push_str(name),
                None => told.push_str(number),
            }
            rest = after;
        }
        told.push_str(rest);
        Cow::Owned(told)
    }

    /// Integers and names in order of the integers.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.texts.iter().zip(NAMES_FIRST..).map(|(text, number)| (number, &**text))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl CheckResult {
    /// The same answer in the words of the system under test: names instead of the integers that stand for them.
    #[must_use]
    pub(crate) fn told_with(mut self, names: &Names) -> Self {
        if names.is_empty() {
            return self;
        }
        let tell = |text: &mut String| *text = names.told(text).into_owned();
        for finding in &mut self.findings {
            tell(&mut finding.summary);
            finding.explanation.iter_mut().for_each(tell);
        }
        self.verdict.reasons.iter_mut().for_each(|reason| tell(&mut reason.text));
        tell(&mut self.evidence);
        self
    }
}

/// An integer of a history as a person should see it.
#[derive(Clone, Copy, Debug)]
pub struct Displayed<'a> {
    text: Option<&'a str>,
    number: i64,
}

impl fmt::Display for Displayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_replace_their_integers_and_nothing_else() {
        let mut names = Names::default();
        let (x, y) = (names.number(":x"), names.number("\"a b\""));
        let text = format!("key {x}: read {y} and -46116 and {}, then {x}", NAMES_LAST);
        assert_eq!(names.told(&text), format!("key :x: read \"a b\" and -46116 and {NAMES_LAST}, then :x"));
        assert_eq!(Names::default().told(&text), text);
        assert!([NAMES_FIRST, NAMES_LAST].iter().all(|end| end.to_string().starts_with(NAMES_FIRST_DIGITS)));
    }

    #[test]
    fn an_integer_of_the_range_is_named_like_everything_else() {
        let mut names = Names::default();
        let number = names.number_of_int(NAMES_FIRST + 3);
        assert_eq!(names.text(number), Some("-4611686018427387901"));
        assert_eq!(names.number_of_int(-5), -5);
    }
}
