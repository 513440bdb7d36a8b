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

use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;

/// The first integer that stands for a name.
pub const NAMES_FIRST: i64 = -(1 << 62);

/// The last integer that may stand for a name.
pub const NAMES_LAST: i64 = NAMES_FIRST + (1 << 40) - 1;

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
