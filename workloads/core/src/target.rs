//! A system under test: how to start its nodes, when they are ready, who leads, how to connect.

use crate::client::Client;
use async_trait::async_trait;
use std::{net::IpAddr, path::PathBuf};
use thiserror::Error;

/// One node of the system under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name, such as `n1`.
    pub name: String,
    /// Address on the lab's network.
    pub addr: IpAddr,
    /// Directory of its own, for data; survives restarts within a run.
    pub data_dir: PathBuf,
}

/// All nodes, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The nodes; names are unique.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// The node with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

/// How to start the process of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSpec {
    /// Program, looked up in PATH if it has no slash.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Additional environment.
    pub env: Vec<(String, String)>,
}

/// Something about the target that did not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A program that the target needs is not on this machine.
    #[error("{program} was not found: {help}")]
    MissingProgram {
        /// The program.
        program: String,
        /// What to install.
        help: String,
    },
    /// A node did not answer, or not as expected.
    #[error("node {node}: {text}")]
    Node {
        /// The node.
        node: String,
        /// What happened.
        text: String,
    },
    /// The target does not do what was asked of it.
    #[error("target {target} {text}")]
    Unsupported {
        /// The target.
        target: String,
        /// What it cannot do.
        text: String,
    },
}

/// A system under test. Every async method runs inside the clients' network namespace of the lab.
#[async_trait]
pub trait Target: Send + Sync {
    /// Its name in scenarios, such as `etcd`.
    fn name(&self) -> &str;

    /// Port on which nodes serve clients.
    fn client_port(&self) -> u16;

    /// Port on which nodes talk to each other, if it is another.
    fn peer_port(&self) -> Option<u16>;

    /// How to start the process of `node`; the same call restarts it on its old data.
    ///
    /// # Errors
    /// When a program is missing.
    fn process(&self, cluster: &Cluster, node: &Node) -> Result<ProcessSpec, TargetError>;

    /// One attempt to see that the cluster serves; the run repeats it until its own deadline.
    ///
    /// # Errors
    /// What is not ready yet.
    async fn ready(&self, cluster: &Cluster) -> Result<(), TargetError>;

    /// Prepares the data (idempotent), once, after [`Target::ready`].
    ///
    /// # Errors
    /// What went wrong.
    async fn setup(&self, cluster: &Cluster) -> Result<(), TargetError>;

    /// Names of the nodes that believe they lead, most recent term first. Asked while faults are on: must answer or
    /// give up within a second.
    async fn primaries(&self, cluster: &Cluster) -> Vec<String>;

    /// Version of the system, for the manifest.
    async fn version(&self, cluster: &Cluster) -> Option<String>;

    /// Opens a client to `node`, with a connection of its own.
    ///
    /// # Errors
    /// When no connection could be made; nothing was asked of the system then.
    async fn open(&self, cluster: &Cluster, node: &Node) -> Result<Box<dyn Client>, TargetError>;
}
