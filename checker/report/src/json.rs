//! `results.json`: the verdict and the findings for programs.
//!
//! One document with a `schema_version`. Names are those of the history's tables, and so are the times: `*_ns` are on
//! CLOCK_MONOTONIC, `started_ns` is the start of the run on it. Lists hold everything, but for the packets of a finding,
//! whose `total` says how many there were.

use crate::input::{FaultLine, NodeLine, PacketLine, PacketList, ReportInput};
use crate::levels;
use crate::packets;
use crate::summary;
use crate::words::{named_ops, operation, tcp_flags};
use fissure_checker::finding::LevelVerdict;
use fissure_checker::{CheckResult, Finding, Reason, Validity, Verdict};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Version of the document's form.
const SCHEMA_VERSION: u32 = 1;

/// The result of a run.
///
/// At the top: `valid` (true, false or "unknown"), `verdict`, `reasons`, `anomaly_types`, `not`, `also_not`, `levels` (the
/// answer at every level of isolation, with the finding that refutes it or what was assumed), `findings` (of all checkers,
/// with the faults in force and the packets dropped meanwhile, and the statements that list them all), `checks` (one per checker, with its own findings), and what was done.
#[must_use]
pub fn results_json(input: &ReportInput) -> Value {
    let mut document = judged(&input.verdict, &input.results, Some(input));
    let [ok, fail, info] = summary::outcomes(input);
    let by_f: Map<String, Value> = input
        .ops_by_f
        .iter()
        .map(|(f, [ok, fail, info])| (f.clone(), json!({ "ok": ok, "fail": fail, "info": info })))
        .collect();
    let more = [
        ("fissure_version", json!(input.fissure_version)),
        ("scenario", json!(input.scenario)),
        ("run", json!(input.run_path)),
        ("seed", json!(input.seed)),
        ("started", json!(input.started)),
        ("started_ns", json!(input.started_ns)),
        ("duration_s", json!(input.duration_s)),
        ("kernel", json!(input.kernel)),
        ("target", json!(input.target)),
        ("nodes", json!(input.nodes)),
        ("mechanisms", json!(input.mechanisms)),
        ("ops", json!({ "total": ok + fail + info, "ok": ok, "fail": fail, "info": info, "by_f": by_f })),
        ("faults", input.faults.iter().map(|line| fault(line, input.started_ns)).collect()),
        ("injections", json!(input.injections)),
        ("events_lost", json!(input.events_lost)),
        ("node_events", input.node_events.iter().map(|line| node_event(line, input.started_ns)).collect()),
        ("again", json!(input.again)),
    ];
    if let Some(fields) = document.as_object_mut() {
        fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    document
}

/// The result for a history that is no run of ours: the same names, without what only a run has.
#[must_use]
pub fn check_json(results: &[CheckResult]) -> Value {
    judged(&CheckResult::merge_verdicts(results), results, None)
}

fn judged(verdict: &Verdict, results: &[CheckResult], input: Option<&ReportInput>) -> Value {
    let merged = |names: fn(&CheckResult) -> &BTreeSet<String>| -> BTreeSet<&String> {
        results.iter().flat_map(names).collect()
    };
    let findings: Vec<Value> =
        results.iter().flat_map(|result| &result.findings).map(|found| finding(found, input)).collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "valid": valid(verdict.validity),
        "verdict": verdict.validity.name(),
        "reasons": reasons(&verdict.reasons),
        "anomaly_types": merged(|result| &result.anomaly_types),
        "not": merged(|result| &result.not),
        "also_not": merged(|result| &result.also_not),
        "levels": levels::merged(results).iter().map(level).collect::<Vec<_>>(),
        "checks": results.iter().map(check).collect::<Vec<_>>(),
        "findings": findings,
    })
}

fn valid(validity: Validity) -> Value {
    match validity {
        Validity::Valid => json!(true),
        Validity::Invalid => json!(false),
        Validity::Unknown => json!("unknown"),
    }
}

fn reasons(reasons: &[Reason]) -> Vec<Value> {
    reasons.iter().map(|reason| json!({ "code": reason.code, "text": reason.text })).collect()
}

fn check(result: &CheckResult) -> Value {
    json!({
        "checker": result.checker,
        "model": result.model,
        "valid": valid(result.verdict.validity),
        "reasons": reasons(&result.verdict.reasons),
        "anomaly_types": result.anomaly_types,
        "not": result.not,
        "also_not": result.also_not,
        "levels": result.levels.iter().map(level).collect::<Vec<_>>(),
        "ops_checked": result.ops_checked,
        "reads_checked": result.reads_checked,
        "partitions": result.partitions,
        "evidence": result.evidence,
        "findings": result.findings.iter().map(|found| finding(found, None)).collect::<Vec<_>>(),
    })
}

/// The answer at one level.
fn level(level: &LevelVerdict) -> Value {
    json!({
        "model": level.name(),
        "valid": valid(level.validity),
        "witness": level.witness,
        "assumed": level.assumed,
    })
}

/// A finding; beside a run also its operations' times and its packets.
fn finding(found: &Finding, input: Option<&ReportInput>) -> Value {
    let cycle: Vec<Value> = found
        .cycle
        .iter()
        .map(|edge| {
            json!({
                "from": edge.from, "to": edge.to, "kind": edge.kind.name(),
                "key": edge.key, "value": edge.value, "value_next": edge.value_next,
            })
        })
        .collect();
    let mut value = json!({
        "id": found.id,
        "checker": found.checker,
        "anomaly": found.anomaly,
        "summary": found.summary,
        "explanation": found.explanation,
        "ops": found.ops,
        "key": found.key,
        "cycle": cycle,
    });
    if let (Some(input), Some(fields)) = (input, value.as_object_mut()) {
        let known = found.ops.iter().filter_map(|op_id| operation(input, *op_id));
        let (from, to) = known.fold((None, None), |(from, to): (Option<i64>, Option<i64>), op| {
            (Some(from.map_or(op.invoke_ns, |from| from.min(op.invoke_ns))), to.max(op.complete_ns))
        });
        fields.insert("first_invoke_ns".to_owned(), json!(from));
        fields.insert("last_complete_ns".to_owned(), json!(to));
        let none = PacketList::default();
        let list = input.packets.get(&found.id).unwrap_or(&none);
        let shown: Vec<Value> = list.shown.iter().map(|line| packet(line, input.started_ns)).collect();
        fields.insert("packets".to_owned(), json!({ "total": list.total, "shown": shown }));
        fields.insert("faults".to_owned(), json!(faults_meanwhile(from, to, input)));
        let excerpt = input.excerpts.get(&found.id);
        let excerpt = excerpt.map(|file| json!({ "path": file.path, "operations": file.operations }));
        fields.insert("excerpt".to_owned(), json!(excerpt));
        let ops = named_ops(found, input);
        fields
            .insert("sql".to_owned(), json!({ "injections": packets::sql(&ops), "faults": packets::faults_sql(&ops) }));
    }
    value
}

/// Faults that were in force at some moment between the first invocation and the last completion.
fn faults_meanwhile(from: Option<i64>, to: Option<i64>, input: &ReportInput) -> Vec<i64> {
    let Some(from) = from else { return Vec::new() };
    let (from, to) = (from - input.started_ns, to.unwrap_or(from) - input.started_ns);
    summary::in_force(input, from, to).iter().map(|fault| fault.fault_id).collect()
}

fn packet(line: &PacketLine, started_ns: i64) -> Value {
    json!({
        "t_ns": line.t_ns + started_ns,
        "fault_id": line.fault_id,
        "rule_id": line.rule_id,
        "src": line.src,
        "dst": line.dst,
        "protocol": line.protocol,
        "tcp_flags": line.tcp_flags,
        "tcp_flag_names": if line.protocol == "tcp" { json!(tcp_flags(line.tcp_flags)) } else { Value::Null },
        "length": line.length,
        "op_id": line.op_id,
    })
}

fn fault(line: &FaultLine, started_ns: i64) -> Value {
    json!({
        "fault_id": line.fault_id,
        "phase": line.name,
        "kind": line.kind,
        "description": line.description,
        "rules": line.rules,
        "start_ns": line.start_ns + started_ns,
        "stop_ns": line.stop_ns.map(|stop| stop + started_ns),
        "hits": line.hits,
        "kernel_hits": line.kernel_hits,
        "error_text": line.error,
    })
}

fn node_event(line: &NodeLine, started_ns: i64) -> Value {
    json!({ "t_ns": line.t_ns + started_ns, "node": line.node, "event": line.event, "detail": line.detail })
}
