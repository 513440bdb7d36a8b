//! Frames and dice for the tests that show packets to the programs.
#![allow(dead_code, reason = "each test uses its part")]

/// A small generator of numbers: the same seed, the same numbers.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// An address of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addr {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Addr {
    pub(crate) fn bytes(self) -> [u8; 16] {
        match self {
            Addr::V4(v4) => fissure_abi::Addr::mapped(u32::from_ne_bytes(v4)).bytes(),
            Addr::V6(v6) => v6,
        }
    }
}

pub(crate) fn v4(last: u8) -> Addr {
    Addr::V4([10, 7, 0, last])
}

pub(crate) fn v6(last: u8) -> Addr {
    let mut address = [0; 16];
    address[0] = 0xfd;
    address[15] = last;
    Addr::V6(address)
}

/// A packet to be made.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub src: Addr,
    pub dst: Addr,
    pub protocol: u8,
    pub src_port: u16,
    pub dst_port: u16,
    pub tcp_flags: u8,
    pub tcp_seq: u32,
    pub payload: usize,
    pub vlan_tags: usize,
    /// Words of IPv4 options.
    pub options: usize,
    /// Next-header numbers of IPv6 extension headers.
    pub extensions: Vec<u8>,
    /// Fragment offset, in units of 8 bytes.
    pub fragment: u16,
}

impl Spec {
    pub(crate) fn tcp(src: Addr, dst: Addr, src_port: u16, dst_port: u16) -> Self {
        Self {
            src,
            dst,
            protocol: 6,
            src_port,
            dst_port,
            tcp_flags: 0x10,
            tcp_seq: 1,
            payload: 0,
            vlan_tags: 0,
            options: 0,
            extensions: Vec::new(),
            fragment: 0,
        }
    }

    pub(crate) fn udp(src: Addr, dst: Addr, src_port: u16, dst_port: u16) -> Self {
        Self { protocol: 17, tcp_flags: 0, tcp_seq: 0, ..Self::tcp(src, dst, src_port, dst_port) }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in 0..self.vlan_tags {
            frame.extend(if tag == 0 && self.vlan_tags > 1 { [0x88, 0xa8] } else { [0x81, 0x00] });
            frame.extend([0, 7]);
        }
        let transport = self.transport();
        match (self.src, self.dst) {
            (Addr::V4(src), Addr::V4(dst)) => {
                frame.extend([0x08, 0x00]);
                let length = (20 + 4 * self.options + transport.len()) as u16;
                frame.extend([0x45 + self.options as u8, 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([0, 0]);
                frame.extend(self.fragment.to_be_bytes());
                frame.extend([64, self.protocol, 0, 0]);
                frame.extend(src);
                frame.extend(dst);
                frame.extend(vec![1; 4 * self.options]);
                frame.extend(transport);
            }
            (src, dst) => {
                frame.extend([0x86, 0xdd]);
                let (first, extensions) = self.extension_headers();
                frame.extend([0x60, 0, 0, 0]);
                frame.extend(((extensions.len() + transport.len()) as u16).to_be_bytes());
                frame.extend([first, 64]);
                frame.extend(src.bytes());
                frame.extend(dst.bytes());
                frame.extend(extensions);
                frame.extend(transport);
            }
        }
        frame
    }

    fn transport(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.src_port.to_be_bytes());
        bytes.extend(self.dst_port.to_be_bytes());
        match self.protocol {
            6 => {
                bytes.extend(self.tcp_seq.to_be_bytes());
                bytes.extend([0, 0, 0, 0, 0x50, self.tcp_flags, 0xff, 0xff, 0, 0, 0, 0]);
            }
            17 => bytes.extend([0, 8, 0, 0]),
            _ => bytes.extend([0; 4]),
        }
        bytes.extend(vec![0xab; self.payload]);
        bytes
    }

    fn extension_headers(&self) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        for (index, kind) in self.extensions.iter().enumerate() {
            let next = self.extensions.get(index + 1).copied().unwrap_or(self.protocol);
            match kind {
                44 => {
                    let offset = self.fragment << 3;
                    bytes.extend([next, 0]);
                    bytes.extend(offset.to_be_bytes());
                    bytes.extend([0; 4]);
                }
                51 => bytes.extend([next, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                _ => bytes.extend([next, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            }
        }
        (self.extensions.first().copied().unwrap_or(self.protocol), bytes)
    }
}
