//! Where knowledge of the version order of a key comes from.
//!
//! Nothing in a register tells which of two writes came first. Sources of such knowledge:
//! * [`INITIAL`]: the initial version precedes all others. Always true.
//! * [`SUPPLIED`]: an order of the transactions that the caller knows, such as log positions of the database.
//! * [`RMW`]: a transaction read one version and wrote another. Were the later version the earlier one, its writer would
//!   precede, by ww, the writer of what it read, which precedes it by wr: G1c. So the source is sound under every model
//!   that proscribes G1c, and says nothing that others could doubt as long as only rw edges are drawn from it: models
//!   that proscribe a cycle with rw proscribe G1c too. Asked for by name (writes follow reads) it gives ww edges as well.
//! * [`PROCESS`]: two transactions of one process met the key one after the other, and each register is sequential.
//! * [`REALTIME`]: one transaction that met a version completed before another one that met another version was invoked,
//!   and each register is linearizable.
//!
//! The last two are assumptions, unless the model implies them: under a model that proscribes `G-single-process`
//! (`G-single-realtime`) the other order of the two versions would itself close a cycle that the model proscribes.
//! Findings that rest on implied orders are named after the order (`-process`, `-realtime`), whatever else they are.

use crate::consistency::{Model, Order};

/// The initial version comes first.
pub(crate) const INITIAL: u8 = 1;
/// An order of transactions that was supplied.
pub(crate) const SUPPLIED: u8 = 2;
/// Read one version, wrote the other.
pub(crate) const RMW: u8 = 4;
/// One process met one version after the other.
pub(crate) const PROCESS: u8 = 8;
/// One version was met before another one in real time.
pub(crate) const REALTIME: u8 = 16;
/// No knowledge: an order in which versions were first seen, where sources contradict each other.
pub(crate) const FIRST_SEEN: u8 = 32;

/// Which sources to use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Sources that the caller vouches for: contradictions are cyclic versions.
    pub(crate) assumed: u8,
    /// Sources that the model implies: contradictions show as cycles of transactions.
    pub(crate) implied: u8,
    /// Place of each transaction in the supplied order; `i64::MIN` where it has none. Empty: no order.
    pub(crate) supplied: Vec<i64>,
}

impl Sources {
    /// The sources that can be used besides those that were asked for, as far as `known` order reaches.
    pub(crate) fn implied_by(model: Model, known: Order) -> u8 {
        if known == Order::Realtime && model.proscribes("G-single-realtime") {
            REALTIME
        } else if known >= Order::Process && model.proscribes("G-single-process") {
            PROCESS
        } else {
            0
        }
    }

    /// All sources in use.
    pub(crate) fn all(&self) -> u8 {
        self.assumed | self.implied | RMW
    }
}

/// What a source is called in findings.
pub(crate) fn name(source: u8) -> &'static str {
    match source {
        INITIAL => "initial-state",
        SUPPLIED => "transaction-order",
        RMW => "writes-follow-reads",
        PROCESS => "sequential-keys",
        REALTIME => "linearizable-keys",
        _ => "first-seen",
    }
}

/// The sources of a set, in order of trust.
pub(crate) fn each(sources: u8) -> impl Iterator<Item = u8> {
    [INITIAL, SUPPLIED, RMW, PROCESS, REALTIME, FIRST_SEEN].into_iter().filter(move |source| sources & source != 0)
}
