//! The state as it would be if every entry of the local log were committed: what `ack-before-replicated` answers from.
//!
//! The mistake is to trust it. It is kept consistent with the log at all times: an entry enters it when the log takes
//! it, and when the log drops entries it is built again from the committed state and what is left. So its reads agree
//! with its acknowledgements, and what goes wrong is exactly that acknowledged writes vanish with their log entries.

use crate::{
    machine::Machine,
    state::{Command, KvState, Reply},
    types::{Batch, Entry},
};
use openraft::EntryPayload;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The speculative state.
#[derive(Debug)]
pub(crate) struct Speculation {
    machine: Machine,
    state: Mutex<KvState>,
}

impl Speculation {
    /// Starts from the committed state alone; [`Speculation::rebuild`] adds the log.
    pub(crate) fn new(machine: Machine) -> Self {
        let (_, state) = machine.copy();
        Self { machine, state: Mutex::new(state) }
    }

    /// Executes a batch that the log has just taken.
    pub(crate) fn execute(&self, batch: &Batch) -> Vec<Reply> {
        let mut state = self.lock();
        batch.commands.iter().map(|command| state.apply(command)).collect()
    }

    /// Starts again from the committed state and those `entries` of the log (in order) that it does not have.
    pub(crate) fn rebuild<'a>(&self, entries: impl Iterator<Item = &'a Entry>) {
        let mut state = self.lock();
        let (applied, committed) = self.machine.copy();
        *state = committed;
        for entry in entries.filter(|entry| Some(entry.log_id.index) > applied.map(|id| id.index)) {
            if let EntryPayload::Normal(batch) = &entry.payload {
                batch.commands.iter().for_each(|command| drop(state.apply(command)));
            }
        }
    }

    /// What the read-only `command` reads; `None` if it is not read-only.
    pub(crate) fn read(&self, command: &Command) -> Option<Reply> {
        self.lock().read(command)
    }

    fn lock(&self) -> MutexGuard<'_, KvState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LogId, TypeConfig};
    use openraft::{CommittedLeaderId, storage::RaftStateMachine};

    fn entry(index: u64) -> Entry {
        let commands = vec![Command::Write { key: 1, value: index as i64 }];
        let payload = EntryPayload::<TypeConfig>::Normal(Batch { origin: 1, number: index, commands });
        Entry { log_id: LogId::new(CommittedLeaderId::new(1, 1), index), payload }
    }

    #[tokio::test]
    async fn it_is_the_committed_state_and_what_the_log_holds_beyond_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = Machine::open(dir.path()).unwrap();
        let speculation = Speculation::new(machine.clone());
        let value = |speculation: &Speculation| speculation.read(&Command::Read { key: 1 });
        let log: Vec<Entry> = (1..=3).map(entry).collect();
        for entry in &log {
            let EntryPayload::Normal(batch) = &entry.payload else { panic!("not a batch") };
            assert_eq!(speculation.execute(batch), vec![Reply::Written]);
        }
        assert_eq!(value(&speculation), Some(Reply::Value(Some(3))));
        machine.apply(log[..1].to_vec()).await.unwrap();
        speculation.rebuild(log[..2].iter());
        assert_eq!(value(&speculation), Some(Reply::Value(Some(2))), "the third entry was dropped from the log");
        speculation.rebuild(log[..1].iter());
        assert_eq!(value(&speculation), Some(Reply::Value(Some(1))));
    }
}
