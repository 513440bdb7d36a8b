//! What a packet that needs more than a look-up takes along.
//!
//! It lies in a map, one for each processor, and not on the stack: the verifier forgets what it knows of the contents, and
//! so need not follow every way a packet can be parsed through everything that comes after. A tc program is not
//! interrupted by another on its processor.

use core::ptr;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use fissure_abi::{Direction, FlowState, PacketIdentity, PacketView};

/// [`Work::index`] of a packet whose flow is not known yet.
pub const NO_INDEX: u64 = u64::MAX;
/// [`Work::fired`] while no rule has.
pub const NO_PLACE: u32 = u32::MAX;

/// See the module.
#[repr(C)]
pub struct Work {
    /// The packet.
    pub view: PacketView,
    /// What is known of its flow.
    pub flow: FlowState,
    /// The packet's index in its connection and direction, or [`NO_INDEX`].
    pub index: u64,
    /// The word that names the table.
    pub active: u64,
    /// The time.
    pub now: u64,
    /// The number of the next event on this processor; outlasts the packet.
    pub next_event: u64,
    /// The attachment it came by.
    pub host: u32,
    /// The table's revision.
    pub revision: u32,
    /// Place of the table's first rule.
    pub first: u32,
    /// Place of the next rule to ask, after the candidates.
    pub next: u32,
    /// Place of the rule that fired, or [`NO_PLACE`].
    pub fired: u32,
    /// Its throw.
    pub draw: u32,
    /// 1: the table went away.
    pub stale: u32,
    /// The outcome.
    pub verdict: u32,
}

impl Work {
    /// The packet's name in the dice.
    #[inline(always)]
    pub fn identity(&self) -> PacketIdentity {
        PacketIdentity { connection: self.flow.connection, direction: self.direction(), index: self.index }
    }

    /// The packet's direction.
    #[inline(always)]
    pub fn direction(&self) -> Direction {
        Direction::from_u8(self.flow.direction)
    }
}

#[map]
static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(1, 0);

/// This processor's.
#[inline(always)]
pub fn here() -> Option<&'static mut Work> {
    // SAFETY: a map value is aligned and stays mapped; nothing else on this processor uses it until the program ends.
    WORK.get_ptr_mut(0).map(|work| unsafe { &mut *work })
}

/// Copies a value word by word. What the compiler makes of an assignment here is a call to a loop over bytes.
///
/// # Safety
///
/// Both are valid for a `T`, aligned to 8; the size of `T` is a multiple of 8.
#[inline(always)]
pub unsafe fn copy<T>(to: *mut T, from: *const T) {
    let (to, from) = (to.cast::<u64>(), from.cast::<u64>());
    let mut word = 0;
    while word < size_of::<T>() / 8 {
        // SAFETY: as the caller promises.
        unsafe { ptr::write_volatile(to.add(word), ptr::read_volatile(from.add(word))) };
        word += 1;
    }
}
