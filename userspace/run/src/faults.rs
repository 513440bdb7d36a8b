//! The nemesis for real: the plan's schedule, carried out with a lab and the kernel's programs.
//!
//! Invariants:
//! * intent and effect are separate rows: what was asked goes to `faults`, what the kernel did to `injections`;
//! * a packet fault's `kernel_hits` is the kernel's own count, read when the fault is lifted, and never derived from the
//!   injections it is later compared with;
//! * whatever happens, [`Faults::lift_all`] leaves no rule in force and no node down or paused.

use crate::clock::monotonic_ns;
use crate::error::RunError;
use crate::nemesis::Nemesis;
use crate::nodes::Nodes;
use fissure_history::journal::Recorder;
use fissure_history::rows::{Direction, FaultRow, InjectionRow};
use fissure_inject::{Counters, Injection, Injector, Lease};
use fissure_plan::{
    Action, FaultId, FaultSpec, Hosts, Occurrence, ResolveError, ResolvedFault, ResolvedKind, Schedule, Situation,
    compile, resolve,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// A fault whose hosts are not known yet (nobody leads) is tried again this often …
const RESOLVE_RETRY_NS: u64 = 200_000_000;
/// … and given up after this long.
const RESOLVE_PATIENCE_NS: u64 = 3_000_000_000;
/// Nodes are looked at this often.
const WATCH_NS: u64 = 200_000_000;

struct ActiveFault {
    resolved: ResolvedFault,
    row: FaultRow,
}

/// What was seen of the kernel at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelTotals {
    /// Decisions that fired, by the kernel's own counters.
    pub hits: u64,
    /// Faults that were not injected because they could not be reported.
    pub lost: u64,
    /// Packets that a rule was about and that passed because the lease had run out: this process was late.
    pub lease_expired: u64,
    /// Packets that could not be parsed, and were let pass.
    pub parse_errors: u64,
    /// Events that were read and recorded.
    pub recorded: u64,
    /// Why the events could not be read to the end, if so.
    pub reader_error: Option<String>,
}

/// Carries out a schedule.
pub struct Faults {
    schedule: Schedule,
    /// When the faults phase began, ns since the engine's start; `None`: not yet, or over.
    began_ns: Option<u64>,
    step_next: usize,
    /// Faults that wait for somebody to lead, and since when.
    waiting: BTreeMap<FaultId, u64>,
    retry_ns: u64,
    active: BTreeMap<FaultId, ActiveFault>,
    lifted: Vec<FaultRow>,
    primaries: Vec<String>,
    hosts: Hosts,
    names: HashMap<IpAddr, Arc<str>>,
    /// Which fault each rule that was ever published belongs to.
    rule_faults: BTreeMap<u32, i64>,
    /// Declared before the injector: given up before it goes.
    _lease: Lease,
    injector: Injector,
    nodes: Nodes,
    watch_ns: u64,
    /// Totals for the verdict.
    pub totals: KernelTotals,
    /// Table of what is in force, in words, for the progress line.
    in_force: String,
}

impl Faults {
    /// A nemesis that has not begun. It holds the injector's lease from now on, with an empty table.
    ///
    /// # Errors
    /// When the kernel does not give the lease.
    pub fn new(schedule: Schedule, hosts: Hosts, injector: Injector, nodes: Nodes) -> Result<Self, RunError> {
        let lease = injector.lease()?;
        let mut names = HashMap::new();
        for host in &hosts.hosts {
            let name: Arc<str> = Arc::from(host.name.as_str());
            names.extend(host.v4.map(|addr| (IpAddr::V4(addr), name.clone())));
            names.extend(host.v6.map(|addr| (IpAddr::V6(addr), name.clone())));
        }
        Ok(Self {
            schedule,
            began_ns: None,
            step_next: 0,
            waiting: BTreeMap::new(),
            retry_ns: 0,
            active: BTreeMap::new(),
            lifted: Vec::new(),
            primaries: Vec::new(),
            hosts,
            names,
            rule_faults: BTreeMap::new(),
            _lease: lease,
            injector,
            nodes,
            watch_ns: 0,
            totals: KernelTotals::default(),
            in_force: String::new(),
        })
    }

    /// The faults phase begins.
    pub fn begin(&mut self, now_ns: u64) {
        self.began_ns = Some(now_ns);
    }

    /// The nodes' processes.
    pub fn nodes(&mut self) -> &mut Nodes {
        &mut self.nodes
    }

    /// The faults phase is over: lifts everything, and starts or resumes every node that is not running.
    ///
    /// # Errors
    /// When the history cannot be written, or the kernel does not take an empty table.
    pub fn lift_all(&mut self, recorder: &Recorder) -> Result<(), RunError> {
        self.began_ns = None;
        self.waiting.clear();
        let active: Vec<FaultId> = self.active.keys().copied().collect();
        for fault in active {
            self.lift(fault, recorder)?;
        }
        self.injector.clear()?;
        self.nodes.mend_all(recorder)
    }

    /// Reads the kernel's counters once more, for the verdict. Call when no fault is in force and all events are read.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn read_totals(&mut self, recorder: &Recorder) -> Result<KernelTotals, RunError> {
        let counters = self.injector.counters();
        for row in &mut self.lifted {
            // A packet that was on its way when the rule was lifted may have been counted a moment later.
            let hits = hits_of_fault(&self.rule_faults, &counters, row.fault_id);
            if row.kernel_hits.is_some_and(|before| before != hits) {
                row.kernel_hits = Some(hits);
                recorder.fault(row.clone())?;
            }
        }
        self.totals.hits = counters.hits.values().sum();
        self.totals.lost = counters.events_lost;
        self.totals.lease_expired = counters.lease_expired;
        self.totals.parse_errors = counters.parse_errors;
        Ok(self.totals.clone())
    }

    fn step(&mut self, now_ns: u64, began_ns: u64, recorder: &Recorder) -> Result<(), RunError> {
        while let Some(step) = self.schedule.steps.get(self.step_next).copied() {
            if began_ns + step.at_ns > now_ns {
                break;
            }
            self.step_next += 1;
            match step.action {
                Action::Start => self.start(step.fault, now_ns, recorder)?,
                Action::Stop => self.stop(step.fault, recorder)?,
            }
        }
        if !self.waiting.is_empty() && now_ns >= self.retry_ns {
            let waiting: Vec<FaultId> = self.waiting.keys().copied().collect();
            for fault in waiting {
                self.start(fault, now_ns, recorder)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, fault: FaultId, now_ns: u64, recorder: &Recorder) -> Result<(), RunError> {
        let Some(occurrence) = self.schedule.occurrence(fault).cloned() else { return Ok(()) };
        let since_ns = *self.waiting.entry(fault).or_insert(now_ns);
        let situation = Situation {
            nodes: self.nodes.names(),
            primaries: self.primaries.clone(),
            down: self.nodes.down(),
            paused: self.nodes.paused(),
        };
        match resolve(&occurrence, &situation, self.schedule.seed) {
            Ok(resolved) => {
                self.waiting.remove(&fault);
                self.apply(&occurrence, resolved, recorder)
            }
            Err(ResolveError::NoPrimary) if now_ns < since_ns + RESOLVE_PATIENCE_NS => {
                self.retry_ns = now_ns + RESOLVE_RETRY_NS;
                Ok(())
            }
            Err(error) => {
                self.waiting.remove(&fault);
                record_failure(&occurrence, error.to_string(), recorder)
            }
        }
    }

    fn apply(&mut self, occurrence: &Occurrence, resolved: ResolvedFault, recorder: &Recorder) -> Result<(), RunError> {
        let fault = occurrence.id;
        let mut row = fault_row(occurrence);
        row.description.clone_from(&resolved.description);
        row.nodes.clone_from(&resolved.nodes);
        let (kind, nodes) = (resolved.kind.clone(), resolved.nodes.clone());
        self.active.insert(fault, ActiveFault { resolved, row: row.clone() });
        let applied = match kind {
            ResolvedKind::Packets(_) => self.publish(Some((fault, &mut row))),
            ResolvedKind::Kill(_) => self.nodes.kill(&nodes, recorder).map_err(|error| error.to_string()),
            ResolvedKind::Pause(_) => self.nodes.pause(&nodes, recorder).map_err(|error| error.to_string()),
        };
        if let Err(text) = applied {
            self.active.remove(&fault);
            return record_failure(occurrence, text, recorder);
        }
        row.start_ns = monotonic_ns();
        recorder.fault(row.clone())?;
        if let Some(active) = self.active.get_mut(&fault) {
            active.row = row;
        }
        self.describe();
        Ok(())
    }

    /// Compiles what is in force and gives it to the kernel.
    fn publish(&mut self, starting: Option<(FaultId, &mut FaultRow)>) -> Result<(), String> {
        let active: Vec<(FaultId, &ResolvedFault)> =
            self.active.iter().map(|(fault, active)| (*fault, &active.resolved)).collect();
        let table = compile(&active, &self.hosts, self.schedule.seed).map_err(|error| error.to_string())?;
        if let Some((fault, row)) = starting {
            row.rules = table.count_of(fault) as i64;
        }
        self.rule_faults.extend(table.rules.iter().map(|rule| (rule.rule_id, i64::from(rule.fault_id))));
        self.injector.publish(&table.rules).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn stop(&mut self, fault: FaultId, recorder: &Recorder) -> Result<(), RunError> {
        if self.waiting.remove(&fault).is_some() {
            if let Some(occurrence) = self.schedule.occurrence(fault).cloned() {
                return record_failure(&occurrence, ResolveError::NoPrimary.to_string(), recorder);
            }
            return Ok(());
        }
        self.lift(fault, recorder)
    }

    fn lift(&mut self, fault: FaultId, recorder: &Recorder) -> Result<(), RunError> {
        let Some(ActiveFault { resolved, mut row }) = self.active.remove(&fault) else { return Ok(()) };
        match resolved.kind {
            ResolvedKind::Packets(_) => {
                if let Err(text) = self.publish(None) {
                    // Better no fault at all than one that nobody asked for any more.
                    self.injector.clear()?;
                    row.error_text = Some(format!("lifted together with all others: {text}"));
                }
                row.stop_ns = Some(monotonic_ns());
                row.kernel_hits = Some(hits_of_fault(&self.rule_faults, &self.injector.counters(), row.fault_id));
            }
            ResolvedKind::Kill(nodes) => {
                self.nodes.restart(&nodes, recorder)?;
                row.stop_ns = Some(monotonic_ns());
            }
            ResolvedKind::Pause(nodes) => {
                self.nodes.resume(&nodes, recorder)?;
                row.stop_ns = Some(monotonic_ns());
            }
        }
        recorder.fault(row.clone())?;
        self.lifted.push(row);
        self.describe();
        Ok(())
    }

    fn describe(&mut self) {
        let words: Vec<&str> = self.active.values().map(|active| active.row.description.as_str()).collect();
        self.in_force = words.join(" + ");
    }

    fn row_of(&self, injection: &Injection) -> InjectionRow {
        let event = &injection.event;
        InjectionRow {
            t_ns: event.t_ns as i64,
            host: injection.host.clone(),
            cpu: i64::from(event.cpu),
            event_seq: event.event_seq as i64,
            fault_id: i64::from(event.fault_id),
            rule_id: i64::from(event.rule_id),
            revision: i64::from(event.revision),
            action: Cow::Borrowed("drop"),
            src_addr: injection.src_addr(),
            dst_addr: injection.dst_addr(),
            src_port: event.src_port,
            dst_port: event.dst_port,
            src_host: self.names.get(&injection.src_addr()).cloned(),
            dst_host: self.names.get(&injection.dst_addr()).cloned(),
            protocol: event.protocol,
            tcp_flags: event.tcp_flags,
            tcp_seq: event.tcp_seq,
            length: event.length,
            direction: match event.direction {
                1 => Direction::Request,
                2 => Direction::Reply,
                _ => Direction::Unknown,
            },
            conn_ordinal: i64::from(event.conn_ordinal),
            packet_index: event.packet_index as i64,
        }
    }
}

impl Nemesis for Faults {
    fn act(&mut self, now_ns: u64, recorder: &Recorder) -> Result<(), RunError> {
        if now_ns >= self.watch_ns {
            self.nodes.watch(recorder)?;
            self.watch_ns = now_ns + WATCH_NS;
        }
        match self.began_ns {
            Some(began_ns) => self.step(now_ns, began_ns, recorder),
            None => Ok(()),
        }
    }

    fn next_ns(&self) -> Option<u64> {
        let began_ns = self.began_ns?;
        let step = self.schedule.steps.get(self.step_next).map(|step| began_ns + step.at_ns);
        let retry = (!self.waiting.is_empty()).then_some(self.retry_ns);
        step.into_iter().chain(retry).chain([self.watch_ns]).min()
    }

    fn in_force(&self) -> String {
        self.in_force.clone()
    }

    fn injections(&mut self, injections: &[Injection], recorder: &Recorder) -> Result<(), RunError> {
        for injection in injections {
            recorder.injection(self.row_of(injection))?;
        }
        self.totals.recorded += injections.len() as u64;
        Ok(())
    }

    fn primaries(&mut self, primaries: Vec<String>, recorder: &Recorder) -> Result<(), RunError> {
        if primaries != self.primaries {
            if let Some(first) = primaries.first().filter(|first| Some(*first) != self.primaries.first()) {
                self.nodes.note_primary(first, &primaries, recorder)?;
            }
            // An empty answer means that nobody answered in time: the last known leader is still the best guess.
            if !primaries.is_empty() {
                self.primaries = primaries;
            }
        }
        Ok(())
    }

    fn reader_failed(&mut self, text: String) {
        self.totals.reader_error = Some(text);
    }
}

/// The kernel's own count of packets that a fault hit.
fn hits_of_fault(rule_faults: &BTreeMap<u32, i64>, counters: &Counters, fault_id: i64) -> i64 {
    let of_fault = counters.hits.iter().filter(|(rule, _)| rule_faults.get(rule) == Some(&fault_id));
    of_fault.map(|(_, hits)| *hits as i64).sum()
}

/// The word of `faults.kind`.
fn kind_of(spec: &FaultSpec) -> &'static str {
    match spec {
        FaultSpec::Partition(_) => "partition",
        FaultSpec::Drop(_) => "drop",
        FaultSpec::Kill(_) => "kill",
        FaultSpec::Pause(_) => "pause",
    }
}

fn fault_row(occurrence: &Occurrence) -> FaultRow {
    FaultRow {
        fault_id: i64::from(occurrence.id.0),
        phase: occurrence.name.clone(),
        kind: kind_of(&occurrence.spec).to_owned(),
        description: occurrence.name.clone(),
        nodes: Vec::new(),
        rules: 0,
        start_ns: monotonic_ns(),
        stop_ns: None,
        kernel_hits: None,
        outcome: "applied".to_owned(),
        error_text: None,
    }
}

fn record_failure(occurrence: &Occurrence, text: String, recorder: &Recorder) -> Result<(), RunError> {
    let mut row = fault_row(occurrence);
    row.stop_ns = Some(row.start_ns);
    row.outcome = "failed".to_owned();
    row.error_text = Some(text);
    recorder.fault(row.clone())?;
    Ok(())
}
