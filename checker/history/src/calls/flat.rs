//! Transactions without a tree: the micro-operations of many, one after the other, and where each begins.
//!
//! Importers read them from text in other threads than the one that writes them. A tree would be allocated here and
//! freed there, list by list; this is two vectors for a whole block of text.
//!
//! Invariant: the ranges that [`FlatMops`] gives out lie within it, and stay so: it only grows, but for
//! [`FlatMops::cut`], which takes back what was begun and not given out.

use fissure_checker::{Call, Mop};
use std::ops::Range;
use std::sync::Arc;

/// A micro-operation; lists are ranges of [`FlatMops::items`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum FlatMop {
    Append { key: i64, value: i64 },
    Write { key: i64, value: i64 },
    Read { key: i64, value: Option<Option<i64>> },
    ReadList { key: i64, list: Option<(u32, u32)> },
}

impl FlatMop {
    pub(crate) fn key(&self) -> i64 {
        match self {
            FlatMop::Append { key, .. }
            | FlatMop::Write { key, .. }
            | FlatMop::Read { key, .. }
            | FlatMop::ReadList { key, .. } => *key,
        }
    }
}

/// The micro-operations of many transactions.
#[derive(Debug, Default)]
pub(crate) struct FlatMops {
    mops: Vec<FlatMop>,
    items: Vec<i64>,
}

/// How much there was at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    mops: usize,
    items: usize,
}

impl FlatMops {
    pub(crate) fn mark(&self) -> Mark {
        Mark { mops: self.mops.len(), items: self.items.len() }
    }

    /// Takes back everything since `mark`.
    pub(crate) fn cut(&mut self, mark: Mark) {
        self.mops.truncate(mark.mops);
        self.items.truncate(mark.items);
    }

    /// The micro-operations since `mark` as the range of a transaction; `None` if there are too many for one block.
    pub(crate) fn since(&self, mark: Mark) -> Option<Range<u32>> {
        Some(u32::try_from(mark.mops).ok()?..u32::try_from(self.mops.len()).ok()?)
    }

    #[inline]
    pub(crate) fn push(&mut self, mop: FlatMop) {
        self.mops.push(mop);
    }

    #[inline]
    pub(crate) fn push_item(&mut self, item: i64) {
        self.items.push(item);
    }

    /// The items since `mark` as a list; `None` if there are too many for one block.
    #[inline]
    pub(crate) fn list_since(&self, mark: Mark) -> Option<(u32, u32)> {
        Some((u32::try_from(mark.items).ok()?, u32::try_from(self.items.len()).ok()?))
    }

    pub(crate) fn list(&self, (start, end): (u32, u32)) -> &[i64] {
        &self.items[start as usize..end as usize]
    }
}

/// One transaction.
#[derive(Clone, Debug)]
pub(crate) struct FlatTxn {
    pub(crate) of: Arc<FlatMops>,
    pub(crate) range: Range<u32>,
}

impl FlatTxn {
    pub(crate) fn mops(&self) -> &[FlatMop] {
        &self.of.mops[self.range.start as usize..self.range.end as usize]
    }

    /// The transaction as a call.
    pub(crate) fn call(&self) -> Call {
        let mop = |mop: &FlatMop| match *mop {
            FlatMop::Append { key, value } => Mop::Append { key, value },
            FlatMop::Write { key, value } => Mop::Write { key, value },
            FlatMop::Read { key, value } => Mop::Read { key, value },
            FlatMop::ReadList { key, list } => {
                Mop::ReadList { key, list: list.map(|list| self.of.list(list).to_vec()) }
            }
        };
        Call::Txn(self.mops().iter().map(mop).collect())
    }
}

impl PartialEq for FlatTxn {
    fn eq(&self, other: &Self) -> bool {
        self.call() == other.call()
    }
}

/// A call to be written, in either form.
#[derive(Clone, Copy)]
pub(crate) enum CallRef<'a> {
    Call(&'a Call),
    Txn(&'a FlatTxn),
}
