//! What this machine can do for a lab, found out without leaving anything behind.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use crate::cgroup::{Cgroup, PauseMethod};
use crate::error::{LabError, Result};
use crate::iproute::Ip;
use crate::mounts::cgroup2_mount;
use crate::netns::on_scratch_thread;

/// An answer with three values: a probe that failed for a reason of its own has not shown that a feature is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It works: it was tried.
    Yes,
    /// It does not.
    No {
        /// What would have to be there.
        needs: String,
    },
    /// The probe itself went wrong.
    CouldNotTell {
        /// How.
        error: String,
    },
}

/// One thing a lab needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was tried.
    pub what: &'static str,
    /// What it is good for.
    pub needed_for: &'static str,
    /// Whether it is there.
    pub support: Support,
}

/// Tries everything a lab needs. Needs no root, but says that the lab does.
pub fn probe() -> Vec<Probe> {
    let ip = Ip::find();
    let link = |kind: &str, config: &str| match &ip {
        Ok(ip) => probe_link(ip, kind, config),
        Err(error) => Support::CouldNotTell { error: error.to_string() },
    };
    let row = |what, needed_for, support| Probe { what, needed_for, support };
    vec![
        row("root", "everything in a lab", probe_root()),
        row("iproute2", "links and addresses", missing_or_yes(ip.as_ref().err())),
        row("network namespaces", "hosts", probe_netns()),
        row("veth", "links of hosts", link("veth", "CONFIG_VETH")),
        row("bridge", "the switch between hosts", link("bridge", "CONFIG_BRIDGE")),
        row("IPv6", "IPv6 addresses of hosts", probe_ipv6()),
        row("gso_max_segs", "packets no larger than the MTU", probe_gso(&ip)),
        row("mount and UTS namespaces", "names of hosts", probe_names()),
        row("cgroup v2", "killing, pausing and matching processes", probe_cgroup()),
        row(
            "cgroup.freeze",
            "pausing a process tree at once (else SIGSTOP)",
            probe_cgroup_file("cgroup.freeze", "5.2"),
        ),
        row(
            "cgroup.kill",
            "killing a process tree at once (else one by one)",
            probe_cgroup_file("cgroup.kill", "5.14"),
        ),
    ]
}

fn missing_or_yes(error: Option<&LabError>) -> Support {
    match error {
        None => Support::Yes,
        Some(LabError::MissingProgram { .. }) => Support::No { needs: "the package iproute2".to_owned() },
        Some(other) => Support::CouldNotTell { error: other.to_string() },
    }
}

fn probe_root() -> Support {
    if nix::unistd::geteuid().is_root() {
        Support::Yes
    } else {
        Support::No { needs: "to be started as root".to_owned() }
    }
}

/// The answer that a refused `unshare` stands for.
fn refused(errno: Errno, config: &str) -> Support {
    match errno {
        Errno::EPERM => Support::No { needs: "root (CAP_SYS_ADMIN)".to_owned() },
        Errno::EINVAL => Support::No { needs: format!("a kernel with {config}") },
        other => Support::CouldNotTell { error: other.to_string() },
    }
}

/// Runs `work` in fresh namespaces, which end with it.
fn in_fresh(flags: CloneFlags, config: &str, work: impl FnOnce() -> Support + Send) -> Support {
    let tried = on_scratch_thread(Path::new("a fresh namespace"), || {
        Ok(match unshare(flags) {
            Ok(()) => work(),
            Err(errno) => refused(errno, config),
        })
    });
    tried.unwrap_or_else(|error| Support::CouldNotTell { error: error.to_string() })
}

fn probe_netns() -> Support {
    in_fresh(CloneFlags::CLONE_NEWNET, "CONFIG_NET_NS", || Support::Yes)
}

fn probe_names() -> Support {
    in_fresh(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS, "CONFIG_UTS_NS", || Support::Yes)
}

fn probe_link(ip: &Ip, kind: &str, config: &str) -> Support {
    in_fresh(CloneFlags::CLONE_NEWNET, "CONFIG_NET_NS", || {
        link_support(ip.run(&["link", "add", "p0", "type", kind]), config)
    })
}

/// Judges the answer of `ip link add`.
fn link_support(answer: Result<()>, config: &str) -> Support {
    match answer {
        Ok(()) => Support::Yes,
        Err(LabError::Command { stderr, .. })
            if ["Unknown device type", "not supported"].iter().any(|text| stderr.contains(text)) =>
        {
            Support::No { needs: format!("a kernel with {config}") }
        }
        Err(error) => Support::CouldNotTell { error: error.to_string() },
    }
}

fn probe_ipv6() -> Support {
    if Path::new("/proc/sys/net/ipv6").exists() {
        Support::Yes
    } else {
        Support::No { needs: "a kernel with CONFIG_IPV6 (and not started with ipv6.disable=1)".to_owned() }
    }
}

fn probe_gso(ip: &Result<Ip>) -> Support {
    let Ok(ip) = ip else { return Support::CouldNotTell { error: "the program ip is missing".to_owned() } };
    in_fresh(CloneFlags::CLONE_NEWNET, "CONFIG_NET_NS", || {
        if let Err(error) = ip.run(&["link", "add", "p0", "type", "veth"]) {
            return Support::CouldNotTell { error: error.to_string() };
        }
        match ip.run(&["link", "set", "dev", "p0", "gso_max_segs", "1"]) {
            Ok(()) => Support::Yes,
            Err(LabError::Command { stderr, .. }) => {
                Support::No { needs: format!("a newer kernel or iproute2 ({stderr})") }
            }
            Err(error) => Support::CouldNotTell { error: error.to_string() },
        }
    })
}

fn probe_cgroup() -> Support {
    with_cgroup(|_| Support::Yes)
}

fn probe_cgroup_file(file: &'static str, since: &str) -> Support {
    with_cgroup(|cgroup| {
        let there = match file {
            "cgroup.freeze" => cgroup.pause_method() == PauseMethod::CgroupFreeze,
            _ => cgroup.dir().join(file).exists(),
        };
        if there { Support::Yes } else { Support::No { needs: format!("kernel {since} or newer") } }
    })
}

/// Runs `work` with an empty cgroup, which is removed again.
fn with_cgroup(work: impl FnOnce(&Cgroup) -> Support) -> Support {
    let mount = match cgroup2_mount() {
        Ok(mount) => mount,
        Err(LabError::NoCgroup2) => return Support::No { needs: "cgroup v2, mounted anywhere".to_owned() },
        Err(error) => return Support::CouldNotTell { error: error.to_string() },
    };
    let dir = mount.join(format!("fissure-probe-{}", std::process::id()));
    match fs::create_dir(&dir) {
        Ok(()) => (),
        Err(e)
            if matches!(e.raw_os_error().map(Errno::from_raw), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS)) =>
        {
            return Support::No { needs: format!("the right to create cgroups in {}", mount.display()) };
        }
        Err(e) => return Support::CouldNotTell { error: e.to_string() },
    }
    let support = work(&Cgroup::at(&dir));
    match fs::remove_dir(&dir) {
        Ok(()) => support,
        Err(e) => Support::CouldNotTell { error: format!("cgroup {} cannot be removed: {e}", dir.display()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stderr: &str) -> Result<()> {
        Err(LabError::Command { command: "ip".into(), status: "2".into(), stderr: stderr.into() })
    }

    #[test]
    fn answers_of_ip_link_add() {
        assert_eq!(link_support(Ok(()), "X"), Support::Yes);
        let no = Support::No { needs: "a kernel with CONFIG_VETH".to_owned() };
        assert_eq!(link_support(failed("Error: Unknown device type."), "CONFIG_VETH"), no);
        assert_eq!(link_support(failed("RTNETLINK answers: Operation not supported"), "CONFIG_VETH"), no);
        assert!(matches!(link_support(failed("out of memory"), "X"), Support::CouldNotTell { .. }));
    }

    #[test]
    fn answers_of_unshare() {
        assert!(matches!(refused(Errno::EPERM, "X"), Support::No { .. }));
        assert!(matches!(refused(Errno::EINVAL, "X"), Support::No { .. }));
        assert!(matches!(refused(Errno::ENOSPC, "X"), Support::CouldNotTell { .. }));
    }

    #[test]
    fn every_need_is_named_once() {
        let whats: Vec<_> = probe().into_iter().map(|probe| probe.what).collect();
        let mut distinct = whats.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), whats.len());
        assert!(whats.contains(&"cgroup v2"));
    }
}
