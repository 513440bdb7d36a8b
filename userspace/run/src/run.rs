//! A run from beginning to end.
//!
//! ```text
//! folder + manifest ─> lab ─> kernel ─> nodes ─> ready ─> warm-up ─> faults ─> heal ─> final reads ─> seal ─> manifest
//! ```
//!
//! Whatever fails on the way, the folder is sealed with what there is, the lab goes away, and the error says what to do.

use crate::clock::{monotonic_ns, wall_ns};
use crate::engine::{Asking, Counts, Engine, Slot, Stop, Workload};
use crate::error::RunError;
use crate::event::Event;
use crate::faults::{Faults, KernelTotals};
use crate::nemesis::Nemesis;
use crate::nodes::Nodes;
use crate::setup::{self, Watchers};
use crate::worker::Worker;
use crossbeam_channel::Sender;
use fissure_history::RunDir;
use fissure_history::journal::{Journal, Recorder};
use fissure_history::rows::ClockRow;
use fissure_inject::Injector;
use fissure_lab::Lab;
use fissure_plan::Plan;
use fissure_workloads::{Cluster, Target};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::unbounded_channel;

/// A cluster that does not serve after this long will not.
const READY_WITHIN_NS: u64 = 60_000_000_000;
/// After the heal phase the cluster gets this long to serve again before the final reads are given up.
const READY_AGAIN_WITHIN_NS: u64 = 30_000_000_000;
/// In-flight operations get their own time-out and this much more.
const DRAIN_MARGIN_NS: u64 = 2_000_000_000;

/// A version that does not come within this time is left out of the manifest.
const VERSION_WITHIN: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The checked plan, overrides applied.
    pub plan: Plan,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// This program, to start the demo store's nodes and the lab's watcher.
    pub program: PathBuf,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// As planned.
    Done,
    /// Ctrl-C: faults lifted, what was in flight waited for.
    Interrupted,
    /// Ctrl-C twice: at once.
    Aborted,
}

/// What the caller needs for the manifest and the verdict; all else is in the folder.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// How it ended.
    pub end: RunEnd,
    /// Counts of operations and injections.
    pub counts: Counts,
    /// What the kernel counted.
    pub kernel: KernelTotals,
    /// Version of the system under test, by its own word.
    pub target_version: Option<String>,
    /// Nodes that ended without being asked to.
    pub unexpected_exits: Vec<String>,
    /// Whether the final reads could be done.
    pub final_reads_done: bool,
    /// How packets were hit, in words, by host.
    pub mechanisms: BTreeMap<String, String>,
}

/// A moment of a run, for the progress line.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Phase, such as `faults`.
    pub phase: String,
    /// Since the start of the phase, ns.
    pub elapsed_ns: u64,
    /// Planned length of the phase, ns.
    pub length_ns: u64,
    /// Counts so far.
    pub counts: Counts,
    /// What is in force, in words.
    pub in_force: String,
}

/// Runs `config` in `dir`, whose journal `journal` is. Blocks until the run is over; the lab is gone when it returns.
/// The journal is left to the caller to finish and seal, also after an error.
///
/// # Errors
/// When the run could not begin or could not go on.
pub fn execute(
    config: &RunConfig,
    dir: &RunDir,
    journal: &Journal,
    progress: &mut dyn FnMut(&Progress),
) -> Result<RunSummary, RunError> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let _signals = setup::watch_signals(sender.clone())?;
    let recorder = journal.recorder();
    note_clock(&recorder)?;
    let mut lab = Some(setup::make_lab(config, dir)?);
    let result = match &lab {
        Some(lab) => in_lab(config, dir, lab, recorder.clone(), sender, receiver, progress),
        None => Err(RunError::InterruptedEarly),
    };
    note_clock(&recorder)?;
    let destroyed = lab.take().map_or(Ok(()), Lab::destroy);
    let summary = result?;
    destroyed?;
    Ok(summary)
}

fn note_clock(recorder: &Recorder) -> Result<(), RunError> {
    Ok(recorder.clock(ClockRow { t_ns: monotonic_ns(), wall_ns: wall_ns() })?)
}

fn in_lab(
    config: &RunConfig,
    dir: &RunDir,
    lab: &Lab,
    recorder: Recorder,
    sender: Sender<Event>,
    receiver: crossbeam_channel::Receiver<Event>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<RunSummary, RunError> {
    let plan = &config.plan;
    let target = setup::target(config)?;
    let cluster = Arc::new(setup::cluster(plan, lab, dir)?);
    let mut injector = Injector::load()?;
    let mechanisms = setup::attach(&mut injector, lab)?;
    let reader = setup::read_events(&mut injector, sender.clone())?;
    let nodes = Nodes::start(lab, target.as_ref(), &cluster, dir, &recorder)?;
    let hosts = setup::hosts(lab, target.as_ref());
    let schedule = plan.schedule(config.seed);
    let faults = Faults::new(schedule, hosts, injector, nodes)?;
    let runtime = setup::client_runtime(lab)?;
    let (workloads, slots, workers) = slots(config, &target, &cluster, &sender);
    for (worker, jobs) in workers {
        runtime.spawn(worker.work(jobs));
    }
    let watchers = Watchers { target: target.clone(), cluster: cluster.clone(), sender, runtime: &runtime };
    let engine = Engine::new(recorder, receiver, workloads, slots);
    let mut run = Running { plan, engine, faults, watchers, progress, final_reads_done: false };
    let end = run.phases(dir)?;
    let target_version = if end == RunEnd::Aborted { None } else { ask_version(&runtime, &target, &cluster) };
    let Running { mut engine, mut faults, final_reads_done, .. } = run;
    runtime.shutdown_timeout(Duration::from_millis(200));
    reader.stop();
    engine.drain(&mut faults)?;
    engine.close_connections()?;
    let kernel = faults.read_totals(&engine.recorder)?;
    let counts = engine.counts;
    let unexpected_exits = faults.nodes().unexpected_exits.clone();
    Ok(RunSummary { end, counts, kernel, target_version, unexpected_exits, final_reads_done, mechanisms })
}

/// The target's own word for its version. Spawned, because only the runtime's threads are on the clients' host.
fn ask_version(runtime: &Runtime, target: &Arc<dyn Target>, cluster: &Arc<Cluster>) -> Option<String> {
    let (target, cluster) = (target.clone(), cluster.clone());
    let asked = runtime
        .spawn(async move { tokio::time::timeout(VERSION_WITHIN, target.version(&cluster)).await.ok().flatten() });
    runtime.block_on(asked).ok().flatten()
}

type Started = (Worker, tokio::sync::mpsc::UnboundedReceiver<crate::worker::Job>);

/// The worker slots of all workloads: each workload spreads its slots over the nodes.
fn slots(
    config: &RunConfig,
    target: &Arc<dyn Target>,
    cluster: &Arc<Cluster>,
    sender: &Sender<Event>,
) -> (Vec<Workload>, Vec<Slot>, Vec<Started>) {
    let (mut workloads, mut slots, mut workers) = (Vec::new(), Vec::new(), Vec::new());
    for (index, plan) in config.plan.workloads.iter().enumerate() {
        workloads.push(setup::workload(plan, cluster.nodes.len(), config.seed, index));
        for thread in 0..plan.concurrency {
            let node = thread % cluster.nodes.len();
            let (jobs, received) = unbounded_channel();
            let worker = Worker {
                slot: slots.len(),
                target: target.clone(),
                cluster: cluster.clone(),
                node,
                timeout: Duration::from_nanos(plan.timeout_ns),
                events: sender.clone(),
            };
            let node_name = Arc::from(cluster.nodes[node].name.as_str());
            slots.push(Slot { workload: index, thread, concurrency: plan.concurrency, node, node_name, jobs });
            workers.push((worker, received));
        }
    }
    (workloads, slots, workers)
}

struct Running<'a> {
    plan: &'a Plan,
    engine: Engine,
    faults: Faults,
    watchers: Watchers<'a>,
    progress: &'a mut dyn FnMut(&Progress),
    final_reads_done: bool,
}

impl Running<'_> {
    /// All phases. Faults are lifted when it returns, whatever happened.
    fn phases(&mut self, dir: &RunDir) -> Result<RunEnd, RunError> {
        let result = self.planned_phases(dir);
        let lifted = self.faults.lift_all(&self.engine.recorder);
        let end = result?;
        lifted?;
        Ok(end)
    }

    fn planned_phases(&mut self, dir: &RunDir) -> Result<RunEnd, RunError> {
        self.watchers.ask_ready(true);
        match self.wait_ready("start", READY_WITHIN_NS)? {
            Some(Ok(())) => self.faults.nodes().note_ready(&self.engine.recorder)?,
            _ if self.engine.interrupts() > 0 => return Err(RunError::InterruptedEarly),
            answer => {
                let text =
                    answer.map_or_else(|| "it never answered".to_owned(), |error| error.err().unwrap_or_default());
                return Err(RunError::NotReady {
                    seconds: READY_WITHIN_NS / 1_000_000_000,
                    text,
                    logs: dir.nodes_dir(),
                });
            }
        }
        self.watchers.watch_primaries();
        let phases = self.plan.phases;
        let mut end = self.phase("warm-up", Asking::Main, phases.warm_up_ns)?;
        if end == RunEnd::Done {
            self.faults.begin(self.engine.now_ns());
            end = self.phase("faults", Asking::Main, phases.faults_ns)?;
        }
        if end == RunEnd::Aborted {
            return Ok(end);
        }
        self.faults.lift_all(&self.engine.recorder)?;
        if end == RunEnd::Done {
            end = self.phase("heal", Asking::Main, phases.heal_ns)?;
        }
        let drained = self.phase("heal", Asking::Nothing, self.timeout_ns() + DRAIN_MARGIN_NS)?;
        if drained == RunEnd::Aborted || end != RunEnd::Done {
            return Ok(if drained == RunEnd::Aborted { drained } else { end });
        }
        self.final_reads(phases.final_reads_ns)
    }

    fn final_reads(&mut self, length_ns: u64) -> Result<RunEnd, RunError> {
        self.watchers.ask_ready(false);
        match self.wait_ready("final", READY_AGAIN_WITHIN_NS)? {
            Some(Ok(())) => {}
            _ if self.engine.interrupts() > 0 => return Ok(RunEnd::Interrupted),
            _ => return Ok(RunEnd::Done),
        }
        let before = self.engine.now_ns();
        let end = self.phase("final", Asking::Final, length_ns)?;
        self.final_reads_done = end == RunEnd::Done && self.engine.now_ns() < before + length_ns;
        if end == RunEnd::Aborted {
            return Ok(end);
        }
        let drained = self.phase("final", Asking::Nothing, self.timeout_ns() + DRAIN_MARGIN_NS)?;
        Ok(if drained == RunEnd::Aborted { drained } else { end })
    }

    fn timeout_ns(&self) -> u64 {
        self.plan.workloads.iter().map(|workload| workload.timeout_ns).max().unwrap_or(0)
    }

    fn phase(&mut self, name: &str, asking: Asking, length_ns: u64) -> Result<RunEnd, RunError> {
        self.engine.enter(name, asking);
        let begin_ns = self.engine.now_ns();
        let until_ns = begin_ns + length_ns;
        let report = &mut *self.progress;
        let mut report = |engine: &Engine| report(&moment(engine, name, begin_ns, length_ns));
        let stop = self.engine.turn(until_ns, &mut self.faults, &mut report)?;
        Ok(match stop {
            Stop::Deadline | Stop::Exhausted => RunEnd::Done,
            Stop::Interrupted => RunEnd::Interrupted,
            Stop::Aborted => RunEnd::Aborted,
        })
    }

    fn wait_ready(&mut self, name: &str, within_ns: u64) -> Result<Option<Result<(), String>>, RunError> {
        let begin_ns = self.engine.now_ns();
        let report = &mut *self.progress;
        let mut report = |engine: &Engine| report(&moment(engine, name, begin_ns, within_ns));
        let nemesis: &mut dyn Nemesis = &mut self.faults;
        self.engine.wait_ready(begin_ns + within_ns, nemesis, &mut report)
    }
}

fn moment(engine: &Engine, phase: &str, begin_ns: u64, length_ns: u64) -> Progress {
    Progress {
        phase: phase.to_owned(),
        elapsed_ns: engine.now_ns().saturating_sub(begin_ns),
        length_ns,
        counts: engine.counts,
        in_force: engine.in_force().to_owned(),
    }
}
