//! A checked plan: what will be started, asked, broken and expected. Built by [`crate::parse`]; every value is in range.

use crate::{quantity::Rate, target::TargetKind};
use serde::Serialize;

/// Name of the host on which the clients run; may stand where a fault asks for `from` or `to`.
pub const CLIENTS_HOST: &str = "clients";

/// A scenario with all defaults filled in and all references resolved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Name of the scenario; the run's folder is named after it.
    pub name: String,
    /// Seed, if the scenario fixes it.
    pub seed: Option<u64>,
    /// The system under test.
    pub cluster: ClusterPlan,
    /// Workloads that run side by side, each with processes of its own. Names are unique; never empty.
    pub workloads: Vec<WorkloadPlan>,
    /// The run, phase by phase.
    pub phases: Phases,
    /// Planned faults, in the order of the scenario.
    pub faults: Vec<FaultPlan>,
    /// A random mix of faults beside them.
    pub nemesis: Option<NemesisPlan>,
}

/// The system under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterPlan {
    /// Which system.
    pub target: TargetKind,
    /// Names of the nodes, in order; unique, never empty.
    pub nodes: Vec<String>,
    /// Bug to switch on, one of [`TargetKind::bugs`]; `None`: healthy.
    pub bug: Option<String>,
    /// How clients read.
    pub reads: Reads,
}

/// How clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Through consensus: never an old value.
    Linearizable,
    /// From the node's own copy, which may be old.
    Serializable,
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadPlan {
    /// Its name, unique in the plan; its kind unless given.
    pub name: String,
    /// Operations of all its processes together; `None`: as fast as they are answered.
    pub rate: Option<Rate>,
    /// Worker slots, at least 1.
    pub concurrency: usize,
    /// After this long without an answer an operation is `info`, ns.
    pub timeout_ns: u64,
    /// Consistency model that its history is judged by, such as `linearizable`.
    pub model: String,
    /// What it does.
    pub kind: WorkloadKind,
}

/// What a workload does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Read, write and compare-and-set single registers.
    Register(RegisterPlan),
    /// Transactions that append to lists and read them.
    ListAppend(ListAppendPlan),
    /// Transactions that write registers and read them.
    RwRegister(RwRegisterPlan),
}

impl WorkloadKind {
    /// Its name in scenarios.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            WorkloadKind::Register(_) => "register",
            WorkloadKind::ListAppend(_) => "list-append",
            WorkloadKind::RwRegister(_) => "rw-register",
        }
    }

    /// Consistency models that its history can be judged by; the first is the one unless another is asked for.
    #[must_use]
    pub fn models(&self) -> &'static [&'static str] {
        match self {
            WorkloadKind::Register(_) => &["linearizable"],
            WorkloadKind::ListAppend(_) | WorkloadKind::RwRegister(_) => &[
                "strict-serializable",
                "strong-session-serializable",
                "serializable",
                "snapshot-isolation",
                "repeatable-read",
                "read-committed",
                "read-uncommitted",
            ],
        }
    }
}

/// Options of `register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisterPlan {
    /// Keys in use at a time.
    pub keys: u64,
    /// Operations after which a key is retired and a new one taken.
    pub ops_per_key: u64,
    /// What is written.
    pub values: Values,
    /// Weights of reads, writes and compare-and-sets; not all 0.
    pub mix: Mix,
}

/// What a register workload writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// Every write of a key has a value of its own.
    Unique,
    /// Values `0..n`, again and again.
    Small(u64),
}

/// Weights of the operations of a register workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// Of reads.
    pub read: u32,
    /// Of writes.
    pub write: u32,
    /// Of compare-and-sets.
    pub cas: u32,
}

/// Options of `list-append`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListAppendPlan {
    /// Keys in use at a time.
    pub keys: u64,
    /// Appends after which a key is retired and a new one taken.
    pub max_writes_per_key: u64,
    /// Fewest micro-operations of a transaction.
    pub txn_length_min: usize,
    /// Most micro-operations of a transaction.
    pub txn_length_max: usize,
    /// How often each of the keys is chosen.
    pub key_distribution: KeyDistribution,
}

/// Options of `rw-register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RwRegisterPlan {
    /// Keys in use at a time.
    pub keys: u64,
    /// Writes after which a key is retired and a new one taken.
    pub max_writes_per_key: u64,
    /// Fewest micro-operations of a transaction.
    pub txn_length_min: usize,
    /// Most micro-operations of a transaction.
    pub txn_length_max: usize,
    /// How often each of the keys is chosen.
    pub key_distribution: KeyDistribution,
    /// The judge may rely on: who reads one version of a key and writes another makes it from the first.
    pub wfr_keys: bool,
    /// The judge may rely on: each key by itself is sequentially consistent.
    pub sequential_keys: bool,
    /// The judge may rely on: each key by itself is linearizable.
    pub linearizable_keys: bool,
}

/// How often each of the keys in use is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyDistribution {
    /// Each key twice as often as the one before it: some keys are hot.
    Exponential,
    /// All alike.
    Uniform,
}

/// The run, phase by phase, in ns. Faults happen in the faults phase only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// The workload alone, before anything is broken.
    pub warm_up_ns: u64,
    /// The workload under faults.
    pub faults_ns: u64,
    /// All faults lifted, the workload goes on.
    pub heal_ns: u64,
    /// At most so long for the reads that look at everything once more.
    pub final_reads_ns: u64,
}

impl Phases {
    /// Length of the run, at most, ns.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.warm_up_ns.saturating_add(self.faults_ns).saturating_add(self.heal_ns).saturating_add(self.final_reads_ns)
    }
}

/// One planned fault. Times count from the start of the faults phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultPlan {
    /// Its name in the scenario.
    pub name: String,
    /// When it first starts, ns.
    pub at_ns: u64,
    /// How long it stays each time, ns, above 0.
    pub for_ns: u64,
    /// Whether it comes again.
    pub repeat: Option<Repeat>,
    /// What it does.
    pub spec: FaultSpec,
}

/// How a fault comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Repeat {
    /// From start to start, ns; at least as long as the fault.
    pub every_ns: u64,
    /// How often in all; `None`: until the faults phase ends.
    pub times: Option<u64>,
}

/// A random mix of faults, drawn from the seed, one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NemesisPlan {
    /// Kinds to draw from; unique, never empty.
    pub kinds: Vec<NemesisKind>,
    /// Mean time from the end of one fault to the start of the next, ns; each is between half and one and a half of it.
    pub interval_ns: u64,
    /// How long each stays, ns.
    pub for_ns: u64,
}

/// Kinds of faults that a nemesis draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NemesisKind {
    /// Partitions of every form that the cluster is large enough for.
    Partition,
    /// Lossy links around one node.
    Drop,
    /// Kill and restart.
    Kill,
    /// Stop and continue.
    Pause,
}

impl NemesisKind {
    /// All of them.
    pub const ALL: [NemesisKind; 4] =
        [NemesisKind::Partition, NemesisKind::Drop, NemesisKind::Kill, NemesisKind::Pause];

    /// Its name in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NemesisKind::Partition => "partition",
            NemesisKind::Drop => "drop",
            NemesisKind::Kill => "kill",
            NemesisKind::Pause => "pause",
        }
    }
}

/// What a fault does, with nodes as the scenario names them: resolved only when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultSpec {
    /// Cut links between nodes, silently.
    Partition(PartitionSpec),
    /// Drop chosen packets, silently.
    Drop(DropSpec),
    /// Kill processes; they are started again when the fault ends.
    Kill(Selector),
    /// Stop processes; they continue when the fault ends.
    Pause(Selector),
}

/// Which links a partition cuts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionSpec {
    /// The first half of the nodes, as they are listed, from the second.
    Halves,
    /// A random half from the other.
    RandomHalves,
    /// The chosen nodes, together, from all others.
    Isolate(Selector),
    /// Every node sees a majority, and no two see the same: nodes in a random ring talk only to the nearest.
    MajoritiesRing,
    /// Two halves that see each other only through one node between them.
    Bridge,
    /// Packets from some hosts to others; the way back stays open.
    OneWay {
        /// Sources.
        from: Selector,
        /// Destinations.
        to: Selector,
    },
}

/// Which packets are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DropSpec {
    /// Sources.
    pub from: Selector,
    /// Destinations.
    pub to: Selector,
    /// Also the way back.
    pub both: bool,
    /// Which of the packets between them.
    pub filter: PacketFilter,
}

/// Which packets between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PacketFilter {
    /// Port of the service, at either end of the packet; `None`: all.
    pub port: Option<PortSpec>,
    /// Protocol.
    pub protocol: Protocol,
    /// Direction within the connection.
    pub direction: Direction,
    /// How many of them, in parts per million.
    pub probability_ppm: u32,
}

impl PacketFilter {
    /// Every packet.
    pub const ALL: PacketFilter =
        PacketFilter { port: None, protocol: Protocol::Any, direction: Direction::Any, probability_ppm: 1_000_000 };
}

/// A port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortSpec {
    /// The one on which the target serves clients.
    Client,
    /// The one on which the target's nodes talk to each other.
    Peer,
    /// This one.
    Number(u16),
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// All.
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A direction within a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both.
    Any,
    /// From the end that opened it.
    Request,
    /// Towards the end that opened it.
    Reply,
}

/// Which hosts. All but the names are decided when the fault starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// One node, drawn from the seed.
    One,
    /// As many nodes, drawn from the seed, as can fail without the majority.
    Minority,
    /// Half of the nodes and one more, drawn from the seed.
    Majority,
    /// All nodes.
    All,
    /// The node that leads, by its newest claim.
    Leader,
    /// All nodes that believe they lead.
    Primaries,
    /// The hosts with these names: nodes, or [`CLIENTS_HOST`].
    Names(Vec<String>),
}

impl Selector {
    /// The words of selectors, as scenarios use them.
    pub(crate) const WORDS: [(&'static str, Selector); 6] = [
        ("one", Selector::One),
        ("minority", Selector::Minority),
        ("majority", Selector::Majority),
        ("all", Selector::All),
        ("leader", Selector::Leader),
        ("primaries", Selector::Primaries),
    ];
}
