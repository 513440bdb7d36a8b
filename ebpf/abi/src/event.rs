//! What is reported of a packet that was hit.

use crate::packet::Addr;

/// One decision that fired, as it leaves the kernel through the ring buffer. Where the ring has no room the packet is
/// not hit: no effect without its record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InjectionEvent {
    /// When: CLOCK_MONOTONIC, nanoseconds.
    pub t_ns: u64,
    /// Number of the event on its processor, from 0. A gap is a hit that could not be reported and so was not made.
    pub event_seq: u64,
    /// Index of the packet within its connection and direction, from 0.
    pub packet_index: u64,
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// [`Rule::rule_id`](crate::Rule::rule_id).
    pub rule_id: u32,
    /// [`Rule::fault_id`](crate::Rule::fault_id).
    pub fault_id: u32,
    /// Revision of the table that decided.
    pub revision: u32,
    /// [`Action`](crate::Action).
    pub action: u32,
    /// Processor.
    pub cpu: u32,
    /// Number of the attachment: the host in whose path it happened.
    pub host: u32,
    /// TCP sequence number, or 0.
    pub tcp_seq: u32,
    /// Bytes from the IP header on.
    pub length: u32,
    /// Which connection between these ends, from 1; 0 unknown.
    pub conn_ordinal: u32,
    /// The dice's throw; 0 for a rule that always fires.
    pub draw: u32,
    /// Source port, 0 if there is none.
    pub src_port: u16,
    /// Destination port, 0 if there is none.
    pub dst_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// [`Direction`](crate::Direction).
    pub direction: u8,
    /// TCP flag bits, or 0.
    pub tcp_flags: u8,
    /// 4 or 6.
    pub family: u8,
}

const _: () = assert!(core::mem::size_of::<InjectionEvent>() == 104);
const _: () = assert!(core::mem::align_of::<InjectionEvent>() == 8);
const _: () = assert!(core::mem::offset_of!(InjectionEvent, src) == 24);
const _: () = assert!(core::mem::offset_of!(InjectionEvent, rule_id) == 56);
const _: () = assert!(core::mem::offset_of!(InjectionEvent, src_port) == 96);
