//! What is said of `decide`, `draw`, `matches` and the parsers, against slower and plainer ways to say it.

use fissure_abi::{
    Action, Connection, Decision, Direction, Flow, PacketIdentity, PacketView, Parsed, Rule, connection::Ends, decide,
    draw, fires, matches, packet::FLOW_HAS_PORTS, parse, parse_plain,
};
use proptest::prelude::*;

/// Addresses that often share a prefix.
fn addresses() -> impl Strategy<Value = [u8; 16]> {
    (prop::array::uniform16(any::<u8>()), 0..=16usize).prop_map(|(mut address, shared)| {
        address[..shared].fill(0x2a);
        address
    })
}

fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(80), Just(u16::MAX), any::<u16>()]
}

fn flows() -> impl Strategy<Value = Flow> {
    let protocol = prop_oneof![Just(6u8), Just(17), Just(1), any::<u8>()];
    (addresses(), addresses(), ports(), ports(), protocol, any::<bool>()).prop_map(
        |(src, dst, src_port, dst_port, protocol, has_ports)| Flow {
            src: fissure_abi::Addr::from_bytes(src),
            dst: fissure_abi::Addr::from_bytes(dst),
            src_port: if has_ports { src_port } else { 0 },
            dst_port: if has_ports { dst_port } else { 0 },
            protocol,
            flags: if has_ports { FLOW_HAS_PORTS } else { 0 },
            padding: 0,
        },
    )
}

fn directions() -> impl Strategy<Value = Direction> {
    (0u8..3).prop_map(Direction::from_u8)
}

fn ranges() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![Just((0, u16::MAX)), Just((80, 80)), (ports(), ports())]
}

prop_compose! {
    fn rules()(
        src_addr in addresses(), dst_addr in addresses(), src_prefix in 0u8..=130, dst_prefix in 0u8..=130,
        protocol in prop_oneof![Just(0u8), Just(6), Just(17)], direction in 0u8..3,
        (src_port_min, src_port_max) in ranges(), (dst_port_min, dst_port_max) in ranges(),
        probability_ppm in prop_oneof![Just(1_000_000u32), Just(0), 0u32..1_000_000],
        action in 0u32..3, rule_id in 0u32..50, seed in any::<u64>(), revision in prop_oneof![Just(5u32), Just(5), Just(4)],
    ) -> Rule {
        Rule {
            rule_id, fault_id: 1, action, probability_ppm, src_addr, dst_addr, src_prefix, dst_prefix, protocol, direction,
            src_port_min, src_port_max, dst_port_min, dst_port_max, revision, seed,
        }
    }
}

prop_compose! {
    /// Rules that often match.
    fn wide_rules()(mut rule in rules(), narrow in any::<[bool; 4]>()) -> Rule {
        if !narrow[0] { rule.src_prefix = 0; }
        if !narrow[1] { rule.dst_prefix = 0; }
        if !narrow[2] { (rule.src_port_min, rule.src_port_max) = (0, u16::MAX); }
        if !narrow[3] { (rule.dst_port_min, rule.dst_port_max) = (0, u16::MAX); }
        rule
    }
}

fn identities() -> impl Strategy<Value = PacketIdentity> {
    (any::<u64>(), directions(), any::<u64>()).prop_map(|(connection, direction, index)| PacketIdentity {
        connection,
        direction,
        index,
    })
}

/// Bit by bit.
fn in_prefix(address: [u8; 16], network: [u8; 16], prefix: u8) -> bool {
    let bit = |bytes: [u8; 16], n: u8| bytes[n as usize / 8] >> (7 - n % 8) & 1;
    (0..prefix.min(128)).all(|n| bit(address, n) == bit(network, n))
}

fn in_range(port: u16, has_ports: bool, min: u16, max: u16) -> bool {
    let everything = min == 0 && max == u16::MAX;
    everything || (has_ports && (min..=max).contains(&port))
}

fn plainly_matches(rule: &Rule, flow: &Flow, direction: Direction) -> bool {
    [
        rule.protocol == 0 || rule.protocol == flow.protocol,
        rule.direction == 0 || rule.direction == direction as u8,
        in_range(flow.src_port, flow.has_ports(), rule.src_port_min, rule.src_port_max),
        in_range(flow.dst_port, flow.has_ports(), rule.dst_port_min, rule.dst_port_max),
        in_prefix(flow.src.bytes(), rule.src_addr, rule.src_prefix),
        in_prefix(flow.dst.bytes(), rule.dst_addr, rule.dst_prefix),
    ]
    .into_iter()
    .all(|holds| holds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn matching_is_what_the_fields_say(rule in wide_rules(), flow in flows(), direction in directions()) {
        prop_assert_eq!(matches(&rule, &flow, direction), plainly_matches(&rule, &flow, direction));
    }

    #[test]
    fn a_prefix_matches_bit_by_bit(src in addresses(), network in addresses(), prefix in 0u8..=140) {
        let rule = Rule { src_addr: network, src_prefix: prefix, ..Rule::ANY };
        let flow = Flow { src: fissure_abi::Addr::from_bytes(src), ..Flow::default() };
        prop_assert_eq!(matches(&rule, &flow, Direction::Unknown), in_prefix(src, network, prefix));
    }

    #[test]
    fn the_first_rule_that_matches_and_fires_decides(
        table in prop::collection::vec(wide_rules(), 0..12), flow in flows(), packet in identities(),
    ) {
        let speaks = |rule: &Rule| {
            rule.revision == 5
                && plainly_matches(rule, &flow, packet.direction)
                && (rule.probability_ppm >= 1_000_000
                    || fires(draw(rule.seed, rule.rule_id, packet), rule.probability_ppm))
        };
        let decision = decide(&table, 5, &flow, packet);
        match table.iter().position(speaks) {
            None => prop_assert_eq!(decision, Decision::PASS),
            Some(first) => {
                prop_assert_eq!(decision.rule, Some(first));
                prop_assert_eq!(decision.action, Action::from_u32(table[first].action));
            }
        }
        prop_assert_eq!(decide(&table, 5, &flow, packet), decision, "it has no memory");
    }

    #[test]
    fn rules_of_another_revision_are_not_there(
        table in prop::collection::vec(wide_rules(), 0..12), flow in flows(), packet in identities(),
    ) {
        let of_this: Vec<Rule> = table.iter().filter(|rule| rule.revision == 5).copied().collect();
        let (all, less) = (decide(&table, 5, &flow, packet), decide(&of_this, 5, &flow, packet));
        prop_assert_eq!((all.action, all.draw), (less.action, less.draw));
        prop_assert_eq!(all.rule.map(|rule| table[rule]), less.rule.map(|rule| of_this[rule]));
    }

    #[test]
    fn a_throw_depends_on_each_of_its_causes(seed in any::<u64>(), rule_id in any::<u32>(), packet in identities()) {
        let here = draw(seed, rule_id, packet);
        prop_assert_eq!(here, draw(seed, rule_id, packet));
        // Another throw is equal by chance once in 2^32.
        prop_assert_ne!(here, draw(seed ^ 1, rule_id, packet));
        prop_assert_ne!(here, draw(seed, rule_id ^ 1, packet));
        prop_assert_ne!(here, draw(seed, rule_id, PacketIdentity { connection: packet.connection ^ 1, ..packet }));
        prop_assert_ne!(here, draw(seed, rule_id, PacketIdentity { index: packet.index ^ 1, ..packet }));
    }

    #[test]
    fn both_ends_name_a_connection_alike(flow in flows(), ordinal in any::<u32>()) {
        let asked = Ends::of(&flow, Direction::Request);
        prop_assert_eq!(asked, Ends::of(&flow.reversed(), Direction::Reply));
        let hash = Connection { ends: asked, ordinal }.hash();
        prop_assert_ne!(hash, Connection { ends: asked, ordinal: ordinal.wrapping_add(1) }.hash());
        prop_assert_eq!(Direction::guess(&flow), Direction::guess(&flow.reversed()).reversed());
    }

    #[test]
    fn the_plain_parser_says_what_the_parser_says(
        mut frame in prop::collection::vec(any::<u8>(), 0..120), six in any::<bool>(), protocol in 0u8..20, odd in any::<u8>(),
    ) {
        if frame.len() > 24 {
            frame[12..14].copy_from_slice(if six { &[0x86, 0xdd] } else { &[0x08, 0x00] });
            frame[14] = if six { 0x60 } else { 0x45 };
            if odd % 4 != 0 && !six { frame[20..22].fill(0); }
            if odd % 8 == 0 { frame[14] = odd; }
            frame[if six { 20 } else { 23 }] = if odd % 2 == 0 { 6 } else { protocol };
        }
        let (mut plain, mut full) = (PacketView::default(), PacketView::default());
        let bytes = frame.as_slice();
        let parsed = parse(&bytes, &mut full);
        if parse_plain(&bytes, &mut plain) {
            prop_assert_eq!(parsed, Parsed::Packet);
            prop_assert_eq!(plain, full);
        }
        if frame.len() < 14 {
            prop_assert_eq!(parsed, Parsed::Malformed);
        }
    }
}

#[test]
fn rules_fire_as_often_as_they_say() {
    const THROWS: u64 = 200_000;
    for ppm in [1u32, 1_000, 10_000, 300_000, 500_000, 999_000] {
        let hits = (0..THROWS)
            .filter(|n| {
                // Ten connections, both directions.
                let direction = Direction::from_u8(1 + (n % 2) as u8);
                let packet = PacketIdentity { connection: n % 10, direction, index: n / 20 };
                fires(draw(99, 7, packet), ppm)
            })
            .count() as f64;
        let expected = THROWS as f64 * f64::from(ppm) / 1e6;
        let deviation = (expected * (1.0 - f64::from(ppm) / 1e6)).sqrt();
        assert!((hits - expected).abs() <= 5.0 * deviation + 3.0, "{ppm} ppm: {hits} instead of {expected}");
    }
    assert!(!fires(0, 0) && fires(u32::MAX, 1_000_000));
}

#[test]
fn throws_of_neighbours_have_nothing_to_do_with_each_other() {
    // Of all pairs of packets that follow each other, a quarter are both hit at 50 %.
    let hit =
        |index| fires(draw(1, 1, PacketIdentity { connection: 3, direction: Direction::Request, index }), 500_000);
    let both = (0..100_000u64).filter(|n| hit(*n) && hit(n + 1)).count();
    assert!((24_300..25_700).contains(&both), "{both}");
}

#[test]
fn ipv4_is_mapped() {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 2, 3, 10, 1, 2, 4]);
    frame.extend([0x1f, 0x90, 0, 53, 0, 8, 0, 0]);
    let mut view = PacketView::default();
    assert_eq!(parse(&frame.as_slice(), &mut view), Parsed::Packet);
    assert_eq!(view.flow.src.bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]);
    assert_eq!((view.flow.src_port, view.flow.dst_port, view.length, view.family), (8080, 53, 28, 4));
    let rule = Rule { src_addr: view.flow.src.bytes(), src_prefix: 120, ..Rule::ANY };
    let neighbour = Flow { src: fissure_abi::Addr::mapped(u32::from_ne_bytes([10, 1, 2, 200])), ..view.flow };
    let stranger = Flow { src: fissure_abi::Addr::mapped(u32::from_ne_bytes([10, 1, 3, 3])), ..view.flow };
    assert!(matches(&rule, &neighbour, Direction::Unknown) && !matches(&rule, &stranger, Direction::Unknown));
}
