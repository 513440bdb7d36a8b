//! Predicates, and the little EDN they are written in.

use crate::names::Names;

/// What a read by predicate asks of a value. What was not born, or is dead, never matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Predicate {
    /// `:true`: everything.
    True,
    /// `[:= v]`: this value.
    Equals(i64),
    /// `[:mod m r]`: integers with this remainder, which has the sign of `m`.
    Mod(i64, i64),
}

impl Predicate {
    /// The predicate that an integer of the history stands for; `None` if it is none of these.
    pub(super) fn of(number: i64, names: &Names) -> Option<Predicate> {
        Self::parse(names.text(number)?, names)
    }

    fn parse(text: &str, names: &Names) -> Option<Predicate> {
        let text = text.trim();
        if matches!(text, ":true" | "true" | "\"true\"") {
            return Some(Predicate::True);
        }
        let inner = text.strip_prefix(['[', '('])?.strip_suffix([']', ')'])?.replace(',', " ");
        let inner = inner.trim();
        let (head, rest) = inner.split_once(char::is_whitespace)?;
        let rest = rest.trim();
        match head.trim_start_matches(':').trim_matches('"') {
            "=" => Some(Predicate::Equals(value(rest, names)?)),
            "mod" => {
                let (modulus, remainder) = rest.split_once(char::is_whitespace)?;
                let modulus: i64 = modulus.parse().ok().filter(|modulus| *modulus != 0)?;
                Some(Predicate::Mod(modulus, remainder.trim().parse().ok()?))
            }
            _ => None,
        }
    }

    /// Whether a value matches.
    pub(super) fn matches(&self, value: i64, names: &Names) -> bool {
        match self {
            Predicate::True => true,
            Predicate::Equals(wanted) => *wanted == value,
            // A name is no number.
            Predicate::Mod(modulus, remainder) => {
                names.text(value).is_none() && floor_mod(value, *modulus) == *remainder
            }
        }
    }
}

/// The remainder that has the sign of the modulus, as Clojure's `mod`.
fn floor_mod(value: i64, modulus: i64) -> i64 {
    let remainder = i128::from(value) % i128::from(modulus);
    let floored =
        if remainder != 0 && (remainder < 0) != (modulus < 0) { remainder + i128::from(modulus) } else { remainder };
    // Between zero and the modulus, so it fits.
    floored as i64
}

/// An integer, or the name with this text; of a value that no operation holds, one that nothing equals.
fn value(text: &str, names: &Names) -> Option<i64> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let name = names.iter().find(|(_, name)| *name == text).map(|(number, _)| number);
    name.or((!text.contains(char::is_whitespace)).then_some(crate::names::NAMES_LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_are_read_and_held_against_values() {
        let mut names = Names::default();
        let mut of = |text: &str| {
            let number = names.number(text);
            Predicate::of(number, &names)
        };
        assert_eq!(of(":true"), Some(Predicate::True));
        assert_eq!(of("[:= 3]"), Some(Predicate::Equals(3)));
        assert_eq!(of("[:mod 3 -1]"), Some(Predicate::Mod(3, -1)));
        assert_eq!(of("[\"mod\" 2 1]"), Some(Predicate::Mod(2, 1)));
        for wrong in [":false", "[:mod 0 1]", "[:mod 2]", "[:< 3]", "[:= 1 2]", "", "["] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        let red = names.number(":red");
        let equals = Predicate::parse("[:= :red]", &names).unwrap();
        assert!(equals.matches(red, &names) && !equals.matches(1, &names));
        assert!(!Predicate::Mod(1, 0).matches(red, &names) && Predicate::True.matches(red, &names));
        assert!(Predicate::Mod(2, 1).matches(-3, &names) && !Predicate::Mod(2, 1).matches(4, &names));
        assert!(Predicate::Mod(-2, -1).matches(3, &names));
        assert_eq!(floor_mod(i64::MIN, -1), 0);
    }
}
