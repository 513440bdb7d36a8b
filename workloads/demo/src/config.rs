//! How a node is told what to be: plain fields, and the command-line arguments that carry them.

use crate::{bug::Bug, error::DemoError};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// What a node is told when it starts. The same in every life of a node, and `peers` the same on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name; one of `peers`.
    pub name: String,
    /// Where it serves clients.
    pub listen: SocketAddr,
    /// Where it serves the other nodes.
    pub peer_listen: SocketAddr,
    /// Where every node of the cluster, this one included, serves the others. Names in order get the Raft ids 1, 2, …
    pub peers: BTreeMap<String, SocketAddr>,
    /// Directory for log and snapshot; made if it is not there.
    pub data_dir: PathBuf,
    /// The mistake that is switched on.
    pub bug: Bug,
    /// Whether votes and entries are on the disk before they count. Without, they survive the death of the process
    /// (`kill -9`) but not of the machine.
    pub fsync: bool,
    /// After how long a request is answered at the latest.
    pub request_timeout: Duration,
    /// Interval of the leader's heartbeats. Elections start after 5 of them without one, plus 2.5 to 5 at random.
    pub heartbeat: Duration,
    /// Take a snapshot and forget the log before it after so many log entries; `None`: never. Bounded runs need none.
    pub snapshot_entries: Option<u64>,
}

impl NodeConfig {
    /// A healthy node with default times.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        listen: SocketAddr,
        peer_listen: SocketAddr,
        peers: BTreeMap<String, SocketAddr>,
        data_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            listen,
            peer_listen,
            peers,
            data_dir: data_dir.into(),
            bug: Bug::None,
            fsync: true,
            request_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_millis(200),
            snapshot_entries: None,
        }
    }

    /// Reads the arguments of `fissure demo-node`: `--name N --listen ADDR:PORT --peer-listen ADDR:PORT
    /// --peers NAME=ADDR:PORT,… --data DIR [--bug BUG] [--fsync true|false] [--request-timeout-ms N]
    /// [--heartbeat-ms N] [--snapshot-entries N]`, each also as `--flag=value`.
    ///
    /// # Errors
    /// The first argument that is unknown, incomplete, or missing.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Self, DemoError> {
        let mut given = collect_flags(args)?;
        let mut required = |flag: &str| given.remove(flag).ok_or_else(|| argument_error(flag, "is required"));
        let name = required("--name")?;
        let listen = parse("--listen", &required("--listen")?)?;
        let peer_listen = parse("--peer-listen", &required("--peer-listen")?)?;
        let peers = parse_peers(&required("--peers")?)?;
        let mut config = Self::new(name, listen, peer_listen, peers, required("--data")?);
        for (flag, value) in given {
            match flag.as_str() {
                "--bug" => config.bug = value.parse()?,
                "--fsync" => config.fsync = parse(&flag, &value)?,
                "--request-timeout-ms" => config.request_timeout = Duration::from_millis(parse(&flag, &value)?),
                "--heartbeat-ms" => config.heartbeat = Duration::from_millis(parse(&flag, &value)?),
                "--snapshot-entries" => config.snapshot_entries = Some(parse(&flag, &value)?),
                _ => return Err(argument_error(&flag, "is not known")),
            }
        }
        config.checked()
    }

    /// The arguments that [`NodeConfig::from_args`] reads this from.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let peers: Vec<String> = self.peers.iter().map(|(name, addr)| format!("{name}={addr}")).collect();
        let mut flags = vec![
            ("--name", self.name.clone()),
            ("--listen", self.listen.to_string()),
            ("--peer-listen", self.peer_listen.to_string()),
            ("--peers", peers.join(",")),
            ("--data", self.data_dir.display().to_string()),
            ("--bug", self.bug.to_string()),
            ("--fsync", self.fsync.to_string()),
            ("--request-timeout-ms", self.request_timeout.as_millis().to_string()),
            ("--heartbeat-ms", self.heartbeat.as_millis().to_string()),
        ];
        flags.extend(self.snapshot_entries.map(|entries| ("--snapshot-entries", entries.to_string())));
        flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// The config itself, if a node can run with it.
    pub(crate) fn checked(self) -> Result<Self, DemoError> {
        if !self.peers.contains_key(&self.name) {
            return Err(argument_error("--peers", &format!("does not name {:?} itself", self.name)));
        }
        if self.heartbeat < Duration::from_millis(10) || self.heartbeat > Duration::from_secs(60) {
            return Err(argument_error("--heartbeat-ms", "must be between 10 and 60000"));
        }
        if self.request_timeout.is_zero() {
            return Err(argument_error("--request-timeout-ms", "must not be 0"));
        }
        if self.snapshot_entries == Some(0) {
            return Err(argument_error("--snapshot-entries", "must not be 0"));
        }
        Ok(self)
    }

    /// The Raft id of a node by name.
    pub(crate) fn id_of(&self, name: &str) -> Option<u64> {
        self.ids().find(|(_, known, _)| *known == name).map(|(id, _, _)| id)
    }

    /// Id, name and address of every node.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (u64, &str, SocketAddr)> {
        (1..).zip(&self.peers).map(|(id, (name, addr))| (id, name.as_str(), *addr))
    }
}

fn collect_flags(args: impl IntoIterator<Item = String>) -> Result<BTreeMap<String, String>, DemoError> {
    let mut given = BTreeMap::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if !arg.starts_with("--") {
            return Err(argument_error(&arg, "is not a flag"));
        }
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), value.to_owned()),
            None => {
                let value = args.next().ok_or_else(|| argument_error(&arg, "needs a value"))?;
                (arg, value)
            }
        };
        if given.contains_key(&flag) {
            return Err(argument_error(&flag, "is given twice"));
        }
        given.insert(flag, value);
    }
    Ok(given)
}

fn argument_error(argument: &str, text: &str) -> DemoError {
    DemoError::Argument { argument: argument.to_owned(), text: text.to_owned() }
}

fn parse<T: FromStr>(flag: &str, value: &str) -> Result<T, DemoError> {
    value.parse().map_err(|_| argument_error(flag, &format!("does not take {value:?}")))
}

fn parse_peers(value: &str) -> Result<BTreeMap<String, SocketAddr>, DemoError> {
    let mut peers = BTreeMap::new();
    for part in value.split(',') {
        let (name, addr) = part.split_once('=').ok_or_else(|| argument_error("--peers", "takes NAME=ADDR:PORT,…"))?;
        if name.is_empty() || peers.insert(name.to_owned(), parse("--peers", addr)?).is_some() {
            return Err(argument_error("--peers", &format!("{name:?} is empty or given twice")));
        }
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    const LINE: &str = "--name n2 --listen 10.0.0.2:7100 --peer-listen=10.0.0.2:7101 \
                        --peers n1=10.0.0.1:7101,n2=10.0.0.2:7101 --data /tmp/n2";

    #[test]
    fn arguments_and_config_say_the_same() {
        let config = NodeConfig::from_args(args(LINE)).unwrap();
        assert_eq!((config.bug, config.fsync, config.id_of("n2")), (Bug::None, true, Some(2)));
        for bug in Bug::ALL {
            let config = NodeConfig { bug, fsync: false, snapshot_entries: Some(9), ..config.clone() };
            assert_eq!(NodeConfig::from_args(config.to_args()).unwrap(), config);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let message = |more: &str| NodeConfig::from_args(args(&format!("{LINE} {more}"))).unwrap_err().to_string();
        assert_eq!(
            message("--bug split"),
            "no bug is called \"split\"; known are none, stale-reads, ack-before-replicated, non-atomic-txn"
        );
        assert_eq!(message("--colour blue"), "argument --colour: is not known");
        assert_eq!(message("--name n3"), "argument --name: is given twice");
        assert_eq!(message("--fsync"), "argument --fsync: needs a value");
        assert_eq!(message("--heartbeat-ms 1"), "argument --heartbeat-ms: must be between 10 and 60000");
        let error = NodeConfig::from_args(args("--name n1")).unwrap_err().to_string();
        assert_eq!(error, "argument --listen: is required");
    }
}
