//! The demo store as a system under test.

use crate::{Bug, DemoClient, NodeConfig, wire::NodeStatus};
use async_trait::async_trait;
use fissure_workloads::{Call, Client, Cluster, Completion, Node, ProcessSpec, Target, TargetError};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How long [`Target::primaries`] waits for a node.
const STATUS_PATIENCE: Duration = Duration::from_millis(500);

/// The demo store: one process per node, run by this very program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoTarget {
    /// The mistake that is switched on in every node.
    pub bug: Bug,
    /// The program that runs a node.
    pub program: PathBuf,
    /// What it is told before the arguments of [`NodeConfig::from_args`].
    pub program_args: Vec<String>,
    /// Port for clients.
    pub client_port: u16,
    /// Port for the other nodes.
    pub peer_port: u16,
    /// Whether nodes flush to the disk what they acknowledge. Not needed against the death of processes, and slow
    /// where all nodes share one disk: off by default.
    pub fsync: bool,
    /// After how long a node answers a request at the latest.
    pub request_timeout: Duration,
}

impl DemoTarget {
    /// A target whose nodes run as `program demo-node …`.
    #[must_use]
    pub fn new(bug: Bug, program: impl Into<PathBuf>) -> Self {
        Self {
            bug,
            program: program.into(),
            program_args: vec!["demo-node".to_owned()],
            client_port: 7100,
            peer_port: 7101,
            fsync: false,
            request_timeout: Duration::from_secs(1),
        }
    }

    /// What `node` is told when it starts.
    #[must_use]
    pub fn node_config(&self, cluster: &Cluster, node: &Node) -> NodeConfig {
        let peers = cluster.nodes.iter().map(|node| (node.name.clone(), SocketAddr::new(node.addr, self.peer_port)));
        let (listen, peer_listen) = (self.client_addr(node), SocketAddr::new(node.addr, self.peer_port));
        let config = NodeConfig::new(&node.name, listen, peer_listen, peers.collect(), &node.data_dir);
        NodeConfig { bug: self.bug, fsync: self.fsync, request_timeout: self.request_timeout, ..config }
    }

    fn client_addr(&self, node: &Node) -> SocketAddr {
        SocketAddr::new(node.addr, self.client_port)
    }

    /// How long a client waits: longer than a node takes to answer, so that it hears the node's own words.
    fn client_patience(&self) -> Duration {
        self.request_timeout * 2
    }

    /// What every node says of itself, asked at the same time; `None` for one that does not answer.
    async fn statuses(&self, cluster: &Cluster) -> Vec<Option<NodeStatus>> {
        let ask = |addr| async move {
            let status = async { DemoClient::connect(addr, STATUS_PATIENCE).await?.status().await };
            tokio::time::timeout(STATUS_PATIENCE, status).await.ok()?.ok()
        };
        let asked: Vec<_> = cluster.nodes.iter().map(|node| tokio::spawn(ask(self.client_addr(node)))).collect();
        let mut statuses = Vec::with_capacity(asked.len());
        for status in asked {
            statuses.push(status.await.ok().flatten());
        }
        statuses
    }
}

fn node_error(node: &Node, text: impl Into<String>) -> TargetError {
    TargetError::Node { node: node.name.clone(), text: text.into() }
}

#[async_trait]
impl Target for DemoTarget {
    fn name(&self) -> &str {
        "demo"
    }

    fn client_port(&self) -> u16 {
        self.client_port
    }

    fn peer_port(&self) -> Option<u16> {
        Some(self.peer_port)
    }

    fn process(&self, cluster: &Cluster, node: &Node) -> Result<ProcessSpec, TargetError> {
        let mut args = self.program_args.clone();
        args.extend(self.node_config(cluster, node).to_args());
        Ok(ProcessSpec { program: self.program.clone(), args, env: Vec::new() })
    }

    async fn ready(&self, cluster: &Cluster) -> Result<(), TargetError> {
        for node in &cluster.nodes {
            let mut client = self.open(cluster, node).await?;
            let answer = client.invoke(&Call::Read { key: 0, value: None }).await;
            if let Completion::Fail(error) | Completion::Info(error) = answer {
                return Err(node_error(node, format!("{}: {}", error.code, error.text)));
            }
        }
        Ok(())
    }

    async fn setup(&self, _cluster: &Cluster) -> Result<(), TargetError> {
        // Keys exist when they are first written.
        Ok(())
    }

    async fn primaries(&self, cluster: &Cluster) -> Vec<String> {
        let statuses = self.statuses(cluster).await;
        let mut leaders: Vec<NodeStatus> = statuses.into_iter().flatten().filter(NodeStatus::is_leader).collect();
        // In one term, the greater id supersedes the smaller.
        leaders.sort_by_key(|status| std::cmp::Reverse((status.term, status.id)));
        leaders.into_iter().map(|status| status.name).collect()
    }

    async fn version(&self, _cluster: &Cluster) -> Option<String> {
        Some(format!("{} (bug: {}, fsync: {})", env!("CARGO_PKG_VERSION"), self.bug, self.fsync))
    }

    async fn open(&self, _cluster: &Cluster, node: &Node) -> Result<Box<dyn Client>, TargetError> {
        let client = DemoClient::connect(self.client_addr(node), self.client_patience()).await;
        match client {
            Ok(client) => Ok(Box::new(client)),
            Err(error) => Err(node_error(node, format!("no connection to {}: {error}", self.client_addr(node)))),
        }
    }
}
