//! Labs on a real kernel. Needs root: `cargo test -p fissure-lab --features privileged --test privileged`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fissure_lab::{
    CleanScope, Host, Lab, LabConfig, LabError, LabState, Offloads, ProcessSpec, Support, clean, list, probe,
};

const SECOND: Duration = Duration::from_secs(1);

fn lab(hosts: &[&str]) -> Lab {
    Lab::create(LabConfig::new(hosts.iter().copied())).unwrap()
}

/// Waits until something holds; the time it took.
fn eventually(what: &str, timeout: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < timeout, "{what} within {timeout:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    begun.elapsed()
}

fn addresses(host: &Host) -> Vec<IpAddr> {
    [Some(IpAddr::V4(host.addr_v4)), host.addr_v6.map(IpAddr::V6)].into_iter().flatten().collect()
}

/// One datagram and one TCP exchange from a host to an address of another.
fn exchange(from: &Host, to: &Host, addr: IpAddr) {
    let any: IpAddr = if addr.is_ipv4() { "0.0.0.0".parse().unwrap() } else { "::".parse().unwrap() };
    let (tcp, udp) =
        to.enter(|| (TcpListener::bind((addr, 7000)).unwrap(), UdpSocket::bind((addr, 7001)).unwrap())).unwrap();
    udp.set_read_timeout(Some(SECOND * 2)).unwrap();
    from.enter(|| {
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.send_to(b"knock", (addr, 7001)).unwrap();
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(addr, 7000), SECOND * 2).unwrap();
        stream.write_all(b"hello").unwrap();
    })
    .unwrap();
    let mut buffer = [0; 16];
    let (n, source) = udp.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"knock");
    assert!(addresses(from).contains(&source.ip()), "{source} is {}", from.name);
    let (mut stream, peer) = tcp.accept().unwrap();
    assert!(addresses(from).contains(&peer.ip()), "{peer} is {}", from.name);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn every_pair_of_five_hosts_talks_over_both_protocols() {
    let lab = lab(&["n1", "n2", "n3", "n4", "clients"]);
    for from in lab.hosts() {
        for to in lab.hosts() {
            for addr in addresses(to) {
                exchange(from, to, addr);
            }
        }
    }
    assert_eq!(lab.host("n3").unwrap().addr_v4.to_string(), "10.77.0.3");
    assert_eq!(lab.host("n3").unwrap().addr_v6.unwrap().to_string(), "fd00:f155::3");
    assert!(lab.host("n9").is_none());
    lab.destroy().unwrap();
}

#[test]
fn a_host_sees_its_own_links_and_no_way_out() {
    let lab = lab(&["n1"]);
    let n1 = lab.host("n1").unwrap();
    let links = n1.enter(|| stdout("ip", &["-brief", "link"])).unwrap();
    let names: BTreeSet<&str> = links.lines().filter_map(|line| line.split(['@', ' ']).next()).collect();
    assert!(names.contains("eth0") && names.contains("lo"), "{links}");
    assert!(links.contains("02:f1:55:00:00:01"), "{links}");
    let routes = n1.enter(|| stdout("ip", &["route"])).unwrap();
    assert!(!routes.contains("default"), "{routes}");
    assert!(!stdout("ip", &["-brief", "link"]).contains(&n1.switch_port), "the machine's namespace sees no port");
}

#[test]
fn no_packet_is_larger_than_the_mtu() {
    let lab = lab(&["a", "b"]);
    assert_eq!(*lab.offloads(), Offloads::Off);
    let (a, b) = (lab.host("a").unwrap(), lab.host("b").unwrap());
    for addr in addresses(b) {
        let before = received(b);
        let listener = b.enter(|| TcpListener::bind((addr, 7000)).unwrap()).unwrap();
        let mut sender = a.enter(|| TcpStream::connect((addr, 7000)).unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        let writer = std::thread::spawn(move || sender.write_all(&vec![7; 4 << 20]).unwrap());
        let mut sink = Vec::new();
        receiver.read_to_end(&mut sink).unwrap();
        writer.join().unwrap();
        assert_eq!(sink.len(), 4 << 20);
        let after = received(b);
        let (bytes, packets) = (after.0 - before.0, after.1 - before.1);
        // With offloads on, the mean is many times the MTU.
        assert!(bytes / packets <= 1514, "{bytes} bytes in {packets} packets");
        assert!(packets > (4 << 20) / 1514, "{packets} packets");
    }
}

/// Bytes and packets that a host's link has received.
fn received(host: &Host) -> (u64, u64) {
    // Inside `enter` this is the namespace of the thread, not of the process.
    let table = host.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap();
    let fields: Vec<u64> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
    (fields[0], fields[1])
}

#[test]
fn two_labs_with_equal_names_and_addresses_do_not_meet() {
    let (one, two) = (lab(&["n1", "n2"]), lab(&["n1", "n2"]));
    assert_ne!(one.id(), two.id());
    let host = |lab: &Lab, name: &str| lab.host(name).unwrap().clone();
    assert_eq!(host(&one, "n2").addr_v4, host(&two, "n2").addr_v4);
    let listener = host(&one, "n2").enter(|| TcpListener::bind("10.77.0.2:7000").unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let refused = host(&two, "n1").enter(|| TcpStream::connect("10.77.0.2:7000").unwrap_err()).unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "the other lab's n2 answered");
    assert!(listener.accept().is_err());
    host(&one, "n1").enter(|| TcpStream::connect("10.77.0.2:7000").unwrap()).unwrap();
    one.destroy().unwrap();
    exchange(&host(&two, "n1"), &host(&two, "n2"), host(&two, "n2").addr_v4.into());
    two.destroy().unwrap();
}

#[test]
fn without_ipv6_there_is_none_on_the_link() {
    let lab = Lab::create(LabConfig { ipv6: false, ..LabConfig::new(["n1", "n2"]) }).unwrap();
    let n1 = lab.host("n1").unwrap();
    assert_eq!(n1.addr_v6, None);
    let text = n1.enter(|| stdout("ip", &["-6", "addr", "show", "dev", "eth0"])).unwrap();
    assert_eq!(text, "");
    exchange(n1, lab.host("n2").unwrap(), lab.host("n2").unwrap().addr_v4.into());
}

#[test]
fn a_lab_of_six_hosts_is_quick() {
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let lab = lab(&["n1", "n2", "n3", "n4", "n5", "clients"]);
        let up = begun.elapsed();
        let begun = Instant::now();
        lab.destroy().unwrap();
        times.push((up, begun.elapsed()));
    }
    println!("up, down: {times:?}");
    assert!(times.iter().map(|time| time.0).min().unwrap() < SECOND, "{times:?}");
}

#[test]
fn processes_have_a_place_a_name_and_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let config = LabConfig { run_dir: Some(folder.path().to_owned()), ..LabConfig::new(["n1", "n2"]) };
    let lab = Lab::create(config).unwrap();
    let n2 = lab.host("n2").unwrap();
    let script = "hostname; getent ahostsv4 n1 | head -n 1; ip -4 -brief addr show eth0; cat /proc/self/cgroup; \
                  echo \"$GREETING $PWD $0 $1\"; echo oops >&2; exit 7";
    let spec = ProcessSpec::new("talker", "sh").args(["-c", script, "zero", "a  b"]).env("GREETING", "hi").cwd("/tmp");
    let process = n2.spawn(spec).unwrap();
    assert_eq!(process.wait(SECOND * 5).unwrap().unwrap().code(), Some(7));
    assert!(!process.is_running());
    let log = std::fs::read_to_string(folder.path().join("logs/n2/talker.log")).unwrap();
    for part in ["n2\n", "10.77.0.1 ", "10.77.0.2/24", "/n2/talker\n", "hi /tmp zero a  b\n", "oops\n"] {
        assert!(log.contains(part), "{part:?} in {log}");
    }
    assert!(!std::fs::read_to_string("/etc/hosts").unwrap().contains("10.77.0.1"));
    assert_ne!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(), "n2");
}

#[test]
fn separate_logs_are_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let lab = lab(&["n1"]);
    let (out, err) = (folder.path().join("deep/out"), folder.path().join("err"));
    let spec = ProcessSpec {
        stdout: Some(out.clone()),
        stderr: Some(err.clone()),
        ..ProcessSpec::new("both", "sh").args(["-c", "echo out; echo err >&2"])
    };
    let process = lab.host("n1").unwrap().spawn(spec).unwrap();
    process.wait(SECOND * 5).unwrap().unwrap();
    process.restart().unwrap();
    process.wait(SECOND * 5).unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "out\nout\n");
    assert_eq!(std::fs::read_to_string(err).unwrap(), "err\nerr\n");
}

/// A process whose log grows for as long as it runs, and whose child has left its session.
fn ticker(host: &Host, log: &Path) -> fissure_lab::Process {
    let script = "echo start; setsid sh -c 'while :; do echo grandchild; sleep 0.01; done' & \
                  while :; do echo tick; sleep 0.01; done";
    let process = host.spawn(ProcessSpec::new("ticker", "sh").args(["-c", script]).log(log)).unwrap();
    eventually("both write", SECOND * 5, || count(log, "tick") > 0 && count(log, "grandchild") > 0);
    process
}

fn count(log: &Path, word: &str) -> usize {
    std::fs::read_to_string(log).unwrap().lines().filter(|line| *line == word).count()
}

fn length(log: &Path) -> u64 {
    log.metadata().unwrap().len()
}

#[test]
fn kill_reaches_grandchildren_and_restart_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let lab = lab(&["n1"]);
    let process = ticker(lab.host("n1").unwrap(), &log);
    let (pid, pids) = (process.pid(), process.pids());
    assert!(pids.contains(&pid) && pids.len() >= 2, "{pids:?}");
    assert!(process.is_running());
    assert!(process.kill().unwrap());
    assert!(!process.is_running());
    assert_eq!(process.try_wait().unwrap().unwrap().signal(), Some(9));
    assert!(process.pids().is_empty());
    assert!(pids.iter().all(|pid| !alive(*pid)), "{pids:?}");
    assert!(!process.kill().unwrap(), "nothing is left to kill");
    assert!(!process.pause().unwrap() && !process.resume().unwrap(), "nor to pause");
    let grown = length(&log);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(length(&log), grown);

    process.restart().unwrap();
    assert_ne!(process.pid(), pid);
    eventually("the second start is in the same log", SECOND * 5, || count(&log, "start") == 2);
    process.restart().unwrap();
    eventually("a restart ends the one before", SECOND * 5, || count(&log, "start") == 3);
    process.kill().unwrap();
}

#[test]
fn pause_stands_still_and_resume_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let lab = lab(&["n1"]);
    let process = ticker(lab.host("n1").unwrap(), &log);
    println!("paused by {:?}: {process:?} in {lab:?}", lab.pause_method());
    assert!(process.pause().unwrap());
    assert!(!process.pause().unwrap(), "paused already");
    assert!(process.is_paused() && process.is_running());
    let grown = length(&log);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(length(&log), grown);
    assert!(process.resume().unwrap());
    assert!(!process.resume().unwrap(), "runs already");
    eventually("it goes on", SECOND * 5, || length(&log) > grown);

    assert!(process.pause().unwrap());
    assert!(process.kill().unwrap(), "a paused process can be killed");
    process.restart().unwrap();
    let grown = length(&log);
    eventually("and is not paused after a restart", SECOND * 5, || length(&log) > grown);
    process.pause().unwrap();
    lab.destroy().unwrap();
    assert!(!process.is_running(), "the end of the lab ends also the paused");
}

#[test]
fn pause_right_after_the_start_holds() {
    let folder = tempfile::tempdir().unwrap();
    let lab = lab(&["n1"]);
    let mut times = Vec::new();
    for n in 0..3 {
        let log = folder.path().join(n.to_string());
        let spec = ProcessSpec::new(format!("p{n}"), "sh").args(["-c", "sleep 0.6; echo late"]).log(&log);
        let begun = Instant::now();
        let process = lab.host("n1").unwrap().spawn(spec).unwrap();
        let spawned = begun.elapsed();
        assert!(process.pause().unwrap());
        times.push((spawned, begun.elapsed() - spawned));
        std::thread::sleep(Duration::from_millis(800));
        assert_eq!(length(&log), 0);
        process.resume().unwrap();
        process.wait(SECOND * 5).unwrap().unwrap();
        assert_eq!(count(&log, "late"), 1);
    }
    println!("spawn, pause: {times:?}");
}

#[test]
fn terminate_is_gentle_first() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let lab = lab(&["n1"]);
    let n1 = lab.host("n1").unwrap();
    let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let kind = n1.spawn(ProcessSpec::new("kind", "sh").args(["-c", script]).log(&log)).unwrap();
    eventually("it is up", SECOND * 5, || count(&log, "up") == 1);
    kind.pause().unwrap();
    assert!(kind.terminate(SECOND * 5).unwrap(), "also when paused");
    assert_eq!(kind.try_wait().unwrap().unwrap().code(), Some(3));
    assert_eq!(count(&log, "bye"), 1);
    assert!(!kind.terminate(SECOND).unwrap());

    let script = "trap '' TERM; echo deaf; while :; do sleep 0.01; done";
    let deaf = n1.spawn(ProcessSpec::new("deaf", "sh").args(["-c", script]).log(&log)).unwrap();
    eventually("it is up", SECOND * 5, || count(&log, "deaf") == 1);
    assert!(deaf.terminate(Duration::from_millis(100)).unwrap());
    assert_eq!(deaf.try_wait().unwrap().unwrap().signal(), Some(9));
}

#[test]
fn what_cannot_be_started_is_a_typed_error() {
    let lab = lab(&["n1"]);
    let n1 = lab.host("n1").unwrap();
    let missing = n1.spawn(ProcessSpec::new("x", "no-such-program")).unwrap_err();
    assert!(matches!(&missing, LabError::MissingProgram { program, .. } if program == "no-such-program"), "{missing}");
    assert!(matches!(n1.spawn(ProcessSpec::new("a/b", "true")).unwrap_err(), LabError::InvalidConfig { .. }));
    let first = n1.spawn(ProcessSpec::new("x", "sleep").arg("100")).unwrap();
    let second = n1.spawn(ProcessSpec::new("x", "sleep").arg("100")).unwrap_err();
    assert!(matches!(second, LabError::ProcessExists { pid, .. } if pid == first.pid()), "{second}");
    first.kill().unwrap();
    let third = n1.spawn(ProcessSpec::new("x", "sleep").arg("100")).unwrap();
    lab.destroy().unwrap();
    assert!(!alive(third.pid()));
    assert!(matches!(third.restart().unwrap_err(), LabError::Closed { .. }));
}

#[test]
fn a_lab_that_cannot_be_built_leaves_nothing() {
    let before = list().unwrap().len();
    let folder = tempfile::tempdir().unwrap();
    for reaper in [vec!["/bin/true".into()], vec!["/bin/echo".into()], vec!["/no/such/program".into()]] {
        let config = LabConfig { reaper, run_dir: Some(folder.path().into()), ..LabConfig::new(["brokenlab"]) };
        let error = Lab::create(config).unwrap_err();
        assert!(matches!(error, LabError::Reaper { .. } | LabError::MissingProgram { .. }), "{error}");
    }
    assert!(!stdout("ip", &["netns"]).contains("brokenlab"));
    let own = |lab: &fissure_lab::LabSummary| lab.owner_pid == std::process::id();
    assert!(list().unwrap().len() <= before + list().unwrap().iter().filter(|lab| own(lab)).count());
}

#[test]
fn labs_hosts_and_processes_may_be_used_from_any_thread() {
    fn any_thread<T: Send + Sync>() {}
    any_thread::<Lab>();
    any_thread::<Host>();
    any_thread::<fissure_lab::Process>();
    let lab = lab(&["n1", "n2", "n3"]);
    std::thread::scope(|scope| {
        for n in 0..12 {
            let host = &lab.hosts()[n % 3];
            scope.spawn(move || {
                let process = host.spawn(ProcessSpec::new(format!("p{n}"), "sleep").arg("100")).unwrap();
                for _ in 0..3 {
                    process.restart().unwrap();
                }
                assert!(process.is_running());
            });
        }
    });
    let journal = std::fs::read_to_string(lab.journal_path()).unwrap();
    assert_eq!(journal.matches("start_ticks").count(), 12 + 1, "one each, and the owner: {journal}");
    lab.destroy().unwrap();
}

#[test]
fn this_machine_has_what_a_lab_needs() {
    for row in probe() {
        println!("{:26} {:?}", row.what, row.support);
        assert_eq!(row.support, Support::Yes, "{} ({})", row.what, row.needed_for);
    }
}

#[test]
fn a_living_lab_is_not_cleaned() {
    let lab = lab(&["n1", "n2"]);
    let (n1, n2) = (lab.host("n1").unwrap(), lab.host("n2").unwrap());
    let process = n1.spawn(ProcessSpec::new("sleeper", "sleep").arg("100")).unwrap();
    for _ in 0..2 {
        let report = clean(CleanScope::DeadOwners).unwrap();
        assert!(report.labs.iter().all(|cleaned| cleaned.id != lab.id()), "{report}");
        assert!(report.left_alone.iter().any(|words| words.contains(lab.id())), "{report}");
    }
    let refused = clean(CleanScope::All).unwrap_err();
    assert!(matches!(&refused, LabError::LabsAlive { labs } if labs.contains(lab.id())), "{refused}");
    assert!(matches!(clean(CleanScope::One(lab.id().to_owned())).unwrap_err(), LabError::LabsAlive { .. }));
    assert!(matches!(clean(CleanScope::One("nolab0".to_owned())).unwrap_err(), LabError::UnknownLab { .. }));
    assert!(process.is_running());
    exchange(n1, n2, n2.addr_v4.into());
    let summary = list().unwrap().into_iter().find(|summary| summary.id == lab.id()).unwrap();
    assert_eq!((summary.owner_pid, summary.state), (std::process::id(), LabState::Alive));
}

// From here on: owners that are killed.

/// A lab in another process.
struct Owner {
    child: Child,
    id: String,
    reaper: u32,
    cgroup: PathBuf,
    pids: Vec<u32>,
}

impl Owner {
    fn start(reaper: &str, run_dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fissure-lab-owner"))
            .args(["own", reaper])
            .arg(run_dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, reaper, cgroup, pids] = words[..] else { panic!("the owner said {line:?}") };
        Owner {
            child,
            id: id.to_owned(),
            reaper: reaper.parse().unwrap(),
            cgroup: cgroup.into(),
            pids: pids.split(',').map(|pid| pid.parse().unwrap()).collect(),
        }
    }

    fn journal(&self) -> PathBuf {
        PathBuf::from(format!("/run/fissure/{}.json", self.id))
    }

    /// Everything of this lab that is still there.
    fn residue(&self) -> Vec<String> {
        let mut found: Vec<String> = self.pids.iter().filter(|pid| alive(**pid)).map(|pid| pid.to_string()).collect();
        for folder in ["/run/netns", "/run/fissure"] {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            found.extend(names.filter(|name| name.contains(&self.id)));
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(&self.id)).map(str::to_owned));
        found.extend(self.cgroup.exists().then(|| self.cgroup.display().to_string()));
        found
    }
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn stdout(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the machine's own namespace looks like, without what other labs on it do at the same time.
fn machine() -> Vec<String> {
    let netns = stdout("ip", &["netns"]);
    let foreign: Vec<&str> = netns.lines().filter(|line| !line.starts_with("fsr-")).collect();
    let qdisc = stdout("tc", &["qdisc", "show"]);
    let rules = stdout("nft", &["list", "ruleset"]);
    let links = stdout("ip", &["-brief", "link"]);
    vec![links, stdout("ip", &["-brief", "addr"]), stdout("ip", &["route"]), foreign.join("\n"), qdisc, rules]
}

#[test]
fn a_killed_owner_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let before = machine();
    let mut owner = Owner::start("with", folder.path());
    assert!(owner.pids.iter().all(|pid| alive(*pid)) && owner.pids.len() == 9, "{:?}", owner.pids);
    assert_eq!(owner.residue().len(), 9 + 4 + 2 + 4 + 1, "{:#?}", owner.residue());
    assert_eq!(machine(), before, "a running lab cannot be seen from outside either");
    owner.child.kill().unwrap();
    let took = eventually("no residue", SECOND * 2, || owner.residue().is_empty());
    println!("clean {took:?} after SIGKILL");
    owner.child.wait().unwrap();
    eventually("the watcher ends", SECOND * 2, || !alive(owner.reaper));
    assert_eq!(machine(), before);
    let log = std::fs::read_to_string(folder.path().join("reaper.log")).unwrap();
    assert!(log.contains(&format!("removed network namespace fsr-{}-n2", owner.id)), "{log}");
}

#[test]
fn signals_of_a_terminal_do_not_stop_the_watcher() {
    let folder = tempfile::tempdir().unwrap();
    let mut owner = Owner::start("with", folder.path());
    for signal in ["INT", "TERM", "HUP", "QUIT"] {
        stdout("kill", &["-s", signal, &owner.reaper.to_string()]);
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(alive(owner.reaper));
    assert!(!owner.residue().is_empty());
    // Ctrl-C in the owner: it dies of it, the watcher cleans up.
    stdout("kill", &["-s", "INT", &owner.child.id().to_string()]);
    eventually("no residue", SECOND * 2, || owner.residue().is_empty());
    owner.child.wait().unwrap();
}

#[test]
fn without_its_watcher_a_killed_lab_is_cleaned_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    for reaper in ["with", "without"] {
        let mut owner = Owner::start(reaper, folder.path());
        if owner.reaper != 0 {
            stdout("kill", &["-s", "KILL", &owner.reaper.to_string()]);
        }
        owner.child.kill().unwrap();
        // Not waited for: a dead owner that its parent has not buried counts as dead.
        eventually("the owner is dead", SECOND * 2, || !alive(owner.child.id()));
        // Another test may build a lab at this moment, and clean up then; here the report is the witness otherwise.
        let next = lab(&["n1"]);
        eventually("no residue", SECOND * 2, || owner.residue().is_empty());
        assert!(!owner.journal().exists());
        println!("{}", next.cleaned_before());
        owner.child.wait().unwrap();
    }
}

/// Processes with this variable in their environment: the killed owner's children, wherever they are.
fn marked(marker: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_it = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
    };
    pids.filter(has_it).filter(|pid| alive(*pid)).collect()
}

/// Namespaces and cgroups that look like a lab's and have no journal.
fn unjournaled(cgroups: &Path) -> BTreeSet<String> {
    let list = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let netns = list(Path::new("/run/netns")).map(name).filter(|name| name.starts_with("fsr-"));
    let labs = list(cgroups).filter(|entry| entry.path().is_dir()).map(name).map(|id| format!("cgroup {id}"));
    let id = |name: &String| name.strip_prefix("cgroup ").map_or_else(|| name[4..10].to_owned(), str::to_owned);
    let journaled = |name: &String| Path::new(&format!("/run/fissure/{}.json", id(name))).exists();
    netns.chain(labs).filter(|name| id(name) != "f0re1g" && !journaled(name)).collect()
}

#[test]
fn an_owner_killed_while_building_leaves_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let cgroups = lab(&["n1"]).cgroup().parent().unwrap().to_owned();
    let mut built = 0;
    for round in 0u64..40 {
        let value = format!("{}-{round}", std::process::id());
        let mut owner = Command::new(env!("CARGO_BIN_EXE_fissure-lab-owner"))
            .args(["own", if round % 2 == 0 { "with" } else { "without" }])
            .arg(folder.path())
            .env("FISSURE_TEST_OWNER", &value)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before the journal until after the last process.
        std::thread::sleep(Duration::from_micros(round * 1_700));
        built += list().unwrap().iter().filter(|lab| lab.owner_pid == owner.id()).count();
        owner.kill().unwrap();
        owner.wait().unwrap();
        clean(CleanScope::DeadOwners).unwrap();
        let marker = format!("FISSURE_TEST_OWNER={value}");
        eventually("every process is gone", SECOND * 3, || marked(&marker).is_empty());
        eventually("nothing unknown is left", SECOND * 3, || unjournaled(&cgroups).is_empty());
        assert!(list().unwrap().iter().all(|lab| lab.owner_pid != owner.id()));
        let mut files = std::fs::read_dir("/run/fissure").into_iter().flatten().flatten();
        let own = format!(".{}.tmp", owner.id());
        assert!(files.all(|file| !file.file_name().to_string_lossy().ends_with(&own)));
    }
    println!("{built} of 40 were killed with a journal");
    assert!(built >= 10, "{built}");
}

#[test]
fn clean_removes_a_dead_lab_once_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut owner = Owner::start("without", folder.path());
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    // Other tests that build labs clean up too; whoever comes first, afterwards it is clean.
    let first = clean(CleanScope::DeadOwners).unwrap();
    assert!(first.is_complete(), "{first}");
    eventually("no residue", SECOND * 2, || owner.residue().is_empty());
    let second = clean(CleanScope::DeadOwners).unwrap();
    assert!(second.labs.iter().all(|cleaned| cleaned.id != owner.id), "{second}");
    assert!(matches!(clean(CleanScope::One(owner.id.clone())).unwrap_err(), LabError::UnknownLab { .. }));
}

#[test]
fn an_id_without_a_journal_is_mentioned_and_not_touched() {
    let name = "fsr-f0re1g-n1";
    stdout("ip", &["netns", "add", name]);
    let report = clean(CleanScope::DeadOwners);
    let there = Path::new("/run/netns").join(name).exists();
    stdout("ip", &["netns", "delete", name]);
    assert!(there);
    assert!(report.unwrap().left_alone.iter().any(|words| words.contains(name)));
}
