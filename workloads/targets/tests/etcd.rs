//! The adapter against a real etcd: one node on a loopback address of its own, as the user that runs the test.

use fissure_targets::{EtcdOptions, EtcdTarget, Reads};
use fissure_workloads::{Call, Client, Cluster, Completion, Mop, Node, Target};
use std::{
    net::{IpAddr, Ipv4Addr},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

/// A running server; killed when dropped.
struct Server {
    child: Child,
    target: EtcdTarget,
    cluster: Cluster,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start(reads: Reads) -> Self {
        // Another address of 127/8 for each server, so that tests and a machine's own etcd do not meet on the ports.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let pid = std::process::id().to_le_bytes();
        let addr = Ipv4Addr::new(127, pid[0] | 0x80, pid[1], NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::tempdir().unwrap();
        let node = Node { name: "n1".into(), addr: IpAddr::V4(addr), data_dir: dir.path().to_owned() };
        let cluster = Cluster { nodes: vec![node] };
        let target = EtcdTarget::new(EtcdOptions { reads, program: None }).unwrap();
        let child = spawn(&target, &cluster);
        let server = Server { child, target, cluster, _dir: dir };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        let mut last = None;
        for _ in 0..100 {
            match self.target.ready(&self.cluster).await {
                Ok(()) => return self.target.setup(&self.cluster).await.unwrap(),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("etcd is not ready: {}", last.unwrap());
    }

    async fn client(&self) -> Box<dyn Client> {
        self.target.open(&self.cluster, &self.cluster.nodes[0]).await.unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(target: &EtcdTarget, cluster: &Cluster) -> Child {
    let spec = target.process(cluster, &cluster.nodes[0]).unwrap();
    let mut command = Command::new(spec.program);
    command.args(spec.args).envs(spec.env).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn ok(client: &mut dyn Client, call: Call) -> Call {
    match client.invoke(&call).await {
        Completion::Ok(call) => call,
        other => panic!("{call:?}: {other:?}"),
    }
}

async fn fail_code(client: &mut dyn Client, call: Call) -> String {
    match client.invoke(&call).await {
        Completion::Fail(info) => info.code,
        other => panic!("{call:?}: {other:?}"),
    }
}

fn read(key: i64, value: Option<Option<i64>>) -> Call {
    Call::Read { key, value }
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_are_read_written_and_compared() {
    for reads in [Reads::Linearizable, Reads::Serializable] {
        let server = Server::start(reads).await;
        let mut client = server.client().await;
        assert_eq!(ok(&mut *client, read(1, None)).await, read(1, Some(None)));
        let cas = Call::Cas { key: 1, expected: 4, value: 5 };
        assert_eq!(fail_code(&mut *client, cas.clone()).await, "cas-mismatch");
        ok(&mut *client, Call::Write { key: 1, value: 4 }).await;
        assert_eq!(ok(&mut *client, read(1, None)).await, read(1, Some(Some(4))));
        assert_eq!(ok(&mut *client, cas.clone()).await, cas);
        assert_eq!(ok(&mut *client, read(1, None)).await, read(1, Some(Some(5))));
        assert_eq!(server.target.primaries(&server.cluster).await, ["n1"]);
        assert!(server.target.version(&server.cluster).await.unwrap().starts_with('3'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_append_and_read_at_one_point() {
    let server = Server::start(Reads::Linearizable).await;
    let mut client = server.client().await;
    let append = |key, value| Mop::Append { key, value };
    let list = |key, list: Option<&[i64]>| Mop::ReadList { key, list: list.map(<[i64]>::to_vec) };
    let first = ok(&mut *client, Call::Txn(vec![append(1, 1), list(1, None), append(2, 1), append(1, 2)])).await;
    assert_eq!(first, Call::Txn(vec![append(1, 1), list(1, Some(&[1])), append(2, 1), append(1, 2)]));
    let second = ok(&mut *client, Call::Txn(vec![list(1, None), list(2, None), list(3, None)])).await;
    assert_eq!(second, Call::Txn(vec![list(1, Some(&[1, 2])), list(2, Some(&[1])), list(3, Some(&[]))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_race_lose_no_element() {
    let server = Server::start(Reads::Serializable).await;
    let mut workers = Vec::new();
    for worker in 0..4_i64 {
        let mut client = server.client().await;
        workers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            for n in 0..25 {
                let value = worker * 100 + n;
                match client.invoke(&Call::Txn(vec![Mop::Append { key: 9, value }])).await {
                    Completion::Ok(_) => done.push(value),
                    Completion::Fail(info) => assert_eq!(info.code, "conflict"),
                    Completion::Info(info) => panic!("{info:?}"),
                }
            }
            done
        }));
    }
    let mut acknowledged = Vec::new();
    for worker in workers {
        acknowledged.extend(worker.await.unwrap());
    }
    let mut client = server.client().await;
    let Call::Txn(mops) = ok(&mut *client, Call::Txn(vec![Mop::ReadList { key: 9, list: None }])).await else {
        panic!()
    };
    let [Mop::ReadList { list: Some(list), .. }] = mops.as_slice() else { panic!("{mops:?}") };
    let mut found = list.clone();
    found.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(found, acknowledged);
    assert!(!found.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_fails_and_the_next_one_has_another_cookie() {
    let mut server = Server::start(Reads::Linearizable).await;
    let mut client = server.client().await;
    ok(&mut *client, Call::Write { key: 1, value: 1 }).await;
    let before = client.connection().unwrap();
    assert_eq!(before.remote.port(), 2379);
    assert_eq!(before.remote.ip(), server.cluster.nodes[0].addr);
    server.kill();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fail_code(&mut *client, Call::Write { key: 1, value: 2 }).await, "refused");
    server.child = spawn(&server.target, &server.cluster);
    let after_restart = async {
        while !matches!(client.invoke(&read(1, None)).await, Completion::Ok(_)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), after_restart).await.expect("answers again after a restart");
    assert_eq!(ok(&mut *client, read(1, None)).await, read(1, Some(Some(1))), "data survived the kill");
    let after = client.connection().unwrap();
    assert_ne!((before.cookie, before.local), (after.cookie, after.local));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_do_not_share_a_connection() {
    let server = Server::start(Reads::Linearizable).await;
    let (one, two) = (server.client().await, server.client().await);
    let (one, two) = (one.connection().unwrap(), two.connection().unwrap());
    assert_ne!(one.cookie, two.cookie);
    assert_ne!(one.local, two.local);
}
