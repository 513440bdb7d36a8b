//! The near-linear test for registers whose written values are unique (Gibbons and Korach's zones).
//!
//! With unique values each read names its write. A write and the reads of its value form a cluster. Let `f` be the first
//! completion in the cluster and `s` the last invocation. If `f < s` the register must hold the value throughout
//! `[f, s]`: a *forward* zone. Otherwise all of the cluster is in flight at once in `[s, f]`, and any one moment of it will do:
//! a *backward* zone. The history is linearizable if and only if no read completes before its write is invoked, no two
//! forward zones overlap, and no backward zone lies inside a forward one.
//!
//! The initial value is a cluster whose write happened before everything. An `info` write whose value is read happened, and
//! its completion never comes; one whose value nobody reads was left out already.

use super::prepare::{Act, KeyHistory, NEVER, ValueId};

/// What the test says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Zones {
    /// It cannot be used: a `cas`, a value written twice, an observation of inequality.
    NotApplicable,
    /// Linearizable.
    Linearizable,
    /// Not linearizable: the clusters of these values contradict each other (one value: it contradicts itself).
    Conflict(Vec<ValueId>),
}

/// A write with the reads of its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    /// Invocation of the write; 0 for the initial value, [`NEVER`] while no write is known.
    pub(super) write_call: u32,
    /// The first completion.
    pub(super) first_ret: u32,
    /// The last invocation.
    pub(super) last_call: u32,
    /// The first completion of a read.
    pub(super) first_read_ret: u32,
}

impl Cluster {
    const EMPTY: Self = Self { write_call: NEVER, first_ret: NEVER, last_call: 0, first_read_ret: NEVER };

    /// Whether the value must be held for a stretch of time.
    pub(super) fn is_forward(&self) -> bool {
        self.first_ret < self.last_call
    }
}

/// The clusters by value, or `None` where the test cannot be used.
pub(super) fn clusters(key: &KeyHistory) -> Option<Vec<Cluster>> {
    let mut clusters = vec![Cluster::EMPTY; key.values.len()];
    let initial = &mut clusters[key.initial as usize];
    (initial.write_call, initial.first_ret) = (0, 0);
    for op in &key.ops {
        match op.act {
            Act::Write(value) => {
                let cluster = &mut clusters[value as usize];
                if cluster.write_call != NEVER {
                    return None;
                }
                cluster.write_call = op.call;
                cluster.first_ret = cluster.first_ret.min(op.ret);
                cluster.last_call = cluster.last_call.max(op.call);
            }
            Act::Read(value) => {
                let cluster = &mut clusters[value as usize];
                cluster.first_ret = cluster.first_ret.min(op.ret);
                cluster.first_read_ret = cluster.first_read_ret.min(op.ret);
                cluster.last_call = cluster.last_call.max(op.call);
            }
            Act::Cas(..) | Act::NotEqual(_) => return None,
        }
    }
    Some(clusters)
}

/// Runs the test. O(n + v log v) for v values.
pub(super) fn check(key: &KeyHistory) -> Zones {
    let Some(clusters) = clusters(key) else { return Zones::NotApplicable };
    let mut forward: Vec<(u32, u32, ValueId)> = Vec::new();
    let mut backward: Vec<(u32, u32, ValueId)> = Vec::new();
    for (value, cluster) in clusters.iter().enumerate() {
        let value = value as ValueId;
        if cluster.first_read_ret < cluster.write_call {
            return Zones::Conflict(vec![value]);
        }
        if cluster.write_call == NEVER {
            continue;
        }
        if cluster.is_forward() {
            forward.push((cluster.first_ret, cluster.last_call, value));
        } else if value != key.initial {
            backward.push((cluster.last_call, cluster.first_ret, value));
        }
    }
    forward.sort_unstable();
    if let Some(pair) = forward.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        return Zones::Conflict(vec![pair[0].2, pair[1].2]);
    }
    for &(start, end, value) in &backward {
        // Forward zones do not overlap here, so only the last one that begins before this one can hold it.
        let after = forward.partition_point(|zone| zone.0 < start);
        if after > 0 && end < forward[after - 1].1 {
            return Zones::Conflict(vec![forward[after - 1].2, value]);
        }
    }
    Zones::Linearizable
}
