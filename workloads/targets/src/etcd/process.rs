//! How the process of a node is started: a static cluster, everything on the node's own address.
//!
//! Timeouts are etcd's own defaults (heartbeat 100 ms, election 1 s): what is tested is what people run.
#![cfg_attr(not(feature = "etcd"), allow(dead_code, reason = "only the adapter starts processes"))]

use super::EtcdOptions;
use fissure_workloads::{Cluster, Node, ProcessSpec, TargetError};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// Port for clients.
pub(super) const CLIENT_PORT: u16 = 2379;
/// Port between nodes.
pub(super) const PEER_PORT: u16 = 2380;

/// Directories where the server is looked for after PATH: daemons are not always on a user's PATH.
const MORE_DIRS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];

/// The URL of a port on an address; IPv6 in brackets.
pub(super) fn url(addr: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(addr, port))
}

/// The program to start: the one that was named, or the first that is found.
pub(super) fn program(options: &EtcdOptions) -> Result<PathBuf, TargetError> {
    let missing = |program: String, help: &str| TargetError::MissingProgram { program, help: help.to_owned() };
    if let Some(path) = &options.program {
        return match path.is_file() {
            true => Ok(path.clone()),
            false => Err(missing(path.display().to_string(), "the scenario names it; correct the path")),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_DIRS.iter().map(PathBuf::from))
        .map(|dir| dir.join(super::NAME))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            missing(
                super::NAME.to_owned(),
                "install the package etcd-server, or run `cargo xtask setup`, which fetches it",
            )
        })
}

/// Arguments and environment for `node`. `outer_env` are the names of the variables that the process would inherit.
pub(super) fn spec(
    program: PathBuf,
    cluster: &Cluster,
    node: &Node,
    outer_env: impl IntoIterator<Item = String>,
) -> ProcessSpec {
    let peers: Vec<String> =
        cluster.nodes.iter().map(|node| format!("{}={}", node.name, url(node.addr, PEER_PORT))).collect();
    let (client_url, peer_url) = (url(node.addr, CLIENT_PORT), url(node.addr, PEER_PORT));
    let data_dir = data_dir(&node.data_dir);
    let pairs = [
        ("--name", node.name.as_str()),
        ("--data-dir", data_dir.as_str()),
        ("--listen-client-urls", &client_url),
        ("--advertise-client-urls", &client_url),
        ("--listen-peer-urls", &peer_url),
        ("--initial-advertise-peer-urls", &peer_url),
        ("--initial-cluster", &peers.join(",")),
        ("--initial-cluster-token", "fissure"),
        // A node that finds its data joins with what it finds; `new` only counts for an empty directory.
        ("--initial-cluster-state", "new"),
        ("--logger", "zap"),
        ("--log-outputs", "stderr"),
    ]
    .map(|(flag, value)| format!("{flag}={value}"));
    ProcessSpec { program, args: pairs.into(), env: clean_env(outer_env) }
}

fn data_dir(dir: &Path) -> String {
    dir.join("etcd").display().to_string()
}

/// etcd refuses to start when a flag and its variable `ETCD_…` are both set, and takes every other one for an order; it
/// treats an empty one as not set.
fn clean_env(outer_env: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    let mut env: Vec<_> =
        outer_env.into_iter().filter(|name| name.starts_with("ETCD_")).map(|name| (name, String::new())).collect();
    env.sort();
    // Releases before 3.5 start on this architecture only when told that the user knows.
    if cfg!(target_arch = "aarch64") {
        env.retain(|(name, _)| name != "ETCD_UNSUPPORTED_ARCH");
        env.push(("ETCD_UNSUPPORTED_ARCH".to_owned(), "arm64".to_owned()));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        let node = |index: u8| Node {
            name: format!("n{index}"),
            addr: IpAddr::from([10, 0, 0, index]),
            data_dir: PathBuf::from(format!("data/n{index}")),
        };
        Cluster { nodes: vec![node(1), node(2), node(3)] }
    }

    #[test]
    fn every_node_is_told_of_all_and_listens_on_its_own_address() {
        let cluster = cluster();
        let spec = spec("etcd".into(), &cluster, &cluster.nodes[1], []);
        let has = |arg: &str| assert!(spec.args.iter().any(|a| a == arg), "{arg} not in {:#?}", spec.args);
        has("--name=n2");
        has("--data-dir=data/n2/etcd");
        has("--listen-client-urls=http://10.0.0.2:2379");
        has("--initial-advertise-peer-urls=http://10.0.0.2:2380");
        has("--initial-cluster=n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380");
    }

    #[test]
    fn inherited_orders_to_etcd_are_emptied_and_nothing_else_is() {
        let names = ["PATH", "ETCD_NAME", "ETCDCTL_API", "ETCD_ENABLE_V2"].map(str::to_owned);
        let env: Vec<_> = clean_env(names).into_iter().filter(|(name, _)| name != "ETCD_UNSUPPORTED_ARCH").collect();
        assert_eq!(env, [("ETCD_ENABLE_V2".to_owned(), String::new()), ("ETCD_NAME".to_owned(), String::new())]);
    }

    #[test]
    fn ipv6_addresses_are_bracketed() {
        assert_eq!(url("fd00::7".parse().unwrap(), 2380), "http://[fd00::7]:2380");
    }

    #[test]
    fn a_named_program_that_is_not_there_is_an_error() {
        let options = EtcdOptions { program: Some("no/such/etcd".into()), ..Default::default() };
        assert!(
            matches!(program(&options), Err(TargetError::MissingProgram { program, .. }) if program == "no/such/etcd")
        );
    }
}
