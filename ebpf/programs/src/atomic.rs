//! Addition and exchange that other processors see whole.
//!
//! The target is declared without compare-and-swap, so `core::sync::atomic` offers neither; the instructions exist
//! since version 3 of the instruction set.

use core::intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg};

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

/// Adds, and gives what was there before.
///
/// # Safety
///
/// As for [`next_u64`].
#[inline(always)]
pub unsafe fn add_u64(word: *mut u64, more: u64) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(word, more) }
}

/// Stores, and gives what was there before.
///
/// # Safety
///
/// As for [`next_u64`].
#[inline(always)]
pub unsafe fn swap_u64(word: *mut u64, new: u64) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(word, new) }
}

/// Stores, and gives what was there before.
///
/// # Safety
///
/// As for [`next_u64`].
#[inline(always)]
pub unsafe fn swap_u32(word: *mut u32, new: u32) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { atomic_xchg::<u32, { AtomicOrdering::SeqCst }>(word, new) }
}
