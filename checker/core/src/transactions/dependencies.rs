//! The edges between transactions that data gives.

/// Every reader precedes every appender (except itself), by rw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fan {
    /// Transactions, ascending, each once.
    pub(crate) readers: Vec<u32>,
    /// Transactions, ascending, each once.
    pub(crate) appenders: Vec<u32>,
}

/// The dependencies of all keys, `(from, to)`. May hold an edge more than once; never one from a transaction to itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependencies {
    pub(crate) ww: Vec<(u32, u32)>,
    pub(crate) wr: Vec<(u32, u32)>,
    pub(crate) rw: Vec<(u32, u32)>,
    pub(crate) fans: Vec<Fan>,
}

impl Dependencies {
    /// Number of edges, each fan counted once.
    pub(crate) fn len(&self) -> usize {
        self.ww.len() + self.wr.len() + self.rw.len() + self.fans.len()
    }
}
