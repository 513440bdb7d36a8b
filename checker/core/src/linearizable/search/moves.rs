//! What can be placed next, and what that does to a configuration.

use super::super::config::Config;
use super::super::prepare::{Act, ValueId};
use super::witness::How;
use super::{InFlight, Kind, Search};
use rustc_hash::FxHashSet;

/// Under a beam: how many configurations one may lead to at one completion before the rest is cut away.
const REACHED_PER_PLACE: usize = 16;

/// Under a beam: how many may be made on the way there.
const MADE_PER_PLACE: u64 = 1_024;

impl<const W: usize> Search<'_, W> {
    /// Follows everything on the stack until the goal is placed, those that used fewer `info` operations first. Stops early
    /// when the budget is spent or when this configuration has had its share of the beam.
    pub(super) fn expand(&mut self, goal: InFlight) {
        let (reached_before, made_before) = (self.next.len(), self.made);
        loop {
            let Some(config) = self.stack.pop() else {
                if self.later.is_empty() {
                    return;
                }
                std::mem::swap(&mut self.stack, &mut self.later);
                continue;
            };
            let is_share_used =
                self.next.len() - reached_before >= REACHED_PER_PLACE || self.made - made_before >= MADE_PER_PLACE;
            let is_cut = self.beam != usize::MAX && is_share_used;
            self.was_cut |= is_cut;
            if is_cut || self.made > self.limits.states {
                self.stack.clear();
                self.later.clear();
                return;
            }
            self.place_one_in_flight(config, goal);
            self.place_one_info(config, goal);
        }
    }

    /// Every sensible way to go on with a write or `cas` in flight. Of equal ones only that with the earliest deadline.
    fn place_one_in_flight(&mut self, config: Config<W>, goal: InFlight) {
        let mut tried: [Option<Act>; 8] = [None; 8];
        let mut tries = 0;
        for at in 0..self.changers.len() {
            let entry = self.changers[at];
            if config.is_placed(entry.slot)
                || tried.contains(&Some(entry.act))
                || !self.is_sensible(&config, entry, goal)
            {
                continue;
            }
            tried[tries % tried.len()] = Some(entry.act);
            tries += 1;
            let mut after = config;
            after.place(entry.slot);
            self.apply(&mut after, entry.act, entry.op);
            if self.seen.insert(after) {
                if after.is_placed(goal.slot) { self.next.push(after) } else { self.stack.push(after) }
            }
        }
    }

    /// Every sensible way to go on with an `info` operation: not while an equal one in flight waits to be placed, and no
    /// write where a `cas` that is good for nothing else does the same.
    fn place_one_info(&mut self, config: Config<W>, goal: InFlight) {
        let base = self.masks.counters_from;
        for at in 0..self.kinds.len() {
            let Kind { act, counter, ref ops } = self.kinds[at];
            let used = config.counter(base, counter);
            let Some(&op) = ops.get(used as usize) else { continue };
            let sensible = match act {
                Act::Write(value) => {
                    self.is_write_sensible(&config, value)
                        && (self.has_uncovered_write(&config) || !self.has_info_cas(&config, value))
                }
                Act::Cas(expected, value) => expected == config.state && self.is_asked_for(&config, value),
                Act::Read(_) | Act::NotEqual(_) => false,
            };
            if !sensible || self.changers.iter().any(|other| other.act == act && !config.is_placed(other.slot)) {
                continue;
            }
            if used == u16::MAX {
                self.counter_full = true;
                continue;
            }
            let mut after = config;
            after.set_counter(base, counter, used + 1);
            self.apply(&mut after, act, op);
            if self.seen.insert(after) {
                if after.is_placed(goal.slot) { self.next.push(after) } else { self.later.push(after) }
            }
        }
    }

    /// Whether an `info` `cas` that is left leads from the present value to `value`.
    fn has_info_cas(&self, config: &Config<W>, value: ValueId) -> bool {
        let base = self.masks.counters_from;
        self.kinds.iter().any(|kind| {
            kind.act == Act::Cas(config.state, value)
                && usize::from(config.counter(base, kind.counter)) < kind.ops.len()
        })
    }

    /// Whether placing a write or `cas` in flight before (or as) the goal can lead anywhere.
    fn is_sensible(&self, config: &Config<W>, entry: InFlight, goal: InFlight) -> bool {
        match entry.act {
            Act::Cas(expected, _) => expected == config.state,
            _ if entry.slot == goal.slot => true,
            Act::Write(value) => self.is_write_sensible(config, value),
            Act::Read(_) | Act::NotEqual(_) => false,
        }
    }

    /// A write that changes nothing can still cover others.
    fn is_write_sensible(&self, config: &Config<W>, value: ValueId) -> bool {
        if value == config.state { self.has_uncovered_write(config) } else { self.is_asked_for(config, value) }
    }

    /// Whether a write in flight is neither placed nor coverable.
    fn has_uncovered_write(&self, config: &Config<W>) -> bool {
        let masks = &self.masks;
        (0..masks.counters_from).any(|word| masks.writes[word] & !config.bits[word] & !(config.bits[word] >> 1) != 0)
    }

    /// Whether an operation in flight would make use of this value, if it came now.
    fn is_asked_for(&self, config: &Config<W>, value: ValueId) -> bool {
        value != config.state
            && (self.looks.iter().any(|look| look.act.is_observed_in(value) && !config.is_placed(look.slot))
                || self.changers.iter().any(|other| other.act.needs() == Some(value) && !config.is_placed(other.slot))
                || self.kinds.iter().any(|kind| {
                    kind.act.needs() == Some(value)
                        && usize::from(config.counter(self.masks.counters_from, kind.counter)) < kind.ops.len()
                }))
    }

    /// Puts the value there, and places the looks that were waiting for it.
    fn apply(&mut self, config: &mut Config<W>, act: Act, op: u32) {
        self.made += 1;
        config.trace = self.step(config.trace, op, How::Placed);
        let Some(value) = act.produces() else { return };
        if matches!(act, Act::Write(_)) {
            self.masks.cover_writes(config);
        }
        config.state = self.alive(value);
        for at in 0..self.looks.len() {
            let look = self.looks[at];
            if look.act.is_observed_in(config.state) && !config.is_placed(look.slot) {
                config.place(look.slot);
                config.trace = self.step(config.trace, look.op, How::Placed);
            }
        }
        for at in 0..self.changers.len() {
            let other = self.changers[at];
            let waits = !config.is_placed(other.slot) && !config.is_coverable(other.slot);
            if waits && other.act == Act::Write(config.state) {
                config.cover(other.slot);
                config.trace = self.step(config.trace, other.op, How::Anchored);
            }
        }
    }

    /// Values that the register can hold just now, whatever else is placed first.
    pub(super) fn reachable_states(&mut self) -> Vec<ValueId> {
        let mut seen: FxHashSet<Config<W>> = self.frontier.iter().copied().collect();
        let mut stack = self.frontier.clone();
        const FOLLOWED: usize = 10_000;
        while let Some(config) = stack.pop() {
            if seen.len() > FOLLOWED {
                break;
            }
            for at in 0..self.changers.len() {
                let entry = self.changers[at];
                let enabled = entry.act.needs().is_none_or(|value| value == config.state);
                if enabled && !config.is_placed(entry.slot) {
                    let mut after = config;
                    after.place(entry.slot);
                    after.state = entry.act.produces().map_or(config.state, |value| self.alive(value));
                    if seen.insert(after) {
                        stack.push(after);
                    }
                }
            }
            for kind in &self.kinds {
                let used = config.counter(self.masks.counters_from, kind.counter);
                let enabled = kind.act.needs().is_none_or(|value| value == config.state);
                if enabled && usize::from(used) < kind.ops.len() && used < u16::MAX {
                    let mut after = config;
                    after.set_counter(self.masks.counters_from, kind.counter, used + 1);
                    after.state = kind.act.produces().map_or(config.state, |value| self.alive(value));
                    if seen.insert(after) {
                        stack.push(after);
                    }
                }
            }
        }
        let mut states: Vec<ValueId> = seen.iter().map(|config| config.state).collect();
        states.sort_unstable();
        states.dedup();
        states
    }
}
