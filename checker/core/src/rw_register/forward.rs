//! One order in which everything goes forward, for levels that need no order of versions: a proof that a history is healthy,
//! at a fraction of what finding a contradiction takes.
//!
//! A transaction stands behind everyone it reads from, and behind everyone who read what it overwrites, as far as that is
//! known: because it read the version, or because that was the initial one. If there is such an order, dependencies close
//! no cycle; if processes go forward in it too, none with theirs. And if no reader saw a writer of the key that stands
//! between it and whom it read from, the orders of writers that reads show ([`super::weak`]) go forward as well: then
//! causality is kept, and with it all weaker levels.
//!
//! The first order is that of the ends of transactions. Those without an end are put where their effect seems to have taken
//! place ([`effects`]), and writers that overlap as later reads of one of them suggest. What goes backward in it is turned
//! around, and what lies between is put in order anew, as long as that does not go in circles ([`ROUNDS_MAX`] times at
//! most): of transactions that overlap in time any may have come first, and few do not go forward. While an order keeps to
//! real time, only keys are looked at where transactions overlap in a way that leaves something open ([`survey`]).
//!
//! Nothing is said where that does not come out, or where any anomaly was found: it is looked at in full then. So
//! whatever is left out here, to be quick, costs time and never an answer. Linear in the history, the few transactions aside
//! that a walk from a reader back to such a writer meets. Eight bytes are taken for each transaction (twelve with processes),
//! and four more while they are put in order.

mod by_txn;
mod effects;
mod placing;
mod ranks;
mod survey;
mod verify;

use super::index::{Index, Visited};
use super::judge::{Judged, Need};
use super::sessions::Sessions;
use crate::consistency::Order;
use ranks::Ranks;
pub(super) use survey::Part;

/// How often the order is mended, at most.
const ROUNDS_MAX: usize = 32;

/// The answer for a history without any contradiction, or else the order that was laid, if there is one: the place of each
/// transaction, which stands behind everyone it reads from, and behind the one before it in its process if processes count;
/// `NONE` for those without effect. Reads must show no anomaly by themselves, no source of version orders may be in use but
/// those that say nothing about others, and the order must not be that of real time.
pub(super) fn prove(index: &Index, order: Order, begun: Visited<Part>) -> Result<Judged, Option<Vec<u32>>> {
    let processes = order == Order::Process;
    let mut survey = survey::survey(index, begun).ok_or(None)?;
    let mut ranks = Ranks::new(index, &mut survey, processes).ok_or(None)?;
    if lay(index, &mut ranks, &survey.loose).is_none() {
        return Err(Some(ranks.into_places()));
    }
    let mut judged = Judged { edges: survey.dependencies, ..Judged::default() };
    judged.tell_open(survey.open_keys, index.columns.keys.len() as u64, order);
    if processes {
        judged.sessions = Sessions::all();
    }
    Ok(judged)
}

/// Mends an order until everything goes forward in it; nothing if it does not come to that.
fn lay(index: &Index, ranks: &mut Ranks<'_>, loose: &[u32]) -> Option<()> {
    for _ in 0..ROUNDS_MAX {
        let backward = verify::backward(index, ranks, loose)?;
        if backward.is_empty() {
            return Some(());
        }
        ranks.refine(backward)?;
    }
    None
}

impl Judged {
    /// What is to be said of how many versions are in a known order.
    pub(super) fn tell_open(&mut self, open_keys: u64, keys: u64, order: Order) {
        if open_keys == 0 {
            self.settled = Some((Need::Serial, order));
        } else {
            self.method = format!("; the order of all versions is known for {} of {keys} keys", keys - open_keys);
        }
    }
}
