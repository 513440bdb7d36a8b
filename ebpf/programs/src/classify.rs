//! From a packet to its flow, and from its flow to a decision.
//!
//! An innocent packet costs one look-up: its flow was compared with the whole table when the flow (or the table) was new,
//! and what is remembered is that no rule is about it.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_loop};
use fissure_abi::{
    Action, Connection, Considered, Control, Counter, Direction, FlowState, PacketView, RULES_MAX, Rule,
    connection::{CANDIDATES_MAX, Ends, FLOW_OVERFLOW},
    consider,
    control::{CONTROL_TRACK, active_revision, active_table},
    matches,
    packet::{PROTOCOL_TCP, PROTOCOL_UDP, TCP_ACK, TCP_SYN},
};

use crate::{
    atomic, count,
    maps::{CONTROL, FLOWS, ORDINALS, RULES},
    near, report,
    work::{self, NO_INDEX, NO_PLACE, Work},
};

/// A decision is begun again when the table is overwritten under it. Each time takes two publications within the time of
/// one decision.
const RETRIES: u32 = 3;

/// Nothing is done.
pub const PASS: u32 = Action::Pass as u32;
/// Beside the actions: the table went away.
pub const STALE: u32 = u32::MAX;

/// What is done with a packet: an [`Action`].
#[inline(always)]
pub fn packet(view: &PacketView, host: u32) -> u32 {
    let Some(active) = table_to_ask() else { return PASS };
    if near::is_innocent(view, active_revision(active)) {
        return PASS;
    }
    let Some(work) = work::here() else { return PASS };
    // SAFETY: both are aligned and of the same type.
    unsafe { work::copy(&mut work.view, view) };
    work.host = host;
    work.active = active;
    look_up(work)
}

/// The same for a packet that lies in `work` already.
#[inline(always)]
pub fn packet_at_work(work: &mut Work, host: u32) -> u32 {
    let Some(active) = table_to_ask() else { return PASS };
    work.host = host;
    work.active = active;
    look_up(work)
}

/// Calls `step` with 0, 1, … up to `times` times, until it gives 1.
#[inline(always)]
fn repeat(times: u32, step: unsafe extern "C" fn(u32, *mut *mut Work) -> i64, work: &mut Work) {
    // The helper takes a pointer into the stack only: so a pointer to a pointer.
    let mut carried = ptr::from_mut(work);
    // SAFETY: the callback has the signature the helper calls, and what it points to outlives the call.
    unsafe { bpf_loop(times, step as *mut c_void, (&raw mut carried).cast(), 0) };
}

/// The word that names the table, or `None` where there is nothing to do or to count.
#[inline(always)]
fn table_to_ask() -> Option<u64> {
    let control = CONTROL.get_ptr(0)?;
    // SAFETY: the one element of an array map; user space stores each word whole.
    let (active, flags) = unsafe { (active_word(control), (*control).flags) };
    (flags & CONTROL_TRACK != 0 || rule_count(active) > 0).then_some(active)
}

/// The word that names the table, read now.
#[inline(always)]
unsafe fn active_word(control: *const Control) -> u64 {
    // SAFETY: the caller's pointer is to the one element of an array map.
    unsafe { ptr::read_volatile(&raw const (*control).active) }
}

/// Whether what is remembered holds for this packet: taken from this table, and not from an earlier connection that used
/// the same ports.
#[inline(always)]
fn is_current(state: *const FlowState, view: &PacketView, active: u64) -> bool {
    // SAFETY: a map value is aligned and stays mapped while the program runs; what is read is checked before it is used.
    let state = unsafe { &*state };
    state.revision == active_revision(active)
        && (view.tcp_flags & TCP_SYN == 0 || (state.opened != 0 && state.initial_seq == view.tcp_seq))
}

/// Looks up a packet's flow, and asks the rules that are about it.
#[inline(never)]
fn look_up(work: &mut Work) -> u32 {
    work.index = NO_INDEX;
    if let Some(state) = FLOWS.get_ptr_mut(&work.view.flow) {
        if is_current(state, &work.view, work.active) {
            // SAFETY: a map value is aligned and stays mapped while the program runs; the field is only added to, or
            // reset. What was being rewritten meanwhile are hints, and they are checked.
            unsafe {
                work.index = atomic::next_u64(&raw mut (*state).packets);
                work::copy(&mut work.flow, state);
            }
        }
    }
    if work.index == NO_INDEX && first_look(work) != 0 {
        return PASS;
    }
    if work.flow.candidates_len == 0 {
        near::note_innocent(&work.view.flow, work.flow.revision);
        return PASS;
    }
    let Some(control) = CONTROL.get_ptr(0) else { return PASS };
    // SAFETY: a helper without arguments; and the one element of an array map, in which user space stores the word whole.
    let (now, expires) = unsafe { (bpf_ktime_get_ns(), ptr::read_volatile(&raw const (*control).lease_expires_ns)) };
    if now >= expires {
        count::one(Counter::LeaseExpired);
        return PASS;
    }
    work.now = now;
    let verdict = ask(work);
    if verdict != STALE {
        return verdict;
    }
    work.verdict = STALE;
    repeat(RETRIES, retry, work);
    if work.verdict == STALE {
        count::one(Counter::StalePassed);
        return PASS;
    }
    work.verdict
}

/// Makes the acquaintance of a flow. 0: it is remembered.
#[inline(never)]
fn first_look(work: &mut Work) -> u32 {
    remember(work);
    let Some(state) = FLOWS.get_ptr_mut(&work.view.flow) else {
        count::one(Counter::FlowsLost);
        return 1;
    };
    // SAFETY: a map value is aligned and stays mapped while the program runs; the field is only added to, or reset.
    work.index = unsafe { atomic::next_u64(&raw mut (*state).packets) };
    0
}

/// Compares a flow with the table and remembers the outcome, in the map and in `work`.
#[inline(never)]
fn remember(work: &mut Work) -> u32 {
    near::recall(&work.view.flow);
    let view = &work.view;
    let known = FLOWS.get_ptr_mut(&view.flow);
    work.flow = match known {
        // SAFETY: as in `is_current`.
        Some(known) => unsafe { *known },
        None => FlowState::default(),
    };
    let syn = view.flow.protocol == PROTOCOL_TCP && view.tcp_flags & TCP_SYN != 0;
    let opens = syn && (work.flow.opened == 0 || work.flow.initial_seq != view.tcp_seq);
    if known.is_none() || opens {
        work.flow.packets = 0;
        identify(work);
    }
    scan(work);
    count::one(Counter::Classified);
    match known {
        Some(known) => rewrite(known, &work.flow, opens),
        // Where it fails the next look-up fails, and counts it.
        None => drop(FLOWS.insert(&work.view.flow, &work.flow, 0)),
    }
    0
}

/// Changes what is remembered, in an order that lets a reader on another processor see it is being changed.
#[inline(always)]
fn rewrite(known: *mut FlowState, fresh: &FlowState, opens: bool) {
    // SAFETY: a map value is aligned and stays mapped while the program runs. Readers take what they find for a hint.
    unsafe {
        ptr::write_volatile(&raw mut (*known).revision, 0);
        if opens {
            ptr::write_volatile(&raw mut (*known).packets, 0);
            (*known).connection = fresh.connection;
            (*known).ordinal = fresh.ordinal;
            (*known).initial_seq = fresh.initial_seq;
            (*known).opened = fresh.opened;
            (*known).direction = fresh.direction;
        }
        (*known).candidates = fresh.candidates;
        (*known).flags = fresh.flags;
        ptr::write_volatile(&raw mut (*known).candidates_len, fresh.candidates_len);
        ptr::write_volatile(&raw mut (*known).revision, fresh.revision);
    }
}

/// Finds out which connection, and which direction of it, a flow is.
#[inline(never)]
fn identify(work: &mut Work) -> u32 {
    let flow = &work.view.flow;
    let (mut direction, mut ordinal) = (Direction::Unknown, 0);
    if flow.has_ports() {
        let answered = FLOWS.get_ptr(flow.reversed());
        let syn = flow.protocol == PROTOCOL_TCP && work.view.tcp_flags & TCP_SYN != 0;
        let ack = work.view.tcp_flags & TCP_ACK != 0;
        direction = Direction::guess(flow);
        if let Some(answered) = answered {
            // SAFETY: as in `is_current`.
            let answered = unsafe { &*answered };
            direction = Direction::from_u8(answered.direction).reversed();
            ordinal = answered.ordinal;
        } else if flow.protocol == PROTOCOL_UDP {
            direction = Direction::Request;
        }
        if syn {
            direction = if ack { Direction::Reply } else { Direction::Request };
            work.flow.initial_seq = work.view.tcp_seq;
            work.flow.opened = 1;
        }
        // The answer to a SYN belongs to its connection; where this kernel has not seen the SYN, the answer counts.
        if (syn && !ack) || (answered.is_none() && (syn || flow.protocol == PROTOCOL_UDP)) {
            ordinal = next_ordinal(&Ends::of(flow, direction));
        }
    }
    work.flow.direction = direction as u8;
    work.flow.ordinal = ordinal;
    work.flow.connection = Connection { ends: Ends::of(flow, direction), ordinal }.hash();
    0
}

/// One more connection between these ends.
#[inline(never)]
fn next_ordinal(ends: &Ends) -> u32 {
    const NO_EXIST: u64 = 1;
    if ORDINALS.get_ptr_mut(ends).is_none() {
        // Where another processor is first, its 0 is ours too.
        let _ = ORDINALS.insert(ends, 0, NO_EXIST);
    }
    match ORDINALS.get_ptr_mut(ends) {
        // SAFETY: a map value is aligned and stays mapped while the program runs; all access to it is atomic.
        Some(value) => (unsafe { atomic::next_u32(value) }) + 1,
        None => {
            count::one(Counter::OrdinalsLost);
            0
        }
    }
}

/// Fills in the candidates of a flow.
#[inline(never)]
fn scan(work: &mut Work) -> u32 {
    let active = work.active;
    work.revision = active_revision(active);
    work.first = first_place(active);
    work.stale = 0;
    work.flow.candidates_len = 0;
    work.flow.flags = 0;
    repeat(rule_count(active), scan_one, work);
    work.flow.revision = work.revision;
    if work.stale != 0 {
        // A table that went away under the scan has taught nothing: the next packet scans again, and this one must not
        // pass for one without candidates.
        work.flow.revision = 0;
        work.flow.candidates_len = CANDIDATES_MAX as u8;
    }
    0
}

/// One rule of a scan. 1 ends it.
unsafe extern "C" fn scan_one(index: u32, work: *mut *mut Work) -> i64 {
    // SAFETY: called by `bpf_loop` with what `repeat` gave it.
    let work = unsafe { &mut **work };
    let Some(rule) = rule_at(work.first + index) else { return 1 };
    if revision_of(rule) != work.revision {
        work.stale = 1;
        return 1;
    }
    // SAFETY: a map value is aligned and stays mapped; a rule overwritten meanwhile has another revision afterwards.
    let rule = unsafe { &*rule };
    if !matches(rule, &work.view.flow, work.direction()) {
        return 0;
    }
    let place = work.flow.candidates_len as usize;
    if place >= CANDIDATES_MAX {
        work.flow.flags = FLOW_OVERFLOW;
        return 1;
    }
    work.flow.candidates[place & (CANDIDATES_MAX - 1)] = index as u16;
    work.flow.candidates_len = place as u8 + 1;
    // Nothing after a rule that always fires is ever asked.
    (rule.probability_ppm >= 1_000_000) as i64
}

/// Another attempt at a decision, with the table that is in force now. 1 ends the attempts.
unsafe extern "C" fn retry(_number: u32, work: *mut *mut Work) -> i64 {
    // SAFETY: called by `bpf_loop` with what `repeat` gave it.
    let work = unsafe { &mut **work };
    count::one(Counter::StaleRetries);
    let Some(control) = CONTROL.get_ptr(0) else { return 1 };
    // SAFETY: the one element of an array map.
    work.active = unsafe { active_word(control) };
    remember(work);
    work.verdict = ask(work);
    (work.verdict != STALE) as i64
}

/// Asks the table: an [`Action`], or [`STALE`].
#[inline(always)]
fn ask(work: &mut Work) -> u32 {
    let active = work.active;
    work.revision = active_revision(active);
    if work.flow.revision != work.revision {
        return STALE;
    }
    work.first = first_place(active);
    work.fired = NO_PLACE;
    work.stale = 0;
    ask_candidates(work);
    if work.stale == 0 && work.fired == NO_PLACE && work.flow.flags & FLOW_OVERFLOW != 0 {
        let rest = (work.first + rule_count(active)).saturating_sub(work.next);
        repeat(rest, ask_one, work);
    }
    if work.stale != 0 {
        return STALE;
    }
    if work.fired == NO_PLACE {
        return PASS;
    }
    report::hit(work)
}

/// The remembered rules, in order.
#[inline(always)]
fn ask_candidates(work: &mut Work) {
    let mut nth = 0;
    while nth < CANDIDATES_MAX && nth < work.flow.candidates_len as usize {
        let place = work.first + work.flow.candidates[nth] as u32;
        work.next = place + 1;
        if consider_place(work, place) {
            return;
        }
        nth += 1;
    }
}

/// One rule after the remembered ones. 1 ends the loop.
unsafe extern "C" fn ask_one(index: u32, work: *mut *mut Work) -> i64 {
    // SAFETY: called by `bpf_loop` with what `repeat` gave it.
    let work = unsafe { &mut **work };
    consider_place(work, work.next + index) as i64
}

/// Asks the rule at a place; `true` ends the asking.
#[inline(always)]
fn consider_place(work: &mut Work, place: u32) -> bool {
    let Some(rule) = rule_at(place) else {
        work.stale = 1;
        return true;
    };
    // SAFETY: a map value is aligned and stays mapped; a rule overwritten meanwhile has another revision afterwards.
    match consider(unsafe { &*rule }, work.revision, &work.view.flow, work.identity()) {
        Considered::Stale => {
            work.stale = 1;
            true
        }
        Considered::Next => false,
        Considered::Fires { draw } => {
            work.fired = place;
            work.draw = draw;
            true
        }
    }
}

/// The rule at a place of [`RULES`].
#[inline(always)]
pub fn rule_at(place: u32) -> Option<*const Rule> {
    RULES.get_ptr(place)
}

/// A rule's revision, read now.
#[inline(always)]
pub fn revision_of(rule: *const Rule) -> u32 {
    // SAFETY: a map value is aligned and stays mapped while the program runs.
    unsafe { ptr::read_volatile(&raw const (*rule).revision) }
}

/// The place of a table's first rule.
#[inline(always)]
fn first_place(active: u64) -> u32 {
    active_table(active) * RULES_MAX
}

/// How many rules the table has.
#[inline(always)]
fn rule_count(active: u64) -> u32 {
    let Some(control) = CONTROL.get_ptr(0) else { return 0 };
    // SAFETY: the one element of an array map; the index is 0 or 1.
    let count = unsafe { (*control).tables[active_table(active) as usize & 1].rule_count };
    if count > RULES_MAX { RULES_MAX } else { count }
}
