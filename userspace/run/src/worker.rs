//! Workers: one task per worker slot, each with a client of its own.
//!
//! A worker opens its client when it first needs one, gives every operation a deadline, and drops the client after an
//! `info` or a time-out: whatever the old connection still carries then belongs to a process that no longer exists.

use crate::clock::monotonic_ns;
use crate::event::{Completed, Event};
use crossbeam_channel::Sender;
use fissure_workloads::{Call, Client, Cluster, Completion, ErrorInfo, Target};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// A failed attempt to connect is not repeated at once: a dead node would fill the history with refusals.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// An operation for a worker.
#[derive(Debug)]
pub struct Job {
    /// Number of the operation.
    pub op_id: u64,
    /// What to ask.
    pub call: Call,
}

/// What a worker needs to know.
pub struct Worker {
    /// Worker slot.
    pub slot: usize,
    /// The system under test.
    pub target: Arc<dyn Target>,
    /// Its nodes.
    pub cluster: Arc<Cluster>,
    /// Index of the node it talks to.
    pub node: usize,
    /// Deadline of one operation, connection included.
    pub timeout: Duration,
    /// Where completions go.
    pub events: Sender<Event>,
}

impl Worker {
    /// Works until the jobs end. The order of completions is the order of jobs.
    pub async fn work(self, mut jobs: UnboundedReceiver<Job>) {
        let mut client: Option<Box<dyn Client>> = None;
        let mut closed_cookies = Vec::new();
        while let Some(job) = jobs.recv().await {
            let (completion, used) = self.perform(&mut client, &job.call).await;
            let connection = used.or_else(|| client.as_ref().and_then(|client| client.connection()));
            let complete_ns = monotonic_ns();
            let usable = client.as_ref().is_some_and(|client| client.is_usable());
            if !usable || matches!(completion, Completion::Info(_)) {
                closed_cookies.extend(connection.as_ref().filter(|_| client.is_some()).map(|conn| conn.cookie));
                client = None;
            }
            let refused = matches!(&completion, Completion::Fail(error) if error.code == NO_CLIENT);
            let closed_cookies = std::mem::take(&mut closed_cookies);
            let completed =
                Completed { worker: self.slot, op_id: job.op_id, completion, complete_ns, connection, closed_cookies };
            if refused {
                tokio::time::sleep(REOPEN_PAUSE).await;
            }
            if self.events.send(Event::Completed(Box::new(completed))).is_err() {
                return;
            }
        }
    }

    async fn perform(
        &self,
        client: &mut Option<Box<dyn Client>>,
        call: &Call,
    ) -> (Completion, Option<fissure_workloads::Connection>) {
        let deadline = tokio::time::Instant::now() + self.timeout;
        if client.is_none() {
            let node = &self.cluster.nodes[self.node];
            match tokio::time::timeout_at(deadline, self.target.open(&self.cluster, node)).await {
                Ok(Ok(opened)) => *client = Some(opened),
                Ok(Err(error)) => return (no_client(error.to_string()), None),
                Err(_) => return (no_client(format!("no connection to {} within the time-out", node.name)), None),
            }
        }
        let Some(open) = client.as_mut() else {
            return (no_client("no client".to_owned()), None);
        };
        match tokio::time::timeout_at(deadline, open.invoke(call)).await {
            Ok(completion) => (completion, None),
            Err(_) => {
                let text = format!("no answer within {} ms", self.timeout.as_millis());
                (Completion::Info(ErrorInfo::new("timeout", text)), open.connection())
            }
        }
    }
}

/// Error code of an operation that was never sent because no connection could be made.
pub const NO_CLIENT: &str = "no-client";

fn no_client(text: String) -> Completion {
    Completion::Fail(ErrorInfo::new(NO_CLIENT, text))
}
