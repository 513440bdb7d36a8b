//! The record of a hit. No record, no hit.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use fissure_abi::{Action, Counter, InjectionEvent, control::EVENTS_PER_WAKEUP};

use crate::{
    atomic,
    classify::{PASS, STALE, revision_of, rule_at},
    count,
    maps::{EVENTS, HIT_PLACES, HITS},
    work::Work,
};

const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;

/// Reports and counts the hit of the rule that fired: the action to take, or [`STALE`].
#[inline(always)]
pub fn hit(work: &mut Work) -> u32 {
    let Some(rule) = rule_at(work.fired) else { return STALE };
    // SAFETY: a map value is aligned and stays mapped; its revision is read again below.
    let (action, rule_id, fault_id) = unsafe { ((*rule).action, (*rule).rule_id, (*rule).fault_id) };
    let Some(hits) = HIT_PLACES.get_ptr(work.fired) else { return STALE };
    // SAFETY: a map value is aligned and stays mapped; as above.
    let hits = unsafe { ptr::read_volatile(hits) };
    if action != Action::Drop as u32 {
        return if revision_of(rule) == work.revision { PASS } else { STALE };
    }
    let Some(mut entry) = EVENTS.reserve::<InjectionEvent>(0) else {
        // The number is used up, so that the gap shows in the record.
        work.next_event += 1;
        count::one(Counter::EventsLost);
        return PASS;
    };
    if revision_of(rule) != work.revision {
        entry.discard(NO_WAKEUP);
        return STALE;
    }
    let event_seq = work.next_event;
    work.next_event += 1;
    let view = &work.view;
    let record: &mut MaybeUninit<InjectionEvent> = &mut entry;
    let event = record.as_mut_ptr();
    // Field by field into the ring: the stack has no room for another copy.
    // SAFETY: the ring gave room for an event, aligned to 8; each field is written.
    unsafe {
        (*event).t_ns = work.now;
        (*event).event_seq = event_seq;
        (*event).packet_index = work.index;
        (*event).src = view.flow.src;
        (*event).dst = view.flow.dst;
        (*event).rule_id = rule_id;
        (*event).fault_id = fault_id;
        (*event).revision = work.revision;
        (*event).action = action;
        (*event).cpu = bpf_get_smp_processor_id();
        (*event).host = work.host;
        (*event).tcp_seq = view.tcp_seq;
        (*event).length = view.length;
        (*event).conn_ordinal = work.flow.ordinal;
        (*event).draw = work.draw;
        (*event).src_port = view.flow.src_port;
        (*event).dst_port = view.flow.dst_port;
        (*event).protocol = view.flow.protocol;
        (*event).direction = work.flow.direction;
        (*event).tcp_flags = view.tcp_flags;
        (*event).family = view.family;
    }
    entry.submit(if event_seq % EVENTS_PER_WAKEUP == EVENTS_PER_WAKEUP - 1 { FORCE_WAKEUP } else { NO_WAKEUP });
    if let Some(hits) = HITS.get_ptr_mut(hits) {
        // SAFETY: a map value is aligned and stays mapped while the program runs; all access to it is atomic.
        unsafe { atomic::next_u64(hits) };
    }
    action
}
