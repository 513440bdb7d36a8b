//! The programs that run in the kernel: one file per hook, one for the maps.
//!
//! What they decide is not here but in `fissure-abi`, which the host's tests reach. Nothing here is pinned and nothing
//! works without a lease that user space renews.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![allow(internal_features)]

mod atomic;
mod classify;
mod count;
mod maps;
mod near;
mod report;
mod tc;
mod work;

/// The eBPF target has no unwinding and no place to print; bounds that the compiler cannot prove are checked by hand.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the verifier refuses a program in which this could be reached.
    unsafe { core::hint::unreachable_unchecked() }
}

/// Some helpers (the log's ring, among others) are for programs under a GPL-compatible license only.
// SAFETY: the section name is the one loaders look for; nothing else is in it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
