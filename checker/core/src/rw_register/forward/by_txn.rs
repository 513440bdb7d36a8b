//! Pairs of transactions, found by the first.

/// Who has to follow whom.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// (txn, who stands before it), ascending.
    pairs: Vec<(u32, u32)>,
    /// Whether a transaction is the first of a pair: most are not. One bit for each.
    has: Vec<u64>,
}

impl Pairs {
    /// Pairs, which ascend, of so many transactions.
    pub(super) fn new(txns: usize, ascending: Vec<(u32, u32)>) -> Self {
        let mut pairs = Self { pairs: Vec::new(), has: vec![0; txns / 64 + 1] };
        pairs.add(ascending);
        pairs
    }

    /// Adds pairs, which ascend. O(n).
    pub(super) fn add(&mut self, ascending: Vec<(u32, u32)>) {
        for (txn, _) in &ascending {
            self.has[*txn as usize / 64] |= 1 << (txn % 64);
        }
        if self.pairs.is_empty() {
            self.pairs = ascending;
        } else {
            self.pairs.extend(ascending);
            // Two runs: this sort merges them.
            self.pairs.sort();
        }
    }

    /// Who stands before a transaction.
    pub(super) fn of(&self, txn: u32) -> impl Iterator<Item = u32> {
        let is_first = self.has[txn as usize / 64] >> (txn % 64) & 1 == 1;
        let start = if is_first { self.pairs.partition_point(|pair| pair.0 < txn) } else { self.pairs.len() };
        self.pairs[start..].iter().take_while(move |pair| pair.0 == txn).map(|pair| pair.1)
    }
}
