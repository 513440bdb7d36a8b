//! Commands and reads that wait for the leader's next round: many share one log entry, or one confirmation.

use crate::{
    proposals::Proposals,
    state::{Command, Reply},
    types::Raft,
    wire::Answer,
};
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

/// Most commands that may wait.
const QUEUE_MAX: usize = 4096;
/// Most micro-operations in one log entry.
const BATCH_WEIGHT_MAX: usize = 1024;
/// Most log entries proposed and not yet committed.
const BATCHES_IN_FLIGHT_MAX: usize = 4;

/// A command in the queue.
pub(crate) struct Ticket {
    command: Command,
    claimed: Arc<AtomicBool>,
    answer: oneshot::Sender<Answer>,
}

/// The other end of a [`Ticket`].
pub(crate) struct Claim {
    claimed: Arc<AtomicBool>,
    pub(crate) answer: oneshot::Receiver<Answer>,
}

impl Ticket {
    /// A ticket, and the claim on its answer.
    pub(crate) fn new(command: Command) -> (Self, Claim) {
        let claimed = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = oneshot::channel();
        (Self { command, claimed: Arc::clone(&claimed), answer: sender }, Claim { claimed, answer: receiver })
    }

    /// Takes it out of the hands of who waits: from now on it may be proposed. `false`: it was withdrawn.
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }
}

impl Claim {
    /// Takes the command back; `false` if it may have been proposed already.
    pub(crate) fn withdraw(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }
}

/// Proposes what waits, a batch at a time.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Ticket>,
}

#[derive(Clone)]
struct Rounds {
    raft: Raft,
    proposals: Arc<Proposals>,
    acknowledge_early: bool,
}

impl Proposer {
    /// Starts the task that proposes; it ends with the last clone of what this returns. With `acknowledge_early`, an
    /// answer is given once the local log has a batch (the bug `ack-before-replicated`).
    pub(crate) fn start(raft: Raft, proposals: Arc<Proposals>, acknowledge_early: bool) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(propose_loop(Rounds { raft, proposals, acknowledge_early }, receiver));
        Self { queue }
    }

    /// Queues a command; `false` if the queue is full.
    pub(crate) fn submit(&self, ticket: Ticket) -> bool {
        self.queue.try_send(ticket).is_ok()
    }
}

async fn propose_loop(rounds: Rounds, mut queue: mpsc::Receiver<Ticket>) {
    let in_flight = Arc::new(Semaphore::new(BATCHES_IN_FLIGHT_MAX));
    while let Some(first) = queue.recv().await {
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { return };
        let mut weight = 0;
        let mut tickets = Vec::new();
        let mut next = Some(first);
        while let Some(ticket) = next {
            if ticket.claim() {
                weight += ticket.command.weight();
                tickets.push(ticket);
            }
            next = if weight < BATCH_WEIGHT_MAX { queue.try_recv().ok() } else { None };
        }
        if tickets.is_empty() {
            continue;
        }
        let rounds = rounds.clone();
        tokio::spawn(async move {
            rounds.propose(tickets).await;
            drop(permit);
        });
    }
}

impl Rounds {
    async fn propose(&self, tickets: Vec<Ticket>) {
        let (commands, waiting): (Vec<_>, Vec<_>) =
            tickets.into_iter().map(|ticket| (ticket.command, ticket.answer)).unzip();
        let (batch, early) = self.proposals.register(commands);
        let number = batch.number;
        let outcome = tokio::select! {
            Ok(replies) = early, if self.acknowledge_early => Ok(replies),
            written = self.raft.client_write(batch) => written.map(|response| response.data),
        };
        let in_log = self.proposals.forget(number);
        match outcome {
            Ok(replies) => answer_each(waiting, replies),
            Err(error) => {
                let answer = explain(&error, in_log);
                waiting.into_iter().for_each(|sender| drop(sender.send(answer.clone())));
            }
        }
    }
}

fn answer_each(waiting: Vec<oneshot::Sender<Answer>>, replies: Vec<Reply>) {
    let mut replies = replies.into_iter();
    for sender in waiting {
        let answer = replies.next().map(Answer::Ok);
        // Dropped without an answer, the sender tells its receiver so, and the client learns `info`.
        if let Some(answer) = answer {
            drop(sender.send(answer));
        }
    }
}

/// The answer to a proposal that Raft gave back. Once the log has taken it, another leader may still commit it.
fn explain(error: &RaftError<u64, ClientWriteError<u64, openraft::BasicNode>>, in_log: bool) -> Answer {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) if !in_log => {
            Answer::fail("not-leader", "this node does not lead any more")
        }
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
            Answer::info("leader-lost", "the leader was replaced before it knew whether a quorum has the command")
        }
        error => Answer::info("raft", error.to_string()),
    }
}

/// Confirms to reads that this node still leads and has applied all that was committed when they came.
#[derive(Clone)]
pub(crate) struct ReadConfirmer {
    queue: mpsc::Sender<oneshot::Sender<Result<(), Answer>>>,
}

impl ReadConfirmer {
    /// Starts the task that asks quorums; it ends with the last clone of what this returns.
    pub(crate) fn start(raft: Raft, patience: Duration) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(confirm_loop(raft, receiver, patience));
        Self { queue }
    }

    /// Waits until a round that began after this call has confirmed; else the answer to give.
    pub(crate) async fn confirm(&self, deadline: Instant) -> Result<(), Answer> {
        let (sender, receiver) = oneshot::channel();
        if self.queue.try_send(sender).is_err() {
            return Err(Answer::fail("overloaded", "too many reads are waiting"));
        }
        match timeout_at(deadline, receiver).await {
            Ok(confirmed) => confirmed.unwrap_or_else(|_| Err(Answer::fail("stopped", "the node stopped"))),
            Err(_) => Err(Answer::fail("timeout", "no quorum confirmed the leadership in time")),
        }
    }
}

async fn confirm_loop(raft: Raft, mut queue: mpsc::Receiver<oneshot::Sender<Result<(), Answer>>>, patience: Duration) {
    while let Some(first) = queue.recv().await {
        let mut waiting = vec![first];
        while let Ok(more) = queue.try_recv() {
            waiting.push(more);
        }
        let confirmed = match timeout(patience, raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_)))) => {
                Err(Answer::fail("not-leader", "this node does not lead any more"))
            }
            Ok(Err(error)) => Err(Answer::fail("no-quorum", error.to_string())),
            Err(_) => Err(Answer::fail("timeout", "no quorum confirmed the leadership in time")),
        };
        waiting.into_iter().for_each(|sender| drop(sender.send(confirmed.clone())));
    }
}
