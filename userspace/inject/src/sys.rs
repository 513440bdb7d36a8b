//! System calls that aya does not offer: the smallest programs, for probing, and the removal of a qdisc.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use nix::{
    libc,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
        sockopt,
    },
    sys::time::TimeVal,
};

/// A BPF instruction.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Insn {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Insn {
    const fn new(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: dst | src << 4, offset, immediate }
    }
}

/// `return 0`.
pub(crate) const RETURN_0: &[Insn] = &[Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];

/// An addition in memory that gives the old value back, then `return 0`.
pub(crate) const FETCH_ADD: &[Insn] = &[
    Insn::new(0xb7, 1, 0, 0, 1),
    Insn::new(0x7b, 10, 1, -8, 0),
    Insn::new(0xdb, 10, 1, -8, 1),
    Insn::new(0xb7, 0, 0, 0, 0),
    Insn::new(0x95, 0, 0, 0, 0),
];

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_LINK_CREATE: libc::c_long = 28;
const PROG_TYPE_SCHED_CLS: u32 = 3;
const TCX_INGRESS: u32 = 46;

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative_fd: u32,
    padding: u32,
    expected_revision: u64,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// The system call. `A` is the part of `union bpf_attr` the command looks at, with nothing after it.
fn bpf<A>(command: libc::c_long, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is valid for the size given, for reading and writing, and the pointers in it are to memory that the
    // callers keep alive over the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just given this descriptor to us.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// Loads a tc program.
pub(crate) fn load_classifier(insns: &[Insn]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let mut attr = ProgLoad {
        prog_type: PROG_TYPE_SCHED_CLS,
        insn_count: insns.len() as u32,
        insns: insns.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..ProgLoad::default()
    };
    bpf(BPF_PROG_LOAD, &mut attr).map(owned)
}

/// Attaches a tc program to an interface with a tcx link.
pub(crate) fn link_tcx(program: &OwnedFd, ifindex: u32) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: program.as_raw_fd() as u32,
        target_ifindex: ifindex,
        attach_type: TCX_INGRESS,
        ..LinkCreate::default()
    };
    bpf(BPF_LINK_CREATE, &mut attr).map(owned)
}

/// Runs a tc program on a frame; the mean time of one run, in nanoseconds.
pub(crate) fn test_run(program: &OwnedFd, frame: &[u8], repeat: u32) -> io::Result<u32> {
    let mut attr = TestRun {
        prog_fd: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_in: frame.as_ptr() as u64,
        repeat,
        ..TestRun::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr).map(|_| attr.duration)
}

const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT_INGRESS: u32 = 0xffff_fff2;
const CLSACT_EGRESS: u32 = 0xffff_fff3;
const HEADER_LEN: usize = 16;

/// Removes the clsact qdisc from an interface of this thread's network namespace, unless somebody else has a filter in it.
pub(crate) fn remove_clsact_if_unused(ifindex: u32) -> io::Result<()> {
    for parent in [CLSACT_INGRESS, CLSACT_EGRESS] {
        let replies = tc_request(RTM_GETTFILTER, NLM_F_REQUEST_DUMP, ifindex, 0, parent)?;
        if replies.contains(&RTM_NEWTFILTER) {
            return Ok(());
        }
    }
    tc_request(RTM_DELQDISC, NLM_F_REQUEST_ACK, ifindex, CLSACT_HANDLE, TC_H_CLSACT).map(drop)
}

/// Sends one request about traffic control and gives the kinds of the replies.
fn tc_request(kind: u16, flags: u16, ifindex: u32, handle: u32, parent: u32) -> io::Result<Vec<u16>> {
    let mut message = Vec::with_capacity(36);
    message.extend(36u32.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(ifindex.to_ne_bytes());
    message.extend(handle.to_ne_bytes());
    message.extend(parent.to_ne_bytes());
    message.extend([0; 4]);
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::new(2, 0))?;
    sendto(netlink.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut kinds = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let len = recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if read_replies(&buffer[..len], &mut kinds)? {
            return Ok(kinds);
        }
    }
}

/// Collects the kinds of the messages in a datagram; `true` after the last.
fn read_replies(mut datagram: &[u8], kinds: &mut Vec<u16>) -> io::Result<bool> {
    let word = |bytes: &[u8], at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    while datagram.len() >= HEADER_LEN {
        let len = word(datagram, 0) as usize;
        if len < HEADER_LEN || len > datagram.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let kind = u16::from_ne_bytes([datagram[4], datagram[5]]);
        if kind == NLMSG_DONE {
            return Ok(true);
        }
        if kind == NLMSG_ERROR {
            let code = if len >= HEADER_LEN + 4 { word(datagram, HEADER_LEN) } else { 0 };
            return if code == 0 { Ok(true) } else { Err(io::Error::from_raw_os_error(-code)) };
        }
        kinds.push(kind);
        datagram = &datagram[len.next_multiple_of(4).min(datagram.len())..];
    }
    Ok(false)
}
