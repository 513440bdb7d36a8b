//! Excerpts show what they are excerpts for, and hold nothing that could be left out.

use super::*;
use crate::consistency::Model;
use crate::list_append;
use crate::rw_register;
use crate::synthetic::{Plant, Spec, Stream, Workload, plantable};

fn judge(history: &History) -> CheckResult {
    let model = Model::STRICT_SERIALIZABLE;
    list_append::check(history, &list_append::Options { model, ..Default::default() })
}

fn generated(spec: &Spec) -> History {
    History::new(Stream::new(spec).unwrap().operations().collect()).unwrap()
}

fn shows(result: &CheckResult, finding: &Finding) -> bool {
    result
        .findings
        .iter()
        .any(|found| found.anomaly == finding.anomaly && found.ops.iter().any(|op_id| finding.ops.contains(op_id)))
}

fn is_exact(result: &CheckResult, finding: &Finding) -> bool {
    let of_finding = |op_id: &u64| finding.ops.contains(op_id);
    result.findings.iter().any(|found| found.anomaly == finding.anomaly && found.ops.iter().all(of_finding))
}

/// Every finding of a history has an excerpt; how many operations each has.
#[track_caller]
fn assert_excerpts(history: &History, judge: impl Fn(&History) -> CheckResult) -> Vec<usize> {
    let result = judge(history);
    let excerpts = Excerpts::new(history, &result.findings);
    let mut sizes = Vec::new();
    for finding in &result.findings {
        let excerpt = excerpts.of(finding, &result, &judge).unwrap_or_else(|| panic!("no excerpt for {finding:#?}"));
        let alone = judge(&excerpt);
        assert!(shows(&alone, finding), "{}: {:#?}", finding.id, alone.findings);
        let more = &alone.anomaly_types - &allowed(&result);
        assert!(more.is_empty(), "{}: {more:?} are not in the history", finding.id);
        for op in excerpt.ops() {
            let recorded = &history.ops()[op.op_id as usize];
            let whole = finding.ops.contains(&op.op_id);
            assert!(!whole || recorded == op, "operations of the finding stay as they were recorded");
            assert!(mops(op).iter().all(|mop| mops(recorded).contains(mop)));
            assert_eq!((op.invoke_seq, op.complete_seq), (recorded.invoke_seq, recorded.complete_seq));
            // A writer that is left out makes a garbage read of what it wrote.
            if !whole {
                let rest = judge(&excerpt.only(|other| other.op_id != op.op_id));
                let nothing_new = rest.anomaly_types.is_subset(&allowed(&result));
                let as_good = if is_exact(&alone, finding) { is_exact(&rest, finding) } else { shows(&rest, finding) };
                assert!(!(nothing_new && as_good), "{}: operation {} could be left out", finding.id, op.op_id);
            }
        }
        sizes.push(excerpt.len());
    }
    sizes
}

#[test]
fn every_planted_anomaly_of_lists_has_an_excerpt_that_shows_it() {
    let mut smallest = Vec::new();
    for anomaly in plantable(Workload::ListAppend) {
        for distance in [0, 500] {
            let plants = vec![Plant { anomaly: (*anomaly).to_owned(), distance }];
            let spec = Spec { ops: 800, seed: 5, plants, ..Spec::default() };
            let sizes = assert_excerpts(&generated(&spec), judge);
            // What goes through other operations needs the writers of the long lists that they read.
            assert!(sizes.iter().all(|size| *size <= 150), "{anomaly}: {sizes:?}");
            smallest.extend(sizes.into_iter().min());
        }
    }
    let small = smallest.iter().filter(|size| **size <= 8).count();
    assert!(small * 4 > smallest.len() * 3, "{smallest:?}");
}

#[test]
fn planted_anomalies_of_registers_have_excerpts_too() {
    let options = rw_register::Options { linearizable_keys: true, ..rw_register::Options::default() };
    let judge = |history: &History| rw_register::check(history, &options);
    let mut smallest = Vec::new();
    for anomaly in plantable(Workload::RwRegister) {
        let plants = vec![Plant { anomaly: (*anomaly).to_owned(), distance: 200 }];
        let spec = Spec { workload: Workload::RwRegister, ops: 400, seed: 5, plants, ..Spec::default() };
        let sizes = assert_excerpts(&generated(&spec), judge);
        smallest.extend(sizes.into_iter().min());
    }
    let small = smallest.iter().filter(|size| **size <= 8).count();
    assert!(small * 4 > smallest.len() * 3, "{smallest:?}");
}

#[test]
fn what_a_weak_store_does_has_excerpts_too() {
    let mut findings = 0;
    for (level, seed) in
        [("snapshot-isolation", 1), ("read-committed", 2), ("read-uncommitted", 3), ("causal-cerone", 4)]
    {
        let level = crate::synthetic::Level::from_name(level).unwrap();
        findings += assert_excerpts(&generated(&Spec { ops: 300, seed, level, ..Spec::default() }), judge).len();
    }
    assert!(findings > 10, "{findings}");
}

#[test]
fn what_is_not_about_transactions_has_none() {
    let plants = vec!["stale-read".parse().unwrap()];
    let history = generated(&Spec { workload: Workload::Register, ops: 200, plants, ..Spec::default() });
    let options = crate::linearizable::Options::default();
    let judge = |history: &History| crate::linearizable::check_register(history, &options);
    let result = judge(&history);
    assert!(!result.findings.is_empty());
    let excerpts = Excerpts::new(&history, &result.findings);
    assert!(result.findings.iter().all(|finding| excerpts.of(finding, &result, judge).is_none()));
}

#[test]
fn a_finding_that_the_history_does_not_have_has_no_excerpt() {
    let plants = vec!["G1a".parse().unwrap()];
    let history = generated(&Spec { ops: 200, plants, ..Spec::default() });
    let result = judge(&history);
    let mut finding = result.findings[0].clone();
    finding.anomaly = "G0".to_owned();
    let excerpts = Excerpts::new(&history, [&finding]);
    assert!(excerpts.of(&finding, &result, judge).is_none());
    finding.ops = vec![1_000_000];
    assert!(Excerpts::new(&history, [&finding]).of(&finding, &result, judge).is_none());
}
