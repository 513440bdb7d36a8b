//! Addition that other processors see whole.
//!
//! The target is declared without compare-and-swap, so `core::sync::atomic` offers no addition; the instruction exists
//! since version 3 of the instruction set.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

/// Adds one, and gives what was there before.
///
/// # Safety
///
/// `word` is aligned, and lives as long as the program runs (a map value does).
#[inline(always)]
pub unsafe fn next_u64(word: *mut u64) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(word, 1) }
}

/// Adds one, and gives what was there before.
///
/// # Safety
///
/// As for [`next_u64`].
#[inline(always)]
pub unsafe fn next_u32(word: *mut u32) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(word, 1) }
}
