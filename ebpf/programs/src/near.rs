//! A short cut for innocent flows: an array indexed by a hash, which the kernel reads without calling anything.
//!
//! A slot says "under this revision no rule is about this flow", and counts its packets meanwhile; the count goes to the
//! flow's entry in [`FLOWS`] when the slot changes hands or the flow is looked at again. A slot is given to another flow
//! only when its revision is over, so nobody is counting in it then. Where two flows want one slot under the same
//! revision, the second does without.

use core::ptr;

use aya_ebpf::{macros::map, maps::Array};
use fissure_abi::{Flow, PacketView, packet::TCP_SYN};

use crate::{atomic, maps::FLOWS};

/// A power of two.
const SLOTS: u32 = 65_536;

/// Each so many packets a flow is looked up in [`FLOWS`] all the same, which forgets what is not asked for.
const TOUCH_EVERY: u64 = 256;

#[repr(C, align(64))]
struct Slot {
    flow: Flow,
    /// Packets since the count was last handed over.
    packets: u64,
    /// 0: holds nothing.
    revision: u32,
    /// 1: being given to another flow.
    taken: u32,
}

#[map]
static NEAR: Array<Slot> = Array::with_max_entries(SLOTS, 0);

/// The slot of a flow.
#[inline(always)]
fn slot_of(flow: &Flow) -> Option<*mut Slot> {
    let rest = flow.src_port as u64 | (flow.dst_port as u64) << 16 | (flow.protocol as u64) << 32;
    let mut hash = (flow.src.0[0] ^ flow.src.0[1].rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= (flow.dst.0[0] ^ flow.dst.0[1].rotate_left(29)).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    hash = (hash ^ hash >> 29 ^ rest).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    NEAR.get_ptr_mut((hash >> 40) as u32 & (SLOTS - 1))
}

/// Whether a slot holds a flow. Its revision is read before and after: a slot that changes hands has 0 there meanwhile.
#[inline(always)]
unsafe fn holds(slot: *mut Slot, flow: &Flow, revision: u32) -> bool {
    // SAFETY: a map value is aligned and stays mapped while the program runs.
    unsafe {
        if ptr::read_volatile(&raw const (*slot).revision) != revision {
            return false;
        }
        let held = &(*slot).flow;
        let same = held.src.0[0] == flow.src.0[0]
            && held.src.0[1] == flow.src.0[1]
            && held.dst.0[0] == flow.dst.0[0]
            && held.dst.0[1] == flow.dst.0[1]
            && held.src_port == flow.src_port
            && held.dst_port == flow.dst_port
            && held.protocol == flow.protocol
            && held.flags == flow.flags;
        same && ptr::read_volatile(&raw const (*slot).revision) == revision
    }
}

/// Whether a packet is known to be innocent under a revision; then it has been counted.
#[inline(always)]
pub fn is_innocent(view: &PacketView, revision: u32) -> bool {
    // A SYN may begin another connection, about which rules may be.
    if view.tcp_flags & TCP_SYN != 0 {
        return false;
    }
    let Some(slot) = slot_of(&view.flow) else { return false };
    // SAFETY: a map value is aligned and stays mapped while the program runs.
    unsafe {
        if !holds(slot, &view.flow, revision) {
            return false;
        }
        let before = atomic::next_u64(&raw mut (*slot).packets);
        if before % TOUCH_EVERY == TOUCH_EVERY - 1 {
            let _ = FLOWS.get_ptr(&view.flow);
        }
    }
    true
}

/// Notes that no rule of this revision is about a flow, if its slot is free.
#[inline(never)]
pub fn note_innocent(flow: &Flow, revision: u32) -> u32 {
    let Some(slot) = slot_of(flow) else { return 0 };
    // SAFETY: a map value is aligned and stays mapped while the program runs; who has set `taken` alone writes the rest.
    unsafe {
        if revision == 0 || ptr::read_volatile(&raw const (*slot).revision) == revision {
            return 0;
        }
        if atomic::swap_u32(&raw mut (*slot).taken, 1) != 0 {
            return 0;
        }
        ptr::write_volatile(&raw mut (*slot).revision, 0);
        hand_over(slot);
        (*slot).flow = *flow;
        ptr::write_volatile(&raw mut (*slot).revision, revision);
        atomic::swap_u32(&raw mut (*slot).taken, 0);
    }
    0
}

/// Ends the short cut of a flow, and gives its count to what is remembered of it.
#[inline(never)]
pub fn recall(flow: &Flow) -> u32 {
    let Some(slot) = slot_of(flow) else { return 0 };
    // SAFETY: as in `note_innocent`.
    unsafe {
        let revision = ptr::read_volatile(&raw const (*slot).revision);
        if revision == 0 || !holds(slot, flow, revision) {
            return 0;
        }
        if atomic::swap_u32(&raw mut (*slot).taken, 1) != 0 {
            return 0;
        }
        ptr::write_volatile(&raw mut (*slot).revision, 0);
        hand_over(slot);
        atomic::swap_u32(&raw mut (*slot).taken, 0);
    }
    0
}

/// Adds a slot's count to what is remembered of its flow.
///
/// # Safety
///
/// The slot is a map value, and the caller has set its `taken`.
#[inline(always)]
unsafe fn hand_over(slot: *mut Slot) {
    // SAFETY: as the caller promises.
    unsafe {
        let packets = atomic::swap_u64(&raw mut (*slot).packets, 0);
        if packets == 0 {
            return;
        }
        if let Some(state) = FLOWS.get_ptr_mut(&(*slot).flow) {
            atomic::add_u64(&raw mut (*state).packets, packets);
        }
    }
}
