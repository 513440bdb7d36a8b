//! Time on paper: a line, or a line with its empty stretches folded.

/// Width of a folded stretch.
const FOLD_WIDTH: f64 = 84.0;

/// Maps ns to a place between two edges. Monotonic; times outside are put on the edge.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// `(ns, x)`, both rising; at least two.
    knots: Vec<(i64, f64)>,
    /// Stretches that are drawn much shorter than they are.
    pub(crate) folds: Vec<(i64, i64)>,
}

impl Axis {
    /// Evenly from `from` to `to`.
    pub(crate) fn linear(from: i64, to: i64, left: f64, right: f64) -> Self {
        Self { knots: vec![(from, left), (to.max(from + 1), right)], folds: Vec::new() }
    }

    /// Room for each of the `spans` (in any order); what lies between them is folded where it is longer than all of
    /// them together. `None` without spans.
    pub(crate) fn folded(mut spans: Vec<(i64, i64)>, left: f64, right: f64) -> Option<Self> {
        spans.sort_unstable();
        let interest: i64 = spans.iter().map(|(from, to)| to.saturating_sub(*from)).sum();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (from, to) in spans {
            match merged.last_mut() {
                Some(last) if from.saturating_sub(last.1) <= interest => last.1 = last.1.max(to),
                _ => merged.push((from, to.max(from + 1))),
            }
        }
        let folds: Vec<(i64, i64)> = merged.windows(2).map(|pair| (pair[0].1, pair[1].0)).collect();
        let room = (right - left - FOLD_WIDTH * folds.len() as f64).max(0.0);
        let weight = |span: &(i64, i64)| ((span.1 - span.0) as f64).powf(0.3);
        let weights: f64 = merged.iter().map(weight).sum();
        let mut x = left;
        let mut knots = Vec::with_capacity(merged.len() * 2);
        for span in &merged {
            knots.push((span.0, x));
            x += room * weight(span) / weights;
            knots.push((span.1, x));
            x += FOLD_WIDTH;
        }
        (!knots.is_empty()).then_some(Self { knots, folds })
    }

    /// Where `ns` is drawn.
    pub(crate) fn x(&self, ns: i64) -> f64 {
        let next = self.knots.partition_point(|(at, _)| *at <= ns);
        let (Some(before), Some(after)) = (next.checked_sub(1).map(|place| self.knots[place]), self.knots.get(next))
        else {
            return if next == 0 { self.knots[0].1 } else { self.knots[self.knots.len() - 1].1 };
        };
        before.1 + (ns - before.0) as f64 / (after.0 - before.0) as f64 * (after.1 - before.1)
    }

    /// First and last moment.
    pub(crate) fn ends(&self) -> (i64, i64) {
        (self.knots[0].0, self.knots[self.knots.len() - 1].0)
    }

    /// Stretches that are drawn as they are.
    pub(crate) fn stretches(&self) -> Vec<(i64, i64)> {
        self.knots.chunks(2).filter_map(|pair| Some((pair.first()?.0, pair.get(1)?.0))).collect()
    }

    /// Whether some of `from..to` lies in a stretch that is not folded.
    pub(crate) fn shows(&self, from: i64, to: i64) -> bool {
        self.stretches().iter().any(|(start, end)| from <= *end && to >= *start)
    }
}

/// Round steps (1, 2, 5 × 10ⁿ) within a range, at most about `number` of them.
pub(crate) fn ticks(from: i64, to: i64, number: i64) -> Vec<i64> {
    let rough = ((to - from) / number.max(1)).max(1);
    let mut power = 1_i64;
    while power.saturating_mul(10) <= rough {
        power *= 10;
    }
    let step = [1, 2, 5, 10].into_iter().map(|n| power.saturating_mul(n)).find(|step| *step >= rough).unwrap_or(rough);
    let first = from.div_euclid(step) + i64::from(from.rem_euclid(step) != 0);
    (first..).map(|n| n.saturating_mul(step)).take_while(|at| *at <= to).take(100).collect()
}

/// A coordinate with one digit.
pub(crate) fn n(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_axis_rises_and_keeps_to_its_edges() {
        let axis =
            Axis::folded(vec![(1_000, 1_100), (0, 10), (90_000, 90_050)], 100.0, 1_000.0).expect("there are spans");
        assert_eq!(axis.folds, [(10, 1_000), (1_100, 90_000)]);
        let places: Vec<f64> = (-10..91_000).map(|ns| axis.x(ns)).collect();
        assert!(places.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(places.iter().all(|x| (100.0..=1_000.01).contains(x)));
        assert!(axis.shows(5, 6) && !axis.shows(2_000, 3_000));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0, 100, 5), [0, 20, 40, 60, 80, 100]);
        assert_eq!(ticks(-7, 7, 3), [-5, 0, 5]);
        assert_eq!(ticks(5, 5, 10), [5]);
    }
}
