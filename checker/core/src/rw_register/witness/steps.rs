//! What each transaction needs to be executed, side by side: the registers that it reads and writes, and who must come
//! before and after it by known version orders.
//!
//! A version is named by its key and its writer. Transactions lie in pages, in their order; who goes through them in about
//! that order needs few pages at a time, so that pages may lie outside of memory.

use super::super::index::{Index, NEVER};
use super::super::keys::KeyFacts;
use super::shelf::{Collected, PAGE_TXNS, Shelf};
use crate::spill::SpillError;
use crate::transactions::{NONE, Txns};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// One register that a transaction reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// The key, and above it whether it is a write.
    key: u32,
    /// Of a read: who wrote what was read, or [`NEVER`]. Of a write: its number among those of the page.
    other: u32,
}

const WRITE: u32 = 1 << 31;

impl Access {
    pub(super) fn read(key: u32, source: u32) -> Self {
        Self { key, other: source }
    }

    pub(super) fn write(key: u32, number: u32) -> Self {
        Self { key: key | WRITE, other: number }
    }

    pub(crate) fn key(self) -> usize {
        (self.key & !WRITE) as usize
    }

    pub(crate) fn is_write(self) -> bool {
        self.key & WRITE != 0
    }

    /// The number of a write among those of its page.
    pub(super) fn number(self) -> u32 {
        debug_assert!(self.is_write());
        self.other
    }

    /// Who wrote what a read saw; [`NEVER`] if nobody had.
    pub(crate) fn source(self) -> u32 {
        debug_assert!(!self.is_write());
        self.other
    }
}

/// Lists of numbers, one after the other.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// List `n`: `items[start[n]..start[n + 1]]`.
    pub(super) start: Vec<u32>,
    pub(super) items: Vec<u32>,
}

impl Lists {
    /// From pairs of list and item, which come in the order of the items of each list.
    pub(super) fn of(count: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut start = vec![0_u32; count + 1];
        pairs.clone().for_each(|(list, _)| start[list as usize + 1] += 1);
        for list in 0..count {
            start[list + 1] += start[list];
        }
        let mut items = vec![0; start[count] as usize];
        let mut next = start.clone();
        for (list, item) in pairs {
            let slot = &mut next[list as usize];
            items[*slot as usize] = item;
            *slot += 1;
        }
        Self { start, items }
    }

    fn range(&self, list: usize) -> Range<usize> {
        self.start[list] as usize..self.start[list + 1] as usize
    }

    fn get(&self, list: usize) -> &[u32] {
        &self.items[self.range(list)]
    }
}

/// Some transactions that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(super) first: u32,
    /// Accesses of transaction `first + n`: `accesses[start[n]..start[n + 1]]`.
    pub(super) start: Vec<u32>,
    pub(super) accesses: Vec<Access>,
    /// Who reads each version that is written here, by the number of the write; ascending.
    pub(super) readers: Lists,
    /// Who must come after each transaction, and who before it, by known version orders.
    pub(super) after: Lists,
    pub(super) before: Lists,
    /// Who reads initial versions, as (key, reader), ascending: of the keys that have their home here.
    pub(super) initial: Vec<(u32, u32)>,
}

impl Page {
    /// The accesses of a transaction.
    pub(crate) fn accesses(&self, txn: u32) -> &[Access] {
        let place = (txn - self.first) as usize;
        &self.accesses[self.start[place] as usize..self.start[place + 1] as usize]
    }

    /// The writes of a transaction.
    pub(crate) fn writes(&self, txn: u32) -> impl DoubleEndedIterator<Item = Access> + '_ {
        self.accesses(txn).iter().copied().filter(|access| access.is_write())
    }

    /// Who must come after a transaction.
    pub(crate) fn after(&self, txn: u32) -> &[u32] {
        self.after.get((txn - self.first) as usize)
    }

    /// Who must come before a transaction.
    pub(crate) fn before(&self, txn: u32) -> &[u32] {
        self.before.get((txn - self.first) as usize)
    }

    /// Who reads what a write of this page wrote.
    pub(crate) fn readers(&self, write: Access) -> &[u32] {
        self.readers.get(write.number() as usize)
    }
}

/// All transactions.
#[derive(Debug)]
pub(crate) struct Steps<'i> {
    pub(crate) txns: &'i Txns,
    /// Whether each took effect for all that is known.
    effective: &'i [bool],
    /// For each transaction, the first completion by which something that it wrote had been seen, its own included.
    pub(crate) deadline: &'i [u32],
    /// How many there are that must come before each.
    pub(crate) before: Vec<u32>,
    /// How many read the initial version of each key.
    pub(crate) initial: Vec<u32>,
    pages: Pages,
}

/// Where pages are.
#[derive(Debug)]
enum Pages {
    /// All transactions in one.
    One(Rc<Page>),
    Outside(Box<RefCell<Shelf>>),
}

impl<'i> Steps<'i> {
    /// From what is in memory, in one page. O(n).
    pub(crate) fn of(index: &'i Index, facts: &'i KeyFacts) -> Self {
        let columns = &index.columns;
        let txns = columns.txns.len();
        let met = |mop: &usize| columns.is_external(*mop) && index.version(*mop) != NONE;
        let reads = |mop: &usize| met(mop) && !columns.is_write(*mop);
        let mut page = Page { start: vec![0], ..Page::default() };
        // The number of each write.
        let mut number = vec![NONE; columns.len()];
        let mut writes = 0;
        for txn in 0..txns as u32 {
            for mop in columns.mops(txn).filter(met) {
                let key = columns.key(mop);
                page.accesses.push(if columns.is_write(mop) {
                    number[mop] = writes;
                    writes += 1;
                    Access::write(key, number[mop])
                } else {
                    let write = index.write_of(mop);
                    Access::read(key, if write == NEVER { NEVER } else { columns.txn(write as usize) })
                });
            }
            page.start.push(page.accesses.len() as u32);
        }
        let others = (0..columns.len()).filter(reads).filter(|mop| index.write_of(*mop) != NEVER);
        let pairs = others.map(|mop| (number[index.write_of(mop) as usize], columns.txn(mop)));
        page.readers = Lists::of(writes as usize, pairs);
        drop(number);
        let mut initial = vec![0; columns.keys.len()];
        for key in 0..columns.keys.len() as u32 {
            let of_key = columns.of_key(key).iter().map(|mop| *mop as usize).filter(reads);
            let of_initial = of_key.filter(|mop| index.write_of(*mop) == NEVER);
            let first = page.initial.len();
            page.initial.extend(of_initial.map(|mop| (key, columns.txn(mop))));
            initial[key as usize] = (page.initial.len() - first) as u32;
        }
        let ww = &facts.dependencies.ww;
        page.after = Lists::of(txns, ww.iter().copied());
        page.before = Lists::of(txns, ww.iter().map(|(from, to)| (*to, *from)));
        let before = (0..txns).map(|txn| page.before.range(txn).len() as u32).collect();
        let (txns, effective, deadline) = (&columns.txns, index.effective(), &facts.deadline[..]);
        Self { txns, effective, deadline, before, initial, pages: Pages::One(Rc::new(page)) }
    }

    /// Whether a transaction took effect for all that is known.
    pub(crate) fn is_effective(&self, txn: u32) -> bool {
        self.effective[txn as usize]
    }

    /// From what lies outside of memory.
    pub(crate) fn outside(
        collected: Collected,
        txns: &'i Txns,
        effective: &'i [bool],
        deadline: &'i [u32],
        pages_max: usize,
    ) -> Self {
        let Collected { mut entries, before, initial, home } = collected;
        entries.put_aside();
        let count = txns.len() as u32;
        let shelf = Shelf { entries, home, count, pages: Vec::new(), pages_max, uses: 0, failed: None };
        Self { txns, effective, deadline, before, initial, pages: Pages::Outside(Box::new(RefCell::new(shelf))) }
    }

    /// The page of a transaction.
    pub(crate) fn page(&self, txn: u32) -> Rc<Page> {
        match &self.pages {
            Pages::One(page) => Rc::clone(page),
            Pages::Outside(shelf) => shelf.borrow_mut().page(txn / PAGE_TXNS),
        }
    }

    /// Who reads the initial version of a key, ascending.
    pub(crate) fn readers_of_initial(&self, key: usize) -> Vec<u32> {
        let home = match &self.pages {
            Pages::One(_) => 0,
            Pages::Outside(shelf) => shelf.borrow().home[key],
        };
        let page = self.page(home);
        let first = page.initial.partition_point(|(of, _)| (*of as usize) < key);
        page.initial[first..].iter().take_while(|(of, _)| *of as usize == key).map(|(_, reader)| *reader).collect()
    }

    /// Whether all pages could be had.
    ///
    /// # Errors
    /// Why one could not: then nothing that was done with them means anything.
    pub(crate) fn check(&self) -> Result<(), SpillError> {
        match &self.pages {
            Pages::Outside(shelf) => shelf.borrow().failed.clone().map_or(Ok(()), Err),
            Pages::One(_) => Ok(()),
        }
    }
}
