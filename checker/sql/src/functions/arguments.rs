//! Arguments of table functions.

use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

/// What a call was given, and how it should have been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) values: &'a [Expr],
    pub(crate) usage: &'a str,
}

impl Arguments<'_> {
    /// A whole number.
    pub(crate) fn int(&self, at: usize) -> Result<i64> {
        let number = match self.values.get(at) {
            Some(Expr::Literal(value, _)) => whole(value),
            Some(Expr::Negative(inner)) => match inner.as_ref() {
                Expr::Literal(value, _) => whole(value).and_then(i64::checked_neg),
                _ => None,
            },
            _ => None,
        };
        number.map_or_else(|| self.wrong(at, "a whole number"), Ok)
    }

    /// A text; quotes are doubled, ready to be put between quotes in SQL.
    pub(crate) fn text(&self, at: usize) -> Result<String> {
        match self.values.get(at).and_then(text) {
            Some(text) => Ok(text.replace('\'', "''")),
            None => self.wrong(at, "a text in single quotes"),
        }
    }

    /// A length of time, such as `'500ms'`, in ns; more than zero.
    pub(crate) fn duration_ns(&self, at: usize) -> Result<i64> {
        match self.values.get(at).and_then(text).and_then(parse_duration_ns) {
            Some(ns) if ns > 0 => Ok(ns),
            _ => self.wrong(at, "a length of time, such as '500ms', '1s' or '2min'"),
        }
    }

    /// Fails unless there are between `least` and `most`.
    pub(crate) fn count(&self, least: usize, most: usize) -> Result<()> {
        if (least..=most).contains(&self.values.len()) {
            return Ok(());
        }
        plan_err!("{} arguments where {} is expected", self.values.len(), self.usage)
    }

    fn wrong<T>(&self, at: usize, expected: &str) -> Result<T> {
        plan_err!("argument {} must be {expected}: {}", at + 1, self.usage)
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

fn whole(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(value) => *value,
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::UInt64(value) => value.and_then(|value| i64::try_from(value).ok()),
        _ => None,
    }
}

/// A length of time as a person writes it: a number and a unit.
pub(crate) fn parse_duration_ns(text: &str) -> Option<i64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let unit_ns = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3_600e9,
        _ => return None,
    };
    let ns = number.parse::<f64>().ok()? * unit_ns;
    // Beyond this a 64-bit integer does not hold it.
    (ns.is_finite() && (0.0..9e18).contains(&ns)).then_some(ns.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, ns) in [
            ("500ms", Some(500_000_000)),
            ("1s", Some(1_000_000_000)),
            (" 1.5 s ", Some(1_500_000_000)),
            ("2min", Some(120_000_000_000)),
            ("1h", Some(3_600_000_000_000)),
            ("7 ns", Some(7)),
            ("3us", Some(3_000)),
            ("1", None),
            ("s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1 fortnight", None),
            ("99999999999h", None),
            ("", None),
        ] {
            assert_eq!(parse_duration_ns(text), ns, "{text:?}");
        }
    }
}
