//! A small set of operations that is still not linearizable.
//!
//! Only what relaxes the history is left out: reads, and writes and `cas` whose value nobody that remains observes. If the full
//! history had a legal order, what is left of that order would be legal for the part. So a part that has none
//! proves that the whole has none.

use super::prepare::{Act, KeyHistory, NEVER};
use super::search::{self, Limits, Outcome, Violation};

/// A part of a key that is not linearizable.
#[derive(Clone, Debug)]
pub(super) struct Small {
    /// The part.
    pub(super) part: KeyHistory,
    /// Where it breaks, with exact states.
    pub(super) violation: Violation,
    /// Whether nothing more could be left out, or the work allowed for it ran out.
    pub(super) is_minimal: bool,
}

/// Work allowed for one key, in configurations and operations looked at.
const WORK: u64 = 20_000_000;

/// Makes the part of `key` at the places `keep`, known not to be linearizable, small.
///
/// Returns `None` if the part cannot be shown to be so within the work allowed.
pub(super) fn minimise(key: &KeyHistory, keep: Vec<u32>) -> Option<Small> {
    let mut shrink = Shrink { key, work: WORK };
    if !shrink.is_broken(&keep)? {
        return None;
    }
    let (keep, is_minimal) = shrink.shrink(keep);
    let part = key.part(&keep);
    let limits = Limits { states: WORK, bytes: 1 << 28, witness: false, exact_states: true };
    match search::search(&part, limits).outcome {
        Outcome::Violation(violation) => Some(Small { part, violation, is_minimal }),
        Outcome::Linearizable(_) | Outcome::Spent { .. } => None,
    }
}

/// The operations that had been invoked when `violation` showed, with those that were still in flight made optional:
/// reads among them are left out. The search never looked further, so this prefix is not linearizable.
pub(super) fn prefix(key: &KeyHistory, violation: &Violation) -> KeyHistory {
    let end = key.ops[violation.op as usize].ret;
    let mut cut = key.clone();
    for op in cut.ops.iter_mut().filter(|op| op.ret > end) {
        op.ret = NEVER;
    }
    let keep: Vec<u32> = (0..cut.ops.len() as u32)
        .filter(|&op| {
            let op = &cut.ops[op as usize];
            op.call < end && (!op.is_optional() || op.act.produces().is_some())
        })
        .collect();
    cut.part(&keep)
}

struct Shrink<'a> {
    key: &'a KeyHistory,
    work: u64,
}

impl Shrink<'_> {
    /// `None`: the work allowed ran out.
    fn is_broken(&mut self, keep: &[u32]) -> Option<bool> {
        let part = self.key.part(keep);
        let limits = Limits { states: self.work, bytes: 1 << 28, witness: false, exact_states: false };
        let searched = search::search(&part, limits);
        self.work = self.work.saturating_sub(searched.states + 2 * keep.len() as u64);
        match searched.outcome {
            Outcome::Violation(_) => Some(true),
            Outcome::Linearizable(_) => Some(false),
            Outcome::Spent { .. } => None,
        }
    }

    /// Leaves out halves, quarters, … single operations, as long as the rest stays broken.
    fn shrink(&mut self, mut keep: Vec<u32>) -> (Vec<u32>, bool) {
        let mut chunk = keep.len().div_ceil(2);
        loop {
            let mut changed = false;
            // From the end: what happened long after is seldom needed, and the last is what broke.
            let mut end = keep.len();
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let fewer = self.without(&keep, begin, end);
                if fewer.len() < keep.len() {
                    match self.is_broken(&fewer) {
                        Some(true) => {
                            keep = fewer;
                            changed = true;
                        }
                        Some(false) => {}
                        None => return (keep, false),
                    }
                }
                end = begin.min(keep.len());
            }
            if chunk == 1 && !changed {
                return (keep, true);
            }
            chunk = if chunk > 1 { chunk.div_ceil(2) } else { 1 };
        }
    }

    /// `keep` without those of the places `begin..end` that may be left out.
    fn without(&self, keep: &[u32], begin: usize, end: usize) -> Vec<u32> {
        let mut out = vec![false; keep.len()];
        out[begin..end].fill(true);
        let act = |place: usize| self.key.ops[keep[place] as usize].act;
        // A change must stay while its value is observed. A `cas` that stays observes in its turn.
        loop {
            let mut observed = vec![false; self.key.values.len()];
            let mut anything = false;
            for place in (0..keep.len()).filter(|&place| !out[place]) {
                match act(place) {
                    Act::NotEqual(_) => anything = true,
                    other => {
                        if let Some(value) = other.needs() {
                            observed[value as usize] = true;
                        }
                    }
                }
            }
            let mut changed = false;
            for (place, is_out) in out.iter_mut().enumerate().take(end).skip(begin) {
                let must_stay = act(place).produces().is_some_and(|value| anything || observed[value as usize]);
                if *is_out && must_stay {
                    *is_out = false;
                    changed = true;
                }
            }
            if !changed {
                return (0..keep.len()).filter(|&place| !out[place]).map(|place| keep[place]).collect();
            }
        }
    }
}
