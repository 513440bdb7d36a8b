//! Which connection a packet belongs to.
//!
//! A decision must be the same in the next run, so a connection's name has nothing in it that changes from run to run:
//! not the ephemeral port, not a cookie, not the time. It is (opener's address, service's address, service's port,
//! ordinal): the first, second, third … connection between these two ends that this kernel has seen opened.
//!
//! * TCP: a SYN opens a connection; the same SYN again (same initial sequence number) does not. A SYN+ACK belongs to the
//!   connection of the SYN it answers.
//! * UDP: the first packet of a 5-tuple opens it, and its sender is the opener.
//! * A TCP connection already open when first seen has ordinal 0 (unknown) and its opener is guessed: the end with the
//!   higher port. Equal ports: the direction is unknown.
//! * Packets without ports (ICMP, later fragments) have ordinal 0 and unknown direction.

use crate::packet::{Addr, Flow};

/// Direction of a packet within its connection. Crosses the kernel line as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Not known.
    Unknown = 0,
    /// From the end that opened the connection.
    Request = 1,
    /// Towards the end that opened the connection.
    Reply = 2,
}

impl Direction {
    /// From its number; numbers without meaning are `Unknown`.
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Request,
            2 => Self::Reply,
            _ => Self::Unknown,
        }
    }

    /// The direction of the answers.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Request => Self::Reply,
            Self::Reply => Self::Request,
        }
    }

    /// The guess for a connection that was open before it was seen: the end with the higher port opened it.
    #[inline]
    #[must_use]
    pub fn guess(flow: &Flow) -> Self {
        if !flow.has_ports() || flow.src_port == flow.dst_port {
            Self::Unknown
        } else if flow.src_port > flow.dst_port {
            Self::Request
        } else {
            Self::Reply
        }
    }
}

/// Two ends between which connections are counted; the key of their ordinals.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Address of the end that opens.
    pub opener: Addr,
    /// Address of the end that answers.
    pub service: Addr,
    /// Port of the end that answers; 0 if there are no ports.
    pub service_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// Always 0.
    pub padding: u8,
    /// Always 0.
    pub padding_more: u32,
}

const _: () = assert!(core::mem::size_of::<Ends>() == 40);

impl Ends {
    /// The ends of the connection a packet of `flow` belongs to. An unknown direction is taken for a request.
    #[inline]
    #[must_use]
    pub fn of(flow: &Flow, direction: Direction) -> Self {
        let (opener, service, service_port) = match direction {
            Direction::Reply => (flow.dst, flow.src, flow.src_port),
            Direction::Request | Direction::Unknown => (flow.src, flow.dst, flow.dst_port),
        };
        Self { opener, service, service_port, protocol: flow.protocol, padding: 0, padding_more: 0 }
    }
}

/// A connection by its lasting name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// Between whom.
    pub ends: Ends,
    /// Which one, from 1; 0 is unknown.
    pub ordinal: u32,
}

impl Connection {
    /// The number that stands for this connection in the dice. A function of its name alone.
    #[inline]
    #[must_use]
    pub fn hash(&self) -> u64 {
        let (opener_high, opener_low) = self.ends.opener.numbers();
        let (service_high, service_low) = self.ends.service.numbers();
        let rest =
            u64::from(self.ends.service_port) | u64::from(self.ends.protocol) << 16 | u64::from(self.ordinal) << 32;
        let mut hash = mix(opener_high ^ 0x6a09_e667_f3bc_c908);
        hash = mix(hash ^ opener_low);
        hash = mix(hash.wrapping_add(service_high));
        hash = mix(hash ^ service_low);
        mix(hash ^ rest)
    }
}

/// A bijection of 64 bits in which each bit of the input moves about half of the output (multiply and fold, twice).
#[inline(always)]
#[must_use]
pub(crate) const fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How many candidate rules are remembered with a flow; those after them are found again by scanning.
pub const CANDIDATES_MAX: usize = 8;

/// [`FlowState::flags`]: more rules match than are remembered; go on scanning after the last of them.
pub const FLOW_OVERFLOW: u8 = 1;

/// What the kernel remembers of a flow. Written in place, so it is read with suspicion: a candidate is only a hint, and
/// the rule itself, with its revision, is looked at again before anything is done.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState {
    /// Packets of this connection and direction so far: the index of the next one.
    pub packets: u64,
    /// [`Connection::hash`].
    pub connection: u64,
    /// Revision of the table the candidates were taken from.
    pub revision: u32,
    /// [`Connection::ordinal`].
    pub ordinal: u32,
    /// Sequence number of the SYN that opened this direction.
    pub initial_seq: u32,
    /// Number of candidates.
    pub candidates_len: u8,
    /// [`FLOW_OVERFLOW`].
    pub flags: u8,
    /// [`Direction`].
    pub direction: u8,
    /// 1 once `initial_seq` counts.
    pub opened: u8,
    /// Indices of the rules that match this flow, in order.
    pub candidates: [u16; CANDIDATES_MAX],
}

const _: () = assert!(core::mem::size_of::<FlowState>() == 48);
const _: () = assert!(core::mem::offset_of!(FlowState, candidates) == 32);
