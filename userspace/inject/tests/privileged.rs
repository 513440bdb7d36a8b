//! The programs at work: between network namespaces these tests make and remove themselves.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use aya::programs::{SchedClassifier, TcAttachType};
use common::{Dice, Spec, v4, v6};
use fissure_abi::{Action, Direction, Rule};
use fissure_inject::{
    EventReader, InjectError, Injection, Injector, Mechanism, Options,
    probe::{Feature, Support, probe_all},
};
use nix::sched::{CloneFlags, setns};

const LOADS: &str = "needs root and `cargo xtask build`";

/// Two namespaces joined by a cable; `eth0` in both.
struct Cable {
    names: [String; 2],
}

static CABLES: AtomicU32 = AtomicU32::new(0);

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().expect("a word")).args(words).output().expect("is installed");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Cable {
    fn new() -> Self {
        let number = CABLES.fetch_add(1, Ordering::SeqCst);
        let names = ["a", "b"].map(|end| format!("fissure-inject-{}-{number}{end}", std::process::id()));
        let cable = Self { names };
        cable.names.iter().for_each(|name| drop(run(&format!("ip netns add {name}"))));
        let [a, b] = &cable.names;
        run(&format!("ip link add eth0 netns {a} type veth peer name eth0 netns {b}"));
        for (last, name) in cable.names.iter().enumerate() {
            run(&format!("ip -n {name} addr add 10.9.0.{}/24 dev eth0", last + 1));
            run(&format!("ip -n {name} addr add fd09::{}/64 dev eth0 nodad", last + 1));
            run(&format!("ip -n {name} link set eth0 up"));
        }
        // The kernel takes note of the carrier a moment later.
        let deadline = Instant::now() + Duration::from_secs(5);
        while cable.names.iter().any(|name| !run(&format!("ip -n {name} link show eth0")).contains("state UP")) {
            assert!(Instant::now() < deadline, "no carrier");
            std::thread::sleep(Duration::from_millis(10));
        }
        cable
    }

    fn path(&self, end: usize) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.names[end])
    }

    /// Makes something inside a namespace; a socket stays there.
    fn inside<T: Send>(&self, end: usize, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(File::open(self.path(end)).expect("is there"), CloneFlags::CLONE_NEWNET).expect("root");
                work()
            });
            thread.join().expect("does not panic")
        })
    }

    fn udp(&self, end: usize, port: u16, six: bool) -> UdpSocket {
        let socket = self.inside(end, || UdpSocket::bind(address(end, port, six)).expect("binds"));
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("can be set");
        socket
    }

    /// How many programs are attached by tcx, which older tools do not show.
    fn tcx(&self, end: usize) -> usize {
        let query = || SchedClassifier::query_tcx("eth0", TcAttachType::Ingress).expect("can be asked");
        self.inside(end, query).1.len()
    }

    /// What tools show of a namespace.
    fn looks(&self) -> String {
        let show = |name: &String| {
            [
                format!("tc -n {name} qdisc show"),
                format!("tc -n {name} filter show dev eth0 ingress"),
                format!("ip -n {name} -d link show"),
                format!("ip netns exec {name} nft list ruleset"),
                format!("ip netns exec {name} bpftool net show"),
            ]
            .map(|command| run(&command))
            .concat()
        };
        self.names.iter().map(show).collect()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

fn address(end: usize, port: u16, six: bool) -> SocketAddr {
    let ip: IpAddr =
        if six { format!("fd09::{}", end + 1) } else { format!("10.9.0.{}", end + 1) }.parse().expect("is one");
    SocketAddr::new(ip, port)
}

fn drop_to_port(rule_id: u32, protocol: u8, port: u16) -> Rule {
    Rule {
        rule_id,
        fault_id: 7,
        action: Action::Drop as u32,
        protocol,
        dst_port_min: port,
        dst_port_max: port,
        ..Rule::ANY
    }
}

fn receive_all(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 64];
    let mut count = 0;
    while socket.recv(&mut buffer).is_ok() {
        count += 1;
    }
    count
}

fn read_all(events: &mut EventReader) -> Vec<Injection> {
    let mut all = Vec::new();
    while events.read(Duration::from_millis(50), &mut all).expect("reads") > 0 {}
    all
}

#[test]
fn this_machine_has_every_feature() {
    for (feature, _, support) in probe_all() {
        assert_eq!(support, Support::Yes, "{feature:?}");
    }
    assert_eq!(Feature::ALL.len(), probe_all().len());
}

#[test]
fn udp_to_one_port_is_lost_and_all_else_arrives() {
    let cable = Cable::new();
    let mut injector = Injector::load().expect(LOADS);
    let mut events = injector.events().expect("not taken");
    let attached = injector.attach("b", Some(&cable.path(1)), "eth0").expect("attaches");
    assert_eq!(attached.mechanism, Mechanism::Tcx);
    let _lease = injector.lease().expect("a thread");
    let revision = injector.publish(&[drop_to_port(3, 17, 7001)]).expect("fits").revision;
    for six in [false, true] {
        let (hit, spared) = (cable.udp(1, 7001, six), cable.udp(1, 7002, six));
        let sender = cable.udp(0, 5000, six);
        let before = injector.counters().hits[&3];
        for n in 0..200u32 {
            sender.send_to(&n.to_be_bytes(), address(1, 7001, six)).expect("sends");
            sender.send_to(&n.to_be_bytes(), address(1, 7002, six)).expect("sends");
        }
        assert_eq!((receive_all(&hit), receive_all(&spared)), (0, 200));
        let seen = read_all(&mut events);
        assert_eq!(seen.len(), 200);
        assert_eq!(injector.counters().hits[&3] - before, 200);
        for (index, injection) in seen.iter().enumerate() {
            let event = injection.event;
            assert_eq!((&*injection.host, injection.action()), ("b", Action::Drop));
            assert_eq!((event.rule_id, event.fault_id, event.revision), (3, 7, revision));
            assert_eq!((injection.src_addr(), event.src_port), (address(0, 0, six).ip(), 5000));
            assert_eq!((injection.dst_addr(), event.dst_port), (address(1, 0, six).ip(), 7001));
            assert_eq!((event.conn_ordinal, injection.direction()), (1, Direction::Request));
            assert_eq!((event.packet_index, event.length), (index as u64, if six { 52 } else { 32 }));
        }
        let gaps = seen.windows(2).filter(|pair| {
            pair[0].event.cpu == pair[1].event.cpu && pair[0].event.event_seq + 1 != pair[1].event.event_seq
        });
        assert_eq!(gaps.count(), 0);
    }
    injector.detach("b").expect("is attached");
    assert!(matches!(injector.detach("b"), Err(InjectError::NotAttached { .. })));
}

#[test]
fn an_established_tcp_connection_stalls_and_recovers() {
    let cable = Cable::new();
    let mut injector = Injector::load().expect(LOADS);
    let mut events = injector.events().expect("not taken");
    injector.attach("a", Some(&cable.path(0)), "eth0").expect("attaches");
    injector.attach("b", Some(&cable.path(1)), "eth0").expect("attaches");
    let _lease = injector.lease().expect("a thread");
    for (ordinal, six) in [(1, false), (1, true), (2, false)] {
        let listener = cable.inside(1, || TcpListener::bind(address(1, 7100, six)).expect("binds"));
        let mut client = cable.inside(0, || TcpStream::connect(address(1, 7100, six)).expect("connects"));
        let (mut server, _) = listener.accept().expect("accepts");
        server.set_read_timeout(Some(Duration::from_millis(300))).expect("can be set");
        client.write_all(b"before").expect("sends");
        let mut buffer = [0; 16];
        assert_eq!(server.read(&mut buffer).expect("arrives"), 6);
        injector.publish(&[drop_to_port(1, 6, 7100)]).expect("fits");
        client.write_all(b"during").expect("is taken by the stack: the loss is silent");
        let error = server.read(&mut buffer).expect_err("nothing arrives");
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        injector.clear().expect("fits");
        server.set_read_timeout(Some(Duration::from_secs(10))).expect("can be set");
        assert_eq!(server.read(&mut buffer).expect("is sent again"), 6);
        let seen = read_all(&mut events);
        assert!(!seen.is_empty());
        for injection in seen {
            assert_eq!((&*injection.host, injection.direction()), ("b", Direction::Request));
            assert_eq!(injection.event.conn_ordinal, ordinal, "counted at SYN, though no rule was there then");
            assert!(injection.event.packet_index >= 3 && injection.event.tcp_seq != 0);
        }
    }
}

#[test]
fn a_rule_for_replies_leaves_requests_alone() {
    let cable = Cable::new();
    let mut injector = Injector::load().expect(LOADS);
    let mut events = injector.events().expect("not taken");
    injector.attach("a", Some(&cable.path(0)), "eth0").expect("attaches");
    injector.attach("b", Some(&cable.path(1)), "eth0").expect("attaches");
    let _lease = injector.lease().expect("a thread");
    injector.publish(&[Rule { direction: 2, protocol: 17, action: 1, rule_id: 1, ..Rule::ANY }]).expect("fits");
    // The service has the higher port: the direction is known, not guessed.
    let (client, service) = (cable.udp(0, 2000, false), cable.udp(1, 9000, false));
    for _ in 0..20 {
        client.send_to(b"ask", address(1, 9000, false)).expect("sends");
    }
    assert_eq!(receive_all(&service), 20);
    for _ in 0..30 {
        service.send_to(b"answer", address(0, 2000, false)).expect("sends");
    }
    assert_eq!(receive_all(&client), 0);
    let seen = read_all(&mut events);
    assert_eq!(seen.len(), 30);
    assert!(seen.iter().all(|injection| &*injection.host == "a" && injection.direction() == Direction::Reply));
}

#[test]
fn hosts_with_the_same_interface_index_are_told_apart() {
    let cables = [Cable::new(), Cable::new()];
    let mut injector = Injector::load().expect(LOADS);
    let mut events = injector.events().expect("not taken");
    let first = injector.attach("first", Some(&cables[0].path(1)), "eth0").expect("attaches");
    let second = injector.attach("second", Some(&cables[1].path(1)), "eth0").expect("attaches");
    assert_eq!(first.ifindex, second.ifindex, "the test would prove nothing");
    let again = injector.attach("first", Some(&cables[0].path(1)), "eth0");
    assert!(matches!(again, Err(InjectError::AlreadyAttached { .. })));
    let _lease = injector.lease().expect("a thread");
    injector.publish(&[drop_to_port(1, 17, 7001)]).expect("fits");
    for (cable, host, count) in [(&cables[0], "first", 5), (&cables[1], "second", 9)] {
        let sender = cable.udp(0, 5000, false);
        let receiver = cable.udp(1, 7001, false);
        for _ in 0..count {
            sender.send_to(b"x", address(1, 7001, false)).expect("sends");
        }
        assert_eq!(receive_all(&receiver), 0);
        let seen = read_all(&mut events);
        assert_eq!(seen.len(), count);
        assert!(seen.iter().all(|injection| &*injection.host == host));
    }
}

#[test]
fn nothing_is_dropped_without_a_live_lease() {
    let mut injector = Injector::load().expect(LOADS);
    injector.publish(&[drop_to_port(1, 17, 80)]).expect("fits");
    let frame = Spec::udp(v4(2), v4(1), 40_000, 80).frame();
    let show = |injector: &mut Injector| injector.test_run(0, &frame, 1).expect("runs").action;
    assert_eq!(show(&mut injector), Action::Pass);
    assert_eq!(injector.counters().lease_expired, 1);
    let lease = injector.lease().expect("a thread");
    assert_eq!(show(&mut injector), Action::Drop);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(show(&mut injector), Action::Drop, "it is renewed");
    drop(lease);
    assert_eq!(show(&mut injector), Action::Pass, "it ends with its value");
    let lease = injector.lease().expect("a thread");
    assert_eq!(show(&mut injector), Action::Drop);
    lease.abandon();
    assert_eq!(show(&mut injector), Action::Drop, "it lasts a while by itself");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(show(&mut injector), Action::Pass, "and ends by itself");
    assert_eq!(injector.counters().hits[&1], 4);
}

#[test]
fn the_dice_fall_the_same_way_in_the_next_run() {
    let one_run = |ports: [u16; 3]| -> Vec<bool> {
        let mut injector = Injector::load().expect(LOADS);
        let _lease = injector.lease().expect("a thread");
        let rule = Rule { probability_ppm: 300_000, seed: 42, ..drop_to_port(5, 0, 80) };
        injector.publish(&[rule]).expect("fits");
        let mut outcomes = Vec::new();
        // Ephemeral ports differ from run to run; the connections are the first, second and third all the same.
        for port in ports {
            let syn = Spec { tcp_flags: 2, tcp_seq: u32::from(port), ..Spec::tcp(v6(2), v6(1), port, 80) };
            let data = Spec { payload: 10, ..Spec::tcp(v6(2), v6(1), port, 80) };
            for n in 0..1000 {
                let frame = if n == 0 { syn.frame() } else { data.frame() };
                outcomes.push(injector.test_run(0, &frame, 1).expect("runs").action == Action::Drop);
            }
        }
        outcomes
    };
    let (first, second) = (one_run([40_000, 40_001, 40_002]), one_run([51_234, 33_333, 60_007]));
    assert_eq!(first, second);
    let dropped = first.iter().filter(|dropped| **dropped).count();
    assert!((800..1000).contains(&dropped), "{dropped} of 3000 at 30 %");
    assert_ne!(first[..1000], first[1000..2000], "connections have dice of their own");
}

#[test]
fn a_full_ring_means_no_hits() {
    let options = Options { ring_bytes: Some(4096), ..Options::default() };
    let mut injector = Injector::load_with(&options).expect(LOADS);
    let mut events = injector.events().expect("not taken");
    let _lease = injector.lease().expect("a thread");
    injector.publish(&[drop_to_port(1, 17, 80)]).expect("fits");
    let frame = Spec::udp(v4(2), v4(1), 40_000, 80).frame();
    let dropped = (0..1000).filter(|_| injector.test_run(0, &frame, 1).expect("runs").action == Action::Drop).count();
    let counters = injector.counters();
    let seen = read_all(&mut events);
    assert!(dropped > 20 && dropped < 50, "{dropped}");
    assert_eq!((seen.len(), counters.hits[&1]), (dropped, dropped as u64));
    assert_eq!(counters.events_lost, 1000 - dropped as u64);
    let after = injector.test_run(0, &frame, 1).expect("runs").action;
    assert_eq!(after, Action::Drop, "there is room again");
    let seen = read_all(&mut events);
    assert_eq!(seen[0].event.event_seq, 1000, "the gap shows what was lost");
}

/// A table of one kind: every rule of it has an id that names the publication.
fn table(publication: u32, dice: &mut Dice) -> Vec<Rule> {
    let before = if publication.is_multiple_of(2) { 0 } else { dice.below(300) as u32 };
    let mut rules: Vec<Rule> =
        (0..before).map(|n| Rule { rule_id: publication, ..drop_to_port(0, 17, 10_000 + n as u16) }).collect();
    let probability_ppm = 200_000 + 600_000 * (publication % 2);
    rules.push(Rule { rule_id: publication, probability_ppm, seed: 3, ..drop_to_port(0, 17, 7001) });
    rules
}

/// UDP packets that a namespace dropped because a socket's buffer was full, from its `/proc/net/snmp`.
fn receive_buffer_errors(netns: &std::path::Path) -> u64 {
    let net = format!("--net={}", netns.display());
    let output = std::process::Command::new("nsenter").args([net.as_str(), "cat", "/proc/net/snmp"]).output();
    let text = String::from_utf8(output.expect("nsenter runs").stdout).expect("text");
    let mut udp = text.lines().filter(|line| line.starts_with("Udp:")).map(|line| line.split_whitespace());
    let (names, values) = (udp.next().expect("names"), udp.next().expect("values"));
    let found = names.zip(values).find(|(name, _)| *name == "RcvbufErrors");
    found.expect("the counter").1.parse().expect("a number")
}

#[test]
fn a_thousand_tables_while_packets_flow() {
    let cable = Cable::new();
    let mut injector = Injector::load().expect(LOADS);
    let mut events = injector.events().expect("not taken");
    injector.attach("b", Some(&cable.path(1)), "eth0").expect("attaches");
    let _lease = injector.lease().expect("a thread");
    let (receiver, senders) = (cable.udp(1, 7001, false), [5000, 5001].map(|port| cable.udp(0, port, false)));
    let (stop, mut dice) = (AtomicBool::new(false), Dice::new(1));
    let stopped = || stop.load(Ordering::SeqCst);
    let (sent, received, seen, owner) = std::thread::scope(|scope| {
        let senders = senders.map(|sender| {
            scope.spawn(move || {
                let mut count = 0;
                while !stopped() && count < 150_000 {
                    count += u64::from(sender.send_to(b"x", address(1, 7001, false)).is_ok());
                    if count % 32 == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                }
                count
            })
        });
        let receiver = scope.spawn(|| {
            let (mut count, mut buffer) = (0, [0; 8]);
            loop {
                match receiver.recv(&mut buffer) {
                    Ok(_) => count += 1u64,
                    Err(_) if stopped() => return count,
                    Err(_) => {}
                }
            }
        });
        let reader = scope.spawn(|| {
            let mut all = Vec::new();
            while !stopped() {
                events.read(Duration::from_millis(20), &mut all).expect("reads");
            }
            std::thread::sleep(Duration::from_millis(300));
            while events.read(Duration::from_millis(50), &mut all).expect("reads") > 0 {}
            all
        });
        let mut owner = BTreeMap::new();
        for publication in 1..=1000 {
            let rules = table(publication, &mut dice);
            owner.insert(injector.publish(&rules).expect("fits").revision, publication);
            if publication % 4 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        stop.store(true, Ordering::SeqCst);
        let sent: u64 = senders.into_iter().map(|thread| thread.join().expect("does not panic")).sum();
        (sent, receiver.join().expect("does not panic"), reader.join().expect("does not panic"), owner)
    });
    let counters = injector.counters();
    let mut by_rule = BTreeMap::new();
    for injection in &seen {
        assert_eq!(owner[&injection.event.revision], injection.event.rule_id, "a rule of another table decided");
        *by_rule.entry(injection.event.rule_id).or_insert(0u64) += 1;
    }
    let hits: BTreeMap<u32, u64> =
        counters.hits.iter().filter(|(_, hits)| **hits > 0).map(|(id, n)| (*id, *n)).collect();
    println!("{sent} sent, {} hits by {} tables, {} retries", seen.len(), by_rule.len(), counters.stale_retries);
    assert_eq!(hits, by_rule, "hits and events agree, rule by rule");
    // On a busy machine the receiver may be too slow for its socket: the namespace counts what it threw away itself.
    let overflowed = receive_buffer_errors(&cable.path(1));
    let missing = sent - received - overflowed;
    assert_eq!(missing, seen.len() as u64, "what is missing was dropped, and nothing else is missing");
    assert!(by_rule.len() > 50, "only {} tables met a packet", by_rule.len());
    assert_eq!((counters.events_lost, counters.stale_passed, counters.flows_lost), (0, 0, 0));
}

#[test]
fn hits_survive_the_reuse_of_their_places() {
    let mut injector = Injector::load().expect(LOADS);
    let _lease = injector.lease().expect("a thread");
    let frame = Spec::udp(v4(2), v4(1), 40_000, 80).frame();
    // Each table has as many new rules as fit; five of them need more places than there are.
    for table in 0..6u32 {
        let mut rules: Vec<Rule> = (1..16_384).map(|n| drop_to_port(table * 16_384 + n, 6, 9)).collect();
        rules.push(drop_to_port(table * 16_384, 17, 80));
        injector.publish(&rules).expect("fits");
        for _ in 0..=table {
            assert_eq!(injector.test_run(0, &frame, 1).expect("runs").action, Action::Drop);
        }
    }
    let hits = injector.counters().hits;
    for table in 0..6u32 {
        assert_eq!(hits[&(table * 16_384)], u64::from(table) + 1);
    }
    let too_many = vec![Rule::ANY; 16_385];
    assert!(matches!(injector.publish(&too_many), Err(InjectError::TooManyRules { count: 16_385, .. })));
}

#[test]
fn without_tcx_a_filter_is_used_and_removed_and_foreign_ones_stay() {
    let cable = Cable::new();
    let before = cable.looks();
    let options = Options { mechanism: Some(Mechanism::Clsact), ..Options::default() };
    let use_it = || {
        let mut injector = Injector::load_with(&options).expect(LOADS);
        let attached = injector.attach("b", Some(&cable.path(1)), "eth0").expect("attaches");
        assert_eq!(attached.mechanism, Mechanism::Clsact);
        let _lease = injector.lease().expect("a thread");
        injector.publish(&[drop_to_port(1, 17, 7001)]).expect("fits");
        let (sender, receiver) = (cable.udp(0, 5000, false), cable.udp(1, 7001, false));
        for _ in 0..10 {
            sender.send_to(b"x", address(1, 7001, false)).expect("sends");
        }
        assert_eq!(receive_all(&receiver), 0);
        assert_eq!(injector.counters().hits[&1], 10);
    };
    use_it();
    assert_eq!(cable.looks(), before);
    run(&format!("tc -n {} qdisc add dev eth0 clsact", cable.names[1]));
    run(&format!(
        "tc -n {} filter add dev eth0 ingress protocol ip prio 99 u32 match u32 0 0 flowid 1:1",
        cable.names[1]
    ));
    let before = cable.looks();
    use_it();
    assert_eq!(cable.looks(), before);
}

/// Set for the process that is to be killed: the file of the namespace.
const CHILD: &str = "FISSURE_INJECT_TEST_CHILD";

#[test]
#[ignore = "not a test: the process that a_killed_process_leaves_nothing starts"]
fn child_that_is_killed() {
    let netns = std::env::var_os(CHILD).expect("is started by another test");
    let mut injector = Injector::load().expect(LOADS);
    injector.attach("b", Some(netns.as_ref()), "eth0").expect("attaches");
    let _lease = injector.lease().expect("a thread");
    injector.publish(&[drop_to_port(1, 17, 7001)]).expect("fits");
    println!("child is ready");
    std::thread::sleep(Duration::from_secs(60));
}

/// The numbers of the programs, maps and links a process holds.
fn held(child: &Child) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", child.id())).expect("it lives") {
        let Ok(info) = std::fs::read_to_string(entry.expect("can be read").path()) else { continue };
        // A link's file tells the number of its program too.
        for kind in ["link", "prog", "map"] {
            if let Some(id) = info.lines().find_map(|line| line.strip_prefix(&format!("{kind}_id:"))) {
                ids.insert(format!("{kind} show id {}", id.trim()));
            }
        }
    }
    ids
}

fn exists(object: &str) -> bool {
    Command::new("bpftool").args(object.split(' ')).output().expect("is installed").status.success()
}

#[test]
fn a_killed_process_leaves_nothing() {
    let cable = Cable::new();
    let before = cable.looks();
    let mut child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["--ignored", "--exact", "child_that_is_killed", "--nocapture"])
        .env(CHILD, cable.path(1))
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut output = BufReader::new(child.stdout.take().expect("is piped")).lines();
    assert!(output.any(|line| line.expect("is text").contains("child is ready")));
    let (sender, receiver) = (cable.udp(0, 5000, false), cable.udp(1, 7001, false));
    sender.send_to(b"x", address(1, 7001, false)).expect("sends");
    assert_eq!(receive_all(&receiver), 0, "the fault is in force");
    assert_eq!(cable.tcx(1), 1, "and can be seen");
    let objects = held(&child);
    for kind in ["link", "prog", "map"] {
        assert!(objects.iter().any(|object| object.starts_with(kind) && exists(object)), "{objects:?}");
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("dies");
    let deadline = Instant::now() + Duration::from_secs(5);
    while objects.iter().any(|object| exists(object)) {
        assert!(Instant::now() < deadline, "still there: {objects:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(cable.tcx(1), 0);
    assert_eq!(cable.looks(), before);
    sender.send_to(b"x", address(1, 7001, false)).expect("sends");
    assert_eq!(receive_all(&receiver), 1, "and packets pass");
}
