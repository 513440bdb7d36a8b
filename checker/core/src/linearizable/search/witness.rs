//! The record of the way to each configuration, and the order that is read from it.

use super::super::prepare::Act;
use super::Search;
use rustc_hash::FxHashMap;

/// One step on the way to a configuration.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) parent: u32,
    pub(super) op: u32,
    pub(super) how: How,
}

/// Where a step puts its operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// At the end.
    Placed,
    /// Nowhere yet: but it may be put here, where it changes nothing.
    Anchored,
    /// Where it was anchored, else just before the last plain write.
    Covered,
}

/// No step.
pub(super) const NO_TRACE: u32 = u32::MAX;

impl<const W: usize> Search<'_, W> {
    pub(super) fn step(&mut self, parent: u32, op: u32, how: How) -> u32 {
        if !self.limits.witness {
            return NO_TRACE;
        }
        self.steps.push(Step { parent, op, how });
        (self.steps.len() - 1) as u32
    }

    /// The order of the first configuration that is left.
    pub(super) fn witness(&self) -> Vec<u32> {
        let mut path: Vec<Step> = Vec::new();
        let mut at = self.frontier.first().map_or(NO_TRACE, |config| config.trace);
        while at != NO_TRACE {
            let step = self.steps[at as usize];
            path.push(step);
            at = step.parent;
        }
        // Each entry: operations covered by it, and itself (but for an anchor).
        let mut order: Vec<(Vec<u32>, Option<u32>)> = Vec::with_capacity(path.len());
        let mut last_write = None;
        let mut anchors: FxHashMap<u32, usize> = FxHashMap::default();
        for step in path.iter().rev() {
            match step.how {
                How::Covered => {
                    if let Some(at) = anchors.get(&step.op).copied().or(last_write) {
                        let entry: &mut (Vec<u32>, Option<u32>) = &mut order[at];
                        entry.0.push(step.op);
                    }
                }
                How::Anchored => {
                    anchors.insert(step.op, order.len());
                    order.push((Vec::new(), None));
                }
                How::Placed => {
                    if matches!(self.key.ops[step.op as usize].act, Act::Write(_)) {
                        last_write = Some(order.len());
                    }
                    order.push((Vec::new(), Some(step.op)));
                }
            }
        }
        order.into_iter().flat_map(|(covered, op)| covered.into_iter().chain(op)).collect()
    }
}
