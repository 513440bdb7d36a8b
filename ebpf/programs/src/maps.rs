//! The maps. Those user space writes while packets flow are mapped into its memory: a rule is a store, not a system call.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, LruHashMap, RingBuf},
};
use fissure_abi::{
    Control, Counter, Flow, FlowState, HITS_MAX, RULES_MAX, Rule,
    connection::Ends,
    control::{ENDS_MAX, EVENTS_BYTES, FLOWS_MAX},
};

/// One [`Control`].
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Both tables, one after the other.
#[map]
pub static RULES: Array<Rule> = Array::with_max_entries(2 * RULES_MAX, BPF_F_MMAPABLE);

/// For each place in [`RULES`], the place in [`HITS`] its hits are counted at.
#[map]
pub static HIT_PLACES: Array<u32> = Array::with_max_entries(2 * RULES_MAX, BPF_F_MMAPABLE);

/// Hits. Not per processor, so that user space reads a true number with one load.
#[map]
pub static HITS: Array<u64> = Array::with_max_entries(HITS_MAX, BPF_F_MMAPABLE);

/// One number for each [`Counter`].
#[map]
pub static COUNTERS: Array<u64> = Array::with_max_entries(Counter::ALL.len() as u32, BPF_F_MMAPABLE);

/// What is known of each flow.
#[map]
pub static FLOWS: LruHashMap<Flow, FlowState> = LruHashMap::with_max_entries(FLOWS_MAX, 0);

/// How many connections have been opened between two ends.
#[map]
pub static ORDINALS: LruHashMap<Ends, u32> = LruHashMap::with_max_entries(ENDS_MAX, 0);

/// [`fissure_abi::InjectionEvent`]s for user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
