//! The programs in the kernel, from load to goodbye.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{MapError, RingBuf},
    programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions},
};
use aya_log::EbpfLogger;
use fissure_abi::{Action, Counter, HOSTS_MAX, Rule, control::CONTROL_TRACK};

use crate::{
    Attached, EventReader, InjectError, Lease, Mechanism, Published, VerifierRefusal,
    attach::{self, Attachment},
    events::HostNames,
    shared::Shared,
    table::Tables,
};

/// What can be chosen at [`Injector::load_with`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the ring buffer, in bytes: a power of two, at least a page. `None`: 8 MiB.
    pub ring_bytes: Option<u32>,
    /// How to attach. `None`: tcx where the kernel has it.
    pub mechanism: Option<Mechanism>,
    /// Count connections and packets also while the table is empty, so that connections opened before the first fault
    /// have their names when it comes. Costs each packet one look-up.
    pub track: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { ring_bytes: None, mechanism: None, track: true }
    }
}

/// What the kernel has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Hits of each rule ever published, by `rule_id`.
    pub hits: BTreeMap<u32, u64>,
    /// Hits that were not made because the ring had no room for their record.
    pub events_lost: u64,
    /// Frames that said they were IP and were not, or were cut short: passed.
    pub parse_errors: u64,
    /// Packets some rule was about that passed because there was no live lease.
    pub lease_expired: u64,
    /// Decisions begun again because the table had been overwritten meanwhile.
    pub stale_retries: u64,
    /// Packets that passed because that happened several times over.
    pub stale_passed: u64,
    /// Packets that passed because their flow could not be remembered.
    pub flows_lost: u64,
    /// Connections without an ordinal because their ends could not be remembered.
    pub ordinals_lost: u64,
    /// Flows compared with the whole table.
    pub classified: u64,
}

/// Outcome of [`Injector::test_run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What was done with the packet.
    pub action: Action,
    /// Mean time of one run.
    pub took: Duration,
}

/// The programs, loaded. Dropping it detaches them and gives up everything.
pub struct Injector {
    // Dropped in this order: first the programs leave the interfaces.
    attachments: Vec<Attachment>,
    shared: Arc<Shared>,
    tables: Tables,
    names: HostNames,
    events: Option<EventReader>,
    mechanism: Option<Mechanism>,
    ebpf: Ebpf,
}

impl std::fmt::Debug for Injector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Injector")
            .field("hosts", &self.attachments.iter().map(|a| &*a.host).collect::<Vec<_>>())
            .field("revision", &self.tables.revision())
            .finish_non_exhaustive()
    }
}

impl Injector {
    /// Loads the embedded programs.
    ///
    /// # Errors
    ///
    /// [`InjectError::NotBuilt`], [`InjectError::NotRoot`], or what the kernel said.
    pub fn load() -> Result<Self, InjectError> {
        Self::load_with(&Options::default())
    }

    /// Loads the embedded programs, with choices.
    ///
    /// # Errors
    ///
    /// As for [`Injector::load`].
    pub fn load_with(options: &Options) -> Result<Self, InjectError> {
        Self::load_object(fissure_object::OBJECT.ok_or(InjectError::NotBuilt)?, options)
    }

    /// Loads programs from an object that is not the embedded one; for measurements.
    #[doc(hidden)]
    pub fn load_object(object: &[u8], options: &Options) -> Result<Self, InjectError> {
        let mut loader = EbpfLoader::new();
        if let Some(bytes) = options.ring_bytes {
            loader.map_max_entries("EVENTS", bytes);
        }
        let mut ebpf = loader.load(object).map_err(load_error)?;
        let shared = Arc::new(Shared::take(&mut ebpf)?);
        shared.set_flags(if options.track { CONTROL_TRACK } else { 0 });
        let ring = ebpf
            .take_map("EVENTS")
            .ok_or_else(|| InjectError::Mismatch { kind: "map", name: "EVENTS".into() })
            .and_then(|map| {
                RingBuf::try_from(map).map_err(|source| InjectError::Map { name: "EVENTS", source: Box::new(source) })
            })?;
        let logger = match EbpfLogger::init(&mut ebpf) {
            Ok(logger) => Some(logger),
            Err(error) => {
                // Diagnostics only: what counts is counted.
                log::warn!("no diagnostics from the eBPF programs: {error}");
                None
            }
        };
        let names: HostNames = Arc::new(RwLock::new(Vec::new()));
        let events = Some(EventReader::new(ring, logger, Arc::clone(&names)));
        let (attachments, tables) = (Vec::new(), Tables::default());
        Ok(Self { attachments, shared, tables, names, events, mechanism: options.mechanism, ebpf })
    }

    /// Attaches to the ingress of an interface: the packets that arrive at `host` there. `netns` is the file of a network
    /// namespace (`/run/netns/<name>`, `/proc/<pid>/ns/net`); `None` is this process's own.
    ///
    /// # Errors
    ///
    /// When the namespace or the interface cannot be found, the host is attached already, or the kernel says no.
    pub fn attach(&mut self, host: &str, netns: Option<&Path>, ifname: &str) -> Result<Attached, InjectError> {
        if self.attachments.iter().any(|attachment| &*attachment.host == host) {
            return Err(InjectError::AlreadyAttached { host: host.into() });
        }
        let mechanism = *self.mechanism.get_or_insert_with(attach::mechanism);
        let (number, name) = self.number_of(host)?;
        let program = self.program(number)?;
        let attachment = Attachment::make(program, number, name, netns, ifname, mechanism)?;
        let attached = attachment.attached;
        self.attachments.push(attachment);
        Ok(attached)
    }

    /// Detaches a host.
    ///
    /// # Errors
    ///
    /// [`InjectError::NotAttached`].
    pub fn detach(&mut self, host: &str) -> Result<(), InjectError> {
        match self.attachments.iter().position(|attachment| &*attachment.host == host) {
            Some(index) => {
                drop(self.attachments.swap_remove(index));
                Ok(())
            }
            None => Err(InjectError::NotAttached { host: host.into() }),
        }
    }

    /// Puts a table in force, whole and at once, while packets flow. `Rule::revision` is filled in; it is the
    /// `revision` of the events the table causes. Needs a [`Lease`] to do anything.
    ///
    /// # Errors
    ///
    /// [`InjectError::TooManyRules`].
    pub fn publish(&mut self, rules: &[Rule]) -> Result<Published, InjectError> {
        self.tables.publish(&self.shared, rules)
    }

    /// Puts the empty table in force: every packet passes.
    ///
    /// # Errors
    ///
    /// None today; it is a publication like another.
    pub fn clear(&mut self) -> Result<Published, InjectError> {
        self.publish(&[])
    }

    /// Lets the programs act, while the lease is held.
    ///
    /// # Errors
    ///
    /// [`InjectError::System`] if the thread that renews it cannot be started.
    pub fn lease(&self) -> Result<Lease, InjectError> {
        Lease::hold(Arc::clone(&self.shared))
    }

    /// The reader of events. There is one.
    ///
    /// # Errors
    ///
    /// [`InjectError::EventsTaken`] the second time.
    pub fn events(&mut self) -> Result<EventReader, InjectError> {
        self.events.take().ok_or(InjectError::EventsTaken)
    }

    /// What the kernel has counted since the programs were loaded.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let count = |counter| self.shared.counter(counter);
        Counters {
            hits: self.tables.hits(&self.shared),
            events_lost: count(Counter::EventsLost),
            parse_errors: count(Counter::ParseErrors),
            lease_expired: count(Counter::LeaseExpired),
            stale_retries: count(Counter::StaleRetries),
            stale_passed: count(Counter::StalePassed),
            flows_lost: count(Counter::FlowsLost),
            ordinals_lost: count(Counter::OrdinalsLost),
            classified: count(Counter::Classified),
        }
    }

    /// Revision of the table in force; 0: none was published.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.tables.revision()
    }

    /// Shows a frame to the program of an attachment number `repeat` times, without a network (BPF_PROG_TEST_RUN).
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn test_run(&mut self, host: u32, frame: &[u8], repeat: u32) -> Result<TestRun, InjectError> {
        const TC_ACT_SHOT: u32 = 2;
        let program = self.program(host)?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(|source| InjectError::Program {
            what: "test",
            program: program_name(host),
            source: Box::new(source),
        })?;
        let action = if result.return_value == TC_ACT_SHOT { Action::Drop } else { Action::Pass };
        Ok(TestRun { action, took: result.duration })
    }

    /// Shows a program to the verifier.
    pub(crate) fn load_program(&mut self) -> Result<(), InjectError> {
        self.program(0).map(drop)
    }

    /// The number of a host: the one it had, or a new one.
    fn number_of(&mut self, host: &str) -> Result<(u32, Arc<str>), InjectError> {
        let mut names = match self.names.write() {
            Ok(names) => names,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some(number) = names.iter().position(|name| &**name == host) {
            return Ok((number as u32, Arc::clone(&names[number])));
        }
        let number = names.len() as u32;
        if number >= HOSTS_MAX {
            return Err(InjectError::TooManyHosts { host: host.into(), max: HOSTS_MAX });
        }
        let name: Arc<str> = Arc::from(host);
        names.push(Arc::clone(&name));
        Ok((number, name))
    }

    /// The copy of the program with this number, loaded.
    fn program(&mut self, number: u32) -> Result<&mut SchedClassifier, InjectError> {
        let name = program_name(number);
        let mismatch = || InjectError::Mismatch { kind: "program", name: name.clone() };
        let program = self.ebpf.program_mut(&name).ok_or_else(mismatch)?;
        let program: &mut SchedClassifier = program.try_into().map_err(|_| mismatch())?;
        if program.fd().is_err() {
            program.load().map_err(|error| program_error(&name, error))?;
        }
        Ok(program)
    }
}

fn program_name(number: u32) -> String {
    format!("fissure_in_{number:02}")
}

fn is_permission(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

fn load_error(error: EbpfError) -> InjectError {
    if let EbpfError::MapError(MapError::CreateError { io_error, .. }) = &error
        && is_permission(io_error)
    {
        return InjectError::NotRoot { what: "to make an eBPF map" };
    }
    InjectError::Load { source: Box::new(error) }
}

fn program_error(name: &str, error: ProgramError) -> InjectError {
    match error {
        ProgramError::LoadError { io_error, verifier_log } if verifier_log.to_string().is_empty() => {
            if is_permission(&io_error) {
                return InjectError::NotRoot { what: "to load an eBPF program" };
            }
            let source = Box::new(ProgramError::LoadError { io_error, verifier_log });
            InjectError::Program { what: "load", program: name.into(), source }
        }
        ProgramError::LoadError { io_error, verifier_log } => InjectError::Verifier(Box::new(VerifierRefusal {
            program: name.into(),
            error: io_error,
            log: verifier_log.to_string(),
        })),
        other => InjectError::Program { what: "load", program: name.into(), source: Box::new(other) },
    }
}
