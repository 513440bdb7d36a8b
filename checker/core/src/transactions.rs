//! Transactions whatever they are made of: columns, dependencies, and the cycles among them.
//!
//! A checker of one kind of object ([`crate::list_append`] and its siblings) turns a history into [`Txns`] and
//! [`Dependencies`](dependencies::Dependencies); from there on nothing knows what the objects were. A transaction is a
//! number (`u32`), counted in order of invocation.
//!
//! Rooms: `rows` is how transactions come in; `txns` holds the columns; `dependencies` and `edges` what data gives; `sweep` finds who lies on cycles at all;
//! `graph` takes these with the order in processes and in real time; `scc`, `cycles`, `single` and `nonadjacent` find
//! short cycles and name them. Nothing recurses, nothing is bounded by a time-out, and no result depends on the order of a
//! hash map.

pub(crate) mod cycles;
pub(crate) mod dependencies;
pub(crate) mod edges;
pub(crate) mod graph;
mod nonadjacent;
pub(crate) mod rows;
pub(crate) mod scc;
mod single;
mod sweep;
pub(crate) mod txns;
pub(crate) mod visibility;
pub(crate) mod words;

pub(crate) use txns::{NONE, Txns};

use crate::consistency::Order;
use crate::spill::SpillError;
use cycles::{Cycle, Search};
use edges::Edges;
use graph::Graph;
use sweep::cyclic_parts;

/// The transactions on cycles of all edges and an order, by strongly connected component. Edges must not keep those that
/// contradict real time apart.
///
/// # Errors
/// If edges that were put aside cannot be had back.
pub(crate) fn cyclic_components(edges: &Edges<'_>, order: Order) -> Result<Vec<Vec<u32>>, SpillError> {
    let parts = cyclic_parts(edges, order, false)?;
    let mut components: Vec<Vec<u32>> = Vec::new();
    for (txn, part) in parts.members.iter().filter(|(node, _)| edges.is_txn(*node)) {
        if components.len() <= *part as usize {
            components.resize(*part as usize + 1, Vec::new());
        }
        components[*part as usize].push(*txn);
    }
    Ok(components)
}

/// The cycles among transactions, up to an order: a short one of each kind in each component, and every dependency that
/// contradicts real time by itself.
///
/// Where a dependency leads back to a transaction that had completed before, it makes a cycle of two with real time,
/// and would make one component of all that happened in between. Such cycles are told each by itself, and only what is
/// left is searched for further cycles with real time: whatever lies on a cycle through such a dependency is implied by
/// the cycle of two.
///
/// # Errors
/// If edges that were put aside cannot be had back.
pub(crate) fn find_cycles(edges: &Edges<'_>, order: Order) -> Result<Vec<Cycle>, SpillError> {
    Ok(find_cycles_and_members(edges, order)?.0)
}

/// As [`find_cycles`], with the transactions on cycles of the data and the order in processes, ascending; perhaps some
/// more.
///
/// # Errors
/// If edges that were put aside cannot be had back.
pub(crate) fn find_cycles_and_members(edges: &Edges<'_>, order: Order) -> Result<(Vec<Cycle>, Vec<u32>), SpillError> {
    let (orders, level_max): (&[Order], u8) = match order {
        Order::Data => (&[], 0),
        Order::Process => (&[Order::Process], 1),
        Order::Realtime => (&[Order::Process, Order::Realtime], 2),
    };
    // Real-time order contains process order: the strongest order alone decides whether there is any cycle.
    let parts = cyclic_parts(edges, order, false)?;
    if edges.direct.is_empty() {
        if parts.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let graph = Graph::new(edges, &parts, orders, false)?;
        let mut search = Search::new(&graph, edges.txns);
        (0..=level_max).for_each(|level| search.level(level));
        return Ok((search.found, parts.txns(edges)));
    }
    let all = cyclic_parts(edges, Order::Process, true)?;
    let graph = Graph::new(edges, &all, &[Order::Process], true)?;
    let mut search = Search::new(&graph, edges.txns);
    (0..=1).for_each(|level| search.level(level));
    let (mut cycles, kinds) = (std::mem::take(&mut search.found), search.kinds_of_txns());
    drop(graph);
    cycles.extend(cycles::direct(edges, &all, &kinds));
    let graph = Graph::new(edges, &parts, orders, false)?;
    let mut search = Search::new(&graph, edges.txns);
    search.know(&kinds);
    search.level(2);
    cycles.append(&mut search.found);
    Ok((cycles, all.txns(edges)))
}
