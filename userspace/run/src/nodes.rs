//! The nodes of the system under test: started, killed, paused, and brought back; every change is a row of `nodes`.

use crate::clock::monotonic_ns;
use crate::error::RunError;
use fissure_history::RunDir;
use fissure_history::journal::Recorder;
use fissure_history::rows::NodeRow;
use fissure_lab::{Lab, Process};
use fissure_workloads::{Cluster, Target};
use std::borrow::Cow;
use std::sync::Arc;

/// What a node should be doing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// We killed it, and will start it again.
    Killed,
    Paused,
    /// It ended by itself.
    Exited,
}

struct NodeProcess {
    name: Arc<str>,
    process: Process,
    state: State,
}

/// All nodes, in the order of the cluster.
pub struct Nodes {
    nodes: Vec<NodeProcess>,
    /// Nodes that ended without being asked to, with how.
    pub unexpected_exits: Vec<String>,
}

impl Nodes {
    /// Starts every node of `cluster` on its host of `lab`, with its output in the run's folder.
    ///
    /// # Errors
    /// When a program is missing or a process cannot be started.
    pub fn start(
        lab: &Lab,
        target: &dyn Target,
        cluster: &Cluster,
        dir: &RunDir,
        recorder: &Recorder,
    ) -> Result<Self, RunError> {
        let mut nodes = Vec::with_capacity(cluster.nodes.len());
        for node in &cluster.nodes {
            let spec = target.process(cluster, node)?;
            let logs = dir.nodes_dir().join(&node.name);
            create_dir(&node.data_dir)?;
            let host = lab.host(&node.name).ok_or_else(|| RunError::UnknownHost { host: node.name.clone() })?;
            let process = host.spawn(fissure_lab::ProcessSpec {
                name: node.name.clone(),
                program: spec.program.into_os_string(),
                args: spec.args.into_iter().map(Into::into).collect(),
                env: spec.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                cwd: Some(node.data_dir.clone()),
                stdout: Some(logs.join("stdout.log")),
                stderr: Some(logs.join("stderr.log")),
            })?;
            let name: Arc<str> = Arc::from(node.name.as_str());
            note(recorder, &name, "start", Some(format!("pid {}", process.pid())))?;
            nodes.push(NodeProcess { name, process, state: State::Running });
        }
        Ok(Self { nodes, unexpected_exits: Vec::new() })
    }

    /// Names of all nodes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.to_string()).collect()
    }

    /// Names of the nodes that do not run.
    #[must_use]
    pub fn down(&self) -> Vec<String> {
        self.in_state(|state| matches!(state, State::Killed | State::Exited))
    }

    /// Names of the nodes that are paused.
    #[must_use]
    pub fn paused(&self) -> Vec<String> {
        self.in_state(|state| state == State::Paused)
    }

    fn in_state(&self, wanted: impl Fn(State) -> bool) -> Vec<String> {
        self.nodes.iter().filter(|node| wanted(node.state)).map(|node| node.name.to_string()).collect()
    }

    /// Kills these nodes (SIGKILL, with all their children).
    ///
    /// # Errors
    /// When one does not die, or the history cannot be written.
    pub fn kill(&mut self, names: &[String], recorder: &Recorder) -> Result<(), RunError> {
        self.each(names, |node| {
            node.process.kill()?;
            node.state = State::Killed;
            note(recorder, &node.name, "kill", None)
        })
    }

    /// Starts killed nodes again, on their old data.
    ///
    /// # Errors
    /// When one does not start, or the history cannot be written.
    pub fn restart(&mut self, names: &[String], recorder: &Recorder) -> Result<(), RunError> {
        self.each(names, |node| {
            if node.state == State::Running {
                return Ok(());
            }
            node.process.restart()?;
            node.state = State::Running;
            note(recorder, &node.name, "restart", Some(format!("pid {}", node.process.pid())))
        })
    }

    /// Stops these nodes in mid-instruction.
    ///
    /// # Errors
    /// When one does not stop, or the history cannot be written.
    pub fn pause(&mut self, names: &[String], recorder: &Recorder) -> Result<(), RunError> {
        self.each(names, |node| {
            node.process.pause()?;
            if node.state == State::Running {
                node.state = State::Paused;
            }
            note(recorder, &node.name, "pause", None)
        })
    }

    /// Lets paused nodes go on.
    ///
    /// # Errors
    /// When one does not, or the history cannot be written.
    pub fn resume(&mut self, names: &[String], recorder: &Recorder) -> Result<(), RunError> {
        self.each(names, |node| {
            node.process.resume()?;
            if node.state != State::Paused {
                return Ok(());
            }
            node.state = State::Running;
            note(recorder, &node.name, "resume", None)
        })
    }

    /// Resumes what is paused and starts what is down.
    ///
    /// # Errors
    /// When a node does not come back, or the history cannot be written.
    pub fn mend_all(&mut self, recorder: &Recorder) -> Result<(), RunError> {
        let (paused, down) = (self.paused(), self.down());
        self.resume(&paused, recorder)?;
        self.restart(&down, recorder)
    }

    /// Notices nodes that ended by themselves.
    ///
    /// # Errors
    /// When the system cannot tell, or the history cannot be written.
    pub fn watch(&mut self, recorder: &Recorder) -> Result<(), RunError> {
        for node in &mut self.nodes {
            if node.state != State::Running {
                continue;
            }
            if let Some(status) = node.process.try_wait()? {
                node.state = State::Exited;
                self.unexpected_exits.push(format!("{} ended by itself: {status}", node.name));
                note(recorder, &node.name, "exit", Some(status.to_string()))?;
            }
        }
        Ok(())
    }

    /// Records who leads.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn note_primary(&self, first: &str, all: &[String], recorder: &Recorder) -> Result<(), RunError> {
        let detail = (all.len() > 1).then(|| format!("also believed to lead: {}", all[1..].join(", ")));
        note(recorder, &Arc::from(first), "primary", detail)
    }

    /// Records that the cluster serves.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn note_ready(&self, recorder: &Recorder) -> Result<(), RunError> {
        self.nodes.iter().try_for_each(|node| note(recorder, &node.name, "ready", None))
    }

    fn each(
        &mut self,
        names: &[String],
        mut action: impl FnMut(&mut NodeProcess) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        self.nodes.iter_mut().filter(|node| names.iter().any(|name| **name == *node.name)).try_for_each(&mut action)
    }
}

fn note(recorder: &Recorder, node: &Arc<str>, event: &'static str, detail: Option<String>) -> Result<(), RunError> {
    let row = NodeRow { t_ns: monotonic_ns(), node: node.clone(), event: Cow::Borrowed(event), detail };
    Ok(recorder.node(row)?)
}

fn create_dir(path: &std::path::Path) -> Result<(), RunError> {
    std::fs::create_dir_all(path).map_err(|source| RunError::Io { op: "create", path: path.to_owned(), source })
}
