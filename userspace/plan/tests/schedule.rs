//! Schedules, their words, and the draws behind selectors.

use expect_test::{Expect, expect};
use fissure_plan::{
    FaultId, Occurrence, OverrideError, Overrides, Plan, ResolveError, ResolvedFault, ResolvedKind, Situation, explain,
    parse, resolve,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn plan(source: &str) -> Plan {
    let (plan, problems) = parse(source);
    assert!(problems.is_empty(), "{}", fissure_plan::render(&problems, "s.toml", source));
    plan.expect("no problems")
}

fn example(name: &str) -> Plan {
    let path = format!("{}/../../examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    plan(&std::fs::read_to_string(path).expect("example"))
}

fn nodes(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("n{number}")).collect()
}

fn situation(count: usize, primaries: &[&str]) -> Situation {
    let primaries = primaries.iter().map(|&name| name.to_owned()).collect();
    Situation { nodes: nodes(count), primaries, ..Situation::default() }
}

/// The single occurrence of a fault with this action in a cluster of `count` nodes.
fn occurrence(count: usize, action: &str) -> Occurrence {
    let source = format!(
        "name = \"x\"\n[cluster]\ntarget = \"demo\"\nnodes = {count}\n[[workload]]\nkind = \"register\"\n[run]\n\
         faults = \"9s\"\n[[fault]]\nname = \"f\"\nfor = \"5s\"\n{action}\n"
    );
    plan(&source).schedule(0).occurrences.remove(0)
}

fn resolved(count: usize, action: &str, seed: u64) -> ResolvedFault {
    resolve(&occurrence(count, action), &situation(count, &["n3", "n1"]), seed).expect("resolves")
}

fn check_explained(name: &str, seed: u64, expected: Expect) {
    expected.assert_eq(&explain(&example(name), seed));
}

#[test]
fn a_planned_scenario_explained() {
    check_explained(
        "demo-partition-leader",
        42,
        expect![[r#"
            demo-partition-leader, with seed 42

            5 nodes of demo (n1, n2, n3, n4, n5), with the bug stale-reads: a leader reads without asking a quorum whether it still leads.
            Workload register: 10 processes, 300/s in all, time-out 1s; read, write and cas in proportion 2:1:1 over 8 keys at a time, 400 operations each, unique values; judged as linearizable.
            Workload list-append: 5 processes, 150/s in all, time-out 1s; transactions of 1 to 4 appends and reads over 5 keys at a time (some of them hot), 64 appends each; judged as strict-serializable.
            The run has 3s of warm-up, 34s of faults, 5s to heal, and at most 15s for final reads.

            Faults, from the start of the faults phase:
               1  2s to 8s    isolate the leader: isolate the leader from all other nodes
               2  2s to 8s    lossy requests to the leader: drop 10% of TCP packets on the port for clients from clients to the leader
               3  14s to 20s  isolate the leader: isolate the leader from all other nodes
               4  14s to 20s  lossy requests to the leader: drop 10% of TCP packets on the port for clients from clients to the leader
               5  26s to 32s  isolate the leader: isolate the leader from all other nodes
               6  26s to 32s  lossy requests to the leader: drop 10% of TCP packets on the port for clients from clients to the leader

                                     0s         10s        20s        30s        40s         50s
            time                     |----------|----------|----------|----------|-----------|-------
            phase                    wwwwffffffffffffffffffffffffffffffffffffffhhhhhhrrrrrrrrrrrrrrrr
            isolate the leader       .....#######.......######.......#######.........................
            lossy requests to the l… .....#######.......######.......#######.........................
            phases: w warm-up, f faults, h heal, r final reads (at most)
        "#]],
    );
}

#[test]
fn a_random_scenario_explained() {
    check_explained(
        "demo-random-faults",
        7,
        expect![[r#"
            demo-random-faults, with seed 7

            5 nodes of demo (n1, n2, n3, n4, n5), with no bug switched on.
            Workload register: 10 processes, 300/s in all, time-out 1s; read, write and cas in proportion 2:1:1 over 10 keys at a time, 200 operations each, unique values; judged as linearizable.
            Workload list-append: 5 processes, 150/s in all, time-out 1s; transactions of 1 to 4 appends and reads over 5 keys at a time (some of them hot), 64 appends each; judged as strict-serializable.
            The run has 3s of warm-up, 1m of faults, 10s to heal, and at most 15s for final reads.

            Faults, from the start of the faults phase:
               1  5.479s to 10.479s   nemesis: cut a random half of the nodes from the other
               2  14.881s to 19.881s  nemesis: drop 30% of packets between one node and all nodes
               3  22.016s to 27.016s  nemesis: drop 50% of packets between the leader and all nodes
               4  30.999s to 35.999s  nemesis: kill a minority; restart at the end
               5  40.981s to 45.981s  nemesis: pause a minority; continue at the end
               6  49.912s to 54.912s  nemesis: isolate a minority from all other nodes

                                     0s     10s    20s    30s     40s    50s    1m     70s     80s
            time                     |------|------|------|-------|------|------|------|-------|-----
            phase                    wwwfffffffffffffffffffffffffffffffffffffffffffhhhhhhhhrrrrrrrrrr
            nemesis                  ......###....###..###...####...####...####......................
            phases: w warm-up, f faults, h heal, r final reads (at most)
        "#]],
    );
}

#[test]
fn a_fault_that_cannot_fire_explained() {
    check_explained(
        "never-fires",
        1,
        expect![[r#"
            never-fires, with seed 1

            3 nodes of demo (n1, n2, n3), with no bug switched on.
            Workload register: 6 processes, 100/s in all, time-out 1s; read, write and cas in proportion 2:1:1 over 10 keys at a time, 200 operations each, unique values; judged as linearizable.
            The run has 1s of warm-up, 8s of faults, 2s to heal, and at most 15s for final reads.

            Faults, from the start of the faults phase:
               1  1s to 6s  lose UDP: drop all UDP packets from n1 to n2

                                     0s          5s          10s         15s          20s         25s
            time                     |-----------|-----------|-----------|------------|-----------|--
            phase                    wwwffffffffffffffffffffhhhhhrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr
            lose UDP                 ....#############...............................................
            phases: w warm-up, f faults, h heal, r final reads (at most)
        "#]],
    );
}

#[test]
fn faults_in_words_with_names() {
    let lines: Vec<String> = [
        "partition = { kind = \"halves\" }",
        "partition = { kind = \"random-halves\" }",
        "partition = { kind = \"isolate\", nodes = \"leader\" }",
        "partition = { kind = \"isolate\", nodes = [\"n5\", \"clients\"] }",
        "partition = { kind = \"majorities-ring\" }",
        "partition = { kind = \"bridge\" }",
        "partition = { kind = \"one-way\", from = \"primaries\", to = \"all\" }",
        "drop = { from = \"clients\", to = \"leader\", port = 7100, protocol = \"tcp\", probability = \"20%\" }",
        "drop = { from = \"one\", to = \"one\", port = \"peer\", direction = \"reply\", both = true }",
        "kill = { nodes = \"minority\" }",
        "pause = { nodes = [\"n2\"] }",
    ]
    .into_iter()
    .map(|action| resolved(5, action, 3))
    .map(|fault| format!("{} [{}]", fault.description, fault.nodes.join(" ")))
    .collect();
    expect![[r#"
        cut n1 and n2 from n3, n4 and n5 [n1 n2 n3 n4 n5]
        cut n2 and n5 from n1, n3 and n4 [n1 n2 n3 n4 n5]
        isolate n3 (the leader) from n1, n2, n4 and n5 [n3]
        isolate n5 and clients from n1, n2, n3 and n4 [n5]
        majorities ring n2-n5-n4-n1-n3: each in touch only with its neighbours [n1 n2 n3 n4 n5]
        cut n2 and n5 from n1 and n4, with n3 in touch with both [n1 n2 n3 n4 n5]
        drop all packets from n1 and n3 (believed to lead) to n1, n2, n3, n4 and n5 (all) [n1 n3]
        drop 20% of TCP packets on port 7100 from clients to n3 (the leader) [n3]
        drop all reply packets on the port for peers between n2 and n1 [n2]
        kill n2 and n5 (a minority) [n2 n5]
        pause n2 [n2]"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_leader_must_be_known() {
    let nobody = situation(5, &[]);
    let fault = occurrence(5, "partition = { kind = \"isolate\", nodes = \"leader\" }");
    assert_eq!(resolve(&fault, &nobody, 1), Err(ResolveError::NoPrimary));
    let found = resolve(&fault, &situation(5, &["n4", "n2"]), 1).expect("n4 claims the newest term");
    assert_eq!(found.description, "isolate n4 (the leader) from n1, n2, n3 and n5");
}

#[test]
fn processes_that_are_down_are_not_killed_again() {
    let mut situation = situation(3, &["n2"]);
    situation.down = vec!["n2".to_owned()];
    situation.paused = vec!["n1".to_owned()];
    let down = occurrence(3, "kill = { nodes = \"leader\" }");
    assert!(matches!(resolve(&down, &situation, 1), Err(ResolveError::NoneLeft { .. })));
    for seed in 0..20 {
        let kill = resolve(&occurrence(3, "kill = { nodes = \"one\" }"), &situation, seed).expect("n1 or n3");
        assert!(matches!(&kill.kind, ResolvedKind::Kill(nodes) if *nodes != ["n2"]));
        let pause = resolve(&occurrence(3, "pause = { nodes = \"all\" }"), &situation, seed).expect("n3");
        assert_eq!(pause.kind, ResolvedKind::Pause(vec!["n3".to_owned()]));
    }
}

#[test]
fn all_primaries_isolated_is_nothing_to_cut() {
    let fault = occurrence(3, "partition = { kind = \"isolate\", nodes = \"primaries\" }");
    let error = resolve(&fault, &situation(3, &["n1", "n2", "n3"]), 1).expect_err("nobody is left outside");
    expect!["there is nothing to cut: isolate n1, n2 and n3 (believed to lead) from nothing"]
        .assert_eq(&error.to_string());
}

#[test]
fn every_node_is_drawn_sooner_or_later() {
    let fault = occurrence(5, "kill = { nodes = \"one\" }");
    let drawn: BTreeSet<String> =
        (0..200).map(|seed| resolve(&fault, &situation(5, &[]), seed).expect("one").description).collect();
    assert_eq!(drawn.len(), 5, "{drawn:?}");
}

#[test]
fn overrides_are_checked() {
    let plan = example("demo-partition-leader");
    let with = |overrides: Overrides| plan.clone().with_overrides(&overrides);
    let healthy =
        with(Overrides { bug: Some("none".to_owned()), seed: Some(9), ..Overrides::default() }).expect("fits");
    assert_eq!((healthy.cluster.bug, healthy.seed), (None, Some(9)));
    let unknown = with(Overrides { bug: Some("stale".to_owned()), ..Overrides::default() }).expect_err("no such bug");
    expect!["target demo has no bug `stale`: it has stale-reads, ack-before-replicated, non-atomic-txn and none"]
        .assert_eq(&unknown.to_string());
    let shorter = with(Overrides { faults_ns: Some(10_000_000_000), ..Overrides::default() }).expect("one fits");
    let fitting = shorter.schedule(1).occurrences;
    assert!(fitting.iter().all(|occurrence| occurrence.number == 1), "each fault fits once: {fitting:?}");
    assert_eq!(fitting.len(), plan.faults.len());
    let short = with(Overrides { faults_ns: Some(7_000_000_000), ..Overrides::default() }).expect_err("none fits");
    assert!(matches!(short, OverrideError::TooShort { .. }));
    expect!["7s of faults are too short: `isolate the leader` ends at 8s"].assert_eq(&short.to_string());
}

#[test]
fn a_majorities_ring_shows_every_node_another_majority() {
    for count in 4..=11 {
        for seed in 0..20 {
            let ring = resolved(count, "partition = { kind = \"majorities-ring\" }", seed);
            let ResolvedKind::Packets(packets) = ring.kind else { panic!("packets") };
            let mut views = BTreeSet::new();
            for node in nodes(count) {
                let view: Vec<String> = nodes(count)
                    .into_iter()
                    .filter(|other| !packets.links.contains(&(other.clone(), node.clone())))
                    .collect();
                assert!(view.len() > count / 2, "{node} sees only {view:?}");
                views.insert(view);
            }
            assert_eq!(views.len(), count, "two of {count} nodes see the same majority");
            let symmetric = packets.links.iter().all(|(a, b)| packets.links.contains(&(b.clone(), a.clone())));
            assert!(symmetric);
        }
    }
}

proptest! {
    #[test]
    fn the_same_seed_gives_the_same_schedule(seed: u64) {
        for name in ["demo-random-faults", "demo-partition-leader", "etcd-linearizable"] {
            let plan = example(name);
            let (first, again) = (plan.schedule(seed), plan.schedule(seed));
            prop_assert_eq!(format!("{first:?}"), format!("{again:?}"));
            prop_assert!(first.steps.is_sorted());
            for (occurrence, id) in first.occurrences.iter().zip(1..) {
                prop_assert_eq!(occurrence.id, FaultId(id));
                prop_assert!(occurrence.start_ns < occurrence.stop_ns);
                prop_assert!(occurrence.stop_ns <= plan.phases.faults_ns);
            }
            let mut in_force = BTreeSet::new();
            for step in &first.steps {
                match step.action {
                    fissure_plan::Action::Start => prop_assert!(in_force.insert(step.fault)),
                    fissure_plan::Action::Stop => prop_assert!(in_force.remove(&step.fault)),
                }
            }
            prop_assert!(in_force.is_empty());
            let situation = situation(plan.cluster.nodes.len(), &["n2"]);
            for occurrence in &first.occurrences {
                prop_assert_eq!(resolve(occurrence, &situation, seed), resolve(occurrence, &situation, seed));
                prop_assert!(resolve(occurrence, &situation, seed).is_ok());
            }
        }
    }

    #[test]
    fn nemesis_faults_do_not_overlap(seed: u64) {
        let schedule = example("demo-random-faults").schedule(seed);
        for pair in schedule.occurrences.windows(2) {
            prop_assert!(pair[0].stop_ns < pair[1].start_ns);
        }
    }
}
