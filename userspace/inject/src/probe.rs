//! What this kernel can do: each feature is tried, not looked up.
//!
//! Three answers, because "the probe failed" is not "the kernel cannot". Only the other two are remembered.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
};

use aya::{
    maps::{Array, MapData, MapError, MapType},
    programs::{ProgramType, tc::qdisc_add_clsact},
    sys::{BpfHelper, is_helper_supported, is_map_supported},
};
use fissure_abi::RULES_MAX;
use nix::sched::{CloneFlags, unshare};

use crate::{InjectError, Injector, sys};

/// Whether a feature is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It was tried and worked.
    Yes,
    /// It was tried and the kernel has not got it, or does not allow it.
    No {
        /// What it would take.
        needs: String,
    },
    /// The trial itself failed.
    CouldNotTell {
        /// How.
        error: String,
    },
}

/// Something Fissure uses the kernel for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Loading an eBPF program at all.
    Bpf,
    /// Maps of the size of the rule tables, shared through memory.
    SharedMaps,
    /// The ring buffer.
    RingBuffer,
    /// Loops over a whole rule table.
    BpfLoop,
    /// Atomic addition that returns a value.
    AtomicFetch,
    /// Network namespaces.
    NetNs,
    /// tc programs that end with their file descriptor.
    Tcx,
    /// tc programs as filters of the clsact qdisc.
    Clsact,
    /// Running a program on a made-up packet.
    TestRun,
    /// Fissure's own programs, through this kernel's verifier.
    Programs,
}

impl Feature {
    /// Every feature, in the order in which they build on each other.
    pub const ALL: [Feature; 10] = [
        Feature::Bpf,
        Feature::SharedMaps,
        Feature::RingBuffer,
        Feature::BpfLoop,
        Feature::AtomicFetch,
        Feature::NetNs,
        Feature::Tcx,
        Feature::Clsact,
        Feature::TestRun,
        Feature::Programs,
    ];

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::SharedMaps => "mappable arrays",
            Self::RingBuffer => "ring buffer",
            Self::BpfLoop => "bpf_loop",
            Self::AtomicFetch => "atomic fetch",
            Self::NetNs => "network namespaces",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::TestRun => "test run",
            Self::Programs => "fissure's programs",
        }
    }

    /// What it is needed for.
    #[must_use]
    pub const fn needed_for(self) -> &'static str {
        match self {
            Self::Bpf | Self::Programs => "every packet fault",
            Self::SharedMaps => "publishing rule tables while packets flow",
            Self::RingBuffer => "the record of every packet that was hit",
            Self::BpfLoop => "tables of thousands of rules",
            Self::AtomicFetch => "numbering packets, connections and events",
            Self::NetNs => "hosts on this machine",
            Self::Tcx => "packet faults that end with their process",
            Self::Clsact => "packet faults where there is no tcx",
            Self::TestRun => "tests and benchmarks of the programs",
        }
    }

    const fn needs(self) -> &'static str {
        match self {
            Self::Bpf => "CONFIG_BPF_SYSCALL",
            Self::SharedMaps => "Linux 5.5, and memory for 3 MB of maps (before 5.11: RLIMIT_MEMLOCK)",
            Self::RingBuffer => "Linux 5.8",
            Self::BpfLoop => "Linux 5.17",
            Self::AtomicFetch => "Linux 5.12",
            Self::NetNs => "CONFIG_NET_NS",
            Self::Tcx => "Linux 6.6 with CONFIG_NET_XGRESS",
            Self::Clsact => "CONFIG_NET_CLS_ACT, CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS",
            Self::TestRun => "Linux 4.12",
            Self::Programs => "a build with `cargo xtask build`",
        }
    }
}

/// Conclusive answers so far.
static KNOWN: Mutex<BTreeMap<Feature, Support>> = Mutex::new(BTreeMap::new());

/// Tries a feature, or remembers how that went.
#[must_use]
pub fn probe(feature: Feature) -> Support {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(support) = known().get(&feature) {
        return support.clone();
    }
    let support = answer(feature, try_out(feature));
    if !matches!(support, Support::CouldNotTell { .. }) {
        known().insert(feature, support.clone());
    }
    support
}

/// Tries everything: the feature, what it is needed for, and the answer.
#[must_use]
pub fn probe_all() -> Vec<(Feature, &'static str, Support)> {
    Feature::ALL.map(|feature| (feature, feature.needed_for(), probe(feature))).into()
}

/// How a trial can fail.
#[derive(Debug)]
enum Trial {
    /// The kernel said this.
    Refused(io::Error),
    /// The kernel, asked whether it has it, said no.
    Absent,
    /// It is not there, for a reason that can be said.
    Missing(String),
    /// The trial went wrong.
    Broken(String),
}

impl From<io::Error> for Trial {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

fn answer(feature: Feature, trial: Result<(), Trial>) -> Support {
    let no = |needs: &str| Support::No { needs: needs.into() };
    match trial {
        Ok(()) => Support::Yes,
        Err(Trial::Absent) => no(feature.needs()),
        Err(Trial::Missing(needs)) => no(&needs),
        Err(Trial::Broken(error)) => Support::CouldNotTell { error },
        Err(Trial::Refused(error)) => match error.raw_os_error() {
            Some(nix::libc::EPERM | nix::libc::EACCES) => no("root"),
            Some(
                nix::libc::EINVAL | nix::libc::ENOSYS | nix::libc::EOPNOTSUPP | nix::libc::ENOENT | nix::libc::E2BIG,
            ) => no(feature.needs()),
            _ => Support::CouldNotTell { error: error.to_string() },
        },
    }
}

fn try_out(feature: Feature) -> Result<(), Trial> {
    match feature {
        Feature::Bpf => Ok(sys::load_classifier(sys::RETURN_0).map(drop)?),
        Feature::SharedMaps => shared_maps(),
        Feature::RingBuffer => match is_map_supported(MapType::RingBuf) {
            Ok(true) => Ok(()),
            Ok(false) => Err(absent_or_not_allowed()),
            Err(error) => Err(Trial::Refused(error.io_error)),
        },
        Feature::BpfLoop => match is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_loop) {
            Ok(true) => Ok(()),
            Ok(false) => Err(absent_or_not_allowed()),
            Err(error) => Err(not_allowed().unwrap_or_else(|| Trial::Broken(error.to_string()))),
        },
        Feature::AtomicFetch => Ok(sys::load_classifier(sys::FETCH_ADD).map(drop)?),
        Feature::NetNs => in_scratch_netns(|| Ok(())),
        Feature::Tcx => in_scratch_netns(|| {
            let program = sys::load_classifier(sys::RETURN_0)?;
            Ok(sys::link_tcx(&program, LOOPBACK).map(drop)?)
        }),
        Feature::Clsact => in_scratch_netns(|| {
            qdisc_add_clsact("lo").map_err(|error| Trial::Missing(format!("{}: {error}", feature.needs())))
        }),
        Feature::TestRun => {
            let program = sys::load_classifier(sys::RETURN_0)?;
            Ok(sys::test_run(&program, &[0; 64], 1).map(drop)?)
        }
        Feature::Programs => programs(),
    }
}

/// Every new network namespace has it.
const LOOPBACK: u32 = 1;

/// "No" from a question that an unprivileged process may not ask is no answer.
fn not_allowed() -> Option<Trial> {
    match sys::load_classifier(sys::RETURN_0) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(Trial::Refused(error)),
        _ => None,
    }
}

fn absent_or_not_allowed() -> Trial {
    not_allowed().unwrap_or(Trial::Absent)
}

fn shared_maps() -> Result<(), Trial> {
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    match Array::<MapData, [u64; 9]>::create(2 * RULES_MAX, BPF_F_MMAPABLE) {
        Ok(_) => Ok(()),
        Err(MapError::CreateError { io_error, .. }) => {
            Err(not_allowed()
                .unwrap_or_else(|| Trial::Missing(format!("{} ({io_error})", Feature::SharedMaps.needs()))))
        }
        Err(error) => Err(Trial::Broken(error.to_string())),
    }
}

fn programs() -> Result<(), Trial> {
    let mut injector = match Injector::load() {
        Ok(injector) => injector,
        Err(InjectError::NotBuilt) => return Err(Trial::Absent),
        Err(InjectError::NotRoot { .. }) => return Err(Trial::Missing("root".into())),
        Err(error) => return Err(Trial::Broken(error.to_string())),
    };
    match injector.load_program() {
        Ok(()) => Ok(()),
        Err(InjectError::Verifier(refusal)) => Err(Trial::Missing(refusal.to_string())),
        Err(error) => Err(Trial::Broken(error.to_string())),
    }
}

/// Runs a trial in a network namespace nobody else sees, on a thread that ends with it.
fn in_scratch_netns(trial: impl FnOnce() -> Result<(), Trial> + Send) -> Result<(), Trial> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Trial::Refused(errno.into()))?;
            trial()
        });
        thread.join().unwrap_or_else(|_| Err(Trial::Broken("the probe panicked".into())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_another_kind_is_no_answer() {
        let failed = |code| answer(Feature::Tcx, Err(Trial::Refused(io::Error::from_raw_os_error(code))));
        assert_eq!(failed(nix::libc::EPERM), Support::No { needs: "root".into() });
        assert!(matches!(failed(nix::libc::EINVAL), Support::No { needs } if needs.contains("6.6")));
        assert!(matches!(failed(nix::libc::ENOMEM), Support::CouldNotTell { .. }));
    }

    #[test]
    fn every_feature_gives_one_of_the_answers_to_whoever_asks() {
        let answers = probe_all();
        assert_eq!(answers.len(), Feature::ALL.len());
        for (feature, needed_for, support) in answers {
            assert!(!needed_for.is_empty());
            if let Support::No { needs } = support {
                assert!(!needs.is_empty(), "{feature:?}");
            }
        }
    }
}
