//! Rules: which packets, and what to do with them.
//!
//! A table is an ordered list of rules; the first rule that matches a packet *and* fires decides (a rule whose
//! probability did not fire lets the next one have its say).

/// What a rule does to a packet. Crosses the kernel line as `u32`; unknown values mean "let it pass".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Let it pass, whatever later rules say. Neither reported nor counted.
    Pass = 0,
    /// Drop it silently where it arrives.
    Drop = 1,
}

impl Action {
    /// From its number; numbers without meaning are `Pass`.
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        match number {
            1 => Self::Drop,
            _ => Self::Pass,
        }
    }
}

/// One rule. Written by the plan's compiler, read by the programs in the kernel.
///
/// Addresses are 16 bytes in network order; IPv4 is IPv4-mapped IPv6 (`::ffff:a.b.c.d`), with prefix lengths counted
/// from the front of the 16 bytes (`a.b.c.d/24` is 120). A prefix length of 0 matches every address. Ports are in
/// host order and ranges are inclusive; `0..=65535` matches everything, also packets that have no ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable within a run; `injections.rule_id`.
    pub rule_id: u32,
    /// The planned fault it belongs to; `faults.fault_id`.
    pub fault_id: u32,
    /// [`Action`] as `u32`.
    pub action: u32,
    /// How often it fires, in parts per million; 1 000 000 is always.
    pub probability_ppm: u32,
    /// Source address.
    pub src_addr: [u8; 16],
    /// Destination address.
    pub dst_addr: [u8; 16],
    /// Bits of `src_addr` that count, 0 to 128.
    pub src_prefix: u8,
    /// Bits of `dst_addr` that count, 0 to 128.
    pub dst_prefix: u8,
    /// IP protocol: 6 TCP, 17 UDP, 0 any.
    pub protocol: u8,
    /// Direction within the connection: 0 any, 1 from the end that opened it, 2 towards the end that opened it.
    pub direction: u8,
    /// Lowest source port.
    pub src_port_min: u16,
    /// Highest source port.
    pub src_port_max: u16,
    /// Lowest destination port.
    pub dst_port_min: u16,
    /// Highest destination port.
    pub dst_port_max: u16,
    /// Revision of the table it was published in; a rule of another revision than the active one is ignored.
    pub revision: u32,
    /// Seed of its dice.
    pub seed: u64,
}

impl Rule {
    /// A rule that matches everything and does nothing: fill in what differs.
    pub const ANY: Rule = Rule {
        rule_id: 0,
        fault_id: 0,
        action: Action::Pass as u32,
        probability_ppm: 1_000_000,
        src_addr: [0; 16],
        dst_addr: [0; 16],
        src_prefix: 0,
        dst_prefix: 0,
        protocol: 0,
        direction: 0,
        src_port_min: 0,
        src_port_max: u16::MAX,
        dst_port_min: 0,
        dst_port_max: u16::MAX,
        revision: 0,
        seed: 0,
    };
}

const _: () = assert!(core::mem::size_of::<Rule>() == 72);
const _: () = assert!(core::mem::align_of::<Rule>() == 8);
const _: () = assert!(core::mem::offset_of!(Rule, seed) == 64);
