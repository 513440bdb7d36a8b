//! Counters of rare things, and a word in the log about the first of each.

use aya_ebpf::programs::TcContext;
use aya_log_ebpf::warn;
use fissure_abi::Counter;

use crate::{atomic, maps::COUNTERS};

/// How many of a kind are between two lines in the log.
const LOG_EVERY: u64 = 4096;

/// Counts one, and gives how many there were before.
#[inline(always)]
pub fn one(counter: Counter) -> u64 {
    match COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: a map value lives as long as the program, and is aligned; all access to it is atomic.
        Some(value) => unsafe { atomic::next_u64(value) },
        None => 0,
    }
}

/// A frame that claims to be IP and is not, or is cut short.
#[inline(never)]
pub fn malformed(ctx: &TcContext) -> u32 {
    let before = one(Counter::ParseErrors);
    if before % LOG_EVERY == 0 {
        warn!(ctx, "malformed frame of {} bytes passed; {} before it", ctx.len(), before);
    }
    0
}
