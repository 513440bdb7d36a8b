//! The store as processes, killed and paused: what was acknowledged stays, and nothing is served from the past.

mod support;

use fissure_demo::{Bug, DemoTarget, NodeConfig, run_node};
use fissure_workloads::{Cluster, Target};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::Duration,
};
use support::{cluster, drive, final_list, until_leader, until_ready};
use tempfile::TempDir;
use tokio::time::sleep;

const NODE_ARGS: &str = "FISSURE_DEMO_TEST_NODE_ARGS";

/// The entry point of child processes: this test binary is also the program of a node.
#[test]
#[ignore = "the entry point of child processes, which other tests start"]
fn node_process() {
    let Ok(args) = std::env::var(NODE_ARGS) else { return };
    let config = NodeConfig::from_args(args.split('\n').map(str::to_owned)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    panic!("the node stopped: {:?}", runtime.block_on(run_node(config)));
}

/// Nodes as child processes; dropped, they are killed.
struct Processes {
    target: DemoTarget,
    cluster: Cluster,
    children: BTreeMap<String, Child>,
    _dir: TempDir,
}

impl Processes {
    async fn start(size: u8, fsync: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut target = DemoTarget::new(Bug::None, std::env::current_exe().unwrap());
        target.program_args = Vec::new();
        target.fsync = fsync;
        let cluster = cluster(size, &dir);
        let mut processes = Self { target, cluster, children: BTreeMap::new(), _dir: dir };
        for node in processes.cluster.clone().nodes {
            processes.spawn(&node.name);
        }
        until_ready(&processes.target, &processes.cluster).await;
        processes
    }

    fn spawn(&mut self, name: &str) {
        let spec = self.target.process(&self.cluster, self.cluster.node(name).unwrap()).unwrap();
        let child = Command::new(spec.program)
            .args(["--ignored", "--exact", "node_process", "--nocapture"])
            .env(NODE_ARGS, spec.args.join("\n"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.children.insert(name.to_owned(), child);
    }

    fn kill(&mut self, name: &str) {
        let mut child = self.children.remove(name).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn signal(&self, name: &str, signal: Signal) {
        kill_process(Pid::from_child(&self.children[name]), signal).unwrap();
    }

    fn names(&self) -> Vec<String> {
        self.cluster.nodes.iter().map(|node| node.name.clone()).collect()
    }

    async fn leader(&self) -> String {
        until_leader(&self.target, &self.cluster).await
    }

    async fn last_list(&self) -> Vec<i64> {
        until_ready(&self.target, &self.cluster).await;
        let mut client = self.target.open(&self.cluster, &self.cluster.nodes[0]).await.unwrap();
        final_list(client.as_mut(), 1).await
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_appends_survive_the_death_of_every_process() {
    let mut processes = Processes::start(3, true).await;
    let (target, cluster) = (processes.target.clone(), processes.cluster.clone());
    let history = drive(&target, &cluster, 2, Duration::from_secs(4), async {
        sleep(Duration::from_secs(2)).await;
        for name in processes.names() {
            processes.kill(&name);
        }
        for name in processes.names() {
            processes.spawn(&name);
        }
    })
    .await;
    let last = processes.last_list().await;
    let (appends, _) = history.counts();
    assert!(appends > 20, "{appends} appends");
    assert_eq!(history.violations(&last), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_restarted_or_paused_never_serves_the_past() {
    let mut processes = Processes::start(3, false).await;
    let (target, cluster) = (processes.target.clone(), processes.cluster.clone());
    let history = drive(&target, &cluster, 2, Duration::from_secs(16), async {
        for _ in 0..2 {
            // Restarted before the others miss it.
            let leader = processes.leader().await;
            processes.kill(&leader);
            processes.spawn(&leader);
            sleep(Duration::from_secs(3)).await;
            let leader = processes.leader().await;
            processes.signal(&leader, Signal::STOP);
            sleep(Duration::from_secs(3)).await;
            processes.signal(&leader, Signal::CONT);
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let last = processes.last_list().await;
    let (appends, reads) = history.counts();
    assert!(appends > 50 && reads > 50, "{appends} appends, {reads} reads");
    assert_eq!(history.violations(&last), Vec::<String>::new());
}
