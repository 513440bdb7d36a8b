//! What a node does with a command: execute it if it leads, hand it to the leader if it does not.
//!
//! The law of answers: `ok` only after the state machine executed the command (or a quorum confirmed the leadership
//! that a read relies on), `fail` only if no log has taken it, `info` in every other case. The switchable bugs break
//! the first of these, each in its own way, and nothing else.

use crate::{
    bug::Bug,
    machine::Machine,
    peer::{CallError, PeerAnswer, PeerAsk, Peers},
    proposals::Proposals,
    queue::{Proposer, ReadConfirmer, Ticket},
    speculation::Speculation,
    state::{Command, MicroReply, Reply},
    types::Raft,
    wire::{Answer, Ask, MOPS_MAX, NodeStatus},
};
use openraft::ServerState;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long to wait before asking again who leads.
const RETRY: Duration = Duration::from_millis(25);
/// What a forwarded command keeps of its time for the way back.
const WAY_BACK: Duration = Duration::from_millis(50);

/// The part of a node that answers. Clones share everything.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) bug: Bug,
    pub(crate) request_timeout: Duration,
    pub(crate) raft: Raft,
    pub(crate) machine: Machine,
    pub(crate) speculation: Option<Arc<Speculation>>,
    pub(crate) peers: Peers,
    proposer: Proposer,
    confirmer: ReadConfirmer,
}

/// What is known of the leader.
enum Leader {
    Me,
    Node(u64),
    Unknown,
}

/// An attempt to get a command executed.
enum Attempt {
    Done(Answer),
    /// It certainly was not executed, and another attempt may fare better.
    Again {
        code: &'static str,
        text: String,
    },
}

impl Engine {
    /// Puts the parts together and starts the tasks that propose and that confirm reads.
    #[expect(clippy::too_many_arguments, reason = "the parts of a node, named by the caller")]
    pub(crate) fn start(
        id: u64,
        name: String,
        bug: Bug,
        request_timeout: Duration,
        raft: Raft,
        machine: Machine,
        speculation: Option<Arc<Speculation>>,
        peers: Peers,
        proposals: Arc<Proposals>,
    ) -> Self {
        let proposer = Proposer::start(raft.clone(), proposals, bug == Bug::AckBeforeReplicated);
        let confirmer = ReadConfirmer::start(raft.clone(), request_timeout);
        Self { id, name, bug, request_timeout, raft, machine, speculation, peers, proposer, confirmer }
    }

    /// Answers a client.
    pub(crate) async fn answer(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Status => Answer::Status(self.status()),
            Ask::Do(command) if command.weight() > MOPS_MAX => {
                Answer::fail("bad-request", format!("a transaction has at most {MOPS_MAX} micro-operations"))
            }
            Ask::Do(command) => self.execute(command, Instant::now() + self.request_timeout).await,
        }
    }

    /// Answers another node that believes this one leads.
    pub(crate) async fn answer_forwarded(&self, command: Command, patience: Duration) -> Answer {
        if command.weight() > MOPS_MAX {
            return Answer::fail("bad-request", "too many micro-operations");
        }
        let deadline = Instant::now() + patience.min(self.request_timeout);
        match self.leader() {
            Leader::Me => self.lead(&command, deadline).await,
            Leader::Node(_) | Leader::Unknown => Answer::fail("not-leader", format!("{} does not lead", self.name)),
        }
    }

    /// What this node says of itself.
    pub(crate) fn status(&self) -> NodeStatus {
        let metrics = self.raft.metrics().borrow().clone();
        let state = match metrics.state {
            ServerState::Leader => "leader",
            ServerState::Candidate => "candidate",
            ServerState::Follower => "follower",
            ServerState::Learner => "learner",
            ServerState::Shutdown => "shutdown",
        };
        NodeStatus {
            name: self.name.clone(),
            id: self.id,
            state: state.to_owned(),
            term: metrics.current_term,
            leader: metrics.current_leader.and_then(|id| self.peers.name(id)).map(str::to_owned),
            applied: metrics.last_applied.map(|id| id.index),
        }
    }

    fn leader(&self) -> Leader {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow();
        match metrics.current_leader {
            _ if metrics.state == ServerState::Leader => Leader::Me,
            Some(id) if id != self.id => Leader::Node(id),
            _ => Leader::Unknown,
        }
    }

    /// Attempts until one gives an answer or the time is up. Only what certainly was not executed is attempted again.
    async fn execute(&self, command: Command, deadline: Instant) -> Answer {
        loop {
            let attempt = match self.leader() {
                Leader::Me => self.attempt_here(&command, deadline).await,
                Leader::Node(leader) => self.forward(leader, &command, deadline).await,
                Leader::Unknown => Attempt::Again { code: "no-leader", text: "no leader is known".to_owned() },
            };
            match attempt {
                Attempt::Done(answer) => return answer,
                Attempt::Again { code, text } if Instant::now() + RETRY >= deadline => {
                    return Answer::fail(code, text);
                }
                Attempt::Again { .. } => sleep_until(Instant::now() + RETRY).await,
            }
        }
    }

    async fn attempt_here(&self, command: &Command, deadline: Instant) -> Attempt {
        match self.lead(command, deadline).await {
            Answer::Fail(cause) if cause.code == "not-leader" => {
                Attempt::Again { code: "not-leader", text: cause.text }
            }
            answer => Attempt::Done(answer),
        }
    }

    async fn forward(&self, leader: u64, command: &Command, deadline: Instant) -> Attempt {
        let read_only = command.is_read_only();
        let patience = deadline.saturating_duration_since(Instant::now());
        let deadline_ms = u64::try_from(patience.saturating_sub(WAY_BACK).as_millis()).unwrap_or(u64::MAX);
        let ask = PeerAsk::Forward { command: command.clone(), deadline_ms };
        match self.peers.call(leader, ask, patience).await {
            Ok(PeerAnswer::Forward(Answer::Fail(cause))) if cause.code == "not-leader" => {
                Attempt::Again { code: "not-leader", text: cause.text }
            }
            Ok(PeerAnswer::Forward(answer)) => Attempt::Done(answer),
            Ok(_) => Attempt::Done(Answer::lost(read_only, "peer-error", "the leader answered another question")),
            Err(error @ CallError::NotSent { .. }) => {
                Attempt::Again { code: "leader-unreachable", text: error.to_string() }
            }
            Err(error @ CallError::Lost { .. }) => {
                Attempt::Done(Answer::lost(read_only, "forward-lost", error.to_string()))
            }
        }
    }

    /// Executes a command as the leader that this node believes to be.
    async fn lead(&self, command: &Command, deadline: Instant) -> Answer {
        match command {
            Command::Txn { mops } if self.bug == Bug::NonAtomicTxn && mops.len() > 1 => {
                self.lead_piecewise(mops, deadline).await
            }
            command if command.is_read_only() => self.read(command, deadline).await,
            command => self.propose(command.clone(), deadline).await,
        }
    }

    /// The bug `non-atomic-txn`: one command for each micro-operation, one after the other.
    async fn lead_piecewise(&self, mops: &[crate::state::MicroOp], deadline: Instant) -> Answer {
        let mut seen: Vec<MicroReply> = Vec::with_capacity(mops.len());
        let mut wrote = false;
        for mop in mops {
            let command = Command::Txn { mops: vec![*mop] };
            let answer = match mop.is_read() {
                true => self.read(&command, deadline).await,
                false => self.propose(command, deadline).await,
            };
            match answer {
                Answer::Ok(Reply::Txn(replies)) => seen.extend(replies),
                Answer::Fail(cause) if wrote => return Answer::Info(cause),
                other => return other,
            }
            wrote |= !mop.is_read();
        }
        Answer::Ok(Reply::Txn(seen))
    }

    /// Reads. Healthy: what is applied once a quorum has confirmed that this node led after the read was asked.
    async fn read(&self, command: &Command, deadline: Instant) -> Answer {
        if self.bug != Bug::StaleReads
            && let Err(answer) = self.confirmer.confirm(deadline).await
        {
            return answer;
        }
        let reply = match &self.speculation {
            Some(speculation) => speculation.read(command),
            None => self.machine.read(command),
        };
        reply.map_or_else(|| Answer::fail("bad-request", "not a read"), Answer::Ok)
    }

    async fn propose(&self, command: Command, deadline: Instant) -> Answer {
        let (ticket, mut claim) = Ticket::new(command);
        if !self.proposer.submit(ticket) {
            return Answer::fail("overloaded", "too many commands are waiting");
        }
        match timeout_at(deadline, &mut claim.answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Answer::info("stopped", "the node stopped")),
            Err(_) if claim.withdraw() => Answer::fail("queue-timeout", "not proposed in time"),
            Err(_) => Answer::info("timeout", "proposed, but not committed in time"),
        }
    }
}
