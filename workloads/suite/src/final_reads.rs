//! The reads at the end: every key once more, while nothing is broken.

use fissure_workloads::{Call, Generator, Mop, Next, Outcome, Worker};
use std::collections::BTreeMap;

/// Reads of a key before it is given up.
const ATTEMPTS: u32 = 3;
/// Time after which to look again whether a read that is in flight has failed, ns.
const LOOK_AGAIN_NS: u64 = 20_000_000;

/// Reads every key until a read is `ok`.
pub(crate) struct FinalReads<K, C> {
    /// The keys, known only once the first read is asked for: the main generator goes on until then.
    keys: Option<K>,
    call: C,
    /// Keys to read, the next one last, with the attempts they have had.
    waiting: Vec<(i64, u32)>,
    /// Keys being read, with the attempts they have had.
    in_flight: BTreeMap<i64, u32>,
}

impl<K: FnOnce() -> Vec<i64>, C: Fn(i64) -> Call> FinalReads<K, C> {
    /// `keys` lists the keys in the order in which to read them; `call` makes the read of a key.
    pub(crate) fn new(keys: K, call: C) -> Self {
        Self { keys: Some(keys), call, waiting: Vec::new(), in_flight: BTreeMap::new() }
    }
}

/// The key of a call that reads one key and does nothing else.
fn read_key(call: &Call) -> Option<i64> {
    match call {
        Call::Read { key, .. } => Some(*key),
        Call::Txn(mops) => match mops.as_slice() {
            [Mop::ReadList { key, .. } | Mop::Read { key, .. }] => Some(*key),
            _ => None,
        },
        _ => None,
    }
}

impl<K: FnOnce() -> Vec<i64> + Send, C: Fn(i64) -> Call + Send> Generator for FinalReads<K, C> {
    fn next(&mut self, _worker: Worker, now_ns: u64) -> Next {
        if let Some(keys) = self.keys.take() {
            self.waiting = keys().into_iter().rev().map(|key| (key, 0)).collect();
        }
        match self.waiting.pop() {
            Some((key, attempts)) => {
                self.in_flight.insert(key, attempts + 1);
                Next::Call((self.call)(key))
            }
            None if self.in_flight.is_empty() => Next::Done,
            None => Next::Wait { until_ns: now_ns + LOOK_AGAIN_NS },
        }
    }

    fn complete(&mut self, _worker: Worker, call: &Call, outcome: Outcome, _now_ns: u64) {
        // Operations of the main generator that end late come here too; those of keys not being read are not ours.
        let Some((key, attempts)) = read_key(call).and_then(|key| Some((key, self.in_flight.remove(&key)?))) else {
            return;
        };
        if outcome != Outcome::Ok && attempts < ATTEMPTS {
            self.waiting.push((key, attempts));
        }
    }
}
