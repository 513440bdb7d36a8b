//! The `[[fault]]` and `[nemesis]` tables of a scenario.

use crate::{
    plan::{
        CLIENTS_HOST, Direction, DropSpec, FaultPlan, FaultSpec, NemesisKind, NemesisPlan, PacketFilter, PartitionSpec,
        PortSpec, Protocol, Repeat, Selector,
    },
    problem::{Code, Problems},
    quantity::show_duration,
    table::{self, Item, Section},
};
use toml::de::DeValue;

/// What faults are checked against; `None` where that part of the scenario is itself wrong.
pub(crate) struct Context<'a> {
    /// Names of the nodes.
    pub(crate) nodes: Option<&'a [String]>,
    /// Length of the faults phase, ns.
    pub(crate) faults_ns: Option<u64>,
}

const ACTIONS: [&str; 4] = ["partition", "drop", "kill", "pause"];

pub(crate) fn faults(item: &Item, context: &Context, problems: &mut Problems) -> Vec<FaultPlan> {
    let mut plans: Vec<FaultPlan> = Vec::new();
    for section in table::sections(item, problems) {
        let span = section.span.clone();
        let Some(plan) = fault(section, context, problems) else { continue };
        if plans.iter().any(|other| other.name == plan.name) {
            problems
                .add(Code::BadName, span, format!("two faults are named `{}`", plan.name), "the second")
                .help("give one of them another `name`; for the same fault again and again there is `every`");
        }
        plans.push(plan);
    }
    plans
}

fn fault(mut section: Section, context: &Context, problems: &mut Problems) -> Option<FaultPlan> {
    let span = section.span.clone();
    let name =
        section.require("name", "name = \"isolate the leader\"", problems).and_then(|item| fault_name(&item, problems));
    let timing = timing(&mut section, context, problems);
    let mut found: Vec<(Item, Option<FaultSpec>)> = Vec::new();
    for action in ACTIONS {
        let Some(item) = section.take(action) else { continue };
        let spec = match action {
            "partition" => partition(&item, context, problems).map(FaultSpec::Partition),
            "drop" => drop_spec(&item, context, problems).map(FaultSpec::Drop),
            "kill" => process_fault(&item, context, problems).map(FaultSpec::Kill),
            _ => process_fault(&item, context, problems).map(FaultSpec::Pause),
        };
        found.push((item, spec));
    }
    let help = "one of: partition = { … }, drop = { … }, kill = { … }, pause = { … }";
    section.finish(problems);
    match found.as_slice() {
        [] => {
            problems.add(Code::FaultAction, span, "the fault does nothing", "no action").help(help);
            None
        }
        [(_, spec)] => {
            let (at_ns, for_ns, repeat) = timing?;
            Some(FaultPlan { name: name?, at_ns, for_ns, repeat, spec: spec.clone()? })
        }
        [(first, _), others @ ..] => {
            let message = "the fault has several actions";
            let problem = problems.add(Code::FaultAction, first.key_span.clone(), message, "the first");
            for (other, _) in others {
                problem.related(other.key_span.clone(), "another");
            }
            problem.help("write one [[fault]] for each; they may overlap in time");
            None
        }
    }
}

fn fault_name(item: &Item, problems: &mut Problems) -> Option<String> {
    let text = table::string(item, problems)?;
    let printable = !text.trim().is_empty() && text.chars().count() <= 64 && !text.chars().any(char::is_control);
    if !printable {
        let message = "the name of a fault is one line of at most 64 characters";
        problems.add(Code::BadName, item.value.span(), message, "not a name");
        return None;
    }
    Some(text.to_owned())
}

/// Start, length, repetition.
fn timing(section: &mut Section, context: &Context, problems: &mut Problems) -> Option<(u64, u64, Option<Repeat>)> {
    let at_item = section.take("at");
    let at_ns = at_item.as_ref().map_or(Some(0), |item| table::duration(item, problems));
    let for_item = section.require("for", "for = \"6s\"", problems);
    let for_ns = for_item.as_ref().and_then(|item| table::positive_duration(item, problems));
    let every_item = section.take("every");
    let every_ns = every_item.as_ref().and_then(|item| table::positive_duration(item, problems));
    let times_item = section.take("times");
    let times = times_item.as_ref().and_then(|item| table::count(item, 1..=1_000_000, problems));
    if let (None, Some(item)) = (&every_item, &times_item) {
        problems.add(Code::MissingKey, item.key_span.clone(), "`times` without `every`", "how far apart?");
        return None;
    }
    let (at_ns, for_ns) = (at_ns?, for_ns?);
    if let (Some(item), Some(every_ns)) = (&every_item, every_ns)
        && every_ns < for_ns
    {
        let message = format!("the fault stays {} and comes every {}", show_duration(for_ns), show_duration(every_ns));
        let problem = problems.add(Code::FaultTime, item.value.span(), message, "comes again before it is over");
        problem.help("`every` counts from start to start: make it longer than `for`");
        return None;
    }
    let repeat = every_ns.map(|every_ns| Repeat { every_ns, times });
    let last_ns = repeat.and_then(|repeat| Some(repeat.every_ns.saturating_mul(repeat.times? - 1))).unwrap_or(0);
    let end_ns = at_ns.saturating_add(last_ns).saturating_add(for_ns);
    if let Some(faults_ns) = context.faults_ns.filter(|faults_ns| end_ns > *faults_ns) {
        let span = times_item.or(for_item).map_or(section.span.clone(), |item| item.value.span());
        let (end, phase) = (show_duration(end_ns), show_duration(faults_ns));
        let message = format!("the fault would end at {end}, but the faults phase is {phase} long");
        problems
            .add(Code::FaultTime, span, message, "too late")
            .help("lengthen `faults` in [run], or start it earlier");
        return None;
    }
    Some((at_ns, for_ns, repeat))
}

fn partition(item: &Item, context: &Context, problems: &mut Problems) -> Option<PartitionSpec> {
    let example = "partition = { kind = \"halves\" }";
    let mut section = table::section(item, "`partition`", example, problems)?;
    let kinds = ["halves", "random-halves", "isolate", "majorities-ring", "bridge", "one-way"];
    let kinds = kinds.map(|kind| (kind, kind));
    let kind = section
        .require("kind", "kind = \"isolate\"", problems)
        .and_then(|item| table::word(&item, &kinds, problems))?;
    let spec = match kind {
        "halves" => Some((PartitionSpec::Halves, 2)),
        "random-halves" => Some((PartitionSpec::RandomHalves, 2)),
        "majorities-ring" => Some((PartitionSpec::MajoritiesRing, 4)),
        "bridge" => Some((PartitionSpec::Bridge, 3)),
        "isolate" => selector_at(&mut section, "nodes", "nodes = \"leader\"", true, context, problems)
            .map(|nodes| (PartitionSpec::Isolate(nodes), 2)),
        _ => {
            let from = selector_at(&mut section, "from", "from = \"leader\"", true, context, problems);
            let to = selector_at(&mut section, "to", "to = \"all\"", true, context, problems);
            from.zip(to).map(|(from, to)| (PartitionSpec::OneWay { from, to }, 1))
        }
    };
    section.finish(problems);
    let (spec, nodes_min) = spec?;
    let nodes = context.nodes.unwrap_or_default();
    if context.nodes.is_some() && nodes.len() < nodes_min {
        let message = format!("a `{kind}` partition needs at least {nodes_min} nodes");
        let label = format!("the cluster has {}", nodes.len());
        problems.add(Code::HitsNothing, item.value.span(), message, label);
        return None;
    }
    let hollow = match &spec {
        PartitionSpec::Isolate(Selector::All) => true,
        PartitionSpec::Isolate(Selector::Names(names)) => {
            context.nodes.is_some() && nodes.iter().all(|node| names.contains(node))
        }
        PartitionSpec::OneWay { from, to } => same_host(from, to, nodes),
        _ => false,
    };
    refuse_hollow(hollow, item, problems).then_some(spec)
}

fn drop_spec(item: &Item, context: &Context, problems: &mut Problems) -> Option<DropSpec> {
    let example = "drop = { from = \"clients\", to = \"leader\", probability = \"20%\" }";
    let mut section = table::section(item, "`drop`", example, problems)?;
    let from = selector_at(&mut section, "from", "from = \"clients\"", true, context, problems);
    let to = selector_at(&mut section, "to", "to = \"leader\"", true, context, problems);
    let both = section.take("both").and_then(|item| table::boolean(&item, problems)).unwrap_or(false);
    let port = section.take("port").and_then(|item| port(&item, problems));
    let protocols = [("any", Protocol::Any), ("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let protocol = section.take("protocol").and_then(|item| table::word(&item, &protocols, problems));
    let directions = [("any", Direction::Any), ("request", Direction::Request), ("reply", Direction::Reply)];
    let direction = section.take("direction").and_then(|item| table::word(&item, &directions, problems));
    let probability = section.take("probability").and_then(|item| table::share(&item, problems));
    section.finish(problems);
    let (from, to) = (from?, to?);
    if !refuse_hollow(same_host(&from, &to, context.nodes.unwrap_or_default()), item, problems) {
        return None;
    }
    let filter = PacketFilter {
        port,
        protocol: protocol.unwrap_or(Protocol::Any),
        direction: direction.unwrap_or(Direction::Any),
        probability_ppm: probability.unwrap_or(1_000_000),
    };
    Some(DropSpec { from, to, both, filter })
}

fn port(item: &Item, problems: &mut Problems) -> Option<PortSpec> {
    match item.value.get_ref() {
        DeValue::Integer(_) => {
            let number = table::count(item, 1..=u64::from(u16::MAX), problems)?;
            u16::try_from(number).ok().map(PortSpec::Number)
        }
        _ => table::word(item, &[("client", PortSpec::Client), ("peer", PortSpec::Peer)], problems),
    }
}

/// The nodes of a kill or a pause.
fn process_fault(item: &Item, context: &Context, problems: &mut Problems) -> Option<Selector> {
    let example = format!("{} = {{ nodes = \"minority\" }}", item.key);
    let mut section = table::section(item, &format!("`{}`", item.key), &example, problems)?;
    let nodes = selector_at(&mut section, "nodes", "nodes = \"minority\"", false, context, problems);
    section.finish(problems);
    nodes
}

fn refuse_hollow(hollow: bool, item: &Item, problems: &mut Problems) -> bool {
    if hollow {
        let message = format!("the `{}` could hit nothing: there is no packet between these hosts", item.key);
        problems.add(Code::HitsNothing, item.value.span(), message, "nothing in between");
    }
    !hollow
}

/// Whether both name one and the same host and no other.
fn same_host(from: &Selector, to: &Selector, nodes: &[String]) -> bool {
    let only = |selector: &Selector| match selector {
        Selector::Names(names) if names.len() == 1 => Some(names[0].clone()),
        Selector::All | Selector::One | Selector::Leader | Selector::Primaries | Selector::Majority
            if nodes.len() == 1 =>
        {
            Some(nodes[0].clone())
        }
        _ => None,
    };
    matches!((from, to), (Selector::Leader, Selector::Leader)) || only(from).is_some_and(|host| only(to) == Some(host))
}

fn selector_at(
    section: &mut Section,
    key: &'static str,
    example: &str,
    clients_too: bool,
    context: &Context,
    problems: &mut Problems,
) -> Option<Selector> {
    let item = section.require(key, example, problems)?;
    selector(&item, clients_too, context, problems)
}

/// One of the words, a name, or a list of names.
fn selector(item: &Item, clients_too: bool, context: &Context, problems: &mut Problems) -> Option<Selector> {
    let array = match item.value.get_ref() {
        DeValue::String(text) => {
            if let Some((_, selector)) = Selector::WORDS.iter().find(|(word, _)| *word == text) {
                let hollow = *selector == Selector::Minority && context.nodes.is_some_and(|nodes| nodes.len() < 3);
                if hollow {
                    let message = "fewer than 3 nodes have no minority";
                    problems.add(Code::HitsNothing, item.value.span(), message, "selects nothing");
                }
                return (!hollow).then(|| selector.clone());
            }
            return host(item, true, clients_too, context, problems).map(|name| Selector::Names(vec![name]));
        }
        DeValue::Array(array) => array,
        _ => {
            table::wrong_type(item, "a selector or a list of names", problems);
            return None;
        }
    };
    if array.is_empty() {
        let message = format!("`{}` selects nothing", item.key);
        problems.add(Code::HitsNothing, item.value.span(), message, "empty").help("name hosts, or write \"all\"");
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    let mut wrong = false;
    for element in array.iter() {
        let element = Item { key: item.key, key_span: item.key_span.clone(), value: element };
        match host(&element, false, clients_too, context, problems) {
            Some(name) if !names.contains(&name) => names.push(name),
            Some(_) => {}
            None => wrong = true,
        }
    }
    (!wrong).then_some(Selector::Names(names))
}

/// The name of a host that exists.
fn host(item: &Item, words_too: bool, clients_too: bool, context: &Context, problems: &mut Problems) -> Option<String> {
    let name = table::string(item, problems)?;
    if name == CLIENTS_HOST {
        if !clients_too {
            let message = format!("`{}` cannot aim at the clients: they are part of the test", item.key);
            problems.add(Code::UnknownNode, item.value.span(), message, "not a node");
            return None;
        }
        return Some(name.to_owned());
    }
    let Some(nodes) = context.nodes else { return Some(name.to_owned()) };
    if nodes.iter().any(|node| node == name) {
        return Some(name.to_owned());
    }
    let mut known: Vec<&str> = nodes.iter().map(String::as_str).collect();
    if words_too {
        known.extend(Selector::WORDS.iter().map(|(word, _)| *word));
    }
    if clients_too {
        known.push(CLIENTS_HOST);
    }
    let label = if !words_too && Selector::WORDS.iter().any(|(word, _)| *word == name) {
        "a selector stands alone, not in a list"
    } else {
        "no such node"
    };
    let message = format!("the cluster has no node `{name}`");
    problems.add(Code::UnknownNode, item.value.span(), message, label).help_near(name, &known);
    None
}

pub(crate) fn nemesis(mut section: Section, context: &Context, problems: &mut Problems) -> Option<NemesisPlan> {
    let kinds = section
        .require("faults", "faults = [\"partition\", \"kill\", \"pause\"]", problems)
        .and_then(|item| nemesis_kinds(&item, problems));
    let interval_ns = section
        .require("interval", "interval = \"5s\"", problems)
        .and_then(|item| table::positive_duration(&item, problems));
    let for_item = section.require("for", "for = \"5s\"", problems);
    let for_ns = for_item.as_ref().and_then(|item| table::positive_duration(item, problems));
    let span = section.span.clone();
    section.finish(problems);
    let (kinds, interval_ns, for_ns) = (kinds?, interval_ns?, for_ns?);
    let first_end_ns = (interval_ns / 2).saturating_add(interval_ns).saturating_add(for_ns);
    if let (Some(faults_ns), Some(item)) = (context.faults_ns, for_item)
        && first_end_ns > faults_ns
    {
        let message = format!("the faults phase of {} may be too short for one fault", show_duration(faults_ns));
        let problem = problems.add(Code::FaultTime, item.value.span(), message, "too late");
        problem.help("one and a half `interval` and `for` must fit into `faults` of [run]");
        return None;
    }
    if context.nodes.is_some_and(|nodes| nodes.len() < 2) {
        problems.add(Code::HitsNothing, span, "a nemesis needs at least 2 nodes", "the cluster has one");
        return None;
    }
    Some(NemesisPlan { kinds, interval_ns, for_ns })
}

fn nemesis_kinds(item: &Item, problems: &mut Problems) -> Option<Vec<NemesisKind>> {
    let Some(array) = item.value.get_ref().as_array() else {
        table::wrong_type(item, "a list of kinds of faults", problems);
        return None;
    };
    let words = NemesisKind::ALL.map(|kind| (kind.name(), kind));
    let mut kinds: Vec<NemesisKind> = Vec::new();
    for element in array.iter() {
        let element = Item { key: item.key, key_span: item.key_span.clone(), value: element };
        let kind = table::word(&element, &words, problems)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        problems.add(Code::HitsNothing, item.value.span(), "`faults` of [nemesis] is empty", "nothing to draw from");
        return None;
    }
    Some(kinds)
}
