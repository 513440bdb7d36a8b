//! Every scenario that users are shown must be right.

use std::{fs, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn assert_right(name: &str, source: &str) -> fissure_plan::Plan {
    let (plan, problems) = fissure_plan::parse(source);
    assert!(problems.is_empty(), "{}", fissure_plan::render(&problems, name, source));
    plan.expect("no problems")
}

#[test]
fn every_example_is_right_and_breaks_something() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples")).expect("examples") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().expect("stem").to_string_lossy().into_owned();
            let plan = assert_right(&name, &fs::read_to_string(&path).expect("text"));
            assert_eq!(plan.name, name, "an example is named like its file");
            for seed in 0..20 {
                assert!(!plan.schedule(seed).occurrences.is_empty(), "{name} breaks nothing with seed {seed}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} examples");
}

#[test]
fn the_full_example_of_the_documentation_is_right() {
    let page = fs::read_to_string(root().join("docs/scenarios.md")).expect("docs/scenarios.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let plan = assert_right("docs/scenarios.md", example);
    assert_eq!((plan.workloads.len(), plan.faults.len(), plan.nemesis.is_some()), (2, 3, true));
}

#[test]
fn the_documentation_lists_every_code() {
    let page = fs::read_to_string(root().join("docs/scenarios.md")).expect("docs/scenarios.md");
    for number in 1..=14 {
        assert!(page.contains(&format!("| PLAN{number:03} |")), "PLAN{number:03} is not in docs/scenarios.md");
    }
}

#[test]
fn every_model_is_known_to_the_checkers_and_documented() {
    let page = fs::read_to_string(root().join("docs/scenarios.md")).expect("docs/scenarios.md");
    let example = fs::read_to_string(root().join("examples/demo-partition-leader.toml")).expect("example");
    let plan = assert_right("demo-partition-leader", &example);
    for model in plan.workloads.iter().flat_map(|workload| workload.kind.models()) {
        let known = fissure_checker::consistency::Model::parse(model).expect("known to the checkers");
        assert_eq!(known.name(), *model);
        assert!(page.contains(&format!("`{model}`")), "{model} is not in docs/scenarios.md");
    }
}
