//! The programs and the host's `parse()` and `decide()` must agree, on every packet and every field of its report.
//!
//! A model of what the kernel remembers (which connection, which direction, which index) is written here from the rules in
//! `fissure_abi::connection`, with ordinary maps; it is shown the same packets as the programs are.

mod common;

use std::{collections::HashMap, time::Duration};

use common::{Addr, Dice, Spec, v4, v6};
use fissure_abi::{
    Action, Connection, Direction, Flow, InjectionEvent, PacketIdentity, PacketView, Parsed, Rule, connection::Ends,
    decide, parse,
};
use fissure_inject::{Injection, Injector, Options};

#[derive(Clone, Copy)]
struct Known {
    direction: Direction,
    ordinal: u32,
    initial_seq: Option<u32>,
    packets: u64,
}

#[derive(Default)]
struct Model {
    flows: HashMap<Flow, Known>,
    ordinals: HashMap<Ends, u32>,
}

impl Model {
    /// The identity of a packet, and its connection's ordinal.
    fn see(&mut self, view: &PacketView) -> (PacketIdentity, u32) {
        let flow = view.flow;
        let syn = flow.protocol == 6 && view.tcp_flags & 2 != 0;
        let known = self.flows.get(&flow).copied();
        let opens = syn && known.is_none_or(|known| known.initial_seq != Some(view.tcp_seq));
        let mut known = match known {
            Some(known) if !opens => known,
            _ => self.identify(view, syn),
        };
        let index = known.packets;
        known.packets += 1;
        self.flows.insert(flow, known);
        let connection = Connection { ends: Ends::of(&flow, known.direction), ordinal: known.ordinal }.hash();
        (PacketIdentity { connection, direction: known.direction, index }, known.ordinal)
    }

    fn identify(&mut self, view: &PacketView, syn: bool) -> Known {
        let flow = view.flow;
        if !flow.has_ports() {
            return Known { direction: Direction::Unknown, ordinal: 0, initial_seq: None, packets: 0 };
        }
        let answered = self.flows.get(&flow.reversed()).copied();
        let (direction, ordinal) = if syn {
            let ack = view.tcp_flags & 0x10 != 0;
            let direction = if ack { Direction::Reply } else { Direction::Request };
            match answered {
                Some(answered) if ack => (direction, answered.ordinal),
                _ => (direction, self.next(Ends::of(&flow, direction))),
            }
        } else if let Some(answered) = answered {
            (answered.direction.reversed(), answered.ordinal)
        } else if flow.protocol == 17 {
            (Direction::Request, self.next(Ends::of(&flow, Direction::Request)))
        } else {
            (Direction::guess(&flow), 0)
        };
        Known { direction, ordinal, initial_seq: syn.then_some(view.tcp_seq), packets: 0 }
    }

    fn next(&mut self, ends: Ends) -> u32 {
        let ordinal = self.ordinals.entry(ends).or_default();
        *ordinal += 1;
        *ordinal
    }
}

fn random_addr(dice: &mut Dice, six: bool) -> Addr {
    let last = 1 + dice.below(6) as u8;
    if six { v6(last) } else { v4(last) }
}

fn random_spec(dice: &mut Dice) -> Spec {
    let six = dice.one_in(2);
    let (src, dst) = (random_addr(dice, six), random_addr(dice, six));
    let (client, server) = (40_000 + dice.below(3) as u16, 80 + dice.below(2) as u16);
    let (src_port, dst_port) = if dice.one_in(2) { (client, server) } else { (server, client) };
    let mut spec = match dice.below(8) {
        0 => Spec { protocol: *dice.pick(&[1, 58, 132, 59]), ..Spec::udp(src, dst, src_port, dst_port) },
        1..=3 => Spec::udp(src, dst, src_port, dst_port),
        _ => Spec::tcp(src, dst, src_port, dst_port),
    };
    if spec.protocol == 6 {
        spec.tcp_flags = *dice.pick(&[0x10, 0x10, 0x18, 0x02, 0x12, 0x11, 0x04]);
        spec.tcp_seq = dice.below(3) as u32;
    }
    spec.payload = dice.below(60) as usize;
    if dice.one_in(5) {
        spec.vlan_tags = 1 + dice.below(3) as usize;
    }
    if dice.one_in(5) {
        spec.options = dice.below(11) as usize;
        let count = dice.below(8) as usize;
        spec.extensions = (0..count).map(|_| *dice.pick(&[0, 43, 44, 51, 60])).collect();
    }
    if dice.one_in(6) {
        spec.fragment = dice.below(3) as u16;
    }
    spec
}

fn random_frame(dice: &mut Dice) -> Vec<u8> {
    let mut frame = random_spec(dice).frame();
    if dice.one_in(8) {
        let keep = 14 + dice.below(frame.len() as u64 - 14) as usize;
        frame.truncate(keep);
    }
    if dice.one_in(10) {
        let at = 12 + dice.below(frame.len() as u64 - 12) as usize;
        frame[at] ^= 1 << dice.below(8);
    }
    // BPF_PROG_TEST_RUN takes no IP packet without a whole IP header; behind a VLAN tag it does not look.
    let at_least = match frame[12..14] {
        [0x08, 0x00] => 34,
        [0x86, 0xdd] => 54,
        _ => 15,
    };
    if frame.len() < at_least {
        frame.resize(at_least, 0);
    }
    frame
}

fn random_rule(dice: &mut Dice, rule_id: u32) -> Rule {
    let six = dice.one_in(2);
    let mut rule = Rule { rule_id, fault_id: rule_id / 3, seed: dice.next(), ..Rule::ANY };
    rule.action = *dice.pick(&[1, 1, 1, 1, 0, 9]);
    rule.probability_ppm = *dice.pick(&[1_000_000, 500_000, 300_000, 10_000, 0]);
    let prefixes = [0, 8, 64, 96, 120, 125, 126, 127, 128, 200];
    rule.src_addr = random_addr(dice, six).bytes();
    rule.src_prefix = *dice.pick(&prefixes);
    rule.dst_addr = random_addr(dice, six).bytes();
    rule.dst_prefix = *dice.pick(&prefixes);
    rule.protocol = *dice.pick(&[0, 0, 6, 17]);
    rule.direction = *dice.pick(&[0, 0, 1, 2]);
    if dice.one_in(2) {
        (rule.src_port_min, rule.src_port_max) = *dice.pick(&[(80, 81), (40_001, 65_535), (0, 80), (81, 40_000)]);
    }
    if dice.one_in(2) {
        (rule.dst_port_min, rule.dst_port_max) = *dice.pick(&[(80, 81), (40_001, 65_535), (0, 80), (81, 40_000)]);
    }
    rule
}

struct Expected {
    view: PacketView,
    rule: Rule,
    identity: PacketIdentity,
    ordinal: u32,
    draw: u32,
}

fn check(expected: &Expected, injection: &Injection) {
    let Expected { view, rule, identity, ordinal, draw } = expected;
    let event = injection.event;
    let want = InjectionEvent {
        t_ns: event.t_ns,
        event_seq: event.event_seq,
        cpu: event.cpu,
        packet_index: identity.index,
        src: view.flow.src,
        dst: view.flow.dst,
        rule_id: rule.rule_id,
        fault_id: rule.fault_id,
        revision: rule.revision,
        action: rule.action,
        host: 0,
        tcp_seq: view.tcp_seq,
        length: view.length,
        conn_ordinal: *ordinal,
        draw: *draw,
        src_port: view.flow.src_port,
        dst_port: view.flow.dst_port,
        protocol: view.flow.protocol,
        direction: identity.direction as u8,
        tcp_flags: view.tcp_flags,
        family: view.family,
    };
    assert_eq!(event, want);
}

#[test]
fn the_programs_decide_as_the_host_does() {
    const TABLES: u64 = 400;
    const PACKETS: u64 = 150;
    let mut injector = Injector::load_with(&Options::default()).expect("needs root and `cargo xtask build`");
    let mut events = injector.events().expect("not taken");
    let _lease = injector.lease().expect("a thread");
    let mut model = Model::default();
    let mut dice = Dice::new(20);
    let (mut drops, mut malformed) = (0u64, 0);
    for table in 0..TABLES {
        // More rules about one flow than are remembered with it, too.
        let count = if table % 7 == 0 { 60 } else { dice.below(12) };
        let mut rules: Vec<Rule> = (0..count).map(|n| random_rule(&mut dice, n as u32)).collect();
        let revision = injector.publish(&rules).expect("fits").revision;
        rules.iter_mut().for_each(|rule| rule.revision = revision);
        let mut expected = Vec::new();
        for _ in 0..PACKETS {
            let frame = random_frame(&mut dice);
            let mut want = Action::Pass;
            let mut view = PacketView::default();
            match parse(&frame.as_slice(), &mut view) {
                Parsed::Packet => {
                    let (identity, ordinal) = model.see(&view);
                    let decision = decide(&rules, revision, &view.flow, identity);
                    want = decision.action;
                    if want == Action::Drop {
                        let rule = rules[decision.rule.expect("a drop has a rule")];
                        expected.push(Expected { view, rule, identity, ordinal, draw: decision.draw });
                    }
                }
                Parsed::NotIp => {}
                Parsed::Malformed => malformed += 1,
            }
            let got = injector.test_run(0, &frame, 1).unwrap_or_else(|error| panic!("{error:?}: {frame:02x?}"));
            assert_eq!(got.action, want, "table {table}, frame {frame:02x?}");
        }
        let mut got = Vec::new();
        events.read(Duration::ZERO, &mut got).expect("reads");
        assert_eq!(got.len(), expected.len(), "table {table}");
        expected.iter().zip(&got).for_each(|(expected, got)| check(expected, got));
        drops += got.len() as u64;
    }
    let counters = injector.counters();
    println!("{} cases, {drops} drops, {malformed} malformed; {counters:?}", TABLES * PACKETS);
    assert!(drops > TABLES * PACKETS / 20 && malformed > 100, "the cases are too tame");
    assert_eq!(counters.hits.values().sum::<u64>(), drops);
    assert_eq!(counters.parse_errors, malformed);
    assert_eq!(counters.events_lost + counters.stale_passed + counters.flows_lost + counters.lease_expired, 0);
}
