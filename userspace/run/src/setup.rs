//! What a run is made of: lab, target, kernel programs, runtime of the clients, and the watchers that send events.

use crate::engine::Workload;
use crate::error::RunError;
use crate::event::Event;
use crate::run::RunConfig;
use crossbeam_channel::Sender;
use fissure_history::RunDir;
use fissure_inject::Injector;
use fissure_lab::{Lab, LabConfig};
use fissure_plan::{CLIENTS_HOST, Plan, TargetKind, WorkloadPlan};
use fissure_workloads::{Cluster, Node, Target};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Who leads is asked this often.
const PRIMARIES_EVERY: Duration = Duration::from_millis(300);
/// Whether the cluster serves is asked this often.
const READY_EVERY: Duration = Duration::from_millis(200);
/// The reader of kernel events looks at its stop flag this often.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// Threads that run the clients.
const CLIENT_THREADS: usize = 2;

/// The lab of a run: one host a node, and one for the clients.
///
/// # Errors
/// When this machine cannot make it.
pub fn make_lab(config: &RunConfig, dir: &RunDir) -> Result<Lab, RunError> {
    let hosts = config.plan.cluster.nodes.iter().cloned().chain([CLIENTS_HOST.to_owned()]).collect();
    let reaper = vec![config.program.clone().into_os_string(), "lab-reaper".into()];
    Ok(Lab::create(LabConfig { hosts, run_dir: Some(dir.path().to_owned()), reaper, ..LabConfig::default() })?)
}

/// The system under test.
///
/// # Errors
/// When it was not built in, or a program is missing.
pub fn target(config: &RunConfig) -> Result<Arc<dyn Target>, RunError> {
    let cluster = &config.plan.cluster;
    Ok(match cluster.target {
        TargetKind::Demo => {
            let name = cluster.bug.as_deref().unwrap_or("none");
            let bug = name.parse().map_err(|_| RunError::UnknownBug { bug: name.to_owned() })?;
            Arc::new(fissure_demo::DemoTarget::new(bug, config.program.clone()))
        }
        TargetKind::Etcd => {
            let reads = match cluster.reads {
                fissure_plan::plan::Reads::Linearizable => fissure_targets::Reads::Linearizable,
                fissure_plan::plan::Reads::Serializable => fissure_targets::Reads::Serializable,
            };
            let options = fissure_targets::EtcdOptions { reads, ..Default::default() };
            Arc::new(fissure_targets::EtcdTarget::new(options)?)
        }
    })
}

/// The cluster on the lab's addresses, with data directories in the run's folder.
///
/// # Errors
/// When a node has no host.
pub fn cluster(plan: &Plan, lab: &Lab, dir: &RunDir) -> Result<Cluster, RunError> {
    let node =
        |name: &String| {
            let host = lab.host(name).ok_or_else(|| RunError::UnknownHost { host: name.clone() })?;
            // Absolute: the process may be started with another working directory.
            let data_dir = std::path::absolute(dir.nodes_dir().join(name).join("data"))
                .map_err(|source| RunError::Io { op: "find", path: dir.nodes_dir().join(name), source })?;
            Ok(Node { name: name.clone(), addr: IpAddr::V4(host.addr_v4), data_dir })
        };
    Ok(Cluster { nodes: plan.cluster.nodes.iter().map(node).collect::<Result<_, RunError>>()? })
}

/// Attaches to the ingress of every host; returns how, in words, by host.
///
/// # Errors
/// When the kernel refuses.
pub fn attach(injector: &mut Injector, lab: &Lab) -> Result<BTreeMap<String, String>, RunError> {
    let mut mechanisms = BTreeMap::new();
    for host in lab.hosts() {
        let attached = injector.attach(&host.name, Some(&host.netns_path), &host.ifname)?;
        mechanisms.insert(host.name.clone(), format!("drop: {:?} ingress of {}", attached.mechanism, host.ifname));
    }
    Ok(mechanisms)
}

/// Addresses and ports for the compiler of rules.
#[must_use]
pub fn hosts(lab: &Lab, target: &dyn Target) -> fissure_plan::Hosts {
    let host = |host: &fissure_lab::Host| fissure_plan::Host {
        name: host.name.clone(),
        v4: Some(host.addr_v4),
        v6: host.addr_v6,
    };
    fissure_plan::Hosts {
        hosts: lab.hosts().iter().map(host).collect(),
        client_port: target.client_port(),
        peer_port: target.peer_port().unwrap_or(target.client_port()),
    }
}

/// A runtime all of whose threads are on the clients' host.
///
/// # Errors
/// When its threads cannot be started.
pub fn client_runtime(lab: &Lab) -> Result<Runtime, RunError> {
    let host = lab.host(CLIENTS_HOST).ok_or_else(|| RunError::UnknownHost { host: CLIENTS_HOST.to_owned() })?;
    let path = host.netns_path.clone();
    // Entered once here, where the error can be told; a thread that cannot enter must not send a packet.
    fissure_lab::in_netns(&path, || ())?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CLIENT_THREADS)
        .thread_name("clients")
        .enable_all()
        .on_thread_start(move || {
            if let Err(error) = fissure_lab::enter_netns(&path) {
                panic!("cannot enter the clients' namespace: {error}");
            }
        })
        .build()
        .map_err(|source| RunError::Io { op: "start the threads of", path: PathBuf::from("clients"), source })
}

/// A workload's generators, each workload with a seed of its own.
#[must_use]
pub fn workload(plan: &WorkloadPlan, node_count: usize, seed: u64, index: usize) -> Workload {
    let fissure_suite::Workload { generator, final_generator } = crate::generators::of(plan, node_count, seed, index);
    Workload { kind: plan.kind.name().to_owned(), generator, final_generator }
}

/// Threads that turn signals into events; gone when dropped.
///
/// # Errors
/// When the thread or the handlers cannot be installed.
pub fn watch_signals(sender: Sender<Event>) -> Result<Signals, RunError> {
    let error = |source| RunError::Io { op: "install", path: PathBuf::from("signal handlers"), source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signals")
        .enable_all()
        .build()
        .map_err(error)?;
    let _guard = runtime.enter();
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(error)?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(error)?;
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(Event::Interrupt).is_err() {
                return;
            }
        }
    });
    drop(_guard);
    Ok(Signals { runtime: Some(runtime) })
}

/// Keeps the signal handlers alive.
pub struct Signals {
    runtime: Option<Runtime>,
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The thread that reads the kernel's events.
pub struct EventThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl EventThread {
    /// Reads what is still there, and ends.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // A panic of the thread has been told by its own message, and lost events show in the totals.
        let _ = self.thread.join();
    }
}

/// Starts the thread that reads the kernel's events and sends them in batches.
///
/// # Errors
/// When the events were taken already, or the thread cannot be started.
pub fn read_events(injector: &mut Injector, sender: Sender<Event>) -> Result<EventThread, RunError> {
    let mut reader = injector.events()?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let work = move || {
        loop {
            // Read the flag first: what arrived before it was set is then still read.
            let last = flag.load(Ordering::Acquire);
            let mut batch = Vec::new();
            let read = reader.read(READ_TIMEOUT, &mut batch);
            if !batch.is_empty() && sender.send(Event::Injections(batch)).is_err() {
                return;
            }
            if let Err(error) = read {
                let _ = sender.send(Event::EventReaderFailed(error.to_string()));
                return;
            }
            if last {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("events".to_owned()).spawn(work).map_err(|source| RunError::Io {
        op: "start",
        path: PathBuf::from("the reader of events"),
        source,
    })?;
    Ok(EventThread { stop, thread })
}

/// Asks the cluster questions in the background and sends the answers as events.
pub struct Watchers<'a> {
    /// The system under test.
    pub target: Arc<dyn Target>,
    /// Its nodes.
    pub cluster: Arc<Cluster>,
    /// Where answers go.
    pub sender: Sender<Event>,
    /// Where to ask.
    pub runtime: &'a Runtime,
}

impl Watchers<'_> {
    /// Asks until the cluster serves, then once prepares its data if `set_up`, then sends one `Ready`.
    pub fn ask_ready(&self, set_up: bool) {
        let (target, cluster, sender) = (self.target.clone(), self.cluster.clone(), self.sender.clone());
        self.runtime.spawn(async move {
            while target.ready(&cluster).await.is_err() {
                tokio::time::sleep(READY_EVERY).await;
            }
            let answer = if set_up { target.setup(&cluster).await } else { Ok(()) };
            let _ = sender.send(Event::Ready(answer.map_err(|error| error.to_string())));
        });
    }

    /// Sends who leads, again and again.
    pub fn watch_primaries(&self) {
        let (target, cluster, sender) = (self.target.clone(), self.cluster.clone(), self.sender.clone());
        self.runtime.spawn(async move {
            loop {
                let primaries = target.primaries(&cluster).await;
                if sender.send(Event::Primaries(primaries)).is_err() {
                    return;
                }
                tokio::time::sleep(PRIMARIES_EVERY).await;
            }
        });
    }
}
