//! Functions of `fissure sql` beyond those of the engine.
//!
//! Scalar functions put numbers into words ([`scalar`]), `quantiles` is an aggregate that can be merged
//! ([`quantiles`]), and table functions are questions that take arguments ([`tables`]): each is written as SQL over the
//! tables and views and planned like a question, so that it streams and reads only the columns and files that it needs. Two
//! others run checkers ([`checks`]).
//!
//! Invariants:
//! * a table function is the same over one run and over a folder of runs; there it takes the run as its first argument
//!   where it is about one operation or one key;
//! * arguments are literals, and what is wrong with them is said with an example.

mod arguments;
mod checks;
mod explain;
mod lookup;
mod mops;
mod quantiles;
mod scalar;
mod sketch;
mod tables;
mod touches;
mod words;

use crate::interval::IntervalJoinRule;
use crate::views::Shape;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

pub use tables::TableFunctionDoc;
pub(crate) use touches::keys_asked;

/// Registers all functions for tables of this shape; the tables must be there already.
pub(crate) fn register(context: &SessionContext, shape: &Shape) {
    let state = context.state_weak_ref();
    let state = move || state.upgrade().map(|state| state.read().clone());
    let lookup = Arc::new(lookup::Lookup::new(state, shape.clone()));
    for function in scalar::all(&lookup, shape) {
        context.register_udf(function);
    }
    for function in mops::all() {
        context.register_udf(function);
    }
    context.register_udf(touches::function());
    context.register_udaf(AggregateUDF::from(quantiles::Quantiles::new()));
    tables::register(context, shape);
    checks::register(context, shape);
}

/// The table functions, for help and completion: name, how it is called, what it gives.
#[must_use]
pub fn table_functions() -> &'static [TableFunctionDoc] {
    &ALL
}

/// Those that are SQL, and those that run checkers.
const ALL: [TableFunctionDoc; 10] = {
    let [a, b, c, d, e, f, g] = tables::ALL;
    let [h, i, j] = checks::ALL;
    [a, b, c, d, e, f, g, h, i, j]
};

/// The rules that make an efficient plan: those of the engine, with joins on intervals put in as soon as sides are chosen.
pub(crate) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let after = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |at| at + 1);
    rules.insert(after, Arc::new(IntervalJoinRule));
    rules
}
