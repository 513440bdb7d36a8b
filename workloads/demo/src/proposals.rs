//! Batches that this node has proposed and waits for.
//!
//! Raft answers "not the leader" both for a batch that it never took and for one that it took and dropped from its own
//! log, which another node may still commit. Only the log knows which: it marks here what it has taken.

use crate::{state::Reply, types::Batch};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

#[derive(Debug)]
struct Pending {
    in_log: bool,
    early: Option<oneshot::Sender<Vec<Reply>>>,
}

#[derive(Debug)]
struct Table {
    next_number: u64,
    pending: HashMap<u64, Pending>,
}

/// The table of batches on their way.
#[derive(Debug)]
pub(crate) struct Proposals {
    origin: u64,
    table: Mutex<Table>,
}

impl Proposals {
    /// An empty table for the node with this id.
    pub(crate) fn new(origin: u64) -> Self {
        // Numbers start at the time of day, so that those of an earlier life of this node do not come again.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next_number = u64::try_from(since_epoch.as_nanos()).unwrap_or(0);
        Self { origin, table: Mutex::new(Table { next_number, pending: HashMap::new() }) }
    }

    /// Makes a batch of `commands`. The receiver hears of it if the log's owner acknowledges it early.
    pub(crate) fn register(&self, commands: Vec<crate::state::Command>) -> (Batch, oneshot::Receiver<Vec<Reply>>) {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.lock();
        let number = table.next_number;
        table.next_number += 1;
        table.pending.insert(number, Pending { in_log: false, early: Some(sender) });
        (Batch { origin: self.origin, number, commands }, receiver)
    }

    /// The log has taken `batch`. Gives the channel for an early acknowledgement if the batch is one of ours.
    pub(crate) fn taken(&self, batch: &Batch) -> Option<oneshot::Sender<Vec<Reply>>> {
        if batch.origin != self.origin {
            return None;
        }
        let mut table = self.lock();
        let pending = table.pending.get_mut(&batch.number)?;
        pending.in_log = true;
        pending.early.take()
    }

    /// Forgets a batch; whether the log ever took it.
    pub(crate) fn forget(&self, number: u64) -> bool {
        self.lock().pending.remove(&number).is_some_and(|pending| pending.in_log)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Command;

    #[test]
    fn only_what_the_log_took_is_in_doubt() {
        let proposals = Proposals::new(1);
        let (taken, mut early) = proposals.register(vec![Command::Write { key: 1, value: 1 }]);
        let (untaken, _) = proposals.register(vec![Command::Write { key: 1, value: 2 }]);
        assert_ne!(taken.number, untaken.number);
        let foreign = Batch { origin: 2, ..taken.clone() };
        assert!(proposals.taken(&foreign).is_none(), "the same number of another node is not ours");
        proposals.taken(&taken).unwrap().send(vec![Reply::Written]).unwrap();
        assert_eq!(early.try_recv().unwrap(), vec![Reply::Written]);
        assert!(proposals.taken(&taken).is_none(), "an early acknowledgement is given once");
        assert_eq!((proposals.forget(taken.number), proposals.forget(untaken.number)), (true, false));
    }
}
