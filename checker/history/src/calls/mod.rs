//! Calls as columns: every kind of call and micro-operation, in both directions.
//!
//! The journal of operations and the table `ops` have the same columns for what was asked and told. The one difference
//! is `f`: a code of one byte in the journal, a word in the table.
//!
//! Invariants:
//! * what [`CallColumns`] takes, [`CallReader`] gives back, if it is told whether the operation was `ok`: of an
//!   operation that is not, what its reads saw is not kept;
//! * an `ok` read whose result is not known is marked: `value_text` is `?`; of a register in a transaction, `list` is
//!   empty and not null;
//! * a set read has `elements` and a read of balances has `balances`, at least empty ones: this is what tells the three
//!   kinds of `read` apart;
//! * a call that nobody understands has only `f` and `value_text`.

mod builder;
mod codes;
mod flat;
mod growing;
mod reader;

pub(crate) use builder::{CallArrays, CallColumns};
pub(crate) use codes::{F_TXN, MOP_APPEND, MOP_READ, MOP_READ_LIST, MOP_WRITE, f_code, mop_code};
pub(crate) use flat::{CallRef, FlatMop, FlatMops, FlatTxn};
pub(crate) use growing::{Ints, Labels, OptionalInts, Texts, bytes_array, dictionary, ints_array, room_of};
pub(crate) use reader::CallReader;
