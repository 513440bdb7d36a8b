//! Contradictions that can be seen without a search, and that have a name.
//!
//! Each is sound, whatever else is in the history: a read of a value that nobody had begun to write, and a read of a value that
//! was certainly overwritten before the read began. They are found in O(n log n) for any values, unique or not.

use super::prepare::{Act, KeyHistory, NEVER};

/// A contradiction with a name. Operations are places in the key's operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The read saw a value that no operation had begun to write when the read completed.
    Garbage {
        /// The read.
        read: u32,
    },
    /// The read saw a value of which every write had completed before `overwriter` was invoked, and `overwriter`
    /// had completed before the read was invoked.
    Stale {
        /// The read.
        read: u32,
        /// An operation that replaced the value for good.
        overwriter: u32,
        /// How many reads of the key are stale in this way.
        count: u32,
    },
    /// The write was acknowledged, is the last of all, and no later read sees it.
    Lost {
        /// The write.
        write: u32,
        /// The first read that was invoked after the write completed.
        read: u32,
        /// How many reads were invoked after it completed: none sees its value.
        count: u32,
    },
}

impl Pattern {
    /// The name of the anomaly.
    pub(super) fn anomaly(&self) -> &'static str {
        match self {
            Pattern::Garbage { .. } => "garbage-read",
            Pattern::Stale { .. } => "stale-read",
            Pattern::Lost { .. } => "lost-write",
        }
    }
}

/// The first pattern by the completion of its read, or `None`.
pub(super) fn find(key: &KeyHistory) -> Option<Pattern> {
    let producers = producers_by_value(key);
    let overwriters = Overwriters::new(key);
    let mut garbage: Option<(u32, u32)> = None;
    let mut stale: Option<(u32, u32, u32)> = None;
    let mut count = 0;
    for (index, op) in key.ops.iter().enumerate() {
        let Act::Read(value) = op.act else { continue };
        let of_value = &producers[value as usize];
        let known = of_value.partition_point(|producer| producer.0 < op.ret);
        if known == 0 {
            if garbage.is_none_or(|(ret, _)| op.ret < ret) {
                garbage = Some((op.ret, index as u32));
            }
            continue;
        }
        let last_ret = of_value[known - 1].1;
        if let Some(overwriter) = overwriters.first_to_complete(last_ret)
            && key.ops[overwriter as usize].ret < op.call
        {
            count += 1;
            if stale.is_none_or(|(ret, ..)| op.ret < ret) {
                stale = Some((op.ret, index as u32, overwriter));
            }
        }
    }
    if let Some((_, read)) = garbage {
        return Some(Pattern::Garbage { read });
    }
    let (_, read, overwriter) = stale?;
    Some(lost_write(key).unwrap_or(Pattern::Stale { read, overwriter, count }))
}

/// By value: (invocation, latest completion so far) of the operations that produce it, in order of invocation.
fn producers_by_value(key: &KeyHistory) -> Vec<Vec<(u32, u32)>> {
    let mut producers: Vec<Vec<(u32, u32)>> = vec![Vec::new(); key.values.len()];
    producers[key.initial as usize].push((0, 0));
    for op in &key.ops {
        if let Some(value) = op.act.produces() {
            let of_value = &mut producers[value as usize];
            let latest = of_value.last().map_or(0, |last| last.1);
            of_value.push((op.call, latest.max(op.ret)));
        }
    }
    producers
}

/// Acknowledged writes and `cas` in order of invocation, with the first of each suffix to complete.
struct Overwriters {
    /// (invocation, operation of the suffix that completes first)
    suffixes: Vec<(u32, u32)>,
}

impl Overwriters {
    fn new(key: &KeyHistory) -> Self {
        let mut suffixes: Vec<(u32, u32)> = key
            .ops
            .iter()
            .enumerate()
            .filter(|(_, op)| op.act.produces().is_some() && !op.is_optional())
            .map(|(index, op)| (op.call, index as u32))
            .collect();
        for place in (1..suffixes.len()).rev() {
            let (later, here) = (suffixes[place].1, suffixes[place - 1].1);
            if key.ops[later as usize].ret < key.ops[here as usize].ret {
                suffixes[place - 1].1 = later;
            }
        }
        Self { suffixes }
    }

    /// Of those invoked after the event at `place`, the first to complete.
    fn first_to_complete(&self, place: u32) -> Option<u32> {
        if place == NEVER {
            return None;
        }
        let at = self.suffixes.partition_point(|suffix| suffix.0 <= place);
        self.suffixes.get(at).map(|suffix| suffix.1)
    }
}

/// Conservative: the write must be the only one of its value, every other write and `cas` (also those that may never have
/// happened) must have completed before it was invoked, and no read at all may have seen its value.
fn lost_write(key: &KeyHistory) -> Option<Pattern> {
    let (write, op) =
        key.ops.iter().enumerate().filter(|(_, op)| op.act.produces().is_some()).max_by_key(|(_, op)| op.call)?;
    let Act::Write(value) = op.act else { return None };
    let others_are_over = key
        .ops
        .iter()
        .enumerate()
        .all(|(index, other)| index == write || other.act.produces().is_none() || other.ret < op.call);
    let seen = key.ops.iter().any(|other| other.act.needs() == Some(value));
    let written_before =
        value == key.initial || key.ops.iter().filter(|other| other.act.produces() == Some(value)).count() > 1;
    if op.is_optional() || !others_are_over || seen || written_before {
        return None;
    }
    let mut later =
        key.ops.iter().enumerate().filter(|(_, other)| matches!(other.act, Act::Read(_)) && other.call > op.ret);
    let (read, _) = later.next()?;
    Some(Pattern::Lost { write: write as u32, read: read as u32, count: 1 + later.count() as u32 })
}
