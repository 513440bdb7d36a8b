//! Transactions on a line, and the segments of it to which every cycle is confined.
//!
//! Each transaction stands at one moment: an `ok` one at its completion, an `info` one at the first completion by which
//! its effect had been seen (never before its invocation). Real-time and process edges go strictly forward on the
//! line. An edge that does not go strictly forward spans an interval; the vertices of a cycle all lie within one
//! connected union of such intervals, since every gap that a cycle crosses forward it crosses back. So only the edges
//! within one union need be looked at. Where a transaction stands decides speed, never the answer.

use super::txns::{NONE, Txns};
use super::dependencies::Dependencies;

/// Moments of the transactions, counted without gaps.
#[derive(Debug)]
pub(crate) struct Line {
    /// Moment of each transaction, times two, plus one if it is `ok`.
    pub(crate) position: Vec<u32>,
    moments: usize,
}

impl Line {
    /// Places the transactions.
    pub(crate) fn new(txns: &Txns) -> Self {
        let moments = txns.moments();
        let last = moments * 2;
        let position = (0..txns.len() as u32).map(|txn| txns.position(txn).min(last)).collect();
        Self { position, moments: moments as usize + 1 }
    }

    /// Number of the segment of each transaction; `NONE` where no cycle can pass.
    pub(crate) fn segments(&self, dependencies: &Dependencies) -> Vec<u32> {
        // A difference array: +1 where an interval begins, -1 after its end.
        let mut covers = vec![0_i32; self.moments + 1];
        let mut any = false;
        let mut span = |first: u32, last: u32| {
            if last >= first {
                covers[first as usize >> 1] += 1;
                covers[(last as usize >> 1) + 1] -= 1;
                any = true;
            }
        };
        for edges in [&dependencies.ww, &dependencies.wr, &dependencies.rw] {
            for (from, to) in edges {
                span(self.position[*to as usize], self.position[*from as usize]);
            }
        }
        for fan in &dependencies.fans {
            let last = fan.readers.iter().map(|txn| self.position[*txn as usize]).max().unwrap_or(0);
            let first = fan.appenders.iter().map(|txn| self.position[*txn as usize]).min().unwrap_or(u32::MAX);
            span(first, last);
        }
        if !any {
            return vec![NONE; self.position.len()];
        }
        let mut segment_at = vec![NONE; self.moments];
        let (mut depth, mut segment, mut inside) = (0_i64, 0_u32, false);
        for (moment, slot) in segment_at.iter_mut().enumerate() {
            depth += i64::from(covers[moment]);
            if depth > 0 {
                *slot = segment;
                inside = true;
            } else if inside {
                segment += 1;
                inside = false;
            }
        }
        self.position.iter().map(|position| segment_at[*position as usize >> 1]).collect()
    }
}
