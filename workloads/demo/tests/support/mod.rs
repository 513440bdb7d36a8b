//! Clusters on loopback, and a history of one list that can be judged by eye: every read must be a prefix of the last
//! read, and no read may miss what was there before it was asked.

#![allow(dead_code, reason = "each test binary uses its own part")]

use fissure_demo::{Bug, DemoClient, DemoNode, DemoTarget, Links};
use fissure_workloads::{Call, Client, Cluster, Completion, Mop, Node, Target};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

static CLUSTERS: AtomicU8 = AtomicU8::new(0);

/// Addresses on loopback that no other test process uses at the same time.
pub(crate) fn cluster(size: u8, dir: &TempDir) -> Cluster {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let base = CLUSTERS.fetch_add(1, Ordering::Relaxed) * 8;
    let node = |n: u8| Node {
        name: format!("n{n}"),
        addr: IpAddr::V4(Ipv4Addr::new(127, 64 + high % 128, low, base + n)),
        data_dir: dir.path().join(format!("n{n}")),
    };
    Cluster { nodes: (1..=size).map(node).collect() }
}

/// A cluster whose nodes run in this process.
pub(crate) struct Local {
    pub(crate) target: DemoTarget,
    pub(crate) cluster: Cluster,
    pub(crate) links: Links,
    pub(crate) nodes: BTreeMap<String, DemoNode>,
    pub(crate) snapshot_entries: Option<u64>,
    _dir: TempDir,
}

impl Local {
    pub(crate) async fn start(bug: Bug, size: u8) -> Self {
        Self::start_with(bug, size, None).await
    }

    pub(crate) async fn start_with(bug: Bug, size: u8, snapshot_entries: Option<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cluster, target) = (cluster(size, &dir), DemoTarget::new(bug, "unused"));
        let (links, nodes) = (Links::default(), BTreeMap::new());
        let mut local = Self { target, cluster, links, nodes, snapshot_entries, _dir: dir };
        for name in local.names() {
            local.start_node(&name).await;
        }
        local.ready().await;
        local
    }

    pub(crate) async fn start_node(&mut self, name: &str) {
        let mut config = self.target.node_config(&self.cluster, self.cluster.node(name).unwrap());
        config.snapshot_entries = self.snapshot_entries;
        let node = DemoNode::start(config, self.links.clone()).await.unwrap();
        self.nodes.insert(name.to_owned(), node);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.cluster.nodes.iter().map(|node| node.name.clone()).collect()
    }

    pub(crate) async fn ready(&self) {
        until_ready(&self.target, &self.cluster).await;
    }

    pub(crate) async fn leader(&self) -> String {
        until_leader(&self.target, &self.cluster).await
    }

    pub(crate) async fn client(&self, name: &str) -> Box<dyn Client> {
        self.target.open(&self.cluster, self.cluster.node(name).unwrap()).await.unwrap()
    }

    /// Cuts `name` off from all others.
    pub(crate) fn isolate(&self, name: &str) {
        let names = self.names();
        let others: Vec<&str> = names.iter().map(String::as_str).filter(|other| *other != name).collect();
        self.links.partition(&[name], &others);
    }

    pub(crate) async fn stop(self) {
        for (_, node) in self.nodes {
            node.shutdown().await.unwrap();
        }
    }
}

pub(crate) async fn until_ready(target: &DemoTarget, cluster: &Cluster) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = target.ready(cluster).await {
        assert!(Instant::now() < deadline, "not ready in a minute: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn until_leader(target: &DemoTarget, cluster: &Cluster) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(leader) = target.primaries(cluster).await.into_iter().next() {
            return leader;
        }
        assert!(Instant::now() < deadline, "no leader in a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn read(key: i64) -> Call {
    Call::Read { key, value: None }
}

pub(crate) fn write(key: i64, value: i64) -> Call {
    Call::Write { key, value }
}

pub(crate) fn append(key: i64, value: i64) -> Mop {
    Mop::Append { key, value }
}

pub(crate) fn read_list(key: i64) -> Mop {
    Mop::ReadList { key, list: None }
}

/// Repeats `call` until it is `ok`, for at most half a minute.
pub(crate) async fn eventually_ok(client: &mut dyn Client, call: &Call) -> Call {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let completion = client.invoke(call).await;
        if let Completion::Ok(call) = completion {
            return call;
        }
        assert!(Instant::now() < deadline, "{call:?} was never ok: {completion:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The list at `key`, read through `client` once that is possible.
pub(crate) async fn final_list(client: &mut dyn Client, key: i64) -> Vec<i64> {
    match eventually_ok(client, &Call::Txn(vec![read_list(key)])).await {
        Call::Txn(mops) => list_in(&mops[0]),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn list_in(mop: &Mop) -> Vec<i64> {
    match mop {
        Mop::ReadList { list: Some(list), .. } => list.clone(),
        other => panic!("{other:?} holds no list"),
    }
}

#[derive(Clone, Debug)]
enum Event {
    Append { value: i64, completion: Completion },
    Read { list: Vec<i64> },
}

/// What happened to the list at key 1.
#[derive(Clone, Default)]
pub(crate) struct ListHistory {
    events: Arc<Mutex<Vec<(Instant, Instant, Event)>>>,
    next: Arc<AtomicI64>,
}

impl ListHistory {
    /// Appends and reads in turn through `client` until `end`; a new connection follows an `info`.
    pub(crate) async fn drive(self, addr: SocketAddr, end: Instant) {
        let mut client = None;
        let mut turn = 0;
        while Instant::now() < end {
            if client.is_none() {
                client = DemoClient::connect(addr, Duration::from_secs(2)).await.ok();
            }
            let Some(open) = &mut client else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            turn += 1;
            let start = Instant::now();
            let (value, call) = match turn % 2 {
                0 => (None, Call::Txn(vec![read_list(1)])),
                _ => {
                    let value = self.next.fetch_add(1, Ordering::Relaxed);
                    (Some(value), Call::Txn(vec![append(1, value)]))
                }
            };
            let completion = open.invoke(&call).await;
            let now = Instant::now();
            if matches!(completion, Completion::Info(_)) {
                client = None;
            }
            let pause = !matches!(completion, Completion::Ok(_));
            let event = match (value, completion) {
                (Some(value), completion) => Event::Append { value, completion },
                (None, Completion::Ok(Call::Txn(mops))) => Event::Read { list: list_in(&mops[0]) },
                (None, _) => continue,
            };
            self.events.lock().unwrap().push((start, now, event));
            // Lists grow, and every read carries all of one: many operations would only make the test slow.
            tokio::time::sleep(Duration::from_millis(if pause { 20 } else { 4 })).await;
        }
    }

    /// How many appends were acknowledged, and how many reads answered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let events = self.events.lock().unwrap();
        let ok = |event: &Event| matches!(event, Event::Append { completion: Completion::Ok(_), .. });
        let appends = events.iter().filter(|(_, _, event)| ok(event)).count();
        (appends, events.iter().filter(|(_, _, event)| matches!(event, Event::Read { .. })).count())
    }

    /// Everything that no linearizable list would have done, given what it holds in the end.
    pub(crate) fn violations(&self, last: &[i64]) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let mut found = Vec::new();
        let place: BTreeMap<i64, usize> = last.iter().enumerate().map(|(place, value)| (*value, place)).collect();
        if place.len() != last.len() {
            found.push("an append happened twice".to_owned());
        }
        let known = known_lengths(&events, &place);
        let asked = asked_at(&events, last);
        for (start, end, event) in events.iter() {
            match event {
                Event::Append { value, completion: Completion::Ok(_) } if !place.contains_key(value) => {
                    found.push(format!("acknowledged append {value} is lost"));
                }
                Event::Append { value, completion: Completion::Fail(error) } if place.contains_key(value) => {
                    found.push(format!("append {value} failed ({}) but happened", error.code));
                }
                Event::Append { .. } => {}
                Event::Read { list } if !last.starts_with(list) => {
                    found.push(format!("a read of {} elements is no prefix of the last one", list.len()));
                }
                Event::Read { list } => {
                    let before = known.partition_point(|(end, _)| end < start);
                    let least = before.checked_sub(1).map_or(0, |at| known[at].1);
                    if list.len() < least {
                        found.push(format!("stale read: {} elements, {least} were there before it", list.len()));
                    }
                    if list.len().checked_sub(1).is_some_and(|at| asked[at] > *end) {
                        found.push("a read saw an append before it was asked".to_owned());
                    }
                }
            }
        }
        found
    }
}

type TimedEvent = (Instant, Instant, Event);

/// For each completion in order of time: how many elements the list is known to have had at least by then.
fn known_lengths(events: &[TimedEvent], place: &BTreeMap<i64, usize>) -> Vec<(Instant, usize)> {
    let known = events.iter().filter_map(|(_, end, event)| match event {
        Event::Append { value, completion: Completion::Ok(_) } => Some((*end, place.get(value)? + 1)),
        Event::Append { .. } => None,
        Event::Read { list } => Some((*end, list.len())),
    });
    let mut known: Vec<(Instant, usize)> = known.collect();
    known.sort();
    let mut most = 0;
    for (_, length) in &mut known {
        most = most.max(*length);
        *length = most;
    }
    known
}

/// For each place in the last list: when the latest of the appends up to it was asked.
fn asked_at(events: &[TimedEvent], last: &[i64]) -> Vec<Instant> {
    let asked = events.iter().filter_map(|(start, _, event)| match event {
        Event::Append { value, .. } => Some((*value, *start)),
        Event::Read { .. } => None,
    });
    let asked: BTreeMap<i64, Instant> = asked.collect();
    let mut latest = None;
    last.iter()
        .map(|value| {
            latest = latest.max(asked.get(value).copied());
            latest.expect("what is in the list was appended by a client")
        })
        .collect()
}

/// Drives `clients` clients for each node for `span`, while `nemesis` runs.
pub(crate) async fn drive<F: Future>(
    target: &DemoTarget,
    cluster: &Cluster,
    clients: usize,
    span: Duration,
    nemesis: F,
) -> ListHistory {
    let history = ListHistory::default();
    let end = Instant::now() + span;
    let addrs = cluster.nodes.iter().map(|node| SocketAddr::new(node.addr, target.client_port));
    let drivers: Vec<_> = addrs
        .flat_map(|addr| std::iter::repeat_n(addr, clients))
        .map(|addr| tokio::spawn(history.clone().drive(addr, end)))
        .collect();
    nemesis.await;
    for driver in drivers {
        driver.await.unwrap();
    }
    history
}
