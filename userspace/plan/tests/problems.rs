//! What a person sees who made mistakes in a scenario.

use expect_test::{Expect, expect};
use fissure_plan::{Code, parse, render};
use proptest::prelude::*;

fn check(source: &str, expected: Expect) {
    let (plan, problems) = parse(source);
    assert_eq!(plan.is_some(), problems.is_empty());
    expected.assert_eq(&render(&problems, "s.toml", source));
}

const GOOD: &str = r#"
name = "good"
[cluster]
target = "demo"
nodes = 3
[[workload]]
kind = "register"
[run]
faults = "40s"
"#;

fn codes(addition: &str) -> Vec<Code> {
    let source = format!("{GOOD}{addition}");
    parse(&source).1.into_iter().map(|problem| problem.code).collect()
}

#[test]
fn a_minimal_scenario_is_right() {
    check(GOOD, expect![[""]]);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let source = r#"name = "Bad Name"
seed = "x"
colour = "red"

[cluster]
target = "demmo"
nodes = ["n1", "n2", "n1", "leader", "N5"]

[[workload]]
kind = "register"
concurency = "2n"
rate = 200
timeout = "1 fortnight"
max_txn_length = 4

[run]
faults = 40
warm_up = "3"

[[fault]]
name = "two at once"
at = "2s"
for = "6s"
every = "3s"
kill = { nodes = "minority" }
pause = { nodes = "clients" }

[[fault]]
name = "nothing"
for = "1s"

[[fault]]
partition = { kind = "isolat", nodes = "leader" }
drop = "all"
"#;
    check(
        source,
        expect![[r#"
            PLAN013 s.toml:1:8: `Bad Name` cannot be the name of a scenario
              1 | name = "Bad Name"
                |        ^^^^^^^^^^ not a name
              help: up to 64 lower-case letters, digits and hyphens: it names the run's folder
            PLAN004 s.toml:2:8: `seed` must be a whole number, not a string
              2 | seed = "x"
                |        ^^^ a string
            PLAN002 s.toml:3:1: unknown key `colour` in the scenario
              3 | colour = "red"
                | ^^^^^^ not a key of this table
              help: known here: `name`, `seed`, `cluster`, `workload`, `run`, `fault`, `nemesis`
            PLAN007 s.toml:6:10: `target` cannot be `demmo`
              6 | target = "demmo"
                |          ^^^^^^^ not known here
              help: did you mean `demo`?
            PLAN013 s.toml:7:22: node `n1` is listed twice
              7 | nodes = ["n1", "n2", "n1", "leader", "N5"]
                |                      ^^^^ again
            PLAN013 s.toml:7:28: a node cannot be named `leader`
              7 | nodes = ["n1", "n2", "n1", "leader", "N5"]
                |                            ^^^^^^^^ a word with a meaning of its own in faults
            PLAN013 s.toml:7:38: `N5` cannot be the name of a node
              7 | nodes = ["n1", "n2", "n1", "leader", "N5"]
                |                                      ^^^^ not a name
              help: up to 15 lower-case letters, digits and hyphens
            PLAN002 s.toml:11:1: unknown key `concurency` in [[workload]]
              11 | concurency = "2n"
                 | ^^^^^^^^^^ not a key of this table
              help: did you mean `concurrency`?
            PLAN005 s.toml:12:8: `rate` needs a unit
              12 | rate = 200
                 |        ^^^ no unit
              help: write "200/s"
            PLAN006 s.toml:13:11: `timeout` must be a duration
              13 | timeout = "1 fortnight"
                 |           ^^^^^^^^^^^^^ cannot be read
              help: a duration is a number and one of the units ns, us, ms, s, m, h: "90ms", "1.5s"
            PLAN012 s.toml:14:1: `max_txn_length` means nothing to a `register` workload
              14 | max_txn_length = 4
                 | ^^^^^^^^^^^^^^ only for `list-append`
            PLAN005 s.toml:17:10: `faults` needs a unit
              17 | faults = 40
                 |          ^^ no unit
              help: write "40s" for seconds or "40ms" for milliseconds
            PLAN005 s.toml:18:11: `warm_up` needs a unit
              18 | warm_up = "3"
                 |           ^^^ no unit
              help: write "3s" for seconds or "3ms" for milliseconds
            PLAN011 s.toml:24:9: the fault stays 6s and comes every 3s
              24 | every = "3s"
                 |         ^^^^ comes again before it is over
              help: `every` counts from start to start: make it longer than `for`
            PLAN010 s.toml:25:1: the fault has several actions
              25 | kill = { nodes = "minority" }
                 | ^^^^ the first
              26 | pause = { nodes = "clients" }
                 | ^^^^^ another
              help: write one [[fault]] for each; they may overlap in time
            PLAN009 s.toml:26:19: `nodes` cannot aim at the clients: they are part of the test
              26 | pause = { nodes = "clients" }
                 |                   ^^^^^^^^^ not a node
            PLAN010 s.toml:28:1: the fault does nothing
              28 | [[fault]]
                 | ^^^^^^^^^ no action
              help: one of: partition = { … }, drop = { … }, kill = { … }, pause = { … }
            PLAN003 s.toml:32:1: [[fault]] has no `name`
              32 | [[fault]]
                 | ^^^^^^^^^ needs `name`
              help: name = "isolate the leader"
            PLAN003 s.toml:32:1: [[fault]] has no `for`
              32 | [[fault]]
                 | ^^^^^^^^^ needs `for`
              help: for = "6s"
            PLAN010 s.toml:33:1: the fault has several actions
              33 | partition = { kind = "isolat", nodes = "leader" }
                 | ^^^^^^^^^ the first
              34 | drop = "all"
                 | ^^^^ another
              help: write one [[fault]] for each; they may overlap in time
            PLAN007 s.toml:33:22: `kind` cannot be `isolat`
              33 | partition = { kind = "isolat", nodes = "leader" }
                 |                      ^^^^^^^^ not known here
              help: did you mean `isolate`?
            PLAN004 s.toml:34:8: `drop` must be a table, not a string
              34 | drop = "all"
                 |        ^^^^^ a string
              help: drop = { from = "clients", to = "leader", probability = "20%" }
        "#]],
    );
}

#[test]
fn transactions_over_registers_have_options_of_their_own() {
    let source = |more: &str| {
        format!(
            "name = \"r\"\n[cluster]\ntarget = \"demo\"\nnodes = 3\n[[workload]]\nkind = \"rw-register\"\n{more}\n[run]\nfaults = \"9s\"\n"
        )
    };
    let right =
        source("keys = 3\nmax_txn_length = 2\nwfr_keys = true\nlinearizable_keys = true\nmodel = \"serializable\"");
    let (plan, problems) = fissure_plan::parse(&right);
    assert!(problems.is_empty());
    let workload = &plan.expect("no problems").workloads[0];
    assert_eq!((workload.name.as_str(), workload.model.as_str()), ("rw-register", "serializable"));
    let fissure_plan::WorkloadKind::RwRegister(plan) = &workload.kind else { panic!("{:?}", workload.kind) };
    assert_eq!((plan.keys, plan.txn_length_max, plan.max_writes_per_key), (3, 2, 64));
    assert_eq!((plan.wfr_keys, plan.sequential_keys, plan.linearizable_keys), (true, false, true));
    check(
        &source("mix = { read = 1, write = 1, cas = 0 }\nsequential_keys = 1"),
        expect![[r#"
        PLAN012 s.toml:7:1: `mix` means nothing to a `rw-register` workload
          7 | mix = { read = 1, write = 1, cas = 0 }
            | ^^^ only for `register`
        PLAN004 s.toml:8:19: `sequential_keys` must be true or false, not an integer
          8 | sequential_keys = 1
            |                   ^ an integer
    "#]],
    );
    check(
        "name = \"r\"\n[cluster]\ntarget = \"demo\"\nnodes = 3\n[[workload]]\nkind = \"list-append\"\nwfr_keys = true\n[run]\nfaults = \"9s\"\n",
        expect![[r#"
            PLAN012 s.toml:7:1: `wfr_keys` means nothing to a `list-append` workload
              7 | wfr_keys = true
                | ^^^^^^^^ only for `rw-register`
        "#]],
    );
}

#[test]
fn nodes_times_and_selectors_are_checked_against_the_rest() {
    let source = r#"name = "checked"
[cluster]
target = "etcd"
nodes = 3
bug = "stale-reads"
[[workload]]
kind = "list-append"
model = "strict-serialisable"
values = 5
[[workload]]
kind = "list-append"
[run]
faults = "20s"
[[fault]]
name = "late"
at = "18s"
for = "6s"
partition = { kind = "isolate", nodes = ["n1", "n7"] }
[[fault]]
name = "to itself"
for = "6s"
drop = { from = "n1", to = "n1", probability = "130%", port = "cleint" }
[[fault]]
name = "nobody"
for = "6s"
kill = { nodes = [] }
[[fault]]
name = "nobody"
for = "0s"
pause = { nodes = ["one"] }
[[fault]]
name = "ring of three"
for = "1s"
partition = { kind = "majorities-ring" }
[[fault]]
name = "leadr"
for = "1s"
partition = { kind = "one-way", from = "leadr", to = "all" }
"#;
    check(
        source,
        expect![[r#"
        PLAN012 s.toml:5:1: target `etcd` has no bugs to switch on
          5 | bug = "stale-reads"
            | ^^^ only for target `demo`
        PLAN007 s.toml:8:9: `model` cannot be `strict-serialisable`
          8 | model = "strict-serialisable"
            |         ^^^^^^^^^^^^^^^^^^^^^ not known here
          help: did you mean `strict-serializable`?
        PLAN012 s.toml:9:1: `values` means nothing to a `list-append` workload
          9 | values = 5
            | ^^^^^^ only for `register`
        PLAN013 s.toml:10:1: two workloads are named `list-append`
          10 | [[workload]]
             | ^^^^^^^^^^^^ the second
          help: give one of them another `name`
        PLAN011 s.toml:17:7: the fault would end at 24s, but the faults phase is 20s long
          17 | for = "6s"
             |       ^^^^ too late
          help: lengthen `faults` in [run], or start it earlier
        PLAN009 s.toml:18:48: the cluster has no node `n7`
          18 | partition = { kind = "isolate", nodes = ["n1", "n7"] }
             |                                                ^^^^ no such node
          help: did you mean `n1`?
        PLAN014 s.toml:22:8: the `drop` could hit nothing: there is no packet between these hosts
          22 | drop = { from = "n1", to = "n1", probability = "130%", port = "cleint" }
             |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ nothing in between
        PLAN006 s.toml:22:48: `probability` must be a probability
          22 | drop = { from = "n1", to = "n1", probability = "130%", port = "cleint" }
             |                                                ^^^^^^ cannot be read
          help: a probability is a percentage above 0% and at most 100%, to four decimals: "30%"
        PLAN007 s.toml:22:63: `port` cannot be `cleint`
          22 | drop = { from = "n1", to = "n1", probability = "130%", port = "cleint" }
             |                                                               ^^^^^^^^ not known here
          help: did you mean `client`?
        PLAN014 s.toml:26:18: `nodes` selects nothing
          26 | kill = { nodes = [] }
             |                  ^^ empty
          help: name hosts, or write "all"
        PLAN008 s.toml:29:7: `for` must be above 0
          29 | for = "0s"
             |       ^^^^ no time at all
        PLAN009 s.toml:30:20: the cluster has no node `one`
          30 | pause = { nodes = ["one"] }
             |                    ^^^^^ a selector stands alone, not in a list
          help: known here: `n1`, `n2`, `n3`
        PLAN014 s.toml:34:13: a `majorities-ring` partition needs at least 4 nodes
          34 | partition = { kind = "majorities-ring" }
             |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the cluster has 3
        PLAN009 s.toml:38:40: the cluster has no node `leadr`
          38 | partition = { kind = "one-way", from = "leadr", to = "all" }
             |                                        ^^^^^^^ no such node
          help: did you mean `leader`?
    "#]],
    );
}

#[test]
fn a_demo_has_its_own_bugs_and_no_serializable_reads() {
    let source = GOOD.replace("nodes = 3", "nodes = 3\nbug = \"stale-read\"\nreads = \"serializable\"");
    check(
        &source,
        expect![[r#"
        PLAN007 s.toml:6:7: `bug` cannot be `stale-read`
          6 | bug = "stale-read"
            |       ^^^^^^^^^^^^ not known here
          help: did you mean `stale-reads`?
        PLAN012 s.toml:7:9: target `demo` has no serializable reads
          7 | reads = "serializable"
            |         ^^^^^^^^^^^^^^ only for target `etcd`
    "#]],
    );
}

#[test]
fn what_is_not_toml_is_reported_beside_other_mistakes() {
    let source = "name = \"x\nseed = = 3\n[cluster]\ntarget = \"demo\"\nnodes = 3\nnodez = 4\n[[workload]\nkind = \"register\"\n";
    check(
        source,
        expect![[r#"
            PLAN001 s.toml:1:10: not TOML: invalid basic string, expected `"`
              1 | name = "x
                |          ^ here
            PLAN001 s.toml:2:8: not TOML: extra `=`, expected nothing
              2 | seed = = 3
                |        ^ here
            PLAN001 s.toml:2:10: not TOML: unexpected key or value, expected newline, `#`
              2 | seed = = 3
                |          ^ here
            PLAN002 s.toml:6:1: unknown key `nodez` in [cluster]
              6 | nodez = 4
                | ^^^^^ not a key of this table
              help: did you mean `nodes`?
            PLAN001 s.toml:7:12: not TOML: unclosed array table, expected `]`
              7 | [[workload]
                |            ^ here
        "#]],
    );
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    check(
        "",
        expect![[r#"
        PLAN003 s.toml:1:1: the scenario has no `name`
          1 | 
            | ^ needs `name`
          help: name = "my-scenario"
        PLAN003 s.toml:1:1: the scenario has no `cluster`
          1 | 
            | ^ needs `cluster`
          help: [cluster]
                target = "demo"
                nodes = 5
        PLAN003 s.toml:1:1: the scenario has no `workload`
          1 | 
            | ^ needs `workload`
          help: [[workload]]
                kind = "register"
        PLAN003 s.toml:1:1: the scenario has no `run`
          1 | 
            | ^ needs `run`
          help: [run]
                faults = "40s"
    "#]],
    );
}

#[test]
fn the_shape_of_tables_is_explained() {
    let source = "name = \"x\"\ncluster = 3\n[workload]\nkind = \"register\"\n[run]\nfaults = \"9s\"\n[[nemesis]]\n";
    check(
        source,
        expect![[r#"
        PLAN004 s.toml:2:11: `cluster` must be a table, not an integer
          2 | cluster = 3
            |           ^ an integer
          help: write it as [cluster]
        PLAN004 s.toml:3:1: `workload` must be an array of tables, not a table
          3 | [workload]
            | ^^^^^^^^^^ a table
          help: write [[workload]], with two brackets, once for each
        PLAN004 s.toml:7:1: `nemesis` must be a table, not an array
          7 | [[nemesis]]
            | ^^^^^^^^^^^ an array
          help: write it as [nemesis]
    "#]],
    );
}

#[test]
fn single_mistakes_have_their_codes() {
    let fault = |action: &str| codes(&format!("[[fault]]\nname = \"f\"\nfor = \"5s\"\n{action}\n"));
    assert_eq!(fault("kill = { nodes = \"one\" }"), []);
    assert_eq!(fault(""), [Code::FaultAction]);
    assert_eq!(fault("kill = { nodes = \"oen\" }"), [Code::UnknownNode]);
    assert_eq!(fault("kill = { nodes = [\"n1\", \"n1\"] }"), []);
    assert_eq!(fault("partition = { kind = \"isolate\", nodes = \"all\" }"), [Code::HitsNothing]);
    assert_eq!(fault("partition = { kind = \"isolate\", nodes = [\"n1\", \"n2\", \"n3\"] }"), [Code::HitsNothing]);
    assert_eq!(fault("partition = { kind = \"isolate\", nodes = [\"n1\", \"n2\", \"clients\"] }"), []);
    assert_eq!(fault("partition = { kind = \"bridge\", nodes = \"one\" }"), [Code::UnknownKey]);
    assert_eq!(fault("drop = { from = \"n1\" }"), [Code::MissingKey]);
    assert_eq!(fault("drop = { from = \"leader\", to = \"leader\" }"), [Code::HitsNothing]);
    assert_eq!(fault("drop = { from = \"n1\", to = \"n2\", port = 0 }"), [Code::OutOfRange]);
    assert_eq!(fault("drop = { from = \"n1\", to = \"n2\", probability = 0.5 }"), [Code::MissingUnit]);
    assert_eq!(fault("times = 3\nkill = { nodes = \"one\" }"), [Code::MissingKey]);
    assert_eq!(fault("every = \"10s\"\ntimes = 9\nkill = { nodes = \"one\" }"), [Code::FaultTime]);
    assert_eq!(codes("[nemesis]\nfaults = []\ninterval = \"4s\"\nfor = \"4s\"\n"), [Code::HitsNothing]);
    assert_eq!(codes("[nemesis]\nfaults = [\"kill\"]\ninterval = \"30s\"\nfor = \"4s\"\n"), [Code::FaultTime]);
    assert_eq!(codes("[nemesis]\nfaults = [\"kil\"]\ninterval = \"3s\"\nfor = \"4s\"\n"), [Code::UnknownWord]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let (_, problems) = parse(&text);
        let _ = render(&problems, "s.toml", &text);
    }

    /// Mutations of a scenario reach further than noise.
    #[test]
    fn no_mutation_of_an_example_panics(
        cuts in prop::collection::vec((0_usize..2000, 0_usize..40, "[ -~\n\u{e9}]{0,6}"), 1..6),
    ) {
        let mut text = include_str!("../../../examples/demo-lossy-links.toml").to_owned();
        for (start, length, insertion) in cuts {
            let floor = |at: usize| text.floor_char_boundary(at.min(text.len()));
            let range = floor(start)..floor(start + length);
            text.replace_range(range, &insertion);
        }
        let (plan, problems) = parse(&text);
        prop_assert_eq!(plan.is_some(), problems.is_empty());
        for problem in &problems {
            prop_assert!(problem.label.span.start <= text.len() && problem.label.span.end <= text.len());
        }
        let _ = render(&problems, "s.toml", &text);
        if let Some(plan) = plan {
            let _ = fissure_plan::explain(&plan, 1);
        }
    }
}
