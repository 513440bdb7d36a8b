//! Did you mean …?

/// The name among `valid` that was most likely meant, or else all of them. `kind` is what they are, in the plural.
///
/// `None` if there are no valid names.
pub(crate) fn among(name: &str, valid: &[&str], kind: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let closest = valid.iter().min_by_key(|candidate| (distance(&lower, &candidate.to_lowercase()), **candidate))?;
    let far = distance(&lower, &closest.to_lowercase());
    if far * 2 <= lower.chars().count().max(closest.chars().count()) {
        return Some(format!("did you mean `{closest}`?"));
    }
    let mut names: Vec<&str> = valid.to_vec();
    names.dedup();
    Some(format!("{kind}: {}", names.join(", ")))
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
