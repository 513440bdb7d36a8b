//! Edges between rooms: who may depend on whom. Tests may use what they like.

use super::Finding;
use crate::repo::Package;

/// Rooms that must work without root and on other systems: they never reach the kernel's door.
const PURE: [&str; 7] = [
    "fissure-checker",
    "fissure-history",
    "fissure-sql",
    "fissure-report",
    "fissure-workloads",
    "fissure-plan",
    "fissure-suite",
];

/// A crate, the rooms that alone may name it, and why.
const ONLY_IN: [(&str, &[&str], &str); 7] = [
    ("aya", &["fissure-inject"], "the kernel's door is one room"),
    ("aya-log", &["fissure-inject"], "the kernel's door is one room"),
    ("anyhow", &["fissure-cli", "xtask"], "libraries have errors of their own"),
    ("miette", &["fissure-cli"], "libraries have errors of their own"),
    ("datafusion", &["fissure-sql"], "SQL is one room"),
    ("etcd-client", &["fissure-targets"], "systems under test have adapters"),
    ("fissure-cli", &[], "nothing depends on the binary"),
];

/// A room, crates that it must not name, and why.
const NEVER: [(&str, &[&str], &str); 4] = [
    ("fissure-checker", &["arrow", "parquet", "datafusion", "tokio"], "no Arrow, no SQL, no async: verdicts are pure"),
    ("fissure-plan", &["tokio"], "plans do no I/O"),
    ("fissure-workloads", &["tokio"], "generators do no I/O"),
    ("fissure-history", &["tokio", "datafusion"], "histories are files"),
];

/// Every edge that should not be.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |package: &Package, text: String| {
        findings.push(Finding { place: package.name.clone(), line: None, text });
    };
    for package in packages {
        let names: Vec<&str> = package.shipped_dependencies().collect();
        if package.name == "fissure-abi" && !names.is_empty() {
            found(package, format!("depends on {}: the words of the kernel line depend on nothing", names.join(", ")));
        }
        if PURE.contains(&package.name.as_str()) && crate::repo::reaches(packages, &package.name, "fissure-inject") {
            found(package, "reaches fissure-inject: it must work without root and on other systems".to_owned());
        }
        for (name, rooms, why) in ONLY_IN {
            if names.contains(&name) && !rooms.contains(&package.name.as_str()) {
                found(package, format!("depends on {name}: {why}"));
            }
        }
        for (room, banned, why) in NEVER {
            if room == package.name {
                for name in banned.iter().filter(|name| names.contains(name)) {
                    found(package, format!("depends on {name}: {why}"));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Dependency;

    fn package(name: &str, dependencies: &[(&str, &str)]) -> Package {
        let dependency = |(name, kind): &(&str, &str)| Dependency { name: (*name).into(), kind: (*kind).into() };
        Package {
            name: name.into(),
            id: name.into(),
            dir: "".into(),
            features: vec![],
            targets: vec![],
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn findings(packages: &[Package]) -> Vec<String> {
        check(packages).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_checker_that_reaches_the_kernel_by_a_detour_is_found() {
        let packages = [
            package("fissure-inject", &[("aya", "normal")]),
            package("fissure-lab", &[("fissure-inject", "normal")]),
            package("fissure-report", &[("fissure-lab", "normal")]),
        ];
        let found = findings(&packages);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("fissure-report: reaches fissure-inject"), "{found:?}");
    }

    #[test]
    fn the_contract_depends_on_nothing_but_its_tests_may() {
        assert_eq!(findings(&[package("fissure-abi", &[("proptest", "dev")])]), Vec::<String>::new());
        assert_eq!(findings(&[package("fissure-abi", &[("serde", "normal")])]).len(), 1);
    }

    #[test]
    fn crates_that_belong_to_one_room_are_found_elsewhere() {
        assert_eq!(findings(&[package("fissure-run", &[("anyhow", "normal"), ("aya", "normal")])]).len(), 2);
        assert_eq!(findings(&[package("fissure-checker", &[("tokio", "normal")])]).len(), 1);
        assert_eq!(findings(&[package("fissure-sql", &[("datafusion", "normal")])]), Vec::<String>::new());
    }
}
