//! Joins on overlapping intervals of time, without comparing everything with everything.
//!
//! Most questions about a run are of this form: which operations were in flight while a fault was in force, which
//! packets were dropped while an operation waited. In SQL that is a join on `a.begin <= b.end AND a.end >= b.begin`, which
//! a plain engine answers by a nested loop, or by a hash join that lays every row of a connection beside every other one.
//! [`IntervalJoinRule`] finds such joins in a plan, whoever wrote them, and puts an [`IntervalJoinExec`] in their place.
//!
//! How it works: the left input is read once and kept, sorted by group (the columns that must be equal) and by the begin
//! of its intervals, with the greatest end of each block of 16, of 16 blocks, and so on. The right input streams past; for
//! each of its rows a binary search gives where candidates end, and blocks whose intervals all ended too early are skipped.
//! With n rows left, m right and k pairs that is O(n log n + m log n + k log n) time and O(n) memory.
//!
//! Invariants:
//! * the pairs are those of the join that was replaced, in another order;
//! * null is never within an interval, and no group has a null in it;
//! * what is kept is accounted for in the memory pool; a pool that is spent is an error, never a silent loss.
//!
//! ```sql
//! SELECT f.fault_id, count(*) FROM faults f JOIN ops o
//!   ON o.invoke_ns <= f.start_ns AND o.complete_ns >= f.start_ns GROUP BY 1
//! ```

mod build;
mod exec;
mod index;
mod keys;
mod probe;
mod rule;
#[cfg(test)]
mod tests;

pub(crate) use rule::IntervalJoinRule;
