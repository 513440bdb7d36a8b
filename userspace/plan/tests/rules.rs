//! Compiled rules cut exactly the links that were meant, and nothing else.
//!
//! The matcher here is written from the documentation of `Rule` alone, byte by byte and without cleverness.

use fissure_abi::Rule;
use fissure_plan::{
    CLIENTS_HOST, CompileError, FaultId, Host, Hosts, PacketFault, RULES_PER_FAULT, ResolvedFault, ResolvedKind,
    Situation, compile, parse,
    plan::{Direction, PacketFilter, PortSpec, Protocol},
    resolve,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, net::IpAddr};

#[derive(Clone, Copy, Debug)]
struct Packet {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    src_port: u16,
    dst_port: u16,
    /// 1 from the opener, 2 towards it.
    direction: u8,
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn same_prefix(a: [u8; 16], b: [u8; 16], bits: u8) -> bool {
    (0..usize::from(bits)).all(|bit| {
        let mask = 0x80_u8 >> (bit % 8);
        a[bit / 8] & mask == b[bit / 8] & mask
    })
}

fn matches(rule: &Rule, packet: &Packet) -> bool {
    same_prefix(rule.src_addr, sixteen(packet.src), rule.src_prefix)
        && same_prefix(rule.dst_addr, sixteen(packet.dst), rule.dst_prefix)
        && (rule.protocol == 0 || rule.protocol == packet.protocol)
        && (rule.direction == 0 || rule.direction == packet.direction)
        && (rule.src_port_min..=rule.src_port_max).contains(&packet.src_port)
        && (rule.dst_port_min..=rule.dst_port_max).contains(&packet.dst_port)
}

fn hosts(count: u8) -> Hosts {
    let host = |name: String, number: u8| Host {
        name,
        v4: Some([10, 77, 1, number].into()),
        v6: Some([0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number].into()),
    };
    let mut hosts: Vec<Host> = (1..=count).map(|number| host(format!("n{number}"), number + 10)).collect();
    hosts.push(host(CLIENTS_HOST.to_owned(), 2));
    Hosts { hosts, client_port: 7100, peer_port: 7101 }
}

fn addresses(host: &Host) -> [IpAddr; 2] {
    [host.v4.expect("v4").into(), host.v6.expect("v6").into()]
}

/// Asserts, for every ordered pair of hosts and both families, that `packet_of` is hit exactly on `links`.
fn assert_cuts(
    rules: &[Rule],
    hosts: &Hosts,
    links: &BTreeSet<(String, String)>,
    make: impl Fn(IpAddr, IpAddr) -> Packet,
) {
    for source in &hosts.hosts {
        for destination in &hosts.hosts {
            let meant = links.contains(&(source.name.clone(), destination.name.clone()));
            for (src, dst) in addresses(source).into_iter().zip(addresses(destination)) {
                let packet = make(src, dst);
                let hit = rules.iter().any(|rule| matches(rule, &packet));
                assert_eq!(hit, meant, "{} to {}: {packet:?}", source.name, destination.name);
            }
        }
    }
}

fn fault(links: &[(String, String)], filter: PacketFilter) -> ResolvedFault {
    let packets = PacketFault { links: links.to_vec(), filter };
    ResolvedFault { description: String::new(), nodes: Vec::new(), kind: ResolvedKind::Packets(packets) }
}

fn link(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

fn partition_fault(count: u8, kind: &str, seed: u64) -> ResolvedFault {
    let source = format!(
        "name = \"x\"\n[cluster]\ntarget = \"demo\"\nnodes = {count}\n[[workload]]\nkind = \"register\"\n[run]\n\
         faults = \"9s\"\n[[fault]]\nname = \"f\"\nfor = \"5s\"\npartition = {{ {kind} }}\n"
    );
    let (plan, problems) = parse(&source);
    let plan = plan.unwrap_or_else(|| panic!("{problems:?}"));
    let nodes = plan.cluster.nodes.clone();
    let primaries = vec![nodes[nodes.len() - 1].clone()];
    let situation = Situation { nodes, primaries, ..Situation::default() };
    resolve(&plan.schedule(seed).occurrences[0], &situation, seed).expect("resolves")
}

fn links_of(fault: &ResolvedFault) -> BTreeSet<(String, String)> {
    match &fault.kind {
        ResolvedKind::Packets(packets) => packets.links.iter().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

const KINDS: [&str; 7] = [
    "kind = \"halves\"",
    "kind = \"random-halves\"",
    "kind = \"isolate\", nodes = \"one\"",
    "kind = \"isolate\", nodes = [\"n2\", \"clients\"]",
    "kind = \"majorities-ring\"",
    "kind = \"bridge\"",
    "kind = \"one-way\", from = \"leader\", to = \"all\"",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn partitions_cut_what_they_mean(
        count in 4_u8..8, kinds in prop::collection::vec(0..KINDS.len(), 1..4), seed: u64,
        protocol in prop::sample::select(vec![1_u8, 6, 17]), src_port: u16, dst_port: u16, direction in 1_u8..3,
    ) {
        let faults: Vec<ResolvedFault> = kinds.iter().map(|kind| partition_fault(count, KINDS[*kind], seed)).collect();
        let active: Vec<(FaultId, &ResolvedFault)> = (1..).map(FaultId).zip(&faults).collect();
        let hosts = hosts(count);
        let table = compile(&active, &hosts, seed).expect("compiles");
        let links: BTreeSet<_> = faults.iter().flat_map(links_of).collect();
        prop_assert!(links.iter().all(|(from, to)| from != to));
        assert_cuts(&table.rules, &hosts, &links, |src, dst| Packet { src, dst, protocol, src_port, dst_port, direction });
    }

    #[test]
    fn rules_of_a_fault_do_not_depend_on_the_others(seed: u64, count in 4_u8..8) {
        let faults: Vec<ResolvedFault> = KINDS.iter().map(|kind| partition_fault(count, kind, seed)).collect();
        let hosts = hosts(count);
        let all: Vec<(FaultId, &ResolvedFault)> = (1..).map(FaultId).zip(&faults).collect();
        let together = compile(&all, &hosts, seed).expect("compiles");
        let mut backwards = all.clone();
        backwards.reverse();
        prop_assert_eq!(&compile(&backwards, &hosts, seed).expect("compiles"), &together);
        let ids: BTreeSet<u32> = together.rules.iter().map(|rule| rule.rule_id).collect();
        prop_assert_eq!(ids.len(), together.rules.len());
        for entry in &all {
            let alone = compile(&[*entry], &hosts, seed).expect("compiles");
            let within: Vec<Rule> =
                together.rules.iter().filter(|rule| rule.fault_id == entry.0.0).copied().collect();
            prop_assert_eq!(&alone.rules, &within);
            prop_assert_eq!(together.count_of(entry.0), within.len());
            prop_assert!(within.iter().all(|rule| rule.rule_id / RULES_PER_FAULT == entry.0.0));
        }
    }

    #[test]
    fn filters_hit_their_ports_protocol_and_direction(
        protocol in prop::sample::select(vec![Protocol::Any, Protocol::Tcp, Protocol::Udp]),
        direction in prop::sample::select(vec![Direction::Any, Direction::Request, Direction::Reply]),
        port in prop::sample::select(vec![None, Some(PortSpec::Client), Some(PortSpec::Peer), Some(PortSpec::Number(53))]),
        packet_protocol in prop::sample::select(vec![6_u8, 17]),
        service in prop::sample::select(vec![7100_u16, 7101, 53, 80]),
        is_reply: bool,
    ) {
        let filter = PacketFilter { port, protocol, direction, probability_ppm: 250_000 };
        let fault = fault(&[link("n1", "n2")], filter);
        let hosts = hosts(3);
        let table = compile(&[(FaultId(3), &fault)], &hosts, 1).expect("compiles");
        prop_assert!(table.rules.iter().all(|rule| rule.probability_ppm == 250_000 && rule.fault_id == 3));
        let number = port.map(|port| match port { PortSpec::Client => 7100, PortSpec::Peer => 7101, PortSpec::Number(n) => n });
        let meant = number.is_none_or(|number| number == service)
            && match protocol { Protocol::Any => true, Protocol::Tcp => packet_protocol == 6, Protocol::Udp => packet_protocol == 17 }
            && match direction { Direction::Any => true, Direction::Request => !is_reply, Direction::Reply => is_reply };
        let links = if meant { BTreeSet::from([link("n1", "n2")]) } else { BTreeSet::new() };
        let (src_port, dst_port) = if is_reply { (service, 40_000) } else { (40_000, service) };
        assert_cuts(&table.rules, &hosts, &links, |src, dst| Packet {
            src, dst, protocol: packet_protocol, src_port, dst_port, direction: if is_reply { 2 } else { 1 },
        });
    }
}

#[test]
fn what_cannot_be_compiled_is_refused() {
    let mut hosts = hosts(3);
    let compile_one = |fault: &ResolvedFault, hosts: &Hosts| compile(&[(FaultId(1), fault)], hosts, 1).map(|_| ());
    let unknown = fault(&[link("n1", "n9")], PacketFilter::ALL);
    let id = FaultId(1);
    assert_eq!(compile_one(&unknown, &hosts), Err(CompileError::UnknownHost { fault: id, host: "n9".to_owned() }));
    let empty = fault(&[], PacketFilter::ALL);
    assert_eq!(compile_one(&empty, &hosts), Err(CompileError::Empty { fault: id }));
    let good = fault(&[link("n1", "n2")], PacketFilter::ALL);
    assert_eq!(compile(&[(id, &good), (id, &good)], &hosts, 1), Err(CompileError::Twice { fault: id }));
    let last = FaultId(u32::MAX);
    assert_eq!(compile(&[(last, &good)], &hosts, 1), Err(CompileError::FaultIdTooLarge { fault: last }));
    hosts.hosts[0].v6 = None;
    assert_eq!(compile(&[(id, &good)], &hosts, 1).map(|table| table.rules.len()), Ok(1));
    hosts.hosts[1].v4 = None;
    let families = CompileError::NoCommonFamily { fault: id, from: "n1".to_owned(), to: "n2".to_owned() };
    assert_eq!(compile_one(&good, &hosts), Err(families));
}

#[test]
fn processes_have_no_rules() {
    let kill =
        ResolvedFault { description: String::new(), nodes: vec![], kind: ResolvedKind::Kill(vec!["n1".to_owned()]) };
    assert!(compile(&[(FaultId(1), &kill)], &hosts(3), 1).expect("compiles").rules.is_empty());
}

#[test]
fn seeds_differ_between_rules_and_runs() {
    let fault = fault(&[link("n1", "n2"), link("n2", "n1")], PacketFilter::ALL);
    let table = |seed| compile(&[(FaultId(1), &fault)], &hosts(3), seed).expect("compiles").rules;
    let seeds: BTreeSet<u64> = table(1).iter().chain(&table(2)).map(|rule| rule.seed).collect();
    assert_eq!(seeds.len(), 8);
}
