//! The verdict vector in words: what holds, and which finding refutes what does not.

use crate::words::printable;
use fissure_checker::finding::LevelVerdict;
use fissure_checker::{CheckResult, Validity};
use std::collections::BTreeSet;

/// Lines about the levels of one result; none if the checker knows nothing of levels.
///
/// Of the levels that hold only the strongest are named, which imply the others; of those that fail, and of those that
/// are open, all are, with the finding or the reason.
pub(crate) fn lines(result: &CheckResult) -> Vec<String> {
    let of = |validity: Validity| result.levels.iter().filter(move |level| level.validity == validity);
    let mut lines = Vec::new();
    let strongest = strongest(&result.levels);
    if !strongest.is_empty() {
        lines.push(format!("holds: {}", strongest.join(", ")));
    } else if !result.levels.is_empty() {
        lines.push("holds: none of the levels".to_owned());
    }
    let witness = |level: &LevelVerdict| level.witness.clone().map_or_else(String::new, |id| format!(" by {id}"));
    lines.extend(grouped("fails", of(Validity::Invalid), witness));
    let why = |level: &LevelVerdict| level.assumed.first().map_or_else(String::new, |reason| format!(": {reason}"));
    lines.extend(grouped("open", of(Validity::Unknown), why));
    lines.iter().map(|line| printable(line)).collect()
}

/// The levels that hold and that no other level that holds implies.
fn strongest(levels: &[LevelVerdict]) -> Vec<&'static str> {
    let holds: Vec<&LevelVerdict> = levels.iter().filter(|level| level.validity == Validity::Valid).collect();
    let is_implied =
        |level: &LevelVerdict| holds.iter().any(|other| other.model != level.model && other.model.implies(level.model));
    holds.iter().filter(|level| !is_implied(level)).map(|level| level.name()).collect()
}

/// One line for each end that levels share, in their order.
fn grouped<'a>(
    word: &str,
    levels: impl Iterator<Item = &'a LevelVerdict>,
    end: impl Fn(&LevelVerdict) -> String,
) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for level in levels {
        let end = end(level);
        match groups.iter_mut().find(|(known, _)| *known == end) {
            Some((_, names)) => names.push(level.name()),
            None => groups.push((end, vec![level.name()])),
        }
    }
    groups.into_iter().map(|(end, names)| format!("{word}: {}{end}", names.join(", "))).collect()
}

/// The levels of several results in one vector: the worst answer to each, the first finding against it, all that was
/// assumed.
pub(crate) fn merged(results: &[CheckResult]) -> Vec<LevelVerdict> {
    let mut all: Vec<LevelVerdict> = Vec::new();
    for level in results.iter().flat_map(|result| &result.levels) {
        let Some(known) = all.iter_mut().find(|known| known.model == level.model) else {
            all.push(level.clone());
            continue;
        };
        if level.validity > known.validity {
            *known = level.clone();
        } else if level.validity == known.validity {
            known.witness = known.witness.take().or_else(|| level.witness.clone());
            let told: BTreeSet<String> = known.assumed.iter().cloned().collect();
            known.assumed.extend(level.assumed.iter().filter(|text| !told.contains(*text)).cloned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_worst_answer_of_several_checkers_counts() {
        let failing = sample::cycle().results.remove(0);
        let mut holding = failing.clone();
        for level in &mut holding.levels {
            (level.validity, level.witness, level.assumed) = (Validity::Valid, None, vec!["another".to_owned()]);
        }
        for results in [[failing.clone(), holding.clone()], [holding.clone(), failing.clone()]] {
            let all = merged(&results);
            assert_eq!(all.len(), failing.levels.len());
            for (level, known) in all.iter().zip(&failing.levels) {
                assert_eq!(
                    (level.model, level.validity, &level.witness),
                    (known.model, known.validity, &known.witness)
                );
                let assumed = if level.validity == Validity::Valid { 2 } else { known.assumed.len() };
                assert_eq!(level.assumed.len(), assumed, "{}", level.name());
            }
        }
        assert_eq!(lines(&holding), ["holds: strict-serializable"]);
        assert!(lines(&sample::valid().results[0]).is_empty());
    }
}
