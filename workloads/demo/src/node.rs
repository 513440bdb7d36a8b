//! A node: its parts put together, started, watched and stopped.

use crate::{
    bug::Bug,
    config::NodeConfig,
    engine::Engine,
    error::DemoError,
    links::Links,
    log_store::LogStore,
    machine::Machine,
    peer::Peers,
    proposals::Proposals,
    server::{self, Port},
    speculation::Speculation,
    types::Raft,
    wire::NodeStatus,
};
use openraft::{BasicNode, Config, ServerState, SnapshotPolicy};
use std::{collections::BTreeMap, fs::File, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

/// A running node.
pub struct DemoNode {
    engine: Engine,
    tasks: JoinSet<()>,
    _lock: File,
}

/// Runs a node until it cannot go on. Stopping it is killing its process: whatever it has acknowledged is in its log.
///
/// # Errors
/// What keeps it from starting, or stopped it.
pub async fn run_node(config: NodeConfig) -> Result<(), DemoError> {
    let node = DemoNode::start(config, Links::default()).await?;
    node.stopped().await
}

impl DemoNode {
    /// Starts a node in this process. Only tests give `links` that they cut.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(config: NodeConfig, links: Links) -> Result<Self, DemoError> {
        let config = config.checked()?;
        let id = config.id_of(&config.name).unwrap_or_default();
        let lock = lock_data_dir(&config)?;
        let clients = listen(config.listen)?;
        let others = listen(config.peer_listen)?;

        let proposals = Arc::new(Proposals::new(id));
        let machine = Machine::open(&config.data_dir)?;
        let early = config.bug == Bug::AckBeforeReplicated;
        let speculation = early.then(|| Arc::new(Speculation::new(machine.clone())));
        let log_path = config.data_dir.join("raft.log");
        let log = LogStore::open(id, &log_path, config.fsync, Arc::clone(&proposals), speculation.clone())?;
        let addresses = config.ids().map(|(id, name, addr)| (id, (name.to_owned(), addr))).collect();
        let peers = Peers::new(&config.name, addresses, links);
        let raft = Raft::new(id, Arc::new(raft_config(&config)?), peers.clone(), log, machine.clone());
        let raft = raft.await.map_err(|error| raft_error(&error))?;
        initialize(&raft, &config).await?;

        let (name, bug, timeout) = (config.name.clone(), config.bug, config.request_timeout);
        let engine = Engine::start(id, name, bug, timeout, raft, machine, speculation, peers, proposals);
        tracing::info!(node = %config.name, id, listen = %config.listen, bug = %config.bug, "node started");
        let mut tasks = JoinSet::new();
        tasks.spawn(server::accept_loop(clients, engine.clone(), Port::Clients));
        tasks.spawn(server::accept_loop(others, engine.clone(), Port::Peers));
        tasks.spawn(report_changes(engine.clone()));
        Ok(Self { engine, tasks, _lock: lock })
    }

    /// What it says of itself.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.engine.status()
    }

    /// Waits until it cannot go on.
    ///
    /// # Errors
    /// Always: why it stopped.
    pub async fn stopped(&self) -> Result<(), DemoError> {
        let mut metrics = self.engine.raft.metrics();
        let stopped = metrics.wait_for(|metrics| metrics.running_state.is_err()).await;
        let text = match stopped {
            Ok(metrics) => metrics.running_state.as_ref().err().map(ToString::to_string).unwrap_or_default(),
            Err(_) => "stopped".to_owned(),
        };
        Err(DemoError::Raft { text })
    }

    /// Stops it in good order. Its data can be used by the next life.
    ///
    /// # Errors
    /// When its main task had panicked.
    pub async fn shutdown(mut self) -> Result<(), DemoError> {
        self.tasks.shutdown().await;
        self.engine.raft.shutdown().await.map_err(|error| raft_error(&error))
    }
}

fn raft_error(error: &dyn std::error::Error) -> DemoError {
    DemoError::Raft { text: error.to_string() }
}

/// Makes the data directory, and makes sure that no other process uses it.
fn lock_data_dir(config: &NodeConfig) -> Result<File, DemoError> {
    let dir = &config.data_dir;
    let in_dir = |source| DemoError::File { path: dir.clone(), source };
    std::fs::create_dir_all(dir).map_err(in_dir)?;
    let lock = File::create(dir.join("lock")).map_err(in_dir)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| DemoError::DataDirInUse { dir: dir.clone() })?;
    Ok(lock)
}

fn listen(addr: SocketAddr) -> Result<TcpListener, DemoError> {
    let open = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(1024)
    };
    open().map_err(|source| DemoError::Listen { addr, source })
}

fn raft_config(config: &NodeConfig) -> Result<Config, DemoError> {
    let heartbeat_interval = u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX);
    let election_timeout_max = heartbeat_interval.saturating_mul(5);
    let raft = Config {
        cluster_name: "fissure-demo".to_owned(),
        heartbeat_interval,
        election_timeout_min: election_timeout_max / 2,
        election_timeout_max,
        install_snapshot_timeout: 2_000,
        max_payload_entries: 64,
        snapshot_max_chunk_size: 256 << 10,
        snapshot_policy: config.snapshot_entries.map_or(SnapshotPolicy::Never, SnapshotPolicy::LogsSinceLast),
        max_in_snapshot_log_to_keep: config.snapshot_entries.unwrap_or(u64::MAX),
        // A follower that lags is brought up to date with entries for as long as there are entries.
        replication_lag_threshold: u64::MAX,
        ..Config::default()
    };
    raft.validate().map_err(|error| raft_error(&error))
}

/// Tells a new node who its cluster is. Every node does so with the same words, which Raft allows.
async fn initialize(raft: &Raft, config: &NodeConfig) -> Result<(), DemoError> {
    if raft.is_initialized().await.map_err(|error| raft_error(&error))? {
        return Ok(());
    }
    let members: BTreeMap<u64, BasicNode> =
        config.ids().map(|(id, _, addr)| (id, BasicNode::new(addr.to_string()))).collect();
    match raft.initialize(members).await {
        Ok(()) => Ok(()),
        // Another node was faster, and its first entries are here already.
        Err(openraft::error::RaftError::APIError(openraft::error::InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(raft_error(&error)),
    }
}

/// One line whenever this node's part changes.
async fn report_changes(engine: Engine) {
    let mut metrics = engine.raft.server_metrics();
    let mut before = None;
    loop {
        let (state, term, leader) = {
            let now = metrics.borrow_and_update();
            (now.state, now.vote.leader_id().get_term(), now.current_leader)
        };
        let now = Some((state, term, leader));
        if before != now {
            let node = engine.name.as_str();
            match (state, leader.and_then(|id| engine.peers.name(id))) {
                (ServerState::Leader, _) => tracing::info!("{node} became leader of term {term}"),
                (ServerState::Candidate, _) => tracing::info!("{node} became candidate of term {term}"),
                (_, Some(leader)) => tracing::info!("{node} follows {leader} in term {term}"),
                (_, None) => tracing::info!("{node} follows nobody in term {term}"),
            }
            before = now;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}
