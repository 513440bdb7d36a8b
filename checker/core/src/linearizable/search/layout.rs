//! How configurations of a key are laid out: decided once, before the walk.

use super::super::config::{COUNTERS_PER_WORD, SLOTS_PER_WORD};
use super::super::prepare::{Act, KeyHistory, NEVER};
use rustc_hash::FxHashMap;

/// How configurations of a key are laid out.
pub(super) struct Layout {
    /// Slots for operations in flight.
    pub(super) slots: usize,
    /// Counters for kinds of `info` operations.
    pub(super) counters: usize,
    /// By value: place of the last event at which somebody may ask for it; 0 if nobody does.
    pub(super) last_need: Vec<u32>,
}

impl Layout {
    pub(super) fn new(key: &KeyHistory, exact_states: bool) -> Self {
        let mut last_need = vec![if exact_states { NEVER } else { 0 }; key.values.len()];
        for op in &key.ops {
            let asked = match op.act {
                Act::Read(value) | Act::Cas(value, _) | Act::NotEqual(value) => value,
                Act::Write(_) => continue,
            };
            last_need[asked as usize] = last_need[asked as usize].max(op.ret);
        }
        // Where inequality is observed, any other value may serve.
        if key.ops.iter().any(|op| matches!(op.act, Act::NotEqual(_))) {
            last_need.fill(NEVER);
        }
        let mut open = 0_usize;
        let mut slots = 0;
        let mut kinds: FxHashMap<Act, u32> = FxHashMap::default();
        let mut moves: Vec<(u32, i32)> = Vec::new();
        for &event in &key.events {
            let op = &key.ops[(event / 2) as usize];
            if op.is_optional() {
                let until = op.act.produces().map_or(0, |value| last_need[value as usize]);
                if until > op.call && kinds.insert(op.act, 0).is_none() {
                    moves.push((op.call, 1));
                    moves.push((until, -1));
                }
            } else if event % 2 == 0 {
                open += 1;
                slots = slots.max(open);
            } else {
                open -= 1;
            }
        }
        moves.sort_unstable();
        let (mut live, mut counters) = (0_i32, 0_i32);
        for (_, step) in moves {
            live += step;
            counters = counters.max(live);
        }
        Self { slots, counters: counters as usize, last_need }
    }

    pub(super) fn slot_words(&self) -> usize {
        self.slots.div_ceil(SLOTS_PER_WORD)
    }

    pub(super) fn words(&self) -> usize {
        self.slot_words() + self.counters.div_ceil(COUNTERS_PER_WORD)
    }
}
