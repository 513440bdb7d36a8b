//! Queues, first in first out or in any order, and stacks.
//!
//! A queue that is full, and at the end every queue, is drained once nobody can put anything into it any more, so that
//! whoever just counts what went in and what came out is right too. For the same reason taking a value out has no effect
//! where the client does not learn of it. Stacks are not drained: what is left in them is left.

use super::dice::{Chance, Dice};
use super::machine::{Fate, Machine, Refusal};
use super::shelf::Body;
use super::single::Desk;
use super::spec::{Spec, Workload};
use crate::op::Call;
use std::collections::VecDeque;

/// What is in a queue.
#[derive(Debug, Default)]
pub(super) struct Values(VecDeque<i64>);

impl Body for Values {
    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Queues or stacks.
#[derive(Debug)]
pub(super) struct Queues {
    desk: Desk<Values>,
    workload: Workload,
    take: Chance,
}

impl Queues {
    /// Queues or stacks for a specification; the share of reads is that of takes.
    pub(super) fn new(spec: &Spec, first_key: i64) -> Self {
        Self { desk: Desk::new(spec, first_key), workload: spec.workload, take: Chance::new(spec.read_share) }
    }

    fn drain(&self, place: u32) -> Call {
        Call::Drain { key: self.desk.shelf.get(place).key, elements: None }
    }
}

impl Machine for Queues {
    fn open(&mut self, dice: &mut Dice, seat: usize, fate: &mut Fate) -> Call {
        if let Some(place) = self.desk.last_look(seat) {
            *fate = Fate::Ok;
            return self.drain(place);
        }
        let place = self.desk.sit(dice, seat);
        let key = self.desk.shelf.get(place).key;
        let stack = self.workload == Workload::Stack;
        if dice.happens(self.take) {
            if fate.is_info() {
                *fate = Fate::Lost;
            }
            return if stack { Call::Pop { key, value: None } } else { Call::Dequeue { key, value: None } };
        }
        if stack {
            return Call::Push { key, value: self.desk.shelf.give(place) };
        }
        Call::Enqueue { key, value: self.desk.give(place) }
    }

    fn act(&mut self, dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        let (Some(place), true) = (self.desk.place(seat), fate.acts()) else { return Ok(()) };
        let values = &mut self.desk.shelf.get_mut(place).body.0;
        match call {
            Call::Enqueue { value, .. } | Call::Push { value, .. } => values.push_back(*value),
            Call::Pop { value, .. } => *value = Some(values.pop_back()),
            Call::Dequeue { value, .. } if self.workload == Workload::Queue => *value = Some(values.pop_front()),
            Call::Dequeue { value, .. } => {
                let at = dice.below(values.len() as u64) as usize;
                *value = Some(values.swap_remove_back(at));
            }
            Call::Drain { elements, .. } => *elements = Some(values.drain(..).collect()),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, seat: usize, _call: &Call, _acted: bool) {
        self.desk.rise(seat);
    }

    fn farewells(&self) -> u64 {
        if self.workload == Workload::Stack { 0 } else { self.desk.needing_a_look() }
    }

    fn farewell(&mut self, seat: usize) -> Option<Call> {
        if self.workload == Workload::Stack {
            return None;
        }
        let place = self.desk.last_of_all(seat);
        Some(self.drain(place))
    }
}
