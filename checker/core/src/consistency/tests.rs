//! The lattice against a written-out table: what each model proscribes, and the weakest model each anomaly rules out.

use super::*;

const B1: &[&str] = &["G0", "duplicate-elements", "cyclic-versions", "garbage-read"];
const B2: &[&str] = &["G1a", "G1b", "G1c", "dirty-update", "future-read", "incompatible-order"];
const SI: &[&str] = &["internal", "lost-update", "G-single-item", "G-single", "G-nonadjacent-item", "G-nonadjacent"];
const SERIAL: &[&str] = &["G2-item", "G2", "predicate-read-miss"];
const SIX: &[&str] = &["G0", "G1c", "G-single-item", "G-single", "G-nonadjacent-item", "G-nonadjacent"];
const TWO: &[&str] = &["G2-item", "G2"];
/// What Elle does not look for: what transactions see of each other, each implying the next.
const SIGHTS: &[&str] = &["non-monotonic-read", "fractured-read", "causal-violation", "prefix-violation", "long-fork"];
/// And what processes see of themselves.
const GUARANTEES: &[&str] = &[
    "monotonic-reads-violation",
    "monotonic-writes-violation",
    "read-your-writes-violation",
    "writes-follow-reads-violation",
];

/// The anomalies that a checker can find; the others only define models.
fn detectable(anomaly: &str) -> bool {
    if SIGHTS.contains(&anomaly) || GUARANTEES.contains(&anomaly) || anomaly == "causal-violation-process" {
        return true;
    }
    let base = anomaly.strip_suffix("-process").or_else(|| anomaly.strip_suffix("-realtime"));
    match base {
        Some(base) => SIX.contains(&base) || TWO.contains(&base),
        None => [B1, B2, SI, SERIAL].concat().contains(&anomaly),
    }
}

fn suffixed(names: &[&str], suffix: &str) -> Vec<String> {
    names.iter().map(|name| format!("{name}{suffix}")).collect()
}

#[track_caller]
fn assert_proscribes(model: &str, parts: &[Vec<String>]) {
    let expected: BTreeSet<String> = parts.concat().into_iter().collect();
    let model = Model::parse(model).unwrap();
    let actual: BTreeSet<String> =
        model.proscribed().into_iter().filter(|name| detectable(name)).map(str::to_owned).collect();
    assert_eq!(actual, expected, "{model}");
}

#[test]
fn each_model_proscribes_what_the_table_says() {
    let plain = |names: &[&str]| suffixed(names, "");
    let b2 = [plain(B1), plain(B2)].concat();
    let lost = plain(&["lost-update"]);
    let internal = plain(&["internal"]);
    let monotonic = [b2.clone(), plain(&SIGHTS[..1])].concat();
    let atomic = [b2.clone(), internal.clone(), plain(&SIGHTS[..2])].concat();
    let causal = [b2.clone(), internal.clone(), plain(&SIGHTS[..3])].concat();
    let singles = plain(&["G-single-item", "G-single"]);
    let consistent = [b2.clone(), lost.clone(), singles, plain(&SIGHTS[..3])].concat();
    let si = [b2.clone(), plain(SI), plain(SIGHTS)].concat();
    let serial = [si.clone(), plain(SERIAL)].concat();
    // With the order in processes: what contradicts it by writes, by writes and reads, and by one rw besides.
    let writes = plain(&["G0-process", "monotonic-writes-violation"]);
    let flows = [writes.clone(), plain(&["G1c-process", "writes-follow-reads-violation"])].concat();
    let reads = plain(&["causal-violation-process", "monotonic-reads-violation", "read-your-writes-violation"]);
    let of_process = [flows.clone(), reads.clone(), suffixed(&SIX[2..], "-process")].concat();
    let session_si = [si.clone(), of_process.clone()].concat();
    let session_serial = [serial.clone(), of_process, suffixed(TWO, "-process")].concat();
    let session_causal = [causal.clone(), flows.clone(), reads].concat();

    assert_proscribes("PL-1", &[plain(B1)]);
    for model in ["PL-2", "PL-2L", "PL-MSR"] {
        assert_proscribes(model, std::slice::from_ref(&b2));
    }
    assert_proscribes("monotonic-atomic-view", &[monotonic]);
    assert_proscribes("read-atomic", std::slice::from_ref(&atomic));
    assert_proscribes("causal-cerone", std::slice::from_ref(&causal));
    assert_proscribes("prefix", &[causal, plain(&SIGHTS[3..])]);
    assert_proscribes("update-atomic", &[atomic, lost.clone()]);
    assert_proscribes("parallel-snapshot-isolation", &[consistent.clone(), internal]);
    assert_proscribes("PL-CS", &[b2.clone(), lost.clone()]);
    for model in ["PL-2+", "PL-FCV", "PL-3U"] {
        assert_proscribes(model, std::slice::from_ref(&consistent));
    }
    let repeatable = plain(&["G-single-item", "G-nonadjacent-item", "G2-item"]);
    assert_proscribes("PL-2.99", &[b2.clone(), lost, repeatable, plain(SIGHTS)]);
    assert_proscribes("PL-SI", std::slice::from_ref(&si));
    assert_proscribes("PL-3", std::slice::from_ref(&serial));
    assert_proscribes("strong-session-PL-1", &[plain(B1), writes.clone()]);
    assert_proscribes("strong-session-PL-2", &[b2.clone(), flows.clone()]);
    assert_proscribes("strong-PL-1", &[plain(B1), writes, plain(&["G0-realtime"])]);
    assert_proscribes("strong-PL-2", &[b2, flows, suffixed(&["G0", "G1c"], "-realtime")]);
    assert_proscribes("strong-session-snapshot-isolation", std::slice::from_ref(&session_si));
    assert_proscribes("strong-session-serializable", std::slice::from_ref(&session_serial));
    assert_proscribes("strong-snapshot-isolation", &[session_si, suffixed(SIX, "-realtime")]);
    assert_proscribes("strict-serializable", &[session_serial, suffixed(SIX, "-realtime"), suffixed(TWO, "-realtime")]);
    assert_proscribes("causal", std::slice::from_ref(&session_causal));
    assert_proscribes("PRAM", &[plain(&GUARANTEES[..3])]);
    for guarantee in GUARANTEES {
        assert_proscribes(guarantee.strip_suffix("-violation").unwrap(), &[plain(&[guarantee])]);
    }
    let same = Model::all().filter_map(|model| Some((model.name(), model.same_as()?)));
    let same: Vec<(&str, &str)> = same.map(|(name, other)| (name, other.name())).collect();
    let expected = [
        ("linearizable", "strict-serializable"),
        ("sequential", "strong-session-serializable"),
        ("view-serializable", "serializable"),
        ("session-serializable", "strong-session-serializable"),
        ("1SR", "serializable"),
    ];
    assert_eq!(same, expected);
    for (name, other) in same {
        let [proscribed, of_other] = [name, other].map(|name| Model::parse(name).unwrap().proscribed());
        assert_eq!(proscribed, of_other, "{name}");
    }
    assert_eq!(Model::all().count(), 36);
}

#[test]
fn each_anomaly_rules_out_the_weakest_models_of_the_table() {
    let table: &[(&str, &[&str])] = &[
        ("G0", &["read-uncommitted"]),
        ("duplicate-elements", &["read-uncommitted"]),
        ("cyclic-versions", &["read-uncommitted"]),
        ("garbage-read", &["read-uncommitted"]),
        ("G1a", &["read-committed"]),
        ("G1b", &["read-committed"]),
        ("G1c", &["read-committed"]),
        ("future-read", &["read-committed"]),
        ("dirty-update", &["read-committed"]),
        ("incompatible-order", &["read-committed"]),
        ("internal", &["read-atomic"]),
        ("lost-update", &["cursor-stability", "update-atomic"]),
        ("G-single-item", &["consistent-view", "repeatable-read"]),
        ("G-single", &["consistent-view"]),
        ("G-nonadjacent-item", &["repeatable-read", "snapshot-isolation"]),
        ("G-nonadjacent", &["snapshot-isolation"]),
        ("G2-item", &["repeatable-read"]),
        ("G2", &["serializable"]),
        ("predicate-read-miss", &["serializable"]),
        ("G0-process", &["strong-session-read-uncommitted"]),
        ("G1c-process", &["strong-session-read-committed"]),
        ("G-single-item-process", &["strong-session-snapshot-isolation"]),
        ("G-single-process", &["strong-session-snapshot-isolation"]),
        ("G-nonadjacent-item-process", &["strong-session-snapshot-isolation"]),
        ("G-nonadjacent-process", &["strong-session-snapshot-isolation"]),
        ("G2-item-process", &["strong-session-serializable"]),
        ("G2-process", &["strong-session-serializable"]),
        ("G0-realtime", &["strong-read-uncommitted"]),
        ("G1c-realtime", &["strong-read-committed"]),
        ("G-single-item-realtime", &["strong-snapshot-isolation"]),
        ("G-single-realtime", &["strong-snapshot-isolation"]),
        ("G-nonadjacent-item-realtime", &["strong-snapshot-isolation"]),
        ("G-nonadjacent-realtime", &["strong-snapshot-isolation"]),
        ("G2-item-realtime", &["strong-serializable"]),
        ("G2-realtime", &["strong-serializable"]),
        // What follows, Elle does not look for.
        ("non-monotonic-read", &["consistent-view", "monotonic-atomic-view"]),
        ("fractured-read", &["consistent-view", "read-atomic", "repeatable-read"]),
        ("causal-violation", &["causal-cerone", "consistent-view", "repeatable-read"]),
        ("prefix-violation", &["prefix", "repeatable-read"]),
        ("long-fork", &["prefix", "repeatable-read"]),
        ("causal-violation-process", &["causal"]),
        ("monotonic-reads-violation", &["monotonic-reads"]),
        ("monotonic-writes-violation", &["monotonic-writes", "strong-session-read-uncommitted"]),
        ("read-your-writes-violation", &["read-your-writes"]),
        ("writes-follow-reads-violation", &["strong-session-read-committed", "writes-follow-reads"]),
    ];
    for (anomaly, expected) in table {
        let (not, also_not) = boundary([*anomaly]);
        assert_eq!(not.iter().copied().collect::<Vec<_>>(), *expected, "{anomaly}");
        assert!(also_not.contains("strong-serializable") || not.contains("strong-serializable"), "{anomaly}");
        assert!(not.is_disjoint(&also_not));
    }
}

#[test]
fn the_boundary_of_several_anomalies_keeps_only_the_weakest_models() {
    let (not, also_not) = boundary(["G1c", "G2-item"]);
    assert_eq!(not, BTreeSet::from(["read-committed"]));
    assert!(also_not.contains("repeatable-read") && also_not.contains("strong-read-committed"));
    assert!(also_not.contains("linearizable"), "an operation is a transaction");
    assert_eq!(boundary([]), (BTreeSet::new(), BTreeSet::new()));
    let (not, also_not) = boundary(["G-single-item-realtime"]);
    assert_eq!(not, BTreeSet::from(["strong-snapshot-isolation"]));
    assert_eq!(also_not, BTreeSet::from(["linearizable", "strong-serializable"]));
    let (not, also_not) = boundary(["G2"]);
    assert_eq!(not, BTreeSet::from(["serializable"]));
    assert!(["1SR", "view-serializable", "session-serializable"].iter().all(|name| also_not.contains(name)));
}

#[test]
fn names_are_unique_and_parse_to_their_model() {
    let mut seen = BTreeSet::new();
    for model in Model::all() {
        for name in model.names() {
            assert!(seen.insert(name.to_ascii_lowercase()), "{name} names two models");
            assert_eq!(Model::parse(name), Ok(model));
        }
        for weaker in model.row().implies {
            assert!(MODELS.iter().any(|row| row.canonical == *weaker), "{weaker}");
        }
        for anomaly in model.row().proscribes {
            assert!(!implied_anomalies(anomaly).is_empty(), "{anomaly}");
        }
    }
    for row in ANOMALIES {
        assert!(row.implies.iter().all(|name| ANOMALIES.iter().any(|other| other.name == *name)), "{}", row.name);
    }
    assert_eq!(Model::parse("Strict_Serializable"), Ok(Model::STRICT_SERIALIZABLE));
    assert_eq!(Model::parse("strong-serializable"), Ok(Model::STRICT_SERIALIZABLE));
    assert_eq!(Model::parse("PL-2.99").unwrap().name(), "repeatable-read");
}

#[test]
fn an_unknown_model_is_answered_with_suggestions() {
    let error = Model::parse("strict-serialisable").unwrap_err();
    assert_eq!(error.suggestions.first(), Some(&"strict-serializable"));
    let text = Model::parse("snapshot").unwrap_err().to_string();
    assert!(text.starts_with("unknown consistency model `snapshot`; did you mean "), "{text}");
    assert!(Model::parse("xyzzy").unwrap_err().suggestions.is_empty());
}

#[test]
fn a_model_says_which_order_it_relies_on() {
    assert_eq!(Model::STRICT_SERIALIZABLE.order(), Order::Realtime);
    assert_eq!(Model::parse("strong-session-serializable").unwrap().order(), Order::Process);
    assert_eq!(Model::SERIALIZABLE.order(), Order::Data);
    assert_eq!(Model::parse("causal").unwrap().order(), Order::Process);
    assert_eq!(Model::parse("causal-cerone").unwrap().order(), Order::Data);
    assert_eq!(Model::parse("read-your-writes").unwrap().order(), Order::Process);
}
