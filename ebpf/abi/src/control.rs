//! Tables, lease and counters, shared through memory.
//!
//! There are two rule tables. User space writes the one that is not in use and then stores one word, [`Control::active`]:
//! a packet is decided by one table or by the other. Each rule carries the revision it belongs to, so that a program that
//! read the word long ago sees that the table under its hands has been overwritten, and starts again.

/// Most rules in a table.
pub const RULES_MAX: u32 = 16_384;
/// Most rules counted apart at one time: two tables and room to retire old ones.
pub const HITS_MAX: u32 = 4 * RULES_MAX;
/// Most interfaces attached at one time; each has its own copy of the program, which knows its number.
pub const HOSTS_MAX: u32 = 64;
/// Flows remembered.
pub const FLOWS_MAX: u32 = 65_536;
/// Pairs of ends whose connections are counted.
pub const ENDS_MAX: u32 = 16_384;
/// Bytes of the ring buffer.
pub const EVENTS_BYTES: u32 = 1 << 23;
/// A sleeping reader is woken each time a processor has reported this many events; otherwise it looks by itself.
pub const EVENTS_PER_WAKEUP: u64 = 1024;

/// [`Control::flags`]: count packets and connections also while the table is empty, so that connections opened before
/// the first fault have their names when it comes.
pub const CONTROL_TRACK: u64 = 1;

/// What belongs to one of the two tables.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableHeader {
    /// Revision of the rules in it; 0 while it is being written.
    pub revision: u32,
    /// Number of rules in it.
    pub rule_count: u32,
}

/// The words every packet looks at.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `revision << 1 | table`. 0: nothing was ever published.
    pub active: u64,
    /// Nothing is done at or after this moment of CLOCK_MONOTONIC, in nanoseconds. 0: no lease.
    pub lease_expires_ns: u64,
    /// The two tables.
    pub tables: [TableHeader; 2],
    /// [`CONTROL_TRACK`].
    pub flags: u64,
    /// Always 0.
    pub padding: [u64; 3],
}

const _: () = assert!(core::mem::size_of::<Control>() == 64);
const _: () = assert!(core::mem::offset_of!(Control, tables) == 16);
const _: () = assert!(core::mem::offset_of!(Control, flags) == 32);

/// [`Control::active`] for a table.
#[inline(always)]
#[must_use]
pub const fn active_word(revision: u32, table: u32) -> u64 {
    (revision as u64) << 1 | (table & 1) as u64
}

/// The revision in [`Control::active`].
#[inline(always)]
#[must_use]
pub const fn active_revision(word: u64) -> u32 {
    (word >> 1) as u32
}

/// The table in [`Control::active`].
#[inline(always)]
#[must_use]
pub const fn active_table(word: u64) -> u32 {
    (word & 1) as u32
}

/// Things that are counted for the whole machine. The number is the place in the array of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Counter {
    /// Hits that were not made because the ring had no room for their record.
    EventsLost = 0,
    /// Frames that said they were IP and were not, or were cut short: passed.
    ParseErrors = 1,
    /// Packets some rule was about that passed because there was no live lease.
    LeaseExpired = 2,
    /// Decisions begun again because the table had been overwritten meanwhile.
    StaleRetries = 3,
    /// Packets that passed because that happened several times over.
    StalePassed = 4,
    /// Packets that passed because their flow could not be remembered.
    FlowsLost = 5,
    /// Connections without an ordinal because their ends could not be remembered.
    OrdinalsLost = 6,
    /// Flows classified by scanning the table.
    Classified = 7,
}

impl Counter {
    /// Every counter, in order.
    pub const ALL: [Counter; 8] = [
        Counter::EventsLost,
        Counter::ParseErrors,
        Counter::LeaseExpired,
        Counter::StaleRetries,
        Counter::StalePassed,
        Counter::FlowsLost,
        Counter::OrdinalsLost,
        Counter::Classified,
    ];
}
