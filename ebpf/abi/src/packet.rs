//! A packet as the rules see it.
//!
//! [`parse`] is the parser: Ethernet with up to two VLAN tags, IPv4 with options and fragments, IPv6 with extension
//! headers, TCP and UDP. [`parse_plain`] is the same for the shape nearly every packet has, with all offsets known when
//! it is compiled, so that it costs a few nanoseconds; it gives up rather than differ.

/// The bytes of a frame, in the kernel or on the host. Whoever reads at a place has asked [`covers`](Frame::covers)
/// about it before; what is read elsewhere is 0 (on the host) or refused by the verifier (in the kernel).
pub trait Frame {
    /// Whether the frame has this many bytes.
    fn covers(&self, len: u32) -> bool;
    /// The byte at a place.
    fn u8(&self, at: u32) -> u8;
    /// Two bytes in network order.
    fn be16(&self, at: u32) -> u16;
    /// Four bytes in network order.
    fn be32(&self, at: u32) -> u32;
    /// Four bytes as they lie in memory.
    fn ne32(&self, at: u32) -> u32;
    /// Eight bytes as they lie in memory.
    fn ne64(&self, at: u32) -> u64;
}

/// A frame in the host's memory.
impl Frame for &[u8] {
    fn covers(&self, len: u32) -> bool {
        len as usize <= self.len()
    }

    fn u8(&self, at: u32) -> u8 {
        self.get(at as usize).copied().unwrap_or(0)
    }

    fn be16(&self, at: u32) -> u16 {
        u16::from_be_bytes(array(self, at))
    }

    fn be32(&self, at: u32) -> u32 {
        u32::from_be_bytes(array(self, at))
    }

    fn ne32(&self, at: u32) -> u32 {
        u32::from_ne_bytes(array(self, at))
    }

    fn ne64(&self, at: u32) -> u64 {
        u64::from_ne_bytes(array(self, at))
    }
}

fn array<const N: usize>(bytes: &[u8], at: u32) -> [u8; N] {
    let start = at as usize;
    bytes.get(start..start + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

/// An address: 16 bytes in network order, IPv4 mapped (`::ffff:a.b.c.d`), handled as two words as they lie in memory.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Addr(pub [u64; 2]);

impl Addr {
    /// From its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self([u64::from_ne_bytes(array(&bytes, 0)), u64::from_ne_bytes(array(&bytes, 8))])
    }

    /// From an IPv4 address as it lies in memory.
    #[inline(always)]
    #[must_use]
    pub const fn mapped(v4: u32) -> Self {
        Self([0, (0xffff << 32 | u32::from_be(v4) as u64).to_be()])
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[0].to_ne_bytes());
        bytes[8..].copy_from_slice(&self.0[1].to_ne_bytes());
        bytes
    }

    /// As two numbers, the first bits highest.
    #[inline(always)]
    #[must_use]
    pub const fn numbers(self) -> (u64, u64) {
        (u64::from_be(self.0[0]), u64::from_be(self.0[1]))
    }
}

/// [`Flow::flags`]: the packet has ports.
pub const FLOW_HAS_PORTS: u8 = 1;

/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// TCP flag: a connection is being opened.
pub const TCP_SYN: u8 = 0x02;
/// TCP flag: the acknowledgement number counts.
pub const TCP_ACK: u8 = 0x10;

/// The 5-tuple of a packet as seen; the key under which the kernel remembers what it knows of a flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port, host order; 0 if there are none.
    pub src_port: u16,
    /// Destination port, likewise.
    pub dst_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// [`FLOW_HAS_PORTS`]; a later fragment has none, nor has ICMP.
    pub flags: u8,
    /// Always 0.
    pub padding: u16,
}

impl Flow {
    /// Whether the packets of this flow carry ports.
    #[inline]
    #[must_use]
    pub fn has_ports(&self) -> bool {
        self.flags & FLOW_HAS_PORTS != 0
    }

    /// The flow of the answers.
    #[inline]
    #[must_use]
    pub fn reversed(&self) -> Flow {
        Flow { src: self.dst, dst: self.src, src_port: self.dst_port, dst_port: self.src_port, ..*self }
    }
}

/// What the rules and the report need to know of one packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketView {
    /// Addresses, ports, protocol.
    pub flow: Flow,
    /// Sequence number of a TCP segment, else 0.
    pub tcp_seq: u32,
    /// Bytes from the IP header on, as that header says.
    pub length: u32,
    /// Flag bits of a TCP segment, else 0.
    pub tcp_flags: u8,
    /// 4 or 6.
    pub family: u8,
    /// Always 0.
    pub padding: u16,
    /// Always 0.
    pub padding_more: u32,
}

const _: () = assert!(core::mem::size_of::<Flow>() == 40);
const _: () = assert!(core::mem::offset_of!(Flow, src_port) == 32);
const _: () = assert!(core::mem::size_of::<PacketView>() == 56);
const _: () = assert!(core::mem::align_of::<PacketView>() == 8);

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Parsed {
    /// Not IP (ARP, for one): never touched.
    NotIp = 0,
    /// An IP packet.
    Packet = 1,
    /// Says it is IP and is not, or ends too early: passed, and counted.
    Malformed = 2,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

const ETHERNET_LEN: u32 = 14;
const VLAN_TAG_LEN: u32 = 4;
const IPV4_LEN: u32 = 20;
const IPV6_LEN: u32 = 40;
/// Of a TCP header, up to its flags.
const TCP_READ_LEN: u32 = 14;
/// Of a UDP header, the ports.
const UDP_READ_LEN: u32 = 4;
const EXTENSION_FRAGMENT: u8 = 44;
const EXTENSION_AUTHENTICATION: u8 = 51;
const VLAN_TAGS_MAX: u32 = 2;
/// A packet with more extension headers than this is taken for one without ports.
const EXTENSIONS_MAX: u32 = 6;

/// Reads a whole frame, from its Ethernet header, into `view`; what is in there counts only if the answer is
/// [`Parsed::Packet`].
#[inline(always)]
pub fn parse<F: Frame>(frame: &F, view: &mut PacketView) -> Parsed {
    *view = PacketView::default();
    if !frame.covers(ETHERNET_LEN) {
        return Parsed::Malformed;
    }
    let mut at = ETHERNET_LEN;
    let mut ethertype = frame.be16(at - 2);
    let mut tags = 0;
    while tags < VLAN_TAGS_MAX && (ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ) {
        at += VLAN_TAG_LEN;
        if !frame.covers(at) {
            return Parsed::Malformed;
        }
        ethertype = frame.be16(at - 2);
        tags += 1;
    }
    match ethertype {
        ETHERTYPE_IPV4 => parse_ipv4(frame, at, view),
        ETHERTYPE_IPV6 => parse_ipv6(frame, at, view),
        _ => Parsed::NotIp,
    }
}

/// Whether the two bytes at offset 6 of an IPv4 header say that something came before.
#[inline(always)]
fn is_later_fragment(flags_and_offset: u16) -> bool {
    flags_and_offset & 0x1fff != 0
}

#[inline(always)]
fn fill_ipv4<F: Frame>(frame: &F, at: u32, view: &mut PacketView) {
    view.family = 4;
    view.length = frame.be16(at + 2) as u32;
    view.flow.protocol = frame.u8(at + 9);
    view.flow.src = Addr::mapped(frame.ne32(at + 12));
    view.flow.dst = Addr::mapped(frame.ne32(at + 16));
}

#[inline(always)]
fn fill_ipv6<F: Frame>(frame: &F, at: u32, view: &mut PacketView) {
    view.family = 6;
    view.length = IPV6_LEN + frame.be16(at + 4) as u32;
    view.flow.protocol = frame.u8(at + 6);
    view.flow.src = Addr([frame.ne64(at + 8), frame.ne64(at + 16)]);
    view.flow.dst = Addr([frame.ne64(at + 24), frame.ne64(at + 32)]);
}

#[inline(always)]
fn parse_ipv4<F: Frame>(frame: &F, at: u32, view: &mut PacketView) -> Parsed {
    if !frame.covers(at + IPV4_LEN) {
        return Parsed::Malformed;
    }
    let first = frame.u8(at);
    let header_len = (first & 0x0f) as u32 * 4;
    if first >> 4 != 4 || header_len < IPV4_LEN {
        return Parsed::Malformed;
    }
    fill_ipv4(frame, at, view);
    if is_later_fragment(frame.be16(at + 6)) {
        return Parsed::Packet;
    }
    parse_transport(frame, at + header_len, view)
}

#[inline(always)]
fn parse_ipv6<F: Frame>(frame: &F, at: u32, view: &mut PacketView) -> Parsed {
    if !frame.covers(at + IPV6_LEN) || frame.u8(at) >> 4 != 6 {
        return Parsed::Malformed;
    }
    fill_ipv6(frame, at, view);
    let mut at = at + IPV6_LEN;
    let mut extensions = 0;
    while is_extension(view.flow.protocol) {
        if extensions == EXTENSIONS_MAX {
            return Parsed::Packet;
        }
        if !frame.covers(at + 4) {
            return Parsed::Malformed;
        }
        let kind = view.flow.protocol;
        view.flow.protocol = frame.u8(at);
        if kind == EXTENSION_FRAGMENT && frame.be16(at + 2) & 0xfff8 != 0 {
            return Parsed::Packet;
        }
        let units = frame.u8(at + 1) as u32;
        at += match kind {
            EXTENSION_FRAGMENT => 8,
            EXTENSION_AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        extensions += 1;
    }
    parse_transport(frame, at, view)
}

/// Hop-by-hop, routing, fragment, authentication, destination options.
#[inline(always)]
fn is_extension(next_header: u8) -> bool {
    matches!(next_header, 0 | 43 | EXTENSION_FRAGMENT | EXTENSION_AUTHENTICATION | 60)
}

#[inline(always)]
fn parse_transport<F: Frame>(frame: &F, at: u32, view: &mut PacketView) -> Parsed {
    match view.flow.protocol {
        PROTOCOL_TCP => {
            if !frame.covers(at + TCP_READ_LEN) {
                return Parsed::Malformed;
            }
            view.tcp_seq = frame.be32(at + 4);
            view.tcp_flags = frame.u8(at + 13);
        }
        PROTOCOL_UDP => {
            if !frame.covers(at + UDP_READ_LEN) {
                return Parsed::Malformed;
            }
        }
        _ => return Parsed::Packet,
    }
    view.flow.src_port = frame.be16(at);
    view.flow.dst_port = frame.be16(at + 2);
    view.flow.flags = FLOW_HAS_PORTS;
    Parsed::Packet
}

/// The frequent shape: untagged, IPv4 without options or IPv6 without extension headers, not a later fragment, TCP or
/// UDP. `false` means "ask [`parse`]"; where it is `true`, `view` is what [`parse`] makes of it too.
#[inline(always)]
pub fn parse_plain<F: Frame>(frame: &F, view: &mut PacketView) -> bool {
    if !frame.covers(ETHERNET_LEN + IPV4_LEN) {
        return false;
    }
    let ip = ETHERNET_LEN;
    match frame.be16(ip - 2) {
        ETHERTYPE_IPV4 => {
            if frame.u8(ip) != 0x45 || is_later_fragment(frame.be16(ip + 6)) {
                return false;
            }
            fill_ipv4(frame, ip, view);
            plain_transport(frame, ip + IPV4_LEN, view)
        }
        ETHERTYPE_IPV6 => {
            if !frame.covers(ip + IPV6_LEN) || frame.u8(ip) >> 4 != 6 {
                return false;
            }
            fill_ipv6(frame, ip, view);
            plain_transport(frame, ip + IPV6_LEN, view)
        }
        _ => false,
    }
}

#[inline(always)]
fn plain_transport<F: Frame>(frame: &F, at: u32, view: &mut PacketView) -> bool {
    (view.flow.protocol == PROTOCOL_TCP || view.flow.protocol == PROTOCOL_UDP)
        && parse_transport(frame, at, view) as u32 == Parsed::Packet as u32
}
