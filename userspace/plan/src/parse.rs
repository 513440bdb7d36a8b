//! Scenario text to plan. Every mistake is noted; the plan exists only if there is none.

use crate::{
    fault_section::{self, Context},
    plan::{
        CLIENTS_HOST, ClusterPlan, KeyDistribution, ListAppendPlan, Mix, Phases, Plan, Reads, RegisterPlan,
        RwRegisterPlan, Selector, Values, WorkloadKind, WorkloadPlan,
    },
    problem::{Code, Problem, Problems, position},
    quantity::Rate,
    table::{self, Item, Section},
    target::TargetKind,
};
use toml::de::{DeTable, DeValue};

/// Most nodes of a cluster.
const NODES_MAX: u64 = 50;
/// Most worker slots of a workload.
const CONCURRENCY_MAX: u64 = 10_000;

/// Reads a scenario. The plan is there exactly if there is no problem; problems are in the order of the source.
#[must_use]
pub fn parse(source: &str) -> (Option<Plan>, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(source);
    let mut problems = Problems::new(source);
    let plan = root(Section::new(document.get_ref(), 0..0, "the scenario"), &mut problems);
    if errors.is_empty() {
        let plan = plan.filter(|_| problems.len() == 0);
        return (plan, problems.into_sorted());
    }
    (None, with_syntax_errors(source, &errors, problems.into_sorted()))
}

/// Syntax errors, and those of the other mistakes that cannot be a consequence of them.
fn with_syntax_errors(source: &str, errors: &[toml::de::Error], others: Vec<Problem>) -> Vec<Problem> {
    let mut problems = Problems::new(source);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let span = span.start.min(source.len())..span.end.min(source.len());
        problems.add(Code::Syntax, span, format!("not TOML: {}", error.message()), "here");
    }
    let mut all = problems.into_sorted();
    let broken: Vec<usize> = all.iter().map(|problem| problem.line).collect();
    let misplaced = misplaced_lines(source, &broken);
    all.extend(others.into_iter().filter(|other| {
        let line_end = position(source, other.label.span.end).0;
        let touched = |line: &usize| (other.line..=line_end).contains(line);
        let follows = broken.iter().any(touched) || misplaced.contains(&other.line);
        !follows && !matches!(other.code, Code::MissingKey | Code::FaultAction)
    }));
    all.sort_by_key(|problem| problem.label.span.start);
    all
}

/// Lines under a broken header: they were taken for lines of the table before it.
fn misplaced_lines(source: &str, broken: &[usize]) -> Vec<usize> {
    let mut under_broken_header = false;
    let mut misplaced = Vec::new();
    for (text, line) in source.lines().zip(1..) {
        if text.trim_start().starts_with('[') {
            under_broken_header = broken.contains(&line);
        } else if under_broken_header {
            misplaced.push(line);
        }
    }
    misplaced
}

fn root(mut section: Section, problems: &mut Problems) -> Option<Plan> {
    let name =
        section.require("name", "name = \"my-scenario\"", problems).and_then(|item| scenario_name(&item, problems));
    let seed = section.take("seed").and_then(|item| table::count(&item, 0..=i64::MAX as u64, problems));
    let cluster = section
        .require("cluster", "[cluster]\n        target = \"demo\"\n        nodes = 5", problems)
        .and_then(|item| table::section(&item, "[cluster]", "write it as [cluster]", problems))
        .map(|section| self::cluster(section, problems));
    let node_count = cluster.as_ref().map_or(0, |cluster| cluster.nodes.len());
    let workloads = section
        .require("workload", "[[workload]]\n        kind = \"register\"", problems)
        .map(|item| self::workloads(&item, node_count, problems));
    let phases = section
        .require("run", "[run]\n        faults = \"40s\"", problems)
        .and_then(|item| table::section(&item, "[run]", "write it as [run]", problems))
        .map(|section| self::phases(section, problems));
    let known = cluster.as_ref().filter(|cluster| !cluster.nodes.is_empty());
    let context = Context {
        nodes: known.map(|cluster| cluster.nodes.as_slice()),
        faults_ns: phases.as_ref().map(|phases| phases.faults_ns).filter(|faults_ns| *faults_ns > 0),
    };
    let faults = section.take("fault").map(|item| fault_section::faults(&item, &context, problems)).unwrap_or_default();
    let nemesis = section
        .take("nemesis")
        .and_then(|item| table::section(&item, "[nemesis]", "write it as [nemesis]", problems))
        .and_then(|section| fault_section::nemesis(section, &context, problems));
    section.finish(problems);
    Some(Plan { name: name?, seed, cluster: cluster?, workloads: workloads?, phases: phases?, faults, nemesis })
}

/// Lower-case letters, digits and inner hyphens: safe in a path, on a command line and as a host name.
fn is_name(text: &str, length_max: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=length_max).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn scenario_name(item: &Item, problems: &mut Problems) -> Option<String> {
    let text = table::string(item, problems)?;
    if !is_name(text, 64) {
        problems
            .add(Code::BadName, item.value.span(), format!("`{text}` cannot be the name of a scenario"), "not a name")
            .help("up to 64 lower-case letters, digits and hyphens: it names the run's folder");
        return None;
    }
    Some(text.to_owned())
}

fn cluster(mut section: Section, problems: &mut Problems) -> ClusterPlan {
    let targets = TargetKind::ALL.map(|target| (target.name(), target));
    let target = section
        .require("target", "target = \"demo\"", problems)
        .and_then(|item| table::word(&item, &targets, problems));
    let nodes = section.require("nodes", "nodes = 5", problems).and_then(|item| nodes(&item, problems));
    let bug = section.take("bug").and_then(|item| bug(&item, target, problems));
    let reads = section.take("reads").and_then(|item| reads(&item, target, problems));
    section.finish(problems);
    ClusterPlan {
        target: target.unwrap_or(TargetKind::Demo),
        nodes: nodes.unwrap_or_default(),
        bug,
        reads: reads.unwrap_or(Reads::Linearizable),
    }
}

fn nodes(item: &Item, problems: &mut Problems) -> Option<Vec<String>> {
    let Some(array) = item.value.get_ref().as_array() else {
        if !item.value.get_ref().is_integer() {
            table::wrong_type(item, "a number of nodes or a list of their names", problems);
            return None;
        }
        let count = table::count(item, 1..=NODES_MAX, problems)?;
        return Some((1..=count).map(|number| format!("n{number}")).collect());
    };
    if array.is_empty() || array.len() as u64 > NODES_MAX {
        let message = format!("a cluster has between 1 and {NODES_MAX} nodes");
        problems.add(Code::OutOfRange, item.value.span(), message, format!("{} nodes", array.len()));
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for element in array.iter() {
        let element = Item { key: item.key, key_span: item.key_span.clone(), value: element };
        let Some(name) = table::string(&element, problems) else { continue };
        let span = element.value.span();
        if names.iter().any(|other| other == name) {
            problems.add(Code::BadName, span, format!("node `{name}` is listed twice"), "again");
        } else if name == CLIENTS_HOST || Selector::WORDS.iter().any(|(word, _)| *word == name) {
            let message = format!("a node cannot be named `{name}`");
            problems.add(Code::BadName, span, message, "a word with a meaning of its own in faults");
        } else if !is_name(name, 15) {
            problems
                .add(Code::BadName, span, format!("`{name}` cannot be the name of a node"), "not a name")
                .help("up to 15 lower-case letters, digits and hyphens");
        } else {
            names.push(name.to_owned());
        }
    }
    (names.len() == array.len()).then_some(names)
}

fn bug(item: &Item, target: Option<TargetKind>, problems: &mut Problems) -> Option<String> {
    let text = table::string(item, problems)?;
    let target = target?;
    if text == "none" {
        return None;
    }
    if target.bugs().is_empty() {
        let message = format!("target `{}` has no bugs to switch on", target.name());
        problems.add(Code::NotForThisKind, item.key_span.clone(), message, "only for target `demo`");
        return None;
    }
    let mut known: Vec<(&str, &str)> = target.bugs().iter().map(|bug| (bug.name, bug.name)).collect();
    known.push(("none", "none"));
    table::word(item, &known, problems).map(str::to_owned)
}

fn reads(item: &Item, target: Option<TargetKind>, problems: &mut Problems) -> Option<Reads> {
    let words = [("linearizable", Reads::Linearizable), ("serializable", Reads::Serializable)];
    let reads = table::word(item, &words, problems)?;
    let target = target?;
    if reads == Reads::Serializable && !target.has_serializable_reads() {
        let message = format!("target `{}` has no serializable reads", target.name());
        problems.add(Code::NotForThisKind, item.value.span(), message, "only for target `etcd`");
        return None;
    }
    Some(reads)
}

fn phases(mut section: Section, problems: &mut Problems) -> Phases {
    let faults = section
        .require("faults", "faults = \"40s\"", problems)
        .and_then(|item| table::positive_duration(&item, problems));
    let mut optional = |key, default_s: u64| {
        let item = section.take(key);
        item.and_then(|item| table::duration(&item, problems)).unwrap_or(default_s * 1_000_000_000)
    };
    let (warm_up_ns, heal_ns, final_reads_ns) =
        (optional("warm_up", 3), optional("heal", 8), optional("final_reads", 15));
    section.finish(problems);
    Phases { warm_up_ns, faults_ns: faults.unwrap_or(0), heal_ns, final_reads_ns }
}

fn workloads(item: &Item, node_count: usize, problems: &mut Problems) -> Vec<WorkloadPlan> {
    let sections = table::sections(item, problems);
    if sections.is_empty() && item.value.get_ref().is_array() {
        problems.add(Code::MissingKey, item.value.span(), "a scenario needs a workload", "none here");
    }
    let mut plans: Vec<WorkloadPlan> = Vec::new();
    for section in sections {
        let span = section.span.clone();
        let Some(plan) = workload(section, node_count, problems) else { continue };
        if plans.iter().any(|other| other.name == plan.name) {
            problems
                .add(Code::BadName, span, format!("two workloads are named `{}`", plan.name), "the second")
                .help("give one of them another `name`");
        }
        plans.push(plan);
    }
    plans
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Register,
    ListAppend,
    RwRegister,
}

fn workload(mut section: Section, node_count: usize, problems: &mut Problems) -> Option<WorkloadPlan> {
    let kinds = [("register", Kind::Register), ("list-append", Kind::ListAppend), ("rw-register", Kind::RwRegister)];
    let kind =
        section.require("kind", "kind = \"register\"", problems).and_then(|item| table::word(&item, &kinds, problems));
    let name = section.take("name").and_then(|item| workload_name(&item, problems));
    let rate = match section.take("rate") {
        Some(item) if item.value.get_ref().as_str() == Some("unlimited") => None,
        Some(item) => table::rate(&item, problems),
        None => Some(Rate { count: 200, per_ns: 1_000_000_000 }),
    };
    let concurrency = section.take("concurrency").and_then(|item| concurrency(&item, node_count, problems));
    let timeout_ns = section.take("timeout").and_then(|item| table::positive_duration(&item, problems));
    let model = section.take("model");
    let kind = match kind? {
        Kind::Register => WorkloadKind::Register(register(&mut section, problems)),
        Kind::ListAppend => WorkloadKind::ListAppend(list_append(&mut section, problems)),
        Kind::RwRegister => WorkloadKind::RwRegister(rw_register(&mut section, problems)),
    };
    refuse_foreign_keys(&mut section, &kind, problems);
    section.finish(problems);
    let models: Vec<(&str, &str)> = kind.models().iter().map(|model| (*model, *model)).collect();
    let model = model.and_then(|item| table::word(&item, &models, problems)).unwrap_or(models[0].0);
    Some(WorkloadPlan {
        name: name.unwrap_or_else(|| kind.name().to_owned()),
        rate,
        concurrency: concurrency.unwrap_or(2 * node_count.max(1)),
        timeout_ns: timeout_ns.unwrap_or(1_000_000_000),
        model: model.to_owned(),
        kind,
    })
}

fn workload_name(item: &Item, problems: &mut Problems) -> Option<String> {
    let text = table::string(item, problems)?;
    if !is_name(text, 64) {
        let message = format!("`{text}` cannot be the name of a workload");
        let problem = problems.add(Code::BadName, item.value.span(), message, "not a name");
        problem.help("up to 64 lower-case letters, digits and hyphens");
        return None;
    }
    Some(text.to_owned())
}

/// A number of worker slots, or `"2n"`: twice the number of nodes.
fn concurrency(item: &Item, node_count: usize, problems: &mut Problems) -> Option<usize> {
    let help = "write a number, or \"2n\" for two per node";
    let slots = match item.value.get_ref() {
        DeValue::Integer(_) => table::count(item, 1..=CONCURRENCY_MAX, problems)?,
        DeValue::String(text) => {
            let per_node = text
                .trim()
                .strip_suffix('n')
                .and_then(|number| if number.is_empty() { Some(1) } else { number.parse::<u64>().ok() });
            let Some(per_node) = per_node else {
                let message = format!("`concurrency` cannot be `{text}`");
                problems.add(Code::BadQuantity, item.value.span(), message, "cannot be read").help(help);
                return None;
            };
            let slots = per_node.saturating_mul(node_count.max(1) as u64);
            if !(1..=CONCURRENCY_MAX).contains(&slots) {
                let message = format!("`concurrency` must be between 1 and {CONCURRENCY_MAX}");
                problems.add(Code::OutOfRange, item.value.span(), message, format!("makes {slots}"));
                return None;
            }
            slots
        }
        _ => {
            table::wrong_type(item, "a number or a string such as \"2n\"", problems);
            problems.help_last(item.value.span(), help);
            return None;
        }
    };
    usize::try_from(slots).ok()
}

fn register(section: &mut Section, problems: &mut Problems) -> RegisterPlan {
    let keys = section.take("keys").and_then(|item| table::count(&item, 1..=1_000_000, problems));
    let ops_per_key =
        section.take("ops_per_key").and_then(|item| table::count(&item, 1..=u64::from(u32::MAX), problems));
    let values = section.take("values").and_then(|item| match item.value.get_ref() {
        DeValue::Integer(_) => table::count(&item, 2..=1_000_000, problems).map(Values::Small),
        _ => table::word(&item, &[("unique", Values::Unique)], problems),
    });
    let mix = section.take("mix").and_then(|item| mix(&item, problems));
    RegisterPlan {
        keys: keys.unwrap_or(10),
        ops_per_key: ops_per_key.unwrap_or(200),
        values: values.unwrap_or(Values::Unique),
        mix: mix.unwrap_or(Mix { read: 2, write: 1, cas: 1 }),
    }
}

fn mix(item: &Item, problems: &mut Problems) -> Option<Mix> {
    let example = "mix = { read = 2, write = 1, cas = 1 }";
    let mut section = table::section(item, "`mix`", example, problems)?;
    let mut weight = |key| {
        let item = section.take(key);
        item.and_then(|item| table::count(&item, 0..=1_000, problems)).map_or(0, |weight| weight as u32)
    };
    let mix = Mix { read: weight("read"), write: weight("write"), cas: weight("cas") };
    section.finish(problems);
    if mix.read + mix.write + mix.cas == 0 {
        problems.add(Code::OutOfRange, item.value.span(), "all weights of `mix` are 0", "nothing to do").help(example);
        return None;
    }
    Some(mix)
}

fn list_append(section: &mut Section, problems: &mut Problems) -> ListAppendPlan {
    let keys = section.take("keys").and_then(|item| table::count(&item, 1..=30, problems));
    let writes = section.take("max_writes_per_key").and_then(|item| table::count(&item, 1..=1_000_000, problems));
    let shortest = section.take("min_txn_length").and_then(|item| table::count(&item, 1..=100, problems));
    let longest_item = section.take("max_txn_length");
    let longest = longest_item.as_ref().and_then(|item| table::count(item, 1..=100, problems));
    let words = [("exponential", KeyDistribution::Exponential), ("uniform", KeyDistribution::Uniform)];
    let distribution = section.take("key_distribution").and_then(|item| table::word(&item, &words, problems));
    let (txn_length_min, txn_length_max) = (shortest.unwrap_or(1), longest.unwrap_or(4.max(shortest.unwrap_or(1))));
    if let Some(item) = longest_item.filter(|_| txn_length_max < txn_length_min) {
        let message = "`max_txn_length` is below `min_txn_length`";
        problems.add(Code::OutOfRange, item.value.span(), message, format!("below {txn_length_min}"));
    }
    ListAppendPlan {
        keys: keys.unwrap_or(5),
        max_writes_per_key: writes.unwrap_or(64),
        txn_length_min: txn_length_min as usize,
        txn_length_max: txn_length_max as usize,
        key_distribution: distribution.unwrap_or(KeyDistribution::Exponential),
    }
}

fn rw_register(section: &mut Section, problems: &mut Problems) -> RwRegisterPlan {
    let ListAppendPlan { keys, max_writes_per_key, txn_length_min, txn_length_max, key_distribution } =
        list_append(section, problems);
    let mut assumed = |key| section.take(key).and_then(|item| table::boolean(&item, problems)).unwrap_or(false);
    RwRegisterPlan {
        keys,
        max_writes_per_key,
        txn_length_min,
        txn_length_max,
        key_distribution,
        wfr_keys: assumed("wfr_keys"),
        sequential_keys: assumed("sequential_keys"),
        linearizable_keys: assumed("linearizable_keys"),
    }
}

/// Options that exist, but for the other kind of workload, deserve a better answer than "unknown".
fn refuse_foreign_keys(section: &mut Section, kind: &WorkloadKind, problems: &mut Problems) {
    const TXN: [&str; 4] = ["max_writes_per_key", "min_txn_length", "max_txn_length", "key_distribution"];
    const SINGLE: [&str; 3] = ["ops_per_key", "values", "mix"];
    const ASSUMED: [&str; 3] = ["wfr_keys", "sequential_keys", "linearizable_keys"];
    let foreign: &[(&[&'static str], &str)] = match kind {
        WorkloadKind::Register(_) => &[(&TXN, "list-append"), (&ASSUMED, "rw-register")],
        WorkloadKind::ListAppend(_) => &[(&SINGLE, "register"), (&ASSUMED, "rw-register")],
        WorkloadKind::RwRegister(_) => &[(&SINGLE, "register")],
    };
    for (key, owner) in foreign.iter().flat_map(|(keys, owner)| keys.iter().map(move |key| (*key, owner))) {
        // Asked for only where present, so that suggestions name the keys of this kind alone.
        if section.has_none_of(&[key]) {
            continue;
        }
        if let Some(item) = section.take(key) {
            let message = format!("`{key}` means nothing to a `{}` workload", kind.name());
            problems.add(Code::NotForThisKind, item.key_span, message, format!("only for `{owner}`"));
        }
    }
}
