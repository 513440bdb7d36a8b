//! Did you mean …?

/// The name among `valid` that was most likely meant, or else all of them. `kind` is what they are, in the plural.
///
/// `None` if there are no valid names.
pub(crate) fn among(name: &str, valid: &[&str], kind: &str) -> Option<String> {
    if let Some(near) = closest(name, valid) {
        return Some(format!("did you mean `{near}`?"));
    }
    if valid.is_empty() {
        return None;
    }
    let mut names: Vec<&str> = valid.to_vec();
    names.dedup();
    Some(format!("{kind}: {}", names.join(", ")))
}

/// The name that was most likely meant, if any is near.
pub(crate) fn closest<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let steps = |candidate: &str| distance(&lower, &candidate.to_lowercase());
    let (steps, near) = valid.iter().map(|candidate| (steps(candidate), *candidate)).min()?;
    (steps * 2 <= lower.chars().count().max(near.chars().count())).then_some(near)
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour to make one name the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_one_step() {
        for (a, b, steps) in
            [("ops", "ops", 0), ("", "ops", 3), ("opd", "ops", 1), ("pos", "ops", 1), ("op_di", "op_id", 1)]
        {
            assert_eq!(distance(a, b), steps, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_and_all_names_where_none_is_near() {
        let valid = ["ops", "faults", "injections"];
        assert_eq!(among("Injektions", &valid, "tables").unwrap(), "did you mean `injections`?");
        assert_eq!(among("xyz", &valid, "tables").unwrap(), "tables: ops, faults, injections");
        assert_eq!(among("x", &[], "tables"), None);
    }
}
