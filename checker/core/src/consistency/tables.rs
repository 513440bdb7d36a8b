//! The two tables of the lattice. Nothing but data.

/// One model.
pub(super) struct ModelRow {
    /// Name in the literature, unique.
    pub(super) canonical: &'static str,
    /// Name in this project.
    pub(super) name: &'static str,
    /// Name that Elle prints.
    pub(super) friendly: &'static str,
    /// Further names.
    pub(super) aliases: &'static [&'static str],
    /// Models (by canonical name) that it implies directly.
    pub(super) implies: &'static [&'static str],
    /// Anomalies that it proscribes directly.
    pub(super) proscribes: &'static [&'static str],
    /// What a pass leaves open.
    pub(super) approximation: Option<&'static str>,
    /// A model (by canonical name) that is the same here by another definition: the same anomalies rule both out.
    pub(super) same_as: Option<&'static str>,
}

/// One anomaly.
pub(super) struct AnomalyRow {
    /// Its name.
    pub(super) name: &'static str,
    /// Anomalies that are present wherever it is.
    pub(super) implies: &'static [&'static str],
}

const fn model(
    canonical: &'static str,
    name: &'static str,
    implies: &'static [&'static str],
    proscribes: &'static [&'static str],
) -> ModelRow {
    ModelRow { canonical, name, friendly: name, aliases: &[], implies, proscribes, approximation: None, same_as: None }
}

const fn approximate(row: ModelRow, approximation: &'static str) -> ModelRow {
    ModelRow { approximation: Some(approximation), ..row }
}

/// A model that is another one here by another definition.
const fn same(row: ModelRow, as_model: &'static str) -> ModelRow {
    ModelRow { same_as: Some(as_model), ..row }
}

const AS_READ_COMMITTED: &str =
    "checked as far as read-committed: nothing beyond shows in an anomaly that can be found";
const AS_CONSISTENT_VIEW: &str =
    "checked as far as consistent-view: nothing beyond shows in an anomaly that can be found";

pub(super) static MODELS: &[ModelRow] = &[
    ModelRow {
        aliases: &["strict-serializability"],
        friendly: "strong-serializable",
        ..model(
            "PL-SS",
            "strict-serializable",
            &["PL-3", "linearizable", "PL-SI", "strong-PL-SI", "strong-session-PL-3", "session-serializable"],
            &["G1", "G1c-realtime", "G2-realtime", "PL-SS-cycle-exists"],
        )
    },
    model(
        "strong-session-PL-3",
        "strong-session-serializable",
        &["PL-3", "strong-session-PL-SI", "sequential"],
        &["G1-process", "G2-process", "strong-session-PL-3-cycle-exists"],
    ),
    ModelRow {
        aliases: &["conflict-serializable"],
        ..model(
            "PL-3",
            "serializable",
            &["PL-2.99", "PL-SI", "PL-3U", "view-serializable"],
            &["G1", "G2", "predicate-read-miss", "internal"],
        )
    },
    model(
        "strong-PL-SI",
        "strong-snapshot-isolation",
        &["strong-session-PL-SI", "strong-PL-2"],
        &["internal", "G1-realtime", "G-nonadjacent-realtime", "strong-PL-SI-cycle-exists"],
    ),
    model(
        "strong-session-PL-SI",
        "strong-session-snapshot-isolation",
        &["PL-SI", "strong-session-PL-2", "causal"],
        &["internal", "G1-process", "G-nonadjacent-process", "strong-session-PL-SI-cycle-exists"],
    ),
    model(
        "PL-SI",
        "snapshot-isolation",
        &["PL-FCV", "monotonic-atomic-view", "PL-MSR", "parallel-snapshot-isolation", "prefix"],
        &["internal", "G1", "G-SI", "G-nonadjacent", "PL-SI-cycle-exists"],
    ),
    model(
        "PL-2.99",
        "repeatable-read",
        &["PL-CS", "monotonic-atomic-view"],
        &["G1", "G2-item", "lost-update", "PL-2.99-cycle-exists"],
    ),
    approximate(model("PL-3U", "update-serializable", &["PL-FCV"], &["G1", "G-update"]), AS_CONSISTENT_VIEW),
    approximate(model("PL-FCV", "forward-consistent-view", &["PL-2+"], &["G1", "G-SIb"]), AS_CONSISTENT_VIEW),
    model("PL-2+", "consistent-view", &["PL-CS", "PL-2L"], &["G1", "G-single", "PL-2+-cycle-exists"]),
    approximate(
        model("PL-CS", "cursor-stability", &["PL-2"], &["G1", "G-cursor", "lost-update"]),
        "checked as far as read-committed without lost updates: cursors are not recorded",
    ),
    approximate(model("PL-2L", "monotonic-view", &["PL-2"], &["G1", "G-monotonic"]), AS_READ_COMMITTED),
    approximate(model("PL-MSR", "monotonic-snapshot-read", &["PL-2"], &["G1", "G-MSR"]), AS_READ_COMMITTED),
    // Of two transactions that write an object one sees the other, and what is seen is transitive: so a transaction sees
    // all that leads to it by ww and wr, and may not read below that. No cycle has at most one rw, which is PL-2+.
    model(
        "parallel-snapshot-isolation",
        "parallel-snapshot-isolation",
        &["causal-cerone", "update-atomic", "PL-2+"],
        &["internal", "G1a"],
    ),
    model("prefix", "prefix", &["causal-cerone"], &["internal", "G1a", "prefix-violation", "prefix-cycle-exists"]),
    model("causal-cerone", "causal-cerone", &["read-atomic"], &["internal", "G1a", "causal-violation"]),
    model("update-atomic", "update-atomic", &["read-atomic"], &["lost-update"]),
    model(
        "read-atomic",
        "read-atomic",
        &["monotonic-atomic-view"],
        &["internal", "G1a", "future-read", "fractured-read"],
    ),
    model("monotonic-atomic-view", "monotonic-atomic-view", &["PL-2"], &["non-monotonic-read"]),
    model("strong-PL-2", "strong-read-committed", &["strong-session-PL-2", "strong-PL-1"], &["G1c-realtime"]),
    model("strong-session-PL-2", "strong-session-read-committed", &["PL-2", "strong-session-PL-1"], &["G1c-process"]),
    model("PL-2", "read-committed", &["PL-1"], &["G1"]),
    model("strong-PL-1", "strong-read-uncommitted", &["strong-session-PL-1"], &["G0-realtime"]),
    model("strong-session-PL-1", "strong-session-read-uncommitted", &["PL-1"], &["G0-process"]),
    // A value that nobody wrote is no version of the object: no model of the lattice lets it be read.
    model("PL-1", "read-uncommitted", &[], &["G0", "duplicate-elements", "cyclic-versions", "garbage-read"]),
    // Here an operation is a transaction, so that the first two are serializability with an order of the history, and what is
    // causal is both the order in processes and who read from whom.
    same(model("linearizable", "linearizable", &["sequential"], &[]), "PL-SS"),
    same(model("sequential", "sequential", &["causal"], &[]), "strong-session-PL-3"),
    model(
        "causal",
        "causal",
        &["writes-follow-reads", "PRAM", "causal-cerone", "strong-session-PL-2"],
        &["causal-violation-process"],
    ),
    approximate(
        model("PRAM", "PRAM", &["monotonic-reads", "monotonic-writes", "read-your-writes"], &[]),
        "checked key by key: in which order one process saw another write several keys is not",
    ),
    model("monotonic-reads", "monotonic-reads", &[], &["monotonic-reads-violation"]),
    model("monotonic-writes", "monotonic-writes", &[], &["monotonic-writes-violation"]),
    model("read-your-writes", "read-your-writes", &[], &["read-your-writes-violation"]),
    model("writes-follow-reads", "writes-follow-reads", &[], &["writes-follow-reads-violation"]),
    // Whatever serial order explains all reads is an order of the versions, too, and versions are put in any order that what
    // was read allows: so nothing tells these from conflict serializability.
    same(model("view-serializable", "view-serializable", &[], &[]), "PL-3"),
    same(model("session-serializable", "session-serializable", &["1SR"], &[]), "strong-session-PL-3"),
    same(model("1SR", "1SR", &[], &[]), "PL-3"),
];

const fn anomaly(name: &'static str, implies: &'static [&'static str]) -> AnomalyRow {
    AnomalyRow { name, implies }
}

pub(super) static ANOMALIES: &[AnomalyRow] = &[
    // Found by a checker, or unions of those.
    anomaly("G0", &["G1c", "G0-process"]),
    anomaly("G0-process", &["G1c-process", "G0-realtime"]),
    anomaly("G0-realtime", &["G1c-realtime"]),
    anomaly("G1a", &["G1"]),
    anomaly("G1b", &["G1"]),
    anomaly("G1c", &["G1", "G1c-process"]),
    anomaly("G1c-process", &["G1-process", "G1c-realtime"]),
    anomaly("G1c-realtime", &["G1-realtime"]),
    anomaly("G1", &["G1-process"]),
    anomaly("G1-process", &["G1-realtime"]),
    anomaly("G1-realtime", &[]),
    anomaly("G-single-item", &["G-single", "G-nonadjacent-item", "G-single-item-process"]),
    anomaly("G-single-item-process", &["G-single-process", "G-nonadjacent-item-process", "G-single-item-realtime"]),
    anomaly("G-single-item-realtime", &["G-single-realtime", "G-nonadjacent-item-realtime"]),
    anomaly("G-single", &["G-nonadjacent", "GSIb", "G-single-process"]),
    anomaly("G-single-process", &["G-nonadjacent-process", "G-single-realtime"]),
    anomaly("G-single-realtime", &["G-nonadjacent-realtime"]),
    anomaly("G-nonadjacent-item", &["G-nonadjacent", "G2-item", "G-nonadjacent-item-process"]),
    anomaly("G-nonadjacent-item-process", &["G-nonadjacent-process", "G2-item-process", "G-nonadjacent-item-realtime"]),
    anomaly("G-nonadjacent-item-realtime", &["G-nonadjacent-realtime", "G2-item-realtime"]),
    anomaly("G-nonadjacent", &["G2", "G-nonadjacent-process"]),
    anomaly("G-nonadjacent-process", &["G2-process", "G-nonadjacent-realtime"]),
    anomaly("G-nonadjacent-realtime", &["G2-realtime"]),
    anomaly("G2-item", &["G2", "G2-item-process"]),
    anomaly("G2-item-process", &["G2-process", "G2-item-realtime"]),
    anomaly("G2-item-realtime", &["G2-realtime"]),
    anomaly("G2", &["G2-process"]),
    anomaly("G2-process", &["G2-realtime"]),
    anomaly("G2-realtime", &[]),
    anomaly("internal", &[]),
    anomaly("garbage-read", &[]),
    anomaly("duplicate-elements", &[]),
    anomaly("cyclic-versions", &[]),
    anomaly("incompatible-order", &["G1a"]),
    anomaly("future-read", &["G1c"]),
    anomaly("dirty-update", &["G1a"]),
    anomaly("lost-update", &["write-skew", "G2-item"]),
    anomaly("write-skew", &["G2"]),
    anomaly("predicate-read-miss", &[]),
    // No order of the writes is free of the cycles that the model proscribes.
    anomaly("prefix-cycle-exists", &[]),
    anomaly("PL-2+-cycle-exists", &[]),
    anomaly("PL-SI-cycle-exists", &[]),
    anomaly("PL-2.99-cycle-exists", &[]),
    anomaly("strong-session-PL-SI-cycle-exists", &[]),
    anomaly("strong-session-PL-3-cycle-exists", &[]),
    anomaly("strong-PL-SI-cycle-exists", &[]),
    anomaly("PL-SS-cycle-exists", &[]),
    // What a transaction sees of others, and what a process sees of itself: each is a cycle of a special shape.
    anomaly("non-monotonic-read", &["fractured-read"]),
    anomaly("fractured-read", &["causal-violation"]),
    anomaly("causal-violation", &["prefix-violation", "G-single-item", "causal-violation-process"]),
    anomaly("causal-violation-process", &["G-single-item-process"]),
    anomaly("prefix-violation", &["G-nonadjacent-item"]),
    anomaly("long-fork", &["prefix-violation"]),
    anomaly("monotonic-reads-violation", &["causal-violation-process"]),
    anomaly("read-your-writes-violation", &["causal-violation-process"]),
    anomaly("monotonic-writes-violation", &["G0-process"]),
    anomaly("writes-follow-reads-violation", &["G1c-process"]),
    // Named by the literature, found by nothing: kept because models are defined by them.
    anomaly("GSIa", &["GSI"]),
    anomaly("GSIb", &["GSI"]),
    anomaly("GSI", &[]),
    anomaly("G-SI", &[]),
    anomaly("G-SIb", &[]),
    anomaly("G-MSR", &[]),
    anomaly("G-cursor", &[]),
    anomaly("G-monotonic", &[]),
    anomaly("G-update", &[]),
];
