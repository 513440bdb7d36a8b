//! Building a lab and taking it down.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::address::{self, SWITCH, netns_name};
use crate::cgroup::{Cgroup, PauseMethod};
use crate::clean::{CleanReport, CleanScope, clean, remove_lab};
use crate::config::LabConfig;
use crate::error::{LabError, Result};
use crate::host::{Host, Shared};
use crate::iproute::Ip;
use crate::journal::{FOLDER, Journal, JournalFile, LinkRecord};
use crate::mounts::cgroup2_mount;
use crate::netns;
use crate::procfs::ProcessIdentity;
use crate::reaper::Reaper;

/// The bridge in the switch's namespace.
const BRIDGE: &str = "br0";

/// The link of every host.
const IFNAME: &str = "eth0";

/// Whether the hosts' links carry packets as a wire would, or super-packets that hardware would cut (GSO, TSO).
///
/// It matters to whoever counts packets: without it one "packet" of a bulk transfer holds up to 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offloads {
    /// No packet is larger than the MTU: `gso_max_segs 1` is set on every host's link. GRO needs no switch; a veth does
    /// not merge packets unless an XDP program asks it to.
    Off,
    /// Kernel or iproute2 refused; the text is its answer.
    Left(String),
}

/// A running lab. Dropping it takes it down; [`Lab::destroy`] does the same and tells how it went.
#[derive(Debug)]
pub struct Lab {
    id: String,
    hosts: Vec<Host>,
    shared: Arc<Shared>,
    offloads: Offloads,
    cleaned_before: CleanReport,
    reaper: Option<Reaper>,
    down: bool,
}

impl Lab {
    /// Builds a lab, after cleaning up those of dead owners. On failure what was built is removed again.
    ///
    /// # Errors
    ///
    /// [`LabError::InvalidConfig`], [`LabError::NotRoot`], [`LabError::MissingProgram`] (`ip`),
    /// [`LabError::NoCgroup2`] before anything is created; [`LabError::Command`], [`LabError::Io`] and
    /// [`LabError::Reaper`] while building.
    pub fn create(config: LabConfig) -> std::result::Result<Lab, LabError> {
        config.check()?;
        let euid = nix::unistd::geteuid();
        if !euid.is_root() {
            return Err(LabError::NotRoot { euid: euid.as_raw() });
        }
        let ip = Ip::find()?;
        let mount = cgroup2_mount()?;
        // The guard of last resort for labs of earlier runs; that it fails is no reason not to build this one.
        let cleaned_before = clean(CleanScope::DeadOwners).unwrap_or_else(|error| CleanReport {
            left_alone: vec![format!("clean-up of earlier labs failed: {error}")],
            ..CleanReport::default()
        });
        let journal = claim(&config, &mount)?;
        let mut lab = Lab::planned(&config, journal, cleaned_before);
        if !config.reaper.is_empty() {
            let path = lab.journal_path();
            let reaper = Reaper::start(&config.reaper, &path).inspect_err(|_| lab.undo())?;
            let identity = ProcessIdentity::of(reaper.pid());
            lab.reaper = Some(reaper);
            let recorded = lab.shared.journal().update(|journal| journal.reaper = identity);
            recorded.inspect_err(|_| lab.undo())?;
        }
        let ip = ip.inside(Cgroup::at(lab.cgroup()));
        lab.build(&config, &ip).inspect_err(|_| lab.undo())?;
        Ok(lab)
    }

    /// The lab as it will be, by its journal; nothing of it exists.
    fn planned(config: &LabConfig, journal: JournalFile, cleaned_before: CleanReport) -> Lab {
        let id = journal.journal().id.clone();
        let cgroup = journal.journal().cgroup.clone();
        let hosts_file = journal.journal().files.first().cloned();
        let run_dir = journal.journal().run_dir.clone();
        let shared = Arc::new(Shared::new(journal, run_dir, hosts_file));
        let host = |(name, n): (&String, u8)| Host {
            name: name.clone(),
            addr_v4: address::v4(config.subnet_v4, n),
            addr_v6: config.ipv6.then(|| address::v6(config.subnet_v6, n)),
            netns_path: netns::path(&netns_name(&id, name)),
            cgroup: cgroup.join(name),
            ifname: IFNAME.to_owned(),
            switch_port: port_name(name),
            shared: Arc::clone(&shared),
        };
        let hosts = config.hosts.iter().zip(1..).map(host).collect();
        let offloads = Offloads::Left("not tried yet".to_owned());
        Lab { id, hosts, shared, offloads, cleaned_before, reaper: None, down: false }
    }

    fn build(&mut self, config: &LabConfig, ip: &Ip) -> Result<()> {
        if let Some(path) = &self.shared.hosts_file {
            fs::write(path, self.hosts_text()).map_err(|e| LabError::io("write", path, e))?;
        }
        for host in &self.hosts {
            Cgroup::at(&host.cgroup).create()?;
        }
        let names = self.shared.journal().journal().netns.clone();
        ip.batch(&names.iter().map(|name| format!("netns add {name}")).collect::<Vec<_>>())?;
        inside(&self.switch_netns_path(), || {
            // The switch is a wire: it has no address, asks nothing and answers nothing.
            set_sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
            set_sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
            ip.batch(&self.switch_commands(config))
        })?;
        for (at, host) in self.hosts.iter().enumerate() {
            let offloads = inside(&host.netns_path, || {
                // No router is here to ask; the questions would only be noise among counted packets.
                set_sysctl("net/ipv6/conf/eth0/accept_ra", "0")?;
                set_sysctl("net/ipv6/conf/eth0/router_solicitations", "0")?;
                if !config.ipv6 {
                    set_sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")?;
                }
                ip.batch(&host_commands(host))?;
                Ok(match ip.run(&["link", "set", "dev", IFNAME, "gso_max_segs", "1"]) {
                    Ok(()) => Offloads::Off,
                    Err(error) => Offloads::Left(error.to_string()),
                })
            })?;
            if at == 0 || offloads != Offloads::Off {
                self.offloads = offloads;
            }
        }
        match &mut self.reaper {
            Some(reaper) => reaper.wait_until_ready(),
            None => Ok(()),
        }
    }

    /// Commands for the namespace of the switch: the bridge and, born with one end in each namespace, the links.
    fn switch_commands(&self, config: &LabConfig) -> Vec<String> {
        // Ports forward at once (no spanning tree), and multicast, which neighbour discovery needs, goes everywhere.
        let mut lines = vec![
            "link set lo up".to_owned(),
            format!("link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"),
            format!("link set {BRIDGE} up"),
        ];
        for (host, n) in self.hosts.iter().zip(1..) {
            let (port, mtu, mac) = (&host.switch_port, config.mtu, address::mac(n));
            let peer = netns_name(&self.id, &host.name);
            lines.push(format!(
                "link add {port} mtu {mtu} type veth peer name {IFNAME} address {mac} mtu {mtu} netns {peer}"
            ));
            lines.push(format!("link set {port} master {BRIDGE} up"));
        }
        lines
    }

    /// What processes in the lab see as `/etc/hosts`.
    fn hosts_text(&self) -> String {
        let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
        for host in &self.hosts {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {}", host.addr_v4, host.name);
            if let Some(addr) = host.addr_v6 {
                let _ = writeln!(text, "{addr} {}", host.name);
            }
        }
        text
    }

    /// The id of this lab: six letters, part of every name it gives.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All hosts, in the order of the configuration.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The namespace that holds the bridge and the hosts' ports.
    pub fn switch_netns_path(&self) -> PathBuf {
        netns::path(&netns_name(&self.id, SWITCH))
    }

    /// The cgroup above those of all hosts. The owner of the lab must not enter it: it is killed in the end.
    pub fn cgroup(&self) -> PathBuf {
        self.shared.journal().journal().cgroup.clone()
    }

    /// The journal of this lab.
    pub fn journal_path(&self) -> PathBuf {
        self.shared.journal().path().to_owned()
    }

    /// Whether packets on the links are as large as on a wire.
    pub fn offloads(&self) -> &Offloads {
        &self.offloads
    }

    /// How processes are paused here.
    pub fn pause_method(&self) -> PauseMethod {
        Cgroup::at(self.cgroup()).pause_method()
    }

    /// What was cleaned up before this lab was built.
    pub fn cleaned_before(&self) -> &CleanReport {
        &self.cleaned_before
    }

    /// The process id of the watcher, if there is one.
    pub fn reaper_pid(&self) -> Option<u32> {
        self.reaper.as_ref().map(Reaper::pid)
    }

    /// Takes the lab down: kills its processes, removes namespaces, cgroups and journal, ends the watcher.
    ///
    /// # Errors
    ///
    /// [`LabError::Residue`] if something could not be removed. All else was, and the journal stays for the next
    /// clean-up to try again.
    pub fn destroy(mut self) -> std::result::Result<(), LabError> {
        let problems = self.take_down();
        if problems.is_empty() { Ok(()) } else { Err(LabError::Residue { id: self.id.clone(), problems }) }
    }

    /// Takes down a lab that could not be built; the error that is on its way to the caller matters more than this.
    fn undo(&mut self) {
        for problem in self.take_down() {
            tracing::warn!(lab = %self.id, %problem, "left behind by a lab that could not be built");
        }
    }

    fn take_down(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.down, true) {
            return Vec::new();
        }
        let (journal, path) = {
            let mut file = self.shared.journal();
            file.close();
            (file.journal().clone(), file.path().to_owned())
        };
        let processes = std::mem::take(&mut *self.shared.processes());
        let reaped: Vec<String> =
            processes.iter().filter_map(|process| process.reap().err()).map(|error| error.to_string()).collect();
        let mut problems = remove_lab(&journal, &path).problems;
        if !problems.is_empty() {
            problems.extend(reaped);
        }
        if let Some(reaper) = self.reaper.take() {
            reaper.finish();
        }
        problems
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for problem in self.take_down() {
            tracing::warn!(lab = %self.id, %problem, "left behind; the next clean-up tries again");
        }
    }
}

/// Finds a free id and writes the journal with the whole plan.
fn claim(config: &LabConfig, mount: &Path) -> Result<JournalFile> {
    let folder = Path::new(FOLDER);
    for _ in 0..100 {
        let id = address::id_from_bits(random_bits()?);
        let cgroup = mount.join("fissure").join(&id);
        let prefix = netns_name(&id, "");
        // A name that is taken without a journal belongs to somebody else, and must never get into a journal.
        if cgroup.exists() || netns::names().iter().any(|name| name.starts_with(&prefix)) {
            continue;
        }
        let mut journal = Journal::new(&id, cgroup)?;
        let switch = netns_name(&id, SWITCH);
        journal.netns.push(switch.clone());
        for host in &config.hosts {
            let name = netns_name(&id, host);
            journal.links.push(LinkRecord {
                netns: switch.clone(),
                port: port_name(host),
                peer_netns: name.clone(),
                peer: IFNAME.to_owned(),
            });
            journal.netns.push(name);
        }
        if config.names {
            journal.files.push(folder.join(format!("{id}.hosts")));
        }
        let absolute = |dir: &PathBuf| std::path::absolute(dir).map_err(|e| LabError::io("resolve", dir, e));
        journal.run_dir = config.run_dir.as_ref().map(absolute).transpose()?;
        if let Some(file) = JournalFile::claim(folder, journal)? {
            return Ok(file);
        }
    }
    Err(LabError::Timeout { what: "finding a free lab id".to_owned(), waited_ms: 0 })
}

fn random_bits() -> Result<u32> {
    let path = "/dev/urandom";
    let mut bytes = [0; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(|e| LabError::io("read", path, e))?;
    Ok(u32::from_ne_bytes(bytes))
}

/// The name of a host's port of the bridge; prefixed, because a host may have a name that a link has already.
fn port_name(host: &str) -> String {
    format!("v-{host}")
}

/// Commands for the namespace of a host.
fn host_commands(host: &Host) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned(), format!("addr add {}/24 dev {IFNAME}", host.addr_v4)];
    if let Some(addr) = host.addr_v6 {
        // Without duplicate detection the address can be used at once.
        lines.push(format!("addr add {addr}/64 dev {IFNAME} nodad"));
    }
    lines.push(format!("link set {IFNAME} up"));
    lines
}

/// Runs `work` in a namespace; one error type for entering and working.
fn inside<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    netns::in_netns(path, work)?
}

/// Sets a kernel parameter of the calling thread's network namespace. One that does not exist (a kernel without IPv6)
/// needs no setting.
fn set_sysctl(name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(name);
    match fs::write(&path, value) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(LabError::io("write", path, e)),
        _ => Ok(()),
    }
}
