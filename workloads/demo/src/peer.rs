//! How nodes reach each other: short-lived trust in connections, so that a healed network is used at once.
//!
//! One request at a time per connection. A connection on which anything went wrong, or took too long, is closed and the
//! next request dials anew: packets that a filter drops silently leave a TCP connection waiting for longer and longer
//! between its attempts, a new one starts with a fresh SYN. Idle connections are kept for a few seconds.

use crate::{
    links::Links,
    state::Command,
    types::TypeConfig,
    wire::{self, Answer},
};
use openraft::{
    BasicNode, RaftNetwork, RaftNetworkFactory,
    error::{InstallSnapshotError, RPCError, RaftError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
        VoteResponse,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How long a connection may lie idle and still be used again. Shorter than the server's patience.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How long a dial may take: one SYN, and no waiting for the second.
const DIAL_MAX: Duration = Duration::from_millis(300);
const IDLE_CONNECTIONS_MAX: usize = 64;
/// After how long without an acknowledgement the kernel gives up a connection, ms.
pub(crate) const TCP_USER_TIMEOUT_MS: u32 = 3_000;

/// What one node asks of another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PeerRequest {
    /// Name of the node that asks.
    pub(crate) from: String,
    pub(crate) ask: PeerAsk,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PeerAsk {
    #[serde(rename = "append")]
    Append(AppendEntriesRequest<TypeConfig>),
    #[serde(rename = "vote")]
    Vote(VoteRequest<u64>),
    #[serde(rename = "snapshot")]
    Snapshot(InstallSnapshotRequest<TypeConfig>),
    /// Execute a client's command if you lead; give up after so long.
    #[serde(rename = "forward")]
    Forward { command: Command, deadline_ms: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PeerAnswer {
    #[serde(rename = "append")]
    Append(Result<AppendEntriesResponse<u64>, RaftError<u64>>),
    #[serde(rename = "vote")]
    Vote(Result<VoteResponse<u64>, RaftError<u64>>),
    #[serde(rename = "snapshot")]
    Snapshot(Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>),
    #[serde(rename = "forward")]
    Forward(Answer),
}

/// Why a peer did not answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// The request never left this node.
    #[error("{peer} is unreachable: {source}")]
    NotSent { peer: String, source: io::Error },
    /// It may have arrived.
    #[error("{peer} did not answer: {source}")]
    Lost { peer: String, source: io::Error },
}

#[derive(Debug)]
struct Peer {
    name: String,
    addr: SocketAddr,
    idle: Mutex<Vec<(TcpStream, Instant)>>,
}

/// The way to every other node. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    me: String,
    links: Links,
    peers: Arc<BTreeMap<u64, Peer>>,
}

impl Peers {
    /// For the node called `me`; `peers` gives name and address for each id.
    pub(crate) fn new(me: &str, peers: BTreeMap<u64, (String, SocketAddr)>, links: Links) -> Self {
        let peers = peers.into_iter().map(|(id, (name, addr))| (id, Peer { name, addr, idle: Mutex::default() }));
        Self { me: me.to_owned(), links, peers: Arc::new(peers.collect()) }
    }

    /// The name of a node.
    pub(crate) fn name(&self, id: u64) -> Option<&str> {
        self.peers.get(&id).map(|peer| peer.name.as_str())
    }

    /// Whether answers from here reach the node called `to`.
    pub(crate) fn reaches(&self, to: &str) -> bool {
        self.links.passes(&self.me, to)
    }

    /// Asks node `to`, and waits at most `patience`. Dropped midway, it closes its connection.
    pub(crate) async fn call(&self, to: u64, ask: PeerAsk, patience: Duration) -> Result<PeerAnswer, CallError> {
        let Some(peer) = self.peers.get(&to) else {
            let source = io::Error::new(io::ErrorKind::NotFound, "no such node");
            return Err(CallError::NotSent { peer: format!("node {to}"), source });
        };
        let deadline = Instant::now() + patience;
        if !self.reaches(&peer.name) {
            tokio::time::sleep_until(deadline).await;
            return Err(CallError::Lost { peer: peer.name.clone(), source: io::ErrorKind::TimedOut.into() });
        }
        let mut stream = match peer.idle_connection() {
            Some(stream) => stream,
            None => dial(peer.addr, deadline.min(Instant::now() + DIAL_MAX))
                .await
                .map_err(|source| CallError::NotSent { peer: peer.name.clone(), source })?,
        };
        let request = PeerRequest { from: self.me.clone(), ask };
        let exchange = async {
            wire::write_frame(&mut stream, &request, wire::PEER_FRAME_BYTES_MAX).await?;
            wire::read_frame(&mut stream, wire::PEER_FRAME_BYTES_MAX).await
        };
        let answer = timeout_at(deadline, exchange).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        let answer = answer.map_err(|source| CallError::Lost { peer: peer.name.clone(), source })?;
        peer.keep(stream);
        Ok(answer)
    }
}

impl Peer {
    /// An idle connection that is young, and that the other end has neither closed nor written to unasked.
    fn idle_connection(&self) -> Option<TcpStream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((stream, since)) = idle.pop() {
            let quiet = matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            if quiet && since.elapsed() < IDLE_MAX {
                return Some(stream);
            }
        }
        None
    }

    fn keep(&self, stream: TcpStream) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push((stream, Instant::now()));
        }
    }
}

/// Opens a connection, with no delay for small messages and a bound on unacknowledged ones.
pub(crate) async fn dial(addr: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let stream = timeout_at(deadline, TcpStream::connect(addr)).await??;
    tune(&stream);
    Ok(stream)
}

/// Sets the options of every connection, whoever opened it. They make it prompt, not correct: an error is only logged.
pub(crate) fn tune(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, TCP_USER_TIMEOUT_MS) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT was not set");
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> PeerNetwork {
        PeerNetwork { peers: self.clone(), target }
    }
}

/// Raft's way to one node.
#[derive(Clone, Debug)]
pub(crate) struct PeerNetwork {
    peers: Peers,
    target: u64,
}

type RaftCallError<E = openraft::error::Infallible> = RPCError<u64, BasicNode, RaftError<u64, E>>;

impl PeerNetwork {
    async fn ask<E: std::error::Error>(
        &self,
        ask: PeerAsk,
        option: &RPCOption,
    ) -> Result<PeerAnswer, RaftCallError<E>> {
        let answer = self.peers.call(self.target, ask, option.hard_ttl()).await;
        answer.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    #[expect(clippy::result_large_err, reason = "the Raft library's own error type")]
    fn expect<T, E: std::error::Error>(
        &self,
        answer: Option<Result<T, RaftError<u64, E>>>,
    ) -> Result<T, RaftCallError<E>> {
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(RPCError::RemoteError(openraft::error::RemoteError::new(self.target, error))),
            None => {
                let error = io::Error::new(io::ErrorKind::InvalidData, "answer to another question");
                Err(RPCError::Unreachable(Unreachable::new(&error)))
            }
        }
    }
}

impl RaftNetwork<TypeConfig> for PeerNetwork {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RaftCallError> {
        let answer = self.ask(PeerAsk::Append(rpc), &option).await?;
        self.expect(if let PeerAnswer::Append(answer) = answer { Some(answer) } else { None })
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RaftCallError<InstallSnapshotError>> {
        let answer = self.ask(PeerAsk::Snapshot(rpc), &option).await?;
        self.expect(if let PeerAnswer::Snapshot(answer) = answer { Some(answer) } else { None })
    }

    async fn vote(&mut self, rpc: VoteRequest<u64>, option: RPCOption) -> Result<VoteResponse<u64>, RaftCallError> {
        let answer = self.ask(PeerAsk::Vote(rpc), &option).await?;
        self.expect(if let PeerAnswer::Vote(answer) = answer { Some(answer) } else { None })
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(100)))
    }
}
