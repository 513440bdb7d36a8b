//! Transactions whatever they are made of: columns, dependencies, and the cycles among them.
//!
//! A checker of one kind of object ([`crate::list_append`] and its siblings) turns a history into [`Txns`] and
//! [`Dependencies`](dependencies::Dependencies); from there on nothing knows what the objects were. A transaction is a
//! number (`u32`), counted in order of invocation.
//!
//! Rooms: `txns` holds the columns; `dependencies` the edges that data gives; `line` confines cycles to segments of
//! time; `graph` adds the order in processes and in real time; `scc`, `cycles`, `single` and `nonadjacent` find the
//! cycles and name them. Nothing recurses, nothing is bounded by a time-out, and no result depends on the order of a
//! hash map.

pub(crate) mod cycles;
pub(crate) mod dependencies;
pub(crate) mod graph;
pub(crate) mod line;
mod nonadjacent;
pub(crate) mod scc;
mod single;
pub(crate) mod txns;

pub(crate) use txns::{NONE, Txns};

use crate::consistency::Order;
use cycles::{Cycle, Search};
use dependencies::Dependencies;
use graph::Graph;
use line::Line;

/// The cycles among transactions, up to an order: a short one of each kind in each component.
pub(crate) fn find_cycles(txns: &Txns, dependencies: &Dependencies, order: Order) -> Vec<Cycle> {
    let line = Line::new(txns);
    let segments = line.segments(dependencies);
    if segments.iter().all(|segment| *segment == NONE) {
        return Vec::new();
    }
    // Real-time order contains process order: the strongest order alone decides whether there is any cycle.
    let graph = Graph::new(txns, dependencies, &line, &segments, &[order]);
    drop(segments);
    let parts = cyclic_parts(&graph, txns.len());
    drop(graph);
    if parts.iter().all(|part| *part == NONE) {
        return Vec::new();
    }
    let (orders, level_max): (&[Order], u8) = match order {
        Order::Data => (&[], 0),
        Order::Process => (&[Order::Process], 1),
        Order::Realtime => (&[Order::Process, Order::Realtime], 2),
    };
    let graph = Graph::new(txns, dependencies, &line, &parts, orders);
    Search::run(&graph, txns, level_max)
}

/// Number of the strongly connected component of each transaction; `NONE` for those on no cycle.
fn cyclic_parts(graph: &Graph, txns: usize) -> Vec<u32> {
    let mut parts = vec![NONE; txns];
    let mut count = 0;
    let view = scc::Plain { graph, labels: u8::MAX, within: None };
    scc::Walks::default().components(&view, 0..graph.nodes() as u32, |nodes| {
        if nodes.len() > 1 {
            for node in nodes.iter().filter(|node| graph.is_txn(**node)) {
                parts[graph.txn[*node as usize] as usize] = count;
            }
            count += 1;
        }
    });
    parts
}
