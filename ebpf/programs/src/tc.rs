//! The tc (tcx, clsact) hook at the ingress of the receiving host's interface.
//!
//! Packets are dropped where they arrive, so the sender's stack sees loss and not an error. A packet that is not dropped
//! goes on to whatever else is attached there.

use core::arch::asm;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::bpf_skb_load_bytes,
    macros::classifier,
    programs::TcContext,
};
use fissure_abi::{Action, Frame, PacketView, Parsed, parse, parse_plain};

use crate::{classify, count, work};

/// Headers are read directly up to here.
const LINEAR_MIN: u32 = 14 + 40 + 14;

/// The directly readable part of a packet.
struct Linear {
    data: usize,
    end: usize,
}

/// Reads an integer of the size given from a place of the packet. Headers lie at odd places, which the compiler would
/// read byte by byte; the processors Fissure runs on need not.
macro_rules! read {
    ($frame:expr, $at:expr, $load:literal) => {{
        let value: u64;
        // SAFETY: the caller has asked `covers`, or the verifier refuses the program.
        unsafe {
            asm!(
                concat!("{value} = *(", $load, " *)({place} + 0)"),
                value = out(reg) value,
                place = in(reg) $frame.data + $at as usize,
                options(readonly, nostack, preserves_flags),
            );
        }
        value
    }};
}

impl Frame for Linear {
    #[inline(always)]
    fn covers(&self, len: u32) -> bool {
        self.data + len as usize <= self.end
    }

    #[inline(always)]
    fn u8(&self, at: u32) -> u8 {
        read!(self, at, "u8") as u8
    }

    #[inline(always)]
    fn be16(&self, at: u32) -> u16 {
        u16::from_be(read!(self, at, "u16") as u16)
    }

    #[inline(always)]
    fn be32(&self, at: u32) -> u32 {
        u32::from_be(read!(self, at, "u32") as u32)
    }

    #[inline(always)]
    fn ne32(&self, at: u32) -> u32 {
        read!(self, at, "u32") as u32
    }

    #[inline(always)]
    fn ne64(&self, at: u32) -> u64 {
        read!(self, at, "u64")
    }
}

/// Any part of a packet, through a helper call.
struct Anywhere<'a>(&'a TcContext);

impl Anywhere<'_> {
    #[inline(always)]
    fn load<T: Default>(&self, at: u32) -> T {
        let mut value = T::default();
        // SAFETY: the helper writes the bytes of one integer to the integer given, or fails.
        let _ =
            unsafe { bpf_skb_load_bytes(self.0.skb.skb.cast(), at, (&raw mut value).cast(), size_of::<T>() as u32) };
        value
    }
}

impl Frame for Anywhere<'_> {
    #[inline(always)]
    fn covers(&self, len: u32) -> bool {
        len <= self.0.len()
    }

    #[inline(always)]
    fn u8(&self, at: u32) -> u8 {
        self.load(at)
    }

    #[inline(always)]
    fn be16(&self, at: u32) -> u16 {
        u16::from_be(self.load(at))
    }

    #[inline(always)]
    fn be32(&self, at: u32) -> u32 {
        u32::from_be(self.load(at))
    }

    #[inline(always)]
    fn ne32(&self, at: u32) -> u32 {
        self.load(at)
    }

    #[inline(always)]
    fn ne64(&self, at: u32) -> u64 {
        self.load(at)
    }
}

#[inline(always)]
fn ingress(ctx: &TcContext, host: u32) -> i32 {
    if ctx.data() + LINEAR_MIN as usize > ctx.data_end() && ctx.len() >= LINEAR_MIN {
        // Fails only for want of memory; then the helper still reads it.
        let _ = ctx.pull_data(LINEAR_MIN);
    }
    let frame = Linear { data: ctx.data(), end: ctx.data_end() };
    let mut view = PacketView::default();
    let action = if parse_plain(&frame, &mut view) { classify::packet(&view, host) } else { uncommon(ctx, host) };
    if action == Action::Drop as u32 { TC_ACT_SHOT } else { TC_ACT_UNSPEC }
}

/// Frames that are not of the frequent shape: tagged, with options, fragments, cut short, not IP.
#[inline(never)]
fn uncommon(ctx: &TcContext, host: u32) -> u32 {
    let Some(work) = work::here() else { return Action::Pass as u32 };
    let parsed = parse_anywhere(ctx, &mut work.view);
    if parsed == Parsed::Packet as u32 {
        return classify::packet_at_work(work, host);
    }
    if parsed == Parsed::Malformed as u32 {
        count::malformed(ctx);
    }
    Action::Pass as u32
}

/// The general parser, on a stack of its own.
#[inline(never)]
fn parse_anywhere(ctx: &TcContext, view: &mut PacketView) -> u32 {
    parse(&Anywhere(ctx), view) as u32
}

/// One copy of the program for each attached interface: nothing in a packet says in which network namespace it is (not on
/// every kernel), but a program can know its own number.
macro_rules! hosts {
    ($($name:ident = $host:literal,)*) => {$(
        /// Ingress of the interface with this number.
        #[classifier]
        pub fn $name(ctx: TcContext) -> i32 {
            ingress(&ctx, $host)
        }
    )*};
}

hosts! {
    fissure_in_00 = 0,
    fissure_in_01 = 1,
    fissure_in_02 = 2,
    fissure_in_03 = 3,
    fissure_in_04 = 4,
    fissure_in_05 = 5,
    fissure_in_06 = 6,
    fissure_in_07 = 7,
    fissure_in_08 = 8,
    fissure_in_09 = 9,
    fissure_in_10 = 10,
    fissure_in_11 = 11,
    fissure_in_12 = 12,
    fissure_in_13 = 13,
    fissure_in_14 = 14,
    fissure_in_15 = 15,
    fissure_in_16 = 16,
    fissure_in_17 = 17,
    fissure_in_18 = 18,
    fissure_in_19 = 19,
    fissure_in_20 = 20,
    fissure_in_21 = 21,
    fissure_in_22 = 22,
    fissure_in_23 = 23,
    fissure_in_24 = 24,
    fissure_in_25 = 25,
    fissure_in_26 = 26,
    fissure_in_27 = 27,
    fissure_in_28 = 28,
    fissure_in_29 = 29,
    fissure_in_30 = 30,
    fissure_in_31 = 31,
    fissure_in_32 = 32,
    fissure_in_33 = 33,
    fissure_in_34 = 34,
    fissure_in_35 = 35,
    fissure_in_36 = 36,
    fissure_in_37 = 37,
    fissure_in_38 = 38,
    fissure_in_39 = 39,
    fissure_in_40 = 40,
    fissure_in_41 = 41,
    fissure_in_42 = 42,
    fissure_in_43 = 43,
    fissure_in_44 = 44,
    fissure_in_45 = 45,
    fissure_in_46 = 46,
    fissure_in_47 = 47,
    fissure_in_48 = 48,
    fissure_in_49 = 49,
    fissure_in_50 = 50,
    fissure_in_51 = 51,
    fissure_in_52 = 52,
    fissure_in_53 = 53,
    fissure_in_54 = 54,
    fissure_in_55 = 55,
    fissure_in_56 = 56,
    fissure_in_57 = 57,
    fissure_in_58 = 58,
    fissure_in_59 = 59,
    fissure_in_60 = 60,
    fissure_in_61 = 61,
    fissure_in_62 = 62,
    fissure_in_63 = 63,
}
