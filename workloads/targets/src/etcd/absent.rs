//! What stands in a build without the feature `etcd`: a type that cannot be constructed.

use super::{EtcdOptions, NAME};
use async_trait::async_trait;
use fissure_workloads::{Client, Cluster, Node, ProcessSpec, Target, TargetError};

/// A three-node (or any other) etcd cluster; there is none in a build without the feature `etcd`.
#[derive(Debug)]
pub enum EtcdTarget {}

impl EtcdTarget {
    /// Explains why this build has no etcd.
    ///
    /// # Errors
    /// Always.
    pub fn new(options: EtcdOptions) -> Result<Self, TargetError> {
        let _ = options;
        let text = "was left out of this build: build again with `cargo xtask build`, which brings the protoc that it \
                    needs, or with `--features etcd` and protoc in PATH";
        Err(TargetError::Unsupported { target: NAME.to_owned(), text: text.to_owned() })
    }
}

#[async_trait]
impl Target for EtcdTarget {
    fn name(&self) -> &str {
        match *self {}
    }

    fn client_port(&self) -> u16 {
        match *self {}
    }

    fn peer_port(&self) -> Option<u16> {
        match *self {}
    }

    fn process(&self, _: &Cluster, _: &Node) -> Result<ProcessSpec, TargetError> {
        match *self {}
    }

    async fn ready(&self, _: &Cluster) -> Result<(), TargetError> {
        match *self {}
    }

    async fn setup(&self, _: &Cluster) -> Result<(), TargetError> {
        match *self {}
    }

    async fn primaries(&self, _: &Cluster) -> Vec<String> {
        match *self {}
    }

    async fn version(&self, _: &Cluster) -> Option<String> {
        match *self {}
    }

    async fn open(&self, _: &Cluster, _: &Node) -> Result<Box<dyn Client>, TargetError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn construction_says_how_to_get_it() {
        let error = EtcdTarget::new(EtcdOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("target etcd was left out of this build"), "{error}");
        assert!(error.contains("cargo xtask build"), "{error}");
    }
}
