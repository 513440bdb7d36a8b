//! Quantities with their units: durations, shares, rates. No floating point: what was written is what is meant.

use std::fmt;

const SECOND: u64 = 1_000_000_000;

/// Units of time and their length in ns, as they may be written.
const TIME_UNITS: [(&str, u64); 6] =
    [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", SECOND), ("m", 60 * SECOND), ("h", 3600 * SECOND)];

/// Why a quantity could not be read, with a help text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Whether only the unit is missing.
    pub(crate) unit_missing: bool,
    /// What to write instead.
    pub(crate) help: String,
}

impl Unreadable {
    fn new(help: impl Into<String>) -> Self {
        Self { unit_missing: false, help: help.into() }
    }

    fn unit(help: impl Into<String>) -> Self {
        Self { unit_missing: true, help: help.into() }
    }
}

/// How often something happens: `count` times in `per_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rate {
    /// How often.
    pub count: u64,
    /// In how many ns.
    pub per_ns: u64,
}

impl Rate {
    /// Times per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count as f64 * SECOND as f64 / self.per_ns as f64
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = TIME_UNITS.iter().find(|(_, length)| *length == self.per_ns).map_or("?", |(unit, _)| *unit);
        write!(f, "{}/{unit}", self.count)
    }
}

/// Splits `"1.5ms"` into `("1.5", "ms")`.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// `number * scale`, exactly; `None` if `number` is not a decimal number, or not a whole multiple, or too large.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || (number.contains('.') && !digits(fraction)) || fraction.len() > 9 {
        return None;
    }
    let ten = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let value = whole.parse::<u64>().ok()?;
    let rest: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let total = (u128::from(value) * ten + rest) * u128::from(scale);
    if !total.is_multiple_of(ten) {
        return None;
    }
    u64::try_from(total / ten).ok()
}

/// A duration such as `90ms`, `1.5s`, `2m`, in ns.
pub(crate) fn duration_ns(text: &str) -> Result<u64, Unreadable> {
    let (number, unit) = split_unit(text.trim());
    if unit.is_empty() && scaled(number, 1).is_some() {
        return Err(Unreadable::unit(format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds")));
    }
    let known =
        || Unreadable::new("a duration is a number and one of the units ns, us, ms, s, m, h: \"90ms\", \"1.5s\"");
    let (_, length) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(known)?;
    // About 146 years: enough for any run, and sums of a few durations cannot overflow.
    scaled(number, *length).filter(|ns| *ns < u64::MAX / 4).ok_or_else(known)
}

/// A duration such as `90ms`, `1.5s`, `2m`, in ns, for command lines.
///
/// # Errors
/// What to write instead.
pub fn parse_duration_ns(text: &str) -> Result<u64, String> {
    duration_ns(text).map_err(|unreadable| unreadable.help)
}

/// A share such as `30%` or `0.5%`, in parts per million, above 0 and at most 100 %.
pub(crate) fn share_ppm(text: &str) -> Result<u32, Unreadable> {
    let (number, unit) = split_unit(text.trim());
    if unit.is_empty() && scaled(number, 1_000_000).is_some() {
        return Err(Unreadable::unit(format!("write \"{number}%\"")));
    }
    let help = || Unreadable::new("a probability is a percentage above 0% and at most 100%, to four decimals: \"30%\"");
    if unit != "%" {
        return Err(help());
    }
    let ppm = scaled(number, 10_000).ok_or_else(help)?;
    u32::try_from(ppm).ok().filter(|ppm| (1..=1_000_000).contains(ppm)).ok_or_else(help)
}

/// A rate such as `200/s` or `6000/m`.
pub(crate) fn rate(text: &str) -> Result<Rate, Unreadable> {
    let help = || Unreadable::new("a rate is a whole number above 0 per second, minute or hour: \"200/s\", \"6000/m\"");
    let Some((count, unit)) = text.split_once('/') else {
        let number = text.trim();
        let bare = number.parse::<u64>().is_ok();
        return Err(if bare { Unreadable::unit(format!("write \"{number}/s\"")) } else { help() });
    };
    let count =
        count.trim().parse::<u64>().ok().filter(|count| (1..=1_000_000_000).contains(count)).ok_or_else(help)?;
    let per_ns = match unit.trim() {
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return Err(help()),
    };
    Ok(Rate { count, per_ns })
}

/// A duration for people, exact: `90ms`, `1.5s`, `2m`.
#[must_use]
pub fn show_duration(ns: u64) -> String {
    if ns >= 60 * SECOND && ns.is_multiple_of(60 * SECOND) {
        return format!("{}m", ns / (60 * SECOND));
    }
    let (unit, length) = [("s", SECOND), ("ms", 1_000_000), ("us", 1_000)]
        .into_iter()
        .find(|(_, length)| ns >= *length)
        .unwrap_or(("ns", 1));
    show_decimal(ns, length) + if ns == 0 { "s" } else { unit }
}

/// A share for people: `30%`.
#[must_use]
pub fn show_share(ppm: u32) -> String {
    show_decimal(u64::from(ppm), 10_000) + "%"
}

fn show_decimal(value: u64, scale: u64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_exact() {
        assert_eq!(duration_ns("90ms"), Ok(90_000_000));
        assert_eq!(duration_ns("1.5s"), Ok(1_500_000_000));
        assert_eq!(duration_ns("0s"), Ok(0));
        assert_eq!(duration_ns("2m"), Ok(120 * SECOND));
        for bad in ["", "s", "1.5ns", "-1s", "1e3s", "1 fortnight", "1.s", ".5s", "99999999999999h", "1s 2ms"] {
            assert!(!duration_ns(bad).expect_err(bad).unit_missing, "{bad}");
        }
        assert!(duration_ns("10").expect_err("bare").unit_missing);
    }

    #[test]
    fn shares_and_rates_need_their_units() {
        assert_eq!(share_ppm("30%"), Ok(300_000));
        assert_eq!(share_ppm("0.0001%"), Ok(1));
        assert_eq!(share_ppm("100%"), Ok(1_000_000));
        assert!(share_ppm("0.3").expect_err("bare").unit_missing);
        for bad in ["0%", "101%", "0.00001%", "%", "x%"] {
            assert!(!share_ppm(bad).expect_err(bad).unit_missing, "{bad}");
        }
        assert_eq!(rate("200/s").map(|rate| rate.to_string()), Ok("200/s".to_owned()));
        assert_eq!(rate("6000/m").map(Rate::per_second), Ok(100.0));
        assert!(rate("200").expect_err("bare").unit_missing);
        assert!(rate("0/s").is_err() && rate("1/fortnight").is_err());
    }

    proptest! {
        #[test]
        fn a_shown_duration_is_read_back(ns in 0_u64..(1 << 60)) {
            prop_assert_eq!(duration_ns(&show_duration(ns)), Ok(ns));
        }

        #[test]
        fn a_shown_share_is_read_back(ppm in 1_u32..=1_000_000) {
            prop_assert_eq!(share_ppm(&show_share(ppm)), Ok(ppm));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (duration_ns(&text), share_ppm(&text), rate(&text));
        }
    }
}
