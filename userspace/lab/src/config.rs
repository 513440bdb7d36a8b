//! What a caller asks for when creating a lab.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::address::{HOSTS_MAX, check_host_name};
use crate::error::{LabError, Result};

/// The plan of a lab.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Names of the hosts, in the order that gives them their addresses (the first is `.1`). A host for the clients of
    /// a workload is a host like any other. Lower-case letters, digits and `-`, at most 13 characters.
    pub hosts: Vec<String>,
    /// Folder of the run. Logs of processes that name no log file go to `<run_dir>/logs/<host>/<process>.log`, and the
    /// watcher writes `<run_dir>/reaper.log` if it had to clean up. `None`: such output is discarded.
    pub run_dir: Option<PathBuf>,
    /// Whether hosts get IPv6 addresses too.
    pub ipv6: bool,
    /// The IPv4 network, a /24 (last octet 0). Labs cannot meet, so all may use the same.
    pub subnet_v4: Ipv4Addr,
    /// The IPv6 network, a /64 (last four groups 0).
    pub subnet_v6: Ipv6Addr,
    /// Maximum transmission unit of every link, in bytes.
    pub mtu: u32,
    /// Whether processes see the other hosts' names in `/etc/hosts` and their own as host name. Both are private to
    /// the process (mount and UTS namespaces); no file of the machine is changed.
    pub names: bool,
    /// The command that runs [`crate::reaper_main`] with the journal's path as its last argument, normally a hidden
    /// subcommand of the own binary: `["/proc/self/exe", "lab-reaper"]`. Empty: no watcher, so that a lab whose owner
    /// is killed stays until the next clean-up.
    pub reaper: Vec<OsString>,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            run_dir: None,
            ipv6: true,
            subnet_v4: Ipv4Addr::new(10, 77, 0, 0),
            subnet_v6: Ipv6Addr::new(0xfd00, 0xf155, 0, 0, 0, 0, 0, 0),
            mtu: 1500,
            names: true,
            reaper: Vec::new(),
        }
    }
}

impl LabConfig {
    /// A lab of these hosts, everything else as by default (IPv6 on, MTU 1500, names on, no watcher).
    pub fn new<S: Into<String>>(hosts: impl IntoIterator<Item = S>) -> Self {
        Self { hosts: hosts.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Checks everything that can be wrong before anything is created.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |reason: String| Err(LabError::InvalidConfig { reason });
        if self.hosts.is_empty() {
            return invalid("a lab needs at least one host".to_owned());
        }
        if self.hosts.len() > HOSTS_MAX {
            return invalid(format!("{} hosts are too many; {HOSTS_MAX} fit a lab", self.hosts.len()));
        }
        let mut seen = BTreeSet::new();
        for host in &self.hosts {
            check_host_name(host)?;
            if !seen.insert(host) {
                return invalid(format!("host name {host:?} is given twice"));
            }
        }
        if self.subnet_v4.octets()[3] != 0 {
            return invalid(format!("subnet_v4 {} must end in .0 (it is a /24)", self.subnet_v4));
        }
        if self.subnet_v6.segments()[4..] != [0; 4] {
            return invalid(format!("subnet_v6 {} must have its last four groups 0 (it is a /64)", self.subnet_v6));
        }
        let mtu_min = if self.ipv6 { 1280 } else { 576 };
        if !(mtu_min..=65535).contains(&self.mtu) {
            return invalid(format!("mtu {} is not within {mtu_min} to 65535 bytes", self.mtu));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_with_hosts_is_valid() {
        LabConfig::new(["n1", "n2", "clients"]).check().unwrap();
    }

    #[test]
    fn mistakes_are_named() {
        let said = |config: LabConfig| config.check().unwrap_err().to_string();
        assert!(said(LabConfig::default()).contains("at least one host"));
        assert!(said(LabConfig::new(["n1", "n1"])).contains("twice"));
        assert!(said(LabConfig::new((0..251).map(|n| format!("n{n}")))).contains("too many"));
        assert!(said(LabConfig { mtu: 1000, ..LabConfig::new(["n1"]) }).contains("mtu"));
        assert!(said(LabConfig { subnet_v4: [10, 0, 0, 1].into(), ..LabConfig::new(["n1"]) }).contains("subnet_v4"));
        assert!(said(LabConfig { subnet_v6: Ipv6Addr::LOCALHOST, ..LabConfig::new(["n1"]) }).contains("subnet_v6"));
    }
}
