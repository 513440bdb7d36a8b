//! The cluster: processes, readiness, who leads.

use super::{
    EtcdOptions, NAME,
    client::{CONNECT_TIMEOUT, EtcdClient},
    connect::Link,
    error::classify_connect,
    process::{self, CLIENT_PORT, PEER_PORT},
};
use async_trait::async_trait;
use etcd_client::{DeleteOptions, StatusResponse};
use fissure_workloads::{Client, Cluster, Node, ProcessSpec, Target, TargetError};
use futures::future::join_all;
use std::time::Duration;

/// How long a node may take to say who leads.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// How long one attempt at readiness or set-up may take on one node.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// An etcd cluster with one member per node.
#[derive(Clone, Debug)]
pub struct EtcdTarget {
    options: EtcdOptions,
}

impl EtcdTarget {
    /// An etcd cluster with these options.
    ///
    /// # Errors
    /// Never in a build with the feature `etcd`; a build without it has no etcd and says so.
    pub fn new(options: EtcdOptions) -> Result<Self, TargetError> {
        Ok(Self { options })
    }
}

#[async_trait]
impl Target for EtcdTarget {
    fn name(&self) -> &str {
        NAME
    }

    fn client_port(&self) -> u16 {
        CLIENT_PORT
    }

    fn peer_port(&self) -> Option<u16> {
        Some(PEER_PORT)
    }

    fn process(&self, cluster: &Cluster, node: &Node) -> Result<ProcessSpec, TargetError> {
        let program = process::program(&self.options)?;
        let outer_env = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Ok(process::spec(program, cluster, node, outer_env))
    }

    async fn ready(&self, cluster: &Cluster) -> Result<(), TargetError> {
        let checks = cluster.nodes.iter().map(|node| within(ATTEMPT_TIMEOUT, node, node_is_ready(node)));
        join_all(checks).await.into_iter().collect()
    }

    async fn setup(&self, cluster: &Cluster) -> Result<(), TargetError> {
        let Some(node) = cluster.nodes.first() else { return Ok(()) };
        within(ATTEMPT_TIMEOUT, node, async {
            let mut link = open_link(node).await?;
            for prefix in ["r/", "l/"] {
                let all = DeleteOptions::new().with_prefix();
                link.client.delete(prefix, Some(all)).await.map_err(|error| node_error(node, error))?;
            }
            Ok(())
        })
        .await
    }

    async fn primaries(&self, cluster: &Cluster) -> Vec<String> {
        let asked = cluster.nodes.iter().map(|node| within(STATUS_TIMEOUT, node, status(node)));
        let answers = join_all(asked).await;
        let mut leaders: Vec<(u64, String)> = (cluster.nodes.iter().zip(answers))
            .filter_map(|(node, answer)| {
                let status = answer.ok()?;
                let itself = status.header()?.member_id();
                (status.leader() == itself && itself != 0).then(|| (status.raft_term(), node.name.clone()))
            })
            .collect();
        leaders.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        leaders.into_iter().map(|(_, name)| name).collect()
    }

    async fn version(&self, cluster: &Cluster) -> Option<String> {
        let asked = cluster.nodes.iter().map(|node| within(STATUS_TIMEOUT, node, status(node)));
        let answers = join_all(asked).await;
        answers.into_iter().find_map(|answer| Some(answer.ok()?.version().to_owned()))
    }

    async fn open(&self, _: &Cluster, node: &Node) -> Result<Box<dyn Client>, TargetError> {
        let link = open_link(node).await?;
        Ok(Box::new(EtcdClient::new(node.addr, &self.options, link)))
    }
}

async fn open_link(node: &Node) -> Result<Link, TargetError> {
    Link::open(node.addr, CONNECT_TIMEOUT).await.map_err(|error| {
        let info = classify_connect(&error).info;
        node_error(node, format!("{} ({})", info.text, info.code))
    })
}

async fn status(node: &Node) -> Result<StatusResponse, TargetError> {
    let mut link = open_link(node).await?;
    link.client.status().await.map_err(|error| node_error(node, error))
}

/// A node serves when it knows a leader and answers a linearizable read, which takes a majority.
async fn node_is_ready(node: &Node) -> Result<(), TargetError> {
    let mut link = open_link(node).await?;
    let status = link.client.status().await.map_err(|error| node_error(node, error))?;
    if status.leader() == 0 {
        return Err(node_error(node, "knows no leader yet"));
    }
    link.client.get("ready", None).await.map_err(|error| node_error(node, error))?;
    Ok(())
}

async fn within<T>(
    limit: Duration,
    node: &Node,
    work: impl Future<Output = Result<T, TargetError>>,
) -> Result<T, TargetError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(node_error(node, format!("no answer within {} ms", limit.as_millis()))))
}

fn node_error(node: &Node, text: impl std::fmt::Display) -> TargetError {
    TargetError::Node { node: node.name.clone(), text: text.to_string() }
}
