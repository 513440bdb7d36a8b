//! Pages of [`super::steps`] that lie outside of memory: entries are gathered key by key, put aside by transactions, and a
//! page is made of them when somebody asks for it. The pages that were asked for last are kept.

use super::super::index::NEVER;
use super::super::order::KeyOrder;
use super::steps::{Access, Lists, Page};
use crate::spill::{Fixed, Limits, SpillError, Streams};
use crate::transactions::NONE;
use std::rc::Rc;
use std::sync::Arc;

/// Transactions of a page. Tests are to meet many pages, too.
pub(super) const PAGE_TXNS: u32 = if cfg!(test) { 64 } else { 1 << 14 };

/// One thing to know of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The transaction on whose page it is to stand.
    txn: u32,
    kind: Kind,
    key: u32,
    other: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It reads what `other` wrote, or what was there at first.
    Read,
    Write,
    /// `other` reads what it wrote.
    Reader,
    /// `other` reads what was there at first.
    Initial,
    /// `other` must come after it.
    After,
    /// `other` must come before it.
    Before,
}

impl Fixed for Entry {
    const BYTES: usize = 13;

    fn put(self, bytes: &mut Vec<u8>) {
        for number in [self.txn, self.key, self.other] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.push(self.kind as u8);
    }

    fn get(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let kinds = [Kind::Read, Kind::Write, Kind::Reader, Kind::Initial, Kind::After, Kind::Before];
        Self { txn: number(0), key: number(4), other: number(8), kind: kinds[usize::from(bytes[12]) % kinds.len()] }
    }
}

/// What is gathered, key by key.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(super) entries: Streams<Entry>,
    /// As in [`super::steps::Steps`].
    pub(super) before: Vec<u32>,
    pub(super) initial: Vec<u32>,
    /// The transaction on whose page the readers of each initial version stand.
    pub(super) home: Vec<u32>,
}

impl Collected {
    /// Nothing yet; how many streams of the spill it takes, from `first` on, is [`Collected::streams`].
    pub(crate) fn new(limits: &Limits, first: usize, txns: usize) -> Self {
        let mut entries = Streams::new(Self::streams(txns));
        entries.limit(Arc::clone(&limits.spill), first, limits.memory_bytes_max / 8);
        Self { entries, before: vec![0; txns], initial: Vec::new(), home: Vec::new() }
    }

    /// Streams for so many transactions.
    pub(crate) fn streams(txns: usize) -> usize {
        txns / PAGE_TXNS as usize + 1
    }

    fn push(&mut self, txn: u32, kind: Kind, key: u32, other: u32) {
        self.entries.push((txn / PAGE_TXNS) as usize, Entry { txn, kind, key, other });
    }

    /// Takes in who met the versions of the next key.
    pub(crate) fn add_key(&mut self, order: &KeyOrder) {
        let key = self.home.len() as u32;
        for touch in &order.touches {
            match touch.read {
                NONE => {}
                0 => self.push(touch.txn, Kind::Read, key, NEVER),
                version => self.push(touch.txn, Kind::Read, key, order.writer[version as usize]),
            }
            if touch.write != NONE {
                self.push(touch.txn, Kind::Write, key, 0);
            }
        }
        for version in 1..order.len() as u32 {
            let writer = order.writer[version as usize];
            order.readers(version).iter().for_each(|reader| self.push(writer, Kind::Reader, key, *reader));
        }
        let home = order.touches.first().map_or(0, |touch| touch.txn);
        order.readers(0).iter().for_each(|reader| self.push(home, Kind::Initial, key, *reader));
        self.home.push(home);
        self.initial.push(order.readers(0).len() as u32);
    }

    /// Takes in known orders of transactions.
    pub(crate) fn add_orders(&mut self, orders: &[(u32, u32)]) {
        for (from, to) in orders {
            self.push(*from, Kind::After, 0, *to);
            self.push(*to, Kind::Before, 0, *from);
            self.before[*to as usize] += 1;
        }
    }
}

/// Pages that are made when they are asked for.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) entries: Streams<Entry>,
    pub(super) home: Vec<u32>,
    /// How many transactions there are.
    pub(super) count: u32,
    /// Number, page, and when it was asked for last.
    pub(super) pages: Vec<(u32, Rc<Page>, u64)>,
    pub(super) pages_max: usize,
    pub(super) uses: u64,
    pub(super) failed: Option<SpillError>,
}

impl Shelf {
    /// A page; an empty one if it cannot be had, which is remembered.
    pub(super) fn page(&mut self, number: u32) -> Rc<Page> {
        self.uses += 1;
        if let Some((_, page, used)) = self.pages.iter_mut().find(|(known, ..)| *known == number) {
            *used = self.uses;
            return Rc::clone(page);
        }
        if self.pages.len() >= self.pages_max.max(1)
            && let Some(oldest) = (0..self.pages.len()).min_by_key(|place| self.pages[*place].2)
        {
            self.pages.swap_remove(oldest);
        }
        let first = number * PAGE_TXNS;
        let txns = self.count.saturating_sub(first).min(PAGE_TXNS) as usize;
        let page = Rc::new(match self.entries.stream(number as usize) {
            Ok(entries) => made(first, txns, &entries),
            Err(error) => {
                self.failed.get_or_insert(error);
                made(first, txns, &[])
            }
        });
        self.pages.push((number, Rc::clone(&page), self.uses));
        page
    }
}

/// The page of so many transactions from `first` on.
fn made(first: u32, txns: usize, entries: &[Entry]) -> Page {
    let place = |entry: &Entry| entry.txn - first;
    let of = |kind: Kind| entries.iter().filter(move |entry| entry.kind == kind);
    let accessed = entries.iter().enumerate().filter(|(_, entry)| matches!(entry.kind, Kind::Read | Kind::Write));
    let by_txn = Lists::of(txns, accessed.map(|(number, entry)| (place(entry), number as u32)));
    let mut writes = 0;
    let access = |number: &u32| {
        let Entry { kind, key, other, .. } = entries[*number as usize];
        if kind == Kind::Read {
            return Access::read(key, other);
        }
        writes += 1;
        Access::write(key, writes - 1)
    };
    let accesses: Vec<Access> = by_txn.items.iter().map(access).collect();
    let mut page = Page { first, start: by_txn.start, accesses, ..Page::default() };
    let written = |entry: &Entry| {
        let write = page.writes(entry.txn).find(|write| write.key() == entry.key as usize);
        write.map(|write| (write.number(), entry.other))
    };
    page.readers = Lists::of(writes as usize, of(Kind::Reader).filter_map(written));
    page.after = Lists::of(txns, of(Kind::After).map(|entry| (place(entry), entry.other)));
    page.before = Lists::of(txns, of(Kind::Before).map(|entry| (place(entry), entry.other)));
    page.initial = of(Kind::Initial).map(|entry| (entry.key, entry.other)).collect();
    page
}
